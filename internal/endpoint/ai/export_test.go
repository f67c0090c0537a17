package ai

import "github.com/aitrail/aitrail/internal/endpoint/ai/smithy"

// Served names every operation the package serves, as "client.Operation", with the model's operation; those that
// only their models serve too.
func Served() map[string]*smithy.Operation {
	out := map[string]*smithy.Operation{}
	rules := (&backend{}).rules()
	for _, c := range clients() {
		if err := c.load(); err != nil {
			panic(err)
		}
		for name, op := range c.model.Operations {
			out[c.name+"."+name] = op
			delete(rules, c.name+"."+name)
		}
	}
	if len(rules) > 0 {
		panic("rules for operations that no model has")
	}
	return out
}
