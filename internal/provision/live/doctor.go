package live

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/aitrail/aitrail/internal/provision"
)

// Status is a check's verdict.
type Status string

// The verdicts. Drift and Missing are findings.
const (
	OK      Status = "ok"
	Drift   Status = "drift"   // it is there, and not as it should be
	Missing Status = "missing" // it isn't there
	Unknown Status = "unknown" // it could not be looked at
	Note    Status = "note"    // worth knowing; the set-up leaves it open
)

// Check is one question to an account and its answer.
type Check struct {
	ID       string   `json:"id"` // "trail-validation", "data-bedrock", "log-bucket-policy"
	Title    string   `json:"title"`
	Status   Status   `json:"status"`
	Detail   string   `json:"detail,omitempty"`   // what was found
	Fix      string   `json:"fix,omitempty"`      // what to do
	Controls []string `json:"controls,omitempty"` // of Security Hub and CIS that ask the same
}

// about says what a control asks.
type about string

const (
	regions    about = "regions"
	encryption about = "encryption"
	trailOn    about = "trail"
	validation about = "validation"
	alarms     about = "log group"
	public     about = "public"
	accessLog  about = "access log"
	tlsOnly    about = "tls"
	rotation   about = "rotation"
)

// controls are Security Hub's that ask something, and the requirements of the CIS AWS Foundations Benchmark that AWS's
// documentation relates them to: https://docs.aws.amazon.com/securityhub/latest/userguide/cloudtrail-controls.html,
// s3-controls.html, sqs-controls.html and cis-aws-foundations-benchmark.html beside it. The numbers are of v5.0.0 where that has the requirement.
func controls(what about) []string {
	switch what {
	case regions:
		return []string{"CloudTrail.1", "CIS 5.0.0/3.1"}
	case encryption:
		return []string{"CloudTrail.2", "CIS 5.0.0/3.5"}
	case trailOn:
		return []string{"CloudTrail.3"}
	case validation:
		return []string{"CloudTrail.4", "CIS 5.0.0/3.2"}
	case alarms:
		return []string{"CloudTrail.5", "CIS 1.4.0/3.4"}
	case public:
		return []string{"CloudTrail.6", "S3.8", "CIS 5.0.0/2.1.4"}
	case accessLog:
		return []string{"CloudTrail.7", "CIS 3.0.0/3.4"}
	case tlsOnly:
		return []string{"S3.5", "CIS 5.0.0/2.1.1"}
	case rotation:
		return []string{"KMS.4", "CIS 5.0.0/3.6"}
	}
	return nil
}

// controlsOf are the controls about a kind of resource.
func controlsOf(k provision.Kind) []string {
	switch k {
	case provision.KindPublicAccess:
		return controls(public)
	case provision.KindBucketPolicy:
		return controls(tlsOnly)
	case provision.KindOwnership:
		return []string{"S3.12"}
	case provision.KindLifecycle:
		return []string{"S3.13"}
	case provision.KindVersioning:
		return []string{"S3.14"}
	case provision.KindObjectLock:
		return []string{"S3.15"}
	case provision.KindQueue:
		return []string{"SQS.1"}
	case provision.KindKey:
		return controls(rotation)
	}
	return nil
}

// Found tells whether a check is a finding.
func (c Check) Found() bool { return c.Status == Drift || c.Status == Missing }

const fixUp = "aitrail up"

// Examine compares an account with the set-up and looks for what else keeps AI calls from being recorded, delivered and kept. It
// only reads, with the rights of [provision.Setup.DoctorPolicy]; what it may not read is Unknown, and the rest goes on.
// Its error is the set-up's, or ctx's.
func Examine(ctx context.Context, cfg aws.Config, s provision.Setup) ([]Check, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	d := &doctor{account: newAccount(cfg, s, nil), cfg: cfg}
	for _, r := range d.Resources() {
		step, want, have := d.plan(ctx, r)
		if r.Kind == provision.KindTrail {
			d.trailChecks(step, want, have)
		} else {
			d.add(resourceCheck(step))
		}
	}
	d.delivery(ctx)
	d.coverage(ctx)
	d.bucketChecks(ctx)
	if s.Organization != "" {
		d.organization(ctx)
	}
	return d.checks, ctx.Err()
}

// doctor is one examination.
type doctor struct {
	*account
	cfg    aws.Config
	checks []Check
}

func (d *doctor) add(c ...Check) { d.checks = append(d.checks, c...) }

// resourceCheck is a step of the plan as a check.
func resourceCheck(s Step) Check {
	c := Check{ID: s.ID, Title: string(s.Kind) + " " + s.Name, Controls: controlsOf(s.Kind), Status: OK}
	switch {
	case s.Err != nil:
		c.unknown(s.Err)
	case s.Action == Create:
		c.Status, c.Fix = Missing, fixUp
	case s.Action == Update:
		c.Status, c.Fix = Drift, fixUp
		c.Detail = told(s.Changes)
	}
	return c
}

// told says how properties differ.
func told(changes []Change) string {
	var list []string
	for _, c := range changes {
		have, want := brief(c.Have), brief(c.Want)
		switch {
		case have == "":
			list = append(list, c.Property+" is not "+want)
		case want == "":
			list = append(list, c.Property+" has more: "+have)
		case c.Detail != "":
			list = append(list, c.Property+": "+c.Detail)
		case strings.HasPrefix(c.Want, "{"):
			list = append(list, c.Property+" is another document")
		default:
			list = append(list, c.Property+" is "+have+", not "+want)
		}
	}
	return strings.Join(list, "; ")
}

func brief(s string) string {
	if strings.HasPrefix(s, "{") {
		return "the document"
	}
	if len(s) > 80 {
		return s[:77] + "…"
	}
	return s
}

// unknown makes the check one that could not be made.
func (c *Check) unknown(err error) {
	c.Status, c.Detail = Unknown, err.Error()
	var op *smithy.OperationError
	switch {
	case IsAccessDenied(err) && errors.As(err, &op):
		c.Detail = "access denied: " + op.Service() + " " + op.Operation()
		c.Fix = "aitrail doctor --print-policy shows the rights that are needed"
	case IsAccessDenied(err):
		c.Fix = "aitrail doctor --print-policy shows the rights that are needed"
	}
	var taken *BucketError
	if errors.As(err, &taken) {
		c.Detail = taken.Error()
	}
}

// trailChecks take the trail's properties apart.
func (d *doctor) trailChecks(step Step, want provision.Resource, have provision.Properties) {
	groups := []struct {
		id, title  string
		properties []string
		controls   []string
		why        string
	}{
		{"trail-logging", "the trail records", []string{"IsLogging"}, controls(trailOn), "nothing is recorded since it was stopped"},
		{"trail-regions", "the trail is of all Regions, with global services", []string{"IsMultiRegionTrail", "IncludeGlobalServiceEvents"}, controls(regions), "calls in other Regions are not recorded"},
		{"trail-validation", "digests are written", []string{"EnableLogFileValidation"}, controls(validation), "nobody can tell whether log files were altered"},
		{"trail-encryption", "log files are encrypted with the key", []string{"KMSKeyId"}, controls(encryption), ""},
		{"trail-bucket", "log files go to the bucket", []string{"S3BucketName", "S3KeyPrefix"}, nil, "log files go elsewhere"},
		{"trail-log-group", "events go to the log group", []string{"CloudWatchLogsLogGroupArn", "CloudWatchLogsRoleArn"}, controls(alarms), "nothing can raise an alarm"},
		{"trail-selectors", "the trail selects AI services' events", []string{"AdvancedEventSelectors"}, nil, ""},
		{"trail-settings", "the trail's organization and tags", []string{"IsOrganizationTrail", "Tags", "TrailName"}, nil, ""},
	}
	exists := Check{ID: "trail", Title: "trail " + d.Trail, Controls: controls(trailOn), Status: OK}
	switch {
	case step.Err != nil:
		exists.unknown(step.Err)
	case have == nil:
		exists.Status, exists.Fix = Missing, fixUp
	}
	d.add(exists)
	if exists.Status != OK {
		return
	}
	for _, g := range groups {
		c := Check{ID: g.id, Title: g.title, Controls: g.controls, Status: OK}
		var changes []Change
		wanted := false
		for _, name := range g.properties {
			_, w := want.Properties[name]
			wanted = wanted || w
			if i := slices.IndexFunc(step.Changes, func(c Change) bool { return c.Property == name }); i >= 0 {
				changes = append(changes, step.Changes[i])
			}
		}
		if g.id == "trail-encryption" && !wanted {
			if _, has := have["KMSKeyId"]; !has {
				c.Status, c.Title = Note, "log files are encrypted with S3's own key"
				c.Fix = fixUp + " --own-key makes a key whose use is recorded, and may be denied"
			}
		}
		if len(changes) > 0 {
			c.Status, c.Detail, c.Fix = Drift, told(changes), fixUp
			if g.why != "" {
				c.Detail += ": " + g.why
			}
		}
		d.add(c)
	}
}
