package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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
	points, err := a.checkpoints()
	if err != nil {
		return nil, err
	}
	var saved savedState
	if points != nil {
		saved = points.saved
	}
	log, err := trailEvents(ctx, db, saved.TrailLog)
	if err != nil {
		return nil, err
	}
	f.Arrived, f.History = saved.Arrived, coverage.NewHistory(log.Events, saved.Trails)
	err = each(ctx, db, `SELECT coalesce(account, ''), coalesce(region, ''), count(*), min(first_event), max(last_event)
		FROM log_files WHERE status = 'collected' AND `+query.OfEvents+` GROUP BY ALL ORDER BY ALL`, func(v []any) {
		files := coverage.Files{Place: coverage.Place{Account: query.Text(v[0]), Region: query.Text(v[1])}}
		files.LogFiles, _ = v[2].(int64)
		files.First, _ = v[3].(time.Time)
		files.Last, _ = v[4].(time.Time)
		f.Files = append(f.Files, files)
	})
	if err != nil {
		return nil, err
	}
	var accounts []string
	err = each(ctx, db, `SELECT DISTINCT account FROM log_files WHERE starts_with(object, 'history:') ORDER BY 1`,
		func(v []any) { accounts = append(accounts, query.Text(v[0])) })
	if err != nil {
		return nil, err
	}
	if f.Read, err = a.historyRead(ctx, accounts); err != nil {
		return nil, err
	}
	err = each(ctx, db, `SELECT DISTINCT split_part(object, '/', 3) FROM log_files WHERE starts_with(object, 's3://') AND `+query.OfEvents+` ORDER BY 1`,
		func(v []any) { f.Buckets = append(f.Buckets, query.Text(v[0])) })
	if err != nil {
		return nil, err
	}
	// A copy in a folder may be of any bucket.
	return f, each(ctx, db, `SELECT 1 FROM log_files WHERE starts_with(object, 'file://') LIMIT 1`, func([]any) { f.Buckets = nil })
}

// historyRead returns the times that the event history of accounts was read of.
func (a *app) historyRead(ctx context.Context, accounts []string) ([]coverage.Read, error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	l, err := a.openLake(ctx)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	var all []coverage.Read
	for _, account := range accounts {
		read, err := collect.HistoryRead(ctx, l, account)
		if err != nil {
			return nil, err
		}
		all = append(all, read...)
	}
	return all, nil
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

// trailLog is the events in which trails were made and changed, of the log files that were collected until a time.
type trailLog struct {
	Until  time.Time        `json:"until,omitzero"`
	Events []coverage.Event `json:"events"`
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// stragglers is how much later than it says a log file may have come into the lake.
const stragglers = 10 * time.Minute

// trailEvents adds to what is known the trails' events of log files that were collected since, and reads no others: it is
// asked for with every answer.
func trailEvents(ctx context.Context, db *query.DB, known trailLog) (trailLog, error) {
	now := trailLog{Until: known.Until, Events: slices.Clone(known.Events)}
	var first time.Time
	err := each(ctx, db, `SELECT min(first_event), max(collected_at) FROM log_files
		WHERE status = 'collected' AND `+query.OfEvents+` AND collected_at > CAST(? AS TIMESTAMPTZ)`, func(v []any) {
		first, _ = v[0].(time.Time)
		if at, ok := v[1].(time.Time); ok {
			now.Until = at.UTC()
		}
	}, later(known.Until.Add(-stragglers), time.Unix(0, 0)).UTC())
	if err != nil || first.IsZero() {
		return now, err
	}
	seen := map[string]bool{}
	for _, e := range now.Events {
		seen[e.Account+e.ID] = true
	}
	names := "'" + strings.Join(coverage.EventNames(), "', '") + "'"
	err = each(ctx, db, `SELECT eventTime, eventName, requestParameters, recipientAccountId, awsRegion, actor, CAST(eventID AS VARCHAR)
		FROM events WHERE eventSource = 'cloudtrail.amazonaws.com' AND eventTime >= CAST(? AS TIMESTAMPTZ) AND coalesce(errorCode, '') = ''
			AND eventName IN (`+names+`) ORDER BY eventTime, source_object, source_index`, func(v []any) {
		e := coverage.Event{
			Name: query.Text(v[1]), Parameters: query.Text(v[2]), Account: query.Text(v[3]), Region: query.Text(v[4]),
			Actor: query.Text(v[5]), ID: query.Text(v[6]),
		}
		e.Time, _ = v[0].(time.Time)
		if e.ID == "" || !seen[e.Account+e.ID] {
			now.Events = append(now.Events, e)
		}
	}, first.UTC())
	slices.SortStableFunc(now.Events, func(a, b coverage.Event) int { return a.Time.Compare(b.Time) })
	return now, err
}

// arrivals gathers during a verification what coverage needs to know of it.
type arrivals struct {
	*coverage.Arrived
	named map[string]digest.FileVerdict // log files that digests name, by URL
}

// newArrivals goes on from what earlier verifications of a source left.
func newArrivals(points *checkpoints, url string, full bool) *arrivals {
	a := &arrivals{Arrived: &coverage.Arrived{}, named: map[string]digest.FileVerdict{}}
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
		From: v.Start.UTC(), To: v.End.UTC(), State: coverage.Covered,
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

// logFile takes a log file's verdict. That no digest names it is no gap.
func (a *arrivals) logFile(object string, v digest.FileVerdict) {
	if v.Digest != "" {
		a.named[object] = v
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
	missing := map[string]coverage.Missing{} // not read again this time
	for _, m := range a.Awaited() {
		missing[m.Object] = m
	}
	names := slices.Collect(maps.Keys(a.named))
	for object := range missing {
		if _, read := a.named[object]; !read {
			names = append(names, object)
		}
	}
	statuses, err := statusesOf(ctx, l, names)
	if err != nil {
		return err
	}
	judged := make(map[string]*coverage.Missing, len(names))
	for _, object := range names {
		if m, ok := a.judge(object, missing[object], statuses[object]); ok {
			judged[object] = m
		}
	}
	a.Came(func(object string) bool { _, ok := judged[object]; return ok })
	for object, m := range judged {
		if m != nil {
			key, _ := cloudtrail.ParseKey(a.named[object].Digest)
			a.Absent(chainOf(key), *m)
		}
	}
	return nil
}

// judge decides whether a log file that a digest names has arrived: nil if it has. It isn't ok if that stays as it was.
func (a *arrivals) judge(object string, was coverage.Missing, status string) (m *coverage.Missing, ok bool) {
	v, read := a.named[object]
	kind := digest.Kind(v.Reason)
	altered := v.Verdict == digest.Failed && (kind == digest.LogFileAltered || kind == digest.LogFileTruncated)
	m = &coverage.Missing{Object: object, From: v.From.UTC(), To: v.To.UTC(), State: coverage.Gap, Note: reason(v.Reason)}
	switch {
	case status == lake.StatusCollected && (read && !altered || !read && was.State == coverage.Pending):
		return nil, true
	case !read || v.From.IsZero():
		return nil, false // as it was; or it has no events
	case status == lake.StatusQuarantined:
		m.Note = "a log file is in quarantine"
	case v.Verdict != digest.Failed:
		m.State, m.Note = coverage.Pending, "a log file is not collected yet"
	}
	return m, true
}

// chainOf names the chain that a digest belongs to.
func chainOf(key cloudtrail.Key) coverage.Digest {
	return coverage.Digest{Organization: key.Organization, Account: key.Account, Region: key.Region, Trail: key.Trail, HomeRegion: key.HomeRegion}
}

// statusesOf returns the statuses of the log files that the lake has; without a lake it has none.
func statusesOf(ctx context.Context, l *lake.Lake, objects []string) (map[string]string, error) {
	statuses := make(map[string]string, len(objects))
	if l == nil || len(objects) == 0 {
		return statuses, nil
	}
	db, err := query.Open(ctx, l, query.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	for some := range slices.Chunk(objects, 50_000) {
		list, err := json.Marshal(some)
		if err != nil {
			return nil, err
		}
		// An object that was replaced has several rows; one that could be read is enough.
		err = each(ctx, db, `SELECT object, min(status) FROM log_files
			WHERE object IN (SELECT unnest(from_json(?, '["VARCHAR"]'))) GROUP BY object`,
			func(v []any) { statuses[query.Text(v[0])] = query.Text(v[1]) }, string(list))
		if err != nil {
			return nil, err
		}
	}
	return statuses, nil
}

// askEvery is how long an answer about trails holds for a collector; their changes are events anyhow.
const askEvery = time.Minute

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

// seeNow asks CloudTrail about trails when a bucket is read, unless that was done just now. That it can't be asked is no
// error: coverage then says what isn't known.
func (a *app) seeNow(ctx context.Context, source string) {
	points, err := a.checkpoints()
	if err != nil || points == nil || !strings.HasPrefix(source, "s3://") {
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
