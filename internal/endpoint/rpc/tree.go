package rpc

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// A struct is written by way of a tree: members, entries, elements, and leaves of the types string, bool, int64, float64,
// []byte and time.Time.
type (
	member struct {
		name  string
		flat  []string // how a list or map is named in query when it is flat: item, key, value
		value any
	}
	members  []member // of a struct, in the order of its fields
	entries  []member // of a map, by name
	elements []any
)

// field is a struct's field as AWS sees it.
type field struct {
	name  string
	flat  []string
	keep  bool
	index int
}

// fields returns the fields of a struct type. Those of embedded structs are not looked for.
func fields(t reflect.Type) []field {
	list := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		tag := strings.Split(f.Tag.Get("aws"), ",")
		v := field{name: f.Name, index: i}
		if tag[0] != "" {
			v.name = tag[0]
		}
		for _, option := range tag[1:] {
			if names, ok := strings.CutPrefix(option, "flat="); ok {
				v.flat = strings.Split(names, ":")
			}
			v.keep = v.keep || option == "keep"
		}
		list = append(list, v)
	}
	return list
}

var timeType = reflect.TypeFor[time.Time]()

// treeOf returns a value's tree; nil for nil.
func treeOf(v any) any {
	if v == nil {
		return nil
	}
	return tree(reflect.ValueOf(v))
}

func tree(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return tree(v.Elem())
	case reflect.Struct:
		if v.Type() == timeType {
			return v.Interface()
		}
		out := members{}
		for _, f := range fields(v.Type()) {
			value := v.Field(f.index)
			if value.IsZero() && !f.keep {
				continue
			}
			if t := tree(value); t != nil {
				out = append(out, member{f.name, f.flat, t})
			}
		}
		return out
	case reflect.Map:
		out := entries{}
		for _, k := range v.MapKeys() {
			out = append(out, member{name: k.String(), value: tree(v.MapIndex(k))})
		}
		slices.SortFunc(out, func(a, b member) int { return strings.Compare(a.name, b.name) })
		return out
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes()
		}
		out := elements{}
		for i := range v.Len() {
			out = append(out, tree(v.Index(i)))
		}
		return out
	}
	return leaf(v)
}

func leaf(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.String:
		return v.String()
	case v.Kind() == reflect.Bool:
		return v.Bool()
	case v.CanInt():
		return v.Int()
	case v.CanFloat():
		return v.Float()
	}
	return nil
}
