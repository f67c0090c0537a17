package ai_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/ai"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// marker stands in every sensitive member and blob that invented inputs have.
const marker = "verysecretwords"

// invent makes a value of a shape: the required members, the others by chance.
func invent(s *smithy.Shape, secret bool, r *rand.Rand, depth int) any {
	secret = secret || s.Sensitive
	switch s.Type {
	case "structure":
		out := map[string]any{}
		for i := range s.Members {
			m := &s.Members[i]
			required := false
			for _, name := range s.Required {
				required = required || name == m.Name
			}
			if (required || r.IntN(3) == 0 && !s.Union || s.Union && i == 0) && depth < 9 {
				out[m.Name] = invent(m.Shape, secret || m.Sensitive, r, depth+1)
			}
		}
		return out
	case "map":
		return map[string]any{"key": invent(s.Item, secret, r, depth+1)}
	case "list":
		n := 1
		if s.Min != nil {
			n = int(*s.Min)
		}
		out := []any{}
		for range n {
			out = append(out, invent(s.Item, secret, r, depth+1))
		}
		return out
	case "boolean":
		return r.IntN(2) == 0
	case "integer", "long", "float", "double":
		if s.Min != nil {
			return *s.Min
		}
		return 1
	case "timestamp":
		return 1700000000
	case "blob":
		return base64.StdEncoding.EncodeToString([]byte(marker))
	default:
		return inventText(s, secret)
	}
}

func inventText(s *smithy.Shape, secret bool) string {
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	out := "ABCDEFGHIJ"
	if secret {
		out = marker
	}
	for s.Min != nil && float64(len(out)) < *s.Min {
		out += out
	}
	if s.Max != nil && float64(len(out)) > *s.Max {
		out = out[:int(*s.Max)]
	}
	return out
}

// request writes an input as a client would.
func request(op *smithy.Operation, in map[string]any) (*http.Request, []byte) {
	if op.Model.Protocol == "json" {
		body, err := json.Marshal(in)
		if err != nil {
			panic(err)
		}
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-Amz-Target", op.Model.Target+"."+op.Name)
		return r, body
	}
	path, query, header, rest := op.URI, url.Values{}, http.Header{}, map[string]any{}
	for name, v := range in {
		m := op.Input.Member(name)
		text := fmt.Sprint(v)
		switch m.In {
		case "uri":
			path = strings.NewReplacer("{"+m.WireName()+"}", url.PathEscape(text), "{"+m.WireName()+"+}", url.PathEscape(text)).Replace(path)
		case "querystring":
			query.Set(m.WireName(), text)
		case "header":
			header.Set(m.WireName(), text)
		default:
			rest[m.WireName()] = v
		}
	}
	body, err := json.Marshal(rest)
	if err != nil {
		panic(err)
	}
	if op.Input != nil && op.Input.Payload != "" {
		text, _ := rest[op.Input.Payload].(string)
		if body, err = base64.StdEncoding.DecodeString(text); err != nil {
			panic(err)
		}
	}
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	r := httptest.NewRequest(op.Method, path+separator+query.Encode(), nil)
	r.Header = header
	return r, body
}

// TestEveryOperation sends each operation inputs of every form: none may be answered with anything but an answer of the
// operation's shape or an error of AWS's, and nothing sensitive may be recorded.
func TestEveryOperation(t *testing.T) {
	store, err := state.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	services := servicesOf(store)
	answered := 0
	for name, op := range ai.Served() {
		r := rand.New(rand.NewPCG(1, 2))
		for try := range 12 {
			in := map[string]any{}
			if op.Input != nil && try > 0 {
				in, _ = invent(op.Input, false, r, 0).(map[string]any)
			}
			req, body := request(op, in)
			c := &awsapi.Call{
				Request: req, Body: body, ID: name + string(rune('a'+try)), Time: time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC), Account: account, Region: "us-east-1",
				Signing: op.Model.Signing, Caller: &awsapi.Identity{Kind: awsapi.User, Account: account},
			}
			service := services[op.Model.Signing]
			operation, _, ok := service.Route(req, body)
			if !ok || operation != op.Name {
				if try > 0 {
					t.Errorf("%s: %s %s is routed to %q", name, req.Method, req.URL, operation)
				}
				continue
			}
			c.Operation = operation
			service.Describe(c)
			if len(service.Access(c)) == 0 {
				t.Errorf("%s needs no permission", name)
			}
			response, err := service.Serve(c)
			if _, isAWSs := err.(*awsapi.Error); err != nil && !isAWSs {
				t.Errorf("%s with %v: %v", name, in, err)
			}
			// HealthOmics shows its workflows' definitions (AWS's example record has one).
			clear := name == "omics.CreateWorkflow"
			if record := encode(t, c.Record); !clear && (strings.Contains(record, marker) || strings.Contains(record, base64.StdEncoding.EncodeToString([]byte(marker)))) {
				t.Errorf("%s records what it may not: %s", name, record)
			}
			if c.Record.EventName != op.Name || c.Record.EventSource == "" {
				t.Errorf("%s is recorded as %s of %s", name, c.Record.EventName, c.Record.EventSource)
			}
			if err == nil {
				answered++
				drain(t, name, response)
				valid(t, name, op, response)
			}
		}
	}
	if answered < 100 {
		t.Errorf("only %d calls of invented input were answered", answered)
	}
}

// valid checks an answer as a client of another kind would: it must decode to the output's shape and hold what that
// requires.
func valid(t *testing.T, name string, op *smithy.Operation, response *awsapi.Response) {
	t.Helper()
	switch {
	case op.Output == nil || response.Stream != nil || op.Output.Payload != "":
		return
	case name == "bedrock.ListFoundationModels" || name == "bedrock.GetFoundationModel":
		return // AWS's own answers have the inference type INFERENCE_PROFILE, which the model lacks
	case name == "bedrock.ListInferenceProfiles" || name == "bedrock.GetInferenceProfile":
		return // AWS's own descriptions have commas, against the model's pattern
	}
	back := smithy.Operation{Name: op.Name, Model: op.Model, Input: op.Output}
	out, err := back.Decode(&http.Request{URL: &url.URL{}, Header: response.Header}, nil, response.Body)
	if err != nil {
		t.Errorf("%s answers %s: %v", name, response.Body, err)
	}
	var codes []string
	for i := range op.Output.Members {
		if op.Output.Members[i].In == "statusCode" {
			codes = append(codes, op.Output.Members[i].Name)
		}
	}
	if wrong := back.Check(out, codes...); wrong != "" {
		t.Errorf("%s answers %s: %s", name, response.Body, wrong)
	}
}

func drain(t *testing.T, name string, response *awsapi.Response) {
	t.Helper()
	if response.Stream == nil {
		return
	}
	var out strings.Builder
	if _, err := response.Stream(&out, func() {}); err != nil || out.Len() == 0 {
		t.Errorf("%s: the stream of %d bytes ended with %v", name, out.Len(), err)
	}
}
