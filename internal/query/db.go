package query

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/aitrail/aitrail/internal/lake"
)

// Tables gives the state of a lake's tables; *lake.Lake is one. Files is called once a table, when a DB is opened. Of a
// lake in a bucket it must be a Fetcher too.
type Tables interface {
	Files(ctx context.Context, table string) (lake.Snapshot, error)
}

// Options for Open. The zero value is fit for interactive use.
type Options struct {
	MemoryMB int           // memory that queries may use together; 1024 when 0
	SpillMB  int           // temporary files that queries may write together; 8 × MemoryMB when 0, none when negative
	Timeout  time.Duration // for each query; 5 minutes when 0, no limit when negative
	Threads  int           // used by queries together; one a processor when 0
}

// sessions is how many queries run at once; others wait for their turn.
const sessions = 16

// DB is a lake's state at the time of Open, ready for queries. It is safe for concurrent use.
type DB struct {
	connector *duckdb.Connector
	events    lake.Snapshot
	logFiles  lake.Snapshot

	invocations, digests lake.Snapshot

	fetcher   Fetcher // nil unless data files have to be fetched
	timeout   time.Duration
	spill     string          // folder of temporary files, removed by Close; "" for none
	slots     chan struct{}   // holds one element a running session
	relations map[string]bool // what a query may name after FROM besides the views: DuckDB's own

	grace     time.Duration
	abandoned atomic.Int64 // queries that nobody waits for, and that DuckDB goes on with

	others struct { // whether the snapshot has events that may be calls besides the primary ones
		sync.Mutex
		known, any bool
	}
	macros     sync.Once // Trino's functions, made when the first query needs them
	macroError error
}

// Open pins the current snapshot of the lake's tables and opens them for queries. No data file is read before a query
// needs it. The caller must close the DB, after all its Rows.
func Open(ctx context.Context, tables Tables, opts Options) (*DB, error) {
	db := &DB{timeout: opts.Timeout, slots: make(chan struct{}, sessions), grace: grace, relations: map[string]bool{}}
	if db.timeout == 0 {
		db.timeout = 5 * time.Minute
	}
	var err error
	for name, snapshot := range map[string]*lake.Snapshot{
		lake.Events: &db.events, lake.LogFiles: &db.logFiles, lake.Invocations: &db.invocations, lake.Digests: &db.digests,
	} {
		if *snapshot, err = tables.Files(ctx, name); err != nil {
			return nil, fmt.Errorf("reading the lake's state: %w", err)
		}
	}
	if inBucket(db.events, db.logFiles, db.invocations, db.digests) {
		fetcher, ok := tables.(Fetcher)
		if !ok {
			return nil, ErrRemote
		}
		db.fetcher = fetcher
	}
	settings, err := db.settings(opts)
	if err != nil {
		return nil, err
	}
	// An internal error of DuckDB is the query's error; it must not end all queries of this process.
	db.connector, err = duckdb.NewConnector("?disable_database_invalidation=true", nil)
	if err != nil {
		return nil, fmt.Errorf("starting DuckDB: %w", err)
	}
	if err := db.setUp(ctx, settings); err != nil {
		return nil, errors.Join(fmt.Errorf("setting DuckDB up: %w", err), db.Close())
	}
	return db, nil
}

// settings returns the statements that bound DuckDB and lock it down. The last one forbids to change them.
func (db *DB) settings(opts Options) ([]string, error) {
	if opts.MemoryMB <= 0 {
		opts.MemoryMB = 1024
	}
	if opts.SpillMB == 0 {
		opts.SpillMB = 8 * opts.MemoryMB
	}
	var paths []string
	for _, file := range slices.Concat(db.events.Files, db.logFiles.Files, db.invocations.Files, db.digests.Files) {
		paths = append(paths, quoteText(file.Local))
		if quoted := globQuote(file.Local); quoted != file.Local { // what is asked for is checked too, not only what it stands for
			paths = append(paths, quoteText(quoted))
		}
	}
	settings := []string{
		"SET GLOBAL TimeZone = 'UTC'",
		"SET GLOBAL errors_as_json = true",
		fmt.Sprintf("SET GLOBAL memory_limit = '%dMiB'", opts.MemoryMB),
		"SET GLOBAL parquet_metadata_cache = true",
		"SET GLOBAL autoinstall_known_extensions = false",
		"SET GLOBAL autoload_known_extensions = false",
		"SET GLOBAL allow_community_extensions = false",
		"SET GLOBAL allow_persistent_secrets = false",
		"SET GLOBAL allowed_paths = [" + strings.Join(paths, ", ") + "]",
	}
	if opts.Threads > 0 {
		settings = append(settings, fmt.Sprintf("SET GLOBAL threads = %d", opts.Threads))
	}
	return append(settings, db.spillSettings(opts)...), nil
}

func (db *DB) spillSettings(opts Options) []string {
	if opts.SpillMB > 0 {
		// What spills holds events, so nobody else may read it. Without a folder queries have to do with their memory.
		folder := filepath.Join(os.TempDir(), "aitrail-query-"+rand.Text())
		if os.Mkdir(folder, 0o700) == nil {
			db.spill = folder
			return []string{
				"SET GLOBAL temp_directory = " + quoteText(folder),
				fmt.Sprintf("SET GLOBAL max_temp_directory_size = '%dMiB'", opts.SpillMB),
			}
		}
	}
	return []string{"SET GLOBAL temp_directory = ''"}
}

func (db *DB) setUp(ctx context.Context, settings []string) error {
	s, err := db.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	steps := append(settings, "SET GLOBAL enable_external_access = false")
	for _, step := range append(steps, "SET GLOBAL lock_configuration = true") {
		if _, err := s.conn.ExecContext(s.ctx, step, nil); err != nil {
			return s.failed(err, step, nil)
		}
	}
	rows, err := s.query("SELECT lower(view_name) FROM duckdb_views()", nil)
	if err != nil {
		return s.failed(err, "", nil)
	}
	defer rows.Close()
	for dst := make([]driver.Value, 1); rows.Next(dst) == nil; {
		name, _ := dst[0].(string)
		db.relations[name] = true
	}
	return nil
}

// Close ends the DB and removes its temporary files. All Rows must have been closed.
//
// While DuckDB goes on with a query that was given up, it can't be closed: it is left to the end of the process.
func (db *DB) Close() error {
	if db.abandoned.Load() > 0 {
		return nil
	}
	err := db.connector.Close()
	if db.spill != "" {
		err = errors.Join(err, os.RemoveAll(db.spill))
	}
	return err
}

// Query runs one reading statement: SELECT, WITH … SELECT, FROM, VALUES, EXPLAIN, DESCRIBE, SHOW TABLES or SUMMARIZE.
// args stand for its parameters ?, or $1, $2, …. The rows have been computed when Query returns, within the memory and
// temporary files that Options grant, so neither the timeout nor ctx ends reading them.
//
// Errors are *Error, or ctx's.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	s, err := db.open(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.run(query, args)
	if err != nil {
		s.close()
		return nil, err
	}
	return rows, nil
}

// run checks a query and runs it; the rows close the session.
func (s *session) run(query string, args []any) (*Rows, error) {
	st, err := s.check(query)
	if err != nil {
		return nil, err
	}
	before, statement, err := s.ready(st, args)
	if err != nil {
		return nil, err
	}
	ahead := len(st.prefix) + len(behind(before, ""))
	place := func(at int) int { return st.place(at - ahead) }
	var columns []Column
	if st.prefix == "" && !st.shows && mayLose(st.body, statement) {
		if columns, err = s.describe(before, st.body, args); err != nil {
			columns, err = nil, nil // what is wrong with it is told when the statement runs
		}
		if head, tail := plain(columns); head != "" {
			ahead += len(head)
			if err = statement.Close(); err == nil {
				statement, err = s.prepare(behind(before, head+st.body+tail), args)
			}
		}
	}
	if err != nil {
		return nil, s.failed(err, query, place)
	}
	rows, err := s.rows(statement, args, columns)
	if err != nil {
		return nil, s.failed(err, query, place)
	}
	return rows, nil
}

// ready prepares a statement with what it reads: common table expressions to stand before it, or views. Where that fails it may need
// more than it was thought to, or be wrong: it is prepared over views that have all then.
func (s *session) ready(st *statement, args []any) (before string, statement *duckdb.Stmt, err error) {
	if st.inlines {
		if before, err = s.inline(st); err != nil {
			return "", nil, err
		}
		if statement, err = s.prepare(st.prefix+behind(before, st.body), args); err == nil {
			return before, statement, nil
		}
	} else {
		if err := s.show(st, st.demands); err != nil {
			return "", nil, err
		}
		statement, err = s.prepare(st.text(), args)
	}
	if err != nil && s.ctx.Err() == nil && !st.describes {
		if err := s.show(st, allOf(st.demands)); err != nil {
			return "", nil, err
		}
		statement, err = s.prepare(st.text(), args)
	}
	if err != nil {
		return "", nil, s.failed(err, st.query, func(at int) int { return st.place(at - len(st.prefix)) })
	}
	return "", statement, nil
}

// behind puts common table expressions before a SELECT, which may have some itself.
func behind(before, body string) string {
	if before == "" {
		return body
	}
	with := next(body, 0)
	if with.word(body) != "WITH" {
		return "WITH " + before + " " + body
	}
	at := with.end
	if recursive := next(body, at); recursive.word(body) == "RECURSIVE" {
		at = recursive.end
	}
	return body[:at] + " " + before + "," + body[at:]
}

// simple are the types of which the driver always gives the whole value.
var simple = []duckdb.Type{
	duckdb.TYPE_BOOLEAN, duckdb.TYPE_TINYINT, duckdb.TYPE_SMALLINT, duckdb.TYPE_INTEGER, duckdb.TYPE_BIGINT, duckdb.TYPE_UTINYINT,
	duckdb.TYPE_USMALLINT, duckdb.TYPE_UINTEGER, duckdb.TYPE_UBIGINT, duckdb.TYPE_HUGEINT, duckdb.TYPE_FLOAT, duckdb.TYPE_DOUBLE,
	duckdb.TYPE_DECIMAL, duckdb.TYPE_VARCHAR, duckdb.TYPE_UUID, duckdb.TYPE_DATE, duckdb.TYPE_TIMESTAMP, duckdb.TYPE_TIMESTAMP_TZ,
}

// mayLose tells whether the result may hold JSON, which the driver doesn't tell from text before it has decoded it and
// which no SELECT makes without one of these marks, or other values that the driver may fail on.
func mayLose(body string, statement *duckdb.Stmt) bool {
	if strings.Contains(strings.ToLower(body), "json") || strings.Contains(body, "->") {
		return true
	}
	n, err := statement.ColumnCount()
	for i := 0; i < n && err == nil; i++ {
		var t duckdb.Type
		if t, err = statement.ColumnType(i); err == nil && !slices.Contains(simple, t) {
			return true
		}
	}
	return err != nil
}

// describe returns the columns of a SELECT's result without running it.
func (s *session) describe(before, body string, args []any) ([]Column, error) {
	rows, err := s.query("DESCRIBE "+behind(before, "SELECT * FROM (\n"+body+"\n)"), args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var columns []Column
	for dst := make([]driver.Value, len(rows.Columns())); ; {
		switch err := rows.Next(dst); {
		case errors.Is(err, errEnd):
			return columns, nil
		case err != nil:
			return nil, err
		}
		name, _ := dst[0].(string)
		typ, _ := dst[1].(string)
		columns = append(columns, newColumn(name, typ))
	}
}
