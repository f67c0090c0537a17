package iam

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/sigv4"
)

// Caller is an authenticated caller, with what decides its permissions. It holds for one request.
type Caller struct {
	Identity *awsapi.Identity
	// Region and Service are the credential scope's; "" for anonymous callers, and Service is "" for bearers, too.
	Region, Service string

	// Events verifies the messages of an event stream that the caller sends; nil for other requests, and for bearers.
	Events *sigv4.Events

	principal policy.Principal
	policies  policy.Policies
	session   *session // nil for long-term keys
	tags      map[string]string
}

// prefixes of Bedrock API keys: long-term ones are service-specific credentials, short-term ones hold a presigned
// request of a principal.
const (
	longTermKey  = "ABSK"
	shortTermKey = "bedrock-api-key-"
)

// Authenticate finds out who makes a request: its signature, presigned query or bearer token is verified. A request
// with none of them is the anonymous caller's. The body returned is the decoded one, and the request's headers are
// those of that body. The error is a *sigv4.Error.
func (s *Store) Authenticate(r *http.Request, body []byte, now time.Time) (*Caller, []byte, error) {
	if token, ok := bearer(r); ok {
		c, err := s.authenticateBearer(token, now)
		return c, body, err
	}
	if !sigv4.Signed(r) {
		return &Caller{Identity: &awsapi.Identity{Kind: awsapi.Anonymous}}, body, nil
	}
	return s.authenticateSigned(r, body, now)
}

func (s *Store) authenticateSigned(r *http.Request, body []byte, now time.Time) (*Caller, []byte, error) {
	signature, err := sigv4.Parse(r)
	if err != nil {
		return nil, nil, err
	}
	c, secret, err := s.key(signature.AccessKeyID, signature.SessionToken, now)
	if err != nil {
		return nil, nil, err
	}
	if body, err = signature.Verify(r, body, secret, now); err != nil {
		return nil, nil, err
	}
	// Who asks with a good signature is told that the session is over; nobody else is.
	if c.session != nil && !now.Before(c.session.Expires) {
		return nil, nil, &sigv4.Error{Kind: sigv4.ExpiredToken}
	}
	c.Region, c.Service = signature.Region, signature.Service
	if sigv4.SignsEvents(r) {
		c.Events = signature.Events(secret)
	}
	return c, body, nil
}

// bearer returns the request's bearer token.
func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		// Anthropic's own clients say it this way, to Bedrock's Messages API.
		token = r.Header.Get("X-Api-Key")
		return token, strings.HasPrefix(token, longTermKey) || strings.HasPrefix(token, shortTermKey)
	}
	return strings.TrimSpace(token), true
}

func (s *Store) authenticateBearer(token string, now time.Time) (*Caller, error) {
	if encoded, ok := strings.CutPrefix(token, shortTermKey); ok {
		return s.authenticateShortTerm(encoded, now)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.byHash[hashOf(token)]
	if c == nil || c.Status != active || s.users[c.User] == nil {
		return nil, &sigv4.Error{Kind: sigv4.UnknownKey}
	}
	if c.expired(now) {
		return nil, &sigv4.Error{Kind: sigv4.ExpiredToken}
	}
	caller := s.userCaller(s.users[c.User])
	caller.Identity.Bearer, caller.Identity.CredentialID = true, c.ID
	return caller, nil
}

// authenticateShortTerm verifies the presigned request inside a short-term Bedrock API key: a POST of
// Action=CallWithBearerToken, without the scheme, to which "&Version=1" was added after it was signed.
func (s *Store) authenticateShortTerm(encoded string, now time.Time) (*Caller, error) {
	invalid := &sigv4.Error{Kind: sigv4.UnknownKey}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, invalid
	}
	u, err := url.Parse("https://" + strings.TrimSuffix(string(text), "&Version=1"))
	if err != nil || u.Query().Get("Action") != "CallWithBearerToken" {
		return nil, invalid
	}
	r := &http.Request{Method: http.MethodPost, URL: u, Host: u.Host, Header: http.Header{}}
	c, _, err := s.authenticateSigned(r, nil, now)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(c.Service, "bedrock") {
		return nil, invalid
	}
	c.Service, c.Identity.Bearer = "", true
	return c, nil
}

// key finds the caller and the secret of an access key id, with the token that came with it.
func (s *Store) key(id, token string, now time.Time) (*Caller, string, error) {
	if strings.HasPrefix(id, "ASIA") {
		return s.sessionKey(id, token)
	}
	if token != "" {
		return nil, "", &sigv4.Error{Kind: sigv4.BadToken}
	}
	if id == s.root.AccessKeyID {
		return s.rootCaller(id), s.root.Secret, nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	k := s.keys[id]
	if k == nil || k.Status != active || s.users[k.User] == nil {
		return nil, "", &sigv4.Error{Kind: sigv4.UnknownKey}
	}
	c := s.userCaller(s.users[k.User])
	c.Identity.AccessKeyID = id
	return c, k.Secret, nil
}

// sessionKey finds the caller of temporary credentials.
func (s *Store) sessionKey(id, token string) (*Caller, string, error) {
	v, ok := s.unseal(token)
	if token == "" {
		return nil, "", &sigv4.Error{Kind: sigv4.UnknownKey}
	}
	if !ok || v.AccessKeyID != id {
		return nil, "", &sigv4.Error{Kind: sigv4.BadToken}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var c *Caller
	switch v.Kind {
	case "root":
		c = s.rootCaller(id)
	case "user":
		u := s.users[v.Name]
		if u == nil || u.ID != v.ID {
			return nil, "", &sigv4.Error{Kind: sigv4.UnknownKey}
		}
		c = s.userCaller(u)
	case "role":
		c = s.roleCaller(v)
	default:
		c = s.federatedCaller(v)
	}
	c.session = v
	c.Identity.AccessKeyID = id
	if c.Identity.Session == nil {
		c.Identity.Session = &awsapi.Session{}
	}
	c.Identity.Session.Created = v.Created
	c.Identity.Session.SourceIdentity = v.SourceIdentity
	c.Identity.Session.Tags = v.Tags
	for key, value := range v.Tags {
		c.setTag(key, value)
	}
	return c, s.secretOf(id), nil
}

func (c *Caller) setTag(key, value string) {
	if c.tags == nil {
		c.tags = map[string]string{}
	}
	c.tags[key] = value
}

func (s *Store) rootCaller(accessKeyID string) *Caller {
	arn := "arn:aws:iam::" + s.account + ":root"
	return &Caller{
		Identity:  &awsapi.Identity{Kind: awsapi.Root, Account: s.account, ARN: arn, PrincipalID: s.account, AccessKeyID: accessKeyID},
		principal: policy.Principal{ARN: arn, ID: s.account, Account: s.account, Root: true},
	}
}

// userCaller is a user, with its policies. Callers hold s.mu.
func (s *Store) userCaller(u *entity) *Caller {
	arn := s.userARN(u)
	c := &Caller{
		Identity:  &awsapi.Identity{Kind: awsapi.User, Account: s.account, ARN: arn, PrincipalID: u.ID, UserName: u.Name},
		principal: policy.Principal{ARN: arn, ID: u.ID, Account: s.account},
		policies:  policy.Policies{Identity: s.documentsOf(u)},
	}
	for _, t := range u.Tags {
		c.setTag(t.Key, t.Value)
	}
	return c
}

// roleCaller is a role's session. Callers hold s.mu.
func (s *Store) roleCaller(v *session) *Caller {
	arn := "arn:aws:sts::" + s.account + ":assumed-role/" + v.Name + "/" + v.Session
	c := &Caller{
		Identity:  &awsapi.Identity{Kind: awsapi.AssumedRole, Account: s.account, ARN: arn, PrincipalID: v.ID + ":" + v.Session},
		principal: policy.Principal{ARN: arn, ID: v.ID + ":" + v.Session, Account: s.account},
	}
	roleARN := s.arn("role", "/", v.Name)
	if r := s.roles[v.Name]; r != nil && r.ID == v.ID {
		roleARN = s.roleARN(r)
		c.policies.Identity = s.documentsOf(r)
		for _, t := range r.Tags {
			c.setTag(t.Key, t.Value)
		}
	}
	c.principal.RoleARN = roleARN
	c.policies.Session = s.sessionDocuments(v)
	c.Identity.Session = &awsapi.Session{Issuer: &cloudtrail.SessionIssuer{
		Type: "Role", PrincipalID: v.ID, ARN: roleARN, AccountID: s.account, UserName: v.Name,
	}}
	return c
}

// federatedCaller is a federated user: it may do what both its user and the session's policies allow. Callers hold s.mu.
func (s *Store) federatedCaller(v *session) *Caller {
	arn, id := "arn:aws:sts::"+s.account+":federated-user/"+v.Session, s.account+":"+v.Session
	c := &Caller{
		Identity:  &awsapi.Identity{Kind: awsapi.FederatedUser, Account: s.account, ARN: arn, PrincipalID: id},
		principal: policy.Principal{ARN: arn, ID: id, Account: s.account},
		policies:  policy.Policies{Session: s.sessionDocuments(v), Limited: true},
	}
	issuer := &cloudtrail.SessionIssuer{Type: "Root", PrincipalID: s.account, ARN: "arn:aws:iam::" + s.account + ":root", AccountID: s.account}
	if v.Name == "" {
		c.policies.Identity = []*policy.Document{s.parsed.parse(administrator)}
	} else {
		issuer = &cloudtrail.SessionIssuer{Type: "IAMUser", PrincipalID: v.ID, ARN: s.arn("user", "/", v.Name), AccountID: s.account, UserName: v.Name}
		if u := s.users[v.Name]; u != nil && u.ID == v.ID {
			issuer.ARN = s.userARN(u)
			c.policies.Identity = s.documentsOf(u)
		}
	}
	c.Identity.Session = &awsapi.Session{Issuer: issuer}
	return c
}

// documentsOf returns the policies of a user or role. Callers hold s.mu.
func (s *Store) documentsOf(e *entity) []*policy.Document {
	docs := make([]*policy.Document, 0, len(e.Inline)+len(e.Attached))
	for _, text := range e.Inline {
		docs = append(docs, s.parsed.parse(text))
	}
	return append(docs, s.managedDocuments(e.Attached)...)
}

// managedDocuments returns the default versions of managed policies. Callers hold s.mu.
func (s *Store) managedDocuments(arns []string) []*policy.Document {
	var docs []*policy.Document
	for _, arn := range arns {
		if m := s.policies[arn]; m != nil {
			if v, ok := m.version(m.Default); ok {
				docs = append(docs, s.parsed.parse(v.Document))
			}
		}
	}
	return docs
}

// sessionDocuments returns a session's policies. Callers hold s.mu.
func (s *Store) sessionDocuments(v *session) []*policy.Document {
	docs := s.managedDocuments(v.PolicyARNs)
	for _, text := range v.Policies {
		docs = append(docs, s.parsed.parse(text))
	}
	return docs
}

type contextKey struct{}

// WithCaller returns a context that carries the caller of the request it belongs to.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// callerOf returns the caller that WithCaller put into a call's request.
func callerOf(c *awsapi.Call) *Caller {
	if caller, ok := c.Request.Context().Value(contextKey{}).(*Caller); ok {
		return caller
	}
	return &Caller{Identity: c.Caller}
}
