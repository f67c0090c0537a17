// Package query answers SQL and ready-made questions over one state of a lake.
//
// [Open] pins the lake's current snapshot and shows it as six views:
//
//   - events: every event, all columns of the lake's table of that name;
//   - calls: AI calls, one row a call, however many records CloudTrail wrote for it (see callsSQL);
//   - invocations: of models, from model invocation logs; calls has what they tell;
//   - log_files: the files that were collected, and digests: what those of them say that are digests;
//   - cloudtrail_lake: every event with the columns of AWS's CloudTrail Lake. Statements that read it are in Lake's
//     dialect, Trino's, whose functions are macros and whose syntax is rewritten token by token (see rewriteLake).
//
// Invariants:
//   - Reading only: one SELECT (or EXPLAIN, DESCRIBE, SHOW, SUMMARIZE) a query. The statement's syntax tree is checked
//     against lists of what is allowed; besides that DuckDB is told to open no file but the snapshot's, to load no
//     extension, and not to change its configuration. SQL can reach no other file, no network and no environment.
//   - Bounded: what DuckDB keeps of tables, sorts, joins and results, its temporary files, threads and time have limits;
//     cancelling the context ends a query. DuckDB counts no memory, and heeds no cancellation, inside one call of a
//     function. So functions that make a large value of small ones take constants up to a limit, and who asks gets an answer
//     soon after the time is over even when DuckDB goes on. docs/decisions/0011 says what that leaves.
//   - Never an empty success: what can't be run is an [*Error] that names the construct and where it stands.
//   - Values never become SQL text: filters are bound parameters.
//   - Time zone UTC.
//
// The package alone knows DuckDB; none of its types is exported. It writes nothing to the lake.
package query
