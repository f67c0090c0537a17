package logs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/logs"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

type world struct {
	t     *testing.T
	path  string
	now   time.Time
	store *state.Store
	logs  *logs.Service
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, path: filepath.Join(t.TempDir(), "state.db"), now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	w.start()
	t.Cleanup(func() { w.store.Close() })
	return w
}

func (w *world) start() {
	w.t.Helper()
	var err error
	if w.store, err = state.Open(w.path); err != nil {
		w.t.Fatal(err)
	}
	w.logs = logs.New(logs.Options{Account: "111122223333", Store: w.store, Now: func() time.Time { return w.now }})
}

func (w *world) restart() {
	w.t.Helper()
	w.store.Close()
	w.start()
}

func (w *world) serve(region, operation, in string) (*awsapi.Call, string, error) {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/", nil)
	r.Header.Set("X-Amz-Target", "Logs_20140328."+operation)
	name, p, ok := w.logs.Route(r, []byte(in))
	if !ok || p != awsapi.JSON11 {
		w.t.Fatalf("Route(%s) = %v, %v", operation, p, ok)
	}
	c := &awsapi.Call{Request: r, Body: []byte(in), Account: "111122223333", Region: region, Operation: name}
	w.logs.Describe(c)
	response, err := w.logs.Serve(c)
	if err != nil {
		return c, "", err
	}
	return c, strings.TrimSpace(string(response.Body)), nil
}

func (w *world) do(operation, in string) string {
	w.t.Helper()
	_, out, err := w.serve("us-east-1", operation, in)
	if err != nil {
		w.t.Fatalf("%s %s: %v", operation, in, err)
	}
	return out
}

func (w *world) refused(code, operation, in string) {
	w.t.Helper()
	_, _, err := w.serve("us-east-1", operation, in)
	var e *awsapi.Error
	if !errors.As(err, &e) || e.Code != code {
		w.t.Errorf("%s %.200s: %v; want %s", operation, in, err, code)
	}
}

// put writes events: their times are minutes after ten.
func (w *world) put(stream string, minutes ...int) string {
	w.t.Helper()
	list := []map[string]any{}
	for _, m := range minutes {
		list = append(list, map[string]any{"timestamp": minute(m), "message": fmt.Sprintf("%s %d", stream, m)})
	}
	b, err := json.Marshal(list)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.do("PutLogEvents", `{"logGroupName":"g","logStreamName":"`+stream+`","logEvents":`+string(b)+`}`)
}

func minute(m int) int64 {
	return time.Date(2026, 11, 22, 10, m, 0, 0, time.UTC).UnixMilli()
}

type answer struct {
	Events []struct {
		Message, LogStreamName, EventID string
		Timestamp                       int64
	}
	NextToken, NextForwardToken, NextBackwardToken string
}

func (w *world) read(operation, in string) (answer, []string) {
	w.t.Helper()
	var a answer
	if err := json.Unmarshal([]byte(w.do(operation, in)), &a); err != nil {
		w.t.Fatal(err)
	}
	messages := []string{}
	for _, e := range a.Events {
		messages = append(messages, e.Message)
	}
	return a, messages
}

// withStreams has a group with the streams a and b.
func withStreams(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.do("CreateLogGroup", `{"logGroupName":"g"}`)
	w.do("CreateLogStream", `{"logGroupName":"g","logStreamName":"a"}`)
	w.do("CreateLogStream", `{"logGroupName":"g","logStreamName":"b"}`)
	return w
}

func TestGroups(t *testing.T) {
	w := newWorld(t)
	w.do("CreateLogGroup", `{"logGroupName":"/aws/one","tags":{"team":"x"}}`)
	w.do("CreateLogGroup", `{"logGroupName":"/aws/two"}`)
	w.do("CreateLogGroup", `{"logGroupName":"other"}`)
	w.refused("ResourceAlreadyExistsException", "CreateLogGroup", `{"logGroupName":"other"}`)
	w.refused("InvalidParameterException", "CreateLogGroup", `{"logGroupName":"a b"}`)
	w.refused("InvalidParameterException", "CreateLogGroup", `{}`)
	w.refused("InvalidParameterException", "CreateLogGroup", `{"logGroupName":"k","kmsKeyId":"arn:aws:kms:us-east-1:111122223333:key/k"}`)
	w.do("PutRetentionPolicy", `{"logGroupName":"/aws/one","retentionInDays":7}`)
	w.refused("InvalidParameterException", "PutRetentionPolicy", `{"logGroupName":"/aws/one","retentionInDays":8}`)
	w.refused("ResourceNotFoundException", "PutRetentionPolicy", `{"logGroupName":"none","retentionInDays":7}`)
	w.restart()
	want := `{"logGroups":[{"logGroupName":"/aws/one","creationTime":1795341600000,"retentionInDays":7,"metricFilterCount":0,` +
		`"arn":"arn:aws:logs:us-east-1:111122223333:log-group:/aws/one:*","storedBytes":0,"logGroupClass":"STANDARD",` +
		`"logGroupArn":"arn:aws:logs:us-east-1:111122223333:log-group:/aws/one","deletionProtectionEnabled":false}],"nextToken":"/aws/one"}`
	if got := w.do("DescribeLogGroups", `{"logGroupNamePrefix":"/aws","limit":1}`); got != want {
		t.Error(got)
	}
	list := func(in string) []string {
		t.Helper()
		var out struct {
			LogGroups []struct{ LogGroupName string }
		}
		if err := json.Unmarshal([]byte(w.do("DescribeLogGroups", in)), &out); err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, g := range out.LogGroups {
			names = append(names, g.LogGroupName)
		}
		return names
	}
	for in, want := range map[string][]string{
		`{}`: {"/aws/one", "/aws/two", "other"},
		`{"logGroupNamePrefix":"/aws","nextToken":"/aws/one"}`:                            {"/aws/two"},
		`{"logGroupNamePattern":"T"}`:                                                     {"/aws/two", "other"},
		`{"logGroupNamePrefix":"none"}`:                                                   {},
		`{"logGroupIdentifiers":["arn:aws:logs:us-east-1:111122223333:log-group:other"]}`: {"other"},
	} {
		if diff := cmp.Diff(want, list(in)); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
	if _, out, _ := w.serve("eu-west-1", "DescribeLogGroups", `{}`); out != `{"logGroups":[]}` {
		t.Errorf("another Region has %s", out)
	}

	arn := `"resourceArn":"arn:aws:logs:us-east-1:111122223333:log-group:/aws/one`
	w.do("TagResource", `{`+arn+`","tags":{"a":"1","b":"2"}}`)
	w.do("UntagResource", `{`+arn+`:*","tagKeys":["a","none"]}`)
	if got := w.do("ListTagsForResource", `{`+arn+`"}`); got != `{"tags":{"b":"2","team":"x"}}` {
		t.Error(got)
	}
	w.refused("ResourceNotFoundException", "ListTagsForResource", `{"resourceArn":"arn:aws:logs:us-east-1:111122223333:log-group:none"}`)
	w.refused("InvalidParameterException", "TagResource", `{`+arn+`","tags":{"aws:a":"1"}}`)

	w.do("DeleteRetentionPolicy", `{"logGroupName":"/aws/one"}`)
	w.do("DeleteLogGroup", `{"logGroupName":"/aws/one"}`)
	w.refused("ResourceNotFoundException", "DeleteLogGroup", `{"logGroupName":"/aws/one"}`)
	if w.logs.HasLogGroup("us-east-1", "/aws/one") || !w.logs.HasLogGroup("us-east-1", "other") {
		t.Error("HasLogGroup is wrong")
	}
}

func TestStreams(t *testing.T) {
	w := withStreams(t)
	w.refused("ResourceAlreadyExistsException", "CreateLogStream", `{"logGroupName":"g","logStreamName":"a"}`)
	w.refused("ResourceNotFoundException", "CreateLogStream", `{"logGroupName":"none","logStreamName":"a"}`)
	w.refused("InvalidParameterException", "CreateLogStream", `{"logGroupName":"g","logStreamName":"a:b"}`)
	w.put("a", 5, 6)
	w.put("a", 3)
	w.put("b", 4)
	w.now = w.now.Add(time.Minute)
	list := func(in string) (names []string, next string) {
		t.Helper()
		var out struct {
			LogStreams []struct{ LogStreamName string }
			NextToken  string
		}
		if err := json.Unmarshal([]byte(w.do("DescribeLogStreams", in)), &out); err != nil {
			t.Fatal(err)
		}
		for _, s := range out.LogStreams {
			names = append(names, s.LogStreamName)
		}
		return names, out.NextToken
	}
	for in, want := range map[string][]string{
		`{"logGroupName":"g"}`:                                                                         {"a", "b"},
		`{"logGroupName":"g","logStreamNamePrefix":"b"}`:                                               {"b"},
		`{"logGroupName":"g","orderBy":"LastEventTime"}`:                                               {"b", "a"},
		`{"logGroupName":"g","orderBy":"LastEventTime","descending":true}`:                             {"a", "b"},
		`{"logGroupIdentifier":"arn:aws:logs:us-east-1:111122223333:log-group:g:*","descending":true}`: {"b", "a"},
	} {
		if got, _ := list(in); !cmp.Equal(want, got) {
			t.Errorf("%s: %v; want %v", in, got, want)
		}
	}
	first, next := list(`{"logGroupName":"g","limit":1}`)
	second, end := list(`{"logGroupName":"g","limit":1,"nextToken":"` + next + `"}`)
	if !cmp.Equal(append(first, second...), []string{"a", "b"}) || end != "" {
		t.Errorf("pages %v, %v, token %q", first, second, end)
	}
	want := `{"logStreams":[{"logStreamName":"a","creationTime":1795341600000,"firstEventTimestamp":1795341780000,"lastEventTimestamp":1795341960000,` +
		`"lastIngestionTime":1795341600000,"uploadSequenceToken":"00000000000000000000000000000000000000000000000000000003",` +
		`"arn":"arn:aws:logs:us-east-1:111122223333:log-group:g:log-stream:a","storedBytes":9}]}`
	if got := w.do("DescribeLogStreams", `{"logGroupName":"g","logStreamNamePrefix":"a"}`); got != want {
		t.Error(got)
	}
	w.do("DeleteLogStream", `{"logGroupName":"g","logStreamName":"a"}`)
	w.do("CreateLogStream", `{"logGroupName":"g","logStreamName":"a"}`)
	if _, got := w.read("GetLogEvents", `{"logGroupName":"g","logStreamName":"a"}`); len(got) != 0 {
		t.Errorf("a stream made again has %v", got)
	}
	if got := w.do("DescribeLogGroups", `{}`); !strings.Contains(got, `"storedBytes":3`) {
		t.Error(got)
	}
	w.do("DeleteLogGroup", `{"logGroupName":"g"}`)
	w.do("CreateLogGroup", `{"logGroupName":"g"}`)
	if got, _ := list(`{"logGroupName":"g"}`); got != nil {
		t.Errorf("a group made again has %v", got)
	}
}

func TestGetLogEvents(t *testing.T) {
	w := withStreams(t)
	w.put("a", 1, 4, 7) // three calls whose times overlap
	w.put("a", 2, 4, 8)
	w.put("a", 0, 3)
	w.put("b", 5)
	const stream = `{"logGroupName":"g","logStreamName":"a"`
	a := func(minutes ...int) []string {
		list := []string{}
		for _, m := range minutes {
			list = append(list, fmt.Sprintf("a %d", m))
		}
		return list
	}
	for more, want := range map[string][]string{
		``:                                a(0, 1, 2, 3, 4, 4, 7, 8),
		`,"limit":3`:                      a(4, 7, 8),
		`,"limit":3,"startFromHead":true`: a(0, 1, 2),
		fmt.Sprintf(`,"startTime":%d,"endTime":%d`, minute(2), minute(7)): a(2, 3, 4, 4),
		fmt.Sprintf(`,"startTime":%d`, minute(9)):                         {},
	} {
		if _, got := w.read("GetLogEvents", stream+more+`}`); !cmp.Equal(want, got) {
			t.Errorf("%s: %v; want %v", more, got, want)
		}
	}
	pages := func(first, token string, next func(answer) string) (all [][]string) {
		answer, got := w.read("GetLogEvents", stream+first+`}`)
		for len(got) > 0 {
			all = append(all, got)
			answer, got = w.read("GetLogEvents", stream+`,"limit":3,"`+token+`":"`+next(answer)+`"}`)
		}
		return all
	}
	forward := pages(`,"limit":3,"startFromHead":true`, "nextToken", func(a answer) string { return a.NextForwardToken })
	if diff := cmp.Diff([][]string{a(0, 1, 2), a(3, 4, 4), a(7, 8)}, forward); diff != "" {
		t.Error(diff)
	}
	backward := pages(`,"limit":3`, "nextToken", func(a answer) string { return a.NextBackwardToken })
	if diff := cmp.Diff([][]string{a(4, 7, 8), a(2, 3, 4), a(0, 1)}, backward); diff != "" {
		t.Error(diff)
	}
	// At the end the token stays the same, which is how clients know; what comes later is found with it.
	last, _ := w.read("GetLogEvents", stream+`,"startFromHead":true}`)
	end, got := w.read("GetLogEvents", stream+`,"nextToken":"`+last.NextForwardToken+`"}`)
	if len(got) > 0 || end.NextForwardToken != last.NextForwardToken {
		t.Errorf("after the end: %v, token %q; want %q", got, end.NextForwardToken, last.NextForwardToken)
	}
	w.put("a", 9)
	if _, got := w.read("GetLogEvents", stream+`,"nextToken":"`+end.NextForwardToken+`"}`); !cmp.Equal(got, a(9)) {
		t.Errorf("later events: %v", got)
	}
	w.refused("InvalidParameterException", "GetLogEvents", stream+`,"nextToken":"x"}`)
	w.refused("InvalidParameterException", "GetLogEvents", stream+`,"limit":0}`)
	w.refused("ResourceNotFoundException", "GetLogEvents", `{"logGroupName":"g","logStreamName":"none"}`)
}

func TestFilterLogEvents(t *testing.T) {
	w := withStreams(t)
	w.put("a", 1, 4, 7)
	w.put("b", 2, 4, 8)
	w.put("a", 3)
	for more, want := range map[string][]string{
		``:                           {"a 1", "b 2", "a 3", "a 4", "b 4", "a 7", "b 8"},
		`,"logStreamNames":["b"]`:    {"b 2", "b 4", "b 8"},
		`,"logStreamNamePrefix":"a"`: {"a 1", "a 3", "a 4", "a 7"},
		`,"filterPattern":"4"`:       {"a 4", "b 4"},
		`,"filterPattern":"none"`:    {},
		fmt.Sprintf(`,"startTime":%d,"endTime":%d`, minute(3), minute(7)): {"a 3", "a 4", "b 4", "a 7"},
	} {
		_, got := w.read("FilterLogEvents", `{"logGroupName":"g"`+more+`}`)
		// Events of one time in two streams come in any order, but always the same.
		if slices.Sort(got[:]); !cmp.Equal(sorted(want), got) {
			t.Errorf("%s: %v; want %v", more, got, want)
		}
	}
	var all []string
	token, seen := "", map[string]bool{}
	for {
		in := `{"logGroupName":"g","limit":2`
		if token != "" {
			in += `,"nextToken":"` + token + `"`
		}
		a, got := w.read("FilterLogEvents", in+`}`)
		all = append(all, got...)
		for _, e := range a.Events {
			if seen[e.EventID] || !strings.HasPrefix(e.Message, e.LogStreamName) {
				t.Errorf("event %+v", e)
			}
			seen[e.EventID] = true
		}
		if token = a.NextToken; token == "" {
			break
		}
	}
	_, whole := w.read("FilterLogEvents", `{"logGroupName":"g"}`)
	if diff := cmp.Diff(whole, all); diff != "" {
		t.Error(diff)
	}
	w.refused("InvalidParameterException", "FilterLogEvents", `{"logGroupName":"g","filterPattern":"[a, b]"}`)
	w.refused("InvalidParameterException", "FilterLogEvents", `{"logGroupName":"g","logStreamNames":["a"],"logStreamNamePrefix":"a"}`)
	w.refused("ResourceNotFoundException", "FilterLogEvents", `{"logGroupName":"g","logStreamNames":["none"]}`)
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

func TestPutLogEventsRefuses(t *testing.T) {
	w := withStreams(t)
	put := func(stream, events string) string {
		return `{"logGroupName":"g","logStreamName":"` + stream + `","logEvents":[` + events + `]}`
	}
	event := func(at int64, message string) string {
		return fmt.Sprintf(`{"timestamp":%d,"message":%q}`, at, message)
	}
	for name, in := range map[string]string{
		"no events":   put("a", ""),
		"no message":  put("a", event(minute(1), "")),
		"disorder":    put("a", event(minute(2), "x")+","+event(minute(1), "y")),
		"too long":    put("a", event(minute(1), strings.Repeat("x", 1<<20))),
		"over a day":  put("a", event(minute(0), "x")+","+event(minute(24*60+1), "y")),
		"many events": put("a", strings.TrimSuffix(strings.Repeat(event(minute(1), "x")+",", 10_001), ",")),
	} {
		t.Run(name, func(t *testing.T) { w.refused("InvalidParameterException", "PutLogEvents", in) })
	}
	w.refused("ResourceNotFoundException", "PutLogEvents", put("none", event(minute(1), "x")))

	day := int64(24 * 60)
	old := w.do("PutLogEvents", put("a", event(minute(int(-14*day-5)), "too old")+","+event(minute(int(-14*day+5)), "kept")))
	if !strings.Contains(old, `"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":1}`) {
		t.Error(old)
	}
	early := w.do("PutLogEvents", put("a", event(minute(119), "kept")+","+event(minute(121), "too new")))
	if !strings.Contains(early, `"rejectedLogEventsInfo":{"tooNewLogEventStartIndex":1}`) {
		t.Error(early)
	}
	if _, got := w.read("GetLogEvents", `{"logGroupName":"g","logStreamName":"a"}`); !cmp.Equal(got, []string{"kept", "kept"}) {
		t.Errorf("events: %v", got)
	}
}

// Expired events are not answered, whether or not their space has been freed.
func TestRetention(t *testing.T) {
	w := withStreams(t)
	w.do("PutRetentionPolicy", `{"logGroupName":"g","retentionInDays":1}`)
	w.put("a", 0, 1)
	w.put("a", 10)
	stored := func(want string) {
		t.Helper()
		if got := w.do("DescribeLogGroups", `{}`); !strings.Contains(got, `"storedBytes":`+want+`,`) {
			t.Errorf("stored: %s; want %s", got, want)
		}
	}
	read := func(want ...string) {
		t.Helper()
		for _, operation := range []string{"GetLogEvents", "FilterLogEvents"} {
			if _, got := w.read(operation, `{"logGroupName":"g","logStreamName":"a"}`); !cmp.Equal(got, want) {
				t.Errorf("%s: %v; want %v", operation, got, want)
			}
		}
	}
	read("a 0", "a 1", "a 10")
	w.now = w.now.Add(24*time.Hour + 30*time.Second)
	read("a 1", "a 10")
	stored("10")
	w.now = w.now.Add(5 * time.Minute)
	read("a 10")
	w.put("a", 24*60)
	stored("10") // of 16: the first chunk is gone
	read("a 10", "a 1440")
	if got := w.put("a", 2, 24*60); !strings.Contains(got, `"expiredLogEventEndIndex":1`) {
		t.Error(got)
	}
	w.do("DeleteRetentionPolicy", `{"logGroupName":"g"}`)
	read("a 10", "a 1440", "a 1440")
}

// What AppendTx writes is there if its transaction is, and not otherwise.
func TestAppendTx(t *testing.T) {
	w := newWorld(t)
	w.do("CreateLogGroup", `{"logGroupName":"g"}`)
	events := func(messages ...string) iter.Seq2[time.Time, string] {
		return func(yield func(time.Time, string) bool) {
			for _, m := range messages {
				if !yield(w.now, m) {
					return
				}
			}
		}
	}
	add := func(fail error, group string, messages ...string) error {
		return w.store.Update(func(tx *state.Tx) error {
			if err := w.logs.AppendTx(tx, "us-east-1", group, "s", w.now, events(messages...)); err != nil {
				return err
			}
			return fail
		})
	}
	broken := errors.New("broken")
	if err := add(broken, "g", "lost"); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if err := add(nil, "g", "x", "y"); err != nil {
		t.Fatal(err)
	}
	if err := add(nil, "g", "z"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if _, got := w.read("FilterLogEvents", `{"logGroupName":"g"}`); !cmp.Equal(got, []string{"x", "y", "z"}) {
		t.Errorf("events: %v", got)
	}
	var e *awsapi.Error
	if err := add(nil, "none", "x"); !errors.As(err, &e) || e.Code != "ResourceNotFoundException" {
		t.Errorf("a group that isn't there: %v", err)
	}
}

func TestDescribesItsCalls(t *testing.T) {
	w := withStreams(t)
	c, _, err := w.serve("us-east-1", "PutLogEvents", `{"logGroupName":"g","logStreamName":"a","logEvents":[{"timestamp":1,"message":"secret"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	r := c.Record
	if !r.Data || r.ReadOnly || r.EventSource != "logs.amazonaws.com" || r.Resources[0].ARN != "arn:aws:logs:us-east-1:111122223333:log-group:g" {
		t.Errorf("PutLogEvents: %+v", r)
	}
	if diff := cmp.Diff(map[string]any{"logGroupName": "g", "logStreamName": "a"}, r.RequestParameters); diff != "" {
		t.Error(diff)
	}
	for operation, want := range map[string]awsapi.Access{
		"PutLogEvents":        {Action: "logs:PutLogEvents", Resource: "arn:aws:logs:us-east-1:111122223333:log-group:g:log-stream:a"},
		"TagResource":         {Action: "logs:TagResource", Resource: "arn:aws:logs:us-east-1:111122223333:log-group:g"},
		"ListTagsForResource": {Action: "logs:ListTagsForResource", Resource: "arn:aws:logs:us-east-1:111122223333:log-group:g"},
	} {
		c := &awsapi.Call{Operation: operation, Region: "us-east-1", Body: []byte(`{"logGroupName":"g","logStreamName":"a"}`)}
		if diff := cmp.Diff([]awsapi.Access{want}, w.logs.Access(c)); diff != "" {
			t.Errorf("%s: %s", operation, diff)
		}
	}
}
