package query_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

// TestDuckDBReadsWhatWasWritten writes each kind of column in each of its encodings: with and without dictionaries, in
// one page and in several, within structs and lists, present in all rows, in some and in none; and has DuckDB, which shares
// no code with the writer, give all values back.
func TestDuckDBReadsWhatWasWritten(t *testing.T) {
	l, err := lake.Open(t.Context(), t.TempDir(), lake.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const rows = 5000
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	b := l.NewBatch()
	f := b.File(lake.LogFile{Object: "file:///values.json", Kind: cloudtrail.KindLog})
	want := make([]string, rows)
	for n := range rows {
		e := cloudtrail.Event{
			EventID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n+1), EventTime: at.Add(time.Duration(n*7919%rows) * time.Second),
			EventVersion: "1.11", EventName: fmt.Sprint("Op", n%300), RequestID: fmt.Sprintf("%x", n*2654435761),
			ReadOnly: cloudtrail.Bool(n % 3), RecipientAccountID: "111122223333",
			UserIdentity: &cloudtrail.UserIdentity{Type: "IAMUser", UserName: fmt.Sprint("user", n%700)},
		}
		if n%5 == 0 {
			e.ResponseElements = cloudtrail.JSON(fmt.Sprintf(`{"n":%d,"pad":%q}`, n, strings.Repeat("ab", n)))
		}
		if n%7 == 0 {
			e.UserIdentity.SessionContext = &cloudtrail.SessionContext{SourceIdentity: fmt.Sprint("person", n%49),
				Attributes: &cloudtrail.SessionAttributes{CreationDate: at.Add(time.Duration(n%35) * time.Hour)}}
		}
		arns := []string{}
		for i := range n % 4 {
			e.Resources = append(e.Resources, cloudtrail.Resource{Type: "T", ARN: fmt.Sprintf("arn:%d:%d", n, i)})
			arns = append(arns, e.Resources[i].ARN)
		}
		if err := f.Event(&e, n); err != nil {
			t.Fatal(err)
		}
		text := func(s string) string {
			if s == "" {
				return "NULL"
			}
			return s
		}
		readOnly, session, created := []string{"NULL", "false", "true"}[n%3], "", "NULL"
		if s := e.UserIdentity.SessionContext; s != nil {
			session, created = s.SourceIdentity, fmt.Sprint(s.Attributes.CreationDate.UnixMicro())
		}
		want[n] = strings.Join([]string{e.EventID, fmt.Sprint(e.EventTime.UnixMicro()), e.EventVersion, e.EventName, e.RequestID, readOnly, "NULL",
			e.UserIdentity.UserName, text(session), created, text(string(e.ResponseElements)), text(strings.Join(arns, " "))}, "|")
	}
	if err := f.Done(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := query.Open(t.Context(), l, query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	result, err := db.Query(t.Context(), `SELECT concat_ws('|', eventID, epoch_us(eventTime), eventVersion, eventName, requestID,
		coalesce(readOnly::VARCHAR, 'NULL'), coalesce(errorCode, 'NULL'), userIdentity.userName, coalesce(userIdentity.sessionContext.sourceIdentity, 'NULL'),
		coalesce(epoch_us(userIdentity.sessionContext.attributes.creationDate)::VARCHAR, 'NULL'), coalesce(responseElements, 'NULL'),
		coalesce(array_to_string(list_transform(resources, lambda r: r.ARN), ' '), 'NULL')) FROM events ORDER BY source_index`)
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	n := 0
	for ; result.Next(); n++ {
		if got := fmt.Sprint(result.Values()[0]); n >= rows || got != want[n] {
			t.Fatalf("row %d is %.200q, want %.200q", n, got, want[min(n, rows-1)])
		}
	}
	if err := result.Err(); err != nil || n != rows {
		t.Errorf("%d of %d rows, %v", n, rows, err)
	}
}
