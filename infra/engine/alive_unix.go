//go:build !windows

package engine

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// alive tells whether there is a process of the id. One that is dead, and only its parent doesn't know, is not.
func alive(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat") // Linux: PID (NAME) STATE …
	if err != nil {
		return true
	}
	_, rest, ok := strings.Cut(string(stat), ") ")
	return !ok || !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}
