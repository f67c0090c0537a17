package cloudtrail

import (
	"time"
	"unicode/utf8"
)

// AppendJSON appends the record's JSON to b, members in CloudTrail's order, and returns it. Times are written in UTC, to
// the second. A member of Extra is written as it stands there, instead of its field.
func (e *Event) AppendJSON(b []byte) []byte {
	w := &encoder{b: b}
	w.overridden = map[string]bool{}
	e.Extra.Members(func(name string, _ JSON) { w.overridden[name] = true })
	w.open()
	w.text("eventVersion", e.EventVersion)
	w.identity(e.UserIdentity)
	w.time("eventTime", e.EventTime)
	w.text("eventSource", e.EventSource)
	w.text("eventName", e.EventName)
	w.text("awsRegion", e.AWSRegion)
	w.text("sourceIPAddress", e.SourceIPAddress)
	w.text("userAgent", e.UserAgent)
	w.text("errorCode", e.ErrorCode)
	w.text("errorMessage", e.ErrorMessage)
	w.json("requestParameters", e.RequestParameters)
	w.json("responseElements", e.ResponseElements)
	w.json("additionalEventData", e.AdditionalEventData)
	w.text("requestID", e.RequestID)
	w.text("eventID", e.EventID)
	w.bool("readOnly", e.ReadOnly)
	w.resources(e.Resources)
	w.text("eventType", e.EventType)
	w.text("apiVersion", e.APIVersion)
	w.bool("managementEvent", e.ManagementEvent)
	w.text("recipientAccountId", e.RecipientAccountID)
	w.text("sharedEventID", e.SharedEventID)
	w.text("vpcEndpointId", e.VPCEndpointID)
	w.text("vpcEndpointAccountId", e.VPCEndpointAccountID)
	w.json("serviceEventDetails", e.ServiceEventDetails)
	w.json("addendum", e.Addendum)
	w.json("edgeDeviceDetails", e.EdgeDeviceDetails)
	w.json("insightDetails", e.InsightDetails)
	w.json("eventContext", e.EventContext)
	w.text("eventCategory", e.EventCategory)
	w.tls(e.TLSDetails)
	w.text("sessionCredentialFromConsole", e.SessionCredentialFromConsole)
	w.overridden = nil
	e.Extra.Members(func(name string, value JSON) { w.json(name, value) })
	w.close()
	return w.b
}

// encoder writes members of objects, leaving out the ones with zero values and, of the record's own, the overridden.
type encoder struct {
	b          []byte
	overridden map[string]bool // of the outermost object; nil within others
	empty      bool            // the object being written has no member yet
}

func (w *encoder) open() {
	w.b = append(w.b, '{')
	w.empty = true
}

func (w *encoder) close() {
	w.b = append(w.b, '}')
	w.empty = false
}

func (w *encoder) name(name string) {
	if !w.empty {
		w.b = append(w.b, ',')
	}
	w.empty = false
	w.b = append(appendString(w.b, name), ':')
}

func (w *encoder) text(name, v string) {
	if v != "" && !w.overridden[name] {
		w.name(name)
		w.b = appendString(w.b, v)
	}
}

func (w *encoder) json(name string, v JSON) {
	if v != "" && !w.overridden[name] {
		w.name(name)
		w.b = append(w.b, v...)
	}
}

func (w *encoder) bool(name string, v Bool) {
	if v != Absent && !w.overridden[name] {
		w.name(name)
		if v == True {
			w.b = append(w.b, "true"...)
		} else {
			w.b = append(w.b, "false"...)
		}
	}
}

func (w *encoder) time(name string, t time.Time) {
	if !t.IsZero() && !w.overridden[name] {
		w.name(name)
		w.b = append(w.b, '"')
		w.b = t.UTC().AppendFormat(w.b, timeFormat)
		w.b = append(w.b, '"')
	}
}

// within writes an object's members; the record's overridden names mean nothing in it.
func (w *encoder) within(name string, members func()) {
	if w.overridden[name] {
		return
	}
	w.name(name)
	outer := w.overridden
	w.overridden = nil
	w.open()
	members()
	w.close()
	w.overridden = outer
}

func (w *encoder) identity(u *UserIdentity) {
	if u == nil {
		return
	}
	w.within("userIdentity", func() {
		w.text("type", u.Type)
		w.text("principalId", u.PrincipalID)
		w.text("arn", u.ARN)
		w.text("accountId", u.AccountID)
		w.text("accessKeyId", u.AccessKeyID)
		w.text("userName", u.UserName)
		w.session(u.SessionContext)
		w.text("invokedBy", u.InvokedBy)
		w.text("identityProvider", u.IdentityProvider)
		if o := u.OnBehalfOf; o != nil {
			w.within("onBehalfOf", func() {
				w.text("userId", o.UserID)
				w.text("identityStoreArn", o.IdentityStoreARN)
			})
		}
		w.text("credentialId", u.CredentialID)
		w.json("inScopeOf", u.InScopeOf)
	})
}

func (w *encoder) session(s *SessionContext) {
	if s == nil {
		return
	}
	w.within("sessionContext", func() {
		if i := s.SessionIssuer; i != nil {
			w.within("sessionIssuer", func() {
				w.text("type", i.Type)
				w.text("principalId", i.PrincipalID)
				w.text("arn", i.ARN)
				w.text("accountId", i.AccountID)
				w.text("userName", i.UserName)
			})
		}
		w.json("webIdFederationData", s.WebIDFederationData)
		if a := s.Attributes; a != nil {
			w.within("attributes", func() {
				w.time("creationDate", a.CreationDate)
				w.text("mfaAuthenticated", a.MFAAuthenticated)
			})
		}
		w.text("sourceIdentity", s.SourceIdentity)
		w.text("ec2RoleDelivery", s.EC2RoleDelivery)
		w.text("ec2IssuedInVpc", s.EC2IssuedInVPC)
		w.text("assumedRoot", s.AssumedRoot)
	})
}

func (w *encoder) resources(list []Resource) {
	if list == nil || w.overridden["resources"] {
		return
	}
	w.name("resources")
	w.b = append(w.b, '[')
	outer := w.overridden
	w.overridden = nil
	for i, r := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.open()
		w.text("accountId", r.AccountID)
		w.text("type", r.Type)
		w.text("ARN", r.ARN)
		w.close()
	}
	w.overridden = outer
	w.b = append(w.b, ']')
}

func (w *encoder) tls(t *TLSDetails) {
	if t == nil {
		return
	}
	w.within("tlsDetails", func() {
		w.text("tlsVersion", t.TLSVersion)
		w.text("cipherSuite", t.CipherSuite)
		w.text("clientProvidedHostHeader", t.ClientProvidedHostHeader)
	})
}

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\t':
			b = append(b, '\\', 't')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
