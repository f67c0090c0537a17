package ai_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/catalog"
	"github.com/aitrail/aitrail/internal/endpoint"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
)

// swept is the outcome of one call of the sweep.
type swept struct {
	Client, Operation, Request, Code, Message, Problem string
	Modelled, Streamed                                 bool
}

// TestSweep has boto3's clients call every operation of every AI service that they know. An operation passes when the
// client can read the answer, or an error that is modelled, and the call is recorded once, as what it was: a stream of
// bedrock-runtime is recorded a second time when it has ended.
func TestSweep(t *testing.T) {
	if testing.Short() {
		t.Skip("calls some thousands of operations")
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is missing: nothing was swept")
	}
	version, err := exec.Command(python, "-c", "import botocore; print(botocore.__version__)").Output()
	if err != nil {
		t.Skip("boto3 is missing: nothing was swept")
	}
	server, err := endpoint.New(endpoint.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	listener := httptest.NewServer(server.Handler())
	defer listener.Close()
	key, secret := server.RootKey()
	began := time.Now()
	command := exec.Command(python, append([]string{"testdata/sweep.py", listener.URL, key, secret}, smithy.Clients()...)...)
	command.Stderr = os.Stderr
	command.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") }), "AWS_EC2_METADATA_DISABLED=true", "PYTHONWARNINGS=ignore")
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	total, passed, newer, codes := 0, 0, 0, map[string]int{}
	records := recordsOf(t, server)
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var s swept
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		total++
		if _, op := catalog.OperationOf(s.Client, s.Operation); op == nil {
			newer++
		}
		codes[s.Code]++
		if why := judge(s, records[s.Request]); why == "" {
			passed++
			if testing.Verbose() && s.Code != "" {
				t.Logf("%s.%s: %s: %s", s.Client, s.Operation, s.Code, s.Message)
			}
		} else {
			t.Logf("%s.%s: %s", s.Client, s.Operation, why)
		}
	}
	t.Logf("botocore %s: %d of %d operations passed in %s, %d of them newer than the catalog", bytes.TrimSpace(version), passed, total, time.Since(began).Round(time.Second), newer)
	t.Logf("answered: %s", counts(codes))
	if total < 2000 || passed*100 < total*98 {
		t.Errorf("%d of %d operations passed, want 98 %%", passed, total)
	}
}

// serviceOf is the service that a client is for; nil when the catalog doesn't have the client.
func serviceOf(client string) *catalog.Service {
	services := catalog.Services()
	for i := range services {
		if slices.ContainsFunc(services[i].APIs, func(a catalog.API) bool { return a.Client == client }) {
			return &services[i]
		}
	}
	return nil
}

// record is what is compared of a record.
type record struct{ source, name, kind string }

// recordsOf is all records by request id. The second record of a stream has the request id in its details.
func recordsOf(t *testing.T, server *endpoint.Server) map[string][]record {
	t.Helper()
	records := map[string][]record{}
	for e, err := range server.Recorded() {
		if err != nil {
			t.Fatal(err)
		}
		id := e.RequestID
		if e.EventType == "AwsServiceEvent" {
			var details struct{ ParentRequestID string }
			if err := json.Unmarshal([]byte(e.ServiceEventDetails), &details); err != nil {
				t.Fatal(err)
			}
			id = details.ParentRequestID
		}
		records[id] = append(records[id], record{e.EventSource, e.EventName, e.EventType})
	}
	return records
}

// judge says why a call did not pass, or "".
func judge(s swept, got []record) string {
	service, op := catalog.OperationOf(s.Client, s.Operation)
	if op == nil {
		service = serviceOf(s.Client) // newer than the catalog
	}
	switch {
	case s.Problem != "":
		return s.Problem
	case !s.Modelled:
		return "answered with the error " + s.Code + ": " + s.Message
	case service == nil:
		return "not in the catalog"
	case len(got) == 0:
		return "not recorded"
	}
	for _, r := range got {
		if r.source != service.EventSources[0] || r.name != s.Operation {
			return "recorded as " + r.name + " of " + r.source
		}
	}
	want := []string{"AwsApiCall"}
	if s.Streamed && s.Client == "bedrock-runtime" {
		want = append(want, "AwsServiceEvent")
	}
	var kinds []string
	for _, r := range got {
		kinds = append(kinds, r.kind)
	}
	if sort.Strings(kinds); strings.Join(kinds, " ") != strings.Join(want, " ") {
		return "recorded as " + strings.Join(kinds, " ")
	}
	return ""
}

func counts(codes map[string]int) string {
	var list []string
	for code, n := range codes {
		if code == "" {
			code = "success"
		}
		b, _ := json.Marshal(n)
		list = append(list, code+" "+string(b))
	}
	sort.Strings(list)
	return strings.Join(list, ", ")
}
