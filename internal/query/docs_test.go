package query_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

// TestQueriesOfTheDocs runs the queries that docs/sql.md answers questions by, over the lake of tests, a call at the console, and an
// attempt to stop the trail.
func TestQueriesOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	l := withInvocations(t)
	const cleo = `"userIdentity":{"type":"AssumedRole","principalId":"AROA2:cleo","arn":"arn:aws:sts::111122223333:assumed-role/analysts/cleo","accountId":"111122223333",` +
		`"sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA2","arn":"arn:aws:iam::111122223333:role/analysts","accountId":"111122223333","userName":"analysts"},"attributes":{"mfaAuthenticated":"true"}}}`
	collect(t, l, "s3://trail/5.json.gz",
		strings.Replace(record(20, "2026-05-31T09:00:00Z", cleo, bedrock, "Converse", "r20", model(haiku), management, `"sessionCredentialFromConsole":"true"`),
			"Boto3/1.34.0 Python/3.11.0", "Mozilla/5.0 (X11) Firefox/115.0", 1),
		record(21, "2026-05-31T09:30:00Z", ana, "cloudtrail.amazonaws.com", "StopLogging", "r21", write, denied),
	)
	if _, err := l.SetVerdicts(ctx, []lake.Verdict{{Object: "s3://trail/1.json.gz", Verdict: "verified"}, {Object: "s3://trail/2.json.gz", Verdict: "failed"}}); err != nil {
		t.Fatal(err)
	}
	db := open(t, l, query.Options{})
	want := [][]string{
		{ // who called which model
			"ana|" + sonnet + "|us-east-1|192.0.2.1|2|0",
			"ana|" + haiku + "|us-east-1|192.0.2.1|1|1",
			"analysts/cleo|" + haiku + "|us-east-1|192.0.2.1|1|0",
			"app/web-1|" + haiku + "|us-east-1|192.0.2.1|1|0",
			"app/web-1|" + sonnet + "|us-east-1|192.0.2.1|1|0",
		},
		{ // for the first time
			"app/web-1|bedrock|" + haiku + "|2026-05-30T09:00:00Z|1",
			"ana|bedrock||2026-05-30T11:00:00Z|1",
			"app/web-1|textract||2026-05-30T12:00:00Z|1",
			"analysts/cleo|bedrock|" + haiku + "|2026-05-31T09:00:00Z|1",
		},
		{ // by hand
			"2026-05-31T09:00:00Z|analysts/cleo|Converse|" + haiku + "|ok|192.0.2.1|true",
		},
		{ // tokens and what they cost: 100·3 + 20·15, and 11·3 + 12·15 millionths
			sonnet + "|app/web-1|1|100|20|0.0006|0",
			sonnet + "|ana|1|11|12|0.000213|0",
			haiku + "|analysts/cleo|1||||1",
			haiku + "|app/web-1|1||||1",
		},
		{ // who changed settings
			"2026-05-30T11:00:00Z|ana|sdk/python|DeleteGuardrail|ok",
			"2026-05-31T09:30:00Z|ana|sdk/python|StopLogging|denied",
		},
		{ // what left the Region
			"app/web-1|" + sonnet + "|us-east-1|us-west-2|1",
		},
		{ // how far it is proven: files 1, 2, and 3 with 5
			"failed|1|1",
			"not verified yet|4|2",
			"verified|3|1",
		},
	}
	queries := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(queries) != len(want) {
		t.Errorf("docs/sql.md has %d queries, %d answers are known", len(queries), len(want))
	}
	for i, q := range queries {
		rows, err := db.Query(ctx, q[1])
		if diff := cmp.Diff(want[min(i, len(want)-1)], read(t, rows, err)); diff != "" {
			t.Errorf("%s(-want +got)\n%s", q[1], diff)
		}
	}
}
