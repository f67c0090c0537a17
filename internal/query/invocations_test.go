package query_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

// withInvocations is the lake of tests, with invocations of calls 1 and 2, of which the record of the second tells tokens itself, of a
// call that isn't in the lake, and some whose request ids are those of calls of another account and Region; and with a digest.
func withInvocations(t testing.TB) *lake.Lake {
	l := newLake(t)
	b := l.NewBatch()
	w := b.File(lake.LogFile{Object: "s3://logs/1.json.gz", Size: 9, Kind: cloudtrail.KindInvocations})
	for i, v := range []cloudtrail.Invocation{
		{RequestID: "r1", AccountID: "111122223333", Region: "us-east-1", InputTokens: 11, OutputTokens: 12, CacheReadTokens: 13, CacheWriteTokens: 0, LatencyMS: 99, StopReason: "end_turn", GuardrailAction: "NONE"},
		{RequestID: "r2", AccountID: "111122223333", Region: "us-east-1", InputTokens: 999, OutputTokens: 999, CacheReadTokens: 5, CacheWriteTokens: 6, LatencyMS: -1, StopReason: "guardrail_intervened", GuardrailAction: "INTERVENED", InferenceRegion: "eu-west-1"},
		{RequestID: "r4", AccountID: "444455556666", Region: "us-east-1", InputTokens: 1},
		{RequestID: "r4", AccountID: "111122223333", Region: "eu-west-1", InputTokens: 1},
		{RequestID: "other", AccountID: "111122223333", Region: "us-east-1", InputTokens: 1},
	} {
		v.Time, v.Operation, v.ModelID = noon.AddDate(0, 0, -2).Add(12*time.Hour-time.Second), "Converse", "us."+sonnet
		if err := w.Invocation(&v, i, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Done(nil); err != nil {
		t.Fatal(err)
	}
	d := b.File(lake.LogFile{Object: "s3://trail/d.json.gz", Size: 10, Kind: cloudtrail.KindDigest})
	text := `{"awsAccountId":"111122223333","digestStartTime":"2026-05-30T10:00:00Z","digestEndTime":"2026-05-30T11:00:00Z","digestS3Bucket":"trail","digestS3Object":"d.json.gz",
		"digestPublicKeyFingerprint":"f","logFiles":[{"s3Bucket":"trail","s3Object":"3.json.gz","hashValue":"aa"},{"s3Bucket":"trail","s3Object":"gone.json.gz","hashValue":"bb"}]}`
	if err := d.Digest([]byte(text), nil); err != nil {
		t.Fatal(err)
	}
	if err := d.Done(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestInvocations states what calls have of invocations, and that a call stays one row.
func TestInvocations(t *testing.T) {
	db := open(t, withInvocations(t), query.Options{})
	for text, want := range map[string][]string{
		`SELECT request_id, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, latency_ms, stop_reason, guardrail_action, inference_region
			FROM calls WHERE operation IN ('InvokeModel', 'ConverseStream') ORDER BY 1`: {
			"r1|11|12|13|0|99|end_turn|NONE|us-east-1", "r2|100|20|5|6||guardrail_intervened|INTERVENED|us-west-2", "r4||||||||us-east-1"},
		`SELECT request_id, latency_ms FROM calls WHERE latency_ms IS NOT NULL`: {"r1|99"},
		`SELECT count(*) FROM calls`:                 {"7"},
		`SELECT count(*) FROM (SELECT * FROM calls)`: {"7"},
		`SELECT sum(input_tokens) FROM calls`:        {"111"},
		`SELECT request_id, input_tokens, called_model, model_id, source_index FROM invocations WHERE account LIKE '4%'`: {"r4|1|us." + sonnet + "|" + sonnet + "|2"},
		`SELECT count(*) FROM invocations WHERE time < TIMESTAMPTZ '2026-05-29 00:00:00Z'`:                               {"0"},
		`SELECT count(*) FROM invocations WHERE time >= TIMESTAMPTZ '2026-05-29 00:00:00Z'`:                              {"5"},
		`SELECT i.request_id FROM invocations i LEFT JOIN calls c USING (request_id) WHERE c.request_id IS NULL`:         {"other"},
	} {
		rows, err := db.Query(ctx, text)
		if diff := cmp.Diff(want, read(t, rows, err)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", text, diff)
		}
	}
	rows, err := db.Calls(ctx, query.Filter{Operation: "InvokeModel", Columns: []string{"request_id", "latency_ms"}, Limit: 1})
	if got := read(t, rows, err); len(got) != 1 || got[0] != "r1|99" {
		t.Errorf("calls: %v", got)
	}
	s, err := db.Status(ctx)
	if err != nil || s.Invocations != 5 || s.Digests != 1 || s.LogFiles != 4 || s.Events != 13 {
		t.Errorf("Status = %+v, %v", s, err)
	}
}

// TestInvocationsNotNamed states that a query reads invocations only where it names what they bring.
func TestInvocationsNotNamed(t *testing.T) {
	joined := regexp.MustCompile(`\brequest_id\b`) // not parent_request_id
	for _, lakes := range []struct {
		name string
		l    *lake.Lake
		join bool
	}{{"with invocations", withInvocations(t), true}, {"without", newLake(t), false}} {
		db := open(t, lakes.l, query.Options{})
		for columns, names := range map[string]bool{"count(*)": false, "actor, verdict": false, "latency_ms": true, "input_tokens": true} {
			rows, err := db.Query(ctx, fmt.Sprintf("EXPLAIN SELECT %s FROM calls", columns))
			if got := joined.MatchString(strings.Join(read(t, rows, err), "\n")); got != (names && lakes.join) {
				t.Errorf("%s: SELECT %s joins invocations: %v", lakes.name, columns, got)
			}
		}
		rows, err := db.Query(ctx, "SELECT typeof(latency_ms), typeof(stop_reason), typeof(cache_read_tokens) FROM calls LIMIT 1")
		if got := read(t, rows, err); len(got) != 1 || got[0] != "BIGINT|VARCHAR|BIGINT" {
			t.Errorf("%s: types %v", lakes.name, got)
		}
	}
}

// TestDigests states which hours are proven and which digest names a log file, in SQL.
func TestDigests(t *testing.T) {
	l := withInvocations(t)
	if n, err := l.SetVerdicts(ctx, []lake.Verdict{{Object: "s3://trail/d.json.gz", Verdict: lake.VerdictVerified}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	db := open(t, l, query.Options{})
	for text, want := range map[string][]string{
		`SELECT account, start_time, end_time, verdict, log_file_count FROM digests`:                                             {"111122223333|2026-05-30T10:00:00Z|2026-05-30T11:00:00Z|verified|2"},
		`SELECT f.object, f.sha256 FROM (SELECT unnest(log_files) AS f FROM digests) ORDER BY 1`:                                 {"s3://trail/3.json.gz|aa", "s3://trail/gone.json.gz|bb"},
		`SELECT f.object FROM (SELECT unnest(log_files) AS f FROM digests) WHERE f.object NOT IN (SELECT object FROM log_files)`: {"s3://trail/gone.json.gz"},
		`SELECT d.object FROM digests d, unnest(d.log_files) AS u(f) WHERE f.object = 's3://trail/3.json.gz'`:                    {"s3://trail/d.json.gz"},
		`SELECT kind, events, verdict FROM log_files WHERE object = 's3://trail/d.json.gz'`:                                      {"CloudTrail-Digest|0|verified"},
		`SELECT count(*) FROM digests`: {"1"},
	} {
		rows, err := db.Query(ctx, text)
		if diff := cmp.Diff(want, read(t, rows, err)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", text, diff)
		}
	}
}
