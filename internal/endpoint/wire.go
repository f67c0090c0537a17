package endpoint

import (
	"bytes"
	"context"
	"net/http"
	"net/url"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/logs"
	"github.com/aitrail/aitrail/internal/endpoint/s3"
	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

// buckets is S3 as trails deliver to it.
type buckets struct{ *s3.Service }

// DeliverObject implements trail.Buckets.
func (b buckets) DeliverObject(ctx context.Context, o *trail.Object) error {
	return b.Deliver(ctx, s3.Delivery{
		Bucket: o.Bucket, Key: o.Key, Body: o.Body, ContentType: o.ContentType, ContentEncoding: o.ContentEncoding,
		Metadata: o.Metadata, Trail: o.Trail, KMSKey: o.KMSKey,
	})
}

// invocationLogs is where model invocation logs go to.
type invocationLogs struct {
	*logs.Service
	objects *s3.Service
	account string
	roles   func(ctx context.Context, role, service, action, resource string) error
}

// DeliverInvocations implements ai.Destinations. The ARN is one that the documented policy's condition is true of.
func (d invocationLogs) DeliverInvocations(ctx context.Context, region, bucket, key string, body []byte) error {
	return d.objects.Deliver(ctx, s3.Delivery{
		Bucket: bucket, Key: key, Body: body, ContentType: "application/gzip",
		Bedrock: "arn:aws:bedrock:" + region + ":" + d.account + ":model-invocation-logging",
	})
}

// CheckLogGroup implements ai.Destinations.
func (d invocationLogs) CheckLogGroup(ctx context.Context, region, group, stream, role string) error {
	if !d.HasLogGroup(region, group) {
		return &awsapi.Error{Code: "ResourceNotFoundException", Message: "The specified log group does not exist."}
	}
	arn := "arn:aws:logs:" + region + ":" + d.account + ":log-group:" + group + ":log-stream:" + stream
	for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents"} {
		if err := d.roles(ctx, role, "bedrock.amazonaws.com", action, arn); err != nil {
			return &awsapi.Error{Code: "AccessDeniedException", Message: err.Error()}
		}
	}
	return nil
}

// reader reads objects for the AI services.
type reader struct {
	objects *s3.Service
	opts    Options
}

// object returns an object's content; false when it can't be had.
func (r reader) object(ctx context.Context, bucket, key string) ([]byte, bool) {
	u := &url.URL{Path: "/" + bucket + "/" + key}
	request := (&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}).WithContext(ctx)
	operation, _, ok := r.objects.Route(request, nil)
	if !ok {
		return nil, false
	}
	account := r.opts.Account
	c := &awsapi.Call{
		Request: request, ID: requestID("s3"), Time: r.opts.Now().UTC(), Account: account, Region: r.opts.Region,
		Signing: "s3", Operation: operation,
		Caller: &awsapi.Identity{Kind: awsapi.Root, Account: account, ARN: "arn:aws:iam::" + account + ":root", PrincipalID: account},
	}
	r.objects.Describe(c)
	answer, err := r.objects.Serve(c)
	if err != nil {
		return nil, false
	}
	if answer.Stream == nil {
		return answer.Body, true
	}
	var b bytes.Buffer
	if _, err := answer.Stream(&b, func() {}); err != nil {
		return nil, false
	}
	return b.Bytes(), true
}
