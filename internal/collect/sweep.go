package collect

import (
	"context"
	"slices"
	"strings"
	"time"
)

// A look at a place sees what came late by deep at most. A sweep sees the rest: it lists the place from its first key on,
// at a pace that is in nobody's way.
const (
	sweepEvery = 7 * 24 * time.Hour
	sweepTick  = time.Minute
	sweepKeys  = 1000        // of one request
	sweepPace  = time.Second // for each
)

// sweeping sweeps the places, one at a time, each once in sweepEvery.
func (w *watch) sweeping(ctx context.Context) error {
	for {
		s := w.nextSweep()
		if s == nil {
			if !sleep(ctx, min(sweepTick, w.longest())) {
				return ctx.Err()
			}
			continue
		}
		if err := w.sweep(ctx, s); err != nil {
			return err
		}
	}
}

// nextSweep returns the place that was swept the longest ago, if it is due. One that is still read back needs none.
func (w *watch) nextSweep() *spot {
	w.mu.Lock()
	defer w.mu.Unlock()
	var next *spot
	now, oldest := w.now(), time.Time{}
	for _, s := range w.spots {
		at := s.span.Swept
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
		set := at.Sub(now) > time.Hour // the clock was ahead then
		due := (set || now.Sub(at) >= sweepEvery) && s.span.Whole && !s.sweeping && !now.Before(s.sweepAt)
		if due && (next == nil || at.Before(next.span.Swept)) {
			next = s
		}
	}
	w.c.status(w.source, func(st *SourceStatus) { st.Swept = oldest })
	if next != nil {
		next.sweeping = true
	}
	return next
}

// sweep lists what of a place no look sees any more. The error ends the run.
func (w *watch) sweep(ctx context.Context, s *spot) error {
	w.mu.Lock()
	until := s.span.To.Add(-deep)
	w.mu.Unlock()
	began := w.now()
	p := &pass{w: w, spot: s, sweep: true, ended: func(p *pass) {
		w.mu.Lock()
		defer w.mu.Unlock()
		s.sweeping = false
		if p.broken || !p.hole.IsZero() {
			s.sweepAt = w.now().Add(deepEvery)
			return
		}
		s.span.Swept, w.dirty = began, true
	}}
	listed, err := p.list(ctx, s.prefix, "", until, w.c.jobs)
	if listed != nil {
		w.fail(w.store.URL(s.prefix), listed)
	}
	return err
}

// aside notes the folders beside AWSLogs/, and says that they aren't followed, whenever there are others.
func (w *watch) aside(dirs []string) {
	slices.Sort(dirs)
	names := strings.Join(dirs, " ")
	w.c.status(w.source, func(s *SourceStatus) { s.Beside = len(dirs) })
	if len(dirs) > 0 && names != w.beside {
		w.c.opts.Log.Warn("folders beside AWSLogs/ are not followed: name those with log files as sources of their own", "source", w.name, "folders", names)
	}
	w.beside = names
}
