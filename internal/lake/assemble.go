package lake

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// assemble joins the batch's pieces to the files that get into the tables, of each day one unless it is large: a row
// group costs readers less than a file. Files that were joined before, of the same pieces, stay.
func (b *Batch) assemble() error {
	for _, p := range b.parts {
		if err := b.assemblePart(p); err != nil {
			return err
		}
	}
	return b.syncData()
}

func (b *Batch) assemblePart(p *part) error {
	var files []*dataFile
	for _, pieces := range p.joins() {
		i := slices.IndexFunc(p.files, func(f *dataFile) bool { return slices.Equal(f.pieces, pieces) })
		if i < 0 {
			f := &dataFile{
				d: b.l.d, path: join(b.l.dayDir(p.table, pieces[0].day, pieces[0].dayless), b.fileName()),
				day: pieces[0].day, dayless: pieces[0].dayless, pieces: pieces,
			}
			c := b.l.chunk(p.table)
			err := c.w.join(f, c.layout)
			b.l.recycle(c)
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%w: %w", ErrStale, err)
			}
			if err != nil {
				return err
			}
			i, p.files = len(p.files), append(p.files, f)
		}
		files = append(files, p.files[i])
	}
	if !b.unknown { // a commit that may yet take effect names them
		remove(slices.DeleteFunc(slices.Clone(p.files), func(f *dataFile) bool { return slices.Contains(files, f) }))
	}
	p.files = files
	return nil
}

// joins returns which pieces to join, in the order of days and times.
func (p *part) joins() (joins [][]*dataFile) {
	pieces := slices.SortedStableFunc(slices.Values(p.staged), func(a, b *dataFile) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.bounds.first, b.bounds.first))
	})
	var size int64
	for i, s := range pieces {
		if i == 0 || s.day != pieces[i-1].day || s.dayless != pieces[i-1].dayless || size+s.bytes > TargetBytes {
			joins, size = append(joins, nil), 0
		}
		last := len(joins) - 1
		joins[last], size = append(joins[last], s), size+s.bytes
	}
	return joins
}

// syncData makes the names of the batch's files durable. A file that is missing, because somebody cleaned the lake's
// folder, is an error: it must not get into the table.
func (b *Batch) syncData() error {
	synced := map[string]struct{}{}
	for _, p := range b.parts {
		for _, f := range p.files {
			there, err := f.d.exists(f.path)
			if err != nil {
				return err
			}
			if !there {
				return fmt.Errorf("%w: %s is gone", ErrStale, f.path)
			}
			dir := parent(f.path)
			if _, done := synced[dir]; done {
				continue
			}
			synced[dir] = struct{}{}
			if err := f.d.syncDir(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// join writes a file of the row groups of its pieces, as they are.
func (w *encoder) join(f *dataFile, l *layout) error {
	return w.file(f, l, func() error {
		for _, s := range f.pieces {
			if err := w.copyGroups(s); err != nil {
				return err
			}
			f.unsorted = f.unsorted || s.unsorted || f.bounds.timed && s.bounds.timed && s.bounds.first < f.bounds.last
			f.bounds.join(&s.bounds)
		}
		return nil
	})
}

// copyGroups adds the row groups of a file.
func (w *encoder) copyGroups(s *dataFile) error {
	in, err := s.d.open(s.path)
	if err != nil {
		return err
	}
	defer in.Close()
	from, length := s.groups[0].FileOffset, int64(0)
	for _, g := range s.groups {
		length += g.TotalCompressedSize
	}
	if _, err := in.Seek(from, io.SeekStart); err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil { // so that the file's ReadFrom is called
		return err
	}
	n, err := w.out.ReadFrom(io.LimitReader(in, length))
	if err == nil && n != length {
		err = fmt.Errorf("%s ends after %d of %d bytes", s.path, n, length)
	}
	if err != nil {
		return err
	}
	shift := w.offset - from
	for _, g := range s.groups {
		g.Columns = slices.Clone(g.Columns)
		g.FileOffset += shift
		g.Ordinal = int16(len(w.footer.RowGroups))
		for i := range g.Columns {
			c := &g.Columns[i]
			c.FileOffset += shift
			c.MetaData.DataPageOffset += shift
			if c.MetaData.DictionaryPageOffset > 0 {
				c.MetaData.DictionaryPageOffset += shift
			}
		}
		w.footer.RowGroups = append(w.footer.RowGroups, g)
		w.footer.NumRows += g.NumRows
	}
	w.offset += length
	return nil
}

// join takes in other bounds.
func (b *bounds) join(o *bounds) {
	if o.timed {
		b.time(o.first)
		b.time(o.last)
	}
	for i, t := range o.text {
		if t.low != "" || t.high != "" {
			b.widen(i, t.low, t.high)
		}
	}
}
