package ai

import (
	"fmt"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// resource is what is kept of anything a caller made: a guardrail, an agent, an endpoint, a job.
type resource struct {
	ID      string
	Name    string
	ARN     string
	Parent  string `json:",omitempty"` // the id of what it belongs to
	Version int    `json:",omitempty"` // the last version made of it
	Created time.Time
	Updated time.Time
	Config  obj               `json:",omitempty"` // what it was made with, as the API spells it
	Tags    map[string]string `json:",omitempty"`
}

// The kinds of resources; each is a bucket of the state store, its keys "Region/id".
const (
	guardrails        = "ai.guardrail"
	guardrailVersions = "ai.guardrail-version" // keys "Region/guardrail/version"
	profiles          = "ai.inference-profile"
	provisioned       = "ai.provisioned-model"
	logging           = "ai.model-invocation-logging"
	asyncInvokes      = "ai.async-invoke"
	agents            = "ai.agent"
	agentAliases      = "ai.agent-alias" // keys "Region/agent/alias"
	knowledgeBases    = "ai.knowledge-base"
	flows             = "ai.flow"
	flowAliases       = "ai.flow-alias" // keys "Region/flow/alias"
	smModels          = "ai.sagemaker-model"
	smConfigs         = "ai.sagemaker-endpoint-config"
	smEndpoints       = "ai.sagemaker-endpoint"
	classifiers       = "ai.comprehend-endpoint"
	collections       = "ai.rekognition-collection"
	textJobs          = "ai.textract-job"
	lexicons          = "ai.polly-lexicon"
	transcriptions    = "ai.transcription-job"
)

// get reads a resource of the call's Region; nil when there is none.
func (b *backend) get(c *call, kind, id string) (*resource, error) {
	var r resource
	found, err := b.State.Get(kind, c.Region+"/"+id, &r)
	if err != nil || !found {
		return nil, err
	}
	return &r, nil
}

// create stores a new resource. It reports false, and changes nothing, when there is one with the id.
func (b *backend) create(c *call, kind string, r *resource) (created bool, err error) {
	if r.Created.IsZero() {
		r.Created, r.Updated = c.Time, c.Time
	}
	key := c.Region + "/" + r.ID
	err = b.State.Update(func(tx *state.Tx) error {
		var old resource
		found, err := tx.Get(kind, key, &old)
		if err != nil || found {
			return err
		}
		created = true
		return tx.Put(kind, key, r)
	})
	return created && err == nil, err
}

// change rewrites a resource in one transaction. It reports nil when there is none.
func (b *backend) change(c *call, kind, id string, edit func(r *resource, tx *state.Tx) error) (*resource, error) {
	var r resource
	var found bool
	key := c.Region + "/" + id
	err := b.State.Update(func(tx *state.Tx) (err error) {
		if found, err = tx.Get(kind, key, &r); err != nil || !found {
			return err
		}
		if err := edit(&r, tx); err != nil {
			return err
		}
		r.Updated = c.Time
		return tx.Put(kind, key, &r)
	})
	if err != nil || !found {
		return nil, err
	}
	return &r, nil
}

// remove deletes a resource and tells whether there was one.
func (b *backend) remove(c *call, kind, id string) (found bool, err error) {
	key := c.Region + "/" + id
	err = b.State.Update(func(tx *state.Tx) error {
		var old resource
		if found, err = tx.Get(kind, key, &old); err != nil || !found {
			return err
		}
		return tx.Delete(kind, key)
	})
	return found && err == nil, err
}

// all lists the Region's resources of a kind whose ids begin with prefix.
func (b *backend) all(c *call, kind, prefix string) ([]*resource, error) {
	entries, err := state.List[*resource](b.State, kind, c.Region+"/"+prefix)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", kind, err)
	}
	list := make([]*resource, len(entries))
	for i, e := range entries {
		list[i] = e.Value
	}
	return list, nil
}

// page cuts a list after the token and at the limit that the call asks for, and returns the next token, "" at the end. id
// names an item.
func page[T any](c *call, items []T, limit int, limitName, tokenName string, id func(T) string) ([]T, string) {
	limit = whole(c.in, limit, limitName)
	if token := text(c.in, tokenName); token != "" {
		for i, item := range items {
			if id(item) == token {
				items = items[i+1:]
				break
			}
		}
	}
	if limit <= 0 || len(items) <= limit {
		return items, ""
	}
	return items[:limit], id(items[limit-1])
}

// paged is page over resources, with their outputs under a name.
func paged(c *call, items []*resource, name, limitName, tokenName string, output func(*resource) obj) obj {
	items, next := page(c, items, 100, limitName, tokenName, func(r *resource) string { return r.ID })
	list := make([]any, len(items))
	for i, r := range items {
		list[i] = output(r)
	}
	out := obj{name: list}
	if next != "" {
		out[tokenName] = next
	}
	return out
}

// last is what stands behind the last "/" of an ARN or path; a plain id is itself.
func last(identifier string) string {
	return identifier[strings.LastIndexByte(identifier, '/')+1:]
}
