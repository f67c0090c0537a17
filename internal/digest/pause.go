package digest

import "time"

// A Pause is a time in which a trail made no digests, as its own events (StopLogging, StartLogging, DeleteTrail,
// UpdateTrail) tell.
type Pause struct {
	Account    string // that owns the trail
	Trail      string
	HomeRegion string
	From, To   time.Time // To is zero while it lasts
	Detail     string    // what happened, and who did it
}

// pauses returns the chain's pauses between two times, in order.
func (c *chain) pauses(from, to time.Time) []Pause {
	var list []Pause
	for _, p := range c.place.v.opts.Pauses {
		ours := p.Trail == c.name.trail && p.HomeRegion == c.name.home && (p.Account == c.place.account || c.place.organization != "")
		if ours && p.From.Before(to) && (p.To.IsZero() || p.To.After(from)) {
			list = append(list, p)
		}
	}
	return list
}

func (c *chain) paused(p Pause) {
	c.found(Finding{Kind: LoggingStopped, From: p.From, To: p.To, Detail: p.Detail})
}

// gap reports the digests that are missing between older and newer, because logging went on from one time to another.
// The last, shorter period of that time may have no digest of its own.
func (c *chain) gap(newer, older *node, from, to time.Time) {
	n := to.Sub(from) / c.period
	if n <= 0 || c.name.backfill {
		return
	}
	last := node{listed: older.listed}
	last.key.Time = from
	c.missing(newer, &last, from.Add(n*c.period), "")
}

// explained reports the pauses between two digests, and the digests that are missing in the time between pauses. It
// returns false when there was none that explains why newer begins a chain.
func (c *chain) explained(newer, older *node) bool {
	// A short pause may have ended before the digest of the hour in which it began.
	list := c.pauses(older.key.Time.Add(-max(c.period, time.Minute)), newer.start)
	logged := older.key.Time // since then, until the next pause
	for _, p := range list {
		c.paused(p)
		c.gap(newer, older, logged, p.From)
		if p.To.IsZero() {
			return true
		}
		logged = laterOf(logged, p.To)
	}
	// A chain begins with logging: one that begins much later has another reason.
	return len(list) > 0 && newer.start.Sub(logged) <= max(c.period, defaultPeriod)
}
