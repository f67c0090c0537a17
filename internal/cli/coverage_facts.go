package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/coverage"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

// facts gathers all that coverage follows from: the lake's events and log files, and what verifications and CloudTrail's
// answers left.
func (a *app) facts(ctx context.Context, db *query.DB) (*coverage.Facts, error) {
	f := &coverage.Facts{Now: a.Now().UTC()}
	events, err := trailEvents(ctx, db)
	if err != nil {
		return nil, err
	}
	points, err := a.checkpoints()
	if err != nil {
		return nil, err
	}
	var seen []coverage.Sighting
	if points != nil {
		seen, f.Arrived = points.saved.Trails, points.saved.Arrived
	}
	f.History = coverage.NewHistory(events, seen)
	err = each(ctx, db, `SELECT coalesce(account, ''), coalesce(region, ''), count(*), min(first_event), max(last_event)
		FROM log_files WHERE status = 'collected' GROUP BY ALL ORDER BY ALL`, func(v []any) {
		files := coverage.Files{Place: coverage.Place{Account: query.Text(v[0]), Region: query.Text(v[1])}}
		files.LogFiles, _ = v[2].(int64)
		files.First, _ = v[3].(time.Time)
		files.Last, _ = v[4].(time.Time)
		f.Files = append(f.Files, files)
	})
	if err != nil {
		return nil, err
	}
	return f, each(ctx, db, `SELECT DISTINCT CASE WHEN starts_with(object, 's3://') THEN split_part(object, '/', 3) END FROM log_files ORDER BY 1 NULLS FIRST`,
		func(v []any) {
			if bucket, ok := v[0].(string); ok {
				f.Buckets = append(f.Buckets, bucket)
			}
		})
}

// each calls f with the rows of a query's answer.
func each(ctx context.Context, db *query.DB, sql string, f func([]any), args ...any) error {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		f(rows.Values())
	}
	return rows.Err()
}

// trailEvents reads the events in which trails were made and changed.
func trailEvents(ctx context.Context, db *query.DB) ([]coverage.Event, error) {
	var events []coverage.Event
	names := "'" + strings.Join(coverage.EventNames(), "', '") + "'"
	err := each(ctx, db, `SELECT eventTime, eventName, requestParameters, recipientAccountId, awsRegion, actor, CAST(eventID AS VARCHAR)
		FROM events WHERE eventSource = 'cloudtrail.amazonaws.com' AND eventTime IS NOT NULL AND coalesce(errorCode, '') = ''
			AND eventName IN (`+names+`) ORDER BY eventTime, source_object, source_index`, func(v []any) {
		e := coverage.Event{
			Name: query.Text(v[1]), Parameters: query.Text(v[2]), Account: query.Text(v[3]), Region: query.Text(v[4]),
			Actor: query.Text(v[5]), ID: query.Text(v[6]),
		}
		e.Time, _ = v[0].(time.Time)
		events = append(events, e)
	})
	return events, err
}

// arrivals gathers during a verification what coverage needs to know of it.
type arrivals struct {
	*coverage.Arrived
	named   map[string]digest.FileVerdict // log files that digests name, and that the lake may have, by URL
	altered map[string]digest.FileVerdict // log files that are not what was delivered
}

// newArrivals goes on from what earlier verifications of a source left.
func newArrivals(points *checkpoints, url string, full bool) *arrivals {
	a := &arrivals{Arrived: &coverage.Arrived{}, named: map[string]digest.FileVerdict{}, altered: map[string]digest.FileVerdict{}}
	if points != nil && points.saved.Arrived[url] != nil && !full {
		a.Arrived = points.saved.Arrived[url]
	}
	return a
}

// digest takes a digest's verdict.
func (a *arrivals) digest(v digest.DigestVerdict) {
	if v.Backfill {
		return
	}
	d := coverage.Digest{
		Organization: v.Organization, Account: v.Account, Region: v.Region, Trail: v.Trail, HomeRegion: v.HomeRegion,
		From: v.Start, To: v.End, State: coverage.Covered,
	}
	switch v.Verdict {
	case digest.Pending:
		d.State, d.Note = coverage.Pending, reason(v.Reason)
	case digest.Unverifiable:
		d.State, d.Note = coverage.Unknown, "digest unverifiable: "+reason(v.Reason)
	case digest.Failed:
		d.State, d.Note = coverage.Gap, reason(v.Reason)
	}
	a.Digest(d)
}

// reason is a finding's kind for people.
func reason(kind string) string { return strings.ReplaceAll(kind, "_", " ") }

// logFile takes a log file's verdict.
func (a *arrivals) logFile(object string, v digest.FileVerdict) {
	if v.Digest == "" {
		return // that no digest names it is no gap
	}
	a.named[object] = v
	switch digest.Kind(v.Reason) {
	case digest.LogFileAltered, digest.LogFileTruncated:
		a.altered[object] = v
	}
}

// settle compares what digests name with what the lake has.
func (a *arrivals) settle(ctx context.Context, l *lake.Lake, report *digest.Report, now time.Time) error {
	a.Verified = now.UTC()
	for _, f := range report.Findings {
		key, ok := cloudtrail.ParseKey(f.Key)
		if f.Kind != digest.DigestMissing || f.Earlier || !ok || key.Backfill {
			continue
		}
		d := chainOf(key)
		d.From, d.To, d.State, d.Note = f.From.UTC(), f.To.UTC(), coverage.Gap, reason(string(f.Kind))
		a.Digest(d)
	}
	names := a.Awaited()
	for object := range a.named {
		names = append(names, object)
	}
	absent, err := absentFrom(ctx, l, names)
	if err != nil {
		return err
	}
	for _, object := range names {
		v, read := a.named[object]
		_, altered := a.altered[object]
		switch {
		case !absent[object] && !altered:
			a.Came(object)
		case read && !v.From.IsZero():
			note := "a log file is not in the lake"
			if v.Reason != "" {
				note = reason(v.Reason)
			}
			key, _ := cloudtrail.ParseKey(v.Digest)
			a.Absent(chainOf(key), coverage.Missing{Object: object, From: v.From, To: v.To, Note: note, Altered: altered && !absent[object]})
		}
	}
	return nil
}

// chainOf names the chain that a digest belongs to.
func chainOf(key cloudtrail.Key) coverage.Digest {
	return coverage.Digest{Organization: key.Organization, Account: key.Account, Region: key.Region, Trail: key.Trail, HomeRegion: key.HomeRegion}
}

// absentFrom returns which log files the lake doesn't have; without a lake it has none.
func absentFrom(ctx context.Context, l *lake.Lake, objects []string) (map[string]bool, error) {
	absent := make(map[string]bool)
	if l == nil || len(objects) == 0 {
		for _, o := range objects {
			absent[o] = true
		}
		return absent, nil
	}
	db, err := query.Open(ctx, l, query.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	const atOnce = 50_000
	for len(objects) > 0 {
		n := min(atOnce, len(objects))
		list, err := json.Marshal(objects[:n])
		if err != nil {
			return nil, err
		}
		objects = objects[n:]
		err = each(ctx, db, `SELECT o FROM (SELECT unnest(from_json(?, '["VARCHAR"]')) AS o) WHERE o NOT IN (SELECT object FROM log_files WHERE status = 'collected')`,
			func(v []any) { absent[query.Text(v[0])] = true }, string(list))
		if err != nil {
			return nil, err
		}
	}
	return absent, nil
}

// askEvery is how long an answer about trails holds for a collector; their changes are events anyhow.
const askEvery = 5 * time.Minute

// see asks CloudTrail what the trails record now, and keeps the answer.
func (a *app) see(ctx context.Context) error {
	points, err := a.checkpoints()
	if err != nil {
		return err
	}
	if points == nil {
		return fmt.Errorf("there is no lake to keep the answer in")
	}
	return a.seeFor(ctx, points)
}

func (a *app) seeFor(ctx context.Context, points *checkpoints) error {
	now := a.Now().UTC()
	list, region, err := collect.Trails(ctx, "", now)
	if err != nil {
		return err
	}
	found := map[coverage.Trail]bool{}
	for _, s := range list {
		found[s.Trail] = true
		points.saved.Trails = coverage.See(points.saved.Trails, s)
	}
	for _, s := range points.saved.Trails {
		if !found[s.Trail] && s.HomeRegion == region && !s.Gone {
			found[s.Trail] = true
			points.saved.Trails = coverage.See(points.saved.Trails, coverage.Sighting{Trail: s.Trail, From: now, To: now, Gone: true})
		}
	}
	return points.keep("", nil)
}

// seeNow asks CloudTrail about trails unless that was done just now. That it can't be asked is no error: coverage then says
// what isn't known.
func (a *app) seeNow(ctx context.Context) {
	points, err := a.checkpoints()
	if err != nil || points == nil {
		return
	}
	for _, s := range points.saved.Trails {
		if a.Now().Sub(s.To) < askEvery {
			return
		}
	}
	if err := a.seeFor(ctx, points); err != nil {
		a.log().Debug("CloudTrail was not asked about trails", "cause", err)
	}
}
