package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Orphans tells which files were removed that no table has.
type Orphans struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// orphanAge is the least age of an orphan that is removed. A batch is committed within batchAge or never.
const orphanAge = 2 * batchAge

// RemoveOrphans removes files of the lake that no snapshot of its tables has and that are older than an age, at least 12
// hours: what processes left that were killed, and what has expired. Files of batches that are being filled are younger,
// and a batch that lost files isn't committed.
func (l *Lake) RemoveOrphans(ctx context.Context, age time.Duration, progress Progress) (Orphans, error) {
	if l.opts.ReadOnly {
		return Orphans{}, ErrReadOnly
	}
	o := orphans{l: l, manifests: map[string][]string{}, lists: map[tableSnapshot][]string{}, progress: progress}
	err := o.run(ctx, l.now().Add(-max(age, orphanAge)))
	if err != nil {
		err = fmt.Errorf("removing orphans of lake %s: %w", l.d.root, err)
	}
	return o.removed, err
}

// orphans is one run.
type orphans struct {
	l         *Lake
	files     []candidate
	manifests map[string][]string        // what each one names, by path
	lists     map[tableSnapshot][]string // the manifests of each snapshot
	removed   Orphans
	progress  Progress
}

type tableSnapshot struct {
	table string
	id    int64
}

type candidate struct {
	path string
	size int64
}

func (o *orphans) run(ctx context.Context, before time.Time) error {
	// First what there is, then what is in use: a file that gets into a table in between is in use.
	for _, dir := range append(Tables(), "scratch") {
		err := o.l.d.list(join(o.l.d.root, dir), func(path string, size int64, modified time.Time) error {
			if modified.Before(before) && ours(path) {
				o.files = append(o.files, candidate{path, size})
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	if len(o.files) == 0 {
		return nil
	}
	if _, err := o.used(ctx); err != nil { // most of the work, without the lock
		return err
	}
	unlock, err := o.l.d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	used, err := o.used(ctx)
	if err != nil {
		return err
	}
	for i, f := range o.files {
		if used[f.path] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := o.l.d.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		o.removed.Files++
		o.removed.Bytes += f.size
		o.progress.report(StepOrphans, "", int64(i+1), int64(len(o.files)))
	}
	return nil
}

// ours tells whether a file is one that a lake may have left: others are none of its business.
func ours(name string) bool {
	switch path.Ext(name) {
	case ".parquet", ".avro", ".tmp":
		return true
	case ".json":
		return strings.HasSuffix(name, ".metadata.json")
	}
	return false
}

// used returns the files that snapshots, and the metadata itself, name.
func (o *orphans) used(ctx context.Context) (map[string]bool, error) {
	events, files, err := o.l.refresh()
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	tables := []*loaded{events, files}
	for _, name := range sideTables {
		t, err := o.l.table(name)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	p := events.pending()
	for _, name := range Tables() {
		for _, file := range p.of(name) {
			used[o.l.d.path(file)] = true
		}
	}
	for _, t := range tables {
		used[o.l.d.path(t.MetadataLocation())] = true
		for m := range t.Metadata().PreviousFiles() {
			used[o.l.d.path(m.MetadataFile)] = true
		}
		for _, s := range t.Metadata().Snapshots() {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			used[o.l.d.path(s.ManifestList)] = true
			if err := o.usedBy(t.name, &s, used); err != nil {
				return nil, fmt.Errorf("snapshot %d of %s: %w", s.SnapshotID, t.name, err)
			}
		}
	}
	return used, nil
}

// usedBy adds what a snapshot of a table names. Neither it nor manifests ever change, so each is read once.
func (o *orphans) usedBy(name string, s *table.Snapshot, used map[string]bool) error {
	id := tableSnapshot{name, s.SnapshotID}
	list, ok := o.lists[id]
	if !ok {
		manifests, err := s.Manifests(o.l.d)
		if err != nil {
			return err
		}
		for _, m := range manifests {
			path := o.l.d.path(m.FilePath())
			if list = append(list, path); o.manifests[path] != nil {
				continue
			}
			names := []string{}
			if err := o.l.eachFile(m, func(f iceberg.DataFile) { names = append(names, o.l.d.path(f.FilePath())) }); err != nil {
				return err
			}
			o.manifests[path] = names
		}
		o.lists[id] = list
	}
	for _, path := range list {
		if used[path] { // and so is what it names
			continue
		}
		used[path] = true
		for _, name := range o.manifests[path] {
			used[name] = true
		}
	}
	return nil
}
