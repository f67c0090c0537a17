package cloudtrail

import (
	"slices"
	"strings"
)

// Selectors are what a trail records: basic or advanced event selectors, as PutEventSelectors takes them. The zero
// value is a new trail's: all management events.
type Selectors struct {
	Basic    []EventSelector         `json:",omitempty"`
	Advanced []AdvancedEventSelector `json:",omitempty"`
}

// EventSelector is a basic event selector
// (https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_EventSelector.html).
type EventSelector struct {
	ReadWriteType                 string // ReadOnly, WriteOnly, All; "" means All
	IncludeManagementEvents       *bool  // nil means true
	DataResources                 []DataResource
	ExcludeManagementEventSources []string
}

// DataResource names resources of which a basic event selector chooses the data events.
type DataResource struct {
	Type   string
	Values []string // ARNs, or the beginnings of ARNs
}

// AdvancedEventSelector chooses the events that meet all of its field selectors
// (https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_AdvancedEventSelector.html).
type AdvancedEventSelector struct {
	Name           string `json:",omitempty"`
	FieldSelectors []FieldSelector
}

// FieldSelector is a condition on one field. An event meets it when one of the values of Equals, StartsWith or EndsWith
// holds (if there are any), and none of the other operators' values does.
type FieldSelector struct {
	Field         string
	Equals        []string `json:",omitempty"`
	StartsWith    []string `json:",omitempty"`
	EndsWith      []string `json:",omitempty"`
	NotEquals     []string `json:",omitempty"`
	NotStartsWith []string `json:",omitempty"`
	NotEndsWith   []string `json:",omitempty"`
}

// The categories of events, as eventCategory and selectors name them.
const (
	CategoryManagement = "Management"
	CategoryData       = "Data"
	CategoryNetwork    = "NetworkActivity"
)

// Category returns the event's eventCategory; older records have managementEvent only.
func (e *Event) Category() string {
	switch {
	case e.EventCategory != "":
		return e.EventCategory
	case e.ManagementEvent == False:
		return CategoryData
	default:
		return CategoryManagement
	}
}

// Choose tells whether a trail with these selectors records the event.
func (s Selectors) Choose(e *Event) bool {
	if len(s.Advanced) > 0 {
		return slices.ContainsFunc(s.Advanced, func(a AdvancedEventSelector) bool { return a.choose(e) })
	}
	if len(s.Basic) > 0 {
		return slices.ContainsFunc(s.Basic, func(b EventSelector) bool { return b.choose(e) })
	}
	return e.Category() == CategoryManagement
}

func (s *EventSelector) choose(e *Event) bool {
	switch readOnly := e.ReadOnly == True; s.ReadWriteType {
	case "ReadOnly":
		if !readOnly {
			return false
		}
	case "WriteOnly":
		if readOnly {
			return false
		}
	}
	switch e.Category() {
	case CategoryManagement:
		return (s.IncludeManagementEvents == nil || *s.IncludeManagementEvents) &&
			!slices.Contains(s.ExcludeManagementEventSources, e.EventSource)
	case CategoryData:
		return slices.ContainsFunc(s.DataResources, func(d DataResource) bool { return d.choose(e) })
	}
	return false
}

func (d *DataResource) choose(e *Event) bool {
	return slices.ContainsFunc(e.Resources, func(r Resource) bool {
		if r.Type != d.Type {
			return false
		}
		arn := r.ARN
		if arn == "" && d.Type == "AWS::S3::Object" {
			arn = bucketARN(e) + "/" // a call on many objects, such as ListObjects
		}
		return slices.ContainsFunc(d.Values, func(v string) bool {
			// "arn:aws:s3" and the like stand for all resources of the type; functions and tables are named exactly.
			return arn == v || strings.HasPrefix(arn, v) && (d.Type == "AWS::S3::Object" || strings.Count(v, ":") < 5)
		})
	})
}

func bucketARN(e *Event) string {
	for _, r := range e.Resources {
		if r.Type == "AWS::S3::Bucket" {
			return r.ARN
		}
	}
	return ""
}

func (s *AdvancedEventSelector) choose(e *Event) bool {
	var types []string
	for _, f := range s.FieldSelectors {
		if f.Field == "resources.type" {
			types = f.Equals
		}
	}
	for i := range s.FieldSelectors {
		if f := &s.FieldSelectors[i]; !f.Holds(fieldValues(e, f.Field, types)) {
			return false
		}
	}
	return true
}

// fieldValues returns what the event has in a field; types are the selector's resource types, which say of which
// resources the ARN is meant.
func fieldValues(e *Event, field string, types []string) []string {
	switch field {
	case "eventCategory":
		return []string{e.Category()}
	case "eventName":
		return one(e.EventName)
	case "eventSource":
		return one(e.EventSource)
	case "eventType":
		return one(e.EventType)
	case "errorCode":
		return one(e.ErrorCode)
	case "vpcEndpointId":
		return one(e.VPCEndpointID)
	case "readOnly":
		if e.ReadOnly == True {
			return []string{"true"}
		}
		return []string{"false"}
	case "sessionCredentialFromConsole":
		if e.SessionCredentialFromConsole == "true" {
			return []string{"true"}
		}
		return []string{"false"}
	case "userIdentity.arn":
		if e.UserIdentity == nil {
			return nil
		}
		return one(e.UserIdentity.ARN)
	}
	var values []string
	for _, r := range e.Resources {
		switch {
		case field == "resources.type":
			values = append(values, r.Type)
		case field == "resources.ARN" && r.ARN != "" && (types == nil || slices.Contains(types, r.Type)):
			values = append(values, r.ARN)
		}
	}
	return values
}

func one(v string) []string {
	if v == "" {
		return nil
	}
	return []string{v}
}

// Holds tells whether an event that has these values in the field meets the condition.
func (f *FieldSelector) Holds(values []string) bool {
	matches := func(conditions []string, test func(value, condition string) bool) bool {
		return slices.ContainsFunc(values, func(v string) bool {
			return slices.ContainsFunc(conditions, func(c string) bool { return test(v, c) })
		})
	}
	equal := func(v, c string) bool { return v == c }
	if len(f.Equals)+len(f.StartsWith)+len(f.EndsWith) > 0 &&
		!matches(f.Equals, equal) && !matches(f.StartsWith, strings.HasPrefix) && !matches(f.EndsWith, strings.HasSuffix) {
		return false
	}
	return !matches(f.NotEquals, equal) && !matches(f.NotStartsWith, strings.HasPrefix) &&
		!matches(f.NotEndsWith, strings.HasSuffix)
}
