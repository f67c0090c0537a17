package s3

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/s3/disk"
)

// Notifier sends messages to queues and topics for S3. Its methods may be called concurrently.
type Notifier interface {
	// CheckNotify tells whether S3 may send to the queue or topic with that ARN for the bucket.
	CheckNotify(arn, bucket string) error
	// Notify sends a message there. The message is durable when it returns nil.
	Notify(arn, bucket, message string) error
}

// notification is one entry of a bucket's notification configuration.
type notification struct {
	ID     string   `xml:"Id"`
	Queue  string   `xml:"Queue"`
	Topic  string   `xml:"Topic"`
	Events []string `xml:"Event"`
	Rules  []struct {
		Name, Value string
	} `xml:"Filter>S3Key>FilterRule"`
}

func (n *notification) target() string { return n.Queue + n.Topic }

type notifications struct {
	Queues  []notification `xml:"QueueConfiguration"`
	Topics  []notification `xml:"TopicConfiguration"`
	Lambdas []struct{}     `xml:"CloudFunctionConfiguration"`
}

func (n *notifications) all() []notification {
	return append(n.Queues[:len(n.Queues):len(n.Queues)], n.Topics...)
}

// checkNotification refuses destinations that don't let S3 send, and tells the others that they have been chosen.
func (s *Service) checkNotification(q *request) error {
	var n notifications
	if xml.Unmarshal(q.Body, &n) != nil {
		return malformedXML()
	}
	if len(n.Lambdas) > 0 {
		return invalid("Unable to validate the following destination configurations")
	}
	for _, entry := range n.all() {
		if len(entry.Events) == 0 {
			return malformedXML()
		}
		for _, event := range entry.Events {
			if !strings.HasPrefix(event, "s3:") {
				return invalid("A specified event is not supported for notifications.")
			}
		}
		for _, rule := range entry.Rules {
			if name := strings.ToLower(rule.Name); name != "prefix" && name != "suffix" {
				return invalid("filter rule name must be either prefix or suffix")
			}
		}
		if s.notify == nil || s.notify.CheckNotify(entry.target(), q.bucket) != nil {
			return invalid("Unable to validate the following destination configurations")
		}
	}
	if q.header("X-Amz-Skip-Destination-Validation") == "true" {
		return nil
	}
	for _, entry := range n.all() {
		text, err := json.Marshal(map[string]string{
			"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": q.Time.Format(timeFormat), "Bucket": q.bucket,
			"RequestId": q.ID, "HostId": extendedID(q.ID),
		})
		if err == nil {
			err = s.notify.Notify(entry.target(), q.bucket, string(text))
		}
		if err != nil {
			return fmt.Errorf("telling %s: %w", entry.target(), err)
		}
	}
	return nil
}

// happening is what notifications tell of.
type happening struct {
	event     string // "ObjectCreated:Put"
	bucket    string
	object    disk.Object
	at        time.Time
	principal string
	source    string // the caller's address
	request   string // its id
}

// eventOf is the event that a call is, "" for none.
func (q *request) eventOf(marker bool) string {
	switch {
	case q.op.name == "PutObject":
		return "ObjectCreated:Put"
	case q.op.name == "CopyObject":
		return "ObjectCreated:Copy"
	case q.op.name == "CompleteMultipartUpload":
		return "ObjectCreated:CompleteMultipartUpload"
	case q.op.name == "DeleteObject" && marker:
		return "ObjectRemoved:DeleteMarkerCreated"
	case q.op.name == "DeleteObject":
		return "ObjectRemoved:Delete"
	}
	return ""
}

// announce notifies of what a call did. As at AWS, the caller isn't told when that fails.
func (s *Service) announce(q *request, resp *awsapi.Response) {
	event := q.eventOf(resp.Header.Get("X-Amz-Delete-Marker") == "true")
	if _, ok := s.config.get(q.bucket, "notification"); event == "" || !ok {
		return
	}
	o := disk.Object{Key: q.key, Version: resp.Header.Get("X-Amz-Version-Id")}
	if strings.HasPrefix(event, "ObjectCreated") {
		there, err := s.store.Head(q.bucket, q.key, o.Version)
		if err != nil {
			return // gone again
		}
		o = there
	}
	s.tell(happening{event, q.bucket, o, q.Time, "AWS:" + q.Caller.PrincipalID, q.Request.RemoteAddr, q.ID})
}

// tell sends an event to whom the bucket's configuration names.
func (s *Service) tell(h happening) {
	text, ok := s.config.get(h.bucket, "notification")
	var n notifications
	if !ok || s.notify == nil || xml.Unmarshal([]byte(text), &n) != nil {
		return
	}
	for _, entry := range n.all() {
		if !entry.wants(h.event, h.object.Key) {
			continue
		}
		if message, err := json.Marshal(s.eventJSON(h, entry.ID)); err == nil {
			_ = s.notify.Notify(entry.target(), h.bucket, string(message)) // lost, as at AWS when the target has gone
		}
	}
}

// wants tells whether an entry is about an event of an object.
func (n *notification) wants(event, key string) bool {
	for _, rule := range n.Rules {
		switch strings.ToLower(rule.Name) {
		case "prefix":
			if !strings.HasPrefix(key, rule.Value) {
				return false
			}
		case "suffix":
			if !strings.HasSuffix(key, rule.Value) {
				return false
			}
		}
	}
	for _, wanted := range n.Events {
		prefix, all := strings.CutSuffix(wanted, "*")
		if wanted == "s3:"+event || all && strings.HasPrefix("s3:"+event, prefix) {
			return true
		}
	}
	return false
}

// eventJSON is the message
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).
func (s *Service) eventJSON(h happening, configuration string) any {
	region := "us-east-1"
	if info, err := s.store.Bucket(h.bucket); err == nil && info.Region != "" {
		region = info.Region
	}
	object := map[string]any{
		"key":       strings.ReplaceAll(url.QueryEscape(h.object.Key), "%2F", "/"),
		"sequencer": fmt.Sprintf("%018X", h.at.UnixNano()),
	}
	if h.object.Version != "" {
		object["versionId"] = h.object.Version
	}
	if strings.HasPrefix(h.event, "ObjectCreated") {
		object["size"], object["eTag"] = h.object.Size, h.object.ETag
	}
	host, _, _ := strings.Cut(h.source, ":")
	return map[string]any{"Records": []any{map[string]any{
		"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": region,
		"eventTime": h.at.UTC().Format(timeFormat), "eventName": h.event,
		"userIdentity":      map[string]string{"principalId": h.principal},
		"requestParameters": map[string]string{"sourceIPAddress": host},
		"responseElements":  map[string]string{"x-amz-request-id": h.request, "x-amz-id-2": extendedID(h.request)},
		"s3": map[string]any{
			"s3SchemaVersion": "1.0", "configurationId": configuration,
			"bucket": map[string]any{
				"name": h.bucket, "ownerIdentity": map[string]string{"principalId": ownerID(s.account)}, "arn": bucketARN(h.bucket),
			},
			"object": object,
		},
	}}}
}
