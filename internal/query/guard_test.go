package query_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

func TestAllowed(t *testing.T) {
	db := open(t, newLake(t), query.Options{})
	for _, text := range []string{
		"SELECT 1",
		"select count(*) from events;",
		" -- a comment ; \n /* and /* another */ ; */ SELECT ';' AS \"a;b\" ; ; -- end",
		"WITH x AS (SELECT * FROM events) SELECT count(*) FROM x, calls",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n",
		"FROM events SELECT count(*)",
		"TABLE log_files",
		"VALUES (1), (2)",
		"(SELECT 1) UNION (SELECT 2)",
		"EXPLAIN SELECT * FROM calls",
		"EXPLAIN ANALYZE SELECT count(*) FROM calls",
		"EXPLAIN (FORMAT JSON) SELECT count(*) FROM calls",
		"EXPLAIN (ANALYZE, FORMAT JSON) SELECT count(*) FROM calls",
		"EXPLAIN (SELECT 1)",
		"DESCRIBE calls",
		"DESCRIBE SELECT actor FROM calls",
		"SHOW TABLES",
		"SUMMARIZE log_files",
		"SELECT * FROM main.events",
		"SELECT table_name FROM information_schema.tables",
		"SELECT view_name FROM duckdb_views() WHERE NOT internal",
		"SELECT unnest([1, 2]), range FROM range(2), unnest([3])",
		"SELECT key, value FROM json_each('{\"a\": 1}')",
		"SELECT json_extract_string(requestParameters, '$.modelId') FROM events",
		"SELECT list_transform(resources, lambda r: r.ARN) FROM events",
		"FROM (PIVOT events ON outcome IN ('ok', 'denied') USING count(*) GROUP BY eventName)",
		"SELECT 'COPY' AS \"DROP\"",
	} {
		rows, err := db.Query(ctx, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		rows.Close()
	}
}

// TestRefused tries what would read or write other files, reach the network, or change how queries are run.
func TestRefused(t *testing.T) {
	l := newLake(t)
	db := open(t, l, query.Options{})
	snapshot, err := l.Files(ctx, lake.Events)
	if err != nil || len(snapshot.Files) == 0 {
		t.Fatal(err, "no data files")
	}
	inside := snapshot.Files[0].Path
	written := filepath.Join(t.TempDir(), "written")
	for _, c := range []struct{ text, construct string }{
		{"SELECT * FROM read_csv('/etc/passwd')", "read_csv"},
		{"SELECT * FROM READ_CSV_AUTO('/etc/passwd')", "READ_CSV_AUTO"},
		{"SELECT * FROM read_text('/etc/passwd')", "read_text"},
		{"SELECT * FROM read_blob('/etc/passwd')", "read_blob"},
		{"SELECT * FROM main.read_json('/etc/passwd')", "read_json"},
		{"SELECT * FROM read_text('" + inside + "')", "read_text"},
		{"SELECT * FROM read_parquet('" + inside + "')", "read_parquet"},
		{"SELECT * FROM parquet_metadata('" + inside + "')", "parquet_metadata"},
		{"SELECT * FROM glob('/*')", "glob"},
		{"SELECT * FROM sniff_csv('/etc/passwd')", "sniff_csv"},
		{"SELECT * FROM '/etc/passwd'", "/etc/passwd"},
		{"SELECT * FROM '" + inside + "'", inside},
		{"DESCRIBE '" + inside + "'", inside},
		{"SUMMARIZE '" + inside + "'", inside},
		{"SELECT * FROM 'https://example.com/a.parquet'", "https://example.com/a.parquet"},
		{"SELECT * FROM 's3://trail/a.parquet'", "s3://trail/a.parquet"},
		{"SELECT (SELECT content FROM read_text('/etc/passwd'))", "read_text"},
		{"WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT 1", "read_text"},
		{"SELECT 1 WHERE EXISTS (FROM read_text('/etc/passwd'))", "read_text"},
		{"EXPLAIN ANALYZE SELECT * FROM read_text('/etc/passwd')", "read_text"},
		{"SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')", "query"},
		{"SELECT * FROM query_table('events')", "query_table"},
		{"SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))", "json_execute_serialized_sql"},
		{"SELECT json_serialize_plan('SELECT 1')", "json_serialize_plan"},
		{"SELECT * FROM enable_logging('QueryLog', storage = 'file', storage_path = '" + written + "')", "enable_logging"},
		{"SELECT * FROM enable_profiling(save_location = '" + written + "')", "enable_profiling"},
		{"SELECT * FROM arrow_scan(1, 2, 3)", "arrow_scan"},
		{"SELECT * FROM duckdb_settings()", "duckdb_settings"},
		{"SELECT * FROM duckdb_secrets()", "duckdb_secrets"},
		{"SELECT current_setting('temp_directory')", "current_setting"},
		{"SELECT getenv('HOME')", "getenv"},
		{"SELECT write_log('x')", "write_log"},
		{"COPY events TO '" + written + "'", "COPY"},
		{"COPY (SELECT 1) TO '" + inside + "'", "COPY"},
		{"EXPLAIN ANALYZE COPY (SELECT 1) TO '" + written + "'", "COPY"},
		{"explain (format json) COPY (SELECT 1) TO '" + written + "'", "COPY"},
		{"EXPORT DATABASE '" + written + "'", "EXPORT"},
		{"ATTACH '" + written + "'", "ATTACH"},
		{"INSTALL httpfs", "INSTALL"},
		{"LOAD httpfs", "LOAD"},
		{"FORCE INSTALL httpfs", "FORCE"},
		{"PRAGMA version", "PRAGMA"},
		{"SET threads = 1", "SET"},
		{"SET VARIABLE a = 1", "SET"},
		{"RESET threads", "RESET"},
		{"USE memory", "USE"},
		{"CALL pragma_version()", "CALL"},
		{"CREATE TABLE x AS SELECT 1", "CREATE"},
		{"CREATE OR REPLACE TEMP VIEW events AS SELECT 1", "CREATE"},
		{"DROP VIEW events", "DROP"},
		{"ALTER VIEW events RENAME TO x", "ALTER"},
		{"INSERT INTO x VALUES (1)", "INSERT"},
		{"WITH x AS (SELECT 1) INSERT INTO y SELECT * FROM x", "INSERT"},
		{"EXPLAIN ANALYZE WITH x AS (SELECT 1) DELETE FROM y", "DELETE"},
		{"UPDATE x SET a = 1", "UPDATE"},
		{"BEGIN", "BEGIN"},
		{"CHECKPOINT", "CHECKPOINT"},
		{"VACUUM", "VACUUM"},
		{"PREPARE x AS SELECT 1", "PREPARE"},
		{"EXECUTE x", "EXECUTE"},
		{"PIVOT events ON outcome", "PIVOT"},
		{"SELECT 1; SELECT 2", ";"},
		{"SELECT 1; DROP VIEW events", ";"},
		{"/* SELECT */ DROP VIEW events", "DROP"},
	} {
		e := failure(t, db, c.text)
		if !strings.EqualFold(e.Construct, c.construct) {
			t.Errorf("%s: %v (construct %q), want construct %q", c.text, e, e.Construct, c.construct)
		}
		if e.Kind != query.NotAllowed && e.Kind != query.Unknown {
			t.Errorf("%s: %v is %q, want it to be refused", c.text, e, e.Kind)
		}
		if e.Line != 1 || e.Col < 1 {
			t.Errorf("%s: %v stands at %d:%d", c.text, e, e.Line, e.Col)
		}
	}
	if _, err := os.Stat(written); err == nil {
		t.Error("a query wrote a file")
	}
	if n := events(t, db); n[0] != "12" {
		t.Errorf("%s events after all this", n[0])
	}
}

func events(t testing.TB, db *query.DB) []string {
	rows, err := db.Query(ctx, "SELECT count(*) FROM events")
	return read(t, rows, err)
}
