package live

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/aitrail/aitrail/internal/provision"
)

// Change is a property that is not as the set-up says. Strings are as they are, other values JSON; of event selectors the
// names of those that differ.
type Change struct {
	Property string `json:"property"`
	Have     string `json:"have"` // "" means that it isn't set
	Want     string `json:"want"`
	Detail   string `json:"detail,omitempty"` // of a policy: which statements differ, and in what
}

// difference compares what is wanted with what is there. Only what is wanted counts; of tags, only those wanted.
func difference(want, have provision.Properties) []Change {
	var changes []Change
	for name, w := range want {
		h, ok := have[name]
		if ok && same(name, w, h) {
			continue
		}
		c := Change{Property: name, Want: shown(w)}
		if ok && h != nil {
			c.Have = shown(h)
		}
		if selectors, ok := w.([]provision.Selector); ok {
			live, _ := h.([]provision.Selector)
			c.Have, c.Want = differentSelectors(live, selectors), differentSelectors(selectors, live)
		}
		if isPolicy(name) && ok {
			c.Detail = differentStatements(c.Have, c.Want)
		}
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Property, b.Property) })
	return changes
}

// differentSelectors names the selectors of a that b hasn't got, or has otherwise.
func differentSelectors(a, b []provision.Selector) string {
	var names []string
	for _, s := range a {
		if !slices.ContainsFunc(b, func(other provision.Selector) bool { return shown(other) == shown(s) }) {
			names = append(names, strings.TrimPrefix(s.Name, provision.SelectorPrefix))
		}
	}
	return strings.Join(names, ", ")
}

func same(name string, want, have any) bool {
	if w, ok := want.(string); ok && isPolicy(name) {
		h, _ := have.(string)
		return samePolicy(w, h)
	}
	if name == "Tags" {
		w, _ := want.(map[string]string)
		h, _ := have.(map[string]string)
		for k, v := range w {
			if got, ok := h[k]; !ok || got != v {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(normal(want), normal(have))
}

// isPolicy tells whether a property is a policy document.
func isPolicy(name string) bool {
	return name == "KeyPolicy" || strings.HasSuffix(name, "PolicyDocument")
}

// shown is a property's value as text: strings as they are, all else as JSON.
func shown(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // properties encode
	}
	return string(text)
}

// normal is a value as JSON has it: ints are float64, structs maps.
func normal(v any) any {
	var out any
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err) // properties encode
	}
	return out
}

// samePolicy tells whether two policy documents mean the same: a value and a list of just it do, and so do lists in
// another order.
func samePolicy(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return reflect.DeepEqual(plain(x), plain(y))
}

func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, member := range v {
			v[k] = plain(member)
		}
		return v
	case []any:
		if len(v) == 1 {
			return plain(v[0])
		}
		for i := range v {
			v[i] = plain(v[i])
		}
		sort.SliceStable(v, func(i, j int) bool {
			x, _ := v[i].(string)
			y, _ := v[j].(string)
			return x < y
		})
		return v
	}
	return v
}

// differentStatements says which statements of a policy are missing, changed or too many, and of changed ones which members
// are otherwise.
func differentStatements(have, want string) string {
	var h, w struct{ Statement any }
	if json.Unmarshal([]byte(have), &h) != nil || json.Unmarshal([]byte(want), &w) != nil {
		return ""
	}
	name := func(st any) string {
		if sid := sidOf(st); sid != "" {
			return "statement " + sid
		}
		return "a statement without Sid"
	}
	var list []string
	left := asList(h.Statement)
	for _, st := range asList(w.Statement) {
		i := slices.IndexFunc(left, func(o any) bool { return sidOf(o) == sidOf(st) })
		if i < 0 {
			list = append(list, name(st)+" is missing")
			continue
		}
		if members := differentMembers(left[i], st, ""); len(members) > 0 {
			list = append(list, name(st)+" differs in "+strings.Join(members, ", "))
		}
		left = slices.Delete(slices.Clone(left), i, i+1)
	}
	for _, st := range left {
		list = append(list, name(st)+" is not the set-up's")
	}
	return strings.Join(list, "; ")
}

// differentMembers names the members, by their paths, in which two values of a policy are not the same.
func differentMembers(a, b any, path string) []string {
	x, isMap := a.(map[string]any)
	y, both := b.(map[string]any)
	if !isMap || !both {
		if reflect.DeepEqual(plain(normal(a)), plain(normal(b))) {
			return nil
		}
		return []string{path}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(joined(x, y))) {
		list = append(list, differentMembers(x[name], y[name], strings.TrimPrefix(path+"."+name, "."))...)
	}
	return list
}

func joined(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// splitPolicy takes the statements whose Sid one of want's has out of a policy; others are the rest. Both keep their order.
func splitPolicy(have, want string) (ours string, others []any) {
	type doc struct {
		Version   string
		Statement any
	}
	var h, w doc
	if json.Unmarshal([]byte(have), &h) != nil || json.Unmarshal([]byte(want), &w) != nil {
		return have, nil
	}
	sids := map[string]bool{}
	for _, st := range asList(w.Statement) {
		sids[sidOf(st)] = true
	}
	mine := []any{}
	for _, st := range asList(h.Statement) {
		if sids[sidOf(st)] {
			mine = append(mine, st)
		} else {
			others = append(others, st)
		}
	}
	return shown(doc{h.Version, mine}), others
}

// joinPolicy adds statements to a policy.
func joinPolicy(policy string, others []any) string {
	if len(others) == 0 {
		return policy
	}
	var d struct {
		Version   string
		Statement []any
	}
	if err := json.Unmarshal([]byte(policy), &d); err != nil {
		panic(err) // the set-up's own
	}
	d.Statement = append(others, d.Statement...)
	return shown(d)
}

func asList(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

func sidOf(statement any) string {
	m, _ := statement.(map[string]any)
	sid, _ := m["Sid"].(string)
	return sid
}
