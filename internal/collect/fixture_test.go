package collect_test

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/bench/corpus"
	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
)

// logName is the name of a log file as CloudTrail gives it; n tells several apart.
func logName(n int, ext string) string {
	return fmt.Sprintf("AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/111122223333_CloudTrail_us-east-1_20260301T1005Z_%016d%s", n, ext)
}

func newLake(t *testing.T, dir string) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), dir, lake.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// row is an event in a lake: where it came from and its record.
type row struct {
	Object string
	Index  int64
	Record string
}

// rows returns the events of a lake by log file and place.
func rows(t *testing.T, l *lake.Lake) []row {
	t.Helper()
	var out []row
	for s, err := range l.ReadEvents(t.Context(), lake.EventFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, row{s.Object, s.Index, string(s.Event.AppendJSON(nil))})
	}
	return out
}

// records returns the rows that a folder's log files should give, read without package collect's reader.
func records(t *testing.T, files map[string][]byte) []row {
	t.Helper()
	var out []row
	for url, body := range files {
		r := cloudtrail.NewReader(bytes.NewReader(body))
		var e cloudtrail.Event
		for n := int64(0); r.Next(&e) == nil; n++ {
			out = append(out, row{url, n, string(e.AppendJSON(nil))})
		}
	}
	return out
}

func sameRows(t *testing.T, got, want []row) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("no rows are expected")
	}
	order := func(a, b row) int { return cmp.Or(strings.Compare(a.Object, b.Object), int(a.Index-b.Index)) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("the first row that differs:\n got %v\nwant %v", got[i], want[i])
			return
		}
	}
}

// fileURL is a file's name in the lake.
func fileURL(name string) string { return (&url.URL{Scheme: "file", Path: name}).String() }

// folder writes a corpus into a folder and returns its log files' text by URL.
func folder(t *testing.T, dir string, o corpus.Options) map[string][]byte {
	t.Helper()
	if _, err := corpus.Write(dir, o); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for f := range corpus.Files(o) {
		files[fileURL(filepath.Join(dir, f.Key))] = f.Body
	}
	return files
}

func write(t *testing.T, name string, body []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, body, 0o644); err != nil {
		t.Fatal(err)
	}
}

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// distinct gives the events of a plain log file ids of their own. Compressed ones keep theirs.
func distinct(t *testing.T, body []byte, n int) []byte {
	t.Helper()
	return bytes.ReplaceAll(body, []byte(`"eventID":"10000000`), fmt.Appendf(nil, `"eventID":"1%07d`, n))
}
