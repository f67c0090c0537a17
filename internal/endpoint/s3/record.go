package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

func base64Std(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// Describe implements awsapi.Service.
func (s *Service) Describe(c *awsapi.Call) {
	q := s.parse(c)
	r := &c.Record
	r.EventSource = "s3.amazonaws.com"
	r.EventName = q.op.event
	r.Data, r.ReadOnly = q.op.data, !q.op.write
	r.RequestParameters = q.parameters()
	r.AdditionalEventData = q.additional(0)
	if q.bucket == "" {
		return
	}
	switch {
	case q.op.level == "object":
		r.Resources = append(r.Resources, cloudtrail.Resource{Type: "AWS::S3::Object", ARN: objectARN(q.bucket, q.key)})
	case q.op.data && q.op.name != "HeadBucket":
		r.Resources = append(r.Resources, cloudtrail.Resource{Type: "AWS::S3::Object", ARN: objectARN(q.bucket, "")})
	}
	r.Resources = append(r.Resources, cloudtrail.Resource{AccountID: s.account, Type: "AWS::S3::Bucket", ARN: bucketARN(q.bucket)})
}

// parameters are the record's requestParameters: the request's query, the headers that say what is asked, and the
// configuration in its body. Signatures and credentials never are.
func (q *request) parameters() map[string]any {
	p := map[string]any{"Host": "s3." + q.Region + ".amazonaws.com"}
	if q.bucket != "" {
		p["bucketName"] = q.bucket
		p["Host"] = q.bucket + ".s3." + q.Region + ".amazonaws.com"
	}
	if q.key != "" {
		p["key"] = q.key
	}
	for name, values := range q.query {
		switch strings.ToLower(name) {
		case "x-amz-signature", "x-amz-credential", "x-amz-security-token":
		default:
			p[name] = strings.Join(values, ",")
		}
	}
	for name, values := range q.Request.Header {
		lower := strings.ToLower(name)
		switch lower {
		case "x-amz-acl", "x-amz-bucket-object-lock-enabled", "x-amz-checksum-algorithm", "x-amz-copy-source",
			"x-amz-copy-source-range", "x-amz-metadata-directive", "x-amz-object-ownership",
			"x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-storage-class",
			"x-amz-tagging", "x-amz-expected-bucket-owner":
			p[lower] = strings.Join(values, ",")
		}
	}
	q.bodyParameters(p)
	return p
}

func (q *request) bodyParameters(p map[string]any) {
	if len(q.Body) == 0 || len(q.Body) > maxConfig {
		return
	}
	switch {
	case q.op.name == "PutBucketPolicy":
		if json.Valid(q.Body) {
			p["bucketPolicy"] = json.RawMessage(bytes.Clone(q.Body))
		}
	case q.op.level == "bucket" && q.op.write && !q.op.data:
		if name, value, ok := xmlValue(q.Body); ok {
			p[name] = value
		}
	}
}

// additional is the record's additionalEventData.
func (q *request) additional(out int64) map[string]any {
	a := map[string]any{
		"bytesTransferredIn":  len(q.Body),
		"bytesTransferredOut": out,
		"x-amz-id-2":          extendedID(q.ID),
	}
	switch {
	case q.query.Has("X-Amz-Signature"):
		a["SignatureVersion"], a["AuthenticationMethod"] = "SigV4", "QueryString"
	case q.header("Authorization") != "":
		a["SignatureVersion"], a["AuthenticationMethod"] = "SigV4", "AuthHeader"
	}
	return a
}

// recordAnswer completes the record of a call that succeeded.
func (q *request) recordAnswer(resp *awsapi.Response) {
	out := int64(len(resp.Body))
	if resp.Stream != nil {
		out, _ = strconv.ParseInt(resp.Header.Get("Content-Length"), 10, 64)
	}
	if q.Request.Method == http.MethodHead {
		out = 0
	}
	additional := q.additional(out)
	if q.op.write && q.op.data && resp.Header.Get("X-Amz-Server-Side-Encryption") == "AES256" {
		additional["SSEApplied"] = "Default_SSE_S3"
	}
	q.Record.AdditionalEventData = additional
	if !q.op.write {
		return
	}
	elements := map[string]string{}
	for _, name := range []string{
		"x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-version-id",
		"x-amz-delete-marker", "x-amz-copy-source-version-id",
	} {
		if v := resp.Header.Get(name); v != "" {
			elements[name] = v
		}
	}
	if len(elements) > 0 {
		q.Record.ResponseElements = elements
	}
}

// maxXMLDepth bounds the nesting of a configuration document.
const maxXMLDepth = 32

// xmlValue is an XML document as CloudTrail writes it in a record: elements with children are objects, repeated
// children lists, others text; attributes stand beside children.
func xmlValue(text []byte) (name string, value any, ok bool) {
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if err != nil {
			return "", nil, false
		}
		if start, isStart := token.(xml.StartElement); isStart {
			value, err := xmlElement(d, start, 0)
			return start.Name.Local, value, err == nil
		}
	}
}

func xmlElement(d *xml.Decoder, start xml.StartElement, depth int) (any, error) {
	if depth > maxXMLDepth {
		return nil, io.ErrUnexpectedEOF
	}
	members := map[string]any{}
	for _, a := range start.Attr {
		name := a.Name.Local
		if a.Name.Space == "xmlns" {
			name = "xmlns:" + name
		}
		members[name] = a.Value
	}
	var text strings.Builder
	for {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.StartElement:
			v, err := xmlElement(d, t, depth+1)
			if err != nil {
				return nil, err
			}
			addMember(members, t.Name.Local, v)
		case xml.EndElement:
			if len(members) == 0 {
				return strings.TrimSpace(text.String()), nil
			}
			return members, nil
		}
	}
}

func addMember(members map[string]any, name string, v any) {
	switch old := members[name].(type) {
	case nil:
		members[name] = v
	case []any:
		members[name] = append(old, v)
	default:
		members[name] = []any{old, v}
	}
}
