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

// cursor reads a run row by row.
type cursor struct {
	path  string
	file  *os.File
	r     *parquet.GenericReader[eventRow]
	rows  []eventRow
	i, n  int
	end   bool
	row   *eventRow // where it stands
	order int       // when it was opened: runs opened earlier come first among rows of one time
}

func openCursor(d *disk, r run) (*cursor, error) {
	file, view, err := openParquet(d, r.path)
	if err != nil {
		return nil, err
	}
	c := &cursor{path: r.path, file: file, rows: make([]eventRow, rowsPerRead)}
	if r.group == allGroups {
		c.r = parquet.NewGenericReader[eventRow](view)
	} else {
		c.r = parquet.NewGenericRowGroupReader[eventRow](view.RowGroups()[r.group])
	}
	return c, nil
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

// fanIn is how many runs are read at once by a merge.
const fanIn = 16

// run is rows of events, sorted by time, that a merge reads: a row group of a data file, or a scratch file.
type run struct {
	path    string
	group   int    // its place in the file, or allGroups
	first   micros // of its rows; noTime for rows without a time
	last    micros
	scratch bool // written by the merge itself, and removed by it
}

const allGroups = -1

// runsOf returns the runs of a data file. A file of a batch has a row group for each piece, and those may overlap.
func runsOf(d *disk, f DataFile) ([]run, error) {
	file, view, err := openParquet(d, f.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	time := slices.Index(leafIDs(view.Schema(), nil), timeFieldID)
	var runs []run
	for i, group := range view.Metadata().RowGroups {
		r := run{path: f.Path, group: i, first: noTime, last: noTime}
		var b bounds
		if time >= 0 {
			b.statistics(&group.Columns[time].MetaData.Statistics)
		}
		switch {
		case b.timed:
			r.first, r.last = b.first, b.last
		case !f.Last.IsZero(): // another program's
			r.first, r.last = micros(f.First.UnixMicro()), micros(f.Last.UnixMicro())
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// merger merges runs into one sequence of rows. Its memory depends on how many overlap in time at most, which is fanIn:
// where more do, some are merged into a file of their own first.
type merger struct {
	d       *disk
	scratch *disk // where such files are
	spent   []string
}

// merge yields each row in the order of time; a row holds until the next. It ends at the first error.
func (m *merger) merge(ctx context.Context, runs []run) iter.Seq2[*eventRow, error] {
	return func(yield func(*eventRow, error) bool) {
		defer m.clean()
		slices.SortStableFunc(runs, func(a, b run) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.path, b.path)) })
		for overlap(runs) > fanIn {
			var fewer []run
			for some := range slices.Chunk(runs, fanIn) {
				r, err := m.together(ctx, some)
				if err != nil {
					yield(nil, err)
					return
				}
				fewer = append(fewer, r)
			}
			runs = fewer
		}
		for row, err := range m.once(ctx, runs) {
			if !yield(row, err) {
				return
			}
		}
	}
}

// overlap returns how many of the runs, in the order of their first times, overlap at most.
func overlap(runs []run) int {
	var open []micros // last times
	most := 0
	for _, r := range runs {
		open = slices.DeleteFunc(open, func(last micros) bool { return last < r.first })
		open = append(open, r.last)
		most = max(most, len(open))
	}
	return most
}

// together merges runs into a scratch file.
func (m *merger) together(ctx context.Context, runs []run) (run, error) {
	if len(runs) == 1 {
		return runs[0], nil
	}
	merged := run{path: join(m.scratch.root, uuid.NewString()+".tmp"), group: allGroups, first: runs[0].first, last: runs[0].last, scratch: true}
	for _, r := range runs {
		merged.last = max(merged.last, r.last)
	}
	m.spent = append(m.spent, merged.path)
	rows := pullRows(m.once(ctx, runs))
	defer rows.stop()
	if err := newChunk(Events).drain(&dataFile{d: m.scratch, path: merged.path}, rows, math.MaxInt64); err != nil {
		return run{}, err
	}
	for _, r := range runs {
		if r.scratch {
			_ = m.scratch.Remove(r.path) // clean does it at last
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

// once merges runs, each of which it opens when its first row's time has come.
func (m *merger) once(ctx context.Context, runs []run) iter.Seq2[*eventRow, error] {
	return func(yield func(*eventRow, error) bool) {
		var open cursors
		defer func() {
			for _, c := range open {
				c.close()
			}
		}()
		for n := 0; len(open) > 0 || len(runs) > 0; n++ {
			err := m.due(&open, &runs, n)
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

// due opens the runs whose first row's time has come.
func (m *merger) due(open *cursors, runs *[]run, order int) error {
	for len(*runs) > 0 && (len(*open) == 0 || (*runs)[0].first <= timeOf((*open)[0].row)) {
		r := (*runs)[0]
		*runs = (*runs)[1:]
		d := m.d
		if r.scratch {
			d = m.scratch
		}
		c, err := openCursor(d, r)
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
