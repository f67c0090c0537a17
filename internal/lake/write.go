package lake

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"
)

// dataFile is a Parquet file that was written and is not in a table yet.
type dataFile struct {
	path    string // of the file system
	day     int32
	dayless bool
	rows    int64
	bytes   int64
	refs    []ref // of events: its rows in their order
	keys    []key // of events: their identities, the zero key where there is none
	bounds  bounds
	metrics metrics
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

func boundColumn(name string) bool {
	for _, c := range boundColumns {
		if c.name == name {
			return true
		}
	}
	return name == "eventTime"
}

func boundValues(r *eventRow) [len(boundColumns)]string {
	return [...]string{r.EventSource, r.EventName, r.AWSRegion, r.ErrorCode, r.RecipientAccountID, r.AIService, r.ModelID, r.Actor}
}

func (b *bounds) add(r *eventRow) {
	if t := r.EventTime; t != nil {
		if !b.timed || *t < b.first {
			b.first = *t
		}
		if !b.timed || *t > b.last {
			b.last = *t
		}
		b.timed = true
	}
	for i, v := range boundValues(r) {
		t := &b.text[i]
		if v != "" && (v < t.low || t.low == "") {
			t.low = v
		}
		if v > t.high {
			t.high = v
		}
	}
}

// own lets go of the rows' memory.
func (b *bounds) own() {
	for i, t := range b.text {
		b.text[i].low, b.text[i].high = strings.Clone(t.low), strings.Clone(t.high)
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

// encoder writes rows into Parquet files. It isn't safe for concurrent use.
type encoder struct {
	d      *disk
	codec  *codec
	out    *bufio.Writer
	order  []*slot
	sorted []*eventRow
	some   []eventRow
}

// rowsPerWrite is how many rows the Parquet writer is given at a time. It is two because of a fault of parquet-go v0.32.0
// (writeRowsFuncOfOptional): among three rows and more, nulls that follow as many values as there were nulls before them
// are written as empty values. With two there is no such place. Writing 256 at a time would take 8 % less time.
const rowsPerWrite = 2

func newEncoder(d *disk) *encoder {
	return &encoder{d: d, codec: newCodec(), out: bufio.NewWriterSize(io.Discard, 256<<10)}
}

func writerOptions(row any, c *codec) []parquet.WriterOption {
	options := []parquet.WriterOption{
		parquet.Compression(c),
		parquet.CreatedBy("aitrail", fmt.Sprint("lake format ", Version), ""),
		parquet.PageBufferSize(256 << 10),
		parquet.WriteBufferSize(0),
		parquet.DataPageVersion(1),
		parquet.DefaultEncodingFor(parquet.Int64, &parquet.DeltaBinaryPacked), // times and indexes
		parquet.DictionaryMaxBytes(2 << 20),
	}
	// Bounds are worth their time only where readers narrow by them.
	for _, path := range parquet.SchemaOf(row).Columns() {
		if !boundColumn(path[len(path)-1]) {
			options = append(options, parquet.SkipPageBounds(path...))
		}
	}
	return options
}

// write writes rows to files, one for each day, each sorted by time.
func (w *encoder) write(slots []*slot, dir string, name func() string) ([]*dataFile, error) {
	w.order = append(w.order[:0], slots...)
	slices.SortFunc(w.order, compareSlots)
	var files []*dataFile
	for rest := w.order; len(rest) > 0; {
		d, ok := day(rest[0].row.EventTime)
		n := 1
		for n < len(rest) {
			if e, also := day(rest[n].row.EventTime); e != d || also != ok {
				break
			}
			n++
		}
		f := &dataFile{path: join(dir, dayFolder(d, ok), name()), day: d, dayless: !ok}
		if err := w.writeFile(f, rest[:n]); err != nil {
			return files, err
		}
		files, rest = append(files, f), rest[n:]
	}
	return files, nil
}

// compareSlots orders rows by time, those without one first.
func compareSlots(a, b *slot) int {
	at, bt := a.row.EventTime, b.row.EventTime
	if at == nil || bt == nil {
		if at != bt {
			return cmp.Compare(present(at), present(bt))
		}
	} else if *at != *bt {
		return cmp.Compare(*at, *bt)
	}
	return cmp.Or(cmp.Compare(a.ref.file, b.ref.file), cmp.Compare(a.ref.index, b.ref.index))
}

func present(t *micros) int {
	if t == nil {
		return 0
	}
	return 1
}

// day returns the number of a time's UTC day since 1970, and false for no time.
func day(t *micros) (int32, bool) {
	if t == nil {
		return 0, false
	}
	const length = 24 * 3600 * 1e6
	d := *t / length
	if *t%length < 0 {
		d--
	}
	return int32(d), true
}

func dayFolder(d int32, ok bool) string {
	if !ok {
		return dayFieldName + "=null"
	}
	return dayFieldName + "=" + time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly)
}

func (w *encoder) writeFile(f *dataFile, slots []*slot) error {
	f.refs, f.keys = make([]ref, len(slots)), make([]key, len(slots))
	w.sorted = w.sorted[:0]
	for i, s := range slots {
		f.refs[i], f.keys[i] = s.ref, keyOf(s.row.EventID, s.row.Extra, s.row.RecipientAccountID)
		f.bounds.add(&s.row)
		w.sorted = append(w.sorted, &s.row)
	}
	f.bounds.own()
	return w.create(f, w.sorted)
}

func (w *encoder) create(f *dataFile, rows []*eventRow) error {
	if w.some == nil {
		w.some = make([]eventRow, rowsPerWrite)
	}
	return create(w, f, rows, w.some)
}

// create writes rows to a file, through some. When it returns an error there is no file.
func create[T any](w *encoder, f *dataFile, rows []*T, some []T) error {
	out, err := w.d.Create(f.path)
	if err != nil {
		return err
	}
	w.out.Reset(out)
	// A new writer for each file: parquet-go v0.32.0's Reset spoils the columns' names in the next file's metadata.
	p := parquet.NewGenericWriter[T](w.out, writerOptions(new(T), w.codec)...)
	err = writeRows(p, rows, some)
	if err == nil {
		err = p.Close()
	}
	if err == nil {
		err = w.out.Flush()
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = w.d.Remove(f.path) // an orphan at worst
		return err
	}
	f.measure(p.File())
	return nil
}

// writeRows writes rows through some, whose rows lie side by side: parquet-go then writes column by column.
func writeRows[T any](w *parquet.GenericWriter[T], rows []*T, some []T) error {
	defer clear(some)
	for len(rows) > 0 {
		n := min(len(rows), len(some))
		for i, r := range rows[:n] {
			some[i] = *r
		}
		if _, err := w.Write(some[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// measure takes the metrics from a written file.
func (f *dataFile) measure(view parquet.FileView) {
	f.rows, f.bytes = view.NumRows(), view.Size()
	f.metrics = metrics{map[int]int64{}, map[int]int64{}, map[int]int64{}, nil}
	ids := leafIDs(view.Schema(), nil)
	for _, group := range view.Metadata().RowGroups {
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
	if !spec.IsUnpartitioned() {
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
