package ai

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
)

// obj is a structure or map as package smithy has it.
type obj = map[string]any

// at follows names into nested objects; nil when something on the way isn't there.
func at(v any, path ...string) any {
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

func text(v any, path ...string) string {
	s, _ := at(v, path...).(string)
	return s
}

func object(v any, path ...string) obj {
	m, _ := at(v, path...).(map[string]any)
	return m
}

func list(v any, path ...string) []any {
	l, _ := at(v, path...).([]any)
	return l
}

func texts(v any, path ...string) []string {
	var out []string
	for _, e := range list(v, path...) {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func truth(v any, path ...string) bool {
	b, _ := at(v, path...).(bool)
	return b
}

// whole is the integer there, or the default.
func whole(v any, byDefault int, path ...string) int {
	switch n := at(v, path...).(type) {
	case int64:
		return int(n)
	case int:
		return n
	case float64:
		return int(n)
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return int(i)
		}
		if f, err := n.Float64(); err == nil {
			return int(f)
		}
	}
	return byDefault
}

// keep copies the members of in that are there.
func keep(in obj, names ...string) obj {
	out := obj{}
	for _, n := range names {
		if v, ok := in[n]; ok {
			out[n] = v
		}
	}
	return out
}

// with returns a copy of m and more.
func with(m, more obj) obj {
	out := make(obj, len(m)+len(more))
	for k, v := range m {
		out[k] = v
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// hash is a number that depends on all the parts and on nothing else.
func hash(parts ...string) uint64 {
	sum := digest(parts...)
	return binary.BigEndian.Uint64(sum[:8])
}

func digest(parts ...string) [32]byte {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return [32]byte(h.Sum(nil))
}

// id is a name of n characters of the alphabet, made from the parts.
func id(n int, alphabet string, parts ...string) string {
	sum := digest(parts...)
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[int(sum[i%32]+byte(i/32))%len(alphabet)]
	}
	return string(out)
}

// uuid is an id in the form of one.
func uuid(parts ...string) string {
	sum := digest(parts...)
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

const (
	lowerDigits = "abcdefghijklmnopqrstuvwxyz0123456789"
	upperDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)

// jsonText is a value's JSON, for answers that carry JSON in text.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(b)
}
