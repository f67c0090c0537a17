package logs

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// place is where an event stands in the order of reading.
type place struct {
	Time  int64
	Chunk string // the chunk's key
	Index int    // in the chunk
}

func (a *place) compare(b *place) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Chunk, b.Chunk), cmp.Compare(a.Index, b.Index))
}

// found is an event that was read.
type found struct {
	place
	Message string
	stream  string
	chunk   *chunk
}

// merger reads the events of streams in the order of their places, or backwards. Chunks are unpacked when their time
// comes. It lives in one transaction.
type merger struct {
	tx       *state.Tx
	forward  bool
	from, to int64  // the time that is read: from included, to excluded
	after    *place // only what comes after it, in the direction of reading; nil for all

	waiting []source // not unpacked, in the order in which they will be
	open    []source
	sorted  bool
}

// source is a chunk that is read.
type source struct {
	key    string
	stream string
	header *chunk
	events []event // what is left of it
	index  int     // of the next one
}

// add adds a stream's chunks. It is called before next.
func (m *merger) add(st *stream) error {
	chunks, err := state.ListTx[chunk](m.tx, chunksBucket, st.ID+"/")
	if err != nil {
		return err
	}
	for i := range chunks {
		c := &chunks[i].Value
		if c.Last < m.from || c.First >= m.to || m.after != nil && (m.forward && c.Last < m.after.Time || !m.forward && c.First > m.after.Time) {
			continue
		}
		m.waiting = append(m.waiting, source{key: chunks[i].Key, stream: st.Name, header: c})
	}
	return nil
}

// bound is the earliest place that a chunk can have, or backwards the latest.
func (m *merger) bound(s *source) int64 {
	if m.forward {
		return s.header.First
	}
	return -s.header.Last
}

// next returns the next event; nil at the end.
func (m *merger) next() (*found, error) {
	if !m.sorted {
		m.sorted = true
		slices.SortStableFunc(m.waiting, func(a, b source) int { return cmp.Compare(m.bound(&a), m.bound(&b)) })
	}
	for {
		best := m.best()
		if len(m.waiting) > 0 && (best == nil || m.bound(&m.waiting[0]) <= m.time(best)) {
			if err := m.unpack(); err != nil {
				return nil, err
			}
			continue
		}
		if best == nil {
			return nil, nil
		}
		e := &found{place: best.place(), Message: best.events[best.index].Message, stream: best.stream, chunk: best.header}
		m.advance(best)
		if e.Time < m.from || e.Time >= m.to || m.after != nil && m.order(&e.place, m.after) <= 0 {
			continue
		}
		return e, nil
	}
}

func (m *merger) order(a, b *place) int {
	if m.forward {
		return a.compare(b)
	}
	return b.compare(a)
}

func (m *merger) time(s *source) int64 {
	if m.forward {
		return s.events[s.index].Time
	}
	return -s.events[s.index].Time
}

func (s *source) place() place { return place{s.events[s.index].Time, s.key, s.index} }

// best returns the open source whose event is next.
func (m *merger) best() *source {
	var best *source
	for i := range m.open {
		s := &m.open[i]
		if best == nil {
			best = s
			continue
		}
		a, b := s.place(), best.place()
		if m.order(&a, &b) < 0 {
			best = s
		}
	}
	return best
}

func (m *merger) unpack() error {
	s := m.waiting[0]
	m.waiting = m.waiting[1:]
	var data []byte
	_, err := m.tx.Get(dataBucket, s.key, &data)
	if err == nil {
		s.events, err = unpack(data)
	}
	if err != nil {
		return fmt.Errorf("reading log events %s: %w", s.key, err)
	}
	if len(s.events) == 0 {
		return nil
	}
	if !m.forward {
		s.index = len(s.events) - 1
	}
	m.open = append(m.open, s)
	return nil
}

// advance goes to a source's next event, and closes it after its last.
func (m *merger) advance(s *source) {
	if m.forward {
		s.index++
	} else {
		s.index--
	}
	if s.index < 0 || s.index == len(s.events) {
		m.open = slices.DeleteFunc(m.open, func(o source) bool { return o.key == s.key })
	}
}
