package smithy

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Check says what is wrong with an input, in the words of AWS's own validation: "1 validation error detected: Value
// null at 'modelId' failed to satisfy constraint: Member must not be null". It returns "" for a valid input. Paths are
// in lower camel case, list members counted from 1.
//
// Members named in skip (top-level) are not looked at: those that a service judges with an error of its own.
func (op *Operation) Check(in map[string]any, skip ...string) string {
	if op.Input == nil {
		return ""
	}
	c := checker{skip: skip}
	c.structure(op.Input, in, "")
	switch n := len(c.errors); n {
	case 0:
		return ""
	case 1:
		return "1 validation error detected: " + c.errors[0]
	default:
		return fmt.Sprintf("%d validation errors detected: %s", n, strings.Join(c.errors, "; "))
	}
}

// maxViolations bounds how many are reported, as AWS does.
const maxViolations = 10

type checker struct {
	errors []string
	skip   []string
}

func (c *checker) fail(path string, value any, constraint string) {
	if len(c.errors) >= maxViolations {
		return
	}
	shown := "null"
	switch v := value.(type) {
	case nil:
	case string:
		shown = "'" + v + "'"
	case []any, map[string]any, []byte:
		c.errors = append(c.errors, fmt.Sprintf("Value at '%s' failed to satisfy constraint: %s", path, constraint))
		return
	default:
		shown = fmt.Sprintf("'%v'", v)
	}
	c.errors = append(c.errors, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", shown, path, constraint))
}

func (c *checker) structure(s *Shape, in map[string]any, path string) {
	for _, name := range s.Required {
		if _, ok := in[name]; !ok && (path != "" || !c.skips(name)) && !optionalDocument(s, name) {
			c.fail(join(path, name), nil, "Member must not be null")
		}
	}
	for i := range s.Members {
		m := &s.Members[i]
		if v, ok := in[m.Name]; ok && (path != "" || !c.skips(m.Name)) {
			c.value(m.Shape, v, join(path, m.Name))
		}
	}
}

// optionalDocument is true for documents, whose null is a value.
func optionalDocument(s *Shape, name string) bool {
	m := s.Member(name)
	return m != nil && m.Shape.Document
}

func (c *checker) skips(name string) bool {
	for _, s := range c.skip {
		if s == name {
			return true
		}
	}
	return false
}

func (c *checker) value(s *Shape, v any, path string) {
	if s.Document {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		if s.Type == "structure" {
			c.structure(s, v, path)
			return
		}
		c.bounds(s, v, len(v), path)
		for k, e := range v {
			c.value(s.Item, e, path+"."+k+".member")
		}
	case []any:
		c.bounds(s, v, len(v), path)
		for i, e := range v {
			at := fmt.Sprintf("%s.%d.member", path, i+1)
			if e == nil {
				c.fail(at, nil, "Member must not be null")
				continue
			}
			c.value(s.Item, e, at)
		}
	case string:
		c.text(s, v, path)
	case []byte:
		c.bounds(s, v, len(v), path)
	case int64:
		c.rangeOf(s, float64(v), v, path)
	case float64:
		c.rangeOf(s, v, v, path)
	}
}

func (c *checker) text(s *Shape, v, path string) {
	if len(s.Enum) > 0 {
		for _, e := range s.Enum {
			if e == v {
				return
			}
		}
		c.fail(path, v, "Member must satisfy enum value set: ["+strings.Join(s.Enum, ", ")+"]")
		return
	}
	c.bounds(s, v, utf8.RuneCountInString(v), path)
	if re := s.regexp(); re != nil && !re.MatchString(v) {
		c.fail(path, v, "Member must satisfy regular expression pattern: "+s.Pattern)
	}
}

func (c *checker) bounds(s *Shape, v any, n int, path string) {
	if s.Min != nil && float64(n) < *s.Min {
		c.fail(path, v, fmt.Sprintf("Member must have length greater than or equal to %.0f", *s.Min))
	}
	if s.Max != nil && float64(n) > *s.Max {
		c.fail(path, v, fmt.Sprintf("Member must have length less than or equal to %.0f", *s.Max))
	}
}

func (c *checker) rangeOf(s *Shape, n float64, v any, path string) {
	if s.Min != nil && n < *s.Min {
		c.fail(path, v, fmt.Sprintf("Member must have value greater than or equal to %v", *s.Min))
	}
	if s.Max != nil && n > *s.Max {
		c.fail(path, v, fmt.Sprintf("Member must have value less than or equal to %v", *s.Max))
	}
}

// regexp is the shape's pattern for the whole value, or nil where it has none or Go can make nothing of it.
func (s *Shape) regexp() *regexp.Regexp {
	s.once.Do(func() {
		if s.Pattern != "" {
			s.pattern, _ = regexp.Compile("^(?:" + goPattern(s.Pattern) + ")$")
		}
	})
	return s.pattern
}

func join(path, name string) string {
	name = LowerFirst(name)
	if path == "" {
		return name
	}
	return path + "." + name
}

// LowerFirst is name in lower camel case as CloudTrail and validation messages spell members: "KMSKeyId" becomes
// "kMSKeyId", "S3Bucket" "s3Bucket".
func LowerFirst(name string) string {
	if name == "" || name[0] < 'A' || name[0] > 'Z' {
		return name
	}
	return string(name[0]+'a'-'A') + name[1:]
}
