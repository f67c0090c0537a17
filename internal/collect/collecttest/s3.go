package collecttest

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// S3 answers S3's ListObjectsV2 and GetObject as S3 does, a page of at most 1,000 keys at a time, for one bucket in path
// style, however many keys it has. It counts requests.
type S3 struct {
	Body   func(key string) []byte // of an object
	Size   int64                   // of all objects, when it isn't 0: then Body isn't called for listings
	Delay  time.Duration           // before each answer
	Denied func(r *http.Request) bool

	mu    sync.Mutex
	keys  []string // sorted
	lists int
	gets  int
	got   func(key string)
}

// Add adds keys.
func (s *S3) Add(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, keys...)
	slices.Sort(s.keys)
	s.keys = slices.Compact(s.keys)
}

// Remove removes a key.
func (s *S3) Remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = slices.DeleteFunc(s.keys, func(k string) bool { return k == key })
}

// Requests returns how many listings and objects were asked for.
func (s *S3) Requests() (lists, gets int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists, s.gets
}

// OnGet has f called before each object that is asked for.
func (s *S3) OnGet(f func(key string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = f
}

// ServeHTTP implements http.Handler.
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(s.Delay)
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case s.Denied != nil && s.Denied(r):
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`)
	case key == "" && r.URL.Query().Get("list-type") == "2":
		s.list(w, r)
	case key == "":
		w.WriteHeader(http.StatusOK)
	default:
		s.get(w, r, key)
	}
}

type listing struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	KeyCount              int
	IsTruncated           bool
	NextContinuationToken string    `xml:",omitempty"`
	Contents              []content `xml:",omitempty"`
	CommonPrefixes        []prefix  `xml:",omitempty"`
}

type content struct {
	Key, LastModified, ETag string
	Size                    int64
}

type prefix struct{ Prefix string }

func (s *S3) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	most, _ := strconv.Atoi(cmp.Or(q.Get("max-keys"), "1000"))
	from, delimiter, begin := q.Get("prefix"), q.Get("delimiter"), cmp.Or(q.Get("continuation-token"), q.Get("start-after"))
	var out listing
	s.mu.Lock()
	s.lists++
	at, found := slices.BinarySearch(s.keys, max(from, begin))
	if found && begin >= from && begin != "" {
		at++
	}
	for at < len(s.keys) && strings.HasPrefix(s.keys[at], from) {
		key := s.keys[at]
		group := ""
		if i := strings.Index(key[len(from):], delimiter); delimiter != "" && i >= 0 {
			group = key[:len(from)+i+len(delimiter)]
		}
		if group != "" && group <= begin { // given by the page before
			at, _ = slices.BinarySearch(s.keys, group+"\xff")
			continue
		}
		if out.KeyCount == most {
			out.IsTruncated = true
			break
		}
		out.KeyCount++
		if group != "" {
			out.CommonPrefixes = append(out.CommonPrefixes, prefix{group})
			out.NextContinuationToken = group
			at, _ = slices.BinarySearch(s.keys, group+"\xff")
			continue
		}
		out.Contents = append(out.Contents, s.content(key))
		out.NextContinuationToken = key
		at++
	}
	s.mu.Unlock()
	if !out.IsTruncated {
		out.NextContinuationToken = ""
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out) // the client sees it break off
}

func (s *S3) content(key string) content {
	c := content{Key: key, LastModified: "2026-01-01T00:00:00.000Z", ETag: `"` + ETag(key) + `"`, Size: s.Size}
	if s.Size == 0 {
		c.Size = int64(len(s.Body(key)))
	}
	return c
}

// ETag is the ETag of the object with a key.
func ETag(key string) string {
	sum := md5.Sum([]byte(key))
	return hex.EncodeToString(sum[:])
}

func (s *S3) get(w http.ResponseWriter, r *http.Request, key string) {
	s.mu.Lock()
	_, found := slices.BinarySearch(s.keys, key)
	s.gets++
	got := s.got
	s.mu.Unlock()
	if got != nil {
		got(key)
	}
	if !found {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
		return
	}
	body := s.Body(key)
	w.Header().Set("ETag", `"`+ETag(key)+`"`)
	w.Header().Set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the client sees it break off
	}
}
