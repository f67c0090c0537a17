package live_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/live"
)

// apply runs Apply and returns its steps as "kind: action".
func apply(t *testing.T, e *local, s provision.Setup) (provision.Outputs, []string) {
	t.Helper()
	var steps []string
	out, err := live.Apply(t.Context(), e.config(), s, func(s live.Step) {
		steps = append(steps, string(s.Kind)+": "+string(s.Action))
	})
	if err != nil {
		t.Fatalf("after %v: %v", steps, err)
	}
	return out, steps
}

func here() provision.Setup { return provision.Setup{Account: account, Region: "us-east-1"} }

// kinds are the kinds of the set-up's resources, each with an action.
func kinds(s provision.Setup, action live.Action) (list []string) {
	for _, r := range s.Resources() {
		list = append(list, string(r.Kind)+": "+string(action))
	}
	return list
}

// reads tells whether an operation changes nothing.
func reads(op string) bool {
	return slices.ContainsFunc([]string{"Get", "Describe", "List", "Head"}, func(verb string) bool { return strings.HasPrefix(op, verb) })
}

func TestApply(t *testing.T) {
	e := startEndpoint(t)
	plan, err := live.Plan(t.Context(), e.config(), here())
	if err != nil {
		t.Fatal(err)
	}
	var planned []string
	for _, s := range plan {
		planned = append(planned, string(s.Kind)+": "+string(s.Action))
	}
	want := kinds(here(), live.Create)
	if diff := cmp.Diff(want, planned); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	for op := range e.called() {
		if !reads(op) {
			t.Errorf("the plan called %s", op)
		}
	}
	if _, err := live.ReadOutputs(t.Context(), e.config(), here()); !errors.Is(err, live.ErrNotSetUp) {
		t.Errorf("outputs before: %v", err)
	}
	out, steps := apply(t, e, here())
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("first run (-want +got):\n%s", diff)
	}
	e.called()
	again, steps := apply(t, e, here())
	if diff := cmp.Diff(kinds(here(), live.Unchanged), steps); diff != "" {
		t.Errorf("second run (-want +got):\n%s", diff)
	}
	for op := range e.called() {
		if !reads(op) {
			t.Errorf("second run called %s", op)
		}
	}
	if diff := cmp.Diff(out, again); diff != "" {
		t.Errorf("outputs (-first +second):\n%s", diff)
	}
	wantOut := provision.Outputs{
		Bucket: "ai-trail-111122223333-us-east-1", TrailARN: "arn:aws:cloudtrail:us-east-1:111122223333:trail/ai-trail", Trail: "ai-trail",
		Prefix: "cloudtrail", Region: "us-east-1", LogGroup: "/aws/cloudtrail/ai-trail",
		LogGroupARN: "arn:aws:logs:us-east-1:111122223333:log-group:/aws/cloudtrail/ai-trail:*",
		RoleARN:     "arn:aws:iam::111122223333:role/ai-trail-cloudwatch-logs", LeftOut: []string{},
		QueueURL: e.url + "/111122223333/ai-trail-log-files", QueueARN: "arn:aws:sqs:us-east-1:111122223333:ai-trail-log-files",
	}
	if diff := cmp.Diff(wantOut, out); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	read, err := live.ReadOutputs(t.Context(), e.config(), here())
	if diff := cmp.Diff(out, read); diff != "" || err != nil {
		t.Errorf("outputs read (-applied +read):\n%s%v", diff, err)
	}
	status, err := cloudtrail.NewFromConfig(e.config()).GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: &out.TrailARN})
	if err != nil || !*status.IsLogging {
		t.Errorf("trail status: %+v, %v", status, err)
	}
}

func TestApplyMendsWhatDiffers(t *testing.T) {
	e := startEndpoint(t)
	out, _ := apply(t, e, here())
	c, objects := cloudtrail.NewFromConfig(e.config()), s3.NewFromConfig(e.config(), func(o *s3.Options) { o.UsePathStyle = true })
	name := &out.TrailARN
	if _, err := c.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: name}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: name, EnableLogFileValidation: aws.Bool(false)}); err != nil {
		t.Fatal(err)
	}
	if _, err := objects.DeletePublicAccessBlock(t.Context(), &s3.DeletePublicAccessBlockInput{Bucket: &out.Bucket}); err != nil {
		t.Fatal(err)
	}
	s := here()
	s.LogRetentionDays, s.RetentionDays, s.DataTypes = 30, 365, []string{"AWS::Bedrock::Model"}
	plan, err := live.Plan(t.Context(), e.config(), s)
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string][]string{}
	for _, step := range plan {
		for _, c := range step.Changes {
			changes[string(step.Kind)] = append(changes[string(step.Kind)], c.Property)
		}
	}
	wantChanges := map[string][]string{
		"lifecycle": {"Rules"}, "log group": {"RetentionInDays"}, "trail": {"AdvancedEventSelectors", "EnableLogFileValidation", "IsLogging"},
	}
	if diff := cmp.Diff(wantChanges, changes); diff != "" {
		t.Errorf("planned changes (-want +got):\n%s", diff)
	}
	_, steps := apply(t, e, s)
	steps = slices.DeleteFunc(steps, func(s string) bool { return strings.HasSuffix(s, ": unchanged") })
	want := []string{"public access block: create", "lifecycle: update", "log group: update", "trail: update"}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	selectors, err := c.GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: name})
	if err != nil || len(selectors.AdvancedEventSelectors) != 2 {
		t.Errorf("selectors: %+v, %v", selectors, err)
	}
}

func TestRefusedDataTypesAreLeftOut(t *testing.T) {
	e := startEndpoint(t)
	s := here()
	s.DataTypes = []string{"AWS::Bedrock::Guardrail", "AWS::Bedrock::Model", "AWS::Nowhere::One", "AWS::Lex::Bot", "AWS::Nowhere::Two"}
	for run := range 2 {
		out, steps := apply(t, e, s)
		if diff := cmp.Diff([]string{"AWS::Nowhere::One", "AWS::Nowhere::Two"}, out.LeftOut); diff != "" {
			t.Errorf("run %d: left out (-want +got):\n%s", run, diff)
		}
		want := "trail: create"
		if run > 0 {
			want = "trail: unchanged"
		}
		if !slices.Contains(steps, want) || !slices.Contains(steps, "data events: left out") {
			t.Errorf("run %d: %v, want %s", run, steps, want)
		}
	}
	got, err := cloudtrail.NewFromConfig(e.config()).GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: aws.String("ai-trail")})
	if err != nil || len(got.AdvancedEventSelectors) != 4 {
		t.Errorf("selectors: %+v, %v; want management and three types", got, err)
	}
}

// Whichever call fails, before it took effect or after, running Apply again finishes the work.
func TestApplyGoesOnAfterAnyFailure(t *testing.T) {
	e := startEndpoint(t)
	s := here()
	s.DataTypes, s.OwnKey, s.InvocationLogging = []string{"AWS::Bedrock::Model"}, true, true
	connection := &faulty{RoundTripper: http.DefaultTransport, seen: map[string]bool{}}
	cfg := e.config()
	cfg.HTTPClient = connection
	for range 400 {
		connection.hit = ""
		_, err := live.Apply(t.Context(), cfg, s, nil)
		if err != nil && connection.hit == "" {
			t.Fatal(err)
		}
		if err == nil && connection.hit != "" {
			t.Fatalf("%s: lost, and Apply said nothing", connection.hit)
		}
		if err == nil {
			break
		}
	}
	list, err := kms.NewFromConfig(e.config()).ListKeys(t.Context(), &kms.ListKeysInput{})
	if err != nil || len(list.Keys) != 1 {
		t.Errorf("keys: %v, %v; each costs money", list, err)
	}
	if n := len(connection.seen); n < 50 || connection.hit != "" {
		t.Errorf("%d failures, the last %q", n, connection.hit)
	}
	_, steps := apply(t, e, s)
	for _, step := range steps {
		if !strings.HasSuffix(step, ": unchanged") {
			t.Errorf("afterwards: %s", step)
		}
	}
}

// A new role or policy takes a while to be seen by CloudTrail; Apply waits for it, but not for ever.
func TestEventually(t *testing.T) {
	notYet := &smithy.GenericAPIError{Code: "NotYet"}
	other := errors.New("other")
	for _, tt := range []struct {
		name        string
		err         error
		failures    int
		calls       int
		least, most time.Duration
		want        error
	}{
		{"at once", nil, 0, 1, 0, 0, nil},
		{"after three failures", notYet, 3, 4, time.Second, time.Minute, nil},
		{"never", notYet, 1000, 10, time.Minute, time.Minute, notYet},
		{"another error", other, 1000, 1, 0, 0, other},
	} {
		synctest.Test(t, func(t *testing.T) {
			began, calls := time.Now(), 0
			err := live.Eventually(t.Context(), func() error {
				if calls++; calls <= tt.failures {
					return tt.err
				}
				return nil
			}, "NotYet")
			took := time.Since(began)
			if !errors.Is(err, tt.want) || calls < tt.calls-1 || calls > tt.calls || took < tt.least || took > tt.most {
				t.Errorf("%s: %v after %d calls and %s", tt.name, err, calls, took)
			}
		})
	}
}

func TestApplyRefusesBeforeItBegins(t *testing.T) {
	e := startEndpoint(t)
	var invalid *provision.InvalidError
	_, err := live.Apply(t.Context(), e.config(), provision.Setup{Account: "1", Region: "us-east-1"}, nil)
	if !errors.As(err, &invalid) {
		t.Errorf("got %v", err)
	}
	if n := e.called(); len(n) > 0 {
		t.Errorf("called %v", n)
	}
}
