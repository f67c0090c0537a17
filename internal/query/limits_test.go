package query_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/query"
)

// TestGrowth states that no function makes a huge value of small ones.
func TestGrowth(t *testing.T) {
	db := open(t, newLake(t), query.Options{})
	for _, text := range []string{
		"SELECT length(repeat('x', 3000000000))",
		"SELECT length(repeat('x', CAST(source_index AS INTEGER) + 1000000000)) FROM events",
		"SELECT REPEAT('x', 1048577)",
		"SELECT main.repeat([1], 2000000)",
		"SELECT actor.repeat(2000000000) FROM events",
		"SELECT lpad('x', 2000000000, 'y')",
		"SELECT rpad('x', length(\"eventName\") * 100000000, 'y') FROM events",
		"SELECT list_resize([1], 1000000000)",
		"SELECT bitstring('1', 1000000000)",
		"SELECT bar(1, 0, 1, 1000000000)",
		"SELECT len(range(3000000000))",
		"SELECT len(generate_series(-10000000, 10))",
		"SELECT (SELECT max(x) FROM (SELECT repeat('x', 3000000000) AS x))",
		"FROM events WHERE repeat(actor, 3000000000) = ''",
		"SELECT rpad(eventname, 2000000000, 'y') FROM cloudtrail_lake",
	} {
		if e := failure(t, db, text); e.Kind != query.NotAllowed || e.Construct == "" {
			t.Errorf("%s: %s %q: %v", text, e.Kind, e.Construct, e)
		}
	}
	for _, text := range []string{
		"SELECT repeat('-', 20), lpad(actor, 30, ' '), range(1, 1000), bar(3, 0, 10, 80) FROM events",
		"SELECT count(*) FROM range(20000000)",
		"SELECT unnest(generate_series(DATE '2026-01-01', DATE '2026-02-01', INTERVAL 1 DAY))",
		"SELECT lpad(eventname, 30, ' ') FROM cloudtrail_lake",
	} {
		rows, err := db.Query(ctx, text)
		read(t, rows, err)
	}
}

// busy takes seconds in one call of a function, in which DuckDB doesn't look whether it is to stop.
const busy = "SELECT levenshtein(repeat('a', 15000), repeat('b', 15000))"

// TestGivenUp states that who asks gets an answer when DuckDB doesn't stop, and that other queries go on.
func TestGivenUp(t *testing.T) {
	db, err := query.Open(ctx, newLake(t), query.Options{Timeout: 50 * time.Millisecond, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	db.SetGrace(10 * time.Millisecond)
	rows, err := db.Query(ctx, busy)
	if err == nil {
		rows.Close()
		t.Skip("SKIPPED: this machine is too fast for the query that was to take long")
	}
	if !errors.Is(err, query.ErrTimeout) {
		t.Errorf("got %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := db.Query(canceled, busy); !errors.Is(err, context.Canceled) && !errors.Is(err, query.ErrTimeout) {
		t.Errorf("canceled: got %v", err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}
