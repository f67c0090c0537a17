package ai_test

import (
	"bytes"
	"encoding/json"
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

	"github.com/aitrail/aitrail/internal/endpoint/ai"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

const account = "111122223333"

// server is as much of an endpoint as the services need: it routes by the credential scope and keeps what they record.
type server struct {
	*httptest.Server
	services map[string]awsapi.Service
	state    *state.Store

	mu          sync.Mutex
	now         time.Time
	calls       int
	bearer      bool
	code        string // of the last error
	last        awsapi.Record
	access      []awsapi.Access
	completions []*awsapi.Completion
}

func newServer(t *testing.T) *server {
	t.Helper()
	store, err := state.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{services: servicesOf(store), state: store, now: time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func servicesOf(store *state.Store) map[string]awsapi.Service {
	services := map[string]awsapi.Service{}
	for _, service := range ai.New(ai.Options{State: store}) {
		for _, name := range service.SigningNames() {
			services[name] = service
		}
	}
	return services
}

// config is an SDK's configuration for the server.
func (s *server) config(region string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: aws.String(s.URL), RetryMaxAttempts: 1, HTTPClient: keepingBodies{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	}
}

// keepingBodies is an HTTP client that keeps request bodies open. The SDK closes them as soon as an answer begins; Go's transport,
// if it hasn't seen the body's end by then, gives up the connection in the middle of the answer's stream.
type keepingBodies struct{}

func (keepingBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return http.DefaultClient.Do(r)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), 500)
		return
	}
	scope := strings.Split(r.Header.Get("Authorization"), "/")
	if len(scope) < 5 {
		http.Error(w, "no credential scope", http.StatusForbidden)
		return
	}
	service := s.services[scope[3]]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	c := &awsapi.Call{
		Request: r, Body: body, ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", s.calls), Time: s.now, Account: account,
		Region: scope[2], Signing: scope[3], Caller: &awsapi.Identity{Kind: awsapi.User, Account: account, Bearer: s.bearer},
	}
	operation, protocol, ok := service.Route(r, body)
	if !ok {
		s.fail(w, protocol, &awsapi.Error{Code: "UnknownOperationException", Message: "no such operation", Status: 404})
		return
	}
	c.Operation = operation
	service.Describe(c)
	s.access = service.Access(c)
	response, err := service.Serve(c)
	s.last = c.Record
	if err != nil {
		s.fail(w, protocol, err)
		return
	}
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	if response.Status != 0 {
		w.WriteHeader(response.Status)
	}
	if response.Stream == nil {
		w.Write(response.Body)
		return
	}
	completion, err := response.Stream(w, w.(http.Flusher).Flush)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if completion != nil {
		s.completions = append(s.completions, completion)
	}
}

func (s *server) fail(w http.ResponseWriter, p awsapi.Protocol, err error) {
	e := &awsapi.Error{Code: "InternalFailure", Message: err.Error(), Status: 500}
	errors.As(err, &e)
	status := e.Status
	s.code = e.Code
	if status == 0 {
		status = 400
	}
	out := map[string]string{"message": e.Message}
	if p == awsapi.RESTJSON {
		w.Header().Set("X-Amzn-ErrorType", e.Code)
	} else {
		out["__type"] = e.Code
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(out)
}

// do sends a request of a JSON protocol as SDKs do: target "Comprehend_20171127.DetectSentiment", or "POST /path".
func (s *server) do(t *testing.T, signing, operation, body string) (int, map[string]any) {
	t.Helper()
	method, path, rest := strings.Cut(operation, " ")
	if !rest {
		method, path = "POST", "/"
	}
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if !rest {
		req.Header.Set("X-Amz-Target", operation)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261102/us-east-1/"+signing+"/aws4_request")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if len(raw) > 0 && json.Unmarshal(raw, &out) != nil {
		out = map[string]any{"raw": raw}
	}
	return resp.StatusCode, out
}

// code is the error code of a failed SDK call.
func code(err error) string {
	var e interface{ ErrorCode() string }
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}
