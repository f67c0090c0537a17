package smithy

import (
	"net/http"
	"net/url"
	"strings"
)

// route is a compiled URI template: literals and {labels}, a greedy {label+} matching the rest.
type route struct {
	op       *Operation
	segments []string
	slash    bool       // the template ends in "/"
	query    url.Values // what the template's query must hold
}

type router struct {
	routes map[string][]route // by method
}

func (t *router) add(op *Operation) {
	path, query, _ := strings.Cut(op.URI, "?")
	r := route{op: op, segments: split(path), slash: len(path) > 1 && strings.HasSuffix(path, "/")}
	if query != "" {
		r.query, _ = url.ParseQuery(query)
	}
	if t.routes == nil {
		t.routes = map[string][]route{}
	}
	t.routes[op.Method] = append(t.routes[op.Method], r)
}

func split(path string) []string {
	return strings.Split(strings.Trim(path, "/"), "/")
}

// Match finds the operation a request is for, and how well it fits: a greater fit is the better match where several
// models have a route for it. It returns nil when the model has none.
func (m *Model) Match(r *http.Request) (op *Operation, labels map[string]string, fit int) {
	if m.Protocol == "json" {
		target := r.Header.Get("X-Amz-Target")
		name, ok := strings.CutPrefix(target, m.Target+".")
		if !ok {
			return nil, nil, 0
		}
		return m.Operations[name], nil, 1
	}
	path := r.URL.EscapedPath()
	segments, slash := split(path), len(path) > 1 && strings.HasSuffix(path, "/")
	for _, t := range m.routes.routes[r.Method] {
		l, f := t.match(segments, slash, r.URL)
		if f > fit || f == fit && op != nil && t.op.Name < op.Name {
			op, labels, fit = t.op, l, f
		}
	}
	return op, labels, fit
}

// match weighs literals over labels over greedy labels; a trailing slash as the template has it breaks ties, since a few
// operations differ by nothing else (PrepareAgent and InvokeInlineAgent).
func (t *route) match(segments []string, slash bool, u *url.URL) (map[string]string, int) {
	labels := map[string]string{}
	fit := 1
	for i, s := range t.segments {
		name, isLabel := strings.CutPrefix(s, "{")
		name = strings.TrimSuffix(name, "}")
		switch {
		case isLabel && strings.HasSuffix(name, "+"):
			if i >= len(segments) {
				return nil, 0
			}
			rest := strings.Join(segments[i:], "/")
			if value, err := url.PathUnescape(rest); err == nil && rest != "" {
				labels[strings.TrimSuffix(name, "+")] = value
				return labels, fit + 1
			}
			return nil, 0
		case i >= len(segments):
			return nil, 0
		case isLabel:
			value, err := url.PathUnescape(segments[i])
			if err != nil || value == "" {
				return nil, 0
			}
			labels[name] = value
			fit += 10
		case s != segments[i]:
			return nil, 0
		default:
			fit += 100
		}
	}
	if len(segments) != len(t.segments) {
		return nil, 0
	}
	for k, want := range t.query {
		if got := u.Query()[k]; len(got) == 0 || got[0] != want[0] {
			return nil, 0
		}
		fit += 100
	}
	if slash == t.slash {
		fit += 5
	}
	return labels, fit
}
