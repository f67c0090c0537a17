package s3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

// call does an unsigned request and returns its status and body.
func call(t *testing.T, s *server, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.http.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// What infrastructure clients decide on: AWS's code for each configuration that a bucket doesn't have, and that what was
// put is what is got, also after a restart, until it is deleted.
func TestConfigurationComesBackAsPut(t *testing.T) {
	tests := []struct {
		sub, absent, document string
		deletable             bool
	}{
		{"encryption", "ServerSideEncryptionConfigurationNotFoundError", `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`, true},
		{"policy", "NoSuchBucketPolicy", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::logs/secret/*"}]}`, true},
		{"publicAccessBlock", "NoSuchPublicAccessBlockConfiguration", `<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>`, true},
		{"lifecycle", "NoSuchLifecycleConfiguration", `<LifecycleConfiguration><Rule><ID>x</ID></Rule></LifecycleConfiguration>`, true},
		{"ownershipControls", "OwnershipControlsNotFoundError", `<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>`, true},
		{"tagging", "NoSuchTagSet", `<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>`, true},
		{"cors", "NoSuchCORSConfiguration", `<CORSConfiguration/>`, true},
		{"website", "NoSuchWebsiteConfiguration", `<WebsiteConfiguration/>`, true},
		{"replication", "ReplicationConfigurationNotFoundError", `<ReplicationConfiguration/>`, true},
		{"object-lock", "ObjectLockConfigurationNotFoundError", `<ObjectLockConfiguration/>`, false},
		{"logging", "", `<BucketLoggingStatus><LoggingEnabled/></BucketLoggingStatus>`, false},
		{"accelerate", "", `<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>`, false},
		{"requestPayment", "", `<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>`, false},
		{"notification", "", `<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>`, false},
	}
	dir := t.TempDir()
	s := start(t, dir)
	bucket(t, s.client("root", "us-east-1"), "logs")
	for _, tt := range tests {
		path := "/logs?" + tt.sub
		status, body := call(t, s, "GET", path, "")
		if tt.absent != "" && (status != 404 || !strings.Contains(body, "<Code>"+tt.absent+"</Code>")) || tt.absent == "" && status != 200 {
			t.Errorf("%s, absent: got %d %s, want %s", tt.sub, status, body, tt.absent)
		}
		if status, body := call(t, s, "PUT", path, tt.document); status >= 300 {
			t.Errorf("%s: putting: %d %s", tt.sub, status, body)
		}
		if status, _ := call(t, s, "PUT", path, "<Other/>"); status != 400 {
			t.Errorf("%s: putting another document: %d, want 400", tt.sub, status)
		}
	}
	s.stop()
	s = start(t, dir)
	for _, tt := range tests {
		path := "/logs?" + tt.sub
		if status, body := call(t, s, "GET", path, ""); status != 200 || body != tt.document {
			t.Errorf("%s: got %d %s, want what was put", tt.sub, status, body)
		}
		if !tt.deletable {
			continue
		}
		if status, _ := call(t, s, "DELETE", path, ""); status != 204 {
			t.Errorf("%s: deleting: %d", tt.sub, status)
		}
		if status, body := call(t, s, "GET", path, ""); status != 404 || !strings.Contains(body, tt.absent) {
			t.Errorf("%s, deleted: got %d %s, want %s", tt.sub, status, body, tt.absent)
		}
	}
}

func TestBuckets(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	for _, name := range []string{"ab", "Upper", "under_score", "-dash", "dash-", "two..dots", "192.168.0.1", "xn--a", "a--x-s3", strings.Repeat("a", 64)} {
		_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name})
		if err == nil {
			t.Errorf("bucket %q was created", name)
		}
	}
	bucket(t, c, "logs")
	bucket(t, c, "logs") // in us-east-1 that is no error
	west := s.client("root", "eu-west-1")
	create := func(name string, constraint types.BucketLocationConstraint) error {
		in := &s3.CreateBucketInput{Bucket: &name}
		if constraint != "" {
			in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: constraint}
		}
		_, err := west.CreateBucket(t.Context(), in)
		return err
	}
	wantCode(t, create("west", ""), "IllegalLocationConstraintException")
	if err := create("west", "eu-west-1"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, create("west", "eu-west-1"), "BucketAlreadyOwnedByYou")
	location, err := c.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: aws.String("west")})
	if err != nil || location.LocationConstraint != "eu-west-1" {
		t.Errorf("location: %+v, %v", location, err)
	}
	list, err := c.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range list.Buckets {
		names = append(names, *b.Name)
	}
	if diff := cmp.Diff([]string{"logs", "west"}, names); diff != "" {
		t.Errorf("buckets (-want +got):\n%s", diff)
	}
	put(t, c, "logs", "k", "v")
	_, err = c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String("logs")})
	wantCode(t, err, "BucketNotEmpty")
	_, err = c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("none")})
	wantCode(t, err, "NotFound")
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("none")})
	wantCode(t, err, "NoSuchBucket")
	if status, _ := call(t, s, "GET", "/logs?inventory", ""); status != 501 {
		t.Errorf("inventory: got %d; what isn't implemented must not be taken for a listing", status)
	}
}

func TestConfigurationGoesWithTheBucket(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	call(t, s, "PUT", "/logs?tagging", `<Tagging><TagSet/></Tagging>`)
	if status, body := call(t, s, "DELETE", "/logs", ""); status != 204 {
		t.Fatalf("deleting: %d %s", status, body)
	}
	bucket(t, c, "logs")
	if status, _ := call(t, s, "GET", "/logs?tagging", ""); status != 404 {
		t.Errorf("a new bucket has the old one's tags: %d", status)
	}
}

func TestBucketPolicyDenies(t *testing.T) {
	s := start(t, t.TempDir())
	root, user := s.client("root", "us-east-1"), s.client("ci", "us-east-1")
	bucket(t, root, "logs")
	put(t, root, "logs", "open", "v")
	put(t, root, "logs", "secret/k", "v")
	document := `{"Version":"2012-10-17","Statement":[
		{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::logs","arn:aws:s3:::logs/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}},
		{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:user/ci"},"Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::logs/secret/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::logs","Condition":{"StringLike":{"s3:prefix":"secret*"}}}]}`
	if _, err := root.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("logs"), Policy: &document}); err != nil {
		t.Fatal(err)
	}
	read := func(c *s3.Client, key string) error {
		_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("logs"), Key: &key})
		return err
	}
	if err := read(user, "open"); err != nil {
		t.Errorf("what no statement denies: %v", err)
	}
	if err := read(root, "secret/k"); err != nil {
		t.Errorf("another principal: %v", err)
	}
	wantCode(t, read(user, "secret/k"), "AccessDenied")
	_, err := user.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String("logs"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("open")}, {Key: aws.String("secret/k")}}}})
	wantCode(t, err, "AccessDenied")
	_, err = user.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("logs"), Key: aws.String("x"), CopySource: aws.String("logs/secret/k")})
	wantCode(t, err, "AccessDenied")
	_, err = root.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("logs"), Prefix: aws.String("secret/")})
	wantCode(t, err, "AccessDenied")
}

func TestPolicyIsCheckedWhenPut(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	set := func(document string) error {
		_, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("logs"), Policy: &document})
		return err
	}
	wantCode(t, set(`{`), "MalformedPolicy")
	wantCode(t, set(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::logs/*"}]}`), "MalformedPolicy")
	wantCode(t, set(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*"}]}`), "MalformedPolicy")
	public := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::logs/*"}]}`
	if err := set(public); err != nil {
		t.Fatal(err)
	}
	status, err := c.GetBucketPolicyStatus(t.Context(), &s3.GetBucketPolicyStatusInput{Bucket: aws.String("logs")})
	if err != nil || !*status.PolicyStatus.IsPublic {
		t.Errorf("policy status: %+v, %v", status, err)
	}
	if _, err := c.PutPublicAccessBlock(t.Context(), &s3.PutPublicAccessBlockInput{Bucket: aws.String("logs"), PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{BlockPublicPolicy: aws.Bool(true)}}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, set(public), "AccessDenied")
}

func TestACLs(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	acl := func() int {
		out, err := c.GetBucketAcl(t.Context(), &s3.GetBucketAclInput{Bucket: aws.String("logs")})
		if err != nil || out.Owner == nil || len(*out.Owner.ID) != 64 {
			t.Fatalf("acl: %+v, %v", out, err)
		}
		return len(out.Grants)
	}
	if n := acl(); n != 1 {
		t.Errorf("default: %d grants, want the owner's", n)
	}
	if _, err := c.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: aws.String("logs"), ACL: types.BucketCannedACLPublicRead}); err != nil {
		t.Fatal(err)
	}
	if n := acl(); n != 2 {
		t.Errorf("public-read: %d grants, want 2", n)
	}
	rules := []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}}
	if _, err := c.PutBucketOwnershipControls(t.Context(), &s3.PutBucketOwnershipControlsInput{Bucket: aws.String("logs"), OwnershipControls: &types.OwnershipControls{Rules: rules}}); err != nil {
		t.Fatal(err)
	}
	_, err := c.PutBucketAcl(t.Context(), &s3.PutBucketAclInput{Bucket: aws.String("logs"), ACL: types.BucketCannedACLPublicRead})
	wantCode(t, err, "AccessControlListNotSupported")
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("k"), Body: strings.NewReader(""), ACL: types.ObjectCannedACLPublicRead})
	wantCode(t, err, "AccessControlListNotSupported")
	if _, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("k"), Body: strings.NewReader(""), ACL: types.ObjectCannedACLBucketOwnerFullControl}); err != nil {
		t.Error(err)
	}
}
