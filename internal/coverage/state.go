package coverage

import (
	"cmp"
	"fmt"
	"time"
)

// A State says how a kind of events was covered at a time. The lower, the better.
type State uint8

// The states.
const (
	Covered     State = iota + 1 // would have been recorded, and what was recorded is in the lake
	Pending                      // recorded, and newer than the newest digest: it may still come
	Partly                       // the selectors choose some events of the kind only; those are in the lake
	Gap                          // recorded, and not all of it is in the lake
	Unknown                      // nothing tells
	Stopped                      // the trail was not logging
	NotRecorded                  // no selector chooses it
)

var states = [...]string{"", "covered", "pending", "partly", "gap", "unknown", "stopped", "not_recorded"}

func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return "invalid"
}

// MarshalText writes the state as JSON has it.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range states {
		if i > 0 && name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("unknown state %q", text)
}

// A Span is a stretch of time with one state: From ≤ t < To.
type Span struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	State State     `json:"state"`
	Note  string    `json:"note,omitempty"` // the reason, in a few words

	Recorded bool `json:"recorded,omitempty"` // of an unknown one: it was recorded; whether it arrived isn't known

	By string `json:"by,omitempty"` // what tells of a kind of events: a trail, or the event history
}

// appendSpan adds a span to spans that are in order; one that goes on with the last is joined to it.
func appendSpan(spans []Span, s Span) []Span {
	if !s.From.Before(s.To) {
		return spans
	}
	if n := len(spans) - 1; n >= 0 && spans[n].State == s.State && spans[n].Note == s.Note && spans[n].Recorded == s.Recorded && spans[n].By == s.By && spans[n].To.Equal(s.From) {
		spans[n].To = s.To
		return spans
	}
	return append(spans, s)
}

// overlay puts a span over spans that are in order, which is in the way of none of them.
func overlay(spans []Span, s Span) []Span {
	if !s.From.Before(s.To) {
		return spans
	}
	var out []Span
	put := false
	for _, old := range spans {
		before, after := old, old
		before.To = earlier(old.To, s.From)
		after.From = later(old.From, s.To)
		out = appendSpan(out, before)
		if !put && old.To.After(s.From) {
			out, put = appendSpan(out, s), true
		}
		out = appendSpan(out, after)
	}
	if !put {
		out = appendSpan(out, s)
	}
	return out
}

// until leaves of spans what is before a time.
func until(spans []Span, end time.Time) []Span {
	var out []Span
	for _, s := range spans {
		s.To = earlier(s.To, end)
		out = appendSpan(out, s)
	}
	return out
}

// at returns the span of a time; ok is false when no span has it.
func at(spans []Span, t time.Time) (s Span, ok bool) {
	for _, s := range spans {
		if !t.Before(s.From) && t.Before(s.To) {
			return s, true
		}
	}
	return Span{}, false
}

// better returns the span whose state is better.
func better(a, b Span) Span {
	if a.State == 0 || b.State != 0 && cmp.Less(b.State, a.State) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
