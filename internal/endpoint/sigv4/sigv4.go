// Package sigv4 checks AWS Signature Version 4 on requests that came in: who signed (the access key id and credential
// scope), and whether the signature, its age and the body it covers are right for the key's secret.
//
// It knows no keys: the caller reads the access key id with [Parse], finds the secret, and calls [Signature.Verify].
// It signs nothing that leaves the process. What it reads is bounded by the request it is given, and every parser is
// fuzzed. Comparisons of signatures take constant time.
//
// Forms understood (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html and, for chunked bodies,
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html):
//
//   - the Authorization header and presigned query strings, with or without a session token;
//   - bodies hashed into the signature, UNSIGNED-PAYLOAD, and aws-chunked bodies: STREAMING-AWS4-HMAC-SHA256-PAYLOAD
//     (-TRAILER), whose chunks are signed each, and STREAMING-UNSIGNED-PAYLOAD-TRAILER, whose checksum is verified;
//   - STREAMING-AWS4-HMAC-SHA256-EVENTS, where the request is verified and the signatures inside the event stream aren't.
//
// Canonical paths are encoded twice, except S3's. SigV4A (asymmetric signatures) and Signature Version 2 are refused.
package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeLayout = "20060102T150405Z"
	// skew is how far a request's time may be from the server's.
	skew = 15 * time.Minute
	// maxExpires is the longest life of a presigned request.
	maxExpires = 7 * 24 * time.Hour
)

// Signature is what a request says about how it was signed.
type Signature struct {
	AccessKeyID string
	Date        string // of the credential scope, "20261123"
	Region      string
	Service     string // the signing name: "s3", "bedrock"
	Time        time.Time
	Presigned   bool
	Expires     time.Duration // how long a presigned request is good for
	// SessionToken is the token of temporary credentials, or "". The caller compares it with the key's.
	SessionToken string

	signedHeaders []string // in lower case, as signed
	value         string   // the signature, hex
}

// s3 tells whether canonical requests follow S3's rules.
func (s *Signature) s3() bool {
	switch s.Service {
	case "s3", "s3express", "s3-outposts", "s3-object-lambda":
		return true
	}
	return false
}

// scope is the credential scope.
func (s *Signature) scope() string {
	return s.Date + "/" + s.Region + "/" + s.Service + "/" + terminator
}

// Signed tells whether the request claims to be signed at all, by any version of Signature.
func Signed(r *http.Request) bool {
	if a := r.Header.Get("Authorization"); a != "" {
		return !isBearer(a)
	}
	q := r.URL.Query()
	return q.Has("X-Amz-Algorithm") || q.Has("X-Amz-Signature") || q.Has("X-Amz-Credential") || q.Has("AWSAccessKeyId") && q.Has("Signature")
}

func isBearer(authorization string) bool {
	const scheme = "bearer "
	return len(authorization) >= len(scheme) && strings.EqualFold(authorization[:len(scheme)], scheme)
}

// Parse reads how the request was signed. It verifies nothing. The error is an *Error.
func Parse(r *http.Request) (*Signature, error) {
	if a := r.Header.Get("Authorization"); a != "" && !isBearer(a) {
		return parseHeader(r, a)
	}
	if Signed(r) {
		s, err := parseQuery(r)
		if e, ok := err.(*Error); ok && e.Kind == Incomplete {
			err = &Error{IncompleteQuery, e.Detail}
		}
		return s, err
	}
	return nil, &Error{Kind: Missing}
}

func parseHeader(r *http.Request, authorization string) (*Signature, error) {
	name, rest, _ := strings.Cut(authorization, " ")
	if name != algorithm {
		return nil, &Error{Kind: Unsupported, Detail: name}
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if !ok {
			return nil, incomplete("'%s' not a valid key=value pair (missing equal-sign) in Authorization header: '%s'.", field, redact(authorization))
		}
		fields[key] = value
	}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[name] == "" {
			return nil, incomplete("Authorization header requires '%s' parameter. Authorization=%s", name, redact(authorization))
		}
	}
	s := &Signature{
		value:         fields["Signature"],
		signedHeaders: strings.Split(fields["SignedHeaders"], ";"),
		SessionToken:  r.Header.Get("X-Amz-Security-Token"),
	}
	if err := s.setCredential(fields["Credential"]); err != nil {
		return nil, err
	}
	var err error
	if date := r.Header.Get("X-Amz-Date"); date != "" {
		s.Time, err = time.Parse(timeLayout, date)
	} else if s.Time, err = http.ParseTime(r.Header.Get("Date")); r.Header.Get("Date") == "" {
		return nil, incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if err != nil {
		return nil, incomplete("Date must be in ISO-8601 'basic format'. Got '%s'.", r.Header.Get("X-Amz-Date"))
	}
	return s, s.check()
}

func parseQuery(r *http.Request) (*Signature, error) {
	q := r.URL.Query()
	if a := q.Get("X-Amz-Algorithm"); a != algorithm {
		return nil, &Error{Kind: Unsupported, Detail: a}
	}
	for _, name := range []string{"X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
		if len(q[name]) != 1 || q.Get(name) == "" {
			return nil, incomplete("AWS query-string parameters must include '%s'.", name)
		}
	}
	s := &Signature{
		Presigned:     true,
		value:         q.Get("X-Amz-Signature"),
		signedHeaders: strings.Split(q.Get("X-Amz-SignedHeaders"), ";"),
		SessionToken:  q.Get("X-Amz-Security-Token"),
		Expires:       skew,
	}
	if err := s.setCredential(q.Get("X-Amz-Credential")); err != nil {
		return nil, err
	}
	var err error
	if s.Time, err = time.Parse(timeLayout, q.Get("X-Amz-Date")); err != nil {
		return nil, incomplete("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
	}
	if e := q.Get("X-Amz-Expires"); e != "" || s.s3() {
		seconds, err := strconv.ParseUint(e, 10, 31)
		s.Expires = time.Duration(seconds) * time.Second
		if err != nil || s.Expires > maxExpires {
			return nil, incomplete("X-Amz-Expires must be a number of seconds less than a week (604800 seconds)")
		}
	}
	return s, s.check()
}

// setCredential takes a Credential apart: key/date/region/service/aws4_request.
func (s *Signature) setCredential(credential string) error {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || slices.Contains(parts, "") {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", credential)
	}
	if parts[4] != terminator {
		return incomplete("Credential should be scoped with a valid terminator: '%s', not '%s'.", terminator, parts[4])
	}
	s.AccessKeyID, s.Date, s.Region, s.Service = parts[0], parts[1], parts[2], parts[3]
	return nil
}

// check holds what both forms ask for.
func (s *Signature) check() error {
	if s.Time.Format("20060102") != s.Date {
		return &Error{Kind: BadSignature, Detail: "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" +
			s.Date + "' != '" + s.Time.Format("20060102") + "', from '" + s.Time.Format(timeLayout) + "'."}
	}
	if !slices.Contains(s.signedHeaders, "host") && !slices.Contains(s.signedHeaders, ":authority") {
		return incomplete("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return nil
}

// redact leaves an Authorization header's signature out of an error's text.
func redact(authorization string) string {
	before, _, found := strings.Cut(authorization, "Signature=")
	if !found {
		return authorization
	}
	return before + "Signature=…"
}

// UnsignedQuery is a presigned request's query without the parameters that sign it, and whether there was any.
func UnsignedQuery(q url.Values) (url.Values, bool) {
	rest := url.Values{}
	for name, values := range q {
		switch name {
		case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Security-Token":
		default:
			rest[name] = values
		}
	}
	return rest, len(rest) != len(q)
}
