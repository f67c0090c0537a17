package lake

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
)

// metadataText writes the text of tables' metadata. A commit changes little of it, and most of it is snapshots, of which a day of
// small commits makes hundreds; they never change, so the text of each is kept from one commit to the next.
type metadataText struct {
	mu        sync.Mutex
	snapshots map[uuid.UUID]map[int64][]byte // by table and snapshot
}

// withoutSnapshots is the rest of a table's metadata of Iceberg's version 2.
type withoutSnapshots struct {
	FormatVersion      int                             `json:"format-version"`
	TableUUID          uuid.UUID                       `json:"table-uuid"`
	Location           string                          `json:"location"`
	LastSequenceNumber int64                           `json:"last-sequence-number"`
	LastUpdated        int64                           `json:"last-updated-ms"`
	LastColumnID       int                             `json:"last-column-id"`
	Schemas            []*iceberg.Schema               `json:"schemas"`
	CurrentSchemaID    int                             `json:"current-schema-id"`
	PartitionSpecs     []iceberg.PartitionSpec         `json:"partition-specs"`
	DefaultSpecID      int                             `json:"default-spec-id"`
	LastPartitionID    *int                            `json:"last-partition-id,omitempty"`
	Properties         iceberg.Properties              `json:"properties,omitempty"`
	CurrentSnapshotID  *int64                          `json:"current-snapshot-id,omitempty"`
	SnapshotLog        []table.SnapshotLogEntry        `json:"snapshot-log,omitempty"`
	MetadataLog        []table.MetadataLogEntry        `json:"metadata-log,omitempty"`
	SortOrders         []table.SortOrder               `json:"sort-orders"`
	DefaultSortOrderID int                             `json:"default-sort-order-id"`
	Refs               map[string]table.SnapshotRef    `json:"refs,omitempty"`
	Statistics         []table.StatisticsFile          `json:"statistics,omitempty"`
	PartitionStats     []table.PartitionStatisticsFile `json:"partition-statistics,omitempty"`
}

// encode returns the text of metadata: the same value as json.Marshal's.
func (w *metadataText) encode(meta table.Metadata) ([]byte, error) {
	if meta.Version() != 2 { // another program made it so
		return json.Marshal(meta)
	}
	rest := withoutSnapshots{
		FormatVersion: meta.Version(), TableUUID: meta.TableUUID(), Location: meta.Location(),
		LastSequenceNumber: meta.LastSequenceNumber(), LastUpdated: meta.LastUpdatedMillis(), LastColumnID: meta.LastColumnID(),
		Schemas: meta.Schemas(), CurrentSchemaID: meta.CurrentSchema().ID,
		PartitionSpecs: meta.PartitionSpecs(), DefaultSpecID: meta.DefaultPartitionSpec(), LastPartitionID: meta.LastPartitionSpecID(),
		Properties:  meta.Properties(),
		SnapshotLog: slices.Collect(meta.SnapshotLogs()), MetadataLog: slices.Collect(meta.PreviousFiles()),
		SortOrders: meta.SortOrders(), DefaultSortOrderID: meta.DefaultSortOrder(), Refs: map[string]table.SnapshotRef{},
		Statistics: slices.Collect(meta.Statistics()), PartitionStats: slices.Collect(meta.PartitionStatistics()),
	}
	for name, ref := range meta.Refs() {
		rest.Refs[name] = ref
	}
	if s := meta.CurrentSnapshot(); s != nil {
		rest.CurrentSnapshotID = &s.SnapshotID
	}
	text, err := json.Marshal(rest)
	if err != nil {
		return nil, err
	}
	snapshots, err := w.snapshotTexts(meta)
	if err != nil || len(snapshots) == 0 {
		return text, err
	}
	text = append(text[:len(text)-1], `,"snapshots":[`...)
	text = append(text, bytes.Join(snapshots, []byte{','})...)
	return append(text, "]}"...), nil
}

// snapshotTexts returns the texts of a table's snapshots, and forgets those that it doesn't have any more.
func (w *metadataText) snapshotTexts(meta table.Metadata) (texts [][]byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known, kept := w.snapshots[meta.TableUUID()], map[int64][]byte{}
	for _, s := range meta.Snapshots() {
		text, ok := known[s.SnapshotID]
		if !ok {
			if text, err = json.Marshal(s); err != nil {
				return nil, err
			}
		}
		kept[s.SnapshotID] = text
		texts = append(texts, text)
	}
	if w.snapshots == nil {
		w.snapshots = map[uuid.UUID]map[int64][]byte{}
	}
	w.snapshots[meta.TableUUID()] = kept
	return texts, nil
}
