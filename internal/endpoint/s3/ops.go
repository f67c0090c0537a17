package s3

import "github.com/aitrail/aitrail/internal/endpoint/awsapi"

// operation is one S3 operation.
type operation struct {
	name   string // the API's
	event  string // CloudTrail's name for it
	action string // what IAM calls it, without "s3:"
	level  string // service, bucket or object: what it is about
	data   bool   // a data event
	write  bool
	serve  func(*Service, *request) (*awsapi.Response, error)
}

// bucketSubs are the query parameters that make a request on a bucket one for something else than its objects; those
// without a route are not implemented, and must not be taken for a listing.
func bucketSubs() []string {
	return []string{
		"accelerate", "acl", "analytics", "cors", "delete", "encryption", "intelligent-tiering", "inventory", "lifecycle",
		"location", "logging", "metadataConfiguration", "metadataTable", "metrics", "notification", "object-lock",
		"ownershipControls", "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment", "session",
		"tagging", "uploads", "versioning", "versions", "website",
	}
}

func objectSubs() []string {
	return []string{
		"acl", "attributes", "legal-hold", "renameObject", "restore", "retention", "select", "tagging", "torrent",
		"uploadId", "uploads",
	}
}

// routes returns the operations by route and by name.
func routes() (byRoute, byName map[string]*operation) {
	byRoute, byName = map[string]*operation{}, map[string]*operation{}
	add := func(route string, op operation) {
		if op.event == "" {
			op.event = op.name
		}
		if op.action == "" {
			op.action = op.name
		}
		byRoute[route], byName[op.name] = &op, &op
	}
	bucketRoutes(add)
	objectRoutes(add)
	for _, k := range kinds() {
		k.routes(add)
	}
	return byRoute, byName
}

func bucketRoutes(add func(string, operation)) {
	bucket := func(route, name, event, action string, data, write bool, serve func(*Service, *request) (*awsapi.Response, error)) {
		add(route, operation{name, event, action, "bucket", data, write, serve})
	}
	add("GET service ", operation{"ListBuckets", "", "ListAllMyBuckets", "service", false, false, (*Service).listBuckets})
	bucket("PUT bucket ", "CreateBucket", "", "", false, true, (*Service).createBucket)
	bucket("DELETE bucket ", "DeleteBucket", "", "", false, true, (*Service).deleteBucket)
	bucket("HEAD bucket ", "HeadBucket", "", "ListBucket", true, false, (*Service).headBucket)
	bucket("GET bucket location", "GetBucketLocation", "", "", false, false, (*Service).getLocation)
	bucket("GET bucket versioning", "GetBucketVersioning", "", "", false, false, (*Service).getVersioning)
	bucket("PUT bucket versioning", "PutBucketVersioning", "", "", false, true, (*Service).putVersioning)
	bucket("GET bucket acl", "GetBucketAcl", "", "", false, false, (*Service).getACL)
	bucket("PUT bucket acl", "PutBucketAcl", "", "", false, true, (*Service).putACL)
	bucket("GET bucket policyStatus", "GetBucketPolicyStatus", "", "", false, false, (*Service).policyStatus)
	bucket("GET bucket ", "ListObjects", "", "ListBucket", true, false, (*Service).listObjects)
	bucket("GET bucket list-type", "ListObjectsV2", "ListObjects", "ListBucket", true, false, (*Service).listObjectsV2)
	bucket("GET bucket versions", "ListObjectVersions", "", "ListBucketVersions", true, false, (*Service).listVersions)
	bucket("GET bucket uploads", "ListMultipartUploads", "", "ListBucketMultipartUploads", true, false, (*Service).forward)
	bucket("POST bucket delete", "DeleteObjects", "", "DeleteObject", true, true, (*Service).deleteObjects)
}

func objectRoutes(add func(string, operation)) {
	object := func(route, name, action string, write bool, serve func(*Service, *request) (*awsapi.Response, error)) {
		add(route, operation{name, "", action, "object", true, write, serve})
	}
	object("GET object ", "GetObject", "", false, (*Service).getObject)
	object("HEAD object ", "HeadObject", "GetObject", false, (*Service).getObject)
	object("PUT object ", "PutObject", "", true, (*Service).putObject)
	object("DELETE object ", "DeleteObject", "", true, (*Service).forward)
	object("PUT object copy", "CopyObject", "PutObject", true, (*Service).copyObject)
	object("GET object acl", "GetObjectAcl", "", false, (*Service).getACL)
	object("PUT object acl", "PutObjectAcl", "", true, (*Service).putObjectACL)
	object("GET object attributes", "GetObjectAttributes", "", false, (*Service).attributes)
	object("GET object tagging", "GetObjectTagging", "", false, (*Service).getTags)
	object("PUT object tagging", "PutObjectTagging", "", true, (*Service).putTags)
	object("DELETE object tagging", "DeleteObjectTagging", "", true, (*Service).deleteTags)
	object("POST object uploads", "CreateMultipartUpload", "PutObject", true, (*Service).createUpload)
	object("PUT object uploadId", "UploadPart", "PutObject", true, (*Service).uploadPart)
	object("PUT object uploadIdcopy", "UploadPartCopy", "PutObject", true, (*Service).copyPart)
	object("POST object uploadId", "CompleteMultipartUpload", "PutObject", true, (*Service).completeUpload)
	object("DELETE object uploadId", "AbortMultipartUpload", "", true, (*Service).forward)
	object("GET object uploadId", "ListParts", "ListMultipartUploadParts", false, (*Service).forward)
}
