package query

import (
	"regexp"
	"strings"
)

// lakeTypes are Trino's names of types, and DuckDB's of the same.
var lakeTypes = map[string]string{
	"BOOLEAN": "BOOLEAN", "TINYINT": "TINYINT", "SMALLINT": "SMALLINT", "INTEGER": "INTEGER", "INT": "INTEGER", "BIGINT": "BIGINT", "REAL": "FLOAT",
	"DOUBLE": "DOUBLE", "VARCHAR": "VARCHAR", "DATE": "DATE", "TIMESTAMP": "TIMESTAMP", "JSON": "JSON", "DECIMAL": "DECIMAL", "VARBINARY": "BLOB",
	"UUID": "UUID",
}

// cast rewrites CAST(x AS type) and TRY_CAST.
func (r *rewriter) cast(i int) error {
	open := i + 1
	last := r.pair[open]
	as := -1
	for j := open + 1; j < last; j++ {
		if r.pair[j] > j {
			j = r.pair[j]
		} else if r.word(j) == "AS" {
			as = j
		}
	}
	if as < 0 || as+1 >= last {
		return r.refuse(i, r.textOf(i), "there is no type in "+r.textOf(i))
	}
	varchar := `trino."varchar"(`
	if r.word(i) == "TRY_CAST" {
		varchar = "trino.try_varchar("
	}
	call, tail := "", ")"
	switch typ := r.word(as + 1); {
	case typ == "VARCHAR" && as+2 == last:
		call = varchar
	case typ == "VARCHAR" && r.is(as+2, '(') && as+5 == last:
		call, tail = "left("+varchar, "), "+r.textOf(as+3)+")"
	case typ == "JSON": // Trino makes a JSON text of a text; it doesn't read it
		call = "to_json("
	default:
		text, end, err := r.typeAt(as + 1)
		if err != nil {
			return err
		}
		if end != last {
			return r.refuse(as+1, r.textOf(end), "the type is not supported in queries over cloudtrail_lake")
		}
		r.replace(r.tokens[as+1].start, r.tokens[last-1].end, text)
		return nil
	}
	if err := r.bound(i, "varchar"); err != nil {
		return err
	}
	r.replace(r.tokens[i].start, r.tokens[open].end, call)
	r.replace(r.tokens[as].start, r.tokens[last].end, tail)
	return nil
}

// typeAt reads the type that begins at a token. It returns DuckDB's name of it, and the token behind it.
func (r *rewriter) typeAt(i int) (string, int, error) {
	word := r.word(i)
	shut := byte(')')
	if r.is(i+1, '<') {
		shut = '>'
	}
	opens := shut == '>' || r.is(i+1, '(')
	switch {
	case (word == "ARRAY" || word == "MAP" || word == "ROW") && opens:
		var parts []string
		for at := i + 2; ; at++ {
			name := ""
			if word == "ROW" {
				name = quoteName(strings.Trim(r.textOf(at), `"`)) + " "
				at++
			}
			part, end, err := r.typeAt(at)
			if err != nil {
				return "", 0, err
			}
			parts = append(parts, name+part)
			if at = end; !r.is(at, ',') {
				if !r.is(at, shut) {
					return "", 0, r.refuse(i, word, "the type "+word+" has no end")
				}
				return compose(word, parts), at + 1, nil
			}
		}
	case lakeTypes[word] == "":
		return "", 0, r.refuse(i, r.textOf(i), "the type "+r.textOf(i)+" is not supported in queries over cloudtrail_lake")
	}
	text, end := lakeTypes[word], i+1
	if r.is(end, '(') && r.pair[end] > 0 {
		if word == "DECIMAL" {
			text = r.text[r.tokens[i].start:r.tokens[r.pair[end]].end]
		}
		end = r.pair[end] + 1
	}
	if word == "TIMESTAMP" && r.word(end) == "WITH" && r.word(end+1) == "TIME" && r.word(end+2) == "ZONE" {
		text, end = "TIMESTAMPTZ", end+3
	}
	return text, end, nil
}

func compose(kind string, parts []string) string {
	switch kind {
	case "ARRAY":
		return strings.Join(parts, ", ") + "[]"
	case "ROW":
		return "STRUCT(" + strings.Join(parts, ", ") + ")"
	}
	return "MAP(" + strings.Join(parts, ", ") + ")"
}

// format rewrites the format of date_format and date_parse, the second argument, which has to be a constant.
func (r *rewriter) format(i int) error {
	args := r.arguments(i + 1)
	if len(args) != 2 || args[1][0] != args[1][1] || r.tokens[args[1][0]].kind != tokenString || r.textOf(args[1][0])[0] != '\'' {
		return r.refuse(i, r.textOf(i), r.textOf(i)+" is supported with a format given as a text only")
	}
	literal := r.textOf(args[1][0])
	var b strings.Builder
	for at := 0; at < len(literal); at++ {
		if literal[at] != '%' {
			b.WriteByte(literal[at])
			continue
		}
		at++
		mark, ok := mysqlMarks[literal[min(at, len(literal)-1)]]
		if !ok {
			return r.refuse(args[1][0], literal, "the format "+literal+" has a mark that is not supported")
		}
		b.WriteString(mark)
	}
	t := r.tokens[args[1][0]]
	r.replace(t.start, t.end, b.String())
	return nil
}

// isMap returns a test for the map column of a name.
func isMap(name string) func(c struct{ name, typ, expr, doc string }) bool {
	return func(c struct{ name, typ, expr, doc string }) bool { return c.name == name && c.typ == mapType }
}

// pathStep matches a step of a JSONPath of Trino's: .name, [12], ["name"] or ['name'].
var pathStep = regexp.MustCompile(`^(?:\.([^.\["'*]+)|\.?\[(-?[0-9]+)\]|\.?\["([^"\\]+)"\]|\.?\[''([^'\\"]+)''\]|\."([^"\\]+)")`)

// path rewrites a JSONPath that is given as a constant to DuckDB's form. Others than plain ones are refused: DuckDB returns
// lists for paths with *.
func (r *rewriter) path(open int) error {
	args := r.arguments(open)
	if len(args) != 2 || args[1][0] != args[1][1] || r.tokens[args[1][0]].kind != tokenString || r.textOf(args[1][0])[0] != '\'' {
		return nil
	}
	i := args[1][0]
	literal := r.textOf(i)
	rest := literal[1:max(1, len(literal)-1)]
	path := "$"
	rest, ok := strings.CutPrefix(rest, "$")
	for ok && rest != "" {
		step := pathStep.FindStringSubmatch(rest)
		if step == nil {
			ok = false
			break
		}
		if step[2] != "" {
			path += "[" + step[2] + "]"
		} else {
			path += `."` + step[1] + step[3] + step[4] + step[5] + `"`
		}
		rest = rest[len(step[0]):]
	}
	if !ok {
		return r.refuse(i, literal, "the JSON path "+literal+" is not supported: $, .name, [0] and [\"name\"] are")
	}
	r.replace(r.tokens[i].start, r.tokens[i].end, "'"+path+"'")
	return nil
}
