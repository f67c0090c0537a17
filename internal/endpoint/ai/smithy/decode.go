package smithy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ErrSerialization is what every error of Decode wraps: the request can't be read as the operation's input.
var ErrSerialization = errors.New("malformed input")

// Decode reads the operation's input from a request. Members that the model doesn't know are left out, as services do.
// What could be read is returned with an error too.
func (op *Operation) Decode(r *http.Request, labels map[string]string, body []byte) (map[string]any, error) {
	in := map[string]any{}
	if op.Input == nil {
		return in, nil
	}
	if op.Model.Protocol == "json" {
		if IsCBOR(r) && len(body) > 0 {
			raw, err := decodeCBOR(body)
			if err != nil {
				return in, err
			}
			return in, convertMembers(op.Input, raw, in)
		}
		return in, decodeBody(op.Input, body, in)
	}
	var failed error
	note := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	query := r.URL.Query()
	for i := range op.Input.Members {
		m := &op.Input.Members[i]
		switch m.In {
		case "uri":
			if v, ok := labels[m.WireName()]; ok {
				note(set(in, m, []string{v}))
			}
		case "querystring":
			if m.Shape.Type == "map" {
				in[m.Name] = rest(op.Input, query)
			} else if v := query[m.WireName()]; len(v) > 0 {
				note(set(in, m, v))
			}
		case "header":
			if v := r.Header.Values(m.WireName()); len(v) > 0 {
				note(set(in, m, v))
			}
		case "headers":
			in[m.Name] = prefixed(r.Header, m.Wire)
		}
	}
	payload := op.Input.Payload
	if payload == "" {
		note(decodeBody(op.Input, body, in))
		return in, failed
	}
	m := op.Input.Member(payload)
	switch {
	case m.Shape.EventStream:
		in[payload] = map[string]any{} // what the client sends later isn't the call's input
	case m.Shape.Type == "blob":
		if len(body) > 0 {
			in[payload] = body
		}
	case m.Shape.Type == "string":
		in[payload] = string(body)
	case len(body) > 0:
		inner := map[string]any{}
		note(decodeBody(m.Shape, body, inner))
		in[payload] = inner
	}
	return in, failed
}

// decodeBody reads a JSON body into the members of s that stand there.
func decodeBody(s *Shape, body []byte, in map[string]any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var raw map[string]any
	if err := d.Decode(&raw); err != nil {
		return fmt.Errorf("%w: the body is no JSON object", ErrSerialization)
	}
	return convertMembers(s, raw, in)
}

// convertMembers reads the members of a body. It returns the first error, and what can be read in spite of it.
func convertMembers(s *Shape, raw, in map[string]any) error {
	var failed error
	for i := range s.Members {
		m := &s.Members[i]
		v, ok := raw[m.WireName()]
		if !ok || v == nil || m.In != "" {
			continue
		}
		value, err := convert(m.Shape, v)
		if err != nil {
			if failed == nil {
				failed = fmt.Errorf("%w at %q", err, m.Name)
			}
			continue
		}
		in[m.Name] = value
	}
	return failed
}

// set reads a member that came as text (a label, query value or header).
func set(in map[string]any, m *Member, values []string) error {
	if m.Shape.Type == "list" {
		var list []any
		for _, v := range values {
			item, err := fromText(m.Shape.Item, m.Format, v)
			if err != nil {
				return fmt.Errorf("%w at %q", err, m.Name)
			}
			list = append(list, item)
		}
		in[m.Name] = list
		return nil
	}
	if m.JSON {
		text, err := base64.StdEncoding.DecodeString(values[0])
		if err == nil {
			err = json.Unmarshal(text, new(any))
		}
		if err != nil {
			return fmt.Errorf("%w at %q", ErrSerialization, m.Name)
		}
		in[m.Name] = string(text)
		return nil
	}
	v, err := fromText(m.Shape, m.Format, values[0])
	if err != nil {
		return fmt.Errorf("%w at %q", err, m.Name)
	}
	in[m.Name] = v
	return nil
}

func fromText(s *Shape, format, v string) (any, error) {
	switch s.Type {
	case "string":
		return v, nil
	case "boolean":
		b, err := strconv.ParseBool(v)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is no boolean", ErrSerialization, v)
		}
		return b, nil
	case "timestamp":
		for _, layout := range []string{time.RFC3339, http.TimeFormat} {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UTC(), nil
			}
		}
		fallthrough
	default:
		return convert(s, json.Number(v))
	}
}

// rest is the query values that no other member takes, as a map of lists or strings.
func rest(s *Shape, query url.Values) map[string]any {
	out := map[string]any{}
	for k, v := range query {
		taken := false
		for i := range s.Members {
			taken = taken || s.Members[i].In == "querystring" && s.Members[i].Shape.Type != "map" && s.Members[i].WireName() == k
		}
		if !taken {
			out[k] = v[0]
		}
	}
	return out
}

func prefixed(h http.Header, prefix string) map[string]any {
	out := map[string]any{}
	for k, v := range h {
		if strings.HasPrefix(strings.ToLower(k), strings.ToLower(prefix)) {
			out[strings.ToLower(k[len(prefix):])] = v[0]
		}
	}
	return out
}

// convert turns what encoding/json read into the value of a shape.
func convert(s *Shape, v any) (any, error) {
	if s.Document {
		return v, nil
	}
	wrong := func() error {
		return fmt.Errorf("%w: %s can not be converted to %s", ErrSerialization, kind(v), strings.ToUpper(s.Type[:1])+s.Type[1:])
	}
	switch s.Type {
	case "structure":
		return convertStructure(s, v, wrong)
	case "map":
		return convertMap(s, v, wrong)
	case "list":
		return convertList(s, v, wrong)
	case "string":
		if text, ok := v.(string); ok {
			return text, nil
		}
	case "boolean":
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case "blob":
		if text, ok := v.(string); ok {
			if b, err := base64.StdEncoding.DecodeString(text); err == nil {
				return b, nil
			}
		}
	default:
		if n, ok := v.(json.Number); ok {
			return number(s.Type, n, wrong)
		}
		if text, ok := v.(string); ok && s.Type == "timestamp" {
			if t, err := time.Parse(time.RFC3339, text); err == nil {
				return t.UTC(), nil
			}
		}
	}
	return nil, wrong()
}

func convertMap(s *Shape, v any, wrong func() error) (any, error) {
	raw, ok := v.(map[string]any)
	if !ok {
		return nil, wrong()
	}
	out := make(map[string]any, len(raw))
	for k, e := range raw {
		value, err := convert(s.Item, e)
		if err != nil {
			return nil, err
		}
		out[k] = value
	}
	return out, nil
}

func convertList(s *Shape, v any, wrong func() error) (any, error) {
	raw, ok := v.([]any)
	if !ok {
		return nil, wrong()
	}
	out := make([]any, 0, len(raw))
	for _, e := range raw {
		if e == nil {
			out = append(out, nil)
			continue
		}
		value, err := convert(s.Item, e)
		if err != nil {
			return nil, err
		}
		out = append(out, value)
	}
	return out, nil
}

func convertStructure(s *Shape, v any, wrong func() error) (any, error) {
	raw, ok := v.(map[string]any)
	if !ok {
		return nil, wrong()
	}
	out := make(map[string]any, len(raw))
	for i := range s.Members {
		m := &s.Members[i]
		e, ok := raw[m.WireName()]
		if !ok || e == nil {
			continue
		}
		value, err := convert(m.Shape, e)
		if err != nil {
			return nil, err
		}
		out[m.Name] = value
	}
	return out, nil
}

func number(kind string, n json.Number, wrong func() error) (any, error) {
	switch kind {
	case "integer", "long", "short", "byte", "bigInteger":
		if i, err := n.Int64(); err == nil {
			return i, nil
		}
		if f, err := n.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f), nil
		}
	case "float", "double", "bigDecimal":
		if f, err := n.Float64(); err == nil {
			return f, nil
		}
	case "timestamp":
		if f, err := n.Float64(); err == nil && math.Abs(f) < 1e11 {
			whole, part := math.Modf(f)
			return time.Unix(int64(whole), int64(math.Round(part*1e3))*1e6).UTC(), nil
		}
	}
	return nil, wrong()
}

// kind names a JSON value as the services' own deserializers do.
func kind(v any) string {
	switch v.(type) {
	case string:
		return "STRING_VALUE"
	case bool:
		return "BOOLEAN_VALUE"
	case json.Number:
		return "NUMBER_VALUE"
	case []any:
		return "LIST_VALUE"
	default:
		return "STRUCTURE_VALUE"
	}
}
