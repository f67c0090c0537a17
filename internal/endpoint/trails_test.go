package endpoint_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	brtypes "github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	cttypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/translate"
	"github.com/google/go-cmp/cmp"

	trailevent "github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint"
)

// fields is an advanced event selector of conditions such as "eventName Equals A,B".
func fields(conditions ...string) cttypes.AdvancedEventSelector {
	var s cttypes.AdvancedEventSelector
	for _, c := range conditions {
		p := strings.SplitN(c, " ", 3)
		f := cttypes.AdvancedFieldSelector{Field: &p[0]}
		values := strings.Split(p[2], ",")
		switch p[1] {
		case "Equals":
			f.Equals = values
		case "StartsWith":
			f.StartsWith = values
		case "NotEquals":
			f.NotEquals = values
		case "NotStartsWith":
			f.NotStartsWith = values
		}
		s.FieldSelectors = append(s.FieldSelectors, f)
	}
	return s
}

// names are the delivered events "Region name category", sorted, of the events that keep takes.
func names(t *testing.T, h *held, keep func(e *trailevent.Event) bool) []string {
	t.Helper()
	var all []string
	for key, o := range h.objects {
		k, ok := trailevent.ParseKey(key)
		if !ok || k.Kind != trailevent.KindLog {
			continue
		}
		var file struct{ Records []json.RawMessage }
		if err := json.Unmarshal(inflated(t, o.body), &file); err != nil {
			t.Fatal(err)
		}
		for _, r := range file.Records {
			var e trailevent.Event
			if err := e.Decode(string(r)); err != nil {
				t.Fatal(err)
			}
			if e.AWSRegion != k.Region {
				t.Errorf("%s holds an event of %s", key, e.AWSRegion)
			}
			if keep(&e) {
				all = append(all, strings.TrimSpace(e.AWSRegion+" "+e.EventName+" "+e.EventCategory))
			}
		}
	}
	slices.Sort(all)
	return all
}

// ai tells events of AI services from what setting up makes.
func ai(e *trailevent.Event) bool {
	return e.EventSource == "bedrock.amazonaws.com" || e.EventSource == "translate.amazonaws.com"
}

// TestStreamsAreDeliveredAsBoth has a trail with data events of models get four records of a streaming call.
func TestStreamsAreDeliveredAsBoth(t *testing.T) {
	b := open(t, endpoint.Options{})
	b.makeTrail(t, &cloudtrail.CreateTrailInput{Name: aws.String("both"), S3BucketName: aws.String("both-logs")})
	b.makeTrail(t, &cloudtrail.CreateTrailInput{Name: aws.String("data"), S3BucketName: aws.String("data-logs")})
	b.makeTrail(t, &cloudtrail.CreateTrailInput{Name: aws.String("default"), S3BucketName: aws.String("default-logs")})
	models := fields("eventCategory Equals Data", "resources.type Equals AWS::Bedrock::Model")
	for name, selectors := range map[string][]cttypes.AdvancedEventSelector{
		"both": {fields("eventCategory Equals Management"), models}, "data": {models},
	} {
		if _, err := cloudtrail.NewFromConfig(b.root).PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: &name, AdvancedEventSelectors: selectors}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.converse(t, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	const call, data, done = "us-east-1 ConverseStream Management", "us-east-1 ConverseStream Data", "us-east-1 ConverseStream"
	for bucket, want := range map[string][]string{
		"both-logs": {done, data, data, call}, "data-logs": {data, data}, "default-logs": {done, call},
	} {
		if diff := cmp.Diff(want, names(t, b.objects(t, bucket), ai)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", bucket, diff)
		}
	}
	// Each record has an id of its own.
	seen := map[string]bool{}
	names(t, b.objects(t, "both-logs"), func(e *trailevent.Event) bool {
		if seen[e.EventID] {
			t.Errorf("%s has the id of another", e.AppendJSON(nil))
		}
		seen[e.EventID] = true
		return false
	})
}

// TestTrailsDeliverWhatTheySelect has several trails, each with its Regions, selectors and times.
func TestTrailsDeliverWhatTheySelect(t *testing.T) {
	now := &clock{t: time.Now().Truncate(time.Second)}
	b := open(t, endpoint.Options{Now: now.now})
	eu := b.root.Copy()
	eu.Region = "eu-west-1"
	create := func(name, bucket string, multi, global bool) {
		b.makeTrail(t, &cloudtrail.CreateTrailInput{Name: &name, S3BucketName: &bucket, IsMultiRegionTrail: &multi, IncludeGlobalServiceEvents: &global})
	}
	create("everywhere", "everywhere-logs", true, true)
	create("home", "home-logs", false, true)
	create("local", "local-logs", false, false)
	create("writes", "writes-logs", false, false)
	create("data", "data-logs", true, true)
	trails := cloudtrail.NewFromConfig(b.root)
	if _, err := trails.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: aws.String("writes"), EventSelectors: []cttypes.EventSelector{{ReadWriteType: "WriteOnly"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := trails.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: aws.String("data"), AdvancedEventSelectors: []cttypes.AdvancedEventSelector{
		fields("eventCategory Equals Data", "resources.type Equals AWS::Bedrock::Guardrail", "userIdentity.arn NotStartsWith arn:aws:iam::111122223333:user/"),
	}}); err != nil {
		t.Fatal(err)
	}
	var sixth *cttypes.MaximumNumberOfTrailsExceededException
	if _, err := trails.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("sixth"), S3BucketName: aws.String("home-logs")}); code(err) != sixth.ErrorCode() {
		t.Errorf("a sixth trail: %v", err)
	}
	g := b.makeGuardrail(t)
	for _, cfg := range []aws.Config{b.root, eu} {
		if _, err := translate.NewFromConfig(cfg).TranslateText(t.Context(), &translate.TranslateTextInput{Text: aws.String("Hi"), SourceLanguageCode: aws.String("en"), TargetLanguageCode: aws.String("fr")}); err != nil {
			t.Fatal(err)
		}
	}
	for _, cfg := range []aws.Config{b.root, b.user(t, "ci", allow("*"))} {
		if _, err := bedrockruntime.NewFromConfig(cfg).ApplyGuardrail(t.Context(), &bedrockruntime.ApplyGuardrailInput{
			GuardrailIdentifier: g.GuardrailId, GuardrailVersion: aws.String("DRAFT"), Source: "INPUT",
			Content: []brtypes.GuardrailContentBlock{&brtypes.GuardrailContentBlockMemberText{Value: brtypes.GuardrailTextBlock{Text: aws.String("Hi")}}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := iam.NewFromConfig(eu).ListUsers(t.Context(), &iam.ListUsersInput{}); err != nil { // a global service
		t.Fatal(err)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	const home, away, made, listed = "us-east-1 TranslateText Management", "eu-west-1 TranslateText Management", "us-east-1 CreateGuardrail Management", "us-east-1 ListUsers Management"
	keep := func(e *trailevent.Event) bool { return ai(e) || e.EventName == "ListUsers" }
	readOnly := b.readOnly("TranslateText")
	for bucket, want := range map[string][]string{
		"everywhere-logs": {away, home, made, listed},
		"home-logs":       {home, made, listed},
		"local-logs":      {home, made},
		"writes-logs":     {home, made},
		"data-logs":       {"us-east-1 ApplyGuardrail Data"},
	} {
		if bucket == "writes-logs" && readOnly {
			want = []string{made}
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, names(t, b.objects(t, bucket), keep)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", bucket, diff)
		}
	}
	b.checkWindows(t, now)
}

// readOnly tells how a call is recorded.
func (b *bench) readOnly(name string) bool {
	for _, e := range b.recorded() {
		if e.EventName == name {
			return e.ReadOnly == trailevent.True
		}
	}
	return false
}

// checkWindows stops, starts and deletes a trail, and holds its status and files against that.
func (b *bench) checkWindows(t *testing.T, now *clock) {
	t.Helper()
	trails := cloudtrail.NewFromConfig(b.root)
	status := func() *cloudtrail.GetTrailStatusOutput {
		t.Helper()
		out, err := trails.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: aws.String("local")})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	marked := func(n int) {
		t.Helper()
		now.add(time.Second)
		name := fmt.Sprint("mark-", n) // an error all the same
		_, err := bedrockruntime.NewFromConfig(b.root).InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: &name, Body: []byte("{}")})
		if code(err) != "ValidationException" {
			t.Fatal(err)
		}
	}
	flush := func() {
		t.Helper()
		now.add(time.Second)
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	marked(1)
	if s := status(); !*s.IsLogging || s.StartLoggingTime == nil || s.StopLoggingTime != nil || s.LatestDeliveryTime == nil || aws.ToString(s.LatestDeliveryError) != "" {
		t.Errorf("while it logs: %+v", s)
	}
	if _, err := trails.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: aws.String("local")}); err != nil {
		t.Fatal(err)
	}
	stopped := now.now()
	marked(2)
	flush()
	if s := status(); *s.IsLogging || s.StopLoggingTime == nil || s.StopLoggingTime.Sub(stopped).Abs() > time.Second {
		t.Errorf("when stopped: %+v", s)
	}
	if _, err := trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("local")}); err != nil {
		t.Fatal(err)
	}
	marked(3)
	if _, err := trails.DeleteTrail(t.Context(), &cloudtrail.DeleteTrailInput{Name: aws.String("local")}); err != nil {
		t.Fatal(err)
	}
	marked(4)
	flush()
	var got []string
	names(t, b.objects(t, "local-logs"), func(e *trailevent.Event) bool {
		if strings.Contains(string(e.RequestParameters), "mark-") {
			got = append(got, object(t, e.RequestParameters)["modelId"].(string))
		}
		return false
	})
	slices.Sort(got)
	if diff := cmp.Diff([]string{"mark-1", "mark-3"}, got); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	if _, err := trails.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: aws.String("local")}); code(err) != "TrailNotFoundException" {
		t.Errorf("a deleted trail's status: %v", err)
	}
}

// TestSelectorsRefused has PutEventSelectors refuse what CloudTrail refuses, with its code, and change nothing.
func TestSelectorsRefused(t *testing.T) {
	b := open(t, endpoint.Options{})
	b.makeTrail(t, &cloudtrail.CreateTrailInput{Name: aws.String("main"), S3BucketName: aws.String("main-logs")})
	trails := cloudtrail.NewFromConfig(b.root)
	management := fields("eventCategory Equals Management")
	many := func(n int) []cttypes.AdvancedEventSelector {
		s := fields("eventCategory Equals Data", "resources.type Equals AWS::Bedrock::Model", "eventName Equals "+strings.TrimSuffix(strings.Repeat("a,", n), ","))
		return []cttypes.AdvancedEventSelector{s}
	}
	for name, tt := range map[string]struct {
		basic    []cttypes.EventSelector
		advanced []cttypes.AdvancedEventSelector
		refused  bool
	}{
		"500 values":           {advanced: many(498)},
		"501 values":           {advanced: many(499), refused: true},
		"basic and advanced":   {basic: []cttypes.EventSelector{{}}, advanced: []cttypes.AdvancedEventSelector{management}, refused: true},
		"neither":              {refused: true},
		"six basic":            {basic: make([]cttypes.EventSelector, 6), refused: true},
		"an unknown type":      {advanced: []cttypes.AdvancedEventSelector{fields("eventCategory Equals Data", "resources.type Equals AWS::Bedrock::Prompt")}, refused: true},
		"one unknown of two":   {advanced: []cttypes.AdvancedEventSelector{management, fields("eventCategory Equals Data", "resources.type Equals AWS::BedrockMantle::Reservation")}, refused: true},
		"prompt versions":      {advanced: []cttypes.AdvancedEventSelector{fields("eventCategory Equals Data", "resources.type Equals AWS::Bedrock::PromptVersion")}},
		"mantle projects":      {advanced: []cttypes.AdvancedEventSelector{fields("eventCategory Equals Data", "resources.type Equals AWS::BedrockMantle::Project")}},
		"management by name":   {advanced: []cttypes.AdvancedEventSelector{fields("eventCategory Equals Management", "eventName Equals InvokeModel")}, refused: true},
		"network of Bedrock":   {advanced: []cttypes.AdvancedEventSelector{fields("eventCategory Equals NetworkActivity", "eventSource Equals bedrock.amazonaws.com")}},
		"network of mantle":    {advanced: []cttypes.AdvancedEventSelector{fields("eventCategory Equals NetworkActivity", "eventSource Equals bedrock-mantle.amazonaws.com")}, refused: true},
		"management but KMS's": {advanced: []cttypes.AdvancedEventSelector{fields("eventCategory Equals Management", "eventSource NotEquals kms.amazonaws.com")}},
	} {
		before, err := trails.GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: aws.String("main")})
		if err != nil {
			t.Fatal(err)
		}
		_, err = trails.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: aws.String("main"), EventSelectors: tt.basic, AdvancedEventSelectors: tt.advanced})
		if (code(err) == "InvalidEventSelectorsException") != tt.refused || err != nil && !tt.refused {
			t.Errorf("%s: %v", name, err)
		}
		after, err := trails.GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: aws.String("main")})
		if err != nil {
			t.Fatal(err)
		}
		if tt.refused && (len(before.AdvancedEventSelectors) != len(after.AdvancedEventSelectors) || len(before.EventSelectors) != len(after.EventSelectors)) {
			t.Errorf("%s: refused, but changed", name)
		}
		if e := b.last(t, "GetEventSelectors"); e.ErrorCode != "" {
			t.Errorf("%s: %+v", name, e)
		}
	}
}
