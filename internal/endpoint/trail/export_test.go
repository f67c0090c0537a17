package trail

import (
	"context"
	"os"
)

// File is what a recorder needs of a segment's file.
type File = file

// WithFiles puts wrap between a recorder and its files.
func WithFiles(opts RecorderOptions, wrap func(File) File) RecorderOptions {
	opts.wrap = func(f *os.File) file { return wrap(f) }
	return opts
}

// Round is one round of Run.
func (s *Service) Round(ctx context.Context) error { return s.round(ctx, false) }
