package sqs_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/rpc/rpctest"
	"github.com/aitrail/aitrail/internal/endpoint/sqs"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

const (
	account = "111122223333"
	url     = "http://127.0.0.1:4588/111122223333/"
	prefix  = "arn:aws:sqs:us-east-1:111122223333:"
)

type world struct {
	t *testing.T
	*sqs.Service
	state *state.Store
}

func newWorld(t *testing.T) *world {
	st := rpctest.State(t)
	return &world{t, sqs.New(sqs.Options{Account: account, State: st}), st}
}

// do makes a call that has to succeed.
func (w *world) do(operation, body string) string {
	w.t.Helper()
	_, got, err := rpctest.JSON(w, operation, body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", operation, body, err)
	}
	return got
}

func (w *world) refused(code, operation, body string) {
	w.t.Helper()
	_, got, err := rpctest.JSON(w, operation, body)
	var e *awsapi.Error
	if !errors.As(err, &e) || e.Code != "com.amazonaws.sqs#"+code || e.Recorded != code {
		w.t.Errorf("%s %s: %s, %v; want %s", operation, body, got, err, code)
	}
}

type message struct {
	MessageID, ReceiptHandle, Body string
	Attributes                     map[string]string
	MessageAttributes              map[string]struct{ DataType, StringValue string }
	MD5OfBody                      string
	MD5OfMessageAttributes         string
}

func (w *world) receive(queue, more string) []message {
	w.t.Helper()
	var out struct{ Messages []message }
	text := w.do("ReceiveMessage", `{"QueueUrl":"`+url+queue+`","MaxNumberOfMessages":10,"AttributeNames":["All"],"MessageAttributeNames":["All"]`+more+`}`)
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		w.t.Fatal(err)
	}
	return out.Messages
}

func (w *world) attributes(queue string) map[string]string {
	w.t.Helper()
	var out struct{ Attributes map[string]string }
	if err := json.Unmarshal([]byte(w.do("GetQueueAttributes", `{"QueueUrl":"`+url+queue+`","AttributeNames":["All"]}`)), &out); err != nil {
		w.t.Fatal(err)
	}
	return out.Attributes
}

func bodies(list []message) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.Body)
	}
	return out
}

func TestMessagesAreHiddenReturnedAndDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if got := w.do("CreateQueue", `{"QueueName":"q","Attributes":{"VisibilityTimeout":"20"}}`); got != `{"QueueUrl":"`+url+`q"}` {
			t.Error(got)
		}
		w.do("SendMessage", `{"QueueUrl":"`+url+`q","MessageBody":"one","MessageAttributes":{"a":{"DataType":"String","StringValue":"v"}}}`)
		time.Sleep(time.Second)
		w.do("SendMessage", `{"QueueUrl":"`+url+`q","MessageBody":"two","DelaySeconds":5}`)
		got := w.receive("q", "")
		if diff := cmp.Diff([]string{"one"}, bodies(got)); diff != "" {
			t.Fatal(diff)
		}
		if m := got[0]; m.MD5OfBody != "f97c5d29941bfb1b2fdab0874906ab82" || m.MD5OfMessageAttributes != "a18cbb58171ebf4ce88d9fb787f9210b" ||
			m.MessageAttributes["a"].StringValue != "v" || m.Attributes["ApproximateReceiveCount"] != "1" {
			t.Errorf("%+v", m)
		}
		a := w.attributes("q")
		counts := []string{a["ApproximateNumberOfMessages"], a["ApproximateNumberOfMessagesNotVisible"], a["ApproximateNumberOfMessagesDelayed"]}
		if diff := cmp.Diff([]string{"0", "1", "1"}, counts); diff != "" {
			t.Error(diff)
		}
		time.Sleep(6 * time.Second)
		if diff := cmp.Diff([]string{"two"}, bodies(w.receive("q", ""))); diff != "" {
			t.Error(diff)
		}
		time.Sleep(15 * time.Second)
		again := w.receive("q", "")
		if diff := cmp.Diff([]string{"one"}, bodies(again)); diff != "" || again[0].Attributes["ApproximateReceiveCount"] != "2" {
			t.Errorf("%s %+v", diff, again)
		}
		// The first receiving's handle is no longer good for the message.
		w.do("DeleteMessage", `{"QueueUrl":"`+url+`q","ReceiptHandle":"`+got[0].ReceiptHandle+`"}`)
		w.refused("ReceiptHandleIsInvalid", "DeleteMessage", `{"QueueUrl":"`+url+`q","ReceiptHandle":"x"}`)
		w.do("ChangeMessageVisibility", `{"QueueUrl":"`+url+`q","ReceiptHandle":"`+again[0].ReceiptHandle+`","VisibilityTimeout":0}`)
		last := w.receive("q", "")
		if diff := cmp.Diff([]string{"one"}, bodies(last)); diff != "" {
			t.Fatal(diff)
		}
		w.do("DeleteMessage", `{"QueueUrl":"`+url+`q","ReceiptHandle":"`+last[0].ReceiptHandle+`"}`)
		w.refused("MessageNotInflight", "ChangeMessageVisibility", `{"QueueUrl":"`+url+`q","ReceiptHandle":"`+last[0].ReceiptHandle+`","VisibilityTimeout":1}`)
		time.Sleep(time.Hour)
		if diff := cmp.Diff([]string{"two"}, bodies(w.receive("q", ""))); diff != "" {
			t.Error(diff)
		}
		time.Sleep(5 * 24 * time.Hour)
		if left := w.receive("q", ""); left != nil {
			t.Errorf("after the retention period: %+v", left)
		}
	})
}

func TestReceivingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.do("CreateQueue", `{"QueueName":"q"}`)
		began := time.Now()
		if got := w.receive("q", `,"WaitTimeSeconds":3`); got != nil || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v", got, time.Since(began))
		}
		began = time.Now()
		got := make(chan []message)
		go func() { got <- w.receive("q", `,"WaitTimeSeconds":20`) }()
		time.Sleep(4 * time.Second)
		w.do("SendMessage", `{"QueueUrl":"`+url+`q","MessageBody":"one"}`)
		if diff := cmp.Diff([]string{"one"}, bodies(<-got)); diff != "" || time.Since(began) != 4*time.Second {
			t.Errorf("%s after %v", diff, time.Since(began))
		}
		// A message that becomes visible while one waits.
		began = time.Now()
		if got := w.receive("q", `,"WaitTimeSeconds":20,"VisibilityTimeout":5`); got != nil || time.Since(began) != 20*time.Second {
			t.Errorf("%v after %v", got, time.Since(began))
		}
		if got := w.receive("q", `,"WaitTimeSeconds":20`); len(got) != 1 || time.Since(began) != 30*time.Second {
			t.Errorf("%v after %v", got, time.Since(began))
		}
	})
}

func TestDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		redrive := `{\"deadLetterTargetArn\":\"` + prefix + `dead\",\"maxReceiveCount\":\"2\"}`
		w.refused("InvalidParameterValue", "CreateQueue", `{"QueueName":"q","Attributes":{"RedrivePolicy":"`+redrive+`"}}`)
		w.do("CreateQueue", `{"QueueName":"dead"}`)
		w.do("CreateQueue", `{"QueueName":"q","Attributes":{"RedrivePolicy":"`+redrive+`","VisibilityTimeout":"1"}}`)
		w.do("SendMessage", `{"QueueUrl":"`+url+`q","MessageBody":"poison"}`)
		for range 2 {
			if got := w.receive("q", ""); len(got) != 1 {
				t.Fatalf("%+v", got)
			}
			time.Sleep(2 * time.Second)
		}
		if got := w.receive("q", ""); got != nil {
			t.Errorf("received a third time: %+v", got)
		}
		got := w.receive("dead", "")
		if diff := cmp.Diff([]string{"poison"}, bodies(got)); diff != "" {
			t.Fatal(diff)
		}
		if got[0].Attributes["DeadLetterQueueSourceArn"] != prefix+"q" {
			t.Error(got[0].Attributes)
		}
		if got := w.do("ListDeadLetterSourceQueues", `{"QueueUrl":"`+url+`dead"}`); got != `{"queueUrls":["`+url+`q"]}` {
			t.Error(got)
		}
	})
}

func TestBatches(t *testing.T) {
	w := newWorld(t)
	w.do("CreateQueue", `{"QueueName":"q"}`)
	send := func(entries string) string { return `{"QueueUrl":"` + url + `q","Entries":[` + entries + `]}` }
	got := w.do("SendMessageBatch", send(`{"Id":"a","MessageBody":"one"},{"Id":"b","MessageBody":""},{"Id":"c","MessageBody":"three"}`))
	if !strings.Contains(got, `"Failed":[{"Id":"b","SenderFault":true,"Code":"MissingParameter"`) {
		t.Error(got)
	}
	list := w.receive("q", "")
	if diff := cmp.Diff([]string{"one", "three"}, bodies(list)); diff != "" {
		t.Fatal(diff)
	}
	got = w.do("DeleteMessageBatch", send(`{"Id":"a","ReceiptHandle":"`+list[0].ReceiptHandle+`"},{"Id":"b","ReceiptHandle":"x"}`))
	if !strings.Contains(got, `{"Successful":[{"Id":"a"}],"Failed":[{"Id":"b","SenderFault":true,"Code":"ReceiptHandleIsInvalid"`) {
		t.Error(got)
	}
	if got := w.do("ChangeMessageVisibilityBatch", send(`{"Id":"a","ReceiptHandle":"`+list[1].ReceiptHandle+`","VisibilityTimeout":0}`)); got != `{"Successful":[{"Id":"a"}]}` {
		t.Error(got)
	}
	w.refused("EmptyBatchRequest", "SendMessageBatch", send(""))
	w.refused("BatchEntryIdsNotDistinct", "SendMessageBatch", send(`{"Id":"a","MessageBody":"1"},{"Id":"a","MessageBody":"2"}`))
	w.refused("InvalidBatchEntryId", "SendMessageBatch", send(`{"Id":"?","MessageBody":"1"}`))
	w.do("PurgeQueue", `{"QueueUrl":"`+url+`q"}`)
	if got := w.receive("q", ""); got != nil {
		t.Errorf("after purging: %+v", got)
	}
}

func TestQueues(t *testing.T) {
	w := newWorld(t)
	w.refused("QueueDoesNotExist", "GetQueueAttributes", `{"QueueUrl":"`+url+`q"}`)
	w.refused("InvalidParameterValue", "CreateQueue", `{"QueueName":"a b"}`)
	w.refused("UnsupportedOperation", "CreateQueue", `{"QueueName":"a.fifo","Attributes":{"FifoQueue":"true"}}`)
	w.refused("InvalidAttributeName", "CreateQueue", `{"QueueName":"q","Attributes":{"Colour":"red"}}`)
	w.refused("InvalidParameterValue", "CreateQueue", `{"QueueName":"q","Attributes":{"DelaySeconds":"901"}}`)
	w.refused("InvalidParameterValue", "CreateQueue", `{"QueueName":"q","Attributes":{"Policy":"{}"}}`)
	w.do("CreateQueue", `{"QueueName":"q","Attributes":{"DelaySeconds":"1"},"tags":{"a":"b"}}`)
	w.do("CreateQueue", `{"QueueName":"q","Attributes":{"DelaySeconds":"1"}}`)
	w.refused("QueueNameExists", "CreateQueue", `{"QueueName":"q","Attributes":{"DelaySeconds":"2"}}`)
	w.do("SetQueueAttributes", `{"QueueUrl":"`+url+`q","Attributes":{"KmsMasterKeyId":"alias/k","DelaySeconds":"3"}}`)
	a := w.attributes("q")
	if a["KmsMasterKeyId"] != "alias/k" || a["SqsManagedSseEnabled"] != "false" || a["DelaySeconds"] != "3" || a["QueueArn"] != prefix+"q" {
		t.Error(a)
	}
	w.do("TagQueue", `{"QueueUrl":"`+url+`q","Tags":{"c":"d"}}`)
	w.do("UntagQueue", `{"QueueUrl":"`+url+`q","TagKeys":["a"]}`)
	if got := w.do("ListQueueTags", `{"QueueUrl":"`+url+`q"}`); got != `{"Tags":{"c":"d"}}` {
		t.Error(got)
	}
	if got := w.do("ListQueues", `{}`); got != `{"QueueUrls":["`+url+`q"]}` {
		t.Error(got)
	}
	if got := w.do("GetQueueUrl", `{"QueueName":"q"}`); got != `{"QueueUrl":"`+url+`q"}` {
		t.Error(got)
	}
	w.do("DeleteQueue", `{"QueueUrl":"`+url+`q"}`)
	_, _, err := rpctest.Query(w, "GetQueueAttributes", "QueueUrl", url+"q")
	var e *awsapi.Error
	if !errors.As(err, &e) || e.Code != "AWS.SimpleQueueService.NonExistentQueue" {
		t.Errorf("in the query protocol: %v", err)
	}
}

func TestQueryProtocolAndRecords(t *testing.T) {
	w := newWorld(t)
	call, got, err := rpctest.Query(w, "CreateQueue", "QueueName", "q", "Attribute.1.Name", "DelaySeconds", "Attribute.1.Value", "0", "Tag.1.Key", "a", "Tag.1.Value", "b")
	if err != nil || !strings.Contains(got, "<QueueUrl>"+url+"q</QueueUrl>") {
		t.Fatal(got, err)
	}
	want := map[string]any{"queueName": "q", "attributes": map[string]any{"DelaySeconds": "0"}, "tags": map[string]any{"a": "b"}}
	if diff := cmp.Diff(want, call.Record.RequestParameters); diff != "" || call.Record.Data {
		t.Error(diff)
	}
	call, _, err = rpctest.Query(w, "SendMessage", "QueueUrl", url+"q", "MessageBody", "secret")
	want = map[string]any{"queueUrl": url + "q", "messageBody": "HIDDEN_DUE_TO_SECURITY_REASONS"}
	if diff := cmp.Diff(want, call.Record.RequestParameters); diff != "" || err != nil || !call.Record.Data || call.Record.ReadOnly {
		t.Error(diff, err)
	}
	if e, _ := call.Record.ResponseElements.(map[string]any); e["messageId"] == nil || e["mD5OfMessageBody"] == nil {
		t.Error(call.Record.ResponseElements)
	}
	if r := call.Record.Resources; len(r) != 1 || r[0].ARN != prefix+"q" || r[0].Type != "AWS::SQS::Queue" {
		t.Error(r)
	}
	call, got, err = rpctest.Query(w, "ReceiveMessage", "QueueUrl", url+"q", "AttributeName.1", "All")
	if err != nil || !strings.Contains(got, "<Message><MessageId>") || !strings.Contains(got, "<Body>secret</Body><Attribute><Name>") {
		t.Error(got, err)
	}
	if !call.Record.ReadOnly || call.Record.ResponseElements != nil {
		t.Errorf("%+v", call.Record)
	}
}

func TestServicesSendAsThePolicySays(t *testing.T) {
	w := newWorld(t)
	send := sqs.Send{Queue: prefix + "q", Service: "sns.amazonaws.com", Source: "arn:aws:sns:us-east-1:111122223333:t", Body: "b"}
	tx := func() error { return w.state.Update(func(tx *state.Tx) error { return w.SendTx(tx, send) }) }
	var e *awsapi.Error
	if err := tx(); !errors.As(err, &e) || e.Code != "QueueDoesNotExist" {
		t.Error(err)
	}
	w.do("CreateQueue", `{"QueueName":"q"}`)
	if err := tx(); !errors.As(err, &e) || e.Code != "AccessDenied" {
		t.Error(err)
	}
	policy, err := json.Marshal(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"SQS:SendMessage","Resource":"` +
		prefix + `q","Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:us-east-1:111122223333:t"}}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	w.do("SetQueueAttributes", `{"QueueUrl":"`+url+`q","Attributes":{"Policy":`+string(policy)+`}}`)
	if err := tx(); err != nil {
		t.Error(err)
	}
	send.Source += "x"
	if err := w.CheckSend(send); !errors.As(err, &e) || e.Code != "AccessDenied" {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"b"}, bodies(w.receive("q", ""))); diff != "" {
		t.Error(diff)
	}
}
