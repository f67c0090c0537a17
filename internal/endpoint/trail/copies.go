package trail

import (
	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// dataCopy is the data event that CloudTrail has of a management event besides: Bedrock's streaming inference, and the
// completion of its streams, go to trails that select data events of the model as such, too
// (https://docs.aws.amazon.com/bedrock/latest/userguide/logging-using-cloudtrail.html). Its id follows from the event's, so
// that a repeated delivery has the same.
func dataCopy(e *cloudtrail.Event) (*cloudtrail.Event, bool) {
	if e.EventSource != "bedrock.amazonaws.com" || e.Category() != cloudtrail.CategoryManagement {
		return nil, false
	}
	switch e.EventName {
	case "ConverseStream", "InvokeModelWithResponseStream":
	default:
		return nil, false
	}
	c := *e
	c.EventCategory, c.ManagementEvent = cloudtrail.CategoryData, cloudtrail.False
	c.EventID = uuid.NewSHA1(uuid.NameSpaceOID, []byte("data event of "+e.EventID)).String()
	return &c, true
}
