package lake

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// Version is the version of the tables' format that this package writes. It stands in the tables' properties.
const Version = 1

// Names of the tables.
const (
	Events   = "events"
	LogFiles = "log_files"
)

// ErrNoLake is returned for a folder that holds no lake.
var ErrNoLake = errors.New("no lake")

// ErrReadOnly is returned by writes to a lake that was opened with Options.ReadOnly.
var ErrReadOnly = errors.New("lake opened for reading only")

// VersionError is returned for a lake whose format is newer than this package's.
type VersionError struct {
	Dir           string
	Have, Support int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("lake %s has format version %d; this program knows versions up to %d", e.Dir, e.Have, e.Support)
}

// Options for Open. The zero value opens an existing lake for reading and writing.
type Options struct {
	Create   bool             // make the lake if there is none
	ReadOnly bool             // refuse writes
	Now      func() time.Time // the clock; time.Now when nil
	Log      *slog.Logger     // nothing is logged when nil
}

// Statuses of a log file.
const (
	StatusCollected   = "collected"
	StatusQuarantined = "quarantined" // it couldn't be decoded; Reason says why; none of its events is in the lake
)

// Verdicts on a log file.
const (
	VerdictNone         = ""             // nobody looked yet
	VerdictVerified     = "verified"     // a valid digest names it with this content
	VerdictPending      = "pending"      // no digest covers its time yet
	VerdictUnverifiable = "unverifiable" // no digest will ever name it, or none could be checked
	VerdictFailed       = "failed"       // a digest says something else
)

// LogFile is a row of the table log_files. Object, Size and ETag together identify a log file: an object that was
// replaced by another content is another log file.
type LogFile struct {
	Object      string // URL: "s3://bucket/key", "file:///folder/file.json.gz"
	Size        int64  // bytes, as stored
	ETag        string // as the store gives it; "" for stores that have none
	SHA256      string // hex, of the stored bytes
	Kind        cloudtrail.Kind
	Account     string // from its name; "" when the name doesn't tell
	Region      string
	Events      int64     // records in it; set by Commit
	Duplicates  int64     // of Events, those that the lake had already; set by Commit
	First, Last time.Time // eventTime of its earliest and latest event; set by Commit
	CollectedAt time.Time // set by Commit
	Status      string    // collected or quarantined; set by the batch
	Reason      string    // of the quarantine
	Verdict     string    // see the Verdict constants
	VerdictNote string    // the reason for the verdict
	Batch       string    // the batch that brought it; set by Commit
}

// Verdict is what digest verification says of a log file.
type Verdict struct {
	Object  string
	Verdict string
	Note    string
}

// Snapshot is the state of a table after a commit: the files that hold its rows. The files stay readable at least
// until maintenance expires the snapshot.
type Snapshot struct {
	Table string
	ID    int64 // 0 for a table without rows
	Time  time.Time
	Rows  int64
	Bytes int64
	Files []DataFile // ordered by Day, then First
}

// DataFile is a Parquet file of a table.
type DataFile struct {
	Path        string    // of the file system
	Day         time.Time // midnight UTC of its events' day; zero for log_files and for events without a time
	Rows, Bytes int64
	First, Last time.Time // bounds of eventTime (of collectedAt in log_files)
}

// Stored is an event in the lake.
type Stored struct {
	Event  cloudtrail.Event
	Call   Call
	Object string // the log file it came from
	Index  int64  // its place in there, from 0
}

// EventFilter chooses events. The zero value chooses all.
type EventFilter struct {
	ID       string    // eventID
	From, To time.Time // From ≤ eventTime < To; a zero time is no bound
	Object   string    // the log file
}

