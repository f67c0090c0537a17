// Package catalog is the table of AWS's AI services: their operations, and how CloudTrail records each.
//
// Every value carries its [Grounding]: whether AWS documents it, somebody observed it, or it was inferred; nothing in
// it was checked against a live account. The tables are generated from services.json, which also names the sources;
// they are static data, so importing the package costs nothing at start. The package is pure: the standard library
// only, no state, safe for concurrent use. What it returns is shared and must not be changed.
//
// It doesn't judge events: package lake turns an event into a call with what the catalog says of its operation.
package catalog

import (
	"sort"
	"strings"
)

//go:generate go run ./gen -in services.json -out tables.go

// Grounding says how far a value can be trusted.
type Grounding uint8

// The groundings, best first.
const (
	Documented  Grounding = iota + 1 // an AWS page says so
	Observed                         // a captured record or a printed sample shows it
	Elimination                      // the service has no data event type, so its calls can only be management events
	Inferred                         // from the SDK model, the signing name or IAM's service authorization data
	Guess                            // from the operation's verb alone, or by analogy
	Ungrounded                       // nothing was found
)

var groundings = [...]string{"", "documented", "observed", "by elimination", "inferred", "guess", "not documented"}

func (g Grounding) String() string {
	if int(g) < len(groundings) {
		return groundings[g]
	}
	return "invalid"
}

// Category is the CloudTrail category of an operation's events.
type Category uint8

// The categories. Data events are recorded only where a trail's selectors ask for them.
const (
	CategoryUnknown Category = iota
	Management
	Data
)

func (c Category) String() string { return [...]string{"unknown", "management", "data"}[c%3] }

// Class is what an operation does, seen by somebody who audits the use of AI. It is aitrail's own division, inferred
// from the operation's API, name and IAM access level.
type Class string

// The classes.
const (
	Inference     Class = "inference"     // a model or an AI function answers
	Retrieval     Class = "retrieval"     // search in an index or knowledge base
	Agent         Class = "agent"         // an agent, flow, tool or session acts
	Training      Class = "training"      // training, fine-tuning, evaluation jobs
	Configuration Class = "configuration" // writes to what calls depend on
	Access        Class = "access"        // who may use what: policies, entitlements, agreements, tokens
	Other         Class = "other"         // reads
)

// Service is one AI service.
type Service struct {
	Key                  string // "bedrock"
	Name                 string // "Amazon Bedrock"
	Category             string // "generative AI"
	Scope                string // core, partial (AI is a part of it), adjacent
	State                string // active, closed (to new customers), discontinued, unknown
	StateDetail          string
	EventSources         []string // "bedrock.amazonaws.com"
	EventSourceGrounding Grounding
	NetworkSources       []string // event sources of its network activity events
	IAMPrefixes          []string
	Redaction            string // what its records leave out or blank
	Notes                []string
	DocURL               string
	APIs                 []API
	DataTypes            []DataType
	Operations           []Operation // sorted by name, then API
	Actions              []Action    // IAM actions that no SDK model has as an operation; some are event names; sorted
}

// Action is an IAM action without an SDK operation ("PutFoundationModelEntitlement").
type Action struct {
	Name      string
	IAMAccess string
	Class     Class
}

// API is one SDK client of a service.
type API struct {
	Client         string // botocore's name: "bedrock-runtime"
	ServiceID      string // "Bedrock Runtime"
	EndpointPrefix string
	SigningName    string // the service in a SigV4 credential scope
	Protocol       string // "rest-json"
	Version        string // "2023-09-30"
	Bearer         bool   // takes API keys as bearer tokens
}

// DataType is a resource type that selects data events.
type DataType struct {
	Type        string // "AWS::Bedrock::AgentAlias"
	ConsoleName string
	Note        string
	Events      []TypeEvent
}

// TypeEvent is an event name selected by a DataType.
type TypeEvent struct {
	Name      string
	Grounding Grounding
}

// Operation is one API operation.
type Operation struct {
	Name              string // the SDK's and, unless AWS adds a version, the eventName
	API               string // the SDK client; "" when no public SDK has it
	Method, URI       string // of REST protocols: "POST", "/model/{modelId}/invoke"
	ReadOnly          bool
	ReadOnlyGrounding Grounding
	Category          Category
	CategoryGrounding Grounding
	DataCopy          bool     // a management event of which trails that select its data type get a data event too
	DataTypes         []string // resource types that select it, when it is a data event
	IAMAccess         string   // IAM's access level: "Read", "Write", "Permissions management, Write"
	Streams           bool     // the answer is an event stream
	Deprecated        bool
	Class             Class
}

// Services returns all services, sorted by key.
func Services() []Service { return services }

// ByKey returns the service with the key.
func ByKey(key string) (*Service, bool) {
	i := sort.Search(len(services), func(i int) bool { return services[i].Key >= key })
	if i < len(services) && services[i].Key == key {
		return &services[i], true
	}
	return nil, false
}

// Lookup finds what an event's eventSource and eventName belong to. It returns nil, nil when they are no AI service's,
// and a service without an operation for an event name that the catalog doesn't know. Of adjacent services only
// the operations in the catalog count: their event sources carry much else. An API version that AWS appends to an event's name
// ("CreateFunction20150331") is ignored. Where several APIs of a service have the operation the first is returned.
func Lookup(eventSource, eventName string) (*Service, *Operation) {
	i := sort.Search(len(eventSources), func(i int) bool { return eventSources[i].source >= eventSource })
	var known *Service
	for ; i < len(eventSources) && eventSources[i].source == eventSource; i++ {
		s := &services[eventSources[i].service]
		if op := s.Operation(eventName); op != nil {
			return s, op
		}
		if known == nil && s.Scope != "adjacent" {
			known = s
		}
	}
	return known, nil
}

// Operation returns the service's operation with the name, or nil.
func (s *Service) Operation(name string) *Operation {
	if op := s.operation(name); op != nil {
		return op
	}
	if trimmed := strings.TrimRight(strings.TrimSuffix(name, "v2"), "0123456789_"); trimmed != name {
		return s.operation(trimmed)
	}
	return nil
}

func (s *Service) operation(name string) *Operation {
	i := sort.Search(len(s.Operations), func(i int) bool { return s.Operations[i].Name >= name })
	if i < len(s.Operations) && s.Operations[i].Name == name {
		return &s.Operations[i]
	}
	return nil
}

// ClassOf returns the class of an event of the service: its operation's, else its IAM action's, else a guess from the
// verb of a name that the catalog doesn't know.
func (s *Service) ClassOf(eventName string) Class {
	if op := s.Operation(eventName); op != nil {
		return op.Class
	}
	i := sort.Search(len(s.Actions), func(i int) bool { return s.Actions[i].Name >= eventName })
	if i < len(s.Actions) && s.Actions[i].Name == eventName {
		return s.Actions[i].Class
	}
	for _, read := range []string{"Get", "List", "Describe", "BatchGet", "Search"} {
		if strings.HasPrefix(eventName, read) {
			return Other
		}
	}
	if strings.HasPrefix(eventName, "Invoke") || strings.HasPrefix(eventName, "Converse") {
		return Inference
	}
	return Configuration
}

// OperationOf returns the operation of an SDK client ("bedrock-runtime", "InvokeModel") and its service, or nil, nil.
func OperationOf(client, name string) (*Service, *Operation) {
	for i := range services {
		s := &services[i]
		for _, a := range s.APIs {
			if a.Client != client {
				continue
			}
			for j := sort.Search(len(s.Operations), func(i int) bool { return s.Operations[i].Name >= name }); j < len(s.Operations) && s.Operations[j].Name == name; j++ {
				if s.Operations[j].API == client {
					return s, &s.Operations[j]
				}
			}
		}
	}
	return nil, nil
}

// DataTypes returns every resource type that selects data events of AI services, sorted, each once.
func DataTypes() []string {
	var types []string
	for _, s := range services {
		for _, t := range s.DataTypes {
			types = append(types, t.Type)
		}
	}
	sort.Strings(types)
	n := 0
	for i, t := range types {
		if i == 0 || t != types[i-1] {
			types[n] = t
			n++
		}
	}
	return types[:n]
}

// Nearest returns the key of the service whose key, event source, client or name is nearest to what was typed, or ""
// when none is near.
func Nearest(typed string) string {
	typed = strings.ToLower(typed)
	best, bestDistance := "", min(max(2, len(typed)/2), len(typed))
	for _, s := range services {
		names := []string{s.Key, s.Name, strings.TrimPrefix(strings.TrimPrefix(s.Name, "Amazon "), "AWS ")}
		for _, e := range s.EventSources {
			names = append(names, e, strings.TrimSuffix(e, ".amazonaws.com"))
		}
		for _, a := range s.APIs {
			names = append(names, a.Client)
		}
		for _, n := range names {
			if d := distance(typed, strings.ToLower(n)); d < bestDistance {
				best, bestDistance = s.Key, d
			}
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal, row[j] = row[j], min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
