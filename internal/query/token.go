package query

import (
	"strings"
	"unicode/utf8"
)

// token is a word, number, string, quoted name, parameter or sign of a statement: query[start:end].
type token struct {
	kind       tokenKind
	start, end int
}

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota // the statement's end
	tokenWord                    // a keyword or bare name
	tokenNumber                  // 12, 1.5e3
	tokenString                  // 'text', $$text$$
	tokenQuoted                  // "name"
	tokenSign                    // one of any other character
)

// next returns the first token at or after a byte offset; spaces and comments are skipped. Strings, names and comments
// that have no end last to the statement's end.
func next(query string, at int) token {
	at = skipBlank(query, at)
	if at >= len(query) {
		return token{tokenEnd, len(query), len(query)}
	}
	switch c := query[at]; {
	case c == '\'':
		return token{tokenString, at, quotedEnd(query, at, '\'')}
	case c == '"':
		return token{tokenQuoted, at, quotedEnd(query, at, '"')}
	case c == '$':
		if end := dollarEnd(query, at); end > at {
			return token{tokenString, at, end}
		}
		return token{tokenSign, at, at + 1}
	case c >= '0' && c <= '9':
		return token{tokenNumber, at, wordEnd(query, at, true)}
	case wordStart(c):
		if end := at + 1; (c|0x20 == 'e' || c|0x20 == 'x' || c|0x20 == 'b') && end < len(query) && query[end] == '\'' {
			return token{tokenString, at, escapedEnd(query, end, c|0x20 == 'e')}
		}
		return token{tokenWord, at, wordEnd(query, at, false)}
	}
	return token{tokenSign, at, at + 1}
}

func skipBlank(query string, at int) int {
	for at < len(query) {
		switch rest := query[at:]; {
		case strings.IndexByte(" \t\r\n\f\v", rest[0]) >= 0:
			at++
		case strings.HasPrefix(rest, "--"):
			at = endOr(query, at, "\n")
		case strings.HasPrefix(rest, "/*"):
			at = commentEnd(query, at)
		default:
			return at
		}
	}
	return at
}

// endOr returns the offset behind the next occurrence of a mark, or the statement's end.
func endOr(query string, at int, mark string) int {
	if i := strings.Index(query[at:], mark); i >= 0 {
		return at + i + len(mark)
	}
	return len(query)
}

// commentEnd returns where a block comment ends; block comments nest.
func commentEnd(query string, at int) int {
	depth := 0
	for at < len(query) {
		switch {
		case strings.HasPrefix(query[at:], "/*"):
			depth++
			at += 2
		case strings.HasPrefix(query[at:], "*/"):
			depth--
			at += 2
			if depth == 0 {
				return at
			}
		default:
			at++
		}
	}
	return at
}

// quotedEnd returns where a quoted text ends; a doubled quote stands for itself.
func quotedEnd(query string, at int, quote byte) int {
	for at++; at < len(query); at++ {
		if query[at] != quote {
			continue
		}
		if at+1 < len(query) && query[at+1] == quote {
			at++
			continue
		}
		return at + 1
	}
	return len(query)
}

// escapedEnd is quotedEnd for strings in which a backslash may protect the quote.
func escapedEnd(query string, at int, backslash bool) int {
	if !backslash {
		return quotedEnd(query, at, '\'')
	}
	for at++; at < len(query); at++ {
		switch query[at] {
		case '\\':
			at++
		case '\'':
			if at+1 < len(query) && query[at+1] == '\'' {
				at++
				continue
			}
			return at + 1
		}
	}
	return len(query)
}

// dollarEnd returns where a $tag$text$tag$ ends, or at when there is none.
func dollarEnd(query string, at int) int {
	end := at + 1
	for end < len(query) && (wordStart(query[end]) || end > at+1 && query[end] >= '0' && query[end] <= '9') && query[end] != '$' {
		end++
	}
	if end >= len(query) || query[end] != '$' {
		return at
	}
	return endOr(query, end+1, query[at:end+1])
}

func wordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= utf8.RuneSelf
}

func wordEnd(query string, at int, number bool) int {
	for at < len(query) {
		c := query[at]
		if !wordStart(c) && (c < '0' || c > '9') && c != '$' && !(number && c == '.') {
			break
		}
		at++
	}
	return at
}

// word returns the token's text in upper case if it is a bare word, else "".
func (t token) word(query string) string {
	if t.kind != tokenWord {
		return ""
	}
	return strings.ToUpper(query[t.start:t.end])
}

// tokenAt returns the token that stands at a byte offset, "" at the end.
func tokenAt(query string, at int) string {
	t := next(query, at)
	return query[t.start:t.end]
}
