package audittrail

import (
	"github.com/aitrail/aitrail/internal/provision"
	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws/athena"
	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws/bedrockmodel"
	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws/cloudtrail"
	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws/glue"
	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws/kms"
	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws/s3"
	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws/sqs"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

type registration func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error)

// registrations are the AWS provider's resources for the kinds of the desired state.
var registrations = map[provision.Kind]registration{
	provision.KindKey: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		key, err := kms.NewKey(m.ctx, name, &kms.KeyArgs{
			Description: p.text("Description"), EnableKeyRotation: p.flag("EnableKeyRotation"), Policy: p.text("KeyPolicy"), Tags: p.tags(), Region: p.here(),
		}, opts...)
		if err == nil {
			m.key = key.Arn
		}
		return key, err
	},
	provision.KindKeyAlias: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return kms.NewAlias(m.ctx, name, &kms.AliasArgs{Name: p.text("AliasName"), TargetKeyId: m.key, Region: p.here()}, opts...)
	},
	provision.KindBucket: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return s3.NewBucket(m.ctx, name, &s3.BucketArgs{
			Bucket: p.text("BucketName"), ObjectLockEnabled: p.flag("ObjectLockEnabled"), Tags: p.tags(), Region: p.here(),
		}, opts...)
	},
	provision.KindPublicAccess: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return s3.NewBucketPublicAccessBlock(m.ctx, name, &s3.BucketPublicAccessBlockArgs{
			Bucket: pulumi.String(p.plain("Bucket")), BlockPublicAcls: p.flag("BlockPublicAcls"), BlockPublicPolicy: p.flag("BlockPublicPolicy"),
			IgnorePublicAcls: p.flag("IgnorePublicAcls"), RestrictPublicBuckets: p.flag("RestrictPublicBuckets"), Region: p.here(),
		}, opts...)
	},
	provision.KindOwnership: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return s3.NewBucketOwnershipControls(m.ctx, name, &s3.BucketOwnershipControlsArgs{
			Bucket: pulumi.String(p.plain("Bucket")), Region: p.here(),
			Rule: s3.BucketOwnershipControlsRuleArgs{ObjectOwnership: pulumi.String(p.plain("ObjectOwnership"))},
		}, opts...)
	},
	provision.KindVersioning: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return s3.NewBucketVersioning(m.ctx, name, &s3.BucketVersioningArgs{
			Bucket: pulumi.String(p.plain("Bucket")), Region: p.here(),
			VersioningConfiguration: s3.BucketVersioningVersioningConfigurationArgs{Status: pulumi.String(p.plain("Status"))},
		}, opts...)
	},
	provision.KindEncryption: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return s3.NewBucketServerSideEncryptionConfiguration(m.ctx, name, &s3.BucketServerSideEncryptionConfigurationArgs{
			Bucket: pulumi.String(p.plain("Bucket")), Region: p.here(),
			Rules: s3.BucketServerSideEncryptionConfigurationRuleArray{s3.BucketServerSideEncryptionConfigurationRuleArgs{
				ApplyServerSideEncryptionByDefault: s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs{
					SseAlgorithm: pulumi.String(p.plain("SSEAlgorithm")), KmsMasterKeyId: p.text("KMSMasterKeyID"),
				},
				BucketKeyEnabled: p.flag("BucketKeyEnabled"),
			}},
		}, opts...)
	},
	provision.KindLifecycle: lifecycle,
	provision.KindObjectLock: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return s3.NewBucketObjectLockConfiguration(m.ctx, name, &s3.BucketObjectLockConfigurationArgs{
			Bucket: pulumi.String(p.plain("Bucket")), Region: p.here(),
			Rule: s3.BucketObjectLockConfigurationRuleArgs{DefaultRetention: s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs{
				Mode: p.text("Mode"), Days: p.number("Days"),
			}},
		}, opts...)
	},
	provision.KindBucketPolicy: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return s3.NewBucketPolicy(m.ctx, name, &s3.BucketPolicyArgs{
			Bucket: pulumi.String(p.plain("Bucket")), Policy: pulumi.String(p.plain("PolicyDocument")), Region: p.here(),
		}, opts...)
	},
	provision.KindQueue: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		queue, err := sqs.NewQueue(m.ctx, name, &sqs.QueueArgs{
			Name: p.text("QueueName"), MessageRetentionSeconds: p.number("MessageRetentionPeriod"), VisibilityTimeoutSeconds: p.number("VisibilityTimeout"),
			SqsManagedSseEnabled: p.flag("SqsManagedSseEnabled"), Tags: p.tags(), Region: p.here(),
		}, opts...)
		if err == nil {
			m.url = queue.Url
		}
		return queue, err
	},
	provision.KindQueuePolicy: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return sqs.NewQueuePolicy(m.ctx, name, &sqs.QueuePolicyArgs{QueueUrl: m.url, Policy: pulumi.String(p.plain("PolicyDocument")), Region: p.here()}, opts...)
	},
	provision.KindNotification: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		events, _ := p.of["Events"].([]string)
		return s3.NewBucketNotification(m.ctx, name, &s3.BucketNotificationArgs{
			Bucket: pulumi.String(p.plain("Bucket")), Region: p.here(),
			Queues: s3.BucketNotificationQueueArray{s3.BucketNotificationQueueArgs{
				Id: p.text("Id"), QueueArn: pulumi.String(p.plain("QueueArn")), Events: pulumi.ToStringArray(events),
				FilterPrefix: p.text("Prefix"), FilterSuffix: p.text("Suffix"),
			}},
		}, opts...)
	},
	provision.KindLogGroup: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return cloudwatch.NewLogGroup(m.ctx, name, &cloudwatch.LogGroupArgs{
			Name: p.text("LogGroupName"), RetentionInDays: p.number("RetentionInDays"), KmsKeyId: p.text("KmsKeyId"), Tags: p.tags(), Region: p.here(),
		}, opts...)
	},
	provision.KindRole: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return iam.NewRole(m.ctx, name, &iam.RoleArgs{
			Name: p.text("RoleName"), AssumeRolePolicy: pulumi.String(p.plain("AssumeRolePolicyDocument")), Description: p.text("Description"), Tags: p.tags(),
		}, opts...)
	},
	provision.KindRolePolicy: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return iam.NewRolePolicy(m.ctx, name, &iam.RolePolicyArgs{
			Role: pulumi.String(p.plain("RoleName")), Name: p.text("PolicyName"), Policy: pulumi.String(p.plain("PolicyDocument")),
		}, opts...)
	},
	provision.KindTrail: trail,
	provision.KindInvocationLogging: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return bedrockmodel.NewInvocationLoggingConfiguration(m.ctx, name, &bedrockmodel.InvocationLoggingConfigurationArgs{
			Region: p.here(),
			LoggingConfig: bedrockmodel.InvocationLoggingConfigurationLoggingConfigArgs{
				TextDataDeliveryEnabled: p.flag("TextDataDeliveryEnabled"), ImageDataDeliveryEnabled: p.flag("ImageDataDeliveryEnabled"),
				EmbeddingDataDeliveryEnabled: p.flag("EmbeddingDataDeliveryEnabled"), VideoDataDeliveryEnabled: p.flag("VideoDataDeliveryEnabled"),
				S3Config: bedrockmodel.InvocationLoggingConfigurationLoggingConfigS3ConfigArgs{
					BucketName: pulumi.String(p.plain("BucketName")), KeyPrefix: p.text("KeyPrefix"),
				},
			},
		}, opts...)
	},
	provision.KindDatabase: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return glue.NewCatalogDatabase(m.ctx, name, &glue.CatalogDatabaseArgs{
			Name: p.text("Name"), Description: p.text("Description"), LocationUri: p.text("LocationUri"), Region: p.here(),
		}, opts...)
	},
	provision.KindWorkgroup: workgroup,
	provision.KindDelegatedAdmin: func(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
		return cloudtrail.NewOrganizationDelegatedAdminAccount(m.ctx, name, &cloudtrail.OrganizationDelegatedAdminAccountArgs{
			AccountId: pulumi.String(p.plain("MemberAccountId")),
		}, opts...)
	},
}

func lifecycle(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
	var rules s3.BucketLifecycleConfigurationRuleArray
	list, _ := p.of["Rules"].([]any)
	for _, r := range list {
		of, _ := r.(map[string]any)
		days := func(name, unit string) pulumi.IntPtrInput {
			inner, _ := of[name].(map[string]any)
			n, _ := inner[unit].(int)
			return pulumi.IntPtr(n)
		}
		prefix, _ := of["Prefix"].(string)
		rule := s3.BucketLifecycleConfigurationRuleArgs{
			Id: pulumi.String(text(of["Id"])), Status: pulumi.String(text(of["Status"])),
			Filter: s3.BucketLifecycleConfigurationRuleFilterArgs{Prefix: pulumi.StringPtr(prefix)}, // a filter there must be; "" is all keys
			NoncurrentVersionExpiration: s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs{
				NoncurrentDays: days("NoncurrentVersionExpiration", "NoncurrentDays").ToIntPtrOutput().Elem(),
			},
			AbortIncompleteMultipartUpload: s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs{
				DaysAfterInitiation: days("AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
			},
		}
		if n, ok := of["ExpirationInDays"].(int); ok {
			rule.Expiration = s3.BucketLifecycleConfigurationRuleExpirationArgs{Days: pulumi.IntPtr(n)}
		}
		rules = append(rules, rule)
	}
	return s3.NewBucketLifecycleConfiguration(m.ctx, name, &s3.BucketLifecycleConfigurationArgs{
		Bucket: pulumi.String(p.plain("Bucket")), Rules: rules, Region: p.here(),
	}, opts...)
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func trail(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
	var selectors cloudtrail.TrailAdvancedEventSelectorArray
	list, _ := p.of["AdvancedEventSelectors"].([]provision.Selector)
	for _, s := range list {
		var fields cloudtrail.TrailAdvancedEventSelectorFieldSelectorArray
		for _, f := range s.FieldSelectors {
			field := cloudtrail.TrailAdvancedEventSelectorFieldSelectorArgs{Field: pulumi.String(f.Field)}
			if len(f.Equals) > 0 {
				field.Equals = pulumi.ToStringArray(f.Equals)
			}
			if len(f.NotStartsWith) > 0 {
				field.NotStartsWiths = pulumi.ToStringArray(f.NotStartsWith)
			}
			fields = append(fields, field)
		}
		selectors = append(selectors, cloudtrail.TrailAdvancedEventSelectorArgs{Name: pulumi.StringPtr(s.Name), FieldSelectors: fields})
	}
	t, err := cloudtrail.NewTrail(m.ctx, name, &cloudtrail.TrailArgs{
		Name: p.text("TrailName"), S3BucketName: pulumi.String(p.plain("S3BucketName")), S3KeyPrefix: p.text("S3KeyPrefix"),
		IsMultiRegionTrail: p.flag("IsMultiRegionTrail"), IncludeGlobalServiceEvents: p.flag("IncludeGlobalServiceEvents"),
		EnableLogFileValidation: p.flag("EnableLogFileValidation"), EnableLogging: p.flag("IsLogging"), IsOrganizationTrail: p.flag("IsOrganizationTrail"),
		CloudWatchLogsGroupArn: p.text("CloudWatchLogsLogGroupArn"), CloudWatchLogsRoleArn: p.text("CloudWatchLogsRoleArn"),
		KmsKeyId: p.text("KMSKeyId"), AdvancedEventSelectors: selectors, Tags: p.tags(), Region: p.here(),
	}, opts...)
	if err == nil {
		m.arn = t.Arn
	}
	return t, err
}

func workgroup(m *maker, name string, p properties, opts []pulumi.ResourceOption) (pulumi.Resource, error) {
	encryption, _ := p.of["EncryptionConfiguration"].(map[string]any)
	return athena.NewWorkgroup(m.ctx, name, &athena.WorkgroupArgs{
		Name: p.text("Name"), Description: p.text("Description"), Tags: p.tags(), Region: p.here(),
		Configuration: athena.WorkgroupConfigurationArgs{
			EnforceWorkgroupConfiguration: p.flag("EnforceWorkGroupConfiguration"), PublishCloudwatchMetricsEnabled: p.flag("PublishCloudWatchMetricsEnabled"),
			ResultConfiguration: athena.WorkgroupConfigurationResultConfigurationArgs{
				OutputLocation: p.text("OutputLocation"),
				EncryptionConfiguration: athena.WorkgroupConfigurationResultConfigurationEncryptionConfigurationArgs{
					EncryptionOption: p.value(encryption["EncryptionOption"]), KmsKeyArn: p.value(encryption["KmsKey"]),
				},
			},
		},
	}, opts...)
}
