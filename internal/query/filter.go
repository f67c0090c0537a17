package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Filter chooses calls or events. The zero value chooses all. A text matches if it is equal; a * in it stands for any
// characters.
type Filter struct {
	Service   string // ai_service: the key in the catalog
	Model     string
	Actor     string
	Region    string // the Region called
	Outcome   string
	Account   string
	Operation string

	Since, Until time.Time // Since ≤ time < Until; a zero time is no bound

	// Fields asks for values of further columns. A name is that of a column in AWS's spelling or ours, or leads into one:
	// "requestParameters.modelId", "userIdentity.type", "resources.ARN" (of any resource).
	Fields map[string]string

	Columns []string // what to show: names as in Fields, or "*" for every column; a short selection when empty
	Limit   int      // at most so many rows, the newest; no limit when 0
}

// relation is what a ready-made question is asked of: a view, its columns, and the SQL of it for a span of time.
type relation struct {
	name    string
	columns []column
	aliases map[string]string // other names, folded, and the columns meant
	short   []string          // columns shown unless the filter names some
	time    string            // column of time
	order   []string          // further columns to order by
	verdict bool              // it was asked for
}

// column is a column of a relation.
type column struct {
	name string
	typ  *valueType
	json bool // text that is JSON
}

// jsonColumns are the columns, of any view and folded, whose text is JSON.
var jsonColumns = strings.Fields(`requestparameters responseelements additionaleventdata serviceeventdetails addendum
	edgedevicedetails insightdetails eventcontext extra`)

func eventRelation() *relation {
	r := &relation{
		name:  "events",
		time:  "eventTime",
		order: []string{"source_object", "source_index"},
		short: []string{"eventTime", "eventSource", "eventName", "actor", "awsRegion", "outcome", "errorCode", "eventID"},
		aliases: map[string]string{"time": "eventTime", "operation": "eventName", "region": "awsRegion", "account": "recipientAccountId",
			"sourceip": "sourceIPAddress", "model": "model_id", "service": "ai_service"},
	}
	r.columns = filterColumns(r.name)
	return r
}

func callRelation() *relation {
	r := &relation{
		name:  "calls",
		time:  "time",
		order: []string{"source_object", "source_index"},
		short: []string{"time", "ai_service", "operation", "model_id", "actor", "region", "outcome", "input_tokens", "output_tokens", "event_id"},
		aliases: map[string]string{"eventtime": "time", "eventname": "operation", "awsregion": "region", "recipientaccountid": "account",
			"sourceipaddress": "source_ip", "model": "model_id", "service": "ai_service"},
	}
	r.columns = filterColumns(r.name)
	return r
}

// demand is what a question needs of the view.
func (r *relation) demand(f *Filter) *demand {
	return &demand{since: f.Since, until: f.Until, tokens: true, invocations: true, verdict: r.verdict}
}

// from is the view in SQL, as far as a question needs it. It is called when all columns have been resolved.
func (r *relation) from(db *DB, f *Filter) string {
	return "(" + db.viewSQL(r.name, r.demand(f)) + ")"
}

// aroundCalls widens a span of calls to that of the events that tell of them.
func aroundCalls(f *Filter) Filter {
	around := Filter{Since: f.Since, Until: f.Until}
	if !around.Since.IsZero() {
		around.Since = around.Since.Add(-time.Hour)
	}
	if !around.Until.IsZero() {
		around.Until = around.Until.Add(streamTime)
	}
	return around
}

func filterColumns(view string) []column {
	var columns []column
	for _, c := range Columns(view) {
		columns = append(columns, column{name: c.Name, typ: c.typ, json: slices.Contains(jsonColumns, fold(c.Name))})
	}
	return columns
}

// where is the condition of a question: SQL without values, and the values for its parameters.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

// sql returns " WHERE …", or "" for no condition.
func (w *where) sql() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

// where turns a filter into a condition. Its errors are *Error.
func (r *relation) where(f *Filter) (*where, error) {
	w := &where{}
	for _, c := range []struct{ name, value string }{
		{"ai_service", f.Service}, {"model_id", f.Model}, {"actor", f.Actor}, {"region", f.Region}, {"outcome", f.Outcome},
		{"account", f.Account}, {"operation", f.Operation},
	} {
		if c.value != "" {
			if err := r.match(w, c.name, c.value); err != nil {
				return nil, err
			}
		}
	}
	if !f.Since.IsZero() {
		w.add(quoteName(r.time)+" >= CAST(? AS TIMESTAMPTZ)", f.Since.UTC())
	}
	if !f.Until.IsZero() {
		w.add(quoteName(r.time)+" < CAST(? AS TIMESTAMPTZ)", f.Until.UTC())
	}
	names := make([]string, 0, len(f.Fields))
	for name := range f.Fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := r.match(w, name, f.Fields[name]); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// match adds the condition that a field has a value.
func (r *relation) match(w *where, field, value string) error {
	ref, err := r.resolve(field)
	if err != nil {
		return err
	}
	if ref.list {
		test, args, err := compare("x", ref, value)
		if err != nil {
			return err
		}
		w.add("coalesce(len(list_filter("+ref.expr+", lambda x: coalesce("+test+", false))) > 0, false)", args...)
		return nil
	}
	test, args, err := compare(ref.expr, ref, value)
	if err != nil {
		return err
	}
	w.add(test, append(ref.args, args...)...)
	return nil
}

// compare returns the condition that an expression of the reference's type has a value.
func compare(expr string, ref *fieldRef, value string) (string, []any, error) {
	invalid := func(want string) error {
		return &Error{Kind: Invalid, Construct: ref.name, Message: fmt.Sprintf("%s is %s; %q is not", ref.name, want, value)}
	}
	switch ref.typ.base {
	case "BIGINT":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return "", nil, invalid("a whole number")
		}
		return expr + " = ?", []any{n}, nil
	case "BOOLEAN":
		b, err := strconv.ParseBool(value)
		if err != nil {
			return "", nil, invalid("true or false")
		}
		return expr + " = ?", []any{b}, nil
	case "TIMESTAMPTZ":
		t, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return "", nil, invalid("a time such as 2026-01-31T15:04:05Z")
		}
		return expr + " = CAST(? AS TIMESTAMPTZ)", []any{t.UTC()}, nil
	case "UUID":
		return compareID(expr, value)
	case "STRUCT", "LIST":
		return "", nil, &Error{Kind: Invalid, Construct: ref.name, Message: ref.name + " has members; name one", Nearest: ref.members()}
	}
	if strings.Contains(value, "*") {
		return expr + ` LIKE ? ESCAPE '\'`, []any{likePattern(value)}, nil
	}
	return expr + " = ?", []any{value}, nil
}

// compareID compares an event's id; the lake has ids that are no UUIDs in extra.
func compareID(expr, value string) (string, []any, error) {
	if id, err := uuid.Parse(value); err == nil && id.String() == value {
		return expr + " = CAST(? AS UUID)", []any{value}, nil
	}
	if strings.Contains(value, "*") {
		return eventIDText("") + ` LIKE ? ESCAPE '\'`, []any{likePattern(value)}, nil
	}
	return eventIDText("") + " = ?", []any{value}, nil
}

// likePattern turns a text with * into a pattern of LIKE with \ as its escape.
func likePattern(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`).Replace(text)
}

// fieldRef is a column, or what a path leads to in it.
type fieldRef struct {
	name string     // as it was asked for
	expr string     // SQL; its values are args
	args []any      //
	typ  *valueType // VARCHAR for values in JSON
	list bool       // of the elements of a list: expr is the list of them
}

func (f *fieldRef) members() []string {
	t := f.typ
	if t.elem != nil {
		t = t.elem
	}
	var names []string
	for _, m := range t.fields[:min(3, len(t.fields))] {
		names = append(names, f.name+"."+m.name)
	}
	return names
}

// resolve finds what a name or path means. Its errors are *Error.
func (r *relation) resolve(field string) (*fieldRef, error) {
	head, path, deep := strings.Cut(field, ".")
	c, err := r.column(head)
	if err != nil {
		return nil, err
	}
	r.verdict = r.verdict || c.name == verdictColumn
	ref := &fieldRef{name: field, expr: quoteName(c.name), typ: c.typ}
	if !deep {
		return ref, nil
	}
	if c.json {
		ref.expr = "json_extract_string(" + ref.expr + ", ?)"
		ref.args = []any{jsonPath(path)}
		ref.typ = parseType("VARCHAR")
		return ref, nil
	}
	return ref, ref.descend(path)
}

// descend follows a path through structs, and through one list of structs.
func (f *fieldRef) descend(path string) error {
	var inner string
	for _, name := range strings.Split(path, ".") {
		if f.typ.elem != nil && !f.list {
			f.list, f.typ = true, f.typ.elem
		}
		i := slices.IndexFunc(f.typ.fields, func(m fieldType) bool { return fold(m.name) == fold(name) })
		if i < 0 {
			e := &Error{Kind: Unknown, Construct: f.name, Message: fmt.Sprintf("there is no field %q: nothing is called %q there", f.name, name)}
			var names []string
			for _, m := range f.typ.fields {
				names = append(names, m.name)
			}
			e.Nearest = nearestOf(name, names)
			return e
		}
		member := "." + quoteName(f.typ.fields[i].name)
		f.typ = f.typ.fields[i].typ
		if f.list {
			inner += member
		} else {
			f.expr += member
		}
	}
	if f.list {
		f.expr = "list_transform(" + f.expr + ", lambda y: y" + inner + ")"
	}
	return nil
}

func (r *relation) column(name string) (*column, error) {
	folded := fold(name)
	if meant, ok := r.aliases[folded]; ok {
		folded = fold(meant)
	}
	names := make([]string, len(r.columns))
	for i := range r.columns {
		if names[i] = r.columns[i].name; fold(names[i]) == folded {
			return &r.columns[i], nil
		}
	}
	for alias := range r.aliases {
		names = append(names, alias)
	}
	nearest := nearestOf(name, names)
	for i, n := range nearest {
		if meant, ok := r.aliases[n]; ok {
			nearest[i] = meant
		}
	}
	slices.Sort(nearest)
	e := &Error{Kind: Unknown, Construct: name, Message: fmt.Sprintf("%s have no field %q", r.name, name)}
	e.Nearest = slices.Compact(nearest)
	return nil, e
}

// jsonPath is the JSONPath of a dotted path; parts that are numbers are places in lists.
func jsonPath(path string) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, part := range strings.Split(path, ".") {
		if _, err := strconv.ParseUint(part, 10, 31); err == nil {
			b.WriteString("[" + part + "]")
			continue
		}
		b.WriteString(`."` + strings.ReplaceAll(part, `"`, `\"`) + `"`)
	}
	return b.String()
}
