package collect_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aitrail/aitrail/bench/corpus"
	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/collect/collecttest"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

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
			if diff := cmp.Diff(want, report, ignore, cmpopts.EquateEmpty()); diff != "" {
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
	object, path := map[string]string{}, map[string]string{}
	events := int64(0)
	n := 0
	add := func(name string) {
		n++
		file := filepath.Join(dir, logName(n, ".json.gz"))
		write(t, file, distinct(t, testdata(t, name), n))
		object[name], path[name] = fileURL(file), file
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
	if report.Digests != 1 || report.Invocations != 5 {
		t.Errorf("%d digests and %d invocations, by their content; want 1 and 5", report.Digests, report.Invocations)
	}
	events -= report.Invocations
	if report.Collected+report.Digests != int64(len(whole)) || report.Quarantined != int64(len(faults)) || report.Found != report.Collected+report.Quarantined {
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
	if err != nil || again.Skipped+again.Digests != report.Found+report.Digests || again.Quarantined+again.Collected != 0 {
		t.Errorf("collected again: %+v, error %v", again, err)
	}
	mended := path["truncated-gz.json.gz"]
	write(t, mended, testdata(t, "whole.json.gz"))
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(mended, later, later); err != nil {
		t.Fatal(err)
	}
	after, err := collect.Collect(t.Context(), l, []string{dir}, collect.Options{})
	if err != nil || after.Collected != 1 || after.Events+after.Duplicates != 3 || after.Skipped+after.Digests != report.Found+report.Digests-1 {
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

// TestCollectUnnamed collects files whose names don't tell what they are.
func TestCollectUnnamed(t *testing.T) {
	dir := t.TempDir()
	var found, other, digests, quarantined int64
	for name, w := range whole {
		write(t, filepath.Join(dir, name), testdata(t, name))
		if w.Kind == cloudtrail.KindDigest {
			digests++
		} else {
			found++
		}
	}
	for name, f := range faults {
		write(t, filepath.Join(dir, name), testdata(t, name))
		switch f.nature {
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
	quarantined++
	l := newLake(t, t.TempDir())
	report, err := collect.Collect(t.Context(), l, []string{dir}, collect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := collect.SourceReport{Source: dir, Found: found, Digests: digests, Other: other}
	if diff := cmp.Diff([]collect.SourceReport{want}, report.Sources); diff != "" {
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
	if diff := cmp.Diff(collect.Progress{Listed: true, Objects: n, Done: n, Events: 1000, Bytes: report.Bytes}, told[len(told)-1]); diff != "" {
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

// TestCollectTogether lets three collectors with lakes of their own work on one source at once: what one brings, the
// others leave.
func TestCollectTogether(t *testing.T) {
	source, dir := t.TempDir(), t.TempDir()
	files := folder(t, source, corpus.Options{Events: 3000, Seed: 8, PerFile: 60})
	newLake(t, dir)
	var total, collected atomic.Int64
	var wg sync.WaitGroup
	for range 3 {
		l := newLake(t, dir)
		wg.Go(func() {
			report, err := collect.Collect(t.Context(), l, []string{source}, collect.Options{BatchEvents: 500})
			if err != nil {
				t.Error(err)
			}
			if report.Collected+report.Skipped != report.Found || report.Found != int64(len(files)) {
				t.Errorf("%+v", report)
			}
			total.Add(report.Events)
			collected.Add(report.Collected)
		})
	}
	wg.Wait()
	if total.Load() != 3000 || collected.Load() != int64(len(files)) {
		t.Errorf("%d events of %d files were brought, want 3000 of %d", total.Load(), collected.Load(), len(files))
	}
	sameRows(t, rows(t, newLake(t, dir)), records(t, files))
}

// TestCollectLarge collects a log file of 50 MB of text in bounded memory.
func TestCollectLarge(t *testing.T) {
	zipped, err := corpus.Gzip(logFile(t, 50<<20))
	if err != nil {
		t.Fatal(err)
	}
	name := logName(1, ".json.gz")
	store := &collecttest.Store{Name: "trail", Objects: map[string]*collecttest.Object{name: {Body: zipped}}}
	l := newLake(t, t.TempDir())
	base, peak, reads := heap(), uint64(0), 0
	store.OnRead = func() {
		if reads++; reads%8 == 0 {
			peak = max(peak, heap())
		}
	}
	report, err := collect.Collect(t.Context(), l, []string{"s3://trail"}, collect.Options{
		Open: func(context.Context, string) (object.Store, error) { return store, nil },
	})
	if err != nil || report.Collected != 1 || report.Inflated < 50<<20 || report.Events < 40_000 {
		t.Fatalf("%+v, error %v", report, err)
	}
	if reads < 100 {
		t.Fatalf("the heap was looked at %d times", reads/8)
	}
	if grown := int64(peak) - int64(base); grown > 160<<20 {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	t.Logf("%d events, the heap grew by %d MB", report.Events, (int64(peak)-int64(base))>>20)
}
