package digest

import (
	"slices"
	"strings"
	"time"
)

// overdue is how much later than a period after the newest one a digest may come before it is missed.
const overdue = 2 * time.Hour

// maxCarried is how many findings of one place a State takes along.
const maxCarried = 10000

// A State is what a verification leaves to the next one of the same source.
type State struct {
	Heads    []Head      `json:"heads"`
	Findings []Finding   `json:"findings,omitempty"` // those before the heads
	Keys     []RegionKey `json:"-"`                  // public keys at hand
}

// A Head is the newest verified digest of a chain.
type Head struct {
	Root         string    `json:"root"` // the folder of the account's files, "" or ending in "/"
	Organization string    `json:"organization,omitempty"`
	Account      string    `json:"account"`
	Region       string    `json:"region"`
	Trail        string    `json:"trail"`
	HomeRegion   string    `json:"home_region"`
	Backfill     bool      `json:"backfill,omitempty"`
	Path         string    `json:"path"`
	Hash         string    `json:"hash"` // SHA-256 of the uncompressed content
	End          time.Time `json:"end"`
	Live         bool      `json:"live,omitempty"` // digests were coming when it was verified
}

// A RegionKey is a public key of a Region.
type RegionKey struct {
	Region string
	Key
}

// chainID tells the chains of a source apart.
type chainID struct {
	root, account, region string
	name                  chainName
}

func (h *Head) id() chainID {
	return chainID{h.Root, h.Account, h.Region, chainName{h.Trail, h.HomeRegion, h.Backfill}}
}

func (c *chain) id() chainID {
	return chainID{c.place.root, c.place.account, c.place.region, c.name}
}

// remember takes in what earlier verifications left.
func (v *verifier) remember(s *State) {
	v.heads = map[chainID]*Head{}
	if s == nil {
		return
	}
	for i := range s.Heads {
		v.heads[s.Heads[i].id()] = &s.Heads[i]
	}
	for _, k := range s.Keys {
		v.ring.add(k.Region, k.Key)
	}
}

// ranged tells whether only a part of the source's time is looked at.
func (v *verifier) ranged() bool { return !v.opts.From.IsZero() || !v.opts.To.IsZero() }

// resume decides for the place from where on its chains are read. A place whose chains were cut off is read whole.
func (p *place) resume() {
	if p.v.opts.Full || p.v.ranged() || p.v.opts.Excerpt {
		return
	}
	p.v.mu.Lock()
	defer p.v.mu.Unlock()
	var last, first time.Time // of the heads
	for id, h := range p.v.heads {
		if id.root != p.root || id.account != p.account || id.region != p.region || h.Backfill {
			continue
		}
		last = laterOf(last, h.End)
		if first.IsZero() || h.End.Before(first) {
			first = h.End
		}
	}
	if again := p.v.opts.Again; !again.IsZero() && again.Before(first) {
		first = again
	}
	if again := p.v.opts.Again; !again.IsZero() && again.Before(last) {
		last = again
	}
	if last.IsZero() {
		return
	}
	p.digestsFrom = first.Add(-longestPeriod)
	p.settled = last.Add(-late - time.Minute)
}

// anyCut tells whether one of the place's chains ends before its head.
func (p *place) anyCut() bool {
	p.v.mu.Lock()
	defer p.v.mu.Unlock()
	for id, h := range p.v.heads {
		if id.root == p.root && id.account == p.account && id.region == p.region && newestEnd(p.digests[id.name]).Before(h.End) {
			return true
		}
	}
	return false
}

// stopAt returns the end of the newest digest whose log files need not be read again; zero for none.
func (c *chain) stopAt() time.Time {
	if c.place.settled.IsZero() || c.head == nil || c.name.backfill {
		return time.Time{}
	}
	if again := c.place.v.opts.Again; !again.IsZero() && again.Before(c.head.End) {
		return again
	}
	return c.head.End
}

// resume leaves out what was verified earlier: of that remain the digests that may name log files of the minutes before
// the head. The anchor is the newest of those left out.
func (c *chain) resume(list []listed, anchor *listed) ([]listed, *listed) {
	c.stop = c.stopAt()
	if c.stop.IsZero() {
		return list, anchor
	}
	reach := c.stop.Add(-late - time.Minute)
	for i := range list {
		if i > 0 && !list[i].key.Time.After(reach) && !list[i-1].key.Time.After(c.stop) {
			return list[:i], &list[i]
		}
	}
	return list, anchor
}

// tail compares the end of the chain with its head, with pauses and with the clock.
func (c *chain) tail(list []listed) {
	v := c.place.v
	end := newestEnd(list)
	if v.opts.Excerpt || !v.opts.To.IsZero() || !v.opts.From.IsZero() && end.Before(v.opts.From) {
		return
	}
	if c.head != nil && end.Before(c.head.End) {
		c.place.cutOff(c.head, list)
		return
	}
	if len(list) == 0 || c.name.backfill || v.copied || v.opts.Now.IsZero() {
		return
	}
	last := &node{listed: list[0]}
	for _, p := range c.pauses(end, v.opts.Now) {
		if p.To.IsZero() || p.To.After(v.opts.Now) {
			c.paused(p)
			c.gap(last, last, end, p.From)
			return
		}
	}
	if v.opts.Now.Sub(end) <= max(c.period, defaultPeriod)+overdue {
		return
	}
	f := Finding{
		Kind: ChainEnded, Key: list[0].path, From: end, To: v.opts.Now,
		Detail: "no digest came after it: logging or log file validation was stopped, the trail was deleted, or newer digests were",
	}
	if c.head != nil && c.head.Live {
		f.Kind, f.Detail = DigestOverdue, "digests were coming when the source was verified before, and no event tells that logging was stopped"
	}
	c.found(f)
}

// cutOff reports that the digests of a chain end before its head.
func (p *place) cutOff(h *Head, list []listed) {
	f := Finding{
		Kind: TailCut, Trail: h.Trail, Key: h.Path, From: newestEnd(list), To: h.End, Expected: h.Path,
		Detail: "this digest was verified before; it and all that came after it are gone",
	}
	if len(list) > 0 {
		f.Found = list[0].path
	}
	p.found(f)
}

// lost reports the chains of which nothing is left.
func (v *verifier) lost(places []*place) {
	if v.opts.Excerpt || v.ranged() {
		return
	}
	there := map[chainID]bool{}
	for _, p := range places {
		for name := range p.digests {
			there[chainID{p.root, p.account, p.region, name}] = true
		}
	}
	for id, h := range v.heads {
		if !there[id] && !v.skips(id.account, id.region) {
			(&place{v: v, account: id.account, region: id.region}).cutOff(h, nil)
		}
	}
}

func (v *verifier) skips(account, region string) bool {
	return v.opts.Skip != nil && v.opts.Skip(account, region)
}

// compareHead compares a digest with the head it is, and takes the newest verified one for the next head.
func (c *chain) compareHead(n *node) {
	if h := c.head; h != nil && n.hash != "" && plainName(n.path) == plainName(h.Path) && n.hash != h.Hash {
		c.found(Finding{
			Kind: HeadChanged, Key: n.path, Expected: h.Hash, Found: n.hash, end: n.key.Time,
			Detail: "the digest had another content when it was verified before",
		})
	}
	if n.verdict != Verified || c.next != nil && !n.key.Time.After(c.next.End) {
		return
	}
	fresh := c.place.v.opts.Now.Sub(n.key.Time) <= max(c.period, defaultPeriod)+overdue
	c.next = &Head{
		Root: c.place.root, Organization: c.place.organization, Account: c.place.account, Region: c.place.region,
		Trail: c.name.trail, HomeRegion: c.name.home, Backfill: c.name.backfill,
		Path: n.path, Hash: n.hash, End: n.key.Time,
		Live: fresh || c.head != nil && c.head.Live && !c.place.v.opts.Full,
	}
}

// carry sets the place's new heads and the findings before them that the next verification takes over. Where a file
// could not be read for a reason that may pass, the heads stay, so that the next verification reads it again.
func (p *place) carry(found []Finding) {
	if p.v.opts.Excerpt || p.v.ranged() || p.troubled.Load() {
		return
	}
	ends := map[string]time.Time{}
	var last time.Time
	heads := map[chainID]*Head{}
	for _, c := range p.chains {
		h := c.next
		if h == nil || c.head != nil && h.End.Before(c.head.End) {
			h = c.head
		}
		if h != nil {
			heads[c.id()] = h
			ends[c.name.trail] = laterOf(ends[c.name.trail], h.End)
			last = laterOf(last, h.End)
		}
	}
	var carried []Finding
	for _, f := range found {
		upTo, known := ends[f.Trail]
		if f.Trail == "" {
			upTo, known = last, !last.IsZero()
		}
		if known && !f.end.IsZero() && !f.end.After(upTo) {
			carried = append(carried, f)
		}
	}
	if len(carried) > maxCarried {
		return
	}
	p.v.mu.Lock()
	defer p.v.mu.Unlock()
	for id, h := range heads {
		p.v.heads[id] = h
	}
	p.v.carried = append(p.v.carried, carried...)
}

// identity is what makes two findings the same.
func (f *Finding) identity() string {
	return strings.Join([]string{
		string(f.Kind), f.Account, f.Region, f.Trail, f.Key, f.Digest, f.From.UTC().Format(time.RFC3339),
	}, "\x00")
}

// earlier adds what earlier verifications found, and sets the report's State.
func (v *verifier) earlier(s *State) {
	next := &State{Keys: v.ring.all()}
	for _, h := range v.heads {
		next.Heads = append(next.Heads, *h)
	}
	slices.SortFunc(next.Heads, func(a, b Head) int {
		return strings.Compare(a.Path, b.Path)
	})
	known := map[string]bool{}
	for i := range v.report.Findings {
		known[v.report.Findings[i].identity()] = true
	}
	next.Findings = v.carried
	if s != nil && !v.opts.Full {
		kept := map[string]bool{}
		for i := range v.carried {
			kept[v.carried[i].identity()] = true
		}
		for _, f := range s.Findings {
			if !kept[f.identity()] {
				next.Findings = append(next.Findings, f)
			}
			if !known[f.identity()] && !v.ranged() {
				f.Earlier = true
				v.report.Findings = append(v.report.Findings, f)
			}
		}
	}
	v.report.State = next
}
