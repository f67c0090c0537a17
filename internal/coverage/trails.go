package coverage

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// A Trail names a trail.
type Trail struct {
	Account    string `json:"account"` // that owns it
	HomeRegion string `json:"home_region"`
	Name       string `json:"name"`
}

func (t Trail) String() string { return t.Name + " (" + t.Account + " " + t.HomeRegion + ")" }

// Settings are what decides which events a trail delivers, where to, and with digests or without.
type Settings struct {
	Logging      bool                 `json:"logging"`
	MultiRegion  bool                 `json:"multi_region"`
	Organization bool                 `json:"organization,omitempty"`
	Validation   bool                 `json:"validation"`
	Bucket       string               `json:"bucket"`
	Selectors    cloudtrail.Selectors `json:"selectors"`
}

// A Sighting is what CloudTrail answered about a trail, from one time to another the same.
type Sighting struct {
	Trail
	Settings
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Started time.Time `json:"started,omitzero"` // the latest StartLogging
	Stopped time.Time `json:"stopped,omitzero"` // the latest StopLogging
	Gone    bool      `json:"gone,omitempty"`   // there is no such trail
}

// See adds a sighting to others. One that tells what the last one of the trail told lengthens it.
func See(list []Sighting, s Sighting) []Sighting {
	for i := len(list) - 1; i >= 0; i-- {
		last := &list[i]
		if last.Trail != s.Trail {
			continue
		}
		same := *last
		same.From, same.To = s.From, s.To
		if reflect.DeepEqual(same, s) && !s.From.Before(last.To) {
			last.To = s.To
			return list
		}
		break
	}
	return append(list, s)
}

// An Event is what the lake has of a call that made or changed a trail. Failed calls are none.
type Event struct {
	Time       time.Time `json:"time"`
	Name       string    `json:"name"`       // CreateTrail, UpdateTrail, PutEventSelectors, StartLogging, StopLogging, DeleteTrail
	Parameters string    `json:"parameters"` // requestParameters
	Account    string    `json:"account"`
	Region     string    `json:"region"`
	Actor      string    `json:"actor"`
	ID         string    `json:"id"`
}

// EventNames are the eventNames, of cloudtrail.amazonaws.com, that a History is made of.
func EventNames() []string {
	return []string{"CreateTrail", "UpdateTrail", "PutEventSelectors", "StartLogging", "StopLogging", "DeleteTrail"}
}

// A value is what one setting was; nil when it isn't known.
type value struct {
	is   any
	note string
}

// A point is a time from which on, or at which, a setting had a value.
type point struct {
	at   time.Time
	is   any
	seen bool // it had the value then; when it got it isn't told
	note string
}

// The settings that are followed, each on its own.
const (
	logging = iota
	multiRegion
	organizationSetting
	validation
	bucket
	selectors
	numSettings
)

// A History tells what trails recorded, and when.
type History struct {
	trails map[Trail]*[numSettings][]point
}

// NewHistory follows trails through events, in the order of time, and sightings.
func NewHistory(events []Event, seen []Sighting) *History {
	h := &History{trails: map[Trail]*[numSettings][]point{}}
	for i := range events {
		h.event(&events[i])
	}
	for i := range seen {
		h.sighting(&seen[i])
	}
	for _, settings := range h.trails {
		for i := range settings {
			slices.SortStableFunc(settings[i], func(a, b point) int { return a.at.Compare(b.at) })
		}
	}
	return h
}

// Trails returns the trails that something is known of.
func (h *History) Trails() []Trail {
	list := make([]Trail, 0, len(h.trails))
	for t := range h.trails {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Trail) int { return strings.Compare(a.String(), b.String()) })
	return list
}

func (h *History) add(t Trail, setting int, p point) {
	if h.trails[t] == nil {
		h.trails[t] = new([numSettings][]point)
	}
	h.trails[t][setting] = append(h.trails[t][setting], p)
}

// parameters are the members of requestParameters that matter. CloudTrail writes names in lower camel case, and
// encoding/json doesn't mind.
type parameters struct {
	Name                    string
	TrailName               string
	S3BucketName            *string
	IsMultiRegionTrail      *bool
	IsOrganizationTrail     *bool
	EnableLogFileValidation *bool
	EventSelectors          []cloudtrail.EventSelector
	AdvancedEventSelectors  []cloudtrail.AdvancedEventSelector
}

func (h *History) event(e *Event) {
	var in parameters
	if json.Unmarshal([]byte(e.Parameters), &in) != nil {
		return // a request cut short names no trail
	}
	if in.Name == "" {
		in.Name = in.TrailName
	}
	if in.Name == "" {
		return
	}
	t := trailOf(in.Name, e.Account, e.Region)
	change := func(setting int, is any) {
		h.add(t, setting, point{at: e.Time, is: is, note: fmt.Sprintf("%s by %s (event %s)", e.Name, e.Actor, e.ID)})
	}
	switch e.Name {
	case "StartLogging":
		change(logging, true)
	case "StopLogging", "DeleteTrail":
		change(logging, false)
	case "PutEventSelectors":
		if len(in.EventSelectors)+len(in.AdvancedEventSelectors) == 0 {
			change(selectors, nil) // the record doesn't tell
			return
		}
		change(selectors, canonical(cloudtrail.Selectors{Basic: in.EventSelectors, Advanced: in.AdvancedEventSelectors}))
	case "CreateTrail", "UpdateTrail":
		if e.Name == "CreateTrail" {
			no := false
			for _, p := range []**bool{&in.IsMultiRegionTrail, &in.IsOrganizationTrail, &in.EnableLogFileValidation} {
				if *p == nil {
					*p = &no
				}
			}
			change(logging, false)
			change(selectors, canonical(cloudtrail.Selectors{}))
		}
		for setting, is := range map[int]*bool{multiRegion: in.IsMultiRegionTrail, organizationSetting: in.IsOrganizationTrail, validation: in.EnableLogFileValidation} {
			if is != nil {
				change(setting, *is)
			}
		}
		if in.S3BucketName != nil {
			change(bucket, *in.S3BucketName)
		}
	}
}

// canonical writes selectors that choose the same in the same way, so that they can be compared.
func canonical(s cloudtrail.Selectors) cloudtrail.Selectors {
	var out cloudtrail.Selectors
	yes := true
	if len(s.Advanced) == 0 && len(s.Basic) == 0 { // what a new trail has
		s.Basic = []cloudtrail.EventSelector{{}}
	}
	for _, b := range s.Basic {
		if b.ReadWriteType == "" {
			b.ReadWriteType = "All"
		}
		if b.IncludeManagementEvents == nil {
			b.IncludeManagementEvents = &yes
		}
		b.DataResources = orNil(slices.Clone(b.DataResources))
		b.ExcludeManagementEventSources = orNil(b.ExcludeManagementEventSources)
		out.Basic = append(out.Basic, b)
	}
	for _, a := range s.Advanced {
		fields := slices.Clone(a.FieldSelectors)
		for i := range fields {
			f := &fields[i]
			for _, list := range []*[]string{&f.Equals, &f.StartsWith, &f.EndsWith, &f.NotEquals, &f.NotStartsWith, &f.NotEndsWith} {
				*list = orNil(*list)
			}
		}
		slices.SortFunc(fields, func(a, b cloudtrail.FieldSelector) int { return strings.Compare(a.Field, b.Field) })
		out.Advanced = append(out.Advanced, cloudtrail.AdvancedEventSelector{FieldSelectors: fields})
	}
	return out
}

func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

// trailOf reads a trail's name or ARN.
func trailOf(name, account, region string) Trail {
	if f := strings.SplitN(name, ":", 6); len(f) == 6 {
		return Trail{f[4], f[3], strings.TrimPrefix(f[5], "trail/")}
	}
	return Trail{account, region, name}
}

func (h *History) sighting(s *Sighting) {
	if s.Gone {
		h.add(s.Trail, logging, point{at: s.From, is: false, seen: true, note: "the trail was gone"})
		return
	}
	for setting, is := range [numSettings]any{s.Logging, s.MultiRegion, s.Organization, s.Validation, s.Bucket, canonical(s.Selectors)} {
		for _, at := range []time.Time{s.From, s.To} {
			h.add(s.Trail, setting, point{at: at, is: is, seen: true, note: "as CloudTrail said at " + s.From.UTC().Format(time.RFC3339)})
		}
	}
	// The status tells when the present state of logging began, and when the one before it did.
	if begun := s.Started; s.Logging && !begun.IsZero() {
		h.add(s.Trail, logging, point{at: begun, is: true, note: "StartLogging"})
		if s.Stopped.Before(begun) && !s.Stopped.IsZero() {
			h.add(s.Trail, logging, point{at: s.Stopped, is: false, note: "StopLogging"})
		}
	}
	if !s.Logging && !s.Stopped.IsZero() {
		h.add(s.Trail, logging, point{at: s.Stopped, is: false, note: "StopLogging"})
	}
}

// known is a setting through time.
type known []knownSpan

type knownSpan struct {
	from, to time.Time // zero: without an end
	value
}

func (k known) at(t time.Time) value {
	for _, s := range k {
		if !t.Before(s.from) && (s.to.IsZero() || t.Before(s.to)) {
			return s.value
		}
	}
	return value{}
}

// follow turns points into spans. A change holds until the next one. What was seen at a time without any event before it
// was so since `since`, from when on the lake would have the event of a change. Where a change was missed, it isn't known
// when it was.
func follow(points []point, since time.Time) known {
	var k known
	for i, p := range points {
		from := p.at
		if i == 0 && p.seen && !since.IsZero() {
			from = earlier(from, since)
		}
		if n := len(k) - 1; n >= 0 {
			k[n].to = p.at
			_, put := p.is.(cloudtrail.Selectors)
			same := reflect.DeepEqual(p.is, k[n].is) && p.is != nil
			switch {
			case p.seen && !same, !p.seen && same && put:
				// A change was missed after the last time that the value was told. An event that sets what is set tells so too:
				// selectors may have left out the event of their own change.
				last := points[i-1].at
				k[n].to = last
				k = append(k, knownSpan{from: later(k[n].from, last), to: p.at, value: value{note: "it was changed, and no event tells when"}})
			case same:
				k[n].to = time.Time{} // nothing new: the earlier note says since when
				continue
			}
		}
		k = append(k, knownSpan{from: from, value: value{p.is, p.note}})
	}
	return k
}

// A Pause is a time in which a trail made no digests.
type Pause struct {
	Trail
	From, To time.Time // To is zero while it lasts
	Note     string
}

// Pauses returns the times in which trails were not logging, or log file validation was off.
func (h *History) Pauses() []Pause {
	var list []Pause
	for _, t := range h.Trails() {
		for setting, what := range map[int]string{logging: "logging stopped: ", validation: "log file validation switched off: "} {
			for _, s := range follow(h.trails[t][setting], time.Time{}) {
				if off, ok := s.is.(bool); ok && !off {
					list = append(list, Pause{t, s.from, s.to, what + s.note})
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Pause) int { return a.From.Compare(b.From) })
	return list
}
