package ai

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// smKind is one of SageMaker's kinds of resources that are made, described, listed and deleted alike.
type smKind struct {
	bucket, word, arn string // "ai.sagemaker-endpoint", "Endpoint", "endpoint"
}

// sagemaker is the control plane's operations that endpoints need.
func (b *backend) sagemaker() map[string]*rule {
	rules := map[string]*rule{"UpdateEndpoint": {serve: b.updateEndpoint, resource: "endpoint/{EndpointName|lower}"}}
	for _, k := range []smKind{
		{smModels, "Model", "model"}, {smConfigs, "EndpointConfig", "endpoint-config"}, {smEndpoints, "Endpoint", "endpoint"},
	} {
		about := k.arn + "/{" + k.word + "Name|lower}"
		rules["Create"+k.word] = &rule{serve: func(c *call) (obj, error) { return b.smCreate(c, k) }, resource: about}
		rules["Describe"+k.word] = &rule{serve: func(c *call) (obj, error) { return b.smDescribe(c, k) }, resource: about}
		rules["List"+k.word+"s"] = &rule{serve: func(c *call) (obj, error) { return b.smList(c, k) }}
		rules["Delete"+k.word] = &rule{serve: func(c *call) (obj, error) { return b.smDelete(c, k) }, resource: about}
	}
	return rules
}

// sagemakerRuntime is sagemaker-runtime's operations, whose parameters are not logged.
func (b *backend) sagemakerRuntime() map[string]*rule {
	invoke := func(serve func(*call) (obj, error)) *rule {
		return &rule{serve: serve, resource: "endpoint/{EndpointName|lower}", kind: "AWS::SageMaker::Endpoint", noParams: true, noReply: true}
	}
	return map[string]*rule{
		"InvokeEndpoint": invoke(b.invokeEndpoint), "InvokeEndpointAsync": invoke(b.invokeEndpointAsync),
		"InvokeEndpointWithResponseStream": invoke(b.invokeEndpointStream),
	}
}

// absent is SageMaker's wording for what isn't there.
func (k smKind) absent(c *call, name string) error {
	arn := c.arn(k.arn + "/" + strings.ToLower(name))
	if k.word == "Endpoint" {
		return c.invalid("Could not find endpoint %q.", arn)
	}
	if k.word == "EndpointConfig" {
		return c.invalid("Could not find endpoint configuration %q.", arn)
	}
	return c.invalid("Could not find model %q.", arn)
}

func (b *backend) smCreate(c *call, k smKind) (obj, error) {
	name := text(c.in, k.word+"Name")
	r := &resource{ID: strings.ToLower(name), Name: name, ARN: c.arn(k.arn + "/" + strings.ToLower(name)), Config: c.in, Tags: tagList(list(c.in, "Tags"))}
	if err := b.smNeeds(c, k); err != nil {
		return nil, err
	}
	created, err := b.create(c, k.bucket, r)
	if err != nil {
		return nil, err
	}
	if !created {
		return nil, c.invalid("Cannot create already existing %s %q.", strings.ReplaceAll(k.arn, "-config", " configuration"), r.ARN)
	}
	return obj{k.word + "Arn": r.ARN}, nil
}

// smNeeds checks what a new resource refers to.
func (b *backend) smNeeds(c *call, k smKind) error {
	check := func(kind smKind, name string) error {
		if name == "" {
			return nil
		}
		r, err := b.get(c, kind.bucket, strings.ToLower(name))
		if err == nil && r == nil {
			err = kind.absent(c, name)
		}
		return err
	}
	if k.word == "Endpoint" {
		return check(smKind{smConfigs, "EndpointConfig", "endpoint-config"}, text(c.in, "EndpointConfigName"))
	}
	for _, v := range list(c.in, "ProductionVariants") {
		if err := check(smKind{smModels, "Model", "model"}, text(v, "ModelName")); err != nil {
			return err
		}
	}
	return nil
}

func (b *backend) smDescribe(c *call, k smKind) (obj, error) {
	name := text(c.in, k.word+"Name")
	r, err := b.get(c, k.bucket, strings.ToLower(name))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, k.absent(c, name)
	}
	out := obj{}
	for member, v := range r.Config {
		if c.op.Output.Member(member) != nil {
			out[member] = v
		}
	}
	out[k.word+"Arn"], out["CreationTime"] = r.ARN, r.Created
	if k.word == "Endpoint" {
		out["EndpointStatus"], out["LastModifiedTime"] = "InService", r.Updated
		if out["ProductionVariants"], err = b.variants(c, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// variants is the running variants of an endpoint, after its configuration.
func (b *backend) variants(c *call, endpoint *resource) ([]any, error) {
	config, err := b.get(c, smConfigs, strings.ToLower(text(endpoint.Config, "EndpointConfigName")))
	if err != nil || config == nil {
		return nil, err
	}
	var out []any
	for _, v := range list(config.Config, "ProductionVariants") {
		weight := at(v, "InitialVariantWeight")
		if weight == nil {
			weight = 1.0
		}
		count := whole(v, 1, "InitialInstanceCount")
		out = append(out, obj{
			"VariantName": text(v, "VariantName"), "CurrentWeight": weight, "DesiredWeight": weight, "CurrentInstanceCount": count, "DesiredInstanceCount": count,
		})
	}
	return out, nil
}

func (b *backend) smList(c *call, k smKind) (obj, error) {
	all, err := b.all(c, k.bucket, "")
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(r *resource) bool {
		status := text(c.in, "StatusEquals")
		return !strings.Contains(r.Name, text(c.in, "NameContains")) || status != "" && status != "InService"
	})
	if text(c.in, "SortBy") != "Name" {
		slices.SortStableFunc(all, func(x, y *resource) int { return x.Created.Compare(y.Created) })
	}
	if text(c.in, "SortOrder") != "Ascending" {
		slices.Reverse(all)
	}
	return paged(c, all, k.word+"s", "MaxResults", "NextToken", func(r *resource) obj {
		out := obj{k.word + "Name": r.Name, k.word + "Arn": r.ARN, "CreationTime": r.Created}
		if k.word == "Endpoint" {
			out["LastModifiedTime"], out["EndpointStatus"] = r.Updated, "InService"
		}
		return out
	}), nil
}

func (b *backend) smDelete(c *call, k smKind) (obj, error) {
	name := text(c.in, k.word+"Name")
	found, err := b.remove(c, k.bucket, strings.ToLower(name))
	if err == nil && !found {
		err = k.absent(c, name)
	}
	return nil, err
}

func (b *backend) updateEndpoint(c *call) (obj, error) {
	k := smKind{smEndpoints, "Endpoint", "endpoint"}
	if err := b.smNeeds(c, k); err != nil {
		return nil, err
	}
	name := text(c.in, "EndpointName")
	r, err := b.change(c, smEndpoints, strings.ToLower(name), func(r *resource, _ *state.Tx) error {
		r.Config = with(r.Config, keep(c.in, "EndpointConfigName"))
		return nil
	})
	if err == nil && r == nil {
		err = k.absent(c, name)
	}
	if err != nil {
		return nil, err
	}
	return obj{"EndpointArn": r.ARN}, nil
}

// endpoint finds the endpoint a runtime call is for, and the variant that answers.
func (b *backend) endpoint(c *call) (r *resource, variant string, err error) {
	name := text(c.in, "EndpointName")
	if r, err = b.get(c, smEndpoints, strings.ToLower(name)); err != nil {
		return nil, "", err
	}
	if r == nil {
		return nil, "", c.invalid("Endpoint %s of account %s not found.", name, c.Account)
	}
	variants, err := b.variants(c, r)
	if err != nil {
		return nil, "", err
	}
	wanted := text(c.in, "TargetVariant")
	for _, v := range variants {
		if n := text(v, "VariantName"); wanted == "" || n == wanted {
			return r, n, nil
		}
	}
	if wanted != "" {
		return nil, "", c.invalid("Variant %s not found for Request.", wanted)
	}
	return r, "AllTraffic", nil
}

func (b *backend) invokeEndpoint(c *call) (obj, error) {
	r, variant, err := b.endpoint(c)
	if err != nil {
		return nil, err
	}
	body, _ := c.in["Body"].([]byte)
	answer, contentType := predict(r.Name, text(c.in, "ContentType"), body)
	return with(keep(c.in, "CustomAttributes"), obj{"Body": []byte(answer), "ContentType": contentType, "InvokedProductionVariant": variant}), nil
}

func (b *backend) invokeEndpointStream(c *call) (obj, error) {
	r, variant, err := b.endpoint(c)
	if err != nil {
		return nil, err
	}
	body, _ := c.in["Body"].([]byte)
	answer, contentType := predict(r.Name, text(c.in, "ContentType"), body)
	c.stream = func(e *smithy.EventWriter) (*awsapi.Completion, error) {
		for _, part := range prose.Pieces(answer, piece) {
			if err := e.Send("PayloadPart", obj{"Bytes": []byte(part)}); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	return with(keep(c.in, "CustomAttributes"), obj{"ContentType": contentType, "InvokedProductionVariant": variant}), nil
}

func (b *backend) invokeEndpointAsync(c *call) (obj, error) {
	r, _, err := b.endpoint(c)
	if err != nil {
		return nil, err
	}
	config, err := b.get(c, smConfigs, strings.ToLower(text(r.Config, "EndpointConfigName")))
	if err != nil {
		return nil, err
	}
	var output obj
	if config != nil {
		output = object(config.Config, "AsyncInferenceConfig", "OutputConfig")
	}
	if output == nil {
		return nil, c.invalid("Endpoint %s is not configured for asynchronous inference.", r.Name)
	}
	inference := text(c.in, "InferenceId")
	if inference == "" {
		inference = uuid(c.ID, "inference")
	}
	under := func(path string) string {
		if path == "" {
			path = fmt.Sprintf("s3://sagemaker-%s-%s", c.Region, c.Account)
		}
		return strings.TrimSuffix(path, "/") + "/" + uuid(c.ID, "output")
	}
	out := obj{"InferenceId": inference, "OutputLocation": under(text(output, "S3OutputPath")) + ".out"}
	if failed := text(output, "S3FailurePath"); failed != "" {
		out["FailureLocation"] = under(failed) + "-error.out"
	}
	return out, nil
}

// predict is what an endpoint answers: generated text to a prompt, a number for each row or instance to anything else.
func predict(endpoint, contentType string, body []byte) (answer, answerType string) {
	score := func(row string) float64 { return math.Round(float64(hash(endpoint, row)%1_000_000)/1e2) / 1e4 }
	if strings.HasPrefix(contentType, "text/csv") {
		var rows []string
		for row := range strings.Lines(strings.TrimSpace(string(body))) {
			rows = append(rows, fmt.Sprint(score(strings.TrimSpace(row))))
		}
		return strings.Join(rows, "\n") + "\n", "text/csv; charset=utf-8"
	}
	var in any
	if json.Unmarshal(body, &in) != nil {
		return jsonText(obj{"predictions": []any{score(string(body))}}), "application/json"
	}
	for _, name := range []string{"inputs", "prompt", "text_inputs"} {
		if prompt := text(in, name); prompt != "" {
			return jsonText([]any{obj{"generated_text": prose.Answer(endpoint, prompt)}}), "application/json"
		}
	}
	instances := list(in, "instances")
	if instances == nil {
		instances = []any{in}
	}
	predictions := make([]any, len(instances))
	for i, instance := range instances {
		predictions[i] = obj{"score": score(jsonText(instance))}
	}
	return jsonText(obj{"predictions": predictions}), "application/json"
}
