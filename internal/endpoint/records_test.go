package endpoint_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	trailevent "github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint"
)

// example is a record that AWS prints in its documentation, or that somebody captured, and the call that makes it here.
type example struct {
	file   string
	why    string // why no call makes it; "" when one does
	as     string // who calls: "user" (the default), "role", "key" (a Bedrock API key), "denied" (a role that may nothing), "token" or "nobody"
	host   string // that the client asks for; "" is the service's own
	before []wire
	call   wire
	second bool // the record is the call's second: the completion, or what was done on the way
	// differs are the members in which ours is another, by path or beginning of a path, and why.
	differs map[string]string
}

// wire is a call as it goes over the wire. operation is "POST /path", or the target of a JSON protocol. "$1" stands for
// the id that the first call before made, "$2" for the second's.
type wire struct{ signing, operation, body string }

const guardrailBody = `{"name":"g","blockedInputMessaging":"no","blockedOutputsMessaging":"no",
	"contentPolicyConfig":{"filtersConfig":[{"type":"VIOLENCE","inputStrength":"HIGH","outputStrength":"HIGH"}]},
	"sensitiveInformationPolicyConfig":{"piiEntitiesConfig":[{"type":"EMAIL","action":"BLOCK"}]}}`

const messagesBody = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"a secret"}]}`

// The reasons that several examples share.
const (
	noModel   = "no SDK has the operation: there is no description of its request"
	olderType = "an older record with an object that is empty; ours has none"
	masked    = "the publisher left it out"
	withToken = "tokens stand in records of today, not of then"
)

func examples() []example {
	guardrail := []wire{{"bedrock", "POST /guardrails", guardrailBody}}
	console := map[string]string{"sessionCredentialFromConsole": "no console calls the endpoint"}
	return []example{
		{file: "agentcore-InvokeGateway-success-doc", as: "token", host: "test-gateway-mtzoadyihf.gateway.bedrock-agentcore.us-west-2.amazonaws.com",
			call: wire{"", "POST /mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"SmithyTarget___ListTables","arguments":{"a":"secret"}}}`}},
		{file: "agentcore-InvokeGateway-autherror-doc", as: "nobody", host: "test-openapi-gateway-u9p3rjw8qw.gateway.bedrock-agentcore.us-west-2.amazonaws.com",
			call: wire{"", "POST /mcp", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"clientInfo":{"name":"mcp","version":"0.1.0"},"protocolVersion":"2025-06-18","capabilities":{}}}`}},
		{file: "aiops-CreateInvestigationEvent-doc", why: noModel},
		{file: "aoss-Search-doc", why: noModel},
		{file: "cloudwatch-GenerateQuery-doc", why: noModel},
		{file: "q-SendMessage-doc", why: noModel},
		{file: "q-ListBuckets-on-behalf-doc", why: "made by Amazon Q Developer's console chat, which has no API; services' calls on behalf of others are shown by TestAgentsInvokeModels"},
		{file: "quick-InvokeAction-doc", why: noModel},
		{file: "sagemaker-Sample-data-event-doc", why: noModel},

		{file: "agentcore-CreateGateway-doc", as: "role",
			call: wire{"bedrock-agentcore", "POST /gateways/", `{"name":"secret-gateway","description":"secret","roleArn":"arn:aws:iam::111122223333:role/PythonGenesisTestGatewayRole","protocolType":"MCP","authorizerType":"CUSTOM_JWT",
				"authorizerConfiguration":{"customJWTAuthorizer":{"allowedClients":["xxxxxxxxx"],"discoveryUrl":"https://cognito-idp.us-west-2.amazonaws.com/us-west-2_xxxxx/.well-known/openid-configuration"}}}`},
			differs: map[string]string{
				"userIdentity.invokedBy": "the sample's gateway was made through AgentCore's own clients, ours by ourselves", "tlsDetails": "as invokedBy",
				"responseElements.authorizerConfiguration": "as asked for; the sample's is masked in other ways in request and answer",
				"responseElements.gatewayId":               "an id", "responseElements.gatewayUrl": "with the id", "responseElements.workloadIdentityDetails": "with the id",
			}},
		{file: "agentcore-CreateRegistryRecord-doc", as: "role", before: []wire{{"bedrock-agentcore", "POST /registries", `{"name":"registry"}`}},
			call: wire{"bedrock-agentcore", "POST /registries/$1/records", `{"name":"record_gk0xk","descriptorType":"MCP","recordVersion":"1.0.0","clientToken":"0123456789012345678901234567890123456789",
				"descriptors":{"mcp":{"server":{"schemaVersion":"2025-12-11","inlineContent":"{}"}}}}`},
			differs: map[string]string{
				// The sample's eventSource is followed: agent-registry.amazonaws.com, since 2026-08-06, is of another API.
				"requestParameters.clientToken": "masked in the sample", "requestParameters.descriptors.mcp.server.inlineContent": "the content",
				"requestParameters.registryId": "an id", "responseElements.recordArn": "with ids",
				"responseElements.Access-Control-Expose-Headers": "a header of the console's", "sessionCredentialFromConsole": "no console calls the endpoint",
				"tlsDetails": masked,
			}},
		{file: "connecthealth-CreateSubscription-doc", as: "role", before: []wire{{"health-agent", "POST /domain", `{"name":"d"}`}},
			call: wire{"health-agent", "POST /domains/$1/subscriptions", "{}"},
			differs: map[string]string{
				"userIdentity.accessKeyId": masked, "userIdentity.sessionContext": masked, "tlsDetails": masked, "requestParameters.domainId": "an id",
				"responseElements": "ids", "resources": "an id",
			}},
		{file: "novaact-InvokeActStep-doc", as: "role",
			before: []wire{
				{"nova-act", "PUT /workflow-definitions", `{"name":"my-example-workflow"}`},
				{"nova-act", "PUT /workflow-definitions/my-example-workflow/workflow-runs", `{"modelId":"nova-act-latest","clientInfo":{"compatibilityVersion":1,"sdkVersion":"1"}}`},
				{"nova-act", "PUT /workflow-definitions/my-example-workflow/workflow-runs/$2/sessions", "{}"},
				{"nova-act", "PUT /workflow-definitions/my-example-workflow/workflow-runs/$2/sessions/$3/acts", `{"task":"secret"}`},
			},
			call: wire{"nova-act", "PUT /workflow-definitions/my-example-workflow/workflow-runs/$2/sessions/$3/acts/$4/invoke-step/",
				`{"callResults":[{"callId":"1","content":[{"text":"secret"}]}]}`},
			differs: map[string]string{
				"requestParameters.actId": "an id", "requestParameters.sessionId": "an id", "tlsDetails": masked, "userIdentity.sessionContext.webIdFederationData": olderType,
			}},
		{file: "omics-CreateWorkflow-doc", as: "role",
			call: wire{"omics", "POST /workflow", `{"name":"parameter_name","definitionZip":"czM6Ly93b3JrZmxvd2RlZi1oZWxsby9kZWZpbml0aW9uLnppcA==","requestId":"d788a73c-b81b-45fb-a8a6-d8bb4449ec8a"}`},
			differs: map[string]string{
				"responseElements.arn": "the sample has an EC2 instance's; ours is a workflow's", "responseElements.id": "an id",
				"responseElements.tags": "the sample's workflow has a tag that its request doesn't give", "tlsDetails": masked,
				"userIdentity.sessionContext.webIdFederationData": olderType,
			}},
		{file: "s3vectors-GetVectors-doc",
			call:    wire{"s3vectors", "POST /GetVectors", `{"vectorBucketName":"amzn-s3-demo-vector-bucket","indexName":"111aa1111-22bb-33cc-44dd-5555eee66ffff","keys":["secret"],"returnData":false,"returnMetadata":false}`},
			differs: map[string]string{"additionalEventData.cipherSuite": "the endpoint is called over plain HTTP"}},
		{file: "sagemaker-PutRecord-featurestore-doc",
			call:    wire{"sagemaker", "PUT /FeatureGroup/your-feature-group-name", `{"Record":[{"FeatureName":"a","ValueAsString":"secret"}]}`},
			differs: map[string]string{"tlsDetails": masked}},
		{file: "voiceid-CreateDomain-doc", as: "role",
			call: wire{"voiceid", "VoiceID.CreateDomain", `{"Name":"secret","Description":"secret","ServerSideEncryptionConfiguration":{"KmsKeyId":"alias/sample-customer-managed-key"}}`},
			differs: map[string]string{
				"responseElements.domain.arn": "an id", "responseElements.domain.domainId": "an id",
				"responseElements.domain.createdAt": "as Java wrote times in 2021; ours as today's services do", "responseElements.domain.updatedAt": "as createdAt",
				"responseElements.domain.domainStatus":                               "the first of a domain's states; the service was shut down in 2026",
				"responseElements.domain.serverSideEncryptionConfiguration.kmsKeyId": "the alias is not resolved", "tlsDetails": masked,
				"userIdentity.sessionContext.webIdFederationData": olderType,
			}},

		{file: "bedrock-InvokeModel-doc", host: "bedrock-runtime.us-west-2.amazonaws.com",
			call: wire{"bedrock", "POST /model/stability.stable-diffusion-xl-v0/invoke", `{"text_prompts":[{"text":"a secret castle"}]}`},
			differs: map[string]string{
				"readOnly":            "false in this sample of 2023; true in the real record of 2024, which is followed",
				"additionalEventData": withToken,
			}},
		{file: "bedrock-InvokeModel-real", as: "role", call: wire{"bedrock", "POST /model/anthropic.claude-3-sonnet-20240229-v1%3A0/invoke", messagesBody},
			differs: map[string]string{"additionalEventData": withToken}},
		{file: "bedrock-ConverseStream-stream-completion-doc", second: true,
			call: wire{"bedrock", "POST /model/us.anthropic.claude-opus-4-7/converse-stream", `{"messages":[{"role":"user","content":[{"text":"a secret"}]}]}`}},
		{file: "bedrock-ApplyGuardrail-doc", before: guardrail,
			call: wire{"bedrock", "POST /guardrail/$1/version/DRAFT/apply", `{"source":"INPUT","content":[{"text":{"text":"I will kill it, mail me at jo@example.com, murder"}}]}`},
			differs: map[string]string{
				"userIdentity":                       masked,
				"sourceIPAddress":                    masked,
				"userAgent":                          masked,
				"tlsDetails":                         masked,
				"requestParameters.guardrailVersion": "the sample's guardrail has a version",
				"responseElements.assessments":       "the sample has two guardrails with an assessment each, ours one guardrail with two policies in one",
				"resources":                          "the sample's second guardrail is another account's",
			}},
		{file: "bedrock-CreateFoundationModelAgreement-real", as: "role",
			call: wire{"bedrock", "POST /create-foundation-model-agreement", `{"modelId":"anthropic.claude-3-sonnet-20240229-v1:0","offerToken":"secret"}`}},
		{file: "bedrock-PutFoundationModelEntitlement-real", as: "role",
			call: wire{"bedrock", "POST /foundation-model-entitlement", `{"modelId":"anthropic.claude-3-sonnet-20240229-v1:0"}`}},
		{file: "bedrock-PutUseCaseForModelAccess-real", as: "role",
			call: wire{"bedrock", "POST /use-case-for-model-access", `{"formData":"` + base64.StdEncoding.EncodeToString([]byte(`{"companyName":"secret"}`)) + `"}`}},
		{file: "bedrock-ListInferenceProfiles-real", as: "role", call: wire{"bedrock", "GET /inference-profiles", ""}},
		{file: "bedrock-GetKnowledgeBase-real", as: "denied", call: wire{"bedrock", "GET /knowledgebases/kb-1234567890", ""},
			differs: map[string]string{
				"errorMessage": masked,
				"tlsDetails":   masked,
			}},
		{file: "bedrock-UpdateGuardrail-panther-test", as: "role", before: guardrail, call: wire{"bedrock", "PUT /guardrails/$1", guardrailBody}, differs: console},
		{file: "bedrock-DeleteGuardrail-panther-test", as: "role", before: guardrail, call: wire{"bedrock", "DELETE /guardrails/$1", ""},
			differs: with(console, map[string]string{"responseElements": "left out of the test record; null in ours"})},
		{file: "bedrock-mantle-CreateInference-doc", as: "key", host: "bedrock-mantle.us-east-1.api.aws",
			call:    wire{"", "POST /v1/chat/completions", `{"model":"anthropic.claude-opus-4-7","stream":true,"service_tier":"default","metadata":{"team":"platform"},"messages":[{"role":"user","content":"a secret"}]}`},
			differs: map[string]string{"userIdentity.accessKeyId": "a Bedrock API key has an id of its own kind, which is in credentialId", "userIdentity.credentialId": "as for all Bedrock API keys"}},
		{file: "comprehend-ClassifyDocument-doc",
			before: []wire{{"comprehend", "Comprehend_20171127.CreateEndpoint", `{"EndpointName":"endpointExample","ModelArn":"arn:aws:comprehend:us-east-1:111122223333:document-classifier/c","DesiredInferenceUnits":1}`}},
			call:   wire{"comprehend", "Comprehend_20171127.ClassifyDocument", `{"Text":"secret words","EndpointArn":"arn:aws:comprehend:us-east-1:111122223333:document-classifier-endpoint/endpointExample"}`},
			differs: map[string]string{
				"userIdentity.sessionContext": "a console session's", "userIdentity.userName": masked, "eventCategory": masked, "managementEvent": masked, "tlsDetails": masked,
			}},
		{file: "polly-SynthesizeSpeech-doc",
			before: []wire{{"polly", "PUT /v1/lexicons/SampleLexicon", `{"Content":"<lexicon xml:lang=\"en-US\"></lexicon>"}`}},
			call: wire{"polly", "POST /v1/speech",
				`{"LexiconNames":["SampleLexicon"],"Engine":"neural","OutputFormat":"mp3","SampleRate":"22050","Text":"secret words","TextType":"text","VoiceId":"Kendra"}`}},
		{file: "rekognition-DetectLabels-doc", as: "role", before: []wire{{"s3", "PUT /my-bucket", ""}, {"s3", "PUT /my-bucket/my-image.jpg", "\x89PNG\r\n\x1a\n"}},
			call:    wire{"rekognition", "RekognitionService.DetectLabels", `{"Image":{"S3Object":{"Bucket":"my-bucket","Name":"my-image.jpg"}}}`},
			differs: map[string]string{"userIdentity.sessionContext.webIdFederationData": olderType}},
		{file: "sagemaker-CreateEndpoint-doc",
			before: []wire{{"sagemaker", "SageMaker.CreateEndpointConfig", `{"EndpointConfigName":"ExampleEndpointConfig","ProductionVariants":[{"VariantName":"a","InitialInstanceCount":1,"InstanceType":"ml.m5.large"}]}`}},
			call:   wire{"sagemaker", "SageMaker.CreateEndpoint", `{"EndpointName":"ExampleEndpoint","EndpointConfigName":"ExampleEndpointConfig"}`}},
		{file: "sagemaker-ListEndpoints-real", as: "role", call: wire{"sagemaker", "SageMaker.ListEndpoints", "{}"}},
		{file: "textract-AnalyzeDocument-doc",
			call: wire{"textract", "Textract.AnalyzeDocument", `{"Document":{"Bytes":"iVBORw0KGgo="},"FeatureTypes":["TABLES"]}`}},
		{file: "transcribe-StartTranscriptionJob-doc", before: []wire{{"s3", "PUT /audio", ""}, {"s3", "PUT /audio/secret.flac", "fLaC"}},
			call: wire{"transcribe", "Transcribe.StartTranscriptionJob", `{"MediaFormat":"flac","LanguageCode":"en-US","TranscriptionJobName":"my-first-transcription-job","Media":{"MediaFileUri":"s3://audio/secret.flac"}}`}},
		{file: "translate-TranslateText-doc",
			call: wire{"translate", "AWSShineFrontendService_20170701.TranslateText", `{"Text":"secret words","SourceLanguageCode":"en","TargetLanguageCode":"fr"}`}},
	}
}

func with(a, b map[string]string) map[string]string {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}

// cast are the callers of the examples.
type cast struct {
	*bench
	user, role, denied aws.Config
	key                string
}

func newCast(t *testing.T) *cast {
	t.Helper()
	b := open(t, endpoint.Options{})
	c := &cast{bench: b, user: b.user(t, "userxyz", allow("*"))}
	for name, cfg := range map[string]*aws.Config{"test-role": &c.role, "none-role": &c.denied} {
		document := allow("*")
		if name == "none-role" {
			document = allow("sts:GetCallerIdentity")
		}
		out, err := assume(t, c.user, &sts.AssumeRoleInput{RoleArn: aws.String(b.role(t, name, document)), RoleSessionName: aws.String("cli")})
		if err != nil {
			t.Fatal(err)
		}
		*cfg = b.session(out.Credentials)
	}
	out, err := iam.NewFromConfig(b.root).CreateServiceSpecificCredential(t.Context(), &iam.CreateServiceSpecificCredentialInput{UserName: aws.String("userxyz"), ServiceName: aws.String("bedrock.amazonaws.com")})
	if err != nil {
		t.Fatal(err)
	}
	c.key = *out.ServiceSpecificCredential.ServiceCredentialSecret
	return c
}

// jwt is a token of a caller of a gateway.
func jwt(t *testing.T, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(map[string]any{"kid": "k1", "alg": "RS256"}) + "." + part(claims) + "." + base64.RawURLEncoding.EncodeToString([]byte("signature"))
}

func claims() map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"sub": "4ammg", "token_use": "access", "scope": "r/write r/read", "auth_time": now, "iss": "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_F",
		"exp": now + 3600, "iat": now, "version": 2, "jti": "1234abcd-12ab-34cd-56ef-1234567890ab",
	}
}

// send makes a call as somebody.
func (c *cast) send(t *testing.T, as, host string, w wire) (int, string) {
	t.Helper()
	method, path, isPath := strings.Cut(w.operation, " ")
	if !isPath {
		method, path = "POST", "/"
	}
	r, err := http.NewRequest(method, c.url+path, strings.NewReader(w.body))
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		r.Host = host
	}
	if !isPath {
		r.Header.Set("X-Amz-Target", w.operation)
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	switch as {
	case "token":
		r.Header.Set("Authorization", "Bearer "+jwt(t, claims()))
	case "key":
		r.Header.Set("Authorization", "Bearer "+c.key)
	case "nobody":
	default:
		if w.signing == "s3" {
			r.Header.Set("X-Amz-Content-Sha256", hexHash([]byte(w.body)))
			r.Header.Del("Content-Type")
		}
		cfg := map[string]aws.Config{"": c.user, "user": c.user, "role": c.role, "denied": c.denied}[as]
		signFor(t, cfg, r, w.signing, "us-east-1")
	}
	resp, body := send(t, r)
	return resp.StatusCode, body
}

// record makes an example's calls and returns the record of the last.
func (c *cast) record(t *testing.T, e *example) trailevent.Event {
	t.Helper()
	made := regexp.MustCompile(`"(?:guardrailId|domainId|registryArn|workflowRunId|sessionId|actId|id)":"(?:arn:[^"]*/)?([^"]+)"`)
	fill := strings.NewReplacer()
	var ids []string
	for i, w := range e.before {
		w.operation, w.body = fill.Replace(w.operation), fill.Replace(w.body)
		status, answer := c.send(t, "user", "", w)
		if status >= 300 {
			t.Fatalf("%s: %d %s", w.operation, status, answer)
		}
		if m := made.FindStringSubmatch(answer); m != nil {
			ids = append(ids, fmt.Sprintf("$%d", i+1), m[1])
			fill = strings.NewReplacer(ids...)
		}
	}
	before := len(c.recorded())
	w := e.call
	w.operation, w.body = fill.Replace(w.operation), fill.Replace(w.body)
	status, answer := c.send(t, e.as, e.host, w)
	if status >= 300 && e.as != "denied" && e.as != "nobody" {
		t.Fatalf("%s: %d %s", w.operation, status, answer)
	}
	events := c.recorded()[before:]
	want := 1
	if e.second {
		want = 2
	}
	if len(events) != want {
		t.Fatalf("%d events recorded, want %d", len(events), want)
	}
	record := events[want-1]
	if strings.Contains(string(record.AppendJSON(nil)), "secret") {
		t.Errorf("the record tells what was said: %s", record.AppendJSON(nil))
	}
	return record
}

// TestRecordsOfAWS makes the call of every example record of AWS's and holds the endpoint's record against it, member by
// member. Ids, times, addresses, accounts and Regions are not compared; every other difference is given with its reason.
func TestRecordsOfAWS(t *testing.T) {
	folder := filepath.Join("..", "..", "..", "shared", "facts", "examples")
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("AWS's example records are not here: there is no ", folder)
	}
	byFile := map[string]*example{}
	all := examples()
	for i := range all {
		byFile[all[i].file] = &all[i]
	}
	reproduced := 0
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		e := byFile[name]
		delete(byFile, name)
		t.Run(name, func(t *testing.T) {
			if e == nil {
				t.Fatal("nothing is said of this example")
			}
			if e.why != "" {
				t.Log("no call makes it: ", e.why)
				return
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			ours := newCast(t).record(t, e)
			compare(t, e, b, ours.AppendJSON(nil))
			reproduced++
		})
	}
	for name := range byFile {
		t.Errorf("there is no example %s", name)
	}
	t.Logf("%d of %d records reproduced", reproduced, len(files))
}

// compare holds a record against AWS's.
func compare(t *testing.T, e *example, theirs, ours []byte) {
	t.Helper()
	a, b := flat(t, theirs), flat(t, ours)
	version, _ := a["eventVersion"].(string)
	used := map[string]bool{}
	paths := maps.Clone(a)
	maps.Copy(paths, b)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		want, inTheirs := a[path]
		got, inOurs := b[path]
		if path == "eventVersion" || inTheirs == inOurs && want == got || laterThan(path, version) && !inTheirs {
			continue
		}
		known := false
		for beginning := range e.differs {
			if path == beginning || strings.HasPrefix(path, beginning+".") || strings.HasPrefix(path, beginning+"[") {
				known, used[beginning] = true, true
			}
		}
		if !known {
			t.Errorf("%s: AWS has %v (%v), we have %v (%v)", path, want, inTheirs, got, inOurs)
		}
	}
	for path, why := range e.differs {
		if !used[path] {
			t.Errorf("%s doesn't differ, though it is said to: %s", path, why)
		}
	}
}

// laterThan tells whether a member was added to records after a version of them. TLS details of calls over plain HTTP have a
// host name only.
func laterThan(path, version string) bool {
	since := map[string]int{"readOnly": 1, "managementEvent": 6, "eventCategory": 7, "tlsDetails": 8}
	top, _, _ := strings.Cut(path, ".")
	var minor int
	if _, err := fmt.Sscanf(version, "1.%d", &minor); err != nil {
		return false
	}
	return since[top] > minor || since[top] > 0 && minor <= 5
}

var (
	neutralARN  = regexp.MustCompile(`^(arn:aws[\w-]*:\w[\w-]*):[\w-]*:[\w-]*:`)
	neutralTime = regexp.MustCompile(`^\d{4}-\d\d-\d\d[T ][\d:.]+(Z|[+-]\d\d:\d\d)?$`)
	neutralID   = regexp.MustCompile(`\b([a-z0-9]{12}|[A-Z0-9]{10}|[A-Z0-9]{52}|[A-Z]{3}\w*X{3}\w*)\b`)
)

// flat is a record's members by path, with what no two accounts have in common made equal.
func flat(t *testing.T, record []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(record, &v); err != nil {
		t.Fatalf("%s: %v", record, err)
	}
	out := map[string]any{}
	flatten(out, "", v)
	for path := range out {
		switch {
		case strings.HasPrefix(path, "userIdentity.") && path != "userIdentity.type" && !strings.HasSuffix(path, "sessionIssuer.type"),
			strings.HasPrefix(path, "additionalEventData.jwt."), strings.HasPrefix(path, "tlsDetails."),
			slices.Contains([]string{
				"eventTime", "eventID", "requestID", "awsRegion", "sourceIPAddress", "userAgent", "recipientAccountId", "sharedEventID",
				"serviceEventDetails.parentRequestId",
			}, path), strings.HasSuffix(path, ".accountId"), strings.HasSuffix(path, "Tokens"), strings.HasSuffix(path, "inferenceRegion"):
			out[path] = "there"
		}
	}
	for _, name := range []string{"tlsDetails.tlsVersion", "tlsDetails.cipherSuite"} { // the endpoint is called over plain HTTP
		delete(out, name)
	}
	return out
}

func flatten(out map[string]any, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			out[path] = "{}"
		}
		for name, e := range v {
			at := name
			if path != "" {
				at = path + "." + name
			}
			flatten(out, at, e)
		}
	case []any:
		if len(v) == 0 {
			out[path] = "[]"
		}
		for i, e := range v {
			flatten(out, fmt.Sprintf("%s[%d]", path, i), e)
		}
	case string:
		switch {
		case neutralTime.MatchString(v):
			out[path] = "TIME"
		case strings.Contains(path, "ARN") || strings.HasPrefix(v, "arn:"):
			v = neutralARN.ReplaceAllString(v, "$1:R:A:")
			if strings.Contains(v, ":gateway/") {
				v = "arn:aws:bedrock-agentcore:R:A:gateway/G"
			}
			if strings.Contains(v, ":project/") {
				v = "arn:aws:bedrock-mantle:R:A:project/P"
			}
			out[path] = neutralID.ReplaceAllString(v, "ID")
		default:
			out[path] = neutralID.ReplaceAllString(v, "ID")
		}
	default:
		out[path] = v
	}
}
