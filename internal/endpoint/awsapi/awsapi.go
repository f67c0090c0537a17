// Package awsapi is what the endpoint and its services say to each other: a Call comes in, authenticated and routed;
// a Response or an Error goes out; and the call's Record is what CloudTrail would write of it.
//
// A service (one sub-package of endpoint each) never touches credentials, the network or the recorder: the server
// authenticates, asks [Service.Access] what IAM must allow, calls [Service.Serve], makes the record durable, and only
// then answers the client.
package awsapi

import (
	"io"
	"net/http"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// Call is one API request as a service sees it.
type Call struct {
	Request   *http.Request // URL, header and context; the body has been read
	Body      []byte        // the whole body, decoded from aws-chunked
	ID        string        // the request id the client gets
	Time      time.Time     // when the request came, UTC
	Account   string        // the account the endpoint stands for, twelve digits
	Region    string        // from the credential scope; "us-east-1" for bearer and anonymous calls that don't say
	Signing   string        // the credential scope's service: "bedrock", "s3"
	Caller    *Identity
	Operation string    // set by the server from Service.Route
	Incoming  *Incoming // nil: Body is all that the client sends
	Record    Record    // what the service wants recorded; Serve fills it, for failures too
}

// Incoming is an event stream that the client sends while it is answered.
type Incoming struct {
	Body io.Reader
	// Verify checks a message's signature: its time, headers (encoded, without the signature) and payload. Nil: messages are
	// not signed.
	Verify func(at time.Time, headers, payload, signature []byte) error
}

// Record is the part of a CloudTrail record that the called service decides. The server fills in the rest: identity,
// time, Region, addresses, ids, TLS details, and errorCode and errorMessage from the Error that Serve returned.
type Record struct {
	Skip                bool   // true: CloudTrail does not record this call at all
	EventSource         string // "bedrock.amazonaws.com"
	EventName           string // "" means the operation's name
	EventVersion        string // "" means "1.11"
	APIVersion          string
	Data                bool // a data event; else a management event
	ReadOnly            bool
	Global              bool // a global service's event (IAM, STS's global endpoint): recorded in us-east-1
	RequestParameters   any  // encoded as JSON; nil is null
	ResponseElements    any  // encoded as JSON; nil is null (as for reads)
	AdditionalEventData any  // encoded as JSON; nil: absent
	Resources           []cloudtrail.Resource
	// Shared is true when the record has a sharedEventID: CloudTrail gives one to calls from other accounts.
	Shared bool
	// Recipient is another account that the call was about, which gets its event as well; "" for none.
	Recipient string
	// Also is what the service did for the call besides, each recorded after it.
	Also []Also
}

// Also is a call that a service made on the way, of itself or of another service.
type Also struct {
	Record
	Caller *Identity // with InvokedBy set when the service calls for somebody; nil: the call's own
}

// Completion is the second record of a streaming call, an AwsServiceEvent written when the stream has ended.
type Completion struct {
	ServiceEventDetails any // encoded as JSON
	Resources           []cloudtrail.Resource
}

// Response is a service's answer. Exactly one of Body and Stream is used.
type Response struct {
	Status int // 0 means 200
	Header http.Header
	Body   []byte
	// Stream writes a streaming answer (event streams); flush sends what was written. The call's own record is durable
	// before it starts. The Completion it returns, if any, is recorded before the stream is closed.
	Stream func(w io.Writer, flush func()) (*Completion, error)
}

// Error is an AWS error answer. It is an error value a service returns from Serve; the server writes it in the
// service's protocol and records its code and message.
type Error struct {
	Code    string // "ValidationException"
	Message string
	Status  int // HTTP status; 0 means 400
	// Recorded is the errorCode of the record where it differs from Code ("AccessDenied" for "AccessDeniedException").
	Recorded string
	Header   http.Header // more headers of the answer
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Protocol is how a service's errors are written.
type Protocol int

// The protocols of AWS services.
const (
	RESTJSON Protocol = iota // X-Amzn-ErrorType header, {"message": …}
	JSON10                   // application/x-amz-json-1.0, {"__type": …, "message": …}
	JSON11                   // application/x-amz-json-1.1
	Query                    // <ErrorResponse><Error><Code>…
	RESTXML                  // S3's <Error><Code>…
	CBOR                     // smithy-rpc-v2-cbor
)

// Access is one thing IAM must allow before a call is served.
type Access struct {
	Action   string // "bedrock:InvokeModel"
	Resource string // an ARN, or "*"
}

// Service is one AWS service behind the endpoint. Its methods may be called concurrently.
type Service interface {
	// SigningNames are the credential scopes it answers for.
	SigningNames() []string
	// Route names the operation a request is for, and how its errors are written. ok is false when the service has no
	// such operation.
	Route(r *http.Request, body []byte) (operation string, p Protocol, ok bool)
	// Describe fills c.Record with what is known from the request alone (event source, name, data or management, read
	// only, request parameters, resources), so that calls that are denied or throttled are recorded right too. It may not fail: what
	// can't be read of the request is left out.
	Describe(c *Call)
	// Access says what IAM must allow; none means that any authenticated caller may (sts:GetCallerIdentity).
	Access(c *Call) []Access
	// Serve does the work. It completes c.Record (ResponseElements, AdditionalEventData, resources created) and returns
	// the answer or an *Error; any other error is answered as a 500 InternalFailure.
	Serve(c *Call) (*Response, error)
}

// IdentityKind is what kind of principal made a call.
type IdentityKind int

// The kinds of identities.
const (
	Anonymous IdentityKind = iota
	Root
	User
	AssumedRole
	FederatedUser
	AWSService
)

// Identity is an authenticated caller.
type Identity struct {
	Kind        IdentityKind
	Account     string
	ARN         string // "arn:aws:iam::111122223333:user/ci", "arn:aws:sts::111122223333:assumed-role/app/session"
	PrincipalID string // "AIDA…", "AROA…:session", the account for root
	UserName    string // users
	AccessKeyID string // "" for bearer tokens
	Session     *Session
	InvokedBy   string // the service calling for the identity, or as AWSService
	// Bearer is true for calls made with a Bedrock API key; CredentialID is then the service-specific credential's id.
	Bearer       bool
	CredentialID string
}

// Session is what temporary credentials carry.
type Session struct {
	Issuer         *cloudtrail.SessionIssuer // nil for GetSessionToken and federated users' sessions without one
	Created        time.Time
	MFA            bool
	SourceIdentity string
	Tags           map[string]string
}

// UserIdentity is the record's userIdentity for the identity.
func (id *Identity) UserIdentity() *cloudtrail.UserIdentity {
	u := &cloudtrail.UserIdentity{
		PrincipalID: id.PrincipalID, ARN: id.ARN, AccountID: id.Account, AccessKeyID: id.AccessKeyID,
		UserName: id.UserName, InvokedBy: id.InvokedBy, CredentialID: id.CredentialID,
	}
	switch id.Kind {
	case Root:
		u.Type = "Root"
	case User:
		u.Type = "IAMUser"
	case AssumedRole:
		u.Type = "AssumedRole"
	case FederatedUser:
		u.Type = "FederatedUser"
	case AWSService:
		return &cloudtrail.UserIdentity{Type: "AWSService", InvokedBy: id.InvokedBy}
	default:
		return &cloudtrail.UserIdentity{Type: "AWSAccount", PrincipalID: "", AccountID: "anonymous"}
	}
	if s := id.Session; s != nil {
		mfa := "false"
		if s.MFA {
			mfa = "true"
		}
		u.SessionContext = &cloudtrail.SessionContext{
			SessionIssuer:  s.Issuer,
			SourceIdentity: s.SourceIdentity,
			Attributes:     &cloudtrail.SessionAttributes{CreationDate: s.Created, MFAAuthenticated: mfa},
		}
	}
	return u
}
