// Package provision is the AWS set-up as data: a trail for AI services, the bucket it delivers to, the log group it
// writes to and the role it does so with.
//
// A [Setup] says what is wanted. Its methods give every name, ARN, policy document and event selector of it, and
// [Setup.Resources] the whole desired state as a list. They are pure: the same Setup gives the same bytes, and nothing is
// asked of AWS. Infrastructure programs and templates are made from the list, and package live reads and writes an
// account by it through the AWS APIs: so they can't drift apart.
//
// What holds of every set-up:
//   - The trail is of all Regions, with global service events and log file validation.
//   - Each policy allows one service principal what CloudTrail needs and no more. The bucket's statements for CloudTrail
//     hold for this trail alone (aws:SourceArn); the role's policy has no such condition, because AWS doesn't support one
//     there.
//   - The trail never records the bucket it delivers to.
//   - Names are chosen beforehand, so policies can name the trail before it exists.
//
// Sources: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html,
// cloudtrail-required-policy-for-cloudwatch-logs.html and logging-data-events-with-cloudtrail.html beside it.
package provision
