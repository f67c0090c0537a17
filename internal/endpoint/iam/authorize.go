package iam

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
)

// Check asks whether the call's caller may do what access says. resource is the resource's own policy, or nil; more
// holds the condition keys that the service adds to the general ones. The error is the AWS error of the refusal, in
// the wording and code of services that speak p.
func (s *Store) Check(c *awsapi.Call, access awsapi.Access, resource *policy.Document, more policy.Context, p awsapi.Protocol) *awsapi.Error {
	caller := callerOf(c)
	policies := caller.policies
	if resource != nil {
		policies.Resource = []*policy.Document{resource}
	}
	request := policy.Request{Principal: caller.principal, Action: access.Action, Resource: access.Resource, Context: s.conditions(c, more)}
	switch policy.Authorize(policies, request) {
	case policy.Allow:
		return nil
	case policy.Deny:
		return denied(c.Caller, access, "with an explicit deny in "+denier(policies, request), p)
	}
	if caller.Identity.Kind == awsapi.Anonymous {
		return denied(c.Caller, access, "because no resource-based policy allows the "+access.Action+" action", p)
	}
	kind := "identity-based"
	if policy.Evaluate(policies.Identity, request) == policy.Allow {
		kind = "session"
	}
	return denied(c.Caller, access, "because no "+kind+" policy allows the "+access.Action+" action", p)
}

// Consent asks a resource's policy whether it lets the caller do that, or leaves it to the caller's account. It is for
// resources, such as KMS keys, on which identity policies alone don't help.
func (s *Store) Consent(c *awsapi.Call, access awsapi.Access, resource *policy.Document, more policy.Context, p awsapi.Protocol) *awsapi.Error {
	request := policy.Request{Principal: callerOf(c).principal, Action: access.Action, Resource: access.Resource, Context: s.conditions(c, more)}
	if d := policy.Evaluate([]*policy.Document{resource}, request); d == policy.Allow || d == policy.Delegated {
		return nil
	}
	return denied(c.Caller, access, "because no resource-based policy allows the "+access.Action+" action", p)
}

// denier names the kind of policy that denies a request.
func denier(p policy.Policies, r policy.Request) string {
	switch policy.Deny {
	case policy.Evaluate(p.Identity, r):
		return "an identity-based policy"
	case policy.Evaluate(p.Session, r):
		return "a session policy"
	}
	return "a resource-based policy"
}

// denied is AccessDenied as AWS words it.
func denied(id *awsapi.Identity, access awsapi.Access, reason string, p awsapi.Protocol) *awsapi.Error {
	who, resource := id.ARN, access.Resource
	if p == awsapi.RESTXML {
		resource = strconv.Quote(resource)
	}
	e := &awsapi.Error{
		Code:     "AccessDenied",
		Message:  fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s %s", who, access.Action, resource, reason),
		Status:   http.StatusForbidden,
		Recorded: "AccessDenied",
	}
	if id.Kind == awsapi.Anonymous && p == awsapi.RESTXML {
		e.Message = "Access Denied"
	}
	if p != awsapi.Query && p != awsapi.RESTXML {
		e.Code = "AccessDeniedException"
		if p != awsapi.RESTJSON {
			e.Status = http.StatusBadRequest
		}
	}
	return e
}

// conditions returns the condition keys of a call: AWS's global ones, and the service's.
func (s *Store) conditions(c *awsapi.Call, more policy.Context) policy.Context {
	caller := callerOf(c)
	id := caller.Identity
	ctx := policy.Context{
		"aws:CurrentTime":     {c.Time.UTC().Format(time.RFC3339)},
		"aws:EpochTime":       {strconv.FormatInt(c.Time.Unix(), 10)},
		"aws:SecureTransport": {strconv.FormatBool(c.Request.TLS != nil)},
		"aws:RequestedRegion": {c.Region},
		// Clients call for themselves here.
		"aws:ViaAWSService": {"false"}, "aws:PrincipalIsAWSService": {"false"},
	}
	set := func(key, value string) {
		if value != "" {
			ctx[key] = []string{value}
		}
	}
	if host, _, err := net.SplitHostPort(c.Request.RemoteAddr); err == nil {
		set("aws:SourceIp", host)
	}
	set("aws:UserAgent", c.Request.UserAgent())
	set("aws:Referer", c.Request.Referer())
	set("aws:PrincipalAccount", id.Account)
	if id.Account != "" {
		set("aws:PrincipalOrgID", s.organization)
	}
	set("aws:userid", id.PrincipalID)
	set("aws:username", id.UserName)
	set("aws:PrincipalArn", id.ARN)
	if caller.principal.RoleARN != "" {
		set("aws:PrincipalArn", caller.principal.RoleARN)
	}
	set("aws:PrincipalType", map[awsapi.IdentityKind]string{
		awsapi.Anonymous: "Anonymous", awsapi.Root: "Account", awsapi.User: "User",
		awsapi.AssumedRole: "AssumedRole", awsapi.FederatedUser: "FederatedUser",
	}[id.Kind])
	if v := caller.session; v != nil {
		set("aws:TokenIssueTime", v.Created.Format(time.RFC3339))
		set("aws:MultiFactorAuthPresent", "false")
		set("aws:SourceIdentity", v.SourceIdentity)
	}
	for key, value := range caller.tags {
		ctx["aws:PrincipalTag/"+key] = []string{value}
	}
	maps.Copy(ctx, more)
	return ctx
}

// AllowRole tells whether a service may assume the role, and the role may then do the action on the resource. The error
// says which of the two it may not.
func (s *Store) AllowRole(_ context.Context, roleARN, service, action, resource string) error {
	role := s.roleByARN(roleARN)
	if role == nil {
		return fmt.Errorf("role %s does not exist", roleARN)
	}
	ctx := policy.Context{"aws:SourceAccount": {s.account}, "aws:PrincipalIsAWSService": {"true"}}
	trust := policy.Request{Principal: policy.Principal{Service: service}, Action: "sts:AssumeRole", Context: ctx}
	if d := policy.Evaluate([]*policy.Document{s.parsed.parse(role.Trust)}, trust); d != policy.Allow {
		return fmt.Errorf("the trust policy of role %s doesn't let %s assume it", roleARN, service)
	}
	s.mu.RLock()
	docs := s.documentsOf(role)
	s.mu.RUnlock()
	r := policy.Request{Principal: policy.Principal{ARN: roleARN, RoleARN: roleARN, Account: s.account}, Action: action, Resource: resource}
	if d := policy.Evaluate(docs, r); d != policy.Allow {
		return fmt.Errorf("no policy of role %s allows %s on %s", roleARN, action, resource)
	}
	return nil
}
