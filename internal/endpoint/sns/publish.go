package sns

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/sqs"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// maxMessage is how long a message can be, with its subject and attributes.
const maxMessage = 256 << 10

// sending is a message to publish, alone or in a batch.
type sending struct {
	ID                string `aws:"Id"`
	Message, Subject  string
	MessageStructure  string
	MessageAttributes map[string]attribute `aws:",flat=MessageAttributes.entry:Name:Value"`
}

type attribute struct {
	DataType    string
	StringValue string
	BinaryValue []byte
}

type publishInput struct {
	TopicARN          string `aws:"TopicArn"`
	TargetARN         string `aws:"TargetArn"`
	Message, Subject  string
	MessageStructure  string
	MessageAttributes map[string]attribute `aws:",flat=MessageAttributes.entry:Name:Value"`
}

func (in *publishInput) arn() string {
	if in.TopicARN == "" {
		return in.TargetARN
	}
	return in.TopicARN
}

type publishOutput struct {
	MessageID string `aws:"MessageId"`
}

func (m *sending) check() error {
	size := len(m.Message) + len(m.Subject)
	for name, a := range m.MessageAttributes {
		if kind, _, _ := strings.Cut(a.DataType, "."); kind != "String" && kind != "Number" && kind != "Binary" {
			return invalid("The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
		}
		size += len(name) + len(a.DataType) + len(a.StringValue) + len(a.BinaryValue)
	}
	switch {
	case m.Message == "":
		return invalid("Empty message")
	case size > maxMessage:
		return invalid("Message too long")
	case len(m.Subject) > 100 || strings.ContainsAny(m.Subject, "\r\n") || !utf8.ValidString(m.Message):
		return invalid("Subject or message")
	}
	return nil
}

// body is the message for queues: the one of its structure, if it has one.
func (m *sending) body() (string, error) {
	if m.MessageStructure == "" {
		return m.Message, nil
	}
	var by map[string]string
	if m.MessageStructure != "json" || json.Unmarshal([]byte(m.Message), &by) != nil {
		return "", invalid("Message Structure - JSON message body failed to parse")
	}
	if text, ok := by["sqs"]; ok {
		return text, nil
	}
	text, ok := by["default"]
	if !ok {
		return "", invalid("Message Structure - No default entry in JSON message body")
	}
	return text, nil
}

// shown is an attribute in a message's JSON.
type shown struct {
	Type  string
	Value any
}

// notification is the JSON that queues get
// (https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html), without the signature.
type notification struct {
	Type              string
	MessageID         string `json:"MessageId"`
	TopicARN          string `json:"TopicArn"`
	Subject           string `json:",omitempty"`
	Message           string
	Timestamp         string
	MessageAttributes map[string]shown `json:",omitempty"`
}

// send puts a message into the queues that are subscribed.
func (s *Service) send(tx *state.Tx, t *topic, m *sending) (id string, err error) {
	if err := m.check(); err != nil {
		return "", err
	}
	body, err := m.body()
	if err != nil {
		return "", err
	}
	id = uuid.NewString()
	n := notification{
		Type: "Notification", MessageID: id, TopicARN: t.ARN, Subject: m.Subject, Message: body,
		Timestamp: s.now().Format("2006-01-02T15:04:05.000Z"),
	}
	attributes := map[string]sqs.Attribute{}
	for name, a := range m.MessageAttributes {
		attributes[name] = sqs.Attribute(a)
		if n.MessageAttributes == nil {
			n.MessageAttributes = map[string]shown{}
		}
		n.MessageAttributes[name] = shown{a.DataType, a.StringValue}
		if a.BinaryValue != nil {
			n.MessageAttributes[name] = shown{a.DataType, a.BinaryValue}
		}
	}
	wrapped, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return "", err
	}
	all, err := state.ListTx[subscription](tx, subscriptionsBucket, t.ARN+":")
	if err != nil {
		return "", err
	}
	for _, e := range all {
		if e.Value.Protocol != "sqs" {
			continue
		}
		out := sqs.Send{Queue: e.Value.Endpoint, Service: "sns.amazonaws.com", Source: t.ARN, Body: string(wrapped)}
		if e.Value.Attributes["RawMessageDelivery"] == "true" {
			out.Body, out.Attributes = body, attributes
		}
		err := s.opts.Queues.SendTx(tx, out)
		var refused *awsapi.Error
		if err != nil && !errors.As(err, &refused) {
			return "", fmt.Errorf("sending to %s: %w", e.Value.Endpoint, err)
		}
	}
	return id, nil
}

func (s *Service) publish(_ *awsapi.Call, in *publishInput) (any, error) {
	m := &sending{"", in.Message, in.Subject, in.MessageStructure, in.MessageAttributes}
	out := &publishOutput{}
	err := s.opts.State.Update(func(tx *state.Tx) error {
		t, err := s.getTopicTx(tx, in.arn())
		if err == nil {
			out.MessageID, err = s.send(tx, t, m)
		}
		return err
	})
	return out, err
}

type publishBatchInput struct {
	TopicARN                   string `aws:"TopicArn"`
	PublishBatchRequestEntries []sending
}

func (in *publishBatchInput) arn() string { return in.TopicARN }

type published struct {
	ID        string `aws:"Id"`
	MessageID string `aws:"MessageId"`
}

type unpublished struct {
	ID            string `aws:"Id"`
	Code, Message string
	SenderFault   bool `aws:",keep"`
}

type publishBatchOutput struct {
	Successful []published   `aws:",keep"`
	Failed     []unpublished `aws:",keep"`
}

func (s *Service) publishBatch(_ *awsapi.Call, in *publishBatchInput) (any, error) {
	entries := in.PublishBatchRequestEntries
	switch {
	case len(entries) == 0:
		return nil, fail("EmptyBatchRequest", "The batch request doesn't contain any entries.")
	case len(entries) > 10:
		return nil, fail("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
	}
	out := &publishBatchOutput{}
	return out, s.opts.State.Update(func(tx *state.Tx) error {
		*out = publishBatchOutput{}
		t, err := s.getTopicTx(tx, in.TopicARN)
		if err != nil {
			return err
		}
		for i := range entries {
			id, err := s.send(tx, t, &entries[i])
			var refused *awsapi.Error
			if errors.As(err, &refused) {
				out.Failed = append(out.Failed, unpublished{entries[i].ID, refused.Code, refused.Message, true})
			} else if err != nil {
				return err
			} else {
				out.Successful = append(out.Successful, published{entries[i].ID, id})
			}
		}
		return nil
	})
}
