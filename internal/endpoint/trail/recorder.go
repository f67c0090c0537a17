package trail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// RecorderOptions are a Recorder's settings; the zero value works.
type RecorderOptions struct {
	SegmentBytes int64            // when a segment is full; 0 means 16 MiB
	Keep         time.Duration    // how long events are kept; 0 means 90 days
	Now          func() time.Time // nil means time.Now

	// wrap stands between the recorder and a segment's file in tests of failing disks.
	wrap func(*os.File) file
}

// file is what the recorder needs of an open segment.
type file interface {
	io.WriterAt
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Recorder is the record of events. Its methods may be called concurrently.
//
// A call of Record that returns nil has its events on disk, in one piece and in their order; one that returns an error
// has recorded nothing, and the next call may succeed. Readers see an event once it is durable.
type Recorder struct {
	dir  string
	opts RecorderOptions

	joining sync.Mutex // guards next
	next    *batch     // what waits for being written

	writing sync.Mutex // held by the caller that writes; guards cur and stale
	cur     file
	stale   bool // the file may hold bytes after the end

	mu       sync.RWMutex // guards segments, end and closed
	segments []*segment   // in order; the last one is written to
	end      Position     // everything before is durable
	closed   bool
}

// batch is the events of callers whose frames are written and synced together.
type batch struct {
	frames []byte
	done   bool
	err    error
}

// ErrClosed is returned by Record on a closed recorder.
var ErrClosed = errors.New("the recorder is closed")

// OpenRecorder opens the record in a folder, makes it when it isn't there, and cuts off what a crash left torn. The
// folder belongs to one process at a time. The caller closes the recorder.
func OpenRecorder(dir string, opts RecorderOptions) (*Recorder, error) {
	if opts.SegmentBytes == 0 {
		opts.SegmentBytes = 16 << 20
	}
	if opts.Keep == 0 {
		opts.Keep = 90 * 24 * time.Hour
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.wrap == nil {
		opts.wrap = func(f *os.File) file { return f }
	}
	r := &Recorder{dir: dir, opts: opts, next: &batch{}}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("opening the record in %s: %w", dir, err)
	}
	return r, nil
}

func (r *Recorder) open() error {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	paths, err := filepath.Glob(filepath.Join(r.dir, "*"+suffix))
	if err != nil {
		return err
	}
	slices.Sort(paths)
	for i, path := range paths {
		s, err := openSegment(path)
		if errors.Is(err, errTorn) && i == len(paths)-1 {
			// Events are written to a segment after its header is durable: there were none.
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		r.segments = append(r.segments, s)
	}
	if len(r.segments) == 0 {
		return r.rotate()
	}
	return r.recover(r.segments[len(r.segments)-1])
}

// recover finds the end of the last segment and cuts off what follows its last whole frame.
func (r *Recorder) recover(s *segment) error {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if _, err := f.Seek(segmentHeader, io.SeekStart); err != nil {
		return errors.Join(err, f.Close())
	}
	in := newFrames(f, s.base)
	for err == nil {
		_, err = in.next(true)
	}
	if err != io.EOF && !errors.Is(err, errTorn) {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Truncate(s.offset(in.at)), f.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	r.cur, r.end = r.opts.wrap(f), in.at
	return nil
}

// rotate begins a new segment at the end of the record. The caller holds writing, or is alone.
func (r *Recorder) rotate() error {
	s, f, err := createSegment(r.dir, r.end, r.opts.Now())
	if err != nil {
		return err
	}
	if r.cur != nil {
		r.cur.Close() // all in it is synced: an error can lose nothing
	}
	r.cur = r.opts.wrap(f)
	r.mu.Lock()
	r.segments = append(r.segments, s)
	r.mu.Unlock()
	return nil
}

// Close closes the files. Calls of Record that are under way end first.
func (r *Recorder) Close() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	return r.cur.Close()
}

// Record writes events to the record; they are durable when it returns nil. Concurrent calls share one write and one
// sync: whoever comes first writes for all who came before it was its turn. Once begun it isn't cut short by ctx.
func (r *Recorder) Record(ctx context.Context, events []cloudtrail.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(events) == 0 {
		return nil
	}
	var frames []byte
	for i := range events {
		e := &events[i]
		start := len(frames)
		frames = appendFrame(frames, e.EventTime, e.Category() == cloudtrail.CategoryManagement, e.AppendJSON)
		if n := len(frames) - start - frameHeader; n > maxFrame {
			return fmt.Errorf("recording event %s: %d bytes are too many", e.EventID, n)
		}
	}

	r.joining.Lock()
	b := r.next
	b.frames = append(b.frames, frames...)
	r.joining.Unlock()

	r.writing.Lock()
	defer r.writing.Unlock()
	if b.done {
		return b.err
	}
	r.joining.Lock()
	r.next = &batch{}
	r.joining.Unlock()
	if err := r.write(b.frames); err != nil {
		b.err = fmt.Errorf("recording events: %w", err)
	}
	b.done, b.frames = true, nil
	return b.err
}

// write makes frames durable at the end of the record. When it fails the record is as before.
func (r *Recorder) write(frames []byte) error {
	r.mu.RLock()
	s, end, closed := r.segments[len(r.segments)-1], r.end, r.closed
	r.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	if r.stale {
		if err := r.cur.Truncate(s.offset(end)); err != nil {
			return err
		}
		r.stale = false
	}
	if end > s.base && s.offset(end)+int64(len(frames)) > r.opts.SegmentBytes {
		if err := r.rotate(); err != nil {
			return err
		}
		s = r.segments[len(r.segments)-1]
	}
	_, err := r.cur.WriteAt(frames, s.offset(end))
	if err == nil {
		err = r.cur.Sync()
	}
	if err != nil {
		r.stale = r.cur.Truncate(s.offset(end)) != nil
		return err
	}
	r.mu.Lock()
	r.end = end + Position(len(frames))
	r.mu.Unlock()
	return nil
}

// End is the position after the last durable event.
func (r *Recorder) End() Position {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.end
}

// Begin is the position of the oldest event that is still kept.
func (r *Recorder) Begin() Position {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.segments[0].base
}

// Entries returns the events between two positions, from included and to excluded, in the order of the record; the ones
// that are no longer kept are left out. An error ends it.
func (r *Recorder) Entries(from, to Position) iter.Seq2[Entry, error] {
	return r.entries(from, to, true)
}

// entries is Entries; with text false the entries have no JSON, which reads less.
func (r *Recorder) entries(from, to Position, text bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r.mu.RLock()
		segments, end := slices.Clone(r.segments), r.end
		r.mu.RUnlock()
		to = min(to, end)
		for i, s := range segments {
			limit := to
			if i+1 < len(segments) {
				limit = min(limit, segments[i+1].base)
			}
			start := max(from, s.base)
			if start >= limit {
				continue
			}
			err := s.read(start, limit, text, yield)
			if errors.Is(err, errStop) || errors.Is(err, os.ErrNotExist) && r.Begin() > s.base {
				if errors.Is(err, errStop) {
					return
				}
				continue // expired meanwhile
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("reading the record's segment %s: %w", filepath.Base(s.path), err))
				return
			}
		}
	}
}

// errStop means that the consumer wants no more entries.
var errStop = errors.New("stop")

func (s *segment) read(from, to Position, text bool, yield func(Entry, error) bool) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := newFrames(io.NewSectionReader(f, s.offset(from), int64(to-from)), from)
	for {
		e, err := in.next(text)
		if err == io.EOF && in.at == to {
			return nil
		}
		if err == io.EOF {
			return errTorn
		}
		if err != nil {
			return fmt.Errorf("at %#x: %w", int64(in.at), err)
		}
		if !yield(e, nil) {
			return errStop
		}
	}
}

// Cut returns the last position between from and to before which at most size bytes of frames stand, but after one
// event at least.
func (r *Recorder) Cut(from, to Position, size int64) (Position, error) {
	from = max(from, r.Begin())
	if int64(to-from) <= size {
		return to, nil
	}
	cut := to
	for e, err := range r.entries(from, to, false) {
		if err != nil {
			return 0, err
		}
		if int64(e.Next-from) > size && e.Position > from {
			return e.Position, nil
		}
		cut = e.Next
	}
	return cut, nil
}

// Expire removes the segments whose events were all recorded longer ago than events are kept.
func (r *Recorder) Expire() error {
	limit := r.opts.Now().Add(-r.opts.Keep)
	r.mu.Lock()
	n := 0
	for n+1 < len(r.segments) && r.segments[n+1].begun.Before(limit) {
		n++
	}
	old := r.segments[:n]
	r.segments = slices.Clone(r.segments[n:])
	r.mu.Unlock()
	var errs []error
	for _, s := range old {
		errs = append(errs, os.Remove(s.path))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("expiring the record: %w", err)
	}
	return nil
}
