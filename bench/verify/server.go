package main

import (
	"compress/gzip"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/digest"
)

type object struct {
	body []byte
	meta map[string]string
}

// server is as much of S3 and CloudTrail as verification asks for. It holds its objects in memory and checks no
// signatures, so that it costs both sides as little as can be.
type server struct {
	key     *rsa.PublicKey
	latency time.Duration
	objects map[string]object
	keys    []string
}

func (s *server) start() (url string, stop func(), err error) {
	for key := range s.objects {
		s.keys = append(s.keys, key)
	}
	slices.Sort(s.keys)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	h := &http.Server{Handler: s}
	go func() { _ = h.Serve(listener) }() // ends with stop
	return "http://" + listener.Addr().String(), func() { _ = h.Close() }, nil
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(s.latency)
	key, inBucket := strings.CutPrefix(r.URL.Path, "/"+bucket)
	key = strings.TrimPrefix(key, "/")
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodPost:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(map[string]any{"PublicKeyList": []any{listed(s.key)}})
	case !inBucket:
		w.WriteHeader(http.StatusNotFound)
	case query.Has("location"):
		_, _ = io.WriteString(w, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`)
	case key == "":
		s.list(w, query.Get("prefix"), max(query.Get("marker"), query.Get("start-after"), query.Get("continuation-token")))
	default:
		s.get(w, key)
	}
}

// listed is a public key as ListPublicKeys gives it.
func listed(key *rsa.PublicKey) map[string]any {
	return map[string]any{
		"Value": base64.StdEncoding.EncodeToString(digest.MarshalPublicKey(key)), "Fingerprint": digest.Fingerprint(key),
		"ValidityStartTime": begin.Unix() - 86400, "ValidityEndTime": begin.Unix() + 864000,
	}
}

func (s *server) get(w http.ResponseWriter, key string) {
	o, ok := s.objects[key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `<Error><Code>NoSuchKey</Code><Message>none</Message></Error>`)
		return
	}
	for name, value := range o.meta {
		w.Header()["x-amz-meta-"+name] = []string{value} // clients take the name as it is spelt
	}
	w.Header().Set("ETag", `"0"`)
	w.Header().Set("Last-Modified", "Sun, 01 Mar 2026 00:00:00 GMT")
	_, _ = w.Write(o.body)
}

// list serves both versions of ListObjects.
func (s *server) list(w http.ResponseWriter, prefix, after string) {
	type contents struct {
		Key, LastModified, ETag string
		Size                    int
	}
	answer := struct {
		XMLName                                         xml.Name `xml:"ListBucketResult"`
		Name, Prefix, NextMarker, NextContinuationToken string
		IsTruncated                                     bool
		Contents                                        []contents
	}{Name: bucket, Prefix: prefix}
	at, _ := slices.BinarySearch(s.keys, max(prefix, after))
	for ; at < len(s.keys) && (strings.HasPrefix(s.keys[at], prefix)); at++ {
		if s.keys[at] <= after {
			continue
		}
		if len(answer.Contents) == 1000 {
			answer.IsTruncated = true
			answer.NextMarker = answer.Contents[999].Key
			answer.NextContinuationToken = answer.NextMarker
			break
		}
		answer.Contents = append(answer.Contents, contents{s.keys[at], "2026-03-01T00:00:00Z", `"0"`, len(s.objects[s.keys[at]].body)})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(answer)
}

// inflateAll inflates and hashes all log files of a folder, on all cores, and does nothing else.
func inflateAll(dir string) error {
	paths := make(chan string)
	errs := make(chan error, runtime.GOMAXPROCS(0))
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			buffer := make([]byte, 64<<10)
			z := new(gzip.Reader)
			var failed error
			for path := range paths {
				if failed == nil {
					failed = inflateOne(z, path, buffer)
				}
			}
			errs <- failed
		})
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".gz") {
			paths <- path
		}
		return err
	})
	close(paths)
	group.Wait()
	close(errs)
	for e := range errs {
		if err == nil {
			err = e
		}
	}
	return err
}

func inflateOne(z *gzip.Reader, path string, buffer []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := z.Reset(f); err != nil {
		return err
	}
	_, err = io.CopyBuffer(sha256.New(), z, buffer)
	return err
}
