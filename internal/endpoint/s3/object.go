package s3

import (
	"bytes"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/johannesboyne/gofakes3"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/s3/disk"
)

// Limits of S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html).
const (
	maxKey      = 1024
	maxMetadata = 2048
)

// maxBuffered is up to which size a body is read before it is answered; larger ones are copied from the file.
const maxBuffered = 1 << 20

// forward has gofakes3 serve the request, with what of it gofakes3 is to see.
func (s *Service) forward(q *request) (*awsapi.Response, error) {
	meta, err := q.metadata()
	if err != nil {
		return nil, err
	}
	return s.forwardWith(q, meta, disk.Condition{})
}

func (s *Service) forwardWith(q *request, header http.Header, cond disk.Condition) (*awsapi.Response, error) {
	method, query := q.Request.Method, url.Values{}
	if method == http.MethodHead {
		method = http.MethodGet // gofakes3's HEAD knows no versions; the body is not read from disk unless it is sent
	}
	for name, values := range q.query {
		if forwarded(name) {
			query[name] = values
		}
	}
	if q.version() == disk.NullVersion {
		query.Set("versionId", sentNull)
	}
	header.Set("Content-Length", strconv.Itoa(len(q.Body)))
	if r := q.header("Range"); r != "" && validRange(r) {
		header.Set("Range", r)
	}
	r := (&http.Request{
		Method: method, URL: &url.URL{Path: "/" + q.bucket + "/" + q.key, RawQuery: query.Encode()}, Host: q.Request.Host,
		Header: header, Body: io.NopCloser(bytes.NewReader(q.Body)), ContentLength: int64(len(q.Body)),
	}).WithContext(q.Request.Context())
	b := &backend{store: s.store, cond: cond}
	w := &capture{header: http.Header{}}
	gofakes3.New(b, gofakes3.WithMetadataSizeLimit(0), gofakes3.WithTimeSkewLimit(0)).Server().ServeHTTP(w, r)
	if b.err != nil {
		return nil, b.err
	}
	return w.response()
}

// forwarded tells whether gofakes3 is to see a query parameter: it takes some others for operations of their own.
func forwarded(name string) bool {
	switch name {
	case "versionId", "uploads", "uploadId", "partNumber", "max-parts", "part-number-marker", "max-uploads", "key-marker",
		"upload-id-marker", "prefix":
		return true
	}
	return strings.HasPrefix(name, "response-")
}

// validRange tells whether a Range header is one S3 heeds; it ignores others, as HTTP asks.
func validRange(r string) bool {
	spec, ok := strings.CutPrefix(r, "bytes=")
	return ok && !strings.Contains(spec, ",") && strings.Contains(spec, "-")
}

// metadata returns the headers that are stored with an object: S3's system metadata and the user's. Only these reach
// the store: signatures, credentials and checksums of the request don't.
func (q *request) metadata() (http.Header, error) {
	h := http.Header{}
	size := 0
	for name, values := range q.Request.Header {
		value := strings.Join(values, ",")
		switch name {
		case "Content-Type", "Content-Disposition":
			h.Set(name, value)
		case "Content-Encoding":
			if value = withoutChunked(value); value != "" {
				h.Set(name, value)
			}
		case "Cache-Control", "Content-Language", "Expires":
			h.Set(keep+name, value)
		case "X-Amz-Storage-Class":
			if value != "STANDARD" {
				h.Set(name, value)
			}
		case "X-Amz-Website-Redirect-Location":
			h.Set(name, value)
		case "X-Amz-Tagging":
			h.Set(keep+"Tagging", value)
		default:
			if user, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
				size += len(user) + len(value)
				h.Set(name, value)
			}
		}
	}
	if size > maxMetadata {
		return nil, &awsapi.Error{Code: "MetadataTooLarge", Message: "Your metadata headers exceed the maximum allowed metadata size"}
	}
	if h.Get("Content-Type") == "" && (q.op.name == "PutObject" || q.op.name == "CreateMultipartUpload") {
		h.Set("Content-Type", "binary/octet-stream")
	}
	return h, nil
}

// withoutChunked takes aws-chunked, which is an encoding of the request and not of the object, off a Content-Encoding.
func withoutChunked(value string) string {
	var left []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" && part != "aws-chunked" {
			left = append(left, part)
		}
	}
	return strings.Join(left, ",")
}

// checkKey refuses names S3 refuses for new objects.
func (q *request) checkKey() error {
	if len(q.key) > maxKey {
		return &awsapi.Error{Code: "KeyTooLongError", Message: "Your key is too long"}
	}
	if !utf8.ValidString(q.key) || strings.ContainsRune(q.key, 0) {
		return &awsapi.Error{Code: "InvalidURI", Message: "Couldn't parse the specified URI."}
	}
	return nil
}

// condition reads the conditions on a write.
func (q *request) condition() (disk.Condition, error) {
	match, none := q.header("If-Match"), q.header("If-None-Match")
	if none != "" && none != "*" || match != "" && none != "" || match == "*" {
		return disk.Condition{}, &awsapi.Error{Code: "NotImplemented", Message: "A header you provided implies functionality that is not implemented", Status: http.StatusNotImplemented}
	}
	return disk.Condition{Absent: none == "*", ETag: strings.Trim(match, `"`)}, nil
}

func (s *Service) putObject(q *request) (*awsapi.Response, error) {
	if err := q.checkKey(); err != nil {
		return nil, err
	}
	cond, err := q.condition()
	if err != nil {
		return nil, err
	}
	acl, ok := s.cannedACL(q.header("X-Amz-Acl"))
	if !ok {
		return nil, invalid("Argument value is not one of the canned ACLs")
	}
	if err := s.allowACL(q, acl); err != nil {
		return nil, err
	}
	header, err := q.metadata()
	if err != nil {
		return nil, err
	}
	sum, err := q.checksum()
	if err != nil {
		return nil, err
	}
	header.Set(keep+sum.header, sum.value)
	s.encryptionOf(q).each(header.Set)
	if md5 := q.header("Content-Md5"); md5 != "" {
		header.Set("Content-Md5", md5)
	}
	resp, err := s.forwardWith(q, header, cond)
	if err != nil {
		return nil, err
	}
	resp.Header.Set(sum.header, sum.value)
	resp.Header.Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	s.encryptionOf(q).each(resp.Header.Set)
	return resp, nil
}

// encryption is how an object is encrypted at rest, as its headers say.
type encryption struct{ algorithm, key string }

const (
	sseHeader = "X-Amz-Server-Side-Encryption"
	keyHeader = "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
)

// each calls set with the headers that say it.
func (e encryption) each(set func(name, value string)) {
	set(sseHeader, e.algorithm)
	if e.key != "" {
		set(keyHeader, e.key)
	}
}

// bucketEncryption is the bucket's default.
func (s *Service) bucketEncryption(bucket string) encryption {
	var c struct {
		Algorithm string `xml:"Rule>ApplyServerSideEncryptionByDefault>SSEAlgorithm"`
		Key       string `xml:"Rule>ApplyServerSideEncryptionByDefault>KMSMasterKeyID"`
	}
	text, _ := s.config.get(bucket, "encryption")
	if xml.Unmarshal([]byte(text), &c) != nil || c.Algorithm == "" {
		c.Algorithm = "AES256"
	}
	return encryption{c.Algorithm, c.Key}
}

// encryptionOf is what the request asks for a new object, or the bucket's default.
func (s *Service) encryptionOf(q *request) encryption {
	if v := q.header(sseHeader); v != "" {
		return encryption{v, q.header(keyHeader)}
	}
	return s.bucketEncryption(q.bucket)
}

func (s *Service) getObject(q *request) (*awsapi.Response, error) {
	read := s.readWhole
	if q.header("Range") != "" || slices.ContainsFunc(slices.Collect(maps.Keys(q.query)), forwarded) {
		read = func(q *request) (*awsapi.Response, error) { return s.forwardWith(q, http.Header{}, disk.Condition{}) }
	}
	resp, err := read(q)
	if err != nil {
		return nil, err
	}
	for name := range resp.Header {
		if strings.HasPrefix(name, "X-Amz-Checksum-") && (!strings.EqualFold(q.header("X-Amz-Checksum-Mode"), "ENABLED") || resp.Status == http.StatusPartialContent) {
			resp.Header.Del(name)
		}
	}
	if err := q.readCondition(resp); err != nil {
		return nil, err
	}
	if q.Request.Method == http.MethodHead {
		resp.Body, resp.Stream = nil, nil
	}
	return resp, nil
}

// readWhole answers the most usual request, for the whole of a current object, as gofakes3 does, but without its work.
func (s *Service) readWhole(q *request) (*awsapi.Response, error) {
	o, file, err := s.store.Open(q.bucket, q.key, "")
	if err != nil {
		return nil, err
	}
	w := &capture{header: http.Header{}}
	b := &body{file: file, length: o.Size}
	defer b.Close()
	shown := (&backend{store: s.store}).object(q.bucket, o)
	for name, value := range shown.Metadata {
		w.header.Set(name, value)
	}
	if shown.VersionID != "" {
		w.header.Set("X-Amz-Version-Id", string(shown.VersionID))
	}
	w.header.Set("Accept-Ranges", "bytes")
	w.header.Set("Content-Length", strconv.FormatInt(o.Size, 10))
	if q.Request.Method != http.MethodHead {
		if _, err := w.ReadFrom(b); err != nil {
			return nil, err
		}
	}
	return w.response()
}

// readCondition tests the conditions on a read. A 304 is made of the answer; 412 is an error.
func (q *request) readCondition(resp *awsapi.Response) error {
	etag := resp.Header.Get("Etag")
	modified, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err != nil {
		return err
	}
	matches := func(list string) bool {
		for tag := range strings.SplitSeq(list, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.Trim(tag, `"`) == strings.Trim(etag, `"`) {
				return true
			}
		}
		return false
	}
	after := func(header string) (after, ok bool) {
		t, err := http.ParseTime(q.header(header))
		return modified.After(t), err == nil && t.Before(q.Time.Add(time.Minute))
	}
	if list := q.header("If-Match"); list != "" {
		if !matches(list) {
			return disk.ErrPrecondition
		}
	} else if newer, ok := after("If-Unmodified-Since"); ok && newer {
		return disk.ErrPrecondition
	}
	unchanged := false
	if list := q.header("If-None-Match"); list != "" {
		unchanged = matches(list)
	} else if newer, ok := after("If-Modified-Since"); ok {
		unchanged = !newer
	}
	if unchanged {
		resp.Status, resp.Body, resp.Stream = http.StatusNotModified, nil, nil
		resp.Header.Del("Content-Length")
		resp.Header.Del("Content-Range")
	}
	return nil
}

// body is an object's content, or a range of it, for gofakes3 to copy to the answer. The capture takes the file over
// instead, and copies it when the answer is sent.
type body struct {
	file           *os.File
	offset, length int64
	taken          bool
}

func (b *body) reader() io.Reader { return io.NewSectionReader(b.file, b.offset, b.length) }

// Read is there for the interface: the capture recognises a body and doesn't read it.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.reader().Read(p)
	b.offset, b.length = b.offset+int64(n), b.length-int64(n)
	return n, err
}

func (b *body) Close() error {
	if b.taken {
		return nil
	}
	return b.file.Close()
}

// capture is the http.ResponseWriter gofakes3 writes to.
type capture struct {
	header http.Header
	status int
	buf    bytes.Buffer
	body   *body
}

func (w *capture) Header() http.Header { return w.header }

func (w *capture) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *capture) Write(p []byte) (int, error) { return w.buf.Write(p) }

// ReadFrom implements io.ReaderFrom, which io.Copy uses.
func (w *capture) ReadFrom(r io.Reader) (int64, error) {
	if b, ok := r.(*body); ok {
		if b.length > maxBuffered {
			b.taken, w.body = true, b
			return b.length, nil
		}
		w.buf.Grow(int(b.length) + bytes.MinRead)
	}
	return w.buf.ReadFrom(r)
}

// response is what gofakes3 answered.
func (w *capture) response() (*awsapi.Response, error) {
	if w.status >= http.StatusBadRequest {
		var e struct{ Code, Message string }
		if err := xml.Unmarshal(w.buf.Bytes(), &e); err != nil || e.Code == "" {
			e.Code, e.Message = "InvalidRequest", "The request is not valid."
		}
		if e.Message == "" || e.Message == e.Code {
			e.Message = messageOf(e.Code)
		}
		return nil, &awsapi.Error{Code: e.Code, Message: e.Message, Status: w.status}
	}
	h := http.Header{}
	for name, values := range w.header {
		switch {
		case strings.HasPrefix(name, "Access-Control-"), name == "Server", name == "X-Amz-Request-Id", name == "X-Amz-Id-2":
		case name == keep+"Etag", name == keep+"Tagging", name == "Etag" && w.header.Get(keep+"Etag") != "":
		case strings.HasPrefix(name, "X-Amz-Meta-"):
			h[strings.ToLower(name)] = values // as S3 writes it; clients take what follows the prefix as it stands
		case strings.HasPrefix(name, keep):
			h[strings.TrimPrefix(name, keep)] = values
		case name == "X-Amz-Delete-Marker" && values[0] == "false":
		default:
			h[name] = values
		}
	}
	if etag := w.header.Get(keep + "Etag"); etag != "" {
		h.Set("Etag", `"`+etag+`"`)
	}
	if tags := w.header.Get(keep + "Tagging"); tags != "" {
		if values, err := url.ParseQuery(tags); err == nil {
			h.Set("X-Amz-Tagging-Count", strconv.Itoa(len(values)))
		}
	}
	resp := &awsapi.Response{Status: w.status, Header: h, Body: w.buf.Bytes()}
	if b := w.body; b != nil {
		resp.Stream = func(out io.Writer, _ func()) (*awsapi.Completion, error) {
			_, err := io.Copy(out, b.reader())
			return nil, closing(err, b.file)
		}
	}
	return resp, nil
}

func closing(err error, c io.Closer) error {
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}

// messageOf is AWS's text for the codes gofakes3 gives without one.
func messageOf(code string) string {
	switch code {
	case "InvalidRange":
		return "The requested range is not satisfiable"
	case "BadDigest":
		return "The Content-MD5 you specified did not match what we received."
	case "InvalidDigest":
		return "The Content-MD5 you specified was invalid."
	case "NoSuchKey":
		return "The specified key does not exist."
	case "MissingContentLength":
		return "You must provide the Content-Length HTTP header."
	case "InvalidPart":
		return "One or more of the specified parts could not be found."
	}
	return "The request could not be served."
}
