// Package daemon keeps a lake up to date for as long as it runs: it follows sources, verifies what came against its
// digests, maintains the lake, and tells how it stands over HTTP.
//
// It is the wiring of stages that don't know each other: package collect reads sources, package lake keeps what they
// hold; verification and maintenance are functions that the caller gives.
//
// Invariants:
//   - Whatever fails, it goes on: a source that can't be read is tried again while the others go on, and after an error
//     of the lake collecting begins anew, from what the lake has. It ends when its context does.
//   - It can be killed at any moment. Nothing is kept that the lake doesn't give back, but for cursors, which may be lost.
//   - Any number of daemons may share sources, a queue and a lake.
//   - It listens on loopback addresses only, unless a token protects its metrics.
//
// It prints nothing; it logs to the logger it is given.
package daemon
