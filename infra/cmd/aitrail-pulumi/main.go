// Command aitrail-pulumi is aitrail's companion that drives the Pulumi engine. aitrail starts it; what they say to each
// other is in the package companion. docs/pulumi.md says how to get it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/aitrail/aitrail/infra/engine"
	"github.com/aitrail/aitrail/internal/provision/companion"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "aitrail-pulumi is started by aitrail up, preview, down and outputs; it takes no arguments")
		os.Exit(2)
	}
	os.Exit(run(os.Stdin, os.Stdout))
}

func run(in io.Reader, out io.Writer) int {
	// A reader that is gone doesn't end an update half done.
	signal.Ignore(syscall.SIGPIPE)
	encoder := json.NewEncoder(out)
	emit := func(m companion.Message) { _ = encoder.Encode(m) }

	// The signal has reached pulumi too, which ends what is under way; so it is waited for.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)

	req, err := companion.ReadRequest(in)
	if err == nil {
		err = engine.Run(context.Background(), req, os.Getenv, emit)
	}
	if err == nil {
		return 0
	}
	m := companion.Message{Type: companion.Failure, Code: companion.Other, Text: err.Error()}
	var known *companion.Error
	if errors.As(err, &known) {
		m.Code = known.Code
	}
	emit(m)
	return 1
}
