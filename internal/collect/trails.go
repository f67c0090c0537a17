package collect

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	event "github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/coverage"
)

// Trails asks CloudTrail (DescribeTrails, GetEventSelectors, GetTrailStatus) what the trails of the account record that
// reach a Region: those that live there, and multi-Region trails of others. "" means the Region of AWS's own settings,
// which credentials and endpoint come from too. It also returns the Region asked.
func Trails(ctx context.Context, region string, now time.Time) ([]coverage.Sighting, string, error) {
	var opts []func(*config.LoadOptions) error
	if region != "" {
		opts = append(opts, config.WithRegion(region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, "", fmt.Errorf("loading AWS settings: %w", err)
	}
	out, err := cloudtrail.NewFromConfig(cfg).DescribeTrails(ctx, &cloudtrail.DescribeTrailsInput{IncludeShadowTrails: aws.Bool(true)})
	if err != nil {
		return nil, "", fmt.Errorf("asking for the trails of %s: %w", cfg.Region, err)
	}
	var list []coverage.Sighting
	for i := range out.TrailList {
		s, err := sighting(ctx, cfg, &out.TrailList[i])
		if err != nil {
			return nil, "", fmt.Errorf("asking about trail %s: %w", aws.ToString(out.TrailList[i].Name), err)
		}
		s.From, s.To = now.UTC(), now.UTC()
		list = append(list, s)
	}
	return list, cfg.Region, nil
}

func sighting(ctx context.Context, cfg aws.Config, t *types.Trail) (s coverage.Sighting, err error) {
	name, err := arn.Parse(aws.ToString(t.TrailARN))
	if err != nil {
		return s, err
	}
	home := cloudtrail.NewFromConfig(cfg, func(o *cloudtrail.Options) { o.Region = aws.ToString(t.HomeRegion) })
	chosen, err := home.GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: t.TrailARN})
	if err != nil {
		return s, err
	}
	status, err := home.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: t.TrailARN})
	if err != nil {
		return s, err
	}
	return coverage.Sighting{
		Trail: coverage.Trail{Account: name.AccountID, HomeRegion: aws.ToString(t.HomeRegion), Name: aws.ToString(t.Name)},
		Settings: coverage.Settings{
			Logging: aws.ToBool(status.IsLogging), MultiRegion: aws.ToBool(t.IsMultiRegionTrail), Organization: aws.ToBool(t.IsOrganizationTrail),
			Validation: aws.ToBool(t.LogFileValidationEnabled), Bucket: aws.ToString(t.S3BucketName), Selectors: selectors(chosen),
		},
		Started: aws.ToTime(status.StartLoggingTime).UTC().Truncate(time.Second), Stopped: aws.ToTime(status.StopLoggingTime).UTC().Truncate(time.Second),
	}, nil
}

func selectors(out *cloudtrail.GetEventSelectorsOutput) event.Selectors {
	var s event.Selectors
	for _, b := range out.EventSelectors {
		basic := event.EventSelector{
			ReadWriteType: string(b.ReadWriteType), IncludeManagementEvents: b.IncludeManagementEvents,
			ExcludeManagementEventSources: b.ExcludeManagementEventSources,
		}
		for _, d := range b.DataResources {
			basic.DataResources = append(basic.DataResources, event.DataResource{Type: aws.ToString(d.Type), Values: d.Values})
		}
		s.Basic = append(s.Basic, basic)
	}
	for _, a := range out.AdvancedEventSelectors {
		advanced := event.AdvancedEventSelector{Name: aws.ToString(a.Name)}
		for _, f := range a.FieldSelectors {
			advanced.FieldSelectors = append(advanced.FieldSelectors, event.FieldSelector{
				Field: aws.ToString(f.Field), Equals: f.Equals, StartsWith: f.StartsWith, EndsWith: f.EndsWith,
				NotEquals: f.NotEquals, NotStartsWith: f.NotStartsWith, NotEndsWith: f.NotEndsWith,
			})
		}
		s.Advanced = append(s.Advanced, advanced)
	}
	return s
}
