package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	unsignedPayload   = "UNSIGNED-PAYLOAD"
	streamingEvents   = "STREAMING-AWS4-HMAC-SHA256-EVENTS"
	streamingSigned   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingTrailer  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	emptyHash         = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// Verify checks the request's signature, made with secret, its time, and that body is the body that was signed. It
// returns the body as the service is to see it: decoded, where it was aws-chunked. The headers then say so too:
// Content-Encoding and Content-Length are those of the decoded body, and trailing headers stand among the others.
// A request that doesn't verify is left as it was. The error is an *Error.
func (s *Signature) Verify(r *http.Request, body []byte, secret string, now time.Time) ([]byte, error) {
	if err := s.checkTime(now); err != nil {
		return nil, err
	}
	if err := s.checkHeaders(r); err != nil {
		return nil, err
	}
	payload, err := s.payload(r, body)
	if err != nil {
		return nil, err
	}
	key := s.signingKey(secret)
	if !s.matches(r, payload, key) {
		return nil, &Error{Kind: BadSignature}
	}
	switch payload {
	case streamingSigned, streamingTrailer, streamingUnsigned:
		return s.decodeChunked(r, body, payload, key)
	}
	if len(payload) == len(emptyHash) && !sameText(payload, hash(body)) {
		return nil, &Error{Kind: BodyMismatch}
	}
	return body, nil
}

// matches compares the signature with those of the request's canonical forms.
func (s *Signature) matches(r *http.Request, payload string, key []byte) bool {
	for _, path := range s.canonicalPaths(r.URL.EscapedPath()) {
		if sameText(s.value, s.sign(key, s.canonicalRequest(r, path, payload))) {
			return true
		}
	}
	return false
}

// sign returns the signature of a canonical request.
func (s *Signature) sign(key []byte, canonical string) string {
	text := algorithm + "\n" + s.Time.Format(timeLayout) + "\n" + s.scope() + "\n" + hash([]byte(canonical))
	return hex.EncodeToString(mac(key, text))
}

func (s *Signature) signingKey(secret string) []byte {
	key := mac([]byte("AWS4"+secret), s.Date)
	for _, part := range []string{s.Region, s.Service, terminator} {
		key = mac(key, part)
	}
	return key
}

// checkTime holds the request's time against the server's.
func (s *Signature) checkTime(now time.Time) error {
	now = now.UTC()
	said, current := s.Time.Format(timeLayout), now.Format(timeLayout)
	switch {
	case s.Time.Sub(now) > skew:
		return &Error{Skewed, "Signature not yet current: " + said + " is still later than " +
			now.Add(skew).Format(timeLayout) + " (" + current + " + 15 min.)"}
	case s.Presigned && now.Sub(s.Time) > s.Expires:
		return &Error{Expired, "Signature expired: " + s.Time.Add(s.Expires).Format(timeLayout) + " is now earlier than " + current}
	case !s.Presigned && now.Sub(s.Time) > skew:
		return &Error{Skewed, "Signature expired: " + said + " is now earlier than " +
			now.Add(-skew).Format(timeLayout) + " (" + current + " - 15 min.)"}
	}
	return nil
}

// checkHeaders refuses requests with x-amz- headers that the signature doesn't cover, which could have been put there
// by anyone.
func (s *Signature) checkHeaders(r *http.Request) error {
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(s.signedHeaders, name) {
			return &Error{BadSignature, "There were headers present in the request which were not signed: " + name}
		}
	}
	return nil
}

// payload returns the body's part of the canonical request: its hash, or the word that stands for it.
func (s *Signature) payload(r *http.Request, body []byte) (string, error) {
	said := r.Header.Get("X-Amz-Content-Sha256")
	if said == "" && s.Presigned {
		said = r.URL.Query().Get("X-Amz-Content-Sha256")
	}
	switch said {
	case unsignedPayload, streamingEvents, streamingSigned, streamingTrailer, streamingUnsigned:
		return said, nil
	case "":
		if s.s3() && s.Presigned {
			return unsignedPayload, nil
		}
		if s.s3() {
			return "", &Error{Kind: NoBodyHash}
		}
		return hash(body), nil
	}
	if b, err := hex.DecodeString(said); err != nil || len(b) != sha256.Size {
		return "", &Error{Kind: BadBodyHash}
	}
	return said, nil
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func hash(b []byte) string {
	if len(b) == 0 {
		return emptyHash
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// sameText compares in constant time.
func sameText(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
