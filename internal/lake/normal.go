package lake

import (
	"strings"

	"github.com/aitrail/aitrail/internal/catalog"
	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// Call is the normal form of an event; see Normalize. Texts are "" where the record doesn't tell. Events of services
// that the catalog doesn't have, have Actor, ActorKind, Client and Outcome only.
type Call struct {
	AIService       string // the catalog's key: "bedrock"
	OperationClass  string // one of catalog's classes: "inference"
	ModelID         string // the base model behind profiles and ARNs where it can be known, else the ARN
	InferenceRegion string // where the model ran
	Actor           string // who really called
	ActorKind       string // one of cloudtrail's kinds of actors
	Client          string // one of the Client constants, or "sdk/LANGUAGE"
	Outcome         string // one of the Outcome constants
	InputTokens     int64  // -1 where the record doesn't tell
	OutputTokens    int64  // -1 where the record doesn't tell
	GuardrailID     string // several are joined by commas
	CallRole        string // one of the Role constants
	ParentRequestID string // of the end of a stream: the requestID of the call
}

// What an event is of a call. Counting the events with RolePrimary counts each call once, as far as its API call was
// recorded.
const (
	RolePrimary    = "primary"    // the API call
	RoleCompletion = "completion" // the end of its stream, with the tokens
	RoleCopy       = "copy"       // a data event that repeats a management event, of the call or of the end of its stream
	RoleNetwork    = "network"    // the call seen by a VPC endpoint
	RoleInsight    = "insight"    // an unusual rate of calls
	RoleAggregate  = "aggregate"  // a summary of calls
	RoleService    = "service"    // another event that the service made by itself
)

// Outcomes.
const (
	OutcomeOK        = "ok"
	OutcomeDenied    = "denied"    // not allowed, or not authenticated
	OutcomeThrottled = "throttled" // above a rate or quota
	OutcomeInvalid   = "invalid"   // the request was wrong, or what it names isn't there
	OutcomeError     = "error"     // the service failed, or the code tells nothing
)

// Normalize computes the normal form of an event from the catalog.
func Normalize(e *cloudtrail.Event) Call { return new(normalizer).call(e) }

// normalizer computes normal forms. It remembers what it found for texts that come again and again, and isn't safe for
// concurrent use.
type normalizer struct {
	operations map[operationKey]operation
	clients    map[string]string // by userAgent
}

type operationKey struct{ source, name string }

// operation is what the catalog says of an event's operation.
type operation struct {
	service *catalog.Service // nil: no AI service's
	class   string
	copies  bool // its management events are repeated as data events
}

// remembered bounds what a normalizer remembers: texts of records are outside input.
const remembered = 4096

func (n *normalizer) operation(source, name string) operation {
	k := operationKey{source, name}
	if op, ok := n.operations[k]; ok {
		return op
	}
	var found operation
	if service, op := catalog.Lookup(source, name); service != nil {
		found = operation{service, string(service.ClassOf(name)), op != nil && op.DataCopy && op.Category == catalog.Management}
	}
	if n.operations == nil || len(n.operations) >= remembered {
		n.operations = map[operationKey]operation{}
	}
	n.operations[operationKey{strings.Clone(source), strings.Clone(name)}] = found
	return found
}

func (n *normalizer) call(e *cloudtrail.Event) Call {
	actor := e.Actor()
	c := Call{Actor: actor.Name, ActorKind: string(actor.Kind), Client: n.client(e), InputTokens: -1, OutputTokens: -1}
	source, name := e.EventSource, e.EventName
	if source == "" && e.InsightDetails != "" {
		source, name = e.InsightDetails.Member("eventSource").Text(), e.InsightDetails.Member("eventName").Text()
	}
	op := n.operation(source, name)
	if op.service == nil {
		c.Outcome = outcome(e, "")
		return c
	}
	c.AIService, c.OperationClass = op.service.Key, op.class
	c.Outcome = outcome(e, c.AIService)
	end := streamEnd(e)
	c.ParentRequestID = end.parent
	c.CallRole = role(e, op, end.parent)
	routed := false // the model may have run in another Region
	if takesModels(c.AIService) {
		c.ModelID, routed = modelOf(e)
	}
	c.GuardrailID = guardrails(e)
	c.tokens(e, end.entries)
	if c.InferenceRegion == "" && c.ModelID != "" && !routed && end.parent == "" && op.class == string(catalog.Inference) {
		c.InferenceRegion = e.AWSRegion
	}
	return c
}

// role tells what the event is of its call.
func role(e *cloudtrail.Event, op operation, parent string) string {
	switch {
	case strings.HasPrefix(e.EventCategory, "NetworkActivity") || strings.HasPrefix(e.EventType, "AwsVpceEvent"):
		return RoleNetwork
	case e.EventCategory == "Insight" || e.InsightDetails != "":
		return RoleInsight
	case e.EventCategory == "Aggregated" || e.EventType == "AwsAggregatedEvent":
		return RoleAggregate
	case op.copies && e.EventCategory == "Data":
		return RoleCopy
	case parent != "":
		return RoleCompletion
	case e.EventType == "AwsServiceEvent":
		return RoleService
	}
	return RolePrimary
}

// ending is what the event at the end of a stream tells
// (https://docs.aws.amazon.com/bedrock/latest/userguide/logging-using-cloudtrail.html).
type ending struct {
	parent  string
	entries cloudtrail.JSON
}

func streamEnd(e *cloudtrail.Event) (end ending) {
	if e.ServiceEventDetails == "" || e.EventType != "AwsServiceEvent" {
		return end
	}
	e.ServiceEventDetails.Members(func(name string, v cloudtrail.JSON) {
		switch name {
		case "parentRequestId":
			end.parent = v.Text()
		case "AdditionalEventData", "additionalEventData":
			end.entries = v.Member("additionalEntries")
		}
	})
	return end
}

// tokens takes counts and the Region of inference from where they stand: in additionalEventData of calls, in the
// additional entries of ends of streams.
func (c *Call) tokens(e *cloudtrail.Event, entries cloudtrail.JSON) {
	for _, object := range []cloudtrail.JSON{e.AdditionalEventData, entries} {
		if object == "" {
			continue
		}
		object.Members(func(name string, v cloudtrail.JSON) {
			switch name {
			case "inputTokens":
				c.InputTokens = count(v, c.InputTokens)
			case "outputTokens":
				c.OutputTokens = count(v, c.OutputTokens)
			case "inferenceRegion":
				c.InferenceRegion = v.Text()
			}
		})
	}
}

// count reads a number of tokens, written as a number or as text.
func count(v cloudtrail.JSON, otherwise int64) int64 {
	text := v.Text()
	if text == "" || len(text) > 15 {
		return otherwise
	}
	var n int64
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return otherwise
		}
		n = n*10 + int64(text[i]-'0')
	}
	return n
}
