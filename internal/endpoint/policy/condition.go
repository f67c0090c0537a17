package policy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Condition is one key of one operator: {"StringLike": {"aws:SourceArn": ["…"]}} is one.
type Condition struct {
	Operator string   // as written: "ForAnyValue:StringLikeIfExists"
	Key      string   // "aws:SourceArn"
	Values   []string // any of them will do (none may, for negated operators)

	test     test
	negated  bool
	ifExists bool
	set      string // "", "forallvalues", "foranyvalue"
}

// test tells whether a request's value meets one of the policy's. The policy's value has its variables expanded and
// may hold marks of literal bytes.
type test func(policy, request string) bool

// operator returns the test of the operator with that lower-case name, and whether the operator is its negation.
func operator(name string) (t test, negated, ok bool) {
	switch name {
	case "stringequals", "stringnotequals":
		t = func(p, r string) bool { return plain(p) == r }
	case "stringequalsignorecase", "stringnotequalsignorecase":
		t = func(p, r string) bool { return strings.EqualFold(plain(p), r) }
	case "stringlike", "stringnotlike":
		t = glob
	case "arnequals", "arnlike", "arnnotequals", "arnnotlike":
		t = arnLike
	case "bool":
		t = func(p, r string) bool { return strings.EqualFold(plain(p), r) }
	case "binaryequals":
		t = binaryEquals
	case "ipaddress", "notipaddress":
		t = inNetwork
	default:
		return comparison(name)
	}
	return t, strings.Contains(name, "not"), true
}

// comparison returns the test of a Numeric… or Date… operator.
func comparison(name string) (t test, negated, ok bool) {
	var compare func(request, policy string) (int, bool)
	rest, ok := strings.CutPrefix(name, "numeric")
	if ok {
		compare = compareNumbers
	} else if rest, ok = strings.CutPrefix(name, "date"); ok {
		compare = compareDates
	} else {
		return nil, false, false
	}
	var accept func(int) bool
	switch rest {
	case "equals", "notequals":
		accept = func(c int) bool { return c == 0 }
	case "lessthan":
		accept = func(c int) bool { return c < 0 }
	case "lessthanequals":
		accept = func(c int) bool { return c <= 0 }
	case "greaterthan":
		accept = func(c int) bool { return c > 0 }
	case "greaterthanequals":
		accept = func(c int) bool { return c >= 0 }
	default:
		return nil, false, false
	}
	return func(p, r string) bool {
		c, ok := compare(r, plain(p))
		return ok && accept(c)
	}, rest == "notequals", true
}

// parseConditions reads a Condition element: operators, of keys, of a value or a list of them.
func parseConditions(text json.RawMessage) ([]Condition, error) {
	if text == nil {
		return nil, nil
	}
	var raw map[string]map[string]json.RawMessage
	if err := strict(text, &raw); err != nil {
		return nil, err
	}
	if raw == nil {
		return nil, malformed("Syntax errors in policy.")
	}
	var conditions []Condition
	for op, keys := range raw {
		if keys == nil {
			return nil, malformed("Syntax errors in policy.")
		}
		for key, text := range keys {
			c, err := parseCondition(op, key, text)
			if err != nil {
				return nil, err
			}
			conditions = append(conditions, c)
		}
	}
	slices.SortFunc(conditions, func(a, b Condition) int {
		return strings.Compare(a.Operator+" "+a.Key, b.Operator+" "+b.Key)
	})
	return conditions, nil
}

func parseCondition(op, key string, text json.RawMessage) (Condition, error) {
	c := Condition{Operator: op, Key: key}
	name := strings.ToLower(op)
	if set, rest, ok := strings.Cut(name, ":"); ok {
		if set != "forallvalues" && set != "foranyvalue" {
			return c, malformed("Invalid Condition type : %s.", op)
		}
		c.set, name = set, rest
	}
	name, c.ifExists = strings.CutSuffix(name, "ifexists")
	if name == "null" && !c.ifExists && c.set == "" {
		c.test = nil
	} else {
		var ok bool
		if c.test, c.negated, ok = operator(name); !ok {
			return c, malformed("Invalid Condition type : %s.", op)
		}
	}
	if !strings.Contains(key, ":") {
		return c, malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
	}
	var err error
	c.Values, err = scalars(text)
	return c, err
}

// scalars reads a string, number or boolean, or a list of them, as text.
func scalars(text json.RawMessage) ([]string, error) {
	var raw []json.RawMessage
	if len(text) > 0 && text[0] != '[' {
		raw = []json.RawMessage{text}
	} else if err := json.Unmarshal(text, &raw); err != nil {
		return nil, malformed("Syntax errors in policy.")
	}
	values := make([]string, len(raw))
	for i, r := range raw {
		switch r[0] {
		case '"':
			if json.Unmarshal(r, &values[i]) != nil {
				return nil, malformed("Syntax errors in policy.")
			}
		case '{', '[', 'n':
			return nil, malformed("Syntax errors in policy.")
		default:
			values[i] = string(r)
		}
	}
	return values, nil
}

// holds tells whether the condition is met. Without the key in the context a condition isn't met, unless it is
// negated, says IfExists or ForAllValues, or asks for just that (Null).
func (c *Condition) holds(context Context, variables bool) bool {
	request, present := context.Get(c.Key)
	present = present && len(request) > 0
	if c.test == nil {
		return slices.ContainsFunc(c.Values, func(v string) bool {
			want, err := strconv.ParseBool(v)
			return err == nil && want == !present
		})
	}
	if !present {
		switch c.set {
		case "forallvalues":
			return true
		case "foranyvalue":
			return c.ifExists
		}
		return c.ifExists || c.negated
	}
	meets := func(request string) bool { return c.any(request, context, variables) != c.negated }
	if c.set == "forallvalues" || c.set == "" && c.negated {
		return !slices.ContainsFunc(request, func(r string) bool { return !meets(r) })
	}
	return slices.ContainsFunc(request, meets)
}

// any tells whether the request's value passes the operator's test with one of the policy's values.
func (c *Condition) any(request string, context Context, variables bool) bool {
	return slices.ContainsFunc(c.Values, func(v string) bool {
		p, ok := pattern(v, context, variables)
		return ok && c.test(p, request)
	})
}

func arnLike(p, r string) bool {
	ps, rs := strings.SplitN(p, ":", arnParts), strings.SplitN(r, ":", arnParts)
	if len(ps) != arnParts || len(rs) != arnParts {
		return p == "*"
	}
	return globARN(p, r)
}

func binaryEquals(p, r string) bool {
	a, err := base64.StdEncoding.DecodeString(plain(p))
	if err != nil {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(r)
	return err == nil && bytes.Equal(a, b)
}

func inNetwork(p, r string) bool {
	address, err := netip.ParseAddr(r)
	if err != nil {
		return false
	}
	address = address.Unmap().WithZone("")
	p = plain(p)
	if !strings.Contains(p, "/") {
		one, err := netip.ParseAddr(p)
		return err == nil && one.Unmap() == address
	}
	network, err := netip.ParsePrefix(p)
	return err == nil && network.Contains(address)
}

// maxNumber bounds the text of a number: big.Rat takes exponents at their word.
const maxNumber = 40

func number(s string) (*big.Rat, bool) {
	if len(s) > maxNumber || strings.ContainsAny(s, "eEpP/_") {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func compareNumbers(a, b string) (int, bool) {
	x, ok := number(a)
	if !ok {
		return 0, false
	}
	y, ok := number(b)
	if !ok {
		return 0, false
	}
	return x.Cmp(y), true
}

func compareDates(a, b string) (int, bool) {
	x, ok := date(a)
	if !ok {
		return 0, false
	}
	y, ok := date(b)
	if !ok {
		return 0, false
	}
	return x.Compare(y), true
}

// date reads a W3C profile ISO 8601 date, or seconds since 1970.
func date(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02", "2006-01", "2006"} {
		if layout == "2006" && len(s) != 4 {
			break
		}
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(seconds, 0), err == nil
}
