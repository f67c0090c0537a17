package sns_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/rpc/rpctest"
	"github.com/aitrail/aitrail/internal/endpoint/sns"
	"github.com/aitrail/aitrail/internal/endpoint/sqs"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

const topic = "arn:aws:sns:us-east-1:111122223333:t"

// queues remembers what was sent, and refuses the queue "closed".
type queues struct{ sent []sqs.Send }

func (q *queues) SendTx(_ *state.Tx, m sqs.Send) error {
	if strings.HasSuffix(m.Queue, ":closed") {
		return &awsapi.Error{Code: "AccessDenied"}
	}
	if strings.HasSuffix(m.Queue, ":broken") {
		return errors.New("the disk is full")
	}
	q.sent = append(q.sent, m)
	return nil
}

type world struct {
	t *testing.T
	*sns.Service
	queues *queues
	state  *state.Store
	last   *awsapi.Call
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, queues: &queues{}, state: rpctest.State(t)}
	w.Service = sns.New(sns.Options{Account: rpctest.Account, State: w.state, Queues: w.queues})
	return w
}

func (w *world) do(operation string, parameters ...string) string {
	w.t.Helper()
	call, got, err := rpctest.Query(w, operation, parameters...)
	if err != nil {
		w.t.Fatalf("%s %v: %v", operation, parameters, err)
	}
	w.last = call
	return got
}

func (w *world) refused(code, operation string, parameters ...string) {
	w.t.Helper()
	_, got, err := rpctest.Query(w, operation, parameters...)
	var e *awsapi.Error
	if !errors.As(err, &e) || e.Code != code {
		w.t.Errorf("%s %v: %s, %v; want %s", operation, parameters, got, err, code)
	}
}

func (w *world) has(got, want string) {
	w.t.Helper()
	if !strings.Contains(got, want) {
		w.t.Errorf("got %s, want %s in it", got, want)
	}
}

// subscribe subscribes a queue and returns the subscription's ARN.
func (w *world) subscribe(queue string, more ...string) string {
	w.t.Helper()
	got := w.do("Subscribe", append([]string{"TopicArn", topic, "Protocol", "sqs", "Endpoint", "arn:aws:sqs:us-east-1:111122223333:" + queue}, more...)...)
	_, rest, _ := strings.Cut(got, "<SubscriptionArn>")
	arn, _, _ := strings.Cut(rest, "<")
	return arn
}

func TestTopics(t *testing.T) {
	w := newWorld(t)
	w.refused("NotFound", "GetTopicAttributes", "TopicArn", topic)
	w.refused("InvalidParameter", "CreateTopic", "Name", "a b")
	w.has(w.do("CreateTopic", "Name", "t", "Attributes.entry.1.key", "DisplayName", "Attributes.entry.1.value", "d", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b"), "<TopicArn>"+topic+"</TopicArn>")
	want := map[string]any{"name": "t", "attributes": map[string]any{"DisplayName": "d"}, "tags": []any{map[string]any{"key": "a", "value": "b"}}}
	if diff := cmp.Diff(want, w.last.Record.RequestParameters); diff != "" || w.last.Record.Data {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"topicArn": topic}, w.last.Record.ResponseElements); diff != "" {
		t.Error(diff)
	}
	w.do("CreateTopic", "Name", "t")
	w.refused("InvalidParameter", "CreateTopic", "Name", "t", "Tags.member.1.Key", "a", "Tags.member.1.Value", "c")
	got := w.do("GetTopicAttributes", "TopicArn", topic)
	w.has(got, "<entry><key>DisplayName</key><value>d</value></entry>")
	w.has(got, "__default_policy_ID")
	w.refused("InvalidParameter", "SetTopicAttributes", "TopicArn", topic, "AttributeName", "Policy", "AttributeValue", "{}")
	w.refused("InvalidParameter", "SetTopicAttributes", "TopicArn", topic, "AttributeName", "Colour", "AttributeValue", "red")
	w.do("SetTopicAttributes", "TopicArn", topic, "AttributeName", "HTTPSuccessFeedbackSampleRate", "AttributeValue", "0")
	w.do("TagResource", "ResourceArn", topic, "Tags.member.1.Key", "c", "Tags.member.1.Value", "d")
	w.do("UntagResource", "ResourceArn", topic, "TagKeys.member.1", "a")
	w.has(w.do("ListTagsForResource", "ResourceArn", topic), "<Tags><member><Key>c</Key><Value>d</Value></member></Tags>")
	w.has(w.do("ListTopics"), "<Topics><member><TopicArn>"+topic+"</TopicArn></member></Topics>")
	w.do("DeleteTopic", "TopicArn", topic)
	w.do("DeleteTopic", "TopicArn", topic)
	w.refused("ResourceNotFound", "ListTagsForResource", "ResourceArn", topic)
}

func TestSubscriptionsGetMessages(t *testing.T) {
	w := newWorld(t)
	w.do("CreateTopic", "Name", "t")
	wrapped := w.subscribe("wrapped")
	w.subscribe("closed")
	raw := w.subscribe("raw", "Attributes.entry.1.key", "RawMessageDelivery", "Attributes.entry.1.value", "true")
	if again := w.subscribe("raw"); again != raw {
		t.Errorf("subscribed twice: %s, %s", raw, again)
	}
	w.has(w.do("Subscribe", "TopicArn", topic, "Protocol", "email", "Endpoint", "a@example.com"), "<SubscriptionArn>pending confirmation</SubscriptionArn>")
	w.refused("InvalidParameter", "Subscribe", "TopicArn", topic, "Protocol", "lambda", "Endpoint", "arn:aws:lambda:us-east-1:111122223333:function:f")
	w.refused("InvalidParameter", "SetSubscriptionAttributes", "SubscriptionArn", wrapped, "AttributeName", "FilterPolicy", "AttributeValue", "{}")
	w.has(w.do("GetSubscriptionAttributes", "SubscriptionArn", raw), "<key>RawMessageDelivery</key><value>true</value>")
	w.has(w.do("ListSubscriptionsByTopic", "TopicArn", topic), raw)

	got := w.do("Publish", "TopicArn", topic, "Message", "m", "Subject", "s",
		"MessageAttributes.entry.1.Name", "a", "MessageAttributes.entry.1.Value.DataType", "String", "MessageAttributes.entry.1.Value.StringValue", "v")
	want := map[string]any{
		"topicArn": topic, "message": "HIDDEN_DUE_TO_SECURITY_REASONS", "subject": "HIDDEN_DUE_TO_SECURITY_REASONS",
		"messageAttributes": "HIDDEN_DUE_TO_SECURITY_REASONS",
	}
	if diff := cmp.Diff(want, w.last.Record.RequestParameters); diff != "" || !w.last.Record.Data || len(w.last.Record.Resources) != 1 {
		t.Error(diff, w.last.Record.Resources)
	}
	bodies := map[string]sqs.Send{}
	for _, m := range w.queues.sent {
		bodies[m.Queue[strings.LastIndexByte(m.Queue, ':')+1:]] = m
	}
	if m := bodies["raw"]; len(bodies) != 2 || m.Body != "m" || m.Attributes["a"].StringValue != "v" || m.Source != topic || m.Service != "sns.amazonaws.com" {
		t.Errorf("%+v", bodies)
	}
	var n struct {
		Type, MessageId, TopicArn, Subject, Message string //nolint:revive // AWS's names
		MessageAttributes                           map[string]struct{ Type, Value string }
	}
	if err := json.Unmarshal([]byte(bodies["wrapped"].Body), &n); err != nil {
		t.Fatal(err)
	}
	if n.Type != "Notification" || n.TopicArn != topic || n.Subject != "s" || n.Message != "m" || n.MessageAttributes["a"].Value != "v" || !strings.Contains(got, n.MessageId) {
		t.Errorf("%+v", n)
	}

	w.queues.sent = nil
	w.do("Publish", "TopicArn", topic, "MessageStructure", "json", "Message", `{"default":"d","sqs":"q"}`)
	if len(w.queues.sent) != 2 || !strings.Contains(w.queues.sent[0].Body+w.queues.sent[1].Body, "q") {
		t.Errorf("%+v", w.queues.sent)
	}
	w.refused("InvalidParameter", "Publish", "TopicArn", topic, "MessageStructure", "json", "Message", "{}")
	w.refused("InvalidParameter", "Publish", "TopicArn", topic, "Message", "")
	w.has(w.do("PublishBatch", "TopicArn", topic, "PublishBatchRequestEntries.member.1.Id", "1", "PublishBatchRequestEntries.member.1.Message", "m",
		"PublishBatchRequestEntries.member.2.Id", "2"), "<Failed><member><Id>2</Id><Code>InvalidParameter</Code>")

	w.do("Unsubscribe", "SubscriptionArn", raw)
	w.refused("NotFound", "GetSubscriptionAttributes", "SubscriptionArn", raw)
	w.do("DeleteTopic", "TopicArn", topic)
	w.refused("NotFound", "GetSubscriptionAttributes", "SubscriptionArn", wrapped)
}

func TestServicesPublishAsThePolicySays(t *testing.T) {
	w := newWorld(t)
	p := sns.Publication{Topic: topic, Service: "cloudtrail.amazonaws.com", Source: "arn:aws:cloudtrail:us-east-1:111122223333:trail/x", Message: "m"}
	publish := func() error { return w.state.Update(func(tx *state.Tx) error { return w.PublishTx(tx, p) }) }
	var e *awsapi.Error
	if err := publish(); !errors.As(err, &e) || e.Code != "NotFound" {
		t.Error(err)
	}
	w.do("CreateTopic", "Name", "t")
	w.subscribe("q")
	if err := publish(); !errors.As(err, &e) || e.Code != "AuthorizationError" {
		t.Error(err)
	}
	w.do("SetTopicAttributes", "TopicArn", topic, "AttributeName", "Policy", "AttributeValue",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"SNS:Publish","Resource":"`+topic+
			`","Condition":{"StringEquals":{"aws:SourceArn":"`+p.Source+`"}}}]}`)
	if err := publish(); err != nil || len(w.queues.sent) != 1 {
		t.Error(err, w.queues.sent)
	}
	if err := w.CheckPublish(p); err != nil {
		t.Error(err)
	}
	p.Source += "y"
	if err := w.CheckPublish(p); !errors.As(err, &e) || e.Code != "AuthorizationError" {
		t.Error(err)
	}
	// What can't be stored is not published to anybody.
	w.subscribe("broken")
	p.Source = strings.TrimSuffix(p.Source, "y")
	if err := publish(); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("with a broken queue: %v", err)
	}
}
