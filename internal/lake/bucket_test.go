//go:build unix

package lake_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/lake/laketest"
	"github.com/aitrail/aitrail/internal/object"
)

func s3(t *testing.T, f front) string { return laketest.Endpoint(t, f) }

// TestRemotes keeps lakes in a bucket and in catalogs: commits, reads, verdicts, maintenance, from processes with caches of
// their own.
func TestRemotes(t *testing.T) {
	for kind, servers := range remotes {
		t.Run(kind, func(t *testing.T) { lifeOfLake(t, servers(t, nil)()) })
	}
}

func lifeOfLake(t *testing.T, at string) {
	if _, err := lake.Open(ctx, at, lake.Options{}); !errors.Is(err, lake.ErrNoLake) {
		t.Errorf("Open = %v, want ErrNoLake", err)
	}
	l := create(t, at)
	commit(t, l, first...)
	other := open(t, at, lake.Options{Cache: t.TempDir(), Now: later})
	b, err := addSecond(t, other)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := b.Commit(ctx); err != nil || r.Events != 15 || r.Duplicates != 5 || r.Skipped != 1 {
		t.Errorf("Commit = %+v, %v", r, err)
	}
	if !state(t, at) {
		t.Error("the second batch isn't in the lake")
	}
	if n, err := l.SetVerdicts(ctx, []lake.Verdict{{Object: "file:///c", Verdict: lake.VerdictVerified}}); n != 1 || err != nil {
		t.Errorf("SetVerdicts = %d, %v", n, err)
	}
	before := content(t, l)
	r, err := other.Maintain(ctx, lake.Maintenance{})
	if err != nil || r.Compacted[0].After != 2 || r.Compacted[1].After != 1 || r.Snapshots[lake.Events] != 2 || r.Orphans.Files == 0 {
		t.Errorf("Maintain = %+v, %v", r, err)
	}
	if after := content(t, open(t, at, lake.Options{ReadOnly: true, Cache: t.TempDir()})); !maps.Equal(before, after) {
		t.Errorf("maintenance changed the lake: %d rows before, %d after", len(before), len(after))
	}
	s, err := l.Files(ctx, lake.Events)
	if err != nil || len(s.Files) != 2 || !strings.HasPrefix(s.Files[0].Path, l.Dir()+"/events/data/") {
		t.Fatalf("Files = %+v, %v", s, err)
	}
	fresh := open(t, at, lake.Options{ReadOnly: true, Cache: t.TempDir()})
	if s, err = fresh.Files(ctx, lake.Events); err != nil {
		t.Fatal(err)
	}
	if err := fresh.Fetch(ctx, s.Files); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Files {
		if info, err := os.Stat(f.Local); err != nil || info.Size() != f.Bytes {
			t.Errorf("fetched file %s: %v, want %d bytes", f.Local, err, f.Bytes)
		}
	}
}

// TestCollectorsAtOnce lets collectors race: nothing but the conditional writes, or the catalog, keeps them apart.
func TestCollectorsAtOnce(t *testing.T) {
	for kind, servers := range remotes {
		t.Run(kind, func(t *testing.T) { collectorsAtOnce(t, servers(t, nil)()) })
	}
}

func collectorsAtOnce(t *testing.T, at string) {
	create(t, at)
	const collectors, commits = 4, 4
	var wg sync.WaitGroup
	for who := range collectors {
		l := open(t, at, lake.Options{Cache: t.TempDir()})
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range commits {
				b := l.NewBatch()
				from := (who*commits + n) * 10
				add(t, b, numbered(fmt.Sprintf("file:///%d-%d", who, n), from, from+15), // 5 are the next one's too
					numbered(fmt.Sprintf("file:///all-%d", n), n, n+1), logFile{object: fmt.Sprintf("file:///empty-%d", n)})
				if _, err := b.Commit(ctx); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	l := open(t, at, lake.Options{ReadOnly: true})
	ids := map[string]bool{}
	for _, s := range stored(t, l, lake.EventFilter{}) {
		if ids[s.Event.EventID] {
			t.Errorf("event %s is there twice", s.Event.EventID)
		}
		ids[s.Event.EventID] = true
	}
	if len(ids) != collectors*commits*10+5 {
		t.Errorf("%d events", len(ids))
	}
	if files := logFiles(t, l); len(files) != collectors*commits+2*commits {
		t.Errorf("%d log files", len(files))
	}
}

// TestLostAnswers loses answers, and requests, of servers now and then: what asks again finds that what it makes is there.
func TestLostAnswers(t *testing.T) {
	for kind, servers := range remotes {
		t.Run(kind, func(t *testing.T) { lostAnswers(t, servers) })
	}
}

func lostAnswers(t *testing.T, servers func(*testing.T, front) func() string) {
	var n, lost, refused atomic.Int64
	var on atomic.Bool
	at := servers(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !on.Load() || r.Method == http.MethodGet || lost.Load()+refused.Load() >= 6 { // each costs seconds
				next.ServeHTTP(w, r)
				return
			}
			switch n.Add(1) % 7 {
			case 3:
				lost.Add(1)
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			case 4:
				refused.Add(1)
				http.Error(w, "slow down", http.StatusServiceUnavailable)
			default:
				next.ServeHTTP(w, r)
			}
		})
	})()
	l := create(t, at)
	on.Store(true)
	for i := range 4 {
		if r := commit(t, l, numbered(fmt.Sprintf("file:///%d", i), i*5, i*5+7)); i == 0 && r.Events != 7 || i > 0 && (r.Events != 5 || r.Duplicates != 2) {
			t.Errorf("Commit = %+v", r)
		}
	}
	on.Store(false)
	if lost.Load() < 2 || refused.Load() < 2 {
		t.Errorf("only %d answers lost and %d requests refused", lost.Load(), refused.Load())
	}
	if got := stored(t, open(t, at, lake.Options{}), lake.EventFilter{}); len(got) != 22 {
		t.Errorf("%d events, want 22", len(got))
	}
}

// TestRequestsOfMaintenance counts the requests for removing orphans: besides a deletion each they don't grow but with the pages of
// listings, of 1,000 objects.
func TestRequestsOfMaintenance(t *testing.T) {
	orphans := 60
	if os.Getenv("AITRAIL_LONG_TESTS") != "" {
		orphans = 10_000
	}
	var mu sync.Mutex
	requests := map[string]int{}
	at := s3(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			kind := r.Method
			if r.URL.Query().Has("list-type") {
				kind = "list"
			}
			mu.Lock()
			requests[kind]++
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	})
	for _, f := range first {
		commit(t, create(t, at), f)
	}
	b, err := object.OpenBucket(ctx, at+"/events/data", backoff)
	if err != nil {
		t.Fatal(err)
	}
	for i := range orphans {
		if err := b.Put(ctx, fmt.Sprintf("%05d.parquet", i), strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	made := func() map[string]int { // since it was asked last
		mu.Lock()
		defer mu.Unlock()
		defer clear(requests)
		return maps.Clone(requests)
	}
	l := open(t, at, lake.Options{Now: later, Cache: t.TempDir()}) // nothing is in the cache
	made()
	o, err := l.RemoveOrphans(ctx, 0, nil)
	if err != nil || o.Files != int64(orphans) {
		t.Errorf("RemoveOrphans = %+v, %v; want %d", o, err, orphans)
	}
	if n := made(); n["list"] > 8+orphans/1000 || n["DELETE"] != orphans || n["PUT"] > 0 || n["GET"]+n["HEAD"] > 50 {
		t.Errorf("requests for %d orphans: %v", orphans, n)
	} else {
		t.Log(n)
	}
	forgotten, err := l.ExpireSnapshots(ctx, lake.Events, 0)
	if err != nil || forgotten != int64(len(first)-1) {
		t.Errorf("ExpireSnapshots = %d, %v", forgotten, err)
	}
	if n := made(); n["list"]+n["DELETE"] > 0 || n["PUT"] > 2 || n["GET"]+n["HEAD"] > 20 {
		t.Errorf("requests for forgetting snapshots: %v", n)
	}
}

// TestFaultAtEachStepRemotely is TestFaultAtEachStep for a lake in a bucket and in catalogs; each subtest has its own.
func TestFaultAtEachStepRemotely(t *testing.T) {
	for kind, servers := range remotes {
		t.Run(kind, func(t *testing.T) { faultAtEachStep(t, servers(t, nil), kind != "bucket") })
	}
}

// faultAtEachStep takes half of the faults, and where catalog is set only those of publishing, unless there is time.
func faultAtEachStep(t *testing.T, another func() string, catalog bool) {
	lakeAt := func(t *testing.T) string {
		at := another()
		commit(t, create(t, at), first...)
		return at
	}
	counted := &steps{at: -1}
	b, err := addSecond(t, open(t, lakeAt(t), lake.Options{}.WithFault(counted.fault)))
	if err == nil {
		_, err = b.Commit(ctx)
	}
	if err != nil || counted.n < 15 {
		t.Fatalf("%d steps, %v", counted.n, err)
	}
	for at := range counted.n {
		for i, s := range []*steps{{at: at, after: at%4 == 0}, {at: at, after: at%4 == 1, on: true}} {
			if (catalog && counted.names[at] != "publish" || !catalog && at%2 != i) && os.Getenv("AITRAIL_LONG_TESTS") == "" {
				continue
			}
			s.err = errFault
			t.Run(fmt.Sprintf("%d after %v on %v", at, s.after, s.on), func(t *testing.T) {
				faultOnce(t, lakeAt(t), s, at%3 == 0)
				if t.Failed() {
					t.Log("step", s.last)
				}
			})
		}
	}
}
