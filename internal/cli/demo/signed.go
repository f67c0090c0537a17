package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signed makes one call of a JSON protocol with a signature but without the service's SDK, which would only be here to
// create what the actors then call. target is the X-Amz-Target of JSON 1.1 services, "" for REST.
func signed(ctx context.Context, cfg aws.Config, service, method, path, target string, in any) (map[string]any, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, *cfg.BaseEndpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if target != "" {
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", target)
	}
	creds, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), service, cfg.Region, time.Now()); err != nil {
		return nil, err
	}
	resp, err := cfg.HTTPClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s%s: %s: %s", service, target, path, resp.Status, answer)
	}
	var out map[string]any
	if len(answer) == 0 {
		return nil, nil
	}
	return out, json.Unmarshal(answer, &out)
}

// text returns a string within nested objects.
func text(v any, path ...string) string {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	s, _ := v.(string)
	return s
}

// agentAndEndpoint creates a Bedrock agent with an alias, and a SageMaker endpoint.
func (t *Traffic) agentAndEndpoint(ctx context.Context, c *stage) error {
	agent, err := signed(ctx, c.ana, "bedrock", "PUT", "/agents/", "", map[string]any{
		"agentName": "returns", "foundationModel": nova, "instruction": "Help customers who want to send something back to the shop.",
		"agentResourceRoleArn": "arn:aws:iam::111122223333:role/support-app",
	})
	if err != nil {
		return err
	}
	c.agent = text(agent, "agent", "agentId")
	if _, err := signed(ctx, c.ana, "bedrock", "POST", "/agents/"+c.agent+"/", "", map[string]any{}); err != nil { // PrepareAgent
		return err
	}
	alias, err := signed(ctx, c.ana, "bedrock", "PUT", "/agents/"+c.agent+"/agentaliases/", "", map[string]any{"agentAliasName": "live"})
	if err != nil {
		return err
	}
	c.alias = text(alias, "agentAlias", "agentAliasId")
	for _, call := range []struct {
		operation string
		in        map[string]any
	}{
		{"CreateModel", map[string]any{"ModelName": "churn", "ExecutionRoleArn": "arn:aws:iam::111122223333:role/data-science",
			"PrimaryContainer": map[string]any{"Image": "111122223333.dkr.ecr.us-east-1.amazonaws.com/churn:1"}}},
		{"CreateEndpointConfig", map[string]any{"EndpointConfigName": "churn", "ProductionVariants": []any{map[string]any{
			"VariantName": "all", "ModelName": "churn", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}}}},
		{"CreateEndpoint", map[string]any{"EndpointName": "churn", "EndpointConfigName": "churn"}},
	} {
		if _, err := signed(ctx, c.ana, "sagemaker", "POST", "/", "SageMaker."+call.operation, call.in); err != nil {
			return err
		}
	}
	return nil
}
