package sqs

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// message is a message in a queue.
type message struct {
	ID            string
	Body          string
	Attributes    map[string]Attribute `json:",omitempty"`
	System        map[string]string    `json:",omitempty"` // AWSTraceHeader
	Sender        string
	Sent, Visible time.Time
	Received      int
	First         time.Time // when it was received first
	Receipt       string    // of the latest receiving
	From          string    `json:",omitempty"` // the ARN of the queue whose dead letter it is
}

// add puts a message into a queue.
func (s *Service) add(tx *state.Tx, q *queue, m *message, delay time.Duration) error {
	if m.ID == "" {
		m.ID, m.Sent = uuid.NewString(), s.now()
	}
	m.Visible = s.now().Add(delay)
	order := fmt.Sprintf("%s/%016x-%s", q.ID, s.now().UnixNano(), strings.ToLower(rand.Text()[:8]))
	if err := tx.Put(messagesBucket, order, m); err != nil {
		return err
	}
	s.wake(q.ID)
	return nil
}

func md5Of(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// md5OfAttributes is the digest that clients compare
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation).
func md5OfAttributes(attributes map[string]Attribute) string {
	if len(attributes) == 0 {
		return ""
	}
	h := md5.New()
	write := func(b []byte) {
		_ = binary.Write(h, binary.BigEndian, uint32(len(b))) // a hash takes everything
		h.Write(b)
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		write([]byte(name))
		write([]byte(a.DataType))
		if strings.HasPrefix(a.DataType, "Binary") {
			h.Write([]byte{2})
			write(a.BinaryValue)
			continue
		}
		h.Write([]byte{1})
		write([]byte(a.StringValue))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// entry is a message to send, alone or in a batch.
type entry struct {
	ID                      string `aws:"Id"`
	MessageBody             string
	DelaySeconds            *int
	MessageAttributes       map[string]Attribute `aws:",flat=MessageAttribute:Name:Value"`
	MessageSystemAttributes map[string]Attribute `aws:",flat=MessageSystemAttribute:Name:Value"`
}

type sendInput struct {
	QueueURL                string `aws:"QueueUrl"`
	MessageBody             string
	DelaySeconds            *int
	MessageAttributes       map[string]Attribute `aws:",flat=MessageAttribute:Name:Value"`
	MessageSystemAttributes map[string]Attribute `aws:",flat=MessageSystemAttribute:Name:Value"`
}

func (in *sendInput) queue() string { return in.QueueURL }

type sendOutput struct {
	ID                     string `aws:"Id"`
	MD5OfMessageBody       string
	MD5OfMessageAttributes string
	MessageID              string `aws:"MessageId"`
}

// size is what counts towards a queue's MaximumMessageSize.
func (e *entry) size() int {
	n := len(e.MessageBody)
	for name, a := range e.MessageAttributes {
		n += len(name) + len(a.DataType) + len(a.StringValue) + len(a.BinaryValue)
	}
	return n
}

func (e *entry) check(q *queue) error {
	switch {
	case e.MessageBody == "":
		return fail(missing, "The request must contain the parameter MessageBody.")
	case !utf8.ValidString(e.MessageBody) || strings.ContainsFunc(e.MessageBody, forbidden):
		return fail("InvalidMessageContents", "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	case e.size() > q.get("MaximumMessageSize"):
		return fail(invalidValue, "One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", q.get("MaximumMessageSize"))
	case e.DelaySeconds != nil && (*e.DelaySeconds < 0 || *e.DelaySeconds > 900):
		return fail(invalidValue, "Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", *e.DelaySeconds)
	case len(e.MessageAttributes) > 10:
		return fail(invalidValue, "Number of message attributes [%d] exceeds the allowed maximum [10].", len(e.MessageAttributes))
	}
	for name, a := range e.MessageAttributes {
		kind, _, _ := strings.Cut(a.DataType, ".")
		if name == "" || kind != "String" && kind != "Number" && kind != "Binary" {
			return fail(invalidValue, "The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
		}
	}
	return nil
}

func forbidden(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
}

func (s *Service) send(tx *state.Tx, c *awsapi.Call, q *queue, e *entry) (*sendOutput, error) {
	if err := e.check(q); err != nil {
		return nil, err
	}
	delay := q.seconds("DelaySeconds")
	if e.DelaySeconds != nil {
		delay = time.Duration(*e.DelaySeconds) * time.Second
	}
	m := &message{Body: e.MessageBody, Attributes: e.MessageAttributes, Sender: c.Caller.PrincipalID}
	for name, a := range e.MessageSystemAttributes {
		m.System = map[string]string{name: a.StringValue}
	}
	if err := s.add(tx, q, m, delay); err != nil {
		return nil, err
	}
	return &sendOutput{e.ID, md5Of(m.Body), md5OfAttributes(m.Attributes), m.ID}, nil
}

func (s *Service) sendMessage(c *awsapi.Call, in *sendInput) (any, error) {
	e := &entry{"", in.MessageBody, in.DelaySeconds, in.MessageAttributes, in.MessageSystemAttributes}
	var out *sendOutput
	err := s.opts.State.Update(func(tx *state.Tx) error {
		q, err := getQueue(tx, c.Region, nameOf(c, in))
		if err == nil {
			out, err = s.send(tx, c, q, e)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

type receiveInput struct {
	QueueURL                    string   `aws:"QueueUrl"`
	AttributeNames              []string `aws:",flat=AttributeName"`
	MessageSystemAttributeNames []string `aws:",flat=MessageSystemAttributeName"`
	MessageAttributeNames       []string `aws:",flat=MessageAttributeName"`
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
}

func (in *receiveInput) queue() string { return in.QueueURL }

type received struct {
	MessageID              string `aws:"MessageId"`
	ReceiptHandle          string
	MD5OfBody              string
	Body                   string
	Attributes             map[string]string `aws:",flat=Attribute:Name:Value"`
	MD5OfMessageAttributes string
	MessageAttributes      map[string]Attribute `aws:",flat=MessageAttribute:Name:Value"`
}

type receiveOutput struct {
	Messages []received `aws:",flat=Message"`
}

// bounded is a parameter that may be left out.
func bounded(name string, v *int, least, most, standard int) (int, error) {
	if v == nil {
		return standard, nil
	}
	if *v < least || *v > most {
		return 0, fail(invalidValue, "Value %d for parameter %s is invalid. Reason: Must be between %d and %d, if provided.", *v, name, least, most)
	}
	return *v, nil
}

func (s *Service) receiveMessage(c *awsapi.Call, in *receiveInput) (any, error) {
	q, err := s.open(c, in)
	if err != nil {
		return nil, err
	}
	most, err := bounded("MaxNumberOfMessages", in.MaxNumberOfMessages, 1, 10, 1)
	if err != nil {
		return nil, err
	}
	hide, err := bounded("VisibilityTimeout", in.VisibilityTimeout, 0, 43200, q.get("VisibilityTimeout"))
	if err != nil {
		return nil, err
	}
	wait, err := bounded("WaitTimeSeconds", in.WaitTimeSeconds, 0, 20, q.get("ReceiveMessageWaitTimeSeconds"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), time.Duration(wait)*time.Second)
	defer cancel()
	for {
		woken := s.waiter(q.ID)
		list, next, err := s.take(c, in, most, time.Duration(hide)*time.Second)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 || wait == 0 || ctx.Err() != nil {
			return &receiveOutput{list}, nil
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-woken:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take receives what is visible, and tells in how much time it may be worth trying again if there is nothing.
func (s *Service) take(c *awsapi.Call, in *receiveInput, most int, hide time.Duration) (list []received, next time.Duration, err error) {
	now := s.now()
	next = time.Hour
	type change struct {
		key string
		m   *message // nil: delete it
	}
	err = s.opts.State.Update(func(tx *state.Tx) error {
		list = nil
		q, err := getQueue(tx, c.Region, nameOf(c, in))
		if err != nil {
			return err
		}
		dead, limit, redrives := parseRedrive(q.Attributes["RedrivePolicy"])
		var changes []change
		var letters []*message
		err = tx.Each(messagesBucket, q.ID+"/", "", func(key string, decode func(any) error) error {
			m := new(message)
			if err := decode(m); err != nil {
				return err
			}
			switch {
			case m.Sent.Add(q.seconds("MessageRetentionPeriod")).Before(now):
				changes = append(changes, change{key, nil})
			case m.Visible.After(now):
				next = min(next, m.Visible.Sub(now))
			case redrives && m.Received >= limit:
				changes = append(changes, change{key, nil})
				letters = append(letters, m)
			case len(list) < most:
				m.receive(now, hide)
				list = append(list, in.shown(key, m))
				changes = append(changes, change{key, m})
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, ch := range changes {
			if ch.m == nil {
				err = tx.Delete(messagesBucket, ch.key)
			} else {
				err = tx.Put(messagesBucket, ch.key, ch.m)
			}
			if err != nil {
				return err
			}
		}
		return s.bury(tx, q, dead, letters)
	})
	return list, next, err
}

func (m *message) receive(now time.Time, hide time.Duration) {
	if m.Received == 0 {
		m.First = now
	}
	m.Received++
	m.Visible = now.Add(hide)
	m.Receipt = rand.Text()
}

// bury moves messages to the dead-letter queue. They are gone if there is none any more.
func (s *Service) bury(tx *state.Tx, q *queue, dead string, letters []*message) error {
	if len(letters) == 0 {
		return nil
	}
	region, name, _ := parseARN(dead)
	grave, err := getQueue(tx, region, name)
	if err != nil {
		return err
	}
	for _, m := range letters {
		m.From, m.Received, m.First, m.Receipt = q.ARN, 0, time.Time{}, ""
		if err := s.add(tx, grave, m, 0); err != nil {
			return err
		}
	}
	return nil
}

// shown is a message as the input wants to see it.
func (in *receiveInput) shown(key string, m *message) received {
	r := received{MessageID: m.ID, ReceiptHandle: handleOf(key, m.Receipt), MD5OfBody: md5Of(m.Body), Body: m.Body}
	system := map[string]string{
		"SenderId": m.Sender, "SentTimestamp": strconv.FormatInt(m.Sent.UnixMilli(), 10),
		"ApproximateReceiveCount":          strconv.Itoa(m.Received),
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.First.UnixMilli(), 10),
	}
	maps.Copy(system, m.System)
	if m.From != "" {
		system["DeadLetterQueueSourceArn"] = m.From
	}
	wanted := append(slices.Clone(in.AttributeNames), in.MessageSystemAttributeNames...)
	for name, value := range system {
		if slices.Contains(wanted, name) || slices.Contains(wanted, "All") {
			if r.Attributes == nil {
				r.Attributes = map[string]string{}
			}
			r.Attributes[name] = value
		}
	}
	for name, a := range m.Attributes {
		if slices.ContainsFunc(in.MessageAttributeNames, func(w string) bool {
			prefix, isPrefix := strings.CutSuffix(w, ".*")
			return w == name || w == "All" || isPrefix && strings.HasPrefix(name, prefix)
		}) {
			if r.MessageAttributes == nil {
				r.MessageAttributes = map[string]Attribute{}
			}
			r.MessageAttributes[name] = a
		}
	}
	r.MD5OfMessageAttributes = md5OfAttributes(r.MessageAttributes)
	return r
}

// handleOf is a receipt handle: which message it is for, and of which receiving.
func handleOf(key, receipt string) string {
	return base64.StdEncoding.EncodeToString([]byte(key + " " + receipt))
}

func parseHandle(q *queue, handle string) (key, receipt string, err error) {
	text, err := base64.StdEncoding.DecodeString(handle)
	key, receipt, ok := strings.Cut(string(text), " ")
	if err != nil || !ok || !strings.HasPrefix(key, q.ID+"/") {
		return "", "", fail("ReceiptHandleIsInvalid", "The input receipt handle %q is not a valid receipt handle.", handle)
	}
	return key, receipt, nil
}

// handled reads the message a receipt handle is for; nil when it is gone, or was received again since.
func handled(tx *state.Tx, q *queue, handle string) (string, *message, error) {
	key, receipt, err := parseHandle(q, handle)
	if err != nil {
		return "", nil, err
	}
	var m message
	found, err := tx.Get(messagesBucket, key, &m)
	if err != nil || !found || m.Receipt != receipt {
		return key, nil, err
	}
	return key, &m, nil
}

func remove(tx *state.Tx, q *queue, handle string) error {
	key, m, err := handled(tx, q, handle)
	if err != nil || m == nil {
		return err
	}
	return tx.Delete(messagesBucket, key)
}

type deleteInput struct {
	QueueURL      string `aws:"QueueUrl"`
	ReceiptHandle string
}

func (in *deleteInput) queue() string { return in.QueueURL }

func (s *Service) deleteMessage(c *awsapi.Call, in *deleteInput) (any, error) {
	return nil, s.opts.State.Update(func(tx *state.Tx) error {
		q, err := getQueue(tx, c.Region, nameOf(c, in))
		if err != nil {
			return err
		}
		return remove(tx, q, in.ReceiptHandle)
	})
}

// rehide changes when a message that is being worked on is visible again.
func (s *Service) rehide(tx *state.Tx, q *queue, handle string, seconds *int) error {
	if seconds == nil {
		return fail(missing, "The request must contain the parameter VisibilityTimeout.")
	}
	n, err := bounded("VisibilityTimeout", seconds, 0, 43200, 0)
	if err != nil {
		return err
	}
	key, m, err := handled(tx, q, handle)
	if err != nil {
		return err
	}
	if m == nil || !m.Visible.After(s.now()) {
		return fail("MessageNotInflight", "Value %s for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.", handle)
	}
	m.Visible = s.now().Add(time.Duration(n) * time.Second)
	s.wake(q.ID)
	return tx.Put(messagesBucket, key, m)
}

type visibilityInput struct {
	QueueURL          string `aws:"QueueUrl"`
	ReceiptHandle     string
	VisibilityTimeout *int
}

func (in *visibilityInput) queue() string { return in.QueueURL }

func (s *Service) changeVisibility(c *awsapi.Call, in *visibilityInput) (any, error) {
	return nil, s.opts.State.Update(func(tx *state.Tx) error {
		q, err := getQueue(tx, c.Region, nameOf(c, in))
		if err != nil {
			return err
		}
		return s.rehide(tx, q, in.ReceiptHandle, in.VisibilityTimeout)
	})
}
