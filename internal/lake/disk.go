package lake

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	iceio "github.com/apache/iceberg-go/io"
)

// disk is the one place where the lake changes the file system. What it has written is durable when the call returns:
// files are synced before they are closed, and syncDir makes their names durable. It is what Iceberg writes through too.
//
// Names in the tables' metadata are absolute. A lake whose folder was moved still has the old ones, so names below
// from, the place that the metadata says, are taken to be below root.
type disk struct {
	root, from string
	// fault, set by tests, is called before and after each step that changes something; an error takes the step's
	// place, or its success's.
	fault func(step, name string, after bool) error
}

var _ iceio.WriteFileIO = (*disk)(nil)

// path returns where a file named in metadata is.
func (d *disk) path(name string) string {
	name = strings.TrimPrefix(name, "file://")
	if d.from != "" && d.from != d.root && strings.HasPrefix(name, d.from+"/") {
		return d.root + name[len(d.from):]
	}
	return name
}

// name returns what metadata calls the file at a path below root.
func (d *disk) name(path string) string {
	if d.from != "" && strings.HasPrefix(path, d.root+"/") {
		return d.from + path[len(d.root):]
	}
	return path
}

func (d *disk) step(step, path string, do func() error) error {
	if d.fault == nil {
		return do()
	}
	if err := d.fault(step, path, false); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return d.fault(step, path, true)
}

// Open implements Iceberg's IO.
func (d *disk) Open(name string) (iceio.File, error) { return os.Open(d.path(name)) }

// Remove implements Iceberg's IO.
func (d *disk) Remove(name string) error {
	path := d.path(name)
	return d.step("remove", path, func() error { return os.Remove(path) })
}

// Create implements Iceberg's WriteFileIO. The file is durable when its Close returns nil.
func (d *disk) Create(name string) (iceio.FileWriter, error) {
	path := d.path(name)
	var f *os.File
	err := d.step("create", path, func() (err error) {
		if err = d.mkdir(filepath.Dir(path)); err != nil {
			return err
		}
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
		return err
	})
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return &durableFile{File: f, d: d}, nil
}

// WriteFile implements Iceberg's WriteFileIO.
func (d *disk) WriteFile(name string, content []byte) error {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// replace gives a file a new content, whole or not at all. After a loss of power it may have none.
func (d *disk) replace(path string, content []byte) error {
	return d.step("replace", path, func() error {
		if err := os.WriteFile(path+".tmp", content, 0o644); err != nil {
			return err
		}
		return os.Rename(path+".tmp", path)
	})
}

// publish gives a written file its final name, which must be free: fs.ErrExist is returned otherwise.
func (d *disk) publish(tmp, path string) error {
	return d.step("publish", path, func() error {
		if err := os.Link(tmp, path); err != nil {
			return err
		}
		return os.Remove(tmp)
	})
}

// mkdir makes a folder with its parents, durably.
func (d *disk) mkdir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := d.mkdir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncDir(parent)
}

// syncDir makes the names in a folder durable.
func (d *disk) syncDir(dir string) error {
	return d.step("syncdir", dir, func() error {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}

// durableFile is a file that is synced before it is closed.
type durableFile struct {
	*os.File
	d      *disk
	closed bool
}

func (f *durableFile) Write(b []byte) (n int, err error) {
	err = f.d.step("write", f.Name(), func() (err error) {
		n, err = f.File.Write(b)
		return err
	})
	return n, err
}

// ReadFrom implements Iceberg's FileWriter. It goes through Write.
func (f *durableFile) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{f}, r)
}

func (f *durableFile) Close() error {
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	err := f.d.step("sync", f.Name(), f.Sync)
	return errors.Join(err, f.File.Close())
}

// lockPoll is how often a lock that another process holds is asked for.
const lockPoll = 5 * time.Millisecond

// lock takes the lake's lock, which serialises commits of all processes. The kernel lets go of it when a process dies.
// The lock file is never removed.
func (d *disk) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(d.root, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
		held, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		if held {
			return func() { f.Close() }, nil
		}
		timer.Reset(lockPoll)
	}
}
