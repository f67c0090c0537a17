package digest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/aitrail/aitrail/internal/cloudtrail/inflate"
)

// Why a file's content is not to be had, or not whole. Any other error of inflate means: no gzip file.
var (
	errTruncated = errors.New("the gzip member breaks off")
	errTooLong   = errors.New("too long")
)

// readError is an error of the source, not of the file.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// watched remembers the error that its reader gave, which inflating would hide.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// A Gunzipper inflates gzip as compress/gzip's Reader does. From a reader that is an io.ByteReader it must not take more
// than belongs to the members it has read.
type Gunzipper interface {
	io.Reader
	Reset(io.Reader) error
	Multistream(bool)
}

// inflater holds what inflating piece by piece needs, to be used again.
type inflater struct {
	in     *bufio.Reader
	gz     Gunzipper
	buffer []byte
}

// inflaters keeps what inflating needs for the next file. Many files may be read at a time, which takes waiting; no more are
// inflated whole than there are processors.
type inflaters struct {
	make    func() Gunzipper // nil: the standard library's
	turns   chan struct{}
	files   sync.Pool // of *bytes.Buffer, which files are read into
	members sync.Pool // of *inflate.Member
	pieces  sync.Pool // of *inflater
}

func newInflaters(gunzip func() Gunzipper) *inflaters {
	return &inflaters{make: gunzip, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// whole writes the content of a file that is one whole gzip member to w, if it is one and has no more than limit bytes.
func (p *inflaters) whole(w io.Writer, file []byte, limit int64) (n int, ok bool, err error) {
	p.turns <- struct{}{}
	defer func() { <-p.turns }()
	m, there := p.members.Get().(*inflate.Member)
	if !there {
		m = new(inflate.Member)
	}
	defer p.members.Put(m)
	content, ok := m.Content(file)
	if !ok || int64(len(content)) > limit {
		return 0, false, nil
	}
	n, err = w.Write(content)
	return n, true, err
}

func (p *inflaters) get() *inflater {
	if f, ok := p.pieces.Get().(*inflater); ok {
		return f
	}
	f := &inflater{in: bufio.NewReaderSize(nil, 64<<10), gz: new(gzip.Reader), buffer: make([]byte, 64<<10)}
	if p.make != nil {
		f.gz = p.make()
	}
	return f
}

// inflate writes the content of src's first gzip member to w: what CloudTrail hashed. It returns the content's length
// and how many bytes follow the member. Where plain is set, a file that isn't gzip is its own content.
func (p *inflaters) inflate(w io.Writer, src io.Reader, limit int64, plain bool) (n, trailing int64, err error) {
	file, ok := p.files.Get().(*bytes.Buffer)
	if !ok {
		file = bytes.NewBuffer(make([]byte, 0, 64<<10))
	}
	defer p.files.Put(file)
	file.Reset()
	if _, err := file.ReadFrom(io.LimitReader(src, inflate.MaxMember+1)); err != nil {
		return 0, 0, &readError{err}
	}
	if n, ok, err := p.whole(w, file.Bytes(), limit); ok {
		return int64(n), 0, err
	}
	// Long files, and those in which something is wrong, or unusual.
	f := p.get()
	defer p.pieces.Put(f)
	source := &watched{r: io.MultiReader(bytes.NewReader(file.Bytes()), src)}
	f.in.Reset(source)
	defer f.in.Reset(nil)
	n, trailing, err = f.run(w, limit, plain)
	switch {
	case source.err != nil:
		return n, 0, &readError{source.err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errTruncated
	}
	return n, trailing, err
}

func (f *inflater) run(w io.Writer, limit int64, plain bool) (n, trailing int64, err error) {
	if magic, _ := f.in.Peek(2); plain && string(magic) != "\x1f\x8b" && len(magic) > 0 {
		n, err = io.CopyBuffer(w, io.LimitReader(f.in, limit+1), f.buffer)
	} else {
		if err := f.gz.Reset(f.in); err != nil {
			return 0, 0, err
		}
		f.gz.Multistream(false)
		n, err = io.CopyBuffer(w, io.LimitReader(f.gz, limit+1), f.buffer)
	}
	if err == nil && n > limit {
		err = fmt.Errorf("%w: over %d bytes", errTooLong, limit)
	}
	if err != nil {
		return n, 0, err
	}
	trailing, err = io.CopyBuffer(io.Discard, io.LimitReader(onlyReader{f.in}, limit), f.buffer)
	return n, trailing, err
}

// onlyReader hides all but Read, so that the buffer at hand is used.
type onlyReader struct{ io.Reader }
