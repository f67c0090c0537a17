package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/s3/disk"
)

// timeFormat is how S3 writes times in XML.
const timeFormat = "2006-01-02T15:04:05.000Z"

// xmlResponse answers with a document.
func xmlResponse(v any) (*awsapi.Response, error) {
	body, err := xml.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &awsapi.Response{
		Header: http.Header{"Content-Type": {"application/xml"}},
		Body:   append([]byte(xml.Header), body...),
	}, nil
}

type owner struct {
	ID          string
	DisplayName string `xml:",omitempty"`
}

func (s *Service) listBuckets(q *request) (*awsapi.Response, error) {
	type bucket struct {
		Name, CreationDate, BucketRegion string
	}
	type result struct {
		XMLName           xml.Name `xml:"ListAllMyBucketsResult"`
		XMLNS             string   `xml:"xmlns,attr"`
		Owner             owner
		Buckets           []bucket `xml:"Buckets>Bucket"`
		ContinuationToken string   `xml:",omitempty"`
		Prefix            string   `xml:",omitempty"`
	}
	limit := 10000
	if text := q.query.Get("max-buckets"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > limit {
			return nil, invalid("Argument max-buckets must be an integer between 1 and 10000")
		}
		limit = n
	}
	all, err := s.store.Buckets()
	if err != nil {
		return nil, err
	}
	out := result{XMLNS: xmlns, Owner: owner{ID: ownerID(s.account)}, Prefix: q.query.Get("prefix")}
	for _, b := range all {
		region := q.query.Get("bucket-region")
		if !strings.HasPrefix(b.Name, out.Prefix) || b.Name <= q.query.Get("continuation-token") || region != "" && region != b.Region {
			continue
		}
		if len(out.Buckets) == limit {
			out.ContinuationToken = out.Buckets[limit-1].Name
			break
		}
		out.Buckets = append(out.Buckets, bucket{b.Name, b.Created.UTC().Format(timeFormat), b.Region})
	}
	return xmlResponse(out)
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// validName holds the naming rules of general purpose buckets
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
func validName(name string) bool {
	if !bucketName.MatchString(name) || strings.Contains(name, "..") {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	for _, prefix := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, prefix) && prefix != "amzn-s3-demo-" {
			return false
		}
	}
	for _, suffix := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	return true
}

func (s *Service) createBucket(q *request) (*awsapi.Response, error) {
	if !validName(q.bucket) {
		return nil, &awsapi.Error{Code: "InvalidBucketName", Message: "The specified bucket is not valid."}
	}
	region, err := q.newRegion()
	if err != nil {
		return nil, err
	}
	_, err = s.store.Bucket(q.bucket)
	if err == nil && region == "us-east-1" {
		return created(q), nil
	}
	if err == nil {
		return nil, bucketOwned()
	}
	if !errors.Is(err, disk.ErrNoBucket) {
		return nil, err
	}
	// What a bucket of that name left behind when the process died deleting it must not come back.
	if err := s.config.clear(q.bucket); err != nil {
		return nil, err
	}
	// The configuration comes first: without the bucket it is nothing, so the bucket is never seen without it.
	config, versioning := map[string]string{}, disk.Unversioned
	if ownership := q.header("X-Amz-Object-Ownership"); ownership != "" {
		config["ownershipControls"] = `<OwnershipControls xmlns="` + xmlns + `"><Rule><ObjectOwnership>` + escapeXML(ownership) + `</ObjectOwnership></Rule></OwnershipControls>`
	}
	if strings.EqualFold(q.header("X-Amz-Bucket-Object-Lock-Enabled"), "true") {
		versioning = disk.Enabled
		config["object-lock"] = `<ObjectLockConfiguration xmlns="` + xmlns + `"><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`
	}
	if len(config) > 0 {
		if err := s.config.put(q.bucket, config); err != nil {
			return nil, err
		}
	}
	if err := s.store.CreateBucket(q.bucket, region, versioning); errors.Is(err, disk.ErrBucketExists) {
		return nil, bucketOwned()
	} else if err != nil {
		return nil, err
	}
	return created(q), nil
}

func created(q *request) *awsapi.Response {
	return &awsapi.Response{Header: http.Header{"Location": {"/" + q.bucket}}}
}

func bucketOwned() error {
	return &awsapi.Error{Code: "BucketAlreadyOwnedByYou", Message: "Your previous request to create the named bucket succeeded and you already own it.", Status: http.StatusConflict}
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder doesn't fail
	return b.String()
}

// newRegion is the Region a new bucket is to be in.
func (q *request) newRegion() (string, error) {
	var body struct {
		XMLName            xml.Name
		LocationConstraint string
	}
	if len(q.Body) > 0 {
		if err := xml.Unmarshal(q.Body, &body); err != nil || body.XMLName.Local != "CreateBucketConfiguration" {
			return "", malformedXML()
		}
	}
	region := body.LocationConstraint
	switch {
	case region == "" && q.Region == "us-east-1":
		return q.Region, nil
	case region == "us-east-1":
		return "", &awsapi.Error{Code: "InvalidLocationConstraint", Message: "The specified location-constraint is not valid"}
	case region == "EU":
		return "eu-west-1", nil
	case region == "" || q.Region != "us-east-1" && region != q.Region:
		which := region
		if which == "" {
			which = "unspecified"
		}
		return "", &awsapi.Error{Code: "IllegalLocationConstraintException", Message: "The " + which + " location constraint is incompatible for the region specific endpoint this request was sent to."}
	}
	return region, nil
}

func (s *Service) deleteBucket(q *request) (*awsapi.Response, error) {
	if err := s.store.DeleteBucket(q.bucket); err != nil {
		return nil, err
	}
	if err := s.config.clear(q.bucket); err != nil {
		return nil, err
	}
	return &awsapi.Response{Status: http.StatusNoContent}, nil
}

func (s *Service) headBucket(q *request) (*awsapi.Response, error) {
	b, err := s.store.Bucket(q.bucket)
	if err != nil {
		return nil, err
	}
	return &awsapi.Response{Header: http.Header{
		"X-Amz-Bucket-Region": {b.Region}, "X-Amz-Access-Point-Alias": {"false"}, "Content-Type": {"application/xml"},
	}}, nil
}

func (s *Service) getLocation(q *request) (*awsapi.Response, error) {
	b, err := s.store.Bucket(q.bucket)
	if err != nil {
		return nil, err
	}
	if b.Region == "us-east-1" {
		b.Region = ""
	}
	return xmlResponse(struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		XMLNS   string   `xml:"xmlns,attr"`
		Region  string   `xml:",chardata"`
	}{XMLNS: xmlns, Region: b.Region})
}

type versioningConfiguration struct {
	XMLName xml.Name `xml:"VersioningConfiguration"`
	XMLNS   string   `xml:"xmlns,attr,omitempty"`
	Status  string   `xml:",omitempty"`
}

func (s *Service) getVersioning(q *request) (*awsapi.Response, error) {
	b, err := s.store.Bucket(q.bucket)
	if err != nil {
		return nil, err
	}
	return xmlResponse(versioningConfiguration{XMLNS: xmlns, Status: string(b.Versioning)})
}

func (s *Service) putVersioning(q *request) (*awsapi.Response, error) {
	var v struct {
		XMLName xml.Name `xml:"VersioningConfiguration"`
		Status  string
	}
	if err := xml.Unmarshal(q.Body, &v); err != nil {
		return nil, malformedXML()
	}
	status := disk.Versioning(v.Status)
	if status != disk.Enabled && status != disk.Suspended {
		return nil, &awsapi.Error{Code: "IllegalVersioningConfigurationException", Message: "The Versioning element must be specified"}
	}
	if _, locked := s.config.get(q.bucket, "object-lock"); locked && status == disk.Suspended {
		return nil, &awsapi.Error{Code: "InvalidBucketState", Message: "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.", Status: http.StatusConflict}
	}
	if err := s.store.SetVersioning(q.bucket, status); err != nil {
		return nil, err
	}
	return &awsapi.Response{}, nil
}

func (s *Service) policyStatus(q *request) (*awsapi.Response, error) {
	doc := s.config.policy(q.bucket)
	if doc == nil {
		return nil, &awsapi.Error{Code: "NoSuchBucketPolicy", Message: "The bucket policy does not exist", Status: http.StatusNotFound}
	}
	return xmlResponse(struct {
		XMLName  xml.Name `xml:"PolicyStatus"`
		XMLNS    string   `xml:"xmlns,attr"`
		IsPublic bool
	}{XMLNS: xmlns, IsPublic: public(doc)})
}
