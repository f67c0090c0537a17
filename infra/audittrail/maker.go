package audittrail

import (
	"fmt"

	"github.com/aitrail/aitrail/internal/provision"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// maker gives the resources of a desired state to Pulumi, one after the other.
type maker struct {
	ctx     *pulumi.Context
	name    string // of the component; its resources' names begin with it
	parent  pulumi.Resource
	region  string
	protect bool

	key      pulumi.StringOutput // the ARN of the key, once it is known to come
	keyGiven bool                // it is the user's: no key is made

	made map[string]pulumi.Resource // by the resource's ID
	arn  pulumi.StringOutput        // of the trail
	url  pulumi.StringOutput        // of the queue
}

// make registers one resource. Those it depends on have been registered before it.
func (m *maker) make(r provision.Resource) error {
	if m.keyGiven && (r.Kind == provision.KindKey || r.Kind == provision.KindKeyAlias) {
		return nil
	}
	opts := []pulumi.ResourceOption{pulumi.Parent(m.parent)}
	var after []pulumi.Resource
	for _, id := range r.DependsOn {
		made, ok := m.made[id]
		if !ok {
			if m.keyGiven {
				continue // the key
			}
			return fmt.Errorf("depends on %s, which was not made before it", id)
		}
		after = append(after, made)
	}
	if len(after) > 0 {
		opts = append(opts, pulumi.DependsOn(after))
	}
	if of := m.made[r.Of]; of != nil && r.Kind != provision.KindRolePolicy {
		// Its settings go with a bucket or queue. So one that can't be deleted, because it isn't empty, stays closed. A role with
		// a policy can't be deleted, so that goes first.
		opts = append(opts, pulumi.DeletedWith(of))
	}
	if m.protect && r.Holds != "" {
		opts = append(opts, pulumi.Protect(true))
	}
	register, ok := registrations[r.Kind]
	if !ok {
		return fmt.Errorf("a %s has no Pulumi resource", r.Kind)
	}
	made, err := register(m, m.name+"-"+r.ID, properties{m, r.Properties}, opts)
	if err != nil {
		return err
	}
	m.made[r.ID] = made
	return nil
}

// properties reads a resource's properties as Pulumi's inputs. What isn't there is a nil input, which is none.
type properties struct {
	*maker
	of provision.Properties
}

// plain is the string, "" if there is none.
func (p properties) plain(name string) string {
	s, _ := p.of[name].(string)
	return s
}

// text is a string that may be the ARN of the key, which only AWS knows.
func (p properties) text(name string) pulumi.StringPtrInput { return p.value(p.of[name]) }

func (p properties) value(v any) pulumi.StringPtrInput {
	switch s, _ := v.(string); s {
	case "":
		return nil
	case provision.KeyARN:
		return p.key.ToStringPtrOutput()
	default:
		return pulumi.StringPtr(s)
	}
}

func (p properties) flag(name string) pulumi.BoolPtrInput {
	if b, ok := p.of[name].(bool); ok {
		return pulumi.BoolPtr(b)
	}
	return nil
}

func (p properties) number(name string) pulumi.IntPtrInput {
	if n, ok := p.of[name].(int); ok {
		return pulumi.IntPtr(n)
	}
	return nil
}

func (p properties) tags() pulumi.StringMapInput {
	if t, ok := p.of["Tags"].(map[string]string); ok {
		return pulumi.ToStringMap(t)
	}
	return nil
}

func (p properties) here() pulumi.StringPtrInput { return pulumi.StringPtr(p.region) }

// output fills in the component's outputs. They come from resources where there are any, so that who uses one waits for it.
func (t *AuditTrail) output(s provision.Setup, m *maker) {
	known := func(v string) pulumi.StringOutput { return pulumi.String(v).ToStringOutput() }
	id := func(of string) pulumi.StringOutput {
		if r, ok := m.made[of].(pulumi.CustomResource); ok {
			return r.ID().ToStringOutput()
		}
		return known("")
	}
	// The rest is known beforehand, but only there when the resource is.
	once := func(of, v string) pulumi.StringOutput {
		if _, ok := m.made[of]; !ok {
			return known("")
		}
		return id(of).ApplyT(func(string) string { return v }).(pulumi.StringOutput)
	}
	t.BucketName, t.TrailArn, t.TrailName, t.KeyPrefix = once("log-bucket", s.Bucket), m.arn, known(s.Trail), known(s.Prefix)
	t.AccountID, t.Region = known(s.Account), known(s.Region)
	t.RoleArn, t.LogGroup, t.LogGroupArn = once("role", s.RoleARN()), once("log-group", s.LogGroup), once("log-group", s.LogGroupARN())
	t.QueueURL, t.QueueArn, t.KmsKeyArn = known(""), once("queue", s.QueueARN()), known("")
	if _, ok := m.made["queue"]; ok {
		t.QueueURL = m.url
	}
	if m.key != (pulumi.StringOutput{}) {
		t.KmsKeyArn = m.key
	}
	t.InvocationBucket = once("invocation-bucket", s.InvocationBucket)
	t.LakeBucket, t.Database, t.Workgroup = once("lake-bucket", s.LakeBucket), once("database", s.Database), once("workgroup", s.Workgroup)
}
