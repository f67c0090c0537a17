package lake

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"
)

// The structs below are the schema of the tables: the parquet tag names a column and its field id, the
// doc tag what it holds. The Iceberg schema is derived from them. Ids are for ever: a column that goes takes its id with
// it, a new one gets a new id and comes last in its struct.
//
// Strings and ids that are zero are null, as are nil pointers.

// eventRow is a row of the table events.
type eventRow struct {
	EventVersion                 string        `parquet:"eventVersion,optional,id(1)" doc:"version of the record's format"`
	UserIdentity                 *identityRow  `parquet:"userIdentity,id(2)" doc:"who called, as CloudTrail tells it"`
	EventTime                    *micros       `parquet:"eventTime,timestamp(microsecond),id(3)" doc:"when the call ended"`
	EventSource                  string        `parquet:"eventSource,optional,id(4)" doc:"the service: bedrock.amazonaws.com"`
	EventName                    string        `parquet:"eventName,optional,id(5)" doc:"the operation: InvokeModel"`
	AWSRegion                    string        `parquet:"awsRegion,optional,id(6)" doc:"the Region that was called"`
	SourceIPAddress              string        `parquet:"sourceIPAddress,optional,id(7)" doc:"the caller's address, or an AWS service's name"`
	UserAgent                    string        `parquet:"userAgent,optional,id(8)" doc:"the caller's program"`
	ErrorCode                    string        `parquet:"errorCode,optional,id(9)" doc:"AWS's error code; null for calls that succeeded"`
	ErrorMessage                 string        `parquet:"errorMessage,optional,id(10)" doc:"AWS's error message"`
	RequestParameters            string        `parquet:"requestParameters,optional,id(11)" doc:"JSON text of the request's parameters"`
	ResponseElements             string        `parquet:"responseElements,optional,id(12)" doc:"JSON text of what the call answered"`
	AdditionalEventData          string        `parquet:"additionalEventData,optional,id(13)" doc:"JSON text of further data"`
	RequestID                    string        `parquet:"requestID,optional,id(14)" doc:"the request's id, as the caller got it"`
	EventID                      [16]byte      `parquet:"eventID,optional,uuid,id(15)" doc:"the event's id; one that is no UUID in lower case stands in extra"`
	ReadOnly                     *bool         `parquet:"readOnly,id(16)" doc:"whether AWS says that the operation only reads; can't be relied upon"`
	Resources                    []resourceRow `parquet:"resources,optional,list,id(17)" parquet-element:",id(160)" doc:"the resources accessed"`
	EventType                    string        `parquet:"eventType,optional,id(18)" doc:"AwsApiCall, AwsServiceEvent, AwsConsoleSignIn, …"`
	APIVersion                   string        `parquet:"apiVersion,optional,id(19)" doc:"the API's version"`
	ManagementEvent              *bool         `parquet:"managementEvent,id(20)" doc:"whether it is a management event"`
	RecipientAccountID           string        `parquet:"recipientAccountId,optional,id(21)" doc:"the account that got the event; with eventID its identity"`
	SharedEventID                string        `parquet:"sharedEventID,optional,id(22)" doc:"the same for the events of one call in several accounts"`
	VPCEndpointID                string        `parquet:"vpcEndpointId,optional,id(23)" doc:"the VPC endpoint that the call went through"`
	VPCEndpointAccountID         string        `parquet:"vpcEndpointAccountId,optional,id(24)" doc:"the owner of the VPC endpoint"`
	ServiceEventDetails          string        `parquet:"serviceEventDetails,optional,id(25)" doc:"JSON text of what a service event tells"`
	Addendum                     string        `parquet:"addendum,optional,id(26)" doc:"JSON text of the reason for an event delivered late or again"`
	EdgeDeviceDetails            string        `parquet:"edgeDeviceDetails,optional,id(27)" doc:"JSON text about edge devices"`
	InsightDetails               string        `parquet:"insightDetails,optional,id(28)" doc:"JSON text of an Insights event"`
	EventContext                 string        `parquet:"eventContext,optional,id(29)" doc:"JSON text of tags and keys added by an event data store"`
	EventCategory                string        `parquet:"eventCategory,optional,id(30)" doc:"Management, Data, Insight, NetworkActivity"`
	TLSDetails                   *tlsRow       `parquet:"tlsDetails,id(31)" doc:"the connection"`
	SessionCredentialFromConsole string        `parquet:"sessionCredentialFromConsole,optional,id(32)" doc:"true when the console made the call"`
	Extra                        string        `parquet:"extra,optional,id(40)" doc:"JSON object of members that the columns can't give back as they stood in the record; null when there are none"`

	AIService       string `parquet:"ai_service,optional,id(50)" doc:"the AI service's key in the catalog; null for events of other services"`
	OperationClass  string `parquet:"operation_class,optional,id(51)" doc:"inference, retrieval, agent, training, configuration, access, other; null for events of other services"`
	ModelID         string `parquet:"model_id,optional,id(52)" doc:"the model: the base model where it can be known"`
	InferenceRegion string `parquet:"inference_region,optional,id(53)" doc:"the Region where the model ran"`
	Actor           string `parquet:"actor,optional,id(54)" doc:"who really called"`
	ActorKind       string `parquet:"actor_kind,optional,id(55)" doc:"root, user, role, federated, service, api_key, anonymous, account, unknown"`
	Client          string `parquet:"client,optional,id(56)" doc:"console, cli, sdk/LANGUAGE, terraform, opentofu, pulumi, cloudformation, cdk, service, browser, other"`
	Outcome         string `parquet:"outcome,optional,id(57)" doc:"ok, denied, throttled, invalid, error"`
	InputTokens     *int64 `parquet:"input_tokens,id(58)" doc:"tokens in; null when the record doesn't tell"`
	OutputTokens    *int64 `parquet:"output_tokens,id(59)" doc:"tokens out; null when the record doesn't tell"`
	GuardrailID     string `parquet:"guardrail_id,optional,id(60)" doc:"the guardrail applied; several are joined by commas"`
	CallRole        string `parquet:"call_role,optional,id(61)" doc:"what the event is of a call: primary (the call), completion (the end of its stream), copy, network, insight, aggregate, service; null for events of other services"`
	ParentRequestID string `parquet:"parent_request_id,optional,id(62)" doc:"of the end of a stream: requestID of its call"`

	SourceObject string `parquet:"source_object,optional,id(70)" doc:"URL of the log file"`
	SourceIndex  int64  `parquet:"source_index,id(71)" doc:"place of the record in the log file, from 0"`

	// Since version 2.
	WindowEnd *micros `parquet:"window_end,timestamp(microsecond),id(80)" doc:"of an aggregated event: the end of the time it sums up; eventTime is the beginning"`
}

type identityRow struct {
	Type             string         `parquet:"type,optional,id(101)" doc:"Root, IAMUser, AssumedRole, …"`
	PrincipalID      string         `parquet:"principalId,optional,id(102)"`
	ARN              string         `parquet:"arn,optional,id(103)"`
	AccountID        string         `parquet:"accountId,optional,id(104)"`
	AccessKeyID      string         `parquet:"accessKeyId,optional,id(105)"`
	UserName         string         `parquet:"userName,optional,id(106)"`
	SessionContext   *sessionRow    `parquet:"sessionContext,id(107)"`
	InvokedBy        string         `parquet:"invokedBy,optional,id(108)" doc:"the AWS service that called for the identity"`
	IdentityProvider string         `parquet:"identityProvider,optional,id(109)"`
	OnBehalfOf       *onBehalfOfRow `parquet:"onBehalfOf,id(110)" doc:"the IAM Identity Center user"`
	CredentialID     string         `parquet:"credentialId,optional,id(111)"`
	InScopeOf        string         `parquet:"inScopeOf,optional,id(112)" doc:"JSON text"`
}

type sessionRow struct {
	SessionIssuer       *issuerRow     `parquet:"sessionIssuer,id(121)"`
	WebIDFederationData string         `parquet:"webIdFederationData,optional,id(122)" doc:"JSON text"`
	Attributes          *attributesRow `parquet:"attributes,id(123)"`
	SourceIdentity      string         `parquet:"sourceIdentity,optional,id(124)"`
	EC2RoleDelivery     string         `parquet:"ec2RoleDelivery,optional,id(125)"`
	EC2IssuedInVPC      string         `parquet:"ec2IssuedInVpc,optional,id(126)"`
	AssumedRoot         string         `parquet:"assumedRoot,optional,id(127)"`
}

type issuerRow struct {
	Type        string `parquet:"type,optional,id(131)"`
	PrincipalID string `parquet:"principalId,optional,id(132)"`
	ARN         string `parquet:"arn,optional,id(133)"`
	AccountID   string `parquet:"accountId,optional,id(134)"`
	UserName    string `parquet:"userName,optional,id(135)"`
}

type attributesRow struct {
	CreationDate     *micros `parquet:"creationDate,timestamp(microsecond),id(141)"`
	MFAAuthenticated string  `parquet:"mfaAuthenticated,optional,id(142)"`
}

// micros is a time in microseconds since 1970, UTC. Of time.Time, parquet-go v0.32.0 loses those in optional structs
// and those after 2262.
type micros int64

// microsOf returns nil for the zero time, and at otherwise, set to the time.
func microsOf(t time.Time, at *micros) *micros {
	if t.IsZero() {
		return nil
	}
	*at = micros(t.UnixMicro())
	return at
}

func (m *micros) time() time.Time {
	if m == nil {
		return time.Time{}
	}
	return time.UnixMicro(int64(*m)).UTC()
}

type onBehalfOfRow struct {
	UserID           string `parquet:"userId,optional,id(151)"`
	IdentityStoreARN string `parquet:"identityStoreArn,optional,id(152)"`
}

type resourceRow struct {
	AccountID string `parquet:"accountId,optional,id(161)"`
	Type      string `parquet:"type,optional,id(162)"`
	ARN       string `parquet:"ARN,optional,id(163)"`
}

type tlsRow struct {
	TLSVersion               string `parquet:"tlsVersion,optional,id(171)"`
	CipherSuite              string `parquet:"cipherSuite,optional,id(172)"`
	ClientProvidedHostHeader string `parquet:"clientProvidedHostHeader,optional,id(173)"`
}

// fileRow is a row of the table log_files.
type fileRow struct {
	Object      string  `parquet:"object,id(1)" doc:"the log file's URL"`
	Size        int64   `parquet:"size,id(2)" doc:"bytes as stored"`
	ETag        string  `parquet:"etag,optional,id(3)" doc:"the store's mark of the content; with object and size the log file's identity"`
	SHA256      string  `parquet:"sha256,optional,id(4)" doc:"of the stored bytes, in hex"`
	Kind        string  `parquet:"kind,optional,id(5)" doc:"CloudTrail, CloudTrail-Insight, CloudTrail-NetworkActivity, …"`
	Account     string  `parquet:"account,optional,id(6)" doc:"the account in its name"`
	Region      string  `parquet:"region,optional,id(7)" doc:"the Region in its name"`
	Events      int64   `parquet:"events,id(8)" doc:"records in it"`
	Duplicates  int64   `parquet:"duplicates,id(9)" doc:"of these, records that the lake had already from another file"`
	First       *micros `parquet:"first_event,timestamp(microsecond),id(10)" doc:"eventTime of its earliest record"`
	Last        *micros `parquet:"last_event,timestamp(microsecond),id(11)" doc:"eventTime of its latest record"`
	CollectedAt *micros `parquet:"collected_at,timestamp(microsecond),id(12)" doc:"when it was collected"`
	Status      string  `parquet:"status,optional,id(13)" doc:"collected, or quarantined: it couldn't be decoded"`
	Reason      string  `parquet:"reason,optional,id(14)" doc:"of the quarantine"`
	Verdict     string  `parquet:"verdict,optional,id(15)" doc:"verified, pending, unverifiable, failed; null when nobody looked yet"`
	VerdictNote string  `parquet:"verdict_note,optional,id(16)" doc:"the reason for the verdict"`
	Batch       string  `parquet:"batch,optional,id(17)" doc:"the commit that brought it"`
}

// invocationRow is a row of the table invocations. Its ids aren't those of events, but for the time's, by which files have bounds.
type invocationRow struct {
	RequestID        string  `parquet:"request_id,optional,id(1)" doc:"the request's id, as the caller got it; with account and region the invocation's identity"`
	Account          string  `parquet:"account,optional,id(2)" doc:"the account called"`
	Time             *micros `parquet:"time,timestamp(microsecond),id(3)" doc:"when the model was invoked"`
	Region           string  `parquet:"region,optional,id(4)" doc:"the Region called"`
	CallerARN        string  `parquet:"caller_arn,optional,id(5)" doc:"ARN of the identity that called"`
	Operation        string  `parquet:"operation,optional,id(6)" doc:"InvokeModel, InvokeModelWithResponseStream, Converse, ConverseStream, …"`
	CalledModel      string  `parquet:"called_model,optional,id(7)" doc:"what the call named: a model, an inference profile, an ARN"`
	ModelID          string  `parquet:"model_id,optional,id(8)" doc:"the model: the base model where it can be known"`
	InferenceRegion  string  `parquet:"inference_region,optional,id(9)" doc:"the Region where the model ran"`
	InputTokens      *int64  `parquet:"input_tokens,id(10)" doc:"tokens in, without those of the cache"`
	OutputTokens     *int64  `parquet:"output_tokens,id(11)" doc:"tokens out"`
	CacheReadTokens  *int64  `parquet:"cache_read_tokens,id(12)" doc:"tokens in that were read from the prompt cache"`
	CacheWriteTokens *int64  `parquet:"cache_write_tokens,id(13)" doc:"tokens in that were written to the prompt cache"`
	LatencyMS        *int64  `parquet:"latency_ms,id(14)" doc:"how long the model took, in milliseconds; null when the log doesn't tell"`
	StopReason       string  `parquet:"stop_reason,optional,id(15)" doc:"why the answer ended: end_turn, max_tokens, guardrail_intervened, …"`
	GuardrailAction  string  `parquet:"guardrail_action,optional,id(16)" doc:"INTERVENED or NONE; null when no guardrail is told of"`
	ErrorCode        string  `parquet:"error_code,optional,id(17)" doc:"AWS's error code; null for invocations that succeeded"`

	InputBody       string `parquet:"input_body,optional,id(20)" doc:"the prompt, JSON text; null unless prompts are kept"`
	OutputBody      string `parquet:"output_body,optional,id(21)" doc:"the answer, JSON text; null unless prompts are kept"`
	InputBodyS3     string `parquet:"input_body_s3,optional,id(22)" doc:"where a long prompt lies; null unless prompts are kept"`
	OutputBodyS3    string `parquet:"output_body_s3,optional,id(23)" doc:"where a long answer lies; null unless prompts are kept"`
	RequestMetadata string `parquet:"request_metadata,optional,id(24)" doc:"what the caller sent as requestMetadata, JSON text; null unless prompts are kept"`

	SourceObject string `parquet:"source_object,optional,id(30)" doc:"URL of the log file"`
	SourceIndex  int64  `parquet:"source_index,id(31)" doc:"place of the record in the log file, from 0"`
}

// digestRow is a row of the table digests.
type digestRow struct {
	Object            string     `parquet:"object,id(1)" doc:"the digest file's URL; with size and etag the row's in log_files, which has its verdict"`
	Size              int64      `parquet:"size,id(2)" doc:"bytes as stored"`
	ETag              string     `parquet:"etag,optional,id(3)" doc:"the store's mark of the content"`
	Account           string     `parquet:"account,optional,id(4)" doc:"the account whose log files it names"`
	Region            string     `parquet:"region,optional,id(5)" doc:"the Region whose log files it names"`
	Trail             string     `parquet:"trail,optional,id(6)" doc:"the trail's name"`
	HomeRegion        string     `parquet:"home_region,optional,id(7)" doc:"the trail's home Region"`
	Backfill          bool       `parquet:"backfill,id(8)" doc:"whether it was made later, for a period that had none"`
	StartTime         *micros    `parquet:"start_time,timestamp(microsecond),id(9)" doc:"beginning of its period"`
	EndTime           *micros    `parquet:"end_time,timestamp(microsecond),id(10)" doc:"end of its period"`
	S3Object          string     `parquet:"s3_object,optional,id(11)" doc:"where it says that it lies: s3://bucket/key"`
	ContentSHA256     string     `parquet:"content_sha256,optional,id(12)" doc:"of its text, in hex: what the next digest names as previous_sha256"`
	Signature         string     `parquet:"signature,optional,id(13)" doc:"in hex, from the object's metadata; null in a copy that lost it"`
	KeyFingerprint    string     `parquet:"key_fingerprint,optional,id(14)" doc:"of the public key to its signature"`
	PreviousObject    string     `parquet:"previous_object,optional,id(15)" doc:"the digest before it: s3://bucket/key; null in the first of a chain"`
	PreviousSHA256    string     `parquet:"previous_sha256,optional,id(16)" doc:"of that digest's text, in hex"`
	PreviousSignature string     `parquet:"previous_signature,optional,id(17)" doc:"that digest's signature, in hex"`
	OldestEvent       *micros    `parquet:"oldest_event,timestamp(microsecond),id(18)" doc:"eventTime of the earliest event of its log files"`
	NewestEvent       *micros    `parquet:"newest_event,timestamp(microsecond),id(19)" doc:"eventTime of the latest event of its log files"`
	LogFileCount      int64      `parquet:"log_file_count,id(20)" doc:"log files that it names"`
	LogFiles          []namedRow `parquet:"log_files,optional,list,id(21)" parquet-element:",id(40)" doc:"the log files that it names"`
}

type namedRow struct {
	Object string `parquet:"object,optional,id(41)" doc:"s3://bucket/key"`
	SHA256 string `parquet:"sha256,optional,id(42)" doc:"of the log file's text, in hex"`
}

// Column describes a column of a table.
type Column struct {
	ID     int
	Name   string
	Type   string // as Iceberg writes it: "string", "timestamptz", "struct<type: string, …>", "list<…>"
	Doc    string
	Fields []Column // of structs and lists of structs
}

// rowTypes are the rows of the tables.
var rowTypes = map[string]reflect.Type{
	Events: reflect.TypeFor[eventRow](), LogFiles: reflect.TypeFor[fileRow](),
	Invocations: reflect.TypeFor[invocationRow](), Digests: reflect.TypeFor[digestRow](),
}

// Columns returns the columns of a table in their order, or nil for a name that is no table's.
func Columns(table string) []Column {
	row := rowTypes[table]
	if row == nil {
		return nil
	}
	return columnsOf(row, icebergSchema(row).AsStruct().FieldList)
}

func columnsOf(t reflect.Type, fields []iceberg.NestedField) []Column {
	columns := make([]Column, len(fields))
	for i, f := range fields {
		columns[i] = Column{ID: f.ID, Name: f.Name, Type: typeName(f.Type), Doc: f.Doc}
		if s := structOf(f.Type); s != nil {
			columns[i].Fields = columnsOf(elem(t.Field(i).Type), s.FieldList)
		}
	}
	return columns
}

// structOf returns the struct that a column, or an element of it, is; or nil.
func structOf(t iceberg.Type) *iceberg.StructType {
	switch t := t.(type) {
	case *iceberg.StructType:
		return t
	case *iceberg.ListType:
		return structOf(t.Element)
	}
	return nil
}

func typeName(t iceberg.Type) string {
	switch t := t.(type) {
	case *iceberg.StructType:
		members := make([]string, len(t.FieldList))
		for i, f := range t.FieldList {
			members[i] = f.Name + ": " + typeName(f.Type)
		}
		return "struct<" + strings.Join(members, ", ") + ">"
	case *iceberg.ListType:
		return "list<" + typeName(t.Element) + ">"
	}
	return t.String()
}

// icebergSchema derives the Iceberg schema from a row's type.
func icebergSchema(row reflect.Type) *iceberg.Schema {
	node := parquet.SchemaOf(reflect.New(row).Interface())
	return iceberg.NewSchema(0, icebergFields(row, node)...)
}

func icebergFields(t reflect.Type, group parquet.Node) []iceberg.NestedField {
	fields := make([]iceberg.NestedField, 0, t.NumField())
	for i, f := range group.Fields() {
		field := t.Field(i)
		fields = append(fields, iceberg.NestedField{
			ID: f.ID(), Name: f.Name(), Required: f.Required(), Doc: field.Tag.Get("doc"),
			Type: icebergType(field.Type, f),
		})
	}
	return fields
}

func icebergType(t reflect.Type, node parquet.Node) iceberg.Type {
	if t.Kind() == reflect.Slice {
		element := node.Fields()[0].Fields()[0] // list.element
		return &iceberg.ListType{ElementID: element.ID(), Element: icebergType(t.Elem(), element), ElementRequired: element.Required()}
	}
	switch t := elem(t); {
	case t == reflect.TypeFor[micros]():
		return iceberg.PrimitiveTypes.TimestampTz
	case t == reflect.TypeFor[[16]byte]():
		return iceberg.PrimitiveTypes.UUID
	case t.Kind() == reflect.Struct:
		return &iceberg.StructType{FieldList: icebergFields(t, node)}
	case t.Kind() == reflect.String:
		return iceberg.PrimitiveTypes.String
	case t.Kind() == reflect.Int64:
		return iceberg.PrimitiveTypes.Int64
	case t.Kind() == reflect.Bool:
		return iceberg.PrimitiveTypes.Bool
	}
	panic(fmt.Sprintf("lake: no Iceberg type for %v", t))
}

// elem strips pointers and slices of structs.
func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t
}
