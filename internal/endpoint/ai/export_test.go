package ai

import "github.com/aitrail/aitrail/internal/endpoint/ai/smithy"

// Served names every operation the package serves, as "client.Operation", with the model's operation.
func Served() map[string]*smithy.Operation {
	out := map[string]*smithy.Operation{}
	rules := (&backend{}).rules()
	for _, c := range clients() {
		if err := c.load(); err != nil {
			panic(err)
		}
		for name, op := range c.model.Operations {
			if rules[c.name+"."+name] != nil {
				out[c.name+"."+name] = op
			}
		}
	}
	if len(out) != len(rules) {
		panic("rules for operations that no model has")
	}
	return out
}
