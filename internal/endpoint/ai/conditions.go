package ai

import (
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
)

// Conditions is the condition keys that Bedrock gives to IAM: the guardrail that a call names
// (bedrock:GuardrailIdentifier, with its version behind a colon when it isn't the draft), the inference profile
// through which it invokes a model (bedrock:InferenceProfileArn), and the kind of API key (bedrock:bearerTokenType).
func (s *service) Conditions(c *awsapi.Call) policy.Context {
	k, ok := s.call(c)
	if !ok || s.signing != "bedrock" {
		return nil
	}
	keys := policy.Context{}
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
