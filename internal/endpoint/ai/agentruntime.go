package ai

import (
	"fmt"
	"math"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// agentRuntime is bedrock-agent-runtime's operations. All are data events.
func (b *backend) agentRuntime() map[string]*rule {
	base := func(c *call) (string, []awsapi.Access) {
		config := object(c.in, "retrieveAndGenerateConfiguration")
		key := text(config, "knowledgeBaseConfiguration", "knowledgeBaseId")
		needed := []awsapi.Access{{Action: "bedrock:RetrieveAndGenerate", Resource: "*"}}
		if key != "" {
			needed = append(needed, awsapi.Access{Action: "bedrock:Retrieve", Resource: c.arn("knowledge-base/" + key)})
		}
		return key, needed
	}
	generate := func(serve func(*call) (map[string]any, error)) *rule {
		return &rule{
			serve: serve, noReply: true,
			// What is asked, and how the answer is put together, stays out.
			redact: map[string]string{
				"input": hiddenValue,
				"retrieveAndGenerateConfiguration.knowledgeBaseConfiguration.generationConfiguration": left,
				"retrieveAndGenerateConfiguration.externalSourcesConfiguration":                       left,
			},
			access: func(c *call) []awsapi.Access { _, needed := base(c); return needed },
			prepare: func(c *call) {
				if key, _ := base(c); key != "" {
					c.Record.Resources = resources("AWS::Bedrock::KnowledgeBase", c.arn("knowledge-base/"+key))
				}
			},
		}
	}
	return map[string]*rule{
		"InvokeAgent": {
			serve: b.invokeAgent, resource: "agent-alias/{agentId}/{agentAliasId}", kind: "AWS::Bedrock::AgentAlias",
			params: []string{"agentId", "agentAliasId", "sessionId", "enableTrace", "endSession", "memoryId", "inputText"},
		},
		"InvokeInlineAgent": {
			serve: b.invokeInlineAgent, prepare: describeInlineAgent, unchecked: []string{"foundationModel"},
			params: []string{"foundationModel", "sessionId", "enableTrace", "endSession", "inputText", "instruction"},
			access: func(c *call) []awsapi.Access {
				return append([]awsapi.Access{{Action: "bedrock:InvokeInlineAgent", Resource: "*"}}, b.modelAccess(c, "InvokeModel", text(c.in, "foundationModel"))...)
			},
		},
		"Retrieve": {
			serve: b.retrieve, resource: "knowledge-base/{knowledgeBaseId}", kind: "AWS::Bedrock::KnowledgeBase",
			params: []string{"knowledgeBaseId", "retrievalQuery", "guardrailConfiguration"},
			redact: map[string]string{"retrievalQuery": hiddenValue}, noReply: true,
		},
		"RetrieveAndGenerate":       generate(b.retrieveAndGenerate),
		"RetrieveAndGenerateStream": generate(b.retrieveAndGenerateStream),
		"InvokeFlow": {
			serve: b.invokeFlow, resource: "flow/{flowIdentifier}/alias/{flowAliasIdentifier}", kind: "AWS::Bedrock::FlowAlias",
			params: []string{"flowIdentifier", "flowAliasIdentifier", "enableTrace", "executionId"},
		},
		"Rerank": {serve: b.rerank, params: []string{"rerankingConfiguration"}, noReply: true},
	}
}

func describeInlineAgent(c *call) {
	c.Record.Resources = resources("AWS::Bedrock::InlineAgent", c.arn("inline-agent/"+text(c.in, "sessionId")))
}

// agentModel is the model an agent uses, or the one used where it names none that is known.
func (b *backend) agentModel(c *call, identifier string) (*target, error) {
	t, err := b.resolve(c, identifier)
	if t == nil && err == nil {
		t = &target{foundation: b.foundation("amazon.nova-pro-v1:0")}
	}
	return t, err
}

func (b *backend) invokeAgent(c *call) (obj, error) {
	agent := text(c.in, "agentId")
	alias, err := b.alias(c, agent, text(c.in, "agentAliasId"))
	if err != nil {
		return nil, err
	}
	r, err := b.find(c, agents, "agent", agent)
	if err != nil {
		return nil, err
	}
	if r.Version == 0 && last(alias.ID) == testAlias {
		return nil, c.invalid("Agent %s is not prepared. Prepare the agent and retry your request.", agent)
	}
	t, err := b.agentModel(c, text(r.Config, "foundationModel"))
	if err != nil {
		return nil, err
	}
	answer := t.think(one(text(c.in, "inputText")))
	b.agentInvoked(c, r, answer)
	return c.answered(answer, obj{"agentId": agent, "agentAliasId": last(alias.ID), "agentVersion": draft}), nil
}

func (b *backend) invokeInlineAgent(c *call) (obj, error) {
	t, err := b.resolve(c, text(c.in, "foundationModel"))
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, c.invalid(invalidModel)
	}
	return c.answered(t.think(one(text(c.in, "inputText"))), obj{}), nil
}

// answered streams an agent's completion: the trace when asked for, and the text.
func (c *call) answered(r reply, who obj) obj {
	session := text(c.in, "sessionId")
	said := text(c.in, "inputText")
	if truth(c.in, "endSession") && said == "" {
		r.text = ""
	}
	c.stream = func(e *smithy.EventWriter) (*awsapi.Completion, error) {
		if truth(c.in, "enableTrace") {
			trace := with(who, obj{"sessionId": session, "eventTime": c.Time, "trace": obj{"orchestrationTrace": obj{"rationale": obj{
				"text": "The request is answered without an action.", "traceId": uuid(c.ID, "trace"),
			}}}})
			if err := e.Send("trace", trace); err != nil {
				return nil, err
			}
		}
		parts := []string{r.text}
		if truth(c.in, "streamingConfigurations", "streamFinalResponse") {
			parts = prose.Pieces(r.text, piece)
		}
		for _, part := range parts {
			if err := e.Send("chunk", obj{"bytes": []byte(part)}); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	out := obj{"contentType": "application/json", "sessionId": session}
	if m := text(c.in, "memoryId"); m != "" {
		out["memoryId"] = m
	}
	return out
}

// passages are what a knowledge base finds: texts about the query, from documents of a bucket that isn't there.
func passages(base *resource, query string, n int) []obj {
	var about []string
	for _, p := range prose.KeyPhrases(query) {
		about = append(about, p.Text)
	}
	if len(about) == 0 {
		about = []string{query}
	}
	n = min(max(n, 1), 100, len(about)+2)
	out := make([]obj, n)
	for i := range out {
		subject := about[i%len(about)]
		out[i] = obj{
			"content":  obj{"text": fmt.Sprintf("Document %d of %s is about %s.", i+1, base.Name, subject), "type": "TEXT"},
			"location": obj{"type": "S3", "s3Location": obj{"uri": fmt.Sprintf("s3://%s-documents/%s.txt", strings.ToLower(base.ID), uuid(base.ID, subject, fmt.Sprint(i)))}},
			"score":    math.Round(1e4*0.9/float64(i+1)) / 1e4,
		}
	}
	return out
}

func (b *backend) retrieve(c *call) (obj, error) {
	base, err := b.find(c, knowledgeBases, "knowledge base", text(c.in, "knowledgeBaseId"))
	if err != nil {
		return nil, err
	}
	n := whole(c.in, 5, "retrievalConfiguration", "vectorSearchConfiguration", "numberOfResults")
	return obj{"retrievalResults": passages(base, text(c.in, "retrievalQuery", "text"), n)}, nil
}

// generated is what RetrieveAndGenerate answers: the text and the passages it cites.
func (b *backend) generated(c *call) (answer, session string, references []any, err error) {
	config := object(c.in, "retrieveAndGenerateConfiguration")
	query := text(c.in, "input", "text")
	side := object(config, "knowledgeBaseConfiguration")
	if text(config, "type") == "EXTERNAL_SOURCES" {
		side = object(config, "externalSourcesConfiguration")
	}
	if side == nil {
		return "", "", nil, c.invalid("The retrieveAndGenerateConfiguration holds no configuration of its type.")
	}
	if key := text(side, "knowledgeBaseId"); key != "" {
		base, err := b.find(c, knowledgeBases, "knowledge base", key)
		if err != nil {
			return "", "", nil, err
		}
		n := whole(side, 5, "retrievalConfiguration", "vectorSearchConfiguration", "numberOfResults")
		for _, p := range passages(base, query, n) {
			references = append(references, keep(p, "content", "location"))
		}
	}
	t, err := b.resolve(c, text(side, "modelArn"))
	if err != nil {
		return "", "", nil, err
	}
	if t == nil {
		return "", "", nil, c.invalid(invalidModel)
	}
	if session = text(c.in, "sessionId"); session == "" {
		session = uuid(c.ID, "session")
	}
	return t.think(one(query)).text, session, references, nil
}

func citation(answer string, references []any) obj {
	return obj{
		"generatedResponsePart": obj{"textResponsePart": obj{"text": answer, "span": obj{"start": 0, "end": max(0, len([]rune(answer))-1)}}},
		"retrievedReferences":   references,
	}
}

func (b *backend) retrieveAndGenerate(c *call) (obj, error) {
	answer, session, references, err := b.generated(c)
	if err != nil {
		return nil, err
	}
	return obj{"output": obj{"text": answer}, "sessionId": session, "citations": []any{citation(answer, references)}}, nil
}

func (b *backend) retrieveAndGenerateStream(c *call) (obj, error) {
	answer, session, references, err := b.generated(c)
	if err != nil {
		return nil, err
	}
	c.stream = func(e *smithy.EventWriter) (*awsapi.Completion, error) {
		var events []event
		for _, part := range prose.Pieces(answer, piece) {
			events = append(events, event{"output", obj{"text": part}})
		}
		cited := citation(answer, references)
		return nil, sendAll(e, append(events, event{"citation", with(cited, obj{"citation": cited})}))
	}
	return obj{"sessionId": session}, nil
}

func (b *backend) invokeFlow(c *call) (obj, error) {
	flow := last(text(c.in, "flowIdentifier"))
	if _, err := b.flowAlias(c, flow, last(text(c.in, "flowAliasIdentifier"))); err != nil {
		return nil, err
	}
	t, err := b.agentModel(c, "")
	if err != nil {
		return nil, err
	}
	var asked []string
	for _, in := range list(c.in, "inputs") {
		if document, ok := at(in, "content", "document").(string); ok {
			asked = append(asked, document)
			continue
		}
		asked = append(asked, jsonText(at(in, "content", "document")))
	}
	answer := t.think(one(strings.Join(asked, "\n"))).text
	c.stream = func(e *smithy.EventWriter) (*awsapi.Completion, error) {
		return nil, sendAll(e, []event{
			{"flowOutputEvent", obj{"nodeName": "FlowOutputNode", "nodeType": "FlowOutputNode", "content": obj{"document": answer}}},
			{"flowCompletionEvent", obj{"completionReason": "SUCCESS"}},
		})
	}
	execution := text(c.in, "executionId")
	if execution == "" {
		execution = uuid(c.ID, "execution")
	}
	return obj{"executionId": execution}, nil
}

func (b *backend) rerank(c *call) (obj, error) {
	var documents []string
	for _, s := range list(c.in, "sources") {
		document := text(s, "inlineDocumentSource", "textDocument", "text")
		if document == "" {
			document = jsonText(at(s, "inlineDocumentSource", "jsonDocument"))
		}
		documents = append(documents, document)
	}
	query := text(list(c.in, "queries")[0], "textQuery", "text")
	results := []any{}
	for _, r := range ranked(query, documents) {
		if n := whole(c.in, len(documents), "rerankingConfiguration", "bedrockRerankingConfiguration", "numberOfResults"); len(results) < n {
			results = append(results, obj{"index": r.index, "relevanceScore": r.score})
		}
	}
	return obj{"results": results}, nil
}
