package cloudtrail_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// TestInvocationDecode decodes records as AWS writes them, and with members of other types than documented.
func TestInvocationDecode(t *testing.T) {
	none := cloudtrail.Invocation{InputTokens: -1, OutputTokens: -1, CacheReadTokens: -1, CacheWriteTokens: -1, LatencyMS: -1}
	with := func(change func(v *cloudtrail.Invocation)) cloudtrail.Invocation {
		v := none
		change(&v)
		return v
	}
	const is = `{"schemaType":"ModelInvocationLog"`
	for record, want := range map[string]cloudtrail.Invocation{
		is + `}`: none,
		is + `,"timestamp":"2025-04-09T23:00:17Z","accountId":"111122223333","identity":{"arn":"a"},"region":"r","requestId":"q","operation":"o","modelId":"m","inferenceRegion":"i","errorCode":"e"}`: with(func(v *cloudtrail.Invocation) {
			v.Time = time.Date(2025, 4, 9, 23, 0, 17, 0, time.UTC)
			v.AccountID, v.CallerARN, v.Region, v.RequestID, v.Operation, v.ModelID, v.InferenceRegion, v.ErrorCode = "111122223333", "a", "r", "q", "o", "m", "i", "e"
		}),
		is + `,"timestamp":"soon","accountId":7,"modelId":null,"input":{"inputTokenCount":"3","cacheReadInputTokenCount":-3,"cacheWriteInputTokenCount":1.5},"output":{"outputBodyJson":null}}`: none,
		is + `,"output":{"outputBodyJson":{"stopReason":"guardrail_intervened","metrics":{"latencyMs":7},"trace":{"guardrail":{}}}}}`: with(func(v *cloudtrail.Invocation) {
			v.OutputBody, v.StopReason, v.LatencyMS, v.GuardrailAction = `{"stopReason":"guardrail_intervened","metrics":{"latencyMs":7},"trace":{"guardrail":{}}}`, "guardrail_intervened", 7, "INTERVENED"
		}),
		is + `,"output":{"outputBodyJson":{"trace":{"guardrail":{"inputAssessment":{}}},"stopReason":"end_turn"}}}`: with(func(v *cloudtrail.Invocation) {
			v.OutputBody, v.StopReason, v.GuardrailAction = `{"trace":{"guardrail":{"inputAssessment":{}}},"stopReason":"end_turn"}`, "end_turn", "NONE"
		}),
		// A stop reason that isn't one, but a text of the model's, isn't taken.
		is + `,"output":{"outputBodyJson":{"stop_reason":"the launch code is 0000"}}}`: with(func(v *cloudtrail.Invocation) { v.OutputBody = `{"stop_reason":"the launch code is 0000"}` }),
	} {
		var got cloudtrail.Invocation
		if err := got.Decode([]byte(record)); err != nil {
			t.Errorf("%s: %v", record, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", record, diff)
		}
	}
	for _, bad := range []string{``, `null`, `[]`, `{}`, `{"schemaType":"x"}`, is, is + `,"input":"the launch code"}`, is + `,"x":the launch code}`} {
		var v cloudtrail.Invocation
		if err := v.Decode([]byte(bad)); !errors.Is(err, cloudtrail.ErrNotInvocation) || strings.Contains(err.Error(), "launch") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestParseInvocationKey(t *testing.T) {
	hour := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	const at = "p/AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2026/03/01/10/"
	for key, want := range map[string]cloudtrail.InvocationKey{
		at + "20260301T101112345Z_0123456789abcdef.json.gz": {Account: "111122223333", Region: "us-east-1", Time: hour.Add(11*time.Minute + 12*time.Second + 345*time.Millisecond)},
		at + "x.json.gz":                     {Account: "111122223333", Region: "us-east-1", Time: hour},
		at + "20990301T101112345Z_x.json.gz": {Account: "111122223333", Region: "us-east-1", Time: hour},
		at + "data/0_input.json.gz":          {Account: "111122223333", Region: "us-east-1", Time: hour, Body: true},
		"AWSLogs/o-exampleorgid/" + at[len("p/AWSLogs/"):] + "x.json.gz":                       {Account: "111122223333", Region: "us-east-1", Time: hour},
		"AWSLogs/111122223333/BedrockModelInvocationLogs/amazon-bedrock-logs-permission-check": {Account: "111122223333", Body: true},
	} {
		if got, ok := cloudtrail.ParseInvocationKey(key); !ok || got != want {
			t.Errorf("%s: %+v, %v; want %+v", key, got, ok, want)
		}
	}
	for _, other := range []string{"", "x.json.gz", "AWSLogs/111122223333/CloudTrail/us-east-1/x", "BedrockModelInvocationLogs", "AWSLogs/x/BedrockModelInvocationLogs/y"} {
		if k, ok := cloudtrail.ParseInvocationKey(other); ok {
			t.Errorf("%q: %+v", other, k)
		}
	}
}

// FuzzInvocation states that no text makes the decoder fail otherwise than by an error without any of it, and that what is taken from an
// answer besides it is a word.
func FuzzInvocation(f *testing.F) {
	f.Add(`{"schemaType":"ModelInvocationLog","output":{"outputBodyJson":[{"delta":{"stop_reason":"x"}},{"amazon-bedrock-invocationMetrics":{"invocationLatency":3}}]}}`)
	f.Add(`{"schemaType":"ModelInvocationLog","input":{"inputTokenCount":1}`)
	f.Add("AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2026/03/01/10/data/x")
	f.Fuzz(func(t *testing.T, text string) {
		var v cloudtrail.Invocation
		if err := v.Decode([]byte(text)); err != nil && !errors.Is(err, cloudtrail.ErrNotInvocation) {
			t.Errorf("error %v", err)
		}
		for _, word := range []string{v.StopReason, v.GuardrailAction} {
			if strings.ContainsAny(word, " \"{}[]\n") || len(word) > 64 {
				t.Errorf("%q is no word", word)
			}
		}
		cloudtrail.ParseInvocationKey(text)
	})
}
