package ai_test

import (
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	bedrocktypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

const (
	haiku  = "anthropic.claude-3-haiku-20240307-v1:0"
	sonnet = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
)

func said(words string) []types.Message {
	return []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: words}}}}
}

func TestConverse(t *testing.T) {
	s := newServer(t)
	client := bedrockruntime.NewFromConfig(s.config("us-east-1"))
	ask := &bedrockruntime.ConverseInput{ModelId: aws.String(sonnet), Messages: said("Summarise the quarterly report, please.")}
	out, err := client.Converse(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	answer := out.Output.(*types.ConverseOutputMemberMessage).Value.Content[0].(*types.ContentBlockMemberText).Value
	if !strings.Contains(answer, "quarterly report") || out.StopReason != types.StopReasonEndTurn {
		t.Errorf("answer %q, stop reason %s", answer, out.StopReason)
	}
	if in, all := *out.Usage.InputTokens, *out.Usage.TotalTokens; in == 0 || all != in+*out.Usage.OutputTokens {
		t.Errorf("usage %+v", out.Usage)
	}
	record := encode(t, s.last)
	if strings.Contains(record, "quarterly") {
		t.Errorf("the prompt is in the record: %s", record)
	}
	extra := s.last.AdditionalEventData.(map[string]any)
	if s.last.Data || !s.last.ReadOnly || s.last.EventSource != "bedrock.amazonaws.com" || extra["inputTokens"] != int(*out.Usage.InputTokens) {
		t.Errorf("record %s", record)
	}
	if diff := cmp.Diff(map[string]any{"modelId": sonnet}, s.last.RequestParameters); diff != "" {
		t.Error(diff)
	}
	again, err := client.Converse(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*out.Usage.OutputTokens, *again.Usage.OutputTokens); diff != "" || s.last.AdditionalEventData.(map[string]any)["inferenceRegion"] != extra["inferenceRegion"] {
		t.Errorf("the same request was answered in another way: %s", diff)
	}
}

func encode(t *testing.T, r awsapi.Record) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestModelIdentifiers(t *testing.T) {
	s := newServer(t)
	for _, tc := range []struct {
		region, model, code string
	}{
		{"us-east-1", haiku, ""},
		{"us-east-1", sonnet, ""},
		{"us-east-1", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", ""},
		{"us-east-1", "arn:aws:bedrock:us-east-1::foundation-model/" + haiku, ""},
		{"us-east-1", "arn:aws:bedrock:us-east-1:111122223333:inference-profile/" + sonnet, ""},
		{"us-east-1", "arn:aws:bedrock:us-east-1:444455556666:inference-profile/" + sonnet, "ValidationException"},
		{"eu-west-1", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", ""},
		{"eu-west-1", sonnet, "ValidationException"},
		{"us-east-1", "anthropic.claude-9", "ValidationException"},
		{"us-east-1", "anthropic.claude-sonnet-4-5-20250929-v1:0", "ValidationException"}, // profiles only
		{"us-east-1", "amazon.titan-embed-text-v2:0", "ValidationException"},              // no chat model
	} {
		client := bedrockruntime.NewFromConfig(s.config(tc.region))
		_, err := client.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: &tc.model, Messages: said("Hello")})
		if got := ""; err != nil {
			got = code(err)
			if got != tc.code {
				t.Errorf("%s in %s: %v, want %q", tc.model, tc.region, err, tc.code)
			}
		} else if tc.code != "" {
			t.Errorf("%s in %s was taken, want %s", tc.model, tc.region, tc.code)
		}
		if diff := cmp.Diff(map[string]any{"modelId": tc.model}, s.last.RequestParameters); diff != "" {
			t.Errorf("%s: %s", tc.model, diff)
		}
	}
}

func TestConverseStream(t *testing.T) {
	s := newServer(t)
	client := bedrockruntime.NewFromConfig(s.config("us-west-2"))
	out, err := client.ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{
		ModelId: aws.String("us.anthropic.claude-opus-4-7"), Messages: said("Tell me about whales and dolphins."),
	})
	if err != nil {
		t.Fatal(err)
	}
	var answer strings.Builder
	var usage *types.TokenUsage
	for e := range out.GetStream().Events() {
		switch e := e.(type) {
		case *types.ConverseStreamOutputMemberContentBlockDelta:
			answer.WriteString(e.Value.Delta.(*types.ContentBlockDeltaMemberText).Value)
		case *types.ConverseStreamOutputMemberMetadata:
			usage = e.Value.Usage
		}
	}
	if err := out.GetStream().Err(); err != nil || usage == nil || !strings.Contains(answer.String(), "whales and dolphins") {
		t.Fatalf("stream ended with %v, usage %v, text %q", err, usage, answer.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.completions) != 1 {
		t.Fatalf("%d completions, want 1", len(s.completions))
	}
	details := s.completions[0].ServiceEventDetails.(map[string]any)
	entries := details["AdditionalEventData"].(map[string]any)["additionalEntries"].(map[string]any)
	if details["parentRequestId"] != "00000000-0000-4000-8000-000000000001" || entries["inputTokens"] != int(*usage.InputTokens) || entries["outputTokens"] != int(*usage.OutputTokens) {
		t.Errorf("completion %v, usage %d %d", details, *usage.InputTokens, *usage.OutputTokens)
	}
	if r := s.completions[0].Resources; len(r) != 1 || r[0].ARN != "arn:aws:bedrock:us-west-2::foundation-model/anthropic.claude-opus-4-7" || r[0].AccountID != "" {
		t.Errorf("completion's resources %+v", r)
	}
	if s.last.ResponseElements != nil || s.last.AdditionalEventData.(map[string]any)["inputTokens"] != nil {
		t.Errorf("the call's own record knows the tokens: %s", encode(t, s.last))
	}
}

func TestTools(t *testing.T) {
	s := newServer(t)
	client := bedrockruntime.NewFromConfig(s.config("us-east-1"))
	schema := map[string]any{"type": "object", "required": []string{"city", "days"}, "properties": map[string]any{
		"city": map[string]any{"type": "string"}, "days": map[string]any{"type": "integer", "minimum": 3},
	}}
	in := &bedrockruntime.ConverseInput{
		ModelId: aws.String("amazon.nova-lite-v1:0"), Messages: said("Weather in Oslo"),
		ToolConfig: &types.ToolConfiguration{
			Tools: []types.Tool{&types.ToolMemberToolSpec{Value: types.ToolSpecification{
				Name: aws.String("get_weather"), InputSchema: &types.ToolInputSchemaMemberJson{Value: document.NewLazyDocument(schema)},
			}}},
			ToolChoice: &types.ToolChoiceMemberAny{},
		},
	}
	out, err := client.Converse(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	message := out.Output.(*types.ConverseOutputMemberMessage).Value
	use := message.Content[0].(*types.ContentBlockMemberToolUse).Value
	var input map[string]any
	if err := use.Input.UnmarshalSmithyDocument(&input); err != nil {
		t.Fatal(err)
	}
	if out.StopReason != types.StopReasonToolUse || *use.Name != "get_weather" || input["city"] != "Weather in Oslo" {
		t.Errorf("stop %s, tool %s, input %v", out.StopReason, *use.Name, input)
	}
	in.ToolConfig.ToolChoice = nil
	in.Messages = append(in.Messages, message, types.Message{Role: types.ConversationRoleUser, Content: []types.ContentBlock{
		&types.ContentBlockMemberToolResult{Value: types.ToolResultBlock{ToolUseId: use.ToolUseId, Content: []types.ToolResultContentBlock{
			&types.ToolResultContentBlockMemberText{Value: "Rain"}}}}}})
	if out, err = client.Converse(t.Context(), in); err != nil || out.StopReason != types.StopReasonEndTurn {
		t.Errorf("after the tool's result: %v %v", out, err)
	}
}

func TestInvokeModelFamilies(t *testing.T) {
	s := newServer(t)
	client := bedrockruntime.NewFromConfig(s.config("us-east-1"))
	for _, tc := range []struct {
		model, body string
		path        []string // where the answer's text, or vector, stands
		streams     bool
	}{
		{haiku, `{"anthropic_version":"bedrock-2023-05-31","max_tokens":200,"messages":[{"role":"user","content":"Describe green tea"}]}`, []string{"content", "0", "text"}, true},
		{"amazon.nova-pro-v1:0", `{"messages":[{"role":"user","content":[{"text":"Describe green tea"}]}]}`, []string{"output", "message", "content", "0", "text"}, true},
		{"amazon.titan-text-express-v1", `{"inputText":"Describe green tea"}`, []string{"results", "0", "outputText"}, true},
		{"meta.llama3-8b-instruct-v1:0", `{"prompt":"Describe green tea"}`, []string{"generation"}, true},
		{"mistral.mistral-7b-instruct-v0:2", `{"prompt":"<s>[INST]Describe green tea[/INST]"}`, []string{"outputs", "0", "text"}, true},
		{"cohere.command-r-v1:0", `{"message":"Describe green tea"}`, []string{"text"}, true},
		{"openai.gpt-oss-20b-1:0", `{"messages":[{"role":"system","content":"Be brief"},{"role":"user","content":"Describe green tea"}]}`, []string{"choices", "0", "message", "content"}, true},
		{"amazon.titan-embed-text-v2:0", `{"inputText":"green tea","dimensions":256}`, []string{"embedding"}, false},
		{"cohere.embed-english-v3", `{"texts":["green tea","black tea"],"input_type":"search_document"}`, []string{"embeddings", "1"}, false},
		{"cohere.rerank-v3-5:0", `{"query":"green tea","documents":["coffee","green tea"]}`, []string{"results", "0", "index"}, false},
		{"amazon.titan-image-generator-v2:0", `{"taskType":"TEXT_IMAGE","textToImageParams":{"text":"green tea"}}`, []string{"images", "0"}, false},
		{"stability.stable-diffusion-xl-v0", `{"text_prompts":[{"text":"green tea"}]}`, []string{"artifacts", "0", "base64"}, false},
	} {
		out, err := client.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: &tc.model, Body: []byte(tc.body)})
		if err != nil {
			t.Errorf("%s: %v", tc.model, err)
			continue
		}
		var body any
		if err := json.Unmarshal(out.Body, &body); err != nil {
			t.Fatal(err)
		}
		switch v := follow(body, tc.path).(type) {
		case string:
			if v == "" || tc.streams && !strings.Contains(v, "green tea") {
				t.Errorf("%s answers %q", tc.model, v)
			}
		case []any:
			if len(v) < 256 {
				t.Errorf("%s: vector of %d", tc.model, len(v))
			}
		case float64:
			if v != 1 {
				t.Errorf("%s: first is %v, want 1", tc.model, v)
			}
		default:
			t.Errorf("%s: nothing at %v of %s", tc.model, tc.path, out.Body)
		}
		if record := encode(t, s.last); strings.Contains(record, "tea") {
			t.Errorf("%s: the prompt is in the record: %s", tc.model, record)
		}
		if _, err := client.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: &tc.model, Body: []byte(`{}`)}); code(err) != "ValidationException" {
			if !strings.HasPrefix(tc.model, "amazon.titan-embed") {
				t.Errorf("%s took an empty body: %v", tc.model, err)
			}
		}
		stream(t, client, tc.model, tc.body, tc.streams)
	}
}

func stream(t *testing.T, client *bedrockruntime.Client, model, body string, streams bool) {
	t.Helper()
	out, err := client.InvokeModelWithResponseStream(t.Context(), &bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: &model, Body: []byte(body)})
	if !streams {
		if code(err) != "ValidationException" {
			t.Errorf("%s streams: %v", model, err)
		}
		return
	}
	if err != nil {
		t.Errorf("streaming %s: %v", model, err)
		return
	}
	var all strings.Builder
	for e := range out.GetStream().Events() {
		all.Write(e.(*types.ResponseStreamMemberChunk).Value.Bytes)
	}
	if err := out.GetStream().Err(); err != nil || !strings.Contains(all.String(), `"amazon-bedrock-invocationMetrics":{"firstByteLatency"`) {
		t.Errorf("streaming %s: %v %s", model, err, all.String())
	}
}

func follow(v any, path []string) any {
	for _, name := range path {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			if int(name[0]-'0') >= len(x) {
				return nil
			}
			v = x[name[0]-'0']
		}
	}
	return v
}

func TestGuardrails(t *testing.T) {
	s := newServer(t)
	control, client := bedrock.NewFromConfig(s.config("us-east-1")), bedrockruntime.NewFromConfig(s.config("us-east-1"))
	made, err := control.CreateGuardrail(t.Context(), &bedrock.CreateGuardrailInput{
		Name: aws.String("no-secrets"), BlockedInputMessaging: aws.String("No."), BlockedOutputsMessaging: aws.String("Not that."),
		ContentPolicyConfig: &bedrocktypes.GuardrailContentPolicyConfig{FiltersConfig: []bedrocktypes.GuardrailContentFilterConfig{
			{Type: bedrocktypes.GuardrailContentFilterTypeViolence, InputStrength: bedrocktypes.GuardrailFilterStrengthHigh, OutputStrength: bedrocktypes.GuardrailFilterStrengthHigh}}},
		SensitiveInformationPolicyConfig: &bedrocktypes.GuardrailSensitiveInformationPolicyConfig{PiiEntitiesConfig: []bedrocktypes.GuardrailPiiEntityConfig{
			{Type: bedrocktypes.GuardrailPiiEntityTypeEmail, Action: bedrocktypes.GuardrailSensitiveInformationActionAnonymize}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"name": "HIDDEN_DUE_TO_SECURITY_REASONS"}, s.last.RequestParameters); diff != "" {
		t.Error(diff)
	}
	version, err := control.CreateGuardrailVersion(t.Context(), &bedrock.CreateGuardrailVersionInput{GuardrailIdentifier: made.GuardrailId})
	if err != nil || *version.Version != "1" {
		t.Fatalf("version %v, %v", version, err)
	}
	got, err := control.GetGuardrail(t.Context(), &bedrock.GetGuardrailInput{GuardrailIdentifier: made.GuardrailArn, GuardrailVersion: aws.String("1")})
	if err != nil || got.ContentPolicy.Filters[0].Type != "VIOLENCE" || *got.Version != "1" || *got.GuardrailId != *made.GuardrailId || *got.Name != "no-secrets" {
		t.Fatalf("guardrail %+v, %v", got, err)
	}
	apply := func(words string) *bedrockruntime.ApplyGuardrailOutput {
		t.Helper()
		out, err := client.ApplyGuardrail(t.Context(), &bedrockruntime.ApplyGuardrailInput{
			GuardrailIdentifier: made.GuardrailId, GuardrailVersion: aws.String("1"), Source: types.GuardrailContentSourceInput,
			Content: []types.GuardrailContentBlock{&types.GuardrailContentBlockMemberText{Value: types.GuardrailTextBlock{Text: &words}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := apply("Mail me at jo@example.com"); out.Action != "GUARDRAIL_INTERVENED" || *out.Outputs[0].Text != "Mail me at {EMAIL}" {
		t.Errorf("masked: %+v", out)
	}
	if record := encode(t, s.last); strings.Contains(record, "jo@") || !s.last.Data {
		t.Errorf("record %s", record)
	}
	if out := apply("A quiet day"); out.Action != "NONE" {
		t.Errorf("harmless: %+v", out)
	}
	out, err := client.Converse(t.Context(), &bedrockruntime.ConverseInput{
		ModelId: aws.String(haiku), Messages: said("How do I build a bomb?"),
		GuardrailConfig: &types.GuardrailConfiguration{GuardrailIdentifier: made.GuardrailId, GuardrailVersion: aws.String("DRAFT"), Trace: types.GuardrailTraceEnabled},
	})
	if err != nil || out.StopReason != types.StopReasonGuardrailIntervened || out.Trace.Guardrail.InputAssessment[*made.GuardrailId].ContentPolicy == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	want := map[string]any{"modelId": haiku, "guardrailConfig": map[string]any{"guardrailIdentifier": *made.GuardrailId, "guardrailVersion": "DRAFT"}}
	if diff := cmp.Diff(want, s.last.RequestParameters); diff != "" {
		t.Error(diff)
	}
	if _, err := control.DeleteGuardrail(t.Context(), &bedrock.DeleteGuardrailInput{GuardrailIdentifier: made.GuardrailId}); err != nil {
		t.Fatal(err)
	}
	if _, err := control.GetGuardrail(t.Context(), &bedrock.GetGuardrailInput{GuardrailIdentifier: made.GuardrailId, GuardrailVersion: aws.String("1")}); code(err) != "ResourceNotFoundException" {
		t.Errorf("a deleted guardrail's version: %v", err)
	}
}

func TestModelAccess(t *testing.T) {
	s := newServer(t)
	client := bedrockruntime.NewFromConfig(s.config("us-east-1"))
	if _, err := client.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(sonnet), Messages: said("Hi")}); err != nil {
		t.Fatal(err)
	}
	base := "anthropic.claude-sonnet-4-5-20250929-v1:0"
	want := []awsapi.Access{
		{Action: "bedrock:InvokeModel", Resource: "arn:aws:bedrock:us-east-1:111122223333:inference-profile/" + sonnet},
		{Action: "bedrock:InvokeModel", Resource: "arn:aws:bedrock:us-east-1::foundation-model/" + base},
		{Action: "bedrock:InvokeModel", Resource: "arn:aws:bedrock:us-east-2::foundation-model/" + base},
		{Action: "bedrock:InvokeModel", Resource: "arn:aws:bedrock:us-west-2::foundation-model/" + base},
	}
	if diff := cmp.Diff(want, s.access); diff != "" {
		t.Error(diff)
	}
	s.bearer = true
	out, err := client.ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(haiku), Messages: said("Hi")})
	if err != nil {
		t.Fatal(err)
	}
	out.GetStream().Close()
	want = []awsapi.Access{
		{Action: "bedrock:CallWithBearerToken", Resource: "*"},
		{Action: "bedrock:InvokeModelWithResponseStream", Resource: "arn:aws:bedrock:us-east-1::foundation-model/" + haiku},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.access); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"callWithBearerToken": true}, s.last.AdditionalEventData); diff != "" {
		t.Error(diff)
	}
}

func TestBedrockControl(t *testing.T) {
	s := newServer(t)
	client := bedrock.NewFromConfig(s.config("us-east-1"))
	list, err := client.ListFoundationModels(t.Context(), &bedrock.ListFoundationModelsInput{ByProvider: aws.String("anthropic")})
	if err != nil || len(list.ModelSummaries) < 10 {
		t.Fatalf("%d models, %v", len(list.ModelSummaries), err)
	}
	if s.last.RequestParameters.(map[string]any)["byProvider"] != "anthropic" || s.last.ResponseElements != nil {
		t.Errorf("record %s", encode(t, s.last))
	}
	if _, err := client.GetFoundationModel(t.Context(), &bedrock.GetFoundationModelInput{ModelIdentifier: aws.String(haiku)}); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	pages := bedrock.NewListInferenceProfilesPaginator(client, &bedrock.ListInferenceProfilesInput{MaxResults: aws.Int32(7)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.InferenceProfileSummaries {
			if seen[*p.InferenceProfileId] || strings.HasPrefix(*p.InferenceProfileId, "eu.") {
				t.Errorf("profile %s twice, or of another geography", *p.InferenceProfileId)
			}
			seen[*p.InferenceProfileId] = true
		}
	}
	if !seen[sonnet] {
		t.Errorf("no %s among %d profiles", sonnet, len(seen))
	}
	made, err := client.CreateInferenceProfile(t.Context(), &bedrock.CreateInferenceProfileInput{
		InferenceProfileName: aws.String("team-a"), ModelSource: &bedrocktypes.InferenceProfileModelSourceMemberCopyFrom{Value: "arn:aws:bedrock:us-east-1::foundation-model/" + haiku},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bedrockruntime.NewFromConfig(s.config("us-east-1")).Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: made.InferenceProfileArn, Messages: said("Hi")}); err != nil {
		t.Errorf("through an application inference profile: %v", err)
	}
	config := &bedrocktypes.LoggingConfig{TextDataDeliveryEnabled: aws.Bool(true), S3Config: &bedrocktypes.S3Config{BucketName: aws.String("example-logs")}}
	if _, err := client.PutModelInvocationLoggingConfiguration(t.Context(), &bedrock.PutModelInvocationLoggingConfigurationInput{LoggingConfig: config}); err != nil {
		t.Fatal(err)
	}
	got, err := client.GetModelInvocationLoggingConfiguration(t.Context(), &bedrock.GetModelInvocationLoggingConfigurationInput{})
	if err != nil || *got.LoggingConfig.S3Config.BucketName != "example-logs" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := client.DeleteModelInvocationLoggingConfiguration(t.Context(), &bedrock.DeleteModelInvocationLoggingConfigurationInput{}); err != nil {
		t.Fatal(err)
	}
	if got, err = client.GetModelInvocationLoggingConfiguration(t.Context(), &bedrock.GetModelInvocationLoggingConfigurationInput{}); err != nil || got.LoggingConfig != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// BenchmarkConverse is a call without the network: routed, described, allowed and served.
func BenchmarkConverse(b *testing.B) {
	store, err := state.Open(filepath.Join(b.TempDir(), "state.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	service := servicesOf(store)["bedrock"]
	body := []byte(`{"messages":[{"role":"user","content":[{"text":"Summarise the quarterly report, please."}]}]}`)
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse", nil)
		c := &awsapi.Call{Request: r, Body: body, ID: "1", Account: account, Region: "us-east-1", Signing: "bedrock", Caller: &awsapi.Identity{Kind: awsapi.User}}
		c.Operation, _, _ = service.Route(r, body)
		service.Describe(c)
		service.Access(c)
		if _, err := service.Serve(c); err != nil {
			b.Fatal(err)
		}
	}
}
