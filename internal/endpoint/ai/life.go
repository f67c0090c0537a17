package ai

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// make serves the operations that make a resource, or replace one.
func (b *backend) make(c *call, p part) (obj, error) {
	k := p.noun
	r := &resource{Created: c.Time, Updated: c.Time, Config: maps.Clone(c.in), Tags: c.inputTags()}
	own := ""
	for _, is := range []func(string) bool{k.isID, k.isName} {
		for i := range c.op.Input.Members {
			m := &c.op.Input.Members[i]
			v := text(c.in, m.Name)
			if v == "" || m.Token || !is(strings.ToLower(m.Name)) {
				continue
			}
			if !m.Sensitive && !m.Shape.Sensitive { // ids are recorded
				own = first(own, tail(v))
			}
			if k.isName(strings.ToLower(m.Name)) {
				r.Name = v
			}
		}
	}
	place := c.client.name + "/" + k.lower + "/" + c.within(k)
	if s := k.member(k.isID); s != nil && (own == "" || own == r.Name) {
		var err error
		if own, err = b.identity(c, s, k, place); err != nil {
			return nil, err
		}
	}
	own = first(own, id(10, lowerDigits, c.ID, k.name))
	r.Config[ownKey] = own
	r.ID, r.Parent = place+own, last(strings.TrimSuffix(c.within(k), "/"))
	r.ARN = c.newARN(k, r)
	old, err := b.existing(c, k, r)
	if err != nil {
		return nil, err
	}
	if old != nil && p.role == makes {
		if e := code(c.op, conflict); e != "" {
			return nil, c.fails(e, "%s", k.name+" "+own+" already exists.")
		}
	}
	if old != nil {
		return b.edit(c, k, old)
	}
	if _, err := b.create(c, made, r); err != nil {
		return nil, err
	}
	f := c.filler(k, r)
	f.begun = true
	out := f.output()
	return out, b.learn(c, k, r, out)
}

// learn keeps what an answer said of a resource just made, so that it is known by it.
func (b *backend) learn(c *call, k *noun, r *resource, out obj) error {
	said := obj{}
	for name, v := range out {
		switch v := v.(type) {
		case string:
			said[name] = v
		case map[string]any:
			for name, inner := range v {
				if _, ok := inner.(string); ok && refers(name) {
					said[name] = inner
				}
			}
		}
	}
	_, err := b.change(c, made, r.ID, func(r *resource, _ *state.Tx) error {
		for name, v := range said {
			if _, known := r.Config[name]; known || !refers(name) {
				continue
			}
			r.Config[name] = v
			if r.Name == "" && k.isName(strings.ToLower(name)) {
				r.Name, _ = v.(string)
			}
		}
		return nil
	})
	return err
}

// identity is a new id: the next number for versions.
func (b *backend) identity(c *call, s *smithy.Shape, k *noun, place string) (string, error) {
	if k.versions() {
		all, err := b.all(c, made, place)
		if err != nil {
			return "", err
		}
		for n := len(all) + 1; n < len(all)+100; n++ {
			number := strconv.Itoa(n)
			taken := slices.ContainsFunc(all, func(r *resource) bool { return r.own() == number })
			if !taken && s.Allows(number) {
				return number, nil
			}
		}
	}
	for _, try := range []string{uuid(c.ID, k.name), id(10, upperDigits, c.ID, k.name)} {
		if s.Pattern != "" && s.Allows(try) {
			return try, nil
		}
	}
	text, ok := s.Sample(hash(c.ID, k.name))
	if !ok || len(s.Enum) > 0 {
		text = id(10, lowerDigits, c.ID, k.name)
	}
	return text, nil
}

// within is the ids of the resources that a new one is in, each with a "/" behind it.
func (c *call) within(k *noun) string {
	var b strings.Builder
	for i := range c.op.Input.Members {
		m := &c.op.Input.Members[i]
		if v := text(c.in, m.Name); v != "" && !k.owns(m.Name) && (m.In == "uri" || c.client.nouns.byName[stem(m.Name)] != nil) {
			b.WriteString(tail(v) + "/")
		}
	}
	return b.String()
}

// existing finds the resource that a new one would replace: one with the same name in the same place.
func (b *backend) existing(c *call, k *noun, r *resource) (*resource, error) {
	if old, err := b.get(c, made, r.ID); err != nil || old != nil {
		return old, err
	}
	for name := range c.naming(k) {
		if k.owns(name) {
			return b.lookup(c, k)
		}
	}
	return nil, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// visit serves the operations that read, change or stop one resource.
func (b *backend) visit(c *call, p part) (obj, error) {
	r, err := b.lookup(c, p.noun)
	if err != nil {
		return nil, err
	}
	if r == nil && p.role == reads && c.asksPredefined(p.noun) {
		return c.filler(nil, nil).output(), nil
	}
	if r == nil {
		return nil, c.absent(p.noun)
	}
	if p.role == reads {
		return c.filler(p.noun, r).output(), nil
	}
	if p.role == stops || strings.HasPrefix(c.op.Name, "Start") {
		c.in = with(c.in, obj{stoppedKey: p.role == stops})
	}
	return b.edit(c, p.noun, r)
}

// edit changes a resource by the input.
func (b *backend) edit(c *call, k *noun, r *resource) (obj, error) {
	r, err := b.change(c, made, r.ID, func(r *resource, _ *state.Tx) error {
		for name, v := range c.in {
			if k.owns(name) && !k.isName(strings.ToLower(name)) {
				continue
			}
			r.Config[name] = v
			if s, ok := v.(string); ok && k.isName(strings.ToLower(name)) {
				r.Name = s
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, c.absent(k)
	}
	return c.filler(k, r).output(), nil
}

// discard serves the operations that delete a resource.
func (b *backend) discard(c *call, k *noun) (obj, error) {
	r, err := b.lookup(c, k)
	if err != nil {
		return nil, err
	}
	if r == nil {
		if code(c.op, notFound) == "" {
			return c.filler(nil, nil).output(), nil // deleting what isn't there is no error of the operation's
		}
		return nil, c.absent(k)
	}
	if _, err := b.remove(c, made, r.ID); err != nil {
		return nil, err
	}
	f := c.filler(k, r)
	return f.output(), nil
}

// list serves the operations that list the resources of a kind.
func (b *backend) list(c *call, k *noun) (obj, error) {
	all, err := b.all(c, made, c.client.name+"/"+k.lower+"/")
	if err != nil {
		return nil, err
	}
	given := c.given()
	maps.DeleteFunc(given, func(name, _ string) bool { return strings.Contains(strings.ToLower(name), "token") })
	all = slices.DeleteFunc(all, func(r *resource) bool { return !k.matches(r, given) })
	limit, token, next := c.paging()
	if k.versions() {
		slices.SortStableFunc(all, func(a, b *resource) int { return len(a.ID) - len(b.ID) }) // 9 before 10
	}
	member := k.items(c.op.Output)
	most := 100
	if member.Shape.Max != nil {
		most = min(most, int(*member.Shape.Max))
	}
	if whole(c.in, 0, limit) > most {
		limit = "" // more than an answer can hold
	}
	items, more := page(c, all, most, limit, token, func(r *resource) string { return encodeToken(r.ID) })
	list := make([]any, len(items))
	for i, r := range items {
		f := c.filler(k, r)
		if member.Shape.Item.Type == "string" {
			list[i] = f.mention(member)
		} else {
			list[i] = f.structure(member.Shape.Item, 1, true)
		}
	}
	out := c.filler(nil, nil).output()
	out[member.Name] = list
	if len(list) == 0 && member.Shape.Min != nil && !slices.Contains(c.op.Output.Required, member.Name) {
		delete(out, member.Name)
	}
	if more != "" && next != "" {
		out[next] = more
	}
	return out, nil
}

// mention is how a list of texts names the resource.
func (f *filler) mention(m *smithy.Member) string {
	forms := []string{f.r.own(), f.r.ARN, f.r.Name}
	if l := strings.ToLower(m.Name); strings.Contains(l, "arn") {
		forms[0], forms[1] = forms[1], forms[0]
	} else if strings.Contains(l, "name") {
		forms[0], forms[2] = forms[2], forms[0]
	}
	for _, form := range forms {
		if form != "" && m.Shape.Item.Allows(form) {
			return form
		}
	}
	return f.text(m.Shape.Item, m.Name)
}

// paging names the members by which the operation's lists are cut into pages.
func (c *call) paging() (limit, token, next string) {
	if c.op.Input == nil {
		return "", "", ""
	}
	for i := range c.op.Input.Members {
		switch name := c.op.Input.Members[i].Name; strings.ToLower(name) {
		case "maxresults", "maxitems", "pagesize", "limit", "maxrecords":
			limit = name
		case "nexttoken", "paginationtoken", "marker", "token", "startingtoken":
			token = name
			if m := c.op.Output.Member(name); m != nil {
				next = name
			}
		}
	}
	return limit, token, next
}

// encodeToken is the token of a page that ends with the resource.
func encodeToken(key string) string {
	return id(40, lowerDigits, "page", key)
}
