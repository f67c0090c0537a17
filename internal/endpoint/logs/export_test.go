package logs

import "strings"

// ParsePattern is parsePattern.
func ParsePattern(pattern string) (func(string) bool, error) { return parsePattern(pattern) }

// Quote writes text as a value of a pattern.
func Quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
