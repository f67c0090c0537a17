package lake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
)

var (
	ctx  = context.Background()
	noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
)

// backoff keeps tests from waiting when a server refuses, or loses an answer.
const backoff = 10 * time.Millisecond

func open(t testing.TB, dir string, opts lake.Options) *lake.Lake {
	t.Helper()
	if opts.Now == nil {
		opts.Now = func() time.Time { return noon }
	}
	l, err := lake.Open(ctx, dir, opts.WithBackoff(backoff))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func create(t testing.TB, dir string) *lake.Lake {
	t.Helper()
	return open(t, dir, lake.Options{Create: true})
}

// record returns a record; n makes its eventID and its time.
func record(n int) string {
	at := noon.Add(time.Duration(n) * time.Second).Format(time.RFC3339)
	return fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDA","arn":"arn:aws:iam::111122223333:user/ana",`+
		`"accountId":"111122223333","accessKeyId":"AKIA","userName":"ana"},"eventTime":%q,"eventSource":"bedrock.amazonaws.com",`+
		`"eventName":"InvokeModel","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1","userAgent":"aws-cli/2.0","requestParameters":`+
		`{"modelId":"m%d"},"responseElements":null,"requestID":"r%d","eventID":"00000000-0000-4000-8000-%012d","readOnly":true,"eventType":"AwsApiCall",`+
		`"managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}`, at, n%7, n, n+1)
}

func decode(t testing.TB, record string) *cloudtrail.Event {
	t.Helper()
	e := new(cloudtrail.Event)
	if err := e.Decode(record); err != nil {
		t.Fatalf("%s: %v", record, err)
	}
	return e
}

// logFile is a log file of tests.
type logFile struct {
	object  string
	records []string
}

func numbered(object string, from, to int) logFile {
	f := logFile{object: object}
	for n := from; n < to; n++ {
		f.records = append(f.records, record(n))
	}
	return f
}

func row(object string) lake.LogFile {
	return lake.LogFile{Object: object, Size: 100, ETag: "e", Kind: cloudtrail.KindLog, Account: "111122223333", Region: "us-east-1"}
}

func add(t testing.TB, b *lake.Batch, files ...logFile) {
	t.Helper()
	for _, f := range files {
		w := b.File(row(f.object))
		for i, r := range f.records {
			if err := w.Event(decode(t, r), i); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Done(func(f *lake.LogFile) { f.SHA256 = "abc" }); err != nil {
			t.Fatal(err)
		}
	}
}

func commit(t testing.TB, l *lake.Lake, files ...logFile) lake.Result {
	t.Helper()
	b := l.NewBatch()
	add(t, b, files...)
	r, err := b.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func stored(t testing.TB, l *lake.Lake, f lake.EventFilter) []lake.Stored {
	t.Helper()
	var all []lake.Stored
	for s, err := range l.ReadEvents(ctx, f) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func logFiles(t testing.TB, l *lake.Lake) map[string]lake.LogFile {
	t.Helper()
	all := map[string]lake.LogFile{}
	for f, err := range l.LogFiles(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := all[f.Object]; twice {
			t.Errorf("log file %s has two rows", f.Object)
		}
		all[f.Object] = f
	}
	return all
}

func sameJSON(t testing.TB, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("a record changed (-want +got):\n%s", cmp.Diff(w, g))
	}
}

func TestCommitAndRead(t *testing.T) {
	dir := t.TempDir()
	l := create(t, dir)
	r := commit(t, l, numbered("file:///a", 0, 300), numbered("file:///b", 300, 310), logFile{object: "file:///empty"})
	if r.Files != 3 || r.Events != 310 || r.Duplicates != 0 || r.Skipped != 0 || r.Batch == "" {
		t.Errorf("Commit = %+v", r)
	}
	for _, l := range []*lake.Lake{l, open(t, dir, lake.Options{ReadOnly: true})} {
		got := stored(t, l, lake.EventFilter{})
		if len(got) != 310 {
			t.Fatalf("%d events in the lake, want 310", len(got))
		}
		for i, s := range got {
			sameJSON(t, string(s.Event.AppendJSON(nil)), record(i))
			if s.Index != int64(i%300) || i < 300 != (s.Object == "file:///a") {
				t.Errorf("event %d has lineage %s %d", i, s.Object, s.Index)
			}
		}
		have, err := l.Collected(ctx, "file:///a", 100, "e")
		if err != nil || !have {
			t.Errorf("Collected(a) = %v, %v", have, err)
		}
		if have, _ := l.Collected(ctx, "file:///a", 101, "e"); have {
			t.Error("Collected is true for another size")
		}
		if have, _ := l.Collected(ctx, "file:///a", 100, "f"); have {
			t.Error("Collected is true for another ETag")
		}
		files := logFiles(t, l)
		want := row("file:///b")
		want.Events, want.SHA256, want.Status, want.Batch = 10, "abc", lake.StatusCollected, r.Batch
		want.First, want.Last, want.CollectedAt = noon.Add(300*time.Second), noon.Add(309*time.Second), noon
		if diff := cmp.Diff(want, files["file:///b"]); diff != "" {
			t.Errorf("log file (-want +got):\n%s", diff)
		}
		if len(files) != 3 {
			t.Errorf("%d log files, want 3", len(files))
		}
	}
}

func TestSnapshot(t *testing.T) {
	l := create(t, t.TempDir())
	if s, err := l.Files(ctx, lake.Events); err != nil || s.Rows != 0 || s.ID != 0 || len(s.Files) != 0 {
		t.Errorf("Files of an empty lake = %+v, %v", s, err)
	}
	day := 24 * 3600
	timeless := logFile{"file:///t", []string{`{"eventName":"NoTime"}`}}
	commit(t, l, numbered("file:///a", 2*day, 2*day+10), numbered("file:///b", 0, 20), timeless)
	s, err := l.Files(ctx, lake.Events)
	if err != nil {
		t.Fatal(err)
	}
	if s.Rows != 31 || s.ID == 0 || len(s.Files) != 3 {
		t.Fatalf("snapshot = %+v", s)
	}
	if f := s.Files[0]; !f.Day.IsZero() || !f.First.IsZero() || f.Rows != 1 {
		t.Errorf("file of events without time = %+v", f)
	}
	if f := s.Files[1]; !f.Day.Equal(noon.Truncate(24*time.Hour)) || !f.First.Equal(noon) || !f.Last.Equal(noon.Add(19*time.Second)) || f.Rows != 20 || f.Bytes == 0 {
		t.Errorf("file of the first day = %+v", f)
	}
	if _, err := l.Files(ctx, "nothing"); err == nil {
		t.Error("no error for an unknown table")
	}
}

func TestReadEventsFilters(t *testing.T) {
	l := create(t, t.TempDir())
	commit(t, l, numbered("file:///a", 0, 50), numbered("file:///b", 50, 60), logFile{"file:///t", []string{`{"eventID":"odd","eventName":"NoTime"}`}})
	for name, test := range map[string]struct {
		filter lake.EventFilter
		want   int
	}{
		"all":       {lake.EventFilter{}, 61},
		"id":        {lake.EventFilter{ID: "00000000-0000-4000-8000-000000000008"}, 1},
		"odd id":    {lake.EventFilter{ID: "odd"}, 1},
		"no id":     {lake.EventFilter{ID: "00000000-0000-4000-8000-00000000ffff"}, 0},
		"object":    {lake.EventFilter{Object: "file:///b"}, 10},
		"from":      {lake.EventFilter{From: noon.Add(40 * time.Second)}, 20},
		"to":        {lake.EventFilter{To: noon.Add(40 * time.Second)}, 40},
		"from a to": {lake.EventFilter{From: noon.Add(40 * time.Second), To: noon.Add(41 * time.Second)}, 1},
		"far":       {lake.EventFilter{From: noon.Add(40 * time.Hour)}, 0},
	} {
		if got := stored(t, l, test.filter); len(got) != test.want {
			t.Errorf("%s: %d events, want %d", name, len(got), test.want)
		}
	}
	for range l.ReadEvents(ctx, lake.EventFilter{}) {
		break // stopping early must not panic
	}
}

func TestDuplicates(t *testing.T) {
	l := create(t, t.TempDir())
	noID := logFile{"file:///n", []string{`{"eventTime":"2026-11-20T12:00:00Z","eventName":"X"}`, `{"eventTime":"2026-11-20T12:00:00Z","eventName":"X"}`}}
	other := logFile{"file:///o", []string{`{"eventTime":"2026-11-20T12:00:00Z","eventID":"00000000-0000-4000-8000-000000000001","recipientAccountId":"444455556666"}`}}
	odd := logFile{"file:///odd", []string{`{"eventTime":"2026-11-20T12:00:00Z","eventID":"ODD","recipientAccountId":"x"}`, `{"eventTime":"2026-11-20T12:00:01Z","eventID":"ODD","recipientAccountId":"x"}`}}
	// Within a batch, and within a file.
	r := commit(t, l, numbered("file:///a", 0, 20), numbered("file:///b", 10, 30), noID, other, odd)
	if r.Events != 34 || r.Duplicates != 11 {
		t.Errorf("Commit = %+v, want 34 events and 11 duplicates", r)
	}
	// With what the lake has.
	r = commit(t, l, numbered("file:///c", 25, 40))
	if r.Events != 10 || r.Duplicates != 5 {
		t.Errorf("Commit = %+v, want 10 events and 5 duplicates", r)
	}
	// A batch of nothing but duplicates.
	r = commit(t, l, numbered("file:///d", 5, 10), logFile{"file:///odd2", odd.records[:1]})
	if r.Events != 0 || r.Duplicates != 6 || r.Files != 2 {
		t.Errorf("Commit = %+v, want 6 duplicates", r)
	}
	if got := stored(t, l, lake.EventFilter{}); len(got) != 44 {
		t.Errorf("%d rows, want 44", len(got))
	}
	files := logFiles(t, l)
	for object, want := range map[string][2]int64{"file:///a": {20, 0}, "file:///b": {20, 10}, "file:///c": {15, 5}, "file:///d": {5, 5}, "file:///odd": {2, 1}, "file:///n": {2, 0}} {
		if f := files[object]; f.Events != want[0] || f.Duplicates != want[1] {
			t.Errorf("%s has %d events and %d duplicates, want %v", object, f.Events, f.Duplicates, want)
		}
	}
}

func TestSameFileTwice(t *testing.T) {
	dir := t.TempDir()
	l, other := create(t, dir), create(t, dir)
	b1, b2 := l.NewBatch(), other.NewBatch()
	noID := logFile{"file:///n", []string{`{"eventTime":"2026-11-20T12:00:00Z","eventName":"X"}`}}
	add(t, b1, numbered("file:///a", 0, 20), noID, noID)
	add(t, b2, numbered("file:///a", 0, 20), noID, numbered("file:///b", 20, 25))
	if r, err := b1.Commit(ctx); err != nil || r.Files != 2 || r.Events != 21 {
		t.Errorf("first Commit = %+v, %v", r, err)
	}
	if r, err := b2.Commit(ctx); err != nil || r.Files != 1 || r.Skipped != 2 || r.Events != 5 || r.Calls != 5 {
		t.Errorf("second Commit = %+v, %v", r, err)
	}
	if got := stored(t, l, lake.EventFilter{}); len(got) != 26 {
		t.Errorf("%d rows, want 26", len(got))
	}
	if n := len(logFiles(t, l)); n != 3 {
		t.Errorf("%d log files, want 3", n)
	}
}

func TestQuarantineAndDrop(t *testing.T) {
	l := create(t, t.TempDir())
	b := l.NewBatch()
	add(t, b, numbered("file:///a", 0, 5))
	bad := b.File(row("file:///bad"))
	for n := range 3 {
		if err := bad.Event(decode(t, record(n)), n); err != nil {
			t.Fatal(err)
		}
	}
	if err := bad.Quarantine("truncated", nil); err != nil {
		t.Fatal(err)
	}
	bad.Drop()
	if err := bad.Event(decode(t, record(0)), 0); err == nil {
		t.Error("Event after the end gives no error")
	}
	gone := b.File(row("file:///gone"))
	if err := gone.Event(decode(t, record(100)), 0); err != nil {
		t.Fatal(err)
	}
	gone.Drop()
	add(t, b, numbered("file:///b", 5, 8))
	r, err := b.Commit(ctx)
	if err != nil || r.Files != 3 || r.Quarantined != 1 || r.Events != 8 || r.Calls != 8 || r.Duplicates != 0 {
		t.Errorf("Commit = %+v, %v", r, err)
	}
	if got := stored(t, l, lake.EventFilter{}); len(got) != 8 {
		t.Errorf("%d rows, want 8", len(got))
	}
	files := logFiles(t, l)
	if f := files["file:///bad"]; f.Status != lake.StatusQuarantined || f.Reason != "truncated" || f.Events != 0 {
		t.Errorf("quarantined log file = %+v", f)
	}
	if _, ok := files["file:///gone"]; ok {
		t.Error("a dropped log file is in the lake")
	}
	if have, err := l.Collected(ctx, "file:///bad", 100, "e"); !have || err != nil {
		t.Errorf("Collected of a quarantined log file = %v, %v", have, err)
	}
}

func TestQuarantineConflict(t *testing.T) {
	dir := t.TempDir()
	l, other := create(t, dir), create(t, dir)
	b := other.NewBatch()
	add(t, b, numbered("file:///a", 0, 5))
	bad := l.NewBatch()
	if err := bad.File(row("file:///a")).Quarantine("truncated", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := bad.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(ctx); !errors.Is(err, lake.ErrConflict) {
		t.Errorf("Commit = %v, want ErrConflict", err)
	}
	if err := b.Discard(); err != nil {
		t.Error(err)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := lake.Open(ctx, t.TempDir(), lake.Options{}); !errors.Is(err, lake.ErrNoLake) {
		t.Errorf("Open of an empty folder = %v, want ErrNoLake", err)
	}
	if _, err := lake.Open(ctx, t.TempDir()+"/none", lake.Options{ReadOnly: true, Create: true}); !errors.Is(err, lake.ErrNoLake) {
		t.Errorf("Open of no folder for reading = %v, want ErrNoLake", err)
	}
	dir := t.TempDir()
	create(t, dir)
	l := open(t, dir, lake.Options{ReadOnly: true})
	if _, err := l.NewBatch().Commit(ctx); !errors.Is(err, lake.ErrReadOnly) {
		t.Errorf("Commit = %v, want ErrReadOnly", err)
	}
	if _, err := l.SetVerdicts(ctx, nil); !errors.Is(err, lake.ErrReadOnly) {
		t.Errorf("SetVerdicts = %v, want ErrReadOnly", err)
	}
}

func TestSetVerdicts(t *testing.T) {
	dir := t.TempDir()
	l := create(t, dir)
	commit(t, l, numbered("file:///a", 0, 5), numbered("file:///b", 5, 8))
	commit(t, l, numbered("file:///c", 10, 15))
	verdicts := []lake.Verdict{{"file:///a", lake.VerdictVerified, ""}, {"file:///c", lake.VerdictFailed, "hash differs"}, {"file:///x", lake.VerdictFailed, ""}}
	for i, want := range []int{2, 0} {
		if n, err := l.SetVerdicts(ctx, verdicts); n != want || err != nil {
			t.Errorf("SetVerdicts %d = %d, %v; want %d", i, n, err, want)
		}
	}
	files := logFiles(t, open(t, dir, lake.Options{}))
	if len(files) != 3 || files["file:///a"].Verdict != lake.VerdictVerified || files["file:///b"].Verdict != "" ||
		files["file:///c"].Verdict != lake.VerdictFailed || files["file:///c"].VerdictNote != "hash differs" || files["file:///a"].Events != 5 {
		t.Errorf("log files = %+v", files)
	}
	if r := commit(t, l, numbered("file:///c", 10, 15)); r.Skipped != 1 {
		t.Errorf("a judged log file was collected again: %+v", r)
	}
}

// TestReadWhileCommitting reads while another lake commits: every state must be one between two commits.
func TestReadWhileCommitting(t *testing.T) {
	dir := t.TempDir()
	w, r := create(t, dir), open(t, dir, lake.Options{ReadOnly: true})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 25 {
			b := w.NewBatch()
			f := b.File(row(fmt.Sprintf("file:///%d", n)))
			if err := f.Event(decode(t, record(n)), 0); err != nil {
				t.Error(err)
			}
			if err := f.Done(nil); err != nil {
				t.Error(err)
			}
			if _, err := b.Commit(ctx); err != nil {
				t.Error(err)
			}
		}
	}()
	last := int64(0)
	for committing := true; committing; {
		select {
		case <-done:
			committing = false
		default:
		}
		before, err := r.Files(ctx, lake.Events)
		if err != nil {
			t.Fatal(err)
		}
		n := int64(len(logFiles(t, r)))
		after, err := r.Files(ctx, lake.Events)
		if err != nil {
			t.Fatal(err)
		}
		if n < before.Rows || n > after.Rows || n < last {
			t.Fatalf("%d log files, %d before, between %d and %d events", n, last, before.Rows, after.Rows)
		}
		last = n
	}
	if last != 25 {
		t.Errorf("%d log files at last", last)
	}
}
