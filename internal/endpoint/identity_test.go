package endpoint_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint"
)

func TestUserMayWhatItsPoliciesAllow(t *testing.T) {
	b := open(t, endpoint.Options{})
	ci := b.user(t, "ci", allow("iam:GetUser"))
	if arn, err := callerARN(t, ci); err != nil || arn != "arn:aws:iam::111122223333:user/ci" {
		t.Errorf("GetCallerIdentity = %s, %v", arn, err)
	}
	c := iam.NewFromConfig(ci)
	u, err := c.GetUser(t.Context(), &iam.GetUserInput{})
	if err != nil || *u.User.UserName != "ci" || !strings.HasPrefix(*u.User.UserId, "AIDA") {
		t.Errorf("GetUser = %+v, %v", u, err)
	}
	_, err = c.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("eve")})
	want := "User: arn:aws:iam::111122223333:user/ci is not authorized to perform: iam:CreateUser on resource: arn:aws:iam::111122223333:user/eve because no identity-based policy allows the iam:CreateUser action"
	if code(err) != "AccessDenied" || !strings.Contains(err.Error(), want) {
		t.Errorf("CreateUser: %v", err)
	}
	e := b.last(t, "CreateUser")
	if e.ErrorCode != "AccessDenied" || e.ErrorMessage != want || e.RequestParameters != "null" || e.ResponseElements != "null" {
		t.Errorf("the record of a denied call: %+v", e)
	}
	if _, err := iam.NewFromConfig(b.root).GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("eve")}); code(err) != "NoSuchEntity" {
		t.Errorf("the denied call made the user: %v", err)
	}

	// A key that was switched off, and one that is gone, are no keys; a Deny in an attached policy wins.
	root := iam.NewFromConfig(b.root)
	key, err := ci.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []iamtypes.StatusType{iamtypes.StatusTypeInactive, iamtypes.StatusTypeActive} {
		if _, err := root.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{UserName: aws.String("ci"), AccessKeyId: &key.AccessKeyID, Status: status}); err != nil {
			t.Fatal(err)
		}
		if _, err := callerARN(t, ci); (code(err) == "InvalidClientTokenId") != (status == iamtypes.StatusTypeInactive) {
			t.Errorf("with a key that is %s: %v", status, err)
		}
	}
	deny := strings.Replace(allow("iam:*"), "Allow", "Deny", 1)
	p, err := root.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("no"), PolicyDocument: &deny})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := root.AttachUserPolicy(t.Context(), &iam.AttachUserPolicyInput{UserName: aws.String("ci"), PolicyArn: p.Policy.Arn}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetUser(t.Context(), &iam.GetUserInput{}); code(err) != "AccessDenied" || !strings.Contains(err.Error(), "with an explicit deny in an identity-based policy") {
		t.Errorf("GetUser, denied: %v", err)
	}
	if _, err := root.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: aws.String("ci"), AccessKeyId: &key.AccessKeyID}); err != nil {
		t.Fatal(err)
	}
	if _, err := callerARN(t, ci); code(err) != "InvalidClientTokenId" {
		t.Errorf("with a deleted key: %v", err)
	}
}

func assume(t *testing.T, cfg aws.Config, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	t.Helper()
	return sts.NewFromConfig(cfg).AssumeRole(t.Context(), in)
}

func (b *bench) session(c *ststypes.Credentials) aws.Config {
	return b.config(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

func TestAssumeRole(t *testing.T) {
	now := &clock{t: time.Date(2026, 11, 23, 7, 30, 0, 0, time.UTC)}
	b := open(t, endpoint.Options{Now: now.now})
	// The SDK signs with the machine's time: it is told the endpoint's.
	sign := func(cfg aws.Config) aws.Config { return at(cfg, now) }
	b.root = sign(b.root)
	arn := b.role(t, "app", allow("iam:ListUsers"))
	ci, eve := b.user(t, "ci", allow("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")), b.user(t, "eve", "")

	in := &sts.AssumeRoleInput{
		RoleArn: &arn, RoleSessionName: aws.String("s1"), DurationSeconds: aws.Int32(900), SourceIdentity: aws.String("ana"),
		Tags: []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("red")}},
	}
	out, err := assume(t, sign(ci), in)
	if err != nil {
		t.Fatal(err)
	}
	e := b.last(t, "AssumeRole")
	wantParameters := map[string]any{
		"roleArn": arn, "roleSessionName": "s1", "durationSeconds": 900.0, "sourceIdentity": "ana",
		"tags": []any{map[string]any{"key": "team", "value": "red"}},
	}
	if diff := cmp.Diff(wantParameters, object(t, e.RequestParameters)); diff != "" {
		t.Errorf("requestParameters:\n%s", diff)
	}
	wantElements := map[string]any{
		"credentials": map[string]any{
			"accessKeyId": *out.Credentials.AccessKeyId, "sessionToken": *out.Credentials.SessionToken, "expiration": "Nov 23, 2026, 7:45:00 AM",
		},
		"assumedRoleUser": map[string]any{
			"assumedRoleId": *out.AssumedRoleUser.AssumedRoleId, "arn": "arn:aws:sts::111122223333:assumed-role/app/s1",
		},
		"packedPolicySize": 1.0, "sourceIdentity": "ana",
	}
	if diff := cmp.Diff(wantElements, object(t, e.ResponseElements)); diff != "" {
		t.Errorf("responseElements:\n%s", diff)
	}
	if len(e.Resources) != 1 || e.Resources[0].ARN != arn || e.Resources[0].Type != "AWS::IAM::Role" || e.EventSource != "sts.amazonaws.com" {
		t.Errorf("the record: %+v", e)
	}

	session := sign(b.session(out.Credentials))
	if _, err := iam.NewFromConfig(session).ListUsers(t.Context(), &iam.ListUsersInput{}); err != nil {
		t.Errorf("what the role allows: %v", err)
	}
	if _, err := iam.NewFromConfig(session).ListRoles(t.Context(), &iam.ListRolesInput{}); code(err) != "AccessDenied" {
		t.Errorf("what the role doesn't allow: %v", err)
	}
	u := b.last(t, "ListRoles").UserIdentity
	if u.Type != "AssumedRole" || u.ARN != "arn:aws:sts::111122223333:assumed-role/app/s1" || !strings.HasPrefix(u.PrincipalID, "AROA") ||
		u.AccessKeyID != *out.Credentials.AccessKeyId || u.SessionContext.SessionIssuer.ARN != arn ||
		u.SessionContext.SourceIdentity != "ana" || !u.SessionContext.Attributes.CreationDate.Equal(now.now()) {
		t.Errorf("userIdentity: %+v %+v", u, u.SessionContext)
	}

	stolen := *out.Credentials
	stolen.SessionToken = aws.String("IQoJb3JpZ2luX2VjAAAA")
	if _, err := callerARN(t, sign(b.session(&stolen))); code(err) != "InvalidClientTokenId" {
		t.Errorf("with another token: %v", err)
	}
	if _, err := assume(t, sign(eve), in); code(err) != "AccessDenied" {
		t.Errorf("a user that may not: %v", err)
	}
	if e := b.last(t, "AssumeRole"); e.RequestParameters != "null" || e.ErrorMessage != "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: sts:AssumeRole on resource: "+arn {
		t.Errorf("the record of a refused AssumeRole: %+v", e)
	}
	for name, refused := range map[string]*sts.AssumeRoleInput{
		"no such role": {RoleArn: aws.String("arn:aws:iam::111122223333:role/none"), RoleSessionName: aws.String("s1")},
		"root":         {RoleArn: &arn, RoleSessionName: aws.String("s1")},
	} {
		cfg := ci
		if name == "root" {
			cfg = b.root
		}
		if _, err := assume(t, sign(cfg), refused); code(err) != "AccessDenied" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, invalid := range map[string]*sts.AssumeRoleInput{
		"longer than the role's": {RoleArn: &arn, RoleSessionName: aws.String("s1"), DurationSeconds: aws.Int32(7200)},
		"too short":              {RoleArn: &arn, RoleSessionName: aws.String("s1"), DurationSeconds: aws.Int32(10)},
		"session name":           {RoleArn: &arn, RoleSessionName: aws.String("a b")},
		"session policy":         {RoleArn: &arn, RoleSessionName: aws.String("s1"), PolicyArns: []ststypes.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/None")}}},
	} {
		if _, err := assume(t, sign(ci), invalid); code(err) != "ValidationError" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := assume(t, sign(ci), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("s1"), Policy: aws.String("{}")}); code(err) != "MalformedPolicyDocument" {
		t.Errorf("a malformed session policy: %v", err)
	}

	now.add(16 * time.Minute)
	if _, err := callerARN(t, session); code(err) != "ExpiredToken" {
		t.Errorf("after its time: %v", err)
	}
}

// at has the SDK sign with the clock's time.
func at(cfg aws.Config, c *clock) aws.Config {
	signer := v4.NewSigner()
	cfg = cfg.Copy()
	cfg.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
		body, err := bodyOf(r)
		if err != nil {
			return nil, err
		}
		creds, err := cfg.Credentials.Retrieve(r.Context())
		if err != nil {
			return nil, err
		}
		service := serviceOf(r)
		for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"} {
			r.Header.Del(name)
		}
		if err := signer.SignHTTP(r.Context(), creds, r, hexHash(body), service, cfg.Region, c.now()); err != nil {
			return nil, err
		}
		return http.DefaultClient.Do(r)
	})
	return cfg
}

func TestTrustPolicyDecides(t *testing.T) {
	b := open(t, endpoint.Options{})
	ci := b.user(t, "ci", "")
	c := iam.NewFromConfig(b.root)
	role := func(name, statement string) string {
		trust := `{"Version":"2012-10-17","Statement":[` + statement + `]}`
		r, err := c.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
		if err != nil {
			t.Fatal(err)
		}
		return *r.Role.Arn
	}
	const principal = `"Principal":{"AWS":"arn:aws:iam::111122223333:user/ci"},`
	for _, tt := range []struct {
		name, trust string
		in          sts.AssumeRoleInput
		want        string
	}{
		{"named", `{"Effect":"Allow",` + principal + `"Action":"sts:AssumeRole"}`, sts.AssumeRoleInput{}, ""},
		{"account", `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}`, sts.AssumeRoleInput{}, "AccessDenied"},
		{"service", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`, sts.AssumeRoleInput{}, "AccessDenied"},
		{"denied", `{"Effect":"Allow",` + principal + `"Action":"sts:AssumeRole"},{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}`, sts.AssumeRoleInput{}, "AccessDenied"},
		{"tags", `{"Effect":"Allow",` + principal + `"Action":"sts:AssumeRole"}`, sts.AssumeRoleInput{Tags: []ststypes.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}, "AccessDenied"},
		{"identity", `{"Effect":"Allow",` + principal + `"Action":"sts:AssumeRole"}`, sts.AssumeRoleInput{SourceIdentity: aws.String("ana")}, "AccessDenied"},
		{"external", `{"Effect":"Allow",` + principal + `"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"42"}}}`, sts.AssumeRoleInput{ExternalId: aws.String("42")}, ""},
		{"no-external", `{"Effect":"Allow",` + principal + `"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"42"}}}`, sts.AssumeRoleInput{}, "AccessDenied"},
		{"address", `{"Effect":"Allow",` + principal + `"Action":"sts:AssumeRole","Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}}`, sts.AssumeRoleInput{}, ""},
		{"elsewhere", `{"Effect":"Allow",` + principal + `"Action":"sts:AssumeRole","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`, sts.AssumeRoleInput{}, "AccessDenied"},
	} {
		tt.in.RoleArn, tt.in.RoleSessionName = aws.String(role(tt.name, tt.trust)), aws.String("s1")
		if _, err := assume(t, ci, &tt.in); code(err) != tt.want {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestSessionsOfADeletedRoleMayDoNothing(t *testing.T) {
	b := open(t, endpoint.Options{})
	arn := b.role(t, "app", allow("iam:*"))
	out, err := assume(t, b.user(t, "ci", allow("sts:AssumeRole")), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("s1")})
	if err != nil {
		t.Fatal(err)
	}
	c := iam.NewFromConfig(b.session(out.Credentials))
	if _, err := c.ListUsers(t.Context(), &iam.ListUsersInput{}); err != nil {
		t.Fatal(err)
	}
	root := iam.NewFromConfig(b.root)
	if _, err := root.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("app"), PolicyName: aws.String("p")}); err != nil {
		t.Fatal(err)
	}
	if _, err := root.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	b.role(t, "app", allow("iam:*"))
	if _, err := c.ListUsers(t.Context(), &iam.ListUsersInput{}); code(err) != "AccessDenied" {
		t.Errorf("with another role of that name: %v", err)
	}
}

func TestSessionPoliciesAndChains(t *testing.T) {
	b := open(t, endpoint.Options{})
	first := b.role(t, "first", allow("iam:*", "sts:AssumeRole"))
	second := b.role(t, "second", "")
	out, err := assume(t, b.user(t, "ci", allow("sts:*")), &sts.AssumeRoleInput{
		RoleArn: &first, RoleSessionName: aws.String("s1"), Policy: aws.String(allow("iam:ListRoles", "sts:AssumeRole")), SourceIdentity: aws.String("ana"),
		Tags: []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("red")}}, TransitiveTagKeys: []string{"team"},
	})
	if err != nil {
		t.Fatal(err)
	}
	session := b.session(out.Credentials)
	if _, err := iam.NewFromConfig(session).ListRoles(t.Context(), &iam.ListRolesInput{}); err != nil {
		t.Errorf("what both allow: %v", err)
	}
	if _, err := iam.NewFromConfig(session).ListUsers(t.Context(), &iam.ListUsersInput{}); code(err) != "AccessDenied" || !strings.Contains(err.Error(), "no session policy allows") {
		t.Errorf("what the session's policy withholds: %v", err)
	}
	if _, err := sts.NewFromConfig(session).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{}); code(err) != "AccessDenied" {
		t.Errorf("GetSessionToken of a session: %v", err)
	}
	if _, err := assume(t, session, &sts.AssumeRoleInput{RoleArn: &second, RoleSessionName: aws.String("s2"), DurationSeconds: aws.Int32(3601)}); code(err) != "ValidationError" {
		t.Errorf("a chain of more than an hour: %v", err)
	}
	out, err = assume(t, session, &sts.AssumeRoleInput{RoleArn: &second, RoleSessionName: aws.String("s2")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := callerARN(t, b.session(out.Credentials)); err != nil {
		t.Fatal(err)
	}
	if u := b.last(t, "GetCallerIdentity").UserIdentity; u.SessionContext.SourceIdentity != "ana" {
		t.Errorf("the chain lost its source identity: %+v", u.SessionContext)
	}
	if _, err := assume(t, session, &sts.AssumeRoleInput{RoleArn: &second, RoleSessionName: aws.String("s2"), Tags: []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}}); code(err) != "AccessDenied" && code(err) != "ValidationError" {
		t.Errorf("a transitive tag was changed: %v", err)
	}
}

func TestFederationAndSessionTokens(t *testing.T) {
	b := open(t, endpoint.Options{})
	ci := b.user(t, "ci", allow("sts:GetFederationToken", "iam:ListUsers", "iam:ListRoles"))
	federated, err := sts.NewFromConfig(ci).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("bob"), Policy: aws.String(allow("iam:ListUsers", "iam:CreateUser"))})
	if err != nil {
		t.Fatal(err)
	}
	if e := b.last(t, "GetFederationToken"); e.ReadOnly != 1 || !strings.Contains(string(e.ResponseElements), `"federatedUserId":"111122223333:bob"`) {
		t.Errorf("the record: %+v", e)
	}
	c := iam.NewFromConfig(b.session(federated.Credentials))
	if _, err := c.ListUsers(t.Context(), &iam.ListUsersInput{}); err != nil {
		t.Errorf("what both policies allow: %v", err)
	}
	u := b.last(t, "ListUsers").UserIdentity
	if u.Type != "FederatedUser" || u.PrincipalID != "111122223333:bob" || u.ARN != "arn:aws:sts::111122223333:federated-user/bob" || u.SessionContext.SessionIssuer.UserName != "ci" {
		t.Errorf("userIdentity: %+v", u)
	}
	if _, err := c.ListRoles(t.Context(), &iam.ListRolesInput{}); code(err) != "AccessDenied" {
		t.Errorf("what the session's policy withholds: %v", err)
	}
	if _, err := c.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("x")}); code(err) != "AccessDenied" {
		t.Errorf("what the user may not: %v", err)
	}

	for who, cfg := range map[string]aws.Config{"IAMUser": ci, "Root": b.root} {
		out, err := sts.NewFromConfig(cfg).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := iam.NewFromConfig(b.session(out.Credentials)).ListUsers(t.Context(), &iam.ListUsersInput{}); err != nil {
			t.Errorf("%s: %v", who, err)
		}
		if u := b.last(t, "ListUsers").UserIdentity; u.Type != who || u.AccessKeyID != *out.Credentials.AccessKeyId || u.SessionContext.SessionIssuer != nil {
			t.Errorf("%s: %+v", who, u)
		}
	}
	if _, err := sts.NewFromConfig(b.root).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(7200)}); code(err) != "ValidationError" {
		t.Errorf("root for two hours: %v", err)
	}
}

func TestRestartKeepsIdentities(t *testing.T) {
	dir := t.TempDir()
	first, err := endpoint.New(endpoint.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	firstID, firstSecret := first.RootKey()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	var session, ci aws.Config
	t.Run("before", func(t *testing.T) {
		b := open(t, endpoint.Options{Dir: dir})
		if id, secret := b.RootKey(); id != firstID || secret != firstSecret {
			t.Errorf("the root key changed: %s, %s", firstID, id)
		}
		arn := b.role(t, "app", allow("iam:*"))
		ci = b.user(t, "ci", allow("sts:AssumeRole"))
		out, err := assume(t, ci, &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("s1")})
		if err != nil {
			t.Fatal(err)
		}
		session = b.session(out.Credentials)
	})
	b := open(t, endpoint.Options{Dir: dir})
	session.BaseEndpoint, ci.BaseEndpoint = &b.url, &b.url
	if _, err := iam.NewFromConfig(session).ListUsers(t.Context(), &iam.ListUsersInput{}); err != nil {
		t.Errorf("the session: %v", err)
	}
	if arn, err := callerARN(t, ci); err != nil || arn != "arn:aws:iam::111122223333:user/ci" {
		t.Errorf("the user: %s, %v", arn, err)
	}
}
