package disk

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// MinPart is the least size of a part that isn't the last.
const MinPart = 5 << 20

// Upload is a multipart upload under way.
type Upload struct {
	ID        string            `json:"-"`
	Key       string            `json:"key"`
	Meta      map[string]string `json:"meta,omitempty"`
	Initiated time.Time         `json:"initiated"`
}

// Part is an uploaded part.
type Part struct {
	Number   int
	Size     int64
	ETag     string
	Modified time.Time
}

type part struct {
	Size     int64     `json:"s"`
	ETag     string    `json:"e"`
	Modified time.Time `json:"t"`
	Blob     blob      `json:"b"`
}

// CreateUpload begins an upload of an object with the given Meta.
func (s *Store) CreateUpload(bucket, key string, meta map[string]string) (string, error) {
	id := rand.Text()
	err := s.db.Update(func(tx *bbolt.Tx) error {
		if _, err := s.bucketOf(tx, bucket); err != nil {
			return err
		}
		return putJSON(tx.Bucket([]byte(preUploads+bucket)), []byte(id), Upload{Key: key, Meta: meta, Initiated: s.now().UTC()})
	})
	return id, err
}

func (s *Store) uploadOf(tx *bbolt.Tx, bucket, key, id string) (u Upload, err error) {
	if _, err := s.bucketOf(tx, bucket); err != nil {
		return u, err
	}
	v := tx.Bucket([]byte(preUploads + bucket)).Get([]byte(id))
	if v == nil {
		return u, ErrNoUpload
	}
	if err := json.Unmarshal(v, &u); err != nil {
		return u, fmt.Errorf("reading upload %q: %w", id, err)
	}
	if u.Key != key {
		return u, ErrNoUpload
	}
	u.ID = id
	return u, nil
}

func partKey(id string, number int) []byte {
	return binary.BigEndian.AppendUint16(append([]byte(id), 0), uint16(number))
}

// PutPart stores a part (1 to 10,000), in place of one with the same number, and returns its ETag.
func (s *Store) PutPart(bucket, key, id string, number int, body io.Reader) (string, error) {
	err := s.db.View(func(tx *bbolt.Tx) error {
		_, err := s.uploadOf(tx, bucket, key, id)
		return err
	})
	if err != nil {
		return "", err
	}
	b, size, sum, err := s.blobs.write(body)
	if err != nil {
		return "", err
	}
	var garbage []blob
	err = s.db.Update(func(tx *bbolt.Tx) error {
		if _, err := s.uploadOf(tx, bucket, key, id); err != nil {
			return err
		}
		all := tx.Bucket([]byte(preParts + bucket))
		if v := all.Get(partKey(id, number)); v != nil {
			var old part
			if err := json.Unmarshal(v, &old); err != nil {
				return err
			}
			garbage = append(garbage, old.Blob)
		}
		return putJSON(all, partKey(id, number), part{Size: size, ETag: sum, Modified: s.now().UTC(), Blob: b})
	})
	if err != nil {
		s.blobs.remove([]blob{b})
		return "", err
	}
	s.blobs.remove(garbage)
	return sum, nil
}

func partsOf(tx *bbolt.Tx, bucket, id string) (map[int]part, error) {
	parts := map[int]part{}
	prefix := append([]byte(id), 0)
	c := tx.Bucket([]byte(preParts + bucket)).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		var p part
		if err := json.Unmarshal(v, &p); err != nil {
			return nil, fmt.Errorf("reading a part of %q: %w", id, err)
		}
		parts[int(binary.BigEndian.Uint16(k[len(prefix):]))] = p
	}
	return parts, nil
}

// Parts returns the upload's parts by number.
func (s *Store) Parts(bucket, key, id string) (list []Part, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		if _, err := s.uploadOf(tx, bucket, key, id); err != nil {
			return err
		}
		parts, err := partsOf(tx, bucket, id)
		for n, p := range parts {
			list = append(list, Part{n, p.Size, p.ETag, p.Modified})
		}
		return err
	})
	sort.Slice(list, func(i, j int) bool { return list[i].Number < list[j].Number })
	return list, err
}

// Uploads returns the bucket's uploads whose keys begin with prefix, by key and time.
func (s *Store) Uploads(bucket, prefix string) (list []Upload, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		if _, err := s.bucketOf(tx, bucket); err != nil {
			return err
		}
		return tx.Bucket([]byte(preUploads + bucket)).ForEach(func(k, v []byte) error {
			u := Upload{ID: string(k)}
			if err := json.Unmarshal(v, &u); err != nil {
				return fmt.Errorf("reading upload %q: %w", k, err)
			}
			if strings.HasPrefix(u.Key, prefix) {
				list = append(list, u)
			}
			return nil
		})
	})
	sort.Slice(list, func(i, j int) bool {
		if list[i].Key != list[j].Key {
			return list[i].Key < list[j].Key
		}
		return list[i].Initiated.Before(list[j].Initiated)
	})
	return list, err
}

// Abort drops an upload and its parts.
func (s *Store) Abort(bucket, key, id string) error {
	var garbage []blob
	err := s.db.Update(func(tx *bbolt.Tx) error {
		if _, err := s.uploadOf(tx, bucket, key, id); err != nil {
			return err
		}
		var err error
		garbage, err = dropUpload(tx, bucket, id)
		return err
	})
	if err != nil {
		return err
	}
	s.blobs.remove(garbage)
	return nil
}

func dropUpload(tx *bbolt.Tx, bucket, id string) (garbage []blob, err error) {
	parts, err := partsOf(tx, bucket, id)
	if err != nil {
		return nil, err
	}
	all := tx.Bucket([]byte(preParts + bucket))
	for n, p := range parts {
		if err := all.Delete(partKey(id, n)); err != nil {
			return nil, err
		}
		garbage = append(garbage, p.Blob)
	}
	return garbage, tx.Bucket([]byte(preUploads + bucket)).Delete([]byte(id))
}

// Complete joins the named parts (Number and ETag count) to the object the upload is of.
func (s *Store) Complete(bucket, key, id string, want []Part, cond Condition) (Object, error) {
	o := Object{Key: key}
	var ids []blob
	err := s.db.View(func(tx *bbolt.Tx) error {
		u, err := s.uploadOf(tx, bucket, key, id)
		if err != nil {
			return err
		}
		parts, err := partsOf(tx, bucket, id)
		if err != nil {
			return err
		}
		o.Meta = u.Meta
		ids, o.ETag, err = choose(parts, want)
		return err
	})
	if err != nil {
		return o, err
	}
	r := &joined{blobs: s.blobs, left: ids}
	defer r.Close()
	if o.Blob, o.Size, _, err = s.blobs.write(r); err != nil {
		return o, err
	}
	return s.commit(bucket, o, cond, func(tx *bbolt.Tx) ([]blob, error) {
		if _, err := s.uploadOf(tx, bucket, key, id); err != nil {
			return nil, err
		}
		return dropUpload(tx, bucket, id)
	})
}

// choose checks the wanted parts and returns their bodies and the ETag of the whole.
func choose(have map[int]part, want []Part) (ids []blob, etag string, err error) {
	if len(want) == 0 {
		return nil, "", ErrPart
	}
	if !slices.IsSortedFunc(want, func(a, b Part) int { return a.Number - b.Number }) {
		return nil, "", ErrPartOrder
	}
	h := md5.New()
	for i, w := range want {
		if i > 0 && w.Number == want[i-1].Number {
			return nil, "", ErrPartOrder
		}
		p, ok := have[w.Number]
		if !ok || p.ETag != strings.Trim(w.ETag, `"`) {
			return nil, "", ErrPart
		}
		if p.Size < MinPart && i < len(want)-1 {
			return nil, "", ErrPartSize
		}
		sum, err := hex.DecodeString(p.ETag)
		if err != nil {
			return nil, "", fmt.Errorf("reading a part's ETag: %w", err)
		}
		h.Write(sum)
		ids = append(ids, p.Blob)
	}
	return ids, fmt.Sprintf("%x-%d", h.Sum(nil), len(want)), nil
}

// joined reads bodies one after the other, with one file open at a time.
type joined struct {
	blobs *blobs
	left  []blob
	f     *os.File
}

func (j *joined) Read(p []byte) (int, error) {
	for {
		if j.f == nil {
			if len(j.left) == 0 {
				return 0, io.EOF
			}
			f, err := os.Open(j.blobs.path(j.left[0]))
			if err != nil {
				return 0, err
			}
			j.f, j.left = f, j.left[1:]
		}
		n, err := j.f.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := j.Close(); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

func (j *joined) Close() error {
	if j.f == nil {
		return nil
	}
	f := j.f
	j.f = nil
	return f.Close()
}
