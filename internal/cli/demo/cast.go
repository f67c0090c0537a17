package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	bedrocktypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// The models that the actors use.
const (
	sonnet  = "us.anthropic.claude-sonnet-4-5-20250929-v1:0" // an inference profile: the call runs in one of several Regions
	haiku   = "anthropic.claude-3-haiku-20240307-v1:0"
	nova    = "amazon.nova-lite-v1:0"
	llama   = "meta.llama3-8b-instruct-v1:0"
	titan   = "amazon.titan-embed-text-v2:0"
	opus    = "anthropic.claude-3-opus-20240229-v1:0"
	missing = "anthropic.claude-99-v1:0" // there is no such model
)

// stage are the actors' credentials and what they call.
type stage struct {
	ana, application, scientist, intruder aws.Config
	apiKey                                string
	at                                    Endpoint
	guardrail                             string
	agent, alias                          string
}

type statement struct {
	Effect, Action, Resource any
}

func policy(statements ...statement) *string {
	b, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic(err) // strings only
	}
	return aws.String(string(b))
}

func allow(actions ...string) statement { return statement{"Allow", actions, "*"} }

// firstUser creates the administrator as root does on an account's first day.
func (t *Traffic) firstUser(ctx context.Context, root aws.Config, at Endpoint) (aws.Config, error) {
	return t.user(ctx, iam.NewFromConfig(root), at, "ana", "aws-sdk-go-v2/1.47.7 ua/2.1 os/linux lang/go#1.26.8 Terraform/1.11.4 terraform-provider-aws/5.100.0", policy(allow("*")))
}

// user creates a user with an access key and an inline policy, and returns their configuration.
func (t *Traffic) user(ctx context.Context, c *iam.Client, at Endpoint, name, userAgent string, p *string) (aws.Config, error) {
	if _, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}); err != nil {
		return aws.Config{}, err
	}
	if _, err := c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String(name), PolicyDocument: p}); err != nil {
		return aws.Config{}, err
	}
	key, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		return aws.Config{}, err
	}
	creds := credentials.NewStaticCredentialsProvider(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
	return t.config(at, creds, userAgent), nil
}

// session creates a role and returns the configuration of a session of it.
func (t *Traffic) session(ctx context.Context, ana aws.Config, at Endpoint, role, session, userAgent string, p *string) (aws.Config, error) {
	identity, err := sts.NewFromConfig(ana).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return aws.Config{}, err
	}
	trust, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": map[string]any{"AWS": "arn:aws:iam::" + *identity.Account + ":root"}}}})
	if err != nil {
		return aws.Config{}, err
	}
	c := iam.NewFromConfig(ana)
	made, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &role, AssumeRolePolicyDocument: aws.String(string(trust))})
	if err != nil {
		return aws.Config{}, err
	}
	if _, err := c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &role, PolicyDocument: p}); err != nil {
		return aws.Config{}, err
	}
	out, err := sts.NewFromConfig(ana).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: made.Role.Arn, RoleSessionName: &session})
	if err != nil {
		return aws.Config{}, err
	}
	k := out.Credentials
	return t.config(at, credentials.NewStaticCredentialsProvider(*k.AccessKeyId, *k.SecretAccessKey, *k.SessionToken), userAgent), nil
}

// setUp makes the other actors and what they need, as the administrator.
func (t *Traffic) setUp(ctx context.Context, ana aws.Config, at Endpoint) (*stage, error) {
	c := &stage{ana: ana, at: at}
	var err error
	if c.application, err = t.session(ctx, ana, at, "support-app", "web-1", "", policy(
		allow("bedrock:InvokeModel*", "bedrock:InvokeAgent", "bedrock:ApplyGuardrail", "comprehend:Detect*", "translate:TranslateText"))); err != nil {
		return nil, err
	}
	if c.scientist, err = t.session(ctx, ana, at, "data-science", "bo@example.com", "Boto3/1.43.11 md/Botocore#1.43.11 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11.7", policy(
		allow("bedrock:InvokeModel*", "sagemaker:InvokeEndpoint", "rekognition:*", "textract:*", "s3:GetObject"),
		statement{"Deny", "bedrock:InvokeModel", "arn:aws:bedrock:*::foundation-model/" + opus})); err != nil {
		return nil, err
	}
	admin := iam.NewFromConfig(ana)
	if c.intruder, err = t.user(ctx, admin, at, "build-bot", "python-requests/2.32.3", policy(allow("bedrock:ListFoundationModels", "s3:ListAllMyBuckets"))); err != nil {
		return nil, err
	}
	if c.apiKey, err = t.keyOfCI(ctx, admin); err != nil {
		return nil, err
	}
	if err := t.pictures(ctx, ana); err != nil {
		return nil, err
	}
	guardrail, err := bedrock.NewFromConfig(ana).CreateGuardrail(ctx, &bedrock.CreateGuardrailInput{
		Name: aws.String("support"), BlockedInputMessaging: aws.String("Sorry."), BlockedOutputsMessaging: aws.String("Sorry."),
		WordPolicyConfig: &bedrocktypes.GuardrailWordPolicyConfig{WordsConfig: []bedrocktypes.GuardrailWordConfig{{Text: aws.String("lawsuit")}}},
	})
	if err != nil {
		return nil, err
	}
	c.guardrail = *guardrail.GuardrailId
	return c, t.agentAndEndpoint(ctx, c)
}

// transcripts is the bucket with what Rekognition and Textract look at, and with model invocation logs.
const transcripts = "support-transcripts"

// pictures creates the bucket and puts a picture and a paper into it.
func (t *Traffic) pictures(ctx context.Context, ana aws.Config) error {
	c := s3.NewFromConfig(ana, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(transcripts)}); err != nil {
		return err
	}
	var picture, paper bytes.Buffer
	blank := image.NewGray(image.Rect(0, 0, 80, 80))
	if err := errors.Join(jpeg.Encode(&picture, blank, nil), png.Encode(&paper, blank)); err != nil {
		return err
	}
	ana.HTTPClient = nil // objects are data events, which the trail doesn't select: these calls don't count, nor does the policy
	uploads := s3.NewFromConfig(ana, func(o *s3.Options) { o.UsePathStyle = true })
	for name, content := range map[string]*bytes.Buffer{"parcel.jpg": &picture, "invoice.png": &paper} {
		if _, err := uploads.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(transcripts), Key: aws.String(name), Body: bytes.NewReader(content.Bytes())}); err != nil {
			return err
		}
	}
	_, err := uploads.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String(transcripts), Policy: aws.String(modelLogs)})
	return err
}

// modelLogs is the bucket's policy: Bedrock may write model invocation logs there.
const modelLogs = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock.amazonaws.com"},"Action":"s3:PutObject",
	"Resource":"arn:aws:s3:::` + transcripts + `/AWSLogs/*"}]}`

// keyOfCI makes the user ci, who has a Bedrock API key and nothing else.
func (t *Traffic) keyOfCI(ctx context.Context, admin *iam.Client) (string, error) {
	name := aws.String("ci")
	if _, err := admin.CreateUser(ctx, &iam.CreateUserInput{UserName: name}); err != nil {
		return "", err
	}
	if _, err := admin.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("bedrock"),
		PolicyDocument: policy(allow("bedrock:InvokeModel*", "bedrock:CallWithBearerToken"))}); err != nil {
		return "", err
	}
	key, err := admin.CreateServiceSpecificCredential(ctx, &iam.CreateServiceSpecificCredentialInput{
		UserName: name, ServiceName: aws.String("bedrock.amazonaws.com"), CredentialAgeDays: aws.Int32(30)})
	if err != nil {
		return "", err
	}
	return *key.ServiceSpecificCredential.ServiceCredentialSecret, nil
}

// refused takes a call that must fail with one of the codes, and makes success an error.
func refused(err error, codes ...string) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		for _, code := range codes {
			if strings.HasPrefix(api.ErrorCode(), code) {
				return nil
			}
		}
	}
	return fmt.Errorf("want a refusal (%s), got %w", strings.Join(codes, ", "), orNone(err))
}

func orNone(err error) error {
	if err == nil {
		return errors.New("an answer")
	}
	return err
}
