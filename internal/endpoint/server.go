// Package endpoint is aitrail's own AWS endpoint: one HTTP handler that answers for many AWS services as one account,
// and writes down every call as CloudTrail would.
//
// A request passes these steps, in this order: its body is read (64 MiB at most) and decoded; its signature or bearer
// token is verified (packages sigv4 and iam); the credential scope names the service, which names the operation; the
// service describes the call for the record; IAM decides; the service serves; the record is made durable; and only then
// the client is answered. What follows from that order:
//
//   - A client that got an answer can rely on the call being recorded, whatever happens to the process next. If the
//     record can't be written, the answer is a 500, though that call may have taken effect (as at AWS, a 500 says nothing
//     about that); further calls are refused without being served until one of them can be recorded.
//   - Denied, throttled and failed calls are recorded too. Requests that aren't authenticated aren't, as at AWS; nor
//     are requests for services and operations the endpoint doesn't have.
//   - The request id that the client gets is the one recorded.
//
// What is recorded is what happened here: sourceIPAddress is the connection's address, and over plain HTTP, which is how
// the endpoint is served on loopback, tlsDetails has the host name the client asked for and neither a TLS version nor a
// cipher suite. AWS's records of calls over TLS have both.
//
// The handler is meant for loopback. It refuses what browsers send on behalf of pages (requests with an Origin or
// Sec-Fetch-Site header); whether a Host is the right one is for the caller to check. The package listens on nothing
// itself.
package endpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/ai"
	"github.com/aitrail/aitrail/internal/endpoint/ai/upstream"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/fault"
	"github.com/aitrail/aitrail/internal/endpoint/glue"
	"github.com/aitrail/aitrail/internal/endpoint/iam"
	"github.com/aitrail/aitrail/internal/endpoint/kms"
	"github.com/aitrail/aitrail/internal/endpoint/logs"
	"github.com/aitrail/aitrail/internal/endpoint/monitoring"
	"github.com/aitrail/aitrail/internal/endpoint/organizations"
	"github.com/aitrail/aitrail/internal/endpoint/s3"
	"github.com/aitrail/aitrail/internal/endpoint/sns"
	"github.com/aitrail/aitrail/internal/endpoint/sqs"
	"github.com/aitrail/aitrail/internal/endpoint/state"
	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

// Options are a Server's settings; Dir is required.
type Options struct {
	Dir     string       // keeps everything; made when it isn't there, and used by one process at a time
	Account string       // twelve digits; "" means 111122223333
	Region  string       // for calls that name none; "" means us-east-1
	URL     string       // where the caller serves the handler, for Dir/aws.env; "" writes no such file
	Log     *slog.Logger // nil: no log
	Now     func() time.Time

	// Organization has Account manage an organization of this id ("o-exampleorgid") with the Members, other accounts, each
	// with its own identities and resources in Dir/accounts/ACCOUNT; "": there is none.
	Organization string
	Members      []string

	DeliverEvery time.Duration // how often trails deliver; 0 means 5 s
	DigestEvery  time.Duration // how often they deliver digests; 0 means 1 h
	KeyEvery     time.Duration // how long a key signs digests before a new one takes its place; 0 means 30 days

	// ForwardBedrock is the address of a server that speaks OpenAI's chat completions (see package upstream), which then
	// answers Converse and, for models that chat, InvokeModel; "": the endpoint answers without a model.
	ForwardBedrock string

	// Faults are what goes wrong on purpose, until the admin route changes it (see docs/faults.md).
	Faults fault.Shares

	// Throttle, if set, is asked about every call that is allowed: true has it answered and recorded as throttled
	// instead of served. It may look at all of the call but Record's answer, and may be called concurrently.
	Throttle func(c *awsapi.Call) bool
}

const defaultAccount = "111122223333"

// Recorder keeps events. Record returns nil when the events are durable, all of them; after an error none is recorded.
// It may be called concurrently.
type Recorder interface {
	Record(ctx context.Context, events []cloudtrail.Event) error
}

// Server is the endpoint. Its methods may be called concurrently.
type Server struct {
	account
	members []*account // of the organization, in the order of Options.Members
}

// account is one account at the endpoint, with all that it has.
type account struct {
	handler  *handler
	state    *state.Store
	iam      *iam.Store
	trail    *trail.Service
	recorder *trail.Recorder
	closers  []func() error

	invocations *ai.InvocationLog
}

// New opens the endpoint that Dir keeps, and writes Dir/aws.env. The caller serves Handler, runs Run, and closes the
// server when both have ended.
func New(opts Options) (*Server, error) {
	opts.Account = cmp.Or(opts.Account, defaultAccount)
	if opts.Region == "" {
		opts.Region = "us-east-1"
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	faults := &fault.Faults{}
	if err := faults.Set(opts.Faults); err != nil {
		return nil, err
	}
	s := &Server{account: account{handler: &handler{faults: faults}}}
	if err := s.open(opts); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open opens the account and its organization's others.
func (s *Server) open(opts Options) error {
	if err := opts.Check(); err != nil {
		return err
	}
	if err := s.account.open(opts); err != nil {
		return err
	}
	org, err := organizations.New(organizations.Options{
		ID: opts.Organization, Management: opts.Account, Members: opts.Members, State: s.state, Now: opts.Now,
	})
	if err != nil {
		return fmt.Errorf("opening the organization: %w", err)
	}
	about := trail.Organization{
		ID: opts.Organization, Trusted: org.Trusted, Delegate: org.Delegate, Undelegate: org.Undelegate,
		Members: map[string]*trail.Recorder{},
	}
	stores := map[string]*iam.Store{opts.Account: s.iam}
	for _, id := range opts.Members {
		m := &account{handler: &handler{faults: s.handler.faults}}
		s.members = append(s.members, m)
		if err := m.open(opts.of(id)); err != nil {
			return fmt.Errorf("opening account %s: %w", id, err)
		}
		about.Members[id], stores[id] = m.recorder, m.iam
	}
	if err := s.serve(opts, org, about); err != nil {
		return err
	}
	about.Members, about.Manager = nil, s.trail
	if opts.Organization == "" {
		return nil
	}
	handlers := map[string]*handler{opts.Account: s.handler}
	s.handler.manages = true
	for i, m := range s.members {
		if err := m.serve(opts.of(opts.Members[i]), org, about); err != nil {
			return fmt.Errorf("opening account %s: %w", opts.Members[i], err)
		}
		handlers[opts.Members[i]] = m.handler
	}
	for _, a := range s.accounts() {
		a.handler.accounts = handlers
		if err := a.iam.Join(opts.Organization, opts.Account, stores); err != nil {
			return err
		}
	}
	return nil
}

var (
	organizationID = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
	accountID      = regexp.MustCompile(`^[0-9]{12}$`)
)

// Check says what is wrong with the organization that the options ask for. [New] checks it, too.
func (o *Options) Check() error {
	if o.Organization == "" && len(o.Members) > 0 {
		return errors.New("accounts are members of an organization, and none is named")
	}
	if o.Organization != "" && !organizationID.MatchString(o.Organization) {
		return fmt.Errorf("%q is not the id of an organization, as o-exampleorgid", o.Organization)
	}
	for i, id := range o.Members {
		switch {
		case !accountID.MatchString(id):
			return fmt.Errorf("%q is not an account's id, which has twelve digits", id)
		case id == cmp.Or(o.Account, defaultAccount) || slices.Contains(o.Members[:i], id):
			return fmt.Errorf("account %s is in the organization already", id)
		}
	}
	return nil
}

// of are the options of a member account.
func (o Options) of(account string) Options {
	o.Account, o.Dir = account, filepath.Join(o.Dir, "accounts", account)
	return o
}

// open opens what the account keeps.
func (s *account) open(opts Options) error {
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return err
	}
	store, err := state.Open(filepath.Join(opts.Dir, "state.db"))
	if err != nil {
		return err
	}
	s.state = store
	s.closers = append(s.closers, store.Close)
	if s.iam, err = iam.Open(iam.Options{State: store, Account: opts.Account, Now: opts.Now}); err != nil {
		return err
	}
	if s.recorder, err = trail.OpenRecorder(filepath.Join(opts.Dir, "events"), trail.RecorderOptions{Now: opts.Now}); err != nil {
		return err
	}
	s.closers = append(s.closers, s.recorder.Close)
	return nil
}

// serve has the account's services answer, and writes its aws.env.
func (s *account) serve(opts Options, org *organizations.Service, about trail.Organization) error {
	store := s.state
	locks := keys{kms.New(kms.Options{Account: opts.Account, State: store, Now: opts.Now})}
	queues := sqs.New(sqs.Options{Account: opts.Account, State: store, Now: opts.Now})
	publisher := sns.New(sns.Options{Account: opts.Account, State: store, Queues: queues, Now: opts.Now, MayUseKey: locks.topic})
	objects, err := s3.Open(s3.Options{
		Dir: opts.Dir, State: store, Account: opts.Account, Now: opts.Now, Notify: notifier{store, queues, publisher},
	})
	if err != nil {
		return fmt.Errorf("opening buckets: %w", err)
	}
	s.closers = append(s.closers, objects.Close)
	groups := logs.New(logs.Options{Account: opts.Account, Store: store, Now: opts.Now, Key: locks.group})
	s.trail, err = trail.New(trail.Options{
		Account: opts.Account, Store: store, Recorder: s.recorder, Buckets: buckets{objects}, LogGroups: groups,
		Key: locks.trail, Topics: topics{publisher, opts.Account}, Organization: about,
		AllowRole: s.iam.AllowRole, Fault: s.handler.faults.Strikes, DeliverEvery: opts.DeliverEvery, DigestEvery: opts.DigestEvery, KeyEvery: opts.KeyEvery,
		Now: opts.Now, Log: opts.Log,
	})
	if err != nil {
		return fmt.Errorf("reading trails: %w", err)
	}
	services := append(s.iam.Services(), objects, groups, s.trail, locks.Service, queues, publisher,
		monitoring.New(monitoring.Options{Account: opts.Account, State: store, Now: opts.Now}),
		glue.New(glue.Options{Account: opts.Account, State: store, Now: opts.Now}), org)
	s.invocations = &ai.InvocationLog{
		Account: opts.Account, State: store, Now: opts.Now,
		Destinations: invocationLogs{groups, objects, opts.Account, s.iam.AllowRole},
	}
	models := ai.Options{State: store, Object: reader{objects, opts}.object, OnBehalf: s.iam.OnBehalf, Invocations: s.invocations}
	if opts.ForwardBedrock != "" {
		if models.Upstream, err = upstream.New(opts.ForwardBedrock); err != nil {
			return err
		}
	}
	services = append(services, ai.New(models)...)
	s.handler.serveFor(opts, s.iam, s.recorder, services)
	if opts.URL == "" {
		return nil
	}
	return s.writeEnv(opts)
}

// Handler answers requests.
func (s *Server) Handler() http.Handler { return s.handler }

// RootKey returns the access key of the account's root user, who may do everything.
func (s *Server) RootKey() (accessKeyID, secret string) { return s.iam.RootKey() }

// Run delivers what trails select until ctx is done, and returns ctx's error.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, a := range s.accounts() {
		group.Go(func() error { return a.trail.Run(ctx) })
		group.Go(func() error { return a.deliverInvocations(ctx) })
	}
	return group.Wait()
}

// deliverInvocations delivers model invocation logs as often as trails deliver, until ctx is done.
func (s *account) deliverInvocations(ctx context.Context) error {
	tick := time.NewTicker(cmp.Or(s.handler.opts.DeliverEvery, 5*time.Second))
	defer tick.Stop()
	for {
		if err := s.invocations.Deliver(ctx); err != nil && ctx.Err() == nil {
			s.handler.log.Warn("delivery failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Flush delivers all that was recorded before the call and ends the digests' period now.
func (s *Server) Flush(ctx context.Context) error {
	var errs []error
	for _, a := range s.accounts() {
		errs = append(errs, a.trail.Flush(ctx), a.invocations.Deliver(ctx))
	}
	return errors.Join(errs...)
}

// accounts are all accounts, the one that manages the others first.
func (s *Server) accounts() []*account { return append([]*account{&s.account}, s.members...) }

// Close closes the files. It is called after Run has returned and the last request was answered.
func (s *Server) Close() error {
	var errs []error
	for _, a := range s.accounts() {
		errs = append(errs, a.close())
	}
	return errors.Join(errs...)
}

func (s *account) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// writeEnv writes the file that makes any AWS client use the endpoint.
func (s *account) writeEnv(opts Options) error {
	id, secret := s.iam.RootKey()
	text := "# . " + filepath.Join(opts.Dir, "aws.env") + " makes AWS clients use the local endpoint, as its account's root user.\n" +
		"unset AWS_SESSION_TOKEN AWS_PROFILE AWS_REGION\n" +
		"export AWS_ENDPOINT_URL='" + opts.URL + "'\n" +
		"export AWS_ACCESS_KEY_ID='" + id + "'\n" +
		"export AWS_SECRET_ACCESS_KEY='" + secret + "'\n" +
		"export AWS_DEFAULT_REGION='" + opts.Region + "'\n"
	path := filepath.Join(opts.Dir, "aws.env")
	f, err := os.CreateTemp(opts.Dir, ".aws.env-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
