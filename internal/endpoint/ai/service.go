package ai

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/ai/upstream"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Options is what the services need of the rest of the endpoint.
type Options struct {
	// State keeps guardrails, agents, endpoints, collections and jobs. It must be set.
	State *state.Store
	// Object reads an object of the endpoint's own S3, for services that are given a bucket and a key. It reports
	// false when there is none. nil means that every object exists and its content isn't known.
	Object func(ctx context.Context, bucket, key string) ([]byte, bool)
	// OnBehalf is who a service is that has assumed a role to work for the account; nil when it may not. nil: services
	// never do.
	OnBehalf func(roleARN, session, service string, now time.Time) *awsapi.Identity
	// Invocations keeps model invocation logs where they are set up. nil: nobody does.
	Invocations *InvocationLog
	// Upstream answers Converse and, for models that chat, InvokeModel. nil: all is answered without a model.
	Upstream *upstream.Client
}

// New returns the AI services, one for each signing name. Models are loaded at a service's first call.
func New(opts Options) []awsapi.Service {
	b := &backend{Options: opts, foundations: sync.OnceValue(parseFoundations)}
	b.written, b.particular = b.rules(), b.particulars()
	index := sync.OnceValues(smithy.LoadIndex)
	var names []string
	bySigning := map[string]*service{}
	for _, c := range clients() {
		s := bySigning[c.signing]
		if s == nil {
			s = &service{backend: b, signing: c.signing, index: index}
			bySigning[c.signing] = s
			names = append(names, c.signing)
		}
		s.clients = append(s.clients, c)
	}
	services := make([]awsapi.Service, len(names))
	for i, n := range names {
		services[i] = bySigning[n]
	}
	return append(services, &mantle{b}, &gateway{b})
}

// backend is what the operations work on.
type backend struct {
	Options
	foundations func() []*foundation
	written     map[string]*rule // by "client.Operation"; other operations are served by their models alone
	particular  map[string]*rule // of those, what is particular to some
}

// service is all clients of one signing name.
type service struct {
	backend *backend
	signing string
	clients []*client
	index   func() (*smithy.Index, error)

	once   sync.Once
	tables []*smithy.Table // of the clients
}

func (s *service) SigningNames() []string { return []string{s.signing} }

// load finds the clients' routes in the index. Without an index nothing is routed.
func (s *service) load() []*smithy.Table {
	s.once.Do(func() {
		index, err := s.index()
		if err != nil {
			return
		}
		for _, c := range s.clients {
			for _, t := range index.Tables {
				if t.Client != c.name {
					continue
				}
				if c.name == "bedrock" {
					t.Routes = append(t.Routes, entitlement)
				}
				s.tables = append(s.tables, t)
			}
		}
	})
	return s.tables
}

// match is a route of a client's that fits a request.
type match struct {
	client *client
	table  *smithy.Table
	name   string
	labels map[string]string
	fit    int
}

// route finds the client and operation of a request. Only where two APIs of a signing name have the same route their
// models are needed.
func (s *service) route(r *http.Request, body []byte) *match {
	var best []*match
	for i, t := range s.load() {
		m := &match{client: s.clients[i], table: t}
		if m.name, m.labels, m.fit = t.Match(r); m.name == "" {
			continue
		}
		switch {
		case len(best) == 0 || m.fit > best[0].fit:
			best = []*match{m}
		case m.fit == best[0].fit:
			best = append(best, m)
		}
	}
	switch len(best) {
	case 0:
		return nil
	case 1:
		return best[0]
	}
	return s.decide(best, r, body)
}

// decide picks among the same routes of several APIs the one whose input the request is.
func (s *service) decide(among []*match, r *http.Request, body []byte) *match {
	var picked *match
	most := -1
	for _, m := range among {
		if m.client.load() != nil {
			continue
		}
		op := m.client.model.Operations[m.name]
		in, err := op.Decode(r, m.labels, body)
		fits := 0
		if err == nil {
			fits = 100 + 10*len(in)
		}
		if err == nil && op.Check(in) == "" {
			fits += 1000
		}
		if classicLex(m.labels) == (m.client.name == "lex-models") {
			fits += 5
		}
		if fits > most {
			picked, most = m, fits
		}
	}
	return picked
}

// classicLex tells whether a label is the ARN of a resource of Lex's first version: "bot:name" where the second has
// "bot/id".
func classicLex(labels map[string]string) bool {
	arn := strings.SplitN(labels["resourceArn"]+labels["resourceARN"], ":", 6)
	return len(arn) == 6 && strings.Contains(arn[5], ":")
}

func (s *service) Route(r *http.Request, body []byte) (string, awsapi.Protocol, bool) {
	m := s.route(r, body)
	switch {
	case m == nil && smithy.IsCBOR(r):
		return "", awsapi.CBOR, false
	case m == nil && r.Header.Get("X-Amz-Target") != "":
		return "", awsapi.JSON11, false
	case m == nil:
		return "", awsapi.RESTJSON, false
	case m.table.Protocol != "json":
		return m.name, awsapi.RESTJSON, true
	case smithy.IsCBOR(r):
		return m.name, awsapi.CBOR, true
	case m.table.JSONVersion == "1.0":
		return m.name, awsapi.JSON10, true
	default:
		return m.name, awsapi.JSON11, true
	}
}

// call is one request on its way through the service.
type call struct {
	*awsapi.Call
	client *client
	op     *smithy.Operation
	rule   *rule
	in     map[string]any // what could be read of the input
	bad    error          // why not all of it could
	model  *target        // the model invoked, for the operations that name one
	used   *reply         // what it answered, once it has

	streamed any // the whole answer of a stream, for the model invocation log

	header map[string]string // of the answer, beyond what the model says
	// stream, when a handler sets it, writes the events of the answer.
	stream func(e *smithy.EventWriter) (*awsapi.Completion, error)
}

type callKey struct{}

// call returns the request's call, decoded once and kept in the request's context.
func (s *service) call(c *awsapi.Call) (*call, bool) {
	if k, ok := c.Request.Context().Value(callKey{}).(*call); ok && k.Call == c {
		return k, true
	}
	m := s.route(c.Request, c.Body)
	if m == nil || m.client.load() != nil {
		return nil, false
	}
	op := m.client.model.Operations[m.name]
	k := &call{Call: c, client: m.client, op: op, rule: s.backend.rule(m.client, op)}
	k.in, k.bad = op.Decode(c.Request, m.labels, c.Body)
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), callKey{}, k))
	return k, true
}

func (s *service) Describe(c *awsapi.Call) {
	k, ok := s.call(c)
	if !ok {
		return
	}
	k.describe()
	if c.Caller != nil && c.Caller.Bearer {
		c.Record.AdditionalEventData = obj{"callWithBearerToken": true}
	}
	if k.rule.prepare != nil {
		k.rule.prepare(k)
	}
}

func (s *service) Access(c *awsapi.Call) []awsapi.Access {
	k, ok := s.call(c)
	if !ok {
		return nil
	}
	var needed []awsapi.Access
	if c.Caller != nil && c.Caller.Bearer {
		needed = append(needed, awsapi.Access{Action: k.client.prefix + ":CallWithBearerToken", Resource: "*"})
	}
	if k.rule.access != nil {
		return append(needed, k.rule.access(k)...)
	}
	action := k.rule.action
	if action == "" {
		action = k.op.Name
	}
	return append(needed, awsapi.Access{Action: k.client.prefix + ":" + action, Resource: k.resource()})
}

func (s *service) Serve(c *awsapi.Call) (*awsapi.Response, error) {
	k, ok := s.call(c)
	if !ok {
		return nil, &awsapi.Error{Code: "UnknownOperationException", Message: "The requested operation is not recognized by the service.", Status: 404}
	}
	if c.Caller != nil && c.Caller.Bearer && k.client.name != "bedrock" && k.client.name != "bedrock-runtime" {
		return nil, &awsapi.Error{Code: "AccessDeniedException", Message: "Bearer token authentication is not supported for " + k.op.Name + ".", Status: 403}
	}
	if k.bad != nil {
		return nil, &awsapi.Error{Code: "SerializationException", Message: k.bad.Error()}
	}
	if message := k.op.Check(k.in, k.rule.unchecked...); message != "" {
		return nil, k.invalid("%s", message)
	}
	out, err := k.rule.serve(k)
	if logErr := s.backend.logInvocation(k, out, err); err == nil {
		err = logErr
	}
	if err != nil {
		return nil, err
	}
	if k.stream == nil && k.op.Streams() {
		k.streamLeast()
	}
	k.complete(out)
	return k.answer(out)
}

// invalid is the service's error for bad input: ValidationException, which is what AWS's own frameworks say before a
// service sees the input, unless the API is a REST API that has another.
func (c *call) invalid(format string, args ...any) *awsapi.Error {
	name := "ValidationException"
	if c.client.invalid != "" {
		name = c.client.invalid
	} else if _, ok := c.client.model.Errors[name]; !ok && c.client.model.Protocol == "rest-json" {
		if e := code(c.op, invalid); e != "" {
			name = e
		}
	}
	return fail(name, c.client.model.Errors[name], format, args...)
}

func (c *call) answer(out map[string]any) (*awsapi.Response, error) {
	encode := c.op.Encode
	if smithy.IsCBOR(c.Request) {
		encode = c.op.EncodeCBOR
	}
	status, h, body, err := encode(out)
	if err != nil {
		return nil, err
	}
	for name, v := range c.header {
		h.Set(name, v)
	}
	if c.stream == nil {
		return &awsapi.Response{Status: status, Header: h, Body: body}, nil
	}
	h.Set("Content-Type", smithy.EventStreamType)
	return &awsapi.Response{Status: status, Header: h, Stream: func(w io.Writer, flush func()) (*awsapi.Completion, error) {
		e, err := c.op.Events(w, flush)
		if err == nil {
			err = e.Begin(c.op, out)
		}
		if err != nil {
			return nil, err
		}
		return c.stream(e)
	}}, nil
}

// arn is the ARN of one of the service's resources in the call's account and Region; an ARN stays what it is.
func (c *call) arn(resource string) string {
	if strings.HasPrefix(resource, "arn:") {
		return resource
	}
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", c.client.prefix, c.Region, c.Account, resource)
}

// resource is the ARN of what the call is about, from the rule's template, or "*".
func (c *call) resource() string {
	if c.rule.resource == "" {
		return "*"
	}
	resource, ok := expand(c.rule.resource, c.in)
	if !ok {
		return "*"
	}
	return c.arn(resource)
}

// expand fills a template's {members} from the input. A member that is an ARN already stands for the whole.
func expand(template string, in map[string]any) (string, bool) {
	var b strings.Builder
	for template != "" {
		before, rest, found := strings.Cut(template, "{")
		b.WriteString(before)
		if !found {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		lower := strings.HasSuffix(name, "|lower")
		value := text(in, strings.TrimSuffix(name, "|lower"))
		if value == "" {
			return "", false
		}
		if strings.HasPrefix(value, "arn:") {
			return value, true
		}
		if lower {
			value = strings.ToLower(value)
		}
		b.WriteString(value)
		template = after
	}
	return b.String(), true
}

// resources is the record's resources for ARNs of one type. Foundation models belong to no account.
func resources(kind string, arns ...string) []cloudtrail.Resource {
	var list []cloudtrail.Resource
	sort.Strings(arns)
	for _, a := range arns {
		parts := strings.SplitN(a, ":", 6)
		if len(parts) < 6 {
			continue
		}
		list = append(list, cloudtrail.Resource{AccountID: parts[4], Type: kind, ARN: a})
	}
	return list
}

// fail is an AWS error.
func fail(code string, status int, format string, args ...any) *awsapi.Error {
	message := format
	if len(args) > 0 {
		message = fmt.Sprintf(format, args...)
	}
	return &awsapi.Error{Code: code, Status: status, Message: message}
}
