package trail

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// keyOverlap is how long a key is said to be valid after the next one has taken its place.
const keyOverlap = time.Hour

// signingKey is a key pair that digests are signed with.
type signingKey struct {
	Private  []byte    // PKCS #1 DER
	From, To time.Time // the validity that ListPublicKeys tells

	private *rsa.PrivateKey
}

// signingKey returns the key pair that a digest ending at a time is signed with: the newest that was begun by then, so that
// a digest that is delivered again has the same signature. A key that has served for KeyEvery is followed by a new one.
func (s *Service) signingKey(at time.Time) (*signingKey, error) {
	s.signing.Lock()
	defer s.signing.Unlock()
	if err := s.loadKeys(); err != nil {
		return nil, err
	}
	var key *signingKey
	for _, k := range s.keys {
		if key == nil || !k.From.After(at) {
			key = k
		}
	}
	if key == nil {
		return s.newKey(at.Truncate(time.Hour).Add(-time.Hour), nil) // digests may begin before the key is first needed
	}
	if key == s.keys[len(s.keys)-1] && at.Sub(key.From) >= s.opts.KeyEvery {
		return s.newKey(at.Truncate(time.Second), key)
	}
	return key, nil
}

// validKeys returns the keys that are valid in a time, the oldest first.
func (s *Service) validKeys(from, to time.Time) ([]*signingKey, error) {
	if _, err := s.signingKey(s.now()); err != nil { // there is always one that is valid now
		return nil, err
	}
	s.signing.Lock()
	defer s.signing.Unlock()
	var valid []*signingKey
	for _, k := range s.keys {
		if !k.From.After(to) && !k.To.Before(from) {
			valid = append(valid, k)
		}
	}
	return valid, nil
}

// loadKeys reads the keys from the state, once. The caller holds signing.
func (s *Service) loadKeys() error {
	if s.keys != nil {
		return nil
	}
	entries, err := state.List[*signingKey](s.opts.Store, keysBucket, "")
	if err != nil {
		return fmt.Errorf("reading the signing keys: %w", err)
	}
	var keys []*signingKey
	for _, e := range entries {
		if e.Value.private, err = x509.ParsePKCS1PrivateKey(e.Value.Private); err != nil {
			return fmt.Errorf("reading the signing key %s: %w", e.Key, err)
		}
		keys = append(keys, e.Value)
	}
	slices.SortFunc(keys, func(a, b *signingKey) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	s.keys = keys
	return nil
}

// newKey makes a key pair that is valid from a time on, in place of another one; nil: it is the first. The caller holds
// signing.
func (s *Service) newKey(from time.Time, old *signingKey) (*signingKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	key := &signingKey{
		Private: x509.MarshalPKCS1PrivateKey(private), From: from, To: from.Add(s.opts.KeyEvery + keyOverlap), private: private,
	}
	keys := append(slices.Clip(s.keys), key)
	err = s.opts.Store.Update(func(tx *state.Tx) error {
		if old != nil && old.To.After(from.Add(keyOverlap)) { // KeyEvery was longer once
			ended := *old
			ended.To = from.Add(keyOverlap)
			keys[len(keys)-2] = &ended
			if err := tx.Put(keysBucket, digest.Fingerprint(&old.private.PublicKey), &ended); err != nil {
				return err
			}
		}
		return tx.Put(keysBucket, digest.Fingerprint(&private.PublicKey), key)
	})
	if err != nil {
		return nil, fmt.Errorf("storing a signing key: %w", err)
	}
	s.keys = keys
	return key, nil
}
