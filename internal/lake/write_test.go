package lake_test

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/aitrail/aitrail/internal/lake"
)

// TestParquetMetadata looks at what readers of data files rely upon: the columns' names, their field ids, and the order
// of rows.
func TestParquetMetadata(t *testing.T) {
	l := create(t, t.TempDir())
	const day = 24 * 3600
	backwards := logFile{object: "file:///b"}
	for n := range 300 {
		backwards.records = append(backwards.records, record(300-n))
	}
	commit(t, l, backwards, numbered("file:///a", day, day+5), numbered("file:///c", 2*day, 2*day+5))
	s, err := l.Files(ctx, lake.Events)
	if err != nil || len(s.Files) != 3 {
		t.Fatalf("%d files, %v; want 3", len(s.Files), err)
	}
	ids := map[string]int{}
	for _, c := range lake.Columns(lake.Events) {
		ids[c.Name] = c.ID
	}
	for _, file := range s.Files {
		r, err := os.Open(file.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		p, err := parquet.OpenFile(r, file.Bytes)
		if err != nil {
			t.Fatalf("%s: %v", file.Path, err)
		}
		paths := p.Schema().Columns()
		for _, group := range p.Metadata().RowGroups {
			for i, c := range group.Columns {
				if !slices.Equal([]string(c.MetaData.PathInSchema), paths[i]) {
					t.Errorf("%s: column %d is named %q, want %q", file.Path, i, c.MetaData.PathInSchema, paths[i])
				}
			}
		}
		for _, f := range p.Schema().Fields() {
			if f.ID() != ids[f.Name()] || f.ID() == 0 {
				t.Errorf("%s: %s has field id %d, want %d", file.Path, f.Name(), f.ID(), ids[f.Name()])
			}
		}
		if !inOrder(t, file) {
			t.Errorf("%s isn't sorted", file.Path)
		}
	}
}

// inOrder tells whether a file's rows are in the order of time.
func inOrder(t *testing.T, file lake.DataFile) bool {
	t.Helper()
	type row struct {
		Time int64 `parquet:"eventTime,optional,timestamp(microsecond)"`
	}
	rows, err := parquet.ReadFile[row](file.Path)
	if err != nil || int64(len(rows)) != file.Rows {
		t.Fatalf("%s: %d rows, %v; want %d", file.Path, len(rows), err, file.Rows)
	}
	return slices.IsSortedFunc(rows, func(a, b row) int { return cmp.Compare(a.Time, b.Time) })
}

// TestJoin commits a batch of two pieces that overlap in time, and of which one loses rows: a data file that doesn't say that it
// is sorted. Compaction sorts it.
func TestJoin(t *testing.T) {
	l := create(t, t.TempDir())
	commit(t, l, numbered("file:///before", 0, 2))
	even, odd := logFile{object: "file:///even"}, logFile{object: "file:///odd"}
	for n := range lake.ChunkRows { // 18 hours from noon
		even.records = append(even.records, record(2*n))
	}
	for n := range 100 {
		odd.records = append(odd.records, record(2*n+1))
	}
	r := commit(t, l, even, odd, numbered("file:///again", 10, 20))
	if r.Batch = ""; r != (lake.Result{Files: 3, Events: lake.ChunkRows + 98, Duplicates: 12, Calls: lake.ChunkRows + 110}) {
		t.Errorf("Commit = %+v", r)
	}
	if left, err := os.ReadDir(filepath.Join(l.Dir(), "scratch")); err != nil || len(left) > 0 {
		t.Errorf("scratch files: %v, %v", left, err)
	}
	if files, unsorted := saidSorted(t, l); files != 3 || unsorted != 1 {
		t.Errorf("%d data files, %d of them unsorted; want 3 and 1", files, unsorted)
	}
	before := content(t, l)
	if _, err := l.Compact(ctx, lake.Events, nil); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, content(t, l)) {
		t.Error("compaction changed the lake")
	}
	if files, unsorted := saidSorted(t, l); files != 2 || unsorted != 0 {
		t.Errorf("%d data files after compaction, %d of them unsorted; want 2 and 0", files, unsorted)
	}
}

// saidSorted counts data files of events, and those that don't say that they are sorted; what they say must be true.
func saidSorted(t *testing.T, l *lake.Lake) (files, unsorted int) {
	t.Helper()
	s, err := l.Files(ctx, lake.Events)
	if err != nil {
		t.Fatal(err)
	}
	sorted, err := lake.Sorted(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Files {
		if sorted[f.Path] != inOrder(t, f) {
			t.Errorf("%s: says sorted %v, is %v", f.Path, sorted[f.Path], !sorted[f.Path])
		}
		if !sorted[f.Path] {
			unsorted++
		}
	}
	return len(s.Files), unsorted
}
