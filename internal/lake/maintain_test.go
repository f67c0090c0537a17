//go:build unix

package lake_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/lake"
)

// later is a clock two days after noon by the wall: all that a test has made is old by it.
func later() time.Time { return time.Now().Add(48 * time.Hour) }

// content returns a lake's events by where they came from, and its log files: what maintenance must not change.
func content(t testing.TB, l *lake.Lake) map[string]string {
	t.Helper()
	all := map[string]string{}
	for s, err := range l.ReadEvents(ctx, lake.EventFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		at := fmt.Sprintf("%s %d", s.Object, s.Index)
		if all[at] != "" {
			t.Errorf("event %s is there twice", at)
		}
		all[at] = string(s.Event.AppendJSON(nil)) + fmt.Sprint(s.Call)
	}
	for object, f := range logFiles(t, l) {
		all[object] = fmt.Sprint(f)
	}
	return all
}

// filesByDay counts data files of events by day.
func filesByDay(t testing.TB, l *lake.Lake, table string) map[string]int {
	t.Helper()
	s, err := l.Files(ctx, table)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, f := range s.Files {
		n[f.Day.Format(time.DateOnly)]++
	}
	return n
}

// TestDayOfSmallCommits commits every five minutes of a day, as a collector that follows a trail does.
func TestDayOfSmallCommits(t *testing.T) {
	dir := t.TempDir()
	l := create(t, dir)
	commits := 100
	if os.Getenv("AITRAIL_LONG_TESTS") != "" {
		commits = 288
	}
	for n := range commits {
		at := n*300 - 12*3600
		commit(t, l, numbered(fmt.Sprintf("file:///%03d", n), at, at+2))
	}
	before := content(t, l)
	for table, day := range map[string]string{lake.Events: "2026-11-20", lake.LogFiles: "0001-01-01"} {
		if n := filesByDay(t, l, table)[day]; n < 2 || n >= 50 {
			t.Errorf("%d data files of %s after a day of commits", n, table)
		}
	}
	var reports atomic.Int64
	r, err := l.Maintain(ctx, lake.Maintenance{Progress: func(lake.Step, string, int64, int64) { reports.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	for table, day := range map[string]string{lake.Events: "2026-11-20", lake.LogFiles: "0001-01-01"} {
		if n := filesByDay(t, l, table); n[day] != 1 || len(n) != 1 {
			t.Errorf("data files of %s after maintenance: %v", table, n)
		}
	}
	if c := r.Compacted[0]; c.Table != lake.Events || c.After != 1 || c.Replaced != c.Before || c.Rows != int64(2*commits) || reports.Load() == 0 {
		t.Errorf("report = %+v after %d reports of progress", r, reports.Load())
	}
	if r.Snapshots[lake.Events] != 0 || r.Orphans.Files != 0 {
		t.Errorf("young snapshots or files were removed: %+v", r)
	}
	if diff := cmp.Diff(before, content(t, open(t, dir, lake.Options{ReadOnly: true}))); diff != "" {
		t.Errorf("compaction changed the lake (-before +after):\n%s", diff)
	}
	again, err := l.Maintain(ctx, lake.Maintenance{})
	if err != nil || again.Compacted[0].Replaced != 0 || again.Compacted[1].Replaced != 0 {
		t.Errorf("Maintain again = %+v, %v", again, err)
	}
	r, err = open(t, dir, lake.Options{Now: later}).Maintain(ctx, lake.Maintenance{})
	if err != nil || r.Snapshots[lake.Events] < int64(commits) || r.Orphans.Files == 0 || r.Orphans.Bytes == 0 {
		t.Errorf("Maintain two days later = %+v, %v", r, err)
	}
	if n := len(tree(t, dir)); n > 120 {
		t.Errorf("%d files are left of a lake of two data files", n)
	}
	if diff := cmp.Diff(before, content(t, open(t, dir, lake.Options{ReadOnly: true}))); diff != "" {
		t.Errorf("maintenance changed the lake (-before +after):\n%s", diff)
	}
	if r := commit(t, open(t, dir, lake.Options{}), numbered("file:///000", 0, 0), numbered("file:///again", -12*3600, -12*3600+3)); r.Skipped != 1 || r.Duplicates != 2 || r.Events != 1 {
		t.Errorf("a commit after maintenance = %+v", r)
	}
}

// TestCompactOverlapping compacts more files of one span than are read at once.
func TestCompactOverlapping(t *testing.T) {
	l := create(t, t.TempDir())
	const files, rows = 75, 60
	b := l.NewBatch()
	for i := range files {
		f := logFile{object: fmt.Sprintf("file:///%02d", i)}
		for n := range rows {
			f.records = append(f.records, record(n*files+i))
		}
		if i == 0 {
			f.records = append(f.records, `{"eventName":"NoTime"}`)
		}
		add(t, b, f)
		if i%2 == 0 {
			if _, err := b.Commit(ctx); err != nil {
				t.Fatal(err)
			}
			b = l.NewBatch()
		}
	}
	if err := b.Discard(); err != nil {
		t.Fatal(err)
	}
	before := content(t, l)
	if _, err := l.Compact(ctx, lake.Events, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, content(t, l)); diff != "" {
		t.Errorf("compaction changed the lake (-before +after):\n%s", diff)
	}
	var last time.Time
	for s, err := range l.ReadEvents(ctx, lake.EventFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if at := s.Event.EventTime; at.Before(last) {
			t.Fatalf("event of %v after that of %v", at, last)
		} else {
			last = at
		}
	}
	if n := filesByDay(t, l, lake.Events); n["2026-11-20"] != 1 || n["0001-01-01"] != 1 {
		t.Errorf("data files: %v", n)
	}
	if left, err := os.ReadDir(filepath.Join(l.Dir(), "scratch")); err != nil || len(left) != 0 {
		t.Errorf("scratch files: %v, %v", left, err)
	}
}

// lakeToMaintain is a lake with something for each step of maintenance to do.
func lakeToMaintain(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	l := create(t, dir)
	const day = 24 * 3600
	for n := range 2 {
		commit(t, l, numbered(fmt.Sprintf("file:///a%d", n), n*10, n*10+9))
		commit(t, l, numbered(fmt.Sprintf("file:///old%d", n), -400*day+n*10, -400*day+n*10+3))
	}
	if err := l.SetRetention(ctx, lake.Retention{lake.Events: 365, lake.LogFiles: 365}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestFaultAtEachStepOfMaintenance fails before and after each step, and goes on failing as a killed process does. The
// lake must hold the same at every moment but for what has expired, and maintenance must come to its end when repeated.
func TestFaultAtEachStepOfMaintenance(t *testing.T) {
	base := lakeToMaintain(t)
	run := func(t *testing.T, s *steps) (string, error) {
		dir := copyOfFirst(t, base)
		l, err := lake.Open(ctx, dir, lake.Options{Now: later}.WithFault(s.fault))
		if err == nil {
			_, err = l.Maintain(ctx, lake.Maintenance{})
			l.Close()
		}
		return dir, err
	}
	counted := &steps{at: -1}
	dir, err := run(t, counted)
	if err != nil {
		t.Fatal(err)
	}
	after, before := content(t, open(t, dir, lake.Options{ReadOnly: true})), content(t, open(t, base, lake.Options{ReadOnly: true}))
	if len(before) != len(after)+6 || counted.n < 40 { // of a row of log_files collected a moment ago nothing expires
		t.Fatalf("%d rows before, %d after, in %d steps", len(before), len(after), counted.n)
	}
	for at := range counted.n {
		for i, s := range []*steps{{at: at, on: true}, {at: at, after: true, on: true}, {at: at}, {at: at, after: true}} {
			if i >= 2 && at%6 != 0 || i < 2 && at%2 != i { // what happens once is less than what a crash does
				continue
			}
			t.Run(fmt.Sprintf("%d after %v on %v", at, s.after, s.on), func(t *testing.T) {
				t.Parallel()
				s.err = errFault
				dir, err := run(t, s)
				if err != nil && !errors.Is(err, errFault) {
					t.Errorf("error %v, want the injected one", err)
				}
				got := content(t, open(t, dir, lake.Options{ReadOnly: true}))
				if !maps.Equal(got, after) && !maps.Equal(got, before) {
					t.Errorf("after step %s the lake is neither as before nor as after", s.last)
				}
				if _, err := open(t, dir, lake.Options{Now: later}).Maintain(ctx, lake.Maintenance{}); err != nil {
					t.Errorf("Maintain again: %v", err)
				}
				l := open(t, dir, lake.Options{})
				if got := content(t, l); !maps.Equal(got, after) {
					t.Errorf("after step %s and again the lake has %d rows, want %d", s.last, len(got), len(after))
				}
				if n := filesByDay(t, l, lake.Events); len(n) != 1 || n["2026-11-20"] != 1 {
					t.Errorf("data files after step %s and again: %v", s.last, n)
				}
			})
		}
	}
}

func TestRetention(t *testing.T) {
	dir := lakeToMaintain(t)
	l := open(t, dir, lake.Options{Now: func() time.Time { return noon }})
	r, err := l.Maintain(ctx, lake.Maintenance{})
	if err != nil || r.Expired[lake.Events] != 6 || r.Expired[lake.LogFiles] != 0 {
		t.Errorf("Maintain = %+v, %v; want 6 events expired, and no log file: they were collected today", r, err)
	}
	if got := stored(t, l, lake.EventFilter{}); len(got) != 18 {
		t.Errorf("%d events, want 18", len(got))
	}
	s, err := l.Files(ctx, lake.Events)
	want := lake.Expired{Before: time.Date(2025, 11, 20, 0, 0, 0, 0, time.UTC), At: noon, Rows: 6, Total: 6}
	if err != nil || s.Expired != want || s.RetentionDays != 365 {
		t.Errorf("snapshot = %+v, %v; want %+v", s, err, want)
	}
	// An expired event that comes again, in another log file, is there until the next expiry; its log file is known.
	if r := commit(t, l, numbered("file:///old1", 0, 1), numbered("file:///late", -400*24*3600, -400*24*3600+2)); r.Skipped != 1 || r.Events != 2 {
		t.Errorf("Commit = %+v", r)
	}
	year := open(t, dir, lake.Options{Now: func() time.Time { return noon.AddDate(2, 0, 0) }})
	r, err = year.Maintain(ctx, lake.Maintenance{})
	if err != nil || r.Expired[lake.Events] != 20 || r.Expired[lake.LogFiles] != 5 {
		t.Errorf("Maintain two years later = %+v, %v", r, err)
	}
	if got := content(t, year); len(got) != 0 {
		t.Errorf("%d rows are left", len(got))
	}
	if s, err := year.Files(ctx, lake.Events); err != nil || s.Expired.Total != 26 || s.Rows != 0 {
		t.Errorf("snapshot = %+v, %v", s, err)
	}
	for _, bad := range []lake.Retention{
		{lake.Events: 0, lake.LogFiles: 10}, {lake.Events: 20, lake.LogFiles: 10}, {lake.Events: -1}, {lake.Digests: 3},
		{lake.Events: 20, lake.LogFiles: 30, lake.Invocations: 40}, {lake.Events: 20, lake.LogFiles: 30, lake.Invocations: 0},
	} {
		if err := l.SetRetention(ctx, bad); err == nil {
			t.Errorf("retention %v is taken", bad)
		}
	}
	if err := l.SetRetention(ctx, lake.Retention{lake.LogFiles: 10}); !errors.Is(err, lake.ErrRetention) {
		t.Errorf("error %v", err)
	}
	if err := l.SetRetention(ctx, lake.Retention{lake.Events: 0, lake.LogFiles: 0}); err != nil {
		t.Fatal(err)
	}
	if r, err := open(t, dir, lake.Options{ReadOnly: true}).Retention(); r[lake.Events] != 0 || r[lake.LogFiles] != 0 || err != nil {
		t.Errorf("Retention = %v, %v", r, err)
	}
}

// TestOrphansOfWriters removes orphans while a batch is being filled, and after its files were taken for orphans.
func TestOrphansOfWriters(t *testing.T) {
	dir := t.TempDir()
	l := create(t, dir)
	commit(t, l, first...)
	b := l.NewBatch()
	add(t, b, numbered("file:///large", 0, lake.ChunkRows+10)) // more than is held in memory
	orphan := filepath.Join(dir, lake.Events, "data", "orphan.parquet")
	other := filepath.Join(dir, lake.Events, "data", "README")
	for _, name := range []string{orphan, other} {
		if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, noon.AddDate(0, -1, 0), noon.AddDate(-1, 0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	o, err := open(t, dir, lake.Options{Now: time.Now}).RemoveOrphans(ctx, 0, nil)
	if err != nil || o.Files != 1 || o.Bytes != 1 {
		t.Errorf("RemoveOrphans = %+v, %v; want the orphan", o, err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error("a file that is none of a lake's was removed")
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Errorf("Commit = %v", err)
	}
	b = l.NewBatch()
	add(t, b, numbered("file:///larger", 50_000, 50_000+lake.ChunkRows+10))
	if o, err = open(t, dir, lake.Options{Now: later}).RemoveOrphans(ctx, 0, nil); err != nil || o.Files == 0 {
		t.Errorf("RemoveOrphans = %+v, %v", o, err)
	}
	if _, err := b.Commit(ctx); !errors.Is(err, lake.ErrStale) {
		t.Errorf("Commit of a batch whose files were removed = %v, want ErrStale", err)
	}
	if err := b.Discard(); err != nil {
		t.Error(err)
	}
	r := commit(t, l, numbered("file:///larger", 50_000, 50_000+lake.ChunkRows+10))
	if r.Events != lake.ChunkRows+10 {
		t.Errorf("Commit = %+v", r)
	}
}

// TestOldBatch states that a batch isn't committed when orphans of its age may be removed.
func TestOldBatch(t *testing.T) {
	now := noon
	l := open(t, t.TempDir(), lake.Options{Create: true, Now: func() time.Time { return now }})
	b := l.NewBatch()
	add(t, b, numbered("file:///a", 0, 3))
	now = now.Add(6*time.Hour + time.Second)
	if _, err := b.Commit(ctx); !errors.Is(err, lake.ErrStale) {
		t.Errorf("Commit of a batch of 6 hours = %v, want ErrStale", err)
	}
	now = now.Add(-time.Minute)
	if r, err := b.Commit(ctx); err != nil || r.Events != 3 {
		t.Errorf("Commit = %+v, %v", r, err)
	}
}

// TestMaintainWhileCollecting maintains, judges and reads while collectors commit.
func TestMaintainWhileCollecting(t *testing.T) {
	dir := t.TempDir()
	create(t, dir)
	const collectors, commits = 3, 6
	var wg sync.WaitGroup
	done := make(chan struct{})
	for who := range collectors {
		wg.Add(1)
		go func() {
			defer wg.Done()
			l := open(t, dir, lake.Options{})
			for n := range commits {
				// Half of the events are the next collector's too.
				from := (who*commits + n) * 10
				b := l.NewBatch()
				add(t, b, numbered(fmt.Sprintf("file:///%d-%d", who, n), from, from+15))
				if _, err := b.Commit(ctx); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	var others sync.WaitGroup
	others.Add(1)
	go func() {
		defer others.Done()
		l := open(t, dir, lake.Options{Now: later})
		for collecting := true; collecting; {
			select {
			case <-done:
				collecting = false
			default:
			}
			_, err := l.Compact(ctx, lake.Events, nil)
			if err == nil {
				_, err = l.Compact(ctx, lake.LogFiles, nil)
			}
			if err == nil {
				_, err = l.ExpireSnapshots(ctx, lake.Events, 0)
			}
			if err == nil {
				_, err = l.SetVerdicts(ctx, []lake.Verdict{{Object: "file:///1-1", Verdict: lake.VerdictVerified}})
			}
			if err != nil {
				t.Error(err)
				return
			}
			content(t, l)
		}
	}()
	wg.Wait()
	close(done)
	others.Wait()
	l := open(t, dir, lake.Options{})
	if got, want := len(stored(t, l, lake.EventFilter{})), collectors*commits*10+5; got != want {
		t.Errorf("%d events, want %d", got, want)
	}
	if _, err := l.SetVerdicts(ctx, []lake.Verdict{{Object: "file:///1-1", Verdict: lake.VerdictVerified}}); err != nil {
		t.Fatal(err)
	}
	if files := logFiles(t, l); len(files) != collectors*commits || files["file:///1-1"].Verdict != lake.VerdictVerified {
		t.Errorf("%d log files, %+v", len(files), files["file:///1-1"])
	}
}

// TestKillMaintenance kills a process at steps of maintenance.
func TestKillMaintenance(t *testing.T) {
	if dir := os.Getenv("LAKE_TEST_DIR"); dir != "" {
		killAt(t, dir, func(l *lake.Lake) error { _, err := l.Maintain(ctx, lake.Maintenance{}); return err })
		return
	}
	base := lakeToMaintain(t)
	counted := &steps{at: -1}
	dir := copyOfFirst(t, base)
	if _, err := open(t, dir, lake.Options{Now: later}.WithFault(counted.fault)).Maintain(ctx, lake.Maintenance{}); err != nil {
		t.Fatal(err)
	}
	after := content(t, open(t, dir, lake.Options{}))
	before := content(t, open(t, base, lake.Options{}))
	for at := 0; at < counted.n; at += 9 {
		t.Run(strconv.Itoa(at), func(t *testing.T) {
			t.Parallel()
			dir := copyOfFirst(t, base)
			killProcess(t, "TestKillMaintenance", dir, at)
			if got := content(t, open(t, dir, lake.Options{ReadOnly: true})); !maps.Equal(got, after) && !maps.Equal(got, before) {
				t.Error("the lake is neither as before nor as after")
			}
			if _, err := open(t, dir, lake.Options{Now: later}).Maintain(ctx, lake.Maintenance{}); err != nil {
				t.Errorf("Maintain again: %v", err)
			}
			if got := content(t, open(t, dir, lake.Options{})); !maps.Equal(got, after) {
				t.Error("the lake isn't as after maintenance")
			}
			left := slices.DeleteFunc(tree(t, dir), func(name string) bool { return !strings.HasSuffix(name, ".tmp") })
			if len(left) > 0 {
				t.Errorf("left after maintenance: %v", left)
			}
		})
	}
}

// TestLargeFilesStay has files of a table that isn't by day, in MiB, of which a large one isn't written anew for a few small ones.
func TestLargeFilesStay(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		table string
		sizes []int64
		want  [][]int64
	}{
		{lake.LogFiles, []int64{90 * mib, 1 * mib, 2 * mib}, [][]int64{{1 * mib, 2 * mib}}},
		{lake.LogFiles, []int64{90 * mib, 11 * mib, 1 * mib}, [][]int64{{1 * mib, 11 * mib, 90 * mib}}},
		{lake.LogFiles, []int64{20 * mib, 1 * mib}, nil},
		{lake.LogFiles, []int64{15 * mib, 1}, [][]int64{{1, 15 * mib}}},
		{lake.LogFiles, []int64{97 * mib, 90 * mib, 20 * mib, 1}, [][]int64{{1, 20 * mib, 90 * mib}}},
		{lake.Events, []int64{90 * mib, 1 * mib}, [][]int64{{1 * mib, 90 * mib}}},
	} {
		got := lake.Merges(test.table, test.sizes...)
		for _, group := range got {
			slices.Sort(group)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s of %v (-want +got):\n%s", test.table, test.sizes, diff)
		}
	}
}
