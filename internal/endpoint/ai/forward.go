package ai

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
	"github.com/aitrail/aitrail/internal/endpoint/ai/upstream"
)

// think answers a prompt: by the model server that requests are forwarded to, if there is one and the prompt can be put
// to it, else by itself.
func (b *backend) think(c *call, t *target, p prompt) (reply, error) {
	if b.Upstream == nil || p.chat == nil {
		return t.think(p), nil
	}
	in := *p.chat
	in.Model = t.id
	a, err := b.Upstream.Chat(c.Request.Context(), in)
	if err != nil {
		return reply{}, upstreamFailed(err)
	}
	r := reply{text: a.Text, in: a.In, out: a.Out, stop: "end_turn"}
	switch a.Finish {
	case "length":
		r.stop = "max_tokens"
	case "content_filter":
		r.stop = "content_filtered"
	}
	if a.Tool != nil {
		r.stop, r.id, r.input = "tool_use", a.Tool.ID, a.Tool.Arguments
		r.tool = &tool{name: a.Tool.Name}
		if r.id == "" {
			r.id = "tooluse_" + id(22, lowerDigits+upperDigits, t.id, a.Tool.Name, p.all)
		}
	}
	if r.in+r.out == 0 { // a server that doesn't count
		r.in, r.out = p.tokens(), prose.Tokens(a.Text)
	}
	return r, nil
}

// upstreamFailed is what a client is told of a model server's failure, as Bedrock tells of its models'.
func upstreamFailed(err error) error {
	var e *upstream.Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Timeout:
		return fail("ModelTimeoutException", 408, "%s", e.Reason)
	case e.Status == 0 || e.Status == 503:
		return fail("ServiceUnavailableException", 503, "%s", e.Reason)
	case e.Status == 429:
		return fail("ThrottlingException", 429, "%s", e.Reason)
	}
	return fail("ModelErrorException", 424, "%s", e.Reason)
}

// mask puts another text in place of what the user said. When it doesn't stand there as it was judged, the user's last
// message is replaced as a whole, so that nothing masked goes out.
func mask(chat *upstream.Request, said, instead string) *upstream.Request {
	if chat == nil {
		return nil
	}
	masked := *chat
	masked.Messages = slices.Clone(chat.Messages)
	last, found := -1, false
	for i, m := range masked.Messages {
		if m["role"] != "user" {
			continue
		}
		last = i
		content := replaced(m["content"], said, instead)
		found = found || jsonText(content) != jsonText(m["content"])
		masked.Messages[i] = with(m, obj{"content": content})
	}
	if !found && last >= 0 {
		masked.Messages[last] = with(masked.Messages[last], obj{"content": instead})
	}
	return &masked
}

func replaced(content any, said, instead string) any {
	switch v := content.(type) {
	case string:
		return strings.ReplaceAll(v, said, instead)
	case []any:
		var parts []any
		for _, part := range v {
			if t := text(part, "text"); t != "" {
				part = obj{"type": "text", "text": strings.ReplaceAll(t, said, instead)}
			}
			parts = append(parts, part)
		}
		return parts
	}
	return content
}

// chat collects messages in OpenAI's form.
type chat struct {
	upstream.Request
	unfit string // what can't be put in that form; "" when all can
}

// request is what is sent; nil when something of it can't be.
func (ch *chat) request() *upstream.Request {
	if len(ch.Tools) > 0 { // one tool is asked for at a time
		parallel := false
		ch.Parallel = &parallel
	}
	return &ch.Request
}

// turn is a message's parts on their way to OpenAI's form.
type turn struct {
	parts   []any
	calls   []any
	results []map[string]any
}

func (t *turn) say(said string) {
	if said != "" {
		t.parts = append(t.parts, obj{"type": "text", "text": said})
	}
}

func (t *turn) show(mediaType, base64Data string) {
	t.parts = append(t.parts, obj{"type": "image_url", "image_url": obj{"url": "data:" + mediaType + ";base64," + base64Data}})
}

func (t *turn) call(id, name string, input any) {
	t.calls = append(t.calls, obj{"id": id, "type": "function", "function": obj{"name": name, "arguments": jsonText(input)}})
}

func (t *turn) result(id, said string) {
	t.results = append(t.results, obj{"role": "tool", "tool_call_id": id, "content": said})
}

// add ends a turn: tools' results are messages of their own, and a text alone is said plainly.
func (ch *chat) add(role string, t *turn) {
	ch.Messages = append(ch.Messages, t.results...)
	m := obj{"role": role}
	if len(t.calls) > 0 {
		m["tool_calls"] = t.calls
	}
	plain := !slices.ContainsFunc(t.parts, func(p any) bool { return text(p, "type") != "text" })
	switch {
	case plain:
		var said []string
		for _, p := range t.parts {
			said = append(said, text(p, "text"))
		}
		m["content"] = strings.Join(said, "\n")
	default:
		m["content"] = t.parts
	}
	if len(t.parts)+len(t.calls) > 0 {
		ch.Messages = append(ch.Messages, m)
	}
}

func (ch *chat) system(said []string) {
	if s := strings.Join(said, "\n"); s != "" {
		ch.Messages = append(ch.Messages, obj{"role": "system", "content": s})
	}
}

func (ch *chat) offer(name, description string, schema any) {
	f := obj{"name": name, "parameters": schema}
	if description != "" {
		f["description"] = description
	}
	ch.Tools = append(ch.Tools, obj{"type": "function", "function": f})
}

// choose says which tool is to be called: "any", a name, or "auto".
func (ch *chat) choose(choice string) {
	switch choice {
	case "auto", "":
	case "any":
		ch.ToolChoice = "required"
	default:
		ch.ToolChoice = obj{"type": "function", "function": obj{"name": choice}}
	}
}

// converseChat is a Converse request in OpenAI's form. unfit names what of it no chat completion can hold.
func converseChat(in obj, p *prompt) (request *upstream.Request, unfit string) {
	ch := &chat{Request: upstream.Request{
		MaxTokens: p.max, Stop: p.stops, Temperature: at(in, "inferenceConfig", "temperature"), TopP: at(in, "inferenceConfig", "topP"),
	}}
	var system []string
	for _, s := range list(in, "system") {
		system = append(system, text(s, "text"))
	}
	ch.system(system)
	ch.converse(in, p)
	return ch.request(), ch.unfit
}

// converse adds the messages and tools of a request of Converse, or of Nova's own, which has bytes in base64.
func (ch *chat) converse(in obj, p *prompt) {
	for _, m := range list(in, "messages") {
		var t turn
		for _, block := range list(m, "content") {
			for name, v := range object(block) {
				ch.converseBlock(&t, name, v, block)
			}
		}
		ch.add(text(m, "role"), &t)
	}
	for _, t := range list(in, "toolConfig", "tools") {
		if spec := object(t, "toolSpec"); spec != nil {
			ch.offer(text(spec, "name"), text(spec, "description"), at(spec, "inputSchema", "json"))
		}
	}
	ch.choose(p.choice)
}

// sourceBytes are the bytes of an image or document; false when they are elsewhere.
func sourceBytes(v any) ([]byte, bool) {
	switch data := at(v, "source", "bytes").(type) {
	case []byte:
		return data, true
	case string:
		b, err := base64.StdEncoding.DecodeString(data)
		return b, err == nil
	}
	return nil, false
}

func (ch *chat) converseBlock(t *turn, name string, v, block any) {
	switch name {
	case "text", "guardContent", "reasoningContent":
		said, _, _ := blockText(block)
		t.say(said)
	case "image":
		data, ok := sourceBytes(v)
		if !ok {
			ch.unfit = "images in S3"
			return
		}
		t.show("image/"+text(v, "format"), base64.StdEncoding.EncodeToString(data))
	case "document":
		data, ok := sourceBytes(v)
		if !ok || !slices.Contains([]string{"txt", "md", "csv", "html"}, text(v, "format")) {
			ch.unfit = "documents other than text"
			return
		}
		t.say(text(v, "name") + ":\n" + string(data))
	case "toolUse":
		t.call(text(v, "toolUseId"), text(v, "name"), at(v, "input"))
	case "toolResult":
		said, _, _ := blockText(block)
		t.result(text(v, "toolUseId"), said)
	case "cachePoint":
	default:
		ch.unfit = name + " blocks"
	}
}

// anthropicChat is the body of an InvokeModel request of Anthropic's models in OpenAI's form.
func anthropicChat(body obj, p *prompt) (request *upstream.Request, unfit string) {
	ch := &chat{Request: upstream.Request{MaxTokens: p.max, Stop: p.stops, Temperature: body["temperature"], TopP: body["top_p"]}}
	ch.system([]string{said(body["system"], &prompt{})})
	for _, m := range list(body, "messages") {
		var t turn
		switch content := at(m, "content").(type) {
		case string:
			t.say(content)
		case []any:
			for _, block := range content {
				ch.anthropicBlock(&t, block)
			}
		}
		ch.add(text(m, "role"), &t)
	}
	for _, t := range list(body, "tools") {
		ch.offer(text(t, "name"), text(t, "description"), at(t, "input_schema"))
	}
	ch.choose(p.choice)
	return ch.request(), ch.unfit
}

func (ch *chat) anthropicBlock(t *turn, block any) {
	switch kind := text(block, "type"); kind {
	case "text":
		t.say(text(block, "text"))
	case "image":
		if text(block, "source", "type") != "base64" {
			ch.unfit = "images elsewhere"
			return
		}
		t.show(text(block, "source", "media_type"), text(block, "source", "data"))
	case "tool_use":
		t.call(text(block, "id"), text(block, "name"), at(block, "input"))
	case "tool_result":
		t.result(text(block, "tool_use_id"), said(at(block, "content"), &prompt{}))
	case "thinking", "redacted_thinking":
	default:
		ch.unfit = kind + " blocks"
	}
}
