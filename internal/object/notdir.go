package object

import (
	"errors"
	"fmt"
	"syscall"
)

// notDir turns "a/b: not a directory", which says that a is a file, into ErrNotExist.
func notDir(err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: %w", ErrNotExist, err)
	}
	return err
}
