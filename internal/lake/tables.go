package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	_ "github.com/aitrail/aitrail/internal/lake/nosubstrait" // a quicker start
)

// Properties of the tables.
const (
	propVersion = "aitrail.format-version"
	// propBatch is, in events, the last batch committed and the data of other tables that goes with it (see pending), and in
	// the others the last of those that they have taken over.
	propBatch = "aitrail.batch"
	// summaryBatch is, in the summary of a snapshot, the batch that it brought.
	summaryBatch = "aitrail.batch"
	// summaryMaintenance is, in the summary of a snapshot, what maintenance did: compaction, or expiry.
	summaryMaintenance = "aitrail.maintenance"
	// propRetention is how many days a table's rows are kept; absent for ever.
	propRetention = "aitrail.retention-days"
	// propVectorized tells Spark to read row by row: Iceberg's vectorized reader, until 1.10 at least, doesn't know the encoding
	// of texts (DELTA_LENGTH_BYTE_ARRAY), and fails.
	propVectorized = "read.parquet.vectorization.enabled"
	// propExpired is what the last expiry took, as JSON (see Expired).
	propExpired = "aitrail.expired"
)

// Partition of tables by day, the sort order of events, and the names of their parts.
const (
	timeFieldID = 3 // eventTime of events, time of invocations
	dayFieldID  = 1000
	timeSortID  = 1
)

// dayField returns the name of the partition's field in tables by day.
func dayField(name string) string {
	if name == Invocations {
		return "time_day"
	}
	return "eventTime_day"
}

// tableFiles is one table in the layout of Iceberg's hadoop catalog: metadata/vN.metadata.json is version N of the
// table, and version-hint.text tells a recent N. It is what iceberg-go commits through.
type tableFiles struct {
	d    *disk
	name string

	mu   sync.Mutex
	last *loaded // the last version seen, or made
}

var (
	_ versions        = (*tableFiles)(nil)
	_ table.CatalogIO = (*tableFiles)(nil)
)

// versions is where the versions of a table are kept.
type versions interface {
	// load returns the current version, the same pointer as long as it is that. ErrNoLake if there is no table.
	load() (*loaded, error)
	// create makes the table, unless it is there.
	create(table.Metadata) error
}

// loaded is a version of a table.
type loaded struct {
	*table.Table
	name    string
	version int // of the hadoop catalog; 0 in others
	// commit changes the table, if it is as required: table.ErrCommitFailed otherwise.
	commit func(context.Context, []table.Requirement, []table.Update) error
}

var metadataName = regexp.MustCompile(`/v([0-9]+)\.metadata\.json$`)

func (t *tableFiles) dir(sub string) string { return join(t.d.root, t.name, sub) }

func (t *tableFiles) metadataPath(version int) string {
	return join(t.dir("metadata"), fmt.Sprintf("v%d.metadata.json", version))
}

// current finds the table's current version, 0 when there is no table. It is at least known.
func (t *tableFiles) current(known int) (int, error) {
	version := known
	if b, err := t.d.read(join(t.dir("metadata"), "version-hint.text")); err == nil {
		if hint, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			version = max(version, hint)
		}
	}
	there, err := t.has(version)
	if err != nil {
		return 0, err
	}
	if !there {
		err := t.d.list(t.dir("metadata"), func(path string, _ int64, _ time.Time) error {
			if m := metadataName.FindStringSubmatch(path); m != nil {
				n, _ := strconv.Atoi(m[1]) // digits; of a number too large the file is not ours
				version = max(version, n)
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	for version > 0 {
		if there, err = t.has(version + 1); err != nil {
			return 0, err
		}
		if !there {
			break
		}
		version++
	}
	return version, nil
}

func (t *tableFiles) has(version int) (bool, error) {
	if version == 0 {
		return false, nil
	}
	return t.d.exists(t.metadataPath(version))
}

// load implements versions.
func (t *tableFiles) load() (*loaded, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := 0
	if t.last != nil {
		known = t.last.version
	}
	version, err := t.current(known)
	switch {
	case err != nil:
		return nil, err
	case version == 0:
		return nil, fmt.Errorf("%w in %s", ErrNoLake, t.d.root)
	case version == known:
		return t.last, nil
	}
	b, err := t.d.read(t.metadataPath(version))
	if err != nil {
		return nil, err
	}
	meta, err := table.ParseMetadataBytes(b)
	if err != nil {
		return nil, fmt.Errorf("metadata %s: %w", t.metadataPath(version), err)
	}
	if err := t.d.check(t.name, meta); err != nil {
		return nil, err
	}
	if from := strings.TrimPrefix(meta.Location(), "file://"); t.d.from == "" { // while the lake is being opened
		t.d.from = strings.TrimSuffix(from, "/"+t.name)
	}
	t.last = t.version(meta, version)
	return t.last, nil
}

func (t *tableFiles) version(meta table.Metadata, version int) *loaded {
	l := newLoaded(t.d, t.name, meta, t.d.name(t.metadataPath(version)), t)
	l.version = version
	return l
}

// newLoaded returns a version of a table whose files are the disk's.
func newLoaded(d *disk, name string, meta table.Metadata, location string, c table.CatalogIO) *loaded {
	fsys := func(context.Context) (iceio.IO, error) { return d, nil }
	commit := func(ctx context.Context, reqs []table.Requirement, updates []table.Update) error {
		_, _, err := c.CommitTable(ctx, nil, reqs, updates)
		return err
	}
	return &loaded{Table: table.New(table.Identifier{name}, meta, location, fsys, c), name: name, commit: commit}
}

// meets returns table.ErrCommitFailed for a version that doesn't meet the requirements of a commit.
func (v *loaded) meets(reqs []table.Requirement) error {
	for _, r := range reqs {
		if err := r.Validate(v.Metadata()); err != nil {
			return fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
		}
	}
	return nil
}

// check tells whether a table is a lake's, and of a version that this package can read.
func (d *disk) check(name string, meta table.Metadata) error {
	switch have := meta.Properties().GetInt(propVersion, 0); {
	case have > Version:
		return &VersionError{Dir: d.root, Have: have, Support: Version}
	case have < 1:
		return fmt.Errorf("table %s in %s isn't a lake's: property %s is missing", name, d.root, propVersion)
	}
	return nil
}

// LoadTable implements table.CatalogIO.
func (t *tableFiles) LoadTable(context.Context, table.Identifier) (*table.Table, error) {
	l, err := t.load()
	if err != nil {
		return nil, err
	}
	return l.Table, nil
}

// CommitTable implements table.CatalogIO. When it returns nil the new version is durable, and so is all that it
// refers to, given that this was closed and its folder synced before.
func (t *tableFiles) CommitTable(_ context.Context, _ table.Identifier, reqs []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	base, err := t.load()
	if err != nil {
		return nil, "", err
	}
	if err := base.meets(reqs); err != nil {
		return nil, "", err
	}
	meta, err := table.UpdateTableMetadata(base.Metadata(), updates, base.MetadataLocation())
	if err != nil {
		return nil, "", err
	}
	if err := t.publish(meta, base.version+1); err != nil {
		return nil, "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.version <= base.version {
		t.last = t.version(meta, base.version+1)
	}
	return meta, t.d.name(t.metadataPath(base.version + 1)), nil
}

// publish makes meta the table's version, which must not exist yet.
func (t *tableFiles) publish(meta table.Metadata, version int) error {
	b, err := t.d.metadata.encode(meta)
	if err != nil {
		return err
	}
	if err := t.d.publish(t.metadataPath(version), b); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: version %d of table %s exists", table.ErrCommitFailed, version, t.name)
	} else if err != nil {
		return err
	}
	// Readers that find an old hint, or none, look for newer versions, so failing here changes nothing.
	_ = t.d.replace(join(t.dir("metadata"), "version-hint.text"), []byte(strconv.Itoa(version)))
	return nil
}

// create makes the table, unless it is there.
func (t *tableFiles) create(meta table.Metadata) error {
	if version, err := t.current(0); err != nil || version > 0 {
		return err
	}
	if err := t.publish(meta, 1); !errors.Is(err, table.ErrCommitFailed) { // another made it at the same time
		return err
	}
	return nil
}

// newTable returns the first metadata of a table.
func (d *disk) newTable(name string) (table.Metadata, error) {
	b, err := table.NewMetadataBuilder(2)
	if err != nil {
		return nil, err
	}
	partition, sorted := iceberg.NewPartitionSpec(), table.UnsortedSortOrder
	if byDay(name) {
		partition = iceberg.NewPartitionSpec(iceberg.PartitionField{
			SourceIDs: []int{timeFieldID}, FieldID: dayFieldID, Name: dayField(name), Transform: iceberg.DayTransform{}})
	}
	if name == Events {
		sorted, err = table.NewSortOrder(timeSortID, []table.SortField{{
			SourceIDs: []int{timeFieldID}, Transform: iceberg.IdentityTransform{}, Direction: table.SortASC, NullOrder: table.NullsFirst}})
		if err != nil {
			return nil, err
		}
	}
	err = errors.Join(
		b.SetUUID(uuid.New()),
		b.AddSchema(icebergSchema(rowTypes[name])), b.SetCurrentSchemaID(-1),
		b.AddPartitionSpec(&partition, true), b.SetDefaultSpecID(-1),
		b.AddSortOrder(&sorted), b.SetDefaultSortOrderID(-1),
		b.SetLoc(d.name(join(d.root, name))),
		b.SetProperties(iceberg.Properties{
			propVersion:                          strconv.Itoa(Version),
			table.ParquetCompressionKey:          "zstd",
			table.ManifestMergeEnabledKey:        "true",
			propVectorized:                       "false",
			table.CommitNumRetriesKey:            "0", // commits repeat what they decided upon, not only the write
			table.MetadataPreviousVersionsMaxKey: "20",
			// Without the lock that folders have, a version must not be missing while one may still be built upon it: its
			// number would be free. Maintenance removes old ones.
			table.MetadataDeleteAfterCommitEnabledKey: strconv.FormatBool(d.remote == nil),
		}),
	)
	if err != nil {
		return nil, err
	}
	return b.Build()
}
