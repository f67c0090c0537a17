package endpoint_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

func TestRefusedWithoutARecord(t *testing.T) {
	b := open(t, endpoint.Options{})
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		want                     string
	}{
		{"a web page", "GET", "/", "", []string{"Origin", "http://example.com"}, 403, "web pages"},
		{"a web page's image", "GET", "/data/x", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "web pages"},
		{"unsigned query", "POST", "/", "Action=ListUsers&Version=2010-05-08", []string{"Content-Type", "application/x-www-form-urlencoded"}, 403, "<Code>MissingAuthenticationToken</Code>"},
		{"unsigned JSON", "POST", "/", "{}", []string{"Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "Logs_20140328.DescribeLogGroups"}, 400, `"__type":"MissingAuthenticationTokenException"`},
		{"unsigned JSON 1.0", "POST", "/", "{}", []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "X.Y"}, 400, `"__type":"MissingAuthenticationTokenException"`},
		{"unsigned REST", "POST", "/model/m/invoke", "{}", []string{"Content-Type", "application/json"}, 403, `{"message":"Missing Authentication Token"}`},
		{"unsigned CBOR", "POST", "/service/S/operation/O", "", []string{"Smithy-Protocol", "rpc-v2-cbor"}, 400, "MissingAuthenticationTokenException"},
		{"a bad bearer token", "POST", "/model/m/invoke", "{}", []string{"Authorization", "Bearer ABSKx"}, 403, "security token"},
		{"another scheme", "GET", "/data", "", []string{"Authorization", "Basic dTpw"}, 400, "<Code>InvalidRequest</Code>"},
		{"an anonymous method S3 lacks", "PATCH", "/data/x", "", nil, 405, "<Code>MethodNotAllowed</Code>"},
	} {
		resp, body := do(t, tt.method, b.url+tt.path, tt.body, tt.header...)
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %q, want %d %q", tt.name, resp.StatusCode, body, tt.status, tt.want)
		}
	}
	if n := len(b.recorded()); n != 0 {
		t.Errorf("%d events", n)
	}
}

func TestUnknownServiceAndOperations(t *testing.T) {
	b := open(t, endpoint.Options{})
	sign := func(service, region string) func(*http.Request) {
		return func(r *http.Request) { signFor(t, b.root, r, service, region) }
	}
	for _, tt := range []struct {
		name, service, method, path, body string
		header                            []string
		status                            int
		want                              string
	}{
		{"service", "braket", "GET", "/devices", "", []string{"Content-Type", "application/json"}, 501, "the endpoint has no service braket"},
		{"query operation", "iam", "POST", "/", "Action=ListMoons&Version=2010-05-08", []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, "Could not find operation ListMoons for version 2010-05-08"},
		{"no action", "iam", "GET", "/", "", nil, 400, "<Code>MissingAction</Code>"},
		{"JSON operation", "logs", "POST", "/", "{}", []string{"X-Amz-Target", "Logs_20140328.ListMoons", "Content-Type", "application/x-amz-json-1.1"}, 400, "UnknownOperationException"},
		{"REST path", "bedrock", "GET", "/moons", "", nil, 403, "Unable to determine service/operation name to be authorized"},
	} {
		resp, body := doSigned(t, tt.method, b.url+tt.path, tt.body, sign(tt.service, "us-east-1"), tt.header...)
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %q, want %d %q", tt.name, resp.StatusCode, body, tt.status, tt.want)
		}
	}
	if n := len(b.recorded()); n != 0 {
		t.Errorf("%d events", n)
	}
}

// odd is a service that misbehaves as the operation says.
type odd struct{ protocol awsapi.Protocol }

func (odd) SigningNames() []string { return []string{"odd"} }

func (o odd) Route(r *http.Request, _ []byte) (string, awsapi.Protocol, bool) {
	return strings.TrimPrefix(r.URL.Path, "/"), o.protocol, true
}

func (odd) Describe(c *awsapi.Call) {
	c.Record.EventSource = "odd.amazonaws.com"
	c.Record.Skip = c.Operation == "skip"
	if c.Operation == "long" {
		c.Record.RequestParameters = strings.Repeat("x", 200<<10)
	}
}

func (odd) Access(*awsapi.Call) []awsapi.Access { return nil }

func (odd) Serve(c *awsapi.Call) (*awsapi.Response, error) {
	switch c.Operation {
	case "panic":
		panic("of the service")
	case "error":
		return nil, errors.New("secret detail")
	case "nothing":
		return nil, nil
	case "conflict":
		return nil, &awsapi.Error{Code: "ConflictException", Message: strings.Repeat("é", 600) + "<&>", Status: 409, Recorded: "Conflict"}
	}
	return &awsapi.Response{Status: 201, Header: http.Header{"X-Odd": {"1"}}, Body: []byte("fine")}, nil
}

func TestMisbehavingService(t *testing.T) {
	b := open(t, endpoint.Options{})
	call := func(operation string) (*http.Response, string) {
		return doSigned(t, "POST", b.url+"/"+operation, "", func(r *http.Request) { signFor(t, b.root, r, "odd", "us-east-1") })
	}
	b.AddService(odd{awsapi.RESTJSON})
	for _, operation := range []string{"panic", "error", "nothing"} {
		resp, body := call(operation)
		if resp.StatusCode != 500 || resp.Header.Get("X-Amzn-Errortype") != "InternalServerException" || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %s", operation, resp.StatusCode, body)
		}
		if e := b.last(t, operation); e.ErrorCode != "InternalServerException" || e.RequestID != resp.Header.Get("X-Amzn-Requestid") {
			t.Errorf("%s: %+v", operation, e)
		}
	}
	resp, body := call("fine")
	if resp.StatusCode != 201 || body != "fine" || resp.Header.Get("X-Odd") != "1" {
		t.Errorf("fine: %d %s", resp.StatusCode, body)
	}
	n := len(b.recorded())
	if call("skip"); len(b.recorded()) != n {
		t.Error("a call that CloudTrail doesn't record was recorded")
	}
	if call("long"); b.last(t, "long").RequestParameters != "null" {
		t.Error("parameters of 200 KB were recorded")
	}
	for protocol, want := range map[awsapi.Protocol][2]string{
		awsapi.RESTJSON: {"application/json", `<&>"}`},
		awsapi.JSON10:   {"application/x-amz-json-1.0", `"__type":"ConflictException"`},
		awsapi.JSON11:   {"application/x-amz-json-1.1", `"__type":"ConflictException"`},
		awsapi.Query:    {"text/xml", "<Type>Sender</Type><Code>ConflictException</Code>"},
		awsapi.RESTXML:  {"application/xml", "&lt;&amp;&gt;</Message><Resource>/conflict</Resource><RequestId>"},
		awsapi.CBOR:     {"application/cbor", "\xa2\x7a\x00\x00\x00\x06__type\x7a\x00\x00\x00\x11ConflictException"},
	} {
		b.AddService(odd{protocol})
		resp, body := call("conflict")
		if resp.StatusCode != 409 || resp.Header.Get("Content-Type") != want[0] || !strings.Contains(body, want[1]) {
			t.Errorf("protocol %d: %d %s %q", protocol, resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
		e := b.last(t, "conflict")
		if e.ErrorCode != "Conflict" || len(e.ErrorMessage) != 1024 || strings.Trim(e.ErrorMessage, "é") != "" {
			t.Errorf("protocol %d: %s, message of %d bytes", protocol, e.ErrorCode, len(e.ErrorMessage))
		}
	}
}

func TestBucketPolicyAndIdentity(t *testing.T) {
	b := open(t, endpoint.Options{})
	root := s3.NewFromConfig(b.root, func(o *s3.Options) { o.UsePathStyle = true })
	ci := s3.NewFromConfig(b.user(t, "ci", ""), func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := root.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("data")}); err != nil {
		t.Fatal(err)
	}
	if _, err := root.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("data"), Key: aws.String("a b/c"), Body: strings.NewReader("hello")}); err != nil {
		t.Fatal(err)
	}
	get := func(c *s3.Client) string {
		_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("data"), Key: aws.String("a b/c")})
		return code(err)
	}
	anonymous := func() int {
		resp, _ := do(t, "GET", b.url+"/data/"+url.PathEscape("a b")+"/c", "")
		return resp.StatusCode
	}
	put := func(statement string) {
		document := `{"Version":"2012-10-17","Statement":[` + statement + `]}`
		if _, err := root.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("data"), Policy: &document}); err != nil {
			t.Fatal(err)
		}
	}
	if got := []any{get(root), get(ci), anonymous()}; !cmp.Equal(got, []any{"", "AccessDenied", 403}) {
		t.Errorf("without a policy: %v", got)
	}
	put(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/ci"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::data/*"}`)
	if got := []any{get(root), get(ci), anonymous()}; !cmp.Equal(got, []any{"", "", 403}) {
		t.Errorf("with a policy for the user: %v", got)
	}
	put(`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::data/*"}`)
	if got := []any{get(root), get(ci), anonymous()}; !cmp.Equal(got, []any{"", "", 200}) {
		t.Errorf("with a policy for everyone: %v", got)
	}
	if u := b.last(t, "GetObject").UserIdentity; u.Type != "AWSAccount" || u.AccountID != "anonymous" {
		t.Errorf("an anonymous caller: %+v", u)
	}
	put(`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::data","arn:aws:s3:::data/*"]}`)
	if got := []any{get(root), get(ci), anonymous()}; !cmp.Equal(got, []any{"AccessDenied", "AccessDenied", 403}) {
		t.Errorf("with a policy against everyone: %v", got)
	}
	if _, err := root.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: aws.String("data")}); err != nil {
		t.Errorf("root can't take the policy away: %v", err)
	}
	if got := get(root); got != "" {
		t.Errorf("without the policy: %s", got)
	}
}

func TestDeniedByEachProtocol(t *testing.T) {
	b := open(t, endpoint.Options{})
	ci := b.user(t, "ci", "")
	if _, err := cloudtrail.NewFromConfig(ci).DescribeTrails(t.Context(), &cloudtrail.DescribeTrailsInput{}); code(err) != "AccessDeniedException" {
		t.Errorf("JSON: %v", err)
	}
	if e := b.last(t, "DescribeTrails"); e.ErrorCode != "AccessDenied" {
		t.Errorf("recorded as %s", e.ErrorCode)
	}
	_, err := s3.NewFromConfig(ci, func(o *s3.Options) { o.UsePathStyle = true }).ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if code(err) != "AccessDenied" || !strings.Contains(err.Error(), `on resource: "*" because no identity-based policy`) {
		t.Errorf("XML: %v", err)
	}
}
