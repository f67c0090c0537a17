package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Expired tells what retention took out of a table.
type Expired struct {
	Before time.Time `json:"before"` // rows of before that time have expired
	At     time.Time `json:"at"`     // when some were taken out last
	Rows   int64     `json:"rows"`   // taken out by then
	Total  int64     `json:"total"`  // since the lake was made
}

// expired returns what the table's property says; the zero value when nothing has expired yet.
func (v *loaded) expired() (e Expired) {
	_ = json.Unmarshal([]byte(v.Properties()[propExpired]), &e) // written by us, or absent
	return e
}

// retention returns how many days the table's rows are kept; 0 for ever.
func (v *loaded) retention() int { return v.Properties().GetInt(propRetention, 0) }

// ErrRetention is returned for a retention that can't be: log_files must be kept at least as long as events, since a log
// file that isn't in log_files is collected again.
var ErrRetention = errors.New("log_files must be kept at least as long as events")

// Retention returns how many days the rows of each table are kept; 0 for ever.
func (l *Lake) Retention() (events, logFiles int, err error) {
	e, f, err := l.refresh()
	if err != nil {
		return 0, 0, fmt.Errorf("lake %s: %w", l.d.root, err)
	}
	return e.retention(), f.retention(), nil
}

// SetRetention sets how many days the rows of each table are kept; 0 for ever. It is kept in the lake, and takes effect
// when rows are expired the next time.
func (l *Lake) SetRetention(ctx context.Context, events, logFiles int) error {
	switch {
	case l.opts.ReadOnly:
		return ErrReadOnly
	case events < 0 || logFiles < 0:
		return fmt.Errorf("retention of %d and %d days: 0 is for ever, and less there isn't", events, logFiles)
	case logFiles > 0 && (events == 0 || logFiles < events):
		return fmt.Errorf("%w: retention of events is %s, that of log_files %s", ErrRetention, days(events), days(logFiles))
	}
	err := retry(ctx, func() error {
		e, f, err := l.refresh()
		if err != nil {
			return err
		}
		if err := e.setRetention(ctx, events); err != nil {
			return err
		}
		return f.setRetention(ctx, logFiles)
	})
	if err != nil {
		return fmt.Errorf("setting the retention of lake %s: %w", l.d.root, err)
	}
	return nil
}

func days(n int) string {
	if n == 0 {
		return "for ever"
	}
	return fmt.Sprint(n, " days")
}

func (v *loaded) setRetention(ctx context.Context, days int) error {
	if v.retention() == days {
		return nil
	}
	var update table.Update = table.NewSetPropertiesUpdate(iceberg.Properties{propRetention: strconv.Itoa(days)})
	if days == 0 {
		update = table.NewRemovePropertiesUpdate([]string{propRetention})
	}
	return v.commit(ctx, []table.Requirement{table.AssertTableUUID(v.Metadata().TableUUID())}, []table.Update{update})
}

// Expire takes the rows out of a table that are older than its retention: events by the day of eventTime, log files when
// their last event and their collecting are that long ago. Events without a time are kept. What it took is written down
// in the table. It returns the number of rows. Older snapshots have them until those are expired.
func (l *Lake) Expire(ctx context.Context, name string) (int64, error) {
	if l.opts.ReadOnly {
		return 0, ErrReadOnly
	}
	var rows int64
	unlock, err := l.d.lock(ctx)
	if err == nil {
		defer unlock()
		err = retry(ctx, func() error {
			rows, err = l.expire(ctx, name)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("expiring %s in lake %s: %w", name, l.d.root, err)
	}
	return rows, nil
}

func (l *Lake) expire(ctx context.Context, name string) (int64, error) {
	events, files, err := l.repair(ctx)
	if err != nil {
		return 0, err
	}
	t := events
	if name == LogFiles {
		t = files
	}
	if t.retention() == 0 {
		return 0, nil
	}
	before := l.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -t.retention())
	entries, err := l.entries(t)
	if err != nil {
		return 0, err
	}
	var rows int64
	c := change{old: map[string]struct{}{}}
	for _, f := range entries {
		n, left, err := l.expireFile(name, f, before)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			continue
		}
		rows += n
		c.old[f.Path] = struct{}{}
		if left != nil {
			c.files = append(c.files, left)
		}
	}
	if rows == 0 {
		return 0, nil
	}
	e := Expired{Before: before, At: l.now().UTC().Truncate(time.Second), Rows: rows, Total: t.expired().Total + rows}
	text, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	c.summary = iceberg.Properties{summaryMaintenance: "expiry", propExpired: string(text)}
	c.properties = iceberg.Properties{propExpired: string(text)}
	if err := l.replace(ctx, t, c); err != nil {
		now, loadErr := (&compaction{l: l}).current(name)
		if loadErr != nil || now.expired() != e {
			return 0, errors.Join(err, loadErr)
		}
		if err := l.d.syncDir(l.metadataDir(name)); err != nil { // it took effect
			return 0, err
		}
	}
	l.log.Warn("rows expired", "table", name, "before", before.Format(time.DateOnly), "rows", rows, "retention_days", t.retention())
	return rows, nil
}

// expireFile returns how many rows of a file have expired, and a file with the others, if there are any and some have.
func (l *Lake) expireFile(name string, f DataFile, before time.Time) (int64, *dataFile, error) {
	if name == Events {
		if f.Day.IsZero() || !f.Day.Before(before) {
			return 0, nil, nil
		}
		return f.Rows, nil, nil
	}
	var rows int64
	var left []*fileRow
	err := readRows(l.d, f.Path, func(_ int64, row *fileRow) error {
		if row.CollectedAt.time().Before(before) && row.Last.time().Before(before) {
			rows++
		} else {
			left = append(left, row)
		}
		return nil
	})
	if err != nil || rows == 0 || len(left) == 0 {
		return rows, nil, err
	}
	path := join(parent(f.Path), newName("-expiry.parquet"))
	written, err := writeTable(l.d, path, left)
	if err == nil {
		err = l.d.syncDir(parent(path))
	}
	return rows, written, err
}

// ExpireSnapshots forgets the snapshots of a table that are older than an age, but for the current one and those that
// branches and tags name; at least an age of 6 hours is kept, so that collectors know what they have committed. Their
// files are orphans then, unless other snapshots have them. It returns how many.
func (l *Lake) ExpireSnapshots(ctx context.Context, name string, age time.Duration) (int64, error) {
	if l.opts.ReadOnly {
		return 0, ErrReadOnly
	}
	var n int64
	unlock, err := l.d.lock(ctx)
	if err == nil {
		defer unlock()
		err = retry(ctx, func() error {
			n, err = l.expireSnapshots(ctx, name, l.now().Add(-max(age, batchAge)))
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("expiring snapshots of %s in lake %s: %w", name, l.d.root, err)
	}
	return n, nil
}

func (l *Lake) expireSnapshots(ctx context.Context, name string, before time.Time) (int64, error) {
	t, err := (&compaction{l: l}).current(name)
	if err != nil {
		return 0, err
	}
	named := map[int64]bool{}
	for _, ref := range t.Metadata().Refs() {
		named[ref.SnapshotID] = true
	}
	var old []int64
	for _, s := range t.Metadata().Snapshots() {
		if !named[s.SnapshotID] && s.TimestampMs < before.UnixMilli() {
			old = append(old, s.SnapshotID)
		}
	}
	if len(old) == 0 {
		return 0, nil
	}
	reqs := []table.Requirement{table.AssertTableUUID(t.Metadata().TableUUID())}
	for ref, to := range t.Metadata().Refs() {
		reqs = append(reqs, table.AssertRefSnapshotID(ref, &to.SnapshotID))
	}
	return int64(len(old)), t.commit(ctx, reqs, []table.Update{table.NewRemoveSnapshotsUpdate(old, false)})
}
