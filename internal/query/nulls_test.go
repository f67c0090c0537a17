package query_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

// TestWhatARecordLacksIsNull writes patterns of present and absent members, in rows and within lists, and has
// DuckDB, which tells empty values from null, look for empty ones.
func TestWhatARecordLacksIsNull(t *testing.T) {
	l, err := lake.Open(t.Context(), t.TempDir(), lake.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := l.NewBatch()
	f := b.File(lake.LogFile{Object: "file:///patterns.json", Kind: cloudtrail.KindLog})
	n, present, elements := 0, 0, 0
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for run := 1; run < 32; run++ { // in each word of 64: so many absent, as many present, the rest absent
		for i := range 64 {
			e := cloudtrail.Event{EventID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n), EventTime: at.Add(time.Duration(n) * time.Second)}
			if i/run == 1 {
				e.ErrorCode, e.AdditionalEventData = "AccessDenied", `{"a":1}`
				present++
			}
			for j := range 3 * run {
				r := cloudtrail.Resource{Type: "AWS::S3::Object"}
				if j/run == 1 {
					r.AccountID = "111122223333"
					elements++
				}
				e.Resources = append(e.Resources, r)
			}
			if err := f.Event(&e, n); err != nil {
				t.Fatal(err)
			}
			n++
		}
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
	rows, err := db.Query(t.Context(), `SELECT count(errorCode), count(additionalEventData), count(*) FILTER (errorCode = '' OR additionalEventData = ''),
		count(*) FILTER (userAgent = '' OR errorMessage = '' OR requestParameters = '' OR model_id = ''), count(*),
		sum(len(list_filter(resources, lambda r: r.accountId IS NOT NULL))), sum(len(list_filter(resources, lambda r: r.accountId = ''))) FROM events`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	got := fmt.Sprint(rows.Values()...)
	if want := fmt.Sprint(int64(present), int64(present), int64(0), int64(0), int64(n), int64(elements), int64(0)); got != want {
		t.Errorf("present, present, empty, empty, all, elements present, empty: got %s, want %s", got, want)
	}
}
