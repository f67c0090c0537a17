package endpoint_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	bedrocktypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	brtypes "github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/aitrail/aitrail/internal/endpoint"
)

// TestConditionsOnAICalls has IAM's conditions decide about inference, and what is denied recorded as denied.
func TestConditionsOnAICalls(t *testing.T) {
	b := open(t, endpoint.Options{})
	g := b.makeGuardrail(t)
	user := b.user(t, "ci", allow("sts:*"))
	root := iam.NewFromConfig(b.root)
	if _, err := root.TagUser(t.Context(), &iam.TagUserInput{UserName: aws.String("ci"), Tags: []iamtypes.Tag{{Key: aws.String("team"), Value: aws.String("red")}}}); err != nil {
		t.Fatal(err)
	}
	role := b.role(t, "app", allow("bedrock:*"))
	out, err := assume(t, user, &sts.AssumeRoleInput{
		RoleArn: &role, RoleSessionName: aws.String("s1"), SourceIdentity: aws.String("ana"), Tags: []ststypes.Tag{{Key: aws.String("cost"), Value: aws.String("42")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	session := b.session(out.Credentials)
	elsewhere := user.Copy()
	elsewhere.Region = "eu-west-1"
	const model = "arn:aws:bedrock:us-east-1::foundation-model/" + haiku

	type try struct {
		who       aws.Config
		guardrail string
		model     string
		denied    bool
	}
	plain, guarded := try{who: user}, try{who: user, guardrail: *g.GuardrailId}
	denied := func(a try) try { a.denied = true; return a }
	for _, tt := range []struct {
		effect, resource, condition string // of a statement about bedrock:InvokeModel, for the user and the role
		tries                       []try
	}{
		{"Allow", "*", ``, []try{plain, guarded, {who: session}, {who: elsewhere}}},
		{"Allow", model, ``, []try{plain, {who: session}, denied(try{who: elsewhere}), denied(try{who: user, model: "amazon.nova-lite-v1:0"})}},
		{"Allow", "*", `"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}`, []try{plain}},
		{"Allow", "*", `"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, []try{denied(plain)}},
		{"Deny", "*", `"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, []try{denied(plain), denied(try{who: session})}},
		{"Allow", "*", `"StringEquals":{"aws:RequestedRegion":"us-east-1"}`, []try{plain, denied(try{who: elsewhere})}},
		{"Allow", "*", `"StringEquals":{"aws:PrincipalTag/team":"red"}`, []try{plain}},
		{"Allow", "*", `"StringEquals":{"aws:PrincipalTag/team":"blue"}`, []try{denied(plain)}},
		{"Deny", "*", `"StringEquals":{"aws:PrincipalTag/cost":"42"}`, []try{denied(try{who: session})}},
		{"Deny", "*", `"StringEquals":{"aws:SourceIdentity":"ana"}`, []try{denied(try{who: session})}},
		{"Deny", "*", `"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/app"}`, []try{denied(try{who: session})}},
		{"Deny", "*", `"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/other"}`, []try{{who: session}, denied(plain)}}, // nothing allows the user
		{"Allow", "*", `"StringEquals":{"aws:PrincipalAccount":"111122223333","aws:PrincipalType":"User","aws:username":"ci"}`, []try{plain}},
		{"Allow", "*", `"Bool":{"aws:SecureTransport":"true"}`, []try{denied(plain)}}, // the endpoint is called over plain HTTP
		{"Allow", "*", `"Bool":{"aws:ViaAWSService":"false"}`, []try{plain}},
		{"Allow", "*", `"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}`, []try{plain}},
		{"Allow", "*", `"DateGreaterThan":{"aws:CurrentTime":"2199-01-01T00:00:00Z"}`, []try{denied(plain)}},
		{"Deny", "*", `"Null":{"bedrock:GuardrailIdentifier":"true"}`, []try{denied(try{who: session}), {who: session, guardrail: *g.GuardrailId}}},
		{"Allow", "*", `"StringEquals":{"bedrock:GuardrailIdentifier":"` + *g.GuardrailArn + `"}`, []try{denied(plain), guarded}},
	} {
		statement := fmt.Sprintf(`{"Effect":%q,"Action":"bedrock:InvokeModel","Resource":%q,"Condition":{%s}}`, tt.effect, tt.resource, tt.condition)
		document := `{"Version":"2012-10-17","Statement":[` + statement + `,{"Effect":"Allow","Action":"bedrock:ApplyGuardrail","Resource":"*"}]}`
		if _, err := root.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("ci"), PolicyName: aws.String("ai"), PolicyDocument: &document}); err != nil {
			t.Fatal(err)
		}
		if _, err := root.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("app"), PolicyName: aws.String("ai"), PolicyDocument: &document}); err != nil {
			t.Fatal(err)
		}
		for i, a := range tt.tries {
			in := &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: []brtypes.Message{said("user", "Hi")}}
			if a.model != "" {
				in.ModelId = &a.model
			}
			if a.guardrail != "" {
				in.GuardrailConfig = &brtypes.GuardrailConfiguration{GuardrailIdentifier: &a.guardrail, GuardrailVersion: aws.String("DRAFT")}
			}
			n := len(b.recorded())
			_, err := bedrockruntime.NewFromConfig(a.who).Converse(t.Context(), in)
			if (code(err) == "AccessDeniedException") != a.denied || err != nil && !a.denied {
				t.Errorf("%s, call %d: %v; denied should be %v", statement, i+1, err, a.denied)
			}
			e := b.recorded()[n]
			if (e.ErrorCode == "AccessDenied") != a.denied || e.EventName != "Converse" || a.denied && !strings.Contains(e.ErrorMessage, "not authorized to perform: bedrock:InvokeModel") ||
				!strings.Contains(string(e.RequestParameters), *in.ModelId) {
				t.Errorf("%s, call %d: recorded %s", statement, i+1, e.AppendJSON(nil))
			}
		}
	}
}

// TestConditionsOnRequestTags has what is made denied unless it is tagged.
func TestConditionsOnRequestTags(t *testing.T) {
	b := open(t, endpoint.Options{})
	ci := b.user(t, "ci", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bedrock:CreateGuardrail","Resource":"*",
		"Condition":{"StringEquals":{"aws:RequestTag/team":"red"},"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}}]}`)
	for i, tt := range []struct {
		tags   map[string]string
		denied bool
	}{
		{nil, true},
		{map[string]string{"team": "blue"}, true},
		{map[string]string{"team": "red", "other": "x"}, true},
		{map[string]string{"team": "red"}, false},
	} {
		in := &bedrock.CreateGuardrailInput{
			Name: aws.String(fmt.Sprint("g", i)), BlockedInputMessaging: aws.String("no"), BlockedOutputsMessaging: aws.String("no"),
			WordPolicyConfig: &bedrocktypes.GuardrailWordPolicyConfig{WordsConfig: []bedrocktypes.GuardrailWordConfig{{Text: aws.String("w")}}},
		}
		for key, value := range tt.tags {
			in.Tags = append(in.Tags, bedrocktypes.Tag{Key: &key, Value: &value})
		}
		_, err := bedrock.NewFromConfig(ci).CreateGuardrail(t.Context(), in)
		if (code(err) == "AccessDeniedException") != tt.denied || (b.last(t, "CreateGuardrail").ErrorCode == "AccessDenied") != tt.denied {
			t.Errorf("tags %v: %v", tt.tags, err)
		}
	}
}

// TestWhoCalledIsRecorded has inference recorded with each kind of identity.
func TestWhoCalledIsRecorded(t *testing.T) {
	b := open(t, endpoint.Options{})
	user := b.user(t, "ci", allow("*"))
	first, second := b.role(t, "first", allow("*")), b.role(t, "second", allow("*"))
	session := func(out *ststypes.Credentials, err error) aws.Config {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b.session(out)
	}
	chain := func(cfg aws.Config, in *sts.AssumeRoleInput) aws.Config {
		t.Helper()
		out, err := assume(t, cfg, in)
		if err != nil {
			t.Fatal(err)
		}
		return session(out.Credentials, nil)
	}
	one := chain(user, &sts.AssumeRoleInput{RoleArn: &first, RoleSessionName: aws.String("s1"), SourceIdentity: aws.String("ana")})
	two := chain(one, &sts.AssumeRoleInput{RoleArn: &second, RoleSessionName: aws.String("s2")})
	f, err := sts.NewFromConfig(user).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("bob"), Policy: aws.String(allow("bedrock:*"))})
	if err != nil {
		t.Fatal(err)
	}
	g, err := sts.NewFromConfig(user).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		who                           aws.Config
		kind, arn, issuer, sourceName string
	}{
		{b.root, "Root", "arn:aws:iam::111122223333:root", "", ""},
		{user, "IAMUser", "arn:aws:iam::111122223333:user/ci", "", ""},
		{session(g.Credentials, nil), "IAMUser", "arn:aws:iam::111122223333:user/ci", "", ""},
		{one, "AssumedRole", "arn:aws:sts::111122223333:assumed-role/first/s1", first, "ana"},
		{two, "AssumedRole", "arn:aws:sts::111122223333:assumed-role/second/s2", second, "ana"},
		{session(f.Credentials, nil), "FederatedUser", "arn:aws:sts::111122223333:federated-user/bob", "arn:aws:iam::111122223333:user/ci", ""},
	} {
		if _, err := bedrockruntime.NewFromConfig(tt.who).Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: []brtypes.Message{said("user", "Hi")}}); err != nil {
			t.Fatalf("%s: %v", tt.arn, err)
		}
		e := b.last(t, "Converse")
		creds, err := tt.who.Credentials.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		u := e.UserIdentity
		if u.Type != tt.kind || u.ARN != tt.arn || u.AccessKeyID != creds.AccessKeyID || (u.SessionContext != nil) != (creds.SessionToken != "") {
			t.Errorf("%s: %s", tt.arn, e.AppendJSON(nil))
		}
		if tt.issuer != "" && (u.SessionContext.SessionIssuer.ARN != tt.issuer || u.SessionContext.SourceIdentity != tt.sourceName) {
			t.Errorf("%s: session %+v %+v", tt.arn, u.SessionContext, u.SessionContext.SessionIssuer)
		}
	}
}
