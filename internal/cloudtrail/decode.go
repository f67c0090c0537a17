package cloudtrail

import (
	"errors"
	"hash/maphash"
	"strings"
	"time"
)

// Decode reads one record, a JSON object. The event's strings share memory with the record. An error is a
// *SyntaxError; e is then unusable.
func (e *Event) Decode(record string) error {
	p := scanner{s: validUTF8(record)}
	d := decoder{scanner: &p, e: e}
	if err := d.event(); err != nil {
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

// parts are the objects of a userIdentity, allocated together.
type parts struct {
	identity   UserIdentity
	context    SessionContext
	issuer     SessionIssuer
	attributes SessionAttributes
	behalf     OnBehalfOf
}

// decoder fills an event from a scanner.
type decoder struct {
	*scanner
	e     *Event
	parts *parts // of the userIdentity being decoded
	extra []member
	memory
}

// memory is what decoding records one after the other makes use of again.
type memory struct {
	identities identities
	resources  []Resource // the unused part
	text       []byte
	last       JSON // the last Extra
}

type member struct{ name, value string }

// event decodes the record that is next.
func (d *decoder) event() error {
	*d.e = Event{}
	d.extra = d.extra[:0]
	if err := d.record(); err != nil {
		return err
	}
	if len(d.extra) == 0 {
		return nil
	}
	b := append(d.text[:0], '{')
	for i, m := range d.extra {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, m.name), ':')
		b = append(b, m.value...)
	}
	d.text = append(b, '}')
	if string(d.text) != string(d.last) { // most records lack the same
		d.last = JSON(d.text)
	}
	d.e.Extra = d.last
	return nil
}

// record decodes the record's members. It looks for them in the order in which CloudTrail writes them; what stands
// elsewhere, or is written otherwise, only takes longer.
func (d *decoder) record() error {
	if err := d.expect('{', "expected an object"); err != nil {
		return err
	}
	c, err := d.next()
	if err != nil {
		return err
	}
	if c == '}' {
		d.i++
		return nil
	}
	for at := 0; ; {
		name, f := d.expected(at)
		if f == none {
			if name, err = d.key(); err != nil {
				return err
			}
			f = fieldOf(name)
		} else {
			at = int(f) + 1
		}
		if err := d.member(name, f); err != nil {
			return err
		}
		if c, err = d.next(); err != nil {
			return err
		}
		switch c {
		case ',':
			d.i++
		case '}':
			d.i++
			return nil
		default:
			return d.fail("expected ',' or '}' after a member")
		}
	}
}

// expected consumes a member's name and its colon if it is a field's from the given one on. It returns none otherwise.
func (d *decoder) expected(from int) (name string, f field) {
	rest := d.s[d.i:]
	for n := from; n < len(fields); n++ {
		if strings.HasPrefix(rest, fields[n]) {
			d.i += len(fields[n])
			return fields[n][1 : len(fields[n])-2], field(n)
		}
	}
	return "", none
}

// member decodes one member of the record into its field, and into extra where the field can't give it back.
func (d *decoder) member(name string, f field) error {
	d.forget(name)
	start := d.i
	exact, err := d.field(f)
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

// field is a member of a record that Event has a field for.
type field int

// The fields in CloudTrail's order; none is any other member.
const (
	fEventVersion field = iota
	fUserIdentity
	fEventTime
	fEventSource
	fEventName
	fAWSRegion
	fSourceIPAddress
	fUserAgent
	fErrorCode
	fErrorMessage
	fRequestParameters
	fResponseElements
	fAdditionalEventData
	fRequestID
	fEventID
	fReadOnly
	fResources
	fEventType
	fAPIVersion
	fManagementEvent
	fRecipientAccountID
	fSharedEventID
	fVPCEndpointID
	fVPCEndpointAccountID
	fServiceEventDetails
	fAddendum
	fEdgeDeviceDetails
	fInsightDetails
	fEventContext
	fEventCategory
	fTLSDetails
	fSessionCredentialFromConsole

	none field = -1
)

// fields are the names of the fields, as they are written.
var fields = [...]string{
	fEventVersion:                 `"eventVersion":`,
	fUserIdentity:                 `"userIdentity":`,
	fEventTime:                    `"eventTime":`,
	fEventSource:                  `"eventSource":`,
	fEventName:                    `"eventName":`,
	fAWSRegion:                    `"awsRegion":`,
	fSourceIPAddress:              `"sourceIPAddress":`,
	fUserAgent:                    `"userAgent":`,
	fErrorCode:                    `"errorCode":`,
	fErrorMessage:                 `"errorMessage":`,
	fRequestParameters:            `"requestParameters":`,
	fResponseElements:             `"responseElements":`,
	fAdditionalEventData:          `"additionalEventData":`,
	fRequestID:                    `"requestID":`,
	fEventID:                      `"eventID":`,
	fReadOnly:                     `"readOnly":`,
	fResources:                    `"resources":`,
	fEventType:                    `"eventType":`,
	fAPIVersion:                   `"apiVersion":`,
	fManagementEvent:              `"managementEvent":`,
	fRecipientAccountID:           `"recipientAccountId":`,
	fSharedEventID:                `"sharedEventID":`,
	fVPCEndpointID:                `"vpcEndpointId":`,
	fVPCEndpointAccountID:         `"vpcEndpointAccountId":`,
	fServiceEventDetails:          `"serviceEventDetails":`,
	fAddendum:                     `"addendum":`,
	fEdgeDeviceDetails:            `"edgeDeviceDetails":`,
	fInsightDetails:               `"insightDetails":`,
	fEventContext:                 `"eventContext":`,
	fEventCategory:                `"eventCategory":`,
	fTLSDetails:                   `"tlsDetails":`,
	fSessionCredentialFromConsole: `"sessionCredentialFromConsole":`,
}

// fieldOf returns the field of a name.
func fieldOf(name string) field {
	for n, f := range fields {
		if f[1:len(f)-2] == name {
			return field(n)
		}
	}
	return none
}

// field decodes one value into a field. exact is false when the field can't give the value back.
func (d *decoder) field(f field) (exact bool, err error) {
	e := d.e
	switch f {
	case fEventVersion:
		return d.string(&e.EventVersion)
	case fEventSource:
		return d.string(&e.EventSource)
	case fEventName:
		return d.string(&e.EventName)
	case fAWSRegion:
		return d.string(&e.AWSRegion)
	case fSourceIPAddress:
		return d.string(&e.SourceIPAddress)
	case fUserAgent:
		return d.string(&e.UserAgent)
	case fErrorCode:
		return d.string(&e.ErrorCode)
	case fErrorMessage:
		return d.string(&e.ErrorMessage)
	case fRequestParameters:
		return d.free(&e.RequestParameters)
	case fResponseElements:
		return d.free(&e.ResponseElements)
	case fAdditionalEventData:
		return d.free(&e.AdditionalEventData)
	case fRequestID:
		return d.string(&e.RequestID)
	case fEventID:
		return d.string(&e.EventID)
	case fEventType:
		return d.string(&e.EventType)
	case fAPIVersion:
		return d.string(&e.APIVersion)
	case fRecipientAccountID:
		return d.string(&e.RecipientAccountID)
	case fSharedEventID:
		return d.string(&e.SharedEventID)
	case fVPCEndpointID:
		return d.string(&e.VPCEndpointID)
	case fVPCEndpointAccountID:
		return d.string(&e.VPCEndpointAccountID)
	case fServiceEventDetails:
		return d.free(&e.ServiceEventDetails)
	case fAddendum:
		return d.free(&e.Addendum)
	case fEdgeDeviceDetails:
		return d.free(&e.EdgeDeviceDetails)
	case fInsightDetails:
		return d.free(&e.InsightDetails)
	case fEventContext:
		return d.free(&e.EventContext)
	case fEventCategory:
		return d.string(&e.EventCategory)
	case fSessionCredentialFromConsole:
		return d.string(&e.SessionCredentialFromConsole)
	case fEventTime:
		return d.time(&e.EventTime)
	case fReadOnly:
		return d.bool(&e.ReadOnly)
	case fManagementEvent:
		return d.bool(&e.ManagementEvent)
	case fUserIdentity:
		return d.userIdentity()
	case fResources:
		return d.resourceList()
	case fTLSDetails:
		e.TLSDetails = nil
		return d.members(func() { e.TLSDetails = new(TLSDetails) }, d.tls)
	}
	return d.skip()
}

func (d *decoder) string(f *string) (bool, error) {
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
	if exact, err := d.string(&s); !exact {
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
		return d.string(&u.Type)
	case "principalId":
		return d.string(&u.PrincipalID)
	case "arn":
		return d.string(&u.ARN)
	case "accountId":
		return d.string(&u.AccountID)
	case "accessKeyId":
		return d.string(&u.AccessKeyID)
	case "userName":
		return d.string(&u.UserName)
	case "invokedBy":
		return d.string(&u.InvokedBy)
	case "identityProvider":
		return d.string(&u.IdentityProvider)
	case "credentialId":
		return d.string(&u.CredentialID)
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
		return d.string(&s.SourceIdentity)
	case "ec2RoleDelivery":
		return d.string(&s.EC2RoleDelivery)
	case "ec2IssuedInVpc":
		return d.string(&s.EC2IssuedInVPC)
	case "assumedRoot":
		return d.string(&s.AssumedRoot)
	}
	return d.skip()
}

func (d *decoder) issuer(name string) (bool, error) {
	s := &d.parts.issuer
	switch name {
	case "type":
		return d.string(&s.Type)
	case "principalId":
		return d.string(&s.PrincipalID)
	case "arn":
		return d.string(&s.ARN)
	case "accountId":
		return d.string(&s.AccountID)
	case "userName":
		return d.string(&s.UserName)
	}
	return d.skip()
}

func (d *decoder) attributes(name string) (bool, error) {
	switch name {
	case "creationDate":
		return d.time(&d.parts.attributes.CreationDate)
	case "mfaAuthenticated":
		return d.string(&d.parts.attributes.MFAAuthenticated)
	}
	return d.skip()
}

func (d *decoder) behalf(name string) (bool, error) {
	switch name {
	case "userId":
		return d.string(&d.parts.behalf.UserID)
	case "identityStoreArn":
		return d.string(&d.parts.behalf.IdentityStoreARN)
	}
	return d.skip()
}

func (d *decoder) tls(name string) (bool, error) {
	t := d.e.TLSDetails
	switch name {
	case "tlsVersion":
		return d.string(&t.TLSVersion)
	case "cipherSuite":
		return d.string(&t.CipherSuite)
	case "clientProvidedHostHeader":
		return d.string(&t.ClientProvidedHostHeader)
	}
	return d.skip()
}

// resourceList decodes the resources.
func (d *decoder) resourceList() (exact bool, err error) {
	d.e.Resources = nil
	c, err := d.next()
	if err != nil {
		return false, err
	}
	if c != '[' {
		return d.skip()
	}
	exact = true
	list := d.resources[:0]
	err = d.array(func() error {
		var r Resource
		ok, err := d.resource(&r)
		exact = exact && ok
		list = append(list, r)
		return err
	})
	if list == nil {
		list = []Resource{}
	}
	if d.resources = list[len(list):]; cap(d.resources) < 4 && d.identities.known != nil {
		d.resources = make([]Resource, 0, 64)
	}
	d.e.Resources = list[:len(list):len(list)]
	return exact, err
}

func (d *decoder) resource(r *Resource) (bool, error) {
	return d.members(func() {}, func(name string) (bool, error) {
		switch name {
		case "accountId":
			return d.string(&r.AccountID)
		case "type":
			return d.string(&r.Type)
		case "ARN":
			return d.string(&r.ARN)
		}
		return d.skip()
	})
}

// identities remembers what values of userIdentity were decoded to that come again and again, by their text. Without a
// map it remembers nothing.
type identities struct {
	seed  maphash.Seed
	known map[uint64]identity // by the hash of their beginnings
}

// identity is a userIdentity that was seen once, when its text is "", or more often.
type identity struct {
	text  string
	value *UserIdentity
	exact bool
}

// How many values of userIdentity are remembered, and how long ones.
const (
	identitiesKept = 2048
	identityText   = 2048
)

func (m *identities) make() {
	if m.known == nil {
		m.seed, m.known = maphash.MakeSeed(), map[uint64]identity{}
	}
}

// userIdentity decodes userIdentity, or remembers it.
func (d *decoder) userIdentity() (exact bool, err error) {
	m := &d.identities
	if m.known == nil {
		return d.newIdentity()
	}
	if _, err := d.next(); err != nil {
		return false, err
	}
	start := d.i
	rest := d.s[start:min(len(d.s), start+identityText)]
	// Those that are alike to where the first object in them ends, are mostly the same.
	hash := maphash.String(m.seed, rest[:strings.IndexByte(rest, '}')+1])
	known, again := m.known[hash]
	if known.text != "" && strings.HasPrefix(rest, known.text) { // an object's text isn't the beginning of another's
		d.i += len(known.text)
		d.e.UserIdentity = known.value
		return known.exact, nil
	}
	seen := d.seen
	d.seen = 0
	exact, err = d.newIdentity()
	ascii := d.seen&highs == 0
	d.seen |= seen
	if err != nil || d.e.UserIdentity == nil || !ascii || d.i-start > identityText {
		return exact, err
	}
	if len(m.known) >= identitiesKept {
		clear(m.known)
	}
	m.known[hash] = identity{}
	if again { // it's worth a text of its own: the record's memory is used again
		p := d.scanner
		d.scanner = &scanner{s: strings.Clone(p.s[start:p.i])}
		exact, err = d.newIdentity()
		m.known[hash] = identity{d.scanner.s, d.e.UserIdentity, exact}
		d.scanner = p
	}
	return exact, err
}

func (d *decoder) newIdentity() (bool, error) {
	d.parts, d.e.UserIdentity = new(parts), nil
	return d.members(func() { d.e.UserIdentity = &d.parts.identity }, d.identity)
}
