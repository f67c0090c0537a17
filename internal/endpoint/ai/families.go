package ai

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"sort"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
	"github.com/aitrail/aitrail/internal/endpoint/ai/upstream"
)

// stopped translates a stop reason, with a family's names for the end of the turn and for the token limit.
func (r *reply) stopped(end, length string) string {
	if r.stop == "max_tokens" {
		return length
	}
	return end
}

func anthropicFamily() family {
	return family{
		required: []string{"anthropic_version", "max_tokens", "messages"},
		chat:     anthropicChat,
		read: func(body obj) prompt {
			p := messages(body, "max_tokens")
			p.stops = texts(body, "stop_sequences")
			for _, t := range list(body, "tools") {
				p.tools = append(p.tools, tool{text(t, "name"), object(t, "input_schema")})
				p.all += "\n" + text(t, "name") + " " + text(t, "description")
			}
			switch text(body, "tool_choice", "type") {
			case "any":
				p.choice = "any"
			case "tool":
				p.choice = text(body, "tool_choice", "name")
			}
			return p
		},
		write: func(t *target, _ obj, r reply) obj {
			content := []any{}
			if r.tool != nil {
				content = append(content, obj{"type": "tool_use", "id": r.id, "name": r.tool.name, "input": r.input})
			} else {
				content = append(content, obj{"type": "text", "text": r.text})
			}
			return with(anthropicHead(t, r), obj{
				"content": content, "stop_reason": r.stop, "stop_sequence": anthropicSequence(r),
				"usage": obj{"input_tokens": r.in, "output_tokens": r.out},
			})
		},
		chunks: anthropicChunks,
	}
}

func anthropicHead(t *target, r reply) obj {
	name := strings.TrimPrefix(t.id, "anthropic.")
	if i := strings.LastIndex(name, "-v"); i > 0 {
		name = name[:i]
	}
	return obj{"id": "msg_bdrk_" + id(24, lowerDigits+upperDigits, t.id, r.text), "type": "message", "role": "assistant", "model": name}
}

func anthropicSequence(r reply) any {
	if r.sequence == "" {
		return nil
	}
	return r.sequence
}

func anthropicChunks(t *target, r reply) []obj {
	start := with(anthropicHead(t, r), obj{
		"content": []any{}, "stop_reason": nil, "stop_sequence": nil, "usage": obj{"input_tokens": r.in, "output_tokens": 1},
	})
	block := obj{"type": "text", "text": ""}
	var deltas []obj
	for _, part := range prose.Pieces(r.text, piece) {
		deltas = append(deltas, obj{"type": "text_delta", "text": part})
	}
	if r.tool != nil {
		block = obj{"type": "tool_use", "id": r.id, "name": r.tool.name, "input": obj{}}
		deltas = []obj{{"type": "input_json_delta", "partial_json": jsonText(r.input)}}
	}
	chunks := []obj{{"type": "message_start", "message": start}, {"type": "content_block_start", "index": 0, "content_block": block}}
	for _, d := range deltas {
		chunks = append(chunks, obj{"type": "content_block_delta", "index": 0, "delta": d})
	}
	return append(chunks, obj{"type": "content_block_stop", "index": 0},
		obj{"type": "message_delta", "delta": obj{"stop_reason": r.stop, "stop_sequence": anthropicSequence(r)}, "usage": obj{"output_tokens": r.out}},
		obj{"type": "message_stop"})
}

func novaFamily() family {
	return family{
		required: []string{"messages"},
		chat:     novaChat,
		read: func(body obj) prompt {
			p := messages(body, "")
			p.offered(object(body, "toolConfig"))
			p.max = whole(body, whole(body, 0, "inferenceConfig", "max_new_tokens"), "inferenceConfig", "maxTokens")
			p.stops = texts(body, "inferenceConfig", "stopSequences")
			return p
		},
		write: func(_ *target, _ obj, r reply) obj {
			return obj{"output": obj{"message": r.message()}, "stopReason": r.stop, "usage": r.usage()}
		},
		chunks: func(_ *target, r reply) []obj {
			var chunks []obj
			for _, e := range (&exchange{reply: r}).events() {
				chunks = append(chunks, obj{e.name: e.value})
			}
			return chunks
		},
	}
}

func titanFamily() family {
	reason := func(r reply) string { return r.stopped("FINISH", "LENGTH") }
	return family{
		required: []string{"inputText"},
		chat: func(body obj, p *prompt) (*upstream.Request, string) {
			return plainChat(text(body, "inputText"), p, at(body, "textGenerationConfig", "temperature"), at(body, "textGenerationConfig", "topP"))
		},
		read: func(body obj) prompt {
			p := one(text(body, "inputText"))
			p.max = whole(body, 0, "textGenerationConfig", "maxTokenCount")
			p.stops = texts(body, "textGenerationConfig", "stopSequences")
			return p
		},
		write: func(_ *target, _ obj, r reply) obj {
			return obj{"inputTextTokenCount": r.in, "results": []any{obj{"tokenCount": r.out, "outputText": r.text, "completionReason": reason(r)}}}
		},
		chunks: pieces(func(r reply, part string, at int, end bool) obj {
			chunk := obj{"outputText": part, "index": 0, "totalOutputTextTokenCount": nil, "completionReason": nil, "inputTextTokenCount": nil}
			if end {
				chunk["totalOutputTextTokenCount"], chunk["completionReason"], chunk["inputTextTokenCount"] = r.out, reason(r), r.in
			}
			return chunk
		}),
	}
}

// pieces streams an answer as one chunk for each few tokens.
func pieces(chunk func(r reply, part string, at int, end bool) obj) func(*target, reply) []obj {
	return func(_ *target, r reply) []obj {
		parts := prose.Pieces(r.text, piece)
		if len(parts) == 0 {
			parts = []string{""}
		}
		chunks := make([]obj, len(parts))
		for i, part := range parts {
			chunks[i] = chunk(r, part, i, i == len(parts)-1)
		}
		return chunks
	}
}

func llamaFamily() family {
	return family{
		required: []string{"prompt"},
		chat:     llamaChat,
		read: func(body obj) prompt {
			p := templated(text(body, "prompt"))
			p.media = len(list(body, "images"))
			p.max = whole(body, 512, "max_gen_len")
			return p
		},
		write: func(_ *target, _ obj, r reply) obj {
			return obj{"generation": r.text, "prompt_token_count": r.in, "generation_token_count": r.out, "stop_reason": r.stopped("stop", "length")}
		},
		chunks: pieces(func(r reply, part string, at int, end bool) obj {
			chunk := obj{"generation": part, "prompt_token_count": nil, "generation_token_count": min((at+1)*piece, r.out), "stop_reason": nil}
			if at == 0 {
				chunk["prompt_token_count"] = r.in
			}
			if end {
				chunk["stop_reason"] = r.stopped("stop", "length")
			}
			return chunk
		}),
	}
}

func mistralFamily() family {
	return family{
		required: []string{"prompt"},
		chat:     templatedChat,
		read: func(body obj) prompt {
			p := templated(text(body, "prompt"))
			p.max, p.stops = whole(body, 0, "max_tokens"), texts(body, "stop")
			return p
		},
		write: func(_ *target, _ obj, r reply) obj {
			return obj{"outputs": []any{obj{"text": r.text, "stop_reason": r.stopped("stop", "length")}}}
		},
		chunks: pieces(func(r reply, part string, _ int, end bool) obj {
			output := obj{"text": part, "stop_reason": nil}
			if end {
				output["stop_reason"] = r.stopped("stop", "length")
			}
			return obj{"outputs": []any{output}}
		}),
	}
}

// deepseekFamily is the text completion that DeepSeek-R1 takes.
func deepseekFamily() family {
	choice := func(r reply, part string, end bool) obj {
		c := obj{"text": part, "stop_reason": nil}
		if end {
			c["stop_reason"] = r.stopped("stop", "length")
		}
		return obj{"choices": []any{c}}
	}
	f := mistralFamily()
	f.write = func(_ *target, _ obj, r reply) obj { return choice(r, r.text, true) }
	f.chunks = pieces(func(r reply, part string, _ int, end bool) obj { return choice(r, part, end) })
	return f
}

func cohereFamily() family {
	return family{
		required: []string{"message"},
		chat:     cohereChat,
		read: func(body obj) prompt {
			p := one(text(body, "message"))
			for _, turn := range list(body, "chat_history") {
				p.all += "\n" + text(turn, "message")
			}
			p.max, p.stops = whole(body, 0, "max_tokens"), texts(body, "stop_sequences")
			return p
		},
		write: func(t *target, body obj, r reply) obj {
			history := append(append([]any{}, list(body, "chat_history")...),
				obj{"role": "USER", "message": text(body, "message")}, obj{"role": "CHATBOT", "message": r.text})
			return obj{
				"response_id": uuid("response", t.id, r.text), "generation_id": uuid("generation", t.id, r.text), "text": r.text,
				"chat_history": history, "finish_reason": r.stopped("COMPLETE", "MAX_TOKENS"),
			}
		},
		chunks: pieces(func(r reply, part string, _ int, end bool) obj {
			if end {
				return obj{"event_type": "stream-end", "is_finished": true, "finish_reason": r.stopped("COMPLETE", "MAX_TOKENS"), "text": part,
					"response": obj{"text": r.text, "finish_reason": r.stopped("COMPLETE", "MAX_TOKENS")}}
			}
			return obj{"event_type": "text-generation", "is_finished": false, "text": part}
		}),
	}
}

// chatFamily is the chat completions format that the models of most other makers share.
func chatFamily() family {
	return family{
		required: []string{"messages"},
		chat:     completionsChat,
		read: func(body obj) prompt {
			p := messages(body, "max_tokens")
			p.max = whole(body, p.max, "max_completion_tokens")
			p.stops = texts(body, "stop")
			if one := text(body, "stop"); one != "" {
				p.stops = []string{one}
			}
			for _, m := range list(body, "messages") {
				p.used = text(m, "role") == "tool"
			}
			for _, t := range list(body, "tools") {
				p.tools = append(p.tools, tool{text(t, "function", "name"), object(t, "function", "parameters")})
				p.all += "\n" + jsonText(at(t, "function"))
			}
			switch {
			case text(body, "tool_choice") == "required":
				p.choice = "any"
			case text(body, "tool_choice", "function", "name") != "":
				p.choice = text(body, "tool_choice", "function", "name")
			case text(body, "tool_choice") == "none":
				p.tools = nil
			}
			return p
		},
		write: func(t *target, _ obj, r reply) obj {
			message := obj{"role": "assistant", "content": r.text}
			if r.tool != nil {
				message["content"], message["tool_calls"] = nil, []any{completionsCall(r)}
			}
			return obj{
				"id": "chatcmpl-" + id(24, lowerDigits, t.id, r.text), "object": "chat.completion", "created": 0, "model": t.id,
				"choices": []any{obj{"index": 0, "message": message, "finish_reason": completionsStop(r)}},
				"usage":   obj{"prompt_tokens": r.in, "completion_tokens": r.out, "total_tokens": r.in + r.out},
			}
		},
		chunks: func(t *target, r reply) []obj {
			return pieces(func(r reply, part string, _ int, end bool) obj {
				delta := obj{"role": "assistant", "content": part}
				if r.tool != nil {
					delta["tool_calls"] = []any{with(completionsCall(r), obj{"index": 0})}
				}
				choice := obj{"index": 0, "delta": delta, "finish_reason": nil}
				if end {
					choice["finish_reason"] = completionsStop(r)
				}
				return obj{"id": "chatcmpl-" + id(24, lowerDigits, t.id, r.text), "object": "chat.completion.chunk", "created": 0, "model": t.id, "choices": []any{choice}}
			})(t, r)
		},
	}
}

// completionsCall is the tool that a reply asks for, as chat completions have it.
func completionsCall(r reply) obj {
	return obj{"id": r.id, "type": "function", "function": obj{"name": r.tool.name, "arguments": jsonText(r.input)}}
}

func completionsStop(r reply) string {
	if r.tool != nil {
		return "tool_calls"
	}
	return r.stopped("stop", "length")
}

func rerankFamily() family {
	return family{
		required: []string{"query", "documents"},
		read: func(body obj) prompt {
			return one(text(body, "query") + "\n" + strings.Join(texts(body, "documents"), "\n"))
		},
		write: func(_ *target, body obj, _ reply) obj {
			results := ranked(text(body, "query"), texts(body, "documents"))
			if n := whole(body, len(results), "top_n"); n >= 0 && n < len(results) {
				results = results[:n]
			}
			out := []any{}
			for _, r := range results {
				out = append(out, obj{"index": r.index, "relevance_score": r.score})
			}
			return obj{"results": out}
		},
	}
}

type rank struct {
	index int
	score float64
}

// ranked orders documents by how much of the query they share, best first.
func ranked(query string, documents []string) []rank {
	out := make([]rank, len(documents))
	for i, d := range documents {
		out[i] = rank{i, prose.Similarity(query, d)}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].score > out[j].score })
	return out
}

func imageFamily(name string) family {
	subject := func(body obj) string {
		parts := []string{text(body, "prompt"), text(body, "textToImageParams", "text"), text(body, "inPaintingParams", "text"), text(body, "imageVariationParams", "text")}
		for _, p := range list(body, "text_prompts") {
			parts = append(parts, text(p, "text"))
		}
		return strings.TrimSpace(strings.Join(parts, " "))
	}
	return family{
		required: map[string][]string{"image": {"taskType"}, "stability": {"prompt"}, "sdxl": {"text_prompts"}}[name],
		read:     func(body obj) prompt { return one(subject(body)) },
		write: func(t *target, body obj, _ reply) obj {
			seed := whole(body, 0, "seed")
			picture := base64.StdEncoding.EncodeToString(paint(t.id, subject(body)))
			switch name {
			case "sdxl":
				return obj{"result": "success", "artifacts": []any{obj{"seed": seed, "base64": picture, "finishReason": "SUCCESS"}}}
			case "stability":
				return obj{"seeds": []int{seed}, "finish_reasons": []any{nil}, "images": []string{picture}}
			default:
				images := []string{}
				for range min(max(whole(body, 1, "imageGenerationConfig", "numberOfImages"), 1), 5) {
					images = append(images, picture)
				}
				return obj{"images": images, "error": nil}
			}
		},
	}
}

// paint makes a small picture of two colours that depend on what it is of.
func paint(parts ...string) []byte {
	const size = 64
	sum := digest(parts...)
	from, to := sum[0:3], sum[3:6]
	picture := image.NewRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			mix := func(i int) uint8 { return uint8((int(from[i])*(2*size-x-y) + int(to[i])*(x+y)) / (2 * size)) }
			picture.Set(x, y, color.RGBA{mix(0), mix(1), mix(2), 255})
		}
	}
	var out bytes.Buffer
	if png.Encode(&out, picture) != nil { // a bytes.Buffer takes every write
		return nil
	}
	return out.Bytes()
}
