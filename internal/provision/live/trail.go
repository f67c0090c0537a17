package live

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"github.com/aitrail/aitrail/internal/provision"
)

// notYet are the errors CloudTrail gives while IAM, S3 or KMS haven't spread what was just written.
func notYet() []string {
	return []string{
		"InvalidCloudWatchLogsRoleArnException", "InvalidCloudWatchLogsLogGroupArnException", "InsufficientS3BucketPolicyException",
		"S3BucketDoesNotExistException", "InsufficientEncryptionPolicyException", "KmsKeyNotFoundException",
	}
}

// SelectorLimitError says that the set-up's selectors don't fit beside those that the trail has.
type SelectorLimitError struct {
	Others, Ours int // values
}

func (e *SelectorLimitError) Error() string {
	return fmt.Sprintf("the trail's own selectors have %d values and the set-up's %d, together more than the %d that a trail takes", e.Others, e.Ours, provision.MaxSelectorValues)
}

// trailID names the trail in calls: by its name, or where the organization's management account owns it by its ARN.
func (a *account) trailID() *string {
	if a.Organization == "" {
		return &a.Trail
	}
	return aws.String(a.TrailARN())
}

func (a *account) readTrail(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	arn := a.TrailARN()
	out, err := a.trail.DescribeTrails(ctx, &cloudtrail.DescribeTrailsInput{TrailNameList: []string{arn}, IncludeShadowTrails: aws.Bool(false)})
	if HasCode(err, "TrailNotFoundException") || err == nil && len(out.TrailList) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	have := trailProperties(&out.TrailList[0])
	if have["Tags"], err = a.trailTags(ctx, arn); err != nil {
		return nil, err
	}
	status, err := a.trail.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: a.trailID()})
	if err != nil {
		return nil, err
	}
	have["IsLogging"] = aws.ToBool(status.IsLogging)
	selectors, err := a.trail.GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: a.trailID()})
	if err != nil {
		return nil, err
	}
	ours, others := splitSelectors(selectors)
	if len(ours) > 0 {
		have["AdvancedEventSelectors"] = ours
	}
	have["others"] = others
	return have, nil
}

func trailProperties(t *types.Trail) provision.Properties {
	have := provision.Properties{
		"TrailName": aws.ToString(t.Name), "IsMultiRegionTrail": aws.ToBool(t.IsMultiRegionTrail), "IncludeGlobalServiceEvents": aws.ToBool(t.IncludeGlobalServiceEvents),
		"EnableLogFileValidation": aws.ToBool(t.LogFileValidationEnabled), "IsOrganizationTrail": aws.ToBool(t.IsOrganizationTrail),
	}
	for name, v := range map[string]*string{
		"S3BucketName": t.S3BucketName, "S3KeyPrefix": t.S3KeyPrefix, "KMSKeyId": t.KmsKeyId,
		"CloudWatchLogsLogGroupArn": t.CloudWatchLogsLogGroupArn, "CloudWatchLogsRoleArn": t.CloudWatchLogsRoleArn,
	} {
		if v != nil {
			have[name] = *v
		}
	}
	return have
}

func (a *account) trailTags(ctx context.Context, arn string) (map[string]string, error) {
	tags := map[string]string{}
	pages := cloudtrail.NewListTagsPaginator(a.trail, &cloudtrail.ListTagsInput{ResourceIdList: []string{arn}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.ResourceTagList {
			for _, t := range r.TagsList {
				tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
			}
		}
	}
	return tags, nil
}

func (a *account) writeTrail(ctx context.Context, r provision.Resource, have provision.Properties, changed []string) (effect, error) {
	arn := a.TrailARN()
	if have == nil {
		if err := a.createTrail(ctx, r); err != nil {
			return something, err
		}
		if err := a.writeSelectors(ctx, r, provision.Properties{}, new(effect)); err != nil {
			return something, err
		}
		_, err := a.trail.StartLogging(ctx, &cloudtrail.StartLoggingInput{Name: a.trailID()})
		return something, err
	}
	done := nothing
	if slices.ContainsFunc(changed, func(name string) bool {
		return name != "Tags" && name != "IsLogging" && name != "AdvancedEventSelectors"
	}) {
		done = something
		if err := a.updateTrail(ctx, r); err != nil {
			return done, err
		}
	}
	if slices.Contains(changed, "Tags") {
		done = something
		if _, err := a.trail.AddTags(ctx, &cloudtrail.AddTagsInput{ResourceId: &arn, TagsList: trailTagList(r.Tags())}); err != nil {
			return done, err
		}
	}
	if slices.Contains(changed, "AdvancedEventSelectors") {
		if err := a.writeSelectors(ctx, r, have, &done); err != nil {
			return done, err
		}
	}
	if slices.Contains(changed, "IsLogging") {
		done = something
		if _, err := a.trail.StartLogging(ctx, &cloudtrail.StartLoggingInput{Name: a.trailID()}); err != nil {
			return done, err
		}
	}
	return done, nil
}

func (a *account) createTrail(ctx context.Context, r provision.Resource) error {
	on := func(name string) *bool { return aws.Bool(r.Bool(name)) }
	in := &cloudtrail.CreateTrailInput{
		Name: &r.Name, S3BucketName: aws.String(r.Text("S3BucketName")), S3KeyPrefix: aws.String(r.Text("S3KeyPrefix")),
		IsMultiRegionTrail: on("IsMultiRegionTrail"), IncludeGlobalServiceEvents: on("IncludeGlobalServiceEvents"),
		EnableLogFileValidation: on("EnableLogFileValidation"), IsOrganizationTrail: on("IsOrganizationTrail"),
		CloudWatchLogsLogGroupArn: aws.String(r.Text("CloudWatchLogsLogGroupArn")), CloudWatchLogsRoleArn: aws.String(r.Text("CloudWatchLogsRoleArn")),
		TagsList: trailTagList(a.marked(r)),
	}
	if key := r.Text("KMSKeyId"); key != "" {
		in.KmsKeyId = &key
	}
	return eventually(ctx, func() error {
		_, err := a.trail.CreateTrail(ctx, in)
		return err
	}, notYet()...)
}

func (a *account) updateTrail(ctx context.Context, r provision.Resource) error {
	on := func(name string) *bool { return aws.Bool(r.Bool(name)) }
	in := &cloudtrail.UpdateTrailInput{
		Name: a.trailID(), S3BucketName: aws.String(r.Text("S3BucketName")), S3KeyPrefix: aws.String(r.Text("S3KeyPrefix")),
		IsMultiRegionTrail: on("IsMultiRegionTrail"), IncludeGlobalServiceEvents: on("IncludeGlobalServiceEvents"),
		EnableLogFileValidation: on("EnableLogFileValidation"), IsOrganizationTrail: on("IsOrganizationTrail"),
		CloudWatchLogsLogGroupArn: aws.String(r.Text("CloudWatchLogsLogGroupArn")), CloudWatchLogsRoleArn: aws.String(r.Text("CloudWatchLogsRoleArn")),
	}
	if key := r.Text("KMSKeyId"); key != "" {
		in.KmsKeyId = &key
	}
	return eventually(ctx, func() error {
		_, err := a.trail.UpdateTrail(ctx, in)
		return err
	}, notYet()...)
}

func (a *account) removeTrail(ctx context.Context, _ provision.Resource, _ provision.Properties) error {
	_, err := a.trail.DeleteTrail(ctx, &cloudtrail.DeleteTrailInput{Name: a.trailID()})
	return err
}

func trailTagList(tags map[string]string) (list []types.Tag) {
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: &k, Value: aws.String(tags[k])})
	}
	return list
}

// splitSelectors tells the set-up's selectors of a trail, in the order of [Setup.Selectors], from all others. Basic
// selectors are others, as the advanced ones that mean the same.
func splitSelectors(out *cloudtrail.GetEventSelectorsOutput) (ours []provision.Selector, others []types.AdvancedEventSelector) {
	for _, s := range out.AdvancedEventSelectors {
		if strings.HasPrefix(aws.ToString(s.Name), provision.SelectorPrefix) {
			ours = append(ours, selectorOf(s))
		} else {
			others = append(others, s)
		}
	}
	others = append(others, advancedOf(out.EventSelectors)...)
	slices.SortFunc(ours, func(a, b provision.Selector) int {
		if a.Name == provision.ManagementSelector || b.Name == provision.ManagementSelector {
			return boolOrder(b.Name == provision.ManagementSelector) - boolOrder(a.Name == provision.ManagementSelector)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return ours, others
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// selectorOf is an advanced selector as a Selector. Operators that the set-up's selectors never have are told of by a
// field that they never have either, so such a selector differs from every wanted one.
func selectorOf(s types.AdvancedEventSelector) provision.Selector {
	out := provision.Selector{Name: aws.ToString(s.Name)}
	for _, f := range s.FieldSelectors {
		g := provision.FieldSelector{Field: aws.ToString(f.Field), Equals: f.Equals, NotStartsWith: f.NotStartsWith}
		if len(g.Equals) == 0 {
			g.Equals = nil
		}
		if len(g.NotStartsWith) == 0 {
			g.NotStartsWith = nil
		}
		out.FieldSelectors = append(out.FieldSelectors, g)
		if len(f.NotEquals)+len(f.StartsWith)+len(f.EndsWith)+len(f.NotEndsWith) > 0 {
			out.FieldSelectors = append(out.FieldSelectors, provision.FieldSelector{Field: "and more of " + g.Field})
		}
	}
	// Their order means nothing, and isn't always kept.
	order := []string{"eventCategory", "resources.type", "resources.ARN"}
	slices.SortStableFunc(out.FieldSelectors, func(a, b provision.FieldSelector) int {
		return slices.Index(order, a.Field) - slices.Index(order, b.Field)
	})
	return out
}

// advancedOf are advanced selectors that choose what basic ones do: a trail has either. The default of a trail without
// selectors, all management events, is left out: the set-up's first says the same.
func advancedOf(basic []types.EventSelector) (list []types.AdvancedEventSelector) {
	field := func(name string, values ...string) types.AdvancedFieldSelector {
		return types.AdvancedFieldSelector{Field: &name, Equals: values}
	}
	for i, b := range basic {
		var reads []types.AdvancedFieldSelector
		switch b.ReadWriteType {
		case types.ReadWriteTypeReadOnly:
			reads = append(reads, field("readOnly", "true"))
		case types.ReadWriteTypeWriteOnly:
			reads = append(reads, field("readOnly", "false"))
		}
		add := func(name string, fields ...types.AdvancedFieldSelector) {
			list = append(list, types.AdvancedEventSelector{Name: aws.String(fmt.Sprintf("%s (was basic selector %d)", name, i+1)), FieldSelectors: append(fields, reads...)})
		}
		if b.IncludeManagementEvents == nil || *b.IncludeManagementEvents {
			fields := []types.AdvancedFieldSelector{field("eventCategory", "Management")}
			if len(b.ExcludeManagementEventSources) > 0 {
				fields = append(fields, types.AdvancedFieldSelector{Field: aws.String("eventSource"), NotEquals: b.ExcludeManagementEventSources})
			}
			if len(fields)+len(reads) > 1 {
				add("management", fields...)
			}
		}
		for _, d := range b.DataResources {
			kind := aws.ToString(d.Type)
			fields := []types.AdvancedFieldSelector{field("eventCategory", "Data"), field("resources.type", kind)}
			if !slices.ContainsFunc(d.Values, func(arn string) bool { return strings.Count(arn, ":") == 2 }) { // "arn:aws:s3" is all of S3
				fields = append(fields, types.AdvancedFieldSelector{Field: aws.String("resources.ARN"), StartsWith: d.Values})
			}
			add(kind, fields...)
		}
	}
	return list
}

// writeSelectors sees to the trail's event selectors; others than the set-up's stay. One refused type fails a whole
// PutEventSelectors, and the answer doesn't say which it was. So types are added to those the trail has by halves; what it
// records never shrinks meanwhile. done becomes something when a selector was changed.
func (a *account) writeSelectors(ctx context.Context, r provision.Resource, have provision.Properties, done *effect) error {
	others, _ := have["others"].([]types.AdvancedEventSelector)
	live, _ := have["AdvancedEventSelectors"].([]provision.Selector)
	want, _ := r.Properties["AdvancedEventSelectors"].([]provision.Selector)
	if n := advancedValues(others); n+provision.SelectorValues(want) > provision.MaxSelectorValues {
		return &SelectorLimitError{n, provision.SelectorValues(want)}
	}
	now := map[string]string{}
	for _, s := range live {
		now[s.Name] = shown(s)
	}
	changed := false
	var accepted, missing []provision.Selector
	for i, s := range want {
		got, ok := now[s.Name]
		delete(now, s.Name)
		switch {
		case ok && got == shown(s):
			accepted = append(accepted, s)
		case ok || i == 0:
			accepted, changed = append(accepted, s), true // differs, or is the selector of management events
		default:
			missing = append(missing, s)
		}
	}
	changed = changed || len(now) > 0
	put := func(list []provision.Selector) error {
		in := &cloudtrail.PutEventSelectorsInput{TrailName: a.trailID(), AdvancedEventSelectors: slices.Clone(others)}
		for _, s := range list {
			in.AdvancedEventSelectors = append(in.AdvancedEventSelectors, advanced(s))
		}
		_, err := a.trail.PutEventSelectors(ctx, in)
		return err
	}
	accepted, refused, wrote, err := grow(accepted, missing, put)
	if err == nil && changed && !wrote {
		err, wrote = put(accepted), true
	}
	if wrote {
		*done = something
	}
	a.leftOut = nil
	for _, s := range refused {
		a.leftOut = append(a.leftOut, strings.TrimPrefix(s.Name, provision.SelectorPrefix))
	}
	return err
}

// grow puts accepted and as many of missing as are not refused.
func grow(accepted, missing []provision.Selector, put func([]provision.Selector) error) (now, refused []provision.Selector, wrote bool, err error) {
	if len(missing) == 0 {
		return accepted, nil, false, nil
	}
	all := append(slices.Clone(accepted), missing...)
	err = put(all)
	if err == nil {
		return all, nil, true, nil
	}
	if !HasCode(err, "InvalidEventSelectorsException") {
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

func advanced(s provision.Selector) types.AdvancedEventSelector {
	out := types.AdvancedEventSelector{Name: &s.Name}
	for _, f := range s.FieldSelectors {
		out.FieldSelectors = append(out.FieldSelectors, types.AdvancedFieldSelector{Field: &f.Field, Equals: f.Equals, NotStartsWith: f.NotStartsWith})
	}
	return out
}

// advancedValues counts the values of all conditions of the selectors.
func advancedValues(list []types.AdvancedEventSelector) int {
	n := 0
	for _, s := range list {
		for _, f := range s.FieldSelectors {
			n += len(f.Equals) + len(f.NotEquals) + len(f.StartsWith) + len(f.NotStartsWith) + len(f.EndsWith) + len(f.NotEndsWith)
		}
	}
	return n
}
