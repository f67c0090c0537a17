package trail_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

func openRecorder(t testing.TB, dir string, opts trail.RecorderOptions) *trail.Recorder {
	t.Helper()
	r, err := trail.OpenRecorder(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func numbered(n int) cloudtrail.Event {
	return cloudtrail.Event{
		EventVersion: "1.11", EventTime: time.Date(2026, 11, 22, 10, 0, n, 0, time.UTC),
		EventSource: "bedrock.amazonaws.com", EventName: "InvokeModel", AWSRegion: "us-east-1",
		EventID: fmt.Sprintf("%08d-0000-4000-8000-000000000000", n), EventCategory: "Management",
	}
}

// recorded returns the ids of the record's events.
func recorded(t *testing.T, r *trail.Recorder) []string {
	t.Helper()
	ids := []string{}
	for entry, err := range r.Entries(0, r.End()) {
		if err != nil {
			t.Fatal(err)
		}
		var e cloudtrail.Event
		if err := e.Decode(entry.JSON); err != nil {
			t.Fatal(err)
		}
		if !e.EventTime.Equal(entry.Time) || !entry.Management {
			t.Errorf("the entry of %s says %v, management %v", e.EventID, entry.Time, entry.Management)
		}
		ids = append(ids, e.EventID)
	}
	return ids
}

func record(t testing.TB, r *trail.Recorder, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if err := r.Record(t.Context(), []cloudtrail.Event{numbered(n)}); err != nil {
			t.Fatal(err)
		}
	}
}

func ids(numbers ...int) []string {
	list := []string{}
	for _, n := range numbers {
		list = append(list, numbered(n).EventID)
	}
	return list
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.events"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestRecorderKeepsEventsOverReopeningAndRotation(t *testing.T) {
	dir := t.TempDir()
	opts := trail.RecorderOptions{SegmentBytes: 1000}
	r := openRecorder(t, dir, opts)
	record(t, r, 1, 2, 3, 4, 5, 6, 7)
	end := r.End()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(segments(t, dir)); n < 2 {
		t.Errorf("%d segments; want several", n)
	}
	r = openRecorder(t, dir, opts)
	if r.End() != end {
		t.Errorf("End = %d after reopening; want %d", r.End(), end)
	}
	record(t, r, 8)
	if diff := cmp.Diff(ids(1, 2, 3, 4, 5, 6, 7, 8), recorded(t, r)); diff != "" {
		t.Error(diff)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Record(t.Context(), []cloudtrail.Event{numbered(9)}); !errors.Is(err, trail.ErrClosed) {
		t.Errorf("Record on a closed recorder: %v", err)
	}
}

// Whatever a crash leaves of the last event, the ones before stay, and recording goes on.
func TestRecorderCutsTornTail(t *testing.T) {
	dir := t.TempDir()
	r := openRecorder(t, dir, trail.RecorderOptions{})
	record(t, r, 1, 2)
	whole := r.End()
	record(t, r, 3)
	r.Close()
	path := segments(t, dir)[0]
	full, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tail := len(full) - int(r.End()-whole)
	cases := map[string][]byte{
		"zeros":   append(full[:tail:tail], make([]byte, 64)...),
		"a flip":  append(append(full[:tail:tail], full[tail:len(full)-2]...), full[len(full)-2]^1, full[len(full)-1]),
		"garbage": append(full[:tail:tail], "\xff\xff\xff\xff and so on, for longer than a header is"...),
	}
	for n := tail; n < len(full); n++ {
		cases[fmt.Sprintf("%d bytes", n-tail)] = full[:n]
	}
	for name, content := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), content, 0o600); err != nil {
				t.Fatal(err)
			}
			r := openRecorder(t, dir, trail.RecorderOptions{})
			if r.End() != whole {
				t.Fatalf("End = %d; want %d", r.End(), whole)
			}
			record(t, r, 4)
			if diff := cmp.Diff(ids(1, 2, 4), recorded(t, r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRecorderDropsSegmentWithoutHeader(t *testing.T) {
	dir := t.TempDir()
	r := openRecorder(t, dir, trail.RecorderOptions{})
	record(t, r, 1)
	end := r.End()
	r.Close()
	torn := filepath.Join(dir, fmt.Sprintf("%016x.events", int64(end)))
	if err := os.WriteFile(torn, []byte("aitrev"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = openRecorder(t, dir, trail.RecorderOptions{})
	record(t, r, 2)
	if diff := cmp.Diff(ids(1, 2), recorded(t, r)); diff != "" {
		t.Error(diff)
	}
}

// A lost segment in the middle must not look like a record without its events.
func TestRecorderReportsDamage(t *testing.T) {
	dir := t.TempDir()
	r := openRecorder(t, dir, trail.RecorderOptions{SegmentBytes: 600})
	record(t, r, 1, 2, 3, 4, 5)
	first := segments(t, dir)[0]
	if err := os.Truncate(first, 100); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range r.Entries(0, r.End()) {
		last = err
	}
	if last == nil {
		t.Error("reading a damaged segment gives no error")
	}
}

// disk fails on demand.
type disk struct {
	trail.File
	mu       *sync.Mutex
	full     *int // bytes that can still be written
	badSync  *bool
	badTrunc *bool
}

func (d disk) WriteAt(b []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(b) > *d.full {
		n, _ := d.File.WriteAt(b[:*d.full], off)
		return n, syscall.ENOSPC
	}
	*d.full -= len(b)
	return d.File.WriteAt(b, off)
}

func (d disk) Sync() error {
	if *d.badSync {
		return syscall.EIO
	}
	return d.File.Sync()
}

func (d disk) Truncate(n int64) error {
	if *d.badTrunc {
		return syscall.EIO
	}
	return d.File.Truncate(n)
}

// A disk that is full, or fails, is an error of that call only; nothing of it is recorded, and once the disk is well
// recording goes on.
func TestRecorderSurvivesFailingDisk(t *testing.T) {
	for _, c := range []struct {
		name    string
		full    int
		sync    bool
		trunc   bool
		wantErr error
	}{
		{"full", 100, false, false, syscall.ENOSPC},
		{"full, cutting fails too", 100, false, true, syscall.ENOSPC},
		{"sync fails", 1 << 20, true, false, syscall.EIO},
		{"sync and cutting fail", 1 << 20, true, true, syscall.EIO},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			full, badSync, badTrunc := 1<<20, false, false
			opts := trail.WithFiles(trail.RecorderOptions{}, func(f trail.File) trail.File {
				return disk{f, &sync.Mutex{}, &full, &badSync, &badTrunc}
			})
			r := openRecorder(t, dir, opts)
			record(t, r, 1)
			end := r.End()
			full, badSync, badTrunc = c.full, c.sync, c.trunc
			if err := r.Record(t.Context(), []cloudtrail.Event{numbered(2)}); !errors.Is(err, c.wantErr) {
				t.Errorf("Record = %v; want %v", err, c.wantErr)
			}
			if r.End() != end {
				t.Errorf("End = %d after a failure; want %d", r.End(), end)
			}
			full, badSync, badTrunc = 1<<20, false, false
			record(t, r, 3)
			want := ids(1, 3)
			if diff := cmp.Diff(want, recorded(t, r)); diff != "" {
				t.Error(diff)
			}
			r.Close()
			if diff := cmp.Diff(want, recorded(t, openRecorder(t, dir, trail.RecorderOptions{}))); diff != "" {
				t.Errorf("after reopening: %s", diff)
			}
		})
	}
}

func TestRecorderSharesSyncs(t *testing.T) {
	const callers, each = 50, 20
	var mu sync.Mutex
	syncs := 0
	opts := trail.WithFiles(trail.RecorderOptions{SegmentBytes: 100_000}, func(f trail.File) trail.File {
		return counted{f, func() {
			mu.Lock()
			syncs++
			mu.Unlock()
			time.Sleep(time.Millisecond) // a file system in memory has nothing to wait for, and nothing to share
		}}
	})
	r := openRecorder(t, t.TempDir(), opts)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				if err := r.Record(context.Background(), []cloudtrail.Event{numbered(c*each + i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := map[string]int{}
	for _, id := range recorded(t, r) {
		got[id]++
	}
	for n := range callers * each {
		if got[numbered(n).EventID] != 1 {
			t.Fatalf("event %d is recorded %d times", n, got[numbered(n).EventID])
		}
	}
	if syncs >= callers*each {
		t.Errorf("%d syncs for %d calls", syncs, callers*each)
	}
}

type counted struct {
	trail.File
	synced func()
}

func (c counted) Sync() error { c.synced(); return c.File.Sync() }

func TestRecorderExpires(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	opts := trail.RecorderOptions{SegmentBytes: 300, Now: func() time.Time { return now }}
	dir := t.TempDir()
	r := openRecorder(t, dir, opts)
	record(t, r, 1, 2)
	now = now.Add(40 * 24 * time.Hour)
	record(t, r, 3, 4)
	now = now.Add(49 * 24 * time.Hour)
	expire := func(want ...int) {
		t.Helper()
		if err := r.Expire(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ids(want...), recorded(t, r)); diff != "" {
			t.Error(diff)
		}
	}
	expire(1, 2, 3, 4) // 89 days
	now = now.Add(2 * 24 * time.Hour)
	expire(2, 3, 4) // 2's segment ends when 3's begins, 40 days later
	now = now.Add(40 * 24 * time.Hour)
	expire(4) // the last segment is written to
	if n := len(segments(t, dir)); n != 1 {
		t.Errorf("%d files are left", n)
	}
}

func TestRecorderCut(t *testing.T) {
	r := openRecorder(t, t.TempDir(), trail.RecorderOptions{})
	record(t, r, 1, 2, 3, 4)
	one := int64(r.End()) / 4
	for _, c := range []struct {
		size int64
		want int64
	}{{1, one}, {one, one}, {2*one + 1, 2 * one}, {4 * one, 4 * one}, {1 << 40, 4 * one}} {
		got, err := r.Cut(0, r.End(), c.size)
		if err != nil || int64(got) != c.want {
			t.Errorf("Cut(%d) = %d, %v; want %d", c.size, got, err, c.want)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			r := openRecorder(b, b.TempDir(), trail.RecorderOptions{})
			b.SetParallelism(callers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := r.Record(context.Background(), []cloudtrail.Event{numbered(1)}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
