package ai

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/upstream"
)

// What follows puts the bodies of InvokeModel into the form of chat completions: those of Amazon's, Meta's, Mistral's, Cohere's
// and DeepSeek's models, and of all that speak chat completions themselves
// (https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html).

func novaChat(body obj, p *prompt) (*upstream.Request, string) {
	config := object(body, "inferenceConfig")
	topP := config["topP"]
	if topP == nil {
		topP = config["top_p"]
	}
	ch := &chat{Request: upstream.Request{MaxTokens: p.max, Stop: p.stops, Temperature: config["temperature"], TopP: topP}}
	ch.system([]string{said(body["system"], &prompt{})})
	ch.converse(body, p)
	return ch.request(), ch.unfit
}

// plainChat asks with a text as it is.
func plainChat(said string, p *prompt, temperature, topP any) (*upstream.Request, string) {
	ch := &chat{Request: upstream.Request{MaxTokens: p.max, Stop: p.stops, Temperature: temperature, TopP: topP}}
	ch.add("user", &turn{parts: []any{obj{"type": "text", "text": said}}})
	return ch.request(), ""
}

// marker is what in a prompt says whose turn it is: Llama's headers, the instructions of Mistral and Llama 2, DeepSeek's names.
var marker = regexp.MustCompile(`<\|(?:start_header_id|header_start)\|>\s*(system|user|assistant|ipython)\s*<\|(?:end_header_id|header_end)\|>` +
	`|\[INST\]|\[/INST\]|<<SYS>>|<</SYS>>|<｜User｜>|<｜Assistant｜>`)

// frame is what else of a template is no text.
var frame = strings.NewReplacer("<|begin_of_text|>", "", "<|eot_id|>", "", "<|eot|>", "", "<|eom_id|>", "", "<|image|>", "", "<s>", "", "</s>", "",
	"<｜begin▁of▁sentence｜>", "", "<｜end▁of▁sentence｜>", "")

// utterance is a turn of a prompt that was written with a model's template.
type utterance struct{ role, text string }

// utterances takes a prompt apart; one without a template is the user's. What the assistant has begun to say stays its last turn.
func utterances(prompt string) []utterance {
	var all []utterance
	role, from := "user", 0
	add := func(to int) {
		if said := strings.TrimSpace(frame.Replace(prompt[from:to])); said != "" {
			all = append(all, utterance{role, said})
		}
	}
	for _, m := range marker.FindAllStringSubmatchIndex(prompt, -1) {
		add(m[0])
		from = m[1]
		switch found := prompt[m[0]:m[1]]; {
		case m[2] >= 0:
			role = strings.Replace(prompt[m[2]:m[3]], "ipython", "user", 1)
		case found == "<<SYS>>":
			role = "system"
		case found == "[/INST]" || found == "<｜Assistant｜>":
			role = "assistant"
		default:
			role = "user"
		}
	}
	add(len(prompt))
	return all
}

// templated is a prompt that may be written with a model's template.
func templated(said string) prompt {
	p := one(frame.Replace(marker.ReplaceAllString(said, "")))
	for _, s := range utterances(said) {
		if s.role == "user" {
			p.last = s.text
		}
	}
	return p
}

// templatedChat asks with a prompt's turns.
func templatedChat(body obj, p *prompt) (*upstream.Request, string) {
	ch := &chat{Request: upstream.Request{MaxTokens: p.max, Stop: p.stops, Temperature: body["temperature"], TopP: body["top_p"]}}
	all := utterances(text(body, "prompt"))
	if len(all) == 0 {
		return nil, "empty prompts"
	}
	for _, s := range all {
		ch.add(s.role, &turn{parts: []any{obj{"type": "text", "text": s.text}}})
	}
	return ch.request(), ""
}

// llamaChat is templatedChat with Llama's images, which are shown with the user's last words.
func llamaChat(body obj, p *prompt) (*upstream.Request, string) {
	request, unfit := templatedChat(body, p)
	images := texts(body, "images")
	if len(images) == 0 || unfit != "" {
		return request, unfit
	}
	var t turn
	t.say(p.last)
	for _, data := range images {
		raw, ok := sourceBytes(obj{"source": obj{"bytes": data}})
		if !ok {
			return nil, "images that are not in base64"
		}
		t.show(http.DetectContentType(raw), data)
	}
	for i, m := range request.Messages {
		if m["role"] == "user" && m["content"] == p.last {
			request.Messages[i] = with(m, obj{"content": t.parts})
		}
	}
	return request, ""
}

func cohereChat(body obj, p *prompt) (*upstream.Request, string) {
	for _, name := range []string{"documents", "tools", "tool_results"} {
		if len(list(body, name)) > 0 {
			return nil, strings.ReplaceAll(name, "_", " ")
		}
	}
	ch := &chat{Request: upstream.Request{MaxTokens: p.max, Stop: p.stops, Temperature: body["temperature"], TopP: body["p"]}}
	ch.system([]string{text(body, "preamble")})
	for _, m := range list(body, "chat_history") {
		role := map[string]string{"CHATBOT": "assistant", "SYSTEM": "system"}[text(m, "role")]
		if role == "" {
			role = "user"
		}
		ch.add(role, &turn{parts: []any{obj{"type": "text", "text": text(m, "message")}}})
	}
	ch.add("user", &turn{parts: []any{obj{"type": "text", "text": text(body, "message")}}})
	return ch.request(), ""
}

// completionsChat passes a chat completion on.
func completionsChat(body obj, p *prompt) (*upstream.Request, string) {
	if whole(body, 1, "n") != 1 {
		return nil, "requests for several answers"
	}
	ch := &chat{Request: upstream.Request{
		MaxTokens: p.max, Stop: p.stops, Temperature: body["temperature"], TopP: body["top_p"], ToolChoice: body["tool_choice"],
	}}
	for _, m := range list(body, "messages") {
		if object(m) == nil {
			return nil, "messages that are no objects"
		}
		ch.Messages = append(ch.Messages, object(m))
	}
	for _, t := range list(body, "tools") {
		ch.Tools = append(ch.Tools, object(t))
	}
	return ch.request(), ""
}
