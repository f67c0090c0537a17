package query_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

var ctx = context.Background()

// noon is when the lake of tests was filled.
var noon = time.Date(2026, 5, 31, 12, 0, 0, 0, time.UTC)

const (
	ana = `"userIdentity":{"type":"IAMUser","principalId":"AIDA1","arn":"arn:aws:iam::111122223333:user/ana","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"ana"}`
	app = `"userIdentity":{"type":"AssumedRole","principalId":"AROA1:web-1","arn":"arn:aws:sts::111122223333:assumed-role/app/web-1","accountId":"111122223333","accessKeyId":"ASIAIOSFODNN7EXAMPLE",` +
		`"sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA1","arn":"arn:aws:iam::111122223333:role/app","accountId":"111122223333","userName":"app"},"attributes":{"creationDate":"2026-05-30T10:00:00Z","mfaAuthenticated":"false"}}}`
	sonnet = "anthropic.claude-sonnet-4-5-20250929-v1:0"
	haiku  = "anthropic.claude-haiku-4-5-20251001-v1:0"
)

// record makes a record; n makes its eventID, rest are further members of it.
func record(n int, at, who, source, name, requestID string, rest ...string) string {
	members := []string{
		`"eventVersion":"1.11"`, who, `"eventTime":"` + at + `"`, `"eventSource":"` + source + `"`, `"eventName":"` + name + `"`, `"awsRegion":"us-east-1"`,
		`"sourceIPAddress":"192.0.2.1"`, `"userAgent":"Boto3/1.34.0 Python/3.11.0"`, fmt.Sprintf(`"requestID":%q`, requestID),
		`"eventID":"` + eventID(n) + `"`, `"recipientAccountId":"111122223333"`,
	}
	return "{" + strings.Join(append(members, rest...), ",") + "}"
}

func eventID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func model(id string) string { return `"requestParameters":{"modelId":"` + id + `"}` }

const (
	management = `"eventType":"AwsApiCall","managementEvent":true,"eventCategory":"Management","readOnly":true`
	data       = `"eventType":"AwsApiCall","managementEvent":false,"eventCategory":"Data","readOnly":true`
	write      = `"eventType":"AwsApiCall","managementEvent":true,"eventCategory":"Management","readOnly":false`
	denied     = `"errorCode":"AccessDenied","errorMessage":"User is not authorized to perform: bedrock:InvokeModel"`
	throttled  = `"errorCode":"ThrottlingException","errorMessage":"Too many requests"`
)

func completion(parent string, in, out int, region, rest string) string {
	return fmt.Sprintf(`"eventType":"AwsServiceEvent","readOnly":true,"serviceEventDetails":{"parentRequestId":%q,"AdditionalEventData":`+
		`{"additionalEntries":{"inferenceRegion":%q,"inputTokens":%d,"outputTokens":%d}}},"resources":[{"type":"AWS::Bedrock::Model",`+
		`"ARN":"arn:aws:bedrock:us-east-1::foundation-model/`+sonnet+`"}]%s`, parent, region, in, out, rest)
}

const bedrock = "bedrock.amazonaws.com"

// logs are the log files of the lake of tests: seven calls on two days, told by eleven records; two events that are no
// calls; and one event delivered twice.
var logs = []struct {
	object  string
	records []string
}{
	{"s3://trail/1.json.gz", []string{
		// Call 1: plain.
		record(1, "2026-05-29T23:59:59Z", ana, bedrock, "InvokeModel", "r1", model(sonnet), management),
		// Call 2: a stream; its data copy and the end of the stream follow, the end in the next file and on the next day.
		record(2, "2026-05-29T23:59:58Z", app, bedrock, "ConverseStream", "r2", model(sonnet), management),
		record(3, "2026-05-29T23:59:58Z", app, bedrock, "ConverseStream", "r2", model(sonnet), data),
		// Call 3: denied.
		record(4, "2026-05-29T08:00:00Z", ana, bedrock, "InvokeModel", "r4", model(haiku), management, denied),
	}},
	{"s3://trail/2.json.gz", []string{
		record(5, "2026-05-30T00:00:03Z", app, bedrock, "ConverseStream", "r2e", completion("r2", 100, 20, "us-west-2", "")),
		record(6, "2026-05-30T00:00:03Z", app, bedrock, "ConverseStream", "r2e", completion("r2", 100, 20, "us-west-2", `,"eventCategory":"Data","managementEvent":false`)),
		// Call 4: a stream of which only data events were recorded.
		record(7, "2026-05-30T09:00:00Z", app, bedrock, "InvokeModelWithResponseStream", "r7", model(haiku), data),
		// The event of call 1 again.
		record(1, "2026-05-29T23:59:59Z", ana, bedrock, "InvokeModel", "r1", model(sonnet), management),
		// No AI calls.
		record(8, "2026-05-30T09:00:01Z", ana, "s3.amazonaws.com", "PutBucketPolicy", "r8", `"requestParameters":{"bucketName":"b"}`, write),
		record(9, "2026-05-30T09:00:02Z", ana, "iam.amazonaws.com", "ListUsers", "r9", `"requestParameters":null`, management),
	}},
	{"s3://trail/3.json.gz", []string{
		// Call 5: throttled. Call 6: a change. Call 7: a service of another kind, whose event id is no UUID.
		record(10, "2026-05-30T10:00:00Z", ana, bedrock, "Converse", "r10", model(sonnet), management, throttled),
		record(11, "2026-05-30T11:00:00Z", ana, bedrock, "DeleteGuardrail", "r11", `"requestParameters":{"guardrailIdentifier":"g1"}`, write),
		strings.Replace(record(12, "2026-05-30T12:00:00Z", app, "textract.amazonaws.com", "DetectDocumentText", "r12", management),
			eventID(12), "a1b2c3d4-5678-90ab-cdef-EXAMPLE22222", 1),
	}},
}

// newLake makes a lake of the log files, each a commit, and one log file in quarantine.
func newLake(t testing.TB) *lake.Lake {
	t.Helper()
	l := emptyLake(t)
	fill(t, l)
	return l
}

func fill(t testing.TB, l *lake.Lake) {
	t.Helper()
	for _, f := range logs {
		collect(t, l, f.object, f.records...)
	}
	b := l.NewBatch()
	if err := b.File(lake.LogFile{Object: "s3://trail/4.json.gz", Size: 7}).Quarantine("not gzip", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
}

func emptyLake(t testing.TB) *lake.Lake {
	t.Helper()
	l, err := lake.Open(ctx, t.TempDir(), lake.Options{Create: true, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func open(t testing.TB, tables query.Tables, opts query.Options) *query.DB {
	t.Helper()
	db, err := query.Open(ctx, tables, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// read returns a result's rows, each a line of its values with | between.
func read(t testing.TB, rows *query.Rows, err error) []string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	lines := []string{}
	for rows.Next() {
		var texts []string
		for _, v := range rows.Values() {
			texts = append(texts, query.Text(v))
		}
		lines = append(lines, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// failure returns the *query.Error that a query must fail with.
func failure(t testing.TB, db *query.DB, text string, args ...any) *query.Error {
	t.Helper()
	rows, err := db.Query(ctx, text, args...)
	if err == nil {
		rows.Close()
		t.Fatalf("%s: no error", text)
	}
	var e *query.Error
	if !errors.As(err, &e) {
		t.Fatalf("%s: %T %v, want *query.Error", text, err, err)
	}
	return e
}
