package sigv4

import (
	"fmt"
	"net/http"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// Kind is what is wrong with a request's authentication.
type Kind int

// The kinds of errors. The last three are for the caller, who knows the keys.
const (
	Missing         Kind = iota // not signed
	Incomplete                  // the signature's parts can't be read
	IncompleteQuery             // a presigned request's parts can't be read
	Unsupported                 // another algorithm
	BadSignature                // it doesn't match
	Skewed                      // the request's time is too far from now
	Expired                     // a presigned request's time is over
	NoBodyHash                  // S3 wants the body's hash, and it isn't there
	BadBodyHash                 // what should be the body's hash isn't one
	BodyMismatch                // the body isn't the one whose hash was signed
	BodyIncomplete              // an aws-chunked body ends early or isn't well formed
	BadChecksum                 // a trailing checksum doesn't match the body
	UnknownKey                  // no such access key, or an inactive one
	BadToken                    // the session token isn't the key's
	ExpiredToken                // the temporary credentials' time is over
)

// Error says why a request isn't authenticated.
type Error struct {
	Kind   Kind
	Detail string
}

func (e *Error) Error() string {
	a := e.Answer(awsapi.Query)
	return a.Code + ": " + a.Message
}

func incomplete(format string, args ...any) *Error {
	return &Error{Kind: Incomplete, Detail: fmt.Sprintf(format, args...)}
}

const (
	mismatch     = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	mismatchS3   = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	invalidToken = "The security token included in the request is invalid."
	expiredToken = "The security token included in the request is expired"
)

// Answer is the error as the services of a protocol word it: query services, S3, and JSON services each have their own
// codes.
func (e *Error) Answer(p awsapi.Protocol) *awsapi.Error {
	switch p {
	case awsapi.RESTXML:
		return e.s3()
	case awsapi.Query:
		return e.query()
	}
	a := e.query()
	switch e.Kind {
	case UnknownKey, BadToken:
		a.Code = "UnrecognizedClientException"
	case BadSignature, Skewed, Expired, NoBodyHash, BadBodyHash, BodyMismatch, Unsupported:
		a.Code = "InvalidSignatureException"
	case BodyIncomplete, BadChecksum:
		a.Code = "SerializationException"
	case Missing:
		a.Code, a.Message = "MissingAuthenticationTokenException", "Missing Authentication Token"
	default:
		a.Code += "Exception"
	}
	// The JSON protocols answer 400 where REST and query services answer 403.
	if p != awsapi.RESTJSON {
		a.Status = http.StatusBadRequest
	} else if e.Kind == Incomplete || e.Kind == IncompleteQuery {
		a.Status = http.StatusForbidden
	}
	return a
}

func (e *Error) query() *awsapi.Error {
	answer := func(code, message string) *awsapi.Error {
		return &awsapi.Error{Code: code, Message: message, Status: http.StatusForbidden}
	}
	switch e.Kind {
	case Missing:
		return answer("MissingAuthenticationToken", "Request is missing Authentication Token")
	case Incomplete, IncompleteQuery:
		a := answer("IncompleteSignature", e.Detail)
		a.Status = http.StatusBadRequest
		return a
	case Unsupported:
		return answer("SignatureDoesNotMatch", "Unsupported AWS 'algorithm': '"+e.Detail+"'.")
	case UnknownKey, BadToken:
		return answer("InvalidClientTokenId", invalidToken)
	case ExpiredToken:
		return answer("ExpiredToken", expiredToken)
	case BodyIncomplete, BadChecksum:
		a := answer("MalformedInput", e.Detail)
		a.Status = http.StatusBadRequest
		return a
	}
	message := e.Detail
	if message == "" {
		message = mismatch
	}
	return answer("SignatureDoesNotMatch", message)
}

func (e *Error) s3() *awsapi.Error {
	forbidden := func(code, message string) *awsapi.Error {
		return &awsapi.Error{Code: code, Message: message, Status: http.StatusForbidden}
	}
	bad := func(code, message string) *awsapi.Error {
		return &awsapi.Error{Code: code, Message: message, Status: http.StatusBadRequest}
	}
	switch e.Kind {
	case Missing:
		return forbidden("AccessDenied", "Access Denied")
	case Incomplete:
		return bad("AuthorizationHeaderMalformed", "The authorization header is malformed; "+e.Detail)
	case IncompleteQuery:
		return bad("AuthorizationQueryParametersError", e.Detail)
	case NoBodyHash:
		return bad("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	case BadBodyHash:
		return bad("InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, or a valid sha256 value.")
	case Unsupported:
		return bad("InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	case Skewed:
		return forbidden("RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
	case Expired:
		return forbidden("AccessDenied", "Request has expired")
	case BodyMismatch:
		return bad("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
	case BodyIncomplete:
		return bad("IncompleteBody", e.Detail)
	case BadChecksum:
		return bad("BadDigest", e.Detail)
	case UnknownKey:
		return forbidden("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	case BadToken:
		return bad("InvalidToken", "The provided token is malformed or otherwise invalid.")
	case ExpiredToken:
		return bad("ExpiredToken", "The provided token has expired.")
	}
	return forbidden("SignatureDoesNotMatch", mismatchS3)
}
