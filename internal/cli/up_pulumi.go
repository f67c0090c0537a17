package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"

	"github.com/spf13/pflag"

	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/companion"
)

// errNoCompanion says that the binary that drives Pulumi isn't there.
var errNoCompanion = errors.New("aitrail-pulumi, which drives the Pulumi engine, is not on the PATH")

// pulumiFlags are what is Pulumi's of the command line.
type pulumiFlags struct{ companion.Request }

func (f *pulumiFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.Backend, "backend", "", "where Pulumi keeps its state, as `URL` (default a folder of the user's)")
}

// pulumi has the companion do something with the set-up.
func (a *app) pulumi(ctx context.Context, verb companion.Verb, s provision.Setup, f pulumiFlags) (map[string]any, error) {
	program, err := exec.LookPath("aitrail-pulumi")
	if err != nil {
		return nil, errNoCompanion
	}
	f.Version, f.Verb, f.Setup = companion.Version, verb, s
	request, err := json.Marshal(f.Request)
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, program)
	c.Stdin, c.Stderr = bytes.NewReader(request), a.Stderr
	_, err = c.Output()
	return nil, err
}
