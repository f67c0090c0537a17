package ai

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// bedrock is the control plane's operations but for guardrails.
func (b *backend) bedrock() map[string]*rule {
	return map[string]*rule{
		"ListFoundationModels":  {serve: b.listFoundationModels},
		"GetFoundationModel":    {serve: b.getFoundationModel},
		"ListInferenceProfiles": {serve: b.listInferenceProfiles},
		"GetInferenceProfile":   {serve: b.getInferenceProfile, resource: "inference-profile/{inferenceProfileIdentifier}"},
		"CreateInferenceProfile": {serve: b.createInferenceProfile,
			params: []string{"inferenceProfileName", "modelSource", "tags"}},
		"DeleteInferenceProfile": {serve: b.deleteInferenceProfile, resource: "application-inference-profile/{inferenceProfileIdentifier}"},

		"PutModelInvocationLoggingConfiguration":    {serve: b.putLogging},
		"GetModelInvocationLoggingConfiguration":    {serve: b.getLogging},
		"DeleteModelInvocationLoggingConfiguration": {serve: b.deleteLogging},

		"CreateProvisionedModelThroughput": {serve: b.createProvisioned},
		"GetProvisionedModelThroughput":    {serve: b.getProvisioned, resource: "provisioned-model/{provisionedModelId}"},
		"ListProvisionedModelThroughputs":  {serve: b.listProvisioned},
		"DeleteProvisionedModelThroughput": {serve: b.deleteProvisioned, resource: "provisioned-model/{provisionedModelId}"},

		"PutUseCaseForModelAccess":       {serve: accept},
		"CreateFoundationModelAgreement": {serve: b.createAgreement, params: []string{"modelId"}},

		// No SDK has this one: the console calls it, and so do those who want models they weren't given.
		"PutFoundationModelEntitlement": {serve: b.putEntitlement},

		"TagResource":         {serve: b.tagResource, resource: "{resourceARN}"},
		"UntagResource":       {serve: b.untagResource, resource: "{resourceARN}"},
		"ListTagsForResource": {serve: b.listTags, resource: "{resourceARN}"},
	}
}

// accept serves operations that answer nothing and change nothing that can be read back.
func accept(*call) (obj, error) { return obj{}, nil }

func missing(format string, args ...any) error {
	return fail("ResourceNotFoundException", 404, format, args...)
}

func (f *foundation) output(region string) obj {
	types, status := []string{"ON_DEMAND"}, "ACTIVE"
	if !f.onDemand {
		types = []string{"INFERENCE_PROFILE"}
	} else if f.geos != "" {
		types = append(types, "INFERENCE_PROFILE")
	}
	if f.legacy {
		status = "LEGACY"
	}
	return obj{
		"modelArn": f.arn(region), "modelId": f.id, "modelName": f.name, "providerName": f.provider,
		"inputModalities": strings.Fields(f.in), "outputModalities": strings.Fields(f.out),
		"responseStreamingSupported": f.streams, "customizationsSupported": []string{},
		"inferenceTypesSupported": types, "modelLifecycle": obj{"status": status},
	}
}

func (b *backend) listFoundationModels(c *call) (obj, error) {
	list := []any{}
	for _, f := range b.foundations() {
		out := f.output(c.Region)
		provider, modality, kind := text(c.in, "byProvider"), text(c.in, "byOutputModality"), text(c.in, "byInferenceType")
		if provider != "" && !strings.EqualFold(provider, f.provider) ||
			modality != "" && !slices.Contains(strings.Fields(f.out), modality) ||
			kind != "" && !slices.Contains(out["inferenceTypesSupported"].([]string), kind) ||
			text(c.in, "byCustomizationType") != "" {
			continue
		}
		list = append(list, out)
	}
	return obj{"modelSummaries": list}, nil
}

func (b *backend) getFoundationModel(c *call) (obj, error) {
	f := b.foundation(last(text(c.in, "modelIdentifier")))
	if f == nil {
		return nil, c.invalid(invalidModel)
	}
	return obj{"modelDetails": f.output(c.Region)}, nil
}

func (t *target) output(id string) obj {
	launched := time.Date(2025, 1, 15, 0, 0, 0, 0, time.UTC)
	models := []any{}
	for _, region := range t.regions {
		models = append(models, obj{"modelArn": t.foundation.arn(region)})
	}
	names := map[string]string{"us": "US", "eu": "EU", "apac": "APAC", "jp": "JP", "au": "AU", "global": "Global"}
	return obj{
		"inferenceProfileName": names[t.geo] + " " + t.provider + " " + t.name,
		"description":          "Routes requests to " + t.name + " in " + strings.Join(t.regions, ", ") + ".",
		"createdAt":            launched, "updatedAt": launched, "inferenceProfileArn": t.arn, "models": models,
		"inferenceProfileId": id, "status": "ACTIVE", "type": "SYSTEM_DEFINED",
	}
}

func (b *backend) profileOutput(c *call, r *resource) (obj, error) {
	t, err := b.resolve(c, r.Parent)
	if err != nil {
		return nil, err
	}
	out := obj{
		"inferenceProfileName": r.Name, "createdAt": r.Created, "updatedAt": r.Updated, "inferenceProfileArn": r.ARN,
		"models": []any{}, "inferenceProfileId": r.ID, "status": "ACTIVE", "type": "APPLICATION",
	}
	if d := text(r.Config, "description"); d != "" {
		out["description"] = d
	}
	if t != nil {
		models := []any{}
		for _, region := range t.regions {
			models = append(models, obj{"modelArn": t.foundation.arn(region)})
		}
		if len(models) == 0 {
			models = append(models, obj{"modelArn": t.foundation.arn(c.Region)})
		}
		out["models"] = models
	}
	return out, nil
}

func (b *backend) listInferenceProfiles(c *call) (obj, error) {
	var all []obj
	if text(c.in, "typeEquals") != "APPLICATION" {
		for _, f := range b.foundations() {
			for _, geo := range strings.Fields(f.geos) {
				id := geo + "." + f.id
				if t := b.system(c, id); t != nil {
					all = append(all, t.output(id))
				}
			}
		}
	}
	if text(c.in, "typeEquals") != "SYSTEM_DEFINED" {
		own, err := b.all(c, profiles, "")
		if err != nil {
			return nil, err
		}
		for _, r := range own {
			out, err := b.profileOutput(c, r)
			if err != nil {
				return nil, err
			}
			all = append(all, out)
		}
	}
	items, next := page(c, all, 100, "maxResults", "nextToken", func(o obj) string { return text(o, "inferenceProfileId") })
	out := obj{"inferenceProfileSummaries": items}
	if next != "" {
		out["nextToken"] = next
	}
	return out, nil
}

func (b *backend) getInferenceProfile(c *call) (obj, error) {
	id := last(text(c.in, "inferenceProfileIdentifier"))
	if t := b.system(c, id); t != nil {
		return t.output(id), nil
	}
	r, err := b.get(c, profiles, id)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, missing("Unable to find inference profile %s.", id)
	}
	return b.profileOutput(c, r)
}

func (b *backend) createInferenceProfile(c *call) (obj, error) {
	from := text(c.in, "modelSource", "copyFrom")
	t, err := b.resolve(c, from)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, c.invalid(invalidModel)
	}
	key := id(12, lowerDigits, c.ID, "profile")
	r := &resource{
		ID: key, Name: text(c.in, "inferenceProfileName"), Parent: from, Config: keep(c.in, "description"),
		ARN: c.arn("application-inference-profile/" + key), Tags: tagList(list(c.in, "tags")),
	}
	if _, err := b.create(c, profiles, r); err != nil {
		return nil, err
	}
	return obj{"inferenceProfileArn": r.ARN, "status": "ACTIVE"}, nil
}

func (b *backend) deleteInferenceProfile(c *call) (obj, error) {
	id := last(text(c.in, "inferenceProfileIdentifier"))
	found, err := b.remove(c, profiles, id)
	if err == nil && !found {
		err = missing("Unable to find inference profile %s.", id)
	}
	return obj{}, err
}

func (b *backend) putLogging(c *call) (obj, error) {
	config := object(c.in, "loggingConfig")
	if b.Invocations != nil {
		var set loggingConfig
		text, err := json.Marshal(config)
		if err == nil {
			err = json.Unmarshal(text, &set)
		}
		if err != nil {
			return nil, err
		}
		if message := b.Invocations.check(c.Request.Context(), c.Region, &set); message != "" {
			return nil, c.invalid("%s", message)
		}
	}
	return obj{}, b.State.Put(logging, c.Region, config)
}

func (b *backend) getLogging(c *call) (obj, error) {
	var config obj
	found, err := b.State.Get(logging, c.Region, &config)
	if err != nil || !found {
		return obj{}, err
	}
	return obj{"loggingConfig": config}, nil
}

func (b *backend) deleteLogging(c *call) (obj, error) {
	return obj{}, b.State.Delete(logging, c.Region)
}

func (b *backend) createProvisioned(c *call) (obj, error) {
	t, err := b.resolve(c, text(c.in, "modelId"))
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, c.invalid(invalidModel)
	}
	key := id(12, lowerDigits, c.ID, "provisioned")
	r := &resource{
		ID: key, Name: text(c.in, "provisionedModelName"), ARN: c.arn("provisioned-model/" + key), Parent: t.foundation.id,
		Config: keep(c.in, "modelUnits", "commitmentDuration"), Tags: tagList(list(c.in, "tags")),
	}
	if _, err := b.create(c, provisioned, r); err != nil {
		return nil, err
	}
	return obj{"provisionedModelArn": r.ARN}, nil
}

func (b *backend) provisionedOutput(c *call, r *resource) obj {
	units := whole(r.Config, 1, "modelUnits")
	model := r.Parent
	if f := b.foundation(r.Parent); f != nil {
		model = f.arn(c.Region)
	}
	return with(keep(r.Config, "commitmentDuration"), obj{
		"modelUnits": units, "desiredModelUnits": units, "provisionedModelName": r.Name, "provisionedModelArn": r.ARN,
		"modelArn": model, "desiredModelArn": model, "foundationModelArn": model, "status": "InService",
		"creationTime": r.Created, "lastModifiedTime": r.Updated,
	})
}

// findProvisioned takes a provisioned model's id, ARN or name.
func (b *backend) findProvisioned(c *call) (*resource, error) {
	key := last(text(c.in, "provisionedModelId"))
	all, err := b.all(c, provisioned, "")
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.ID == key || r.Name == key {
			return r, nil
		}
	}
	return nil, missing("Could not find provisioned model %s.", key)
}

func (b *backend) getProvisioned(c *call) (obj, error) {
	r, err := b.findProvisioned(c)
	if err != nil {
		return nil, err
	}
	return b.provisionedOutput(c, r), nil
}

func (b *backend) listProvisioned(c *call) (obj, error) {
	all, err := b.all(c, provisioned, "")
	if err != nil {
		return nil, err
	}
	return paged(c, all, "provisionedModelSummaries", "maxResults", "nextToken", func(r *resource) obj { return b.provisionedOutput(c, r) }), nil
}

func (b *backend) deleteProvisioned(c *call) (obj, error) {
	r, err := b.findProvisioned(c)
	if err != nil {
		return nil, err
	}
	_, err = b.remove(c, provisioned, r.ID)
	return obj{}, err
}

func (b *backend) createAgreement(c *call) (obj, error) {
	model := text(c.in, "modelId")
	if f := b.foundation(model); f == nil {
		return nil, c.invalid(invalidModel)
	}
	// The answer names the model without its last version number, as AWS's does.
	if i := strings.LastIndexByte(model, ':'); i > 0 {
		if _, err := strconv.Atoi(model[i+1:]); err == nil {
			model = model[:i]
		}
	}
	return obj{"modelId": model}, nil
}

func (b *backend) putEntitlement(c *call) (obj, error) {
	if b.foundation(text(c.in, "modelId")) == nil {
		return nil, c.invalid(invalidModel)
	}
	return obj{"status": "SUCCESS"}, nil
}

// tagged is the kind that can be tagged through its ARN, by the first part of the ARN's resource; "" for others.
func tagged(part string) string {
	return map[string]string{
		"guardrail": guardrails, "application-inference-profile": profiles, "provisioned-model": provisioned, "async-invoke": asyncInvokes,
		"agent": agents, "agent-alias": agentAliases, "knowledge-base": knowledgeBases, "flow": flows,
	}[part]
}

// retag edits the tags of what the call's ARN names.
func (b *backend) retag(c *call, arn string, edit func(tags map[string]string)) (*resource, error) {
	part := arn[strings.LastIndexByte(arn, ':')+1:]
	kind, key, _ := strings.Cut(part, "/")
	if tagged(kind) == "" {
		return nil, missing("The resource %s was not found.", arn)
	}
	r, err := b.change(c, tagged(kind), key, func(r *resource, _ *state.Tx) error {
		if r.Tags == nil {
			r.Tags = map[string]string{}
		}
		edit(r.Tags)
		return nil
	})
	if err == nil && r == nil {
		err = missing("The resource %s was not found.", arn)
	}
	return r, err
}

func (b *backend) tagResource(c *call) (obj, error) {
	_, err := b.retag(c, text(c.in, "resourceARN"), func(tags map[string]string) {
		for k, v := range tagList(list(c.in, "tags")) {
			tags[k] = v
		}
	})
	return obj{}, err
}

func (b *backend) untagResource(c *call) (obj, error) {
	_, err := b.retag(c, text(c.in, "resourceARN"), func(tags map[string]string) {
		for _, k := range texts(c.in, "tagKeys") {
			delete(tags, k)
		}
	})
	return obj{}, err
}

func (b *backend) listTags(c *call) (obj, error) {
	arn := text(c.in, "resourceARN")
	kind, key, _ := strings.Cut(arn[strings.LastIndexByte(arn, ':')+1:], "/")
	r, err := b.get(c, tagged(kind), key)
	if tagged(kind) == "" || err == nil && r == nil {
		return nil, missing("The resource %s was not found.", arn)
	}
	if err != nil {
		return nil, err
	}
	return obj{"tags": tagObjects(r.Tags, "key", "value")}, nil
}

// tagList reads tags given as a list of key and value.
func tagList(tags []any) map[string]string {
	out := map[string]string{}
	for _, t := range tags {
		for _, names := range [][2]string{{"key", "value"}, {"Key", "Value"}} {
			if k := text(t, names[0]); k != "" {
				out[k] = text(t, names[1])
			}
		}
	}
	return out
}

func tagObjects(tags map[string]string, key, value string) []any {
	out := []any{}
	for k, v := range tags {
		out = append(out, obj{key: k, value: v})
	}
	slices.SortFunc(out, func(x, y any) int { return strings.Compare(text(x, key), text(y, key)) })
	return out
}
