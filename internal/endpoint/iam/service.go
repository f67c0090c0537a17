package iam

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
)

// query is one call of a query API.
type query struct {
	*awsapi.Call
	v url.Values
}

// get returns a parameter.
func (q *query) get(name string) string { return q.v.Get(name) }

// operation is one operation of a query API.
type operation struct {
	read bool // CloudTrail's readOnly
	// resource names what IAM must allow the operation on: a kind of [Store.resource]; "" for operations that anyone
	// may call, or that decide for themselves.
	resource string
	// serve answers; fields that are nil are an answer without a result.
	serve func(s *Store, q *query) (fields, error)
}

// api is what IAM and STS have in common.
type api struct {
	store      *Store
	operations map[string]operation
}

// Route implements awsapi.Service.
func (a *api) Route(r *http.Request, body []byte) (string, awsapi.Protocol, bool) {
	name := values(r, body).Get("Action")
	_, ok := a.operations[name]
	return name, awsapi.Query, ok
}

func (a *api) query(c *awsapi.Call) *query { return &query{c, values(c.Request, c.Body)} }

// answer serves a call and writes the answer. shown tells whether the record shows it, times written in layout.
func (a *api) answer(c *awsapi.Call, namespace, layout string, shown bool) (*awsapi.Response, error) {
	result, err := a.operations[c.Operation].serve(a.store, a.query(c))
	if err != nil {
		return nil, recorded(err)
	}
	if len(result) > 0 && shown {
		c.Record.ResponseElements = record(result, layout)
	}
	return &awsapi.Response{
		Header: http.Header{"Content-Type": {"text/xml"}},
		Body:   encodeXML(c.Operation, namespace, c.ID, result),
	}, nil
}

// iamService is the IAM API.
type iamService struct{ api }

const (
	iamNamespace = "https://iam.amazonaws.com/doc/2010-05-08/"
	// iamTime is how CloudTrail writes times in IAM's records: "Nov 23, 2026 7:30:00 AM".
	iamTime = "Jan 2, 2006 3:04:05 PM"
)

// SigningNames implements awsapi.Service.
func (s *iamService) SigningNames() []string { return []string{"iam"} }

// Describe implements awsapi.Service.
func (s *iamService) Describe(c *awsapi.Call) {
	c.Record.EventSource = "iam.amazonaws.com"
	c.Record.Global = true
	c.Record.ReadOnly = s.operations[c.Operation].read
	c.Record.RequestParameters = requestParameters(s.query(c).v)
}

// Denied takes out of the record what CloudTrail doesn't show of calls that were denied: their parameters.
func (s *iamService) Denied(c *awsapi.Call) { c.Record.RequestParameters = nil }

// Access implements awsapi.Service.
func (s *iamService) Access(c *awsapi.Call) []awsapi.Access {
	kind := s.operations[c.Operation].resource
	if kind == "" {
		return nil
	}
	return []awsapi.Access{{Action: "iam:" + c.Operation, Resource: s.store.resource(kind, s.query(c))}}
}

// Conditions returns the condition keys of IAM's own that a call has.
func (s *iamService) Conditions(c *awsapi.Call) policy.Context {
	q := s.query(c)
	ctx := policy.Context{}
	if arn := q.get("PolicyArn"); arn != "" {
		ctx["iam:PolicyARN"] = []string{arn}
	}
	if name := q.get("AWSServiceName"); name != "" {
		ctx["iam:AWSServiceName"] = []string{name}
	}
	if name := q.get("ServiceName"); name != "" {
		ctx["iam:ServiceSpecificCredentialServiceName"] = []string{name}
	}
	if days := q.get("CredentialAgeDays"); days != "" {
		ctx["iam:ServiceSpecificCredentialAgeDays"] = []string{days}
	}
	requestTags(ctx, tagsOf(q.v))
	return ctx
}

func requestTags(ctx policy.Context, tags []tag) {
	for _, t := range tags {
		ctx["aws:RequestTag/"+t.Key] = []string{t.Value}
		ctx["aws:TagKeys"] = append(ctx["aws:TagKeys"], t.Key)
	}
}

// Serve implements awsapi.Service.
func (s *iamService) Serve(c *awsapi.Call) (*awsapi.Response, error) {
	return s.answer(c, iamNamespace, iamTime, !s.operations[c.Operation].read)
}

// resource returns the ARN that an operation is about. Users and roles that don't exist are named as if they were made
// with the path that the call gives.
func (s *Store) resource(kind string, q *query) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	path := q.get("Path")
	if path == "" {
		path = "/"
	}
	switch kind {
	case "user":
		name := q.get("UserName")
		if name == "" {
			return q.Caller.ARN
		}
		if u := find(s.users, name); u != nil {
			return s.userARN(u)
		}
		return s.arn("user", path, name)
	case "role":
		name := q.get("RoleName")
		if r := find(s.roles, name); r != nil {
			return s.roleARN(r)
		}
		return s.arn("role", path, name)
	case "service role":
		return s.arn("role", "/aws-service-role/"+q.get("AWSServiceName")+"/", serviceRoleName(q))
	case "policy":
		if arn := q.get("PolicyArn"); arn != "" {
			return arn
		}
		return s.arn("policy", path, q.get("PolicyName"))
	case "users", "roles", "policies":
		prefix := q.get("PathPrefix")
		if prefix == "" {
			prefix = "/"
		}
		return s.arn(map[string]string{"users": "user", "roles": "role", "policies": "policy"}[kind], prefix, "")
	}
	return "*"
}

func validation(format string, args ...any) error {
	return &awsapi.Error{Code: "ValidationError", Message: fmt.Sprintf(format, args...)}
}

func noSuch(format string, args ...any) error {
	return &awsapi.Error{Code: "NoSuchEntity", Message: fmt.Sprintf(format, args...), Status: http.StatusNotFound}
}

func conflict(code, format string, args ...any) error {
	return &awsapi.Error{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusConflict}
}

// recorded gives IAM's errors the codes they have in records, which are those of the exceptions: NoSuchEntity is
// recorded as NoSuchEntityException. AccessDenied stays as it is.
func recorded(err error) error {
	var e *awsapi.Error
	if !errors.As(err, &e) || e.Recorded != "" || e.Code == "AccessDenied" {
		return err
	}
	copied := *e
	copied.Recorded = strings.TrimSuffix(e.Code, "Error") + "Exception"
	return &copied
}

// need returns a parameter that must be there.
func (q *query) need(name string) (string, error) {
	v := q.get(name)
	if v == "" {
		return "", validation("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", lowerFirst(name))
	}
	return v, nil
}

// needName returns a parameter that must be a name of IAM's.
func (q *query) needName(name string, longest int) (string, error) {
	v, err := q.need(name)
	if err != nil {
		return "", err
	}
	if len(v) > longest {
		return "", validation("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", v, lowerFirst(name), longest)
	}
	if !word(v, "+=,.@-_") {
		return "", validation("The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", lowerFirst(name))
	}
	return v, nil
}

// word tells whether s has ASCII letters, digits and the others only.
func word(s, others string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r)
	})
}

// path returns the parameter Path.
func (q *query) path() (string, error) {
	p := q.get("Path")
	if p == "" {
		return "/", nil
	}
	if p[0] != '/' || p[len(p)-1] != '/' || len(p) > 512 || strings.ContainsFunc(p, func(r rune) bool { return r < '!' || r > '~' }) {
		return "", validation("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return p, nil
}

// tags returns the parameter Tags, checked.
func (q *query) tags() ([]tag, error) {
	tags := tagsOf(q.v)
	if len(tags) > 50 {
		return nil, conflict("LimitExceeded", "The number of tags has reached the maximum limit.")
	}
	for i, t := range tags {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, &awsapi.Error{Code: "InvalidInput", Message: "Invalid tag key or value: " + t.Key}
		}
		if slices.ContainsFunc(tags[:i], func(o tag) bool { return strings.EqualFold(o.Key, t.Key) }) {
			return nil, &awsapi.Error{Code: "InvalidInput", Message: "Duplicate tag keys found. Please note that Tag keys are case insensitive."}
		}
	}
	return tags, nil
}

// policyDocument returns a parameter that must be a policy of the kind.
func (q *query) policyDocument(name string, kind policy.Kind, longest int) (string, error) {
	text, err := q.need(name)
	if err != nil {
		return "", err
	}
	if len(text) > longest {
		return "", conflict("LimitExceeded", "Cannot exceed quota for PolicySize: %d", longest)
	}
	d, err := policy.Parse([]byte(text))
	if err == nil {
		err = d.Validate(kind)
	}
	var syntax *policy.SyntaxError
	if errors.As(err, &syntax) {
		return "", &awsapi.Error{Code: "MalformedPolicyDocument", Message: syntax.Reason}
	}
	return text, err
}
