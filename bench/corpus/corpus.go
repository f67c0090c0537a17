// Package corpus generates CloudTrail log files for tests and benchmarks: any number of events, the same for the same
// seed, with records shaped as AWS writes them.
//
// Records are 0.8 to 4 KB of JSON (1.3 KB on average), 50 to 500 a file, of many services, accounts, Regions and days,
// about 15 % of them calls of AI services; files are named and laid out as CloudTrail lays out a bucket. Everything in
// them is made up: account numbers are AWS's documentation ones, names end in example.com, addresses are from the
// documentation ranges.
//
// A corpus is a function of its Options: file n can be made without the files before it, so that tests can ask for one
// file and the writer can make several at once. Two things a trail does are not imitated: no event is delivered twice,
// and no file is empty. Tests that need those, or broken files, make them from these.
package corpus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/klauspost/compress/gzip"
)

// Options choose a corpus; the zero value is a small one.
type Options struct {
	Events  int       // events in all; 0 means 1,000
	Seed    uint64    // another seed, another corpus of the same shape
	Start   time.Time // day of the first event; zero means 2026-03-01
	Days    int       // days the events are spread over; 0 means 3
	Plain   bool      // write .json instead of .json.gz
	PerFile int       // events a file; 0 means 50 to 500
}

// Summary counts what a corpus holds.
type Summary struct {
	Files   int
	Events  int
	AICalls int   // events of AI services, streams' completion records included
	JSON    int64 // bytes of the records as plain JSON
	Bytes   int64 // bytes of the files as they are written
}

// File is one log file of a corpus.
type File struct {
	Key     string // CloudTrail's layout: AWSLogs/ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/…
	Body    []byte // plain JSON: {"Records":[…]}
	Events  int
	AICalls int
}

func (o Options) withDefaults() Options {
	if o.Events == 0 {
		o.Events = 1000
	}
	if o.Days == 0 {
		o.Days = 3
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	}
	o.Start = o.Start.UTC().Truncate(24 * time.Hour)
	return o
}

// plan returns how many events each file holds.
func (o Options) plan() []int {
	rnd := rand.New(rand.NewPCG(o.Seed, 1))
	var sizes []int
	for left := o.Events; left > 0; {
		n := o.PerFile
		if n == 0 {
			u := rnd.Float64()
			n = 50 + int(450*u*u*u) // most deliveries are small
		}
		n = min(n, left)
		sizes = append(sizes, n)
		left -= n
	}
	return sizes
}

// Files yields the files of a corpus in the order of their delivery.
func Files(o Options) iter.Seq[File] {
	o = o.withDefaults()
	return func(yield func(File) bool) {
		plan := o.plan()
		for i := range plan {
			if !yield(o.file(plan, i)) {
				return
			}
		}
	}
}

// file makes file i of a plan.
func (o Options) file(plan []int, i int) File {
	g := newGenerator(o.Seed, uint64(i))
	span := time.Duration(o.Days) * 24 * time.Hour
	slot := span / time.Duration(len(plan))
	begin := o.Start.Add(time.Duration(i) * slot)
	delivered := begin.Add(10 * time.Minute).Truncate(5 * time.Minute)
	f := File{Events: plan[i]}
	f.Key = cloudtrail.Key{
		Account: g.account, Kind: cloudtrail.KindLog, Region: g.region, Time: delivered, Unique: g.text("{alnum16}"), Plain: o.Plain,
	}.String()
	f.Body, f.AICalls = g.body(plan[i], begin)
	return f
}

// Write writes a corpus below dir and returns what it holds. It uses all cores and a few megabytes.
func Write(dir string, o Options) (Summary, error) {
	o = o.withDefaults()
	plan := o.plan()
	var (
		mu    sync.Mutex
		sum   Summary
		first error
		next  int
		wg    sync.WaitGroup
	)
	claim := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= len(plan) && first == nil
	}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i, ok := claim(); ok; i, ok = claim() {
				f := o.file(plan, i)
				n, err := f.write(dir, o.Plain)
				mu.Lock()
				if err != nil && first == nil {
					first = err
				}
				sum.add(f, n)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if first != nil {
		return Summary{}, fmt.Errorf("writing a corpus: %w", first)
	}
	return sum, nil
}

// Keep writes a corpus to the folder corpus below dir, unless an earlier call left the same one there. dir/corpus.json
// tells which.
func Keep(dir string, o Options) (Summary, error) {
	o = o.withDefaults()
	var kept struct {
		Options Options
		Summary Summary
	}
	note, below := filepath.Join(dir, "corpus.json"), filepath.Join(dir, "corpus")
	if b, err := os.ReadFile(note); err == nil && json.Unmarshal(b, &kept) == nil && kept.Options == o {
		return kept.Summary, nil
	}
	if err := errors.Join(os.RemoveAll(note), os.RemoveAll(below), os.MkdirAll(below, 0o755)); err != nil {
		return Summary{}, err
	}
	sum, err := Write(below, o)
	if err != nil {
		return sum, err
	}
	kept.Options, kept.Summary = o, sum
	b, err := json.Marshal(kept)
	if err != nil {
		return sum, err
	}
	return sum, os.WriteFile(note, b, 0o644)
}

func (s *Summary) add(f File, written int64) {
	s.Files++
	s.Events += f.Events
	s.AICalls += f.AICalls
	s.JSON += int64(len(f.Body))
	s.Bytes += written
}

func (f File) write(dir string, plain bool) (int64, error) {
	body := f.Body
	if !plain {
		var err error
		if body, err = Gzip(f.Body); err != nil {
			return 0, err
		}
	}
	name := filepath.Join(dir, filepath.FromSlash(f.Key))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return 0, err
	}
	return int64(len(body)), os.WriteFile(name, body, 0o644)
}

// Gzip returns b as one gzip member.
func Gzip(b []byte) ([]byte, error) {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
