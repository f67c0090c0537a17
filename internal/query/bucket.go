package query

import (
	"context"
	"slices"

	"github.com/aitrail/aitrail/internal/lake"
)

// Fetcher brings data files to where DuckDB can read them: what Tables of a lake in a bucket have to be too. *lake.Lake
// is one. Fetch may be called for files that are there already.
type Fetcher interface {
	Fetch(ctx context.Context, files []lake.DataFile) error
}

// inBucket tells whether some file isn't where DuckDB can read it.
func inBucket(snapshots ...lake.Snapshot) bool {
	return slices.ContainsFunc(snapshots, func(s lake.Snapshot) bool {
		return slices.ContainsFunc(s.Files, func(f lake.DataFile) bool { return f.Local != f.Path })
	})
}

// fetch fetches what a view is made of for a demand.
func (db *DB) fetch(ctx context.Context, view string, d *demand) error {
	if db.fetcher == nil || d.typesOnly {
		return nil
	}
	var files []lake.DataFile
	switch view {
	case "calls":
		files = slices.Concat(d.chosen(db.events.Files), d.around().chosen(db.events.Files))
		if d.invocations {
			files = append(files, d.around().chosen(db.invocations.Files)...)
		}
	case "invocations":
		files = d.chosen(db.invocations.Files)
	case "digests":
		files = db.digests.Files
	case "log_files":
	default:
		files = d.chosen(db.events.Files)
	}
	if view == "log_files" || view != "invocations" && d.verdict {
		files = append(slices.Clone(files), db.logFiles.Files...)
	}
	return db.fetcher.Fetch(ctx, files)
}
