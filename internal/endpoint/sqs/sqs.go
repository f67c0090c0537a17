// Package sqs is the endpoint's Amazon SQS: standard queues with visibility timeouts, long polling, batches, policies, tags
// and dead-letter queues, over AWS JSON and the query protocol.
//
// Queues and messages are in the endpoint's state and survive it. FIFO queues are refused as unsupported.
//
// What holds:
//   - A message that was accepted is on disk, and is received until it is deleted, expires or is purged. One that is
//     received is seen by no other receiver until its visibility timeout ends.
//   - Messages come in the order in which they were sent, as far as they are visible. (SQS promises less.)
//   - A message received maxReceiveCount times moves to the dead-letter queue in place of being received once more.
//   - Services send through [Service.SendTx], inside a transaction of theirs, if the queue's policy lets them.
//   - Message bodies are in no record.
//
// Which events are data events: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/logging-using-cloudtrail.html
package sqs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/rpc"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Options are what a Service needs. Account and State are required.
type Options struct {
	Account string
	State   *state.Store
	Now     func() time.Time // nil: time.Now
}

// Service is SQS behind the endpoint; it implements awsapi.Service. Its methods may be called concurrently.
type Service struct {
	rpc.API
	opts Options

	mu      sync.Mutex
	waiting map[string]chan struct{} // by queue id; closed when a message comes
}

var _ awsapi.Service = (*Service)(nil)

// New returns the service with the queues that the state has.
func New(opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Service{opts: opts, waiting: map[string]chan struct{}{}}
	s.API = rpc.API{
		Signing: "sqs", EventSource: "sqs.amazonaws.com", JSON: awsapi.JSON10,
		Query: true, Namespace: "http://queue.amazonaws.com/doc/2012-11-05/",
		Operations: map[string]rpc.Operation{
			"ChangeMessageVisibility":      rpc.Op(s.changeVisibility).AsData(),
			"ChangeMessageVisibilityBatch": rpc.Op(s.changeVisibilityBatch).AsData(),
			"CreateQueue":                  rpc.Op(s.createQueue),
			"DeleteMessage":                rpc.Op(s.deleteMessage).AsData(),
			"DeleteMessageBatch":           rpc.Op(s.deleteMessageBatch).AsData(),
			"DeleteQueue":                  rpc.Op(s.deleteQueue),
			"GetQueueAttributes":           rpc.Read(s.getAttributes).AsData(),
			"GetQueueUrl":                  rpc.Read(s.getURL).AsData(),
			"ListDeadLetterSourceQueues":   rpc.Read(s.listSources).AsData(),
			"ListQueueTags":                rpc.Read(s.listTags).AsData(),
			"ListQueues":                   rpc.Read(s.listQueues).AsData(),
			"PurgeQueue":                   rpc.Op(s.purge),
			"ReceiveMessage":               rpc.Read(s.receiveMessage).AsData(),
			"SendMessage":                  rpc.Op(s.sendMessage).AsData().Redacting("MessageBody", "MessageAttributes"),
			"SendMessageBatch":             rpc.Op(s.sendMessageBatch).AsData().Redacting("MessageBody", "MessageAttributes"),
			"SetQueueAttributes":           rpc.Op(s.setAttributes),
			"TagQueue":                     rpc.Op(s.tag),
			"UntagQueue":                   rpc.Op(s.untag),
		},
	}
	return s
}

func (s *Service) now() time.Time { return s.opts.Now().UTC() }

// fail returns the error answer of an API call.
func fail(code, format string, args ...any) error {
	return &awsapi.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// The codes of errors that are decided on.
const (
	noQueue      = "QueueDoesNotExist"
	invalidValue = "InvalidParameterValue"
	missing      = "MissingParameter"
)

// queryCode is the code that an error has in the query protocol, and in the header that tells JSON's clients.
func queryCode(code string) string {
	switch code {
	case noQueue:
		return "AWS.SimpleQueueService.NonExistentQueue"
	case "QueueNameExists":
		return "QueueAlreadyExists"
	case "EmptyBatchRequest", "TooManyEntriesInBatchRequest", "BatchEntryIdsNotDistinct", "InvalidBatchEntryId",
		"BatchRequestTooLong", "MessageNotInflight", "UnsupportedOperation":
		return "AWS.SimpleQueueService." + code
	}
	return code
}

// Serve implements awsapi.Service.
func (s *Service) Serve(c *awsapi.Call) (*awsapi.Response, error) {
	resp, err := s.API.Serve(c)
	var e *awsapi.Error
	if !errors.As(err, &e) {
		return resp, err
	}
	_, p, _ := s.Route(c.Request, c.Body)
	named := *e
	query := queryCode(e.Code)
	if p == awsapi.Query {
		named.Code, named.Recorded = query, e.Code
		return nil, &named
	}
	named.Recorded = e.Code
	named.Header = http.Header{"X-Amzn-Query-Error": {query + ";Sender"}}
	named.Code = "com.amazonaws.sqs#" + e.Code
	return nil, &named
}

// queued is an input that names a queue.
type queued interface{ queue() string }

type queueInput struct {
	QueueURL string `aws:"QueueUrl"`
}

func (in *queueInput) queue() string { return in.QueueURL }

// nameOf is the name of the queue that a call is about: of its input, or of the path it was sent to.
func nameOf(c *awsapi.Call, in any) string {
	target := ""
	if q, ok := in.(queued); ok {
		if target = q.queue(); target == "" {
			target = c.Request.URL.Path
		}
	}
	switch in := in.(type) {
	case *createInput:
		target = in.QueueName
	case *urlInput:
		target = in.QueueName
	}
	return target[strings.LastIndexByte(target, '/')+1:]
}

// arn is a queue's ARN.
func (s *Service) arn(region, name string) string {
	partition := "aws"
	if strings.HasPrefix(region, "cn-") {
		partition = "aws-cn"
	} else if strings.HasPrefix(region, "us-gov-") {
		partition = "aws-us-gov"
	}
	return "arn:" + partition + ":sqs:" + region + ":" + s.opts.Account + ":" + name
}

// url is a queue's URL as the caller can reach it.
func (s *Service) url(c *awsapi.Call, name string) string {
	scheme := "http"
	if c.Request.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + c.Request.Host + "/" + s.opts.Account + "/" + name
}

// Describe implements awsapi.Service.
func (s *Service) Describe(c *awsapi.Call) {
	in := s.API.Describe(c)
	if name := nameOf(c, in); name != "" {
		c.Record.Resources = []cloudtrail.Resource{{AccountID: c.Account, Type: "AWS::SQS::Queue", ARN: s.arn(c.Region, name)}}
	}
}

// Access implements awsapi.Service. Batches are asked about as what they are batches of.
func (s *Service) Access(c *awsapi.Call) []awsapi.Access {
	in, _ := s.Input(c) // what can't be read is refused by Serve
	a := awsapi.Access{Action: "sqs:" + strings.TrimSuffix(c.Operation, "Batch"), Resource: "*"}
	if name := nameOf(c, in); name != "" {
		a.Resource = s.arn(c.Region, name)
	} else if c.Operation == "ListQueues" {
		a.Resource = s.arn(c.Region, "*")
	}
	return []awsapi.Access{a}
}

// Conditions says that a call came over TLS: the endpoint, on loopback, stands for AWS's TLS endpoint, and a queue's policy that
// denies all else must not lock everyone out. S3 does the same.
func (s *Service) Conditions(*awsapi.Call) policy.Context {
	return policy.Context{"aws:SecureTransport": {"true"}}
}

// ResourcePolicy returns the policy of the queue with that ARN, nil for none.
func (s *Service) ResourcePolicy(arn string) *policy.Document {
	region, name, ok := parseARN(arn)
	if !ok {
		return nil
	}
	var q queue
	if found, err := s.opts.State.Get(queuesBucket, region+"/"+name, &q); !found || err != nil {
		return nil
	}
	return q.policy()
}

func parseARN(arn string) (region, name string, ok bool) {
	p := strings.Split(arn, ":")
	if len(p) != 6 || p[2] != "sqs" {
		return "", "", false
	}
	return p[3], p[5], true
}

// Send is a message that a service sends.
type Send struct {
	Queue   string // the ARN
	Service string // "sns.amazonaws.com"
	Source  string // the ARN of what it sends for: aws:SourceArn
	Body    string
	// Attributes are the message's, by name.
	Attributes map[string]Attribute
}

// Attribute is a message attribute.
type Attribute struct {
	DataType    string
	StringValue string
	BinaryValue []byte
}

// SendTx sends a message inside the caller's transaction, if the queue's policy lets the service. The error is an
// *awsapi.Error when there is no such queue, or it may not: QueueDoesNotExist, AccessDenied.
func (s *Service) SendTx(tx *state.Tx, m Send) error {
	q, err := s.openTo(tx, m)
	if err != nil {
		return err
	}
	message := &message{Body: m.Body, Attributes: m.Attributes, Sender: m.Service}
	return s.add(tx, q, message, q.seconds("DelaySeconds"))
}

// CheckSend tells whether SendTx could send.
func (s *Service) CheckSend(m Send) error {
	return s.opts.State.View(func(tx *state.Tx) error {
		_, err := s.openTo(tx, m)
		return err
	})
}

// openTo reads a queue whose policy lets a service send.
func (s *Service) openTo(tx *state.Tx, m Send) (*queue, error) {
	region, name, ok := parseARN(m.Queue)
	if !ok {
		return nil, fail(noQueue, "%q is not a queue's ARN.", m.Queue)
	}
	q, err := getQueue(tx, region, name)
	if err != nil {
		return nil, err
	}
	ctx := policy.Context{
		"aws:SourceArn": {m.Source}, "aws:SourceAccount": {s.opts.Account}, "aws:SecureTransport": {"true"},
		"aws:PrincipalIsAWSService": {"true"}, "aws:PrincipalServiceName": {m.Service},
	}
	r := policy.Request{Principal: policy.Principal{Service: m.Service}, Action: "sqs:SendMessage", Resource: m.Queue, Context: ctx}
	if doc := q.policy(); doc == nil || policy.Evaluate([]*policy.Document{doc}, r) != policy.Allow {
		return nil, fail("AccessDenied", "%s may not send to %s.", m.Service, m.Queue)
	}
	return q, nil
}

// waiter returns a channel that is closed when a message comes to the queue.
func (s *Service) waiter(id string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[id] == nil {
		s.waiting[id] = make(chan struct{})
	}
	return s.waiting[id]
}

// wake wakes those who wait for a message of the queue. It may be called before the message's transaction has ended: they
// then wait for that.
func (s *Service) wake(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.waiting[id]; ch != nil {
		close(ch)
		delete(s.waiting, id)
	}
}

// parsePolicy reads a queue's policy; nil for what is none.
func parsePolicy(text string) *policy.Document {
	if text == "" || !json.Valid([]byte(text)) {
		return nil
	}
	doc, err := policy.Parse([]byte(text))
	if err != nil || doc.Validate(policy.ResourcePolicy) != nil {
		return nil
	}
	return doc
}
