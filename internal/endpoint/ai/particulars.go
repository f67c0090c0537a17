package ai

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// particulars is what AWS's example records show of operations that are served from their models alone, by
// "client.Operation".
func (b *backend) particulars() map[string]*rule {
	all := map[string]*rule{
		// AWS's own sample hides the name, which the API's model no longer does.
		"bedrock-agentcore-control.CreateGateway": {serve: b.createGateway, redact: map[string]string{"name": "***"}},
		"bedrock-agentcore-control.GetGateway": {serve: func(c *call) (obj, error) {
			out, err := b.general(c)
			if err == nil {
				reachable(c, out)
			}
			return out, err
		}},
		"connecthealth.CreateSubscription": {replyOnly: []string{"subscriptionId", "domainId", "status"}, prepare: func(c *call) {
			c.Record.Resources = resources("AWS::HealthAgent::Subscription", c.arn("domain/"+text(c.in, "domainId")+"/subscription/*"))
		}},
		"nova-act.InvokeActStep": {
			params: []string{"sessionId", "actId"}, noReply: true,
			resource: "workflow-definition/{workflowDefinitionName}", kind: "AWS::NovaAct::WorkflowDefinition",
		},
		// The workflow's definition is recorded, though it is content.
		"omics.CreateWorkflow": {replyOnly: []string{"id", "arn", "status", "tags"}, prepare: func(c *call) {
			if zip, ok := c.in["definitionZip"].([]byte); ok {
				c.Record.RequestParameters = with(object(c.Record.RequestParameters), obj{"definitionZip": base64.StdEncoding.EncodeToString(zip)})
			}
		}},
		"sagemaker-featurestore-runtime.PutRecord": {
			params: []string{"FeatureGroupName"}, resource: "feature-group/{FeatureGroupName|lower}", kind: "AWS::SageMaker::FeatureGroup",
		},
	}
	for _, r := range all {
		if r.serve == nil {
			r.serve = b.general
		}
		if r.resource == "" {
			r.access = accessGeneral
		}
	}
	return all
}

// createGateway adds to a new gateway where it is called, and its workload identity.
func (b *backend) createGateway(c *call) (obj, error) {
	out, err := b.general(c)
	if err != nil {
		return nil, err
	}
	reachable(c, out)
	c.Record.Resources = resources("AWS::BedrockAgentCore::Gateway", text(out, "gatewayArn"))
	return out, nil
}

// reachable says where a gateway is called, and leaves out what it wasn't made with.
func reachable(c *call, out obj) {
	key := text(out, "gatewayId")
	out["gatewayUrl"] = fmt.Sprintf("https://%s.gateway.bedrock-agentcore.%s.amazonaws.com/mcp", key, c.Region)
	out["workloadIdentityDetails"] = obj{"workloadIdentityArn": c.arn("workload-identity-directory/default/workload-identity/" + key)}
	if c.op.Name == "CreateGateway" && c.in["policyEngineConfiguration"] == nil {
		delete(out, "policyEngineConfiguration")
	}
}

// vectorsOf is the state's bucket of vectors; keys are "Region/bucket/index/key".
const vectorsOf = "ai.vector"

// vectors is S3 Vectors' data plane, as far as vectors are put and read by their keys.
func (b *backend) vectors() map[string]*rule {
	r := func(serve func(c *call) (map[string]any, error), params ...string) *rule {
		return &rule{serve: serve, params: append([]string{"vectorBucketName", "indexName", "indexArn"}, params...), prepare: describeVectors, resource: "bucket/{vectorBucketName}/index/{indexName}"}
	}
	return map[string]*rule{
		"PutVectors":    r(b.putVectors),
		"GetVectors":    r(b.getVectors, "returnData", "returnMetadata"),
		"DeleteVectors": r(b.deleteVectors),
		"ListVectors":   r(b.listVectors, "maxResults", "nextToken", "segmentCount", "segmentIndex", "returnData", "returnMetadata"),
	}
}

// describeVectors lists both the bucket and the index as resources, and has all parameters written as text, as S3 does.
func describeVectors(c *call) {
	bucket, index := text(c.in, "vectorBucketName"), text(c.in, "indexName")
	extra := obj{"SignatureVersion": "SigV4"}
	if s := c.Request.TLS; s != nil {
		extra["cipherSuite"] = tls.CipherSuiteName(s.CipherSuite)
	}
	c.Record.AdditionalEventData = extra
	params := obj{}
	for name, v := range object(c.Record.RequestParameters) {
		params[name] = fmt.Sprint(v)
	}
	c.Record.RequestParameters = params
	if bucket == "" || index == "" {
		return
	}
	c.Record.Resources = []cloudtrail.Resource{
		{AccountID: c.Account, Type: "AWS::S3Vectors::VectorBucket", ARN: c.arn("bucket/" + bucket)},
		{AccountID: c.Account, Type: "AWS::S3Vectors::Index", ARN: c.arn("bucket/" + bucket + "/index/" + index)},
	}
}

// vectorPrefix is where the call's index has its vectors; its id is the part of keys before a vector's own.
func vectorPrefix(c *call) string {
	if arn := text(c.in, "indexArn"); arn != "" {
		return tail(arn) + "/"
	}
	return text(c.in, "vectorBucketName") + "/" + text(c.in, "indexName") + "/"
}

func (b *backend) putVectors(c *call) (obj, error) {
	for _, v := range list(c.in, "vectors") {
		key := vectorPrefix(c) + text(v, "key")
		if _, err := b.remove(c, vectorsOf, key); err != nil {
			return nil, err
		}
		if _, err := b.create(c, vectorsOf, &resource{ID: key, Name: text(v, "key"), Config: object(v)}); err != nil {
			return nil, err
		}
	}
	return obj{}, nil
}

// shown is a vector with what the call wants to see of it.
func shown(c *call, r *resource) obj {
	out := obj{"key": r.Name}
	if truth(c.in, "returnData") {
		out["data"] = r.Config["data"]
	}
	if m, ok := r.Config["metadata"]; ok && truth(c.in, "returnMetadata") {
		out["metadata"] = m
	}
	return out
}

func (b *backend) getVectors(c *call) (obj, error) {
	found := []any{}
	for _, key := range texts(c.in, "keys") {
		r, err := b.get(c, vectorsOf, vectorPrefix(c)+key)
		if err != nil {
			return nil, err
		}
		if r != nil {
			found = append(found, shown(c, r))
		}
	}
	return obj{"vectors": found}, nil
}

func (b *backend) deleteVectors(c *call) (obj, error) {
	for _, key := range texts(c.in, "keys") {
		if _, err := b.remove(c, vectorsOf, vectorPrefix(c)+key); err != nil {
			return nil, err
		}
	}
	return obj{}, nil
}

func (b *backend) listVectors(c *call) (obj, error) {
	all, err := b.all(c, vectorsOf, vectorPrefix(c))
	if err != nil {
		return nil, err
	}
	return paged(c, all, "vectors", "maxResults", "nextToken", func(r *resource) obj { return shown(c, r) }), nil
}
