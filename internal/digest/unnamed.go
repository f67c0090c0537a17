package digest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// late is how long after the minute in its name a log file may be delivered, and so be named by the next digest.
const late = 15 * time.Minute

// Why a log file that no digest names can't be judged.
const (
	reasonPending   = "newer than the newest digest"
	reasonNoDigests = "no digests"
	reasonNoDigest  = "no digest covers its time"
	reasonKind      = "no digest names files of its kind"
)

// listedAhead is how many log files are listed while digests are still being read.
const listedAhead = 2048

// listedLog is a log file found by listing. A zero key is a name that CloudTrail doesn't give.
type listedLog struct {
	listed
	err error // why the listing ended
}

// listLogs lists the log files that digests should name, up to listedAhead of them until they are asked for. Files that the range
// leaves open are passed over. The caller ends it by stop.
func (p *place) listLogs(ctx context.Context) (logs <-chan listedLog, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan listedLog, listedAhead)
	var group sync.WaitGroup
	give := func(l listedLog) {
		select {
		case out <- l:
		case <-ctx.Done():
		}
	}
	group.Go(func() {
		defer close(out)
		for _, kind := range slices.Sorted(maps.Keys(p.folders)) {
			if kind == cloudtrail.KindDigest {
				continue
			}
			for _, at := range p.folders[kind] {
				err := p.list(ctx, at, laterOf(p.v.opts.From, p.settled), p.v.opts.To, func(path string, key cloudtrail.Key) {
					if key.Kind == "" || key.Kind == kind && p.inRange(key.Time) {
						give(listedLog{listed: listed{path, key}})
					}
				})
				if err != nil {
					give(listedLog{err: err})
					return
				}
			}
		}
	})
	return out, func() { cancel(); group.Wait() }
}

// unnamed judges the log files that no digest names.
func (p *place) unnamed(logs <-chan listedLog) error {
	tally := map[string]*Finding{}
	for l := range logs {
		switch {
		case l.err != nil:
			return l.err
		case l.key.Kind == "":
			p.found(Finding{Kind: UnknownFile, Key: l.path, Detail: "CloudTrail gives no such name"})
		case !p.isNamed(l.path):
			p.judge(l.path, l.key, tally)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(tally)) {
		p.found(*tally[reason])
	}
	return nil
}

func (p *place) inRange(t time.Time) bool {
	o := p.v.opts
	return !t.Before(p.settled) && (o.From.IsZero() || !t.Before(o.From)) && (o.To.IsZero() || !t.After(o.To))
}

// judge decides on one log file that no digest names. What can't be told is tallied by reason.
func (p *place) judge(path string, key cloudtrail.Key, tally map[string]*Finding) {
	verdict, reason := p.judgement(key)
	if verdict == "" {
		return
	}
	p.v.tell(FileVerdict{Path: path, Verdict: verdict, Reason: reason}, 0)
	if verdict == Failed {
		p.found(Finding{
			Kind: LogFileUnlisted, Key: path, From: key.Time, To: key.Time.Add(time.Minute), end: key.Time.Add(time.Minute + late),
			Detail: "no digest names it, though its time has one: it was put there, or delivered by a trail without log file validation",
		})
		return
	}
	f := tally[reason]
	if f == nil {
		f = &Finding{Kind: LogFilesUnproven, Key: p.root, From: key.Time, Detail: reason}
		switch reason {
		case reasonPending:
			f.Kind = LogFilesPending
		case reasonNoDigests:
			f.Kind = NoDigests
		}
		tally[reason] = f
	}
	f.Count++
	f.To = laterOf(f.To, key.Time)
}

// judgement weighs what the chains say of a time; any of them may be the one that the file belongs to. The verdict is ""
// if the digests that would tell lie beyond the range.
func (p *place) judgement(key cloudtrail.Key) (Verdict, string) {
	regular := 0
	covered, unproven := false, ""
	for _, c := range p.chains {
		state, reason := c.at(key.Time)
		if c.name.backfill && (state == Pending || state == Verified) {
			continue // what a backfill digest doesn't name, another one may
		}
		if !c.name.backfill {
			regular++
		}
		switch state {
		case Pending:
			if c.beyond {
				return "", ""
			}
			return Pending, reasonPending
		case Verified:
			covered = true
		case Failed, Unverifiable:
			unproven = reason
		}
	}
	_, known := p.kinds[key.Kind]
	switch {
	case regular == 0:
		return Unverifiable, reasonNoDigests
	case key.Kind != cloudtrail.KindLog && !known:
		return Unverifiable, reasonKind
	case unproven != "":
		return Unverifiable, unproven
	case covered:
		return Failed, string(LogFileUnlisted)
	default:
		return Unverifiable, reasonNoDigest
	}
}

// at says what the chain knows of the log files named after minute t: Verified if sound digests cover all the time at
// which they may have been delivered, Pending if its next digest is to come, Failed or Unverifiable and the reason
// if a digest of that time is so, and "" if no digest covers it.
func (c *chain) at(t time.Time) (Verdict, string) {
	if len(c.periods) == 0 {
		return "", ""
	}
	end := t.Add(time.Minute + late)
	newest := c.periods[0].to
	if end.After(newest) && t.Before(newest.Add(2*max(c.period, defaultPeriod))) {
		return Pending, ""
	}
	reached := end // sound digests cover reached…end
	for _, p := range c.periods {
		if !p.to.After(t) || !p.from.Before(end) {
			continue
		}
		if p.verdict != Verified {
			return p.verdict, p.reason
		}
		if p.to.Before(reached) {
			return "", "" // a gap after p
		}
		reached = p.from
	}
	if reached.After(t) {
		return "", ""
	}
	return Verified, ""
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
