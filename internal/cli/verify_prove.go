package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/schollz/progressbar/v3"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/coverage"
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
// lake may be nil. A report with an error stands: it could not be kept.
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
	opts := digest.Options{Prefix: prefix, From: p.from, To: p.to, Full: p.full, Now: a.Now(), Gunzip: gunzip}
	if points != nil {
		opts.State = points.state(url, a.endpoint())
		if p.keyFile != "" {
			opts.State.Keys = nil
		}
	}
	var open openFiles
	if l != nil {
		if opts.Pauses, open, err = a.fromLake(ctx, l, url, points); err != nil {
			return nil, err
		}
		opts.Again = open.since
	}
	arrived := newArrivals(points, url, p.full)
	var verdicts []lake.Verdict
	opts.Digest = func(v digest.DigestVerdict) {
		object := src.store.URL(v.Path)
		delete(open.objects, object)
		arrived.digest(v)
		verdicts = append(verdicts, lake.Verdict{Object: object, Verdict: string(v.Verdict), Note: v.Reason})
	}
	opts.LogFile = func(v digest.FileVerdict) {
		object := src.store.URL(v.Path)
		delete(open.objects, object)
		arrived.logFile(object, v)
		verdicts = append(verdicts, lake.Verdict{Object: object, Verdict: string(v.Verdict), Note: v.Reason})
	}
	done := a.verifyProgress(&opts)
	report, err := digest.Verify(ctx, src, keys, opts)
	done()
	if err != nil {
		return nil, err
	}
	if l != nil {
		if p.from.IsZero() && p.to.IsZero() {
			verdicts = open.rest(verdicts)
		}
		if _, err := l.SetVerdicts(ctx, verdicts); err != nil {
			return report, err
		}
	}
	if err := arrived.settle(ctx, l, report, a.Now()); err != nil {
		return report, err
	}
	return report, a.keepState(points, url, src.bucket != "" && p.keyFile == "", p, report, arrived)
}

// gunzip makes the library's inflater that is faster than the standard one.
func gunzip() digest.Gunzipper { return new(gzip.Reader) }

// verifyProgress shows what has been verified, on a terminal only. How much there is isn't known before all has been listed.
func (a *app) verifyProgress(opts *digest.Options) (done func()) {
	if !isTerminal(a.Stderr) {
		return func() {}
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(a.Stderr), progressbar.OptionSetDescription("verifying"), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("log files"), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	logFile, digestFile := opts.LogFile, opts.Digest
	var digests, failed int64
	describe := func(v digest.Verdict) {
		if v == digest.Failed {
			failed++
		}
		text := "verifying, " + thousands(digests) + " digests"
		if failed > 0 {
			text += ", " + thousands(failed) + " failed"
		}
		bar.Describe(text)
	}
	opts.LogFile = func(v digest.FileVerdict) {
		logFile(v)
		describe(v.Verdict)
		_ = bar.Add(1) // a bar that can't be drawn is no reason to stop
	}
	opts.Digest = func(v digest.DigestVerdict) {
		digestFile(v)
		digests++
		describe(v.Verdict)
	}
	return func() { _ = bar.Finish() }
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
	if strings.Contains(dir, "://") { // of a lake in a bucket they are kept here: who can write the bucket must not alter them
		data, err := a.dataDir()
		if err != nil {
			return nil, nil
		}
		if u, err := url.Parse(dir); err == nil { // a lake in a catalog is the same with its location and without
			q := u.Query()
			q.Del("location")
			u.RawQuery = q.Encode()
			dir = u.String()
		}
		dir = filepath.Join(data, "lakes", url.PathEscape(strings.TrimRight(dir, "/")))
	}
	return openCheckpoints(dir)
}

// keepState keeps what a verification left for the next one.
func (a *app) keepState(points *checkpoints, url string, asked bool, p proving, report *digest.Report, arrived *arrivals) error {
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
	points.saved.Arrived[url] = arrived.Arrived
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
func (a *app) fromLake(ctx context.Context, l *lake.Lake, url string, points *checkpoints) (pauses []digest.Pause, open openFiles, err error) {
	db, err := query.Open(ctx, l, query.Options{})
	if err != nil {
		return nil, open, err
	}
	defer db.Close()
	var known trailLog
	if points != nil {
		known = points.saved.TrailLog
	}
	log, err := trailEvents(ctx, db, known)
	if err != nil {
		return nil, open, err
	}
	if points != nil {
		points.saved.TrailLog = log
	}
	for _, p := range coverage.NewHistory(log.Events, nil).Pauses() {
		pauses = append(pauses, digest.Pause{Account: p.Account, Trail: p.Name, HomeRegion: p.HomeRegion, From: p.From, To: p.To, Detail: p.Note})
	}
	open.objects = map[string]string{}
	rows, err := db.Query(ctx, `SELECT object, coalesce(verdict, '') FROM log_files
		WHERE status = 'collected' AND coalesce(kind, '') <> 'BedrockModelInvocationLogs'
		AND coalesce(verdict, '') IN ('', 'pending') AND starts_with(object, ?)`, url)
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
