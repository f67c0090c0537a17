// Package iam is who may do what at the endpoint: the root user's access key, IAM users, roles, policies and Bedrock API
// keys, and the sessions STS hands out. It authenticates requests ([Store.Authenticate]), decides whether a call is
// allowed ([Store.Check]), and answers the IAM and STS APIs ([Store.Services]).
//
// What holds:
//
//   - A change is on disk before the call that made it is answered; a call that fails changed nothing.
//   - Secrets leave the store once, in the answer of the call that made them, and are never in records. Of Bedrock API
//     keys only a hash is kept.
//   - Sessions are not stored: a session token is the session, sealed with a key of the store, and the secret follows
//     from the access key id. Sessions survive restarts and cost no disk writes. They hold the ids of role and user, so
//     the sessions of a deleted role may do nothing, even when a role of that name is made again.
//
// What it is not: the whole of IAM. There are no groups, login profiles, MFA devices, permissions boundaries,
// organizational units or OpenID and SAML providers; of AWS's managed policies a few are known (see managed.go). Operations
// it doesn't have are answered as InvalidAction. Quotas are AWS's defaults where they are held at all.
package iam

import (
	"fmt"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Options are a Store's settings.
type Options struct {
	State   *state.Store     // where it keeps what it knows; stays the caller's to close
	Account string           // twelve digits
	Now     func() time.Time // nil means time.Now
}

// Store holds the account's identities. Its methods may be called concurrently.
type Store struct {
	state   *state.Store
	account string
	now     func() time.Time
	root    root

	organization string            // set by Join
	others       map[string]*Store // the organization's accounts, this one among them

	mu          sync.RWMutex // guards the maps; held for writing over the write to state
	users       map[string]*entity
	roles       map[string]*entity
	policies    map[string]*managed    // by ARN; AWS's own among them
	keys        map[string]*accessKey  // by access key id
	credentials map[string]*credential // by id
	byHash      map[string]*credential // by the hash of the key

	parsed documents
}

// The buckets of the state.
const (
	bucketRoot        = "iam/root"
	bucketUsers       = "iam/users"
	bucketRoles       = "iam/roles"
	bucketPolicies    = "iam/policies"
	bucketKeys        = "iam/keys"
	bucketCredentials = "iam/credentials"
	bucketJoined      = "iam/joined" // organizations
)

// root is what is made once, at the first start.
type root struct {
	AccessKeyID, Secret string
	Created             time.Time
	Seal                []byte // the key that seals session tokens
}

// Open reads the store, and makes the root user's access key when there is none.
func Open(o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{
		state: o.State, account: o.Account, now: func() time.Time { return o.Now().UTC() },
		users: map[string]*entity{}, roles: map[string]*entity{}, policies: awsManaged(),
		keys: map[string]*accessKey{}, credentials: map[string]*credential{}, byHash: map[string]*credential{},
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("reading identities: %w", err)
	}
	return s, nil
}

func (s *Store) load() error {
	found, err := s.state.Get(bucketRoot, s.account, &s.root)
	if err != nil {
		return err
	}
	if !found {
		s.root = root{AccessKeyID: s.keyID("AKIA"), Secret: newSecret(), Created: s.now().Truncate(time.Second), Seal: randomBytes(32)}
		if err := s.state.Put(bucketRoot, s.account, s.root); err != nil {
			return err
		}
	}
	if err := loadInto(s.state, bucketUsers, s.users); err != nil {
		return err
	}
	if err := loadInto(s.state, bucketRoles, s.roles); err != nil {
		return err
	}
	if err := loadInto(s.state, bucketPolicies, s.policies); err != nil {
		return err
	}
	if err := loadInto(s.state, bucketKeys, s.keys); err != nil {
		return err
	}
	if err := loadInto(s.state, bucketCredentials, s.credentials); err != nil {
		return err
	}
	for _, c := range s.credentials {
		s.byHash[c.Hash] = c
	}
	return nil
}

func loadInto[T any](store *state.Store, bucket string, into map[string]*T) error {
	entries, err := state.List[T](store, bucket, "")
	if err != nil {
		return err
	}
	for _, e := range entries {
		into[e.Key] = &e.Value
	}
	return nil
}

// RootKey returns the root user's access key.
func (s *Store) RootKey() (accessKeyID, secret string) { return s.root.AccessKeyID, s.root.Secret }

// Services returns the IAM and STS APIs.
func (s *Store) Services() []awsapi.Service {
	return []awsapi.Service{&iamService{api{s, iamOperations()}}, &stsService{api{s, stsOperations()}}}
}

// documents keeps parsed policies by their text.
type documents struct {
	mu     sync.Mutex
	byText map[string]*policy.Document
}

// maxParsed bounds how many parsed policies are kept.
const maxParsed = 4096

// parse returns the document of a policy that was checked when it was stored; one that can't be read any more is
// taken for one that denies everything.
func (d *documents) parse(text string) *policy.Document {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc := d.byText[text]
	if doc == nil {
		var err error
		if doc, err = policy.Parse([]byte(text)); err != nil {
			doc = &policy.Document{Statements: []policy.Statement{{Effect: policy.EffectDeny, Actions: []string{"*"}}}}
		}
		if d.byText == nil || len(d.byText) >= maxParsed {
			d.byText = map[string]*policy.Document{}
		}
		d.byText[text] = doc
	}
	return doc
}
