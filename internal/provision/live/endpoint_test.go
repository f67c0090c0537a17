package live_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/aitrail/aitrail/internal/endpoint"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

const account = "111122223333"

// local is the local AWS endpoint, and what it was called with.
type local struct {
	server *endpoint.Server
	url    string

	mu    sync.Mutex
	calls map[string]int
}

func startEndpoint(t *testing.T) *local {
	t.Helper()
	l := &local{calls: map[string]int{}}
	server, err := endpoint.New(endpoint.Options{Dir: t.TempDir(), Account: account, Throttle: l.seen})
	if err != nil {
		t.Fatal(err)
	}
	l.server = server
	web := httptest.NewServer(server.Handler())
	l.url = web.URL
	t.Cleanup(func() {
		web.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// config is for clients of the root user, who try every call once.
func (l *local) config() aws.Config {
	key, secret := l.server.RootKey()
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &l.url, Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}
}

func (l *local) seen(c *awsapi.Call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[c.Operation]++
	return false
}

// called counts the operations called since it was called last.
func (l *local) called() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.calls
	l.calls = map[string]int{}
	return calls
}

// faulty is a connection on which one call fails: the first of a kind that has not failed yet, before it is sent or, the
// next time, after it was answered.
type faulty struct {
	http.RoundTripper
	seen map[string]bool // by kind, and "before" or "after"
	hit  string          // what failed since this was cleared
}

func (f *faulty) Do(r *http.Request) (*http.Response, error) { return f.RoundTrip(r) }

func (f *faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	kind := r.Method + " " + r.URL.RequestURI() + r.Header.Get("X-Amz-Target")
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
		values, err := url.ParseQuery(string(text))
		if err != nil {
			return nil, err
		}
		kind += values.Get("Action")
	}
	for _, when := range []string{"before", "after"} {
		if f.hit != "" || f.seen[when+" "+kind] {
			continue
		}
		f.hit = when + " " + kind
		f.seen[f.hit] = true
		if when == "after" {
			resp, err := f.RoundTripper.RoundTrip(r)
			if err != nil {
				return nil, err
			}
			resp.Body.Close()
		}
		return nil, errors.New("connection lost")
	}
	return f.RoundTripper.RoundTrip(r)
}
