package laketest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/aitrail/aitrail/internal/endpoint"
	"github.com/aitrail/aitrail/internal/object/objecttest"
)

// Endpoint starts the endpoint with a bucket, behind a handler if there is one, and makes it the endpoint of the AWS SDK. It
// returns the URL of a lake there.
func Endpoint(t *testing.T, front func(next http.Handler) http.Handler) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	objecttest.NoAWS(t)
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	e, err := endpoint.New(endpoint.Options{Dir: filepath.Join(dir, "aws"), URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	handler = e.Handler()
	text, err := os.ReadFile(filepath.Join(dir, "aws", "aws.env"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "="); ok {
			t.Setenv(name, strings.Trim(value, `'"`))
		}
	}
	for name, value := range map[string]string{"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull} {
		t.Setenv(name, value)
	}
	client := s3.NewFromConfig(Config(t), func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("lake-bucket")}); err != nil {
		t.Fatal(err)
	}
	if front != nil {
		handler = front(e.Handler())
	}
	return "s3://lake-bucket/some/lake"
}

// Config returns the AWS SDK's configuration.
func Config(t *testing.T) aws.Config {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Database makes a Glue database with a location, "" for none.
func Database(t *testing.T, name, location string) {
	t.Helper()
	in := &types.DatabaseInput{Name: &name}
	if location != "" {
		in.LocationUri = &location
	}
	if _, err := glue.NewFromConfig(Config(t)).CreateDatabase(t.Context(), &glue.CreateDatabaseInput{DatabaseInput: in}); err != nil {
		t.Fatal(err)
	}
}
