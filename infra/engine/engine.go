// Package engine drives the Pulumi engine for aitrail: it runs the set-up's program inline, through Pulumi's Automation API, and
// tells what happens as messages of the companion's protocol.
//
// The engine is the user's pulumi command. State is in a folder of the user's unless a back end is named. An earlier run that was
// killed is recovered from: its lock is removed when its process is gone, and what it was making when it ended is looked
// up in AWS by the name it would have, and adopted if it is there.
package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/aitrail/aitrail/infra/program"
	"github.com/aitrail/aitrail/internal/provision/companion"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// run is one request under way.
type run struct {
	companion.Request
	getenv func(string) string
	emit   func(companion.Message)
	stack  auto.Stack
}

// Run does what the request says. emit gets the messages, one after the other, but for the error that Run returns, which is a
// *companion.Error. The context is only looked at before the engine starts; interrupt a running engine by a signal to its process, so that it
// ends what is under way.
func Run(ctx context.Context, req companion.Request, getenv func(string) string, emit func(companion.Message)) error {
	r := &run{Request: req, getenv: getenv, emit: emit}
	if err := req.Setup.Validate(); err != nil {
		return &companion.Error{Code: companion.BadRequest, Text: err.Error()}
	}
	r.Setup = req.Setup.Defaults()
	if r.Stack == "" {
		r.Stack = r.Setup.Trail + "-" + r.Setup.Account + "-" + r.Setup.Region
	}
	// The engine's work is not cut short: the Automation API would kill it ten seconds after the context ends.
	ctx = context.WithoutCancel(ctx)
	err := r.open(ctx)
	if err == nil {
		err = r.do(ctx)
	}
	return coded(err)
}

// open finds pulumi and selects the stack, which it creates where the verb makes something.
func (r *run) open(ctx context.Context) error {
	command, err := findPulumi(r.getenv)
	if err != nil {
		return err
	}
	work := filepath.Join(r.Dir, "work")
	if r.Backend != "" { // a stack's settings, with the salt of its passphrase, are the back end's
		work += fmt.Sprintf("-%x", sha256.Sum256([]byte(r.Backend)))[:17]
	}
	if err := os.MkdirAll(work, 0o700); err != nil {
		return err
	}
	env, err := r.environment()
	if err != nil {
		return err
	}
	opts := []auto.LocalWorkspaceOption{
		auto.Pulumi(command), auto.WorkDir(work), auto.EnvVars(env),
		auto.Program(program.Inline(r.Setup, program.Options{Protect: r.Protect, Endpoint: r.Endpoint})),
		auto.Project(workspace.Project{Name: tokens.PackageName(program.Project), Runtime: workspace.NewProjectRuntimeInfo("go", nil)}),
	}
	if r.SecretsProvider != "" {
		opts = append(opts, auto.SecretsProvider(r.SecretsProvider))
	}
	w, err := auto.NewLocalWorkspace(ctx, opts...)
	if err != nil {
		return err
	}
	r.stack, err = auto.SelectStack(ctx, r.Stack, w)
	if auto.IsSelectStack404Error(err) {
		if r.Verb == companion.Down || r.Verb == companion.Outputs {
			return &companion.Error{Code: companion.NoStack, Text: fmt.Sprintf("there is no stack %s: nothing has been set up with this trail, account and Region from here", r.Stack)}
		}
		r.stack, err = auto.NewStack(ctx, r.Stack, w)
	}
	return err
}

func (r *run) do(ctx context.Context) error {
	if r.Verb == companion.Outputs {
		state, _, err := r.state(ctx)
		if err != nil {
			return err
		}
		isTrail := func(res apitype.ResourceV3) bool { return res.Type == "aws:cloudtrail/trail:Trail" }
		if !slices.ContainsFunc(state.Resources, isTrail) { // outputs stay in the state when down has left something
			return &companion.Error{Code: companion.NoStack, Text: fmt.Sprintf("there is no trail in the stack %s: it was never made, or was taken down", r.Stack)}
		}
		return r.outputs(ctx)
	}
	if err := r.unlock(ctx); err != nil {
		return err
	}
	if err := r.recover(ctx); err != nil {
		return err
	}
	switch r.Verb {
	case companion.Preview:
		return r.watch(func(ch chan<- events.EngineEvent) error {
			opts := []optpreview.Option{optpreview.EventStreams(ch), optpreview.SuppressProgress()}
			if r.Refresh {
				opts = append(opts, optpreview.Refresh())
			}
			_, err := r.stack.Preview(ctx, opts...)
			return err
		})
	case companion.Up:
		err := r.watch(func(ch chan<- events.EngineEvent) error {
			opts := []optup.Option{optup.EventStreams(ch), optup.SuppressProgress(), optup.SuppressOutputs()}
			if r.Refresh {
				opts = append(opts, optup.Refresh())
			}
			_, err := r.stack.Up(ctx, opts...)
			return err
		})
		if err != nil {
			return err
		}
		return r.outputs(ctx)
	default:
		return r.down(ctx)
	}
}

// down destroys what holds nothing; with All everything, and the stack.
func (r *run) down(ctx context.Context) error {
	state, _, err := r.state(ctx)
	if err != nil {
		return err
	}
	opts := []optdestroy.Option{optdestroy.SuppressProgress(), optdestroy.SuppressOutputs()}
	var kept []string
	if r.All {
		var protected []string
		for _, res := range state.Resources {
			if res.Protect {
				protected = append(protected, shortName(string(res.URN)))
			}
		}
		if len(protected) > 0 { // else the engine would delete all around it first
			return &companion.Error{Code: companion.Protected, Text: "protected: " + strings.Join(protected, ", ")}
		}
	} else {
		var urns []string
		for _, res := range state.Resources {
			if keeps(string(res.Type)) {
				urns, kept = append(urns, string(res.URN)), append(kept, shortName(string(res.URN)))
			}
		}
		if len(urns) > 0 {
			opts = append(opts, optdestroy.Exclude(urns))
		}
	}
	if r.Refresh {
		opts = append(opts, optdestroy.Refresh())
	}
	err = r.watch(func(ch chan<- events.EngineEvent) error {
		_, err := r.stack.Destroy(ctx, append(opts, optdestroy.EventStreams(ch))...)
		return err
	})
	if err != nil {
		return err
	}
	if len(kept) > 0 {
		r.emit(companion.Message{Type: companion.Summary, Kept: kept})
		return nil
	}
	return r.stack.Workspace().RemoveStack(ctx, r.stack.Name())
}

func (r *run) outputs(ctx context.Context) error {
	values, err := r.stack.Outputs(ctx)
	if err != nil {
		return err
	}
	m := companion.Message{Type: companion.Output, Outputs: map[string]any{}}
	for name, v := range values {
		m.Outputs[name] = v.Value
	}
	r.emit(m)
	return nil
}

// watch runs an operation and emits its events. All have been emitted when it returns.
func (r *run) watch(operate func(chan<- events.EngineEvent) error) error {
	ch, over := make(chan events.EngineEvent), make(chan struct{})
	var w watcher
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			select {
			case e, ok := <-ch:
				if !ok {
					return
				}
				for _, m := range w.messages(e) {
					r.emit(m)
				}
			case <-over: // the engine ended before it opened the channel, or has closed it
				return
			}
		}
	})
	err := operate(ch)
	close(over)
	wait.Wait()
	if err != nil && len(w.errors) > 0 {
		return &operationError{err, w.errors}
	}
	return err
}

// operationError is a failed operation, with what the engine and the provider said of it.
type operationError struct {
	err  error
	said []string
}

func (e *operationError) Error() string { return strings.Join(e.said, "\n") }
func (e *operationError) Unwrap() error { return e.err }

// findPulumi is the pulumi command on the PATH, or where its installer puts it.
func findPulumi(getenv func(string) string) (auto.PulumiCommand, error) {
	command, err := auto.NewPulumiCommand(nil)
	if err == nil {
		return command, nil
	}
	if home := getenv("HOME"); home != "" {
		root := filepath.Join(home, ".pulumi")
		name := filepath.Join(root, "bin", "pulumi")
		if runtime.GOOS == "windows" {
			name += ".exe"
		}
		if _, missing := os.Stat(name); missing == nil {
			if command, err = auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: root}); err == nil {
				return command, nil
			}
		}
	}
	if strings.Contains(err.Error(), "version") && !strings.Contains(err.Error(), "failed to run") {
		return nil, &companion.Error{Code: companion.OldPulumi, Text: err.Error()}
	}
	return nil, &companion.Error{Code: companion.NoPulumi, Text: "there is no pulumi command: " + err.Error()}
}

// environment is what pulumi gets besides the environment of the process.
func (r *run) environment() (map[string]string, error) {
	env := map[string]string{"PULUMI_SKIP_UPDATE_CHECK": "true"}
	if r.Backend != "" {
		env["PULUMI_BACKEND_URL"] = r.Backend
	} else {
		dir, err := filepath.Abs(filepath.Join(r.Dir, "state"))
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		env["PULUMI_BACKEND_URL"] = (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String()
	}
	if r.getenv("PULUMI_CONFIG_PASSPHRASE") != "" || r.getenv("PULUMI_CONFIG_PASSPHRASE_FILE") != "" || r.SecretsProvider != "" || strings.HasPrefix(r.Backend, "https://") {
		return env, nil
	}
	if r.Backend != "" {
		return nil, &companion.Error{Code: companion.NoPassphrase, Text: fmt.Sprintf("the back end %s encrypts secrets with a passphrase, and none is set", r.Backend)}
	}
	file, err := passphraseFile(r.Dir)
	if err != nil {
		return nil, err
	}
	env["PULUMI_CONFIG_PASSPHRASE_FILE"] = file
	return env, nil
}

var unknownCredentials = regexp.MustCompile(`(?i)no valid credential sources|NoCredentialProviders|failed to refresh cached credentials|unable to validate AWS credentials|ExpiredToken|InvalidClientTokenId`)

// coded gives an error of Pulumi's the code that it deserves. Pulumi has texts only.
func coded(err error) error {
	if err == nil {
		return nil
	}
	var known *companion.Error
	if errors.As(err, &known) {
		return known
	}
	code, text := companion.Other, strings.TrimSpace(err.Error())
	inner := err
	var op *operationError
	if errors.As(err, &op) {
		inner = op.err
	}
	all := text + "\n" + inner.Error()
	switch {
	case auto.IsConcurrentUpdateError(inner):
		code, text = companion.Locked, stderrOf(inner.Error())
	case strings.Contains(all, "incorrect passphrase"):
		code, text = companion.BadPassphrase, "the passphrase is not the one the stack's state was encrypted with"
	case strings.Contains(all, "not in the list of allowed"), strings.Contains(all, "AWS account ID not allowed"), strings.Contains(all, "AWS Account ID not allowed"):
		code = companion.WrongAccount
	case unknownCredentials.MatchString(all):
		code = companion.NoCredentials
	case strings.Contains(all, "MaximumNumberOfTrailsExceeded"):
		code = companion.TrailLimit
	case strings.Contains(all, "InvalidEventSelectorsException"):
		code = companion.UnknownType
	case strings.Contains(all, "BucketAlreadyExists"), strings.Contains(all, "BucketAlreadyOwnedByYou"):
		code = companion.BucketTaken
	case strings.Contains(all, "AccessDenied"), strings.Contains(all, "UnauthorizedOperation"), strings.Contains(all, "is not authorized to perform"):
		code = companion.AccessDenied
	case strings.Contains(all, "no resource plugin"), strings.Contains(all, "could not download plugin"), strings.Contains(all, "failed to download plugin"), strings.Contains(all, "error installing plugin"), strings.Contains(all, "error downloading provider"):
		code = companion.NoPlugin
	case strings.Contains(all, "update canceled"), strings.Contains(all, "operation was canceled"), strings.Contains(all, "signal: interrupt"):
		code, text = companion.Interrupted, "interrupted: what was under way has ended, and nothing more was started"
	case op == nil:
		text = stderrOf(text)
	}
	return &companion.Error{Code: code, Text: text}
}

// stderrOf takes what pulumi wrote on standard error out of an error of the Automation API.
func stderrOf(text string) string {
	if _, rest, ok := strings.Cut(text, "stderr: "); ok {
		text = rest
	}
	text = strings.TrimSpace(text)
	return strings.TrimPrefix(text, "error: ")
}
