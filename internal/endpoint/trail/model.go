package trail

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// The buckets of the state store.
const (
	trailsBucket = "trail.trails" // REGION/NAME → trail
	filesBucket  = "trail.files"  // TRAIL ID/PLACE/POSITION → fileEntry: log files that the next digest names
	keysBucket   = "trail.keys"   // FINGERPRINT → signingKey
)

// trail is a trail and how far its delivery is. A stored trail is never changed in place: slices and maps are replaced.
type trail struct {
	ID         string // never used again, unlike names
	Name       string
	HomeRegion string
	ARN        string
	Created    time.Time

	Bucket, Prefix    string
	SNSTopic          string // as the user named it
	SNSTopicARN       string
	MultiRegion       bool
	GlobalEvents      bool
	LogFileValidation bool
	ValidatedSince    time.Time // when LogFileValidation became true
	LogGroupARN       string
	LogRoleARN        string
	KMSKey            string
	Selectors         cloudtrail.Selectors
	Insights          []insightSelector `json:",omitempty"`
	Tags              map[string]string `json:",omitempty"`

	Logging bool
	Started time.Time // the latest StartLogging
	Stopped time.Time // the latest StopLogging

	// Organization is the organization's id while it is a trail of all its accounts.
	Organization string `json:",omitempty"`

	streams
	Members map[string]*streams `json:",omitempty"` // of an organization trail: how far it is with the members' events
	Chains  map[string]chain    `json:",omitempty"` // by origin
	Status  status
}

// streams are how far the events of one account have been delivered.
type streams struct {
	Files cursor // to the bucket
	Logs  cursor // to the log group
}

// origin is where events come from that have log files and a chain of digests together. Account is "" for the trail's own.
type origin struct{ Account, Region string }

// String is the origin's name in the state.
func (o origin) String() string {
	if o.Account == "" {
		return o.Region
	}
	return o.Account + "/" + o.Region
}

func originOf(name string) origin {
	if account, region, ok := strings.Cut(name, "/"); ok {
		return origin{account, region}
	}
	return origin{Region: name}
}

// cursor is how far a trail's events have been delivered to one destination.
type cursor struct {
	Planned Position // while the trail logs: what comes after belongs to no span yet
	Spans   []span   `json:",omitempty"` // what is to be delivered, in order
}

// span is a range of the record to deliver, with all that decides what is written and under which name.
type span struct {
	Account      string `json:",omitempty"` // whose record it is of; "" is the trail's own account's
	From, To     Position
	At           time.Time // when it was planned; zero until it is begun. Names the files
	Selectors    cloudtrail.Selectors
	MultiRegion  bool
	GlobalEvents bool
	Organization string   `json:",omitempty"`
	Only         string   `json:",omitempty"` // deliver the event with this request id, and no other
	Group, Role  string   `json:",omitempty"` // the ARNs of the log group and role it is delivered with
	Bucket       string   `json:",omitempty"` // where it is being delivered; "" before an attempt
	Prefix       string   `json:",omitempty"`
	Done         []string `json:",omitempty"` // the Regions whose files are delivered
}

// chain is the digests of a trail and an origin, from one start of logging on.
type chain struct {
	Start    time.Time   // where the next digest's period begins
	Previous digest.Link // zero before the first digest
	Plan     *digestPlan `json:",omitempty"`
	Ended    bool        `json:",omitempty"` // no digest follows; the next one begins a new chain
}

// digestPlan is a digest whose delivery has begun: all that decides its bytes.
type digestPlan struct {
	End            time.Time
	Last           string // the key of its last file entry; "" when it names no file
	Bucket, Prefix string // where it is being delivered; "" after an attempt that failed
	Organization   string `json:",omitempty"`
}

// fileEntry is a log file that was delivered since the origin's last digest.
type fileEntry struct {
	Bucket, Key, Hash string
	Newest, Oldest    time.Time
}

// status is what GetTrailStatus tells.
type status struct {
	Attempt, Delivery time.Time // the latest attempt and success of delivering log files
	DeliveryError     string
	Digest            time.Time
	DigestError       string
	Logs              time.Time
	LogsError         string
	NotifyAttempt     time.Time `json:",omitzero"`
	Notify            time.Time `json:",omitzero"`
	NotifyError       string    `json:",omitempty"`
}

func trailKey(region, name string) string { return region + "/" + name }

func (t *trail) key() string { return trailKey(t.HomeRegion, t.Name) }

// of returns how far the trail is with an account's events; "" is its own account.
func (t *trail) of(account string) *streams {
	if account == "" {
		return &t.streams
	}
	return t.Members[account]
}

// begin makes the trail log from the ends of the accounts' records on.
func (t *trail) begin(ends map[string]Position, now time.Time) {
	t.Logging, t.Started = true, now
	t.Files.Planned, t.Logs.Planned = ends[""], ends[""]
	for account, end := range ends {
		t.join(account, end)
	}
}

// join begins an organization trail's delivery of a member's events at a position.
func (t *trail) join(account string, end Position) {
	if account == "" || t.Organization == "" {
		return
	}
	if t.Members == nil {
		t.Members = map[string]*streams{}
	}
	if t.Members[account] == nil {
		t.Members[account] = &streams{}
	}
	t.Members[account].Files.Planned, t.Members[account].Logs.Planned = end, end
}

// collects tells whether the trail logs what happens in an account now.
func (t *trail) collects(account string) bool {
	return t.Logging && (account == "" || t.Organization != "")
}

// cut ends the spans that are open at the ends of the accounts' records, so that what was recorded before is delivered by
// the trail's settings as they are now. It has to be called before they change.
func (t *trail) cut(ends map[string]Position) {
	for account, end := range ends {
		if st := t.of(account); st != nil && t.collects(account) {
			st.cut(t, account, end)
		}
	}
}

func (st *streams) cut(t *trail, account string, end Position) {
	for _, c := range []*cursor{&st.Files, &st.Logs} {
		if c == &st.Logs && t.LogGroupARN == "" {
			c.Planned = end
			continue
		}
		if end > c.Planned {
			c.add(t.span(account, c.Planned, end))
			c.Planned = end
		}
	}
}

// span is what the trail delivers of a range by its present settings.
func (t *trail) span(account string, from, to Position) span {
	return span{
		Account: account, From: from, To: to, Selectors: t.Selectors, MultiRegion: t.MultiRegion, GlobalEvents: t.GlobalEvents,
		Group: t.LogGroupARN, Role: t.LogRoleARN, Organization: t.Organization,
	}
}

// end makes the trail log no more from the ends of the records on, but for the event of the call that ends it.
func (t *trail) end(ends map[string]Position, now time.Time, requestID string) {
	t.cut(ends)
	t.Logging, t.Stopped = false, now
	last := t.span("", ends[""], -1)
	last.Only = requestID
	t.Files.add(last)
	if t.LogGroupARN != "" {
		t.Logs.add(last)
	}
}

// closeOpen gives the spans without an end the end p.
func (t *trail) closeOpen(p Position) {
	for _, c := range []*cursor{&t.Files, &t.Logs} {
		spans := slices.Clone(c.Spans)
		for i := range spans {
			if spans[i].To < 0 {
				spans[i].To = p
			}
		}
		c.Spans = spans
	}
}

func (c *cursor) add(s span) { c.Spans = append(slices.Clip(c.Spans), s) }

// clone returns a copy that can be changed in the ways that trail allows.
func (t *trail) clone() *trail {
	c := *t
	c.Chains = maps.Clone(t.Chains)
	c.Members = maps.Clone(t.Members)
	for account, st := range c.Members {
		own := *st
		c.Members[account] = &own
	}
	c.Tags = maps.Clone(t.Tags)
	return &c
}

// parseLogGroupARN takes "arn:aws:logs:REGION:ACCOUNT:log-group:NAME:*" apart.
func parseLogGroupARN(arn string) (region, name string, ok bool) {
	p := strings.SplitN(arn, ":", 7)
	if len(p) != 7 || p[0] != "arn" || p[2] != "logs" || p[5] != "log-group" {
		return "", "", false
	}
	name, ok = strings.CutSuffix(p[6], ":*")
	return p[3], name, ok && name != ""
}

// list returns the account's own trails in the order of their keys.
func (s *Service) list() []*trail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.trails), func(a, b *trail) int { return strings.Compare(a.key(), b.key()) })
}

// seen returns the trails that the account sees: its own, and those of its organization.
func (s *Service) seen() []*trail { return append(s.list(), s.shared()...) }

// shared returns the trails that the management account has for the organization that this account is a member of.
func (s *Service) shared() []*trail {
	if s.opts.Organization.Manager == nil {
		return nil
	}
	return slices.DeleteFunc(s.opts.Organization.Manager.list(), func(t *trail) bool { return t.Organization == "" })
}

// byID returns the trail as it is now; nil when it has been deleted.
func (s *Service) byID(id string) *trail {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.trails {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// change changes a trail, in the state and in memory, or neither. fn gets a copy, and may write more in the same
// transaction. A trail that has been deleted since stays deleted; changed is then false.
func (s *Service) change(id string, fn func(t *trail, tx *state.Tx) error) (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, old := range s.trails {
		if old.ID != id {
			continue
		}
		t := old.clone()
		err := s.opts.Store.Update(func(tx *state.Tx) error {
			if err := fn(t, tx); err != nil {
				return err
			}
			return tx.Put(trailsBucket, t.key(), t)
		})
		if err != nil {
			return false, err
		}
		s.trails[t.key()] = t
		return true, nil
	}
	return false, nil
}

// load reads the trails from the state.
func (s *Service) load() error {
	entries, err := state.List[*trail](s.opts.Store, trailsBucket, "")
	if err != nil {
		return fmt.Errorf("reading trails: %w", err)
	}
	s.trails = map[string]*trail{}
	for _, e := range entries {
		s.trails[e.Key] = e.Value
	}
	return s.welcome()
}

// welcome has the organization trails deliver the events of members that are new.
func (s *Service) welcome() error {
	for _, t := range s.list() {
		for account, r := range s.opts.Organization.Members {
			if t.Organization == "" || !t.Logging || t.of(account) != nil {
				continue
			}
			_, err := s.change(t.ID, func(t *trail, _ *state.Tx) error {
				t.join(account, r.End())
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
