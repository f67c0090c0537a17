package collect_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aitrail/aitrail/bench/corpus"
	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/google/go-cmp/cmp"
)

// whole are the files of testdata that are read whole; the others' faults are below.
var whole = map[string]collect.Decoded{
	"whole.json.gz":            {Zipped: true, Events: 3, Kind: cloudtrail.KindLog},
	"plain.json":               {Events: 3, Kind: cloudtrail.KindLog},
	"two-members.json.gz":      {Zipped: true, Events: 3, Kind: cloudtrail.KindLog},
	"empty-member.json.gz":     {Zipped: true, Events: 3, Kind: cloudtrail.KindLog},
	"no-records.json.gz":       {Zipped: true},
	"insight.json.gz":          {Zipped: true, Events: 1, Kind: cloudtrail.KindInsight},
	"network-activity.json.gz": {Zipped: true, Events: 1, Kind: cloudtrail.KindNetworkActivity},
	"aggregated.json.gz":       {Zipped: true, Events: 1, Kind: cloudtrail.KindAggregated},
	"invocations.json.gz":      {Zipped: true, Events: 5, Kind: cloudtrail.KindInvocations},
	"digest.json.gz":           {Zipped: true, Kind: cloudtrail.KindDigest, Nature: "digest"},
}

// faults are the files of testdata that can't be read whole: what they are taken for when the name doesn't tell, and
// why they go to quarantine when it does.
var faults = map[string]struct{ nature, fault string }{
	"truncated-gz.json.gz":      {"log file", "gzip data ends early, at byte 303"},
	"truncated-trailer.json.gz": {"log file", "gzip data ends early, at byte 450"},
	"truncated-json.json":       {"log file", "the JSON ends early, at byte 1500 of its text, after 2 records"},
	"bad-checksum.json.gz":      {"log file", "gzip checksum does not match, at byte 455"},
	"bad-deflate.json.gz":       {"log file", "broken gzip data"},
	"trailing-bytes.json.gz":    {"log file", "8 bytes after the end of the gzip data, at byte 455"},
	"trailing-json.json":        {"log file", "data after the log file's end, at byte 2119 of its text"},
	"empty.json.gz":             {"other", "empty"},
	"empty-text.json.gz":        {"other", "empty"},
	"not-json.json":             {"other", "no list of Records"},
	"not-a-log-file.json":       {"other", "no list of Records"},
	"records-not-a-list.json":   {"log file", "no list of Records"},
	"record-not-an-object.json": {"log file", "record 3: "},
	"broken-record.json":        {"log file", "record 2: "},
	"deep-nesting.json.gz":      {"log file", "record 0: "},
	"huge-record.json.gz":       {"log file", "record 1: "},
	"broken-invocations.json":   {"log file", "record 1: not a record of a model invocation log: broken JSON at byte "},
}

func TestDecode(t *testing.T) {
	names, err := filepath.Glob("testdata/*.*")
	if err != nil || len(names) != len(whole)+len(faults) {
		t.Fatalf("%d files in testdata, want %d: %v", len(names), len(whole)+len(faults), err)
	}
	d := collect.NewDecoder(64 << 20) // one for all, so that no file leaves anything behind for the next
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(raw)
			inMemory, err := d.Decode(bytes.NewBuffer(bytes.Clone(raw)), func(*cloudtrail.Event, int) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			got, err := d.Decode(bytes.NewReader(raw), func(e *cloudtrail.Event, index int) error {
				if index != len(ids) {
					t.Errorf("event %d has index %d", len(ids), index)
				}
				ids = append(ids, e.EventID)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got.Size != int64(len(raw)) || got.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%d bytes, SHA-256 %s; want %d, %x", got.Size, got.SHA256, len(raw), sum)
			}
			if int64(len(ids)) != got.Events && got.Kind != cloudtrail.KindInvocations {
				t.Errorf("counted %d events, gave %d", got.Events, len(ids))
			}
			checkDecoded(t, filepath.Base(name), got)
			if diff := cmp.Diff(got, inMemory); diff != "" {
				t.Errorf("in memory it is another, -stream +memory:\n%s", diff)
			}
		})
	}
}

func checkDecoded(t *testing.T, name string, got collect.Decoded) {
	t.Helper()
	if want, ok := faults[name]; ok {
		if got.Nature != want.nature || !strings.Contains(got.Fault, want.fault) {
			t.Errorf("taken for a %s with fault %q; want %s, %q", got.Nature, got.Fault, want.nature, want.fault)
		}
		return
	}
	want := whole[name]
	if want.Nature == "" {
		want.Nature = "log file"
	}
	want.Size, want.SHA256, want.Inflated = got.Size, got.SHA256, got.Inflated
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestDecodeTransfer checks that a transfer that fails at any byte is never taken for a fault of the content.
func TestDecodeTransfer(t *testing.T) {
	raw, err := os.ReadFile("testdata/two-members.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	d := collect.NewDecoder(1 << 20)
	none := func(*cloudtrail.Event, int) error { return nil }
	for n := range raw {
		broken := errors.New("connection reset")
		body := io.MultiReader(bytes.NewReader(raw[:n]), iotest.ErrReader(broken))
		got, err := d.Decode(body, none)
		if !errors.Is(err, broken) || got.Fault != "" {
			t.Fatalf("broken off at byte %d: fault %q, error %v", n, got.Fault, err)
		}
		// Cut off by the store without an error, it is a fault of the content; what was expected is known to the caller.
		if got, err = d.Decode(bytes.NewReader(raw[:n]), none); err != nil || got.Fault == "" || got.Size != int64(n) {
			t.Fatalf("cut off at byte %d: %+v, error %v", n, got, err)
		}
	}
}

// TestDecodeSmallReads checks that the result doesn't depend on how the bytes arrive.
func TestDecodeSmallReads(t *testing.T) {
	for name := range whole {
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := collect.NewDecoder(1<<20).Decode(iotest.OneByteReader(bytes.NewReader(raw)), func(*cloudtrail.Event, int) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		checkDecoded(t, name, got)
	}
}

// TestDecodeLimit checks that inflating stops at the limit.
func TestDecodeLimit(t *testing.T) {
	bomb, err := corpus.Gzip([]byte(`{"Records":[],"pad":"` + strings.Repeat(" ", 8<<20) + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := collect.NewDecoder(1<<20).Decode(bytes.NewReader(bomb), func(*cloudtrail.Event, int) error { return nil })
	if err != nil || !strings.Contains(got.Fault, "longer than the limit of 1048576 bytes") || got.Size != int64(len(bomb)) {
		t.Errorf("%+v, error %v", got, err)
	}
	if got.Inflated > 3<<20 {
		t.Errorf("inflated %d bytes", got.Inflated)
	}
}

// TestDecodeMemory reads a log file of 50 MB of text, whose events aren't kept, in a few megabytes of heap.
func TestDecodeMemory(t *testing.T) {
	body := logFile(t, 50<<20)
	zipped, err := corpus.Gzip(body)
	if err != nil {
		t.Fatal(err)
	}
	size := len(body)
	body = nil
	base := heap()
	var peak uint64
	got, err := collect.NewDecoder(128<<20).Decode(bytes.NewReader(zipped), func(e *cloudtrail.Event, index int) error {
		if index%5000 == 0 {
			peak = max(peak, heap())
		}
		return nil
	})
	if err != nil || got.Fault != "" || got.Inflated != int64(size) {
		t.Fatalf("%+v, error %v", got, err)
	}
	if grown := int64(peak) - int64(base); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes for a log file of %d", grown, size)
	}
}

// heap returns the bytes of the heap that are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// logFile returns the text of a log file of at least size bytes.
func logFile(t *testing.T, size int) []byte {
	t.Helper()
	for f := range corpus.Files(corpus.Options{Events: size / 1000, PerFile: size / 1000, Seed: 1}) {
		if len(f.Body) < size {
			t.Fatalf("log file of %d bytes, want %d", len(f.Body), size)
		}
		return f.Body
	}
	return nil
}

// FuzzDecode checks that no bytes make the decoder fail in another way than by a fault, that it reads every byte, that
// it gives the same result again, and that gzip makes no difference to what a plain text holds.
func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.*")
	if err != nil || len(names) == 0 {
		f.Fatalf("no files in testdata: %v", err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	d := collect.NewDecoder(4 << 20)
	f.Fuzz(func(t *testing.T, raw []byte) {
		decode := func(b []byte, body io.Reader) (collect.Decoded, []string) {
			var events []string
			got, err := d.Decode(body, func(e *cloudtrail.Event, _ int) error {
				events = append(events, string(e.AppendJSON(nil)))
				return nil
			})
			if err != nil {
				t.Fatalf("error %v", err)
			}
			if sum := sha256.Sum256(b); got.Size != int64(len(b)) || got.SHA256 != hex.EncodeToString(sum[:]) {
				t.Fatalf("size and hash are not those of the bytes: %+v", got)
			}
			return got, events
		}
		first, events := decode(raw, bytes.NewReader(raw))
		second, again := decode(raw, bytes.NewBuffer(bytes.Clone(raw)))
		if diff := cmp.Diff(first, second) + cmp.Diff(events, again); diff != "" {
			t.Fatalf("read again, it differs:\n%s", diff)
		}
		if first.Zipped {
			return
		}
		zipped, err := corpus.Gzip(raw)
		if err != nil {
			t.Fatal(err)
		}
		third, unzipped := decode(zipped, bytes.NewBuffer(bytes.Clone(zipped)))
		third.Zipped, third.Size, third.SHA256 = false, first.Size, first.SHA256
		if diff := cmp.Diff(first, third) + cmp.Diff(events, unzipped); diff != "" {
			t.Fatalf("as gzip, it differs:\n%s", diff)
		}
	})
}
