package coverage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// A Place is an account and Region.
type Place struct {
	Account string `json:"account"`
	Region  string `json:"region"`
}

// Files is what the lake has of log files of a place.
type Files struct {
	Place
	LogFiles    int64
	First, Last time.Time // of their events
}

// Facts is all that coverage follows from.
type Facts struct {
	History *History
	Arrived map[string]*Arrived // by source
	Files   []Files             // by place
	Buckets []string            // that log files of the lake came from: trails that deliver elsewhere don't count; empty: not known
	Now     time.Time
}

// A Question asks for coverage. The zero value asks for all. In texts * stands for any characters.
type Question struct {
	Service, Operation string
	Account, Region    string
	Since, Until       time.Time // Since ≤ t < Until; zero: from the lake's first event or digest, until now
}

// A Report answers a Question.
type Report struct {
	From     time.Time       `json:"from"`
	To       time.Time       `json:"to"`
	Covered  float64         `json:"covered"` // share, from 0 to 1, of the time of all kinds of events but network activity at all places
	Pending  float64         `json:"pending"` // share of which the next digests will tell
	Kinds    int             `json:"kinds"`   // kinds of events at each place, network activity not counted
	Places   []PlaceReport   `json:"places"`
	Services []ServiceReport `json:"services"`
	Issues   []Issue         `json:"issues"` // what isn't covered, the worst first
}

// A PlaceReport tells what arrived of a place, whatever was recorded.
type PlaceReport struct {
	Place
	LogFiles int64     `json:"log_files"`
	First    time.Time `json:"first_event,omitzero"`
	Last     time.Time `json:"last_event,omitzero"`
	Complete float64   `json:"complete"` // share of the time in which a trail was logging and that isn't pending
	Spans    []Span    `json:"spans"`
}

// A ServiceReport tells what of an AI service was covered at a place.
type ServiceReport struct {
	Service string `json:"ai_service"`
	Place
	Covered float64      `json:"covered"` // network activity not counted
	Kinds   []KindReport `json:"kinds"`
}

// A KindReport tells of one kind of events.
type KindReport struct {
	Kind     string  `json:"kind"`
	Category string  `json:"category"`
	Covered  float64 `json:"covered"`
	Spans    []Span  `json:"spans"`
}

// An Issue is something that isn't covered, for one reason: kinds of events at places in some times.
type Issue struct {
	State  State    `json:"state"`
	Note   string   `json:"note,omitempty"`
	All    bool     `json:"all"`   // kinds that were asked for
	Kinds  []string `json:"kinds"` // "SERVICE KIND"
	Places []Place  `json:"places"`
	Times  []Time   `json:"times"` // in order
}

// Time is a stretch of time: From ≤ t < To.
type Time struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// course is a trail at a place through time.
type course struct {
	trail   Trail
	on      known  // logging
	sets    known  // selectors
	arrived []Span // covered, pending, gap, unknown
	reaches func(t time.Time) (yes, sure bool)
	arrives bool // there are digests of it
}

// Report answers a question.
func (f *Facts) Report(q Question) *Report {
	r := &Report{From: q.Since, To: q.Until, Places: []PlaceReport{}, Services: []ServiceReport{}, Issues: []Issue{}}
	if r.To.IsZero() || r.To.After(f.Now) {
		r.To = f.Now
	}
	if r.From.IsZero() {
		r.From = earlier(f.begin(), r.To)
	}
	kinds := Kinds(q.Service, q.Operation)
	for i := range kinds {
		if kinds[i].Category != cloudtrail.CategoryNetwork {
			r.Kinds++
		}
	}
	var total, covered, pending time.Duration
	issues := issues{kinds: r.Kinds}
	lineNumber := 0
	for _, p := range f.places(q) {
		courses := f.courses(p)
		r.Places = append(r.Places, f.place(r, p, courses))
		lines := map[string]int{}
		var courseOf [][]Span
		for i := range kinds {
			k := &kinds[i]
			extents, signature := extentsOf(courses, k)
			n, ok := lines[signature]
			if !ok {
				n = len(courseOf)
				lines[signature], courseOf = n, append(courseOf, line(r.From, r.To, courses, extents))
			}
			spans := courseOf[n]
			kr := KindReport{Kind: k.Name(), Category: k.Category, Covered: share(spans, Covered), Spans: spans}
			if n := len(r.Services) - 1; n < 0 || r.Services[n].Service != k.Service || r.Services[n].Place != p {
				r.Services = append(r.Services, ServiceReport{Service: k.Service, Place: p})
			}
			s := &r.Services[len(r.Services)-1]
			s.Kinds = append(s.Kinds, kr)
			if k.Category == cloudtrail.CategoryNetwork {
				continue
			}
			for _, span := range spans {
				total += span.duration()
				switch span.State {
				case Covered:
					covered += span.duration()
				case Pending:
					pending += span.duration()
				}
			}
			issues.add(p, k, lineNumber+n, spans)
		}
		lineNumber += len(courseOf)
	}
	for i := range r.Services {
		r.Services[i].Covered = r.Services[i].covered()
	}
	r.Covered, r.Pending = ratio(covered, total), ratio(pending, total)
	r.Issues = issues.list()
	return r
}

// begin is the earliest time that the lake tells of.
func (f *Facts) begin() time.Time {
	first := f.Now
	for _, p := range f.Files {
		if !p.First.IsZero() {
			first = earlier(first, p.First)
		}
	}
	for _, a := range f.Arrived {
		for _, c := range a.Chains {
			if len(c.Spans) > 0 {
				first = earlier(first, c.Spans[0].From)
			}
		}
	}
	return first
}

// places returns the places that the lake tells of and the question chooses. A place asked for by name is one, even if
// nothing is known of it.
func (f *Facts) places(q Question) []Place {
	found := map[Place]bool{}
	accounts := map[string]bool{}
	add := func(p Place) {
		accounts[p.Account] = true
		if matches(q.Account, p.Account) && matches(q.Region, p.Region) {
			found[p] = true
		}
	}
	for _, p := range f.Files {
		if p.Account != "" && p.Region != "" {
			add(p.Place)
		}
	}
	for _, a := range f.Arrived {
		for _, c := range a.Chains {
			add(Place{c.Account, c.Region})
		}
	}
	for _, t := range f.History.Trails() {
		if f.collected(t) {
			add(Place{t.Account, t.HomeRegion})
		}
	}
	if q.Region != "" && !strings.Contains(q.Region, "*") {
		for account := range accounts {
			add(Place{account, q.Region})
		}
		if q.Account != "" && !strings.Contains(q.Account, "*") {
			add(Place{q.Account, q.Region})
		}
	}
	list := make([]Place, 0, len(found))
	for p := range found {
		list = append(list, p)
	}
	slices.SortFunc(list, comparePlaces)
	return list
}

// collected tells whether the lake has log files of the bucket that the trail delivers to, as far as that is known.
func (f *Facts) collected(t Trail) bool {
	points := f.History.trails[t][bucket]
	if len(f.Buckets) == 0 || len(points) == 0 {
		return true
	}
	return slices.ContainsFunc(points, func(p point) bool { name, _ := p.is.(string); return slices.Contains(f.Buckets, name) })
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
	return list
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
	for _, chain := range f.chains(t, p) {
		organization = organization || chain.Organization != ""
		spans := chain.arrival(f.verified(chain), f.Now, off)
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

// merged takes the better of two courses at each time.
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
			if s := c.state(t, extents[j]); s.State != 0 && (best.Note == "no trail is known that delivers here" || s.State < best.State) {
				best = s
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

// place tells what arrived of a place.
func (f *Facts) place(r *Report, p Place, courses []*course) PlaceReport {
	out := PlaceReport{Place: p}
	for _, files := range f.Files {
		if files.Place == p {
			out.LogFiles, out.First, out.Last = files.LogFiles, files.First, files.Last
		}
	}
	times := boundaries(r.From, r.To, courses)
	for i := 1; i < len(times); i++ {
		best := Span{State: Unknown, Note: "no digests tell what arrived"}
		for _, c := range courses {
			s, ok := at(c.arrived, times[i-1])
			if on := c.on.at(times[i-1]); on.is == false {
				s, ok = Span{State: Stopped, Note: on.note}, true
			}
			if ok && (s.State < best.State || best.State == Unknown) {
				best = s
			}
		}
		best.From, best.To = times[i-1], times[i]
		out.Spans = appendSpan(out.Spans, best)
	}
	out.Complete = share(slices.DeleteFunc(slices.Clone(out.Spans), func(s Span) bool { return s.State == Stopped || s.State == Pending }), Covered)
	return out
}

func (s *ServiceReport) covered() float64 {
	sum, n := 0.0, 0
	for _, k := range s.Kinds {
		if k.Category != cloudtrail.CategoryNetwork {
			sum += k.Covered
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// share is how much of the time of spans has a state.
func share(spans []Span, state State) float64 {
	var total, part time.Duration
	for _, s := range spans {
		total += s.duration()
		if s.State == state {
			part += s.duration()
		}
	}
	return ratio(part, total)
}

func ratio(part, total time.Duration) float64 {
	if total == 0 {
		return 0
	}
	return float64(part) / float64(total)
}

// issues gathers what isn't covered.
type issues struct {
	kinds int // that were asked for
	at    map[trouble]*Issue
}

// trouble is why kinds with the same course of events at a place aren't covered.
type trouble struct {
	state State
	note  string
	line  int
}

// add takes in the spans of a kind. Kinds with one course at a place have one line.
func (is *issues) add(p Place, k *Kind, line int, spans []Span) {
	if is.at == nil {
		is.at = map[trouble]*Issue{}
	}
	done := map[trouble]bool{}
	for _, s := range spans {
		if s.State == Covered {
			continue
		}
		t := trouble{s.State, s.Note, line}
		i := is.at[t]
		if i == nil {
			i = &Issue{State: s.State, Note: s.Note, Places: []Place{p}}
			for _, other := range spans {
				if other.State == s.State && other.Note == s.Note {
					i.Times = append(i.Times, Time{other.From, other.To})
				}
			}
			is.at[t] = i
		}
		if !done[t] {
			done[t] = true
			i.Kinds = append(i.Kinds, k.Service+" "+k.Name())
		}
	}
}

// list puts together what has one cause: first the kinds of a place, then the places with the same kinds.
func (is *issues) list() []Issue {
	kinds := map[string]*Issue{}
	for _, i := range is.at {
		key := fmt.Sprint(i.State, i.Note, i.Places, i.Times)
		if same := kinds[key]; same != nil {
			same.Kinds = append(same.Kinds, i.Kinds...)
		} else {
			kinds[key] = i
		}
	}
	places := map[string]*Issue{}
	for _, i := range kinds {
		slices.Sort(i.Kinds)
		i.All = len(i.Kinds) == is.kinds
		key := fmt.Sprint(i.State, i.Note, i.Kinds, i.Times)
		if same := places[key]; same != nil {
			same.Places = append(same.Places, i.Places...)
		} else {
			places[key] = i
		}
	}
	list := make([]Issue, 0, len(places))
	for _, i := range places {
		slices.SortFunc(i.Places, comparePlaces)
		list = append(list, *i)
	}
	slices.SortFunc(list, func(a, b Issue) int {
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), a.Times[0].From.Compare(b.Times[0].From),
			comparePlaces(a.Places[0], b.Places[0]), cmp.Compare(a.Kinds[0], b.Kinds[0]), cmp.Compare(a.Note, b.Note))
	})
	return list
}

func comparePlaces(a, b Place) int {
	return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region))
}

// rank orders issues: what was lost first, what is only to come last.
func rank(s State) int {
	return slices.Index([]State{Gap, Stopped, NotRecorded, Unknown, Partly, Pending}, s)
}
