package iam

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
)

// stsService is the STS API.
type stsService struct{ api }

const (
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
	// stsTime is how CloudTrail writes times in STS's records: "Nov 23, 2026, 7:30:00 AM".
	stsTime = "Jan 2, 2006, 3:04:05 PM"
)

// stsOperations are STS's operations. CloudTrail's readOnly is as in real records (AssumeRole: true,
// GetFederationToken: false); for GetSessionToken it is inferred.
func stsOperations() map[string]operation {
	return map[string]operation{
		"GetCallerIdentity":  {true, "", (*Store).getCallerIdentity},
		"AssumeRole":         {true, "", (*Store).assumeRole},
		"GetSessionToken":    {true, "", (*Store).getSessionToken},
		"GetFederationToken": {false, "", (*Store).getFederationToken},
	}
}

// SigningNames implements awsapi.Service.
func (s *stsService) SigningNames() []string { return []string{"sts"} }

// Describe implements awsapi.Service. The parameters come later: CloudTrail doesn't show those of calls it denied.
func (s *stsService) Describe(c *awsapi.Call) {
	c.Record.EventSource = "sts.amazonaws.com"
	c.Record.ReadOnly = s.operations[c.Operation].read
}

// Access implements awsapi.Service. AssumeRole is decided by the role's trust policy and the caller's policies
// together, when it is served; GetCallerIdentity and GetSessionToken need no permission.
func (s *stsService) Access(c *awsapi.Call) []awsapi.Access {
	if c.Operation != "GetFederationToken" {
		return nil
	}
	name := s.query(c).get("Name")
	return []awsapi.Access{{Action: "sts:GetFederationToken", Resource: "arn:aws:sts::" + s.store.account + ":federated-user/" + name}}
}

// Serve implements awsapi.Service.
func (s *stsService) Serve(c *awsapi.Call) (*awsapi.Response, error) {
	r, err := s.answer(c, stsNamespace, stsTime, c.Operation != "GetCallerIdentity")
	if err == nil {
		c.Record.RequestParameters = requestParameters(s.query(c).v)
	}
	return r, err
}

func (s *Store) getCallerIdentity(q *query) (fields, error) {
	id := q.Caller
	return fields{{"Arn", id.ARN}, {"UserId", id.PrincipalID}, {"Account", id.Account}}, nil
}

// duration returns the parameter DurationSeconds.
func (q *query) duration(otherwise, least, most int) (time.Duration, error) {
	v := q.get("DurationSeconds")
	n, err := strconv.Atoi(v)
	switch {
	case v == "":
		n = otherwise
	case err != nil || n < least:
		return 0, validation("1 validation error detected: Value '%s' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to %d", v, least)
	case n > most:
		return 0, validation("1 validation error detected: Value '%s' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to %d", v, most)
	}
	return time.Duration(n) * time.Second, nil
}

// issue makes a session its credentials.
func (s *Store) issue(q *query, v *session, lasts time.Duration) (fields, error) {
	v.AccessKeyID = s.keyID("ASIA")
	v.Created = q.Time.UTC().Truncate(time.Second)
	v.Expires = v.Created.Add(lasts)
	token, err := s.seal(v)
	if err != nil {
		return nil, err
	}
	return fields{
		{"AccessKeyId", v.AccessKeyID}, {"SecretAccessKey", secret(s.secretOf(v.AccessKeyID))},
		{"SessionToken", token}, {"Expiration", v.Expires},
	}, nil
}

// forbidden is STS's refusal.
func forbidden(message string) error {
	return &awsapi.Error{Code: "AccessDenied", Message: message, Status: http.StatusForbidden}
}

func (s *Store) getSessionToken(q *query) (fields, error) {
	caller := callerOf(q.Call)
	if caller.session != nil || q.Caller.Bearer {
		return nil, forbidden("Cannot call GetSessionToken with session credentials")
	}
	if q.get("SerialNumber") != "" || q.get("TokenCode") != "" {
		return nil, forbidden("MultiFactorAuthentication failed with invalid MFA one time pass code.")
	}
	v, most := &session{Kind: "user", Name: q.Caller.UserName, ID: q.Caller.PrincipalID}, 129600
	if q.Caller.Kind == awsapi.Root {
		v, most = &session{Kind: "root"}, 3600
	}
	lasts, err := q.duration(min(43200, most), 900, most)
	if err != nil {
		return nil, err
	}
	credentials, err := s.issue(q, v, lasts)
	return fields{{"Credentials", credentials}}, err
}

func (s *Store) getFederationToken(q *query) (fields, error) {
	if callerOf(q.Call).session != nil || q.Caller.Bearer {
		return nil, forbidden("Cannot call GetFederationToken with session credentials")
	}
	name, err := q.sessionName("Name", 32)
	if err != nil {
		return nil, err
	}
	v, most := &session{Kind: "federated", Name: q.Caller.UserName, ID: q.Caller.PrincipalID, Session: name}, 129600
	if q.Caller.Kind == awsapi.Root {
		v.Name, most = "", 3600
	}
	size, err := s.sessionPolicies(q, v)
	if err != nil {
		return nil, err
	}
	lasts, err := q.duration(min(43200, most), 900, most)
	if err != nil {
		return nil, err
	}
	credentials, err := s.issue(q, v, lasts)
	if err != nil {
		return nil, err
	}
	return fields{
		{"Credentials", credentials},
		{"FederatedUser", fields{{"FederatedUserId", s.account + ":" + name}, {"Arn", "arn:aws:sts::" + s.account + ":federated-user/" + name}}},
		{"PackedPolicySize", size},
	}, nil
}

// sessionName returns a parameter that must be a name of a session.
func (q *query) sessionName(name string, longest int) (string, error) {
	v, err := q.need(name)
	if err != nil {
		return "", err
	}
	if len(v) < 2 || len(v) > longest || !word(v, "_=,.@-") {
		return "", validation("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]{2,%d}", v, lowerFirst(name), longest)
	}
	return v, nil
}

// packed is how much of session policies and tags a session may hold, in characters; AWS's own limit is on a packed
// form, whose size it tells as a percentage.
const packed = 2048

// sessionPolicies reads a call's session policies and tags into the session, and returns their packed size: nil when
// there are none.
func (s *Store) sessionPolicies(q *query, v *session) (any, error) {
	size := 0
	if q.get("Policy") != "" {
		text, err := q.policyDocument("Policy", policy.IdentityPolicy, packed)
		if err != nil {
			return nil, err
		}
		v.Policies = []string{text}
		size += len(text)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, arn := range members(q.v, "PolicyArns", ".arn") {
		if s.policies[arn] == nil {
			return nil, validation("Policy %s does not exist or is not attachable.", arn)
		}
		v.PolicyARNs = append(v.PolicyARNs, arn)
		size += len(arn)
	}
	tags, err := q.tags()
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		if v.Tags == nil {
			v.Tags = map[string]string{}
		}
		v.Tags[t.Key] = t.Value
		size += len(t.Key) + len(t.Value)
	}
	v.Transitive = append(v.Transitive, members(q.v, "TransitiveTagKeys", "")...)
	if size == 0 {
		return nil, nil
	}
	if size > packed {
		return nil, &awsapi.Error{Code: "PackedPolicyTooLarge", Message: "Packed size of session tags and policies consumes " + strconv.Itoa(100*size/packed) + "% of allotted space."}
	}
	return max(1, 100*size/packed), nil
}

func (s *Store) assumeRole(q *query) (fields, error) {
	arn, err := q.need("RoleArn")
	if err != nil {
		return nil, err
	}
	name, err := q.sessionName("RoleSessionName", 64)
	if err != nil {
		return nil, err
	}
	home := s.accountOf(arn)
	role := home.roleByARN(arn)
	v := &session{Kind: "role", Session: name, SourceIdentity: q.get("SourceIdentity")}
	s.inherit(q, v)
	if err := s.mayAssume(q, role, arn, v); err != nil {
		return nil, err
	}
	v.Name, v.ID = role.Name, role.ID
	inherited := maps.Clone(v.Tags)
	size, err := home.sessionPolicies(q, v)
	if err != nil {
		return nil, err
	}
	for key := range inherited {
		if v.Tags[key] != inherited[key] {
			return nil, validation("One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
	}
	lasts, err := q.duration(3600, 900, 43200)
	if err != nil {
		return nil, err
	}
	switch chained := callerOf(q.Call).session; {
	case lasts > time.Duration(role.MaxSession)*time.Second:
		return nil, validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	case chained != nil && chained.Kind == "role" && lasts > time.Hour:
		return nil, validation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	credentials, err := home.issue(q, v, lasts)
	if err != nil {
		return nil, err
	}
	q.Record.Resources = []cloudtrail.Resource{{AccountID: home.account, Type: "AWS::IAM::Role", ARN: arn}}
	if home != s {
		q.Record.Recipient = home.account
	}
	f := fields{
		{"Credentials", credentials},
		{"AssumedRoleUser", fields{{"AssumedRoleId", v.ID + ":" + name}, {"Arn", "arn:aws:sts::" + home.account + ":assumed-role/" + role.Name + "/" + name}}},
		{"PackedPolicySize", size},
	}
	if v.SourceIdentity != "" {
		f = append(f, field{"SourceIdentity", v.SourceIdentity})
	}
	return f, nil
}

// inherit hands on what stays with a chain of roles: the source identity and the transitive tags.
func (s *Store) inherit(q *query, v *session) {
	before := callerOf(q.Call).session
	if before == nil {
		return
	}
	if before.SourceIdentity != "" {
		v.SourceIdentity = before.SourceIdentity
	}
	for _, key := range before.Transitive {
		if value, ok := before.Tags[key]; ok {
			if v.Tags == nil {
				v.Tags = map[string]string{}
			}
			v.Tags[key] = value
			v.Transitive = append(v.Transitive, key)
		}
	}
}

// mayAssume decides whether the caller may assume the role, with the tags and the source identity it asks for. A role
// that doesn't exist is refused in the same words.
func (s *Store) mayAssume(q *query, role *entity, arn string, v *session) error {
	if q.Caller.Kind == awsapi.Root {
		return forbidden("Roles may not be assumed by root accounts.")
	}
	more := policy.Context{"sts:RoleSessionName": {v.Session}}
	if id := q.get("ExternalId"); id != "" {
		more["sts:ExternalId"] = []string{id}
	}
	if v.SourceIdentity != "" {
		more["sts:SourceIdentity"] = []string{v.SourceIdentity}
	}
	if keys := members(q.v, "TransitiveTagKeys", ""); len(keys) > 0 {
		more["sts:TransitiveTagKeys"] = keys
	}
	tags := tagsOf(q.v)
	requestTags(more, tags)
	actions := []string{"sts:AssumeRole"}
	if q.get("SourceIdentity") != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	if len(tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	refused := func(action string) bool { return role == nil || !s.trusts(q, role, action, arn, more) }
	if i := slices.IndexFunc(actions, refused); i >= 0 {
		return forbidden("User: " + q.Caller.ARN + " is not authorized to perform: " + actions[i] + " on resource: " + arn)
	}
	return nil
}

// trusts decides by the role's trust policy and the caller's own: a trust policy that names the caller is enough in the
// role's own account, one that names the account leaves it to the caller's policies, and a Deny in either denies.
func (s *Store) trusts(q *query, role *entity, action, arn string, more policy.Context) bool {
	caller := callerOf(q.Call)
	r := policy.Request{Principal: caller.principal, Action: action, Resource: arn, Context: s.conditions(q.Call, more)}
	own := policy.Authorize(caller.policies, r)
	switch policy.Evaluate([]*policy.Document{s.parsed.parse(role.Trust)}, r) {
	case policy.Allow:
		return own == policy.Allow || own != policy.Deny && s.accountOf(arn) == s
	case policy.Delegated:
		return own == policy.Allow
	}
	return false
}
