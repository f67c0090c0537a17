package ai

import (
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// conversation reads the messages of a Converse request.
func conversation(c *call, in obj) (prompt, *awsapi.Error) {
	p := prompt{
		max: whole(in, 0, "inferenceConfig", "maxTokens"), stops: texts(in, "inferenceConfig", "stopSequences"), choice: "auto",
	}
	var all []string
	for _, s := range list(in, "system") {
		all = append(all, text(s, "text"))
	}
	messages := list(in, "messages")
	if len(messages) == 0 {
		return p, c.invalid("1 validation error detected: Value null at 'messages' failed to satisfy constraint: Member must not be null")
	}
	tools := false
	for i, m := range messages {
		role := text(m, "role")
		switch {
		case i == 0 && role != "user":
			return p, c.invalid("A conversation must start with a user message. Try again with a conversation that starts with a user message.")
		case i > 0 && role == text(messages[i-1], "role"):
			return p, c.invalid("A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.")
		}
		var words []string
		for j, block := range list(m, "content") {
			if t, ok := at(block, "text").(string); ok && strings.TrimSpace(t) == "" {
				return p, c.invalid("The text field in the ContentBlock object at messages.%d.content.%d is blank. Add text to the text field, and try again.", i, j)
			}
			said, media, isTool := blockText(block)
			words, p.media, tools = append(words, said), p.media+media, tools || isTool
			p.used = i == len(messages)-1 && at(block, "toolResult") != nil
		}
		all = append(all, words...)
		if role == "user" {
			p.last = strings.TrimSpace(strings.Join(words, "\n"))
		}
	}
	config := object(in, "toolConfig")
	if tools && config == nil {
		return p, c.invalid("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
	}
	p.all = strings.Join(all, "\n")
	p.offered(config)
	return p, nil
}

// offered reads the tools of a request.
func (p *prompt) offered(config obj) {
	for _, t := range list(config, "tools") {
		if name := text(t, "toolSpec", "name"); name != "" {
			p.tools = append(p.tools, tool{name, object(t, "toolSpec", "inputSchema", "json")})
			p.all += "\n" + jsonText(at(t, "toolSpec"))
		}
	}
	if at(config, "toolChoice", "any") != nil {
		p.choice = "any"
	} else if name := text(config, "toolChoice", "tool", "name"); name != "" {
		p.choice = name
	}
}

// blockText is what a content block says, how many media it holds, and whether it is a tool's.
func blockText(block any) (said string, media int, isTool bool) {
	for name, v := range object(block) {
		switch name {
		case "text":
			said = text(block, "text")
		case "guardContent":
			said = text(v, "text", "text")
		case "toolUse":
			return text(v, "name") + jsonText(at(v, "input")), 0, true
		case "toolResult":
			var parts []string
			for _, r := range list(v, "content") {
				if data := at(r, "json"); data != nil {
					parts = append(parts, jsonText(data))
				}
				parts = append(parts, text(r, "text"))
			}
			return strings.Join(parts, "\n"), 0, true
		case "reasoningContent":
			said = text(v, "reasoningText", "text")
		case "cachePoint":
		default:
			media++
		}
	}
	return said, media, false
}

// guardedText is what of a request its guardrail judges: guardContent blocks if there are any, else all the user said.
func guardedText(in obj, p prompt) string {
	var guarded []string
	for _, m := range list(in, "messages") {
		for _, block := range list(m, "content") {
			if g := object(block, "guardContent"); g != nil {
				guarded = append(guarded, text(g, "text", "text"))
			}
		}
	}
	if len(guarded) > 0 {
		return strings.Join(guarded, "\n")
	}
	return p.last
}

// exchange is a Converse call carried out.
type exchange struct {
	reply
	trace obj // nil unless asked for
}

func (b *backend) exchange(c *call) (exchange, error) {
	var x exchange
	t, err := b.invoked(c, text(c.in, "modelId"))
	if err != nil {
		return x, err
	}
	if !t.chats() {
		return x, c.invalid("This action doesn't support the model that you provided. Try again with a supported text or chat model.")
	}
	p, bad := conversation(c, c.in)
	if bad != nil {
		return x, bad
	}
	guard, err := b.guardrailOf(c, text(c.in, "guardrailConfig", "guardrailIdentifier"), text(c.in, "guardrailConfig", "guardrailVersion"))
	if err != nil {
		return x, err
	}
	if b.Upstream != nil {
		request, unfit := converseChat(c.in, &p)
		if unfit != "" {
			return x, c.invalid("The model server that requests are forwarded to takes no %s.", unfit)
		}
		p.chat = request
	}
	if x.reply, x.trace, err = b.guarded(c, t, p, guard, guardedText(c.in, p)); err != nil {
		return x, err
	}
	if !slices.Contains([]string{"enabled", "enabled_full"}, text(c.in, "guardrailConfig", "trace")) {
		x.trace = nil
	}
	return x, nil
}

// guarded answers a prompt under a guardrail, which may be nil, and says what the guardrail found.
func (b *backend) guarded(c *call, t *target, p prompt, guard *resource, subject string) (reply, obj, error) {
	if guard == nil {
		r, err := b.think(c, t, p)
		return r, nil, err
	}
	key := guard.id()
	before := guard.judge("input", subject, grounding{})
	b.applied(c, guard, "INPUT", before)
	trace := obj{"inputAssessment": obj{key: before.assessment}}
	if before.blocked {
		return reply{text: before.output, in: p.tokens(), out: prose.Tokens(before.output), stop: "guardrail_intervened"}, trace, nil
	}
	if before.intervened { // masked
		p.last = strings.ReplaceAll(p.last, subject, before.output)
		p.chat = mask(p.chat, subject, before.output)
	}
	r, err := b.think(c, t, p)
	if err != nil {
		return r, trace, err
	}
	after := guard.judge("output", r.text, grounding{})
	b.applied(c, guard, "OUTPUT", after)
	if after.intervened {
		r.text, r.stop = after.output, "guardrail_intervened"
		if p.chat == nil { // a model server has counted what it said
			r.out = prose.Tokens(r.text)
		}
	}
	trace["modelOutput"] = []string{r.text}
	trace["outputAssessments"] = obj{key: []any{after.assessment}}
	return r, trace, nil
}

func (r *reply) message() obj {
	content := []any{}
	if r.text != "" {
		content = append(content, obj{"text": r.text})
	}
	if r.tool != nil {
		content = append(content, obj{"toolUse": obj{"toolUseId": r.id, "name": r.tool.name, "input": r.input}})
	}
	return obj{"role": "assistant", "content": content}
}

func (r *reply) usage() obj {
	return obj{"inputTokens": r.in, "outputTokens": r.out, "totalTokens": r.in + r.out}
}

func (b *backend) converse(c *call) (obj, error) {
	x, err := b.exchange(c)
	if err != nil {
		return nil, err
	}
	c.spent(x.reply)
	return x.answer(c), nil
}

// answer is the answer of Converse.
func (x *exchange) answer(c *call) obj {
	out := with(keep(c.in, "serviceTier", "performanceConfig"), obj{
		"output": obj{"message": x.message()}, "stopReason": x.stop, "usage": x.usage(), "metrics": obj{"latencyMs": latency(x.out)},
	})
	if x.trace != nil {
		out["trace"] = obj{"guardrail": x.trace}
	}
	return out
}

// piece is how many tokens a streamed event carries.
const piece = 4

func (b *backend) converseStream(c *call) (obj, error) {
	x, err := b.exchange(c)
	if err != nil {
		return nil, err
	}
	if !c.model.streams {
		return nil, c.invalid("The model is unsupported for streaming.")
	}
	c.streaming()
	c.used, c.streamed = &x.reply, x.answer(c)
	c.stream = func(e *smithy.EventWriter) (*awsapi.Completion, error) {
		// A client that has gone has used the tokens all the same.
		return c.completion(x.reply), sendAll(e, x.events())
	}
	return obj{}, nil
}

func (x *exchange) events() []event {
	events := []event{{"messageStart", obj{"role": "assistant"}}}
	index := 0
	if x.text != "" {
		for _, part := range prose.Pieces(x.text, piece) {
			events = append(events, event{"contentBlockDelta", obj{"delta": obj{"text": part}, "contentBlockIndex": index}})
		}
		events = append(events, event{"contentBlockStop", obj{"contentBlockIndex": index}})
		index++
	}
	if x.tool != nil {
		events = append(events,
			event{"contentBlockStart", obj{"start": obj{"toolUse": obj{"toolUseId": x.id, "name": x.tool.name}}, "contentBlockIndex": index}},
			event{"contentBlockDelta", obj{"delta": obj{"toolUse": obj{"input": jsonText(x.input)}}, "contentBlockIndex": index}},
			event{"contentBlockStop", obj{"contentBlockIndex": index}})
	}
	metadata := obj{"usage": x.usage(), "metrics": obj{"latencyMs": latency(x.out)}}
	if x.trace != nil {
		metadata["trace"] = obj{"guardrail": x.trace}
	}
	return append(events, event{"messageStop", obj{"stopReason": x.stop}}, event{"metadata", metadata})
}

func (b *backend) countTokens(c *call) (obj, error) {
	t, err := b.resolve(c, text(c.in, "modelId"))
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, c.invalid(invalidModel)
	}
	if !t.chats() {
		return nil, c.invalid("The provided model doesn't support counting tokens.")
	}
	if in := object(c.in, "input", "converse"); in != nil {
		p, bad := conversation(c, in)
		if bad != nil {
			return nil, bad
		}
		return obj{"inputTokens": p.tokens()}, nil
	}
	body, _ := at(c.in, "input", "invokeModel", "body").([]byte)
	p, bad := t.read(c, body)
	if bad != nil {
		return nil, bad
	}
	return obj{"inputTokens": p.tokens()}, nil
}
