package prose

import (
	"math"
	"regexp"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Found is a part of a text. Begin and End count characters, as AWS's services do.
type Found struct {
	Text       string
	Type       string
	Score      float64
	Begin, End int
}

func found(text, kind string, score float64, from, to int) Found {
	begin := utf8.RuneCountInString(text[:from])
	return Found{Text: text[from:to], Type: kind, Score: score, Begin: begin, End: begin + utf8.RuneCountInString(text[from:to])}
}

// Score is a label and how sure it is.
type Score struct {
	Label string
	Score float64
}

// Languages says what language the text is in, best first.
func Languages(text string) []Score {
	counts := map[string]float64{}
	for _, r := range text {
		for _, s := range scripts {
			if unicode.Is(s.table, r) {
				counts[s.language] += s.weight
			}
		}
	}
	for _, w := range words(text) {
		for language, common := range commonWords {
			if strings.Contains(common, " "+w.lower+" ") {
				counts[language] += 3
			}
		}
	}
	for language, letters := range ownLetters {
		for _, r := range text {
			if strings.ContainsRune(letters, r) {
				counts[language] += 2
			}
		}
	}
	if counts["ja"] > 0 { // Japanese is written with Chinese characters too
		counts["ja"] += counts["zh"]
		delete(counts, "zh")
	}
	if len(counts) == 0 {
		counts["en"] = 1
	}
	return normalize(counts)
}

func normalize(counts map[string]float64) []Score {
	var sum float64
	out := make([]Score, 0, len(counts))
	for label, n := range counts {
		sum += n * n
		out = append(out, Score{label, n * n})
	}
	for i := range out {
		out[i].Score = round(out[i].Score / sum * 0.99)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Score != out[j].Score {
			return out[i].Score > out[j].Score
		}
		return out[i].Label < out[j].Label
	})
	return out
}

func round(f float64) float64 { return math.Round(f*1e6) / 1e6 }

// Sentiment weighs the text's words: POSITIVE, NEGATIVE, NEUTRAL or MIXED, and the score of each.
func Sentiment(text string) (string, map[string]float64) {
	var good, bad float64
	negated := 0
	for _, w := range words(text) {
		good0, bad0 := strings.Contains(goodWords, " "+w.lower+" "), strings.Contains(badWords, " "+w.lower+" ")
		if negated > 0 {
			good0, bad0 = bad0, good0
		}
		if good0 {
			good++
		}
		if bad0 {
			bad++
		}
		negated--
		if w.lower == "not" || w.lower == "never" || strings.HasSuffix(w.lower, "n't") {
			negated = 3
		}
	}
	sum := 1 + 4*good + 4*bad
	mixed := 8 * math.Min(good, bad)
	sum += mixed
	scores := map[string]float64{
		"POSITIVE": round(4 * good / sum), "NEGATIVE": round(4 * bad / sum), "MIXED": round(mixed / sum), "NEUTRAL": round(1 / sum),
	}
	best := "NEUTRAL"
	for _, label := range []string{"POSITIVE", "NEGATIVE", "MIXED"} {
		if scores[label] > scores[best] {
			best = label
		}
	}
	return best, scores
}

// KeyPhrases are the runs of words between words that carry no meaning, signs and verbs of everyday use.
func KeyPhrases(text string) []Found {
	var out []Found
	var run []word
	end := func() {
		if n := len(run); n > 0 {
			if n > 4 {
				run = run[n-4:]
			}
			out = append(out, found(text, "", round(1-0.3/float64(1+len(run))), run[0].from, run[len(run)-1].to))
		}
		run = nil
	}
	last := 0
	for _, w := range words(text) {
		if strings.TrimSpace(text[last:w.from]) != "" || stopWords[w.lower] {
			end()
		}
		if !stopWords[w.lower] {
			run = append(run, w)
		}
		last = w.to
	}
	end()
	return out
}

// Entities names persons, organisations, places, dates, quantities and the like.
func Entities(text string) []Found {
	var out []Found
	taken := func(from, to int) bool {
		begin, end := utf8.RuneCountInString(text[:from]), utf8.RuneCountInString(text[:to])
		for _, f := range out {
			if begin < f.End && f.Begin < end {
				return true
			}
		}
		return false
	}
	for _, p := range entityPatterns {
		for _, at := range p.re.FindAllStringIndex(text, -1) {
			if !taken(at[0], at[1]) {
				out = append(out, found(text, p.kind, 0.98, at[0], at[1]))
			}
		}
	}
	for _, at := range properNames.FindAllStringIndex(text, -1) {
		from, to := at[0], at[1]
		first, _, _ := strings.Cut(text[from:to], " ")
		if stopWords[strings.ToLower(first)] || sentenceStart(text, from) && !strings.Contains(text[from:to], " ") && nameKind(text[from:to]) == "" {
			if from += len(first); from >= to {
				continue
			}
			from++
		}
		if from >= to || taken(from, to) {
			continue
		}
		kind := nameKind(text[from:to])
		score := 0.99
		if kind == "" {
			kind, score = "PERSON", 0.93
			if !strings.Contains(text[from:to], " ") {
				kind, score = "OTHER", 0.71
			}
		}
		out = append(out, found(text, kind, score, from, to))
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Begin < out[j].Begin })
	return out
}

func nameKind(name string) string {
	lower := " " + strings.ToLower(name) + " "
	for _, p := range strings.Split(strings.Trim(places, "|"), "|") {
		if strings.Contains(lower, " "+p+" ") {
			return "LOCATION"
		}
	}
	for _, o := range strings.Split(strings.Trim(organisations, "|"), "|") {
		if strings.Contains(lower, " "+o+" ") {
			return "ORGANIZATION"
		}
	}
	return ""
}

func sentenceStart(text string, at int) bool {
	before := strings.TrimRight(text[:at], " \t\n\"'(")
	return before == "" || strings.ContainsAny(before[len(before)-1:], ".!?:")
}

// PII is what of the text is personal, by Comprehend's and Guardrails' type names.
func PII(text string) []Found {
	var out []Found
	for _, p := range piiPatterns {
		for _, at := range p.re.FindAllStringSubmatchIndex(text, -1) {
			from, to := at[0], at[1]
			if len(at) > 3 && at[2] >= 0 {
				from, to = at[2], at[3]
			}
			f := found(text, p.kind, 0.9998, from, to)
			if p.valid != nil && !p.valid(f.Text) || overlaps(out, f) {
				continue
			}
			out = append(out, f)
		}
	}
	for _, e := range Entities(text) {
		kind := map[string]string{"PERSON": "NAME", "LOCATION": "ADDRESS"}[e.Type]
		if kind == "NAME" && strings.Contains(e.Text, " ") && !overlaps(out, e) {
			e.Type, e.Score = kind, 0.9991
			out = append(out, e)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Begin < out[j].Begin })
	return out
}

func overlaps(list []Found, f Found) bool {
	for _, o := range list {
		if f.Begin < o.End && o.Begin < f.End {
			return true
		}
	}
	return false
}

// luhn checks a card number's last digit.
func luhn(number string) bool {
	sum, double, digits := 0, false, 0
	for i := len(number) - 1; i >= 0; i-- {
		if number[i] < '0' || number[i] > '9' {
			continue
		}
		d := int(number[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, double, digits = sum+d, !double, digits+1
	}
	return digits >= 13 && sum%10 == 0
}

type pattern struct {
	kind  string
	re    *regexp.Regexp
	valid func(string) bool
}

// Harm says which kinds of harmful content the text has and how sure that is: VIOLENCE, HATE, INSULTS, SEXUAL,
// MISCONDUCT, PROMPT_ATTACK with LOW, MEDIUM or HIGH.
func Harm(text string) map[string]string {
	out := map[string]string{}
	lower := " " + strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\''
	}), " ") + " "
	for kind, phrases := range harmful {
		hits := 0
		for _, p := range strings.Split(phrases, "|") {
			if strings.Contains(lower, " "+p+" ") {
				hits++
			}
		}
		if hits > 0 {
			out[kind] = [...]string{"MEDIUM", "HIGH"}[min(hits, 2)-1]
		}
		if hits > 0 && kind == "PROMPT_ATTACK" {
			out[kind] = "HIGH"
		}
	}
	return out
}
