package sns

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// subscription is a subscription of a topic.
type subscription struct {
	ARN, Topic, Protocol, Endpoint string
	Pending                        bool              // nobody has confirmed it
	Principal                      string            // the ARN of who subscribed
	Attributes                     map[string]string // those that were set
}

const pendingARN = "pending confirmation"

func getSubscriptionTx(tx *state.Tx, arn string) (*subscription, error) {
	if len(strings.Split(arn, ":")) != 7 {
		return nil, invalid("SubscriptionArn Reason: An ARN must have at least 6 elements")
	}
	var sub subscription
	found, err := tx.Get(subscriptionsBucket, arn, &sub)
	if err == nil && !found {
		err = notFound("Subscription does not exist")
	}
	return &sub, err
}

// set sets one attribute of a subscription; "" takes it away.
func (sub *subscription) set(name, value string) error {
	switch name {
	case "RawMessageDelivery":
		if value != "" && value != "true" && value != "false" {
			return invalid("Attributes Reason: RawMessageDelivery: Invalid value [%s]. Must be true or false.", value)
		}
	case "DeliveryPolicy", "RedrivePolicy":
		if value != "" && !json.Valid([]byte(value)) {
			return invalid("Attributes Reason: %s can't be read", name)
		}
	case "FilterPolicy", "FilterPolicyScope", "ReplayPolicy":
		if value != "" {
			return invalid("Attributes Reason: this endpoint has no %s", name)
		}
	default:
		return invalid("AttributeName")
	}
	if sub.Attributes == nil {
		sub.Attributes = map[string]string{}
	}
	sub.Attributes[name] = value
	if value == "" {
		delete(sub.Attributes, name)
	}
	return nil
}

type subscribeInput struct {
	TopicARN              string `aws:"TopicArn"`
	Protocol, Endpoint    string
	Attributes            map[string]string
	ReturnSubscriptionARN bool `aws:"ReturnSubscriptionArn"`
}

func (in *subscribeInput) arn() string { return in.TopicARN }

type subscribeOutput struct {
	SubscriptionARN string `aws:"SubscriptionArn"`
}

func (s *Service) subscribe(c *awsapi.Call, in *subscribeInput) (any, error) {
	sub := &subscription{ARN: in.TopicARN + ":" + uuid.NewString(), Topic: in.TopicARN, Protocol: in.Protocol, Endpoint: in.Endpoint, Principal: c.Caller.ARN}
	switch in.Protocol {
	case "sqs":
		if !strings.HasPrefix(in.Endpoint, "arn:") || !strings.Contains(in.Endpoint, ":sqs:") {
			return nil, invalid("SQS endpoint ARN")
		}
	case "email", "email-json", "http", "https":
		sub.Pending = true
	default:
		return nil, invalid("Does not support this protocol string: %s", in.Protocol)
	}
	for name, value := range in.Attributes {
		if err := sub.set(name, value); err != nil {
			return nil, err
		}
	}
	err := s.opts.State.Update(func(tx *state.Tx) error {
		if _, err := s.getTopicTx(tx, in.TopicARN); err != nil {
			return err
		}
		all, err := state.ListTx[*subscription](tx, subscriptionsBucket, in.TopicARN+":")
		if err != nil {
			return err
		}
		for _, old := range all {
			if old.Value.Protocol != in.Protocol || old.Value.Endpoint != in.Endpoint {
				continue
			}
			for name, value := range in.Attributes {
				if old.Value.Attributes[name] != value {
					return invalid("Attributes Reason: Subscription already exists with different attributes")
				}
			}
			sub = old.Value
			return nil
		}
		return tx.Put(subscriptionsBucket, sub.ARN, sub)
	})
	if err != nil {
		return nil, err
	}
	if sub.Pending && !in.ReturnSubscriptionARN {
		return &subscribeOutput{pendingARN}, nil
	}
	return &subscribeOutput{sub.ARN}, nil
}

type subscriptionInput struct {
	SubscriptionARN string `aws:"SubscriptionArn"`
}

func (in *subscriptionInput) arn() string { return in.SubscriptionARN }

func (s *Service) unsubscribe(_ *awsapi.Call, in *subscriptionInput) (any, error) {
	return nil, s.opts.State.Update(func(tx *state.Tx) error {
		if _, err := getSubscriptionTx(tx, in.SubscriptionARN); err != nil {
			return err
		}
		return tx.Delete(subscriptionsBucket, in.SubscriptionARN)
	})
}

func (s *Service) getSubscription(_ *awsapi.Call, in *subscriptionInput) (any, error) {
	var sub *subscription
	err := s.opts.State.View(func(tx *state.Tx) (err error) {
		sub, err = getSubscriptionTx(tx, in.SubscriptionARN)
		return err
	})
	if err != nil {
		return nil, err
	}
	pending := "false"
	if sub.Pending {
		pending = "true"
	}
	a := map[string]string{
		"SubscriptionArn": sub.ARN, "TopicArn": sub.Topic, "Owner": s.opts.Account, "Protocol": sub.Protocol,
		"Endpoint": sub.Endpoint, "PendingConfirmation": pending, "RawMessageDelivery": "false",
		"ConfirmationWasAuthenticated": "true", "SubscriptionPrincipal": sub.Principal,
	}
	maps.Copy(a, sub.Attributes)
	return &attributesOutput{a}, nil
}

type setSubscriptionInput struct {
	SubscriptionARN string `aws:"SubscriptionArn"`
	AttributeName   string
	AttributeValue  string
}

func (in *setSubscriptionInput) arn() string { return in.SubscriptionARN }

func (s *Service) setSubscription(_ *awsapi.Call, in *setSubscriptionInput) (any, error) {
	return nil, s.opts.State.Update(func(tx *state.Tx) error {
		sub, err := getSubscriptionTx(tx, in.SubscriptionARN)
		if err != nil {
			return err
		}
		if err := sub.set(in.AttributeName, in.AttributeValue); err != nil {
			return err
		}
		return tx.Put(subscriptionsBucket, sub.ARN, sub)
	})
}

type listByTopicInput struct {
	TopicARN  string `aws:"TopicArn"`
	NextToken string
}

func (in *listByTopicInput) arn() string { return in.TopicARN }

type subscriptionEntry struct {
	SubscriptionARN           string `aws:"SubscriptionArn"`
	Owner, Protocol, Endpoint string
	TopicARN                  string `aws:"TopicArn"`
}

type subscriptionsOutput struct {
	Subscriptions []subscriptionEntry `aws:",keep"`
	NextToken     string
}

func (s *Service) listByTopic(_ *awsapi.Call, in *listByTopicInput) (any, error) {
	err := s.opts.State.View(func(tx *state.Tx) error {
		_, err := s.getTopicTx(tx, in.TopicARN)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.list(in.TopicARN+":", in.NextToken)
}

func (s *Service) listSubscriptions(c *awsapi.Call, in *listInput) (any, error) {
	return s.list(s.arn(c.Region, ""), in.NextToken)
}

func (s *Service) list(prefix, after string) (any, error) {
	all, err := state.List[subscription](s.opts.State, subscriptionsBucket, prefix)
	if err != nil {
		return nil, err
	}
	out, last := &subscriptionsOutput{}, ""
	for _, e := range all {
		if e.Key <= after {
			continue
		}
		if len(out.Subscriptions) == pageSize {
			out.NextToken = last
			break
		}
		sub := &e.Value
		last = e.Key
		entry := subscriptionEntry{sub.ARN, s.opts.Account, sub.Protocol, sub.Endpoint, sub.Topic}
		if sub.Pending {
			entry.SubscriptionARN = "PendingConfirmation"
		}
		out.Subscriptions = append(out.Subscriptions, entry)
	}
	return out, nil
}
