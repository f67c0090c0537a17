package lake

import (
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"
	"time"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// layout is a table's schema as Parquet files have it: its leaf columns in their order.
type layout struct {
	leaves []leaf
	footer format.FileMetaData // of a file without rows
}

// leaf is a leaf column.
type leaf struct {
	path  []string
	id    int
	max   uint32 // definition level of values; what is null has a lower one
	in    domain
	kind  kind
	bound int // index in boundColumns, or -1
}

// kind is how a leaf's values are held.
type kind uint8

const (
	texts kind = iota
	numbers
	uuids
	flags
)

// domain is what a leaf has a value of.
type domain uint8

const (
	ofRows       domain = iota
	ofIdentities        // members of userIdentity: many rows have the same one
	ofElements          // members of resources' elements
)

// layoutOf derives the layout from a row's type.
func layoutOf(row reflect.Type) *layout {
	schema := parquet.SchemaOf(reflect.New(row).Interface())
	w := parquet.NewGenericWriter[any](discard{}, schema, parquet.CreatedBy("aitrail", fmt.Sprint("lake format ", Version), ""))
	if err := w.Close(); err != nil {
		panic(err) // of a constant schema, to nowhere
	}
	l := &layout{footer: *w.File().Metadata()}
	l.add(schema, nil, 0, ofRows)
	return l
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func (l *layout) add(group parquet.Node, path []string, level uint32, in domain) {
	for _, f := range group.Fields() {
		path := append(path[:len(path):len(path)], f.Name())
		level, in := level, in
		if !f.Required() {
			level++
		}
		switch {
		case f.Repeated():
			in = ofElements
		case in == ofRows && f.Name() == "userIdentity":
			in = ofIdentities
		}
		if !f.Leaf() {
			l.add(f, path, level, in)
			continue
		}
		bound := -1
		for i, c := range boundColumns {
			if len(path) == 1 && c.name == f.Name() && c.id == f.ID() {
				bound = i
			}
		}
		l.leaves = append(l.leaves, leaf{path, f.ID(), level, in, kindOf(f), bound})
	}
}

func kindOf(n parquet.Node) kind {
	switch n.Type().Kind() {
	case parquet.Int64:
		return numbers
	case parquet.FixedLenByteArray:
		return uuids
	case parquet.Boolean:
		return flags
	}
	return texts
}

// columns holds rows column by column, in memory without pointers that is used again after a reset. A row is added by
// next, followed by its values in the order of the layout's leaves.
type columns struct {
	*layout
	cols []column
	n    int // rows
	// bytes is the memory that the rows take, about.
	bytes int

	at    int    // the leaf whose value comes next
	level uint32 // definition level of what is null there

	identities int      // distinct values of userIdentity
	who        []uint32 // a row each: its userIdentity
	elements   int
	lists      []list // a row each
	seed       maphash.Seed
}

// list is a row's resources: elements from start on, size-1 many; size 0 is null.
type list struct{ start, size uint32 }

// column holds the values of a leaf. There is a code for each row (or identity, or element): up to the leaf's max the
// definition level of what is null, from there on the number of a value. Codes that are missing at the end are zero.
type column struct {
	max    uint32
	codes  []uint32
	data   []byte   // texts one after the other, or ids
	ends   []uint32 // a text each: where it ends in data
	hashes []uint32 // a text each
	nums   []int64

	table  []uint32 // of texts by hash: number+1, 0 where there is none
	last   uint32   // the text found last
	tries  uint32   // texts looked for
	unique bool     // too few were found: each text is put by itself
}

func newColumns(row reflect.Type) *columns {
	c := &columns{layout: layoutOf(row), seed: maphash.MakeSeed()}
	c.cols = make([]column, len(c.leaves))
	for i := range c.cols {
		c.cols[i].max = c.leaves[i].max
	}
	return c
}

// columnsMark is a place that columns can go back to.
type columnsMark struct {
	n, bytes, identities, elements int
	values                         []uint32 // of each leaf
}

func (c *columns) mark(m *columnsMark) {
	m.n, m.bytes, m.identities, m.elements = c.n, c.bytes, c.identities, c.elements
	m.values = m.values[:0]
	for i := range c.cols {
		m.values = append(m.values, uint32(c.cols[i].values(c.leaves[i].kind)))
	}
}

// size is the memory that the columns hold, used or not.
func (c *columns) size() int {
	n := 4*cap(c.who) + 8*cap(c.lists)
	for i := range c.cols {
		col := &c.cols[i]
		n += cap(col.data) + 4*(cap(col.codes)+cap(col.ends)+cap(col.hashes)+cap(col.table)) + 8*cap(col.nums)
	}
	return n
}

// values counts a column's values.
func (c *column) values(k kind) int {
	switch k {
	case texts:
		return len(c.ends)
	case numbers:
		return len(c.nums)
	case uuids:
		return len(c.data) / 16
	}
	return 0
}

// reset forgets the rows after the mark.
func (c *columns) reset(m *columnsMark) {
	for i := range c.cols {
		col := &c.cols[i]
		switch c.leaves[i].in {
		case ofRows:
			col.codes = col.codes[:min(len(col.codes), m.n)]
		case ofIdentities:
			col.codes = col.codes[:min(len(col.codes), m.identities)]
		case ofElements:
			col.codes = col.codes[:min(len(col.codes), m.elements)]
		}
		n := 0
		if len(m.values) > 0 {
			n = int(m.values[i])
		}
		switch c.leaves[i].kind {
		case texts:
			col.cut(n)
		case numbers:
			col.nums = col.nums[:n]
		case uuids:
			col.data = col.data[:16*n]
		}
	}
	c.who, c.lists = c.who[:min(len(c.who), m.n)], c.lists[:min(len(c.lists), m.n)]
	c.n, c.bytes, c.identities, c.elements = m.n, m.bytes, m.identities, m.elements
}

// cut forgets all texts but the first n.
func (c *column) cut(n int) {
	if n == len(c.ends) {
		return
	}
	c.ends, c.last = c.ends[:n], 0
	if n == 0 {
		c.data, c.hashes, c.tries, c.unique = c.data[:0], c.hashes[:0], 0, false
		clear(c.table)
		return
	}
	c.data = c.data[:c.ends[n-1]]
	c.hashes = c.hashes[:min(len(c.hashes), n)]
	if !c.unique {
		c.rehash(len(c.table))
	}
}

// next begins a row.
func (c *columns) next() {
	c.at, c.level = 0, 0
	c.n++
	c.bytes += rowBytes
}

// rowBytes is about what a row takes besides its texts.
const rowBytes = 256

// index is the place of the value that comes next.
func (c *columns) index() int {
	switch c.leaves[c.at].in {
	case ofIdentities:
		return c.identities - 1
	case ofElements:
		return c.elements - 1
	}
	return c.n - 1
}

func (c *columns) null() {
	if c.level > 0 {
		c.put(c.level)
		return
	}
	c.at++
}

// put appends a code to the column.
func (c *columns) put(code uint32) {
	col := &c.cols[c.at]
	for missing := c.index() - len(col.codes); missing > 0; missing-- {
		col.codes = append(col.codes, 0)
	}
	if n := len(col.codes); n == cap(col.codes) && n >= 1024 { // grow once, not again and again
		col.codes = slices.Grow(col.codes, max(chunkRows+1024-n, n/4))
	}
	col.codes = append(col.codes, code)
	c.at++
}

// text adds a text; "" is null where the column can be.
func (c *columns) text(s string) {
	col := &c.cols[c.at]
	if s == "" && col.max > 0 {
		c.null()
		return
	}
	if n := int(col.last); n < len(col.ends) && col.text(n) == s {
		c.put(col.max + col.last)
		return
	}
	c.put(col.max + c.find(col, s))
}

func (c *column) text(n int) string {
	start := uint32(0)
	if n > 0 {
		start = c.ends[n-1]
	}
	return unsafe.String(unsafe.SliceData(c.data[start:]), int(c.ends[n]-start))
}

// A column is given up looking for texts when, of tryTexts and more, fewer than one in foundTexts was there already.
const (
	tryTexts   = 1024
	foundTexts = 8
)

// find returns the number of a text.
func (c *columns) find(col *column, s string) uint32 {
	n := uint32(len(col.ends))
	if !col.unique {
		hash := uint32(maphash.String(c.seed, s))
		if 4*len(col.ends) >= 3*len(col.table) {
			col.rehash(max(64, 2*len(col.table)))
		}
		col.tries++
		mask := uint32(len(col.table) - 1)
		i := hash & mask
		for ; col.table[i] != 0; i = (i + 1) & mask {
			if m := col.table[i] - 1; col.hashes[m] == hash && col.text(int(m)) == s {
				col.last = m
				return m
			}
		}
		col.table[i] = n + 1
		col.hashes = append(col.hashes, hash)
		if n >= tryTexts && col.tries-n < col.tries/foundTexts {
			col.unique = true
		}
	}
	col.data = append(col.data, s...)
	col.ends = append(col.ends, uint32(len(col.data)))
	col.last = n
	c.bytes += len(s) + 8
	return n
}

// rehash makes the table of texts anew, with so many places.
func (c *column) rehash(size int) {
	if size > cap(c.table) {
		c.table = make([]uint32, size)
	} else {
		c.table = c.table[:size]
		clear(c.table)
	}
	mask := uint32(size - 1)
	for n, hash := range c.hashes {
		i := hash & mask
		for c.table[i] != 0 {
			i = (i + 1) & mask
		}
		c.table[i] = uint32(n) + 1
	}
}

func (c *columns) number(v int64, present bool) {
	col := &c.cols[c.at]
	if !present {
		c.null()
		return
	}
	n := len(col.nums)
	col.nums = append(col.nums, v)
	c.put(col.max + uint32(n))
}

// time adds a time; the zero time is null.
func (c *columns) time(t time.Time) {
	if t.IsZero() {
		c.null()
		return
	}
	c.number(t.UnixMicro(), true)
}

func (c *columns) flag(v, present bool) {
	col := &c.cols[c.at]
	switch {
	case !present:
		c.null()
	case v:
		c.put(col.max + 1)
	default:
		c.put(col.max)
	}
}

// uuid adds an id; zero is null.
func (c *columns) uuid(id [16]byte) {
	if id == ([16]byte{}) {
		c.null()
		return
	}
	col := &c.cols[c.at]
	n := len(col.data) / 16
	col.data = append(col.data, id[:]...)
	c.put(col.max + uint32(n))
}

// group begins a struct's members. It must be followed by end with what it returns.
func (c *columns) group(present bool) (level uint32) {
	level = c.level
	if present {
		c.level++
	}
	return level
}

func (c *columns) end(level uint32) { c.level = level }

// identity begins the userIdentity of a row, which differs from all before.
func (c *columns) identity() uint32 {
	c.identities++
	c.bytes += 128
	return uint32(c.identities - 1)
}

// call sets the userIdentity of a row, whose members come next if it is new, and are passed over if not.
func (c *columns) callBy(who uint32, known bool) {
	c.who = append(c.who, who)
	if known {
		for c.at < len(c.leaves) && c.leaves[c.at].in == ofIdentities {
			c.at++
		}
	}
}

// list adds a row's list and calls element for each of its elements, which adds the values of one.
func (c *columns) list(n int, present bool, element func(i int)) {
	l := list{start: uint32(c.elements)}
	if present {
		l.size = uint32(n) + 1
	}
	c.lists = append(c.lists, l)
	first, level := c.at, c.level
	for i := range n {
		c.at, c.level = first, level+2
		c.elements++
		element(i)
	}
	c.level = level
	for c.at = first; c.at < len(c.leaves) && c.leaves[c.at].in == ofElements; {
		c.at++
	}
	c.bytes += 16 * n
}

// take adds rows of other columns of the same table.
func (c *columns) take(from *columns, rows []uint32) {
	t := taker{c: c, from: from, numbers: make([][]uint32, len(c.cols))}
	who := map[uint32]uint32{}
	for _, row := range rows {
		c.next()
		for c.at < len(c.leaves) {
			switch c.leaves[c.at].in {
			case ofIdentities:
				old := from.who[row]
				id, known := who[old]
				if !known {
					id = c.identity()
					who[old] = id
				}
				c.callBy(id, known)
				for !known && c.at < len(c.leaves) && c.leaves[c.at].in == ofIdentities {
					t.value(old)
				}
			case ofElements:
				l := from.lists[row]
				c.list(max(int(l.size)-1, 0), l.size > 0, func(i int) {
					for c.at < len(c.leaves) && c.leaves[c.at].in == ofElements {
						t.value(l.start + uint32(i))
					}
				})
			default:
				t.value(row)
			}
		}
	}
}

// taker copies values from columns to others.
type taker struct {
	c, from *columns
	numbers [][]uint32 // of each leaf's texts: number+1 in c, 0 where it isn't there yet
}

// value copies the value at a place of the leaf that comes next.
func (t *taker) value(at uint32) {
	c, i := t.c, t.c.at
	old := &t.from.cols[i]
	code := old.code(at)
	if code < old.max {
		c.level = code
		c.null()
		c.level = 0
		return
	}
	n := code - old.max
	switch c.leaves[i].kind {
	case numbers:
		c.number(old.nums[n], true)
	case uuids:
		c.uuid([16]byte(old.data[16*n:]))
	case flags:
		c.put(code)
	case texts:
		if t.numbers[i] == nil {
			t.numbers[i] = make([]uint32, len(old.ends))
		}
		if t.numbers[i][n] == 0 {
			t.numbers[i][n] = c.find(&c.cols[i], old.text(int(n))) + 1
		}
		c.put(old.max + t.numbers[i][n] - 1)
	}
}

// code returns the code at a place.
func (c *column) code(at uint32) uint32 {
	if int(at) < len(c.codes) {
		return c.codes[at]
	}
	return 0
}
