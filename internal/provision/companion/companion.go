// Package companion is what aitrail and aitrail-pulumi, the companion binary that drives the Pulumi engine, say to each other.
//
// aitrail writes one [Request] to the companion's standard input and closes it. The companion writes [Message] objects to
// its standard output, one JSON object a line, while it works, and ends with 0, or with 1 after a message of type "error". If
// nobody reads them any more it works on: an update is better finished than broken off. Interrupted once (SIGINT to its
// process group) it lets what is under way end and starts nothing more.
//
// The main binary links this package and not Pulumi.
package companion

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/aitrail/aitrail/internal/provision"
)

// Version is that of the protocol. Both sides are built from one repository; a companion refuses requests of another version.
const Version = 1

// Verb is what to do with the set-up.
type Verb string

// The verbs.
const (
	Up      Verb = "up"      // make the account so
	Preview Verb = "preview" // say what up would do
	Down    Verb = "down"    // take it down; what holds something stays
	Outputs Verb = "outputs" // say what users of the set-up need to know
)

// Request is what is to be done.
type Request struct {
	Version int             `json:"version"`
	Verb    Verb            `json:"verb"`
	Setup   provision.Setup `json:"setup"`

	// Dir is a folder of the user's for Pulumi's workspace, and for its state where Backend is "". It is created.
	Dir string `json:"dir"`
	// Backend is where Pulumi keeps the state, as its login takes it (s3://bucket, https://api.pulumi.com); "" means Dir.
	Backend string `json:"backend,omitempty"`
	// Stack is the stack's name; "" means TRAIL-ACCOUNT-REGION.
	Stack string `json:"stack,omitempty"`
	// SecretsProvider encrypts secrets in the state (awskms://…); "" means the back end's own, or a passphrase.
	SecretsProvider string `json:"secrets_provider,omitempty"`

	Protect  bool   `json:"protect,omitempty"`  // Pulumi refuses to delete what holds something
	Refresh  bool   `json:"refresh,omitempty"`  // look first how everything really is
	Unlock   bool   `json:"unlock,omitempty"`   // take away a lock that another run has left; no other may be running
	All      bool   `json:"all,omitempty"`      // down: what holds something too
	Endpoint string `json:"endpoint,omitempty"` // of all AWS services; "" is AWS's own
}

// Type says what a Message is.
type Type string

// The types of messages, and the members that each has.
const (
	Note       Type = "note"       // Text: what the companion does besides the steps
	Step       Type = "step"       // Op, Phase, Kind, Name, ID, Changed
	Diagnostic Type = "diagnostic" // Severity, Text, Name
	Summary    Type = "summary"    // Changes, Kept
	Output     Type = "outputs"    // Outputs
	Failure    Type = "error"      // Code, Text
)

// Phase is how far a step is.
type Phase string

// The phases of a step. A preview only plans.
const (
	Planned Phase = "planned"
	Started Phase = "started"
	Done    Phase = "done"
	Failed  Phase = "failed"
)

// Message is one line of the companion's.
type Message struct {
	Type Type `json:"type"`

	Op      string   `json:"op,omitempty"` // Pulumi's: create, update, replace, delete, read, refresh, same …
	Phase   Phase    `json:"phase,omitempty"`
	Kind    string   `json:"kind,omitempty"`    // the Pulumi type: aws:s3/bucket:Bucket
	Name    string   `json:"name,omitempty"`    // the ID of the resource in provision.Setup.Resources: log-bucket
	ID      string   `json:"id,omitempty"`      // in AWS, where it is known
	Changed []string `json:"changed,omitempty"` // the properties that differ

	Severity string `json:"severity,omitempty"` // info, warning, error
	Text     string `json:"text,omitempty"`

	Changes map[string]int `json:"changes,omitempty"` // how many resources, by op
	Kept    []string       `json:"kept,omitempty"`    // down: the names of those that stayed
	Outputs map[string]any `json:"outputs,omitempty"`

	Code Code `json:"code,omitempty"`
}

// Code says what kind of error it was, for who wants to say the way out.
type Code string

// The codes of errors.
const (
	BadRequest    Code = "bad-request"
	NoPulumi      Code = "no-pulumi"      // there is no pulumi command
	OldPulumi     Code = "old-pulumi"     // or it is too old
	Locked        Code = "locked"         // another run works on the stack, or was killed
	NoPassphrase  Code = "no-passphrase"  // the back end needs one
	BadPassphrase Code = "bad-passphrase" // the state was encrypted with another
	NoPlugin      Code = "no-plugin"      // the AWS provider can't be had
	NoStack       Code = "no-stack"       // nothing has been set up
	Protected     Code = "protected"      // down would delete what is protected
	NoCredentials Code = "no-credentials"
	WrongAccount  Code = "wrong-account"
	AccessDenied  Code = "access-denied"
	TrailLimit    Code = "trail-limit"
	BucketTaken   Code = "bucket-taken"
	UnknownType   Code = "unknown-type" // a data type that the Region doesn't know
	Interrupted   Code = "interrupted"
	Other         Code = "failed"
)

// Error is an error that reaches the user by its Code.
type Error struct {
	Code Code
	Text string
}

func (e *Error) Error() string { return e.Text }

// ReadRequest reads the one request on r.
func ReadRequest(r io.Reader) (Request, error) {
	var req Request
	d := json.NewDecoder(io.LimitReader(r, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&req); err != nil {
		return req, &Error{BadRequest, "reading the request: " + err.Error()}
	}
	if req.Version != Version {
		return req, &Error{BadRequest, fmt.Sprintf("the request is of version %d, and this companion knows %d: install both from the same release", req.Version, Version)}
	}
	if req.Dir == "" {
		return req, &Error{BadRequest, "the request names no folder"}
	}
	switch req.Verb {
	case Up, Preview, Down, Outputs:
		return req, nil
	}
	return req, &Error{BadRequest, fmt.Sprintf("unknown verb %q", req.Verb)}
}
