package live

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// Access is the way to an account. The zero value is AWS's own chain: environment, profile, SSO, instance role.
type Access struct {
	Region   string // "" means the chain's
	Endpoint string // of all services; "" means the chain's, as a rule AWS's own
	KeyID    string // with Secret: a key to use instead of the chain's credentials
	Secret   string
}

// Identity is who calls.
type Identity struct {
	Account string
	ARN     string
	Region  string
	// Endpoint is where calls go that don't go to AWS; "" means AWS.
	Endpoint string
}

// What keeps from connecting.
var (
	ErrNoCredentials = errors.New("there are no AWS credentials")
	ErrNoRegion      = errors.New("no Region is chosen")
)

// IsNoCredentials tells whether a call wasn't made for want of credentials: nothing of AWS's chain has any (the instance's role is asked
// last), or those of the single sign-on have expired.
func IsNoCredentials(err error) bool {
	var sso *ssocreds.InvalidTokenError
	if errors.Is(err, ErrNoCredentials) || errors.As(err, &sso) {
		return true
	}
	var call *smithy.OperationError
	for errors.As(err, &call) {
		if call.ServiceID == "ec2imds" {
			return true
		}
		err = call.Err
	}
	return false
}

// Connect finds out who calls. Its errors are ErrNoCredentials, ErrNoRegion, and AWS's.
func Connect(ctx context.Context, way Access) (aws.Config, Identity, error) {
	var options []func(*config.LoadOptions) error
	if way.Region != "" {
		options = append(options, config.WithRegion(way.Region))
	}
	if way.KeyID != "" {
		options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(way.KeyID, way.Secret, "")))
	}
	if way.Endpoint != "" {
		options = append(options, config.WithBaseEndpoint(way.Endpoint))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, Identity{}, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return cfg, Identity{}, ErrNoRegion
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return cfg, Identity{}, fmt.Errorf("%w: %w", ErrNoCredentials, err)
	}
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return cfg, Identity{}, fmt.Errorf("asking who calls: %w", err)
	}
	return cfg, Identity{Account: aws.ToString(who.Account), ARN: aws.ToString(who.Arn), Region: cfg.Region, Endpoint: aws.ToString(cfg.BaseEndpoint)}, nil
}
