package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/lake"
)

func (a *app) collectCommand() *cobra.Command {
	var skip, follow bool
	var buckets []string
	var prompts string
	var p proving
	c := &cobra.Command{
		Use:   "collect SOURCE…",
		Short: "Bring log files into the lake, each once",
		Long: `Bring the log files of each SOURCE into the lake: a folder, a file, or s3://bucket/prefix (AWS credentials, Region and
endpoint come from AWS's own settings). Log files that the lake has already are skipped, so the command may be repeated
and stopped at any time. A log file that can't be decoded whole goes to quarantine with the reason; the rest goes on.

Sources are too: sqs:URL, a queue that is told of new log files (with --bucket for the buckets it may name); logs:GROUP, a
trail's log group in CloudWatch Logs; history:REGION,…, the last 90 days of management events of an account without a trail.

With --follow the command goes on until it is stopped: what is new comes first, what is old is read back meanwhile. After
a restart it goes on where it was. aitrail daemon does the same from a configuration file, with metrics.

Of sources with digests the log files are verified as they come (see aitrail verify), and the lake keeps each one's
verdict: verified, pending until the next digest, unverifiable, failed. The events of failed log files are kept too.

Amazon Bedrock's model invocation logs, in a bucket, a folder or a log group, go to the table invocations, without the
prompts and answers that are in them unless --prompts keep is set.

Exit code 3 when log files went to quarantine or don't hold, 1 when some couldn't be read at all.`,
		Example: "  aitrail collect ./logs\n  aitrail collect s3://my-trail-bucket/cloudtrail\n  aitrail collect --follow s3://my-trail-bucket/cloudtrail logs:my-trail",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("collect needs a source: a folder, a file, or s3://bucket/prefix")
			}
			for _, source := range args {
				err := collect.CheckSource(source, sourceSettings(source, buckets))
				var setting *collect.SettingError
				if errors.As(err, &setting) && setting.Setting == "buckets" {
					return usagef("%w: --bucket NAME", err)
				}
				if err != nil {
					return usageError{err}
				}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := a.lakePath()
			if err != nil {
				return err
			}
			log := a.log()
			if follow {
				log = a.logFrom(slog.LevelInfo, false)
			}
			l, err := lake.Open(c.Context(), dir, lake.Options{Create: true, Now: a.Now, Log: log, Cache: a.cacheDir()})
			if err != nil {
				return err
			}
			defer l.Close()
			if debug.SetMemoryLimit(-1) == math.MaxInt64 { // GOMEMLIMIT isn't set
				debug.SetMemoryLimit(collect.MemoryLimit())
			}
			opts := collect.Options{Log: log, Now: a.Now, Settings: map[string]collect.Settings{}}
			if opts.KeepPrompts, err = keepPrompts(prompts); err != nil {
				return err
			}
			for _, source := range args {
				opts.Settings[source] = sourceSettings(source, buckets)
			}
			if follow {
				return a.follow(c.Context(), l, args, opts, skip, p)
			}
			progress, done := a.collectProgress()
			heard := a.waiting(args)
			opts.Progress = func(p collect.Progress) {
				heard()
				if progress != nil {
					progress(p)
				}
			}
			report, err := collect.Collect(c.Context(), l, args, opts)
			heard()
			done()
			var verified []verification
			if err == nil && !skip {
				verified, err = a.verifyCollected(c.Context(), l, report, p)
			}
			return a.collected(dir, report, verified, err)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until stopped, and collect what comes")
	c.Flags().StringArrayVar(&buckets, "bucket", nil, "`name` of a bucket that messages of sqs: sources may name; once for each")
	c.Flags().StringVar(&prompts, "prompts", "drop", "`drop or keep` prompts and answers of model invocation logs; dropped, no byte of them is stored")
	c.Flags().BoolVar(&skip, "no-verify", false, "don't verify what was collected against its digests")
	c.Flags().StringVar(&p.keyFile, "keys", "", "`file` with public keys, as `aws cloudtrail list-public-keys` prints them")
	return c
}

// keepPrompts reads the flag --prompts.
func keepPrompts(flag string) (bool, error) {
	if flag != "drop" && flag != "keep" {
		return false, usagef("--prompts %s: it is drop or keep", flag)
	}
	return flag == "keep", nil
}

// sourceSettings are those of a source given on the command line.
func sourceSettings(source string, buckets []string) collect.Settings {
	if strings.HasPrefix(source, "sqs:") {
		return collect.Settings{Buckets: buckets}
	}
	return collect.Settings{}
}

// collected prints what a run did, and decides how the command ends.
func (a *app) collected(dir string, r collect.Report, verified []verification, err error) error {
	if err == nil || r.Collected+r.Quarantined+r.Skipped > 0 {
		if err := a.printReport(dir, r, verified); err != nil {
			return err
		}
	}
	found := a.printVerifications(verified)
	if r.Other > 0 {
		fmt.Fprintf(a.Stderr, "passed over: %s, neither log files nor digests by name or content\n", plural(r.Other, "object"))
	}
	for _, q := range r.Quarantine {
		fmt.Fprintf(a.Stderr, "quarantined: %s: %s\n", q.Object, q.Reason)
	}
	for _, f := range r.Errors {
		fmt.Fprintf(a.Stderr, "not read: %s: %s\n", f.Object, strings.TrimPrefix(f.Cause, f.Object+": "))
	}
	switch {
	case err != nil:
		return err
	case r.Failed > 0:
		return notRead(r)
	case r.Quarantined > 0:
		return errFound
	}
	return found
}

// notRead is the error of a run in which something couldn't be read. It wraps what kept the first from being read.
func notRead(r collect.Report) error {
	what := "an object or a listing"
	if r.Failed > 1 {
		what = thousands(r.Failed) + " objects or listings"
	}
	if len(r.Errors) == 0 {
		return fmt.Errorf("%s could not be read; the rest is in the lake", what)
	}
	return fmt.Errorf("%s could not be read; the rest is in the lake: %w", what, r.Errors[0].Err)
}

func (a *app) printReport(dir string, r collect.Report, verified []verification) error {
	if a.output == "json" {
		return a.printCollected(r, verified)
	}
	what := fmt.Sprintf("%s (%s skipped, %s quarantined): ", plural(r.Collected, "log file"), thousands(r.Skipped), thousands(r.Quarantined))
	if !slices.ContainsFunc(r.Sources, func(s collect.SourceReport) bool { return !collect.OneByOne(s.Source) }) { // no log files
		if what = ""; r.Quarantined > 0 {
			what = plural(r.Quarantined, "message") + " quarantined: "
		}
	}
	invocations := ""
	if r.Invocations > 0 {
		invocations = ", " + plural(r.Invocations, "invocation") + " of models"
	}
	_, err := fmt.Fprintf(a.Stdout, "collected %s%s (%s), %s%s, in %s\nlake %s\n",
		what, plural(r.Events, "event"), plural(r.Duplicates, "duplicate"), plural(r.AICalls, "AI call"), invocations, r.Elapsed.Round(time.Millisecond), dir)
	return err
}

// patience is how long nothing may come before it is said what is waited for.
const patience = 3 * time.Second

// waiting says after a while what is waited for, until it is heard of: once heard has returned, it says nothing more.
func (a *app) waiting(sources []string) (heard func()) {
	at := ""
	if url := a.Getenv("AWS_ENDPOINT_URL"); url != "" {
		at = " at " + url
	}
	var once sync.Once
	t := time.AfterFunc(patience, func() {
		once.Do(func() {
			fmt.Fprintf(a.Stderr, "waiting for an answer from %s%s; what doesn't answer is asked again for about a minute\n", strings.Join(sources, ", "), at)
		})
	})
	return func() { once.Do(func() { t.Stop() }) }
}

// collectProgress shows how far a run is, on a terminal only.
func (a *app) collectProgress() (show func(collect.Progress), done func()) {
	if !isTerminal(a.Stderr) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(a.Stderr), progressbar.OptionSetDescription("collecting"),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	show = func(p collect.Progress) {
		if p.Listed {
			bar.ChangeMax64(p.Objects)
		}
		bar.Describe(fmt.Sprintf("collecting, %s events", thousands(p.Events)))
		_ = bar.Set64(p.Done) // a bar that can't be drawn is no reason to stop
	}
	return show, func() { _ = bar.Finish() }
}

// isTerminal says whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// openLake opens the lake for reading.
func (a *app) openLake(ctx context.Context) (*lake.Lake, error) {
	dir, err := a.lakePath()
	if err != nil {
		return nil, err
	}
	return lake.Open(ctx, dir, lake.Options{ReadOnly: true, Now: a.Now, Log: a.log(), Cache: a.cacheDir()})
}
