package engine_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/aitrail/aitrail/infra/engine"
)

// ownGroup puts the companion and all that it starts into a process group.
func ownGroup(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.Process.Pid, s) }

// kill ends the companion and pulumi at once, and returns when both are no more.
func (p *process) kill(w *world) {
	w.t.Helper()
	locks, err := filepath.Glob(filepath.Join(w.dir, "state", ".pulumi", "locks", "organization", "aitrail", "*", "*.json"))
	if err != nil || len(locks) != 1 {
		w.t.Fatalf("locks: %v, %v", locks, err)
	}
	text, err := os.ReadFile(locks[0])
	if err != nil {
		w.t.Fatal(err)
	}
	var lock struct{ PID int }
	if err := json.Unmarshal(text, &lock); err != nil {
		w.t.Fatal(err)
	}
	p.signal(syscall.SIGKILL)
	_ = p.wait()
	for engine.Alive(lock.PID) { // pulumi is not this process's child, so it can't be waited for
		runtime.Gosched()
	}
}
