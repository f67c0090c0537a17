package iam

import (
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
)

// OnBehalf is who a service is that has assumed a role to work for the account, in a session of its own. It is nil when
// there is no such role, or its trust policy doesn't let the service assume it.
func (s *Store) OnBehalf(roleARN, session, service string, now time.Time) *awsapi.Identity {
	role := s.roleByARN(roleARN)
	if role == nil {
		return nil
	}
	ctx := policy.Context{"aws:SourceAccount": {s.account}, "aws:PrincipalIsAWSService": {"true"}}
	trust := policy.Request{Principal: policy.Principal{Service: service}, Action: "sts:AssumeRole", Context: ctx}
	if policy.Evaluate([]*policy.Document{s.parsed.parse(role.Trust)}, trust) != policy.Allow {
		return nil
	}
	return &awsapi.Identity{
		Kind: awsapi.AssumedRole, Account: s.account, PrincipalID: role.ID + ":" + session,
		ARN:         "arn:aws:sts::" + s.account + ":assumed-role/" + role.Name + "/" + session,
		AccessKeyID: s.keyID("ASIA"), InvokedBy: service,
		Session: &awsapi.Session{Created: now.Truncate(time.Second), Issuer: &cloudtrail.SessionIssuer{
			Type: "Role", PrincipalID: role.ID, ARN: roleARN, AccountID: s.account, UserName: role.Name,
		}},
	}
}
