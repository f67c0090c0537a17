// Command infra is the Pulumi project of the set-up: pulumi up runs it as it is. See docs/pulumi.md.
package main

import (
	"github.com/aitrail/aitrail/infra/program"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func main() { pulumi.Run(program.Configured) }
