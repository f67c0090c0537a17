package cli

import (
	"os"
	"os/exec"
)

// On Windows a console's interrupt reaches all processes of the console by itself.
func ownGroup(*exec.Cmd) {}

func interruptGroup(*os.Process) {}
