package query

import (
	"context"
	"errors"
	"time"
)

// SetGrace sets how long a query that is over may go on.
func (db *DB) SetGrace(d time.Duration) { db.grace = d }

// Explain returns DuckDB's account of how it answered a ready-made question about a view.
func (db *DB) Explain(ctx context.Context, view string, f Filter) (string, error) {
	r := eventRelation()
	if view == "calls" {
		r = callRelation()
		f.Columns = []string{"*"}
	}
	w, err := r.where(&f)
	if err != nil {
		return "", err
	}
	var plan string
	err = db.each(ctx, "EXPLAIN ANALYZE SELECT * FROM "+r.from(db, &f)+" AS r"+w.sql(), w.args, func(v []any) { plan += Text(v[1]) })
	return plan, err
}

// KindOf returns the kind of an error that DuckDB gives.
func KindOf(text string) Kind { return explain(errors.New(text), "", nil).Kind }
