package provision

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// CloudFormation is the desired state as a CloudFormation template in YAML, and the resources that CloudFormation has no type
// for: they have to be made otherwise. The set-up must be valid.
//
// Buckets, key, log group and database stay when the stack is deleted.
func (s Setup) CloudFormation() (template string, leftOut []Resource) {
	s = s.Defaults()
	list := s.Resources()
	at := map[string]map[string]any{} // properties by ID
	after := map[string][]any{}
	for _, r := range list {
		kind, properties := cfnResource(r)
		switch kind {
		case "":
			leftOut = append(leftOut, r)
		case cfnSetting:
			maps.Copy(at[r.Of], properties)
			if r.Kind == KindNotification { // the other settings depend on their bucket only
				after[r.Of] = []any{logical("queue-policy")}
			}
		default:
			at[r.ID], after[r.ID] = properties, cfnDepends(list, r)
		}
	}
	var resources []entry
	for _, r := range list {
		properties := at[r.ID]
		if properties == nil {
			continue
		}
		kind, _ := cfnResource(r)
		body := []entry{{"Type", kind}}
		if r.Holds != "" {
			body = append(body, entry{"DeletionPolicy", "Retain"}, entry{"UpdateReplacePolicy", "Retain"})
		}
		if len(after[r.ID]) > 0 {
			body = append(body, entry{"DependsOn", after[r.ID]})
		}
		resources = append(resources, entry{logical(r.ID), append(body, entry{"Properties", properties})})
	}
	outputs := map[string]any{}
	for name, value := range s.knownOutputs() {
		if value != "" {
			outputs[logical(strings.ReplaceAll(name, "_", "-"))] = map[string]any{"Value": cfnValue(value)}
		}
	}
	var b strings.Builder
	b.WriteString("# The set-up of aitrail for account " + s.Account + " in " + s.Region + ".\n")
	writeYAML(&b, []entry{
		{"AWSTemplateFormatVersion", "2010-09-09"}, {"Description", "A trail that records AI services, with all that it needs"},
		{"Resources", resources}, {"Outputs", outputs},
	}, 0)
	return b.String(), leftOut
}

// cfnSetting is what is a property of another resource in CloudFormation.
const cfnSetting = "setting"

func cfnResource(r Resource) (kind string, properties map[string]any) {
	p := map[string]any{}
	for name, v := range r.Properties {
		p[name] = cfnValue(v)
		if isDocument(name) {
			p[name] = decodeJSON(v.(string))
		}
		if tags, ok := v.(map[string]string); ok {
			p[name] = cfnTags(tags)
		}
	}
	delete(p, "Bucket")
	switch r.Kind {
	case KindKey:
		return "AWS::KMS::Key", p
	case KindKeyAlias:
		return "AWS::KMS::Alias", p
	case KindBucket:
		return "AWS::S3::Bucket", p
	case KindPublicAccess:
		return cfnSetting, map[string]any{"PublicAccessBlockConfiguration": p}
	case KindOwnership:
		return cfnSetting, map[string]any{"OwnershipControls": map[string]any{"Rules": []any{p}}}
	case KindVersioning:
		return cfnSetting, map[string]any{"VersioningConfiguration": p}
	case KindEncryption:
		rule := map[string]any{}
		if v, ok := p["BucketKeyEnabled"]; ok {
			rule["BucketKeyEnabled"] = v
			delete(p, "BucketKeyEnabled")
		}
		rule["ServerSideEncryptionByDefault"] = p
		return cfnSetting, map[string]any{"BucketEncryption": map[string]any{"ServerSideEncryptionConfiguration": []any{rule}}}
	case KindLifecycle:
		return cfnSetting, map[string]any{"LifecycleConfiguration": p}
	case KindObjectLock:
		return cfnSetting, map[string]any{"ObjectLockConfiguration": map[string]any{"ObjectLockEnabled": "Enabled", "Rule": map[string]any{"DefaultRetention": p}}}
	case KindBucketPolicy:
		return "AWS::S3::BucketPolicy", map[string]any{"Bucket": ref(r.Of), "PolicyDocument": p["PolicyDocument"]}
	case KindNotification:
		filter := []any{map[string]any{"Name": "prefix", "Value": p["Prefix"]}, map[string]any{"Name": "suffix", "Value": p["Suffix"]}}
		var queues []any
		for _, event := range r.Properties["Events"].([]string) {
			queues = append(queues, map[string]any{"Event": event, "Queue": getAtt("queue", "Arn"), "Filter": map[string]any{"S3Key": map[string]any{"Rules": filter}}})
		}
		return cfnSetting, map[string]any{"NotificationConfiguration": map[string]any{"QueueConfigurations": queues}}
	case KindQueue:
		return "AWS::SQS::Queue", p
	case KindQueuePolicy:
		return "AWS::SQS::QueuePolicy", map[string]any{"Queues": []any{ref("queue")}, "PolicyDocument": p["PolicyDocument"]}
	case KindLogGroup:
		return "AWS::Logs::LogGroup", p
	case KindRole:
		return "AWS::IAM::Role", p
	case KindRolePolicy:
		p["RoleName"] = ref(r.Of)
		return "AWS::IAM::RolePolicy", p
	case KindTrail:
		return "AWS::CloudTrail::Trail", p
	case KindDatabase:
		return "AWS::Glue::Database", map[string]any{"CatalogId": map[string]any{"Ref": "AWS::AccountId"}, "DatabaseInput": p}
	case KindWorkgroup:
		result := map[string]any{"OutputLocation": p["OutputLocation"], "EncryptionConfiguration": p["EncryptionConfiguration"]}
		return "AWS::Athena::WorkGroup", map[string]any{
			"Name": p["Name"], "Description": p["Description"], "Tags": p["Tags"], "WorkGroupConfiguration": map[string]any{
				"EnforceWorkGroupConfiguration": p["EnforceWorkGroupConfiguration"], "PublishCloudWatchMetricsEnabled": p["PublishCloudWatchMetricsEnabled"],
				"ResultConfiguration": result,
			},
		}
	}
	return "", nil // invocation logging and delegated administrators
}

// cfnDepends are the logical names of what a resource depends on and doesn't refer to.
func cfnDepends(list []Resource, r Resource) []any {
	var after []any
	for _, id := range r.DependsOn {
		i := slices.IndexFunc(list, func(other Resource) bool { return other.ID == id })
		kind, _ := cfnResource(list[i])
		switch {
		case kind == cfnSetting || id == r.Of || id == "key": // comes with the bucket; is referred to
		default:
			after = append(after, logical(id))
		}
	}
	return after
}

// cfnValue is a property's value with references as CloudFormation has them.
func cfnValue(v any) any {
	switch v := v.(type) {
	case string:
		if v == KeyARN {
			return getAtt("key", "Arn")
		}
	case map[string]any:
		m := map[string]any{}
		for k, member := range v {
			m[k] = cfnValue(member)
		}
		return m
	case []Selector:
		return decodeJSON(encodeJSON(v))
	}
	return v
}

func cfnTags(tags map[string]string) []any {
	list := []any{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, map[string]any{"Key": k, "Value": tags[k]})
	}
	return list
}

func ref(id string) any { return map[string]any{"Ref": logical(id)} }
func getAtt(id, attribute string) any {
	return map[string]any{"Fn::GetAtt": []any{logical(id), attribute}}
}

// logical is an ID as CloudFormation takes it: "log-bucket" is LogBucket.
func logical(id string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(id, "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// isDocument tells whether a property is a policy document.
func isDocument(name string) bool {
	return name == "KeyPolicy" || strings.HasSuffix(name, "PolicyDocument")
}

func encodeJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // properties encode
	}
	return string(text)
}

func decodeJSON(text string) any {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err) // the set-up's own
	}
	return v
}

// entry is a member of a YAML mapping whose order matters.
type entry struct {
	key   string
	value any
}

var plainYAML = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9/_.:-]*[A-Za-z0-9]$`)

// scalar writes a value in one line: numbers, bools, and strings, quoted where YAML could take them for something else.
func scalar(v any) string {
	s, ok := v.(string)
	if !ok {
		return fmt.Sprint(v)
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return encodeJSON(s)
	}
	if plainYAML.MatchString(s) && !strings.Contains(s, ": ") {
		return s
	}
	return encodeJSON(s)
}

// writeYAML writes mappings, their keys sorted unless they are entries, and lists, indented by two spaces a level.
func writeYAML(b *strings.Builder, v any, level int) {
	indent := strings.Repeat("  ", level)
	member := func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if len(v) == 0 {
				fmt.Fprintf(b, "%s%s: {}\n", indent, key)
				return
			}
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			writeYAML(b, v, level+1)
		case []any:
			if len(v) == 0 {
				fmt.Fprintf(b, "%s%s: []\n", indent, key)
				return
			}
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			writeYAML(b, v, level+1)
		case []entry:
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			writeYAML(b, v, level+1)
		default:
			fmt.Fprintf(b, "%s%s: %s\n", indent, key, scalar(v))
		}
	}
	switch v := v.(type) {
	case []entry:
		for _, e := range v {
			member(e.key, e.value)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			member(k, v[k])
		}
	case []any:
		for _, item := range v {
			if m, ok := item.(map[string]any); ok && len(m) > 0 {
				var inner strings.Builder
				writeYAML(&inner, m, level+1)
				b.WriteString(indent + "- " + strings.TrimPrefix(inner.String(), indent+"  "))
				continue
			}
			fmt.Fprintf(b, "%s- %s\n", indent, scalar(item))
		}
	}
}
