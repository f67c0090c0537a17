package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/lake"
)

// saidFindings is how many findings collect says; verify says all.
const saidFindings = 10

// verification is what is known of a source after collecting from it.
type verification struct {
	Source string         `json:"source"`
	Error  string         `json:"error,omitempty"` // why no verdict was reached
	Report *digest.Report `json:"report,omitempty"`
}

// verifyCollected gives the log files of sources with digests their verdicts. That no verdict could be reached is no
// error: what was collected is in the lake, and a later run or `aitrail verify` settles it.
func (a *app) verifyCollected(ctx context.Context, l *lake.Lake, r collect.Report, p proving) ([]verification, error) {
	var list []verification
	for _, s := range r.Sources {
		a.seeNow(ctx, s.Source)
		if s.Digests == 0 && !a.verifiedBefore(ctx, s.Source) {
			continue
		}
		report, err := a.prove(ctx, s.Source, l, p)
		if ctx.Err() != nil {
			return list, ctx.Err()
		}
		v := verification{Source: s.Source, Report: report}
		if err != nil {
			v.Error = err.Error()
			fmt.Fprintf(a.Stderr, "not verified: %s: %v\n", s.Source, err)
		}
		list = append(list, v)
	}
	return list, nil
}

// verifiedBefore tells whether there is a checkpoint of the source.
func (a *app) verifiedBefore(ctx context.Context, source string) bool {
	points, err := a.checkpoints()
	if err != nil || points == nil {
		return false
	}
	src, prefix, err := verifySource(ctx, source)
	return err == nil && points.saved.Sources[src.store.URL(prefix)] != nil
}

// printVerifications says in a line what each verification found, and on stderr what does not hold. It returns
// errFound when something doesn't.
func (a *app) printVerifications(list []verification) error {
	var found error
	for _, v := range list {
		if v.Report == nil {
			continue
		}
		if a.output != "json" {
			if _, err := fmt.Fprintln(a.Stdout, verdictLine(v.Report)); err != nil {
				return err
			}
		}
		if v.Report.Holds() {
			continue
		}
		found = errFound
		n := 0
		for _, f := range v.Report.Findings {
			if f.Severity != digest.SeverityFinding {
				continue
			}
			if n++; n <= saidFindings {
				fmt.Fprintf(a.Stderr, "%s: %s: %s\n", f.Kind, visible(f.Key), visible(f.Detail))
			}
		}
		if n > saidFindings {
			fmt.Fprintf(a.Stderr, "and %s more: aitrail verify %s\n", thousands(int64(n-saidFindings)), v.Source)
		}
	}
	return found
}

// printCollected writes the report as JSON, with what was verified.
func (a *app) printCollected(r collect.Report, list []verification) error {
	e := json.NewEncoder(a.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		collect.Report
		Verification []verification `json:"verification"`
	}{r, append([]verification{}, list...)})
}
