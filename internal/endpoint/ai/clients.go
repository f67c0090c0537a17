package ai

import (
	"slices"
	"strings"
	"sync"

	"github.com/aitrail/aitrail/internal/catalog"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
)

// client is what is particular to one SDK client's API.
type client struct {
	name    string // "bedrock-runtime"
	signing string
	source  string // eventSource
	prefix  string // of IAM actions and ARNs
	hidden  string // what stands in records for sensitive members; "" is hiddenValue
	invalid string // error code for input that fails the model's checks; "" is what the model has
	service *catalog.Service

	once  sync.Once
	model *smithy.Model
	facts map[string]*catalog.Operation
	nouns *nouns
	err   error
}

// hiddenValue is AWS's most common marker of a value left out of a record.
const hiddenValue = "HIDDEN_DUE_TO_SECURITY_REASONS"

// entitlement is the one operation served that no SDK has: the console calls it, and so do those who want models they
// weren't given.
var entitlement = smithy.Route{Name: "PutFoundationModelEntitlement", Method: "POST", URI: "/foundation-model-entitlement"}

// clients is every client of the catalog whose model is embedded, in the catalog's order: where two of one signing name
// have the same route, the first has it.
func clients() []*client {
	var list []*client
	embedded := smithy.Clients()
	services := catalog.Services()
	for i := range services {
		s := &services[i]
		for _, api := range s.APIs {
			if !slices.Contains(embedded, api.Client) || len(s.EventSources) == 0 {
				continue
			}
			c := &client{name: api.Client, signing: api.SigningName, source: s.EventSources[0], service: s, prefix: strings.TrimSuffix(s.EventSources[0], ".amazonaws.com")}
			if len(s.IAMPrefixes) > 0 {
				c.prefix = s.IAMPrefixes[0]
			}
			switch c.name {
			case "polly":
				c.hidden = "**********"
			case "aiops", "bedrock-agentcore-control":
				c.hidden = "***"
			case "transcribe":
				c.invalid = "BadRequestException"
			case "sagemaker-runtime":
				c.invalid = "ValidationError"
			}
			list = append(list, c)
		}
	}
	return list
}

// load reads the client's model and what the catalog knows of its operations, once.
func (c *client) load() error {
	c.once.Do(func() {
		if c.model, c.err = smithy.Load(c.name); c.err != nil {
			return
		}
		if c.name == "bedrock" {
			c.err = c.model.Define(entitlement.Name, entitlement.Method, entitlement.URI, []string{"modelId"}, []string{"status"})
		}
		c.facts = make(map[string]*catalog.Operation, len(c.model.Operations))
		for i := range c.service.Operations {
			if op := &c.service.Operations[i]; op.API == c.name {
				c.facts[op.Name] = op
			}
		}
		c.nouns = readNouns(c.model)
	})
	return c.err
}

// notFound, conflict and invalid are the parts by which codes of errors are known, best first.
var (
	notFound = []string{"ResourceNotFound", "NotFound", "NoSuch", "DoesNotExist"}
	conflict = []string{"ConflictException", "AlreadyExist", "ResourceExists", "ResourceInUse", "InUse", "Conflict", "Exists"}
	invalid  = []string{
		"ValidationException", "ValidationError", "InvalidParameterValue", "InvalidParameter", "InvalidInput", "InvalidRequest",
		"BadRequest", "InvalidArgument",
	}
)

// code is the first of the operation's modelled errors that has one of the parts in its name, or "".
func code(op *smithy.Operation, parts []string) string {
	for _, p := range parts {
		for _, e := range op.Errors {
			if strings.Contains(e, p) {
				return e
			}
		}
	}
	return ""
}

// fails is one of the operation's modelled errors, with its status.
func (c *call) fails(code, message string, args ...any) error {
	return fail(code, c.client.model.Errors[code], message, args...)
}
