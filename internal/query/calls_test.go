package query_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

// TestCallsView compares the view with what the records of the fixture say, worked out by hand: seven calls, with the
// tokens of call 2 from another log file.
func TestCallsView(t *testing.T) {
	db := open(t, newLake(t), query.Options{})
	rows, err := db.Query(ctx, `SELECT strftime(time, '%d %H:%M:%S'), ai_service, operation, operation_class, model_id, inference_region, actor, actor_kind,
		outcome, error_code, input_tokens, output_tokens, account, region, source_ip, request_id, event_category, event_id, source_object, source_index
		FROM calls ORDER BY time`)
	want := []string{
		"29 08:00:00|bedrock|InvokeModel|inference|" + haiku + "|us-east-1|ana|user|denied|AccessDenied|||111122223333|us-east-1|192.0.2.1|r4|Management|" + eventID(4) + "|s3://trail/1.json.gz|3",
		"29 23:59:58|bedrock|ConverseStream|inference|" + sonnet + "|us-west-2|app/web-1|role|ok||100|20|111122223333|us-east-1|192.0.2.1|r2|Management|" + eventID(2) + "|s3://trail/1.json.gz|1",
		"29 23:59:59|bedrock|InvokeModel|inference|" + sonnet + "|us-east-1|ana|user|ok||||111122223333|us-east-1|192.0.2.1|r1|Management|" + eventID(1) + "|s3://trail/1.json.gz|0",
		"30 09:00:00|bedrock|InvokeModelWithResponseStream|inference|" + haiku + "|us-east-1|app/web-1|role|ok||||111122223333|us-east-1|192.0.2.1|r7|Data|" + eventID(7) + "|s3://trail/2.json.gz|2",
		"30 10:00:00|bedrock|Converse|inference|" + sonnet + "|us-east-1|ana|user|throttled|ThrottlingException|||111122223333|us-east-1|192.0.2.1|r10|Management|" + eventID(10) + "|s3://trail/3.json.gz|0",
		"30 11:00:00|bedrock|DeleteGuardrail|configuration|||ana|user|ok||||111122223333|us-east-1|192.0.2.1|r11|Management|" + eventID(11) + "|s3://trail/3.json.gz|1",
		"30 12:00:00|textract|DetectDocumentText|inference|||app/web-1|role|ok||||111122223333|us-east-1|192.0.2.1|r12|Management|a1b2c3d4-5678-90ab-cdef-EXAMPLE22222|s3://trail/3.json.gz|2",
	}
	if diff := cmp.Diff(want, read(t, rows, err)); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

// TestOneCallOnce gives one streaming call every combination of its records: whichever arrived, it is one call.
func TestOneCallOnce(t *testing.T) {
	parts := []string{
		record(1, "2026-05-30T10:00:00Z", app, bedrock, "ConverseStream", "r1", model(sonnet), management),
		record(2, "2026-05-30T10:00:00Z", app, bedrock, "ConverseStream", "r1", model(sonnet), data),
		record(3, "2026-05-30T10:00:05Z", app, bedrock, "ConverseStream", "r2", completion("r1", 7, 3, "eu-west-1", "")),
		record(4, "2026-05-30T10:00:05Z", app, bedrock, "ConverseStream", "r2", completion("r1", 7, 3, "eu-west-1", `,"eventCategory":"Data","managementEvent":false`)),
	}
	for chosen := range 1 << len(parts) {
		l := emptyLake(t)
		for i, part := range parts {
			if chosen&(1<<i) != 0 {
				collect(t, l, fmt.Sprint(i), part)
			}
		}
		db := open(t, l, query.Options{Threads: 1})
		want := []string{}
		if chosen&0b0011 != 0 {
			want = []string{"r1|eu-west-1|7|3"}
			if chosen&0b1100 == 0 {
				want = []string{"r1|us-east-1||"}
			}
		}
		for _, f := range []query.Filter{{}, {Since: noon.AddDate(0, 0, -2), Until: noon}} {
			f.Columns = []string{"request_id", "inference_region", "input_tokens", "output_tokens"}
			rows, err := db.Calls(ctx, f)
			if diff := cmp.Diff(want, read(t, rows, err)); diff != "" {
				t.Errorf("records %04b: want -, got +\n%s", chosen, diff)
			}
		}
	}
}

// TestOtherAccount has calls of two accounts that share a request id: they are two.
func TestOtherAccount(t *testing.T) {
	l := emptyLake(t)
	collect(t, l, "a", record(1, "2026-05-30T10:00:00Z", app, bedrock, "ConverseStream", "r1", model(sonnet), management),
		strings.ReplaceAll(record(2, "2026-05-30T10:00:00Z", app, bedrock, "ConverseStream", "r1", model(sonnet), data), `"recipientAccountId":"111122223333"`, `"recipientAccountId":"444455556666"`),
		record(3, "2026-05-30T10:00:05Z", app, bedrock, "ConverseStream", "r2", completion("r1", 7, 3, "eu-west-1", "")))
	db := open(t, l, query.Options{})
	rows, err := db.Calls(ctx, query.Filter{Columns: []string{"account", "input_tokens"}})
	if diff := cmp.Diff([]string{"111122223333|7", "444455556666|"}, read(t, rows, err), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

// TestNetwork counts a network activity event only when the VPC endpoint refused the call.
func TestNetwork(t *testing.T) {
	const network = `"eventType":"AwsVpceEvent","eventCategory":"NetworkActivity","vpcEndpointId":"vpce-1"`
	l := emptyLake(t)
	collect(t, l, "a",
		record(1, "2026-05-30T10:00:00Z", app, bedrock, "InvokeModel", "r1", model(sonnet), management),
		record(2, "2026-05-30T10:00:00Z", app, bedrock, "InvokeModel", "r1", network),
		record(3, "2026-05-30T10:01:00Z", app, bedrock, "InvokeModel", "r3", network, `"errorCode":"VpceAccessDenied"`))
	db := open(t, l, query.Options{})
	rows, err := db.Calls(ctx, query.Filter{Columns: []string{"request_id", "outcome"}})
	if diff := cmp.Diff([]string{"r3|denied", "r1|ok"}, read(t, rows, err)); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

// collect brings a log file into a lake.
func collect(t testing.TB, l *lake.Lake, object string, records ...string) {
	t.Helper()
	b := l.NewBatch()
	w := b.File(lake.LogFile{Object: object, Size: 1000, Kind: cloudtrail.KindLog, Account: "111122223333", Region: "us-east-1"})
	for i, text := range records {
		var e cloudtrail.Event
		if err := e.Decode(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := w.Event(&e, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Done(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestFilters(t *testing.T) {
	db := open(t, newLake(t), query.Options{})
	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	field := func(name, value string) query.Filter { return query.Filter{Fields: map[string]string{name: value}} }
	for _, c := range []struct {
		name   string
		filter query.Filter
		calls  string // request ids, the newest first
		events string
	}{
		{"all", query.Filter{}, "r12 r11 r10 r7 r1 r2 r4", "r12 r11 r10 r9 r8 r7 r2e r2e r1 r2 r2 r4"},
		{"service", query.Filter{Service: "textract"}, "r12", "r12"},
		{"model", query.Filter{Model: haiku}, "r7 r4", "r7 r4"},
		{"model with *", query.Filter{Model: "anthropic.claude-haiku*"}, "r7 r4", "r7 r4"},
		{"actor", query.Filter{Actor: "app/web-1", Outcome: "ok"}, "r12 r7 r2", "r12 r7 r2e r2e r2 r2"},
		{"actor with _", query.Filter{Actor: "an_*"}, "", ""},
		{"region", query.Filter{Region: "eu-west-1"}, "", ""},
		{"outcome", query.Filter{Outcome: "denied"}, "r4", "r4"},
		{"account", query.Filter{Account: "111122223333", Operation: "Converse"}, "r10", "r10"},
		{"operation", query.Filter{Operation: "Converse*"}, "r10 r2", "r10 r2e r2e r2 r2"},
		{"since", query.Filter{Since: at("2026-05-30T10:00:00Z")}, "r12 r11 r10", "r12 r11 r10"},
		{"until", query.Filter{Until: at("2026-05-30T00:00:00Z")}, "r1 r2 r4", "r1 r2 r2 r4"},
		{"span", query.Filter{Since: at("2026-05-29T23:59:59Z"), Until: at("2026-05-30T10:00:00Z")}, "r7 r1", "r9 r8 r7 r2e r2e r1"},
		{"no day", query.Filter{Since: at("2027-01-01T00:00:00Z")}, "", ""},
		{"limit", query.Filter{Limit: 2}, "r12 r11", "r12 r11"},
		{"JSON", field("requestParameters.guardrailIdentifier", "g1"), "r11", "r11"},
		{"JSON with *", field("request_parameters.modelId", "*haiku*"), "r7 r4", "r7 r4"},
		{"struct", field("userIdentity.sessionContext.sessionIssuer.userName", "app"), "r12 r7 r2", "r12 r7 r2e r2e r2 r2"},
		{"struct, ours", field("user_identity.type", "IAMUser"), "r11 r10 r1 r4", "r11 r10 r9 r8 r1 r4"},
		{"list", field("resources.ARN", "*/"+sonnet), "", "r2e r2e"},
		{"boolean", field("readOnly", "false"), "r11", "r11 r8"},
		{"number", field("source_index", "3"), "r4", "r4"},
		{"time", field("eventTime", "2026-05-30T11:00:00Z"), "r11", "r11"},
		{"id", field("eventID", eventID(4)), "r4", "r4"},
		{"id that is no UUID", field("eventID", "a1b2c3d4-5678-90ab-cdef-EXAMPLE22222"), "r12", "r12"},
		{"SQL", field("actor", "' OR 1=1 --"), "", ""},
		{"SQL in a path", field(`requestParameters.x" OR '1`, "' OR ''='"), "", ""},
	} {
		for view, want := range map[string]string{"calls": c.calls, "events": c.events} {
			f := c.filter
			list, count, column := db.Calls, db.CountCalls, "request_id"
			if view == "events" {
				list, count, column = db.Events, db.CountEvents, "requestID"
			}
			f.Columns = []string{column}
			rows, err := list(ctx, f)
			got := read(t, rows, err)
			if text := strings.Join(got, " "); text != want {
				t.Errorf("%s of %s: %s, want %s", c.name, view, text, want)
			}
			f.Limit = 0
			if n, err := count(ctx, f); err != nil || c.filter.Limit == 0 && int(n) != len(got) {
				t.Errorf("%s: counted %d %s, %v; listed %d", c.name, n, view, err, len(got))
			}
		}
	}
}

func TestFilterErrors(t *testing.T) {
	db := open(t, emptyLake(t), query.Options{})
	for _, c := range []struct{ field, value, want string }{
		{"modle", "x", `calls have no field "modle"; did you mean "model_id"?`},
		{"source_ipp", "x", `calls have no field "source_ipp"; did you mean "source_ip"?`},
		{"zzzzzz", "x", `calls have no field "zzzzzz"`},
		{"userIdentity.tpye", "x", `there is no field "userIdentity.tpye": nothing is called "tpye" there; did you mean "type"?`},
		{"user_identity", "x", `user_identity has members; name one; did you mean "user_identity.type", "user_identity.principalId" or "user_identity.arn"?`},
		{"resources", "x", `resources has members; name one; did you mean "resources.accountId", "resources.type" or "resources.ARN"?`},
		{"actor.name", "x", `there is no field "actor.name": nothing is called "name" there`},
		{"input_tokens", "many", `input_tokens is a whole number; "many" is not`},
		{"read_only", "perhaps", `read_only is true or false; "perhaps" is not`},
		{"time", "today", `time is a time such as 2026-01-31T15:04:05Z; "today" is not`},
	} {
		_, err := db.Calls(ctx, query.Filter{Fields: map[string]string{c.field: c.value}})
		var e *query.Error
		if !errors.As(err, &e) || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.field, err, c.want)
		}
	}
	if _, err := db.Events(ctx, query.Filter{Columns: []string{"eventNaem"}}); err == nil || err.Error() != `events have no field "eventNaem"; did you mean "eventName"?` {
		t.Errorf("column: %v", err)
	}
}

func TestColumns(t *testing.T) {
	db := open(t, newLake(t), query.Options{})
	rows, err := db.Calls(ctx, query.Filter{Operation: "DeleteGuardrail", Columns: []string{"time", "requestParameters.guardrailIdentifier", "userIdentity.userName"}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range rows.Columns() {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"time", "requestParameters.guardrailIdentifier", "userIdentity.userName"}, names); diff != "" {
		t.Error(diff)
	}
	if got := read(t, rows, nil); !cmp.Equal(got, []string{"2026-05-30T11:00:00Z|g1|ana"}) {
		t.Errorf("got %q", got)
	}
}

func TestEvent(t *testing.T) {
	db := open(t, newLake(t), query.Options{})
	found, err := db.Event(ctx, eventID(11))
	if err != nil || len(found) != 1 {
		t.Fatal(len(found), err)
	}
	got := string(query.AppendJSON(nil, found[0]))
	for _, part := range []string{
		`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDA1",`, `"eventTime":"2026-05-30T11:00:00Z"`,
		`"requestParameters":{"guardrailIdentifier":"g1"}`, `"eventID":"` + eventID(11) + `"`, `"readOnly":false`, `"source_index":1}`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("no %s in %s", part, got)
		}
	}
	if _, err := db.Event(ctx, "a1b2c3d4-5678-90ab-cdef-EXAMPLE22222"); err != nil {
		t.Error(err)
	}
	if _, err := db.Event(ctx, eventID(99)); !errors.Is(err, query.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

func TestSummary(t *testing.T) {
	db := open(t, newLake(t), query.Options{})
	got, err := db.Summary(ctx, query.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	day := func(d, h, m, s int) time.Time { return time.Date(2026, 5, d, h, m, s, 0, time.UTC) }
	want := &query.Summary{
		Calls: 7, Denied: 1, Changed: 1, First: day(29, 8, 0, 0), Last: day(30, 12, 0, 0),
		ByService: []query.Group{
			{Name: "bedrock", Calls: 6, Failed: 2, InputTokens: 100, OutputTokens: 20, Last: day(30, 11, 0, 0)},
			{Name: "textract", Calls: 1, Last: day(30, 12, 0, 0)},
		},
		ByModel: []query.Group{
			{Name: sonnet, Calls: 3, Failed: 1, InputTokens: 100, OutputTokens: 20, Last: day(30, 10, 0, 0)},
			{Name: haiku, Calls: 2, Failed: 1, Last: day(30, 9, 0, 0)},
		},
		ByActor: []query.Group{
			{Name: "ana", Calls: 4, Failed: 2, Last: day(30, 11, 0, 0)},
			{Name: "app/web-1", Calls: 3, InputTokens: 100, OutputTokens: 20, Last: day(30, 12, 0, 0)},
		},
		ByRegion: []query.Group{{Name: "us-east-1", Calls: 7, Failed: 2, InputTokens: 100, OutputTokens: 20, Last: day(30, 12, 0, 0)}},
		ByOutcome: []query.Group{
			{Name: "ok", Calls: 5, InputTokens: 100, OutputTokens: 20, Last: day(30, 12, 0, 0)},
			{Name: "denied", Calls: 1, Failed: 1, Last: day(29, 8, 0, 0)},
			{Name: "throttled", Calls: 1, Failed: 1, Last: day(30, 10, 0, 0)},
		},
		Denials: []query.Denial{{Actor: "ana", Service: "bedrock", Operation: "InvokeModel", Region: "us-east-1", ErrorCode: "AccessDenied", Calls: 1, Last: day(29, 8, 0, 0)}},
		Changes: []query.Change{{Time: day(30, 11, 0, 0), Actor: "ana", Service: "bedrock", Operation: "DeleteGuardrail", Region: "us-east-1", EventID: eventID(11)}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	part, err := db.Summary(ctx, query.Filter{Actor: "ana", Since: day(30, 0, 0, 0)})
	if err != nil || part.Calls != 2 || part.Denied != 0 || part.Changed != 1 || len(part.ByActor) != 1 {
		t.Errorf("%+v, %v", part, err)
	}
	none, err := open(t, emptyLake(t), query.Options{}).Summary(ctx, query.Filter{})
	if diff := cmp.Diff(&query.Summary{}, none); diff != "" || err != nil {
		t.Errorf("empty lake: %v %s", err, diff)
	}
}

func TestStatus(t *testing.T) {
	db := open(t, newLake(t), query.Options{})
	got, err := db.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	first, last := time.Date(2026, 5, 29, 8, 0, 0, 0, time.UTC), time.Date(2026, 5, 30, 12, 0, 0, 0, time.UTC)
	want := &query.Status{
		Rows: 12, LogFiles: 4, LogBytes: 3007, Events: 13, Duplicates: 1, Quarantined: 1, First: first, Last: last, Collected: noon,
		Places: []query.Place{{Account: "111122223333", Region: "us-east-1", LogFiles: 3, Events: 13, First: first, Last: last, Collected: noon,
			Lag: 24 * time.Hour, LagSeconds: 86400}},
		Verdicts:   []query.Verdict{{Verdict: "", LogFiles: 3}},
		Quarantine: []query.Quarantine{{Object: "s3://trail/4.json.gz", Reason: "not gzip", Collected: noon}},
	}
	ignore := cmpopts.IgnoreFields(query.Status{}, "Snapshot", "Bytes", "DataFiles")
	if diff := cmp.Diff(want, got, ignore); diff != "" || got.Snapshot.IsZero() || got.Bytes == 0 || got.DataFiles < 3 {
		t.Errorf("want -, got +\n%s%+v", diff, got)
	}
	none, err := open(t, emptyLake(t), query.Options{}).Status(ctx)
	if diff := cmp.Diff(&query.Status{}, none, ignore); diff != "" || err != nil {
		t.Errorf("empty lake: %v %s", err, diff)
	}
}

// TestPruning counts the data files that questions about a span of time read.
func TestPruning(t *testing.T) {
	l := emptyLake(t)
	for d := 1; d <= 20; d++ {
		collect(t, l, fmt.Sprint(d), record(d, fmt.Sprintf("2026-05-%02dT10:00:00Z", d), ana, bedrock, "InvokeModel", fmt.Sprint("r", d), model(sonnet), management))
	}
	db := open(t, l, query.Options{})
	day := time.Date(2026, 5, 7, 0, 0, 0, 0, time.UTC)
	f := query.Filter{Since: day, Until: day.AddDate(0, 0, 1), Columns: []string{"request_id"}}
	rows, err := db.Calls(ctx, f)
	if got := read(t, rows, err); !cmp.Equal(got, []string{"r7"}) {
		t.Errorf("calls %q", got)
	}
	read := regexp.MustCompile(`Total Files Read: (\d+)`)
	for _, c := range []struct {
		what string
		most int
	}{{"events", 1}, {"calls", 2}} {
		plan, err := db.Explain(ctx, c.what, f)
		if err != nil {
			t.Fatal(err)
		}
		scans := read.FindAllStringSubmatch(plan, -1)
		if len(scans) == 0 {
			t.Fatalf("no scans in\n%s", plan)
		}
		for _, scan := range scans {
			var n int
			fmt.Sscan(scan[1], &n)
			if n > c.most {
				t.Errorf("%s: %d files read, want at most %d\n%s", c.what, n, c.most, plan)
			}
		}
	}
}
