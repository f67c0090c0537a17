// Package object reads and writes objects in a folder or an S3 bucket.
//
// It knows nothing of what objects hold. A [Store] lists keys in byte order from any place on, opens an object with its
// user metadata, and creates objects once. Keys are slash-separated and relative to the source: to the folder, or to
// the prefix after the bucket's name. Every implementation passes the same conformance test.
//
// The folder never leaves its own tree on account of a key: keys come from outside. The bucket's requests are retried
// with backoff by the AWS SDK, and a body that breaks off or stalls is taken up again where it broke off. Region,
// credentials and endpoint come from AWS's own chain; with an endpoint of one's own (AWS_ENDPOINT_URL) buckets are
// addressed by path.
package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"path"
	"strings"
	"time"
)

// Errors that callers decide on.
var (
	ErrNotExist = fs.ErrNotExist // there is no such object, folder or bucket; see NoSuch
	ErrExist    = fs.ErrExist    // there is one already
	ErrChanged  = errors.New("object changed while it was read")
	ErrReadOnly = errors.New("source is a single object")
)

// NoSuch returns an ErrNotExist in the words of users: "there is no such bucket".
func NoSuch(what string) error { return noSuch(what) }

type noSuch string

func (n noSuch) Error() string      { return "there is no such " + string(n) }
func (noSuch) Is(target error) bool { return target == ErrNotExist }

// Info is what a listing says of an object.
type Info struct {
	Key      string    // relative to the source
	Size     int64     // bytes as stored
	ETag     string    // differs when the content does; without quotes
	Modified time.Time // UTC
}

// Object is what opening an object says of it.
type Object struct {
	Info
	Meta map[string]string // user metadata, names in lower case and without "x-amz-meta-"; nil in a folder
}

// A Store holds objects. Its methods may be called by several goroutines. What can be retried has been: an error is
// final, and names the object.
type Store interface {
	// List yields the objects whose key begins with prefix and is greater than after, in byte order of keys. Reading
	// begins at after, whatever lies before it. An error comes with a zero Info. A bucket's listing ends with it; a
	// folder's goes on beside what can't be read, if the caller does. A prefix under which nothing lies yields nothing.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]

	// Open returns an object's content, which the caller closes; ctx holds until then. ErrNotExist if there is no such
	// object. If it is replaced before it was read to the end, a read fails with ErrChanged, or goes on with what it was.
	Open(ctx context.Context, key string) (io.ReadCloser, Object, error)

	// Create writes an object that doesn't exist yet, whole or not at all; it is durable on return. ErrExist if the key
	// is taken: by another writer, or by an earlier attempt of this one whose answer was lost.
	Create(ctx context.Context, key string, body []byte) error

	// URL names an object to people and in the lake: "s3://bucket/key" or "file:///abs/path". No error, no request.
	URL(key string) string
}

// Listings returns how many requests for listings a bucket has been asked; 0 for other stores.
func Listings(s Store) int64 {
	if b, ok := s.(interface{ listings() int64 }); ok {
		return b.listings()
	}
	return 0
}

// First returns the first object whose key begins with prefix and is greater than after, as List would; a zero Info if there is
// none. A bucket is asked for one key, not for a page of them.
func First(ctx context.Context, s Store, prefix, after string) (Info, error) {
	list := s.List
	if b, ok := s.(*bucket); ok {
		list = b.listOneByOne
	}
	for info, err := range list(ctx, prefix, after) {
		return info, err
	}
	return Info{}, nil
}

// Dirs returns the folders directly below prefix, which is "" or ends in "/": keys up to and with the next slash, in
// byte order. What lies in them isn't listed: a bucket is asked once for each 1,000 folders and objects of that level.
func Dirs(ctx context.Context, s Store, prefix string) ([]string, error) {
	if d, ok := s.(interface {
		dirs(ctx context.Context, prefix string) ([]string, error)
	}); ok {
		return d.dirs(ctx, prefix)
	}
	var dirs []string
	for after := ""; ; {
		dir, more := "", false
		for info, err := range s.List(ctx, prefix, after) {
			if err != nil {
				return dirs, err
			}
			name, _, inside := strings.Cut(info.Key[len(prefix):], "/")
			if after, more = info.Key, true; inside {
				dir = prefix + name + "/"
			}
			break
		}
		if !more {
			return dirs, nil
		}
		if dir != "" {
			dirs, after = append(dirs, dir), dir+"\xff" // behind all that lies in it
		}
	}
}

// Open returns the store of a source: a folder, a file, "s3://bucket", "s3://bucket/prefix" or an object's URL. A file
// or object is a store with one key, its base name, in which nothing can be created. ErrNotExist if a folder, file or
// bucket isn't there.
func Open(ctx context.Context, source string) (Store, error) {
	scheme, rest, ok := strings.Cut(source, "://")
	switch {
	case !ok:
		return openFolder(source)
	case scheme == "s3":
		return openBucket(ctx, rest, usualPatience())
	case scheme == "file":
		u, err := url.Parse(source)
		if err != nil || u.Host != "" && u.Host != "localhost" {
			return nil, fmt.Errorf("source %q is not the URL of a local file", source)
		}
		return openFolder(u.Path)
	default:
		return nil, fmt.Errorf("source %q: unknown scheme %q: a source is a folder, a file or s3://BUCKET/PREFIX", source, scheme)
	}
}

// single is a store of one object of another store.
type single struct {
	Store
	key string // in the inner store
}

func (s single) name() string { return path.Base(s.key) }

func (s single) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if !strings.HasPrefix(s.name(), prefix) || s.name() <= after {
			return
		}
		for info, err := range s.Store.List(ctx, s.key, "") {
			if err == nil && info.Key != s.key {
				return // the object is gone, and another's key begins with its name
			}
			if err == nil {
				info.Key = s.name()
			}
			yield(info, err)
			return
		}
	}
}

func (s single) dirs(context.Context, string) ([]string, error) { return nil, nil }

func (s single) Open(ctx context.Context, key string) (io.ReadCloser, Object, error) {
	if key != s.name() {
		return nil, Object{}, fmt.Errorf("%s: %w", key, ErrNotExist)
	}
	body, object, err := s.Store.Open(ctx, s.key)
	object.Key = key
	return body, object, err
}

func (s single) Create(context.Context, string, []byte) error { return ErrReadOnly }

func (s single) URL(key string) string {
	return s.Store.URL(strings.TrimSuffix(s.key, s.name()) + key)
}
