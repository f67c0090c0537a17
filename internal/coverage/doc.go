// Package coverage tells, for each AI service, account and Region and for any time, whether a call would have been
// recorded then, and whether what was recorded has arrived in the lake.
//
// What would have been recorded follows from trails and their selectors. Those are followed through time (History): by the
// events in which trails were made and changed, and by what CloudTrail answered when it was asked (Sighting). What arrived
// follows from digests (Arrived): one that holds names every log file of its hour, an hour without calls included, and the
// files it names are in the lake or they are not. Without digests nothing can be said: CloudTrail delivers nothing for a
// quiet hour.
//
// Nothing is guessed: what no event, answer or digest tells is Unknown. Times are those of events. The package is pure: it
// reads nothing, it does no logging, and what it is given is the caller's to find.
package coverage
