package policy

import "strings"

// literal, before a byte of a pattern, makes that byte match only itself. Parse refuses texts that contain it.
const literal = '\x00'

// glob matches s against a pattern in which "*" stands for any text and "?" for one byte. Its time is bounded by the
// product of the lengths.
func glob(p, s string) bool {
	var pi, si int
	star, mark := -1, 0
	for si < len(s) {
		switch {
		case pi < len(p) && p[pi] == '*':
			star, mark = pi, si
			pi++
			continue
		case pi < len(p) && p[pi] == '?':
			pi, si = pi+1, si+1
			continue
		case pi+1 < len(p) && p[pi] == literal && p[pi+1] == s[si]:
			pi, si = pi+2, si+1
			continue
		case pi < len(p) && p[pi] != literal && p[pi] == s[si]:
			pi, si = pi+1, si+1
			continue
		case star < 0:
			return false
		}
		mark++
		pi, si = star+1, mark
	}
	for pi < len(p) && p[pi] == '*' {
		pi++
	}
	return pi == len(p)
}

// arnParts is how many parts an ARN has: arn, partition, service, Region, account, resource.
const arnParts = 6

// globARN matches part by part, so that a wildcard doesn't reach over a colon, except within the resource, the last
// part. A pattern with fewer parts is met by any end if it ends in "*".
func globARN(p, s string) bool {
	if p == "*" || p == s && !strings.ContainsRune(p, literal) {
		return true
	}
	ps, ss := strings.SplitN(p, ":", arnParts), strings.SplitN(s, ":", arnParts)
	if len(ss) < arnParts {
		return glob(p, s)
	}
	if len(ps) < arnParts && !strings.HasSuffix(p, "*") {
		return false
	}
	for i := range ps {
		if !glob(ps[i], ss[i]) {
			return false
		}
	}
	return true
}

// pattern puts the context's values in place of the policy variables of p: "${aws:username}", "${aws:PrincipalTag/team, 'none'}",
// and "${*}", "${?}", "${$}" for the characters themselves. ok is false when a variable has no value, or not exactly
// one: then the pattern matches nothing.
func pattern(p string, c Context, variables bool) (expanded string, ok bool) {
	if !variables || !strings.Contains(p, "${") {
		return p, true
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(p, "${")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		name, after, found := strings.Cut(rest, "}")
		if !found {
			return "", false
		}
		value, ok := variable(name, c)
		if !ok {
			return "", false
		}
		for i := range len(value) {
			b.WriteByte(literal)
			b.WriteByte(value[i])
		}
		p = after
	}
}

// variable returns what the text between "${" and "}" stands for.
func variable(name string, c Context) (string, bool) {
	switch name {
	case "*", "?", "$":
		return name, true
	}
	key, fallback, hasFallback := strings.Cut(name, ",")
	if values, ok := c.Get(strings.TrimSpace(key)); ok && len(values) == 1 {
		return values[0], true
	}
	fallback = strings.TrimSpace(fallback)
	if n := len(fallback); hasFallback && n >= 2 && fallback[0] == '\'' && fallback[n-1] == '\'' {
		return fallback[1 : n-1], true
	}
	return "", false
}

// plain takes the marks of literal bytes out of an expanded pattern.
func plain(p string) string { return strings.ReplaceAll(p, string(literal), "") }
