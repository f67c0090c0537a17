package trail

import (
	"errors"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

func (s *Service) registerAdmin(_ *awsapi.Call, in *struct{ MemberAccountId string }) (any, error) { //nolint:revive // AWS's name
	if err := s.delegates(); err != nil {
		return nil, err
	}
	if in.MemberAccountId == s.opts.Account {
		return nil, fail("CannotDelegateManagementAccountException", "The management account of an organization can't be its delegated administrator.")
	}
	return empty{}, delegated(s.opts.Organization.Delegate(in.MemberAccountId, servicePrincipal))
}

func (s *Service) deregisterAdmin(_ *awsapi.Call, in *struct{ DelegatedAdminAccountId string }) (any, error) { //nolint:revive // AWS's name
	if err := s.delegates(); err != nil {
		return nil, err
	}
	return empty{}, delegated(s.opts.Organization.Undelegate(in.DelegatedAdminAccountId, servicePrincipal))
}

// delegates is manages with the code that these operations have.
func (s *Service) delegates() error {
	err := s.manages()
	var e *awsapi.Error
	if errors.As(err, &e) && e.Code == "NotOrganizationMasterAccountException" {
		return fail("NotOrganizationManagementAccountException", "%s", e.Message)
	}
	return err
}

// delegated is an error of Organizations as CloudTrail tells it.
func delegated(err error) error {
	codes := map[string]string{
		"AccountAlreadyRegisteredException": "AccountRegisteredException",
		"ConstraintViolationException":      "DelegatedAdminAccountLimitExceededException",
	}
	var e *awsapi.Error
	if errors.As(err, &e) && codes[e.Code] != "" {
		return fail(codes[e.Code], "%s", e.Message)
	}
	return err
}
