package lake

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"unsafe"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// slot is a row with the memory behind its pointers.
type slot struct {
	row        eventRow
	identity   identityRow
	session    sessionRow
	issuer     issuerRow
	attributes attributesRow
	behalf     onBehalfOfRow
	tls        tlsRow
	readOnly   bool
	management bool
	in, out    int64
	time       micros
	created    micros
	ref        ref
}

// ref names a row of a batch: the number of its log file in the batch, and its place there.
type ref struct {
	file  uint32
	index uint32
}

// rowBlock and textBlock are how many rows and bytes of text are allocated at a time.
const (
	rowBlock  = 64
	textBlock = 128 << 10
)

// rows holds rows with all their text, in memory that is used again after a reset.
type rows struct {
	blocks []*[rowBlock]slot
	n      int
	texts  [][]byte // each textBlock long, or longer for one large text
	text   int      // the one being filled
	bytes  int
}

// mark is a place that rows can go back to.
type mark struct{ n, text, filled, bytes int }

func (r *rows) mark() mark {
	m := mark{n: r.n, text: r.text, bytes: r.bytes}
	if r.text < len(r.texts) {
		m.filled = len(r.texts[r.text])
	}
	return m
}

// reset forgets the rows after the mark.
func (r *rows) reset(m mark) {
	for i := m.text; i < len(r.texts); i++ {
		r.texts[i] = r.texts[i][:0]
	}
	if m.text < len(r.texts) {
		r.texts[m.text] = r.texts[m.text][:m.filled]
	}
	r.n, r.text, r.bytes = m.n, m.text, m.bytes
}

func (r *rows) at(i int) *slot { return &r.blocks[i/rowBlock][i%rowBlock] }

// next returns a new row, zero.
func (r *rows) next() *slot {
	if r.n/rowBlock == len(r.blocks) {
		r.blocks = append(r.blocks, new([rowBlock]slot))
	}
	s := r.at(r.n)
	*s = slot{}
	r.n++
	r.bytes += int(unsafe.Sizeof(slot{}))
	return s
}

// keep copies a text into the rows' memory.
func (r *rows) keep(s string) string {
	if s == "" {
		return ""
	}
	r.bytes += len(s)
	for r.text < len(r.texts) && cap(r.texts[r.text])-len(r.texts[r.text]) < len(s) {
		r.text++
	}
	if r.text == len(r.texts) {
		r.texts = append(r.texts, make([]byte, 0, max(textBlock, len(s))))
	}
	b := r.texts[r.text]
	n := len(b)
	b = append(b, s...)
	r.texts[r.text] = b
	return unsafe.String(&b[n], len(s))
}

func (r *rows) json(j cloudtrail.JSON) string { return r.keep(string(j)) }

// add makes a row of an event.
func (r *rows) add(e *cloudtrail.Event, c *Call, source string, at ref) *slot {
	s := r.next()
	s.ref = at
	r.record(s, e)
	r.call(s, c)
	s.row.SourceObject, s.row.SourceIndex = source, int64(at.index)
	return s
}

func (r *rows) record(s *slot, e *cloudtrail.Event) {
	row := &s.row
	row.EventVersion = r.keep(e.EventVersion)
	row.EventTime = microsOf(e.EventTime, &s.time)
	row.EventSource = r.keep(e.EventSource)
	row.EventName = r.keep(e.EventName)
	row.AWSRegion = r.keep(e.AWSRegion)
	row.SourceIPAddress = r.keep(e.SourceIPAddress)
	row.UserAgent = r.keep(e.UserAgent)
	row.ErrorCode = r.keep(e.ErrorCode)
	row.ErrorMessage = r.keep(e.ErrorMessage)
	row.RequestParameters = r.json(e.RequestParameters)
	row.ResponseElements = r.json(e.ResponseElements)
	row.AdditionalEventData = r.json(e.AdditionalEventData)
	row.RequestID = r.keep(e.RequestID)
	row.ReadOnly = boolColumn(e.ReadOnly, &s.readOnly)
	row.EventType = r.keep(e.EventType)
	row.APIVersion = r.keep(e.APIVersion)
	row.ManagementEvent = boolColumn(e.ManagementEvent, &s.management)
	row.RecipientAccountID = r.keep(e.RecipientAccountID)
	row.SharedEventID = r.keep(e.SharedEventID)
	row.VPCEndpointID = r.keep(e.VPCEndpointID)
	row.VPCEndpointAccountID = r.keep(e.VPCEndpointAccountID)
	row.ServiceEventDetails = r.json(e.ServiceEventDetails)
	row.Addendum = r.json(e.Addendum)
	row.EdgeDeviceDetails = r.json(e.EdgeDeviceDetails)
	row.InsightDetails = r.json(e.InsightDetails)
	row.EventContext = r.json(e.EventContext)
	row.EventCategory = r.keep(e.EventCategory)
	row.SessionCredentialFromConsole = r.keep(e.SessionCredentialFromConsole)
	row.Extra = r.json(e.Extra)
	r.eventID(row, e)
	r.identity(s, e.UserIdentity)
	if e.Resources != nil {
		row.Resources = make([]resourceRow, len(e.Resources))
		for i, v := range e.Resources {
			row.Resources[i] = resourceRow{pointer(r.keep(v.AccountID)), pointer(r.keep(v.Type)), pointer(r.keep(v.ARN))}
		}
	}
	if t := e.TLSDetails; t != nil {
		s.tls = tlsRow{r.keep(t.TLSVersion), r.keep(t.CipherSuite), r.keep(t.ClientProvidedHostHeader)}
		row.TLSDetails = &s.tls
	}
}

func (r *rows) identity(s *slot, u *cloudtrail.UserIdentity) {
	if u == nil {
		return
	}
	s.identity = identityRow{
		Type: r.keep(u.Type), PrincipalID: r.keep(u.PrincipalID), ARN: r.keep(u.ARN), AccountID: r.keep(u.AccountID),
		AccessKeyID: r.keep(u.AccessKeyID), UserName: r.keep(u.UserName), InvokedBy: r.keep(u.InvokedBy),
		IdentityProvider: r.keep(u.IdentityProvider), CredentialID: r.keep(u.CredentialID), InScopeOf: r.json(u.InScopeOf),
	}
	s.row.UserIdentity = &s.identity
	if o := u.OnBehalfOf; o != nil {
		s.behalf = onBehalfOfRow{r.keep(o.UserID), r.keep(o.IdentityStoreARN)}
		s.identity.OnBehalfOf = &s.behalf
	}
	c := u.SessionContext
	if c == nil {
		return
	}
	s.session = sessionRow{
		WebIDFederationData: r.json(c.WebIDFederationData), SourceIdentity: r.keep(c.SourceIdentity),
		EC2RoleDelivery: r.keep(c.EC2RoleDelivery), EC2IssuedInVPC: r.keep(c.EC2IssuedInVPC), AssumedRoot: r.keep(c.AssumedRoot),
	}
	s.identity.SessionContext = &s.session
	if i := c.SessionIssuer; i != nil {
		s.issuer = issuerRow{r.keep(i.Type), r.keep(i.PrincipalID), r.keep(i.ARN), r.keep(i.AccountID), r.keep(i.UserName)}
		s.session.SessionIssuer = &s.issuer
	}
	if a := c.Attributes; a != nil {
		s.attributes = attributesRow{microsOf(a.CreationDate, &s.created), r.keep(a.MFAAuthenticated)}
		s.session.Attributes = &s.attributes
	}
}

func (r *rows) call(s *slot, c *Call) {
	row := &s.row
	row.AIService = r.keep(c.AIService)
	row.OperationClass = r.keep(c.OperationClass)
	row.ModelID = r.keep(c.ModelID)
	row.InferenceRegion = r.keep(c.InferenceRegion)
	row.Actor = r.keep(c.Actor)
	row.ActorKind = r.keep(c.ActorKind)
	row.Client = r.keep(c.Client)
	row.Outcome = r.keep(c.Outcome)
	row.GuardrailID = r.keep(c.GuardrailID)
	row.CallRole = r.keep(c.CallRole)
	row.ParentRequestID = r.keep(c.ParentRequestID)
	if c.InputTokens >= 0 {
		s.in, row.InputTokens = c.InputTokens, &s.in
	}
	if c.OutputTokens >= 0 {
		s.out, row.OutputTokens = c.OutputTokens, &s.out
	}
}

// eventID puts the id into its column, or into extra when the column can't give it back.
func (r *rows) eventID(row *eventRow, e *cloudtrail.Event) {
	if id, ok := parseUUID(e.EventID); ok {
		row.EventID = id
		return
	}
	if e.EventID == "" || e.Extra.Member("eventID") != "" {
		return
	}
	member := `{"eventID":` + jsonString(e.EventID)
	if rest := strings.TrimSpace(string(e.Extra)); len(rest) > 2 && strings.TrimSpace(rest[1:]) != "}" {
		member += "," + rest[1:]
	} else {
		member += "}"
	}
	row.Extra = r.keep(member)
}

// event gives the event of a row back.
func (row *eventRow) event() cloudtrail.Event {
	e := cloudtrail.Event{
		EventVersion: row.EventVersion, EventTime: row.EventTime.time(), EventSource: row.EventSource, EventName: row.EventName,
		AWSRegion: row.AWSRegion, SourceIPAddress: row.SourceIPAddress, UserAgent: row.UserAgent,
		ErrorCode: row.ErrorCode, ErrorMessage: row.ErrorMessage,
		RequestParameters: cloudtrail.JSON(row.RequestParameters), ResponseElements: cloudtrail.JSON(row.ResponseElements),
		AdditionalEventData: cloudtrail.JSON(row.AdditionalEventData), RequestID: row.RequestID,
		ReadOnly: boolMember(row.ReadOnly), EventType: row.EventType, APIVersion: row.APIVersion,
		ManagementEvent: boolMember(row.ManagementEvent), RecipientAccountID: row.RecipientAccountID, SharedEventID: row.SharedEventID,
		VPCEndpointID: row.VPCEndpointID, VPCEndpointAccountID: row.VPCEndpointAccountID,
		ServiceEventDetails: cloudtrail.JSON(row.ServiceEventDetails), Addendum: cloudtrail.JSON(row.Addendum),
		EdgeDeviceDetails: cloudtrail.JSON(row.EdgeDeviceDetails), InsightDetails: cloudtrail.JSON(row.InsightDetails),
		EventContext: cloudtrail.JSON(row.EventContext), EventCategory: row.EventCategory,
		SessionCredentialFromConsole: row.SessionCredentialFromConsole, Extra: cloudtrail.JSON(row.Extra),
	}
	e.EventID = eventIDOf(row.EventID, row.Extra)
	if row.Resources != nil {
		e.Resources = make([]cloudtrail.Resource, len(row.Resources))
		for i, v := range row.Resources {
			e.Resources[i] = cloudtrail.Resource{AccountID: pointed(v.AccountID), Type: pointed(v.Type), ARN: pointed(v.ARN)}
		}
	}
	if row.TLSDetails != nil {
		t := cloudtrail.TLSDetails(*row.TLSDetails)
		e.TLSDetails = &t
	}
	e.UserIdentity = row.UserIdentity.identity()
	return e
}

func (u *identityRow) identity() *cloudtrail.UserIdentity {
	if u == nil {
		return nil
	}
	v := &cloudtrail.UserIdentity{
		Type: u.Type, PrincipalID: u.PrincipalID, ARN: u.ARN, AccountID: u.AccountID, AccessKeyID: u.AccessKeyID,
		UserName: u.UserName, InvokedBy: u.InvokedBy, IdentityProvider: u.IdentityProvider, CredentialID: u.CredentialID,
		InScopeOf: cloudtrail.JSON(u.InScopeOf),
	}
	if u.OnBehalfOf != nil {
		o := cloudtrail.OnBehalfOf(*u.OnBehalfOf)
		v.OnBehalfOf = &o
	}
	if c := u.SessionContext; c != nil {
		v.SessionContext = &cloudtrail.SessionContext{
			WebIDFederationData: cloudtrail.JSON(c.WebIDFederationData), SourceIdentity: c.SourceIdentity,
			EC2RoleDelivery: c.EC2RoleDelivery, EC2IssuedInVPC: c.EC2IssuedInVPC, AssumedRoot: c.AssumedRoot,
		}
		if c.SessionIssuer != nil {
			i := cloudtrail.SessionIssuer(*c.SessionIssuer)
			v.SessionContext.SessionIssuer = &i
		}
		if c.Attributes != nil {
			v.SessionContext.Attributes = &cloudtrail.SessionAttributes{
				CreationDate: c.Attributes.CreationDate.time(), MFAAuthenticated: c.Attributes.MFAAuthenticated}
		}
	}
	return v
}

// call gives the normal form of a row back.
func (row *eventRow) call() Call {
	return Call{
		AIService: row.AIService, OperationClass: row.OperationClass, ModelID: row.ModelID, InferenceRegion: row.InferenceRegion,
		Actor: row.Actor, ActorKind: row.ActorKind, Client: row.Client, Outcome: row.Outcome,
		InputTokens: orMinusOne(row.InputTokens), OutputTokens: orMinusOne(row.OutputTokens),
		GuardrailID: row.GuardrailID, CallRole: row.CallRole, ParentRequestID: row.ParentRequestID,
	}
}

func orMinusOne(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}

func boolColumn(b cloudtrail.Bool, at *bool) *bool {
	if b == cloudtrail.Absent {
		return nil
	}
	*at = b == cloudtrail.True
	return at
}

func boolMember(b *bool) cloudtrail.Bool {
	if b == nil {
		return cloudtrail.Absent
	}
	return cloudtrail.BoolOf(*b)
}

// parseUUID parses the one form that formatUUID gives back: 8-4-4-4-12 digits in lower case, not all of them zero
// (which a column of optional ids can't hold).
func parseUUID(s string) (id [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	n := 0
	for i := 0; i < 36; i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			continue
		}
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			return [16]byte{}, false
		}
		id[n/2] = id[n/2]<<4 | c
		n++
	}
	return id, id != [16]byte{}
}

func formatUUID(id [16]byte) string {
	var b [36]byte
	hex.Encode(b[:], id[:4])
	hex.Encode(b[9:], id[4:6])
	hex.Encode(b[14:], id[6:8])
	hex.Encode(b[19:], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// eventIDOf gives the eventID of a row's columns back.
func eventIDOf(id [16]byte, extra string) string {
	if id != [16]byte{} {
		return formatUUID(id)
	}
	if extra == "" {
		return ""
	}
	if v := cloudtrail.JSON(extra).Member("eventID"); strings.HasPrefix(string(v), `"`) {
		return v.Text()
	}
	return ""
}

// jsonString returns s as JSON text.
func jsonString(s string) string {
	b, _ := json.Marshal(s) // of a string: can't fail
	return string(b)
}
