package trail

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/fault"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// servicePrincipal is who delivers.
const servicePrincipal = "cloudtrail.amazonaws.com"

// Object is what the deliverer puts into a bucket.
type Object struct {
	Bucket, Key     string
	Body            []byte
	ContentType     string
	ContentEncoding string
	Metadata        map[string]string // user metadata, names without "x-amz-meta-"
	Trail           string            // the trail's ARN: the policy's aws:SourceArn
	KMSKey          string            // the ARN of the key it is encrypted with; "" means the bucket's default
}

// Buckets is what the deliverer needs of S3. What is refused is an *awsapi.Error with the code NoSuchBucket, or with
// AccessDenied or InsufficientS3BucketPolicy. Its methods may be called concurrently.
type Buckets interface {
	// DeliverObject puts an object, in place of one with its key, as the service principal cloudtrail.amazonaws.com with
	// the ACL bucket-owner-full-control; the bucket's policy has to allow that. It is durable when nil is returned.
	// After an error it may or may not be there; the caller tries again.
	DeliverObject(ctx context.Context, o *Object) error
	// CheckDelivery tells whether objects could be delivered below prefix/AWSLogs/account ("" for no prefix): that the
	// bucket is there, and that its policy lets the service principal do s3:GetBucketAcl and s3:PutObject.
	CheckDelivery(bucket, prefix, account, trail string) error
}

// LogGroups is what the deliverer needs of CloudWatch Logs. Its methods may be called concurrently.
type LogGroups interface {
	// HasLogGroup tells whether there is a log group.
	HasLogGroup(region, name string) bool
	// AppendTx adds events (time and message, oldest first) to a log stream inside the caller's transaction, and makes
	// the stream if need be. The error is an *awsapi.Error when there is no such group.
	AppendTx(tx *state.Tx, region, group, stream string, at time.Time, events iter.Seq2[time.Time, string]) error
}

// Topics is what the deliverer needs of SNS. What is refused is an *awsapi.Error. Its methods may be called concurrently.
type Topics interface {
	// CheckTopic tells whether CloudTrail may publish to the topic, given by name or ARN, for the trail with that ARN; it
	// returns the topic's ARN.
	CheckTopic(region, topic, trail string) (arn string, err error)
	// PublishTx publishes a message inside the caller's transaction.
	PublishTx(tx *state.Tx, topic, trail, message string) error
}

// Options are what a Service needs. Store, Recorder, Buckets and LogGroups are required.
type Options struct {
	Account   string // the account the endpoint stands for
	Store     *state.Store
	Recorder  *Recorder
	Buckets   Buckets
	LogGroups LogGroups
	// AllowRole tells whether a service principal may assume a role, and an action on a resource is then allowed; the
	// error says which is not, as "trust" or "policy" would be told to the user. Nil allows every role.
	AllowRole func(ctx context.Context, roleARN, service, action, resource string) error
	// Key finds a KMS key by id, ARN or alias and returns its ARN, if the key's policy lets CloudTrail encrypt with it for
	// the trail with that ARN; the error is an *awsapi.Error. Nil: there are no keys.
	Key func(ctx context.Context, region, id, trail string) (arn string, err error)
	// Topics is SNS. Nil: there are no topics.
	Topics Topics

	Organization Organization // the zero value: the account is in none

	// Fault is asked what is to go wrong on purpose with a log file or digest; nil: nothing is. It may be called
	// concurrently, and says the same of the same key.
	Fault func(name fault.Name, key string) bool

	DeliverEvery time.Duration    // 0 means 5 s
	DigestEvery  time.Duration    // 0 means 1 h
	KeyEvery     time.Duration    // how long a key signs digests; 0 means 30 days
	Now          func() time.Time // nil means time.Now
	Log          *slog.Logger     // nil: no log

	// SpanBytes is how much of the record goes into one log file at most; 0 means 48 MB. CloudTrail's files have 50 MB
	// at most before compression.
	SpanBytes int64
}

// Organization is what CloudTrail knows of the account's organization.
type Organization struct {
	ID      string                               // "o-exampleorgid"
	Trusted func(principal string) (bool, error) // tells whether a service may act in it
	// Delegate and Undelegate make a member an administrator of a service, and none; errors are *awsapi.Errors of Organizations.
	Delegate, Undelegate func(account, principal string) error

	Members map[string]*Recorder // in the management account: the records of the others
	Manager *Service             // in a member account: the management account's CloudTrail
}

// Service is CloudTrail behind the endpoint: it serves the API ([Service] implements awsapi.Service) and delivers. Its
// methods may be called concurrently.
type Service struct {
	opts       Options
	operations map[string]operation

	mu     sync.Mutex // guards trails; held while they are changed in the state
	trails map[string]*trail

	delivering sync.Mutex    // one round at a time
	signing    sync.Mutex    // guards keys
	keys       []*signingKey // the oldest first; read and made when first needed, and never changed in place

	index lookupIndex
}

// New returns the service with the trails that the store has. The deliverer works while Run does.
func New(opts Options) (*Service, error) {
	if opts.DeliverEvery == 0 {
		opts.DeliverEvery = 5 * time.Second
	}
	if opts.DigestEvery == 0 {
		opts.DigestEvery = time.Hour
	}
	if opts.KeyEvery == 0 {
		opts.KeyEvery = 30 * 24 * time.Hour
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.SpanBytes == 0 {
		opts.SpanBytes = 48_000_000
	}
	s := &Service{opts: opts, operations: operations()}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// ends are the positions after what is recorded now, by account; "" is the service's own.
func (s *Service) ends() map[string]Position {
	ends := map[string]Position{"": s.opts.Recorder.End()}
	for account, r := range s.opts.Organization.Members {
		ends[account] = r.End()
	}
	return ends
}

// recorder is the record of an account; nil for one that has left.
func (s *Service) recorder(account string) *Recorder {
	if account == "" {
		return s.opts.Recorder
	}
	return s.opts.Organization.Members[account]
}

// now is the time in the precision that CloudTrail works with.
func (s *Service) now() time.Time { return s.opts.Now().UTC().Truncate(time.Millisecond) }

// Run delivers every DeliverEvery until ctx is done, and returns ctx's error. What can't be delivered is logged, told by
// GetTrailStatus and tried again in the next round.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(s.opts.DeliverEvery)
	defer tick.Stop()
	for {
		if err := s.round(ctx, false); err != nil && ctx.Err() == nil {
			s.opts.Log.Warn("delivery failed", "error", err)
		}
		if err := s.opts.Recorder.Expire(); err != nil {
			s.opts.Log.Warn("events could not be expired", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Flush delivers all that was recorded before the call, and the digests of the time until now. The error says what
// could not be delivered; the rest has been.
func (s *Service) Flush(ctx context.Context) error { return s.round(ctx, true) }
