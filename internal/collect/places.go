package collect

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/object"
)

// place is where the log files of one account, kind and Region lie. Their keys are in the order of their times.
type place struct {
	prefix                string // of keys, ending in a slash
	account, kind, region string
}

// after returns a key that is before all those of time t, to the minute, and of later ones; and after those before it. Names of
// digests have the trail before the time, so theirs are after days before it, and model invocation logs lie in folders of an hour.
func (p *place) after(t time.Time) string {
	t = t.UTC()
	switch cloudtrail.Kind(p.kind) {
	case cloudtrail.KindDigest:
		return p.prefix + t.Format("2006/01/02/")
	case cloudtrail.KindInvocations:
		return p.prefix + t.Format("2006/01/02/15/")
	}
	return p.prefix + t.Format("2006/01/02/") + p.account + "_" + p.kind + "_" + p.region + "_" + t.Format("20060102T1504Z")
}

func (p *place) month(t time.Time) string { return p.prefix + t.UTC().Format("2006/01/") }

// layout is what was found out about a source.
type layout struct {
	found   bool // it is laid out as CloudTrail delivers
	places  []place
	digests bool
	beside  []string // folders beside AWSLogs/, which aren't followed
	failed  map[string]error
}

// explorer finds places by listing folders, level by level: it never sees a log file.
type explorer struct {
	ctx   context.Context
	store object.Store
	turns chan struct{} // bounds the listings at once
	group sync.WaitGroup
	roots int // folders AWSLogs/ found

	mu sync.Mutex // guards layout
	layout
}

// Levels below AWSLogs/, by what stands there.
const (
	levelAccounts = iota
	levelKinds
	levelRegions
	levelPlace
)

// searchDepth and searchFolders bound the search for AWSLogs/ in a source that doesn't begin there.
const (
	searchDepth   = 4
	searchFolders = 200
)

// explore finds the places of a source. What can't be listed is in failed, by its URL.
func explore(ctx context.Context, store object.Store) (layout, error) {
	e := &explorer{ctx: ctx, store: store, turns: make(chan struct{}, looks), layout: layout{failed: map[string]error{}}}
	root := strings.Split(strings.TrimSuffix(store.URL(""), "/"), "/")
	if i := slices.Index(root, "AWSLogs"); i >= 0 {
		e.from(root[i+1:])
	} else if err := e.search("", 0, new(int)); err != nil {
		e.group.Wait()
		return e.layout, err
	}
	e.group.Wait()
	slices.SortFunc(e.places, func(a, b place) int { return strings.Compare(a.prefix, b.prefix) })
	return e.layout, ctx.Err()
}

// from explores a store whose root lies below AWSLogs/; path is what lies between.
func (e *explorer) from(path []string) {
	if len(path) > 0 && strings.HasPrefix(path[0], "o-") {
		path = path[1:]
	}
	p := place{}
	for i, into := range []*string{&p.account, &p.kind, &p.region} {
		if i < len(path) {
			*into = path[i]
		}
	}
	if len(path) > levelPlace || len(path) > 0 && !isAccount(p.account) {
		return // within a place, or another service's: listed as it comes
	}
	e.found = true
	e.level(p, len(path))
}

func isAccount(name string) bool {
	return len(name) == 12 && strings.Trim(name, "0123456789") == ""
}

// search looks for AWSLogs/.
func (e *explorer) search(prefix string, depth int, seen *int) error {
	dirs, err := object.Dirs(e.ctx, e.store, prefix)
	if err != nil && depth == 0 {
		return err
	}
	if err != nil {
		e.fail(prefix, err)
		return nil
	}
	for _, dir := range dirs {
		if strings.HasSuffix("/"+dir, "/AWSLogs/") {
			e.found, e.roots = true, e.roots+1
			e.level(place{prefix: dir}, levelAccounts)
		}
	}
	for _, dir := range dirs {
		if strings.HasSuffix("/"+dir, "/AWSLogs/") {
			continue
		}
		if *seen++; depth+1 < searchDepth && *seen <= searchFolders {
			before := e.roots
			if err := e.search(dir, depth+1, seen); err != nil {
				return err
			}
			if e.roots > before {
				continue
			}
		}
		if depth == 0 {
			e.beside = append(e.beside, dir)
		}
	}
	return e.ctx.Err()
}

// level explores what lies at a level.
func (e *explorer) level(p place, level int) {
	if level == levelPlace {
		e.add(p)
		return
	}
	e.group.Go(func() { e.list(p, level) })
}

func (e *explorer) list(p place, level int) {
	e.turns <- struct{}{}
	dirs, err := object.Dirs(e.ctx, e.store, p.prefix)
	<-e.turns
	if err != nil {
		e.fail(p.prefix, err)
		return
	}
	for _, dir := range dirs {
		name := strings.TrimSuffix(dir[len(p.prefix):], "/")
		next := p
		next.prefix = dir
		switch level {
		case levelAccounts:
			if strings.HasPrefix(name, "o-") && p.account == "" {
				e.level(next, levelAccounts)
				continue
			}
			if !isAccount(name) {
				continue
			}
			next.account = name
		case levelKinds:
			if !strings.HasPrefix(name, string(cloudtrail.KindLog)) && name != string(cloudtrail.KindInvocations) {
				continue // another service's
			}
			next.kind = name
		case levelRegions:
			next.region = name
		}
		if next.kind == string(cloudtrail.KindDigest) {
			e.mu.Lock()
			e.digests = true
			e.mu.Unlock()
		}
		e.level(next, level+1)
	}
}

func (e *explorer) add(p place) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.kind == string(cloudtrail.KindDigest) {
		e.digests = true
	}
	e.places = append(e.places, p)
}

func (e *explorer) fail(prefix string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed[e.store.URL(prefix)] = err
}

// months returns the months before limit in which a place has log files, the latest first, and the latest day of the
// last of them; none and zero when there are none. What has a time after limit is listed with what is new, always.
func (p *place) months(ctx context.Context, store object.Store, limit time.Time) (months []time.Time, day time.Time, err error) {
	years, err := object.Dirs(ctx, store, p.prefix)
	if err != nil {
		return nil, day, err
	}
	slices.Reverse(years)
	for _, year := range years {
		list, err := object.Dirs(ctx, store, year)
		if err != nil {
			return nil, day, err
		}
		slices.Reverse(list)
		for _, month := range list {
			t, err := time.Parse("2006/01/", month[len(p.prefix):])
			if err != nil || t.After(limit) {
				continue
			}
			months = append(months, t)
		}
	}
	if len(months) == 0 {
		return nil, day, nil
	}
	days, err := object.Dirs(ctx, store, p.month(months[0]))
	if err != nil {
		return nil, day, err
	}
	slices.Reverse(days)
	for _, d := range days {
		if t, err := time.Parse("2006/01/02/", d[len(p.prefix):]); err == nil && !t.After(limit) {
			return months, t, nil
		}
	}
	return nil, day, nil
}
