package sigv4

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// canonicalRequest is the text whose hash is signed.
func (s *Signature) canonicalRequest(r *http.Request, path, payload string) string {
	var b strings.Builder
	b.WriteString(r.Method)
	b.WriteByte('\n')
	b.WriteString(path)
	b.WriteByte('\n')
	b.WriteString(canonicalQuery(r.URL.RawQuery))
	b.WriteByte('\n')
	for _, name := range s.signedHeaders {
		b.WriteString(name)
		b.WriteByte(':')
		b.WriteString(headerValue(r, name))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(s.signedHeaders, ";"))
	b.WriteByte('\n')
	b.WriteString(payload)
	return b.String()
}

// headerValue joins a header's values, with runs of white space made one space.
func headerValue(r *http.Request, name string) string {
	if name == "host" || name == ":authority" { // the latter is HTTP/2's
		return r.Host
	}
	values := r.Header.Values(name)
	if len(values) == 0 && name == "content-length" {
		return strconv.FormatInt(r.ContentLength, 10)
	}
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(trimmed, ",")
}

// canonicalPaths returns the canonical forms of a path as it was sent: S3's, encoded once; or the other services',
// encoded once more. Clients differ in which characters they leave as they are in S3's paths, and in whether they first
// remove empty and relative parts from others', as RFC 3986 says; where that matters both forms are returned.
func (s *Signature) canonicalPaths(sent string) []string {
	if sent == "" {
		sent = "/"
	}
	if s.s3() {
		return []string{encodeOnce(sent), sent}
	}
	paths := []string{encodeAgain(sent)}
	if clean := removeDots(sent); clean != sent {
		paths = append(paths, encodeAgain(clean))
	}
	return paths
}

// encodeOnce percent-encodes all but unreserved characters and the slashes that part the path, in the same way however
// the sender encoded them.
func encodeOnce(sent string) string {
	var b strings.Builder
	for i := 0; i < len(sent); i++ {
		c := sent[i]
		if d, ok := unhex(sent, i); ok {
			writeEncoded(&b, d)
			i += 2
		} else if c == '/' {
			b.WriteByte(c)
		} else {
			writeEncoded(&b, c)
		}
	}
	return b.String()
}

// encodeAgain percent-encodes a path that is encoded already, its percent signs included.
func encodeAgain(sent string) string {
	var b strings.Builder
	for i := range len(sent) {
		if sent[i] == '/' {
			b.WriteByte('/')
		} else {
			writeEncoded(&b, sent[i])
		}
	}
	return b.String()
}

// removeDots takes ".", ".." and empty parts out of a path.
func removeDots(path string) string {
	var kept []string
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, part)
		}
	}
	clean := "/" + strings.Join(kept, "/")
	if strings.HasSuffix(path, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// canonicalQuery sorts a query's parameters by their encoded names and values, leaving out the signature.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	type parameter struct{ name, value string }
	var parameters []parameter
	for p := range strings.SplitSeq(raw, "&") {
		if p == "" {
			continue
		}
		name, value, _ := strings.Cut(p, "=")
		name, value = encodeParameter(name), encodeParameter(value)
		if name != "X-Amz-Signature" {
			parameters = append(parameters, parameter{name, value})
		}
	}
	slices.SortFunc(parameters, func(a, b parameter) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range parameters {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
	return b.String()
}

func encodeParameter(sent string) string {
	var b strings.Builder
	for i := 0; i < len(sent); i++ {
		if d, ok := unhex(sent, i); ok {
			writeEncoded(&b, d)
			i += 2
		} else if sent[i] == '+' {
			writeEncoded(&b, ' ')
		} else {
			writeEncoded(&b, sent[i])
		}
	}
	return b.String()
}

// unhex decodes "%XX" at i.
func unhex(s string, i int) (byte, bool) {
	if s[i] != '%' || i+2 >= len(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
	return byte(n), err == nil
}

func writeEncoded(b *strings.Builder, c byte) {
	const digits = "0123456789ABCDEF"
	if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
		b.WriteByte(c)
		return
	}
	b.WriteByte('%')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}
