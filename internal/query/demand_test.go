package query_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

// TestVerdictColumn states that every row of events and calls says what is proven of its log file, however it is asked for.
func TestVerdictColumn(t *testing.T) {
	l := newLake(t)
	if _, err := l.SetVerdicts(ctx, []lake.Verdict{
		{Object: "s3://trail/1.json.gz", Verdict: lake.VerdictVerified},
		{Object: "s3://trail/2.json.gz", Verdict: lake.VerdictFailed, Note: "log_file_altered"},
	}); err != nil {
		t.Fatal(err)
	}
	db := open(t, l, query.Options{})
	want := map[string]string{}
	rows, err := db.Query(ctx, `SELECT DISTINCT source_object, f.verdict FROM events JOIN log_files AS f ON f.object = source_object`)
	for _, line := range read(t, rows, err) {
		object, verdict, _ := strings.Cut(line, "|")
		want[object] = verdict
	}
	if want["s3://trail/1.json.gz"] != "verified" || want["s3://trail/2.json.gz"] != "failed" || len(want) != 3 {
		t.Fatalf("verdicts of log files: %q", want)
	}
	for _, text := range []string{
		"SELECT source_object, verdict FROM events",
		"SELECT source_object, verdict FROM calls",
		"SELECT source_object, c.verdict FROM calls AS c",
		`SELECT r.source_object, r.verdict FROM (SELECT events AS r FROM events)`,
		"SELECT source_object, verdict FROM (SELECT * FROM events)",
		"SELECT source_object, verdict FROM (FROM calls)",
		"SELECT source_object, COLUMNS('^verd') FROM events",
		"SELECT e.source_object, e.verdict FROM events e, log_files f WHERE f.object = e.source_object",
		"SELECT source_object, verdict FROM (SELECT DISTINCT source_object, verdict FROM log_files JOIN (SELECT DISTINCT source_object FROM events) ON object = source_object)",
	} {
		rows, err := db.Query(ctx, text)
		lines := read(t, rows, err)
		for _, line := range lines {
			if object, verdict, _ := strings.Cut(line, "|"); verdict != want[object] {
				t.Errorf("%s: %s is %q, want %q", text, object, verdict, want[object])
			}
		}
		if len(lines) == 0 {
			t.Errorf("%s: no rows", text)
		}
	}
	rows, err = db.Events(ctx, query.Filter{Fields: map[string]string{"verdict": "failed"}, Columns: []string{"source_object", "verdict"}})
	for _, line := range read(t, rows, err) {
		if line != "s3://trail/2.json.gz|failed" {
			t.Errorf("events verdict=failed: %s", line)
		}
	}
}

// TestWhatIsNotNamed states that a query that doesn't name a column which costs a join gets it where it must.
func TestWhatIsNotNamed(t *testing.T) {
	db := open(t, newLake(t), query.Options{})
	for _, view := range []string{"events", "calls"} {
		names := make([]string, 0, 100)
		for _, c := range query.Columns(view) {
			names = append(names, c.Name)
		}
		for _, text := range []string{"SELECT * FROM %s", "FROM %s", "TABLE %s", "SELECT x.* FROM %s AS x", "SELECT * FROM (SELECT actor FROM %[1]s) JOIN %[1]s USING (actor) LIMIT 1",
			"SELECT unnest(x) FROM %s AS x"} {
			rows, err := db.Query(ctx, fmt.Sprintf(text, view))
			if err != nil {
				t.Errorf(text+": %v", view, err)
				continue
			}
			var got []string
			for _, c := range rows.Columns() {
				got = append(got, c.Name)
			}
			rows.Close()
			if len(got) != len(names) || !strings.Contains(fmt.Sprint(got), "verdict") {
				t.Errorf(text+": %d columns, want %d: %v", view, len(got), len(names), got)
			}
		}
	}
	rows, err := db.Query(ctx, "SELECT count(*) FROM calls NATURAL JOIN (SELECT 77777 AS input_tokens)")
	if got := read(t, rows, err); !cmp.Equal(got, []string{"0"}) {
		t.Errorf("natural join: %q", got)
	}
}

// TestFilesThatAQueryReads counts the data files that conditions leave: one a day for 20 days, the even ones bob's.
func TestFilesThatAQueryReads(t *testing.T) {
	l := emptyLake(t)
	for d := 1; d <= 20; d++ {
		who := ana
		if d%2 == 0 {
			who = bob
		}
		collect(t, l, fmt.Sprint(d), record(d, fmt.Sprintf("2026-05-%02dT10:00:00Z", d), who, bedrock, "InvokeModel", fmt.Sprint("r", d), model(sonnet), management))
	}
	db := open(t, l, query.Options{})
	files := regexp.MustCompile(`Total Files Read: (\d+)`)
	for _, c := range []struct {
		text, rows string
		files      int // at most, read by each scan of events
	}{
		{"FROM events", "20", 20},
		{`FROM events WHERE "eventTime" >= '2026-05-07' AND "eventTime" < '2026-05-08 00:00:00'`, "1", 1},
		{`FROM events AS e WHERE e.eventTime >= TIMESTAMPTZ '2026-05-07 00:00:00+00' AND TIMESTAMP '2026-05-08' > e."eventTime"`, "1", 1},
		{`FROM events WHERE eventTime BETWEEN DATE '2026-05-07' AND '2026-05-08T12:00:00Z'`, "2", 2},
		{`FROM events WHERE eventTime = '2026-05-07 10:00:00'`, "1", 1},
		{`FROM events WHERE eventTime > TIMESTAMP '2026-05-20' - INTERVAL 2 DAY AND actor = 'ana'`, "1", 1},
		{`FROM events WHERE eventTime > now() - INTERVAL 1 DAY`, "0", 0},
		{`FROM cloudtrail_lake WHERE eventTime > current_timestamp - interval '1' day`, "0", 0},
		{`FROM events WHERE actor = 'bob'`, "10", 10},
		{`FROM events WHERE actor IN ('bob', 'ana')`, "20", 20},
		{`FROM events WHERE actor = 'zoe'`, "0", 0},
		{`FROM calls WHERE actor = 'bob' AND region = 'us-east-1' AND time < '2026-05-05 00:00:00'`, "2", 2},
		{`FROM cloudtrail_lake WHERE eventTime > '2026-05-15 00:00:00' AND eventname = 'InvokeModel'`, "6", 6},
		{`FROM cloudtrail_lake WHERE eventTime >= from_iso8601_timestamp('2026-05-20T00:00:00Z')`, "1", 1},
		// What looks like a condition on all rows and isn't.
		{`FROM events WHERE eventTime < '2026-05-03 00:00:00' OR actor = 'bob'`, "11", 20},
		{`FROM events WHERE NOT (eventTime < '2026-05-03 00:00:00')`, "18", 20},
		{`FROM (SELECT actor AS "eventTime" FROM events) WHERE "eventTime" = 'bob'`, "10", 20},
		{`FROM events AS a WHERE a.eventTime = (SELECT max(b.eventTime) FROM events AS b WHERE b.eventTime < '2026-05-03 00:00:00')`, "1", 20},
		{`FROM events a LEFT JOIN (SELECT "eventID" FROM events WHERE eventTime < '2026-05-03 00:00:00') b USING ("eventID")`, "20", 20},
		{`FROM (SELECT 1 FROM events WHERE eventTime < '2026-05-03 00:00:00' UNION ALL SELECT 1 FROM events)`, "22", 20},
		{`FROM events WHERE eventTime < CAST("requestID" AS VARCHAR) || ''`, "error", 0},
		{`FROM events WHERE date_trunc('day', eventTime) = '2026-05-07'`, "1", 20},
	} {
		rows, err := db.Query(ctx, "SELECT count(*) "+c.text)
		if c.rows == "error" {
			if err == nil {
				t.Errorf("%s: no error", c.text)
			}
			continue
		}
		if got := read(t, rows, err); !cmp.Equal(got, []string{c.rows}) {
			t.Errorf("%s: %q, want %s", c.text, got, c.rows)
		}
		rows, err = db.Query(ctx, "EXPLAIN ANALYZE SELECT count(*) "+c.text)
		plan := strings.Join(read(t, rows, err), "\n")
		for _, m := range files.FindAllStringSubmatch(plan, -1) {
			if n, err := strconv.Atoi(m[1]); err != nil || n > c.files {
				t.Errorf("%s: %d files read, want at most %d\n%s", c.text, n, c.files, plan)
			}
		}
	}
}
