// Package disk keeps S3 buckets and objects in a folder. It is the storage below package s3 and knows nothing of HTTP,
// XML, access or records.
//
// It exists because no back end of gofakes3 fits: s3mem forgets, s3bolt rewrites whole bodies inside one database file,
// and s3afero writes in place under the final name, keeps metadata in a second file and can't page a listing. None
// keeps versions on disk, and multipart uploads live in memory whatever the back end.
//
// Layout: index.db (bbolt) has one record for each bucket, object, noncurrent version, upload and part; bodies are
// files below data/, written once, never changed, and named by a number that is never used again. A record is the only
// thing that makes a body exist:
//
//   - The body is written and synced first, then the record is committed (and synced), then the call returns. So an
//     object that was answered is complete and durable, and no key ever shows half a body, whatever is killed when.
//   - A body no record names (the process died in between) is removed by the first Open after an unclean end.
//   - Conditions on a write are checked in the transaction that commits it.
//   - Listings come from the index, in the order of the keys' UTF-8 bytes; a page costs a page, not a bucket.
//
// A Store may be used by any number of goroutines, and by one process: a second Open fails with [ErrLocked]. The caller
// closes it.
package disk

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// What callers decide on.
var (
	ErrLocked       = errors.New("the object store is in use by another process")
	ErrNoBucket     = errors.New("no such bucket")
	ErrBucketExists = errors.New("bucket exists")
	ErrNotEmpty     = errors.New("bucket is not empty")
	ErrNoKey        = errors.New("no such key")
	ErrNoVersion    = errors.New("no such version")
	ErrPrecondition = errors.New("precondition does not hold")
	ErrNoUpload     = errors.New("no such upload")
	ErrPart         = errors.New("a part is missing or differs")
	ErrPartOrder    = errors.New("parts are not in ascending order")
	ErrPartSize     = errors.New("a part other than the last is too small")
)

// Versioning is a bucket's versioning status, in S3's words.
type Versioning string

// The versioning statuses. Once enabled, versioning can be suspended but not be undone.
const (
	Unversioned Versioning = ""
	Enabled     Versioning = "Enabled"
	Suspended   Versioning = "Suspended"
)

// NullVersion is how clients name the version that was written while versioning was not enabled.
const NullVersion = "null"

// Bucket is one bucket.
type Bucket struct {
	Name       string     `json:"-"`
	Region     string     `json:"region"`
	Created    time.Time  `json:"created"`
	Versioning Versioning `json:"versioning,omitempty"`
}

// Object is one version of an object, or a delete marker.
type Object struct {
	Key      string            `json:"-"`
	Version  string            `json:"v,omitempty"` // "" is the null version
	Marker   bool              `json:"m,omitempty"` // a delete marker: no body
	Latest   bool              `json:"-"`
	Size     int64             `json:"s"`
	ETag     string            `json:"e,omitempty"` // without quotes: the body's MD5 in hex, "-" and the number of parts if it had parts
	Modified time.Time         `json:"t"`
	Meta     map[string]string `json:"h,omitempty"` // the caller's own
	Blob     blob              `json:"b,omitzero"`
	Seq      uint64            `json:"q"` // grows with each write to the bucket
}

// Top-level buckets of the index. A bucket's own are named by prefix and name.
const (
	topMeta    = "meta"
	topBuckets = "buckets"

	preObjects  = "o:" // key → Object: what is current and not a delete marker
	preVersions = "v:" // key, 0, ^seq → Object: noncurrent versions, and delete markers whether current or not
	preUploads  = "u:" // upload id → upload
	preParts    = "p:" // upload id, part number → part
)

// Store is one open folder.
type Store struct {
	db    *bbolt.DB
	blobs *blobs
	now   func() time.Time
	known sync.Map // of buckets' names: see bucketOf

	closing sync.Once
	closed  error
}

// Options are what Open takes; the zero value works.
type Options struct {
	Now func() time.Time // nil: time.Now
}

// Open opens the store in dir, which it makes when it isn't there.
func Open(dir string, opts Options) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, fmt.Errorf("opening object store: %w", err)
	}
	db, err := bbolt.Open(filepath.Join(dir, "index.db"), 0o600, &bbolt.Options{
		Timeout: 2 * time.Second, FreelistType: bbolt.FreelistMapType,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		err = ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("opening object store %s: %w", dir, err)
	}
	s := &Store{db: db, now: opts.Now}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.start(dir); err != nil {
		db.Close()
		return nil, fmt.Errorf("opening object store %s: %w", dir, err)
	}
	return s, nil
}

// start takes the store into use: a new epoch of body names, and a sweep when the last user didn't close it.
func (s *Store) start(dir string) error {
	var epoch uint64
	var clean bool
	err := s.db.Update(func(tx *bbolt.Tx) error {
		m, err := tx.CreateBucketIfNotExists([]byte(topMeta))
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucketIfNotExists([]byte(topBuckets)); err != nil {
			return err
		}
		last := m.Get([]byte("epoch"))
		clean = last == nil || m.Get([]byte("clean")) != nil
		if last != nil {
			epoch = binary.BigEndian.Uint64(last)
		}
		epoch++
		if err := m.Delete([]byte("clean")); err != nil {
			return err
		}
		return m.Put([]byte("epoch"), binary.BigEndian.AppendUint64(nil, epoch))
	})
	if err != nil {
		return err
	}
	if err := syncDir(dir); err != nil { // for the index itself
		return err
	}
	s.blobs = &blobs{dir: filepath.Join(dir, "data"), epoch: epoch}
	if clean {
		return nil
	}
	return s.sweep()
}

// Close waits for transactions to end and marks the store as cleanly closed. It may be called twice.
func (s *Store) Close() error {
	s.closing.Do(func() {
		err := s.db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(topMeta)).Put([]byte("clean"), []byte{1})
		})
		s.closed = errors.Join(err, s.db.Close())
	})
	return s.closed
}

// CreateBucket makes a bucket, created now, or returns ErrBucketExists.
func (s *Store) CreateBucket(name, region string, v Versioning) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		all := tx.Bucket([]byte(topBuckets))
		if all.Get([]byte(name)) != nil {
			return ErrBucketExists
		}
		for _, pre := range []string{preObjects, preVersions, preUploads, preParts} {
			if _, err := tx.CreateBucket([]byte(pre + name)); err != nil {
				return err
			}
		}
		return putJSON(all, []byte(name), Bucket{Region: region, Created: s.now().UTC(), Versioning: v})
	})
}

// DeleteBucket removes a bucket that has no object and no version; uploads under way are dropped with it.
func (s *Store) DeleteBucket(name string) error {
	var garbage []blob
	err := s.db.Update(func(tx *bbolt.Tx) error {
		all := tx.Bucket([]byte(topBuckets))
		if all.Get([]byte(name)) == nil {
			return ErrNoBucket
		}
		for _, pre := range []string{preObjects, preVersions} {
			if k, _ := tx.Bucket([]byte(pre + name)).Cursor().First(); k != nil {
				return ErrNotEmpty
			}
		}
		err := tx.Bucket([]byte(preParts + name)).ForEach(func(_, v []byte) error {
			var p part
			if err := json.Unmarshal(v, &p); err != nil {
				return err
			}
			garbage = append(garbage, p.Blob)
			return nil
		})
		if err != nil {
			return err
		}
		for _, pre := range []string{preObjects, preVersions, preUploads, preParts} {
			if err := tx.DeleteBucket([]byte(pre + name)); err != nil {
				return err
			}
		}
		return all.Delete([]byte(name))
	})
	if err != nil {
		return err
	}
	s.known.Delete(name)
	s.blobs.remove(garbage)
	return nil
}

// Bucket returns a bucket, or ErrNoBucket.
func (s *Store) Bucket(name string) (b Bucket, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		b, err = s.bucketOf(tx, name)
		return err
	})
	return b, err
}

// Buckets returns all buckets by name.
func (s *Store) Buckets() (list []Bucket, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(topBuckets)).ForEach(func(k, v []byte) error {
			b := Bucket{Name: string(k)}
			if err := json.Unmarshal(v, &b); err != nil {
				return fmt.Errorf("reading bucket %q: %w", k, err)
			}
			list = append(list, b)
			return nil
		})
	})
	return list, err
}

// SetVersioning sets a bucket's status. Unversioned can't be gone back to and is taken as Suspended then.
func (s *Store) SetVersioning(name string, v Versioning) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b, err := s.bucketOf(tx, name)
		if err != nil {
			return err
		}
		if v == Unversioned && b.Versioning != Unversioned {
			v = Suspended
		}
		b.Versioning = v
		return putJSON(tx.Bucket([]byte(topBuckets)), []byte(name), b)
	})
}

// known is a bucket and the record that it was read from.
type known struct {
	record []byte
	bucket Bucket
}

// bucketOf reads a bucket's record. Every request needs it, so it is decoded once, and again when it is another.
func (s *Store) bucketOf(tx *bbolt.Tx, name string) (Bucket, error) {
	b := Bucket{Name: name}
	v := tx.Bucket([]byte(topBuckets)).Get([]byte(name))
	if v == nil {
		return b, ErrNoBucket
	}
	if k, ok := s.known.Load(name); ok && bytes.Equal(k.(known).record, v) {
		return k.(known).bucket, nil
	}
	if err := json.Unmarshal(v, &b); err != nil {
		return b, fmt.Errorf("reading bucket %q: %w", name, err)
	}
	s.known.Store(name, known{bytes.Clone(v), b})
	return b, nil
}

func putJSON(b *bbolt.Bucket, key []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, text)
}
