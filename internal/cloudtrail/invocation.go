package cloudtrail

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// KindInvocations is the kind of file in which Amazon Bedrock delivers model invocation logs. It isn't CloudTrail's, but lies
// beside its files, is named likewise, and tells of the same calls.
const KindInvocations Kind = "BedrockModelInvocationLogs"

// invocationSchema is what every record of a model invocation log says that it is.
const invocationSchema = "ModelInvocationLog"

// ErrNotInvocation means that a text is no record of a model invocation log.
var ErrNotInvocation = errors.New("not a record of a model invocation log")

// Invocation is one record of a model invocation log
// (https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html). Numbers that the record doesn't tell
// are -1.
type Invocation struct {
	Time            time.Time // UTC
	AccountID       string
	Region          string
	RequestID       string // of the CloudTrail event too
	CallerARN       string
	Operation       string // InvokeModel, Converse, …
	ModelID         string // as the call named it
	InferenceRegion string
	ErrorCode       string

	InputTokens, OutputTokens         int64
	CacheReadTokens, CacheWriteTokens int64
	LatencyMS                         int64
	StopReason                        string
	GuardrailAction                   string // INTERVENED or NONE; "" when none is told of

	InputBody, OutputBody     JSON   // the prompt and the answer; "" when they lie elsewhere
	InputBodyS3, OutputBodyS3 string // where
	Metadata                  JSON   // what the caller sent as requestMetadata
}

// invocationRecord is a record's JSON. Members of other types than documented are passed over, as unknown ones are.
type invocationRecord struct {
	SchemaType, Timestamp, AccountID, Region, RequestID, Operation, ModelID, InferenceRegion, ErrorCode json.RawMessage

	Identity        struct{ ARN json.RawMessage }
	RequestMetadata json.RawMessage

	Input struct {
		InputBodyJSON             json.RawMessage `json:"inputBodyJson"`
		InputBodyS3Path           json.RawMessage `json:"inputBodyS3Path"`
		InputTokenCount           json.RawMessage `json:"inputTokenCount"`
		CacheReadInputTokenCount  json.RawMessage `json:"cacheReadInputTokenCount"`
		CacheWriteInputTokenCount json.RawMessage `json:"cacheWriteInputTokenCount"`
	}
	Output struct {
		OutputBodyJSON   json.RawMessage `json:"outputBodyJson"`
		OutputBodyS3Path json.RawMessage `json:"outputBodyS3Path"`
		OutputTokenCount json.RawMessage `json:"outputTokenCount"`
	}
}

// Decode reads a record. The error is ErrNotInvocation with the reason, which has no byte of the record in it.
func (v *Invocation) Decode(record []byte) error {
	var r invocationRecord
	if err := json.Unmarshal(record, &r); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("%w: broken JSON at byte %d of it", ErrNotInvocation, syntax.Offset)
		}
		return fmt.Errorf("%w: a member is of another type than documented", ErrNotInvocation)
	}
	if textOf(r.SchemaType) != invocationSchema {
		return fmt.Errorf("%w: its schemaType isn't %s", ErrNotInvocation, invocationSchema)
	}
	*v = Invocation{
		AccountID: textOf(r.AccountID), Region: textOf(r.Region), RequestID: textOf(r.RequestID), CallerARN: textOf(r.Identity.ARN),
		Operation: textOf(r.Operation), ModelID: textOf(r.ModelID), InferenceRegion: textOf(r.InferenceRegion), ErrorCode: textOf(r.ErrorCode),
		InputTokens: countOf(r.Input.InputTokenCount), OutputTokens: countOf(r.Output.OutputTokenCount),
		CacheReadTokens: countOf(r.Input.CacheReadInputTokenCount), CacheWriteTokens: countOf(r.Input.CacheWriteInputTokenCount),
		InputBody: jsonOf(r.Input.InputBodyJSON), OutputBody: jsonOf(r.Output.OutputBodyJSON),
		InputBodyS3: textOf(r.Input.InputBodyS3Path), OutputBodyS3: textOf(r.Output.OutputBodyS3Path), Metadata: jsonOf(r.RequestMetadata),
	}
	if at, err := time.Parse(time.RFC3339, textOf(r.Timestamp)); err == nil {
		v.Time = at.UTC()
	}
	v.answer()
	return nil
}

// answer reads what the answer tells besides the answer itself: of Converse members of their own, of InvokeModel what Bedrock adds to
// the model's, and of a stream those of its parts.
func (v *Invocation) answer() {
	v.LatencyMS = -1
	parts := []JSON{v.OutputBody}
	v.OutputBody.Elements(func(part JSON) { parts = append(parts, part) })
	guarded := false
	for _, part := range parts {
		metrics := part.Member("amazon-bedrock-invocationMetrics")
		v.LatencyMS = max(v.LatencyMS, countOf([]byte(part.Member("metrics").Member("latencyMs"))), countOf([]byte(metrics.Member("invocationLatency"))))
		for _, reason := range []JSON{part.Member("stopReason"), part.Member("stop_reason"), part.Member("delta").Member("stop_reason"), part.Member("messageStop").Member("stopReason")} {
			if s := word(reason); s != "" {
				v.StopReason = s
			}
		}
		if s := word(part.Member("amazon-bedrock-guardrailAction")); s != "" && v.GuardrailAction != "INTERVENED" {
			v.GuardrailAction = s
		}
		trace := part.Member("trace")
		if trace == "" {
			trace = part.Member("metadata").Member("trace")
		}
		guarded = guarded || strings.HasPrefix(string(trace.Member("guardrail")), "{") || strings.HasPrefix(string(part.Member("amazon-bedrock-trace").Member("guardrail")), "{")
	}
	switch {
	case v.StopReason == "guardrail_intervened":
		v.GuardrailAction = "INTERVENED"
	case guarded && v.GuardrailAction == "":
		v.GuardrailAction = "NONE"
	}
}

// word returns a short text of letters, digits, '_' and '-', as stop reasons are: it can't be a model's words.
func word(j JSON) string {
	s := ""
	if strings.HasPrefix(string(j), `"`) {
		s = j.Text()
	}
	for _, c := range []byte(s) {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return ""
		}
	}
	if len(s) > 64 {
		return ""
	}
	return s
}

func textOf(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func countOf(raw json.RawMessage) int64 {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func jsonOf(raw json.RawMessage) JSON {
	if string(raw) == "null" {
		return ""
	}
	return JSON(raw)
}

// InvocationKey is the name of a model invocation log's file: AWSLogs/ACCOUNT/BedrockModelInvocationLogs/REGION/YYYY/MM/DD/HH/NAME.
type InvocationKey struct {
	Account, Region string
	Time            time.Time // to the hour, or as the name tells
	Body            bool      // it holds a long prompt or answer, not a log, or Bedrock's test whether it may write
}

// ParseInvocationKey reads a key of a bucket, or a path that ends like one. ok is false for what is no name of Bedrock's.
func ParseInvocationKey(key string) (k InvocationKey, ok bool) {
	parts := strings.Split(key, "/")
	for i := len(parts) - 2; i > 0; i-- {
		if parts[i] != string(KindInvocations) {
			continue
		}
		k.Account = parts[i-1]
		rest := parts[i+1:]
		name := rest[len(rest)-1]
		k.Body = strings.Contains(name, "permission-check") || len(rest) > 1 && rest[len(rest)-2] == "data"
		if len(rest) > 1 {
			k.Region = rest[0]
		}
		if len(rest) >= 6 {
			at, err := time.Parse("2006/01/02/15", strings.Join(rest[1:5], "/"))
			if err == nil {
				k.Time = at
				stamp, _, _ := strings.Cut(name, "_")
				if t, err := time.Parse("20060102T150405.000Z", withPoint(stamp)); err == nil && !t.Before(at) && t.Sub(at) < time.Hour {
					k.Time = t
				}
			}
		}
		return k, isAccount(k.Account)
	}
	return k, false
}

// withPoint puts the point into a time with milliseconds, "20240102T030405678Z".
func withPoint(stamp string) string {
	if len(stamp) == len("20060102T150405000Z") {
		return stamp[:15] + "." + stamp[15:]
	}
	return stamp
}
