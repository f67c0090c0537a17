package trail

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A segment is a file of the record: a header, then frames without gaps. Its name is the position of its first frame,
// as 16 hexadecimal digits. All numbers are little-endian.
//
//	header: "aitrev01" | position of the first frame, 8 bytes | when it was begun, Unix nanoseconds, 8 bytes
//	        | CRC-32C of the 24 bytes before, 4 bytes
//	frame:  length of the text, 4 bytes | CRC-32C of the rest of the frame, 4 bytes | event time, Unix seconds, 8 bytes
//	        | flags, 4 bytes (1: a management event) | the event's JSON text
const (
	segmentMagic  = "aitrev01"
	segmentHeader = 28
	frameHeader   = 20
	maxFrame      = 16 << 20 // bytes of text; CloudTrail's events have 256 KB at most
	suffix        = ".events"

	flagManagement = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Position is a place in the record: how many bytes of frames stand before it. Positions only grow.
type Position int64

// errTorn means that the bytes at a place are not a whole frame.
var errTorn = errors.New("torn frame")

// segment is one file of the record.
type segment struct {
	path  string
	base  Position  // the position of its first frame
	begun time.Time // no event in it was recorded before
}

func segmentPath(dir string, base Position) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", int64(base), suffix))
}

// offset is where a position stands in the segment's file.
func (s *segment) offset(p Position) int64 { return segmentHeader + int64(p-s.base) }

// createSegment makes the file and its header, both durable.
func createSegment(dir string, base Position, begun time.Time) (*segment, *os.File, error) {
	s := &segment{path: segmentPath(dir, base), base: base, begun: begun}
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, err
	}
	h := make([]byte, 0, segmentHeader)
	h = append(h, segmentMagic...)
	h = binary.LittleEndian.AppendUint64(h, uint64(base))
	h = binary.LittleEndian.AppendUint64(h, uint64(begun.UnixNano()))
	h = binary.LittleEndian.AppendUint32(h, crc32.Checksum(h, castagnoli))
	_, err = f.Write(h)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close(), os.Remove(s.path))
	}
	return s, f, nil
}

// openSegment reads a segment's header. The error is errTorn when it isn't one.
func openSegment(path string) (*segment, error) {
	base, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(path), suffix), 16, 64)
	if err != nil {
		return nil, fmt.Errorf("segment %q: not a segment's name", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var h [segmentHeader]byte
	if _, err := io.ReadFull(f, h[:]); err != nil || string(h[:8]) != segmentMagic ||
		int64(binary.LittleEndian.Uint64(h[8:])) != base ||
		binary.LittleEndian.Uint32(h[24:]) != crc32.Checksum(h[:24], castagnoli) {
		return nil, fmt.Errorf("segment %q: %w", path, errTorn)
	}
	begun := time.Unix(0, int64(binary.LittleEndian.Uint64(h[16:]))).UTC()
	return &segment{path: path, base: Position(base), begun: begun}, nil
}

// appendFrame appends a frame. encode appends the event's text.
func appendFrame(b []byte, at time.Time, management bool, encode func([]byte) []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, frameHeader)...)
	b = encode(b)
	h := b[start:]
	binary.LittleEndian.PutUint32(h, uint32(len(h)-frameHeader))
	binary.LittleEndian.PutUint64(h[8:], uint64(at.Unix()))
	var flags uint32
	if management {
		flags = flagManagement
	}
	binary.LittleEndian.PutUint32(h[16:], flags)
	binary.LittleEndian.PutUint32(h[4:], crc32.Checksum(h[8:], castagnoli))
	return b
}

// Entry is an event as it stands in the record.
type Entry struct {
	Position   Position  // where it begins
	Next       Position  // where the next one begins
	Time       time.Time // its eventTime
	Management bool      // it is a management event
	JSON       string    // the record, as cloudtrail.Event encodes it
}

// header is a frame's first bytes.
type header [frameHeader]byte

func (h *header) length() int { return int(binary.LittleEndian.Uint32(h[:])) }

// entry is what the header tells of the event at a position. The error is errTorn for what can't be a header.
func (h *header) entry(at Position) (Entry, error) {
	if h.length() > maxFrame {
		return Entry{}, errTorn
	}
	return Entry{
		Position:   at,
		Next:       at + frameHeader + Position(h.length()),
		Time:       time.Unix(int64(binary.LittleEndian.Uint64(h[8:])), 0).UTC(),
		Management: binary.LittleEndian.Uint32(h[16:])&flagManagement != 0,
	}, nil
}

// text reads the text that follows the header and checks the frame.
func (h *header) text(r io.Reader) (string, error) {
	b := make([]byte, h.length())
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	sum := crc32.Update(crc32.Checksum(h[8:], castagnoli), castagnoli, b)
	if sum != binary.LittleEndian.Uint32(h[4:]) {
		return "", errTorn
	}
	return string(b), nil
}

// frames reads frames one after the other.
type frames struct {
	r  *bufio.Reader
	at Position
}

func newFrames(r io.Reader, at Position) *frames {
	return &frames{r: bufio.NewReaderSize(r, 256<<10), at: at}
}

// next reads a frame: its header only when text is false, and then unchecked. The error is io.EOF at the end and
// errTorn for what isn't a whole frame.
func (f *frames) next(text bool) (Entry, error) {
	var h header
	_, err := io.ReadFull(f.r, h[:])
	if err == io.ErrUnexpectedEOF {
		err = errTorn
	}
	if err != nil {
		return Entry{}, err
	}
	e, err := h.entry(f.at)
	if err != nil {
		return Entry{}, err
	}
	if text {
		e.JSON, err = h.text(f.r)
	} else {
		_, err = f.r.Discard(h.length())
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = errTorn
	}
	if err != nil {
		return Entry{}, err
	}
	f.at = e.Next
	return e, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
