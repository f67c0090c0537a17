package ai

import (
	"fmt"
	"strings"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/ai/upstream"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// runtime is bedrock-runtime's operations.
func (b *backend) runtime() map[string]*rule {
	model := []string{"modelId"}
	// modelId is judged by what it stands for, not by the model's pattern: an unknown one has a message of its own.
	unchecked := []string{"modelId"}
	stream := func(c *call) []awsapi.Access {
		return b.modelAccess(c, "InvokeModelWithResponseStream", text(c.in, "modelId"))
	}
	plain := func(c *call) []awsapi.Access { return b.modelAccess(c, "InvokeModel", text(c.in, "modelId")) }
	guarded := append(model, "guardrailIdentifier", "guardrailVersion")
	conversed := append(model, "guardrailConfig")
	trace := map[string]string{"guardrailConfig.trace": left}
	return map[string]*rule{
		"InvokeModel":                   {serve: b.invokeModel, access: plain, params: guarded, unchecked: unchecked},
		"InvokeModelWithResponseStream": {serve: b.invokeModelStream, access: stream, params: guarded, unchecked: unchecked, prepare: b.describeModel},
		"InvokeModelWithBidirectionalStream": {serve: b.invokeBidirectional, params: model, unchecked: unchecked, prepare: b.describeModel,
			access: func(c *call) []awsapi.Access {
				return b.modelAccess(c, "InvokeModelWithBidirectionalStream", text(c.in, "modelId"))
			}},
		"Converse":       {serve: b.converse, access: plain, params: conversed, redact: trace, unchecked: unchecked},
		"ConverseStream": {serve: b.converseStream, access: stream, params: conversed, redact: trace, unchecked: unchecked, prepare: b.describeModel},
		"CountTokens": {serve: b.countTokens, params: model, unchecked: unchecked,
			access: func(c *call) []awsapi.Access { return b.modelAccess(c, "CountTokens", text(c.in, "modelId")) }},
		"ApplyGuardrail": {
			serve: b.applyGuardrail, resource: "guardrail/{guardrailIdentifier}", kind: "AWS::Bedrock::Guardrail",
			params: []string{"guardrailIdentifier", "guardrailVersion", "source"},
			reply:  true, replyOnly: []string{"action", "assessments"}, redact: guardrailRedactions(),
		},
		"StartAsyncInvoke": {serve: b.startAsyncInvoke, params: []string{"modelId", "outputDataConfig", "tags"}, unchecked: unchecked,
			access: func(c *call) []awsapi.Access { return b.modelAccess(c, "InvokeModel", text(c.in, "modelId")) }, prepare: b.describeModel},
		"GetAsyncInvoke":   {serve: b.getAsyncInvoke, resource: "{invocationArn}", kind: "AWS::Bedrock::AsyncInvoke"},
		"ListAsyncInvokes": {serve: b.listAsyncInvokes},
	}
}

// guardrailRedactions leaves out of a record what an evaluation says about content: the matches themselves.
func guardrailRedactions() map[string]string {
	out := map[string]string{}
	for _, path := range []string{
		"invocationMetrics", "appliedGuardrailDetails", "automatedReasoningPolicy", "contentPolicy.filters.filterStrength",
		"topicPolicy.topics.name", "wordPolicy.customWords.match", "wordPolicy.managedWordLists.match",
		"sensitiveInformationPolicy.piiEntities.match", "sensitiveInformationPolicy.regexes.match", "sensitiveInformationPolicy.regexes.regex",
	} {
		out["assessments."+path] = left
	}
	return out
}

// describeModel lists the invoked model as the record's resource. Only operations that are data events, or of which trails get
// a data event copy, have one.
func (b *backend) describeModel(c *call) {
	if t, err := b.resolve(c, text(c.in, "modelId")); err == nil && t != nil {
		c.Record.Resources = modelResource(c, t)
	}
}

func modelResource(c *call, t *target) []cloudtrail.Resource {
	return resources("AWS::Bedrock::Model", t.foundation.arn(c.Region))
}

// modelAccess is what invoking a model needs: the action on the model, on the inference profile and, where the profile
// routes, on the model in each of its Regions; and the guardrail's.
func (b *backend) modelAccess(c *call, action, identifier string) []awsapi.Access {
	action = "bedrock:" + action
	var needed []awsapi.Access
	t, err := b.resolve(c, identifier)
	switch {
	case err != nil || t == nil:
		if !strings.HasPrefix(identifier, "arn:") {
			identifier = fmt.Sprintf("arn:aws:bedrock:%s::foundation-model/%s", c.Region, identifier)
		}
		needed = append(needed, awsapi.Access{Action: action, Resource: identifier})
	default:
		needed = append(needed, awsapi.Access{Action: action, Resource: t.arn})
		if t.geo == "global" { // written without a Region in policies
			needed = append(needed, awsapi.Access{Action: action, Resource: t.foundation.arn(c.Region)}, awsapi.Access{Action: action, Resource: t.foundation.arn("")})
			break
		}
		for _, region := range t.regions {
			needed = append(needed, awsapi.Access{Action: action, Resource: t.foundation.arn(region)})
		}
		if strings.Contains(t.arn, ":application-inference-profile/") && len(t.regions) == 0 {
			needed = append(needed, awsapi.Access{Action: action, Resource: t.foundation.arn(c.Region)})
		}
	}
	identifier = text(c.in, "guardrailIdentifier")
	if identifier == "" {
		identifier = text(c.in, "guardrailConfig", "guardrailIdentifier")
	}
	if identifier != "" {
		if !strings.HasPrefix(identifier, "arn:") {
			identifier = c.arn("guardrail/" + identifier)
		}
		needed = append(needed, awsapi.Access{Action: "bedrock:ApplyGuardrail", Resource: identifier})
	}
	return needed
}

// invoked finds the model a request is for, able to run it.
func (b *backend) invoked(c *call, identifier string) (*target, error) {
	t, err := b.resolve(c, identifier)
	switch {
	case err != nil:
		return nil, err
	case t == nil:
		return nil, c.invalid(invalidModel)
	case t.geo == "" && !t.onDemand && strings.Contains(t.arn, ":foundation-model/"):
		return nil, c.invalid("Invocation of model ID %s with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.", identifier)
	}
	c.model = t
	return t, nil
}

// prompt is what a request says to a model, whatever family it speaks to.
type prompt struct {
	last   string // the user's last words, to be answered
	all    string // every text, to be counted
	media  int    // images, documents and the like
	max    int    // tokens to answer with at most
	stops  []string
	tools  []tool
	choice string            // "auto", "any", or a tool's name
	used   bool              // the last message is a tool's result
	chat   *upstream.Request // what a model server is asked, when requests are forwarded
}

// tool is a function that the model may ask for.
type tool struct {
	name   string
	schema obj
}

// reply is what a model says.
type reply struct {
	text     string
	in, out  int
	stop     string // end_turn, max_tokens, stop_sequence, tool_use, guardrail_intervened
	sequence string // the stop sequence found
	tool     *tool  // the one asked for
	id       string
	input    obj // the tool's
}

// mediaTokens is what an image or document counts for.
const mediaTokens = 1500

func (p *prompt) tokens() int { return max(1, prose.Tokens(p.all)+p.media*mediaTokens) }

// defaultTokens bounds an answer to a request that sets no limit.
const defaultTokens = 4096

// think answers a prompt without a model.
func (t *target) think(p prompt) reply {
	r := reply{in: p.tokens(), stop: "end_turn"}
	if asked := p.asks(); asked != nil {
		r.tool, r.stop = asked, "tool_use"
		r.input, _ = sample(asked.schema, p.last).(obj)
		if r.input == nil {
			r.input = obj{}
		}
		r.id = "tooluse_" + id(22, lowerDigits+upperDigits, t.id, asked.name, p.all)
		r.out = 8 + prose.Tokens(asked.name) + prose.Tokens(fmt.Sprint(r.input))
		return r
	}
	r.text = prose.Answer(t.provider+" "+t.name, p.last)
	if cut, sequence := prose.Stop(r.text, p.stops); sequence != "" {
		r.text, r.stop, r.sequence = cut, "stop_sequence", sequence
	}
	limit := p.max
	if limit <= 0 {
		limit = defaultTokens
	}
	if cut, was := prose.Cut(r.text, limit); was {
		r.text, r.stop, r.sequence = cut, "max_tokens", ""
	}
	r.out = prose.Tokens(r.text)
	return r
}

// asks is the tool the model asks for: the one the request wants, or one that the user names; nil for none.
func (p *prompt) asks() *tool {
	if len(p.tools) == 0 || p.used && p.choice == "auto" {
		return nil
	}
	for i, t := range p.tools {
		if p.choice == t.name || p.choice == "any" || p.choice == "auto" && containsWord(p.last, t.name) != "" {
			return &p.tools[i]
		}
	}
	return nil
}

// sample is the smallest value a JSON schema allows, with the text where a string is wanted.
func sample(schema any, about string) any {
	if enum := list(schema, "enum"); len(enum) > 0 {
		return enum[0]
	}
	switch text(schema, "type") {
	case "object":
		out := obj{}
		for _, name := range texts(schema, "required") {
			out[name] = sample(at(schema, "properties", name), about)
		}
		return out
	case "array":
		if whole(schema, 0, "minItems") > 0 {
			return []any{sample(at(schema, "items"), about)}
		}
		return []any{}
	case "integer", "number":
		return whole(schema, 1, "minimum")
	case "boolean":
		return true
	default:
		short, _ := prose.Cut(about, 16)
		return short
	}
}

// spent completes the record of an inference call with where it ran and what it used.
func (c *call) spent(r reply) {
	extra := with(object(c.Record.AdditionalEventData), obj{"inputTokens": r.in, "outputTokens": r.out})
	if len(c.model.regions) > 0 {
		extra["inferenceRegion"] = c.model.region(c)
	}
	c.Record.AdditionalEventData = extra
	c.used = &r
}

// completion is the record of a stream that has ended.
func (c *call) completion(r reply) *awsapi.Completion {
	return &awsapi.Completion{
		ServiceEventDetails: obj{
			"parentRequestId": c.ID,
			"AdditionalEventData": obj{"additionalEntries": obj{
				"inferenceRegion": c.model.region(c), "inputTokens": r.in, "outputTokens": r.out,
			}},
		},
		Resources: modelResource(c, c.model),
	}
}

// streaming marks the record of a streaming call, whose tokens are known only at its end.
func (c *call) streaming() {
	if len(c.model.regions) > 0 {
		c.Record.AdditionalEventData = with(object(c.Record.AdditionalEventData), obj{"inferenceRegion": c.model.region(c)})
	}
}

// latency is how many milliseconds an answer of so many tokens is said to have taken: a fixed measure, so that
// answers repeat.
func latency(tokens int) int { return 180 + 11*tokens }

// sendAll writes events in order.
func sendAll(e *smithy.EventWriter, events []event) error {
	for _, v := range events {
		if err := e.Send(v.name, v.value); err != nil {
			return err
		}
	}
	return nil
}

type event struct {
	name  string
	value obj
}
