package lake_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/lake"
)

// aggregated is an aggregated event as AWS documents it; n makes its eventId.
func aggregated(n int, rest string) string {
	return fmt.Sprintf(`{"eventVersion":"1.0","accountId":"111122223333","eventId":"10000000-0000-4000-8000-%012d","eventCategory":"Aggregated",`+
		`"eventType":"AwsAggregatedEvent","awsRegion":"us-east-1","eventSource":"bedrock.amazonaws.com","timeWindow":{"windowStart":"2026-11-20T12:00:00Z",`+
		`"windowEnd":"2026-11-20T12:05:00Z","windowSize":"PT5M"},"summary":{"primaryDimension":{"dimension":"eventName","statistics":[{"name":"Converse","value":7}]}}%s}`, n, rest)
}

// TestAggregatedEvents brings aggregated events, which have their ids and times elsewhere: they have a day and an
// identity as others do, and are given back as they were.
func TestAggregatedEvents(t *testing.T) {
	l := create(t, t.TempDir())
	odd := []string{ // of other forms: kept, without a time
		`{"eventCategory":"Aggregated","eventId":"x","timeWindow":{"windowStart":"soon"}}`,
		aggregated(9, `,"eventTime":"2026-11-21T00:00:00Z","recipientAccountId":"111122223333"`),
	}
	r := commit(t, l, logFile{"file:///a", []string{aggregated(1, ""), aggregated(2, ""), odd[0], odd[1]}}, logFile{"file:///b", []string{aggregated(1, "")}})
	if r.Events != 4 || r.Duplicates != 1 {
		t.Errorf("Commit = %+v, want 4 events and a duplicate", r)
	}
	if r := commit(t, l, logFile{"file:///c", []string{aggregated(2, ""), aggregated(3, "")}}); r.Events != 1 || r.Duplicates != 1 {
		t.Errorf("Commit = %+v, want an event and a duplicate", r)
	}
	for _, when := range []string{"collected", "compacted"} {
		if when == "compacted" {
			if _, err := l.Compact(ctx, lake.Events, nil); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]string{"file:///a 0": aggregated(1, ""), "file:///a 1": aggregated(2, ""), "file:///a 2": odd[0], "file:///a 3": odd[1], "file:///c 1": aggregated(3, "")}
		for _, s := range stored(t, l, lake.EventFilter{}) {
			at := fmt.Sprintf("%s %d", s.Object, s.Index)
			sameJSON(t, string(s.Event.AppendJSON(nil)), want[at])
			if s.Call.CallRole != lake.RoleAggregate && at != "file:///a 2" {
				t.Errorf("%s has role %q", at, s.Call.CallRole)
			}
			delete(want, at)
		}
		if len(want) != 0 {
			t.Errorf("%s: missing %v", when, want)
		}
	}
	s, err := l.Files(ctx, lake.Events)
	if err != nil || len(s.Files) != 3 {
		t.Fatalf("%d files, %v: want those of two days and of no time", len(s.Files), err)
	}
	if f := s.Files[1]; f.Rows != 3 || !f.First.Equal(noon) || !f.Day.Equal(noon.Truncate(24*time.Hour)) {
		t.Errorf("file of aggregated events = %+v", f)
	}
}
