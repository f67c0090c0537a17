package live_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/live"
)

// down runs Down and returns its steps as "ID: action reason".
func down(t *testing.T, e *local, s provision.Setup) []string {
	t.Helper()
	var steps []string
	err := live.Down(t.Context(), e.config(), s, func(s live.Step) {
		steps = append(steps, strings.TrimSpace(s.ID+": "+string(s.Action)+" "+s.Reason))
	})
	if err != nil {
		t.Fatalf("after %v: %v", steps, err)
	}
	return steps
}

func buckets(e *local) *s3.Client {
	return s3.NewFromConfig(e.config(), func(o *s3.Options) { o.UsePathStyle = true })
}

func TestDownKeepsWhatHoldsSomething(t *testing.T) {
	e := startEndpoint(t)
	s := here()
	s.OwnKey, s.InvocationLogging = true, true
	out, _ := apply(t, e, s)
	if err := e.server.Flush(t.Context()); err != nil { // the trail delivers
		t.Fatal(err)
	}
	want := []string{
		"invocation-logging: remove", "invocation-bucket: remove", "trail: remove", "role: remove", "log-group: keep holds the events of the last days",
		"log-bucket-notification: remove", "queue: remove", "log-bucket: keep holds log files and digests", "key: keep the key of what the buckets hold",
	}
	if diff := cmp.Diff(want, down(t, e, s)); diff != "" {
		t.Errorf("down (-want +got):\n%s", diff)
	}
	again := slices.DeleteFunc(want, func(s string) bool { return strings.HasSuffix(s, "remove") })
	if diff := cmp.Diff(again, down(t, e, s)); diff != "" {
		t.Errorf("down again (-want +got):\n%s", diff)
	}
	list, err := buckets(e).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &out.Bucket})
	if err != nil || len(list.Contents) == 0 {
		t.Errorf("log files: %v, %v", list, err)
	}
	if _, err := buckets(e).GetPublicAccessBlock(t.Context(), &s3.GetPublicAccessBlockInput{Bucket: &out.Bucket}); err != nil {
		t.Errorf("the bucket is open: %v", err)
	}
	// It comes back with the same bucket and key.
	up, _ := apply(t, e, s)
	if diff := cmp.Diff(out, up); diff != "" {
		t.Errorf("outputs (-before +after):\n%s", diff)
	}
}

func TestDownRemovesAllThatIsEmpty(t *testing.T) {
	e := startEndpoint(t)
	s := here()
	s.OwnKey = true
	cfg := e.config()
	cfg.HTTPClient = answering(func(r *http.Request) (int, string) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".CreateTrail") {
			return http.StatusForbidden, `{"__type":"AccessDeniedException","message":"no"}`
		}
		return 0, ""
	})
	if _, err := live.Apply(t.Context(), cfg, s, nil); !live.IsAccessDenied(err) {
		t.Fatal(err)
	}
	keys := kms.NewFromConfig(e.config())
	list, err := keys.ListKeys(t.Context(), &kms.ListKeysInput{})
	if err != nil || len(list.Keys) != 1 {
		t.Fatalf("keys: %v, %v", list, err)
	}
	want := []string{
		"role: remove", "log-group: remove", "log-bucket-notification: remove", "queue: remove", "log-bucket: remove", "key: remove",
	}
	if diff := cmp.Diff(want, down(t, e, s)); diff != "" {
		t.Errorf("down (-want +got):\n%s", diff)
	}
	if got := down(t, e, s); len(got) > 0 {
		t.Errorf("down again: %v", got)
	}
	k, err := keys.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: list.Keys[0].KeyArn})
	if err != nil || k.KeyMetadata.KeyState != "PendingDeletion" {
		t.Errorf("key: %+v, %v", k, err)
	}
}

func TestDownGoesOnAfterAnyFailure(t *testing.T) {
	e := startEndpoint(t)
	s := here()
	s.DataTypes, s.OwnKey, s.InvocationLogging = []string{"AWS::Bedrock::Model"}, true, true
	apply(t, e, s)
	connection := &faulty{RoundTripper: http.DefaultTransport, seen: map[string]bool{}}
	cfg := e.config()
	cfg.HTTPClient = connection
	for range 400 {
		connection.hit = ""
		err := live.Down(t.Context(), cfg, s, nil)
		if (err == nil) != (connection.hit == "") {
			t.Fatalf("%q: %v", connection.hit, err)
		}
		if err == nil {
			break
		}
	}
	if n := len(connection.seen); n < 30 || connection.hit != "" {
		t.Errorf("%d failures, the last %q", n, connection.hit)
	}
	plan, err := live.Plan(t.Context(), e.config(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range plan {
		kept := strings.HasPrefix(step.ID, "key") || strings.HasPrefix(step.ID, "log-")
		if step.ID == "log-bucket-notification" {
			kept = false
		}
		if (step.Action == live.Create) == kept {
			t.Errorf("afterwards: %s: %s %v", step.ID, step.Action, step.Err)
		}
	}
}

// What was there before stays, is added to, and outlives Down.
func TestWhatWasThereStays(t *testing.T) {
	e := startEndpoint(t)
	s := here().Defaults()
	c, objects := cloudtrail.NewFromConfig(e.config()), buckets(e)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &s.Bucket}))
	const reader = `{"Sid":"Reader","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::ai-trail-111122223333-us-east-1/*"}`
	must(objects.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &s.Bucket, Policy: aws.String(
		strings.Replace(s.BucketPolicy(), `"Statement":[`, `"Statement":[`+reader+`,`, 1))}))
	must(objects.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: &s.Bucket, Tagging: &s3types.Tagging{TagSet: []s3types.Tag{{Key: aws.String("owner"), Value: aws.String("ana")}}}}))
	must(objects.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{Bucket: &s.Bucket, LifecycleConfiguration: &s3types.BucketLifecycleConfiguration{
		Rules: []s3types.LifecycleRule{{ID: aws.String("mine"), Status: "Enabled", Filter: &s3types.LifecycleRuleFilter{Prefix: aws.String("tmp/")}, Expiration: &s3types.LifecycleExpiration{Days: aws.Int32(1)}}},
	}}))
	must(c.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: &s.Trail, S3BucketName: &s.Bucket, S3KeyPrefix: &s.Prefix}))
	basic := []types.EventSelector{{
		ReadWriteType: types.ReadWriteTypeWriteOnly, IncludeManagementEvents: aws.Bool(true), ExcludeManagementEventSources: []string{"kms.amazonaws.com"},
		DataResources: []types.DataResource{{Type: aws.String("AWS::S3::Object"), Values: []string{"arn:aws:s3:::accounts/"}}, {Type: aws.String("AWS::Lambda::Function"), Values: []string{"arn:aws:lambda"}}},
	}}
	must(c.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: &s.Trail, EventSelectors: basic}))
	s.DataTypes = []string{"AWS::Bedrock::Model"}
	s.NoQueue, s.Queue = true, ""
	for range 2 {
		apply(t, e, s)
	}
	names := func() map[string]types.AdvancedEventSelector {
		out, err := c.GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: &s.Trail})
		must(nil, err)
		found := map[string]types.AdvancedEventSelector{}
		for _, a := range out.AdvancedEventSelectors {
			found[*a.Name] = a
		}
		return found
	}
	got := names()
	for name, values := range map[string][]string{
		"aitrail management": {"eventCategory=Management"}, "aitrail AWS::Bedrock::Model": {"eventCategory=Data", "resources.type=AWS::Bedrock::Model"},
		"management (was basic selector 1)":            {"eventCategory=Management", "eventSource!=kms.amazonaws.com", "readOnly=false"},
		"AWS::S3::Object (was basic selector 1)":       {"eventCategory=Data", "resources.type=AWS::S3::Object", "resources.ARN^arn:aws:s3:::accounts/", "readOnly=false"},
		"AWS::Lambda::Function (was basic selector 1)": {"eventCategory=Data", "resources.type=AWS::Lambda::Function", "readOnly=false"},
	} {
		var have []string
		for _, f := range got[name].FieldSelectors {
			have = append(have, *f.Field+strings.Join(append(prefixed("=", f.Equals), append(prefixed("!=", f.NotEquals), prefixed("^", f.StartsWith)...)...), ""))
		}
		if diff := cmp.Diff(values, have); diff != "" {
			t.Errorf("selector %q (-want +got):\n%s", name, diff)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("more selectors: %v", got)
	}
	// A type that isn't wanted any more goes; the others' stay.
	s.DataTypes = []string{}
	apply(t, e, s)
	if got := names(); len(got) != 4 {
		t.Errorf("after taking a type away: %v", got)
	}
	p, err := objects.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: &s.Bucket})
	must(nil, err)
	l, err := objects.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: &s.Bucket})
	must(nil, err)
	tags, err := objects.GetBucketTagging(t.Context(), &s3.GetBucketTaggingInput{Bucket: &s.Bucket})
	must(nil, err)
	if !strings.Contains(*p.Policy, "Reader") || len(l.Rules) != 2 || len(tags.TagSet) != 2 {
		t.Errorf("policy %s\n%d rules, %d tags", *p.Policy, len(l.Rules), len(tags.TagSet))
	}
	want := []string{"trail: keep was not created by aitrail", "role: remove", "log-group: remove", "log-bucket: keep was not created by aitrail"}
	if diff := cmp.Diff(want, down(t, e, s)); diff != "" {
		t.Errorf("down (-want +got):\n%s", diff)
	}
}

func prefixed(prefix string, list []string) []string {
	var out []string
	for _, v := range list {
		out = append(out, prefix+v)
	}
	return out
}

func TestSelectorsThatDontFit(t *testing.T) {
	e := startEndpoint(t)
	s := here()
	s.DataTypes = []string{"AWS::Bedrock::Model"}
	out, _ := apply(t, e, s)
	c := cloudtrail.NewFromConfig(e.config())
	var arns []string
	for i := range 490 {
		arns = append(arns, "arn:aws:s3:::b"+strings.Repeat("x", i%40)+"/"+strings.Repeat("y", i/40))
	}
	_, err := c.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: &out.TrailARN, AdvancedEventSelectors: []types.AdvancedEventSelector{{
		Name: aws.String("mine"), FieldSelectors: []types.AdvancedFieldSelector{
			{Field: aws.String("eventCategory"), Equals: []string{"Data"}}, {Field: aws.String("resources.type"), Equals: []string{"AWS::S3::Object"}},
			{Field: aws.String("resources.ARN"), StartsWith: arns},
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = live.Apply(t.Context(), e.config(), here(), nil)
	var limit *live.SelectorLimitError
	if !errors.As(err, &limit) || limit.Others != 492 || !strings.Contains(err.Error(), "492") {
		t.Errorf("got %v", err)
	}
	e.called()
	if _, err := live.Apply(t.Context(), e.config(), s, nil); err != nil {
		t.Errorf("few selectors fit: %v", err)
	}
}

// answering answers the calls for which its function returns a body, and passes the others on.
type answering func(*http.Request) (status int, body string)

func (f answering) Do(r *http.Request) (*http.Response, error) {
	if status, body := f(r); status != 0 {
		h := http.Header{"Content-Type": {"application/xml"}}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestBucketOfAnotherAccount(t *testing.T) {
	for name, fake := range map[string]answering{
		"seen": func(r *http.Request) (int, string) {
			if r.Method == http.MethodHead {
				return http.StatusForbidden, ""
			}
			return 0, ""
		},
		"taken meanwhile": func(r *http.Request) (int, string) {
			if r.Method == http.MethodPut && r.URL.RawQuery == "" || r.URL.RawQuery == "x-id=CreateBucket" {
				return http.StatusConflict, `<Error><Code>BucketAlreadyExists</Code><Message>The requested bucket name is not available.</Message></Error>`
			}
			return 0, ""
		},
	} {
		e := startEndpoint(t)
		cfg := e.config()
		cfg.HTTPClient = fake
		_, err := live.Apply(t.Context(), cfg, here(), nil)
		var taken *live.BucketError
		var partial *live.PartialError
		if !errors.As(err, &taken) || !errors.As(err, &partial) || taken.Bucket != here().Defaults().Bucket || len(partial.Done) != 0 || len(partial.Left) < 10 {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAccessDeniedHalfway(t *testing.T) {
	e := startEndpoint(t)
	cfg := e.config()
	cfg.HTTPClient = answering(func(r *http.Request) (int, string) {
		if strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS") {
			return http.StatusForbidden, `{"__type":"com.amazonaws.sqs#AccessDeniedException","message":"no"}`
		}
		return 0, ""
	})
	_, err := live.Apply(t.Context(), cfg, here(), nil)
	var partial *live.PartialError
	if !errors.As(err, &partial) || !live.IsAccessDenied(err) {
		t.Fatalf("got %v", err)
	}
	if partial.Failed.ID != "queue" || len(partial.Done) != 7 || len(partial.Done)+1+len(partial.Left) != len(here().Resources()) {
		t.Errorf("failed at %s, %d done, %d left", partial.Failed.ID, len(partial.Done), len(partial.Left))
	}
	plan, err := live.Plan(t.Context(), cfg, here())
	if err != nil {
		t.Fatal(err)
	}
	unknown := 0
	for _, s := range plan {
		if s.Err != nil {
			unknown++
		}
	}
	if unknown != 2 || len(plan) != len(here().Resources()) {
		t.Errorf("%d of %d steps unknown, want those of the queue", unknown, len(plan))
	}
}

func TestTrailLimit(t *testing.T) {
	e := startEndpoint(t)
	s := here()
	s.DataTypes, s.NoQueue = []string{}, true
	c := cloudtrail.NewFromConfig(e.config())
	out, _ := apply(t, e, s)
	p := strings.ReplaceAll(s.BucketPolicy(), "trail/ai-trail", "trail/*")
	p = strings.ReplaceAll(p, `"StringEquals":{"aws:SourceArn"`, `"StringLike":{"aws:SourceArn"`)
	if _, err := buckets(e).PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &out.Bucket, Policy: &p}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"t-1", "t-2", "t-3", "t-4"} {
		if _, err := c.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: &name, S3BucketName: &out.Bucket, S3KeyPrefix: &out.Prefix}); err != nil {
			t.Fatal(err)
		}
	}
	s.Trail = "sixth"
	_, err := live.Apply(t.Context(), e.config(), s, nil)
	var partial *live.PartialError
	if !errors.As(err, &partial) || partial.Failed.Kind != provision.KindTrail || !strings.Contains(err.Error(), "MaximumNumberOfTrails") {
		t.Errorf("got %v", err)
	}
}
