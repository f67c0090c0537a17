package collect

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"

	"github.com/aitrail/aitrail/internal/cloudtrail/inflate"
)

// faultError says why the content of an object isn't a log file that can be read whole. It is a verdict on the
// content: reading the same bytes again gives the same fault.
type faultError struct{ reason string }

func (e *faultError) Error() string { return e.reason }

func fault(format string, args ...any) error { return &faultError{fmt.Sprintf(format, args...)} }

// transferError is a failure to read an object's bytes. It says nothing about the content.
type transferError struct{ err error }

func (e *transferError) Error() string { return e.err.Error() }
func (e *transferError) Unwrap() error { return e.err }

// stored reads an object's bytes as they stand, counts and hashes them.
type stored struct {
	r    io.Reader
	hash hash.Hash
	size int64
	err  error // the transfer's failure
}

func (s *stored) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(b)
	s.hash.Write(b[:n])
	s.size += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = &transferError{err}
		return n, s.err
	}
	return n, err
}

// text is the plain text of an object, which is gzip or plain by its first bytes. As gzip it may have several members;
// bytes behind a member that aren't another one are a fault.
//
// One text serves many objects, one after the other, so that inflating allocates once.
type text struct {
	stored   stored
	buf      *bufio.Reader
	zr       *gzip.Reader
	inflater *inflate.Member // for objects that are in memory; nil: they are inflated as others
	whole    *bytes.Reader   // what it made of the object; nil if it could not
	zipped   bool
	limit    int64 // of the inflated text
	n        int64 // inflated so far
	err      error // sticky: the fault, the failure or io.EOF
	head     []byte
	ahead    []byte // of head, what peek has read and Read gives next
}

// headSize is how much of the text is kept to tell what it is.
const headSize = 2048

func newText() *text {
	return &text{buf: bufio.NewReaderSize(nil, 64<<10), stored: stored{hash: sha256.New()}}
}

// reset begins another object. One that is in memory is in a buffer.
func (t *text) reset(r io.Reader, limit int64) {
	t.stored.r, t.stored.size, t.stored.err = r, 0, nil
	t.stored.hash.Reset()
	t.buf.Reset(&t.stored)
	t.limit, t.n, t.err, t.head, t.ahead, t.whole = limit, 0, nil, t.head[:0], nil, nil
	if object, ok := r.(*bytes.Buffer); ok && t.inflater != nil {
		if content, ok := t.inflater.Content(object.Bytes()); ok {
			t.zipped, t.whole = true, bytes.NewReader(content)
			return
		}
	}
	magic, _ := t.buf.Peek(2)
	t.zipped = len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b
	if t.zipped {
		t.member()
	}
}

// member begins a gzip member at the reader's place.
func (t *text) member() {
	var err error
	if t.zr == nil {
		t.zr, err = gzip.NewReader(t.buf)
	} else {
		err = t.zr.Reset(t.buf)
	}
	if err != nil {
		t.err = t.inflateError(err)
		return
	}
	t.zr.Multistream(false)
}

// Read reads plain text. Its errors are io.EOF, a *faultError or a *transferError.
func (t *text) Read(b []byte) (int, error) {
	if len(t.ahead) > 0 {
		n := copy(b, t.ahead)
		t.ahead = t.ahead[n:]
		return n, nil
	}
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.read(b)
	t.n += int64(n)
	if room := headSize - len(t.head); room > 0 {
		t.head = append(t.head, b[:min(room, n)]...)
	}
	switch {
	case t.n > t.limit:
		t.err = fault("its text is longer than the limit of %d bytes", t.limit)
		return 0, t.err
	case err != nil:
		t.err = err
	}
	return n, err
}

// peek returns the beginning of the text, before anything was read. Errors come with Read.
func (t *text) peek() []byte {
	var b [headSize]byte
	for len(t.head) < headSize && t.err == nil {
		_, _ = t.Read(b[:headSize-len(t.head)])
	}
	t.ahead = t.head
	return t.head
}

func (t *text) read(b []byte) (int, error) {
	if !t.zipped {
		n, err := t.buf.Read(b)
		return n, t.plainError(err)
	}
	if t.whole != nil {
		return t.whole.Read(b)
	}
	n, err := t.zr.Read(b)
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return n, t.inflateError(err)
	}
	if err := t.nextMember(); err != nil {
		return n, err
	}
	return n, nil
}

// nextMember is called at the end of a member. It returns io.EOF at the end of the object.
func (t *text) nextMember() error {
	magic, err := t.buf.Peek(2)
	switch {
	case t.stored.err != nil:
		return t.stored.err
	case len(magic) == 0:
		return err
	case len(magic) == 1 || magic[0] != 0x1f || magic[1] != 0x8b:
		at := t.offset()
		rest, err := io.Copy(io.Discard, t.buf)
		if err != nil {
			return t.plainError(err)
		}
		return fault("%d bytes after the end of the gzip data, at byte %d", rest, at)
	}
	t.member()
	return t.err
}

func (t *text) plainError(err error) error {
	if t.stored.err != nil {
		return t.stored.err
	}
	return err
}

// inflateError tells a broken transfer from broken gzip data.
func (t *text) inflateError(err error) error {
	switch {
	case t.stored.err != nil:
		return t.stored.err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault("gzip data ends early, at byte %d", t.stored.size)
	case errors.Is(err, gzip.ErrChecksum):
		return fault("gzip checksum does not match, at byte %d", t.offset())
	}
	return fault("broken gzip data at about byte %d", t.offset())
}

// offset is the place in the stored bytes up to which they have been used.
func (t *text) offset() int64 { return t.stored.size - int64(t.buf.Buffered()) }

// drain reads the stored bytes to their end, so that size and hash are those of the whole object.
func (t *text) drain() error {
	_, err := io.Copy(io.Discard, t.buf)
	return t.plainError(err)
}

// sum returns the size and the SHA-256, hex, of the stored bytes read so far.
func (t *text) sum() (int64, string) {
	return t.stored.size, hex.EncodeToString(t.stored.hash.Sum(nil))
}
