// Package policy reads IAM policy documents and decides what they allow: identity policies, session policies, role
// trust policies and the policies of resources such as buckets.
//
// It is not a policy store and knows no principals of its own: [Evaluate] is told who asks for what, and in which
// context, and answers from the documents alone. The package is pure: it imports the standard library only and holds
// no state. Documents are immutable after [Parse] and may be evaluated by any number of goroutines.
//
// The language is that of AWS's "IAM JSON policy element reference"
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html): Principal and NotPrincipal,
// Action and NotAction, Resource and NotResource, conditions with IfExists, ForAnyValue and ForAllValues, and policy
// variables in documents of version 2012-10-17. What holds:
//
//   - An explicit Deny wins over everything; what no statement allows is denied.
//   - A statement that can't be understood is refused by Parse, never skipped by Evaluate.
//   - What a variable stands for is literal text: its "*" and "?" match only themselves.
package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxSize is the largest document Parse reads, in bytes. AWS's own limits (2,048 to 32,768 characters, by kind of
// policy) are for the callers to hold.
const MaxSize = 128 << 10

// SyntaxError says why a text is no policy document. Reason is worded as IAM words it.
type SyntaxError struct {
	Reason string
}

func (e *SyntaxError) Error() string { return "malformed policy: " + e.Reason }

func malformed(format string, args ...any) error {
	return &SyntaxError{Reason: fmt.Sprintf(format, args...)}
}

// Effect is what a statement does for requests it matches.
type Effect string

// The effects of a statement.
const (
	EffectAllow Effect = "Allow"
	EffectDeny  Effect = "Deny"
)

// Document is a policy document.
type Document struct {
	Version    string // "2012-10-17" or "2008-10-17", also when the text names none
	ID         string
	Statements []Statement
}

// Statement is one statement of a document. Of each pair (Principals and NotPrincipals, …) at most one is set.
type Statement struct {
	SID           string
	Effect        Effect
	Principals    []Name // none, with no NotPrincipals: an identity policy's statement, which is for whoever has the policy
	NotPrincipals []Name
	Actions       []string // "s3:GetObject", in lower case, with wildcards
	NotActions    []string
	Resources     []string // ARNs with wildcards and variables
	NotResources  []string // none, with no Resources: a trust policy's statement, which is for the role it stands in
	Conditions    []Condition
}

// Name is one entry of a Principal element.
type Name struct {
	Type  string // "AWS", "Service", "Federated", "CanonicalUser"; "*" for everyone
	Value string
}

// rawDocument and rawStatement are the shapes of the text.
type rawDocument struct {
	Version   *string
	ID        *string `json:"Id"`
	Statement json.RawMessage
}

type rawStatement struct {
	Sid          *string
	Effect       string
	Principal    json.RawMessage
	NotPrincipal json.RawMessage
	Action       json.RawMessage
	NotAction    json.RawMessage
	Resource     json.RawMessage
	NotResource  json.RawMessage
	Condition    json.RawMessage
}

// Parse reads a document. Its error is a *SyntaxError. Which elements a document must have depends on what it is for:
// see [Document.Validate].
func Parse(text []byte) (*Document, error) {
	if len(text) > MaxSize {
		return nil, malformed("Policy document is too long.")
	}
	if bytes.Contains(text, []byte(`\u0000`)) || bytes.IndexByte(text, 0) >= 0 {
		return nil, malformed("This policy contains invalid Json")
	}
	var raw rawDocument
	if err := strict(text, &raw); err != nil {
		return nil, err
	}
	d := &Document{Version: "2008-10-17"}
	if raw.Version != nil {
		d.Version = *raw.Version
		if d.Version != "2012-10-17" && d.Version != "2008-10-17" {
			return nil, malformed("The policy must contain a valid version string")
		}
	}
	if raw.ID != nil {
		d.ID = *raw.ID
	}
	texts, err := oneOrMore[json.RawMessage](raw.Statement, '{')
	if err != nil {
		return nil, err
	}
	if len(texts) == 0 {
		return nil, malformed("Syntax errors in policy.")
	}
	for _, text := range texts {
		s, err := parseStatement(text)
		if err != nil {
			return nil, err
		}
		d.Statements = append(d.Statements, s)
	}
	return d, nil
}

func parseStatement(text []byte) (s Statement, err error) {
	var raw rawStatement
	if err := strict(text, &raw); err != nil {
		return s, err
	}
	if raw.Sid != nil {
		s.SID = *raw.Sid
	}
	s.Effect = Effect(raw.Effect)
	if s.Effect != EffectAllow && s.Effect != EffectDeny {
		return s, malformed("Syntax errors in policy.")
	}
	for _, part := range []struct {
		into *[]string
		text json.RawMessage
	}{{&s.Actions, raw.Action}, {&s.NotActions, raw.NotAction}, {&s.Resources, raw.Resource}, {&s.NotResources, raw.NotResource}} {
		if *part.into, err = oneOrMore[string](part.text, '"'); err != nil {
			return s, err
		}
	}
	if s.Principals, err = parsePrincipals(raw.Principal); err != nil {
		return s, err
	}
	if s.NotPrincipals, err = parsePrincipals(raw.NotPrincipal); err != nil {
		return s, err
	}
	if both(raw.Action, raw.NotAction) || both(raw.Resource, raw.NotResource) || both(raw.Principal, raw.NotPrincipal) {
		return s, malformed("Syntax errors in policy.")
	}
	if s.Conditions, err = parseConditions(raw.Condition); err != nil {
		return s, err
	}
	return s, s.check()
}

// check holds what every kind of document asks of a statement, and puts actions in lower case.
func (s *Statement) check() error {
	if len(s.Actions) == 0 && len(s.NotActions) == 0 {
		return malformed("Policy statement must contain actions.")
	}
	for _, actions := range [][]string{s.Actions, s.NotActions} {
		for i, a := range actions {
			vendor, name, ok := strings.Cut(a, ":")
			if a != "*" && (!ok || vendor == "" || name == "") {
				return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
			}
			actions[i] = strings.ToLower(a)
		}
	}
	for _, resources := range [][]string{s.Resources, s.NotResources} {
		for _, r := range resources {
			if r != "*" && !strings.HasPrefix(r, "arn:") && !strings.HasPrefix(r, "${") {
				return malformed("Resource %s must be in ARN format or \"*\".", r)
			}
		}
	}
	return nil
}

func both(a, b json.RawMessage) bool { return a != nil && b != nil }

// parsePrincipals reads "*", or an object of principal types whose values are strings or lists of them.
func parsePrincipals(text json.RawMessage) ([]Name, error) {
	if text == nil {
		return nil, nil
	}
	if text[0] == '"' {
		var s string
		if json.Unmarshal(text, &s) != nil || s != "*" {
			return nil, malformed("Invalid principal in policy: %q", s)
		}
		return []Name{{"*", "*"}}, nil
	}
	var raw map[string]json.RawMessage
	if err := strict(text, &raw); err != nil {
		return nil, err
	}
	var names []Name
	for _, kind := range []string{"AWS", "Service", "Federated", "CanonicalUser"} {
		values, err := oneOrMore[string](raw[kind], '"')
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			if kind == "AWS" && v == "*" {
				names = append(names, Name{"*", "*"})
				continue
			}
			if v == "" || strings.Contains(v, "*") {
				return nil, malformed("Invalid principal in policy: %q:%q", kind, v)
			}
			names = append(names, Name{kind, v})
		}
		delete(raw, kind)
	}
	if len(raw) > 0 || len(names) == 0 {
		return nil, malformed("Invalid principal in policy.")
	}
	return names, nil
}

// strict decodes one JSON value with no unknown members and nothing behind it.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return malformed("This policy contains invalid Json")
		}
		return malformed("Syntax errors in policy.")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return malformed("This policy contains invalid Json")
	}
	return nil
}

// oneOrMore reads a value, or a list of values, that begin with the byte first. An absent text is no values; null and
// the empty list are errors.
func oneOrMore[T any](text json.RawMessage, first byte) ([]T, error) {
	if text == nil {
		return nil, nil
	}
	var raw []json.RawMessage
	if text[0] != '[' {
		raw = []json.RawMessage{text}
	} else if err := json.Unmarshal(text, &raw); err != nil {
		return nil, malformed("This policy contains invalid Json")
	}
	if len(raw) == 0 {
		return nil, malformed("Syntax errors in policy.")
	}
	values := make([]T, len(raw))
	for i, r := range raw {
		if r[0] != first || json.Unmarshal(r, &values[i]) != nil {
			return nil, malformed("Syntax errors in policy.")
		}
	}
	return values, nil
}

// Kind is what a document is for.
type Kind int

// The kinds of documents.
const (
	IdentityPolicy Kind = iota // of a user, role or session: no Principal
	ResourcePolicy             // of a bucket: Principal and Resource
	TrustPolicy                // of a role: Principal, no Resource
)

// Validate checks that the document has the elements its use asks for. Its error is a *SyntaxError.
func (d *Document) Validate(k Kind) error {
	for _, s := range d.Statements {
		principal := len(s.Principals)+len(s.NotPrincipals) > 0
		resource := len(s.Resources)+len(s.NotResources) > 0
		switch {
		case k == IdentityPolicy && principal:
			return malformed("Policy document should not specify a principal.")
		case k != IdentityPolicy && !principal:
			return malformed("Missing required field Principal")
		case k == TrustPolicy && resource:
			return malformed("Has prohibited field Resource")
		case k == TrustPolicy && !onlySTS(s):
			return malformed("AssumeRole policy may only specify STS AssumeRole actions.")
		case k != TrustPolicy && !resource:
			return malformed("Policy statement must contain resources.")
		}
	}
	return nil
}

// onlySTS tells whether a trust policy's actions are STS's (or all of them).
func onlySTS(s Statement) bool {
	for _, a := range append(append([]string{}, s.Actions...), s.NotActions...) {
		if a != "*" && !strings.HasPrefix(a, "sts:") {
			return false
		}
	}
	return true
}
