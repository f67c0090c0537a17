package digest

import (
	"context"
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// Options says what to verify. The zero value verifies all that the source holds.
type Options struct {
	Prefix string // only paths that begin with it

	// From and To choose digests by their end, and with them log files: those that ended from From until an hour after
	// To, which is when log files of To may still be delivered. Zero is without limit.
	From, To time.Time

	// Parallel is how many files are open at once; 0 is four times the processors, and at least 32.
	Parallel int

	// State is what the last verification of this source left in its report; nil if there was none. Digests that end
	// before its heads, and their log files, are not read again, unless Full is set or From or To is. In any case the
	// digests at the heads must still be there.
	State *State
	Full  bool

	// Again, if not zero, is a time from which on log files are read again, whatever State says.
	Again time.Time

	// Pauses are the times in which trails made no digests, as far as events tell. A chain that ends or begins anew
	// without one is noted as such.
	Pauses []Pause

	// Now is the time against which the newest digest of a bucket's chains is overdue; zero: it never is.
	Now time.Time

	// Excerpt means that the source holds some of the files only: that others are missing is no finding.
	Excerpt bool

	// Gunzip makes what files are inflated by; the standard library's when nil. Most of the time goes into it.
	Gunzip func() Gunzipper

	// Skip, if not nil, tells which accounts and Regions are passed over.
	Skip func(account, region string) bool

	// LogFile, if not nil, is told every log file's verdict, one call at a time. A file that several digests name is
	// told several times.
	LogFile func(FileVerdict)

	// Digest, if not nil, is told every digest's verdict, one call at a time and none while LogFile is called.
	Digest func(DigestVerdict)
}

// Verify reads the chains of a source and says what holds. Without keys (nil) no signature can be checked, and no file
// is more than unverifiable. An error means that no verdict could be reached: the source could not be listed, keys could
// not be had, or ctx ended.
func Verify(ctx context.Context, src Source, keys KeySource, opts Options) (*Report, error) {
	if opts.Parallel <= 0 {
		opts.Parallel = max(32, 4*runtime.GOMAXPROCS(0))
	}
	v := &verifier{
		src: src, opts: opts, ring: newKeyring(keys), copied: src.Bucket() == "", seed: maphash.MakeSeed(),
		open: make(chan struct{}, opts.Parallel), work: make(chan func()), zips: newInflaters(opts.Gunzip),
		report: &Report{
			From: opts.From, To: opts.To, Chains: []Chain{}, Findings: []Finding{},
		},
	}
	v.remember(opts.State)
	places, err := v.discover(ctx)
	if err != nil {
		return nil, err
	}
	if err := v.all(ctx, places); err != nil {
		return nil, err
	}
	v.lost(places)
	v.earlier(opts.State)
	v.report.sort()
	return v.report, nil
}

// verifier is one verification. What is under mu is shared by the goroutines of all places.
type verifier struct {
	src    Source
	opts   Options
	ring   *keyring
	copied bool
	seed   maphash.Seed
	zips   *inflaters
	open   chan struct{} // a slot for each file that may be open
	work   chan func()   // log files to hash; who sends has a slot

	mu      sync.Mutex
	report  *Report
	heads   map[chainID]*Head
	carried []Finding
}

// headOf returns what an earlier verification left of a chain, or nil.
func (v *verifier) headOf(id chainID) *Head {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.heads[id]
}

// all verifies the places, several at a time, and returns the first error.
func (v *verifier) all(ctx context.Context, places []*place) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Goroutines that have hashed a file have the stack that the next one needs.
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(v.work)
	for range v.opts.Parallel {
		workers.Go(func() {
			for hash := range v.work {
				hash()
			}
		})
	}
	var group sync.WaitGroup
	next := make(chan *place)
	for range min(v.opts.Parallel, len(places)) {
		group.Go(func() {
			for p := range next {
				if err := p.verify(ctx); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, p := range places {
		if ctx.Err() != nil {
			break
		}
		next <- p
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}

// slot takes the right to open a file; the caller gives it back by calling the function.
func (v *verifier) slot(ctx context.Context) (release func(), err error) {
	select {
	case v.open <- struct{}{}:
		return func() { <-v.open }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A folder is where a place's files of one kind rest.
type folder struct {
	path  string // "" or ending in "/"
	dated bool   // files rest in YYYY/MM/DD/ below, and nothing else does
}

// A place is one account and Region under one root.
type place struct {
	v               *verifier
	root            string
	organization    string
	account, region string
	folders         map[cloudtrail.Kind][]folder
	digests         map[chainName][]listed
	named           map[uint64]struct{}          // hashes of the log file paths that digests name
	kinds           map[cloudtrail.Kind]struct{} // of log files that sound digests name
	chains          []*chain
	keysFrom        time.Time // of the digests being verified
	keysTo          time.Time
	digestsFrom     time.Time   // digests are listed from then on
	settled         time.Time   // log files named before need no judgement; see State
	troubled        atomic.Bool // a file could not be read
	remarks         []Finding   // what was found here
}

// discover finds the places. It asks for one file of each folder laid out as CloudTrail does, and lists all files of others.
func (v *verifier) discover(ctx context.Context) ([]*place, error) {
	places := places{v: v, byName: map[placeName]*place{}}
	for after := ""; ; {
		next, err := v.first(ctx, after)
		if err == nil && next != "" {
			if next = places.enter(next); next == "" {
				next, err = places.enterAll(ctx, after)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("listing: %w", err)
		}
		if next == "" {
			return places.order, nil
		}
		after = next
	}
}

// first returns the first path after one, "" if there is none.
func (v *verifier) first(ctx context.Context, after string) (string, error) {
	if src, ok := v.src.(interface {
		First(ctx context.Context, prefix, after string) (string, error)
	}); ok {
		return src.First(ctx, v.opts.Prefix, after)
	}
	for path, err := range v.src.List(ctx, v.opts.Prefix, after) {
		return path, err
	}
	return "", nil
}

type placeName struct{ root, account, region string }

// places are the places found so far.
type places struct {
	v      *verifier
	byName map[placeName]*place
	order  []*place
}

// enterAll enters the files after one, up to the first in a dated folder. It returns the end of that, "" if there is none.
func (ps *places) enterAll(ctx context.Context, after string) (past string, err error) {
	for path, err := range ps.v.src.List(ctx, ps.v.opts.Prefix, after) {
		if err != nil {
			return "", err
		}
		if past := ps.enter(path); past != "" {
			return past, nil
		}
	}
	return "", nil
}

// enter enters the folder that a file lies in. If that is a dated one, it returns its end: no path in it is greater.
func (ps *places) enter(path string) (past string) {
	key, ok := cloudtrail.ParseKey(path)
	if !ok {
		return ""
	}
	root, at := where(path, key)
	if at.dated {
		past = strings.TrimSuffix(at.path, "/") + "0" // "0" follows "/"
	}
	if ps.v.skips(key.Account, key.Region) {
		return past
	}
	n := placeName{root, key.Account, key.Region}
	p := ps.byName[n]
	if p == nil {
		p = &place{
			v: ps.v, root: root, organization: key.Organization, account: key.Account, region: key.Region,
			folders: map[cloudtrail.Kind][]folder{}, digests: map[chainName][]listed{},
			named: map[uint64]struct{}{}, kinds: map[cloudtrail.Kind]struct{}{},
		}
		ps.byName[n] = p
		ps.order = append(ps.order, p)
	}
	if !slices.Contains(p.folders[key.Kind], at) {
		p.folders[key.Kind] = append(p.folders[key.Kind], at)
	}
	return past
}

// where returns the root of a file's place and the folder of its kind: "…/KIND/REGION/" if it lies in dated folders
// below, and otherwise the folder it lies in.
func where(path string, key cloudtrail.Key) (root string, at folder) {
	dir := path[:strings.LastIndexByte(path, '/')+1]
	if undated, ok := strings.CutSuffix(dir, key.Time.UTC().Format("2006/01/02/")); ok {
		if root, ok := strings.CutSuffix(undated, string(key.Kind)+"/"+key.Region+"/"); ok {
			return root, folder{undated, true}
		}
	}
	return dir, folder{dir, false}
}

// list calls f with the files of a folder that belong to the place, from a day on until one; zero is without limit.
// Names that CloudTrail doesn't give come with a zero key.
func (p *place) list(ctx context.Context, at folder, from, to time.Time, f func(string, cloudtrail.Key)) error {
	after, last := "", ""
	if at.dated && !from.IsZero() {
		after = at.path + from.UTC().Format("2006/01/02")
	}
	if at.dated && !to.IsZero() {
		last = at.path + to.UTC().Format("2006/01/02") + "0"
	}
	for path, err := range p.v.src.List(ctx, p.scope(at), after) {
		if err != nil {
			return fmt.Errorf("listing: %w", err)
		}
		if last != "" && path > last {
			return nil
		}
		key, ok := cloudtrail.ParseKey(path)
		switch _, there := where(path, key); {
		case ok && there == at && key.Account == p.account && key.Region == p.region:
			f(path, key)
		case !ok && at.dated:
			f(path, cloudtrail.Key{})
		}
	}
	return nil
}

// scope is the folder's path, or the prefix asked for if that lies within.
func (p *place) scope(at folder) string {
	if strings.HasPrefix(p.v.opts.Prefix, at.path) {
		return p.v.opts.Prefix
	}
	return at.path
}

func (p *place) verify(ctx context.Context) error {
	if err := p.listDigests(ctx); err != nil {
		return err
	}
	logs, stop := p.listLogs(ctx)
	defer stop()
	var files sync.WaitGroup // the log files being hashed
	defer files.Wait()
	for name, list := range p.digests {
		c := &chain{place: p, name: name, files: &files}
		p.chains = append(p.chains, c)
		if err := c.verify(ctx, list); err != nil {
			return err
		}
	}
	if err := p.unnamed(logs); err != nil {
		return err
	}
	files.Wait()
	for _, c := range p.chains {
		c.close()
	}
	p.carry(p.remarks)
	return context.Cause(ctx)
}

// found adds findings to the report.
func (p *place) found(findings ...Finding) {
	p.v.mu.Lock()
	defer p.v.mu.Unlock()
	for _, f := range findings {
		f.Account, f.Region, f.Severity = p.account, p.region, f.Kind.severity()
		if f.Kind == LogFileUnreadable {
			p.troubled.Store(true)
		}
		if f.Severity == SeverityFinding {
			p.remarks = append(p.remarks, f)
		}
		p.v.report.Findings = append(p.v.report.Findings, f)
	}
}

// tell counts a log file and passes its verdict on.
func (v *verifier) tell(f FileVerdict, size int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.LogFiles.count(f.Verdict)
	v.report.Bytes += size
	if v.opts.LogFile != nil {
		v.opts.LogFile(f)
	}
}
