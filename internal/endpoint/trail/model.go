package trail

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// The buckets of the state store.
const (
	trailsBucket = "trail.trails" // REGION/NAME → trail
	filesBucket  = "trail.files"  // TRAIL ID/REGION/POSITION → fileEntry: log files that the next digest names
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
	Selectors         Selectors
	Insights          []insightSelector `json:",omitempty"`
	Tags              map[string]string `json:",omitempty"`

	Logging bool
	Started time.Time // the latest StartLogging
	Stopped time.Time // the latest StopLogging

	Files  cursor           // delivery to the bucket
	Logs   cursor           // delivery to the log group
	Chains map[string]chain `json:",omitempty"` // by Region
	Status status
}

// cursor is how far a trail's events have been delivered to one destination.
type cursor struct {
	Planned Position // while the trail logs: what comes after belongs to no span yet
	Spans   []span   `json:",omitempty"` // what is to be delivered, in order
}

// span is a range of the record to deliver, with all that decides what is written and under which name.
type span struct {
	From, To     Position
	At           time.Time // when it was planned; zero until it is begun. Names the files
	Selectors    Selectors
	MultiRegion  bool
	GlobalEvents bool
	Only         string   `json:",omitempty"` // deliver the event with this request id, and no other
	Group, Role  string   `json:",omitempty"` // the ARNs of the log group and role it is delivered with
	Bucket       string   `json:",omitempty"` // where it is being delivered; "" before an attempt
	Prefix       string   `json:",omitempty"`
	Done         []string `json:",omitempty"` // the Regions whose files are delivered
}

// chain is the digests of a trail in a Region, from one start of logging on.
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
}

// fileEntry is a log file that was delivered since the Region's last digest.
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

// begin makes the trail log from a position on.
func (t *trail) begin(p Position, now time.Time) {
	t.Logging, t.Started = true, now
	t.Files.Planned, t.Logs.Planned = p, p
}

// cut ends the spans that are open at a position, so that what was recorded before is delivered by the trail's settings
// as they are now. It has to be called before they change.
func (t *trail) cut(p Position) {
	if !t.Logging {
		return
	}
	for _, c := range []*cursor{&t.Files, &t.Logs} {
		if c == &t.Logs && t.LogGroupARN == "" {
			c.Planned = p
			continue
		}
		if p > c.Planned {
			c.add(t.span(c.Planned, p))
			c.Planned = p
		}
	}
}

// span is what the trail delivers of a range by its present settings.
func (t *trail) span(from, to Position) span {
	return span{
		From: from, To: to, Selectors: t.Selectors, MultiRegion: t.MultiRegion, GlobalEvents: t.GlobalEvents,
		Group: t.LogGroupARN, Role: t.LogRoleARN,
	}
}

// end makes the trail log no more from a position on, but for the event of the call that ends it.
func (t *trail) end(p Position, now time.Time, requestID string) {
	t.cut(p)
	t.Logging, t.Stopped = false, now
	last := t.span(p, -1)
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

// list returns the trails in the order of their keys.
func (s *Service) list() []*trail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.trails), func(a, b *trail) int { return strings.Compare(a.key(), b.key()) })
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
	return nil
}
