package endpoint_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	brtypes "github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	trailevent "github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// TestMain serves an endpoint when the test binary is started for it, so that a test can kill it.
func TestMain(m *testing.M) {
	if dir := os.Getenv("AITRAIL_ENDPOINT_TEST_DIR"); dir != "" {
		serveForever(dir)
	}
	os.Exit(m.Run())
}

func serveForever(dir string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s, err := endpoint.New(endpoint.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	id, secret := s.RootKey()
	fmt.Println("http://"+l.Addr().String(), id, secret)
	panic(http.Serve(l, s.Handler()))
}

func TestKilledProcessLosesNothingItAnswered(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "AITRAIL_ENDPOINT_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(line)
	b := &bench{url: f[0]}
	b.root = b.config(f[1], f[2], "")

	// Calls go on from several sides until the process is gone; what was answered until then is remembered.
	answered := make(chan string, 1<<16)
	done := make(chan bool)
	for i := range 4 {
		go func() {
			defer func() { done <- true }()
			for n := 0; ; n++ {
				name := fmt.Sprintf("u-%d-%d", i, n)
				out, err := iam.NewFromConfig(b.root).CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name})
				if err != nil {
					return
				}
				answered <- *out.User.UserName
			}
		}()
	}
	want := map[string]bool{}
	for len(want) < 25 {
		want[<-answered] = true
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		<-done
	}
	_ = cmd.Wait() // killed
	close(answered)
	for name := range answered {
		want[name] = true
	}

	again := open(t, endpoint.Options{Dir: dir})
	recorded := map[string]int{}
	for e, err := range again.Recorded() {
		if err != nil {
			t.Fatal(err)
		}
		recorded[fmt.Sprint(object(t, e.RequestParameters)["userName"])]++
	}
	for name := range want {
		if recorded[name] != 1 {
			t.Errorf("the answered CreateUser of %s is recorded %d times", name, recorded[name])
		}
		if _, err := iam.NewFromConfig(again.root).GetUser(t.Context(), &iam.GetUserInput{UserName: &name}); err != nil {
			t.Errorf("the user %s: %v", name, err)
		}
	}
}

func TestRequestIDsAreTheRecorded(t *testing.T) {
	b := open(t, endpoint.Options{})
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	check := func(name, id string) {
		t.Helper()
		e := b.last(t, name)
		if id == "" || e.RequestID != id {
			t.Errorf("%s: answered %q, recorded %q", name, id, e.RequestID)
		}
		if !uuid.MatchString(e.EventID) || seen[e.EventID] || seen[id] {
			t.Errorf("%s: eventID %q", name, e.EventID)
		}
		seen[e.EventID], seen[id] = true, true
	}
	b.root.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			id := resp.Header.Get("X-Amzn-Requestid") + resp.Header.Get("X-Amz-Request-Id")
			events := b.recorded()
			check(events[len(events)-1].EventName, id)
		}
		return resp, err
	})
	_, _ = sts.NewFromConfig(b.root).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	_, _ = iam.NewFromConfig(b.root).GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("nobody")})
	_, _ = s3.NewFromConfig(b.root, func(o *s3.Options) { o.UsePathStyle = true }).ListBuckets(t.Context(), &s3.ListBucketsInput{})
	_, _ = s3.NewFromConfig(b.root, func(o *s3.Options) { o.UsePathStyle = true }).HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("none")})
	_, _ = cloudwatchlogs.NewFromConfig(b.root).DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	_, _ = cloudtrail.NewFromConfig(b.root).DescribeTrails(t.Context(), &cloudtrail.DescribeTrailsInput{})
	_, _ = bedrockruntime.NewFromConfig(b.root).InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String("nothing"), Body: []byte("{}")})
	if n := len(b.recorded()); n != 7 {
		t.Errorf("%d events, want 7", n)
	}
}

func TestRecordOfACall(t *testing.T) {
	b := open(t, endpoint.Options{})
	cfg := b.root.Copy()
	cfg.Region = "eu-west-3"
	if _, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
		t.Fatal(err)
	}
	e := b.last(t, "GetCallerIdentity")
	id, _ := b.RootKey()
	var got map[string]any
	if err := json.Unmarshal(e.AppendJSON(nil), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"eventTime", "eventID", "requestID", "userAgent"} {
		if got[name] == "" || got[name] == nil {
			t.Errorf("no %s", name)
		}
		delete(got, name)
	}
	want := map[string]any{
		"eventVersion": "1.11", "eventSource": "sts.amazonaws.com", "eventName": "GetCallerIdentity", "awsRegion": "eu-west-3",
		"sourceIPAddress": "127.0.0.1", "requestParameters": nil, "responseElements": nil, "readOnly": true,
		"eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": account, "eventCategory": "Management",
		"tlsDetails": map[string]any{"clientProvidedHostHeader": strings.TrimPrefix(b.url, "http://")},
		"userIdentity": map[string]any{
			"type": "Root", "principalId": account, "arn": "arn:aws:iam::111122223333:root", "accountId": account, "accessKeyId": id,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// IAM is a global service.
	if _, err := iam.NewFromConfig(cfg).ListUsers(t.Context(), &iam.ListUsersInput{}); err != nil {
		t.Fatal(err)
	}
	if e := b.last(t, "ListUsers"); e.AWSRegion != "us-east-1" {
		t.Errorf("IAM's call is recorded in %s", e.AWSRegion)
	}
}

func TestACallThatCannotBeRecordedIsNotAnswered(t *testing.T) {
	b := open(t, endpoint.Options{})
	full := errors.New("no space left on device")
	b.fail = func(trailevent.Event) error { return full }
	if _, err := callerARN(t, b.root); code(err) != "InternalFailure" {
		t.Errorf("query: %v", err)
	}
	if _, err := s3.NewFromConfig(b.root, func(o *s3.Options) { o.UsePathStyle = true }).ListBuckets(t.Context(), &s3.ListBucketsInput{}); code(err) != "InternalError" {
		t.Errorf("S3: %v", err)
	}
	if _, err := b.converse(t, nil); code(err) != "InternalServerException" {
		t.Errorf("a stream: %v", err)
	}
	c := iam.NewFromConfig(b.root)
	if _, err := c.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("eve")}); code(err) != "InternalFailure" {
		t.Errorf("a write: %v", err)
	}
	// The first call after that is recorded as failed; the calls after it are served, and the write wasn't.
	b.fail = nil
	if _, err := callerARN(t, b.root); code(err) != "InternalFailure" {
		t.Errorf("the first call with space again: %v", err)
	}
	if e := b.last(t, "GetCallerIdentity"); e.ErrorCode != "InternalFailure" {
		t.Errorf("recorded: %+v", e)
	}
	if _, err := c.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("eve")}); code(err) != "NoSuchEntity" {
		t.Errorf("the write that wasn't recorded: %v", err)
	}
}

// converse calls ConverseStream and reads the stream.
func (b *bench) converse(t *testing.T, each func()) (text string, err error) {
	t.Helper()
	out, err := bedrockruntime.NewFromConfig(b.root).ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{
		ModelId:  aws.String("anthropic.claude-3-haiku-20240307-v1:0"),
		Messages: []brtypes.Message{{Role: "user", Content: []brtypes.ContentBlock{&brtypes.ContentBlockMemberText{Value: "hello"}}}},
	})
	if err != nil {
		return "", err
	}
	stream := out.GetStream()
	defer stream.Close()
	for event := range stream.Events() {
		if each != nil {
			each()
		}
		if delta, ok := event.(*brtypes.ConverseStreamOutputMemberContentBlockDelta); ok {
			if d, ok := delta.Value.Delta.(*brtypes.ContentBlockDeltaMemberText); ok {
				text += d.Value
			}
		}
	}
	return text, stream.Err()
}

func TestStreamsAreRecordedTwice(t *testing.T) {
	b := open(t, endpoint.Options{})
	first := 0
	text, err := b.converse(t, func() { first = max(first, len(b.recorded())) })
	if err != nil || text == "" {
		t.Fatalf("stream = %q, %v", text, err)
	}
	events := b.recorded()
	if len(events) != 2 || first < 1 {
		t.Fatalf("%d events; %d while the stream ran", len(events), first)
	}
	call, done := events[0], events[1]
	if call.EventType != "AwsApiCall" || done.EventType != "AwsServiceEvent" || done.EventName != call.EventName || done.EventSource != call.EventSource ||
		done.SourceIPAddress != call.SourceIPAddress || done.UserAgent != call.UserAgent || done.UserIdentity.ARN != call.UserIdentity.ARN {
		t.Errorf("call %+v\ncompletion %+v", call, done)
	}
	if object(t, done.ServiceEventDetails)["parentRequestId"] != call.RequestID || done.RequestID == call.RequestID || done.EventID == call.EventID {
		t.Errorf("completion's ids: %+v", done)
	}
	if done.RequestParameters != "" || done.EventCategory != "" || done.ManagementEvent != trailevent.Absent || len(done.Resources) != 1 {
		t.Errorf("completion: %+v", done)
	}
}

func TestAStreamWhoseCompletionCannotBeRecordedIsCutOff(t *testing.T) {
	b := open(t, endpoint.Options{})
	b.fail = func(e trailevent.Event) error {
		if e.EventType == "AwsServiceEvent" {
			return errors.New("no space left on device")
		}
		return nil
	}
	resp, err := bedrockruntime.NewFromConfig(b.root).ConverseStream(t.Context(), &bedrockruntime.ConverseStreamInput{
		ModelId:  aws.String("anthropic.claude-3-haiku-20240307-v1:0"),
		Messages: []brtypes.Message{{Role: "user", Content: []brtypes.ContentBlock{&brtypes.ContentBlockMemberText{Value: "hello"}}}},
	}, func(o *bedrockruntime.Options) {
		o.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				return nil, err
			}
			if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the stream ended with %v", err)
			}
			resp.Body = http.NoBody
			return resp, nil
		})
	})
	if err == nil {
		resp.GetStream().Close()
	}
}

func TestThrottle(t *testing.T) {
	throttled := map[string]bool{"ci": true}
	b := open(t, endpoint.Options{Throttle: func(c *awsapi.Call) bool { return throttled[c.Caller.UserName] }})
	ci := b.user(t, "ci", allow("*"))
	_, err := bedrockruntime.NewFromConfig(ci).InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: aws.String("anthropic.claude-3-haiku-20240307-v1:0"), Body: []byte("{}")})
	var e *brtypes.ThrottlingException
	if !errors.As(err, &e) {
		t.Errorf("REST JSON: %v", err)
	}
	if e := b.last(t, "InvokeModel"); e.ErrorCode != "ThrottlingException" || !strings.Contains(string(e.RequestParameters), "claude") {
		t.Errorf("recorded: %+v", e)
	}
	for name, got := range map[string]func() error{
		"Throttling": func() error {
			_, err := iam.NewFromConfig(ci).ListUsers(t.Context(), &iam.ListUsersInput{})
			return err
		},
		"ThrottlingException": func() error {
			_, err := cloudtrail.NewFromConfig(ci).DescribeTrails(t.Context(), &cloudtrail.DescribeTrailsInput{})
			return err
		},
		"SlowDown": func() error {
			_, err := s3.NewFromConfig(ci, func(o *s3.Options) { o.UsePathStyle = true }).ListBuckets(t.Context(), &s3.ListBucketsInput{})
			return err
		},
	} {
		if err := got(); code(err) != name {
			t.Errorf("%v, want %s", err, name)
		}
	}
	if _, err := callerARN(t, b.root); err != nil {
		t.Errorf("another caller: %v", err)
	}
}

func TestEnvironmentFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	s, err := endpoint.New(endpoint.Options{Dir: dir, URL: "http://127.0.0.1:4588", Region: "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	path := filepath.Join(dir, "aws.env")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	sh := exec.Command("sh", "-c", `. "$1" && printf '%s\n' "$AWS_ENDPOINT_URL" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$AWS_DEFAULT_REGION" "$AWS_SESSION_TOKEN"`, "sh", path)
	sh.Env = []string{"AWS_SESSION_TOKEN=old"}
	out, err := sh.Output()
	if err != nil {
		t.Fatal(err)
	}
	id, secret := s.RootKey()
	if got, want := string(out), "http://127.0.0.1:4588\n"+id+"\n"+secret+"\neu-west-1\n\n"; got != want {
		t.Errorf("a shell reads\n%s\nwant\n%s", got, want)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".aws.env*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	open(t, endpoint.Options{Dir: dir})
	s, err := endpoint.New(endpoint.Options{Dir: dir})
	if err == nil {
		s.Close()
		t.Fatal("opened twice")
	}
	if !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v", err)
	}
}

func TestTooLargeABody(t *testing.T) {
	b := open(t, endpoint.Options{})
	r, err := http.NewRequest("PUT", b.url+"/data/x", io.LimitReader(zeros{}, 64<<20+1))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 413 || !strings.Contains(string(body), "EntityTooLarge") {
		t.Errorf("%d %s, %v", resp.StatusCode, body, err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// TestFlushDelivers has a trail's log file in its bucket as soon as Flush returns.
func TestFlushDelivers(t *testing.T) {
	b := open(t, endpoint.Options{})
	objects := s3.NewFromConfig(b.root, func(o *s3.Options) { o.UsePathStyle = true })
	trails := cloudtrail.NewFromConfig(b.root)
	if _, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("trail-logs")}); err != nil {
		t.Fatal(err)
	}
	document := `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:GetBucketAcl","Resource":"arn:aws:s3:::trail-logs"},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::trail-logs/AWSLogs/111122223333/*","Condition":{"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}}}]}`
	if _, err := objects.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("trail-logs"), Policy: &document}); err != nil {
		t.Fatal(err)
	}
	if _, err := trails.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("main"), S3BucketName: aws.String("trail-logs"), EnableLogFileValidation: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	if _, err := trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("main")}); err != nil {
		t.Fatal(err)
	}
	if _, err := callerARN(t, b.root); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := objects.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("trail-logs")})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, o := range list.Contents {
		if k, ok := trailevent.ParseKey(*o.Key); ok {
			kinds[string(k.Kind)]++
		}
	}
	if kinds["CloudTrail"] == 0 || kinds["CloudTrail-Digest"] == 0 {
		t.Errorf("delivered: %v", kinds)
	}
}
