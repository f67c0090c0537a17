package live

import (
	"context"
	"errors"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/aitrail/aitrail/internal/provision"
)

// markTag is a tag on what Apply created; its value is the trail's name.
const markTag = "aitrail:set-up"

// account is an AWS account that a set-up is made or looked at in.
type account struct {
	provision.Setup
	s3       *s3.Client
	iam      *iam.Client
	logs     *cloudwatchlogs.Client
	trail    *cloudtrail.Client
	kms      *kms.Client
	sqs      *sqs.Client
	bedrock  *bedrock.Client
	glue     *glue.Client
	athena   *athena.Client
	orgs     *organizations.Client
	progress func(Step)

	steps    []Step
	leftOut  []string
	made     []string // buckets
	removing bool     // for Down: a key that is to be deleted is no fault
	keyARN   string   // of the set-up's own key, once it has been read or made
	keyErr   error    // why it could not be read
}

func newAccount(cfg aws.Config, s provision.Setup, progress func(Step)) *account {
	s = s.Defaults()
	if progress == nil {
		progress = func(Step) {}
	}
	cfg = cfg.Copy()
	cfg.Region = s.Region
	return &account{
		Setup: s, progress: progress,
		// Endpoints other than AWS's own are addressed by path: a bucket's name there need not resolve.
		s3:  s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = o.BaseEndpoint != nil }),
		iam: iam.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg), trail: cloudtrail.NewFromConfig(cfg), kms: kms.NewFromConfig(cfg),
		sqs: sqs.NewFromConfig(cfg), bedrock: bedrock.NewFromConfig(cfg), glue: glue.NewFromConfig(cfg), athena: athena.NewFromConfig(cfg),
		orgs: organizations.NewFromConfig(cfg),
	}
}

// effect is what a write turned out to have done.
type effect bool

const (
	something effect = true
	nothing   effect = false // AWS refused what was to change, and the set-up holds without it
)

// driver reads and writes one kind of resource.
type driver struct {
	// read returns the resource as it is, in the shape of the wanted properties, and what write needs besides. nil
	// means that there is none. "Tags" are all its tags.
	read func(context.Context, provision.Resource) (provision.Properties, error)
	// write creates the resource where have is nil, and else makes the changed properties so.
	write func(ctx context.Context, r provision.Resource, have provision.Properties, changed []string) (effect, error)
	// remove is nil where the resource goes with the one that it is a setting of.
	remove func(ctx context.Context, r provision.Resource, have provision.Properties) error
	// holds tells whether something would be lost with the resource. nil means nothing.
	holds func(context.Context, provision.Resource) (bool, error)
}

func (a *account) driver(kind provision.Kind) driver {
	switch kind {
	case provision.KindKey:
		return driver{read: a.readKey, write: a.writeKey, remove: a.removeKey}
	case provision.KindKeyAlias:
		return driver{read: a.readAlias, write: a.writeAlias}
	case provision.KindBucket:
		return driver{read: a.readBucket, write: a.writeBucket, remove: a.removeBucket, holds: a.bucketHolds}
	case provision.KindPublicAccess:
		return driver{read: a.readPublicAccess, write: a.writePublicAccess}
	case provision.KindOwnership:
		return driver{read: a.readOwnership, write: a.writeOwnership}
	case provision.KindVersioning:
		return driver{read: a.readVersioning, write: a.writeVersioning}
	case provision.KindEncryption:
		return driver{read: a.readEncryption, write: a.writeEncryption}
	case provision.KindLifecycle:
		return driver{read: a.readLifecycle, write: a.writeLifecycle}
	case provision.KindObjectLock:
		return driver{read: a.readLock, write: a.writeLock}
	case provision.KindBucketPolicy:
		return driver{read: a.readBucketPolicy, write: a.writeBucketPolicy}
	case provision.KindQueue:
		return driver{read: a.readQueue, write: a.writeQueue, remove: a.removeQueue}
	case provision.KindQueuePolicy:
		return driver{read: a.readQueuePolicy, write: a.writeQueuePolicy}
	case provision.KindNotification:
		return driver{read: a.readNotification, write: a.writeNotification, remove: a.removeNotification}
	case provision.KindLogGroup:
		return driver{read: a.readLogGroup, write: a.writeLogGroup, remove: a.removeLogGroup, holds: a.logGroupHolds}
	case provision.KindRole:
		return driver{read: a.readRole, write: a.writeRole, remove: a.removeRole}
	case provision.KindRolePolicy:
		return driver{read: a.readRolePolicy, write: a.writeRolePolicy}
	case provision.KindTrail:
		return driver{read: a.readTrail, write: a.writeTrail, remove: a.removeTrail}
	case provision.KindInvocationLogging:
		return driver{read: a.readInvocationLogging, write: a.writeInvocationLogging, remove: a.removeInvocationLogging}
	case provision.KindDatabase:
		return driver{read: a.readDatabase, write: a.writeDatabase, remove: a.removeDatabase, holds: a.databaseHolds}
	case provision.KindWorkgroup:
		return driver{read: a.readWorkgroup, write: a.writeWorkgroup, remove: a.removeWorkgroup}
	case provision.KindDelegatedAdmin:
		return driver{read: a.readDelegatedAdmin, write: a.writeDelegatedAdmin}
	}
	panic("no driver for " + string(kind))
}

// resolve replaces references in a resource's properties as far as they are known.
func (a *account) resolve(r provision.Resource) provision.Resource {
	if a.keyARN == "" {
		return r
	}
	r.Properties = maps.Clone(r.Properties)
	for name, v := range r.Properties {
		switch v := v.(type) {
		case string:
			if v == provision.KeyARN {
				r.Properties[name] = a.keyARN
			}
		case map[string]any:
			v = maps.Clone(v)
			for k, member := range v {
				if member == provision.KeyARN {
					v[k] = a.keyARN
				}
			}
			r.Properties[name] = v
		}
	}
	return r
}

// marked are the tags that a new resource gets: those wanted, and the mark.
func (a *account) marked(r provision.Resource) map[string]string {
	tags := map[string]string{markTag: a.Trail}
	wanted, _ := r.Properties["Tags"].(map[string]string)
	maps.Copy(tags, wanted)
	return tags
}

func (a *account) outputs(ctx context.Context) (provision.Outputs, error) {
	o := provision.Outputs{
		Bucket: a.Bucket, TrailARN: a.TrailARN(), Trail: a.Trail, Prefix: a.Prefix, Region: a.Region, LogGroup: a.LogGroup,
		LogGroupARN: a.LogGroupARN(), RoleARN: a.RoleARN(), KMSKeyARN: a.KMSKey, InvocationBucket: a.InvocationBucket,
		LakeBucket: a.LakeBucket, Database: a.Database, Workgroup: a.Workgroup, LeftOut: append([]string{}, a.leftOut...),
	}
	if a.OwnKey {
		o.KMSKeyARN = a.keyARN
	}
	if !a.NoQueue {
		url, err := a.queueURL(ctx)
		if err != nil && !errors.Is(err, errNoQueue) {
			return o, err
		}
		o.QueueURL, o.QueueARN = url, a.QueueARN()
	}
	return o, nil
}
