package s3

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"sort"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/s3/disk"
)

type tag struct{ Key, Value string }

type tagging struct {
	XMLName xml.Name `xml:"Tagging"`
	XMLNS   string   `xml:"xmlns,attr,omitempty"`
	Tags    []tag    `xml:"TagSet>Tag"`
}

func (s *Service) getTags(q *request) (*awsapi.Response, error) {
	o, err := s.store.Head(q.bucket, q.key, q.version())
	if err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(o.Meta[keep+"Tagging"])
	if err != nil {
		return nil, err
	}
	out := tagging{XMLNS: xmlns}
	for k := range values {
		out.Tags = append(out.Tags, tag{k, values.Get(k)})
	}
	sort.Slice(out.Tags, func(i, j int) bool { return out.Tags[i].Key < out.Tags[j].Key })
	return xmlResponse(out)
}

func (s *Service) putTags(q *request) (*awsapi.Response, error) {
	var in struct {
		XMLName xml.Name `xml:"Tagging"`
		Tags    []tag    `xml:"TagSet>Tag"`
	}
	if err := xml.Unmarshal(q.Body, &in); err != nil {
		return nil, malformedXML()
	}
	values := url.Values{}
	for _, t := range in.Tags {
		if t.Key == "" || values.Has(t.Key) {
			return nil, &awsapi.Error{Code: "InvalidTag", Message: "Cannot provide multiple Tags with the same key"}
		}
		values.Set(t.Key, t.Value)
	}
	if len(values) > 10 {
		return nil, &awsapi.Error{Code: "BadRequest", Message: "Object tags cannot be greater than 10"}
	}
	return s.annotate(q, http.StatusOK, func(meta map[string]string) { meta[keep+"Tagging"] = values.Encode() })
}

func (s *Service) deleteTags(q *request) (*awsapi.Response, error) {
	return s.annotate(q, http.StatusNoContent, func(meta map[string]string) { delete(meta, keep+"Tagging") })
}

func (s *Service) annotate(q *request, status int, change func(map[string]string)) (*awsapi.Response, error) {
	o, err := s.store.Annotate(q.bucket, q.key, q.version(), change)
	if err != nil {
		return nil, err
	}
	resp := &awsapi.Response{Status: status, Header: http.Header{}}
	setVersion(resp.Header, "X-Amz-Version-Id", o.Version)
	return resp, nil
}

// attributes answers GetObjectAttributes.
func (s *Service) attributes(q *request) (*awsapi.Response, error) {
	o, err := s.store.Head(q.bucket, q.key, q.version())
	if err != nil {
		return nil, err
	}
	if o.Marker {
		return nil, disk.ErrNoKey
	}
	var out struct {
		XMLName      xml.Name `xml:"GetObjectAttributesResponse"`
		XMLNS        string   `xml:"xmlns,attr"`
		ETag         string   `xml:",omitempty"`
		StorageClass string   `xml:",omitempty"`
		ObjectSize   *int64   `xml:",omitempty"`
	}
	out.XMLNS = xmlns
	for name := range strings.SplitSeq(strings.Join(q.Request.Header.Values("X-Amz-Object-Attributes"), ","), ",") {
		switch strings.TrimSpace(name) {
		case "ETag":
			out.ETag = o.ETag
		case "StorageClass":
			out.StorageClass = storageClass(o)
		case "ObjectSize":
			out.ObjectSize = &o.Size
		}
	}
	resp, err := xmlResponse(out)
	if err != nil {
		return nil, err
	}
	resp.Header.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	setVersion(resp.Header, "X-Amz-Version-Id", o.Version)
	return resp, nil
}
