package collect

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/lake"
)

// MemoryLimit returns the soft limit of memory (runtime/debug.SetMemoryLimit) that suits a process that only collects:
// well above what it holds at a time, and below what the garbage collector would let it grow to.
func MemoryLimit() int64 { return 160<<20 + int64(runtime.GOMAXPROCS(0))*64<<20 }

// batches hands out the batch that log files go into, and commits one when it is full and its files have ended. One
// batch is filled while another is being committed; a third has to wait, which bounds memory.
type batches struct {
	lake      *lake.Lake
	maxEvents int64
	maxBytes  int64 // of inflated text
	maxAge    time.Duration
	now       func() time.Time
	done      func(*tally, lake.Result) // called after each commit

	mu       sync.Mutex
	current  *batch
	commitMu sync.Mutex // held while a batch is committed
}

// batch is a lake.Batch, the files open in it and what it will add to the report.
type batch struct {
	*lake.Batch
	open   sync.WaitGroup
	began  time.Time
	ended  time.Time // when a log file was added last
	mu     sync.Mutex
	tally  tally
	closed bool // no more files; whoever set it commits
}

// begin returns the batch for a log file. Each begin is followed by one end.
func (bs *batches) begin() *batch {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if bs.current == nil {
		bs.current = &batch{Batch: bs.lake.NewBatch(), began: bs.now()}
	}
	bs.current.open.Add(1)
	return bs.current
}

// end tells that a log file is done with; t is what it adds, nil when it was dropped. The caller that finds the batch
// full commits it, while the others go on with the next one.
func (bs *batches) end(ctx context.Context, b *batch, t *tally) error {
	b.mu.Lock()
	if t != nil {
		b.ended = bs.now()
		b.tally.add(t)
	}
	full := b.tally.inflated >= bs.maxBytes
	b.mu.Unlock()
	full = full || b.Len() >= bs.maxEvents || bs.now().Sub(b.began) >= bs.maxAge
	b.open.Done()
	if !full || !bs.close(b) {
		return nil
	}
	return bs.commit(ctx, b)
}

// close takes the batch out of use and reports whether the caller was the first to do so.
func (bs *batches) close(b *batch) bool {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if b.closed {
		return false
	}
	b.closed = true
	if bs.current == b {
		bs.current = nil
	}
	return true
}

// commit waits for the batch's files and makes them durable.
func (bs *batches) commit(ctx context.Context, b *batch) error {
	bs.commitMu.Lock()
	defer bs.commitMu.Unlock()
	b.open.Wait()
	if b.tally.files == 0 {
		return b.Discard()
	}
	res, err := b.Commit(ctx)
	if err != nil {
		_ = b.Discard() // the commit's error tells more
		return fmt.Errorf("committing %d log files: %w", b.tally.files, err)
	}
	bs.done(&b.tally, res)
	return nil
}

// commitAged commits the batch if it is old or nothing was added lately, whether or not log files are open in it: it
// waits for them.
func (bs *batches) commitAged(ctx context.Context) error {
	bs.mu.Lock()
	b := bs.current
	bs.mu.Unlock()
	if b == nil {
		return nil
	}
	now := bs.now()
	b.mu.Lock()
	idle := b.tally.files > 0 && now.Sub(b.ended) >= bs.maxAge/5
	b.mu.Unlock()
	age := now.Sub(b.began)
	if !idle && age >= 0 && age < bs.maxAge || !bs.close(b) { // below 0, the clock was set back
		return nil
	}
	return bs.commit(ctx, b)
}

// flush commits what is left. No log file may be open.
func (bs *batches) flush(ctx context.Context) error {
	bs.mu.Lock()
	b := bs.current
	bs.mu.Unlock()
	if b == nil || !bs.close(b) {
		return nil
	}
	return bs.commit(ctx, b)
}

// discard gives up what isn't committed. No log file may be open.
func (bs *batches) discard() error {
	bs.mu.Lock()
	b := bs.current
	bs.mu.Unlock()
	if b == nil || !bs.close(b) {
		return nil
	}
	return b.Discard()
}
