// Command stack-reference is a stack beside the set-up's: it takes the names of bucket and queue from there, and gives a
// collector the rights to read both.
package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

func main() { pulumi.Run(collector) }

func collector(ctx *pulumi.Context) error {
	// ORGANIZATION/aitrail/STACK; with a back end of one's own the organization is called "organization".
	setup, err := pulumi.NewStackReference(ctx, config.New(ctx, "").Require("setup"), nil)
	if err != nil {
		return err
	}
	bucket, queue := setup.GetStringOutput(pulumi.String("bucket_name")), setup.GetStringOutput(pulumi.String("queue_url"))
	region, account := setup.GetStringOutput(pulumi.String("region")), setup.GetStringOutput(pulumi.String("account"))
	policy := pulumi.All(bucket, queue, region, account).ApplyT(func(v []any) (string, error) {
		return document(v[0].(string), v[1].(string), v[2].(string), v[3].(string))
	}).(pulumi.StringOutput)
	made, err := iam.NewPolicy(ctx, "collector", &iam.PolicyArgs{
		Description: pulumi.String("Read what the trail delivers"), Policy: policy,
	})
	if err != nil {
		return err
	}
	ctx.Export("policy_arn", made.Arn)
	return nil
}

// document allows to read the bucket's objects and to take messages off the queue.
func document(bucket, queue, region, account string) (string, error) {
	partition := "aws"
	switch {
	case strings.HasPrefix(region, "cn-"):
		partition = "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		partition = "aws-us-gov"
	}
	type statement struct {
		Effect   string
		Action   []string
		Resource string
	}
	bucketARN := "arn:" + partition + ":s3:::" + bucket
	list := []statement{
		{"Allow", []string{"s3:ListBucket", "s3:GetBucketLocation"}, bucketARN},
		{"Allow", []string{"s3:GetObject"}, bucketARN + "/*"},
	}
	if queue != "" {
		name := queue[strings.LastIndex(queue, "/")+1:]
		list = append(list, statement{
			"Allow", []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
			fmt.Sprintf("arn:%s:sqs:%s:%s:%s", partition, region, account, name),
		})
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": list})
	return string(text), err
}
