package provision

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/aitrail/aitrail/internal/catalog"
)

// UnknownError is a service or data type that the catalog doesn't know.
type UnknownError struct {
	Name, Nearest string // Nearest is "" when none is near
}

func (e *UnknownError) Error() string {
	what := "service"
	if strings.Contains(e.Name, "::") {
		what = "data type"
	}
	text := fmt.Sprintf("the catalog has no %s %q", what, e.Name)
	if e.Nearest != "" {
		text += fmt.Sprintf("; did you mean %q?", e.Nearest)
	}
	return text
}

// DataTypes are the data event types of the services, or of all services where none is named, without those excluded. Services
// are named by their keys in the catalog; of what is excluded also by resources.type values. Its error is an *UnknownError.
func DataTypes(services, exclude []string) ([]string, error) {
	chosen := catalog.DataTypes()
	if len(services) > 0 {
		chosen = nil
		for _, name := range services {
			types, err := typesOf(name)
			if err != nil {
				return nil, err
			}
			chosen = append(chosen, types...)
		}
	}
	for _, name := range exclude {
		types := []string{name}
		if !strings.Contains(name, "::") {
			var err error
			if types, err = typesOf(name); err != nil {
				return nil, err
			}
		} else if !slices.Contains(catalog.DataTypes(), name) {
			return nil, &UnknownError{Name: name, Nearest: nearestType(name)}
		}
		chosen = slices.DeleteFunc(chosen, func(t string) bool { return slices.Contains(types, t) })
	}
	sort.Strings(chosen)
	return append([]string{}, slices.Compact(chosen)...), nil
}

// typesOf are the data types of one service, or the one type that is named.
func typesOf(name string) ([]string, error) {
	if strings.Contains(name, "::") { // a type of any service: AWS has more than the catalog
		return []string{name}, nil
	}
	s, ok := catalog.ByKey(name)
	if !ok {
		return nil, &UnknownError{Name: name, Nearest: catalog.Nearest(name)}
	}
	var types []string
	for _, t := range s.DataTypes {
		types = append(types, t.Type)
	}
	return types, nil
}

func nearestType(name string) string {
	for _, t := range catalog.DataTypes() {
		if strings.EqualFold(t, name) {
			return t
		}
	}
	return ""
}

// ServicesOf names the services whose data events a type selects.
func ServicesOf(dataType string) []string {
	var keys []string
	for _, s := range catalog.Services() {
		if slices.ContainsFunc(s.DataTypes, func(t catalog.DataType) bool { return t.Type == dataType }) {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// DataEventPrice is what AWS charged for 100,000 data events that a trail delivers, in US dollars, and PriceSource where that
// stood when this was written. Prices change, and differ in some Regions.
const (
	DataEventPrice = 0.10
	PriceSource    = "https://aws.amazon.com/cloudtrail/pricing/"
)

// Estimate is what data events would cost a month.
type Estimate struct {
	Name   string  `json:"name"`   // service or data type, as the rate was given
	Events int64   `json:"events"` // a month
	Cost   float64 `json:"cost"`   // in the price's currency
	Note   string  `json:"note,omitempty"`
}

// Costs estimates the cost of data events from rates of calls a month, by service or data type. A rate for what the set-up
// doesn't record costs nothing, and says so. Management events cost nothing the first time that a trail delivers them.
func (s Setup) Costs(rates map[string]int64, per100k float64) ([]Estimate, error) {
	recorded := s.Defaults().DataTypes
	var list []Estimate
	for name, calls := range rates {
		types, err := typesOf(name)
		if err != nil {
			return nil, err
		}
		e := Estimate{Name: name, Events: calls, Cost: float64(calls) / 100_000 * per100k}
		if !slices.ContainsFunc(types, func(t string) bool { return slices.Contains(recorded, t) }) {
			e.Events, e.Cost, e.Note = 0, 0, "has no data events that are recorded"
		}
		list = append(list, e)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}
