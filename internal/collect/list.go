package collect

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/object"
)

// job is an object to be read.
type job struct {
	source int // index of the source
	store  object.Store
	info   object.Info
	url    string
	key    cloudtrail.Key
	named  bool // the name says that it is a log file or a digest: then it is one, and broken if it can't be read

	unlisted bool        // info is what a message said of it, which may be nothing
	done     func(error) // see finish; nil when nobody waits
}

// errNotLogFile means that an object turned out to be something else, which is no failure.
var errNotLogFile = errors.New("not a log file")

// finish tells that the object is dealt with: it is in the lake (nil), something else than a log file
// (errNotLogFile), or couldn't be read. It isn't called when the run ends before.
func (j *job) finish(err error) {
	if j.done != nil {
		j.done(err)
	}
}

// next returns the next object to be read; false at the end. What is new goes before what is old.
func (c *collector) next(ctx context.Context) (j job, ok bool) {
	select {
	case j = <-c.live:
		return j, true
	default:
	}
	select {
	case j = <-c.live:
		return j, true
	case j, ok = <-c.jobs:
		return j, ok
	case <-ctx.Done():
		return j, false
	}
}

// list finds the objects of all sources in key order and hands on those that have to be read.
func (c *collector) list(ctx context.Context, to chan<- job) error {
	defer close(to)
	var seen map[string]bool // an object may be in several sources: a folder and a file in it
	if len(c.stores) > 1 {
		seen = map[string]bool{}
	}
	for i, store := range c.stores {
		if store == nil {
			if err := c.feeds[i].once(ctx); err != nil {
				return err
			}
			continue
		}
		for info, err := range store.List(ctx, "", "") {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				c.fail(i, c.report.Sources[i].Source, err)
				continue
			}
			j := job{source: i, store: store, info: info, url: store.URL(info.Key)}
			if seen[j.url] {
				c.count(func(r *Report) { r.Sources[i].Repeated++ })
				continue
			}
			if seen != nil {
				seen[j.url] = true
			}
			if err := c.found(ctx, j, to); err != nil {
				return err
			}
		}
	}
	c.progress.add(func(p *Progress) { p.Listed = true })
	return nil
}

// found decides by its name what becomes of an object.
func (c *collector) found(ctx context.Context, j job, to chan<- job) error {
	c.progress.add(func(p *Progress) { p.Objects++ })
	what := classify(&j)
	if what != isOther {
		have, err := c.lake.Collected(ctx, j.url, j.info.Size, j.info.ETag)
		if err != nil {
			return err
		}
		if !have {
			select {
			case to <- j:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		c.skip(j, nil)
		return nil
	}
	c.settle(j, what)
	j.finish(errNotLogFile)
	return nil
}

// listAhead is how many log files are listed before the first is read, and headStart how long that is waited for.
const (
	listAhead = 16 << 10
	headStart = 2 * time.Second
)

// inOrder passes on what was listed in the order of the times that names tell, as far as that is known ahead. Keys are in
// the order of accounts and Regions: read so, each batch would hold, and each data file be split by, all the days of a bucket.
func (c *collector) inOrder(ctx context.Context, listed <-chan job) error {
	defer close(c.jobs)
	var waiting byTime
	wait := time.NewTimer(headStart)
	defer wait.Stop()
	begun := false
	for listed != nil || len(waiting) > 0 {
		from, to := listed, c.jobs
		if begun = begun || listed == nil || len(waiting) == listAhead; !begun || len(waiting) == 0 {
			to = nil
		}
		if len(waiting) == listAhead {
			from = nil
		}
		var first job
		if len(waiting) > 0 {
			first = waiting[0]
		}
		select {
		case j, ok := <-from:
			if !ok {
				listed = nil
				continue
			}
			heap.Push(&waiting, j)
		case to <- first:
			heap.Pop(&waiting)
		case <-wait.C:
			begun = true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// byTime is a heap of objects by the times in their names; those that tell none come first.
type byTime []job

func (h byTime) Len() int { return len(h) }
func (h byTime) Less(i, j int) bool {
	return cmp.Or(h[i].key.Time.Compare(h[j].key.Time), cmp.Compare(h[i].url, h[j].url)) < 0
}
func (h byTime) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *byTime) Push(x any)   { *h = append(*h, x.(job)) }
func (h *byTime) Pop() any {
	last := len(*h) - 1
	j := (*h)[last]
	(*h)[last], *h = job{}, (*h)[:last]
	return j
}

// skip counts a log file that the lake has; an error is the lake's, and ends the run.
func (c *collector) skip(j job, err error) {
	if err == nil {
		if j.nature() == isLogFile {
			c.count(func(r *Report) { r.Skipped++ })
		}
		c.settle(j, j.nature())
		j.finish(nil)
	}
}

// nature is what the object's name says that it is, as far as it is to be read.
func (j *job) nature() nature {
	if j.key.Kind == cloudtrail.KindDigest {
		return isDigest
	}
	return isLogFile
}

// settle counts an object that is dealt with.
func (c *collector) settle(j job, what nature) {
	c.count(func(r *Report) {
		s := &r.Sources[j.source]
		switch what {
		case isLogFile:
			r.Found++
			s.Found++
		case isDigest:
			r.Digests++
			s.Digests++
		default:
			r.Other++
			s.Other++
		}
	})
	c.progress.add(func(p *Progress) { p.Done++ })
}

// awsName is how AWS services name the files they deliver: 111122223333_Config_us-east-1_….json.gz.
var awsName = regexp.MustCompile(`^[0-9]{12}_([A-Za-z][A-Za-z0-9-]*)_`)

// classify says by its name whether an object is a log file (or has to be opened to know), a digest or something else, which isn't
// read.
func classify(j *job) nature {
	name := path.Base(j.info.Key)
	key, ok := cloudtrail.ParseKey(j.info.Key)
	if k, ok := cloudtrail.ParseInvocationKey(j.info.Key); ok {
		if k.Body {
			return isOther // a prompt or an answer: it isn't even opened
		}
		j.key, j.named = cloudtrail.Key{Account: k.Account, Region: k.Region, Kind: cloudtrail.KindInvocations, Time: k.Time}, true
		return isLogFile
	}
	switch aws := awsName.FindStringSubmatch(name); {
	case ok && key.Kind == cloudtrail.KindDigest:
		j.key, j.named = key, true
		return isDigest
	case ok:
		j.key, j.named = key, true
		return isLogFile
	case aws != nil && !strings.HasPrefix(aws[1], "CloudTrail"):
		return isOther // another service's
	case strings.HasSuffix(j.info.Key, "/") && j.info.Size == 0:
		return isOther // the marker of a folder
	case aws != nil:
		j.named = true // a kind of CloudTrail file that is not known: read it, or say why not
		return isLogFile
	}
	switch path.Ext(name) {
	case ".json", ".gz", ".jsonl", "":
		return isLogFile
	}
	return isOther
}
