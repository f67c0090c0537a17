// Package ai answers for AWS's AI services: all operations of the catalog's services that an SDK has. It runs no model.
// Answers have the shape of the real ones, are plausible where somebody has written how, the least that is valid elsewhere,
// and the same for the same request.
//
// What it is made of: package smithy is the wire (routes, decoding, checks and encoding, from the SDKs' own API models), package
// prose is what is known of text; here are one [rule] an operation, which says what is recorded of a call, what IAM must allow and which
// function serves it, and those functions, one file a service. An operation without a rule is served by what its model
// and the catalog say of it (generic.go): names such as CreateBot, DescribeBot, ListBots and DeleteBot tell how the life of
// a Bot goes (nouns.go, life.go), answers are filled from the shape of the output with what is known of the resource (fill.go),
// and tags go by ARN (tags.go).
//
// What holds:
//   - A record is AWS's: prompts, documents, images and answers never reach it. Members the API model calls sensitive
//     are replaced by the service's own marker, blobs are left out, and a rule may say more.
//   - Input is checked against the API model before a handler sees it, with the service's own wording.
//   - What callers make is in the state store when the call is answered.
//   - Nothing depends on the clock but the times that answers show and jobs that end some seconds after they began.
//   - A signing name's first call reads the index of routes, an API's first call its model; starting reads neither.
//
// What the catalog doesn't know is decided so: an event whose category it doesn't know is a management event; the errors
// for what isn't there and for what is there already are the operation's modelled ones, whatever the name.
//
// What is not: 468 of the catalog's 3,584 operations, which no public SDK has; they are answered as unknown operations and
// not recorded. Where the models of the others are from is in docs/endpoint.md. Without a model, and written by hand, are what
// is public of Bedrock's Mantle, AgentCore's InvokeGateway, and Bedrock's PutFoundationModelEntitlement.
package ai
