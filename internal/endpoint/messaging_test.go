package endpoint_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint"
)

// json makes a signed AWS JSON call and returns the answer, or the error's text.
func (b *bench) json(t *testing.T, service, target, body string) string {
	t.Helper()
	return b.jsonAs(t, b.root, service, target, body)
}

func (b *bench) jsonAs(t *testing.T, who aws.Config, service, target, body string) string {
	t.Helper()
	version := "1.1"
	if service == "sqs" {
		version = "1.0"
	}
	_, answer := doSigned(t, "POST", b.url+"/", body, func(r *http.Request) { signFor(t, who, r, service, "us-east-1") },
		"X-Amz-Target", target, "Content-Type", "application/x-amz-json-"+version)
	return answer
}

// query makes a signed call of the query protocol.
func (b *bench) query(t *testing.T, service string, parameters ...string) string {
	t.Helper()
	v := url.Values{"Version": {"2010-03-31"}}
	for i := 0; i < len(parameters); i += 2 {
		v.Set(parameters[i], parameters[i+1])
	}
	_, answer := doSigned(t, "POST", b.url+"/", v.Encode(), func(r *http.Request) { signFor(t, b.root, r, service, "us-east-1") },
		"Content-Type", "application/x-www-form-urlencoded")
	return answer
}

// member returns a member of a JSON object, by its path.
func member(t *testing.T, text string, path ...any) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				t.Fatalf("%s has no %v", text, path)
			}
			v = l[step]
		}
	}
	return v
}

func has(t *testing.T, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("got %s, want %s in it", text, want)
	}
}

const (
	trailARN = "arn:aws:cloudtrail:us-east-1:111122223333:trail/ai-trail"
	topicARN = "arn:aws:sns:us-east-1:111122223333:files"
	queueARN = "arn:aws:sqs:us-east-1:111122223333:files"
)

// allowService is a policy that lets a service do something.
func allowService(service, action, resource, source string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"` + action +
		`","Resource":"` + resource + `","Condition":{"ArnLike":{"aws:SourceArn":"` + source + `"}}}]}`
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// logBucket makes a bucket that trails may deliver to.
func (b *bench) logBucket(t *testing.T) {
	t.Helper()
	c := s3.NewFromConfig(b.root, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("logs")}); err != nil {
		t.Fatal(err)
	}
	document := allowService("cloudtrail.amazonaws.com", "s3:*", "arn:aws:s3:::logs*", "arn:aws:cloudtrail:*:*:*")
	document = strings.Replace(document, `"arn:aws:s3:::logs*"`, `["arn:aws:s3:::logs","arn:aws:s3:::logs/*"]`, 1)
	if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("logs"), Policy: &document}); err != nil {
		t.Fatal(err)
	}
}

func TestEncryptedTrailTellsItsTopic(t *testing.T) {
	b := open(t, endpoint.Options{})
	b.logBucket(t)
	trails := cloudtrail.NewFromConfig(b.root)
	create := func() error {
		_, err := trails.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{
			Name: aws.String("ai-trail"), S3BucketName: aws.String("logs"),
			SnsTopicName: aws.String("files"), KmsKeyId: aws.String("alias/logs"),
		})
		return err
	}
	refused := func(code string) {
		t.Helper()
		if err := create(); err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("CreateTrail = %v, want %s", err, code)
		}
	}
	refused("InsufficientSnsTopicPolicyException") // no such topic
	b.query(t, "sns", "Action", "CreateTopic", "Name", "files")
	refused("InsufficientSnsTopicPolicyException") // its policy lets only the account in
	b.query(t, "sns", "Action", "SetTopicAttributes", "TopicArn", topicARN, "AttributeName", "Policy",
		"AttributeValue", allowService("cloudtrail.amazonaws.com", "SNS:Publish", topicARN, trailARN))
	refused("KmsKeyNotFoundException")
	id, _ := member(t, b.json(t, "kms", "TrentService.CreateKey", `{}`), "KeyMetadata", "KeyId").(string)
	b.json(t, "kms", "TrentService.CreateAlias", `{"AliasName":"alias/logs","TargetKeyId":"`+id+`"}`)
	refused("InsufficientEncryptionPolicyException")
	key := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},` +
		`{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":["kms:GenerateDataKey*","kms:DescribeKey"],"Resource":"*",` +
		`"Condition":{"StringEquals":{"aws:SourceArn":"` + trailARN + `"}}}]}`
	put := func(policy string) string {
		return b.json(t, "kms", "TrentService.PutKeyPolicy", `{"KeyId":"`+id+`","PolicyName":"default","Policy":`+quote(policy)+`}`)
	}
	put(strings.Replace(key, trailARN, trailARN+"x", 1))
	refused("InsufficientEncryptionPolicyException")
	put(key)
	b.json(t, "kms", "TrentService.DisableKey", `{"KeyId":"`+id+`"}`)
	refused("KmsKeyDisabledException")
	b.json(t, "kms", "TrentService.EnableKey", `{"KeyId":"`+id+`"}`)
	if err := create(); err != nil {
		t.Fatal(err)
	}

	b.json(t, "sqs", "AmazonSQS.CreateQueue", `{"QueueName":"files"}`)
	b.json(t, "sqs", "AmazonSQS.SetQueueAttributes", `{"QueueUrl":"`+b.url+`/111122223333/files","Attributes":{"Policy":`+
		quote(allowService("sns.amazonaws.com", "sqs:SendMessage", queueARN, topicARN))+`}}`)
	b.query(t, "sns", "Action", "Subscribe", "TopicArn", topicARN, "Protocol", "sqs", "Endpoint", queueARN)
	if _, err := trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("ai-trail")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	body, _ := member(t, b.receive(t), "Messages", 0, "Body").(string)
	message, _ := member(t, body, "Message").(string)
	if topic := member(t, body, "TopicArn"); topic != topicARN || member(t, message, "s3Bucket") != "logs" {
		t.Fatalf("the queue was told %s", body)
	}
	objects := s3.NewFromConfig(b.root, func(o *s3.Options) { o.UsePathStyle = true })
	file, _ := member(t, message, "s3ObjectKey", 0).(string)
	head, err := objects.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("logs"), Key: &file})
	if err != nil {
		t.Fatal(err)
	}
	if head.ServerSideEncryption != types.ServerSideEncryptionAwsKms || aws.ToString(head.SSEKMSKeyId) != "arn:aws:kms:us-east-1:111122223333:key/"+id {
		t.Errorf("%s is encrypted with %s %s", file, head.ServerSideEncryption, aws.ToString(head.SSEKMSKeyId))
	}

	// Nothing is delivered with a key that may not be used any more, and nothing is lost by it.
	b.json(t, "kms", "TrentService.DisableKey", `{"KeyId":"`+id+`"}`)
	if err := b.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "DisabledException") {
		t.Errorf("Flush with a disabled key = %v", err)
	}
	b.json(t, "kms", "TrentService.EnableKey", `{"KeyId":"`+id+`"}`)
	if err := b.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	has(t, b.receive(t), `s3ObjectKey`)
}

// receive receives a message of the queue "files".
func (b *bench) receive(t *testing.T) string {
	t.Helper()
	return b.json(t, "sqs", "AmazonSQS.ReceiveMessage", `{"QueueUrl":"`+b.url+`/111122223333/files","AttributeNames":["All"],"MessageAttributeNames":["All"]}`)
}

func TestBucketNotifiesQueue(t *testing.T) {
	b := open(t, endpoint.Options{})
	b.logBucket(t)
	c := s3.NewFromConfig(b.root, func(o *s3.Options) { o.UsePathStyle = true })
	configure := func() error {
		_, err := c.PutBucketNotificationConfiguration(t.Context(), &s3.PutBucketNotificationConfigurationInput{
			Bucket: aws.String("logs"), NotificationConfiguration: &types.NotificationConfiguration{
				QueueConfigurations: []types.QueueConfiguration{{
					Id: aws.String("new"), QueueArn: aws.String(queueARN), Events: []types.Event{"s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"},
					Filter: &types.NotificationConfigurationFilter{Key: &types.S3KeyFilter{FilterRules: []types.FilterRule{
						{Name: types.FilterRuleNamePrefix, Value: aws.String("in/")}, {Name: types.FilterRuleNameSuffix, Value: aws.String(".gz")},
					}}},
				}},
			},
		})
		return err
	}
	b.json(t, "sqs", "AmazonSQS.CreateQueue", `{"QueueName":"files"}`)
	if err := configure(); err == nil || !strings.Contains(err.Error(), "Unable to validate") {
		t.Errorf("a queue that S3 may not send to: %v", err)
	}
	b.json(t, "sqs", "AmazonSQS.SetQueueAttributes", `{"QueueUrl":"`+b.url+`/111122223333/files","Attributes":{"Policy":`+
		quote(allowService("s3.amazonaws.com", "sqs:SendMessage", queueARN, "arn:aws:s3:::logs"))+`}}`)
	if err := configure(); err != nil {
		t.Fatal(err)
	}
	body := func() string { s, _ := member(t, b.receive(t), "Messages", 0, "Body").(string); return s }
	has(t, body(), `"Event":"s3:TestEvent"`)
	for _, key := range []string{"out/a.gz", "in/a.txt", "in/a b.gz"} {
		if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("logs"), Key: &key, Body: strings.NewReader("text")}); err != nil {
			t.Fatal(err)
		}
	}
	got := body()
	want := map[string]any{"eventName": "ObjectCreated:Put", "bucket": "logs", "key": "in/a+b.gz", "size": 4.0, "configuration": "new"}
	if diff := cmp.Diff(want, map[string]any{
		"eventName": member(t, got, "Records", 0, "eventName"), "bucket": member(t, got, "Records", 0, "s3", "bucket", "name"),
		"key": member(t, got, "Records", 0, "s3", "object", "key"), "size": member(t, got, "Records", 0, "s3", "object", "size"),
		"configuration": member(t, got, "Records", 0, "s3", "configurationId"),
	}); diff != "" {
		t.Error(diff)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("logs"), Key: aws.String("in/a b.gz")}); err != nil {
		t.Fatal(err)
	}
	has(t, body(), `"eventName":"ObjectRemoved:Delete"`)
	if got := b.receive(t); got != "{}" {
		t.Errorf("one message too many: %s", got)
	}
}

func TestKeyPolicyDecides(t *testing.T) {
	b := open(t, endpoint.Options{})
	id, _ := member(t, b.json(t, "kms", "TrentService.CreateKey", `{"Description":"d"}`), "KeyMetadata", "KeyId").(string)
	user := b.user(t, "ci", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`)
	encrypt := `{"KeyId":"` + id + `","Plaintext":"aGVsbG8="}`
	has(t, b.jsonAs(t, user, "kms", "TrentService.Encrypt", encrypt), "CiphertextBlob")
	e := b.last(t, "Encrypt")
	if strings.Contains(string(e.RequestParameters)+string(e.ResponseElements), "aGVsbG8=") || len(e.Resources) != 1 {
		t.Errorf("record of Encrypt: %s %s %v", e.RequestParameters, e.ResponseElements, e.Resources)
	}
	only := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":["kms:PutKeyPolicy"],"Resource":"*"},` +
		`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/ci"},"Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:for":"ci"}}}]}`
	b.json(t, "kms", "TrentService.PutKeyPolicy", `{"KeyId":"`+id+`","Policy":`+quote(only)+`}`)
	has(t, b.json(t, "kms", "TrentService.Encrypt", encrypt), "because no resource-based policy allows the kms:Encrypt action") // root
	has(t, b.jsonAs(t, user, "kms", "TrentService.Encrypt", encrypt), "AccessDeniedException")
	has(t, b.jsonAs(t, user, "kms", "TrentService.Encrypt", strings.Replace(encrypt, "}", `,"EncryptionContext":{"for":"ci"}}`, 1)), "CiphertextBlob")
	locked := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/ci"},"Action":"kms:Encrypt","Resource":"*"}]}`
	has(t, b.json(t, "kms", "TrentService.PutKeyPolicy", `{"KeyId":"`+id+`","Policy":`+quote(locked)+`}`), "will not allow you to update the key policy in the future")
}

func TestOrganizationIsNotInUse(t *testing.T) {
	b := open(t, endpoint.Options{})
	has(t, b.json(t, "organizations", "AWSOrganizationsV20161128.DescribeOrganization", `{}`), "AWSOrganizationsNotInUseException")
	if e := b.last(t, "DescribeOrganization"); e.AWSRegion != "us-east-1" || e.ErrorCode != "AWSOrganizationsNotInUseException" {
		t.Errorf("recorded in %s with %s", e.AWSRegion, e.ErrorCode)
	}
}
