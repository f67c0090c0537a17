package live_test

import (
	"testing"

	"github.com/aitrail/aitrail/internal/provision/live"
)

func TestDifferentStatements(t *testing.T) {
	const want = `{"Statement":[{"Sid":"Check","Effect":"Allow","Action":"s3:GetBucketAcl","Condition":{"StringEquals":{"aws:SourceArn":"a"}}},{"Sid":"Write","Effect":"Allow","Action":["s3:PutObject"]}]}`
	for name, tt := range map[string]struct{ have, want string }{
		"one member":   {`{"Statement":[{"Sid":"Write","Effect":"Allow","Action":"s3:PutObject"},{"Sid":"Check","Effect":"Allow","Action":"s3:GetBucketAcl","Condition":{"StringEquals":{"aws:SourceArn":"b"}}}]}`, "statement Check differs in Condition.StringEquals.aws:SourceArn"},
		"two members":  {`{"Statement":[{"Sid":"Write","Effect":"Deny","Action":"s3:*"},{"Sid":"Check","Effect":"Allow","Action":"s3:GetBucketAcl","Condition":{"StringEquals":{"aws:SourceArn":"a"}}}]}`, "statement Write differs in Action, Effect"},
		"one missing":  {`{"Statement":{"Sid":"Write","Effect":"Allow","Action":"s3:PutObject"}}`, "statement Check is missing"},
		"one too many": {`{"Statement":[{"Effect":"Allow"},{"Sid":"Write","Effect":"Allow","Action":"s3:PutObject"},{"Sid":"Check","Effect":"Allow","Action":"s3:GetBucketAcl","Condition":{"StringEquals":{"aws:SourceArn":"a"}}}]}`, "a statement without Sid is not the set-up's"},
		"no policy":    {`{`, ""},
	} {
		if got := live.DifferentStatements(tt.have, want); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
