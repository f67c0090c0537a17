package smithy

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// Sample makes a text that the shape allows: its pattern and its length. It is the same for the same seed, and nearly
// always another for another seed where the shape leaves room. ok is false when none was found: patterns that Go's
// syntax lacks are tried as far as they can be judged, which is not at all.
func (s *Shape) Sample(seed uint64) (text string, ok bool) { return s.SampleWith("", seed) }

// SampleWith is Sample of texts that begin with a prefix.
func (s *Shape) SampleWith(prefix string, seed uint64) (text string, ok bool) {
	low, high := 0, 1<<16
	if s.Min != nil {
		low = int(*s.Min)
	}
	if s.Max != nil {
		high = int(*s.Max)
	}
	if s.Pattern == "" || s.regexp() == nil {
		n := max(low, min(10, high), len(prefix))
		return prefix + letters(seed, n-len(prefix)), n <= high
	}
	re, err := syntax.Parse(goPattern(s.Pattern), syntax.Perl)
	if err != nil {
		return "", false
	}
	// The fewest repetitions that give a text of some length are best: first about as many as ids have, then fewer, then more.
	for _, repeat := range [...]int{10, 8, 6, 4, 3, 2, 1, 0, 12, 16, 20, 24, 32, 36, 40, 64, 128, 256, 512, low, low - 1, low - 2, low / 2} {
		for choice := range 3 {
			if repeat < 0 {
				continue
			}
			w := writer{seed: seed | 1, repeat: repeat, choice: choice}
			w.write(re)
			if text := w.b.String(); strings.HasPrefix(text, prefix) && s.allows(text, low, high) {
				return text, true
			}
		}
	}
	return "", false
}

// Allows tells whether a text is one of the shape's.
func (s *Shape) Allows(text string) bool {
	low, high := 0, 1<<30
	if s.Min != nil {
		low = int(*s.Min)
	}
	if s.Max != nil {
		high = int(*s.Max)
	}
	if len(s.Enum) > 0 {
		for _, e := range s.Enum {
			if e == text {
				return true
			}
		}
		return false
	}
	return s.allows(text, low, high)
}

func (s *Shape) allows(text string, low, high int) bool {
	if n := utf8.RuneCountInString(text); n < low || n > high {
		return false
	}
	re := s.regexp()
	return re == nil || re.MatchString(text)
}

// letters is n lower case letters and digits, the first a letter.
func letters(seed uint64, n int) string {
	w := writer{seed: seed | 1}
	for i := range n {
		if i == 0 {
			w.b.WriteByte("abcdefghijklmnopqrstuvwxyz"[w.next(26)])
			continue
		}
		w.b.WriteByte("abcdefghijklmnopqrstuvwxyz0123456789"[w.next(36)])
	}
	return w.b.String()
}

// writer writes a text that a regular expression matches.
type writer struct {
	b      strings.Builder
	seed   uint64
	repeat int // how often to repeat what may be repeated without end
	choice int // which of several alternatives to take
}

// next is a number below n (xorshift).
func (w *writer) next(n int) int {
	w.seed ^= w.seed << 13
	w.seed ^= w.seed >> 7
	w.seed ^= w.seed << 17
	return int(w.seed>>33) % n
}

func (w *writer) write(re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			w.b.WriteRune(r)
		}
	case syntax.OpCharClass:
		w.b.WriteRune(w.char(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		w.b.WriteByte("abcdefghijklmnopqrstuvwxyz0123456789"[w.next(36)])
	case syntax.OpCapture, syntax.OpConcat:
		for _, sub := range re.Sub {
			w.write(sub)
		}
	case syntax.OpAlternate:
		w.write(re.Sub[w.choice%len(re.Sub)])
	case syntax.OpQuest:
		if w.repeat > 10 {
			w.write(re.Sub[0])
		}
	case syntax.OpStar:
		w.times(re.Sub[0], 0, -1)
	case syntax.OpPlus:
		w.times(re.Sub[0], 1, -1)
	case syntax.OpRepeat:
		w.times(re.Sub[0], re.Min, re.Max)
	}
}

// maxSample bounds what is written of nested repetitions.
const maxSample = 4096

func (w *writer) times(re *syntax.Regexp, low, high int) {
	n := max(low, w.repeat)
	if high >= 0 {
		n = min(n, high)
	}
	if low == 0 && re.Op != syntax.OpCharClass && re.Op != syntax.OpAnyCharNotNL && re.Op != syntax.OpLiteral && w.repeat <= 10 {
		n = 0 // optional parts of a form
	}
	for range n {
		if w.b.Len() > maxSample {
			return
		}
		w.write(re)
	}
}

// char picks one of a class: a lower case letter if there is one, then a digit, then a capital, then what there is.
func (w *writer) char(ranges []rune) rune {
	var simple []rune
	for _, want := range [...]string{"abcdefghijklmnopqrstuvwxyz0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"} {
		for _, r := range want {
			if within(ranges, r) {
				simple = append(simple, r)
			}
		}
		if len(simple) > 0 {
			return simple[w.next(len(simple))]
		}
	}
	for r := '!'; r <= '~'; r++ {
		if within(ranges, r) {
			return r
		}
	}
	if len(ranges) > 0 {
		return ranges[0]
	}
	return 'a'
}

func within(ranges []rune, r rune) bool {
	for i := 0; i+1 < len(ranges); i += 2 {
		if ranges[i] <= r && r <= ranges[i+1] {
			return true
		}
	}
	return false
}
