package query

import (
	"context"
	"slices"
	"sync"

	"github.com/aitrail/aitrail/internal/lake"
)

// Fetcher brings data files to where DuckDB can read them: what Tables of a lake in a bucket have to be too. *lake.Lake
// is one. Fetch may be called for files that are there already.
type Fetcher interface {
	Fetch(ctx context.Context, files []lake.DataFile) error
}

// bucket is a lake whose data files have to be fetched before they are read. The views are empty until a query needs
// them; questions for a span of time fetch what that spans, all else whole tables.
type bucket struct {
	Fetcher
	mu    sync.Mutex
	whole map[string]bool // tables that were fetched
}

// inBucket tells whether some file isn't where DuckDB can read it.
func inBucket(snapshots ...lake.Snapshot) bool {
	return slices.ContainsFunc(snapshots, func(s lake.Snapshot) bool {
		return slices.ContainsFunc(s.Files, func(f lake.DataFile) bool { return f.Local != f.Path })
	})
}

// viewsOf are the views over each table.
var viewsOf = map[string][]string{lake.Events: {"events", "calls", lakeView}, lake.LogFiles: {"log_files"}}

// need fetches the tables under the views that a query names.
func (db *DB) need(ctx context.Context, names ...string) error {
	if db.bucket == nil {
		return nil
	}
	for table, snapshot := range map[string]lake.Snapshot{lake.Events: db.events, lake.LogFiles: db.logFiles} {
		if slices.ContainsFunc(names, func(n string) bool { return slices.Contains(viewsOf[table], n) }) {
			if err := db.needWhole(ctx, table, snapshot.Files); err != nil {
				return err
			}
		}
	}
	return nil
}

func (db *DB) needWhole(ctx context.Context, table string, files []lake.DataFile) error {
	db.bucket.mu.Lock()
	defer db.bucket.mu.Unlock()
	if db.bucket.whole[table] {
		return nil
	}
	if err := db.bucket.Fetch(ctx, files); err != nil {
		return err
	}
	s, err := db.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	for _, statement := range db.viewStatements(table, files) {
		if _, err := s.conn.ExecContext(s.ctx, statement, nil); err != nil {
			return s.failed(err, "", nil)
		}
	}
	db.bucket.whole[table] = true
	return nil
}

// needSpan fetches what a ready-made question reads.
func (db *DB) needSpan(ctx context.Context, r *relation, f *Filter) error {
	switch {
	case db.bucket == nil:
		return nil
	case f.Since.IsZero() && f.Until.IsZero():
		return db.need(ctx, r.name)
	}
	around := aroundCalls(f)
	return db.bucket.Fetch(ctx, within(db.events.Files, around.Since, around.Until))
}
