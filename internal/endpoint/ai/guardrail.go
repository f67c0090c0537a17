package ai

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// guardrailControl is the operations that make and read guardrails.
func (b *backend) guardrailControl() map[string]*rule {
	about := "guardrail/{guardrailIdentifier}"
	// Of a guardrail's contents only that it has a name is recorded.
	params := []string{"guardrailIdentifier", "guardrailVersion", "name"}
	return map[string]*rule{
		"CreateGuardrail":        {serve: b.createGuardrail, params: params},
		"UpdateGuardrail":        {serve: b.updateGuardrail, params: params, resource: about},
		"GetGuardrail":           {serve: b.getGuardrail, params: params, resource: about},
		"ListGuardrails":         {serve: b.listGuardrails, resource: about},
		"DeleteGuardrail":        {serve: b.deleteGuardrail, params: params, resource: about},
		"CreateGuardrailVersion": {serve: b.createGuardrailVersion, params: params, resource: about},
	}
}

const draft = "DRAFT"

func noGuardrail() error {
	return missing("The guardrail identifier or version provided in the request does not exist.")
}

func (b *backend) createGuardrail(c *call) (obj, error) {
	if err := guardrailPolicies(c); err != nil {
		return nil, err
	}
	same, err := b.all(c, guardrails, "")
	if err != nil {
		return nil, err
	}
	for _, r := range same {
		if r.Name == text(c.in, "name") {
			return nil, fail("ConflictException", 400, "Another guardrail already exists with the name %s.", r.Name)
		}
	}
	key := id(12, lowerDigits, c.ID, "guardrail")
	r := &resource{ID: key, Name: text(c.in, "name"), ARN: c.arn("guardrail/" + key), Config: c.in, Tags: tagList(list(c.in, "tags"))}
	if _, err := b.create(c, guardrails, r); err != nil {
		return nil, err
	}
	return obj{"guardrailId": r.ID, "guardrailArn": r.ARN, "version": draft, "createdAt": r.Created}, nil
}

// guardrailPolicies refuses a guardrail that checks nothing.
func guardrailPolicies(c *call) error {
	for name := range c.in {
		if strings.HasSuffix(name, "PolicyConfig") {
			return nil
		}
	}
	return c.invalid("At least one policy must be provided for a guardrail.")
}

func (b *backend) updateGuardrail(c *call) (obj, error) {
	if err := guardrailPolicies(c); err != nil {
		return nil, err
	}
	r, err := b.change(c, guardrails, last(text(c.in, "guardrailIdentifier")), func(r *resource, _ *state.Tx) error {
		r.Name, r.Config = text(c.in, "name"), c.in
		return nil
	})
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, noGuardrail()
	}
	return obj{"guardrailId": r.ID, "guardrailArn": r.ARN, "version": draft, "updatedAt": r.Updated}, nil
}

// guardrail finds a guardrail by id or ARN in one of its versions; DRAFT and "" are the working one. nil: there is none.
func (b *backend) guardrail(c *call, identifier, version string) (*resource, error) {
	key := last(identifier)
	if version == "" || version == draft {
		return b.get(c, guardrails, key)
	}
	return b.get(c, guardrailVersions, key+"/"+version)
}

func (b *backend) getGuardrail(c *call) (obj, error) {
	version := text(c.in, "guardrailVersion")
	r, err := b.guardrail(c, text(c.in, "guardrailIdentifier"), version)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, noGuardrail()
	}
	out := obj{
		"name": r.Name, "guardrailId": r.id(), "guardrailArn": r.ARN, "version": versionOf(r), "status": "READY",
		"createdAt": r.Created, "updatedAt": r.Updated,
	}
	for name, v := range r.Config {
		switch name {
		case "description", "blockedInputMessaging", "blockedOutputsMessaging":
			out[name] = v
		case "kmsKeyId":
			out["kmsKeyArn"] = v
		case "crossRegionConfig":
			profile := text(v, "guardrailProfileIdentifier")
			out["crossRegionDetails"] = obj{"guardrailProfileId": last(profile), "guardrailProfileArn": c.arn("guardrail-profile/" + last(profile))}
		default:
			if policy, ok := strings.CutSuffix(name, "PolicyConfig"); ok {
				out[policy+"Policy"] = withoutConfig(v)
			}
		}
	}
	return out, nil
}

// withoutConfig names a policy's members as answers do: "topicsConfig" is "topics" there.
func withoutConfig(v any) obj {
	out := obj{}
	for name, e := range object(v) {
		out[strings.TrimSuffix(name, "Config")] = e
	}
	return out
}

// id is the guardrail's own id: a version's key holds the version too.
func (r *resource) id() string {
	if r.Parent != "" {
		return r.Parent
	}
	return r.ID
}

func versionOf(r *resource) string {
	if r.Parent != "" {
		return strconv.Itoa(r.Version)
	}
	return draft
}

func (b *backend) listGuardrails(c *call) (obj, error) {
	var items []*resource
	key := last(text(c.in, "guardrailIdentifier"))
	if key == "" {
		all, err := b.all(c, guardrails, "")
		if err != nil {
			return nil, err
		}
		items = all
	} else {
		r, err := b.get(c, guardrails, key)
		if err != nil {
			return nil, err
		}
		if r == nil {
			return nil, noGuardrail()
		}
		versions, err := b.all(c, guardrailVersions, key+"/")
		if err != nil {
			return nil, err
		}
		sort.Slice(versions, func(i, j int) bool { return versions[i].Version < versions[j].Version })
		items = append([]*resource{r}, versions...)
	}
	return paged(c, items, "guardrails", "maxResults", "nextToken", func(r *resource) obj {
		return with(keep(r.Config, "description"), obj{
			"id": r.id(), "arn": r.ARN, "status": "READY", "name": r.Name, "version": versionOf(r), "createdAt": r.Created, "updatedAt": r.Updated,
		})
	}), nil
}

func (b *backend) deleteGuardrail(c *call) (obj, error) {
	key, version := last(text(c.in, "guardrailIdentifier")), text(c.in, "guardrailVersion")
	if version != "" && version != draft {
		found, err := b.remove(c, guardrailVersions, key+"/"+version)
		if err == nil && !found {
			err = noGuardrail()
		}
		return obj{}, err
	}
	err := b.State.Update(func(tx *state.Tx) error {
		var r resource
		if found, err := tx.Get(guardrails, c.Region+"/"+key, &r); err != nil || !found {
			return errors.Join(err, errAbsent)
		}
		for v := 1; v <= r.Version; v++ {
			if err := tx.Delete(guardrailVersions, fmt.Sprintf("%s/%s/%d", c.Region, key, v)); err != nil {
				return err
			}
		}
		return tx.Delete(guardrails, c.Region+"/"+key)
	})
	if errors.Is(err, errAbsent) {
		err = noGuardrail()
	}
	return obj{}, err
}

// errAbsent ends a transaction that found nothing to change.
var errAbsent = errors.New("there is no such resource")

func (b *backend) createGuardrailVersion(c *call) (obj, error) {
	r, err := b.change(c, guardrails, last(text(c.in, "guardrailIdentifier")), func(r *resource, tx *state.Tx) error {
		r.Version++
		v := &resource{
			ID: fmt.Sprintf("%s/%d", r.ID, r.Version), Parent: r.ID, Version: r.Version, Name: r.Name, ARN: r.ARN,
			Created: c.Time, Updated: c.Time, Config: with(r.Config, keep(c.in, "description")),
		}
		return tx.Put(guardrailVersions, c.Region+"/"+v.ID, v)
	})
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, noGuardrail()
	}
	return obj{"guardrailId": r.ID, "version": strconv.Itoa(r.Version)}, nil
}
