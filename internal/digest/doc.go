// Package digest signs and verifies CloudTrail's digests.
//
// A digest is a file in which CloudTrail names the log files it delivered in a period (an hour), with the SHA-256 of
// each file's uncompressed content. A digest also names its predecessor, with that file's hash and signature, so the
// digests of one trail, account and Region form a chain; its own signature rests beside it, in the object's metadata.
// The format is described on AWS's "CloudTrail digest file structure" page
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html);
// what exactly is signed is what the AWS CLI's `aws cloudtrail validate-logs` checks.
//
// [Seal] writes a digest as CloudTrail does. [Verify] reads the chains that a [Source] holds and says, for every digest
// and log file, what holds. A verdict is data, in a [Report]; an error means that none could be reached.
//
// What is believed: a digest whose signature verifies with one of CloudTrail's public keys. Where a copy has lost the
// metadata, the signature is taken from the next digest, which carries it; a signature proves a digest whoever carries
// it. What a digest that failed says of others is not believed; what one says that can't be told is compared, because a
// contradiction shows that one of the two was altered.
//
// The package is pure: it uses the standard library and package cloudtrail, opens nothing itself and logs nothing. What
// it reads is bounded: see [MaxDigest] and [MaxLogFile].
package digest
