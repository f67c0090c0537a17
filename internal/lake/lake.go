package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// Version is the version of the tables' format that this package writes. It stands in the tables' properties.
const Version = 3

// Names of the tables.
const (
	Events      = "events"
	LogFiles    = "log_files"
	Invocations = "invocations"
	Digests     = "digests"
)

// Tables returns the names of all tables.
func Tables() []string { return []string{Events, LogFiles, Invocations, Digests} }

// byDay tells whether a table is partitioned by day.
func byDay(name string) bool { return name == Events || name == Invocations }

// ErrNoLake is returned for a folder that holds no lake.
var ErrNoLake = errors.New("no lake")

// ErrReadOnly is returned by writes to a lake that was opened with Options.ReadOnly.
var ErrReadOnly = errors.New("lake opened for reading only")

// ErrConflict is returned by commits that can't be decided: another collector put a log file of the batch into
// quarantine. The batch must be discarded; its other log files can be collected again.
var ErrConflict = errors.New("conflict with another collector")

// VersionError is returned for a lake whose format is newer than this package's.
type VersionError struct {
	Dir           string
	Have, Support int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("lake %s has format version %d; this program knows versions up to %d", e.Dir, e.Have, e.Support)
}

// ErrStale is returned by commits of batches that were begun too long ago, or whose files are gone: maintenance takes
// what lies about for an orphan. The batch must be discarded; its log files can be collected again.
var ErrStale = errors.New("the batch was left too long")

// batchAge is how old a batch may be that is committed. It is much less than the age of orphans that are removed.
const batchAge = 6 * time.Hour

// Options for Open. The zero value opens an existing lake for reading and writing.
type Options struct {
	Create   bool             // make the lake if there is none
	ReadOnly bool             // refuse writes
	Now      func() time.Time // the clock; time.Now when nil
	Log      *slog.Logger     // nothing is logged when nil
	Cache    string           // folder for files of lakes in buckets; "aitrail" in the user's cache folder when ""

	// Of tests.
	fault   func(step, name string, after bool) error // see disk
	backoff time.Duration                             // the longest pause before a request to AWS is made again; usual when 0
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

	RetentionDays int     // how long rows are kept; 0 for ever
	Expired       Expired // what retention took out
}

// DataFile is a Parquet file of a table.
type DataFile struct {
	Path        string    // of the file system, or a URL
	Local       string    // where the file is, or is after Fetch
	Day         time.Time // midnight UTC of its events' day; zero for log_files and for events without a time
	Rows, Bytes int64
	First, Last time.Time // bounds of eventTime; zero in log_files

	Whole bool                  // it has every column of the table, under the table's names; others lack some, or may
	Texts map[string]TextBounds // of columns of events; a column that isn't in it can have any values
}

// TextBounds are the bounds of a file's values of a column. They may be shortened, so values needn't reach them.
type TextBounds struct {
	Low, High string // "": none
	Null      bool   // the file has no value of the column
}

// May tells whether the file may have a value.
func (b TextBounds) May(value string) bool {
	return !b.Null && b.Low <= value && (b.High == "" || value <= b.High)
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

// Lake is an open lake. It is safe for concurrent use.
type Lake struct {
	d, scratch    *disk
	opts          Options
	now           func() time.Time
	log           *slog.Logger
	catalog       tableCatalog // nil when the files tell the tables' versions
	name          string       // its URL, in a catalog
	events, files versions
	sides         map[string]versions // tables besides; see pending

	mu        sync.Mutex
	manifests map[string][]DataFile // by path
	collected map[fileKey]string    // statuses of the log files in the lake; nil until asked for
	read      map[string]struct{}   // the files of log_files that collected was made of
	known     bool                  // collected is complete
	first     sync.Mutex            // held while collected is read for the first time
	keys      keyCache
	chunks    map[string][]*chunk // by table, not in use
}

// Open opens the lake in a folder, at a URL "s3://bucket/prefix", or in a catalog: "glue://database" in AWS Glue,
// "rest+https://host/path?namespace=name" in an Iceberg REST catalog, both with "location=s3://bucket/prefix" in the query
// for a lake that is to be made. Credentials come from the AWS SDK's chain, and for REST catalogs from the environment
// variables AITRAIL_CATALOG_TOKEN and AITRAIL_CATALOG_CREDENTIAL. It returns ErrNoLake when there is none (and Create
// isn't set), *VersionError when it was written by a newer version. A lake of an older version is brought up to date when
// it is opened for writing.
func Open(ctx context.Context, at string, opts Options) (*Lake, error) {
	l, err := newLake(ctx, at, opts)
	if err != nil {
		return nil, fmt.Errorf("lake %s: %w", withoutSecrets(at), err)
	}
	if opts.Create && !opts.ReadOnly {
		if err := l.create(ctx); err != nil {
			return nil, fmt.Errorf("creating lake %s: %w", l.d.root, err)
		}
	}
	if err := l.open(ctx); err != nil {
		return nil, fmt.Errorf("opening lake %s: %w", l.d.root, err)
	}
	return l, nil
}

func newLake(ctx context.Context, at string, opts Options) (*Lake, error) {
	l := &Lake{
		d: &disk{fault: opts.fault}, opts: opts, now: opts.Now, log: opts.Log,
		manifests: map[string][]DataFile{}, read: map[string]struct{}{},
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := l.place(ctx, at); err != nil {
		return nil, err
	}
	l.scratch = l.d.newScratch()
	l.events, l.files = l.newVersions(Events), l.newVersions(LogFiles)
	l.sides = map[string]versions{}
	for _, name := range sideTables {
		l.sides[name] = l.newVersions(name)
	}
	return l, nil
}

// place finds out where the lake is and what knows its tables' versions.
func (l *Lake) place(ctx context.Context, at string) error {
	scheme, _, isURL := strings.Cut(at, "://")
	switch {
	case !isURL:
		root, err := filepath.Abs(at)
		if info, statErr := os.Stat(root); statErr == nil && !info.IsDir() {
			return fmt.Errorf("%s is no folder, and a lake is one", root)
		}
		l.d.root = filepath.ToSlash(root)
		return err
	case scheme == "glue" || strings.HasPrefix(scheme, "rest+"):
		return l.openCatalog(ctx, at)
	case scheme != "s3":
		return fmt.Errorf("unknown scheme %q: a lake is in a folder, at s3://BUCKET/PREFIX, in AWS Glue (glue://DATABASE) or in a REST catalog (rest+https://HOST/PATH)", scheme)
	case strings.ContainsAny(at, "?#"):
		return errors.New("a lake's URL is s3://BUCKET/PREFIX without more; one in a catalog is glue://DATABASE or rest+https://HOST/PATH")
	}
	return l.openFiles(ctx, strings.TrimRight(at, "/"))
}

// newVersions returns what knows the versions of a table.
func (l *Lake) newVersions(name string) versions {
	if l.catalog != nil {
		return &cataloged{d: l.d, c: l.catalog, name: name}
	}
	return &tableFiles{d: l.d, name: name}
}

// create makes the tables that aren't there yet; events, which makes it a lake, last.
func (l *Lake) create(ctx context.Context) error {
	if _, err := l.events.load(); !errors.Is(err, ErrNoLake) {
		return err
	}
	if l.d.remote == nil {
		if err := l.d.mkdir(l.d.root); err != nil {
			return err
		}
	}
	unlock, err := l.d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.lakeOfAnother(); err != nil {
		if _, loadErr := l.events.load(); loadErr == nil {
			return nil // somebody has just made it
		}
		return err
	}
	for _, name := range append(slices.Clone(sideTables), LogFiles, Events) {
		if err := l.createTable(name); err != nil {
			return err
		}
	}
	return nil
}

// createTable makes a table unless it is there.
func (l *Lake) createTable(name string) error {
	meta, err := l.d.newTable(name)
	if err != nil {
		return err
	}
	return l.versions(name).create(meta)
}

// versions returns where the versions of a table are.
func (l *Lake) versions(name string) versions {
	switch name {
	case Events:
		return l.events
	case LogFiles:
		return l.files
	}
	return l.sides[name]
}

// table reads the current version of a table.
func (l *Lake) table(name string) (*loaded, error) { return l.versions(name).load() }

// open reads the tables' current versions, finishes a commit that was cut off, and brings an older lake up to date.
func (l *Lake) open(ctx context.Context) error {
	events, files, err := l.refresh()
	if err != nil {
		return err
	}
	old := events.formatVersion() < Version || files.formatVersion() < Version
	if l.opts.ReadOnly || !old && !events.pending().missing(files) {
		return nil
	}
	unlock, err := l.d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, _, err = l.repair(ctx); err != nil {
		return err
	}
	return l.upgrade(ctx)
}

// refresh reads the tables' current versions. They belong together: log_files has what events says, but for the last
// batch at most. For that, log_files must not change while events is read, since every batch changes it in the end.
func (l *Lake) refresh() (events, files *loaded, err error) {
	if files, err = l.files.load(); err != nil {
		return nil, nil, err
	}
	for {
		if events, err = l.events.load(); err != nil {
			return nil, nil, err
		}
		again, err := l.files.load()
		if err != nil {
			return nil, nil, err
		}
		if again == files {
			return events, files, nil
		}
		files = again
	}
}

// refreshed reads the tables as refresh does, and one of them. It is nil when there is no such table: a lake of an older version has
// no side tables.
func (l *Lake) refreshed(name string) (events, files, t *loaded, err error) {
	if name == Events || name == LogFiles {
		if events, files, err = l.refresh(); err != nil {
			return nil, nil, nil, err
		}
		return events, files, map[string]*loaded{Events: events, LogFiles: files}[name], nil
	}
	for {
		before, err := l.table(name)
		if err != nil && !errors.Is(err, ErrNoLake) {
			return nil, nil, nil, err
		}
		if events, files, err = l.refresh(); err != nil {
			return nil, nil, nil, err
		}
		if t, err = l.table(name); err != nil && !errors.Is(err, ErrNoLake) {
			return nil, nil, nil, err
		}
		if t == before {
			return events, files, t, nil
		}
	}
}

// Close releases what the lake holds in memory. Batches not committed are lost; see Batch.Discard.
func (l *Lake) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.chunks, l.manifests, l.collected, l.keys = nil, map[string][]DataFile{}, nil, keyCache{}
	l.read, l.known = map[string]struct{}{}, false
	return nil
}

// Dir returns where the lake's files are: a folder, absolute, or the URL of a place in a bucket.
func (l *Lake) Dir() string { return l.d.root }

// Name returns what the lake is called: its URL if it is in a catalog, without credentials, and else what Dir returns.
func (l *Lake) Name() string { return cmp.Or(l.name, l.d.root) }

// SideDir returns a folder for files beside the tables that may be lost: the lake's, or for a lake in a bucket one of this
// computer.
func (l *Lake) SideDir() string {
	if l.d.remote != nil {
		return l.d.remote.cache
	}
	return l.d.root
}

func (l *Lake) dataDir(table string) string { return join(l.d.root, table, "data") }

func (l *Lake) metadataDir(table string) string { return join(l.d.root, table, "metadata") }

// Fetch brings the files of a snapshot to where their Local says: those of a bucket, unless they are there already.
func (l *Lake) Fetch(ctx context.Context, files []DataFile) error {
	if l.d.remote == nil {
		return nil
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
	}
	if err := l.d.remote.fetchAll(ctx, paths); err != nil {
		return fmt.Errorf("fetching files of lake %s: %w", l.d.root, err)
	}
	return nil
}

// remove removes files that no table has; what can't be removed stays as an orphan.
func remove(files []*dataFile) {
	for _, f := range files {
		_ = f.d.Remove(f.path)
	}
}

// idleChunks is how many chunks are kept for the next batch.
const idleChunks = 4

func (l *Lake) chunk(table string) *chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.chunks[table]); n > 0 {
		c := l.chunks[table][n-1]
		l.chunks[table] = l.chunks[table][:n-1]
		return c
	}
	return newChunk(table)
}

func (l *Lake) recycle(c *chunk) {
	c.clear()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.chunks[c.table]) < idleChunks && c.size() <= 2*chunkBytes {
		if l.chunks == nil {
			l.chunks = map[string][]*chunk{}
		}
		l.chunks[c.table] = append(l.chunks[c.table], c)
	}
}
