package query_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

func TestValues(t *testing.T) {
	db := open(t, emptyLake(t), query.Options{})
	at := time.Date(2026, 5, 30, 1, 2, 3, 4000, time.UTC)
	for _, c := range []struct {
		expr, typ string
		want      any
	}{
		{"NULL", "INTEGER", nil},
		{"true", "BOOLEAN", true},
		{"1::TINYINT", "TINYINT", int64(1)},
		{"255::UTINYINT", "UTINYINT", int64(255)},
		{"9223372036854775807", "BIGINT", int64(9223372036854775807)},
		{"18446744073709551615::UBIGINT", "UBIGINT", json.Number("18446744073709551615")},
		{"sum(3)", "HUGEINT", int64(3)},
		{"170141183460469231731687303715884105727", "HUGEINT", json.Number("170141183460469231731687303715884105727")},
		{"1.50", "DECIMAL(3,2)", json.Number("1.5")},
		{"0.1::FLOAT", "FLOAT", 0.1},
		{"1e300", "DOUBLE", 1e300},
		{"'a''b'", "VARCHAR", "a'b"},
		{"'ab'::BLOB", "BLOB", []byte("ab")},
		{"'0123456789abcdef'::BLOB", "BLOB", []byte("0123456789abcdef")},
		{"'00000000-0000-4000-8000-000000000001'::UUID", "UUID", "00000000-0000-4000-8000-000000000001"},
		{"'101'::BIT", "BIT", "101"},
		{"TIMESTAMPTZ '2026-05-30 03:02:03.000004+02'", "TIMESTAMPTZ", at},
		{"TIMESTAMP '2026-05-30 01:02:03.000004'", "TIMESTAMP", at},
		{"DATE '2026-05-30'", "DATE", "2026-05-30"},
		{"TIME '01:02:03.5'", "TIME", "01:02:03.5"},
		{"INTERVAL '14 months 2 days 3 hours'", "INTERVAL", "1 year 2 months 2 days 03:00:00"},
		{"INTERVAL '-1.5 seconds'", "INTERVAL", "-00:00:01.5"},
		{"'b'::ENUM('a', 'b')", "ENUM('a', 'b')", "b"},
		{"[1, NULL]", "INTEGER[]", []any{int64(1), nil}},
		{"[1, 2]::INTEGER[2]", "INTEGER[2]", []any{int64(1), int64(2)}},
		{"{'z': 1, 'a b': [{'y': DATE '2026-05-30'}]}", `STRUCT(z INTEGER, "a b" STRUCT(y DATE)[])`,
			query.Object{{Name: "z", Value: int64(1)}, {Name: "a b", Value: []any{query.Object{{Name: "y", Value: "2026-05-30"}}}}}},
		{"MAP {'k': 1, 'a': 2}", "MAP(VARCHAR, INTEGER)", query.Object{{Name: "k", Value: int64(1)}, {Name: "a", Value: int64(2)}}},
		{"MAP {[1]: 2}", "MAP(INTEGER[], INTEGER)", "{[1]=2}"},
		{"union_value(k := 1)", "UNION(k INTEGER)", int64(1)},
		{`'{"b": 12345678901234567890, "a": null}'::JSON`, "JSON", json.RawMessage(`{"b": 12345678901234567890, "a": null}`)},
		{"'null'::JSON", "JSON", json.RawMessage("null")},
		{"NULL::JSON", "JSON", nil},
		{`['1.10'::JSON]`, "JSON[]", []any{json.RawMessage("1.10")}},
		{`{'j': '{}'::JSON}`, "STRUCT(j JSON)", query.Object{{Name: "j", Value: json.RawMessage("{}")}}},
	} {
		rows, err := db.Query(ctx, "SELECT "+c.expr+" AS v")
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		if col := rows.Columns()[0]; col.Name != "v" || col.Type != c.typ {
			t.Errorf("%s: column %q of type %q, want %q", c.expr, col.Name, col.Type, c.typ)
		}
		if !rows.Next() {
			t.Errorf("%s: no row, %v", c.expr, rows.Err())
		} else if diff := cmp.Diff([]any{c.want}, rows.Values()); diff != "" {
			t.Errorf("%s: want -, got +\n%s", c.expr, diff)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOrder keeps the order of rows where JSON columns make the statement a subquery.
func TestOrder(t *testing.T) {
	db := open(t, emptyLake(t), query.Options{Threads: 4})
	rows, err := db.Query(ctx, "SELECT i, to_json(i) AS j, i AS \"i\" FROM range(300000) r(i) ORDER BY i % 1000 DESC, i -- the end")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	last, n := int64(999), 0
	for rows.Next() {
		i, _ := rows.Values()[0].(int64)
		if i%1000 > last {
			t.Fatalf("row %d: %d after %d", n, i%1000, last)
		}
		last = i % 1000
		n++
	}
	if n != 300000 || rows.Err() != nil {
		t.Errorf("%d rows, %v", n, rows.Err())
	}
}

func TestErrors(t *testing.T) {
	db := open(t, newLake(t), query.Options{})
	for _, c := range []struct {
		text string
		args []any
		want query.Error
	}{
		{"SELECT modelid FROM calls", nil, query.Error{Kind: query.Unknown, Construct: "modelid", Line: 1, Col: 8, Nearest: []string{"model_id"},
			Message: `referenced column "modelid" not found in FROM clause`}},
		{"SELECT\n  'é', actr FROM calls", nil, query.Error{Kind: query.Unknown, Construct: "actr", Line: 2, Col: 8, Nearest: []string{"actor"},
			Message: `referenced column "actr" not found in FROM clause`}},
		{"SELECT actr, '1'::JSON FROM calls", nil, query.Error{Kind: query.Unknown, Construct: "actr", Line: 1, Col: 8, Nearest: []string{"actor"},
			Message: `referenced column "actr" not found in FROM clause`}},
		{"EXPLAIN\n\nSELECT actr FROM calls", nil, query.Error{Kind: query.Unknown, Construct: "actr", Line: 3, Col: 8, Nearest: []string{"actor"},
			Message: `referenced column "actr" not found in FROM clause`}},
		{"SELECT * FROM evnts", nil, query.Error{Kind: query.Unknown, Construct: "evnts", Line: 1, Col: 15, Nearest: []string{"events"},
			Message: `there is no table "evnts"`}},
		{"SELECT * FROM zzz", nil, query.Error{Kind: query.Unknown, Construct: "zzz", Line: 1, Col: 15,
			Message: `there is no table "zzz"; there are calls, events, invocations, log_files, digests, cloudtrail_lake`}},
		{"SELECT lenght(actor) FROM calls", nil, query.Error{Kind: query.Unknown, Construct: "lenght", Line: 1, Col: 8, Nearest: []string{"length"},
			Message: `scalar Function with name lenght does not exist`}},
		{"SELECT 1 +", nil, query.Error{Kind: query.Syntax, Line: 1, Col: 11, Message: "syntax error at end of input"}},
		{"SELEC 1", nil, query.Error{Kind: query.Syntax, Construct: "SELEC", Line: 1, Col: 1, Message: `syntax error at or near "SELEC"`}},
		{"SELECT CAST(userAgent AS INTEGER) FROM events", nil, query.Error{Kind: query.Invalid, Construct: "CAST", Line: 1, Col: 8,
			Message: `could not convert string 'Boto3/1.34.0 Python/3.11.0' to INT32 when casting from source column userAgent`}},
		{"", nil, query.Error{Kind: query.Syntax, Message: "there is no statement"}},
		{" -- nothing", nil, query.Error{Kind: query.Syntax, Message: "there is no statement"}},
		{"SELECT ?", nil, query.Error{Kind: query.Invalid, Message: "the statement has 1 parameters; 0 values were given"}},
		{"SELECT 1", []any{1}, query.Error{Kind: query.Invalid, Message: "the statement has 0 parameters; 1 values were given"}},
		{"SELECT " + strings.Repeat("(1+", 5000) + "1" + strings.Repeat(")", 5000), nil, query.Error{Kind: query.Syntax, Construct: "(", Line: 1, Col: 10004, Message: `memory exhausted at or near "("`}},
		{"SELECT 1" + strings.Repeat(" ", query.MaxStatement), nil, query.Error{Kind: query.NotAllowed, Message: "the statement is longer than 65536 bytes"}},
		{"SELECT '\xff'", nil, query.Error{Kind: query.Syntax, Message: "the statement is not UTF-8 text"}},
	} {
		got := failure(t, db, c.text, c.args...)
		if diff := cmp.Diff(c.want, *got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".err" }, cmp.Ignore())); diff != "" {
			t.Errorf("%.80s: want -, got +\n%s", c.text, diff)
		}
	}
	e := failure(t, db, "SELECT actr FROM calls")
	if want := `line 1, column 8: referenced column "actr" not found in FROM clause; did you mean "actor"?`; e.Error() != want {
		t.Errorf("%q, want %q", e.Error(), want)
	}
}

func TestParameters(t *testing.T) {
	db := open(t, newLake(t), query.Options{})
	rows, err := db.Query(ctx, "SELECT count(*), ?, ?::TIMESTAMPTZ FROM events WHERE eventName = ?", 7, noon, "ListUsers")
	if got := read(t, rows, err); !cmp.Equal(got, []string{"1|7|2026-05-31T12:00:00Z"}) {
		t.Errorf("got %q", got)
	}
}

// heavy is a query that takes hours.
const heavy = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000) c WHERE hash(a.range, b.range, c.range) = 0"

func TestTimeout(t *testing.T) {
	// A second is nothing to heavy, and enough for the set-up and SELECT 1 on a busy machine.
	db := open(t, emptyLake(t), query.Options{Timeout: time.Second})
	e := failure(t, db, heavy)
	if e.Kind != query.Timeout || !errors.Is(e, query.ErrTimeout) || e.Message != "the query ran longer than 1s" {
		t.Errorf("%s: %v", e.Kind, e)
	}
	rows, err := db.Query(ctx, "SELECT 1")
	for range 60 { // on a slow machine that, too, may take longer than the time that the test gives
		if !errors.Is(err, query.ErrTimeout) {
			break
		}
		rows, err = db.Query(ctx, "SELECT 1")
	}
	if got := read(t, rows, err); got[0] != "1" {
		t.Errorf("afterwards: %q", got)
	}
}

func TestCancel(t *testing.T) {
	db := open(t, emptyLake(t), query.Options{})
	before := runtime.NumGoroutine()
	for range 5 {
		cancelled, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		if _, err := db.Query(cancelled, heavy); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
		cancel()
		if _, err := db.Query(cancelled, "SELECT 1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the context's end: error %v", err)
		}
	}
	after := runtime.NumGoroutine()
	for end := time.Now().Add(time.Minute); after > before && time.Now().Before(end); after = runtime.NumGoroutine() {
		time.Sleep(time.Millisecond) // one that has nothing more to do may not have ended yet
	}
	if after > before {
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines, %d before:\n%s", after, before, buf[:runtime.Stack(buf, true)])
	}
}

func TestMemory(t *testing.T) {
	db := open(t, emptyLake(t), query.Options{MemoryMB: 64, SpillMB: -1})
	e := failure(t, db, "SELECT range FROM range(50000000) ORDER BY hash(range)")
	if e.Kind != query.OutOfMemory {
		t.Errorf("%s: %v", e.Kind, e)
	}
}

// TestSpill sorts more than fits into memory; the temporary files are gone afterwards.
func TestSpill(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	db, err := query.Open(ctx, emptyLake(t), query.Options{MemoryMB: 64, SpillMB: 2048, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	folders, _ := filepath.Glob(filepath.Join(temp, "aitrail-query-*"))
	if len(folders) != 1 {
		t.Fatalf("folders %q", folders)
	}
	if info, err := os.Stat(folders[0]); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	rows, err := db.Query(ctx, "SELECT max(r), count(*) FROM (SELECT range AS r, repeat('x', 50) FROM range(3000000) ORDER BY hash(range) LIMIT 2999999)")
	if got := read(t, rows, err); !strings.HasSuffix(got[0], "|2999999") {
		t.Errorf("got %q", got)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(folders[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary folder after Close: %v", err)
	}
}

func TestEmptyLake(t *testing.T) {
	db := open(t, emptyLake(t), query.Options{})
	for view, want := range map[string]string{
		"events":    "userIdentity.sessionContext.sessionIssuer.arn, eventTime, eventID, resources, input_tokens, source_index",
		"calls":     "time, ai_service, user_identity.type, input_tokens, event_id, source_index",
		"log_files": "object, size, first_event, verdict",
	} {
		rows, err := db.Query(ctx, "SELECT "+want+" FROM "+view)
		if got := read(t, rows, err); len(got) != 0 {
			t.Errorf("%s: rows %q", view, got)
		}
	}
	full := open(t, newLake(t), query.Options{})
	for _, view := range []string{"events", "calls", "log_files", "cloudtrail_lake"} {
		var described [2][]string
		for i, db := range []*query.DB{db, full} {
			rows, err := db.Query(ctx, "SELECT column_name, column_type FROM (DESCRIBE "+view+")")
			described[i] = read(t, rows, err)
		}
		if diff := cmp.Diff(described[1], described[0]); diff != "" || len(described[0]) < 10 {
			t.Errorf("%s: full lake -, empty lake +\n%s", view, diff)
		}
		var documented []string
		for _, c := range query.Columns(view) {
			documented = append(documented, c.Name+"|"+strings.ReplaceAll(c.Type, `"`, ""))
			if c.Doc == "" {
				t.Errorf("%s.%s has no words", view, c.Name)
			}
		}
		for i, c := range described[0] {
			described[0][i] = strings.NewReplacer("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", `"`, "").Replace(c)
		}
		if diff := cmp.Diff(documented, described[0]); diff != "" {
			t.Errorf("%s: documented -, found +\n%s", view, diff)
		}
	}
}

func TestConcurrent(t *testing.T) {
	db := open(t, newLake(t), query.Options{Threads: 2})
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			rows, err := db.Query(ctx, "SELECT count(*) + ? FROM events, range(1000)", i)
			if err != nil {
				t.Error(err)
				return
			}
			if got := read(t, rows, err); got[0] != fmt.Sprint(12000+i) {
				t.Errorf("query %d: %q", i, got)
			}
		})
	}
	wg.Wait()
}

// remote has a data file in a bucket.
type remote struct{}

func (remote) Files(_ context.Context, table string) (lake.Snapshot, error) {
	return lake.Snapshot{Table: table, Files: []lake.DataFile{{Path: "s3://lake/a.parquet"}}}, nil
}

func TestRemote(t *testing.T) {
	if _, err := query.Open(ctx, remote{}, query.Options{}); !errors.Is(err, query.ErrRemote) {
		t.Errorf("error %v", err)
	}
}

// TestPath opens lakes in folders whose names mean something to DuckDB.
func TestPath(t *testing.T) {
	for _, name := range []string{"it's", "a b", "{x,y}", "q?", "st*r", "[ab]", "ä%20"} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, "?*") {
			continue
		}
		l, err := lake.Open(ctx, filepath.Join(t.TempDir(), name), lake.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		b := l.NewBatch()
		if err := b.File(lake.LogFile{Object: "x"}).Done(nil); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		db := open(t, l, query.Options{})
		rows, err := db.Query(ctx, "SELECT object FROM log_files")
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if got := read(t, rows, err); len(got) != 1 || got[0] != "x" {
			t.Errorf("%q: rows %q", name, got)
		}
		l.Close()
	}
}
