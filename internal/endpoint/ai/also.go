package ai

import (
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// applied notes that a guardrail judged a text on the way: CloudTrail has a data event of it, as of a call of
// ApplyGuardrail. side is "INPUT" or "OUTPUT".
func (b *backend) applied(c *call, guard *resource, side string, v verdict) {
	op := c.client.model.Operations["ApplyGuardrail"]
	r := b.runtime()["ApplyGuardrail"]
	if op == nil || r == nil {
		return
	}
	k := &call{Call: c.Call, client: c.client, op: op, rule: r}
	action := "NONE"
	if v.intervened {
		action = "GUARDRAIL_INTERVENED"
	}
	record := awsapi.Record{
		EventSource: c.client.source, EventName: op.Name, Data: true, ReadOnly: true,
		RequestParameters: obj{"guardrailIdentifier": guard.id(), "guardrailVersion": versionOf(guard), "source": side},
		ResponseElements:  k.recorded(op.Output, obj{"action": action, "assessments": []any{v.assessment}}, r.replyOnly),
		Resources:         resources(r.kind, guard.ARN),
	}
	if c.Caller != nil && c.Caller.Bearer {
		record.AdditionalEventData = obj{"callWithBearerToken": true}
	}
	c.Record.Also = append(c.Record.Also, awsapi.Also{Record: record})
}

// agentInvoked notes that an agent invoked its model, as the role it works with: the call is Bedrock's own.
func (b *backend) agentInvoked(c *call, agent *resource, r reply) {
	if b.OnBehalf == nil {
		return
	}
	role := text(agent.Config, "agentResourceRoleArn")
	who := b.OnBehalf(role, "BedrockAgents-"+agent.ID, "bedrock.amazonaws.com", c.Time)
	if who == nil {
		return
	}
	c.Record.Also = append(c.Record.Also, awsapi.Also{Caller: who, Record: awsapi.Record{
		EventSource: c.client.source, EventName: "InvokeModel", ReadOnly: true,
		RequestParameters:   obj{"modelId": text(agent.Config, "foundationModel")},
		AdditionalEventData: obj{"inputTokens": r.in, "outputTokens": r.out},
	}})
}
