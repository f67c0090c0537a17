package collect_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/collect/collecttest"
)

// TestCursors keeps cursors in folders and buckets alike.
func TestCursors(t *testing.T) {
	c := local(t)
	c.bucket("lake")
	for _, dir := range []string{t.TempDir(), "s3://lake/here"} {
		cursors := collect.CursorsOf(dir)
		if text, err := cursors.Load(t.Context(), "a.json"); text != nil || err != nil {
			t.Errorf("%s: a cursor that isn't there: %q, %v", dir, text, err)
		}
		for n := range 3 {
			want := fmt.Sprint("text ", n)
			if err := cursors.Save(t.Context(), "a.json", []byte(want)); err != nil {
				t.Fatal(err)
			}
			if text, err := collect.CursorsOf(dir).Load(t.Context(), "a.json"); string(text) != want || err != nil {
				t.Errorf("%s: %q, %v, want %q", dir, text, err, want)
			}
		}
	}
}

// TestCursorsSpareWorkOnly takes cursors away, breaks them, and puts ones there that are wrong: all is collected once.
func TestCursorsSpareWorkOnly(t *testing.T) {
	s := bucket(t, &collecttest.S3{})
	dir := t.TempDir()
	name := ""
	for n, change := range []func() error{
		func() error { return nil },
		func() error { return os.Remove(name) },
		func() error { return os.WriteFile(name, []byte("{"), 0o644) },
		func() error {
			return os.WriteFile(name, []byte(`{"version":1,"source":"s3://other/","spans":{}}`), 0o644)
		},
	} {
		if n > 0 {
			found, err := filepath.Glob(filepath.Join(dir, "cursors", "*.json"))
			if err != nil || len(found) != 1 {
				t.Fatalf("cursors %q, %v", found, err)
			}
			name = found[0]
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		s.Add(key("111122223333", "us-east-1", noon.Add(time.Duration(n)*time.Minute), n))
		r := follow(t, newLake(t, dir), fast("s3://trail"), "s3://trail")
		r.collected(1)
		r.until("a place", func() bool { return r.Sources()[0].Ready })
		_ = r.stop()
		if got := objects(t, newLake(t, dir)); len(got) != n+1 {
			t.Errorf("round %d: collected %q", n, got)
		}
	}
}
