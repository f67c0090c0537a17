package trail

import (
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

type trailNameInput struct{ TrailName string }

func (s *Service) putEventSelectors(c *awsapi.Call, in *struct {
	TrailName              string
	EventSelectors         []cloudtrail.EventSelector
	AdvancedEventSelectors []cloudtrail.AdvancedEventSelector
}) (any, error) {
	found, err := s.findHome(c, in.TrailName)
	if err != nil {
		return nil, err
	}
	selectors := cloudtrail.Selectors{Basic: in.EventSelectors, Advanced: in.AdvancedEventSelectors}
	if err := CheckSelectors(selectors); err != nil {
		return nil, fail("InvalidEventSelectorsException", "%v", err)
	}
	err = s.changeOrGone(found, func(t *trail, _ *state.Tx) error {
		t.cut(s.ends())
		t.Selectors = selectors
		return nil
	})
	return selectorsOutput(found.ARN, selectors), err
}

func (s *Service) getEventSelectors(c *awsapi.Call, in *trailNameInput) (any, error) {
	t, err := s.find(c, in.TrailName)
	if err != nil {
		return nil, err
	}
	selectors := t.Selectors
	if len(selectors.Basic)+len(selectors.Advanced) == 0 {
		selectors.Basic = []cloudtrail.EventSelector{{}}
	}
	return selectorsOutput(t.ARN, selectors), nil
}

func selectorsOutput(arn string, s cloudtrail.Selectors) any {
	basic := slices.Clone(s.Basic)
	for i := range basic {
		b := &basic[i]
		if b.ReadWriteType == "" {
			b.ReadWriteType = "All"
		}
		if b.IncludeManagementEvents == nil {
			yes := true
			b.IncludeManagementEvents = &yes
		}
		if b.DataResources == nil {
			b.DataResources = []cloudtrail.DataResource{}
		}
		if b.ExcludeManagementEventSources == nil {
			b.ExcludeManagementEventSources = []string{}
		}
	}
	return struct {
		TrailARN               string
		EventSelectors         []cloudtrail.EventSelector         `json:",omitempty"`
		AdvancedEventSelectors []cloudtrail.AdvancedEventSelector `json:",omitempty"`
	}{arn, basic, s.Advanced}
}

type insightSelector struct {
	InsightType     string
	EventCategories []string `json:",omitempty"`
}

func (s *Service) putInsightSelectors(c *awsapi.Call, in *struct {
	TrailName, EventDataStore, InsightsDestination string
	InsightSelectors                               []insightSelector
}) (any, error) {
	if in.EventDataStore != "" || in.InsightsDestination != "" {
		return nil, fail("InvalidParameterCombinationException", "EventDataStore and InsightsDestination can't be used: this endpoint has no event data stores.")
	}
	found, err := s.findHome(c, in.TrailName)
	if err != nil {
		return nil, err
	}
	for _, i := range in.InsightSelectors {
		if i.InsightType != "ApiCallRateInsight" && i.InsightType != "ApiErrorRateInsight" {
			return nil, fail("InvalidInsightSelectorsException", "InsightType %q is not valid.", i.InsightType)
		}
		for _, category := range i.EventCategories {
			if category != cloudtrail.CategoryManagement && category != cloudtrail.CategoryData {
				return nil, fail("InvalidInsightSelectorsException", "Event category %q is not valid.", category)
			}
		}
	}
	err = s.changeOrGone(found, func(t *trail, _ *state.Tx) error {
		t.Insights = in.InsightSelectors
		return nil
	})
	return insightsOutput(found.ARN, in.InsightSelectors), err
}

func (s *Service) getInsightSelectors(c *awsapi.Call, in *trailNameInput) (any, error) {
	t, err := s.find(c, in.TrailName)
	if err != nil {
		return nil, err
	}
	if len(t.Insights) == 0 {
		return nil, fail("InsightNotEnabledException", "Trail %s does not have Insights enabled. Edit the trail settings to enable Insights, and then try the operation again.", t.ARN)
	}
	return insightsOutput(t.ARN, t.Insights), nil
}

func insightsOutput(arn string, list []insightSelector) any {
	if list == nil {
		list = []insightSelector{}
	}
	return struct {
		TrailARN         string
		InsightSelectors []insightSelector
	}{arn, list}
}

type eventConfiguration struct{ TrailARN string }

func (s *Service) putEventConfiguration(c *awsapi.Call, in *struct {
	TrailName, EventDataStore, MaxEventSize        string
	ContextKeySelectors, AggregationConfigurations []any
}) (any, error) {
	if in.EventDataStore != "" || in.MaxEventSize != "" || len(in.ContextKeySelectors) > 0 {
		return nil, fail("InvalidParameterCombinationException", "MaxEventSize and ContextKeySelectors are for event data stores.")
	}
	found, err := s.findHome(c, in.TrailName)
	if err != nil {
		return nil, err
	}
	if len(in.AggregationConfigurations) > 0 {
		return nil, fail("UnsupportedOperationException", "This endpoint doesn't aggregate events.")
	}
	return &eventConfiguration{TrailARN: found.ARN}, nil
}

func (s *Service) getEventConfiguration(c *awsapi.Call, in *trailNameInput) (any, error) {
	t, err := s.find(c, in.TrailName)
	if err != nil {
		return nil, err
	}
	return &eventConfiguration{TrailARN: t.ARN}, nil
}

// maxTags is how many tags a trail can have.
const maxTags = 50

type tag struct {
	Key   string
	Value string `json:",omitempty"`
}

// addTags returns the tags with more added.
func addTags(tags map[string]string, more []tag) (map[string]string, error) {
	sum := map[string]string{}
	for k, v := range tags {
		sum[k] = v
	}
	seen := map[string]bool{}
	for _, t := range more {
		switch {
		case t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return nil, fail("InvalidTagParameterException", "Tag key %q or its value is not valid.", t.Key)
		case seen[t.Key]:
			return nil, fail("InvalidTagParameterException", "Tag key %q is given twice.", t.Key)
		}
		seen[t.Key] = true
		sum[t.Key] = t.Value
	}
	if len(sum) > maxTags {
		return nil, fail("TagsLimitExceededException", "A trail can have %d tags.", maxTags)
	}
	return sum, nil
}

type tagsInput struct {
	ResourceId string //nolint:revive // AWS's name
	TagsList   []tag
}

// findTagged is find by ARN, with the errors that the operations on tags have.
func (s *Service) findTagged(c *awsapi.Call, arn string) (*trail, error) {
	if !strings.HasPrefix(arn, "arn:") {
		return nil, fail("CloudTrailARNInvalidException", "ResourceId %q is not an ARN.", arn)
	}
	t, err := s.find(c, arn)
	if errorCode(err) == "TrailNotFoundException" {
		return nil, fail("ResourceNotFoundException", "Unknown trail: %s", arn)
	}
	return t, err
}

func (s *Service) addTags(c *awsapi.Call, in *tagsInput) (any, error) {
	found, err := s.findTagged(c, in.ResourceId)
	if err != nil {
		return nil, err
	}
	return empty{}, s.changeOrGone(found, func(t *trail, _ *state.Tx) error {
		tags, err := addTags(t.Tags, in.TagsList)
		t.Tags = tags
		return err
	})
}

func (s *Service) removeTags(c *awsapi.Call, in *tagsInput) (any, error) {
	found, err := s.findTagged(c, in.ResourceId)
	if err != nil {
		return nil, err
	}
	return empty{}, s.changeOrGone(found, func(t *trail, _ *state.Tx) error {
		for _, tag := range in.TagsList {
			delete(t.Tags, tag.Key)
		}
		return nil
	})
}

func (s *Service) listTags(c *awsapi.Call, in *struct{ ResourceIdList []string }) (any, error) {
	type item struct {
		ResourceId string //nolint:revive // AWS's name
		TagsList   []tag
	}
	list := []item{}
	for _, arn := range in.ResourceIdList {
		t, err := s.findTagged(c, arn)
		if err != nil {
			return nil, err
		}
		tags := []tag{}
		for k, v := range t.Tags {
			tags = append(tags, tag{k, v})
		}
		slices.SortFunc(tags, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
		list = append(list, item{arn, tags})
	}
	return struct{ ResourceTagList []item }{list}, nil
}

// listPublicKeys lists the keys that are valid in a time, or now.
func (s *Service) listPublicKeys(_ *awsapi.Call, in *struct{ StartTime, EndTime *epoch }) (any, error) {
	from, to := s.now(), s.now()
	if in.StartTime != nil {
		from = asTime(in.StartTime)
	}
	if in.EndTime != nil {
		to = asTime(in.EndTime)
	} else if in.StartTime != nil && from.After(to) {
		to = from
	}
	if in.StartTime == nil && in.EndTime != nil {
		from = to
	}
	if from.After(to) {
		return nil, fail("InvalidTimeRangeException", "The start time is after the end time.")
	}
	type item struct {
		Value                              []byte
		ValidityStartTime, ValidityEndTime *epoch
		Fingerprint                        string
	}
	list := []item{}
	keys, err := s.validKeys(from, to)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		public := &key.private.PublicKey
		list = append(list, item{digest.MarshalPublicKey(public), at(key.From), at(key.To), digest.Fingerprint(public)})
	}
	return struct{ PublicKeyList []item }{list}, nil
}
