package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aitrail/aitrail/infra/program"
	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/companion"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// state is the stack's state as the back end has it, and as it is exported.
func (r *run) state(ctx context.Context) (d apitype.DeploymentV3, exported apitype.UntypedDeployment, err error) {
	exported, err = r.stack.Export(ctx)
	if err != nil || len(exported.Deployment) == 0 {
		return d, exported, err
	}
	if err := json.Unmarshal(exported.Deployment, &d); err != nil {
		return d, exported, fmt.Errorf("the state of %s: %w", r.Stack, err)
	}
	return d, exported, nil
}

// recover finishes what a killed run has left half done. The engine notes in the state what it is about to do, and can't know
// whether it was done. All names of the set-up are known beforehand, and so are the ids that AWS's provider gives: what was being created goes into the
// state under its id, and a refresh of just that finds it in AWS, or takes it out of the state again.
func (r *run) recover(ctx context.Context) error {
	d, exported, err := r.state(ctx)
	if err != nil {
		return err
	}
	if len(d.PendingOperations) == 0 {
		return nil
	}
	note := func(format string, args ...any) {
		r.emit(companion.Message{Type: companion.Note, Text: fmt.Sprintf(format, args...)})
	}
	if r.Verb == companion.Preview {
		note("an earlier run was stopped while it changed %s: the next up or down looks up first what became of that", names(d.PendingOperations))
		return nil
	}
	if r.Backend != "" && !r.Unlock {
		return &companion.Error{Code: companion.Locked, Text: fmt.Sprintf("another run is changing %s, or was killed while it did", names(d.PendingOperations))}
	}
	note("an earlier run was stopped while it changed %s: looking up what became of that", names(d.PendingOperations))
	have := map[resource.URN]bool{}
	for _, res := range d.Resources {
		have[res.URN] = have[res.URN] || !res.Delete
	}
	var urns []string
	for _, op := range d.PendingOperations {
		res := op.Resource
		if have[res.URN] {
			urns = append(urns, string(res.URN))
			continue
		}
		if op.Type != apitype.OperationTypeCreating {
			continue
		}
		id := importID(res, r.Setup)
		if id == "" {
			note("%s: nobody knows what id AWS gave it, if any; a new one is made, and you may want to look for a left one", shortName(string(res.URN)))
			continue
		}
		res.ID = resource.ID(id)
		d.Resources = append(d.Resources, res)
		have[res.URN] = true
		urns = append(urns, string(res.URN))
	}
	d.PendingOperations = nil
	if exported.Deployment, err = json.Marshal(d); err != nil {
		return err
	}
	if err := r.stack.Import(ctx, exported); err != nil {
		return err
	}
	if len(urns) == 0 {
		return nil
	}
	return r.watch(func(ch chan<- events.EngineEvent) error {
		_, err := r.stack.Refresh(ctx, optrefresh.EventStreams(ch), optrefresh.Target(urns), optrefresh.SuppressProgress())
		return err
	})
}

func names(ops []apitype.OperationV2) string {
	var list []string
	for _, op := range ops {
		list = append(list, shortName(string(op.Resource.URN)))
	}
	return strings.Join(list, ", ")
}

// importID is the id that the AWS provider gives a resource of the set-up, "" if it can't be known beforehand.
func importID(res apitype.ResourceV3, s provision.Setup) string {
	in := func(name string) string {
		v, _ := res.Inputs[name].(string)
		return v
	}
	kind := string(res.Type)
	switch kind {
	case "aws:iam/role:Role", "aws:cloudwatch/logGroup:LogGroup", "aws:kms/alias:Alias", "aws:athena/workgroup:Workgroup":
		return in("name")
	case "aws:iam/rolePolicy:RolePolicy":
		return in("role") + ":" + in("name")
	case "aws:cloudtrail/trail:Trail":
		return s.TrailARN()
	case "aws:cloudtrail/organizationDelegatedAdminAccount:OrganizationDelegatedAdminAccount":
		return in("accountId")
	case "aws:glue/catalogDatabase:CatalogDatabase":
		return s.Account + ":" + in("name")
	case "aws:sqs/queue:Queue":
		suffix := ".amazonaws.com/"
		if s.Partition == "aws-cn" {
			suffix = ".amazonaws.com.cn/"
		}
		return "https://sqs." + s.Region + suffix + s.Account + "/" + in("name")
	case "aws:sqs/queuePolicy:QueuePolicy":
		return in("queueUrl")
	case "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration":
		return s.Region
	}
	if strings.HasPrefix(kind, "aws:s3/") {
		return in("bucket")
	}
	return ""
}

// keeps tells whether down leaves a resource of the Pulumi type: what holds something, and what keeps that closed.
func keeps(kind string) bool {
	switch kind {
	case "aws:s3/bucketNotification:BucketNotification":
		return false // its queue goes
	case "aws:kms/key:Key", "aws:kms/alias:Alias", "aws:cloudwatch/logGroup:LogGroup", "aws:glue/catalogDatabase:CatalogDatabase":
		return true
	}
	return strings.HasPrefix(kind, "aws:s3/")
}

// unlock removes the locks that runs have left which were killed: with a local back end, those whose process is no more. With
// Unlock in the request it removes any. A run that is alive is an error: recover must not meddle with it.
func (r *run) unlock(ctx context.Context) error {
	if r.Unlock {
		return r.stack.Cancel(ctx)
	}
	if r.Backend != "" {
		return nil // the engine looks
	}
	locks, err := filepath.Glob(filepath.Join(r.locks(), "*.json"))
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	for _, name := range locks {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its run has just ended
		}
		if err != nil {
			return err
		}
		var lock struct {
			PID       int    `json:"pid"`
			Username  string `json:"username"`
			Hostname  string `json:"hostname"`
			Timestamp string `json:"timestamp"`
		}
		if json.Unmarshal(text, &lock) != nil || lock.Hostname != host || lock.PID <= 0 || alive(lock.PID) {
			return &companion.Error{Code: companion.Locked, Text: fmt.Sprintf(
				"another run is at work on %s: pid %d of %s on %s, since %s", r.Stack, lock.PID, lock.Username, lock.Hostname, lock.Timestamp)}
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		r.emit(companion.Message{Type: companion.Note, Text: fmt.Sprintf("removed the lock of an earlier run that was killed (process %d)", lock.PID)})
	}
	return nil
}

// locks is the folder where a local back end has the stack's locks.
func (r *run) locks() string {
	return filepath.Join(r.Dir, "state", ".pulumi", "locks", "organization", program.Project, r.Stack)
}

// passphraseFile is the file with the passphrase of a local back end. It is made once, of 256 random bits, readable by its owner
// only: it protects the state where that is copied to without it.
func passphraseFile(dir string) (string, error) {
	name, err := filepath.Abs(filepath.Join(dir, "passphrase"))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return name, err
	}
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(dir, "passphrase-*") // 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(hex.EncodeToString(secret[:]) + "\n")
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return "", err
	}
	// A link fails where another run was faster; its passphrase holds.
	if err := os.Link(tmp.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return name, nil
}
