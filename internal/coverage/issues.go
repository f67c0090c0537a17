package coverage

import (
	"cmp"
	"fmt"
	"slices"
)

// issues gathers what isn't covered.
type issues struct {
	kinds int // that were asked for
	at    map[trouble]*Issue
}

// trouble is why kinds with the same course of events at a place aren't covered.
type trouble struct {
	state State
	note  string
	line  int
}

// add takes in the spans of a kind. Kinds with one course at a place have one line.
func (is *issues) add(p Place, k *Kind, line int, spans []Span) {
	if is.at == nil {
		is.at = map[trouble]*Issue{}
	}
	done := map[trouble]bool{}
	for _, s := range spans {
		if s.State == Covered {
			continue
		}
		t := trouble{s.State, s.Note, line}
		i := is.at[t]
		if i == nil {
			i = &Issue{State: s.State, Note: s.Note, Places: []Place{p}}
			for _, other := range spans {
				n := len(i.Times) - 1
				switch {
				case other.State != s.State || other.Note != s.Note:
				case n >= 0 && i.Times[n].To.Equal(other.From):
					i.Times[n].To = other.To
				default:
					i.Times = append(i.Times, Time{other.From, other.To})
				}
			}
			is.at[t] = i
		}
		if !done[t] {
			done[t] = true
			i.Kinds = append(i.Kinds, k.Service+" "+k.Name())
		}
	}
}

// list puts together what has one cause: first the kinds of a place, then the places with the same kinds.
func (is *issues) list() []Issue {
	kinds := map[string]*Issue{}
	for _, i := range is.at {
		key := fmt.Sprint(i.State, i.Note, i.Places, i.Times)
		if same := kinds[key]; same != nil {
			same.Kinds = append(same.Kinds, i.Kinds...)
		} else {
			kinds[key] = i
		}
	}
	places := map[string]*Issue{}
	for _, i := range kinds {
		slices.Sort(i.Kinds)
		i.All = len(i.Kinds) == is.kinds
		key := fmt.Sprint(i.State, i.Note, i.Kinds, i.Times)
		if same := places[key]; same != nil {
			same.Places = append(same.Places, i.Places...)
		} else {
			places[key] = i
		}
	}
	list := make([]Issue, 0, len(places))
	for _, i := range places {
		slices.SortFunc(i.Places, comparePlaces)
		list = append(list, *i)
	}
	slices.SortFunc(list, func(a, b Issue) int {
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), a.Times[0].From.Compare(b.Times[0].From),
			comparePlaces(a.Places[0], b.Places[0]), cmp.Compare(a.Kinds[0], b.Kinds[0]), cmp.Compare(a.Note, b.Note))
	})
	return list
}

func comparePlaces(a, b Place) int {
	return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region))
}

// rank orders issues: what was lost first, what is only to come last.
func rank(s State) int {
	return slices.Index([]State{Gap, Stopped, NotRecorded, Unknown, Partly, Pending}, s)
}
