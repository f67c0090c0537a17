package collect_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	bedrocktypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	runtimetypes "github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/query"
)

// secrets stand in the prompts and answers of testdata, and in the names of places where long ones lie.
var secrets = []string{"the launch code is 0000", "the-launch-code-is-0000", "launch"}

// invocationLog is testdata's model invocation log, a record a line.
func invocationLog(t *testing.T) []string {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(testdata(t, "invocations.json.gz")))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

const invocationFolder = "AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2026/03/01/10/"

// nowhere looks for secrets in all files of a lake's folder, and in all columns of all rows.
func nowhere(t *testing.T, l *lake.Lake) {
	t.Helper()
	err := filepath.WalkDir(l.Dir(), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		for _, secret := range secrets {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s has a prompt", name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, view := range []string{"events", "calls", "invocations", "log_files", "digests"} {
		for _, row := range ask(t, l, "SELECT * FROM "+view) {
			for _, secret := range secrets {
				if strings.Contains(row, secret) {
					t.Errorf("%s has a prompt: %s", view, row)
				}
			}
		}
	}
}

// ask returns the rows of a query's answer, each as a line.
func ask(t *testing.T, l *lake.Lake, sql string) (lines []string) {
	t.Helper()
	db, err := query.Open(t.Context(), l, query.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var texts []string
		for _, v := range rows.Values() {
			texts = append(texts, query.Text(v))
		}
		lines = append(lines, strings.Join(texts, "|"))
	}
	return lines
}

// TestInvocations collects model invocation logs from a folder, where they are told by their keys and by their content, and from a log
// group: each invocation is a row, once, and no byte of a prompt is in the lake, in the report, or in the log.
func TestInvocations(t *testing.T) {
	c := local(t)
	records := invocationLog(t)
	now := time.Now().UTC()
	put := c.group("bedrock")
	event := record(key("111122223333", "us-east-1", now, 1))
	put(now, append(records[2:], event, records[0], records[0][:200]+secrets[0])...)
	dir := t.TempDir()
	write(t, filepath.Join(dir, invocationFolder, "20260301T100000123Z_0123456789abcdef.json.gz"), testdata(t, "invocations.json.gz"))
	write(t, filepath.Join(dir, invocationFolder, "20260301T101000123Z_broken.json.gz"), testdata(t, "broken-invocations.json"))
	write(t, filepath.Join(dir, invocationFolder, "20260301T102000123Z_lost.json.gz"), []byte(`{"note":"the launch code is 0000"}`))
	write(t, filepath.Join(dir, invocationFolder, "data/2_input.json.gz"), []byte(`{"Records":[{"eventName":"the launch code is 0000"}]}`))
	write(t, filepath.Join(dir, invocationFolder, "amazon-bedrock-logs-permission-check"), nil)
	write(t, filepath.Join(dir, "copies", "copy.json.gz"), testdata(t, "invocations.json.gz"))
	write(t, filepath.Join(dir, "copies", "prompt.json"), []byte(`{"messages":["the launch code is 0000"]}`))

	var log bytes.Buffer
	l := newLake(t, t.TempDir())
	opts := collect.Options{Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	report, err := collect.Collect(t.Context(), l, []string{dir, "logs:bedrock"}, opts)
	if err != nil {
		t.Fatal(err)
	}
	if report.Invocations != 5 || report.Events != 1 || report.Quarantined != 3 || report.Other != 3 || report.Duplicates != 5+4 {
		t.Errorf("%+v", report)
	}
	nowhere(t, l)
	for what, text := range map[string]string{"report": fmt.Sprintf("%+v", report), "log": log.String()} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) || log.Len() == 0 {
				t.Errorf("the %s has a prompt: %s", what, text)
			}
		}
	}
	want := []string{
		"0|Converse|anthropic.claude-sonnet-4-5-20250929-v1:0|10|20|4|2|812|end_turn||",
		"1|InvokeModelWithResponseStream|anthropic.claude-sonnet-4-5-20250929-v1:0|10|5|4|2|3037|max_tokens||",
		"2|InvokeModel|anthropic.claude-sonnet-4-5-20250929-v1:0|10|20|4|2||stop|INTERVENED|",
		"3|Converse|anthropic.claude-sonnet-4-5-20250929-v1:0|10||4|2||||ThrottlingException",
		"4|Converse|anthropic.claude-sonnet-4-5-20250929-v1:0|10|20|4|2|812|end_turn||",
	}
	got := ask(t, l, `SELECT right(request_id, 1), operation, model_id, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, latency_ms,
		stop_reason, guardrail_action, error_code FROM invocations ORDER BY 1`)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if again, err := collect.Collect(t.Context(), l, []string{dir, "logs:bedrock"}, opts); err != nil || again.Invocations != 0 {
		t.Errorf("collected again: %+v, %v", again, err)
	}
}

// TestPromptsKept keeps prompts, answers, their places and the callers' metadata where that is asked for.
func TestPromptsKept(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "i.json.gz"), testdata(t, "invocations.json.gz"))
	l := newLake(t, t.TempDir())
	if _, err := collect.Collect(t.Context(), l, []string{dir}, collect.Options{KeepPrompts: true}); err != nil {
		t.Fatal(err)
	}
	got := ask(t, l, `SELECT count(*) FILTER (input_body LIKE '%launch%'), count(*) FILTER (output_body LIKE '%launch%'), count(input_body_s3),
		count(request_metadata) FROM invocations`)
	if len(got) != 1 || got[0] != "4|4|1|5" {
		t.Errorf("kept: %v", got)
	}
}

// TestFollowInvocations follows a bucket and a queue in which model invocation logs and digests lie beside log files.
func TestFollowInvocations(t *testing.T) {
	c := local(t)
	c.bucket("trail")
	q := c.queue("files", nil)
	object := func(key string, body []byte) {
		t.Helper()
		bucket := "trail"
		_, err := c.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
		c.must(err)
	}
	records := invocationLog(t)
	lines := func(from, to int) []byte { return []byte(strings.Join(records[from:to], "\n")) }
	const organization = "AWSLogs/o-exampleorgid/444455556666/BedrockModelInvocationLogs/eu-west-1/2026/03/01/10/"
	c.put("trail", key("111122223333", "us-east-1", noon, 1))
	object(invocationFolder+"20260301T100000123Z_a.json.gz", lines(0, 1))
	object(invocationFolder+"data/x_input.json.gz", []byte(`{"messages":["the launch code is 0000"]}`))
	object(organization+"20260301T100000123Z_a.json.gz", lines(1, 2))
	object("AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/03/01/111122223333_CloudTrail-Digest_us-east-1_example_us-east-1_20260301T110000Z.json.gz", testdata(t, "digest.json.gz"))
	l := newLake(t, t.TempDir())
	const source = "s3://trail"
	invocations := func(r *running, n int64) {
		t.Helper()
		r.until(fmt.Sprintf("%d invocations", n), func() bool { return r.Report().Invocations == n })
	}
	r := follow(t, l, fast(source), source)
	invocations(r, 2)
	r.until("a digest", func() bool { return r.Report().Digests == 1 })
	object(strings.Replace(invocationFolder, "/10/", "/11/", 1)+"20260301T110000123Z_b.json.gz", lines(2, 3))
	object(invocationFolder+"20260301T105500123Z_late.json.gz", lines(3, 4))
	invocations(r, 4)
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	last := invocationFolder + "20260301T105900123Z_c.json.gz"
	object(last, lines(3, 5))
	c.send(q, s3Event("trail", last))
	c.send(q, s3Event("trail", invocationFolder+"data/x_input.json.gz"))
	queue := "sqs:" + q
	report, err := collect.Collect(t.Context(), l, []string{queue}, collect.Options{Settings: map[string]collect.Settings{queue: {Buckets: []string{"trail"}}}})
	if err != nil || report.Invocations != 1 || report.Duplicates != 1 || report.Other != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	nowhere(t, l)
	if got := ask(t, l, "SELECT count(*), count(DISTINCT request_id) FROM invocations"); got[0] != "5|5" {
		t.Errorf("invocations: %v", got)
	}
	if got := ask(t, l, "SELECT trail, start_time, log_file_count FROM digests"); len(got) != 1 || got[0] != "example|2026-03-01T10:00:00Z|1" {
		t.Errorf("digests: %v", got)
	}
}

// may is a bucket's policy that lets CloudTrail and Bedrock deliver there, as AWS documents them.
func may(bucket string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":["s3:GetBucketAcl","s3:PutObject"],"Resource":["arn:aws:s3:::%[1]s","arn:aws:s3:::%[1]s/*"]},
		{"Effect":"Allow","Principal":{"Service":"bedrock.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::%[1]s/logs/AWSLogs/111122223333/BedrockModelInvocationLogs/*",
			"Condition":{"StringEquals":{"aws:SourceAccount":"111122223333"},"ArnLike":{"aws:SourceArn":"arn:aws:bedrock:us-east-1:111122223333:*"}}}]}`, bucket)
}

// TestInvocationsOfTheEndpoint makes calls of models on the endpoint, which delivers model invocation logs to a bucket and a log group as
// Bedrock does: each call is joined to its invocation, once.
func TestInvocationsOfTheEndpoint(t *testing.T) {
	c := local(t)
	c.bucket("trail")
	bucket, policy := "trail", may("trail")
	control, models := bedrock.NewFromConfig(c.cfg), bedrockruntime.NewFromConfig(c.cfg)
	config := &bedrocktypes.LoggingConfig{S3Config: &bedrocktypes.S3Config{BucketName: &bucket, KeyPrefix: aws.String("logs")}}
	setUp := &bedrock.PutModelInvocationLoggingConfigurationInput{LoggingConfig: config}
	if _, err := control.PutModelInvocationLoggingConfiguration(t.Context(), setUp); err == nil || !strings.Contains(err.Error(), "Failed to validate permissions for bucket: trail") {
		t.Errorf("without a policy: %v", err)
	}
	_, err := c.s3.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy})
	c.must(err)
	c.group("models")
	roles := iam.NewFromConfig(c.cfg)
	_, err = roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("logs"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	c.must(err)
	config.CloudWatchConfig = &bedrocktypes.CloudWatchConfig{LogGroupName: aws.String("models"), RoleArn: aws.String("arn:aws:iam::111122223333:role/logs")}
	if _, err := control.PutModelInvocationLoggingConfiguration(t.Context(), setUp); err == nil || !strings.Contains(err.Error(), "Failed to validate permissions for log group: models") {
		t.Errorf("without permission: %v", err)
	}
	_, err = roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("logs"), PolicyName: aws.String("write"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"arn:aws:logs:us-east-1:111122223333:log-group:models:log-stream:aws/bedrock/modelinvocations"}]}`)})
	c.must(err)
	_, err = control.PutModelInvocationLoggingConfiguration(t.Context(), setUp)
	c.must(err)
	trails := cloudtrail.NewFromConfig(c.cfg)
	_, err = trails.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("main"), S3BucketName: &bucket, EnableLogFileValidation: aws.Bool(true)})
	c.must(err)
	_, err = trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("main")})
	c.must(err)

	say := func(text string) []runtimetypes.Message {
		return []runtimetypes.Message{{Role: "user", Content: []runtimetypes.ContentBlock{&runtimetypes.ContentBlockMemberText{Value: text}}}}
	}
	const nova, haiku = "us.amazon.nova-lite-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"
	_, err = models.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: say(secrets[0])})
	c.must(err)
	stream, err := models.ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{ModelId: aws.String(nova), Messages: say(secrets[0])})
	c.must(err)
	for range stream.GetStream().Events() {
	}
	_, err = models.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String(haiku), Body: []byte(
		`{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"` + strings.Repeat(secrets[0]+" ", 6000) + `"}]}`)}) // a long prompt
	c.must(err)
	_, err = models.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String(haiku), Body: []byte(`{}`)})
	if err == nil {
		t.Error("an empty body is taken")
	}
	c.must(c.server.Flush(t.Context()))

	l := newLake(t, t.TempDir())
	report, err := collect.Collect(t.Context(), l, []string{"s3://trail", "logs:models"}, collect.Options{})
	if err != nil || report.Invocations != 4 || report.Duplicates != 4 || report.Quarantined+report.Failed != 0 || report.Digests == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	nowhere(t, l)
	got := ask(t, l, `SELECT c.operation, c.error_code, i.error_code, c.model_id = i.model_id, i.called_model, c.latency_ms > 0, c.input_tokens = i.input_tokens, c.output_tokens > 0,
			c.stop_reason, i.caller_arn, c.inference_region = i.inference_region
		FROM calls c JOIN invocations i USING (request_id) ORDER BY c.time, c.operation, c.error_code`)
	want := []string{
		"Converse|||true|" + nova + "|true|true|true|end_turn|arn:aws:iam::111122223333:root|true",
		"ConverseStream|||true|" + nova + "|true|true|true|end_turn|arn:aws:iam::111122223333:root|true",
		"InvokeModel|||true|" + haiku + "||true|true|max_tokens|arn:aws:iam::111122223333:root|",
		"InvokeModel|ValidationException|ValidationException|true|" + haiku + "|||||arn:aws:iam::111122223333:root|",
	}
	slices.Sort(got)
	slices.Sort(want)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("joined:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := ask(t, l, "SELECT count(*), count(latency_ms) FROM calls WHERE event_source = 'bedrock.amazonaws.com' AND operation IN ('Converse', 'ConverseStream', 'InvokeModel')"); n[0] != "4|2" {
		t.Errorf("calls and those with a latency: %v", n)
	}
	kept := newLake(t, t.TempDir())
	if _, err := collect.Collect(t.Context(), kept, []string{"s3://trail"}, collect.Options{KeepPrompts: true}); err != nil {
		t.Fatal(err)
	}
	if n := ask(t, kept, `SELECT count(input_body), count(input_body_s3) FILTER (input_body_s3 LIKE 's3://trail/logs/AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/%/data/%_input.json.gz') FROM invocations`); n[0] != "3|1" {
		t.Errorf("kept prompts: %v", n)
	}
}
