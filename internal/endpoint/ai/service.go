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

	"github.com/aitrail/aitrail/internal/catalog"
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
	// Upstream answers Converse and, for Anthropic's models, InvokeModel. nil: all is answered without a model.
	Upstream *upstream.Client
}

// New returns the AI services, one for each signing name. Models are loaded at a service's first call.
func New(opts Options) []awsapi.Service {
	b := &backend{Options: opts, foundations: sync.OnceValue(parseFoundations)}
	rules := b.rules()
	var names []string
	bySigning := map[string]*service{}
	for _, c := range clients() {
		s := bySigning[c.signing]
		if s == nil {
			s = &service{signing: c.signing, rules: rules}
			bySigning[c.signing] = s
			names = append(names, c.signing)
		}
		s.clients = append(s.clients, c)
	}
	services := make([]awsapi.Service, len(names))
	for i, n := range names {
		services[i] = bySigning[n]
	}
	return append(services, &mantle{b}, &gateway{})
}

// backend is what the operations work on.
type backend struct {
	Options
	foundations func() []*foundation
}

// client is what is particular to one SDK client's API.
type client struct {
	name    string // "bedrock-runtime"
	signing string
	source  string // eventSource
	prefix  string // of IAM actions and ARNs
	hidden  string // what stands in records for sensitive members; "" is hiddenValue
	invalid string // error code for input that fails the model's checks; "" is ValidationException

	once  sync.Once
	model *smithy.Model
	facts map[string]*catalog.Operation
	err   error
}

// hiddenValue is AWS's most common marker of a value left out of a record.
const hiddenValue = "HIDDEN_DUE_TO_SECURITY_REASONS"

func clients() []*client {
	bedrock := func(name string) *client {
		return &client{name: name, signing: "bedrock", source: "bedrock.amazonaws.com", prefix: "bedrock"}
	}
	own := func(name string) *client {
		return &client{name: name, signing: name, source: name + ".amazonaws.com", prefix: name}
	}
	sagemaker := func(name string) *client {
		return &client{name: name, signing: "sagemaker", source: "sagemaker.amazonaws.com", prefix: "sagemaker"}
	}
	polly, transcribe, runtime := own("polly"), own("transcribe"), sagemaker("sagemaker-runtime")
	polly.hidden = "**********"
	transcribe.invalid = "BadRequestException"
	runtime.invalid = "ValidationError"
	return []*client{
		bedrock("bedrock-runtime"), bedrock("bedrock"), bedrock("bedrock-agent-runtime"), bedrock("bedrock-agent"),
		runtime, sagemaker("sagemaker"),
		own("comprehend"), own("rekognition"), own("textract"), own("translate"), polly, transcribe,
	}
}

// load reads the client's model and what the catalog knows of its operations, once.
func (c *client) load() error {
	c.once.Do(func() {
		if c.model, c.err = smithy.Load(c.name); c.err != nil {
			return
		}
		if c.name == "bedrock" {
			c.err = c.model.Define("PutFoundationModelEntitlement", "POST", "/foundation-model-entitlement", []string{"modelId"}, []string{"status"})
		}
		c.facts = make(map[string]*catalog.Operation, len(c.model.Operations))
		for name := range c.model.Operations {
			if _, op := catalog.OperationOf(c.name, name); op != nil {
				c.facts[name] = op
			}
		}
	})
	return c.err
}

// service is all clients of one signing name.
type service struct {
	signing string
	clients []*client
	rules   map[string]*rule // by "client.Operation"
}

func (s *service) SigningNames() []string { return []string{s.signing} }

// route finds the client, operation and labels of a request.
func (s *service) route(r *http.Request) (c *client, op *smithy.Operation, labels map[string]string) {
	best := 0
	for _, candidate := range s.clients {
		if candidate.load() != nil {
			continue
		}
		o, l, fit := candidate.model.Match(r)
		if o == nil || fit <= best || s.rules[candidate.name+"."+o.Name] == nil {
			continue
		}
		c, op, labels, best = candidate, o, l, fit
	}
	return c, op, labels
}

func (s *service) Route(r *http.Request, _ []byte) (string, awsapi.Protocol, bool) {
	c, op, _ := s.route(r)
	if op == nil {
		if r.Header.Get("X-Amz-Target") != "" {
			return "", awsapi.JSON11, false
		}
		return "", awsapi.RESTJSON, false
	}
	switch {
	case c.model.Protocol != "json":
		return op.Name, awsapi.RESTJSON, true
	case c.model.JSONVersion == "1.0":
		return op.Name, awsapi.JSON10, true
	default:
		return op.Name, awsapi.JSON11, true
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
	client, op, labels := s.route(c.Request)
	if op == nil {
		return nil, false
	}
	k := &call{Call: c, client: client, op: op, rule: s.rules[client.name+"."+op.Name]}
	k.in, k.bad = op.Decode(c.Request, labels, c.Body)
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
	if err != nil {
		return nil, err
	}
	k.complete(out)
	return k.answer(out)
}

// invalid is the service's error for bad input.
func (c *call) invalid(format string, args ...any) *awsapi.Error {
	code := c.client.invalid
	if code == "" {
		code = "ValidationException"
	}
	return fail(code, 400, format, args...)
}

func (c *call) answer(out map[string]any) (*awsapi.Response, error) {
	status, h, body, err := c.op.Encode(out)
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
