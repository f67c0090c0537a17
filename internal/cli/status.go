package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/coverage"
	"github.com/aitrail/aitrail/internal/query"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what has been collected: log files, events, lag, rates, gaps, quarantine, verdicts",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withDB(c.Context(), query.Options{}, func(db *query.DB) error { return a.status(c.Context(), db) })
		},
	}
}

// statusReport is what status shows: what was collected, how fast, and what of it is missing.
type statusReport struct {
	*query.Status
	Rates   []rate                 `json:"rates"`
	Arrived []coverage.PlaceReport `json:"arrived"`
}

// rate is how much was collected lately.
type rate struct {
	Hours    int   `json:"hours"` // the last ones
	LogFiles int64 `json:"log_files"`
	Events   int64 `json:"events"`
}

func (a *app) statusReport(ctx context.Context, db *query.DB) (*statusReport, error) {
	var s statusReport
	var err error
	if s.Status, err = db.Status(ctx); err != nil {
		return nil, err
	}
	for _, hours := range []int{1, 24} {
		r := rate{Hours: hours}
		err := each(ctx, db, `SELECT count(*), CAST(coalesce(sum(events), 0) AS BIGINT) FROM log_files
			WHERE status = 'collected' AND `+query.OfEvents+` AND collected_at > CAST(? AS TIMESTAMPTZ)`, func(v []any) {
			r.LogFiles, _ = v[0].(int64)
			r.Events, _ = v[1].(int64)
		}, a.Now().Add(-time.Duration(hours)*time.Hour).UTC())
		if err != nil {
			return nil, err
		}
		s.Rates = append(s.Rates, r)
	}
	covered, err := a.coverageOf(ctx, db, coverage.Question{})
	if err != nil {
		return nil, err
	}
	s.Arrived = covered.Places
	return &s, nil
}

func (a *app) status(ctx context.Context, db *query.DB) error {
	s, err := a.statusReport(ctx, db)
	if err != nil {
		return err
	}
	if a.output == "json" {
		text, err := json.Marshal(s)
		if err != nil {
			return err
		}
		return a.printJSON(text)
	}
	lag := "lag_seconds"
	if a.output == "table" {
		lag = "lag"
	}
	columns := []string{"account", "region", "log_files", "events", "first_event", "last_event", "collected_at", lag, "arrived", "gaps", "known_by"}
	var rows [][]any
	for _, p := range s.Places {
		behind := any(int64(p.LagSeconds))
		if a.output == "table" {
			behind = p.Lag.Round(time.Second).String()
		}
		complete, gaps, by := a.arrivedAt(s.Arrived, p.Account, p.Region)
		rows = append(rows, []any{p.Account, p.Region, p.LogFiles, p.Events, p.First, p.Last, p.Collected, behind, complete, gaps, by})
	}
	if a.output == "csv" {
		return a.print(columns, rows)
	}
	dir, err := a.lakePath()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Stdout, "lake %s\n%s in %s (%s) from %s; %s left out; %s in quarantine\n",
		dir, plural(s.Rows, "event"), size(s.Bytes), plural(s.DataFiles, "data file"), plural(s.LogFiles-s.Answers, "log file"),
		plural(s.Duplicates, "duplicate"), thousands(s.Quarantined))
	if s.Answers > 0 {
		fmt.Fprintf(a.Stdout, "besides %s answers of log groups and the event history, of which no digest speaks; "+
			"their events are proven by log files that hold them too\n", thousands(s.Answers))
	}
	if s.Digests+s.Invocations > 0 {
		fmt.Fprintf(a.Stdout, "besides %s and %s of models\n", plural(s.Digests, "digest"), plural(s.Invocations, "invocation"))
	}
	if !s.First.IsZero() {
		fmt.Fprintf(a.Stdout, "events from %s to %s\n", s.First.Format(time.DateTime), s.Last.Format(time.DateTime))
	}
	fmt.Fprintf(a.Stdout, "collected in the last hour: %s from %s; in the last day: %s from %s\n",
		plural(s.Rates[0].Events, "event"), plural(s.Rates[0].LogFiles, "log file"), thousands(s.Rates[1].Events), thousands(s.Rates[1].LogFiles))
	if r := s.Retention; r.Days > 0 || r.Rows > 0 {
		fmt.Fprintf(a.Stdout, "retention: %s\n", retention(r))
	}
	for _, v := range s.Verdicts {
		name := v.Verdict
		if name == "" {
			name = "not verified yet (aitrail verify SOURCE)"
		}
		fmt.Fprintf(a.Stdout, "%s: %s\n", plural(v.LogFiles, "log file"), name)
	}
	if err := a.print(columns, rows); err != nil {
		return err
	}
	if len(s.Quarantine) == 0 {
		return nil
	}
	fmt.Fprintln(a.Stdout, "in quarantine:")
	rows = nil
	for _, q := range s.Quarantine {
		rows = append(rows, []any{q.Object, q.Reason, q.Collected})
	}
	return a.print([]string{"object", "reason", "collected_at"}, rows)
}

// arrivedAt tells what arrived of a place: the share in which it is complete, the gaps, and what tells of them.
func (a *app) arrivedAt(places []coverage.PlaceReport, account, region string) (complete, gaps, by any) {
	for _, p := range places {
		if p.Account != account || p.Region != region || len(p.Spans) == 0 {
			continue
		}
		if a.output == "csv" {
			n := 0
			for _, s := range p.Spans {
				if s.State == coverage.Gap {
					n++
				}
			}
			return p.Complete, int64(n), knownBy(p)
		}
		w := &wording{report: &coverage.Report{From: p.Spans[0].From, To: p.Spans[len(p.Spans)-1].To}}
		return percent(p.Complete), w.gaps(p.Spans), knownBy(p)
	}
	return nil, nil, nil
}

// retention tells how long events are kept and what has expired.
func retention(r query.Retention) string {
	text := "events are kept for ever"
	if r.Days > 0 {
		text = fmt.Sprintf("events are kept for %d days", r.Days)
	}
	if r.Rows > 0 {
		text += fmt.Sprintf("; %s of before %s have expired, the last on %s", thousands(r.Rows), r.Before.Format(time.DateOnly), r.At.Format(time.DateOnly))
	}
	return text
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
}
