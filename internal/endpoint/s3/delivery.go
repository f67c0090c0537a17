package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/s3/disk"
)

// cloudTrail is the principal log files are delivered as, and its canned ACL.
const (
	cloudTrail  = "cloudtrail.amazonaws.com"
	deliveryACL = "bucket-owner-full-control"
)

// bedrock is the principal that model invocation logs are delivered as.
const bedrock = "bedrock.amazonaws.com"

// Delivery is a file that CloudTrail puts into a bucket, or Bedrock.
type Delivery struct {
	Bucket, Key     string
	Body            []byte
	ContentType     string            // "application/json"
	ContentEncoding string            // "gzip"
	Metadata        map[string]string // user metadata, names without "x-amz-meta-"
	Trail           string            // the trail's ARN, which is aws:SourceArn
	Bedrock         string            // instead of Trail: Bedrock's ARN, which is aws:SourceArn of its model invocation logs
	KMSKey          string            // the key it is encrypted with; "" means the bucket's default
}

// Deliver stores a file as the principal cloudtrail.amazonaws.com, or bedrock.amazonaws.com, if the bucket's policy lets it.
// The file is durable when it returns nil. Delivering the same again changes nothing, not even in a versioned bucket.
//
// What is refused is an *awsapi.Error with the code NoSuchBucket or InsufficientS3BucketPolicy.
func (s *Service) Deliver(_ context.Context, d Delivery) error {
	principal := "AWS:" + s.account + ":CloudTrail"
	var err error
	if d.Bedrock != "" {
		principal = "AWS:" + s.account + ":Bedrock"
		err = s.deliverableAs(bedrock, d.Bucket, d.Key, d.Bedrock, nil)
	} else {
		err = s.deliverable(d.Bucket, d.Key, d.Trail)
	}
	if err != nil {
		return err
	}
	meta := map[string]string{"Content-Type": d.ContentType}
	if d.ContentEncoding != "" {
		meta["Content-Encoding"] = d.ContentEncoding
	}
	for k, v := range d.Metadata {
		meta[http.CanonicalHeaderKey("X-Amz-Meta-"+k)] = v
	}
	e := s.bucketEncryption(d.Bucket)
	if d.KMSKey != "" {
		e = encryption{"aws:kms", d.KMSKey}
	}
	e.each(func(name, value string) { meta[name] = value })
	meta[keep+checksumHeader+"Crc64nvme"] = digestOf("Crc64nvme", d.Body)
	sum := md5.Sum(d.Body)
	there, err := s.store.Head(d.Bucket, d.Key, "")
	if err == nil && there.ETag == hex.EncodeToString(sum[:]) && maps.Equal(there.Meta, meta) {
		return nil
	}
	put, err := s.store.Put(d.Bucket, disk.Object{Key: d.Key, Meta: meta}, bytes.NewReader(d.Body), disk.Condition{})
	if errors.Is(err, disk.ErrNoBucket) {
		return noSuchBucket()
	}
	if err == nil {
		s.tell(happening{event: "ObjectCreated:Put", bucket: d.Bucket, object: put, at: put.Modified, principal: principal})
	}
	return err
}

// CheckDelivery tells whether the trail could deliver to the bucket, as CreateTrail and UpdateTrail ask: CloudTrail may
// read the bucket's ACL, and may put objects below PREFIX/AWSLogs/ACCOUNT. prefix may be "". Errors are Deliver's.
func (s *Service) CheckDelivery(bucket, prefix, account, trail string) error {
	if _, err := s.store.Bucket(bucket); errors.Is(err, disk.ErrNoBucket) {
		return noSuchBucket()
	} else if err != nil {
		return err
	}
	if !s.serviceMay(cloudTrail, bucket, "s3:GetBucketAcl", bucketARN(bucket), trail, nil) {
		return insufficientPolicy()
	}
	key := "AWSLogs/" + account + "/CloudTrail/us-east-1/2026/01/01/probe"
	if prefix != "" {
		key = strings.TrimSuffix(prefix, "/") + "/" + key
	}
	return s.deliverable(bucket, key, trail)
}

func (s *Service) deliverable(bucket, key, trail string) error {
	return s.deliverableAs(cloudTrail, bucket, key, trail, policy.Context{"s3:x-amz-acl": {deliveryACL}})
}

func (s *Service) deliverableAs(service, bucket, key, source string, more policy.Context) error {
	if _, err := s.store.Bucket(bucket); errors.Is(err, disk.ErrNoBucket) {
		return noSuchBucket()
	} else if err != nil {
		return err
	}
	if !s.serviceMay(service, bucket, "s3:PutObject", objectARN(bucket, key), source, more) {
		return insufficientPolicy()
	}
	return nil
}

// serviceMay tells whether the bucket's policy lets a service do that for a source, given by its ARN.
func (s *Service) serviceMay(service, bucket, action, resource, source string, more policy.Context) bool {
	doc := s.config.policy(bucket)
	if doc == nil {
		return false
	}
	ctx := policy.Context{
		"aws:SecureTransport": {"true"}, "aws:SourceArn": {source}, "aws:PrincipalIsAWSService": {"true"},
		"aws:PrincipalServiceName": {service},
	}
	if parts := strings.SplitN(source, ":", 6); len(parts) == 6 {
		ctx["aws:SourceAccount"] = []string{parts[4]}
	}
	maps.Copy(ctx, more)
	r := policy.Request{Principal: policy.Principal{Service: service}, Action: action, Resource: resource, Context: ctx}
	return policy.Evaluate([]*policy.Document{doc}, r) == policy.Allow
}

func noSuchBucket() error {
	return &awsapi.Error{Code: "NoSuchBucket", Message: "The specified bucket does not exist", Status: http.StatusNotFound}
}

func insufficientPolicy() error {
	return &awsapi.Error{Code: "InsufficientS3BucketPolicy", Message: "Incorrect S3 bucket policy is detected for bucket"}
}
