package disk

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"

	"go.etcd.io/bbolt"
)

// Condition is what must hold of the key's current object for a write to take place; the zero value asks nothing.
type Condition struct {
	Absent bool   // there is none
	ETag   string // there is one with this ETag (without quotes)
}

// Deleted says what a deletion did.
type Deleted struct {
	Version string // of the marker made, or of the version deleted; "" for the null version and in unversioned buckets
	Marker  bool   // a delete marker was made, or what was deleted is one
}

// Put stores body under o.Key, with o.Meta, modified now. Size, ETag, Version and Modified of what it returns are set.
// It returns ErrNoBucket or ErrPrecondition, and nothing is changed then.
func (s *Store) Put(bucket string, o Object, body io.Reader, cond Condition) (Object, error) {
	if _, err := s.Bucket(bucket); err != nil {
		return o, err
	}
	var err error
	if o.Blob, o.Size, o.ETag, err = s.blobs.write(body); err != nil {
		return o, err
	}
	return s.commit(bucket, o, cond, nil)
}

// commit makes a stored body the key's current object; also runs with it in the same transaction. The body is removed
// when it fails.
func (s *Store) commit(bucket string, o Object, cond Condition, also func(*bbolt.Tx) ([]blob, error)) (Object, error) {
	var garbage []blob
	err := s.db.Update(func(tx *bbolt.Tx) error {
		k, err := s.keysOf(tx, bucket)
		if err != nil {
			return err
		}
		current, exists, err := k.current(o.Key)
		if err != nil {
			return err
		}
		if cond.Absent && exists || cond.ETag != "" && (!exists || current.ETag != cond.ETag) {
			return ErrPrecondition
		}
		o.Modified = s.now().UTC()
		if garbage, err = k.write(&o); err != nil {
			return err
		}
		if also == nil {
			return nil
		}
		more, err := also(tx)
		garbage = append(garbage, more...)
		return err
	})
	if err != nil {
		s.blobs.remove([]blob{o.Blob})
		return o, err
	}
	s.blobs.remove(garbage)
	o.Latest = true
	return o, nil
}

// Head returns an object: the current one if version is "". ErrNoKey, ErrNoVersion. A delete marker is returned only if
// it was asked for by its version.
func (s *Store) Head(bucket, key, version string) (o Object, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		k, err := s.keysOf(tx, bucket)
		if err != nil {
			return err
		}
		if version == "" {
			var ok bool
			if o, ok, err = k.current(key); err == nil && !ok {
				err = ErrNoKey
			}
			return err
		}
		o, _, err = k.find(key, version)
		return err
	})
	return o, err
}

// Open returns an object and its body, which the caller closes. The body of a delete marker is nil.
func (s *Store) Open(bucket, key, version string) (Object, *os.File, error) {
	for range 100 {
		o, err := s.Head(bucket, key, version)
		if err != nil || o.Marker {
			return o, nil, err
		}
		f, err := os.Open(s.blobs.path(o.Blob))
		if errors.Is(err, fs.ErrNotExist) {
			continue // replaced since: the index has a newer record
		}
		if err != nil {
			return o, nil, fmt.Errorf("opening a body: %w", err)
		}
		return o, f, nil
	}
	return Object{}, nil, fmt.Errorf("opening the body of %q: the index names a file that isn't there", key)
}

// Annotate changes an object's Meta in place; the object's time and version stay.
func (s *Store) Annotate(bucket, key, version string, change func(meta map[string]string)) (o Object, err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error {
		k, err := s.keysOf(tx, bucket)
		if err != nil {
			return err
		}
		var ok bool
		if o, ok, err = k.current(key); err != nil {
			return err
		}
		if ok && (version == "" || clientVersion(o.Version) == version) {
			o.Meta = changed(o.Meta, change)
			return putJSON(k.objects, []byte(key), o)
		}
		if version == "" {
			return ErrNoKey
		}
		var at []byte
		if o, at, err = k.find(key, version); err != nil {
			return err
		}
		o.Meta = changed(o.Meta, change)
		return putJSON(k.versions, at, o)
	})
	return o, err
}

func changed(meta map[string]string, change func(map[string]string)) map[string]string {
	if meta == nil {
		meta = map[string]string{}
	}
	change(meta)
	return meta
}

// Delete removes a key as S3 does: for good in an unversioned bucket, by a delete marker in a versioned one, or the
// version alone if one is given. What isn't there is no error.
func (s *Store) Delete(bucket, key, version string) (d Deleted, err error) {
	var garbage []blob
	err = s.db.Update(func(tx *bbolt.Tx) error {
		k, err := s.keysOf(tx, bucket)
		if err != nil {
			return err
		}
		if version == "" {
			d, garbage, err = k.hide(key, s)
		} else {
			d, garbage, err = k.erase(key, version)
		}
		return err
	})
	if err != nil {
		return Deleted{}, err
	}
	s.blobs.remove(garbage)
	return d, nil
}

// keys is a bucket's part of the index in a transaction.
type keys struct {
	Bucket
	objects, versions *bbolt.Bucket
}

func (s *Store) keysOf(tx *bbolt.Tx, bucket string) (*keys, error) {
	b, err := s.bucketOf(tx, bucket)
	if err != nil {
		return nil, err
	}
	return &keys{b, tx.Bucket([]byte(preObjects + bucket)), tx.Bucket([]byte(preVersions + bucket))}, nil
}

func decode(key string, v []byte) (Object, error) {
	o := Object{Key: key}
	if err := json.Unmarshal(v, &o); err != nil {
		return o, fmt.Errorf("reading the record of %q: %w", key, err)
	}
	return o, nil
}

func (k *keys) current(key string) (Object, bool, error) {
	v := k.objects.Get([]byte(key))
	if v == nil {
		return Object{}, false, nil
	}
	o, err := decode(key, v)
	o.Latest = true
	return o, true, err
}

// versionKey orders a key's versions newest first.
func versionKey(key string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(key), 0), math.MaxUint64-seq)
}

// splitVersionKey undoes versionKey.
func splitVersionKey(k []byte) (key string, ok bool) {
	n := len(k) - 9
	if n < 0 || k[n] != 0 {
		return "", false
	}
	return string(k[:n]), true
}

func clientVersion(v string) string {
	if v == "" {
		return NullVersion
	}
	return v
}

// each calls fn with the key's records among the versions, newest first, until it returns false.
func (k *keys) each(key string, fn func(at []byte, o Object) bool) error {
	prefix := append([]byte(key), 0)
	c := k.versions.Cursor()
	for at, v := c.Seek(prefix); bytes.HasPrefix(at, prefix); at, v = c.Next() {
		if len(at) != len(prefix)+8 {
			continue
		}
		o, err := decode(key, v)
		if err != nil {
			return err
		}
		if !fn(bytes.Clone(at), o) {
			return nil
		}
	}
	return nil
}

// find returns the version and, if it stands among the versions, its place there.
func (k *keys) find(key, version string) (Object, []byte, error) {
	o, ok, err := k.current(key)
	if err != nil || ok && clientVersion(o.Version) == version {
		return o, nil, err
	}
	exists := ok
	var place []byte
	first := true
	err = k.each(key, func(at []byte, v Object) bool {
		if clientVersion(v.Version) == version {
			o, place = v, at
			o.Latest = first && !exists
			return false
		}
		first = false
		return true
	})
	if err == nil && place == nil {
		err = ErrNoVersion
	}
	return o, place, err
}

// write makes o the current object, and returns the bodies this leaves without a record.
func (k *keys) write(o *Object) ([]blob, error) {
	seq, err := k.objects.NextSequence()
	if err != nil {
		return nil, err
	}
	o.Seq, o.Version = seq, ""
	if k.Versioning == Enabled {
		o.Version = newVersion(seq)
	}
	garbage, err := k.retire(o.Key)
	if err != nil {
		return nil, err
	}
	return garbage, putJSON(k.objects, []byte(o.Key), *o)
}

func newVersion(seq uint64) string {
	s := strconv.FormatUint(seq, 36)
	return "00000000000000000000000000000000"[:32-len(s)] + s
}

// retire takes the key's current object out of the way of a new one: kept as a noncurrent version if the bucket keeps
// versions, else dropped. When the new one will be the null version, an older null version is dropped.
func (k *keys) retire(key string) (garbage []blob, err error) {
	o, ok, err := k.current(key)
	if err != nil {
		return nil, err
	}
	if ok {
		if k.Versioning != Enabled && o.Version == "" {
			garbage = append(garbage, o.Blob)
		} else if err := putJSON(k.versions, versionKey(key, o.Seq), o); err != nil {
			return nil, err
		}
		if err := k.objects.Delete([]byte(key)); err != nil {
			return nil, err
		}
	}
	if k.Versioning != Suspended {
		return garbage, nil
	}
	var null []byte
	err = k.each(key, func(at []byte, v Object) bool {
		if v.Version == "" {
			null, garbage = at, append(garbage, v.Blob)
		}
		return null == nil
	})
	if err == nil && null != nil {
		err = k.versions.Delete(null)
	}
	return garbage, err
}

// hide deletes a key without naming a version.
func (k *keys) hide(key string, s *Store) (Deleted, []blob, error) {
	garbage, err := k.retire(key)
	if err != nil || k.Versioning == Unversioned {
		return Deleted{}, garbage, err
	}
	seq, err := k.objects.NextSequence()
	if err != nil {
		return Deleted{}, nil, err
	}
	m := Object{Marker: true, Modified: s.now().UTC(), Seq: seq}
	if k.Versioning == Enabled {
		m.Version = newVersion(seq)
	}
	return Deleted{Version: m.Version, Marker: true}, garbage, putJSON(k.versions, versionKey(key, seq), m)
}

// erase deletes one version for good; the newest version left becomes the current one.
func (k *keys) erase(key, version string) (Deleted, []blob, error) {
	o, at, err := k.find(key, version)
	if errors.Is(err, ErrNoVersion) {
		return Deleted{}, nil, nil
	}
	if err != nil {
		return Deleted{}, nil, err
	}
	if at == nil {
		err = k.objects.Delete([]byte(key))
	} else {
		err = k.versions.Delete(at)
	}
	if err == nil && o.Latest {
		err = k.promote(key)
	}
	return Deleted{Version: o.Version, Marker: o.Marker}, []blob{o.Blob}, err
}

// promote makes the newest version the current object, unless it is a delete marker.
func (k *keys) promote(key string) error {
	var newest Object
	var at []byte
	err := k.each(key, func(place []byte, o Object) bool {
		newest, at = o, place
		return false
	})
	if err != nil || at == nil || newest.Marker {
		return err
	}
	if err := k.versions.Delete(at); err != nil {
		return err
	}
	return putJSON(k.objects, []byte(key), newest)
}
