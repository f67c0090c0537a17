package query

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// edit replaces text[start:end] of a statement.
type edit struct {
	start, end int
	text       string
}

// rewriter turns a statement in CloudTrail Lake's dialect, which is Trino's, into DuckDB's. It changes tokens only, so
// what stands in strings, quoted names and comments stays as it is. What it doesn't know it refuses by name: DuckDB has
// functions of Trino's names that answer otherwise.
type rewriter struct {
	statement *statement
	text      string
	tokens    []token
	pair      []int // of a bracket: its partner's index, or -1
	edits     []edit
	store     string // the event data store named, "" for none
	macros    map[string]bool
	ends      []repeated // the macros\' calls that are open, the innermost last
}

// repeated is a macro\'s call: its closing bracket, and how often what stands in it is repeated.
type repeated struct{ end, times int }

// rewriteLake rewrites a statement that reads cloudtrail_lake or an event data store; it returns others as they are.
func rewriteLake(st *statement) (string, []edit, error) {
	text := st.body
	r := &rewriter{statement: st, text: text, macros: macroNames()}
	for t := next(text, 0); t.kind != tokenEnd; t = next(text, t.end) {
		r.tokens = append(r.tokens, t)
	}
	ours, err := r.relations()
	if !ours || err != nil {
		return text, nil, err
	}
	r.match()
	for i := range r.tokens {
		if err := r.token(i); err != nil {
			return text, nil, err
		}
	}
	slices.SortStableFunc(r.edits, func(a, b edit) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return a.end - b.end
	})
	for i := 1; i < len(r.edits); i++ {
		if r.edits[i].start < r.edits[i-1].end { // an expression where a name or type belongs
			return text, nil, (&Error{Kind: Syntax, Message: "syntax error"}).at(st.query, st.start+r.edits[i].start)
		}
	}
	return r.apply(), r.edits, nil
}

// apply makes the edits, which are sorted and apart.
func (r *rewriter) apply() string {
	var b strings.Builder
	at := 0
	for _, e := range r.edits {
		b.WriteString(r.text[at:e.start])
		b.WriteString(e.text)
		at = e.end
	}
	b.WriteString(r.text[at:])
	return b.String()
}

// origin tells where a byte of the rewritten text stands in the original: for text that an edit brought, where the edit
// was made.
func origin(edits []edit, at int) int {
	moved := 0 // how far the rewritten text is ahead
	for _, e := range edits {
		begin := e.start + moved
		if at < begin {
			break
		}
		if at < begin+len(e.text) {
			return e.start
		}
		moved += len(e.text) - (e.end - e.start)
	}
	return at - moved
}

func (r *rewriter) replace(start, end int, text string) {
	r.edits = append(r.edits, edit{start, end, text})
}

func (r *rewriter) refuse(i int, construct, message string) error {
	e := &Error{Kind: Unknown, Construct: construct, Message: message}
	return e.at(r.statement.query, r.statement.start+r.tokens[min(i, len(r.tokens)-1)].start)
}

// word returns the token's text in upper case if there is one and it is a bare word, else "".
func (r *rewriter) word(i int) string {
	if i < 0 || i >= len(r.tokens) {
		return ""
	}
	return r.tokens[i].word(r.text)
}

// is tells whether a token is a sign.
func (r *rewriter) is(i int, sign byte) bool {
	return i >= 0 && i < len(r.tokens) && r.tokens[i].kind == tokenSign && r.text[r.tokens[i].start] == sign
}

// textOf returns a token's text, "" behind the last.
func (r *rewriter) textOf(i int) string {
	if i >= len(r.tokens) {
		return ""
	}
	return r.text[r.tokens[i].start:r.tokens[i].end]
}

// match pairs brackets.
func (r *rewriter) match() {
	r.pair = make([]int, len(r.tokens))
	var open []int
	for i := range r.tokens {
		r.pair[i] = -1
		switch {
		case r.is(i, '('), r.is(i, '['):
			open = append(open, i)
		case (r.is(i, ')') || r.is(i, ']')) && len(open) > 0:
			j := open[len(open)-1]
			open = open[:len(open)-1]
			r.pair[i], r.pair[j] = j, i
		}
	}
}

// arguments returns the first and last tokens of each argument between the brackets, the first of which is at open.
func (r *rewriter) arguments(open int) [][2]int {
	var args [][2]int
	first := open + 1
	for i := open + 1; i < r.pair[open]; i++ {
		if r.pair[i] > i {
			i = r.pair[i]
		} else if r.is(i, ',') {
			args = append(args, [2]int{first, i - 1})
			first = i + 1
		}
	}
	if first < r.pair[open] {
		args = append(args, [2]int{first, r.pair[open] - 1})
	}
	return args
}

// dataStore matches what stands for an event data store after FROM: its id, or the mark that AWS's samples and pages have for it.
var dataStore = regexp.MustCompile(`(?i)^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\$\{?(?:eds|event_?data_?store)(?:_?id)?\b\}?|` +
	`<\$?(?:eds|event[ _-]?data[ _-]?store)(?:[ _-]?id)?>|(?:config_)?(?:eds|event_data_store)[_-]id\b)`)

// relations finds the views and event data stores that the statement reads, and tells whether one means cloudtrail_lake.
// Several event data stores would be the same rows several times: that is refused.
func (r *rewriter) relations() (ours bool, err error) {
	for i := 1; i < len(r.tokens); i++ {
		before := r.word(i - 1)
		if before != "FROM" && before != "JOIN" && !r.is(i-1, ',') && !r.is(i-1, '.') {
			continue
		}
		t := r.tokens[i]
		name := strings.Trim(r.text[t.start:t.end], `"`)
		if (t.kind == tokenWord || t.kind == tokenQuoted) && strings.EqualFold(name, lakeView) {
			ours = true
			continue
		}
		if r.is(i-1, '.') {
			continue
		}
		store, end := "", t.end
		if t.kind == tokenQuoted {
			if store = dataStore.FindString(name); store != name {
				continue
			}
		} else if t.kind != tokenString {
			store = dataStore.FindString(r.text[t.start:])
			end = t.start + len(store)
		}
		if store == "" {
			continue
		}
		if r.store != "" && !strings.EqualFold(r.store, store) {
			return true, r.refuse(i, store, fmt.Sprintf("%s and %s are both this lake, and its rows would come twice: name one event data store", r.store, store))
		}
		ours, r.store = true, store
		r.replace(t.start, end, lakeView)
		last := i + 1
		for last < len(r.tokens) && r.tokens[last].start < end {
			last++
		}
		r.tokens[i] = token{tokenQuoted, t.start, end}
		r.tokens = slices.Delete(r.tokens, i+1, last)
	}
	return ours, nil
}

// keywords are words that may stand before a parenthesis without being a function's name.
var keywords = strings.Fields(`ALL AND ANY AS BETWEEN BY CASE CROSS CUBE DISTINCT ELSE EXCEPT EXISTS FETCH FROM HAVING IN INTERSECT IS JOIN
	LATERAL LIKE LIMIT MATERIALIZED NOT OFFSET ON OR ORDER OVER PARTITION RANGE ROLLUP ROWS SELECT SETS SOME THEN UNION USING VALUES WHEN WHERE
	WITHIN GROUP ESCAPE END FIRST LAST`)

// token rewrites what begins with a token.
func (r *rewriter) token(i int) error {
	switch {
	case r.is(i, '/'):
		r.replace(r.tokens[i].start, r.tokens[i].end, "//") // which divides whole numbers as Trino's / does
	case r.is(i, '-') && r.is(i+1, '>') && r.tokens[i].end == r.tokens[i+1].start:
		return r.lambda(i)
	case r.word(i) == "AT" && (r.word(i+1) == "TIME" || r.word(i+1) == "TIMEZONE"):
		return r.refuse(i, "AT TIME ZONE", "AT TIME ZONE is not supported in queries over cloudtrail_lake: times are in UTC")
	case r.is(i, '$') && r.word(i+1) != "" && r.tokens[i].end == r.tokens[i+1].start:
		return r.refuse(i, "$"+r.textOf(i+1), "$"+r.textOf(i+1)+" is a mark to be filled in: write a value in its place")
	case r.word(i) == "EVENTDATA" && r.is(i+1, '.') && !r.is(i-1, '.') && !r.named("EVENTDATA"):
		return r.refuse(i, r.textOf(i), "eventData is a column of event data stores of AWS Config's items and of other sources' events: this lake has CloudTrail's")
	case r.tokens[i].kind == tokenWord && r.is(i+1, '(') && r.pair[i+1] > 0:
		return r.call(i)
	}
	return nil
}

// named tells whether the statement gives something a name, in upper case, by AS.
func (r *rewriter) named(name string) bool {
	for i := range r.tokens {
		if r.word(i) == name && r.word(i-1) == "AS" {
			return true
		}
	}
	return false
}

// lambda rewrites x -> and (x, y) ->.
func (r *rewriter) lambda(arrow int) error {
	end := r.tokens[arrow+1].end
	names := ""
	start := arrow - 1
	switch {
	case r.is(arrow+2, '>') && r.tokens[arrow+2].start == end:
		return r.refuse(arrow, "->>", "the operator ->> is not Trino's: json_extract_scalar is")
	case r.word(arrow-1) != "":
		names = r.textOf(arrow - 1)
	case r.is(arrow-1, ')') && r.pair[arrow-1] >= 0:
		start = r.pair[arrow-1]
		names = strings.TrimSpace(r.text[r.tokens[start].end:r.tokens[arrow-1].start])
	default:
		return r.refuse(arrow, "->", "there is no name before ->")
	}
	r.replace(r.tokens[start].start, end, "lambda "+names+":")
	return nil
}

// call rewrites a function's call, or what looks like one.
func (r *rewriter) call(i int) error {
	open, name := i+1, strings.ToLower(r.textOf(i))
	last := r.pair[open]
	switch {
	case slices.Contains(keywords, strings.ToUpper(name)) || name == "filter" && r.word(open+1) == "WHERE":
		return nil
	case r.word(i-1) == "AS", r.is(i-1, ')'), r.word(i-1) == "WITH", r.word(i-1) == "RECURSIVE", r.word(last+1) == "AS" && r.is(last+2, '('):
		return nil // the columns of an alias
	case r.is(i-1, '.'):
		return r.refuse(i, r.textOf(i), r.textOf(i)+" can't be called on a value: Trino has no such calls")
	}
	switch name {
	case "cast", "try_cast":
		return r.cast(i)
	case "extract":
		return r.extract(i)
	case "concat": // Trino's is null if a part is
		r.replace(r.tokens[i].start, r.tokens[open].end, "((")
		for n, arg := range r.arguments(open) {
			if comma := r.tokens[arg[0]-1]; n > 0 {
				r.replace(comma.start, comma.end, ") || (")
			}
		}
		r.replace(r.tokens[last].start, r.tokens[last].end, "))")
		return nil
	case "any_match", "all_match", "none_match":
		r.replace(r.tokens[open].end, r.tokens[open].end, "list_transform(")
		r.replace(r.tokens[last].start, r.tokens[last].start, ")")
	case "json_extract", "json_extract_scalar", "json_size":
		if err := r.path(open); err != nil {
			return err
		}
	case "date_format", "date_parse":
		if err := r.format(i); err != nil {
			return err
		}
	case "unnest":
		r.unnest(i)
	}
	switch {
	case r.macros[name]:
		if err := r.bound(i, name); err != nil {
			return err
		}
		r.replace(r.tokens[i].start, r.tokens[i].end, "trino."+quoteName(name))
	case trinoRenamed[name] != "":
		r.replace(r.tokens[i].start, r.tokens[i].end, trinoRenamed[name])
	case !slices.Contains(trinoSame, name):
		e := &Error{Kind: Unknown, Construct: r.textOf(i), Message: "the function " + r.textOf(i) + " is not supported in queries over cloudtrail_lake"}
		e.Nearest = nearestOf(name, r.functions())
		return e.at(r.statement.query, r.statement.start+r.tokens[i].start)
	}
	return nil
}

// bound refuses calls of macros that nest too deeply.
func (r *rewriter) bound(i int, name string) error {
	within := 1
	for len(r.ends) > 0 && r.ends[len(r.ends)-1].end < i {
		r.ends = r.ends[:len(r.ends)-1]
	}
	if len(r.ends) > 0 {
		within = r.ends[len(r.ends)-1].times
	}
	within *= growth(name)
	if within > maxGrowth {
		return r.refuse(i, r.textOf(i), r.textOf(i)+" stands in too many other calls: use a WITH query for the inner ones")
	}
	r.ends = append(r.ends, repeated{r.pair[i+1], within})
	return nil
}

func (r *rewriter) functions() []string {
	names := append([]string{"concat"}, trinoSame...)
	names = slices.AppendSeq(names, maps.Keys(r.macros))
	names = slices.AppendSeq(names, maps.Keys(trinoRenamed))
	slices.Sort(names)
	return names
}

// extract rewrites the fields whose numbers or names differ.
func (r *rewriter) extract(i int) error {
	fields := map[string]string{"YEAR": "", "QUARTER": "", "MONTH": "", "WEEK": "", "DAY": "", "HOUR": "", "MINUTE": "", "SECOND": "", "DOY": "",
		"DOW": "isodow", "DAY_OF_WEEK": "isodow", "DAY_OF_YEAR": "doy", "DAY_OF_MONTH": "day", "YEAR_OF_WEEK": "isoyear", "YOW": "isoyear"}
	field, ok := fields[r.word(i+2)]
	if !ok || r.word(i+3) != "FROM" {
		return r.refuse(i, "EXTRACT", "EXTRACT of this field is not supported in queries over cloudtrail_lake")
	}
	if field != "" {
		r.replace(r.tokens[i+2].start, r.tokens[i+2].end, field)
	}
	return nil
}

// unnest gives each member of a row, and the key and value of a map, a column of its own, as Trino does.
func (r *rewriter) unnest(i int) {
	open := i + 1
	last := r.pair[open]
	alias := last + 1
	if r.word(alias) == "AS" {
		alias++
	}
	if !r.is(alias+1, '(') || r.pair[alias+1] < 0 || len(r.arguments(alias+1)) < 2 || len(r.arguments(open)) != 1 {
		return
	}
	head, tail := "LATERAL (SELECT ", ", max_depth := 2))"
	r.replace(r.tokens[i].start, r.tokens[i].start, head)
	if column := strings.ToLower(strings.Trim(r.textOf(last-1), `"`)); slices.ContainsFunc(lakeColumns, isMap(column)) {
		r.replace(r.tokens[open].end, r.tokens[open].end, "map_entries(")
		tail = ")" + tail
	}
	r.replace(r.tokens[last].start, r.tokens[last].end, tail)
}
