package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/parquet-go/parquet-go"
)

// A batch is committed in two steps, because Iceberg's hadoop catalog changes one table at a time. The first adds its
// events to the table events: that is the commit point. The new version of events names, in its property propBatch, a
// Parquet file with the batch's rows of log_files, which was written before. The second step adds that file to
// log_files, and notes there that it did. Commits are serialised by the lake's lock and begin with the second step of
// the batch before, if it is missing; so at most one is ever missing, and readers of this package count its file in.
//
// A batch without events has the second step only.

// pending is what the property propBatch of events says.
type pending struct {
	Batch string `json:"batch"`
	Files string `json:"files"` // Parquet file of log_files
}

// pending returns the last batch of events; the zero value when there was none.
func (v *loaded) pending() (p pending) {
	_ = json.Unmarshal([]byte(v.Properties()[propBatch]), &p) // written by us, or absent
	return p
}

// missing tells whether log_files doesn't have the batch yet.
func (p pending) missing(files *loaded) bool {
	return p.Batch != "" && files.Properties()[propBatch] != p.Batch
}

// commit takes the lake's lock and commits the batch.
func (b *Batch) commit(ctx context.Context) (Result, error) {
	l := b.l
	unlock, err := l.d.lock(ctx)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	events, files, err := l.repair(ctx)
	if err != nil {
		return Result{}, err
	}
	if b.planned != nil && (inSnapshots(events, b.id) || inSnapshots(files, b.id)) { // an earlier attempt took effect
		return *b.planned, errors.Join(l.d.syncDir(l.events.dir("metadata")), l.d.syncDir(l.files.dir("metadata")))
	}
	if err := b.plan(ctx, events); err != nil {
		return Result{}, err
	}
	rows, r := b.rows()
	b.planned = &r
	if len(rows) == 0 {
		return r, nil
	}
	path := filepath.Join(l.dataDir(LogFiles), b.fileName())
	if _, err := writeTable(l.d, path, rows); err != nil {
		return Result{}, err
	}
	p := pending{b.id, l.d.name(path)}
	if err := b.commitEvents(ctx, events, p); err != nil {
		return Result{}, err
	}
	if err := l.commitFiles(ctx, files, p, len(b.staged) > 0); err != nil {
		return Result{}, err
	}
	l.remember(b)
	return r, nil
}

// plan drops what the lake has already, from the batch and from the files that were written for it.
func (b *Batch) plan(ctx context.Context, events *loaded) error {
	if err := b.l.readCollected(ctx); err != nil {
		return err
	}
	for _, f := range b.files {
		if f.skip {
			continue
		}
		switch status := b.l.status(&f.LogFile); {
		case status == StatusQuarantined && f.Status == StatusCollected:
			return fmt.Errorf("%w: %s is in quarantine", ErrConflict, f.Object)
		case status != "":
			f.skip, f.collected = true, true
		}
	}
	if err := b.dropKnown(ctx, events); err != nil {
		return err
	}
	kept := b.staged[:0:0]
	var superseded []*dataFile
	for _, s := range b.staged {
		left, err := b.without(s)
		if err != nil {
			return err
		}
		if left != nil {
			kept = append(kept, left)
		}
		if left != s {
			superseded = append(superseded, s)
		}
	}
	b.staged = kept
	b.l.remove(superseded)
	return b.syncData()
}

// without returns the file without rows that the batch drops: the same file when there are none, nil when there are
// no others.
func (b *Batch) without(s *dataFile) (*dataFile, error) {
	keep := make([]int64, 0, len(s.refs))
	for i, r := range s.refs {
		if !b.files[r.file].drops(r.index) {
			keep = append(keep, int64(i))
		}
	}
	switch len(keep) {
	case len(s.refs):
		return s, nil
	case 0:
		return nil, nil
	}
	left := &dataFile{path: filepath.Join(filepath.Dir(s.path), b.fileName()), day: s.day, dayless: s.dayless}
	rows := make([]*eventRow, 0, len(keep))
	err := readRows(b.l.d, s.path, func(i int64, row *eventRow) error {
		if int(i) < len(s.refs) && len(keep) > 0 && keep[0] == i {
			keep = keep[1:]
			rows = append(rows, row)
			left.refs, left.keys = append(left.refs, s.refs[i]), append(left.keys, s.keys[i])
			left.bounds.add(row)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return left, newEncoder(b.l.d).create(left, rows)
}

// syncData makes the names of the batch's files durable.
func (b *Batch) syncData() error {
	synced := map[string]struct{}{}
	for _, s := range b.staged {
		dir := filepath.Dir(s.path)
		if _, done := synced[dir]; done {
			continue
		}
		synced[dir] = struct{}{}
		if err := b.l.d.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// rows returns the batch's rows of log_files, and counts.
func (b *Batch) rows() ([]*fileRow, Result) {
	r := Result{Batch: b.id}
	var rows []*fileRow
	for _, f := range b.files {
		if f.collected {
			r.Skipped++
		}
		if f.skip {
			continue
		}
		f.Duplicates, f.Batch = int64(len(f.dropped)), b.id
		f.CollectedAt = b.l.now().UTC().Truncate(time.Microsecond)
		r.Files++
		r.Events += f.Events - f.Duplicates
		r.Duplicates += f.Duplicates
		if f.Status == StatusQuarantined {
			r.Quarantined++
		}
		rows = append(rows, f.LogFile.row())
	}
	return rows, r
}

// commitEvents is the first step. It returns nil when the step took effect, even if it seemed to fail.
func (b *Batch) commitEvents(ctx context.Context, events *loaded, p pending) error {
	if len(b.staged) == 0 {
		return nil
	}
	err := b.l.append(ctx, events, b.staged, p, mustJSON(p))
	if err == nil {
		return nil
	}
	now, _, loadErr := b.l.refresh()
	if loadErr != nil {
		return errors.Join(err, loadErr)
	}
	if now.pending() != p {
		_ = b.l.d.Remove(p.Files) // an orphan at worst
		return err
	}
	return b.l.d.syncDir(b.l.events.dir("metadata"))
}

// commitFiles is the second step. withEvents is false for batches without the first.
func (l *Lake) commitFiles(ctx context.Context, files *loaded, p pending, withEvents bool) error {
	path := l.d.path(p.Files)
	if err := l.d.syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := measured(path)
	if err != nil {
		return err
	}
	mark := files.Properties()[propBatch]
	if withEvents {
		mark = p.Batch
	}
	return l.append(ctx, files, []*dataFile{f}, p, mark)
}

// append adds files to a table, and sets its property propBatch, by one commit.
func (l *Lake) append(ctx context.Context, t *loaded, files []*dataFile, p pending, mark string) error {
	described := make([]iceberg.DataFile, len(files))
	for i, f := range files {
		d, err := f.iceberg(l.d, t.Spec())
		if err != nil {
			return err
		}
		described[i] = d
	}
	txn := t.NewTransaction()
	summary := iceberg.Properties{"aitrail.batch": p.Batch, "aitrail.log-files": p.Files}
	if err := txn.AddDataFiles(ctx, described, summary, table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping()); err != nil {
		return err
	}
	if mark != "" {
		if err := txn.SetProperties(iceberg.Properties{propBatch: mark}); err != nil {
			return err
		}
	}
	_, err := txn.Commit(ctx)
	return err
}

// repair reads the tables, with the lake's lock held, and does the second step of the last commit if it is missing.
func (l *Lake) repair(ctx context.Context) (events, files *loaded, err error) {
	if events, files, err = l.refresh(); err != nil {
		return nil, nil, err
	}
	p := events.pending()
	if !p.missing(files) {
		return events, files, nil
	}
	if err := l.commitFiles(ctx, files, p, true); err != nil {
		return nil, nil, fmt.Errorf("finishing batch %s: %w", p.Batch, err)
	}
	l.log.Info("batch finished that was cut off", "batch", p.Batch)
	return l.refresh()
}

// inSnapshots tells whether a batch is in one of a table's snapshots.
func inSnapshots(t *loaded, batch string) bool {
	for _, s := range t.Metadata().Snapshots() {
		if s.Summary != nil && s.Summary.Properties["aitrail.batch"] == batch {
			return true
		}
	}
	return false
}

// holds tells whether a batch is in the lake.
func (l *Lake) holds(batch string) (bool, error) {
	events, files, err := l.refresh()
	if err != nil {
		return false, err
	}
	return inSnapshots(events, batch) || inSnapshots(files, batch), nil
}

func mustJSON(p pending) string {
	b, _ := json.Marshal(p) // two strings: can't fail
	return string(b)
}

// measured describes a Parquet file that is there.
func measured(path string) (*dataFile, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, err
	}
	view, err := parquet.OpenFile(r, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &dataFile{path: path}
	f.measure(view)
	return f, nil
}
