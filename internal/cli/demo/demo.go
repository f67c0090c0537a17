// Package demo makes the demo's traffic: some hundreds of real AI and management calls over HTTP, by AWS's own Go SDK,
// as five actors with permissions of their own. It needs an endpoint and an administrator's keys, and knows nothing of
// what records the calls: it remembers the request id of every answer, so that others can be asked what they saw.
//
// The traffic is the same at every run but for ids and times.
package demo

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"golang.org/x/sync/errgroup"
)

// Endpoint is where the calls go, and who may do everything there.
type Endpoint struct {
	URL             string
	Region          string
	AccessKeyID     string
	SecretAccessKey string
}

// Config is an SDK configuration for the endpoint, with the keys of who may do everything there.
func (at Endpoint) Config() aws.Config {
	return aws.Config{Region: at.Region, BaseEndpoint: aws.String(at.URL),
		Credentials: credentials.NewStaticCredentialsProvider(at.AccessKeyID, at.SecretAccessKey, "")}
}

// Traffic is what was called.
type Traffic struct {
	mu       sync.Mutex
	requests []string
	step     func(string)
}

// RequestIDs returns the request id of every call that was answered, in no order.
func (t *Traffic) RequestIDs() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.requests...)
}

// Run makes the calls. step is told what begins; it may be called from several goroutines. Calls that are meant to be
// denied, throttled or refused are no error; any other failure is.
func Run(ctx context.Context, at Endpoint, step func(string)) (*Traffic, error) {
	t := &Traffic{step: step}
	root := t.config(at, at.Config().Credentials, "aws-cli/2.31.0 md/command#iam.create-user")
	step("the administrator arrives")
	ana, err := t.firstUser(ctx, root, at)
	if err != nil {
		return t, fmt.Errorf("creating the administrator: %w", err)
	}
	step("the administrator sets up roles, guardrail, agent and endpoint")
	cast, err := t.setUp(ctx, ana, at)
	if err != nil {
		return t, fmt.Errorf("setting up: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, actor := range []struct {
		name string
		play func(context.Context, *stage) error
	}{
		{"the support application answers customers", t.application},
		{"the data scientist looks at pictures and papers", t.scientist},
		{"the build writes release notes with an API key", t.build},
		{"somebody tries a leaked key", t.intruder},
		{"the administrator changes settings", t.administrator},
	} {
		group.Go(func() error {
			step(actor.name)
			if err := actor.play(ctx, cast); err != nil {
				return fmt.Errorf("%s: %w", actor.name, err)
			}
			return nil
		})
	}
	return t, group.Wait()
}

// config returns an SDK configuration whose requests are remembered.
func (t *Traffic) config(at Endpoint, creds aws.CredentialsProvider, userAgent string) aws.Config {
	return aws.Config{
		Region:           at.Region,
		BaseEndpoint:     aws.String(at.URL),
		Credentials:      creds,
		HTTPClient:       &http.Client{Transport: &transport{t, userAgent}},
		RetryMaxAttempts: 1, // every refusal is one call
	}
}

// transport remembers the request ids of answers.
type transport struct {
	traffic   *Traffic
	userAgent string // "" leaves the SDK's own
}

func (r *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme = "http"
	if r.userAgent != "" {
		req.Header.Set("User-Agent", r.userAgent) // not among the signed headers
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	id := resp.Header.Get("X-Amzn-Requestid")
	if id == "" {
		id = resp.Header.Get("X-Amz-Request-Id")
	}
	r.traffic.mu.Lock()
	defer r.traffic.mu.Unlock()
	r.traffic.requests = append(r.traffic.requests, id)
	return resp, nil
}
