package live_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/object/objecttest"
	"github.com/aitrail/aitrail/internal/provision"
)

// override makes the provider use the endpoint, and lets buckets be destroyed with what they hold.
const override = `
provider "aws" {
  s3_use_path_style       = true
  skip_metadata_api_check = true
  skip_region_validation  = true
}

resource "aws_s3_bucket" "log_bucket" {
  force_destroy = true
}

resource "aws_s3_bucket" "invocation_bucket" {
  force_destroy = true
}
`

// terraform is a folder with a configuration, and Terraform to work in it.
type terraform struct {
	t   *testing.T
	dir string
	env []string
}

// newTerraform skips where Terraform or its AWS provider is missing. AITRAIL_TERRAFORM_MIRROR names a folder with the provider.
func newTerraform(t *testing.T, e *local) *terraform {
	t.Helper()
	if testing.Short() {
		t.Skip("Terraform takes minutes; not with -short")
	}
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("terraform is missing: the configuration has not been applied")
	}
	mirror := os.Getenv("AITRAIL_TERRAFORM_MIRROR")
	if _, err := os.Stat(filepath.Join(mirror, "registry.terraform.io/hashicorp/aws")); mirror == "" || err != nil {
		t.Skip("Terraform's AWS provider is missing: AITRAIL_TERRAFORM_MIRROR names no folder that has registry.terraform.io/hashicorp/aws")
	}
	tf := &terraform{t: t, dir: t.TempDir()}
	tf.write("terraform.rc", "provider_installation {\n  filesystem_mirror {\n    path = \""+mirror+"\"\n  }\n}\n")
	id, secret := e.server.RootKey()
	tf.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + tf.dir, "TF_CLI_CONFIG_FILE=" + filepath.Join(tf.dir, "terraform.rc"), "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1",
		"AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_ENDPOINT_URL=" + e.url,
	}
	return tf
}

func (tf *terraform) write(name, text string) {
	tf.t.Helper()
	if err := os.WriteFile(filepath.Join(tf.dir, name), []byte(text), 0o600); err != nil {
		tf.t.Fatal(err)
	}
}

// run runs a command of Terraform's and returns its exit code, which is not 1, and what it printed.
func (tf *terraform) run(args ...string) (int, string) {
	tf.t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(tf.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "terraform", append(args, "-no-color")...)
	cmd.Dir, cmd.Env = tf.dir, tf.env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() == 1 || ctx.Err() != nil) {
		tf.t.Fatalf("terraform %v: %v\n%s", args, err, out)
	}
	tf.t.Logf("terraform %s took %v", args[0], time.Since(began).Round(time.Second))
	return cmd.ProcessState.ExitCode(), string(out)
}

// Terraform makes what the desired state says: its own second plan is empty, and so is ours; then it takes all away.
func TestTerraform(t *testing.T) {
	e := startEndpoint(t)
	tf := newTerraform(t, e)
	s := here()
	s.OwnKey, s.InvocationLogging, s.RetentionDays = true, true, 400
	tf.write("main.tf", s.Terraform())
	tf.write("endpoint_override.tf", override)
	tf.run("init", "-input=false")
	if code, out := tf.run("fmt", "-check", "-diff", "main.tf"); code != 0 {
		t.Errorf("not as terraform fmt writes it:\n%s", out)
	}
	tf.run("apply", "-input=false", "-auto-approve")
	if code, out := tf.run("plan", "-input=false", "-detailed-exitcode"); code != 0 {
		t.Errorf("what was applied is not as it is written:\n%s", out)
	}
	_, steps := apply(t, e, s)
	for _, step := range steps {
		if !strings.HasSuffix(step, ": unchanged") {
			t.Errorf("after Terraform: %s", step)
		}
	}
	_, out := tf.run("output")
	for _, want := range []string{`bucket_name = "ai-trail-111122223333-us-east-1"`, `trail_arn = "arn:aws:cloudtrail:us-east-1:111122223333:trail/ai-trail"`} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("outputs have no %s:\n%s", want, out)
		}
	}
	if _, out := tf.run("destroy", "-input=false", "-auto-approve"); !strings.Contains(out, "Destroy complete") {
		t.Errorf("destroying:\n%s", out)
	}
}

// every is a set-up with every option on.
func every() provision.Setup {
	s := here()
	s.OwnKey, s.ObjectLockDays, s.RetentionDays, s.InvocationLogging, s.LakeBucket = true, 365, 730, true, "lake-111122223333"
	s.Organization, s.DelegatedAdmin, s.Tags = "o-exampleorgid", "444455556666", map[string]string{"cost-center": "a/b = c@d"}
	s.DataTypes = []string{"AWS::S3::Object", "AWS::Bedrock::AgentAlias"}
	return s
}

func TestTerraformTakesEveryOption(t *testing.T) {
	tf := newTerraform(t, startEndpoint(t))
	tf.write("main.tf", every().Terraform())
	tf.run("init", "-input=false")
	if code, out := tf.run("fmt", "-check", "-diff"); code != 0 {
		t.Errorf("not as terraform fmt writes it:\n%s", out)
	}
	tf.run("validate")
}

func TestCloudFormationIsAccepted(t *testing.T) {
	lint, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is missing: the CloudFormation template has not been checked")
	}
	text, leftOut := every().CloudFormation()
	var kinds []string
	for _, r := range leftOut {
		kinds = append(kinds, string(r.Kind))
	}
	if diff := cmp.Diff([]string{"delegated administrator", "invocation logging"}, kinds); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	path := filepath.Join(t.TempDir(), "every.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	objecttest.NoAWS(t)
	if out, err := exec.CommandContext(t.Context(), lint, path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
