package corpus

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// generator makes the records of one file.
type generator struct {
	rnd     *rand.Rand
	account string
	region  string
	time    time.Time // of the record being made
	who     identity  // who calls in the record being made
	people  []identity
	bucket  string // of the record being made, as object and model
	object  string
	model   string
	total   int // sum of the templates' weights
	b       []byte
}

// identity is a caller: its userIdentity as JSON and what depends on it.
type identity struct {
	json, arn, agent, address string
}

func newGenerator(seed, file uint64) *generator {
	g := &generator{rnd: rand.New(rand.NewPCG(seed, file+2))}
	g.account, g.region = g.pick(accounts), g.pick(regions)
	for _, t := range templates {
		g.total += t.weight
	}
	return g
}

func (g *generator) pick(list []string) string { return list[g.rnd.IntN(len(list))] }

// body returns a log file of n records from begin on and how many of them are AI services'.
func (g *generator) body(n int, begin time.Time) ([]byte, int) {
	g.time = begin
	for range 6 {
		g.people = append(g.people, g.user(), g.session())
	}
	g.b = append(g.b, `{"Records":[`...)
	ai := 0
	for i := 0; i < n; i++ {
		if i > 0 {
			g.b = append(g.b, ',')
		}
		t := g.template()
		g.time = begin.Add(time.Duration(i) * 4 * time.Minute / time.Duration(n)).Truncate(time.Second)
		g.who = g.people[g.rnd.IntN(len(g.people))]
		g.choose()
		request := g.text("{uuid}")
		g.record(t, request)
		if t.ai {
			ai++
		}
		if t.completion && i+1 < n {
			i++
			ai++
			g.b = append(g.b, ',')
			g.completionRecord(t, request)
		}
	}
	return append(g.b, `]}`...), ai
}

func (g *generator) template() *template {
	n := g.rnd.IntN(g.total)
	for i := range templates {
		if n -= templates[i].weight; n < 0 {
			return &templates[i]
		}
	}
	return &templates[0]
}

// record appends one record, its members in AWS's order.
func (g *generator) record(t *template, request string) {
	who := g.who
	if t.service {
		caller := g.pick(callers)
		who = identity{json: `{"type":"AWSService","invokedBy":"` + caller + `"}`, agent: caller, address: caller}
	}
	g.add(`{"eventVersion":"1.11","userIdentity":`, who.json, `,"eventTime":"`, g.time.Format(time.RFC3339), `","eventSource":"`, t.source,
		`","eventName":"`, t.name, `","awsRegion":"`, g.region, `","sourceIPAddress":"`, who.address, `","userAgent":"`, who.agent, `"`)
	failed := !t.service && g.rnd.IntN(100) < 9
	if failed {
		f := failures[g.rnd.IntN(len(failures))]
		message := strings.ReplaceAll(f.message, "{action}", strings.TrimSuffix(t.source, ".amazonaws.com")+":"+t.name)
		g.add(`,"errorCode":"`, f.code, `","errorMessage":"`)
		g.fill(strings.ReplaceAll(message, "{arn}", who.arn))
		g.add(`"`)
	}
	g.member("requestParameters", t.request, true)
	response := t.response
	if failed {
		response = ""
	}
	g.member("responseElements", response, true)
	g.member("additionalEventData", t.additional, false)
	g.add(`,"requestID":"`, request, `","eventID":"`)
	g.fill("{uuid}")
	g.add(`","readOnly":`, strconv.FormatBool(t.readOnly))
	g.member("resources", t.resources, false)
	g.add(`,"eventType":"AwsApiCall","managementEvent":`, strconv.FormatBool(!t.data), `,"recipientAccountId":"`, g.account, `"`)
	if t.service {
		g.member("sharedEventID", `"{uuid}"`, false)
	}
	g.add(`,"eventCategory":"`, map[bool]string{true: "Data", false: "Management"}[t.data], `"`)
	if t.host != "" && !t.service {
		g.member("tlsDetails", `{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"`+t.host+`"}`, false)
	}
	g.add(`}`)
}

// completionRecord appends the record that AWS writes at the end of a stream: the same call, with the tokens.
func (g *generator) completionRecord(t *template, parent string) {
	g.add(`{"eventVersion":"1.11","userIdentity":`, g.who.json, `,"eventTime":"`, g.time.Format(time.RFC3339), `","eventSource":"`, t.source,
		`","eventName":"`, t.name, `","awsRegion":"`, g.region, `","sourceIPAddress":"`, g.who.address, `","userAgent":"`, g.who.agent, `"`)
	g.fill(`,"requestID":"{uuid}","eventID":"{uuid}","readOnly":true,"eventType":"AwsServiceEvent","recipientAccountId":"{account}"`)
	g.add(`,"serviceEventDetails":{"parentRequestId":"`, parent, `"`)
	g.fill(`,"AdditionalEventData":{"additionalEntries":{"inferenceRegion":"{region}","inputTokens":{n10-20000},"outputTokens":{n1-4000}}}}`)
	g.member("resources", modelResource, false)
	g.add(`}`)
}

func (g *generator) add(parts ...string) {
	for _, p := range parts {
		g.b = append(g.b, p...)
	}
}

// member appends a member made from a template's text; without text it is null, or left out.
func (g *generator) member(name, text string, orNull bool) {
	if text == "" && !orNull {
		return
	}
	if text == "" {
		text = "null"
	}
	g.add(`,"`, name, `":`)
	g.fill(text)
}

func (g *generator) user() identity {
	name := g.pick(users)
	arn := "arn:aws:iam::" + g.account + ":user/" + name
	return identity{
		json: g.text(`{"type":"IAMUser","principalId":"AIDA{id17}","arn":"` + arn + `","accountId":"{account}","accessKeyId":"AKIA{id16}","userName":"` + name + `"}`),
		arn:  arn, agent: g.pick(userAgents), address: g.text("203.0.113.{n1-254}"),
	}
}

func (g *generator) session() identity {
	role, session := g.pick(roles), g.pick(sessions)
	id := g.text("AROA{id17}")
	arn := "arn:aws:sts::" + g.account + ":assumed-role/" + role + "/" + session
	return identity{
		json: g.text(`{"type":"AssumedRole","principalId":"` + id + `:` + session + `","arn":"` + arn + `","accountId":"{account}","accessKeyId":"ASIA{id16}","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"` + id +
			`","arn":"arn:aws:iam::{account}:role/` + role + `","accountId":"{account}","userName":"` + role + `"},"webIdFederationData":{},"attributes":{"creationDate":"{clock}","mfaAuthenticated":"false"}}}`),
		arn: arn, agent: g.pick(userAgents), address: g.text("198.51.100.{n1-254}"),
	}
}

// text returns a template's text with its braces filled.
func (g *generator) text(t string) string {
	mark := len(g.b)
	g.fill(t)
	s := string(g.b[mark:])
	g.b = g.b[:mark]
	return s
}

// fill appends a template's text. A brace that doesn't open a known word is text: templates are JSON.
func (g *generator) fill(t string) {
	for {
		i := strings.IndexByte(t, '{')
		if i < 0 {
			g.b = append(g.b, t...)
			return
		}
		g.b = append(g.b, t[:i]...)
		end := strings.IndexByte(t[i:], '}')
		if end > 0 && g.word(t[i+1:i+end]) {
			t = t[i+end+1:]
			continue
		}
		g.b = append(g.b, '{')
		t = t[i+1:]
	}
}

// word appends what a word in braces stands for and reports whether it is one.
func (g *generator) word(w string) bool {
	switch w {
	case "account":
		g.add(g.account)
	case "region":
		g.add(g.region)
	case "bucket":
		g.add(g.bucket)
	case "object":
		g.add(g.object)
	case "model":
		g.add(g.model)
	case "user":
		g.add(g.pick(users))
	case "role":
		g.add(g.pick(roles))
	case "session":
		g.add(g.pick(sessions))
	case "word":
		g.add(g.pick(words))
	case "key":
		g.add("dad21b23-9915-42bd-981b-2a9f3c8f2", strconv.Itoa(100+g.rnd.IntN(20)))
	case "clock":
		g.b = g.time.Add(-time.Duration(g.rnd.IntN(3600))*time.Second).AppendFormat(g.b, time.RFC3339)
	case "uuid":
		g.uuid()
	default:
		return g.random(w)
	}
	return true
}

// choose sets what is the same throughout a record.
func (g *generator) choose() {
	g.bucket = "example-" + g.account + "-" + words[g.rnd.IntN(6)]
	g.model = g.pick(models)
	g.object = g.text("{word}/{word}/{hex16}.parquet")
}

func (g *generator) uuid() {
	const form = "xxxxxxxx-xxxx-4xxx-axxx-xxxxxxxxxxxx"
	bits := g.rnd.Uint64()
	for i := range len(form) {
		if i == 16 {
			bits = g.rnd.Uint64()
		}
		if form[i] != 'x' {
			g.b = append(g.b, form[i])
			continue
		}
		g.b = append(g.b, "0123456789abcdef"[bits&15])
		bits >>= 4
	}
}

// random appends random text of the kinds hex16, alnum6, id16, b64:76 (so many characters) and n0-255 (a number).
func (g *generator) random(w string) bool {
	for prefix, alphabet := range alphabets {
		if rest, ok := strings.CutPrefix(w, prefix); ok {
			n, err := strconv.Atoi(rest)
			for range n {
				g.b = append(g.b, alphabet[g.rnd.IntN(len(alphabet))])
			}
			return err == nil
		}
	}
	low, high, ok := strings.Cut(strings.TrimPrefix(w, "n"), "-")
	from, err1 := strconv.Atoi(low)
	to, err2 := strconv.Atoi(high)
	if !ok || err1 != nil || err2 != nil {
		return false
	}
	g.b = strconv.AppendInt(g.b, int64(from+g.rnd.IntN(to-from+1)), 10)
	return true
}

// alphabets are the random texts that templates can ask for.
var alphabets = map[string]string{
	"hex":   "0123456789abcdef",
	"alnum": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
	"id":    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
	"b64:":  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
}
