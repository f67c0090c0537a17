// Command queries measures six audit questions over a lake, beside DuckDB on the same events.
//
//	go run ./bench/queries -events 1000000 -dir /tmp/bench-queries
//
// A corpus (package corpus) is collected into two lakes as `aitrail collect` does, and one of them maintained as `aitrail
// maintain` does: the questions are asked of both. DuckDB answers the same questions from one
// Parquet file with the lake's columns, the normal form included, sorted by time, which it wrote itself; and from the
// .json.gz log files, of which it is told just the members that a question needs. All run in one process, in turns, with
// the same library, threads and memory; figures are medians. The rows of lakes and Parquet must be the same.
//
// Lakes and Parquet file in a folder that is kept are made anew when this program has changed.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	return compare(ctx, s, stdout)
}

// prepare makes the corpus, the lakes and the Parquet file, each unless an earlier run of the same program left it.
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
	self, err := program()
	if err != nil {
		return err
	}
	if by, err := os.ReadFile(dir + ".done"); err == nil && string(by) == self {
		fmt.Fprintf(stderr, "%s is there\n", dir)
		return nil
	}
	fmt.Fprintf(stderr, "making %s\n", dir)
	if err := errors.Join(os.RemoveAll(dir+".done"), os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	if err := fill(dir); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	return os.WriteFile(dir+".done", []byte(self), 0o644)
}

// program returns a hash of this program.
func program() (string, error) {
	name, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
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

// ours is a lake that is asked.
type ours struct {
	title string
	db    *query.DB
	files int
	bytes int64
	rows  int64
}

// openLake opens a lake for questions.
func openLake(ctx context.Context, s settings, name, title string) (*ours, func(), error) {
	l, err := lake.Open(ctx, filepath.Join(s.dir, name), lake.Options{ReadOnly: true})
	if err != nil {
		return nil, nil, err
	}
	db, err := query.Open(ctx, l, query.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	snapshot, err := l.Files(ctx, lake.Events)
	return &ours{title, db, len(snapshot.Files), snapshot.Bytes, snapshot.Rows}, func() { _ = errors.Join(db.Close(), l.Close()) }, err
}

// Sides of a comparison.
const (
	_ = iota // the lakes, in their order
	_
	parquet
	jsonGz
	sides
)

// compare asks the questions and prints the tables.
func compare(ctx context.Context, s settings, stdout io.Writer) error {
	var lakes [2]*ours
	for i, name := range []string{"lake", "maintained"} {
		l, done, err := openLake(ctx, s, name, []string{"as collected", "after maintenance"}[i])
		if err != nil {
			return err
		}
		defer done()
		lakes[i] = l
	}
	duck, err := openDuck(ctx, s.dir)
	if err != nil {
		return err
	}
	defer duck.Close()
	fmt.Fprintf(stdout, "%d events; %s/%s, %d cores, %s; medians of %d runs, of those over JSON a third; Parquet: %.1f MB\n", lakes[0].rows, runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), runtime.Version(), s.runs, float64(sizeOf(duck.parquet))/1e6)
	fmt.Fprintf(stdout, "ratio is DuckDB's time over aitrail's, of wall time and of processor time, which tells more on a busy machine\n")
	qs, err := questions(ctx, lakes[0].db)
	if err != nil {
		return err
	}
	results := make([]*result, len(qs))
	for i, q := range qs {
		if results[i], err = q.measure(ctx, s, lakes, duck); err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
	}
	for i, l := range lakes {
		fmt.Fprintf(stdout, "\n%-28s %6s %8s %8s %9s %9s %6s %6s %9s %9s %6s %6s\n", fmt.Sprintf("%s: %d files", l.title, l.files), "rows", "aitrail", "CPU, ms",
			"Parquet", "CPU", "ratio", "CPU", "JSON gz", "CPU", "ratio", "CPU")
		for n, q := range qs {
			results[n].print(stdout, q.name, i)
		}
	}
	return nil
}

// result is what one question took on each side.
type result struct {
	rows      int
	wall, cpu [sides][]time.Duration
}

// note adds a run's times.
func (r *result) note(side int, ask func() ([]string, error)) ([]string, error) {
	start, used := time.Now(), processor()
	answer, err := ask()
	r.wall[side], r.cpu[side] = append(r.wall[side], time.Since(start)), append(r.cpu[side], processor()-used)
	return answer, err
}

// print prints the line of one of the lakes.
func (r *result) print(stdout io.Writer, name string, side int) {
	wall, cpu := median(r.wall[side]), median(r.cpu[side])
	fmt.Fprintf(stdout, "%-28s %6d %8.1f %8.1f", name, r.rows, milli(wall), milli(cpu))
	for _, other := range []int{parquet, jsonGz} {
		if len(r.wall[other]) > 0 {
			theirs, theirsCPU := median(r.wall[other]), median(r.cpu[other])
			fmt.Fprintf(stdout, " %9.1f %9.1f %6.2f %6.2f", milli(theirs), milli(theirsCPU), float64(theirs)/float64(wall), float64(theirsCPU)/float64(cpu))
		}
	}
	fmt.Fprintln(stdout)
}

// measure asks one question in turns.
func (q *question) measure(ctx context.Context, s settings, lakes [2]*ours, duck *duck) (*result, error) {
	r := &result{}
	for n := range s.runs {
		want, err := r.note(parquet, func() ([]string, error) { return duck.ask(ctx, q.parquet) })
		if err != nil {
			return nil, fmt.Errorf("DuckDB: %w", err)
		}
		r.rows = len(want)
		for side, l := range lakes {
			got, err := r.note(side, func() ([]string, error) { return ask(ctx, l.db, q.ours) })
			if err != nil {
				return nil, err
			}
			if !slices.Equal(got, want) || len(want) == 0 {
				return nil, fmt.Errorf("%s: the answers differ: %d rows and %d rows of Parquet, beginning with\n%s\n%s", l.title, len(got), len(want), first(got), first(want))
			}
		}
		if n%3 > 0 || !s.json {
			continue
		}
		if _, err := r.note(jsonGz, func() ([]string, error) { return duck.ask(ctx, q.overJSON(s.dir)) }); err != nil {
			return nil, fmt.Errorf("DuckDB on JSON: %w", err)
		}
	}
	return r, nil
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
