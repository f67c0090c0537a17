package endpoint

import (
	"context"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/kms"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/sns"
	"github.com/aitrail/aitrail/internal/endpoint/sqs"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// The service principals that services act for one another as.
const (
	cloudTrail = "cloudtrail.amazonaws.com"
	simpleS3   = "s3.amazonaws.com"
)

// keys is KMS as other services use it.
type keys struct{ *kms.Service }

// trail finds a key that CloudTrail may encrypt with for a trail
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html).
func (k keys) trail(_ context.Context, region, id, trail string) (string, error) {
	source := policy.Context{"aws:SourceArn": {trail}}
	encrypt := kms.Use{
		Region: region, Key: id, Service: cloudTrail, Actions: []string{"kms:GenerateDataKey"}, Context: source,
		EncryptionContext: map[string]string{"aws:cloudtrail:arn": trail},
	}
	if _, err := k.Use(encrypt); err != nil {
		return "", err
	}
	return k.Use(kms.Use{Region: region, Key: id, Service: cloudTrail, Actions: []string{"kms:DescribeKey"}, Context: source})
}

// group finds a key that CloudWatch Logs may use for a log group.
func (k keys) group(region, id, group string) (string, error) {
	return k.Use(kms.Use{
		Region: region, Key: id, Service: "logs." + region + ".amazonaws.com",
		Actions:           []string{"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"},
		EncryptionContext: map[string]string{"aws:logs:arn": group},
	})
}

// topic tells whether a service may publish under a topic's key. AWS's own key lets every service.
func (k keys) topic(region, id, service, source string) error {
	if strings.HasSuffix(id, "alias/aws/sns") {
		return nil
	}
	_, err := k.Use(kms.Use{
		Region: region, Key: id, Service: service, Actions: []string{"kms:GenerateDataKey", "kms:Decrypt"},
		Context: policy.Context{"aws:SourceArn": {source}},
	})
	return err
}

// topics is SNS as trails tell of their files.
type topics struct {
	*sns.Service
	account string
}

// CheckTopic implements trail.Topics.
func (t topics) CheckTopic(region, topic, trail string) (string, error) {
	if !strings.HasPrefix(topic, "arn:") {
		partition, _, _ := strings.Cut(strings.TrimPrefix(trail, "arn:"), ":")
		topic = "arn:" + partition + ":sns:" + region + ":" + t.account + ":" + topic
	}
	return topic, t.CheckPublish(sns.Publication{Topic: topic, Service: cloudTrail, Source: trail})
}

// PublishTx implements trail.Topics.
func (t topics) PublishTx(tx *state.Tx, topic, trail, message string) error {
	return t.Service.PublishTx(tx, sns.Publication{Topic: topic, Service: cloudTrail, Source: trail, Message: message})
}

// notifier is SQS and SNS as buckets notify them.
type notifier struct {
	store  *state.Store
	queues *sqs.Service
	topics *sns.Service
}

func (n notifier) isTopic(arn string) bool { return strings.Contains(arn, ":sns:") }

// CheckNotify implements s3.Notifier.
func (n notifier) CheckNotify(arn, bucket string) error {
	if n.isTopic(arn) {
		return n.topics.CheckPublish(publication(arn, bucket, ""))
	}
	return n.queues.CheckSend(send(arn, bucket, ""))
}

// Notify implements s3.Notifier.
func (n notifier) Notify(arn, bucket, message string) error {
	return n.store.Update(func(tx *state.Tx) error {
		if n.isTopic(arn) {
			return n.topics.PublishTx(tx, publication(arn, bucket, message))
		}
		return n.queues.SendTx(tx, send(arn, bucket, message))
	})
}

func publication(arn, bucket, message string) sns.Publication {
	return sns.Publication{Topic: arn, Service: simpleS3, Source: "arn:aws:s3:::" + bucket, Subject: "Amazon S3 Notification", Message: message}
}

func send(arn, bucket, message string) sqs.Send {
	return sqs.Send{Queue: arn, Service: simpleS3, Source: "arn:aws:s3:::" + bucket, Body: message}
}
