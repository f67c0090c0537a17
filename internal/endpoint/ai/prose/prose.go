// Package prose is what the AI services know of text without a model: how many tokens it has, what language it is
// in, whether it is pleased, whom and what it names, which of it is personal, and an answer to it.
//
// Every result depends on the text alone: the same text gives the same result on every machine. Nothing here is
// clever; it is meant to be plausible, cheap and exactly repeatable. All functions are pure.
package prose

import (
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// span is a token's place in the text, in bytes.
type span struct{ from, to int }

// tokens splits text into runs of at most six letters or digits of one word, single characters of scripts without
// spaces, and single signs. Space belongs to the token after it.
func tokens(text string) []span {
	var out []span
	start, run := 0, 0
	end := func(to int) {
		if run > 0 {
			out = append(out, span{start, to})
			start, run = to, 0
		}
	}
	for i, size := 0, 0; i < len(text); i += size {
		var r rune
		r, size = utf8.DecodeRuneInString(text[i:])
		switch {
		case unicode.IsSpace(r):
			end(i)
		case wide(r) || !unicode.IsLetter(r) && !unicode.IsDigit(r):
			end(i)
			out = append(out, span{start, i + size})
			start = i + size
		default:
			if run == 6 {
				end(i)
			}
			run++
		}
	}
	end(len(text))
	return out
}

func wide(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai)
}

// Tokens counts the text's tokens: 0 for a text of spaces, about one for four letters of English.
func Tokens(text string) int { return len(tokens(text)) }

// Cut returns the first n tokens of the text, and whether anything was cut off.
func Cut(text string, n int) (string, bool) {
	t := tokens(text)
	if len(t) <= n {
		return text, false
	}
	if n <= 0 {
		return "", true
	}
	return text[:t[n-1].to], true
}

// Pieces splits the text into pieces of n tokens; together they are the text.
func Pieces(text string, n int) []string {
	t := tokens(text)
	var out []string
	from := 0
	for i := n; i < len(t); i += n {
		out = append(out, text[from:t[i-1].to])
		from = t[i-1].to
	}
	if from < len(text) {
		out = append(out, text[from:])
	}
	return out
}

// quoted is how many tokens of a prompt an answer repeats.
const quoted = 24

// Answer is what a model that runs nowhere says to a prompt: it says what it is, quotes the prompt, and names what the
// prompt is about.
func Answer(model, prompt string) string {
	prompt = strings.Join(strings.Fields(prompt), " ")
	if prompt == "" {
		return fmt.Sprintf("This is the local endpoint answering for %s. The prompt was empty.", model)
	}
	short, cut := Cut(prompt, quoted)
	if cut {
		short += "…"
	}
	answer := fmt.Sprintf("This is the local endpoint answering for %s; no model was run. You said: \"%s\"", model, short)
	if !strings.ContainsAny(short[len(short)-1:], ".?!") {
		answer += "."
	}
	var about []string
	seen := map[string]bool{}
	for _, p := range KeyPhrases(prompt) {
		if k := strings.ToLower(p.Text); !seen[k] && len(about) < 3 {
			seen[k] = true
			about = append(about, p.Text)
		}
	}
	if len(about) > 0 {
		answer += " It is about " + enumerate(about) + "."
	}
	return answer
}

func enumerate(items []string) string {
	if len(items) == 1 {
		return items[0]
	}
	return strings.Join(items[:len(items)-1], ", ") + " and " + items[len(items)-1]
}

// Stop cuts the text before the first of the sequences in it, and returns that sequence.
func Stop(text string, sequences []string) (string, string) {
	at, found := len(text), ""
	for _, s := range sequences {
		if i := strings.Index(text, s); s != "" && i >= 0 && i < at {
			at, found = i, s
		}
	}
	return text[:at], found
}

// Embedding is a unit vector of the text: words hashed to directions, so texts that share words lie near each other.
func Embedding(text string, dimensions int) []float64 {
	v := make([]float64, dimensions)
	add := func(feature string, weight float64) {
		h := fnv.New64a()
		h.Write([]byte(feature))
		x := h.Sum64()
		for range 8 { // a few signed components a feature spread it over the space
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			sign := 1.0
			if x&1 == 1 {
				sign = -1
			}
			v[int((x>>1)%uint64(dimensions))] += sign * weight
		}
	}
	for _, w := range words(text) {
		weight := 1.0
		if stopWords[w.lower] {
			weight = 0.1
		}
		add(w.lower, weight)
	}
	add("", 0.05)
	var sum float64
	for _, x := range v {
		sum += x * x
	}
	norm := math.Sqrt(sum)
	for i := range v {
		v[i] = math.Round(v[i]/norm*1e8) / 1e8
	}
	return v
}

// Similarity is how near two texts are: the share of the words of a that b has, from 0 to 1; words that carry no
// meaning don't count.
func Similarity(a, b string) float64 {
	in := map[string]bool{}
	for _, w := range words(b) {
		in[w.lower] = true
	}
	var all, shared float64
	for _, w := range words(a) {
		if stopWords[w.lower] {
			continue
		}
		all++
		if in[w.lower] {
			shared++
		}
	}
	if all == 0 {
		return 0
	}
	return math.Round(shared/all*1e4) / 1e4
}

// word is one word of a text; from and to are bytes.
type word struct {
	text, lower string
	from, to    int
}

func words(text string) []word {
	var out []word
	start := -1
	end := func(to int) {
		if start >= 0 {
			w := strings.TrimRight(text[start:to], "'’-")
			out = append(out, word{w, strings.ToLower(w), start, start + len(w)})
			start = -1
		}
	}
	for i, r := range text {
		inWord := unicode.IsLetter(r) || unicode.IsDigit(r) || start >= 0 && (r == '\'' || r == '’' || r == '-')
		if inWord && start < 0 {
			start = i
		} else if !inWord {
			end(i)
		}
	}
	end(len(text))
	return out
}
