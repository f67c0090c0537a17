// Package logs is the endpoint's CloudWatch Logs: log groups, streams and their events, with retention, tags, and
// filter patterns on reading.
//
// All of it is in the state store. Events are stored as they came, a chunk a call, compressed; a chunk's header with its
// times is apart, so that reading a time passes over the rest. Events are read in the order of their time, those of one
// time in the order in which they came.
//
// Retention is enforced on reading: an expired event is never answered. Its space is freed when its stream is next
// written to.
//
// Metric filters are kept and described, and their patterns checked; there are no metrics that they would make. A group's
// KMS key is checked and shown, and encrypts nothing.
//
// What it is not: it has no subscriptions or Insights queries; what isn't served is refused.
package logs
