package iam_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/iam"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

const account = "111122223333"

// api is a store with its IAM API, called as root.
type api struct {
	*iam.Store
	state   *state.Store
	service awsapi.Service
}

func open(t *testing.T, dir string) *api {
	t.Helper()
	st, err := state.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	s, err := iam.Open(iam.Options{State: st, Account: account})
	if err != nil {
		t.Fatal(err)
	}
	return &api{s, st, s.Services()[0]}
}

// call calls an operation, given as a query string, as root.
func (a *api) call(t *testing.T, query string) (c *awsapi.Call, body string, err error) {
	t.Helper()
	r, err := http.NewRequest("POST", "http://127.0.0.1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	values, err := url.ParseQuery("Action=" + query)
	if err != nil {
		t.Fatal(err)
	}
	c = &awsapi.Call{
		Request: r, Body: []byte(values.Encode()), ID: "id", Time: time.Date(2026, 11, 23, 7, 30, 0, 5, time.UTC), Account: account, Region: "us-east-1",
		Caller: &awsapi.Identity{Kind: awsapi.Root, Account: account, ARN: "arn:aws:iam::111122223333:root", PrincipalID: account},
	}
	var ok bool
	if c.Operation, _, ok = a.service.Route(r, c.Body); !ok {
		t.Fatalf("no operation %s", query)
	}
	a.service.Describe(c)
	if len(a.service.Access(c)) == 0 {
		t.Errorf("%s asks for no permission", c.Operation)
	}
	resp, err := a.service.Serve(c)
	if err != nil {
		return c, "", err
	}
	for d := xml.NewDecoder(strings.NewReader(string(resp.Body))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v in %s", query, err, resp.Body)
		}
	}
	return c, string(resp.Body), nil
}

var (
	document = url.QueryEscape(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)
	trust    = url.QueryEscape(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)
)

// step is one call of a story: what it answers, or the code of its error.
type step struct {
	query string
	want  string // a part of the answer, or the error's code; "!" before a part that must not be there
}

func (a *api) tell(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		_, body, err := a.call(t, s.query)
		var e *awsapi.Error
		part, absent := strings.CutPrefix(s.want, "!")
		switch {
		case errors.As(err, &e):
			if e.Code != s.want {
				t.Errorf("%s: %v, want %s", s.query, err, s.want)
			}
		case err != nil:
			t.Errorf("%s: %v", s.query, err)
		case strings.Contains(body, part) == absent:
			t.Errorf("%s answers %s, want %s", s.query, body, s.want)
		}
	}
}

func TestUsers(t *testing.T) {
	open(t, t.TempDir()).tell(t, []step{
		{"CreateUser", "ValidationError"},
		{"CreateUser&UserName=a b", "ValidationError"},
		{"CreateUser&UserName=" + strings.Repeat("x", 65), "ValidationError"},
		{"CreateUser&UserName=ci&Path=ops", "ValidationError"},
		{"CreateUser&UserName=ci&Tags.member.1.Key=aws:x&Tags.member.1.Value=y", "InvalidInput"},
		{"CreateUser&UserName=ci&Tags.member.1.Key=x&Tags.member.1.Value=y&Tags.member.2.Key=X&Tags.member.2.Value=z", "InvalidInput"},
		{"CreateUser&UserName=ci&Path=/ops/&Tags.member.1.Key=a&Tags.member.1.Value=%3Cb%3E", "<Arn>arn:aws:iam::111122223333:user/ops/ci</Arn>"},
		{"CreateUser&UserName=CI", "EntityAlreadyExists"},
		{"GetUser&UserName=ci", "<member><Key>a</Key><Value>&lt;b&gt;</Value></member>"},
		{"GetUser&UserName=nobody", "NoSuchEntity"},
		{"GetUser", "<Arn>arn:aws:iam::111122223333:root</Arn>"},
		{"ListUserTags&UserName=ci", "<Key>a</Key>"},
		{"TagUser&UserName=ci&Tags.member.1.Key=a&Tags.member.1.Value=c&Tags.member.2.Key=d&Tags.member.2.Value=e", ""},
		{"ListUserTags&UserName=ci", "<Value>c</Value></member><member><Key>d</Key>"},
		{"UntagUser&UserName=ci&TagKeys.member.1=a", ""},
		{"ListUserTags&UserName=ci", "!<Key>a</Key>"},
		{"TagUser&UserName=nobody&Tags.member.1.Key=a&Tags.member.1.Value=c", "NoSuchEntity"},
		{"CreateUser&UserName=ana", "<UserName>ana</UserName>"},
		{"ListUsers&PathPrefix=/ops/", "!ana"},
		{"ListUsers&MaxItems=1", "<IsTruncated>true</IsTruncated><Marker>YW5h</Marker>"},
		{"ListUsers&MaxItems=1&Marker=YW5h", "<UserName>ci</UserName>"},
		{"ListUsers&MaxItems=0", "ValidationError"},
		{"ListUsers&Marker=%25", "ValidationError"},
		{"ListGroupsForUser&UserName=ci", "<Groups></Groups>"},
		{"ListGroupsForUser&UserName=nobody", "NoSuchEntity"},

		{"PutUserPolicy&UserName=ci&PolicyName=p&PolicyDocument=" + document, ""},
		{"PutUserPolicy&UserName=nobody&PolicyName=p&PolicyDocument=" + document, "NoSuchEntity"},
		{"PutUserPolicy&UserName=ci&PolicyName=p&PolicyDocument={}", "MalformedPolicyDocument"},
		{"PutUserPolicy&UserName=ci&PolicyName=p&PolicyDocument=" + trust, "MalformedPolicyDocument"},
		{"PutUserPolicy&UserName=ci&PolicyName=q&PolicyDocument=" + strings.Replace(document, "s3", "s3:"+strings.Repeat("x", 2048)+"%22%2C%22s3", 1), "MalformedPolicyDocument"},
		{"GetUserPolicy&UserName=ci&PolicyName=p", "<PolicyDocument>%7B%22Version%22"},
		{"GetUserPolicy&UserName=ci&PolicyName=none", "NoSuchEntity"},
		{"ListUserPolicies&UserName=ci", "<PolicyNames><member>p</member></PolicyNames>"},
		{"DeleteUser&UserName=ci", "DeleteConflict"},
		{"DeleteUserPolicy&UserName=ci&PolicyName=none", "NoSuchEntity"},
		{"DeleteUserPolicy&UserName=ci&PolicyName=p", ""},
		{"AttachUserPolicy&UserName=ci&PolicyArn=arn:aws:iam::aws:policy/None", "NoSuchEntity"},
		{"AttachUserPolicy&UserName=ci&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess", ""},
		{"AttachUserPolicy&UserName=ci&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess", ""},
		{"ListAttachedUserPolicies&UserName=ci", "<PolicyName>AdministratorAccess</PolicyName>"},
		{"DeleteUser&UserName=ci", "DeleteConflict"},
		{"DetachUserPolicy&UserName=ci&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess", ""},
		{"DetachUserPolicy&UserName=ci&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess", "NoSuchEntity"},

		{"CreateAccessKey&UserName=ci", "<SecretAccessKey>"},
		{"CreateAccessKey&UserName=ci", "<AccessKeyId>AKIA"},
		{"CreateAccessKey&UserName=ci", "LimitExceeded"},
		{"CreateAccessKey", "ValidationError"},
		{"ListAccessKeys&UserName=ci", "!Secret"},
		{"ListAccessKeys", "<AccessKeyId>AKIA"},
		{"UpdateAccessKey&UserName=ci&AccessKeyId=AKIAX&Status=Inactive", "NoSuchEntity"},
		{"UpdateAccessKey&UserName=ci&AccessKeyId=AKIAX&Status=Off", "ValidationError"},
		{"DeleteAccessKey&UserName=ci&AccessKeyId=AKIAX", "NoSuchEntity"},
		{"DeleteUser&UserName=ci", "DeleteConflict"},
		{"DeleteUser&UserName=ana", ""},
		{"GetUser&UserName=ana", "NoSuchEntity"},
		{"DeleteUser&UserName=ana", "NoSuchEntity"},
		{"DeleteUser", "ValidationError"},
	})
}

func TestInlinePoliciesHaveALimitTogether(t *testing.T) {
	long := url.QueryEscape(`{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::` + strings.Repeat("x", 1200) + `"}]}`)
	open(t, t.TempDir()).tell(t, []step{
		{"CreateUser&UserName=ci", ""},
		{"PutUserPolicy&UserName=ci&PolicyName=a&PolicyDocument=" + long, ""},
		{"PutUserPolicy&UserName=ci&PolicyName=b&PolicyDocument=" + long, "LimitExceeded"},
		{"GetUserPolicy&UserName=ci&PolicyName=b", "NoSuchEntity"},
	})
}

func TestRoles(t *testing.T) {
	open(t, t.TempDir()).tell(t, []step{
		{"CreateRole&RoleName=app", "ValidationError"},
		{"CreateRole&RoleName=app&AssumeRolePolicyDocument=x", "MalformedPolicyDocument"},
		{"CreateRole&RoleName=app&AssumeRolePolicyDocument=" + document, "MalformedPolicyDocument"},
		{"CreateRole&RoleName=app&MaxSessionDuration=60&AssumeRolePolicyDocument=" + trust, "ValidationError"},
		{"CreateRole&RoleName=app&Path=/x/&Description=d&MaxSessionDuration=7200&AssumeRolePolicyDocument=" + trust, "<RoleId>AROA"},
		{"CreateRole&RoleName=App&AssumeRolePolicyDocument=" + trust, "EntityAlreadyExists"},
		{"GetRole&RoleName=app", "<MaxSessionDuration>7200</MaxSessionDuration><Description>d</Description>"},
		{"GetRole&RoleName=app", "<AssumeRolePolicyDocument>%7B%22Version%22%3A%222012-10-17%22"},
		{"GetRole&RoleName=none", "NoSuchEntity"},
		{"GetRole", "ValidationError"},
		{"ListRoles&PathPrefix=/x/", "<RoleName>app</RoleName>"},
		{"UpdateRole&RoleName=app&MaxSessionDuration=3600&Description=e", ""},
		{"UpdateRole&RoleName=app&MaxSessionDuration=1", "ValidationError"},
		{"GetRole&RoleName=app", "<MaxSessionDuration>3600</MaxSessionDuration><Description>e</Description>"},
		{"UpdateRoleDescription&RoleName=app&Description=f", "<Description>f</Description>"},
		{"UpdateAssumeRolePolicy&RoleName=app&PolicyDocument=x", "MalformedPolicyDocument"},
		{"UpdateAssumeRolePolicy&RoleName=app&PolicyDocument=" + strings.Replace(trust, "cloudtrail", "lambda", 1), ""},
		{"GetRole&RoleName=app", "lambda.amazonaws.com"},
		{"TagRole&RoleName=app&Tags.member.1.Key=a&Tags.member.1.Value=b", ""},
		{"ListRoleTags&RoleName=app", "<Value>b</Value>"},
		{"UntagRole&RoleName=app&TagKeys.member.1=a", ""},
		{"ListRoleTags&RoleName=app", "<Tags></Tags>"},
		{"ListInstanceProfilesForRole&RoleName=app", "<InstanceProfiles></InstanceProfiles>"},
		{"ListInstanceProfilesForRole&RoleName=none", "NoSuchEntity"},
		{"PutRolePolicy&RoleName=app&PolicyName=p&PolicyDocument=" + document, ""},
		{"GetRolePolicy&RoleName=app&PolicyName=p", "<RoleName>app</RoleName>"},
		{"ListRolePolicies&RoleName=app", "<member>p</member>"},
		{"DeleteRole&RoleName=app", "DeleteConflict"},
		{"DeleteRolePolicy&RoleName=app&PolicyName=p", ""},
		{"AttachRolePolicy&RoleName=app&PolicyArn=arn:aws:iam::aws:policy/AmazonBedrockFullAccess", ""},
		{"ListAttachedRolePolicies&RoleName=app", "AmazonBedrockFullAccess"},
		{"ListAttachedRolePolicies&RoleName=app&PathPrefix=/x/", "!AmazonBedrockFullAccess"},
		{"DeleteRole&RoleName=app", "DeleteConflict"},
		{"DetachRolePolicy&RoleName=app&PolicyArn=arn:aws:iam::aws:policy/AmazonBedrockFullAccess", ""},
		{"DeleteRole&RoleName=app", ""},
		{"DeleteRole&RoleName=app", "NoSuchEntity"},
		{"CreateServiceLinkedRole&AWSServiceName=cloudtrail.amazonaws.com", "<Arn>arn:aws:iam::111122223333:role/aws-service-role/cloudtrail.amazonaws.com/AWSServiceRoleForCloudTrail</Arn>"},
		{"CreateServiceLinkedRole&AWSServiceName=cloudtrail.amazonaws.com&CustomSuffix=x", "AWSServiceRoleForCloudTrail_x"},
		{"CreateServiceLinkedRole&AWSServiceName=example.com", "InvalidInput"},
	})
}

func TestManagedPolicies(t *testing.T) {
	const arn = "arn:aws:iam::111122223333:policy/p"
	version := "CreatePolicyVersion&PolicyArn=" + arn + "&PolicyDocument=" + document
	open(t, t.TempDir()).tell(t, []step{
		{"CreatePolicy&PolicyName=p&PolicyDocument=x", "MalformedPolicyDocument"},
		{"CreatePolicy&PolicyName=p&Description=d&PolicyDocument=" + document, "<PolicyId>ANPA"},
		{"CreatePolicy&PolicyName=P&PolicyDocument=" + document, "EntityAlreadyExists"},
		{"GetPolicy&PolicyArn=" + arn, "<Description>d</Description>"},
		{"GetPolicy&PolicyArn=" + arn + "x", "NoSuchEntity"},
		{"GetPolicyVersion&PolicyArn=" + arn + "&VersionId=v1", "<IsDefaultVersion>true</IsDefaultVersion>"},
		{"GetPolicyVersion&PolicyArn=" + arn + "&VersionId=v2", "NoSuchEntity"},
		{version, "<VersionId>v2</VersionId><IsDefaultVersion>false</IsDefaultVersion>"},
		{version + "&SetAsDefault=true", "<VersionId>v3</VersionId><IsDefaultVersion>true</IsDefaultVersion>"},
		{"SetDefaultPolicyVersion&PolicyArn=" + arn + "&VersionId=v2", ""},
		{"SetDefaultPolicyVersion&PolicyArn=" + arn + "&VersionId=v9", "NoSuchEntity"},
		{"GetPolicy&PolicyArn=" + arn, "<DefaultVersionId>v2</DefaultVersionId>"},
		{"DeletePolicyVersion&PolicyArn=" + arn + "&VersionId=v2", "DeleteConflict"},
		{"DeletePolicyVersion&PolicyArn=" + arn + "&VersionId=v9", "NoSuchEntity"},
		{version, "v4"}, {version, "v5"}, {version, "LimitExceeded"},
		{"DeletePolicy&PolicyArn=" + arn, "DeleteConflict"},
		{"DeletePolicyVersion&PolicyArn=" + arn + "&VersionId=v1", ""},
		{"DeletePolicyVersion&PolicyArn=" + arn + "&VersionId=v3", ""},
		{"DeletePolicyVersion&PolicyArn=" + arn + "&VersionId=v4", ""},
		{"DeletePolicyVersion&PolicyArn=" + arn + "&VersionId=v5", ""},
		{"ListPolicyVersions&PolicyArn=" + arn, "<Versions><member><VersionId>v2</VersionId>"},
		{"CreateUser&UserName=ci", ""},
		{"AttachUserPolicy&UserName=ci&PolicyArn=" + arn, ""},
		{"ListEntitiesForPolicy&PolicyArn=" + arn, "<UserName>ci</UserName>"},
		{"ListPolicies&Scope=Local", "<AttachmentCount>1</AttachmentCount>"},
		{"ListPolicies&Scope=Local&OnlyAttached=true", "<PolicyName>p</PolicyName>"},
		{"ListPolicies&Scope=AWS", "AdministratorAccess"},
		{"ListPolicies&Scope=AWS&OnlyAttached=true", "<Policies></Policies>"},
		{"DeletePolicy&PolicyArn=" + arn, "DeleteConflict"},
		{"DetachUserPolicy&UserName=ci&PolicyArn=" + arn, ""},
		{"DeletePolicy&PolicyArn=" + arn, ""},
		{"DeletePolicy&PolicyArn=" + arn, "NoSuchEntity"},
		{"DeletePolicy&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess", "AccessDenied"},
		{"CreatePolicyVersion&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess&PolicyDocument=" + document, "AccessDenied"},
	})
}

func TestServiceSpecificCredentials(t *testing.T) {
	a := open(t, t.TempDir())
	create := "CreateServiceSpecificCredential&UserName=ci&ServiceName=bedrock.amazonaws.com"
	a.tell(t, []step{
		{create, "NoSuchEntity"},
		{"CreateUser&UserName=ci", ""},
		{strings.Replace(create, "bedrock", "codecommit", 1), "NotSupportedService"},
		{create + "&CredentialAgeDays=0", "ValidationError"},
		{create + "&CredentialAgeDays=30", "<ExpirationDate>2026-12-23T07:30:00Z</ExpirationDate>"},
		{create, "<ServiceCredentialAlias>ci+1-at-111122223333</ServiceCredentialAlias>"},
		{create, "LimitExceeded"},
		{"ListServiceSpecificCredentials&UserName=ci", "!ABSK"},
		{"ListServiceSpecificCredentials&AllUsers=true&ServiceName=other.amazonaws.com", "!ACCA"},
		{"UpdateServiceSpecificCredential&UserName=ci&ServiceSpecificCredentialId=ACCAX&Status=Active", "NoSuchEntity"},
		{"DeleteUser&UserName=ci", "DeleteConflict"},
	})
	_, body, err := a.call(t, "ListServiceSpecificCredentials&AllUsers=true")
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`ACCA[A-Z2-7]{17}`).FindAllString(body, -1)
	if len(ids) != 2 {
		t.Fatalf("credentials %v in %s", ids, body)
	}
	for _, id := range ids {
		a.tell(t, []step{{"DeleteServiceSpecificCredential&UserName=ci&ServiceSpecificCredentialId=" + id, ""}})
	}
	a.tell(t, []step{{"DeleteUser&UserName=ci", ""}})
}

func TestRecords(t *testing.T) {
	a := open(t, t.TempDir())
	a.tell(t, []step{{"CreateUser&UserName=ci", ""}})
	for _, tt := range []struct {
		query, parameters, elements string // elements with ids and keys as X
		readOnly                    bool
	}{
		{"CreateAccessKey&UserName=ci&Version=2010-05-08", `{"userName":"ci"}`,
			`{"accessKey":{"accessKeyId":"X","createDate":"Nov 23, 2026 7:30:00 AM","status":"Active","userName":"ci"}}`, false},
		{"CreateServiceSpecificCredential&UserName=ci&ServiceName=bedrock.amazonaws.com&CredentialAgeDays=1", `{"credentialAgeDays":1,"serviceName":"bedrock.amazonaws.com","userName":"ci"}`,
			`{"serviceSpecificCredential":{"createDate":"Nov 23, 2026 7:30:00 AM","expirationDate":"Nov 24, 2026 7:30:00 AM","serviceCredentialAlias":"ci-at-111122223333","serviceName":"bedrock.amazonaws.com","serviceSpecificCredentialId":"X","status":"Active","userName":"ci"}}`, false},
		{"CreateRole&RoleName=r&Description=&MaxSessionDuration=3600&Tags.member.1.Key=k&Tags.member.1.Value=v&AssumeRolePolicyDocument=" + trust,
			`{"assumeRolePolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"cloudtrail.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}","description":"","maxSessionDuration":3600,"roleName":"r","tags":[{"key":"k","value":"v"}]}`,
			`{"role":{"arn":"arn:aws:iam::111122223333:role/r","assumeRolePolicyDocument":"` + strings.ReplaceAll(trust, "+", "%20") + `","createDate":"Nov 23, 2026 7:30:00 AM","maxSessionDuration":3600,"path":"/","roleId":"X","roleName":"r","tags":[{"key":"k","value":"v"}]}}`, false},
		{"CreatePolicy&PolicyName=p&PolicyDocument=" + document, `{"policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}]}","policyName":"p"}`,
			`{"policy":{"arn":"arn:aws:iam::111122223333:policy/p","attachmentCount":0,"createDate":"Nov 23, 2026 7:30:00 AM","defaultVersionId":"v1","isAttachable":true,"path":"/","permissionsBoundaryUsageCount":0,"policyId":"X","policyName":"p","updateDate":"Nov 23, 2026 7:30:00 AM"}}`, false},
		{"ListUsers&MaxItems=5", `{"maxItems":5}`, `null`, true},
		{"ListUsers", `null`, `null`, true},
		{"TagUser&UserName=ci&Tags.member.1.Key=k&Tags.member.1.Value=v", `{"tags":[{"key":"k","value":"v"}],"userName":"ci"}`, `null`, false},
		{"UntagUser&UserName=ci&TagKeys.member.1=k&TagKeys.member.2=l", `{"tagKeys":["k","l"],"userName":"ci"}`, `null`, false},
	} {
		c, _, err := a.call(t, tt.query)
		if err != nil {
			t.Errorf("%s: %v", tt.query, err)
			continue
		}
		r := c.Record
		if r.EventSource != "iam.amazonaws.com" || !r.Global || r.Data || r.ReadOnly != tt.readOnly {
			t.Errorf("%s: %+v", tt.query, r)
		}
		if diff := cmp.Diff(tt.parameters, text(t, r.RequestParameters)); diff != "" {
			t.Errorf("%s: requestParameters\n%s", tt.query, diff)
		}
		got := regexp.MustCompile(`"(AKIA|ACCA|AROA|ANPA)[A-Z2-7]+"`).ReplaceAllString(text(t, r.ResponseElements), `"X"`)
		if diff := cmp.Diff(tt.elements, got); diff != "" {
			t.Errorf("%s: responseElements\n%s", tt.query, diff)
		}
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestErrorsAreRecordedAsExceptions(t *testing.T) {
	a := open(t, t.TempDir())
	for query, want := range map[string]string{
		"GetUser&UserName=x": "NoSuchEntityException",
		"GetRole":            "ValidationException",
		"CreatePolicy&PolicyName=p&PolicyDocument=x": "MalformedPolicyDocumentException",
	} {
		_, _, err := a.call(t, query)
		var e *awsapi.Error
		if !errors.As(err, &e) || e.Recorded != want {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestWhatCannotBeStoredDidNotHappen(t *testing.T) {
	a := open(t, t.TempDir())
	a.tell(t, []step{{"CreateUser&UserName=ci", ""}, {"CreateAccessKey&UserName=ci", ""}})
	if err := a.state.Close(); err != nil {
		t.Fatal(err)
	}
	var e *awsapi.Error
	for _, query := range []string{
		"CreateUser&UserName=eve", "DeleteUser&UserName=ci", "TagUser&UserName=ci&Tags.member.1.Key=a&Tags.member.1.Value=b",
		"CreateAccessKey&UserName=ci", "CreateRole&RoleName=r&AssumeRolePolicyDocument=" + trust, "CreatePolicy&PolicyName=p&PolicyDocument=" + document,
		"CreateServiceSpecificCredential&UserName=ci&ServiceName=bedrock.amazonaws.com", "PutUserPolicy&UserName=ci&PolicyName=p&PolicyDocument=" + document,
	} {
		if _, _, err := a.call(t, query); err == nil || errors.As(err, &e) && e.Code != "DeleteConflict" {
			t.Errorf("%s: %v", query, err)
		}
	}
	a.tell(t, []step{
		{"GetUser&UserName=eve", "NoSuchEntity"}, {"ListUserTags&UserName=ci", "<Tags></Tags>"}, {"GetRole&RoleName=r", "NoSuchEntity"},
		{"ListUserPolicies&UserName=ci", "<PolicyNames></PolicyNames>"}, {"ListPolicies&Scope=Local", "<Policies></Policies>"},
		{"ListServiceSpecificCredentials&UserName=ci", "!ACCA"},
	})
}

func TestAllowRole(t *testing.T) {
	a := open(t, t.TempDir())
	a.tell(t, []step{
		{"CreateRole&RoleName=logs&AssumeRolePolicyDocument=" + trust, ""},
		{"PutRolePolicy&RoleName=logs&PolicyName=p&PolicyDocument=" + document, ""},
	})
	const arn = "arn:aws:iam::111122223333:role/logs"
	for _, tt := range []struct {
		role, service, action string
		ok                    bool
	}{
		{arn, "cloudtrail.amazonaws.com", "s3:PutObject", true},
		{arn, "cloudtrail.amazonaws.com", "logs:PutLogEvents", false},
		{arn, "lambda.amazonaws.com", "s3:PutObject", false},
		{arn + "x", "cloudtrail.amazonaws.com", "s3:PutObject", false},
		{"role", "cloudtrail.amazonaws.com", "s3:PutObject", false},
	} {
		if err := a.AllowRole(t.Context(), tt.role, tt.service, tt.action, "arn:aws:s3:::b/k"); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// FuzzParameters: whatever the parameters, a call is described, refused or served, and its record has a JSON form.
func FuzzParameters(f *testing.F) {
	f.Add("CreateUser&UserName=a&Tags.member.1.Key=k&Tags.member.1.Value=v")
	f.Add("ListUsers&MaxItems=1&Marker=YW5h&a.member.x.1=2&a.member=3&a..=4")
	f.Add("CreateRole&RoleName=r&AssumeRolePolicyDocument={}&Tags.member.1=x&Tags.member.1.Key=y")
	st, err := state.Open(filepath.Join(f.TempDir(), "state.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { st.Close() })
	s, err := iam.Open(iam.Options{State: st, Account: account})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, service := range s.Services() {
			r := &http.Request{Method: "POST", URL: &url.URL{RawQuery: "Action=" + query}, Header: http.Header{}}
			c := &awsapi.Call{Request: r, ID: "id", Time: time.Unix(0, 0), Account: account, Caller: &awsapi.Identity{Kind: awsapi.User, ARN: "arn", UserName: "u"}}
			var ok bool
			if c.Operation, _, ok = service.Route(r, nil); !ok {
				continue
			}
			service.Describe(c)
			service.Access(c)
			_, _ = service.Serve(c)
			if _, err := json.Marshal(c.Record); err != nil {
				t.Error(err)
			}
		}
	})
}
