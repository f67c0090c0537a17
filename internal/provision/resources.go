package provision

// Kind says what a [Resource] is.
type Kind string

// The kinds of resources. Properties and their shapes are those of CloudFormation's resource types named beside them, so
// that AWS's reference describes them; what CloudFormation has inside of AWS::S3::Bucket are resources of their own, as in the
// S3 API, Terraform and Pulumi.
const (
	KindKey               Kind = "key"                     // AWS::KMS::Key
	KindKeyAlias          Kind = "key alias"               // AWS::KMS::Alias
	KindBucket            Kind = "bucket"                  // AWS::S3::Bucket: BucketName, ObjectLockEnabled, Tags
	KindPublicAccess      Kind = "public access block"     // its PublicAccessBlockConfiguration
	KindOwnership         Kind = "object ownership"        // one of its OwnershipControls.Rules
	KindVersioning        Kind = "versioning"              // its VersioningConfiguration
	KindEncryption        Kind = "default encryption"      // one of its BucketEncryption.ServerSideEncryptionConfiguration, flat
	KindLifecycle         Kind = "lifecycle"               // its LifecycleConfiguration
	KindObjectLock        Kind = "object lock"             // its ObjectLockConfiguration.Rule.DefaultRetention
	KindBucketPolicy      Kind = "bucket policy"           // AWS::S3::BucketPolicy
	KindQueue             Kind = "queue"                   // AWS::SQS::Queue
	KindQueuePolicy       Kind = "queue policy"            // AWS::SQS::QueuePolicy
	KindNotification      Kind = "bucket notification"     // AWS::S3::Bucket's NotificationConfiguration.QueueConfigurations, as the S3 API has them
	KindLogGroup          Kind = "log group"               // AWS::Logs::LogGroup
	KindRole              Kind = "role"                    // AWS::IAM::Role
	KindRolePolicy        Kind = "role policy"             // AWS::IAM::RolePolicy
	KindTrail             Kind = "trail"                   // AWS::CloudTrail::Trail
	KindInvocationLogging Kind = "invocation logging"      // Bedrock's PutModelInvocationLoggingConfiguration; CloudFormation has none
	KindDatabase          Kind = "database"                // AWS::Glue::Database
	KindWorkgroup         Kind = "workgroup"               // AWS::Athena::WorkGroup
	KindDelegatedAdmin    Kind = "delegated administrator" // CloudTrail's RegisterOrganizationDelegatedAdmin; CloudFormation has none
)

// Properties are a resource's, by CloudFormation's names. Values are strings, bools, ints, and lists and maps of such;
// policy documents are strings of JSON.
type Properties map[string]any

// Resource is one thing of the desired state.
type Resource struct {
	ID         string     `json:"id"` // in programs and templates: "log-bucket", "log-bucket-policy"
	Kind       Kind       `json:"kind"`
	Name       string     `json:"name"`         // in AWS: the bucket's, queue's, trail's; what a setting is of has the same
	Of         string     `json:"of,omitempty"` // the ID of the resource that this is a setting of
	Properties Properties `json:"properties"`
	DependsOn  []string   `json:"depends_on,omitempty"` // IDs of resources before it in the list
	// Holds says what would be lost with the resource; such are not removed with the set-up. "" means nothing.
	Holds string `json:"holds,omitempty"`
}

// Text is a property's text. Like its fellows it returns the zero value for what isn't wanted.
func (r Resource) Text(name string) string { s, _ := r.Properties[name].(string); return s }

// Int is a property's number.
func (r Resource) Int(name string) int { n, _ := r.Properties[name].(int); return n }

// Bool tells whether a property is set and true.
func (r Resource) Bool(name string) bool { b, _ := r.Properties[name].(bool); return b }

// Tags are those wanted, which are not all that the resource may have.
func (r Resource) Tags() map[string]string {
	t, _ := r.Properties["Tags"].(map[string]string)
	return t
}

// KeyARN stands in properties for the ARN of the set-up's own key, which only AWS knows. It never is part of a longer string.
const KeyARN = "${key.arn}"

// Other fixed names of the set-up's parts.
const (
	invocationPrefix = "bedrock"
	notificationID   = "aitrail"
	ruleID           = "aitrail" // begins the ids of lifecycle rules
	roleDescription  = "CloudTrail writes the events of the trail to CloudWatch Logs with it"
)

// The IDs of the buckets; those of their settings begin with them.
const (
	idLogBucket        = "log-bucket"
	idInvocationBucket = "invocation-bucket"
	idLakeBucket       = "lake-bucket"
)

// key is what encrypts: the ARN of a key, [KeyARN] for one of the set-up's own, or "".
func (s Setup) key() string {
	if s.OwnKey {
		return KeyARN
	}
	return s.KMSKey
}

// Resources is the whole desired state: each resource after those it depends on, always in the same order. The set-up must be
// valid. Package live, templates and Pulumi programs all go by it.
func (s Setup) Resources() []Resource {
	s = s.Defaults()
	var list []Resource
	add := func(r ...Resource) { list = append(list, r...) }
	var key []string
	if s.OwnKey {
		key = []string{"key"}
		add(Resource{
			ID: "key", Kind: KindKey, Name: "alias/" + s.Trail, Holds: "the key of what the buckets hold",
			Properties: Properties{"Description": "Encrypts what the trail " + s.Trail + " records", "EnableKeyRotation": true, "KeyPolicy": s.KeyPolicy(), "Tags": s.Tags},
		}, Resource{
			ID: "key-alias", Kind: KindKeyAlias, Name: "alias/" + s.Trail, DependsOn: key,
			Properties: Properties{"AliasName": "alias/" + s.Trail, "TargetKeyId": KeyARN},
		})
	}
	add(s.bucketResources(bucketPlan{
		id: idLogBucket, name: s.Bucket, holds: "log files and digests", policy: s.BucketPolicy(), lock: true,
		rules: []any{rule(ruleID, "", s.RetentionDays, noncurrentDays)},
	}, key)...)
	if !s.NoQueue {
		add(s.queueResources()...)
	}
	group := Properties{"LogGroupName": s.LogGroup, "RetentionInDays": s.LogRetentionDays, "Tags": s.Tags}
	if k := s.key(); k != "" {
		group["KmsKeyId"] = k
	}
	add(Resource{ID: "log-group", Kind: KindLogGroup, Name: s.LogGroup, Properties: group, DependsOn: key, Holds: "the events of the last days"},
		Resource{
			ID: "role", Kind: KindRole, Name: s.Role,
			Properties: Properties{"RoleName": s.Role, "AssumeRolePolicyDocument": s.RoleTrust(), "Description": roleDescription, "Tags": s.Tags},
		},
		Resource{
			ID: "role-policy", Kind: KindRolePolicy, Name: s.Role, Of: "role", DependsOn: []string{"role"},
			Properties: Properties{"RoleName": s.Role, "PolicyName": RolePolicyName, "PolicyDocument": s.RolePolicy()},
		})
	if s.DelegatedAdmin != "" {
		add(Resource{ID: "delegated-admin", Kind: KindDelegatedAdmin, Name: s.DelegatedAdmin, Properties: Properties{"MemberAccountId": s.DelegatedAdmin}})
	}
	add(s.trailResource(key))
	if s.InvocationLogging {
		add(s.invocationResources(key)...)
	}
	if s.LakeBucket != "" {
		add(s.lakeResources(key)...)
	}
	return list
}

func (s Setup) trailResource(key []string) Resource {
	p := Properties{
		"TrailName": s.Trail, "S3BucketName": s.Bucket, "S3KeyPrefix": s.Prefix, "IsMultiRegionTrail": true, "IncludeGlobalServiceEvents": true,
		"EnableLogFileValidation": true, "IsLogging": true, "IsOrganizationTrail": s.Organization != "",
		"CloudWatchLogsLogGroupArn": s.LogGroupARN(), "CloudWatchLogsRoleArn": s.RoleARN(),
		"AdvancedEventSelectors": s.Selectors(), "Tags": s.Tags,
	}
	if k := s.key(); k != "" {
		p["KMSKeyId"] = k
	}
	after := []string{idLogBucket + "-policy", "log-group", "role-policy"}
	return Resource{ID: "trail", Kind: KindTrail, Name: s.Trail, Properties: p, DependsOn: append(after, key...)}
}

func (s Setup) queueResources() []Resource {
	return []Resource{
		{
			// Messages wait as long as SQS lets them, two weeks: a collector that stood still goes on where it was. SQS's own key
			// encrypts them: they name log files, and hold none.
			ID: "queue", Kind: KindQueue, Name: s.Queue,
			Properties: Properties{"QueueName": s.Queue, "MessageRetentionPeriod": 1209600, "VisibilityTimeout": 300, "SqsManagedSseEnabled": true, "Tags": s.Tags},
		},
		{
			ID: "queue-policy", Kind: KindQueuePolicy, Name: s.Queue, Of: "queue", DependsOn: []string{"queue"},
			Properties: Properties{"QueueName": s.Queue, "PolicyDocument": s.QueuePolicy()},
		},
		{
			ID: idLogBucket + "-notification", Kind: KindNotification, Name: s.Bucket, Of: idLogBucket, DependsOn: []string{idLogBucket, "queue-policy"},
			Properties: Properties{
				"Bucket": s.Bucket, "Id": notificationID, "QueueArn": s.QueueARN(), "Events": []string{"s3:ObjectCreated:*"},
				"Prefix": s.Prefix + "/AWSLogs/", "Suffix": ".json.gz",
			},
		},
	}
}

func (s Setup) invocationResources(key []string) []Resource {
	list := s.bucketResources(bucketPlan{
		id: idInvocationBucket, name: s.InvocationBucket, holds: "prompts and answers", policy: s.InvocationBucketPolicy(),
		rules: []any{rule(ruleID, "", s.InvocationRetentionDays, shortNoncurrentDays)},
	}, key)
	return append(list, Resource{
		ID: "invocation-logging", Kind: KindInvocationLogging, Name: s.Region, DependsOn: []string{idInvocationBucket + "-policy"},
		Properties: Properties{
			"BucketName": s.InvocationBucket, "KeyPrefix": invocationPrefix, "TextDataDeliveryEnabled": true, "ImageDataDeliveryEnabled": true,
			"EmbeddingDataDeliveryEnabled": true, "VideoDataDeliveryEnabled": true,
		},
	})
}

func (s Setup) lakeResources(key []string) []Resource {
	list := s.bucketResources(bucketPlan{
		id: idLakeBucket, name: s.LakeBucket, holds: "the lake", policy: s.LakeBucketPolicy(),
		rules: []any{rule(ruleID, "", 0, shortNoncurrentDays), rule(ruleID+"-results", resultPrefix, resultDays, shortNoncurrentDays)},
	}, key)
	encryption := map[string]any{"EncryptionOption": "SSE_S3"}
	if k := s.key(); k != "" {
		encryption = map[string]any{"EncryptionOption": "SSE_KMS", "KmsKey": k}
	}
	return append(list, Resource{
		ID: "database", Kind: KindDatabase, Name: s.Database, DependsOn: []string{idLakeBucket}, Holds: "the lake's tables",
		Properties: Properties{"Name": s.Database, "Description": "CloudTrail events and AI calls", "LocationUri": "s3://" + s.LakeBucket + "/lake/"},
	}, Resource{
		ID: "workgroup", Kind: KindWorkgroup, Name: s.Workgroup, DependsOn: append([]string{idLakeBucket + "-policy"}, key...),
		Properties: Properties{
			"Name": s.Workgroup, "Description": "Questions to the lake of " + s.Trail, "EnforceWorkGroupConfiguration": true, "PublishCloudWatchMetricsEnabled": true,
			"OutputLocation": "s3://" + s.LakeBucket + "/" + resultPrefix, "EncryptionConfiguration": encryption, "Tags": s.Tags,
		},
	})
}

// bucketPlan is what differs between the set-up's buckets.
type bucketPlan struct {
	id, name, holds, policy string
	rules                   []any
	lock                    bool // Object Lock as the set-up says; else none
}

// bucketResources are a bucket with all its settings. The policy comes last: what it lets in finds the bucket closed.
func (s Setup) bucketResources(b bucketPlan, key []string) []Resource {
	bucket := Properties{"BucketName": b.name, "Tags": s.Tags}
	locked := b.lock && s.ObjectLockDays > 0
	if locked {
		bucket["ObjectLockEnabled"] = true
	}
	encryption := Properties{"Bucket": b.name, "SSEAlgorithm": "AES256"}
	if k := s.key(); k != "" {
		encryption = Properties{"Bucket": b.name, "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": k, "BucketKeyEnabled": true}
	}
	list := []Resource{{ID: b.id, Kind: KindBucket, Name: b.name, Properties: bucket, Holds: b.holds}}
	setting := func(suffix string, kind Kind, p Properties, after ...string) {
		p["Bucket"] = b.name
		list = append(list, Resource{ID: b.id + "-" + suffix, Kind: kind, Name: b.name, Of: b.id, Properties: p, DependsOn: append([]string{b.id}, after...)})
	}
	setting("public-access", KindPublicAccess, Properties{"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true})
	setting("ownership", KindOwnership, Properties{"ObjectOwnership": "BucketOwnerEnforced"})
	setting("versioning", KindVersioning, Properties{"Status": "Enabled"})
	setting("encryption", KindEncryption, encryption, key...)
	setting("lifecycle", KindLifecycle, Properties{"Rules": b.rules}, b.id+"-versioning")
	if locked {
		setting("object-lock", KindObjectLock, Properties{"Mode": s.ObjectLockMode, "Days": s.ObjectLockDays}, b.id+"-versioning")
	}
	setting("policy", KindBucketPolicy, Properties{"PolicyDocument": b.policy}, b.id+"-public-access", b.id+"-ownership")
	return list
}

// rule is a lifecycle rule, in CloudFormation's shape. No days means that current versions stay for ever.
func rule(id, prefix string, days, noncurrent int) map[string]any {
	r := map[string]any{
		"Id": id, "Status": "Enabled", "Prefix": prefix,
		"NoncurrentVersionExpiration":    map[string]any{"NoncurrentDays": noncurrent},
		"AbortIncompleteMultipartUpload": map[string]any{"DaysAfterInitiation": abortDays},
	}
	if days > 0 {
		r["ExpirationInDays"] = days
	}
	return r
}
