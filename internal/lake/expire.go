package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// retention returns how many days the table's rows are kept, 0 for ever, and whether that was said.
func (v *loaded) retention() (days int, said bool) {
	days = v.Properties().GetInt(propRetention, -1)
	return max(days, 0), days >= 0
}

// ErrRetention is returned for a retention that can't be: log_files must be kept at least as long as the other tables, since a
// log file that isn't in log_files is collected again.
var ErrRetention = errors.New("log_files must be kept at least as long as the other tables")

// Retention is how many days the rows of tables are kept, by table; 0 for ever. Invocations for which nothing is said are kept as
// long as events. Digests are kept as long as log_files.
type Retention map[string]int

// of returns how long a table's rows are kept.
func (r Retention) of(name string) int {
	switch days, said := r[name]; {
	case name == Digests:
		return r[LogFiles]
	case name == Invocations && !said:
		return r[Events]
	default:
		return days
	}
}

// check tells what is wrong.
func (r Retention) check() error {
	for name, n := range r {
		if n < 0 {
			return fmt.Errorf("retention of %d days: 0 is for ever, and less there isn't", n)
		}
		if name != Events && name != LogFiles && name != Invocations {
			return fmt.Errorf("retention of %s: it isn't a table that has one; digests are kept as long as log_files", name)
		}
	}
	for _, name := range []string{Events, Invocations} {
		if files, n := r.of(LogFiles), r.of(name); files > 0 && (n == 0 || files < n) {
			return fmt.Errorf("%w: retention of %s is %s, that of log_files %s", ErrRetention, name, days(n), days(files))
		}
	}
	return nil
}

// Retention returns how long the tables' rows are kept.
func (l *Lake) Retention() (Retention, error) {
	r := Retention{}
	for _, name := range []string{Events, LogFiles, Invocations} {
		t, err := l.table(name)
		if errors.Is(err, ErrNoLake) && name == Invocations {
			continue // of an older version
		}
		if err != nil {
			return nil, fmt.Errorf("lake %s: %w", l.d.root, err)
		}
		if n, said := t.retention(); said {
			r[name] = n
		}
	}
	return r, nil
}

// SetRetention sets how long the tables' rows are kept: of those that are named, the others stay. It is kept in the lake, and takes
// effect when rows are expired the next time.
func (l *Lake) SetRetention(ctx context.Context, change Retention) error {
	if l.opts.ReadOnly {
		return ErrReadOnly
	}
	err := retry(ctx, func() error {
		r, err := l.Retention()
		if err != nil {
			return err
		}
		maps.Copy(r, change)
		if err := r.check(); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(change)) { // events before log_files
			t, err := l.table(name)
			if err != nil {
				return err
			}
			if err := t.setRetention(ctx, change[name]); err != nil {
				return err
			}
		}
		return nil
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
	if was, said := v.retention(); was == days && (said || v.name != Invocations) {
		return nil
	}
	var update table.Update = table.NewSetPropertiesUpdate(iceberg.Properties{propRetention: strconv.Itoa(days)})
	if days == 0 && v.name != Invocations {
		update = table.NewRemovePropertiesUpdate([]string{propRetention})
	}
	return v.commit(ctx, []table.Requirement{table.AssertTableUUID(v.Metadata().TableUUID())}, []table.Update{update})
}

// Expire takes the rows out of a table that are older than its retention: events and invocations by the day of their time, log
// files when their last event and their collecting are that long ago, digests when their log files' rows would be that they name.
// Rows without a time are kept. What it took is written down
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
	if _, _, err := l.repair(ctx); err != nil {
		return 0, err
	}
	kept, err := l.Retention()
	if err != nil {
		return 0, err
	}
	t, err := l.table(name)
	if err != nil || kept.of(name) == 0 {
		return 0, err
	}
	before := l.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -kept.of(name))
	entries, err := l.entries(t)
	if err != nil {
		return 0, err
	}
	var rows int64
	c := change{old: map[string]struct{}{}}
	for _, f := range entries {
		n, left, err := l.expireFile(ctx, name, f, before)
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
		now, loadErr := l.table(name)
		if loadErr != nil || now.expired() != e {
			return 0, errors.Join(err, loadErr)
		}
		if err := l.d.syncDir(l.metadataDir(name)); err != nil { // it took effect
			return 0, err
		}
	}
	l.log.Warn("rows expired", "table", name, "before", before.Format(time.DateOnly), "rows", rows, "retention_days", kept.of(name))
	return rows, nil
}

// expireFile returns how many rows of a file have expired, and a file with the others, if there are any and some have.
func (l *Lake) expireFile(ctx context.Context, name string, f DataFile, before time.Time) (int64, *dataFile, error) {
	if byDay(name) {
		if f.Day.IsZero() || !f.Day.Before(before) {
			return 0, nil, nil
		}
		return f.Rows, nil, nil
	}
	gone := map[int64]bool{}
	var err error
	if name == Digests {
		err = readRows(l.d, f.Path, func(i int64, row *digestTimeRow) error {
			gone[i] = row.EndTime.time().Before(before)
			return nil
		})
	} else {
		err = readRows(l.d, f.Path, func(i int64, row *fileTimesRow) error {
			gone[i] = row.CollectedAt.time().Before(before) && row.Last.time().Before(before)
			return nil
		})
	}
	maps.DeleteFunc(gone, func(_ int64, gone bool) bool { return !gone })
	rows := int64(len(gone))
	if err != nil || rows == 0 || rows == f.Rows {
		return rows, nil, err
	}
	c := l.chunk(name)
	defer l.recycle(c)
	left := &dataFile{d: l.d, path: join(parent(f.Path), newName("-expiry.parquet"))}
	err = c.w.file(left, c.layout, func() error {
		if err := c.copy(ctx, left, l.d, f.Path, func(i int64) bool { return !gone[i] }); err != nil {
			return err
		}
		return c.flush(left)
	})
	if err != nil {
		return 0, nil, err
	}
	return rows, left, l.d.syncDir(parent(left.path))
}

// digestTimeRow and fileTimesRow are the parts of rows that tell how old they are.
type digestTimeRow struct {
	EndTime *micros `parquet:"end_time,timestamp(microsecond)"`
}

type fileTimesRow struct {
	Last        *micros `parquet:"last_event,timestamp(microsecond)"`
	CollectedAt *micros `parquet:"collected_at,timestamp(microsecond)"`
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
	t, err := l.table(name)
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
