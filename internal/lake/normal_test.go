package lake_test

import (
	"cmp"
	"os"
	"path/filepath"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/lake"
)

const (
	ana        = `"userIdentity":{"type":"IAMUser","userName":"ana","arn":"arn:aws:iam::111122223333:user/ana"}`
	bedrock    = `"eventSource":"bedrock.amazonaws.com","awsRegion":"us-east-1"`
	apiCall    = `"eventType":"AwsApiCall"`
	management = `"eventType":"AwsApiCall","eventCategory":"Management"`
	data       = `"eventType":"AwsApiCall","eventCategory":"Data"`
)

// TestNormalize goes through what records say in unexpected places. want has the fields that the case is about; all
// cases are ana's.
func TestNormalize(t *testing.T) {
	const haiku, haikuARN = "anthropic.claude-haiku-4-5-20251001-v1:0", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0"
	invoke := bedrock + `,"eventName":"InvokeModel",` + management
	model := func(id string) string { return invoke + `,"requestParameters":{"modelId":"` + id + `"}` }
	call := lake.Call{AIService: "bedrock", OperationClass: "inference", Outcome: "ok", InputTokens: -1, OutputTokens: -1, CallRole: "primary"}
	with := func(change func(*lake.Call)) lake.Call {
		c := call
		change(&c)
		return c
	}
	resolved := with(func(c *lake.Call) { c.ModelID, c.InferenceRegion = haiku, "us-east-1" })
	routed := with(func(c *lake.Call) { c.ModelID = haiku })
	of := func(id string) lake.Call {
		return with(func(c *lake.Call) { c.ModelID, c.InferenceRegion = id, "us-east-1" })
	}
	agent := func(outcome string) lake.Call {
		return lake.Call{AIService: "bedrock-agentcore", OperationClass: "agent", Outcome: outcome, InputTokens: -1, OutputTokens: -1, CallRole: "primary"}
	}
	gateway := func(response string) string {
		return `"eventSource":"bedrock-agentcore.amazonaws.com","eventName":"InvokeGateway",` + data + `,"responseElements":` + response
	}
	other := lake.Call{Outcome: "ok", InputTokens: -1, OutputTokens: -1}
	for name, test := range map[string]struct {
		record string
		want   lake.Call
	}{
		"another service":      {`"eventSource":"s3.amazonaws.com","eventName":"ListBuckets",` + management + `,"requestParameters":{"modelId":"x"}`, other},
		"another's data event": {`"eventSource":"s3.amazonaws.com","eventName":"GetObject",` + data, other},
		"nothing":              {`"eventName":"X"`, other},
		"base model":           {model(haiku), resolved},
		"base model ARN":       {model(haikuARN), resolved},
		"escaped ARN":          {model("arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2F" + haiku), resolved},
		"profile":              {model("us." + haiku), routed},
		"global profile":       {model("global." + haiku), routed},
		"GovCloud profile":     {model("us-gov." + haiku), routed},
		"profile ARN":          {model("arn:aws:bedrock:us-east-1:111122223333:inference-profile/us." + haiku), routed},
		"dots in a model":      {model("deepseek.v3.1"), of("deepseek.v3.1")},
		"own profile": {model("arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc"), with(func(c *lake.Call) {
			c.ModelID = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc"
		})},
		"own profile, resource": {model("arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc") + `,"resources":[{"type":"AWS::Bedrock::ApplicationInferenceProfile","ARN":"arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc"},{"type":"AWS::Bedrock::Model","ARN":"` + haikuARN + `"}]`, routed},
		"provisioned":           {model("arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abc"), of("arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abc")},
		"custom":                {model("arn:aws:bedrock:us-east-1:111122223333:custom-model/amazon.nova/abc"), of("arn:aws:bedrock:us-east-1:111122223333:custom-model/amazon.nova/abc")},
		"redacted model":        {model("HIDDEN_DUE_TO_SECURITY_REASONS"), call},
		"model in resources":    {invoke + `,"requestParameters":null,"resources":[{"type":"AWS::Bedrock::Model","ARN":"` + haikuARN + `"}]`, resolved},
		"knowledge base": {bedrock + `,"eventName":"RetrieveAndGenerate",` + data + `,"requestParameters":{"retrieveAndGenerateConfiguration":{"type":"KNOWLEDGE_BASE","knowledgeBaseConfiguration":{"modelArn":"` + haikuARN + `"}}}`,
			with(func(c *lake.Call) { c.ModelID, c.OperationClass = haiku, "retrieval" })},

		"tokens": {model("us."+haiku) + `,"additionalEventData":{"inferenceRegion":"us-west-2","inputTokens":12,"outputTokens":"34"}`,
			with(func(c *lake.Call) {
				c.ModelID, c.InferenceRegion, c.InputTokens, c.OutputTokens = haiku, "us-west-2", 12, 34
			})},
		"odd tokens":    {model(haiku) + `,"additionalEventData":{"inputTokens":-1.5,"outputTokens":null}`, resolved},
		"redacted data": {model(haiku) + `,"additionalEventData":"HIDDEN","requestParameters":"HIDDEN"`, call},

		// The end of a stream is a second event; the call's own says nothing of tokens.
		"stream": {bedrock + `,"eventName":"ConverseStream",` + management + `,"requestID":"r1","requestParameters":{"modelId":"us.` + haiku + `"}`, routed},
		"end of stream": {bedrock + `,"eventName":"ConverseStream","eventType":"AwsServiceEvent","requestID":"r2","serviceEventDetails":{"parentRequestId":"r1","AdditionalEventData":{"additionalEntries":{"inferenceRegion":"us-west-2","inputTokens":18694,"outputTokens":356}}},"resources":[{"type":"AWS::Bedrock::Model","ARN":"` + haikuARN + `"}]`,
			with(func(c *lake.Call) {
				c.ModelID, c.InferenceRegion, c.InputTokens, c.OutputTokens, c.CallRole, c.ParentRequestID = haiku, "us-west-2", 18694, 356, "completion", "r1"
			})},
		"copy of a stream": {bedrock + `,"eventName":"ConverseStream",` + data + `,"requestID":"r1","requestParameters":{"modelId":"us.` + haiku + `"}`,
			with(func(c *lake.Call) { c.ModelID, c.CallRole = haiku, "copy" })},
		"copy of an end": {bedrock + `,"eventName":"ConverseStream","eventType":"AwsServiceEvent","eventCategory":"Data","serviceEventDetails":{"parentRequestId":"r1","AdditionalEventData":{"additionalEntries":{"inputTokens":1,"outputTokens":2}}}`,
			with(func(c *lake.Call) { c.InputTokens, c.OutputTokens, c.CallRole, c.ParentRequestID = 1, 2, "copy", "r1" })},
		"data event of its own": {bedrock + `,"eventName":"InvokeModelWithBidirectionalStream",` + data, call},
		"network activity":      {bedrock + `,"eventName":"InvokeModel","eventType":"AwsVpceEvent","eventCategory":"NetworkActivity","errorCode":"VpceAccessDenied"`, with(func(c *lake.Call) { c.CallRole, c.Outcome = "network", "denied" })},
		"insight":               {`"eventType":"AwsCloudTrailInsight","eventCategory":"Insight","insightDetails":{"state":"Start","eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel"}`, with(func(c *lake.Call) { c.CallRole = "insight" })},
		"other service event":   {bedrock + `,"eventName":"ModelCustomizationJobStateChanged","eventType":"AwsServiceEvent"`, with(func(c *lake.Call) { c.CallRole, c.OperationClass = "service", "configuration" })},
		"old record":            {`"eventVersion":"1.05","eventSource":"translate.amazonaws.com","eventName":"TranslateText","awsRegion":"us-west-2",` + apiCall, with(func(c *lake.Call) { c.AIService = "translate" })},

		// Bedrock Mantle and Claude Platform have event sources of their own and call it model.
		"mantle": {`"eventSource":"bedrock-mantle.amazonaws.com","eventName":"CreateInference","awsRegion":"us-east-1",` + data + `,"requestParameters":{"model":"anthropic.claude-opus-4-7","callWithBearerToken":true}`,
			with(func(c *lake.Call) {
				c.AIService, c.ModelID, c.InferenceRegion, c.ActorKind = "bedrock-mantle", "anthropic.claude-opus-4-7", "us-east-1", "api_key"
			})},
		"claude platform": {`"eventSource":"aws-external-anthropic.amazonaws.com","eventName":"CreateInference","awsRegion":"us-east-1",` + data + `,"requestParameters":{"model":"claude-opus-4-7"}`,
			with(func(c *lake.Call) {
				c.AIService, c.ModelID, c.InferenceRegion = "claude-platform", "claude-opus-4-7", "us-east-1"
			})},

		"guardrail": {bedrock + `,"eventName":"ApplyGuardrail",` + data + `,"requestParameters":{"guardrailIdentifier":"arn:aws:bedrock:us-east-1:111122223333:guardrail/abcd"}`, with(func(c *lake.Call) { c.GuardrailID = "abcd" })},
		"guardrails": {bedrock + `,"eventName":"ApplyGuardrail",` + data + `,"requestParameters":{"guardrailIdentifier":"abcd"},"resources":[{"type":"AWS::Bedrock::Guardrail","ARN":"arn:aws:bedrock:us-east-1:111122223333:guardrail/abcd"},{"type":"AWS::Bedrock::Guardrail","ARN":"arn:aws:bedrock:us-east-1:444455556666:guardrail/wxyz"}]`,
			with(func(c *lake.Call) { c.GuardrailID = "abcd,wxyz" })},
		"enforced guardrail": {bedrock + `,"eventName":"ApplyGuardrail",` + data + `,"requestParameters":{"guardrailIdentifier":"ENFORCED"},"resources":[{"type":"AWS::Bedrock::Guardrail","ARN":"arn:aws:bedrock:us-east-1:111122223333:guardrail/abcd"}]`, with(func(c *lake.Call) { c.GuardrailID = "abcd" })},
		"enforced, unknown":  {bedrock + `,"eventName":"ApplyGuardrail",` + data + `,"requestParameters":{"guardrailIdentifier":"ENFORCED"}`, with(func(c *lake.Call) { c.GuardrailID = "ENFORCED" })},
		"guardrail of Converse": {bedrock + `,"eventName":"Converse",` + management + `,"requestParameters":{"modelId":"` + haiku + `","guardrailConfig":{"guardrailIdentifier":"abcd"}}`,
			with(func(c *lake.Call) { c.ModelID, c.InferenceRegion, c.GuardrailID = haiku, "us-east-1", "abcd" })},
		"new guardrail": {bedrock + `,"eventName":"CreateGuardrail",` + management + `,"responseElements":{"guardrailId":"abcd"}`, with(func(c *lake.Call) { c.OperationClass, c.GuardrailID = "configuration", "abcd" })},

		// AgentCore gateways never have an errorCode.
		"gateway":                {gateway(`{"statusCode":200,"body":{"result":{"isError":false}}}`), agent("ok")},
		"gateway, no token":      {gateway(`{"statusCode":401,"body":{"error":{"code":-32001}}}`), agent("denied")},
		"gateway, rate":          {gateway(`{"statusCode":429}`), agent("throttled")},
		"gateway, failed":        {gateway(`{"statusCode":502}`), agent("error")},
		"gateway, bad method":    {gateway(`{"statusCode":200,"body":{"error":{"code":-32601}}}`), agent("invalid")},
		"gateway, tool failed":   {gateway(`{"statusCode":200,"body":{"result":{"isError":true}}}`), agent("error")},
		"gateway, redacted body": {gateway(`{"statusCode":200,"body":"REDACTED"}`), agent("ok")},
	} {
		got := lake.Normalize(decode(t, "{"+ana+","+test.record+"}"))
		want := test.want
		want.Actor, want.ActorKind, want.Client = "ana", cmp.Or(want.ActorKind, "user"), got.Client
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for code, want := range map[string]string{
		"": "ok", "AccessDenied": "denied", "AccessDeniedException": "denied", "Client.UnauthorizedOperation": "denied", "VpceAccessDenied": "denied",
		"UnrecognizedClientException": "denied", "InvalidSignatureException": "denied", "ExpiredTokenException": "denied", "403": "denied",
		"ThrottlingException": "throttled", "TooManyRequestsException": "throttled", "ServiceQuotaExceededException": "throttled",
		"RequestLimitExceeded": "throttled", "ModelNotReadyException": "throttled", "ProvisionedThroughputExceededException": "throttled",
		"ValidationException": "invalid", "ResourceNotFoundException": "invalid", "NoSuchBucketPolicy": "invalid", "ConflictException": "invalid",
		"TextSizeLimitExceededException": "invalid", "InvalidParameterValue": "invalid", "InvocationDoesNotExist": "invalid", "404": "invalid",
		"InternalServerException": "error", "ServiceUnavailableException": "error", "ModelTimeoutException": "error", "ModelErrorException": "error",
		"SomethingNew": "error", "500": "error",
	} {
		e := decode(t, `{"eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel"}`)
		e.ErrorCode = code
		if got := lake.Normalize(e).Outcome; got != want {
			t.Errorf("errorCode %q gives %s, want %s", code, got, want)
		}
	}
	for record, want := range map[string]string{
		`{"eventType":"AwsConsoleSignIn","responseElements":{"ConsoleLogin":"Failure"},"errorMessage":"Failed authentication"}`: "denied",
		`{"eventType":"AwsConsoleSignIn","responseElements":{"ConsoleLogin":"Success"}}`:                                        "ok",
		`{"eventType":"AwsApiCall","errorMessage":"it failed"}`:                                                                 "error",
	} {
		if got := lake.Normalize(decode(t, record)).Outcome; got != want {
			t.Errorf("%s gives %s, want %s", record, got, want)
		}
	}
}

func TestClients(t *testing.T) {
	for _, test := range []struct{ members, want string }{
		{`"userAgent":""`, ""},
		{`"userAgent":"[]"`, ""},
		{`"userAgent":"aws-cli/2.32.3 md/awscrt#0.28.4 ua/2.1 os/linux#6.1 lang/python#3.13.9 md/command#bedrock.list-inference-profiles"`, "cli"},
		{`"userAgent":"[aws-cli/2.18.5]"`, "cli"},
		{`"userAgent":"Boto3/1.28.62 md/Botocore#1.31.62 ua/2.0 lang/python#3.9.6 Botocore/1.31.62"`, "sdk/python"},
		{`"userAgent":"aws-sdk-go-v2/1.30.0 os/linux lang/go#1.22"`, "sdk/go"},
		{`"userAgent":"aws-sdk-js/3.600.0 ua/2.0 lang/js md/nodejs#20"`, "sdk/javascript"},
		{`"userAgent":"aws-sdk-java/1.11.590 Mac_OS_X/10.14.6"`, "sdk/java"},
		{`"userAgent":"OpenAI/Python 1.50.0"`, "sdk/python"},
		{`"userAgent":"Anthropic/JS 0.30.0"`, "sdk/javascript"},
		{`"userAgent":"AsyncAnthropicBedrock/Python 0.30.0"`, "sdk/python"},
		{`"userAgent":"something ua/2.1 lang/rust#1.80"`, "sdk/rust"},
		{`"userAgent":"APN/1.0 HashiCorp/1.0 Terraform/1.1.2 terraform-provider-aws/3.76.1 aws-sdk-go/1.44"`, "terraform"},
		{`"userAgent":"APN/1.0 Pulumi/1.0 PulumiAWS/6.0 terraform-provider-aws/6.0 aws-sdk-go-v2/1.30"`, "pulumi"},
		{`"userAgent":"APN/1.0 OpenTofu/1.8 terraform-provider-aws/5.0"`, "opentofu"},
		{`"userAgent":"[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.488]"`, "console"},
		{`"userAgent":"Mozilla/5.0 (X11) Firefox/115.0"`, "browser"},
		{`"userAgent":"Mozilla/5.0 (X11) Firefox/115.0","sessionCredentialFromConsole":"true"`, "console"},
		{`"userAgent":"Mozilla/5.0 (X11) Firefox/115.0","sessionCredentialFromConsole":true`, "console"},
		{`"userAgent":"aws-internal/3 aws-sdk-java/1.12","sessionCredentialFromConsole":"true"`, "console"},
		{`"userAgent":"aws-cli/2.15 exec-env/CloudShell","sessionCredentialFromConsole":"true"`, "cli"},
		{`"userAgent":"AWS Internal"`, "service"},
		{`"userAgent":"AWS Internal","sessionCredentialFromConsole":"true"`, "console"},
		{`"userAgent":"Mozilla/5.0","eventType":"AwsConsoleSignIn"`, "console"},
		{`"userAgent":"q.amazonaws.com"`, "service"},
		{`"userAgent":"cloudformation.amazonaws.com"`, "cloudformation"},
		{`"userAgent":"x","userIdentity":{"type":"AssumedRole","invokedBy":"cloudformation.amazonaws.com"}`, "cloudformation"},
		{`"userAgent":"x","userIdentity":{"type":"AssumedRole","invokedBy":"bedrock-agentcore.amazonaws.com"}`, "service"},
		{`"userAgent":"x","userIdentity":{"type":"AWSService","invokedBy":"lambda.amazonaws.com"}`, "service"},
		{`"userAgent":"stratus-red-team_e0cb7ef1"`, "other"},
		{`"userAgent":"slang/go away"`, "sdk/go"},
	} {
		if got := lake.Normalize(decode(t, "{"+test.members+"}")).Client; got != test.want {
			t.Errorf("%s gives %q, want %q", test.members, got, test.want)
		}
	}
}

// TestNormalizeExamples goes over printed and captured records of AI services: each must be found to be a call.
func TestNormalizeExamples(t *testing.T) {
	const dir = "../../../shared/facts/examples"
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skipf("no example records in %s", dir)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		call := lake.Normalize(decode(t, string(b)))
		if base == "q-ListBuckets-on-behalf-doc.json" {
			if call.AIService != "" || call.Client != "service" {
				t.Errorf("%s: %+v", base, call)
			}
			continue
		}
		if call.AIService == "" || call.CallRole == "" || call.OperationClass == "" || call.Actor == "" {
			t.Errorf("%s: %+v", base, call)
		}
		t.Logf("%-55s %+v", base, call)
	}
}
