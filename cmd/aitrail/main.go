// Command aitrail answers, with proof, who called which AI service in an AWS account.
package main

import (
	"os"
	"time"

	"github.com/aitrail/aitrail/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.World{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now,
	}))
}
