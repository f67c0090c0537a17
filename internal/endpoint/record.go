package endpoint

import (
	"crypto/tls"
	"net"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// Limits of records, in bytes: what is longer is left out, or cut off if it is text
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html).
const (
	maxObject     = 100 << 10
	maxAdditional = 28 << 10
	maxText       = 1 << 10
)

// globalRegion is where global services' events are recorded.
const globalRegion = "us-east-1"

// events are a call's record and those of what was done for it. refusal is the error that it was answered with, or nil.
func (h *handler) events(c *awsapi.Call, refusal *awsapi.Error) []cloudtrail.Event {
	all := []cloudtrail.Event{h.event(c, refusal)}
	for _, also := range c.Record.Also {
		d := *c
		d.Record, d.ID = also.Record, uuid.NewString()
		if also.Caller != nil {
			d.Caller = also.Caller
		}
		all = append(all, h.event(&d, nil))
	}
	return all
}

// event is a call's record. refusal is the error that it was answered with, or nil.
func (h *handler) event(c *awsapi.Call, refusal *awsapi.Error) cloudtrail.Event {
	e := h.common(c)
	r := &c.Record
	e.RequestID = c.ID
	e.EventType = "AwsApiCall"
	e.RequestParameters = jsonOf(r.RequestParameters, maxObject)
	e.ResponseElements = "null"
	if refusal == nil {
		e.ResponseElements = jsonOf(r.ResponseElements, maxObject)
	} else {
		e.ErrorCode = refusal.Recorded
		if e.ErrorCode == "" {
			e.ErrorCode = refusal.Code
		}
		e.ErrorMessage = cut(refusal.Message)
	}
	if r.AdditionalEventData != nil {
		e.AdditionalEventData = jsonOf(r.AdditionalEventData, maxAdditional)
	}
	e.Resources = r.Resources
	e.APIVersion = r.APIVersion
	e.ManagementEvent = cloudtrail.BoolOf(!r.Data)
	e.EventCategory = "Management"
	if r.Data {
		e.EventCategory = "Data"
	}
	if c.Caller.InvokedBy == "" { // services among themselves are shown without
		e.TLSDetails = tlsDetails(c)
	}
	if r.Shared {
		e.SharedEventID = uuid.NewString()
	}
	return e
}

// completion is the second record of a streaming call. As in AWS's own, it has neither parameters nor a category.
func (h *handler) completion(c *awsapi.Call, done *awsapi.Completion) cloudtrail.Event {
	e := h.common(c)
	e.RequestID = uuid.NewString()
	e.EventType = "AwsServiceEvent"
	e.ServiceEventDetails = jsonOf(done.ServiceEventDetails, maxObject)
	e.Resources = done.Resources
	return e
}

// common is what all records of a call have.
func (h *handler) common(c *awsapi.Call) cloudtrail.Event {
	r := &c.Record
	e := cloudtrail.Event{
		EventVersion:       r.EventVersion,
		UserIdentity:       c.Caller.UserIdentity(),
		EventTime:          h.now(),
		EventSource:        r.EventSource,
		EventName:          r.EventName,
		AWSRegion:          c.Region,
		SourceIPAddress:    sourceAddress(c.Request.RemoteAddr),
		UserAgent:          cut(c.Request.UserAgent()),
		EventID:            uuid.NewString(),
		ReadOnly:           cloudtrail.BoolOf(r.ReadOnly),
		RecipientAccountID: c.Account,
	}
	if e.EventVersion == "" {
		e.EventVersion = "1.11"
	}
	if e.EventName == "" {
		e.EventName = c.Operation
	}
	if r.Global {
		e.AWSRegion = globalRegion
	}
	if c.Caller.Kind == awsapi.Anonymous {
		e.Extra = `{"userIdentity":{"type":"AWSAccount","principalId":"","accountId":"anonymous"}}` // the empty member is AWS's
	}
	if by := c.Caller.InvokedBy; by != "" {
		e.SourceIPAddress, e.UserAgent = by, by
	}
	return e
}

// jsonOf encodes a value; what is too long is left out, as null.
func jsonOf(v any, longest int) cloudtrail.JSON {
	b := encode(v)
	if len(b) > longest {
		return "null"
	}
	return cloudtrail.JSON(b)
}

// cut cuts text off at maxText.
func cut(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func sourceAddress(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

// tlsDetails describes the connection, as far as there is TLS.
func tlsDetails(c *awsapi.Call) *cloudtrail.TLSDetails {
	d := &cloudtrail.TLSDetails{ClientProvidedHostHeader: c.Request.Host}
	if s := c.Request.TLS; s != nil {
		d.TLSVersion = strings.Replace(tls.VersionName(s.Version), "TLS ", "TLSv", 1)
		d.CipherSuite = tls.CipherSuiteName(s.CipherSuite)
	}
	return d
}
