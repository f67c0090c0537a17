package ai

import (
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
)

// arnOf is an ARN of a kind of resource in the call's account and Region, such as the shape allows: with the resource's
// part in one of the usual forms, or else as the pattern has it. own "" invents the id.
func (c *call) arnOf(s *smithy.Shape, kind, own string, seed uint64) string {
	if kind == "" {
		kind = "Resource"
	}
	if own == "" {
		own = id(10, lowerDigits, c.ID, kind)
		if u := uuid(c.ID, kind); s != nil && s.Allows(c.arn(kebab(kind)+"/"+u)) {
			own = u
		}
	}
	dashed, camel := kebab(kind), smithy.LowerFirst(kind)
	forms := []string{dashed + "/" + own, camel + "/" + own, strings.ToLower(kind) + "/" + own, dashed + ":" + own, camel + ":" + own, own}
	if s == nil {
		return c.arn(forms[0])
	}
	for _, f := range forms {
		if arn := c.arn(f); s.Allows(arn) {
			return arn
		}
	}
	sampled, ok := s.SampleWith("arn:", seed)
	parts := strings.SplitN(sampled, ":", 6)
	if !ok || len(parts) < 6 || parts[0] != "arn" {
		return c.arn(forms[0])
	}
	for _, change := range []struct {
		at   int
		text string
	}{
		{1, "aws"}, {3, c.Region}, {4, c.Account},
		{5, parts[5][:strings.LastIndexAny(parts[5], "/:")+1] + own},
	} {
		old := parts[change.at]
		if old == "" && change.at > 1 {
			continue
		}
		parts[change.at] = change.text
		if !s.Allows(strings.Join(parts, ":")) {
			parts[change.at] = old
		}
	}
	return strings.Join(parts, ":")
}

// newARN is the ARN of a new resource. Versions have the one of what they are a version of, with the number behind it
// where the API's pattern leaves room for that.
func (c *call) newARN(k *noun, r *resource) string {
	s := k.member(k.isARN)
	if s != nil && k.versions() && r.Parent != "" {
		of := k.name[:len(k.name)-len("version")]
		for _, form := range []string{r.Parent + "/version/" + r.own(), r.Parent + "/" + r.own(), r.Parent + ":" + r.own(), r.Parent} {
			if arn := c.arnOf(s, of, form, hash(c.ID, k.name)); strings.HasSuffix(arn, form) {
				return arn
			}
		}
	}
	arn := c.arnOf(s, k.name, r.own(), hash(c.ID, k.name))
	if at := strings.LastIndexByte(arn, ':') + 1; s != nil && r.Parent != "" {
		segments := strings.Split(arn[at:], "/")
		if len(segments) > 2 { // "bucket/…/index/own"
			segments[1] = r.Parent
			if inside := arn[:at] + strings.Join(segments, "/"); s.Allows(inside) {
				return inside
			}
		}
	}
	return arn
}

// allowed is an ARN, or where a shape doesn't allow it one for the same resource that it does.
func (c *call) allowed(s *smithy.Shape, arn, kind, own string) string {
	if s.Allows(arn) {
		return arn
	}
	return c.arnOf(s, kind, own, hash(arn))
}

// tail is the id at the end of an ARN; anything else is itself.
func tail(identifier string) string {
	if !strings.HasPrefix(identifier, "arn:") {
		return identifier
	}
	return identifier[strings.LastIndexAny(identifier, "/:")+1:]
}
