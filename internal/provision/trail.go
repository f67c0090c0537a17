package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

// notYet are the errors CloudTrail gives while IAM or S3 haven't spread what was just written.
func notYet() []string {
	return []string{
		"InvalidCloudWatchLogsRoleArnException", "InvalidCloudWatchLogsLogGroupArnException", "InsufficientS3BucketPolicyException",
		"S3BucketDoesNotExistException", "InsufficientEncryptionPolicyException",
	}
}

func (a *applier) theTrail(ctx context.Context) error {
	arn := a.TrailARN()
	out, err := a.trail.DescribeTrails(ctx, &cloudtrail.DescribeTrailsInput{TrailNameList: []string{arn}, IncludeShadowTrails: aws.Bool(false)})
	if err != nil && !hasCode(err, "TrailNotFoundException") {
		return fmt.Errorf("trail %s: %w", a.Trail, err)
	}
	group, role, org, on := a.LogGroupARN(), a.RoleARN(), a.Organization != "", aws.Bool(true)
	if err != nil || len(out.TrailList) == 0 {
		in := &cloudtrail.CreateTrailInput{
			Name: &a.Trail, S3BucketName: &a.Bucket, S3KeyPrefix: &a.Prefix, IsMultiRegionTrail: on, IncludeGlobalServiceEvents: on,
			EnableLogFileValidation: on, CloudWatchLogsLogGroupArn: &group, CloudWatchLogsRoleArn: &role, IsOrganizationTrail: &org,
			TagsList: a.tagList(),
		}
		if a.KMSKey != "" {
			in.KmsKeyId = &a.KMSKey
		}
		return a.settle("trail", a.Trail, false, false, func() error {
			return eventually(ctx, func() error {
				_, err := a.trail.CreateTrail(ctx, in)
				return err
			}, notYet()...)
		})
	}
	return a.settle("trail", a.Trail, a.sameTrail(&out.TrailList[0]), true, func() error {
		return eventually(ctx, func() error {
			_, err := a.trail.UpdateTrail(ctx, &cloudtrail.UpdateTrailInput{
				Name: &arn, S3BucketName: &a.Bucket, S3KeyPrefix: &a.Prefix, IsMultiRegionTrail: on, IncludeGlobalServiceEvents: on,
				EnableLogFileValidation: on, CloudWatchLogsLogGroupArn: &group, CloudWatchLogsRoleArn: &role, IsOrganizationTrail: &org,
				KmsKeyId: &a.KMSKey,
			})
			return err
		}, notYet()...)
	})
}

func (a *applier) sameTrail(t *types.Trail) bool {
	return aws.ToString(t.S3BucketName) == a.Bucket && aws.ToString(t.S3KeyPrefix) == a.Prefix &&
		aws.ToBool(t.IsMultiRegionTrail) && aws.ToBool(t.IncludeGlobalServiceEvents) && aws.ToBool(t.LogFileValidationEnabled) &&
		aws.ToBool(t.IsOrganizationTrail) == (a.Organization != "") && aws.ToString(t.KmsKeyId) == a.KMSKey &&
		aws.ToString(t.CloudWatchLogsLogGroupArn) == a.LogGroupARN() && aws.ToString(t.CloudWatchLogsRoleArn) == a.RoleARN()
}

func (a *applier) tagList() (list []types.Tag) {
	for k, v := range a.Tags {
		list = append(list, types.Tag{Key: &k, Value: &v})
	}
	sort.Slice(list, func(i, j int) bool { return *list[i].Key < *list[j].Key })
	return list
}

// tags adds the tags that are missing; others are not the set-up's business.
func (a *applier) tags(ctx context.Context) error {
	const kind = "trail tags"
	arn := a.TrailARN()
	out, err := a.trail.ListTags(ctx, &cloudtrail.ListTagsInput{ResourceIdList: []string{arn}})
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, a.Trail, err)
	}
	have := map[string]string{}
	for _, r := range out.ResourceTagList {
		for _, t := range r.TagsList {
			have[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
	}
	same := true
	for k, v := range a.Tags {
		got, ok := have[k]
		same = same && ok && got == v
	}
	return a.settle(kind, a.Trail, same, len(have) > 0, func() error {
		_, err := a.trail.AddTags(ctx, &cloudtrail.AddTagsInput{ResourceId: &arn, TagsList: a.tagList()})
		return err
	})
}

// selectors sees to the trail's event selectors. One refused type fails a whole PutEventSelectors, and the answer doesn't
// say which it was. So types are added to those the trail has by halves; what it records never shrinks meanwhile.
func (a *applier) selectors(ctx context.Context) error {
	const kind = "event selectors"
	arn := a.TrailARN()
	out, err := a.trail.GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: &arn})
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, a.Trail, err)
	}
	have := map[string]string{}
	for _, s := range out.AdvancedEventSelectors {
		have[aws.ToString(s.Name)] = canonical(s)
	}
	want := a.Selectors()
	changed := len(out.EventSelectors) > 0
	var accepted, missing []Selector
	for i, s := range want {
		got, ok := have[s.Name]
		delete(have, s.Name)
		if ok && got == canonical(s.advanced()) {
			accepted = append(accepted, s)
		} else if ok || i == 0 {
			accepted, changed = append(accepted, s), true // differs, or is the selector of management events
		} else {
			missing = append(missing, s)
		}
	}
	changed = changed || len(have) > 0
	put := func(list []Selector) error {
		in := &cloudtrail.PutEventSelectorsInput{TrailName: &arn}
		for _, s := range list {
			in.AdvancedEventSelectors = append(in.AdvancedEventSelectors, s.advanced())
		}
		_, err := a.trail.PutEventSelectors(ctx, in)
		return err
	}
	accepted, refused, wrote, err := grow(accepted, missing, put)
	if err == nil && changed && !wrote {
		err, wrote = put(accepted), true
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, a.Trail, err)
	}
	action := Unchanged
	if wrote {
		action = Updated
	}
	a.done(kind, a.Trail, action)
	for _, s := range refused {
		name := strings.TrimPrefix(s.Name, selectorMark)
		a.leftOut = append(a.leftOut, name)
		a.done("data events", name, LeftOut)
	}
	return nil
}

// grow puts accepted and as many of missing as are not refused.
func grow(accepted, missing []Selector, put func([]Selector) error) (now, refused []Selector, wrote bool, err error) {
	if len(missing) == 0 {
		return accepted, nil, false, nil
	}
	all := append(slices.Clone(accepted), missing...)
	err = put(all)
	if err == nil {
		return all, nil, true, nil
	}
	if !hasCode(err, "InvalidEventSelectorsException") {
		return accepted, nil, false, err
	}
	if len(missing) == 1 {
		return accepted, missing, false, nil
	}
	half := len(missing) / 2
	now, refused, wrote, err = grow(accepted, missing[:half], put)
	if err != nil {
		return now, refused, wrote, err
	}
	now, more, wroteMore, err := grow(now, missing[half:], put)
	return now, append(refused, more...), wrote || wroteMore, err
}

func (s Selector) advanced() types.AdvancedEventSelector {
	out := types.AdvancedEventSelector{Name: &s.Name}
	for _, f := range s.FieldSelectors {
		out.FieldSelectors = append(out.FieldSelectors, types.AdvancedFieldSelector{Field: &f.Field, Equals: f.Equals, NotStartsWith: f.NotStartsWith})
	}
	return out
}

// canonical is a selector as text, for comparing.
func canonical(s types.AdvancedEventSelector) string {
	fields := slices.Clone(s.FieldSelectors)
	for i := range fields { // no operator and an operator without values are the same
		for _, values := range []*[]string{&fields[i].Equals, &fields[i].NotEquals, &fields[i].StartsWith, &fields[i].NotStartsWith, &fields[i].EndsWith, &fields[i].NotEndsWith} {
			if len(*values) == 0 {
				*values = nil
			}
		}
	}
	sort.Slice(fields, func(i, j int) bool { return aws.ToString(fields[i].Field) < aws.ToString(fields[j].Field) })
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // strings encode
	}
	return string(text)
}

func (a *applier) logging(ctx context.Context) error {
	const kind = "logging"
	arn := a.TrailARN()
	out, err := a.trail.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: &arn})
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, a.Trail, err)
	}
	return a.settle(kind, a.Trail, aws.ToBool(out.IsLogging), out.StopLoggingTime != nil, func() error {
		_, err := a.trail.StartLogging(ctx, &cloudtrail.StartLoggingInput{Name: &arn})
		return err
	})
}
