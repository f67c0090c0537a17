package logs

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// parsePattern returns the test that a filter pattern stands for. Patterns are
//
//	                        every event
//	ERROR "not found"       all of the terms are in the message, as they are written
//	?ERROR ?WARN            one of the terms is
//	ERROR -Exiting          the first is, the second isn't
//	{ $.eventName = "X" }   the message is JSON, and the selector's value compares so: =, != with text (* stands for
//	                        anything) or numbers; <, <=, >, >= with numbers; IS TRUE, IS FALSE, IS NULL, EXISTS,
//	                        NOT EXISTS; conditions are joined by &&, || and parentheses
//
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html). The error says what is not.
func parsePattern(pattern string) (func(message string) bool, error) {
	p := strings.TrimSpace(pattern)
	switch {
	case len(pattern) > 1024:
		return nil, fmt.Errorf("longer than 1024 characters")
	case p == "":
		return func(string) bool { return true }, nil
	case p[0] == '{':
		return parseJSONPattern(p)
	case p[0] == '[' || p[0] == '%':
		return nil, fmt.Errorf("space-delimited patterns and regular expressions are not supported")
	}
	return parseTerms(p)
}

func parseTerms(p string) (func(string) bool, error) {
	var all, some, none []string
	for p != "" {
		kind := byte(0)
		if p[0] == '?' || p[0] == '-' {
			kind, p = p[0], p[1:]
		}
		term, rest, err := word(p, " \t")
		if err != nil {
			return nil, err
		}
		if term == "" {
			return nil, fmt.Errorf("an empty term")
		}
		switch kind {
		case '?':
			some = append(some, term)
		case '-':
			none = append(none, term)
		default:
			all = append(all, term)
		}
		p = strings.TrimLeft(rest, " \t")
	}
	return func(m string) bool {
		for _, t := range all {
			if !strings.Contains(m, t) {
				return false
			}
		}
		for _, t := range none {
			if strings.Contains(m, t) {
				return false
			}
		}
		for _, t := range some {
			if strings.Contains(m, t) {
				return true
			}
		}
		return len(some) == 0 || len(all) > 0
	}, nil
}

// word cuts a word off: quoted, or up to a character of ends.
func word(p, ends string) (text, rest string, err error) {
	if strings.HasPrefix(p, `"`) {
		for i := 1; i < len(p); i++ {
			switch p[i] {
			case '\\':
				i++
			case '"':
				text = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(p[1:i])
				return text, p[i+1:], nil
			}
		}
		return "", "", fmt.Errorf("a quotation mark is not closed")
	}
	end := strings.IndexAny(p, ends)
	if end < 0 {
		end = len(p)
	}
	return p[:end], p[end:], nil
}

// condition tests a decoded message.
type condition func(v any) bool

// maxNesting is how deep parentheses can be.
const maxNesting = 20

// jsonPattern parses what is between { and }.
type jsonPattern struct {
	rest  string
	depth int
}

func parseJSONPattern(p string) (func(string) bool, error) {
	if !strings.HasSuffix(p, "}") {
		return nil, fmt.Errorf("no } at the end")
	}
	j := &jsonPattern{rest: p[1 : len(p)-1]}
	test, err := j.or()
	if err != nil {
		return nil, err
	}
	if j.space(); j.rest != "" {
		return nil, fmt.Errorf("unexpected %q", j.rest)
	}
	return func(message string) bool {
		var v map[string]any
		return strings.HasPrefix(strings.TrimSpace(message), "{") && json.Unmarshal([]byte(message), &v) == nil && test(v)
	}, nil
}

func (j *jsonPattern) space() { j.rest = strings.TrimLeft(j.rest, " \t\n") }

// take cuts a token off if it is next; letters in any case.
func (j *jsonPattern) take(token string) bool {
	j.space()
	if len(j.rest) < len(token) || !strings.EqualFold(j.rest[:len(token)], token) {
		return false
	}
	j.rest = j.rest[len(token):]
	return true
}

func (j *jsonPattern) or() (condition, error) {
	return j.joined("||", j.and, func(a, b condition) condition { return func(v any) bool { return a(v) || b(v) } })
}

func (j *jsonPattern) and() (condition, error) {
	return j.joined("&&", j.single, func(a, b condition) condition { return func(v any) bool { return a(v) && b(v) } })
}

func (j *jsonPattern) joined(by string, part func() (condition, error), join func(a, b condition) condition) (condition, error) {
	test, err := part()
	for err == nil && j.take(by) {
		var next condition
		if next, err = part(); err == nil {
			test = join(test, next)
		}
	}
	return test, err
}

func (j *jsonPattern) single() (condition, error) {
	if j.take("(") {
		if j.depth++; j.depth > maxNesting {
			return nil, fmt.Errorf("parentheses are nested too deeply")
		}
		test, err := j.or()
		if err != nil {
			return nil, err
		}
		if !j.take(")") {
			return nil, fmt.Errorf("a parenthesis is not closed")
		}
		j.depth--
		return test, nil
	}
	if !j.take("$.") {
		return nil, fmt.Errorf("expected a selector such as $.eventName at %q", j.rest)
	}
	selector, rest, err := word(j.rest, " \t\n=!<>()&|")
	if err != nil {
		return nil, err
	}
	path := strings.Split(selector, ".")
	for _, name := range path {
		if name == "" || strings.ContainsAny(name, `[]*"%`) {
			return nil, fmt.Errorf("selector $.%s is not supported", selector)
		}
	}
	j.rest = rest
	test, err := j.comparison()
	if err != nil {
		return nil, err
	}
	return func(v any) bool { return test(lookUp(v, path)) }, nil
}

// missing is the value of a selector that the message hasn't.
type missing struct{}

func lookUp(v any, path []string) any {
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return missing{}
		}
		if v, ok = m[name]; !ok {
			return missing{}
		}
	}
	return v
}

func (j *jsonPattern) comparison() (condition, error) {
	switch {
	case j.take("NOT EXISTS"):
		return func(v any) bool { return v == missing{} }, nil
	case j.take("EXISTS"):
		return func(v any) bool { return v != missing{} }, nil
	case j.take("IS TRUE"):
		return func(v any) bool { return v == true }, nil
	case j.take("IS FALSE"):
		return func(v any) bool { return v == false }, nil
	case j.take("IS NULL"):
		return func(v any) bool { return v == nil }, nil
	}
	for _, op := range []string{"!=", "<=", ">=", "=", "<", ">"} {
		if !j.take(op) {
			continue
		}
		j.space()
		quoted := strings.HasPrefix(j.rest, `"`)
		value, rest, err := word(j.rest, " \t\n()&|")
		if err != nil {
			return nil, err
		}
		if value == "" && !quoted || strings.HasPrefix(value, "%") && !quoted {
			return nil, fmt.Errorf("expected a value at %q", j.rest)
		}
		j.rest = rest
		return compare(op, value, quoted)
	}
	return nil, fmt.Errorf("expected a comparison at %q", j.rest)
}

func compare(op, value string, quoted bool) (condition, error) {
	n, err := strconv.ParseFloat(value, 64)
	numeric := err == nil && !quoted
	switch {
	case numeric:
		return func(v any) bool {
			f, ok := v.(float64)
			switch op {
			case "=":
				return ok && f == n
			case "!=":
				return !ok || f != n
			case "<":
				return ok && f < n
			case "<=":
				return ok && f <= n
			case ">":
				return ok && f > n
			}
			return ok && f >= n
		}, nil
	case op == "=" || op == "!=":
		return func(v any) bool {
			if v == (missing{}) {
				return false
			}
			s, ok := v.(string)
			return (ok && glob(value, s)) == (op == "=")
		}, nil
	}
	return nil, fmt.Errorf("%s needs a number, not %q", op, value)
}

// glob tells whether text has the form of a pattern in which * stands for anything.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[last])
}
