// Package sns is the endpoint's Amazon SNS: standard topics with policies, tags and subscriptions of queues, over the query
// protocol.
//
// Messages go to SQS queues. E-mail and HTTP subscriptions can be made and stay pending, as nobody confirms them; other
// protocols, filter policies and FIFO topics are refused. A message in SNS's JSON form has no signature: only AWS can make
// one that AWS's certificates verify.
//
// What holds:
//   - A message that was accepted is in all the queues that let the topic send to them, in one transaction with whatever
//     its sender does in it: see [Service.PublishTx].
//   - What a queue's policy refuses is dropped, as SNS drops what it can't deliver.
//   - Messages are in no record.
package sns

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/rpc"
	"github.com/aitrail/aitrail/internal/endpoint/sqs"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Queues is what topics need of SQS.
type Queues interface {
	// SendTx sends inside the caller's transaction; an *awsapi.Error says that the queue isn't there or refuses it.
	SendTx(tx *state.Tx, m sqs.Send) error
}

// Options are what a Service needs. Account, State and Queues are required.
type Options struct {
	Account string
	State   *state.Store
	Queues  Queues
	Now     func() time.Time // nil: time.Now
	// MayUseKey tells whether a service may encrypt under the key of a topic (its KmsMasterKeyId) for a source. Nil: yes.
	MayUseKey func(region, key, service, source string) error
}

// Service is SNS behind the endpoint; it implements awsapi.Service. Its methods may be called concurrently.
type Service struct {
	rpc.API
	opts Options
}

var _ awsapi.Service = (*Service)(nil)

// New returns the service with the topics that the state has.
func New(opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Service{opts: opts}
	hide := []string{"Message", "Subject", "MessageAttributes"}
	s.API = rpc.API{
		Signing: "sns", EventSource: "sns.amazonaws.com", Query: true, Namespace: "http://sns.amazonaws.com/doc/2010-03-31/",
		JSON: awsapi.JSON10,
		Operations: map[string]rpc.Operation{
			"CreateTopic":               rpc.Op(s.createTopic),
			"DeleteTopic":               rpc.Op(s.deleteTopic),
			"GetSubscriptionAttributes": rpc.Read(s.getSubscription),
			"GetTopicAttributes":        rpc.Read(s.getTopic),
			"ListSubscriptions":         rpc.Read(s.listSubscriptions),
			"ListSubscriptionsByTopic":  rpc.Read(s.listByTopic),
			"ListTagsForResource":       rpc.Read(s.listTags),
			"ListTopics":                rpc.Read(s.listTopics),
			"Publish":                   rpc.Op(s.publish).AsData().Redacting(hide...),
			"PublishBatch":              rpc.Op(s.publishBatch).AsData().Redacting(hide...),
			"SetSubscriptionAttributes": rpc.Op(s.setSubscription),
			"SetTopicAttributes":        rpc.Op(s.setTopic),
			"Subscribe":                 rpc.Op(s.subscribe),
			"TagResource":               rpc.Op(s.tag),
			"Unsubscribe":               rpc.Op(s.unsubscribe),
			"UntagResource":             rpc.Op(s.untag),
		},
	}
	return s
}

func (s *Service) now() time.Time { return s.opts.Now().UTC() }

// fail returns the error answer of an API call.
func fail(code, format string, args ...any) error {
	return &awsapi.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &awsapi.Error{Code: "NotFound", Message: fmt.Sprintf(format, args...), Status: http.StatusNotFound, Recorded: "NotFoundException"}
}

func invalid(format string, args ...any) error {
	return &awsapi.Error{Code: "InvalidParameter", Message: "Invalid parameter: " + fmt.Sprintf(format, args...), Recorded: "InvalidParameterException"}
}

// about is an input that names a topic or a subscription by its ARN.
type about interface{ arn() string }

func (s *Service) arn(region, name string) string {
	partition := "aws"
	if strings.HasPrefix(region, "cn-") {
		partition = "aws-cn"
	} else if strings.HasPrefix(region, "us-gov-") {
		partition = "aws-us-gov"
	}
	return "arn:" + partition + ":sns:" + region + ":" + s.opts.Account + ":" + name
}

// target is the ARN of what a call is about; "" for lists.
func (s *Service) target(c *awsapi.Call, in any) string {
	switch in := in.(type) {
	case *createInput:
		return s.arn(c.Region, in.Name)
	case about:
		return in.arn()
	}
	return ""
}

// Describe implements awsapi.Service. Only data events have resources.
func (s *Service) Describe(c *awsapi.Call) {
	in := s.API.Describe(c)
	if arn := s.target(c, in); arn != "" && c.Record.Data {
		c.Record.Resources = []cloudtrail.Resource{{AccountID: c.Account, Type: "AWS::SNS::Topic", ARN: arn}}
	}
}

// Access implements awsapi.Service. IAM is asked about a subscription's topic.
func (s *Service) Access(c *awsapi.Call) []awsapi.Access {
	in, _ := s.Input(c) // what can't be read is refused by Serve
	a := awsapi.Access{Action: "sns:" + strings.TrimSuffix(c.Operation, "Batch"), Resource: "*"}
	if arn := s.target(c, in); arn != "" {
		a.Resource = topicOf(arn)
	}
	return []awsapi.Access{a}
}

// topicOf is the ARN of a subscription's topic; a topic's is its own.
func topicOf(arn string) string {
	if p := strings.Split(arn, ":"); len(p) == 7 {
		return strings.Join(p[:6], ":")
	}
	return arn
}

// ResourcePolicy returns the policy of the topic with that ARN, nil when there is no such topic.
func (s *Service) ResourcePolicy(arn string) *policy.Document {
	var t *topic
	err := s.opts.State.View(func(tx *state.Tx) (err error) {
		t, err = s.getTopicTx(tx, arn)
		return err
	})
	if err != nil {
		return nil
	}
	return t.policy()
}

// Publication is a message that a service publishes.
type Publication struct {
	Topic            string // the ARN
	Service          string // "cloudtrail.amazonaws.com"
	Source           string // the ARN of what it publishes for: aws:SourceArn
	Subject, Message string
}

// PublishTx publishes inside the caller's transaction, if the topic's policy and key let the service. The error is an
// *awsapi.Error when there is no such topic, or it may not: NotFound, AuthorizationError.
func (s *Service) PublishTx(tx *state.Tx, p Publication) error {
	t, err := s.getTopicTx(tx, p.Topic)
	if err != nil {
		return err
	}
	if err := s.allows(t, p); err != nil {
		return err
	}
	_, err = s.send(tx, t, &sending{Subject: p.Subject, Message: p.Message})
	return err
}

// CheckPublish tells whether PublishTx could publish.
func (s *Service) CheckPublish(p Publication) error {
	var t *topic
	err := s.opts.State.View(func(tx *state.Tx) (err error) {
		t, err = s.getTopicTx(tx, p.Topic)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.allows(t, p); err != nil {
		return err
	}
	if key := t.Attributes["KmsMasterKeyId"]; key != "" && s.opts.MayUseKey != nil {
		return s.opts.MayUseKey(t.Region, key, p.Service, p.Source)
	}
	return nil
}

// allows tells whether a topic's policy lets a service publish.
func (s *Service) allows(t *topic, p Publication) error {
	ctx := policy.Context{
		"aws:SourceArn": {p.Source}, "aws:SourceAccount": {s.opts.Account}, "aws:SecureTransport": {"true"},
		"aws:PrincipalIsAWSService": {"true"}, "aws:PrincipalServiceName": {p.Service},
	}
	r := policy.Request{Principal: policy.Principal{Service: p.Service}, Action: "sns:Publish", Resource: t.ARN, Context: ctx}
	if policy.Evaluate([]*policy.Document{t.policy()}, r) != policy.Allow {
		return &awsapi.Error{Code: "AuthorizationError", Message: p.Service + " may not publish to " + t.ARN, Status: http.StatusForbidden}
	}
	return nil
}
