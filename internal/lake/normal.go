package lake

import "github.com/aitrail/aitrail/internal/cloudtrail"

// Call is the normal form of an event; see Normalize.
type Call struct {
	AIService       string
	OperationClass  string
	ModelID         string
	InferenceRegion string
	Actor           string
	ActorKind       string
	Client          string
	Outcome         string
	InputTokens     int64
	OutputTokens    int64
	GuardrailID     string
	CallRole        string
	ParentRequestID string
}

// Normalize computes the normal form of an event from the catalog.
func Normalize(e *cloudtrail.Event) Call {
	a := e.Actor()
	return Call{Actor: a.Name, ActorKind: string(a.Kind), InputTokens: -1, OutputTokens: -1}
}
