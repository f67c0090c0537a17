package trail_test

import (
	"encoding/json"
	"testing"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

// FuzzSelectors has no selector that PutEventSelectors takes choose what its category and resource type rule out, nor a
// selector and its opposite both choose an event.
func FuzzSelectors(f *testing.F) {
	f.Add(`{"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]},{"Field":"resources.type","Equals":["AWS::Bedrock::Model"]}]}]}`, `{"eventName":"ConverseStream","eventCategory":"Data","resources":[{"type":"AWS::Bedrock::Model","ARN":"arn:aws:bedrock:us-east-1::foundation-model/m"}]}`, "eventName", "Converse")
	f.Add(`{"EventSelectors":[{"ReadWriteType":"WriteOnly"}]}`, `{"eventName":"CreateUser","readOnly":false}`, "userIdentity.arn", "arn:")
	f.Add(`{}`, `{"managementEvent":true}`, "resources.ARN", "")
	f.Fuzz(func(t *testing.T, selectors, record, field, value string) {
		var in struct {
			EventSelectors         []cloudtrail.EventSelector
			AdvancedEventSelectors []cloudtrail.AdvancedEventSelector
		}
		if json.Unmarshal([]byte(selectors), &in) != nil {
			return
		}
		var e cloudtrail.Event
		if e.Decode(record) != nil {
			return
		}
		s := cloudtrail.Selectors{Basic: in.EventSelectors, Advanced: in.AdvancedEventSelectors}
		if trail.CheckSelectors(s) == nil && s.Choose(&e) && len(s.Advanced) > 0 && !ruledIn(s.Advanced, &e) {
			t.Errorf("%s chooses %s", selectors, record)
		}
		is := cloudtrail.Selectors{Advanced: []cloudtrail.AdvancedEventSelector{{FieldSelectors: []cloudtrail.FieldSelector{{Field: field, StartsWith: []string{value}}}}}}
		isNot := cloudtrail.Selectors{Advanced: []cloudtrail.AdvancedEventSelector{{FieldSelectors: []cloudtrail.FieldSelector{{Field: field, NotStartsWith: []string{value}}}}}}
		if is.Choose(&e) == isNot.Choose(&e) {
			t.Errorf("%s both begins with %q and doesn't, or neither, in %s", field, value, record)
		}
	})
}

// ruledIn tells whether a selector's category, and its resource type if it has one, are the event's.
func ruledIn(selectors []cloudtrail.AdvancedEventSelector, e *cloudtrail.Event) bool {
	for _, s := range selectors {
		fits := true
		for _, f := range s.FieldSelectors {
			switch f.Field {
			case "eventCategory":
				fits = fits && (e.EventCategory == f.Equals[0] || e.EventCategory == "")
			case "resources.type":
				has := false
				for _, r := range e.Resources {
					has = has || r.Type == f.Equals[0]
				}
				fits = fits && has
			}
		}
		if fits {
			return true
		}
	}
	return false
}
