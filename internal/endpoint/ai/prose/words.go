package prose

import (
	"regexp"
	"strings"
	"unicode"
)

var scripts = []struct {
	table    *unicode.RangeTable
	language string
	weight   float64
}{
	{unicode.Hiragana, "ja", 3}, {unicode.Katakana, "ja", 3}, {unicode.Han, "zh", 2}, {unicode.Hangul, "ko", 3},
	{unicode.Cyrillic, "ru", 2}, {unicode.Arabic, "ar", 2}, {unicode.Hebrew, "he", 2}, {unicode.Greek, "el", 2},
	{unicode.Devanagari, "hi", 2}, {unicode.Thai, "th", 2},
}

// commonWords are each language's most frequent words, between spaces.
var commonWords = map[string]string{
	"en": " the be to of and a in that have i it for not on with he as you do at this but his by from they we say her she or an will my one all would there their what so up out if about who get which go me is are was were how can has your please hello thanks ",
	"es": " el la de que y en un ser se no haber por con su para como estar tener le lo todo pero más hacer o poder decir este ir otro ese los las una es está muy gracias hola buenos días qué mi yo ",
	"fr": " le la de un être et à il avoir ne je son que se qui ce dans en du elle au pour pas vous par sur faire plus dire me on mon lui nous les des une est très merci bonjour avec c'est ",
	"de": " der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat dass sie nach wird bei ich du wir ihr sehr danke guten hallo wie war ",
	"it": " di che è e la il un a per in una mio sono ho non ma lo ha le si ti i con cosa se io come da ci no questo qui hai sei del molto grazie buongiorno ciao gli della ",
	"pt": " de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu sua ou ser muito obrigado olá bom dia você está ",
	"nl": " de het een en van ik te dat die in je is niet zijn op aan met als voor had er maar om hem dan zou of wat mijn zeer dank hallo goede dit was ",
}

// ownLetters are letters that hardly any other of the languages has.
var ownLetters = map[string]string{"de": "ßäöüÄÖÜ", "es": "ñ¿¡Ñ", "fr": "œçêîû", "pt": "ãõ", "it": "ìò"}

// stopWords carry no meaning of their own.
var stopWords = wordSet(commonWords["en"] + ` am been being did does doing done had having her here him hers its itself just
 let like may might more most much must now only our out over own same should some such than then these those through
 too under until very want when where while whom why us into could also any because before after again against
 between both down during each few further further if off once other your yours tell give write explain describe say
 says said make makes made see know think let's i'm it's don't `)

func wordSet(list string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(list) {
		set[w] = true
	}
	return set
}

const (
	goodWords = " good great excellent love loved loves like liked amazing wonderful fantastic happy best perfect awesome nice enjoy enjoyed beautiful brilliant delightful pleased superb thanks thank helpful fast friendly recommend impressive outstanding glad bueno buena excelente feliz gracias bon bonne excellent merci heureux gut toll danke schön glücklich "
	badWords  = " bad terrible awful hate hated hates worst horrible poor sad angry broken slow disappointing disappointed fail failed fails failure useless ugly annoying dirty rude wrong error problem problems refund unhappy boring pathetic waste malo mala terrible triste mauvais mauvaise triste schlecht furchtbar traurig "

	places        = "|london|paris|berlin|madrid|rome|tokyo|seattle|new york|washington|san francisco|chicago|boston|dublin|sydney|mumbai|singapore|toronto|munich|frankfurt|stockholm|brazil|france|germany|spain|italy|japan|china|india|canada|mexico|australia|ireland|england|united kingdom|united states|usa|uk|europe|asia|africa|america|california|texas|virginia|ohio|oregon|"
	organisations = "|amazon|aws|microsoft|google|apple|meta|ibm|oracle|anthropic|openai|nvidia|netflix|tesla|intel|inc|corp|ltd|llc|gmbh|ag|plc|company|corporation|bank|university|institute|association|foundation|united nations|nasa|"
)

// harmful is phrases by kind, in lower case, without signs.
var harmful = map[string]string{
	"VIOLENCE":      "kill|kill him|kill her|kill them|murder|stab|shoot|bomb|build a bomb|make a bomb|attack someone|weapon|torture|massacre",
	"HATE":          "hate those people|inferior race|go back to your country|subhuman|ethnic cleansing",
	"INSULTS":       "idiot|stupid|moron|you are dumb|loser|shut up|worthless",
	"SEXUAL":        "porn|pornography|explicit sex|nude photos|sexual act",
	"MISCONDUCT":    "steal|shoplift|hack into|launder money|forge a passport|sell drugs|counterfeit|phishing kit|steal a car|credit card fraud",
	"PROMPT_ATTACK": "ignore all previous instructions|ignore previous instructions|ignore your instructions|disregard your instructions|developer mode|reveal your system prompt|pretend you have no rules|jailbreak|do anything now",
}

// Profanity is the managed word list of guardrails, mild on purpose.
var Profanity = []string{"damn", "crap", "bastard", "bloody hell", "shit", "fuck"}

var (
	properNames    = regexp.MustCompile(`\p{Lu}[\p{L}'’]+(?:\s\p{Lu}[\p{L}'’]*\.?)*`)
	entityPatterns = []pattern{
		{kind: "DATE", re: regexp.MustCompile(`\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}/\d{1,2}/\d{2,4}\b|\b(?:January|February|March|April|May|June|July|August|September|October|November|December)(?: \d{1,2})?(?:,? \d{4})?\b|\b(?:today|tomorrow|yesterday|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)\b`)},
		{kind: "OTHER", re: regexp.MustCompile(`\b[\w.+-]+@[\w-]+\.[\w.-]*\w\b|\bhttps?://\S+[\w/]`)},
		{kind: "QUANTITY", re: regexp.MustCompile(`[$€£]\s?\d[\d,.]*\d|[$€£]\s?\d|\b\d[\d,.]*\s?(?:%|percent|dollars|euros|kg|km|miles|people|items|hours|days|years|users|MB|GB|million|billion)`)},
	}
	piiPatterns = []pattern{
		{kind: "EMAIL", re: regexp.MustCompile(`\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b`)},
		{kind: "URL", re: regexp.MustCompile(`\bhttps?://[^\s"'<>]+[\w/]|\bwww\.[\w-]+\.[\w./-]*\w`)},
		{kind: "AWS_ACCESS_KEY", re: regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`)},
		{kind: "CREDIT_DEBIT_CARD_NUMBER", re: regexp.MustCompile(`\b(?:\d[ -]?){12,18}\d\b`), valid: luhn},
		{kind: "US_SOCIAL_SECURITY_NUMBER", re: regexp.MustCompile(`\b\d{3}-\d{2}-\d{4}\b`)},
		{kind: "INTERNATIONAL_BANK_ACCOUNT_NUMBER", re: regexp.MustCompile(`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,4})?\b`)},
		{kind: "IP_ADDRESS", re: regexp.MustCompile(`\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b`)},
		{kind: "MAC_ADDRESS", re: regexp.MustCompile(`\b(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\b`)},
		{kind: "PHONE", re: regexp.MustCompile(`\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,4}\d{2,4}\b|\b\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b`)},
		{kind: "PASSWORD", re: regexp.MustCompile(`(?i)\bpassword(?: is|:|=)\s*(\S+)`)},
		{kind: "DATE_TIME", re: regexp.MustCompile(`\b\d{4}-\d{2}-\d{2}\b|\b(?:January|February|March|April|May|June|July|August|September|October|November|December) \d{1,2}(?:,? \d{4})?\b`)},
		{kind: "ADDRESS", re: regexp.MustCompile(`\b\d{1,5} (?:[A-Z][a-z]+ ){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr)\b\.?`)},
		{kind: "AGE", re: regexp.MustCompile(`\b\d{1,3}[- ]years?[- ]old\b`)},
	}
)
