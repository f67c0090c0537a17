package lake

import (
	"context"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// WithFault makes f be called before and after each step that changes the file system; its error takes the place of
// the step, or of the step's success.
func (o Options) WithFault(f func(step, name string, after bool) error) Options {
	o.fault = f
	return o
}

// WithBackoff sets the longest pause before a request to AWS is made again.
func (o Options) WithBackoff(pause time.Duration) Options {
	o.backoff = pause
	return o
}

// ChunkRows is how many rows of a log file are held in memory.
const ChunkRows = chunkRows

// Sorted tells of each data file of events whether the table says that it is sorted.
func Sorted(l *Lake) (map[string]bool, error) {
	t, err := l.table(Events)
	if err != nil {
		return nil, err
	}
	sorted := map[string]bool{}
	err = l.eachManifest(t, func(m iceberg.ManifestFile) error {
		return l.eachFile(m, func(f iceberg.DataFile) {
			sorted[l.d.path(f.FilePath())] = f.SortOrderID() != nil && *f.SortOrderID() == timeSortID
		})
	})
	return sorted, err
}

// CreateVersion makes a lake without rows of another version: 1 is one as it was then, without the columns and tables that came
// later; those of later programs are told by their version alone.
func CreateVersion(ctx context.Context, at string, version int) error {
	l, err := newLake(ctx, at, Options{Create: true})
	if err != nil {
		return err
	}
	for _, name := range []string{LogFiles, Events} {
		meta, err := l.d.newTable(name)
		if err != nil {
			return err
		}
		b, err := table.MetadataBuilderFromBase(meta, "")
		if err != nil {
			return err
		}
		if name == Events && version == 1 {
			var then []iceberg.NestedField
			for _, f := range meta.CurrentSchema().Fields() {
				if f.ID < 80 {
					then = append(then, f)
				}
			}
			if err := b.AddSchema(iceberg.NewSchema(1, then...)); err != nil {
				return err
			}
			if err := b.SetCurrentSchemaID(1); err != nil {
				return err
			}
			if err := b.RemoveSchemas([]int{0}); err != nil {
				return err
			}
		}
		if err := b.SetProperties(iceberg.Properties{propVersion: strconv.Itoa(version)}); err != nil {
			return err
		}
		if meta, err = b.Build(); err != nil {
			return err
		}
		if err := l.versions(name).create(meta); err != nil {
			return err
		}
	}
	return nil
}

// EncodeMetadata returns the text that metadata is written as, twice.
func EncodeMetadata(meta table.Metadata) (texts [2][]byte, err error) {
	var w metadataText
	for i := range texts {
		if texts[i], err = w.encode(meta); err != nil {
			break
		}
	}
	return texts, err
}

// Merges returns the sizes of the files of a table, of one day where it is by day, that compaction would merge.
func Merges(name string, sizes ...int64) (merged [][]int64) {
	var files []DataFile
	for _, n := range sizes {
		files = append(files, DataFile{Bytes: n})
	}
	c := compaction{target: TargetBytes, done: Compacted{Table: name}}
	for _, group := range c.plan(files) {
		var of []int64
		for _, f := range group {
			of = append(of, f.Bytes)
		}
		merged = append(merged, of)
	}
	return merged
}
