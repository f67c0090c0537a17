package coverage_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/coverage"
)

const account = "111122223333"

// at is a time of the day of the tests, as in "03:00".
func at(clock string) time.Time {
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, clock); err == nil {
			return time.Date(2026, 11, 20, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
		}
	}
	panic(clock)
}

func event(clock, name, parameters string) coverage.Event {
	return coverage.Event{Time: at(clock), Name: name, Parameters: parameters, Account: account, Region: "us-east-1", Actor: "ana", ID: name}
}

const (
	created    = `{"name":"main","s3BucketName":"logs","isMultiRegionTrail":true,"enableLogFileValidation":true}`
	named      = `{"name":"main"}`
	agents     = `{"trailName":"main","advancedEventSelectors":[{"fieldSelectors":[{"field":"eventCategory","equals":["Management"]}]},{"fieldSelectors":[{"field":"eventCategory","equals":["Data"]},{"field":"resources.type","equals":["AWS::Bedrock::AgentAlias"]}]}]}`
	writesOnly = `{"trailName":"main","eventSelectors":[{"readWriteType":"WriteOnly"}]}`
)

// world is the facts of one trail, "main" of us-east-1.
type world struct {
	events  []coverage.Event
	seen    []coverage.Sighting
	arrived *coverage.Arrived
	files   []coverage.Files
	now     string
}

// digests adds digests of an hour each, from one hour to another.
func (w *world) digests(region string, state coverage.State, note, from, to string) {
	if w.arrived == nil {
		w.arrived = &coverage.Arrived{}
	}
	for t := at(from); t.Before(at(to)); t = t.Add(time.Hour) {
		w.arrived.Digest(coverage.Digest{
			Account: account, Region: region, Trail: "main", HomeRegion: "us-east-1",
			From: t, To: t.Add(time.Hour), State: state, Note: note,
		})
	}
}

func (w *world) report(q coverage.Question) *coverage.Report {
	f := &coverage.Facts{History: coverage.NewHistory(w.events, w.seen), Files: w.files, Now: at(w.now)}
	if w.arrived != nil {
		w.arrived.Verified = at(w.now)
		f.Arrived = map[string]*coverage.Arrived{"s3://logs": w.arrived}
	}
	return f.Report(q)
}

// spans writes how a kind was covered: "covered 00:00-03:00 | gap 03:00-04:00 …".
func spans(t *testing.T, r *coverage.Report, region, service, kind string) string {
	t.Helper()
	for _, s := range r.Services {
		for _, k := range s.Kinds {
			if s.Service == service && s.Region == region && k.Kind == kind {
				return written(k.Spans)
			}
		}
	}
	t.Fatalf("no %s %s in %s", service, kind, region)
	return ""
}

func written(spans []coverage.Span) string {
	var parts []string
	for _, s := range spans {
		parts = append(parts, fmt.Sprintf("%s %s-%s", s.State, s.From.Format("15:04"), s.To.Format("15:04")))
	}
	return strings.Join(parts, " | ")
}

func TestStates(t *testing.T) {
	const reads, alias = "management reads", "AWS::Bedrock::AgentAlias"
	made := []coverage.Event{event("00:00", "CreateTrail", created), event("00:00", "StartLogging", named)}
	ask := coverage.Question{Service: "bedrock", Since: at("00:00"), Until: at("08:00")}
	tests := map[string]struct {
		world
		region, kind string
		want         string
	}{
		"all is there, but for what may still come": {
			world: world{events: made, now: "08:20"}, kind: reads,
			want: "covered 00:00-07:45 | pending 07:45-08:00",
		},
		"no selector chooses it":   {world: world{events: made, now: "08:20"}, kind: alias, want: "not_recorded 00:00-08:00"},
		"selectors were changed":   {world: world{events: append(made[:2:2], event("02:30", "PutEventSelectors", agents)), now: "09:30"}, kind: alias, want: "not_recorded 00:00-02:30 | covered 02:30-08:00"},
		"writes only from then on": {world: world{events: append(made[:2:2], event("05:00", "PutEventSelectors", writesOnly)), now: "09:30"}, kind: reads, want: "covered 00:00-05:00 | not_recorded 05:00-08:00"},
		"the request is not in the record": {
			world: world{events: append(made[:2:2], event("05:00", "PutEventSelectors", named)), now: "09:30"}, kind: reads,
			want: "covered 00:00-05:00 | unknown 05:00-08:00",
		},
		"logging was stopped": {
			world: world{events: append(made[:2:2], event("02:00", "StopLogging", named), event("04:00", "StartLogging", named)), now: "09:30"}, kind: reads,
			want: "covered 00:00-02:00 | stopped 02:00-04:00 | covered 04:00-08:00",
		},
		"it was started by nothing that was recorded, and digests began": {
			world: world{events: append(made[:2:2], event("02:00", "StopLogging", named)), now: "09:30"}, kind: reads,
			want: "covered 00:00-02:00 | stopped 02:00-04:00 | covered 04:00-08:00",
		},
		"the trail was deleted": {
			world: world{events: append(made[:2:2], event("06:00", "DeleteTrail", named)), now: "09:30"}, kind: reads,
			want: "covered 00:00-06:00 | stopped 06:00-08:00",
		},
		"nothing tells of the trail": {world: world{now: "09:30"}, kind: reads, want: "unknown 00:00-08:00"},
		"CloudTrail was asked once": {
			world: world{now: "09:30", files: []coverage.Files{{Place: coverage.Place{Account: account, Region: "us-east-1"}, First: at("01:00")}},
				seen: []coverage.Sighting{sighting("09:00", agents)}}, kind: alias,
			want: "covered 00:00-08:00", // its digests, which begin at 00:00, have no event of a change
		},
		"an answer contradicts the last event": {
			world: world{now: "09:30", events: append(made[:2:2], event("02:00", "PutEventSelectors", writesOnly)), seen: []coverage.Sighting{sighting("07:00", agents)}}, kind: reads,
			want: "covered 00:00-02:00 | unknown 02:00-07:00 | covered 07:00-08:00",
		},
		"a Region without digests": {
			world: world{events: made, now: "09:30", files: []coverage.Files{{Place: coverage.Place{Account: account, Region: "eu-west-1"}, First: at("01:00")}}}, region: "eu-west-1", kind: reads,
			want: "unknown 00:00-08:00",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if strings.HasSuffix(name, "digests began") {
				tt.digests("us-east-1", coverage.Covered, "", "00:00", "02:00")
				tt.digests("us-east-1", coverage.Covered, "", "04:00", "09:00")
			} else {
				tt.digests("us-east-1", coverage.Covered, "", "00:00", tt.now[:2]+":00")
			}
			if tt.region == "" {
				tt.region = "us-east-1"
			}
			if got := spans(t, tt.report(ask), tt.region, "bedrock", tt.kind); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func sighting(clock, put string) coverage.Sighting {
	var in struct {
		AdvancedEventSelectors []cloudtrail.AdvancedEventSelector
	}
	if err := json.Unmarshal([]byte(put), &in); err != nil {
		panic(err)
	}
	return coverage.Sighting{
		Trail: coverage.Trail{Account: account, HomeRegion: "us-east-1", Name: "main"}, From: at(clock), To: at(clock), Started: at("00:00"),
		Settings: coverage.Settings{Logging: true, MultiRegion: true, Validation: true, Bucket: "logs", Selectors: cloudtrail.Selectors{Advanced: in.AdvancedEventSelectors}},
	}
}

// TestArrival has every kind of fault reported in its time, and nothing else.
func TestArrival(t *testing.T) {
	made := []coverage.Event{event("00:00", "CreateTrail", created), event("00:00", "StartLogging", named)}
	ask := coverage.Question{Service: "comprehend", Since: at("00:00"), Until: at("08:00")}
	chain := coverage.Digest{Account: account, Region: "us-east-1", Trail: "main", HomeRegion: "us-east-1"}
	missing := coverage.Missing{Object: "s3://logs/a", From: at("02:10"), To: at("02:12:59"), State: coverage.Gap, Note: "log file missing"}
	tests := map[string]struct {
		make func(w *world)
		want string
	}{
		"whole": {func(*world) {}, "covered 00:00-08:00"},
		"a digest is missing: events before its hour may have come in it": {
			func(w *world) { w.digests("us-east-1", coverage.Gap, "digest missing", "03:00", "04:00") },
			"covered 00:00-02:45 | gap 02:45-04:00 | covered 04:00-08:00",
		},
		"two digests are missing": {
			func(w *world) { w.digests("us-east-1", coverage.Gap, "digest missing", "03:00", "05:00") },
			"covered 00:00-02:45 | gap 02:45-05:00 | covered 05:00-08:00",
		},
		"a digest can't be proven": {
			func(w *world) { w.digests("us-east-1", coverage.Unknown, "no keys", "03:00", "04:00") },
			"covered 00:00-02:45 | unknown 02:45-04:00 | covered 04:00-08:00",
		},
		"a log file is missing": {func(w *world) { w.arrived.Absent(chain, missing) }, "covered 00:00-02:10 | gap 02:10-02:13 | covered 02:13-08:00"},
		"a missing log file came late": {
			func(w *world) {
				w.arrived.Absent(chain, missing)
				w.arrived.Came(func(object string) bool { return object == missing.Object })
			}, "covered 00:00-08:00",
		},
		"a missing digest came late": {
			func(w *world) {
				w.digests("us-east-1", coverage.Gap, "digest missing", "03:00", "04:00")
				w.digests("us-east-1", coverage.Covered, "", "03:00", "04:00")
			}, "covered 00:00-08:00",
		},
		"no digests come any more": {func(w *world) { w.now = "14:30" }, "covered 00:00-08:00"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := &world{events: made, now: "09:30"}
			w.digests("us-east-1", coverage.Covered, "", "00:00", "09:00")
			tt.make(w)
			r := w.report(ask)
			if got := spans(t, r, "us-east-1", "comprehend", "management reads"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if got := written(r.Places[0].Spans); got != tt.want {
				t.Errorf("place: got %s\nwant        %s", got, tt.want)
			}
		})
	}
	w := &world{events: made, now: "14:30"}
	w.digests("us-east-1", coverage.Covered, "", "00:00", "09:00")
	ask.Until = time.Time{}
	if got, want := spans(t, w.report(ask), "us-east-1", "comprehend", "management reads"), "covered 00:00-08:45 | gap 08:45-14:30"; got != want {
		t.Errorf("overdue digests: got %s, want %s", got, want)
	}
}

// TestTwoTrails takes the better of two trails at each time, for each kind of events.
func TestTwoTrails(t *testing.T) {
	w := &world{now: "09:30", events: []coverage.Event{
		event("00:00", "CreateTrail", created), event("00:00", "StartLogging", named),
		event("00:00", "CreateTrail", strings.ReplaceAll(created, "main", "data")), event("00:00", "StartLogging", `{"name":"data"}`),
		event("00:00", "PutEventSelectors", strings.ReplaceAll(agents, "main", "data")),
	}}
	w.digests("us-east-1", coverage.Covered, "", "00:00", "09:00")
	w.digests("us-east-1", coverage.Gap, "digest missing", "03:00", "04:00")
	for h := range 9 {
		state := coverage.Covered
		if h == 5 {
			state = coverage.Gap
		}
		w.arrived.Digest(coverage.Digest{Account: account, Region: "us-east-1", Trail: "data", HomeRegion: "us-east-1",
			From: at("00:00").Add(time.Duration(h) * time.Hour), To: at("01:00").Add(time.Duration(h) * time.Hour), State: state})
	}
	r := w.report(coverage.Question{Service: "bedrock", Since: at("00:00"), Until: at("08:00")})
	if got, want := spans(t, r, "us-east-1", "bedrock", "management reads"), "covered 00:00-04:45 | covered 04:45-06:00 | covered 06:00-08:00"; got != want {
		t.Errorf("reads, of both trails: got %s, want %s", got, want)
	}
	if got, want := spans(t, r, "us-east-1", "bedrock", "AWS::Bedrock::AgentAlias"), "covered 00:00-04:45 | gap 04:45-06:00 | covered 06:00-08:00"; got != want {
		t.Errorf("data, of one trail: got %s, want %s", got, want)
	}
}

// TestTwoSources has a trail's bucket verified under two names, under one of them not lately: what the other knows by now
// counts.
func TestTwoSources(t *testing.T) {
	var behind, ahead world
	behind.digests("us-east-1", coverage.Covered, "", "00:00", "03:00")
	ahead.digests("us-east-1", coverage.Covered, "", "00:00", "05:00")
	ahead.arrived.Absent(coverage.Digest{Account: account, Region: "us-east-1", Trail: "main", HomeRegion: "us-east-1"},
		coverage.Missing{Object: "s3://logs/a", From: at("04:10"), To: at("04:20"), State: coverage.Gap})
	behind.arrived.Absent(coverage.Digest{Account: account, Region: "us-east-1", Trail: "main", HomeRegion: "us-east-1"},
		coverage.Missing{Object: "s3://logs/b", From: at("01:10"), To: at("01:20"), State: coverage.Pending})
	ahead.arrived.Absent(coverage.Digest{Account: account, Region: "us-east-1", Trail: "main", HomeRegion: "us-east-1"},
		coverage.Missing{Object: "s3://logs/b", From: at("01:10"), To: at("01:20"), State: coverage.Gap})
	behind.digests("us-east-1", coverage.Pending, "", "02:00", "03:00")
	ahead.digests("us-east-1", coverage.Unknown, "digest unverifiable", "02:00", "03:00")
	ahead.arrived.Verified, behind.arrived.Verified = at("05:00"), at("03:00")
	f := &coverage.Facts{
		History: coverage.NewHistory([]coverage.Event{event("00:00", "CreateTrail", created), event("00:00", "StartLogging", named)}, nil),
		Arrived: map[string]*coverage.Arrived{"s3://logs": behind.arrived, "s3://logs/trail": ahead.arrived}, Now: at("05:10"),
	}
	got := spans(t, f.Report(coverage.Question{Service: "bedrock", Since: at("00:00"), Until: at("05:00")}), "us-east-1", "bedrock", "management reads")
	if want := "covered 00:00-01:10 | gap 01:10-01:20 | covered 01:20-01:45 | unknown 01:45-03:00 | covered 03:00-04:10 | gap 04:10-04:20 | covered 04:20-04:45 | pending 04:45-05:00"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A log file that may still come hides no gap of the same time, of another log file or a digest, nor that nothing tells of it.
func TestGapStandsAgainstPending(t *testing.T) {
	w := &world{now: "05:10", events: []coverage.Event{event("00:00", "CreateTrail", created), event("00:00", "StartLogging", named)}}
	w.digests("us-east-1", coverage.Covered, "", "00:00", "05:00")
	w.digests("us-east-1", coverage.Gap, "digest missing", "03:00", "04:00")
	w.digests("us-east-1", coverage.Unknown, "digest unverifiable", "04:00", "05:00")
	for _, m := range []coverage.Missing{
		{Object: "s3://logs/a", From: at("01:10"), To: at("01:20"), State: coverage.Gap},
		{Object: "s3://logs/b", From: at("01:00"), To: at("01:30"), State: coverage.Pending},
		{Object: "s3://logs/c", From: at("02:30"), To: at("03:10"), State: coverage.Pending},
		{Object: "s3://logs/d", From: at("04:10"), To: at("04:20"), State: coverage.Pending},
	} {
		w.arrived.Absent(coverage.Digest{Account: account, Region: "us-east-1", Trail: "main", HomeRegion: "us-east-1"}, m)
	}
	got := spans(t, w.report(coverage.Question{Service: "bedrock", Since: at("00:00"), Until: at("05:00")}), "us-east-1", "bedrock", "management reads")
	if want := "covered 00:00-01:00 | pending 01:00-01:10 | gap 01:10-01:20 | pending 01:20-01:30 | covered 01:30-02:30 | pending 02:30-02:45 | gap 02:45-04:00 | unknown 04:00-05:00"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestEventHistory has the event history tell of writes what a trail doesn't: of an account without one, of a time in which it was
// stopped, of a gap.
func TestEventHistory(t *testing.T) {
	w := world{now: "09:30", events: []coverage.Event{
		event("00:00", "CreateTrail", created), event("00:00", "StartLogging", named), event("05:00", "StopLogging", named),
	}}
	w.digests("us-east-1", coverage.Covered, "", "00:00", "05:00")
	w.digests("us-east-1", coverage.Gap, "digest missing", "03:00", "04:00")
	f := &coverage.Facts{
		History: coverage.NewHistory(w.events, nil), Arrived: map[string]*coverage.Arrived{"s3://logs": w.arrived}, Now: at(w.now),
		Read: []coverage.Read{
			{Place: coverage.Place{Account: account, Region: "us-east-1"}, From: at("02:00"), To: at("09:00")},
			{Place: coverage.Place{Account: "444455556666", Region: "eu-west-1"}, From: at("02:00"), To: at("04:00")},
		},
	}
	w.arrived.Verified = at("05:00")
	r := f.Report(coverage.Question{Service: "bedrock", Since: at("00:00"), Until: at("09:15")})
	for _, c := range []struct{ region, kind, want string }{
		{"us-east-1", "management writes", "covered 00:00-02:45 | covered 02:45-04:00 | covered 04:00-05:00 | covered 05:00-08:45 | pending 08:45-09:15"},
		{"us-east-1", "management reads", "covered 00:00-02:45 | gap 02:45-04:00 | covered 04:00-05:00 | partly 05:00-09:15"},
		{"us-east-1", "AWS::Bedrock::AgentAlias", "not_recorded 00:00-05:00 | stopped 05:00-09:15"},
		{"eu-west-1", "management writes", "unknown 00:00-02:00 | covered 02:00-03:45 | unknown 03:45-09:15"},
		{"eu-west-1", "AWS::Bedrock::AgentAlias", "unknown 00:00-09:15"},
	} {
		if got := spans(t, r, c.region, "bedrock", c.kind); got != c.want {
			t.Errorf("%s in %s\n got %s\nwant %s", c.kind, c.region, got, c.want)
		}
	}
	for _, p := range r.Places {
		if p.Complete == 1 || len(p.History) != 1 {
			t.Errorf("%s: %v of all arrived; the history tells of %v", p.Region, p.Complete, p.History)
		}
	}
}

// TestOrganization has an organization's trail cover the places of its members, and no others.
func TestOrganization(t *testing.T) {
	const member = "222233334444"
	w := &world{now: "09:30", events: []coverage.Event{
		event("00:00", "CreateTrail", strings.Replace(created, "}", `,"isOrganizationTrail":true}`, 1)), event("00:00", "StartLogging", named),
	}, arrived: &coverage.Arrived{}}
	for _, account := range []string{account, member} {
		w.arrived.Digest(coverage.Digest{Organization: "o-example", Account: account, Region: "us-east-1", Trail: "main", HomeRegion: "us-east-1",
			From: at("00:00"), To: at("09:00"), State: coverage.Covered})
	}
	r := w.report(coverage.Question{Service: "comprehend", Since: at("00:00"), Until: at("08:00")})
	if r.Covered != 1 || len(r.Places) != 2 {
		t.Errorf("covered %v at %d places, want 1 at 2: %+v", r.Covered, len(r.Places), r.Issues)
	}
	w.events[0] = event("00:00", "CreateTrail", created)
	w.arrived.Chains[1].Organization = ""
	r = w.report(coverage.Question{Service: "comprehend", Account: member, Since: at("00:00"), Until: at("08:00")})
	if r.Covered != 0 || r.Issues[0].State != coverage.Unknown {
		t.Errorf("another account's trail of the same name: covered %v, %+v", r.Covered, r.Issues)
	}
}

func TestIssuesAndShares(t *testing.T) {
	w := &world{now: "09:30", events: []coverage.Event{event("00:00", "CreateTrail", created), event("00:00", "StartLogging", named)}}
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		w.digests(region, coverage.Covered, "", "00:00", "09:00")
		w.digests(region, coverage.Gap, "digest missing", "02:00", "03:00")
		w.digests(region, coverage.Gap, "digest missing", "05:00", "06:00")
	}
	r := w.report(coverage.Question{Service: "comprehend", Since: at("00:00"), Until: at("08:00")})
	both := []coverage.Place{{Account: account, Region: "eu-west-1"}, {Account: account, Region: "us-east-1"}}
	want := []coverage.Issue{{
		State: coverage.Gap, Note: "digest missing", All: true, Kinds: []string{"comprehend management reads", "comprehend management writes"}, Places: both,
		Times: []coverage.Time{{From: at("01:45"), To: at("03:00")}, {From: at("04:45"), To: at("06:00")}},
	}}
	if diff := cmp.Diff(want, r.Issues); diff != "" {
		t.Error(diff)
	}
	if got, want := r.Covered, 5.5/8; got != want {
		t.Errorf("covered %v, want %v", got, want)
	}
	if r.Kinds != 2 || len(r.Places) != 2 {
		t.Errorf("%d kinds at %d places", r.Kinds, len(r.Places))
	}
	// One call's kind of events.
	r = w.report(coverage.Question{Service: "bedrock", Operation: "InvokeAgent", Region: "us-*", Since: at("00:00"), Until: at("01:00")})
	if r.Kinds != 1 || len(r.Places) != 1 || r.Issues[0].State != coverage.NotRecorded {
		t.Errorf("InvokeAgent: %d kinds, %+v", r.Kinds, r.Issues)
	}
}

// Kinds of events, places and years add up to more than a time.Duration holds, and whole is only what is.
func TestSharesOfLongTimes(t *testing.T) {
	w := &world{now: "09:30", events: []coverage.Event{event("00:00", "CreateTrail", created), event("00:00", "StartLogging", named)}}
	w.digests("us-east-1", coverage.Covered, "", "00:00", "09:00")
	all := w.report(coverage.Question{Since: at("00:00"), Until: at("08:00")})
	r := w.report(coverage.Question{Since: at("00:00").AddDate(-10, 0, 0), Until: at("08:00")})
	days := at("00:00").Sub(at("00:00").AddDate(-10, 0, 0)).Hours() / 24
	if got, want := r.Covered, all.Covered*8/24/(days+8./24); all.Kinds < 100 || all.Covered == 0 || math.Abs(got-want) > 1e-9 {
		t.Errorf("of ten years and %d kinds %v is covered, want %v", all.Kinds, got, want)
	}
	r = w.report(coverage.Question{Service: "comprehend", Since: at("00:00").Add(-1), Until: at("08:00")})
	if r.Covered >= 1 || r.Covered < 0.999999 {
		t.Errorf("all but a nanosecond: %v", r.Covered)
	}
}

// TestSelectors has selectors of every sort choose all, some or none of a kind of events.
func TestSelectors(t *testing.T) {
	const all, some, none = "covered", "partly", "not_recorded"
	advanced := func(conditions ...string) string {
		var fields []string
		for _, c := range conditions {
			p := strings.Fields(c)
			fields = append(fields, fmt.Sprintf(`{"field":%q,%q:[%q]}`, p[0], p[1], p[2]))
		}
		return `"advancedEventSelectors":[{"fieldSelectors":[` + strings.Join(fields, ",") + `]}]`
	}
	const reads, writes, alias, network = "management reads", "management writes", "AWS::Bedrock::AgentAlias", "network activity of bedrock.amazonaws.com"
	tests := []struct {
		selectors string
		want      map[string]string
	}{
		{`"eventSelectors":[{}]`, map[string]string{reads: all, writes: all, alias: none, network: none}},
		{`"eventSelectors":[{"readWriteType":"ReadOnly"}]`, map[string]string{reads: all, writes: none, alias: none}},
		{`"eventSelectors":[{"readWriteType":"ReadOnly"},{"readWriteType":"WriteOnly"}]`, map[string]string{reads: all, writes: all}},
		{`"eventSelectors":[{"includeManagementEvents":false}]`, map[string]string{reads: none, writes: none}},
		{`"eventSelectors":[{"excludeManagementEventSources":["kms.amazonaws.com"]}]`, map[string]string{reads: all}},
		{`"eventSelectors":[{"excludeManagementEventSources":["bedrock.amazonaws.com"]}]`, map[string]string{reads: none}},
		{advanced("eventCategory equals Management"), map[string]string{reads: all, writes: all, alias: none, network: none}},
		{advanced("eventCategory equals Management", "readOnly equals false"), map[string]string{reads: none, writes: all}},
		{advanced("eventCategory equals Management", "eventSource notEquals kms.amazonaws.com"), map[string]string{reads: all}},
		{advanced("eventCategory equals Data", "resources.type equals AWS::Bedrock::AgentAlias"), map[string]string{reads: none, alias: all}},
		{advanced("resources.type equals AWS::S3::Object", "eventCategory equals Data"), map[string]string{reads: none, alias: none}},
		{advanced("eventCategory equals Data", "resources.type equals AWS::Bedrock::AgentAlias", "readOnly equals true"), map[string]string{alias: some}},
		{advanced("eventCategory equals Data", "resources.type equals AWS::Bedrock::AgentAlias", "eventName equals InvokeAgent"), map[string]string{alias: some}},
		{advanced("eventCategory equals Data", "resources.type equals AWS::Bedrock::AgentAlias", "resources.ARN startsWith arn:aws:bedrock"), map[string]string{alias: some}},
		{advanced("eventCategory equals NetworkActivity", "eventSource equals bedrock.amazonaws.com"), map[string]string{network: all, reads: none}},
		{advanced("eventCategory equals NetworkActivity", "eventSource equals bedrock.amazonaws.com", "errorCode equals VpceAccessDenied"), map[string]string{network: some}},
		{advanced("eventCategory equals NetworkActivity", "eventSource equals comprehend.amazonaws.com"), map[string]string{network: none}},
	}
	for _, tt := range tests {
		w := &world{now: "09:30", events: []coverage.Event{
			event("00:00", "CreateTrail", created), event("00:00", "PutEventSelectors", `{"trailName":"main",`+tt.selectors+`}`), event("00:00", "StartLogging", named),
		}}
		w.digests("us-east-1", coverage.Covered, "", "00:00", "09:00")
		r := w.report(coverage.Question{Service: "bedrock", Since: at("01:00"), Until: at("02:00")})
		for kind, want := range tt.want {
			if got := spans(t, r, "us-east-1", "bedrock", kind); got != want+" 01:00-02:00" {
				t.Errorf("%s\n%s: got %s, want %s", tt.selectors, kind, got, want)
			}
		}
	}
}

// TestArrivedKeeps has what is kept of verifications stay as it is through JSON.
func TestArrivedKeeps(t *testing.T) {
	w := &world{now: "09:30"}
	w.digests("us-east-1", coverage.Covered, "", "00:00", "09:00")
	w.digests("us-east-1", coverage.Gap, "digest missing", "02:00", "03:00")
	w.arrived.Absent(coverage.Digest{Account: account, Region: "us-east-1", Trail: "main", HomeRegion: "us-east-1"},
		coverage.Missing{Object: "s3://logs/a", From: at("01:00"), To: at("01:01"), State: coverage.Pending, Note: "not collected yet"})
	text, err := json.Marshal(w.arrived)
	if err != nil {
		t.Fatal(err)
	}
	var back coverage.Arrived
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*w.arrived, back); diff != "" {
		t.Error(diff)
	}
	if n := len(back.Chains[0].Spans); n != 3 {
		t.Errorf("nine digests make %d spans, want 3", n)
	}
}

func TestPauses(t *testing.T) {
	h := coverage.NewHistory([]coverage.Event{
		event("01:00", "StopLogging", named), event("02:00", "StartLogging", `{"name":"arn:aws:cloudtrail:us-east-1:111122223333:trail/main"}`),
		event("03:00", "UpdateTrail", `{"name":"main","enableLogFileValidation":false}`), event("04:00", "UpdateTrail", `{"name":"main","isMultiRegionTrail":true}`),
		event("05:00", "UpdateTrail", `{"name":"main","enableLogFileValidation":true}`), event("06:00", "DeleteTrail", named),
	}, nil)
	main := coverage.Trail{Account: account, HomeRegion: "us-east-1", Name: "main"}
	want := []coverage.Pause{
		{Trail: main, From: at("01:00"), To: at("02:00"), Note: "logging stopped: StopLogging by ana (event StopLogging)"},
		{Trail: main, From: at("03:00"), To: at("05:00"), Note: "log file validation switched off: UpdateTrail by ana (event UpdateTrail)"},
		{Trail: main, From: at("06:00"), Note: "logging stopped: DeleteTrail by ana (event DeleteTrail)"},
	}
	if diff := cmp.Diff(want, h.Pauses()); diff != "" {
		t.Error(diff)
	}
}

func TestSee(t *testing.T) {
	list := coverage.See(nil, sighting("01:00", agents))
	list = coverage.See(list, sighting("02:00", agents))
	stopped := sighting("03:00", agents)
	stopped.Logging = false
	list = coverage.See(list, stopped)
	if len(list) != 2 || !list[0].To.Equal(at("02:00")) || !list[1].From.Equal(at("03:00")) {
		t.Errorf("got %+v", list)
	}
}

// FuzzHistory follows trails through whatever stands in records.
func FuzzHistory(f *testing.F) {
	for _, s := range []string{created, named, agents, writesOnly, `{"name":1}`, `{"trailName":"arn:aws:cloudtrail:::"}`, "null", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, parameters string) {
		var events []coverage.Event
		for _, name := range coverage.EventNames() {
			events = append(events, event("01:00", name, parameters))
		}
		facts := &coverage.Facts{History: coverage.NewHistory(events, nil), Now: at("02:00")}
		for _, s := range facts.Report(coverage.Question{Service: "bedrock", Since: at("00:00")}).Services {
			for _, k := range s.Kinds {
				if k.Spans[0].State == coverage.Covered {
					t.Errorf("covered without a digest: %+v", k)
				}
			}
		}
	})
}
