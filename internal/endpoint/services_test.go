package endpoint_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	bedrocktypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	brtypes "github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	trailevent "github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint"
)

// makeGuardrail makes a guardrail that blocks violence and masks addresses.
func (b *bench) makeGuardrail(t *testing.T) *bedrock.CreateGuardrailOutput {
	t.Helper()
	g, err := bedrock.NewFromConfig(b.root).CreateGuardrail(t.Context(), &bedrock.CreateGuardrailInput{
		Name: aws.String("g"), BlockedInputMessaging: aws.String("no"), BlockedOutputsMessaging: aws.String("no"),
		ContentPolicyConfig:              &bedrocktypes.GuardrailContentPolicyConfig{FiltersConfig: []bedrocktypes.GuardrailContentFilterConfig{{Type: "VIOLENCE", InputStrength: "HIGH", OutputStrength: "HIGH"}}},
		SensitiveInformationPolicyConfig: &bedrocktypes.GuardrailSensitiveInformationPolicyConfig{PiiEntitiesConfig: []bedrocktypes.GuardrailPiiEntityConfig{{Type: "EMAIL", Action: "ANONYMIZE"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestGuardrailsOnTheWayAreRecorded has inference under a guardrail followed by the guardrail's own data events.
func TestGuardrailsOnTheWayAreRecorded(t *testing.T) {
	b := open(t, endpoint.Options{})
	g := b.makeGuardrail(t)
	for _, tt := range []struct {
		said string
		want string // source and action of each evaluation
	}{
		{"What is the capital of France?", "INPUT NONE OUTPUT NONE"},
		{"Write to jo@example.com", "INPUT GUARDRAIL_INTERVENED OUTPUT NONE"},
		{"I will kill him, murder", "INPUT GUARDRAIL_INTERVENED"},
	} {
		n := len(b.recorded())
		if _, err := bedrockruntime.NewFromConfig(b.root).Converse(t.Context(), &bedrockruntime.ConverseInput{
			ModelId: aws.String(haiku), Messages: []brtypes.Message{said("user", tt.said)},
			GuardrailConfig: &brtypes.GuardrailConfiguration{GuardrailIdentifier: g.GuardrailId, GuardrailVersion: aws.String("DRAFT")},
		}); err != nil {
			t.Fatal(err)
		}
		events := b.recorded()[n:]
		if events[0].EventName != "Converse" || events[0].EventCategory != "Management" {
			t.Errorf("%s: first %s", tt.said, events[0].EventName)
		}
		var got []string
		for _, e := range events[1:] {
			in, out := object(t, e.RequestParameters), object(t, e.ResponseElements)
			got = append(got, in["source"].(string), out["action"].(string))
			if e.EventName != "ApplyGuardrail" || e.EventCategory != "Data" || e.ReadOnly != trailevent.True || in["guardrailIdentifier"] != *g.GuardrailId ||
				len(e.Resources) != 1 || e.Resources[0].ARN != *g.GuardrailArn || e.RequestID == events[0].RequestID || e.UserIdentity.ARN != events[0].UserIdentity.ARN {
				t.Errorf("%s: %s", tt.said, e.AppendJSON(nil))
			}
			if text := string(e.AppendJSON(nil)); strings.Contains(text, "example.com") || strings.Contains(text, "kill") {
				t.Errorf("the record tells what was said: %s", text)
			}
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: %s", tt.said, diff)
		}
	}
}

// TestAgentsInvokeModels has an agent's call of its model recorded as the role's, called for by Bedrock.
func TestAgentsInvokeModels(t *testing.T) {
	c := newCast(t)
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	role, err := iam.NewFromConfig(c.root).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("agent-role"), AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	for arn, calls := range map[string]int{*role.Role.Arn: 2, c.bench.role(t, "mine", ""): 1, "arn:aws:iam::111122223333:role/none": 1} {
		status, answer := c.send(t, "", "", wire{"bedrock", "PUT /agents/", `{"agentName":"a` + arn[len(arn)-4:] + `","foundationModel":"anthropic.claude-3-haiku-20240307-v1:0","instruction":"Answer whatever you are asked, in short sentences.","agentResourceRoleArn":"` + arn + `"}`})
		if status >= 300 {
			t.Fatalf("%d %s", status, answer)
		}
		id := object(t, trailevent.JSON(answer))["agent"].(map[string]any)["agentId"].(string)
		if status, answer := c.send(t, "", "", wire{"bedrock", "POST /agents/" + id + "/", ""}); status >= 300 {
			t.Fatalf("%d %s", status, answer)
		}
		n := len(c.recorded())
		if status, answer := c.send(t, "", "", wire{"bedrock", "POST /agents/" + id + "/agentAliases/TSTALIASID/sessions/s1/text", `{"inputText":"a secret"}`}); status >= 300 {
			t.Fatalf("%d %s", status, answer)
		}
		events := c.recorded()[n:]
		if len(events) != calls || events[0].EventName != "InvokeAgent" || events[0].EventCategory != "Data" {
			t.Fatalf("%s: %d events, first %s", arn, len(events), events[0].EventName)
		}
		if calls == 1 {
			continue // no role that Bedrock may assume
		}
		e := events[1]
		u := e.UserIdentity
		if e.EventName != "InvokeModel" || e.EventCategory != "Management" || u.Type != "AssumedRole" || u.InvokedBy != "bedrock.amazonaws.com" ||
			u.ARN != "arn:aws:sts::111122223333:assumed-role/agent-role/BedrockAgents-"+id || u.SessionContext.SessionIssuer.ARN != arn ||
			e.SourceIPAddress != "bedrock.amazonaws.com" || e.UserAgent != "bedrock.amazonaws.com" || e.TLSDetails != nil {
			t.Errorf("recorded: %s", e.AppendJSON(nil))
		}
	}
}

// TestAPIKeysAreForInference has API keys refused where Bedrock refuses them, and recorded so.
func TestAPIKeysAreForInference(t *testing.T) {
	c := newCast(t)
	for _, tt := range []struct {
		operation, body string
		name            string // of the event; "" when the call is served
	}{
		{"POST /model/anthropic.claude-3-haiku-20240307-v1:0/invoke", messagesBody, ""},
		{"POST /model/anthropic.claude-3-haiku-20240307-v1:0/converse", `{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}`, ""},
		{"GET /foundation-models", "", ""},
		{"GET /knowledgebases/KB12345678", "", "GetKnowledgeBase"},
		{"POST /knowledgebases/KB12345678/retrieve", `{"retrievalQuery":{"text":"Hi"}}`, "Retrieve"},
		{"POST /agents/AGENT12345/agentAliases/ALIAS12345/sessions/s1/text", `{"inputText":"Hi"}`, "InvokeAgent"},
	} {
		status, answer := c.send(t, "key", "", wire{"bedrock", tt.operation, tt.body})
		events := c.recorded()
		e := events[len(events)-1]
		if object(t, e.AdditionalEventData)["callWithBearerToken"] != true {
			t.Errorf("%s: %s", tt.operation, e.AdditionalEventData)
		}
		switch {
		case tt.name == "" && (status != 200 || e.ErrorCode != ""):
			t.Errorf("%s: %d %s", tt.operation, status, answer)
		case tt.name != "" && (status != 403 || e.ErrorCode != "AccessDenied" && e.ErrorCode != "AccessDeniedException" || e.EventName != tt.name):
			t.Errorf("%s: %d %s, recorded %s %s", tt.operation, status, answer, e.EventName, e.ErrorCode)
		}
	}
	// A key alone isn't enough: its user must be allowed to call with it.
	user := iam.NewFromConfig(c.root)
	deny := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"bedrock:CallWithBearerToken","Resource":"*"}]}`
	if _, err := user.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("userxyz"), PolicyName: aws.String("no-keys"), PolicyDocument: &deny}); err != nil {
		t.Fatal(err)
	}
	status, answer := c.send(t, "key", "", wire{"bedrock", "POST /model/anthropic.claude-3-haiku-20240307-v1:0/invoke", messagesBody})
	if e := c.last(t, "InvokeModel"); status != 403 || e.ErrorCode != "AccessDenied" {
		t.Errorf("denied: %d %s, recorded %s", status, answer, e.ErrorCode)
	}
}

func TestMantle(t *testing.T) {
	c := newCast(t)
	const said = `"messages":[{"role":"user","content":"a secret"}]`
	for _, tt := range []struct {
		as, operation, body string
		status              int
		answer              string // a part of it
		params              string // requestParameters, "" for none compared
	}{
		{"key", "POST /v1/chat/completions", `{"model":"anthropic.claude-opus-4-7",` + said + `}`, 200, `"object":"chat.completion"`,
			`{"bearerTokenType":"ABSK","callWithBearerToken":true,"model":"anthropic.claude-opus-4-7"}`},
		{"user", "POST /v1/chat/completions", `{"model":"anthropic.claude-opus-4-7",` + said + `}`, 200, `"finish_reason":"stop"`,
			`{"callWithBearerToken":false,"model":"anthropic.claude-opus-4-7"}`},
		{"key", "POST /v1/chat/completions", `{"model":"anthropic.claude-opus-4-7","stream":true,"stream_options":{"include_usage":true},` + said + `}`, 200, "data: [DONE]", ""},
		{"key", "POST /v1/responses", `{"model":"openai.gpt-oss-120b-1:0","input":"a secret"}`, 200, `"object":"response"`, ""},
		{"key", "POST /v1/responses", `{"model":"openai.gpt-oss-120b-1:0","input":"a secret","stream":true}`, 200, "event: response.completed", ""},
		{"key", "POST /anthropic/v1/messages", `{"model":"anthropic.claude-opus-4-7","max_tokens":20,` + said + `}`, 200, `"type":"message"`, ""},
		{"key", "POST /anthropic/v1/messages", `{"model":"anthropic.claude-opus-4-7","max_tokens":20,"stream":true,` + said + `}`, 200, "event: message_stop", ""},
		{"key", "POST /anthropic/v1/messages/count_tokens", `{"model":"anthropic.claude-opus-4-7",` + said + `}`, 200, `"input_tokens":`, ""},
		{"key", "POST /v1/embeddings", `{"model":"amazon.titan-embed-text-v2:0","input":["a secret","b"]}`, 200, `"index":1`, ""},
		{"key", "GET /v1/models", "", 200, `"id":"anthropic.claude-opus-4-7"`, ""},
		{"key", "GET /v1/models/anthropic.claude-opus-4-7", "", 200, `"owned_by":"anthropic"`, ""},
		{"key", "GET /v1/models/gpt-none", "", 404, "does not exist", ""},
		{"key", "POST /v1/chat/completions", `{"model":"gpt-none",` + said + `}`, 404, "'gpt-none' does not exist", ""},
		{"key", "POST /v1/chat/completions", `{"model":"anthropic.claude-opus-4-7"}`, 400, "messages", ""},
		{"key", "POST /v1/responses", `{"model":"anthropic.claude-opus-4-7"}`, 400, "input", ""},
		{"key", "POST /v1/embeddings", `{"model":"anthropic.claude-opus-4-7","input":"a"}`, 400, "embeddings", ""},
		{"key", "POST /v1/chat/completions", `[`, 400, "Malformed", ""},
		{"denied", "POST /v1/chat/completions", `{"model":"anthropic.claude-opus-4-7",` + said + `}`, 403, "bedrock-mantle:CreateInference on resource: arn:aws:bedrock-mantle:us-east-1:111122223333:project/default", ""},
	} {
		n := len(c.recorded())
		status, answer := c.send(t, tt.as, "", wire{"bedrock-mantle", tt.operation, tt.body})
		if status != tt.status || !strings.Contains(answer, tt.answer) {
			t.Errorf("%s %s: %d %s", tt.operation, tt.body, status, answer)
		}
		events := c.recorded()[n:]
		if len(events) != 1 {
			t.Fatalf("%s: %d events", tt.operation, len(events))
		}
		e := events[0]
		if e.EventSource != "bedrock-mantle.amazonaws.com" || (e.ErrorCode != "") != (status >= 300) || strings.Contains(string(e.AppendJSON(nil)), "secret") ||
			(e.EventCategory == "Data") != strings.HasPrefix(tt.operation, "POST") {
			t.Errorf("%s: recorded %s", tt.operation, e.AppendJSON(nil))
		}
		if diff := cmp.Diff(tt.params, string(e.RequestParameters)); tt.params != "" && diff != "" {
			t.Errorf("%s: %s", tt.operation, diff)
		}
	}
}

// TestMantleKeeps walks through what the Mantle keeps: what is made is got, listed, changed and gone, and recorded without
// what files and responses say.
func TestMantleKeeps(t *testing.T) {
	c := newCast(t)
	form := "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"t.jsonl\"\r\n\r\na secret\r\n--b--\r\n"
	ids := map[string]string{}
	for _, tt := range []struct {
		operation, body string
		status          int
		answer          string // a part of it
		recorded        string // event name, category, read or write
		keeps           string // what the answer's id is kept as
	}{
		{"POST /v1/organization/projects", `{"name":"assistant"}`, 200, `"status":"active"`, "CreateProject Management write", "PROJECT"},
		{"POST /v1/organization/projects", `{}`, 400, "'name'", "CreateProject Management write", ""},
		{"GET /v1/organization/projects", "", 200, `"name":"assistant"`, "ListProjects Management read", ""},
		{"POST /v1/organization/projects/PROJECT", `{"name":"helper"}`, 200, `"name":"helper"`, "UpdateProject Management write", ""},
		{"GET /v1/organization/projects/PROJECT", "", 200, `"name":"helper"`, "GetProject Management read", ""},
		{"POST /v1/organization/projects/PROJECT/archive", "", 200, `"status":"archived"`, "ArchiveProject Management write", ""},
		{"GET /v1/organization/projects/proj_none", "", 404, "proj_none", "GetProject Management read", ""},
		{"POST /v1/files", form, 200, `"bytes":8`, "CreateFile Data write", "FILE"},
		{"POST /v1/files", `{}`, 400, "form", "CreateFile Data write", ""},
		{"GET /v1/files?purpose=fine-tune", "", 200, `"filename":"t.jsonl"`, "ListFiles Data read", ""},
		{"GET /v1/files?purpose=batch", "", 200, `"data":[]`, "ListFiles Data read", ""},
		{"GET /v1/files/FILE", "", 200, `"purpose":"fine-tune"`, "GetFile Data read", ""},
		{"GET /v1/files/FILE/content", "", 200, "a secret", "GetFile Data read", ""},
		{"POST /v1/fine_tuning/jobs", `{"model":"openai.gpt-oss-20b-1:0","training_file":"FILE"}`, 200, `"status":"queued"`, "CreateFineTuningJob Management write", "JOB"},
		{"POST /v1/fine_tuning/jobs", `{"model":"openai.gpt-oss-20b-1:0","training_file":"file-none"}`, 400, "file-none", "CreateFineTuningJob Management write", ""},
		{"GET /v1/fine_tuning/jobs/JOB", "", 200, `"training_file":"FILE"`, "GetFineTuningJob Management read", ""},
		{"GET /v1/fine_tuning/jobs/JOB/events", "", 200, `"data":[]`, "GetFineTuningJob Management read", ""},
		{"GET /v1/fine_tuning/jobs", "", 200, `"id":"JOB"`, "ListFineTuningJobs Management read", ""},
		{"POST /v1/fine_tuning/jobs/JOB/cancel", "", 200, `"status":"cancelled"`, "CancelFineTuningJob Management write", ""},
		{"POST /v1/fine_tuning/jobs/JOB/cancel", "", 400, "cancelled", "CancelFineTuningJob Management write", ""},
		{"POST /v1/responses", `{"model":"openai.gpt-oss-120b-1:0","input":"a secret"}`, 200, `"object":"response"`, "CreateInference Data write", "RESPONSE"},
		{"GET /v1/responses/RESPONSE", "", 200, `"status":"completed"`, "GetInference Data read", ""},
		{"POST /v1/responses/RESPONSE/cancel", "", 400, "background", "CancelInference Data write", ""},
		{"DELETE /v1/responses/RESPONSE", "", 200, `"deleted":true`, "DeleteInference Data write", ""},
		{"GET /v1/responses/RESPONSE", "", 404, "RESPONSE", "GetInference Data read", ""},
		{"POST /v1/responses", `{"model":"openai.gpt-oss-120b-1:0","input":"a secret","store":false}`, 200, `"object":"response"`, "CreateInference Data write", "RESPONSE"},
		{"GET /v1/responses/RESPONSE", "", 404, "RESPONSE", "GetInference Data read", ""},
		{"DELETE /v1/files/FILE", "", 200, `"deleted":true`, "DeleteFile Data write", ""},
		{"GET /v1/files/FILE", "", 404, "FILE", "GetFile Data read", ""},
	} {
		named := func(s string) string {
			for name, id := range ids {
				s = strings.ReplaceAll(s, name, id)
			}
			return s
		}
		method, path, _ := strings.Cut(named(tt.operation), " ")
		n := len(c.recorded())
		kind := "application/json"
		if tt.body == form {
			kind = "multipart/form-data; boundary=b"
		}
		resp, answer := doSigned(t, method, c.url+path, named(tt.body), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+c.key) }, "Content-Type", kind)
		if resp.StatusCode != tt.status || !strings.Contains(answer, named(tt.answer)) {
			t.Errorf("%s: %d %s", tt.operation, resp.StatusCode, answer)
		}
		if tt.keeps != "" {
			var v struct{ ID string }
			if err := json.Unmarshal([]byte(answer), &v); err != nil {
				t.Fatal(err)
			}
			ids[tt.keeps] = v.ID
		}
		events := c.recorded()[n:]
		if len(events) != 1 {
			t.Fatalf("%s: %d events", tt.operation, len(events))
		}
		e, how := events[0], "write"
		if e.ReadOnly == trailevent.True {
			how = "read"
		}
		if got := e.EventName + " " + e.EventCategory + " " + how; got != tt.recorded || e.EventSource != "bedrock-mantle.amazonaws.com" || strings.Contains(string(e.AppendJSON(nil)), "secret") {
			t.Errorf("%s: recorded as %s, want %s: %s", tt.operation, got, tt.recorded, e.AppendJSON(nil))
		}
	}
}

func TestGateway(t *testing.T) {
	c := newCast(t)
	old := claims()
	old["exp"] = time.Now().Unix() - 1
	early := claims()
	early["nbf"] = time.Now().Unix() + 24*3600
	good := "Bearer " + jwt(t, claims())
	unsigned := strings.Replace(good, good[7:strings.Index(good, ".")], "eyJhbGciOiJub25lIn0", 1)
	for _, tt := range []struct {
		name, authorization, body string
		status                    int
		answer                    string
	}{
		{"initialize", good, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`, 200, `"protocolVersion":"2025-06-18"`},
		{"a notification", good, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, 202, ""},
		{"ping", good, `{"jsonrpc":"2.0","id":"p","method":"ping"}`, 200, `"id":"p"`},
		{"tools", good, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 200, `"tools":[]`},
		{"a call", good, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"T___List","arguments":{"a":"secret"}}}`, 200, `"isError":false`},
		{"no target", good, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"List"}}`, 200, `"code":-32602`},
		{"another method", good, `{"jsonrpc":"2.0","id":2,"method":"nothing"}`, 200, `"code":-32601`},
		{"no JSON", good, `{`, 400, `"code":-32700`},
		{"an old token", "Bearer " + jwt(t, old), `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 401, "Invalid Bearer token"},
		{"a token of tomorrow", "Bearer " + jwt(t, early), `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 401, "Invalid Bearer token"},
		{"an unsigned token", unsigned, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 401, "Invalid Bearer token"},
		{"no token", "", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 401, "Invalid Bearer token"},
		{"an API key", "Bearer " + c.key, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, 401, "Invalid Bearer token"},
	} {
		n := len(c.recorded())
		resp, answer := doSigned(t, "POST", c.url+"/gateways/g-0123456789/mcp", tt.body, func(r *http.Request) {
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
		}, "Content-Type", "application/json")
		if resp.StatusCode != tt.status || !strings.Contains(answer, tt.answer) {
			t.Errorf("%s: %d %s", tt.name, resp.StatusCode, answer)
		}
		events := c.recorded()[n:]
		if len(events) != 1 {
			t.Fatalf("%s: %d events", tt.name, len(events))
		}
		e := events[0]
		if e.EventName != "InvokeGateway" || e.EventCategory != "Data" || e.ErrorCode != "" || e.UserIdentity.AccountID != "anonymous" || e.SharedEventID == "" ||
			e.Resources[0].ARN != "arn:aws:bedrock-agentcore:us-east-1:111122223333:gateway/g-0123456789" || resp.Header.Get("X-Amzn-Requestid") != e.RequestID ||
			int(object(t, e.ResponseElements)["statusCode"].(float64)) != tt.status || strings.Contains(string(e.AppendJSON(nil)), "secret") {
			t.Errorf("%s: recorded %s", tt.name, e.AppendJSON(nil))
		}
		if (e.AdditionalEventData != "") != (tt.status < 400) {
			t.Errorf("%s: additionalEventData %s", tt.name, e.AdditionalEventData)
		}
	}
}
