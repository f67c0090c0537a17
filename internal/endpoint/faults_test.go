package endpoint_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/translate"
	"github.com/google/go-cmp/cmp"

	trailevent "github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint"
	"github.com/aitrail/aitrail/internal/endpoint/fault"
	"github.com/aitrail/aitrail/internal/lake"
)

// stored is one object of a bucket.
type stored struct {
	body []byte
	meta map[string]string
}

// held is a bucket's objects as digest.Source has them.
type held struct {
	bucket  string
	objects map[string]stored
}

func (h *held) Bucket() string { return h.bucket }

func (h *held) List(_ context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(h.objects)) {
			if strings.HasPrefix(key, prefix) && key > after && !yield(key, nil) {
				return
			}
		}
	}
}

func (h *held) Open(_ context.Context, _, key string) (io.ReadCloser, map[string]string, error) {
	o, ok := h.objects[key]
	if !ok {
		return nil, nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(o.body)), o.meta, nil
}

// objects gets all that a bucket holds.
func (b *bench) objects(t *testing.T, bucket string) *held {
	t.Helper()
	c := s3.NewFromConfig(b.root, func(o *s3.Options) { o.UsePathStyle = true })
	list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	h := &held{bucket, map[string]stored{}}
	for _, o := range list.Contents {
		got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		h.objects[*o.Key] = stored{body, got.Metadata}
	}
	return h
}

// keys are the account's public keys for digests.
func (b *bench) keys(t *testing.T) digest.Keys {
	t.Helper()
	out, err := cloudtrail.NewFromConfig(b.root).ListPublicKeys(t.Context(), &cloudtrail.ListPublicKeysInput{})
	if err != nil {
		t.Fatal(err)
	}
	var keys digest.Keys
	for _, k := range out.PublicKeyList {
		key, err := digest.ParsePublicKey(k.Value)
		if err != nil {
			t.Fatal(err)
		}
		key.From, key.To = *k.ValidityStartTime, *k.ValidityEndTime
		keys = append(keys, key)
	}
	return keys
}

// makeTrail makes a bucket and a trail of its name that logs, with digests.
func (b *bench) makeTrail(t *testing.T, in *cloudtrail.CreateTrailInput) {
	t.Helper()
	name := *in.S3BucketName
	c := s3.NewFromConfig(b.root, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	document := strings.ReplaceAll(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:GetBucketAcl","Resource":"arn:aws:s3:::B"},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::B/*","Condition":{"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}}}]}`, ":::B", ":::"+name)
	if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &name, Policy: &document}); err != nil {
		t.Fatal(err)
	}
	trails := cloudtrail.NewFromConfig(b.root)
	if _, err := trails.CreateTrail(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if _, err := trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: in.Name}); err != nil {
		t.Fatal(err)
	}
}

// collected brings a bucket's files into a new lake, as they rest in a folder.
func collected(t *testing.T, h *held) collect.Report {
	t.Helper()
	root := t.TempDir()
	for key, o := range h.objects {
		path := filepath.Join(root, "bucket", filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, o.body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, err := lake.Open(t.Context(), filepath.Join(root, "lake"), lake.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	report, err := collect.Collect(t.Context(), l, []string{filepath.Join(root, "bucket")}, collect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestDeliveryFaults has verification and collection tell what each fault of delivery does: three rounds of three
// calls each with the fault, and one without it after them.
func TestDeliveryFaults(t *testing.T) {
	for _, tt := range []struct {
		fault    fault.Name
		findings map[digest.Kind]int // that aren't notes
		// of the twelve calls of Translate and what else was called
		lost, duplicates, forged int64
	}{
		{fault: "none"},
		{fault: fault.LateFile},
		{fault: fault.DisorderFile},
		{fault: fault.DuplicateFile, duplicates: 9},
		{fault: fault.MissingFile, findings: map[digest.Kind]int{digest.LogFileMissing: 3}, lost: 9},
		{fault: fault.AlteredFile, findings: map[digest.Kind]int{digest.LogFileAltered: 3}, lost: 3},
		{fault: fault.ExtraFile, findings: map[digest.Kind]int{digest.LogFileUnlisted: 3}, forged: 3},
		{fault: fault.MissingDigest, findings: map[digest.Kind]int{digest.DigestMissing: 3}},
		{fault: fault.ForgedDigest, findings: map[digest.Kind]int{digest.SignatureWrong: 2, digest.DigestAltered: 1}}, // the last is followed by a true one
	} {
		t.Run(string(tt.fault), func(t *testing.T) {
			now := &clock{t: time.Now()}
			b := open(t, endpoint.Options{Now: now.now})
			b.makeTrail(t, &cloudtrail.CreateTrailInput{Name: aws.String("main"), S3BucketName: aws.String("trail-logs"), EnableLogFileValidation: aws.Bool(true)})
			flush := func() {
				t.Helper()
				now.add(time.Minute)
				if err := b.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			flush() // what setting up recorded
			before := len(b.objects(t, "trail-logs").objects)
			b.setFault(t, tt.fault, 1)
			for round := range 4 {
				if round == 3 {
					b.setFault(t, tt.fault, 0)
				}
				for i := range 3 {
					text := fmt.Sprint("text ", round, i)
					if _, err := translate.NewFromConfig(b.root).TranslateText(t.Context(), &translate.TranslateTextInput{
						Text: &text, SourceLanguageCode: aws.String("en"), TargetLanguageCode: aws.String("fr"),
					}); err != nil {
						t.Fatal(err)
					}
				}
				flush()
				if tt.fault == fault.LateFile && round == 0 {
					if n := len(b.objects(t, "trail-logs").objects); n != before+1 { // a digest
						t.Errorf("a round later there are %d objects, before it were %d", n, before)
					}
				}
			}
			flush()
			now.add(2 * time.Hour) // a log file that no digest of the next hours names was never CloudTrail's
			flush()
			now.add(-2 * time.Hour) // what follows is signed with the time of day
			files := b.objects(t, "trail-logs")
			b.checkVerified(t, files, tt.findings)

			report := collected(t, files)
			if report.Duplicates != tt.duplicates || report.Quarantined != 0 || report.Failed != 0 {
				t.Errorf("collected with %d duplicates, want %d; %d quarantined, %d failed", report.Duplicates, tt.duplicates, report.Quarantined, report.Failed)
			}
			if want := 12 - tt.lost + tt.forged; report.AICalls != want && report.AICalls != want+tt.duplicates {
				t.Errorf("%d AI calls collected, want %d", report.AICalls, want)
			}
			if tt.fault == fault.DisorderFile {
				b.checkDisorder(t, files)
			}
		})
	}
}

// setFault puts a fault in force through the admin route.
func (b *bench) setFault(t *testing.T, name fault.Name, share float64) {
	t.Helper()
	if name == "none" {
		return
	}
	status, answer := b.faults(t, b.root, "POST", fmt.Sprintf(`{%q: %v}`, name, share))
	if status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
}

// faults asks the admin route.
func (b *bench) faults(t *testing.T, cfg aws.Config, method, body string) (int, string) {
	t.Helper()
	resp, answer := doSigned(t, method, b.url+"/_aitrail/faults", body, func(r *http.Request) { signFor(t, cfg, r, "aitrail", "us-east-1") })
	return resp.StatusCode, answer
}

func (b *bench) checkVerified(t *testing.T, files *held, want map[digest.Kind]int) {
	t.Helper()
	report, err := digest.Verify(t.Context(), files, b.keys(t), digest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[digest.Kind]int{}
	for _, f := range report.Findings {
		if f.Severity == digest.SeverityFinding {
			got[f.Kind]++
		}
	}
	if want == nil {
		want = map[digest.Kind]int{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s\n%+v", diff, report.Findings)
	}
	if report.Holds() != (len(want) == 0) || report.Digests.Total < 5 || report.LogFiles.Total < 4 {
		t.Errorf("report: %+v", report)
	}
}

// checkDisorder tells whether there is a log file whose records stand in reverse order.
func (b *bench) checkDisorder(t *testing.T, files *held) {
	t.Helper()
	var order []string // as recorded
	for _, e := range b.recorded() {
		order = append(order, e.RequestID)
	}
	reversed := 0
	for key, o := range files.objects {
		if k, ok := trailevent.ParseKey(key); !ok || k.Kind != trailevent.KindLog {
			continue
		}
		var file struct {
			Records []struct{ EventName, RequestID string }
		}
		if err := json.Unmarshal(inflated(t, o.body), &file); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range file.Records {
			if r.EventName == "TranslateText" {
				ids = append(ids, r.RequestID)
			}
		}
		if slices.IsSortedFunc(reverse(ids), func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) }) && len(ids) == 3 {
			reversed++
		}
	}
	if reversed != 3 {
		t.Errorf("%d log files are reversed, want 3", reversed)
	}
}

func TestCallFaults(t *testing.T) {
	b := open(t, endpoint.Options{Faults: fault.Shares{fault.Throttle: 0.5}})
	call := func() string {
		_, err := bedrockruntime.NewFromConfig(b.root).InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{
			ModelId: aws.String("anthropic.claude-3-haiku-20240307-v1:0"),
			Body:    []byte(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`),
		})
		return code(err)
	}
	const n = 200
	answered := map[string]int{}
	for range n {
		answered[call()]++
	}
	if got := answered["ThrottlingException"]; got < n/4 || got > n*3/4 || got+answered[""] != n {
		t.Errorf("with a share of a half: %v", answered)
	}
	recorded := map[string]int{}
	for _, e := range b.recorded() {
		recorded[e.ErrorCode]++
	}
	if diff := cmp.Diff(answered, recorded); diff != "" {
		t.Errorf("answered and recorded (-answered +recorded):\n%s", diff)
	}
	b.setFault(t, fault.Throttle, 0)
	b.setFault(t, fault.Error, 1)
	if got := call(); got != "InternalServerException" || b.last(t, "InvokeModel").ErrorCode != got {
		t.Errorf("with all calls failing: %s", got)
	}
	if _, err := iam.NewFromConfig(b.root).CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("eve")}); code(err) != "InternalFailure" {
		t.Errorf("CreateUser: %v", err)
	}
	if status, answer := b.faults(t, b.root, "DELETE", ""); status != 200 || strings.TrimSpace(answer) != "{}" {
		t.Errorf("DELETE: %d %s", status, answer)
	}
	if _, err := iam.NewFromConfig(b.root).GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("eve")}); code(err) != "NoSuchEntity" {
		t.Errorf("the call that failed made the user: %v", err)
	}
}

func TestFaultsAreRootsAlone(t *testing.T) {
	b := open(t, endpoint.Options{})
	ci := b.user(t, "ci", allow("*"))
	root := b.root.Copy()
	wrong := b.config("AKIAIOSFODNN7EXAMPLE", "wrong", "")
	n := len(b.recorded())
	for _, tt := range []struct {
		name, method, body string
		cfg                aws.Config
		status             int
		answer             string
	}{
		{"another user", "POST", `{"error":1}`, ci, 403, "root user's access key"},
		{"an unknown key", "POST", `{"error":1}`, wrong, 403, "root user's access key"},
		{"an unknown fault", "POST", `{"error":1,"slow":1}`, root, 400, `fault \"slow\" is not known`},
		{"a share above 1", "POST", `{"error":2}`, root, 400, "from 0 to 1"},
		{"no object", "POST", `[1]`, root, 400, "object of shares"},
		{"another method", "PUT", `{"error":1}`, root, 405, "POST"},
		{"none yet", "GET", "", root, 200, "{}"},
		{"two", "POST", `{"error":0.5,"throttle":0.25}`, root, 200, `{"error":0.5,"throttle":0.25}`},
		{"read", "GET", "", root, 200, `{"error":0.5,"throttle":0.25}`},
		{"one less", "POST", `{"error":0}`, root, 200, `{"throttle":0.25}`},
	} {
		if status, answer := b.faults(t, tt.cfg, tt.method, tt.body); status != tt.status || !strings.Contains(answer, tt.answer) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, status, answer, tt.status, tt.answer)
		}
	}
	if resp, body := do(t, "GET", b.url+"/_aitrail/faults", ""); resp.StatusCode != 403 {
		t.Errorf("unsigned: %d %s", resp.StatusCode, body)
	}
	r := httptest.NewRequest("GET", "http://192.0.2.1/_aitrail/faults", nil) // from 192.0.2.1
	signFor(t, b.root, r, "aitrail", "us-east-1")
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	if w.Code != 403 || !strings.Contains(w.Body.String(), "this machine") {
		t.Errorf("from elsewhere: %d %s", w.Code, w.Body)
	}
	if got := len(b.recorded()); got != n {
		t.Errorf("%d requests for faults were recorded", got-n)
	}
	if _, err := endpoint.New(endpoint.Options{Dir: t.TempDir(), Faults: fault.Shares{"slow": 1}}); err == nil {
		t.Error("an unknown fault is taken at the start")
	}
}
