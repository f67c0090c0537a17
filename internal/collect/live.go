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

// deliver brings events into the current batch. A record that can't be decoded goes to quarantine alone, with what
// the source calls it.
func (c *collector) deliver(ctx context.Context, source int, d delivery, name func(i int) string) error {
	b := c.batches.begin()
	t, bad, err := c.bring(b, source, d)
	if err = errors.Join(err, c.batches.end(context.WithoutCancel(ctx), b, t)); err != nil {
		return err
	}
	for _, n := range bad {
		text := d.records[n.index]
		sum := sha256.Sum256([]byte(text))
		row := lake.LogFile{
			Object: name(n.index), Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:]), Kind: cloudtrail.KindLog,
			Account: d.account, Region: d.region,
		}
		if err := c.quarantine(ctx, row, n.reason, func(error) {}); err != nil {
			return err
		}
	}
	return nil
}

// badRecord is a record that can't be decoded.
type badRecord struct {
	index  int
	reason string
}

func (c *collector) bring(b *batch, source int, d delivery) (*tally, []badRecord, error) {
	f := b.File(lake.LogFile{Object: d.object, Kind: cloudtrail.KindLog, Account: d.account, Region: d.region})
	defer f.Drop()
	var e cloudtrail.Event
	var bad []badRecord
	var first, last time.Time
	var n, size int64
	hash := sha256.New()
	for i, text := range d.records {
		hash.Write([]byte(text))
		hash.Write([]byte("\n"))
		size += int64(len(text)) + 1
		if err := e.Decode(text); err != nil {
			bad = append(bad, badRecord{i, fmt.Sprintf("record of an event: %v", err)})
			continue
		}
		if err := f.Event(&e, i); err != nil {
			return nil, nil, fmt.Errorf("adding %s: %w", d.object, err)
		}
		n++
		first, last = widen(first, last, e.EventTime, e.EventTime)
	}
	calls := f.Calls()
	err := f.Done(func(row *lake.LogFile) { row.Size, row.SHA256 = size, hex.EncodeToString(hash.Sum(nil)) })
	if err != nil {
		return nil, nil, fmt.Errorf("adding %s: %w", d.object, err)
	}
	c.count(func(r *Report) {
		r.Found++
		r.Sources[source].Found++
	})
	c.progress.add(func(p *Progress) { p.Events += n; p.Bytes += size })
	t := &tally{files: 1, aiCalls: calls, bytes: size, inflated: size, done: []func(error){func(err error) {
		c.came(source, n, last)
		d.done(err)
	}}}
	t.span(first, last)
	t.kind(cloudtrail.KindLog, 1, n)
	return t, bad, nil
}
