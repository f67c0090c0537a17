// Package cloudtrail knows what CloudTrail writes: records, the files they travel in, and the names of those files; and records of
// Bedrock's model invocation logs, which lie beside.
//
// Decoding loses nothing: a decoded event encodes to a JSON value equal to the record's. Free-form objects stay text
// and are never materialised; fields share memory with the text they were read from. The package is pure: it imports
// the standard library only, opens nothing and logs nothing. It doesn't inflate: readers take plain JSON.
//
// What outside input may be is bounded: see [MaxRecord] and [MaxDepth].
package cloudtrail
