package trail

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

const (
	maxLookup = 50
	// lookupWork is how many events one request looks at; then it answers with what it has and a token, as AWS does.
	lookupWork = 100_000
)

// lookupIndex is where the management events stand in the record, by time. It is made when first asked for and then
// only follows the record.
type lookupIndex struct {
	mu     sync.Mutex
	read   Position // everything before is in places
	places []place  // sorted
}

// place is one event.
type place struct {
	Time     int64 // Unix seconds
	Position Position
}

func (a place) compare(b place) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Position, b.Position))
}

// follow adds what has been recorded since and drops what is no longer kept. It returns the index as it is now, which
// nobody changes.
func (x *lookupIndex) follow(r *Recorder) ([]place, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	begin, end := r.Begin(), r.End()
	if len(x.places) > 0 && x.read < begin {
		x.places = nil
	}
	places := x.places
	sorted := true
	for e, err := range r.entries(x.read, end, false) {
		if err != nil {
			return nil, err
		}
		if !e.Management {
			continue
		}
		p := place{e.Time.Unix(), e.Position}
		sorted = sorted && (len(places) == 0 || places[len(places)-1].compare(p) < 0)
		places = append(places, p)
	}
	if !sorted {
		places = slices.Clone(places) // others may be reading it
		slices.SortFunc(places, place.compare)
	}
	x.places, x.read = places, end
	return places, nil
}

type lookupAttribute struct{ AttributeKey, AttributeValue string }

type lookupInput struct {
	LookupAttributes   []lookupAttribute
	StartTime, EndTime *epoch
	EventCategory      string
	MaxResults         *int
	NextToken          string
}

// lookupToken is a NextToken: the last event that has been looked at, of which request.
type lookupToken struct {
	Last    place
	Request string
}

type lookupResource struct{ ResourceType, ResourceName string }

type lookupEvent struct {
	EventId         string `json:",omitempty"` //nolint:revive // AWS's name
	EventName       string
	ReadOnly        string
	AccessKeyId     string `json:",omitempty"` //nolint:revive // AWS's name
	EventTime       *epoch
	EventSource     string
	Username        string `json:",omitempty"`
	Resources       []lookupResource
	CloudTrailEvent string
}

type lookupOutput struct {
	Events    []lookupEvent
	NextToken string `json:",omitempty"`
}

func (s *Service) lookupEvents(c *awsapi.Call, in *lookupInput) (any, error) {
	limit, err := in.check()
	if err != nil {
		return nil, err
	}
	out := &lookupOutput{Events: []lookupEvent{}}
	if in.EventCategory == "insight" {
		return out, nil // no Insights events are made here
	}
	places, err := s.index.follow(s.opts.Recorder)
	if err != nil {
		return nil, err
	}
	places, err = in.window(places, s.now())
	if err != nil {
		return nil, err
	}
	reader := &randomReader{r: s.opts.Recorder}
	defer reader.close()
	for n, p := range slices.Backward(places) {
		if len(out.Events) == limit || len(places)-n > lookupWork {
			out.NextToken = in.token(places[n+1])
			break
		}
		entry, err := reader.at(p.Position)
		if errors.Is(err, os.ErrNotExist) {
			continue // expired
		}
		if err != nil {
			return nil, err
		}
		if !in.mayMatch(entry.JSON, c.Region) {
			continue
		}
		var e cloudtrail.Event
		if err := e.Decode(entry.JSON); err != nil {
			return nil, fmt.Errorf("event at %#x: %w", int64(p.Position), err)
		}
		if found := found(&e, entry.JSON); e.AWSRegion == c.Region && in.matches(&e, found) {
			out.Events = append(out.Events, *found)
		}
	}
	return out, nil
}

func (in *lookupInput) check() (limit int, err error) {
	limit = maxLookup
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	switch {
	case limit < 1 || limit > maxLookup:
		return 0, fail("InvalidMaxResultsException", "MaxResults must be between 1 and %d.", maxLookup)
	case len(in.LookupAttributes) > 1:
		return 0, fail("InvalidLookupAttributesException", "Only one lookup attribute can be specified.")
	case in.EventCategory != "" && in.EventCategory != "insight":
		return 0, fail("InvalidEventCategoryException", "Event category %q is not valid.", in.EventCategory)
	case in.StartTime != nil && in.EndTime != nil && asTime(in.StartTime).After(asTime(in.EndTime)):
		return 0, fail("InvalidTimeRangeException", "The start time is after the end time.")
	}
	for _, a := range in.LookupAttributes {
		keys := []string{"EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId"}
		if !slices.Contains(keys, a.AttributeKey) || a.AttributeValue == "" || len(a.AttributeValue) > 2000 {
			return 0, fail("InvalidLookupAttributesException", "Lookup attribute %q with the value %q is not valid.", a.AttributeKey, a.AttributeValue)
		}
	}
	return limit, nil
}

func asTime(t *epoch) time.Time { return time.Time(*t) }

// window returns the part of the index that the request is about: of its time and of the last 90 days, and before what
// its token says has been looked at.
func (in *lookupInput) window(places []place, now time.Time) ([]place, error) {
	from := now.Add(-90 * 24 * time.Hour).Unix()
	if in.StartTime != nil {
		from = max(from, asTime(in.StartTime).Unix())
	}
	low, _ := slices.BinarySearchFunc(places, place{Time: from}, place.compare)
	high := len(places)
	if in.EndTime != nil {
		high, _ = slices.BinarySearchFunc(places, place{Time: asTime(in.EndTime).Unix() + 1}, place.compare)
	}
	if in.NextToken != "" {
		var token lookupToken
		b, err := base64.RawURLEncoding.DecodeString(in.NextToken)
		if err != nil || json.Unmarshal(b, &token) != nil || token.Request != in.request() {
			return nil, fail("InvalidNextTokenException", "The token is not of an earlier request with the same parameters.")
		}
		i, _ := slices.BinarySearchFunc(places, token.Last, place.compare)
		high = min(high, i)
	}
	return places[min(low, high):high], nil
}

// request tells requests apart by their parameters.
func (in *lookupInput) request() string {
	r := *in
	r.NextToken, r.MaxResults = "", nil
	b, err := json.Marshal(&r)
	if err != nil {
		panic(err) // strings and times: can't fail
	}
	return string(b)
}

func (in *lookupInput) token(last place) string {
	b, err := json.Marshal(lookupToken{last, in.request()})
	if err != nil {
		panic(err) // numbers and a string: can't fail
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// mayMatch passes over most events that can't match, without decoding them.
func (in *lookupInput) mayMatch(text, region string) bool {
	if !strings.Contains(text, region) {
		return false
	}
	for _, a := range in.LookupAttributes {
		switch a.AttributeKey {
		case "EventId", "EventName", "EventSource", "AccessKeyId":
			if !strings.Contains(text, a.AttributeValue) {
				return false
			}
		}
	}
	return true
}

func (in *lookupInput) matches(e *cloudtrail.Event, f *lookupEvent) bool {
	for _, a := range in.LookupAttributes {
		v := a.AttributeValue
		ok := false
		switch a.AttributeKey {
		case "EventId":
			ok = f.EventId == v
		case "EventName":
			ok = f.EventName == v
		case "ReadOnly":
			ok = f.ReadOnly == v
		case "Username":
			ok = f.Username == v
		case "EventSource":
			ok = f.EventSource == v
		case "AccessKeyId":
			ok = f.AccessKeyId == v
		case "ResourceType":
			ok = slices.ContainsFunc(e.Resources, func(r cloudtrail.Resource) bool { return r.Type == v })
		case "ResourceName":
			ok = slices.ContainsFunc(e.Resources, func(r cloudtrail.Resource) bool {
				return r.ARN == v || v != "" && (strings.HasSuffix(r.ARN, "/"+v) || strings.HasSuffix(r.ARN, ":"+v))
			})
		}
		if !ok {
			return false
		}
	}
	return true
}

// found is an event as LookupEvents answers it.
func found(e *cloudtrail.Event, text string) *lookupEvent {
	f := &lookupEvent{
		EventId: e.EventID, EventName: e.EventName, ReadOnly: "false", EventTime: at(e.EventTime),
		EventSource: e.EventSource, Resources: []lookupResource{}, CloudTrailEvent: text,
	}
	if e.ReadOnly == cloudtrail.True {
		f.ReadOnly = "true"
	}
	if u := e.UserIdentity; u != nil {
		f.AccessKeyId, f.Username = u.AccessKeyID, userName(u)
	}
	for _, r := range e.Resources {
		f.Resources = append(f.Resources, lookupResource{r.Type, r.ARN})
	}
	return f
}

// userName is whom the event history names: the user, the session of a role, or root.
func userName(u *cloudtrail.UserIdentity) string {
	switch u.Type {
	case "Root":
		return "root"
	case "AssumedRole":
		return u.ARN[strings.LastIndexByte(u.ARN, '/')+1:]
	}
	return u.UserName
}
