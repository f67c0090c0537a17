package query

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/lake"
)

// demand is what a statement needs of a view: the files that may hold what it asks for, and the columns that cost a join.
// The zero demand needs all rows, without those columns. A view that lacks some is made only where nothing can tell.
type demand struct {
	since, until time.Time           // as in Filter
	texts        map[string][]string // a column of events, and values of which it has one
	tokens       bool                // of calls: tokenColumns
	invocations  bool                // of calls: invocationColumns, which tokenColumns are among
	verdict      bool
	typesOnly    bool // no rows
	primaryOnly  bool // of calls: there are no other events that may be calls

	columns map[string]bool     // folded: those that may be named; nil for all
	members map[string][]string // of cloudtrail_lake: paths into its structs that are named; nil for all
	ids     []string            // of cloudtrail_lake: UUIDs, in SQL, of which an event has one if it has a UUID
}

// names tells whether a column is wanted.
func (d *demand) names(column string) bool { return d.columns == nil || d.columns[fold(column)] }

// everything is the demand of which nothing is known.
var everything = demand{tokens: true, invocations: true, verdict: true}

// allOf returns the demands with nothing left out of the views.
func allOf(demands map[string]demand) map[string]demand {
	all := maps.Clone(demands)
	for view := range all {
		all[view] = everything
	}
	return all
}

// around is the demand of the events that tell of the calls that are asked for.
func (d *demand) around() *demand {
	f := aroundCalls(&Filter{Since: d.since, Until: d.until})
	return &demand{since: f.Since, until: f.Until, typesOnly: d.typesOnly}
}

// chosen returns the data files of events that may hold what is asked for.
func (d *demand) chosen(files []lake.DataFile) []lake.DataFile {
	if d.typesOnly {
		return nil
	}
	files = within(files, d.since, d.until)
	if len(d.texts) == 0 {
		return files
	}
	return slices.DeleteFunc(slices.Clone(files), func(f lake.DataFile) bool {
		for column, values := range d.texts {
			bounds, known := f.Texts[column]
			if known && !slices.ContainsFunc(values, bounds.May) {
				return true
			}
		}
		return false
	})
}

// slack is added to both ends of a span that a statement asks for, whose ends may be included or not, or be now.
const slack = time.Minute

// demands finds out what a statement asks of each of the views, by its syntax tree. It knows conditions of a SELECT from one
// view alone that are joined by AND; what else restricts rows is left to DuckDB.
func (s *session) demands(w *walker, inlines bool) (map[string]demand, error) {
	base := everything
	if !w.whole && !slices.ContainsFunc(w.aliases, func(name string) bool { return w.single[name] }) {
		named := func(name string) bool { return w.columns[fold(name)] }
		base.tokens = slices.ContainsFunc(tokenColumns, named)
		base.invocations = slices.ContainsFunc(invocationColumns, named)
		base.verdict = w.columns[verdictColumn] && w.count["log_files"] == 0 // whose column it is, then, if it isn't said
		if inlines {
			base.columns = w.columns
		}
	}
	all := map[string]demand{}
	for _, view := range views {
		d := base
		if view == lakeView && base.columns != nil {
			d.members = w.members()
		}
		if asked := w.asked[view]; len(asked) == 1 && w.count[view] == 1 { // of several readings one may need all files
			if err := s.narrow(&d, view, &asked[0]); err != nil {
				return nil, err
			}
		}
		all[view] = d
	}
	return all, nil
}

// asked is the conditions of a SELECT from one view.
type asked struct {
	view       string
	names      []string // that the view has there
	shadows    []string // names that the SELECT gives to what it selects
	conditions []map[string]any
}

// ask returns what a SELECT from one view asks; nil for others.
func ask(n map[string]any) *asked {
	from, _ := n["from_table"].(map[string]any)
	if n["type"] != "SELECT_NODE" || from["type"] != "BASE_TABLE" {
		return nil
	}
	a := &asked{}
	name, _ := from["table_name"].(string)
	alias, _ := from["alias"].(string)
	a.view, a.names = strings.ToLower(name), []string{strings.ToLower(name), strings.ToLower(alias)}
	selected, _ := n["select_list"].([]any)
	for _, item := range selected {
		if m, _ := item.(map[string]any); m != nil {
			name, _ := m["alias"].(string)
			a.shadows = append(a.shadows, fold(name))
		}
	}
	a.gather(n["where_clause"])
	return a
}

// gather takes a condition apart at its ANDs.
func (a *asked) gather(node any) {
	n, _ := node.(map[string]any)
	if n == nil {
		return
	}
	if n["type"] != "CONJUNCTION_AND" {
		a.conditions = append(a.conditions, n)
		return
	}
	children, _ := n["children"].([]any)
	for _, child := range children {
		a.gather(child)
	}
}

// column returns the folded name of the view's column that an expression is, or "".
func (a *asked) column(node any) string {
	n, _ := node.(map[string]any)
	names, _ := n["column_names"].([]any)
	if n["class"] != "COLUMN_REF" || len(names) == 0 || len(names) > 2 {
		return ""
	}
	if first, _ := names[0].(string); len(names) == 2 && !slices.Contains(a.names, strings.ToLower(first)) {
		return ""
	}
	last, _ := names[len(names)-1].(string)
	if slices.Contains(a.shadows, fold(last)) {
		return ""
	}
	return fold(last)
}

// timeColumn and textColumns are the columns of each view, folded, that files are chosen by, and of texts the column of events.
var (
	timeColumn  = map[string]string{"events": "eventtime", "calls": "time", "invocations": "time", lakeView: "eventtime"}
	eventTexts  = map[string]string{"eventsource": "eventSource", "eventname": "eventName", "awsregion": "awsRegion", "errorcode": "errorCode", "recipientaccountid": "recipientAccountId", "aiservice": "ai_service", "modelid": "model_id", "actor": "actor"}
	textColumns = map[string]map[string]string{"events": eventTexts, lakeView: eventTexts, "calls": {
		"aiservice": "ai_service", "operation": "eventName", "modelid": "model_id", "actor": "actor", "errorcode": "errorCode",
		"account": "recipientAccountId", "region": "awsRegion", "eventsource": "eventSource"}}
)

// limit is an end of a span: an expression, and whether it is the lower end, the upper, or both.
type limit struct {
	expr         any
	lower, upper bool
}

// narrow puts what is asked into a demand.
func (s *session) narrow(d *demand, view string, a *asked) error {
	var limits []limit
	d.texts = map[string][]string{}
	for _, c := range a.conditions {
		switch c["type"] {
		case "COMPARE_BETWEEN":
			if a.column(c["input"]) == timeColumn[view] {
				limits = append(limits, limit{c["lower"], true, false}, limit{c["upper"], false, true})
			}
		case "COMPARE_IN":
			children, _ := c["children"].([]any)
			if len(children) > 1 {
				d.oneOf(view, a.column(children[0]), children[1:])
			}
		case "COMPARE_EQUAL", "COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO", "COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO":
			left, right := a.column(c["left"]), a.column(c["right"])
			less, equal := strings.HasPrefix(c["type"].(string), "COMPARE_LESS"), c["type"] == "COMPARE_EQUAL"
			switch {
			case left == timeColumn[view]:
				limits = append(limits, limit{c["right"], !less || equal, less || equal})
			case right == timeColumn[view]:
				limits = append(limits, limit{c["left"], less || equal, !less || equal})
			case equal && left != "":
				d.oneOf(view, left, []any{c["right"]})
			case equal && right != "":
				d.oneOf(view, right, []any{c["left"]})
			}
		}
	}
	return s.bound(d, limits)
}

// oneOf says that a column of a view has one of the values, if they are all texts.
func (d *demand) oneOf(view, column string, exprs []any) {
	var values, ids []string
	for _, expr := range exprs {
		n, _ := expr.(map[string]any)
		v, _ := n["value"].(map[string]any)
		text, ok := v["value"].(string)
		typ, _ := v["type"].(map[string]any)
		if n["class"] != "CONSTANT" || typ["id"] != "VARCHAR" || !ok {
			return
		}
		values = append(values, text)
		if id, err := uuid.Parse(text); err == nil {
			ids = append(ids, "UUID '"+id.String()+"'")
		}
	}
	if of := textColumns[view][column]; of != "" {
		d.texts[of] = values
	}
	if view == lakeView && column == "eventid" {
		d.ids = append(ids, "NULL") // others than UUIDs are in no row that has one
	}
}

// constants lists functions whose result depends on their arguments alone, or on now.
var constants = strings.Fields(`now get_current_timestamp current_timestamp current_date today + - to_years to_months to_weeks to_days to_hours
	to_minutes to_seconds to_milliseconds to_microseconds trunc date_trunc date_add from_iso8601_timestamp from_iso8601_date strptime make_timestamp
	make_date timestamp date`)

// constant tells whether an expression is the same for all rows.
func constant(node any) bool {
	switch n := node.(type) {
	case []any:
		return !slices.ContainsFunc(n, func(child any) bool { return !constant(child) })
	case map[string]any:
		switch n["class"] {
		case "CONSTANT":
			return true
		case "COLUMN_REF": // so DuckDB reads these words; no view has columns of such names
			names, _ := n["column_names"].([]any)
			return len(names) == 1 && (isWord(names[0], "current_timestamp") || isWord(names[0], "current_date"))
		case "CAST":
			return constant(n["child"])
		case "FUNCTION":
			name, _ := n["function_name"].(string)
			return slices.Contains(constants, strings.ToLower(name)) && n["filter"] == nil && constant(n["children"])
		}
	}
	return false
}

func isWord(name any, word string) bool {
	text, _ := name.(string)
	return strings.EqualFold(text, word)
}

// bound has DuckDB work out the ends of a span. An end that it can't is none: the statement's own error tells.
func (s *session) bound(d *demand, limits []limit) error {
	for _, l := range limits {
		if !constant(l.expr) {
			continue
		}
		at, err := s.moment(l.expr)
		if err != nil {
			return err
		}
		if at.IsZero() {
			continue
		}
		if since := at.Add(-slack); l.lower && since.After(d.since) {
			d.since = since
		}
		if until := at.Add(slack); l.upper && (d.until.IsZero() || until.Before(d.until)) {
			d.until = until
		}
	}
	return nil
}

// moment is the time that an expression of a syntax tree gives, or the zero time.
func (s *session) moment(expr any) (time.Time, error) {
	if at := literal(expr); !at.IsZero() {
		return at, nil
	}
	text, err := s.one("SELECT CAST(json_serialize_sql('SELECT 1') AS VARCHAR)")
	if err != nil {
		return time.Time{}, s.failed(err, "", nil)
	}
	var tree map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // as in the expression: DuckDB takes its own numbers only
	if err := d.Decode(&tree); err != nil {
		return time.Time{}, fmt.Errorf("DuckDB's syntax tree: %w", err)
	}
	statements, _ := tree["statements"].([]any)
	if len(statements) != 1 {
		return time.Time{}, nil
	}
	first, _ := statements[0].(map[string]any)
	node, _ := first["node"].(map[string]any)
	node["select_list"] = []any{expr}
	whole, err := json.Marshal(tree)
	if err != nil {
		return time.Time{}, fmt.Errorf("DuckDB's syntax tree: %w", err)
	}
	if text, err = s.one("SELECT json_deserialize_sql(CAST(? AS JSON))", string(whole)); err == nil {
		text, err = s.one("SELECT strftime(CAST(x AS TIMESTAMPTZ), '%Y-%m-%dT%H:%M:%S.%fZ') FROM (" + text + ") AS t(x)")
	}
	if s.ctx.Err() != nil {
		return time.Time{}, s.failed(err, "", nil)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, nil
	}
	return at, nil
}

// literal is the time that a text gives, cast or not, in the forms that most are written in; the zero time for others.
func literal(expr any) time.Time {
	n, _ := expr.(map[string]any)
	if n["class"] == "CAST" {
		n, _ = n["child"].(map[string]any)
	}
	v, _ := n["value"].(map[string]any)
	text, _ := v["value"].(string)
	if n["class"] == "CONSTANT" {
		for _, form := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04:05-07", time.DateOnly, time.RFC3339} {
			if at, err := time.Parse(form, text); err == nil {
				return at.UTC()
			}
		}
	}
	return time.Time{}
}

// anyOthers tells whether calls has to look at events that are not primary. The answer holds as long as the DB, whose snapshot
// doesn't change, so it is looked for once, in one column; of a lake in a bucket that would need all its files.
func (s *session) anyOthers() (bool, error) {
	if s.db.fetcher != nil {
		return true, nil
	}
	o := &s.db.others
	o.Lock()
	defer o.Unlock()
	if o.known {
		return o.any, nil
	}
	text, err := s.one("SELECT CAST(count(*) AS VARCHAR) FROM (SELECT 1 FROM (" + tableSQL(lake.Events, s.db.events.Files) + ") WHERE " + otherRoles + " LIMIT 1)")
	if err != nil {
		return false, err
	}
	o.known, o.any = true, text != "0"
	return o.any, nil
}

// show makes the views that a statement names, in its session; of statements that ask what there is, all of them.
func (s *session) show(st *statement, demands map[string]demand) error {
	for _, view := range views {
		d, named := demands[view], slices.Contains(st.reads, view)
		switch {
		case !named && !st.catalog:
			continue
		case !named || st.describes:
			d = everything
			d.typesOnly = true
		}
		text, err := s.relation(view, &d)
		if err != nil {
			return err
		}
		if _, err := s.conn.ExecContext(s.ctx, "CREATE OR REPLACE TEMP VIEW "+view+" AS "+text, nil); err != nil {
			return s.failed(err, "", nil)
		}
	}
	return nil
}

// inline returns the views that a statement names as common table expressions, to stand before it. DuckDB then binds what
// the statement names, and once; a view is bound whole when it is made, and again when it is read.
func (s *session) inline(st *statement) (string, error) {
	var parts []string
	for _, view := range views {
		if !slices.Contains(st.reads, view) {
			continue
		}
		d := st.demands[view]
		text, err := s.relation(view, &d)
		if err != nil {
			return "", err
		}
		parts = append(parts, view+" AS NOT MATERIALIZED ("+text+")")
	}
	return strings.Join(parts, ", "), nil
}

// relation is the SQL of a view for a demand, whose files are there then.
func (s *session) relation(view string, d *demand) (string, error) {
	if err := s.db.fetch(s.ctx, view, d); err != nil {
		if s.ctx.Err() != nil {
			return "", s.failed(err, "", nil)
		}
		return "", err
	}
	if view == "calls" && !d.typesOnly {
		any, err := s.anyOthers()
		if err != nil {
			return "", s.failed(err, "", nil)
		}
		d.primaryOnly = !any
	}
	return s.db.viewSQL(view, d), nil
}
