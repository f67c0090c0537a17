package live

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/aitrail/aitrail/internal/provision"
)

// BucketError is a bucket that the set-up can't have.
type BucketError struct {
	Bucket, Reason string
	Err            error // AWS's
}

func (e *BucketError) Error() string { return "bucket " + e.Bucket + " " + e.Reason }
func (e *BucketError) Unwrap() error { return e.Err }

func (a *account) readBucket(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &r.Name, ExpectedBucketOwner: &a.Account})
	switch {
	case HasCode(err, "NotFound", "NoSuchBucket"):
		return nil, nil
	case HasCode(err, "MovedPermanently", "PermanentRedirect", "301"):
		return nil, &BucketError{r.Name, "is in another Region than " + a.Region, err}
	case err != nil && IsAccessDenied(err):
		return nil, &BucketError{r.Name, "is another account's, or may not be looked at by who asks", err}
	case err != nil:
		return nil, err
	}
	if region := aws.ToString(out.BucketRegion); region != "" && region != a.Region {
		return nil, &BucketError{r.Name, "is in " + region + ", not in " + a.Region, nil}
	}
	have := provision.Properties{"BucketName": r.Name, "ObjectLockEnabled": true} // an older bucket gets its lock with its rule
	tags, err := a.s3.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: &r.Name})
	if err != nil && !HasCode(err, "NoSuchTagSet") {
		return nil, err
	}
	if err == nil {
		m := map[string]string{}
		for _, t := range tags.TagSet {
			m[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
		have["Tags"] = m
	}
	return have, nil
}

func (a *account) writeBucket(ctx context.Context, r provision.Resource, have provision.Properties, _ []string) (effect, error) {
	tags, _ := have["Tags"].(map[string]string)
	tags = maps.Clone(tags)
	if tags == nil {
		tags = map[string]string{}
	}
	if have == nil {
		in := &s3.CreateBucketInput{Bucket: &r.Name, ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}
		if r.Bool("ObjectLockEnabled") {
			in.ObjectLockEnabledForBucket = aws.Bool(true)
		}
		if a.Region != "us-east-1" {
			in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(a.Region)}
		}
		_, err := a.s3.CreateBucket(ctx, in)
		if HasCode(err, "BucketAlreadyExists") {
			return something, &BucketError{r.Name, "is another account's", err}
		}
		if err != nil && !HasCode(err, "BucketAlreadyOwnedByYou") {
			return something, err
		}
		tags = a.marked(r)
	}
	maps.Copy(tags, r.Tags())
	var set []types.Tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		set = append(set, types.Tag{Key: &k, Value: aws.String(tags[k])})
	}
	_, err := a.s3.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: &r.Name, Tagging: &types.Tagging{TagSet: set}})
	return something, err
}

func (a *account) removeBucket(ctx context.Context, r provision.Resource, _ provision.Properties) error {
	trials, _, err := a.bucketContent(ctx, r)
	if err != nil {
		return err
	}
	for _, o := range trials {
		if _, err := a.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &r.Name, Key: o.Key, VersionId: o.VersionId}); err != nil {
			return err
		}
	}
	_, err = a.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &r.Name})
	return err
}

func (a *account) bucketHolds(ctx context.Context, r provision.Resource) (bool, error) {
	_, more, err := a.bucketContent(ctx, r)
	return more || err != nil, err
}

// bucketContent finds the empty objects by which Bedrock tries whether it may write, and tells whether there is more.
func (a *account) bucketContent(ctx context.Context, r provision.Resource) (trials []types.ObjectVersion, more bool, err error) {
	out, err := a.s3.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &r.Name})
	if err != nil {
		return nil, false, err
	}
	more = len(out.DeleteMarkers) > 0 || aws.ToBool(out.IsTruncated)
	for _, o := range out.Versions {
		if strings.HasSuffix(aws.ToString(o.Key), "/amazon-bedrock-logs-permission-check") && aws.ToInt64(o.Size) == 0 {
			trials = append(trials, o)
		} else {
			more = true
		}
	}
	return trials, more, nil
}

// setting is what a get call answered: have where there is something, nil where it says that there is none, or no bucket.
func setting(err error, have func() provision.Properties, none ...string) (provision.Properties, error) {
	if err == nil {
		return have(), nil
	}
	if HasCode(err, append(none, "NoSuchBucket")...) {
		return nil, nil
	}
	return nil, err
}

func (a *account) readPublicAccess(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.s3.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &r.Name})
	return setting(err, func() provision.Properties {
		c := out.PublicAccessBlockConfiguration
		if c == nil {
			return nil
		}
		return provision.Properties{
			"Bucket": r.Name, "BlockPublicAcls": aws.ToBool(c.BlockPublicAcls), "BlockPublicPolicy": aws.ToBool(c.BlockPublicPolicy),
			"IgnorePublicAcls": aws.ToBool(c.IgnorePublicAcls), "RestrictPublicBuckets": aws.ToBool(c.RestrictPublicBuckets),
		}
	}, "NoSuchPublicAccessBlockConfiguration")
}

func (a *account) writePublicAccess(ctx context.Context, r provision.Resource, _ provision.Properties, _ []string) (effect, error) {
	on := func(name string) *bool { return aws.Bool(r.Bool(name)) }
	_, err := a.s3.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: &r.Name, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
		BlockPublicAcls: on("BlockPublicAcls"), BlockPublicPolicy: on("BlockPublicPolicy"), IgnorePublicAcls: on("IgnorePublicAcls"), RestrictPublicBuckets: on("RestrictPublicBuckets"),
	}})
	return something, err
}

func (a *account) readOwnership(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.s3.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: &r.Name})
	return setting(err, func() provision.Properties {
		if out.OwnershipControls == nil || len(out.OwnershipControls.Rules) != 1 {
			return nil
		}
		return provision.Properties{"Bucket": r.Name, "ObjectOwnership": string(out.OwnershipControls.Rules[0].ObjectOwnership)}
	}, "OwnershipControlsNotFoundError")
}

func (a *account) writeOwnership(ctx context.Context, r provision.Resource, _ provision.Properties, _ []string) (effect, error) {
	rules := []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnership(r.Text("ObjectOwnership"))}}
	_, err := a.s3.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{Bucket: &r.Name, OwnershipControls: &types.OwnershipControls{Rules: rules}})
	return something, err
}

func (a *account) readVersioning(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.s3.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &r.Name})
	return setting(err, func() provision.Properties {
		if out.Status == "" {
			return nil
		}
		return provision.Properties{"Bucket": r.Name, "Status": string(out.Status)}
	})
}

func (a *account) writeVersioning(ctx context.Context, r provision.Resource, _ provision.Properties, _ []string) (effect, error) {
	_, err := a.s3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: &r.Name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatus(r.Text("Status"))},
	})
	return something, err
}

func (a *account) readEncryption(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.s3.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &r.Name})
	return setting(err, func() provision.Properties {
		c := out.ServerSideEncryptionConfiguration
		if c == nil || len(c.Rules) != 1 || c.Rules[0].ApplyServerSideEncryptionByDefault == nil {
			return nil
		}
		d := c.Rules[0].ApplyServerSideEncryptionByDefault
		return provision.Properties{
			"Bucket": r.Name, "SSEAlgorithm": string(d.SSEAlgorithm), "KMSMasterKeyID": aws.ToString(d.KMSMasterKeyID), "BucketKeyEnabled": aws.ToBool(c.Rules[0].BucketKeyEnabled),
		}
	}, "ServerSideEncryptionConfigurationNotFoundError")
}

func (a *account) writeEncryption(ctx context.Context, r provision.Resource, _ provision.Properties, _ []string) (effect, error) {
	rule := types.ServerSideEncryptionRule{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryption(r.Text("SSEAlgorithm"))}}
	if key := r.Text("KMSMasterKeyID"); key != "" {
		rule.ApplyServerSideEncryptionByDefault.KMSMasterKeyID, rule.BucketKeyEnabled = &key, aws.Bool(r.Bool("BucketKeyEnabled"))
	}
	_, err := a.s3.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{
		Bucket: &r.Name, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{rule}},
	})
	return something, err
}

func (a *account) readLifecycle(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.s3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &r.Name})
	return setting(err, func() provision.Properties {
		wanted := map[any]bool{}
		rules, _ := r.Properties["Rules"].([]any)
		for _, rule := range rules {
			wanted[rule.(map[string]any)["Id"]] = true
		}
		var ours []any
		var others []types.LifecycleRule
		for _, rule := range out.Rules {
			if wanted[aws.ToString(rule.ID)] {
				ours = append(ours, ruleProperties(rule))
			} else {
				others = append(others, rule)
			}
		}
		have := provision.Properties{"Bucket": r.Name, "others": others}
		if ours != nil {
			have["Rules"] = ours
		}
		return have
	}, "NoSuchLifecycleConfiguration")
}

// ruleProperties is a rule in CloudFormation's shape, as far as the set-up's rules go.
func ruleProperties(r types.LifecycleRule) map[string]any {
	m := map[string]any{"Id": aws.ToString(r.ID), "Status": string(r.Status), "Prefix": ""}
	if r.Filter != nil {
		m["Prefix"] = aws.ToString(r.Filter.Prefix)
	}
	if r.Expiration != nil {
		m["ExpirationInDays"] = int(aws.ToInt32(r.Expiration.Days))
	}
	if n := r.NoncurrentVersionExpiration; n != nil {
		m["NoncurrentVersionExpiration"] = map[string]any{"NoncurrentDays": int(aws.ToInt32(n.NoncurrentDays))}
	}
	if u := r.AbortIncompleteMultipartUpload; u != nil {
		m["AbortIncompleteMultipartUpload"] = map[string]any{"DaysAfterInitiation": int(aws.ToInt32(u.DaysAfterInitiation))}
	}
	if n := len(r.Transitions) + len(r.NoncurrentVersionTransitions); n > 0 {
		m["Transitions"] = n
	}
	return m
}

func (a *account) writeLifecycle(ctx context.Context, r provision.Resource, have provision.Properties, _ []string) (effect, error) {
	list, _ := have["others"].([]types.LifecycleRule)
	days := func(m map[string]any, name, member string) *int32 {
		return aws.Int32(int32(m[name].(map[string]any)[member].(int)))
	}
	for _, v := range r.Properties["Rules"].([]any) {
		m := v.(map[string]any)
		rule := types.LifecycleRule{
			ID: aws.String(m["Id"].(string)), Status: types.ExpirationStatus(m["Status"].(string)), Filter: &types.LifecycleRuleFilter{Prefix: aws.String(m["Prefix"].(string))},
			NoncurrentVersionExpiration:    &types.NoncurrentVersionExpiration{NoncurrentDays: days(m, "NoncurrentVersionExpiration", "NoncurrentDays")},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: days(m, "AbortIncompleteMultipartUpload", "DaysAfterInitiation")},
		}
		if n, ok := m["ExpirationInDays"].(int); ok {
			rule.Expiration = &types.LifecycleExpiration{Days: aws.Int32(int32(n))}
		}
		list = append(list, rule)
	}
	_, err := a.s3.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &r.Name, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: list},
	})
	return something, err
}

func (a *account) readLock(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.s3.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &r.Name})
	return setting(err, func() provision.Properties {
		c := out.ObjectLockConfiguration
		if c == nil || c.Rule == nil || c.Rule.DefaultRetention == nil {
			return nil
		}
		d := c.Rule.DefaultRetention
		return provision.Properties{"Bucket": r.Name, "Mode": string(d.Mode), "Days": int(aws.ToInt32(d.Days)) + 365*int(aws.ToInt32(d.Years))}
	}, "ObjectLockConfigurationNotFoundError")
}

func (a *account) writeLock(ctx context.Context, r provision.Resource, _ provision.Properties, _ []string) (effect, error) {
	_, err := a.s3.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: &r.Name, ObjectLockConfiguration: &types.ObjectLockConfiguration{
		ObjectLockEnabled: types.ObjectLockEnabledEnabled,
		Rule:              &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionMode(r.Text("Mode")), Days: aws.Int32(int32(r.Int("Days")))}},
	}})
	return something, err
}

func (a *account) readBucketPolicy(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.s3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &r.Name})
	return setting(err, func() provision.Properties {
		ours, others := splitPolicy(aws.ToString(out.Policy), r.Text("PolicyDocument"))
		return provision.Properties{"Bucket": r.Name, "PolicyDocument": ours, "others": others}
	}, "NoSuchBucketPolicy")
}

func (a *account) writeBucketPolicy(ctx context.Context, r provision.Resource, have provision.Properties, _ []string) (effect, error) {
	others, _ := have["others"].([]any)
	policy := joinPolicy(r.Text("PolicyDocument"), others)
	_, err := a.s3.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &r.Name, Policy: &policy})
	return something, err
}

// readNotification returns the bucket's notification of the set-up, and all its others.
func (a *account) readNotification(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.s3.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &r.Name})
	return setting(err, func() provision.Properties {
		all := &types.NotificationConfiguration{
			EventBridgeConfiguration: out.EventBridgeConfiguration, LambdaFunctionConfigurations: out.LambdaFunctionConfigurations,
			TopicConfigurations: out.TopicConfigurations,
		}
		have := provision.Properties{"others": all}
		for _, q := range out.QueueConfigurations {
			if aws.ToString(q.Id) != r.Text("Id") {
				all.QueueConfigurations = append(all.QueueConfigurations, q)
				continue
			}
			have["Bucket"], have["Id"], have["QueueArn"] = r.Name, r.Text("Id"), aws.ToString(q.QueueArn)
			var events []string
			for _, e := range q.Events {
				events = append(events, string(e))
			}
			have["Events"], have["Prefix"], have["Suffix"] = events, "", ""
			if q.Filter == nil || q.Filter.Key == nil {
				continue
			}
			for _, f := range q.Filter.Key.FilterRules {
				switch f.Name { // AWS answers with "Prefix" and "Suffix" where "prefix" and "suffix" were given
				case "prefix", "Prefix":
					have["Prefix"] = aws.ToString(f.Value)
				case "suffix", "Suffix":
					have["Suffix"] = aws.ToString(f.Value)
				}
			}
		}
		return have
	})
}

func (a *account) putNotification(ctx context.Context, r provision.Resource, have provision.Properties, ours ...types.QueueConfiguration) error {
	all, _ := have["others"].(*types.NotificationConfiguration)
	if all == nil {
		all = &types.NotificationConfiguration{}
	}
	all.QueueConfigurations = append(all.QueueConfigurations, ours...)
	_, err := a.s3.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: &r.Name, NotificationConfiguration: all})
	return err
}

func (a *account) writeNotification(ctx context.Context, r provision.Resource, have provision.Properties, _ []string) (effect, error) {
	q := types.QueueConfiguration{
		Id: aws.String(r.Text("Id")), QueueArn: aws.String(r.Text("QueueArn")),
		Filter: &types.NotificationConfigurationFilter{Key: &types.S3KeyFilter{FilterRules: []types.FilterRule{
			{Name: types.FilterRuleNamePrefix, Value: aws.String(r.Text("Prefix"))}, {Name: types.FilterRuleNameSuffix, Value: aws.String(r.Text("Suffix"))},
		}}},
	}
	events, ok := r.Properties["Events"].([]string)
	if !ok {
		return something, fmt.Errorf("events are %T", r.Properties["Events"])
	}
	for _, e := range events {
		q.Events = append(q.Events, types.Event(e))
	}
	// A new queue policy takes a while to be seen by S3, which tries the queue.
	return something, eventually(ctx, func() error { return a.putNotification(ctx, r, have, q) }, "InvalidArgument")
}

func (a *account) removeNotification(ctx context.Context, r provision.Resource, have provision.Properties) error {
	if _, ok := have["Id"]; !ok {
		return nil
	}
	return a.putNotification(ctx, r, have)
}
