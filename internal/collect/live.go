package collect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
)

// quarantine brings a row of quarantine into the lake that no object was read for. done is called when it is there.
func (c *collector) quarantine(ctx context.Context, row lake.LogFile, reason string, done func(error)) error {
	b := c.batches.begin()
	err := b.File(row).Quarantine(reason, nil)
	var t *tally
	if err == nil {
		t = &tally{files: 1, quarantined: 1, quarantine: []QuarantinedFile{{row.Object, reason}}, done: []func(error){done}}
	}
	return errors.Join(err, c.batches.end(context.WithoutCancel(ctx), b, t))
}

// delivery is events that came one by one, as records in JSON.
type delivery struct {
	object  string // what stands for their log file
	account string
	region  string
	records []string
	done    func(error) // called once they are in the lake
}

// deliver brings events, or invocations of models, into the current batch. A record that can't be decoded goes to quarantine alone,
// with what the source calls it.
func (c *collector) deliver(ctx context.Context, source int, d delivery, name func(i int) string) error {
	events, invocations := live{c: c, delivery: d, kind: cloudtrail.KindLog}, live{c: c, delivery: d, kind: cloudtrail.KindInvocations}
	for i, text := range d.records {
		if isInvocation(text) {
			invocations.places = append(invocations.places, i)
		} else {
			events.places = append(events.places, i)
		}
	}
	if len(events.places) > 0 {
		invocations.object += "#invocations" // two kinds of records in one answer are two log files
	}
	b := c.batches.begin()
	t := &tally{}
	var err error
	for _, l := range []*live{&events, &invocations} {
		if err == nil && (len(l.places) > 0 || l == &events && len(d.records) == 0) {
			err = l.bring(b, source, t)
		}
	}
	if err != nil {
		t = nil
	} else {
		t.done = append(t.done, d.done)
	}
	if err = errors.Join(err, c.batches.end(context.WithoutCancel(ctx), b, t)); err != nil {
		return err
	}
	for _, n := range append(events.bad, invocations.bad...) {
		text := d.records[n.index]
		sum := sha256.Sum256([]byte(text))
		row := lake.LogFile{
			Object: name(n.index), Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:]), Kind: n.kind,
			Account: d.account, Region: d.region,
		}
		if err := c.quarantine(ctx, row, n.reason, func(error) {}); err != nil {
			return err
		}
	}
	return nil
}

// isInvocation tells whether a record is of a model invocation log.
func isInvocation(text string) bool {
	return looksLikeInvocations([]byte(text)) && cloudtrail.JSON(text).Member("schemaType") == `"ModelInvocationLog"`
}

// badRecord is a record that can't be decoded.
type badRecord struct {
	index  int
	kind   cloudtrail.Kind
	reason string
}

// live is the records of one kind of a delivery.
type live struct {
	c *collector
	delivery
	kind   cloudtrail.Kind
	places []int // of its records
	bad    []badRecord
}

// bring adds the records to a batch, and to t what that adds to the report.
func (l *live) bring(b *batch, source int, t *tally) error {
	c := l.c
	f := b.File(lake.LogFile{Object: l.object, Kind: l.kind, Account: l.account, Region: l.region})
	defer f.Drop()
	var first, last time.Time
	var n, size int64
	hash := sha256.New()
	for _, i := range l.places {
		text := l.records[i]
		hash.Write([]byte(text))
		hash.Write([]byte("\n"))
		size += int64(len(text)) + 1
		at, bad, err := l.add(f, i)
		if err != nil {
			return fmt.Errorf("adding %s: %w", l.object, err)
		}
		if bad != "" {
			l.bad = append(l.bad, badRecord{i, l.kind, bad})
			continue
		}
		n++
		first, last = widen(first, last, at, at)
	}
	err := f.Done(func(row *lake.LogFile) { row.Size, row.SHA256 = size, hex.EncodeToString(hash.Sum(nil)) })
	if err != nil {
		return fmt.Errorf("adding %s: %w", l.object, err)
	}
	c.count(func(r *Report) {
		r.Found++
		r.Sources[source].Found++
	})
	c.progress.add(func(p *Progress) { p.Events += n; p.Bytes += size })
	t.files++
	t.bytes, t.inflated = t.bytes+size, t.inflated+size
	t.done = append(t.done, func(error) { c.came(source, n, last) })
	t.span(first, last)
	t.kind(l.kind, 1, n)
	return nil
}

// add adds a record, and returns its time, or why it can't be decoded.
func (l *live) add(f *lake.File, i int) (at time.Time, bad string, err error) {
	if l.kind == cloudtrail.KindInvocations {
		var v cloudtrail.Invocation
		if err := v.Decode([]byte(l.records[i])); err != nil {
			return at, err.Error(), nil
		}
		return v.Time, "", f.Invocation(&v, i, l.c.opts.KeepPrompts)
	}
	var e cloudtrail.Event
	if err := e.Decode(l.records[i]); err != nil {
		return at, fmt.Sprintf("record of an event: %v", err), nil
	}
	return e.EventTime, "", f.Event(&e, i)
}
