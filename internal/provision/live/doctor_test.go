package live_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/live"
)

// found examines an account and returns the checks that aren't ok, as "ID: status", without notes.
func found(t *testing.T, cfg aws.Config, s provision.Setup) []string {
	t.Helper()
	checks, err := live.Examine(t.Context(), cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, c := range checks {
		if (c.Fix == "") != (c.Status == live.OK) && c.Status != live.Unknown {
			t.Errorf("%s is %s, and the fix is %q", c.ID, c.Status, c.Fix)
		}
		if c.Status != live.OK && c.Status != live.Note {
			list = append(list, c.ID+": "+string(c.Status))
		}
	}
	return list
}

func TestExamineFinds(t *testing.T) {
	e := startEndpoint(t)
	s := here()
	s.DataTypes = []string{"AWS::Bedrock::Guardrail", "AWS::Bedrock::AgentAlias", "AWS::Lex::Bot"}
	cfg := e.config()
	c, objects := cloudtrail.NewFromConfig(cfg), buckets(e)
	out, _ := apply(t, e, s)
	if got := found(t, cfg, s); len(got) > 0 {
		t.Fatalf("after Apply: %v", got)
	}
	e.called()
	found(t, cfg, s)
	for op := range e.called() {
		if !reads(op) {
			t.Errorf("examining called %s", op)
		}
	}
	field := func(name string, values ...string) types.AdvancedFieldSelector {
		return types.AdvancedFieldSelector{Field: &name, Equals: values}
	}
	put := func(list ...types.AdvancedEventSelector) error {
		_, err := c.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: &out.TrailARN, AdvancedEventSelectors: list})
		return err
	}
	named := func(name string, fields ...types.AdvancedFieldSelector) types.AdvancedEventSelector {
		return types.AdvancedEventSelector{Name: &name, FieldSelectors: fields}
	}
	for _, tt := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"stopped", func() error {
			_, err := c.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: &out.TrailARN})
			return err
		}, []string{"trail-logging: drift", "management-events: missing", "data-bedrock: missing", "data-lex: missing"}},
		{"one Region, no digests", func() error {
			_, err := c.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: &out.TrailARN, IsMultiRegionTrail: aws.Bool(false), EnableLogFileValidation: aws.Bool(false)})
			return err
		}, []string{"trail-regions: drift", "trail-validation: drift", "management-events: missing", "data-bedrock: missing", "data-lex: missing"}},
		{"writes only, one type", func() error {
			return put(named("m", field("eventCategory", "Management"), field("readOnly", "false")),
				named("g", field("eventCategory", "Data"), field("resources.type", "AWS::Bedrock::Guardrail")))
		}, []string{"trail-selectors: drift", "management-events: drift", "data-bedrock: drift", "data-lex: missing"}},
		{"one agent's alias only", func() error {
			var list []types.AdvancedEventSelector
			for _, sel := range s.Selectors() {
				a := named(sel.Name)
				for _, f := range sel.FieldSelectors {
					a.FieldSelectors = append(a.FieldSelectors, field(f.Field, f.Equals...))
				}
				if strings.HasSuffix(sel.Name, "AgentAlias") {
					a.FieldSelectors = append(a.FieldSelectors, field("resources.ARN", "arn:aws:bedrock:us-east-1:111122223333:agent-alias/a/b"))
				}
				list = append(list, a)
			}
			return put(list...)
		}, []string{"trail-selectors: drift", "data-bedrock: drift"}},
		{"records its own bucket", func() error {
			sel, err := c.GetEventSelectors(t.Context(), &cloudtrail.GetEventSelectorsInput{TrailName: &out.TrailARN})
			if err != nil {
				return err
			}
			return put(append(sel.AdvancedEventSelectors, named("s3", field("eventCategory", "Data"), field("resources.type", "AWS::S3::Object")))...)
		}, []string{"log-bucket-unrecorded: drift"}},
		{"recorded twice", func() error {
			p := strings.ReplaceAll(s.BucketPolicy(), "trail/ai-trail", "trail/*")
			p = strings.ReplaceAll(p, `"StringEquals":{"aws:SourceArn"`, `"StringLike":{"aws:SourceArn"`)
			if _, err := objects.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &out.Bucket, Policy: &p}); err != nil {
				return err
			}
			if _, err := c.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("second"), S3BucketName: &out.Bucket, S3KeyPrefix: &out.Prefix, IsMultiRegionTrail: aws.Bool(true)}); err != nil {
				return err
			}
			_, err := c.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("second")})
			return err
		}, []string{"log-bucket-policy: drift", "recorded-once: drift"}},
		{"open bucket", func() error {
			for _, name := range []string{"second"} { // of the case before
				if _, err := c.DeleteTrail(t.Context(), &cloudtrail.DeleteTrailInput{Name: &name}); err != nil {
					return err
				}
			}
			if _, err := objects.DeletePublicAccessBlock(t.Context(), &s3.DeletePublicAccessBlockInput{Bucket: &out.Bucket}); err != nil {
				return err
			}
			p := strings.Replace(s.BucketPolicy(), `"Statement":[`, `"Statement":[{"Sid":"Open","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::`+out.Bucket+`/*"},`, 1)
			_, err := objects.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &out.Bucket, Policy: &p})
			return err
		}, []string{"log-bucket-public-access: missing", "log-bucket-not-public: drift"}},
		{"requesters pay", func() error {
			if _, err := objects.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &out.Bucket, Policy: aws.String(s.BucketPolicy())}); err != nil {
				return err
			}
			_, err := objects.PutBucketRequestPayment(t.Context(), &s3.PutBucketRequestPaymentInput{Bucket: &out.Bucket, RequestPaymentConfiguration: &s3types.RequestPaymentConfiguration{Payer: s3types.PayerRequester}})
			return err
		}, []string{"log-bucket-payer: drift"}},
	} {
		if err := tt.do(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		got := slices.DeleteFunc(found(t, cfg, s), func(f string) bool {
			return strings.HasPrefix(f, "log-bucket-unrecorded") && tt.name != "records its own bucket"
		})
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		apply(t, e, s)
	}
}

// asUser returns a configuration of a user with the policy.
func asUser(t *testing.T, e *local, policy string) aws.Config {
	t.Helper()
	c := iam.NewFromConfig(e.config())
	name := aws.String("doctor")
	_, _ = c.CreateUser(t.Context(), &iam.CreateUserInput{UserName: name}) // it may be there
	if _, err := c.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("p"), PolicyDocument: &policy}); err != nil {
		t.Fatal(err)
	}
	key, err := c.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = c.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: key.AccessKey.AccessKeyId})
	})
	cfg := e.config()
	cfg.Credentials = credentials.NewStaticCredentialsProvider(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
	return cfg
}

// With the printed policy everything can be looked at; without any of its actions something can't.
func TestDoctorPolicyIsTheLeast(t *testing.T) {
	e := startEndpoint(t)
	s := here()
	s.DataTypes, s.OwnKey, s.InvocationLogging, s.ObjectLockDays = []string{"AWS::Bedrock::Guardrail"}, true, true, 1
	apply(t, e, s)
	var doc struct {
		Version   string
		Statement []struct {
			Sid, Effect      string
			Action, Resource []string
		}
	}
	if err := json.Unmarshal([]byte(s.DoctorPolicy()), &doc); err != nil {
		t.Fatal(err)
	}
	cfg := asUser(t, e, s.DoctorPolicy())
	if got := found(t, cfg, s); len(got) > 0 {
		t.Errorf("with the whole policy: %v", got)
	}
	n := 0
	for i, st := range doc.Statement {
		for j := range st.Action {
			n++
			without := doc
			without.Statement = slices.Clone(doc.Statement)
			without.Statement[i].Action = slices.Delete(slices.Clone(st.Action), j, j+1)
			if len(without.Statement[i].Action) == 0 {
				without.Statement = slices.Delete(without.Statement, i, i+1)
			}
			text, err := json.Marshal(without)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := iam.NewFromConfig(e.config()).PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("doctor"), PolicyName: aws.String("p"), PolicyDocument: aws.String(string(text))}); err != nil {
				t.Fatal(err)
			}
			checks, err := live.Examine(t.Context(), cfg, s)
			if err != nil {
				t.Fatal(err)
			}
			unknown, ok := 0, 0
			for _, c := range checks {
				switch c.Status {
				case live.Unknown:
					unknown++
				case live.OK:
					ok++
				case live.Drift, live.Missing:
					t.Errorf("without %s: %s is %s", st.Action[j], c.ID, c.Status)
				}
			}
			if unknown == 0 || ok < 10 {
				t.Errorf("without %s: %d checks unknown, %d ok", st.Action[j], unknown, ok)
			}
		}
	}
	if n < 25 {
		t.Errorf("only %d actions", n)
	}
}

func TestExamineReportsDeliveryErrors(t *testing.T) {
	e := startEndpoint(t)
	s := here()
	s.DataTypes = []string{}
	apply(t, e, s)
	cfg := e.config()
	cfg.HTTPClient = answering(func(r *http.Request) (int, string) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetTrailStatus") {
			return http.StatusOK, `{"IsLogging":true,"LatestDeliveryError":"AccessDenied","LatestDigestDeliveryError":"NoSuchBucket"}`
		}
		return 0, ""
	})
	if diff := cmp.Diff([]string{"delivery: drift"}, found(t, cfg, s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
