package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// A batch is committed in steps, because Iceberg's catalogs change one table at a time. The first is a snapshot of the table
// events: that is the commit point. The new version of events names, in its property propBatch, Parquet files with the batch's
// rows of the other tables, which were written before. The steps after add those files to their tables, each of which notes that
// it did; log_files comes last, so it tells whether a batch is done with. Commits begin with the steps of the batch before that
// are missing; so only those of one batch ever are, and readers of this package count its files in.
//
// Every batch makes a snapshot of events, even one without events: then it has the files of the one before. A commit to
// events succeeds only upon the snapshot that it was decided on, so commits are one after the other, in a folder by the
// lake's lock too, in a bucket by that alone.

// sideTables are the tables besides events and log_files. A batch need not have rows of them.
var sideTables = []string{Invocations, Digests}

// pending is what the property propBatch of events says.
type pending struct {
	Batch       string   `json:"batch"`
	Files       string   `json:"files"`                 // Parquet file of log_files
	Invocations []string `json:"invocations,omitempty"` // Parquet files
	Digests     []string `json:"digests,omitempty"`
}

// of returns the batch's files of a table.
func (p pending) of(name string) []string {
	switch name {
	case Invocations:
		return p.Invocations
	case Digests:
		return p.Digests
	case LogFiles:
		if p.Files != "" {
			return []string{p.Files}
		}
	}
	return nil
}

// pending returns the last batch of events; the zero value when there was none.
func (v *loaded) pending() (p pending) {
	_ = json.Unmarshal([]byte(v.Properties()[propBatch]), &p) // written by us, or absent
	return p
}

// missing tells whether a table doesn't have the batch yet.
func (p pending) missing(t *loaded) bool {
	return p.Batch != "" && t.Properties()[propBatch] != p.Batch
}

// commitAttempts is how often a change is tried again whose table another process changed meanwhile, and unknownAttempts
// one that may have been lost on its way. It can't take effect twice: it is decided anew, upon a snapshot.
const (
	commitAttempts  = 100
	unknownAttempts = 3
)

// retry does a change until no other process comes in between.
func retry(ctx context.Context, do func() error) error {
	for n := 1; ; n++ {
		err := do()
		if !(errors.Is(err, table.ErrCommitFailed) && n < commitAttempts || errors.Is(err, errUnknown) && n < unknownAttempts) {
			return err
		}
		pause := time.NewTimer(rand.N(min(time.Duration(n)*20*time.Millisecond, time.Second)))
		select {
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		case <-pause.C:
		}
	}
}

// commit takes the lake's lock and commits the batch.
func (b *Batch) commit(ctx context.Context) (r Result, err error) {
	unlock, err := b.l.d.lock(ctx)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	err = retry(ctx, func() error {
		r, err = b.attempt(ctx)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	return r, nil
}

// attempt commits the batch upon the tables' current versions.
func (b *Batch) attempt(ctx context.Context) (Result, error) {
	l := b.l
	events, files, err := l.repair(ctx)
	if err != nil {
		return Result{}, err
	}
	if b.planned != nil && (events.has(b.id) || files.has(b.id)) { // an earlier attempt took effect
		return *b.planned, errors.Join(l.d.syncDir(l.metadataDir(Events)), l.d.syncDir(l.metadataDir(LogFiles)))
	}
	if err := b.plan(ctx, events); err != nil {
		return Result{}, err
	}
	rows, r := b.rows()
	b.planned = &r
	if len(rows) == 0 {
		return r, nil
	}
	path := join(l.dataDir(LogFiles), b.fileName())
	if _, err := writeTable(l.d, path, rows); err != nil {
		return Result{}, err
	}
	if err := l.d.syncDir(parent(path)); err != nil { // events is going to name it
		return Result{}, err
	}
	p := pending{Batch: b.id, Files: l.d.name(path), Invocations: b.names(Invocations), Digests: b.names(Digests)}
	if err := b.commitEvents(ctx, events, p); err != nil {
		return Result{}, err
	}
	if err := l.finish(ctx, p); err != nil {
		return Result{}, err
	}
	l.remember(b)
	return r, nil
}

// plan drops what the lake has already, from the batch and from the files that were written for it.
func (b *Batch) plan(ctx context.Context, events *loaded) error {
	if age := b.l.now().Round(0).Sub(b.began); age > batchAge {
		return fmt.Errorf("%w: it was begun %v ago", ErrStale, age.Round(time.Minute))
	}
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
	for _, p := range b.parts {
		if len(p.staged) == 0 {
			continue
		}
		t := events
		if p.table != Events {
			var err error
			if t, err = b.l.table(p.table); err != nil {
				return err
			}
		}
		if err := b.dropKnown(ctx, p, t); err != nil {
			return err
		}
		kept := p.staged[:0:0]
		var superseded []*dataFile
		for _, s := range p.staged {
			left, err := b.without(p, s)
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%w: %w", ErrStale, err)
			}
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
		p.staged = kept
		remove(superseded)
	}
	return b.assemble()
}

// names returns the names of the batch's files of a table.
func (b *Batch) names(table string) (names []string) {
	for _, f := range b.part(table).files {
		names = append(names, b.l.d.name(f.path))
	}
	return names
}

// without returns the piece without rows that the batch drops: the same when there are none, nil when there are no
// others.
func (b *Batch) without(p *part, s *dataFile) (*dataFile, error) {
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
	left := &dataFile{d: s.d, path: join(s.d.root, b.pieceName()), day: s.day, dayless: s.dayless}
	c := b.l.chunk(p.table)
	defer b.l.recycle(c)
	kept := func(i int64) bool {
		if int(i) >= len(s.refs) || len(keep) == 0 || keep[0] != i {
			return false
		}
		keep = keep[1:]
		return true
	}
	if err := c.read(s.d, s.path, func(i int64) (ref, bool) { return s.refs[min(int(i), len(s.refs)-1)], kept(i) }); err != nil {
		return nil, err
	}
	return left, c.w.writeFile(left, c, c.since(0))
}

// rows returns the batch's rows of log_files, and counts.
func (b *Batch) rows() ([]*fileRow, Result) {
	r := Result{Batch: b.id}
	var rows []*fileRow
	for _, f := range b.files {
		if f.collected && f.Kind != cloudtrail.KindDigest {
			r.Skipped++
		}
		if f.skip {
			continue
		}
		f.Duplicates, f.Batch = int64(len(f.dropped)), b.id
		f.CollectedAt = b.l.now().UTC().Truncate(time.Microsecond)
		switch {
		case f.Status == StatusQuarantined:
			r.Files++
			r.Quarantined++
		case f.Kind == cloudtrail.KindDigest:
			r.Digests++
		default:
			r.Files++
		}
		if f.Kind == cloudtrail.KindInvocations {
			r.Invocations += f.Events - f.Duplicates
		} else {
			r.Events += f.Events - f.Duplicates
		}
		r.Duplicates += f.Duplicates
		r.Calls += f.calls
		rows = append(rows, f.LogFile.row())
	}
	return rows, r
}

// commitEvents is the first step. It returns nil when the step took effect, even if it seemed to fail.
func (b *Batch) commitEvents(ctx context.Context, events *loaded, p pending) error {
	l := b.l
	err := l.append(ctx, events, b.part(Events).files, p)
	if err == nil {
		return nil
	}
	now, files, loadErr := l.refresh()
	if loadErr != nil {
		return errors.Join(err, loadErr)
	}
	if !now.has(b.id) && !files.has(b.id) {
		if b.unknown = b.unknown || errors.Is(err, errUnknown); !b.unknown {
			_ = l.d.Remove(p.Files) // an orphan at worst
		}
		return err
	}
	return l.d.syncDir(l.metadataDir(Events))
}

// finish does the steps after the first, but for those that somebody has done.
func (l *Lake) finish(ctx context.Context, p pending) error {
	for _, name := range append(slices.Clone(sideTables), LogFiles) {
		if len(p.of(name)) == 0 {
			continue
		}
		if err := l.commitFiles(ctx, name, p); err != nil {
			return err
		}
	}
	return nil
}

// commitFiles is the step of one table, unless somebody has done it.
func (l *Lake) commitFiles(ctx context.Context, name string, p pending) error {
	var added []*dataFile
	for _, file := range p.of(name) {
		f, err := measured(l.d, name, l.d.path(file))
		if err != nil {
			return err
		}
		added = append(added, f)
	}
	return retry(ctx, func() error {
		events, files, err := l.refresh()
		if err != nil {
			return err
		}
		t := files
		if name != LogFiles {
			if t, err = l.table(name); err != nil {
				return err
			}
		}
		if events.pending().Batch != p.Batch || !p.missing(files) || !p.missing(t) {
			return l.d.syncDir(l.metadataDir(name))
		}
		return l.append(ctx, t, added, p)
	})
}

// append adds files to a table, and sets its property propBatch, by one commit. Without files the new snapshot has those
// of the one before.
func (l *Lake) append(ctx context.Context, t *loaded, files []*dataFile, p pending) error {
	mark := p.Batch
	if t.name == Events {
		mark = mustJSON(p)
	}
	properties := iceberg.Properties{propBatch: mark}
	summary := iceberg.Properties{summaryBatch: p.Batch, "aitrail.log-files": p.Files}
	if len(files) == 0 {
		return l.touch(ctx, t, summary, properties)
	}
	described := make([]iceberg.DataFile, len(files))
	for i, f := range files {
		d, err := f.iceberg(l.d, t.Spec())
		if err != nil {
			return err
		}
		described[i] = d
	}
	txn := t.NewTransaction()
	if err := txn.AddDataFiles(ctx, described, summary, table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping()); err != nil {
		return err
	}
	if err := txn.SetProperties(properties); err != nil {
		return err
	}
	_, err := txn.Commit(ctx)
	return err
}

// touch commits a snapshot with the files of the one before.
func (l *Lake) touch(ctx context.Context, t *loaded, summary, properties iceberg.Properties) error {
	s := table.Snapshot{
		SnapshotID: rand.Int64(), SequenceNumber: t.Metadata().LastSequenceNumber() + 1, TimestampMs: time.Now().UnixMilli(),
		Summary: &table.Summary{Operation: table.OpAppend, Properties: summary},
	}
	var manifests []iceberg.ManifestFile
	if before := t.CurrentSnapshot(); before != nil {
		var err error
		if manifests, err = before.Manifests(l.d); err != nil {
			return err
		}
		s.ParentSnapshotID = &before.SnapshotID
		s.TimestampMs = max(s.TimestampMs, before.TimestampMs)
		if before.Summary != nil {
			for name, value := range before.Summary.Properties {
				if strings.HasPrefix(name, "total-") {
					summary[name] = value
				}
			}
		}
	}
	schema := t.Schema().ID
	s.SchemaID = &schema
	var list bytes.Buffer
	if err := iceberg.WriteManifestList(2, &list, s.SnapshotID, s.ParentSnapshotID, &s.SequenceNumber, 0, manifests); err != nil {
		return err
	}
	s.ManifestList = l.d.name(join(l.metadataDir(t.name), fmt.Sprintf("snap-%d-0-%s.avro", s.SnapshotID, uuid.New())))
	if err := l.d.WriteFile(s.ManifestList, list.Bytes()); err != nil {
		return err
	}
	return t.commit(ctx,
		[]table.Requirement{table.AssertTableUUID(t.Metadata().TableUUID()), table.AssertRefSnapshotID(table.MainBranch, s.ParentSnapshotID)},
		[]table.Update{
			table.NewAddSnapshotUpdate(&s),
			table.NewSetSnapshotRefUpdate(table.MainBranch, s.SnapshotID, table.BranchRef, 0, 0, 0),
			table.NewSetPropertiesUpdate(properties),
		})
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
	if err := l.finish(ctx, p); err != nil {
		return nil, nil, fmt.Errorf("finishing batch %s: %w", p.Batch, err)
	}
	l.log.Info("batch finished that was cut off", "batch", p.Batch)
	return l.refresh()
}

// has tells whether a batch is in the table.
func (v *loaded) has(batch string) bool {
	if v.pending().Batch == batch {
		return true
	}
	for _, s := range v.Metadata().Snapshots() {
		if s.Summary != nil && s.Summary.Properties[summaryBatch] == batch {
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
	return events.has(batch) || files.has(batch), nil
}

func mustJSON(p pending) string {
	b, _ := json.Marshal(p) // strings: can't fail
	return string(b)
}

// measured describes a Parquet file of a table that is there.
func measured(d *disk, name, path string) (*dataFile, error) {
	r, view, err := openParquet(d, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f := &dataFile{d: d, path: path, dayless: true}
	f.measure(view.Metadata(), view.Size(), leafIDs(view.Schema(), nil))
	if byDay(name) {
		f.span(view.Metadata(), leafIDs(view.Schema(), nil))
	}
	return f, nil
}
