package logs_test

import (
	"strings"
	"testing"
)

func TestMetricFilters(t *testing.T) {
	w := newWorld(t)
	w.do("CreateLogGroup", `{"logGroupName":"g"}`)
	filter := func(name, pattern, more string) string {
		return `{"logGroupName":"g","filterName":"` + name + `","filterPattern":"` + pattern +
			`","metricTransformations":[{"metricName":"m","metricNamespace":"n","metricValue":"1"` + more + `}]}`
	}
	w.refused("ResourceNotFoundException", "PutMetricFilter", strings.Replace(filter("f", "x", ""), `"g"`, `"none"`, 1))
	w.refused("InvalidParameterException", "PutMetricFilter", filter("f", "{ $.a = ", ""))
	w.refused("InvalidParameterException", "PutMetricFilter", filter("f:", "x", ""))
	w.refused("InvalidParameterException", "PutMetricFilter", filter("f", "x", `,"defaultValue":0,"dimensions":{"a":"$.a"}`))
	w.refused("InvalidParameterException", "PutMetricFilter", `{"logGroupName":"g","filterName":"f","filterPattern":"","metricTransformations":[]}`)
	w.do("PutMetricFilter", filter("f", "{ $.eventName = StopLogging }", `,"defaultValue":0`))
	w.do("PutMetricFilter", filter("f", "{ $.eventName = DeleteTrail }", `,"defaultValue":0`))
	w.do("PutMetricFilter", filter("other", "x", ""))
	got := w.do("DescribeMetricFilters", `{"logGroupName":"g","filterNamePrefix":"f"}`)
	for _, want := range []string{
		`"filterName":"f","filterPattern":"{ $.eventName = DeleteTrail }"`, `"defaultValue":0`, `"unit":"None"`, `"logGroupName":"g"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if strings.Contains(got, "other") {
		t.Error(got)
	}
	page := w.do("DescribeMetricFilters", `{"limit":1}`)
	if strings.Contains(page, `"other"`) || !strings.Contains(page, `"nextToken":"`) {
		t.Error(page)
	}
	if got := w.do("DescribeLogGroups", `{}`); !strings.Contains(got, `"metricFilterCount":2`) {
		t.Error(got)
	}
	w.do("DeleteMetricFilter", `{"logGroupName":"g","filterName":"f"}`)
	w.refused("ResourceNotFoundException", "DeleteMetricFilter", `{"logGroupName":"g","filterName":"f"}`)
	w.do("DeleteLogGroup", `{"logGroupName":"g"}`)
	w.do("CreateLogGroup", `{"logGroupName":"g"}`)
	if got := w.do("DescribeMetricFilters", `{"logGroupName":"g"}`); got != `{"metricFilters":[]}` {
		t.Errorf("a new group of the name has %s", got)
	}
	w.refused("InvalidParameterException", "AssociateKmsKey", `{"logGroupName":"g","kmsKeyId":"k"}`)
	w.do("DisassociateKmsKey", `{"logGroupName":"g"}`)
}
