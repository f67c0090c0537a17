package lake

import (
	"net/url"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// takesModels tells whether the requests of a service name models of Bedrock's kind.
func takesModels(service string) bool {
	return strings.HasPrefix(service, "bedrock") || service == "claude-platform"
}

// modelMembers are the members of requestParameters that name a model, the first that is there counts.
var modelMembers = []string{"modelId", "model", "modelArn", "modelIdentifier", "foundationModel", "baseModelIdentifier", "inferenceProfileIdentifier"}

// modelOf returns the model of a call: the base model where the request or the resources name it, else what the
// request names. routed is true when an inference profile may have sent the call to another Region.
func modelOf(e *cloudtrail.Event) (model string, routed bool) {
	named := make([]string, len(modelMembers)+1)
	if e.RequestParameters != "" {
		e.RequestParameters.Members(func(name string, v cloudtrail.JSON) {
			if i := slices.Index(modelMembers, name); i >= 0 && strings.HasPrefix(string(v), `"`) {
				named[i] = v.Text()
			} else if name == "retrieveAndGenerateConfiguration" {
				named[len(modelMembers)] = retrievalModel(v)
			}
		})
	}
	opaque := ""
	for _, name := range named {
		model, base, profile := baseModel(name)
		routed = routed || profile
		if base {
			return model, routed
		}
		if opaque == "" {
			opaque = model
		}
	}
	for _, r := range e.Resources {
		if !strings.HasPrefix(r.Type, "AWS::Bedrock::") && !strings.Contains(r.ARN, ":bedrock:") {
			continue
		}
		model, base, profile := baseModel(r.ARN)
		routed = routed || profile
		if base {
			return model, routed
		}
		if opaque == "" && modelResource(r.ARN) {
			opaque = model
		}
	}
	return opaque, routed
}

// retrievalModel returns the model of a RetrieveAndGenerate call.
func retrievalModel(configuration cloudtrail.JSON) string {
	for _, kind := range []string{"knowledgeBaseConfiguration", "externalSourcesConfiguration"} {
		if arn := configuration.Member(kind).Member("modelArn").Text(); arn != "" {
			return arn
		}
	}
	return ""
}

// modelResource tells whether an ARN is that of something that answers as a model.
func modelResource(arn string) bool {
	for _, kind := range []string{":provisioned-model/", ":custom-model/", ":custom-model-deployment/", ":imported-model/",
		":application-inference-profile/", ":inference-profile/", "prompt-router/"} {
		if strings.Contains(arn, kind) {
			return true
		}
	}
	return false
}

// redacted are the marks that stand for texts that AWS doesn't log.
func redacted(s string) bool {
	return s == "HIDDEN_DUE_TO_SECURITY_REASONS" || s == "REDACTED" || strings.Trim(s, "*") == ""
}

// baseModel takes a model's id or ARN, or an inference profile's. base is false when the base model behind it can't be
// told from the name: the name is then returned as it is. profile is true for profiles, which choose the Region.
func baseModel(name string) (model string, base, profile bool) {
	if strings.Contains(name, "%") {
		if plain, err := url.PathUnescape(name); err == nil {
			name = plain
		}
	}
	if redacted(name) {
		return "", false, false
	}
	if !strings.HasPrefix(name, "arn:") {
		model, profile = withoutGeography(name)
		return model, true, profile
	}
	fields := strings.SplitN(name, ":", 6)
	if len(fields) < 6 {
		return name, false, false
	}
	kind, id, _ := strings.Cut(fields[5], "/")
	switch kind {
	case "foundation-model":
		model, profile = withoutGeography(id)
		return model, id != "" && id != "*", profile
	case "inference-profile":
		model, _ = withoutGeography(id)
		return model, id != "", true
	case "application-inference-profile", "default-prompt-router", "prompt-router":
		return name, false, true
	}
	return name, false, false
}

// geographies are the prefixes of the ids of cross-Region inference profiles
// (https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html).
var geographies = []string{"us", "us-gov", "eu", "apac", "ap", "jp", "au", "ca", "global", "sa", "uk", "me", "af", "in", "il", "mx"}

// withoutGeography strips the geography of an inference profile's id.
func withoutGeography(id string) (model string, profile bool) {
	geography, model, found := strings.Cut(id, ".")
	if found && strings.Contains(model, ".") && slices.Contains(geographies, geography) {
		return model, true
	}
	return id, false
}

// guardrails returns the ids of the guardrails that the call names and the resources tell of
// (https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails.html); ENFORCED, which stands for those that the account
// applies, only when the resources don't tell which.
func guardrails(e *cloudtrail.Event) string {
	var ids []string
	add := func(name string) {
		if i := strings.LastIndex(name, "guardrail/"); i >= 0 {
			name = name[i+len("guardrail/"):]
		}
		if !redacted(name) && !slices.Contains(ids, name) {
			ids = append(ids, name)
		}
	}
	enforced := false
	if p := string(e.RequestParameters); strings.Contains(p, "uardrailI") {
		request := func(v cloudtrail.JSON) {
			if name := v.Text(); name == "ENFORCED" {
				enforced = true
			} else if strings.HasPrefix(string(v), `"`) {
				add(name)
			}
		}
		e.RequestParameters.Members(func(name string, v cloudtrail.JSON) {
			switch name {
			case "guardrailIdentifier", "guardrailId":
				request(v)
			case "guardrailConfig", "guardrailConfiguration":
				request(v.Member("guardrailIdentifier"))
				request(v.Member("guardrailId"))
			}
		})
	}
	for _, r := range e.Resources {
		if r.Type == "AWS::Bedrock::Guardrail" {
			add(r.ARN)
		}
	}
	if len(ids) == 0 && e.EventName == "CreateGuardrail" {
		add(e.ResponseElements.Member("guardrailId").Text())
	}
	if len(ids) == 0 && enforced {
		return "ENFORCED"
	}
	return strings.Join(ids, ",")
}
