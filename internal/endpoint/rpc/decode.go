package rpc

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// Bounds of a query's lists: how many members one has, and how deep they nest.
const (
	maxMembers = 1000
	maxDepth   = 6
)

// fromQuery fills a struct from a query's parameters.
func fromQuery(v url.Values, in any) error {
	// What a parameter's presence means is asked of all prefixes of the names.
	present := map[string]bool{}
	for name := range v {
		for i := range len(name) {
			if name[i] == '.' {
				present[name[:i]] = true
			}
		}
		present[name] = true
	}
	q := query{v, present}
	return q.structure("", reflect.ValueOf(in).Elem(), 0)
}

type query struct {
	values  url.Values
	present map[string]bool
}

func (q query) structure(prefix string, s reflect.Value, depth int) error {
	if depth > maxDepth {
		return errors.New("too deep")
	}
	for _, f := range fields(s.Type()) {
		name := f.name
		if len(f.flat) > 0 {
			name = f.flat[0]
		}
		if !q.present[prefix+name] {
			continue
		}
		if err := q.value(prefix+name, f.flat, s.Field(f.index), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (q query) value(name string, flat []string, v reflect.Value, depth int) error {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return q.value(name, flat, v.Elem(), depth)
	case reflect.Struct:
		if v.Type() != timeType {
			return q.structure(name+".", v, depth)
		}
	case reflect.Map:
		return q.entries(name, flat, v, depth)
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			return q.list(name, flat, v, depth)
		}
	}
	if err := setText(v, q.values.Get(name)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (q query) list(name string, flat []string, v reflect.Value, depth int) error {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	if len(flat) == 0 {
		name += ".member"
	}
	for i := 1; i <= maxMembers; i++ {
		item := name + "." + strconv.Itoa(i)
		if !q.present[item] {
			break
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if err := q.value(item, nil, e, depth+1); err != nil {
			return err
		}
		v.Set(reflect.Append(v, e))
	}
	return nil
}

func (q query) entries(name string, flat []string, v reflect.Value, depth int) error {
	v.Set(reflect.MakeMap(v.Type()))
	key, value := "key", "value"
	if len(flat) == 3 {
		key, value = flat[1], flat[2]
	} else {
		name += ".entry"
	}
	for i := 1; i <= maxMembers; i++ {
		item := name + "." + strconv.Itoa(i) + "."
		if !q.present[item+key] {
			break
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if q.present[item+value] {
			if err := q.value(item+value, nil, e, depth+1); err != nil {
				return err
			}
		}
		v.SetMapIndex(reflect.ValueOf(q.values.Get(item+key)), e)
	}
	return nil
}

func setText(v reflect.Value, text string) error {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is not a boolean", text)
		}
		v.SetBool(b)
	case v.CanInt():
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetInt(n)
	case v.CanFloat():
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(n)
	case v.Kind() == reflect.Slice:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return errors.New("not base64")
		}
		v.SetBytes(b)
	case v.Type() == timeType:
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return fmt.Errorf("%q is not a time", text)
		}
		v.Set(reflect.ValueOf(t))
	}
	return nil
}

// fromCBOR fills a struct from CBOR, by way of JSON.
func fromCBOR(b []byte, in any) error {
	if len(b) == 0 {
		return nil
	}
	v, err := cbor.Decode(b)
	if err != nil {
		return err
	}
	text, err := json.Marshal(plain(v))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, in)
}

// plain is CBOR as encoding/json takes it. Byte strings become base64, which is how JSON has them.
func plain(v cbor.Value) any {
	switch v := v.(type) {
	case cbor.Uint:
		return uint64(v)
	case cbor.NegInt:
		return json.Number("-" + strconv.FormatUint(uint64(v), 10))
	case cbor.Slice:
		return []byte(v)
	case cbor.String:
		return string(v)
	case cbor.List:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case cbor.Map:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = plain(e)
		}
		return m
	case *cbor.Tag:
		return plain(v.Value)
	case cbor.Bool:
		return bool(v)
	case cbor.Float32:
		return float64(v)
	case cbor.Float64:
		return float64(v)
	}
	return nil
}
