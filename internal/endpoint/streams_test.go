package endpoint_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	brtypes "github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"

	"github.com/aitrail/aitrail/internal/endpoint"
)

// http2 is a client that speaks HTTP/2 over plain connections, which AWS's SDK wants for streams of events.
var http2 = func() *http.Client {
	t := &http.Transport{Protocols: &http.Protocols{}}
	t.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: t}
}()

// TestBidirectionalStream has AWS's SDK talk with Nova Sonic: what is said while the client's stream is open is answered
// before it ends, and the call is recorded as the data event that it is.
func TestBidirectionalStream(t *testing.T) {
	b := open(t, endpoint.Options{})
	c := bedrockruntime.NewFromConfig(b.root, func(o *bedrockruntime.Options) { o.HTTPClient = http2 })
	out, err := c.InvokeModelWithBidirectionalStream(t.Context(), &bedrockruntime.InvokeModelWithBidirectionalStreamInput{ModelId: aws.String("amazon.nova-sonic-v1:0")})
	if err != nil {
		t.Fatal(err)
	}
	stream := out.GetStream()
	say := func(event string) {
		t.Helper()
		chunk := &brtypes.InvokeModelWithBidirectionalStreamInputMemberChunk{Value: brtypes.BidirectionalInputPayloadPart{Bytes: []byte(event)}}
		if err := stream.Send(t.Context(), chunk); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(until string) (heard string) {
		t.Helper()
		for event := range stream.Events() {
			body := event.(*brtypes.InvokeModelWithBidirectionalStreamOutputMemberChunk).Value.Bytes
			heard += string(body) + "\n"
			var v struct{ Event map[string]any }
			if err := json.Unmarshal(body, &v); err != nil {
				t.Fatal(err)
			}
			if v.Event[until] != nil {
				return heard
			}
		}
		t.Fatalf("%s didn't come: %s, %v", until, heard, stream.Err())
		return ""
	}
	say(`{"event":{"sessionStart":{"inferenceConfiguration":{"maxTokens":100}}}}`)
	say(`{"event":{"promptStart":{"promptName":"p"}}}`)
	hear("completionStart")
	for range 2 { // each turn is answered when it has ended, and the next one waits for that
		say(`{"event":{"contentStart":{"promptName":"p","contentName":"c","type":"TEXT","role":"USER"}}}`)
		say(`{"event":{"textInput":{"promptName":"p","contentName":"c","content":"My secret is a pony. What is CloudTrail?"}}}`)
		say(`{"event":{"contentEnd":{"promptName":"p","contentName":"c"}}}`)
		if heard := hear("usageEvent"); !strings.Contains(heard, `"textOutput":{"completionId":`) || !strings.Contains(heard, `"role":"ASSISTANT"`) {
			t.Errorf("heard %s", heard)
		}
	}
	say(`{"event":{"promptEnd":{"promptName":"p"}}}`)
	hear("completionEnd")
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	e := b.last(t, "InvokeModelWithBidirectionalStream")
	if e.EventSource != "bedrock.amazonaws.com" || e.EventCategory != "Data" || string(e.RequestParameters) != `{"modelId":"amazon.nova-sonic-v1:0"}` ||
		len(e.Resources) != 1 || !strings.HasSuffix(e.Resources[0].ARN, "foundation-model/amazon.nova-sonic-v1:0") || strings.Contains(string(e.AppendJSON(nil)), "pony") {
		t.Errorf("recorded: %s", e.AppendJSON(nil))
	}

	// An event that can't be read ends the stream with the modelled error.
	out, err = c.InvokeModelWithBidirectionalStream(t.Context(), &bedrockruntime.InvokeModelWithBidirectionalStreamInput{ModelId: aws.String("amazon.nova-sonic-v1:0")})
	if err != nil {
		t.Fatal(err)
	}
	stream = out.GetStream()
	say("no JSON")
	for range stream.Events() {
	}
	if code(stream.Err()) != "ValidationException" {
		t.Errorf("a broken event: %v", stream.Err())
	}
	stream.Close()
	out, err = c.InvokeModelWithBidirectionalStream(t.Context(), &bedrockruntime.InvokeModelWithBidirectionalStreamInput{ModelId: aws.String(haiku)})
	if err == nil { // the SDK doesn't wait for the answer
		for range out.GetStream().Events() {
		}
		err = out.GetStream().Err()
	}
	if code(err) != "ValidationException" {
		t.Errorf("a model that doesn't talk so: %v", err)
	}
}

// TestForgedEvents alters signed events on their way: they are not taken for the client's.
func TestForgedEvents(t *testing.T) {
	b := open(t, endpoint.Options{})
	c := bedrockruntime.NewFromConfig(b.root, func(o *bedrockruntime.Options) { o.HTTPClient = forger{} })
	out, err := c.InvokeModelWithBidirectionalStream(t.Context(), &bedrockruntime.InvokeModelWithBidirectionalStreamInput{ModelId: aws.String("amazon.nova-sonic-v1:0")})
	if err != nil {
		t.Fatal(err)
	}
	stream := out.GetStream()
	chunk := &brtypes.InvokeModelWithBidirectionalStreamInputMemberChunk{Value: brtypes.BidirectionalInputPayloadPart{Bytes: []byte(`{"event":{"promptStart":{"promptName":"p"}}}`)}}
	if err := stream.Send(t.Context(), chunk); err != nil {
		t.Fatal(err)
	}
	for event := range stream.Events() {
		t.Errorf("answered with %+v", event)
	}
	if code(stream.Err()) != "InvalidSignatureException" {
		t.Errorf("ended with %v", stream.Err())
	}
	stream.Close()
}

// forger sends requests with another first event than was signed, whole in all else.
type forger struct{}

func (forger) Do(r *http.Request) (*http.Response, error) {
	body := r.Body
	in, out := io.Pipe()
	r = r.Clone(r.Context()) // the SDK closes the body of its own
	r.Body = in
	go func() {
		defer out.Close()
		msg, err := eventstream.NewDecoder().Decode(body, nil)
		if err != nil {
			return
		}
		msg.Payload = bytes.Replace(msg.Payload, []byte("event"), []byte("evenT"), 1)
		if eventstream.NewEncoder().Encode(out, msg) == nil {
			_, _ = io.Copy(out, body) // the server may have gone
		}
	}()
	return http2.Do(r)
}
