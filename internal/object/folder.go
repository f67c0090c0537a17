package object

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// tempPrefix begins the names of files being written, which are no objects yet.
const tempPrefix = ".aitrail-tmp-"

// folder is a store of the regular files under a directory. Links are followed, except those that lead back to a
// directory they lie in.
type folder struct{ dir string } // absolute

func openFolder(name string) (Store, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", abs, NoSuch("folder or file"))
	case err != nil:
		return nil, err
	case info.IsDir():
		return &folder{abs}, nil
	case info.Mode().IsRegular():
		return single{&folder{filepath.Dir(abs)}, filepath.Base(abs)}, nil
	default:
		return nil, fmt.Errorf("%s is neither a folder nor a file", abs)
	}
}

// path returns the file of a key; false for keys that no file here can have.
func (f *folder) path(key string) (string, bool) {
	if !fs.ValidPath(key) || key == "." || !filepath.IsLocal(filepath.FromSlash(key)) ||
		strings.HasPrefix(path.Base(key), tempPrefix) {
		return "", false
	}
	return filepath.Join(f.dir, filepath.FromSlash(key)), true
}

func (f *folder) URL(key string) string {
	p := filepath.ToSlash(f.dir) + "/" + key
	return (&url.URL{Scheme: "file", Path: p}).String()
}

func (f *folder) Open(ctx context.Context, key string) (io.ReadCloser, Object, error) {
	name, ok := f.path(key)
	if !ok {
		return nil, Object{}, fmt.Errorf("%q: %w", key, ErrNotExist)
	}
	if err := ctx.Err(); err != nil {
		return nil, Object{}, err
	}
	// Looked at before it is opened: opening a pipe would wait for a writer.
	info, err := os.Stat(name)
	if err != nil {
		return nil, Object{}, notDir(err)
	}
	if !info.Mode().IsRegular() {
		return nil, Object{}, fmt.Errorf("%s is no regular file: %w", name, ErrNotExist)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, Object{}, notDir(err)
	}
	return file, Object{Info: fileInfo(key, info)}, nil
}

func (f *folder) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		base := ""
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			base = prefix[:i+1]
			if _, ok := f.path(prefix[:i]); !ok {
				return
			}
		}
		w := walk{ctx: ctx, root: f.dir, prefix: prefix, after: after, yield: yield}
		w.dir(base, nil)
	}
}

func (f *folder) dirs(ctx context.Context, prefix string) ([]string, error) {
	if _, ok := f.path(strings.TrimSuffix(prefix, "/")); !ok && prefix != "" {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list, err := os.ReadDir(filepath.Join(f.dir, filepath.FromSlash(prefix)))
	if errors.Is(notDir(err), ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	w := walk{root: f.dir, prefix: prefix}
	var dirs []string
	for _, e := range w.entries(prefix, list) {
		if e.isDir() {
			dirs = append(dirs, e.key)
		}
	}
	return dirs, nil
}

// walk yields the files of a tree in byte order of their keys.
type walk struct {
	ctx           context.Context
	root          string
	prefix, after string
	yield         func(Info, error) bool
}

// entry is a file or directory; the key of a directory ends with "/", which puts it in its place among the files.
type entry struct {
	key  string
	info fs.FileInfo // nil until needed
}

func (e entry) isDir() bool { return strings.HasSuffix(e.key, "/") }

// dir walks the directory whose key is base, "" or ending in "/"; it returns false when the walk is over. The parents
// are the directories it lies in.
func (w *walk) dir(base string, parents []fs.FileInfo) bool {
	if err := w.ctx.Err(); err != nil {
		return w.fail(err)
	}
	name := filepath.Join(w.root, filepath.FromSlash(base))
	self, err := os.Stat(name)
	if err == nil && slices.ContainsFunc(parents, func(p fs.FileInfo) bool { return os.SameFile(p, self) }) {
		return true
	}
	var list []fs.DirEntry
	if err == nil {
		list, err = os.ReadDir(name)
	}
	if err != nil {
		if errors.Is(notDir(err), ErrNotExist) && len(parents) == 0 {
			return true // nothing lies under the prefix
		}
		return w.skip(err)
	}
	parents = append(parents[:len(parents):len(parents)], self)
	for _, e := range w.entries(base, list) {
		if e.isDir() {
			if !w.dir(e.key, parents) {
				return false
			}
			continue
		}
		if !w.file(e) {
			return false
		}
	}
	return true
}

// entries returns what of a directory can hold or be a key that is asked for, in byte order of keys.
func (w *walk) entries(base string, list []fs.DirEntry) []entry {
	var entries []entry
	for _, d := range list {
		e := entry{key: base + d.Name()}
		mode := d.Type()
		if mode&fs.ModeSymlink != 0 {
			info, err := os.Stat(filepath.Join(w.root, filepath.FromSlash(e.key)))
			if err != nil {
				continue // a link to nothing is no object
			}
			e.info, mode = info, info.Mode()
		}
		if mode.IsDir() {
			e.key += "/"
		} else if !mode.IsRegular() || strings.HasPrefix(d.Name(), tempPrefix) {
			continue
		}
		if w.wanted(e) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	return entries
}

func (w *walk) wanted(e entry) bool {
	if !e.isDir() {
		return strings.HasPrefix(e.key, w.prefix) && e.key > w.after
	}
	if !strings.HasPrefix(e.key, w.prefix) && !strings.HasPrefix(w.prefix, e.key) {
		return false
	}
	return e.key > w.after || strings.HasPrefix(w.after, e.key)
}

func (w *walk) file(e entry) bool {
	if e.info == nil {
		info, err := os.Lstat(filepath.Join(w.root, filepath.FromSlash(e.key)))
		if errors.Is(err, ErrNotExist) {
			return true // removed meanwhile
		}
		if err != nil {
			return w.skip(err)
		}
		e.info = info
	}
	if err := w.ctx.Err(); err != nil {
		return w.fail(err)
	}
	return w.yield(fileInfo(e.key, e.info), nil)
}

func (w *walk) fail(err error) bool {
	w.yield(Info{}, err)
	return false
}

// skip tells of what can't be read; the walk goes on with the rest.
func (w *walk) skip(err error) bool { return w.yield(Info{}, err) }

func (f *folder) Create(ctx context.Context, key string, body []byte) error {
	name, ok := f.path(key)
	if !ok {
		return fmt.Errorf("key %q can't be a file's name", key)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s: %w", name, ErrExist)
	}
	if err := makeDir(filepath.Dir(name)); err != nil {
		return err
	}
	temp, err := writeTemp(filepath.Dir(name), body)
	if err != nil {
		return err
	}
	// A link, unlike renaming, never replaces what is there.
	err = os.Link(temp, name)
	if removed := os.Remove(temp); err == nil {
		err = removed
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// writeTemp writes a durable file under a name of its own and returns it.
func writeTemp(dir string, body []byte) (name string, err error) {
	file, err := os.CreateTemp(dir, tempPrefix)
	if err != nil {
		return "", err
	}
	_, err = file.Write(body)
	if err == nil {
		err = file.Chmod(0o644)
	}
	if err == nil {
		err = file.Sync()
	}
	err = cmp.Or(err, file.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// makeDir makes a directory and those above it, durably.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return cmp.Or(d.Sync(), d.Close())
}

func fileInfo(key string, info fs.FileInfo) Info {
	modified := info.ModTime().UTC()
	return Info{
		Key:      key,
		Size:     info.Size(),
		ETag:     fmt.Sprintf("%x-%x", modified.UnixNano(), info.Size()),
		Modified: modified,
	}
}
