package ai

import (
	"strings"
	"time"
)

// asyncTime is how long an asynchronous invocation runs.
const asyncTime = 10 * time.Second

func (b *backend) startAsyncInvoke(c *call) (obj, error) {
	t, err := b.invoked(c, text(c.in, "modelId"))
	if err != nil {
		return nil, err
	}
	if t.family != "async" && !t.embeds() {
		return nil, c.invalid("The model is unsupported for asynchronous invocation.")
	}
	key := id(12, lowerDigits, c.ID, "async")
	if token := text(c.in, "clientRequestToken"); token != "" {
		key = id(12, lowerDigits, token, "async")
	}
	r := &resource{
		ID: key, ARN: c.arn("async-invoke/" + key), Parent: t.foundation.arn(c.Region),
		Config: keep(c.in, "clientRequestToken", "outputDataConfig"), Tags: tagList(list(c.in, "tags")),
	}
	if _, err := b.create(c, asyncInvokes, r); err != nil { // the same token again is the same invocation
		return nil, err
	}
	c.Record.Resources = append(c.Record.Resources, resources("AWS::Bedrock::AsyncInvoke", r.ARN)...)
	return obj{"invocationArn": r.ARN}, nil
}

func asyncOutput(c *call, r *resource) obj {
	out := with(keep(r.Config, "clientRequestToken", "outputDataConfig"), obj{
		"invocationArn": r.ARN, "modelArn": r.Parent, "status": "InProgress", "submitTime": r.Created, "lastModifiedTime": r.Created,
	})
	if end := r.Created.Add(asyncTime); !c.Time.Before(end) {
		out["status"], out["endTime"], out["lastModifiedTime"] = "Completed", end, end
	}
	return out
}

func (b *backend) getAsyncInvoke(c *call) (obj, error) {
	arn := text(c.in, "invocationArn")
	r, err := b.get(c, asyncInvokes, last(arn))
	if err != nil {
		return nil, err
	}
	if r == nil || !strings.HasPrefix(arn, "arn:") {
		return nil, c.invalid("Invocation not found for the provided ARN.")
	}
	return asyncOutput(c, r), nil
}

func (b *backend) listAsyncInvokes(c *call) (obj, error) {
	all, err := b.all(c, asyncInvokes, "")
	if err != nil {
		return nil, err
	}
	var kept []*resource
	for _, r := range all {
		status := text(c.in, "statusEquals")
		after, hasAfter := c.in["submitTimeAfter"].(time.Time)
		before, hasBefore := c.in["submitTimeBefore"].(time.Time)
		if status != "" && text(asyncOutput(c, r), "status") != status || hasAfter && !r.Created.After(after) || hasBefore && !r.Created.Before(before) {
			continue
		}
		kept = append(kept, r)
	}
	return paged(c, kept, "asyncInvokeSummaries", "maxResults", "nextToken", func(r *resource) obj { return asyncOutput(c, r) }), nil
}
