package live

import (
	"context"
	"errors"
	"maps"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/aitrail/aitrail/internal/provision"
)

// errNoQueue means that there is no queue of that name.
var errNoQueue = errors.New("there is no such queue")

func (a *account) queueURL(ctx context.Context) (string, error) {
	out, err := a.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &a.Queue})
	if HasCode(err, "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue") {
		return "", errNoQueue
	}
	if err != nil {
		return "", err
	}
	return aws.ToString(out.QueueUrl), nil
}

// queueAttributes are the queue's, nil where there is no queue; and its address.
func (a *account) queueAttributes(ctx context.Context) (map[string]string, string, error) {
	url, err := a.queueURL(ctx)
	if errors.Is(err, errNoQueue) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	out, err := a.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		return nil, "", err
	}
	return out.Attributes, url, nil
}

func (a *account) readQueue(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	attributes, url, err := a.queueAttributes(ctx)
	if err != nil || attributes == nil {
		return nil, err
	}
	have := provision.Properties{"QueueName": r.Name, "url": url}
	for _, name := range []string{"MessageRetentionPeriod", "VisibilityTimeout"} {
		if n, err := strconv.Atoi(attributes[name]); err == nil {
			have[name] = n
		}
	}
	// A key of somebody's choice encrypts too.
	have["SqsManagedSseEnabled"] = attributes["SqsManagedSseEnabled"] == "true" || attributes["KmsMasterKeyId"] != ""
	tags, err := a.sqs.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &url})
	if err != nil {
		return nil, err
	}
	have["Tags"] = tags.Tags
	return have, nil
}

func (a *account) writeQueue(ctx context.Context, r provision.Resource, have provision.Properties, changed []string) (effect, error) {
	attributes := map[string]string{
		"MessageRetentionPeriod": strconv.Itoa(r.Int("MessageRetentionPeriod")), "VisibilityTimeout": strconv.Itoa(r.Int("VisibilityTimeout")),
		"SqsManagedSseEnabled": strconv.FormatBool(r.Bool("SqsManagedSseEnabled")),
	}
	if have == nil {
		_, err := a.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &r.Name, Attributes: attributes, Tags: a.marked(r)})
		return something, err
	}
	url, _ := have["url"].(string)
	put := map[string]string{}
	for _, name := range changed {
		if v, ok := attributes[name]; ok {
			put[name] = v
		} else if name == "Tags" {
			if _, err := a.sqs.TagQueue(ctx, &sqs.TagQueueInput{QueueUrl: &url, Tags: maps.Clone(r.Tags())}); err != nil {
				return something, err
			}
		}
	}
	if len(put) == 0 {
		return something, nil
	}
	_, err := a.sqs.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: put})
	return something, err
}

func (a *account) removeQueue(ctx context.Context, _ provision.Resource, have provision.Properties) error {
	url, _ := have["url"].(string)
	_, err := a.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &url})
	return err
}

func (a *account) readQueuePolicy(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	attributes, url, err := a.queueAttributes(ctx)
	if err != nil || attributes["Policy"] == "" {
		return nil, err
	}
	ours, others := splitPolicy(attributes["Policy"], r.Text("PolicyDocument"))
	return provision.Properties{"QueueName": r.Name, "PolicyDocument": ours, "others": others, "url": url}, nil
}

func (a *account) writeQueuePolicy(ctx context.Context, r provision.Resource, have provision.Properties, _ []string) (effect, error) {
	url, err := a.queueURL(ctx)
	if err != nil {
		return something, err
	}
	others, _ := have["others"].([]any)
	_, err = a.sqs.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{"Policy": joinPolicy(r.Text("PolicyDocument"), others)}})
	return something, err
}
