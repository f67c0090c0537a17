package live_test

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/object/objecttest"
	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/live"
)

// startMoto starts moto's server, another implementation of AWS, which has Glue and Athena.
func startMoto(t *testing.T) aws.Config {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is missing: Glue and Athena have not been tested, nor all else against a second implementation")
	}
	objecttest.NoAWS(t)
	cmd := exec.CommandContext(t.Context(), path, "-H", "127.0.0.1", "-p", "0")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // killed when the test's context ends
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url := address.FindString(lines.Text()); url != "" {
			go func() {
				for lines.Scan() { // its log must not stop it
				}
			}()
			return aws.Config{Region: "eu-west-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
		}
	}
	t.Fatalf("moto_server ended: %v", lines.Err())
	return aws.Config{}
}

func TestMoto(t *testing.T) {
	cfg := startMoto(t)
	s := provision.Setup{Account: "123456789012", Region: "eu-west-1", OwnKey: true, ObjectLockDays: 3, LakeBucket: "lake-123456789012", DataTypes: []string{"AWS::Bedrock::Guardrail"}}
	run := func() (steps []string) {
		t.Helper()
		if _, err := live.Apply(t.Context(), cfg, s, func(s live.Step) { steps = append(steps, s.ID+": "+string(s.Action)) }); err != nil {
			t.Fatalf("after %v: %v", steps, err)
		}
		return slices.DeleteFunc(steps, func(s string) bool { return strings.HasSuffix(s, ": unchanged") })
	}
	if steps := run(); len(steps) < 20 {
		t.Errorf("made %v", steps)
	}
	if steps := run(); len(steps) > 0 {
		t.Errorf("again: %v", steps)
	}
	if got := found(t, cfg, s); len(got) > 0 {
		t.Errorf("doctor: %v", got)
	}
	// What was changed by hand is found and mended.
	// moto has no UpdateWorkGroup; what is asked of Athena is looked at instead.
	updated, plain := "", cfg.Copy()
	cfg.HTTPClient = answering(func(r *http.Request) (int, string) {
		switch strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonAthena.") {
		case "GetWorkGroup":
			if updated == "" {
				return http.StatusOK, `{"WorkGroup":{"Name":"ai-trail","Configuration":{"EnforceWorkGroupConfiguration":false}}}`
			}
		case "UpdateWorkGroup":
			text, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			updated = string(text)
			return http.StatusOK, `{}`
		}
		return 0, ""
	})
	tables := glue.NewFromConfig(cfg)
	_, err := tables.UpdateDatabase(t.Context(), &glue.UpdateDatabaseInput{Name: aws.String("aitrail"), DatabaseInput: &gluetypes.DatabaseInput{
		Name: aws.String("aitrail"), LocationUri: aws.String("s3://elsewhere/"), Parameters: map[string]string{"aitrail:set-up": "ai-trail", "mine": "too"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"database: drift", "workgroup: drift"}, found(t, cfg, s)); diff != "" {
		t.Errorf("drift (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"database: update", "workgroup: update"}, run()); diff != "" {
		t.Errorf("mended (-want +got):\n%s", diff)
	}
	for _, want := range []string{`"EnforceWorkGroupConfiguration":true`, `"OutputLocation":"s3://lake-123456789012/athena-results/"`, `"EncryptionOption":"SSE_KMS"`} {
		if !strings.Contains(updated, want) {
			t.Errorf("Athena was asked %s, not %s", updated, want)
		}
	}
	db, err := tables.GetDatabase(t.Context(), &glue.GetDatabaseInput{Name: aws.String("aitrail")})
	if err != nil || db.Database.Parameters["mine"] != "too" {
		t.Errorf("the database's other parameters: %+v, %v", db, err)
	}
	// A database with tables is kept.
	if _, err := tables.CreateTable(t.Context(), &glue.CreateTableInput{DatabaseName: aws.String("aitrail"), TableInput: &gluetypes.TableInput{Name: aws.String("events")}}); err != nil {
		t.Fatal(err)
	}
	var kept []string
	err = live.Down(t.Context(), plain, s, func(s live.Step) {
		if s.Action == live.Keep {
			kept = append(kept, s.ID+": "+s.Reason)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"database: holds the lake's tables"}, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}
