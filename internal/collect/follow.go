package collect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object"
)

// feed brings what a source has to the collector. An error that its methods once and follow return ends the run: it is
// ctx's or the lake's. What goes wrong with the source is noted with fail and trouble.
type feed interface {
	// open reaches for the source. It returns its store; nil for sources that are none, whose once is called then.
	open(ctx context.Context) (object.Store, error)
	// once hands on what there is now.
	once(ctx context.Context) error
	// follow hands on what there is and what comes, until ctx ends. The source is open.
	follow(ctx context.Context) error
	// close keeps how far the source was read, after the last commit.
	close(ctx context.Context) error
}

// Kinds of sources that are no folders, files or buckets: what their names begin with.
const (
	queueScheme   = "sqs:"
	groupScheme   = "logs:"
	historyScheme = "history:"
)

// feed makes the feed of a source.
func (c *collector) feed(i int, source string) (feed, error) {
	b := base{c: c, source: i, name: source, settings: c.opts.Settings[source]}
	if err := CheckSource(source, b.settings); err != nil {
		return nil, err
	}
	switch kind, rest := kindOfSource(source); kind {
	case queueScheme:
		return newQueue(b, rest)
	case groupScheme:
		return newGroup(b, rest)
	case historyScheme:
		return newHistory(b, rest)
	}
	return &watch{base: b}, nil
}

// base is what all feeds have.
type base struct {
	c        *collector
	source   int
	name     string
	settings Settings
}

func (b *base) now() time.Time { return b.c.opts.Now() }

// fail notes that something of the source couldn't be read, and the rest goes on.
func (b *base) fail(object string, err error) { b.c.fail(b.source, object, err) }

// looked notes how a look at the source ended.
func (b *base) looked(err error) {
	if err != nil {
		b.c.trouble(b.source, err)
		return
	}
	b.c.status(b.source, func(s *SourceStatus) { s.Looked, s.Error = b.now(), "" })
}

// trouble notes that a source that is followed can't be read. The first of several times in a row is logged.
func (c *collector) trouble(source int, err error) {
	was, name := "", ""
	c.status(source, func(s *SourceStatus) {
		was, name = s.Error, s.Source
		s.Error, s.Failed = err.Error(), c.opts.Now()
	})
	if was == "" && name != "" {
		c.opts.Log.Warn("source can't be read, and is tried again", "source", name, "cause", err)
	}
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

// backoff is how long to wait after the n-th failure in a row, from 1.
func backoff(n int) time.Duration {
	return min(time.Second<<min(n, 8), 2*time.Minute)
}

// SourceStatus tells how a followed source stands.
type SourceStatus struct {
	Source   string
	Ready    bool      // what there was at the first look has been handed on; older log files may still be on their way
	Looked   time.Time // last time that a look at it went well
	Error    string    // why the last look went wrong; "" when it went well
	Failed   time.Time // last time that a look went wrong
	Newest   time.Time // latest eventTime that came from it
	Events   int64     // events that came from it, duplicates included
	Places   int       // folders of one account, kind and Region that are followed, when laid out as CloudTrail delivers
	Backfill int       // months of them still to be read back
	Listings int64     // requests for listings of its bucket
	Swept    time.Time // when the place that was listed whole the longest ago was
	Beside   int       // folders beside AWSLogs/, which aren't followed
	Poison   int64     // messages that can't be used
	Digests  bool      // it holds digests: what comes from it can be verified
}

// Follower collects from sources until it is stopped.
type Follower struct {
	c       *collector
	sources []string
}

// followAge is the age at which a batch is committed when following; earlier when nothing was added for a fifth of it.
const followAge = 5 * time.Second

// NewFollower makes a follower of sources: folders, files, s3://bucket/prefix, sqs:URL, logs:GROUP, history:REGION,….
// The error is one of a source's name or settings.
func NewFollower(l *lake.Lake, sources []string, opts Options) (*Follower, error) {
	if opts.BatchAge == 0 {
		opts.BatchAge = followAge
	}
	c := newCollector(l, opts.withDefaults())
	c.live = make(chan job)
	c.statuses = make([]SourceStatus, len(sources))
	for i, source := range sources {
		f, err := c.feed(i, source)
		if err != nil {
			return nil, err
		}
		c.feeds = append(c.feeds, f)
		c.statuses[i].Source = source
		c.report.Sources = append(c.report.Sources, SourceReport{Source: source})
	}
	return &Follower{c, sources}, nil
}

// Check reaches for all sources and returns what is wrong with them. It may be left out: Run goes on trying.
func (f *Follower) Check(ctx context.Context) error {
	var errs []error
	for i, feed := range f.c.feeds {
		if _, err := feed.open(ctx); err != nil {
			errs = append(errs, fmt.Errorf("opening source %q: %w", f.sources[i], err))
		}
	}
	return errors.Join(errs...)
}

// Run collects until ctx ends, and returns ctx's error then: what was read is committed. Any other error is the lake's;
// what was committed stays, and another Follower can go on. A source that can't be reached is tried again while the
// others go on. Run is called once.
func (f *Follower) Run(ctx context.Context) error {
	c := f.c
	g, gctx := errgroup.WithContext(ctx)
	for i, feed := range c.feeds {
		g.Go(func() error { return c.keep(gctx, i, feed) })
	}
	for range c.parallel() {
		g.Go(func() error { return c.work(gctx) })
	}
	g.Go(func() error { return c.age(gctx) })
	err := g.Wait()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), c.batches.flush(context.WithoutCancel(ctx)))
	} else {
		err = errors.Join(err, c.batches.discard())
	}
	c.close(ctx)
	return err
}

// Report returns what Run has done so far.
func (f *Follower) Report() Report {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return f.c.report.clone()
}

// Sources returns how the sources stand.
func (f *Follower) Sources() []SourceStatus {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return append([]SourceStatus(nil), f.c.statuses...)
}

// keep opens a source, again and again if it must, and follows it.
func (c *collector) keep(ctx context.Context, i int, f feed) error {
	for n := 1; ; n++ {
		_, err := f.open(ctx)
		if err == nil {
			return f.follow(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.fail(i, c.statuses[i].Source, err)
		c.trouble(i, err)
		if !sleep(ctx, backoff(n)) {
			return ctx.Err()
		}
	}
}

// age commits batches that no log file ends.
func (c *collector) age(ctx context.Context) error {
	every := max(c.opts.BatchAge/4, 10*time.Millisecond)
	for sleep(ctx, every) {
		if err := c.batches.commitAged(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (c *collector) status(i int, change func(*SourceStatus)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i < len(c.statuses) {
		change(&c.statuses[i])
	}
}

// came notes events that a source brought to the lake.
func (c *collector) came(i int, events int64, last time.Time) {
	c.status(i, func(s *SourceStatus) {
		s.Events += events
		if last.After(s.Newest) {
			s.Newest = last
		}
	})
}

// ledger knows the objects that a look at a source need not hand on.
type ledger struct {
	mu     sync.Mutex
	flying map[string]struct{} // handed on, not yet dealt with
	put    map[string]putOff
}

// putOff is an object that is left alone for a while: it couldn't be read, or is no log file.
type putOff struct {
	etag  string
	until time.Time
	tries int
}

// putOffs is how many are remembered; what is forgotten is looked at again.
const putOffs = 200_000

// take tells whether the object is to be handed on, and notes that it is.
func (l *ledger) take(url, etag string, now time.Time) (flying, later bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flying == nil {
		l.flying, l.put = map[string]struct{}{}, map[string]putOff{}
	}
	if _, flying = l.flying[url]; flying {
		return true, false
	}
	if p, ok := l.put[url]; ok && p.etag == etag && now.Before(p.until) {
		return false, true
	}
	l.flying[url] = struct{}{}
	return false, false
}

// land notes how it went.
func (l *ledger) land(url, etag string, err error, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.flying, url)
	p := putOff{etag: etag, tries: l.put[url].tries + 1}
	switch {
	case err == nil:
		delete(l.put, url)
		return
	case errors.Is(err, errNotLogFile):
		p.until = now.Add(24 * time.Hour)
	default:
		p.until = now.Add(min(30*time.Second<<min(p.tries-1, 7), time.Hour))
	}
	if len(l.put) >= putOffs {
		clear(l.put)
	}
	l.put[url] = p
}

// offer hands on a log file that a look found, unless the lake has it or it is on its way. dealt is called once
// it is dealt with, maybe before offer returns; it gets errLater for an object that another look handed on or that
// couldn't be read lately.
func (c *collector) offer(ctx context.Context, lane chan<- job, j job, dealt func(error)) error {
	have, err := c.lake.Collected(ctx, j.url, j.info.Size, j.info.ETag)
	if err != nil {
		return err
	}
	if have {
		dealt(nil)
		return nil
	}
	flying, later := c.ledger.take(j.url, j.info.ETag, c.opts.Now())
	if flying || later {
		dealt(errLater)
		return nil
	}
	etag := j.info.ETag
	j.done = func(err error) {
		c.ledger.land(j.url, etag, err, c.opts.Now())
		if errors.Is(err, errNotLogFile) {
			err = nil
		}
		dealt(err)
	}
	select {
	case lane <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errLater = errors.New("will be dealt with later")
