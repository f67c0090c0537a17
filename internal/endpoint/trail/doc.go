// Package trail is the endpoint's CloudTrail: it keeps what was recorded, delivers it to the trails' buckets and log
// groups, and answers the CloudTrail API.
//
// It has three parts:
//
//   - [Recorder], the record: a write-ahead log of events, in segments of a folder. An event that [Recorder.Record]
//     took is on disk when it returns; the end of a segment that a crash tore is cut off at the next start. Every event
//     has a [Position], which never changes and never means another event. Events are kept for 90 days.
//   - [Service]'s Run and Flush, the delivery: they choose events from the record by a trail's selectors and write log
//     files, log-group events and digests.
//   - [Service] itself, the API: trails, selectors, status, tags, public keys, and LookupEvents over the record.
//
// Delivery is exactly once, whenever the process is killed. What is going to be delivered (a span of the record, its
// time, the selectors) is put into the state before anything is written; names and bytes of files follow from that
// alone, so that a repeat puts the same bytes under the same keys. That a span was delivered, the digest's list of
// files and the events in the log group are then stored in one transaction. Digests are planned and repeated in the
// same way.
//
// A trail gets exactly the events recorded while it was logging, chosen by the selectors that held when they were
// recorded: StopLogging and every change of the selectors end a span. The event of the StopLogging call itself is still
// delivered.
//
// What it is not: it makes no events (the server does), doesn't authenticate, and knows S3, IAM and KMS only through
// the small interfaces in [Options].
package trail
