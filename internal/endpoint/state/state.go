// Package state keeps the endpoint's control plane (users, keys, roles, trails, log groups, bucket configuration,
// delivery positions) in one bbolt file.
//
// A store is named buckets of keys; a value is anything encoding/json can encode. Keys are ordered by their bytes.
//
// What holds:
//   - A change is on disk (fsync) when the call that made it returns nil. A call that returns an error changed nothing.
//   - [Store.Update] makes several changes or none of them, across buckets, whatever happens to the process meanwhile.
//   - A reader sees the changes that were complete when it began; writers wait for each other, readers for nobody.
//   - The file belongs to one process: a second [Open] fails with [ErrLocked].
//
// A Store may be used by any number of goroutines. It caches nothing: services keep their own copy of what is read on
// every call. What is stored can't be read back by another program version unless that service's types still decode it.
package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// ErrLocked is returned by Open for a file that another process has open.
var ErrLocked = errors.New("the state file is in use by another process")

// lockWait is how long Open waits for another process to let go of the file: long enough for one that is ending.
const lockWait = 2 * time.Second

// Store is one open state file.
type Store struct {
	db *bbolt.DB
}

// Open opens the file at path, and makes it (mode 0600) when it isn't there; its folder must be. The caller closes the
// store.
func Open(path string) (*Store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("opening %s: %w", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &Store{db: db}, nil
}

// Close waits for transactions to end and closes the file. It may be called twice.
func (s *Store) Close() error { return s.db.Close() }

// Put stores v under the key, in place of what was there. Key and bucket may not be empty.
func (s *Store) Put(bucket, key string, v any) error {
	return s.Update(func(tx *Tx) error { return tx.Put(bucket, key, v) })
}

// Get decodes the key's value into v, and tells whether there is one.
func (s *Store) Get(bucket, key string, v any) (found bool, err error) {
	err = s.View(func(tx *Tx) error {
		found, err = tx.Get(bucket, key, v)
		return err
	})
	return found, err
}

// Delete removes the key; one that isn't there is no error.
func (s *Store) Delete(bucket, key string) error {
	return s.Update(func(tx *Tx) error { return tx.Delete(bucket, key) })
}

// Update runs fn in a transaction that may write. The changes are on disk when Update returns nil; when fn returns an
// error or panics, none of them is made. fn may not call the store's own methods, and may not keep tx.
func (s *Store) Update(fn func(tx *Tx) error) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return fn(&Tx{tx}) })
}

// View runs fn in a transaction that sees one state of the store and may not write.
func (s *Store) View(fn func(tx *Tx) error) error {
	return s.db.View(func(tx *bbolt.Tx) error { return fn(&Tx{tx}) })
}

// Tx is a transaction. It is valid until the function it was given to returns, and used by one goroutine.
type Tx struct {
	tx *bbolt.Tx
}

// Put is as Store's.
func (t *Tx) Put(bucket, key string, v any) error {
	b, err := t.tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return fmt.Errorf("storing %s %q: %w", bucket, key, err)
	}
	value, err := json.Marshal(v)
	if err == nil {
		err = b.Put([]byte(key), value)
	}
	if err != nil {
		return fmt.Errorf("storing %s %q: %w", bucket, key, err)
	}
	return nil
}

// Get is as Store's.
func (t *Tx) Get(bucket, key string, v any) (found bool, err error) {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return false, nil
	}
	value := b.Get([]byte(key))
	if value == nil {
		return false, nil
	}
	if err := json.Unmarshal(value, v); err != nil {
		return true, fmt.Errorf("reading %s %q: %w", bucket, key, err)
	}
	return true, nil
}

// Delete is as Store's.
func (t *Tx) Delete(bucket, key string) error {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	if err := b.Delete([]byte(key)); err != nil {
		return fmt.Errorf("deleting %s %q: %w", bucket, key, err)
	}
	return nil
}

// Each calls fn with the keys that begin with prefix, in order, from the first one that is not before start ("" is the
// prefix's first). decode reads the value. It stops at fn's first error and returns it. fn may not write.
func (t *Tx) Each(bucket, prefix, start string, fn func(key string, decode func(v any) error) error) error {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	from := []byte(max(prefix, start))
	c := b.Cursor()
	for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = c.Next() {
		key := string(k)
		decode := func(into any) error {
			if err := json.Unmarshal(v, into); err != nil {
				return fmt.Errorf("reading %s %q: %w", bucket, key, err)
			}
			return nil
		}
		if err := fn(key, decode); err != nil {
			return err
		}
	}
	return nil
}

// Entry is a key and its value.
type Entry[T any] struct {
	Key   string
	Value T
}

// List returns the bucket's entries whose keys begin with prefix, in key order.
func List[T any](s *Store, bucket, prefix string) (entries []Entry[T], err error) {
	err = s.View(func(tx *Tx) error {
		entries, err = ListTx[T](tx, bucket, prefix)
		return err
	})
	return entries, err
}

// ListTx is List inside a transaction.
func ListTx[T any](tx *Tx, bucket, prefix string) ([]Entry[T], error) {
	var entries []Entry[T]
	err := tx.Each(bucket, prefix, "", func(key string, decode func(any) error) error {
		e := Entry[T]{Key: key}
		if err := decode(&e.Value); err != nil {
			return err
		}
		entries = append(entries, e)
		return nil
	})
	return entries, err
}
