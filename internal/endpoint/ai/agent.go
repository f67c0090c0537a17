package ai

import (
	"errors"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// agentControl is bedrock-agent's operations: what InvokeAgent, Retrieve and InvokeFlow need to have something to call.
func (b *backend) agentControl() map[string]*rule {
	agent, alias, base := "agent/{agentId}", "agent-alias/{agentId}/{agentAliasId}", "knowledge-base/{knowledgeBaseId}"
	flow, flowAlias := "flow/{flowIdentifier}", "flow/{flowIdentifier}/alias/{aliasIdentifier}"
	return map[string]*rule{
		"CreateAgent":         {serve: b.createAgent},
		"GetAgent":            {serve: b.getAgent, resource: agent},
		"PrepareAgent":        {serve: b.prepareAgent, resource: agent},
		"ListAgents":          {serve: b.listAgents},
		"DeleteAgent":         {serve: b.deleteAgent, resource: agent},
		"CreateAgentAlias":    {serve: b.createAgentAlias, resource: agent},
		"GetAgentAlias":       {serve: b.getAgentAlias, resource: alias},
		"ListAgentAliases":    {serve: b.listAgentAliases, resource: agent},
		"DeleteAgentAlias":    {serve: b.deleteAgentAlias, resource: alias},
		"CreateKnowledgeBase": {serve: b.createKnowledgeBase},
		"GetKnowledgeBase":    {serve: b.getKnowledgeBase, resource: base},
		"ListKnowledgeBases":  {serve: b.listKnowledgeBases},
		"DeleteKnowledgeBase": {serve: b.deleteKnowledgeBase, resource: base},
		"CreateFlow":          {serve: b.createFlow},
		"GetFlow":             {serve: b.getFlow, resource: flow},
		"DeleteFlow":          {serve: b.deleteFlow, resource: flow},
		"CreateFlowAlias":     {serve: b.createFlowAlias, resource: flow},
		"GetFlowAlias":        {serve: b.getFlowAlias, resource: flowAlias},
	}
}

// testAlias is the alias every agent has for its draft.
const testAlias = "TSTALIASID"

// find reads what an input member names, or fails as bedrock-agent does.
func (b *backend) find(c *call, kind, what, key string) (*resource, error) {
	r, err := b.get(c, kind, key)
	if err == nil && r == nil {
		err = missing("Could not find %s with id %s.", what, last(key))
	}
	return r, err
}

func agentOutput(r *resource) obj {
	status := "NOT_PREPARED"
	out := keep(r.Config, "instruction", "foundationModel", "description", "orchestrationType", "customOrchestration", "clientToken",
		"agentResourceRoleArn", "customerEncryptionKeyArn", "promptOverrideConfiguration", "guardrailConfiguration", "memoryConfiguration", "agentCollaboration")
	if r.Version > 0 {
		status, out["preparedAt"] = "PREPARED", r.Updated
	}
	if out["agentResourceRoleArn"] == nil {
		out["agentResourceRoleArn"] = "arn:aws:iam::" + strings.Split(r.ARN, ":")[4] + ":role/service-role/AmazonBedrockExecutionRoleForAgents_" + r.ID
	}
	return with(out, obj{
		"agentId": r.ID, "agentName": r.Name, "agentArn": r.ARN, "agentVersion": draft, "agentStatus": status,
		"idleSessionTTLInSeconds": whole(r.Config, 600, "idleSessionTTLInSeconds"), "createdAt": r.Created, "updatedAt": r.Updated,
	})
}

// unnamed refuses a name that another resource of the kind has.
func (b *backend) unnamed(c *call, kind, name string) error {
	all, err := b.all(c, kind, "")
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Name == name {
			return fail("ConflictException", 409, "A resource with the name %s already exists.", name)
		}
	}
	return nil
}

// named makes a resource of a kind with a name and a new id of ten letters and digits.
func (b *backend) named(c *call, kind, part, nameMember string) (*resource, error) {
	name := text(c.in, nameMember)
	if err := b.unnamed(c, kind, name); err != nil {
		return nil, err
	}
	key := id(10, upperDigits, c.ID, part)
	r := &resource{ID: key, Name: name, ARN: c.arn(part + "/" + key), Config: c.in, Tags: tagMap(c.in["tags"])}
	_, err := b.create(c, kind, r)
	return r, err
}

func tagMap(v any) map[string]string {
	out := map[string]string{}
	for k, e := range object(v) {
		if s, ok := e.(string); ok {
			out[k] = s
		}
	}
	return out
}

func (b *backend) createAgent(c *call) (obj, error) {
	r, err := b.named(c, agents, "agent", "agentName")
	if err != nil {
		return nil, err
	}
	return obj{"agent": agentOutput(r)}, nil
}

func (b *backend) getAgent(c *call) (obj, error) {
	r, err := b.find(c, agents, "agent", text(c.in, "agentId"))
	if err != nil {
		return nil, err
	}
	return obj{"agent": agentOutput(r)}, nil
}

func (b *backend) prepareAgent(c *call) (obj, error) {
	key := text(c.in, "agentId")
	r, err := b.change(c, agents, key, func(r *resource, _ *state.Tx) error {
		r.Version++
		return nil
	})
	if err == nil && r == nil {
		err = missing("Could not find agent with id %s.", key)
	}
	if err != nil {
		return nil, err
	}
	return obj{"agentId": r.ID, "agentStatus": "PREPARED", "agentVersion": draft, "preparedAt": r.Updated}, nil
}

func (b *backend) listAgents(c *call) (obj, error) {
	all, err := b.all(c, agents, "")
	if err != nil {
		return nil, err
	}
	return paged(c, all, "agentSummaries", "maxResults", "nextToken", func(r *resource) obj {
		return with(keep(agentOutput(r), "agentId", "agentName", "agentStatus", "description", "updatedAt", "guardrailConfiguration"), obj{"latestAgentVersion": draft})
	}), nil
}

func (b *backend) deleteAgent(c *call) (obj, error) {
	key := text(c.in, "agentId")
	err := b.State.Update(func(tx *state.Tx) error {
		var r resource
		if found, err := tx.Get(agents, c.Region+"/"+key, &r); err != nil || !found {
			return errors.Join(err, errAbsent)
		}
		aliases, err := state.ListTx[*resource](tx, agentAliases, c.Region+"/"+key+"/")
		if err != nil {
			return err
		}
		for _, a := range aliases {
			if err := tx.Delete(agentAliases, a.Key); err != nil {
				return err
			}
		}
		return tx.Delete(agents, c.Region+"/"+key)
	})
	if errors.Is(err, errAbsent) {
		err = missing("Could not find agent with id %s.", key)
	}
	if err != nil {
		return nil, err
	}
	return obj{"agentId": key, "agentStatus": "DELETING"}, nil
}

func aliasOutput(r *resource) obj {
	routing := list(r.Config, "routingConfiguration")
	if len(routing) == 0 {
		routing = []any{obj{"agentVersion": "1"}}
	}
	return with(keep(r.Config, "description", "clientToken"), obj{
		"agentId": r.Parent, "agentAliasId": last(r.ID), "agentAliasName": r.Name, "agentAliasArn": r.ARN, "routingConfiguration": routing,
		"createdAt": r.Created, "updatedAt": r.Updated, "agentAliasStatus": "PREPARED",
	})
}

// alias finds an agent's alias; the test alias needs no making.
func (b *backend) alias(c *call, agent, alias string) (*resource, error) {
	r, err := b.find(c, agents, "agent", agent)
	if err != nil {
		return nil, err
	}
	if alias == testAlias {
		return &resource{
			ID: agent + "/" + testAlias, Parent: agent, Name: "AgentTestAlias", ARN: c.arn("agent-alias/" + agent + "/" + testAlias),
			Created: r.Created, Updated: r.Updated, Config: obj{"routingConfiguration": []any{obj{"agentVersion": draft}}},
		}, nil
	}
	return b.find(c, agentAliases, "agent alias", agent+"/"+alias)
}

func (b *backend) createAgentAlias(c *call) (obj, error) {
	agent := text(c.in, "agentId")
	if _, err := b.find(c, agents, "agent", agent); err != nil {
		return nil, err
	}
	key := id(10, upperDigits, c.ID, "alias")
	r := &resource{
		ID: agent + "/" + key, Parent: agent, Name: text(c.in, "agentAliasName"), ARN: c.arn("agent-alias/" + agent + "/" + key),
		Config: c.in, Tags: tagMap(c.in["tags"]),
	}
	if _, err := b.create(c, agentAliases, r); err != nil {
		return nil, err
	}
	return obj{"agentAlias": aliasOutput(r)}, nil
}

func (b *backend) getAgentAlias(c *call) (obj, error) {
	r, err := b.alias(c, text(c.in, "agentId"), text(c.in, "agentAliasId"))
	if err != nil {
		return nil, err
	}
	return obj{"agentAlias": aliasOutput(r)}, nil
}

func (b *backend) listAgentAliases(c *call) (obj, error) {
	agent := text(c.in, "agentId")
	test, err := b.alias(c, agent, testAlias)
	if err != nil {
		return nil, err
	}
	all, err := b.all(c, agentAliases, agent+"/")
	if err != nil {
		return nil, err
	}
	return paged(c, append(all, test), "agentAliasSummaries", "maxResults", "nextToken", func(r *resource) obj {
		return keep(aliasOutput(r), "agentAliasId", "agentAliasName", "description", "routingConfiguration", "agentAliasStatus", "createdAt", "updatedAt")
	}), nil
}

func (b *backend) deleteAgentAlias(c *call) (obj, error) {
	agent, alias := text(c.in, "agentId"), text(c.in, "agentAliasId")
	found, err := b.remove(c, agentAliases, agent+"/"+alias)
	if err == nil && !found {
		err = missing("Could not find agent alias with id %s.", alias)
	}
	if err != nil {
		return nil, err
	}
	return obj{"agentId": agent, "agentAliasId": alias, "agentAliasStatus": "DELETING"}, nil
}

func baseOutput(r *resource) obj {
	return with(keep(r.Config, "description", "roleArn", "knowledgeBaseConfiguration", "storageConfiguration"), obj{
		"knowledgeBaseId": r.ID, "name": r.Name, "knowledgeBaseArn": r.ARN, "status": "ACTIVE", "createdAt": r.Created, "updatedAt": r.Updated,
	})
}

func (b *backend) createKnowledgeBase(c *call) (obj, error) {
	r, err := b.named(c, knowledgeBases, "knowledge-base", "name")
	if err != nil {
		return nil, err
	}
	return obj{"knowledgeBase": with(baseOutput(r), obj{"status": "CREATING"})}, nil
}

func (b *backend) getKnowledgeBase(c *call) (obj, error) {
	r, err := b.find(c, knowledgeBases, "knowledge base", text(c.in, "knowledgeBaseId"))
	if err != nil {
		return nil, err
	}
	return obj{"knowledgeBase": baseOutput(r)}, nil
}

func (b *backend) listKnowledgeBases(c *call) (obj, error) {
	all, err := b.all(c, knowledgeBases, "")
	if err != nil {
		return nil, err
	}
	return paged(c, all, "knowledgeBaseSummaries", "maxResults", "nextToken", func(r *resource) obj {
		return keep(baseOutput(r), "knowledgeBaseId", "name", "description", "status", "updatedAt")
	}), nil
}

func (b *backend) deleteKnowledgeBase(c *call) (obj, error) {
	key := text(c.in, "knowledgeBaseId")
	found, err := b.remove(c, knowledgeBases, key)
	if err == nil && !found {
		err = missing("Could not find knowledge base with id %s.", key)
	}
	if err != nil {
		return nil, err
	}
	return obj{"knowledgeBaseId": key, "status": "DELETING"}, nil
}

func flowOutput(r *resource) obj {
	return with(keep(r.Config, "description", "executionRoleArn", "customerEncryptionKeyArn", "definition"), obj{
		"name": r.Name, "id": r.ID, "arn": r.ARN, "status": "Prepared", "createdAt": r.Created, "updatedAt": r.Updated, "version": draft,
	})
}

func (b *backend) createFlow(c *call) (obj, error) {
	r, err := b.named(c, flows, "flow", "name")
	if err != nil {
		return nil, err
	}
	return flowOutput(r), nil
}

func (b *backend) getFlow(c *call) (obj, error) {
	r, err := b.find(c, flows, "flow", last(text(c.in, "flowIdentifier")))
	if err != nil {
		return nil, err
	}
	return flowOutput(r), nil
}

func (b *backend) deleteFlow(c *call) (obj, error) {
	key := last(text(c.in, "flowIdentifier"))
	found, err := b.remove(c, flows, key)
	if err == nil && !found {
		err = missing("Could not find flow with id %s.", key)
	}
	if err != nil {
		return nil, err
	}
	return obj{"id": key}, nil
}

func flowAliasOutput(r *resource) obj {
	return with(keep(r.Config, "description", "routingConfiguration", "concurrencyConfiguration"), obj{
		"name": r.Name, "flowId": r.Parent, "id": last(r.ID), "arn": r.ARN, "createdAt": r.Created, "updatedAt": r.Updated,
	})
}

func (b *backend) createFlowAlias(c *call) (obj, error) {
	flow := last(text(c.in, "flowIdentifier"))
	if _, err := b.find(c, flows, "flow", flow); err != nil {
		return nil, err
	}
	key := id(10, upperDigits, c.ID, "flow-alias")
	r := &resource{ID: flow + "/" + key, Parent: flow, Name: text(c.in, "name"), ARN: c.arn("flow/" + flow + "/alias/" + key), Config: c.in, Tags: tagMap(c.in["tags"])}
	if _, err := b.create(c, flowAliases, r); err != nil {
		return nil, err
	}
	return flowAliasOutput(r), nil
}

func (b *backend) getFlowAlias(c *call) (obj, error) {
	r, err := b.flowAlias(c, last(text(c.in, "flowIdentifier")), last(text(c.in, "aliasIdentifier")))
	if err != nil {
		return nil, err
	}
	return flowAliasOutput(r), nil
}

// flowAlias finds a flow's alias; the test alias needs no making.
func (b *backend) flowAlias(c *call, flow, alias string) (*resource, error) {
	r, err := b.find(c, flows, "flow", flow)
	if err != nil || alias != testAlias {
		if err == nil {
			r, err = b.find(c, flowAliases, "flow alias", flow+"/"+alias)
		}
		return r, err
	}
	return &resource{
		ID: flow + "/" + testAlias, Parent: flow, Name: "FlowTestAlias", ARN: c.arn("flow/" + flow + "/alias/" + testAlias), Created: r.Created, Updated: r.Updated,
		Config: obj{"routingConfiguration": []any{obj{"flowVersion": draft}}},
	}, nil
}
