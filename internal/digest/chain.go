package digest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

const (
	defaultPeriod = time.Hour      // of a digest
	longestPeriod = 24 * time.Hour // that is believed
	spill         = time.Hour      // after Options.To, for log files delivered late
	window        = 8              // digests read ahead
	maxMissing    = 10000          // findings for one gap; the last stands for the rest
)

// chainName tells the chains of a place apart.
type chainName struct {
	trail, home string
	backfill    bool
}

// A chain is the digests of one trail, walked from the newest to the oldest.
type chain struct {
	place *place
	name  chainName
	files *sync.WaitGroup

	head *Head     // that an earlier verification left; nil if none did
	next *Head     // that this one leaves
	stop time.Time // log files of digests that end then or before are not read again

	beyond  bool          // there are digests after the range
	period  time.Duration // that digests have
	periods []period      // what the digests cover, newest first

	mu      sync.Mutex // files being hashed report under it
	summary Chain
}

// A period is what is known of a stretch of time.
type period struct {
	from, to time.Time
	verdict  Verdict
	reason   string
}

// node is a digest as it was read, and what became of it.
type node struct {
	listed
	bucket   string
	body     []byte // nil once its log files are taken over
	digest   *Digest
	hash     string
	meta     map[string]string
	trailing int64
	err      error
	layout   layout
	start    time.Time // of its period, see chain.span
	carried  string    // the signature of it that the next digest carries, if it holds
	verdict  Verdict
	reason   string
}

// verify walks the chain. The log files it names may still be hashed when it returns.
func (c *chain) verify(ctx context.Context, list []listed) error {
	v := c.place.v
	c.head = v.headOf(c.id())
	c.period = usual(list)
	c.tail(list)
	carrier, list, anchor := c.cut(list)
	list, anchor = c.resume(list, anchor)
	if len(list) == 0 {
		return nil
	}
	oldest, newest := list[len(list)-1].key.Time, list[0].key.Time
	c.place.keysFrom, c.place.keysTo = oldest.Add(-longestPeriod), newest.Add(2*time.Hour)
	if v.ring.source == nil && !v.ring.has(c.place.region) {
		c.found(Finding{Kind: KeysAbsent, Detail: "no public keys were given: signatures were not checked"})
	}
	if c.name.backfill {
		c.found(Finding{Kind: Backfill, Count: int64(len(list)), Detail: "digests made later, of log files that earlier digests lack"})
	}
	var newer *node
	if carrier != nil {
		newer = c.load(ctx, v.src.Bucket(), *carrier)
		if _, err := c.examine(ctx, newer, nil); err != nil {
			return err
		}
		c.span(newer)
	}
	loaded, stop := c.readAhead(ctx, list)
	defer stop()
	for cur := range loaded {
		var err error
		if newer, err = c.step(ctx, newer, cur); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if anchor == nil && !c.stop.IsZero() && newer != nil && !newer.key.Time.After(c.stop) {
		return nil // what lies before was verified earlier
	}
	var end *node
	if anchor != nil {
		end = &node{listed: *anchor}
	}
	_, _, err := c.reach(ctx, newer, end)
	return err
}

// readAhead reads digests, several at a time, and gives them in order.
func (c *chain) readAhead(ctx context.Context, list []listed) (<-chan *node, func()) {
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan chan *node, window)
	out := make(chan *node)
	var group sync.WaitGroup
	group.Go(func() {
		defer close(queue)
		for _, l := range list {
			one := make(chan *node, 1)
			select {
			case queue <- one:
				group.Go(func() { one <- c.load(ctx, c.place.v.src.Bucket(), l) })
			case <-ctx.Done():
				return
			}
		}
	})
	group.Go(func() {
		defer close(out)
		for one := range queue {
			select {
			case out <- <-one:
			case <-ctx.Done():
			}
		}
	})
	return out, func() { cancel(); group.Wait() }
}

// load reads one digest. Whatever goes wrong is in the node.
func (c *chain) load(ctx context.Context, bucket string, l listed) *node {
	n := &node{listed: l, bucket: bucket}
	release, err := c.place.v.slot(ctx)
	if err != nil {
		n.err = &readError{err}
		return n
	}
	defer release()
	file, meta, err := c.place.v.src.Open(ctx, bucket, l.path)
	if err != nil {
		n.err = &readError{err}
		return n
	}
	defer file.Close()
	var body bytes.Buffer
	_, n.trailing, n.err = c.place.v.zips.inflate(&body, file, MaxDigest, c.place.v.copied)
	if n.err != nil {
		return n
	}
	n.meta, n.body, n.hash = meta, body.Bytes(), Hash(body.Bytes())
	n.digest, n.err = Decode(n.body)
	if n.digest != nil && c.place.v.copied {
		n.layout = layoutOf(n.digest.DigestS3Object, l.path)
	}
	return n
}

// span sets the start of the digest's period: what a sound digest says, and otherwise what the chain's digests have.
func (c *chain) span(n *node) {
	n.start = n.key.Time.Add(-c.period)
	if n.verdict != Verified {
		return
	}
	n.start, _ = n.digest.Start() // Decode has read it
	if p := n.key.Time.Sub(n.start); p > 0 && p <= longestPeriod {
		c.period = p
	}
}

// absent tells whether the digest isn't there.
func (n *node) absent() bool { return errors.Is(n.err, fs.ErrNotExist) }

// step takes the next listed digest, and returns the one with which to look at the one after it.
func (c *chain) step(ctx context.Context, newer, cur *node) (*node, error) {
	newer, linked, err := c.reach(ctx, newer, cur)
	if err != nil {
		return nil, err
	}
	stray := newer != nil && !linked && newer.verdict != Failed && newer.digest.PreviousDigestS3Object != "" &&
		!c.linkTime(newer).After(cur.key.Time)
	witness := newer
	if !linked {
		witness = nil
	}
	findings, err := c.examine(ctx, cur, witness)
	if err != nil {
		return nil, err
	}
	if stray && cur.verdict != Failed {
		findings = append(findings, Finding{
			Kind: ChainBroken, Key: cur.path, Digest: newer.path, Expected: newer.digest.PreviousDigestS3Object,
			Detail: "the next digest names another one as its predecessor",
		})
	}
	c.settle(ctx, cur, findings)
	if stray {
		return newer, nil
	}
	return cur, nil
}

// linkTime returns the end of the period of the digest that n names as its predecessor.
func (c *chain) linkTime(n *node) time.Time {
	if key, ok := cloudtrail.ParseKey(n.digest.PreviousDigestS3Object); ok && key.Kind == cloudtrail.KindDigest {
		return key.Time
	}
	return n.start
}

// reach goes from one digest to the next listed one, nil if there is none: it takes in digests that are named but were
// not listed, and reports those that are missing between. It returns the digest that comes after cur, and whether that
// names cur.
func (c *chain) reach(ctx context.Context, newer, cur *node) (*node, bool, error) {
	for newer != nil {
		if newer.verdict == Failed { // what it names is not believed, but it may carry cur's signature
			c.missing(newer, cur, newer.start, "")
			return newer, cur != nil && newer.names(cur), nil
		}
		link := newer.digest.Previous()
		if link.Key == "" {
			c.started(newer, cur)
			return newer, false, nil
		}
		here := c.place.v.copied || link.Bucket == c.place.v.src.Bucket()
		at := c.linkTime(newer)
		switch {
		case cur != nil && here && newer.names(cur):
			return newer, true, nil
		case cur != nil && !at.After(cur.key.Time):
			return newer, false, nil
		case c.before(at):
			return newer, false, nil
		case !c.mayOpen(newer, link.Bucket):
			return newer, false, nil
		case !at.Before(newer.key.Time): // a chain never goes forward: don't go round in a circle
			return newer, false, nil
		}
		path := newer.layout.path(link.Key)
		key, _ := cloudtrail.ParseKey(path)
		key.Time = at
		extra := c.load(ctx, link.Bucket, listed{path, key})
		if extra.absent() {
			c.missing(newer, cur, at, path)
			return newer, false, nil
		}
		findings, err := c.examine(ctx, extra, newer)
		if err != nil {
			return nil, false, err
		}
		c.settle(ctx, extra, findings)
		newer = extra
	}
	return nil, false, nil
}

// names tells whether n names older as its predecessor.
func (n *node) names(older *node) bool {
	return n.digest != nil && plainName(n.layout.path(n.digest.PreviousDigestS3Object)) == plainName(older.path)
}

// plainName is a path without ".gz", which a copy may have lost.
func plainName(path string) string { return strings.TrimSuffix(path, ".gz") }

// started notes that a chain begins at n, and again if there are older digests.
func (c *chain) started(n, older *node) {
	if older != nil && c.explained(n, older) {
		return
	}
	if older == nil {
		c.found(Finding{Kind: ChainStarted, Key: n.path, From: n.start, Detail: "the first digest: it has no predecessor"})
		return
	}
	c.found(Finding{
		Kind: ChainRestarted, Key: n.path, From: older.key.Time, To: n.start,
		Detail: "logging or log file validation was stopped and started again: nothing tells what was delivered between",
	})
}

// missing reports the digests between newer and cur, the newest of which ended at end; path is that one's, if newer
// names it.
func (c *chain) missing(newer, cur *node, end time.Time, path string) {
	if c.place.v.opts.Excerpt {
		return
	}
	for n := 0; ; n++ {
		if n > 0 || path == "" {
			if cur == nil || c.name.backfill || !end.After(cur.key.Time.Add(c.period/2)) {
				return // backfill digests don't follow one another without gaps
			}
			path = c.pathAt(newer, end)
		}
		f := Finding{
			Kind: DigestMissing, Key: path, Digest: newer.path, From: end.Add(-c.period), To: end, end: end,
			Detail: "the digest of this period is not there",
		}
		if n == maxMissing {
			f.From, f.Count = cur.key.Time, int64(end.Sub(cur.key.Time)/c.period)
		}
		if !c.after(end) && !c.before(end) {
			c.found(f)
			c.count(Failed)
			c.periods = append(c.periods, period{f.From, f.To, Failed, string(DigestMissing)})
		}
		if n == maxMissing {
			return
		}
		end = end.Add(-c.period)
	}
}

// before tells whether a digest that ended then lies before the range.
func (c *chain) before(end time.Time) bool {
	from := c.place.v.opts.From
	return !from.IsZero() && end.Before(from)
}

// after tells whether a digest that ended then lies after the range.
func (c *chain) after(end time.Time) bool {
	to := c.place.v.opts.To
	return !to.IsZero() && end.After(to.Add(spill))
}

// pathAt returns the path of a digest beside n that ends at another time.
func (c *chain) pathAt(n *node, end time.Time) string {
	key := n.key
	key.Time = end
	_, at := where(n.path, n.key)
	if at.dated {
		return at.path + end.UTC().Format("2006/01/02/") + key.Name()
	}
	return at.path + key.Name()
}

// settle enters a digest into the report and sees to its log files.
func (c *chain) settle(ctx context.Context, n *node, findings []Finding) {
	if n.trailing > 0 && n.verdict != Failed {
		findings = append(findings, Finding{Kind: DigestTrailing, Key: n.path, Count: n.trailing, Detail: "bytes follow the gzip member"})
	}
	for i := range findings {
		findings[i].end = n.key.Time
	}
	c.found(findings...)
	c.count(n.verdict)
	c.span(n)
	c.compareHead(n)
	if n.verdict != Failed {
		c.covers(n.start, n.key.Time)
	}
	// Where a digest that proves nothing was taken to begin too early, a sound one knows better.
	if last := len(c.periods) - 1; last >= 0 && c.periods[last].verdict != Verified && c.periods[last].from.Before(n.key.Time) {
		c.periods[last].from = n.key.Time
	}
	c.periods = append(c.periods, period{n.start, n.key.Time, n.verdict, n.reason})
	c.tellDigest(n)
	c.logFiles(ctx, n)
	n.body = nil
}

// tellDigest passes a digest's verdict on.
func (c *chain) tellDigest(n *node) {
	v := c.place.v
	if v.opts.Digest == nil || n.absent() {
		return
	}
	meta := maps.Clone(n.meta)
	if meta[MetaSignature] == "" && n.carried != "" {
		meta = map[string]string{MetaSignature: n.carried, MetaSignatureAlgorithm: SignatureAlgorithm}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.opts.Digest(DigestVerdict{
		Path: n.path, Organization: c.place.organization, Account: c.place.account, Region: c.place.region,
		Trail: c.name.trail, HomeRegion: c.name.home, Backfill: c.name.backfill, Start: n.start, End: n.key.Time,
		Verdict: n.verdict, Reason: n.reason, Digest: n.digest, Metadata: meta,
	})
}

func (c *chain) covers(from, to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.summary.From.IsZero() || from.Before(c.summary.From) {
		c.summary.From = from
	}
	if to.After(c.summary.To) {
		c.summary.To = to
	}
}

func (c *chain) count(v Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.summary.Digests.count(v)
}

func (c *chain) found(findings ...Finding) {
	for i := range findings {
		findings[i].Trail = c.name.trail
	}
	c.place.found(findings...)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range findings {
		if f.Kind.severity() == SeverityFinding {
			c.summary.Findings++
		}
	}
}

// close adds the chain to the report, when all its files are hashed.
func (c *chain) close() {
	s := c.summary
	if s.Digests.Total == 0 {
		return
	}
	p := c.place
	s.Organization, s.Account, s.Region = p.organization, p.account, p.region
	s.Trail, s.HomeRegion, s.Backfill, s.Since = c.name.trail, c.name.home, c.name.backfill, c.stop
	p.v.mu.Lock()
	defer p.v.mu.Unlock()
	p.v.report.Chains = append(p.v.report.Chains, s)
	p.v.report.Digests.add(s.Digests)
}
