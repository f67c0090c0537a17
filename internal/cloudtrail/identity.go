package cloudtrail

import "strings"

// ActorKind is what kind of principal an Actor is.
type ActorKind string

// The kinds of actors.
const (
	ActorRoot      ActorKind = "root"
	ActorUser      ActorKind = "user"
	ActorRole      ActorKind = "role"
	ActorFederated ActorKind = "federated" // SAML, OIDC, Identity Center, and callers known by the claims of a JWT
	ActorService   ActorKind = "service"   // an AWS service of its own accord
	ActorAPIKey    ActorKind = "api_key"   // a Bedrock or Claude Platform API key, as the IAM user that owns it
	ActorAccount   ActorKind = "account"   // another account, of which no more is said
	ActorAnonymous ActorKind = "anonymous"
	ActorUnknown   ActorKind = "unknown"
)

// Actor is who really made a call: the human or workload behind keys, sessions, roles and tokens.
type Actor struct {
	// Name is a user's name, "ROLE/SESSION" of a role (the session's name alone, or its source identity, where those name a
	// person: Identity Center's roles, and sessions with a source identity), a service's DNS name, a JWT's subject.
	Name string
	Kind ActorKind
}

// Actor derives who called from userIdentity
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html) and from the
// marks of API keys and JWTs, which stand elsewhere in the record.
func (e *Event) Actor() Actor {
	u := e.UserIdentity
	if u == nil {
		return Actor{"unknown", ActorUnknown}
	}
	switch u.Type {
	case "Root":
		return Actor{"root", ActorRoot}
	case "IAMUser":
		a := Actor{firstOf(u.UserName, afterSlash(u.ARN), u.PrincipalID, u.AccountID), ActorUser}
		if e.bearer() {
			a.Kind = ActorAPIKey
		}
		return a
	case "AssumedRole", "Role":
		return e.roleActor(u)
	case "FederatedUser", "SAMLUser", "WebIdentityUser", "IdentityCenterUser":
		name := firstOf(u.UserName, afterSlash(u.ARN), u.PrincipalID)
		if u.OnBehalfOf != nil {
			name = firstOf(name, u.OnBehalfOf.UserID)
		}
		return Actor{firstOf(name, "unknown"), ActorFederated}
	case "AWSService":
		return Actor{firstOf(u.InvokedBy, e.SourceIPAddress, "unknown"), ActorService}
	case "AWSAccount":
		return e.accountActor(u)
	}
	if u.InvokedBy != "" && u.ARN == "" {
		return Actor{u.InvokedBy, ActorService}
	}
	return Actor{firstOf(u.UserName, afterSlash(u.ARN), u.PrincipalID, u.AccountID, "unknown"), ActorUnknown}
}

func (e *Event) roleActor(u *UserIdentity) Actor {
	a := Actor{Kind: ActorRole}
	if e.bearer() {
		a.Kind = ActorAPIKey
	}
	_, roleSession, _ := strings.Cut(u.ARN, "/")
	role, session := roleSession, ""
	if i := strings.LastIndexByte(roleSession, '/'); i >= 0 && u.Type == "AssumedRole" {
		role, session = roleSession[:i], roleSession[i+1:]
	}
	if s := u.SessionContext; s != nil {
		if s.SessionIssuer != nil {
			role = firstOf(s.SessionIssuer.UserName, role)
		}
		if federated := s.WebIDFederationData; federated.Member("federatedProvider") != "" && a.Kind == ActorRole {
			a.Kind = ActorFederated
		}
		if s.SourceIdentity != "" {
			a.Name = s.SourceIdentity
			return a
		}
	}
	if session == "" {
		_, session, _ = strings.Cut(u.PrincipalID, ":")
	}
	switch {
	case strings.HasPrefix(role, "AWSReservedSSO_") && session != "":
		a.Name, a.Kind = session, ActorFederated
	case role != "" && session != "":
		a.Name = role + "/" + session
	default:
		a.Name = firstOf(role, session, u.PrincipalID, "unknown")
	}
	return a
}

// accountActor is for callers that CloudTrail names by account only: other accounts, anonymous callers, and AgentCore
// Gateway's, who are known by their token.
func (e *Event) accountActor(u *UserIdentity) Actor {
	claims := e.AdditionalEventData.Member("jwt").Member("claims")
	for _, claim := range []string{"email", "username", "sub", "client_id"} {
		if v := claims.Member(claim).Text(); v != "" {
			return Actor{v, ActorFederated}
		}
	}
	if u.AccountID == "anonymous" || u.AccountID == "ANONYMOUS_PRINCIPAL" || u.PrincipalID == "anonymous" || u.AccountID == "" && u.PrincipalID == "" {
		return Actor{"anonymous", ActorAnonymous}
	}
	return Actor{firstOf(u.AccountID, u.PrincipalID), ActorAccount}
}

// bearer says whether the call was made with an API key. Bedrock marks it in additionalEventData, Bedrock Mantle and
// Claude Platform in requestParameters.
func (e *Event) bearer() bool {
	const mark = "callWithBearerToken"
	return strings.Contains(string(e.AdditionalEventData), mark) && e.AdditionalEventData.Member(mark).Text() == "true" ||
		strings.Contains(string(e.RequestParameters), mark) && e.RequestParameters.Member(mark).Text() == "true"
}

func firstOf(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

func afterSlash(arn string) string {
	return arn[strings.LastIndexByte(arn, '/')+1:]
}
