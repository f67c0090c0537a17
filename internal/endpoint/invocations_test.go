package endpoint_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	bedrocktypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	brtypes "github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/aitrail/aitrail/internal/endpoint"
)

// image is a copy of what a server keeps, as a killed process leaves it.
func image(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "image")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestInvocationLogsSurviveKill kills the endpoint between a call's answer and the delivery of its record, and between the delivery and
// the note of it: the record is delivered, to one object.
func TestInvocationLogsSurviveKill(t *testing.T) {
	dir := t.TempDir()
	b := open(t, endpoint.Options{Dir: dir})
	bucket, policy := "models", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::models/*"}]}`
	objects := s3.NewFromConfig(b.root, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := objects.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	config := &bedrocktypes.LoggingConfig{S3Config: &bedrocktypes.S3Config{BucketName: &bucket}, TextDataDeliveryEnabled: aws.Bool(false)}
	if _, err := bedrock.NewFromConfig(b.root).PutModelInvocationLoggingConfiguration(t.Context(), &bedrock.PutModelInvocationLoggingConfigurationInput{LoggingConfig: config}); err != nil {
		t.Fatal(err)
	}
	if _, err := bedrockruntime.NewFromConfig(b.root).Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: []brtypes.Message{said("user", "a secret")}}); err != nil {
		t.Fatal(err)
	}
	answered := image(t, dir)
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	delivered := image(t, dir)
	before, err := os.ReadFile(filepath.Join(answered, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(delivered, "state.db"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"answered": answered, "delivered": delivered} {
		t.Run(name, func(t *testing.T) {
			b := open(t, endpoint.Options{Dir: dir})
			for range 2 {
				if err := b.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			var keys []string
			for key, o := range b.objects(t, bucket).objects {
				if strings.HasSuffix(key, "permission-check") {
					continue
				}
				keys = append(keys, key)
				text := string(inflated(t, o.body))
				if strings.Count(text, `"schemaType":"ModelInvocationLog"`) != 1 || !strings.Contains(text, `"inputTokenCount":`) || strings.Contains(text, "secret") {
					t.Errorf("%s: %s", key, text)
				}
			}
			if len(keys) != 1 || !strings.HasPrefix(keys[0], "AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/") {
				t.Errorf("objects %v", slices.Sorted(slices.Values(keys)))
			}
		})
	}
	if len(b.objects(t, bucket).objects) != 2 {
		t.Error("the log and the object that tried the permission aren't all there is")
	}
}
