package main

import (
	"slices"
	"strings"
)

// class divides operations by what they do (see catalog.Class). The rules go from the particular to the general: names
// that say it themselves, then the API, then IAM's access level.
func class(s service, o operation) string {
	if c, ok := named[o.Name]; ok {
		return c
	}
	if c, ok := inAPI[o.API]; ok && (!o.ReadOnly || !isRead(o.Name)) && !manages(o.Name) {
		return c
	}
	switch {
	case strings.Contains(o.Access, "Permissions management"), hasAny(o.Name, "ResourcePolicy", "Entitlement", "Permission", "UseCaseForModelAccess", "AgreementOffer", "ModelAgreement"):
		if isRead(o.Name) {
			return "Other"
		}
		return "Access"
	case isRead(o.Name):
		return "Other"
	case hasAny(o.Name, "Training", "CustomizationJob", "FineTuning", "TuningJob", "AutoMLJob", "TrainedModel", "EvaluationJob", "SolutionVersion", "OptimizationJob") && !strings.HasPrefix(o.Name, "Tag"):
		return "Training"
	case hasPrefixAny(o.Name, inferring...) && !manages(o.Name):
		return "Inference"
	case hasPrefixAny(o.Name, "Retrieve", "Query", "Search", "Rerank", "Rescore"):
		return "Retrieval"
	case o.ReadOnly:
		return "Other"
	default:
		return "Configuration"
	}
}

// inferring are the verbs of operations that ask a model.
var inferring = []string{
	"Analyze", "Classify", "Compare", "Contains", "Converse", "CountTokens", "Detect", "BatchDetect", "Generate", "Infer", "Invoke", "Predict",
	"Recognize", "Synthesize", "Translate", "StartTranscriptionJob", "StartCallAnalytics", "StartMedical", "StartStreamTranscription",
	"StartDocument", "StartExpense", "StartLending", "StartText", "StartSpeech", "StartEntities", "StartKeyPhrases", "StartSentiment",
	"StartDominant", "StartEvents", "StartPii", "StartPHI", "StartICD10CM", "StartRxNorm", "StartSNOMEDCT", "StartTargeted", "StartTopics", "StartFace", "StartLabel", "StartContentModeration",
	"StartCelebrity", "StartPersonTracking", "StartSegment", "StartMediaAnalysis", "CreateTransformJob", "CreateModelInvocationJob", "CreateBatchInference", "CreateInference",
	"StartAsyncInvoke", "StartTrainedModelInference", "IndexFaces",
}

var named = map[string]string{
	"ApplyGuardrail": "Inference", "InvokeGuardrailChecks": "Inference", "CreateInference": "Inference", "CreateMessage": "Inference", "RenderPrompt": "Inference",
	"OptimizePrompt": "Inference", "GenerateQuery": "Inference", "CountTokens": "Inference", "Evaluate": "Inference",
	"CreateTransformJob": "Inference", "CreateModelInvocationJob": "Inference", "CreateBatchInferenceJob": "Inference", "CreateBatchInference": "Inference", "CreateBatchPrediction": "Inference", "CreateBatchPredictionJob": "Inference",
	"GetEventPrediction": "Inference", "GetRecommendations": "Inference", "GetPersonalizedRanking": "Inference", "GetActionRecommendations": "Inference",
	"QueryForecast": "Inference", "QueryWhatIfForecast": "Inference", "PredictQApp": "Inference", "PredictQAResults": "Inference",
	"SearchFaces": "Inference", "SearchFacesByImage": "Inference", "SearchUsers": "Inference", "SearchUsersByImage": "Inference",
	"Chat": "Inference", "ChatSync": "Inference", "SendMessage": "Inference", "SendConversation": "Inference", "SendConversationMessage": "Inference",
	"RecognizeText": "Inference", "RecognizeUtterance": "Inference", "PostContent": "Inference", "PostText": "Inference",
	"InvokeDataAutomation": "Inference", "InvokeDataAutomationAsync": "Inference",
	"Retrieve": "Retrieval", "RetrieveAndGenerate": "Retrieval", "RetrieveAndGenerateStream": "Retrieval", "AgenticRetrieveStream": "Retrieval", "RetrieveMemoryRecords": "Retrieval", "Rerank": "Retrieval",
	"Query": "Retrieval", "QueryVectors": "Retrieval", "GetVectors": "Retrieval", "ListVectors": "Retrieval", "Search": "Retrieval", "Rescore": "Retrieval",
	"SearchRelevantContent": "Retrieval", "QueryAssistant": "Retrieval", "SearchContent": "Retrieval", "ExternalWebAccess": "Retrieval", "InvokeFetch": "Retrieval", "InvokeSearch": "Retrieval",
	"InvokeAgent": "Agent", "InvokeInlineAgent": "Agent", "InvokeFlow": "Agent", "StartFlowExecution": "Agent", "StopFlowExecution": "Agent", "InvokeAgentRuntime": "Agent",
	"InvokeGateway": "Agent", "InvokeHarness": "Agent", "InvokeMcp": "Agent", "InvokeActStep": "Agent", "CreateAct": "Agent", "UpdateAct": "Agent", "InvokeAction": "Agent", "CallForwardedTool": "Agent",
	"CallPrivilegedTool": "Agent", "CallReadOnlyTool": "Agent", "UseMcp": "Agent", "InvokeReadOnlyTools": "Agent",
	"PutFoundationModelEntitlement": "Access", "CreateFoundationModelAgreement": "Access", "DeleteFoundationModelAgreement": "Access", "PutUseCaseForModelAccess": "Access",
	"PutEnforcedGuardrailConfiguration": "Configuration", "CallWithBearerToken": "Access", "AuthenticateAccessToken": "Access", "AssumeConsole": "Access",
	"GetWorkloadAccessToken": "Access", "GetWorkloadAccessTokenForJWT": "Access", "GetWorkloadAccessTokenForUserId": "Access", "CompleteResourceTokenAuth": "Access",
	"GetResourceApiKey": "Access", "GetResourceOauth2Token": "Access",
}

// inAPI are the SDK clients whose calls, unless they read or manage, are all of one class.
var inAPI = map[string]string{
	"bedrock-runtime": "Inference", "bedrock-agent-runtime": "Agent", "bedrock-agentcore": "Agent", "sagemaker-runtime": "Inference",
	"sagemakerjobruntime": "Training", "nova-act": "Agent", "lexv2-runtime": "Inference", "lex-runtime": "Inference",
	"transcribe-streaming": "Inference", "rekognitionstreaming": "Inference", "forecastquery": "Inference", "personalize-runtime": "Inference",
	"kendra-ranking": "Retrieval", "sagemaker-featurestore-runtime": "Retrieval",
}

func isRead(name string) bool {
	return hasPrefixAny(name, "List", "Get", "Describe", "BatchGet", "BatchDescribe", "Check", "Validate", "Export", "View", "Read", "Lookup")
}

// manages says whether an operation of a runtime API keeps house rather than calls.
func manages(name string) bool {
	return hasPrefixAny(name, "Delete", "Put", "Tag", "Untag", "BatchDelete", "BatchCreate", "BatchUpdate", "BatchPut", "Register", "Create", "Update")
}

func hasAny(s string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}

func hasPrefixAny(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
