package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/endpoint/policy"
)

const account = "111122223333"

func parse(t *testing.T, text string) *policy.Document {
	t.Helper()
	d, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return d
}

func TestParseRefuses(t *testing.T) {
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[` + s + `]}` }
	for name, text := range map[string]string{
		"nothing":             ``,
		"no object":           `[]`,
		"no JSON":             `{`,
		"two values":          statement(`{"Effect":"Allow","Action":"*","Resource":"*"}`) + `{}`,
		"no statement":        `{"Version":"2012-10-17"}`,
		"empty statements":    statement(``),
		"null statement":      statement(`null`),
		"version":             `{"Version":"2020-01-01","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`,
		"unknown element":     statement(`{"Effect":"Allow","Action":"*","Resource":"*","Principle":"*"}`),
		"effect":              statement(`{"Effect":"allow","Action":"*","Resource":"*"}`),
		"no action":           statement(`{"Effect":"Allow","Resource":"*"}`),
		"null action":         statement(`{"Effect":"Allow","Action":null,"Resource":"*"}`),
		"empty actions":       statement(`{"Effect":"Allow","Action":[],"Resource":"*"}`),
		"bare action":         statement(`{"Effect":"Allow","Action":"GetObject","Resource":"*"}`),
		"action of a number":  statement(`{"Effect":"Allow","Action":3,"Resource":"*"}`),
		"both actions":        statement(`{"Effect":"Allow","Action":"*","NotAction":"s3:*","Resource":"*"}`),
		"resource":            statement(`{"Effect":"Allow","Action":"*","Resource":"bucket"}`),
		"both resources":      statement(`{"Effect":"Allow","Action":"*","Resource":"*","NotResource":"*"}`),
		"principal":           statement(`{"Effect":"Allow","Action":"*","Resource":"*","Principal":"root"}`),
		"empty principal":     statement(`{"Effect":"Allow","Action":"*","Resource":"*","Principal":{}}`),
		"null principal":      statement(`{"Effect":"Allow","Action":"*","Resource":"*","Principal":null}`),
		"principal kind":      statement(`{"Effect":"Allow","Action":"*","Resource":"*","Principal":{"Who":"*"}}`),
		"principal wildcard":  statement(`{"Effect":"Allow","Action":"*","Resource":"*","Principal":{"AWS":"arn:aws:iam::*:root"}}`),
		"operator":            statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringIs":{"aws:x":"y"}}}`),
		"set operator":        statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForSome:StringLike":{"aws:x":"y"}}}`),
		"numeric operator":    statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericNear":{"aws:x":"1"}}}`),
		"null condition":      statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":null}`),
		"null condition keys": statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":null}}`),
		"condition value":     statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:x":{}}}}`),
		"condition key":       statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"x":"y"}}}`),
		"a NUL":               statement(`{"Effect":"Allow","Action":"s3:Get\u0000","Resource":"*"}`),
		"too long":            statement(`{"Sid":"` + strings.Repeat("x", policy.MaxSize) + `","Effect":"Allow","Action":"*","Resource":"*"}`),
	} {
		_, err := policy.Parse([]byte(text))
		var syntax *policy.SyntaxError
		if !errors.As(err, &syntax) || syntax.Reason == "" {
			t.Errorf("%s: Parse = %v, want a *SyntaxError", name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	identity := `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`
	resource := `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}}`
	trust := `{"Statement":{"Effect":"Allow","Principal":{"Service":"a.amazonaws.com"},"Action":"sts:AssumeRole"}}`
	for text, want := range map[string]policy.Kind{identity: policy.IdentityPolicy, resource: policy.ResourcePolicy, trust: policy.TrustPolicy} {
		d := parse(t, text)
		for _, k := range []policy.Kind{policy.IdentityPolicy, policy.ResourcePolicy, policy.TrustPolicy} {
			if err := d.Validate(k); (err == nil) != (k == want) {
				t.Errorf("Validate(%d) of %s = %v", k, text, err)
			}
		}
	}
	d := parse(t, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}}`)
	if err := d.Validate(policy.TrustPolicy); err == nil {
		t.Error("a trust policy may give away s3:GetObject")
	}
}

// TestEvaluate asks one statement at a time: what stands in the table is a statement without its braces.
func TestEvaluate(t *testing.T) {
	user := policy.Principal{ARN: "arn:aws:iam::111122223333:user/ci", ID: "AIDAEXAMPLE", Account: account}
	session := policy.Principal{
		ARN: "arn:aws:sts::111122223333:assumed-role/app/s1", RoleARN: "arn:aws:iam::111122223333:role/app",
		ID: "AROAEXAMPLE:s1", Account: account,
	}
	service := policy.Principal{Service: "cloudtrail.amazonaws.com"}
	root := policy.Principal{ARN: "arn:aws:iam::111122223333:root", ID: account, Account: account, Root: true}
	anyone := policy.Principal{}
	const get, object = "s3:GetObject", "arn:aws:s3:::data/logs/a:b.json"
	const allow = `"Effect":"Allow","Action":"s3:GetObject","Resource":"*",`
	for _, tt := range []struct {
		statement string
		who       policy.Principal
		action    string
		resource  string
		want      policy.Decision
	}{
		{`"Effect":"Allow","Action":"*","Resource":"*"`, user, get, object, policy.Allow},
		{`"Effect":"Deny","Action":"*","Resource":"*"`, user, get, object, policy.Deny},
		{`"Effect":"Allow","Action":"S3:getobject","Resource":"*"`, user, get, object, policy.Allow},
		{`"Effect":"Allow","Action":"s3:Get*","Resource":"*"`, user, get, object, policy.Allow},
		{`"Effect":"Allow","Action":"s3:Get?","Resource":"*"`, user, get, object, policy.ImplicitDeny},
		{`"Effect":"Allow","Action":["s3:Put*","s3:G*t"],"Resource":"*"`, user, get, object, policy.Allow},
		{`"Effect":"Allow","NotAction":"iam:*","Resource":"*"`, user, get, object, policy.Allow},
		{`"Effect":"Allow","NotAction":["iam:*","s3:*"],"Resource":"*"`, user, get, object, policy.ImplicitDeny},
		{`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::data/*"`, user, get, object, policy.Allow},
		{`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::DATA/*"`, user, get, object, policy.ImplicitDeny},
		{`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:*"`, user, get, object, policy.Allow},
		{`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s*::data/*"`, user, get, object, policy.ImplicitDeny},
		{`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::data"`, user, get, object, policy.ImplicitDeny},
		{`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::data/*"`, user, "s3:ListAllMyBuckets", "*", policy.ImplicitDeny},
		{`"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::other/*"`, user, get, object, policy.Allow},
		{`"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::data/*"`, user, get, object, policy.ImplicitDeny},

		{allow + `"Principal":"*"`, anyone, get, object, policy.Allow},
		{allow + `"Principal":{"AWS":"*"}`, user, get, object, policy.Allow},
		{allow + `"Principal":{"AWS":"111122223333"}`, user, get, object, policy.Delegated},
		{allow + `"Principal":{"AWS":"arn:aws:iam::111122223333:root"}`, session, get, object, policy.Delegated},
		{allow + `"Principal":{"AWS":"arn:aws:iam::111122223333:root"}`, root, get, object, policy.Allow},
		{allow + `"Principal":{"AWS":["444455556666","arn:aws:iam::111122223333:user/ci"]}`, user, get, object, policy.Allow},
		{allow + `"Principal":{"AWS":"444455556666"}`, user, get, object, policy.ImplicitDeny},
		{allow + `"Principal":{"AWS":"111122223333"}`, anyone, get, object, policy.ImplicitDeny},
		{allow + `"Principal":{"AWS":"arn:aws:iam::111122223333:role/app"}`, session, get, object, policy.Allow},
		{allow + `"Principal":{"AWS":"arn:aws:sts::111122223333:assumed-role/app/s1"}`, session, get, object, policy.Allow},
		{allow + `"Principal":{"AWS":"AROAEXAMPLE"}`, session, get, object, policy.Allow},
		{allow + `"Principal":{"Service":"cloudtrail.amazonaws.com"}`, service, get, object, policy.Allow},
		{allow + `"Principal":{"Service":"cloudtrail.amazonaws.com"}`, user, get, object, policy.ImplicitDeny},
		{allow + `"Principal":{"Federated":"arn:aws:iam::111122223333:saml-provider/x"}`, policy.Principal{Federated: "arn:aws:iam::111122223333:saml-provider/x"}, get, object, policy.Allow},
		{allow + `"Principal":{"CanonicalUser":"79a5"}`, user, get, object, policy.ImplicitDeny},
		{`"Effect":"Deny","Action":"s3:*","Resource":"*","Principal":{"AWS":"111122223333"}`, user, get, object, policy.Deny},
		{`"Effect":"Deny","Action":"s3:*","Resource":"*","NotPrincipal":{"AWS":["111122223333","arn:aws:iam::111122223333:user/ci"]}`, user, get, object, policy.ImplicitDeny},
		{`"Effect":"Deny","Action":"s3:*","Resource":"*","NotPrincipal":{"AWS":"444455556666"}`, user, get, object, policy.Deny},
	} {
		d := parse(t, `{"Version":"2012-10-17","Statement":{`+tt.statement+`}}`)
		got := policy.Evaluate([]*policy.Document{d}, policy.Request{Principal: tt.who, Action: tt.action, Resource: tt.resource})
		if got != tt.want {
			t.Errorf("%s: %s on %s by %q: %v, want %v", tt.statement, tt.action, tt.resource, tt.who.ARN, got, tt.want)
		}
	}
}

func TestDenyWinsWhereverItStands(t *testing.T) {
	allow := parse(t, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	deny := parse(t, `{"Statement":{"Effect":"Deny","Action":"s3:Put*","Resource":"*"}}`)
	for _, docs := range [][]*policy.Document{{allow, deny}, {deny, allow}} {
		put := policy.Request{Action: "s3:PutObject", Resource: "*"}
		if got := policy.Evaluate(docs, put); got != policy.Deny {
			t.Errorf("%v, want deny", got)
		}
	}
	if got := policy.Evaluate(nil, policy.Request{Action: "s3:PutObject", Resource: "*"}); got != policy.ImplicitDeny {
		t.Errorf("no documents: %v", got)
	}
}

func TestConditions(t *testing.T) {
	context := policy.Context{
		"aws:SourceIp": {"192.0.2.7"}, "aws:username": {"ci"}, "aws:PrincipalTag/team": {"red"},
		"aws:CurrentTime": {"2026-11-23T07:30:00Z"}, "aws:EpochTime": {"1795332600"}, "aws:SecureTransport": {"false"},
		"aws:TagKeys": {"team", "cost"}, "s3:max-keys": {"10"}, "aws:SourceArn": {"arn:aws:cloudtrail:us-east-1:111122223333:trail/main"},
		"odd:star": {"a*"}, "odd:bytes": {"aGk="},
	}
	for condition, want := range map[string]bool{
		`"StringEquals":{"aws:username":"ci"}`:                                                 true,
		`"StringEquals":{"AWS:UserName":["x","ci"]}`:                                           true,
		`"StringEquals":{"aws:username":"CI"}`:                                                 false,
		`"StringEqualsIgnoreCase":{"aws:username":"CI"}`:                                       true,
		`"StringNotEqualsIgnoreCase":{"aws:username":"CI"}`:                                    false,
		`"StringNotEquals":{"aws:username":["x","ci"]}`:                                        false,
		`"StringNotEquals":{"aws:username":"x"}`:                                               true,
		`"StringNotEquals":{"aws:none":"x"}`:                                                   true,
		`"StringEquals":{"aws:none":"x"}`:                                                      false,
		`"StringEqualsIfExists":{"aws:none":"x"}`:                                              true,
		`"StringEqualsIfExists":{"aws:username":"x"}`:                                          false,
		`"StringLike":{"aws:username":"c?"}`:                                                   true,
		`"StringNotLike":{"aws:username":"c*"}`:                                                false,
		`"StringEquals":{"aws:username":"c?"}`:                                                 false,
		`"StringEquals":{"aws:PrincipalTag/team":"${aws:PrincipalTag/team}"}`:                  true,
		`"StringLike":{"aws:username":"${aws:nobody, 'ci'}"}`:                                  true,
		`"StringLike":{"aws:username":"${aws:nobody}"}`:                                        false,
		`"StringLike":{"odd:star":"a${*}"}`:                                                    true,
		`"StringLike":{"aws:username":"${odd:star}"}`:                                          false,
		`"NumericLessThanEquals":{"s3:max-keys":10}`:                                           true,
		`"NumericLessThan":{"s3:max-keys":"10"}`:                                               false,
		`"NumericGreaterThan":{"s3:max-keys":"9.5"}`:                                           true,
		`"NumericGreaterThanEquals":{"s3:max-keys":"11"}`:                                      false,
		`"NumericEquals":{"s3:max-keys":"10.0"}`:                                               true,
		`"NumericNotEquals":{"s3:max-keys":"10"}`:                                              false,
		`"NumericEquals":{"s3:max-keys":"1e1"}`:                                                false,
		`"NumericEquals":{"aws:username":"10"}`:                                                false,
		`"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}`:                            true,
		`"DateGreaterThan":{"aws:CurrentTime":"2027-01-01"}`:                                   false,
		`"DateGreaterThanEquals":{"aws:CurrentTime":"2026"}`:                                   true,
		`"DateLessThanEquals":{"aws:EpochTime":1795332600}`:                                    true,
		`"DateEquals":{"aws:CurrentTime":"2026-11-23T08:30:00+01:00"}`:                         true,
		`"DateNotEquals":{"aws:CurrentTime":"soon"}`:                                           true,
		`"Bool":{"aws:SecureTransport":"false"}`:                                               true,
		`"Bool":{"aws:SecureTransport":true}`:                                                  false,
		`"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}`:                                true,
		`"Bool":{"aws:MultiFactorAuthPresent":"false"}`:                                        false,
		`"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.0/24"]}`:                           true,
		`"IpAddress":{"aws:SourceIp":"192.0.2.7"}`:                                             true,
		`"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}`:                                       false,
		`"IpAddress":{"aws:SourceIp":"2001:db8::/32"}`:                                         false,
		`"IpAddress":{"aws:SourceIp":"everywhere"}`:                                            false,
		`"ArnLike":{"aws:SourceArn":"arn:aws:cloudtrail:*:111122223333:trail/*"}`:              true,
		`"ArnEquals":{"aws:SourceArn":"arn:aws:cloudtrail:us-east-1:111122223333:trail/main"}`: true,
		`"ArnLike":{"aws:SourceArn":"arn:aws:cloudtrail:*:trail/main"}`:                        false,
		`"ArnNotLike":{"aws:SourceArn":"arn:aws:cloudtrail:*:*:trail/*"}`:                      false,
		`"ArnLike":{"aws:username":"*"}`:                                                       true,
		`"BinaryEquals":{"odd:bytes":"aGk="}`:                                                  true,
		`"BinaryEquals":{"odd:bytes":"aGkh"}`:                                                  false,
		`"Null":{"aws:none":"true"}`:                                                           true,
		`"Null":{"aws:username":"true"}`:                                                       false,
		`"Null":{"aws:username":false}`:                                                        true,
		`"ForAnyValue:StringEquals":{"aws:TagKeys":["team","x"]}`:                              true,
		`"ForAnyValue:StringEquals":{"aws:TagKeys":"x"}`:                                       false,
		`"ForAnyValue:StringEquals":{"aws:none":"x"}`:                                          false,
		`"ForAnyValue:StringNotEquals":{"aws:TagKeys":"team"}`:                                 true,
		`"ForAllValues:StringEquals":{"aws:TagKeys":["team","cost","x"]}`:                      true,
		`"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}`:                                 false,
		`"ForAllValues:StringNotEquals":{"aws:TagKeys":"x"}`:                                   true,
		`"ForAllValues:StringEquals":{"aws:none":"x"}`:                                         true,
		`"StringEquals":{"aws:username":"ci"},"Bool":{"aws:SecureTransport":"true"}`:           false,
		`"StringEquals":{"aws:username":"ci","aws:PrincipalTag/team":"red"}`:                   true,
	} {
		text := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{` + condition + `}}}`
		got := policy.Evaluate([]*policy.Document{parse(t, text)}, policy.Request{Action: "s3:GetObject", Resource: "*", Context: context})
		if (got == policy.Allow) != want {
			t.Errorf("%s: %v, want met: %v", condition, got, want)
		}
	}
}

func TestVariablesInResources(t *testing.T) {
	context := policy.Context{"aws:username": {"c*"}}
	for _, tt := range []struct {
		version, pattern, resource string
		want                       policy.Decision
	}{
		{"2012-10-17", "arn:aws:s3:::home/${aws:username}/*", "arn:aws:s3:::home/c*/x", policy.Allow},
		{"2012-10-17", "arn:aws:s3:::home/${aws:username}/*", "arn:aws:s3:::home/carol/x", policy.ImplicitDeny},
		{"2012-10-17", "arn:aws:s3:::home/${aws:none}/*", "arn:aws:s3:::home//x", policy.ImplicitDeny},
		{"2012-10-17", "arn:aws:s3:::home/${aws:username", "arn:aws:s3:::home/${aws:username", policy.ImplicitDeny},
		{"2008-10-17", "arn:aws:s3:::home/${aws:username}", "arn:aws:s3:::home/${aws:username}", policy.Allow},
	} {
		d := parse(t, fmt.Sprintf(`{"Version":%q,"Statement":{"Effect":"Allow","Action":"*","Resource":%q}}`, tt.version, tt.pattern))
		got := policy.Evaluate([]*policy.Document{d}, policy.Request{Action: "s3:GetObject", Resource: tt.resource, Context: context})
		if got != tt.want {
			t.Errorf("%s %s on %s: %v, want %v", tt.version, tt.pattern, tt.resource, got, tt.want)
		}
	}
}

func TestAuthorize(t *testing.T) {
	allow := []*policy.Document{parse(t, `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`)}
	other := []*policy.Document{parse(t, `{"Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*"}}`)}
	deny := []*policy.Document{parse(t, `{"Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}`)}
	direct := []*policy.Document{parse(t, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}}`)}
	delegated := []*policy.Document{parse(t, `{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:*","Resource":"*"}}`)}
	user := policy.Principal{ARN: "arn:aws:iam::111122223333:user/ci", Account: account}
	root := policy.Principal{ARN: "arn:aws:iam::111122223333:root", Account: account, Root: true}
	for name, tt := range map[string]struct {
		who      policy.Principal
		policies policy.Policies
		want     policy.Decision
	}{
		"nothing":                    {user, policy.Policies{}, policy.ImplicitDeny},
		"identity":                   {user, policy.Policies{Identity: allow}, policy.Allow},
		"identity denies":            {user, policy.Policies{Identity: append(deny, allow...)}, policy.Deny},
		"session withholds":          {user, policy.Policies{Identity: allow, Session: other}, policy.ImplicitDeny},
		"session adds nothing":       {user, policy.Policies{Identity: other, Session: allow}, policy.ImplicitDeny},
		"both allow":                 {user, policy.Policies{Identity: allow, Session: allow}, policy.Allow},
		"session denies":             {user, policy.Policies{Identity: allow, Session: deny}, policy.Deny},
		"limited to no session":      {user, policy.Policies{Identity: allow, Limited: true}, policy.ImplicitDeny},
		"resource":                   {user, policy.Policies{Resource: direct}, policy.Allow},
		"resource to the account":    {user, policy.Policies{Resource: delegated}, policy.ImplicitDeny},
		"resource and identity":      {user, policy.Policies{Resource: delegated, Identity: allow}, policy.Allow},
		"resource denies":            {user, policy.Policies{Resource: deny, Identity: allow}, policy.Deny},
		"root":                       {root, policy.Policies{}, policy.Allow},
		"root, denied by a resource": {root, policy.Policies{Resource: deny}, policy.Deny},
		"anonymous":                  {policy.Principal{}, policy.Policies{Resource: direct}, policy.Allow},
	} {
		r := policy.Request{Principal: tt.who, Action: "s3:GetObject", Resource: "arn:aws:s3:::data/x"}
		if got := policy.Authorize(tt.policies, r); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
