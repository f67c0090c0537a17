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
	"github.com/google/uuid"
)

// disk is the one place where the lake changes its files, in a folder or in a bucket. What it has written is durable
// when the call returns: files are synced before they are closed, and syncDir makes their names durable; a bucket has an
// object whole or not at all. It is what Iceberg writes through too.
//
// Paths are absolute; those of a bucket are URLs. Names in the tables' metadata are absolute too. A lake that was moved
// still has the old ones, so names below from, the place that the metadata says, are taken to be below root.
type disk struct {
	root, from string
	remote     *remote // nil for a folder
	scratch    bool    // nothing in it has to outlive the process, so nothing is synced
	metadata   metadataText
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

// join returns the path of something in a folder of the lake.
func join(dir string, parts ...string) string { return dir + "/" + strings.Join(parts, "/") }

// parent returns the folder that a path lies in.
func parent(path string) string { return path[:strings.LastIndexByte(path, '/')] }

// Open implements Iceberg's IO.
func (d *disk) Open(name string) (iceio.File, error) {
	f, err := d.open(d.path(name))
	if err != nil {
		return nil, err // not a nil *os.File in an interface
	}
	return f, nil
}

// local returns where a file is, once it has been opened or fetched.
func (d *disk) local(path string) string {
	if d.remote != nil {
		return d.remote.local(path)
	}
	return path
}

// newScratch returns the folder for files that are used once, of the process that writes them.
func (d *disk) newScratch() *disk {
	if d.remote != nil {
		return &disk{root: d.remote.cache, scratch: true}
	}
	return &disk{root: join(d.root, "scratch"), scratch: true, fault: d.fault}
}

// open opens a file that is never written again: a data file or a manifest.
func (d *disk) open(path string) (*os.File, error) {
	if d.remote != nil {
		return d.remote.open(path)
	}
	return os.Open(path)
}

// read returns the content of a file that may be written again.
func (d *disk) read(path string) ([]byte, error) {
	if d.remote != nil {
		return d.remote.read(path)
	}
	return os.ReadFile(path)
}

// exists tells whether there is a file; an error to find out is told as such.
func (d *disk) exists(path string) (bool, error) {
	var err error
	if d.remote != nil {
		err = d.remote.stat(path)
	} else {
		_, err = os.Stat(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// list calls f for each file below a folder, which may be missing.
func (d *disk) list(dir string, f func(path string, size int64, modified time.Time) error) error {
	if d.remote != nil {
		return d.remote.list(dir, f)
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		return f(path, info.Size(), info.ModTime())
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Remove implements Iceberg's IO.
func (d *disk) Remove(name string) error {
	path := d.path(name)
	return d.step("remove", path, func() error {
		if d.remote != nil {
			return d.remote.remove(path)
		}
		return os.Remove(path)
	})
}

// Create implements Iceberg's WriteFileIO. The file is durable when its Close returns nil.
func (d *disk) Create(name string) (iceio.FileWriter, error) {
	path := d.path(name)
	var f *os.File
	err := d.step("create", path, func() (err error) {
		if d.remote != nil {
			f, err = d.remote.create()
			return err
		}
		if err = d.mkdir(parent(path)); err != nil {
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
	return &durableFile{File: f, d: d, path: path}, nil
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
		if d.remote != nil {
			return d.remote.replace(path, content)
		}
		if err := os.WriteFile(path+".tmp", content, 0o644); err != nil {
			return err
		}
		return os.Rename(path+".tmp", path)
	})
}

// publish writes a file whose name must be free: fs.ErrExist is returned otherwise.
func (d *disk) publish(path string, content []byte) error {
	if d.remote != nil {
		return d.step("publish", path, func() error { return d.remote.publish(path, content) })
	}
	tmp := join(parent(path), uuid.NewString()+".tmp")
	if err := d.WriteFile(tmp, content); err != nil {
		return err
	}
	// The names of the files that this one needs must be on disk before it.
	if err := d.syncDir(parent(path)); err != nil {
		return err
	}
	err := d.step("publish", path, func() error {
		if err := os.Link(tmp, path); err != nil {
			return err
		}
		return os.Remove(tmp)
	})
	if err != nil {
		return err
	}
	return d.syncDir(parent(path))
}

// mkdir makes a folder with its parents, durably.
func (d *disk) mkdir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := d.mkdir(parent(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncDir(parent(dir))
}

// syncDir makes the names in a folder durable.
func (d *disk) syncDir(dir string) error {
	if d.remote != nil {
		return nil
	}
	return d.step("syncdir", dir, func() error {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}

// durableFile is a file that is synced, or stored in the bucket, before it is closed, unless it is a scratch file.
type durableFile struct {
	*os.File
	d      *disk
	path   string
	closed bool
}

func (f *durableFile) Write(b []byte) (n int, err error) {
	err = f.d.step("write", f.path, func() (err error) {
		n, err = f.File.Write(b)
		return err
	})
	return n, err
}

// ReadFrom implements Iceberg's FileWriter. From another file the kernel copies where it can.
func (f *durableFile) ReadFrom(r io.Reader) (n int64, err error) {
	err = f.d.step("write", f.path, func() (err error) {
		n, err = f.File.ReadFrom(r)
		return err
	})
	return n, err
}

func (f *durableFile) Close() error {
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	err := f.d.step("sync", f.path, func() error {
		switch {
		case f.d.remote != nil:
			return f.d.remote.upload(f.File, f.path)
		case f.d.scratch:
			return nil
		}
		return f.Sync()
	})
	return errors.Join(err, f.File.Close())
}

// lockPoll is how often a lock that another process holds is asked for.
const lockPoll = 5 * time.Millisecond

// lock takes the lake's lock, which makes commits of all processes take turns. The kernel lets go of it when a process
// dies. The lock file is never removed. A bucket has no lock: there commits fail that don't build upon the last one, and
// are done again.
func (d *disk) lock(ctx context.Context) (unlock func(), err error) {
	if d.remote != nil {
		return func() {}, ctx.Err()
	}
	f, err := os.OpenFile(join(d.root, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
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
