"""Tracks API calls for AI services: a trail of all Regions, its log bucket, its log group of seven days, and what is between them."""

import pulumi
import aitrail_aitrail as aitrail

trail = aitrail.AuditTrail(
    "cloudtrail",
    trail_name="default-trail",
    key_prefix="cloudtrail",
    log_retention_days=7,
    tags={"Name": "default-trail"},
)

# Export the bucket name and trail ARN.
pulumi.export("bucket_name", trail.bucket_name)
pulumi.export("trail_arn", trail.trail_arn)
