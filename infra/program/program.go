// Package program is the Pulumi program of the set-up: one [audittrail.AuditTrail] and its outputs. The project beside it runs
// it with Pulumi's configuration, the companion binary with the set-up that aitrail gives it.
package program

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/aitrail/aitrail/infra/audittrail"
	"github.com/aitrail/aitrail/internal/provision"
	"github.com/pulumi/pulumi-aws/sdk/v7/go/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

// Project is the name of the Pulumi project, and Name that of the component in it: URNs are made of both.
const (
	Project = "aitrail"
	Name    = "aitrail"
)

// Options are what a program needs to know besides the set-up. The zero value is good.
type Options struct {
	Protect  bool   `json:"protect,omitempty"`  // Pulumi refuses to delete what holds something
	Endpoint string `json:"endpoint,omitempty"` // of all AWS services; "" is AWS's own
}

// Configured is the program of the Pulumi project: the set-up is the object "setup" of its configuration, with the names that
// provision.Setup has in JSON; all of it may be left out.
func Configured(ctx *pulumi.Context) error {
	c := config.New(ctx, "")
	var s provision.Setup
	if text := c.Get("setup"); text != "" {
		d := json.NewDecoder(bytes.NewReader([]byte(text)))
		d.DisallowUnknownFields()
		err := d.Decode(&s)
		if err == nil && d.More() {
			err = fmt.Errorf("something follows the object")
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("configuration %s:setup: %w; docs/pulumi.md lists what it may have", ctx.Project(), err)
		}
	}
	return deploy(ctx, s, c.GetBool("protect"))
}

// Inline is the program for one set-up. Its AWS provider holds to the set-up's Region and account: credentials of another
// account are refused before anything is made. Credentials come from AWS's own chain.
func Inline(s provision.Setup, o Options) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		p, err := aws.NewProvider(ctx, "aws", provider(s, o))
		if err != nil {
			return err
		}
		return deploy(ctx, s, o.Protect, pulumi.Provider(p))
	}
}

func deploy(ctx *pulumi.Context, s provision.Setup, protect bool, opts ...pulumi.ResourceOption) error {
	args := audittrail.FromSetup(s)
	args.Protect = protect
	t, err := audittrail.NewAuditTrail(ctx, Name, args, opts...)
	if err != nil {
		return err
	}
	for name, v := range map[string]pulumi.StringOutput{
		"bucket_name": t.BucketName, "trail_arn": t.TrailArn, "trail_name": t.TrailName, "key_prefix": t.KeyPrefix, "account": t.AccountID, "region": t.Region,
		"log_group_name": t.LogGroup, "log_group_arn": t.LogGroupArn, "role_arn": t.RoleArn, "queue_url": t.QueueURL, "queue_arn": t.QueueArn, "kms_key_arn": t.KmsKeyArn,
		"invocation_bucket_name": t.InvocationBucket, "lake_bucket_name": t.LakeBucket, "database_name": t.Database, "workgroup_name": t.Workgroup,
	} {
		ctx.Export(name, v)
	}
	return nil
}

func provider(s provision.Setup, o Options) *aws.ProviderArgs {
	args := &aws.ProviderArgs{Region: pulumi.StringPtr(s.Region), AllowedAccountIds: pulumi.ToStringArray([]string{s.Account})}
	if o.Endpoint != "" {
		e := pulumi.StringPtr(o.Endpoint)
		args.S3UsePathStyle = pulumi.BoolPtr(true)
		args.Endpoints = aws.ProviderEndpointArray{aws.ProviderEndpointArgs{
			Athena: e, Bedrock: e, Cloudtrail: e, Logs: e, Glue: e, Iam: e, Kms: e, Organizations: e, S3: e, Sqs: e, Sts: e,
		}}
	}
	return args
}
