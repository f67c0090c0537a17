package provision_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/catalog"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/provision"
)

var update = flag.Bool("update", false, "write the golden files")

func one() provision.Setup {
	return provision.Setup{Account: "111122223333", Region: "eu-central-1"}
}

func organization() provision.Setup {
	s := one()
	s.Organization, s.Management, s.KMSKey = "o-exampleorgid", "444455556666", "arn:aws:kms:eu-central-1:111122223333:key/k"
	s.DataTypes = []string{"AWS::S3::Object", "AWS::Bedrock::Model"}
	return s
}

func govCloud() provision.Setup {
	return provision.Setup{Account: "111122223333", Region: "us-gov-west-1", Trail: "audit", Bucket: "audit-logs", Prefix: "a/b"}
}

func TestGolden(t *testing.T) {
	for name, s := range map[string]provision.Setup{"one": one(), "organization": organization(), "govcloud": govCloud()} {
		selectors, err := json.Marshal(s.Selectors())
		if err != nil {
			t.Fatal(err)
		}
		names, err := json.Marshal(map[string]string{
			"trail": s.TrailARN(), "bucket": s.BucketARN(), "role": s.RoleARN(), "log group": s.LogGroupARN(),
		})
		if err != nil {
			t.Fatal(err)
		}
		for kind, text := range map[string]string{
			"bucket-policy": s.BucketPolicy(), "role-trust": s.RoleTrust(), "role-policy": s.RolePolicy(), "key-policy": s.KeyPolicy(),
			"selectors": string(selectors), "names": string(names),
		} {
			golden(t, name+"-"+kind+".json", text)
		}
	}
}

func golden(t *testing.T, name, text string) {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "  "); err != nil {
		t.Fatalf("%s is not JSON: %v", name, err)
	}
	b.WriteByte('\n')
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// The policies are for service principals; where everyone is named it is to deny.
func TestNobodyElseIsAllowed(t *testing.T) {
	for _, s := range []provision.Setup{one(), organization(), govCloud()} {
		for _, text := range []string{s.BucketPolicy(), s.RoleTrust(), s.KeyPolicy()} {
			doc, err := policy.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range doc.Statements {
				for _, p := range st.Principals {
					if st.Effect == policy.EffectAllow && (p.Type == "*" || p.Value == "*") {
						t.Errorf("a statement allows everyone: %+v", st)
					}
				}
				if len(st.NotPrincipals) > 0 || len(st.NotActions) > 0 || len(st.NotResources) > 0 {
					t.Errorf("a statement is of all but some: %+v", st)
				}
			}
		}
	}
}

func parse(t *testing.T, text string) []*policy.Document {
	t.Helper()
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return []*policy.Document{doc}
}

func TestBucketPolicyAllowsDeliveryAndNothingElse(t *testing.T) {
	const bucket, trail = "arn:aws:s3:::ai-trail-111122223333-eu-central-1", "arn:aws:cloudtrail:eu-central-1:111122223333:trail/ai-trail"
	docs := parse(t, one().BucketPolicy())
	service := policy.Principal{Service: "cloudtrail.amazonaws.com"}
	for _, tt := range []struct {
		name             string
		who              policy.Principal
		action, resource string
		trail, acl, tls  string
		want             policy.Decision
	}{
		{"look", service, "s3:GetBucketAcl", bucket, trail, "", "true", policy.Allow},
		{"deliver", service, "s3:PutObject", bucket + "/cloudtrail/AWSLogs/111122223333/CloudTrail/x.json.gz", trail, "bucket-owner-full-control", "true", policy.Allow},
		{"a digest", service, "s3:PutObject", bucket + "/cloudtrail/AWSLogs/111122223333/CloudTrail-Digest/x.json.gz", trail, "bucket-owner-full-control", "true", policy.Allow},
		{"another trail", service, "s3:PutObject", bucket + "/cloudtrail/AWSLogs/111122223333/x", trail + "2", "bucket-owner-full-control", "true", policy.ImplicitDeny},
		{"another account's folder", service, "s3:PutObject", bucket + "/cloudtrail/AWSLogs/999999999999/x", trail, "bucket-owner-full-control", "true", policy.ImplicitDeny},
		{"without the ACL", service, "s3:PutObject", bucket + "/cloudtrail/AWSLogs/111122223333/x", trail, "", "true", policy.ImplicitDeny},
		{"reading", service, "s3:GetObject", bucket + "/cloudtrail/AWSLogs/111122223333/x", trail, "bucket-owner-full-control", "true", policy.ImplicitDeny},
		{"deleting", service, "s3:DeleteObject", bucket + "/cloudtrail/AWSLogs/111122223333/x", trail, "bucket-owner-full-control", "true", policy.ImplicitDeny},
		{"another service", policy.Principal{Service: "config.amazonaws.com"}, "s3:PutObject", bucket + "/cloudtrail/AWSLogs/111122223333/x", trail, "bucket-owner-full-control", "true", policy.ImplicitDeny},
		{"without TLS", service, "s3:PutObject", bucket + "/cloudtrail/AWSLogs/111122223333/x", trail, "bucket-owner-full-control", "false", policy.Deny},
		{"root without TLS", policy.Principal{Account: "111122223333", Root: true}, "s3:GetObject", bucket + "/x", "", "", "false", policy.Deny},
		{"a stranger", policy.Principal{Account: "999999999999", ARN: "arn:aws:iam::999999999999:user/x"}, "s3:GetObject", bucket + "/x", trail, "", "true", policy.ImplicitDeny},
	} {
		ctx := policy.Context{"aws:SecureTransport": {tt.tls}}
		if tt.trail != "" {
			ctx["aws:SourceArn"] = []string{tt.trail}
		}
		if tt.acl != "" {
			ctx["s3:x-amz-acl"] = []string{tt.acl}
		}
		got := policy.Evaluate(docs, policy.Request{Principal: tt.who, Action: tt.action, Resource: tt.resource, Context: ctx})
		if got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRolePolicyAllowsItsStreamsOnly(t *testing.T) {
	docs := parse(t, one().RolePolicy())
	const group = "arn:aws:logs:eu-central-1:111122223333:log-group:/aws/cloudtrail/ai-trail:log-stream:"
	for _, tt := range []struct {
		action, resource string
		want             policy.Decision
	}{
		{"logs:CreateLogStream", group + "111122223333_CloudTrail_eu-central-1", policy.Allow},
		{"logs:PutLogEvents", group + "111122223333_CloudTrail_eu-central-1_3", policy.Allow},
		{"logs:PutLogEvents", group + "999999999999_CloudTrail_eu-central-1", policy.ImplicitDeny},
		{"logs:PutLogEvents", strings.Replace(group, "ai-trail", "other", 1) + "111122223333_CloudTrail_eu-central-1", policy.ImplicitDeny},
		{"logs:DeleteLogStream", group + "111122223333_CloudTrail_eu-central-1", policy.ImplicitDeny},
		{"s3:PutObject", "*", policy.ImplicitDeny},
	} {
		if got := policy.Evaluate(docs, policy.Request{Action: tt.action, Resource: tt.resource}); got != tt.want {
			t.Errorf("%s on %s: got %v, want %v", tt.action, tt.resource, got, tt.want)
		}
	}
	if err := parse(t, one().RoleTrust())[0].Validate(policy.TrustPolicy); err != nil {
		t.Error(err)
	}
}

func TestSelectors(t *testing.T) {
	list := one().Selectors()
	values := 0
	var types []string
	for i, s := range list {
		for _, f := range s.FieldSelectors {
			values += len(f.Equals) + len(f.NotStartsWith)
			if f.Field == "resources.type" {
				types = append(types, f.Equals...)
			}
			if f.Field == "readOnly" {
				t.Errorf("%s: only reads or only writes are selected", s.Name)
			}
		}
		if first := s.FieldSelectors[0].Equals[0]; (first == "Management") != (i == 0) {
			t.Errorf("selector %d is of %s", i, first)
		}
	}
	if values > 500 {
		t.Errorf("%d values, AWS takes 500", values)
	}
	want := catalog.DataTypes()
	if diff := cmp.Diff(want, types); diff != "" || len(types) < 50 {
		t.Errorf("data types (-catalog +selectors):\n%s", diff)
	}
	if slices.Contains(types, "AWS::S3::Object") {
		t.Error("S3 objects are selected without being asked for")
	}
	s := one()
	s.DataTypes = []string{}
	if n := len(s.Selectors()); n != 1 {
		t.Errorf("no data events wanted: %d selectors, want 1", n)
	}
}

func TestOwnBucketIsNotRecorded(t *testing.T) {
	s := one()
	s.DataTypes = []string{"AWS::S3::Object"}
	got := s.Selectors()[1].FieldSelectors
	want := provision.FieldSelector{Field: "resources.ARN", NotStartsWith: []string{s.BucketARN() + "/"}}
	if !slices.ContainsFunc(got, func(f provision.FieldSelector) bool { return cmp.Equal(f, want) }) {
		t.Errorf("got %+v, want among them %+v", got, want)
	}
}

func TestValidate(t *testing.T) {
	for _, s := range []provision.Setup{one(), organization(), govCloud()} {
		if err := s.Validate(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for field, change := range map[string]func(*provision.Setup){
		"account":            func(s *provision.Setup) { s.Account = "1" },
		"region":             func(s *provision.Setup) { s.Region = "" },
		"trail":              func(s *provision.Setup) { s.Trail = "a..b" },
		"bucket":             func(s *provision.Setup) { s.Bucket = "Logs" },
		"prefix":             func(s *provision.Setup) { s.Prefix = "a/" },
		"log_group":          func(s *provision.Setup) { s.LogGroup = "a b" },
		"role":               func(s *provision.Setup) { s.Role = "a b" },
		"organization":       func(s *provision.Setup) { s.Organization = "x" },
		"management":         func(s *provision.Setup) { s.Management = "x" },
		"kms_key":            func(s *provision.Setup) { s.KMSKey = "alias/x" },
		"log_retention_days": func(s *provision.Setup) { s.LogRetentionDays = 8 },
		"retention_days":     func(s *provision.Setup) { s.RetentionDays = -1 },
		"data_types":         func(s *provision.Setup) { s.DataTypes = make([]string, 250) },
	} {
		s := one()
		change(&s)
		var invalid *provision.InvalidError
		if err := s.Validate(); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
