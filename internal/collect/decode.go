package collect

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
)

// content is what reading an object to its end told.
type content struct {
	size     int64 // stored bytes
	sha256   string
	inflated int64
	zipped   bool
	events   int64 // or invocations
	first    time.Time
	last     time.Time
	kind     cloudtrail.Kind // by its first record; "" without records
	account  string          // of its first record
	region   string          // of its first record
	what     nature
}

// nature is what an object is by its content.
type nature uint8

const (
	isLogFile nature = iota
	isDigest
	isOther
)

// reader decodes objects, one after the other.
type reader struct {
	text    *text
	records cloudtrail.Reader
	limit   int64
}

// sink takes what an object holds: events, invocations, or the text of a digest. Its errors are decode's. What it is given, and
// its strings, are valid until it returns.
type sink struct {
	event      func(e *cloudtrail.Event, index int) error
	invocation func(v *cloudtrail.Invocation, index int) error
	digest     func(text []byte) error
}

// decode reads an object, whose name says that it is of a kind, or "", and hands on what it holds, in order. The error is a
// *faultError (the content can't be read whole; what is known of it is returned all the same), a *transferError, or the sink's.
func (r *reader) decode(body io.Reader, named cloudtrail.Kind, to sink) (content, error) {
	r.text.reset(body, r.limit)
	c := content{zipped: r.text.zipped}
	var err error
	switch head := r.text.peek(); {
	case looksLikeLogFile(head):
		err = r.events(&c, to.event)
	case looksLikeInvocations(head), named == cloudtrail.KindInvocations:
		err = r.invocations(&c, to.invocation)
	case looksLikeDigest(head), named == cloudtrail.KindDigest:
		err = r.digest(&c, to.digest)
	default:
		err = r.events(&c, to.event)
	}
	if transfer := r.text.stored.err; transfer != nil {
		return c, transfer
	}
	if isEmitError(err) {
		return c, err
	}
	c.inflated = r.text.n
	if err := r.text.drain(); err != nil {
		return c, err
	}
	c.size, c.sha256 = r.text.sum()
	return c, err
}

// events reads the text's events; see decode.
func (r *reader) events(c *content, emit func(e *cloudtrail.Event, index int) error) error {
	records := &r.records
	records.Reset(r.text)
	var e cloudtrail.Event
	for index := 0; ; index++ {
		err := records.Next(&e)
		if err != nil {
			return r.verdict(c, err)
		}
		if index == 0 {
			c.kind, c.account, c.region = kindOf(&e), strings.Clone(e.RecipientAccountID), strings.Clone(e.AWSRegion)
		}
		c.events++
		c.first, c.last = widen(c.first, c.last, e.EventTime, e.EventTime)
		if err := emit(&e, index); err != nil {
			return &emitError{err}
		}
	}
}

// verdict judges how the reader of records ended.
func (r *reader) verdict(c *content, err error) error {
	if c.events == 0 {
		c.what = natureOf(r.text.head)
	}
	var failed *faultError
	if errors.As(r.text.err, &failed) { // the text broke off: what the decoder makes of that doesn't matter
		return failed
	}
	var syntax *cloudtrail.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		c.what = isLogFile
		return nil
	case r.text.n == 0:
		c.what = isOther
		return fault("empty")
	case errors.Is(err, cloudtrail.ErrNotLogFile):
		return fault("JSON, but not a log file: it has no list of Records")
	case errors.As(err, &syntax):
		return fault("record %d: %s, at byte %d of its text", c.events, syntax.Reason, syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault("the JSON ends early, at byte %d of its text, after %d records", r.text.n, c.events)
	}
	return fmt.Errorf("decoding: %w", err)
}

// natureOf tells by the beginning of its text what an object is that has no events. Without any text it may have been
// a log file.
func natureOf(head []byte) nature {
	switch {
	case len(head) == 0 || looksLikeLogFile(head):
		return isLogFile
	case looksLikeDigest(head):
		return isDigest
	}
	return isOther
}

// looksLikeDigest tells whether text begins as digests do.
func looksLikeDigest(head []byte) bool {
	return bytes.Contains(head, []byte(`"digestEndTime"`)) && bytes.Contains(head, []byte(`"digestS3Bucket"`))
}

// looksLikeLogFile tells whether text begins as log files do.
func looksLikeLogFile(head []byte) bool {
	head = bytes.TrimLeft(head, " \t\r\n")
	rest, ok := bytes.CutPrefix(head, []byte("{"))
	return ok && bytes.HasPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(`"Records"`))
}

// kindOf tells a log file's kind by an event of it; "" for events that don't tell.
func kindOf(e *cloudtrail.Event) cloudtrail.Kind {
	switch e.EventCategory {
	case "Insight":
		return cloudtrail.KindInsight
	case "NetworkActivity":
		return cloudtrail.KindNetworkActivity
	case "Aggregated":
		return cloudtrail.KindAggregated
	}
	return cloudtrail.KindLog
}

// looksLikeInvocations tells whether text begins as model invocation logs do.
func looksLikeInvocations(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")) && bytes.Contains(head, []byte(`"ModelInvocationLog"`))
}

// invocations reads the text as a model invocation log: a record a line. No fault has a byte of a record in it.
func (r *reader) invocations(c *content, emit func(v *cloudtrail.Invocation, index int) error) error {
	c.what, c.kind = isLogFile, cloudtrail.KindInvocations
	lines := bufio.NewScanner(r.text)
	lines.Buffer(nil, cloudtrail.MaxRecord)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var v cloudtrail.Invocation
		if err := v.Decode(line); err != nil {
			return fault("record %d: %v", c.events, err)
		}
		if c.events == 0 {
			c.account, c.region = v.AccountID, v.Region
		}
		c.first, c.last = widen(c.first, c.last, v.Time, v.Time)
		if err := emit(&v, int(c.events)); err != nil {
			return &emitError{err}
		}
		c.events++
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fault("record %d: longer than %d bytes", c.events, cloudtrail.MaxRecord)
	case err != nil:
		return err // the text's: a fault, or the transfer's
	case c.events == 0:
		return fault("empty")
	}
	return nil
}

// digest reads the text as a digest.
func (r *reader) digest(c *content, emit func(text []byte) error) error {
	c.what, c.kind = isDigest, cloudtrail.KindDigest
	text, err := io.ReadAll(io.LimitReader(r.text, lake.MaxDigest+1))
	if err != nil {
		return err // the text's: a fault, or the transfer's
	}
	if len(text) == 0 {
		return fault("empty")
	}
	switch err := emit(text); {
	case errors.Is(err, lake.ErrDigest):
		return fault("%v", err)
	case err != nil:
		return &emitError{err}
	}
	return nil
}

// emitError marks an error of decode's caller.
type emitError struct{ err error }

func (e *emitError) Error() string { return e.err.Error() }
func (e *emitError) Unwrap() error { return e.err }

func isEmitError(err error) bool {
	var e *emitError
	return errors.As(err, &e)
}
