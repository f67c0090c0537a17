package collect

import (
	"context"

	"github.com/aitrail/aitrail/internal/object"
)

type stubfeed struct{ base }

func (stubfeed) open(context.Context) (object.Store, error) { return nil, nil }
func (stubfeed) once(context.Context) error                 { return nil }
func (stubfeed) follow(context.Context) error               { return nil }
func (stubfeed) close(context.Context) error                { return nil }
func newQueue(b base, _ string) (feed, error)               { return stubfeed{b}, nil }
func newGroup(b base, _ string) (feed, error)               { return stubfeed{b}, nil }
func newHistory(b base, _ string) (feed, error)             { return stubfeed{b}, nil }
