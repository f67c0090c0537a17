package lake

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// errDeletes is returned for tables that another program deleted rows from without rewriting their files.
var errDeletes = errors.New("the table has row-level deletes, which only compaction by the program that made them removes")

// Files returns the current snapshot of a table: what a reader has to read to see each row once.
func (l *Lake) Files(_ context.Context, name string) (Snapshot, error) {
	if rowTypes[name] == nil {
		return Snapshot{}, fmt.Errorf("no table %q in a lake", name)
	}
	events, files, t, err := l.refreshed(name)
	if err != nil {
		return Snapshot{}, fmt.Errorf("lake %s: %w", l.d.root, err)
	}
	if t == nil { // of a lake of an older version, opened for reading
		return Snapshot{Table: name}, nil
	}
	entries, err := l.entries(t)
	if err != nil {
		return Snapshot{}, fmt.Errorf("lake %s: %w", l.d.root, err)
	}
	s := Snapshot{Table: name, Expired: t.expired()}
	s.RetentionDays, _ = t.retention()
	if c := t.CurrentSnapshot(); c != nil {
		s.ID, s.Time = c.SnapshotID, time.UnixMilli(c.TimestampMs).UTC()
	}
	s.Files = append(s.Files, entries...)
	if p := events.pending(); name != Events && p.missing(files) && p.missing(t) {
		for _, path := range p.of(name) {
			f, err := measured(l.d, name, l.d.path(path))
			if err != nil {
				return Snapshot{}, fmt.Errorf("lake %s: %w", l.d.root, err)
			}
			d := DataFile{Path: f.path, Local: l.d.local(f.path), Rows: f.rows, Bytes: f.bytes, First: f.bounds.first.time(), Last: f.bounds.last.time()}
			if !f.bounds.timed {
				d.First, d.Last = time.Time{}, time.Time{}
			}
			if !f.dayless {
				d.Day = time.Unix(int64(f.day)*86400, 0).UTC()
			}
			s.Files = append(s.Files, d)
		}
	}
	for _, f := range s.Files {
		s.Rows += f.Rows
		s.Bytes += f.Bytes
	}
	slices.SortFunc(s.Files, compareFiles)
	return s, nil
}

func compareFiles(a, b DataFile) int {
	return cmp.Or(a.Day.Compare(b.Day), a.First.Compare(b.First), cmp.Compare(a.Path, b.Path))
}

// entries returns the data files of a table's version. Manifests never change, so each is read once.
func (l *Lake) entries(t *loaded) ([]DataFile, error) {
	var all []DataFile
	leaves := leavesOf(t)
	err := l.eachManifest(t, func(m iceberg.ManifestFile) error {
		l.mu.Lock()
		cached, ok := l.manifests[m.FilePath()]
		l.mu.Unlock()
		if !ok {
			err := l.eachFile(m, func(f iceberg.DataFile) { cached = append(cached, l.dataFile(t.name, f, leaves)) })
			if err != nil {
				return err
			}
			l.mu.Lock()
			l.manifests[m.FilePath()] = cached
			l.mu.Unlock()
		}
		all = append(all, cached...)
		return nil
	})
	l.forgetManifests()
	return all, err
}

func (l *Lake) eachManifest(t *loaded, do func(iceberg.ManifestFile) error) error {
	snapshot := t.CurrentSnapshot()
	if snapshot == nil {
		return nil
	}
	manifests, err := snapshot.Manifests(l.d)
	if err != nil {
		return err
	}
	for _, m := range manifests {
		if m.ManifestContent() != iceberg.ManifestContentData {
			if m.HasAddedFiles() || m.HasExistingFiles() {
				return errDeletes
			}
			continue // all of its deletes have been taken out
		}
		if err := do(m); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lake) eachFile(m iceberg.ManifestFile, do func(iceberg.DataFile)) error {
	for e, err := range m.Entries(l.d, true) {
		if err != nil {
			return fmt.Errorf("manifest %s: %w", m.FilePath(), err)
		}
		do(e.DataFile())
	}
	return nil
}

// manifestsKept is how many manifests are remembered. A table has some hundred of them.
const manifestsKept = 4096

func (l *Lake) forgetManifests() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.manifests) > manifestsKept {
		clear(l.manifests)
	}
}

func (l *Lake) dataFile(name string, f iceberg.DataFile, leaves []int) DataFile {
	path := l.d.path(f.FilePath())
	d := DataFile{Path: path, Local: l.d.local(path), Rows: f.Count(), Bytes: f.FileSizeBytes(), Whole: whole(f, leaves)}
	if day, ok := f.Partition()[dayFieldID].(iceberg.Date); ok {
		d.Day = time.Unix(int64(day)*86400, 0).UTC()
	}
	if _, partitioned := f.Partition()[dayFieldID]; partitioned {
		d.First, d.Last = timeBound(f.LowerBoundValues()), timeBound(f.UpperBoundValues())
		if !d.Day.IsZero() && (d.First.IsZero() || d.Last.IsZero()) { // of another program, which writes no bounds
			d.First, d.Last = d.Day, d.Day.Add(24*time.Hour-time.Microsecond)
		}
		if name == Events {
			d.Texts = textBounds(f)
		}
	}
	return d
}

// leavesOf returns the ids of a table's leaf columns: what a file written by this version has counts of.
func leavesOf(t *loaded) []int {
	return leafIDs(parquet.SchemaOf(reflect.New(rowTypes[t.name]).Interface()), nil)
}

// whole tells whether a file has counts of all columns.
func whole(f iceberg.DataFile, leaves []int) bool {
	counts := f.ValueCounts()
	return !slices.ContainsFunc(leaves, func(id int) bool { _, ok := counts[id]; return !ok })
}

func textBounds(f iceberg.DataFile) map[string]TextBounds {
	bounds := map[string]TextBounds{}
	lower, upper, nulls := f.LowerBoundValues(), f.UpperBoundValues(), f.NullValueCounts()
	for _, c := range boundColumns {
		b := TextBounds{Low: string(lower[c.id]), High: string(upper[c.id])}
		if n, counted := nulls[c.id]; counted {
			b.Null = n == f.Count()
		}
		if b.Low != "" || b.Null {
			bounds[c.name] = b
		}
	}
	return bounds
}

func timeBound(bounds map[int][]byte) time.Time {
	if b := bounds[timeFieldID]; len(b) == 8 {
		return time.UnixMicro(int64(binary.LittleEndian.Uint64(b))).UTC()
	}
	return time.Time{}
}

// rowsPerRead is how many rows the Parquet reader is asked for at a time.
const rowsPerRead = 128

// openParquet opens a Parquet file. The caller closes the *os.File.
func openParquet(d *disk, path string) (*os.File, *parquet.File, error) {
	file, err := d.open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil {
		var view *parquet.File
		if view, err = parquet.OpenFile(file, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true)); err == nil {
			return file, view, nil
		}
	}
	file.Close()
	return nil, nil, fmt.Errorf("%s: %w", path, err)
}

// readRows calls f for every row of a Parquet file with its number. f may keep the row.
func readRows[T any](d *disk, path string, f func(i int64, row *T) error) error {
	file, err := d.open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	r := parquet.NewGenericReader[T](file)
	defer r.Close()
	for i := int64(0); ; {
		rows := make([]T, rowsPerRead)
		n, err := r.Read(rows)
		for j := range n {
			if err := f(i, &rows[j]); err != nil {
				return err
			}
			i++
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}

// errStop ends an iteration.
var errStop = errors.New("stop")

// LogFiles yields the rows of log_files in the order they were collected.
func (l *Lake) LogFiles(ctx context.Context) iter.Seq2[LogFile, error] {
	return func(yield func(LogFile, error) bool) {
		s, err := l.Files(ctx, LogFiles)
		if err != nil {
			yield(LogFile{}, err)
			return
		}
		var all []LogFile
		for _, f := range s.Files {
			err := readRows(l.d, f.Path, func(_ int64, row *fileRow) error {
				all = append(all, row.logFile())
				return ctx.Err()
			})
			if err != nil {
				yield(LogFile{}, fmt.Errorf("lake %s: %w", l.d.root, err))
				return
			}
		}
		slices.SortStableFunc(all, func(a, b LogFile) int {
			return cmp.Or(a.CollectedAt.Compare(b.CollectedAt), cmp.Compare(a.Object, b.Object))
		})
		for _, f := range all {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// ReadEvents yields the events that the filter chooses, by day. Stopping early is fine.
func (l *Lake) ReadEvents(ctx context.Context, f EventFilter) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		s, err := l.Files(ctx, Events)
		if err != nil {
			yield(Stored{}, err)
			return
		}
		for _, file := range s.Files {
			if !f.reaches(file) {
				continue
			}
			err := l.readFile(ctx, file, f, func(s Stored) error {
				if !yield(s, nil) {
					return errStop
				}
				return nil
			})
			if errors.Is(err, errStop) {
				return
			}
			if err != nil {
				yield(Stored{}, fmt.Errorf("lake %s: %w", l.d.root, err))
				return
			}
		}
	}
}

// reaches tells whether a file may hold what the filter chooses.
func (f EventFilter) reaches(file DataFile) bool {
	if file.Last.IsZero() { // events without a time
		return f.From.IsZero() && f.To.IsZero()
	}
	return (f.From.IsZero() || !file.Last.Before(f.From)) && (f.To.IsZero() || file.First.Before(f.To))
}

// match tells whether the filter chooses a row.
func (f EventFilter) match(row *eventRow) bool {
	switch {
	case f.ID != "" && eventIDOf(row.EventID, row.Extra) != f.ID:
		return false
	case f.Object != "" && row.SourceObject != f.Object:
		return false
	case !f.From.IsZero() && row.EventTime.time().Before(f.From):
		return false
	case !f.To.IsZero() && (row.EventTime == nil || !row.EventTime.time().Before(f.To)):
		return false
	}
	return true
}

func (l *Lake) readFile(ctx context.Context, file DataFile, f EventFilter, do func(Stored) error) error {
	if f.ID != "" { // look at the ids alone first
		found := false
		err := readRows(l.d, file.Path, func(_ int64, row *keyRow) error {
			if found = eventIDOf(row.EventID, row.Extra) == f.ID; found {
				return errStop
			}
			return ctx.Err()
		})
		if err != nil && !errors.Is(err, errStop) || !found {
			return err
		}
	}
	return readRows(l.d, file.Path, func(_ int64, row *eventRow) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !f.match(row) {
			return nil
		}
		return do(Stored{Event: row.event(), Call: row.call(), Object: row.SourceObject, Index: row.SourceIndex})
	})
}

func (f *LogFile) row() *fileRow {
	return &fileRow{
		Object: f.Object, Size: f.Size, ETag: f.ETag, SHA256: f.SHA256, Kind: string(f.Kind), Account: f.Account, Region: f.Region,
		Events: f.Events, Duplicates: f.Duplicates, First: microsOf(f.First, new(micros)), Last: microsOf(f.Last, new(micros)),
		CollectedAt: microsOf(f.CollectedAt, new(micros)), Status: f.Status, Reason: f.Reason, Verdict: f.Verdict, VerdictNote: f.VerdictNote, Batch: f.Batch,
	}
}

func (r *fileRow) logFile() LogFile {
	return LogFile{
		Object: r.Object, Size: r.Size, ETag: r.ETag, SHA256: r.SHA256, Kind: cloudtrail.Kind(r.Kind), Account: r.Account, Region: r.Region,
		Events: r.Events, Duplicates: r.Duplicates, First: r.First.time(), Last: r.Last.time(), CollectedAt: r.CollectedAt.time(),
		Status: r.Status, Reason: r.Reason, Verdict: r.Verdict, VerdictNote: r.VerdictNote, Batch: r.Batch,
	}
}
