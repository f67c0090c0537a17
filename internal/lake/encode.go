package lake

import (
	"bufio"
	"encoding/binary"
	"io"
	"math/bits"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// encoder writes columns into Parquet files (https://parquet.apache.org/docs/file-format/): a row group each, whose
// column chunks are one data page, or several of long texts, after a dictionary where one saves space. Pages are of
// version 1, which all readers know. It isn't safe for concurrent use.
type encoder struct {
	zstd *zstd.Encoder
	out  *bufio.Writer

	offset int64 // in the file
	footer format.FileMetaData

	codes  []uint32
	reps   []byte  // repetition levels of codes; empty without lists
	defs   []byte  // their definition levels; empty for required columns
	vals   []int32 // the numbers of the values among them
	seen   []int32 // a text each: its place in the dictionary + 1
	dict   []int32 // the texts of the dictionary
	nums   []int64
	page   []byte
	packed []byte
	level  []byte
}

// pageBytes is the length of text after which another page begins, dictBytes that of the longest dictionary.
const (
	pageBytes = 1 << 20
	dictBytes = 4 << 20
)

// window is how far back in a page compression looks, in bytes.
const window = 512 << 10

func newEncoder() *encoder {
	// Texts without repetitions, as ids are, have few different characters.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithAllLitEntropyCompression(true), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constant
	}
	return &encoder{zstd: z, out: bufio.NewWriterSize(io.Discard, 256<<10)}
}

// create writes rows of columns to a file, in the order given. When it returns an error there is no file.
func (w *encoder) create(f *dataFile, c *columns, order []uint32) error {
	return w.file(f, c.layout, func() error { return w.group(f, c, order) })
}

// file writes a file whose row groups are added by groups. When it returns an error there is no file.
func (w *encoder) file(f *dataFile, l *layout, groups func() error) error {
	out, err := f.d.Create(f.path)
	if err != nil {
		return err
	}
	w.out.Reset(out)
	w.footer, w.offset = l.footer, 0
	w.footer.RowGroups, w.footer.NumRows = nil, 0
	err = w.put([]byte("PAR1"))
	if err == nil {
		err = groups()
	}
	if err == nil {
		err = w.end()
	}
	if err == nil {
		err = w.out.Flush()
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	w.out.Reset(io.Discard)
	if err != nil {
		_ = f.d.Remove(f.path) // an orphan at worst
		return err
	}
	f.measure(&w.footer, w.offset, l.ids())
	f.groups = w.footer.RowGroups
	return nil
}

// ids returns the leaves' field ids.
func (l *layout) ids() []int {
	ids := make([]int, len(l.leaves))
	for i := range ids {
		ids[i] = l.leaves[i].id
	}
	return ids
}

func (w *encoder) put(b []byte) error {
	n, err := w.out.Write(b)
	w.offset += int64(n)
	return err
}

// end writes the footer.
func (w *encoder) end() error {
	b, err := thrift.Marshal(new(thrift.CompactProtocol), &w.footer)
	if err != nil {
		return err
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)))
	return w.put(append(b, "PAR1"...))
}

// group adds a row group of the rows given, and widens f's bounds.
func (w *encoder) group(f *dataFile, c *columns, order []uint32) error {
	g := format.RowGroup{
		Columns: make([]format.ColumnChunk, len(c.leaves)), NumRows: int64(len(order)), FileOffset: w.offset,
		Ordinal: int16(len(w.footer.RowGroups)),
	}
	for i := range c.leaves {
		m := &g.Columns[i].MetaData
		g.Columns[i].FileOffset = w.offset
		if err := w.column(f, c, i, order, m); err != nil {
			return err
		}
		g.TotalByteSize += m.TotalUncompressedSize
		g.TotalCompressedSize += m.TotalCompressedSize
	}
	w.footer.RowGroups = append(w.footer.RowGroups, g)
	w.footer.NumRows += g.NumRows
	return nil
}

// column writes a column chunk.
func (w *encoder) column(f *dataFile, c *columns, i int, order []uint32, m *format.ColumnMetaData) error {
	l, col := &c.leaves[i], &c.cols[i]
	w.gather(c, l, col, order)
	w.split(l.max)
	*m = format.ColumnMetaData{
		PathInSchema: l.path, NumValues: int64(len(w.codes)), Codec: format.Zstd,
		Statistics: format.Statistics{NullCount: int64(len(w.codes) - len(w.vals))},
	}
	switch l.kind {
	case texts:
		m.Type = format.ByteArray
		return w.texts(f, l, col, m)
	case numbers:
		m.Type = format.Int64
		return w.numbers(f, l, col, m)
	case uuids:
		m.Type, m.Codec = format.FixedLenByteArray, format.Uncompressed // ids are random
		w.begin(l, 0, len(w.codes))
		for _, v := range w.vals {
			w.page = append(w.page, col.data[16*v:16*v+16]...)
		}
	case flags:
		m.Type = format.Boolean
		w.begin(l, 0, len(w.codes))
		w.bits()
	}
	return w.dataPage(m, format.Plain, len(w.codes))
}

// gather sets the codes of the rows, in their order, and repetition levels.
func (w *encoder) gather(c *columns, l *leaf, col *column, order []uint32) {
	w.codes, w.reps = w.codes[:0], w.reps[:0]
	switch l.in {
	case ofRows:
		if len(col.codes) == c.n {
			for _, row := range order {
				w.codes = append(w.codes, col.codes[row])
			}
			return
		}
		for _, row := range order {
			w.codes = append(w.codes, col.code(row))
		}
	case ofIdentities:
		for _, row := range order {
			w.codes = append(w.codes, col.code(c.who[row]))
		}
	case ofElements:
		for _, row := range order {
			list := c.lists[row]
			if list.size < 2 { // null, or empty
				w.codes, w.reps = append(w.codes, list.size), append(w.reps, 0)
				continue
			}
			for e := range list.size - 1 {
				w.codes, w.reps = append(w.codes, col.code(list.start+e)), append(w.reps, byte(min(e, 1)))
			}
		}
	}
}

// split tells levels and values apart.
func (w *encoder) split(limit uint32) {
	w.defs, w.vals = w.defs[:0], w.vals[:0]
	if limit == 0 {
		for _, code := range w.codes {
			w.vals = append(w.vals, int32(code))
		}
		return
	}
	for _, code := range w.codes {
		w.defs = append(w.defs, byte(min(code, limit)))
		if code >= limit {
			w.vals = append(w.vals, int32(code-limit))
		}
	}
}

// begin begins a page with the levels of codes.
func (w *encoder) begin(l *leaf, from, to int) {
	w.page = w.page[:0]
	if l.in == ofElements {
		w.levels(w.reps[from:to], 1)
	}
	if l.max > 0 {
		w.levels(w.defs[from:to], l.max)
	}
}

func (w *encoder) levels(levels []byte, limit uint32) {
	e := rle.Encoding{BitWidth: bits.Len32(limit)}
	w.level, _ = e.EncodeLevels(w.level, levels) // fails only for widths above 8
	w.page = binary.LittleEndian.AppendUint32(w.page, uint32(len(w.level)))
	w.page = append(w.page, w.level...)
}

// bits appends the values of a boolean column.
func (w *encoder) bits() {
	var b byte
	for i, v := range w.vals {
		b |= byte(v) << (i & 7)
		if i&7 == 7 || i == len(w.vals)-1 {
			w.page = append(w.page, b)
			b = 0
		}
	}
}

// dataPage writes the page as one with so many codes.
func (w *encoder) dataPage(m *format.ColumnMetaData, encoding format.Encoding, n int) error {
	h := format.PageHeader{Type: format.DataPage, DataPageHeader: thrift.New(format.DataPageHeader{
		NumValues: int32(n), Encoding: encoding, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE})}
	if m.DataPageOffset == 0 {
		m.DataPageOffset = w.offset
		m.Encoding = append(m.Encoding, encoding, format.RLE)
		m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{PageType: format.DataPage, Encoding: encoding})
	}
	m.EncodingStats[len(m.EncodingStats)-1].Count++
	return w.writePage(m, &h)
}

// dictionaryPage writes the page as a dictionary of so many values.
func (w *encoder) dictionaryPage(m *format.ColumnMetaData, n int) error {
	m.DictionaryPageOffset = w.offset
	m.Encoding = append(m.Encoding, format.Plain)
	m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{PageType: format.DictionaryPage, Encoding: format.Plain, Count: 1})
	return w.writePage(m, &format.PageHeader{Type: format.DictionaryPage,
		DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{NumValues: int32(n), Encoding: format.Plain})})
}

// writePage writes the page, compressed if the column is.
func (w *encoder) writePage(m *format.ColumnMetaData, h *format.PageHeader) error {
	body := w.page
	if m.Codec != format.Uncompressed {
		w.packed = w.zstd.EncodeAll(w.page, w.packed[:0])
		body = w.packed
	}
	h.UncompressedPageSize, h.CompressedPageSize = int32(len(w.page)), int32(len(body))
	head, err := thrift.Marshal(new(thrift.CompactProtocol), h)
	if err != nil {
		return err
	}
	m.TotalUncompressedSize += int64(len(head) + len(w.page))
	m.TotalCompressedSize += int64(len(head) + len(body))
	if err := w.put(head); err != nil {
		return err
	}
	return w.put(body)
}

// numbers writes a column of numbers: those of rows by their differences, those that many rows share by a dictionary.
func (w *encoder) numbers(f *dataFile, l *leaf, col *column, m *format.ColumnMetaData) error {
	if l.in == ofIdentities && len(w.vals) > 0 {
		w.dictionary(len(col.nums))
		w.equalNumbers(col)
		w.page = w.page[:0]
		for _, v := range w.dict {
			w.page = binary.LittleEndian.AppendUint64(w.page, uint64(col.nums[v]))
		}
		return w.indexed(l, m)
	}
	w.nums = w.nums[:0]
	for _, v := range w.vals {
		w.nums = append(w.nums, col.nums[v])
	}
	if l.id == timeFieldID {
		for _, t := range w.nums {
			f.unsorted = f.unsorted || f.bounds.timed && micros(t) < f.bounds.last
			f.bounds.time(micros(t))
		}
		if len(w.nums) > 0 {
			m.Statistics.MinValue = binary.LittleEndian.AppendUint64(nil, uint64(slices.Min(w.nums)))
			m.Statistics.MaxValue = binary.LittleEndian.AppendUint64(nil, uint64(slices.Max(w.nums)))
		}
	}
	w.begin(l, 0, len(w.codes))
	w.level, _ = new(delta.BinaryPackedEncoding).EncodeInt64(w.level, w.nums) // never fails
	w.page = append(w.page, w.level...)
	return w.dataPage(m, format.DeltaBinaryPacked, len(w.codes))
}

// dictionary finds the values that occur, and numbers them in w.vals by their first occurrence.
func (w *encoder) dictionary(values int) {
	if cap(w.seen) < values {
		w.seen = make([]int32, values+values/4)
	}
	w.seen = w.seen[:values]
	clear(w.seen)
	w.dict = w.dict[:0]
	for _, v := range w.vals {
		if w.seen[v] == 0 {
			w.dict = append(w.dict, v)
			w.seen[v] = int32(len(w.dict))
		}
	}
}

// equalNumbers gives equal numbers of the dictionary one place.
func (w *encoder) equalNumbers(col *column) {
	places := make(map[int64]int32, len(w.dict))
	distinct := w.dict[:0]
	for _, v := range w.dict {
		place, again := places[col.nums[v]]
		if !again {
			distinct = append(distinct, v)
			place = int32(len(distinct))
			places[col.nums[v]] = place
		}
		w.seen[v] = place
	}
	w.dict = distinct
}

// indexed writes the page as the dictionary, and a page of the places in it.
func (w *encoder) indexed(l *leaf, m *format.ColumnMetaData) error {
	if err := w.dictionaryPage(m, len(w.dict)); err != nil {
		return err
	}
	for i, v := range w.vals {
		w.vals[i] = w.seen[v] - 1
	}
	w.begin(l, 0, len(w.codes))
	w.level, _ = new(rle.DictionaryEncoding).EncodeInt32(w.level, w.vals) // fails only for negative numbers
	w.page = append(w.page, w.level...)
	return w.dataPage(m, format.RLEDictionary, len(w.codes))
}

// texts writes a column of texts, by a dictionary when they come again.
func (w *encoder) texts(f *dataFile, l *leaf, col *column, m *format.ColumnMetaData) error {
	w.dictionary(len(col.ends))
	length, all := 0, 0
	for _, v := range w.dict {
		length += len(col.text(int(v))) + 4
	}
	for _, v := range w.vals {
		all += len(col.text(int(v)))
	}
	if l.bound >= 0 && len(w.dict) > 0 {
		w.textBounds(f, l, col, m)
	}
	if length <= dictBytes && length+bits.Len(uint(len(w.dict)))*len(w.vals)/8 < all-all/8 {
		w.page = w.page[:0]
		for _, v := range w.dict {
			text := col.text(int(v))
			w.page = binary.LittleEndian.AppendUint32(w.page, uint32(len(text)))
			w.page = append(w.page, text...)
		}
		return w.indexed(l, m)
	}
	vals := w.vals
	for from := 0; from < len(w.codes) || from == 0; {
		to, n := w.pageEnd(l, col, from, vals)
		w.begin(l, from, to)
		if err := w.plainTexts(col, vals[:n], m, to-from); err != nil {
			return err
		}
		from, vals = max(to, 1), vals[n:]
	}
	return nil
}

// statBytes is the longest text that a column chunk's statistics hold.
const statBytes = 256

// textBounds tells the bounds of the dictionary's texts.
func (w *encoder) textBounds(f *dataFile, l *leaf, col *column, m *format.ColumnMetaData) {
	low, high := col.text(int(w.dict[0])), ""
	for _, v := range w.dict {
		low, high = min(low, col.text(int(v))), max(high, col.text(int(v)))
	}
	f.bounds.widen(l.bound, low, high)
	if len(low) <= statBytes && len(high) <= statBytes {
		m.Statistics.MinValue, m.Statistics.MaxValue = []byte(low), []byte(high)
	}
}

// pageEnd returns where the page of texts ends that begins at a code: at a row's beginning; and how many values it has.
func (w *encoder) pageEnd(l *leaf, col *column, from int, vals []int32) (to, n int) {
	length := 0
	for to = from; to < len(w.codes); to++ {
		if length >= pageBytes && (len(w.reps) == 0 || w.reps[to] == 0) {
			break
		}
		if w.codes[to] >= l.max {
			length += len(col.text(int(vals[n])))
			n++
		}
	}
	return to, n
}

// plainTexts writes the page with texts after their levels: all their lengths, then all texts.
func (w *encoder) plainTexts(col *column, vals []int32, m *format.ColumnMetaData, n int) error {
	lengths := w.dict[:0]
	for _, v := range vals {
		lengths = append(lengths, int32(len(col.text(int(v)))))
	}
	w.dict = lengths
	w.level, _ = new(delta.BinaryPackedEncoding).EncodeInt32(w.level, lengths) // never fails
	w.page = append(w.page, w.level...)
	for _, v := range vals {
		w.page = append(w.page, col.text(int(v))...)
	}
	return w.dataPage(m, format.DeltaLengthByteArray, n)
}
