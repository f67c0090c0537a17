package query

import "strings"

// valueType is the type of a column or of a part of it, read from DuckDB's spelling of it.
type valueType struct {
	base   string      // "STRUCT", "MAP", "UNION", "LIST" (arrays too), or a scalar's name: "BIGINT", "JSON", "DECIMAL(2,1)"
	fields []fieldType // of a STRUCT or UNION, in their order; of a MAP its key and value
	elem   *valueType  // of a LIST
	suffix string      // of a LIST: "[]" or "[3]"
}

type fieldType struct {
	name string
	typ  *valueType
}

// parseType reads a type as DESCRIBE spells it, e.g. `STRUCT("type" VARCHAR, x BIGINT[])[]`. What it doesn't know is a
// scalar of that name.
func parseType(text string) *valueType {
	p := typeParser{text: text}
	return p.parse()
}

type typeParser struct {
	text string
	at   int
}

func (p *typeParser) parse() *valueType {
	p.blank()
	start := p.at
	for p.at < len(p.text) && strings.IndexByte("([,)", p.text[p.at]) < 0 {
		p.at++
	}
	t := &valueType{base: strings.TrimSpace(p.text[start:p.at])}
	if p.peek() == '(' {
		switch t.base {
		case "STRUCT", "UNION":
			p.members(t, true)
		case "MAP":
			p.members(t, false)
		default: // DECIMAL(2,1), ENUM('a', 'b,)')
			p.skipParentheses()
			t.base = strings.TrimSpace(p.text[start:p.at])
		}
	}
	for p.peek() == '[' {
		from := p.at
		for p.at < len(p.text) && p.text[p.at] != ']' {
			p.at++
		}
		p.at = min(p.at+1, len(p.text))
		t = &valueType{base: "LIST", elem: t, suffix: p.text[from:p.at]}
	}
	return t
}

func (p *typeParser) members(t *valueType, named bool) {
	for p.at < len(p.text) && p.text[p.at] != ')' {
		p.at++ // the parenthesis or comma
		var f fieldType
		if named {
			f.name = p.name()
		}
		f.typ = p.parse()
		p.blank()
		t.fields = append(t.fields, f)
	}
	p.at = min(p.at+1, len(p.text))
}

func (p *typeParser) name() string {
	p.blank()
	start := p.at
	if p.peek() == '"' {
		p.at = quotedEnd(p.text, p.at, '"')
		return strings.ReplaceAll(strings.Trim(p.text[start:p.at], `"`), `""`, `"`)
	}
	for p.at < len(p.text) && p.text[p.at] != ' ' {
		p.at++
	}
	return p.text[start:p.at]
}

func (p *typeParser) skipParentheses() {
	for p.at < len(p.text) && p.text[p.at] != ')' {
		if p.text[p.at] == '\'' {
			p.at = quotedEnd(p.text, p.at, '\'')
			continue
		}
		p.at++
	}
	p.at = min(p.at+1, len(p.text))
}

func (p *typeParser) blank() {
	for p.peek() == ' ' {
		p.at++
	}
}

// peek returns the next byte, 0 at the end.
func (p *typeParser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// holds tells whether the type or a part of it is of the base type.
func (t *valueType) holds(base string) bool {
	if t.base == base || t.elem != nil && t.elem.holds(base) {
		return true
	}
	for _, f := range t.fields {
		if f.typ.holds(base) {
			return true
		}
	}
	return false
}

// replaced spells the type with one base type replaced by another.
func (t *valueType) replaced(base, by string) string {
	switch {
	case t.base == base:
		return by
	case t.elem != nil:
		return t.elem.replaced(base, by) + t.suffix
	case t.fields == nil:
		return t.base
	}
	parts := make([]string, len(t.fields))
	for i, f := range t.fields {
		parts[i] = f.typ.replaced(base, by)
		if t.base != "MAP" {
			parts[i] = quoteName(f.name) + " " + parts[i]
		}
	}
	return t.base + "(" + strings.Join(parts, ", ") + ")"
}

// quoteName writes a name so that it stands for itself in SQL.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteText writes a text as a string constant of SQL. It is for names of files and types, never for values that come
// from outside: those are bound parameters.
func quoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
