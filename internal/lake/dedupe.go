package lake

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
)

// keyRow is the part of an event's row that identifies it.
type keyRow struct {
	EventID            [16]byte `parquet:"eventID,optional,uuid"`
	RecipientAccountID string   `parquet:"recipientAccountId,optional"`
	Extra              string   `parquet:"extra,optional"`
}

// invocationKeyRow is the part of an invocation's row that identifies it.
type invocationKeyRow struct {
	RequestID string `parquet:"request_id,optional"`
	Account   string `parquet:"account,optional"`
	Region    string `parquet:"region,optional"`
}

// nameRow is the part of a log file's row that identifies it.
type nameRow struct {
	Object string `parquet:"object"`
	Size   int64  `parquet:"size"`
	ETag   string `parquet:"etag,optional"`
	Status string `parquet:"status,optional"`
}

// Collected tells whether the log file is in the lake, collected or in quarantine. It asks memory, not the disk, but
// for the first call and after commits; a log file that another process collected meanwhile may be reported as not
// collected: Commit drops it then.
func (l *Lake) Collected(ctx context.Context, object string, size int64, etag string) (bool, error) {
	if err := l.firstCollected(ctx); err != nil {
		return false, fmt.Errorf("lake %s: %w", l.d.root, err)
	}
	return l.status(&LogFile{Object: object, Size: size, ETag: etag}) != "", nil
}

// firstCollected reads log_files unless that was done before. Whoever asks meanwhile waits: a million rows take seconds.
func (l *Lake) firstCollected(ctx context.Context) error {
	l.mu.Lock()
	known := l.known
	l.mu.Unlock()
	if known {
		return nil
	}
	l.first.Lock()
	defer l.first.Unlock()
	l.mu.Lock()
	known = l.known
	l.mu.Unlock()
	if known {
		return nil
	}
	return l.readCollected(ctx)
}

// status returns the status of a log file in the lake, as far as memory knows; "" when it isn't there.
func (l *Lake) status(f *LogFile) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.collected[fileKeyOf(f.Object, f.Size, f.ETag)]
}

// readCollected brings l.collected up to date with log_files.
func (l *Lake) readCollected(ctx context.Context) error {
	s, err := l.Files(ctx, LogFiles)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, f := range s.Files {
		l.mu.Lock()
		_, done := l.read[f.Path]
		l.mu.Unlock()
		if done {
			continue
		}
		g.Go(func() error {
			statuses := map[fileKey]string{}
			err := readRows(l.d, f.Path, func(_ int64, row *nameRow) error {
				statuses[fileKeyOf(row.Object, row.Size, row.ETag)] = statusName(row.Status)
				return ctx.Err()
			})
			if err != nil {
				return err
			}
			l.know(f.Path, statuses)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	l.know("", nil)
	return nil
}

// statusName keeps one string for all log files.
func statusName(s string) string {
	if s == StatusQuarantined {
		return StatusQuarantined
	}
	return StatusCollected
}

func (l *Lake) know(path string, statuses map[fileKey]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.collected == nil {
		l.collected = map[fileKey]string{}
	}
	if path != "" {
		l.read[path] = struct{}{}
	} else {
		l.known = true
	}
	maps.Copy(l.collected, statuses)
}

// remember keeps in memory what a committed batch brought.
func (l *Lake) remember(b *Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range b.files {
		if !f.skip {
			l.collected[fileKeyOf(f.Object, f.Size, f.ETag)] = statusName(f.Status)
		}
	}
	for _, p := range b.parts {
		for _, f := range p.files {
			var keys []key
			for _, s := range f.pieces {
				keys = append(keys, s.keys...)
			}
			l.keys.put(f.path, keys)
		}
	}
}

// dropKnown notes which of the batch's rows the lake has. An event that was delivered twice has one time, so only
// the files whose times overlap the batch's are looked at. Digests are known by their files.
func (b *Batch) dropKnown(ctx context.Context, p *part, t *loaded) error {
	if !byDay(p.table) {
		return nil
	}
	l := b.l
	entries, err := l.entries(t)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !p.overlaps(e) {
			continue
		}
		keys, err := l.keysOf(p.table, e.Path)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if r, ok := p.seen[k]; ok && k != (key{}) {
				b.files[r.file].drop(r.index)
			}
		}
	}
	return nil
}

// overlaps tells whether a data file's times overlap those of the batch.
func (p *part) overlaps(e DataFile) bool {
	for _, s := range p.staged {
		if s.dayless && e.Last.IsZero() || !s.dayless && within(s.bounds.first.time(), s.bounds.last.time(), e.First, e.Last) {
			return true
		}
	}
	return false
}

func within(first, last, otherFirst, otherLast time.Time) bool {
	return !last.Before(otherFirst) && !otherLast.Before(first)
}

// keysOf returns the identities of the rows in a data file.
func (l *Lake) keysOf(table, path string) ([]key, error) {
	l.mu.Lock()
	keys, ok := l.keys.get(path)
	l.mu.Unlock()
	if ok {
		return keys, nil
	}
	var err error
	if table == Invocations {
		err = readRows(l.d, path, func(_ int64, row *invocationKeyRow) error {
			keys = append(keys, invocationKey(row.RequestID, row.Account, row.Region))
			return nil
		})
	} else {
		err = readRows(l.d, path, func(_ int64, row *keyRow) error {
			keys = append(keys, keyOf(row.EventID, row.Extra, row.RecipientAccountID))
			return nil
		})
	}
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys.put(path, keys)
	return keys, nil
}

// keysKept is how many identities are kept in memory, of 16 bytes each.
const keysKept = 2 << 20

// keyCache keeps the identities of the events in recently used data files, which never change.
type keyCache struct {
	files map[string][]key
	order []string // least recently put first
	n     int
}

func (c *keyCache) get(path string) ([]key, bool) {
	keys, ok := c.files[path]
	return keys, ok
}

func (c *keyCache) put(path string, keys []key) {
	if c.files == nil {
		c.files = map[string][]key{}
	}
	if _, again := c.files[path]; again || len(keys) > keysKept {
		return
	}
	c.files[path], c.order, c.n = keys, append(c.order, path), c.n+len(keys)
	for c.n > keysKept {
		oldest := c.order[0]
		c.n -= len(c.files[oldest])
		delete(c.files, oldest)
		c.order = c.order[1:]
	}
}
