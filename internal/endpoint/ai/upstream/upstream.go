// Package upstream asks a model server that speaks OpenAI's chat completions: Ollama, vLLM, llama.cpp and others. It knows
// nothing of Bedrock; it sends messages and gives back what the server said, with the tokens the server counted.
//
// A server's answer is taken as it is or refused whole: one that isn't a chat completion is an [*Error], as is every
// status but 200.
package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer is the longest answer that is read, in bytes.
const maxAnswer = 32 << 20

// timeout is how long a server may take.
const timeout = 10 * time.Minute

// Client asks one server. Its methods may be called concurrently.
type Client struct {
	url   string // of chat completions
	model string // "" asks for the model that the request names
	http  *http.Client
}

// New returns a client for the server at an address such as http://127.0.0.1:11434. The path defaults to /v1; the query
// model=NAME has the server asked for that model, whatever a request names. It doesn't connect.
func New(address string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("model server's address: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("model server's address %q is not http://HOST:PORT", address)
	}
	c := &Client{model: u.Query().Get("model"), http: &http.Client{Timeout: timeout}}
	if u.Path = strings.TrimSuffix(u.Path, "/"); u.Path == "" {
		u.Path = "/v1"
	}
	u.Path += "/chat/completions"
	u.RawQuery, u.Fragment = "", ""
	c.url = u.String()
	return c, nil
}

// Request is what a server is asked. Messages and Tools are in OpenAI's form.
type Request struct {
	Model       string           `json:"model"`
	Messages    []map[string]any `json:"messages"`
	Tools       []map[string]any `json:"tools,omitempty"`
	ToolChoice  any              `json:"tool_choice,omitempty"`
	Parallel    *bool            `json:"parallel_tool_calls,omitempty"`
	MaxTokens   int              `json:"max_tokens,omitempty"`
	Stop        []string         `json:"stop,omitempty"`
	Temperature any              `json:"temperature,omitempty"`
	TopP        any              `json:"top_p,omitempty"`
}

// Answer is what a server said.
type Answer struct {
	Text    string
	Tool    *ToolCall // the first that it asks for
	Finish  string    // "stop", "length", "tool_calls", "content_filter"
	In, Out int       // tokens, as the server counted them
}

// ToolCall is a tool that the model wants called.
type ToolCall struct {
	ID, Name  string
	Arguments map[string]any
}

// Error is a server that wasn't reached or that didn't answer as it should.
type Error struct {
	Status  int // the server's; 0 when it wasn't reached
	Timeout bool
	Reason  string
}

func (e *Error) Error() string { return e.Reason }

// Chat asks the server. The error is an *Error, or ctx's.
func (c *Client) Chat(ctx context.Context, in Request) (*Answer, error) {
	if c.model != "" {
		in.Model = c.model
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encoding a request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, c.unreached(ctx, err)
	case len(answer) > maxAnswer:
		return nil, &Error{Status: resp.StatusCode, Reason: fmt.Sprintf("the model server's answer is longer than %d bytes", maxAnswer)}
	case resp.StatusCode != http.StatusOK:
		return nil, &Error{Status: resp.StatusCode, Reason: fmt.Sprintf("the model server at %s answered %s: %s", c.url, resp.Status, reason(answer))}
	}
	a, err := Decode(answer)
	if err != nil {
		return nil, &Error{Status: resp.StatusCode, Reason: fmt.Sprintf("the model server at %s answered with no chat completion: %v", c.url, err)}
	}
	return a, nil
}

func (c *Client) unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var u *url.Error
	late := errors.As(err, &u) && u.Timeout()
	if u != nil {
		err = u.Err
	}
	return &Error{Timeout: late, Reason: fmt.Sprintf("the model server at %s can't be reached: %v", c.url, err)}
}

// reason is what a server's error says, cut off.
func reason(body []byte) string {
	var v struct {
		Error struct{ Message string }
	}
	text := string(body)
	if json.Unmarshal(body, &v) == nil && v.Error.Message != "" {
		text = v.Error.Message
	}
	const longest = 500
	if text = strings.ToValidUTF8(text, "?"); len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return strings.TrimSpace(text)
}

// Decode reads a chat completion.
func Decode(b []byte) (*Answer, error) {
	var v struct {
		Choices []struct {
			Message *struct {
				Content   *string
				ToolCalls []struct {
					ID       string
					Function struct{ Name, Arguments string }
				} `json:"tool_calls"`
			}
			FinishReason string `json:"finish_reason"`
		}
		Usage struct {
			In  int `json:"prompt_tokens"`
			Out int `json:"completion_tokens"`
		}
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	if len(v.Choices) == 0 || v.Choices[0].Message == nil {
		return nil, errors.New("it has no choices")
	}
	if v.Usage.In < 0 || v.Usage.Out < 0 {
		return nil, errors.New("its usage is below zero")
	}
	m := v.Choices[0].Message
	a := &Answer{Finish: v.Choices[0].FinishReason, In: v.Usage.In, Out: v.Usage.Out}
	if m.Content != nil {
		a.Text = *m.Content
	}
	if len(m.ToolCalls) > 0 {
		call := m.ToolCalls[0]
		a.Tool = &ToolCall{ID: call.ID, Name: call.Function.Name, Arguments: map[string]any{}}
		if text := call.Function.Arguments; text != "" {
			if err := json.Unmarshal([]byte(text), &a.Tool.Arguments); err != nil || a.Tool.Arguments == nil {
				return nil, fmt.Errorf("the arguments of tool %q are no JSON object", call.Function.Name)
			}
		}
	}
	return a, nil
}
