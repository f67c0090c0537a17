package lake

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Step is a part of maintenance.
type Step string

// The steps, in their order.
const (
	StepExpire    Step = "expire"    // rows older than the retention
	StepCompact   Step = "compact"   // small data files
	StepSnapshots Step = "snapshots" // old snapshots
	StepOrphans   Step = "orphans"   // files that no table has
)

// Progress is told how far a step is with a table: rows, or files, done of those to do. It may be nil.
type Progress func(step Step, table string, done, total int64)

func (p Progress) report(step Step, table string, done, total int64) {
	if p != nil {
		p(step, table, done, total)
	}
}

// usualAge is the age of snapshots that are forgotten.
const usualAge = 24 * time.Hour

// Maintenance is what Maintain does. The zero value is fit for a daily or hourly run.
type Maintenance struct {
	Snapshots time.Duration // age of snapshots, and of files that nothing needs, that go; 24 hours when 0
	Progress  Progress
}

// Maintained tells what maintenance did. It is valid with an error too.
type Maintained struct {
	Expired   map[string]int64 `json:"expired"` // rows, by table
	Compacted []Compacted      `json:"compacted"`
	Snapshots map[string]int64 `json:"snapshots"` // forgotten, by table
	Orphans   Orphans          `json:"orphans"`
}

// Maintain expires rows, compacts, forgets old snapshots and removes orphans, in this order. Readers and collectors go on
// meanwhile, and several processes may do it at once; it may be stopped or killed at any moment and repeated.
func (l *Lake) Maintain(ctx context.Context, m Maintenance) (Maintained, error) {
	done := Maintained{Expired: map[string]int64{}, Compacted: []Compacted{}, Snapshots: map[string]int64{}}
	age := m.Snapshots
	if age == 0 {
		age = usualAge
	}
	tables := Tables()
	for _, name := range tables {
		m.Progress.report(StepExpire, name, 0, 0)
		n, err := l.Expire(ctx, name)
		if err != nil {
			return done, err
		}
		done.Expired[name] = n
	}
	for _, name := range tables {
		c, err := l.Compact(ctx, name, m.Progress)
		done.Compacted = append(done.Compacted, c)
		if err != nil {
			return done, err
		}
	}
	for _, name := range tables {
		m.Progress.report(StepSnapshots, name, 0, 0)
		n, err := l.ExpireSnapshots(ctx, name, age)
		if err != nil {
			return done, err
		}
		done.Snapshots[name] = n
	}
	var err error
	done.Orphans, err = l.RemoveOrphans(ctx, age, m.Progress)
	return done, err
}

// newName returns the name of a file that nobody has; names sort by the time they were made.
func newName(suffix string) string { return uuid.Must(uuid.NewV7()).String() + suffix }

// tidyFiles is how many small files of a day, or of log_files, collectors leave before one of them writes them together,
// and tidyBytes what a small file is. tidyBatch is how many files a batch has at most that does so: of larger ones the
// files are few, or the load is one that maintenance should follow.
const (
	tidyFiles = 32
	tidyBytes = 16 << 20
	tidyBatch = 4
	// tidySnapshots is how many snapshots collectors leave: each commit writes them all down.
	tidySnapshots = 1000
)

// tidy keeps collecting in small batches from leaving thousands of files between two runs of maintenance.
func (l *Lake) tidy(ctx context.Context, b *Batch) {
	if b.fileCount() > tidyBatch {
		return
	}
	runs := []compaction{{days: map[time.Time]bool{{}: true}, done: Compacted{Table: LogFiles}}}
	for _, p := range b.parts {
		if len(p.files) == 0 && p.table != Events { // every batch makes a snapshot of events
			continue
		}
		days := map[time.Time]bool{}
		for _, f := range p.files {
			if f.dayless {
				days[time.Time{}] = true
			} else {
				days[time.Unix(int64(f.day)*86400, 0).UTC()] = true
			}
		}
		runs = append(runs, compaction{days: days, done: Compacted{Table: p.table}})
	}
	for _, c := range runs {
		c.l, c.target, c.few, c.small = l, TargetBytes, tidyFiles, tidyBytes
		if err := c.run(ctx, c.done.Table); err != nil {
			l.log.Warn("small files were not written together", "table", c.done.Table, "cause", err) // the batch is in all the same
		}
		t, err := c.current(c.done.Table)
		if err == nil && len(t.Metadata().Snapshots()) > tidySnapshots {
			_, err = l.ExpireSnapshots(ctx, c.done.Table, usualAge)
		}
		if err != nil {
			l.log.Warn("old snapshots were not forgotten", "table", c.done.Table, "cause", err)
		}
	}
}
