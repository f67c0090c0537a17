package ai

import (
	"maps"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// taggable are the buckets whose resources tags can be put on by ARN.
var taggable = []string{
	made, guardrails, profiles, provisioned, agents, agentAliases, knowledgeBases, flows, flowAliases, smModels, smConfigs, smEndpoints,
	classifiers, collections, lexicons, transcriptions,
}

// tagging serves the operations that put, take and list tags of any resource by its ARN. ok is false for others.
func (b *backend) tagging(c *call) (out obj, ok bool, err error) {
	var edit func(tags map[string]string)
	switch c.op.Name {
	case "TagResource", "AddTags":
		edit = func(tags map[string]string) { maps.Copy(tags, c.inputTags()) }
	case "UntagResource", "DeleteTags":
		edit = func(tags map[string]string) {
			for name := range c.in {
				if strings.EqualFold(name, "tagKeys") || strings.EqualFold(name, "tagKeyList") {
					for _, k := range texts(c.in, name) {
						delete(tags, k)
					}
				}
			}
		}
	case "ListTagsForResource", "ListTags":
	default:
		return nil, false, nil
	}
	arn := c.tagTarget()
	if arn == "" {
		return nil, false, nil
	}
	r, err := b.retagAny(c, arn, edit)
	if err != nil {
		return nil, true, err
	}
	if r == nil {
		if e := code(c.op, notFound); e != "" {
			return nil, true, c.fails(e, "The resource %s was not found.", arn)
		}
		return nil, true, c.invalid("The resource %s was not found.", arn)
	}
	return c.tagAnswer(r), true, nil
}

// tagTarget is the ARN that a tag operation is about.
func (c *call) tagTarget() string {
	for i := range c.op.Input.Members {
		if name := c.op.Input.Members[i].Name; stem(name) == "resource" {
			return text(c.in, name)
		}
	}
	for _, v := range c.given() {
		return v
	}
	return ""
}

func (c *call) tagAnswer(r *resource) obj {
	out := c.filler(nil, nil).output()
	if c.op.Output != nil {
		for i := range c.op.Output.Members {
			if m := &c.op.Output.Members[i]; strings.Contains(strings.ToLower(m.Name), "tag") && (m.Shape.Type == "map" || m.Shape.Type == "list") {
				out[m.Name] = tagValue(m.Shape, r.Tags)
			}
		}
	}
	return out
}

// retagAny edits the tags of the resource with the ARN, whatever it is; nil when there is none.
func (b *backend) retagAny(c *call, arn string, edit func(tags map[string]string)) (found *resource, err error) {
	if edit == nil {
		edit = func(map[string]string) {}
	}
	err = b.State.Update(func(tx *state.Tx) error {
		for _, kind := range taggable {
			entries, err := state.ListTx[*resource](tx, kind, c.Region+"/")
			if err != nil {
				return err
			}
			i := slices.IndexFunc(entries, func(e state.Entry[*resource]) bool { return e.Value.ARN == arn })
			if i < 0 {
				continue
			}
			found = entries[i].Value
			if found.Tags == nil {
				found.Tags = map[string]string{}
			}
			edit(found.Tags)
			return tx.Put(kind, entries[i].Key, found)
		}
		return nil
	})
	return found, err
}

// inputTags are the tags of the input: a map, or a list of keys and values.
func (c *call) inputTags() map[string]string {
	tags := map[string]string{}
	for name, v := range c.in {
		if !strings.EqualFold(name, "tags") && !strings.EqualFold(name, "tagList") {
			continue
		}
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				if s, ok := e.(string); ok {
					tags[k] = s
				}
			}
		case []any:
			maps.Copy(tags, tagList(v))
		}
	}
	return tags
}

// tagValue is tags as a shape has them.
func tagValue(s *smithy.Shape, tags map[string]string) any {
	if s.Type == "map" {
		out := obj{}
		for k, v := range tags {
			out[k] = v
		}
		return out
	}
	key, value := "Key", "Value"
	if s.Item != nil && s.Item.Member("key") != nil {
		key, value = "key", "value"
	}
	if s.Item == nil || s.Item.Member(key) == nil {
		return []any{}
	}
	return tagObjects(tags, key, value)
}
