package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object"
)

const (
	// prefetch is the size up to which an object is fetched whole before it is decoded, so that fetching one overlaps
	// with decoding others. Larger ones are decoded while they are fetched.
	prefetch = 4 << 20
	// attempts is how often an object is read that changes meanwhile. All else has been tried again by the store.
	attempts = 3
)

// work reads objects until there are no more. Its error ends the run.
func (c *collector) work(ctx context.Context) error {
	w := &worker{c: c, reader: reader{text: newText(), limit: c.opts.MaxInflated}}
	for j, ok := c.next(ctx); ok; j, ok = c.next(ctx) {
		if err := w.read(ctx, j); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// worker reads one object at a time.
type worker struct {
	c      *collector
	reader reader
	body   bytes.Buffer // of an object fetched whole
}

// read deals with an object: what can't be read is noted in the report. Its error ends the run.
func (w *worker) read(ctx context.Context, j job) error {
	for n := 1; ; n++ {
		err := w.attempt(ctx, j)
		var transfer *transferError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &transfer):
			return err
		case errors.Is(err, object.ErrChanged) && n < attempts:
			w.c.opts.Log.Debug("reading again", "object", j.url, "attempt", n, "cause", err)
			continue
		case errors.Is(err, object.ErrNotExist):
			err = fmt.Errorf("deleted between listing and reading: %w", transfer.err)
		default:
			err = transfer.err
		}
		if j.unlisted && errors.Is(err, object.ErrNotExist) { // its message goes to quarantine
			w.c.settle(j, isLogFile)
			j.finish(err)
			return nil
		}
		w.c.fail(j.source, j.url, err)
		if w.c.live != nil { // the others print what failed when they end
			w.c.opts.Log.Warn("log file not read", "object", j.url, "cause", err)
		}
		w.c.settle(j, j.nature())
		j.finish(err)
		return nil
	}
}

// attempt opens an object and brings it into the current batch. It returns a *transferError when the bytes couldn't be
// had in full; nothing of the object is in the batch then.
func (w *worker) attempt(ctx context.Context, j job) error {
	body, info, err := j.store.Open(ctx, j.info.Key)
	if err != nil {
		return &transferError{err}
	}
	defer body.Close()
	if j.info = info.Info; j.unlisted {
		if have, err := w.c.lake.Collected(ctx, j.url, j.info.Size, j.info.ETag); err != nil || have {
			w.c.skip(j, err)
			return err
		}
	}
	var text io.Reader = body
	if j.info.Size <= prefetch {
		w.body.Reset()
		if _, err := w.body.ReadFrom(io.LimitReader(body, prefetch+1)); err != nil {
			return &transferError{err}
		}
		text = &w.body
	}
	select {
	case w.reader.text.inflater = <-w.c.inflaters:
	case <-ctx.Done():
		return ctx.Err()
	}
	b := w.c.batches.begin()
	t, err := w.into(ctx, b, j, text, info.Meta)
	w.c.inflaters <- w.reader.text.inflater // others decode while a full batch is committed
	return errors.Join(err, w.c.batches.end(context.WithoutCancel(ctx), b, t))
}

// into adds a log file, or a digest with its object's metadata, to a batch. It returns what that adds to the report, nil when it
// added nothing.
func (w *worker) into(ctx context.Context, b *batch, j job, body io.Reader, meta map[string]string) (*tally, error) {
	f := b.File(lake.LogFile{
		Object: j.url, Size: j.info.Size, ETag: j.info.ETag, Kind: j.key.Kind, Account: j.key.Account, Region: j.key.Region,
	})
	defer f.Drop()
	var t tally
	content, err := w.reader.decode(body, j.key.Kind, sink{
		event: func(e *cloudtrail.Event, index int) error {
			if index%256 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			return f.Event(e, index)
		},
		invocation: func(v *cloudtrail.Invocation, index int) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return f.Invocation(v, index, w.c.opts.KeepPrompts)
		},
		digest: func(text []byte) error { return f.Digest(text, meta) },
	})
	var failed *faultError
	if err != nil && !errors.As(err, &failed) {
		return nil, err
	}
	if content.size != j.info.Size {
		return nil, &transferError{fmt.Errorf("%d bytes came, not %d: %w", content.size, j.info.Size, object.ErrChanged)}
	}
	if failed != nil && !j.named && content.what != isLogFile {
		w.c.settle(j, content.what)
		j.finish(errNotLogFile)
		return nil, nil
	}
	kind := content.kind
	if k := j.key.Kind; j.named && (kind == "" || kind == cloudtrail.KindLog && k != cloudtrail.KindDigest && k != cloudtrail.KindInvocations) {
		kind = k
	}
	if kind == "" {
		kind = cloudtrail.KindLog
	}
	edit := func(row *lake.LogFile) {
		row.SHA256, row.Kind = content.sha256, kind
		if row.Account == "" { // a name that doesn't tell
			row.Account, row.Region = content.account, content.region
		}
	}
	t.files = 1
	if failed != nil {
		t = tally{files: 1, quarantined: 1, quarantine: []QuarantinedFile{{j.url, failed.reason}}}
		err = f.Quarantine(failed.reason, edit)
		w.c.opts.Log.Debug("log file quarantined", "object", j.url, "reason", failed.reason)
	} else {
		t.bytes, t.inflated = content.size, content.inflated
		t.span(content.first, content.last)
		if content.what == isLogFile {
			t.kind(kind, 1, content.events)
		}
		err = f.Done(edit)
	}
	if err != nil {
		return nil, fmt.Errorf("adding %s: %w", j.url, err)
	}
	t.done = []func(error){func(err error) { w.c.came(j.source, content.events, content.last); j.finish(err) }}
	if content.what == isOther { // and its name says that it is one
		content.what = isLogFile
	}
	w.c.settle(j, content.what)
	w.c.progress.add(func(p *Progress) { p.Events += content.events; p.Bytes += content.size })
	return &t, nil
}
