package engine

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/aitrail/aitrail/internal/provision/companion"
)

// Main is the companion: it reads the request, does it, and returns the exit code.
func Main(in io.Reader, out io.Writer, getenv func(string) string) int {
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
		err = Run(context.Background(), req, getenv, emit)
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
