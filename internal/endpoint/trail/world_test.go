package trail_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/logs"
	"github.com/aitrail/aitrail/internal/endpoint/state"
	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

const (
	account = "111122223333"
	home    = "us-east-1"
	bucket  = "ai-trail"
)

// bucketStore is S3 as the deliverer sees it. It survives restarts.
type bucketStore struct {
	mu      sync.Mutex
	objects map[string]*trail.Object // bucket/key
	denied  string                   // the error code of every call; "" for none
	puts    int
	// crash, when not nil, is asked before and after every put; true kills the process there.
	crash func(put int, after bool) bool
}

// killed is what a simulated kill panics with.
type killed struct{}

func (b *bucketStore) DeliverObject(_ context.Context, o *trail.Object) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts++
	if b.crash != nil && b.crash(b.puts, false) {
		panic(killed{})
	}
	if b.denied != "" {
		return &awsapi.Error{Code: b.denied}
	}
	b.objects[o.Bucket+"/"+o.Key] = o
	if b.crash != nil && b.crash(b.puts, true) {
		panic(killed{})
	}
	return nil
}

func (b *bucketStore) CheckDelivery(bucket, _, _, _ string) error {
	if bucket == "no-such-bucket" {
		return &awsapi.Error{Code: "NoSuchBucket"}
	}
	if bucket == "no-policy" {
		return &awsapi.Error{Code: "InsufficientS3BucketPolicy"}
	}
	return nil
}

// Bucket, List and Open make the store a source for verification.
func (b *bucketStore) Bucket() string { return bucket }

func (b *bucketStore) List(_ context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(b.objects)) {
			key, ok := strings.CutPrefix(key, bucket+"/")
			if ok && strings.HasPrefix(key, prefix) && key > after && !yield(key, nil) {
				return
			}
		}
	}
}

func (b *bucketStore) Open(_ context.Context, bucket, key string) (io.ReadCloser, map[string]string, error) {
	o := b.objects[bucket+"/"+key]
	if o == nil {
		return nil, nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(o.Body)), o.Metadata, nil
}

// logGroups is CloudWatch Logs, killed on demand inside the transaction.
type logGroups struct {
	*logs.Service
	crash bool
}

func (l *logGroups) AppendTx(tx *state.Tx, region, group, stream string, at time.Time, events iter.Seq2[time.Time, string]) error {
	err := l.Service.AppendTx(tx, region, group, stream, at, events)
	if l.crash {
		panic(killed{})
	}
	return err
}

// world is an endpoint's CloudTrail with all it stands on.
type world struct {
	t       *testing.T
	dir     string
	now     time.Time
	bucket  *bucketStore
	store   *state.Store
	record  *trail.Recorder
	groups  *logGroups
	service *trail.Service
	options func(*trail.Options) // changes the options of a start
	calls   int
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, dir: t.TempDir(), now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		bucket: &bucketStore{objects: map[string]*trail.Object{}},
	}
	// The key pair takes longest to make: all worlds have the same.
	if err := os.WriteFile(filepath.Join(w.dir, "state.db"), keyed(), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	t.Cleanup(w.stop)
	return w
}

// keyed is a state file with a key pair and nothing else.
var keyed = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "trail")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.db")
	store, err := state.Open(path)
	if err != nil {
		panic(err)
	}
	at := func() time.Time { return time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC) }
	service, err := trail.New(trail.Options{Account: account, Store: store, Now: at})
	if err != nil {
		panic(err)
	}
	if _, err := service.Serve(&awsapi.Call{Operation: "ListPublicKeys"}); err != nil {
		panic(err)
	}
	if err := store.Close(); err != nil {
		panic(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return b
})

func (w *world) start() {
	w.t.Helper()
	var err error
	clock := func() time.Time { return w.now }
	if w.store, err = state.Open(filepath.Join(w.dir, "state.db")); err != nil {
		w.t.Fatal(err)
	}
	w.record, err = trail.OpenRecorder(filepath.Join(w.dir, "events"), trail.RecorderOptions{Now: clock, SegmentBytes: 4000})
	if err != nil {
		w.t.Fatal(err)
	}
	w.groups = &logGroups{Service: logs.New(logs.Options{Account: account, Store: w.store, Now: clock})}
	opts := trail.Options{
		Account: account, Store: w.store, Recorder: w.record, Buckets: w.bucket, LogGroups: w.groups, Now: clock,
	}
	if w.options != nil {
		w.options(&opts)
	}
	if w.service, err = trail.New(opts); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	w.record.Close()
	w.store.Close()
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

// call makes an API call and records its event, as the server does. in and out are JSON.
func (w *world) call(operation, in string) (out string, err error) {
	return w.callIn(home, operation, in)
}

func (w *world) callIn(region, operation, in string) (out string, err error) {
	w.t.Helper()
	w.calls++
	var service awsapi.Service = w.service
	if strings.Contains(operation, "Log") && !strings.HasSuffix(operation, "Logging") {
		service = w.groups
	}
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/", nil)
	r.Header.Set("X-Amz-Target", "CloudTrail_20131101."+operation)
	name, _, ok := service.Route(r, []byte(in))
	if !ok {
		w.t.Fatalf("no operation %s", operation)
	}
	c := &awsapi.Call{
		Request: r, Body: []byte(in), ID: requestID(w.calls), Time: w.now, Account: account, Region: region,
		Caller: &awsapi.Identity{Kind: awsapi.Root, Account: account}, Operation: name,
	}
	service.Describe(c)
	if len(service.Access(c)) == 0 {
		w.t.Errorf("%s asks IAM for nothing", operation)
	}
	response, err := service.Serve(c)
	e := w.event(c.Record.EventSource, name, region)
	e.RequestID = c.ID
	e.ReadOnly = cloudtrail.BoolOf(c.Record.ReadOnly)
	w.put(e)
	if err != nil {
		return "", err
	}
	return string(response.Body), nil
}

func requestID(n int) string { return "request-" + numbered(n).EventID }

// do makes a call that has to succeed.
func (w *world) do(operation, in string) string {
	w.t.Helper()
	out, err := w.call(operation, in)
	if err != nil {
		w.t.Fatalf("%s: %v", operation, err)
	}
	return out
}

// refused makes a call that has to fail with a code.
func (w *world) refused(code, operation, in string) {
	w.t.Helper()
	_, err := w.call(operation, in)
	var e *awsapi.Error
	if !errors.As(err, &e) || e.Code != code {
		w.t.Errorf("%s %s: %v; want %s", operation, in, err, code)
	}
}

// event is a management event of now.
func (w *world) event(source, name, region string) *cloudtrail.Event {
	return &cloudtrail.Event{
		EventVersion: "1.11", EventTime: w.now, EventSource: source, EventName: name, AWSRegion: region,
		EventID: requestID(w.calls) + name, EventCategory: "Management", ManagementEvent: cloudtrail.True,
		ReadOnly: cloudtrail.False, RecipientAccountID: account, EventType: "AwsApiCall",
		UserIdentity: &cloudtrail.UserIdentity{Type: "IAMUser", UserName: "ci", ARN: "arn:aws:iam::111122223333:user/ci"},
	}
}

func (w *world) put(events ...*cloudtrail.Event) {
	w.t.Helper()
	for _, e := range events {
		if err := w.record.Record(w.t.Context(), []cloudtrail.Event{*e}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// invoke records a management event with a name.
func (w *world) invoke(names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.put(w.event("bedrock.amazonaws.com", name, home))
	}
}

func (w *world) flush() {
	w.t.Helper()
	if err := w.service.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// survive flushes and tells whether the process was killed meanwhile.
func (w *world) survive() (alive bool) {
	w.t.Helper()
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(killed); !ok {
				panic(v)
			}
			alive = false
		}
	}()
	w.flush()
	return true
}

// delivered returns the names of the events in the bucket's log files, in the order of keys, those of one source.
func (w *world) delivered(source string) []string {
	w.t.Helper()
	names := []string{}
	for path, o := range w.bucket.sorted() {
		k, ok := cloudtrail.ParseKey(path)
		if !ok {
			w.t.Fatalf("key %s", path)
		}
		if k.Kind != cloudtrail.KindLog {
			continue
		}
		for _, e := range readLogFile(w.t, o) {
			if e.EventSource == source {
				names = append(names, e.EventName)
			}
		}
	}
	return names
}

func (b *bucketStore) sorted() iter.Seq2[string, *trail.Object] {
	return func(yield func(string, *trail.Object) bool) {
		b.mu.Lock()
		objects := maps.Clone(b.objects)
		b.mu.Unlock()
		for _, path := range slices.Sorted(maps.Keys(objects)) {
			if !yield(path, objects[path]) {
				return
			}
		}
	}
}

func readLogFile(t *testing.T, o *trail.Object) []cloudtrail.Event {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(o.Body))
	if err != nil {
		t.Fatal(err)
	}
	r := cloudtrail.NewReader(z)
	var events []cloudtrail.Event
	for {
		var e cloudtrail.Event
		err := r.Next(&e)
		if err == io.EOF {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
}

// inLogs returns the names of the log group's events.
func (w *world) inLogs(group, source string) []string {
	w.t.Helper()
	var out struct{ Events []struct{ Message string } }
	unmarshal(w.t, w.do("FilterLogEvents", `{"logGroupName":"`+group+`"}`), &out)
	names := []string{}
	for _, m := range out.Events {
		var e cloudtrail.Event
		if err := e.Decode(m.Message); err != nil {
			w.t.Fatal(err)
		}
		if e.EventSource == source {
			names = append(names, e.EventName)
		}
	}
	return names
}

// keys are the public keys, as ListPublicKeys gives them.
func (w *world) keys() digest.Keys {
	w.t.Helper()
	keys, err := digest.ParseKeys([]byte(w.do("ListPublicKeys", `{}`)))
	if err != nil {
		w.t.Fatal(err)
	}
	return keys
}

// verify checks the chains in the bucket and returns the report.
func (w *world) verify() *digest.Report {
	w.t.Helper()
	report, err := digest.Verify(w.t.Context(), w.bucket, w.keys(), digest.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Severity == digest.SeverityFinding {
			w.t.Errorf("finding: %+v", f)
		}
	}
	return report
}

func unmarshal(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}
