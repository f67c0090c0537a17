package monitoring_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/monitoring"
	"github.com/aitrail/aitrail/internal/endpoint/rpc/rpctest"
)

const arn = "arn:aws:cloudwatch:us-east-1:111122223333:alarm:a"

func put(more ...string) []string {
	return append([]string{
		"AlarmName", "a", "Namespace", "n", "MetricName", "m", "Statistic", "Sum", "Period", "300", "EvaluationPeriods", "1",
		"Threshold", "0", "ComparisonOperator", "GreaterThanThreshold", "AlarmActions.member.1", "arn:aws:sns:us-east-1:111122223333:t",
		"Dimensions.member.1.Name", "d", "Dimensions.member.1.Value", "v", "Tags.member.1.Key", "k", "Tags.member.1.Value", "v",
	}, more...)
}

func TestAlarms(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	s := monitoring.New(monitoring.Options{Account: rpctest.Account, State: rpctest.State(t), Now: func() time.Time { return now }})
	do := func(operation string, parameters ...string) string {
		t.Helper()
		call, got, err := rpctest.Query(s, operation, parameters...)
		if err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
		if call.Record.EventSource != "monitoring.amazonaws.com" || call.Record.Data {
			t.Errorf("%+v", call.Record)
		}
		return got
	}
	refused := func(code, operation string, parameters ...string) {
		t.Helper()
		_, got, err := rpctest.Query(s, operation, parameters...)
		var e *awsapi.Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("%s: %s, %v; want %s", operation, got, err, code)
		}
	}
	refused("ValidationError", "PutMetricAlarm", put("ComparisonOperator", "Equals")...)
	refused("ValidationError", "PutMetricAlarm", put("EvaluationPeriods", "0")...)
	refused("MissingParameter", "PutMetricAlarm", put("Namespace", "")...)
	refused("ValidationError", "PutMetricAlarm", put("TreatMissingData", "x")...)
	do("PutMetricAlarm", put()...)
	got := do("DescribeAlarms", "AlarmNames.member.1", "a")
	for _, want := range []string{
		"<AlarmArn>" + arn + "</AlarmArn>", "<Threshold>0</Threshold>", "<StateValue>INSUFFICIENT_DATA</StateValue>", "<ActionsEnabled>true</ActionsEnabled>",
		"<Dimensions><member><Name>d</Name><Value>v</Value></member></Dimensions>", "<OKActions></OKActions>",
		"<AlarmConfigurationUpdatedTimestamp>2026-11-23T09:00:00.000Z</AlarmConfigurationUpdatedTimestamp>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	do("SetAlarmState", "AlarmName", "a", "StateValue", "ALARM", "StateReason", "r")
	do("DisableAlarmActions", "AlarmNames.member.1", "a")
	do("PutMetricAlarm", put("Threshold", "2.5", "ActionsEnabled", "false")...)
	if got := do("DescribeAlarms", "StateValue", "ALARM"); !strings.Contains(got, "<Threshold>2.5</Threshold>") || !strings.Contains(got, "<ActionsEnabled>false</ActionsEnabled>") {
		t.Error(got)
	}
	if got := do("DescribeAlarms", "StateValue", "OK"); strings.Contains(got, arn) {
		t.Error(got)
	}
	do("TagResource", "ResourceARN", arn, "Tags.member.1.Key", "x", "Tags.member.1.Value", "y")
	do("UntagResource", "ResourceARN", arn, "TagKeys.member.1", "k")
	if got := do("ListTagsForResource", "ResourceARN", arn); !strings.Contains(got, "<Tags><member><Key>x</Key><Value>y</Value></member></Tags>") {
		t.Error(got)
	}
	refused("ResourceNotFound", "DeleteAlarms", "AlarmNames.member.1", "a", "AlarmNames.member.2", "b")
	do("DeleteAlarms", "AlarmNames.member.1", "a")
	refused("ResourceNotFound", "ListTagsForResource", "ResourceARN", arn)
}

func TestCBOR(t *testing.T) {
	s := monitoring.New(monitoring.Options{Account: rpctest.Account, State: rpctest.State(t)})
	in := cbor.Encode(cbor.Map{
		"AlarmName": cbor.String("a"), "Namespace": cbor.String("n"), "MetricName": cbor.String("m"), "Statistic": cbor.String("Sum"),
		"Period": cbor.Uint(60), "EvaluationPeriods": cbor.Uint(1), "Threshold": cbor.Float64(1.5), "ComparisonOperator": cbor.String("LessThanThreshold"),
	})
	call, _, err := rpctest.CBOR(s, "PutMetricAlarm", string(in))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"alarmName": "a", "namespace": "n", "metricName": "m", "statistic": "Sum", "period": int64(60), "evaluationPeriods": int64(1),
		"threshold": 1.5, "comparisonOperator": "LessThanThreshold",
	}
	if diff := cmp.Diff(want, call.Record.RequestParameters); diff != "" {
		t.Error(diff)
	}
	_, out, err := rpctest.CBOR(s, "DescribeAlarms", "")
	if err != nil {
		t.Fatal(err)
	}
	v, err := cbor.Decode([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	list, _ := v.(cbor.Map)["MetricAlarms"].(cbor.List)
	if len(list) != 1 || list[0].(cbor.Map)["Threshold"] != cbor.Float64(1.5) {
		t.Errorf("%#v", v)
	}
	if _, ok := list[0].(cbor.Map)["StateUpdatedTimestamp"].(*cbor.Tag); !ok {
		t.Errorf("%#v", list[0])
	}
}
