package collect_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/aitrail/aitrail/internal/collect"
)

// group makes a log group with a stream and returns a function that puts messages there.
func (c *cloud) group(name string) func(at time.Time, messages ...string) {
	c.t.Helper()
	logs := cloudwatchlogs.NewFromConfig(c.cfg)
	_, err := logs.CreateLogGroup(c.t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name})
	c.must(err)
	_, err = logs.CreateLogStream(c.t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &name, LogStreamName: aws.String("s")})
	c.must(err)
	return func(at time.Time, messages ...string) {
		c.t.Helper()
		in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: &name, LogStreamName: aws.String("s")}
		for _, m := range messages {
			in.LogEvents = append(in.LogEvents, types.InputLogEvent{Message: &m, Timestamp: aws.Int64(at.UnixMilli())})
		}
		_, err := logs.PutLogEvents(c.t.Context(), in)
		c.must(err)
	}
}

// record is the record of the log file that oneEvent makes.
func record(key string) string {
	text := string(oneEvent(key))
	return strings.TrimSuffix(strings.TrimPrefix(text, `{"Records":[`), `]}`)
}

// TestFollowGroup follows a log group: events come once, late ones too, over a restart; what is no record goes to
// quarantine alone.
func TestFollowGroup(t *testing.T) {
	c := local(t)
	put := c.group("trail")
	now := time.Now().UTC()
	rec := func(n int) string { return record(key("111122223333", "us-east-1", now, n)) }
	put(now.Add(-10*time.Minute), rec(1), rec(2), "not JSON")
	dir := t.TempDir()
	l := newLake(t, dir)
	const source = "logs:trail"
	events := func(r *running, n int64) {
		t.Helper()
		r.until(fmt.Sprintf("%d events", n), func() bool { return r.Report().Events == n })
	}
	r := follow(t, l, fast(source), source)
	events(r, 2)
	r.until("quarantine", func() bool { return r.Report().Quarantined == 1 })
	put(now, rec(3))
	events(r, 3)
	put(now.Add(-20*time.Second), rec(4)) // stored late
	events(r, 4)
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	put(now.Add(time.Second), rec(5))
	put(now.Add(-5*time.Minute), rec(6)) // later still, while nobody followed
	r = follow(t, newLake(t, dir), fast(source), source)
	events(r, 2)
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, row := range rows(t, newLake(t, dir)) {
		if !strings.HasPrefix(row.Object, "logs:arn:aws:logs:us-east-1:111122223333:log-group:trail@") {
			t.Errorf("event from %s", row.Object)
		}
		seen[row.Record] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d events", len(seen))
	}
}

// TestHistory reads the event history, in one run and by a follower that goes on where it ended.
func TestHistory(t *testing.T) {
	c := local(t)
	calls := func(from, to int) {
		for n := from; n < to; n++ {
			_, err := c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(fmt.Sprintf("q%d", n))})
			c.must(err)
		}
	}
	calls(0, 60) // more than a page
	dir := t.TempDir()
	const source = "history:us-east-1"
	made := func() int {
		n := 0
		for _, row := range rows(t, newLake(t, dir)) {
			if strings.Contains(row.Record, `"CreateQueue"`) {
				n++
			}
			if !strings.HasPrefix(row.Object, "history:111122223333/us-east-1@") {
				t.Errorf("event from %s", row.Object)
			}
		}
		return n
	}
	report, err := collect.Collect(t.Context(), newLake(t, dir), []string{source}, collect.Options{})
	if err != nil || report.Failed > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if n := made(); n != 60 {
		t.Errorf("%d of 60 calls collected", n)
	}
	calls(60, 65)
	r := follow(t, newLake(t, dir), fast(source), source)
	r.until("the new calls", func() bool { return r.Report().Events >= 5 && made() == 65 })
}
