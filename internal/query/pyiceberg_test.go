package query_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

// readWithPyIceberg prints the rows and the columns' types of a table, given its metadata file, as PyIceberg sees them.
const readWithPyIceberg = `
import sys, json, datetime, uuid
from pyiceberg.table import StaticTable
def plain(v):
    if isinstance(v, datetime.datetime):
        return v.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(v, (bytes, bytearray)):
        return str(uuid.UUID(bytes=bytes(v)))
    if isinstance(v, uuid.UUID):
        return str(v)
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    return v
t = StaticTable.from_metadata(sys.argv[1])
rows = [plain(r) for r in t.scan().to_arrow().to_pylist()]
few = t.scan(row_filter="ai_service == 'bedrock'").to_arrow().num_rows if sys.argv[2] == "events" else 0
print(json.dumps({"rows": rows, "bedrock": few, "types": {f.name: str(f.field_type) for f in t.schema().fields}}))
`

// pyIceberg returns a Python that has PyIceberg: $AITRAIL_PYICEBERG, or python3.
func pyIceberg(t *testing.T) string {
	t.Helper()
	python := os.Getenv("AITRAIL_PYICEBERG")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import pyiceberg, pyarrow").Run(); err != nil {
		t.Skipf("SKIPPED: %s has no pyiceberg and pyarrow (%v): set AITRAIL_PYICEBERG to a Python that has them", python, err)
	}
	return python
}

// TestPyIceberg reads both tables with an independent reader and compares each value with what a query says, before and
// after maintenance.
func TestPyIceberg(t *testing.T) {
	python := pyIceberg(t)
	l := newLake(t)
	for _, when := range []string{"as collected", "maintained"} {
		if when == "maintained" {
			if _, err := l.Maintain(ctx, lake.Maintenance{}); err != nil {
				t.Fatal(err)
			}
		}
		for table, order := range map[string]string{lake.Events: "source_object, source_index", lake.LogFiles: "object"} {
			t.Run(table+" "+when, func(t *testing.T) {
				out, err := exec.Command(python, "-c", readWithPyIceberg, metadataOf(t, l, table), table).Output()
				if err != nil {
					t.Fatalf("PyIceberg: %v", err)
				}
				var theirs struct {
					Rows    []map[string]any
					Bedrock int
					Types   map[string]string
				}
				if err := json.Unmarshal(out, &theirs); err != nil {
					t.Fatal(err)
				}
				db := open(t, l, query.Options{})
				ours := rowsAsJSON(t, db, "SELECT "+columns(table)+" FROM "+table+" ORDER BY "+order)
				byPlace := cmp.Transformer("byPlace", func(rows []map[string]any) map[string]map[string]any {
					all := map[string]map[string]any{}
					for _, r := range rows {
						key, err := json.Marshal([]any{r["source_object"], r["source_index"], r["object"], r["size"]})
						if err != nil {
							t.Fatal(err)
						}
						all[string(key)] = r
					}
					return all
				})
				for _, r := range theirs.Rows {
					if list, ok := r["resources"].([]any); ok && len(list) == 0 {
						r["resources"] = nil // PyIceberg 0.12 makes empty lists of null ones
					}
				}
				if len(ours) == 0 || len(ours) != len(theirs.Rows) {
					t.Errorf("%d rows, PyIceberg reads %d", len(ours), len(theirs.Rows))
				}
				if diff := cmp.Diff(ours, theirs.Rows, byPlace); diff != "" {
					t.Errorf("rows (-aitrail +PyIceberg):\n%s", diff)
				}
				for _, c := range lake.Columns(table) {
					if got := theirs.Types[c.Name]; got == "" || len(c.Fields) == 0 && got != c.Type {
						t.Errorf("PyIceberg says that %s is %q, want %s", c.Name, got, c.Type)
					}
				}
				if table == lake.Events {
					n := rowsAsJSON(t, db, "SELECT count(*) AS n FROM events WHERE ai_service = 'bedrock'")[0]["n"]
					if n != float64(theirs.Bedrock) {
						t.Errorf("%v events of bedrock, PyIceberg finds %d by the files' bounds", n, theirs.Bedrock)
					}
				}
			})
		}
	}
}

// columns lists the columns of a table: views may have more.
func columns(table string) string {
	var names []string
	for _, c := range lake.Columns(table) {
		names = append(names, `"`+c.Name+`"`)
	}
	return strings.Join(names, ", ")
}

// metadataOf returns the newest metadata file of a table.
func metadataOf(t *testing.T, l *lake.Lake, table string) string {
	t.Helper()
	dir := filepath.Join(l.Dir(), table, "metadata")
	hint, err := os.ReadFile(filepath.Join(dir, "version-hint.text"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(hint)))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "v"+strconv.Itoa(n)+".metadata.json")
}

func rowsAsJSON(t *testing.T, db *query.DB, text string) (all []map[string]any) {
	t.Helper()
	rows, err := db.Query(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		row := map[string]any{}
		for i, v := range rows.Values() {
			var plain any
			if err := json.Unmarshal(query.AppendJSON(nil, v), &plain); err != nil {
				t.Fatal(err)
			}
			row[rows.Columns()[i].Name] = plain
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
