package policy_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/endpoint/policy"
)

// FuzzParse: what parses can be evaluated, never allows without an Allow statement, and is always beaten by a Deny.
func FuzzParse(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}/*"}]}`, "arn:aws:s3:::ci/x", "ci")
	f.Add(`{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"NotAction":["a:b"],"NotResource":"*"}}`, "*", "")
	f.Add(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Condition":{"ForAnyValue:NumericLessThanIfExists":{"aws:username":["1",2]}}}}`, "arn", "1")
	deny, err := policy.Parse([]byte(`{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, resource, name string) {
		d, err := policy.Parse([]byte(text))
		if err != nil {
			return
		}
		for _, k := range []policy.Kind{policy.IdentityPolicy, policy.ResourcePolicy, policy.TrustPolicy} {
			_ = d.Validate(k)
		}
		r := policy.Request{
			Principal: policy.Principal{ARN: "arn:aws:iam::111122223333:user/ci", Account: "111122223333"},
			Action:    "s3:GetObject", Resource: resource, Context: policy.Context{"aws:username": {name}},
		}
		got := policy.Evaluate([]*policy.Document{d}, r)
		allows := false
		for _, s := range d.Statements {
			allows = allows || s.Effect == policy.EffectAllow
		}
		if got == policy.Allow && !allows {
			t.Errorf("allowed by a document that has no Allow")
		}
		if got := policy.Evaluate([]*policy.Document{d, deny}, r); got != policy.Deny {
			t.Errorf("with a Deny of everything: %v", got)
		}
	})
}

// FuzzWildcards compares a resource's wildcards with a regular expression's.
func FuzzWildcards(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add("**?", "")
	f.Add("*a*a*a*", "aaaab")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern)+len(s) > 200 || strings.ContainsAny(pattern+s, "\\\"\x00$") || strings.ContainsFunc(pattern+s, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Skip()
		}
		d, err := policy.Parse([]byte(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::` + pattern + `"}}`))
		if err != nil {
			t.Fatal(err)
		}
		got := policy.Evaluate([]*policy.Document{d}, policy.Request{Action: "s3:GetObject", Resource: "arn:aws:s3:::" + s}) == policy.Allow
		quoted := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		want := regexp.MustCompile(`(?s)^` + quoted + `$`).MatchString(s)
		if got != want {
			t.Errorf("%q matches %q: %v, a regular expression says %v", pattern, s, got, want)
		}
	})
}
