package cloudtrail

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
	"unsafe"
)

// MaxRecord is the longest record that is read, in bytes. CloudTrail's own limit is 256 KB (1 MB in event data stores).
const MaxRecord = 16 << 20

// firstChunk and chunkSize are how much of a log file is held at first and then, unless a record is longer.
const (
	firstChunk = 128 << 10
	chunkSize  = 512 << 10
)

// ErrNotLogFile means that the text is JSON but not a log file, which is an object with a list named Records.
var ErrNotLogFile = errors.New("not a CloudTrail log file (no Records)")

// Reader reads the records of one log file
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-examples.html), in memory bounded by
// the longest record. It isn't safe for concurrent use. After an error other than io.EOF nothing more can be read.
type Reader struct {
	r      io.Reader
	p      scanner // over the chunk held now
	d      decoder
	base   int64 // the chunk's place in the file
	eof    bool
	state  readerState
	found  bool // the list of records
	raw    string
	offset int64
	index  int
	chunk  []byte // holds p's text
	spare  []byte // of an earlier file
}

type readerState int

const (
	atStart  readerState = iota
	inFile               // at a member of the file's object, or its end
	inList               // at a record, or the list's end
	afterAll             // the file's object has ended
)

// NewReader returns a Reader of a log file's plain JSON text.
func NewReader(r io.Reader) *Reader {
	reader := new(Reader)
	reader.Reset(r)
	return reader
}

// Reset makes r read another log file, in memory that it has already: events of files read before, and their strings,
// must not be used any more.
func (r *Reader) Reset(file io.Reader) {
	*r = Reader{r: file, index: -1, spare: r.chunk[:0], d: decoder{memory: r.d.memory, extra: r.d.extra[:0]}}
	r.d.identities.make()
}

// Next decodes the next record into e. Its strings share memory with the part of the file they came from; they stay
// valid until Reset. Events may share a userIdentity, which must not be changed. It returns io.EOF after the last record, when the rest of the file has been found well-formed too;
// ErrNotLogFile; io.ErrUnexpectedEOF when the file ends early; *SyntaxError; or the underlying reader's error.
func (r *Reader) Next(e *Event) error {
	for {
		mark := r.p.i
		done, err := r.step(e)
		switch {
		case err == nil && done:
			return nil
		case err == nil:
			continue
		case errors.Is(err, errShort) && !r.eof:
			r.p.i = mark
			if err := r.fill(); err != nil {
				return err
			}
		case errors.Is(err, errShort):
			return io.ErrUnexpectedEOF
		default:
			var syntax *SyntaxError
			if errors.As(err, &syntax) {
				return &SyntaxError{r.base + syntax.Offset, syntax.Reason}
			}
			return err
		}
	}
}

// Raw returns the last record's text as it stands in the file.
func (r *Reader) Raw() string { return r.raw }

// Index returns the last record's place in the list, from 0.
func (r *Reader) Index() int { return r.index }

// Offset returns where the last record begins in the file's plain text, in bytes.
func (r *Reader) Offset() int64 { return r.offset }

// step goes on by one element of the file. done is true when that was a record. It consumes nothing when it
// returns errShort.
func (r *Reader) step(e *Event) (done bool, err error) {
	p := &r.p
	c, err := p.next()
	if r.state == afterAll {
		switch {
		case err == nil:
			return false, p.fail("data after the log file's end")
		case r.eof:
			return false, io.EOF
		}
		return false, err
	}
	if err != nil {
		return false, err
	}
	switch r.state {
	case atStart:
		if c != '{' {
			if _, err := p.value(0); err != nil {
				return false, err
			}
			return false, ErrNotLogFile
		}
		p.i++
		r.state = inFile
		return false, r.memberOrEnd('}')
	case inFile:
		return false, r.member()
	default:
		return r.record(e)
	}
}

// memberOrEnd looks at what comes after an opening bracket.
func (r *Reader) memberOrEnd(end byte) error {
	mark := r.p.i
	c, err := r.p.next()
	if err == nil && c == end {
		r.p.i++
		return r.ended(end)
	}
	if errors.Is(err, errShort) && !r.eof { // decided when more of the file is here
		r.p.i = mark
		if err := r.fill(); err != nil {
			return err
		}
		return r.memberOrEnd(end)
	}
	return err
}

// ended is called behind a closing bracket.
func (r *Reader) ended(bracket byte) error {
	if bracket == '}' {
		if !r.found {
			return ErrNotLogFile
		}
		r.state = afterAll
		return nil
	}
	r.state = inFile
	return r.separator('}')
}

// separator consumes a comma or the end bracket.
func (r *Reader) separator(end byte) error {
	for {
		c, err := r.p.next()
		switch {
		case errors.Is(err, errShort) && !r.eof:
			if err := r.fill(); err != nil {
				return err
			}
		case err != nil:
			return err
		case c == ',':
			r.p.i++
			return nil
		case c == end:
			r.p.i++
			return r.ended(end)
		default:
			return r.p.fail(fmt.Sprintf("expected ',' or '%c'", end))
		}
	}
}

// member reads a member of the file's object, or goes into its list of records.
func (r *Reader) member() error {
	name, err := r.p.key()
	if err != nil {
		return err
	}
	c, err := r.p.next()
	if err != nil {
		return err
	}
	if name != "Records" {
		if _, err := r.p.value(1); err != nil {
			return err
		}
		return r.separator('}')
	}
	if r.found {
		return r.p.fail("a second list of Records")
	}
	if c != '[' {
		return ErrNotLogFile
	}
	r.p.i++
	r.state, r.found = inList, true
	return r.memberOrEnd(']')
}

func (r *Reader) record(e *Event) (bool, error) {
	p := &r.p
	if _, err := p.next(); err != nil {
		return false, err
	}
	start := p.i
	p.seen = 0
	r.d.scanner, r.d.e = p, e
	if err := r.d.event(); err != nil {
		return false, err
	}
	raw := p.s[start:p.i]
	if p.seen&highs != 0 && !utf8.ValidString(raw) {
		if err := e.Decode(raw); err != nil {
			return false, err
		}
	}
	r.raw, r.offset = raw, r.base+int64(start)
	r.index++
	return true, r.separator(']')
}

// fill drops what was consumed and reads on, so that the chunk grows by at least one byte or eof is set. Strings of
// earlier chunks stay valid: a chunk's memory is not written again before Reset.
func (r *Reader) fill() error {
	left := r.p.s[r.p.i:]
	if len(left) > MaxRecord {
		return &SyntaxError{r.base + int64(r.p.i), fmt.Sprintf("a record of more than %d bytes", MaxRecord)}
	}
	size := chunkSize
	if r.base == 0 && left == "" {
		size = firstChunk
	}
	size = min(max(size, 2*len(left)), MaxRecord+chunkSize)
	buf := r.spare
	r.spare = nil
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	n := copy(buf, left)
	m, err := io.ReadFull(r.r, buf[n:])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		r.eof = true
	} else if err != nil {
		return err
	}
	r.base += int64(r.p.i)
	r.chunk = buf
	r.p = scanner{s: unsafe.String(unsafe.SliceData(buf), n+m)}
	return nil
}
