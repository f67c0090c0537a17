package s3

import (
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/s3/disk"
)

// openSource opens what a copy reads; the caller closes the file.
func (s *Service) openSource(q *request) (source, disk.Object, *os.File, error) {
	src, err := copySource(q.header("X-Amz-Copy-Source"))
	if err != nil {
		return src, disk.Object{}, nil, err
	}
	o, f, err := s.store.Open(src.bucket, src.key, src.version)
	if err == nil && f == nil {
		err = &awsapi.Error{Code: "InvalidRequest", Message: "The source of a copy request may not specifically refer to a delete marker by version id."}
	}
	if err != nil {
		return src, o, nil, err
	}
	if !q.copyAllowed(o) {
		return src, o, nil, closing(disk.ErrPrecondition, f)
	}
	return src, o, f, nil
}

// copyAllowed tests the conditions on a copy's source.
func (q *request) copyAllowed(o disk.Object) bool {
	modified := o.Modified.Truncate(time.Second)
	since := func(header string) (time.Time, bool) {
		t, err := http.ParseTime(q.header(header))
		return t, err == nil
	}
	if v := q.header("X-Amz-Copy-Source-If-Match"); v != "" && strings.Trim(v, `"`) != o.ETag {
		return false
	}
	if v := q.header("X-Amz-Copy-Source-If-None-Match"); v != "" && strings.Trim(v, `"`) == o.ETag {
		return false
	}
	if t, ok := since("X-Amz-Copy-Source-If-Unmodified-Since"); ok && modified.After(t) {
		return false
	}
	t, ok := since("X-Amz-Copy-Source-If-Modified-Since")
	return !ok || modified.After(t)
}

type copied struct {
	XMLName      xml.Name
	XMLNS        string `xml:"xmlns,attr"`
	LastModified string
	ETag         string
}

func (s *Service) copyObject(q *request) (*awsapi.Response, error) {
	if err := q.checkKey(); err != nil {
		return nil, err
	}
	cond, err := q.condition()
	if err != nil {
		return nil, err
	}
	src, from, f, err := s.openSource(q)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	replace := strings.EqualFold(q.header("X-Amz-Metadata-Directive"), "REPLACE")
	if !replace && src.bucket == q.bucket && src.key == q.key && src.version == "" && q.header("X-Amz-Storage-Class") == "" && q.header("X-Amz-Server-Side-Encryption") == "" {
		return nil, &awsapi.Error{Code: "InvalidRequest", Message: "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."}
	}
	meta, err := q.copyMetadata(from, replace)
	if err != nil {
		return nil, err
	}
	sse := s.encryptionOf(q)
	delete(meta, keyHeader)
	sse.each(func(name, value string) { meta[name] = value })
	to, err := s.store.Put(q.bucket, disk.Object{Key: q.key, Meta: meta}, f, cond)
	if err != nil {
		return nil, err
	}
	resp, err := xmlResponse(copied{XMLName: xml.Name{Local: "CopyObjectResult"}, XMLNS: xmlns, LastModified: to.Modified.Format(timeFormat), ETag: `"` + to.ETag + `"`})
	if err != nil {
		return nil, err
	}
	b := &backend{store: s.store}
	setVersion(resp.Header, "X-Amz-Version-Id", string(b.shownVersion(q.bucket, to.Version)))
	setVersion(resp.Header, "X-Amz-Copy-Source-Version-Id", string(b.shownVersion(src.bucket, from.Version)))
	sse.each(resp.Header.Set)
	return resp, nil
}

func setVersion(h http.Header, name, version string) {
	if version != "" {
		h.Set(name, version)
	}
}

// copyMetadata is what a copy is stored with. Tags follow a directive of their own; checksums of a whole body stay true.
func (q *request) copyMetadata(from disk.Object, replace bool) (map[string]string, error) {
	asked, err := q.metadata()
	if err != nil {
		return nil, err
	}
	meta := map[string]string{}
	for k, v := range from.Meta {
		if strings.HasPrefix(k, keep+checksumHeader) || k == keep+"Tagging" && !strings.EqualFold(q.header("X-Amz-Tagging-Directive"), "REPLACE") {
			meta[k] = v
		}
	}
	if !replace {
		for k, v := range from.Meta {
			if k != keep+"Tagging" {
				meta[k] = v
			}
		}
		asked = http.Header{}
		if class := q.header("X-Amz-Storage-Class"); class != "" && class != "STANDARD" {
			asked.Set("X-Amz-Storage-Class", class)
		}
	}
	if tags := q.header("X-Amz-Tagging"); tags != "" && strings.EqualFold(q.header("X-Amz-Tagging-Directive"), "REPLACE") {
		meta[keep+"Tagging"] = tags
	}
	asked.Del(keep + "Tagging")
	for k := range maps.Keys(asked) {
		meta[k] = asked.Get(k)
	}
	if meta["Content-Type"] == "" {
		meta["Content-Type"] = "binary/octet-stream"
	}
	return meta, nil
}

func (s *Service) copyPart(q *request) (*awsapi.Response, error) {
	number, err := q.partNumber()
	if err != nil {
		return nil, err
	}
	_, from, f, err := s.openSource(q)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if span := q.header("X-Amz-Copy-Source-Range"); span != "" {
		first, last, ok := parseSpan(span)
		if !ok || last >= from.Size {
			return nil, invalid("Range specified is not valid for source object of size: " + strconv.FormatInt(from.Size, 10))
		}
		r = io.NewSectionReader(f, first, last-first+1)
	}
	etag, err := s.store.PutPart(q.bucket, q.key, q.query.Get("uploadId"), number, r)
	if err != nil {
		return nil, err
	}
	resp, err := xmlResponse(copied{XMLName: xml.Name{Local: "CopyPartResult"}, XMLNS: xmlns, LastModified: q.Time.UTC().Format(timeFormat), ETag: `"` + etag + `"`})
	if err != nil {
		return nil, err
	}
	s.encryptionOf(q).each(resp.Header.Set)
	return resp, nil
}

// parseSpan reads "bytes=first-last".
func parseSpan(s string) (first, last int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes=")
	from, to, dash := strings.Cut(s, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	return first, last, ok && dash && err1 == nil && err2 == nil && first >= 0 && first <= last
}

func (q *request) partNumber() (int, error) {
	n, err := strconv.Atoi(q.query.Get("partNumber"))
	if err != nil || n < 1 || n > 10000 {
		return 0, invalid("Part number must be an integer between 1 and 10000, inclusive")
	}
	return n, nil
}

func (s *Service) createUpload(q *request) (*awsapi.Response, error) {
	if err := q.checkKey(); err != nil {
		return nil, err
	}
	header, err := q.metadata()
	if err != nil {
		return nil, err
	}
	s.encryptionOf(q).each(header.Set)
	resp, err := s.forwardWith(q, header, disk.Condition{})
	if err != nil {
		return nil, err
	}
	if a := q.header("X-Amz-Checksum-Algorithm"); a != "" {
		resp.Header.Set("X-Amz-Checksum-Algorithm", a)
	}
	s.encryptionOf(q).each(resp.Header.Set)
	return resp, nil
}

func (s *Service) uploadPart(q *request) (*awsapi.Response, error) {
	if _, err := q.partNumber(); err != nil {
		return nil, err
	}
	sum, err := q.checksum()
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if md5 := q.header("Content-Md5"); md5 != "" {
		header.Set("Content-Md5", md5)
	}
	resp, err := s.forwardWith(q, header, disk.Condition{})
	if err != nil {
		return nil, err
	}
	resp.Header.Set(sum.header, sum.value)
	s.encryptionOf(q).each(resp.Header.Set)
	return resp, nil
}

func (s *Service) completeUpload(q *request) (*awsapi.Response, error) {
	cond, err := q.condition()
	if err != nil {
		return nil, err
	}
	resp, err := s.forwardWith(q, http.Header{}, cond)
	if err != nil {
		return nil, err
	}
	s.encryptionOf(q).each(resp.Header.Set)
	return resp, nil
}
