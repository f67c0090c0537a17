package disk

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"go.etcd.io/bbolt"
)

// blob names a body: the use of the store it was written in, and its number there. The zero blob names none.
type blob [2]uint64

// folderShift says how many bodies share a folder: 1024.
const folderShift = 10

// blobs is the folder of bodies.
type blobs struct {
	dir   string
	epoch uint64

	mu     sync.Mutex
	next   uint64
	folder string // the last one made
}

func (b *blobs) path(id blob) string {
	return filepath.Join(b.dir, fmt.Sprintf("%08x", id[0]), fmt.Sprintf("%06x", id[1]>>folderShift), fmt.Sprintf("%09x", id[1]))
}

// claim returns an unused name, and makes its folder.
func (b *blobs) claim() (blob, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	id := blob{b.epoch, b.next}
	folder := filepath.Dir(b.path(id))
	if folder == b.folder {
		return id, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return id, err
	}
	for _, dir := range []string{filepath.Dir(folder), b.dir} {
		if err := syncDir(dir); err != nil {
			return id, err
		}
	}
	b.folder = folder
	return id, nil
}

// write stores a body and returns its name, its size and its MD5 in hex. The body is durable when it returns.
func (b *blobs) write(body io.Reader) (id blob, size int64, sum string, err error) {
	id, err = b.claim()
	if err != nil {
		return id, 0, "", fmt.Errorf("storing a body: %w", err)
	}
	path := b.path(id)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return id, 0, "", fmt.Errorf("storing a body: %w", err)
	}
	h := md5.New()
	size, err = io.Copy(io.MultiWriter(f, h), body)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		os.Remove(path)
		return id, 0, "", fmt.Errorf("storing a body: %w", err)
	}
	return id, size, hex.EncodeToString(h.Sum(nil)), nil
}

// remove deletes bodies no record names any more. What can't be deleted now is left to the next sweep.
func (b *blobs) remove(ids []blob) {
	for _, id := range ids {
		if id != (blob{}) {
			os.Remove(b.path(id))
		}
	}
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// named returns the bodies that records name.
func (s *Store) named() (map[blob]struct{}, error) {
	named := map[blob]struct{}{}
	return named, s.db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			if len(name) < 2 || name[1] != ':' || name[0] == preUploads[0] {
				return nil
			}
			return b.ForEach(func(_, v []byte) error {
				var rec struct {
					Blob blob `json:"b"`
				}
				if err := json.Unmarshal(v, &rec); err != nil {
					return err
				}
				named[rec.Blob] = struct{}{}
				return nil
			})
		})
	})
}

// sweep removes the bodies that no record names, and empty folders.
func (s *Store) sweep() error {
	named, err := s.named()
	if err != nil {
		return err
	}
	var folders []string
	err = filepath.WalkDir(s.blobs.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			folders = append(folders, path)
			return nil
		}
		var id blob
		var folder uint64
		rel, err := filepath.Rel(s.blobs.dir, path)
		if err != nil {
			return err
		}
		if n, _ := fmt.Sscanf(filepath.ToSlash(rel), "%x/%x/%x", &id[0], &folder, &id[1]); n == 3 {
			if _, ok := named[id]; ok {
				return nil
			}
		}
		return os.Remove(path)
	})
	for i := len(folders) - 1; i > 0; i-- {
		os.Remove(folders[i]) // fails, as it should, for those that hold something
	}
	return err
}
