package cloudtrail

import "time"

// JSON is the text of one JSON value as it stood in the record; "" means that the record has no such member.
type JSON string

// Bool is a boolean member that may be absent from a record.
type Bool uint8

// The values of a Bool.
const (
	Absent Bool = iota
	False
	True
)

// BoolOf returns True or False.
func BoolOf(b bool) Bool {
	if b {
		return True
	}
	return False
}

// Event is one CloudTrail record. The fields are those of AWS's "CloudTrail record contents" page
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html);
// a zero value means that the record has no such member.
//
// No member of a record is lost: what a field can't hold as it stood (an unknown member, null, an empty string, a
// number or object where a string is documented, a time in another form) is kept in Extra, and encoding puts it back.
type Event struct {
	EventVersion                 string        // "1.11"
	UserIdentity                 *UserIdentity // who called
	EventTime                    time.Time     // when the call ended, UTC, to the second
	EventSource                  string        // "bedrock.amazonaws.com"
	EventName                    string        // "InvokeModel"
	AWSRegion                    string        // "us-east-1"
	SourceIPAddress              string        // an address, or a service's DNS name
	UserAgent                    string
	ErrorCode                    string // "AccessDenied"; "" for calls that succeeded
	ErrorMessage                 string
	RequestParameters            JSON
	ResponseElements             JSON
	AdditionalEventData          JSON
	RequestID                    string
	EventID                      string // a UUID; with RecipientAccountID the identity of the event
	ReadOnly                     Bool
	Resources                    []Resource
	EventType                    string // AwsApiCall, AwsServiceEvent, AwsConsoleAction, AwsConsoleSignIn, AwsVpceEvent
	APIVersion                   string
	ManagementEvent              Bool
	RecipientAccountID           string // twelve digits
	SharedEventID                string
	VPCEndpointID                string
	VPCEndpointAccountID         string
	ServiceEventDetails          JSON
	Addendum                     JSON
	EdgeDeviceDetails            JSON
	InsightDetails               JSON
	EventContext                 JSON
	EventCategory                string // Management, Data, Insight, NetworkActivity
	TLSDetails                   *TLSDetails
	SessionCredentialFromConsole string // "true"

	// Extra is an object with the members that the fields above can't give back as they stood; "" when there are none.
	// A member may stand here and in its field (the field then holds what could be read of it); Extra's is the original.
	Extra JSON
}

// UserIdentity says who made a call
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html).
type UserIdentity struct {
	Type             string // Root, IAMUser, AssumedRole, Role, FederatedUser, AWSAccount, AWSService, IdentityCenterUser, SAMLUser, WebIdentityUser, Unknown
	PrincipalID      string
	ARN              string
	AccountID        string
	AccessKeyID      string
	UserName         string
	SessionContext   *SessionContext
	InvokedBy        string // the AWS service that made the call for the identity
	IdentityProvider string
	OnBehalfOf       *OnBehalfOf
	CredentialID     string
	InScopeOf        JSON
}

// SessionContext is the session behind temporary credentials.
type SessionContext struct {
	SessionIssuer       *SessionIssuer
	WebIDFederationData JSON
	Attributes          *SessionAttributes
	SourceIdentity      string
	EC2RoleDelivery     string
	EC2IssuedInVPC      string
	AssumedRoot         string
}

// SessionAttributes tells when a session began and whether with MFA.
type SessionAttributes struct {
	CreationDate     time.Time
	MFAAuthenticated string // "true" or "false", as text
}

// SessionIssuer is the user or role whose credentials issued a session.
type SessionIssuer struct {
	Type, PrincipalID, ARN, AccountID, UserName string
}

// OnBehalfOf is the IAM Identity Center user for whom a call was made.
type OnBehalfOf struct {
	UserID, IdentityStoreARN string
}

// Resource is a resource that a call accessed. Members are named accountId, type, ARN (and ARNPrefix, which stays in Extra).
type Resource struct {
	AccountID, Type, ARN string
}

// TLSDetails describes the connection of a call.
type TLSDetails struct {
	TLSVersion, CipherSuite, ClientProvidedHostHeader string
}
