package trail

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// validating tells whether digests are made of what is delivered now of an account.
func (t *trail) validating(account string) bool { return t.collects(account) && t.LogFileValidation }

// chainOf returns the origin's chain of digests, and begins it when there is none.
func (t *trail) chainOf(from origin) chain {
	c, ok := t.Chains[from.String()]
	if !ok || c.Ended && t.LogFileValidation {
		// No two digests may end in the same second: that is their name.
		start := slices.MaxFunc([]time.Time{t.Started, t.ValidatedSince, c.Start}, time.Time.Compare)
		c = chain{Start: start.Truncate(time.Second)}
		t.setChain(from, c)
	}
	return c
}

func (t *trail) setChain(from origin, c chain) {
	if t.Chains == nil {
		t.Chains = map[string]chain{}
	}
	t.Chains[from.String()] = c
}

// deliverDigests delivers the digests that are due, or all of them. A trail has, for each of its accounts, a chain in its
// home Region and in every Region that it has delivered log files of. When a trail stops, or its validation is switched off, its chains end with
// one more digest; a later start begins new ones.
func (s *Service) deliverDigests(ctx context.Context, id string, now bool) error {
	t := s.byID(id)
	if t == nil {
		return nil
	}
	var from []origin
	for _, name := range slices.Sorted(maps.Keys(t.Chains)) {
		if o := originOf(name); s.recorder(o.Account) != nil && (!t.Chains[name].Ended || t.validating(o.Account)) {
			from = append(from, o)
		}
	}
	for _, account := range s.accounts() {
		if home := (origin{account, t.HomeRegion}); t.validating(account) && !slices.Contains(from, home) {
			from = append(from, home)
		}
	}
	var errs []error
	for _, o := range from {
		if err := s.deliverDigest(ctx, id, o, now); err != nil {
			errs = append(errs, fmt.Errorf("digest of %s: %w", o, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) deliverDigest(ctx context.Context, id string, from origin, now bool) error {
	t, c, err := s.planDigest(id, from, now)
	if err != nil || t == nil {
		return err
	}
	files, err := s.digestFiles(t.ID, from, c.Plan.Last)
	if err != nil {
		return err
	}
	sealed, d, err := s.seal(t, from, c, files)
	if err != nil {
		return err
	}
	failed := s.checkKey(ctx, t)
	if failed == nil {
		failed = s.putDigest(ctx, t, sealed, d, c.Start, c.Plan.End)
	}
	_, err = s.change(id, func(t *trail, tx *state.Tx) error {
		t.Status.DigestError = errorCode(failed)
		c := t.Chains[from.String()]
		if failed != nil {
			again := *c.Plan
			again.Bucket, again.Prefix = "", "" // the next attempt goes where the trail then delivers
			c.Plan = &again
			t.setChain(from, c)
			return nil
		}
		t.Status.Digest = s.now()
		c = chain{Start: c.Plan.End, Previous: sealed.Link}
		if !t.validating(from.Account) {
			c = chain{Start: c.Start, Ended: true}
		}
		t.setChain(from, c)
		for _, f := range files {
			if err := tx.Delete(filesBucket, f.Key); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(failed, err)
}

// organizationOf is the organization in whose folder an origin's digests are; a member's last ones are so, too, when the
// trail is the organization's no longer.
func (s *Service) organizationOf(t *trail, from origin) string {
	if from.Account != "" {
		return s.opts.Organization.ID
	}
	return t.Organization
}

// undelivered tells whether log files of an account are still to come.
func (t *trail) undelivered(account string) bool {
	st := t.of(account)
	return st != nil && len(st.Files.Spans) > 0
}

// planDigest stores what decides the origin's next digest, unless that has been done. The trail is nil when none is due.
func (s *Service) planDigest(id string, from origin, now bool) (*trail, chain, error) {
	t := s.byID(id)
	if t == nil {
		return nil, chain{}, nil
	}
	if c := t.Chains[from.String()]; c.Plan != nil {
		return s.planAgain(t, from, c)
	}
	end := s.now().Truncate(time.Second)
	c := t.clone().chainOf(from)
	if !now && end.Sub(c.Start) < s.opts.DigestEvery || !t.validating(from.Account) && (t.undelivered(from.Account) || s.waits(id)) {
		return nil, chain{}, nil
	}
	var planned *trail
	_, err := s.change(id, func(t *trail, tx *state.Tx) error {
		files, err := state.ListTx[fileEntry](tx, filesBucket, filesPrefix(id, from))
		if err != nil {
			return err
		}
		c = t.chainOf(from)
		if !end.After(c.Start) {
			if len(files) == 0 {
				return nil
			}
			end = c.Start.Add(time.Second) // digests are named to the second
		}
		c.Plan = &digestPlan{End: end, Bucket: t.Bucket, Prefix: t.Prefix, Organization: s.organizationOf(t, from)}
		if len(files) > 0 {
			c.Plan.Last = files[len(files)-1].Key
		}
		t.setChain(from, c)
		planned = t
		return nil
	})
	if err != nil {
		return nil, chain{}, err
	}
	return planned, c, nil
}

// planAgain gives a plan that failed the place where the trail delivers now. Its time and files stay, so that what may
// have been put all the same is put again.
func (s *Service) planAgain(t *trail, from origin, c chain) (*trail, chain, error) {
	if c.Plan.Bucket != "" {
		return t, c, nil
	}
	var planned *trail
	_, err := s.change(t.ID, func(t *trail, _ *state.Tx) error {
		again := *c.Plan
		again.Bucket, again.Prefix, again.Organization = t.Bucket, t.Prefix, s.organizationOf(t, from)
		c.Plan = &again
		t.setChain(from, c)
		planned = t
		return nil
	})
	return planned, c, err
}

// digestFiles returns the log files that the origin's digest names.
func (s *Service) digestFiles(id string, from origin, last string) ([]state.Entry[fileEntry], error) {
	files, err := state.List[fileEntry](s.opts.Store, filesBucket, filesPrefix(id, from))
	return slices.DeleteFunc(files, func(f state.Entry[fileEntry]) bool { return f.Key > last }), err
}

// seal makes and signs the digest that the chain's plan describes.
func (s *Service) seal(t *trail, from origin, c chain, files []state.Entry[fileEntry]) (*digest.Sealed, *digest.Digest, error) {
	key, err := s.signingKey(c.Plan.End)
	if err != nil {
		return nil, nil, err
	}
	d := &digest.Digest{
		AWSAccountID:    s.account(from.Account),
		DigestStartTime: digest.FormatTime(c.Start),
		DigestEndTime:   digest.FormatTime(c.Plan.End),
		DigestS3Bucket:  c.Plan.Bucket,
		DigestS3Object: cloudtrail.Key{
			Prefix: c.Plan.Prefix, Organization: c.Plan.Organization, Account: s.account(from.Account),
			Kind: cloudtrail.KindDigest, Region: from.Region, Time: c.Plan.End, Trail: t.Name, HomeRegion: t.HomeRegion,
		}.String(),
	}
	d.Follow(c.Previous)
	var newest, oldest time.Time
	for _, f := range files {
		v := f.Value
		d.LogFiles = append(d.LogFiles, digest.LogFile{
			S3Bucket: v.Bucket, S3Object: v.Key, HashValue: v.Hash, HashAlgorithm: digest.HashAlgorithm,
			NewestEventTime: digest.FormatTime(v.Newest), OldestEventTime: digest.FormatTime(v.Oldest),
		})
		if newest.IsZero() || v.Newest.After(newest) {
			newest = v.Newest
		}
		if oldest.IsZero() || v.Oldest.Before(oldest) {
			oldest = v.Oldest
		}
	}
	if len(files) > 0 {
		d.NewestEventTime, d.OldestEventTime = digest.FormatTime(newest), digest.FormatTime(oldest)
	}
	sealed, err := digest.Seal(key.private, d)
	return sealed, d, err
}
