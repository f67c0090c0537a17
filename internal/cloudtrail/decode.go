package cloudtrail

import (
	"errors"
	"time"
)

// Decode reads one record, a JSON object. The event's strings share memory with the record. An error is a
// *SyntaxError; e is then unusable.
func (e *Event) Decode(record string) error {
	p := scanner{s: validUTF8(record)}
	if err := p.event(e); err != nil {
		return p.syntax(err)
	}
	if _, err := p.next(); err == nil {
		return p.fail("data after the record")
	}
	return nil
}

func (p *scanner) syntax(err error) error {
	if errors.Is(err, errShort) {
		return &SyntaxError{int64(len(p.s)), "unexpected end of JSON"}
	}
	return err
}

// parts are the objects behind an event's pointers, allocated together.
type parts struct {
	identity   UserIdentity
	context    SessionContext
	issuer     SessionIssuer
	attributes SessionAttributes
	behalf     OnBehalfOf
	tls        TLSDetails
}

// decoder fills an event from a scanner.
type decoder struct {
	*scanner
	e     *Event
	parts *parts
	extra []member
}

type member struct{ name, value string }

func (p *scanner) event(e *Event) error {
	*e = Event{}
	var space [8]member
	d := decoder{scanner: p, e: e, parts: new(parts), extra: space[:0]}
	if err := p.object(d.member); err != nil {
		return err
	}
	if len(d.extra) > 0 {
		b := append(make([]byte, 0, 64), '{')
		for i, m := range d.extra {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, m.name), ':')
			b = append(b, m.value...)
		}
		e.Extra = JSON(append(b, '}'))
	}
	return nil
}

// member decodes one member of the record into its field, and into extra where the field can't give it back.
func (d *decoder) member(name string) error {
	d.forget(name)
	start := d.i
	exact, err := d.field(name)
	if err != nil {
		return err
	}
	if !exact {
		p := scanner{s: d.s[:d.i], i: start}
		if _, err := p.next(); err != nil {
			return err
		}
		d.extra = append(d.extra, member{name, d.s[p.i:d.i]})
	}
	return nil
}

// forget drops an earlier member of the same name from extra: of such members the last counts.
func (d *decoder) forget(name string) {
	for i, m := range d.extra {
		if m.name == name {
			d.extra = append(d.extra[:i], d.extra[i+1:]...)
			return
		}
	}
}

// field decodes one value into the field with the name. exact is false when the field can't give the value back.
func (d *decoder) field(name string) (exact bool, err error) {
	e := d.e
	if f := e.text(name); f != nil {
		return d.text(f)
	}
	if f := e.object(name); f != nil {
		return d.free(f)
	}
	switch name {
	case "eventTime":
		return d.time(&e.EventTime)
	case "readOnly":
		return d.bool(&e.ReadOnly)
	case "managementEvent":
		return d.bool(&e.ManagementEvent)
	case "userIdentity":
		d.parts.identity, e.UserIdentity = UserIdentity{}, nil
		return d.members(func() { e.UserIdentity = &d.parts.identity }, d.identity)
	case "resources":
		return d.resources()
	case "tlsDetails":
		d.parts.tls, e.TLSDetails = TLSDetails{}, nil
		return d.members(func() { e.TLSDetails = &d.parts.tls }, d.tls)
	default:
		_, err := d.value(1)
		return false, err
	}
}

// text returns the string field of a member's name.
func (e *Event) text(name string) *string {
	switch name {
	case "eventVersion":
		return &e.EventVersion
	case "eventSource":
		return &e.EventSource
	case "eventName":
		return &e.EventName
	case "awsRegion":
		return &e.AWSRegion
	case "sourceIPAddress":
		return &e.SourceIPAddress
	case "userAgent":
		return &e.UserAgent
	case "errorCode":
		return &e.ErrorCode
	case "errorMessage":
		return &e.ErrorMessage
	case "requestID":
		return &e.RequestID
	case "eventID":
		return &e.EventID
	case "eventType":
		return &e.EventType
	case "apiVersion":
		return &e.APIVersion
	case "recipientAccountId":
		return &e.RecipientAccountID
	case "sharedEventID":
		return &e.SharedEventID
	case "vpcEndpointId":
		return &e.VPCEndpointID
	case "vpcEndpointAccountId":
		return &e.VPCEndpointAccountID
	case "eventCategory":
		return &e.EventCategory
	case "sessionCredentialFromConsole":
		return &e.SessionCredentialFromConsole
	}
	return nil
}

// object returns the free-form field of a member's name.
func (e *Event) object(name string) *JSON {
	switch name {
	case "requestParameters":
		return &e.RequestParameters
	case "responseElements":
		return &e.ResponseElements
	case "additionalEventData":
		return &e.AdditionalEventData
	case "serviceEventDetails":
		return &e.ServiceEventDetails
	case "addendum":
		return &e.Addendum
	case "edgeDeviceDetails":
		return &e.EdgeDeviceDetails
	case "insightDetails":
		return &e.InsightDetails
	case "eventContext":
		return &e.EventContext
	}
	return nil
}

func (d *decoder) text(f *string) (bool, error) {
	*f = ""
	c, err := d.next()
	if err != nil {
		return false, err
	}
	if c != '"' {
		_, err := d.value(1)
		return false, err
	}
	raw, escaped, err := d.str()
	if escaped {
		raw = unescape(raw)
	}
	*f = raw
	return raw != "", err
}

func (d *decoder) free(f *JSON) (bool, error) {
	v, err := d.value(1)
	if v == "null" {
		v = ""
	}
	*f = JSON(v)
	return v != "", err
}

func (d *decoder) bool(f *Bool) (bool, error) {
	*f = Absent
	v, err := d.value(1)
	switch v {
	case "true":
		*f = True
	case "false":
		*f = False
	}
	return *f != Absent, err
}

// timeFormat is how CloudTrail writes times.
const timeFormat = "2006-01-02T15:04:05Z"

func (d *decoder) time(f *time.Time) (bool, error) {
	*f = time.Time{}
	var s string
	if exact, err := d.text(&s); !exact {
		return false, err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return false, nil // the text stays in extra
	}
	*f = t.UTC()
	return len(s) == len(timeFormat) && s[19] == 'Z' && !t.IsZero(), nil
}

// members decodes an object's members with f. A value that is no object, and an object with a member that f can't take
// exactly, make the whole inexact; found is called when it is an object.
func (d *decoder) members(found func(), f func(name string) (bool, error)) (exact bool, err error) {
	c, err := d.next()
	if err != nil {
		return false, err
	}
	if c != '{' {
		_, err := d.value(1)
		return false, err
	}
	found()
	exact = true
	var space [16]string // more members than any documented object has
	seen := space[:0]
	err = d.object(func(name string) error {
		for _, s := range seen {
			exact = exact && s != name
		}
		seen = append(seen, name)
		ok, err := f(name)
		exact = exact && ok
		return err
	})
	return exact, err
}

func (d *decoder) skip() (bool, error) {
	_, err := d.value(1)
	return false, err
}

func (d *decoder) identity(name string) (bool, error) {
	u := &d.parts.identity
	switch name {
	case "type":
		return d.text(&u.Type)
	case "principalId":
		return d.text(&u.PrincipalID)
	case "arn":
		return d.text(&u.ARN)
	case "accountId":
		return d.text(&u.AccountID)
	case "accessKeyId":
		return d.text(&u.AccessKeyID)
	case "userName":
		return d.text(&u.UserName)
	case "invokedBy":
		return d.text(&u.InvokedBy)
	case "identityProvider":
		return d.text(&u.IdentityProvider)
	case "credentialId":
		return d.text(&u.CredentialID)
	case "inScopeOf":
		return d.free(&u.InScopeOf)
	case "sessionContext":
		d.parts.context = SessionContext{}
		return d.members(func() { u.SessionContext = &d.parts.context }, d.session)
	case "onBehalfOf":
		d.parts.behalf = OnBehalfOf{}
		return d.members(func() { u.OnBehalfOf = &d.parts.behalf }, d.behalf)
	}
	return d.skip()
}

func (d *decoder) session(name string) (bool, error) {
	s := &d.parts.context
	switch name {
	case "sessionIssuer":
		d.parts.issuer = SessionIssuer{}
		return d.members(func() { s.SessionIssuer = &d.parts.issuer }, d.issuer)
	case "attributes":
		d.parts.attributes = SessionAttributes{}
		return d.members(func() { s.Attributes = &d.parts.attributes }, d.attributes)
	case "webIdFederationData":
		return d.free(&s.WebIDFederationData)
	case "sourceIdentity":
		return d.text(&s.SourceIdentity)
	case "ec2RoleDelivery":
		return d.text(&s.EC2RoleDelivery)
	case "ec2IssuedInVpc":
		return d.text(&s.EC2IssuedInVPC)
	case "assumedRoot":
		return d.text(&s.AssumedRoot)
	}
	return d.skip()
}

func (d *decoder) issuer(name string) (bool, error) {
	s := &d.parts.issuer
	switch name {
	case "type":
		return d.text(&s.Type)
	case "principalId":
		return d.text(&s.PrincipalID)
	case "arn":
		return d.text(&s.ARN)
	case "accountId":
		return d.text(&s.AccountID)
	case "userName":
		return d.text(&s.UserName)
	}
	return d.skip()
}

func (d *decoder) attributes(name string) (bool, error) {
	switch name {
	case "creationDate":
		return d.time(&d.parts.attributes.CreationDate)
	case "mfaAuthenticated":
		return d.text(&d.parts.attributes.MFAAuthenticated)
	}
	return d.skip()
}

func (d *decoder) behalf(name string) (bool, error) {
	switch name {
	case "userId":
		return d.text(&d.parts.behalf.UserID)
	case "identityStoreArn":
		return d.text(&d.parts.behalf.IdentityStoreARN)
	}
	return d.skip()
}

func (d *decoder) tls(name string) (bool, error) {
	t := &d.parts.tls
	switch name {
	case "tlsVersion":
		return d.text(&t.TLSVersion)
	case "cipherSuite":
		return d.text(&t.CipherSuite)
	case "clientProvidedHostHeader":
		return d.text(&t.ClientProvidedHostHeader)
	}
	return d.skip()
}

func (d *decoder) resources() (bool, error) {
	d.e.Resources = nil
	c, err := d.next()
	if err != nil {
		return false, err
	}
	if c != '[' {
		return d.skip()
	}
	exact := true
	list := []Resource{}
	err = d.array(func() error {
		var r Resource
		ok, err := d.members(func() {}, func(name string) (bool, error) {
			switch name {
			case "accountId":
				return d.text(&r.AccountID)
			case "type":
				return d.text(&r.Type)
			case "ARN":
				return d.text(&r.ARN)
			}
			return d.skip()
		})
		exact = exact && ok
		list = append(list, r)
		return err
	})
	d.e.Resources = list
	return exact, err
}
