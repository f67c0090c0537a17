package lake

import (
	"context"
	"errors"
	"iter"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

var errNotYet = errors.New("lake: being written")

// Lake is an open lake. It is safe for concurrent use.
type Lake struct{ dir string }

// Open opens the lake in a folder. It returns ErrNoLake when there is none (and Create isn't set), *VersionError when
// it was written by a newer version.
func Open(ctx context.Context, dir string, opts Options) (*Lake, error) { return nil, errNotYet }

// Close releases what the lake holds in memory. Batches not committed are lost; see Batch.Discard.
func (l *Lake) Close() error { return nil }

// Dir returns the lake's folder, absolute.
func (l *Lake) Dir() string { return l.dir }

// Collected tells whether the log file is in the lake, collected or in quarantine. It asks memory, not the disk, but
// for the first call and after commits of this process; a log file that another process collected meanwhile may be
// reported as not collected: Commit drops it then.
func (l *Lake) Collected(ctx context.Context, object string, size int64, etag string) (bool, error) {
	return false, errNotYet
}

// Files returns the current snapshot of a table: what a reader has to read to see each row once.
func (l *Lake) Files(ctx context.Context, table string) (Snapshot, error) {
	return Snapshot{}, errNotYet
}

// LogFiles yields the rows of log_files in the order they were collected.
func (l *Lake) LogFiles(ctx context.Context) iter.Seq2[LogFile, error] {
	return func(yield func(LogFile, error) bool) { yield(LogFile{}, errNotYet) }
}

// ReadEvents yields the events that the filter chooses, by day. Stopping early is fine.
func (l *Lake) ReadEvents(ctx context.Context, f EventFilter) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) { yield(Stored{}, errNotYet) }
}

// SetVerdicts sets the verdicts of log files; objects that aren't in the lake are ignored. It returns how many rows
// changed. Durable on return; may be repeated.
func (l *Lake) SetVerdicts(ctx context.Context, verdicts []Verdict) (int, error) { return 0, errNotYet }

// NewBatch begins a batch: log files whose events go into the lake by one commit.
func (l *Lake) NewBatch() *Batch { return &Batch{} }

// Batch collects log files. Its methods are safe for concurrent use; each File belongs to one goroutine at a time.
// Events of several files are encoded in the goroutines that add them, so reading files in parallel writes in parallel.
type Batch struct{}

// File begins a log file of the batch. It must be ended by Done, Quarantine or Drop before Commit.
func (b *Batch) File(f LogFile) *File { return &File{} }

// Len returns the events that the batch holds so far: a caller commits when it is large enough (some 100,000s).
func (b *Batch) Len() int64 { return 0 }

// Commit ends the batch: all its files and their events are in the lake, and on disk, when it returns nil. When it returns an
// error none of them is, or all are (the error came after the commit took effect): Commit may be called again until it
// returns nil, which never adds anything twice; or the batch may be given up by Discard and the log files collected anew.
func (b *Batch) Commit(ctx context.Context) (Result, error) { return Result{}, errNotYet }

// Discard gives the batch up and removes what it wrote. After a Commit that returned nil it does nothing.
func (b *Batch) Discard() error { return nil }

// Result tells what a commit brought.
type Result struct {
	Batch       string
	Files       int   // log files, quarantined ones included
	Skipped     int   // log files that another collector had brought meanwhile
	Quarantined int   // of Files
	Events      int64 // rows added
	Duplicates  int64 // events dropped because the lake had them
}

// File is a log file being added to a batch.
type File struct{}

// Event adds an event; index is its place in the log file, from 0. The event's strings are kept, not copied. Errors
// are those of writing (disk full): the file must then be ended by Drop.
func (f *File) Event(e *cloudtrail.Event, index int) error { return errNotYet }

// Done ends the file: its events will be committed with the batch. SHA256 and what else is known only after reading
// the file may be set by then: edit is called with the file's row, unless nil.
func (f *File) Done(edit func(*LogFile)) error { return errNotYet }

// Quarantine ends the file without its events: only its row, with the reason, will be committed.
func (f *File) Quarantine(reason string, edit func(*LogFile)) error { return errNotYet }

// Drop ends the file and leaves it out of the batch. After Done or Quarantine it does nothing, so it may be deferred.
func (f *File) Drop() {}

// Call is the normal form of an event; see Normalize.
type Call struct {
	AIService       string // the catalog's key: "bedrock"; "" for events of other services, whose other fields but Actor, ActorKind, Client and Outcome are empty too
	OperationClass  string // inference, retrieval, agent, training, configuration, access, other
	ModelID         string // base model behind profiles and ARNs where it can be known: "anthropic.claude-sonnet-4-5-20250929-v1:0"
	InferenceRegion string // where the model ran; the event's Region unless the record says otherwise
	Actor           string // who really called
	ActorKind       string // root, user, role, federated, service, api_key, anonymous, account, unknown
	Client          string // console, cli, sdk/python, sdk/go, …, terraform, pulumi, cloudformation, service, browser, other
	Outcome         string // ok, denied, throttled, invalid, error
	InputTokens     int64  // -1 when the record doesn't tell
	OutputTokens    int64  // -1 when the record doesn't tell
	GuardrailID     string
	CallRole        string // primary (one a call), completion (the end of a stream), copy (data event copy of a management event), network, insight, …; "" for events of other services
	ParentRequestID string // of completions: the requestID of the call
}

// Normalize computes the normal form of an event from the catalog.
func Normalize(e *cloudtrail.Event) Call { return Call{} }
