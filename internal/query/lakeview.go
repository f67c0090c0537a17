package query

import (
	"slices"
	"strings"

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
	{"eventtime", "TIMESTAMP", `"eventTime"`, "when the call ended, in UTC"},
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
	tlsType       = "STRUCT(tlsversion VARCHAR, ciphersuite VARCHAR, clientprovidedhostheader VARCHAR)"
	resourcesType = `STRUCT(accountid VARCHAR, "type" VARCHAR, arn VARCHAR, arnprefix VARCHAR)[]`
	identityType  = `STRUCT("type" VARCHAR, principalid VARCHAR, arn VARCHAR, accountid VARCHAR, accesskeyid VARCHAR, username VARCHAR, ` +
		`sessioncontext STRUCT(attributes STRUCT(creationdate TIMESTAMP, mfaauthenticated VARCHAR), ` +
		`sessionissuer STRUCT("type" VARCHAR, principalid VARCHAR, arn VARCHAR, accountid VARCHAR, username VARCHAR), ` +
		`webidfederationdata STRUCT(federatedprovider VARCHAR, attributes MAP(VARCHAR, VARCHAR)), ` +
		`sourceidentity VARCHAR, ec2roledelivery VARCHAR, ec2issuedinvpc VARCHAR), ` +
		`onbehalfof STRUCT(userid VARCHAR, identitystorearn VARCHAR), ` +
		`inscopeof STRUCT(sourcearn VARCHAR, sourceaccount VARCHAR, issuertype VARCHAR, credentialsissuedto VARCHAR), ` +
		`invokedby VARCHAR, identityprovider VARCHAR)`

	tlsSQL = `CASE WHEN "tlsDetails" IS NOT NULL THEN {tlsversion: "tlsDetails"."tlsVersion", ciphersuite: "tlsDetails"."cipherSuite",
	clientprovidedhostheader: "tlsDetails"."clientProvidedHostHeader"} END`

	// The table has no column for the prefix, which then stands in extra with its resources.
	resourcesSQL = `list_transform(resources, lambda r, i: {accountid: r."accountId", type: r."type", arn: r."ARN",
	arnprefix: json_extract_string(extra, '$.resources[' || (i - 1) || '].ARNPrefix')})`

	identitySQL = `CASE WHEN "userIdentity" IS NOT NULL THEN {type: "userIdentity"."type", principalid: "userIdentity"."principalId",
	arn: "userIdentity".arn, accountid: "userIdentity"."accountId", accesskeyid: "userIdentity"."accessKeyId", username: "userIdentity"."userName",
	sessioncontext: CASE WHEN "userIdentity"."sessionContext" IS NOT NULL THEN {
		attributes: CASE WHEN "userIdentity"."sessionContext".attributes IS NOT NULL THEN {
			creationdate: CAST("userIdentity"."sessionContext".attributes."creationDate" AS TIMESTAMP),
			mfaauthenticated: "userIdentity"."sessionContext".attributes."mfaAuthenticated"} END,
		sessionissuer: CASE WHEN "userIdentity"."sessionContext"."sessionIssuer" IS NOT NULL THEN {
			type: "userIdentity"."sessionContext"."sessionIssuer"."type",
			principalid: "userIdentity"."sessionContext"."sessionIssuer"."principalId",
			arn: "userIdentity"."sessionContext"."sessionIssuer".arn,
			accountid: "userIdentity"."sessionContext"."sessionIssuer"."accountId",
			username: "userIdentity"."sessionContext"."sessionIssuer"."userName"} END,
		webidfederationdata: CASE WHEN "userIdentity"."sessionContext"."webIdFederationData" IS NOT NULL THEN {
			federatedprovider: json_extract_string("userIdentity"."sessionContext"."webIdFederationData", '$.federatedProvider'),
			attributes: TRY_CAST(json_extract("userIdentity"."sessionContext"."webIdFederationData", '$.attributes') AS MAP(VARCHAR, VARCHAR))} END,
		sourceidentity: "userIdentity"."sessionContext"."sourceIdentity",
		ec2roledelivery: "userIdentity"."sessionContext"."ec2RoleDelivery",
		ec2issuedinvpc: "userIdentity"."sessionContext"."ec2IssuedInVpc"} END,
	onbehalfof: CASE WHEN "userIdentity"."onBehalfOf" IS NOT NULL THEN {
		userid: "userIdentity"."onBehalfOf"."userId", identitystorearn: "userIdentity"."onBehalfOf"."identityStoreArn"} END,
	inscopeof: CASE WHEN "userIdentity"."inScopeOf" IS NOT NULL THEN {
		sourcearn: json_extract_string("userIdentity"."inScopeOf", '$.sourceArn'),
		sourceaccount: json_extract_string("userIdentity"."inScopeOf", '$.sourceAccount'),
		issuertype: json_extract_string("userIdentity"."inScopeOf", '$.issuerType'),
		credentialsissuedto: json_extract_string("userIdentity"."inScopeOf", '$.credentialsIssuedTo')} END,
	invokedby: "userIdentity"."invokedBy", identityprovider: "userIdentity"."identityProvider"} END`
)

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

// lakeSQL selects CloudTrail Lake's columns from data files of events. Lake's times have no zone; they are read so, and not
// cast afterwards, because Parquet's reader then still skips what a condition on them leaves out.
func lakeSQL(files []lake.DataFile) string {
	selected := make([]string, len(lakeColumns))
	for i, c := range lakeColumns {
		selected[i] = "CAST(" + c.expr + " AS " + c.typ + ") AS " + quoteName(c.name)
	}
	columns := slices.Clone(lake.Columns(lake.Events))
	for i := range columns {
		if columns[i].Name == "eventTime" {
			columns[i].Type = "timestamp"
		}
	}
	return "SELECT " + strings.Join(selected, ", ") + " FROM (" + columnsSQL(columns, files) + ")"
}
