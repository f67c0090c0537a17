// Package lake keeps collected events in Apache Iceberg tables: "events", a row an event, and "log_files", a row a log
// file. Any Iceberg reader can read them; docs/formats/lake.md describes them.
//
// Invariants:
//   - Lossless: a row gives back the event it was made from, which encodes to the record in the log file.
//   - Once: a log file's events are in the table exactly once, whatever fails at whichever moment and however many
//     processes collect. An event that several log files hold (the same eventID for the same recipient account) is one row.
//   - Atomic and durable: a batch is in the lake whole or not at all, and when [Batch.Commit] returns it is on disk.
//   - Readers never wait: they see the state of the last commit; commits wait for each other on a file lock.
//   - Bounded: memory doesn't grow with log files or batches beyond their event identities (some 60 bytes an event).
//
// The package alone knows Iceberg, Arrow and Parquet; none of their types is exported. It doesn't read sources (package
// collect does) and runs no SQL (package query does).
package lake
