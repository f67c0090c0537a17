package provision

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func (a *applier) bucket(ctx context.Context) error {
	_, err := a.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &a.Bucket, ExpectedBucketOwner: &a.Account})
	exists := err == nil
	if err != nil && !hasCode(err, "NotFound", "NoSuchBucket") {
		return fmt.Errorf("bucket %s: %w", a.Bucket, err)
	}
	return a.settle("bucket", a.Bucket, exists, exists, func() error {
		in := &s3.CreateBucketInput{Bucket: &a.Bucket, ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}
		if a.Region != "us-east-1" {
			in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(a.Region)}
		}
		_, err := a.s3.CreateBucket(ctx, in)
		return err
	})
}

func (a *applier) publicAccess(ctx context.Context) error {
	const kind = "public access block"
	on := aws.Bool(true)
	want := types.PublicAccessBlockConfiguration{BlockPublicAcls: on, BlockPublicPolicy: on, IgnorePublicAcls: on, RestrictPublicBuckets: on}
	out, err := a.s3.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &a.Bucket})
	if err != nil && !hasCode(err, "NoSuchPublicAccessBlockConfiguration") {
		return fmt.Errorf("%s %s: %w", kind, a.Bucket, err)
	}
	same := false
	if err == nil && out.PublicAccessBlockConfiguration != nil {
		c := out.PublicAccessBlockConfiguration
		same = aws.ToBool(c.BlockPublicAcls) && aws.ToBool(c.BlockPublicPolicy) && aws.ToBool(c.IgnorePublicAcls) && aws.ToBool(c.RestrictPublicBuckets)
	}
	return a.settle(kind, a.Bucket, same, err == nil, func() error {
		_, err := a.s3.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: &a.Bucket, PublicAccessBlockConfiguration: &want})
		return err
	})
}

func (a *applier) ownership(ctx context.Context) error {
	const kind = "object ownership"
	out, err := a.s3.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: &a.Bucket})
	if err != nil && !hasCode(err, "OwnershipControlsNotFoundError") {
		return fmt.Errorf("%s %s: %w", kind, a.Bucket, err)
	}
	same := err == nil && out.OwnershipControls != nil && len(out.OwnershipControls.Rules) == 1 &&
		out.OwnershipControls.Rules[0].ObjectOwnership == types.ObjectOwnershipBucketOwnerEnforced
	return a.settle(kind, a.Bucket, same, err == nil, func() error {
		rules := []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}}
		_, err := a.s3.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{Bucket: &a.Bucket, OwnershipControls: &types.OwnershipControls{Rules: rules}})
		return err
	})
}

func (a *applier) versioning(ctx context.Context) error {
	const kind = "versioning"
	out, err := a.s3.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &a.Bucket})
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, a.Bucket, err)
	}
	return a.settle(kind, a.Bucket, out.Status == types.BucketVersioningStatusEnabled, out.Status != "", func() error {
		_, err := a.s3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
			Bucket: &a.Bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		})
		return err
	})
}

func (a *applier) encryption(ctx context.Context) error {
	const kind = "default encryption"
	want := types.ServerSideEncryptionRule{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256}}
	if a.KMSKey != "" {
		want.ApplyServerSideEncryptionByDefault = &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAwsKms, KMSMasterKeyID: &a.KMSKey}
		want.BucketKeyEnabled = aws.Bool(true)
	}
	out, err := a.s3.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &a.Bucket})
	if err != nil && !hasCode(err, "ServerSideEncryptionConfigurationNotFoundError") {
		return fmt.Errorf("%s %s: %w", kind, a.Bucket, err)
	}
	same := false
	if err == nil && out.ServerSideEncryptionConfiguration != nil && len(out.ServerSideEncryptionConfiguration.Rules) == 1 {
		r := out.ServerSideEncryptionConfiguration.Rules[0]
		d, w := r.ApplyServerSideEncryptionByDefault, want.ApplyServerSideEncryptionByDefault
		same = d != nil && d.SSEAlgorithm == w.SSEAlgorithm && aws.ToString(d.KMSMasterKeyID) == a.KMSKey &&
			(a.KMSKey == "" || aws.ToBool(r.BucketKeyEnabled))
	}
	return a.settle(kind, a.Bucket, same, err == nil, func() error {
		_, err := a.s3.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{
			Bucket: &a.Bucket, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{want}},
		})
		return err
	})
}

// ruleID is the id of the set-up's lifecycle rule.
const ruleID = "aitrail"

func (a *applier) lifecycle(ctx context.Context) error {
	const kind = "lifecycle"
	want := types.LifecycleRule{
		ID: aws.String(ruleID), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
		NoncurrentVersionExpiration:    &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(noncurrentDays)},
		AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(abortDays)},
	}
	if a.RetentionDays > 0 {
		want.Expiration = &types.LifecycleExpiration{Days: aws.Int32(int32(a.RetentionDays))}
	}
	out, err := a.s3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &a.Bucket})
	if err != nil && !hasCode(err, "NoSuchLifecycleConfiguration") {
		return fmt.Errorf("%s %s: %w", kind, a.Bucket, err)
	}
	same := err == nil && len(out.Rules) == 1 && sameRule(out.Rules[0], want)
	return a.settle(kind, a.Bucket, same, err == nil, func() error {
		_, err := a.s3.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
			Bucket: &a.Bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{want}},
		})
		return err
	})
}

func sameRule(a, b types.LifecycleRule) bool {
	type rule struct {
		id, status, prefix             string
		expire, noncurrent, abortAfter int32
		transitions                    int
	}
	of := func(r types.LifecycleRule) (v rule) {
		v.id, v.status, v.transitions = aws.ToString(r.ID), string(r.Status), len(r.Transitions)+len(r.NoncurrentVersionTransitions)
		if r.Filter != nil {
			v.prefix = aws.ToString(r.Filter.Prefix)
		}
		if r.Expiration != nil {
			v.expire = aws.ToInt32(r.Expiration.Days)
		}
		if r.NoncurrentVersionExpiration != nil {
			v.noncurrent = aws.ToInt32(r.NoncurrentVersionExpiration.NoncurrentDays)
		}
		if r.AbortIncompleteMultipartUpload != nil {
			v.abortAfter = aws.ToInt32(r.AbortIncompleteMultipartUpload.DaysAfterInitiation)
		}
		return v
	}
	return of(a) == of(b)
}

func (a *applier) bucketPolicy(ctx context.Context) error {
	const kind = "bucket policy"
	out, err := a.s3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &a.Bucket})
	if err != nil && !hasCode(err, "NoSuchBucketPolicy") {
		return fmt.Errorf("%s %s: %w", kind, a.Bucket, err)
	}
	want := a.BucketPolicy()
	same := err == nil && samePolicy(aws.ToString(out.Policy), want)
	return a.settle(kind, a.Bucket, same, err == nil, func() error {
		_, err := a.s3.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &a.Bucket, Policy: &want})
		return err
	})
}
