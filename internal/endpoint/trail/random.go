package trail

import (
	"fmt"
	"io"
	"os"
)

// randomReader reads single events of the record, in any order. It keeps the segment open that it read last. It is for
// one goroutine, which closes it.
type randomReader struct {
	r   *Recorder
	seg *segment
	f   *os.File
}

// at returns the event at a position that an Entry had. The error is os.ErrNotExist when it is no longer kept.
func (rr *randomReader) at(p Position) (Entry, error) {
	if err := rr.open(p); err != nil {
		return Entry{}, err
	}
	var h header
	off := rr.seg.offset(p)
	_, err := rr.f.ReadAt(h[:], off)
	if err != nil {
		return Entry{}, fmt.Errorf("reading the record at %#x: %w", int64(p), err)
	}
	e, err := h.entry(p)
	if err == nil {
		e.JSON, err = h.text(io.NewSectionReader(rr.f, off+frameHeader, int64(h.length())))
	}
	if err != nil {
		return Entry{}, fmt.Errorf("reading the record at %#x: %w", int64(p), err)
	}
	return e, nil
}

// open opens the segment that the position stands in.
func (rr *randomReader) open(p Position) error {
	rr.r.mu.RLock()
	var found *segment
	for _, s := range rr.r.segments {
		if s.base <= p {
			found = s
		}
	}
	rr.r.mu.RUnlock()
	if found == nil {
		return fmt.Errorf("reading the record at %#x: %w", int64(p), os.ErrNotExist)
	}
	if found == rr.seg {
		return nil
	}
	rr.close()
	f, err := os.Open(found.path)
	if err != nil {
		return err
	}
	rr.seg, rr.f = found, f
	return nil
}

func (rr *randomReader) close() {
	if rr.f != nil {
		rr.f.Close()
		rr.seg, rr.f = nil, nil
	}
}
