package ai

import (
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
)

// Conditions is the condition keys that the services give to IAM: the tags that a call gives to what it makes
// (aws:RequestTag, aws:TagKeys) and, for Bedrock, the guardrail that a call names
// (bedrock:GuardrailIdentifier, with its version behind a colon when it isn't the draft), the inference profile
// through which it invokes a model (bedrock:InferenceProfileArn), and the kind of API key (bedrock:bearerTokenType).
func (s *service) Conditions(c *awsapi.Call) policy.Context {
	k, ok := s.call(c)
	if !ok {
		return nil
	}
	keys := policy.Context{}
	for name, value := range requestTags(k.in) {
		keys["aws:RequestTag/"+name] = []string{value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], name)
	}
	if s.signing != "bedrock" {
		return keys
	}
	identifier, version := text(k.in, "guardrailIdentifier"), text(k.in, "guardrailVersion")
	if identifier == "" {
		identifier, version = text(k.in, "guardrailConfig", "guardrailIdentifier"), text(k.in, "guardrailConfig", "guardrailVersion")
	}
	if identifier != "" {
		if !strings.HasPrefix(identifier, "arn:") {
			identifier = k.arn("guardrail/" + identifier)
		}
		if version != "" && version != draft {
			identifier += ":" + version
		}
		keys["bedrock:GuardrailIdentifier"] = []string{identifier}
	}
	for _, a := range s.Access(c) {
		if strings.Contains(a.Resource, "inference-profile/") {
			keys["bedrock:InferenceProfileArn"] = []string{a.Resource}
		}
	}
	if c.Caller != nil && c.Caller.Bearer {
		keys["bedrock:bearerTokenType"] = []string{"LONG_TERM"}
		if c.Caller.Session != nil {
			keys["bedrock:bearerTokenType"] = []string{"SHORT_TERM"}
		}
	}
	return keys
}

// requestTags are the tags in a call's input: a list of keys and values, or a map, in either spelling.
func requestTags(in obj) map[string]string {
	out := map[string]string{}
	for _, member := range []string{"tags", "Tags", "TagList", "tagsMap"} {
		switch v := in[member].(type) {
		case []any:
			for _, t := range v {
				for _, spelling := range [][2]string{{"key", "value"}, {"Key", "Value"}} {
					if key := text(t, spelling[0]); key != "" {
						out[key] = text(t, spelling[1])
					}
				}
			}
		case map[string]any:
			for key := range v {
				out[key] = text(v, key)
			}
		}
	}
	return out
}
