package object_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/aitrail/aitrail/internal/object"
)

// A subfolder that may not be read is told of, and hides nothing of what lies beside it.
func TestUnreadableSubfolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/1.json", "closed/2.json", "z/3.json"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	closed := filepath.Join(dir, "closed")
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o755) })
	s, err := object.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	var errs []error
	listed := make(chan struct{})
	go func() {
		defer close(listed)
		if os.Geteuid() == 0 { // root may read everything: as far as files go, this thread is somebody else; it ends with the goroutine
			runtime.LockOSThread()
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); errno != 0 {
				t.Error(errno)
			}
		}
		for info, err := range s.List(t.Context(), "", "") {
			if err != nil {
				errs = append(errs, err)
				continue
			}
			keys = append(keys, info.Key)
		}
	}()
	<-listed
	if want := []string{"a/1.json", "z/3.json"}; !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	if len(errs) != 1 || !os.IsPermission(errs[0]) {
		t.Errorf("errors %v, want one: no permission for %s", errs, closed)
	}
}
