//go:build unix

package lake_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aitrail/aitrail/internal/lake"
)

// TestCommitsEveryFiveMinutes collects a little every five minutes, and maintains the lake every hour as the daemon does: for
// five hours, with AITRAIL_LONG_TESTS for 30 days, which is 8,640 commits, or for LAKE_TEST_DAYS. What a lake keeps besides its
// rows, and what a commit takes, must not grow with that.
//
// It does so in a process of its own: what was pooled by libraries while synctest's clock went can't be used by other tests.
func TestCommitsEveryFiveMinutes(t *testing.T) {
	if os.Getenv("LAKE_TEST_MONTH") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCommitsEveryFiveMinutes$", "-test.v", "-test.timeout=2h")
		cmd.Env = append(os.Environ(), "LAKE_TEST_MONTH=1")
		out, err := cmd.CombinedOutput()
		if t.Logf("%s", out); err != nil {
			t.Error(err)
		}
		return
	}
	hours := 5
	if os.Getenv("AITRAIL_LONG_TESTS") != "" {
		hours = 30 * 24
	}
	if n, err := strconv.Atoi(os.Getenv("LAKE_TEST_DAYS")); err == nil {
		hours = 24 * n
	}
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir, lake.Options{Create: true, Now: time.Now})
		n := 0
		var took []time.Duration // of a day's commits, of the processor
		for hour := range hours {
			for range 12 {
				time.Sleep(5 * time.Minute)
				f := logFile{object: fmt.Sprintf("file:///%d", n)}
				for range 3 {
					f.records = append(f.records, strings.Replace(record(n), noon.Add(time.Duration(n)*time.Second).Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339), 1))
					n++
				}
				start := processor()
				commit(t, l, f)
				took = append(took, processor()-start)
			}
			age(t, dir)
			before := filesOfDays(t, l)
			if worst := slices.Max(before); worst >= 50 {
				t.Fatalf("hour %d: a day has %d data files before maintenance", hour, worst)
			}
			if _, err := l.Maintain(ctx, lake.Maintenance{}); err != nil {
				t.Fatal(err)
			}
			after := filesOfDays(t, l)
			if worst := slices.Max(after); worst > 2 {
				t.Fatalf("hour %d: a day has %d data files after maintenance", hour, worst)
			}
			if hour%24 != 23 && hour != hours-1 {
				continue
			}
			files, metadata := kept(t, dir)
			slices.Sort(took)
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			t.Logf("day %2d: %2d data files a day before maintenance, %d after; %4d files in metadata and data, metadata of %3d kB; a commit's processor time %v; heap %d MB",
				hour/24+1, slices.Max(before), slices.Max(after), files, metadata>>10, took[len(took)/2].Round(time.Millisecond), m.HeapAlloc>>20)
			// A day of 288 commits, whose snapshots are kept for 24 hours: two files of each commit, and of each maintenance some more.
			if files > 4000 || metadata > 1<<20 {
				t.Errorf("hour %d: %d files in the lake, metadata of %d bytes", hour, files, metadata)
			}
			took = took[:0]
		}
		s, err := l.Files(ctx, lake.Events)
		if err != nil || s.Rows != int64(n) {
			t.Errorf("%d rows, %v; want %d", s.Rows, err, n)
		}
		s, err = l.Files(ctx, lake.LogFiles)
		if err != nil || s.Rows != int64(n/3) {
			t.Errorf("%d log files, %v; want %d", s.Rows, err, n/3)
		}
	})
}

// TestCommitsAfterAYear collects a little into a lake that has a year of days, each in a data file, and the rows of the 105,120 log
// files that come every five minutes. What a commit writes down must not grow with that; what it takes is told.
func TestCommitsAfterAYear(t *testing.T) {
	if os.Getenv("AITRAIL_LONG_TESTS") == "" {
		t.Skip("AITRAIL_LONG_TESTS is not set")
	}
	written := map[int]int64{}
	for _, days := range []int{1, 365} {
		dir := t.TempDir()
		l := open(t, dir, lake.Options{Create: true, Now: time.Now})
		b := l.NewBatch()
		for n := range days {
			add(t, b, numbered(fmt.Sprintf("file:///day-%d", n), -n*86400, -n*86400+3))
			for i := range 287 {
				add(t, b, logFile{object: fmt.Sprintf("file:///day-%d-%d", n, i)})
			}
		}
		if _, err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		l.Close()
		l = open(t, dir, lake.Options{Now: time.Now})
		var each []time.Duration
		for n := range 150 { // so many that manifests are merged
			f := numbered(fmt.Sprintf("file:///%d", n), 1000+n*3, 1003+n*3)
			start := processor()
			commit(t, l, f)
			each = append(each, processor()-start)
		}
		start := processor()
		if _, err := l.Maintain(ctx, lake.Maintenance{}); err != nil {
			t.Fatal(err)
		}
		maintained := processor() - start
		slices.Sort(each[1:])
		_, metadata := kept(t, dir)
		written[days] = metadata
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		t.Logf("%3d days: the first commit's processor time %v, the median's %v, the longest's after it %v; maintenance's %v; metadata of %d kB, heap %d MB",
			days, each[0].Round(time.Millisecond), each[75].Round(time.Millisecond), each[149].Round(time.Millisecond), maintained.Round(time.Millisecond), metadata>>10, m.HeapAlloc>>20)
	}
	if written[365] > 2*written[1] {
		t.Errorf("metadata of %d bytes after a year, %d after a day", written[365], written[1])
	}
}

// filesOfDays counts the data files of each day of events.
func filesOfDays(t *testing.T, l *lake.Lake) []int {
	t.Helper()
	s, err := l.Files(ctx, lake.Events)
	if err != nil {
		t.Fatal(err)
	}
	days := map[time.Time]int{}
	var counts []int
	for _, f := range s.Files {
		days[f.Day]++
	}
	for _, n := range days {
		counts = append(counts, n)
	}
	return counts
}

// age gives files that were written lately a time of synctest's clock.
func age(t *testing.T, dir string) {
	t.Helper()
	now := time.Now()
	for _, name := range tree(t, dir) {
		info, err := os.Stat(name)
		if err == nil && info.ModTime().After(now.Add(time.Hour)) {
			err = os.Chtimes(name, now, now)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// kept counts a lake's files, and the bytes of the largest version of a table's metadata.
func kept(t *testing.T, dir string) (files int, metadata int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		if strings.HasSuffix(name, ".metadata.json") {
			info, err := d.Info()
			if err != nil {
				return err
			}
			metadata = max(metadata, info.Size())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, metadata
}

// processor is the processor time that this process has had.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
