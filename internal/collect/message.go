package collect

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// told is an object that a message tells of.
type told struct {
	Bucket, Key string
	Size        int64
	ETag        string
}

// messageDepth is how often a message may be wrapped in another: a notification of SNS in one of SQS, in one of SNS.
const messageDepth = 4

// parseMessage reads a queue's message. It tells of new objects in one of these ways, each as it is or wrapped in a
// notification of SNS (https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html):
//
//   - S3's event (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html)
//   - S3's event by EventBridge (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html)
//   - CloudTrail's own (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/configure-cloudtrail-to-send-notifications.html)
//
// Messages that tell of nothing new, as S3's and CloudTrail's test messages and those of deleted objects, give no
// objects. The error says why a message is of another kind.
func parseMessage(body string) ([]told, error) { return parseWrapped(body, messageDepth) }

func parseWrapped(body string, depth int) ([]told, error) {
	if isTest(body) {
		return nil, nil
	}
	var m struct {
		Type    string          // of SNS
		Message json.RawMessage // of SNS
		Event   string          // of S3's test

		Records []struct {
			EventSource string `json:"eventSource"`
			EventName   string `json:"eventName"`
			S3          struct {
				Bucket struct{ Name string }
				Object struct {
					Key, ETag string
					Size      int64
				}
			}
		}

		Source     string
		DetailType string `json:"detail-type"`
		Detail     struct {
			Bucket struct{ Name string }
			Object struct {
				Key, ETag string
				Size      int64
			}
		}

		S3Bucket    string   `json:"s3Bucket"`
		S3ObjectKey []string `json:"s3ObjectKey"`
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		return nil, fmt.Errorf("it is not a JSON object of a known kind")
	}
	var list []told
	switch {
	case m.Type == "Notification":
		var inner string
		if json.Unmarshal(m.Message, &inner) != nil || depth == 0 {
			return nil, fmt.Errorf("it is a notification of SNS whose Message is no text")
		}
		return parseWrapped(inner, depth-1)
	case m.Event == "s3:TestEvent":
		return nil, nil
	case m.Source == "aws.s3" && m.DetailType == "Object Created":
		list = []told{{m.Detail.Bucket.Name, m.Detail.Object.Key, m.Detail.Object.Size, m.Detail.Object.ETag}}
	case m.Source == "aws.s3":
		return nil, nil
	case m.S3Bucket != "":
		for _, key := range m.S3ObjectKey {
			list = append(list, told{Bucket: m.S3Bucket, Key: key})
		}
	case len(m.Records) > 0:
		for _, r := range m.Records {
			if r.EventSource != "aws:s3" {
				return nil, fmt.Errorf("its record is of %q, not of aws:s3", r.EventSource)
			}
			if !strings.HasPrefix(strings.TrimPrefix(r.EventName, "s3:"), "ObjectCreated:") {
				continue
			}
			key, err := url.QueryUnescape(r.S3.Object.Key)
			if err != nil {
				return nil, fmt.Errorf("its key %q is not encoded as S3 does", r.S3.Object.Key)
			}
			list = append(list, told{r.S3.Bucket.Name, key, r.S3.Object.Size, strings.Trim(r.S3.Object.ETag, `"`)})
		}
	default:
		return nil, fmt.Errorf("it tells of no object: neither S3, EventBridge nor CloudTrail wrote it")
	}
	for _, o := range list {
		if o.Bucket == "" || o.Key == "" {
			return nil, fmt.Errorf("it names no bucket or key")
		}
	}
	return list, nil
}

// isTest tells whether a message is what CloudTrail sends to try a topic.
func isTest(body string) bool {
	return strings.HasPrefix(strings.Trim(body, "\" \n"), "CloudTrail validation message")
}
