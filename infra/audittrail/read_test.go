package audittrail_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/provision"
)

// form is how a Pulumi resource's inputs read as properties of the desired state.
type form struct {
	kind  provision.Kind
	names map[string]string            // input → property, where the value is the same
	lists map[string]func(v any) props // input → properties that are inside of it
}

type props = map[string]any

// forms are written beside what they check, from the AWS provider's documentation: Pulumi's names on the left, the desired state's on the
// right.
var forms = map[string]form{
	"aws:kms/key:Key": {kind: provision.KindKey, names: map[string]string{
		"description": "Description", "enableKeyRotation": "EnableKeyRotation", "policy": "KeyPolicy", "tags": "Tags",
	}},
	"aws:kms/alias:Alias": {kind: provision.KindKeyAlias, names: map[string]string{"name": "AliasName", "targetKeyId": "TargetKeyId"}},
	"aws:s3/bucket:Bucket": {kind: provision.KindBucket, names: map[string]string{
		"bucket": "BucketName", "objectLockEnabled": "ObjectLockEnabled", "tags": "Tags",
	}},
	"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {kind: provision.KindPublicAccess, names: map[string]string{
		"bucket": "Bucket", "blockPublicAcls": "BlockPublicAcls", "blockPublicPolicy": "BlockPublicPolicy",
		"ignorePublicAcls": "IgnorePublicAcls", "restrictPublicBuckets": "RestrictPublicBuckets",
	}},
	"aws:s3/bucketOwnershipControls:BucketOwnershipControls": {
		kind: provision.KindOwnership, names: map[string]string{"bucket": "Bucket"},
		lists: map[string]func(any) props{"rule": func(v any) props { return props{"ObjectOwnership": at(v, "objectOwnership")} }},
	},
	"aws:s3/bucketVersioning:BucketVersioning": {
		kind: provision.KindVersioning, names: map[string]string{"bucket": "Bucket"},
		lists: map[string]func(any) props{"versioningConfiguration": func(v any) props { return props{"Status": at(v, "status")} }},
	},
	"aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
		kind: provision.KindEncryption, names: map[string]string{"bucket": "Bucket"},
		lists: map[string]func(any) props{"rules": func(v any) props {
			rule := v.([]any)[0]
			return props{
				"SSEAlgorithm":     at(rule, "applyServerSideEncryptionByDefault", "sseAlgorithm"),
				"KMSMasterKeyID":   at(rule, "applyServerSideEncryptionByDefault", "kmsMasterKeyId"),
				"BucketKeyEnabled": at(rule, "bucketKeyEnabled"),
			}
		}},
	},
	"aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {
		kind: provision.KindLifecycle, names: map[string]string{"bucket": "Bucket"},
		lists: map[string]func(any) props{"rules": func(v any) props {
			var rules []any
			for _, r := range v.([]any) {
				rule := props{
					"Id": at(r, "id"), "Status": at(r, "status"), "Prefix": at(r, "filter", "prefix"),
					"NoncurrentVersionExpiration":    props{"NoncurrentDays": at(r, "noncurrentVersionExpiration", "noncurrentDays")},
					"AbortIncompleteMultipartUpload": props{"DaysAfterInitiation": at(r, "abortIncompleteMultipartUpload", "daysAfterInitiation")},
				}
				if days := at(r, "expiration", "days"); days != nil {
					rule["ExpirationInDays"] = days
				}
				rules = append(rules, rule)
			}
			return props{"Rules": rules}
		}},
	},
	"aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": {
		kind: provision.KindObjectLock, names: map[string]string{"bucket": "Bucket"},
		lists: map[string]func(any) props{"rule": func(v any) props {
			return props{"Mode": at(v, "defaultRetention", "mode"), "Days": at(v, "defaultRetention", "days")}
		}},
	},
	"aws:s3/bucketPolicy:BucketPolicy": {kind: provision.KindBucketPolicy, names: map[string]string{"bucket": "Bucket", "policy": "PolicyDocument"}},
	"aws:sqs/queue:Queue": {kind: provision.KindQueue, names: map[string]string{
		"name": "QueueName", "messageRetentionSeconds": "MessageRetentionPeriod", "visibilityTimeoutSeconds": "VisibilityTimeout",
		"sqsManagedSseEnabled": "SqsManagedSseEnabled", "tags": "Tags",
	}},
	"aws:sqs/queuePolicy:QueuePolicy": {
		kind: provision.KindQueuePolicy, names: map[string]string{"policy": "PolicyDocument"},
		lists: map[string]func(any) props{"queueUrl": func(v any) props { return props{"QueueName": strings.TrimPrefix(v.(string), queues)} }},
	},
	"aws:s3/bucketNotification:BucketNotification": {
		kind: provision.KindNotification, names: map[string]string{"bucket": "Bucket"},
		lists: map[string]func(any) props{"queues": func(v any) props {
			q := v.([]any)[0]
			return props{"Id": at(q, "id"), "QueueArn": at(q, "queueArn"), "Events": at(q, "events"), "Prefix": at(q, "filterPrefix"), "Suffix": at(q, "filterSuffix")}
		}},
	},
	"aws:cloudwatch/logGroup:LogGroup": {kind: provision.KindLogGroup, names: map[string]string{
		"name": "LogGroupName", "retentionInDays": "RetentionInDays", "kmsKeyId": "KmsKeyId", "tags": "Tags",
	}},
	"aws:iam/role:Role": {kind: provision.KindRole, names: map[string]string{
		"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument", "description": "Description", "tags": "Tags",
	}},
	"aws:iam/rolePolicy:RolePolicy": {kind: provision.KindRolePolicy, names: map[string]string{"role": "RoleName", "name": "PolicyName", "policy": "PolicyDocument"}},
	"aws:cloudtrail/trail:Trail": {
		kind: provision.KindTrail,
		names: map[string]string{
			"name": "TrailName", "s3BucketName": "S3BucketName", "s3KeyPrefix": "S3KeyPrefix", "isMultiRegionTrail": "IsMultiRegionTrail",
			"includeGlobalServiceEvents": "IncludeGlobalServiceEvents", "enableLogFileValidation": "EnableLogFileValidation", "enableLogging": "IsLogging",
			"isOrganizationTrail": "IsOrganizationTrail", "cloudWatchLogsGroupArn": "CloudWatchLogsLogGroupArn", "cloudWatchLogsRoleArn": "CloudWatchLogsRoleArn",
			"kmsKeyId": "KMSKeyId", "tags": "Tags",
		},
		lists: map[string]func(any) props{"advancedEventSelectors": func(v any) props {
			var selectors []any
			for _, s := range v.([]any) {
				var fields []any
				for _, f := range at(s, "fieldSelectors").([]any) {
					field := props{"Field": at(f, "field")}
					for pulumi, aws := range map[string]string{"equals": "Equals", "notStartsWiths": "NotStartsWith"} {
						if values := at(f, pulumi); values != nil {
							field[aws] = values
						}
					}
					if len(field) != len(f.(props)) {
						field["unknown"] = f
					}
					fields = append(fields, field)
				}
				selectors = append(selectors, props{"Name": at(s, "name"), "FieldSelectors": fields})
			}
			return props{"AdvancedEventSelectors": selectors}
		}},
	},
	"aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration": {
		kind: provision.KindInvocationLogging,
		lists: map[string]func(any) props{"loggingConfig": func(v any) props {
			return props{
				"BucketName": at(v, "s3Config", "bucketName"), "KeyPrefix": at(v, "s3Config", "keyPrefix"),
				"TextDataDeliveryEnabled": at(v, "textDataDeliveryEnabled"), "ImageDataDeliveryEnabled": at(v, "imageDataDeliveryEnabled"),
				"EmbeddingDataDeliveryEnabled": at(v, "embeddingDataDeliveryEnabled"), "VideoDataDeliveryEnabled": at(v, "videoDataDeliveryEnabled"),
			}
		}},
	},
	"aws:glue/catalogDatabase:CatalogDatabase": {kind: provision.KindDatabase, names: map[string]string{
		"name": "Name", "description": "Description", "locationUri": "LocationUri",
	}},
	"aws:athena/workgroup:Workgroup": {
		kind: provision.KindWorkgroup, names: map[string]string{"name": "Name", "description": "Description", "tags": "Tags"},
		lists: map[string]func(any) props{"configuration": func(v any) props {
			result := at(v, "resultConfiguration")
			encryption := props{"EncryptionOption": at(result, "encryptionConfiguration", "encryptionOption")}
			if key := at(result, "encryptionConfiguration", "kmsKeyArn"); key != nil {
				encryption["KmsKey"] = key
			}
			return props{
				"EnforceWorkGroupConfiguration": at(v, "enforceWorkgroupConfiguration"), "PublishCloudWatchMetricsEnabled": at(v, "publishCloudwatchMetricsEnabled"),
				"OutputLocation": at(result, "outputLocation"), "EncryptionConfiguration": encryption,
			}
		}},
	},
	"aws:cloudtrail/organizationDelegatedAdminAccount:OrganizationDelegatedAdminAccount": {
		kind: provision.KindDelegatedAdmin, names: map[string]string{"accountId": "MemberAccountId"},
	},
}

// at follows a path of members, to nil if there is no such.
func at(v any, path ...string) any {
	for _, p := range path {
		m, _ := v.(props)
		v = m[p]
	}
	return v
}

// read gives a resource as one of the desired state. An input that it doesn't know fails the test: it would be something that
// the desired state doesn't say.
func read(t *testing.T, r registered, region string) (provision.Kind, props) {
	t.Helper()
	f, ok := forms[r.kind]
	if !ok {
		t.Fatalf("%s: unknown type %s", r.name, r.kind)
	}
	text, err := json.Marshal(r.inputs.Mappable())
	if err != nil {
		t.Fatal(err)
	}
	var inputs props
	if err := json.Unmarshal(text, &inputs); err != nil {
		t.Fatal(err)
	}
	got := props{}
	for name, v := range inputs {
		switch {
		case name == "region":
			if v != region {
				t.Errorf("%s is in %v, want %s", r.name, v, region)
			}
		case f.names[name] != "":
			got[f.names[name]] = v
		case f.lists[name] != nil:
			for k, inner := range f.lists[name](v) {
				if inner != nil {
					got[k] = inner
				}
			}
		default:
			t.Errorf("%s has %s = %v, which the desired state doesn't say", r.name, name, v)
		}
	}
	return f.kind, got
}
