package inflate_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/aitrail/aitrail/internal/cloudtrail/inflate"
)

// pack makes a gzip member.
func pack(t testing.TB, level int, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Name = name
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// records looks like a log file.
func records(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString(`{"Records":[`)
	for i := range n {
		fmt.Fprintf(&b, `{"eventVersion":"1.11","eventTime":"2026-03-01T%02d:%02d:00Z","eventSource":"bedrock.amazonaws.com","eventName":"Converse",`+
			`"awsRegion":"us-east-1","sourceIPAddress":"203.0.113.%d","requestID":"%016x","eventID":"%016x-%016x"},`, i%24, i%60, i%256, r.Uint64(), r.Uint64(), r.Uint64())
	}
	b.WriteString(`{}]}`)
	return b.Bytes()
}

// contents are of all kinds of blocks, codes and matches.
func contents() map[string][]byte {
	r := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	skewed := make([]byte, 100_000) // long codewords
	for i := range skewed {
		skewed[i] = byte(min(r.ExpFloat64()*6, 255))
	}
	all := map[string][]byte{
		"empty": {}, "byte": {'a'}, "noise": noise, "skewed": skewed, "zeros": make([]byte, 200_000),
		"records": records(500), "few records": records(2),
		"far": append(append(bytes.Clone(noise[:32<<10]), noise[:1000]...), noise[:32<<10]...),
	}
	for period := 2; period < 40; period++ {
		all[fmt.Sprint("period ", period)] = bytes.Repeat(noise[:period], 3_000/period)
	}
	return all
}

func TestWholeMembers(t *testing.T) {
	var m inflate.Member
	for name, content := range contents() {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			for _, file := range []string{"", "111122223333_CloudTrail.json"} {
				got, ok := m.Content(pack(t, level, file, content))
				if !ok || !bytes.Equal(got, content) {
					t.Errorf("%s at level %d, named %q: %v, %d bytes, want %d", name, level, file, ok, len(got), len(content))
				}
			}
		}
	}
}

// What is wrong is refused, whatever it is: every cut, every changed bit, every byte more.
func TestDamagedMembersAreRefused(t *testing.T) {
	var m inflate.Member
	content := records(5)
	whole := pack(t, 6, "", content)
	for n := range whole {
		if _, ok := m.Content(whole[:n]); ok {
			t.Errorf("accepted, cut to %d bytes", n)
		}
	}
	for i := range 8 * len(whole) {
		damaged := bytes.Clone(whole)
		damaged[i/8] ^= 1 << (i % 8)
		got, ok := m.Content(damaged)
		// Time, level and system in the header, and the bits behind the last block's end, have no bearing on the content.
		if want, right := standard(damaged); ok && !(right && bytes.Equal(got, want)) {
			t.Errorf("accepted with bit %d of byte %d changed", i%8, i/8)
		}
	}
	for _, more := range []string{"\x00", "x", string(whole), string(whole[len(whole)-8:])} {
		if _, ok := m.Content([]byte(string(whole) + more)); ok {
			t.Errorf("accepted with %d bytes more", len(more))
		}
	}
	if got, ok := m.Content(whole); !ok || !bytes.Equal(got, content) {
		t.Error("after all of those, the whole member is refused")
	}
}

func TestLongContentIsRefused(t *testing.T) {
	var m inflate.Member
	if _, ok := m.Content(pack(t, 6, "", make([]byte, inflate.MaxContent))); !ok {
		t.Error("refused at the limit")
	}
	if _, ok := m.Content(pack(t, 6, "", make([]byte, inflate.MaxContent+1))); ok {
		t.Error("accepted over the limit")
	}
	small := pack(t, 6, "", []byte("small"))
	copy(small[len(small)-4:], "\x00\x00\x40\x00") // says that it is 4 MiB
	if _, ok := m.Content(small); ok {
		t.Error("believed a length that can't be")
	}
}

// member wraps compressed data of a known content.
func member(data, content []byte) []byte {
	sum, n := crc32.ChecksumIEEE(content), uint32(len(content))
	b := append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), data...)
	for _, v := range []uint32{sum, n} {
		b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return b
}

// Streams that no usual compressor writes, and that RFC 1951 has something to say of.
func TestUnusualStreams(t *testing.T) {
	for name, c := range map[string]struct {
		hex  string
		want string
		ok   bool
	}{
		"fixed code, end only":                 {"0300", "", true},
		"stored, empty":                        {"010000ffff", "", true},
		"two stored blocks":                    {"000100feff61" + "010100feff62", "ab", true},
		"stored, lengths that don't fit":       {"010100ffff61", "a", false},
		"a block of the reserved kind":         {"07", "", false},
		"a distance before the content":        {"030200", "aaa", false},
		"no bytes at all":                      {"", "", false},
		"stored, longer than it says":          {"010200fdff61", "a", false},
		"fixed code, no end":                   {"4b", "a", false},
		"fixed code, symbol 286":               {"1b03", "", false},
		"fixed code, bytes after the last bit": {"030000", "", false},
	} {
		data, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		var m inflate.Member
		got, ok := m.Content(member(data, []byte(c.want)))
		if ok != c.ok || ok && string(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
}

// standard is what the standard library makes of data as one member and nothing else.
func standard(data []byte) (content []byte, ok bool) {
	in := bytes.NewReader(data)
	r, err := gzip.NewReader(in)
	if err != nil {
		return nil, false
	}
	r.Multistream(false)
	content, err = io.ReadAll(io.LimitReader(r, inflate.MaxContent+1))
	return content, err == nil && in.Len() == 0 && len(content) <= inflate.MaxContent
}

// FuzzContent compares the content with the standard library's: of a gzip file, and of compressed data alone, whose
// checksum is put right so that the decoder itself is reached.
func FuzzContent(f *testing.F) {
	for _, content := range contents() {
		if len(content) > 4_000 {
			content = content[:4_000]
		}
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 6} {
			data := pack(f, level, "", content)
			f.Add(data)
			f.Add(data[10 : len(data)-8])
		}
	}
	var m inflate.Member
	f.Fuzz(func(t *testing.T, data []byte) {
		compare := func(data []byte) {
			want, right := standard(data)
			got, ok := m.Content(data)
			if ok && (!right || !bytes.Equal(got, want)) {
				t.Fatalf("accepted %d bytes as %d bytes, which the standard library reads as %d (%v)", len(data), len(got), len(want), right)
			}
			if right && !ok && len(data) > 3 && data[3] == 0 {
				t.Fatalf("refused %d bytes that the standard library reads as %d bytes", len(data), len(want))
			}
		}
		compare(data)
		content, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), inflate.MaxContent))
		if err == nil || len(content) > 0 {
			compare(member(data, content))
		}
	})
}

func BenchmarkContent(b *testing.B) {
	content := records(300)
	data := pack(b, 6, "", content)
	b.SetBytes(int64(len(content)))
	var m inflate.Member
	for b.Loop() {
		if _, ok := m.Content(data); !ok {
			b.Fatal("refused")
		}
	}
}
