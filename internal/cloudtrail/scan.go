package cloudtrail

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// MaxDepth is how deep the values of a record may be nested.
const MaxDepth = 200

// SyntaxError says where and why a text is not the JSON it should be.
type SyntaxError struct {
	Offset int64 // bytes from the start of the text
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset) }

// errShort means that the text ended within a value.
var errShort = errors.New("unexpected end of JSON")

// scanner walks JSON text. It validates all it walks over and materialises nothing.
type scanner struct {
	s    string
	i    int
	seen uint64 // the bytes of strings, and some more, or-ed together: whether there may be others than ASCII
}

func (p *scanner) fail(reason string) error { return &SyntaxError{int64(p.i), reason} }

// next skips white space and returns the byte that follows, without consuming it.
func (p *scanner) next() (byte, error) {
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return c, nil
		}
	}
	return 0, errShort
}

// expect consumes one byte after white space.
func (p *scanner) expect(want byte, reason string) error {
	c, err := p.next()
	if err != nil {
		return err
	}
	if c != want {
		return p.fail(reason)
	}
	p.i++
	return nil
}

// object calls member for every member of an object, with the scanner before the value, which member must consume.
func (p *scanner) object(member func(key string) error) error {
	if err := p.expect('{', "expected an object"); err != nil {
		return err
	}
	if c, err := p.next(); err != nil {
		return err
	} else if c == '}' {
		p.i++
		return nil
	}
	for {
		key, err := p.key()
		if err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		c, err := p.next()
		if err != nil {
			return err
		}
		switch c {
		case ',':
			p.i++
		case '}':
			p.i++
			return nil
		default:
			return p.fail("expected ',' or '}' after a member")
		}
	}
}

// array calls element for every element of an array.
func (p *scanner) array(element func() error) error {
	if err := p.expect('[', "expected an array"); err != nil {
		return err
	}
	if c, err := p.next(); err != nil {
		return err
	} else if c == ']' {
		p.i++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		c, err := p.next()
		if err != nil {
			return err
		}
		switch c {
		case ',':
			p.i++
		case ']':
			p.i++
			return nil
		default:
			return p.fail("expected ',' or ']' after an element")
		}
	}
}

// key reads a member's name and its colon.
func (p *scanner) key() (string, error) {
	c, err := p.next()
	if err != nil {
		return "", err
	}
	if c != '"' {
		return "", p.fail("expected a member's name")
	}
	raw, escaped, err := p.str()
	if err != nil {
		return "", err
	}
	if err := p.expect(':', "expected ':' after a member's name"); err != nil {
		return "", err
	}
	if escaped {
		return unescape(raw), nil
	}
	return raw, nil
}

// In a word of eight bytes: one in each, and the highest bit of each.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// str consumes a string whose opening quote is next, and returns what stands between its quotes.
func (p *scanner) str() (raw string, escaped bool, err error) {
	start := p.i + 1
	text := unsafe.Slice(unsafe.StringData(p.s), len(p.s))
	for i := start; ; {
		for i+8 <= len(text) { // to the next quote, backslash or control character
			x := binary.LittleEndian.Uint64(text[i:])
			quote, backslash := x^ones*'"', x^ones*'\\'
			// The lowest byte that is marked is right: a borrow marks only those above one that is.
			special := ((x-ones*0x20)&^x | (quote-ones)&^quote | (backslash-ones)&^backslash) & highs
			p.seen |= x
			if special != 0 {
				i += bits.TrailingZeros64(special) / 8
				break
			}
			i += 8
		}
		if i >= len(text) {
			return "", false, errShort
		}
		switch c := text[i]; {
		case c == '"':
			p.i = i + 1
			return p.s[start:i], escaped, nil
		case c == '\\':
			escaped = true
			if i, err = p.escape(i + 1); err != nil {
				return "", false, err
			}
		case c < 0x20:
			p.i = i
			return "", false, p.fail("control character in a string")
		default: // among the last eight bytes
			p.seen |= uint64(c)
			i++
		}
	}
}

// escape returns the place behind an escape, given that behind its backslash.
func (p *scanner) escape(i int) (int, error) {
	if i >= len(p.s) {
		return i, errShort
	}
	if strings.IndexByte(`"\/bfnrt`, p.s[i]) >= 0 {
		return i + 1, nil
	}
	if p.s[i] != 'u' {
		p.i = i
		return i, p.fail("invalid escape in a string")
	}
	for n := 1; n <= 4; n++ {
		if i+n >= len(p.s) {
			return i, errShort
		}
		if hexDigit(p.s[i+n]) < 0 {
			p.i = i + n
			return i, p.fail("invalid \\u escape in a string")
		}
	}
	return i + 5, nil
}

// value consumes any value and returns its text.
func (p *scanner) value(depth int) (string, error) {
	c, err := p.next()
	if err != nil {
		return "", err
	}
	if depth > MaxDepth {
		return "", p.tooDeep()
	}
	start := p.i
	if c == '{' || c == '[' {
		err = p.nested(depth)
	} else {
		err = p.scalar(c)
	}
	if err != nil {
		return "", err
	}
	return p.s[start:p.i], nil
}

// scalar consumes a value that begins with c and is no object or array.
func (p *scanner) scalar(c byte) (err error) {
	switch {
	case c == '"':
		_, _, err = p.str()
	case c == 't':
		err = p.literal("true")
	case c == 'f':
		err = p.literal("false")
	case c == 'n':
		err = p.literal("null")
	case c == '-' || '0' <= c && c <= '9':
		err = p.number()
	default:
		err = p.fail("expected a value")
	}
	return err
}

// nested consumes an object or array whose opening bracket is next, and all within it.
func (p *scanner) nested(base int) error {
	var objects [MaxDepth/64 + 1]uint64 // a bit for each depth: whether an object is open there
	for depth := base; ; {
		c, err := p.next()
		if err != nil {
			return err
		}
		if depth > MaxDepth {
			return p.tooDeep()
		}
		if c == '{' || c == '[' {
			p.i++
			first, err := p.next()
			if err != nil {
				return err
			}
			if objects[depth/64] &^= 1 << (depth % 64); c == '{' {
				objects[depth/64] |= 1 << (depth % 64)
			}
			if first != c+2 { // in ASCII, brackets close two places behind where they open
				depth++
				if c == '{' {
					err = p.skipKey()
				}
				if err != nil {
					return err
				}
				continue
			}
			p.i++
		} else if err := p.scalar(c); err != nil {
			return err
		}
		// Behind a value: on to the next one, out of as many objects and arrays as end here.
		for {
			if depth == base {
				return nil
			}
			more, err := p.after(objects[(depth-1)/64]>>((depth-1)%64)&1 != 0)
			if err != nil {
				return err
			}
			if more {
				break
			}
			depth--
		}
	}
}

func (p *scanner) tooDeep() error {
	return p.fail(fmt.Sprintf("values nested more than %d deep", MaxDepth))
}

// after consumes what follows a value in an object or array: a comma, and the next member's name; or its end.
func (p *scanner) after(object bool) (more bool, err error) {
	c, err := p.next()
	switch {
	case err != nil:
		return false, err
	case c == ',':
		p.i++
		if object {
			return true, p.skipKey()
		}
		return true, nil
	case c == '}' && object, c == ']' && !object:
		p.i++
		return false, nil
	case object:
		return false, p.fail("expected ',' or '}' after a member")
	}
	return false, p.fail("expected ',' or ']' after an element")
}

// skipKey consumes a member's name and its colon.
func (p *scanner) skipKey() error {
	c, err := p.next()
	if err != nil {
		return err
	}
	if c != '"' {
		return p.fail("expected a member's name")
	}
	if _, _, err := p.str(); err != nil {
		return err
	}
	return p.expect(':', "expected ':' after a member's name")
}

func (p *scanner) literal(word string) error {
	for n := range len(word) {
		if p.i+n >= len(p.s) {
			return errShort
		}
		if p.s[p.i+n] != word[n] {
			return p.fail("expected " + word)
		}
	}
	p.i += len(word)
	return nil
}

// number consumes a number. It can't tell a number at the end of the text from one that goes on; callers whose text
// may go on never stand at such an end, for every value of theirs is inside an object.
func (p *scanner) number() error {
	digits := func() bool {
		start := p.i
		for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
			p.i++
		}
		return p.i > start
	}
	short := func(reason string) error {
		if p.i >= len(p.s) {
			return errShort
		}
		return p.fail(reason)
	}
	if p.s[p.i] == '-' {
		p.i++
	}
	if p.i < len(p.s) && p.s[p.i] == '0' {
		p.i++
	} else if !digits() {
		return short("invalid number")
	}
	if p.i < len(p.s) && p.s[p.i] == '.' {
		p.i++
		if !digits() {
			return short("invalid number")
		}
	}
	if p.i < len(p.s) && (p.s[p.i] == 'e' || p.s[p.i] == 'E') {
		p.i++
		if p.i < len(p.s) && (p.s[p.i] == '+' || p.s[p.i] == '-') {
			p.i++
		}
		if !digits() {
			return short("invalid number")
		}
	}
	return nil
}

func hexDigit(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return rune(c - 'A' + 10)
	}
	return -1
}

// unescape decodes what stands between a valid string's quotes. Half a surrogate pair becomes U+FFFD, as in encoding/json.
func unescape(raw string) string {
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			b = append(b, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r := codeUnit(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				pair := utf8.RuneError
				if strings.HasPrefix(raw[i+1:], `\u`) {
					pair = utf16.DecodeRune(r, codeUnit(raw[i+3:]))
				}
				if r = pair; r != utf8.RuneError {
					i += 6
				}
			}
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func codeUnit(hex string) rune {
	var r rune
	for n := range 4 {
		r = r<<4 | hexDigit(hex[n])
	}
	return r
}

// validUTF8 returns s with every invalid byte replaced by U+FFFD, as encoding/json reads it.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// Member returns the text of an object's member, or "" when j is no object or has no such member. Of members of
// one name the last counts.
func (j JSON) Member(name string) JSON {
	var found JSON
	p := scanner{s: string(j)}
	if c, err := p.next(); err != nil || c != '{' {
		return ""
	}
	err := p.object(func(key string) error {
		v, err := p.value(1)
		if key == name {
			found = JSON(v)
		}
		return err
	})
	if err != nil {
		return ""
	}
	return found
}

// Members calls f for each member of an object in order, and for nothing when j is no object.
func (j JSON) Members(f func(name string, value JSON)) {
	p := scanner{s: string(j)}
	if c, err := p.next(); err != nil || c != '{' {
		return
	}
	_ = p.object(func(key string) error { // j was validated when it was decoded
		v, err := p.value(1)
		if err == nil {
			f(key, JSON(v))
		}
		return err
	})
}

// Elements calls f for each element of an array in order, and for nothing when j is no array.
func (j JSON) Elements(f func(value JSON)) {
	p := scanner{s: string(j)}
	if c, err := p.next(); err != nil || c != '[' {
		return
	}
	_ = p.array(func() error {
		v, err := p.value(1)
		if err == nil {
			f(JSON(v))
		}
		return err
	})
}

// Text returns a string's value, and the text of any other value but null, which is "".
func (j JSON) Text() string {
	p := scanner{s: string(j)}
	c, err := p.next()
	if err != nil || string(j) == "null" {
		return ""
	}
	if c != '"' {
		return string(j)
	}
	raw, escaped, err := p.str()
	if err != nil {
		return ""
	}
	if escaped {
		return unescape(raw)
	}
	return raw
}
