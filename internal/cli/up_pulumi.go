package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/companion"
)

// errNoCompanion says that the binary that drives Pulumi isn't there.
var errNoCompanion = errors.New("aitrail-pulumi, which drives the Pulumi engine, is neither beside aitrail nor on the PATH")

// pulumiHints say what to do next about an error of the companion's.
var pulumiHints = map[companion.Code]string{
	companion.NoPulumi:      "install Pulumi (brew install pulumi/tap/pulumi, or https://www.pulumi.com/docs/install/); no account with Pulumi is needed. Without it: aitrail template",
	companion.OldPulumi:     "install a newer Pulumi: https://www.pulumi.com/docs/install/",
	companion.NoPlugin:      "Pulumi downloads its AWS provider when it is first used; without that network: pulumi plugin install resource aws 7.27.0 --file FILE",
	companion.Locked:        "wait for the other run; if it was killed, run the same command with --unlock",
	companion.NoPassphrase:  "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE, or give --secrets-provider awskms://alias/KEY",
	companion.BadPassphrase: "set PULUMI_CONFIG_PASSPHRASE as it was at the first run",
	companion.NoStack:       "aitrail up makes the set-up; was it made with another --trail, --region, account, --backend or --stack?",
	companion.Protected:     "aitrail up without --protect takes the protection away; nothing was taken down",
	companion.NoCredentials: "log in to AWS (aws sso login, or AWS_PROFILE, AWS_ACCESS_KEY_ID …), then run the same command again",
	companion.AccessDenied:  "the caller lacks this right; what was done stays, and the same command goes on from there",
	companion.TrailLimit:    "a Region takes five trails: delete one (aws cloudtrail describe-trails), then run the same command again",
	companion.BucketTaken:   "bucket names are the whole world's: choose another with --bucket",
	companion.UnknownType:   "one data type that the Region doesn't know has CloudTrail refuse all: leave it out with --exclude",
	companion.WrongAccount:  "the credentials are another account's than the one the set-up is for: choose others with AWS_PROFILE",
	companion.Interrupted:   "run the same command again to go on from there",
}

// pulumiHint is the hint about an error of the companion's.
func pulumiHint(err error) string {
	if errors.Is(err, errNoCompanion) {
		return "make bin/aitrail-pulumi in a clone of the repository builds it; AITRAIL_PULUMI may name it. Without Pulumi: aitrail template"
	}
	var e *companion.Error
	if errors.As(err, &e) {
		return pulumiHints[e.Code]
	}
	return ""
}

// pulumiFlags are what is Pulumi's of the command line of up, preview, down and outputs.
type pulumiFlags struct{ companion.Request }

func (f *pulumiFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.Backend, "backend", "", "where Pulumi keeps its state, as `URL`: s3://BUCKET, https://api.pulumi.com … (default a folder of the user's)")
	flags.StringVar(&f.Stack, "stack", "", "Pulumi stack's `name` (default TRAIL-ACCOUNT-REGION)")
	flags.StringVar(&f.SecretsProvider, "secrets-provider", "", "what encrypts secrets in Pulumi's state, as `URL`: awskms://alias/KEY …")
	flags.BoolVar(&f.Protect, "protect", false, "have Pulumi refuse to delete buckets, key, log group and database")
	flags.BoolVar(&f.Refresh, "refresh", false, "look first how everything really is, to find what was changed by hand")
	flags.BoolVar(&f.Unlock, "unlock", false, "take away the lock of a Pulumi run that was killed; no other may be running")
}

// pulumi has the companion do something with the set-up through the Pulumi engine. It prints a preview's table to stdout, and
// progress to stderr; after up and outputs it returns the outputs.
func (a *app) pulumi(ctx context.Context, verb companion.Verb, s provision.Setup, f pulumiFlags) (map[string]any, error) {
	program, err := a.companion()
	if err != nil {
		return nil, err
	}
	data, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	req := f.Request
	req.Version, req.Verb, req.Setup, req.Dir = companion.Version, verb, s, filepath.Join(data, "pulumi")
	req.Endpoint = a.Getenv("AWS_ENDPOINT_URL")
	view := &pulumiView{app: a, verb: verb, desired: s.Resources(), changes: map[string]int{}}
	err = talk(ctx, program, req, a.Stderr, view.message)
	if err != nil {
		view.halfway()
		return nil, err
	}
	return view.outputs, view.finish()
}

// companion is the path of the companion binary: the one that AITRAIL_PULUMI names, beside this program, or on the PATH.
func (a *app) companion() (string, error) {
	if p := a.Getenv("AITRAIL_PULUMI"); p != "" {
		if _, err := os.Stat(p); err != nil {
			return "", fmt.Errorf("AITRAIL_PULUMI: %w", err)
		}
		return p, nil
	}
	name := "aitrail-pulumi"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		if p := filepath.Join(filepath.Dir(self), name); isFile(p) {
			return p, nil
		}
	}
	p, err := exec.LookPath(name)
	if err != nil {
		return "", errNoCompanion
	}
	return p, nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// talk runs the companion and hands on its messages. When the context ends, the companion and the engine under it are asked
// once to end what is under way, and again at each further interrupt; they are waited for.
func talk(ctx context.Context, program string, req companion.Request, stderr io.Writer, message func(companion.Message) error) error {
	in, err := json.Marshal(req)
	if err != nil {
		return err
	}
	cmd := exec.Command(program)
	cmd.Stdin = bytes.NewReader(in)
	var said bytes.Buffer
	cmd.Stderr = &said
	ownGroup(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	over := make(chan struct{})
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		fmt.Fprintln(stderr, "interrupted: what is under way is brought to its end; interrupt again to break it off")
		interruptGroup(cmd.Process)
		again := make(chan os.Signal, 1)
		signal.Notify(again, os.Interrupt)
		defer signal.Stop(again)
		for {
			select {
			case <-over:
				return
			case <-again:
				interruptGroup(cmd.Process)
			}
		}
	}()
	failure, err := listen(out, message)
	_, drained := io.Copy(io.Discard, out)
	ended := cmd.Wait()
	close(over)
	<-waited
	switch {
	case failure != nil:
		return failure
	case err != nil:
		return err
	case ended != nil:
		return fmt.Errorf("%s: %w %s", program, ended, strings.TrimSpace(said.String()))
	}
	return drained
}

// listen reads the companion's messages until it ends, and returns its error.
func listen(out io.Reader, message func(companion.Message) error) (*companion.Error, error) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	var failure *companion.Error
	for lines.Scan() {
		var m companion.Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return failure, fmt.Errorf("aitrail-pulumi said %q: %w", lines.Text(), err)
		}
		if m.Type == companion.Failure {
			failure = &companion.Error{Code: m.Code, Text: m.Text}
			continue
		}
		if err := message(m); err != nil {
			return failure, err
		}
	}
	return failure, lines.Err()
}

// pulumiView shows what the companion tells.
type pulumiView struct {
	*app
	verb    companion.Verb
	desired []provision.Resource
	plan    [][]any
	done    []string
	changes map[string]int
	kept    []string
	outputs map[string]any
}

// pastOps name Pulumi's operations as things done; comingOps are those that change something.
var (
	pastOps = map[string]string{
		"create": "created", "update": "updated", "replace": "replaced", "delete": "removed", "refresh": "looked up", "import": "adopted",
	}
	comingOps = []string{"create", "update", "replace", "delete"}
)

// named is the kind and name of a resource, as the desired state has it; of one that is not in it any more, as Pulumi has.
func (v *pulumiView) named(m companion.Message) (kind, name string) {
	for _, r := range v.desired {
		if r.ID == m.Name {
			return string(r.Kind), r.Name
		}
	}
	if kind = awsType(m.Kind); m.ID != "" {
		return kind, m.ID
	}
	return kind, m.Name
}

func (v *pulumiView) message(m companion.Message) error {
	switch m.Type {
	case companion.Note:
		fmt.Fprintf(v.Stderr, "  · %s\n", m.Text)
	case companion.Diagnostic:
		if m.Severity == "warning" || v.verbose {
			about := ""
			if m.Name != "" {
				about = m.Name + ": "
			}
			fmt.Fprintf(v.Stderr, "%s: %s%s\n", m.Severity, about, m.Text)
		}
	case companion.Step:
		v.step(m)
	case companion.Summary:
		v.kept = append(v.kept, m.Kept...)
	case companion.Output:
		v.outputs = m.Outputs
	}
	return nil
}

func (v *pulumiView) step(m companion.Message) {
	kind, name := v.named(m)
	if m.Phase == companion.Planned || m.Phase == companion.Done {
		v.changes[m.Op]++
	}
	switch m.Phase {
	case companion.Planned:
		if slices.Contains(comingOps, m.Op) {
			v.plan = append(v.plan, []any{m.Op, kind, name, strings.Join(m.Changed, ", ")})
		}
	case companion.Done:
		v.done = append(v.done, m.Name)
		if word := pastOps[m.Op]; word != "" && (m.Op != "refresh" || v.verbose) {
			fmt.Fprintf(v.Stderr, "  · %s %s %s\n", kind, name, word)
		}
	case companion.Failed:
		fmt.Fprintf(v.Stderr, "  · could not %s %s %s\n", m.Op, kind, name)
	case companion.Started:
		if v.verbose && m.Op != "same" {
			fmt.Fprintf(v.Stderr, "  · to %s %s %s\n", m.Op, kind, name)
		}
	}
}

// awsType is a Pulumi type without what is said twice in it: aws:s3/bucket:Bucket is s3.Bucket.
func awsType(kind string) string {
	module, name, ok := strings.Cut(strings.TrimPrefix(kind, "aws:"), "/")
	if i := strings.LastIndex(name, ":"); ok && i >= 0 {
		return module + "." + name[i+1:]
	}
	return kind
}

// finish says what came of it.
func (v *pulumiView) finish() error {
	switch v.verb {
	case companion.Preview:
		if err := v.print([]string{"action", "kind", "name", "changes"}, v.plan); err != nil {
			return err
		}
		fmt.Fprintln(v.Stderr, v.count(func(op string) string { return "to " + op }))
	case companion.Up, companion.Down:
		fmt.Fprintln(v.Stderr, v.count(func(op string) string { return pastOps[op] }))
		if len(v.kept) > 0 {
			fmt.Fprintf(v.Stderr, "left, for what they hold: %s (--all removes them too; buckets must be empty)\n", strings.Join(v.kept, ", "))
		}
	}
	return nil
}

// count is how many resources there are by what is done with them.
func (v *pulumiView) count(word func(op string) string) string {
	var parts []string
	for _, op := range comingOps {
		if n := v.changes[op]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, word(op)))
		}
	}
	return strings.Join(append(parts, fmt.Sprintf("%d unchanged", v.changes["same"])), ", ")
}

// halfway says of an up that failed what is there and what is missing.
func (v *pulumiView) halfway() {
	if v.verb != companion.Up || len(v.done) == 0 {
		return
	}
	var missing []string
	for _, r := range v.desired {
		if !slices.Contains(v.done, r.ID) {
			missing = append(missing, r.ID)
		}
	}
	if len(missing) > 0 {
		fmt.Fprintf(v.Stderr, "%d of %d resources are as they should be; missing: %s\n", len(v.desired)-len(missing), len(v.desired), strings.Join(missing, ", "))
	}
}
