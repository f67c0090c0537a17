package iam

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// entity is a user or a role. Entities are not changed once others can see them: a change makes a copy.
type entity struct {
	Name, Path, ID string
	Created        time.Time
	Tags           []tag
	Inline         map[string]string // policy documents by name
	Attached       []string          // ARNs of managed policies

	// Roles have these too.
	Trust       string `json:",omitempty"`
	Description string `json:",omitempty"`
	MaxSession  int    `json:",omitempty"` // seconds
}

type tag struct{ Key, Value string }

// copy returns a deep copy.
func (e *entity) copy() *entity {
	c := *e
	c.Tags = slices.Clone(e.Tags)
	c.Attached = slices.Clone(e.Attached)
	c.Inline = make(map[string]string, len(e.Inline))
	for k, v := range e.Inline {
		c.Inline[k] = v
	}
	return &c
}

func (e *entity) setTags(tags []tag) {
	for _, t := range tags {
		i := slices.IndexFunc(e.Tags, func(old tag) bool { return old.Key == t.Key })
		if i < 0 {
			e.Tags = append(e.Tags, t)
		} else {
			e.Tags[i] = t
		}
	}
}

// managed is a managed policy.
type managed struct {
	Name, Path, ID, ARN, Description string
	Created, Updated                 time.Time
	Tags                             []tag
	Versions                         []version // oldest first
	Default                          string    // a version's id
	Next                             int       // the number of the next version
	aws                              bool      // AWS's own
}

type version struct {
	ID, Document string
	Created      time.Time
}

func (m *managed) copy() *managed {
	c := *m
	c.Tags = slices.Clone(m.Tags)
	c.Versions = slices.Clone(m.Versions)
	return &c
}

func (m *managed) version(id string) (version, bool) {
	i := slices.IndexFunc(m.Versions, func(v version) bool { return v.ID == id })
	if i < 0 {
		return version{}, false
	}
	return m.Versions[i], true
}

func (m *managed) add(document string, at time.Time) version {
	m.Next++
	v := version{ID: "v" + strconv.Itoa(m.Next), Document: document, Created: at}
	m.Versions = append(m.Versions, v)
	return v
}

// accessKey is a user's access key.
type accessKey struct {
	ID, Secret, User, Status string
	Created                  time.Time
}

// credential is a service-specific credential: a Bedrock API key.
type credential struct {
	ID, User, Service, Alias, Status string
	Created                          time.Time
	Expires                          time.Time // zero: never
	Hash                             string    // SHA-256 of the key, hex
}

const (
	active   = "Active"
	inactive = "Inactive"
)

func (c *credential) expired(now time.Time) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires)
}

func (s *Store) userARN(e *entity) string { return s.arn("user", e.Path, e.Name) }
func (s *Store) roleARN(e *entity) string { return s.arn("role", e.Path, e.Name) }

func (s *Store) arn(kind, path, name string) string {
	return "arn:aws:iam::" + s.account + ":" + kind + path + name
}

// change writes to the state; apply then makes memory follow. Callers hold s.mu.
func (s *Store) change(write func(tx *state.Tx) error, apply func()) error {
	if err := s.state.Update(write); err != nil {
		return err
	}
	apply()
	return nil
}

// putUser stores a user. Callers hold s.mu.
func (s *Store) putUser(e *entity) error {
	return s.change(func(tx *state.Tx) error { return tx.Put(bucketUsers, e.Name, e) }, func() { s.users[e.Name] = e })
}

// putRole stores a role. Callers hold s.mu.
func (s *Store) putRole(e *entity) error {
	return s.change(func(tx *state.Tx) error { return tx.Put(bucketRoles, e.Name, e) }, func() { s.roles[e.Name] = e })
}

// putPolicy stores a managed policy. Callers hold s.mu.
func (s *Store) putPolicy(m *managed) error {
	return s.change(func(tx *state.Tx) error { return tx.Put(bucketPolicies, m.ARN, m) }, func() { s.policies[m.ARN] = m })
}

// find looks an entity up by name; IAM's names are unique without regard to case, but are kept and shown as given.
func find(entities map[string]*entity, name string) *entity {
	if e := entities[name]; e != nil {
		return e
	}
	for n, e := range entities {
		if strings.EqualFold(n, name) {
			return e
		}
	}
	return nil
}

// roleByARN finds the role of an ARN; nil when there is none.
func (s *Store) roleByARN(arn string) *entity {
	i := strings.LastIndexByte(arn, '/')
	if i < 0 {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.roles[arn[i+1:]]; e != nil && s.roleARN(e) == arn {
		return e
	}
	return nil
}
