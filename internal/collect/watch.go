package collect

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aitrail/aitrail/internal/object"
)

// watch follows a folder, a file or a bucket.
//
// A bucket laid out as CloudTrail delivers is followed by its places, each from the last key on: see followPlaces. All
// else is listed whole, again and again: a folder, whose files may come in any order, and buckets in another layout.
type watch struct {
	base
	store  object.Store
	laid   bool              // it may be laid out as CloudTrail delivers
	empty  bool              // nothing was there when it was listed last
	young  map[string]string // files of a folder that were changing when it was listed last, and their ETags
	beside string            // folders that aren't followed, as was told

	mu     sync.Mutex // guards what follows
	cursor *cursor
	dirty  bool
	spots  map[string]*spot
	wake   chan struct{} // told of new spots
}

// Times between looks at what is listed whole.
const (
	folderPoll = 2 * time.Second
	bucketPoll = time.Minute
	// settled is how long a file of a folder must have been left alone to be read, unless two listings found it the same.
	settled = 10 * time.Second
)

func (w *watch) open(ctx context.Context) (object.Store, error) {
	if w.store != nil {
		return w.store, nil
	}
	store, err := w.c.opts.Open(ctx, w.name)
	w.store = store
	return store, err
}

// once isn't called: collector.list reads stores.
func (w *watch) once(context.Context) error { return nil }

func (w *watch) isBucket() bool { return strings.HasPrefix(w.store.URL(""), "s3://") }

func (w *watch) follow(ctx context.Context) error {
	w.laid = w.isBucket()
	pause := folderPoll
	if w.isBucket() {
		pause = bucketPoll
	}
	if w.settings.Poll > 0 {
		pause = w.settings.Poll
	}
	for fails := 0; ; {
		if w.laid {
			if laid, err := w.followPlaces(ctx); laid || err != nil {
				return err
			}
			w.laid = false
		}
		start := w.now()
		listed, err := w.walk(ctx)
		switch {
		case err != nil:
			return err
		case listed != nil:
			fails++
			w.fail(w.name, listed)
		default:
			fails = 0
			w.c.status(w.source, func(s *SourceStatus) { s.Ready = true })
		}
		w.looked(listed)
		wait := max(pause, 10*w.now().Sub(start)) // a large folder isn't walked all the time
		if w.empty && w.isBucket() {
			wait = min(wait, minPoll) // a trail that was just made
		}
		if fails > 0 {
			wait = max(wait, backoff(fails))
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// walk lists the source whole and hands on what is new. listed is the listing's error.
func (w *watch) walk(ctx context.Context) (listed, err error) {
	young := map[string]string{}
	w.empty = true
	for info, err := range w.store.List(ctx, "", "") {
		w.empty = false
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			listed = err
			continue
		}
		j := job{source: w.source, store: w.store, info: info, url: w.store.URL(info.Key)}
		switch classify(&j) {
		case isDigest:
			w.hasDigests()
		case isOther:
			continue
		}
		w.laid = w.laid || w.isBucket() && j.named && strings.HasPrefix(info.Key, "AWSLogs/") // the first log files of a trail
		if !w.isBucket() && w.now().Sub(info.Modified) < settled && w.young[info.Key] != info.ETag {
			young[info.Key] = info.ETag
			continue
		}
		if err := w.c.offer(ctx, w.c.live, j, func(error) {}); err != nil {
			return nil, err
		}
	}
	w.young = young
	return listed, nil
}

func (w *watch) hasDigests() {
	w.c.status(w.source, func(s *SourceStatus) { s.Digests = true })
}

func (w *watch) close(ctx context.Context) error { return w.save(ctx) }

// Times of looks at places.
const (
	minPoll      = 5 * time.Second
	maxPoll      = 5 * time.Minute
	exploreEvery = 10 * time.Minute
	saveEvery    = 5 * time.Second
	// recent and deep are how far behind the last key log files are looked for that came late: at every look, and once
	// in deepEvery.
	recent    = time.Hour
	deep      = 7 * 24 * time.Hour
	deepEvery = time.Hour
	// ahead is how far a key's time may be ahead of the clock and still count as the last.
	ahead = 24 * time.Hour
	looks = 16 // at places at once
)

// spot is a place being followed. watch.mu guards it.
type spot struct {
	place
	span   *cursorSpan
	high   string               // the last key seen
	last   time.Time            // its time
	holes  map[string]time.Time // log files that couldn't be read, and their times: the span doesn't go beyond them
	due    time.Time
	deepAt time.Time
	fresh  time.Time // when a new key was seen last; at first, when the spot was
	busy   bool
	looked bool // a look went well
	fails  int
	err    error
	months []*monthly // yet to be read back, the latest first; nil when not known

	sweeping bool
	sweepAt  time.Time // not before; after a sweep that went wrong
}

// monthly is a month that is read back.
type monthly struct {
	start                 time.Time
	running, done, failed bool
}

// followPlaces follows a bucket in CloudTrail's layout. It returns laid = false when it isn't one.
//
// Accounts and Regions are found by listing folders. Each is then listed from a key on that is some time before the last
// one, because the keys of a place are in the order of their times: new log files cost one request, however many are
// there. What lies before the first look is read back month by month, the latest first, while new files come. How far a
// place was read is kept in a cursor once it is in the lake.
func (w *watch) followPlaces(ctx context.Context) (laid bool, err error) {
	w.wake, w.spots = make(chan struct{}, 1), map[string]*spot{}
	if w.cursor, err = w.loadCursor(ctx, w.store.URL("")); err != nil {
		return false, err
	}
	for url, span := range w.cursor.Spans {
		if p, ok := placeOf(url, w.store.URL("")); ok && span.known() {
			w.add(p, span)
		}
	}
	if len(w.spots) == 0 {
		if laid, err := w.firstExplore(ctx); !laid || err != nil {
			return false, err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.pollAll(ctx) })
	g.Go(func() error { return w.backfill(ctx) })
	g.Go(func() error { return w.exploring(ctx) })
	g.Go(func() error { return w.sweeping(ctx) })
	g.Go(func() error {
		for sleep(ctx, saveEvery) {
			if err := w.save(ctx); err != nil && ctx.Err() == nil {
				w.c.opts.Log.Warn("how far a source was read could not be kept", "source", w.name, "cause", err)
			}
		}
		return ctx.Err()
	})
	return true, g.Wait()
}

// firstExplore goes on until the source's root could be listed.
func (w *watch) firstExplore(ctx context.Context) (laid bool, err error) {
	for n := 1; ; n++ {
		laid, err := w.explore(ctx)
		if err == nil {
			return laid, nil
		}
		w.fail(w.name, err)
		w.looked(err)
		if !sleep(ctx, backoff(n)) {
			return false, ctx.Err()
		}
	}
}

func (w *watch) exploring(ctx context.Context) error {
	for first := true; ; first = false {
		if !first || w.restored() {
			if _, err := w.explore(ctx); err != nil && ctx.Err() == nil {
				w.fail(w.name, err)
			}
		}
		if !sleep(ctx, w.untilExplored()) {
			return ctx.Err()
		}
	}
}

// untilExplored is the time until new places are looked for: the fewer there are, the less that costs, and the sooner the first
// log file of a new trail's next Region is wanted.
func (w *watch) untilExplored() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return min(minPoll*time.Duration(1+len(w.spots)), exploreEvery)
}

// restored tells whether the places came from a cursor, so that nobody has looked for new ones yet.
func (w *watch) restored() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.cursor.Spans) > 0
}

// explore finds places, and adds the new ones.
func (w *watch) explore(ctx context.Context) (laid bool, err error) {
	l, err := explore(ctx, w.store)
	if err != nil {
		return false, err
	}
	for url, err := range l.failed {
		w.fail(url, err)
		w.c.opts.Log.Warn("folder can't be listed", "source", w.name, "folder", url, "cause", err)
	}
	if l.digests {
		w.hasDigests()
	}
	if l.found {
		w.aside(l.beside)
	}
	var g errgroup.Group
	g.SetLimit(looks)
	for _, p := range l.places {
		w.mu.Lock()
		known := w.spots[p.prefix] != nil
		w.mu.Unlock()
		if known {
			continue
		}
		g.Go(func() error {
			w.discovered(ctx, p)
			return nil
		})
	}
	_ = g.Wait() // none has an error
	return l.found, ctx.Err()
}

// discovered adds a place that wasn't known.
func (w *watch) discovered(ctx context.Context, p place) {
	months, day, err := p.months(ctx, w.store, w.now().Add(ahead))
	if err != nil {
		w.fail(w.store.URL(p.prefix), err)
		return // found again at the next exploration
	}
	span := &cursorSpan{}
	if !day.IsZero() {
		span = &cursorSpan{From: day, To: day}
	}
	w.add(p, span)
	w.back(p.prefix, months)
}

// placeOf reads a place from its URL, and that of the source.
func placeOf(url, root string) (place, bool) {
	parts := strings.Split(strings.TrimSuffix(url, "/"), "/")
	prefix, inside := strings.CutPrefix(url, root)
	if n := len(parts); inside && n >= 3 && strings.HasSuffix(url, "/") && isAccount(parts[n-3]) {
		return place{prefix, parts[n-3], parts[n-2], parts[n-1]}, true
	}
	return place{}, false
}

func (w *watch) add(p place, span *cursorSpan) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if span.Swept.IsZero() { // all is read back, or was
		span.Swept, w.dirty = now, true
	}
	w.spots[p.prefix] = &spot{place: p, span: span, due: now, fresh: now}
	w.c.status(w.source, func(s *SourceStatus) { s.Places = len(w.spots) })
}

// back notes the months that are to be read back.
func (w *watch) back(prefix string, months []time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.spots[prefix]
	s.months = []*monthly{}
	for _, m := range months {
		if m.Before(s.span.From) {
			s.months = append(s.months, &monthly{start: m})
		}
	}
	w.read(s)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// read moves the begin of a spot's span to where all has been read back to.
func (w *watch) read(s *spot) {
	for len(s.months) > 0 && s.months[0].done {
		s.span.From, s.months, w.dirty = s.months[0].start, s.months[1:], true
	}
	if s.months != nil && len(s.months) == 0 && s.span.known() {
		s.span.Whole, w.dirty = true, true
	}
	left := 0
	for _, s := range w.spots {
		left += len(s.months)
	}
	w.c.status(w.source, func(st *SourceStatus) { st.Backfill = left })
}

// pollAll looks at each place when it is due.
func (w *watch) pollAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(looks)
	tick := min(time.Second, w.longest()/2)
	for {
		for _, s := range w.dues() {
			g.Go(func() error { return w.poll(ctx, s) })
			if ctx.Err() != nil {
				break
			}
		}
		if !sleep(ctx, tick) {
			if err := g.Wait(); err != nil {
				return err
			}
			return ctx.Err()
		}
	}
}

func (w *watch) longest() time.Duration {
	if w.settings.Poll > 0 {
		return w.settings.Poll
	}
	return maxPoll
}

// dues returns the spots that are due, and marks them as busy.
func (w *watch) dues() []*spot {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	var due []*spot
	for _, s := range w.spots {
		if s.due.Sub(now) > w.longest() {
			s.due = now // the clock was set back
		}
		if !s.busy && !now.Before(s.due) {
			s.busy = true
			due = append(due, s)
		}
	}
	slices.SortFunc(due, func(a, b *spot) int { return b.span.To.Compare(a.span.To) })
	return due
}

// poll looks at a place once. The error ends the run.
func (w *watch) poll(ctx context.Context, s *spot) error {
	w.mu.Lock()
	from, now := s.span.To, w.now()
	switch {
	case from.IsZero():
	case !s.looked || now.Before(s.deepAt):
		if s.last.After(from) {
			from = s.last
		}
		from = from.Add(-recent)
	default:
		from = from.Add(-deep)
		s.deepAt = now.Add(deepEvery)
	}
	if !s.span.Whole && from.Before(s.span.From) {
		from = s.span.From
	}
	first := !s.looked
	w.mu.Unlock()
	after := ""
	if !from.IsZero() {
		after = s.after(from)
	}
	p := &pass{w: w, spot: s, ended: func(p *pass) { w.advance(p) }}
	listed, err := p.list(ctx, s.prefix, after, time.Time{}, w.c.live)
	if err != nil {
		return err
	}
	w.after(s, p, first, listed)
	return nil
}

// after notes how a look at a place went, and when it is due again.
func (w *watch) after(s *spot, p *pass, first bool, err error) {
	if err != nil {
		w.fail(w.store.URL(s.prefix), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	s.busy, s.err = false, err
	if err != nil {
		if s.fails++; s.fails == 1 {
			w.c.opts.Log.Warn("place can't be listed", "source", w.name, "place", w.store.URL(s.prefix), "cause", err)
		}
		s.due = now.Add(max(backoff(s.fails), min(minPoll, w.longest())))
	} else {
		s.fails, s.looked = 0, true
		if p.newest.After(s.last) {
			s.last = p.newest
		}
		if p.fresh {
			s.fresh = now
		}
		s.due = now.Add(min(max(now.Sub(s.fresh)/2, minPoll), w.longest()))
		if first && !s.span.To.IsZero() {
			s.due = now // for what came late
		}
	}
	w.summary(now)
}

// summary brings the source's status up to date.
func (w *watch) summary(now time.Time) {
	ready, cause := true, error(nil)
	for _, s := range w.spots {
		ready = ready && (s.looked || s.err != nil)
		if s.err != nil && (cause == nil || s.err.Error() < cause.Error()) {
			cause = s.err
		}
	}
	w.c.status(w.source, func(s *SourceStatus) {
		s.Looked, s.Error, s.Listings = now, "", object.Listings(w.store)
		s.Ready = s.Ready || ready
		if cause != nil {
			s.Error, s.Failed = cause.Error(), now
		}
	})
}

// advance moves the end of a spot's span, after all that a look found was dealt with: up to the last log file, or to
// before the first that isn't in the lake.
func (w *watch) advance(p *pass) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, to := p.spot, p.newest
	hole := p.hole
	for _, t := range s.holes {
		if !t.Before(s.span.From) { // the others keep their months from being done
			hole, _ = widen(hole, hole, t, t)
		}
	}
	if !hole.IsZero() && !hole.After(to) {
		to = hole.Add(-time.Minute)
	}
	if p.broken || !to.After(s.span.To) {
		return
	}
	if s.span.To.IsZero() { // there was nothing when it was found
		if to.Before(p.oldest) {
			return
		}
		s.span.From, s.span.Whole = p.oldest, true
	}
	s.span.To, w.dirty = to, true
}

// backfill reads back what lies before the first look. What couldn't be read is tried again after a while.
func (w *watch) backfill(ctx context.Context) error {
	for {
		w.learnMonths(ctx)
		if err := w.backfillAll(ctx); err != nil {
			return err
		}
		retry := time.NewTimer(exploreEvery)
		select {
		case <-w.wake:
		case <-retry.C:
			w.mu.Lock()
			for _, s := range w.spots {
				for _, m := range s.months {
					m.running = m.running && !m.failed
					m.failed = false
				}
			}
			w.mu.Unlock()
		case <-ctx.Done():
		}
		retry.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// learnMonths finds the months of places that a cursor told of.
func (w *watch) learnMonths(ctx context.Context) {
	w.mu.Lock()
	var unknown []*spot
	for _, s := range w.spots {
		if s.months == nil && s.span.known() && !s.span.Whole {
			unknown = append(unknown, s)
		}
	}
	w.mu.Unlock()
	for _, s := range unknown {
		months, _, err := s.place.months(ctx, w.store, w.now().Add(ahead))
		if err != nil {
			w.fail(w.store.URL(s.prefix), err)
			continue
		}
		w.back(s.prefix, months)
	}
}

// backfillAll reads back all months known, the latest first.
func (w *watch) backfillAll(ctx context.Context) error {
	for {
		s, m := w.nextMonth()
		if s == nil {
			return ctx.Err()
		}
		p := &pass{w: w, spot: s, ended: func(p *pass) {
			w.mu.Lock()
			defer w.mu.Unlock()
			failed := p.broken || !p.hole.IsZero()
			m.done, m.failed = !failed, failed
			w.read(s)
		}}
		w.mu.Lock()
		until := s.span.From
		w.mu.Unlock()
		listed, err := p.list(ctx, s.month(m.start), "", until, w.c.jobs)
		if err != nil {
			return err
		}
		if listed != nil {
			w.fail(w.store.URL(s.month(m.start)), listed)
		}
	}
}

// nextMonth returns the latest month that isn't being read yet.
func (w *watch) nextMonth() (*spot, *monthly) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var at *spot
	var next *monthly
	for _, s := range w.spots {
		for _, m := range s.months {
			if m.running {
				continue
			}
			if next == nil || m.start.After(next.start) || m.start.Equal(next.start) && s.prefix < at.prefix {
				at, next = s, m
			}
			break
		}
	}
	if next != nil {
		next.running = true
	}
	return at, next
}

// save keeps the cursor.
func (w *watch) save(ctx context.Context) error {
	w.mu.Lock()
	if w.cursor == nil || !w.dirty {
		w.mu.Unlock()
		return nil
	}
	w.dirty = false
	c := &cursor{Version: cursorVersion, Source: w.cursor.Source, Spans: map[string]*cursorSpan{}}
	for prefix, s := range w.spots {
		if s.span.known() {
			span := *s.span
			c.Spans[w.store.URL(prefix)] = &span
		}
	}
	w.mu.Unlock()
	err := w.saveCursor(ctx, c)
	if err != nil {
		w.mu.Lock()
		w.dirty = true
		w.mu.Unlock()
	}
	return err
}

// pass is one listing of keys of a place, and what becomes of the log files it found.
type pass struct {
	w     *watch
	spot  *spot
	ended func(*pass) // once all is dealt with
	sweep bool

	mu             sync.Mutex
	open           int       // log files handed on and not dealt with, and one for the listing
	broken         bool      // the listing is
	hole           time.Time // of the first log file that isn't in the lake
	fresh          bool
	oldest, newest time.Time
}

// list hands on the log files with a prefix whose keys are greater than after and whose times are before until, unless
// that is zero. listed is the listing's error.
func (p *pass) list(ctx context.Context, prefix, after string, until time.Time, lane chan<- job) (listed, err error) {
	p.open = 1
	w, limit, keys := p.w, p.w.now().Add(ahead), 0
	for info, err := range w.store.List(ctx, prefix, after) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			p.mu.Lock()
			p.broken = true
			p.mu.Unlock()
			p.deal(nil, nil)
			return err, nil
		}
		if keys++; p.sweep && keys%sweepKeys == 0 && !sleep(ctx, sweepPace) {
			return nil, ctx.Err()
		}
		j := job{source: w.source, store: w.store, info: info, url: w.store.URL(info.Key)}
		if p.sweep && info.Key > p.spot.after(until) {
			break
		}
		if classify(&j) == isOther || !until.IsZero() && !j.key.Time.Before(until) {
			continue
		}
		p.see(j, limit)
		if err := w.c.offer(ctx, lane, j, func(err error) { p.deal(&j, err) }); err != nil {
			return nil, err
		}
	}
	p.deal(nil, nil)
	return nil, nil
}

// see notes a key that was listed.
func (p *pass) see(j job, limit time.Time) {
	p.mu.Lock()
	p.open++
	if t := j.key.Time; !t.IsZero() && t.Before(limit) { // a key of a far future would hide all that comes
		p.oldest, p.newest = widen(p.oldest, p.newest, t, t)
	}
	p.mu.Unlock()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if j.info.Key > p.spot.high {
		p.spot.high, p.fresh = j.info.Key, true
	}
}

// deal notes that a log file is dealt with; nil stands for the listing.
func (p *pass) deal(j *job, err error) {
	if j != nil {
		p.w.mu.Lock()
		switch key := j.info.Key; {
		case err == nil:
			delete(p.spot.holes, key)
		case !errors.Is(err, errLater):
			if p.spot.holes == nil {
				p.spot.holes = map[string]time.Time{}
			}
			p.spot.holes[key] = j.key.Time
		}
		p.w.mu.Unlock()
	}
	p.mu.Lock()
	p.open--
	if err != nil {
		p.hole, _ = widen(p.hole, p.hole, j.key.Time, j.key.Time)
	}
	last := p.open == 0
	p.mu.Unlock()
	if last {
		p.ended(p)
	}
}
