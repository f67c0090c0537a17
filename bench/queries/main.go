// Command queries measures six audit questions over a lake, beside DuckDB on the same events.
//
//	go run ./bench/queries -events 1000000 -dir /tmp/bench-queries
//
// A corpus (package corpus) is collected into two lakes as `aitrail collect` does, and one of them maintained as `aitrail
// maintain` does: the questions are asked of both, in two tables. DuckDB answers the same questions from one
// Parquet file with the lake's columns, the normal form included, sorted by time, which it wrote itself; and from the
// .json.gz log files, of which it is told just the members that a question needs. All run in one process, in turns, with
// the same library, threads and memory; figures are medians. The rows of lake and Parquet must be the same.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aitrail/aitrail/bench/corpus"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

type settings struct {
	events int
	runs   int
	dir    string
	json   bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("queries", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.events, "events", 1_000_000, "events in the corpus")
	flags.IntVar(&s.runs, "runs", 7, "runs of each question; of those over JSON a third")
	flags.StringVar(&s.dir, "dir", "", "folder for corpus, lake and Parquet file, which are kept (default: a temporary one)")
	flags.BoolVar(&s.json, "json", true, "ask DuckDB over the log files too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.runs < 1 || s.events < 1000 {
		return errors.New("-runs must be at least 1 and -events 1000")
	}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "aitrail-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s.dir = dir
	}
	s.dir = filepath.Join(s.dir, fmt.Sprint(s.events))
	if err := prepare(ctx, s, stderr); err != nil {
		return err
	}
	if err := compare(ctx, s, "lake", stdout); err != nil {
		return err
	}
	s.json = false
	return compare(ctx, s, "maintained", stdout)
}

// prepare makes the corpus, the lake and the Parquet file, each unless an earlier run left it.
func prepare(ctx context.Context, s settings, stderr io.Writer) error {
	fmt.Fprintf(stderr, "corpus of %d events in %s\n", s.events, s.dir)
	if _, err := corpus.Keep(s.dir, corpus.Options{Events: s.events, Seed: 1}); err != nil {
		return err
	}
	for _, name := range []string{"lake", "maintained"} {
		err := once(s, name, stderr, func(dir string) error { return fill(ctx, dir, filepath.Join(s.dir, "corpus"), name == "maintained") })
		if err != nil {
			return err
		}
	}
	return once(s, "parquet", stderr, func(dir string) error { return sorted(ctx, filepath.Join(s.dir, "lake"), dir) })
}

// once makes a folder that is whole or not there.
func once(s settings, name string, stderr io.Writer, fill func(dir string) error) error {
	dir := filepath.Join(s.dir, name)
	if _, err := os.Stat(dir + ".done"); err == nil {
		return nil
	}
	fmt.Fprintf(stderr, "making %s\n", dir)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	if err := fill(dir); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	return os.WriteFile(dir+".done", nil, 0o644)
}

// fill collects a corpus into a lake, and maintains it if told to.
func fill(ctx context.Context, dir, source string, maintain bool) error {
	l, err := lake.Open(ctx, dir, lake.Options{Create: true})
	if err != nil {
		return err
	}
	report, err := collect.Collect(ctx, l, []string{source}, collect.Options{})
	if err == nil && report.Failed+report.Quarantined > 0 {
		err = fmt.Errorf("%d files failed, %d quarantined", report.Failed, report.Quarantined)
	}
	if err == nil && maintain {
		_, err = l.Maintain(ctx, lake.Maintenance{})
	}
	return errors.Join(err, l.Close())
}

// compare asks the questions of one of the lakes and prints the table.
func compare(ctx context.Context, s settings, name string, stdout io.Writer) error {
	start := time.Now()
	l, err := lake.Open(ctx, filepath.Join(s.dir, name), lake.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer l.Close()
	db, err := query.Open(ctx, l, query.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	opened := time.Since(start)
	start = time.Now()
	duck, err := openDuck(ctx, s.dir)
	if err != nil {
		return err
	}
	defer duck.Close()
	duckOpened := time.Since(start)
	snapshot, err := l.Files(ctx, lake.Events)
	if err != nil {
		return err
	}
	title := map[string]string{"lake": "as collected", "maintained": "after maintenance"}[name]
	fmt.Fprintf(stdout, "%s: %d events; lake: %d data files, %.1f MB; Parquet: %.1f MB; %s/%s, %d cores, %s\n", title, snapshot.Rows, len(snapshot.Files),
		float64(snapshot.Bytes)/1e6, float64(sizeOf(duck.parquet))/1e6, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	fmt.Fprintf(stdout, "opening: aitrail %.1f ms, DuckDB %.1f ms; medians of %d runs; ratio is DuckDB's time over aitrail's, of wall time and of\nprocessor time, which tells more on a busy machine\n\n",
		milli(opened), milli(duckOpened), s.runs)
	fmt.Fprintf(stdout, "%-28s %6s %8s %8s %9s %9s %6s %6s %9s %9s %6s %6s\n", "", "rows", "aitrail", "CPU, ms",
		"Parquet", "CPU", "ratio", "CPU", "JSON gz", "CPU", "ratio", "CPU")
	qs, err := questions(ctx, db)
	if err != nil {
		return err
	}
	for _, q := range qs {
		if err := q.measure(ctx, s, db, duck, stdout); err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
	}
	_, err = fmt.Fprintln(stdout)
	return err
}

// measure asks one question in turns and prints its line.
func (q *question) measure(ctx context.Context, s settings, db *query.DB, duck *duck, stdout io.Writer) error {
	var times, cpu [3][]time.Duration
	note := func(side int, start time.Time, used time.Duration) {
		times[side], cpu[side] = append(times[side], time.Since(start)), append(cpu[side], processor()-used)
	}
	var answers [2][]string
	for n := range s.runs {
		start, used := time.Now(), processor()
		var err error
		if answers[0], err = ask(ctx, db, q.ours); err != nil {
			return err
		}
		note(0, start, used)
		start, used = time.Now(), processor()
		if answers[1], err = duck.ask(ctx, q.parquet); err != nil {
			return fmt.Errorf("DuckDB: %w", err)
		}
		note(1, start, used)
		if n%3 > 0 || !s.json {
			continue
		}
		start, used = time.Now(), processor()
		if _, err := duck.ask(ctx, q.overJSON(s.dir)); err != nil {
			return fmt.Errorf("DuckDB on JSON: %w", err)
		}
		note(2, start, used)
	}
	if !slices.Equal(answers[0], answers[1]) || len(answers[0]) == 0 {
		return fmt.Errorf("the answers differ: %d rows and %d rows of Parquet, beginning with\n%s\n%s", len(answers[0]), len(answers[1]), first(answers[0]), first(answers[1]))
	}
	fmt.Fprintf(stdout, "%-28s %6d", q.name, len(answers[0]))
	ours, oursCPU := median(times[0]), median(cpu[0])
	fmt.Fprintf(stdout, " %8.1f %8.1f", milli(ours), milli(oursCPU))
	for side := 1; side < 3 && len(times[side]) > 0; side++ {
		theirs, theirsCPU := median(times[side]), median(cpu[side])
		fmt.Fprintf(stdout, " %9.1f %9.1f %6.2f %6.2f", milli(theirs), milli(theirsCPU), float64(theirs)/float64(ours), float64(theirsCPU)/float64(oursCPU))
	}
	fmt.Fprintln(stdout)
	return nil
}

// ask returns the rows as sorted text.
func ask(ctx context.Context, db *query.DB, text string) ([]string, error) {
	rows, err := db.Query(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var answer []string
	for rows.Next() {
		cells := make([]string, len(rows.Columns()))
		for i, v := range rows.Values() {
			cells[i] = cell(v)
		}
		answer = append(answer, strings.Join(cells, "\t"))
	}
	slices.Sort(answer)
	return answer, rows.Err()
}

func first(answer []string) string {
	if len(answer) == 0 {
		return "(none)"
	}
	return answer[0]
}

// processor is the time that this process has had on all cores.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

func milli(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func sizeOf(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}
