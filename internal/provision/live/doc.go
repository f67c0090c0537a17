// Package live makes an AWS account as a set-up says, through the AWS APIs, and tells how it stands.
//
// [Plan] compares, [Apply] makes it so, [Down] takes it away again. All go by the list of [provision.Setup.Resources]; each
// kind of resource has a driver that reads it in the shape of the wanted properties, so one comparison serves all.
//
// What holds:
//   - Apply adds to what is there and never replaces it: other statements of a policy, other rules of a bucket, other
//     selectors of a trail, other tags stay. What it creates carries a tag by which Down knows it.
//   - Down removes only that, and keeps what holds something: log files, events, tables, and the key they are encrypted with.
//   - Each may be interrupted at any moment and run again; it goes on from there. Plan writes nothing.
//
// Nothing here prints. Errors of AWS's are passed on, wrapped; [IsAccessDenied] knows those of missing rights.
package live
