package collect_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aitrail/aitrail/bench/corpus"
	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/collect/collecttest"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// logName is the name of a log file as CloudTrail gives it; n tells several apart.
func logName(n int, ext string) string {
	return fmt.Sprintf("AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/111122223333_CloudTrail_us-east-1_20260301T1005Z_%016d%s", n, ext)
}

func newLake(t *testing.T, dir string) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), dir, lake.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// row is an event in a lake: where it came from and its record.
type row struct {
	Object string
	Index  int64
	Record string
}

// rows returns the events of a lake by log file and place.
func rows(t *testing.T, l *lake.Lake) []row {
	t.Helper()
	var out []row
	for s, err := range l.ReadEvents(t.Context(), lake.EventFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, row{s.Object, s.Index, string(s.Event.AppendJSON(nil))})
	}
	return out
}

// records returns the rows that a folder's log files should give, read without package collect's reader.
func records(t *testing.T, files map[string][]byte) []row {
	t.Helper()
	var out []row
	for url, body := range files {
		r := cloudtrail.NewReader(bytes.NewReader(body))
		var e cloudtrail.Event
		for n := int64(0); r.Next(&e) == nil; n++ {
			out = append(out, row{url, n, string(e.AppendJSON(nil))})
		}
	}
	return out
}

func sameRows(t *testing.T, got, want []row) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("no rows are expected")
	}
	order := func(a, b row) int { return cmp.Or(strings.Compare(a.Object, b.Object), int(a.Index-b.Index)) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("the first row that differs:\n got %v\nwant %v", got[i], want[i])
			return
		}
	}
}

// folder writes a corpus into a folder and returns its log files' text by URL.
func folder(t *testing.T, dir string, o corpus.Options) map[string][]byte {
	t.Helper()
	if _, err := corpus.Write(dir, o); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for f := range corpus.Files(o) {
		files["file://"+filepath.Join(dir, f.Key)] = f.Body
	}
	return files
}

func write(t *testing.T, name string, body []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, body, 0o644); err != nil {
		t.Fatal(err)
	}
}

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCollectFolder(t *testing.T) {
	for name, o := range map[string]corpus.Options{
		"gzip":  {Events: 3000, Seed: 1},
		"plain": {Events: 1000, Seed: 2, Plain: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files := folder(t, dir, o)
			l := newLake(t, t.TempDir())
			report, err := collect.Collect(t.Context(), l, []string{dir}, collect.Options{BatchEvents: 700})
			if err != nil {
				t.Fatal(err)
			}
			want := collect.Report{Found: int64(len(files)), Collected: int64(len(files)), Events: int64(o.Events),
				Sources: []collect.SourceReport{{Source: dir, Found: int64(len(files))}},
				Kinds:   map[cloudtrail.Kind]*collect.KindCount{cloudtrail.KindLog: {Files: int64(len(files)), Events: int64(o.Events)}}}
			ignore := cmpopts.IgnoreFields(collect.Report{}, "Bytes", "Inflated", "First", "Last", "Elapsed", "AICalls")
			if diff := gocmp.Diff(want, report, ignore, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("report: -want +got:\n%s", diff)
			}
			if share := float64(report.AICalls) / float64(o.Events); share < .09 || share > .2 {
				t.Errorf("%d AI calls of %d events", report.AICalls, o.Events)
			}
			if !report.First.Before(report.Last) || report.Bytes == 0 || report.Inflated < report.Bytes {
				t.Errorf("span %v to %v, %d bytes, %d inflated", report.First, report.Last, report.Bytes, report.Inflated)
			}
			sameRows(t, rows(t, l), records(t, files))

			again, err := collect.Collect(t.Context(), l, []string{dir}, collect.Options{})
			if err != nil || again.Skipped != int64(len(files)) || again.Collected+again.Events+again.Duplicates != 0 {
				t.Errorf("collected again: %+v, error %v", again, err)
			}
		})
	}
}

// TestCollectOverlap collects a file that two sources hold, and events that two files hold.
func TestCollectOverlap(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "a", logName(1, ".json.gz")), filepath.Join(dir, "b", logName(2, ".json"))
	write(t, one, testdata(t, "whole.json.gz"))
	write(t, two, testdata(t, "plain.json")) // the same events
	l := newLake(t, t.TempDir())
	report, err := collect.Collect(t.Context(), l, []string{filepath.Join(dir, "a"), one, two}, collect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Collected != 2 || report.Found != 2 || report.Events != 3 || report.Duplicates != 3 {
		t.Errorf("%+v", report)
	}
	if got := rows(t, l); len(got) != 3 {
		t.Errorf("%d rows: %v", len(got), got)
	}
}

// TestCollectBroken collects a folder with every broken file: under names of log files they go to quarantine, what is
// whole is collected, and a file that was mended is collected then.
func TestCollectBroken(t *testing.T) {
	dir := t.TempDir()
	object := map[string]string{}
	events := int64(0)
	n := 0
	add := func(name string) {
		n++
		file := filepath.Join(dir, logName(n, ".json.gz"))
		write(t, file, distinct(t, testdata(t, name), n))
		object[name] = "file://" + file
	}
	for name, d := range whole {
		add(name)
		events += d.Events
	}
	for name := range faults {
		add(name)
	}
	l := newLake(t, t.TempDir())
	report, err := collect.Collect(t.Context(), l, []string{dir}, collect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Collected != int64(len(whole)) || report.Quarantined != int64(len(faults)) || report.Found != report.Collected+report.Quarantined {
		t.Errorf("%d found, %d collected, %d in quarantine; want %d and %d", report.Found, report.Collected, report.Quarantined, len(whole), len(faults))
	}
	if got := int64(len(rows(t, l))); got+report.Duplicates != events || report.Events != got {
		t.Errorf("%d rows and %d duplicates, report says %d; want %d", got, report.Duplicates, report.Events, events)
	}
	reasons := map[string]string{}
	for _, q := range report.Quarantine {
		reasons[q.Object] = q.Reason
	}
	for name, f := range faults {
		if got := reasons[object[name]]; !strings.Contains(got, f.fault) {
			t.Errorf("%s: reason %q, want %q", name, got, f.fault)
		}
	}
	checkRows(t, l, reasons)

	again, err := collect.Collect(t.Context(), l, []string{dir}, collect.Options{})
	if err != nil || again.Skipped != report.Found || again.Quarantined+again.Collected != 0 {
		t.Errorf("collected again: %+v, error %v", again, err)
	}
	mended := strings.TrimPrefix(object["truncated-gz.json.gz"], "file://")
	write(t, mended, testdata(t, "whole.json.gz"))
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(mended, later, later); err != nil {
		t.Fatal(err)
	}
	after, err := collect.Collect(t.Context(), l, []string{dir}, collect.Options{})
	if err != nil || after.Collected != 1 || after.Events+after.Duplicates != 3 || after.Skipped != report.Found-1 {
		t.Errorf("collected after mending a file: %+v, error %v", after, err)
	}
}

// checkRows compares the rows of log_files with the quarantine's reasons.
func checkRows(t *testing.T, l *lake.Lake, reasons map[string]string) {
	t.Helper()
	for f, err := range l.LogFiles(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		reason, quarantined := reasons[f.Object]
		if (f.Status == lake.StatusQuarantined) != quarantined || f.Reason != reason {
			t.Errorf("%s has status %s for %q, want reason %q", f.Object, f.Status, f.Reason, reason)
		}
		if len(f.SHA256) != 64 || f.Account != "111122223333" || f.Region != "us-east-1" || f.Kind == "" {
			t.Errorf("%+v", f)
		}
		if quarantined && f.Events != 0 {
			t.Errorf("%s is in quarantine with %d events", f.Object, f.Events)
		}
	}
}

// distinct gives the events of a plain log file ids of their own. Compressed ones keep theirs.
func distinct(t *testing.T, body []byte, n int) []byte {
	t.Helper()
	return bytes.ReplaceAll(body, []byte(`"eventID":"10000000`), fmt.Appendf(nil, `"eventID":"1%07d`, n))
}

// TestCollectUnnamed collects files whose names don't tell what they are.
func TestCollectUnnamed(t *testing.T) {
	dir := t.TempDir()
	var found, other, digests, quarantined int64
	for name := range whole {
		write(t, filepath.Join(dir, name), testdata(t, name))
		found++
	}
	for name, f := range faults {
		write(t, filepath.Join(dir, name), testdata(t, name))
		switch f.nature {
		case "digest":
			digests++
		case "other":
			other++
		default:
			found++
			quarantined++
		}
	}
	for _, name := range []string{"README.txt", "image.png", "111122223333_Config_us-east-1_ConfigHistory_20260301T000000Z_1.json.gz", "x.log.gz"} {
		write(t, filepath.Join(dir, name), []byte("something else\n"))
		other++
	}
	write(t, filepath.Join(dir, "111122223333_CloudTrail-Digest_us-east-1_example_us-east-1_20260301T110000Z.json.gz"), []byte("x"))
	digests++
	l := newLake(t, t.TempDir())
	report, err := collect.Collect(t.Context(), l, []string{dir}, collect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := collect.SourceReport{Source: dir, Found: found, Digests: digests, Other: other}
	if diff := gocmp.Diff([]collect.SourceReport{want}, report.Sources); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if report.Quarantined != quarantined || report.Found != found || report.Other != other || report.Digests != digests {
		t.Errorf("%+v", report)
	}
	for _, kind := range []cloudtrail.Kind{cloudtrail.KindInsight, cloudtrail.KindNetworkActivity, cloudtrail.KindAggregated} {
		if got := report.Kinds[kind]; got == nil || *got != (collect.KindCount{Files: 1, Events: 1}) {
			t.Errorf("kind %s: %+v", kind, got)
		}
	}
}

func TestCollectNoLogFiles(t *testing.T) {
	empty, digests, other, good := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(digests, "111122223333_CloudTrail-Digest_us-east-1_example_us-east-1_20260301T110000Z.json.gz"), []byte("x"))
	write(t, filepath.Join(other, "package.json"), testdata(t, "not-a-log-file.json"))
	write(t, filepath.Join(good, "whole.json.gz"), testdata(t, "whole.json.gz"))
	for _, c := range []struct {
		name    string
		sources []string
		want    []string // in the error's text
	}{
		{"empty", []string{empty}, []string{empty, "holds no objects"}},
		{"digests", []string{digests}, []string{digests, "1 digest files only"}},
		{"other", []string{other}, []string{other, "none of its 1 objects"}},
		{"a single file", []string{filepath.Join(other, "package.json")}, []string{"package.json", "none of its 1 objects"}},
		{"two of three", []string{empty, good, other}, []string{empty, other}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLake(t, t.TempDir())
			report, err := collect.Collect(t.Context(), l, c.sources, collect.Options{})
			if !errors.Is(err, collect.ErrNoLogFiles) {
				t.Fatalf("error %v", err)
			}
			for _, text := range c.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q doesn't say %q", err, text)
				}
			}
			if wantRows := 3 * (len(c.sources) / 3); len(rows(t, l)) != wantRows || report.Events != int64(wantRows) {
				t.Errorf("%d rows, report %+v", len(rows(t, l)), report)
			}
		})
	}
}

func TestCollectNoSource(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "whole.json.gz"), testdata(t, "whole.json.gz"))
	l := newLake(t, t.TempDir())
	missing := filepath.Join(dir, "missing")
	report, err := collect.Collect(t.Context(), l, []string{dir, missing}, collect.Options{})
	if !errors.Is(err, object.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("error %v", err)
	}
	if report.Found != 0 || len(rows(t, l)) != 0 {
		t.Errorf("something was collected: %+v", report)
	}
}

// TestCollectFaults collects from buckets in which things go wrong: what can be read is collected, the rest is named.
func TestCollectFaults(t *testing.T) {
	whole := testdata(t, "whole.json.gz")
	denied, reset := errors.New("AccessDenied: not authorized to perform s3:GetObject"), errors.New("connection reset")
	bucket := &collecttest.Store{Name: "trail", Objects: map[string]*collecttest.Object{
		logName(1, ".json.gz"): {Body: whole},
		logName(2, ".json.gz"): {Body: whole, Unlisted: true},
		logName(3, ".json.gz"): {Body: whole, OpenErr: denied},
		logName(4, ".json.gz"): {Body: whole, ReadErr: reset},
		logName(5, ".json.gz"): {Body: whole, ChangesAt: 2},
		logName(6, ".json.gz"): {Body: whole, ChangesAt: 100},
	}}
	closed := &collecttest.Store{Name: "closed", ListErr: errors.New("AccessDenied: not authorized to perform s3:ListBucket"), Objects: map[string]*collecttest.Object{"a": {}}}
	half := &collecttest.Store{Name: "half", ListErr: errors.New("503 Slow Down"), ListEnd: logName(8, ""), Objects: map[string]*collecttest.Object{
		logName(7, ".json"): {Body: distinct(t, testdata(t, "plain.json"), 7)}, logName(8, ".json"): {Body: whole},
	}}
	stores := map[string]*collecttest.Store{"s3://trail": bucket, "s3://closed": closed, "s3://half": half}
	opts := collect.Options{Open: func(_ context.Context, source string) (object.Store, error) { return stores[source], nil }}
	l := newLake(t, t.TempDir())
	report, err := collect.Collect(t.Context(), l, []string{"s3://trail", "s3://closed", "s3://half"}, opts)
	if err != nil {
		t.Fatal(err)
	}
	causes := map[string]string{}
	for _, e := range report.Errors {
		causes[e.Object] = e.Cause
	}
	want := map[string]string{
		bucket.URL(logName(2, ".json.gz")): "deleted between listing and reading",
		bucket.URL(logName(3, ".json.gz")): "s3:GetObject",
		bucket.URL(logName(4, ".json.gz")): "connection reset",
		bucket.URL(logName(6, ".json.gz")): "changed while it was read",
		"s3://closed":                      "s3:ListBucket",
		"s3://half":                        "Slow Down",
	}
	for object, cause := range want {
		if !strings.Contains(causes[object], cause) {
			t.Errorf("%s: cause %q, want %q", object, causes[object], cause)
		}
	}
	if len(causes) != len(want) || report.Failed != int64(len(want)) {
		t.Errorf("%d failed, errors %v", report.Failed, report.Errors)
	}
	if report.Collected != 3 || report.Found != 7 || report.Quarantined != 0 || report.Events != 6 || report.Duplicates != 3 {
		t.Errorf("%+v", report)
	}

	// What failed is read by the next run, and nothing else is opened.
	for _, o := range bucket.Objects {
		o.Unlisted, o.OpenErr, o.ReadErr, o.ChangesAt = false, nil, nil, 0
	}
	closed.ListErr, half.ListErr = nil, nil
	closed.Objects = map[string]*collecttest.Object{logName(9, ".json.gz"): {Body: whole}}
	report, err = collect.Collect(t.Context(), l, []string{"s3://trail", "s3://closed", "s3://half"}, opts)
	if err != nil || report.Collected != 6 || report.Skipped != 3 || report.Failed != 0 {
		t.Errorf("%+v, error %v", report, err)
	}
	if n := bucket.Opened(logName(1, ".json.gz")); n != 1 {
		t.Errorf("a collected log file was opened %d times", n)
	}
}

// TestCollectETag checks that an object which was replaced by another of the same size is read again.
func TestCollectETag(t *testing.T) {
	first := testdata(t, "plain.json")
	o := &collecttest.Object{Body: first, ETag: "one"}
	store := &collecttest.Store{Name: "trail", Objects: map[string]*collecttest.Object{logName(1, ".json"): o}}
	opts := collect.Options{Open: func(context.Context, string) (object.Store, error) { return store, nil }}
	l := newLake(t, t.TempDir())
	for n, want := range []collect.Report{{Collected: 1, Events: 3}, {Skipped: 1}, {Collected: 1, Events: 3}} {
		if n == 2 {
			o.Body, o.ETag = distinct(t, first, 2), "two"
		}
		got, err := collect.Collect(t.Context(), l, []string{"s3://trail"}, opts)
		if err != nil || got.Collected != want.Collected || got.Skipped != want.Skipped || got.Events != want.Events {
			t.Errorf("run %d: %+v, error %v", n, got, err)
		}
	}
	if n := len(rows(t, l)); n != 6 {
		t.Errorf("%d rows", n)
	}
}

// TestCollectCancel cancels a run at several points: what it reports is in the lake, and another run completes it.
func TestCollectCancel(t *testing.T) {
	dir := t.TempDir()
	files := folder(t, dir, corpus.Options{Events: 4000, Seed: 5, PerFile: 50})
	for _, after := range []int{1, 17, 60} {
		l := newLake(t, t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		var ticks atomic.Int64 // the clock moves by a tenth of a second each time someone looks
		report, err := collect.Collect(ctx, l, []string{dir}, collect.Options{
			BatchEvents: 500,
			BatchAge:    time.Hour,
			Now:         func() time.Time { return time.Unix(0, ticks.Add(int64(100*time.Millisecond))) },
			Progress: func(collect.Progress) {
				if calls++; calls == after {
					cancel()
				}
			},
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		got := rows(t, l)
		if int64(len(got)) != report.Events || report.Collected == int64(len(files)) {
			t.Errorf("%d rows, report %+v", len(got), report)
		}
		rest, err := collect.Collect(t.Context(), l, []string{dir}, collect.Options{})
		if err != nil || rest.Skipped != report.Collected || rest.Events+report.Events != 4000 {
			t.Errorf("after a cancelled run with %d files: %+v, error %v", report.Collected, rest, err)
		}
		sameRows(t, rows(t, l), records(t, files))
	}
}

// TestCollectProgress checks that progress is told ten times a second at most, and how it ended.
func TestCollectProgress(t *testing.T) {
	dir := t.TempDir()
	files := folder(t, dir, corpus.Options{Events: 1000, Seed: 5, PerFile: 10})
	l := newLake(t, t.TempDir())
	start := time.Now()
	var told []collect.Progress
	report, err := collect.Collect(t.Context(), l, []string{dir}, collect.Options{Progress: func(p collect.Progress) { told = append(told, p) }})
	if err != nil {
		t.Fatal(err)
	}
	n := int64(len(files))
	if diff := gocmp.Diff(collect.Progress{Listed: true, Objects: n, Done: n, Events: 1000, Bytes: report.Bytes}, told[len(told)-1]); diff != "" {
		t.Errorf("the last progress: -want +got:\n%s", diff)
	}
	if most := int(time.Since(start)/(100*time.Millisecond)) + 2; len(told) > most {
		t.Errorf("told %d times, at most %d", len(told), most)
	}
}

// TestCollectReadOnly checks that a lake which can't be written to ends the run with an error.
func TestCollectReadOnly(t *testing.T) {
	dir := t.TempDir()
	newLake(t, dir)
	l, err := lake.Open(t.Context(), dir, lake.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	source := t.TempDir()
	folder(t, source, corpus.Options{Events: 2000, Seed: 5})
	report, err := collect.Collect(t.Context(), l, []string{source}, collect.Options{BatchEvents: 300})
	if !errors.Is(err, lake.ErrReadOnly) || report.Collected+report.Events != 0 {
		t.Errorf("%+v, error %v", report, err)
	}
}
