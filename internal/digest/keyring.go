package digest

import (
	"context"
	"crypto/rsa"
	"fmt"
	"slices"
	"sync"
	"time"
)

// keyring asks a KeySource once for each Region and time, and remembers.
type keyring struct {
	source KeySource
	mu     sync.Mutex
	byName map[string]*rsa.PublicKey // by Region and fingerprint
	keys   []RegionKey
	asked  map[string][]span // by Region
}

type span struct{ from, to time.Time }

func newKeyring(source KeySource) *keyring {
	return &keyring{source: source, byName: map[string]*rsa.PublicKey{}, asked: map[string][]span{}}
}

// fetch asks for the keys of a time, unless they were asked for.
func (k *keyring) fetch(ctx context.Context, region string, from, to time.Time) error {
	if k.source == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.asked[region] {
		if !from.Before(s.from) && !to.After(s.to) {
			return nil
		}
	}
	keys, err := k.source.Keys(ctx, region, from, to)
	if err != nil {
		return fmt.Errorf("public keys of %s: %w", region, err)
	}
	for _, key := range keys {
		k.put(region, key)
	}
	k.asked[region] = append(k.asked[region], span{from, to})
	return nil
}

// find returns the key of a digest made at a time, nil if there is none.
func (k *keyring) find(ctx context.Context, region, fingerprint string, at time.Time) (*rsa.PublicKey, error) {
	if key := k.known(region, fingerprint); key != nil {
		return key, nil
	}
	if err := k.fetch(ctx, region, at.Add(-time.Hour), at.Add(time.Hour)); err != nil {
		return nil, err
	}
	return k.known(region, fingerprint), nil
}

func (k *keyring) known(region, fingerprint string) *rsa.PublicKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.byName[region+"/"+fingerprint]
}

// add makes a key known.
func (k *keyring) add(region string, key Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.put(region, key)
}

func (k *keyring) put(region string, key Key) {
	name := region + "/" + key.Fingerprint
	if _, there := k.byName[name]; !there {
		k.keys = append(k.keys, RegionKey{region, key})
	}
	k.byName[name] = key.Public
}

// all returns the keys that are known.
func (k *keyring) all() []RegionKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.keys)
}

// has tells whether any key of a Region is known.
func (k *keyring) has(region string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.keys, func(r RegionKey) bool { return r.Region == region })
}
