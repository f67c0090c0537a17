package catalog_test

import (
	"encoding/json"
	"os"
	"sort"
	"testing"

	"github.com/aitrail/aitrail/internal/catalog"
)

// TestTablesHoldTheDataFile fails when services.json was edited and the tables were not generated anew.
func TestTablesHoldTheDataFile(t *testing.T) {
	data, err := os.ReadFile("services.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Services []struct {
			Key        string
			Name       string
			Operations []struct {
				Name, API     string
				HTTPURI       string `json:"http_uri"`
				ReadOnly      bool
				EventCategory string `json:"event_category"`
			}
		}
	}
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	if got, want := len(catalog.Services()), 68; got != want || len(f.Services) != want {
		t.Errorf("%d services in the tables, %d in the file, want %d", got, len(f.Services), want)
	}
	total := 0
	for _, s := range f.Services {
		got, ok := catalog.ByKey(s.Key)
		if !ok {
			t.Errorf("service %q is not in the tables", s.Key)
			continue
		}
		if got.Name != s.Name || len(got.Operations) != len(s.Operations) {
			t.Errorf("%s: %q with %d operations, want %q with %d", s.Key, got.Name, len(got.Operations), s.Name, len(s.Operations))
		}
		total += len(got.Operations)
		for _, o := range s.Operations {
			if o.API == "" {
				continue
			}
			_, op := catalog.OperationOf(o.API, o.Name)
			if op == nil || op.URI != o.HTTPURI || op.ReadOnly != o.ReadOnly {
				t.Errorf("%s %s: got %+v", o.API, o.Name, op)
			}
		}
	}
	if total != 3584 {
		t.Errorf("%d operations, want 3584", total)
	}
}

func TestEveryValueHasItsGrounding(t *testing.T) {
	for _, s := range catalog.Services() {
		if s.EventSourceGrounding == 0 || len(s.EventSources) == 0 {
			t.Errorf("%s: event sources %v, grounding %v", s.Key, s.EventSources, s.EventSourceGrounding)
		}
		if !sort.SliceIsSorted(s.Operations, func(i, j int) bool { return s.Operations[i].Name < s.Operations[j].Name }) {
			t.Errorf("%s: operations are not sorted", s.Key)
		}
		for _, o := range s.Operations {
			if o.ReadOnlyGrounding == 0 || o.CategoryGrounding == 0 || o.Class == "" {
				t.Errorf("%s %s: a value without its grounding or class: %+v", s.Key, o.Name, o)
			}
		}
	}
}

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		source, name string
		service      string
		operation    string
		category     catalog.Category
		class        catalog.Class
	}{
		{"bedrock.amazonaws.com", "InvokeModel", "bedrock", "InvokeModel", catalog.Management, catalog.Inference},
		{"bedrock.amazonaws.com", "ConverseStream", "bedrock", "ConverseStream", catalog.Management, catalog.Inference},
		{"bedrock.amazonaws.com", "ApplyGuardrail", "bedrock", "ApplyGuardrail", catalog.Data, catalog.Inference},
		{"bedrock.amazonaws.com", "InvokeAgent", "bedrock", "InvokeAgent", catalog.Data, catalog.Agent},
		{"bedrock.amazonaws.com", "Retrieve", "bedrock", "Retrieve", catalog.Data, catalog.Retrieval},
		{"bedrock.amazonaws.com", "DeleteGuardrail", "bedrock", "DeleteGuardrail", catalog.Management, catalog.Configuration},
		{"bedrock.amazonaws.com", "PutFoundationModelEntitlement", "bedrock", "", 0, ""},
		{"bedrock.amazonaws.com", "ListAgents", "bedrock", "ListAgents", catalog.Management, catalog.Other},
		{"bedrock.amazonaws.com", "CreateModelCustomizationJob", "bedrock", "CreateModelCustomizationJob", catalog.Management, catalog.Training},
		{"bedrock.amazonaws.com", "BrandNewOperation", "bedrock", "", 0, ""},
		{"bedrock-mantle.amazonaws.com", "CreateInference", "bedrock-mantle", "CreateInference", catalog.Data, catalog.Inference},
		{"bedrock-agentcore.amazonaws.com", "InvokeGateway", "bedrock-agentcore", "InvokeGateway", catalog.Data, catalog.Agent},
		{"sagemaker.amazonaws.com", "InvokeEndpoint", "sagemaker", "InvokeEndpoint", catalog.Data, catalog.Inference},
		{"sagemaker.amazonaws.com", "CreateTrainingJob", "sagemaker", "CreateTrainingJob", catalog.Management, catalog.Training},
		{"rekognition.amazonaws.com", "DetectLabels", "rekognition", "DetectLabels", catalog.Management, catalog.Inference},
		{"textract.amazonaws.com", "AnalyzeDocument", "textract", "AnalyzeDocument", catalog.Management, catalog.Inference},
		{"comprehend.amazonaws.com", "ClassifyDocument", "comprehend", "ClassifyDocument", catalog.Management, catalog.Inference},
		{"translate.amazonaws.com", "TranslateText", "translate", "TranslateText", catalog.Management, catalog.Inference},
		{"polly.amazonaws.com", "SynthesizeSpeech", "polly", "SynthesizeSpeech", catalog.Management, catalog.Inference},
		{"transcribe.amazonaws.com", "StartTranscriptionJob", "transcribe", "StartTranscriptionJob", catalog.Management, catalog.Inference},
		{"transcribe.amazonaws.com", "StartTranscriptionJob20171026", "transcribe", "StartTranscriptionJob", catalog.Management, catalog.Inference},
		{"q.amazonaws.com", "SendMessage", "q-developer", "SendMessage", catalog.Management, catalog.Inference},
		{"monitoring.amazonaws.com", "GenerateQuery", "embedded-ai-features", "GenerateQuery", catalog.Management, catalog.Inference},
		{"monitoring.amazonaws.com", "PutMetricAlarm", "", "", 0, ""},
		{"s3.amazonaws.com", "GetObject", "", "", 0, ""},
		{"", "", "", "", 0, ""},
	} {
		s, op := catalog.Lookup(c.source, c.name)
		switch {
		case s == nil:
			if c.service != "" {
				t.Errorf("%s %s: no service, want %s", c.source, c.name, c.service)
			}
		case s.Key != c.service:
			t.Errorf("%s %s: service %s, want %q", c.source, c.name, s.Key, c.service)
		case op == nil:
			if c.operation != "" {
				t.Errorf("%s %s: no operation, want %s", c.source, c.name, c.operation)
			}
		case op.Name != c.operation || op.Category != c.category || op.Class != c.class:
			t.Errorf("%s %s: %s, %v, %v, want %s, %v, %v", c.source, c.name, op.Name, op.Category, op.Class, c.operation, c.category, c.class)
		}
	}
}

func TestClassOf(t *testing.T) {
	s, _ := catalog.ByKey("bedrock")
	for name, want := range map[string]catalog.Class{
		"InvokeModel": catalog.Inference, "PutFoundationModelEntitlement": catalog.Access, "InvokeSomethingNew": catalog.Inference,
		"ListSomethingNew": catalog.Other, "CreateSomethingNew": catalog.Configuration,
	} {
		if got := s.ClassOf(name); got != want {
			t.Errorf("ClassOf(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestDataTypes(t *testing.T) {
	types := catalog.DataTypes()
	if len(types) != 110 {
		t.Errorf("%d data event types, want 110", len(types))
	}
	for i := 1; i < len(types); i++ {
		if types[i] <= types[i-1] {
			t.Errorf("%q after %q", types[i], types[i-1])
		}
	}
}

func TestNearest(t *testing.T) {
	for typed, want := range map[string]string{
		"bedrok": "bedrock", "Bedrock-Runtime": "bedrock", "sagemakr": "sagemaker", "Rekognition": "rekognition",
		"comprehnd": "comprehend", "textrakt": "textract", "qbusiness": "q-business", "bedrock-mantel": "bedrock-mantle",
		"nosuch": "", "xyz": "", "": "",
	} {
		if got := catalog.Nearest(typed); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", typed, got, want)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for b.Loop() {
		if s, op := catalog.Lookup("bedrock.amazonaws.com", "ConverseStream"); s == nil || op == nil {
			b.Fatal("not found")
		}
	}
}
