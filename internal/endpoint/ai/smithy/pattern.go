package smithy

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	unicodeEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)
	repetition    = regexp.MustCompile(`\{([0-9]+)(,?)([0-9]*)\}`)
)

// maxRepeat is the greatest count of repetitions that Go's regular expressions take.
const maxRepeat = 1000

// goPattern is a model's pattern, which is in the syntax of Java, in Go's. What Go lacks is left out: look-around, and
// counts above maxRepeat. All texts that the original allows are allowed by what is left.
func goPattern(pattern string) string {
	pattern = unicodeEscape.ReplaceAllString(pattern, `\x{$1}`)
	pattern = strings.ReplaceAll(pattern, `\p{ASCII}`, `[\x00-\x7F]`)
	pattern = strings.ReplaceAll(pattern, `?+`, `?`)
	pattern = strings.ReplaceAll(pattern, `arn:(-[^:]+)?:`, `arn:(aws)?(-[^:]+)?:`) // some models forget the partition
	for _, open := range [...]string{"(?!", "(?=", "(?<!", "(?<="} {
		for {
			at := strings.Index(pattern, open)
			if at < 0 {
				break
			}
			end := closing(pattern, at)
			if end < 0 {
				return pattern
			}
			pattern = pattern[:at] + pattern[end+1:]
		}
	}
	return repetition.ReplaceAllStringFunc(pattern, func(r string) string {
		parts := repetition.FindStringSubmatch(r)
		low, err := strconv.Atoi(parts[1])
		if err != nil {
			return "*"
		}
		high, err := strconv.Atoi(parts[3])
		if parts[2] == "" {
			high = low
		} else if err != nil {
			high = maxRepeat + 1 // "{3,}", or more than fits
		}
		switch {
		case high <= maxRepeat:
			return r
		case low <= maxRepeat:
			return "{" + parts[1] + ",}"
		default:
			return "{" + strconv.Itoa(maxRepeat) + ",}"
		}
	})
}

// closing is where the group that begins at a parenthesis ends, or -1.
func closing(pattern string, at int) int {
	depth, class := 0, false
	for i := at; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '[':
			class = true
		case ']':
			class = false
		case '(':
			if !class {
				depth++
			}
		case ')':
			if class {
				continue
			}
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}
