package live

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/aitrail/aitrail/internal/provision"
)

// logGroupARN is the log group's ARN as CloudWatch Logs' own calls take it.
func (a *account) logGroupARN() string { return strings.TrimSuffix(a.LogGroupARN(), ":*") }

// findLogGroup returns the log group as it is, nil if there is none.
func (a *account) findLogGroup(ctx context.Context, name string) (*logtypes.LogGroup, error) {
	pages := cloudwatchlogs.NewDescribeLogGroupsPaginator(a.logs, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, g := range page.LogGroups {
			if aws.ToString(g.LogGroupName) == name {
				return &g, nil
			}
		}
	}
	return nil, nil
}

func (a *account) readLogGroup(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	g, err := a.findLogGroup(ctx, r.Name)
	if err != nil || g == nil {
		return nil, err
	}
	have := provision.Properties{"LogGroupName": r.Name}
	if g.RetentionInDays != nil {
		have["RetentionInDays"] = int(*g.RetentionInDays)
	}
	if g.KmsKeyId != nil {
		have["KmsKeyId"] = *g.KmsKeyId
	}
	tags, err := a.logs.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: aws.String(a.logGroupARN())})
	if err != nil {
		return nil, err
	}
	have["Tags"] = tags.Tags
	return have, nil
}

func (a *account) writeLogGroup(ctx context.Context, r provision.Resource, have provision.Properties, changed []string) (effect, error) {
	if have == nil {
		in := &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &r.Name, Tags: a.marked(r)}
		if key := r.Text("KmsKeyId"); key != "" {
			in.KmsKeyId = &key
		}
		// A new key's policy takes a while to be seen.
		err := eventually(ctx, func() error {
			_, err := a.logs.CreateLogGroup(ctx, in)
			return err
		}, keyNotYet(in.KmsKeyId)...)
		if err != nil {
			return something, err
		}
		changed = []string{"RetentionInDays"}
	}
	for _, name := range changed {
		var err error
		switch name {
		case "RetentionInDays":
			_, err = a.logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: &r.Name, RetentionInDays: aws.Int32(int32(r.Int(name)))})
		case "KmsKeyId":
			_, err = a.logs.AssociateKmsKey(ctx, &cloudwatchlogs.AssociateKmsKeyInput{LogGroupName: &r.Name, KmsKeyId: aws.String(r.Text(name))})
		case "Tags":
			_, err = a.logs.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: aws.String(a.logGroupARN()), Tags: maps.Clone(r.Tags())})
		}
		if err != nil {
			return something, err
		}
	}
	return something, nil
}

// keyNotYet are the errors CloudWatch Logs gives while a key's policy hasn't spread.
func keyNotYet(key *string) []string {
	if key == nil {
		return nil
	}
	return []string{"InvalidParameterException", "AccessDeniedException"}
}

func (a *account) removeLogGroup(ctx context.Context, r provision.Resource, _ provision.Properties) error {
	_, err := a.logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &r.Name})
	return err
}

func (a *account) logGroupHolds(ctx context.Context, r provision.Resource) (bool, error) {
	out, err := a.logs.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: &r.Name, Limit: aws.Int32(1)})
	if err != nil {
		return true, err
	}
	return len(out.LogStreams) > 0, nil
}

func (a *account) readRole(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &r.Name})
	if HasCode(err, "NoSuchEntity") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	for _, t := range out.Role.Tags {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return provision.Properties{
		"RoleName": r.Name, "AssumeRolePolicyDocument": decoded(out.Role.AssumeRolePolicyDocument), "Description": aws.ToString(out.Role.Description), "Tags": tags,
	}, nil
}

// decoded is a document that IAM gives percent-encoded.
func decoded(document *string) string {
	text, err := url.PathUnescape(aws.ToString(document))
	if err != nil {
		return aws.ToString(document)
	}
	return text
}

func (a *account) writeRole(ctx context.Context, r provision.Resource, have provision.Properties, changed []string) (effect, error) {
	trust, description := r.Text("AssumeRolePolicyDocument"), r.Text("Description")
	if have == nil {
		_, err := a.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &r.Name, AssumeRolePolicyDocument: &trust, Description: &description, Tags: iamTags(a.marked(r))})
		return something, err
	}
	for _, name := range changed {
		var err error
		switch name {
		case "AssumeRolePolicyDocument":
			_, err = a.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &r.Name, PolicyDocument: &trust})
		case "Description":
			_, err = a.iam.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: &r.Name, Description: &description})
		case "Tags":
			_, err = a.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: &r.Name, Tags: iamTags(r.Tags())})
		}
		if err != nil {
			return something, err
		}
	}
	return something, nil
}

func iamTags(tags map[string]string) (list []iamtypes.Tag) {
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, iamtypes.Tag{Key: &k, Value: aws.String(tags[k])})
	}
	return list
}

// removeRole removes the role with its policy. Policies that somebody else gave it keep it from being removed.
func (a *account) removeRole(ctx context.Context, r provision.Resource, _ provision.Properties) error {
	_, err := a.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &r.Name, PolicyName: aws.String(provision.RolePolicyName)})
	if err != nil && !HasCode(err, "NoSuchEntity") {
		return err
	}
	_, err = a.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &r.Name})
	return err
}

func (a *account) readRolePolicy(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	name := r.Text("PolicyName")
	out, err := a.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &r.Name, PolicyName: &name})
	if HasCode(err, "NoSuchEntity") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return provision.Properties{"RoleName": r.Name, "PolicyName": name, "PolicyDocument": decoded(out.PolicyDocument)}, nil
}

func (a *account) writeRolePolicy(ctx context.Context, r provision.Resource, _ provision.Properties, _ []string) (effect, error) {
	name, document := r.Text("PolicyName"), r.Text("PolicyDocument")
	_, err := a.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &r.Name, PolicyName: &name, PolicyDocument: &document})
	return something, err
}
