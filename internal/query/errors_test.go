package query_test

import (
	"testing"

	"github.com/aitrail/aitrail/internal/query"
)

// TestInternalError has what DuckDB says when it fails by itself, and when it is asked again.
func TestInternalError(t *testing.T) {
	for _, text := range []string{
		`{"exception_type":"INTERNAL","exception_message":"Attempted to access index 0 within vector of size 0"}`,
		`{"exception_type":"FATAL","exception_message":"Failed: database has been invalidated because of a previous fatal error"}`,
	} {
		if kind := query.KindOf(text); kind != query.Internal {
			t.Errorf("%s is %q, want %q", text, kind, query.Internal)
		}
	}
}
