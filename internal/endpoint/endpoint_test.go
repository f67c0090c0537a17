package endpoint_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint"
)

const account = "111122223333"

// bench is a running endpoint whose records are looked at.
type bench struct {
	*endpoint.Server
	url  string
	root aws.Config

	mu     sync.Mutex
	events []cloudtrail.Event
	fail   func(e cloudtrail.Event) error // nil: recording works
	inner  endpoint.Recorder
}

// Record implements endpoint.Recorder.
func (b *bench) Record(ctx context.Context, events []cloudtrail.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range events {
		if b.fail != nil {
			if err := b.fail(e); err != nil {
				return err
			}
		}
	}
	b.events = append(b.events, events...)
	return b.inner.Record(ctx, events)
}

// recorded returns the events so far, oldest first.
func (b *bench) recorded() []cloudtrail.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.events)
}

// last returns the newest event, which must be of that name.
func (b *bench) last(t *testing.T, name string) cloudtrail.Event {
	t.Helper()
	events := b.recorded()
	if len(events) == 0 || events[len(events)-1].EventName != name {
		t.Fatalf("the last of %d events isn't %s", len(events), name)
	}
	return events[len(events)-1]
}

func open(t *testing.T, opts endpoint.Options) *bench {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	s, err := endpoint.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Server: s}
	s.WrapRecorder(func(r endpoint.Recorder) endpoint.Recorder { b.inner = r; return b })
	web := httptest.NewUnstartedServer(s.Handler())
	web.Config.Protocols = &http.Protocols{}
	web.Config.Protocols.SetHTTP1(true)
	web.Config.Protocols.SetUnencryptedHTTP2(true)
	web.Start()
	t.Cleanup(func() {
		web.Close()
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	b.url = web.URL
	id, secret := s.RootKey()
	b.root = b.config(id, secret, "")
	return b
}

func (b *bench) config(id, secret, token string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(b.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
	}
}

// user makes an IAM user with a policy ("" for none) and returns a configuration with its access key.
func (b *bench) user(t *testing.T, name, document string) aws.Config {
	t.Helper()
	c := iam.NewFromConfig(b.root)
	if _, err := c.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}); err != nil {
		t.Fatal(err)
	}
	if document != "" {
		if _, err := c.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &document}); err != nil {
			t.Fatal(err)
		}
	}
	key, err := c.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return b.config(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
}

// role makes a role that the account's principals may assume if their policies let them, with a policy ("" for none).
func (b *bench) role(t *testing.T, name, document string) (arn string) {
	t.Helper()
	c := iam.NewFromConfig(b.root)
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":["sts:AssumeRole","sts:SetSourceIdentity","sts:TagSession"]}]}`
	r, err := c.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	if document != "" {
		if _, err := c.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: &document}); err != nil {
			t.Fatal(err)
		}
	}
	return *r.Role.Arn
}

func allow(actions ...string) string {
	list, _ := json.Marshal(actions)
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + string(list) + `,"Resource":"*"}]}`
}

// code is the error code an SDK saw, "" for none.
func code(err error) string {
	var e smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.ErrorCode()
	}
	return "no AWS error: " + err.Error()
}

// object decodes a record's free-form member.
func object(t *testing.T, text cloudtrail.JSON) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return m
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func callerARN(t *testing.T, cfg aws.Config) (string, error) {
	t.Helper()
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return *out.Arn, nil
}

// do sends a request as it is.
func do(t *testing.T, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	return doSigned(t, method, url, body, func(*http.Request) {}, header...)
}

type doer func(r *http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// bodyOf reads a request's body and leaves it in place.
func bodyOf(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return body, err
}

// serviceOf is the signing name in a signed request.
func serviceOf(r *http.Request) string {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if parts := strings.Split(credential, "/"); len(parts) > 3 {
		return parts[3]
	}
	return ""
}

func hexHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// signFor signs a request as it is for a service.
func signFor(t *testing.T, cfg aws.Config, r *http.Request, service, region string) {
	t.Helper()
	body, err := bodyOf(r)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hexHash(body), service, region, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// doSigned is do with a signature.
func doSigned(t *testing.T, method, url, body string, sign func(*http.Request), header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	sign(r)
	return send(t, r)
}

func send(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(answer)
}
