package sigv4

import (
	"encoding/hex"
	"net/http"
	"time"
)

// SignsEvents tells whether a request's body is an event stream each of whose messages is signed. The body is then none to
// [Signature.Verify].
func SignsEvents(r *http.Request) bool {
	return r.Header.Get("X-Amz-Content-Sha256") == streamingEvents
}

// Events verifies the messages of an event stream, in their order.
type Events struct {
	s        *Signature
	key      []byte
	previous string
}

// Events returns a verifier of the messages that follow the request with this signature.
func (s *Signature) Events(secret string) *Events {
	return &Events{s: s, key: s.signingKey(secret), previous: s.value}
}

// Verify checks a message: its time, headers (encoded, without the signature) and payload. The error is an *Error.
func (e *Events) Verify(at time.Time, headers, payload, signature []byte) error {
	text := "AWS4-HMAC-SHA256-PAYLOAD\n" + at.UTC().Format(timeLayout) + "\n" + e.s.scope() + "\n" + e.previous + "\n" + hash(headers) + "\n" + hash(payload)
	want := hex.EncodeToString(mac(e.key, text))
	if !sameText(hex.EncodeToString(signature), want) {
		return &Error{Kind: BadSignature}
	}
	e.previous = want
	return nil
}
