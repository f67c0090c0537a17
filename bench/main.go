// Command bench measures how fast aitrail collects log files into a lake, beside DuckDB doing the nearest thing it can
// do: its own read_json with explicit columns, written as zstd Parquet.
//
//	go run ./bench -dir /tmp/bench
//
// Both read the same generated corpus (package corpus). Every run is a process of its own, which times its work and
// whose CPU time and peak memory the kernel tells; runs of both alternate, so that what else the machine does hits both.
// The table holds medians; ratios are DuckDB's wall and CPU time over the stage's. What aitrail does more is not deducted:
// normal form, lineage, SHA-256 of each file, removal of duplicates, sorting, durable commits.
//
// The other stages are the steps of the way to see where time goes, each with all before it: read, gunzip, scan (the
// JSON's structure alone), decode (to events), build (rows in memory), write (synced Parquet files, without a commit).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"

	"github.com/aitrail/aitrail/bench/corpus"
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

// settings are the command's flags.
type settings struct {
	events int
	seed   uint64
	runs   int
	dir    string
	stages bool   // measure the steps too
	stage  string // set for the processes that do the work
	out    string

	profile string // where stage writes its CPU profile
}

// result is what a stage's process tells about itself.
type result struct {
	Events   int64         `json:"events"`
	Duration time.Duration `json:"duration"`
	Bytes    int64         `json:"bytes"` // written; 0 for stages that write nothing
	RSS      int64         `json:"-"`     // peak, from the kernel
	CPU      time.Duration `json:"-"`     // user and system, from the kernel
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.events, "events", 1_000_000, "events in the corpus")
	flags.Uint64Var(&s.seed, "seed", 1, "seed of the corpus")
	flags.IntVar(&s.runs, "runs", 3, "runs of each side")
	flags.StringVar(&s.dir, "dir", "", "folder for the corpus, which is kept in a folder named by its size, and for what is written (default: a temporary one)")
	flags.BoolVar(&s.stages, "stages", true, "measure the steps too")
	flags.StringVar(&s.stage, "stage", "", "internal: do one run of a stage in this process")
	flags.StringVar(&s.out, "out", "", "internal: folder that the stage writes to")
	flags.StringVar(&s.profile, "profile", "", "folder for a CPU profile of each stage's last run: STAGE.prof")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.stage != "" {
		return child(ctx, s, stdout)
	}
	if s.runs < 1 || s.events < 1 {
		return errors.New("-runs and -events must be at least 1")
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
	fmt.Fprintf(stderr, "corpus of %d events in %s\n", s.events, s.dir)
	sum, err := corpus.Keep(s.dir, corpus.Options{Events: s.events, Seed: s.seed})
	if err != nil {
		return err
	}
	return compare(ctx, s, sum, stdout, stderr)
}

// compare runs the stages in turn and prints the table.
func compare(ctx context.Context, s settings, sum corpus.Summary, stdout, stderr io.Writer) error {
	names := []string{"collect", "duckdb"}
	if s.stages {
		names = append(names, "read", "gunzip", "scan", "decode", "build", "write")
	}
	results := map[string][]result{}
	for n := range s.runs {
		for _, name := range names {
			r, err := spawn(ctx, s, name)
			if err != nil {
				return fmt.Errorf("stage %s: %w", name, err)
			}
			if r.Events != 0 && r.Events != int64(sum.Events) {
				return fmt.Errorf("stage %s: %d events, the corpus has %d", name, r.Events, sum.Events)
			}
			fmt.Fprintf(stderr, "run %d of %d: %-8s %6.2f s\n", n+1, s.runs, name, r.Duration.Seconds())
			results[name] = append(results[name], r)
		}
	}
	report(stdout, sum, names, results)
	return nil
}

// report prints the medians.
func report(w io.Writer, sum corpus.Summary, names []string, results map[string][]result) {
	const mb = 1 << 20
	fmt.Fprintf(w, "corpus: %d events, %d files, %d MB of JSON, %d MB gz; %s/%s, %d cores, %s; medians of %d runs\n\n",
		sum.Events, sum.Files, sum.JSON/mb, sum.Bytes/mb, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), len(results[names[0]]))
	fmt.Fprintf(w, "%-8s %10s %7s %7s %10s %13s %15s\n", "", "events/s", "ratio", "CPU, s", "CPU ratio", "peak RSS, MiB", "bytes an event")
	wall := func(r result) int64 { return int64(r.Duration) }
	cpu := func(r result) int64 { return int64(r.CPU) }
	for _, name := range names {
		list := results[name]
		took, used := median(list, wall), median(list, cpu)
		size := ""
		if n := median(list, func(r result) int64 { return r.Bytes }); n > 0 {
			size = fmt.Sprintf("%.1f", float64(n)/float64(sum.Events))
		}
		fmt.Fprintf(w, "%-8s %10.0f %7.2f %7.2f %10.2f %13d %15s\n", name, float64(sum.Events)/time.Duration(took).Seconds(),
			float64(median(results["duckdb"], wall))/float64(took), time.Duration(used).Seconds(),
			float64(median(results["duckdb"], cpu))/float64(used), median(list, func(r result) int64 { return r.RSS })/mb, size)
	}
}

func median(list []result, of func(result) int64) int64 {
	values := make([]int64, 0, len(list))
	for _, r := range list {
		values = append(values, of(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// spawn does one run of a stage in a process of its own.
func spawn(ctx context.Context, s settings, name string) (result, error) {
	var r result
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	out, err := os.MkdirTemp(s.dir, "out-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(out)
	cmd := exec.CommandContext(ctx, self, "-stage", name, "-dir", s.dir, "-out", out, "-profile", s.profile)
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("reading its result: %w", err)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		r.RSS = usage.Maxrss << 10
		if runtime.GOOS == "darwin" { // bytes there
			r.RSS = usage.Maxrss
		}
	}
	return r, nil
}

// child does one run of a stage and prints its result.
func child(ctx context.Context, s settings, stdout io.Writer) error {
	stages := map[string]func(context.Context, string, string) (result, error){
		"collect": collectStage, "duckdb": duckdbStage, "read": readStage, "gunzip": gunzipStage, "scan": scanStage,
		"decode": decodeStage, "build": buildStage, "write": writeStage,
	}
	stage, ok := stages[s.stage]
	if !ok {
		return fmt.Errorf("no stage %q", s.stage)
	}
	if s.profile != "" {
		f, err := os.Create(filepath.Join(s.profile, s.stage+".prof"))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	start := time.Now()
	r, err := stage(ctx, filepath.Join(s.dir, "corpus"), s.out)
	if err != nil {
		return err
	}
	r.Duration = time.Since(start)
	return json.NewEncoder(stdout).Encode(r)
}
