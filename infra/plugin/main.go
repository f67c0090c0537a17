// Command plugin is the component AuditTrail as a Pulumi package for all languages. Pulumi builds and runs it where a program
// has added the package; docs/pulumi.md says how. The schema that SDKs are generated from is schema.json beside it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aitrail/aitrail/infra/audittrail"
	provider "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

const (
	name    = "aitrail"
	version = "0.1.0"
)

func main() {
	p, err := plugin()
	if err == nil {
		err = p.Run(context.Background(), name, version)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// plugin is the component as a provider. Its schema describes each argument by its doc comment in Go.
func plugin() (provider.Provider, error) {
	p, err := infer.NewProviderBuilder().
		WithNamespace("aitrail").WithDisplayName("aitrail").
		WithDescription("AWS CloudTrail for AI services: trail, log bucket, log group, queue and the policies between them").
		WithRepository("https://github.com/aitrail/aitrail").
		WithKeywords("aws", "cloudtrail", "bedrock", "ai", "audit", "category/cloud", "kind/component").
		WithModuleMap(map[tokens.ModuleName]tokens.ModuleName{"audittrail": "index"}).
		WithComponents(infer.ComponentF(audittrail.NewAuditTrail)).
		Build()
	if err != nil {
		return p, err
	}
	inferred := p.GetSchema
	p.GetSchema = func(ctx context.Context, req provider.GetSchemaRequest) (provider.GetSchemaResponse, error) {
		got, err := inferred(ctx, req)
		if err != nil {
			return got, err
		}
		got.Schema, err = described(got.Schema)
		return got, err
	}
	return p, nil
}

func described(text string) (string, error) {
	var spec schema.PackageSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return "", err
	}
	component := spec.Resources[audittrail.Token]
	component.Description = "A CloudTrail trail for AI services with all it needs: log bucket, log group, role, queue, and the policies between them. " +
		"Outputs of parts that were not asked for are empty."
	docs := audittrail.Docs()
	for name, p := range component.InputProperties {
		p.Description = docs[name]
		component.InputProperties[name] = p
	}
	spec.Resources[audittrail.Token] = component
	out, err := json.Marshal(spec)
	return string(out), err
}
