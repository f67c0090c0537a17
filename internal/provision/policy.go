package provision

import (
	"bytes"
	"encoding/json"
)

// document and statement are an IAM policy, its members in the order AWS's examples have them.
type document struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string `json:",omitempty"`
	Effect    string
	Principal any `json:",omitempty"`
	Action    []string
	Resource  []string                     `json:",omitempty"`
	Condition map[string]map[string]string `json:",omitempty"`
}

// Service principals.
const (
	cloudTrail = "cloudtrail.amazonaws.com"
	bedrockAWS = "bedrock.amazonaws.com"
)

func text(statements ...statement) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(document{"2012-10-17", statements}); err != nil {
		panic(err) // strings and maps of strings encode
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

func service(name string) any { return map[string]string{"Service": name} }

// BucketPolicy is the bucket's policy: CloudTrail may look at the bucket and, for this trail, put log files and digests
// where they belong; nobody may do anything without TLS.
func (s Setup) BucketPolicy() string {
	s = s.Defaults()
	arn, trail := s.BucketARN(), s.TrailARN()
	write := func(sid, folder string) statement {
		return statement{
			Sid: sid, Effect: "Allow", Principal: service(cloudTrail), Action: []string{"s3:PutObject"},
			Resource: []string{arn + "/" + s.Prefix + "/AWSLogs/" + folder + "/*"},
			Condition: map[string]map[string]string{"StringEquals": {
				"aws:SourceArn": trail, "s3:x-amz-acl": "bucket-owner-full-control",
			}},
		}
	}
	list := []statement{
		{
			Sid: "AWSCloudTrailAclCheck20150319", Effect: "Allow", Principal: service(cloudTrail), Action: []string{"s3:GetBucketAcl"},
			Resource: []string{arn}, Condition: map[string]map[string]string{"StringEquals": {"aws:SourceArn": trail}},
		},
		write("AWSCloudTrailWrite20150319", s.owner()),
	}
	if s.Organization != "" {
		list = append(list, write("AWSCloudTrailOrganizationWrite20150319", s.Organization))
	}
	return text(append(list, tlsOnly("s3:*", arn, arn+"/*"))...)
}

// tlsOnly denies everybody what isn't asked for over TLS.
func tlsOnly(action string, resources ...string) statement {
	return statement{
		Sid: "DenyInsecureTransport", Effect: "Deny", Principal: "*", Action: []string{action}, Resource: resources,
		Condition: map[string]map[string]string{"Bool": {"aws:SecureTransport": "false"}},
	}
}

// InvocationBucketPolicy is the policy of the bucket for prompts and answers: Bedrock may put them there for this account and
// Region; nobody may do anything without TLS
// (https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html).
func (s Setup) InvocationBucketPolicy() string {
	s = s.Defaults()
	arn := s.bucketARN(s.InvocationBucket)
	return text(statement{
		Sid: "AmazonBedrockLogsWrite", Effect: "Allow", Principal: service(bedrockAWS), Action: []string{"s3:PutObject"},
		Resource:  []string{arn + "/" + invocationPrefix + "/AWSLogs/" + s.Account + "/BedrockModelInvocationLogs/*"},
		Condition: s.forBedrock(),
	}, tlsOnly("s3:*", arn, arn+"/*"))
}

// forBedrock holds when Bedrock acts for the set-up's account and Region.
func (s Setup) forBedrock() map[string]map[string]string {
	return map[string]map[string]string{
		"StringEquals": {"aws:SourceAccount": s.Account},
		"ArnLike":      {"aws:SourceArn": s.arn("bedrock", s.Region, s.Account, "*")},
	}
}

// LakeBucketPolicy is the policy of the lake's bucket: nobody may do anything without TLS.
func (s Setup) LakeBucketPolicy() string {
	arn := s.bucketARN(s.LakeBucket)
	return text(tlsOnly("s3:*", arn, arn+"/*"))
}

// QueuePolicy is the queue's policy: S3 may send for the log bucket; nobody may do anything without TLS.
func (s Setup) QueuePolicy() string {
	s = s.Defaults()
	queue := s.QueueARN()
	return text(statement{
		Sid: "BucketTellsOfLogFiles", Effect: "Allow", Principal: service("s3.amazonaws.com"), Action: []string{"sqs:SendMessage"}, Resource: []string{queue},
		Condition: map[string]map[string]string{"ArnEquals": {"aws:SourceArn": s.BucketARN()}, "StringEquals": {"aws:SourceAccount": s.Account}},
	}, tlsOnly("sqs:*", queue))
}

// RoleTrust is the trust policy of the role: CloudTrail may take it on. It has no condition, because CloudTrail doesn't
// support one there.
func (s Setup) RoleTrust() string {
	return text(statement{Effect: "Allow", Principal: service(cloudTrail), Action: []string{"sts:AssumeRole"}})
}

// RolePolicyName is the name of the role's inline policy.
const RolePolicyName = "write-log-events"

// RolePolicy lets the role write to CloudTrail's streams of the log group.
func (s Setup) RolePolicy() string {
	s = s.Defaults()
	streams := s.arn("logs", s.Region, s.Account, "log-group:"+s.LogGroup+":log-stream:")
	resources := []string{streams + s.Account + "_CloudTrail_" + s.Region + "*"}
	if s.Organization != "" {
		resources = append(resources, streams+s.Organization+"_*")
	}
	return text(
		statement{Sid: "AWSCloudTrailCreateLogStream20141101", Effect: "Allow", Action: []string{"logs:CreateLogStream"}, Resource: resources},
		statement{Sid: "AWSCloudTrailPutLogEvents20141101", Effect: "Allow", Action: []string{"logs:PutLogEvents"}, Resource: resources},
	)
}

// KeyPolicy is the policy a KMS key must have to be the set-up's KMSKey: the account's own policies govern it, CloudTrail
// may encrypt for this trail, CloudWatch Logs for the log group, and Bedrock for the bucket of prompts and answers if there is one.
func (s Setup) KeyPolicy() string {
	s = s.Defaults()
	trail := map[string]string{"aws:SourceArn": s.TrailARN()}
	all := []string{"*"}
	list := []statement{
		{Sid: "EnableIAMPolicies", Effect: "Allow", Principal: map[string]string{"AWS": s.arn("iam", "", s.Account, "root")}, Action: []string{"kms:*"}, Resource: all},
		{
			Sid: "AllowCloudTrailEncrypt", Effect: "Allow", Principal: service(cloudTrail), Action: []string{"kms:GenerateDataKey*"}, Resource: all,
			Condition: map[string]map[string]string{
				"StringEquals": trail,
				"StringLike":   {"kms:EncryptionContext:aws:cloudtrail:arn": s.arn("cloudtrail", "*", s.owner(), "trail/*")},
			},
		},
		{
			Sid: "AllowCloudTrailDecryptAndDescribe", Effect: "Allow", Principal: service(cloudTrail), Action: []string{"kms:Decrypt", "kms:DescribeKey"},
			Resource: all, Condition: map[string]map[string]string{"StringEquals": trail},
		},
		{
			Sid: "AllowCloudWatchLogs", Effect: "Allow", Principal: service("logs." + s.Region + ".amazonaws.com"),
			Action: []string{"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"}, Resource: all,
			Condition: map[string]map[string]string{"ArnEquals": {
				"kms:EncryptionContext:aws:logs:arn": s.arn("logs", s.Region, s.Account, "log-group:"+s.LogGroup),
			}},
		},
	}
	if s.InvocationLogging {
		list = append(list, statement{
			Sid: "AllowBedrockInvocationLogs", Effect: "Allow", Principal: service(bedrockAWS), Action: []string{"kms:GenerateDataKey"}, Resource: all,
			Condition: s.forBedrock(),
		})
	}
	return text(list...)
}
