package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/s3/disk"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Service is S3 for one account. Its methods may be called concurrently; it implements awsapi.Service.
type Service struct {
	account string
	store   *disk.Store
	config  *configs
	routes  map[string]*operation // by "METHOD level sub-resource"
	ops     map[string]*operation // by name
	notify  Notifier
}

// Options are what Open takes.
type Options struct {
	Dir     string           // the endpoint's folder; objects are kept in its sub-folder s3
	State   *state.Store     // for bucket configuration; stays the caller's to close
	Account string           // twelve digits
	Now     func() time.Time // nil: time.Now
	Notify  Notifier         // nil: nothing can be notified
}

var _ awsapi.Service = (*Service)(nil)

// Open opens the service over what Dir and State hold. The caller closes it, before State.
func Open(o Options) (*Service, error) {
	store, err := disk.Open(filepath.Join(o.Dir, "s3"), disk.Options{Now: o.Now})
	if err != nil {
		return nil, err
	}
	config, err := loadConfigs(o.State)
	if err != nil {
		store.Close()
		return nil, fmt.Errorf("reading bucket configuration: %w", err)
	}
	s := &Service{account: o.Account, store: store, config: config, notify: o.Notify}
	s.routes, s.ops = routes()
	return s, nil
}

// Close closes the object store. It may be called twice.
func (s *Service) Close() error { return s.store.Close() }

// SigningNames implements awsapi.Service.
func (s *Service) SigningNames() []string { return []string{"s3"} }

// Route implements awsapi.Service.
func (s *Service) Route(r *http.Request, _ []byte) (string, awsapi.Protocol, bool) {
	op := s.route(r)
	if op == nil {
		return "", awsapi.RESTXML, false
	}
	return op.name, awsapi.RESTXML, true
}

func (s *Service) route(r *http.Request) *operation {
	bucket, key := target(r.URL)
	query := r.URL.Query()
	level, subs := "service", []string(nil)
	switch {
	case bucket == "" && key != "":
		return nil
	case key != "":
		level, subs = "object", objectSubs()
	case bucket != "":
		level, subs = "bucket", bucketSubs()
	}
	sub := ""
	for _, name := range subs {
		if query.Has(name) {
			sub = name
			break
		}
	}
	copies := r.Header.Get("X-Amz-Copy-Source") != ""
	switch {
	case level == "bucket" && sub == "" && r.Method == http.MethodGet && query.Get("list-type") == "2":
		sub = "list-type"
	case level == "object" && r.Method == http.MethodPut && copies && (sub == "" || sub == "uploadId"):
		sub += "copy"
	}
	return s.routes[r.Method+" "+level+" "+sub]
}

// target splits a path-style URL.
func target(u *url.URL) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return bucket, key
}

// request is a call and what of it every step needs.
type request struct {
	*awsapi.Call
	op          *operation
	bucket, key string
	query       url.Values
}

func (s *Service) parse(c *awsapi.Call) *request {
	q := &request{Call: c, op: s.ops[c.Operation], query: c.Request.URL.Query()}
	q.bucket, q.key = target(c.Request.URL)
	if q.op == nil {
		q.op = &operation{name: c.Operation}
	}
	return q
}

func (q *request) header(name string) string { return q.Request.Header.Get(name) }

// version is the version asked for, "" for the current one.
func (q *request) version() string { return q.query.Get("versionId") }

// Serve implements awsapi.Service.
func (s *Service) Serve(c *awsapi.Call) (*awsapi.Response, error) {
	q := s.parse(c)
	resp, err := s.serve(q)
	if err != nil {
		return nil, known(err, q)
	}
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	resp.Header.Set("X-Amz-Id-2", extendedID(c.ID))
	q.recordAnswer(resp)
	s.announce(q, resp)
	return resp, nil
}

func (s *Service) serve(q *request) (*awsapi.Response, error) {
	if q.op.serve == nil {
		return nil, &awsapi.Error{Code: "NotImplemented", Message: "A header you provided implies functionality that is not implemented.", Status: 501}
	}
	if q.bucket != "" && q.op.name != "CreateBucket" {
		if _, err := s.store.Bucket(q.bucket); err != nil {
			return nil, err
		}
		if owner := q.header("X-Amz-Expected-Bucket-Owner"); owner != "" && owner != s.account {
			return nil, accessDenied("Access Denied")
		}
	}
	return q.op.serve(s, q)
}

// ownerID is the account's canonical user id.
func ownerID(account string) string {
	sum := sha256.Sum256([]byte("canonical user of " + account))
	return hex.EncodeToString(sum[:])
}

// extendedID is the x-amz-id-2 of a request: opaque, and told in the answer and in the record.
func extendedID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base64Std(sum[:]) + base64Std([]byte(id))
}
