package lake_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/lake"
)

var update = flag.Bool("update", false, "rewrite the tables of columns in docs/formats/lake.md")

// TestDocumentedColumns keeps the tables of columns in the format's page equal to the schema.
func TestDocumentedColumns(t *testing.T) {
	const page = "../../docs/formats/lake.md"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, table := range lake.Tables() {
		begin, end := "<!-- columns of "+table+" -->\n", "<!-- end -->"
		i := strings.Index(text, begin)
		if i < 0 {
			t.Fatalf("%s has no %q", page, begin)
		}
		i += len(begin)
		j := i + strings.Index(text[i:], end)
		var want strings.Builder
		want.WriteString("| id | column | type | meaning |\n|---|---|---|---|\n")
		columnRows(&want, "", lake.Columns(table))
		if *update {
			text = text[:i] + want.String() + text[j:]
		} else if got := text[i:j]; got != want.String() {
			t.Errorf("%s isn't up to date for %s: go test ./internal/lake -run TestDocumentedColumns -update", page, table)
		}
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func columnRows(b *strings.Builder, parent string, columns []lake.Column) {
	for _, c := range columns {
		kind := c.Type
		if len(c.Fields) > 0 {
			kind = kind[:strings.IndexByte(kind, '<')]
		}
		fmt.Fprintf(b, "| %d | `%s%s` | %s | %s |\n", c.ID, parent, c.Name, kind, c.Doc)
		columnRows(b, parent+c.Name+".", c.Fields)
	}
}

// TestColumnIDs fails when an id is used twice, or a column has no name.
func TestColumnIDs(t *testing.T) {
	for _, table := range lake.Tables() {
		seen := map[int]string{}
		var walk func([]lake.Column)
		walk = func(columns []lake.Column) {
			for _, c := range columns {
				if seen[c.ID] != "" || c.ID <= 0 || c.Name == "" {
					t.Errorf("%s: id %d of %s is %s's", table, c.ID, c.Name, seen[c.ID])
				}
				seen[c.ID] = c.Name
				walk(c.Fields)
			}
		}
		walk(lake.Columns(table))
		if len(seen) < 17 {
			t.Errorf("%s has %d columns", table, len(seen))
		}
	}
	if lake.Columns("x") != nil {
		t.Error("an unknown table has columns")
	}
}
