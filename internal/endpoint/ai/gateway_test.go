package ai_test

import (
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/ai"
)

// FuzzToken has no text make the reader of tokens fail, and none be taken whose parts aren't three.
func FuzzToken(f *testing.F) {
	f.Add("Bearer eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjQwMDAwMDAwMDB9.c2ln")
	f.Add("Bearer eyJhbGciOiJub25lIn0.e30.c2ln")
	f.Add("bearer ..")
	f.Fuzz(func(t *testing.T, authorization string) {
		now := time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)
		headers, claims, ok := ai.ParseToken(authorization, now)
		if ok && (headers["alg"] == nil || claims == nil) {
			t.Errorf("%q is a token: %v %v", authorization, headers, claims)
		}
	})
}
