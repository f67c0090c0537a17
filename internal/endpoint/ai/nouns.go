package ai

import (
	"sort"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
)

// noun is a kind of resource as the names of an API's operations tell: CreateBot, DescribeBot, ListBots, UpdateBot and
// DeleteBot are about a Bot.
type noun struct {
	name  string // "BotAlias"
	lower string
	made  []string // the operations that make one
	about []*smithy.Operation
}

// role is what an operation does with a resource.
type role int

const (
	none role = iota
	makes
	puts // makes it or changes it
	reads
	lists
	changes
	removes
	stops
)

// part is an operation's place in the life of a resource.
type part struct {
	*noun
	role role
}

// nouns is all kinds of resources of an API.
type nouns struct {
	byName map[string]*noun // by lower-case name
	parts  map[string]part  // by operation
}

// verbs, by what they do. A resource has to be made by one of the API's own operations.
var verbs = map[string]role{
	"Create": makes, "Start": makes, "Register": makes, "Submit": makes, "Import": makes, "Add": makes, "Associate": makes,
	"Copy": makes, "Build": makes, "Put": puts,
	"Get": reads, "Describe": reads, "List": lists,
	"Update": changes, "Modify": changes,
	"Delete": removes, "Deregister": removes, "Remove": removes, "Disassociate": removes,
	"Stop": stops, "Cancel": stops,
}

// splitName parts an operation's name into its verb and the rest.
func splitName(name string) (verb, rest string) {
	for i := 1; i < len(name); i++ {
		if name[i] >= 'A' && name[i] <= 'Z' {
			return name[:i], name[i:]
		}
	}
	return name, ""
}

// singulars are what a plural may be the plural of.
func singulars(plural string) []string {
	list := []string{}
	for _, end := range [][2]string{{"ies", "y"}, {"Indices", "Index"}, {"Analyses", "Analysis"}, {"s", ""}, {"es", ""}, {"Summaries", ""}, {"List", ""}} {
		if stem, ok := strings.CutSuffix(plural, end[0]); ok {
			list = append(list, stem+end[1])
		}
	}
	return list
}

func readNouns(m *smithy.Model) *nouns {
	n := &nouns{byName: map[string]*noun{}, parts: map[string]part{}}
	names := make([]string, 0, len(m.Operations))
	for name := range m.Operations {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		verb, rest := splitName(name)
		if r := verbs[verb]; (r == makes || r == puts) && rest != "" && rest != "Tags" {
			n.add(base(m, rest), name, r, m.Operations[name])
		}
	}
	for _, name := range names {
		verb, rest := splitName(name)
		switch r := verbs[verb]; r {
		case makes, puts:
			if k := n.byName[strings.ToLower(base(m, rest))]; k != nil && verb != "Create" && m.Operations["Create"+k.name] != nil {
				n.parts[name] = part{k, changes} // starting or building what was created
			}
		case reads, changes, removes, stops:
			if verb != "Delete" && r == removes && m.Operations["Delete"+rest] != nil {
				r = changes
			}
			if k := n.byName[strings.ToLower(rest)]; k != nil {
				n.add(rest, name, r, m.Operations[name])
			} else if r == reads {
				n.addList(m, name, rest)
			}
		case lists:
			n.addList(m, name, rest)
		}
	}
	for key, k := range n.byName {
		if len(k.about) == len(k.made) { // nothing else is ever done with it
			delete(n.byName, key)
			for _, name := range k.made {
				delete(n.parts, name)
			}
		}
	}
	return n
}

// base is what a name of something made is a way of making: "DataSourceFromS3" is a DataSource.
func base(m *smithy.Model, name string) string {
	for _, by := range []string{"From", "With", "By", "Using", "For"} {
		stem, _, ok := strings.Cut(name, by)
		if ok && stem != "" && (m.Operations["Get"+stem] != nil || m.Operations["Describe"+stem] != nil || m.Operations["Delete"+stem] != nil) {
			return stem
		}
	}
	return name
}

func (n *nouns) add(name, operation string, r role, op *smithy.Operation) {
	lower := strings.ToLower(name)
	k := n.byName[lower]
	if k == nil {
		k = &noun{name: name, lower: lower}
		n.byName[lower] = k
	}
	if r == makes || r == puts {
		k.made = append(k.made, operation)
	}
	k.about = append(k.about, op)
	n.parts[operation] = part{k, r}
}

func (n *nouns) addList(m *smithy.Model, operation, plural string) {
	for _, s := range singulars(plural) {
		k := n.byName[strings.ToLower(s)]
		if k == nil {
			continue
		}
		if k.items(m.Operations[operation].Output) != nil {
			n.add(k.name, operation, lists, m.Operations[operation])
			return
		}
	}
}

// items is the member of a list operation's output that holds the resources: a list of structures that name a
// resource, or of texts.
func (k *noun) items(output *smithy.Shape) (member *smithy.Member) {
	if output == nil {
		return nil
	}
	for i := range output.Members {
		m := &output.Members[i]
		if m.Shape.Type != "list" || m.Shape.Item == nil {
			continue
		}
		if m.Shape.Item.Type == "string" || k.names(m.Shape.Item) {
			if member == nil || strings.Contains(strings.ToLower(m.Name), k.lower) {
				member = m
			}
		}
	}
	return member
}

// names tells whether a structure has a member that names one of the kind.
func (k *noun) names(s *smithy.Shape) bool {
	if s.Type != "structure" || s.EventStream {
		return false
	}
	for i := range s.Members {
		if l := strings.ToLower(s.Members[i].Name); s.Members[i].Shape.Type == "string" && (k.isID(l) || k.isARN(l) || k.isName(l)) {
			return true
		}
	}
	return false
}

// isID, isARN and isName tell whether a member, its name in lower case, is the kind's own: "id", "botAliasId",
// "aliasId" and "botAlias" are a BotAlias's.
func (k *noun) isID(member string) bool {
	if k.versions() && member == "id" {
		return false // of what it is a version of
	}
	return member == k.lower || k.is(member, "id") || k.is(member, "identifier") || member == "version" && k.versions()
}

func (k *noun) isARN(member string) bool { return k.is(member, "arn") }

func (k *noun) isName(member string) bool { return k.is(member, "name") }

// versions tells whether the kind is versions of another, which are numbered.
func (k *noun) versions() bool { return strings.HasSuffix(k.lower, "version") }

func (k *noun) is(member, end string) bool {
	s, ok := strings.CutSuffix(member, end)
	return ok && strings.HasSuffix(k.lower, s)
}

// owns tells whether a member is one by which the kind's resources are found.
func (k *noun) owns(member string) bool {
	member = strings.ToLower(member)
	return k.isID(member) || k.isARN(member) || k.isName(member)
}

// member finds the shape of the kind's own id, ARN or name in what its operations take and answer.
func (k *noun) member(is func(string) bool) *smithy.Shape {
	for _, op := range k.about {
		for _, s := range []*smithy.Shape{op.Output, op.Input} {
			if found := within(s, is, 0); found != nil {
				return found
			}
		}
	}
	return nil
}

func within(s *smithy.Shape, is func(string) bool, depth int) *smithy.Shape {
	if s == nil || depth > 1 {
		return nil
	}
	for i := range s.Members {
		if m := &s.Members[i]; m.Shape.Type == "string" && is(strings.ToLower(m.Name)) {
			return m.Shape
		}
	}
	for i := range s.Members {
		if m := &s.Members[i]; m.Shape.Type == "structure" && !m.Shape.EventStream {
			if found := within(m.Shape, is, depth+1); found != nil {
				return found
			}
		}
	}
	return nil
}

// stem is the noun that a member such as "botAliasId" refers to, in lower case; "" when it refers to none.
func stem(member string) string {
	member = strings.ToLower(member)
	for _, end := range []string{"identifier", "id", "arn", "name"} {
		if s, ok := strings.CutSuffix(member, end); ok {
			return s
		}
	}
	return ""
}

// refers tells whether a member's name is that of an id, an ARN or a name.
func refers(member string) bool {
	member = strings.ToLower(member)
	for _, end := range []string{"identifier", "id", "arn", "name"} {
		if strings.HasSuffix(member, end) {
			return true
		}
	}
	return false
}

// kebab is a name as ARNs have it: "BotAlias" becomes "bot-alias".
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if r >= 'A' && r <= 'Z' {
			if i > 0 && (name[i-1] < 'A' || name[i-1] > 'Z') {
				b.WriteByte('-')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
