// Package ai answers for AWS's AI services: Amazon Bedrock, SageMaker, Comprehend, Rekognition, Textract, Translate,
// Polly and Transcribe. It runs no model. Answers have the shape of the real ones, are plausible, and are the
// same for the same request.
//
// What it is made of: package smithy is the wire (routes, decoding, checks and encoding, from the SDKs' own API models), package
// prose is what is known of text; here are one [rule] an operation, which says what is recorded of a call, what IAM must allow and which
// function serves it, and those functions, one file a service.
//
// What holds:
//   - A record is AWS's: prompts, documents, images and answers never reach it. Members the API model calls sensitive
//     are replaced by the service's own marker, blobs are left out, and a rule may say more.
//   - Input is checked against the API model before a handler sees it, with the service's own wording.
//   - What callers make (guardrails, agents, endpoints, collections, jobs) is in the state store when the call is answered.
//   - Nothing depends on the clock but the times that answers show and jobs that end some seconds after they began.
package ai
