package lake

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// ref names a row of a batch: the number of its log file in the batch, and its place there.
type ref struct {
	file  uint32
	index uint32
}

// head is what is known of a row besides its columns.
type head struct {
	time micros // noTime without one
	ref  ref
	key  key
}

// noTime stands for the time of an event without one. It sorts before all others.
const noTime micros = math.MinInt64

// chunk is rows of a table in memory that become data files together, with the encoder for it.
type chunk struct {
	table string
	columns
	heads  []head
	w      *encoder
	normal normalizer
	people map[*cloudtrail.UserIdentity]uint32 // the identities that came last: readers share equal ones
	start  columnsMark                         // where the log file being added began
}

func newChunk(table string) *chunk {
	return &chunk{table: table, columns: *newColumns(rowTypes[table]), w: newEncoder(), people: map[*cloudtrail.UserIdentity]uint32{}}
}

// begin marks the place that forget goes back to.
func (c *chunk) begin() { c.mark(&c.start) }

// forget removes the rows since begin.
func (c *chunk) forget() { c.back(&c.start) }

// clear removes all rows.
func (c *chunk) clear() { c.back(&columnsMark{}) }

func (c *chunk) back(m *columnsMark) {
	c.reset(m)
	c.heads = c.heads[:m.n]
	clear(c.people)
}

// since returns the rows from the given one on.
func (c *chunk) since(first int) []uint32 {
	rows := make([]uint32, 0, c.n-first)
	for row := first; row < c.n; row++ {
		rows = append(rows, uint32(row))
	}
	return rows
}

// take adds rows of another chunk.
func (c *chunk) take(from *chunk, rows []uint32) {
	c.columns.take(&from.columns, rows)
	for _, row := range rows {
		c.heads = append(c.heads, from.heads[row])
	}
}

// addRow adds a row as it was read from a file.
func (c *chunk) addRow(row *eventRow, at ref) {
	e, call := row.event(), row.call()
	c.add(&e, &call, row.SourceObject, row.SourceIndex, at)
}

// add makes a row of an event. The values are added in the order of eventRow's fields.
func (c *chunk) add(e *cloudtrail.Event, n *Call, source string, index int64, at ref) {
	c.next()
	id, extra := eventIDColumns(e)
	var windowEnd time.Time
	if a, ok := aggregateOf(e); ok {
		with := *e // Nothing of e is changed.
		with.EventTime, with.RecipientAccountID = a.start, a.account
		e, id, windowEnd = &with, a.id, a.end
	}
	h := head{noTime, at, keyOf(id, extra, e.RecipientAccountID)}
	if !e.EventTime.IsZero() {
		h.time = micros(e.EventTime.UnixMicro())
	}
	c.heads = append(c.heads, h)

	c.text(e.EventVersion)
	c.caller(e.UserIdentity)
	c.number(int64(h.time), h.time != noTime)
	c.text(e.EventSource)
	c.text(e.EventName)
	c.text(e.AWSRegion)
	c.text(e.SourceIPAddress)
	c.text(e.UserAgent)
	c.text(e.ErrorCode)
	c.text(e.ErrorMessage)
	c.text(string(e.RequestParameters))
	c.text(string(e.ResponseElements))
	c.text(string(e.AdditionalEventData))
	c.text(e.RequestID)
	c.uuid(id)
	c.flag(e.ReadOnly == cloudtrail.True, e.ReadOnly != cloudtrail.Absent)
	c.list(len(e.Resources), e.Resources != nil, func(i int) {
		c.text(e.Resources[i].AccountID)
		c.text(e.Resources[i].Type)
		c.text(e.Resources[i].ARN)
	})
	c.text(e.EventType)
	c.text(e.APIVersion)
	c.flag(e.ManagementEvent == cloudtrail.True, e.ManagementEvent != cloudtrail.Absent)
	c.text(e.RecipientAccountID)
	c.text(e.SharedEventID)
	c.text(e.VPCEndpointID)
	c.text(e.VPCEndpointAccountID)
	c.text(string(e.ServiceEventDetails))
	c.text(string(e.Addendum))
	c.text(string(e.EdgeDeviceDetails))
	c.text(string(e.InsightDetails))
	c.text(string(e.EventContext))
	c.text(e.EventCategory)
	c.tls(e.TLSDetails)
	c.text(e.SessionCredentialFromConsole)
	c.text(extra)
	c.call(n)
	c.text(source)
	c.number(index, true)
	c.time(windowEnd)
}

// caller adds userIdentity.
func (c *chunk) caller(u *cloudtrail.UserIdentity) {
	if who, known := c.people[u]; known {
		c.callBy(who, true)
		return
	}
	who := c.identity()
	if len(c.people) >= remembered {
		clear(c.people)
	}
	c.people[u] = who
	c.callBy(who, false)
	level := c.group(u != nil)
	if u == nil {
		u = &cloudtrail.UserIdentity{}
	}
	c.text(u.Type)
	c.text(u.PrincipalID)
	c.text(u.ARN)
	c.text(u.AccountID)
	c.text(u.AccessKeyID)
	c.text(u.UserName)
	c.session(u.SessionContext)
	c.text(u.InvokedBy)
	c.text(u.IdentityProvider)
	c.onBehalfOf(u.OnBehalfOf)
	c.text(u.CredentialID)
	c.text(string(u.InScopeOf))
	c.end(level)
}

func (c *chunk) session(s *cloudtrail.SessionContext) {
	level := c.group(s != nil)
	if s == nil {
		s = &cloudtrail.SessionContext{}
	}
	issuer := c.group(s.SessionIssuer != nil)
	i := s.SessionIssuer
	if i == nil {
		i = &cloudtrail.SessionIssuer{}
	}
	c.text(i.Type)
	c.text(i.PrincipalID)
	c.text(i.ARN)
	c.text(i.AccountID)
	c.text(i.UserName)
	c.end(issuer)
	c.text(string(s.WebIDFederationData))
	attributes := c.group(s.Attributes != nil)
	a := s.Attributes
	if a == nil {
		a = &cloudtrail.SessionAttributes{}
	}
	c.time(a.CreationDate)
	c.text(a.MFAAuthenticated)
	c.end(attributes)
	c.text(s.SourceIdentity)
	c.text(s.EC2RoleDelivery)
	c.text(s.EC2IssuedInVPC)
	c.text(s.AssumedRoot)
	c.end(level)
}

func (c *chunk) onBehalfOf(o *cloudtrail.OnBehalfOf) {
	level := c.group(o != nil)
	if o == nil {
		o = &cloudtrail.OnBehalfOf{}
	}
	c.text(o.UserID)
	c.text(o.IdentityStoreARN)
	c.end(level)
}

func (c *chunk) tls(t *cloudtrail.TLSDetails) {
	level := c.group(t != nil)
	if t == nil {
		t = &cloudtrail.TLSDetails{}
	}
	c.text(t.TLSVersion)
	c.text(t.CipherSuite)
	c.text(t.ClientProvidedHostHeader)
	c.end(level)
}

// call adds the normal form.
func (c *chunk) call(n *Call) {
	c.text(n.AIService)
	c.text(n.OperationClass)
	c.text(n.ModelID)
	c.text(n.InferenceRegion)
	c.text(n.Actor)
	c.text(n.ActorKind)
	c.text(n.Client)
	c.text(n.Outcome)
	c.number(n.InputTokens, n.InputTokens >= 0)
	c.number(n.OutputTokens, n.OutputTokens >= 0)
	c.text(n.GuardrailID)
	c.text(n.CallRole)
	c.text(n.ParentRequestID)
}

// eventIDColumns returns the columns eventID and extra: an id that its column can't give back goes into extra.
func eventIDColumns(e *cloudtrail.Event) (id [16]byte, extra string) {
	if id, ok := parseUUID(e.EventID); ok {
		return id, string(e.Extra)
	}
	if e.EventID == "" || e.Extra.Member("eventID") != "" {
		return id, string(e.Extra)
	}
	member := `{"eventID":` + jsonString(e.EventID)
	if rest := strings.TrimSpace(string(e.Extra)); len(rest) > 2 && strings.TrimSpace(rest[1:]) != "}" {
		return id, member + "," + rest[1:]
	}
	return id, member + "}"
}

// aggregate is what an aggregated event's columns get from members that other events don't have.
type aggregate struct {
	start, end time.Time
	account    string
	id         [16]byte
}

// aggregateOf reads an aggregated event
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aggregated-events.html): it has
// timeWindow, accountId and eventId where others have eventTime, recipientAccountId and eventID. Those stand in extra, so the
// record is given back as it was. ok is false for other events, and for one of another form.
func aggregateOf(e *cloudtrail.Event) (a aggregate, ok bool) {
	if e.EventCategory != "Aggregated" || !e.EventTime.IsZero() || e.RecipientAccountID != "" || e.EventID != "" {
		return a, false
	}
	window := e.Extra.Member("timeWindow")
	var startErr, endErr error
	a.start, startErr = time.Parse(time.RFC3339, window.Member("windowStart").Text())
	a.end, endErr = time.Parse(time.RFC3339, window.Member("windowEnd").Text())
	a.account = e.Extra.Member("accountId").Text()
	a.id, ok = parseUUID(e.Extra.Member("eventId").Text())
	return a, ok && startErr == nil && endErr == nil && a.account != "" && !a.start.IsZero() && !a.end.IsZero()
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
	if row.WindowEnd != nil { // see aggregateOf
		e.EventTime, e.RecipientAccountID, e.EventID = time.Time{}, "", ""
	}
	if row.Resources != nil {
		e.Resources = make([]cloudtrail.Resource, len(row.Resources))
		for i, v := range row.Resources {
			e.Resources[i] = cloudtrail.Resource(v)
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
