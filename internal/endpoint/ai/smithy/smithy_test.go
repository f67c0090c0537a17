package smithy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
)

func load(t testing.TB, client string) *smithy.Model {
	t.Helper()
	m, err := smithy.Load(client)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func table(t testing.TB, client string) *smithy.Table {
	t.Helper()
	index, err := smithy.LoadIndex()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range index.Tables {
		if table.Client == client {
			return table
		}
	}
	t.Fatalf("the index has no %s", client)
	return nil
}

func TestLoad(t *testing.T) {
	index, err := smithy.LoadIndex()
	if err != nil {
		t.Fatal(err)
	}
	clients := smithy.Clients()
	if len(clients) < 60 || len(clients) != len(index.Tables) {
		t.Errorf("%d clients, %d of them in the index", len(clients), len(index.Tables))
	}
	for i, client := range clients {
		m := load(t, client)
		if m.Head != index.Tables[i].Head || len(m.Operations) != len(index.Tables[i].Routes) {
			t.Errorf("%s is not what the index says: %+v", client, index.Tables[i].Head)
		}
		if len(m.Operations) == 0 || m.Signing == "" || m.Version == "" || m.Source == "" {
			t.Errorf("%s: %d operations, signing name %q, version %q, of %q", client, len(m.Operations), m.Signing, m.Version, m.Source)
		}
	}
	if _, err := smithy.Load("none"); err == nil {
		t.Error("a client that is not there was loaded")
	}
}

func TestMatch(t *testing.T) {
	agent, runtime, bedrock := table(t, "bedrock-agent"), table(t, "bedrock-agent-runtime"), table(t, "bedrock-runtime")
	for _, tc := range []struct {
		method, path string
		want         string
		labels       map[string]string
	}{
		{"POST", "/model/us.a.b-v1%3A0/converse", "Converse", map[string]string{"modelId": "us.a.b-v1:0"}},
		{"POST", "/model/us.a.b-v1:0/converse", "Converse", map[string]string{"modelId": "us.a.b-v1:0"}},
		{"POST", "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fa.b/invoke", "InvokeModel", map[string]string{"modelId": "arn:aws:bedrock:us-east-1::foundation-model/a.b"}},
		{"GET", "/model/x/converse", "", nil},
		{"POST", "/model//converse", "", nil},
		{"POST", "/model/x/converse/more", "", nil},
		{"POST", "/agents/AB/", "PrepareAgent", map[string]string{"agentId": "AB"}},
		{"POST", "/agents/AB", "InvokeInlineAgent", map[string]string{"sessionId": "AB"}},
		{"POST", "/agents/", "ListAgents", nil},
		{"POST", "/agents", "ListAgents", nil},
	} {
		best, name, labels := 0, "", map[string]string(nil)
		for _, m := range []*smithy.Table{agent, runtime, bedrock} {
			if op, l, fit := m.Match(httptest.NewRequest(tc.method, tc.path, nil)); fit > best {
				best, name, labels = fit, op, l
			}
		}
		if diff := cmp.Diff(tc.labels, labels); name != tc.want || diff != "" && len(tc.labels)+len(labels) > 0 {
			t.Errorf("%s %s is %q, want %q %s", tc.method, tc.path, name, tc.want, diff)
		}
	}
}

func decode(t *testing.T, client, operation, method, url, body string, header http.Header) (map[string]any, error) {
	t.Helper()
	m := load(t, client)
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for k, v := range header {
		r.Header[k] = v
	}
	name, labels, _ := table(t, client).Match(r)
	if name != operation {
		t.Fatalf("%s %s is %q, want %s", method, url, name, operation)
	}
	return m.Operations[name].Decode(r, labels, []byte(body))
}

func TestDecode(t *testing.T) {
	got, err := decode(t, "bedrock", "ListGuardrails", "GET", "/guardrails?maxResults=5&guardrailIdentifier=abc", "", nil)
	if diff := cmp.Diff(map[string]any{"maxResults": int64(5), "guardrailIdentifier": "abc"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	got, err = decode(t, "bedrock-runtime", "InvokeModel", "POST", "/model/m/invoke", "raw \x00", http.Header{"X-Amzn-Bedrock-Guardrailidentifier": {"g"}})
	if diff := cmp.Diff(map[string]any{"modelId": "m", "guardrailIdentifier": "g", "body": []byte("raw \x00")}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	got, err = decode(t, "comprehend", "ListEndpoints", "POST", "/", `{"Filter":{"CreationTimeAfter":1700000000.25,"Status":"IN_SERVICE","Unknown":1},"MaxResults":null}`, http.Header{"X-Amz-Target": {"Comprehend_20171127.ListEndpoints"}})
	want := map[string]any{"Filter": map[string]any{"CreationTimeAfter": time.Unix(1700000000, 25e7).UTC(), "Status": "IN_SERVICE"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for _, body := range []string{`[]`, `{`, `{"Text":5}`, `{"Text":["a"]}`} {
		if _, err := decode(t, "comprehend", "DetectSentiment", "POST", "/", body, http.Header{"X-Amz-Target": {"Comprehend_20171127.DetectSentiment"}}); !errors.Is(err, smithy.ErrSerialization) {
			t.Errorf("%s: %v, want ErrSerialization", body, err)
		}
	}
}

func TestCheck(t *testing.T) {
	op := load(t, "comprehend").Operations["DetectSentiment"]
	for _, tc := range []struct {
		in   map[string]any
		want string
	}{
		{map[string]any{"Text": "a", "LanguageCode": "en"}, ""},
		{map[string]any{"Text": "", "LanguageCode": "en"}, "1 validation error detected: Value '' at 'text' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{map[string]any{}, "2 validation errors detected: Value null at 'text' failed to satisfy constraint: Member must not be null; Value null at 'languageCode' failed to satisfy constraint: Member must not be null"},
	} {
		if got := op.Check(tc.in); got != tc.want {
			t.Errorf("%v:\n got %s\nwant %s", tc.in, got, tc.want)
		}
	}
	if got := op.Check(map[string]any{"Text": "a"}, "LanguageCode"); got != "" {
		t.Errorf("a skipped member is missed: %s", got)
	}
	limits := load(t, "rekognition").Operations["DetectLabels"]
	in := map[string]any{"Image": map[string]any{}, "MinConfidence": 101.5, "MaxLabels": int64(-1)}
	if got := limits.Check(in); !strings.Contains(got, "less than or equal to 100") || !strings.Contains(got, "Value '-1' at 'maxLabels'") {
		t.Error(got)
	}
}

func TestEncode(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 500e6, time.UTC)
	for _, tc := range []struct {
		client, operation string
		out               map[string]any
		status            int
		body, kind        string
	}{
		{"sagemaker", "DescribeModel", map[string]any{"ModelName": "m", "ModelArn": "a", "CreationTime": at}, 0, `{"CreationTime":1777636800.5,"ModelArn":"a","ModelName":"m"}`, "application/x-amz-json-1.1"},
		{"bedrock-runtime", "GetAsyncInvoke", map[string]any{"submitTime": at}, 0, `{"submitTime":"2026-05-01T12:00:00.500Z"}`, "application/json"},
		{"bedrock", "CreateGuardrail", map[string]any{"guardrailId": "g"}, 202, `{"guardrailId":"g"}`, "application/json"},
		{"polly", "SynthesizeSpeech", map[string]any{"AudioStream": []byte("abc"), "ContentType": "audio/mpeg", "RequestCharacters": 3}, 0, "abc", "audio/mpeg"},
		{"sagemaker", "DeleteEndpoint", nil, 0, "", "application/x-amz-json-1.1"},
	} {
		status, h, body, err := load(t, tc.client).Operations[tc.operation].Encode(tc.out)
		if err != nil || status != tc.status || string(body) != tc.body || h.Get("Content-Type") != tc.kind {
			t.Errorf("%s: %d %s %s %v", tc.operation, status, h.Get("Content-Type"), body, err)
		}
	}
	op := load(t, "bedrock").Operations["GetGuardrail"]
	for _, out := range []map[string]any{{"nothing": 1}, {"topicPolicy": map[string]any{"nothing": 1}}, {"name": []any{"a"}}, {"contextualGroundingPolicy": map[string]any{"filters": []any{map[string]any{"threshold": math.NaN()}}}}} {
		if _, _, body, err := op.Encode(out); err == nil {
			t.Errorf("%v is encoded as %s", out, body)
		}
	}
}

func TestEvents(t *testing.T) {
	op := load(t, "bedrock-runtime").Operations["ConverseStream"]
	var b bytes.Buffer
	flushed := 0
	e, err := op.Events(&b, func() { flushed++ })
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Send("messageStop", map[string]any{"stopReason": "end_turn"}); err != nil {
		t.Fatal(err)
	}
	if err := e.Send("nothing", nil); err == nil {
		t.Error("an event that the stream hasn't was sent")
	}
	m, err := eventstream.NewDecoder().Decode(&b, nil)
	if err != nil || flushed != 1 {
		t.Fatalf("%v, flushed %d times", err, flushed)
	}
	if kind := m.Headers.Get(":event-type").String(); kind != "messageStop" || string(m.Payload) != `{"stopReason":"end_turn"}` {
		t.Errorf("%s %s", kind, m.Payload)
	}
	if load(t, "bedrock-runtime").Operations["Converse"].Streams() {
		t.Error("Converse streams")
	}
}

// FuzzDecode: whatever a client sends is decoded without a panic, and an input that is decoded can be checked and encoded again.
func FuzzDecode(f *testing.F) {
	f.Add(`{"messages":[{"role":"user","content":[{"text":"Hi"},{"toolUse":{"input":{"a":[1,2]}}}]}],"inferenceConfig":{"maxTokens":5,"temperature":0.5}}`)
	f.Add(`{"messages":[null],"system":{}}`)
	f.Add(`{"inferenceConfig":{"maxTokens":1e400}}`)
	m, err := smithy.Load("bedrock-runtime")
	if err != nil {
		f.Fatal(err)
	}
	op := m.Operations["Converse"]
	f.Fuzz(func(t *testing.T, body string) {
		in, err := op.Decode(httptest.NewRequest("POST", "/model/m/converse", nil), map[string]string{"modelId": "m"}, []byte(body))
		op.Check(in)
		if err != nil {
			if !errors.Is(err, smithy.ErrSerialization) {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		delete(in, "modelId")
		value, err := smithy.EncodeValue(op.Input, "", in)
		if err != nil {
			t.Fatalf("%q decodes to %v, which can't be encoded: %v", body, in, err)
		}
		again, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		back, err := op.Decode(httptest.NewRequest("POST", "/", nil), nil, again)
		if diff := cmp.Diff(in, back); err != nil || diff != "" {
			t.Errorf("%q is not what it was: %v %s", body, err, diff)
		}
	})
}
