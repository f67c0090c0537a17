package query

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxStatement is the length in bytes up to which a statement is read.
const MaxStatement = 64 << 10

// statement is a statement that passed the guard: prefix and body, put together, are what runs.
type statement struct {
	query  string // as it was given
	prefix string // "EXPLAIN ANALYZE " and the like, or ""
	body   string // a SELECT: query[start:] without what follows its end, and with the edits
	start  int
	edits  []edit   // that made DuckDB's SQL of the Lake's
	reads  []string // the tables and views it names
	shows  bool     // DESCRIBE, SHOW or SUMMARIZE: can't stand as a subquery

	describes bool // DESCRIBE or SHOW: no rows of the views are wanted
	catalog   bool // it asks what views there are
	inlines   bool // the views may stand before it, as common table expressions
	demands   map[string]demand
}

func (s *statement) text() string { return s.prefix + s.body }

// place tells where in the query a byte of the body stands.
func (s *statement) place(at int) int { return s.start + origin(s.edits, at) }

// refused lists the words that begin (or, after WITH, continue) statements that do other things than reading.
var refused = strings.Fields(`ABORT ALTER ANALYZE ATTACH BEGIN CALL CHECKPOINT CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE
	DELETE DETACH DROP END EXECUTE EXPORT FORCE GRANT IMPORT INSERT INSTALL KILL LOAD LOCK MERGE PIVOT PRAGMA PREPARE
	REINDEX RESET REVOKE ROLLBACK SET START TRUNCATE UNINSTALL UNPIVOT UPDATE USE VACUUM`)

// tableFunctions lists the table functions that a query may use: those that make rows of their arguments, or tell
// about the views. Others read or write files, change how DuckDB works, or run SQL given as text.
var tableFunctions = strings.Fields(`unnest range generate_series generate_subscripts repeat repeat_row json_each json_tree
	histogram histogram_values duckdb_columns duckdb_functions duckdb_keywords duckdb_schemas duckdb_tables duckdb_types
	duckdb_views pg_timezone_names icu_calendar_names pragma_table_info pragma_version`)

// rowFunctions lists those of them that make rows of their arguments alone.
var rowFunctions = strings.Fields("unnest range generate_series generate_subscripts repeat repeat_row json_each json_tree")

// scalarFunctions lists functions that a query may not use though they stand in expressions: they reach beyond the
// lake, or parse and plan SQL given as text.
var scalarFunctions = strings.Fields(`current_setting getenv getvariable json_execute_serialized_sql json_serialize_plan
	nextval currval parse_duckdb_log_message write_log`)

// growing lists functions that make a value of any size of small ones, and which argument says how large. DuckDB counts no memory
// and heeds no cancellation inside one call of them. Others can be made to grow step by step; those end with the process's memory.
var growing = map[string]int{"repeat": 1, "lpad": 1, "rpad": 1, "list_resize": 1, "array_resize": 1, "bitstring": 1, "bar": 3}

// schemas are those that functions stand in.
var schemas = []string{"", "main", "pg_catalog", "trino"}

// maxValue is how large a value they may make, and maxRange how long a list of numbers that are given.
const (
	maxValue = 1 << 20
	maxRange = 10_000_000
)

// grows tells why a call of a function could make too large a value, or "".
func grows(name string, children []any) string {
	name = strings.ToLower(name)
	if at, ok := growing[name]; ok && at < len(children) {
		if size, known := number64(children[at]); !known || size > maxValue {
			return fmt.Sprintf("%s can make at most %d characters or elements, given as a number", name, maxValue)
		}
	}
	if name == "range" || name == "generate_series" {
		size := 0.0
		for i, child := range children[:min(2, len(children))] {
			n, known := number64(child)
			if !known {
				return ""
			}
			size = math.Abs(n) + size*float64(i)
		}
		if size > maxRange {
			return fmt.Sprintf("%s can make at most %d elements; after FROM it has no limit", name, maxRange)
		}
	}
	return ""
}

// number64 is a constant's value.
func number64(node any) (float64, bool) {
	n, _ := node.(map[string]any)
	v, _ := n["value"].(map[string]any)
	number, ok := v["value"].(json.Number)
	if n["class"] != "CONSTANT" || !ok {
		return 0, false
	}
	f, err := number.Float64()
	return f, err == nil
}

// check lets one reading statement through. What it lets through is what DuckDB's own parser made of exactly the text
// that runs, behind the views (see ready).
func (s *session) check(query string) (*statement, error) {
	st, err := split(query)
	if err != nil {
		return nil, err
	}
	if st.body, st.edits, err = rewriteLake(st); err != nil {
		return nil, err
	}
	var tree syntaxTree
	text, err := s.one("SELECT CAST(json_serialize_sql(CAST(? AS VARCHAR)) AS VARCHAR)", st.body)
	if err != nil {
		return nil, s.failed(err, query, nil)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, &Error{Kind: Syntax, Message: "the statement nests too deeply"}
	}
	if tree.Error {
		return nil, st.unparsed(&tree)
	}
	if len(tree.Statements) != 1 {
		return nil, &Error{Kind: NotAllowed, Message: "one statement at a time can be run"}
	}
	w := walker{names: map[string]bool{}, columns: map[string]bool{}, single: map[string]bool{}, asked: map[string][]asked{}, count: map[string]int{}}
	w.walk(tree.Statements[0].Node, 0)
	if err := s.db.judge(st, &w); err != nil {
		return nil, err
	}
	word := next(query, st.start).word(query)
	st.shows, st.describes = w.shows, word == "DESCRIBE" || word == "DESC" || word == "SHOW"
	st.catalog = w.shows || slices.ContainsFunc(w.tableFunctions, func(f reference) bool { return !slices.Contains(rowFunctions, strings.ToLower(f.name)) })
	st.inlines = true
	for _, t := range w.tables {
		name := strings.ToLower(t.name)
		st.reads = append(st.reads, name)
		st.inlines = st.inlines && t.schema == "" && !(w.names[name] && slices.Contains(views, name))
		st.catalog = st.catalog || !slices.Contains(views, name) && !w.names[name]
	}
	st.inlines = st.inlines && !st.catalog && !st.describes && len(st.reads) > 0
	if st.edits != nil {
		if err := s.makeMacros(); err != nil {
			return nil, err
		}
	}
	st.demands, err = s.demands(&w, st.inlines)
	return st, err
}

// split finds the SELECT in a query by its tokens.
func split(query string) (*statement, error) {
	switch {
	case len(query) > MaxStatement:
		return nil, &Error{Kind: NotAllowed, Message: fmt.Sprintf("the statement is longer than %d bytes", MaxStatement)}
	case !utf8.ValidString(query) || strings.IndexByte(query, 0) >= 0:
		return nil, &Error{Kind: Syntax, Message: "the statement is not UTF-8 text"}
	}
	st := &statement{query: query}
	first := next(query, 0)
	if first.word(query) == "EXPLAIN" {
		st.prefix, first = explainPrefix(query, first.end)
	}
	if first.kind == tokenEnd {
		return nil, &Error{Kind: Syntax, Message: "there is no statement"}
	}
	if word := first.word(query); slices.Contains(refused, word) {
		return nil, st.refuse(first)
	}
	st.start = first.start
	end := len(query)
	for t := first; t.kind != tokenEnd; t = next(query, t.end) {
		if end == len(query) && t.kind == tokenSign && query[t.start] == ';' {
			end = t.start
		} else if end < len(query) && query[t.start] != ';' {
			return nil, (&Error{Kind: NotAllowed, Construct: ";", Message: "one statement at a time can be run"}).at(query, end)
		}
	}
	st.body = query[st.start:end]
	return st, nil
}

// explainPrefix reads what follows EXPLAIN and isn't the statement yet: ANALYZE, or options such as (FORMAT JSON). It
// returns the words as they are to run, and the statement's first token.
func explainPrefix(query string, at int) (string, token) {
	prefix := "EXPLAIN "
	t := next(query, at)
	if t.word(query) == "ANALYZE" {
		prefix += "ANALYZE "
		t = next(query, t.end)
	}
	option := next(query, t.end)
	if query[t.start:t.end] != "(" || option.word(query) != "FORMAT" && option.word(query) != "ANALYZE" {
		return prefix, t
	}
	prefix += "("
	for ; option.kind == tokenWord || query[option.start:option.end] == ","; option = next(query, option.end) {
		prefix += query[option.start:option.end] + " "
	}
	if query[option.start:option.end] != ")" {
		return prefix, t
	}
	return prefix + ") ", next(query, option.end)
}

func (st *statement) refuse(t token) error {
	word := t.word(st.query)
	e := &Error{Kind: NotAllowed, Construct: word, Message: word + " is not allowed: a query can only read, by SELECT"}
	return e.at(st.query, t.start)
}

// syntaxTree is what json_serialize_sql returns.
type syntaxTree struct {
	Error      bool   `json:"error"`
	Type       string `json:"error_type"`
	Message    string `json:"error_message"`
	Position   string `json:"position"`
	Statements []struct {
		Node any `json:"node"`
	} `json:"statements"`
}

// unparsed is the error of a body that DuckDB can't parse, or that is no SELECT.
func (st *statement) unparsed(tree *syntaxTree) error {
	if tree.Type != "parser" {
		depth := 0
		for t := next(st.query, st.start); t.kind != tokenEnd; t = next(st.query, t.end) {
			switch sign := st.query[t.start]; {
			case t.kind == tokenSign && sign == '(':
				depth++
			case t.kind == tokenSign && sign == ')':
				depth--
			case depth == 0 && slices.Contains(refused, t.word(st.query)):
				return st.refuse(t)
			}
		}
		return (&Error{Kind: NotAllowed, Message: "only SELECT can be run"}).at(st.query, st.start)
	}
	e := &Error{Kind: Syntax, Message: clean(tree.Message)}
	var at int
	if _, err := fmt.Sscan(tree.Position, &at); err == nil {
		e.at(st.query, st.place(at))
	}
	return e
}

// reference is a name in a syntax tree and the byte offset where it stands, -1 if DuckDB doesn't say.
type reference struct {
	schema, name string
	at           int
}

// walker gathers what a syntax tree refers to.
type walker struct {
	tables, tableFunctions, functions []reference
	names                             map[string]bool // of common table expressions, in lower case
	shows                             bool

	tooLarge *reference // a call that could make too large a value
	why      string

	columns, single map[string]bool // folded: names in references to columns, and references of one name
	paths           [][]string      // folded: the names of references to columns
	aliases         []string        // folded: names that views have
	whole           bool            // it may mean columns that it doesn't name
	asked           map[string][]asked
	count           map[string]int // how often a view is named
}

func (w *walker) walk(node any, depth int) {
	switch n := node.(type) {
	case []any:
		for _, child := range n {
			w.walk(child, depth+1)
		}
	case map[string]any:
		w.object(n, depth)
		for key, child := range n {
			if key == "function" && n["type"] == "TABLE_FUNCTION" {
				f, _ := child.(map[string]any)
				w.tableFunctions = append(w.tableFunctions, refer(f, "function_name"))
				w.walk(f["children"], depth+1)
				continue
			}
			w.walk(child, depth+1)
		}
	}
}

func (w *walker) object(n map[string]any, depth int) {
	switch {
	case n["type"] == "BASE_TABLE":
		t := refer(n, "table_name")
		w.tables = append(w.tables, t)
		alias, _ := n["alias"].(string)
		w.aliases = append(w.aliases, fold(t.name), fold(alias))
		w.count[strings.ToLower(t.name)]++
	case n["class"] == "STAR" || n["type"] == "PIVOT":
		w.whole = true
	case n["type"] == "JOIN":
		w.whole = w.whole || n["ref_type"] == "NATURAL"
		w.mentions(n["using_columns"])
	case n["class"] == "COLUMN_REF":
		w.mentions(n["column_names"])
	case n["type"] == "SHOW_REF" && depth == 1:
		w.shows = true
	case n["class"] == "FUNCTION":
		f := refer(n, "function_name")
		w.functions = append(w.functions, f)
		children, _ := n["children"].([]any)
		if !slices.Contains(schemas, strings.ToLower(f.schema)) { // actor.repeat(2): DuckDB takes what stands before for the first argument
			children = append([]any{nil}, children...)
		}
		if why := grows(f.name, children); why != "" && w.tooLarge == nil {
			w.tooLarge, w.why = &f, why
		}
	}
	if renamed, _ := n["column_name_alias"].([]any); len(renamed) > 0 && n["type"] != "TABLE_FUNCTION" {
		w.whole = true
	}
	if a := ask(n); a != nil {
		w.asked[a.view] = append(w.asked[a.view], *a)
	}
	if name, ok := n["cte_name"].(string); ok {
		w.names[strings.ToLower(name)] = true
	}
	if ctes, ok := n["cte_map"].(map[string]any); ok {
		entries, _ := ctes["map"].([]any)
		for _, entry := range entries {
			if e, ok := entry.(map[string]any); ok {
				name, _ := e["key"].(string)
				w.names[strings.ToLower(name)] = true
			}
		}
	}
}

// mentions notes the names of a reference to a column.
func (w *walker) mentions(names any) {
	list, _ := names.([]any)
	path := make([]string, len(list))
	for i, name := range list {
		text, _ := name.(string)
		path[i] = fold(text)
		w.columns[path[i]] = true
		if len(list) == 1 {
			w.single[path[i]] = true
		}
	}
	w.paths = append(w.paths, path)
}

func refer(n map[string]any, key string) reference {
	r := reference{at: -1}
	r.name, _ = n[key].(string)
	if r.schema, _ = n["schema_name"].(string); r.schema == "" {
		r.schema, _ = n["schema"].(string)
	}
	if p, ok := n["query_location"].(json.Number); ok {
		if at, err := p.Int64(); err == nil {
			r.at = int(at)
		}
	}
	return r
}

// judge compares what a statement refers to with what it may.
func (db *DB) judge(st *statement, w *walker) error {
	for _, f := range w.tableFunctions {
		if name := strings.ToLower(f.name); !slices.Contains(tableFunctions, name) {
			return st.forbidden(f, "the table function "+f.name+" is not allowed: a query can only read the lake's views")
		}
	}
	for _, f := range w.functions {
		if slices.Contains(scalarFunctions, strings.ToLower(f.name)) || strings.EqualFold(f.schema, "trino") && st.edits == nil {
			return st.forbidden(f, "the function "+f.name+" is not allowed: a query can only read the lake's views")
		}
	}
	if w.tooLarge != nil {
		return st.forbidden(*w.tooLarge, w.why)
	}
	for _, t := range w.tables {
		name, schema := strings.ToLower(t.name), strings.ToLower(t.schema)
		if w.names[name] || schema == "information_schema" || schema == "pg_catalog" || db.relations[name] || slices.Contains(views, name) {
			continue
		}
		e := &Error{Kind: Unknown, Construct: t.name, Message: fmt.Sprintf("there is no table %q", t.name), Nearest: nearestOf(t.name, views)}
		if e.Nearest == nil {
			e.Message += "; there are " + strings.Join(views, ", ")
		}
		return e.at(st.query, placeOf(st, t))
	}
	return nil
}

func (st *statement) forbidden(r reference, message string) error {
	e := &Error{Kind: NotAllowed, Construct: r.name, Message: message}
	return e.at(st.query, placeOf(st, r))
}

func placeOf(st *statement, r reference) int {
	if r.at < 0 {
		return -1
	}
	return st.place(r.at)
}
