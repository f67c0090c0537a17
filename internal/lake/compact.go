package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
)

// TargetBytes is how large compaction makes data files.
const TargetBytes = 128 << 20

// Compacted tells what compaction did to a table.
type Compacted struct {
	Table    string `json:"table"`
	Before   int64  `json:"files_before"` // data files of the table
	After    int64  `json:"files_after"`
	Replaced int64  `json:"files_replaced"` // of those before
	Rows     int64  `json:"rows"`           // written anew
	Bytes    int64  `json:"bytes"`          // written
	Skipped  int64  `json:"skipped"`        // groups of files left alone because another process replaced some meanwhile
}

// Compact writes small data files of a table together into files of some TargetBytes: those of events day by day, sorted
// by time. Each day is a commit of its own, which changes no row; collectors and readers go on meanwhile. It may be
// stopped and repeated at any time. Memory doesn't grow with the table.
func (l *Lake) Compact(ctx context.Context, name string, progress Progress) (Compacted, error) {
	c := compaction{l: l, target: TargetBytes, done: Compacted{Table: name}, progress: progress}
	err := c.run(ctx, name)
	if err != nil {
		err = fmt.Errorf("compacting %s in lake %s: %w", name, l.d.root, err)
	}
	return c.done, err
}

// compaction is one run over a table, or over some of its days.
type compaction struct {
	l        *Lake
	target   int64
	few      int                // days with no more small files than this are left alone
	small    int64              // files of this size and more are left alone; 3/4 of target when 0
	days     map[time.Time]bool // nil for all
	done     Compacted
	progress Progress
}

// run compacts a table.
func (c *compaction) run(ctx context.Context, name string) error {
	if c.l.opts.ReadOnly {
		return ErrReadOnly
	}
	t, err := c.current(name)
	if err != nil {
		return err
	}
	entries, err := c.l.entries(t)
	if err != nil {
		return err
	}
	c.done.Before = int64(len(entries))
	groups := c.plan(entries)
	var todo, did int64
	for _, g := range groups {
		for _, f := range g {
			todo += f.Rows
		}
	}
	c.done.After = c.done.Before
	for _, g := range groups {
		n, err := c.compact(ctx, name, g, func(rows int64) { c.progress.report(StepCompact, name, did+rows, todo) })
		switch {
		case errors.Is(err, errReplaced):
			c.done.Skipped++
		case err != nil:
			return err
		default:
			c.done.Replaced += int64(len(g))
			c.done.After += int64(n - len(g))
		}
		for _, f := range g {
			did += f.Rows
		}
	}
	return nil
}

func (c *compaction) current(name string) (*loaded, error) {
	if name != Events && name != LogFiles {
		return c.l.table(name)
	}
	events, files, err := c.l.refresh()
	if name == LogFiles {
		return files, err
	}
	return events, err
}

// plan returns the groups of files to write together: for each day, or of all the table, the small ones if there are several.
func (c *compaction) plan(entries []DataFile) [][]DataFile {
	small := c.small
	if small == 0 {
		small = c.target / 4 * 3
	}
	days := map[time.Time][]DataFile{}
	for _, f := range entries {
		if f.Bytes < small && (c.days == nil || c.days[f.Day]) {
			days[f.Day] = append(days[f.Day], f)
		}
	}
	var groups [][]DataFile
	for _, g := range days {
		if !byDay(c.done.Table) {
			g = withoutLarge(g)
		}
		if len(g) > max(1, c.few) {
			slices.SortFunc(g, compareFiles)
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b []DataFile) int { return a[0].Day.Compare(b[0].Day) })
	return groups
}

// withoutLarge leaves out files beside which the smaller ones are few: all of a table that isn't by day would be written anew
// at each run, and read anew by collectors.
func withoutLarge(files []DataFile) []DataFile {
	slices.SortFunc(files, func(a, b DataFile) int { return cmp.Compare(a.Bytes, b.Bytes) })
	var smaller int64
	end := 0
	for i, f := range files {
		if f.Bytes < tidyBytes || f.Bytes <= 8*smaller {
			end = i + 1
		}
		smaller += f.Bytes
	}
	return files[:end]
}

// compact writes files of one day anew and puts them in the place of the old ones. It returns how many it wrote.
func (c *compaction) compact(ctx context.Context, name string, old []DataFile, progress func(rows int64)) (int, error) {
	written, err := c.write(ctx, name, old, progress)
	if err != nil {
		remove(written)
		return 0, err
	}
	if err := c.commit(ctx, name, old, written); err != nil {
		there, lookErr := c.l.holdsFile(name, written[0].path)
		if lookErr != nil {
			return 0, errors.Join(err, lookErr) // nobody knows: what isn't in the table is an orphan
		}
		if !there {
			if !errors.Is(err, errUnknown) {
				remove(written)
			}
			return 0, err
		}
		if err := c.l.d.syncDir(c.l.metadataDir(name)); err != nil {
			return 0, err
		}
	}
	for _, f := range written {
		c.done.Rows += f.rows
		c.done.Bytes += f.bytes
	}
	return len(written), nil
}

// holdsFile tells whether a file is in a table.
func (l *Lake) holdsFile(name, path string) (bool, error) {
	c := compaction{l: l}
	t, err := c.current(name)
	if err != nil {
		return false, err
	}
	entries, err := l.entries(t)
	return slices.ContainsFunc(entries, func(e DataFile) bool { return e.Path == path }), err
}

// write merges files into new ones.
func (c *compaction) write(ctx context.Context, name string, old []DataFile, progress func(rows int64)) (written []*dataFile, err error) {
	var rows, bytes int64
	for _, f := range old {
		rows, bytes = rows+f.Rows, bytes+f.Bytes
	}
	parts := max(1, (bytes+c.target/2)/c.target)
	w := &rewriter{l: c.l, dir: parent(old[0].Path), limit: (rows + parts - 1) / parts, progress: progress}
	if name == Events {
		err = w.events(ctx, old)
	} else {
		err = w.others(ctx, name, old)
	}
	if err == nil && w.rows != rows {
		err = fmt.Errorf("files of %d rows were read as %d rows", rows, w.rows)
	}
	if err == nil {
		err = c.l.d.syncDir(w.dir)
	}
	return w.files, err
}

// rewriter writes the rows of old files into new ones.
type rewriter struct {
	l        *Lake
	dir      string
	limit    int64 // rows of a file
	rows     int64
	files    []*dataFile
	progress func(rows int64)
}

func (w *rewriter) file() *dataFile {
	f := &dataFile{d: w.l.d, path: join(w.dir, newName("-compact.parquet"))}
	w.files = append(w.files, f)
	return f
}

func (w *rewriter) events(ctx context.Context, old []DataFile) error {
	var all []run
	for _, f := range old {
		runs, err := runsOf(w.l.d, f)
		if err != nil {
			return err
		}
		all = append(all, runs...)
	}
	m := &merger{d: w.l.d, scratch: w.l.scratch}
	rows := pullRows(m.merge(ctx, all))
	defer rows.stop()
	rows.said = w.progress
	c := w.l.chunk(Events)
	defer w.l.recycle(c)
	for rows.more {
		if err := c.drain(w.file(), rows, w.limit); err != nil {
			return err
		}
		w.rows = rows.n
		w.progress(w.rows)
	}
	return rows.err
}

// others writes the rows of other tables one file after the other: the names of files of log_files and digests begin with the time
// they were written at, and those of invocations come in the order of their first times.
func (w *rewriter) others(ctx context.Context, name string, old []DataFile) error {
	c := w.l.chunk(name)
	defer w.l.recycle(c)
	for len(old) > 0 {
		f, n := w.file(), w.rows
		f.day, f.dayless = int32(old[0].Day.Unix()/86400), old[0].Day.IsZero()
		err := c.w.file(f, c.layout, func() error {
			for len(old) > 0 && (w.rows == n || w.rows-n+old[0].Rows <= w.limit) {
				err := c.copy(ctx, f, w.l.d, old[0].Path, func(int64) bool { w.rows++; return true })
				if err != nil {
					return err
				}
				old = old[1:]
				w.progress(w.rows)
			}
			return c.flush(f)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// copy adds the rows of a file that are kept to f, which is being written, and leaves the last ones in the chunk: see flush.
func (c *chunk) copy(ctx context.Context, f *dataFile, d *disk, path string, kept func(i int64) bool) error {
	var failed error
	err := c.read(d, path, func(i int64) (ref, bool) {
		if failed == nil {
			failed = context.Cause(ctx)
		}
		if failed == nil && (c.n >= chunkRows || c.bytes >= chunkBytes) {
			failed = c.flush(f)
		}
		return ref{}, failed == nil && kept(i)
	})
	return errors.Join(failed, err)
}

// flush writes the rows as a row group.
func (c *chunk) flush(f *dataFile) error {
	if c.n > 0 {
		if err := c.w.group(f, &c.columns, c.since(0)); err != nil {
			return err
		}
	}
	c.clear()
	return nil
}

// commit puts files in the place of others, which must all be in the table.
func (c *compaction) commit(ctx context.Context, name string, old []DataFile, written []*dataFile) error {
	unlock, err := c.l.d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	paths := map[string]struct{}{}
	for _, f := range old {
		paths[f.Path] = struct{}{}
	}
	return retry(ctx, func() error {
		t, err := c.current(name)
		if err != nil {
			return err
		}
		return c.l.replace(ctx, t, change{old: paths, files: written, summary: iceberg.Properties{summaryMaintenance: "compaction"}})
	})
}
