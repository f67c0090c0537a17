package disk

import (
	"bytes"
	"strings"

	"go.etcd.io/bbolt"
)

// Query selects a page of a listing.
type Query struct {
	Prefix    string
	Delimiter string // keys that share what stands before its first occurrence after Prefix are one entry; "" for none
	After     string // only what comes after this key or common prefix
	// AfterVersion is for ListVersions: go on inside the key After, with what is older than this version. "" goes on with
	// the next key.
	AfterVersion string
	Max          int // entries in the page, common prefixes included; 0 for an empty page
}

// Page is a page of a listing, in the order of UTF-8 bytes.
type Page struct {
	Objects   []Object
	Prefixes  []string
	Truncated bool
	// Next, with NextVersion for ListVersions, is where the next page starts after, if Truncated.
	Next        string
	NextVersion string
}

// List returns a page of the bucket's current objects.
func (s *Store) List(bucket string, q Query) (Page, error) {
	var page Page
	err := s.db.View(func(tx *bbolt.Tx) error {
		k, err := s.keysOf(tx, bucket)
		if err != nil || q.Max <= 0 {
			return err
		}
		c := k.objects.Cursor()
		at, v := c.Seek([]byte(q.start()))
		for at != nil && bytes.HasPrefix(at, []byte(q.Prefix)) {
			key := string(at)
			if common, ok := q.common(key); ok {
				if common != q.After && !page.addPrefix(q, common) {
					return nil
				}
				at, v = seekPast(c, common)
				continue
			}
			if key > q.After || q.After == "" {
				if page.full(q) {
					return nil
				}
				o, err := decode(key, v)
				if err != nil {
					return err
				}
				o.Latest = true
				page.Objects, page.Next = append(page.Objects, o), key
			}
			at, v = c.Next()
		}
		page.Next = ""
		return nil
	})
	return page, err
}

// ListVersions returns a page of all versions and delete markers, each key's newest first.
func (s *Store) ListVersions(bucket string, q Query) (Page, error) {
	var page Page
	err := s.db.View(func(tx *bbolt.Tx) error {
		k, err := s.keysOf(tx, bucket)
		if err != nil || q.Max <= 0 {
			return err
		}
		objects, versions := k.objects.Cursor(), k.versions.Cursor()
		from := q.start()
		for {
			key, ok := firstKey(objects, versions, from)
			if !ok || !strings.HasPrefix(key, q.Prefix) {
				page.Next, page.NextVersion = "", ""
				return nil
			}
			if common, ok := q.common(key); ok {
				if common != q.After && !page.addPrefix(q, common) {
					return nil
				}
				from = after(common)
				if from == "" {
					page.Next, page.NextVersion = "", ""
					return nil
				}
				continue
			}
			done, err := page.addVersions(k, key, q)
			if err != nil || done {
				return err
			}
			from = key + "\x00"
		}
	})
	return page, err
}

// firstKey returns the smallest key that is not before from.
func firstKey(objects, versions *bbolt.Cursor, from string) (key string, ok bool) {
	if at, _ := objects.Seek([]byte(from)); at != nil {
		key, ok = string(at), true
	}
	for at, _ := versions.Seek([]byte(from)); at != nil; at, _ = versions.Next() {
		v, isVersion := splitVersionKey(at)
		if !isVersion || v < from {
			continue
		}
		if !ok || v < key {
			key, ok = v, true
		}
		break
	}
	return key, ok
}

// addVersions adds the key's versions; done when the page is full before all were added.
func (p *Page) addVersions(k *keys, key string, q Query) (done bool, err error) {
	if key < q.After || key == q.After && q.AfterVersion == "" && q.After != "" {
		return false, nil
	}
	skipping := key == q.After && q.AfterVersion != ""
	add := func(o Object) bool {
		if skipping {
			skipping = clientVersion(o.Version) != q.AfterVersion
			return true
		}
		if p.full(q) {
			done = true
			return false
		}
		p.Objects, p.Next, p.NextVersion = append(p.Objects, o), key, clientVersion(o.Version)
		return true
	}
	current, exists, err := k.current(key)
	if err != nil || exists && !add(current) {
		return done, err
	}
	first := !exists
	err = k.each(key, func(_ []byte, o Object) bool {
		o.Latest, first = first, false
		return add(o)
	})
	return done, err
}

// start is the first key worth looking at.
func (q Query) start() string { return max(q.Prefix, q.After) }

// common returns the common prefix the key is counted under, if any.
func (q Query) common(key string) (string, bool) {
	if q.Delimiter == "" {
		return "", false
	}
	i := strings.Index(key[len(q.Prefix):], q.Delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(q.Prefix)+i+len(q.Delimiter)], true
}

// full tells whether the page has no place left, and notes that there is more.
func (p *Page) full(q Query) bool {
	p.Truncated = len(p.Objects)+len(p.Prefixes) >= q.Max
	return p.Truncated
}

func (p *Page) addPrefix(q Query, common string) bool {
	if p.full(q) {
		return false
	}
	p.Prefixes = append(p.Prefixes, common)
	p.Next, p.NextVersion = common, ""
	return true
}

// after returns the smallest string greater than all that begin with prefix; "" if there is none.
func after(prefix string) string {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1])
		}
	}
	return ""
}

func seekPast(c *bbolt.Cursor, prefix string) (k, v []byte) {
	next := after(prefix)
	if next == "" {
		return nil, nil
	}
	return c.Seek([]byte(next))
}
