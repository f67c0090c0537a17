package provision

import (
	"fmt"
	"regexp"
	"strings"
)

// Setup is the wanted set-up. Account and Region are needed; everything else has a default.
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
	RetentionDays    int `json:"retention_days,omitempty"`     // of objects in the bucket; 0 means for ever

	// DataTypes are the resources.type values whose data events are recorded; nil means every one the catalog knows of
	// an AI service. An empty list means none.
	DataTypes []string `json:"data_types"`

	KMSKey string `json:"kms_key,omitempty"` // ARN of a key with KeyPolicy, for log files and bucket; "" means keys of S3's own

	// Organization ("o-…") makes the trail one of all the organization's accounts; Management is then the management
	// account, which owns the trail whoever creates it.
	Organization string `json:"organization,omitempty"`
	Management   string `json:"management,omitempty"`

	Tags map[string]string `json:"tags,omitempty"` // of the trail; nil means its name as Name
}

// Fixed parts of every set-up.
const (
	defaultTrail  = "ai-trail"
	defaultPrefix = "cloudtrail"
	logDays       = 7
	// noncurrentDays is how long a version stays that was overwritten or deleted; abortDays how long an upload may take.
	noncurrentDays = 90
	abortDays      = 7
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
	accountID  = regexp.MustCompile(`^\d{12}$`)
	regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)
	trailName  = regexp.MustCompile(`^[A-Za-z0-9]([._-]?[A-Za-z0-9])+$`)
	bucketName = regexp.MustCompile(`^[a-z0-9]([.-]?[a-z0-9]|--?[a-z0-9]){2,62}$`)
	prefixName = regexp.MustCompile(`^[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*$`)
	groupName  = regexp.MustCompile(`^[A-Za-z0-9_/.#-]{1,512}$`)
	roleName   = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,64}$`)
	orgID      = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
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
	checks := []struct {
		field, value string
		ok           bool
		reason       string
	}{
		{"account", s.Account, accountID.MatchString(s.Account), "is not twelve digits"},
		{"region", s.Region, regionName.MatchString(s.Region), "is not a Region's name"},
		{"trail", s.Trail, len(s.Trail) >= 3 && len(s.Trail) <= 128 && trailName.MatchString(s.Trail), "is not 3 to 128 letters, digits and single '.', '_' or '-' between them"},
		{"bucket", s.Bucket, len(s.Bucket) >= 3 && len(s.Bucket) <= 63 && bucketName.MatchString(s.Bucket), "is not a bucket name"},
		{"prefix", s.Prefix, len(s.Prefix) <= 200 && prefixName.MatchString(s.Prefix) && s.Prefix != "AWSLogs", "is not a key prefix without slashes at its ends"},
		{"log_group", s.LogGroup, groupName.MatchString(s.LogGroup), "is not a log group's name"},
		{"role", s.Role, roleName.MatchString(s.Role), "is not a role's name"},
		{"organization", s.Organization, s.Organization == "" || orgID.MatchString(s.Organization), "is not an organization's id"},
		{"management", s.Management, accountID.MatchString(s.Management), "is not twelve digits"},
		{"kms_key", s.KMSKey, s.KMSKey == "" || strings.HasPrefix(s.KMSKey, "arn:"+s.Partition+":kms:"+s.Region+":"), "is not the ARN of a key in the bucket's Region"},
		{"log_retention_days", fmt.Sprint(s.LogRetentionDays), logRetention(s.LogRetentionDays), "is not a retention that CloudWatch Logs has"},
		{"retention_days", fmt.Sprint(s.RetentionDays), s.RetentionDays >= 0, "is negative"},
		{"data_types", fmt.Sprint(len(s.DataTypes)), 2*len(s.DataTypes)+1 <= maxSelectorValues, "are more than a trail's selectors can hold"},
	}
	for _, c := range checks {
		if !c.ok {
			return &InvalidError{c.field, c.value, c.reason}
		}
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
	owner := s.Account
	if s.Organization != "" {
		owner = s.Management
	}
	return s.arn("cloudtrail", s.Region, owner, "trail/"+s.Trail)
}

// BucketARN is the bucket's ARN.
func (s Setup) BucketARN() string { return s.arn("s3", "", "", s.Defaults().Bucket) }

// RoleARN is the ARN of the role with which CloudTrail writes to the log group.
func (s Setup) RoleARN() string { return s.arn("iam", "", s.Account, "role/"+s.Defaults().Role) }

// LogGroupARN is the log group's ARN as CloudTrail wants it: with ":*" behind it, which stands for its streams.
func (s Setup) LogGroupARN() string {
	return s.arn("logs", s.Region, s.Account, "log-group:"+s.Defaults().LogGroup+":*")
}
