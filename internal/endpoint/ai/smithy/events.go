package smithy

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// EventStreamType is the content type of event streams.
const EventStreamType = "application/vnd.amazon.eventstream"

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
