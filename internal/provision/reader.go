package provision

import "sort"

// DoctorPolicy is the least IAM policy with which an account can be compared with the set-up: reads only, of the set-up's
// resources where the action takes one. Trails are all of them: another may record the same, or what this one leaves out.
func (s Setup) DoctorPolicy() string {
	s = s.Defaults()
	all := []string{"*"}
	buckets := []string{s.BucketARN()}
	for _, name := range []string{s.InvocationBucket, s.LakeBucket} {
		if name != "" {
			buckets = append(buckets, s.bucketARN(name))
		}
	}
	list := []statement{
		{Sid: "Trails", Effect: "Allow", Action: []string{"cloudtrail:DescribeTrails", "cloudtrail:GetEventSelectors", "cloudtrail:GetTrailStatus", "cloudtrail:ListTags"}, Resource: all},
		{
			Sid: "Buckets", Effect: "Allow", Resource: buckets,
			Action: []string{
				"s3:GetBucketNotification", "s3:GetBucketOwnershipControls", "s3:GetBucketPolicy", "s3:GetBucketPublicAccessBlock", "s3:GetBucketTagging",
				"s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration", "s3:ListBucket",
			},
		},
		{Sid: "LogBucket", Effect: "Allow", Action: []string{"s3:GetBucketLogging", "s3:GetBucketPolicyStatus", "s3:GetBucketRequestPayment"}, Resource: buckets[:1]},
		{Sid: "LogGroups", Effect: "Allow", Action: []string{"logs:DescribeLogGroups"}, Resource: []string{s.arn("logs", s.Region, s.Account, "log-group:*")}},
		{Sid: "LogGroup", Effect: "Allow", Action: []string{"logs:ListTagsForResource"}, Resource: []string{s.arn("logs", s.Region, s.Account, "log-group:"+s.LogGroup)}},
		{Sid: "Role", Effect: "Allow", Action: []string{"iam:GetRole", "iam:GetRolePolicy"}, Resource: []string{s.RoleARN()}},
	}
	add := func(sid string, resources []string, actions ...string) {
		sort.Strings(actions)
		list = append(list, statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resources})
	}
	if s.NoQueue {
		list[1].Action = list[1].Action[1:]
	} else {
		add("Queue", []string{s.QueueARN()}, "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags")
	}
	if s.ObjectLockDays > 0 {
		add("Lock", buckets[:1], "s3:GetBucketObjectLockConfiguration")
	}
	if s.OwnKey {
		add("Key", []string{s.arn("kms", s.Region, s.Account, "key/*")}, "kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags")
	}
	if s.InvocationLogging {
		add("Invocations", all, "bedrock:GetModelInvocationLoggingConfiguration")
	}
	if s.LakeBucket != "" {
		add("Database", []string{s.arn("glue", s.Region, s.Account, "catalog"), s.arn("glue", s.Region, s.Account, "database/"+s.Database)}, "glue:GetDatabase")
		add("Workgroups", all, "athena:ListWorkGroups")
		add("Workgroup", []string{s.arn("athena", s.Region, s.Account, "workgroup/"+s.Workgroup)}, "athena:GetWorkGroup", "athena:ListTagsForResource")
	}
	if s.Organization != "" {
		add("Organization", all, "organizations:ListAWSServiceAccessForOrganization")
	}
	if s.DelegatedAdmin != "" {
		add("DelegatedAdmins", all, "organizations:ListDelegatedAdministrators")
	}
	return text(list...)
}
