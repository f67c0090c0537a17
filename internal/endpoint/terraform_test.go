package endpoint_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint"
)

// mirrors are the folders in which Terraform itself looks for providers, and the one a variable names.
func mirrors() []string {
	list := []string{os.Getenv("AITRAIL_TERRAFORM_MIRROR")}
	if home, err := os.UserHomeDir(); err == nil {
		list = append(list, filepath.Join(home, ".terraform.d/plugins"))
	}
	return append(list, "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins")
}

// terraform is a folder with a configuration, and Terraform to work in it.
type terraform struct {
	t    *testing.T
	ctx  context.Context
	path string
	dir  string
	env  []string
}

func newTerraform(t *testing.T, b *bench) *terraform {
	t.Helper()
	path, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is missing: the whole set-up has not been created with it")
	}
	mirror := ""
	for _, dir := range mirrors() {
		if _, err := os.Stat(filepath.Join(dir, "registry.terraform.io/hashicorp/aws")); dir != "" && err == nil {
			mirror = dir
			break
		}
	}
	if mirror == "" {
		t.Skip("Terraform's AWS provider is missing: AITRAIL_TERRAFORM_MIRROR names no folder that has registry.terraform.io/hashicorp/aws")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	t.Cleanup(cancel)
	tf := &terraform{t: t, ctx: ctx, path: path, dir: t.TempDir()}
	config := filepath.Join(tf.dir, "terraform.rc")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(config, "provider_installation {\n  filesystem_mirror {\n    path = \""+mirror+"\"\n  }\n}\n")
	main, err := os.ReadFile("testdata/terraform/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(tf.dir, "main.tf"), string(main))
	id, secret := b.RootKey()
	tf.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + tf.dir, "TF_CLI_CONFIG_FILE=" + config, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1",
		"AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=" + secret, "TF_VAR_endpoint=" + b.url,
	}
	return tf
}

// run runs a command of Terraform's and returns its exit code, which is not 1, and what it printed.
func (tf *terraform) run(args ...string) (int, string) {
	tf.t.Helper()
	began := time.Now()
	cmd := exec.CommandContext(tf.ctx, tf.path, args...)
	cmd.Dir, cmd.Env = tf.dir, tf.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || tf.ctx.Err() != nil) {
		tf.t.Fatalf("terraform %v: %v\n%s", args, err, out.String())
	}
	code := cmd.ProcessState.ExitCode()
	if code == 1 {
		tf.t.Fatalf("terraform %v failed:\n%s", args, out.String())
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "Apply complete") || strings.HasPrefix(line, "Plan:") || strings.HasPrefix(line, "Destroy complete") {
			tf.t.Logf("terraform %s: %s", args[0], strings.TrimSpace(line))
		}
	}
	tf.t.Logf("terraform %s took %v", args[0], time.Since(began).Round(time.Second))
	return code, out.String()
}

// Terraform creates the whole set-up, finds nothing to change, changes four things, and destroys it. The provider waits for minutes to see whether settings stay.
func TestTerraform(t *testing.T) {
	if testing.Short() {
		t.Skip("Terraform takes minutes; not with -short")
	}
	b := open(t, endpoint.Options{})
	tf := newTerraform(t, b)
	tf.run("init", "-input=false", "-no-color")
	tf.run("apply", "-input=false", "-no-color", "-auto-approve")
	if code, out := tf.run("plan", "-input=false", "-no-color", "-detailed-exitcode"); code != 0 {
		t.Errorf("what was created is not as it is written:\n%s", out)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := b.json(t, "sqs", "AmazonSQS.ReceiveMessage", `{"QueueUrl":"`+b.url+`/111122223333/ai-trail-delivery"}`)
	if !strings.Contains(got, `{\"s3Bucket\":\"ai-trail-111122223333-us-east-1\",\"s3ObjectKey\":[\"cloudtrail/AWSLogs/`) {
		t.Errorf("the queue was told %s", got)
	}
	tf.env = append(tf.env, "TF_VAR_changed=true")
	if _, out := tf.run("apply", "-input=false", "-no-color", "-auto-approve", "-refresh=false"); !strings.Contains(out, "0 added, 4 changed, 0 destroyed") {
		t.Error("not the four changes were made")
	}
	// What was changed is read again, and is as it is written, or the plan to destroy would tell of drift.
	if _, out := tf.run("destroy", "-input=false", "-no-color", "-auto-approve"); !strings.Contains(out, "22 destroyed") || strings.Contains(out, "Objects have changed outside of Terraform") {
		t.Errorf("destroying:\n%s", out)
	}

	events := map[string]int{}
	for _, e := range b.recorded() {
		events[e.EventSource]++
		if e.ErrorCode == "InternalFailure" || e.ErrorCode == "InternalError" || e.ErrorCode == "AccessDenied" {
			t.Errorf("%s of %s: %s %s", e.EventName, e.EventSource, e.ErrorCode, e.ErrorMessage)
		}
	}
	text, err := json.Marshal(events)
	t.Logf("recorded %s, %v", text, err)
	for _, source := range []string{"cloudtrail", "iam", "kms", "logs", "monitoring", "s3", "sns", "sqs", "sts"} {
		if events[source+".amazonaws.com"] == 0 {
			t.Errorf("no event of %s", source)
		}
	}
}
