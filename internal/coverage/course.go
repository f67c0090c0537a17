package coverage

import (
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// course is a trail at a place through time.
type course struct {
	trail   Trail
	on      known  // logging
	sets    known  // selectors
	arrived []Span // covered, pending, gap, unknown
	reaches func(t time.Time) (yes, sure bool)
	arrives bool // there are digests of it
	history bool // it is no trail, but the event history
}

// by says what tells of a time.
func (c *course) by() string {
	if c.history {
		return "event history"
	}
	return "trail " + c.trail.Name
}

// courses returns the trails that may record at a place.
func (f *Facts) courses(p Place) []*course {
	trails := f.History.Trails()
	for _, a := range f.Arrived {
		for _, c := range a.Chains {
			t := Trail{c.Account, c.HomeRegion, c.Trail}
			known := slices.ContainsFunc(trails, func(o Trail) bool {
				return o == t || c.Organization != "" && o.Name == t.Name && o.HomeRegion == t.HomeRegion
			})
			if !known && (Place{c.Account, c.Region}) == p {
				trails = append(trails, t)
			}
		}
	}
	var list []*course
	for _, t := range trails {
		if f.History.trails[t] != nil && !f.collected(t) {
			continue
		}
		if c := f.course(t, p); c != nil {
			list = append(list, c)
		}
	}
	for _, r := range f.Read {
		if r.Place == p {
			list = append(list, f.told(r))
		}
	}
	return list
}

// Of the event history.
const (
	historyLate  = 15 * time.Minute // after which an event is there, as AWS says
	historyStale = 3 * time.Hour    // after which what may still come is said to be unknown
)

// told is what the event history tells of a place.
func (f *Facts) told(r Read) *course {
	c := &course{history: true}
	sure := later(r.From, r.To.Add(-historyLate))
	c.arrived = appendSpan(nil, Span{From: r.From, To: sure, State: Covered})
	if f.Now.Sub(r.To) < historyStale {
		c.arrived = appendSpan(c.arrived, Span{From: sure, To: f.Now, State: Pending, Note: "the event history may not have it yet"})
	}
	return c
}

// course follows a trail at a place; nil when it never recorded there.
func (f *Facts) course(t Trail, p Place) *course {
	settings := f.History.trails[t]
	if settings == nil {
		settings = new([numSettings][]point)
	}
	since := f.since(t)
	c := &course{trail: t, on: follow(settings[logging], since), sets: follow(settings[selectors], since)}
	for _, chain := range f.chains(t, p) {
		c.on = c.on.resumed(chain)
	}
	off := func(at time.Time) bool { on, ok := c.on.at(at).is.(bool); return ok && !on }
	organization := false
	chains := f.chains(t, p)
	var newest time.Time
	for _, chain := range chains {
		newest = later(newest, chain.end())
	}
	slices.SortStableFunc(chains, func(a, b *Chain) int { return f.verified(b).Compare(f.verified(a)) })
	for _, chain := range chains {
		organization = organization || chain.Organization != ""
		spans := chain.arrival(f.verified(chain), f.Now, off)
		if end := chain.end(); end.Before(newest) { // of what came since, a source that was verified less far tells nothing
			spans = until(spans, end.Add(-chain.settling()))
		}
		if c.arrives {
			spans = merged(c.arrived, spans)
		}
		c.arrived, c.arrives = spans, true
	}
	multi, org, bucketThen := follow(settings[multiRegion], since), follow(settings[organizationSetting], since), follow(settings[bucket], since)
	c.reaches = func(at time.Time) (yes, sure bool) {
		if c.arrives {
			return true, true
		}
		if name, ok := bucketThen.at(at).is.(string); ok && len(f.Buckets) > 0 && !slices.Contains(f.Buckets, name) {
			return false, true
		}
		yes, sure = true, true
		if p.Account != t.Account {
			o, known := org.at(at).is.(bool)
			yes, sure = o, known
		}
		if p.Region != t.HomeRegion && yes {
			m, known := multi.at(at).is.(bool)
			yes, sure = yes && m, sure && known
		}
		return yes, sure
	}
	if p.Account != t.Account && !organization && !slices.ContainsFunc(settings[organizationSetting], func(p point) bool { return p.is == true }) {
		return nil
	}
	return c
}

// chains returns the chains of a trail's digests at a place; several sources may have them.
func (f *Facts) chains(t Trail, p Place) []*Chain {
	var list []*Chain
	for _, a := range f.Arrived {
		for _, c := range a.Chains {
			ours := c.Account == t.Account || c.Organization != ""
			if ours && c.Trail == t.Name && c.HomeRegion == t.HomeRegion && (Place{c.Account, c.Region}) == p {
				list = append(list, c)
			}
		}
	}
	return list
}

// verified is when the source of a chain was last verified.
func (f *Facts) verified(c *Chain) time.Time {
	for _, a := range f.Arrived {
		if slices.Contains(a.Chains, c) {
			return a.Verified
		}
	}
	return time.Time{}
}

// resumed ends stops of logging where digests begin anew: what made a trail log again may have been recorded nowhere.
func (k known) resumed(c *Chain) known {
	var out known
	for _, s := range k {
		if s.is == false {
			for _, d := range c.Spans {
				if d.From.After(s.from) && (s.to.IsZero() || d.From.Before(s.to)) && (d.State == Covered || d.State == Gap) {
					stop := s
					stop.to = d.From
					out = append(out, stop)
					s.from, s.value = d.From, value{true, "digests began"}
					break
				}
			}
		}
		out = append(out, s)
	}
	return out
}

// since is from when on the lake would have the events of changes to a trail: those come in its home Region.
func (f *Facts) since(t Trail) time.Time {
	var first time.Time
	take := func(at time.Time) {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	for _, p := range f.Files {
		if p.Account == t.Account && p.Region == t.HomeRegion {
			take(p.First)
		}
	}
	for _, a := range f.Arrived {
		for _, c := range a.Chains {
			if c.Account == t.Account && c.Region == t.HomeRegion && len(c.Spans) > 0 {
				take(c.Spans[0].From)
			}
		}
	}
	return first
}

// merged takes the better of two courses at each time; a gap, or that nothing tells, stands against what was pending when the
// second was looked at, before the first.
func merged(a, b []Span) []Span {
	var out []Span
	var times []time.Time
	for _, s := range append(slices.Clone(a), b...) {
		times = append(times, s.From, s.To)
	}
	slices.SortFunc(times, time.Time.Compare)
	times = slices.CompactFunc(times, time.Time.Equal)
	for i := 1; i < len(times); i++ {
		x, _ := at(a, times[i-1])
		y, _ := at(b, times[i-1])
		if (x.State == Gap || x.State == Unknown) && y.State == Pending {
			y = Span{}
		}
		if s := better(x, y); s.State != 0 {
			s.From, s.To = times[i-1], times[i]
			out = appendSpan(out, s)
		}
	}
	return out
}

// extentsOf tells how many events of a kind each of the selectors of each course chooses, and writes it as a text.
func extentsOf(courses []*course, k *Kind) (extents [][]Extent, signature string) {
	var b strings.Builder
	for _, c := range courses {
		if c.history {
			e := historyExtent(k)
			extents = append(extents, []Extent{e})
			b.WriteString(string('0'+rune(e)) + "|")
			continue
		}
		list := make([]Extent, len(c.sets))
		for i, s := range c.sets {
			if is, ok := s.is.(cloudtrail.Selectors); ok {
				list[i] = extent(is, k)
			}
			b.WriteByte('0' + byte(list[i]))
		}
		b.WriteByte('|')
		extents = append(extents, list)
	}
	return extents, b.String()
}

// line is how a kind of events was covered from one time to another: at each time by the trail that did best.
func line(from, to time.Time, courses []*course, extents [][]Extent) []Span {
	times := boundaries(from, to, courses)
	var spans []Span
	for i := 1; i < len(times); i++ {
		t := times[i-1]
		best := Span{State: Unknown, Note: "no trail is known that delivers here"}
		for j, c := range courses {
			s := c.state(t, extents[j])
			if c.history && s.State == Partly && best.State < Unknown {
				continue // reads: what a trail lacks of them, the history need not have
			}
			if s.State != 0 && (best.Note == "no trail is known that delivers here" || s.State < best.State) {
				best = s
				if s.State < Unknown {
					best.By = c.by()
				}
			}
		}
		best.From, best.To = t, times[i]
		spans = appendSpan(spans, best)
	}
	return spans
}

// boundaries are the times at which something may change.
func boundaries(from, to time.Time, courses []*course) []time.Time {
	times := []time.Time{from, to}
	add := func(t time.Time) {
		if t.After(from) && t.Before(to) {
			times = append(times, t)
		}
	}
	for _, c := range courses {
		for _, k := range []known{c.on, c.sets} {
			for _, s := range k {
				add(s.from)
				add(s.to)
			}
		}
		for _, s := range c.arrived {
			add(s.From)
			add(s.To)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return slices.CompactFunc(times, time.Time.Equal)
}

// state is what the trail did at a time for a kind of events, given how many its selectors choose; no state where it
// doesn't record.
func (c *course) state(t time.Time, extents []Extent) Span {
	arrived, vouched := at(c.arrived, t)
	if c.history {
		switch {
		case !vouched || extents[0] == None:
			return Span{}
		case extents[0] == Some:
			return Span{State: Partly, Note: "the event history has reads, and AWS does not say that it has all"}
		}
		return arrived
	}
	yes, sure := c.reaches(t)
	on := c.on.at(t)
	switch logging, known := on.is.(bool); {
	case sure && !yes:
		return Span{State: NotRecorded, Note: "trail " + c.trail.Name + " does not record there"}
	case known && !logging:
		return Span{State: Stopped, Note: on.note}
	case !sure, !known && arrived.State != Covered && arrived.State != Gap:
		return Span{State: Unknown, Note: "nothing tells whether trail " + c.trail.Name + " was logging there"}
	}
	for i, s := range c.sets {
		if t.Before(s.from) || !s.to.IsZero() && !t.Before(s.to) {
			continue
		}
		if s.is == nil {
			return Span{State: Unknown, Note: "the selectors of trail " + c.trail.Name + ": " + s.note}
		}
		switch {
		case extents[i] == None:
			return Span{State: NotRecorded}
		case !vouched:
			return Span{State: Unknown, Note: "no digests tell what arrived", Recorded: true}
		case extents[i] == Some && arrived.State <= Pending:
			return Span{State: Partly, Note: "the selectors of trail " + c.trail.Name + " choose some of them"}
		}
		arrived.Recorded = arrived.State == Unknown
		return arrived
	}
	return Span{State: Unknown, Note: "nothing tells the selectors of trail " + c.trail.Name}
}
