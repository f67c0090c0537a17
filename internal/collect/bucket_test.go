package collect_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/collect/collecttest"
	"github.com/aitrail/aitrail/internal/object"
)

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
