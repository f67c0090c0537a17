package rpc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"strconv"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// epoch is a time as JSON and CBOR write it: seconds since 1970, to the millisecond.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func toJSON(v any) []byte {
	t := treeOf(v)
	if t == nil {
		return []byte("{}")
	}
	var b bytes.Buffer
	writeJSON(&b, t)
	return b.Bytes()
}

func writeJSON(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case members:
		writeJSONObject(b, v)
	case entries:
		writeJSONObject(b, v)
	case elements:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, e)
		}
		b.WriteByte(']')
	case time.Time:
		b.WriteString(strconv.FormatFloat(epoch(v), 'f', -1, 64))
	default:
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(false)
		if enc.Encode(v) != nil { // a number JSON doesn't have
			b.WriteString("null")
			return
		}
		b.Truncate(b.Len() - 1) // the newline
	}
}

func writeJSONObject(b *bytes.Buffer, list []member) {
	b.WriteByte('{')
	for i, m := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		writeJSON(b, m.name)
		b.WriteByte(':')
		writeJSON(b, m.value)
	}
	b.WriteByte('}')
}

func toCBOR(v any) []byte {
	t := treeOf(v)
	if t == nil {
		t = members{}
	}
	return cbor.Encode(cborValue(t))
}

func cborValue(v any) cbor.Value {
	switch v := v.(type) {
	case members:
		return cborMap(v)
	case entries:
		return cborMap(v)
	case elements:
		list := make(cbor.List, len(v))
		for i := range v {
			list[i] = cborValue(v[i])
		}
		return list
	case string:
		return cbor.String(v)
	case bool:
		return cbor.Bool(v)
	case []byte:
		return cbor.Slice(v)
	case int64:
		if v < 0 {
			return cbor.NegInt(-v)
		}
		return cbor.Uint(v)
	case float64:
		return cbor.Float64(v)
	case time.Time:
		return &cbor.Tag{ID: 1, Value: cbor.Float64(epoch(v))}
	}
	return &cbor.Nil{}
}

func cborMap(list []member) cbor.Map {
	m := make(cbor.Map, len(list))
	for _, e := range list {
		m[e.name] = cborValue(e.value)
	}
	return m
}

func (a *API) toXML(operation, id string, out any) []byte {
	var b bytes.Buffer
	b.WriteString("<" + operation + "Response")
	if a.Namespace != "" {
		b.WriteString(` xmlns="` + a.Namespace + `"`)
	}
	b.WriteString(">")
	if t, ok := treeOf(out).(members); ok {
		b.WriteString("<" + operation + "Result>")
		writeXML(&b, t)
		b.WriteString("</" + operation + "Result>")
	}
	b.WriteString("<ResponseMetadata><RequestId>")
	escape(&b, id)
	b.WriteString("</RequestId></ResponseMetadata></" + operation + "Response>\n")
	return b.Bytes()
}

func escape(b *bytes.Buffer, s string) {
	_ = xml.EscapeText(b, []byte(s)) // a bytes.Buffer takes everything
}

func element(b *bytes.Buffer, name string, inside func()) {
	b.WriteString("<" + name + ">")
	inside()
	b.WriteString("</" + name + ">")
}

// writeXML writes what stands inside an element.
func writeXML(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case members:
		for _, m := range v {
			writeXMLMember(b, m)
		}
	case elements:
		for _, e := range v {
			element(b, "member", func() { writeXML(b, e) })
		}
	case entries:
		writeXMLEntries(b, v, "entry", "key", "value")
	case string:
		escape(b, v)
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(strconv.FormatFloat(v, 'f', -1, 64))
	case []byte:
		b.WriteString(base64.StdEncoding.EncodeToString(v))
	case time.Time:
		b.WriteString(v.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
}

func writeXMLMember(b *bytes.Buffer, m member) {
	switch v := m.value.(type) {
	case elements:
		if len(m.flat) > 0 {
			for _, e := range v {
				element(b, m.flat[0], func() { writeXML(b, e) })
			}
			return
		}
	case entries:
		if len(m.flat) == 3 {
			writeXMLEntries(b, v, m.flat[0], m.flat[1], m.flat[2])
			return
		}
	}
	element(b, m.name, func() { writeXML(b, m.value) })
}

func writeXMLEntries(b *bytes.Buffer, list entries, item, key, value string) {
	for _, e := range list {
		element(b, item, func() {
			element(b, key, func() { escape(b, e.name) })
			element(b, value, func() { writeXML(b, e.value) })
		})
	}
}
