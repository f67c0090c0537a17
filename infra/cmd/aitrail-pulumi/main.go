// Command aitrail-pulumi is aitrail's companion that drives the Pulumi engine. aitrail starts it; what they say to each
// other is in the package companion. docs/pulumi.md says how to get it.
package main

import (
	"fmt"
	"os"

	"github.com/aitrail/aitrail/infra/engine"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "aitrail-pulumi is started by aitrail up, preview, down and outputs; it takes no arguments")
		os.Exit(2)
	}
	os.Exit(engine.Main(os.Stdin, os.Stdout, os.Getenv))
}
