package sqs

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// The buckets of the state store.
const (
	queuesBucket   = "sqs.queues"   // REGION/NAME → queue
	messagesBucket = "sqs.messages" // QUEUE ID/ORDER → message
)

// queue is a queue.
type queue struct {
	ID                string // never used again, unlike names
	Name, Region, ARN string
	Attributes        map[string]string // those that were set
	Tags              map[string]string `json:",omitempty"`
	Created, Modified time.Time
}

// number is an attribute that is a number, in its bounds.
type number struct{ least, most, standard int }

// numbers are the attributes that are numbers
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html).
func numbers() map[string]number {
	return map[string]number{
		"DelaySeconds":                  {0, 900, 0},
		"MaximumMessageSize":            {1024, 1 << 20, 1 << 20},
		"MessageRetentionPeriod":        {60, 1209600, 345600},
		"ReceiveMessageWaitTimeSeconds": {0, 20, 0},
		"VisibilityTimeout":             {0, 43200, 30},
		"KmsDataKeyReusePeriodSeconds":  {60, 86400, 300},
	}
}

// get returns a number attribute.
func (q *queue) get(name string) int {
	if n, err := strconv.Atoi(q.Attributes[name]); err == nil {
		return n
	}
	return numbers()[name].standard
}

func (q *queue) seconds(name string) time.Duration { return time.Duration(q.get(name)) * time.Second }

func (q *queue) policy() *policy.Document { return parsePolicy(q.Attributes["Policy"]) }

// redrive is a queue's dead-letter queue.
type redrive struct {
	Target string          `json:"deadLetterTargetArn"`
	Max    json.RawMessage `json:"maxReceiveCount"` // a number, or one as text
}

func parseRedrive(text string) (target string, most int, ok bool) {
	var r redrive
	if json.Unmarshal([]byte(text), &r) != nil || r.Target == "" {
		return "", 0, false
	}
	most, err := strconv.Atoi(strings.Trim(string(r.Max), `"`))
	return r.Target, most, err == nil && most >= 1 && most <= 1000
}

func getQueue(tx *state.Tx, region, name string) (*queue, error) {
	var q queue
	found, err := tx.Get(queuesBucket, region+"/"+name, &q)
	if err == nil && !found {
		err = fail(noQueue, "The specified queue does not exist.")
	}
	return &q, err
}

// open reads the queue that an input names.
func (s *Service) open(c *awsapi.Call, in any) (q *queue, err error) {
	err = s.opts.State.View(func(tx *state.Tx) error {
		q, err = getQueue(tx, c.Region, nameOf(c, in))
		return err
	})
	return q, err
}

// change changes a queue.
func (s *Service) change(c *awsapi.Call, in any, fn func(tx *state.Tx, q *queue) error) error {
	return s.opts.State.Update(func(tx *state.Tx) error {
		q, err := getQueue(tx, c.Region, nameOf(c, in))
		if err != nil {
			return err
		}
		if err := fn(tx, q); err != nil {
			return err
		}
		return tx.Put(queuesBucket, c.Region+"/"+q.Name, q)
	})
}

// setAttribute sets one attribute of a queue; "" takes it away.
func (s *Service) setAttribute(tx *state.Tx, q *queue, name, value string) error {
	bad := func() error { return fail(invalidValue, "Invalid value for the parameter %s.", name) }
	if n, ok := numbers()[name]; ok {
		v, err := strconv.Atoi(value)
		if err != nil || v < n.least || v > n.most {
			return bad()
		}
		q.Attributes[name] = strconv.Itoa(v)
		return nil
	}
	switch name {
	case "Policy":
		if value != "" && parsePolicy(value) == nil {
			return bad()
		}
	case "RedrivePolicy":
		if target, _, ok := parseRedrive(value); value != "" {
			region, dead, isQueue := parseARN(target)
			if !ok || !isQueue || region != q.Region {
				return fail(invalidValue, "Value %s for parameter RedrivePolicy is invalid. Reason: Invalid value for deadLetterTargetArn or maxReceiveCount.", value)
			}
			if _, err := getQueue(tx, region, dead); err != nil {
				return fail(invalidValue, "Value %s for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.", value)
			}
		}
	case "RedriveAllowPolicy":
		if value != "" && !json.Valid([]byte(value)) {
			return bad()
		}
	case "KmsMasterKeyId":
		if value != "" {
			q.Attributes["SqsManagedSseEnabled"] = "false"
		}
	case "SqsManagedSseEnabled":
		if value != "true" && value != "false" {
			return bad()
		}
		if value == "true" {
			delete(q.Attributes, "KmsMasterKeyId")
		}
	case "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit":
		if value == "" || name == "FifoQueue" && value == "false" {
			return nil
		}
		return fail("UnsupportedOperation", "This endpoint has no FIFO queues.")
	default:
		return fail("InvalidAttributeName", "Unknown Attribute %s.", name)
	}
	q.Attributes[name] = value
	if value == "" {
		delete(q.Attributes, name)
	}
	return nil
}

func (s *Service) setAll(tx *state.Tx, q *queue, attributes map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if err := s.setAttribute(tx, q, name, attributes[name]); err != nil {
			return err
		}
	}
	q.Modified = s.now()
	return nil
}

// shown are a queue's attributes as GetQueueAttributes tells them, without the counts.
func (q *queue) shown() map[string]string {
	out := maps.Clone(q.Attributes)
	out["QueueArn"] = q.ARN
	out["CreatedTimestamp"] = strconv.FormatInt(q.Created.Unix(), 10)
	out["LastModifiedTimestamp"] = strconv.FormatInt(q.Modified.Unix(), 10)
	for name, n := range numbers() {
		if _, set := out[name]; !set && name != "KmsDataKeyReusePeriodSeconds" {
			out[name] = strconv.Itoa(n.standard)
		}
	}
	if out["KmsMasterKeyId"] == "" && out["SqsManagedSseEnabled"] == "" {
		out["SqsManagedSseEnabled"] = "true"
	}
	return out
}

type createInput struct {
	QueueName  string
	Attributes map[string]string `aws:",flat=Attribute:Name:Value"`
	Tags       map[string]string `aws:"tags,flat=Tag:Key:Value"`
}

type urlOutput struct {
	QueueURL string `aws:"QueueUrl"`
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}(\.fifo)?$`)

func (s *Service) createQueue(c *awsapi.Call, in *createInput) (any, error) {
	if !namePattern.MatchString(in.QueueName) {
		return nil, fail(invalidValue, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	if strings.HasSuffix(in.QueueName, ".fifo") {
		return nil, fail("UnsupportedOperation", "This endpoint has no FIFO queues.")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	err := s.opts.State.Update(func(tx *state.Tx) error {
		q := &queue{
			ID: strings.ToLower(rand.Text()), Name: in.QueueName, Region: c.Region, ARN: s.arn(c.Region, in.QueueName),
			Attributes: map[string]string{}, Tags: in.Tags, Created: s.now(),
		}
		if err := s.setAll(tx, q, in.Attributes); err != nil {
			return err
		}
		var there queue
		found, err := tx.Get(queuesBucket, c.Region+"/"+q.Name, &there)
		if err != nil {
			return err
		}
		if found {
			// What is there already is answered, if it is as wished.
			for name := range in.Attributes {
				if there.shown()[name] != q.shown()[name] {
					return fail("QueueNameExists", "A queue already exists with the same name and a different value for attribute %s", name)
				}
			}
			return nil
		}
		return tx.Put(queuesBucket, c.Region+"/"+q.Name, q)
	})
	return &urlOutput{s.url(c, in.QueueName)}, err
}

func (s *Service) deleteQueue(c *awsapi.Call, in *queueInput) (any, error) {
	return nil, s.opts.State.Update(func(tx *state.Tx) error {
		q, err := getQueue(tx, c.Region, nameOf(c, in))
		if err != nil {
			return err
		}
		if err := clear(tx, q); err != nil {
			return err
		}
		return tx.Delete(queuesBucket, c.Region+"/"+q.Name)
	})
}

// clear deletes a queue's messages.
func clear(tx *state.Tx, q *queue) error {
	all, err := state.ListTx[json.RawMessage](tx, messagesBucket, q.ID+"/")
	if err != nil {
		return err
	}
	for _, m := range all {
		if err := tx.Delete(messagesBucket, m.Key); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) purge(c *awsapi.Call, in *queueInput) (any, error) {
	return nil, s.change(c, in, clear)
}

type attributesInput struct {
	QueueURL       string   `aws:"QueueUrl"`
	AttributeNames []string `aws:",flat=AttributeName"`
}

func (in *attributesInput) queue() string { return in.QueueURL }

type attributesOutput struct {
	Attributes map[string]string `aws:",flat=Attribute:Name:Value"`
}

func (s *Service) getAttributes(c *awsapi.Call, in *attributesInput) (any, error) {
	var all map[string]string
	err := s.opts.State.View(func(tx *state.Tx) error {
		q, err := getQueue(tx, c.Region, nameOf(c, in))
		if err != nil {
			return err
		}
		all = q.shown()
		return s.count(tx, q, all)
	})
	if err != nil {
		return nil, err
	}
	if slices.Contains(in.AttributeNames, "All") {
		return &attributesOutput{all}, nil
	}
	some := map[string]string{}
	for _, name := range in.AttributeNames {
		if v, ok := all[name]; ok {
			some[name] = v
		}
	}
	return &attributesOutput{some}, nil
}

// count adds the numbers of a queue's messages to its attributes.
func (s *Service) count(tx *state.Tx, q *queue, into map[string]string) error {
	visible, hidden, delayed := 0, 0, 0
	now := s.now()
	err := tx.Each(messagesBucket, q.ID+"/", "", func(_ string, decode func(any) error) error {
		var m message
		if err := decode(&m); err != nil {
			return err
		}
		switch {
		case m.Sent.Add(q.seconds("MessageRetentionPeriod")).Before(now):
		case !m.Visible.After(now):
			visible++
		case m.Received == 0:
			delayed++
		default:
			hidden++
		}
		return nil
	})
	into["ApproximateNumberOfMessages"] = strconv.Itoa(visible)
	into["ApproximateNumberOfMessagesNotVisible"] = strconv.Itoa(hidden)
	into["ApproximateNumberOfMessagesDelayed"] = strconv.Itoa(delayed)
	return err
}

type setInput struct {
	QueueURL   string            `aws:"QueueUrl"`
	Attributes map[string]string `aws:",flat=Attribute:Name:Value"`
}

func (in *setInput) queue() string { return in.QueueURL }

func (s *Service) setAttributes(c *awsapi.Call, in *setInput) (any, error) {
	return nil, s.change(c, in, func(tx *state.Tx, q *queue) error { return s.setAll(tx, q, in.Attributes) })
}

type urlInput struct{ QueueName string }

func (s *Service) getURL(c *awsapi.Call, in *urlInput) (any, error) {
	q, err := s.open(c, in)
	if err != nil {
		return nil, err
	}
	return &urlOutput{s.url(c, q.Name)}, nil
}

type listInput struct {
	QueueNamePrefix string
	MaxResults      int
	NextToken       string
}

type listOutput struct {
	QueueURLs []string `aws:"QueueUrls,flat=QueueUrl"`
	NextToken string
}

func (s *Service) listQueues(c *awsapi.Call, in *listInput) (any, error) {
	return s.list(c, in.QueueNamePrefix, in.NextToken, in.MaxResults, func(*queue) bool { return true })
}

func (s *Service) list(c *awsapi.Call, prefix, after string, most int, has func(*queue) bool) (*listOutput, error) {
	all, err := state.List[queue](s.opts.State, queuesBucket, c.Region+"/"+prefix)
	if err != nil {
		return nil, err
	}
	out, last := &listOutput{}, ""
	for i := range all {
		q := &all[i].Value
		if q.Name <= after || !has(q) {
			continue
		}
		if len(out.QueueURLs) == cmp.Or(most, 1000) {
			out.NextToken = last
			break
		}
		last = q.Name
		out.QueueURLs = append(out.QueueURLs, s.url(c, q.Name))
	}
	return out, nil
}

type sourcesInput struct {
	QueueURL   string `aws:"QueueUrl"`
	MaxResults int
	NextToken  string
}

func (in *sourcesInput) queue() string { return in.QueueURL }

type sourcesOutput struct {
	QueueURLs []string `aws:"queueUrls,keep,flat=QueueUrl"`
	NextToken string
}

func (s *Service) listSources(c *awsapi.Call, in *sourcesInput) (any, error) {
	dead, err := s.open(c, in)
	if err != nil {
		return nil, err
	}
	out, err := s.list(c, "", in.NextToken, in.MaxResults, func(q *queue) bool {
		target, _, _ := parseRedrive(q.Attributes["RedrivePolicy"])
		return target == dead.ARN
	})
	if err != nil {
		return nil, err
	}
	return &sourcesOutput{out.QueueURLs, out.NextToken}, nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > 50 {
		return fail(invalidValue, "Too many tags.")
	}
	for k, v := range tags {
		if k == "" || len(k) > 128 || len(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return fail(invalidValue, "Tag key %q or its value is not valid.", k)
		}
	}
	return nil
}

type tagInput struct {
	QueueURL string            `aws:"QueueUrl"`
	Tags     map[string]string `aws:",flat=Tag:Key:Value"`
}

func (in *tagInput) queue() string { return in.QueueURL }

func (s *Service) tag(c *awsapi.Call, in *tagInput) (any, error) {
	return nil, s.change(c, in, func(_ *state.Tx, q *queue) error {
		if q.Tags == nil {
			q.Tags = map[string]string{}
		}
		maps.Copy(q.Tags, in.Tags)
		return checkTags(q.Tags)
	})
}

type untagInput struct {
	QueueURL string   `aws:"QueueUrl"`
	TagKeys  []string `aws:",flat=TagKey"`
}

func (in *untagInput) queue() string { return in.QueueURL }

func (s *Service) untag(c *awsapi.Call, in *untagInput) (any, error) {
	return nil, s.change(c, in, func(_ *state.Tx, q *queue) error {
		maps.DeleteFunc(q.Tags, func(k, _ string) bool { return slices.Contains(in.TagKeys, k) })
		return nil
	})
}

type tagsOutput struct {
	Tags map[string]string `aws:",flat=Tag:Key:Value"`
}

func (s *Service) listTags(c *awsapi.Call, in *queueInput) (any, error) {
	q, err := s.open(c, in)
	if err != nil {
		return nil, err
	}
	return &tagsOutput{q.Tags}, nil
}
