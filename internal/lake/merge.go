package lake

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"

	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"
)

// cursor reads a file of events row by row.
type cursor struct {
	path  string
	file  *os.File
	r     *parquet.GenericReader[eventRow]
	rows  []eventRow
	i, n  int
	end   bool
	row   *eventRow // where it stands
	order int       // when it was opened: files opened earlier come first among rows of one time
}

func openCursor(path string, open func(string) (*os.File, error)) (*cursor, error) {
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	return &cursor{path: path, file: file, r: parquet.NewGenericReader[eventRow](file), rows: make([]eventRow, rowsPerRead)}, nil
}

// next returns the next row, which holds until the call after; nil at the end.
func (c *cursor) next() (*eventRow, error) {
	for c.i == c.n {
		if c.end {
			return nil, nil
		}
		clear(c.rows)
		n, err := c.r.Read(c.rows)
		c.i, c.n, c.end = 0, n, errors.Is(err, io.EOF)
		if err != nil && !c.end {
			return nil, fmt.Errorf("%s: %w", c.path, err)
		}
	}
	c.i++
	return &c.rows[c.i-1], nil
}

func (c *cursor) close() { _ = errors.Join(c.r.Close(), c.file.Close()) } // it was read

// fanIn is how many files are read at once by a merge.
const fanIn = 16

// sortedFile is a file of events, sorted by time, that a merge reads.
type sortedFile struct {
	path    string
	first   micros // of its rows; noTime for rows without a time
	last    micros
	scratch bool // written by the merge itself, and removed by it
}

// merger merges files of events, sorted by time, into one sequence of rows. Its memory depends on how many files overlap
// in time at most, which is fanIn: where more do, some are merged into a file of their own first.
type merger struct {
	d       *disk
	scratch *disk // where such files are
	spent   []string
}

// merge yields each row in the order of time; a row holds until the next. It ends at the first error.
func (m *merger) merge(ctx context.Context, files []sortedFile) iter.Seq2[*eventRow, error] {
	return func(yield func(*eventRow, error) bool) {
		defer m.clean()
		slices.SortStableFunc(files, func(a, b sortedFile) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.path, b.path)) })
		for overlap(files) > fanIn {
			var merged []sortedFile
			for group := range slices.Chunk(files, fanIn) {
				f, err := m.run(ctx, group)
				if err != nil {
					yield(nil, err)
					return
				}
				merged = append(merged, f)
			}
			files = merged
		}
		for row, err := range m.once(ctx, files) {
			if !yield(row, err) {
				return
			}
		}
	}
}

// overlap returns how many of the files, in the order of their first times, overlap at most.
func overlap(files []sortedFile) int {
	var open []micros // last times
	most := 0
	for _, f := range files {
		open = slices.DeleteFunc(open, func(last micros) bool { return last < f.first })
		open = append(open, f.last)
		most = max(most, len(open))
	}
	return most
}

// run merges files into a scratch file.
func (m *merger) run(ctx context.Context, files []sortedFile) (sortedFile, error) {
	if len(files) == 1 {
		return files[0], nil
	}
	merged := sortedFile{path: join(m.scratch.root, uuid.NewString()+".tmp"), first: files[0].first, last: files[0].last, scratch: true}
	for _, f := range files {
		merged.last = max(merged.last, f.last)
	}
	m.spent = append(m.spent, merged.path)
	rows := pullRows(m.once(ctx, files))
	defer rows.stop()
	if err := newChunk(m.scratch, Events).drain(&dataFile{path: merged.path}, rows, math.MaxInt64); err != nil {
		return sortedFile{}, err
	}
	for _, f := range files {
		if f.scratch {
			_ = m.scratch.Remove(f.path) // clean does it at last
		}
	}
	return merged, nil
}

// clean removes the scratch files.
func (m *merger) clean() {
	for _, path := range m.spent {
		_ = m.scratch.Remove(path) // it may be gone; what can't be removed is an orphan
	}
	m.spent = nil
}

// once merges files, each of which it opens when its first row's time has come.
func (m *merger) once(ctx context.Context, files []sortedFile) iter.Seq2[*eventRow, error] {
	return func(yield func(*eventRow, error) bool) {
		var open cursors
		defer func() {
			for _, c := range open {
				c.close()
			}
		}()
		for n := 0; len(open) > 0 || len(files) > 0; n++ {
			err := m.due(&open, &files, n)
			if err == nil && n%rowsPerRead == 0 {
				err = context.Cause(ctx)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(open) == 0 {
				continue
			}
			c := open[0]
			if !yield(c.row, nil) {
				return
			}
			if c.row, err = c.next(); err != nil {
				yield(nil, err)
				return
			}
			if c.row != nil {
				heap.Fix(&open, 0)
			} else {
				heap.Pop(&open).(*cursor).close()
			}
		}
	}
}

// due opens the files whose first row's time has come.
func (m *merger) due(open *cursors, files *[]sortedFile, order int) error {
	for len(*files) > 0 && (len(*open) == 0 || (*files)[0].first <= timeOf((*open)[0].row)) {
		f := (*files)[0]
		*files = (*files)[1:]
		d := m.d
		if f.scratch {
			d = m.scratch
		}
		c, err := openCursor(f.path, d.open)
		if err != nil {
			return err
		}
		c.order = order
		if c.row, err = c.next(); err != nil {
			c.close()
			return err
		}
		if c.row == nil {
			c.close()
			continue
		}
		heap.Push(open, c)
	}
	return nil
}

// cursors is a heap by the time of the rows they stand at.
type cursors []*cursor

func (c cursors) Len() int { return len(c) }
func (c cursors) Less(i, j int) bool {
	a, b := timeOf(c[i].row), timeOf(c[j].row)
	return a < b || a == b && c[i].order < c[j].order
}
func (c cursors) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *cursors) Push(x any)   { *c = append(*c, x.(*cursor)) }
func (c *cursors) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

func timeOf(row *eventRow) micros {
	if row.EventTime == nil {
		return noTime
	}
	return *row.EventTime
}

// pulled is rows that are asked for one by one, with a look at the next.
type pulled[T any] struct {
	next  func() (T, error, bool)
	stop  func()
	ahead T
	more  bool
	err   error
	n     int64       // rows taken
	said  func(int64) // told n now and then, if it isn't nil
}

func pullRows[T any](rows iter.Seq2[T, error]) *pulled[T] {
	p := &pulled[T]{}
	p.next, p.stop = iter.Pull2(rows)
	p.look()
	return p
}

func (p *pulled[T]) look() {
	p.ahead, p.err, p.more = p.next()
	p.more = p.more && p.err == nil
}

// groupRows and groupBytes are how many rows a merge writes as a row group, and how much memory of them: fewer row groups cost
// fewer steps to read, and one merge at a time has more memory than readers of log files have each.
const (
	groupRows  = 64 << 10
	groupBytes = 64 << 20
)

// drain writes so many of the rows into a file, in row groups of groupRows.
func (c *chunk) drain(f *dataFile, rows *pulled[*eventRow], limit int64) error {
	f.day, f.dayless = 0, true
	return c.w.file(f, c.layout, func() error {
		for rows.more && limit > 0 {
			d, timed := day(timeOf(rows.ahead))
			f.day, f.dayless = d, !timed
			for rows.more && limit > 0 && c.n < groupRows && c.bytes < groupBytes {
				c.addRow(rows.ahead, ref{})
				if rows.n++; rows.said != nil && rows.n%10_000 == 0 {
					rows.said(rows.n)
				}
				limit--
				rows.look()
			}
			if rows.err != nil {
				return rows.err
			}
			if err := c.w.group(f, &c.columns, c.since(0)); err != nil {
				return err
			}
			c.clear()
		}
		return rows.err
	})
}
