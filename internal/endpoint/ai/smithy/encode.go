package smithy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Encode writes an output: the status, the header with its content type, and the body. Members that the
// model doesn't know are an error: an answer may not hold what no SDK can read.
func (op *Operation) Encode(out map[string]any) (status int, h http.Header, body []byte, err error) {
	status, h = op.Status, http.Header{}
	if op.Model.Protocol == "json" {
		h.Set("Content-Type", "application/x-amz-json-"+op.Model.JSONVersion)
	} else {
		h.Set("Content-Type", "application/json")
	}
	if op.Output == nil {
		if op.Model.Protocol == "rest-json" || len(out) > 0 {
			body = []byte("{}")
		}
		return status, h, body, nil
	}
	inBody := map[string]any{}
	for name, v := range out {
		m := op.Output.Member(name)
		if m == nil {
			return 0, nil, nil, fmt.Errorf("encoding %s: no member %q", op.Name, name)
		}
		switch m.In {
		case "header":
			h.Set(m.WireName(), toText(m, v))
		case "statusCode":
			if n, ok := v.(int); ok {
				status = n
			}
		case "headers":
			for k, e := range v.(map[string]any) {
				h.Set(m.Wire+k, fmt.Sprint(e))
			}
		default:
			inBody[name] = v
		}
	}
	if p := op.Output.Payload; p != "" {
		if op.Output.Member(p).Shape.EventStream {
			return status, h, nil, nil
		}
		switch v := inBody[p].(type) {
		case nil:
			return status, h, nil, nil
		case []byte:
			return status, h, v, nil
		case string:
			return status, h, []byte(v), nil
		default:
			value, err := EncodeValue(op.Output.Member(p).Shape, "", v)
			if err != nil {
				return 0, nil, nil, fmt.Errorf("encoding %s: %w", op.Name, err)
			}
			body, err = json.Marshal(value)
			return status, h, body, err
		}
	}
	value, err := EncodeValue(op.Output, "", inBody)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("encoding %s: %w", op.Name, err)
	}
	body, err = json.Marshal(value)
	return status, h, body, err
}

func toText(m *Member, v any) string {
	if text, ok := v.(string); ok && m.JSON {
		return base64.StdEncoding.EncodeToString([]byte(text))
	}
	switch v := v.(type) {
	case time.Time:
		if m.Format == "iso8601" || m.Shape.Format == "iso8601" {
			return v.UTC().Format(time.RFC3339)
		}
		return v.UTC().Format(http.TimeFormat)
	default:
		return fmt.Sprint(v)
	}
}

// EncodeValue turns a value of a shape into what encoding/json writes as the wire has it: members by their wire names,
// timestamps in the shape's format (seconds since 1970 unless it says otherwise). Values may be any kind of Go integer,
// []string and []map[string]any too.
func EncodeValue(s *Shape, format string, v any) (any, error) {
	if s.Document || v == nil {
		return v, nil
	}
	switch v := v.(type) {
	case time.Time:
		if format == "" {
			format = s.Format
		}
		if format == "iso8601" {
			return v.UTC().Format("2006-01-02T15:04:05.000Z"), nil
		}
		return json.Number(strconv.FormatFloat(float64(v.UnixMilli())/1e3, 'f', -1, 64)), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%v is no JSON number", v)
		}
		return v, nil
	case map[string]any:
		return encodeObject(s, v)
	case []any:
		return encodeList(s, v)
	case []map[string]any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = e
		}
		return encodeList(s, list)
	default:
		return v, nil
	}
}

func encodeObject(s *Shape, v map[string]any) (any, error) {
	out := make(map[string]any, len(v))
	for k, e := range v {
		if e == nil {
			continue
		}
		item, name, format := s.Item, k, ""
		if s.Type == "structure" {
			m := s.Member(k)
			if m == nil {
				return nil, fmt.Errorf("%s has no member %q", s.Name, k)
			}
			item, name, format = m.Shape, m.WireName(), m.Format
		} else if s.Type != "map" {
			return nil, fmt.Errorf("%s is a %s, not an object", s.Name, s.Type)
		}
		value, err := EncodeValue(item, format, e)
		if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

func encodeList(s *Shape, v []any) (any, error) {
	if s.Type != "list" {
		return nil, fmt.Errorf("%s is a %s, not a list", s.Name, s.Type)
	}
	out := make([]any, len(v))
	for i, e := range v {
		value, err := EncodeValue(s.Item, "", e)
		if err != nil {
			return nil, err
		}
		out[i] = value
	}
	return out, nil
}
