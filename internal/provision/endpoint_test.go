package provision_test

import (
	"context"
	"encoding/json"
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

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/iam"
	"github.com/aitrail/aitrail/internal/endpoint/logs"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/s3"
	"github.com/aitrail/aitrail/internal/endpoint/state"
	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

// endpoint is the endpoint's services over HTTP, with its authentication and authorization, and without its recording.
type endpoint struct {
	identities *iam.Store
	services   []awsapi.Service
	url        string

	mu sync.Mutex
	// before sees every call before it is served, and may answer in the service's place.
	before func(c *awsapi.Call) error
	calls  []string
}

// buckets gives the trail's deliverer the S3 service.
type buckets struct{ *s3.Service }

func (b buckets) DeliverObject(ctx context.Context, o *trail.Object) error {
	return b.Deliver(ctx, s3.Delivery(*o))
}

func startEndpoint(t *testing.T) *endpoint {
	t.Helper()
	dir := t.TempDir()
	fatal := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	st, err := state.Open(filepath.Join(dir, "state.db"))
	fatal(err)
	t.Cleanup(func() { st.Close() })
	identities, err := iam.Open(iam.Options{State: st, Account: account})
	fatal(err)
	objects, err := s3.Open(s3.Options{Dir: dir, State: st, Account: account})
	fatal(err)
	t.Cleanup(func() { objects.Close() })
	recorder, err := trail.OpenRecorder(filepath.Join(dir, "events"), trail.RecorderOptions{})
	fatal(err)
	t.Cleanup(func() { recorder.Close() })
	groups := logs.New(logs.Options{Account: account, Store: st})
	trails, err := trail.New(trail.Options{
		Account: account, Store: st, Recorder: recorder, Buckets: buckets{objects}, LogGroups: groups, AllowRole: identities.AllowRole,
	})
	fatal(err)
	e := &endpoint{identities: identities, services: append(identities.Services(), objects, groups, trails)}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

const account = "111122223333"

func (e *endpoint) config() aws.Config {
	key, secret := e.identities.RootKey()
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &e.url, Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
		RetryMaxAttempts: 1,
	}
}

// called counts the operations called since it was called last, by name.
func (e *endpoint) called() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := map[string]int{}
	for _, name := range e.calls {
		n[name]++
	}
	e.calls = nil
	return n
}

func (e *endpoint) intercept(before func(*awsapi.Call) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.before = before
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, resp, err := e.answer(r)
	var ae *awsapi.Error
	if errors.As(err, &ae) {
		writeError(w, p, ae)
		return
	}
	if err != nil {
		writeError(w, p, &awsapi.Error{Code: "InternalFailure", Message: err.Error(), Status: 500})
		return
	}
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(max(resp.Status, 200))
	if _, err := w.Write(resp.Body); err == nil && resp.Stream != nil {
		_, _ = resp.Stream(w, func() {})
	}
}

func (e *endpoint) answer(r *http.Request) (p awsapi.Protocol, resp *awsapi.Response, err error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return p, nil, err
	}
	caller, body, err := e.identities.Authenticate(r, raw, time.Now())
	if err != nil {
		return p, nil, &awsapi.Error{Code: "AccessDenied", Message: err.Error(), Status: 403}
	}
	for _, s := range e.services {
		for _, name := range s.SigningNames() {
			if name != caller.Service {
				continue
			}
			op, p, ok := s.Route(r, body)
			if !ok {
				return p, nil, &awsapi.Error{Code: "InvalidAction", Message: "no operation " + r.Method + " " + r.URL.String()}
			}
			r = r.WithContext(iam.WithCaller(r.Context(), caller))
			c := &awsapi.Call{
				Request: r, Body: body, ID: "3b7c4f3e-0000-4000-8000-000000000000", Time: time.Now().UTC(), Account: account, Region: caller.Region,
				Signing: name, Caller: caller.Identity, Operation: op,
			}
			resp, err := e.serve(s, c, p)
			return p, resp, err
		}
	}
	return p, nil, &awsapi.Error{Code: "InvalidAction", Message: "no service " + caller.Service}
}

func (e *endpoint) serve(s awsapi.Service, c *awsapi.Call, p awsapi.Protocol) (*awsapi.Response, error) {
	e.mu.Lock()
	e.calls = append(e.calls, c.Operation)
	before := e.before
	e.mu.Unlock()
	s.Describe(c)
	if before != nil {
		if err := before(c); err != nil {
			return nil, err
		}
	}
	for _, a := range s.Access(c) {
		var resource *policy.Document
		var more policy.Context
		if b, ok := s.(*s3.Service); ok {
			resource, more = b.BucketPolicy(a.Resource), b.Conditions(c)
		}
		if err := e.identities.Check(c, a, resource, more, p); err != nil {
			return nil, err
		}
	}
	return s.Serve(c)
}

func writeError(w http.ResponseWriter, p awsapi.Protocol, e *awsapi.Error) {
	escape := func(s string) string {
		var b strings.Builder
		_ = xml.EscapeText(&b, []byte(s))
		return b.String()
	}
	text := fmt.Sprintf("<Error><Code>%s</Code><Message>%s</Message></Error>", e.Code, escape(e.Message))
	switch p {
	case awsapi.JSON10, awsapi.JSON11, awsapi.RESTJSON:
		b, err := json.Marshal(map[string]string{"__type": e.Code, "message": e.Message})
		if err != nil {
			panic(err) // strings encode
		}
		text = string(b)
	case awsapi.Query:
		text = "<ErrorResponse>" + text + "</ErrorResponse>"
	}
	w.WriteHeader(max(e.Status, 400))
	fmt.Fprint(w, text)
}
