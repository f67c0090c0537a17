//go:build unix

package lake_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/lake"
)

var errFault = errors.New("injected fault")

// steps counts the steps of a lake on the disk, and injects a fault at one of them.
type steps struct {
	mu    sync.Mutex
	n     int
	at    int  // the step; -1 for none
	after bool // the step takes effect, and seems to fail
	on    bool // all later steps fail too, as after a crash
	err   error
	last  string
	names []string // of the steps
}

func (s *steps) fault(step, name string, after bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !after {
		s.n++
		s.names = append(s.names, step)
	}
	at := s.n - 1
	hit := at == s.at && after == s.after
	if s.at >= 0 && s.on {
		hit = hit || at > s.at
	}
	if hit {
		s.last = step + " " + filepath.Base(name)
		return s.err
	}
	return nil
}

func (s *steps) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = -1
}

// first is what the lakes of fault tests hold before, second what is then added: two days, an event of first, a log file
// of first, and a log file in quarantine.
var (
	first  = []logFile{numbered("file:///a", 0, 5), numbered("file:///b", 5, 8)}
	second = []logFile{numbered("file:///b", 5, 8), numbered("file:///c", 3, 20), numbered("file:///d", 100_000, 100_003)}
)

// copyOfFirst returns the folder of a copy of a lake that holds first.
func copyOfFirst(t *testing.T, lake string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lake")
	if err := os.CopyFS(dir, os.DirFS(lake)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func lakeOfFirst(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	commit(t, create(t, dir), first...)
	return dir
}

func addSecond(t testing.TB, l *lake.Lake) (*lake.Batch, error) {
	b := l.NewBatch()
	for _, f := range second {
		w := b.File(row(f.object))
		for i, r := range f.records {
			if err := w.Event(decode(t, r), i); err != nil {
				w.Drop()
				return b, err
			}
		}
		if err := w.Done(nil); err != nil {
			return b, err
		}
	}
	return b, b.File(row("file:///q")).Quarantine("bad", nil)
}

// state checks that the lake holds first, or first and second, and says which.
func state(t *testing.T, dir string) (whole bool) {
	t.Helper()
	l := open(t, dir, lake.Options{ReadOnly: true})
	ids := map[string]int{}
	for _, s := range stored(t, l, lake.EventFilter{}) {
		ids[s.Event.EventID]++
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("event %s is there %d times", id, n)
		}
	}
	files := logFiles(t, l)
	switch {
	case len(ids) == 8 && len(files) == 2:
		return false
	case len(ids) == 8+12+3 && len(files) == 5:
		if f := files["file:///c"]; f.Events != 17 || f.Duplicates != 5 {
			t.Errorf("log file c = %+v", f)
		}
		return true
	}
	t.Errorf("%d events and %d log files: neither before nor after the commit", len(ids), len(files))
	return false
}

// countSteps returns how many steps adding second takes.
func countSteps(t *testing.T) int {
	t.Helper()
	dir := lakeOfFirst(t)
	s := &steps{at: -1}
	b, err := addSecond(t, open(t, dir, lake.Options{}.WithFault(s.fault)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if !state(t, dir) {
		t.Fatal("the commit had no effect")
	}
	return s.n
}

func TestFaultAtEachStep(t *testing.T) {
	n, base := countSteps(t), lakeOfFirst(t)
	if n < 20 {
		t.Fatalf("a commit takes %d steps: the fault isn't asked", n)
	}
	var noticed atomic.Int64
	t.Run("steps", func(t *testing.T) {
		for at := range n {
			for _, s := range []*steps{{at: at}, {at: at, after: true}, {at: at, on: true}, {at: at, after: true, on: true}} {
				again := !s.on && at%2 == 0 || s.on && s.after
				t.Run(fmt.Sprintf("%d after %v on %v again %v", at, s.after, s.on, again), func(t *testing.T) {
					t.Parallel()
					s.err = errFault
					if faultOnce(t, copyOfFirst(t, base), s, again) {
						noticed.Add(1)
					}
					if t.Failed() {
						t.Log("step", s.last)
					}
				})
			}
		}
	})
	if noticed.Load() < int64(2*n) {
		t.Errorf("%d of %d faults were noticed", noticed.Load(), 4*n)
	}
}

// faultOnce adds second with a fault, and then, with the disk healed, commits it again, or discards it and adds it
// anew. It tells whether the fault was noticed.
func faultOnce(t *testing.T, dir string, s *steps, again bool) (noticed bool) {
	b, err := addSecond(t, open(t, dir, lake.Options{}.WithFault(s.fault)))
	var r lake.Result
	if err == nil {
		r, err = b.Commit(ctx)
	}
	if err != nil && !errors.Is(err, errFault) {
		t.Errorf("error %v, want the injected one", err)
	}
	if whole := state(t, dir); err == nil && !whole {
		t.Errorf("Commit = %+v without an effect", r)
	}
	s.heal()
	noticed = err != nil
	switch {
	case again && noticed:
		if _, err := b.Commit(ctx); err != nil {
			t.Errorf("Commit again: %v", err)
		}
	case noticed:
		if err := b.Discard(); err != nil {
			t.Errorf("Discard: %v", err)
		}
	}
	l := open(t, dir, lake.Options{})
	if have, err := l.Collected(ctx, "file:///c", 100, "e"); err != nil {
		t.Error(err)
	} else if !have {
		b, err := addSecond(t, l)
		if err == nil {
			_, err = b.Commit(ctx)
		}
		if err != nil {
			t.Errorf("adding anew: %v", err)
		}
	}
	if !state(t, dir) {
		t.Error("second isn't in the lake at last")
	}
	return noticed
}

func TestNoSpace(t *testing.T) {
	base := lakeOfFirst(t)
	for at := range countSteps(t) {
		t.Run(strconv.Itoa(at), func(t *testing.T) {
			t.Parallel()
			dir := copyOfFirst(t, base)
			s := &steps{at: at, on: true, err: &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}}
			b, err := addSecond(t, open(t, dir, lake.Options{}.WithFault(s.fault)))
			if err == nil {
				_, err = b.Commit(ctx)
			}
			if err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%v, want ENOSPC", err)
			}
			if whole := state(t, dir); err == nil && !whole {
				t.Error("success without an effect")
			}
		})
	}
}

func TestDiscardLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	l := create(t, dir)
	commit(t, l, first...)
	before := tree(t, dir)
	b, err := addSecond(t, l)
	if err != nil {
		t.Fatal(err)
	}
	big := b.File(row("file:///big"))
	for n := range lake.ChunkRows + 10 { // more than is kept in memory
		if err := big.Event(decode(t, record(n)), n); err != nil {
			t.Fatal(err)
		}
	}
	if len(tree(t, dir)) == len(before) {
		t.Error("a large log file isn't written as it comes")
	}
	if err := big.Quarantine("broken", nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Discard(); err != nil {
		t.Fatal(err)
	}
	if after := tree(t, dir); len(after) != len(before) {
		t.Errorf("files before %v, after %v", before, after)
	}
	if _, err := b.Commit(ctx); err == nil {
		t.Error("Commit of a discarded batch gives no error")
	}
}

func tree(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestLargeLogFile(t *testing.T) {
	l := create(t, t.TempDir())
	commit(t, l, numbered("file:///before", 7, 9))
	n := 2*lake.ChunkRows + 100
	b := l.NewBatch()
	add(t, b, numbered("file:///other", 50, 60), numbered("file:///large", 0, n), numbered("file:///again", 0, 10))
	if b.Len() != int64(n+20) {
		t.Errorf("Len = %d, want %d", b.Len(), n+20)
	}
	r, err := b.Commit(ctx)
	if err != nil || r.Events != int64(n-2) || r.Duplicates != 22 {
		t.Errorf("Commit = %+v, %v; want %d events", r, err, n-2)
	}
	seen := map[string]bool{}
	for _, s := range stored(t, l, lake.EventFilter{}) {
		seen[s.Event.EventID] = true
	}
	s, err := l.Files(ctx, lake.Events)
	if err != nil || len(seen) != n || s.Rows != int64(n) {
		t.Errorf("%d rows, %d events, %v; want %d", s.Rows, len(seen), err, n)
	}
	if files, unsorted := saidSorted(t, l); files != 3 || unsorted != 1 { // that before, and one for each day; the other file's rows are a piece of the first
		t.Errorf("%d data files, %d of them unsorted; want 3 and 1", files, unsorted)
	}
}

// TestKill kills a process at each step of a commit.
func TestKill(t *testing.T) {
	if dir := os.Getenv("LAKE_TEST_DIR"); dir != "" {
		killAt(t, dir, func(l *lake.Lake) error {
			b, err := addSecond(t, l)
			if err == nil {
				_, err = b.Commit(ctx)
			}
			return err
		})
		return
	}
	base := lakeOfFirst(t)
	for at, n := 0, countSteps(t); at < n; at += 3 {
		t.Run(strconv.Itoa(at), func(t *testing.T) {
			t.Parallel()
			dir := copyOfFirst(t, base)
			killProcess(t, "TestKill", dir, at)
			state(t, dir)
			l := open(t, dir, lake.Options{})
			if have, err := l.Collected(ctx, "file:///c", 100, "e"); err != nil {
				t.Fatal(err)
			} else if !have {
				b, err := addSecond(t, l)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.Commit(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if !state(t, dir) {
				t.Error("second isn't in the lake at last")
			}
		})
	}
}

// killProcess runs a test in a process that is killed at a step of its lake.
func killProcess(t *testing.T, test, dir string, at int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), "LAKE_TEST_DIR="+dir, "LAKE_TEST_STEP="+strconv.Itoa(at))
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.Success() {
		t.Fatalf("the process wasn't killed: %v", err)
	}
}

// killAt is what such a process does.
func killAt(t *testing.T, dir string, do func(*lake.Lake) error) {
	at, err := strconv.Atoi(os.Getenv("LAKE_TEST_STEP"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	l := open(t, dir, lake.Options{Now: later}.WithFault(func(string, string, bool) error {
		if n++; n > 2*at {
			self, err := os.FindProcess(os.Getpid())
			if err != nil {
				return err
			}
			return self.Kill()
		}
		return nil
	}))
	if err := do(l); err != nil {
		t.Fatal(err)
	}
}

// TestCollectorsAtRandom lets collectors with faulty disks bring overlapping log files in random batches, until all
// are in the lake.
func TestCollectorsAtRandom(t *testing.T) {
	dir := t.TempDir()
	create(t, dir)
	files := make([]logFile, 24)
	for i := range files {
		files[i] = numbered(fmt.Sprintf("file:///%d", i), i*5, i*5+12) // 7 events are in the next one too
		files[i].records = append(files[i].records, fmt.Sprintf(`{"eventTime":"2026-11-20T12:00:00Z","eventName":"NoID%d"}`, i))
	}
	var wg sync.WaitGroup
	for who := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rnd := rand.New(rand.NewPCG(uint64(who), 7))
			for round := 0; round < 400 && collectSome(t, dir, files, rnd, round); round++ {
			}
		}()
	}
	wg.Wait()
	l := open(t, dir, lake.Options{})
	ids, none := map[string]int{}, map[string]int{}
	for _, s := range stored(t, l, lake.EventFilter{}) {
		if s.Event.EventID == "" {
			none[s.Event.EventName]++
		} else {
			ids[s.Event.EventID]++
		}
	}
	var events, duplicates int64
	for _, f := range logFiles(t, l) {
		events, duplicates = events+f.Events, duplicates+f.Duplicates
	}
	if want := 23*5 + 12; len(ids) != want || len(none) != len(files) || events != int64(13*len(files)) || events-duplicates != int64(want+len(files)) {
		t.Errorf("%d and %d events, want %d and %d; log files say %d with %d duplicates", len(ids), len(none), want, len(files), events, duplicates)
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("event %s is there %d times", id, n)
		}
	}
	for name, n := range none {
		if n != 1 {
			t.Errorf("event %s is there %d times", name, n)
		}
	}
}

// collectSome commits a random batch of log files that aren't in the lake, on a disk that may fail. It returns false
// when all are.
func collectSome(t *testing.T, dir string, files []logFile, rnd *rand.Rand, round int) bool {
	s := &steps{at: -1, err: errFault}
	if round < 60 {
		s.at, s.after, s.on = rnd.IntN(60), rnd.IntN(2) == 0, rnd.IntN(2) == 0
	}
	l, err := lake.Open(ctx, dir, lake.Options{}.WithFault(s.fault))
	if err != nil {
		if !errors.Is(err, errFault) {
			t.Error(err)
		}
		return true
	}
	defer l.Close()
	b, missing := l.NewBatch(), 0
	for _, i := range rnd.Perm(len(files)) {
		have, err := l.Collected(ctx, files[i].object, 100, "e")
		if err != nil {
			t.Error(err)
			return false
		}
		if have {
			continue
		}
		missing++
		if missing > 1+rnd.IntN(6) {
			break
		}
		add(t, b, files[i])
	}
	if missing == 0 {
		return false
	}
	for range 1 + rnd.IntN(2) {
		if _, err = b.Commit(ctx); err == nil {
			return true
		}
		if !errors.Is(err, errFault) {
			t.Error(err)
			return false
		}
		if rnd.IntN(2) == 0 {
			s.heal()
		}
	}
	_ = b.Discard() // the disk may still fail
	return true
}

func TestWaitForTheLock(t *testing.T) {
	dir := t.TempDir()
	l := create(t, dir)
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	b := l.NewBatch()
	add(t, b, numbered("file:///a", 0, 2))
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := b.Commit(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Commit = %v, want the context's error", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Commit(ctx); err != nil || r.Events != 2 {
		t.Errorf("Commit = %+v, %v", r, err)
	}
}

func TestNewerVersion(t *testing.T) {
	dir := t.TempDir()
	commit(t, create(t, dir), first...)
	for _, table := range []string{lake.Events, lake.LogFiles} {
		names, err := filepath.Glob(filepath.Join(dir, table, "metadata", "v*.metadata.json"))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			newer := strings.Replace(string(b), `"aitrail.format-version":"3"`, `"aitrail.format-version":"7"`, 1)
			if newer == string(b) {
				t.Fatalf("%s has no version", name)
			}
			if err := os.WriteFile(name, []byte(newer), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, err = lake.Open(ctx, dir, lake.Options{Create: true})
		var v *lake.VersionError
		if !errors.As(err, &v) || v.Have != 7 || v.Support != lake.Version {
			t.Errorf("Open = %v, want *VersionError", err)
		}
	}
}

func TestMovedLake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "old")
	commit(t, create(t, dir), first...)
	moved := filepath.Join(t.TempDir(), "a new place")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	b, err := addSecond(t, open(t, moved, lake.Options{}))
	if err == nil {
		_, err = b.Commit(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !state(t, moved) {
		t.Error("the moved lake lost something")
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written to the old place: %v", err)
	}
	if err := os.Rename(moved, dir); err != nil {
		t.Fatal(err)
	}
	if !state(t, dir) {
		t.Error("the lake lost something on its way back")
	}
}
