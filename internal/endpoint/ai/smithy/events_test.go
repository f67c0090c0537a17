package smithy_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// message is an event as clients frame it.
func message(t testing.TB, headers eventstream.Headers, payload []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, eventstream.Message{Headers: headers, Payload: payload}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func event(t testing.TB, name, payload string) []byte {
	return message(t, eventstream.Headers{{Name: ":event-type", Value: eventstream.StringValue(name)}}, []byte(payload))
}

func signed(t testing.TB, payload []byte) []byte {
	at := eventstream.TimestampValue(time.Date(2026, 11, 23, 7, 30, 0, 0, time.UTC))
	return message(t, eventstream.Headers{{Name: ":date", Value: at}, {Name: ":chunk-signature", Value: eventstream.BytesValue("signature")}}, payload)
}

func TestEventReader(t *testing.T) {
	two := append(event(t, "AudioEvent", "\x00\x01"), event(t, "TextEvent", `{"Text":"a"}`)...)
	var inner []byte
	for _, e := range [][]byte{event(t, "AudioEvent", "\x00\x01"), event(t, "TextEvent", `{"Text":"a"}`), nil, event(t, "After", "the end")} {
		inner = append(inner, signed(t, e)...)
	}
	verified := 0
	verify := func(at time.Time, headers, payload, signature []byte) error {
		verified++
		if at.Year() != 2026 || len(headers) == 0 || string(signature) != "signature" {
			t.Errorf("verified at %v: %q %q", at, headers, signature)
		}
		return nil
	}
	for name, in := range map[string]*awsapi.Incoming{
		"plain": {Body: bytes.NewReader(two)}, "signed": {Body: bytes.NewReader(inner), Verify: verify},
	} {
		r := smithy.NewEventReader(in)
		for _, want := range []smithy.Event{{Name: "AudioEvent", Payload: []byte("\x00\x01")}, {Name: "TextEvent", Payload: []byte(`{"Text":"a"}`)}} {
			got, err := r.Next()
			if err != nil || got.Name != want.Name || !bytes.Equal(got.Payload, want.Payload) {
				t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
	if verified != 3 {
		t.Errorf("%d messages verified", verified)
	}
	var e *awsapi.Error
	if _, err := smithy.NewEventReader(&awsapi.Incoming{Body: bytes.NewReader(two[:len(two)/2+20])}).Next(); err != nil {
		t.Errorf("the whole one before a torn one: %v", err)
	}
	if _, err := smithy.NewEventReader(&awsapi.Incoming{Body: bytes.NewReader(two[:20])}).Next(); !errors.As(err, &e) {
		t.Errorf("a torn one: %v", err)
	}
	refuse := func(time.Time, []byte, []byte, []byte) error { return io.ErrClosedPipe }
	if _, err := smithy.NewEventReader(&awsapi.Incoming{Body: bytes.NewReader(inner), Verify: refuse}).Next(); !errors.As(err, &e) || e.Code != "InvalidSignatureException" {
		t.Errorf("a signature that isn't the client's: %v", err)
	}
	if _, err := (*smithy.EventReader)(nil).Next(); err != io.EOF {
		t.Errorf("without a stream: %v", err)
	}
}

func FuzzEventReader(f *testing.F) {
	f.Add(event(f, "AudioEvent", "\x00\x01"), false)
	f.Add(signed(f, event(f, "TextEvent", "{}")), true)
	f.Add([]byte{0, 0, 0, 16, 0, 0, 0, 0}, false)
	f.Fuzz(func(t *testing.T, b []byte, isSigned bool) {
		in := &awsapi.Incoming{Body: bytes.NewReader(b)}
		if isSigned {
			in.Verify = func(time.Time, []byte, []byte, []byte) error { return nil }
		}
		r := smithy.NewEventReader(in)
		for n := 0; ; n++ {
			_, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			var e *awsapi.Error
			if err != nil && !errors.As(err, &e) {
				t.Fatalf("%v", err)
			}
			if n > len(b) {
				t.Fatal("it doesn't end")
			}
		}
	})
}
