package ai

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/catalog"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// made is the bucket of resources that no rule was written for. Keys are "Region/client/noun/id", of resources within
// others with the ids of these in front of their own.
const made = "ai.made"

// Members of resource.Config that no API has.
const (
	ownKey     = " id"      // the resource's own id
	stoppedKey = " stopped" // true when it was stopped or cancelled
)

// own is the resource's id as the API has it.
func (r *resource) own() string { return text(r.Config, ownKey) }

// rule is the rule written for the client's operation, or the general one.
func (b *backend) rule(c *client, op *smithy.Operation) *rule {
	if r := b.written[c.name+"."+op.Name]; r != nil {
		return r
	}
	if r := b.particular[c.name+"."+op.Name]; r != nil {
		return r
	}
	return &rule{serve: b.general, prepare: prepareGeneral, access: accessGeneral}
}

// prepareGeneral completes the record of an operation that no rule was written for: prompts and payloads don't belong
// there, and a data event lists what it is about.
func prepareGeneral(c *call) {
	f := c.client.facts[c.op.Name]
	if f == nil { // newer than the catalog: nothing that may be said to a model is shown
		f = &catalog.Operation{Class: catalog.Inference}
	}
	if params, ok := c.Record.RequestParameters.(obj); ok && (f.Class == catalog.Inference || f.Class == catalog.Retrieval || f.Class == catalog.Agent) {
		for name := range params {
			if payloads[strings.ToLower(name)] {
				delete(params, name)
			}
		}
		if len(params) == 0 {
			c.Record.RequestParameters = nil
		}
	}
	if c.Record.Data && len(f.DataTypes) > 0 {
		kind := f.DataTypes[0]
		if arn := c.referred(kind[strings.LastIndexByte(kind, ':')+1:]); arn != "" {
			c.Record.Resources = resources(kind, arn)
		}
	}
}

// payloads are the members that carry what is said to models and services, in lower case.
var payloads = map[string]bool{
	"text": true, "inputtext": true, "prompt": true, "query": true, "querytext": true, "content": true, "message": true, "messages": true,
	"body": true, "document": true, "documents": true, "utterance": true, "input": true, "inputs": true, "payload": true, "usermessage": true,
	"retrievalquery": true, "textlist": true, "inputstream": true, "sources": true, "queryvector": true, "vectors": true, "events": true,
}

// referred is the ARN of the resource of a kind that the input refers to, or "".
func (c *call) referred(kind string) string {
	lower := strings.ToLower(kind)
	for i := range c.op.Input.Members {
		m := &c.op.Input.Members[i]
		s := stem(m.Name)
		v := text(c.in, m.Name)
		if s == "" || v == "" || !strings.HasSuffix(s, lower) && s != "resource" {
			continue
		}
		if strings.HasPrefix(v, "arn:") {
			return v
		}
		if s != "resource" {
			return c.arnOf(nil, kind, v, 0)
		}
	}
	return ""
}

// accessGeneral asks for the operation's action on what the input names, or on "*".
func accessGeneral(c *call) []awsapi.Access {
	resource := "*"
	if c.op.Input != nil {
		p := c.client.nouns.parts[c.op.Name]
		if p.noun != nil && p.role != makes && p.role != lists {
			if arn := c.referred(p.name); arn != "" {
				resource = arn
			}
		}
		for _, name := range []string{"resourceArn", "resourceARN", "ResourceArn", "ResourceARN"} {
			if arn := text(c.in, name); strings.HasPrefix(arn, "arn:") {
				resource = arn
			}
		}
	}
	return []awsapi.Access{{Action: c.client.prefix + ":" + c.op.Name, Resource: resource}}
}

// general serves an operation by its model and the part it has in the life of a resource.
func (b *backend) general(c *call) (obj, error) {
	if out, ok, err := b.tagging(c); ok {
		return out, err
	}
	p := c.client.nouns.parts[c.op.Name]
	if p.noun != nil && b.writes(c.client, p.noun) {
		p = part{} // rules were written for the kind; what they leave is answered but has no effect
	}
	if err := b.parents(c, p); err != nil {
		return nil, err
	}
	switch p.role {
	case makes, puts:
		return b.make(c, p)
	case lists:
		return b.list(c, p.noun)
	case reads, changes, stops:
		return b.visit(c, p)
	case removes:
		return b.discard(c, p.noun)
	}
	return c.filler(nil, nil).output(), nil
}

// streamLeast has an operation that answers with an event stream send one event, the least of its first kind. A client that
// streams, too, gets it when it has said something, and is listened to until it ends.
func (c *call) streamLeast() {
	f := c.filler(nil, nil)
	c.converse(func(e *smithy.EventWriter, said *smithy.EventReader) error {
		if _, err := said.Next(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for _, m := range e.Kinds() {
			if v, ok := f.least(m.Shape, m.Name, 0).(obj); ok {
				if err := e.Send(m.Name, v); err != nil {
					return err
				}
				break
			}
		}
		return said.Drain()
	})
}

// converse answers with a stream that is written while the client's is read. What is wrong with that, an *awsapi.Error, the
// client is told in its last event.
func (c *call) converse(talk func(e *smithy.EventWriter, said *smithy.EventReader) error) {
	c.stream = func(e *smithy.EventWriter) (*awsapi.Completion, error) {
		err := talk(e, smithy.NewEventReader(c.Incoming))
		var wrong *awsapi.Error
		if errors.As(err, &wrong) {
			// What more the client says is no longer heard; it ends its stream when it has read that.
			if err = e.Fail(wrong); err == nil && c.Incoming != nil {
				_, _ = io.Copy(io.Discard, c.Incoming.Body)
			}
		}
		return nil, err
	}
}

// writes tells whether a rule was written that makes the kind.
func (b *backend) writes(c *client, k *noun) bool {
	return slices.ContainsFunc(k.made, func(op string) bool { return b.written[c.name+"."+op] != nil })
}

// given are the input's texts that refer to a resource, by the members' names.
func (c *call) given() map[string]string {
	out := map[string]string{}
	if c.op.Input == nil {
		return out
	}
	for i := range c.op.Input.Members {
		m := &c.op.Input.Members[i]
		if v := text(c.in, m.Name); v != "" && m.Shape.Type == "string" && !m.Token && (m.In == "uri" || refers(m.Name)) && len(m.Shape.Enum) == 0 {
			out[m.Name] = v
		}
	}
	return out
}

// naming is the part of what was given by which one resource of the kind is found: what stands in the URI, the ids of
// the resource and of those it is in, and its name where no id is given. The rest may be what is to be changed.
func (c *call) naming(k *noun) map[string]string {
	given := c.given()
	own := 0 // how well the resource is named: by nothing, by its name, by its id or ARN
	for name := range given {
		if l := strings.ToLower(name); k.owns(name) && c.must(name) {
			own = max(own, 1)
			if !k.isName(l) {
				own = 2
			}
		}
	}
	for name := range given {
		switch l := strings.ToLower(name); {
		case c.op.Input.Member(name).In == "uri":
		case k.owns(name) && (c.must(name) || own == 0) && (own < 2 || !k.isName(l)):
		case c.must(name) && !k.owns(name) && c.client.nouns.byName[stem(name)] != nil:
		default:
			delete(given, name)
		}
	}
	return given
}

// must tells whether the input has to have the member.
func (c *call) must(name string) bool { return slices.Contains(c.op.Input.Required, name) }

// parents checks that the resources exist that the input names by what its members are called, apart from the
// operation's own.
func (b *backend) parents(c *call, p part) error {
	absent := code(c.op, notFound)
	if absent == "" || c.op.Input == nil {
		return nil
	}
	for _, name := range c.op.Input.Required {
		v := text(c.in, name)
		k := c.client.nouns.byName[stem(name)]
		if k == nil || k == p.noun || p.noun != nil && p.owns(name) || v == "" || b.writes(c.client, k) || c.predefined(v) {
			continue
		}
		found, err := b.some(c, k, name, v)
		if err != nil {
			return err
		}
		if !found {
			return c.fails(absent, "%s", k.name+" "+v+" was not found.")
		}
	}
	return nil
}

// predefined tells whether an id is of something that is there without being made.
func (c *call) predefined(id string) bool {
	if c.client.name == "polly" && slices.ContainsFunc(strings.Fields(voices), func(v string) bool { return strings.HasPrefix(v, id+"|") }) {
		return true
	}
	lower := strings.ToLower(tail(id))
	return lower == "default" || lower == "draft" || strings.HasPrefix(lower, "aws") || strings.HasPrefix(lower, "$") || lower == "0" ||
		strings.HasPrefix(id, "arn:aws:") && strings.Contains(id, ":aws:")
}

// asksPredefined tells whether the input names one of the kind that is there without being made.
func (c *call) asksPredefined(k *noun) bool {
	for name, v := range c.naming(k) {
		if k.owns(name) && c.predefined(v) {
			return true
		}
	}
	return false
}

// some tells whether there is any resource of the kind with the id.
func (b *backend) some(c *call, k *noun, member, id string) (bool, error) {
	all, err := b.all(c, made, c.client.name+"/"+k.lower+"/")
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(all, func(r *resource) bool { return k.means(r, member, id) }), nil
}

// means tells whether a member's value names the resource.
func (k *noun) means(r *resource, member, v string) bool {
	return v == r.ARN || v == r.own() || r.Name != "" && v == r.Name || tail(v) == tail(r.ARN) && strings.HasPrefix(v, "arn:") ||
		text(r.Config, member) == v
}

// matches tells whether the input is about the resource: each of its names that the resource has too is the same.
func (k *noun) matches(r *resource, given map[string]string) bool {
	known := make(map[string]string, len(r.Config))
	for name, v := range r.Config {
		if s, ok := v.(string); ok {
			known[strings.ToLower(name)] = s
		}
	}
	for name, v := range given {
		if k.owns(name) {
			if !k.means(r, name, v) {
				return false
			}
			continue
		}
		if have, ok := known[strings.ToLower(name)]; ok && have != v && tail(have) != tail(v) {
			return false
		}
	}
	return true
}

// lookup finds what the input is about; nil when there is no such resource.
func (b *backend) lookup(c *call, k *noun) (*resource, error) {
	all, err := b.all(c, made, c.client.name+"/"+k.lower+"/")
	if err != nil {
		return nil, err
	}
	given := c.naming(k)
	if !slices.ContainsFunc(slices.Collect(maps.Keys(given)), k.owns) && len(all) > 0 && !c.namesParent(k, given) {
		return nil, nil
	}
	for _, r := range all {
		if k.matches(r, given) {
			return r, nil
		}
	}
	return nil, nil
}

// namesParent tells whether a kind is one of which there is only one in each of the kind's parents: nothing of its
// own is named by the operations that read it.
func (c *call) namesParent(k *noun, given map[string]string) bool {
	return k.member(k.isID) == nil || len(given) > 0 || c.op.Input == nil || len(c.op.Input.Required) == 0
}

// absent is the error of a resource that isn't there.
func (c *call) absent(k *noun) error {
	what := k.name
	for name, v := range c.naming(k) {
		if k.owns(name) {
			what += " " + v
		}
	}
	if e := code(c.op, notFound); e != "" {
		return c.fails(e, "%s", what+" was not found.")
	}
	return c.invalid("%s", "Could not find "+what+".")
}
