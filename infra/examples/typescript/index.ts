// Tracks API calls for AI services: a trail of all Regions, its log bucket, its log group of seven days, and what is between them.
import * as aitrail from "@aitrail/aitrail";

const trail = new aitrail.AuditTrail("cloudtrail", {
    trailName: "default-trail",
    keyPrefix: "cloudtrail",
    logRetentionDays: 7,
    tags: { Name: "default-trail" },
});

export const bucket_name = trail.bucketName;
export const trail_arn = trail.trailArn;
