package sns

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// The buckets of the state store.
const (
	topicsBucket        = "sns.topics"        // ARN → topic
	subscriptionsBucket = "sns.subscriptions" // ARN → subscription
)

// topic is a topic.
type topic struct {
	ARN, Name, Region string
	Attributes        map[string]string // those that were set
	Tags              []tag             `json:",omitempty"`
}

type tag struct {
	Key   string
	Value string `aws:",keep"`
}

// policy is the topic's policy. What can't be read allows nothing.
func (t *topic) policy() *policy.Document {
	doc, err := policy.Parse([]byte(t.Attributes["Policy"]))
	if err != nil {
		return &policy.Document{}
	}
	return doc
}

func (s *Service) getTopicTx(tx *state.Tx, arn string) (*topic, error) {
	if p := strings.Split(arn, ":"); len(p) != 6 || p[2] != "sns" {
		return nil, invalid("TopicArn Reason: An ARN must have at least 6 elements, not %d", len(p))
	}
	var t topic
	found, err := tx.Get(topicsBucket, arn, &t)
	if err == nil && !found {
		err = notFound("Topic does not exist")
	}
	return &t, err
}

// change changes a topic.
func (s *Service) change(arn string, fn func(t *topic) error) error {
	return s.opts.State.Update(func(tx *state.Tx) error {
		t, err := s.getTopicTx(tx, arn)
		if err != nil {
			return err
		}
		if err := fn(t); err != nil {
			return err
		}
		return tx.Put(topicsBucket, arn, t)
	})
}

// defaultPolicy leaves a topic to its owner.
func (s *Service) defaultPolicy(arn string) string {
	return `{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow",` +
		`"Principal":{"AWS":"*"},"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission",` +
		`"SNS:RemovePermission","SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic","SNS:Publish"],` +
		`"Resource":"` + arn + `","Condition":{"StringEquals":{"AWS:SourceOwner":"` + s.opts.Account + `"}}}]}`
}

var feedback = regexp.MustCompile(`^(HTTP|Firehose|Lambda|Application|SQS)(SuccessFeedbackRoleArn|FailureFeedbackRoleArn|SuccessFeedbackSampleRate)$`)

// set sets one attribute of a topic; "" takes it away, or back to the default.
func (s *Service) set(t *topic, name, value string) error {
	switch name {
	case "Policy":
		if value == "" {
			value = s.defaultPolicy(t.ARN)
		}
		doc, err := policy.Parse([]byte(value))
		if err == nil {
			err = doc.Validate(policy.ResourcePolicy)
		}
		if err != nil {
			return invalid("Policy Error: %v", err)
		}
	case "DeliveryPolicy":
		if value != "" && !json.Valid([]byte(value)) {
			return invalid("DeliveryPolicy: can't be read")
		}
	case "DisplayName":
		if len(value) > 100 {
			return invalid("DisplayName: too long")
		}
	case "TracingConfig":
		if value != "" && value != "Active" && value != "PassThrough" {
			return invalid("TracingConfig: %s", value)
		}
	case "SignatureVersion":
		if value != "" && value != "1" && value != "2" {
			return invalid("SignatureVersion: %s", value)
		}
	case "KmsMasterKeyId":
	case "FifoTopic", "ContentBasedDeduplication", "FifoThroughputScope", "ArchivePolicy":
		if value != "" && value != "false" {
			return invalid("%s: this endpoint has no FIFO topics", name)
		}
		return nil
	default:
		if !feedback.MatchString(name) {
			return invalid("AttributeName")
		}
	}
	t.Attributes[name] = value
	if value == "" {
		delete(t.Attributes, name)
	}
	return nil
}

type createInput struct {
	Name       string
	Attributes map[string]string
	Tags       []tag
}

type topicOutput struct {
	TopicARN string `aws:"TopicArn"`
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

func (s *Service) createTopic(c *awsapi.Call, in *createInput) (any, error) {
	if !namePattern.MatchString(in.Name) {
		return nil, invalid("Topic Name")
	}
	t := &topic{ARN: s.arn(c.Region, in.Name), Name: in.Name, Region: c.Region, Attributes: map[string]string{}}
	t.Attributes["Policy"] = s.defaultPolicy(t.ARN)
	for name, value := range in.Attributes {
		if err := s.set(t, name, value); err != nil {
			return nil, err
		}
	}
	var err error
	if t.Tags, err = addTags(nil, in.Tags); err != nil {
		return nil, err
	}
	err = s.opts.State.Update(func(tx *state.Tx) error {
		var there topic
		found, err := tx.Get(topicsBucket, t.ARN, &there)
		if err != nil {
			return err
		}
		if !found {
			return tx.Put(topicsBucket, t.ARN, t)
		}
		for name := range in.Attributes {
			if there.Attributes[name] != t.Attributes[name] {
				return invalid("Attributes Reason: Topic already exists with different attributes")
			}
		}
		for _, tag := range in.Tags {
			if !slices.Contains(there.Tags, tag) {
				return invalid("Tags Reason: Topic already exists with different tags")
			}
		}
		return nil
	})
	return &topicOutput{t.ARN}, err
}

type topicInput struct {
	TopicARN string `aws:"TopicArn"`
}

func (in *topicInput) arn() string { return in.TopicARN }

// deleteTopic deletes a topic with its subscriptions; one that isn't there is no error.
func (s *Service) deleteTopic(_ *awsapi.Call, in *topicInput) (any, error) {
	return nil, s.opts.State.Update(func(tx *state.Tx) error {
		all, err := state.ListTx[subscription](tx, subscriptionsBucket, in.TopicARN+":")
		if err != nil {
			return err
		}
		for _, sub := range all {
			if err := tx.Delete(subscriptionsBucket, sub.Key); err != nil {
				return err
			}
		}
		return tx.Delete(topicsBucket, in.TopicARN)
	})
}

type attributesOutput struct {
	Attributes map[string]string
}

// effectiveDelivery is what applies to a topic without a delivery policy.
const effectiveDelivery = `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,` +
	`"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},` +
	`"disableSubscriptionOverrides":false,"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}`

func (s *Service) getTopic(_ *awsapi.Call, in *topicInput) (any, error) {
	var t *topic
	confirmed, pending := 0, 0
	err := s.opts.State.View(func(tx *state.Tx) (err error) {
		if t, err = s.getTopicTx(tx, in.TopicARN); err != nil {
			return err
		}
		all, err := state.ListTx[subscription](tx, subscriptionsBucket, t.ARN+":")
		for _, sub := range all {
			if sub.Value.Pending {
				pending++
			} else {
				confirmed++
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	a := map[string]string{
		"TopicArn": t.ARN, "Owner": s.opts.Account, "DisplayName": "", "EffectiveDeliveryPolicy": effectiveDelivery,
		"SubscriptionsConfirmed": strconv.Itoa(confirmed), "SubscriptionsPending": strconv.Itoa(pending), "SubscriptionsDeleted": "0",
	}
	maps.Copy(a, t.Attributes)
	return &attributesOutput{a}, nil
}

type setTopicInput struct {
	TopicARN       string `aws:"TopicArn"`
	AttributeName  string
	AttributeValue string
}

func (in *setTopicInput) arn() string { return in.TopicARN }

func (s *Service) setTopic(_ *awsapi.Call, in *setTopicInput) (any, error) {
	return nil, s.change(in.TopicARN, func(t *topic) error { return s.set(t, in.AttributeName, in.AttributeValue) })
}

type listInput struct{ NextToken string }

type topicsOutput struct {
	Topics    []topicOutput `aws:",keep"`
	NextToken string
}

// pageSize is how many topics or subscriptions a list has.
const pageSize = 100

func (s *Service) listTopics(c *awsapi.Call, in *listInput) (any, error) {
	all, err := state.List[topic](s.opts.State, topicsBucket, s.arn(c.Region, ""))
	if err != nil {
		return nil, err
	}
	out := &topicsOutput{}
	for _, t := range all {
		if t.Key <= in.NextToken {
			continue
		}
		if len(out.Topics) == pageSize {
			out.NextToken = out.Topics[pageSize-1].TopicARN
			break
		}
		out.Topics = append(out.Topics, topicOutput{t.Key})
	}
	return out, nil
}

// addTags returns the tags with more added, in the order they came.
func addTags(tags, more []tag) ([]tag, error) {
	sum := slices.Clone(tags)
	for _, t := range more {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, invalid("Tag key %q or its value is not valid", t.Key)
		}
		i := slices.IndexFunc(sum, func(old tag) bool { return old.Key == t.Key })
		if i < 0 {
			sum = append(sum, t)
		} else {
			sum[i] = t
		}
	}
	if len(sum) > 50 {
		return nil, fail("TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded")
	}
	return sum, nil
}

type resourceInput struct {
	ResourceARN string `aws:"ResourceArn"`
	Tags        []tag
	TagKeys     []string
}

func (in *resourceInput) arn() string { return in.ResourceARN }

// tagged changes a topic by its tag operations, whose error for a missing one is another.
func (s *Service) tagged(in *resourceInput, fn func(t *topic) error) error {
	err := s.change(in.ResourceARN, fn)
	if e, ok := err.(*awsapi.Error); ok && e.Code == "NotFound" {
		return &awsapi.Error{Code: "ResourceNotFound", Message: "Resource does not exist", Status: e.Status, Recorded: "ResourceNotFoundException"}
	}
	return err
}

func (s *Service) tag(_ *awsapi.Call, in *resourceInput) (any, error) {
	return &struct{}{}, s.tagged(in, func(t *topic) (err error) {
		t.Tags, err = addTags(t.Tags, in.Tags)
		return err
	})
}

func (s *Service) untag(_ *awsapi.Call, in *resourceInput) (any, error) {
	return &struct{}{}, s.tagged(in, func(t *topic) error {
		t.Tags = slices.DeleteFunc(t.Tags, func(t tag) bool { return slices.Contains(in.TagKeys, t.Key) })
		return nil
	})
}

type tagsOutput struct {
	Tags []tag `aws:",keep"`
}

func (s *Service) listTags(_ *awsapi.Call, in *resourceInput) (any, error) {
	out := &tagsOutput{}
	return out, s.tagged(in, func(t *topic) error { out.Tags = t.Tags; return nil })
}
