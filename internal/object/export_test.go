package object

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// OpenImpatient opens a bucket that asks again at once, and waits for a body's next byte only so long.
func OpenImpatient(ctx context.Context, bucket string, idle time.Duration) (Store, error) {
	p := impatience()
	p.idle = idle
	return openBucket(ctx, bucket, p)
}

// BucketRegion asks the endpoint that is set where a bucket lies.
func BucketRegion(ctx context.Context, name string) (string, error) {
	client, err := newClient(ctx, name, impatience())
	if err != nil {
		return "", err
	}
	return bucketRegion(ctx, client, name)
}

// Addressing tells how requests are made.
func Addressing(ctx context.Context, name string) (s3.Options, error) {
	client, err := newClient(ctx, name, impatience())
	if err != nil {
		return s3.Options{}, err
	}
	return client.Options(), nil
}

func impatience() patience {
	p := usualPatience()
	p.backoff = time.Millisecond
	return p
}
