package cli

import (
	"strconv"
	"strings"
	"time"
)

// parseTime reads a flag's time: a date, a date and time (UTC unless it says otherwise), or how long ago. Empty is zero.
func (a *app) parseTime(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	ago := s
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil {
			ago = strconv.Itoa(24*n) + "h"
		}
	}
	if d, err := time.ParseDuration(ago); err == nil && d >= 0 {
		return a.Now().UTC().Add(-d), nil
	}
	return time.Time{}, usagef("%s %q is no time: give 2026-11-23, 2026-11-23T07:30:00Z, or how long ago as 36h or 7d", flag, s)
}

// plural writes how many there are of what a word names, for people.
func plural(n int64, word string) string {
	if n != 1 {
		word += "s"
	}
	return thousands(n) + " " + word
}

// thousands writes a number with separators, for people.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
