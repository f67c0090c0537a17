package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/query"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what has been collected: log files, events, quarantine, verdicts",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withDB(c.Context(), query.Options{}, func(db *query.DB) error { return a.status(c.Context(), db) })
		},
	}
}

func (a *app) status(ctx context.Context, db *query.DB) error {
	s, err := db.Status(ctx)
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
	columns := []string{"account", "region", "log_files", "events", "first_event", "last_event", "collected_at", lag}
	var rows [][]any
	for _, p := range s.Places {
		behind := any(int64(p.LagSeconds))
		if a.output == "table" {
			behind = p.Lag.Round(time.Second).String()
		}
		rows = append(rows, []any{p.Account, p.Region, p.LogFiles, p.Events, p.First, p.Last, p.Collected, behind})
	}
	if a.output == "csv" {
		return a.print(columns, rows)
	}
	dir, err := a.lakePath()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Stdout, "lake %s\n%s events in %s (%s data files) from %s log files; %s duplicates left out; %s in quarantine\n",
		dir, thousands(s.Rows), size(s.Bytes), thousands(s.DataFiles), thousands(s.LogFiles), thousands(s.Duplicates), thousands(s.Quarantined))
	if !s.First.IsZero() {
		fmt.Fprintf(a.Stdout, "events from %s to %s\n", s.First.Format(time.DateTime), s.Last.Format(time.DateTime))
	}
	for _, v := range s.Verdicts {
		name := v.Verdict
		if name == "" {
			name = "not verified yet (aitrail verify SOURCE)"
		}
		fmt.Fprintf(a.Stdout, "%s log files: %s\n", thousands(v.LogFiles), name)
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
