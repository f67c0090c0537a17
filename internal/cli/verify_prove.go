package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

// proving says how a source is verified.
type proving struct {
	from, to time.Time
	full     bool
	keyFile  string
}

// prove verifies a source, from where the last verification of it ended, and brings the verdicts into the lake. The
// lake may be nil.
func (a *app) prove(ctx context.Context, source string, l *lake.Lake, p proving) (*digest.Report, error) {
	src, prefix, err := verifySource(ctx, source)
	if err != nil {
		return nil, err
	}
	keys, err := keySource(src, p.keyFile)
	if err != nil {
		return nil, err
	}
	points, err := a.checkpoints()
	if err != nil {
		return nil, err
	}
	url := src.store.URL(prefix)
	opts := digest.Options{Prefix: prefix, From: p.from, To: p.to, Full: p.full, Now: a.Now()}
	if points != nil {
		opts.State = points.state(url, a.endpoint())
		if p.keyFile != "" {
			opts.State.Keys = nil
		}
	}
	var open openFiles
	if l != nil {
		if opts.Pauses, open, err = a.fromLake(ctx, l, url); err != nil {
			return nil, err
		}
		opts.Again = open.since
	}
	var verdicts []lake.Verdict
	opts.LogFile = func(v digest.FileVerdict) {
		object := src.store.URL(v.Path)
		delete(open.objects, object)
		verdicts = append(verdicts, lake.Verdict{Object: object, Verdict: string(v.Verdict), Note: v.Reason})
	}
	report, err := digest.Verify(ctx, src, keys, opts)
	if err != nil {
		return nil, err
	}
	if l != nil {
		if p.from.IsZero() && p.to.IsZero() {
			verdicts = open.rest(verdicts)
		}
		if _, err := l.SetVerdicts(ctx, verdicts); err != nil {
			return nil, err
		}
	}
	return report, a.keepState(points, url, src.bucket != "" && p.keyFile == "", p, report)
}

// endpoint is who public keys come from: "" for AWS.
func (a *app) endpoint() string {
	if url := a.Getenv("AWS_ENDPOINT_URL_CLOUDTRAIL"); url != "" {
		return url
	}
	return a.Getenv("AWS_ENDPOINT_URL")
}

// checkpoints opens the checkpoints; nil when there is no place for them.
func (a *app) checkpoints() (*checkpoints, error) {
	dir, err := a.lakePath()
	if err != nil {
		return nil, nil // no home folder
	}
	return openCheckpoints(dir)
}

// keepState keeps what a verification left for the next one.
func (a *app) keepState(points *checkpoints, url string, asked bool, p proving, report *digest.Report) error {
	if points == nil {
		return nil
	}
	if points.altered != "" {
		report.Add(digest.Finding{
			Kind: digest.CheckpointAltered, Key: points.path(),
			Detail: points.altered + ": it was not relied upon, all was read, and what was cut off since can't be told",
		})
	}
	if !p.from.IsZero() || !p.to.IsZero() || report.Digests.Total == 0 && len(report.State.Heads) == 0 {
		return nil
	}
	if asked {
		points.learn(a.endpoint(), report.State.Keys)
	}
	err := points.keep(url, report.State)
	if errors.Is(err, fs.ErrPermission) {
		fmt.Fprintf(a.Stderr, "how far chains were verified could not be kept: %v\n", err)
		return nil
	}
	return err
}

// openFiles are the log files of a source that are in the lake and have no last verdict.
type openFiles struct {
	objects map[string]string // and the verdict they have
	since   time.Time         // the earliest of them was named then; zero when there are none
}

// rest adds a verdict for those that no digest and no place of log files led to.
func (o openFiles) rest(verdicts []lake.Verdict) []lake.Verdict {
	for object, verdict := range o.objects {
		if verdict == lake.VerdictNone {
			verdicts = append(verdicts, lake.Verdict{Object: object, Verdict: lake.VerdictUnverifiable, Note: "no digest can name it: it is not laid out as CloudTrail delivers"})
		}
	}
	return verdicts
}

// fromLake asks the lake for what bears on the verification of a source.
func (a *app) fromLake(ctx context.Context, l *lake.Lake, url string) (pauses []digest.Pause, open openFiles, err error) {
	db, err := query.Open(ctx, l, query.Options{})
	if err != nil {
		return nil, open, err
	}
	defer db.Close()
	if pauses, err = trailPauses(ctx, db); err != nil {
		return nil, open, err
	}
	open.objects = map[string]string{}
	rows, err := db.Query(ctx, `SELECT object, coalesce(verdict, '') FROM log_files
		WHERE status = 'collected' AND coalesce(verdict, '') IN ('', 'pending') AND starts_with(object, ?)`, url)
	if err != nil {
		return nil, open, err
	}
	defer rows.Close()
	for rows.Next() {
		v := rows.Values()
		object := query.Text(v[0])
		open.objects[object] = query.Text(v[1])
		if key, ok := cloudtrail.ParseKey(path.Base(object)); ok && (open.since.IsZero() || key.Time.Before(open.since)) {
			open.since = key.Time
		}
	}
	return pauses, open, rows.Err()
}

// trailPauses reads from events when trails made no digests.
func trailPauses(ctx context.Context, db *query.DB) ([]digest.Pause, error) {
	rows, err := db.Query(ctx, `SELECT eventTime, eventName, requestParameters, recipientAccountId, awsRegion, actor, CAST(eventID AS VARCHAR)
		FROM events WHERE eventSource = 'cloudtrail.amazonaws.com' AND coalesce(errorCode, '') = ''
			AND eventName IN ('StopLogging', 'StartLogging', 'DeleteTrail', 'UpdateTrail') ORDER BY eventTime, source_object, source_index`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var t trailTimes
	for rows.Next() {
		v := rows.Values()
		at, ok := v[0].(time.Time)
		var request struct {
			Name                    string
			EnableLogFileValidation *bool
		}
		if !ok || json.Unmarshal([]byte(query.Text(v[2])), &request) != nil || request.Name == "" {
			continue
		}
		t.event(at, query.Text(v[1]), trailOf(request.Name, query.Text(v[3]), query.Text(v[4])), request.EnableLogFileValidation,
			fmt.Sprintf("%s by %s (event %s)", query.Text(v[1]), query.Text(v[5]), query.Text(v[6])))
	}
	slices.SortStableFunc(t.pauses, func(a, b digest.Pause) int { return a.From.Compare(b.From) })
	return t.pauses, rows.Err()
}

// trailOf reads a trail's name or ARN.
func trailOf(name, account, region string) digest.Pause {
	if f := strings.SplitN(name, ":", 6); len(f) == 6 {
		return digest.Pause{Account: f[4], HomeRegion: f[3], Trail: strings.TrimPrefix(f[5], "trail/")}
	}
	return digest.Pause{Account: account, HomeRegion: region, Trail: name}
}

// trailTimes follows what happens to trails.
type trailTimes struct{ pauses []digest.Pause }

// event takes the next event. Logging and validation are paused and resumed independently.
func (t *trailTimes) event(at time.Time, name string, trail digest.Pause, validation *bool, detail string) {
	const stopped, unvalidated = "logging stopped: ", "log file validation switched off: "
	switch {
	case name == "StopLogging" || name == "DeleteTrail":
		t.begin(at, trail, stopped, detail)
	case name == "StartLogging":
		t.end(at, trail, stopped)
	case validation != nil && *validation:
		t.end(at, trail, unvalidated)
	case validation != nil:
		t.begin(at, trail, unvalidated, detail)
	}
}

func (t *trailTimes) lasting(trail digest.Pause, what string) *digest.Pause {
	for i := range t.pauses {
		p := &t.pauses[i]
		if p.Account == trail.Account && p.Trail == trail.Trail && p.HomeRegion == trail.HomeRegion && p.To.IsZero() && strings.HasPrefix(p.Detail, what) {
			return p
		}
	}
	return nil
}

func (t *trailTimes) begin(at time.Time, trail digest.Pause, what, detail string) {
	if t.lasting(trail, what) == nil {
		trail.From, trail.Detail = at, what+detail
		t.pauses = append(t.pauses, trail)
	}
}

func (t *trailTimes) end(at time.Time, trail digest.Pause, what string) {
	if p := t.lasting(trail, what); p != nil {
		p.To = at
	}
}
