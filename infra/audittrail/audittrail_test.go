package audittrail_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/infra/audittrail"
	"github.com/aitrail/aitrail/internal/provision"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// setups are what the component is held equal to the desired state for.
var setups = map[string]provision.Setup{
	"zero value": {},
	"everything": {
		Account: account, Region: region, Trail: "audit", Bucket: "audit-logs", Prefix: "ct", LogGroup: "audit", Role: "audit-role",
		LogRetentionDays: 30, RetentionDays: 400, ObjectLockDays: 365, ObjectLockMode: "COMPLIANCE",
		DataTypes: []string{"AWS::Bedrock::Model", "AWS::S3::Object"}, OwnKey: true, Queue: "q",
		InvocationLogging: true, InvocationBucket: "audit-prompts", InvocationRetentionDays: 14, LakeBucket: "audit-lake", Database: "db", Workgroup: "wg",
		Organization: "o-exampleorgid", Management: account, DelegatedAdmin: "444455556666", Tags: map[string]string{"team": "security"},
	},
	"key of another": {KMSKey: keyARN, LakeBucket: "a-lake", InvocationLogging: true},
	"least":          {NoQueue: true, DataTypes: []string{}, Tags: map[string]string{}},
	"delegated administrator": {
		Account: "444455556666", Region: region, Organization: "o-exampleorgid", Management: account, Bucket: "org-logs",
	},
	"other partition": {Account: account, Region: "us-gov-west-1"},
}

// The Pulumi resources are those of the desired state: one for each, with the same properties, after the same others, and
// nothing besides.
func TestResourcesAreTheDesiredState(t *testing.T) {
	for name, s := range setups {
		t.Run(name, func(t *testing.T) {
			made, _, err := run(t, &engine{}, audittrail.FromSetup(s))
			if err != nil {
				t.Fatal(err)
			}
			if s.Account == "" {
				s.Account, s.Region = account, region
			}
			desired := s.Resources()
			if len(desired) < 10 {
				t.Fatalf("the desired state has %d resources", len(desired))
			}
			component, ok := made["t"]
			if !ok || component.kind != audittrail.Token {
				t.Errorf("the component is %+v", component)
			}
			delete(made, "t")
			for _, d := range desired {
				r, ok := made["t-"+d.ID]
				if !ok {
					t.Errorf("%s: not made", d.ID)
					continue
				}
				delete(made, "t-"+d.ID)
				kind, got := read(t, r, s.Region)
				if kind != d.Kind {
					t.Errorf("%s is a %s, want %s", d.ID, r.kind, d.Kind)
				}
				if diff := cmp.Diff(wanted(t, d), got); diff != "" {
					t.Errorf("%s (-desired +Pulumi):\n%s", d.ID, diff)
				}
				var after []string
				for _, id := range d.DependsOn {
					after = append(after, "t-"+id)
				}
				slices.Sort(after)
				if diff := cmp.Diff(after, r.after, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s depends on (-desired +Pulumi):\n%s", d.ID, diff)
				}
				with := ""
				if d.Of != "" && d.Kind != provision.KindRolePolicy {
					with = "t-" + d.Of
				}
				if r.deletedWith != with {
					t.Errorf("%s is deleted with %q, want %q", d.ID, r.deletedWith, with)
				}
				if !strings.Contains(r.parent, audittrail.Token+"::t") {
					t.Errorf("%s: its parent is %s", d.ID, r.parent)
				}
			}
			for name, r := range made {
				t.Errorf("%s (%s) is not in the desired state", name, r.kind)
			}
		})
	}
}

// wanted is what a resource of the desired state should be in Pulumi, as JSON has it.
func wanted(t *testing.T, d provision.Resource) map[string]any {
	t.Helper()
	text, err := json.Marshal(d.Properties)
	if err != nil {
		t.Fatal(err)
	}
	var p map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), provision.KeyARN, keyARN)), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// A preview shows every name, policy and selector. Only what AWS chooses isn't known: the key's ARN and the queue's URL.
func TestPreviewKnowsAllButWhatAWSChooses(t *testing.T) {
	s := setups["everything"]
	e := &engine{preview: true}
	made, _, err := run(t, e, audittrail.FromSetup(s))
	if err != nil {
		t.Fatal(err)
	}
	var unknown []string
	for name, r := range made {
		for k, v := range r.inputs {
			if v.ContainsUnknowns() {
				unknown = append(unknown, name+"."+string(k))
			}
		}
	}
	slices.Sort(unknown)
	want := []string{
		"t-invocation-bucket-encryption.rules", "t-key-alias.targetKeyId", "t-lake-bucket-encryption.rules", "t-log-bucket-encryption.rules",
		"t-log-group.kmsKeyId", "t-queue-policy.queueUrl", "t-trail.kmsKeyId", "t-workgroup.configuration",
	}
	if diff := cmp.Diff(want, unknown); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
	if len(e.calls) > 0 {
		t.Errorf("account and Region are given, and AWS was asked: %v", e.calls)
	}
}

func TestOutputs(t *testing.T) {
	outputs := []func(*audittrail.AuditTrail) pulumi.StringOutput{
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.BucketName },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.TrailArn },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.TrailName },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.KeyPrefix },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.AccountID },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.Region },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.RoleArn },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.LogGroup },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.LogGroupArn },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.QueueURL },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.QueueArn },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.KmsKeyArn },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.InvocationBucket },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.LakeBucket },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.Database },
		func(a *audittrail.AuditTrail) pulumi.StringOutput { return a.Workgroup },
	}
	for name, want := range map[string][]string{
		"zero value": {
			"ai-trail-111122223333-eu-central-1", "arn:aws:cloudtrail:eu-central-1:111122223333:trail/ai-trail", "ai-trail", "cloudtrail", account, region,
			"arn:aws:iam::111122223333:role/ai-trail-cloudwatch-logs", "/aws/cloudtrail/ai-trail",
			"arn:aws:logs:eu-central-1:111122223333:log-group:/aws/cloudtrail/ai-trail:*", queues + "ai-trail-log-files", "arn:aws:sqs:eu-central-1:111122223333:ai-trail-log-files", "", "", "", "", "",
		},
		"everything": {
			"audit-logs", "arn:aws:cloudtrail:eu-central-1:111122223333:trail/audit", "audit", "ct", account, region,
			"arn:aws:iam::111122223333:role/audit-role", "audit", "arn:aws:logs:eu-central-1:111122223333:log-group:audit:*", queues + "q", "arn:aws:sqs:eu-central-1:111122223333:q", keyARN,
			"audit-prompts", "audit-lake", "db", "wg",
		},
	} {
		_, got, err := run(t, &engine{}, audittrail.FromSetup(setups[name]), outputs...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestProtect(t *testing.T) {
	s := setups["everything"]
	for _, protect := range []bool{false, true} {
		args := audittrail.FromSetup(s)
		args.Protect = protect
		made, _, err := run(t, &engine{}, args)
		if err != nil {
			t.Fatal(err)
		}
		holding := 0
		for _, d := range s.Resources() {
			if want := protect && d.Holds != ""; made["t-"+d.ID].protect != want {
				t.Errorf("%s: protect is %v, want %v", d.ID, made["t-"+d.ID].protect, want)
			}
			if d.Holds != "" {
				holding++
			}
		}
		if holding < 5 {
			t.Errorf("%d resources hold something", holding)
		}
	}
}

// A key's ARN may come from another resource, which then is waited for.
func TestKeyFromAnotherResource(t *testing.T) {
	e := &engine{preview: true}
	args := &audittrail.AuditTrailArgs{AccountID: account, Region: region}
	args.KmsKeyArn = pulumi.UnsafeUnknownOutput(nil).ApplyT(func(any) *string { return nil }).(pulumi.StringPtrOutput)
	made, _, err := run(t, e, args)
	if err != nil {
		t.Fatal(err)
	}
	if v := made["t-trail"].inputs["kmsKeyId"]; !v.ContainsUnknowns() {
		t.Errorf("the trail's key is %v", v)
	}
	if _, ok := made["t-key"]; ok {
		t.Error("a key is made although one is given")
	}
}

func TestBadArguments(t *testing.T) {
	for name, tt := range map[string]struct {
		args *audittrail.AuditTrailArgs
		want string
	}{
		"organization without its management account": {&audittrail.AuditTrailArgs{OrganizationID: "o-exampleorgid"}, "needs managementAccountId"},
		"two keys":           {&audittrail.AuditTrailArgs{OwnKey: true, KmsKeyArn: pulumi.String(keyARN)}, "give one of them"},
		"a bad name":         {&audittrail.AuditTrailArgs{BucketName: "No_Bucket"}, `bucket "No_Bucket" is not a bucket name`},
		"a bad retention":    {&audittrail.AuditTrailArgs{LogRetentionDays: 8}, "log_retention_days"},
		"not an account":     {&audittrail.AuditTrailArgs{AccountID: "1"}, "is not twelve digits"},
		"an admin of no org": {&audittrail.AuditTrailArgs{DelegatedAdminID: "444455556666"}, "delegated_admin"},
	} {
		e := &engine{}
		_, _, err := run(t, e, tt.args)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		for _, r := range e.made {
			if strings.HasPrefix(r.kind, "aws:") {
				t.Errorf("%s: %s was registered", name, r.name)
			}
		}
	}
}

// Each field of a set-up has its argument.
func TestArgumentsHaveAllOfASetup(t *testing.T) {
	s := setups["everything"]
	s.NoQueue = true
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "KMSKey" && name != "Partition" {
			t.Errorf("the test's set-up has no %s", name)
		}
	}
	if diff := cmp.Diff(s, audittrail.FromSetup(s).Setup()); diff != "" {
		t.Errorf("there and back (-there +back):\n%s", diff)
	}
}

// The AWS provider of the component is that of its resources, and is asked for the account.
func TestProviderIsInherited(t *testing.T) {
	e := &engine{}
	if _, _, err := run(t, e, nil); err != nil {
		t.Fatal(err)
	}
	slices.Sort(e.calls)
	want := []string{"aws:index/getCallerIdentity:getCallerIdentity", "aws:index/getRegion:getRegion"}
	if diff := cmp.Diff(want, e.calls); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}
