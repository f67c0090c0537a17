package ai

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
)

// filler makes answers from shapes: what it knows of a resource under the names that it was given with, and the least
// that is valid for the rest.
type filler struct {
	c     *call
	noun  *noun     // nil: the answer is about no resource
	r     *resource // what the answer is about
	known map[string]any
	begun bool // the resource has just been made
}

func (c *call) filler(k *noun, r *resource) *filler {
	f := &filler{c: c, noun: k, r: r, known: map[string]any{}}
	if r != nil {
		for name, v := range r.Config {
			f.known[strings.ToLower(name)] = v
		}
	}
	return f
}

// output fills the operation's output. Lists are there, empty; what else isn't required or known isn't.
func (f *filler) output() obj {
	s := f.c.op.Output
	if s == nil {
		return obj{}
	}
	out := f.structure(s, 0, true)
	for i := range s.Members {
		m := &s.Members[i]
		if _, ok := out[m.Name]; !ok && m.Shape.Type == "list" && m.In == "" && s.Payload == "" && m.Shape.Min == nil {
			out[m.Name] = []any{}
		}
	}
	return out
}

// structure fills a structure. own tells that its members are the resource's.
func (f *filler) structure(s *smithy.Shape, depth int, own bool) obj {
	out := obj{}
	if s.Union {
		f.union(s, depth, out)
		return out
	}
	for i := range s.Members {
		m := &s.Members[i]
		if m.In == "statusCode" || m.Shape.EventStream {
			continue
		}
		if own {
			if v, ok := f.own(m, depth); ok {
				out[m.Name] = v
				continue
			}
		}
		if slices.Contains(s.Required, m.Name) || s.Payload == m.Name {
			out[m.Name] = f.least(m.Shape, m.Name, depth+1)
		}
	}
	return out
}

func (f *filler) union(s *smithy.Shape, depth int, out obj) {
	for _, simple := range []bool{true, false} {
		for i := range s.Members {
			m := &s.Members[i]
			if m.Shape.Exception || simple && (m.Shape.Type == "structure" || m.Shape.Type == "list") {
				continue
			}
			out[m.Name] = f.least(m.Shape, m.Name, depth+1)
			return
		}
	}
}

// own is a member's value where the resource has one.
func (f *filler) own(m *smithy.Member, depth int) (any, bool) {
	if f.r == nil {
		return nil, false
	}
	l := strings.ToLower(m.Name)
	switch {
	case m.Shape.Type == "string" && f.noun.isARN(l):
		return f.c.allowed(m.Shape, f.r.ARN, f.noun.name, f.r.own()), true
	case m.Shape.Type == "timestamp" && isCreation(l):
		return f.r.Created, true
	case m.Shape.Type == "timestamp" && isUpdate(l):
		return f.r.Updated, true
	case l == "tags" && (m.Shape.Type == "map" || m.Shape.Type == "list"):
		return tagValue(m.Shape, f.r.Tags), len(f.r.Tags) > 0
	}
	if v, ok := f.known[l]; ok {
		if v, ok = f.fit(m.Shape, v, depth); ok {
			return v, true
		}
	}
	switch {
	case m.Shape.Type == "string" && l == "id" && f.noun.versions() && m.Shape.Allows(f.r.Parent) && f.r.Parent != "":
		return f.r.Parent, true // the id of what it is a version of
	case m.Shape.Type == "string" && f.noun.isID(l) && m.Shape.Allows(f.r.own()):
		return f.r.own(), true
	case m.Shape.Type == "string" && f.noun.isName(l) && f.r.Name != "" && m.Shape.Allows(f.r.Name):
		return f.r.Name, true
	case len(m.Shape.Enum) > 0 && (strings.HasSuffix(l, "status") || strings.HasSuffix(l, "state")):
		return f.status(m.Shape.Enum), true
	case depth == 0 && m.Shape.Type == "structure" && f.noun.names(m.Shape):
		return f.structure(m.Shape, depth+1, true), true
	}
	return nil, false
}

func isCreation(member string) bool {
	for _, part := range []string{"creat", "starttime", "startedat", "submit", "starteddate"} {
		if strings.Contains(member, part) {
			return true
		}
	}
	return false
}

func isUpdate(member string) bool {
	for _, part := range []string{"updat", "modif", "endtime", "endedat", "completed"} {
		if strings.Contains(member, part) {
			return true
		}
	}
	return false
}

// The statuses of what is just being made, is there, and was stopped, best first.
var (
	beginning = []string{"CREATING", "IN_PROGRESS", "SUBMITTED", "PENDING", "QUEUED", "STARTING"}
	settled   = []string{
		"ACTIVE", "READY", "AVAILABLE", "INSERVICE", "ENABLED", "COMPLETED", "COMPLETE", "SUCCEEDED", "SUCCESS", "CREATED",
		"CREATE_COMPLETE", "CREATION_SUCCESSFUL", "SUCCESSFUL", "TRAINED", "BUILT", "INITIATED", "PREPARED",
	}
	halted = []string{"STOPPED", "CANCELLED", "CANCELED", "STOPPING", "INACTIVE"}
)

func (f *filler) status(enum []string) string {
	words := settled
	switch {
	case f.r.Config[stoppedKey] == true:
		words = halted
	case f.begun:
		words = append(slices.Clone(beginning), settled...)
	}
	for _, w := range words {
		for _, e := range enum {
			if strings.EqualFold(e, w) {
				return e
			}
		}
	}
	for _, e := range enum {
		if !slices.ContainsFunc([]string{"fail", "err", "delet", "invalid"}, func(bad string) bool { return strings.Contains(strings.ToLower(e), bad) }) {
			return e
		}
	}
	return enum[0]
}

// least is the smallest value of a shape.
func (f *filler) least(s *smithy.Shape, name string, depth int) any {
	if s.Document {
		return obj{}
	}
	n := 0
	if s.Min != nil {
		n = int(math.Ceil(*s.Min))
	}
	switch s.Type {
	case "structure":
		if depth > 12 {
			return obj{}
		}
		return f.structure(s, depth, f.r != nil && depth == 1 && f.noun.names(s))
	case "list":
		out := []any{}
		for range min(n, 100) {
			out = append(out, f.least(s.Item, name, depth+1))
		}
		return out
	case "map":
		out := obj{}
		for i := range min(n, 10) {
			out["key"+strconv.Itoa(i)] = f.least(s.Item, name, depth+1)
		}
		return out
	case "boolean":
		return false
	case "timestamp":
		return f.c.Time
	case "blob":
		return make([]byte, n)
	case "float", "double", "bigDecimal":
		if s.Min != nil {
			return *s.Min
		}
		return 0.0
	case "string":
		return f.text(s, name)
	default:
		return int64(n)
	}
}

// text is a text that the shape allows, and that fits the member's name where it may.
func (f *filler) text(s *smithy.Shape, name string) string {
	l := strings.ToLower(name)
	if len(s.Enum) > 0 {
		if f.r != nil && (strings.HasSuffix(l, "status") || strings.HasSuffix(l, "state")) {
			return f.status(s.Enum)
		}
		return s.Enum[0]
	}
	seed := hash(f.c.ID, f.c.op.Name, name)
	var fits []string
	switch {
	case strings.HasSuffix(l, "arn"):
		return f.c.arnOf(s, strings.TrimSuffix(strings.TrimSuffix(name, "Arn"), "ARN"), "", seed)
	case strings.HasSuffix(l, "accountid"):
		fits = []string{f.c.Account}
	case l == "region" || strings.HasSuffix(l, "region"):
		fits = []string{f.c.Region}
	case l == "requestid":
		fits = []string{f.c.ID}
	case strings.HasSuffix(l, "version"):
		fits = []string{"1", "1.0"}
	case strings.HasSuffix(l, "uri"), strings.HasSuffix(l, "url"), strings.HasSuffix(l, "endpoint"):
		fits = []string{"https://example.com/" + kebab(name), "s3://example-bucket/" + kebab(name)}
	case strings.HasSuffix(l, "email"):
		fits = []string{"someone@example.com"}
	case strings.HasSuffix(l, "id"):
		fits = []string{uuid(f.c.ID, name)}
		if s.Pattern == "" && (s.Min != nil || s.Max != nil) && (s.Max == nil || *s.Max < 36) {
			fits = nil
		}
	case strings.Contains(l, "json") || strings.HasSuffix(l, "policy"):
		fits = []string{"{}"}
	default:
		fits = []string{kebab(name)}
	}
	for _, text := range fits {
		if s.Allows(text) {
			return text
		}
	}
	text, _ := s.Sample(seed)
	return text
}

// fit turns a value that was given under one shape, and may have been kept as JSON since, into one of another.
func (f *filler) fit(s *smithy.Shape, v any, depth int) (any, bool) {
	if s.Document {
		return v, true
	}
	switch s.Type {
	case "string":
		text, ok := v.(string)
		return text, ok && (len(s.Enum) == 0 || slices.Contains(s.Enum, text))
	case "boolean":
		b, ok := v.(bool)
		return b, ok
	case "structure":
		return f.fitStructure(s, v, depth)
	case "list":
		in, ok := v.([]any)
		if !ok {
			return nil, false
		}
		out := make([]any, 0, len(in))
		for _, e := range in {
			item, ok := f.fit(s.Item, e, depth+1)
			if !ok {
				return nil, false
			}
			out = append(out, item)
		}
		return out, true
	case "map":
		in, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		out := make(obj, len(in))
		for k, e := range in {
			item, ok := f.fit(s.Item, e, depth+1)
			if !ok {
				return nil, false
			}
			out[k] = item
		}
		return out, true
	default:
		return fitScalar(s.Type, v)
	}
}

func (f *filler) fitStructure(s *smithy.Shape, v any, depth int) (any, bool) {
	in, ok := v.(map[string]any)
	if !ok || depth > 40 {
		return nil, false
	}
	out := obj{}
	for i := range s.Members {
		m := &s.Members[i]
		if e, given := in[m.Name]; given {
			if item, ok := f.fit(m.Shape, e, depth+1); ok {
				out[m.Name] = item
				continue
			}
		}
		if slices.Contains(s.Required, m.Name) && !s.Union {
			out[m.Name] = f.least(m.Shape, m.Name, depth+1)
		}
	}
	return out, !s.Union || len(out) == 1
}

func fitScalar(kind string, v any) (any, bool) {
	switch kind {
	case "timestamp":
		switch v := v.(type) {
		case time.Time:
			return v, true
		case string:
			t, err := time.Parse(time.RFC3339Nano, v)
			return t, err == nil
		}
		return nil, false
	case "blob":
		switch v := v.(type) {
		case []byte:
			return v, true
		case string:
			b, err := base64.StdEncoding.DecodeString(v)
			return b, err == nil
		}
		return nil, false
	case "float", "double", "bigDecimal":
		switch v := v.(type) {
		case float64:
			return v, true
		case int64:
			return float64(v), true
		}
		return nil, false
	default:
		switch v := v.(type) {
		case int64:
			return v, true
		case float64:
			return int64(v), v == math.Trunc(v)
		}
		return nil, false
	}
}
