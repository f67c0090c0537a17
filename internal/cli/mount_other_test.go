//go:build !linux

package cli_test

import "errors"

func canMount() bool { return false }

func mountSmall(dir, size string) error { return errors.ErrUnsupported }

func unmount(dir string) error { return errors.ErrUnsupported }
