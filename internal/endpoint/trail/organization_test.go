package trail_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

const memberAccount = "444455556666"

// inOrganization makes a world whose account manages an organization with one member. The function records an event in
// the member account.
func inOrganization(t *testing.T) (w *world, invoke func(names ...string)) {
	w = newWorld(t)
	clock := func() time.Time { return w.now }
	record, err := trail.OpenRecorder(filepath.Join(w.dir, "member"), trail.RecorderOptions{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { record.Close() })
	w.options = func(o *trail.Options) {
		o.Organization = trail.Organization{
			ID: "o-exampleorgid", Trusted: func(string) (bool, error) { return true, nil },
			Members: map[string]*trail.Recorder{memberAccount: record},
		}
	}
	w.restart()
	return w, func(names ...string) {
		t.Helper()
		for _, name := range names {
			e := w.event(bedrock, name, home)
			e.RecipientAccountID = memberAccount
			if err := record.Record(t.Context(), []cloudtrail.Event{*e}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// folders returns the names of the events delivered, by the folder of their account.
func (w *world) folders() map[string][]string {
	w.t.Helper()
	byFolder := map[string][]string{}
	for path, o := range w.bucket.sorted() {
		k, ok := cloudtrail.ParseKey(path)
		if !ok {
			w.t.Fatalf("key %s", path)
		}
		if k.Kind != cloudtrail.KindLog {
			continue
		}
		for _, e := range readLogFile(w.t, o) {
			if e.EventSource == bedrock {
				folder := strings.TrimPrefix(k.Organization+"/"+k.Account, "/")
				byFolder[folder] = append(byFolder[folder], e.EventName)
			}
		}
	}
	for _, names := range byFolder {
		slices.Sort(names)
	}
	return byFolder
}

// The events of all accounts are delivered while the trail is the organization's and logs; those of a member not before,
// between, nor after. Each account's chain holds.
func TestOrganizationTrail(t *testing.T) {
	w, member := inOrganization(t)
	step := func() {
		t.Helper()
		w.now = w.now.Add(10 * time.Second)
		w.flush()
	}
	member("before")
	w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail","EnableLogFileValidation":true}`)
	w.do("StartLogging", `{"Name":"ai-trail"}`)
	w.invoke("own")
	member("not yet")
	step()
	w.do("UpdateTrail", `{"Name":"ai-trail","IsOrganizationTrail":true}`)
	w.invoke("all own")
	member("all")
	w.restart()
	step()
	w.do("StopLogging", `{"Name":"ai-trail"}`)
	member("stopped")
	step()
	w.do("StartLogging", `{"Name":"ai-trail"}`)
	member("again")
	w.do("UpdateTrail", `{"Name":"ai-trail","IsOrganizationTrail":false}`)
	w.invoke("own again")
	member("no longer")
	step()
	step()
	got := w.folders()
	want := map[string][]string{
		"111122223333":                    {"own", "own again"},
		"o-exampleorgid/111122223333":     {"all own"},
		"o-exampleorgid/" + memberAccount: {"again", "all"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, c := range w.verify().Chains {
		if c.LogFiles.Total != c.LogFiles.Verified || c.Digests.Verified == 0 {
			t.Errorf("chain: %+v", c)
		}
	}
}

// The process is killed at every put: the events of both accounts are delivered once all the same.
func TestOrganizationTrailWheneverKilled(t *testing.T) {
	for put := 1; ; put++ {
		w, member := inOrganization(t)
		w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail","EnableLogFileValidation":true,"IsOrganizationTrail":true}`)
		w.do("StartLogging", `{"Name":"ai-trail"}`)
		w.invoke("A")
		member("B")
		w.now = w.now.Add(time.Minute)
		w.bucket.crash = func(n int, after bool) bool { return n == put && after == (put%2 == 0) }
		alive := w.survive()
		w.bucket.crash = nil
		if !alive {
			w.restart()
			w.now = w.now.Add(time.Minute)
		}
		w.flush()
		want := map[string][]string{"o-exampleorgid/111122223333": {"A"}, "o-exampleorgid/" + memberAccount: {"B"}}
		if diff := cmp.Diff(want, w.folders()); diff != "" {
			t.Errorf("killed at put %d: %s", put, diff)
		}
		w.verify()
		if alive {
			if put < 5 {
				t.Errorf("only %d puts", put-1)
			}
			return
		}
	}
}

// Log groups have a stream for each account.
func TestOrganizationLogStreams(t *testing.T) {
	w, member := inOrganization(t)
	w.do("CreateLogGroup", `{"logGroupName":"ai"}`)
	w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail","IsOrganizationTrail":true,
		"CloudWatchLogsLogGroupArn":"arn:aws:logs:us-east-1:111122223333:log-group:ai:*","CloudWatchLogsRoleArn":"arn:aws:iam::111122223333:role/r"}`)
	w.do("StartLogging", `{"Name":"ai-trail"}`)
	w.invoke("A")
	member("B")
	w.flush()
	var out struct {
		LogStreams []struct{ LogStreamName string }
	}
	unmarshal(t, w.do("DescribeLogStreams", `{"logGroupName":"ai"}`), &out)
	var names []string
	for _, s := range out.LogStreams {
		names = append(names, s.LogStreamName)
	}
	want := []string{"o-exampleorgid_111122223333_CloudTrail_us-east-1", "o-exampleorgid_444455556666_CloudTrail_us-east-1"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"A", "B"}, slices.Sorted(slices.Values(w.inLogs("ai", bedrock)))); diff != "" {
		t.Error(diff)
	}
}
