package s3

import (
	"encoding/xml"
	"net/url"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
)

func bucketARN(bucket string) string      { return "arn:aws:s3:::" + bucket }
func objectARN(bucket, key string) string { return "arn:aws:s3:::" + bucket + "/" + key }

// Access implements awsapi.Service.
func (s *Service) Access(c *awsapi.Call) []awsapi.Access {
	q := s.parse(c)
	action := "s3:" + q.op.action
	switch q.op.name {
	case "DeleteObjects":
		return q.deletions()
	case "CopyObject", "UploadPartCopy":
		list := []awsapi.Access{{Action: action, Resource: objectARN(q.bucket, q.key)}}
		if src, err := copySource(q.header("X-Amz-Copy-Source")); err == nil {
			read := "s3:GetObject"
			if src.version != "" {
				read = "s3:GetObjectVersion"
			}
			list = append(list, awsapi.Access{Action: read, Resource: objectARN(src.bucket, src.key)})
		}
		return append(list, q.extras()...)
	case "GetObject", "HeadObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging", "GetObjectAcl", "PutObjectAcl":
		if q.version() != "" {
			action = versioned(action)
		}
	}
	switch q.op.level {
	case "service":
		return []awsapi.Access{{Action: action, Resource: "*"}}
	case "bucket":
		return []awsapi.Access{{Action: action, Resource: bucketARN(q.bucket)}}
	}
	return append([]awsapi.Access{{Action: action, Resource: objectARN(q.bucket, q.key)}}, q.extras()...)
}

// versioned names the action on a version: GetObject, GetObjectVersion; GetObjectTagging, GetObjectVersionTagging.
func versioned(action string) string {
	return strings.Replace(action, "Object", "ObjectVersion", 1)
}

// extras are what headers of a write ask for besides the write.
func (q *request) extras() (list []awsapi.Access) {
	if !q.op.write {
		return nil
	}
	arn := objectARN(q.bucket, q.key)
	if q.header("X-Amz-Acl") != "" && q.op.name != "PutObjectAcl" {
		list = append(list, awsapi.Access{Action: "s3:PutObjectAcl", Resource: arn})
	}
	if q.header("X-Amz-Tagging") != "" {
		list = append(list, awsapi.Access{Action: "s3:PutObjectTagging", Resource: arn})
	}
	return list
}

// deletions are the deletions a DeleteObjects asks for.
func (q *request) deletions() []awsapi.Access {
	list := []awsapi.Access{}
	var body deleteBody
	if xml.Unmarshal(q.Body, &body) == nil {
		for _, o := range body.Objects {
			action := "s3:DeleteObject"
			if o.VersionID != "" {
				action = "s3:DeleteObjectVersion"
			}
			list = append(list, awsapi.Access{Action: action, Resource: objectARN(q.bucket, o.Key)})
		}
	}
	if len(list) == 0 {
		list = append(list, awsapi.Access{Action: "s3:DeleteObject", Resource: objectARN(q.bucket, "")})
	}
	return list
}

// source is what a copy reads.
type source struct{ bucket, key, version string }

func copySource(header string) (source, error) {
	path, query, _ := strings.Cut(header, "?")
	path, err := url.PathUnescape(path)
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if err != nil || !ok || bucket == "" || key == "" {
		return source{}, invalid("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return source{}, invalid("Copy Source is not well-formed")
	}
	return source{bucket, key, values.Get("versionId")}, nil
}

// ResourcePolicy returns the policy of the bucket that an S3 ARN is about, nil if there is none. The document is shared and
// must not be changed.
func (s *Service) ResourcePolicy(arn string) *policy.Document {
	name, ok := strings.CutPrefix(arn, "arn:aws:s3:::")
	if !ok {
		return nil
	}
	bucket, _, _ := strings.Cut(name, "/")
	return s.config.policy(bucket)
}

// Conditions returns the condition keys of S3's own that a call has, and aws:SecureTransport, which is true: the endpoint,
// on loopback, stands for AWS's TLS endpoint, and a policy that denies all else must not lock everyone out.
func (s *Service) Conditions(c *awsapi.Call) policy.Context {
	q := s.parse(c)
	ctx := policy.Context{"aws:SecureTransport": {"true"}}
	for key, param := range map[string]string{
		"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": "max-keys", "s3:VersionId": "versionId",
	} {
		if q.query.Has(param) {
			ctx[key] = []string{q.query.Get(param)}
		}
	}
	for _, header := range []string{
		"x-amz-acl", "x-amz-copy-source", "x-amz-metadata-directive", "x-amz-server-side-encryption",
		"x-amz-server-side-encryption-aws-kms-key-id", "x-amz-storage-class", "x-amz-content-sha256",
	} {
		if v := q.header(header); v != "" {
			ctx["s3:"+header] = []string{v}
		}
	}
	return ctx
}
