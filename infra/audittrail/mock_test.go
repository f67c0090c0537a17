package audittrail_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aitrail/aitrail/infra/audittrail"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	account = "111122223333"
	region  = "eu-central-1"
	keyARN  = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	queues  = "https://sqs.eu-central-1.amazonaws.com/111122223333/"
)

// registered is a resource as Pulumi's engine would get it.
type registered struct {
	kind, name, parent string
	deletedWith        string
	inputs             resource.PropertyMap
	after              []string // names of the resources that it depends on
	protect            bool
}

// engine is a mock of Pulumi's engine and of the AWS provider.
type engine struct {
	preview bool
	calls   []string

	mu   sync.Mutex
	made []registered
}

func (e *engine) NewResource(a pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r := registered{kind: a.TypeToken, name: a.Name, inputs: a.Inputs}
	if rpc := a.RegisterRPC; rpc != nil {
		inputs, err := plugin.UnmarshalProperties(rpc.GetObject(), plugin.MarshalOptions{KeepUnknowns: true})
		if err != nil {
			return "", nil, err
		}
		r.inputs = inputs
		r.protect, r.parent = rpc.GetProtect(), rpc.GetParent()
		r.deletedWith = rpc.GetDeletedWith()[strings.LastIndex(rpc.GetDeletedWith(), ":")+1:]
		for _, urn := range rpc.GetDependencies() {
			r.after = append(r.after, urn[strings.LastIndex(urn, "::")+2:])
		}
		slices.Sort(r.after)
	}
	e.mu.Lock()
	e.made = append(e.made, r)
	e.mu.Unlock()
	out := a.Inputs.Copy()
	given := func(name, v string) {
		out[resource.PropertyKey(name)] = resource.NewStringProperty(v)
		if e.preview {
			out[resource.PropertyKey(name)] = resource.MakeComputed(resource.NewStringProperty(""))
		}
	}
	switch a.TypeToken {
	case "aws:kms/key:Key":
		given("arn", keyARN)
	case "aws:sqs/queue:Queue":
		given("url", queues+a.Inputs["name"].StringValue())
	case "aws:cloudtrail/trail:Trail":
		given("arn", "arn:aws:cloudtrail:"+region+":"+account+":trail/"+a.Inputs["name"].StringValue())
	}
	if e.preview {
		return "", out, nil
	}
	return "id-of-" + a.Name, out, nil
}

func (e *engine) Call(a pulumi.MockCallArgs) (resource.PropertyMap, error) {
	e.mu.Lock()
	e.calls = append(e.calls, a.Token)
	e.mu.Unlock()
	switch a.Token {
	case "aws:index/getCallerIdentity:getCallerIdentity":
		return resource.PropertyMap{"accountId": resource.NewStringProperty(account), "arn": resource.NewStringProperty(""), "userId": resource.NewStringProperty(""), "id": resource.NewStringProperty("")}, nil
	case "aws:index/getRegion:getRegion":
		return resource.PropertyMap{"region": resource.NewStringProperty(region), "name": resource.NewStringProperty(region), "id": resource.NewStringProperty(""), "description": resource.NewStringProperty("")}, nil
	}
	return resource.PropertyMap{}, nil
}

// run runs a program that makes one AuditTrail, and gives what was registered by name. The outputs it was asked for are there
// where they are known.
func run(t *testing.T, e *engine, args *audittrail.AuditTrailArgs, want ...func(*audittrail.AuditTrail) pulumi.StringOutput) (map[string]registered, []string, error) {
	t.Helper()
	values := make([]string, len(want))
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		a, err := audittrail.NewAuditTrail(ctx, "t", args)
		if err != nil {
			return err
		}
		for i, of := range want {
			of(a).ApplyT(func(v string) string { values[i] = v; return v })
		}
		return nil
	}, pulumi.WithMocks("project", "stack", e), func(info *pulumi.RunInfo) { info.DryRun = e.preview })
	made := map[string]registered{}
	for _, r := range e.made {
		if _, twice := made[r.name]; twice {
			t.Errorf("two resources are called %s", r.name)
		}
		made[r.name] = r
	}
	return made, values, err
}
