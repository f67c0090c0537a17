package digest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// listed is a digest found by listing.
type listed struct {
	path string
	key  cloudtrail.Key
}

// listDigests fills p.digests, each list newest first. To the range belong one digest after it, which carries the
// signature of the range's newest, and one before it, from which on digests can be missing.
func (p *place) listDigests(ctx context.Context) error {
	p.resume()
	if err := p.findDigests(ctx, p.digestsFrom); err != nil || p.settled.IsZero() || !p.anyCut() {
		return err
	}
	p.settled, p.digestsFrom = time.Time{}, time.Time{}
	clear(p.digests)
	return p.findDigests(ctx, time.Time{})
}

// findDigests lists the digests that end from a time on, or in the range.
func (p *place) findDigests(ctx context.Context, from time.Time) error {
	if !p.v.opts.From.IsZero() {
		from = p.v.opts.From.Add(-longestPeriod)
	}
	for _, at := range p.folders[cloudtrail.KindDigest] {
		err := p.list(ctx, at, from, time.Time{}, func(path string, key cloudtrail.Key) {
			if key.Kind == cloudtrail.KindDigest {
				name := chainName{key.Trail, key.HomeRegion, key.Backfill}
				p.digests[name] = append(p.digests[name], listed{path, key})
			}
		})
		if err != nil {
			return err
		}
	}
	for _, list := range p.digests {
		slices.SortFunc(list, func(a, b listed) int {
			if c := b.key.Time.Compare(a.key.Time); c != 0 {
				return c
			}
			return strings.Compare(a.path, b.path)
		})
	}
	return nil
}

// cut divides a list at the ends of the range.
func (c *chain) cut(list []listed) (carrier *listed, in []listed, anchor *listed) {
	first := 0
	for first < len(list) && c.after(list[first].key.Time) {
		first++
	}
	last := len(list)
	for last > first && c.before(list[last-1].key.Time) {
		last--
	}
	if first > 0 {
		carrier, c.beyond = &list[first-1], true
	}
	if last < len(list) {
		anchor = &list[last]
	}
	return carrier, list[first:last], anchor
}

// usual returns the usual time between digests.
func usual(list []listed) time.Duration {
	var gaps []time.Duration
	for i := range len(list) - 1 {
		if gap := list[i].key.Time.Sub(list[i+1].key.Time); gap > 0 && gap <= longestPeriod {
			gaps = append(gaps, gap)
		}
	}
	if len(gaps) < 2 {
		return defaultPeriod
	}
	slices.Sort(gaps)
	return gaps[(len(gaps)-1)/4] // missing digests make gaps longer, not shorter
}

// newestEnd returns the end of the newest digest of a chain.
func newestEnd(list []listed) time.Time {
	if len(list) == 0 {
		return time.Time{}
	}
	return list[0].key.Time
}
