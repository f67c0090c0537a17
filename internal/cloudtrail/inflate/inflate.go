// Package inflate inflates gzip members that are whole and in memory, at about twice the speed of readers that stream.
//
// Log files are small, and inflating them is most of what verifying does and a quarter of what collecting does. With a
// member and its content in memory, the decoder takes eight bytes at a time, looks most symbols up once, and copies
// matches by words.
//
// It knows one answer: the content. Whatever is cut, altered, followed by other bytes, long or unusual it refuses, and leaves
// it to a reader that streams to say what is wrong. What it accepts has the length and the CRC-32 that the member states.
package inflate

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// What is longer is refused, so that memory is bounded.
const (
	MaxMember  = 2 << 20 // bytes of a member
	MaxContent = 8 << 20 // bytes of its content
)

// A Member inflates one gzip member after another, in memory that it keeps. The zero value is ready; it isn't safe for
// concurrent use.
type Member struct {
	in  []byte // the compressed data, and slack
	out []byte // the content, and slack
	tables
}

// How far the decoder may read behind the compressed data, and write behind the content: see [Member.block].
const (
	slackIn  = 32
	slackOut = 290
)

// Content returns what data inflates to, if data is one gzip member and nothing else. The content is valid until the next
// call.
func (m *Member) Content(data []byte) (content []byte, ok bool) {
	start, ok := header(data)
	if !ok || len(data) < start+8 || len(data) > MaxMember {
		return nil, false
	}
	end := len(data) - 8
	sum, size := binary.LittleEndian.Uint32(data[end:]), binary.LittleEndian.Uint32(data[end+4:])
	if size > MaxContent || int(size) > 1032*(end-start) { // DEFLATE makes no more of a byte
		return nil, false
	}
	m.in = append(append(m.in[:0], data[start:end]...), make([]byte, slackIn)...)
	if need := int(size) + slackOut; cap(m.out) < need {
		m.out = make([]byte, need+need/4)
	}
	m.out = m.out[:int(size)+slackOut]
	if !m.inflate(end-start, int(size)) {
		return nil, false
	}
	content = m.out[:size]
	return content, crc32.ChecksumIEEE(content) == sum
}

// header returns where a gzip member's compressed data begins (RFC 1952): after ten bytes, and a file's name if there is
// one. Other extras are refused.
func header(b []byte) (int, bool) {
	const named = 8
	if len(b) < 10 || b[0] != 0x1f || b[1] != 0x8b || b[2] != 8 || b[3]&^named != 0 {
		return 0, false
	}
	if b[3] == 0 {
		return 10, true
	}
	end := bytes.IndexByte(b[10:], 0)
	return 10 + end + 1, end >= 0
}
