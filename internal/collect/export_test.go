package collect

import (
	"io"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/cloudtrail/inflate"
)

// Decoded is what Decode tells of an object.
type Decoded struct {
	Size, Inflated, Events int64
	SHA256                 string
	Zipped                 bool
	Kind                   cloudtrail.Kind
	Nature                 string // log file, digest, other
	Fault                  string // "" when the object was read whole
}

// Decoder decodes objects one after the other, as a worker does.
type Decoder struct{ reader }

// NewDecoder returns a Decoder of texts up to limit bytes.
func NewDecoder(limit int64) *Decoder {
	d := &Decoder{reader{text: newText(), limit: limit}}
	d.text.inflater = new(inflate.Member)
	return d
}

// Decode opens, inflates and decodes an object, which is in memory if it is a bytes.Buffer. The error is the transfer's or emit's.
func (d *Decoder) Decode(body io.Reader, emit func(e *cloudtrail.Event, index int) error) (Decoded, error) {
	c, err := d.decode(body, "", sink{event: emit,
		invocation: func(*cloudtrail.Invocation, int) error { return nil },
		digest:     func([]byte) error { return nil },
	})
	out := Decoded{
		Size: c.size, Inflated: c.inflated, Events: c.events, SHA256: c.sha256, Zipped: c.zipped, Kind: c.kind,
		Nature: map[nature]string{isLogFile: "log file", isDigest: "digest", isOther: "other"}[c.what],
	}
	if f, ok := err.(*faultError); ok {
		out.Fault, err = f.reason, nil
	}
	return out, err
}

// ParseMessage reads a queue's message.
var ParseMessage = parseMessage

// CursorsOf returns the cursors of a lake.
var CursorsOf = cursorsOf
