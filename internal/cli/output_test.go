package cli

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/aitrail/aitrail/internal/query"
)

func columns(names ...string) (list []query.Column) {
	for _, n := range names {
		list = append(list, query.Column{Name: n})
	}
	return list
}

// sample has a value of every kind.
func sample() *listRows {
	at := time.Date(2026, 5, 30, 11, 22, 33, 456000000, time.FixedZone("", 2*3600))
	return &listRows{
		columns: columns("time", "actor", "tokens", "share", "big", "json", "members", "tags"),
		list: [][]any{
			{at, "ana", int64(1234567), 1234.5, json.Number("12345678901234567890.10"), json.RawMessage(`{"b":1.10,"a":null}`),
				query.Object{{Name: "z", Value: at}, {Name: "a", Value: "x<y"}}, []any{int64(1), nil}},
			{nil, "", int64(-12), math.NaN(), nil, nil, nil, nil},
			{at, "a \"b\", c\nd", int64(0), 1e300, json.Number("-1"), json.RawMessage("null"), query.Object{}, []any{}},
		},
	}
}

func printed(t *testing.T, p printer, r rows) string {
	t.Helper()
	var b strings.Builder
	p.w = &b
	if err := p.print(r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPrintJSON(t *testing.T) {
	got := printed(t, printer{format: "json"}, sample())
	want := `[
  {"time":"2026-05-30T09:22:33.456Z","actor":"ana","tokens":1234567,"share":1234.5,"big":12345678901234567890.10,"json":{"b":1.10,"a":null},"members":{"z":"2026-05-30T09:22:33.456Z","a":"x<y"},"tags":[1,null]},
  {"time":null,"actor":"","tokens":-12,"share":"NaN","big":null,"json":null,"members":null,"tags":null},
  {"time":"2026-05-30T09:22:33.456Z","actor":"a \"b\", c\nd","tokens":0,"share":1e+300,"big":-1,"json":null,"members":{},"tags":[]}
]
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	if !json.Valid([]byte(got)) {
		t.Error("not JSON")
	}
	if got := printed(t, printer{format: "json"}, &listRows{columns: columns("a")}); got != "[]\n" {
		t.Errorf("no rows: %q", got)
	}
	twice := &listRows{columns: columns("id", "id_1", "id", "id"), list: [][]any{{int64(1), int64(2), int64(3), int64(4)}}}
	if got := printed(t, printer{format: "json"}, twice); got != "[\n  {\"id\":1,\"id_1\":2,\"id_2\":3,\"id_3\":4}\n]\n" {
		t.Errorf("names that occur twice: %s", got)
	}
}

func TestPrintCSV(t *testing.T) {
	got := printed(t, printer{format: "csv"}, sample())
	want := `time,actor,tokens,share,big,json,members,tags
2026-05-30T09:22:33.456Z,ana,1234567,1234.5,12345678901234567890.10,"{""b"":1.10,""a"":null}","{""z"":""2026-05-30T09:22:33.456Z"",""a"":""x<y""}","[1,null]"
,,-12,NaN,,,,
2026-05-30T09:22:33.456Z,"a ""b"", c
d",0,1e+300,-1,null,{},[]
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	one := &listRows{columns: columns("error_code"), list: [][]any{{nil}, {"x"}, {""}}}
	records, err := csv.NewReader(strings.NewReader(printed(t, printer{format: "csv"}, one))).ReadAll()
	if diff := cmp.Diff([][]string{{"error_code"}, {""}, {"x"}, {""}}, records); diff != "" || err != nil {
		t.Errorf("empty fields: %v, want -, got +\n%s", err, diff)
	}
}

func TestPrintTable(t *testing.T) {
	got := printed(t, printer{format: "table"}, sample())
	want := `time                 actor          tokens    share                            big  json                 members                                     tags
─
2026-05-30 09:22:33  ana         1,234,567  1,234.5  12,345,678,901,234,567,890.10  {"b":1.10,"a":null}  {"z":"2026-05-30T09:22:33.456Z","a":"x<y"}  [1,null]
                                       -12      NaN
2026-05-30 09:22:33  a "b", c·d          0   1e+300                             -1  null                 {}                                          []
`
	if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

// lines splits a text; the line below the header may be of any length.
func lines(s string) []string {
	list := strings.Split(s, "\n")
	for i, l := range list {
		if strings.Trim(l, "─") == "" && l != "" {
			list[i] = "─"
		}
	}
	return list
}

func TestPrintTableFitsTerminal(t *testing.T) {
	wide := &listRows{columns: columns("a_rather_long_name_of_a_column", "id", "text", "count"), list: [][]any{
		{strings.Repeat("x", 100), "1", strings.Repeat("é", 300), int64(1234567)},
		{"short", "2", "日本語" + strings.Repeat("日", 60), int64(1)},
	}}
	for _, width := range []int{60, 80, 120} {
		wide.at = 0
		got := printed(t, printer{format: "table", width: width}, wide)
		for l := range strings.Lines(got) {
			if n := text.StringWidth(strings.TrimSuffix(l, "\n")); n > width {
				t.Errorf("width %d: a line of %d:\n%s", width, n, got)
			}
		}
		if !strings.Contains(got, "xx…") || !strings.Contains(got, "é…") || !strings.Contains(got, "日…") || !strings.Contains(got, "1,234,567") {
			t.Errorf("width %d:\n%s", width, got)
		}
	}
	wide.at = 0
	if got := printed(t, printer{format: "table"}, wide); strings.Contains(got, "…") {
		t.Errorf("cut though it isn't for a terminal:\n%s", got)
	}
}

// TestPrintTableIsInert shows nothing that would steer the terminal.
func TestPrintTableIsInert(t *testing.T) {
	got := printed(t, printer{format: "table"}, &listRows{columns: columns("a"), list: [][]any{
		{"\x1b[31mred\x1b]0;title\x07\r\b\u009b1m\u202eevil\u2066\u2028\x00"},
		{json.RawMessage("\"\x1b[2J\"")}, {query.Object{{Name: "\x1b", Value: "\x1b"}}},
	}})
	for _, r := range got {
		if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0x2066 || r == 0x2028) {
			t.Errorf("%q was printed in %q", r, got)
		}
	}
	if !strings.Contains(got, "·[31mred·]0;title····1m·evil···") {
		t.Errorf("printed %q", got)
	}
}

// failing are rows that can't be read to their end.
type failing struct{ listRows }

func (*failing) Err() error { return io.ErrUnexpectedEOF }

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrPermission }

func TestPrintErrors(t *testing.T) {
	for _, format := range []string{"table", "json", "csv"} {
		var b strings.Builder
		if err := (&printer{w: &b, format: format}).print(&failing{*sample()}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s of rows that fail: %v", format, err)
		}
		if format == "json" && json.Valid([]byte(b.String())) {
			t.Errorf("%q is JSON though rows are missing", b.String())
		}
		if err := (&printer{w: full{}, format: format}).print(sample()); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s to a full disk: %v", format, err)
		}
	}
}

func TestSeparated(t *testing.T) {
	for number, want := range map[string]string{
		"0": "0", "-1": "-1", "999": "999", "1000": "1,000", "-1000": "-1,000", "-123456": "-123,456", "1234567.8901": "1,234,567.8901",
		"1e+300": "1e+300", "NaN": "NaN", "+Inf": "+Inf", "12345678901234567890": "12,345,678,901,234,567,890",
	} {
		if got := separated(number); got != want {
			t.Errorf("%s: %s, want %s", number, got, want)
		}
	}
}

func TestBeside(t *testing.T) {
	left, right, third := "ab  \ncd  \nef", "long line\nx", "y"
	for _, c := range []struct {
		width int
		want  string
	}{
		{0, "ab   long line   y\ncd   x\nef\n"},
		{18, "ab   long line   y\ncd   x\nef\n"},
		{17, "ab   long line\ncd   x\nef\n\ny\n"},
		{13, "ab\ncd\nef\n\nlong line   y\nx\n"},
		{5, "ab\ncd\nef\n\nlong line\nx\n\ny\n"},
	} {
		if diff := cmp.Diff(c.want, beside(c.width, left, right, third)); diff != "" {
			t.Errorf("width %d: want -, got +\n%s", c.width, diff)
		}
	}
}

// A long table takes bounded memory: it is shown in pages, in columns of the same widths.
func TestPrintLongTable(t *testing.T) {
	const rows = 3*pageRows + 1
	long := &countedRows{columns: columns("n", "actor"), total: rows}
	var b strings.Builder
	kept := 0
	w := writerFunc(func(p []byte) (int, error) {
		kept, long.unshown = max(kept, long.unshown), 0
		return b.Write(p)
	})
	if err := (&printer{w: w}).print(long); err != nil {
		t.Fatal(err)
	}
	if kept > pageRows {
		t.Errorf("%d rows were kept at once, want at most %d", kept, pageRows)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != rows+2 {
		t.Fatalf("%d lines, want a header of 2 and %d rows", len(lines), rows)
	}
	if !strings.HasPrefix(lines[1], "───") || strings.Contains(strings.Join(lines[2:], ""), "─") {
		t.Error("there is not one header, at the top")
	}
	for _, l := range []string{lines[2], lines[2+pageRows], lines[len(lines)-1]} {
		if i := strings.Index(l, "ana"); i != strings.Index(lines[0], "actor") {
			t.Errorf("%q is not under its column of %q", l, lines[0])
		}
	}
}

// countedRows are rows (10,000,000, "ana"), as many as total.
type countedRows struct {
	columns              []query.Column
	total, read, unshown int
}

func (r *countedRows) Columns() []query.Column { return r.columns }
func (r *countedRows) Next() bool {
	if r.read == r.total {
		return false
	}
	r.read, r.unshown = r.read+1, r.unshown+1
	return true
}
func (r *countedRows) Values() []any { return []any{int64(10_000_000), "ana"} }
func (r *countedRows) Err() error    { return nil }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// On a terminal a finding has lines of its own: the key whole, the detail within the width.
func TestFindingBlocks(t *testing.T) {
	key := "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/111122223333_CloudTrail_us-east-1_20260301T0003Z_bench00000000003.json.gz"
	got := findingBlocks([][]any{
		{"finding", "log_file_altered", "111122223333", "us-east-1", key, "its content has another hash"},
		{"note", "keys_absent", "111122223333", "us-east-1", "", "no public keys were given: signatures were not checked"},
		{"finding", "checkpoint_altered", "", "", "proof/\x1b[2J", ""},
	}, 40)
	want := `finding  log_file_altered  111122223333  us-east-1
  ` + key + `
  its content has another hash
note     keys_absent  111122223333  us-east-1
  no public keys were given: signatures
  were not checked
finding  checkpoint_altered
  proof/·[2J

`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := findingBlocks(nil, 40); got != "" {
		t.Errorf("without findings = %q", got)
	}
}
