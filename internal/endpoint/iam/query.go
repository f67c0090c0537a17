package iam

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A query's answer is a tree that is written as XML for the client and, for calls that write, as JSON for the record.
// Values are fields, lists, and of the types string, int, bool, time.Time, document and secret; nil is left out.
type (
	field struct {
		name  string
		value any
	}
	fields []field
	list   []any
	// document is a policy document: percent-encoded wherever it is shown.
	document string
	// secret is told to the client and never recorded.
	secret string
)

// values reads a call's parameters: those of the query string and of the form in the body.
func values(r *http.Request, body []byte) url.Values {
	v := r.URL.Query()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(string(body))
		if err == nil {
			for name, vs := range form {
				v[name] = append(v[name], vs...)
			}
		}
	}
	return v
}

// maxMember bounds the numbers of a list's members.
const maxMember = 1000

// members returns a list parameter: Tags.member.1, Tags.member.2, …; suffix is what follows the number (".Key").
func members(v url.Values, name, suffix string) []string {
	var found []string
	for i := 1; i <= maxMember; i++ {
		key := name + ".member." + strconv.Itoa(i) + suffix
		if !v.Has(key) {
			break
		}
		found = append(found, v.Get(key))
	}
	return found
}

// tagsOf returns the parameter Tags.
func tagsOf(v url.Values) []tag {
	keys, values := members(v, "Tags", ".Key"), members(v, "Tags", ".Value")
	tags := make([]tag, 0, len(keys))
	for i, k := range keys {
		t := tag{Key: k}
		if i < len(values) {
			t.Value = values[i]
		}
		tags = append(tags, t)
	}
	return tags
}

func tagList(tags []tag) any {
	if len(tags) == 0 {
		return nil
	}
	l := list{}
	for _, t := range tags {
		l = append(l, fields{{"Key", t.Key}, {"Value", t.Value}})
	}
	return l
}

// encodeXML writes a query service's answer.
func encodeXML(operation, namespace, requestID string, result fields) []byte {
	var b bytes.Buffer
	b.WriteString("<" + operation + `Response xmlns="` + namespace + `">` + "\n")
	if result != nil {
		writeElement(&b, operation+"Result", result)
		b.WriteString("\n")
	}
	b.WriteString("<ResponseMetadata><RequestId>" + requestID + "</RequestId></ResponseMetadata>\n</" + operation + "Response>\n")
	return b.Bytes()
}

func writeElement(b *bytes.Buffer, name string, value any) {
	if value == nil {
		return
	}
	b.WriteString("<" + name + ">")
	switch v := value.(type) {
	case fields:
		for _, f := range v {
			writeElement(b, f.name, f.value)
		}
	case list:
		for _, m := range v {
			writeElement(b, "member", m)
		}
	case time.Time:
		b.WriteString(v.UTC().Format("2006-01-02T15:04:05Z"))
	default:
		xml.EscapeText(b, []byte(text(v)))
	}
	b.WriteString("</" + name + ">")
}

func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case secret:
		return string(v)
	case document:
		return strings.ReplaceAll(url.QueryEscape(string(v)), "+", "%20")
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// record returns the tree as it stands in a CloudTrail record; times are written in layout.
func record(value any, layout string) any {
	switch v := value.(type) {
	case fields:
		m := map[string]any{}
		for _, f := range v {
			if _, hidden := f.value.(secret); f.value != nil && !hidden {
				m[lowerFirst(f.name)] = record(f.value, layout)
			}
		}
		return m
	case list:
		l := make([]any, len(v))
		for i, m := range v {
			l[i] = record(m, layout)
		}
		return l
	case time.Time:
		return v.UTC().Format(layout)
	case document:
		return text(v)
	}
	return value
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

// maxDepth bounds how deep parameters of a query nest.
const maxDepth = 8

// requestParameters returns the parameters as they stand in a CloudTrail record, nil for none.
func requestParameters(v url.Values) any {
	tree := map[string]any{}
	names := make([]string, 0, len(v))
	for name := range v {
		if name != "Action" && name != "Version" && !strings.HasPrefix(name, "X-Amz-") && !hiddenParameter(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		parts := strings.Split(name, ".")
		if len(parts) <= maxDepth {
			insert(tree, parts, parameter(parts[len(parts)-1], v.Get(name)))
		}
	}
	if len(tree) == 0 {
		return nil
	}
	return lists(tree)
}

// hiddenParameter tells whether CloudTrail leaves a parameter out.
func hiddenParameter(name string) bool {
	return name == "TokenCode" || name == "WebIdentityToken" || name == "SAMLAssertion" || strings.Contains(name, "Password")
}

// parameter gives a parameter's text the type it has in records.
func parameter(name, value string) any {
	switch name {
	case "DurationSeconds", "MaxSessionDuration", "MaxItems", "CredentialAgeDays":
		if n, err := strconv.Atoi(value); err == nil {
			return n
		}
	case "SetAsDefault", "AllUsers", "OnlyAttached":
		if b, err := strconv.ParseBool(value); err == nil {
			return b
		}
	}
	return value
}

// insert puts a value at the path into the tree. A path through a value, or to a branch, is left out.
func insert(tree map[string]any, path []string, value any) {
	name := lowerFirst(path[0])
	if len(path) == 1 {
		if _, taken := tree[name]; !taken {
			tree[name] = value
		}
		return
	}
	if tree[name] == nil {
		tree[name] = map[string]any{}
	}
	if branch, ok := tree[name].(map[string]any); ok {
		insert(branch, path[1:], value)
	}
}

// lists makes lists of the branches that stand for them: {"member": {"1": …, "2": …}}.
func lists(value any) any {
	tree, ok := value.(map[string]any)
	if !ok {
		return value
	}
	if branch, ok := tree["member"].(map[string]any); ok && len(tree) == 1 {
		var numbers []int
		for name := range branch {
			if n, err := strconv.Atoi(name); err == nil {
				numbers = append(numbers, n)
			}
		}
		slices.Sort(numbers)
		l := make([]any, 0, len(numbers))
		for _, n := range numbers {
			l = append(l, lists(branch[strconv.Itoa(n)]))
		}
		return l
	}
	for name, v := range tree {
		tree[name] = lists(v)
	}
	return tree
}

// page cuts a sorted list of names as MaxItems and Marker say, and returns the fields that tell so.
func page(v url.Values, names []string) ([]string, fields, error) {
	slices.Sort(names)
	if marker := v.Get("Marker"); marker != "" {
		after, err := base64.URLEncoding.DecodeString(marker)
		if err != nil {
			return nil, nil, validation("Invalid Marker.")
		}
		i, found := slices.BinarySearch(names, string(after))
		if found {
			i++
		}
		names = names[i:]
	}
	limit := 100
	if m := v.Get("MaxItems"); m != "" {
		n, err := strconv.Atoi(m)
		if err != nil || n < 1 || n > maxMember {
			return nil, nil, validation("1 validation error detected: Value '%s' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and 1000", m)
		}
		limit = n
	}
	if len(names) <= limit {
		return names, fields{{"IsTruncated", false}}, nil
	}
	names = names[:limit]
	marker := base64.URLEncoding.EncodeToString([]byte(names[limit-1]))
	return names, fields{{"IsTruncated", true}, {"Marker", marker}}, nil
}
