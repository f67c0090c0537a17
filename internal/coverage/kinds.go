package coverage

import (
	"path"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/catalog"
	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// A Kind is a kind of events of an AI service that selectors choose or leave as a whole.
type Kind struct {
	Service  string // the service's key in the catalog
	Category string // Management, Data or NetworkActivity
	ReadOnly bool   // of management events: reads, or writes
	Type     string // of data events: the resource type
	Source   string // of network activity events: the event source
	sources  []string
	name     string // of the one operation that is meant; "" for all
}

// Name names the kind among those of its service.
func (k *Kind) Name() string {
	switch {
	case k.Category == cloudtrail.CategoryData:
		return k.Type
	case k.Category == cloudtrail.CategoryNetwork:
		return "network activity of " + k.Source
	case k.ReadOnly:
		return "management reads"
	default:
		return "management writes"
	}
}

// Kinds returns the kinds of events of the services and operations that two patterns choose (* stands for any characters;
// "" chooses all), in the order of the catalog. Operations whose category isn't known may be of any kind of their service.
func Kinds(service, operation string) []Kind {
	var all []Kind
	services := catalog.Services()
	for i := range services {
		if s := &services[i]; matches(service, s.Key) {
			all = append(all, kindsOf(s, operation)...)
		}
	}
	return all
}

func kindsOf(s *catalog.Service, operation string) []Kind {
	var reads, writes, any bool
	types := map[string]bool{}
	name, named := "", 0
	for i := range s.Operations {
		op := &s.Operations[i]
		if !matches(operation, op.Name) {
			continue
		}
		if op.Name != name {
			name, named = op.Name, named+1
		}
		sure := op.ReadOnlyGrounding <= catalog.Observed
		switch op.Category {
		case catalog.Data:
		case catalog.CategoryUnknown:
			any = any || operation != ""
			fallthrough
		default:
			reads = reads || op.ReadOnly || !sure && operation != ""
			writes = writes || !op.ReadOnly || !sure && operation != ""
		}
		for _, t := range op.DataTypes {
			if op.Category == catalog.Data || any {
				types[t] = true
			}
		}
	}
	if named != 1 || operation == "" {
		name = ""
	}
	var kinds []Kind
	add := func(k Kind) {
		k.Service, k.sources, k.name = s.Key, s.EventSources, name
		kinds = append(kinds, k)
	}
	if reads {
		add(Kind{Category: cloudtrail.CategoryManagement, ReadOnly: true})
	}
	if writes {
		add(Kind{Category: cloudtrail.CategoryManagement})
	}
	for _, t := range s.DataTypes {
		if operation == "" || any || types[t.Type] {
			add(Kind{Category: cloudtrail.CategoryData, Type: t.Type})
		}
	}
	if named == 0 && operation != "" {
		return nil
	}
	for _, source := range s.NetworkSources {
		add(Kind{Category: cloudtrail.CategoryNetwork, Source: source})
	}
	return kinds
}

// matches tells whether a text is what a pattern says; * stands for any characters, "" for any text.
func matches(pattern, text string) bool {
	if pattern == "" || pattern == text {
		return true
	}
	if !strings.Contains(pattern, "*") {
		return false
	}
	// path.Match knows more than *, and no * that stands for a slash.
	escaped := strings.NewReplacer(`\`, `\\`, `?`, `\?`, `[`, `\[`, `/`, "\x00").Replace(pattern)
	ok, err := path.Match(escaped, strings.ReplaceAll(text, "/", "\x00"))
	return ok && err == nil
}

// Extent is how many events of a kind selectors choose.
type Extent uint8

// The extents.
const (
	None Extent = iota
	Some
	All
)

// historyExtent tells how many events of a kind the event history has: management events. Of reads AWS says both, that it
// has them (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/view-cloudtrail-events.html) and that only a trail has
// all (https://aws.amazon.com/cloudtrail/faqs/).
func historyExtent(k *Kind) Extent {
	switch {
	case k.Category != cloudtrail.CategoryManagement:
		return None
	case k.ReadOnly:
		return Some
	}
	return All
}

// extent tells how many events of a kind selectors choose.
func extent(s cloudtrail.Selectors, k *Kind) Extent {
	readOnly := []bool{k.ReadOnly}
	if k.Category != cloudtrail.CategoryManagement {
		readOnly = []bool{true, false}
	}
	sources := k.sources
	if k.Source != "" {
		sources = []string{k.Source}
	}
	least, most := All, None
	for _, source := range sources {
		for _, r := range readOnly {
			e := None
			switch {
			case len(s.Advanced) > 0:
				for i := range s.Advanced {
					e = max(e, advanced(&s.Advanced[i], k, source, r))
				}
			case len(s.Basic) > 0:
				for i := range s.Basic {
					e = max(e, basic(&s.Basic[i], k, source, r))
				}
			case k.Category == cloudtrail.CategoryManagement:
				e = All
			}
			least, most = min(least, e), max(most, e)
		}
	}
	if least == most {
		return least
	}
	return Some
}

func basic(s *cloudtrail.EventSelector, k *Kind, source string, readOnly bool) Extent {
	if s.ReadWriteType == "ReadOnly" && !readOnly || s.ReadWriteType == "WriteOnly" && readOnly {
		return None
	}
	switch k.Category {
	case cloudtrail.CategoryManagement:
		if (s.IncludeManagementEvents == nil || *s.IncludeManagementEvents) && !slices.Contains(s.ExcludeManagementEventSources, source) {
			return All
		}
	case cloudtrail.CategoryData:
		if slices.ContainsFunc(s.DataResources, func(d cloudtrail.DataResource) bool { return d.Type == k.Type && len(d.Values) > 0 }) {
			return Some
		}
	}
	return None
}

// advanced looks at each condition: what isn't known of all events of the kind is met by some.
func advanced(s *cloudtrail.AdvancedEventSelector, k *Kind, source string, readOnly bool) Extent {
	e := All
	for i := range s.FieldSelectors {
		f := &s.FieldSelectors[i]
		var value string
		switch f.Field {
		case "eventCategory":
			value = k.Category
		case "eventSource":
			value = source
		case "resources.type":
			value = k.Type
		case "eventName":
			value = k.name
		case "readOnly":
			value = "false"
			if readOnly {
				value = "true"
			}
		}
		switch {
		case value == "":
			e = min(e, Some)
		case !f.Holds([]string{value}):
			return None
		}
	}
	return e
}
