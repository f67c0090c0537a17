// Package rpc serves AWS APIs whose requests name their operation: AWS JSON 1.0 and 1.1, query, and Smithy RPC v2 CBOR.
//
// A service is an [API]: a table of operations, each a function of a Go struct that answers with a Go struct. The same
// function serves every protocol the service speaks. Members are the structs' exported fields; the tag `aws:"…"` says what
// Go's name doesn't:
//
//	KeyID   string            `aws:"KeyId"`              // AWS's name
//	Enabled bool              `aws:",keep"`              // written also when it is zero; others are left out then
//	Queues  []string          `aws:"QueueUrls,flat=QueueUrl"`              // in query: QueueUrl.1, <QueueUrl>…</QueueUrl>
//	Values  map[string]string `aws:"Attributes,flat=Attribute:Name:Value"` // in query: Attribute.1.Name, Attribute.1.Value
//
// What isn't flat is Name.member.1 and Name.entry.1.key in query. Fields are strings, numbers, booleans, []byte,
// [time.Time], pointers to these, slices, maps with string keys, and structs.
//
// It is not a reader of service models: what an operation checks of its input is the operation's own affair. What holds:
// requests of any bytes are answered, with an error at worst; and the same struct is what the client and the record see,
// but for the members that an operation hides.
package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// API is a service's operations and how they are spoken of.
type API struct {
	Signing     string          // the credential scope: "kms"
	EventSource string          // "kms.amazonaws.com"
	APIVersion  string          // the record's apiVersion; "" for services that write none
	JSON        awsapi.Protocol // awsapi.JSON10 or JSON11; what a request's content type says goes before it
	Query       bool            // the service speaks the query protocol,
	Namespace   string          // and this is its XML namespace
	CBOR        bool            // the service speaks Smithy RPC v2 CBOR
	Operations  map[string]Operation
}

// Operation is one operation of an API.
type Operation struct {
	ReadOnly bool
	Data     bool     // recorded as a data event
	Hidden   []string // members of input and output that the record leaves out, at any depth
	Redacted []string // members that the record shows as HIDDEN_DUE_TO_SECURITY_REASONS

	input func() any
	serve func(c *awsapi.Call, in any) (any, error)
}

// Op makes an operation of a function. A nil answer is an empty one.
func Op[In any](serve func(c *awsapi.Call, in *In) (any, error)) Operation {
	return Operation{
		input: func() any { return new(In) },
		serve: func(c *awsapi.Call, in any) (any, error) { return serve(c, in.(*In)) },
	}
}

// Read makes an operation that only reads.
func Read[In any](serve func(c *awsapi.Call, in *In) (any, error)) Operation {
	o := Op(serve)
	o.ReadOnly = true
	return o
}

// AsData returns the operation as one whose events are data events.
func (o Operation) AsData() Operation { o.Data = true; return o }

// Hiding returns the operation with members that the record leaves out.
func (o Operation) Hiding(members ...string) Operation { o.Hidden = members; return o }

// Redacting returns the operation with members that the record shows as hidden.
func (o Operation) Redacting(members ...string) Operation { o.Redacted = members; return o }

// redacted is what CloudTrail writes in place of what isn't for the record.
const redacted = "HIDDEN_DUE_TO_SECURITY_REASONS"

// SigningNames implements awsapi.Service.
func (a *API) SigningNames() []string { return []string{a.Signing} }

// Route implements awsapi.Service.
func (a *API) Route(r *http.Request, body []byte) (string, awsapi.Protocol, bool) {
	name, p := a.route(r, body)
	_, known := a.Operations[name]
	return name, p, known && (p != awsapi.Query || a.Query) && (p != awsapi.CBOR || a.CBOR)
}

func (a *API) route(r *http.Request, body []byte) (string, awsapi.Protocol) {
	if r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor" {
		return r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], awsapi.CBOR
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" || !a.Query {
		p := a.JSON
		switch contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); contentType {
		case "application/x-amz-json-1.0":
			p = awsapi.JSON10
		case "application/x-amz-json-1.1":
			p = awsapi.JSON11
		}
		return target[strings.LastIndexByte(target, '.')+1:], p
	}
	return form(r, body).Get("Action"), awsapi.Query
}

// form reads the parameters of a query: those of the URL and of the body.
func form(r *http.Request, body []byte) url.Values {
	v := r.URL.Query()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if more, err := url.ParseQuery(string(body)); err == nil {
			for name, values := range more {
				v[name] = values
			}
		}
	}
	return v
}

// Input decodes a call's input: a pointer to the operation's struct, with what could be read of it. The error is an
// *awsapi.Error.
func (a *API) Input(c *awsapi.Call) (any, error) {
	op, ok := a.Operations[c.Operation]
	if !ok {
		return nil, &awsapi.Error{Code: "UnknownOperationException", Message: "The requested operation is not recognized by the service."}
	}
	in := op.input()
	var err error
	switch _, p := a.route(c.Request, c.Body); p {
	case awsapi.Query:
		err = fromQuery(form(c.Request, c.Body), in)
	case awsapi.CBOR:
		err = fromCBOR(c.Body, in)
	default:
		if body := bytes.TrimSpace(c.Body); len(body) > 0 {
			err = fromJSON(body, in)
		}
	}
	if err != nil {
		return in, &awsapi.Error{Code: "SerializationException", Message: fmt.Sprintf("the request can't be read: %v", err)}
	}
	return in, nil
}

func fromJSON(text []byte, in any) error { return json.Unmarshal(text, in) }

// Describe fills the call's record with what the request says, and returns its input, whatever could be read of it.
func (a *API) Describe(c *awsapi.Call) any {
	op := a.Operations[c.Operation]
	r := &c.Record
	r.EventSource, r.APIVersion = a.EventSource, a.APIVersion
	r.ReadOnly, r.Data = op.ReadOnly, op.Data
	in, _ := a.Input(c) // what can't be read is refused by Serve
	if in == nil {
		return nil
	}
	r.RequestParameters = op.recorded(in)
	return in
}

// Serve implements awsapi.Service.
func (a *API) Serve(c *awsapi.Call) (*awsapi.Response, error) {
	in, err := a.Input(c)
	if err != nil {
		return nil, err
	}
	op := a.Operations[c.Operation]
	out, err := op.serve(c, in)
	if err != nil {
		return nil, err
	}
	if !op.ReadOnly {
		c.Record.ResponseElements = op.recorded(out)
	}
	_, p := a.route(c.Request, c.Body)
	return a.answer(c, p, out), nil
}

func (a *API) answer(c *awsapi.Call, p awsapi.Protocol, out any) *awsapi.Response {
	h := http.Header{}
	var body []byte
	switch p {
	case awsapi.Query:
		h.Set("Content-Type", "text/xml")
		body = a.toXML(c.Operation, c.ID, out)
	case awsapi.CBOR:
		h.Set("Content-Type", "application/cbor")
		h.Set("Smithy-Protocol", "rpc-v2-cbor")
		body = toCBOR(out)
	case awsapi.JSON10:
		h.Set("Content-Type", "application/x-amz-json-1.0")
		body = toJSON(out)
	default:
		h.Set("Content-Type", "application/x-amz-json-1.1")
		body = toJSON(out)
	}
	return &awsapi.Response{Header: h, Body: body}
}

// recorded is a struct as it stands in a record: names begin in lower case, times are written out. It is nil for an empty
// one.
func (o *Operation) recorded(v any) any {
	m, _ := o.shown(treeOf(v)).(map[string]any)
	if len(m) == 0 {
		return nil
	}
	return m
}

func (o *Operation) shown(v any) any {
	switch v := v.(type) {
	case members:
		out := make(map[string]any, len(v))
		for _, m := range v {
			switch name := lowerFirst(m.name); {
			case slices.Contains(o.Hidden, m.name):
			case slices.Contains(o.Redacted, m.name):
				out[name] = redacted
			default:
				out[name] = o.shown(m.value)
			}
		}
		return out
	case entries:
		out := make(map[string]any, len(v))
		for _, e := range v {
			out[e.name] = o.shown(e.value)
		}
		return out
	case elements:
		out := make([]any, len(v))
		for i := range v {
			out[i] = o.shown(v[i])
		}
		return out
	case time.Time:
		return v.UTC().Format("Jan 2, 2006, 3:04:05 PM")
	}
	return v
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
