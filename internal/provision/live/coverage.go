package live

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/aitrail/aitrail/internal/provision"
)

// watched is a trail that records something of the account.
type watched struct {
	types.Trail
	selectors []types.AdvancedEventSelector
}

func (t *watched) name() string { return aws.ToString(t.Name) }

// elsewhere is a CloudTrail client in a trail's home Region.
func (d *doctor) elsewhere(t *types.Trail) *cloudtrail.Client {
	return cloudtrail.NewFromConfig(d.cfg, func(o *cloudtrail.Options) {
		o.Region = d.Region
		if t.HomeRegion != nil {
			o.Region = *t.HomeRegion
		}
	})
}

// trails are all trails that record now, those of other Regions and of the organization too. Errors make checks.
func (d *doctor) trails(ctx context.Context) (list []*watched, complete bool) {
	out, err := d.trail.DescribeTrails(ctx, &cloudtrail.DescribeTrailsInput{IncludeShadowTrails: aws.Bool(true)})
	if err != nil {
		c := Check{ID: "trails", Title: "all trails of the account"}
		c.unknown(err)
		d.add(c)
		return nil, false
	}
	complete = true
	for i := range out.TrailList {
		t := &out.TrailList[i]
		id := t.TrailARN
		if aws.ToString(t.HomeRegion) == d.Region && !aws.ToBool(t.IsOrganizationTrail) {
			id = t.Name
		}
		status, err := d.elsewhere(t).GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: id})
		if err == nil && !aws.ToBool(status.IsLogging) {
			continue
		}
		var selectors *cloudtrail.GetEventSelectorsOutput
		if err == nil {
			selectors, err = d.elsewhere(t).GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: id})
		}
		if err != nil {
			c := Check{ID: "trail-" + aws.ToString(t.Name) + "-selectors", Title: "what the trail " + aws.ToString(t.Name) + " selects"}
			c.unknown(err)
			d.add(c)
			complete = false
			continue
		}
		list = append(list, &watched{*t, allSelectors(selectors)})
	}
	return list, complete
}

// allSelectors are a trail's selectors as advanced ones.
func allSelectors(out *cloudtrail.GetEventSelectorsOutput) []types.AdvancedEventSelector {
	list := append(slices.Clone(out.AdvancedEventSelectors), advancedOf(out.EventSelectors)...)
	for _, b := range out.EventSelectors {
		if (b.IncludeManagementEvents == nil || *b.IncludeManagementEvents) && b.ReadWriteType != types.ReadWriteTypeReadOnly && b.ReadWriteType != types.ReadWriteTypeWriteOnly && len(b.ExcludeManagementEventSources) == 0 {
			list = append(list, types.AdvancedEventSelector{Name: aws.String("management"), FieldSelectors: []types.AdvancedFieldSelector{{Field: aws.String("eventCategory"), Equals: []string{"Management"}}}})
		}
	}
	return list
}

// selects tells whether a selector chooses an event with these fields. Fields that aren't given may have any value.
func selects(s types.AdvancedEventSelector, event map[string]string) bool {
	has := func(list []string, match func(string) bool) bool { return slices.ContainsFunc(list, match) }
	for _, f := range s.FieldSelectors {
		v, known := event[aws.ToString(f.Field)]
		if !known {
			continue
		}
		equal := func(p string) bool { return v == p }
		starts := func(p string) bool { return strings.HasPrefix(v, p) }
		ends := func(p string) bool { return strings.HasSuffix(v, p) }
		wanted := len(f.Equals)+len(f.StartsWith)+len(f.EndsWith) == 0 || has(f.Equals, equal) || has(f.StartsWith, starts) || has(f.EndsWith, ends)
		if !wanted || has(f.NotEquals, equal) || has(f.NotStartsWith, starts) || has(f.NotEndsWith, ends) {
			return false
		}
	}
	return true
}

// whole tells whether a selector has no conditions on other fields than these.
func whole(s types.AdvancedEventSelector, fields ...string) bool {
	return !slices.ContainsFunc(s.FieldSelectors, func(f types.AdvancedFieldSelector) bool { return !slices.Contains(fields, aws.ToString(f.Field)) })
}

// management tells whether the trail records all management events that are, or aren't, reads.
func (t *watched) management(readOnly string) bool {
	return slices.ContainsFunc(t.selectors, func(s types.AdvancedEventSelector) bool {
		return whole(s, "eventCategory", "readOnly", "eventSource") && !narrowed(s) && selects(s, map[string]string{"eventCategory": "Management", "readOnly": readOnly})
	})
}

// narrowed tells whether a selector wants events of certain sources only. Those it leaves out, KMS and RDS's data API, are no AI's.
func narrowed(s types.AdvancedEventSelector) bool {
	return slices.ContainsFunc(s.FieldSelectors, func(f types.AdvancedFieldSelector) bool {
		return aws.ToString(f.Field) == "eventSource" && len(f.Equals)+len(f.StartsWith)+len(f.EndsWith) > 0
	})
}

// data tells whether the trail records all data events of a type, and whether some.
func (t *watched) data(kind string) (all, some bool) {
	var read, write bool
	for _, s := range t.selectors {
		event := map[string]string{"eventCategory": "Data", "resources.type": kind}
		if !selects(s, event) {
			continue
		}
		some = true
		if whole(s, "eventCategory", "resources.type", "readOnly") {
			event["readOnly"] = "true"
			read = read || selects(s, event)
			event["readOnly"] = "false"
			write = write || selects(s, event)
		}
	}
	return read && write, some
}

// coverage asks what the trails of the account record of AI services.
func (d *doctor) coverage(ctx context.Context) {
	trails, complete := d.trails(ctx)
	absent := Missing
	if !complete {
		absent = Unknown // a trail that could not be read may record it
	}
	everywhere := slices.DeleteFunc(slices.Clone(trails), func(t *watched) bool { return !aws.ToBool(t.IsMultiRegionTrail) })
	d.managementCheck(everywhere, absent)
	for _, key := range d.services() {
		d.add(d.dataCheck(key, everywhere, absent))
	}
	d.twice(trails)
	d.selfRecording(trails)
}

func (d *doctor) managementCheck(trails []*watched, absent Status) {
	c := Check{ID: "management-events", Title: "management events, reads and writes, of all Regions are recorded", Controls: controls(regions), Status: OK}
	var both, writes []string
	for _, t := range trails {
		switch read, write := t.management("true"), t.management("false"); {
		case read && write:
			both = append(both, t.name())
		case write:
			writes = append(writes, t.name())
		}
	}
	switch {
	case len(both) > 0:
		c.Detail = "by " + strings.Join(both, ", ")
	case len(writes) > 0:
		c.Status, c.Fix = Drift, fixUp
		c.Detail = strings.Join(writes, ", ") + " records writes only: inference (InvokeModel, Converse, DetectText …) is a read, and is lost"
	default:
		c.Status, c.Fix = absent, fixUp
		c.Detail = "no trail of all Regions records them"
	}
	d.add(c)
}

// services are the keys of the services with wanted data types, sorted.
func (d *doctor) services() []string {
	var keys []string
	for _, kind := range d.DataTypes {
		keys = append(keys, provision.ServicesOf(kind)...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// dataCheck asks whether the wanted data events of a service are recorded.
func (d *doctor) dataCheck(key string, trails []*watched, absent Status) Check {
	c := Check{ID: "data-" + key, Title: "data events of " + key + " are recorded", Status: OK}
	var wanted, none, partly []string
	for _, kind := range d.DataTypes {
		if !slices.Contains(provision.ServicesOf(kind), key) {
			continue
		}
		wanted = append(wanted, kind)
		all, some := false, false
		for _, t := range trails {
			a, s := t.data(kind)
			all, some = all || a, some || s
		}
		switch {
		case all:
		case some:
			partly = append(partly, kind)
		default:
			none = append(none, kind)
		}
	}
	c.Detail = fmt.Sprintf("%d of %d types", len(wanted)-len(none)-len(partly), len(wanted))
	switch {
	case len(none) == len(wanted):
		c.Status, c.Fix = absent, fixUp
	case len(none)+len(partly) > 0:
		c.Status, c.Fix = Drift, fixUp
		if len(none) > 0 {
			c.Detail += "; not " + strings.Join(none, ", ")
			c.Fix += "; what it leaves out is unknown in " + d.Region + ": --exclude it"
		}
		if len(partly) > 0 {
			c.Detail += "; in part " + strings.Join(partly, ", ")
		}
	}
	return c
}

// twice asks whether two trails record the same management events: the second copy is charged.
func (d *doctor) twice(trails []*watched) {
	c := Check{ID: "recorded-once", Title: "management events are recorded by one trail", Status: OK}
	var names []string
	for _, t := range trails {
		if t.management("false") && (aws.ToBool(t.IsMultiRegionTrail) || aws.ToString(t.HomeRegion) == d.Region) {
			names = append(names, t.name())
		}
	}
	if len(names) > 1 {
		c.Status, c.Detail = Drift, strings.Join(names, " and ")+" record the same; AWS charges for each copy after the first"
		c.Fix = "if one is enough: aws cloudtrail stop-logging --name TRAIL, and delete it when nobody misses it"
	}
	d.add(c)
}

// selfRecording asks whether a trail records the writing of its own log files, which makes more of them.
func (d *doctor) selfRecording(trails []*watched) {
	c := Check{ID: "log-bucket-unrecorded", Title: "no trail records deliveries to its own bucket", Status: OK}
	var loops []string
	for _, t := range trails {
		event := map[string]string{
			"eventCategory": "Data", "resources.type": "AWS::S3::Object", "readOnly": "false", "eventName": "PutObject",
			"resources.ARN": "arn:" + d.Partition + ":s3:::" + aws.ToString(t.S3BucketName) + "/" + aws.ToString(t.S3KeyPrefix) + "/AWSLogs/x",
		}
		for _, s := range t.selectors {
			if selects(s, event) {
				loops = append(loops, fmt.Sprintf("selector %q of %s records objects of %s", aws.ToString(s.Name), t.name(), aws.ToString(t.S3BucketName)))
			}
		}
	}
	if len(loops) > 0 {
		c.Status, c.Detail = Drift, strings.Join(loops, "; ")
		c.Fix = "add resources.ARN NotStartsWith arn:" + d.Partition + ":s3:::BUCKET/ to the selector"
	}
	d.add(c)
}

// delivery asks how the trail's deliveries went.
func (d *doctor) delivery(ctx context.Context) {
	c := Check{ID: "delivery", Title: "log files, digests and events arrive", Status: OK}
	status, err := d.trail.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: d.trailID()})
	if HasCode(err, "TrailNotFoundException") {
		return // a check of its own says so
	}
	if err != nil {
		c.unknown(err)
		d.add(c)
		return
	}
	var faults []string
	for what, fault := range map[string]*string{
		"log files": status.LatestDeliveryError, "digests": status.LatestDigestDeliveryError, "log group": status.LatestCloudWatchLogsDeliveryError, "topic": status.LatestNotificationError,
	} {
		if aws.ToString(fault) != "" {
			faults = append(faults, what+": "+*fault)
		}
	}
	slices.Sort(faults)
	switch {
	case len(faults) > 0:
		c.Status, c.Detail = Drift, strings.Join(faults, "; ")
		c.Fix = fixUp + " mends policies and keys; CloudTrail tries again for 30 days"
	case status.LatestDeliveryTime != nil:
		c.Detail = "last log file " + status.LatestDeliveryTime.UTC().Format("2006-01-02 15:04:05")
	default:
		c.Detail = "no log file yet"
	}
	d.add(c)
}

// bucketChecks ask of the log bucket what the set-up doesn't set.
func (d *doctor) bucketChecks(ctx context.Context) {
	outside := Check{ID: "log-bucket-not-public", Title: "the log bucket's policy lets nobody in from outside", Controls: controls(public), Status: OK}
	status, err := d.s3.GetBucketPolicyStatus(ctx, &s3.GetBucketPolicyStatusInput{Bucket: &d.Bucket})
	switch {
	case HasCode(err, "NoSuchBucket"):
		return // a check of its own says so
	case HasCode(err, "NoSuchBucketPolicy"):
	case err != nil:
		outside.unknown(err)
	case status.PolicyStatus != nil && aws.ToBool(status.PolicyStatus.IsPublic):
		outside.Status, outside.Detail = Drift, "S3 calls the policy public"
		outside.Fix = "aws s3api get-bucket-policy --bucket " + d.Bucket + ", and take out what allows others"
	}
	pays := Check{ID: "log-bucket-payer", Title: "the log bucket's owner pays for requests", Status: OK}
	payment, err := d.s3.GetBucketRequestPayment(ctx, &s3.GetBucketRequestPaymentInput{Bucket: &d.Bucket})
	if err != nil {
		pays.unknown(err)
	} else if payment.Payer == s3types.PayerRequester {
		pays.Status, pays.Detail = Drift, "CloudTrail can't deliver to a bucket whose requesters pay"
		pays.Fix = "aws s3api put-bucket-request-payment --bucket " + d.Bucket + " --request-payment-configuration Payer=BucketOwner"
	}
	logged := Check{ID: "log-bucket-access-log", Title: "who reads the log bucket is logged", Controls: controls(accessLog), Status: OK}
	logging, err := d.s3.GetBucketLogging(ctx, &s3.GetBucketLoggingInput{Bucket: &d.Bucket})
	if err != nil {
		logged.unknown(err)
	} else if logging.LoggingEnabled == nil {
		logged.Status, logged.Detail = Note, "server access logging is off"
		logged.Fix = "turn it on, to another bucket than a trail's, if you are held to this control"
	}
	d.add(outside, pays, logged)
}

// organization asks whether CloudTrail may look into the organization.
func (d *doctor) organization(ctx context.Context) {
	c := Check{ID: "organization-access", Title: "the organization trusts CloudTrail", Status: Missing, Fix: "aws organizations enable-aws-service-access --service-principal cloudtrail.amazonaws.com (in the management account)"}
	pages := organizations.NewListAWSServiceAccessForOrganizationPaginator(d.orgs, &organizations.ListAWSServiceAccessForOrganizationInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			c.Fix = ""
			c.unknown(err)
			break
		}
		for _, p := range page.EnabledServicePrincipals {
			if aws.ToString(p.ServicePrincipal) == "cloudtrail.amazonaws.com" {
				c.Status, c.Fix = OK, ""
			}
		}
	}
	d.add(c)
}
