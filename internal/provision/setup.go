package provision

import (
	"fmt"
	"regexp"
	"strings"
)

// Setup is the wanted set-up. Account and Region are needed; everything else has a default. It encodes to JSON and back
// without loss: that is how other programs are given it.
type Setup struct {
	Account   string `json:"account"`             // twelve digits: where the trail's bucket, role and log group are
	Region    string `json:"region"`              // the trail's home Region, and the bucket's
	Partition string `json:"partition,omitempty"` // "" means that of the Region: "aws", "aws-cn" or "aws-us-gov"

	Trail    string `json:"trail,omitempty"`     // "" means "ai-trail"
	Bucket   string `json:"bucket,omitempty"`    // "" means TRAIL-ACCOUNT-REGION
	Prefix   string `json:"prefix,omitempty"`    // of the keys in the bucket; "" means "cloudtrail"
	LogGroup string `json:"log_group,omitempty"` // "" means "/aws/cloudtrail/TRAIL"
	Role     string `json:"role,omitempty"`      // "" means TRAIL-cloudwatch-logs

	LogRetentionDays int `json:"log_retention_days,omitempty"` // of the log group; 0 means 7
	RetentionDays    int `json:"retention_days,omitempty"`     // of log files in the bucket; 0 means for ever

	// ObjectLockDays has every log file locked for so many days; 0 means no lock. A bucket gets a lock when it is made.
	ObjectLockDays int    `json:"object_lock_days,omitempty"`
	ObjectLockMode string `json:"object_lock_mode,omitempty"` // "" means GOVERNANCE; in COMPLIANCE nobody can unlock

	// DataTypes are the resources.type values whose data events are recorded; nil means every one the catalog knows of
	// an AI service. An empty list means none.
	DataTypes []string `json:"data_types"`

	// KMSKey is the ARN of a key that has KeyPolicy, for log files, buckets and log group; OwnKey makes one. With neither,
	// S3 and CloudWatch Logs encrypt with keys of their own.
	KMSKey string `json:"kms_key,omitempty"`
	OwnKey bool   `json:"own_key,omitempty"`

	// The bucket tells the queue of each new log file, unless NoQueue is set.
	NoQueue bool   `json:"no_queue,omitempty"`
	Queue   string `json:"queue,omitempty"` // "" means TRAIL-log-files

	// InvocationLogging has Bedrock write prompts and answers, which CloudTrail never holds, to a bucket of their own.
	InvocationLogging       bool   `json:"invocation_logging,omitempty"`
	InvocationBucket        string `json:"invocation_bucket,omitempty"`         // "" means TRAIL-invocations-ACCOUNT-REGION
	InvocationRetentionDays int    `json:"invocation_retention_days,omitempty"` // 0 means 30

	// LakeBucket is a bucket for a lake on S3, "" for none. With it come a Glue database and an Athena workgroup.
	LakeBucket string `json:"lake_bucket,omitempty"`
	Database   string `json:"database,omitempty"`  // "" means "aitrail"
	Workgroup  string `json:"workgroup,omitempty"` // "" means TRAIL

	// Organization ("o-…") makes the trail one of all the organization's accounts; Management is then the management
	// account, which owns the trail whoever creates it. Account is the management account or a delegated administrator's.
	Organization string `json:"organization,omitempty"`
	Management   string `json:"management,omitempty"`
	// DelegatedAdmin is an account that may manage the organization's trails; only the management account appoints it.
	DelegatedAdmin string `json:"delegated_admin,omitempty"`

	Tags map[string]string `json:"tags,omitempty"` // of all that can have tags; nil means the trail's name as Name
}

// Fixed parts of every set-up.
const (
	defaultTrail  = "ai-trail"
	defaultPrefix = "cloudtrail"
	logDays       = 7
	// noncurrentDays is how long a version stays that was overwritten or deleted; abortDays how long an upload may take.
	noncurrentDays = 90
	abortDays      = 7
	// invocationDays is how long prompts and answers are kept: they are what people said, and not the record of a call.
	invocationDays = 30
	// The lake's files are replaced by its upkeep, results of queries can be had again, and prompts are to be gone when they go.
	shortNoncurrentDays = 7
	resultDays          = 7
	resultPrefix        = "athena-results/"
)

// Defaults returns the set-up with every default filled in.
func (s Setup) Defaults() Setup {
	fill := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	fill(&s.Partition, partitionOf(s.Region))
	fill(&s.Trail, defaultTrail)
	fill(&s.Bucket, s.Trail+"-"+s.Account+"-"+s.Region)
	fill(&s.Prefix, defaultPrefix)
	fill(&s.LogGroup, "/aws/cloudtrail/"+s.Trail)
	fill(&s.Role, s.Trail+"-cloudwatch-logs")
	fill(&s.Management, s.Account)
	if !s.NoQueue {
		fill(&s.Queue, s.Trail+"-log-files")
	}
	if s.ObjectLockDays > 0 {
		fill(&s.ObjectLockMode, "GOVERNANCE")
	}
	if s.InvocationLogging {
		fill(&s.InvocationBucket, s.Trail+"-invocations-"+s.Account+"-"+s.Region)
		if s.InvocationRetentionDays == 0 {
			s.InvocationRetentionDays = invocationDays
		}
	}
	if s.LakeBucket != "" {
		fill(&s.Database, "aitrail")
		fill(&s.Workgroup, s.Trail)
	}
	if s.LogRetentionDays == 0 {
		s.LogRetentionDays = logDays
	}
	if s.DataTypes == nil {
		s.DataTypes = allDataTypes()
	}
	if s.Tags == nil {
		s.Tags = map[string]string{"Name": s.Trail}
	}
	return s
}

func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

var (
	accountID     = regexp.MustCompile(`^\d{12}$`)
	regionName    = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)
	trailName     = regexp.MustCompile(`^[A-Za-z0-9]([._-]?[A-Za-z0-9])+$`)
	bucketName    = regexp.MustCompile(`^[a-z0-9]([.-]?[a-z0-9]|--?[a-z0-9]){2,62}$`)
	prefixName    = regexp.MustCompile(`^[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*$`)
	groupName     = regexp.MustCompile(`^[A-Za-z0-9_/.#-]{1,512}$`)
	roleName      = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,64}$`)
	queueName     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
	glueName      = regexp.MustCompile(`^[a-z0-9_]{1,255}$`)
	workgroupName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
	orgID         = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
)

// InvalidError says which part of a Setup AWS would refuse.
type InvalidError struct {
	Field, Value, Reason string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("set-up: %s %q %s", e.Field, e.Value, e.Reason)
}

// Validate checks the set-up, with its defaults, against what AWS takes. Its error is an *InvalidError.
func (s Setup) Validate() error {
	s = s.Defaults()
	bucket := func(name string) bool { return len(name) >= 3 && len(name) <= 63 && bucketName.MatchString(name) }
	org := s.Organization != ""
	checks := []struct {
		field, value string
		ok           bool
		reason       string
	}{
		{"account", s.Account, accountID.MatchString(s.Account), "is not twelve digits"},
		{"region", s.Region, regionName.MatchString(s.Region), "is not a Region's name"},
		{"trail", s.Trail, len(s.Trail) >= 3 && len(s.Trail) <= 128 && trailName.MatchString(s.Trail), "is not 3 to 128 letters, digits and single '.', '_' or '-' between them"},
		{"bucket", s.Bucket, bucket(s.Bucket), "is not a bucket name"},
		{"prefix", s.Prefix, len(s.Prefix) <= 200 && prefixName.MatchString(s.Prefix) && s.Prefix != "AWSLogs", "is not a key prefix without slashes at its ends"},
		{"log_group", s.LogGroup, groupName.MatchString(s.LogGroup), "is not a log group's name"},
		{"role", s.Role, roleName.MatchString(s.Role), "is not a role's name"},
		{"organization", s.Organization, !org || orgID.MatchString(s.Organization), "is not an organization's id"},
		{"management", s.Management, accountID.MatchString(s.Management), "is not twelve digits"},
		{"management", s.Management, org || s.Management == s.Account, "is another account, which needs an organization"},
		{"delegated_admin", s.DelegatedAdmin, s.DelegatedAdmin == "" || accountID.MatchString(s.DelegatedAdmin), "is not twelve digits"},
		{"delegated_admin", s.DelegatedAdmin, s.DelegatedAdmin == "" || org && s.Account == s.Management && s.Account != s.DelegatedAdmin, "can only be appointed by the organization's management account"},
		{"kms_key", s.KMSKey, s.KMSKey == "" || strings.HasPrefix(s.KMSKey, "arn:"+s.Partition+":kms:"+s.Region+":"), "is not the ARN of a key in the bucket's Region"},
		{"own_key", s.KMSKey, s.KMSKey == "" || !s.OwnKey, "is given, so no key of its own is made: choose one"},
		{"log_retention_days", fmt.Sprint(s.LogRetentionDays), logRetention(s.LogRetentionDays), "is not a retention that CloudWatch Logs has"},
		{"retention_days", fmt.Sprint(s.RetentionDays), s.RetentionDays >= 0, "is negative"},
		{"object_lock_days", fmt.Sprint(s.ObjectLockDays), s.ObjectLockDays >= 0 && s.ObjectLockDays <= 36500, "is not 0 to 36500"},
		{"object_lock_days", fmt.Sprint(s.ObjectLockDays), s.RetentionDays == 0 || s.ObjectLockDays <= s.RetentionDays, "is longer than retention_days"},
		{"object_lock_mode", s.ObjectLockMode, s.ObjectLockDays == 0 || s.ObjectLockMode == "GOVERNANCE" || s.ObjectLockMode == "COMPLIANCE", "is not GOVERNANCE or COMPLIANCE"},
		{"queue", s.Queue, s.NoQueue || queueName.MatchString(s.Queue), "is not a queue's name"},
		{"invocation_bucket", s.InvocationBucket, !s.InvocationLogging || bucket(s.InvocationBucket) && s.InvocationBucket != s.Bucket, "is not a bucket name, or is the log bucket's"},
		{"invocation_retention_days", fmt.Sprint(s.InvocationRetentionDays), s.InvocationRetentionDays >= 0, "is negative"},
		{"lake_bucket", s.LakeBucket, s.LakeBucket == "" || bucket(s.LakeBucket) && s.LakeBucket != s.Bucket && s.LakeBucket != s.InvocationBucket, "is not a bucket name, or is another bucket's of the set-up"},
		{"database", s.Database, s.LakeBucket == "" || glueName.MatchString(s.Database), "is not lower-case letters, digits and '_'"},
		{"workgroup", s.Workgroup, s.LakeBucket == "" || workgroupName.MatchString(s.Workgroup), "is not a workgroup's name"},
	}
	for _, c := range checks {
		if !c.ok {
			return &InvalidError{c.field, c.value, c.reason}
		}
	}
	if n := SelectorValues(s.Selectors()); n > MaxSelectorValues {
		return &InvalidError{"data_types", fmt.Sprint(len(s.DataTypes)), fmt.Sprintf("are %d values in the trail's selectors, which hold %d: leave some out with --exclude", n, MaxSelectorValues)}
	}
	return nil
}

// logRetention tells whether PutRetentionPolicy takes the number of days.
func logRetention(days int) bool {
	for _, d := range []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653} {
		if d == days {
			return true
		}
	}
	return false
}

func (s Setup) arn(service, region, account, resource string) string {
	return "arn:" + s.Defaults().Partition + ":" + service + ":" + region + ":" + account + ":" + resource
}

// TrailARN is the trail's ARN. The management account owns a trail of an organization.
func (s Setup) TrailARN() string {
	s = s.Defaults()
	return s.arn("cloudtrail", s.Region, s.owner(), "trail/"+s.Trail)
}

// BucketARN is the bucket's ARN.
func (s Setup) BucketARN() string { return s.bucketARN(s.Defaults().Bucket) }

func (s Setup) bucketARN(name string) string { return s.arn("s3", "", "", name) }

// RoleARN is the ARN of the role with which CloudTrail writes to the log group.
func (s Setup) RoleARN() string { return s.arn("iam", "", s.Account, "role/"+s.Defaults().Role) }

// LogGroupARN is the log group's ARN as CloudTrail wants it: with ":*" behind it, which stands for its streams.
func (s Setup) LogGroupARN() string {
	return s.arn("logs", s.Region, s.Account, "log-group:"+s.Defaults().LogGroup+":*")
}

// QueueARN is the ARN of the queue that is told of new log files.
func (s Setup) QueueARN() string { return s.arn("sqs", s.Region, s.Account, s.Defaults().Queue) }

// owner is the account that owns the trail.
func (s Setup) owner() string {
	if s.Organization != "" {
		return s.Management
	}
	return s.Account
}
