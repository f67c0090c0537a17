package collect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/endpoint"
	"github.com/aitrail/aitrail/internal/lake"
)

// cloud is a local endpoint, as AWS clients of the test use it.
type cloud struct {
	t   *testing.T
	cfg aws.Config
	s3  *s3.Client
	sqs *sqs.Client

	server *endpoint.Server
}

func local(t *testing.T) *cloud {
	t.Helper()
	server, err := endpoint.New(endpoint.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		web.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	environment(t, web.URL)
	id, secret := server.RootKey()
	t.Setenv("AWS_ACCESS_KEY_ID", id)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &cloud{t, cfg, s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }), sqs.NewFromConfig(cfg), server}
}

func (c *cloud) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cloud) bucket(name string) {
	c.t.Helper()
	_, err := c.s3.CreateBucket(c.t.Context(), &s3.CreateBucketInput{Bucket: &name})
	c.must(err)
}

func (c *cloud) put(bucket, key string) {
	c.t.Helper()
	_, err := c.s3.PutObject(c.t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(oneEvent(key))})
	c.must(err)
}

// queue makes a queue that a bucket may tell of its objects, and returns its URL.
func (c *cloud) queue(name string, attributes map[string]string) string {
	c.t.Helper()
	all := map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}]}`,
	}
	for name, value := range attributes {
		all[name] = value
	}
	q, err := c.sqs.CreateQueue(c.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: all})
	c.must(err)
	return *q.QueueUrl
}

func (c *cloud) notify(bucket, queue string) {
	c.t.Helper()
	_, err := c.s3.PutBucketNotificationConfiguration(c.t.Context(), &s3.PutBucketNotificationConfigurationInput{
		Bucket: &bucket, NotificationConfiguration: &types.NotificationConfiguration{QueueConfigurations: []types.QueueConfiguration{{
			QueueArn: aws.String("arn:aws:sqs:us-east-1:111122223333:" + queue), Events: []types.Event{"s3:ObjectCreated:*"},
		}}},
	})
	c.must(err)
}

func (c *cloud) send(queue, body string) {
	c.t.Helper()
	_, err := c.sqs.SendMessage(c.t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &body})
	c.must(err)
}

// left returns how many messages a queue holds, hidden ones included.
func (c *cloud) left(queue string) string {
	c.t.Helper()
	out, err := c.sqs.GetQueueAttributes(c.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []sqstypes.QueueAttributeName{"All"}})
	c.must(err)
	return out.Attributes["ApproximateNumberOfMessages"] + "+" + out.Attributes["ApproximateNumberOfMessagesNotVisible"]
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// wrapped is a notification of SNS.
func wrapped(message string) string {
	return text(map[string]string{"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:us-east-1:111122223333:t", "Message": message})
}

func s3Event(bucket, key string) string {
	return fmt.Sprintf(`{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":%q},"object":{"key":%q,"size":1,"eTag":"x"}}}]}`, bucket, url.QueryEscape(key))
}

// TestFollowQueue takes messages of every kind from a queue, good and bad.
func TestFollowQueue(t *testing.T) {
	c := local(t)
	c.bucket("trail")
	c.bucket("others")
	q := c.queue("files", nil)
	c.notify("trail", "files") // sends a test message
	var want []string
	name := func(n int) string {
		k := key("111122223333", "us-east-1", noon, n)
		want = append(want, k)
		return k
	}
	before := []string{name(1), name(2), name(3), name(4)}
	for _, k := range before[1:] { // the queue doesn't hear of these from S3
		c.put("others", k)
	}
	c.put("trail", before[0])
	c.send(q, wrapped(s3Event("others", before[1])))
	c.send(q, text(map[string]any{"source": "aws.s3", "detail-type": "Object Created", "detail": map[string]any{
		"bucket": map[string]string{"name": "others"}, "object": map[string]any{"key": before[2], "size": 1, "etag": "x"}}}))
	c.send(q, wrapped(text(map[string]any{"s3Bucket": "others", "s3ObjectKey": []string{before[3], before[1]}})))
	c.send(q, wrapped("CloudTrail validation message."))
	c.send(q, "not JSON")
	c.send(q, s3Event("strangers", "AWSLogs/x.json.gz"))
	c.send(q, s3Event("others", key("111122223333", "us-east-1", noon, 99))) // never was there
	c.send(q, s3Event("others", "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/03/01/111122223333_CloudTrail-Digest_us-east-1_t_us-east-1_20260301T120000Z.json.gz"))

	source := "sqs:" + q
	opts := collect.Options{Settings: map[string]collect.Settings{source: {Buckets: []string{"trail", "others"}}}}
	l := newLake(t, t.TempDir())
	r := follow(t, l, opts, source)
	r.collected(4)
	r.until("an empty queue", func() bool { return c.left(q) == "0+0" })
	live := name(5)
	c.put("trail", live)
	r.collected(5)
	r.until("an empty queue", func() bool { return c.left(q) == "0+0" })
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var got []string
	for _, o := range objects(t, l) {
		got = append(got, strings.TrimPrefix(o, "s3://others/"))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log files (-want +got):\n%s", diff)
	}
	reasons := map[string]bool{}
	for f, err := range l.LogFiles(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Status == lake.StatusQuarantined {
			for _, part := range []string{"message can't be used", "s3://strangers/", "deleted before it was read"} {
				if strings.Contains(f.Reason, part) {
					reasons[part] = true
				}
			}
		}
	}
	if len(reasons) != 3 || r.Sources()[0].Poison != 4 || r.Report().Failed > 0 { // the digest was deleted too
		t.Errorf("quarantine has %v, %+v; %d could not be read", reasons, r.Sources(), r.Report().Failed)
	}
}

// TestQueueRedrive leaves bad messages to the redrive policy of a queue that has one.
func TestQueueRedrive(t *testing.T) {
	c := local(t)
	c.bucket("trail")
	c.queue("dead", nil)
	q := c.queue("files", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111122223333:dead","maxReceiveCount":"2"}`})
	c.send(q, "not JSON")
	k := key("111122223333", "us-east-1", noon, 1)
	c.put("trail", k)
	c.send(q, s3Event("trail", k))
	source := "sqs:" + q
	opts := collect.Options{Settings: map[string]collect.Settings{source: {Buckets: []string{"trail"}}}}
	report, err := collect.Collect(t.Context(), newLake(t, t.TempDir()), []string{source}, opts)
	if err != nil || report.Collected != 1 || report.Quarantined != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if got := c.left(q); got != "0+1" {
		t.Errorf("the queue holds %s messages", got)
	}
}

// TestQueueKeepsUncommitted kills a collector before its commit: the messages come again.
func TestQueueKeepsUncommitted(t *testing.T) {
	c := local(t)
	c.bucket("trail")
	q := c.queue("files", nil)
	k := key("111122223333", "us-east-1", noon, 1)
	c.put("trail", k)
	c.send(q, s3Event("trail", k))
	source := "sqs:" + q
	opts := collect.Options{BatchAge: time.Hour, Settings: map[string]collect.Settings{source: {Buckets: []string{"trail"}}}}
	l := newLake(t, t.TempDir())
	r := follow(t, l, opts, source)
	r.until("a file read", func() bool { return r.Report().Found == 1 })
	if got := c.left(q); got != "0+1" {
		t.Errorf("before the commit the queue holds %s messages", got)
	}
	if err := r.stop(); !errors.Is(err, context.Canceled) { // commits, and deletes then
		t.Fatal(err)
	}
	if got := c.left(q); got != "0+0" || len(rows(t, l)) != 1 {
		t.Errorf("after the commit the queue holds %s messages", got)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(s3Event("b", "k"))
	f.Add(wrapped(wrapped(s3Event("b", "k"))))
	f.Add(wrapped(text(map[string]any{"s3Bucket": "b", "s3ObjectKey": []string{"k"}})))
	f.Add(`{"Records":[{"s3":{}}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		list, err := collect.ParseMessage(body)
		if err != nil && len(list) > 0 {
			t.Errorf("%q gives objects and %v", body, err)
		}
		for _, o := range list {
			if o.Bucket == "" || o.Key == "" {
				t.Errorf("%q gives %+v", body, o)
			}
			again, err := collect.ParseMessage(wrapped(s3Event(o.Bucket, o.Key)))
			if err != nil || len(again) != 1 || again[0].Key != o.Key && strings.ToValidUTF8(o.Key, "") == o.Key {
				t.Errorf("%+v, told again: %+v, %v", o, again, err)
			}
		}
	})
}
