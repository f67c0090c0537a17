package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/lake"
)

func (a *app) maintainCommand() *cobra.Command {
	var retention []string
	var m lake.Maintenance
	c := &cobra.Command{
		Use:   "maintain",
		Short: "Compact the lake, expire what is too old, clean up",
		Long: `Take out of the lake what is older than its retention, write small data files together, forget old snapshots, and
remove files that nothing needs. Collectors and queries go on meanwhile; the command may be stopped at any moment and
repeated. Once a day is often enough, and once an hour does no harm.

The retention is kept in the lake: --retention events=365 expires events a year after they happened, from then on at every
run, and log_files=730 their log files a year later. A log file that isn't in log_files is collected again if it is still in
its source, so log_files must be kept at least as long as events, and should be kept as long as the source keeps log files.
Invocations of models are kept as long as events unless invocations=DAYS says otherwise, digests as long as log_files.
What has expired is shown by aitrail status.`,
		Example: "  aitrail maintain\n  aitrail maintain --retention events=365 --retention log_files=forever",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := a.lakePath()
			if err != nil {
				return err
			}
			l, err := lake.Open(c.Context(), at, lake.Options{Now: a.Now, Log: a.log(), Cache: a.cacheDir()})
			if err != nil {
				return err
			}
			defer l.Close()
			return a.maintain(c.Context(), l, retention, m)
		},
	}
	c.Flags().StringSliceVar(&retention, "retention", nil, "keep a table's rows for so many days, from now on: `events=DAYS`, log_files=DAYS or invocations=DAYS; forever")
	c.Flags().DurationVar(&m.Snapshots, "snapshots", 24*time.Hour, "`age` of snapshots, and of files that nothing needs, that go; at least 6h and 12h")
	return c
}

// maintainer maintains a lake as the command does.
func maintainer(l *lake.Lake) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := l.Maintain(ctx, lake.Maintenance{})
		return err
	}
}

// maintenance is the report of a run.
type maintenance struct {
	Lake string `json:"lake"`
	lake.Maintained
	ElapsedSeconds float64 `json:"elapsed_seconds"`
}

func (a *app) maintain(ctx context.Context, l *lake.Lake, retention []string, m lake.Maintenance) error {
	if err := setRetention(ctx, l, retention); err != nil {
		return err
	}
	start := a.Now()
	var done func()
	m.Progress, done = a.maintainProgress()
	r, err := l.Maintain(ctx, m)
	done()
	report := maintenance{l.Name(), r, a.Now().Sub(start).Round(time.Millisecond).Seconds()}
	if printErr := a.printMaintenance(report); err == nil {
		err = printErr
	}
	return err
}

// setRetention sets what the flags say, and leaves the rest.
func setRetention(ctx context.Context, l *lake.Lake, flags []string) error {
	if len(flags) == 0 {
		return nil
	}
	change := lake.Retention{}
	for _, f := range flags {
		table, value, _ := strings.Cut(f, "=")
		days, err := strconv.Atoi(value)
		if value == "forever" {
			days, err = 0, nil
		}
		if err != nil || days < 0 || days == 0 && value != "forever" {
			return usagef("--retention %s: TABLE=DAYS is asked for, as in events=365, or TABLE=forever", f)
		}
		switch table {
		case lake.Events, lake.LogFiles, lake.Invocations:
			change[table] = days
		default:
			return usagef("--retention %s: there is no table %q with a retention; the tables are %s, %s and %s", f, table, lake.Events, lake.LogFiles, lake.Invocations)
		}
	}
	return l.SetRetention(ctx, change)
}

func (a *app) printMaintenance(r maintenance) error {
	if a.output == "json" {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return a.printJSON(text)
	}
	columns := []string{"table", "expired", "files_before", "files_after", "rows_written", "bytes_written", "snapshots_expired"}
	var rows [][]any
	for _, c := range r.Compacted {
		written := any(c.Bytes)
		if a.output == "table" {
			written = size(c.Bytes)
		}
		rows = append(rows, []any{c.Table, r.Expired[c.Table], c.Before, c.After, c.Rows, written, r.Snapshots[c.Table]})
	}
	if err := a.print(columns, rows); err != nil || a.output == "csv" {
		return err
	}
	for _, c := range r.Compacted {
		if c.Skipped > 0 {
			fmt.Fprintf(a.Stdout, "%s: %d groups of files were left, another process was at them\n", c.Table, c.Skipped)
		}
	}
	_, err := fmt.Fprintf(a.Stdout, "%s files (%s) that nothing needs removed, in %s\nlake %s\n", thousands(r.Orphans.Files), size(r.Orphans.Bytes),
		time.Duration(r.ElapsedSeconds*float64(time.Second)).Round(time.Millisecond), r.Lake)
	return err
}

// maintainProgress shows how far a run is, on a terminal only.
func (a *app) maintainProgress() (show lake.Progress, done func()) {
	if !isTerminal(a.Stderr) {
		return nil, func() {}
	}
	words := map[lake.Step]string{
		lake.StepExpire: "expiring", lake.StepCompact: "compacting", lake.StepSnapshots: "forgetting snapshots of", lake.StepOrphans: "removing files",
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(a.Stderr), progressbar.OptionSetDescription("maintaining"),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	show = func(step lake.Step, table string, done, total int64) {
		bar.Describe(strings.TrimSpace(words[step] + " " + table))
		if total > 0 {
			bar.ChangeMax64(total)
			_ = bar.Set64(min(done, total)) // a bar that can't be drawn is no reason to stop
		}
	}
	return show, func() { _ = bar.Finish() }
}
