package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/ai/upstream"
)

func TestChat(t *testing.T) {
	var path string
	var got map[string]any
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.Method + " " + r.URL.String()
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}`)
	}))
	defer web.Close()
	for address, want := range map[string]struct{ path, model string }{
		web.URL:                     {"POST /v1/chat/completions", "m"},
		web.URL + "/":               {"POST /v1/chat/completions", "m"},
		web.URL + "/api/v2":         {"POST /api/v2/chat/completions", "m"},
		web.URL + "?model=llama3.2": {"POST /v1/chat/completions", "llama3.2"},
	} {
		c, err := upstream.New(address)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Chat(t.Context(), upstream.Request{Model: "m", Messages: []map[string]any{{"role": "user", "content": "Hi"}}, MaxTokens: 5})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&upstream.Answer{Text: "Hello.", Finish: "stop", In: 7, Out: 2}, a); diff != "" {
			t.Error(diff)
		}
		asked := map[string]any{"model": want.model, "messages": []any{map[string]any{"role": "user", "content": "Hi"}}, "max_tokens": 5.0}
		if diff := cmp.Diff(asked, got); diff != "" || path != want.path {
			t.Errorf("%s: %s\n%s", address, path, diff)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		want   string
	}{
		{500, `{"error":{"message":"out of memory"}}`, "500 Internal Server Error: out of memory"},
		{404, `no such model`, "404 Not Found: no such model"},
		{503, strings.Repeat("x", 4000), "…"},
		{200, `[]`, "no chat completion"},
		{200, `{"choices":[]}`, "no choices"},
		{200, `{"choices":[{}]}`, "no choices"},
		{200, `{"choices":[{"message":{}}],"usage":{"prompt_tokens":-1}}`, "below zero"},
		{200, `{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":"["}}]}}]}`, `tool "f"`},
		{200, `{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":"null"}}]}}]}`, `tool "f"`},
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.body)
		}))
		c, err := upstream.New(web.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Chat(t.Context(), upstream.Request{})
		var e *upstream.Error
		if !errors.As(err, &e) || e.Status != tt.status || !strings.Contains(e.Reason, tt.want) || len(e.Reason) > 1000 {
			t.Errorf("%d %.80s: %v", tt.status, tt.body, err)
		}
		web.Close()
		if _, err := c.Chat(t.Context(), upstream.Request{}); !errors.As(err, &e) || e.Status != 0 || !strings.Contains(e.Reason, "can't be reached") {
			t.Errorf("when it is down: %v", err)
		}
	}
	c, err := upstream.New("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Chat(ctx, upstream.Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("when the caller has gone: %v", err)
	}
	for _, address := range []string{"", "127.0.0.1:11434", "ftp://host", "http://", "http://a b"} {
		if _, err := upstream.New(address); err == nil {
			t.Errorf("%q is taken for an address", address)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"choices":[{"message":{"content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2}}`))
	f.Add([]byte(`{"choices":[{"message":{"content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"a\":1}"}}]}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := upstream.Decode(b)
		if (a == nil) == (err == nil) {
			t.Fatal("neither an answer nor an error, or both")
		}
		if a != nil && (a.In < 0 || a.Out < 0 || a.Tool != nil && a.Tool.Arguments == nil) {
			t.Errorf("%+v", a)
		}
	})
}
