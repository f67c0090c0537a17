package endpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/fault"
	"github.com/aitrail/aitrail/internal/endpoint/iam"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/sigv4"
)

// maxBody is the largest request body.
const maxBody = 64 << 20

// handler answers requests.
type handler struct {
	opts     Options
	faults   *fault.Faults
	accounts map[string]*handler // of the organization, this one among them; nil without one
	manages  bool                // requests come to this one first
	iam      *iam.Store
	recorder Recorder
	services map[string]awsapi.Service // by signing name
	log      *slog.Logger
	// unrecordable is set while the last call couldn't be recorded. Calls are then refused without being served, until
	// one of them is recorded: nothing more is done that nobody will know of.
	unrecordable atomic.Bool
}

// serveFor has the handler answer for the services.
func (h *handler) serveFor(opts Options, store *iam.Store, recorder Recorder, services []awsapi.Service) {
	h.opts, h.iam, h.recorder, h.services, h.log = opts, store, recorder, map[string]awsapi.Service{}, opts.Log
	for _, s := range services {
		for _, name := range s.SigningNames() {
			h.services[name] = s
		}
	}
}

// conditioned is a service that has condition keys of its own.
type conditioned interface {
	Conditions(c *awsapi.Call) policy.Context
}

// guarded is a service whose resources have policies.
type guarded interface {
	ResourcePolicy(arn string) *policy.Document
}

// sovereign is a guarded service whose resources' policies must themselves let the caller, or the caller's account, do
// what is asked: neither being root nor an identity policy is enough.
type sovereign interface {
	guarded
	Sovereign()
}

// discreet is a service of whose denied calls CloudTrail shows less.
type discreet interface {
	Denied(c *awsapi.Call)
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		http.Error(w, "requests of web pages are not served", http.StatusForbidden)
		return
	}
	if other := h.other(r); other != nil {
		other.ServeHTTP(w, r)
		return
	}
	c := &awsapi.Call{Request: r, Time: h.opts.Now().UTC(), Account: h.opts.Account}
	var body []byte
	if streams(r) {
		c.Incoming = &awsapi.Incoming{Body: r.Body}
	}
	if c.Incoming == nil || r.ProtoMajor < 2 { // a connection of HTTP/1 has one direction at a time
		var err error
		if body, err = readBody(r); err != nil {
			h.refuse(w, c, guess(r), err)
			return
		}
	}
	if c.Incoming != nil && r.ProtoMajor < 2 {
		c.Incoming.Body, body = bytes.NewReader(body), nil
	}
	if r.URL.Path == faultsPath {
		h.administer(w, r, body)
		return
	}
	service, p, err := h.admit(c, body)
	if err != nil {
		h.refuse(w, c, p, err)
		return
	}
	h.call(w, c, service, p)
}

// streams tells whether a request's body is an event stream, which is read while it is answered.
func streams(r *http.Request) bool {
	return sigv4.SignsEvents(r) || !sigv4.Signed(r) && r.Header.Get("Content-Type") == "application/vnd.amazon.eventstream"
}

// readBody reads a request's whole body.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, &awsapi.Error{Code: "IncompleteBody", Message: "The request body terminated unexpectedly"}
	}
	if len(body) > maxBody {
		return nil, &awsapi.Error{Code: "EntityTooLarge", Message: "Your proposed upload exceeds the maximum allowed size", Status: http.StatusRequestEntityTooLarge}
	}
	return body, nil
}

// admit authenticates a request and finds its service and operation. Whatever the error, the protocol is the one that
// it is to be written in.
func (h *handler) admit(c *awsapi.Call, body []byte) (awsapi.Service, awsapi.Protocol, error) {
	r := c.Request
	if s, p := h.admitOpen(c, body); s != nil {
		return s, p, nil
	}
	caller, decoded, err := h.iam.Authenticate(r, body, c.Time)
	if err != nil {
		signing := h.signing(r, body)
		p := h.protocol(signing, r, body)
		c.ID = requestID(signing)
		return nil, p, failed(err, p)
	}
	body = decoded
	c.Body, c.Caller, c.Signing, c.Region = body, caller.Identity, caller.Service, caller.Region
	if c.Incoming != nil && caller.Events != nil {
		c.Incoming.Verify = caller.Events.Verify
	}
	if c.Signing == "" {
		c.Signing = h.signing(r, body)
	}
	if c.Region == "" {
		c.Region = h.hostRegion(r.Host)
	}
	c.ID = requestID(c.Signing)
	c.Request = r.WithContext(iam.WithCaller(r.Context(), caller))
	p := h.protocol(c.Signing, r, body)
	service := h.services[c.Signing]
	switch {
	case c.Caller.Kind == awsapi.Anonymous && c.Signing != "s3":
		return nil, p, (&sigv4.Error{Kind: sigv4.Missing}).Answer(p)
	case service == nil:
		return nil, p, unknownService(c.Signing)
	}
	var ok bool
	if c.Operation, p, ok = service.Route(r, body); !ok {
		return nil, p, unknownOperation(c, p)
	}
	return service, p, nil
}

// failed is an authentication's error as the protocol words it.
func failed(err error, p awsapi.Protocol) error {
	var e *sigv4.Error
	if errors.As(err, &e) {
		return e.Answer(p)
	}
	return err
}

// call has an admitted call described, allowed, served, recorded and answered.
func (h *handler) call(w http.ResponseWriter, c *awsapi.Call, service awsapi.Service, p awsapi.Protocol) {
	answer, err := h.serve(c, service, p)
	var refusal *awsapi.Error
	if err != nil && !errors.As(err, &refusal) {
		h.log.Error("call failed", "service", c.Signing, "operation", c.Operation, "request", c.ID, "error", err)
		refusal = internal(p)
	}
	if !c.Record.Skip {
		events := h.events(c, refusal)
		err := h.share(c, refusal, &events[0])
		if err == nil {
			err = h.record(c.Request.Context(), events...)
		}
		if err != nil {
			h.log.Error("call not recorded", "service", c.Signing, "operation", c.Operation, "request", c.ID, "error", err)
			refusal = internal(p)
		}
	}
	if refusal != nil {
		writeError(w, c, p, refusal)
		return
	}
	h.answer(w, c, answer)
}

// other is the account whose credentials a request has, when it is another one than the account that manages them.
func (h *handler) other(r *http.Request) *handler {
	if !h.manages {
		return nil
	}
	for _, other := range h.accounts {
		if other != h && other.iam.Knows(r) {
			return other
		}
	}
	return nil
}

// share records a call for the other account that it was about: the same event with an id of its own, in which the caller is
// an account.
func (h *handler) share(c *awsapi.Call, refusal *awsapi.Error, e *cloudtrail.Event) error {
	other := h.accounts[c.Record.Recipient]
	if other == nil || refusal != nil {
		return nil
	}
	e.SharedEventID = uuid.NewString()
	shared := *e
	shared.EventID, shared.RecipientAccountID = uuid.NewString(), other.opts.Account
	shared.UserIdentity = &cloudtrail.UserIdentity{Type: "AWSAccount", PrincipalID: c.Caller.PrincipalID, AccountID: c.Caller.Account}
	return other.record(c.Request.Context(), shared)
}

// record makes events durable, also when the client has gone meanwhile: what was done is recorded.
func (h *handler) record(ctx context.Context, events ...cloudtrail.Event) error {
	err := h.recorder.Record(context.WithoutCancel(ctx), events)
	h.unrecordable.Store(err != nil)
	return err
}

// serve is what a service does with a call. A panic of the service is an error, so that the call is recorded.
func (h *handler) serve(c *awsapi.Call, service awsapi.Service, p awsapi.Protocol) (answer *awsapi.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	service.Describe(c)
	if refusal := h.authorize(c, service, p); refusal != nil {
		if d, ok := service.(discreet); ok {
			d.Denied(c)
		}
		return nil, refusal
	}
	if h.unrecordable.Load() {
		return nil, internal(p)
	}
	if h.opts.Throttle != nil && h.opts.Throttle(c) {
		return nil, throttled(p)
	}
	if refusal := h.spoiled(c, p); refusal != nil {
		return nil, refusal
	}
	answer, err = service.Serve(c)
	if err == nil && answer == nil {
		err = errors.New("no answer")
	}
	return answer, err
}

// authorize asks IAM for all that a call needs.
func (h *handler) authorize(c *awsapi.Call, service awsapi.Service, p awsapi.Protocol) *awsapi.Error {
	accesses := service.Access(c)
	if len(accesses) == 0 {
		return nil
	}
	var more policy.Context
	if s, ok := service.(conditioned); ok {
		more = s.Conditions(c)
	}
	for _, a := range accesses {
		var document *policy.Document
		if s, ok := service.(guarded); ok && !keepsHold(c, a) {
			document = s.ResourcePolicy(a.Resource)
		}
		if refusal := h.iam.Check(c, a, document, more, p); refusal != nil {
			return refusal
		}
		if _, ok := service.(sovereign); ok && document != nil {
			if refusal := h.iam.Consent(c, a, document, more, p); refusal != nil {
				return refusal
			}
		}
	}
	return nil
}

// keepsHold tells whether an access is the root user's to a bucket's policy: a policy that denies everything to
// everyone can still be read and taken away by root.
func keepsHold(c *awsapi.Call, a awsapi.Access) bool {
	return c.Caller.Kind == awsapi.Root && strings.HasPrefix(a.Action, "s3:") && strings.HasSuffix(a.Action, "BucketPolicy")
}

// answer writes what a service answered.
func (h *handler) answer(w http.ResponseWriter, c *awsapi.Call, answer *awsapi.Response) {
	header := w.Header()
	for name, values := range answer.Header {
		header[name] = values
	}
	header.Set(requestIDHeader(c.Signing), c.ID)
	status := answer.Status
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	if answer.Stream == nil {
		_, _ = w.Write(answer.Body) // a client that has gone gets no answer
		return
	}
	h.stream(w, c, answer)
}

// stream writes a streaming answer and records its completion. A stream that can't be completed, or whose completion
// can't be recorded, is cut off, so that the client doesn't take it for whole.
func (h *handler) stream(w http.ResponseWriter, c *awsapi.Call, answer *awsapi.Response) {
	flusher := http.NewResponseController(w)
	if c.Incoming != nil { // the client may wait for the headers before it says anything
		_ = flusher.Flush()
	}
	completion, err := answer.Stream(w, func() { _ = flusher.Flush() })
	if completion != nil {
		if recordErr := h.record(c.Request.Context(), h.completion(c, completion)); recordErr != nil {
			err = errors.Join(err, fmt.Errorf("recording the completion: %w", recordErr))
		}
	}
	if err != nil {
		h.log.Warn("stream cut off", "service", c.Signing, "operation", c.Operation, "request", c.ID, "error", err)
		panic(http.ErrAbortHandler)
	}
}

// refuse answers a request that is no call: nothing is recorded.
func (h *handler) refuse(w http.ResponseWriter, c *awsapi.Call, p awsapi.Protocol, err error) {
	if c.ID == "" {
		c.ID = requestID(h.signing(c.Request, nil))
	}
	var refusal *awsapi.Error
	if !errors.As(err, &refusal) {
		h.log.Error("request failed", "request", c.ID, "error", err)
		refusal = internal(p)
	}
	writeError(w, c, p, refusal)
}

// requestID makes a request id of the form that the service's have.
func requestID(signing string) string {
	id := uuid.New()
	if signing == "s3" {
		return strings.ToUpper(strings.ReplaceAll(id.String(), "-", ""))[:16]
	}
	return id.String()
}

// requestIDHeader is the header that tells the client the request id.
func requestIDHeader(signing string) string {
	if signing == "s3" {
		return "X-Amz-Request-Id"
	}
	return "X-Amzn-Requestid"
}

// now is the time, for records.
func (h *handler) now() time.Time { return h.opts.Now().UTC().Truncate(time.Second) }
