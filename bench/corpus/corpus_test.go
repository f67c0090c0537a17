package corpus_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aitrail/aitrail/bench/corpus"
	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/google/go-cmp/cmp"
)

// TestFiles checks that a corpus is what the package says it is.
func TestFiles(t *testing.T) {
	o := corpus.Options{Events: 20_000, Seed: 7, Days: 3}
	var events, ai, files, bytes int
	days, accounts, regions, sources, ids := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]bool{}
	for f := range corpus.Files(o) {
		key, ok := cloudtrail.ParseKey(f.Key)
		if !ok || key.Kind != cloudtrail.KindLog || key.String() != f.Key {
			t.Fatalf("key %q is not a log file's", f.Key)
		}
		var log struct {
			Records []struct {
				EventID, EventTime, EventSource, RecipientAccountID, AWSRegion string
			}
		}
		if err := json.Unmarshal(f.Body, &log); err != nil {
			t.Fatalf("%s: %v", f.Key, err)
		}
		if len(log.Records) != f.Events || f.Events > 500 || f.Events < 1 {
			t.Fatalf("%s has %d records, said %d", f.Key, len(log.Records), f.Events)
		}
		for _, r := range log.Records {
			at, err := time.Parse(time.RFC3339, r.EventTime)
			if err != nil || at.After(key.Time) || key.Time.Sub(at) > time.Hour {
				t.Fatalf("%s has an event of %s: %v", f.Key, r.EventTime, err)
			}
			if r.RecipientAccountID != key.Account || r.AWSRegion != key.Region {
				t.Fatalf("%s has an event of %s in %s", f.Key, r.RecipientAccountID, r.AWSRegion)
			}
			days[r.EventTime[:10]]++
			sources[r.EventSource]++
			ids[r.EventID] = true
		}
		files++
		events += f.Events
		ai += f.AICalls
		bytes += len(f.Body)
		accounts[key.Account]++
		regions[key.Region]++
	}
	if events != o.Events || len(ids) != o.Events {
		t.Errorf("%d events with %d ids, want %d", events, len(ids), o.Events)
	}
	if mean := bytes / events; mean < 1000 || mean > 1700 {
		t.Errorf("records are %d bytes on average", mean)
	}
	if mean := events / files; mean < 100 || mean > 250 {
		t.Errorf("files have %d events on average", mean)
	}
	if share := float64(ai) / float64(events); share < .12 || share > .19 {
		t.Errorf("%.2f of the events are AI services'", share)
	}
	if len(days) != 3 || len(accounts) < 3 || len(regions) < 3 || len(sources) < 15 {
		t.Errorf("%d days, %d accounts, %d Regions, %d services", len(days), len(accounts), len(regions), len(sources))
	}
}

// TestRecordsDecode checks that the product reads the records, and finds nothing in them that it doesn't know.
func TestRecordsDecode(t *testing.T) {
	for f := range corpus.Files(corpus.Options{Events: 3000, Seed: 3}) {
		r := cloudtrail.NewReader(bytes.NewReader(f.Body))
		for range f.Events {
			var e cloudtrail.Event
			if err := r.Next(&e); err != nil {
				t.Fatalf("%s: %v", f.Key, err)
			}
			if got := string(e.AppendJSON(nil)); len(got) == 0 || e.EventID == "" || e.EventTime.IsZero() {
				t.Fatalf("%s: record decodes to %s", f.Key, got)
			}
		}
	}
}

// TestSeed checks that a corpus depends on its options alone.
func TestSeed(t *testing.T) {
	o := corpus.Options{Events: 1500, Seed: 9}
	first, second, other := tree(t, o), tree(t, o), tree(t, corpus.Options{Events: 1500, Seed: 10})
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the same options gave another corpus:\n%s", diff)
	}
	if cmp.Equal(first, other) {
		t.Error("another seed gave the same corpus")
	}
}

// tree writes a corpus and returns what lies in the folder.
func tree(t *testing.T, o corpus.Options) map[string]string {
	t.Helper()
	dir := t.TempDir()
	sum, err := corpus.Write(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		files[rel] = fmt.Sprintf("%d bytes, %x", len(b), b[max(0, len(b)-8):])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != sum.Files || sum.Events != o.Events {
		t.Fatalf("wrote %d files, summary says %+v", len(files), sum)
	}
	return files
}

func BenchmarkFiles(b *testing.B) {
	for b.Loop() {
		for f := range corpus.Files(corpus.Options{Events: 2000}) {
			b.SetBytes(int64(len(f.Body)))
		}
	}
}
