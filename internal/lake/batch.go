package lake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// chunkRows and chunkBytes are how many rows, and how much memory of them, a data file is made of. Several chunks are
// held at a time: one for each log file being read.
const (
	chunkRows  = 32 << 10
	chunkBytes = 32 << 20
)

// Batch collects log files. Its methods are safe for concurrent use; each File belongs to one goroutine at a time.
// Events are encoded in the goroutines that add them, so reading files in parallel writes in parallel. Batches are best
// filled in the order of time: a data file then covers few days.
type Batch struct {
	l     *Lake
	id    string
	began time.Time // by the wall clock alone, which goes on while the computer sleeps

	mu        sync.Mutex
	files     []*batchFile
	identity  map[fileKey]struct{}
	parts     []*part
	events    int64
	written   int
	open      int
	attempted bool    // Commit was called
	unknown   bool    // whether it took effect, or will
	planned   *Result // what the last attempt would bring
	done      *Result // what Commit returned
	discarded bool
}

// part is a batch's rows of a table, but for log_files.
type part struct {
	table  string
	seen   map[key]ref
	staged []*dataFile // pieces: scratch files of a row group
	files  []*dataFile // what they were joined to, see assemble
	free   []*chunk    // not in use by a File; they may hold rows of files that are done
}

// part returns the batch's part of a table.
func (b *Batch) part(table string) *part {
	return b.parts[slices.IndexFunc(b.parts, func(p *part) bool { return p.table == table })]
}

// fileCount returns how many data files the batch has.
func (b *Batch) fileCount() (n int) {
	for _, p := range b.parts {
		n += len(p.files)
	}
	return n
}

// batchFile is a log file of a batch.
type batchFile struct {
	LogFile
	number    uint32
	calls     int64               // events that are AI calls
	skip      bool                // not part of the batch: dropped, or in the lake or the batch already
	collected bool                // skipped because the lake has it
	dropped   map[uint32]struct{} // duplicates, by index
}

// drop notes that the lake or the batch has the event.
func (f *batchFile) drop(index uint32) {
	if f.dropped == nil {
		f.dropped = map[uint32]struct{}{}
	}
	f.dropped[index] = struct{}{}
}

// drops tells whether the row isn't to be committed.
func (f *batchFile) drops(index uint32) bool {
	_, dropped := f.dropped[index]
	return dropped || f.skip
}

// NewBatch begins a batch: log files whose events go into the lake by one commit.
func (l *Lake) NewBatch() *Batch {
	b := &Batch{l: l, id: uuid.Must(uuid.NewV7()).String(), began: l.now().Round(0), identity: map[fileKey]struct{}{}}
	for _, table := range append([]string{Events}, sideTables...) {
		b.parts = append(b.parts, &part{table: table, seen: map[key]ref{}})
	}
	return b
}

// Len returns the events that the batch holds so far: a caller commits when it is large enough (some 100,000s).
func (b *Batch) Len() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events
}

// File begins a log file of the batch. It must be ended by Done, Quarantine or Drop before Commit.
func (b *Batch) File(f LogFile) *File {
	b.mu.Lock()
	defer b.mu.Unlock()
	row := &batchFile{LogFile: f, number: uint32(len(b.files)), skip: true}
	row.Events, row.Duplicates, row.First, row.Last = 0, 0, time.Time{}, time.Time{}
	b.files = append(b.files, row)
	b.open++
	return &File{b: b, row: row}
}

// File is a log file being added to a batch. Its rows are of one table: events, invocations, or the digest that it is.
type File struct {
	b     *Batch
	row   *batchFile
	part  *part
	c     *chunk // nil without rows; its rows since begin are the file's
	spill []*dataFile
	ended bool
}

// rows returns where the file's next row of a table goes to.
func (f *File) rows(table string) (*chunk, error) {
	switch {
	case f.ended:
		return nil, errors.New("row added to a log file that was ended")
	case f.c != nil && f.part.table != table:
		return nil, fmt.Errorf("a row of %s in a log file of %s", table, f.part.table)
	case f.c == nil:
		b := f.b
		b.mu.Lock()
		f.part = b.part(table)
		if n := len(f.part.free); n > 0 {
			f.c, f.part.free = f.part.free[n-1], f.part.free[:n-1]
		}
		b.mu.Unlock()
		if f.c == nil {
			f.c = b.l.chunk(table)
		}
		f.c.begin()
	}
	return f.c, nil
}

// Event adds an event; index is its place in the log file, from 0. Nothing of e is kept. Errors are those of writing
// (disk full): the file must then be ended by Drop.
func (f *File) Event(e *cloudtrail.Event, index int) error {
	c, err := f.rows(Events)
	if err != nil {
		return err
	}
	call := c.normal.call(e)
	c.add(e, &call, f.row.Object, int64(index), ref{f.row.number, uint32(index)})
	f.row.Events++
	if call.CallRole == RolePrimary {
		f.row.calls++
	}
	return f.added(e.EventTime)
}

// added notes the time of a row.
func (f *File) added(t time.Time) error {
	if !t.IsZero() {
		if f.row.First.IsZero() || t.Before(f.row.First) {
			f.row.First = t
		}
		if t.After(f.row.Last) {
			f.row.Last = t
		}
	}
	// A log file larger than a chunk is written as it comes; what was written is used only if the file ends well.
	if f.c.n-f.c.start.n >= chunkRows || f.c.bytes-f.c.start.bytes >= chunkBytes {
		files, err := f.b.encode(f.c, f.c.since(f.c.start.n))
		if err != nil {
			return err
		}
		f.spill = append(f.spill, files...)
		f.c.forget()
	}
	return nil
}

// Done ends the file: its events will be committed with the batch. SHA256 and what else is known only after reading
// the file may be set by then: edit is called with the file's row, unless nil.
func (f *File) Done(edit func(*LogFile)) error {
	if err := f.mayEnd(); err != nil {
		return err
	}
	if edit != nil {
		f.edit(edit)
	}
	f.row.Status, f.row.Reason = StatusCollected, ""
	if !f.b.claim(f) {
		f.Drop()
		return nil
	}
	c := f.c
	if c == nil || c.n < chunkRows && c.bytes < chunkBytes {
		f.end()
		return nil
	}
	files, err := f.b.write(c)
	if err == nil {
		f.b.stage(f.part, files)
		c.clear()
	}
	f.end() // on error the rows stay, and Commit writes them
	return err
}

// mayEnd refuses what would come too late: a Commit that failed may have taken effect, without the file.
func (f *File) mayEnd() error {
	switch {
	case f.ended:
		return errors.New("log file ended twice")
	case f.b.attempted:
		return errors.New("log file added to a batch after Commit")
	}
	return nil
}

// edit lets the caller change the row, but for what the lake counts itself.
func (f *File) edit(edit func(*LogFile)) {
	old := f.row.LogFile
	edit(&f.row.LogFile)
	f.row.Events, f.row.First, f.row.Last = old.Events, old.First, old.Last
}

// Quarantine ends the file without its events: only its row, with the reason, will be committed.
func (f *File) Quarantine(reason string, edit func(*LogFile)) error {
	if err := f.mayEnd(); err != nil {
		return err
	}
	f.forget()
	f.row.Events, f.row.calls, f.row.First, f.row.Last = 0, 0, time.Time{}, time.Time{}
	if edit != nil {
		f.edit(edit)
	}
	f.row.Status, f.row.Reason = StatusQuarantined, reason
	f.b.claim(f)
	f.end()
	return nil
}

// Drop ends the file and leaves it out of the batch. After Done or Quarantine it does nothing, so it may be deferred.
func (f *File) Drop() {
	if f.ended {
		return
	}
	f.forget()
	f.end()
}

// forget removes the file's rows.
func (f *File) forget() {
	if f.c != nil {
		f.c.forget()
	}
	remove(f.spill)
	f.spill = nil
}

func (f *File) end() {
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	if f.c != nil {
		f.part.free = append(f.part.free, f.c)
	}
	f.b.open--
	f.c, f.ended = nil, true
}

// claim makes the file's events the batch's: those that it has already are dropped. It returns false when the batch has
// the log file already.
func (b *Batch) claim(f *File) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := fileKeyOf(f.row.Object, f.row.Size, f.row.ETag)
	if _, again := b.identity[id]; again {
		return false
	}
	b.identity[id] = struct{}{}
	f.row.skip = false
	b.events += f.row.Events
	if f.c == nil {
		return true
	}
	for _, s := range f.spill {
		for i, k := range s.keys {
			b.claimKey(f.part, k, s.refs[i])
		}
	}
	for _, h := range f.c.heads[f.c.start.n:] {
		b.claimKey(f.part, h.key, h.ref)
	}
	f.part.staged, f.spill = append(f.part.staged, f.spill...), nil
	return true
}

// claimKey notes a row of the batch, or that it is a duplicate.
func (b *Batch) claimKey(p *part, k key, r ref) {
	if k == (key{}) {
		return
	}
	if _, again := p.seen[k]; again {
		b.files[r.file].drop(r.index)
		return
	}
	p.seen[k] = r
}

func (b *Batch) stage(p *part, files []*dataFile) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.staged = append(p.staged, files...)
}

// write writes the rows of chunks but for those that are dropped. It leaves the rows where they are, but for those of
// the first chunk when there are several.
func (b *Batch) write(chunks ...*chunk) ([]*dataFile, error) {
	for _, other := range chunks[1:] {
		chunks[0].take(other, b.kept(other))
		other.clear()
	}
	return b.encode(chunks[0], b.kept(chunks[0]))
}

// kept returns a chunk's rows that aren't dropped.
func (b *Batch) kept(c *chunk) []uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	rows := make([]uint32, 0, c.n)
	for i, h := range c.heads {
		if !b.files[h.ref.file].drops(h.ref.index) {
			rows = append(rows, uint32(i))
		}
	}
	return rows
}

// encode writes rows of a chunk to pieces. When it returns an error it has written none.
func (b *Batch) encode(c *chunk, rows []uint32) ([]*dataFile, error) {
	files, err := c.w.write(c, rows, b.l.scratch, b.pieceName)
	if err != nil {
		remove(files)
		return nil, err
	}
	return files, nil
}

func (b *Batch) fileName() string { return b.newName() + ".parquet" }

func (b *Batch) pieceName() string { return b.newName() + ".tmp" }

func (b *Batch) newName() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.written++
	return fmt.Sprintf("%s-%05d", b.id, b.written)
}

// flush writes the rows that are still in memory.
func (b *Batch) flush() error {
	b.mu.Lock()
	open := b.open
	b.mu.Unlock()
	if open > 0 {
		return fmt.Errorf("%d log files were not ended", open)
	}
	for _, p := range b.parts { // all to itself now
		if len(p.free) == 0 {
			continue
		}
		files, err := b.write(p.free...)
		if err != nil {
			return err
		}
		b.stage(p, files)
		for _, c := range p.free {
			b.l.recycle(c)
		}
		p.free = nil
	}
	return nil
}

// Result tells what a commit brought.
type Result struct {
	Batch       string
	Files       int   // log files, quarantined ones included, and digest files not
	Digests     int   // digest files
	Skipped     int   // log files that another collector had brought meanwhile
	Quarantined int   // of Files
	Events      int64 // rows of events added
	Calls       int64 // events of Files that are AI calls (RolePrimary), duplicates included
	Invocations int64 // rows of invocations added
	Duplicates  int64 // events and invocations dropped because the lake had them
}

// Commit ends the batch: all its files and their events are in the lake, and on disk, when it returns nil. When it
// returns an error none of them is, or all are (the error came after the commit took effect): Commit may be called again
// until it returns nil, which never adds anything twice; or the batch may be given up by Discard and the log files
// collected anew.
func (b *Batch) Commit(ctx context.Context) (Result, error) {
	switch {
	case b.done != nil:
		return *b.done, nil
	case b.discarded:
		return Result{}, errors.New("commit of a discarded batch")
	case b.l.opts.ReadOnly:
		return Result{}, ErrReadOnly
	}
	b.attempted = true
	err := b.flush()
	if err == nil {
		err = b.assemble() // most of the work, without the lock
	}
	if err != nil {
		return Result{}, fmt.Errorf("writing to lake %s: %w", b.l.d.root, err)
	}
	r, err := b.commit(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("committing to lake %s: %w", b.l.d.root, err)
	}
	b.done = &r
	b.clear()
	b.l.log.Info("batch committed", "batch", r.Batch, "files", r.Files, "events", r.Events,
		"invocations", r.Invocations, "digests", r.Digests, "duplicates", r.Duplicates, "quarantined", r.Quarantined, "skipped", r.Skipped)
	b.l.tidy(ctx, b)
	return r, nil
}

// Discard gives the batch up and removes what it wrote, but for a batch whose Commit took effect.
func (b *Batch) Discard() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done != nil || b.discarded {
		return nil
	}
	b.discarded = true
	b.clear()
	if b.attempted {
		committed, err := b.l.holds(b.id)
		if err != nil || committed || b.unknown {
			return err
		}
	}
	for _, p := range b.parts {
		remove(p.files)
	}
	return nil
}

// clear removes what isn't needed once the batch is committed or given up.
func (b *Batch) clear() {
	for _, p := range b.parts {
		for _, c := range p.free {
			b.l.recycle(c)
		}
		remove(p.staged)
		p.free, p.staged, p.seen = nil, nil, nil
	}
}
