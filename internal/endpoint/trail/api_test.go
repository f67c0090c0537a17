package trail_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

const arn = "arn:aws:cloudtrail:us-east-1:111122223333:trail/ai-trail"

func TestTrailLifeCycle(t *testing.T) {
	w := newWorld(t)
	var created map[string]any
	unmarshal(t, w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail","S3KeyPrefix":"p","IsMultiRegionTrail":true,"TagsList":[{"Key":"team","Value":"a"}]}`), &created)
	want := map[string]any{
		"Name": "ai-trail", "S3BucketName": "ai-trail", "S3KeyPrefix": "p", "IncludeGlobalServiceEvents": true,
		"IsMultiRegionTrail": true, "TrailARN": arn, "LogFileValidationEnabled": false, "IsOrganizationTrail": false,
	}
	if diff := cmp.Diff(want, created); diff != "" {
		t.Error(diff)
	}
	w.restart()
	want["HomeRegion"], want["HasCustomEventSelectors"], want["HasInsightSelectors"] = "us-east-1", false, false
	check := func(region, in string, n int) {
		t.Helper()
		out, err := w.callIn(region, "DescribeTrails", in)
		if err != nil {
			t.Fatal(err)
		}
		var list struct{ TrailList []map[string]any }
		unmarshal(t, out, &list)
		if len(list.TrailList) != n || n > 0 && !cmp.Equal(want, list.TrailList[0]) {
			t.Errorf("DescribeTrails %s in %s: %s", in, region, out)
		}
	}
	check("us-east-1", `{}`, 1)
	check("us-east-1", `{"trailNameList":["ai-trail"]}`, 1)
	check("us-east-1", `{"trailNameList":["`+arn+`"],"includeShadowTrails":false}`, 1)
	check("us-east-1", `{"trailNameList":["other"]}`, 0)
	check("eu-west-1", `{}`, 1) // the shadow
	check("eu-west-1", `{"trailNameList":["ai-trail"]}`, 1)
	check("eu-west-1", `{"trailNameList":["`+arn+`"]}`, 1)
	check("eu-west-1", `{"includeShadowTrails":false}`, 0)

	w.do("UpdateTrail", `{"Name":"`+arn+`","IsMultiRegionTrail":false,"S3KeyPrefix":"","EnableLogFileValidation":true}`)
	want["IsMultiRegionTrail"], want["LogFileValidationEnabled"] = false, true
	delete(want, "S3KeyPrefix")
	check("us-east-1", `{}`, 1)
	check("eu-west-1", `{}`, 0)

	if got := w.do("ListTrails", `{}`); got != `{"Trails":[{"TrailARN":"`+arn+`","Name":"ai-trail","HomeRegion":"us-east-1"}]}` {
		t.Error(got)
	}
	w.do("AddTags", `{"ResourceId":"`+arn+`","TagsList":[{"Key":"stage","Value":"x"},{"Key":"team","Value":"b"}]}`)
	w.do("RemoveTags", `{"ResourceId":"`+arn+`","TagsList":[{"Key":"gone"},{"Key":"stage"}]}`)
	if got := w.do("ListTags", `{"ResourceIdList":["`+arn+`"]}`); got != `{"ResourceTagList":[{"ResourceId":"`+arn+`","TagsList":[{"Key":"team","Value":"b"}]}]}` {
		t.Error(got)
	}
	w.do("DeleteTrail", `{"Name":"ai-trail"}`)
	check("us-east-1", `{}`, 0)
}

func TestSettings(t *testing.T) {
	w := newWorld(t)
	w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail"}`)
	if got := w.do("GetEventSelectors", `{"TrailName":"ai-trail"}`); got != `{"TrailARN":"`+arn+`","EventSelectors":[{"ReadWriteType":"All","IncludeManagementEvents":true,"DataResources":[],"ExcludeManagementEventSources":[]}]}` {
		t.Error(got)
	}
	put := `"AdvancedEventSelectors":[{"Name":"all","FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]}]}]}`
	want := `{"TrailARN":"` + arn + `",` + put
	if got := w.do("PutEventSelectors", `{"TrailName":"ai-trail",`+put); got != want {
		t.Error(got)
	}
	w.restart()
	if got := w.do("GetEventSelectors", `{"TrailName":"ai-trail"}`); got != want {
		t.Error(got)
	}
	w.refused("InsightNotEnabledException", "GetInsightSelectors", `{"TrailName":"ai-trail"}`)
	insights := `"InsightSelectors":[{"InsightType":"ApiCallRateInsight"},{"InsightType":"ApiErrorRateInsight","EventCategories":["Management","Data"]}]}`
	w.do("PutInsightSelectors", `{"TrailName":"`+arn+`",`+insights)
	if got := w.do("GetInsightSelectors", `{"TrailName":"ai-trail"}`); got != `{"TrailARN":"`+arn+`",`+insights {
		t.Error(got)
	}
	if got := w.do("GetTrail", `{"Name":"ai-trail"}`); !strings.Contains(got, `"HasCustomEventSelectors":true,"HasInsightSelectors":true`) {
		t.Error(got)
	}
	w.do("PutInsightSelectors", `{"TrailName":"ai-trail","InsightSelectors":[]}`)
	w.refused("InsightNotEnabledException", "GetInsightSelectors", `{"TrailName":"ai-trail"}`)
	if got := w.do("GetEventConfiguration", `{"TrailName":"ai-trail"}`); got != `{"TrailARN":"`+arn+`"}` {
		t.Error(got)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.options = func(o *trail.Options) {
		o.AllowRole = func(_ context.Context, role, service, action, resource string) error {
			if role != "arn:aws:iam::111122223333:role/trail" || service != "cloudtrail.amazonaws.com" ||
				resource != "arn:aws:logs:us-east-1:111122223333:log-group:audit:log-stream:111122223333_CloudTrail_us-east-1" {
				return fmt.Errorf("%s may not %s %s as %s", service, action, resource, role)
			}
			return nil
		}
	}
	w.restart()
	w.do("CreateLogGroup", `{"logGroupName":"audit"}`)
	w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail"`+logGroup+`}`)
	create := func(more string) string { return `{"Name":"new-trail","S3BucketName":"ai-trail"` + more + `}` }
	for _, c := range []struct{ code, operation, in string }{
		{"InvalidTrailNameException", "CreateTrail", `{"S3BucketName":"ai-trail"}`},
		{"InvalidTrailNameException", "CreateTrail", `{"Name":"ab","S3BucketName":"ai-trail"}`},
		{"InvalidTrailNameException", "CreateTrail", `{"Name":"a--b","S3BucketName":"ai-trail"}`},
		{"InvalidTrailNameException", "CreateTrail", `{"Name":"-ab","S3BucketName":"ai-trail"}`},
		{"InvalidTrailNameException", "CreateTrail", `{"Name":"ab_","S3BucketName":"ai-trail"}`},
		{"InvalidTrailNameException", "CreateTrail", `{"Name":"a b c","S3BucketName":"ai-trail"}`},
		{"InvalidTrailNameException", "CreateTrail", `{"Name":"192.168.5.4","S3BucketName":"ai-trail"}`},
		{"InvalidTrailNameException", "CreateTrail", `{"Name":"` + strings.Repeat("a", 129) + `","S3BucketName":"ai-trail"}`},
		{"TrailAlreadyExistsException", "CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail"}`},
		{"InvalidS3BucketNameException", "CreateTrail", `{"Name":"new-trail"}`},
		{"InvalidS3BucketNameException", "CreateTrail", `{"Name":"new-trail","S3BucketName":"Not_A_Bucket"}`},
		{"S3BucketDoesNotExistException", "CreateTrail", `{"Name":"new-trail","S3BucketName":"no-such-bucket"}`},
		{"InsufficientS3BucketPolicyException", "CreateTrail", `{"Name":"new-trail","S3BucketName":"no-policy"}`},
		{"InvalidS3PrefixException", "CreateTrail", create(`,"S3KeyPrefix":"` + strings.Repeat("p", 201) + `"`)},
		{"InvalidParameterCombinationException", "CreateTrail", create(`,"IsMultiRegionTrail":true,"IncludeGlobalServiceEvents":false`)},
		{"InsufficientSnsTopicPolicyException", "CreateTrail", create(`,"SnsTopicName":"t"`)},
		{"OrganizationsNotInUseException", "CreateTrail", create(`,"IsOrganizationTrail":true`)},
		{"KmsKeyNotFoundException", "CreateTrail", create(`,"KmsKeyId":"alias/none"`)},
		{"InvalidTagParameterException", "CreateTrail", create(`,"TagsList":[{"Key":"a"},{"Key":"a"}]`)},
		{"InvalidTagParameterException", "CreateTrail", create(`,"TagsList":[{"Key":"aws:a"}]`)},
		{"InvalidCloudWatchLogsLogGroupArnException", "CreateTrail", create(strings.Replace(logGroup, ":*", "", 1))},
		{"InvalidCloudWatchLogsLogGroupArnException", "CreateTrail", create(strings.Replace(logGroup, "audit", "other", 1))},
		{"InvalidCloudWatchLogsLogGroupArnException", "CreateTrail", create(strings.Replace(logGroup, "us-east-1", "eu-west-1", 1))},
		{"InvalidCloudWatchLogsLogGroupArnException", "CreateTrail", create(`,"CloudWatchLogsRoleArn":"arn:aws:iam::111122223333:role/trail"`)},
		{"InvalidCloudWatchLogsRoleArnException", "CreateTrail", create(strings.Replace(logGroup, "role/trail", "role/other", 1))},
		{"InvalidCloudWatchLogsRoleArnException", "CreateTrail", create(strings.Replace(logGroup, "arn:aws:iam", "iam", 1))},
		{"InvalidCloudWatchLogsRoleArnException", "CreateTrail", create(`,"CloudWatchLogsLogGroupArn":"arn:aws:logs:us-east-1:111122223333:log-group:audit:*"`)},
		{"SerializationException", "CreateTrail", `{"Name":5}`},
		{"TrailNotFoundException", "UpdateTrail", `{"Name":"other"}`},
		{"TrailNotFoundException", "StartLogging", `{"Name":"arn:aws:cloudtrail:us-east-1:444455556666:trail/ai-trail"}`},
		{"CloudTrailARNInvalidException", "StopLogging", `{"Name":"arn:aws:cloudtrail:us-east-1:111122223333:channel/ai-trail"}`},
		{"InsufficientS3BucketPolicyException", "UpdateTrail", `{"Name":"ai-trail","S3BucketName":"no-policy"}`},
		{"InvalidParameterCombinationException", "UpdateTrail", `{"Name":"ai-trail","IsMultiRegionTrail":true,"IncludeGlobalServiceEvents":false}`},
		{"InvalidEventSelectorsException", "PutEventSelectors", `{"TrailName":"ai-trail"}`},
		{"InvalidInsightSelectorsException", "PutInsightSelectors", `{"TrailName":"ai-trail","InsightSelectors":[{"InsightType":"X"}]}`},
		{"ResourceNotFoundException", "ListTags", `{"ResourceIdList":["` + arn + `s"]}`},
		{"CloudTrailARNInvalidException", "AddTags", `{"ResourceId":"ai-trail"}`},
		{"InvalidTimeRangeException", "ListPublicKeys", `{"StartTime":2000,"EndTime":1000}`},
		{"InvalidTimeRangeException", "LookupEvents", `{"StartTime":2000,"EndTime":1000}`},
		{"InvalidMaxResultsException", "LookupEvents", `{"MaxResults":51}`},
		{"InvalidMaxResultsException", "LookupEvents", `{"MaxResults":0}`},
		{"InvalidNextTokenException", "LookupEvents", `{"NextToken":"x"}`},
		{"InvalidEventCategoryException", "LookupEvents", `{"EventCategory":"data"}`},
		{"InvalidLookupAttributesException", "LookupEvents", `{"LookupAttributes":[{"AttributeKey":"Color","AttributeValue":"x"}]}`},
		{"InvalidLookupAttributesException", "LookupEvents", `{"LookupAttributes":[{"AttributeKey":"EventName","AttributeValue":"x"},{"AttributeKey":"EventName","AttributeValue":"y"}]}`},
	} {
		w.refused(c.code, c.operation, c.in)
	}
	// A refused change changes nothing.
	if got := w.do("GetTrail", `{"Name":"ai-trail"}`); !strings.Contains(got, `"S3BucketName":"ai-trail","IncludeGlobalServiceEvents":true,"IsMultiRegionTrail":false`) {
		t.Error(got)
	}
}

func TestHomeRegion(t *testing.T) {
	w := newWorld(t)
	w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail","IsMultiRegionTrail":true}`)
	for _, name := range []string{"ai-trail", arn} {
		for operation, member := range map[string]string{
			"UpdateTrail": "Name", "DeleteTrail": "Name", "StartLogging": "Name", "StopLogging": "Name",
			"PutEventSelectors": "TrailName", "PutInsightSelectors": "TrailName",
		} {
			_, err := w.callIn("eu-west-1", operation, `{"`+member+`":"`+name+`","EventSelectors":[{}]}`)
			var e *awsapi.Error
			if !errors.As(err, &e) || e.Code != "InvalidHomeRegionException" {
				t.Errorf("%s %s in another Region: %v", operation, name, err)
			}
		}
		if _, err := w.callIn("eu-west-1", "GetTrailStatus", `{"Name":"`+name+`"}`); err != nil {
			t.Errorf("GetTrailStatus %s in another Region: %v", name, err)
		}
	}
}

func TestFiveTrailsInARegion(t *testing.T) {
	w := newWorld(t)
	for i := range 4 {
		w.do("CreateTrail", fmt.Sprintf(`{"Name":"trail-%d","S3BucketName":"ai-trail"}`, i))
	}
	if _, err := w.callIn("eu-west-1", "CreateTrail", `{"Name":"far","S3BucketName":"ai-trail","IsMultiRegionTrail":true}`); err != nil {
		t.Fatal(err)
	}
	w.refused("MaximumNumberOfTrailsExceededException", "CreateTrail", `{"Name":"sixth","S3BucketName":"ai-trail"}`)
	w.refused("TrailAlreadyExistsException", "CreateTrail", `{"Name":"far","S3BucketName":"ai-trail"}`)
	if _, err := w.callIn("ap-south-1", "CreateTrail", `{"Name":"south","S3BucketName":"ai-trail"}`); err != nil {
		t.Fatal(err)
	}
	_, err := w.callIn("ap-south-1", "UpdateTrail", `{"Name":"south","IsMultiRegionTrail":true}`)
	var e *awsapi.Error
	if !errors.As(err, &e) || e.Code != "MaximumNumberOfTrailsExceededException" {
		t.Errorf("a sixth trail in us-east-1 by UpdateTrail: %v", err)
	}
}

func TestDescribesItsCalls(t *testing.T) {
	w := newWorld(t)
	serve := func(operation, in string) *awsapi.Call {
		t.Helper()
		c := &awsapi.Call{
			Request: httptest.NewRequestWithContext(t.Context(), "POST", "/", nil), Body: []byte(in),
			Account: account, Region: home, Operation: operation, ID: "r",
		}
		w.service.Describe(c)
		if _, err := w.service.Serve(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := serve("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail","TagsList":[{"Key":"A","Value":"B"}]}`)
	want := awsapi.Record{
		EventSource: "cloudtrail.amazonaws.com",
		RequestParameters: map[string]any{
			"name": "ai-trail", "s3BucketName": "ai-trail", "tagsList": []any{map[string]any{"key": "A", "value": "B"}},
		},
		ResponseElements: map[string]any{
			"name": "ai-trail", "s3BucketName": "ai-trail", "includeGlobalServiceEvents": true, "isMultiRegionTrail": false,
			"trailARN": arn, "logFileValidationEnabled": false, "isOrganizationTrail": false,
		},
	}
	if diff := cmp.Diff(want, c.Record); diff != "" {
		t.Error(diff)
	}
	if got := serve("StartLogging", `{"Name":"ai-trail"}`).Record; got.ReadOnly || got.ResponseElements != nil {
		t.Errorf("StartLogging: %+v", got)
	}
	if got := serve("DescribeTrails", `{}`).Record; !got.ReadOnly || got.ResponseElements != nil || got.RequestParameters != nil {
		t.Errorf("DescribeTrails: %+v", got)
	}
	access := w.service.Access(&awsapi.Call{Operation: "UpdateTrail", Region: home, Body: []byte(`{"Name":"ai-trail","CloudWatchLogsRoleArn":"arn:r"}`)})
	if diff := cmp.Diff([]awsapi.Access{{Action: "cloudtrail:UpdateTrail", Resource: arn}, {Action: "iam:PassRole", Resource: "arn:r"}}, access); diff != "" {
		t.Error(diff)
	}
}

type lookedUp struct {
	Events []struct {
		EventId, EventName, ReadOnly, AccessKeyId, EventSource, Username, CloudTrailEvent string
		EventTime                                                                         float64
		Resources                                                                         []struct{ ResourceType, ResourceName string }
	}
	NextToken string
}

func (w *world) lookup(in string) (names []string, next string) {
	w.t.Helper()
	var out lookedUp
	unmarshal(w.t, w.do("LookupEvents", in), &out)
	names = []string{}
	for _, e := range out.Events {
		if e.EventName != "LookupEvents" { // its own calls are events too
			names = append(names, e.EventName)
		}
	}
	return names, out.NextToken
}

func TestLookupEvents(t *testing.T) {
	w := newWorld(t)
	w.invoke("Old")
	w.now = w.now.Add(89 * 24 * time.Hour)
	w.invoke("A")
	w.now = w.now.Add(2 * 24 * time.Hour)
	w.invoke("B", "C")
	data := w.event(bedrock, "InvokeAgent", home)
	data.EventCategory, data.ManagementEvent = "Data", cloudtrail.False
	special := w.event("sagemaker.amazonaws.com", "Special", home)
	special.EventID, special.ReadOnly = "the-id", cloudtrail.True
	special.UserIdentity = &cloudtrail.UserIdentity{Type: "AssumedRole", ARN: "arn:aws:sts::111122223333:assumed-role/app/session", AccessKeyID: "ASIAEXAMPLE"}
	special.Resources = []cloudtrail.Resource{{Type: "AWS::SageMaker::Endpoint", ARN: "arn:aws:sagemaker:us-east-1:111122223333:endpoint/e"}}
	w.put(data, w.event(bedrock, "Elsewhere", "eu-west-1"), special)

	for in, want := range map[string][]string{
		`{}`: {"Special", "C", "B", "A"},
		`{"LookupAttributes":[{"AttributeKey":"EventName","AttributeValue":"B"}]}`:                           {"B"},
		`{"LookupAttributes":[{"AttributeKey":"EventName","AttributeValue":"Old"}]}`:                         {},
		`{"LookupAttributes":[{"AttributeKey":"EventName","AttributeValue":"InvokeAgent"}]}`:                 {},
		`{"LookupAttributes":[{"AttributeKey":"EventId","AttributeValue":"the-id"}]}`:                        {"Special"},
		`{"LookupAttributes":[{"AttributeKey":"ReadOnly","AttributeValue":"true"}]}`:                         {"Special"},
		`{"LookupAttributes":[{"AttributeKey":"Username","AttributeValue":"session"}]}`:                      {"Special"},
		`{"LookupAttributes":[{"AttributeKey":"ResourceType","AttributeValue":"AWS::SageMaker::Endpoint"}]}`: {"Special"},
		`{"LookupAttributes":[{"AttributeKey":"ResourceName","AttributeValue":"e"}]}`:                        {"Special"},
		`{"LookupAttributes":[{"AttributeKey":"EventSource","AttributeValue":"sagemaker.amazonaws.com"}]}`:   {"Special"},
		`{"LookupAttributes":[{"AttributeKey":"AccessKeyId","AttributeValue":"ASIAEXAMPLE"}]}`:               {"Special"},
		fmt.Sprintf(`{"EndTime":%d}`, w.now.Unix()-1):                                                        {"A"},
		fmt.Sprintf(`{"StartTime":%d}`, w.now.Unix()):                                                        {"Special", "C", "B"},
		`{"EventCategory":"insight"}`: {},
	} {
		got, _ := w.lookup(in)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}

	var out lookedUp
	unmarshal(t, w.do("LookupEvents", `{"LookupAttributes":[{"AttributeKey":"EventId","AttributeValue":"the-id"}]}`), &out)
	e := out.Events[0]
	var decoded cloudtrail.Event
	if err := decoded.Decode(e.CloudTrailEvent); err != nil || decoded.EventName != "Special" {
		t.Errorf("CloudTrailEvent %s: %v", e.CloudTrailEvent, err)
	}
	if e.Username != "session" || e.ReadOnly != "true" || e.EventTime != float64(w.now.Unix()) || e.AccessKeyId != "ASIAEXAMPLE" || e.Resources[0].ResourceType != "AWS::SageMaker::Endpoint" {
		t.Errorf("event: %+v", e)
	}
}

// Pages hold every event once, newest first, whatever is recorded meanwhile, and however the record is out of order.
func TestLookupEventsPages(t *testing.T) {
	w := newWorld(t)
	const n = 120
	want := []string{}
	for i := range n {
		e := w.event(bedrock, fmt.Sprintf("E%03d", i), home)
		e.EventTime = w.now.Add(time.Duration(i^3) * time.Second) // neighbours change places
		w.put(e)
	}
	for i := n - 1; i >= 0; i-- {
		want = append(want, fmt.Sprintf("E%03d", i^3))
	}
	w.now = w.now.Add(time.Hour)
	request := `{"LookupAttributes":[{"AttributeKey":"EventSource","AttributeValue":"bedrock.amazonaws.com"}],"MaxResults":25`
	got, next := w.lookup(request + `}`)
	for pages := 1; next != ""; pages++ {
		if pages > n {
			t.Fatal("no end")
		}
		w.invoke("Later")
		w.restart()
		var page []string
		page, next = w.lookup(request + `,"NextToken":"` + next + `"}`)
		got = append(got, page...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, next = w.lookup(request + `}`)
	w.refused("InvalidNextTokenException", "LookupEvents", `{"NextToken":"`+next+`"}`)
}

func TestListPublicKeys(t *testing.T) {
	w := newWorld(t)
	first := w.do("ListPublicKeys", `{}`)
	w.restart()
	if again := w.do("ListPublicKeys", `{}`); again != first {
		t.Errorf("keys after a restart: %s; before: %s", again, first)
	}
	if got := w.do("ListPublicKeys", `{"StartTime":1000,"EndTime":2000}`); got != `{"PublicKeyList":[]}` {
		t.Errorf("keys of 1970: %s", got)
	}
	if keys := w.keys(); len(keys) != 1 || keys[0].From.After(w.now) || keys[0].To.Before(w.now) {
		t.Errorf("keys: %v", keys)
	}
}
