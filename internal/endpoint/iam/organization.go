package iam

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/sigv4"
)

// accessRole is the role that AWS Organizations makes in a member account for the management account's administrators.
const accessRole = "OrganizationAccountAccessRole"

// Join makes the account one of an organization's, whose roles its callers may then assume if these let them. In a member
// account it makes the role OrganizationAccountAccessRole, once. It is called before the store is used.
func (s *Store) Join(organization, management string, accounts map[string]*Store) error {
	s.organization, s.others = organization, accounts
	if s.account == management {
		return nil
	}
	var made bool
	if found, err := s.state.Get(bucketJoined, organization, &made); err != nil || found {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &entity{
		Name: accessRole, Path: "/", ID: newID("AROA"), Created: s.now().Truncate(time.Second), MaxSession: defaultSession,
		Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + management +
			`:root"},"Action":"sts:AssumeRole"}]}`,
		Attached: []string{"arn:aws:iam::aws:policy/AdministratorAccess"},
	}
	if s.roles[accessRole] == nil {
		if err := s.putRole(r); err != nil {
			return err
		}
	}
	return s.state.Put(bucketJoined, organization, true)
}

// Knows tells whether a request's credentials are the account's: its access keys', its sessions' or its Bedrock API keys'.
func (s *Store) Knows(r *http.Request) bool {
	token, ok := bearer(r)
	encoded, short := strings.CutPrefix(token, shortTermKey)
	switch {
	case ok && short:
		text, err := base64.StdEncoding.DecodeString(encoded)
		u, urlErr := url.Parse("https://" + string(text))
		return err == nil && urlErr == nil && s.Knows(&http.Request{Method: http.MethodPost, URL: u, Host: u.Host, Header: http.Header{}})
	case ok:
		s.mu.RLock()
		defer s.mu.RUnlock()
		return s.byHash[hashOf(token)] != nil
	case !sigv4.Signed(r):
		return false
	}
	signature, err := sigv4.Parse(r)
	if err != nil {
		return false
	}
	if signature.SessionToken != "" {
		_, ours := s.unseal(signature.SessionToken)
		return ours
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return signature.AccessKeyID == s.root.AccessKeyID || s.keys[signature.AccessKeyID] != nil
}

// accountOf is the account that a role's ARN is of: one of the organization's, or else the store's own.
func (s *Store) accountOf(arn string) *Store {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && s.others[parts[4]] != nil {
		return s.others[parts[4]]
	}
	return s
}
