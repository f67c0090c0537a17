package query

import (
	"context"
	"testing"
	"unicode/utf8"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/aitrail/aitrail/internal/lake"
)

// empty is a lake without rows.
type empty struct{}

func (empty) Files(_ context.Context, table string) (lake.Snapshot, error) {
	return lake.Snapshot{Table: table}, nil
}

// FuzzGuard states that what passes the guard is one SELECT, for DuckDB too, alone and as a subquery.
func FuzzGuard(f *testing.F) {
	for _, text := range []string{
		"SELECT 1", "select * from calls;", "EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1", "EXPLAIN (SELECT 1)", "DESCRIBE events", "SHOW TABLES",
		"SUMMARIZE 'a.parquet'", "FROM read_csv('/etc/passwd')", "WITH a AS (SELECT 1) FROM a", "WITH \"a.csv\" AS (SELECT 1) FROM 'a.csv'",
		"COPY events TO 'x'", "EXPLAIN ANALYZE COPY events TO 'x'", "SELECT 1; DROP VIEW events", "/* ; */ SELECT ';' -- ;\n;", "SELECT $$;$$",
		"SELECT E'\\';' ; COPY x TO 'y'", "SELECT 'a''; COPY x TO ''y'", "PIVOT events ON outcome", "CALL pragma_version()", "SELECT \"a;\"\"b\"",
		"EXPLAIN EXPLAIN SELECT 1", "EXPLAIN (FORMAT JSON) (FORMAT JSON) SELECT 1", "SELECT 1 /* /* */ ; DROP VIEW x", "VALUES ($1, ?)", "SHOW",
		"DESCRIBE", "EXECUTE x", "SET threads = 1", "MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE", "SELECT x'41';", "SELECT $a$ ; $a$; COPY x TO 'y'",
		"(((SELECT 1)))", "FROM events UNION FROM query('COPY')", "SELECT * FROM main.read_text('/etc/passwd')", "SELECT U&'\\0041' ; DROP VIEW x", "\ufeffSELECT 1",
		"SELECT concat() FROM $EDS_ID", "SELECT concat(a, b / c) FROM cloudtrail_lake", "SELECT CAST(x AS ROW(", "FROM $EDS_ID SELECT CAST(x AS ARRAY(MAP(a", "SELECT (x/y) -> z FROM $EDS_ID",
		"SELECT transform(a, (x, y) -> x) FROM <EDS ID>", "SELECT CAST(a AS ROW(a bigint, b array<json>)) FROM \"0a1b2c3d-4e5f-6789-abcd-ef0123456789\"", "SELECT unnest() AS t(a, b) FROM $EDS_ID",
		"SELECT json_extract(a, '$[''b''].c') , date_format(t, '%') FROM $EDS_ID", "SELECT CAST(a AS varchar(3)), EXTRACT(dow FROM b), x -> FROM $EDS_ID; COPY x TO 'y'", "-> FROM $EDS_ID",
	} {
		f.Add(text)
	}
	db, err := Open(context.Background(), empty{}, Options{MemoryMB: 256, SpillMB: -1, Threads: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	f.Fuzz(func(t *testing.T, text string) {
		s, err := db.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		st, err := s.check(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		for _, run := range []struct {
			text string
			want duckdb.StmtType
		}{{st.body, duckdb.STATEMENT_TYPE_SELECT}, {"SELECT * FROM (\n" + st.body + "\n)", duckdb.STATEMENT_TYPE_SELECT}} {
			if st.shows && run.text != st.body {
				continue
			}
			prepared, err := s.conn.Prepare(run.text)
			if err != nil {
				continue // it can't run
			}
			statement := prepared.(*duckdb.Stmt)
			if kind, err := statement.StatementType(); err != nil || kind != run.want {
				t.Errorf("%q passed; %q is of type %v, %v", text, run.text, kind, err)
			}
			if err := statement.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzTokens states that tokens follow each other without overlap to the text's end, and that places can be told.
func FuzzTokens(f *testing.F) {
	for _, text := range []string{"SELECT 'a''b', \"c\"\"d\", $$x$$, $t$y$t$, 1.5e3, E'\\'', /* /* */ */ -- x\n ü", "'", "\"", "$a$", "/*", "E'\\", "$1 ?"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at := 0
		for {
			tok := next(text, at)
			if tok.start < at || tok.end < tok.start || tok.end > len(text) {
				t.Fatalf("token %+v after %d", tok, at)
			}
			if tok.kind == tokenEnd {
				break
			}
			if tok.end == tok.start {
				t.Fatalf("token %+v is empty", tok)
			}
			e := (&Error{}).at(text, tok.start)
			if e.Line < 1 || e.Col < 1 || e.Col > utf8.RuneCountInString(text)+1 {
				t.Fatalf("place %d:%d of %+v", e.Line, e.Col, tok)
			}
			at = tok.end
		}
	})
}

// FuzzType states that a type's text can be read, whatever it is, and that what is spelled from it reads the same.
func FuzzType(f *testing.F) {
	for _, text := range []string{`STRUCT(a BIGINT, "b c" STRUCT("d""" VARCHAR[3])[])[]`, "MAP(VARCHAR, JSON)", "ENUM('a', ')')", "DECIMAL(18,3)",
		"UNION(k INTEGER)", "STRUCT(", "[]", "MAP(,)", `STRUCT("`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1000 {
			return
		}
		typ := parseType(text)
		if given(typ) { // whole: all its parts are types that there are
			once := typ.replaced("JSON", "VARCHAR")
			if again := parseType(once).replaced("JSON", "VARCHAR"); again != once {
				t.Errorf("%q: %q reads as %q", text, once, again)
			}
		}
	})
}
