package lake

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// dataFile is a Parquet file that was written and is not in a table yet.
type dataFile struct {
	d        *disk  // where it is
	path     string // there
	day      int32
	dayless  bool
	unsorted bool // its rows aren't in the order of time
	rows     int64
	bytes    int64
	refs     []ref // of a batch's piece: its rows in their order
	keys     []key // of a batch: the rows' identities, the zero key where there is none
	groups   []format.RowGroup
	pieces   []*dataFile // that it was joined from, in their order
	bounds   bounds
	metrics  metrics
}

// metrics are a file's counts by field id, as Iceberg has them.
type metrics struct {
	sizes, values, nulls map[int]int64
	splits               []int64
}

// bounds are the bounds of the columns that queries narrow by.
type bounds struct {
	timed       bool // some row has a time
	first, last micros
	text        [len(boundColumns)]struct{ low, high string } // "" when no row has a value
}

// boundColumns are the text columns with bounds, by name and field id.
var boundColumns = [...]struct {
	name string
	id   int
}{{"eventSource", 4}, {"eventName", 5}, {"awsRegion", 6}, {"errorCode", 9}, {"recipientAccountId", 21}, {"ai_service", 50}, {"model_id", 52}, {"actor", 54}}

func (b *bounds) time(t micros) {
	if !b.timed || t < b.first {
		b.first = t
	}
	if !b.timed || t > b.last {
		b.last = t
	}
	b.timed = true
}

// statistics takes in what a row group's statistics say of the time, if they do.
func (b *bounds) statistics(s *format.Statistics) {
	if len(s.MinValue) == 8 && len(s.MaxValue) == 8 {
		b.time(micros(binary.LittleEndian.Uint64(s.MinValue)))
		b.time(micros(binary.LittleEndian.Uint64(s.MaxValue)))
	}
}

// widen takes in the least and the greatest of a column's texts.
func (b *bounds) widen(column int, low, high string) {
	t := &b.text[column]
	if t.low == "" || low < t.low {
		t.low = strings.Clone(low)
	}
	if high > t.high {
		t.high = strings.Clone(high)
	}
}

// boundLength is how many characters of a text Iceberg keeps as a bound.
const boundLength = 16

// lowerText and upperText shorten bounds; upperText returns "" when there is no short upper bound.
func lowerText(s string) string {
	for i, n := 0, 0; i < len(s); n++ {
		if n == boundLength {
			return strings.Clone(s[:i])
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		i += size
	}
	return strings.Clone(s)
}

func upperText(s string) string {
	short := lowerText(s)
	if len(short) == len(s) {
		return short
	}
	// The least text above all that begin with short: its last ASCII character but DEL, raised by one.
	for i := len(short) - 1; i >= 0; i-- {
		if short[i] < 0x7f {
			return short[:i] + string(rune(short[i]+1))
		}
	}
	return ""
}

// write writes rows to files, one for each day, each sorted by time. Rows of tables without days go into one file, as they come.
func (w *encoder) write(c *chunk, rows []uint32, d *disk, name func() string) ([]*dataFile, error) {
	slices.SortFunc(rows, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(c.heads[a].time, c.heads[b].time), cmp.Compare(a, b))
	})
	var files []*dataFile
	for len(rows) > 0 {
		on, ok := day(c.heads[rows[0]].time)
		n := 1
		for n < len(rows) {
			if other, also := day(c.heads[rows[n]].time); other != on || also != ok {
				break
			}
			n++
		}
		f := &dataFile{d: d, path: join(d.root, name()), day: on, dayless: !ok}
		if err := w.writeFile(f, c, rows[:n]); err != nil {
			return files, err
		}
		files, rows = append(files, f), rows[n:]
	}
	return files, nil
}

// day returns the number of a time's UTC day since 1970, and false for no time.
func day(t micros) (int32, bool) {
	if t == noTime {
		return 0, false
	}
	const length = 24 * 3600 * 1e6
	d := t / length
	if t%length < 0 {
		d--
	}
	return int32(d), true
}

// dayDir is the folder of a table's files of a day, and of files without one.
func (l *Lake) dayDir(table string, on int32, dayless bool) string {
	dir := l.dataDir(table)
	switch {
	case !byDay(table):
		return dir
	case dayless:
		return join(dir, dayField(table)+"=null")
	}
	return join(dir, dayField(table)+"="+time.Unix(int64(on)*86400, 0).UTC().Format(time.DateOnly))
}

func (w *encoder) writeFile(f *dataFile, c *chunk, rows []uint32) error {
	f.refs, f.keys = make([]ref, len(rows)), make([]key, len(rows))
	for i, row := range rows {
		f.refs[i], f.keys[i] = c.heads[row].ref, c.heads[row].key
	}
	return w.create(f, &c.columns, rows)
}

// measure takes the metrics from a file's footer, given the leaves' field ids.
func (f *dataFile) measure(footer *format.FileMetaData, size int64, ids []int) {
	f.rows, f.bytes = footer.NumRows, size
	f.metrics = metrics{map[int]int64{}, map[int]int64{}, map[int]int64{}, nil}
	for _, group := range footer.RowGroups {
		if offset := group.FileOffset; offset > 0 {
			f.metrics.splits = append(f.metrics.splits, offset)
		}
		for i, c := range group.Columns {
			m := &c.MetaData
			f.metrics.sizes[ids[i]] += m.TotalCompressedSize
			f.metrics.values[ids[i]] += m.NumValues
			f.metrics.nulls[ids[i]] += m.Statistics.NullCount
		}
	}
}

// span takes the day and the bounds of the time from a file's footer.
func (f *dataFile) span(footer *format.FileMetaData, ids []int) {
	for _, group := range footer.RowGroups {
		for i, c := range group.Columns {
			if ids[i] == timeFieldID {
				f.bounds.statistics(&c.MetaData.Statistics)
			}
		}
	}
	if f.bounds.timed {
		d, ok := day(f.bounds.first)
		f.day, f.dayless = d, !ok
	}
}

// leafIDs appends the field ids of a schema's leaf columns, in order.
func leafIDs(n parquet.Node, ids []int) []int {
	for _, f := range n.Fields() {
		if f.Leaf() {
			ids = append(ids, f.ID())
		} else {
			ids = leafIDs(f, ids)
		}
	}
	return ids
}

// iceberg describes the file for its table.
func (f *dataFile) iceberg(d *disk, spec iceberg.PartitionSpec) (iceberg.DataFile, error) {
	partition, logical := map[int]any{}, map[int]string{}
	if !spec.IsUnpartitioned() {
		logical[dayFieldID] = "date"
		partition[dayFieldID] = iceberg.Date(f.day)
		if f.dayless {
			partition[dayFieldID] = nil
		}
	}
	b, err := iceberg.NewDataFileBuilder(spec, iceberg.EntryContentData, d.name(f.path), iceberg.ParquetFile,
		partition, logical, nil, f.rows, f.bytes)
	if err != nil {
		return nil, err
	}
	lower, upper, err := f.bounds.binary()
	if err != nil {
		return nil, err
	}
	b.ColumnSizes(f.metrics.sizes).ValueCounts(f.metrics.values).NullValueCounts(f.metrics.nulls)
	b.LowerBoundValues(lower).UpperBoundValues(upper).SplitOffsets(f.metrics.splits)
	if !f.unsorted && !spec.IsUnpartitioned() && spec.Field(0).Name == dayField(Events) {
		b.SortOrderID(timeSortID)
	}
	return b.Build(), nil
}

// binary returns the bounds in Iceberg's single-value form.
func (b *bounds) binary() (lower, upper map[int][]byte, err error) {
	lower, upper = map[int][]byte{}, map[int][]byte{}
	if b.timed {
		if lower[timeFieldID], err = iceberg.TimestampLiteral(b.first).MarshalBinary(); err != nil {
			return nil, nil, err
		}
		if upper[timeFieldID], err = iceberg.TimestampLiteral(b.last).MarshalBinary(); err != nil {
			return nil, nil, err
		}
	}
	for i, t := range b.text {
		if t.low != "" {
			lower[boundColumns[i].id] = []byte(lowerText(t.low))
		}
		if u := upperText(t.high); u != "" {
			upper[boundColumns[i].id] = []byte(u)
		}
	}
	return lower, upper, nil
}
