package trail

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// maxTrails is how many trails a Region can have, multi-Region trails of other Regions included.
const maxTrails = 5

// trailInput is the input of CreateTrail and UpdateTrail; nil members aren't given.
type trailInput struct {
	Name                       string
	S3BucketName               *string
	S3KeyPrefix                *string
	SnsTopicName               *string
	IncludeGlobalServiceEvents *bool
	IsMultiRegionTrail         *bool
	EnableLogFileValidation    *bool
	CloudWatchLogsLogGroupArn  *string
	CloudWatchLogsRoleArn      *string
	KmsKeyId                   *string //nolint:revive // AWS's name
	IsOrganizationTrail        *bool
	TagsList                   []tag
}

// trailOutput is a trail as CreateTrail and UpdateTrail answer it, and with the last three as DescribeTrails does.
type trailOutput struct {
	Name                       string
	S3BucketName               string
	S3KeyPrefix                string `json:",omitempty"`
	SnsTopicName               string `json:",omitempty"`
	SnsTopicARN                string `json:",omitempty"`
	IncludeGlobalServiceEvents bool
	IsMultiRegionTrail         bool
	TrailARN                   string
	LogFileValidationEnabled   bool
	CloudWatchLogsLogGroupArn  string `json:",omitempty"`
	CloudWatchLogsRoleArn      string `json:",omitempty"`
	KmsKeyId                   string `json:",omitempty"` //nolint:revive // AWS's name
	IsOrganizationTrail        bool
	HomeRegion                 string `json:",omitempty"`
	HasCustomEventSelectors    *bool  `json:",omitempty"`
	HasInsightSelectors        *bool  `json:",omitempty"`
}

func (t *trail) output() *trailOutput {
	return &trailOutput{
		Name: t.Name, S3BucketName: t.Bucket, S3KeyPrefix: t.Prefix, TrailARN: t.ARN,
		IncludeGlobalServiceEvents: t.GlobalEvents, IsMultiRegionTrail: t.MultiRegion,
		LogFileValidationEnabled: t.LogFileValidation, CloudWatchLogsLogGroupArn: t.LogGroupARN,
		CloudWatchLogsRoleArn: t.LogRoleARN, KmsKeyId: t.KMSKey, SnsTopicName: t.SNSTopic, SnsTopicARN: t.SNSTopicARN,
		IsOrganizationTrail: t.Organization != "",
	}
}

func (t *trail) described() *trailOutput {
	o := t.output()
	custom := len(t.Selectors.Basic)+len(t.Selectors.Advanced) > 0
	insights := len(t.Insights) > 0
	o.HomeRegion, o.HasCustomEventSelectors, o.HasInsightSelectors = t.HomeRegion, &custom, &insights
	return o
}

func (s *Service) createTrail(c *awsapi.Call, in *trailInput) (any, error) {
	if err := checkName(in.Name); err != nil {
		return nil, err
	}
	t := &trail{
		ID: strings.ToLower(rand.Text()), Name: in.Name, HomeRegion: c.Region, ARN: s.trailARN(c.Region, in.Name),
		Created: s.now(), GlobalEvents: true,
	}
	if in.S3BucketName == nil {
		in.S3BucketName = new(string)
	}
	if err := s.apply(c.Request.Context(), t, in); err != nil {
		return nil, err
	}
	tags, err := addTags(nil, in.TagsList)
	if err != nil {
		return nil, err
	}
	t.Tags = tags

	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkRoom(t, true); err != nil {
		return nil, err
	}
	if err := s.opts.Store.Put(trailsBucket, t.key(), t); err != nil {
		return nil, err
	}
	s.trails[t.key()] = t
	return t.output(), nil
}

// checkRoom tells whether a trail can be in its Region, or in all of them when it is a multi-Region trail. The caller
// holds mu.
func (s *Service) checkRoom(t *trail, created bool) error {
	shadows, inRegion := 0, map[string]int{t.HomeRegion: 0}
	for _, other := range append(slices.Collect(maps.Values(s.trails)), s.shared()...) {
		if other.ID == t.ID {
			continue
		}
		if created && other.Name == t.Name && (other.HomeRegion == t.HomeRegion || other.MultiRegion) {
			return fail("TrailAlreadyExistsException", "Trail %s already exists for customer: %s", t.Name, s.opts.Account)
		}
		if other.MultiRegion {
			shadows++
		} else {
			inRegion[other.HomeRegion]++
		}
	}
	for region, n := range inRegion {
		if (region == t.HomeRegion || t.MultiRegion) && shadows+n >= maxTrails {
			return fail("MaximumNumberOfTrailsExceededException", "User: %s already has %d trails in %s.", s.opts.Account, shadows+n, region)
		}
	}
	return nil
}

// apply sets the trail to what the input says, having checked all that CloudTrail checks.
func (s *Service) apply(ctx context.Context, t *trail, in *trailInput) error {
	set(&t.Bucket, in.S3BucketName)
	set(&t.Prefix, in.S3KeyPrefix)
	set(&t.GlobalEvents, in.IncludeGlobalServiceEvents)
	set(&t.MultiRegion, in.IsMultiRegionTrail)
	set(&t.LogGroupARN, in.CloudWatchLogsLogGroupArn)
	set(&t.LogRoleARN, in.CloudWatchLogsRoleArn)
	if on := in.EnableLogFileValidation; on != nil {
		if *on && !t.LogFileValidation {
			t.ValidatedSince = s.now()
		}
		t.LogFileValidation = *on
	}
	t.Prefix = strings.TrimSuffix(t.Prefix, "/")
	switch {
	case t.MultiRegion && !t.GlobalEvents:
		return fail("InvalidParameterCombinationException", "Multi-Region trail must include global service events.")
	}
	if err := s.applyOrganization(t, in.IsOrganizationTrail); err != nil {
		return err
	}
	if in.S3BucketName != nil || in.S3KeyPrefix != nil || in.IsOrganizationTrail != nil {
		if err := s.checkBucket(t); err != nil {
			return err
		}
	}
	if in.CloudWatchLogsLogGroupArn != nil || in.CloudWatchLogsRoleArn != nil || in.IsOrganizationTrail != nil {
		if err := s.checkLogGroup(ctx, t); err != nil {
			return err
		}
	}
	if err := s.applyTopic(t, in.SnsTopicName); err != nil {
		return err
	}
	return s.applyKey(ctx, t, in.KmsKeyId)
}

func (s *Service) applyOrganization(t *trail, on *bool) error {
	switch {
	case on == nil:
		return nil
	case !*on:
		t.Organization = ""
		return nil
	}
	if err := s.manages(); err != nil {
		return err
	}
	t.Organization = s.opts.Organization.ID
	return nil
}

// manages tells whether CloudTrail may act for the account in all of its organization.
func (s *Service) manages() error {
	o := &s.opts.Organization
	switch {
	case o.ID == "":
		return fail("OrganizationsNotInUseException", "Your account is not a member of an organization.")
	case o.Manager != nil:
		return fail("NotOrganizationMasterAccountException", "The account %s is not the management account of organization %s.", s.opts.Account, o.ID)
	}
	trusted, err := o.Trusted(servicePrincipal)
	if err == nil && !trusted {
		return fail("CloudTrailAccessNotEnabledException", "Trusted access between CloudTrail and Organizations is not enabled: enable it for the service principal %s.", servicePrincipal)
	}
	return err
}

func (s *Service) applyTopic(t *trail, name *string) error {
	switch {
	case name == nil:
		return nil
	case *name == "":
		t.SNSTopic, t.SNSTopicARN = "", ""
		return nil
	case !topicName.MatchString(*name):
		return fail("InvalidSnsTopicNameException", "SNS Topic name %q is not valid.", *name)
	}
	if s.opts.Topics != nil {
		arn, err := s.opts.Topics.CheckTopic(t.HomeRegion, *name, t.ARN)
		if err == nil {
			t.SNSTopic, t.SNSTopicARN = *name, arn
			return nil
		}
		var e *awsapi.Error
		if !errors.As(err, &e) {
			return err
		}
	}
	return fail("InsufficientSnsTopicPolicyException", "SNS Topic does not exist or the topic policy is incorrect!")
}

func set[T any](field *T, v *T) {
	if v != nil {
		*field = *v
	}
}

func (s *Service) checkBucket(t *trail) error {
	switch {
	case t.Bucket == "":
		return fail("InvalidS3BucketNameException", "Bucket name can not be blank!")
	case !bucketName.MatchString(t.Bucket):
		return fail("InvalidS3BucketNameException", "Bucket name %s is not valid.", t.Bucket)
	case len(t.Prefix) > 200 || strings.HasPrefix(t.Prefix, "/") || strings.ContainsAny(t.Prefix, "\x00\n\\"):
		return fail("InvalidS3PrefixException", "The S3 key prefix %q is not valid.", t.Prefix)
	}
	folder := s.opts.Account
	if t.Organization != "" {
		folder = t.Organization + "/" + folder
	}
	err := s.opts.Buckets.CheckDelivery(t.Bucket, t.Prefix, folder, t.ARN)
	switch {
	case err == nil:
		return nil
	case errorCode(err) == "NoSuchBucket":
		return fail("S3BucketDoesNotExistException", "S3 bucket %s does not exist!", t.Bucket)
	case errorCode(err) == "AccessDenied":
		return fail("InsufficientS3BucketPolicyException", "Incorrect S3 bucket policy is detected for bucket: %s", t.Bucket)
	}
	return fmt.Errorf("checking bucket %s: %w", t.Bucket, err)
}

// The errors of a trail's log group.
const (
	badLogGroup = "InvalidCloudWatchLogsLogGroupArnException"
	badLogRole  = "InvalidCloudWatchLogsRoleArnException"
)

func (s *Service) checkLogGroup(ctx context.Context, t *trail) error {
	if t.LogGroupARN == "" && t.LogRoleARN == "" {
		return nil
	}
	if t.LogGroupARN == "" {
		return fail(badLogGroup, "You must specify a log group ARN.")
	}
	if t.LogRoleARN == "" {
		return fail(badLogRole, "You must specify a role ARN.")
	}
	region, group, ok := parseLogGroupARN(t.LogGroupARN)
	if !ok || !strings.Contains(t.LogGroupARN, ":"+s.opts.Account+":") || region != t.HomeRegion ||
		!s.opts.LogGroups.HasLogGroup(region, group) {
		return fail(badLogGroup, "CloudTrail cannot validate the specified log group ARN.")
	}
	if !strings.HasPrefix(t.LogRoleARN, "arn:"+partition(t.HomeRegion)+":iam::"+s.opts.Account+":role/") {
		return fail(badLogRole, "CloudTrail cannot validate the specified role ARN.")
	}
	return s.checkLogRole(ctx, t.LogRoleARN, t.LogGroupARN, logStream(t.Organization, s.opts.Account, t.HomeRegion))
}

// checkLogRole tells whether CloudTrail could write to a stream of the log group with the role. The error is an
// *awsapi.Error.
func (s *Service) checkLogRole(ctx context.Context, role, group, stream string) error {
	if s.opts.AllowRole == nil {
		return nil
	}
	_, name, _ := parseLogGroupARN(group)
	stream = strings.TrimSuffix(group, "*") + "log-stream:" + stream
	for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents"} {
		if err := s.opts.AllowRole(ctx, role, servicePrincipal, action, stream); err != nil {
			return fail(badLogRole, "Access denied. Check the permissions and trust relationships of your role for log group %s: %v", name, err)
		}
	}
	return nil
}

func (s *Service) applyKey(ctx context.Context, t *trail, id *string) error {
	switch {
	case id == nil:
		return nil
	case *id == "":
		t.KMSKey = ""
		return nil
	case s.opts.Key == nil:
		return fail("KmsKeyNotFoundException", "KMS key %s does not exist.", *id)
	}
	arn, err := s.opts.Key(ctx, t.HomeRegion, *id, t.ARN)
	var e *awsapi.Error
	switch {
	case err == nil:
		t.KMSKey = arn
		return nil
	case !errors.As(err, &e):
		return err
	case e.Code == "NotFoundException":
		return fail("KmsKeyNotFoundException", "%s", e.Message)
	case e.Code == "DisabledException" || e.Code == "KMSInvalidStateException":
		return fail("KmsKeyDisabledException", "%s", e.Message)
	case e.Code == "AccessDeniedException":
		return fail("InsufficientEncryptionPolicyException", "Insufficient permissions to access S3 bucket %s or KMS key %s.", t.Bucket, *id)
	}
	return fail("InvalidKmsKeyIdException", "%s", e.Message)
}

func (s *Service) updateTrail(c *awsapi.Call, in *trailInput) (any, error) {
	found, err := s.findHome(c, in.Name)
	if err != nil {
		return nil, err
	}
	// What the input asks for is checked on a copy first: the checks call other services, which may not be done inside
	// the transaction.
	checked := found.clone()
	if err := s.apply(c.Request.Context(), checked, in); err != nil {
		return nil, err
	}
	if in.IsMultiRegionTrail != nil && *in.IsMultiRegionTrail && !found.MultiRegion {
		s.mu.Lock()
		err := s.checkRoom(checked, false)
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	var out *trailOutput
	err = s.changeOrGone(found, func(t *trail, _ *state.Tx) error {
		ends := s.ends()
		t.cut(ends)
		begins := t.Organization == "" && t.Logging
		t.Organization = checked.Organization
		for account, end := range ends {
			if begins {
				t.join(account, end)
			}
		}
		t.Bucket, t.Prefix, t.KMSKey = checked.Bucket, checked.Prefix, checked.KMSKey
		t.MultiRegion, t.GlobalEvents = checked.MultiRegion, checked.GlobalEvents
		t.LogFileValidation, t.ValidatedSince = checked.LogFileValidation, checked.ValidatedSince
		t.LogGroupARN, t.LogRoleARN = checked.LogGroupARN, checked.LogRoleARN
		t.SNSTopic, t.SNSTopicARN = checked.SNSTopic, checked.SNSTopicARN
		out = t.output()
		return nil
	})
	return out, err
}

// changeOrGone is change for the API: a trail deleted meanwhile is not found.
func (s *Service) changeOrGone(found *trail, fn func(t *trail, tx *state.Tx) error) error {
	changed, err := s.change(found.ID, fn)
	if err == nil && !changed {
		return fail("TrailNotFoundException", "Unknown trail: %s for the user: %s", found.ARN, s.opts.Account)
	}
	return err
}

type nameInput struct{ Name string }

// deleteTrail deletes a trail after delivering what it has recorded so far, as well as that can be done.
func (s *Service) deleteTrail(c *awsapi.Call, in *nameInput) (any, error) {
	found, err := s.findHome(c, in.Name)
	if err != nil {
		return nil, err
	}
	s.delivering.Lock()
	defer s.delivering.Unlock()
	late := s.deliverLate(c.Request.Context(), found.ID, true)
	if err := errors.Join(late, s.deliver(c.Request.Context(), found.ID, true)); err != nil {
		s.opts.Log.Warn("a trail was deleted before all was delivered", "trail", found.Name, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.opts.Store.Update(func(tx *state.Tx) error {
		files, err := state.ListTx[fileEntry](tx, filesBucket, found.ID+"/")
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := tx.Delete(filesBucket, f.Key); err != nil {
				return err
			}
		}
		late, err := state.ListTx[lateFile](tx, lateBucket, found.ID+"/")
		if err != nil {
			return err
		}
		for _, f := range late {
			if err := tx.Delete(lateBucket, f.Key); err != nil {
				return err
			}
		}
		return tx.Delete(trailsBucket, found.key())
	})
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(s.trails, func(_ string, t *trail) bool { return t.ID == found.ID })
	return empty{}, nil
}

func (s *Service) getTrail(c *awsapi.Call, in *nameInput) (any, error) {
	t, err := s.find(c, in.Name)
	if err != nil {
		return nil, err
	}
	return struct{ Trail *trailOutput }{t.described()}, nil
}

func (s *Service) describeTrails(c *awsapi.Call, in *struct {
	TrailNameList       []string
	IncludeShadowTrails *bool
}) (any, error) {
	shadows := in.IncludeShadowTrails == nil || *in.IncludeShadowTrails
	list := []*trailOutput{}
	if len(in.TrailNameList) == 0 {
		for _, t := range s.seen() {
			if t.HomeRegion == c.Region || t.MultiRegion && shadows {
				list = append(list, t.described())
			}
		}
	}
	for _, name := range in.TrailNameList {
		t, err := s.find(c, name)
		if err != nil {
			if errorCode(err) == "TrailNotFoundException" {
				continue
			}
			return nil, err
		}
		if t.HomeRegion == c.Region || shadows {
			list = append(list, t.described())
		}
	}
	return struct {
		TrailList []*trailOutput `json:"trailList"`
	}{list}, nil
}

// listTrails lists the trails of all Regions.
func (s *Service) listTrails(_ *awsapi.Call, _ *struct{}) (any, error) {
	type item struct{ TrailARN, Name, HomeRegion string }
	list := []item{}
	for _, t := range s.seen() {
		list = append(list, item{t.ARN, t.Name, t.HomeRegion})
	}
	return struct{ Trails []item }{list}, nil
}
