// Command go tracks API calls for AI services: a trail of all Regions, its log bucket, its log group of seven days, and what is
// between them. Go programs use the component as a package; a plugin isn't needed.
package main

import (
	"github.com/aitrail/aitrail/infra/audittrail"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		trail, err := audittrail.NewAuditTrail(ctx, "cloudtrail", &audittrail.AuditTrailArgs{
			TrailName:        "default-trail",
			KeyPrefix:        "cloudtrail",
			LogRetentionDays: 7,
			Tags:             map[string]string{"Name": "default-trail"},
		})
		if err != nil {
			return err
		}
		ctx.Export("bucket_name", trail.BucketName)
		ctx.Export("trail_arn", trail.TrailArn)
		return nil
	})
}
