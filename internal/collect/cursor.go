package collect

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/coverage"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object"
)

// Cursors keep how far sources were followed. A cursor spares a look at what is in the lake already; losing one, or
// having an old one, costs time and nothing else, because the lake knows its log files and events.
type Cursors interface {
	// Load returns what was saved under a name; nil when there is nothing.
	Load(ctx context.Context, name string) ([]byte, error)
	// Save replaces what stands under a name, whole or not at all. The last writer wins.
	Save(ctx context.Context, name string, text []byte) error
}

// cursorVersion is the version of what is saved; docs/sources.md describes it.
const cursorVersion = 1

// cursor is what is kept of one source.
type cursor struct {
	Version int                    `json:"version"`
	Source  string                 `json:"source"`
	Spans   map[string]*cursorSpan `json:"spans"` // by place: a prefix, a Region, or "" for the whole source
}

// cursorSpan is a span of time of which all is in the lake. To is that of what was read last; what comes late is looked
// for behind it.
type cursorSpan struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Whole bool      `json:"whole,omitempty"` // there is nothing before From

	Swept  time.Time `json:"swept,omitzero"`  // of a place: when it was listed whole last
	Looked time.Time `json:"looked,omitzero"` // of the event history: all that it had then from From on is in the lake
}

func (s *cursorSpan) known() bool { return s != nil && !s.To.IsZero() }

// join adds what another process knows: spans that touch become one.
func (s *cursorSpan) join(o *cursorSpan) {
	if !o.known() || o.From.After(s.To) || o.To.Before(s.From) {
		return
	}
	if o.From.Before(s.From) || o.From.Equal(s.From) && o.Whole {
		s.From, s.Whole = o.From, o.Whole
	}
	if o.To.After(s.To) {
		s.To = o.To
	}
	if o.Swept.After(s.Swept) {
		s.Swept = o.Swept
	}
	if o.Looked.After(s.Looked) {
		s.Looked = o.Looked
	}
}

func cursorName(source string) string {
	sum := sha256.Sum256([]byte(source))
	return hex.EncodeToString(sum[:8]) + ".json"
}

// loadCursor reads a source's cursor; an empty one when there is none that can be used.
func (b *base) loadCursor(ctx context.Context, source string) (*cursor, error) {
	c := &cursor{Version: cursorVersion, Source: source, Spans: map[string]*cursorSpan{}}
	text, err := b.c.opts.Cursors.Load(ctx, cursorName(source))
	if err != nil || text == nil {
		return c, err
	}
	var saved cursor
	switch err := json.Unmarshal(text, &saved); {
	case err != nil || saved.Source != source || saved.Spans == nil:
		b.c.opts.Log.Warn("a cursor can't be read: its source is looked through again", "source", source, "cause", err)
		return c, nil
	case saved.Version > cursorVersion:
		return c, fmt.Errorf("the cursor of %s has format version %d; this program knows versions up to %d", source, saved.Version, cursorVersion)
	}
	return &saved, nil
}

// HistoryRead returns the times of which a lake has all that the event history of an account told, by Region.
func HistoryRead(ctx context.Context, l *lake.Lake, account string) ([]coverage.Read, error) {
	source := historyScheme + account
	text, err := cursorsOf(l.SideDir()).Load(ctx, cursorName(source))
	var c cursor
	if err != nil || text == nil || json.Unmarshal(text, &c) != nil || c.Source != source || c.Version > cursorVersion {
		return nil, err // one that can't be read tells nothing
	}
	var list []coverage.Read
	for region, s := range c.Spans {
		if s.known() && s.Looked.After(s.From) {
			list = append(list, coverage.Read{Place: coverage.Place{Account: account, Region: region}, From: s.From, To: s.Looked})
		}
	}
	slices.SortFunc(list, func(a, b coverage.Read) int { return strings.Compare(a.Region, b.Region) })
	return list, nil
}

// saveCursor joins the cursor with what other processes saved meanwhile, and saves it.
func (b *base) saveCursor(ctx context.Context, c *cursor) error {
	others, err := b.loadCursor(ctx, c.Source)
	if err != nil {
		return err
	}
	for name, o := range others.Spans {
		if s := c.Spans[name]; s.known() {
			s.join(o)
		} else if o.known() {
			c.Spans[name] = o
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return b.c.opts.Cursors.Save(ctx, cursorName(c.Source), text)
}

// keeper keeps the cursor of a source whose events come one by one. Changes take effect in the order they were
// announced, each once all before it are in the lake.
type keeper struct {
	b *base

	mu     sync.Mutex
	cursor *cursor
	dirty  bool
	queues map[string][]*change
}

// change is a change of a span that waits for events to be in the lake.
type change struct {
	edit func(*cursorSpan)
	done bool
}

func (b *base) keep(ctx context.Context, source string) (*keeper, error) {
	c, err := b.loadCursor(ctx, source)
	if err != nil {
		return nil, err
	}
	return &keeper{b: b, cursor: c, queues: map[string][]*change{}}, nil
}

// span returns what is known of a span.
func (k *keeper) span(name string) cursorSpan {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.cursor.Spans[name]; s != nil {
		return *s
	}
	return cursorSpan{}
}

// after announces a change, nil for none, and returns the function to call when its events are in the lake.
func (k *keeper) after(name string, edit func(*cursorSpan)) func(error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := &change{edit: edit}
	k.queues[name] = append(k.queues[name], c)
	return func(error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		c.done = true
		for q := k.queues[name]; len(q) > 0 && q[0].done; q = k.queues[name] {
			if q[0].edit != nil {
				if k.cursor.Spans[name] == nil {
					k.cursor.Spans[name] = &cursorSpan{}
				}
				q[0].edit(k.cursor.Spans[name])
				k.dirty = true
			}
			k.queues[name] = q[1:]
		}
	}
}

// run saves the cursor now and then until ctx ends.
func (k *keeper) run(ctx context.Context) {
	for sleep(ctx, saveEvery) {
		if err := k.save(ctx); err != nil && ctx.Err() == nil {
			k.b.c.opts.Log.Warn("how far a source was read could not be kept", "source", k.b.name, "cause", err)
		}
	}
}

func (k *keeper) save(ctx context.Context) error {
	k.mu.Lock()
	if !k.dirty {
		k.mu.Unlock()
		return nil
	}
	k.dirty = false
	c := &cursor{Version: cursorVersion, Source: k.cursor.Source, Spans: map[string]*cursorSpan{}}
	for name, s := range k.cursor.Spans {
		span := *s
		c.Spans[name] = &span
	}
	k.mu.Unlock()
	err := k.b.saveCursor(ctx, c)
	if err != nil {
		k.mu.Lock()
		k.dirty = true
		k.mu.Unlock()
	}
	return err
}

// cursorsOf returns the cursors of a lake, which lie in it.
func cursorsOf(dir string) Cursors {
	if strings.HasPrefix(dir, "s3://") {
		return &bucketCursors{url: dir}
	}
	return folderCursors(dir)
}

// bucketCursors are objects of the lake's bucket.
type bucketCursors struct {
	url    string
	mu     sync.Mutex
	bucket object.Bucket
}

func (b *bucketCursors) open(ctx context.Context) (object.Bucket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bucket != nil {
		return b.bucket, nil
	}
	var err error
	b.bucket, err = object.OpenBucket(context.WithoutCancel(ctx), b.url, 0)
	return b.bucket, err
}

func (b *bucketCursors) Load(ctx context.Context, name string) ([]byte, error) {
	bucket, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	r, _, err := bucket.Open(ctx, "cursors/"+name)
	if errors.Is(err, object.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (b *bucketCursors) Save(ctx context.Context, name string, text []byte) error {
	bucket, err := b.open(ctx)
	if err != nil {
		return err
	}
	return bucket.Put(ctx, "cursors/"+name, bytes.NewReader(text))
}

// folderCursors are the files of a folder of the lake.
type folderCursors string

func (f folderCursors) path(name string) string { return filepath.Join(string(f), "cursors", name) }

func (f folderCursors) Load(_ context.Context, name string) ([]byte, error) {
	text, err := os.ReadFile(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

func (f folderCursors) Save(_ context.Context, name string, text []byte) error {
	path := f.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), name+".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
