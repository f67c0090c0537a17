package trail_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

func selectors(t *testing.T, text string) cloudtrail.Selectors {
	t.Helper()
	var in struct {
		EventSelectors         []cloudtrail.EventSelector
		AdvancedEventSelectors []cloudtrail.AdvancedEventSelector
	}
	unmarshal(t, text, &in)
	return cloudtrail.Selectors{Basic: in.EventSelectors, Advanced: in.AdvancedEventSelectors}
}

// advanced writes an advanced selector: "Field Operator value" for each condition.
func advanced(conditions ...string) string {
	list := []map[string]any{}
	for _, c := range conditions {
		p := strings.SplitN(c, " ", 3)
		var last map[string]any
		for _, f := range list {
			if f["Field"] == p[0] {
				last = f
			}
		}
		if last == nil {
			last = map[string]any{"Field": p[0]}
			list = append(list, last)
		}
		last[p[1]] = strings.Split(p[2], ",")
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return `{"AdvancedEventSelectors":[{"FieldSelectors":` + string(b) + `}]}`
}

func TestSelectorsChoose(t *testing.T) {
	management := func(change func(e *cloudtrail.Event)) *cloudtrail.Event {
		e := &cloudtrail.Event{EventCategory: "Management", EventSource: "bedrock.amazonaws.com", EventName: "CreateGuardrail", ReadOnly: cloudtrail.False}
		change(e)
		return e
	}
	read := management(func(e *cloudtrail.Event) { e.EventName, e.ReadOnly = "ListGuardrails", cloudtrail.True })
	write := management(func(*cloudtrail.Event) {})
	kms := management(func(e *cloudtrail.Event) { e.EventSource, e.EventName = "kms.amazonaws.com", "Decrypt" })
	agent := &cloudtrail.Event{
		EventCategory: "Data", EventSource: "bedrock.amazonaws.com", EventName: "InvokeAgent", ReadOnly: cloudtrail.True,
		EventType: "AwsApiCall", SessionCredentialFromConsole: "true",
		UserIdentity: &cloudtrail.UserIdentity{ARN: "arn:aws:sts::111122223333:assumed-role/app/one"},
		Resources: []cloudtrail.Resource{
			{Type: "AWS::Bedrock::AgentAlias", ARN: "arn:aws:bedrock:us-east-1:111122223333:agent-alias/A/B"},
			{Type: "AWS::Bedrock::KnowledgeBase", ARN: "arn:aws:bedrock:us-east-1:111122223333:knowledge-base/K"},
		},
	}
	object := &cloudtrail.Event{EventCategory: "Data", EventSource: "s3.amazonaws.com", EventName: "GetObject", ReadOnly: cloudtrail.True, Resources: []cloudtrail.Resource{
		{Type: "AWS::S3::Object", ARN: "arn:aws:s3:::logs/2026/x"}, {Type: "AWS::S3::Bucket", ARN: "arn:aws:s3:::logs"},
	}}
	listing := &cloudtrail.Event{EventCategory: "Data", EventSource: "s3.amazonaws.com", EventName: "ListObjects", ReadOnly: cloudtrail.True, Resources: []cloudtrail.Resource{
		{Type: "AWS::S3::Object"}, {Type: "AWS::S3::Bucket", ARN: "arn:aws:s3:::logs"},
	}}
	function := &cloudtrail.Event{ManagementEvent: cloudtrail.False, EventSource: "lambda.amazonaws.com", Resources: []cloudtrail.Resource{
		{Type: "AWS::Lambda::Function", ARN: "arn:aws:lambda:us-east-1:111122223333:function:ask2"},
	}}
	network := &cloudtrail.Event{EventCategory: "NetworkActivity", EventSource: "bedrock.amazonaws.com", EventName: "InvokeModel", ErrorCode: "VpceAccessDenied", VPCEndpointID: "vpce-1"}

	basicData := func(kind, value string) string {
		return `{"EventSelectors":[{"IncludeManagementEvents":false,"DataResources":[{"Type":"` + kind + `","Values":["` + value + `"]}]}]}`
	}
	all := "eventCategory Equals Management"
	data := []string{"eventCategory Equals Data", "resources.type Equals AWS::Bedrock::AgentAlias"}
	and := func(more ...string) string { return advanced(append(data[:2:2], more...)...) }
	vpc := func(more ...string) string {
		return advanced(append([]string{"eventCategory Equals NetworkActivity", "eventSource Equals bedrock.amazonaws.com"}, more...)...)
	}
	for _, c := range []struct {
		selectors string
		event     *cloudtrail.Event
		want      bool
	}{
		{`{}`, read, true},
		{`{}`, write, true},
		{`{}`, agent, false},
		{`{}`, network, false},
		{`{"EventSelectors":[{}]}`, write, true},
		{`{"EventSelectors":[{"ReadWriteType":"ReadOnly"}]}`, read, true},
		{`{"EventSelectors":[{"ReadWriteType":"ReadOnly"}]}`, write, false},
		{`{"EventSelectors":[{"ReadWriteType":"WriteOnly"}]}`, read, false},
		{`{"EventSelectors":[{"ReadWriteType":"WriteOnly"}]}`, write, true},
		{`{"EventSelectors":[{"ReadWriteType":"WriteOnly"},{"ReadWriteType":"ReadOnly"}]}`, read, true},
		{`{"EventSelectors":[{"IncludeManagementEvents":false}]}`, read, false},
		{`{"EventSelectors":[{"ExcludeManagementEventSources":["kms.amazonaws.com"]}]}`, kms, false},
		{`{"EventSelectors":[{"ExcludeManagementEventSources":["kms.amazonaws.com"]}]}`, write, true},
		{basicData("AWS::S3::Object", "arn:aws:s3"), object, true},
		{basicData("AWS::S3::Object", "arn:aws:s3:::"), object, true},
		{basicData("AWS::S3::Object", "arn:aws:s3:::logs/"), object, true},
		{basicData("AWS::S3::Object", "arn:aws:s3:::logs/"), listing, true},
		{basicData("AWS::S3::Object", "arn:aws:s3:::logs/2026/"), object, true},
		{basicData("AWS::S3::Object", "arn:aws:s3:::other/"), object, false},
		{basicData("AWS::S3::Object", "arn:aws:s3:::logs/"), write, false},
		{basicData("AWS::Lambda::Function", "arn:aws:lambda"), function, true},
		{basicData("AWS::Lambda::Function", "arn:aws:lambda:us-east-1:111122223333:function:ask2"), function, true},
		{basicData("AWS::Lambda::Function", "arn:aws:lambda:us-east-1:111122223333:function:ask"), function, false},

		{advanced(all), read, true},
		{advanced(all), agent, false},
		{advanced(all, "readOnly Equals true"), read, true},
		{advanced(all, "readOnly Equals true"), write, false},
		{advanced(all, "readOnly Equals false"), write, true},
		{advanced(all, "eventSource NotEquals kms.amazonaws.com"), kms, false},
		{advanced(all, "eventSource NotEquals kms.amazonaws.com"), write, true},
		{and(), agent, true},
		{and(), object, false},
		{and(), write, false},
		{advanced("eventCategory Equals Data", "resources.type Equals AWS::Bedrock::KnowledgeBase"), agent, true},
		{and("eventName Equals InvokeAgent"), agent, true},
		{and("eventName Equals Retrieve,InvokeAgent"), agent, true},
		{and("eventName Equals Retrieve"), agent, false},
		{and("eventName Equals Retrieve", "eventName StartsWith Invoke"), agent, true}, // SELECT operators are OR-ed
		{and("eventName StartsWith Invoke", "eventName NotEndsWith Agent"), agent, false},
		{and("eventName NotEquals InvokeAgent"), agent, false},
		{and("eventName NotEquals Retrieve", "eventName NotStartsWith Get"), agent, true},
		{and("eventName NotStartsWith Retrieve,Invoke"), agent, false},
		{and("eventName EndsWith Agent"), agent, true},
		{and("readOnly Equals false"), agent, false},
		{and("eventType Equals AwsApiCall"), agent, true},
		{and("eventSource NotEquals bedrock.amazonaws.com"), agent, false},
		{and("resources.ARN StartsWith arn:aws:bedrock:us-east-1:111122223333:agent-alias/A/"), agent, true},
		{and("resources.ARN Equals arn:aws:bedrock:us-east-1:111122223333:knowledge-base/K"), agent, false}, // of another type
		{and("resources.ARN NotStartsWith arn:aws:bedrock:us-east-1:111122223333:agent-alias/A/"), agent, false},
		{and("resources.ARN NotEquals arn:aws:bedrock:us-east-1:111122223333:knowledge-base/K"), agent, true},
		{and("userIdentity.arn StartsWith arn:aws:sts::111122223333:assumed-role/app/"), agent, true},
		{and("userIdentity.arn NotEndsWith /one"), agent, false},
		{and("sessionCredentialFromConsole Equals true"), agent, true},
		{and("sessionCredentialFromConsole NotEquals true"), agent, false},
		{vpc(), network, true},
		{vpc(), write, false},
		{vpc("errorCode Equals VpceAccessDenied"), network, true},
		{vpc("vpcEndpointId Equals vpce-2"), network, false},
		{vpc("vpcEndpointId NotEquals vpce-2", "eventName Equals InvokeModel"), network, true},
	} {
		s := selectors(t, c.selectors)
		if c.selectors != `{}` {
			if err := trail.CheckSelectors(s); err != nil {
				t.Errorf("%s: %v", c.selectors, err)
			}
		}
		if got := s.Choose(c.event); got != c.want {
			t.Errorf("%s chooses %s of %s: %v; want %v", c.selectors, c.event.EventName, c.event.EventSource, got, c.want)
		}
	}
}

func TestSelectorsRefused(t *testing.T) {
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat("a,", n), ",") }
	data := func(more ...string) string {
		return advanced(append([]string{"eventCategory Equals Data", "resources.type Equals AWS::Bedrock::AgentAlias"}, more...)...)
	}
	for _, c := range []struct{ selectors, want string }{
		{`{}`, "at least one"},
		{`{"EventSelectors":[{}],"AdvancedEventSelectors":[{"FieldSelectors":[]}]}`, "together"},
		{`{"EventSelectors":[{},{},{},{},{},{}]}`, "5 event selectors"},
		{`{"EventSelectors":[{"ReadWriteType":"read-only"}]}`, "ReadWriteType"},
		{`{"EventSelectors":[{"ExcludeManagementEventSources":["iam.amazonaws.com"]}]}`, "iam.amazonaws.com"},
		{`{"EventSelectors":[{"DataResources":[{"Type":"AWS::Bedrock::AgentAlias","Values":["arn:aws:bedrock"]}]}]}`, "advanced event selectors"},
		{`{"EventSelectors":[{"DataResources":[{"Type":"AWS::S3::Object","Values":["logs/"]}]}]}`, "not an ARN"},
		{`{"EventSelectors":[{"DataResources":[{"Type":"AWS::S3::Object","Values":["` + strings.Repeat(`arn:aws:s3:::a","`, 250) + `arn:aws:s3:::b"]}]}]}`, "251 data resources"},
		{`{"AdvancedEventSelectors":[{"FieldSelectors":[]}]}`, "eventCategory"},
		{advanced("readOnly Equals true"), "eventCategory"},
		{advanced("eventCategory Equals Insight"), "eventCategory"},
		{advanced("eventCategory Equals Management,Data"), "eventCategory"},
		{advanced("eventCategory Equals Management", "eventCategory NotEquals Data"), "eventCategory"},
		{advanced("eventCategory Equals Management", "eventName Equals InvokeModel"), "can't be used for Management"},
		{advanced("eventCategory Equals Management", "eventSource Equals bedrock.amazonaws.com"), "NotEquals only"},
		{advanced("eventCategory Equals Management", "eventSource NotEquals iam.amazonaws.com"), "kms.amazonaws.com"},
		{advanced("eventCategory Equals Data"), "resources.type is missing"},
		{advanced("eventCategory Equals Data", "resources.type Equals AWS::Bedrock::Prompt"), `"AWS::Bedrock::Prompt" is not valid`},
		{advanced("eventCategory Equals Data", "resources.type Equals AWS::Bedrock::AgentAlias,AWS::Bedrock::Model"), "one value"},
		{advanced("eventCategory Equals Data", "resources.type StartsWith AWS::Bedrock"), "one value"},
		{data("readOnly Equals yes"), "readOnly"},
		{data("readOnly NotEquals true"), "readOnly"},
		{data("vpcEndpointId Equals vpce-1"), "can't be used for Data"},
		{data("eventName Equals " + many(499)), "501 values"},
		{data("eventName Equals " + strings.Repeat("a", 2049)), "2049 characters"},
		{data("sessionCredentialFromConsole StartsWith t"), "sessionCredentialFromConsole"},
		{`{"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]},{"Field":"resources.type","Equals":["AWS::Bedrock::AgentAlias"]},{"Field":"eventName"}]}]}`, "no operator"},
		{`{"AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]},{"Field":"eventCategory","Equals":["Management"]}]}]}`, "twice"},
		{advanced("eventCategory Equals NetworkActivity"), "eventSource is missing"},
		{advanced("eventCategory Equals NetworkActivity", "eventSource Equals a.amazonaws.com,b.amazonaws.com"), "one event source"},
		{advanced("eventCategory Equals NetworkActivity", "eventSource Equals bedrock.amazonaws.com", "errorCode Equals AccessDenied"), "VpceAccessDenied"},
	} {
		err := trail.CheckSelectors(selectors(t, c.selectors))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200s: %v; want %q", c.selectors, err, c.want)
		}
	}
	if err := trail.CheckSelectors(selectors(t, data("eventName Equals "+many(498)))); err != nil {
		t.Errorf("500 values: %v", err)
	}
}
