package cli

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"github.com/aitrail/aitrail/internal/query"
)

// rows is what can be printed: *query.Rows, and rows at hand.
type rows interface {
	Columns() []query.Column
	Next() bool
	Values() []any // valid until Next
	Err() error
}

// listRows are rows at hand.
type listRows struct {
	columns []query.Column
	list    [][]any
	at      int
}

func (r *listRows) Columns() []query.Column { return r.columns }
func (r *listRows) Next() bool              { r.at++; return r.at <= len(r.list) }
func (r *listRows) Values() []any           { return r.list[r.at-1] }
func (r *listRows) Err() error              { return nil }

// printer writes rows as a table for people, as JSON (an array of objects), or as CSV (RFC 4180, with a header).
type printer struct {
	w      io.Writer
	format string
	width  int // of the terminal; 0: not a terminal, nothing is cut
}

func newPrinter(w io.Writer, format string) *printer {
	p := &printer{w: w, format: format}
	if f, ok := w.(*os.File); ok && format == "table" {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.width = width
		}
	}
	return p
}

// print writes columns and rows to stdout in the chosen format.
func (a *app) print(columns []string, list [][]any) error {
	r := &listRows{list: list}
	for _, name := range columns {
		r.columns = append(r.columns, query.Column{Name: name})
	}
	return newPrinter(a.Stdout, a.output).print(r)
}

// printJSON writes a JSON text to stdout, indented.
func (a *app) printJSON(text []byte) error {
	e := json.NewEncoder(a.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(json.RawMessage(text))
}

func (p *printer) print(r rows) error {
	switch p.format {
	case "json":
		return p.json(r)
	case "csv":
		return p.csv(r)
	}
	return p.table(r)
}

func (p *printer) json(r rows) error {
	w := bufio.NewWriter(p.w)
	names := distinct(r.Columns())
	n := 0
	var b []byte
	for ; r.Next(); n++ {
		b = append(b[:0], ",\n"...)
		if n == 0 {
			b = append(b[:0], "[\n"...)
		}
		object := make(query.Object, len(names))
		for i, v := range r.Values() {
			object[i] = query.Member{Name: names[i], Value: v}
		}
		b = query.AppendJSON(append(b, "  "...), object)
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	end := "\n]\n"
	if n == 0 {
		end = "[]\n"
	}
	if _, err := w.WriteString(end); err != nil {
		return err
	}
	return w.Flush()
}

// distinct returns the names of columns; one that came before is told apart by a number, as in "id", "id_1".
func distinct(columns []query.Column) []string {
	names := make([]string, len(columns))
	taken := make(map[string]bool, len(columns))
	for _, c := range columns {
		taken[c.Name] = true
	}
	seen := make(map[string]bool, len(columns))
	for i, c := range columns {
		names[i] = c.Name
		for n := 1; seen[names[i]] || n > 1 && taken[names[i]]; n++ {
			names[i] = c.Name + "_" + strconv.Itoa(n)
		}
		seen[names[i]] = true
	}
	return names
}

func (p *printer) csv(r rows) error {
	w := csv.NewWriter(p.w)
	columns := r.Columns()
	record := make([]string, len(columns))
	for i, c := range columns {
		record[i] = c.Name
	}
	if err := w.Write(record); err != nil {
		return err
	}
	for r.Next() {
		for i, v := range r.Values() {
			record[i] = query.Text(v)
		}
		if err := p.record(w, record); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

// record writes a record. One that is a single empty field is quoted: as a blank line, readers would skip it.
func (p *printer) record(w *csv.Writer, record []string) error {
	if len(record) != 1 || record[0] != "" {
		return w.Write(record)
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	_, err := io.WriteString(p.w, "\"\"\n")
	return err
}

// tableStyle is plain: a line under the header, no box.
func tableStyle() table.Style {
	s := table.StyleLight
	s.Options = table.Options{SeparateHeader: true, SeparateColumns: false}
	s.Format.Header = text.FormatDefault
	s.Box.PaddingLeft, s.Box.PaddingRight = "", "  "
	return s
}

// pageRows is how many rows of a table are kept to fit its columns. The rows after them stand in columns of the same widths, or wider ones,
// so that a table takes bounded memory, and begins to be shown, however many rows there are.
const pageRows = 5000

func (p *printer) table(r rows) error {
	columns := r.Columns()
	if len(columns) == 6 && columns[0].Name == "column_name" && columns[1].Name == "column_type" && columns[2].Name == "null" {
		columns = columns[:2] // DESCRIBE: a view's columns have no keys and defaults, and types are long
	}
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = text.StringWidth(c.Name)
	}
	number := make([]bool, len(columns))
	for first, more := true, true; more; first = false {
		t := table.NewWriter()
		t.SetStyle(tableStyle())
		if first {
			header := make(table.Row, len(columns))
			for i, c := range columns {
				header[i] = c.Name
			}
			t.AppendHeader(header)
		}
		n := 0
		for n < pageRows {
			if more = r.Next(); !more {
				break
			}
			row := make(table.Row, len(columns))
			for i, v := range r.Values()[:len(columns)] {
				cell, isNumber := shown(v)
				number[i] = number[i] || isNumber
				widths[i] = max(widths[i], text.StringWidth(cell))
				row[i] = cell
			}
			t.AppendRow(row)
			n++
		}
		if err := r.Err(); err != nil || n == 0 {
			return err
		}
		limits := fit(widths, p.width)
		configs := make([]table.ColumnConfig, len(columns))
		for i := range columns {
			configs[i] = table.ColumnConfig{Number: i + 1, WidthMin: limits[i], WidthMax: limits[i], WidthMaxEnforcer: cut}
			if number[i] {
				configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
			}
		}
		t.SetColumnConfigs(configs)
		if _, err := fmt.Fprintln(p.w, trimmed(t.Render())); err != nil {
			return err
		}
	}
	return nil
}

// trimmed takes the spaces off the ends of lines.
func trimmed(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}

// shown is a value as a table shows it: times to the second, numbers with separators, control characters made visible.
func shown(v any) (cell string, isNumber bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case int64:
		return thousands(v), true
	case float64, json.Number:
		return separated(query.Text(v)), true
	case time.Time:
		if v.IsZero() {
			return "", false
		}
		return v.UTC().Format(time.DateTime), false
	}
	return visible(query.Text(v)), false
}

// separated puts thousands separators into the whole part of a number, of any length.
func separated(number string) string {
	end := strings.IndexFunc(number, func(r rune) bool { return r != '-' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(number)
	}
	for i := end - 3; i > 0 && number[i-1] != '-'; i -= 3 {
		number = number[:i] + "," + number[i:]
	}
	return number
}

// visible replaces control characters, those that turn the direction of writing among them: what is shown comes from
// outside and must not steer the terminal.
func visible(s string) string {
	out := []rune(nil)
	for i, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			if out == nil {
				out = []rune(s[:i])
			}
			r = '·'
		}
		if out != nil {
			out = append(out, r)
		}
	}
	if out == nil {
		return s
	}
	return string(out)
}

// cut shortens a cell to a width.
func cut(s string, width int) string {
	if text.StringWidth(s) <= width {
		return s
	}
	return text.Trim(s, width-1) + "…"
}

// fit shares a terminal's width: the widest columns are narrowed until all fit, none below twelve characters.
func fit(widths []int, total int) []int {
	limits := append([]int(nil), widths...)
	if total == 0 {
		return limits
	}
	for {
		sum, widest := 0, 0
		for i, w := range limits {
			sum += w + 2
			if w > limits[widest] {
				widest = i
			}
		}
		if sum <= total || limits[widest] <= 12 {
			return limits
		}
		limits[widest]--
	}
}
