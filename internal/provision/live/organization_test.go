package live_test

import (
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/provision/live"
)

// startOrganization is an endpoint whose account manages an organization with one member.
func startOrganization(t *testing.T) *local {
	t.Helper()
	l := &local{calls: map[string]int{}}
	var err error
	l.server, err = endpoint.New(endpoint.Options{
		Dir: t.TempDir(), Account: account, Organization: "o-exampleorgid", Members: []string{"444455556666"}, Throttle: func(c *awsapi.Call) bool { return l.seen(c) },
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(l.server.Handler())
	l.url = web.URL
	t.Cleanup(func() {
		web.Close()
		if err := l.server.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestOrganization(t *testing.T) {
	e := startOrganization(t)
	s := here()
	s.Organization, s.DelegatedAdmin, s.DataTypes = "o-exampleorgid", "444455556666", []string{"AWS::Bedrock::Guardrail"}
	cfg := e.config()
	// Until the organization trusts CloudTrail AWS refuses, and doctor says what to do.
	_, err := live.Apply(t.Context(), cfg, s, nil)
	if !live.HasCode(err, "CloudTrailAccessNotEnabledException") {
		t.Fatalf("got %v", err)
	}
	if got := found(t, cfg, s); !slices.Contains(got, "organization-access: missing") {
		t.Errorf("doctor: %v", got)
	}
	_, err = organizations.NewFromConfig(cfg).EnableAWSServiceAccess(t.Context(), &organizations.EnableAWSServiceAccessInput{ServicePrincipal: aws.String("cloudtrail.amazonaws.com")})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, e, s)
	_, steps := apply(t, e, s)
	if diff := cmp.Diff(kinds(s, live.Unchanged), steps); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	if got := found(t, asUser(t, e, s.DoctorPolicy()), s); len(got) > 0 {
		t.Errorf("doctor: %v", got)
	}
	if out, err := live.ReadOutputs(t.Context(), cfg, s); err != nil || out.TrailARN != "arn:aws:cloudtrail:us-east-1:111122223333:trail/ai-trail" {
		t.Errorf("outputs: %+v, %v", out, err)
	}
	if steps := down(t, e, s); !slices.Contains(steps, "trail: remove") {
		t.Errorf("down: %v", steps)
	}
}
