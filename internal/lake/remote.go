package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aitrail/aitrail/internal/object"
)

// cacheBytes is how much of buckets' files is kept on disk from one process to the next.
const cacheBytes = 16 << 30

// cacheIdle is how long a file of the cache isn't used before it may go.
const cacheIdle = time.Hour

// remote is a lake's files in a bucket. Data files and manifests have names that are never used again and never change;
// they are read and written through a folder on disk, the cache, so each is fetched once. Metadata is always asked for.
//
// Iceberg's IO takes no context, so requests have the one of Open without its end; the SDK bounds their time.
type remote struct {
	ctx    context.Context
	bucket object.Bucket
	root   string // URL
	cache  string // folder, of this lake

	mu       sync.Mutex
	fetching map[string]*sync.Mutex // by path
}

func openRemote(ctx context.Context, root, cache string, backoff time.Duration) (*remote, error) {
	bucket, err := object.OpenBucket(ctx, root, backoff)
	if err != nil {
		return nil, err
	}
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("there is no folder to keep files of the bucket in: %w", err)
		}
		cache = filepath.Join(user, "aitrail")
	}
	cache, err = filepath.Abs(filepath.Join(cache, "lakes"))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(root))
	r := &remote{
		ctx: context.WithoutCancel(ctx), bucket: bucket, root: root,
		cache: filepath.Join(cache, hex.EncodeToString(sum[:8])), fetching: map[string]*sync.Mutex{},
	}
	if err := os.MkdirAll(r.cache, 0o700); err != nil { // it holds events: nobody else may read it
		return nil, err
	}
	forget(cache)
	return r, nil
}

// forget removes from the cache what wasn't used for long, if it has grown too large. It does what it can.
func forget(cache string) {
	type file struct {
		path string
		info fs.FileInfo
	}
	var files []file
	var sum int64
	_ = filepath.WalkDir(cache, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				files, sum = append(files, file{path, info}), sum+info.Size()
			}
		}
		return nil
	})
	slices.SortFunc(files, func(a, b file) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	for _, f := range files {
		idle := time.Since(f.info.ModTime())
		unfinished := strings.HasSuffix(f.path, ".tmp") && idle > 24*time.Hour
		if unfinished || sum > cacheBytes && idle > cacheIdle {
			_ = os.Remove(f.path)
			sum -= f.info.Size()
		}
	}
}

// key returns the object of a path.
func (r *remote) key(path string) string { return strings.TrimPrefix(path, r.root+"/") }

// local returns where the cache has, or will have, a file.
func (r *remote) local(path string) string {
	return filepath.Join(r.cache, strings.NewReplacer("/", ",", "=", "-").Replace(r.key(path)))
}

// open opens a file, which it fetches first unless the cache has it.
func (r *remote) open(path string) (*os.File, error) {
	if err := r.fetch(r.ctx, path); err != nil {
		return nil, err
	}
	return os.Open(r.local(path))
}

// fetch brings a file into the cache.
func (r *remote) fetch(ctx context.Context, path string) error {
	r.mu.Lock()
	one := r.fetching[path]
	if one == nil {
		one = new(sync.Mutex)
		r.fetching[path] = one
	}
	r.mu.Unlock()
	one.Lock()
	defer one.Unlock()
	local, now := r.local(path), time.Now()
	if os.Chtimes(local, now, now) == nil {
		return nil // it is there, and in use
	}
	body, info, err := r.bucket.Open(ctx, r.key(path))
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := r.create()
	if err != nil {
		return err
	}
	n, err := io.Copy(f, body)
	if err == nil && n != info.Size {
		err = fmt.Errorf("%s: %d of %d bytes came", path, n, info.Size)
	}
	return errors.Join(r.keep(f, path, err), f.Close())
}

// keep puts a file that was written whole into the cache; err tells that it wasn't.
func (r *remote) keep(f *os.File, path string, err error) error {
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), r.local(path))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // forget does it at last
	}
	return err
}

// fetchAll brings files into the cache, several at a time.
func (r *remote) fetchAll(ctx context.Context, paths []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, p := range paths {
		g.Go(func() error { return r.fetch(ctx, p) })
	}
	return g.Wait()
}

// create returns a file to be written and uploaded.
func (r *remote) create() (*os.File, error) { return os.CreateTemp(r.cache, "*.tmp") }

// upload stores a written file in the bucket.
func (r *remote) upload(f *os.File, path string) error {
	_, err := f.Seek(0, io.SeekStart)
	if err == nil {
		err = r.bucket.Put(r.ctx, r.key(path), f)
	}
	return r.keep(f, path, err)
}

// read returns what an object is now.
func (r *remote) read(path string) ([]byte, error) {
	body, _, err := r.bucket.Open(r.ctx, r.key(path))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func (r *remote) stat(path string) error {
	_, err := r.bucket.Stat(r.ctx, r.key(path))
	return err
}

func (r *remote) remove(path string) error {
	_ = os.Remove(r.local(path)) // it may never have been there
	return r.bucket.Remove(r.ctx, r.key(path))
}

// publish creates an object; fs.ErrExist if there is one. An answer that was lost makes the SDK ask again, and find what
// it wrote the first time: that is success.
func (r *remote) publish(path string, content []byte) error {
	err := r.bucket.Create(r.ctx, r.key(path), content)
	if err == nil {
		return nil
	}
	if !errors.Is(err, object.ErrExist) {
		return fmt.Errorf("%w: %w", errUnknown, err)
	}
	if there, readErr := r.read(path); readErr == nil && bytes.Equal(there, content) {
		return nil
	}
	return err
}

func (r *remote) replace(path string, content []byte) error {
	return r.bucket.Put(r.ctx, r.key(path), bytes.NewReader(content))
}

func (r *remote) list(dir string, f func(path string, size int64, modified time.Time) error) error {
	for info, err := range r.bucket.List(r.ctx, r.key(dir)+"/", "") {
		if err != nil {
			return err
		}
		if err := f(join(r.root, info.Key), info.Size, info.Modified); err != nil {
			return err
		}
	}
	return nil
}
