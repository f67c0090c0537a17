package object

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/encoding/httpbinding"
)

// getter asks for objects without the SDK's some forty steps of a request, which take about as long as inflating a usual log file
// does. It knows one answer, the object; whatever else comes, the SDK asks again, and says what is wrong, waits, or puts the
// clock right.
type getter struct {
	client s3.HTTPClient
	signer *v4.Signer
	creds  aws.CredentialsProvider
	region string
	base   url.URL // of the bucket
}

// newGetter returns nil where requests are of another kind.
func newGetter(ctx context.Context, client *s3.Client, bucket string) *getter {
	o := client.Options()
	if o.Credentials == nil || o.EndpointResolverV2 == nil || o.HTTPClient == nil || o.UseAccelerate ||
		strings.HasSuffix(bucket, "--x-s3") || strings.Contains(bucket, ":") { // directory buckets, access points
		return nil
	}
	at, err := o.EndpointResolverV2.ResolveEndpoint(ctx, s3.EndpointParameters{
		Bucket: &bucket, Region: &o.Region, Endpoint: o.BaseEndpoint, ForcePathStyle: &o.UsePathStyle,
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	}.WithDefaults())
	if err != nil || len(at.Headers) > 0 {
		return nil
	}
	return &getter{
		client: o.HTTPClient, creds: o.Credentials, region: o.Region, base: at.URI,
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }),
	}
}

// noBody is the SHA-256 of a request without a body.
const noBody = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// get returns the object, or nil when the SDK is to ask for it. The caller closes the body.
func (g *getter) get(ctx context.Context, in *s3.GetObjectInput) *s3.GetObjectOutput {
	if g == nil {
		return nil
	}
	creds, err := g.creds.Retrieve(ctx)
	if err != nil || !creds.HasKeys() {
		return nil
	}
	at := g.base
	at.Path = strings.TrimSuffix(at.Path, "/") + "/" + *in.Key
	at.RawPath = httpbinding.EscapePath(at.Path, false)
	r := (&http.Request{Method: http.MethodGet, URL: &at, Host: at.Host, Header: http.Header{
		"User-Agent": {"aitrail"}, "Accept-Encoding": {"identity"}, "X-Amz-Content-Sha256": {noBody},
	}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	want := http.StatusOK
	if in.Range != nil {
		r.Header.Set("Range", *in.Range)
		want = http.StatusPartialContent
	}
	if in.IfMatch != nil {
		r.Header.Set("If-Match", *in.IfMatch)
	}
	if err := g.signer.SignHTTP(ctx, creds, r, noBody, "s3", g.region, time.Now()); err != nil {
		return nil
	}
	resp, err := g.client.Do(r)
	if err != nil {
		return nil
	}
	modified, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err != nil || resp.StatusCode != want || resp.ContentLength < 0 {
		_ = resp.Body.Close() // of an answer that isn't used
		return nil
	}
	out := &s3.GetObjectOutput{Body: resp.Body, ContentLength: &resp.ContentLength, LastModified: &modified, Metadata: map[string]string{}}
	if etag := resp.Header.Get("Etag"); etag != "" {
		out.ETag = &etag
	}
	for name, values := range resp.Header {
		if name, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			out.Metadata[name] = values[0]
		}
	}
	return out
}
