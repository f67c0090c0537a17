package provision_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
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

// everything has every option on, with names of its own.
func everything() provision.Setup {
	return provision.Setup{
		Account: "111122223333", Region: "eu-central-1", OwnKey: true, ObjectLockDays: 365, RetentionDays: 730, LogRetentionDays: 90,
		InvocationLogging: true, LakeBucket: "lake-111122223333", DataTypes: []string{"AWS::S3::Object", "AWS::Bedrock::AgentAlias"},
		Organization: "o-exampleorgid", DelegatedAdmin: "444455556666", Tags: map[string]string{"team": "audit"},
	}
}

func setups() map[string]provision.Setup {
	return map[string]provision.Setup{"one": one(), "organization": organization(), "govcloud": govCloud(), "everything": everything()}
}

func TestGolden(t *testing.T) {
	for name, s := range setups() {
		documents := map[string]string{
			"bucket-policy": s.BucketPolicy(), "role-trust": s.RoleTrust(), "role-policy": s.RolePolicy(), "key-policy": s.KeyPolicy(),
			"queue-policy": s.QueuePolicy(), "selectors": encode(t, s.Selectors()), "resources": encode(t, s.Resources()),
			"names": encode(t, map[string]string{"trail": s.TrailARN(), "bucket": s.BucketARN(), "role": s.RoleARN(), "log group": s.LogGroupARN(), "queue": s.QueueARN()}),
		}
		if s.InvocationLogging {
			documents["invocation-bucket-policy"] = s.InvocationBucketPolicy()
		}
		if s.LakeBucket != "" {
			documents["lake-bucket-policy"] = s.LakeBucketPolicy()
		}
		for kind, text := range documents {
			golden(t, name+"-"+kind+".json", text)
		}
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
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

// documents are all policies in the properties of the set-up's resources.
func documents(t *testing.T, s provision.Setup) map[string]*policy.Document {
	t.Helper()
	found := map[string]*policy.Document{}
	for _, r := range s.Resources() {
		for name, v := range r.Properties {
			text, ok := v.(string)
			if !ok || !strings.Contains(text, `"Statement"`) {
				continue
			}
			doc, err := policy.Parse([]byte(text))
			if err != nil {
				t.Fatalf("%s %s: %v", r.ID, name, err)
			}
			found[r.ID+" "+name] = doc
		}
	}
	return found
}

// Each statement that allows is for one principal, and where it is a service or any action or any resource, on a condition. The
// exceptions are named: two that AWS doesn't support conditions in, and the account's own rights over its key.
func TestNoPolicyIsOpen(t *testing.T) {
	for name, s := range setups() {
		docs := documents(t, s)
		if len(docs) < 4 {
			t.Fatalf("%s: only %d policies", name, len(docs))
		}
		for where, doc := range docs {
			for _, st := range doc.Statements {
				if fault := open(where, st); fault != "" {
					t.Errorf("%s, %s: %s: %+v", name, where, fault, st)
				}
			}
		}
	}
}

// open says what is wrong with a statement, "" for nothing.
func open(where string, st policy.Statement) string {
	wild, everyone, services := false, false, false
	for _, list := range [][]string{st.Actions, st.Resources} {
		for _, v := range list {
			wild = wild || v == "*" || strings.HasSuffix(v, ":*")
		}
	}
	for _, p := range st.Principals {
		everyone = everyone || p.Type == "*" || p.Value == "*"
		services = services || p.Type == "Service"
	}
	conditions := len(st.Conditions) > 0
	switch {
	case len(st.NotPrincipals) > 0 || len(st.NotActions) > 0 || len(st.NotResources) > 0:
		return "is of all but some"
	case st.Effect == policy.EffectDeny && !conditions:
		return "denies without a condition"
	case st.Effect == policy.EffectDeny:
		return ""
	case everyone:
		return "allows everyone"
	case where == "role AssumeRolePolicyDocument" || where == "role-policy PolicyDocument":
		if wild {
			return "allows everything"
		}
		return ""
	case where == "key KeyPolicy" && st.SID == "EnableIAMPolicies":
		return ""
	case (wild || services) && !conditions:
		return "has no condition"
	}
	return ""
}

func TestOpenStatementsAreFound(t *testing.T) {
	for name, text := range map[string]string{
		"is of all but some":         `{"Effect":"Allow","NotPrincipal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/x"}`,
		"denies without a condition": `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}`,
		"allows everyone":            `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/x","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`,
		"has no condition":           `{"Effect":"Allow","Principal":{"Service":"x.amazonaws.com"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/x"}`,
	} {
		doc := parse(t, `{"Version":"2012-10-17","Statement":[`+text+`]}`)[0]
		if got := open("bucket policy", doc.Statements[0]); got != name {
			t.Errorf("%s: got %q, want %q", text, got, name)
		}
	}
}

func TestResourcesComeAfterWhatTheyDependOn(t *testing.T) {
	for name, s := range setups() {
		seen := map[string]bool{}
		kinds := map[provision.Kind]bool{}
		for _, r := range s.Resources() {
			if r.ID == "" || r.Name == "" || seen[r.ID] {
				t.Errorf("%s: %+v has no ID or name of its own", name, r)
			}
			for _, id := range append(slices.Clone(r.DependsOn), r.Of) {
				if id != "" && !seen[id] {
					t.Errorf("%s: %s comes before %s", name, r.ID, id)
				}
			}
			if key := strings.Contains(encode(t, r.Properties), provision.KeyARN); key != slices.Contains(r.DependsOn, "key") {
				t.Errorf("%s: %s names the key: %t, depends on it: %t", name, r.ID, key, !key)
			}
			seen[r.ID], kinds[r.Kind] = true, true
		}
		if name == "everything" && len(kinds) != 21 {
			t.Errorf("everything has %d kinds", len(kinds))
		}
	}
}

func TestSetupTravelsAsJSON(t *testing.T) {
	for name, s := range setups() {
		for _, s := range []provision.Setup{s, s.Defaults()} {
			var got provision.Setup
			if err := json.Unmarshal([]byte(encode(t, s)), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(s.Resources(), got.Resources()); diff != "" {
				t.Errorf("%s (-here +there):\n%s", name, diff)
			}
		}
	}
}

// A queue that others can send to would have the collector read what they say.
func TestQueueAndInvocationBucketAreForTheirServices(t *testing.T) {
	s := everything()
	const queue = "arn:aws:sqs:eu-central-1:111122223333:ai-trail-log-files"
	const objects = "arn:aws:s3:::ai-trail-invocations-111122223333-eu-central-1/bedrock/AWSLogs/111122223333/BedrockModelInvocationLogs/x"
	const key = "arn:aws:kms:eu-central-1:111122223333:key/k"
	s3, bedrock := policy.Principal{Service: "s3.amazonaws.com"}, policy.Principal{Service: "bedrock.amazonaws.com"}
	log, jobs := "arn:aws:s3:::ai-trail-111122223333-eu-central-1", "arn:aws:bedrock:eu-central-1:111122223333:x"
	for _, tt := range []struct {
		document         string
		who              policy.Principal
		action, resource string
		source, account  string
		tls              string
		want             policy.Decision
	}{
		{s.QueuePolicy(), s3, "sqs:SendMessage", queue, log, "111122223333", "true", policy.Allow},
		{s.QueuePolicy(), s3, "sqs:SendMessage", queue, "arn:aws:s3:::other", "111122223333", "true", policy.ImplicitDeny},
		{s.QueuePolicy(), s3, "sqs:SendMessage", queue, log, "999999999999", "true", policy.ImplicitDeny},
		{s.QueuePolicy(), s3, "sqs:ReceiveMessage", queue, log, "111122223333", "true", policy.ImplicitDeny},
		{s.QueuePolicy(), s3, "sqs:SendMessage", queue, log, "111122223333", "false", policy.Deny},
		{s.InvocationBucketPolicy(), bedrock, "s3:PutObject", objects, jobs, "111122223333", "true", policy.Allow},
		{s.InvocationBucketPolicy(), bedrock, "s3:PutObject", objects, jobs, "999999999999", "true", policy.ImplicitDeny},
		{s.InvocationBucketPolicy(), bedrock, "s3:PutObject", objects, "arn:aws:bedrock:us-east-1:111122223333:x", "111122223333", "true", policy.ImplicitDeny},
		{s.InvocationBucketPolicy(), bedrock, "s3:GetObject", objects, jobs, "111122223333", "true", policy.ImplicitDeny},
		{s.InvocationBucketPolicy(), policy.Principal{Service: "cloudtrail.amazonaws.com"}, "s3:PutObject", objects, jobs, "111122223333", "true", policy.ImplicitDeny},
		{s.KeyPolicy(), bedrock, "kms:GenerateDataKey", key, jobs, "111122223333", "true", policy.Allow},
		{s.KeyPolicy(), bedrock, "kms:Decrypt", key, jobs, "111122223333", "true", policy.ImplicitDeny},
		{one().KeyPolicy(), bedrock, "kms:GenerateDataKey", key, jobs, "111122223333", "true", policy.ImplicitDeny},
	} {
		ctx := policy.Context{"aws:SourceArn": {tt.source}, "aws:SourceAccount": {tt.account}, "aws:SecureTransport": {tt.tls}}
		got := policy.Evaluate(parse(t, tt.document), policy.Request{Principal: tt.who, Action: tt.action, Resource: tt.resource, Context: ctx})
		if got != tt.want {
			t.Errorf("%+v %s from %s of %s: got %v, want %v", tt.who, tt.action, tt.source, tt.account, got, tt.want)
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
	s.LakeBucket = "lake"
	got := s.Selectors()[1].FieldSelectors
	want := provision.FieldSelector{Field: "resources.ARN", NotStartsWith: []string{s.BucketARN() + "/", "arn:aws:s3:::lake/"}}
	if !slices.ContainsFunc(got, func(f provision.FieldSelector) bool { return cmp.Equal(f, want) }) {
		t.Errorf("got %+v, want among them %+v", got, want)
	}
}

func TestValidate(t *testing.T) {
	for _, s := range setups() {
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
		"data_types": func(s *provision.Setup) {
			for i := range 250 {
				s.DataTypes = append(s.DataTypes, fmt.Sprint("AWS::X::", i))
			}
		},
		"own_key":                   func(s *provision.Setup) { s.OwnKey, s.KMSKey = true, "arn:aws:kms:eu-central-1:111122223333:key/k" },
		"object_lock_days":          func(s *provision.Setup) { s.ObjectLockDays, s.RetentionDays = 30, 7 },
		"object_lock_mode":          func(s *provision.Setup) { s.ObjectLockDays, s.ObjectLockMode = 30, "NONE" },
		"queue":                     func(s *provision.Setup) { s.Queue = "a b" },
		"invocation_bucket":         func(s *provision.Setup) { s.InvocationLogging, s.InvocationBucket = true, s.Defaults().Bucket },
		"invocation_retention_days": func(s *provision.Setup) { s.InvocationRetentionDays = -1 },
		"lake_bucket":               func(s *provision.Setup) { s.LakeBucket = s.Defaults().Bucket },
		"database":                  func(s *provision.Setup) { s.LakeBucket, s.Database = "lake", "a-b" },
		"workgroup":                 func(s *provision.Setup) { s.LakeBucket, s.Workgroup = "lake", "a b" },
		"delegated_admin":           func(s *provision.Setup) { s.DelegatedAdmin = "444455556666" },
	} {
		s := one()
		change(&s)
		var invalid *provision.InvalidError
		if err := s.Validate(); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func ExampleSetup_Selectors() {
	s := provision.Setup{Account: "111122223333", Region: "eu-central-1", DataTypes: []string{"AWS::Bedrock::AgentAlias"}}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(s.Selectors()); err != nil {
		panic(err)
	}
	fmt.Print(b.String())
	// Output:
	// [{"Name":"aitrail management","FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]}]},{"Name":"aitrail AWS::Bedrock::AgentAlias","FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]},{"Field":"resources.type","Equals":["AWS::Bedrock::AgentAlias"]}]}]
}
