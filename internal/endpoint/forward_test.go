package endpoint_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	bedrocktypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	brtypes "github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint"
)

const haiku = "anthropic.claude-3-haiku-20240307-v1:0"

// modelServer is an OpenAI-compatible server that answers with a given body.
type modelServer struct {
	*httptest.Server
	asked  map[string]any // the last request
	status int
	answer string
}

func newModelServer(t *testing.T) *modelServer {
	m := &modelServer{status: 200, answer: `{"choices":[{"message":{"role":"assistant","content":"Paris is the capital."},"finish_reason":"stop"}],
		"usage":{"prompt_tokens":31,"completion_tokens":6,"total_tokens":37}}`}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.asked = nil
		if err := json.NewDecoder(r.Body).Decode(&m.asked); err != nil || r.URL.Path != "/v1/chat/completions" {
			t.Errorf("%s: %v", r.URL, err)
		}
		w.WriteHeader(m.status)
		io.WriteString(w, m.answer)
	}))
	t.Cleanup(m.Close)
	return m
}

func said(role brtypes.ConversationRole, text string) brtypes.Message {
	return brtypes.Message{Role: role, Content: []brtypes.ContentBlock{&brtypes.ContentBlockMemberText{Value: text}}}
}

func TestForwardedConverse(t *testing.T) {
	m := newModelServer(t)
	b := open(t, endpoint.Options{ForwardBedrock: m.URL + "?model=llama3.2"})
	c := bedrockruntime.NewFromConfig(b.root)
	out, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{
		ModelId:         aws.String("us." + haiku),
		System:          []brtypes.SystemContentBlock{&brtypes.SystemContentBlockMemberText{Value: "Be short."}},
		Messages:        []brtypes.Message{said("user", "Hi"), said("assistant", "Hello."), said("user", "The capital of France?")},
		InferenceConfig: &brtypes.InferenceConfiguration{MaxTokens: aws.Int32(50), Temperature: aws.Float32(0.5), StopSequences: []string{"END"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	text := out.Output.(*brtypes.ConverseOutputMemberMessage).Value.Content[0].(*brtypes.ContentBlockMemberText).Value
	if text != "Paris is the capital." || *out.Usage.InputTokens != 31 || *out.Usage.OutputTokens != 6 || out.StopReason != "end_turn" {
		t.Errorf("%q %+v %s", text, out.Usage, out.StopReason)
	}
	message := func(role, text string) any { return map[string]any{"role": role, "content": text} }
	want := map[string]any{
		"model": "llama3.2", "max_tokens": 50.0, "temperature": 0.5, "stop": []any{"END"},
		"messages": []any{message("system", "Be short."), message("user", "Hi"), message("assistant", "Hello."), message("user", "The capital of France?")},
	}
	if diff := cmp.Diff(want, m.asked); diff != "" {
		t.Errorf("the server is asked (-want +got):\n%s", diff)
	}
	e := b.last(t, "Converse")
	extra := object(t, e.AdditionalEventData)
	if extra["inputTokens"] != 31.0 || extra["outputTokens"] != 6.0 || strings.Contains(string(e.AppendJSON(nil)), "France") {
		t.Errorf("recorded: %s", e.AppendJSON(nil))
	}
}

func TestForwardedStream(t *testing.T) {
	m := newModelServer(t)
	b := open(t, endpoint.Options{ForwardBedrock: m.URL})
	text, err := b.converse(t, nil)
	if err != nil || text != "Paris is the capital." || m.asked["model"] != haiku {
		t.Errorf("%q, %v, asked %v", text, err, m.asked)
	}
	e := b.last(t, "ConverseStream")
	if got := string(e.ServiceEventDetails); !strings.Contains(got, `"inputTokens":31`) || !strings.Contains(got, `"outputTokens":6`) {
		t.Errorf("recorded: %s", got)
	}
}

func TestForwardedTools(t *testing.T) {
	m := newModelServer(t)
	m.answer = `{"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Paris\"}"}}]},
		"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":40,"completion_tokens":12}}`
	b := open(t, endpoint.Options{ForwardBedrock: m.URL})
	schema := map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}}
	in := &bedrockruntime.ConverseInput{
		ModelId: aws.String(haiku), Messages: []brtypes.Message{said("user", "Weather in Paris?")},
		ToolConfig: &brtypes.ToolConfiguration{Tools: []brtypes.Tool{&brtypes.ToolMemberToolSpec{Value: brtypes.ToolSpecification{
			Name: aws.String("weather"), Description: aws.String("Tells the weather"), InputSchema: &brtypes.ToolInputSchemaMemberJson{Value: document.NewLazyDocument(schema)},
		}}}, ToolChoice: &brtypes.ToolChoiceMemberAny{}},
	}
	c := bedrockruntime.NewFromConfig(b.root)
	out, err := c.Converse(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	answer := out.Output.(*brtypes.ConverseOutputMemberMessage).Value
	use := answer.Content[0].(*brtypes.ContentBlockMemberToolUse).Value
	if out.StopReason != "tool_use" || *use.Name != "weather" || *use.ToolUseId != "call_1" {
		t.Errorf("%s %+v", out.StopReason, use)
	}
	if m.asked["tool_choice"] != "required" || m.asked["parallel_tool_calls"] != false ||
		fmt.Sprint(m.asked["tools"]) != "[map[function:map[description:Tells the weather name:weather parameters:map[properties:map[city:map[type:string]] type:object]] type:function]]" {
		t.Errorf("asked: %v", m.asked)
	}
	// The tool's result goes back.
	in.Messages = append(in.Messages, answer, brtypes.Message{Role: "user", Content: []brtypes.ContentBlock{&brtypes.ContentBlockMemberToolResult{Value: brtypes.ToolResultBlock{
		ToolUseId: aws.String("call_1"), Content: []brtypes.ToolResultContentBlock{&brtypes.ToolResultContentBlockMemberText{Value: "Rain."}},
	}}}})
	if _, err := c.Converse(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	messages, _ := json.Marshal(m.asked["messages"])
	if want := `[{"content":"Weather in Paris?","role":"user"},{"content":"","role":"assistant","tool_calls":[{"function":{"arguments":"{\"city\":\"Paris\"}","name":"weather"},"id":"call_1","type":"function"}]},{"content":"Rain.","role":"tool","tool_call_id":"call_1"}]`; string(messages) != want {
		t.Errorf("asked\n%s\nwant\n%s", messages, want)
	}
}

func TestForwardedInvokeModel(t *testing.T) {
	m := newModelServer(t)
	b := open(t, endpoint.Options{ForwardBedrock: m.URL})
	c := bedrockruntime.NewFromConfig(b.root)
	body := `{"anthropic_version":"bedrock-2023-05-31","max_tokens":64,"temperature":0.25,"system":"Be short.","messages":[{"role":"user","content":[
		{"type":"text","text":"What is this?"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]}]}`
	out, err := c.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String(haiku), Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Content    []struct{ Text string }
		StopReason string         `json:"stop_reason"`
		Usage      map[string]int `json:"usage"`
	}
	if err := json.Unmarshal(out.Body, &answer); err != nil || len(answer.Content) != 1 || answer.Content[0].Text != "Paris is the capital." ||
		answer.Usage["input_tokens"] != 31 || answer.Usage["output_tokens"] != 6 || answer.StopReason != "end_turn" {
		t.Errorf("%s, %v", out.Body, err)
	}
	asked, _ := json.Marshal(m.asked)
	if want := `{"max_tokens":64,"messages":[{"content":"Be short.","role":"system"},{"content":[{"text":"What is this?","type":"text"},{"image_url":{"url":"data:image/png;base64,iVBORw0KGgo="},"type":"image_url"}],"role":"user"}],"model":"` + haiku + `","temperature":0.25}`; string(asked) != want {
		t.Errorf("asked\n%s\nwant\n%s", asked, want)
	}
	if extra := object(t, b.last(t, "InvokeModel").AdditionalEventData); extra["inputTokens"] != 31.0 || extra["outputTokens"] != 6.0 {
		t.Errorf("recorded: %v", extra)
	}
	// Other families are answered by the endpoint itself.
	m.asked = nil
	if _, err := c.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String("amazon.titan-embed-text-v2:0"), Body: []byte(`{"inputText":"a"}`)}); err != nil || m.asked != nil {
		t.Errorf("embeddings: %v, asked %v", err, m.asked)
	}
}

// TestForwardedFamilies puts each family's own body to the model server, reads its answer in the family's form, whole and as a
// stream, and finds the tokens in the record.
func TestForwardedFamilies(t *testing.T) {
	m := newModelServer(t)
	b := open(t, endpoint.Options{ForwardBedrock: m.URL})
	c := bedrockruntime.NewFromConfig(b.root)
	const said = `"Paris is the capital."`
	for _, tt := range []struct{ model, body, asked, answer string }{
		{"amazon.nova-lite-v1:0",
			`{"schemaVersion":"messages-v1","system":[{"text":"Be short."}],"messages":[{"role":"user","content":[{"text":"Hi"},{"image":{"format":"png","source":{"bytes":"iVBORw0KGgo="}}}]}],
				"inferenceConfig":{"maxTokens":9,"temperature":0.5,"topP":0.25,"stopSequences":["X"]}}`,
			`{"max_tokens":9,"messages":[{"content":"Be short.","role":"system"},{"content":[{"text":"Hi","type":"text"},{"image_url":{"url":"data:image/png;base64,iVBORw0KGgo="},"type":"image_url"}],"role":"user"}],"stop":["X"],"temperature":0.5,"top_p":0.25}`,
			`{"output":{"message":{"content":[{"text":` + said + `}],"role":"assistant"}},"stopReason":"end_turn","usage":{"inputTokens":31,"outputTokens":6,"totalTokens":37}}`},
		{"amazon.titan-text-express-v1", `{"inputText":"Hi","textGenerationConfig":{"maxTokenCount":9,"temperature":0.5,"topP":0.25,"stopSequences":["X"]}}`,
			`{"max_tokens":9,"messages":[{"content":"Hi","role":"user"}],"stop":["X"],"temperature":0.5,"top_p":0.25}`,
			`{"inputTextTokenCount":31,"results":[{"completionReason":"FINISH","outputText":` + said + `,"tokenCount":6}]}`},
		{"meta.llama3-8b-instruct-v1:0",
			`{"prompt":"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe short.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nThe capital?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n","max_gen_len":9,"temperature":0.5}`,
			`{"max_tokens":9,"messages":[{"content":"Be short.","role":"system"},{"content":"Hi","role":"user"},{"content":"Hello.","role":"assistant"},{"content":"The capital?","role":"user"}],"temperature":0.5}`,
			`{"generation":` + said + `,"generation_token_count":6,"prompt_token_count":31,"stop_reason":"stop"}`},
		{"mistral.mistral-7b-instruct-v0:2", `{"prompt":"<s>[INST] Hi [/INST] Hello.</s>[INST] The capital? [/INST]","max_tokens":9,"stop":["X"]}`,
			`{"max_tokens":9,"messages":[{"content":"Hi","role":"user"},{"content":"Hello.","role":"assistant"},{"content":"The capital?","role":"user"}],"stop":["X"]}`,
			`{"outputs":[{"stop_reason":"stop","text":` + said + `}]}`},
		{"cohere.command-r-v1:0", `{"message":"The capital?","preamble":"Be short.","chat_history":[{"role":"USER","message":"Hi"},{"role":"CHATBOT","message":"Hello."}],"p":0.25,"max_tokens":9}`,
			`{"max_tokens":9,"messages":[{"content":"Be short.","role":"system"},{"content":"Hi","role":"user"},{"content":"Hello.","role":"assistant"},{"content":"The capital?","role":"user"}],"top_p":0.25}`,
			`"text":` + said},
		{"us.deepseek.r1-v1:0", `{"prompt":"<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜>","max_tokens":9}`,
			`{"max_tokens":9,"messages":[{"content":"Hi","role":"user"}]}`, `{"choices":[{"stop_reason":"stop","text":` + said + `}]}`},
		{"openai.gpt-oss-20b-1:0", `{"messages":[{"role":"developer","content":"Be short."},{"role":"user","content":"Hi"}],"max_completion_tokens":9,"stop":"X"}`,
			`{"max_tokens":9,"messages":[{"content":"Be short.","role":"developer"},{"content":"Hi","role":"user"}],"stop":["X"]}`,
			`"message":{"content":` + said + `,"role":"assistant"}`},
		{"qwen.qwen3-32b-v1:0", `{"messages":[{"role":"user","content":"Hi"}]}`, `{"messages":[{"content":"Hi","role":"user"}]}`, said},
	} {
		m.asked = nil
		out, err := c.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String(tt.model), Body: []byte(tt.body)})
		if err != nil {
			t.Errorf("%s: %v", tt.model, err)
			continue
		}
		if !strings.Contains(string(out.Body), tt.answer) {
			t.Errorf("%s answers\n%s\nwant\n%s", tt.model, out.Body, tt.answer)
		}
		delete(m.asked, "model")
		if asked, _ := json.Marshal(m.asked); string(asked) != tt.asked {
			t.Errorf("%s: the server is asked\n%s\nwant\n%s", tt.model, asked, tt.asked)
		}
		if extra := object(t, b.last(t, "InvokeModel").AdditionalEventData); extra["inputTokens"] != 31.0 || extra["outputTokens"] != 6.0 {
			t.Errorf("%s: recorded: %v", tt.model, extra)
		}
		stream, err := c.InvokeModelWithResponseStream(t.Context(), &bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: aws.String(tt.model), Body: []byte(tt.body)})
		if err != nil {
			t.Errorf("%s: a stream: %v", tt.model, err)
			continue
		}
		var all strings.Builder
		for e := range stream.GetStream().Events() {
			all.Write(e.(*brtypes.ResponseStreamMemberChunk).Value.Bytes)
		}
		if err := stream.GetStream().Close(); err != nil || !strings.Contains(all.String(), "Paris") || !strings.Contains(all.String(), `"inputTokenCount":31`) {
			t.Errorf("%s: streamed %s, %v", tt.model, all.String(), err)
		}
	}
	for model, body := range map[string]string{
		"cohere.command-r-v1:0":        `{"message":"Hi","documents":[{"title":"a"}]}`,
		"openai.gpt-oss-20b-1:0":       `{"messages":[{"role":"user","content":"Hi"}],"n":2}`,
		"qwen.qwen3-32b-v1:0":          `{"messages":["Hi"]}`,
		"meta.llama3-8b-instruct-v1:0": `{"prompt":"<s> [INST]"}`,
	} {
		m.asked = nil
		_, err := c.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String(model), Body: []byte(body)})
		if code(err) != "ValidationException" || !strings.Contains(err.Error(), "forwarded to takes no") || m.asked != nil {
			t.Errorf("%s %s: %v, asked %v", model, body, err, m.asked)
		}
	}
	// A tool that the server asks for is asked for in the family's form.
	m.answer = `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"call_1","function":{"name":"weather","arguments":"{\"city\":\"Paris\"}"}}]}}],"usage":{"prompt_tokens":40,"completion_tokens":12}}`
	for model, tt := range map[string][2]string{
		"openai.gpt-oss-20b-1:0": {`{"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object"}}}]}`,
			`"tool_calls":[{"function":{"arguments":"{\"city\":\"Paris\"}","name":"weather"},"id":"call_1","type":"function"}]`},
		"amazon.nova-lite-v1:0": {`{"messages":[{"role":"user","content":[{"text":"Hi"}]}],"toolConfig":{"tools":[{"toolSpec":{"name":"weather","inputSchema":{"json":{"type":"object"}}}}]}}`,
			`{"toolUse":{"input":{"city":"Paris"},"name":"weather","toolUseId":"call_1"}}`},
	} {
		out, err := c.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String(model), Body: []byte(tt[0])})
		if err != nil || !strings.Contains(string(out.Body), tt[1]) {
			t.Errorf("%s: %v, %v", model, out, err)
		}
		if tools, _ := m.asked["tools"].([]any); len(tools) != 1 {
			t.Errorf("%s: asked %v", model, m.asked)
		}
	}
}

func TestForwardingUnderAGuardrail(t *testing.T) {
	m := newModelServer(t)
	b := open(t, endpoint.Options{ForwardBedrock: m.URL})
	g, err := bedrock.NewFromConfig(b.root).CreateGuardrail(t.Context(), &bedrock.CreateGuardrailInput{
		Name: aws.String("g"), BlockedInputMessaging: aws.String("no"), BlockedOutputsMessaging: aws.String("no"),
		SensitiveInformationPolicyConfig: &bedrocktypes.GuardrailSensitiveInformationPolicyConfig{PiiEntitiesConfig: []bedrocktypes.GuardrailPiiEntityConfig{{Type: "EMAIL", Action: "ANONYMIZE"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bedrockruntime.NewFromConfig(b.root).Converse(t.Context(), &bedrockruntime.ConverseInput{
		ModelId: aws.String(haiku), Messages: []brtypes.Message{said("user", "Write to jo@example.com")},
		GuardrailConfig: &brtypes.GuardrailConfiguration{GuardrailIdentifier: g.GuardrailId, GuardrailVersion: aws.String("DRAFT")},
	}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(m.asked["messages"]); got != "[map[content:Write to {EMAIL} role:user]]" {
		t.Errorf("the server is told %s", got)
	}
}

func TestForwardingFails(t *testing.T) {
	m := newModelServer(t)
	b := open(t, endpoint.Options{ForwardBedrock: m.URL})
	c := bedrockruntime.NewFromConfig(b.root)
	for _, tt := range []struct {
		status       int // 0: the server is down
		answer       string
		code, saying string
	}{
		{500, `{"error":{"message":"out of memory"}}`, "ModelErrorException", "500 Internal Server Error: out of memory"},
		{404, `{"error":{"message":"model not found"}}`, "ModelErrorException", "model not found"},
		{200, `<html>`, "ModelErrorException", "no chat completion"},
		{429, `{}`, "ThrottlingException", "429"},
		{503, `loading`, "ServiceUnavailableException", "loading"},
		{0, "", "ServiceUnavailableException", "can't be reached"},
	} {
		m.status, m.answer = tt.status, tt.answer
		if tt.status == 0 {
			m.Close()
		}
		_, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: []brtypes.Message{said("user", "Hi")}})
		if code(err) != tt.code || !strings.Contains(err.Error(), tt.saying) {
			t.Errorf("%d %s: %v", tt.status, tt.answer, err)
		}
		if e := b.last(t, "Converse"); e.ErrorCode != tt.code || !strings.Contains(e.ErrorMessage, tt.saying) || e.AdditionalEventData != "" {
			t.Errorf("%d: recorded %s %q %s", tt.status, e.ErrorCode, e.ErrorMessage, e.AdditionalEventData)
		}
		if _, err := b.converse(t, nil); code(err) != tt.code {
			t.Errorf("%d: a stream: %v", tt.status, err)
		}
	}
	_, err := c.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(haiku), Messages: []brtypes.Message{{Role: "user", Content: []brtypes.ContentBlock{
		&brtypes.ContentBlockMemberDocument{Value: brtypes.DocumentBlock{Name: aws.String("d"), Format: "pdf", Source: &brtypes.DocumentSourceMemberBytes{Value: []byte("%PDF")}}},
	}}}})
	var invalid *brtypes.ValidationException
	if !errors.As(err, &invalid) || !strings.Contains(err.Error(), "no documents other than text") {
		t.Errorf("a PDF: %v", err)
	}
	if _, err := endpoint.New(endpoint.Options{Dir: t.TempDir(), ForwardBedrock: "localhost:11434"}); err == nil {
		t.Error("an address without a scheme is taken")
	}
}
