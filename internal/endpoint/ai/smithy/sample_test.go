package smithy_test

import (
	"bytes"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
)

func shape(pattern string, low, high float64) *smithy.Shape {
	return &smithy.Shape{Type: "string", Pattern: pattern, Min: &low, Max: &high}
}

func TestSample(t *testing.T) {
	for _, tc := range []struct {
		pattern   string
		low, high float64
	}{
		{`[0-9a-zA-Z]{10}`, 0, 100},
		{`[a-zA-Z0-9][a-zA-Z0-9-]*`, 36, 36},
		{`arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/[a-z0-9]+`, 1, 2048},
		{`(?!aws:)[a-z]+`, 1, 10},
		{`[\u0020-\u007E]+`, 3, 5},
		{`s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.{1,1024}`, 1, 2048},
		{``, 2, 4},
	} {
		s := shape(tc.pattern, tc.low, tc.high)
		a, ok := s.Sample(1)
		b, _ := s.Sample(1)
		if !ok || a != b || !s.Allows(a) || float64(len(a)) < tc.low || float64(len(a)) > tc.high {
			t.Errorf("%q: %q, %q, %v", tc.pattern, a, b, ok)
		}
	}
	if a, ok := shape(`[ab]{5}`, 6, 9).Sample(1); ok {
		t.Errorf("a shape that allows nothing has %q", a)
	}
	first, _ := shape(`[0-9a-z]{12}`, 0, 12).Sample(1 << 20)
	second, _ := shape(`[0-9a-z]{12}`, 0, 12).Sample(1 << 40)
	if first == second {
		t.Errorf("two seeds make the same %q", first)
	}
	if arn, ok := shape(`[a-z]{3}|arn:aws:x:[a-z]+`, 0, 40).SampleWith("arn:", 1); !ok || !strings.HasPrefix(arn, "arn:") {
		t.Errorf("no ARN: %q", arn)
	}
}

// TestEverySample: texts can be made for all but a few of the models' shapes.
func TestEverySample(t *testing.T) {
	all, failed := 0, 0
	for _, client := range smithy.Clients() {
		for _, s := range load(t, client).Shapes {
			if s.Type != "string" || len(s.Enum) > 0 {
				continue
			}
			all++
			if text, ok := s.Sample(7); !ok {
				failed++
			} else if !s.Allows(text) {
				t.Errorf("%s of %s: %q isn't allowed by %q", s.Name, client, text, s.Pattern)
			}
		}
	}
	if all < 3000 || failed > 10 {
		t.Errorf("%d of %d shapes have no sample", failed, all)
	}
}

func TestCBOR(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 500e6, time.UTC)
	op := load(t, "comprehendmedical").Operations["DescribePHIDetectionJob"]
	out := map[string]any{"ComprehendMedicalAsyncJobProperties": map[string]any{"JobId": "j", "SubmitTime": at}}
	status, h, body, err := op.EncodeCBOR(out)
	if err != nil || status != 200 || h.Get("Smithy-Protocol") != "rpc-v2-cbor" || h.Get("Content-Type") != "application/cbor" {
		t.Fatalf("%d %v %v", status, h, err)
	}
	back := smithy.Operation{Model: op.Model, Input: op.Output}
	r := &http.Request{URL: &url.URL{}, Header: http.Header{"Smithy-Protocol": {"rpc-v2-cbor"}}}
	got, err := back.Decode(r, nil, body)
	if diff := cmp.Diff(out, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, _, _, err := op.EncodeCBOR(map[string]any{"nothing": 1}); err == nil {
		t.Error("a member that the model hasn't is encoded")
	}
	detect := load(t, "comprehendmedical").Operations["DetectPHI"]
	for _, bad := range [][]byte{{0xff}, cbor.Encode(cbor.List{}), cbor.Encode(cbor.Map{"Text": cbor.Uint(1)}), cbor.Encode(cbor.Map{"Text": cbor.Float64(math.NaN())})} {
		in, err := detect.Decode(r, nil, bad)
		if err == nil && detect.Check(in) == "" {
			t.Errorf("% x is read as %v", bad, in)
		}
	}
}

// FuzzCBOR: whatever a client sends as CBOR is decoded without a panic, and what is decoded is checked without one.
func FuzzCBOR(f *testing.F) {
	m, err := smithy.Load("comprehendmedical")
	if err != nil {
		f.Fatal(err)
	}
	op := m.Operations["StartRxNormInferenceJob"]
	f.Add(cbor.Encode(cbor.Map{"JobName": cbor.String("a"), "InputDataConfig": cbor.Map{"S3Bucket": cbor.String("b")}}))
	f.Add(bytes.Repeat([]byte{0x81}, 200))
	r := &http.Request{URL: &url.URL{}, Header: http.Header{"Smithy-Protocol": {"rpc-v2-cbor"}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := op.Decode(r, nil, body)
		if err == nil {
			op.Check(in)
		}
	})
}

// FuzzSample: no pattern makes a sample that it doesn't match.
func FuzzSample(f *testing.F) {
	f.Add(`[a-z]{2,5}(-\d+)?`, uint64(3))
	f.Add(`(?!aws:)([^:]*|x)+$`, uint64(4))
	f.Add(`((a{9}){9}){9}`, uint64(5))
	f.Fuzz(func(t *testing.T, pattern string, seed uint64) {
		s := &smithy.Shape{Type: "string", Pattern: pattern}
		text, ok := s.Sample(seed)
		re, err := regexp.Compile("^(?:" + pattern + ")$")
		if ok && err == nil && !strings.Contains(pattern, "(") && !strings.Contains(pattern, "{") && !strings.Contains(pattern, `\`) && pattern != "" && !strings.Contains(pattern, "?+") && !re.MatchString(text) {
			t.Errorf("%q isn't of %q", text, pattern)
		}
	})
}
