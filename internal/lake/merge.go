package lake

import (
	"bufio"
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"
)

// groupRows is how many rows a row group of a merged file has: what one thread of a reader takes at a time, and what the
// writer holds in memory, compressed.
const groupRows = 128 << 10

// stream writes a Parquet file row by row.
type stream[T any] struct {
	out  io.WriteCloser
	buf  *bufio.Writer
	p    *parquet.GenericWriter[T]
	some []T
	n    int   // rows in some
	rows int64 // written in all
}

func newStream[T any](out io.WriteCloser) *stream[T] {
	buf := bufio.NewWriterSize(out, 256<<10)
	return &stream[T]{
		out: out, buf: buf, p: parquet.NewGenericWriter[T](buf, writerOptions(new(T), newCodec())...), some: make([]T, rowsPerWrite),
	}
}

func (s *stream[T]) add(row *T) error {
	s.some[s.n] = *row
	s.n++
	s.rows++
	if s.n < len(s.some) {
		return nil
	}
	if err := s.write(); err != nil {
		return err
	}
	if s.rows%groupRows == 0 {
		return s.p.Flush()
	}
	return nil
}

func (s *stream[T]) write() error {
	_, err := s.p.Write(s.some[:s.n])
	clear(s.some)
	s.n = 0
	return err
}

// close ends the file, which is durable then, and measures it.
func (s *stream[T]) close(f *dataFile) error {
	err := s.write()
	if err == nil {
		err = s.p.Close()
	}
	if err == nil {
		err = s.buf.Flush()
	}
	if err = errors.Join(err, s.out.Close()); err != nil {
		return err
	}
	f.measure(s.p.File())
	return nil
}

// cursor reads a file of events row by row.
type cursor struct {
	path string
	file *os.File
	r    *parquet.GenericReader[eventRow]
	rows []eventRow
	i, n int
	end  bool
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
	first   micros // of its rows; 0 for rows without a time
	last    micros
	scratch bool // written by the merge itself, and removed by it
}

// merger merges files of events, sorted by time, into one sequence of rows. Its memory depends on how many files overlap
// in time at most, which is fanIn: where more do, some are merged into a file of their own first.
type merger struct {
	d       *disk
	scratch string // folder for such files
	spent   []string
}

// merge calls do for each row in the order of time.
func (m *merger) merge(ctx context.Context, files []sortedFile, do func(*eventRow) error) error {
	defer m.clean()
	slices.SortStableFunc(files, func(a, b sortedFile) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.path, b.path)) })
	for overlap(files) > fanIn {
		var merged []sortedFile
		for group := range slices.Chunk(files, fanIn) {
			f, err := m.run(ctx, group)
			if err != nil {
				return err
			}
			merged = append(merged, f)
		}
		files = merged
	}
	return m.once(ctx, files, do)
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
	if err := os.MkdirAll(m.scratch, 0o700); err != nil {
		return sortedFile{}, err
	}
	merged := sortedFile{path: join(m.scratch, uuid.NewString()+".tmp"), first: files[0].first, last: files[0].last, scratch: true}
	for _, f := range files {
		merged.last = max(merged.last, f.last)
	}
	m.spent = append(m.spent, merged.path)
	out, err := os.OpenFile(merged.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return sortedFile{}, err
	}
	s := newStream[eventRow](out)
	if err := m.once(ctx, files, s.add); err != nil {
		out.Close()
		return sortedFile{}, err
	}
	if err := s.close(new(dataFile)); err != nil {
		return sortedFile{}, err
	}
	for _, f := range files {
		if f.scratch {
			_ = os.Remove(f.path) // clean does it at last
		}
	}
	return merged, nil
}

// clean removes the scratch files.
func (m *merger) clean() {
	for _, path := range m.spent {
		_ = os.Remove(path) // it may be gone; what can't be removed is an orphan
	}
	m.spent = nil
}

// once merges files, each of which it opens when its first row's time has come.
func (m *merger) once(ctx context.Context, files []sortedFile, do func(*eventRow) error) error {
	var open cursors
	defer func() {
		for _, c := range open {
			c.close()
		}
	}()
	for n := 0; len(open) > 0 || len(files) > 0; n++ {
		if n%rowsPerRead == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for len(files) > 0 && (len(open) == 0 || files[0].first <= timeOrZero(open[0].row)) {
			c, err := m.open(files[0])
			if err != nil {
				return err
			}
			files = files[1:]
			if c != nil {
				c.order = n
				heap.Push(&open, c)
			}
		}
		if len(open) == 0 {
			continue
		}
		c := open[0]
		if err := do(c.row); err != nil {
			return err
		}
		row, err := c.next()
		if err != nil {
			return err
		}
		if c.row = row; row != nil {
			heap.Fix(&open, 0)
			continue
		}
		heap.Pop(&open).(*head).close()
	}
	return nil
}

// open opens a file at its first row; nil for one without rows.
func (m *merger) open(f sortedFile) (*head, error) {
	open := m.d.open
	if f.scratch {
		open = os.Open
	}
	c, err := openCursor(f.path, open)
	if err != nil {
		return nil, err
	}
	row, err := c.next()
	if err != nil || row == nil {
		c.close()
		return nil, err
	}
	return &head{cursor: c, row: row}, nil
}

// head is a cursor and the row it stands at.
type head struct {
	*cursor
	row   *eventRow
	order int // when it was opened: files opened earlier come first among rows of one time
}

// cursors is a heap by the time of the rows they stand at.
type cursors []*head

func (c cursors) Len() int { return len(c) }
func (c cursors) Less(i, j int) bool {
	a, b := timeOrZero(c[i].row), timeOrZero(c[j].row)
	return a < b || a == b && c[i].order < c[j].order
}
func (c cursors) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *cursors) Push(x any)   { *c = append(*c, x.(*head)) }
func (c *cursors) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

func timeOrZero(row *eventRow) micros {
	if row.EventTime == nil {
		return 0
	}
	return *row.EventTime
}
