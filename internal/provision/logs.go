package provision

import (
	"context"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// findLogGroup returns the log group as it is, nil if there is none.
func (a *applier) findLogGroup(ctx context.Context) (*logtypes.LogGroup, error) {
	pages := cloudwatchlogs.NewDescribeLogGroupsPaginator(a.logs, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &a.LogGroup})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("log group %s: %w", a.LogGroup, err)
		}
		for _, g := range page.LogGroups {
			if aws.ToString(g.LogGroupName) == a.LogGroup {
				return &g, nil
			}
		}
	}
	return nil, nil
}

func (a *applier) logGroup(ctx context.Context) error {
	g, err := a.findLogGroup(ctx)
	if err != nil {
		return err
	}
	return a.settle("log group", a.LogGroup, g != nil, g != nil, func() error {
		_, err := a.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &a.LogGroup})
		return err
	})
}

func (a *applier) retention(ctx context.Context) error {
	g, err := a.findLogGroup(ctx)
	if err != nil {
		return err
	}
	want := int32(a.LogRetentionDays)
	exists := g != nil && g.RetentionInDays != nil
	return a.settle("log retention", a.LogGroup, exists && *g.RetentionInDays == want, exists, func() error {
		_, err := a.logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: &a.LogGroup, RetentionInDays: &want})
		return err
	})
}

func (a *applier) role(ctx context.Context) error {
	out, err := a.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &a.Role})
	if err != nil && !hasCode(err, "NoSuchEntity") {
		return fmt.Errorf("role %s: %w", a.Role, err)
	}
	want := a.RoleTrust()
	if err != nil {
		return a.settle("role", a.Role, false, false, func() error {
			_, err := a.iam.CreateRole(ctx, &iam.CreateRoleInput{
				RoleName: &a.Role, AssumeRolePolicyDocument: &want, Description: aws.String("CloudTrail writes the events of " + a.Trail + " to CloudWatch Logs with it"),
			})
			return err
		})
	}
	return a.settle("role", a.Role, sameDocument(out.Role.AssumeRolePolicyDocument, want), true, func() error {
		_, err := a.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &a.Role, PolicyDocument: &want})
		return err
	})
}

// sameDocument compares a document as IAM gives it, percent-encoded.
func sameDocument(got *string, want string) bool {
	text, err := url.PathUnescape(aws.ToString(got))
	return err == nil && samePolicy(text, want)
}

func (a *applier) rolePolicy(ctx context.Context) error {
	const kind = "role policy"
	name := RolePolicyName
	out, err := a.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &a.Role, PolicyName: &name})
	if err != nil && !hasCode(err, "NoSuchEntity") {
		return fmt.Errorf("%s %s: %w", kind, a.Role, err)
	}
	want := a.RolePolicy()
	same := err == nil && sameDocument(out.PolicyDocument, want)
	return a.settle(kind, a.Role, same, err == nil, func() error {
		_, err := a.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &a.Role, PolicyName: &name, PolicyDocument: &want})
		return err
	})
}
