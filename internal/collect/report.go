package collect

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
)

// ErrNoLogFiles means that a source holds no log file. It is wrapped by *NoLogFilesError.
var ErrNoLogFiles = errors.New("no log files")

// NoLogFilesError names a source in which no log file was found, and what was found there.
type NoLogFilesError struct {
	Source  string
	Digests int64 // digest files in the source
	Other   int64 // objects that are neither log files nor digests
}

func (e *NoLogFilesError) Error() string {
	switch {
	case e.Digests+e.Other == 0:
		return fmt.Sprintf("no log files in %q: it holds no objects; CloudTrail delivers log files below AWSLogs/", e.Source)
	case e.Other == 0:
		return fmt.Sprintf("no log files in %q: it holds %d digest files only; log files are beside CloudTrail-Digest/, below CloudTrail/", e.Source, e.Digests)
	}
	return fmt.Sprintf("no log files in %q: none of its %d objects is a CloudTrail log file (.json or .json.gz with a list of Records)", e.Source, e.Digests+e.Other)
}

// Unwrap returns ErrNoLogFiles.
func (e *NoLogFilesError) Unwrap() error { return ErrNoLogFiles }

// ListLimit is how many entries each list in a Report holds at most; the counts beside them count all.
const ListLimit = 1000

// Report is what a run did. Log files count when the commit that brings them has succeeded: after an error or a
// cancelled context it tells what is in the lake.
type Report struct {
	Sources     []SourceReport                 `json:"sources"`
	Found       int64                          `json:"found"`       // log files: collected, skipped, quarantined and failed ones
	Collected   int64                          `json:"collected"`   // log files that this run brought into the lake
	Skipped     int64                          `json:"skipped"`     // log files that the lake had already
	Quarantined int64                          `json:"quarantined"` // log files that this run put into quarantine
	Failed      int64                          `json:"failed"`      // objects and listings that couldn't be read; see Errors
	Digests     int64                          `json:"digests"`     // digest files
	Other       int64                          `json:"other"`       // objects that are neither log files nor digests
	Events      int64                          `json:"events"`      // rows of events that this run brought into the lake
	Invocations int64                          `json:"invocations"` // rows of invocations that it brought
	Duplicates  int64                          `json:"duplicates"`  // events and invocations left out because the lake had them from another log file
	AICalls     int64                          `json:"ai_calls"`    // calls of AI services in the collected log files
	Bytes       int64                          `json:"bytes"`       // of the collected log files as they are stored
	Inflated    int64                          `json:"inflated"`    // bytes of the collected log files' JSON
	First       time.Time                      `json:"first,omitzero"`
	Last        time.Time                      `json:"last,omitzero"` // earliest and latest eventTime collected
	Kinds       map[cloudtrail.Kind]*KindCount `json:"kinds"`         // of the collected log files
	Quarantine  []QuarantinedFile              `json:"quarantine"`
	Errors      []ObjectError                  `json:"errors"`
	Elapsed     time.Duration                  `json:"elapsed_ns"`
}

// SourceReport is what a source held.
type SourceReport struct {
	Source   string `json:"source"`
	Found    int64  `json:"found"` // log files
	Digests  int64  `json:"digests"`
	Other    int64  `json:"other"`
	Failed   int64  `json:"failed"`   // objects and listings that couldn't be read
	Repeated int64  `json:"repeated"` // objects that a source before this one holds too; counted there
}

// KindCount counts collected log files of a kind and the records in them.
type KindCount struct {
	Files  int64 `json:"files"`
	Events int64 `json:"events"`
}

// QuarantinedFile is a log file that couldn't be decoded whole.
type QuarantinedFile struct {
	Object string `json:"object"` // URL
	Reason string `json:"reason"`
}

// ObjectError is an object, or a listing, that couldn't be read.
type ObjectError struct {
	Object string `json:"object"` // URL; of a listing, that of the source
	Cause  string `json:"cause"`
	Err    error  `json:"-"`
}

// Progress tells how far a run is.
type Progress struct {
	Listed  bool  // listing has ended: Objects is final
	Objects int64 // objects found so far
	Done    int64 // of them, those that are dealt with
	Events  int64 // events read so far
	Bytes   int64 // bytes read so far, as stored
}

// tally is what one log file, or the log files of a batch, add to a Report once they are committed.
type tally struct {
	files, quarantined int64
	bytes, inflated    int64
	first, last        time.Time
	kinds              map[cloudtrail.Kind]*KindCount
	quarantine         []QuarantinedFile
	done               []func(error) // called with nil once all this is in the lake
}

func (t *tally) add(u *tally) {
	t.files += u.files
	t.quarantined += u.quarantined
	t.bytes += u.bytes
	t.inflated += u.inflated
	t.span(u.first, u.last)
	for kind, n := range u.kinds {
		t.kind(kind, n.Files, n.Events)
	}
	t.quarantine = append(t.quarantine, u.quarantine...)
	t.done = append(t.done, u.done...)
}

// span widens the span of event times; zero times don't.
func (t *tally) span(first, last time.Time) {
	t.first, t.last = widen(t.first, t.last, first, last)
}

func widen(first, last, from, to time.Time) (time.Time, time.Time) {
	if !from.IsZero() && (first.IsZero() || from.Before(first)) {
		first = from
	}
	if to.After(last) {
		last = to
	}
	return first, last
}

func (t *tally) kind(kind cloudtrail.Kind, files, events int64) {
	if t.kinds == nil {
		t.kinds = map[cloudtrail.Kind]*KindCount{}
	}
	count(t.kinds, kind, files, events)
}

func count(kinds map[cloudtrail.Kind]*KindCount, kind cloudtrail.Kind, files, events int64) {
	n := kinds[kind]
	if n == nil {
		n = &KindCount{}
		kinds[kind] = n
	}
	n.Files += files
	n.Events += events
}

// committed adds a batch to the report. Log files that another collector brought meanwhile count as skipped; their
// bytes and times stay counted as this run's.
func (r *Report) committed(t *tally, res lake.Result) {
	r.Collected += int64(res.Files - res.Quarantined)
	r.Quarantined += int64(res.Quarantined)
	r.Skipped += int64(res.Skipped)
	r.Events += res.Events
	r.Invocations += res.Invocations
	r.Duplicates += res.Duplicates
	r.AICalls += res.Calls
	r.Bytes += t.bytes
	r.Inflated += t.inflated
	r.First, r.Last = widen(r.First, r.Last, t.first, t.last)
	for kind, n := range t.kinds {
		count(r.Kinds, kind, n.Files, n.Events)
	}
	room := max(0, ListLimit-len(r.Quarantine))
	r.Quarantine = append(r.Quarantine, t.quarantine[:min(room, len(t.quarantine))]...)
}

// clone returns a copy that doesn't change any more.
func (r *Report) clone() Report {
	c := *r
	c.Sources, c.Quarantine, c.Errors = slices.Clone(r.Sources), slices.Clone(r.Quarantine), slices.Clone(r.Errors)
	c.Kinds = make(map[cloudtrail.Kind]*KindCount, len(r.Kinds))
	for kind, n := range r.Kinds {
		c.Kinds[kind] = &KindCount{n.Files, n.Events}
	}
	return c
}
