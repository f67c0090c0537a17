package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// Action is what a step of Apply did.
type Action string

// The actions of steps.
const (
	Created   Action = "created"
	Updated   Action = "updated"
	Unchanged Action = "unchanged"
	LeftOut   Action = "left out" // AWS refused it here; the rest of the set-up holds without it
)

// Step is one thing of the set-up that Apply has seen to.
type Step struct {
	Kind   string `json:"kind"` // "bucket", "bucket policy", "trail", "data events" …
	Name   string `json:"name"` // of the resource it is, or belongs to
	Action Action `json:"action"`
}

// Outputs are what users of the set-up need to know.
type Outputs struct {
	Bucket      string   `json:"bucket_name"`
	TrailARN    string   `json:"trail_arn"`
	Trail       string   `json:"trail_name"`
	Prefix      string   `json:"key_prefix"`
	Region      string   `json:"region"`
	LogGroup    string   `json:"log_group_name"`
	LogGroupARN string   `json:"log_group_arn"`
	RoleARN     string   `json:"role_arn"`
	LeftOut     []string `json:"left_out_data_types"` // resources.type values the Region refuses
}

// applier is one run of Apply.
type applier struct {
	Setup
	s3       *s3.Client
	iam      *iam.Client
	logs     *cloudwatchlogs.Client
	trail    *cloudtrail.Client
	progress func(Step)
	leftOut  []string
}

// Apply makes the account as the set-up says, in the set-up's Region, and reports each step when it is done. It may be run
// again at any time: what is as it should be is left alone, what is missing or differs is made so, and what the set-up
// doesn't mention is not touched. When it fails, the steps reported have taken effect, and running it again goes on.
//
// The bucket and the role are completed before the trail that needs them. A data type that the Region refuses is reported
// as left out, and is no error. progress may be nil.
func Apply(ctx context.Context, cfg aws.Config, s Setup, progress func(Step)) (Outputs, error) {
	if err := s.Validate(); err != nil {
		return Outputs{}, err
	}
	s = s.Defaults()
	if progress == nil {
		progress = func(Step) {}
	}
	cfg = cfg.Copy()
	cfg.Region = s.Region
	a := &applier{
		Setup: s, progress: progress,
		// Endpoints other than AWS's own are addressed by path: a bucket's name there need not resolve.
		s3:  s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = o.BaseEndpoint != nil }),
		iam: iam.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg), trail: cloudtrail.NewFromConfig(cfg),
	}
	for _, step := range []func(context.Context) error{
		a.bucket, a.publicAccess, a.ownership, a.versioning, a.encryption, a.lifecycle, a.bucketPolicy,
		a.logGroup, a.retention, a.role, a.rolePolicy,
		a.theTrail, a.tags, a.selectors, a.logging,
	} {
		if err := step(ctx); err != nil {
			return Outputs{}, err
		}
	}
	return Outputs{
		Bucket: s.Bucket, TrailARN: s.TrailARN(), Trail: s.Trail, Prefix: s.Prefix, Region: s.Region, LogGroup: s.LogGroup,
		LogGroupARN: s.LogGroupARN(), RoleARN: s.RoleARN(), LeftOut: append([]string{}, a.leftOut...),
	}, nil
}

func (a *applier) done(kind, name string, action Action) {
	a.progress(Step{kind, name, action})
}

// settle reports the step: unchanged if same, else what put did.
func (a *applier) settle(kind, name string, same, existed bool, put func() error) error {
	action := Updated
	if !existed {
		action = Created
	}
	if same {
		action = Unchanged
	} else if err := put(); err != nil {
		return fmt.Errorf("%s %s: %w", kind, name, err)
	}
	a.done(kind, name, action)
	return nil
}

// hasCode tells whether err is an AWS error with one of the codes.
func hasCode(err error, codes ...string) bool {
	var e smithy.APIError
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.ErrorCode() == c {
			return true
		}
	}
	return false
}

// retryFor is how long a new role or policy may take until CloudTrail sees it.
const retryFor = 60 * time.Second

// eventually calls fn until it succeeds, fails otherwise than with one of the codes, or time is up.
func eventually(ctx context.Context, fn func() error, codes ...string) error {
	deadline, cancel := context.WithTimeout(ctx, retryFor)
	defer cancel()
	for wait := time.Second; ; wait = min(2*wait, 10*time.Second) {
		err := fn()
		if err == nil || !hasCode(err, codes...) {
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

// samePolicy tells whether two policy documents mean the same: a value and a list of just it do, and so do lists in
// another order.
func samePolicy(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return reflect.DeepEqual(plain(x), plain(y))
}

func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, member := range v {
			v[k] = plain(member)
		}
		return v
	case []any:
		if len(v) == 1 {
			return plain(v[0])
		}
		for i := range v {
			v[i] = plain(v[i])
		}
		sort.SliceStable(v, func(i, j int) bool {
			x, _ := v[i].(string)
			y, _ := v[j].(string)
			return x < y
		})
		return v
	}
	return v
}
