package ai

import (
	"slices"
	"strings"
	"unicode"

	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
)

// translate is Amazon Translate's operations.
func (b *backend) translate() map[string]*rule {
	hidden := map[string]string{"text": hiddenValue, "translatedText": hiddenValue}
	return map[string]*rule{
		"TranslateText": {serve: b.translateText, redact: hidden, reply: true,
			replyOnly: []string{"TranslatedText", "SourceLanguageCode", "TargetLanguageCode", "AppliedSettings"}},
		"ListLanguages": {serve: b.listLanguages},
	}
}

// languages is what Translate speaks.
const languages = `af|Afrikaans sq|Albanian am|Amharic ar|Arabic hy|Armenian az|Azerbaijani bn|Bengali bs|Bosnian bg|Bulgarian ca|Catalan
zh|Chinese zh-TW|Chinese_(Traditional) hr|Croatian cs|Czech da|Danish fa-AF|Dari nl|Dutch en|English et|Estonian fa|Farsi_(Persian)
tl|Filipino fi|Finnish fr|French fr-CA|French_(Canada) ka|Georgian de|German el|Greek gu|Gujarati ht|Haitian_Creole ha|Hausa he|Hebrew
hi|Hindi hu|Hungarian is|Icelandic id|Indonesian ga|Irish it|Italian ja|Japanese kn|Kannada kk|Kazakh ko|Korean lv|Latvian lt|Lithuanian
mk|Macedonian ms|Malay ml|Malayalam mt|Maltese mr|Marathi mn|Mongolian no|Norwegian ps|Pashto pl|Polish pt|Portuguese
pt-PT|Portuguese_(Portugal) pa|Punjabi ro|Romanian ru|Russian sr|Serbian si|Sinhala sk|Slovak sl|Slovenian so|Somali es|Spanish
es-MX|Spanish_(Mexico) sw|Swahili sv|Swedish ta|Tamil te|Telugu th|Thai tr|Turkish uk|Ukrainian ur|Urdu uz|Uzbek vi|Vietnamese cy|Welsh`

func speaks(code string) bool {
	for _, l := range strings.Fields(languages) {
		if known, _, _ := strings.Cut(l, "|"); known == code {
			return true
		}
	}
	return false
}

// dictionary is a few words of English, Spanish, French, German, Italian and Portuguese.
const dictionary = `hello hola bonjour hallo ciao olá
thank gracias merci danke grazie obrigado
good bueno bon gut buono bom
morning mañana matin morgen mattina manhã
night noche nuit nacht notte noite
day día jour tag giorno dia
world mundo monde welt mondo mundo
friend amigo ami freund amico amigo
house casa maison haus casa casa
water agua eau wasser acqua água
bread pan pain brot pane pão
book libro livre buch libro livro
time tiempo temps zeit tempo tempo
yes sí oui ja sì sim
no no non nein no não
and y et und e e
or o ou oder o ou
the el le das il o
is es est ist è é
not no pas nicht non não
my mi mon mein mio meu
your tu votre dein tuo seu
with con avec mit con com
for para pour für per para
of de de von di de
in en dans in in em
today hoy aujourd'hui heute oggi hoje
customer cliente client kunde cliente cliente
order pedido commande bestellung ordine pedido
please favor s'il bitte prego favor`

// glossary maps words of one language to another's.
func glossary(from, to string) map[string]string {
	order := []string{"en", "es", "fr", "de", "it", "pt"}
	i, j := slices.Index(order, from[:2]), slices.Index(order, to[:2])
	if i < 0 || j < 0 {
		return nil
	}
	words := map[string]string{}
	for line := range strings.Lines(dictionary) {
		f := strings.Fields(line)
		if words[f[i]] == "" {
			words[f[i]] = f[j]
		}
	}
	return words
}

// rendered puts the words it knows into the other language; the rest stays.
func rendered(s string, words map[string]string) string {
	var out strings.Builder
	word := func(w string) {
		other := words[strings.ToLower(w)]
		if other == "" {
			out.WriteString(w)
			return
		}
		if first := []rune(w)[0]; unicode.IsUpper(first) {
			r := []rune(other)
			r[0] = unicode.ToUpper(r[0])
			other = string(r)
		}
		out.WriteString(other)
	}
	start := -1
	for i, r := range s {
		if unicode.IsLetter(r) || r == '\'' {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 {
			word(s[start:i])
			start = -1
		}
		out.WriteRune(r)
	}
	if start >= 0 {
		word(s[start:])
	}
	return out.String()
}

// largestTranslation is what TranslateText takes, in bytes.
const largestTranslation = 10_000

func (b *backend) translateText(c *call) (obj, error) {
	subject, from, to := text(c.in, "Text"), text(c.in, "SourceLanguageCode"), text(c.in, "TargetLanguageCode")
	if len(subject) > largestTranslation {
		return nil, fail("TextSizeLimitExceededException", 400, "Input text size exceeds limit. Max length of request text allowed is %d bytes while in this request the text size is %d bytes", largestTranslation, len(subject))
	}
	if names := texts(c.in, "TerminologyNames"); len(names) > 0 {
		return nil, fail("ResourceNotFoundException", 400, "Terminology not found: %s", names[0])
	}
	if from == "auto" {
		from = prose.Languages(subject)[0].Label
	}
	if !speaks(from) || !speaks(to) {
		return nil, fail("UnsupportedLanguagePairException", 400, "Unsupported language pair: %s to %s.", from, to)
	}
	out := obj{"TranslatedText": rendered(subject, glossary(from, to)), "SourceLanguageCode": from, "TargetLanguageCode": to}
	if settings := object(c.in, "Settings"); settings != nil {
		out["AppliedSettings"] = settings
	}
	return out, nil
}

func (b *backend) listLanguages(c *call) (obj, error) {
	var all []obj
	for _, l := range append([]string{"auto|Auto"}, strings.Fields(languages)...) {
		code, name, _ := strings.Cut(l, "|")
		all = append(all, obj{"LanguageCode": code, "LanguageName": strings.ReplaceAll(name, "_", " ")})
	}
	items, next := page(c, all, 500, "MaxResults", "NextToken", func(o obj) string { return text(o, "LanguageCode") })
	display := text(c.in, "DisplayLanguageCode")
	if display == "" {
		display = "en"
	}
	out := obj{"Languages": items, "DisplayLanguageCode": display}
	if next != "" {
		out["NextToken"] = next
	}
	return out, nil
}
