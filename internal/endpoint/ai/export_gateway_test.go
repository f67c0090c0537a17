package ai

import "time"

// ParseToken reads a bearer token of a gateway's caller.
func ParseToken(authorization string, now time.Time) (headers, claims map[string]any, ok bool) {
	t, ok := parseToken(authorization, now)
	return t.headers, t.claims, ok
}
