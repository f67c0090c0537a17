package ai

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
)

// mantle is Bedrock's endpoint for clients of OpenAI and Anthropic: chat completions, responses, embeddings and messages. It
// has no SDK of AWS's; its callers bring a Bedrock API key, or sign for bedrock-mantle. Its inference is recorded as data
// events of its own event source, with the caller's metadata but nothing that was said
// (https://docs.aws.amazon.com/bedrock/latest/userguide/logging-cloudtrail-mantle.html).
//
// What it keeps (projects, files, fine-tuning jobs, responses) is in mantle_store.go. Reservations, customized models and what
// else only IAM's actions tell of aren't served: nothing public says how they are called.
type mantle struct{ b *backend }

const (
	mantleName   = "bedrock-mantle"
	mantleSource = "bedrock-mantle.amazonaws.com"
)

// inferenceRoutes are the paths of CreateInference.
func inferenceRoutes() []string {
	return []string{"/v1/chat/completions", "/v1/responses", "/v1/responses/compact", "/v1/embeddings", "/anthropic/v1/messages"}
}

// SigningNames implements awsapi.Service.
func (m *mantle) SigningNames() []string { return []string{mantleName} }

// Route implements awsapi.Service.
func (m *mantle) Route(r *http.Request, _ []byte) (string, awsapi.Protocol, bool) {
	path := r.URL.Path
	switch {
	case r.Method == http.MethodPost && slices.Contains(inferenceRoutes(), path):
		return "CreateInference", awsapi.RESTJSON, true
	case r.Method == http.MethodPost && path == "/anthropic/v1/messages/count_tokens":
		return "CountTokens", awsapi.RESTJSON, true
	case r.Method == http.MethodGet && path == "/v1/models":
		return "ListModels", awsapi.RESTJSON, true
	case r.Method == http.MethodGet && strings.HasPrefix(path, "/v1/models/"):
		return "GetModel", awsapi.RESTJSON, true
	}
	if route, _ := keptBy(r); route != nil {
		return route.operation, awsapi.RESTJSON, true
	}
	return "", awsapi.RESTJSON, false
}

// project is the project a call works in: the one its header names, or the account's own.
func project(c *awsapi.Call) string {
	name := c.Request.Header.Get("OpenAI-Project")
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(lowerDigits+upperDigits+"_-", r) }) {
		name = "default"
	}
	return fmt.Sprintf("arn:aws:bedrock-mantle:%s:%s:project/%s", c.Region, c.Account, name)
}

// mantleCall is a call of an API that has no model.
func mantleCall(c *awsapi.Call) *call {
	return &call{Call: c, client: &client{name: mantleName, prefix: mantleName, invalid: "invalid_request_error", model: &smithy.Model{}}}
}

// body is a call's body; empty when it is no JSON object.
func (m *mantle) body(c *awsapi.Call) obj {
	in, bad := parse(mantleCall(c), c.Body)
	if bad != nil {
		return obj{}
	}
	return in
}

// Describe implements awsapi.Service.
func (m *mantle) Describe(c *awsapi.Call) {
	r := &c.Record
	r.EventSource = mantleSource
	in := m.body(c)
	params := obj{"callWithBearerToken": c.Caller != nil && c.Caller.Bearer}
	if c.Caller != nil && c.Caller.Bearer && c.Caller.CredentialID != "" {
		params["bearerTokenType"] = "ABSK"
	}
	r.ReadOnly = readsByName(c.Operation) || c.Operation == "CountTokens"
	route, id := keptBy(c.Request)
	switch {
	case c.Operation == "CreateInference" || c.Operation == "CountTokens":
		r.Data = true
		params = with(params, keep(in, "model", "stream", "service_tier", "metadata"))
	case route != nil:
		params = m.describeKept(c, route, id, params)
	default:
		if id := strings.TrimPrefix(c.Request.URL.Path, "/v1/models/"); c.Operation == "GetModel" {
			params["model"] = id
		}
	}
	if r.Data {
		r.Resources = []cloudtrail.Resource{{AccountID: c.Account, Type: "AWS::BedrockMantle::Project", ARN: project(c)}}
	}
	r.RequestParameters = params
}

// Access implements awsapi.Service.
func (m *mantle) Access(c *awsapi.Call) []awsapi.Access {
	var needed []awsapi.Access
	if c.Caller != nil && c.Caller.Bearer {
		needed = append(needed, awsapi.Access{Action: mantleName + ":CallWithBearerToken", Resource: "*"})
	}
	resource := "*"
	if route, id := keptBy(c.Request); route != nil && route.kind == "project" && id != "" {
		resource = fmt.Sprintf("arn:aws:bedrock-mantle:%s:%s:project/%s", c.Region, c.Account, id)
	} else if c.Record.Data {
		resource = project(c)
	}
	return append(needed, awsapi.Access{Action: mantleName + ":" + c.Operation, Resource: resource})
}

// Conditions gives IAM the model that a call names.
func (m *mantle) Conditions(c *awsapi.Call) policy.Context {
	if model := text(m.body(c), "model"); model != "" {
		return policy.Context{"bedrock-mantle:Model": {model}}
	}
	return nil
}

// Serve implements awsapi.Service.
func (m *mantle) Serve(c *awsapi.Call) (*awsapi.Response, error) {
	switch c.Operation {
	case "ListModels":
		var models []any
		for _, f := range m.b.foundations() {
			models = append(models, listedModel(f))
		}
		return plain(obj{"object": "list", "data": models})
	case "GetModel":
		f := m.b.foundation(strings.TrimPrefix(c.Request.URL.Path, "/v1/models/"))
		if f == nil {
			return nil, fail("not_found_error", 404, "The model does not exist.")
		}
		return plain(listedModel(f))
	}
	if route, id := keptBy(c.Request); route != nil {
		return m.serveKept(c, route, id)
	}
	return m.infer(c)
}

func listedModel(f *foundation) obj {
	return obj{"id": f.id, "object": "model", "created": 0, "owned_by": strings.ToLower(f.provider)}
}

func plain(v obj) (*awsapi.Response, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &awsapi.Response{Header: http.Header{"Content-Type": {"application/json"}}, Body: b}, nil
}

// infer serves CreateInference and CountTokens.
func (m *mantle) infer(c *awsapi.Call) (*awsapi.Response, error) {
	k := mantleCall(c)
	in, bad := parse(k, c.Body)
	if bad != nil {
		return nil, bad
	}
	f := m.b.foundation(text(in, "model"))
	if f == nil {
		return nil, fail("not_found_error", 404, "The model '%s' does not exist or you do not have access to it.", text(in, "model"))
	}
	t := &target{foundation: f, arn: f.arn(c.Region)}
	path := c.Request.URL.Path
	if path == "/v1/embeddings" {
		return m.embed(k, t, in)
	}
	if !f.chats() {
		return nil, k.invalid("The model '%s' does not support this API.", f.id)
	}
	p, bad := mantlePrompt(k, path, in)
	if bad != nil {
		return nil, bad
	}
	if c.Operation == "CountTokens" {
		return plain(obj{"input_tokens": p.tokens()})
	}
	r, err := m.b.think(k, t, p)
	if err != nil {
		return nil, err
	}
	response := responseOf(c, t, r)
	if path == "/v1/responses" {
		if err := m.store(c, in, response); err != nil {
			return nil, err
		}
	}
	return routed(path, t, in, r, response)
}

// mantlePrompt reads the prompt of a route's body.
func mantlePrompt(k *call, path string, in obj) (prompt, *awsapi.Error) {
	switch {
	case strings.HasPrefix(path, "/anthropic/"):
		if in["messages"] == nil {
			return prompt{}, k.invalid("messages: Field required")
		}
		return anthropicFamily().read(in), nil
	case strings.HasPrefix(path, "/v1/responses"):
		if in["input"] == nil {
			return prompt{}, k.invalid("Missing required parameter: 'input'.")
		}
		if s, ok := in["input"].(string); ok {
			in = with(in, obj{"input": []any{obj{"role": "user", "content": s}}})
		}
		p := messages(obj{"messages": in["input"], "system": in["instructions"]}, "")
		p.max = whole(in, 0, "max_output_tokens")
		return p, nil
	}
	if in["messages"] == nil {
		return prompt{}, k.invalid("Missing required parameter: 'messages'.")
	}
	return chatFamily().read(in), nil
}

// routed is a reply in the form of a route; whole is that of the Responses API.
func routed(path string, t *target, in obj, r reply, whole obj) (*awsapi.Response, error) {
	streams := truth(in, "stream")
	switch {
	case strings.HasPrefix(path, "/anthropic/"):
		if streams {
			return serverSent(anthropicChunks(t, r), true), nil
		}
		return plain(anthropicFamily().write(t, in, r))
	case strings.HasPrefix(path, "/v1/responses"):
		if !streams {
			return plain(whole)
		}
		events := []obj{{"type": "response.created", "response": with(whole, obj{"status": "in_progress", "output": []any{}})}}
		for _, part := range prose.Pieces(r.text, piece) {
			events = append(events, obj{"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": part})
		}
		return serverSent(append(events, obj{"type": "response.completed", "response": whole}), true), nil
	case streams:
		chunks := chatFamily().chunks(t, r)
		if truth(in, "stream_options", "include_usage") {
			usage := obj{"prompt_tokens": r.in, "completion_tokens": r.out, "total_tokens": r.in + r.out}
			chunks = append(chunks, with(chunks[0], obj{"choices": []any{}, "usage": usage}))
		}
		return serverSent(chunks, false), nil
	}
	return plain(chatFamily().write(t, in, r))
}

// responseOf is a reply as the Responses API has it.
func responseOf(c *awsapi.Call, t *target, r reply) obj {
	content := []any{obj{"type": "output_text", "text": r.text, "annotations": []any{}}}
	key := id(24, lowerDigits, t.id, c.ID)
	return obj{
		"id": "resp_" + key, "object": "response", "created_at": c.Time.Unix(), "status": "completed", "model": t.id,
		"output": []any{obj{"id": "msg_" + key, "type": "message", "role": "assistant", "status": "completed", "content": content}},
		"usage":  obj{"input_tokens": r.in, "output_tokens": r.out, "total_tokens": r.in + r.out},
	}
}

// serverSent streams values as server-sent events: named by their type, or without names and ended as OpenAI ends them.
func serverSent(events []obj, named bool) *awsapi.Response {
	stream := func(w io.Writer, flush func()) (*awsapi.Completion, error) {
		for _, e := range events {
			data, err := json.Marshal(e)
			if err != nil {
				return nil, err
			}
			if named {
				if _, err := fmt.Fprintf(w, "event: %s\n", text(e, "type")); err != nil {
					return nil, err
				}
			}
			if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
				return nil, err
			}
			flush()
		}
		if named {
			return nil, nil
		}
		_, err := io.WriteString(w, "data: [DONE]\n\n")
		return nil, err
	}
	return &awsapi.Response{Header: http.Header{"Content-Type": {"text/event-stream"}}, Stream: stream}
}

// embed serves embeddings.
func (m *mantle) embed(k *call, t *target, in obj) (*awsapi.Response, error) {
	if t.out != "EMBEDDING" {
		return nil, k.invalid("The model '%s' does not support embeddings.", t.id)
	}
	inputs := texts(in, "input")
	if s := text(in, "input"); s != "" {
		inputs = []string{s}
	}
	if len(inputs) == 0 {
		return nil, k.invalid("Missing required parameter: 'input'.")
	}
	var data []any
	tokens := 0
	for i, s := range inputs {
		data = append(data, obj{"object": "embedding", "index": i, "embedding": prose.Embedding(s, embeddingSize(t.foundation, in))})
		tokens += prose.Tokens(s)
	}
	return plain(obj{"object": "list", "model": t.id, "data": data, "usage": obj{"prompt_tokens": tokens, "total_tokens": tokens}})
}
