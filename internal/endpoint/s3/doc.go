// Package s3 is the endpoint's S3: buckets, objects and bucket configuration, on disk.
//
// What a request means is decided here: which operation it is, what IAM must allow, what CloudTrail records of it, what
// the bucket's configuration and policy say to it. Reading, writing and deleting objects, ranges and multipart uploads
// are github.com/johannesboyne/gofakes3's, as an http.Handler over a back end of our own; package disk says why.
//
// What is answered in front of gofakes3, and why:
//   - Bucket configuration (policy, encryption, lifecycle, …), which it doesn't have. Absence is answered with AWS's
//     error codes, because infrastructure clients decide on them.
//   - Listings: it has no encoding-type, no KeyCount of 0 and splits keys by delimiter in ways S3 doesn't.
//   - Copies: it merges metadata whatever the directive says, and has no UploadPartCopy.
//   - Checksums, conditions on reads and on completed uploads, ETags of multipart objects.
//   - It stores every x-amz-* header of a request, credentials among them; here only what belongs to the object passes.
//
// What holds:
//   - A write that was answered is on disk, whole, and survives kill -9; so does configuration.
//   - Buckets are addressed by path only. A loopback endpoint stands for AWS's TLS endpoint, so policies see
//     aws:SecureTransport as true.
//   - Who may do what is for the server to decide, before it calls Serve: from Access, Conditions and ResourcePolicy.
//     Only deliveries, which no client asks for, are checked here.
//   - In us-east-1, creating a bucket one owns already succeeds, as it does on AWS; elsewhere it is
//     BucketAlreadyOwnedByYou.
//
// The records are as AWS writes them (https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html):
// calls on buckets are management events, calls on objects, listings and HeadBucket are data events.
package s3
