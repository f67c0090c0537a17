package trail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

const eventSource = "cloudtrail.amazonaws.com"

// operation is one operation of the API.
type operation struct {
	readOnly bool
	trail    string // the input member that names the trail IAM is asked about; "" for operations without one
	serve    func(s *Service, c *awsapi.Call) (any, error)
}

// operations are the operations of the API that are served.
func operations() map[string]operation {
	return map[string]operation{
		"AddTags":                              {trail: "ResourceId", serve: input((*Service).addTags)},
		"CreateTrail":                          {trail: "Name", serve: input((*Service).createTrail)},
		"DeleteTrail":                          {trail: "Name", serve: input((*Service).deleteTrail)},
		"DescribeTrails":                       {readOnly: true, serve: input((*Service).describeTrails)},
		"GetEventConfiguration":                {readOnly: true, trail: "TrailName", serve: input((*Service).getEventConfiguration)},
		"GetEventSelectors":                    {readOnly: true, trail: "TrailName", serve: input((*Service).getEventSelectors)},
		"GetInsightSelectors":                  {readOnly: true, trail: "TrailName", serve: input((*Service).getInsightSelectors)},
		"GetTrail":                             {readOnly: true, trail: "Name", serve: input((*Service).getTrail)},
		"GetTrailStatus":                       {readOnly: true, trail: "Name", serve: input((*Service).getTrailStatus)},
		"ListPublicKeys":                       {readOnly: true, serve: input((*Service).listPublicKeys)},
		"ListTags":                             {readOnly: true, serve: input((*Service).listTags)},
		"ListTrails":                           {readOnly: true, serve: input((*Service).listTrails)},
		"LookupEvents":                         {readOnly: true, serve: input((*Service).lookupEvents)},
		"PutEventConfiguration":                {trail: "TrailName", serve: input((*Service).putEventConfiguration)},
		"PutEventSelectors":                    {trail: "TrailName", serve: input((*Service).putEventSelectors)},
		"PutInsightSelectors":                  {trail: "TrailName", serve: input((*Service).putInsightSelectors)},
		"DeregisterOrganizationDelegatedAdmin": {serve: input((*Service).deregisterAdmin)},
		"RegisterOrganizationDelegatedAdmin":   {serve: input((*Service).registerAdmin)},
		"RemoveTags":                           {trail: "ResourceId", serve: input((*Service).removeTags)},
		"StartLogging":                         {trail: "Name", serve: input((*Service).startLogging)},
		"StopLogging":                          {trail: "Name", serve: input((*Service).stopLogging)},
		"UpdateTrail":                          {trail: "Name", serve: input((*Service).updateTrail)},
	}
}

// input gives a handler the call's body, decoded.
func input[In any](fn func(*Service, *awsapi.Call, *In) (any, error)) func(*Service, *awsapi.Call) (any, error) {
	return func(s *Service, c *awsapi.Call) (any, error) {
		var in In
		if body := bytes.TrimSpace(c.Body); len(body) > 0 {
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, fail("SerializationException", "the request can't be read: %v", err)
			}
		}
		return fn(s, c, &in)
	}
}

// fail returns the error answer of an API call.
func fail(code, format string, args ...any) error {
	return &awsapi.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// SigningNames implements awsapi.Service.
func (s *Service) SigningNames() []string { return []string{"cloudtrail"} }

// Route implements awsapi.Service: the operation is what follows the last dot of X-Amz-Target.
func (s *Service) Route(r *http.Request, _ []byte) (string, awsapi.Protocol, bool) {
	target := r.Header.Get("X-Amz-Target")
	name := target[strings.LastIndexByte(target, '.')+1:]
	_, ok := s.operations[name]
	return name, awsapi.JSON11, ok
}

// Describe implements awsapi.Service.
func (s *Service) Describe(c *awsapi.Call) {
	c.Record.EventSource = eventSource
	c.Record.APIVersion = ""
	c.Record.ReadOnly = s.operations[c.Operation].readOnly
	c.Record.RequestParameters = lowerCamel(c.Body)
}

// Access implements awsapi.Service.
func (s *Service) Access(c *awsapi.Call) []awsapi.Access {
	access := awsapi.Access{Action: "cloudtrail:" + c.Operation, Resource: "*"}
	var in map[string]any
	_ = json.Unmarshal(c.Body, &in) // what can't be read is refused by Serve
	if member := s.operations[c.Operation].trail; member != "" {
		name, _ := in[member].(string)
		access.Resource = name
		if !strings.HasPrefix(name, "arn:") {
			access.Resource = s.trailARN(c.Region, name)
		}
	}
	list := []awsapi.Access{access}
	if role, _ := in["CloudWatchLogsRoleArn"].(string); role != "" {
		list = append(list, awsapi.Access{Action: "iam:PassRole", Resource: role})
	}
	return list
}

// Serve implements awsapi.Service.
func (s *Service) Serve(c *awsapi.Call) (*awsapi.Response, error) {
	op, ok := s.operations[c.Operation]
	if !ok {
		return nil, fail("UnknownOperationException", "%s is not an operation of this endpoint's CloudTrail", c.Operation)
	}
	out, err := op.serve(s, c)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer of %s: %w", c.Operation, err)
	}
	if !op.readOnly && string(body) != "{}" {
		c.Record.ResponseElements = lowerCamel(body)
	}
	return &awsapi.Response{Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: body}, nil
}

// lowerCamel returns JSON with the member names that records have: "S3BucketName" is "s3BucketName" there. It is nil for
// what isn't an object with members.
func lowerCamel(body []byte) any {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v map[string]any
	if d.Decode(&v) != nil || len(v) == 0 {
		return nil
	}
	return lowerNames(v)
}

func lowerNames(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, value := range v {
			first, n := utf8.DecodeRuneInString(name)
			out[string(unicode.ToLower(first))+name[n:]] = lowerNames(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = lowerNames(v[i])
		}
		return out
	}
	return v
}

// empty is the answer of operations that give none.
type empty struct{}

// epoch is a time in JSON: seconds since 1970, with a fraction.
type epoch time.Time

// MarshalJSON implements json.Marshaler.
func (t epoch) MarshalJSON() ([]byte, error) {
	ms := time.Time(t).UnixMilli()
	if ms%1000 == 0 {
		return fmt.Appendf(nil, "%d", ms/1000), nil
	}
	return fmt.Appendf(nil, "%.3f", float64(ms)/1000), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *epoch) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return err
	}
	*t = epoch(time.UnixMilli(int64(seconds * 1000)).UTC())
	return nil
}

// at returns a time for JSON; nil, which leaves the member out, for the zero time.
func at(t time.Time) *epoch {
	if t.IsZero() {
		return nil
	}
	return (*epoch)(&t)
}
