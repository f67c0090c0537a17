package ai

import "maps"

// rules is every operation the package serves, by "client.Operation".
func (b *backend) rules() map[string]*rule {
	all := map[string]*rule{}
	bedrock := b.bedrock()
	maps.Copy(bedrock, b.guardrailControl())
	for client, rules := range map[string]map[string]*rule{
		"bedrock": bedrock, "bedrock-runtime": b.runtime(), "bedrock-agent": b.agentControl(), "bedrock-agent-runtime": b.agentRuntime(),
		"sagemaker": b.sagemaker(), "sagemaker-runtime": b.sagemakerRuntime(), "comprehend": b.comprehend(), "rekognition": b.rekognition(),
		"textract": b.textract(), "translate": b.translate(), "polly": b.polly(), "transcribe": b.transcribe(), "transcribe-streaming": {"StartStreamTranscription": {serve: b.streamTranscription}}, "s3vectors": b.vectors(),
	} {
		for name, r := range rules {
			all[client+"."+name] = r
		}
	}
	return all
}
