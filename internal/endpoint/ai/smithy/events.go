package smithy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// EventStreamType is the content type of event streams.
const EventStreamType = "application/vnd.amazon.eventstream"

// maxEvent is how long a message of a client's event stream may be. Services have limits of their own, up to 16 MB.
const maxEvent = 16 << 20

// Event is what a client says in a stream: a member of the stream's union. Payload is its JSON, or its bytes if it is one blob.
type Event struct {
	Name    string
	Payload []byte
}

// EventReader reads the event stream that a client sends.
type EventReader struct {
	in  *awsapi.Incoming
	dec *eventstream.Decoder
}

// NewEventReader returns a reader of a client's events; nil for a call without.
func NewEventReader(in *awsapi.Incoming) *EventReader {
	if in == nil {
		return nil
	}
	return &EventReader{in, eventstream.NewDecoder()}
}

// Next returns the next event; io.EOF when the client has ended its stream. A nil reader has none. The error of a message that
// isn't the client's, or can't be read, is an *awsapi.Error.
func (r *EventReader) Next() (Event, error) {
	if r == nil {
		return Event{}, io.EOF
	}
	msg, err := r.message(io.LimitReader(r.in.Body, maxEvent))
	if err != nil {
		return Event{}, err
	}
	if r.in.Verify != nil {
		payload, err := r.verified(msg)
		if err != nil {
			return Event{}, err
		}
		if len(payload) == 0 { // what ends a signed stream
			return Event{}, io.EOF
		}
		if msg, err = r.message(bytes.NewReader(payload)); err != nil {
			return Event{}, err
		}
	}
	kind, _ := msg.Headers.Get(":event-type").(eventstream.StringValue)
	return Event{string(kind), msg.Payload}, nil
}

func (r *EventReader) message(from io.Reader) (eventstream.Message, error) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(from, first); err != nil {
		return eventstream.Message{}, io.EOF // also of a client that has gone
	}
	msg, err := r.dec.Decode(io.MultiReader(bytes.NewReader(first), from), nil)
	if err != nil {
		err = &awsapi.Error{Code: "ValidationException", Message: "The event stream can't be read: " + err.Error()}
	}
	return msg, err
}

// verified is the payload of a signed message.
func (r *EventReader) verified(msg eventstream.Message) ([]byte, error) {
	date, _ := msg.Headers.Get(":date").(eventstream.TimestampValue)
	signature, _ := msg.Headers.Get(":chunk-signature").(eventstream.BytesValue)
	var headers bytes.Buffer
	err := eventstream.EncodeHeaders(&headers, eventstream.Headers{{Name: ":date", Value: date}})
	if err == nil {
		err = r.in.Verify(time.Time(date), headers.Bytes(), msg.Payload, signature)
	}
	if err != nil {
		return nil, &awsapi.Error{Code: "InvalidSignatureException", Message: "The signature of an event is not the client's."}
	}
	return msg.Payload, nil
}

// Drain reads the client's stream to its end.
func (r *EventReader) Drain() error {
	for {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Listens tells whether the operation takes an event stream.
func (op *Operation) Listens() bool {
	return op.Input != nil && slices.ContainsFunc(op.Input.Members, func(m Member) bool { return m.Shape.EventStream })
}

// Fail ends the stream with an error: a member of the union that is one, or any.
func (e *EventWriter) Fail(err *awsapi.Error) error {
	msg := eventstream.Message{}
	msg.Headers.Set(":message-type", eventstream.StringValue("exception"))
	msg.Headers.Set(":exception-type", eventstream.StringValue(err.Code))
	msg.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	payload, _ := json.Marshal(map[string]string{"message": err.Message}) // strings can't fail
	msg.Payload = payload
	if err := e.enc.Encode(e.w, msg); err != nil {
		return fmt.Errorf("writing an exception: %w", err)
	}
	e.flush()
	return nil
}

// EventWriter writes an event stream: framed messages with checksums, each flushed.
type EventWriter struct {
	w     io.Writer
	flush func()
	enc   *eventstream.Encoder
	shape *Shape
}

// Events returns a writer of the operation's output events. The output must have an event stream member.
func (op *Operation) Events(w io.Writer, flush func()) (*EventWriter, error) {
	if op.Output != nil {
		for i := range op.Output.Members {
			if s := op.Output.Members[i].Shape; s.EventStream {
				return &EventWriter{w: w, flush: flush, enc: eventstream.NewEncoder(), shape: s}, nil
			}
		}
	}
	return nil, fmt.Errorf("%s answers no event stream", op.Name)
}

// Streams tells whether the operation answers an event stream.
func (op *Operation) Streams() bool {
	_, err := op.Events(nil, nil)
	return err == nil
}

// Begin writes what of an answer is no event, which clients of the JSON protocols want before the first one; those of REST
// have it in headers.
func (e *EventWriter) Begin(op *Operation, out map[string]any) error {
	if op.Model.Protocol != "json" {
		return nil
	}
	first := map[string]any{}
	for name, v := range out {
		if m := op.Output.Member(name); m != nil && !m.Shape.EventStream {
			value, err := EncodeValue(m.Shape, "", v)
			if err != nil {
				return fmt.Errorf("encoding the beginning of %s: %w", op.Name, err)
			}
			first[m.WireName()] = value
		}
	}
	msg := eventstream.Message{}
	msg.Headers.Set(":message-type", eventstream.StringValue("event"))
	msg.Headers.Set(":event-type", eventstream.StringValue("initial-response"))
	msg.Headers.Set(":content-type", eventstream.StringValue("application/x-amz-json-"+op.Model.JSONVersion))
	var err error
	if msg.Payload, err = json.Marshal(first); err != nil {
		return fmt.Errorf("encoding the beginning of %s: %w", op.Name, err)
	}
	if err := e.enc.Encode(e.w, msg); err != nil {
		return fmt.Errorf("writing the beginning of %s: %w", op.Name, err)
	}
	e.flush()
	return nil
}

// Send writes one event: a member of the stream's union, with its members.
func (e *EventWriter) Send(event string, v map[string]any) error {
	m := e.shape.Member(event)
	if m == nil {
		return fmt.Errorf("%s has no event %q", e.shape.Name, event)
	}
	msg := eventstream.Message{}
	msg.Headers.Set(":message-type", eventstream.StringValue("event"))
	msg.Headers.Set(":event-type", eventstream.StringValue(event))
	contentType := "application/json"
	for i := range m.Shape.Members {
		if p := &m.Shape.Members[i]; p.Payload {
			if b, ok := v[p.Name].([]byte); ok {
				contentType, msg.Payload = "application/octet-stream", b
			}
		}
	}
	msg.Headers.Set(":content-type", eventstream.StringValue(contentType))
	if contentType == "application/json" {
		value, err := EncodeValue(m.Shape, "", v)
		if err != nil {
			return fmt.Errorf("encoding event %s: %w", event, err)
		}
		if msg.Payload, err = json.Marshal(value); err != nil {
			return fmt.Errorf("encoding event %s: %w", event, err)
		}
	}
	if err := e.enc.Encode(e.w, msg); err != nil {
		return fmt.Errorf("writing event %s: %w", event, err)
	}
	e.flush()
	return nil
}

// Kinds are the events of the stream, without the errors.
func (e *EventWriter) Kinds() []*Member {
	var list []*Member
	for i := range e.shape.Members {
		if m := &e.shape.Members[i]; !m.Shape.Exception {
			list = append(list, m)
		}
	}
	return list
}
