package live

import (
	"encoding/json"
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
