package inflate

import (
	"encoding/binary"
	"math/bits"
)

// An entry tells what the next bits are. From the lowest bit on: how many of them to take in all (6 bits); how many of
// those are the codeword, the rest being extra bits (bits 8 to 11); flags; and the literal, the base of the length or
// distance, or where a table for longer codewords begins.
type entry uint32

const (
	special entry = 1 << 15 // one of the next two, or no codeword
	longer  entry = 1 << 14 // the codeword is longer than the table's index; another table goes on
	endMark entry = 1 << 13 // the block's end
	literal entry = 1 << 31
)

const (
	symbolBits   = 11
	distanceBits = 9
	maxBits      = 15
	// Each index whose codewords go on leads to a table of all the bits that may follow. At least two codewords share one.
	symbolTable   = 1<<symbolBits + 288/2<<(maxBits-symbolBits)
	distanceTable = 1<<distanceBits + 32/2<<(maxBits-distanceBits)
)

// tables are a block's codes.
type tables struct {
	symbols   [symbolTable]entry
	distances [distanceTable]entry
	fixed     bool // they are those of RFC 1951, 3.2.6
	lengths   [288 + 32 + 138]uint8
}

// What symbols and distances mean (RFC 1951, 3.2.5): see meaning.
var symbolMeaning, distanceMeaning = meaning()

// lengthMeaning is what the codewords of lengths mean: themselves.
var lengthMeaning = func() (e [19]entry) {
	for i := range e {
		e[i] = entry(i) << 16
	}
	return e
}()

func meaning() (symbols [288]entry, distances [32]entry) {
	for s := range 256 {
		symbols[s] = literal | entry(s)<<16
	}
	symbols[256] = special | endMark
	base := 3
	for s := 257; s < 285; s++ {
		extra := max(0, (s-261)/4)
		symbols[s] = entry(base)<<16 | entry(extra)
		base += 1 << extra
	}
	symbols[285] = 258 << 16
	symbols[286], symbols[287] = special, special
	base = 1
	for s := range 30 {
		extra := max(0, (s-2)/2)
		distances[s] = entry(base)<<16 | entry(extra)
		base += 1 << extra
	}
	distances[30], distances[31] = special, special
	return symbols, distances
}

// build makes the table of a code from its codewords' lengths. It refuses codes that are not complete, but for what has one
// codeword, of one bit, or none.
func build(table []entry, index uint, lengths []uint8, meaning []entry) bool {
	var count [maxBits + 1]int
	for _, n := range lengths {
		count[n&maxBits]++
	}
	left := 1 // codewords of a length that are not taken
	var first [maxBits + 2]int
	for n := 1; n <= maxBits; n++ {
		left = left<<1 - count[n]
		if left < 0 {
			return false
		}
		first[n+1] = first[n] + count[n]
	}
	if left > 0 {
		if count[1] != first[maxBits+1] || count[1] > 1 {
			return false
		}
		for i := range table[:1<<index] {
			table[i] = special
		}
	}
	var order [288]uint16 // the symbols, by the length of their codewords
	for s, n := range lengths {
		if n &= maxBits; n > 0 {
			order[first[n]] = uint16(s)
			first[n]++
		}
	}
	word, before, last, free := uint32(0), uint8(0), -1, 1<<index
	for _, s := range order[:first[maxBits+1]] {
		n := lengths[s]
		word <<= n - before
		before = n
		code := int(bits.Reverse32(word) >> (32 - n)) // as it stands in the stream, lowest bit first
		word++
		e := meaning[s] + entry(n)<<8 + entry(n)
		if uint(n) <= index {
			for i := code; i < 1<<index; i += 1 << n {
				table[i] = e
			}
			continue
		}
		if prefix := code & (1<<index - 1); prefix != last {
			last = prefix
			table[prefix] = special | longer | entry(free)<<16
			free += 1 << (maxBits - index)
		}
		rest := table[free-1<<(maxBits-index) : free]
		for i := code >> index; i < len(rest); i += 1 << (uint(n) - index) {
			rest[i] = e
		}
	}
	return true
}

// fixedCode makes the tables of RFC 1951, 3.2.6.
func (t *tables) fixedCode() bool {
	if t.fixed {
		return true
	}
	l := t.lengths[:288+32]
	for s := range l {
		switch {
		case s < 144:
			l[s] = 8
		case s < 256:
			l[s] = 9
		case s < 280:
			l[s] = 7
		case s < 288:
			l[s] = 8
		default:
			l[s] = 5
		}
	}
	t.fixed = build(t.symbols[:], symbolBits, l[:288], symbolMeaning[:]) && build(t.distances[:], distanceBits, l[288:], distanceMeaning[:])
	return t.fixed
}

// A stream is compressed data that is read bit by bit.
type stream struct {
	in   []byte
	next int    // the byte to take next
	bits uint64 // those taken and not used, lowest first
	have uint   // how many; those above are what comes next, too
}

// fill takes bytes so that at least 56 bits are there. At least eight bytes must be left, slack included.
func (s *stream) fill() {
	s.bits |= binary.LittleEndian.Uint64(s.in[s.next:]) << (s.have & 63)
	s.next += int(63-s.have) >> 3
	s.have |= 56
}

func (s *stream) take(n uint) int {
	v := int(s.bits & (1<<n - 1))
	s.bits >>= n
	s.have -= n
	return v
}

// dynamicCode reads the tables that a block brings.
func (t *tables) dynamicCode(s *stream, end int) bool {
	t.fixed = false
	symbols, distances, n := 257+s.take(5), 1+s.take(5), 4+s.take(4)
	if symbols > 286 || distances > 30 {
		return false
	}
	s.fill()
	var lengths [19]uint8
	for i, at := range []uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:n] {
		if i == 10 {
			s.fill()
		}
		lengths[at] = uint8(s.take(3))
	}
	var table [128]entry
	if !build(table[:], 7, lengths[:], lengthMeaning[:]) {
		return false
	}
	for i := 0; i < symbols+distances; {
		if s.next > end+8 {
			return false
		}
		s.fill()
		e := table[s.bits&127]
		if e&special != 0 {
			return false
		}
		s.take(uint(e & 63))
		value, times := uint8(e>>16), 1
		switch value {
		case 16:
			if i == 0 {
				return false
			}
			value, times = t.lengths[i-1], 3+s.take(2)
		case 17:
			value, times = 0, 3+s.take(3)
		case 18:
			value, times = 0, 11+s.take(7)
		}
		for range times {
			t.lengths[i] = value // no more than 137 too many, for which there is space
			i++
		}
		if i > symbols+distances {
			return false
		}
	}
	if t.lengths[256] == 0 {
		return false
	}
	return build(t.symbols[:], symbolBits, t.lengths[:symbols], symbolMeaning[:]) &&
		build(t.distances[:], distanceBits, t.lengths[symbols:symbols+distances], distanceMeaning[:])
}

// inflate decodes n bytes of m.in, and is true if they are exactly size bytes of m.out.
func (m *Member) inflate(n, size int) bool {
	s := stream{in: m.in}
	op := 0
	for last := false; !last; {
		if s.next > n+8 {
			return false
		}
		s.fill()
		last = s.take(1) == 1
		var ok bool
		switch s.take(2) {
		case 0:
			op, ok = m.stored(&s, op, n, size)
			if !ok {
				return false
			}
			continue
		case 1:
			ok = m.fixedCode()
		case 2:
			ok = m.dynamicCode(&s, n)
		}
		if !ok {
			return false
		}
		if op, ok = m.block(&s, op, n, size); !ok {
			return false
		}
	}
	return s.next-int(s.have/8) == n && op == size
}

// stored copies a block that isn't compressed.
func (m *Member) stored(s *stream, op, n, size int) (int, bool) {
	at := s.next - int(s.have/8)
	if at+4 > n {
		return 0, false
	}
	length := int(binary.LittleEndian.Uint16(s.in[at:]))
	if length^0xffff != int(binary.LittleEndian.Uint16(s.in[at+2:])) || at+4+length > n || op+length > size {
		return 0, false
	}
	copy(m.out[op:], s.in[at+4:at+4+length])
	s.next, s.bits, s.have = at+4+length, 0, 0
	return op + length, true
}

// block decodes a block's symbols, to its end.
//
// At the loop's head next is at most n+8 and op at most size. From there on, next grows by at most 7 with each of at most
// three loads of 8 bytes, so that they end before n+slackIn; op by at most two literals before a match, which is written up
// to its length rounded up, at least 24 and at most 264 bytes, so before size+slackOut. Go's checks of slices hold all that
// to it.
func (m *Member) block(s *stream, op, n, size int) (int, bool) {
	if len(s.in) < n+slackIn || len(m.out) < size+slackOut || s.next > n+15 {
		return 0, false
	}
	in, out := s.in, m.out
	next, b, have := s.next, s.bits, s.have
	symbols, distances := &m.symbols, &m.distances
	b |= load(in, next) << (have & 63)
	next += int(63-have) >> 3
	have |= 56
	e := symbols[b&(1<<symbolBits-1)]
	for next <= n+8 && op <= size {
		if e&literal != 0 { // up to three in a row take no more than 33 of the 56 bits
			b >>= e & 63
			have -= uint(e & 63)
			out[op] = byte(e >> 16)
			op++
			e = symbols[b&(1<<symbolBits-1)]
			if e&literal != 0 {
				b >>= e & 63
				have -= uint(e & 63)
				out[op] = byte(e >> 16)
				op++
				e = symbols[b&(1<<symbolBits-1)]
			}
		}
		if e&special != 0 && e&longer != 0 {
			e = symbols[int(e>>16)+int(b>>symbolBits&(1<<(maxBits-symbolBits)-1))]
		}
		if e&(literal|special) != 0 {
			b >>= e & 63
			have -= uint(e & 63)
			if e&special != 0 {
				s.next, s.bits, s.have = next, b, have
				return op, e&endMark != 0
			}
			out[op] = byte(e >> 16)
			op++
			b |= load(in, next) << (have & 63)
			next += int(63-have) >> 3
			have |= 56
			e = symbols[b&(1<<symbolBits-1)]
			continue
		}
		length := int(e>>16) + int(b&(1<<(e&63)-1)>>(e>>8&15))
		b >>= e & 63
		have -= uint(e & 63)

		b |= load(in, next) << (have & 63)
		next += int(63-have) >> 3
		have |= 56
		e = distances[b&(1<<distanceBits-1)]
		if e&special != 0 {
			if e&longer != 0 {
				e = distances[int(e>>16)+int(b>>distanceBits&(1<<(maxBits-distanceBits)-1))]
			}
			if e&special != 0 {
				return 0, false
			}
		}
		distance := int(e>>16) + int(b&(1<<(e&63)-1)>>(e>>8&15))
		b >>= e & 63
		have -= uint(e & 63)
		if distance > op {
			return 0, false
		}

		b |= load(in, next) << (have & 63) // before the copy, which doesn't wait for it
		next += int(63-have) >> 3
		have |= 56
		e = symbols[b&(1<<symbolBits-1)]

		from := op - distance
		if distance < 8 {
			for range length {
				out[op] = out[from]
				op++
				from++
			}
			continue
		}
		head, to := (*[24]byte)(out[from:]), (*[24]byte)(out[op:])
		store(to[:], 0, load(head[:], 0))
		store(to[:], 8, load(head[:], 8))
		store(to[:], 16, load(head[:], 16))
		for i := 24; i < length; i += 8 {
			store(out, op+i, load(out, from+i))
		}
		op += length
	}
	return 0, false
}

func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

func store(b []byte, i int, v uint64) { binary.LittleEndian.PutUint64(b[i:], v) }
