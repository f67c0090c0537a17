package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// body reads an S3 object, and asks for the rest when the connection breaks off or stalls.
type body struct {
	ctx    context.Context
	bucket *bucket
	key    string
	etag   *string
	size   int64

	offset  int64 // bytes given so far
	failed  int   // resumptions since a byte came
	content io.ReadCloser
	cancel  context.CancelFunc // of the request under way
	idle    *time.Timer        // cancels it when no byte comes
}

// request asks for the object from offset on.
func (r *body) request() (*s3.GetObjectOutput, error) {
	ctx, cancel := context.WithCancel(r.ctx)
	in := &s3.GetObjectInput{Bucket: &r.bucket.name, Key: aws.String(r.bucket.prefix + r.key)}
	if r.offset > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", r.offset))
	}
	if r.etag != nil {
		in.IfMatch = r.etag
	}
	gzip := strings.HasSuffix(r.key, ".gz") // has a checksum of its own
	var out *s3.GetObjectOutput
	var err error
	if gzip {
		out = r.bucket.getter.get(ctx, in)
	}
	if out == nil {
		out, err = r.bucket.client.GetObject(ctx, in, func(o *s3.Options) {
			if gzip {
				o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
			}
		})
	}
	if err != nil {
		cancel()
		switch status(err) {
		case http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
			err = errors.Join(ErrChanged, err)
		}
		return nil, r.bucket.wrap(r.key, err)
	}
	if r.etag != nil && aws.ToString(out.ETag) != *r.etag { // not every endpoint minds If-Match
		cancel()
		_ = out.Body.Close()
		return nil, r.bucket.wrap(r.key, ErrChanged)
	}
	r.content, r.cancel = out.Body, cancel
	r.idle = time.AfterFunc(r.bucket.idle, cancel)
	return out, nil
}

// Read implements io.Reader.
func (r *body) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if r.content == nil {
			if _, err := r.request(); err != nil {
				return 0, err
			}
		}
		r.idle.Reset(r.bucket.idle)
		n, err := r.content.Read(p)
		r.offset += int64(n)
		if n > 0 {
			r.failed = 0
			return n, nil // an error comes again with the next read
		}
		switch {
		case err == nil:
			continue
		case r.offset >= r.size:
			return 0, err // the end, or that S3's checksum is another
		case r.ctx.Err() != nil:
			return 0, r.ctx.Err()
		case r.failed == resumptions:
			return 0, fmt.Errorf("%s: broke off after %d of %d bytes: %w", r.bucket.URL(r.key), r.offset, r.size, err)
		}
		r.failed++
		r.stop()
	}
	return 0, nil
}

// stop ends the request under way.
func (r *body) stop() {
	if r.content == nil {
		return
	}
	r.idle.Stop()
	r.cancel()
	_ = r.content.Close() // what the connection says to being cut off is no news
	r.content = nil
}

// Close implements io.Closer.
func (r *body) Close() error {
	r.stop()
	return nil
}
