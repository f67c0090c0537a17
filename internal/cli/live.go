package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/object"
	"github.com/aitrail/aitrail/internal/query"
)

// isLive tells whether a source_object is an answer of a log group or the event history, and no log file.
func isLive(object string) bool {
	return strings.HasPrefix(object, "logs:") || strings.HasPrefix(object, "history:")
}

// A liveEvent is an event that came one by one. The log file that holds it too counts it among its duplicates.
type liveEvent struct {
	id, account, region string
	at                  time.Time
}

// A filePlace is a record's place in a log file.
type filePlace struct {
	object  string // the log file's URL
	index   int64
	verdict string // of the log file, in the lake
	note    string
	rank    int
}

// liveFiles looks for the log files of live events.
type liveFiles struct {
	events map[[2]string][]liveEvent // by account and Region, in the order of time

	mu     sync.Mutex
	stores map[string]object.Store
	found  map[liveEvent]filePlace
}

// filesOf finds the log files that hold live events. It opens those of the lake's log files that are of the account, Region
// and time of one, and hold duplicates. Of several that hold an event, a verified one is taken. Events that none holds are
// not in the result.
func filesOf(ctx context.Context, db *query.DB, events []liveEvent) (map[liveEvent]filePlace, error) {
	if len(events) == 0 {
		return nil, nil
	}
	l := &liveFiles{events: map[[2]string][]liveEvent{}, stores: map[string]object.Store{}, found: map[liveEvent]filePlace{}}
	first, last := events[0].at, events[0].at
	for _, e := range events {
		name := [2]string{e.account, e.region}
		l.events[name] = append(l.events[name], e)
		if e.at.Before(first) {
			first = e.at
		}
		if e.at.After(last) {
			last = e.at
		}
	}
	for _, list := range l.events {
		slices.SortFunc(list, func(a, b liveEvent) int { return a.at.Compare(b.at) })
	}
	type candidate struct {
		at     filePlace
		wanted map[string]liveEvent
	}
	var candidates []candidate
	err := each(ctx, db, `SELECT object, account, region, first_event, last_event, coalesce(verdict, ''), coalesce(verdict_note, '')
		FROM log_files WHERE status = 'collected' AND `+query.OfEvents+` AND duplicates > 0 AND first_event <= ? AND last_event >= ?
			AND NOT starts_with(object, 'logs:') AND NOT starts_with(object, 'history:')
		ORDER BY coalesce(verdict, '') = 'verified' DESC, object`,
		func(v []any) {
			from, _ := v[3].(time.Time)
			to, _ := v[4].(time.Time)
			if wanted := l.within([2]string{query.Text(v[1]), query.Text(v[2])}, from, to); len(wanted) > 0 {
				at := filePlace{object: query.Text(v[0]), verdict: query.Text(v[5]), note: query.Text(v[6]), rank: len(candidates)}
				candidates = append(candidates, candidate{at, wanted})
			}
		}, last, first)
	if err != nil {
		return nil, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, c := range candidates {
		g.Go(func() error { return l.look(gctx, c.at, c.wanted) })
	}
	return l.found, g.Wait()
}

// within returns the events of an account and Region in a time, by their ids.
func (l *liveFiles) within(name [2]string, from, to time.Time) map[string]liveEvent {
	list := l.events[name]
	i, _ := slices.BinarySearchFunc(list, from, func(e liveEvent, t time.Time) int { return e.at.Compare(t) })
	wanted := map[string]liveEvent{}
	for ; i < len(list) && !list[i].at.After(to); i++ {
		wanted[strings.ToLower(list[i].id)] = list[i]
	}
	return wanted
}

// look reads a log file for the events wanted. One that is gone holds none.
func (l *liveFiles) look(ctx context.Context, at filePlace, wanted map[string]liveEvent) error {
	source, path := splitObject(at.object)
	store, err := l.store(ctx, source)
	if err != nil {
		return err
	}
	body, _, err := store.Open(ctx, path)
	if errors.Is(err, object.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	err = eachRecord(body, func(e *cloudtrail.Event, index int64, _ string) bool {
		id := strings.ToLower(e.EventID)
		event, ok := wanted[id]
		if !ok {
			return true
		}
		delete(wanted, id)
		l.mu.Lock()
		defer l.mu.Unlock()
		if have, ok := l.found[event]; !ok || at.rank < have.rank {
			at.index = index
			l.found[event] = at
		}
		return len(wanted) > 0
	})
	if err != nil {
		return fmt.Errorf("reading %s: %w", at.object, err)
	}
	return nil
}

func (l *liveFiles) store(ctx context.Context, source string) (object.Store, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if store := l.stores[source]; store != nil {
		return store, nil
	}
	store, err := object.Open(ctx, source)
	if err == nil {
		l.stores[source] = store
	}
	return store, err
}
