package digest

import (
	"context"
	"io"
	"iter"
	"path"
	"strings"
)

// A Source is where log files and digests rest: a bucket, or a copy of one. Its methods may be called by several
// goroutines, and retry what can be retried.
//
// A source that has a method First(ctx, prefix, after), which returns the first path that List would yield, "" for none, is asked by it
// where one path is enough.
type Source interface {
	// Bucket returns the bucket's name, or "" for a copy. In a bucket, paths are keys, digests must rest where they say
	// they do, and must have their metadata. In a copy, what lies before "AWSLogs/" may be missing or have been added,
	// metadata may be lost, files may be inflated, and all buckets that digests name are taken to have been copied.
	Bucket() string

	// List yields the paths that begin with prefix and are greater than after, in byte order. It ends at the first
	// error, which it yields with "".
	List(ctx context.Context, prefix, after string) iter.Seq2[string, error]

	// Open returns a file's bytes, which the caller closes, and its user metadata, names in lower case. The bucket is
	// the one a digest names, which may be another than Bucket; a copy passes it over. fs.ErrNotExist if there is no
	// such file; reading errors other than that are reported as such, not as tampering.
	Open(ctx context.Context, bucket, path string) (io.ReadCloser, map[string]string, error)
}

// A layout turns the keys that a digest names into paths: the copy may have lost or gained leading folders. The zero
// layout changes nothing.
type layout struct{ lost, gained string }

// layoutOf compares a digest's key with the path it was found at.
func layoutOf(key, found string) layout {
	key, found = plainName(key), plainName(found)
	i, j := len(key), len(found)
	for i > 0 && j > 0 && key[i-1] == found[j-1] {
		i, j = i-1, j-1
	}
	// Whole folder names only: forward to a slash, unless both begin here.
	if i > 0 || j > 0 {
		whole := (i == 0 || key[i-1] == '/') && (j == 0 || found[j-1] == '/')
		if k := strings.IndexByte(key[i:], '/'); !whole && k >= 0 {
			i, j = i+k+1, j+k+1
		}
	}
	return layout{key[:i], found[:j]}
}

func (l layout) path(key string) string {
	if rest, ok := strings.CutPrefix(key, l.lost); ok {
		return l.gained + rest
	}
	return l.gained + path.Base(key) // all files in one folder
}
