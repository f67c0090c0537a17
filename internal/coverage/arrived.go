package coverage

import (
	"slices"
	"time"
)

// Arrived is what verifications of one source found: which times its digests vouch for, and which log files they name that
// are not in the lake.
type Arrived struct {
	Verified time.Time `json:"verified"` // the latest verification
	Chains   []*Chain  `json:"chains"`
}

// A Chain is the digests of one trail in one account and Region.
type Chain struct {
	Organization string    `json:"organization,omitempty"`
	Account      string    `json:"account"`
	Region       string    `json:"region"`
	Trail        string    `json:"trail"`
	HomeRegion   string    `json:"home_region"`
	Period       Seconds   `json:"period"` // of its digests
	Spans        []Span    `json:"spans"`  // of delivery: covered, pending, gap or unknown; in order
	Missing      []Missing `json:"missing,omitempty"`
}

// Seconds is a duration that JSON has in seconds.
type Seconds int64

func (s Seconds) duration() time.Duration { return time.Duration(s) * time.Second }

// Missing is a log file that a digest names, and that the lake doesn't have as it was delivered.
type Missing struct {
	Object string    `json:"object"` // URL
	From   time.Time `json:"from"`   // its earliest event
	To     time.Time `json:"to"`     // its latest event
	State  State     `json:"state"`  // Gap, or Pending: it is in the source, and will be collected
	Note   string    `json:"note"`
}

// A Digest is what is known of the digest of a period.
type Digest struct {
	Organization, Account, Region string
	Trail, HomeRegion             string
	From, To                      time.Time
	State                         State // Covered, Pending, Gap or Unknown
	Note                          string
}

// chain returns the chain of a digest, and begins it when there is none.
func (a *Arrived) chain(d *Digest) *Chain {
	for _, c := range a.Chains {
		if c.Account == d.Account && c.Region == d.Region && c.Trail == d.Trail && c.HomeRegion == d.HomeRegion && c.Organization == d.Organization {
			return c
		}
	}
	c := &Chain{Organization: d.Organization, Account: d.Account, Region: d.Region, Trail: d.Trail, HomeRegion: d.HomeRegion}
	a.Chains = append(a.Chains, c)
	return c
}

// Digest takes a digest in. What was known of its period before is forgotten.
func (a *Arrived) Digest(d Digest) {
	c := a.chain(&d)
	if len(c.Spans) == 0 || !d.To.Before(c.Spans[len(c.Spans)-1].To) || c.Period == 0 {
		if p := Seconds(d.To.Sub(d.From) / time.Second); p > 0 {
			c.Period = p
		}
	}
	c.Spans = overlay(c.Spans, Span{From: d.From, To: d.To, State: d.State, Note: d.Note})
}

// Absent notes a log file that a digest names, and that the lake hasn't as it was delivered. What was noted of it before
// is to be forgotten first: see Came.
func (a *Arrived) Absent(d Digest, m Missing) {
	c := a.chain(&d)
	c.Missing = append(c.Missing, m)
}

// Came forgets that log files are missing: those that came tells.
func (a *Arrived) Came(came func(object string) bool) {
	for _, c := range a.Chains {
		c.Missing = slices.DeleteFunc(c.Missing, func(m Missing) bool { return came(m.Object) })
	}
}

// Awaited returns the log files that are missing.
func (a *Arrived) Awaited() []Missing {
	var list []Missing
	for _, c := range a.Chains {
		list = append(list, c.Missing...)
	}
	return list
}

// overdue is how much later than a period after the newest one a digest may come.
const overdue = 2 * time.Hour

// settling is how long after an event its log file may come: a digest vouches for the events until so long before its end.
// CloudTrail's log files come about five minutes after their events, and it promises nothing; a quarter of a digest's hour
// is thrice that. Digests of less than a minute, which the local endpoint makes, come after the log files of all events.
func (c *Chain) settling() time.Duration {
	if c.Period < 60 {
		return 0
	}
	return min(c.Period.duration()/4, 15*time.Minute)
}

// end is that of the newest digest.
func (c *Chain) end() time.Time {
	if len(c.Spans) == 0 {
		return time.Time{}
	}
	return c.Spans[len(c.Spans)-1].To
}

// arrival tells, by the times of events, what of a trail's log files arrived. on tells whether the trail was logging at a
// time, as far as that is known; verified is when the source was last looked at.
func (c *Chain) arrival(verified, now time.Time, off func(time.Time) bool) []Span {
	var spans []Span
	settling := c.settling()
	for _, s := range c.Spans {
		n := len(spans) - 1
		switch {
		case n < 0:
		case spans[n].To.Before(s.From) && s.From.Sub(spans[n].To) <= c.Period.duration() && off(spans[n].To):
			s.From = spans[n].To // a chain begins with logging
		case spans[n].To.Before(s.From):
			spans = appendSpan(spans, Span{From: spans[n].To, To: s.From, State: Unknown, Note: "no digest, and no event tells why"})
		}
		spans = appendSpan(spans, s)
	}
	if n := len(spans) - 1; n >= 0 {
		end := spans[n].To
		switch last := later(verified, end); {
		case last.Sub(end) > max(c.Period.duration(), time.Hour)+overdue:
			spans = appendSpan(spans, Span{From: end, To: last, State: Gap, Note: "no digest has come since"})
			fallthrough
		case now.Sub(last) > max(c.Period.duration(), time.Hour)+overdue:
			spans = appendSpan(spans, Span{From: spans[len(spans)-1].To, To: now, State: Unknown, Note: "not collected since"})
		default:
			spans = appendSpan(spans, Span{From: end, To: now, State: Pending, Note: "the next digest will tell"})
		}
	}
	// What is not vouched for includes the events just before it, whose log files come in it.
	for i := 1; i < len(spans); i++ {
		if before := &spans[i-1]; before.State == Covered && spans[i].State != Covered && !off(spans[i].From) {
			at := later(before.From, spans[i].From.Add(-settling))
			before.To, spans[i].From = at, at
		}
	}
	spans = slices.DeleteFunc(spans, func(s Span) bool { return !s.From.Before(s.To) })
	// What is missing for good, and what nothing tells of, stands against what may still come at the same time.
	gaps := slices.DeleteFunc(slices.Clone(spans), func(s Span) bool { return s.State != Gap && s.State != Unknown })
	for _, m := range c.Missing {
		s := Span{From: m.From, To: m.To.Add(time.Second), State: m.State, Note: m.Note}
		if m.State == Gap {
			gaps = append(gaps, s)
		} else {
			spans = overlay(spans, s)
		}
	}
	for _, g := range gaps {
		spans = overlay(spans, g)
	}
	return spans
}
