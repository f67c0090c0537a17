package smithy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Index is all APIs, as far as finding the operation of a request needs them.
type Index struct {
	Tables []*Table
}

// Table is the routes of one API.
type Table struct {
	Head
	Routes []Route

	once  sync.Once
	rest  map[string][]route // by method
	names map[string]bool
}

// Route says which requests are for an operation.
type Route struct{ Name, Method, URI string }

// LoadIndex reads the embedded index.
func LoadIndex() (*Index, error) {
	x := &Index{}
	return x, unpack("index", x)
}

// Clients names the clients whose models are embedded, sorted. It reads none of them.
func Clients() []string {
	entries, err := models.ReadDir("models")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json.gz"); ok && name != "index" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// route is a compiled URI template: literals and {labels}, a greedy {label+} matching the rest.
type route struct {
	name     string
	segments []string
	slash    bool       // the template ends in "/"
	query    url.Values // what the template's query must hold
}

func (t *Table) compile() {
	t.rest, t.names = map[string][]route{}, make(map[string]bool, len(t.Routes))
	for _, r := range t.Routes {
		t.names[r.Name] = true
		if t.Protocol != "rest-json" {
			continue
		}
		path, query, _ := strings.Cut(r.URI, "?")
		c := route{name: r.Name, segments: split(path), slash: len(path) > 1 && strings.HasSuffix(path, "/")}
		if query != "" {
			c.query, _ = url.ParseQuery(query)
		}
		t.rest[r.Method] = append(t.rest[r.Method], c)
	}
}

func split(path string) []string {
	return strings.Split(strings.Trim(path, "/"), "/")
}

// IsCBOR tells whether a request speaks Smithy's RPC v2 in CBOR.
func IsCBOR(r *http.Request) bool { return r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor" }

// Match finds the operation a request is for, and how well it fits: a greater fit is the better match where several
// tables have a route for it. The name is "" when the table has none. Services of the JSON protocols are found by the
// path of Smithy's RPC v2 too (https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html).
func (t *Table) Match(r *http.Request) (name string, labels map[string]string, fit int) {
	t.once.Do(t.compile)
	if t.Protocol == "json" {
		name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), t.Target+".")
		if IsCBOR(r) {
			name, ok = strings.CutPrefix(r.URL.Path, "/service/"+t.Target+"/operation/")
		}
		if !ok || !t.names[name] {
			return "", nil, 0
		}
		return name, nil, 1
	}
	path := r.URL.EscapedPath()
	segments, slash := split(path), len(path) > 1 && strings.HasSuffix(path, "/")
	for i := range t.rest[r.Method] {
		c := &t.rest[r.Method][i]
		l, f := c.match(segments, slash, r.URL)
		if f > fit || f == fit && f > 0 && c.name < name {
			name, labels, fit = c.name, l, f
		}
	}
	return name, labels, fit
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
