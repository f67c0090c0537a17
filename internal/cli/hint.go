package cli

import (
	"errors"
	"os"
	"syscall"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object"
	"github.com/aitrail/aitrail/internal/query"
)

// hints say what to do next about an error, first match first.
var hints = []struct {
	is   func(error) bool
	hint string
}{
	{is(lake.ErrNoLake), "collect log files first: aitrail collect FOLDER|s3://BUCKET/PREFIX (or give the lake's folder with --lake)"},
	{as[*lake.VersionError], "the lake was written by a newer aitrail: install that one, or collect into another folder with --lake"},
	{is(collect.ErrNoLogFiles), "name a folder, file or s3://bucket/prefix with CloudTrail's .json.gz or .json log files in it"},
	{is(syscall.ENOSPC), "free some space, or put the lake on another disk with --lake; what was committed is safe, and the same command goes on from there"},
	{is(syscall.EADDRINUSE), "another program listens there: choose another address with --addr, 127.0.0.1:0 takes any free port"},
	{is(object.ErrNotExist), "check the name; for s3:// sources also the Region and endpoint (AWS_ENDPOINT_URL) that are set"},
	{is(os.ErrPermission), "check who owns the folder"},
	{is(query.ErrTimeout), "give the query more time with --timeout, or have it read less: WHERE eventTime > now() - INTERVAL 1 DAY"},
	{as[*query.Error], "aitrail query 'DESCRIBE events' shows the columns; views are events, calls and log_files"},
	{as[usageError], "aitrail help shows the commands, aitrail COMMAND --help its flags"},
}

func hint(err error) string {
	for _, h := range hints {
		if h.is(err) {
			return h.hint
		}
	}
	return ""
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}
