package collect_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/lake"
)

// realTrail holds log files that AWS wrote; it isn't part of the repository.
const realTrail = "../../../shared/data/real-trail"

// TestCollectReal collects real log files: each record is a row that encodes to an equal JSON value.
func TestCollectReal(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(realTrail, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skipf("no real log files in %s", realTrail)
	}
	want := map[string][]json.RawMessage{}
	total := 0
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var log struct{ Records []json.RawMessage }
		if err := json.Unmarshal(b, &log); err != nil {
			t.Fatal(err)
		}
		want[filepath.Base(name)] = log.Records
		total += len(log.Records)
	}
	if len(want) != 28 || total != 1233 {
		t.Errorf("%d files with %d records, want 28 with 1233", len(want), total)
	}
	l := newLake(t, t.TempDir())
	report, err := collect.Collect(t.Context(), l, []string{realTrail}, collect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Collected != 28 || report.Events+report.Duplicates != 1233 || report.Other != 1 || report.Quarantined+report.Failed != 0 {
		t.Errorf("%+v", report)
	}
	seen := 0
	for s, err := range l.ReadEvents(t.Context(), lake.EventFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		record := want[s.Object[strings.LastIndexByte(s.Object, '/')+1:]][s.Index]
		if got := s.Event.AppendJSON(nil); !equalJSON(t, got, record) {
			t.Fatalf("row %s %d\n got %s\nwant %s", s.Object, s.Index, got, record)
		}
		seen++
	}
	if int64(seen) != report.Events {
		t.Errorf("%d rows, the report says %d", seen, report.Events)
	}
}

// equalJSON compares values as encoding/json understands them, numbers by their text.
func equalJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	value := func(b []byte) (v any) {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	return reflect.DeepEqual(value(a), value(b))
}
