package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/lake"
)

// Options for New. Lake and Sources are needed.
type Options struct {
	Lake    *lake.Lake
	Sources []string
	Collect collect.Options // for the followers; Progress isn't called

	// Verify verifies a source that holds digests and gives the lake its verdicts. Nothing is verified when nil.
	Verify      func(ctx context.Context, source string) (Verification, error)
	VerifyEvery time.Duration // 0: never

	// Maintain compacts, expires and cleans the lake. It isn't maintained when nil.
	Maintain      func(ctx context.Context) error
	MaintainEvery time.Duration // 0: never

	Listener net.Listener // of metrics and health; nil for none. Run closes it
	Token    string       // that metrics ask for; "" for none

	Log *slog.Logger     // nothing is logged when nil
	Now func() time.Time // the clock; time.Now when nil
}

// Verification is what is known of a source's digests and log files.
type Verification struct {
	Holds    bool
	Findings int // that say that something doesn't hold
	Verified int64
	Pending  int64
	Failed   int64
}

// Daemon runs the stages. Its methods may be called by several goroutines.
type Daemon struct {
	opts  Options
	start time.Time

	mu       sync.Mutex
	follower *collect.Follower
	before   collect.Report // of followers that ended
	broken   string         // why collecting stopped and will begin anew; "" while it goes on
	since    time.Time      // when it broke
	restarts int64
	verified map[string]verified
	tended   tended
}

// verified is how the last verification of a source went.
type verified struct {
	Verification
	at    time.Time
	error string
}

// tended is how maintenance went.
type tended struct {
	at     time.Time // of the last that went well
	runs   int64
	failed int64
	error  string
}

// New makes a daemon. The error is one of a source's name or settings.
func New(opts Options) (*Daemon, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	d := &Daemon{opts: opts, start: opts.Now(), verified: map[string]verified{}}
	var err error
	d.follower, err = collect.NewFollower(opts.Lake, opts.Sources, opts.Collect)
	return d, err
}

// Check reaches for all sources and returns what is wrong with them. It may be left out.
func (d *Daemon) Check(ctx context.Context) error { return d.now().Check(ctx) }

// Run works until ctx ends, and returns nil then: what was read is committed. It returns an error only when it can't
// listen any more.
func (d *Daemon) Run(ctx context.Context) error {
	d.opts.Log.Info("collecting", "sources", d.opts.Sources, "lake", d.opts.Lake.Name())
	g, ctx := errgroup.WithContext(ctx)
	if d.opts.Listener != nil {
		g.Go(func() error { return d.serve(ctx) })
	}
	g.Go(func() error { return d.collect(ctx) })
	if d.opts.Verify != nil && d.opts.VerifyEvery > 0 {
		g.Go(func() error { return d.verifyAll(ctx) })
	}
	if d.opts.Maintain != nil && d.opts.MaintainEvery > 0 {
		g.Go(func() error { return d.maintain(ctx) })
	}
	err := g.Wait()
	d.opts.Log.Info("stopped")
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (d *Daemon) now() *collect.Follower {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.follower
}

// collect follows the sources; after an error of the lake with a new follower.
func (d *Daemon) collect(ctx context.Context) error {
	for fails := 0; ; {
		began := d.opts.Now()
		err := d.now().Run(ctx)
		if ctx.Err() != nil {
			if err != nil && !errors.Is(err, context.Canceled) {
				d.opts.Log.Error("the last batch was not committed", "cause", err)
			}
			return ctx.Err()
		}
		if fails++; d.opts.Now().Sub(began) > 10*time.Minute {
			fails = 1
		}
		wait := min(time.Second<<min(fails-1, 6), time.Minute)
		d.opts.Log.Error("collecting stopped and begins anew", "cause", err, "in", wait)
		d.mu.Lock()
		if d.broken == "" {
			d.since = d.opts.Now()
		}
		d.broken = err.Error()
		d.mu.Unlock()
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
		if err := d.again(); err != nil {
			return err
		}
	}
}

// again makes a new follower.
func (d *Daemon) again() error {
	f, err := collect.NewFollower(d.opts.Lake, d.opts.Sources, d.opts.Collect)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	report := d.follower.Report()
	add(&d.before, &report)
	d.follower, d.broken = f, ""
	d.restarts++
	return nil
}

// Report returns what has been collected since the daemon began.
func (d *Daemon) Report() collect.Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.follower.Report()
	r.Elapsed = d.opts.Now().Sub(d.start)
	add(&r, &d.before)
	return r
}

// add adds the counts and lists of another report to r.
func add(r, other *collect.Report) {
	for _, n := range []struct{ to, from *int64 }{
		{&r.Found, &other.Found}, {&r.Collected, &other.Collected}, {&r.Skipped, &other.Skipped}, {&r.Quarantined, &other.Quarantined},
		{&r.Failed, &other.Failed}, {&r.Digests, &other.Digests}, {&r.Other, &other.Other}, {&r.Events, &other.Events},
		{&r.Duplicates, &other.Duplicates}, {&r.AICalls, &other.AICalls}, {&r.Bytes, &other.Bytes}, {&r.Inflated, &other.Inflated},
	} {
		*n.to += *n.from
	}
	r.Quarantine = append(slices.Clone(other.Quarantine), r.Quarantine...)
	r.Errors = append(slices.Clone(other.Errors), r.Errors...)
	r.Quarantine = r.Quarantine[:min(len(r.Quarantine), collect.ListLimit)]
	r.Errors = r.Errors[:min(len(r.Errors), collect.ListLimit)]
}

// verifyAll verifies sources once they have been looked through, and then as often as it is told to.
func (d *Daemon) verifyAll(ctx context.Context) error {
	for {
		wait := d.opts.VerifyEvery
		for _, source := range d.provable() {
			v, err := d.opts.Verify(ctx, source)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			d.noteVerified(source, v, err)
		}
		if len(d.provable()) == 0 {
			wait = min(wait, 5*time.Second) // until one is ready
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// provable returns the sources that hold digests.
func (d *Daemon) provable() []string {
	var list []string
	for _, s := range d.now().Sources() {
		if s.Ready && s.Digests {
			list = append(list, s.Source)
		}
		if strings.HasPrefix(s.Source, "sqs:") && s.Ready {
			for _, bucket := range d.opts.Collect.Settings[s.Source].Buckets {
				list = append(list, "s3://"+bucket)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (d *Daemon) noteVerified(source string, v Verification, err error) {
	log := d.opts.Log.With("source", source)
	switch {
	case err != nil:
		log.Warn("source could not be verified", "cause", err)
	case !v.Holds:
		log.Error("source does not hold: aitrail verify tells what", "findings", v.Findings, "failed", v.Failed)
	default:
		log.Info("source verified", "verified", v.Verified, "pending", v.Pending)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		old := d.verified[source]
		old.error = err.Error()
		d.verified[source] = old
		return
	}
	d.verified[source] = verified{Verification: v, at: d.opts.Now()}
}

// maintain tends the lake as often as it is told to.
func (d *Daemon) maintain(ctx context.Context) error {
	for sleep(ctx, d.opts.MaintainEvery) {
		err := d.opts.Maintain(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.mu.Lock()
		d.tended.runs++
		if d.tended.error = ""; err != nil {
			d.tended.failed, d.tended.error = d.tended.failed+1, err.Error()
		} else {
			d.tended.at = d.opts.Now()
		}
		d.mu.Unlock()
		if err != nil {
			d.opts.Log.Error("lake could not be maintained", "cause", err)
		}
	}
	return ctx.Err()
}

// sleep waits; false when ctx ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
