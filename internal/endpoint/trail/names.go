package trail

import (
	"regexp"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

var (
	ipAddress  = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+$`)
	adjacent   = regexp.MustCompile(`[._-]{2}`)
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	topicName  = regexp.MustCompile(`^(arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:)?[A-Za-z0-9_-]{1,256}$`)
)

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// checkName says what is wrong with a trail's name.
func checkName(name string) error {
	const code = "InvalidTrailNameException"
	switch {
	case name == "":
		return fail(code, "Trail name or ARN can not be blank.")
	case len(name) < 3:
		return fail(code, "Trail name too short. Minimum allowed length: 3 characters. Specified name length: %d characters.", len(name))
	case len(name) > 128:
		return fail(code, "Trail name too long. Maximum allowed length: 128 characters. Specified name length: %d characters.", len(name))
	case !alphanumeric(name[0]):
		return fail(code, "Trail name must starts with a letter or number.")
	case !alphanumeric(name[len(name)-1]):
		return fail(code, "Trail name must ends with a letter or number.")
	case ipAddress.MatchString(name):
		return fail(code, "Trail name must not be in IP address format.")
	case adjacent.MatchString(name):
		return fail(code, "Trail name must not have adjacent periods, underscores or dashes.")
	}
	for i := range len(name) {
		if c := name[i]; !alphanumeric(c) && !strings.ContainsRune("._-", rune(c)) {
			return fail(code, "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), hyphens (-), and underscores (_).")
		}
	}
	return nil
}

// trailARN is the ARN of the trail with this name.
func (s *Service) trailARN(region, name string) string {
	return "arn:" + partition(region) + ":cloudtrail:" + region + ":" + s.opts.Account + ":trail/" + name
}

func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// parseTrailARN takes a trail's ARN apart. The error is an *awsapi.Error.
func parseTrailARN(arn string) (region, account, name string, err error) {
	p := strings.SplitN(arn, ":", 6)
	if len(p) == 6 && strings.HasPrefix(p[1], "aws") && p[2] == "cloudtrail" && p[3] != "" {
		if name, ok := strings.CutPrefix(p[5], "trail/"); ok && checkName(name) == nil {
			return p[3], p[4], name, nil
		}
	}
	return "", "", "", fail("CloudTrailARNInvalidException", "Trail ARN %s is not valid.", arn)
}

// owner is the account that the trail belongs to.
func (t *trail) owner() string { return strings.Split(t.ARN, ":")[4] }

// find returns the trail with a name or ARN, as a caller in a Region sees it: by its name a trail of the Region or the
// shadow of a multi-Region trail.
func (s *Service) find(c *awsapi.Call, name string) (*trail, error) {
	region, account := c.Region, s.opts.Account
	isARN := strings.HasPrefix(name, "arn:")
	var err error
	arn := name
	if isARN {
		if region, account, name, err = parseTrailARN(name); err != nil {
			return nil, err
		}
	} else {
		if err := checkName(name); err != nil {
			return nil, err
		}
		arn = s.trailARN(region, name)
	}
	seen := s.seen()
	for _, t := range seen {
		if t.Name == name && t.HomeRegion == region && t.owner() == account {
			return t, nil
		}
	}
	for _, t := range seen {
		if !isARN && t.Name == name && t.MultiRegion {
			return t, nil
		}
	}
	return nil, fail("TrailNotFoundException", "Unknown trail: %s for the user: %s", arn, s.opts.Account)
}

// findHome is find for operations that change a trail: they are allowed in its home Region only.
func (s *Service) findHome(c *awsapi.Call, name string) (*trail, error) {
	t, err := s.find(c, name)
	if err == nil && t.owner() != s.opts.Account {
		return nil, fail("NotOrganizationMasterAccountException", "The trail %s can only be changed by the management account of the organization.", t.ARN)
	}
	if err == nil && t.HomeRegion != c.Region {
		return nil, fail("InvalidHomeRegionException", "The trail %s can only be changed in its home Region, %s.", t.ARN, t.HomeRegion)
	}
	return t, err
}
