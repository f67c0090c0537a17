// Package collect finds log files and events in sources and hands each on to the lake, once.
//
// A source is a folder (read recursively), a file, a bucket with a prefix (s3://bucket/prefix), a queue that is told of
// new log files (sqs:URL), a trail's log group (logs:GROUP) or the event history (history:REGION,…); docs/sources.md
// describes them. [Collect] brings what there is, a [Follower] what comes too. Several readers fetch, inflate and decode;
// what they read is committed in batches of some 100,000 events.
//
// Invariants:
//   - Nothing is dropped in silence. An object is collected, or skipped because the lake has it, or in quarantine with
//     the reason, or a digest (left to package digest), or counted as something other than a log file, or among the
//     report's errors. A source in which no log file was found is an error ([NoLogFilesError]).
//   - A log file whose text can't be read to its end as AWS writes it goes to quarantine whole: none of its events
//     enter the lake, so no answer rests on half a file. It is tried again when its size or ETag changes.
//   - Only what was read in full counts as read: when the store fails halfway, the file is an error of this run and the
//     next run reads it; it is never quarantined for the network's faults.
//   - A log file that the lake has is not opened again. Any number of collectors may work on one source.
//   - A follower acts on what it read (deletes a message, moves a cursor) only after the commit that brought it. So a
//     message comes again, and what is behind a cursor is read again, until it is in the lake. A cursor only spares work.
//   - A place or source that can't be read is tried again, and the others go on.
//   - Memory is bounded by Options, not by the size of files or sources: text is inflated and decoded as a stream.
//   - What a commit confirmed stays, whenever the process is killed; a cancelled context ends the run in order.
//
// The package writes no output; callers show Progress and Report. It doesn't judge digests and computes no normal form:
// packages digest and lake do.
package collect
