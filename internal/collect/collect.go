package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/cloudtrail/inflate"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object"
	"golang.org/x/sync/errgroup"
)

// Options for Collect. The zero value works.
type Options struct {
	Parallel    int           // objects in work at once; 0: one more than cores for folders, 16 for buckets. As many as cores are decoded at once
	MaxInflated int64         // longest text of a log file, in bytes; longer ones go to quarantine; 0: 4 GiB
	BatchEvents int64         // events after which a batch is committed; 0: 200,000
	BatchBytes  int64         // bytes of log file text after which a batch is committed; 0: 1 GiB
	BatchAge    time.Duration // age at which a batch is committed when a log file ends; 0: a minute

	// KeepPrompts keeps what model invocation logs have of prompts, answers and the callers' metadata. Nothing of them is written
	// anywhere otherwise.
	KeepPrompts bool

	Progress func(Progress)   // called at most ten times a second, and at the end; from one goroutine at a time
	Log      *slog.Logger     // nothing is logged when nil
	Now      func() time.Time // the clock; time.Now when nil

	// Open opens a source; object.Open when nil.
	Open func(ctx context.Context, source string) (object.Store, error)

	Settings map[string]Settings // of sources, by their names
	Cursors  Cursors             // where it is kept how far sources were followed; a folder of the lake when nil
}

// Settings are what there is to say of one source besides its name. The zero value works, but for queues.
type Settings struct {
	// Buckets are those that a queue's messages may name. A message about another one is not believed: whoever can send
	// to the queue would otherwise choose what is collected.
	Buckets []string
	Poll    time.Duration // how long to wait between two looks, at most; 0: by kind of source, see docs/sources.md
	Since   time.Duration // how far back a log group or the event history is read at first; 0: an hour, and 90 days
}

func (o Options) withDefaults() Options {
	set := func(n *int64, value int64) {
		if *n == 0 {
			*n = value
		}
	}
	set(&o.MaxInflated, 4<<30)
	set(&o.BatchEvents, 200_000)
	set(&o.BatchBytes, 1<<30)
	if o.BatchAge == 0 {
		o.BatchAge = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Open == nil {
		o.Open = object.Open
	}
	return o
}

// Collect brings the log files and events of sources that the lake doesn't have into it; see the package's comment for
// what a source is. It returns when all are dealt with: when a queue is empty, and a history read back.
//
// The report is valid with an error too: it tells what is in the lake. The error is one of a source that can't be
// opened (nothing was done then), of the lake, ctx's, or *NoLogFilesError (joined, when there are several). Objects
// and listings that couldn't be read are no error: they are in Report.Errors. When ctx is cancelled the log files read
// by then are committed.
//
// Collect may be called again after any outcome, and by several processes at once.
func Collect(ctx context.Context, l *lake.Lake, sources []string, opts Options) (Report, error) {
	c := newCollector(l, opts.withDefaults())
	if err := c.open(ctx, sources); err != nil {
		return c.report, err
	}
	err := c.run(ctx)
	c.progress.finish()
	c.report.Elapsed = c.opts.Now().Sub(c.start)
	for i, s := range c.report.Sources {
		if err == nil && c.stores[i] != nil && s.Found+s.Failed+s.Repeated == 0 {
			c.empty = append(c.empty, &NoLogFilesError{s.Source, s.Digests, s.Other})
		}
	}
	return c.report, errors.Join(append(c.empty, err)...)
}

func newCollector(l *lake.Lake, opts Options) *collector {
	c := &collector{
		opts:      opts,
		lake:      l,
		jobs:      make(chan job),
		inflaters: make(chan *inflate.Member, runtime.GOMAXPROCS(0)),
		start:     opts.Now(),
		report:    Report{Kinds: map[cloudtrail.Kind]*KindCount{}, Quarantine: []QuarantinedFile{}, Errors: []ObjectError{}},
	}
	if c.opts.Cursors == nil {
		c.opts.Cursors = cursorsOf(l.SideDir())
	}
	for range cap(c.inflaters) {
		c.inflaters <- new(inflate.Member)
	}
	c.progress = progress{call: opts.Progress, now: opts.Now}
	c.batches = &batches{
		lake: l, maxEvents: opts.BatchEvents, maxBytes: opts.BatchBytes, maxAge: opts.BatchAge,
		now: opts.Now, done: c.committed,
	}
	return c
}

// collector is one run.
type collector struct {
	opts      Options
	lake      *lake.Lake
	stores    []object.Store // nil for sources that are no stores
	feeds     []feed         // of sources that are no stores; when following, of all
	jobs      chan job
	live      chan job // objects that go before jobs; nil when not following
	ledger    ledger   // when following
	start     time.Time
	inflaters chan *inflate.Member // a reader takes one to decode, so that as many decode as there are cores
	batches   *batches
	progress  progress
	empty     []error

	mu       sync.Mutex // guards what follows
	report   Report
	statuses []SourceStatus // when following
}

// open opens all sources before any work is done, so that a mistyped one costs nothing.
func (c *collector) open(ctx context.Context, sources []string) error {
	for i, source := range sources {
		c.report.Sources = append(c.report.Sources, SourceReport{Source: source})
		f, err := c.feed(i, source)
		if err != nil {
			return err
		}
		c.feeds = append(c.feeds, f)
		store, err := f.open(ctx)
		if err != nil {
			return fmt.Errorf("opening source %q: %w", source, err)
		}
		c.stores = append(c.stores, store)
	}
	return nil
}

// run lists, reads and commits.
func (c *collector) run(ctx context.Context) error {
	readers := c.parallel()
	g, gctx := errgroup.WithContext(ctx)
	listed := make(chan job)
	g.Go(func() error { return c.list(gctx, listed) })
	g.Go(func() error { return c.inOrder(gctx, listed) })
	for range readers {
		g.Go(func() error { return c.work(gctx) })
	}
	err := g.Wait()
	if err != nil && ctx.Err() == nil {
		return errors.Join(err, c.batches.discard())
	}
	// Whether all was read or ctx was cancelled: what has been read is worth keeping.
	err = errors.Join(ctx.Err(), c.batches.flush(context.WithoutCancel(ctx)))
	c.close(ctx)
	return err
}

// close has the sources keep how far they were read. That it couldn't be kept costs time only.
func (c *collector) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	for _, f := range c.feeds {
		if err := f.close(ctx); err != nil {
			c.opts.Log.Warn("how far a source was read could not be kept", "cause", err)
		}
	}
}

func (c *collector) parallel() int {
	if c.opts.Parallel > 0 {
		return c.opts.Parallel
	}
	for _, s := range c.report.Sources {
		if strings.HasPrefix(s.Source, "s3://") || strings.HasPrefix(s.Source, queueScheme) {
			return 16
		}
	}
	return runtime.GOMAXPROCS(0) + 1 // one may be committing
}

// committed is called after each commit.
func (c *collector) committed(t *tally, res lake.Result) {
	c.count(func(r *Report) { r.committed(t, res) })
	for _, done := range t.done {
		done(nil)
	}
}

// count changes the report.
func (c *collector) count(change func(*Report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.report)
}

// fail notes that an object or a listing of a source couldn't be read.
func (c *collector) fail(source int, object string, err error) {
	c.opts.Log.Debug("object not read", "object", object, "cause", err)
	c.count(func(r *Report) {
		r.Failed++
		r.Sources[source].Failed++
		if len(r.Errors) < ListLimit {
			r.Errors = append(r.Errors, ObjectError{object, err.Error(), err})
		}
	})
}

// progress counts and reports, at most ten times a second.
type progress struct {
	call func(Progress)
	now  func() time.Time
	mu   sync.Mutex
	p    Progress
	last time.Time
}

func (p *progress) add(change func(*Progress)) {
	if p.call == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.p)
	if now := p.now(); now.Sub(p.last) >= 100*time.Millisecond {
		p.last = now
		p.call(p.p)
	}
}

func (p *progress) finish() {
	if p.call == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.call(p.p)
}
