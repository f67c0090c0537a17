package cli_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// fakeCompanion stands in for aitrail-pulumi: it keeps the request in the file COMPANION_REQUEST and says what the file
// COMPANION_ANSWER has. Where that says "wait", it says so in the file "waiting" and waits to be interrupted; at "die" it ends as if killed.
func fakeCompanion() {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	request, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = os.WriteFile(os.Getenv("COMPANION_REQUEST"), request, 0o600)
	}
	var answer *os.File
	if err == nil {
		answer, err = os.Open(os.Getenv("COMPANION_ANSWER"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	code := 0
	for lines := bufio.NewScanner(answer); lines.Scan(); {
		switch line := lines.Text(); {
		case line == "wait":
			if err := os.WriteFile("waiting", nil, 0o600); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			<-interrupts
		case line == "die":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		default:
			fmt.Println(line)
			if strings.HasPrefix(line, `{"type":"error"`) {
				code = 1
			}
		}
	}
	os.Exit(code)
}
