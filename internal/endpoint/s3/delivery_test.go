package s3_test

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	endpoint "github.com/aitrail/aitrail/internal/endpoint/s3"
)

const trailARN = "arn:aws:cloudtrail:us-east-1:111122223333:trail/ai-trail"

// trailPolicy is the policy AWS documents for a trail's bucket.
func trailPolicy(prefix, trail string) string {
	return `{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":["s3:GetBucketAcl"],"Resource":["arn:aws:s3:::logs"],"Condition":{"StringEquals":{"aws:SourceArn":"` + trail + `"}}},
	{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":["s3:PutObject"],"Resource":["arn:aws:s3:::logs/` + prefix + `AWSLogs/111122223333/*"],"Condition":{"StringEquals":{"aws:SourceArn":"` + trail + `","s3:x-amz-acl":"bucket-owner-full-control"}}},
	{"Effect":"Deny","Principal":"*","Action":["s3:*"],"Resource":["arn:aws:s3:::logs","arn:aws:s3:::logs/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`
}

func code(err error) string {
	var e *awsapi.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestCheckDelivery(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	for _, tt := range []struct{ name, policy, bucket, prefix, trail, want string }{
		{"no bucket", "", "none", "", trailARN, "NoSuchBucket"},
		{"no policy", "", "logs", "", trailARN, "InsufficientS3BucketPolicy"},
		{"right", trailPolicy("", trailARN), "logs", "", trailARN, ""},
		{"right, with a prefix", trailPolicy("cloudtrail/", trailARN), "logs", "cloudtrail", trailARN, ""},
		{"another prefix", trailPolicy("cloudtrail/", trailARN), "logs", "", trailARN, "InsufficientS3BucketPolicy"},
		{"another trail", trailPolicy("", trailARN), "logs", "", trailARN + "2", "InsufficientS3BucketPolicy"},
	} {
		if tt.policy != "" {
			if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("logs"), Policy: &tt.policy}); err != nil {
				t.Fatal(err)
			}
		}
		if got := code(s.CheckDelivery(tt.bucket, tt.prefix, account, tt.trail)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDeliver(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	if _, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: aws.String("logs"), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	d := endpoint.Delivery{
		Bucket: "logs", Key: "AWSLogs/111122223333/CloudTrail-Digest/x.json.gz", Trail: trailARN, Body: []byte("body"),
		ContentType: "application/json", ContentEncoding: "gzip", Metadata: map[string]string{"signature": "ab12", "signature-algorithm": "SHA256withRSA"},
	}
	if got := code(s.Deliver(t.Context(), d)); got != "InsufficientS3BucketPolicy" {
		t.Errorf("without a policy: got %q", got)
	}
	document := trailPolicy("", trailARN)
	if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("logs"), Policy: &document}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a repetition changes nothing
		if err := s.Deliver(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if got := versionList(t, c); len(got) != 1 {
		t.Errorf("versions: %v, want one", got)
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &d.Bucket, Key: &d.Key})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.Metadata, head.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if *head.ContentType != "application/json" || *head.ContentEncoding != "gzip" {
		t.Errorf("head: %+v", head)
	}
	d.Body = []byte("other")
	if err := s.Deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, &s3.GetObjectInput{Bucket: &d.Bucket, Key: &d.Key}); got != "other" {
		t.Errorf("got %q, want other", got)
	}
	d.Bucket = "gone"
	if got := code(s.Deliver(t.Context(), d)); got != "NoSuchBucket" {
		t.Errorf("without a bucket: got %q", got)
	}
}
