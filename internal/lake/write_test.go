package lake_test

import (
	"os"
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
		times, err := parquet.ReadFile[struct {
			Time int64 `parquet:"eventTime,optional,timestamp(microsecond)"`
		}](file.Path)
		if err != nil || int64(len(times)) != file.Rows {
			t.Fatalf("%s: %d rows, %v; want %d", file.Path, len(times), err, file.Rows)
		}
		for i := range times[1:] {
			if times[i].Time > times[i+1].Time {
				t.Fatalf("%s isn't sorted at row %d", file.Path, i)
			}
		}
	}
}
