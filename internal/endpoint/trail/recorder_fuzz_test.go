package trail_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

// Whatever stands in the last segment, the recorder opens, gives no more events than were whole, and goes on after them.
func FuzzRecover(f *testing.F) {
	dir := f.TempDir()
	r := openRecorder(f, dir, trail.RecorderOptions{})
	record(f, r, 1, 2)
	r.Close()
	name := "0000000000000000.events"
	whole, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:28])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		r := openRecorder(t, dir, trail.RecorderOptions{})
		n := 0
		for _, err := range r.Entries(0, r.End()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n > len(content)/20 {
			t.Errorf("%d events of %d bytes", n, len(content))
		}
		record(t, r, 3)
		r.Close()
		again := openRecorder(t, dir, trail.RecorderOptions{})
		if again.End() != r.End() {
			t.Errorf("End = %d after reopening; want %d", again.End(), r.End())
		}
	})
}
