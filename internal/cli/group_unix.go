//go:build !windows

package cli

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup has the command start in a process group of its own, which a terminal's interrupt doesn't reach.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// interruptGroup interrupts the process and those it started.
func interruptGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGINT) }
