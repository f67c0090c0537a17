package provision

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Terraform is the desired state as a Terraform configuration for the provider hashicorp/aws. The set-up must be valid.
//
// Terraform refuses to delete a bucket that isn't empty, so log files stay when the rest is destroyed.
func (s Setup) Terraform() string {
	s = s.Defaults()
	var b strings.Builder
	b.WriteString("# The set-up of aitrail for account " + s.Account + " in " + s.Region + ".\n\n")
	block{"terraform", nil, nil, []block{{"required_providers", nil, []attribute{{"aws", map[string]any{"source": "hashicorp/aws", "version": ">= 5.81"}}}, nil}}}.write(&b, 0)
	b.WriteString("\n")
	block{"provider", []string{"aws"}, []attribute{{"region", s.Region}, {"allowed_account_ids", []string{s.Account}}}, nil}.write(&b, 0)
	list := s.Resources()
	for _, r := range list {
		t := tfResource(r)
		t.labels[1] = tfName(r.ID)
		if r.Tags() != nil && r.Kind != KindDatabase {
			t.attributes = append(t.attributes, attribute{"tags", r.Tags()})
		}
		var after []expression
		for _, id := range r.DependsOn {
			if id != r.Of && id != "key" {
				after = append(after, expression(tfAddress(list, id)))
			}
		}
		if len(after) > 0 {
			t.attributes = append(t.attributes, attribute{"depends_on", after})
		}
		b.WriteString("\n")
		t.write(&b, 0)
	}
	outputs := s.knownOutputs()
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		if outputs[name] == "" {
			continue
		}
		var value any = tfValue(outputs[name])
		if name == "trail_arn" {
			value = expression("aws_cloudtrail.trail.arn")
		}
		if name == "bucket_name" {
			value = expression("aws_s3_bucket.log_bucket.id")
		}
		b.WriteString("\n")
		block{"output", []string{name}, []attribute{{"value", value}}, nil}.write(&b, 0)
	}
	return b.String()
}

// knownOutputs are those of the outputs that are known beforehand, by the names of [Outputs] in JSON.
func (s Setup) knownOutputs() map[string]string {
	s = s.Defaults()
	m := map[string]string{
		"bucket_name": s.Bucket, "trail_arn": s.TrailARN(), "trail_name": s.Trail, "key_prefix": s.Prefix, "region": s.Region,
		"log_group_name": s.LogGroup, "log_group_arn": s.LogGroupARN(), "role_arn": s.RoleARN(), "kms_key_arn": s.key(),
		"invocation_bucket_name": s.InvocationBucket, "lake_bucket_name": s.LakeBucket, "database_name": s.Database, "workgroup_name": s.Workgroup,
	}
	if !s.NoQueue {
		m["queue_arn"] = s.QueueARN()
	}
	return m
}

func tfName(id string) string { return strings.ReplaceAll(id, "-", "_") }

func tfAddress(list []Resource, id string) string {
	i := slices.IndexFunc(list, func(r Resource) bool { return r.ID == id })
	return tfResource(list[i]).labels[0] + "." + tfName(id)
}

// expression is Terraform code as a value.
type expression string

// tfValue is a value with the reference to the set-up's key as Terraform has it.
func tfValue(v any) any {
	if v == KeyARN {
		return expression("aws_kms_key.key.arn")
	}
	return v
}

// tfResource is a resource without the arguments that all have.
func tfResource(r Resource) block {
	get := func(name string) any { return tfValue(r.Properties[name]) }
	// args are attributes, by Terraform's names and the properties'; properties that aren't wanted are left out.
	args := func(pairs ...string) (list []attribute) {
		for i := 0; i < len(pairs); i += 2 {
			if v, ok := r.Properties[pairs[i+1]]; ok {
				list = append(list, attribute{pairs[i], tfValue(v)})
			}
		}
		return list
	}
	bucket := attribute{"bucket", expression("aws_s3_bucket." + tfName(r.Of) + ".id")}
	of := func(kind string, attributes []attribute, blocks ...block) block {
		return block{"resource", []string{kind, ""}, attributes, blocks}
	}
	inner := func(name string, attributes []attribute, blocks ...block) block {
		return block{name, nil, attributes, blocks}
	}
	switch r.Kind {
	case KindKey:
		return of("aws_kms_key", append(args("description", "Description", "enable_key_rotation", "EnableKeyRotation", "policy", "KeyPolicy"), attribute{"deletion_window_in_days", 30}))
	case KindKeyAlias:
		return of("aws_kms_alias", args("name", "AliasName", "target_key_id", "TargetKeyId"))
	case KindBucket:
		return of("aws_s3_bucket", args("bucket", "BucketName", "object_lock_enabled", "ObjectLockEnabled"))
	case KindPublicAccess:
		return of("aws_s3_bucket_public_access_block", append([]attribute{bucket}, args("block_public_acls", "BlockPublicAcls", "block_public_policy", "BlockPublicPolicy",
			"ignore_public_acls", "IgnorePublicAcls", "restrict_public_buckets", "RestrictPublicBuckets")...))
	case KindOwnership:
		return of("aws_s3_bucket_ownership_controls", []attribute{bucket}, inner("rule", args("object_ownership", "ObjectOwnership")))
	case KindVersioning:
		return of("aws_s3_bucket_versioning", []attribute{bucket}, inner("versioning_configuration", args("status", "Status")))
	case KindEncryption:
		return of("aws_s3_bucket_server_side_encryption_configuration", []attribute{bucket}, inner("rule", args("bucket_key_enabled", "BucketKeyEnabled"),
			inner("apply_server_side_encryption_by_default", args("sse_algorithm", "SSEAlgorithm", "kms_master_key_id", "KMSMasterKeyID"))))
	case KindLifecycle:
		var rules []block
		for _, v := range r.Properties["Rules"].([]any) {
			rules = append(rules, tfRule(v.(map[string]any)))
		}
		return of("aws_s3_bucket_lifecycle_configuration", []attribute{bucket}, rules...)
	case KindObjectLock:
		return of("aws_s3_bucket_object_lock_configuration", []attribute{bucket}, inner("rule", nil, inner("default_retention", args("mode", "Mode", "days", "Days"))))
	case KindBucketPolicy:
		return of("aws_s3_bucket_policy", append([]attribute{bucket}, args("policy", "PolicyDocument")...))
	case KindNotification:
		return of("aws_s3_bucket_notification", []attribute{bucket}, inner("queue", append([]attribute{{"id", r.Text("Id")}, {"queue_arn", expression("aws_sqs_queue.queue.arn")}},
			args("events", "Events", "filter_prefix", "Prefix", "filter_suffix", "Suffix")...)))
	case KindQueue:
		return of("aws_sqs_queue", args("name", "QueueName", "message_retention_seconds", "MessageRetentionPeriod", "visibility_timeout_seconds", "VisibilityTimeout", "sqs_managed_sse_enabled", "SqsManagedSseEnabled"))
	case KindQueuePolicy:
		return of("aws_sqs_queue_policy", append([]attribute{{"queue_url", expression("aws_sqs_queue.queue.id")}}, args("policy", "PolicyDocument")...))
	case KindLogGroup:
		return of("aws_cloudwatch_log_group", args("name", "LogGroupName", "retention_in_days", "RetentionInDays", "kms_key_id", "KmsKeyId"))
	case KindRole:
		return of("aws_iam_role", args("name", "RoleName", "description", "Description", "assume_role_policy", "AssumeRolePolicyDocument"))
	case KindRolePolicy:
		return of("aws_iam_role_policy", append([]attribute{{"name", r.Text("PolicyName")}, {"role", expression("aws_iam_role.role.id")}}, args("policy", "PolicyDocument")...))
	case KindTrail:
		return of("aws_cloudtrail", args("name", "TrailName", "s3_bucket_name", "S3BucketName", "s3_key_prefix", "S3KeyPrefix", "kms_key_id", "KMSKeyId",
			"is_multi_region_trail", "IsMultiRegionTrail", "include_global_service_events", "IncludeGlobalServiceEvents", "is_organization_trail", "IsOrganizationTrail",
			"enable_logging", "IsLogging", "enable_log_file_validation", "EnableLogFileValidation",
			"cloud_watch_logs_group_arn", "CloudWatchLogsLogGroupArn", "cloud_watch_logs_role_arn", "CloudWatchLogsRoleArn"), tfSelectors(r.Properties["AdvancedEventSelectors"].([]Selector))...)
	case KindInvocationLogging:
		return of("aws_bedrock_model_invocation_logging_configuration", nil, inner("logging_config", args(
			"text_data_delivery_enabled", "TextDataDeliveryEnabled", "image_data_delivery_enabled", "ImageDataDeliveryEnabled", "embedding_data_delivery_enabled", "EmbeddingDataDeliveryEnabled",
			"video_data_delivery_enabled", "VideoDataDeliveryEnabled"),
			inner("s3_config", args("bucket_name", "BucketName", "key_prefix", "KeyPrefix"))))
	case KindDatabase:
		return of("aws_glue_catalog_database", args("name", "Name", "description", "Description", "location_uri", "LocationUri"))
	case KindWorkgroup:
		e := get("EncryptionConfiguration").(map[string]any)
		encryption := []attribute{{"encryption_option", e["EncryptionOption"]}}
		if key, ok := e["KmsKey"]; ok {
			encryption = append(encryption, attribute{"kms_key_arn", tfValue(key)})
		}
		return of("aws_athena_workgroup", args("name", "Name", "description", "Description"), inner("configuration",
			args("enforce_workgroup_configuration", "EnforceWorkGroupConfiguration", "publish_cloudwatch_metrics_enabled", "PublishCloudWatchMetricsEnabled"),
			inner("result_configuration", args("output_location", "OutputLocation"), inner("encryption_configuration", encryption))))
	case KindDelegatedAdmin:
		return of("aws_cloudtrail_organization_delegated_admin_account", args("account_id", "MemberAccountId"))
	}
	panic("no Terraform resource for " + string(r.Kind))
}

func tfRule(m map[string]any) block {
	days := func(name, member, as, argument string) block {
		return block{as, nil, []attribute{{argument, m[name].(map[string]any)[member]}}, nil}
	}
	rule := block{"rule", nil, []attribute{{"id", m["Id"]}, {"status", m["Status"]}}, []block{{"filter", nil, []attribute{{"prefix", m["Prefix"]}}, nil}}}
	if n, ok := m["ExpirationInDays"]; ok {
		rule.blocks = append(rule.blocks, block{"expiration", nil, []attribute{{"days", n}}, nil})
	}
	rule.blocks = append(rule.blocks,
		days("NoncurrentVersionExpiration", "NoncurrentDays", "noncurrent_version_expiration", "noncurrent_days"),
		days("AbortIncompleteMultipartUpload", "DaysAfterInitiation", "abort_incomplete_multipart_upload", "days_after_initiation"))
	return rule
}

func tfSelectors(selectors []Selector) (list []block) {
	for _, s := range selectors {
		b := block{"advanced_event_selector", nil, []attribute{{"name", s.Name}}, nil}
		for _, f := range s.FieldSelectors {
			field := block{"field_selector", nil, []attribute{{"field", f.Field}}, nil}
			if f.Equals != nil {
				field.attributes = append(field.attributes, attribute{"equals", f.Equals})
			}
			if f.NotStartsWith != nil {
				field.attributes = append(field.attributes, attribute{"not_starts_with", f.NotStartsWith})
			}
			b.blocks = append(b.blocks, field)
		}
		list = append(list, b)
	}
	return list
}

// block is a block of Terraform's language.
type block struct {
	name       string
	labels     []string
	attributes []attribute
	blocks     []block
}

type attribute struct {
	name  string
	value any
}

func (k block) write(b *strings.Builder, level int) {
	indent := strings.Repeat("  ", level)
	b.WriteString(indent + k.name)
	for _, label := range k.labels {
		b.WriteString(" " + hclString(label))
	}
	b.WriteString(" {\n")
	var members []member
	for _, a := range k.attributes {
		members = append(members, member{a.name, hcl(a.value, level+1)})
	}
	writeMembers(b, indent+"  ", members)
	for i, inner := range k.blocks {
		if i > 0 || len(k.attributes) > 0 {
			b.WriteString("\n")
		}
		inner.write(b, level+1)
	}
	b.WriteString(indent + "}\n")
}

// member is an attribute or an object's member with its value as text.
type member struct{ name, value string }

// writeMembers writes members as terraform fmt does: the equals signs of neighbours of one line each stand below one another.
func writeMembers(b *strings.Builder, indent string, members []member) {
	for i := 0; i < len(members); {
		end, width := i, 0
		for end < len(members) && !strings.Contains(members[end].value, "\n") {
			width = max(width, len(members[end].name))
			end++
		}
		for ; i < end; i++ {
			fmt.Fprintf(b, "%s%-*s = %s\n", indent, width, members[i].name, members[i].value)
		}
		if i < len(members) {
			fmt.Fprintf(b, "%s%s = %s\n", indent, members[i].name, members[i].value)
			i++
		}
	}
}

// hcl is a value in Terraform's language; policies are written as jsonencode of their objects.
func hcl(v any, level int) string {
	indent := strings.Repeat("  ", level)
	switch v := v.(type) {
	case expression:
		return string(v)
	case string:
		if strings.HasPrefix(v, `{"Version"`) {
			return "jsonencode(" + hcl(decodeJSON(v), level) + ")"
		}
		return hclString(v)
	case []string:
		return hclList(v, func(s string) string { return hclString(s) })
	case []expression:
		return hclList(v, func(e expression) string { return string(e) })
	case []any:
		if len(v) == 1 {
			return "[" + hcl(v[0], level) + "]"
		}
		var b strings.Builder
		b.WriteString("[\n")
		for _, item := range v {
			b.WriteString(indent + "  " + hcl(item, level+1) + ",\n")
		}
		return b.String() + indent + "]"
	case map[string]string:
		m := map[string]any{}
		for k, s := range v {
			m[k] = s
		}
		return hcl(m, level)
	case map[string]any:
		var members []member
		for _, k := range slices.Sorted(maps.Keys(v)) {
			members = append(members, member{hclKey(k), hcl(v[k], level+1)})
		}
		var b strings.Builder
		b.WriteString("{\n")
		writeMembers(&b, indent+"  ", members)
		return b.String() + indent + "}"
	}
	return fmt.Sprint(v)
}

func hclList[T any](list []T, text func(T) string) string {
	var items []string
	for _, v := range list {
		items = append(items, text(v))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// hclKey is a key of an object, quoted where it isn't a name.
func hclKey(k string) string {
	for _, r := range k {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return hclString(k)
		}
	}
	return k
}

// hclString quotes a string; Terraform would take ${ and %{ for its own.
func hclString(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(encodeText(s))
}

// encodeText is a string in double quotes, with what needs it escaped as JSON does.
func encodeText(s string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(encodeJSON(s))
}
