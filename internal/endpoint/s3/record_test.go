package s3_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// record describes a request and returns the call.
func record(s *server, method, target, body string, header map[string]string) *awsapi.Call {
	r := httptest.NewRequest(method, target, nil)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	c := &awsapi.Call{Request: r, Body: []byte(body), ID: "REQ", Time: time.Now(), Account: account, Region: "eu-west-1"}
	c.Operation, _, _ = s.Route(r, c.Body)
	s.Describe(c)
	return c
}

func TestRoutesAndAccess(t *testing.T) {
	s := start(t, t.TempDir())
	const b, o = "arn:aws:s3:::logs", "arn:aws:s3:::logs/a/b"
	source := map[string]string{"X-Amz-Copy-Source": "/from/k%20y?versionId=v"}
	tests := []struct {
		method, target, body string
		header               map[string]string
		operation, event     string
		data, readOnly       bool
		access               []string
	}{
		{"GET", "/", "", nil, "ListBuckets", "ListBuckets", false, true, []string{"s3:ListAllMyBuckets *"}},
		{"PUT", "/logs", "", nil, "CreateBucket", "CreateBucket", false, false, []string{"s3:CreateBucket " + b}},
		{"HEAD", "/logs", "", nil, "HeadBucket", "HeadBucket", true, true, []string{"s3:ListBucket " + b}},
		{"GET", "/logs/?list-type=2&prefix=a", "", nil, "ListObjectsV2", "ListObjects", true, true, []string{"s3:ListBucket " + b}},
		{"GET", "/logs", "", nil, "ListObjects", "ListObjects", true, true, []string{"s3:ListBucket " + b}},
		{"GET", "/logs?versions", "", nil, "ListObjectVersions", "ListObjectVersions", true, true, []string{"s3:ListBucketVersions " + b}},
		{"GET", "/logs?location", "", nil, "GetBucketLocation", "GetBucketLocation", false, true, []string{"s3:GetBucketLocation " + b}},
		{"PUT", "/logs?encryption", "", nil, "PutBucketEncryption", "PutBucketEncryption", false, false, []string{"s3:PutEncryptionConfiguration " + b}},
		{"DELETE", "/logs?encryption", "", nil, "DeleteBucketEncryption", "DeleteBucketEncryption", false, false, []string{"s3:PutEncryptionConfiguration " + b}},
		{"DELETE", "/logs?policy", "", nil, "DeleteBucketPolicy", "DeleteBucketPolicy", false, false, []string{"s3:DeleteBucketPolicy " + b}},
		{"PUT", "/logs?publicAccessBlock", "", nil, "PutPublicAccessBlock", "PutBucketPublicAccessBlock", false, false, []string{"s3:PutBucketPublicAccessBlock " + b}},
		{"GET", "/logs?lifecycle", "", nil, "GetBucketLifecycleConfiguration", "GetBucketLifecycle", false, true, []string{"s3:GetLifecycleConfiguration " + b}},
		{"GET", "/logs/a/b", "", nil, "GetObject", "GetObject", true, true, []string{"s3:GetObject " + o}},
		{"GET", "/logs/a/b?versionId=x", "", nil, "GetObject", "GetObject", true, true, []string{"s3:GetObjectVersion " + o}},
		{"HEAD", "/logs/a/b", "", nil, "HeadObject", "HeadObject", true, true, []string{"s3:GetObject " + o}},
		{"PUT", "/logs/a/b", "x", map[string]string{"X-Amz-Acl": "private"}, "PutObject", "PutObject", true, false, []string{"s3:PutObject " + o, "s3:PutObjectAcl " + o}},
		{"PUT", "/logs/a/b", "", source, "CopyObject", "CopyObject", true, false, []string{"s3:PutObject " + o, "s3:GetObjectVersion arn:aws:s3:::from/k y"}},
		{"PUT", "/logs/a/b?partNumber=1&uploadId=u", "", source, "UploadPartCopy", "UploadPartCopy", true, false, []string{"s3:PutObject " + o, "s3:GetObjectVersion arn:aws:s3:::from/k y"}},
		{"PUT", "/logs/a/b?partNumber=1&uploadId=u", "", nil, "UploadPart", "UploadPart", true, false, []string{"s3:PutObject " + o}},
		{"POST", "/logs/a/b?uploads", "", nil, "CreateMultipartUpload", "CreateMultipartUpload", true, false, []string{"s3:PutObject " + o}},
		{"POST", "/logs/a/b?uploadId=u", "", nil, "CompleteMultipartUpload", "CompleteMultipartUpload", true, false, []string{"s3:PutObject " + o}},
		{"DELETE", "/logs/a/b?uploadId=u", "", nil, "AbortMultipartUpload", "AbortMultipartUpload", true, false, []string{"s3:AbortMultipartUpload " + o}},
		{"GET", "/logs/a/b?uploadId=u", "", nil, "ListParts", "ListParts", true, true, []string{"s3:ListMultipartUploadParts " + o}},
		{"DELETE", "/logs/a/b?versionId=x", "", nil, "DeleteObject", "DeleteObject", true, false, []string{"s3:DeleteObjectVersion " + o}},
		{"POST", "/logs?delete", "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>v</VersionId></Object></Delete>", nil, "DeleteObjects", "DeleteObjects", true, false, []string{"s3:DeleteObject " + b + "/a", "s3:DeleteObjectVersion " + b + "/b"}},
	}
	for _, tt := range tests {
		c := record(s, tt.method, tt.target, tt.body, tt.header)
		type view struct {
			Operation, Event string
			Data, ReadOnly   bool
			Access           []string
		}
		got := view{Operation: c.Operation, Event: c.Record.EventName, Data: c.Record.Data, ReadOnly: c.Record.ReadOnly}
		for _, a := range s.Access(c) {
			got.Access = append(got.Access, a.Action+" "+a.Resource)
		}
		if diff := cmp.Diff(view{tt.operation, tt.event, tt.data, tt.readOnly, tt.access}, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.method, tt.target, diff)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/logs?analytics", nil)
	if op, _, ok := s.Route(r, nil); ok {
		t.Errorf("analytics was routed to %s", op)
	}
}

func TestRecordOfManagementEvent(t *testing.T) {
	s := start(t, t.TempDir())
	c := record(s, "PUT", "/logs?versioning", `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>`,
		map[string]string{"Authorization": "AWS4-HMAC-SHA256 …"})
	want := `{"Host":"logs.s3.eu-west-1.amazonaws.com","VersioningConfiguration":{"Status":"Enabled","xmlns":"http://s3.amazonaws.com/doc/2006-03-01/"},"bucketName":"logs","versioning":""}`
	if got := encode(t, c.Record.RequestParameters); got != want {
		t.Errorf("request parameters:\n got %s\nwant %s", got, want)
	}
	resources := []cloudtrail.Resource{{AccountID: account, Type: "AWS::S3::Bucket", ARN: "arn:aws:s3:::logs"}}
	if diff := cmp.Diff(resources, c.Record.Resources); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	if c.Record.EventSource != "s3.amazonaws.com" || c.Record.Data {
		t.Errorf("record: %+v", c.Record)
	}
	policy := record(s, "PUT", "/logs?policy", `{"Version":"2012-10-17"}`, nil)
	if got := encode(t, policy.Record.RequestParameters); !strings.Contains(got, `"bucketPolicy":{"Version":"2012-10-17"}`) {
		t.Errorf("a policy is recorded as JSON: %s", got)
	}
}

func TestRecordOfDataEvent(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	put(t, c, "logs", "a/b", "hello")
	call := s.last()
	resources := []cloudtrail.Resource{{Type: "AWS::S3::Object", ARN: "arn:aws:s3:::logs/a/b"}, {AccountID: account, Type: "AWS::S3::Bucket", ARN: "arn:aws:s3:::logs"}}
	if diff := cmp.Diff(resources, call.Record.Resources); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	var extra map[string]any
	if err := json.Unmarshal([]byte(encode(t, call.Record.AdditionalEventData)), &extra); err != nil {
		t.Fatal(err)
	}
	id, _ := extra["x-amz-id-2"].(string)
	if len(id) < 32 {
		t.Errorf("x-amz-id-2 is %q", id)
	}
	delete(extra, "x-amz-id-2")
	want := map[string]any{"bytesTransferredIn": 5.0, "bytesTransferredOut": 0.0, "SignatureVersion": "SigV4", "AuthenticationMethod": "AuthHeader", "SSEApplied": "Default_SSE_S3"}
	if diff := cmp.Diff(want, extra); diff != "" {
		t.Errorf("additionalEventData (-want +got):\n%s", diff)
	}
	if got := encode(t, call.Record.ResponseElements); got != `{"x-amz-server-side-encryption":"AES256"}` {
		t.Errorf("responseElements: %s", got)
	}
}

func TestPresignedRequestIsRecordedWithoutItsSignature(t *testing.T) {
	s := start(t, t.TempDir())
	c := record(s, "GET", "/logs/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-Security-Token=TOKEN&X-Amz-Signature=SIGNED&X-Amz-SignedHeaders=host", "", nil)
	got := encode(t, c.Record.RequestParameters)
	for _, secret := range []string{"AKIA", "TOKEN", "SIGNED\""} {
		if strings.Contains(got, secret) {
			t.Errorf("%s is in %s", secret, got)
		}
	}
	if !strings.Contains(got, `"X-Amz-Expires":"60"`) || !strings.Contains(encode(t, c.Record.AdditionalEventData), "QueryString") {
		t.Errorf("parameters %s, additional %v", got, c.Record.AdditionalEventData)
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
