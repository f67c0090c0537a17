package disk_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/s3/disk"
)

func open(t testing.TB, dir string) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t testing.TB, s *disk.Store, key, body string) disk.Object {
	t.Helper()
	o, err := s.Put("b", disk.Object{Key: key}, strings.NewReader(body), disk.Condition{})
	if err != nil {
		t.Fatalf("putting %q: %v", key, err)
	}
	return o
}

func read(t testing.TB, s *disk.Store, key string) string {
	t.Helper()
	o, f, err := s.Open("b", key, "")
	if err != nil {
		t.Fatalf("opening %q: %v", key, err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil || int64(len(text)) != o.Size {
		t.Fatalf("%q has %d bytes of %d: %v", key, len(text), o.Size, err)
	}
	return string(text)
}

// bodies counts the files below data/.
func bodies(t testing.TB, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "data"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := disk.Open(dir, disk.Options{})
	if !errors.Is(err, disk.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}

// failing is a body that ends in an error.
type failing struct{ left int }

func (f *failing) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, errors.New("connection lost")
	}
	n := min(len(p), f.left)
	f.left -= n
	return n, nil
}

func TestFailedWriteChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.CreateBucket("b", "us-east-1", disk.Unversioned); err != nil {
		t.Fatal(err)
	}
	write(t, s, "k", "whole")
	if _, err := s.Put("b", disk.Object{Key: "k"}, &failing{1 << 20}, disk.Condition{}); err == nil {
		t.Fatal("the write did not fail")
	}
	if _, err := s.Put("b", disk.Object{Key: "k"}, strings.NewReader("x"), disk.Condition{Absent: true}); !errors.Is(err, disk.ErrPrecondition) {
		t.Fatalf("got %v, want ErrPrecondition", err)
	}
	if got := read(t, s, "k"); got != "whole" {
		t.Errorf("got %q, want what was there", got)
	}
	if n := bodies(t, dir); n != 1 {
		t.Errorf("%d bodies, want 1", n)
	}
}

func TestOverwrittenBodiesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.CreateBucket("b", "us-east-1", disk.Unversioned); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		write(t, s, "k", fmt.Sprint(i))
	}
	write(t, s, "gone", "x")
	if _, err := s.Delete("b", "gone", ""); err != nil {
		t.Fatal(err)
	}
	if n := bodies(t, dir); n != 1 {
		t.Errorf("%d bodies, want 1", n)
	}
	if err := s.DeleteBucket("b"); !errors.Is(err, disk.ErrNotEmpty) {
		t.Errorf("got %v, want ErrNotEmpty", err)
	}
}

// Readers that hold or look for a body while it is replaced get one whole body or the other.
func TestReadersDuringWrites(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.CreateBucket("b", "us-east-1", disk.Unversioned); err != nil {
		t.Fatal(err)
	}
	write(t, s, "k", strings.Repeat("0", 10))
	var wg sync.WaitGroup
	done := make(chan struct{})
	errs := make(chan error, 4)
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				o, f, err := s.Open("b", "k", "")
				if err != nil {
					errs <- err
					return
				}
				text, err := io.ReadAll(f)
				f.Close()
				if err != nil || int64(len(text)) != o.Size || strings.Trim(string(text), string(text[:1])) != "" {
					errs <- fmt.Errorf("read %q of %d bytes: %w", text, o.Size, err)
					return
				}
			}
		})
	}
	for i := range 200 {
		write(t, s, "k", strings.Repeat(fmt.Sprint(i%10), 10+i))
	}
	close(done)
	wg.Wait()
	select {
	case err := <-errs:
		t.Error(err)
	default:
	}
}

const childDir = "DISK_TEST_CHILD_DIR"

// TestMain runs the test binary as the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// body is what the child puts under a key in a round: its size and content follow from both.
func body(key string, round int) string {
	return strings.Repeat(fmt.Sprintf("%s/%d;", key, round), 1+round*37%5000)
}

// child writes objects without end, and says which writes were answered.
func child(dir string) error {
	s, err := disk.Open(dir, disk.Options{})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for round := 0; err == nil; round++ {
				key := fmt.Sprintf("w%d/k%d", w, round%7)
				if _, e := s.Put("b", disk.Object{Key: key}, strings.NewReader(body(key, round)), disk.Condition{}); e != nil {
					fmt.Fprintln(os.Stderr, e)
					return
				}
				mu.Lock()
				fmt.Printf("%s %d\n", key, round)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

// What was answered before kill -9 is there after it, whole; what was being written is there whole or not at all; and
// no body is left that no object has.
func TestKilledAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.CreateBucket("b", "us-east-1", disk.Unversioned); err != nil {
		t.Fatal(err)
	}
	s.Close()
	last := map[string]int{} // the last answered round of each key
	for kill := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		clear(last)
		for n := 0; lines.Scan(); n++ {
			var key string
			var round int
			if _, err := fmt.Sscanf(lines.Text(), "%s %d", &key, &round); err == nil {
				last[key] = round
			}
			if n == 20+kill*13 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || len(last) == 0 {
			t.Fatalf("the child was not killed at work: %v", err)
		}
		check(t, dir, last)
	}
}

func check(t *testing.T, dir string, last map[string]int) {
	t.Helper()
	s, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	page, err := s.List("b", disk.Query{Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range page.Objects {
		got := read(t, s, o.Key)
		found := -1
		for round := max(last[o.Key]-7, 0); round <= last[o.Key]+7; round++ {
			if got == body(o.Key, round) {
				found = round
			}
		}
		if _, answered := last[o.Key]; answered && found < last[o.Key] {
			t.Errorf("%s: round %d was answered, round %d is there (%d bytes)", o.Key, last[o.Key], found, len(got))
		}
		delete(last, o.Key)
	}
	if len(last) > 0 {
		t.Errorf("answered and gone: %v", last)
	}
	if n := bodies(t, dir); n != len(page.Objects) {
		t.Errorf("%d bodies for %d objects", n, len(page.Objects))
	}
}

func TestListPagesAgreeWithTheWhole(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.CreateBucket("b", "us-east-1", disk.Unversioned); err != nil {
		t.Fatal(err)
	}
	if err := s.SetVersioning("b", disk.Enabled); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "a/", "a/b", "a/b/c", "ab", "b/\xff", "b/\xff\xff/x", "c"} {
		write(t, s, key, key)
		write(t, s, key, key+" again")
	}
	if _, err := s.Delete("b", "ab", ""); err != nil {
		t.Fatal(err)
	}
	type listing struct {
		Keys, Prefixes []string
	}
	for _, list := range []func(string, disk.Query) (disk.Page, error){s.List, s.ListVersions} {
		for _, base := range []disk.Query{{}, {Delimiter: "/"}, {Prefix: "a", Delimiter: "/"}, {Prefix: "a/"}, {Prefix: "b/", Delimiter: "/"}, {Delimiter: "\xff"}} {
			var whole listing
			for size := 1000; size > 0; size /= 10 {
				var got listing
				q := base
				q.Max = size
				for range 100 {
					page, err := list("b", q)
					if err != nil {
						t.Fatal(err)
					}
					if n := len(page.Objects) + len(page.Prefixes); n > size {
						t.Fatalf("%d entries in a page of %d", n, size)
					}
					for _, o := range page.Objects {
						got.Keys = append(got.Keys, o.Key+" "+o.Version)
					}
					got.Prefixes = append(got.Prefixes, page.Prefixes...)
					if !page.Truncated {
						break
					}
					q.After, q.AfterVersion = page.Next, page.NextVersion
				}
				if size == 1000 {
					whole = got
				}
				if diff := cmp.Diff(whole, got); diff != "" {
					t.Errorf("%+v, pages of %d (-whole +pages):\n%s", base, size, diff)
				}
			}
			if len(whole.Keys)+len(whole.Prefixes) == 0 {
				t.Errorf("%+v lists nothing", base)
			}
		}
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, b.TempDir())
	if err := s.CreateBucket("b", "us-east-1", disk.Unversioned); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		write(b, s, fmt.Sprintf("AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/01/%09d.json.gz", i), "0123456789")
	}
}

func BenchmarkList(b *testing.B) {
	s := open(b, b.TempDir())
	if err := s.CreateBucket("b", "us-east-1", disk.Unversioned); err != nil {
		b.Fatal(err)
	}
	for i := range 20_000 {
		write(b, s, fmt.Sprintf("AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/01/%09d.json.gz", i), "")
	}
	b.ResetTimer()
	for b.Loop() {
		q := disk.Query{Max: 1000}
		for {
			page, err := s.List("b", q)
			if err != nil {
				b.Fatal(err)
			}
			if !page.Truncated {
				break
			}
			q.After = page.Next
		}
	}
	b.ReportMetric(float64(b.N)*20_000/b.Elapsed().Seconds(), "keys/s")
}
