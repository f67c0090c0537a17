// Package smithy is the wire layer of the AI services: it finds the operation a request is for, decodes its input,
// checks it against the API's model, and encodes answers, for the protocols rest-json, JSON 1.0 and
// 1.1, and Smithy's RPC v2 in CBOR. It also makes texts that shapes allow ([Shape.Sample]).
//
// It is driven by the models of the SDKs ([Load]), so that an operation needs no code of its own here. Inputs and outputs are
// plain values: map[string]any for structures (keyed by member names as the model spells them) and maps, []any for
// lists, string, int64, float64, bool, []byte for blobs, time.Time for timestamps. Documents stay what encoding/json
// makes of them, numbers being json.Number.
//
// It knows no service: what an operation does, and what is recorded of it, is package ai's.
package smithy
