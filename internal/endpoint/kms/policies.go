package kms

import (
	"errors"
	"maps"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
)

// maxPolicy is how long a key policy can be, in bytes
// (https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html).
const maxPolicy = 32 << 10

// defaultPolicy leaves a key to the account.
func (s *Service) defaultPolicy(region string) string {
	root := strings.Replace(s.arn(region, ""), ":kms:"+region+":", ":iam::", 1) + "root"
	return `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "` + root + `"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
}

// checkPolicy refuses what PutKeyPolicy refuses: what isn't a key policy, and one that locks the caller out.
func (s *Service) checkPolicy(c *awsapi.Call, arn, text string, bypass bool) error {
	if len(text) > maxPolicy {
		return fail("LimitExceededException", "The policy is too long.")
	}
	doc, err := policy.Parse([]byte(text))
	if err == nil {
		err = doc.Validate(policy.ResourcePolicy)
	}
	var syntax *policy.SyntaxError
	if errors.As(err, &syntax) {
		return fail("MalformedPolicyDocumentException", "%s", syntax.Reason)
	}
	if err != nil || bypass {
		return err
	}
	r := policy.Request{Principal: principal(c.Caller), Action: "kms:PutKeyPolicy", Resource: arn, Context: policy.Context{
		"kms:CallerAccount": {c.Caller.Account}, "aws:PrincipalAccount": {c.Caller.Account}, "aws:PrincipalArn": {c.Caller.ARN},
	}}
	if d := policy.Evaluate([]*policy.Document{doc}, r); d != policy.Allow && d != policy.Delegated {
		return fail("MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
	}
	return nil
}

func principal(id *awsapi.Identity) policy.Principal {
	p := policy.Principal{ARN: id.ARN, ID: id.PrincipalID, Account: id.Account, Root: id.Kind == awsapi.Root}
	if id.Kind == awsapi.AssumedRole && id.Session != nil && id.Session.Issuer != nil {
		p.RoleARN = id.Session.Issuer.ARN
	}
	return p
}

type getPolicyInput struct {
	KeyID      string `aws:"KeyId"`
	PolicyName string
}

func (in *getPolicyInput) key() string { return in.KeyID }

type policyOutput struct{ Policy, PolicyName string }

const policyName = "default"

func (s *Service) getKeyPolicy(c *awsapi.Call, in *getPolicyInput) (any, error) {
	k, err := s.find(c.Region, in.KeyID)
	if err != nil {
		return nil, err
	}
	if in.PolicyName != "" && in.PolicyName != policyName {
		return nil, notFound("No such policy exists")
	}
	return &policyOutput{k.Policy, policyName}, nil
}

type policyNames struct {
	PolicyNames []string
	Truncated   bool `aws:",keep"`
}

func (s *Service) listKeyPolicies(c *awsapi.Call, in *keyInput) (any, error) {
	if _, err := s.find(c.Region, in.KeyID); err != nil {
		return nil, err
	}
	return &policyNames{PolicyNames: []string{policyName}}, nil
}

type putPolicyInput struct {
	KeyID                          string `aws:"KeyId"`
	PolicyName, Policy             string
	BypassPolicyLockoutSafetyCheck bool
}

func (in *putPolicyInput) key() string { return in.KeyID }

func (s *Service) putKeyPolicy(c *awsapi.Call, in *putPolicyInput) (any, error) {
	k, err := s.find(c.Region, in.KeyID)
	if err != nil {
		return nil, err
	}
	if err := s.checkPolicy(c, k.ARN, in.Policy, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	_, err = s.change(c, in.KeyID, func(k *key) error { k.Policy = in.Policy; return nil })
	return nil, err
}

// Use is a service's wish to use a key.
type Use struct {
	Region            string
	Key               string   // an id, an ARN or an alias
	Service           string   // who wishes: "cloudtrail.amazonaws.com"
	Actions           []string // all of these: "kms:GenerateDataKey"
	EncryptionContext map[string]string
	Context           policy.Context // further condition keys: aws:SourceArn
}

// Use tells whether the key's policy lets a service use an enabled key, and returns the key's ARN. The error is an
// *awsapi.Error: NotFoundException, DisabledException, KMSInvalidStateException or AccessDeniedException.
func (s *Service) Use(u Use) (arn string, err error) {
	region := u.Region
	if r := regionOf(u.Key); r != "" {
		region = r
	}
	k, err := s.find(region, u.Key)
	if err != nil {
		return "", err
	}
	if region != u.Region {
		return "", notFound("Key '%s' is not in Region %s", k.ARN, u.Region)
	}
	if err := k.usable(); err != nil {
		return "", err
	}
	ctx := policy.Context{
		"aws:PrincipalIsAWSService": {"true"}, "aws:PrincipalServiceName": {u.Service},
		"aws:SourceAccount": {s.opts.Account}, "kms:CallerAccount": {s.opts.Account}, "aws:SecureTransport": {"true"},
	}
	for name, value := range u.EncryptionContext {
		ctx["kms:EncryptionContext:"+name] = []string{value}
		ctx["kms:EncryptionContextKeys"] = append(ctx["kms:EncryptionContextKeys"], name)
	}
	maps.Copy(ctx, u.Context)
	doc := s.ResourcePolicy(k.ARN)
	if doc == nil {
		return "", notFound("Key '%s' does not exist", k.ARN)
	}
	for _, action := range u.Actions {
		r := policy.Request{Principal: policy.Principal{Service: u.Service}, Action: action, Resource: k.ARN, Context: ctx}
		if policy.Evaluate([]*policy.Document{doc}, r) != policy.Allow {
			return "", fail("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s because no resource-based policy allows the %s action", u.Service, action, k.ARN, action)
		}
	}
	return k.ARN, nil
}
