// Package organizations is the endpoint's AWS Organizations for an account that is in none: what asks about the
// organization is told so.
package organizations

import (
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/rpc"
)

// Service is Organizations behind the endpoint; it implements awsapi.Service. Its methods may be called concurrently.
type Service struct{ rpc.API }

var _ awsapi.Service = (*Service)(nil)

// New returns the service.
func New() *Service {
	s := &Service{rpc.API{
		Signing: "organizations", EventSource: "organizations.amazonaws.com", JSON: awsapi.JSON11,
		Operations: map[string]rpc.Operation{},
	}}
	for _, name := range []string{
		"DescribeOrganization", "ListAccounts", "ListAWSServiceAccessForOrganization", "ListDelegatedAdministrators", "ListRoots",
	} {
		s.Operations[name] = rpc.Read(notInUse)
	}
	return s
}

func notInUse(*awsapi.Call, *struct{}) (any, error) {
	return nil, &awsapi.Error{Code: "AWSOrganizationsNotInUseException", Message: "Your account is not a member of an organization."}
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
