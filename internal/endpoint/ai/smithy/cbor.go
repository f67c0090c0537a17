package smithy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// decodeCBOR reads a CBOR body into what encoding/json would have made of the same value in JSON: timestamps are
// numbers and blobs are base64.
func decodeCBOR(body []byte) (map[string]any, error) {
	v, err := cbor.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("%w: the body is no CBOR", ErrSerialization)
	}
	m, ok := v.(cbor.Map)
	if !ok {
		return nil, fmt.Errorf("%w: the body is no CBOR map", ErrSerialization)
	}
	return fromCBOR(m).(map[string]any), nil
}

func fromCBOR(v cbor.Value) any {
	switch v := v.(type) {
	case cbor.Uint:
		return json.Number(strconv.FormatUint(uint64(v), 10))
	case cbor.NegInt:
		return json.Number("-" + strconv.FormatUint(uint64(v), 10))
	case cbor.Float32:
		return fromFloat(float64(v))
	case cbor.Float64:
		return fromFloat(float64(v))
	case cbor.String:
		return string(v)
	case cbor.Slice:
		return base64.StdEncoding.EncodeToString(v)
	case cbor.Bool:
		return bool(v)
	case cbor.List:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = fromCBOR(e)
		}
		return list
	case cbor.Map:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = fromCBOR(e)
		}
		return m
	case *cbor.Tag:
		return fromCBOR(v.Value)
	default:
		return nil
	}
}

// fromFloat is a number as JSON has it; NaN and the infinities, which it hasn't, are null.
func fromFloat(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
}

// EncodeCBOR is Encode for clients that speak Smithy's RPC v2 in CBOR.
func (op *Operation) EncodeCBOR(out map[string]any) (status int, h http.Header, body []byte, err error) {
	h = http.Header{"Content-Type": {"application/cbor"}, "Smithy-Protocol": {"rpc-v2-cbor"}}
	var v cbor.Value = cbor.Map{}
	if op.Output != nil {
		if v, err = toCBOR(op.Output, out); err != nil {
			return 0, nil, nil, fmt.Errorf("encoding %s: %w", op.Name, err)
		}
	}
	return http.StatusOK, h, cbor.Encode(v), nil
}

func toCBOR(s *Shape, v any) (cbor.Value, error) {
	switch v := v.(type) {
	case nil:
		return &cbor.Nil{}, nil
	case string:
		return cbor.String(v), nil
	case bool:
		return cbor.Bool(v), nil
	case []byte:
		return cbor.Slice(v), nil
	case time.Time:
		return &cbor.Tag{ID: 1, Value: cbor.Float64(float64(v.UnixMilli()) / 1e3)}, nil
	case int:
		return integer(int64(v)), nil
	case int32:
		return integer(int64(v)), nil
	case int64:
		return integer(v), nil
	case float32:
		return cbor.Float64(v), nil
	case float64:
		return cbor.Float64(v), nil
	case []any:
		return listToCBOR(s, v)
	case []string:
		return listToCBOR(s, widen(v))
	case []map[string]any:
		return listToCBOR(s, widen(v))
	case map[string]any:
		return mapToCBOR(s, v)
	default:
		return nil, fmt.Errorf("%T has no CBOR", v)
	}
}

func widen[T any](list []T) []any {
	out := make([]any, len(list))
	for i, e := range list {
		out[i] = e
	}
	return out
}

func integer(n int64) cbor.Value {
	if n < 0 {
		return cbor.NegInt(-n)
	}
	return cbor.Uint(n)
}

func listToCBOR(s *Shape, v []any) (cbor.Value, error) {
	out := make(cbor.List, len(v))
	for i, e := range v {
		value, err := toCBOR(s.Item, e)
		if err != nil {
			return nil, err
		}
		out[i] = value
	}
	return out, nil
}

func mapToCBOR(s *Shape, v map[string]any) (cbor.Value, error) {
	out := make(cbor.Map, len(v))
	for k, e := range v {
		if e == nil {
			continue
		}
		item := s.Item
		if s.Type == "structure" {
			m := s.Member(k)
			if m == nil {
				return nil, fmt.Errorf("%s has no member %q", s.Name, k)
			}
			item = m.Shape
		}
		value, err := toCBOR(item, e)
		if err != nil {
			return nil, err
		}
		out[k] = value
	}
	return out, nil
}
