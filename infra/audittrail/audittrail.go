// Package audittrail is the Pulumi component that sets up CloudTrail for AI services: [AuditTrail].
//
// It decides nothing about the set-up. Which resources there are, their names, policies, event selectors and the order in
// which they come are those of provision.Setup.Resources, as in aitrail's own commands and templates; this package gives each
// to Pulumi as the resource of the AWS provider that it is. Names are chosen beforehand, so a policy can name the trail before it
// exists, and a preview shows every document whole. What only AWS knows (the ARN of a new key, a queue's URL) goes from resource to
// resource as an output; every other order is an explicit dependency.
//
// Nothing here asks AWS, but for the account and Region where they aren't given.
package audittrail

import (
	"errors"
	"fmt"

	"github.com/aitrail/aitrail/internal/provision"
	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Token is the component's type in Pulumi.
const Token = "aitrail:index:AuditTrail"

// AuditTrailArgs say what the set-up is to be. The zero value is a good one: a trail of all Regions that records
// management events, reads and writes, and the data events of every AI service the catalog knows, log file validation, a closed and versioned
// bucket, a log group of 7 days, and a queue that is told of each new log file.
//
// Names can't be outputs of other resources: policies are made of them.
type AuditTrailArgs struct {
	// AccountID is the account where bucket, role and log group are. Default: that of the AWS provider.
	AccountID string `pulumi:"accountId,optional"`
	// Region is the trail's home Region, and the bucket's. Default: that of the AWS provider.
	Region string `pulumi:"region,optional"`

	// TrailName is the trail's name. Default: "ai-trail".
	TrailName string `pulumi:"trailName,optional"`
	// BucketName is the bucket's name. Default: TRAIL-ACCOUNT-REGION.
	BucketName string `pulumi:"bucketName,optional"`
	// KeyPrefix is what keys in the bucket begin with. Default: "cloudtrail".
	KeyPrefix string `pulumi:"keyPrefix,optional"`
	// LogGroupName is the log group's name. Default: "/aws/cloudtrail/TRAIL".
	LogGroupName string `pulumi:"logGroupName,optional"`
	// RoleName is the name of the role with which CloudTrail writes to the log group. Default: TRAIL-cloudwatch-logs.
	RoleName string `pulumi:"roleName,optional"`

	// LogRetentionDays is how long the log group keeps events. Default: 7. The bucket keeps the record.
	LogRetentionDays int `pulumi:"logRetentionDays,optional"`
	// RetentionDays is how long the bucket keeps log files. Default: for ever.
	RetentionDays int `pulumi:"retentionDays,optional"`
	// ObjectLockDays has S3 refuse to delete or change a log file for so many days. Only a new bucket can have it. Default: no lock.
	ObjectLockDays int `pulumi:"objectLockDays,optional"`
	// ObjectLockMode is "GOVERNANCE", the default, or "COMPLIANCE", in which nobody can unlock, not even root.
	ObjectLockMode string `pulumi:"objectLockMode,optional"`

	// DataTypes are the resources.type values whose data events are recorded. Default: those of every AI service. An empty
	// list records none; AWS charges for data events.
	DataTypes []string `pulumi:"dataTypes,optional"`

	// OwnKey makes a KMS key for the trail, the buckets and the log group. Default: S3's and CloudWatch Logs' own keys.
	OwnKey bool `pulumi:"ownKey,optional"`
	// KmsKeyArn is the ARN of a key to use instead; its policy must be the one that OwnKey would give it.
	KmsKeyArn pulumi.StringPtrInput `pulumi:"kmsKeyArn,optional"`

	// NoQueue leaves out the queue that is told of each new log file.
	NoQueue bool `pulumi:"noQueue,optional"`
	// QueueName is the queue's name. Default: TRAIL-log-files.
	QueueName string `pulumi:"queueName,optional"`

	// InvocationLogging has Amazon Bedrock write prompts and answers, which CloudTrail never holds, to a bucket of their own.
	// There is one such setting for an account in a Region: this one replaces it.
	InvocationLogging bool `pulumi:"invocationLogging,optional"`
	// InvocationBucketName is that bucket's name. Default: TRAIL-invocations-ACCOUNT-REGION.
	InvocationBucketName string `pulumi:"invocationBucketName,optional"`
	// InvocationRetentionDays is how long prompts and answers are kept. Default: 30.
	InvocationRetentionDays int `pulumi:"invocationRetentionDays,optional"`

	// LakeBucketName makes a bucket for aitrail's lake, and with it a Glue database and an Athena workgroup. Default: none.
	LakeBucketName string `pulumi:"lakeBucketName,optional"`
	// DatabaseName is the Glue database's name. Default: "aitrail".
	DatabaseName string `pulumi:"databaseName,optional"`
	// WorkgroupName is the Athena workgroup's name. Default: the trail's.
	WorkgroupName string `pulumi:"workgroupName,optional"`

	// OrganizationID ("o-…") makes the trail one of all the organization's accounts.
	OrganizationID string `pulumi:"organizationId,optional"`
	// ManagementAccountID is the organization's management account, which owns the trail whoever creates it. Needed with
	// OrganizationID; AccountID is then this account or a delegated administrator.
	ManagementAccountID string `pulumi:"managementAccountId,optional"`
	// DelegatedAdminID is an account that the management account lets manage the organization's trails.
	DelegatedAdminID string `pulumi:"delegatedAdminId,optional"`

	// Tags are those of everything that can have tags. Default: the trail's name as "Name".
	Tags map[string]string `pulumi:"tags,optional"`

	// Protect has Pulumi refuse to delete what holds something: buckets, key, log group, database.
	Protect bool `pulumi:"protect,optional"`
}

// AuditTrail is a CloudTrail trail for AI services with all it needs. Outputs of parts that were not asked for are empty.
type AuditTrail struct {
	pulumi.ResourceState

	BucketName  pulumi.StringOutput `pulumi:"bucketName"`
	TrailArn    pulumi.StringOutput `pulumi:"trailArn"`
	TrailName   pulumi.StringOutput `pulumi:"trailName"`
	KeyPrefix   pulumi.StringOutput `pulumi:"keyPrefix"`
	AccountID   pulumi.StringOutput `pulumi:"accountId"`
	Region      pulumi.StringOutput `pulumi:"region"`
	RoleArn     pulumi.StringOutput `pulumi:"roleArn"`
	LogGroup    pulumi.StringOutput `pulumi:"logGroupName"`
	LogGroupArn pulumi.StringOutput `pulumi:"logGroupArn"` // with the ":*" that CloudTrail wants

	QueueURL         pulumi.StringOutput `pulumi:"queueUrl"`
	QueueArn         pulumi.StringOutput `pulumi:"queueArn"`
	KmsKeyArn        pulumi.StringOutput `pulumi:"kmsKeyArn"`
	InvocationBucket pulumi.StringOutput `pulumi:"invocationBucketName"`
	LakeBucket       pulumi.StringOutput `pulumi:"lakeBucketName"`
	Database         pulumi.StringOutput `pulumi:"databaseName"`
	Workgroup        pulumi.StringOutput `pulumi:"workgroupName"`
}

// FromSetup gives the arguments for a set-up.
func FromSetup(s provision.Setup) *AuditTrailArgs {
	a := &AuditTrailArgs{
		AccountID: s.Account, Region: s.Region,
		TrailName: s.Trail, BucketName: s.Bucket, KeyPrefix: s.Prefix, LogGroupName: s.LogGroup, RoleName: s.Role,
		LogRetentionDays: s.LogRetentionDays, RetentionDays: s.RetentionDays, ObjectLockDays: s.ObjectLockDays, ObjectLockMode: s.ObjectLockMode,
		DataTypes: s.DataTypes, OwnKey: s.OwnKey, NoQueue: s.NoQueue, QueueName: s.Queue,
		InvocationLogging: s.InvocationLogging, InvocationBucketName: s.InvocationBucket, InvocationRetentionDays: s.InvocationRetentionDays,
		LakeBucketName: s.LakeBucket, DatabaseName: s.Database, WorkgroupName: s.Workgroup,
		OrganizationID: s.Organization, ManagementAccountID: s.Management, DelegatedAdminID: s.DelegatedAdmin, Tags: s.Tags,
	}
	if s.KMSKey != "" {
		a.KmsKeyArn = pulumi.String(s.KMSKey)
	}
	return a
}

// setup is the opposite of FromSetup. A key that is given may be an output: so it is as if there was to be a key of the
// set-up's own, and the caller puts the given one in its place.
func (a *AuditTrailArgs) setup() provision.Setup {
	return provision.Setup{
		Account: a.AccountID, Region: a.Region,
		Trail: a.TrailName, Bucket: a.BucketName, Prefix: a.KeyPrefix, LogGroup: a.LogGroupName, Role: a.RoleName,
		LogRetentionDays: a.LogRetentionDays, RetentionDays: a.RetentionDays, ObjectLockDays: a.ObjectLockDays, ObjectLockMode: a.ObjectLockMode,
		DataTypes: a.DataTypes, OwnKey: a.OwnKey || a.KmsKeyArn != nil, NoQueue: a.NoQueue, Queue: a.QueueName,
		InvocationLogging: a.InvocationLogging, InvocationBucket: a.InvocationBucketName, InvocationRetentionDays: a.InvocationRetentionDays,
		LakeBucket: a.LakeBucketName, Database: a.DatabaseName, Workgroup: a.WorkgroupName,
		Organization: a.OrganizationID, Management: a.ManagementAccountID, DelegatedAdmin: a.DelegatedAdminID, Tags: a.Tags,
	}
}

// NewAuditTrail makes the set-up. Its AWS provider is the one of opts, else the default one. Arguments that AWS would refuse are an
// error before any resource of AWS is registered.
func NewAuditTrail(ctx *pulumi.Context, name string, args *AuditTrailArgs, opts ...pulumi.ResourceOption) (*AuditTrail, error) {
	if args == nil {
		args = &AuditTrailArgs{}
	}
	if args.OrganizationID != "" && args.ManagementAccountID == "" {
		return nil, errors.New("an organization's trail needs managementAccountId: the management account owns it, whichever account creates it")
	}
	if args.OwnKey && args.KmsKeyArn != nil {
		return nil, errors.New("ownKey makes a key and kmsKeyArn names one: give one of them")
	}
	t := &AuditTrail{}
	if err := ctx.RegisterComponentResource(Token, name, t, opts...); err != nil {
		return nil, err
	}
	s, err := located(ctx, args.setup(), t)
	if err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	m := &maker{ctx: ctx, name: name, parent: t, region: s.Region, protect: args.Protect, made: map[string]pulumi.Resource{}}
	if args.KmsKeyArn != nil {
		m.key, m.keyGiven = args.KmsKeyArn.ToStringPtrOutput().Elem(), true
	}
	for _, r := range s.Resources() {
		if err := m.make(r); err != nil {
			return nil, fmt.Errorf("%s: %w", r.ID, err)
		}
	}
	t.output(s, m)
	return t, ctx.RegisterResourceOutputs(t, pulumi.Map{
		"bucketName": t.BucketName, "trailArn": t.TrailArn, "trailName": t.TrailName, "keyPrefix": t.KeyPrefix, "accountId": t.AccountID,
		"region": t.Region, "roleArn": t.RoleArn, "logGroupName": t.LogGroup, "logGroupArn": t.LogGroupArn, "queueUrl": t.QueueURL, "queueArn": t.QueueArn,
		"kmsKeyArn": t.KmsKeyArn, "invocationBucketName": t.InvocationBucket, "lakeBucketName": t.LakeBucket, "databaseName": t.Database,
		"workgroupName": t.Workgroup,
	})
}

// located fills in the account and the Region, those of the AWS provider if they aren't given.
func located(ctx *pulumi.Context, s provision.Setup, parent pulumi.Resource) (provision.Setup, error) {
	if s.Account == "" {
		caller, err := aws.GetCallerIdentity(ctx, &aws.GetCallerIdentityArgs{}, pulumi.Parent(parent))
		if err != nil {
			return s, fmt.Errorf("asking AWS for the account: %w", err)
		}
		s.Account = caller.AccountId
	}
	if s.Region == "" {
		region, err := aws.GetRegion(ctx, &aws.GetRegionArgs{}, pulumi.Parent(parent))
		if err != nil {
			return s, fmt.Errorf("asking the AWS provider for its Region: %w", err)
		}
		s.Region = region.Region
	}
	return s.Defaults(), nil
}
