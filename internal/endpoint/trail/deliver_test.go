package trail_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

const bedrock = "bedrock.amazonaws.com"

// logging makes a trail that logs, with log file validation.
func logging(t *testing.T, more string) *world {
	t.Helper()
	w := newWorld(t)
	w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail","S3KeyPrefix":"p","EnableLogFileValidation":true`+more+`}`)
	w.do("StartLogging", `{"Name":"ai-trail"}`)
	return w
}

func TestDeliversLogFilesAndDigests(t *testing.T) {
	w := logging(t, "")
	w.invoke("A", "B")
	w.now = w.now.Add(5 * time.Second)
	w.flush()
	w.invoke("C")
	w.now = w.now.Add(5 * time.Second)
	w.flush()
	w.now = w.now.Add(5 * time.Second)
	w.flush() // nothing new: a digest without files

	if diff := cmp.Diff([]string{"A", "B", "C"}, slices.Sorted(slices.Values(w.delivered(bedrock)))); diff != "" {
		t.Error(diff)
	}
	report := w.verify()
	if len(report.Chains) != 1 {
		t.Fatalf("%d chains", len(report.Chains))
	}
	chain := report.Chains[0]
	if chain.Digests.Verified != 3 || chain.LogFiles.Verified != 2 || chain.Region != home || chain.Trail != "ai-trail" {
		t.Errorf("chain: %+v", chain)
	}
	for path, o := range w.bucket.sorted() {
		if !strings.HasPrefix(path, "ai-trail/p/AWSLogs/111122223333/CloudTrail") || o.Trail != "arn:aws:cloudtrail:us-east-1:111122223333:trail/ai-trail" ||
			o.ContentEncoding != "gzip" {
			t.Errorf("object %s of trail %s, encoding %q", path, o.Trail, o.ContentEncoding)
		}
	}
	var status map[string]any
	unmarshal(t, w.do("GetTrailStatus", `{"Name":"ai-trail"}`), &status)
	want := map[string]any{
		"IsLogging": true, "LatestDeliveryTime": 1795341610.0, "LatestDigestDeliveryTime": 1795341615.0,
		"StartLoggingTime": 1795341600.0, "TimeLoggingStarted": "2026-11-22T10:00:00Z", "TimeLoggingStopped": "",
		"LatestDeliveryAttemptTime": "2026-11-22T10:00:10Z", "LatestDeliveryAttemptSucceeded": "2026-11-22T10:00:10Z",
		"LatestNotificationAttemptTime": "", "LatestNotificationAttemptSucceeded": "",
	}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Error(diff)
	}
}

// The process is killed at every put, before and after it took effect, and after the restart everything is there once.
func TestDeliversExactlyOnceWheneverKilled(t *testing.T) {
	run := func(t *testing.T, crash func(put int, after bool) bool) (puts int, died bool) {
		w := logging(t, `,"IsMultiRegionTrail":true`)
		w.invoke("A", "B")
		w.put(w.event(bedrock, "Far", "eu-west-1"))
		w.bucket.crash = crash
		if w.survive() {
			w.now = w.now.Add(time.Minute)
			w.invoke("C")
		} else {
			died = true
			w.restart()
			w.now = w.now.Add(time.Minute)
			w.invoke("C") // recorded after the restart, before the repeat
		}
		if !w.survive() {
			died = true
			w.restart()
			w.now = w.now.Add(time.Minute)
		}
		w.flush()
		want := []string{"A", "B", "C", "Far"}
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(w.delivered(bedrock)))); diff != "" {
			t.Error(diff)
		}
		report := w.verify()
		for _, c := range report.Chains {
			if c.LogFiles.Total == 0 || c.LogFiles.Total != c.LogFiles.Verified {
				t.Errorf("chain: %+v", c)
			}
		}
		for _, f := range report.Findings {
			if f.Kind != digest.ChainStarted {
				t.Errorf("note: %+v", f)
			}
		}
		return w.bucket.puts, died
	}
	puts, _ := run(t, nil)
	if puts < 6 {
		t.Fatalf("only %d puts", puts)
	}
	for put := 1; put <= puts; put++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("put %d, after %v", put, after), func(t *testing.T) {
				once := true
				_, died := run(t, func(n int, a bool) bool {
					hit := once && n == put && a == after
					once = once && !hit
					return hit
				})
				if !died && put < puts {
					t.Error("the kill did not happen")
				}
			})
		}
	}
}

// What fails is tried again, the status says so, and a mended destination gets all.
func TestRetriesFailedDelivery(t *testing.T) {
	w := logging(t, `,"IsMultiRegionTrail":true`)
	w.invoke("A")
	w.put(w.event(bedrock, "Far", "eu-west-1"))
	w.bucket.denied = "AccessDenied"
	for range 2 {
		w.now = w.now.Add(10 * time.Second)
		if err := w.service.Flush(t.Context()); err == nil {
			t.Fatal("Flush says nothing of a failed delivery")
		}
	}
	w.invoke("B")
	var status struct{ LatestDeliveryError, LatestDigestDeliveryError, LatestDeliveryAttemptSucceeded string }
	unmarshal(t, w.do("GetTrailStatus", `{"Name":"ai-trail"}`), &status)
	if status.LatestDeliveryError != "AccessDenied" || status.LatestDigestDeliveryError != "AccessDenied" || status.LatestDeliveryAttemptSucceeded != "" {
		t.Errorf("status: %+v", status)
	}
	w.do("UpdateTrail", `{"Name":"ai-trail","S3BucketName":"other-bucket"}`)
	w.bucket.denied = ""
	w.flush() // the failed digest was planned for the old bucket
	w.now = w.now.Add(10 * time.Second)
	w.flush()
	if diff := cmp.Diff([]string{"A", "B", "Far"}, slices.Sorted(slices.Values(w.delivered(bedrock)))); diff != "" {
		t.Error(diff)
	}
	for path := range w.bucket.sorted() {
		if strings.HasPrefix(path, "ai-trail/") {
			t.Errorf("%s is in the bucket that was denied", path)
		}
	}
	status.LatestDeliveryError, status.LatestDigestDeliveryError = "", ""
	unmarshal(t, w.do("GetTrailStatus", `{"Name":"ai-trail"}`), &status)
	if status.LatestDeliveryError != "" || status.LatestDigestDeliveryError != "" {
		t.Errorf("status after mending: %+v", status)
	}
}

// Events between StopLogging and StartLogging are not delivered; that of StopLogging is.
func TestStopAndStartLogging(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		t.Run(fmt.Sprintf("flushed %v", flushed), func(t *testing.T) {
			w := newWorld(t)
			w.invoke("Before")
			w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail","EnableLogFileValidation":true}`)
			w.invoke("NotYet")
			w.do("StartLogging", `{"Name":"ai-trail"}`)
			w.invoke("A")
			w.do("StopLogging", `{"Name":"ai-trail"}`)
			w.invoke("Between") // in the same second
			if flushed {
				w.flush()
			}
			w.restart()
			w.do("StartLogging", `{"Name":"ai-trail"}`)
			w.invoke("B")
			w.flush()
			if diff := cmp.Diff([]string{"A", "B"}, slices.Sorted(slices.Values(w.delivered(bedrock)))); diff != "" {
				t.Error(diff)
			}
			got := slices.Sorted(slices.Values(w.delivered("cloudtrail.amazonaws.com")))
			if diff := cmp.Diff([]string{"StartLogging", "StartLogging", "StopLogging"}, got); diff != "" {
				t.Error(diff)
			}
			if report := w.verify(); report.Chains[0].LogFiles.Verified < 2 {
				t.Errorf("chain: %+v", report.Chains[0])
			}
		})
	}
}

// A change of selectors holds from its call on, however late the delivery.
func TestSelectorsHoldFromTheirCallOn(t *testing.T) {
	w := logging(t, "")
	data := func(name string) *cloudtrail.Event {
		e := w.event(bedrock, name, home)
		e.EventCategory, e.ManagementEvent = "Data", cloudtrail.False
		e.Resources = []cloudtrail.Resource{{Type: "AWS::Bedrock::AgentAlias", ARN: "arn:aws:bedrock:us-east-1:111122223333:agent-alias/A/B"}}
		return e
	}
	w.put(data("Unselected"))
	w.invoke("A")
	w.do("PutEventSelectors", `{"TrailName":"ai-trail","AdvancedEventSelectors":[{"Name":"agents","FieldSelectors":[
		{"Field":"eventCategory","Equals":["Data"]},{"Field":"resources.type","Equals":["AWS::Bedrock::AgentAlias"]}]}]}`)
	w.put(data("InvokeAgent"))
	w.invoke("Unselected")
	w.flush()
	if diff := cmp.Diff([]string{"A", "InvokeAgent"}, slices.Sorted(slices.Values(w.delivered(bedrock)))); diff != "" {
		t.Error(diff)
	}
}

func TestRegionsAndGlobalServices(t *testing.T) {
	for _, c := range []struct {
		name, region, input string
		want                []string // event name and the Region of its file
	}{
		{"multi-Region", "us-east-1", `"IsMultiRegionTrail":true`, []string{"Iam us-east-1", "Ireland eu-west-1", "Virginia us-east-1"}},
		{"multi-Region elsewhere", "eu-west-1", `"IsMultiRegionTrail":true`, []string{"Iam us-east-1", "Ireland eu-west-1", "Virginia us-east-1"}},
		{"single Region", "us-east-1", `"IncludeGlobalServiceEvents":true`, []string{"Iam us-east-1", "Virginia us-east-1"}},
		{"without global services", "us-east-1", `"IncludeGlobalServiceEvents":false`, []string{"Virginia us-east-1"}},
		{"single Region elsewhere", "eu-west-1", `"IncludeGlobalServiceEvents":true`, []string{"Ireland eu-west-1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for _, call := range [][2]string{
				{"CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail",` + c.input + `}`},
				{"StartLogging", `{"Name":"ai-trail"}`},
			} {
				if _, err := w.callIn(c.region, call[0], call[1]); err != nil {
					t.Fatal(err)
				}
			}
			w.put(w.event(bedrock, "Virginia", "us-east-1"), w.event(bedrock, "Ireland", "eu-west-1"),
				w.event("iam.amazonaws.com", "Iam", "us-east-1"))
			w.flush()
			got := []string{}
			for path, o := range w.bucket.sorted() {
				k, _ := cloudtrail.ParseKey(path)
				for _, e := range readLogFile(t, o) {
					if e.EventSource != "cloudtrail.amazonaws.com" {
						got = append(got, e.EventName+" "+k.Region)
					}
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const logGroup = `,"CloudWatchLogsLogGroupArn":"arn:aws:logs:us-east-1:111122223333:log-group:audit:*","CloudWatchLogsRoleArn":"arn:aws:iam::111122223333:role/trail"`

func withLogGroup(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.do("CreateLogGroup", `{"logGroupName":"audit"}`)
	w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail"`+logGroup+`}`)
	w.do("StartLogging", `{"Name":"ai-trail"}`)
	return w
}

func TestDeliversToLogGroup(t *testing.T) {
	w := withLogGroup(t)
	w.invoke("A", "B")
	w.groups.crash = true
	if w.survive() {
		t.Fatal("the kill did not happen")
	}
	w.restart()
	w.invoke("C")
	w.flush()
	w.flush()
	big := w.event(bedrock, "TooBig", home)
	big.RequestParameters = cloudtrail.JSON(`"` + strings.Repeat("x", 256<<10) + `"`)
	w.put(big)
	w.flush()
	if diff := cmp.Diff([]string{"A", "B", "C"}, w.inLogs("audit", bedrock)); diff != "" {
		t.Error(diff)
	}
	if got := w.delivered(bedrock); !slices.Contains(got, "TooBig") {
		t.Errorf("delivered to the bucket: %v", got)
	}
	var streams struct {
		LogStreams []struct{ LogStreamName string }
	}
	unmarshal(t, w.do("DescribeLogStreams", `{"logGroupName":"audit"}`), &streams)
	if len(streams.LogStreams) != 1 || streams.LogStreams[0].LogStreamName != "111122223333_CloudTrail_us-east-1" {
		t.Errorf("streams: %v", streams)
	}
}

// A log group that is gone doesn't hold up the bucket, and gets what it missed when it is back.
func TestLogGroupFailsAlone(t *testing.T) {
	w := withLogGroup(t)
	w.do("DeleteLogGroup", `{"logGroupName":"audit"}`)
	w.invoke("A")
	if err := w.service.Flush(t.Context()); err == nil {
		t.Error("Flush says nothing of a failed delivery")
	}
	if diff := cmp.Diff([]string{"A"}, w.delivered(bedrock)); diff != "" {
		t.Error(diff)
	}
	var status struct{ LatestCloudWatchLogsDeliveryError string }
	unmarshal(t, w.do("GetTrailStatus", `{"Name":"ai-trail"}`), &status)
	if status.LatestCloudWatchLogsDeliveryError != "ResourceNotFoundException" {
		t.Errorf("status: %+v", status)
	}
	w.do("CreateLogGroup", `{"logGroupName":"audit"}`)
	w.flush()
	if diff := cmp.Diff([]string{"A"}, w.inLogs("audit", bedrock)); diff != "" {
		t.Error(diff)
	}
}

// What was recorded while the trail had a log group goes there, and to no other.
func TestChangingLogGroup(t *testing.T) {
	w := withLogGroup(t)
	w.do("CreateLogGroup", `{"logGroupName":"second"}`)
	w.invoke("A")
	w.do("UpdateTrail", `{"Name":"ai-trail"`+strings.Replace(logGroup, "audit", "second", 1)+`}`)
	w.invoke("B")
	w.do("UpdateTrail", `{"Name":"ai-trail","CloudWatchLogsLogGroupArn":"","CloudWatchLogsRoleArn":""}`)
	w.invoke("C")
	w.flush()
	w.do("UpdateTrail", `{"Name":"ai-trail"`+logGroup+`}`)
	w.invoke("D")
	w.flush()
	got := map[string][]string{"audit": w.inLogs("audit", bedrock), "second": w.inLogs("second", bedrock)}
	if diff := cmp.Diff(map[string][]string{"audit": {"A", "D"}, "second": {"B"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCutsLogFiles(t *testing.T) {
	w := newWorld(t)
	w.options = func(o *trail.Options) { o.SpanBytes = 3000 }
	w.restart()
	w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail"}`)
	w.do("StartLogging", `{"Name":"ai-trail"}`)
	want := []string{}
	for i := range 30 {
		name := fmt.Sprintf("E%02d", i)
		want = append(want, name)
		w.invoke(name)
	}
	w.do("PutEventSelectors", `{"TrailName":"ai-trail","EventSelectors":[{"ReadWriteType":"All"}]}`) // ends a span over all
	w.flush()
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(w.delivered(bedrock)))); diff != "" {
		t.Error(diff)
	}
	if n := len(w.bucket.objects); n < 5 {
		t.Errorf("%d files", n)
	}
}

func TestDeleteTrailDeliversTheRest(t *testing.T) {
	w := logging(t, "")
	w.invoke("A")
	w.do("DeleteTrail", `{"Name":"ai-trail"}`)
	w.invoke("B")
	w.restart()
	w.flush()
	if diff := cmp.Diff([]string{"A"}, w.delivered(bedrock)); diff != "" {
		t.Error(diff)
	}
	w.refused("TrailNotFoundException", "GetTrail", `{"Name":"ai-trail"}`)
	if report := w.verify(); report.Chains[0].LogFiles.Verified != 1 {
		t.Errorf("chain: %+v", report.Chains[0])
	}
}

// Switching validation off and on begins a new chain; stopping for a moment doesn't.
func TestChains(t *testing.T) {
	w := logging(t, "")
	step := func(call, in string) {
		t.Helper()
		w.invoke("A")
		w.now = w.now.Add(time.Minute)
		if call != "" {
			w.do(call, in)
		}
		w.flush()
	}
	step("", "")
	step("UpdateTrail", `{"Name":"ai-trail","EnableLogFileValidation":false}`)
	step("", "")
	step("UpdateTrail", `{"Name":"ai-trail","EnableLogFileValidation":true}`)
	step("", "")
	report := w.verify()
	restarts := 0
	for _, f := range report.Findings {
		if f.Kind == digest.ChainRestarted {
			restarts++
		}
	}
	if restarts != 1 {
		t.Errorf("%d restarts; findings: %+v", restarts, report.Findings)
	}
}

func TestDigestsComeEveryHour(t *testing.T) {
	w := newWorld(t)
	w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail","EnableLogFileValidation":true}`)
	w.do("StartLogging", `{"Name":"ai-trail"}`)
	for range 5 {
		w.now = w.now.Add(40 * time.Minute)
		w.invoke("A")
		if err := w.service.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	digests := 0
	for path := range w.bucket.sorted() {
		if k, _ := cloudtrail.ParseKey(path); k.Kind == cloudtrail.KindDigest {
			digests++
		}
	}
	if digests != 2 { // after 80 and 160 minutes
		t.Errorf("%d digests; want 2", digests)
	}
	w.verify()
}

// Run delivers every DeliverEvery, until it is told to stop.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options = func(o *trail.Options) { o.Now, o.DeliverEvery = time.Now, 5*time.Second }
		w.restart()
		w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail"}`)
		w.do("StartLogging", `{"Name":"ai-trail"}`)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.service.Run(ctx) }()
		synctest.Wait()
		for _, name := range []string{"A", "B", "C"} {
			w.invoke(name)
			if slices.Contains(w.delivered(bedrock), name) {
				t.Errorf("%s is delivered at once", name)
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if !slices.Contains(w.delivered(bedrock), name) {
				t.Errorf("%s isn't delivered after 5 s", name)
			}
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	})
}
