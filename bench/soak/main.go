// Command soak shows that nothing is lost and nothing doubled: clients call a local endpoint whose log files come late,
// twice, out of order, altered or not at all, some of its digests neither, and whose services throttle, fail and answer
// slowly, the collectors' requests included; collectors follow bucket, queue and log group at once, verify, share a lake, and
// are killed and started at random. In the end each call that was answered must be a row of the lake, once; each log file that
// was left out or altered, and each digest that was left out, must be named by aitrail verify and be a gap in what aitrail
// coverage says; and the collectors' memory must not have grown. Exit code 1 when that isn't so.
//
//	go run ./bench/soak                       500,000 calls in 20 minutes
//	go run ./bench/soak -calls 20000 -for 1m
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cli"
	"github.com/aitrail/aitrail/internal/endpoint/fault"
)

// aitrail is the environment variable that makes this program aitrail: collectors are processes of their own.
const aitrail = "SOAK_AITRAIL"

func main() {
	if os.Getenv(aitrail) != "" {
		os.Exit(cli.Main(os.Args[1:], cli.World{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now}))
	}
	o := options{
		deliver: 5 * time.Second, digest: time.Minute, calm: [2]time.Duration{5 * time.Second, time.Minute}, slow: 0.01,
		faults:   fault.Shares{"late-file": 0.1, "duplicate-file": 0.1, "disorder-file": 0.1, "missing-file": 0.05, "altered-file": 0.02, "missing-digest": 0.1, "throttle": 0.02, "error": 0.02},
		patience: 5 * time.Minute,
		log: func(format string, args ...any) {
			fmt.Printf(time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
		},
	}
	flag.IntVar(&o.calls, "calls", 500_000, "calls to make, at most")
	flag.DurationVar(&o.long, "for", 20*time.Minute, "time to call, at most")
	flag.IntVar(&o.clients, "clients", 48, "clients")
	flag.IntVar(&o.collectors, "collectors", 2, "collectors")
	flag.StringVar(&o.dir, "dir", "", "folder for everything; it is kept (default a temporary one)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "soak")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	r, err := soak(ctx, o)
	if err != nil {
		return err
	}
	early, late := r.flat()
	fmt.Printf("calls made %d (%d answered with an error), in the lake %d, twice %d; %d rows; %d kills; memory of collectors %d MiB, later %d MiB\n",
		r.made, r.failed, r.found, r.twice, r.rows, r.kills, early>>20, late>>20)
	fmt.Printf("gaps made: %s; not reported by name or time: %d\n", count(r.gaps), len(r.unreported))
	return r.wrong(o)
}

// wrong tells what must not be.
func (r *result) wrong(o options) error {
	early, late := r.flat()
	switch {
	case r.made == 0:
		return fmt.Errorf("no call was made")
	case r.found != r.made || r.twice > 0:
		return fmt.Errorf("%d calls are missing in the lake and %d are there twice", r.made-r.found, r.twice)
	case len(r.unreported) > 0:
		return fmt.Errorf("of %d gaps %d are not reported:\n%s", len(r.gaps), len(r.unreported), strings.Join(r.unreported, "\n"))
	case late > early*3/2+32<<20:
		return fmt.Errorf("the collectors' memory grew from %d MiB to %d MiB", early>>20, late>>20)
	}
	return nil
}
