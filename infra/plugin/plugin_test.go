package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/blang/semver"
	provider "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/urn"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write schema.json anew")

const token = "aitrail:index:AuditTrail"

func server(t *testing.T, opts ...integration.ServerOption) integration.Server {
	t.Helper()
	p, err := plugin()
	if err != nil {
		t.Fatal(err)
	}
	s, err := integration.NewServer(context.Background(), name, semver.MustParse(version), append(opts, integration.WithProvider(p))...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func theSchema(t *testing.T) (schema.PackageSpec, []byte) {
	t.Helper()
	got, err := server(t).GetSchema(provider.GetSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(got.Schema), "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	var spec schema.PackageSpec
	if err := json.Unmarshal(pretty.Bytes(), &spec); err != nil {
		t.Fatal(err)
	}
	return spec, pretty.Bytes()
}

// The schema is what SDKs are generated from: a change of it is a change for users in every language.
func TestSchema(t *testing.T) {
	spec, got := theSchema(t)
	if *update {
		if err := os.WriteFile("schema.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the schema differs from schema.json: go test . -update writes it anew")
	}
	r, ok := spec.Resources[token]
	if !ok || !r.IsComponent || len(spec.Resources) != 1 {
		t.Fatalf("resources are %v", spec.Resources)
	}
	if len(r.RequiredInputs) > 0 || len(r.InputProperties) < 20 {
		t.Errorf("%d inputs, of which are required: %v", len(r.InputProperties), r.RequiredInputs)
	}
	for name, p := range r.InputProperties {
		if p.Description == "" {
			t.Errorf("input %s has no description", name)
		}
		if name != "kmsKeyArn" && !p.Plain && p.Type != "array" && p.Type != "object" {
			t.Errorf("input %s may be an output, and names must be known beforehand", name)
		}
	}
	for _, name := range []string{"bucketName", "trailArn", "queueUrl"} {
		if _, ok := r.Properties[name]; !ok {
			t.Errorf("there is no output %s", name)
		}
	}
}

// mocks are an engine that takes everything.
type mocks struct{ kinds []string }

func (m *mocks) NewResource(a pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	m.kinds = append(m.kinds, a.TypeToken)
	return "id-of-" + a.Name, a.Inputs, nil
}

func (m *mocks) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return resource.PropertyMap{}, nil
}

// The component can be made through the plugin's protocol, with the arguments of another language.
func TestConstruct(t *testing.T) {
	m := &mocks{}
	s := server(t, integration.WithMocks(m))
	got, err := s.Construct(provider.ConstructRequest{
		Urn: urn.New("stack", "project", "", token, "cloudtrail"),
		Inputs: property.NewMap(map[string]property.Value{
			"accountId": property.New("111122223333"), "region": property.New("eu-central-1"), "trailName": property.New("default-trail"),
			"logRetentionDays": property.New(14.0), "dataTypes": property.New([]property.Value{property.New("AWS::Bedrock::Model")}),
			"tags": property.New(map[string]property.Value{"Name": property.New("default-trail")}),
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := got.State.Get("bucketName"); !v.IsString() || v.AsString() != "default-trail-111122223333-eu-central-1" {
		t.Errorf("bucketName is %v", v)
	}
	if !slices.Contains(m.kinds, "aws:cloudtrail/trail:Trail") || !slices.Contains(m.kinds, token) {
		t.Errorf("registered %v", m.kinds)
	}
	_, err = s.Construct(provider.ConstructRequest{
		Urn:    urn.New("stack", "project", "", token, "cloudtrail"),
		Inputs: property.NewMap(map[string]property.Value{"accountId": property.New("1"), "region": property.New("eu-central-1")}),
	})
	if err == nil || !strings.Contains(err.Error(), "is not twelve digits") {
		t.Errorf("a bad account: %v", err)
	}
}

// The examples name inputs and outputs that there are.
func TestExamples(t *testing.T) {
	spec, _ := theSchema(t)
	r := spec.Resources[token]
	inputs, outputs := map[string]bool{}, map[string]bool{}
	for name := range r.InputProperties {
		inputs[name] = true
	}
	for name := range r.Properties {
		outputs[name] = true
	}

	text, err := os.ReadFile("../examples/yaml/Pulumi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var program struct {
		Resources map[string]struct {
			Type       string
			Properties map[string]any
		}
		Outputs map[string]string
	}
	if err := yaml.Unmarshal(text, &program); err != nil {
		t.Fatal(err)
	}
	trail := program.Resources["cloudtrail"]
	if trail.Type != "aitrail:AuditTrail" || len(trail.Properties) < 3 {
		t.Errorf("YAML: %+v", trail)
	}
	for name := range trail.Properties {
		if !inputs[name] {
			t.Errorf("YAML: there is no input %s", name)
		}
	}
	for name, v := range program.Outputs {
		if of := strings.TrimSuffix(strings.TrimPrefix(v, "${cloudtrail."), "}"); !outputs[of] {
			t.Errorf("YAML: %s = %s, and there is no such output", name, v)
		}
	}

	for file, call := range map[string]*regexp.Regexp{
		"../examples/typescript/index.ts": regexp.MustCompile(`(?s)AuditTrail\("cloudtrail", \{(.*?)\n\}\)`),
		"../examples/python/__main__.py":  regexp.MustCompile(`(?s)AuditTrail\((.*?)\n\)`),
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		args := call.FindSubmatch(text)
		if args == nil {
			t.Fatalf("%s makes no AuditTrail", file)
		}
		names := regexp.MustCompile(`(?m)^    ([A-Za-z_]+) ?[:=]`).FindAllSubmatch(args[1], -1)
		if len(names) < 3 {
			t.Errorf("%s: only %d arguments found", file, len(names))
		}
		for _, n := range names {
			if !inputs[camel(string(n[1]))] {
				t.Errorf("%s: there is no input %s", file, n[1])
			}
		}
		used := regexp.MustCompile(`trail\.([a-z][A-Za-z_]+)`).FindAllSubmatch(text, -1)
		if len(used) < 2 {
			t.Errorf("%s: only %d outputs found", file, len(used))
		}
		for _, n := range used {
			if !outputs[camel(string(n[1]))] {
				t.Errorf("%s: there is no output %s", file, n[1])
			}
		}
	}
}

// camel is trail_name as trailName.
func camel(snake string) string {
	parts := strings.Split(snake, "_")
	for i, p := range parts[1:] {
		parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
	}
	return strings.Join(parts, "")
}

// The Python example compiles beside the SDK that Pulumi's generator makes of the schema.
func TestPythonSDK(t *testing.T) {
	python3, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: no python3")
	}
	spec, _ := theSchema(t)
	pkg, diags, err := schema.BindSpec(spec, schema.NewNullLoader(), schema.ValidationOptions{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	files, err := python.GeneratePackage("test", pkg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	compile := []string{"-m", "py_compile", filepath.Join("..", "examples", "python", "__main__.py")}
	for file, text := range files {
		file = filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".py") {
			compile = append(compile, file)
		}
	}
	if len(compile) < 6 {
		t.Errorf("only %d files to compile", len(compile)-2)
	}
	if _, ok := files["aitrail_aitrail/audit_trail.py"]; !ok {
		t.Errorf("no module of the component among %d files", len(files))
	}
	cmd := exec.Command(python3, compile...)
	cmd.Env = append(os.Environ(), "PYTHONPYCACHEPREFIX="+filepath.Join(dir, "cache"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
