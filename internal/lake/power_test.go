//go:build linux

package lake_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/lake"
)

// power is a disk below a folder that may lose its power: it knows what was synced. Names are durable once their folder was
// synced, contents once the file was.
type power struct {
	root string

	mu       sync.Mutex
	n, at    int // steps so far; the one before which the power goes
	contents map[uint64][]byte
	names    map[string]map[string]uint64 // of each folder: files and folders by inode
	off      bool
	last     string
}

// newPower takes what is below root for durable.
func newPower(t *testing.T, root string, at int) *power {
	t.Helper()
	p := &power{root: root, at: at, contents: map[uint64][]byte{}, names: map[string]map[string]uint64{}}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return p.syncNames(name)
		}
		return p.syncContent(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func inode(name string) (uint64, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return 0, err
	}
	return info.Sys().(*syscall.Stat_t).Ino, nil
}

func (p *power) syncContent(name string) error {
	id, err := inode(name)
	if err == nil {
		p.contents[id], err = os.ReadFile(name)
	}
	return err
}

func (p *power) syncNames(dir string) error {
	entries, err := os.ReadDir(dir)
	names := map[string]uint64{}
	for _, e := range entries {
		id, err := inode(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		names[e.Name()] = id
	}
	p.names[dir] = names
	return err
}

// fault is the lake's hook: it notes what a step made durable, and ends all when the power is off.
func (p *power) fault(step, name string, after bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !after {
		p.n++
	}
	if p.off || p.at >= 0 && p.n-1 == p.at {
		if !p.off {
			p.last = step + " " + filepath.Base(name)
		}
		p.off = true
		return errFault
	}
	if !after {
		return nil
	}
	switch step {
	case "sync":
		return p.syncContent(name)
	case "syncdir":
		return p.syncNames(name)
	case "create", "replace": // a new file, whose inode another may have had
		id, err := inode(name)
		if err == nil {
			delete(p.contents, id)
		}
		return err
	}
	return nil
}

// How a disk comes back.
const (
	strict = iota // what wasn't synced is lost
	names         // names are all there; contents that weren't synced are lost
	random        // either
)

// image writes what is left on the disk to another folder.
func (p *power) image(t *testing.T, how int, rnd *rand.Rand) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "lake")
	if err := p.restore(p.root, to, how, rnd); err != nil {
		t.Fatal(err)
	}
	return to
}

func (p *power) restore(from, to string, how int, rnd *rand.Rand) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	left := maps.Clone(p.names[from])
	if how == names || how == random && rnd.IntN(2) == 0 {
		entries, err := os.ReadDir(from)
		if err != nil {
			return err
		}
		left = map[string]uint64{}
		for _, e := range entries {
			if left[e.Name()], err = inode(filepath.Join(from, e.Name())); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) { // random is the same each time
		id, path := left[name], filepath.Join(from, name)
		_, folder := p.names[path]
		info, err := os.Stat(path)
		if folder || err == nil && info.IsDir() {
			err = p.restore(path, filepath.Join(to, name), how, rnd)
		} else {
			err = os.WriteFile(filepath.Join(to, name), p.contents[id], 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cuts runs a test for each step that do takes on a copy of a lake, or with less time for one of every few, with the power going
// before it, and for one step more.
func cuts(t *testing.T, base string, every int, do func(dir string, o lake.Options) error, after func(t *testing.T, image string, err error)) {
	counted := newPower(t, copyOfFirst(t, base), -1)
	if err := do(counted.root, lake.Options{}.WithFault(counted.fault)); err != nil || counted.n < 20 {
		t.Fatalf("%d steps, %v", counted.n, err)
	}
	t.Run("steps", func(t *testing.T) {
		for at := range counted.n + 1 {
			for _, how := range []int{strict, names, random} {
				if os.Getenv("AITRAIL_LONG_TESTS") == "" && (how != strict && how != at%6 || at%every > 0) {
					continue
				}
				t.Run(fmt.Sprint(at, " ", how), func(t *testing.T) {
					t.Parallel()
					p := newPower(t, copyOfFirst(t, base), at)
					err := do(p.root, lake.Options{}.WithFault(p.fault))
					if err != nil && !errors.Is(err, errFault) {
						t.Errorf("error %v, want the injected one", err)
					}
					after(t, p.image(t, how, rand.New(rand.NewPCG(uint64(at), 3))), err)
					if t.Failed() {
						t.Log("the power went before", p.last)
					}
				})
			}
		}
	})
}

// TestPowerCutAtEachStep cuts the power at each step of a commit: what Commit reported is there afterwards, what it didn't is
// there whole or not at all, and the lake can be used.
func TestPowerCutAtEachStep(t *testing.T) {
	cuts(t, lakeOfFirst(t), 1, func(dir string, o lake.Options) error {
		o.Now = func() time.Time { return noon }
		l, err := lake.Open(ctx, dir, o)
		if err != nil {
			return err
		}
		defer l.Close()
		b, err := addSecond(t, l)
		if err == nil {
			_, err = b.Commit(ctx)
		}
		return err
	}, func(t *testing.T, image string, err error) {
		if whole := state(t, image); err == nil && !whole {
			t.Error("the commit was reported, and is lost")
		}
		l := open(t, image, lake.Options{})
		if have, err := l.Collected(ctx, "file:///c", 100, "e"); err != nil {
			t.Fatal(err)
		} else if !have {
			b, err := addSecond(t, l)
			if err == nil {
				_, err = b.Commit(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !state(t, image) {
			t.Error("second isn't in the lake at last")
		}
	})
}

// TestPowerCutWhileMaintaining cuts the power at each step of maintenance, which must change no row.
func TestPowerCutWhileMaintaining(t *testing.T) {
	base := t.TempDir()
	l := create(t, base)
	for n := range 4 {
		commit(t, l, numbered(fmt.Sprintf("file:///%d", n), n*10, n*10+10))
	}
	if _, err := open(t, base, lake.Options{Now: later}).Maintain(ctx, lake.Maintenance{}); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		commit(t, l, numbered(fmt.Sprintf("file:///more-%d", n), n*10+100, n*10+110))
	}
	want := content(t, l)
	maintain := func(dir string, o lake.Options) error {
		o.Now = later // all that isn't needed is old enough to go
		l, err := lake.Open(ctx, dir, o)
		if err != nil {
			return err
		}
		defer l.Close()
		_, err = l.Maintain(ctx, lake.Maintenance{})
		return err
	}
	cuts(t, base, 7, maintain, func(t *testing.T, image string, _ error) {
		if got := content(t, open(t, image, lake.Options{ReadOnly: true})); !maps.Equal(got, want) {
			t.Errorf("%d rows, want %d", len(got), len(want))
		}
		if err := maintain(image, lake.Options{}); err != nil {
			t.Fatal(err)
		}
		l := open(t, image, lake.Options{})
		commit(t, l, numbered("file:///last", 0, 5))
		if got := content(t, l); len(got) != len(want)+1 { // a row of log_files
			t.Errorf("%d rows, want %d", len(got), len(want)+1)
		}
	})
}

// TestPowerCutWhileCreating cuts the power at each step of making a lake: what is left can be made one.
func TestPowerCutWhileCreating(t *testing.T) {
	base := t.TempDir()
	create := func(dir string, o lake.Options) error {
		o.Create = true
		l, err := lake.Open(ctx, filepath.Join(dir, "new", "lake"), o)
		if err == nil {
			err = l.Close()
		}
		return err
	}
	cuts(t, base, 2, create, func(t *testing.T, image string, err error) {
		image = filepath.Join(image, "new", "lake")
		if err == nil {
			l, err := lake.Open(ctx, image, lake.Options{})
			if err != nil {
				t.Fatalf("the lake was made, and is lost: %v", err)
			}
			l.Close()
		}
		commit(t, open(t, image, lake.Options{Create: true}), first...)
		if state(t, image) {
			t.Error("the lake has more than was added")
		}
	})
}

// TestPowerLosesWhatIsNotSynced states that the test's disk loses what it should.
func TestPowerLosesWhatIsNotSynced(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("old", "old")
	p := newPower(t, dir, -1)
	for _, name := range []string{"named", "synced", "both"} {
		write(name, name)
	}
	for _, s := range []struct{ step, name string }{{"sync", "synced"}, {"sync", "both"}} {
		if err := p.fault(s.step, filepath.Join(dir, s.name), true); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "synced")); err != nil {
		t.Fatal(err)
	}
	if err := p.fault("syncdir", dir, true); err != nil {
		t.Fatal(err)
	}
	write("late", "late")
	if err := p.fault("create", filepath.Join(dir, "late"), true); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	for how, want := range map[int]string{strict: "both=both named= old=old ", names: "both=both late= named= "} {
		image := p.image(t, how, nil)
		var got strings.Builder
		entries, err := os.ReadDir(image)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(image, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&got, "%s=%s ", e.Name(), b)
		}
		if got.String() != want {
			t.Errorf("left %q, want %q", got.String(), want)
		}
	}
}
