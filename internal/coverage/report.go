package coverage

import (
	"math"
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

// Read is the time of which all is in the lake that the event history has of a place: management events, whatever trails
// record. AWS keeps them for 90 days, and nothing signs them.
type Read struct {
	Place
	From, To time.Time
}

// Facts is all that coverage follows from.
type Facts struct {
	History *History
	Arrived map[string]*Arrived // by source
	Files   []Files             // by place
	Read    []Read              // of the event history
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
	History  []Time    `json:"history,omitempty"` // whose management events the event history told, too
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
	var all times
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
			kr := KindReport{Kind: k.Name(), Category: k.Category, Covered: timesOf(spans).share(Covered), Spans: spans}
			if n := len(r.Services) - 1; n < 0 || r.Services[n].Service != k.Service || r.Services[n].Place != p {
				r.Services = append(r.Services, ServiceReport{Service: k.Service, Place: p})
			}
			s := &r.Services[len(r.Services)-1]
			s.Kinds = append(s.Kinds, kr)
			if k.Category == cloudtrail.CategoryNetwork {
				continue
			}
			all.add(spans)
			issues.add(p, k, lineNumber+n, spans)
		}
		lineNumber += len(courseOf)
	}
	for i := range r.Services {
		r.Services[i].Covered = r.Services[i].covered()
	}
	r.Covered, r.Pending = all.share(Covered), all.share(Pending)
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
	for _, r := range f.Read {
		add(r.Place)
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

// place tells what arrived of a place.
func (f *Facts) place(r *Report, p Place, courses []*course) PlaceReport {
	out := PlaceReport{Place: p}
	for _, files := range f.Files {
		if files.Place == p {
			out.LogFiles, out.First, out.Last = files.LogFiles, files.First, files.Last
		}
	}
	for _, read := range f.Read {
		if from, to := later(read.From, r.From), earlier(read.To, r.To); read.Place == p && from.Before(to) {
			out.History = append(out.History, Time{from, to})
		}
	}
	courses = slices.DeleteFunc(slices.Clone(courses), func(c *course) bool { return c.history })
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
	expected := timesOf(out.Spans)
	expected[Stopped], expected[Pending] = 0, 0
	out.Complete = expected.share(Covered)
	return out
}

func (s *ServiceReport) covered() float64 {
	var t times
	for _, k := range s.Kinds {
		if k.Category != cloudtrail.CategoryNetwork {
			t.add(k.Spans)
		}
	}
	return t.share(Covered)
}

// times are seconds by state. An organization's kinds of events add up to more than a time.Duration holds within a week.
type times [NotRecorded + 1]float64

func timesOf(spans []Span) (t times) {
	t.add(spans)
	return t
}

func (t *times) add(spans []Span) {
	for _, s := range spans {
		t[s.State] += s.To.Sub(s.From).Seconds()
	}
}

// share is how much of the time has a state: 1 only if all has.
func (t times) share(state State) float64 {
	rest := 0.0
	for s, seconds := range t {
		if State(s) != state {
			rest += seconds
		}
	}
	switch part := t[state]; {
	case part == 0:
		return 0
	case rest == 0:
		return 1
	default:
		return min(part/(part+rest), math.Nextafter(1, 0))
	}
}
