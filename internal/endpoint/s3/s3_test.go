package s3_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	endpoint "github.com/aitrail/aitrail/internal/endpoint/s3"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

const account = "111122223333"

// server serves a Service over HTTP without authentication: the access key says who calls, "root" or a user's name.
type server struct {
	*endpoint.Service
	dir   string
	state *state.Store
	http  *httptest.Server

	mu      sync.Mutex
	records []awsapi.Call
}

func start(t *testing.T, dir string) *server {
	t.Helper()
	st, err := state.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	svc, err := endpoint.Open(endpoint.Options{Dir: dir, State: st, Account: account})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Service: svc, dir: dir, state: st}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.stop)
	return s
}

func (s *server) stop() {
	s.http.Close()
	s.Service.Close()
	s.state.Close()
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	c := &awsapi.Call{Request: r, Body: body, ID: "0123456789ABCDEF", Time: time.Now().UTC(), Account: account, Region: "us-east-1", Signing: "s3"}
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope := strings.Split(rest, "/")
	c.Caller = &awsapi.Identity{Kind: awsapi.Root, Account: account, ARN: "arn:aws:iam::" + account + ":root", PrincipalID: account}
	if len(scope) > 2 {
		c.Region = scope[2]
		if scope[0] != "root" {
			c.Caller = &awsapi.Identity{Kind: awsapi.User, Account: account, ARN: "arn:aws:iam::" + account + ":user/" + scope[0], PrincipalID: "AIDA" + scope[0], UserName: scope[0]}
		}
	}
	resp, err := s.serve(c)
	if err != nil {
		var e *awsapi.Error
		if !errors.As(err, &e) {
			e = &awsapi.Error{Code: "InternalError", Message: err.Error(), Status: 500}
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(max(e.Status, 400))
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>", e.Code)
		xml.EscapeText(w, []byte(e.Message))
		fmt.Fprint(w, "</Message></Error>")
		return
	}
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(max(resp.Status, 200))
	w.Write(resp.Body)
	if resp.Stream != nil {
		resp.Stream(w, func() {})
	}
}

func (s *server) serve(c *awsapi.Call) (*awsapi.Response, error) {
	op, _, ok := s.Route(c.Request, c.Body)
	if !ok {
		return nil, &awsapi.Error{Code: "NotImplemented", Message: "no such operation", Status: 501}
	}
	c.Operation = op
	s.Describe(c)
	if len(s.Access(c)) == 0 {
		return nil, errors.New("nothing to allow for " + op)
	}
	who := policy.Principal{ARN: c.Caller.ARN, ID: c.Caller.PrincipalID, Account: account, Root: c.Caller.Kind == awsapi.Root}
	for _, a := range s.Access(c) {
		if doc := s.ResourcePolicy(a.Resource); doc != nil {
			r := policy.Request{Principal: who, Action: a.Action, Resource: a.Resource, Context: s.Conditions(c)}
			if policy.Evaluate([]*policy.Document{doc}, r) == policy.Deny {
				return nil, &awsapi.Error{Code: "AccessDenied", Message: "denied by the bucket's policy", Status: 403}
			}
		}
	}
	resp, err := s.Serve(c)
	s.mu.Lock()
	s.records = append(s.records, *c)
	s.mu.Unlock()
	return resp, err
}

// last is the last call served.
func (s *server) last() awsapi.Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[len(s.records)-1]
}

func (s *server) client(user, region string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.http.URL), UsePathStyle: true, Region: region, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(user, "secret", ""),
	})
}

func bucket(t *testing.T, c *s3.Client, name string) {
	t.Helper()
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, c *s3.Client, bucket, key, body string) *s3.PutObjectOutput {
	t.Helper()
	out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatalf("putting %q: %v", key, err)
	}
	return out
}

func get(t *testing.T, c *s3.Client, in *s3.GetObjectInput) string {
	t.Helper()
	out, err := c.GetObject(t.Context(), in)
	if err != nil {
		t.Fatalf("getting %q: %v", *in.Key, err)
	}
	defer out.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(out.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wantCode fails unless err is an API error with that code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want %s", err, code)
	}
	if e.ErrorCode() != code {
		t.Errorf("got code %s (%s), want %s", e.ErrorCode(), e.ErrorMessage(), code)
	}
}

func background() context.Context { return context.Background() }
