package ai_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// example is a record that AWS prints in its documentation or that somebody captured, and the call that makes it.
type example struct {
	file       string // of the example
	before     []call // what must be there; $1 in what follows is the first one's ANSWER
	call       call
	data       bool
	unread     bool // the example's readOnly isn't AWS's last word
	parameters string
	response   string
	resources  string
	different  string // what AWS's record says otherwise and why
}

type call struct{ signing, operation, body string }

const png = "iVBORw0KGgo="

func examples() []example {
	guardrail := `{"name":"g","blockedInputMessaging":"no","blockedOutputsMessaging":"no",
		"contentPolicyConfig":{"filtersConfig":[{"type":"VIOLENCE","inputStrength":"HIGH","outputStrength":"HIGH"}]},
		"sensitiveInformationPolicyConfig":{"piiEntitiesConfig":[{"type":"EMAIL","action":"BLOCK"}]}}`
	makeGuardrail := []call{{"bedrock", "POST /guardrails", guardrail}}
	return []example{
		{
			file: "bedrock-InvokeModel-doc", unread: true,
			call:       call{"bedrock", "POST /model/stability.stable-diffusion-xl-v0/invoke", `{"text_prompts":[{"text":"a castle"}]}`},
			parameters: `{"modelId":"stability.stable-diffusion-xl-v0"}`, response: "null",
		}, {
			file:       "bedrock-InvokeModel-real",
			call:       call{"bedrock", "POST /model/anthropic.claude-3-sonnet-20240229-v1%3A0/invoke", `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}`},
			parameters: `{"modelId":"anthropic.claude-3-sonnet-20240229-v1:0"}`, response: "null",
		}, {
			file: "bedrock-ApplyGuardrail-doc", data: true, before: makeGuardrail,
			call:       call{"bedrock", "POST /guardrail/$1/version/DRAFT/apply", `{"source":"INPUT","content":[{"text":{"text":"I will kill it, mail me at jo@example.com, murder"}}]}`},
			parameters: `{"guardrailVersion":"DRAFT","guardrailIdentifier":"$1","source":"INPUT"}`,
			response: `{"action":"GUARDRAIL_INTERVENED","assessments":[{
				"contentPolicy":{"filters":[{"type":"VIOLENCE","confidence":"HIGH","action":"BLOCKED","detected":true}]},
				"sensitiveInformationPolicy":{"piiEntities":[{"type":"EMAIL","action":"BLOCKED","detected":true}],"regexes":[]}}]}`,
			resources: `[{"accountId":"111122223333","type":"AWS::Bedrock::Guardrail","ARN":"arn:aws:bedrock:us-east-1:111122223333:guardrail/$1"}]`,
			different: "two guardrails, one assessment each; here one guardrail's two policies",
		}, {
			file:       "bedrock-CreateFoundationModelAgreement-real",
			call:       call{"bedrock", "POST /create-foundation-model-agreement", `{"modelId":"anthropic.claude-3-sonnet-20240229-v1:0","offerToken":"token"}`},
			parameters: `{"modelId":"anthropic.claude-3-sonnet-20240229-v1:0"}`, response: `{"modelId":"anthropic.claude-3-sonnet-20240229-v1"}`,
		}, {
			file:       "bedrock-PutFoundationModelEntitlement-real",
			call:       call{"bedrock", "POST /foundation-model-entitlement", `{"modelId":"anthropic.claude-3-sonnet-20240229-v1:0"}`},
			parameters: `{"modelId":"anthropic.claude-3-sonnet-20240229-v1:0"}`, response: `{"status":"SUCCESS"}`,
		}, {
			file:       "bedrock-PutUseCaseForModelAccess-real",
			call:       call{"bedrock", "POST /use-case-for-model-access", `{"formData":"` + base64.StdEncoding.EncodeToString([]byte(`{"companyName":"Example Corp"}`)) + `"}`},
			parameters: "null", response: "null",
		}, {
			file: "bedrock-ListInferenceProfiles-real", call: call{"bedrock", "GET /inference-profiles", ""}, parameters: "null", response: "null",
		}, {
			file: "bedrock-GetKnowledgeBase-real", call: call{"bedrock", "GET /knowledgebases/kb-1234567890", ""},
			parameters: `{"knowledgeBaseId":"kb-1234567890"}`, response: "null",
		}, {
			file: "bedrock-UpdateGuardrail-panther-test", before: makeGuardrail, call: call{"bedrock", "PUT /guardrails/$1", guardrail},
			parameters: `{"guardrailIdentifier":"$1","name":"HIDDEN_DUE_TO_SECURITY_REASONS"}`,
			response:   `{"guardrailArn":"arn:aws:bedrock:us-east-1:111122223333:guardrail/$1","guardrailId":"$1","updatedAt":"2026-11-02T09:30:00.000Z","version":"DRAFT"}`,
		}, {
			file: "bedrock-DeleteGuardrail-panther-test", before: makeGuardrail, call: call{"bedrock", "DELETE /guardrails/$1", ""},
			parameters: `{"guardrailIdentifier":"$1"}`, response: "null",
		}, {
			file:       "comprehend-ClassifyDocument-doc",
			before:     []call{{"comprehend", "Comprehend_20171127.CreateEndpoint", `{"EndpointName":"endpointExample","ModelArn":"arn:aws:comprehend:us-east-1:111122223333:document-classifier/c","DesiredInferenceUnits":1}`}},
			call:       call{"comprehend", "Comprehend_20171127.ClassifyDocument", `{"Text":"secret words","EndpointArn":"arn:aws:comprehend:us-east-1:111122223333:document-classifier-endpoint/endpointExample"}`},
			parameters: "null", response: "null",
			resources: `[{"accountId":"111122223333","type":"AWS::Comprehend::DocumentClassifierEndpoint","ARN":"arn:aws:comprehend:us-east-1:111122223333:document-classifier-endpoint/endpointExample"}]`,
		}, {
			file:   "polly-SynthesizeSpeech-doc",
			before: []call{{"polly", "PUT /v1/lexicons/SampleLexicon", `{"Content":"<lexicon xml:lang=\"en-US\"></lexicon>"}`}},
			call: call{"polly", "POST /v1/speech",
				`{"LexiconNames":["SampleLexicon"],"Engine":"neural","OutputFormat":"mp3","SampleRate":"22050","Text":"secret words","TextType":"text","VoiceId":"Kendra"}`},
			parameters: `{"lexiconNames":["SampleLexicon"],"engine":"neural","outputFormat":"mp3","sampleRate":"22050","text":"**********","textType":"text","voiceId":"Kendra"}`,
			response:   "null",
		}, {
			file:       "rekognition-DetectLabels-doc",
			call:       call{"rekognition", "RekognitionService.DetectLabels", `{"Image":{"S3Object":{"Bucket":"my-bucket","Name":"my-image.jpg"}}}`},
			parameters: `{"image":{"s3Object":{"bucket":"my-bucket","name":"my-image.jpg"}}}`, response: "null",
		}, {
			file:   "sagemaker-CreateEndpoint-doc",
			before: []call{{"sagemaker", "SageMaker.CreateEndpointConfig", `{"EndpointConfigName":"ExampleEndpointConfig","ProductionVariants":[{"VariantName":"a","InitialInstanceCount":1,"InstanceType":"ml.m5.large"}]}`}},
			call:   call{"sagemaker", "SageMaker.CreateEndpoint", `{"EndpointName":"ExampleEndpoint","EndpointConfigName":"ExampleEndpointConfig"}`},

			parameters: `{"endpointName":"ExampleEndpoint","endpointConfigName":"ExampleEndpointConfig"}`,
			response:   `{"endpointArn":"arn:aws:sagemaker:us-east-1:111122223333:endpoint/exampleendpoint"}`,
		}, {
			file: "sagemaker-ListEndpoints-real", call: call{"sagemaker", "SageMaker.ListEndpoints", "{}"}, parameters: "null", response: "null",
		}, {
			file:       "textract-AnalyzeDocument-doc",
			call:       call{"textract", "Textract.AnalyzeDocument", `{"Document":{"Bytes":"` + png + `"},"FeatureTypes":["TABLES"]}`},
			parameters: `{"document":{},"featureTypes":["TABLES"]}`, response: "null",
		}, {
			file:       "transcribe-StartTranscriptionJob-doc",
			call:       call{"transcribe", "Transcribe.StartTranscriptionJob", `{"MediaFormat":"flac","LanguageCode":"en-US","TranscriptionJobName":"my-first-transcription-job","Media":{"MediaFileUri":"s3://secret/a.flac"}}`},
			parameters: `{"mediaFormat":"flac","languageCode":"en-US","transcriptionJobName":"my-first-transcription-job","media":{"mediaFileUri":""}}`,
			response: `{"transcriptionJob":{"transcriptionJobStatus":"IN_PROGRESS","mediaFormat":"flac","creationTime":"2026-11-02T09:30:00.000Z",
				"transcriptionJobName":"my-first-transcription-job","languageCode":"en-US","media":{"mediaFileUri":""}}}`,
		}, {
			file:       "translate-TranslateText-doc",
			call:       call{"translate", "AWSShineFrontendService_20170701.TranslateText", `{"Text":"secret words","SourceLanguageCode":"en","TargetLanguageCode":"fr"}`},
			parameters: `{"text":"HIDDEN_DUE_TO_SECURITY_REASONS","sourceLanguageCode":"en","targetLanguageCode":"fr"}`,
			response:   `{"translatedText":"HIDDEN_DUE_TO_SECURITY_REASONS","sourceLanguageCode":"en","targetLanguageCode":"fr"}`,
		},
	}
}

// run makes the example's calls and returns its record's members as JSON values.
func (e *example) run(t *testing.T) map[string]any {
	t.Helper()
	s := newServer(t)
	made := "nothing"
	for _, c := range e.before {
		status, out := s.do(t, c.signing, c.operation, c.body)
		if status >= 300 {
			t.Fatalf("%s: %d %v", c.operation, status, out)
		}
		if id, ok := out["guardrailId"].(string); ok {
			made = id
		}
	}
	e.call.operation = strings.ReplaceAll(e.call.operation, "$1", made)
	for _, field := range []*string{&e.parameters, &e.response, &e.resources} {
		*field = strings.ReplaceAll(*field, "$1", made)
	}
	status, out := s.do(t, e.call.signing, e.call.operation, e.call.body)
	if e.file == "bedrock-GetKnowledgeBase-real" { // it was denied; here its id is refused
		status = 200
	}
	if status >= 300 {
		t.Fatalf("%s: %d %v", e.call.operation, status, out)
	}
	r := s.last
	var record map[string]any
	b, err := json.Marshal(map[string]any{
		"eventSource": r.EventSource, "eventName": r.EventName, "readOnly": r.ReadOnly, "managementEvent": !r.Data,
		"requestParameters": r.RequestParameters, "responseElements": r.ResponseElements,
	})
	if err == nil {
		err = json.Unmarshal(b, &record)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Resources) > 0 {
		var list []any
		for _, x := range r.Resources {
			list = append(list, map[string]any{"accountId": x.AccountID, "type": x.Type, "ARN": x.ARN})
		}
		record["resources"] = list
	}
	if strings.Contains(fmt.Sprint(record), "secret") {
		t.Errorf("the record tells what was said: %v", record)
	}
	return record
}

func value(t *testing.T, text string) any {
	t.Helper()
	if text == "" {
		return nil
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestRecords(t *testing.T) {
	for _, e := range examples() {
		t.Run(e.file, func(t *testing.T) {
			record := e.run(t)
			for member, text := range map[string]string{"requestParameters": e.parameters, "responseElements": e.response, "resources": e.resources} {
				if diff := cmp.Diff(value(t, text), record[member]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", member, diff)
				}
			}
			if record["managementEvent"] == e.data {
				t.Errorf("managementEvent is %v", record["managementEvent"])
			}
		})
	}
}

// TestRecordsOfAWS holds the records against AWS's own, member by member, where these are at hand.
func TestRecordsOfAWS(t *testing.T) {
	folder := filepath.Join("..", "..", "..", "..", "shared", "facts", "examples")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("AWS's example records are not here: ", err)
	}
	for _, e := range examples() {
		t.Run(e.file, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(folder, e.file+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var theirs map[string]any
			if err := json.Unmarshal(b, &theirs); err != nil {
				t.Fatal(err)
			}
			ours := e.run(t)
			if e.unread {
				delete(theirs, "readOnly")
			}
			if e.different != "" {
				t.Log("not compared in full: ", e.different)
				delete(theirs, "responseElements")
				delete(theirs, "resources")
				theirs["requestParameters"].(map[string]any)["guardrailVersion"] = "DRAFT"
			}
			for member, got := range ours {
				want, there := theirs[member]
				if !there && member != "requestParameters" {
					continue
				}
				if diff := cmp.Diff(neutral(want), neutral(got)); diff != "" {
					t.Errorf("%s (-AWS +ours):\n%s", member, diff)
				}
			}
		})
	}
}

var (
	arns  = regexp.MustCompile(`(arn:aws:\w+):[\w-]*:\d+:`)
	times = regexp.MustCompile(`^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$`)
	ids   = regexp.MustCompile(`\b[a-z0-9]{12}\b`)
)

// neutral replaces what no two accounts have in common: Regions, account numbers, ids and times.
func neutral(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if k != "accountId" {
				out[k] = neutral(e)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = neutral(e)
		}
		return out
	case string:
		if times.MatchString(v) {
			return "TIME"
		}
		return ids.ReplaceAllString(arns.ReplaceAllString(v, "$1:REGION:ACCOUNT:"), "ID")
	default:
		return v
	}
}

// TestErrorsAreAWSs holds the codes and messages that clients see.
func TestErrorsAreAWSs(t *testing.T) {
	s := newServer(t)
	for _, tc := range []struct {
		call
		status  int
		code    string // the protocol's way of saying it is the test server's
		message string
	}{
		{call{"bedrock", "POST /model/nobody.nothing/converse", `{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}`}, 400, "ValidationException", "The provided model identifier is invalid."},
		{call{"bedrock", "POST /model/amazon.nova-lite-v1%3A0/converse", `{}`}, 400, "ValidationException", "1 validation error detected: Value null at 'messages' failed to satisfy constraint: Member must not be null"},
		{call{"bedrock", "POST /model/amazon.nova-lite-v1%3A0/converse", `{"messages":[{"role":"robot","content":[{"text":"Hi"}]}]}`}, 400, "ValidationException",
			"1 validation error detected: Value 'robot' at 'messages.1.member.role' failed to satisfy constraint: Member must satisfy enum value set: [user, assistant, system]"},
		{call{"bedrock", "POST /model/amazon.nova-lite-v1%3A0/converse", `{"messages":`}, 400, "SerializationException", "malformed input: the body is no JSON object"},
		{call{"bedrock", "POST /agents/AAAAAAAAAA/agentAliases/BBBBBBBBBB/sessions/s1/text", `{"inputText":"Hi"}`}, 404, "ResourceNotFoundException", "Could not find agent with id AAAAAAAAAA."},
		{call{"sagemaker", "POST /endpoints/none/invocations", `{}`}, 400, "ValidationError", "Endpoint none of account 111122223333 not found."},
		{call{"sagemaker", "SageMaker.DescribeEndpoint", `{"EndpointName":"none"}`}, 400, "ValidationException", `Could not find endpoint "arn:aws:sagemaker:us-east-1:111122223333:endpoint/none".`},
		{call{"comprehend", "Comprehend_20171127.DetectSentiment", `{"LanguageCode":"en"}`}, 400, "ValidationException", "1 validation error detected: Value null at 'text' failed to satisfy constraint: Member must not be null"},
		{call{"rekognition", "RekognitionService.DeleteCollection", `{"CollectionId":"none"}`}, 400, "ResourceNotFoundException", "The collection id: none does not exist"},
		{call{"rekognition", "RekognitionService.DetectLabels", `{"Image":{"Bytes":"aGVsbG8="}}`}, 400, "InvalidImageFormatException", "Request has invalid image format"},
		{call{"textract", "Textract.DetectDocumentText", `{"Document":{}}`}, 400, "InvalidParameterException", "Request has invalid parameters"},
		{call{"translate", "AWSShineFrontendService_20170701.TranslateText", `{"Text":"Hi","SourceLanguageCode":"en","TargetLanguageCode":"xx"}`}, 400, "UnsupportedLanguagePairException", "Unsupported language pair: en to xx."},
		{call{"transcribe", "Transcribe.GetTranscriptionJob", `{"TranscriptionJobName":"none"}`}, 400, "NotFoundException", "The requested job couldn't be found. Check the job name and try your request again."},
		{call{"transcribe", "Transcribe.GetTranscriptionJob", `{}`}, 400, "BadRequestException", "1 validation error detected: Value null at 'transcriptionJobName' failed to satisfy constraint: Member must not be null"},
		{call{"polly", "POST /v1/speech", `{"OutputFormat":"mp3","Text":"Hi","VoiceId":"Nobody"}`}, 400, "ValidationException", "1 validation error detected: Value 'Nobody' at 'voiceId'"},
	} {
		status, out := s.do(t, tc.signing, tc.operation, tc.body)
		if got := fmt.Sprint(out["message"]); status != tc.status || !strings.HasPrefix(got, tc.message) {
			t.Errorf("%s %s: %d %q, want %d %q", tc.operation, tc.body, status, got, tc.status, tc.message)
		}
		if kind, ok := out["__type"]; ok && kind != tc.code || !ok && s.code != tc.code {
			t.Errorf("%s %s: code %v %s, want %s", tc.operation, tc.body, kind, s.code, tc.code)
		}
	}
	status, _ := s.do(t, "bedrock", "GET /no/such/route", "")
	if status != http.StatusNotFound {
		t.Errorf("an unknown route is answered with %d", status)
	}
}
