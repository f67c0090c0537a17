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

// validating tells whether digests are made of what is delivered now.
func (t *trail) validating() bool { return t.Logging && t.LogFileValidation }

// chainOf returns the Region's chain of digests, and begins it when there is none.
func (t *trail) chainOf(region string) chain {
	c, ok := t.Chains[region]
	if !ok || c.Ended && t.LogFileValidation {
		// No two digests may end in the same second: that is their name.
		start := slices.MaxFunc([]time.Time{t.Started, t.ValidatedSince, c.Start}, time.Time.Compare)
		c = chain{Start: start.Truncate(time.Second)}
		t.setChain(region, c)
	}
	return c
}

func (t *trail) setChain(region string, c chain) {
	if t.Chains == nil {
		t.Chains = map[string]chain{}
	}
	t.Chains[region] = c
}

// deliverDigests delivers the digests that are due, or all of them. A trail has a chain in its home Region and in every
// Region that it has delivered log files of. When a trail stops, or its validation is switched off, its chains end with
// one more digest; a later start begins new ones.
func (s *Service) deliverDigests(ctx context.Context, id string, now bool) error {
	t := s.byID(id)
	if t == nil {
		return nil
	}
	regions := slices.Sorted(maps.Keys(t.Chains))
	regions = slices.DeleteFunc(regions, func(r string) bool { return t.Chains[r].Ended && !t.validating() })
	if t.validating() && !slices.Contains(regions, t.HomeRegion) {
		regions = append(regions, t.HomeRegion)
	}
	var errs []error
	for _, region := range regions {
		if err := s.deliverDigest(ctx, id, region, now); err != nil {
			errs = append(errs, fmt.Errorf("digest of %s: %w", region, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) deliverDigest(ctx context.Context, id, region string, now bool) error {
	t, c, err := s.planDigest(id, region, now)
	if err != nil || t == nil {
		return err
	}
	files, err := s.digestFiles(t.ID, region, c.Plan.Last)
	if err != nil {
		return err
	}
	sealed, d, err := s.seal(t, region, c, files)
	if err != nil {
		return err
	}
	failed := s.checkKey(ctx, t)
	if failed == nil {
		failed = s.putDigest(ctx, t, sealed, d)
	}
	_, err = s.change(id, func(t *trail, tx *state.Tx) error {
		t.Status.DigestError = errorCode(failed)
		c := t.Chains[region]
		if failed != nil {
			again := *c.Plan
			again.Bucket, again.Prefix = "", "" // the next attempt goes where the trail then delivers
			c.Plan = &again
			t.setChain(region, c)
			return nil
		}
		t.Status.Digest = s.now()
		c = chain{Start: c.Plan.End, Previous: sealed.Link}
		if !t.validating() {
			c = chain{Start: c.Start, Ended: true}
		}
		t.setChain(region, c)
		for _, f := range files {
			if err := tx.Delete(filesBucket, f.Key); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(failed, err)
}

// planDigest stores what decides the Region's next digest, unless that has been done. The trail is nil when none is due.
func (s *Service) planDigest(id, region string, now bool) (*trail, chain, error) {
	t := s.byID(id)
	if t == nil {
		return nil, chain{}, nil
	}
	if c := t.Chains[region]; c.Plan != nil {
		return s.planAgain(t, region, c)
	}
	end := s.now().Truncate(time.Second)
	c := t.clone().chainOf(region)
	if !now && end.Sub(c.Start) < s.opts.DigestEvery || !t.validating() && (len(t.Files.Spans) > 0 || s.waits(id)) {
		return nil, chain{}, nil
	}
	var planned *trail
	_, err := s.change(id, func(t *trail, tx *state.Tx) error {
		files, err := state.ListTx[fileEntry](tx, filesBucket, filesPrefix(id, region))
		if err != nil {
			return err
		}
		c = t.chainOf(region)
		if !end.After(c.Start) {
			if len(files) == 0 {
				return nil
			}
			end = c.Start.Add(time.Second) // digests are named to the second
		}
		c.Plan = &digestPlan{End: end, Bucket: t.Bucket, Prefix: t.Prefix}
		if len(files) > 0 {
			c.Plan.Last = files[len(files)-1].Key
		}
		t.setChain(region, c)
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
func (s *Service) planAgain(t *trail, region string, c chain) (*trail, chain, error) {
	if c.Plan.Bucket != "" {
		return t, c, nil
	}
	var planned *trail
	_, err := s.change(t.ID, func(t *trail, _ *state.Tx) error {
		again := *c.Plan
		again.Bucket, again.Prefix = t.Bucket, t.Prefix
		c.Plan = &again
		t.setChain(region, c)
		planned = t
		return nil
	})
	return planned, c, err
}

// digestFiles returns the log files that the Region's digest names.
func (s *Service) digestFiles(id, region, last string) ([]state.Entry[fileEntry], error) {
	files, err := state.List[fileEntry](s.opts.Store, filesBucket, filesPrefix(id, region))
	return slices.DeleteFunc(files, func(f state.Entry[fileEntry]) bool { return f.Key > last }), err
}

// seal makes and signs the digest that the chain's plan describes.
func (s *Service) seal(t *trail, region string, c chain, files []state.Entry[fileEntry]) (*digest.Sealed, *digest.Digest, error) {
	key, err := s.signingKey(c.Plan.End)
	if err != nil {
		return nil, nil, err
	}
	d := &digest.Digest{
		AWSAccountID:    s.opts.Account,
		DigestStartTime: digest.FormatTime(c.Start),
		DigestEndTime:   digest.FormatTime(c.Plan.End),
		DigestS3Bucket:  c.Plan.Bucket,
		DigestS3Object: cloudtrail.Key{
			Prefix: c.Plan.Prefix, Account: s.opts.Account, Kind: cloudtrail.KindDigest, Region: region,
			Time: c.Plan.End, Trail: t.Name, HomeRegion: t.HomeRegion,
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
