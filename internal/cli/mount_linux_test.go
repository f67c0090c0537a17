package cli_test

import (
	"os"
	"syscall"
)

// canMount says whether this process may mount file systems.
func canMount() bool {
	dir, err := os.MkdirTemp("", "aitrail-mount")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	if err := mountSmall(dir, "65536"); err != nil {
		return false
	}
	return unmount(dir) == nil
}

func mountSmall(dir, size string) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size)
}

func unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
