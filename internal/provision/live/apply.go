package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/aitrail/aitrail/internal/provision"
)

// Action is what a step does, or did.
type Action string

// The actions of steps.
const (
	Create    Action = "create"
	Update    Action = "update"
	Unchanged Action = "unchanged"
	LeftOut   Action = "left out" // AWS refused it here; the rest of the set-up holds without it
	Remove    Action = "remove"
	Keep      Action = "keep" // Down leaves it; the reason says why
)

// Step is one resource of the set-up and what becomes of it.
type Step struct {
	ID      string         `json:"id"`
	Kind    provision.Kind `json:"kind"`
	Name    string         `json:"name"`
	Action  Action         `json:"action"`
	Changes []Change       `json:"changes,omitempty"` // of Update
	Reason  string         `json:"reason,omitempty"`  // of LeftOut and Keep
	Err     error          `json:"-"`                 // of Plan: it could not be read; Action is ""
}

// KindDataEvents is the kind of the steps that tell of data types left out.
const KindDataEvents provision.Kind = "data events"

// PartialError says how far Apply or Down came. What is done stays done, and the same call goes on from there.
type PartialError struct {
	Done   []Step               // have taken effect, or needed nothing
	Failed provision.Resource   // what Err is about; it may have taken effect
	Left   []provision.Resource // not begun
	Err    error
}

func (e *PartialError) Error() string {
	var bucket *BucketError
	var key *KeyError
	if errors.As(e.Err, &bucket) || errors.As(e.Err, &key) {
		return e.Err.Error() // names itself
	}
	return fmt.Sprintf("%s %s: %v", e.Failed.Kind, e.Failed.Name, e.Err)
}
func (e *PartialError) Unwrap() error { return e.Err }

// Apply makes the account as the set-up says, in the set-up's Region, and reports each step when it is done. It may be run
// again at any time: what is as it should be is left alone, what is missing or differs is made so, and what the set-up
// doesn't mention is not touched: other statements of a bucket's policy, other selectors of a trail, other tags stay. When
// it fails its error is an *InvalidError or a *PartialError; running it again goes on.
//
// What it creates it marks with a tag, by which [Down] knows it. A data type that the Region refuses is reported
// as left out, and is no error. progress may be nil.
func Apply(ctx context.Context, cfg aws.Config, s provision.Setup, progress func(Step)) (provision.Outputs, error) {
	if err := s.Validate(); err != nil {
		return provision.Outputs{}, err
	}
	a := newAccount(cfg, s, progress)
	list := a.Resources()
	for i, r := range list {
		if err := a.apply(ctx, r); err != nil {
			return provision.Outputs{}, &PartialError{Done: a.steps, Failed: r, Left: list[i+1:], Err: err}
		}
	}
	return a.outputs(ctx)
}

// Plan says what Apply would do, and changes nothing. A resource that can't be read has Err in its step; the others go on.
// Whether the Region refuses a data type only Apply can find out.
func Plan(ctx context.Context, cfg aws.Config, s provision.Setup) ([]Step, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	a := newAccount(cfg, s, nil)
	for _, r := range a.Resources() {
		step, _, _ := a.plan(ctx, r)
		a.done(step)
	}
	return a.steps, ctx.Err()
}

// ReadOutputs returns the outputs of a set-up that stands. Its error is ErrNotSetUp when there is no such trail.
func ReadOutputs(ctx context.Context, cfg aws.Config, s provision.Setup) (provision.Outputs, error) {
	if err := s.Validate(); err != nil {
		return provision.Outputs{}, err
	}
	a := newAccount(cfg, s, nil)
	for _, r := range a.Resources() {
		if r.Kind != provision.KindTrail && r.Kind != provision.KindKey {
			continue
		}
		have, err := a.driver(r.Kind).read(ctx, a.resolve(r))
		if err != nil {
			return provision.Outputs{}, fmt.Errorf("%s %s: %w", r.Kind, r.Name, err)
		}
		if have == nil && r.Kind == provision.KindTrail {
			return provision.Outputs{}, fmt.Errorf("trail %s in %s: %w", r.Name, s.Region, ErrNotSetUp)
		}
	}
	return a.outputs(ctx)
}

// Refused finds out which of the set-up's data types the Region refuses, by putting the set-up's selectors on the trail as far as
// they are taken; nothing else is changed. Another program that made the trail learns so what to leave out. Its error is
// ErrNotSetUp where there is no trail to try on.
func Refused(ctx context.Context, cfg aws.Config, s provision.Setup) ([]string, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	a := newAccount(cfg, s, nil)
	for _, r := range a.Resources() {
		if r.Kind != provision.KindTrail {
			continue
		}
		have, err := a.readTrail(ctx, r)
		if err == nil && have == nil {
			err = ErrNotSetUp
		}
		if err == nil {
			err = a.writeSelectors(ctx, r, have, new(effect))
		}
		if err != nil {
			return nil, fmt.Errorf("trail %s: %w", r.Name, err)
		}
	}
	return a.leftOut, nil
}

// ErrNotSetUp means that the account has no such trail.
var ErrNotSetUp = errors.New("is not set up")

// plan reads a resource and compares it with what is wanted. It returns the resource with references resolved, and as it is.
func (a *account) plan(ctx context.Context, r provision.Resource) (Step, provision.Resource, provision.Properties) {
	r = a.resolve(r)
	step := Step{ID: r.ID, Kind: r.Kind, Name: r.Name, Action: Unchanged}
	have, err := a.driver(r.Kind).read(ctx, r)
	switch {
	case err != nil:
		step.Action, step.Err = "", err
	case have == nil:
		step.Action = Create
	default:
		step.Changes = difference(r.Properties, have)
		if a.keyErr != nil && slices.ContainsFunc(step.Changes, func(c Change) bool { return strings.Contains(c.Want, provision.KeyARN) }) {
			step.Action, step.Changes, step.Err = "", nil, a.keyErr // whether it is that key can't be told
			break
		}
		switch len(step.Changes) {
		case 0:
		case len(r.Properties): // what is there is somebody else's, as other notifications of the bucket
			step.Action, step.Changes = Create, nil
		default:
			step.Action = Update
		}
	}
	return step, r, have
}

func (a *account) apply(ctx context.Context, r provision.Resource) error {
	step, r, have := a.plan(ctx, r)
	if step.Err != nil {
		return step.Err
	}
	if step.Action != Unchanged {
		var changed []string
		for _, c := range step.Changes {
			changed = append(changed, c.Property)
		}
		effect, err := a.driver(r.Kind).write(ctx, r, have, changed)
		if err != nil {
			return err
		}
		if effect == nothing {
			step.Action, step.Changes = Unchanged, nil
		}
	}
	switch {
	case step.Action == Create && r.Kind == provision.KindBucket:
		a.made = append(a.made, r.Name)
	case step.Action == Unchanged && slices.Contains(a.made, r.Name): // what AWS gives to a new bucket is as it should be
		step.Action = Create
	}
	a.done(step)
	for _, name := range a.leftOut {
		if r.Kind == provision.KindTrail {
			a.done(Step{Kind: KindDataEvents, Name: name, Action: LeftOut, Reason: "not known in " + a.Region})
		}
	}
	return nil
}

func (a *account) done(step Step) {
	a.steps = append(a.steps, step)
	a.progress(step)
}

// Down removes what Apply created, the last first, and reports each step when it is done. It keeps what holds something:
// log files, events, the lake; and what was there before Apply. It may be run again at any time.
func Down(ctx context.Context, cfg aws.Config, s provision.Setup, progress func(Step)) error {
	if err := s.Validate(); err != nil {
		return err
	}
	a := newAccount(cfg, s, progress)
	list := a.Resources()
	a.removing = true
	slices.Reverse(list)
	kept := false
	for i, r := range list {
		step, err := a.down(ctx, a.resolve(r), kept)
		if err != nil {
			return &PartialError{Done: a.steps, Failed: r, Left: list[i+1:], Err: err}
		}
		kept = kept || step.Action == Keep && (r.Kind == provision.KindBucket || r.Kind == provision.KindLogGroup)
		if step.Action != Unchanged {
			a.done(step)
		}
	}
	return nil
}

// down removes one resource. Unchanged means that there was nothing to remove, or that it goes and stays with another.
func (a *account) down(ctx context.Context, r provision.Resource, othersKept bool) (Step, error) {
	step := Step{ID: r.ID, Kind: r.Kind, Name: r.Name, Action: Unchanged}
	d := a.driver(r.Kind)
	if d.remove == nil {
		return step, nil
	}
	have, err := d.read(ctx, r)
	if err != nil || have == nil || len(difference(r.Properties, have)) == len(r.Properties) {
		return step, err // there is none, or somebody else's only
	}
	step.Action = Keep
	if r.Of == "" {
		tags, _ := have["Tags"].(map[string]string)
		if _, ours := tags[markTag]; !ours {
			step.Reason = "was not created by aitrail"
			return step, nil
		}
	}
	if r.Kind == provision.KindKey && othersKept {
		step.Reason = r.Holds
		return step, nil
	}
	if d.holds != nil {
		holds, err := d.holds(ctx, r)
		if err != nil {
			return step, err
		}
		if holds {
			step.Reason = "holds " + r.Holds
			return step, nil
		}
	}
	step.Action = Remove
	return step, d.remove(ctx, r, have)
}

// HasCode tells whether err is an AWS error with one of the codes.
func HasCode(err error, codes ...string) bool {
	var e smithy.APIError
	return errors.As(err, &e) && slices.Contains(codes, e.ErrorCode())
}

// IsAccessDenied tells whether AWS denied the call that err is from.
func IsAccessDenied(err error) bool {
	return HasCode(err, "AccessDenied", "AccessDeniedException", "Forbidden", "AuthorizationError", "UnauthorizedOperation", "AllAccessDisabled")
}

// retryFor is how long a new role or policy may take until CloudTrail sees it.
const retryFor = 60 * time.Second

// eventually calls fn until it succeeds, fails otherwise than with one of the codes, or time is up.
func eventually(ctx context.Context, fn func() error, codes ...string) error {
	deadline, cancel := context.WithTimeout(ctx, retryFor)
	defer cancel()
	for wait := time.Second; ; wait = min(2*wait, 10*time.Second) {
		err := fn()
		if err == nil || !HasCode(err, codes...) {
			return err
		}
		t := time.NewTimer(wait)
		select {
		case <-deadline.Done():
			t.Stop()
			return err
		case <-t.C:
		}
	}
}
