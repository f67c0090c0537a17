package digest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/digest"
)

// cliCase is a bucket for testdata/validate.py.
type cliCase struct {
	Keys    []map[string]string             `json:"keys"`
	Buckets map[string]map[string]cliObject `json:"buckets"`
	Trail   string                          `json:"trail"`
	Bucket  string                          `json:"bucket"`
	Region  string                          `json:"region"`
	Start   time.Time                       `json:"start"`
	End     time.Time                       `json:"end"`
}

type cliObject struct {
	Body []byte            `json:"body"`
	Meta map[string]string `json:"meta"`
}

type cliResult struct {
	Invalid int    `json:"invalid"`
	Valid   [2]int `json:"valid"` // digests, log files
	Out     string `json:"out"`
	Err     string `json:"err"`
}

func newCLICase(tr *trail, m *memory) cliCase {
	c := cliCase{
		Trail:  "arn:aws:cloudtrail:us-east-1:" + account + ":trail/" + tr.name,
		Bucket: m.name, Region: region, Start: begin.Add(-time.Hour), End: begin.Add(24 * time.Hour),
		Buckets: map[string]map[string]cliObject{},
	}
	for _, key := range publicKeys() {
		c.Keys = append(c.Keys, map[string]string{
			"Fingerprint": key.Fingerprint,
			"Value":       base64.StdEncoding.EncodeToString(digest.MarshalPublicKey(key.Public)),
		})
	}
	for path, f := range m.files {
		bucket, key, ok := strings.Cut(path, ":")
		if !ok {
			bucket, key = m.name, path
		}
		if c.Buckets[bucket] == nil {
			c.Buckets[bucket] = map[string]cliObject{}
		}
		c.Buckets[bucket][key] = cliObject{f.body, f.meta}
	}
	return c
}

// runCLI gives the cases to the AWS CLI's own code.
func runCLI(t *testing.T, cases []cliCase) []cliResult {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err == nil {
		err = exec.Command(python, "-c", "import awscli.customizations.cloudtrail.validation").Run()
	}
	if err != nil {
		t.Skip("SKIPPED: the AWS CLI is not there to compare with: no python3 that can import awscli (pip install awscli)")
	}
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), python, "testdata/validate.py")
	var stderr bytes.Buffer
	command.Stdin, command.Stderr = bytes.NewReader(in), &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var results []cliResult
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatal(err)
	}
	return results
}

var invalid = regexp.MustCompile(`file\ts3://[^/]+/(\S+)\tINVALID: (.*)`)

// TestAgreesWithAWSCLI: where the AWS CLI finds a fault, so does Verify, in the same file; and what only Verify finds is
// of the kinds that the AWS CLI doesn't look for.
func TestAgreesWithAWSCLI(t *testing.T) {
	onlyOurs := []digest.Kind{
		digest.LogFileUnlisted, digest.LogFileTrailing, digest.LogFileTruncated, digest.DigestTrailing,
		digest.PreviousHashWrong, digest.ChainBroken, digest.LogFileUnreadable,
		digest.SignatureWrong, // an algorithm that is another
		digest.DigestMissing,  // each of several in a row
	}
	var cases []cliCase
	var reports []*digest.Report
	var names []string
	enter := func(name string, m *memory, tr *trail) {
		names = append(names, name)
		cases = append(cases, newCLICase(tr, m))
		reports = append(reports, verify(t, tr, m, publicKeys(), digest.Options{From: begin.Add(-time.Hour), To: begin.Add(24 * time.Hour)}).report)
	}
	for _, f := range faults {
		m := newMemory()
		tr := newTrail(t, m).hours(2, 2, 2, 0, 2, 2)
		f.fault(t, m, tr)
		enter(f.name, m, tr)
	}
	enterShapes(t, enter)
	for i, got := range runCLI(t, cases) {
		t.Run(names[i], func(t *testing.T) {
			compare(t, got, reports[i], onlyOurs)
		})
	}
}

// enterShapes enters chains that the table of faults doesn't have.
func enterShapes(t *testing.T, enter func(string, *memory, *trail)) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 0)
	tr.priv = privateKeys()[1]
	enter("rotation", m, tr.hours(1, 1))

	m = newMemory()
	tr = newTrail(t, m).hours(1, 1)
	tr.last, tr.now = digest.Link{}, tr.now.Add(3*time.Hour)
	enter("restart", m, tr.hours(1, 1))

	m = newMemory()
	tr = newTrail(t, m).hours(1, 1)
	late := newTrail(t, m)
	late.backfill, late.delivered = true, 100
	late.hours(1, 1)
	enter("backfill", m, tr)
	m = newMemory()
	tr = newTrail(t, m).hours(1, 1)
	late = newTrail(t, m)
	late.backfill, late.delivered = true, 100
	late.hours(1, 1)
	alter(t, m, late.digests[0], "SHA-256", "SHA-255")
	alter(t, m, late.logs[1][0], "Records", "records")
	enter("backfill altered", m, tr)
	m = newMemory()
	tr = newTrail(t, m).hours(1, 1, 1, 1, 1, 1)
	late = newTrail(t, m)
	late.backfill, late.delivered = true, 100
	late.hours(1, 1)
	late.now = late.now.Add(3 * time.Hour)
	late.hours(1)
	delete(m.files, late.digests[1])
	enter("backfill missing", m, tr)

	m = newMemory()
	tr = newTrail(t, m)
	tr.bucket = "old-bucket"
	tr.hours(1, 1)
	tr.bucket = bucketName
	enter("another bucket", m, tr.hours(1, 1))

	m = newMemory()
	tr = newTrail(t, m).hours(1, 1)
	m.name = "another-bucket"
	for path, f := range m.files {
		delete(m.files, path)
		m.files[strings.TrimPrefix(path, bucketName+":")] = f
	}
	enter("moved to another bucket", m, tr)
}

func compare(t *testing.T, got cliResult, report *digest.Report, onlyOurs []digest.Kind) {
	ours := map[string][]digest.Kind{}
	for _, f := range report.Findings {
		if f.Severity == digest.SeverityFinding {
			ours[f.Key] = append(ours[f.Key], f.Kind)
		}
	}
	theirs := invalid.FindAllStringSubmatch(got.Err, -1)
	if len(theirs) != got.Invalid {
		t.Errorf("%d of %d faults understood:\n%s", len(theirs), got.Invalid, got.Err)
	}
	for _, match := range theirs {
		if len(ours[match[1]]) == 0 {
			t.Errorf("only the AWS CLI finds %s: %s", match[1], match[2])
		}
		delete(ours, match[1])
	}
	for key, kinds := range ours {
		for _, kind := range kinds {
			if !slices.Contains(onlyOurs, kind) {
				t.Errorf("only Verify finds %s: %s", key, kind)
			}
		}
	}
	// The AWS CLI doesn't open what a digest lists that it holds for invalid, so it can have less that is valid.
	if v := report.Digests.Verified; int64(got.Valid[0]) > v {
		t.Errorf("valid digests: the AWS CLI has %d, Verify %d\n%s", got.Valid[0], v, got.Out)
	}
	if got.Invalid == 0 && report.Holds() && (int64(got.Valid[0]) != report.Digests.Verified || int64(got.Valid[1]) != report.LogFiles.Verified) {
		t.Errorf("valid: the AWS CLI has %d, Verify %d and %d\n%s\n%s", got.Valid, report.Digests.Verified, report.LogFiles.Verified, got.Out, got.Err)
	}
	t.Logf("the AWS CLI: %d invalid; only Verify: %v", got.Invalid, ours)
}
