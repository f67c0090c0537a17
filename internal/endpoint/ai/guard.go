package ai

import (
	"regexp"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
)

// verdict is what a guardrail makes of a text.
type verdict struct {
	guardrail  *resource
	intervened bool
	blocked    bool
	output     string // the text to go on with: masked, or the guardrail's own message
	assessment obj
	units      obj
}

// grounding is what contextual grounding holds a text against.
type grounding struct{ query, source string }

// judge runs a guardrail's policies over a text. side is "input" or "output".
func (r *resource) judge(side, subject string, g grounding) verdict {
	v := verdict{guardrail: r, output: subject, assessment: obj{}, units: obj{}}
	e := &evaluation{side: side, subject: subject, v: &v}
	e.topics(object(r.Config, "topicPolicyConfig"))
	e.content(object(r.Config, "contentPolicyConfig"))
	e.words(object(r.Config, "wordPolicyConfig"))
	e.sensitive(object(r.Config, "sensitiveInformationPolicyConfig"))
	if side == "output" {
		e.grounded(object(r.Config, "contextualGroundingPolicyConfig"), g)
	}
	if v.blocked {
		v.output = text(r.Config, map[string]string{"input": "blockedInputMessaging", "output": "blockedOutputsMessaging"}[side])
	}
	return v
}

type evaluation struct {
	side, subject string
	v             *verdict
}

// on tells whether a filter applies to this side, and what it does when it finds something.
func (e *evaluation) on(filter any, byDefault string) (action string, ok bool) {
	if enabled, set := at(filter, e.side+"Enabled").(bool); set && !enabled {
		return "", false
	}
	action = byDefault
	if a := text(filter, "action"); a != "" {
		action = a
	}
	if a := text(filter, e.side+"Action"); a != "" {
		action = a
	}
	return action, true
}

// did counts what a filter found and returns the action as assessments name it.
func (e *evaluation) did(action string) string {
	switch action {
	case "NONE":
		return "NONE"
	case "ANONYMIZE":
		e.v.intervened = true
		return "ANONYMIZED"
	default:
		e.v.intervened, e.v.blocked = true, true
		return "BLOCKED"
	}
}

func (e *evaluation) put(policy, name string, found []any) {
	if len(found) == 0 {
		return
	}
	o, ok := e.v.assessment[policy].(obj)
	if !ok {
		o = obj{}
		switch policy { // both lists are there when one is
		case "wordPolicy":
			o["customWords"], o["managedWordLists"] = []any{}, []any{}
		case "sensitiveInformationPolicy":
			o["piiEntities"], o["regexes"] = []any{}, []any{}
		}
		e.v.assessment[policy] = o
	}
	o[name] = found
}

// used notes the text units of a policy: a thousand characters each.
func (e *evaluation) used(policy obj, unit string) bool {
	if policy == nil {
		return false
	}
	e.v.units[unit] = (len([]rune(e.subject)) + 999) / 1000
	return true
}

// topicSimilarity is how much of a topic's example or name a text must share to be about the topic.
const topicSimilarity = 0.75

func (e *evaluation) topics(policy obj) {
	if !e.used(policy, "topicPolicyUnits") {
		return
	}
	var found []any
	for _, t := range list(policy, "topicsConfig") {
		action, ok := e.on(t, "BLOCK")
		about := prose.Similarity(text(t, "name"), e.subject) >= topicSimilarity
		for _, example := range texts(t, "examples") {
			about = about || prose.Similarity(example, e.subject) >= topicSimilarity
		}
		if ok && about {
			found = append(found, obj{"name": text(t, "name"), "type": "DENY", "action": e.did(action), "detected": true})
		}
	}
	e.put("topicPolicy", "topics", found)
}

func (e *evaluation) content(policy obj) {
	if !e.used(policy, "contentPolicyUnits") {
		return
	}
	harm := prose.Harm(e.subject)
	levels := []string{"NONE", "LOW", "MEDIUM", "HIGH"}
	var found []any
	for _, f := range list(policy, "filtersConfig") {
		kind, strength := text(f, "type"), text(f, e.side+"Strength")
		confidence := harm[kind]
		action, ok := e.on(f, "BLOCK")
		// A filter of strength HIGH acts on low confidence already, one of strength LOW on high confidence only.
		if !ok || confidence == "" || slices.Index(levels, strength)+slices.Index(levels, confidence) < len(levels) {
			continue
		}
		found = append(found, obj{"type": kind, "confidence": confidence, "filterStrength": strength, "action": e.did(action), "detected": true})
	}
	e.put("contentPolicy", "filters", found)
}

func (e *evaluation) words(policy obj) {
	if !e.used(policy, "wordPolicyUnits") {
		return
	}
	var custom, managed []any
	for _, w := range list(policy, "wordsConfig") {
		action, ok := e.on(w, "BLOCK")
		if match := containsWord(e.subject, text(w, "text")); ok && match != "" {
			custom = append(custom, obj{"match": match, "action": e.did(action), "detected": true})
		}
	}
	for _, l := range list(policy, "managedWordListsConfig") {
		action, ok := e.on(l, "BLOCK")
		for _, w := range prose.Profanity {
			if match := containsWord(e.subject, w); ok && match != "" {
				managed = append(managed, obj{"match": match, "type": "PROFANITY", "action": e.did(action), "detected": true})
			}
		}
	}
	e.put("wordPolicy", "customWords", custom)
	e.put("wordPolicy", "managedWordLists", managed)
}

func containsWord(subject, word string) string {
	if word == "" {
		return ""
	}
	re, err := regexp.Compile(`(?i)(?:^|[^\pL\pN])(` + regexp.QuoteMeta(word) + `)(?:$|[^\pL\pN])`)
	if err != nil {
		return ""
	}
	if m := re.FindStringSubmatch(subject); m != nil {
		return m[1]
	}
	return ""
}

func (e *evaluation) sensitive(policy obj) {
	if policy == nil {
		return
	}
	var entities, regexes []any
	if configured := list(policy, "piiEntitiesConfig"); len(configured) > 0 {
		e.used(policy, "sensitiveInformationPolicyUnits")
		personal := prose.PII(e.subject)
		for _, p := range configured {
			action, ok := e.on(p, "BLOCK")
			for _, f := range personal {
				if ok && f.Type == text(p, "type") {
					entities = append(entities, obj{"match": f.Text, "type": f.Type, "action": e.did(action), "detected": true})
					e.mask(action, f.Text, f.Type)
				}
			}
		}
	}
	for _, r := range list(policy, "regexesConfig") {
		e.v.units["sensitiveInformationPolicyFreeUnits"] = (len([]rune(e.subject)) + 999) / 1000
		action, ok := e.on(r, "BLOCK")
		re, err := regexp.Compile(text(r, "pattern"))
		if err != nil || !ok {
			continue
		}
		for _, match := range re.FindAllString(e.subject, -1) {
			if match == "" {
				continue
			}
			regexes = append(regexes, obj{"name": text(r, "name"), "match": match, "regex": text(r, "pattern"), "action": e.did(action), "detected": true})
			e.mask(action, match, text(r, "name"))
		}
	}
	e.put("sensitiveInformationPolicy", "piiEntities", entities)
	e.put("sensitiveInformationPolicy", "regexes", regexes)
}

func (e *evaluation) mask(action, match, name string) {
	if action == "ANONYMIZE" {
		e.v.output = strings.ReplaceAll(e.v.output, match, "{"+name+"}")
	}
}

func (e *evaluation) grounded(policy obj, g grounding) {
	if g.source == "" || !e.used(policy, "contextualGroundingPolicyUnits") {
		return
	}
	var found []any
	for _, f := range list(policy, "filtersConfig") {
		if enabled, set := at(f, "enabled").(bool); set && !enabled {
			continue
		}
		score := prose.Similarity(e.subject, g.source)
		if text(f, "type") == "RELEVANCE" {
			score = prose.Similarity(g.query, e.subject)
		}
		threshold, _ := at(f, "threshold").(float64)
		action := "NONE"
		if score < threshold {
			if action = text(f, "action"); action == "" {
				action = "BLOCK"
			}
			action = e.did(action)
		}
		found = append(found, obj{"type": text(f, "type"), "threshold": threshold, "score": score, "action": action, "detected": score < threshold})
	}
	e.put("contextualGroundingPolicy", "filters", found)
}

// usage is the text units of an evaluation, as answers count them.
func (v *verdict) usage() obj {
	out := obj{}
	for _, unit := range []string{"topicPolicyUnits", "contentPolicyUnits", "wordPolicyUnits", "sensitiveInformationPolicyUnits",
		"sensitiveInformationPolicyFreeUnits", "contextualGroundingPolicyUnits"} {
		out[unit] = whole(v.units, 0, unit)
	}
	return out
}

// applyGuardrail serves ApplyGuardrail.
func (b *backend) applyGuardrail(c *call) (obj, error) {
	r, err := b.guardrail(c, text(c.in, "guardrailIdentifier"), text(c.in, "guardrailVersion"))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, noGuardrail()
	}
	var g grounding
	var guarded []string
	for _, block := range list(c.in, "content") {
		part := text(block, "text", "text")
		qualifiers := texts(block, "text", "qualifiers")
		if slices.Contains(qualifiers, "grounding_source") {
			g.source += part + "\n"
		}
		if slices.Contains(qualifiers, "query") {
			g.query += part + "\n"
		}
		if len(qualifiers) == 0 || slices.Contains(qualifiers, "guard_content") {
			guarded = append(guarded, part)
		}
	}
	subject := strings.Join(guarded, "\n")
	v := r.judge(strings.ToLower(text(c.in, "source")), subject, g)
	characters := len([]rune(subject))
	coverage := obj{"textCharacters": obj{"guarded": characters, "total": characters}}
	out := obj{"usage": v.usage(), "action": "NONE", "outputs": []any{}, "guardrailCoverage": coverage}
	if v.intervened {
		out["action"] = "GUARDRAIL_INTERVENED"
		out["actionReason"] = "Guardrail blocked."
		if !v.blocked {
			out["actionReason"] = "Guardrail masked."
		}
		out["outputs"] = []any{obj{"text": v.output}}
	} else {
		out["actionReason"] = "No action."
	}
	v.assessment["invocationMetrics"] = obj{"guardrailProcessingLatency": latency(prose.Tokens(subject)), "usage": v.usage(), "guardrailCoverage": coverage}
	out["assessments"] = []any{v.assessment}
	return out, nil
}

// guardrailOf finds the guardrail of an inference request, or nil when it names none.
func (b *backend) guardrailOf(c *call, identifier, version string) (*resource, error) {
	if identifier == "" {
		return nil, nil
	}
	r, err := b.guardrail(c, identifier, version)
	if err == nil && r == nil {
		err = c.invalid("The guardrail identifier or version provided in the request does not exist.")
	}
	return r, err
}
