// Package organizations is the endpoint's AWS Organizations: one organization of a management account and its members,
// as the endpoint was started with, or none. Accounts can't be made, invited or moved, and there are no organizational units
// and policies; what can be changed is which services are trusted and who administers them.
package organizations

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/rpc"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Options are a Service's settings.
type Options struct {
	ID         string           // "o-exampleorgid"; "": the account is in no organization, and nothing else is needed
	Management string           // the account that manages it
	Members    []string         // the other accounts
	State      *state.Store     // the management account's
	Now        func() time.Time // nil means time.Now
}

// Service is Organizations behind the endpoint, the same one for all accounts; it implements awsapi.Service. Its methods
// may be called concurrently.
type Service struct {
	rpc.API
	opts Options
}

var _ awsapi.Service = (*Service)(nil)

// The buckets of the state.
const (
	trustedBucket   = "organizations.trusted"   // PRINCIPAL → when
	delegatedBucket = "organizations.delegated" // ACCOUNT/PRINCIPAL → when
	joinedBucket    = "organizations.joined"    // ACCOUNT → when
)

// New returns the service.
func New(opts Options) (*Service, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Service{opts: opts}
	s.API = rpc.API{
		Signing: "organizations", EventSource: "organizations.amazonaws.com", JSON: awsapi.JSON11,
		Operations: map[string]rpc.Operation{
			"DescribeAccount":                     rpc.Read(s.describeAccount),
			"DescribeOrganization":                rpc.Read(s.describeOrganization),
			"DeregisterDelegatedAdministrator":    rpc.Op(s.deregister),
			"DisableAWSServiceAccess":             rpc.Op(s.disableAccess),
			"EnableAWSServiceAccess":              rpc.Op(s.enableAccess),
			"ListAccounts":                        rpc.Read(s.listAccounts),
			"ListAWSServiceAccessForOrganization": rpc.Read(s.listAccess),
			"ListDelegatedAdministrators":         rpc.Read(s.listAdministrators),
			"ListDelegatedServicesForAccount":     rpc.Read(s.listServices),
			"ListRoots":                           rpc.Read(s.listRoots),
			"RegisterDelegatedAdministrator":      rpc.Op(s.register),
		},
	}
	return s, s.join()
}

// join notes when accounts were first in the organization.
func (s *Service) join() error {
	for _, account := range s.accounts() {
		var at time.Time
		if found, err := s.opts.State.Get(joinedBucket, account, &at); err != nil || found {
			if err != nil {
				return err
			}
			continue
		}
		if err := s.opts.State.Put(joinedBucket, account, s.now()); err != nil {
			return err
		}
	}
	return nil
}

// accounts are all accounts, the management account first.
func (s *Service) accounts() []string {
	if s.opts.ID == "" {
		return nil
	}
	return append([]string{s.opts.Management}, s.opts.Members...)
}

func (s *Service) now() time.Time { return s.opts.Now().UTC().Truncate(time.Millisecond) }

// Trusted tells whether a service, such as cloudtrail.amazonaws.com, may act in the organization.
func (s *Service) Trusted(principal string) (bool, error) {
	var at time.Time
	return s.opts.State.Get(trustedBucket, principal, &at)
}

// Describe implements awsapi.Service. Organizations is a global service.
func (s *Service) Describe(c *awsapi.Call) {
	s.API.Describe(c)
	c.Record.Global = true
}

// Access implements awsapi.Service.
func (s *Service) Access(c *awsapi.Call) []awsapi.Access {
	return []awsapi.Access{{Action: "organizations:" + c.Operation, Resource: "*"}}
}

func fail(code, message string) error { return &awsapi.Error{Code: code, Message: message} }

// member refuses accounts that are in no organization.
func (s *Service) member() error {
	if s.opts.ID == "" {
		return fail("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
	}
	return nil
}

// manager refuses all but the management account and, of calls that only read, those that administer a service.
func (s *Service) manager(c *awsapi.Call, reads bool) error {
	if err := s.member(); err != nil {
		return err
	}
	if c.Account == s.opts.Management {
		return nil
	}
	if reads {
		list, err := state.List[time.Time](s.opts.State, delegatedBucket, c.Account+"/")
		if err != nil || len(list) > 0 {
			return err
		}
	}
	return &awsapi.Error{Code: "AccessDeniedException", Message: "You don't have permissions to access this resource.", Status: http.StatusBadRequest}
}

func (s *Service) arn(resource string) string {
	return "arn:aws:organizations::" + s.opts.Management + ":" + resource
}

type policyType struct{ Type, Status string }

type organization struct {
	ID                 string `aws:"Id"`
	ARN                string `aws:"Arn"`
	FeatureSet         string
	MasterAccountArn   string
	MasterAccountID    string `aws:"MasterAccountId"`
	MasterAccountEmail string
	// AvailablePolicyTypes is in use no longer, and filled all the same.
	AvailablePolicyTypes []policyType
}

func (s *Service) describeOrganization(*awsapi.Call, *struct{}) (any, error) {
	if err := s.member(); err != nil {
		return nil, err
	}
	management := s.account(s.opts.Management, time.Time{})
	return &struct{ Organization organization }{organization{
		ID: s.opts.ID, ARN: s.arn("organization/" + s.opts.ID), FeatureSet: "ALL",
		MasterAccountArn: management.ARN, MasterAccountID: management.ID, MasterAccountEmail: management.Email,
		AvailablePolicyTypes: []policyType{{"SERVICE_CONTROL_POLICY", "ENABLED"}},
	}}, nil
}

type account struct {
	ID              string `aws:"Id"`
	ARN             string `aws:"Arn"`
	Email           string
	Name            string
	Status          string
	State           string
	JoinedMethod    string
	JoinedTimestamp time.Time
	// DelegationEnabledDate is of administrators.
	DelegationEnabledDate time.Time
}

func (s *Service) account(id string, joined time.Time) account {
	a := account{
		ID: id, ARN: s.arn("account/" + s.opts.ID + "/" + id), Email: id + "@example.com", Name: "account-" + id,
		Status: "ACTIVE", State: "ACTIVE", JoinedMethod: "CREATED", JoinedTimestamp: joined,
	}
	if id == s.opts.Management {
		a.Name, a.JoinedMethod = "management", "INVITED"
	}
	return a
}

func (s *Service) listAccounts(c *awsapi.Call, _ *struct{}) (any, error) {
	if err := s.manager(c, true); err != nil {
		return nil, err
	}
	out := &struct{ Accounts []account }{}
	for _, id := range s.accounts() {
		var joined time.Time
		if _, err := s.opts.State.Get(joinedBucket, id, &joined); err != nil {
			return nil, err
		}
		out.Accounts = append(out.Accounts, s.account(id, joined))
	}
	return out, nil
}

func (s *Service) describeAccount(c *awsapi.Call, in *struct {
	AccountID string `aws:"AccountId"`
}) (any, error) {
	if err := s.manager(c, true); err != nil {
		return nil, err
	}
	var joined time.Time
	if found, err := s.opts.State.Get(joinedBucket, in.AccountID, &joined); err != nil {
		return nil, err
	} else if !found || !slices.Contains(s.accounts(), in.AccountID) {
		return nil, notFound(in.AccountID)
	}
	return &struct{ Account account }{s.account(in.AccountID, joined)}, nil
}

func notFound(string) error {
	return fail("AccountNotFoundException", "You specified an account that doesn't exist.")
}

type root struct {
	ID          string `aws:"Id"`
	ARN         string `aws:"Arn"`
	Name        string
	PolicyTypes []policyType `aws:",keep"`
}

func (s *Service) listRoots(c *awsapi.Call, _ *struct{}) (any, error) {
	if err := s.manager(c, true); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(s.opts.ID))
	id := "r-" + hex.EncodeToString(sum[:2])
	return &struct{ Roots []root }{[]root{{
		ID: id, ARN: s.arn("root/" + s.opts.ID + "/" + id), Name: "Root", PolicyTypes: []policyType{},
	}}}, nil
}

type principalInput struct{ ServicePrincipal string }

func (in *principalInput) check() error {
	if !strings.HasSuffix(in.ServicePrincipal, ".amazonaws.com") {
		return fail("InvalidInputException", "You specified an unrecognized service principal.")
	}
	return nil
}

func (s *Service) enableAccess(c *awsapi.Call, in *principalInput) (any, error) {
	if err := cmp.Or(s.manager(c, false), in.check()); err != nil {
		return nil, err
	}
	if trusted, err := s.Trusted(in.ServicePrincipal); err != nil || trusted {
		return nil, err
	}
	return nil, s.opts.State.Put(trustedBucket, in.ServicePrincipal, s.now())
}

func (s *Service) disableAccess(c *awsapi.Call, in *principalInput) (any, error) {
	if err := cmp.Or(s.manager(c, false), in.check()); err != nil {
		return nil, err
	}
	return nil, s.opts.State.Delete(trustedBucket, in.ServicePrincipal)
}

func (s *Service) listAccess(c *awsapi.Call, _ *struct{}) (any, error) {
	if err := s.manager(c, true); err != nil {
		return nil, err
	}
	type enabled struct {
		ServicePrincipal string
		DateEnabled      time.Time
	}
	out := &struct {
		EnabledServicePrincipals []enabled `aws:",keep"`
	}{[]enabled{}}
	list, err := state.List[time.Time](s.opts.State, trustedBucket, "")
	for _, e := range list {
		out.EnabledServicePrincipals = append(out.EnabledServicePrincipals, enabled{e.Key, e.Value})
	}
	return out, err
}

type delegation struct {
	AccountID        string `aws:"AccountId"`
	ServicePrincipal string
}

func (s *Service) register(c *awsapi.Call, in *delegation) (any, error) {
	if err := s.manager(c, false); err != nil {
		return nil, err
	}
	return nil, s.Delegate(in.AccountID, in.ServicePrincipal)
}

func (s *Service) deregister(c *awsapi.Call, in *delegation) (any, error) {
	if err := s.manager(c, false); err != nil {
		return nil, err
	}
	return nil, s.Undelegate(in.AccountID, in.ServicePrincipal)
}

// maxAdministrators is how many accounts may administer a service. It is CloudTrail's limit.
const maxAdministrators = 3

// Delegate makes a member account one that administers a service. The error is an *awsapi.Error with an Organizations code
// when it can't be.
func (s *Service) Delegate(account, principal string) error {
	if err := cmp.Or(s.member(), (&principalInput{principal}).check()); err != nil {
		return err
	}
	switch trusted, err := s.Trusted(principal); {
	case err != nil:
		return err
	case account == s.opts.Management:
		return fail("ConstraintViolationException", "You cannot register master account/yourself as delegated administrator for your organization.")
	case !slices.Contains(s.opts.Members, account):
		return notFound(account)
	case !trusted:
		return fail("ConstraintViolationException", "You must enable service access for "+principal+" before you register a delegated administrator.")
	}
	key := account + "/" + principal
	var at time.Time
	if found, err := s.opts.State.Get(delegatedBucket, key, &at); err != nil {
		return err
	} else if found {
		return fail("AccountAlreadyRegisteredException", "The provided account is already a delegated administrator for your organization.")
	}
	list, err := state.List[time.Time](s.opts.State, delegatedBucket, "")
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(e state.Entry[time.Time]) bool { return !strings.HasSuffix(e.Key, "/"+principal) })
	if len(list) >= maxAdministrators {
		return fail("ConstraintViolationException", "You have exceeded the number of delegated administrators for "+principal+".")
	}
	return s.opts.State.Put(delegatedBucket, key, s.now())
}

// Undelegate takes it back. The error is as Delegate's.
func (s *Service) Undelegate(account, principal string) error {
	if err := s.member(); err != nil {
		return err
	}
	if found, err := s.Administers(account, principal); err != nil {
		return err
	} else if !found {
		return fail("AccountNotRegisteredException", "The provided account is not a registered delegated administrator for your organization.")
	}
	return s.opts.State.Delete(delegatedBucket, account+"/"+principal)
}

// Administers tells whether an account administers a service.
func (s *Service) Administers(account, principal string) (bool, error) {
	var at time.Time
	return s.opts.State.Get(delegatedBucket, account+"/"+principal, &at)
}

func (s *Service) listAdministrators(c *awsapi.Call, in *principalInput) (any, error) {
	if err := s.manager(c, true); err != nil {
		return nil, err
	}
	out := &struct {
		DelegatedAdministrators []account `aws:",keep"`
	}{[]account{}}
	list, err := state.List[time.Time](s.opts.State, delegatedBucket, "")
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		id, principal, _ := strings.Cut(e.Key, "/")
		named := slices.ContainsFunc(out.DelegatedAdministrators, func(a account) bool { return a.ID == id })
		if named || in.ServicePrincipal != "" && in.ServicePrincipal != principal {
			continue
		}
		var joined time.Time
		if _, err := s.opts.State.Get(joinedBucket, id, &joined); err != nil {
			return nil, err
		}
		a := s.account(id, joined)
		a.DelegationEnabledDate = e.Value
		out.DelegatedAdministrators = append(out.DelegatedAdministrators, a)
	}
	return out, nil
}

func (s *Service) listServices(c *awsapi.Call, in *struct {
	AccountID string `aws:"AccountId"`
}) (any, error) {
	if err := s.manager(c, true); err != nil {
		return nil, err
	}
	type service struct {
		ServicePrincipal      string
		DelegationEnabledDate time.Time
	}
	out := &struct {
		DelegatedServices []service `aws:",keep"`
	}{[]service{}}
	list, err := state.List[time.Time](s.opts.State, delegatedBucket, in.AccountID+"/")
	for _, e := range list {
		_, principal, _ := strings.Cut(e.Key, "/")
		out.DelegatedServices = append(out.DelegatedServices, service{principal, e.Value})
	}
	return out, err
}
