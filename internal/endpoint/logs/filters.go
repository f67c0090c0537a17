package logs

import (
	"regexp"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// maxFilters is how many metric filters a log group can have.
const maxFilters = 100

// metricFilter is a metric filter of a log group.
type metricFilter struct {
	FilterName                string           `json:"filterName"`
	FilterPattern             string           `json:"filterPattern"`
	MetricTransformations     []transformation `json:"metricTransformations"`
	CreationTime              int64            `json:"creationTime"`
	LogGroupName              string           `json:"logGroupName"`
	ApplyOnTransformedLogs    bool             `json:"applyOnTransformedLogs"`
	FieldSelectionCriteria    string           `json:"fieldSelectionCriteria,omitempty"`
	EmitSystemFieldDimensions []string         `json:"emitSystemFieldDimensions,omitempty"`
}

// transformation says which metric a filter feeds.
type transformation struct {
	MetricName      string            `json:"metricName"`
	MetricNamespace string            `json:"metricNamespace"`
	MetricValue     string            `json:"metricValue"`
	DefaultValue    *float64          `json:"defaultValue,omitempty"`
	Dimensions      map[string]string `json:"dimensions,omitempty"`
	Unit            string            `json:"unit,omitempty"`
}

var filterPattern = regexp.MustCompile(`^[^:*]{1,512}$`)

// check refuses what PutMetricFilter refuses.
func (f *metricFilter) check() error {
	if !filterPattern.MatchString(f.FilterName) {
		return fail(badParameter, "1 validation error detected: Value '%s' at 'filterName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*", f.FilterName)
	}
	if _, err := parsePattern(f.FilterPattern); err != nil {
		return fail(badParameter, "Invalid filter pattern")
	}
	if len(f.MetricTransformations) != 1 {
		return fail(badParameter, "1 validation error detected: Value at 'metricTransformations' failed to satisfy constraint: Member must have length 1")
	}
	t := &f.MetricTransformations[0]
	switch {
	case t.MetricName == "" || t.MetricNamespace == "" || strings.HasPrefix(t.MetricNamespace, "AWS/"):
		return fail(badParameter, "The metric's name or namespace is not valid.")
	case t.MetricValue == "" || len(t.MetricValue) > 100:
		return fail(badParameter, "1 validation error detected: Value at 'metricValue' failed to satisfy constraint: Member must have length between 1 and 100")
	case len(t.Dimensions) > 3:
		return fail(badParameter, "A metric transformation can have 3 dimensions.")
	case len(t.Dimensions) > 0 && t.DefaultValue != nil:
		return fail(badParameter, "Invalid metric transformation: dimensions and default value are mutually exclusive properties.")
	}
	if t.Unit == "" {
		t.Unit = "None"
	}
	return nil
}

func (s *Service) putMetricFilter(c *awsapi.Call, in *metricFilter) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return empty{}, s.changeGroup(c.Region, groupName(in.LogGroupName), func(g *group, tx *state.Tx) error {
		f := *in
		f.LogGroupName, f.CreationTime = g.Name, s.now().UnixMilli()
		var old metricFilter
		found, err := tx.Get(filtersBucket, g.ID+"/"+f.FilterName, &old)
		if err != nil {
			return err
		}
		if found {
			f.CreationTime = old.CreationTime
		} else if g.Filters++; g.Filters > maxFilters {
			return fail("LimitExceededException", "Resource limit exceeded.")
		}
		return tx.Put(filtersBucket, g.ID+"/"+f.FilterName, f)
	})
}

func (s *Service) deleteMetricFilter(c *awsapi.Call, in *struct{ LogGroupName, FilterName string }) (any, error) {
	return empty{}, s.changeGroup(c.Region, groupName(in.LogGroupName), func(g *group, tx *state.Tx) error {
		var f metricFilter
		found, err := tx.Get(filtersBucket, g.ID+"/"+in.FilterName, &f)
		if err != nil {
			return err
		}
		if !found {
			return fail(notFound, "The specified metric filter does not exist.")
		}
		g.Filters--
		return tx.Delete(filtersBucket, g.ID+"/"+in.FilterName)
	})
}

func (s *Service) describeMetricFilters(c *awsapi.Call, in *struct {
	LogGroupName, FilterNamePrefix, NextToken, MetricName, MetricNamespace string
	Limit                                                                  *int
}) (any, error) {
	limit, err := pageLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	var all []state.Entry[metricFilter]
	err = s.opts.Store.View(func(tx *state.Tx) error {
		if in.LogGroupName == "" {
			return s.regionFilters(tx, c.Region, &all)
		}
		g, err := getGroup(tx, c.Region, groupName(in.LogGroupName))
		if err == nil {
			all, err = state.ListTx[metricFilter](tx, filtersBucket, g.ID+"/"+in.FilterNamePrefix)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var out struct {
		MetricFilters []metricFilter `json:"metricFilters"`
		NextToken     string         `json:"nextToken,omitempty"`
	}
	out.MetricFilters = []metricFilter{}
	last := ""
	for _, e := range all {
		t := e.Value.MetricTransformations[0]
		if e.Key <= in.NextToken || !strings.HasPrefix(e.Value.FilterName, in.FilterNamePrefix) ||
			in.MetricName != "" && in.MetricName != t.MetricName || in.MetricNamespace != "" && in.MetricNamespace != t.MetricNamespace {
			continue
		}
		if len(out.MetricFilters) == limit {
			out.NextToken = last
			break
		}
		last = e.Key
		out.MetricFilters = append(out.MetricFilters, e.Value)
	}
	return &out, nil
}

// regionFilters adds the metric filters of all groups of a Region.
func (s *Service) regionFilters(tx *state.Tx, region string, all *[]state.Entry[metricFilter]) error {
	groups, err := state.ListTx[group](tx, groupsBucket, region+"/")
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	for _, g := range groups {
		ids[g.Value.ID] = true
	}
	filters, err := state.ListTx[metricFilter](tx, filtersBucket, "")
	for _, f := range filters {
		if id, _, _ := strings.Cut(f.Key, "/"); ids[id] {
			*all = append(*all, f)
		}
	}
	return err
}

// key finds the KMS key that a group is to be encrypted with.
func (s *Service) key(c *awsapi.Call, id, group string) (string, error) {
	if s.opts.Key != nil {
		if arn, err := s.opts.Key(c.Region, id, s.arn(c.Region, group)); err == nil {
			return arn, nil
		}
	}
	return "", fail(badParameter, "The specified KMS Key Id could not be found, is not enabled, or does not let CloudWatch Logs use it.")
}

func (s *Service) associateKey(c *awsapi.Call, in *struct {
	names
	KmsKeyId           string //nolint:revive // AWS's name
	ResourceIdentifier string
}) (any, error) {
	name := in.group()
	if in.ResourceIdentifier != "" {
		name = groupName(in.ResourceIdentifier)
	}
	key, err := s.key(c, in.KmsKeyId, name)
	if err != nil {
		return nil, err
	}
	return empty{}, s.changeGroup(c.Region, name, func(g *group, _ *state.Tx) error { g.KMSKey = key; return nil })
}

func (s *Service) disassociateKey(c *awsapi.Call, in *struct {
	names
	ResourceIdentifier string
}) (any, error) {
	name := in.group()
	if in.ResourceIdentifier != "" {
		name = groupName(in.ResourceIdentifier)
	}
	return empty{}, s.changeGroup(c.Region, name, func(g *group, _ *state.Tx) error { g.KMSKey = ""; return nil })
}
