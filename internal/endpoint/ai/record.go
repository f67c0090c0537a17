package ai

import (
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/catalog"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// rule is what the package knows of an operation beyond its model and the catalog: how to serve it, what is recorded
// of it and what IAM must allow. The zero value of each field is the usual case.
type rule struct {
	serve func(c *call) (map[string]any, error)

	// prepare completes the record's description where the fields below can't say it.
	prepare func(c *call)
	// access says what IAM must allow; nil means the action of the operation's name (or action) on resource.
	access func(c *call) []awsapi.Access
	action string

	// resource is the ARN's resource part of what the call is about, a template over input members such as
	// "guardrail/{guardrailIdentifier}"; "{Name|lower}" is the member in lower case. kind is the type under which records
	// list it; "" when they don't.
	resource, kind string

	params    []string          // members recorded of the input; nil: all
	noParams  bool              // requestParameters is null
	redact    map[string]string // by path of input and output in the record's spelling, lists left out: what stands there instead
	reply     bool              // responseElements is recorded although the operation only reads
	noReply   bool              // responseElements is null although it writes
	replyOnly []string          // members recorded of the output; nil: all

	unchecked []string // input members that the handler judges with errors of its own
}

// left in rule.redact leaves the member out of the record.
const left = "\x00"

// describe fills the record from the input.
func (c *call) describe() {
	r := &c.Record
	r.EventSource, r.EventName = c.client.source, c.op.Name
	if f := c.client.facts[c.op.Name]; f != nil {
		r.ReadOnly, r.Data = f.ReadOnly, f.Category == catalog.Data
	} else {
		r.ReadOnly = readsByName(c.op.Name)
	}
	if c.rule.kind != "" {
		if arn := c.resource(); arn != "*" {
			r.Resources = resources(c.rule.kind, arn)
		}
	}
	if c.op.Input != nil && !c.rule.noParams {
		r.RequestParameters = c.recorded(c.op.Input, c.in, c.rule.params)
	}
}

// complete fills the record from the output.
func (c *call) complete(out map[string]any) {
	if c.rule.noReply || c.op.Output == nil || c.stream != nil || c.Record.ReadOnly && !c.rule.reply {
		return
	}
	c.Record.ResponseElements = c.recorded(c.op.Output, out, c.rule.replyOnly)
}

// recorded is a structure as records show it, or nil when nothing of it is shown.
func (c *call) recorded(s *smithy.Shape, v map[string]any, only []string) any {
	if only != nil {
		kept := map[string]any{}
		for _, name := range only {
			if e, ok := v[name]; ok {
				kept[name] = e
			}
		}
		v = kept
	}
	out := c.redacted(s, v, "").(map[string]any)
	if len(out) == 0 {
		return nil
	}
	return out
}

// redacted walks a value: members in lower camel case, blobs left out, what the model marks as sensitive and what the
// rule names replaced.
func (c *call) redacted(s *smithy.Shape, v any, path string) any {
	if s != nil && s.Sensitive && path != "" {
		return c.marker()
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, e := range v {
			if value, ok := c.member(s, name, e, path); ok {
				key := name
				if s != nil && s.Type == "structure" {
					key = smithy.LowerFirst(name)
				}
				out[key] = value
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			out = append(out, c.redacted(item(s), e, path))
		}
		return out
	case []map[string]any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			out = append(out, c.redacted(item(s), e, path))
		}
		return out
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.000Z")
	default:
		return v
	}
}

func (c *call) member(s *smithy.Shape, name string, v any, path string) (any, bool) {
	if v == nil {
		return nil, false
	}
	if s == nil || s.Type != "structure" {
		return c.redacted(item(s), v, path), true
	}
	m := s.Member(name)
	if m == nil {
		return nil, false
	}
	at := smithy.LowerFirst(name)
	if path != "" {
		at = path + "." + at
	}
	if replacement, ok := c.rule.redact[at]; ok {
		return replacement, replacement != left
	}
	_, isBlob := v.([]byte)
	switch {
	case isBlob || m.In == "statusCode":
		return nil, false
	case m.Sensitive || m.Shape.Sensitive || c.secret(name):
		return c.marker(), true
	default:
		return c.redacted(m.Shape, v, at), true
	}
}

// secret tells whether the input has a member of the name that is sensitive: what came under it isn't shown in answers
// either, where some models have forgotten to say so.
func (c *call) secret(name string) bool {
	if c.op.Input == nil {
		return false
	}
	m := c.op.Input.Member(name)
	return m != nil && (m.Sensitive || m.Shape.Sensitive)
}

// marker is what stands in records for what is sensitive.
func (c *call) marker() string {
	if c.client.hidden != "" {
		return c.client.hidden
	}
	return hiddenValue
}

func item(s *smithy.Shape) *smithy.Shape {
	if s == nil {
		return nil
	}
	return s.Item
}

// readsByName judges an operation that the catalog doesn't know.
func readsByName(name string) bool {
	for _, p := range []string{"Get", "List", "Describe", "Detect", "BatchGet", "Search"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
