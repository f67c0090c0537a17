package ai

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/ai/upstream"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// family is how models of one maker take and give the body of InvokeModel.
type family struct {
	required []string // members without which the body is refused
	read     func(body obj) prompt
	write    func(t *target, body obj, r reply) obj
	// chat is the body in the form of OpenAI's chat completions; unfit names what of it these can't hold. Nil: the family
	// doesn't chat.
	chat func(body obj, p *prompt) (request *upstream.Request, unfit string)
	// chunks are the bodies of a streamed answer but the metrics, which the last one gets; nil: the family doesn't stream.
	chunks func(t *target, r reply) []obj
}

// parse reads an InvokeModel body as a JSON object.
func parse(c *call, body []byte) (obj, *awsapi.Error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var in obj
	if err := d.Decode(&in); err != nil || in == nil {
		return nil, c.invalid("Malformed input request, please reformat your input and try again.")
	}
	return in, nil
}

// read takes the prompt from a body in the model's own format.
func (t *target) read(c *call, body []byte) (prompt, *awsapi.Error) {
	in, bad := parse(c, body)
	if bad != nil {
		return prompt{}, bad
	}
	f := t.foundation.speaks()
	for _, name := range f.required {
		if in[name] != nil {
			continue
		}
		if t.family == "anthropic" {
			return prompt{}, c.invalid("%s: Field required", name)
		}
		return prompt{}, c.invalid("Malformed input request: #: required key [%s] not found, please reformat your input and try again.", name)
	}
	return f.read(in), nil
}

// invocation is an InvokeModel call carried out.
type invocation struct {
	reply
	body   obj
	family family
	guard  string // the guardrail's action; "" without a guardrail
}

func (b *backend) invocation(c *call) (*invocation, error) {
	t, err := b.invoked(c, text(c.in, "modelId"))
	if err != nil {
		return nil, err
	}
	guard, err := b.guardrailOf(c, text(c.in, "guardrailIdentifier"), text(c.in, "guardrailVersion"))
	if err != nil {
		return nil, err
	}
	if t.family == "sonic" {
		return nil, c.invalid("The model is unsupported for this operation. Use InvokeModelWithBidirectionalStream.")
	}
	if t.family == "async" {
		return nil, c.invalid("The model is unsupported for synchronous invocation. Use StartAsyncInvoke.")
	}
	raw, _ := c.in["body"].([]byte)
	p, bad := t.read(c, raw)
	if bad != nil {
		return nil, bad
	}
	body, bad := parse(c, raw)
	if bad != nil {
		return nil, bad
	}
	x := &invocation{body: body, family: t.foundation.speaks()}
	if !t.chats() {
		x.reply = reply{in: p.tokens(), text: p.all}
		return x, nil
	}
	if b.Upstream != nil && x.family.chat != nil {
		request, unfit := x.family.chat(body, &p)
		if unfit != "" {
			return nil, c.invalid("The model server that requests are forwarded to takes no %s.", unfit)
		}
		p.chat = request
	}
	if x.reply, _, err = b.guarded(c, t, p, guard, p.last); err != nil {
		return nil, err
	}
	if guard != nil {
		x.guard = "NONE"
		if x.stop == "guardrail_intervened" {
			x.guard, x.stop = "INTERVENED", "end_turn"
		}
	}
	return x, nil
}

func (b *backend) invokeModel(c *call) (obj, error) {
	x, err := b.invocation(c)
	if err != nil {
		return nil, err
	}
	answer := x.family.write(c.model, x.body, x.reply)
	if x.guard != "" {
		answer["amazon-bedrock-guardrailAction"] = x.guard
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	c.spent(x.reply)
	c.header = map[string]string{
		"X-Amzn-Bedrock-Input-Token-Count":  strconv.Itoa(x.in),
		"X-Amzn-Bedrock-Output-Token-Count": strconv.Itoa(x.out),
		"X-Amzn-Bedrock-Invocation-Latency": strconv.Itoa(latency(x.out)),
	}
	return with(keep(c.in, "serviceTier", "performanceConfigLatency"), obj{"body": body, "contentType": "application/json"}), nil
}

func (b *backend) invokeModelStream(c *call) (obj, error) {
	x, err := b.invocation(c)
	if err != nil {
		return nil, err
	}
	if !c.model.streams || x.family.chunks == nil {
		return nil, c.invalid("The model is unsupported for streaming.")
	}
	chunks := x.family.chunks(c.model, x.reply)
	chunks[len(chunks)-1]["amazon-bedrock-invocationMetrics"] = obj{
		"inputTokenCount": x.in, "outputTokenCount": x.out, "invocationLatency": latency(x.out), "firstByteLatency": latency(0),
	}
	if x.guard != "" {
		chunks[len(chunks)-1]["amazon-bedrock-guardrailAction"] = x.guard
	}
	var events []event
	for _, chunk := range chunks {
		body, err := json.Marshal(chunk)
		if err != nil {
			return nil, err
		}
		events = append(events, event{"chunk", obj{"bytes": body}})
	}
	c.streaming()
	c.used, c.streamed = &x.reply, chunks
	c.stream = func(e *smithy.EventWriter) (*awsapi.Completion, error) {
		// A client that has gone has used the tokens all the same.
		return c.completion(x.reply), sendAll(e, events)
	}
	return obj{"contentType": "application/json"}, nil
}

// speaks is the family's format.
func (f *foundation) speaks() family {
	switch f.family {
	case "anthropic":
		return anthropicFamily()
	case "nova":
		return novaFamily()
	case "titan":
		return titanFamily()
	case "llama":
		return llamaFamily()
	case "mistral":
		return mistralFamily()
	case "cohere":
		return cohereFamily()
	case "deepseek":
		return deepseekFamily()
	case "titan-embed", "nova-embed", "cohere-embed":
		return embeddingFamily(f.family)
	case "rerank":
		return rerankFamily()
	case "image", "stability", "sdxl":
		return imageFamily(f.family)
	default:
		return chatFamily()
	}
}

// one is a prompt of a single text.
func one(said string) prompt { return prompt{last: said, all: said, choice: "auto"} }

// messages reads chat messages whose content is text or blocks with text, the system prompt among them or apart.
func messages(body obj, maxName string) prompt {
	p := prompt{choice: "auto", max: whole(body, 0, maxName)}
	all := []string{said(body["system"], &p)}
	for _, m := range list(body, "messages") {
		words := said(at(m, "content"), &p)
		all = append(all, words)
		if text(m, "role") == "user" {
			p.last = words
		}
	}
	p.all = strings.Join(all, "\n")
	return p
}

// said is the text of a message's content, and counts what is no text.
func said(content any, p *prompt) string {
	switch v := content.(type) {
	case string:
		return v
	case []any:
		var parts []string
		p.used = false
		for _, block := range v {
			switch {
			case text(block, "text") != "":
				parts = append(parts, text(block, "text"))
			case text(block, "type") == "tool_result" || at(block, "toolResult") != nil:
				p.used = true
				parts = append(parts, said(at(block, "content"), &prompt{}))
			case text(block, "type") == "tool_use":
				parts = append(parts, text(block, "name")+jsonText(at(block, "input")))
			default:
				p.media++
			}
		}
		return strings.Join(parts, "\n")
	default:
		return ""
	}
}

// embeddedTexts are the texts that an embedding request asks about.
func embeddedTexts(body obj) []string {
	var out []string
	if s := text(body, "inputText"); s != "" {
		out = append(out, s)
	}
	if s := text(body, "singleEmbeddingParams", "text", "value"); s != "" {
		out = append(out, s)
	}
	out = append(out, texts(body, "texts")...)
	for _, in := range list(body, "inputs") {
		out = append(out, said(at(in, "content"), &prompt{}))
	}
	return out
}

func embeddingFamily(name string) family {
	required := map[string][]string{"cohere-embed": {"input_type"}}[name]
	return family{
		required: required,
		read: func(body obj) prompt {
			p := one(strings.Join(embeddedTexts(body), "\n"))
			for _, media := range []string{"inputImage", "images"} {
				if body[media] != nil {
					p.media++
				}
			}
			return p
		},
		write: func(t *target, body obj, r reply) obj {
			var vectors []any
			dimensions := embeddingSize(t.foundation, body)
			for _, s := range embeddedTexts(body) {
				vectors = append(vectors, prose.Embedding(s, dimensions))
			}
			if len(vectors) == 0 { // an image alone
				vectors = append(vectors, prose.Embedding(text(body, "inputImage"), dimensions))
			}
			return embeddingBody(t, body, r, vectors)
		},
	}
}

func embeddingSize(f *foundation, body obj) int {
	switch f.id {
	case "amazon.titan-embed-text-v1":
		return 1536
	case "amazon.titan-embed-image-v1":
		return bounded(whole(body, 1024, "embeddingConfig", "outputEmbeddingLength"))
	case "amazon.nova-2-multimodal-embeddings-v1:0":
		return bounded(whole(body, 3072, "singleEmbeddingParams", "embeddingDimension"))
	case "cohere.embed-v4:0":
		return bounded(whole(body, 1536, "output_dimension"))
	default:
		return bounded(whole(body, 1024, "dimensions"))
	}
}

func bounded(dimensions int) int { return min(max(dimensions, 1), 4096) }

func embeddingBody(t *target, body obj, r reply, vectors []any) obj {
	switch t.family {
	case "nova-embed":
		return obj{"embeddings": []any{obj{"embeddingType": "TEXT", "embedding": vectors[0]}}}
	case "cohere-embed":
		out := obj{"id": uuid(t.id, r.text), "response_type": "embeddings_floats", "texts": embeddedTexts(body), "embeddings": vectors}
		if len(list(body, "embedding_types")) > 0 {
			out["response_type"], out["embeddings"] = "embeddings_by_type", obj{"float": vectors}
		}
		return out
	default:
		out := obj{"embedding": vectors[0], "inputTextTokenCount": r.in}
		if t.id == "amazon.titan-embed-text-v2:0" {
			out["embeddingsByType"] = obj{"float": vectors[0]}
		}
		return out
	}
}
