package query

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/lake"
)

// lakeView is the name of the view with CloudTrail Lake's columns.
const lakeView = "cloudtrail_lake"

// lakeColumns are the columns of cloudtrail_lake: the names and types that AWS documents for event data stores
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/query-supported-event-schemas.html), and the expressions
// over the columns of events.
var lakeColumns = []struct{ name, typ, expr, doc string }{
	{"eventversion", "VARCHAR", `"eventVersion"`, "version of the record's format"},
	{"useridentity", identityType, identitySQL, "who called"},
	{"eventtime", "TIMESTAMP", `make_timestamp(epoch_us("eventTime"))`, "when the call ended, in UTC"},
	{"eventsource", "VARCHAR", `"eventSource"`, "the service: bedrock.amazonaws.com"},
	{"eventname", "VARCHAR", `"eventName"`, "the operation: InvokeModel"},
	{"awsregion", "VARCHAR", `"awsRegion"`, "the Region that was called"},
	{"sourceipaddress", "VARCHAR", `"sourceIPAddress"`, "the caller's address, or an AWS service's name"},
	{"useragent", "VARCHAR", `"userAgent"`, "the caller's program"},
	{"errorcode", "VARCHAR", `"errorCode"`, "AWS's error code; null for calls that succeeded"},
	{"errormessage", "VARCHAR", `"errorMessage"`, "AWS's error message"},
	{"requestparameters", mapType, mapSQL(`"requestParameters"`), "the request's parameters"},
	{"responseelements", mapType, mapSQL(`"responseElements"`), "what the call answered"},
	{"additionaleventdata", mapType, mapSQL(`"additionalEventData"`), "further data"},
	{"requestid", "VARCHAR", `"requestID"`, "the request's id, as the caller got it"},
	{"eventid", "VARCHAR", eventIDText(""), "the event's id"},
	{"readonly", "BOOLEAN", `"readOnly"`, "whether AWS says that the operation only reads"},
	{"resources", resourcesType, resourcesSQL, "the resources accessed"},
	{"eventtype", "VARCHAR", `"eventType"`, "AwsApiCall, AwsServiceEvent, AwsConsoleSignIn, …"},
	{"apiversion", "VARCHAR", `"apiVersion"`, "the API's version"},
	{"managementevent", "BOOLEAN", `"managementEvent"`, "whether it is a management event"},
	{"recipientaccountid", "VARCHAR", `"recipientAccountId"`, "the account that got the event"},
	{"sharedeventid", "VARCHAR", `"sharedEventID"`, "the same for the events of one call in several accounts"},
	{"annotation", "VARCHAR", `json_extract_string(extra, '$.annotation')`, "text added by who put the event in"},
	{"vpcendpointid", "VARCHAR", `"vpcEndpointId"`, "the VPC endpoint that the call went through"},
	{"vpcendpointaccountid", "VARCHAR", `"vpcEndpointAccountId"`, "the owner of the VPC endpoint"},
	{"serviceeventdetails", mapType, mapSQL(`"serviceEventDetails"`), "what a service event tells"},
	{"addendum", mapType, mapSQL(`addendum`), "the reason for an event delivered late or again"},
	{"edgedevicedetails", mapType, mapSQL(`"edgeDeviceDetails"`), "about edge devices"},
	{"insightdetails", mapType, mapSQL(`"insightDetails"`), "details of an Insights event"},
	{"eventcategory", "VARCHAR", `"eventCategory"`, "Management, Data, Insight, NetworkActivity"},
	{"tlsdetails", tlsType, tlsSQL, "the connection"},
	{"sessioncredentialfromconsole", "VARCHAR", `"sessionCredentialFromConsole"`, "true when the console made the call"},
	{"eventjson", "VARCHAR", recordSQL(), "the record as JSON text"},
	{"eventjsonchecksum", "VARCHAR", `NULL`, "always null: aitrail's proof is the log file's digest"},
}

const (
	mapType       = "MAP(VARCHAR, VARCHAR)"
	resourcesType = `STRUCT(accountid VARCHAR, "type" VARCHAR, arn VARCHAR, arnprefix VARCHAR)[]`

	// The table has no column for the prefix, which then stands in extra with its resources.
	resourcesSQL = `list_transform(resources, lambda r, i: {accountid: r."accountId", type: r."type", arn: r."ARN",
	arnprefix: json_extract_string(extra, '$.resources[' || (i - 1) || '].ARNPrefix')})`
)

// member is a part of a struct: what of events it is, and its members or its type.
type member struct {
	name    string
	source  string // the name in events
	members []member
	typ     string // VARCHAR when ""
	expr    string // of %s, the member of events; that itself when ""
}

// lakeStructs are the columns that are structs. What differs from events has an expression, or members that have one.
var lakeStructs = []*member{&identity, &tls}

var tls = member{name: "tlsdetails", source: `"tlsDetails"`, members: []member{{name: "tlsversion"}, {name: "ciphersuite"}, {name: "clientprovidedhostheader"}}}

var identity = member{name: "useridentity", source: `"userIdentity"`, members: []member{
	{name: "type"}, {name: "principalid"}, {name: "arn"}, {name: "accountid"}, {name: "accesskeyid"}, {name: "username"},
	{name: "sessioncontext", members: []member{
		{name: "attributes", members: []member{
			{name: "creationdate", typ: "TIMESTAMP", expr: `make_timestamp(epoch_us(%s."creationdate"))`}, {name: "mfaauthenticated"}}},
		{name: "sessionissuer", members: []member{{name: "type"}, {name: "principalid"}, {name: "arn"}, {name: "accountid"}, {name: "username"}}},
		{name: "webidfederationdata", members: []member{
			{name: "federatedprovider", expr: `json_extract_string(%s, '$.federatedProvider')`},
			{name: "attributes", typ: mapType, expr: `TRY_CAST(json_extract(%s, '$.attributes') AS ` + mapType + `)`}}},
		{name: "sourceidentity"}, {name: "ec2roledelivery"}, {name: "ec2issuedinvpc"}}},
	{name: "onbehalfof", members: []member{{name: "userid"}, {name: "identitystorearn"}}},
	{name: "inscopeof", members: []member{
		{name: "sourcearn", expr: `json_extract_string(%s, '$.sourceArn')`}, {name: "sourceaccount", expr: `json_extract_string(%s, '$.sourceAccount')`},
		{name: "issuertype", expr: `json_extract_string(%s, '$.issuerType')`},
		{name: "credentialsissuedto", expr: `json_extract_string(%s, '$.credentialsIssuedTo')`}}},
	{name: "invokedby"}, {name: "identityprovider"},
}}

var (
	identitySQL, identityType = identity.sql(identity.source, "", []string{""})
	tlsSQL, tlsType           = tls.sql(tls.source, "", []string{""})
)

// same tells whether what a path leads to from the member is the same in events.
func (m *member) same(path string) bool {
	if m.members == nil {
		return path == "" && m.expr == ""
	}
	name, rest, _ := strings.Cut(path, ".")
	i := slices.IndexFunc(m.members, func(child member) bool { return child.name == name })
	return i >= 0 && m.members[i].same(rest)
}

// sql returns the member as it is made of its source, and its type; path leads to it. Of its members those are made that paths lead to
// or through. A struct that is only led through is never null: to know whether it is takes all of the source's members.
func (m *member) sql(source, path string, paths []string) (expr, typ string) {
	if m.members == nil {
		expr, typ = source, cmp.Or(m.typ, "VARCHAR")
		if m.expr != "" {
			expr = fmt.Sprintf(m.expr, source)
		}
		return expr, typ
	}
	leads := func(from, to string) bool { return from == "" || strings.HasPrefix(to+".", from+".") }
	var exprs, types []string
	for _, child := range m.members {
		to := strings.TrimPrefix(path+"."+child.name, ".")
		if !slices.ContainsFunc(paths, func(p string) bool { return leads(p, to) || leads(to, p) }) {
			continue
		}
		of := source
		if child.expr == "" { // else it is made of the whole
			of += "." + quoteName(child.name)
		}
		e, t := child.sql(of, to, paths)
		exprs, types = append(exprs, quoteName(child.name)+": "+e), append(types, quoteName(child.name)+" "+t)
	}
	expr, typ = "{"+strings.Join(exprs, ", ")+"}", "STRUCT("+strings.Join(types, ", ")+")"
	if slices.ContainsFunc(paths, func(p string) bool { return leads(p, path) }) {
		expr = "CASE WHEN " + source + " IS NOT NULL THEN " + expr + " END"
	}
	return expr, typ
}

// mapSQL makes a map of a JSON object: texts as they are, other values as JSON text, null as null. What is no object is
// null, as a redacted request is.
func mapSQL(column string) string {
	return "TRY_CAST(TRY_CAST(" + column + " AS JSON) AS " + mapType + ")"
}

// recordMembers are the members of a record in AWS's order, and their JSON text.
var recordMembers = []struct{ name, expr string }{
	{"eventVersion", ""},
	{"userIdentity", `json_merge_patch(json_merge_patch(json_merge_patch(json_merge_patch('{}', to_json("userIdentity")),
		CASE WHEN "userIdentity"."sessionContext".attributes."creationDate" IS NULL THEN '{}' ELSE json_object('sessionContext', json_object('attributes',
			json_object('creationDate', strftime("userIdentity"."sessionContext".attributes."creationDate", '%Y-%m-%dT%H:%M:%SZ')))) END),
		CASE WHEN "userIdentity"."sessionContext"."webIdFederationData" IS NULL THEN '{}' ELSE json_object('sessionContext',
			json_object('webIdFederationData', CAST("userIdentity"."sessionContext"."webIdFederationData" AS JSON))) END),
		CASE WHEN "userIdentity"."inScopeOf" IS NULL THEN '{}' ELSE json_object('inScopeOf', CAST("userIdentity"."inScopeOf" AS JSON)) END)`},
	{"eventTime", `to_json(strftime("eventTime", '%Y-%m-%dT%H:%M:%SZ'))`},
	{"eventSource", ""}, {"eventName", ""}, {"awsRegion", ""}, {"sourceIPAddress", ""}, {"userAgent", ""}, {"errorCode", ""}, {"errorMessage", ""},
	{"requestParameters", `"requestParameters"`}, {"responseElements", `"responseElements"`}, {"additionalEventData", `"additionalEventData"`},
	{"requestID", ""}, {"eventID", ""}, {"readOnly", ""},
	{"resources", `json_extract(json_merge_patch('{}', json_object('r', list_transform(resources, lambda r: json_merge_patch('{}', to_json(r))))), '$.r')`},
	{"eventType", ""}, {"apiVersion", ""}, {"managementEvent", ""}, {"recipientAccountId", ""}, {"sharedEventID", ""}, {"vpcEndpointId", ""},
	{"vpcEndpointAccountId", ""}, {"serviceEventDetails", `"serviceEventDetails"`}, {"addendum", "addendum"},
	{"edgeDeviceDetails", `"edgeDeviceDetails"`}, {"insightDetails", `"insightDetails"`}, {"eventContext", `"eventContext"`}, {"eventCategory", ""},
	{"tlsDetails", `json_merge_patch('{}', to_json("tlsDetails"))`}, {"sessionCredentialFromConsole", ""},
}

// recordSQL writes the record again: the members that the columns have, but for those that stand in extra as they were.
func recordSQL() string {
	parts := make([]string, len(recordMembers))
	for i, m := range recordMembers {
		column := quoteName(m.name)
		expr := m.expr
		if expr == "" {
			expr = "to_json(" + column + ")"
		}
		parts[i] = `CASE WHEN ` + column + ` IS NOT NULL AND NOT coalesce(json_exists(extra, '$.` + m.name + `'), false) THEN '"` +
			m.name + `":' || CAST(` + expr + ` AS VARCHAR) END`
	}
	return `'{' || concat_ws(',', ` + strings.Join(parts, ", ") + `, CASE WHEN extra IS NOT NULL THEN substr(extra, 2, length(extra) - 2) END) || '}'`
}

// lakeSQL selects CloudTrail Lake's columns from data files of events. Times have no zone there, and some members of structs have other
// types: what is made of a column keeps Parquet's reader from leaving out rows, and members of structs. So a span of time is asked
// of the column as it is, and a struct is the one of events where the members that are named are the same, and else made of
// these alone.
func lakeSQL(d *demand, files []lake.DataFile) string {
	var selected []string
	for _, c := range lakeColumns {
		if !d.names(c.name) {
			continue
		}
		expr, typ := c.expr, c.typ
		if i := slices.IndexFunc(lakeStructs, func(m *member) bool { return m.name == c.name }); i >= 0 && d.members != nil {
			expr, typ = lakeStructs[i].wanted(d.members[c.name])
		}
		if typ != "" {
			expr = "CAST(" + expr + " AS " + typ + ")"
		}
		selected = append(selected, expr+" AS "+quoteName(c.name))
	}
	if selected == nil { // as for count(*)
		selected = []string{`"eventVersion" AS "eventversion"`}
	}
	var conditions []string
	if !d.since.IsZero() {
		conditions = append(conditions, `"eventTime" >= `+timeSQL(d.since))
	}
	if !d.until.IsZero() {
		conditions = append(conditions, `"eventTime" <= `+timeSQL(d.until))
	}
	if d.ids != nil { // ids that are no UUIDs stand in extra
		conditions = append(conditions, `("eventID" IN (`+strings.Join(d.ids, ", ")+`) OR "eventID" IS NULL)`)
	}
	text, where := "SELECT "+strings.Join(selected, ", "), ""
	if conditions != nil {
		where = " WHERE " + strings.Join(conditions, " AND ")
	}
	return text + " FROM (" + columnsOfSQL(named(lake.Columns(lake.Events), usedIn(text+where)), files) + ")" + where
}

func timeSQL(t time.Time) string {
	return "TIMESTAMPTZ '" + t.UTC().Format("2006-01-02 15:04:05.999999") + "+00'"
}

// wanted returns the struct with the members that paths lead to, and its type, "" where it is the one of events.
func (m *member) wanted(paths []string) (expr, typ string) {
	if !slices.ContainsFunc(paths, func(path string) bool { return !m.same(path) }) {
		return m.source, ""
	}
	return m.sql(m.source, "", paths)
}

// members returns the paths, folded, that references to the structs of cloudtrail_lake go on with.
func (w *walker) members() map[string][]string {
	members := map[string][]string{}
	for _, m := range lakeStructs {
		for _, path := range w.paths {
			if i := slices.Index(path, m.name); i >= 0 {
				members[m.name] = append(members[m.name], strings.Join(path[i+1:], "."))
			}
		}
	}
	return members
}
