package object

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

const (
	attempts    = 8 // of a request, by the SDK, with backoff
	resumptions = 5 // of a body that broke off, since it last gave a byte
)

// patience is how long a bucket waits.
type patience struct {
	answer  time.Duration // for a request's first byte
	idle    time.Duration // for a body's next byte
	backoff time.Duration // at most, between attempts
}

func usualPatience() patience {
	return patience{answer: time.Minute, idle: time.Minute, backoff: 20 * time.Second}
}

// bucket is a store of the objects under a prefix of an S3 bucket.
type bucket struct {
	client *s3.Client
	getter *getter
	name   string
	prefix string // "" or ending in "/"
	idle   time.Duration
	listed atomic.Int64 // requests for listings
}

// openBucket opens "bucket", "bucket/prefix" or "bucket/key".
func openBucket(ctx context.Context, rest string, p patience) (Store, error) {
	name, key, _ := strings.Cut(rest, "/")
	if name == "" {
		return nil, errors.New("source s3:// names no bucket: s3://BUCKET or s3://BUCKET/PREFIX")
	}
	client, err := newClient(ctx, name, p)
	if err != nil {
		return nil, err
	}
	whole := &bucket{client: client, getter: newGetter(ctx, client, name), name: name, idle: p.idle}
	if looksLikeFile(key) {
		_, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &name, Key: &key})
		switch err = whole.wrap(key, err); {
		case err == nil:
			return single{whole, key}, nil
		case !errors.Is(err, ErrNotExist):
			return nil, err
		}
	}
	if key != "" && !strings.HasSuffix(key, "/") {
		key += "/"
	}
	whole.prefix = key
	return whole, nil
}

func looksLikeFile(key string) bool {
	switch path.Ext(key) {
	case ".gz", ".json", ".zip", ".jsonl":
		return true
	}
	return false
}

// newClient returns a client for the Region where the bucket lies.
func newClient(ctx context.Context, name string, p patience) (*s3.Client, error) {
	transport := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = p.answer
		t.MaxIdleConnsPerHost = 64
	})
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithHTTPClient(transport),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = attempts, p.backoff
			})
		}))
	if err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	cfg.Region = cmp.Or(cfg.Region, "us-east-1")
	client := s3.NewFromConfig(cfg, options)
	if client.Options().BaseEndpoint != nil {
		return client, nil // one's own endpoint has no Regions to be sent to
	}
	region, err := bucketRegion(ctx, client, name)
	if err != nil {
		return nil, err
	}
	if region != "" && region != cfg.Region {
		cfg.Region = region
		client = s3.NewFromConfig(cfg, options)
	}
	return client, nil
}

func options(o *s3.Options) {
	o.UsePathStyle = o.BaseEndpoint != nil
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	o.DisableLogOutputChecksumValidationSkipped = true // parts of an object have no checksum; the SDK would print that
}

// bucketRegion asks where a bucket lies. S3 says so even when it refuses.
func bucketRegion(ctx context.Context, client *s3.Client, name string) (string, error) {
	out, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name})
	if err == nil {
		return aws.ToString(out.BucketRegion), nil
	}
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		if region := response.Response.Header.Get("x-amz-bucket-region"); region != "" {
			return region, nil
		}
		if response.HTTPStatusCode() == http.StatusNotFound {
			return "", fmt.Errorf("bucket %s: %w", name, NoSuch("bucket"))
		}
	}
	return "", fmt.Errorf("bucket %s: %w", name, err)
}

func (b *bucket) URL(key string) string { return "s3://" + b.name + "/" + b.prefix + key }

func (b *bucket) listings() int64 { return b.listed.Load() }

func (b *bucket) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return b.list(ctx, prefix, after, nil)
}

func (b *bucket) listOneByOne(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return b.list(ctx, prefix, after, aws.Int32(1))
}

// list asks for so many keys at a time, nil for as many as S3 gives.
func (b *bucket) list(ctx context.Context, prefix, after string, page *int32) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: aws.String(b.prefix + prefix), MaxKeys: page}
		if after != "" {
			in.StartAfter = aws.String(b.prefix + after)
		}
		pages := s3.NewListObjectsV2Paginator(b.client, in)
		for pages.HasMorePages() {
			b.listed.Add(1)
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Info{}, fmt.Errorf("listing %s: %w", b.URL(prefix), missing(err)))
				return
			}
			for _, o := range page.Contents {
				info := b.info(o)
				if strings.HasSuffix(info.Key, "/") || info.Key == "" {
					continue // what consoles make for an empty folder
				}
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}

func (b *bucket) dirs(ctx context.Context, prefix string) ([]string, error) {
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{
		Bucket: &b.name, Prefix: aws.String(b.prefix + prefix), Delimiter: aws.String("/"),
	})
	var dirs []string
	for pages.HasMorePages() {
		b.listed.Add(1)
		page, err := pages.NextPage(ctx)
		if err != nil {
			return dirs, fmt.Errorf("listing %s: %w", b.URL(prefix), missing(err))
		}
		for _, p := range page.CommonPrefixes {
			dirs = append(dirs, strings.TrimPrefix(aws.ToString(p.Prefix), b.prefix))
		}
	}
	return dirs, nil
}

func (b *bucket) info(o types.Object) Info {
	return Info{
		Key:      strings.TrimPrefix(aws.ToString(o.Key), b.prefix),
		Size:     aws.ToInt64(o.Size),
		ETag:     strings.Trim(aws.ToString(o.ETag), `"`),
		Modified: aws.ToTime(o.LastModified).UTC(),
	}
}

func (b *bucket) Open(ctx context.Context, key string) (io.ReadCloser, Object, error) {
	if key == "" {
		return nil, Object{}, fmt.Errorf("%s: %w", b.URL(key), NoSuch("object"))
	}
	r := &body{ctx: ctx, bucket: b, key: key}
	out, err := r.request()
	if err != nil {
		return nil, Object{}, err
	}
	meta := make(map[string]string, len(out.Metadata))
	for name, value := range out.Metadata {
		meta[strings.ToLower(name)] = value
	}
	r.etag, r.size = out.ETag, aws.ToInt64(out.ContentLength)
	return r, Object{
		Info: Info{
			Key:      key,
			Size:     r.size,
			ETag:     strings.Trim(aws.ToString(out.ETag), `"`),
			Modified: aws.ToTime(out.LastModified).UTC(),
		},
		Meta: meta,
	}, nil
}

func (b *bucket) Create(ctx context.Context, key string, content []byte) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:      &b.name,
		Key:         aws.String(b.prefix + key),
		Body:        bytes.NewReader(content),
		IfNoneMatch: aws.String("*"),
	})
	switch status(err) {
	case http.StatusPreconditionFailed, http.StatusConflict: // of a conflict S3 says that another is writing the key
		return fmt.Errorf("%s: %w", b.URL(key), ErrExist)
	}
	return b.wrap(key, err)
}

// wrap names the object and turns S3's ways of saying "no such thing" into ErrNotExist.
func (b *bucket) wrap(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", b.URL(key), missing(err))
}

func missing(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "NoSuchKey", "NotFound":
			return fmt.Errorf("%w: %w", NoSuch("object"), err)
		case "NoSuchBucket":
			return fmt.Errorf("%w: %w", NoSuch("bucket"), err)
		}
	}
	return err
}

func status(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// A Bucket is the Store of what lies under a prefix of an S3 bucket, and what a lake there needs besides.
type Bucket interface {
	Store
	// Stat tells what a listing would of an object; ErrNotExist if there is none.
	Stat(ctx context.Context, key string) (Info, error)
	// Put writes an object, or replaces it, whole or not at all; it is durable on return. It may be repeated.
	Put(ctx context.Context, key string, body io.ReadSeeker) error
	// Remove removes an object; no error if there is none.
	Remove(ctx context.Context, key string) error
}

var _ Bucket = (*bucket)(nil)

// OpenBucket returns the bucket of a URL "s3://bucket/prefix". ErrNotExist if there is no such bucket. backoff is the longest pause
// before a request is made again; usual when 0.
func OpenBucket(ctx context.Context, url string, backoff time.Duration) (Bucket, error) {
	rest, ok := strings.CutPrefix(url, "s3://")
	name, prefix, _ := strings.Cut(rest, "/")
	if !ok || name == "" {
		return nil, fmt.Errorf("%q is not the URL of a bucket: s3://BUCKET/PREFIX", url)
	}
	p := usualPatience()
	p.backoff = cmp.Or(backoff, p.backoff)
	client, err := newClient(ctx, name, p)
	if err != nil {
		return nil, err
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return &bucket{client: client, name: name, prefix: prefix, idle: p.idle}, nil
}

func (b *bucket) Stat(ctx context.Context, key string) (Info, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: aws.String(b.prefix + key)})
	if err != nil {
		return Info{}, b.wrap(key, err)
	}
	return Info{
		Key: key, Size: aws.ToInt64(out.ContentLength), ETag: strings.Trim(aws.ToString(out.ETag), `"`),
		Modified: aws.ToTime(out.LastModified).UTC(),
	}, nil
}

func (b *bucket) Put(ctx context.Context, key string, body io.ReadSeeker) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: aws.String(b.prefix + key), Body: body})
	return b.wrap(key, err)
}

func (b *bucket) Remove(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: aws.String(b.prefix + key)})
	return b.wrap(key, err)
}
