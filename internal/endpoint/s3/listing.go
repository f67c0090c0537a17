package s3

import (
	"encoding/base64"
	"encoding/xml"
	"net/url"
	"strconv"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/s3/disk"
)

// maxPage is the most entries S3 lists at once.
const maxPage = 1000

// listQuery reads what all listings share, and how names are to be written.
func (q *request) listQuery() (disk.Query, func(string) string, error) {
	d := disk.Query{Prefix: q.query.Get("prefix"), Delimiter: q.query.Get("delimiter"), Max: maxPage}
	if text := q.query.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return d, nil, invalid("Argument maxKeys must be an integer between 0 and 2147483647")
		}
		d.Max = min(n, maxPage)
	}
	switch q.query.Get("encoding-type") {
	case "":
		return d, func(s string) string { return s }, nil
	case "url":
		return d, urlEncode, nil
	}
	return d, nil, invalid("Invalid Encoding Method specified in Request")
}

// urlEncode writes a key as S3 does for encoding-type=url: like a query value, with slashes left alone.
func urlEncode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/") }

type entry struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
	Owner        *owner `xml:",omitempty"`
}

type commonPrefix struct{ Prefix string }

type listResult struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	XMLNS                 string   `xml:"xmlns,attr"`
	Name                  string
	Prefix                string
	Marker                *string `xml:",omitempty"`
	NextMarker            string  `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"`
	ContinuationToken     string  `xml:",omitempty"`
	NextContinuationToken string  `xml:",omitempty"`
	KeyCount              *int    `xml:",omitempty"`
	MaxKeys               int
	Delimiter             string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	Contents              []entry
	CommonPrefixes        []commonPrefix
}

func (s *Service) listObjects(q *request) (*awsapi.Response, error) {
	d, encode, err := q.listQuery()
	if err != nil {
		return nil, err
	}
	d.After = q.query.Get("marker")
	page, err := s.store.List(q.bucket, d)
	if err != nil {
		return nil, err
	}
	out := s.listResult(q, d, page, encode, true)
	marker := encode(d.After)
	out.Marker = &marker
	if page.Truncated && d.Delimiter != "" {
		out.NextMarker = encode(page.Next)
	}
	return xmlResponse(out)
}

func (s *Service) listObjectsV2(q *request) (*awsapi.Response, error) {
	d, encode, err := q.listQuery()
	if err != nil {
		return nil, err
	}
	d.After = q.query.Get("start-after")
	token := q.query.Get("continuation-token")
	if q.query.Has("continuation-token") {
		after, err := base64.URLEncoding.DecodeString(token)
		if err != nil || len(after) == 0 {
			return nil, invalid("The continuation token provided is incorrect")
		}
		d.After = string(after)
	}
	page, err := s.store.List(q.bucket, d)
	if err != nil {
		return nil, err
	}
	out := s.listResult(q, d, page, encode, q.query.Get("fetch-owner") == "true")
	count := len(page.Objects) + len(page.Prefixes)
	out.KeyCount, out.ContinuationToken, out.StartAfter = &count, token, encode(q.query.Get("start-after"))
	if page.Truncated {
		out.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(page.Next))
	}
	return xmlResponse(out)
}

func (s *Service) listResult(q *request, d disk.Query, page disk.Page, encode func(string) string, withOwner bool) *listResult {
	out := &listResult{
		XMLNS: xmlns, Name: q.bucket, Prefix: encode(d.Prefix), Delimiter: encode(d.Delimiter), MaxKeys: d.Max,
		EncodingType: q.query.Get("encoding-type"), IsTruncated: page.Truncated,
	}
	for _, o := range page.Objects {
		e := entry{Key: encode(o.Key), LastModified: o.Modified.UTC().Format(timeFormat), ETag: `"` + o.ETag + `"`, Size: o.Size, StorageClass: storageClass(o)}
		if withOwner {
			e.Owner = &owner{ID: ownerID(s.account)}
		}
		out.Contents = append(out.Contents, e)
	}
	for _, p := range page.Prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{encode(p)})
	}
	return out
}

func storageClass(o disk.Object) string {
	if class := o.Meta["X-Amz-Storage-Class"]; class != "" {
		return class
	}
	return "STANDARD"
}

type version struct {
	XMLName      xml.Name
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified string
	ETag         string `xml:",omitempty"`
	Size         *int64 `xml:",omitempty"`
	StorageClass string `xml:",omitempty"`
	Owner        owner
}

func (s *Service) listVersions(q *request) (*awsapi.Response, error) {
	d, encode, err := q.listQuery()
	if err != nil {
		return nil, err
	}
	d.After, d.AfterVersion = q.query.Get("key-marker"), q.query.Get("version-id-marker")
	if d.After == "" && d.AfterVersion != "" {
		return nil, invalid("A version-id marker cannot be specified without a key marker.")
	}
	page, err := s.store.ListVersions(q.bucket, d)
	if err != nil {
		return nil, err
	}
	out := struct {
		XMLName             xml.Name `xml:"ListVersionsResult"`
		XMLNS               string   `xml:"xmlns,attr"`
		Name                string
		Prefix              string
		KeyMarker           string
		VersionIDMarker     string `xml:"VersionIdMarker"`
		NextKeyMarker       string `xml:",omitempty"`
		NextVersionIDMarker string `xml:"NextVersionIdMarker,omitempty"`
		MaxKeys             int
		Delimiter           string `xml:",omitempty"`
		EncodingType        string `xml:",omitempty"`
		IsTruncated         bool
		Versions            []version
		CommonPrefixes      []commonPrefix
	}{
		XMLNS: xmlns, Name: q.bucket, Prefix: encode(d.Prefix), KeyMarker: encode(d.After), VersionIDMarker: d.AfterVersion,
		MaxKeys: d.Max, Delimiter: encode(d.Delimiter), EncodingType: q.query.Get("encoding-type"), IsTruncated: page.Truncated,
	}
	if page.Truncated {
		out.NextKeyMarker, out.NextVersionIDMarker = encode(page.Next), page.NextVersion
	}
	for _, o := range page.Objects {
		v := version{
			XMLName: xml.Name{Local: "Version"}, Key: encode(o.Key), VersionID: o.Version, IsLatest: o.Latest,
			LastModified: o.Modified.UTC().Format(timeFormat), Owner: owner{ID: ownerID(s.account)},
		}
		if o.Version == "" {
			v.VersionID = disk.NullVersion
		}
		if o.Marker {
			v.XMLName.Local = "DeleteMarker"
		} else {
			v.ETag, v.Size, v.StorageClass = `"`+o.ETag+`"`, &o.Size, storageClass(o)
		}
		out.Versions = append(out.Versions, v)
	}
	for _, p := range page.Prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{encode(p)})
	}
	return xmlResponse(out)
}

// deleteBody is the body of DeleteObjects.
type deleteBody struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool
	Objects []struct {
		Key       string
		VersionID string `xml:"VersionId"`
	} `xml:"Object"`
}

func (s *Service) deleteObjects(q *request) (*awsapi.Response, error) {
	var in deleteBody
	if err := xml.Unmarshal(q.Body, &in); err != nil || len(in.Objects) == 0 || len(in.Objects) > maxPage {
		return nil, malformedXML()
	}
	type deleted struct {
		Key                   string
		VersionID             string `xml:"VersionId,omitempty"`
		DeleteMarker          bool   `xml:",omitempty"`
		DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
	}
	var out struct {
		XMLName xml.Name `xml:"DeleteResult"`
		XMLNS   string   `xml:"xmlns,attr"`
		Deleted []deleted
	}
	out.XMLNS = xmlns
	b := &backend{store: s.store}
	for _, o := range in.Objects {
		d, err := s.store.Delete(q.bucket, o.Key, o.VersionID)
		if err != nil {
			return nil, err
		}
		if in.Quiet {
			continue
		}
		e := deleted{Key: o.Key, VersionID: o.VersionID, DeleteMarker: d.Marker}
		if d.Marker {
			e.DeleteMarkerVersionID = string(b.shownVersion(q.bucket, d.Version))
		}
		out.Deleted = append(out.Deleted, e)
	}
	return xmlResponse(out)
}
