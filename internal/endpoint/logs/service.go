package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Options are what a Service needs. Store is required.
type Options struct {
	Account string // the account the endpoint stands for
	Store   *state.Store
	Now     func() time.Time // nil means time.Now
	// Key finds a KMS key that CloudWatch Logs may use for the log group with that ARN, and returns its ARN. Nil: there
	// are no keys.
	Key func(region, id, group string) (arn string, err error)
}

// Service is CloudWatch Logs behind the endpoint; it implements awsapi.Service. Its methods may be called concurrently.
type Service struct {
	opts       Options
	operations map[string]operation
}

// New returns the service.
func New(opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Service{opts: opts, operations: operations()}
}

func (s *Service) now() time.Time { return s.opts.Now().UTC() }

// operation is one operation of the API.
type operation struct {
	readOnly bool
	data     bool // recorded as a data event
	serve    func(s *Service, c *awsapi.Call) (any, error)
}

func operations() map[string]operation {
	return map[string]operation{
		"AssociateKmsKey":       {serve: input((*Service).associateKey)},
		"CreateLogGroup":        {serve: input((*Service).createLogGroup)},
		"CreateLogStream":       {serve: input((*Service).createLogStream)},
		"DeleteLogGroup":        {serve: input((*Service).deleteLogGroup)},
		"DeleteLogStream":       {serve: input((*Service).deleteLogStream)},
		"DeleteMetricFilter":    {serve: input((*Service).deleteMetricFilter)},
		"DeleteRetentionPolicy": {serve: input((*Service).deleteRetentionPolicy)},
		"DescribeLogGroups":     {readOnly: true, serve: input((*Service).describeLogGroups)},
		"DescribeLogStreams":    {readOnly: true, serve: input((*Service).describeLogStreams)},
		"DescribeMetricFilters": {readOnly: true, serve: input((*Service).describeMetricFilters)},
		"DisassociateKmsKey":    {serve: input((*Service).disassociateKey)},
		"FilterLogEvents":       {readOnly: true, data: true, serve: input((*Service).filterLogEvents)},
		"GetLogEvents":          {readOnly: true, data: true, serve: input((*Service).getLogEvents)},
		"ListTagsForResource":   {readOnly: true, serve: input((*Service).listTags)},
		"ListTagsLogGroup":      {readOnly: true, serve: input((*Service).listTags)},
		"PutLogEvents":          {data: true, serve: input((*Service).putLogEvents)},
		"PutMetricFilter":       {serve: input((*Service).putMetricFilter)},
		"PutRetentionPolicy":    {serve: input((*Service).putRetentionPolicy)},
		"TagLogGroup":           {serve: input((*Service).tagResource)},
		"TagResource":           {serve: input((*Service).tagResource)},
		"UntagLogGroup":         {serve: input((*Service).untagResource)},
		"UntagResource":         {serve: input((*Service).untagResource)},
	}
}

// input gives a handler the call's body, decoded.
func input[In any](fn func(*Service, *awsapi.Call, *In) (any, error)) func(*Service, *awsapi.Call) (any, error) {
	return func(s *Service, c *awsapi.Call) (any, error) {
		var in In
		if body := bytes.TrimSpace(c.Body); len(body) > 0 {
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, fail("SerializationException", "the request can't be read: %v", err)
			}
		}
		return fn(s, c, &in)
	}
}

// The codes of most errors.
const (
	badParameter = "InvalidParameterException"
	notFound     = "ResourceNotFoundException"
	exists       = "ResourceAlreadyExistsException"
)

// fail returns the error answer of an API call.
func fail(code, format string, args ...any) error {
	return &awsapi.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// empty is the answer of operations that give none.
type empty struct{}

// SigningNames implements awsapi.Service.
func (s *Service) SigningNames() []string { return []string{"logs"} }

// Route implements awsapi.Service: the operation is what follows the last dot of X-Amz-Target.
func (s *Service) Route(r *http.Request, _ []byte) (string, awsapi.Protocol, bool) {
	target := r.Header.Get("X-Amz-Target")
	name := target[strings.LastIndexByte(target, '.')+1:]
	_, ok := s.operations[name]
	return name, awsapi.JSON11, ok
}

// names are the members of inputs that name what a call is about.
type names struct {
	LogGroupName       string
	LogGroupIdentifier string
	LogStreamName      string
	ResourceArn        string
}

// group is the log group that the input names: by its name, or its ARN. "" when it names none.
func (n *names) group() string {
	for _, v := range []string{n.LogGroupName, n.LogGroupIdentifier, n.ResourceArn} {
		if v != "" {
			return groupName(v)
		}
	}
	return ""
}

// groupName takes the name out of a log group's ARN; what is no ARN is a name.
func groupName(v string) string {
	if p := strings.SplitN(v, ":", 7); len(p) == 7 && p[0] == "arn" && p[5] == "log-group" {
		return strings.TrimSuffix(p[6], ":*")
	}
	return v
}

// arn is the ARN of a log group, without the ":*" that stands for its streams.
func (s *Service) arn(region, group string) string {
	partition := "aws"
	if strings.HasPrefix(region, "cn-") {
		partition = "aws-cn"
	} else if strings.HasPrefix(region, "us-gov-") {
		partition = "aws-us-gov"
	}
	return "arn:" + partition + ":logs:" + region + ":" + s.opts.Account + ":log-group:" + group
}

// Describe implements awsapi.Service. What is logged is no parameter of a record.
func (s *Service) Describe(c *awsapi.Call) {
	op := s.operations[c.Operation]
	r := &c.Record
	r.EventSource, r.APIVersion = "logs.amazonaws.com", "20140328"
	r.ReadOnly, r.Data = op.readOnly, op.data
	var params map[string]any
	if json.Unmarshal(c.Body, &params) == nil && len(params) > 0 {
		delete(params, "logEvents")
		r.RequestParameters = params
	}
	var n names
	if json.Unmarshal(c.Body, &n) == nil && op.data && n.group() != "" {
		r.Resources = []cloudtrail.Resource{{
			AccountID: c.Account, Type: "AWS::Logs::LogGroup", ARN: s.arn(c.Region, n.group()),
		}}
	}
}

// Access implements awsapi.Service.
func (s *Service) Access(c *awsapi.Call) []awsapi.Access {
	var n names
	_ = json.Unmarshal(c.Body, &n) // what can't be read is refused by Serve
	resource := "*"
	if group := n.group(); group != "" {
		resource = s.arn(c.Region, group) + ":log-stream:" + n.LogStreamName
		if strings.HasSuffix(c.Operation, "Resource") {
			resource = s.arn(c.Region, group)
		}
	} else if c.Operation == "DescribeLogGroups" {
		resource = s.arn(c.Region, "") + ":log-stream:"
	}
	return []awsapi.Access{{Action: "logs:" + c.Operation, Resource: resource}}
}

// Serve implements awsapi.Service.
func (s *Service) Serve(c *awsapi.Call) (*awsapi.Response, error) {
	op, ok := s.operations[c.Operation]
	if !ok {
		return nil, fail("UnknownOperationException", "%s is not an operation of this endpoint's CloudWatch Logs", c.Operation)
	}
	out, err := op.serve(s, c)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, fmt.Errorf("encoding the answer of %s: %w", c.Operation, err)
	}
	return &awsapi.Response{Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: b.Bytes()}, nil
}
