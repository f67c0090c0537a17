package query_test

import (
	"fmt"
	"regexp"
	"slices"
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

// TestNarrowedViews states that a statement gives the same over views made for what it names as over whole ones, which is what
// it reads when it is asked for with a star.
func TestNarrowedViews(t *testing.T) {
	db := open(t, lakeOf(t, lakeRecords), query.Options{})
	for _, text := range []string{
		"SELECT count(*) FROM %s", "SELECT 1 FROM %s", "SELECT eventTime, eventName, eventSource FROM %s", "SELECT userIdentity.principalid, userIdentity.ARN FROM %s",
		"SELECT x.userIdentity.sessioncontext.sessionissuer.username AS who FROM %s AS x", "SELECT userIdentity.sessionContext.sessionIssuer FROM %s",
		"SELECT userIdentity.sessionContext.attributes.creationDate, userIdentity.arn FROM %s",
		"SELECT userIdentity.sessionContext.attributes, userIdentity.sessionContext IS NULL FROM %s",
		"SELECT userIdentity IS NULL, userIdentity.sessionContext.attributes IS NULL FROM %s", "SELECT userIdentity FROM %s",
		"SELECT userIdentity.sessionContext.webIdFederationData.federatedProvider, userIdentity.sessionContext.webIdFederationData.attributes FROM %s",
		"SELECT userIdentity.inScopeOf.sourceArn, userIdentity.onBehalfOf.userId, userIdentity.invokedBy FROM %s", "SELECT userIdentity.sessionContext.sourceIdentity FROM %s",
		"SELECT tlsDetails.tlsVersion FROM %s", "SELECT tlsDetails FROM %s", "SELECT tlsDetails IS NULL, tlsDetails.cipherSuite FROM %s",
		"SELECT eventName FROM %s WHERE eventID = '00000000-0000-4000-8000-000000000003'", "SELECT eventName FROM %s WHERE eventID IN ('x', '00000000-0000-4000-8000-000000000004')",
		"SELECT eventName FROM %s WHERE eventTime BETWEEN '2023-01-03 10:00:00' AND '2023-01-05 13:00:00' AND userIdentity.arn IS NOT NULL",
		"WITH a AS (SELECT eventName AS n, eventTime FROM %[1]s) SELECT n FROM a JOIN (SELECT max(eventTime) AS eventTime FROM %[1]s) AS b USING (eventTime)",
		"SELECT eventName, (SELECT count(*) FROM %[1]s AS b WHERE b.userIdentity.arn = a.userIdentity.arn) FROM %[1]s AS a",
		"SELECT max(eventName) FROM %[1]s UNION ALL (SELECT min(awsRegion) FROM %[1]s)", "SELECT eventName FROM %s ORDER BY eventTime LIMIT 2", "SELECT element_at(resources, 1).arn FROM %s",
		"SELECT eventJson FROM %s", "SELECT eventID, annotation, requestParameters FROM %s", "SELECT eventName FROM %s CROSS JOIN UNNEST(resources) AS t(r) WHERE r.type IS NOT NULL",
		"SELECT r.arn FROM %s CROSS JOIN UNNEST(resources) AS t(r)", "SELECT userIdentity.type AS useridentity FROM %s ORDER BY useridentity",
	} {
		text := fmt.Sprintf(text, "cloudtrail_lake")
		narrow, err := db.Query(ctx, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		columns := narrow.Columns()
		got := read(t, narrow, err)
		whole, err := db.Query(ctx, "SELECT * FROM ("+text+")")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for i, c := range whole.Columns() {
			if columns[i].Name != c.Name || columns[i].Type != c.Type {
				t.Errorf("%s: column %s %s, want %s %s", text, columns[i].Name, columns[i].Type, c.Name, c.Type)
			}
		}
		want := read(t, whole, err)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
			t.Errorf("%s: %d rows; want -, got +\n%s", text, len(want), diff)
		}
	}
}

// TestViewsByOtherNames states that a statement that gives something the name of a view means that.
func TestViewsByOtherNames(t *testing.T) {
	db := open(t, lakeOf(t, lakeRecords), query.Options{})
	for text, want := range map[string]string{
		"WITH calls AS (SELECT actor FROM calls WHERE actor = 'ana') SELECT count(*) FROM calls":                       "1",
		"WITH events AS (SELECT 5 AS n) SELECT n FROM events":                                                          "5",
		"WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT count(*) FROM events, t": "33",
		"SELECT count(*) FROM Events":                                         "11",
		`SELECT count(*) FROM "EVENTS"`:                                       "11",
		"SELECT events.actor FROM events WHERE events.actor = 'ana' LIMIT 1":  "ana",
		"SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM calls)": "14",
		"FROM events SELECT count(*)":                                         "11",
		"(SELECT count(*) FROM events)":                                       "11",
	} {
		rows, err := db.Query(ctx, text)
		if got := read(t, rows, err); !cmp.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %s", text, got, want)
		}
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
