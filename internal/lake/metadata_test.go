package lake_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/iceberg-go/table"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/lake"
)

// everyField is metadata with all that the specification has in version 2.
const everyField = `{
  "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "s3://b/<&>/t", "last-sequence-number": 34,
  "last-updated-ms": 1602638573590, "last-column-id": 3, "current-schema-id": 1, "default-spec-id": 0, "last-partition-id": 1000, "default-sort-order-id": 3,
  "schemas": [
    {"type": "struct", "schema-id": 0, "identifier-field-ids": [], "fields": [{"id": 1, "name": "x", "required": true, "type": "long"}]},
    {"type": "struct", "schema-id": 1, "identifier-field-ids": [1, 2], "fields": [
      {"id": 1, "name": "x", "required": true, "type": "long"}, {"id": 2, "name": "y", "required": true, "type": "long", "doc": "a \"comment\""},
      {"id": 3, "name": "z", "required": false, "type": "timestamptz"}]}],
  "partition-specs": [{"spec-id": 0, "fields": [{"name": "x", "transform": "identity", "source-id": 1, "field-id": 1000}]}],
  "sort-orders": [{"order-id": 3, "fields": [{"transform": "identity", "source-id": 2, "direction": "asc", "null-order": "nulls-first"}]}],
  "properties": {"aitrail.format-version": "3", "read.split.target.size": "134217728"},
  "current-snapshot-id": 3055729675574597004,
  "snapshots": [
    {"snapshot-id": 3051729675574597004, "timestamp-ms": 1515100955770, "sequence-number": 0, "summary": {"operation": "append"}, "manifest-list": "s3://a/b/1.avro"},
    {"snapshot-id": 3055729675574597004, "parent-snapshot-id": 3051729675574597004, "timestamp-ms": 1555100955770, "sequence-number": 1,
     "summary": {"operation": "overwrite", "total-records": "5", "text": "<\"&\u2028>"}, "manifest-list": "s3://a/b/2.avro", "schema-id": 1}],
  "snapshot-log": [{"snapshot-id": 3051729675574597004, "timestamp-ms": 1515100955770}, {"snapshot-id": 3055729675574597004, "timestamp-ms": 1555100955770}],
  "metadata-log": [{"metadata-file": "s3://b/v1.json", "timestamp-ms": 1515100955770}],
  "refs": {"main": {"snapshot-id": 3055729675574597004, "type": "branch"},
    "old": {"snapshot-id": 3051729675574597004, "type": "tag", "max-ref-age-ms": 10000000},
    "side": {"snapshot-id": 3051729675574597004, "type": "branch", "min-snapshots-to-keep": 2, "max-snapshot-age-ms": 5}},
  "statistics": [{"snapshot-id": 3055729675574597004, "statistics-path": "s3://a/b/stats.puffin", "file-size-in-bytes": 413, "file-footer-size-in-bytes": 42,
    "blob-metadata": [{"type": "apache-datasketches-theta-v1", "snapshot-id": 3055729675574597004, "sequence-number": 1, "fields": [1], "properties": {"ndv": "5"}}]}],
  "partition-statistics": [{"snapshot-id": 3055729675574597004, "statistics-path": "s3://a/b/p.parquet", "file-size-in-bytes": 43}]
}`

// TestMetadataText compares the text of metadata with Iceberg's library's.
func TestMetadataText(t *testing.T) {
	texts := map[string][]byte{"every field": []byte(everyField)}
	dir := t.TempDir()
	l := create(t, dir)
	for _, f := range first {
		commit(t, l, f)
	}
	if _, err := l.Maintain(ctx, lake.Maintenance{}); err != nil {
		t.Fatal(err)
	}
	versions, err := filepath.Glob(filepath.Join(dir, "*", "metadata", "v*.metadata.json"))
	if err != nil || len(versions) < 6 {
		t.Fatal(versions, err)
	}
	for _, name := range versions {
		if texts[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range texts {
		meta, err := table.ParseMetadataBytes(text)
		if err != nil {
			t.Fatal(name, err)
		}
		library, err := json.Marshal(meta)
		if err != nil {
			t.Fatal(name, err)
		}
		ours, err := lake.EncodeMetadata(meta)
		if err != nil {
			t.Fatal(name, err)
		}
		want := jsonValue(t, library)
		for _, got := range ours {
			if diff := cmp.Diff(want, jsonValue(t, got)); diff != "" {
				t.Errorf("%s (-library +ours):\n%s", name, diff)
			}
		}
		if diff := cmp.Diff(jsonValue(t, text), jsonValue(t, ours[0])); diff != "" {
			t.Errorf("%s isn't what was read (-read +ours):\n%s", name, diff)
		}
	}
}

func jsonValue(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
