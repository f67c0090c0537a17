// Package monitoring is the endpoint's Amazon CloudWatch, as far as alarms go: they are kept, described, tagged and
// deleted, over the query protocol, AWS JSON and Smithy RPC v2 CBOR.
//
// It has no metrics, so an alarm's state is what SetAlarmState made it, and INSUFFICIENT_DATA before.
package monitoring

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/rpc"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Options are what a Service needs. Account and State are required.
type Options struct {
	Account string
	State   *state.Store
	Now     func() time.Time // nil: time.Now
}

// Service is CloudWatch behind the endpoint; it implements awsapi.Service. Its methods may be called concurrently.
type Service struct {
	rpc.API
	opts Options
}

var _ awsapi.Service = (*Service)(nil)

// alarmsBucket is the bucket of the state store that alarms are in: REGION/NAME → stored.
const alarmsBucket = "monitoring.alarms"

// New returns the service with the alarms that the state has.
func New(opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Service{opts: opts}
	s.API = rpc.API{
		Signing: "monitoring", EventSource: "monitoring.amazonaws.com", JSON: awsapi.JSON10, CBOR: true,
		Query: true, Namespace: "http://monitoring.amazonaws.com/doc/2010-08-01/",
		Operations: map[string]rpc.Operation{
			"DeleteAlarms":            rpc.Op(s.deleteAlarms),
			"DescribeAlarms":          rpc.Read(s.describeAlarms),
			"DescribeAlarmsForMetric": rpc.Read(s.describeForMetric),
			"DisableAlarmActions":     rpc.Op(s.disableActions),
			"EnableAlarmActions":      rpc.Op(s.enableActions),
			"ListTagsForResource":     rpc.Read(s.listTags),
			"PutMetricAlarm":          rpc.Op(s.putAlarm),
			"SetAlarmState":           rpc.Op(s.setState),
			"TagResource":             rpc.Op(s.tag),
			"UntagResource":           rpc.Op(s.untag),
		},
	}
	return s
}

func (s *Service) now() time.Time { return s.opts.Now().UTC() }

func fail(code, format string, args ...any) error {
	return &awsapi.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (s *Service) arn(region, name string) string {
	partition := "aws"
	if strings.HasPrefix(region, "cn-") {
		partition = "aws-cn"
	} else if strings.HasPrefix(region, "us-gov-") {
		partition = "aws-us-gov"
	}
	return "arn:" + partition + ":cloudwatch:" + region + ":" + s.opts.Account + ":alarm:" + name
}

// Describe implements awsapi.Service.
func (s *Service) Describe(c *awsapi.Call) { s.API.Describe(c) }

// Access implements awsapi.Service.
func (s *Service) Access(c *awsapi.Call) []awsapi.Access {
	in, _ := s.Input(c) // what can't be read is refused by Serve
	action := "cloudwatch:" + c.Operation
	var list []awsapi.Access
	switch in := in.(type) {
	case *alarmInput:
		list = append(list, awsapi.Access{Action: action, Resource: s.arn(c.Region, in.AlarmName)})
	case *stateInput:
		list = append(list, awsapi.Access{Action: action, Resource: s.arn(c.Region, in.AlarmName)})
	case *namesInput:
		for _, name := range in.AlarmNames {
			list = append(list, awsapi.Access{Action: action, Resource: s.arn(c.Region, name)})
		}
	case *tagsInput:
		list = append(list, awsapi.Access{Action: action, Resource: in.ResourceARN})
	}
	if len(list) == 0 || list[0].Resource == "" {
		return []awsapi.Access{{Action: action, Resource: "*"}}
	}
	return list
}

type dimension struct{ Name, Value string }

type tag struct {
	Key   string
	Value string `aws:",keep"`
}

// metric is a member of Metrics, kept as it came.
type metric struct {
	ID         string `aws:"Id"`
	Expression string
	Label      string
	ReturnData *bool
	Period     int
	AccountID  string `aws:"AccountId"`
	MetricStat *struct {
		Metric struct {
			Namespace  string
			MetricName string
			Dimensions []dimension
		}
		Period int
		Stat   string
		Unit   string
	}
}

// alarmInput is PutMetricAlarm's input.
type alarmInput struct {
	AlarmName                        string
	AlarmDescription                 string
	ActionsEnabled                   *bool
	OKActions                        []string
	AlarmActions                     []string
	InsufficientDataActions          []string
	MetricName, Namespace            string
	Statistic, ExtendedStatistic     string
	Dimensions                       []dimension
	Period                           int
	Unit                             string
	EvaluationPeriods                int
	DatapointsToAlarm                int
	Threshold                        *float64
	ComparisonOperator               string
	TreatMissingData                 string
	EvaluateLowSampleCountPercentile string
	Metrics                          []metric
	Tags                             []tag
	ThresholdMetricID                string `aws:"ThresholdMetricId"`
}

// alarm is an alarm as it is stored and described.
type alarm struct {
	AlarmName                          string
	AlarmARN                           string `aws:"AlarmArn"`
	AlarmDescription                   string
	AlarmConfigurationUpdatedTimestamp time.Time
	ActionsEnabled                     bool     `aws:",keep"`
	OKActions                          []string `aws:",keep"`
	AlarmActions                       []string `aws:",keep"`
	InsufficientDataActions            []string `aws:",keep"`
	StateValue                         string
	StateReason                        string
	StateReasonData                    string
	StateUpdatedTimestamp              time.Time
	StateTransitionedTimestamp         time.Time
	MetricName, Namespace              string
	Statistic, ExtendedStatistic       string
	Dimensions                         []dimension `aws:",keep"`
	Period                             int
	Unit                               string
	EvaluationPeriods                  int
	DatapointsToAlarm                  int
	Threshold                          *float64
	ComparisonOperator                 string
	TreatMissingData                   string
	EvaluateLowSampleCountPercentile   string
	Metrics                            []metric
	ThresholdMetricID                  string `aws:"ThresholdMetricId"`
}

// stored is an alarm with its tags.
type stored struct {
	Alarm alarm
	Tags  []tag
}

// check refuses what PutMetricAlarm refuses.
func (in *alarmInput) check() error {
	operators := []string{
		"GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold",
		"LessThanLowerOrGreaterThanUpperThreshold", "LessThanLowerThreshold", "GreaterThanUpperThreshold",
	}
	missing := []string{"", "breaching", "notBreaching", "ignore", "missing"}
	statistics := []string{"", "SampleCount", "Average", "Sum", "Minimum", "Maximum"}
	switch {
	case in.AlarmName == "" || len(in.AlarmName) > 255:
		return fail("ValidationError", "1 validation error detected: Value at 'alarmName' failed to satisfy constraint: Member must have length between 1 and 255")
	case !slices.Contains(operators, in.ComparisonOperator):
		return fail("ValidationError", "1 validation error detected: Value '%s' at 'comparisonOperator' failed to satisfy constraint: Member must satisfy enum value set: %v", in.ComparisonOperator, operators)
	case in.EvaluationPeriods < 1:
		return fail("ValidationError", "1 validation error detected: Value '%d' at 'evaluationPeriods' failed to satisfy constraint: Member must have value greater than or equal to 1", in.EvaluationPeriods)
	case !slices.Contains(missing, in.TreatMissingData):
		return fail("ValidationError", "Value for treatMissingData must be one of %v", missing[1:])
	case !slices.Contains(statistics, in.Statistic):
		return fail("ValidationError", "1 validation error detected: Value '%s' at 'statistic' failed to satisfy constraint: Member must satisfy enum value set: %v", in.Statistic, statistics[1:])
	case len(in.Metrics) == 0 && (in.MetricName == "" || in.Namespace == "" || in.Period < 1):
		return fail("MissingParameter", "The parameters MetricName, Namespace and Period are required where Metrics isn't given.")
	case len(in.Metrics) == 0 && (in.Statistic == "") == (in.ExtendedStatistic == ""):
		return fail("ValidationError", "Exactly one of Statistic and ExtendedStatistic must be given.")
	case in.Threshold == nil && in.ThresholdMetricID == "":
		return fail("MissingParameter", "The parameter Threshold or ThresholdMetricId is required.")
	case in.DatapointsToAlarm > in.EvaluationPeriods:
		return fail("ValidationError", "DatapointsToAlarm must be at most EvaluationPeriods.")
	}
	return nil
}

// putAlarm makes an alarm, or changes all of one but its state and tags.
func (s *Service) putAlarm(c *awsapi.Call, in *alarmInput) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	tags, err := addTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	now := s.now()
	a := stored{Tags: tags, Alarm: alarm{
		AlarmName: in.AlarmName, AlarmARN: s.arn(c.Region, in.AlarmName), AlarmDescription: in.AlarmDescription,
		AlarmConfigurationUpdatedTimestamp: now, ActionsEnabled: in.ActionsEnabled == nil || *in.ActionsEnabled,
		OKActions: in.OKActions, AlarmActions: in.AlarmActions, InsufficientDataActions: in.InsufficientDataActions,
		StateValue: "INSUFFICIENT_DATA", StateReason: "Unchecked: Initial alarm creation",
		StateUpdatedTimestamp: now, StateTransitionedTimestamp: now,
		MetricName: in.MetricName, Namespace: in.Namespace, Statistic: in.Statistic, ExtendedStatistic: in.ExtendedStatistic,
		Dimensions: in.Dimensions, Period: in.Period, Unit: in.Unit, EvaluationPeriods: in.EvaluationPeriods,
		DatapointsToAlarm: in.DatapointsToAlarm, Threshold: in.Threshold, ComparisonOperator: in.ComparisonOperator,
		TreatMissingData: in.TreatMissingData, EvaluateLowSampleCountPercentile: in.EvaluateLowSampleCountPercentile,
		Metrics: in.Metrics, ThresholdMetricID: in.ThresholdMetricID,
	}}
	key := c.Region + "/" + in.AlarmName
	return nil, s.opts.State.Update(func(tx *state.Tx) error {
		var old stored
		found, err := tx.Get(alarmsBucket, key, &old)
		if err != nil {
			return err
		}
		if found {
			a.Tags = old.Tags
			a.Alarm.StateValue, a.Alarm.StateReason, a.Alarm.StateReasonData = old.Alarm.StateValue, old.Alarm.StateReason, old.Alarm.StateReasonData
			a.Alarm.StateUpdatedTimestamp, a.Alarm.StateTransitionedTimestamp = old.Alarm.StateUpdatedTimestamp, old.Alarm.StateTransitionedTimestamp
		}
		return tx.Put(alarmsBucket, key, a)
	})
}

type describeInput struct {
	AlarmNames      []string
	AlarmNamePrefix string
	AlarmTypes      []string
	StateValue      string
	ActionPrefix    string
	MaxRecords      int
	NextToken       string
}

type describeOutput struct {
	MetricAlarms    []alarm    `aws:",keep"`
	CompositeAlarms []struct{} `aws:",keep"`
	NextToken       string
}

func (s *Service) describeAlarms(c *awsapi.Call, in *describeInput) (any, error) {
	if in.MaxRecords < 0 || in.MaxRecords > 100 {
		return nil, fail("ValidationError", "MaxRecords must be between 1 and 100.")
	}
	if len(in.AlarmNames) > 0 && in.AlarmNamePrefix != "" {
		return nil, fail("ValidationError", "AlarmNamePrefix and AlarmNames can't be used together.")
	}
	out := &describeOutput{}
	if len(in.AlarmTypes) > 0 && !slices.Contains(in.AlarmTypes, "MetricAlarm") {
		return out, nil
	}
	all, err := s.alarms(c.Region, in.AlarmNamePrefix)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		action := func(arn string) bool { return strings.HasPrefix(arn, in.ActionPrefix) }
		switch {
		case a.AlarmName <= in.NextToken,
			len(in.AlarmNames) > 0 && !slices.Contains(in.AlarmNames, a.AlarmName),
			in.StateValue != "" && in.StateValue != a.StateValue,
			in.ActionPrefix != "" && !slices.ContainsFunc(slices.Concat(a.AlarmActions, a.OKActions, a.InsufficientDataActions), action):
			continue
		}
		if len(out.MetricAlarms) == cmp.Or(in.MaxRecords, 50) {
			out.NextToken = out.MetricAlarms[len(out.MetricAlarms)-1].AlarmName
			break
		}
		out.MetricAlarms = append(out.MetricAlarms, a)
	}
	return out, nil
}

func (s *Service) alarms(region, prefix string) ([]alarm, error) {
	all, err := state.List[stored](s.opts.State, alarmsBucket, region+"/"+prefix)
	var list []alarm
	for _, e := range all {
		list = append(list, e.Value.Alarm)
	}
	return list, err
}

type forMetricInput struct {
	MetricName, Namespace        string
	Statistic, ExtendedStatistic string
	Dimensions                   []dimension
	Period                       int
	Unit                         string
}

func (s *Service) describeForMetric(c *awsapi.Call, in *forMetricInput) (any, error) {
	all, err := s.alarms(c.Region, "")
	if err != nil {
		return nil, err
	}
	out := &struct {
		MetricAlarms []alarm `aws:",keep"`
	}{}
	for _, a := range all {
		if a.MetricName == in.MetricName && a.Namespace == in.Namespace && slices.Equal(a.Dimensions, in.Dimensions) &&
			(in.Statistic == "" || in.Statistic == a.Statistic) && (in.Period == 0 || in.Period == a.Period) &&
			(in.ExtendedStatistic == "" || in.ExtendedStatistic == a.ExtendedStatistic) && (in.Unit == "" || in.Unit == a.Unit) {
			out.MetricAlarms = append(out.MetricAlarms, a)
		}
	}
	return out, nil
}

type namesInput struct{ AlarmNames []string }

// deleteAlarms deletes all the alarms, or none when one isn't there.
func (s *Service) deleteAlarms(c *awsapi.Call, in *namesInput) (any, error) {
	return nil, s.opts.State.Update(func(tx *state.Tx) error {
		for _, name := range in.AlarmNames {
			if _, err := get(tx, c.Region, name); err != nil {
				return err
			}
			if err := tx.Delete(alarmsBucket, c.Region+"/"+name); err != nil {
				return err
			}
		}
		return nil
	})
}

func get(tx *state.Tx, region, name string) (*stored, error) {
	var a stored
	found, err := tx.Get(alarmsBucket, region+"/"+name, &a)
	if err == nil && !found {
		err = &awsapi.Error{Code: "ResourceNotFound", Message: "Alarm " + name + " does not exist", Status: http.StatusNotFound, Recorded: "ResourceNotFoundException"}
	}
	return &a, err
}

func (s *Service) change(region, name string, fn func(a *stored) error) error {
	return s.opts.State.Update(func(tx *state.Tx) error {
		a, err := get(tx, region, name)
		if err != nil {
			return err
		}
		if err := fn(a); err != nil {
			return err
		}
		return tx.Put(alarmsBucket, region+"/"+name, a)
	})
}

type stateInput struct{ AlarmName, StateValue, StateReason, StateReasonData string }

func (s *Service) setState(c *awsapi.Call, in *stateInput) (any, error) {
	switch {
	case !slices.Contains([]string{"OK", "ALARM", "INSUFFICIENT_DATA"}, in.StateValue) || in.StateReason == "":
		return nil, fail("ValidationError", "StateValue and StateReason are required.")
	case in.StateReasonData != "" && !json.Valid([]byte(in.StateReasonData)):
		return nil, fail("InvalidFormat", "StateReasonData is not JSON.")
	}
	return nil, s.change(c.Region, in.AlarmName, func(a *stored) error {
		now := s.now()
		if a.Alarm.StateValue != in.StateValue {
			a.Alarm.StateTransitionedTimestamp = now
		}
		a.Alarm.StateValue, a.Alarm.StateReason, a.Alarm.StateReasonData = in.StateValue, in.StateReason, in.StateReasonData
		a.Alarm.StateUpdatedTimestamp = now
		return nil
	})
}

func (s *Service) enableActions(c *awsapi.Call, in *namesInput) (any, error) {
	return nil, s.actions(c, in, true)
}

func (s *Service) disableActions(c *awsapi.Call, in *namesInput) (any, error) {
	return nil, s.actions(c, in, false)
}

func (s *Service) actions(c *awsapi.Call, in *namesInput, on bool) error {
	for _, name := range in.AlarmNames {
		if err := s.change(c.Region, name, func(a *stored) error { a.Alarm.ActionsEnabled = on; return nil }); err != nil {
			return err
		}
	}
	return nil
}

type tagsInput struct {
	ResourceARN string `aws:"ResourceARN"`
	Tags        []tag
	TagKeys     []string
}

// addTags returns the tags with more added, in the order they came.
func addTags(tags, more []tag) ([]tag, error) {
	sum := slices.Clone(tags)
	for _, t := range more {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, fail("InvalidParameterValue", "Tag key %q or its value is not valid.", t.Key)
		}
		i := slices.IndexFunc(sum, func(old tag) bool { return old.Key == t.Key })
		if i < 0 {
			sum = append(sum, t)
		} else {
			sum[i] = t
		}
	}
	if len(sum) > 50 {
		return nil, fail("InvalidParameterValue", "An alarm can have 50 tags.")
	}
	return sum, nil
}

// tagged changes the alarm with the input's ARN.
func (s *Service) tagged(c *awsapi.Call, in *tagsInput, fn func(a *stored) error) error {
	name, ok := strings.CutPrefix(in.ResourceARN, s.arn(c.Region, ""))
	if !ok {
		return fail("InvalidParameterValue", "Invalid ARN %s", in.ResourceARN)
	}
	return s.change(c.Region, name, fn)
}

func (s *Service) tag(c *awsapi.Call, in *tagsInput) (any, error) {
	return &struct{}{}, s.tagged(c, in, func(a *stored) (err error) {
		a.Tags, err = addTags(a.Tags, in.Tags)
		return err
	})
}

func (s *Service) untag(c *awsapi.Call, in *tagsInput) (any, error) {
	return &struct{}{}, s.tagged(c, in, func(a *stored) error {
		a.Tags = slices.DeleteFunc(a.Tags, func(t tag) bool { return slices.Contains(in.TagKeys, t.Key) })
		return nil
	})
}

type tagsOutput struct {
	Tags []tag `aws:",keep"`
}

func (s *Service) listTags(c *awsapi.Call, in *tagsInput) (any, error) {
	out := &tagsOutput{}
	return out, s.tagged(c, in, func(a *stored) error { out.Tags = a.Tags; return nil })
}
