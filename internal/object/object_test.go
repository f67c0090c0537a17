package object_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/object"
	"github.com/aitrail/aitrail/internal/object/objecttest"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

func TestFolder(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) object.Store { return open(t, t.TempDir()) })
}

func TestBucket(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) object.Store {
		serve(t, nil)
		return open(t, "s3://example-bucket")
	})
}

func TestBucketPrefix(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) object.Store {
		serve(t, nil)
		objecttest.Fill(t, open(t, "s3://example-bucket"), "some/prefi", "some/prefix0", "some/prefix", "a")
		return open(t, "s3://example-bucket/some/prefix")
	})
}

func open(t *testing.T, source string) object.Store {
	t.Helper()
	s, err := object.Open(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openImpatient(t *testing.T) object.Store { return openIdle(t, time.Minute) }

func openIdle(t *testing.T, idle time.Duration) object.Store {
	t.Helper()
	s, err := object.OpenImpatient(t.Context(), "example-bucket", idle)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve starts an S3 server with the bucket example-bucket, behind a handler if there is one, and makes it the
// endpoint of the AWS SDK.
func serve(t *testing.T, front func(next http.Handler) http.Handler) gofakes3.Backend {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("example-bucket"); err != nil {
		t.Fatal(err)
	}
	handler := gofakes3.New(backend).Server()
	if front != nil {
		handler = front(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	objecttest.NoAWS(t)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL":            server.URL,
		"AWS_ACCESS_KEY_ID":           "AKIAIOSFODNN7EXAMPLE",
		"AWS_SECRET_ACCESS_KEY":       "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_EC2_METADATA_DISABLED":   "true",
	} {
		t.Setenv(name, value)
	}
	return backend
}

func TestOpenSources(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a b.json"), []byte("a b.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, nil)
	objecttest.Fill(t, open(t, "s3://example-bucket"), "p/x.json.gz", "p/x.json.gz.bak", "p.json/y")
	at := (&url.URL{Scheme: "file", Path: dir}).String()
	for _, tt := range []struct {
		source string
		keys   []string
		url    string // of the first key
	}{
		{dir, []string{"a b.json"}, at + "/a%20b.json"},
		{at, []string{"a b.json"}, at + "/a%20b.json"},
		{dir + "/a b.json", []string{"a b.json"}, at + "/a%20b.json"},
		{(&url.URL{Scheme: "file", Path: dir + "/a b.json"}).String(), []string{"a b.json"}, at + "/a%20b.json"},
		{"s3://example-bucket", []string{"p.json/y", "p/x.json.gz", "p/x.json.gz.bak"}, "s3://example-bucket/p.json/y"},
		{"s3://example-bucket/", []string{"p.json/y", "p/x.json.gz", "p/x.json.gz.bak"}, "s3://example-bucket/p.json/y"},
		{"s3://example-bucket/p", []string{"x.json.gz", "x.json.gz.bak"}, "s3://example-bucket/p/x.json.gz"},
		{"s3://example-bucket/p/", []string{"x.json.gz", "x.json.gz.bak"}, "s3://example-bucket/p/x.json.gz"},
		{"s3://example-bucket/p.json", []string{"y"}, "s3://example-bucket/p.json/y"},
		{"s3://example-bucket/p/x.json.gz", []string{"x.json.gz"}, "s3://example-bucket/p/x.json.gz"},
		{"s3://example-bucket/q", nil, ""},
	} {
		s := open(t, tt.source)
		got := objecttest.Keys(t, s, "", "")
		if !slices.Equal(got, tt.keys) {
			t.Errorf("%s: keys = %q, want %q", tt.source, got, tt.keys)
			continue
		}
		if len(got) == 0 {
			continue
		}
		if url := s.URL(got[0]); url != tt.url {
			t.Errorf("%s: URL = %s, want %s", tt.source, url, tt.url)
		}
		if body := objecttest.Read(t, s, got[0]); !strings.HasSuffix(body, got[0]) {
			t.Errorf("%s: %s holds %q", tt.source, got[0], body)
		}
	}
	for _, source := range []string{"s3://", "s3:///x", "http://example.com/", "file://example.com/x"} {
		if s, err := object.Open(t.Context(), source); err == nil {
			t.Errorf("Open(%q) = %v", source, s)
		}
	}
	if _, err := object.Open(t.Context(), dir+"/none"); !errors.Is(err, object.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	for _, err := range open(t, "s3://no-such-bucket").List(t.Context(), "", "") {
		if !errors.Is(err, object.ErrNotExist) {
			t.Errorf("no bucket: %v", err)
		}
	}
}

func TestSingleObject(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.json.gz")
	objecttest.Fill(t, open(t, dir), "x.json.gz", "x.json.gz2", "y")
	s := open(t, file)
	if err := s.Create(t.Context(), "z", nil); !errors.Is(err, object.ErrReadOnly) {
		t.Errorf("Create: %v", err)
	}
	if _, _, err := s.Open(t.Context(), "y"); !errors.Is(err, object.ErrNotExist) {
		t.Errorf("Open of another: %v", err)
	}
	for prefix, want := range map[string]int{"x": 1, "y": 0, "x.json.gz": 1, "x.json.gz2": 0} {
		if got := objecttest.Keys(t, s, prefix, ""); len(got) != want {
			t.Errorf("list of %q = %q", prefix, got)
		}
	}
	if got := objecttest.Keys(t, s, "", "x.json.gz"); got != nil {
		t.Errorf("list after the object = %q", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got := objecttest.Keys(t, s, "", ""); got != nil {
		t.Errorf("list when it is gone = %q", got)
	}
}

func TestFolderLinks(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	objecttest.Fill(t, open(t, other), "far/1")
	s := open(t, dir)
	objecttest.Fill(t, s, "a/1")
	for name, target := range map[string]string{
		"link": filepath.Join(other, "far"), "a/up": dir, "a/self": filepath.Join(dir, "a"), "dangling": "nowhere",
		"file": filepath.Join(dir, "a/1"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := objecttest.Keys(t, s, "", ""), []string{"a/1", "file", "link/1"}; !slices.Equal(got, want) {
		t.Errorf("keys = %q, want %q", got, want)
	}
	if got := objecttest.Read(t, s, "link/1"); got != "far/1" {
		t.Errorf("link/1 holds %q", got)
	}
}

// A file being written is no object, and a writer that died leaves none.
func TestFolderUnfinishedFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	objecttest.Fill(t, s, "a/1")
	const temp = "a/.aitrail-tmp-123"
	if err := os.WriteFile(filepath.Join(dir, temp), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := objecttest.Keys(t, s, "", ""); !slices.Equal(got, []string{"a/1"}) {
		t.Errorf("keys = %q", got)
	}
	if _, _, err := s.Open(t.Context(), temp); !errors.Is(err, object.ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
	if err := s.Create(t.Context(), temp, nil); err == nil {
		t.Error("an object can have such a name")
	}
	entries, err := os.ReadDir(filepath.Join(dir, "a"))
	if err != nil || len(entries) != 2 {
		t.Errorf("creating left %v, %v", entries, err)
	}
}

func TestBucketMetadata(t *testing.T) {
	backend := serve(t, nil)
	_, err := backend.PutObject("example-bucket", "k", map[string]string{
		"X-Amz-Meta-Signature": "00ff", "X-Amz-Meta-Signature-Algorithm": "SHA256withRSA",
	}, strings.NewReader("x"), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, o, err := open(t, "s3://example-bucket").Open(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if o.Meta["signature"] != "00ff" || o.Meta["signature-algorithm"] != "SHA256withRSA" {
		t.Errorf("metadata = %v", o.Meta)
	}
}

// unreliable breaks off the body of GET requests and answers every second request with 503.
type unreliable struct {
	next  http.Handler
	mu    sync.Mutex
	gets  int
	calls int
	whole int // of GETs of objects, the one answered whole; 0 for none
	meet  func(get int)
}

func (u *unreliable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.calls++
	slow := u.calls%2 == 0
	get := 0
	if !slow && r.Method == http.MethodGet && strings.Contains(strings.Trim(r.URL.Path, "/"), "/") {
		u.gets++
		get = u.gets
	}
	u.mu.Unlock()
	if slow {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "<Error><Code>SlowDown</Code><Message>reduce your request rate</Message></Error>")
		return
	}
	if get == 0 || get == u.whole {
		u.next.ServeHTTP(w, r)
		return
	}
	if u.meet != nil {
		u.meet(get)
	}
	record := httptest.NewRecorder()
	u.next.ServeHTTP(record, r)
	if record.Code >= 300 {
		w.WriteHeader(record.Code)
		w.Write(record.Body.Bytes())
		return
	}
	for name, values := range record.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", fmt.Sprint(record.Body.Len()))
	w.WriteHeader(record.Code)
	w.(http.Flusher).Flush()
	w.Write(record.Body.Bytes()[:record.Body.Len()/2])
	panic(http.ErrAbortHandler)
}

func TestBucketTakesUpWhatBreaksOff(t *testing.T) {
	for _, key := range []string{"a/b", ".gz"} {
		u := &unreliable{whole: 5}
		serve(t, func(next http.Handler) http.Handler { u.next = next; return u })
		s := openImpatient(t)
		objecttest.Fill(t, s, key, strings.Repeat("long/", 100))
		if got := objecttest.Read(t, s, key); got != key {
			t.Errorf("object = %q, want %q", got, key)
		}
		if u.gets != 5 { // half of 3 bytes, half of 2, none of 1, and again, and then the one
			t.Errorf("%d requests for the object, want 5", u.gets)
		}
	}
}

func TestBucketGivesUp(t *testing.T) {
	u := &unreliable{}
	serve(t, func(next http.Handler) http.Handler { u.next = next; return u })
	s := openImpatient(t)
	objecttest.Fill(t, s, "a")
	r, _, err := s.Open(t.Context(), "a") // one byte, half of which never comes
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err == nil || !strings.Contains(err.Error(), "s3://example-bucket/a") {
		t.Errorf("read %q, %v", b, err)
	}
	if u.gets != 6 {
		t.Errorf("%d requests, want 6", u.gets)
	}
}

func TestBucketObjectChanges(t *testing.T) {
	u := &unreliable{}
	var backend gofakes3.Backend
	u.meet = func(get int) {
		if get == 2 {
			_, err := backend.PutObject("example-bucket", "abcdef", map[string]string{}, strings.NewReader("fedcba"), 6, nil)
			if err != nil {
				t.Error(err)
			}
		}
	}
	backend = serve(t, func(next http.Handler) http.Handler { u.next = next; return u })
	s := openImpatient(t)
	objecttest.Fill(t, s, "abcdef")
	r, _, err := s.Open(t.Context(), "abcdef")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); !errors.Is(err, object.ErrChanged) {
		t.Errorf("read %q, %v, want ErrChanged", b, err)
	}
}

func TestBucketReadIsCanceled(t *testing.T) {
	stalled := make(chan struct{})
	serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Length", "10")
			w.WriteHeader(http.StatusOK)
			w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			close(stalled)
			<-r.Context().Done()
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	s := openImpatient(t)
	r, _, err := s.Open(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() { <-stalled; cancel() }()
	if b, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("read %q, %v, want Canceled", b, err)
	}
}

func TestBucketReadStalls(t *testing.T) {
	var mu sync.Mutex
	var ranges []string
	serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			ranges = append(ranges, r.Header.Get("Range"))
			mu.Unlock()
			if r.Header.Get("Range") == "" {
				w.Header().Set("Content-Length", "2")
				w.Write([]byte("x"))
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return
			}
			w.Header().Set("Content-Length", "1")
			w.WriteHeader(http.StatusPartialContent)
			w.Write([]byte("y"))
		})
	})
	r, _, err := openIdle(t, 200*time.Millisecond).Open(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "xy" {
		t.Errorf("read %q, %v, want xy", b, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := slices.Compact(ranges); !slices.Equal(got, []string{"", "bytes=1-"}) { // on a slow machine x, too, may be asked for again
		t.Errorf("ranges = %q", got)
	}
}

func TestBucketRegion(t *testing.T) {
	serve(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch name := strings.Trim(r.URL.Path, "/"); name {
			case "mine", "refused", "elsewhere":
				w.Header().Set("x-amz-bucket-region", "eu-west-1")
				w.WriteHeader(map[string]int{"mine": 200, "refused": 403, "elsewhere": 301}[name])
			default:
				w.WriteHeader(http.StatusNotFound)
			}
		})
	})
	for _, name := range []string{"mine", "refused", "elsewhere"} {
		if got, err := object.BucketRegion(t.Context(), name); err != nil || got != "eu-west-1" {
			t.Errorf("Region of %s = %q, %v", name, got, err)
		}
	}
	if got, err := object.BucketRegion(t.Context(), "none"); !errors.Is(err, object.ErrNotExist) {
		t.Errorf("Region of no bucket = %q, %v, want ErrNotExist", got, err)
	}
}

func TestAddressing(t *testing.T) {
	serve(t, nil)
	if o, err := object.Addressing(t.Context(), "example-bucket"); err != nil || !o.UsePathStyle || o.Region != "us-east-1" {
		t.Errorf("with an endpoint: path style %t, Region %s, %v", o.UsePathStyle, o.Region, err)
	}
	t.Setenv("AWS_ENDPOINT_URL_S3", os.Getenv("AWS_ENDPOINT_URL"))
	t.Setenv("AWS_ENDPOINT_URL", "")
	t.Setenv("AWS_REGION", "eu-central-1")
	if o, err := object.Addressing(t.Context(), "example-bucket"); err != nil || !o.UsePathStyle || o.Region != "eu-central-1" {
		t.Errorf("with an S3 endpoint: path style %t, Region %s, %v", o.UsePathStyle, o.Region, err)
	}
}
