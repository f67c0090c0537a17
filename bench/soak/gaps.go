package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/coverage"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint/fault"
)

// settleRounds of delivery without faults bring late files and a sound digest after the last missing one.
const settleRounds = 5

// gap is a file or digest that a fault struck so that verification must report it.
type gap struct {
	fault    fault.Name
	key      string    // in the trail's bucket
	from, to time.Time // that it is about
	hides    []string  // of a missing digest: the log files that it would have named
}

// gaps learns from the endpoint's log what it left out or altered.
type gaps struct {
	mu     sync.Mutex
	struck map[string]gap // by fault and key
}

func (g *gaps) Enabled(context.Context, slog.Level) bool { return true }
func (g *gaps) WithAttrs([]slog.Attr) slog.Handler       { return g }
func (g *gaps) WithGroup(string) slog.Handler            { return g }

func (g *gaps) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "fault struck" {
		return nil
	}
	var s gap
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "fault":
			s.fault = fault.Name(a.Value.String())
		case "key":
			s.key = a.Value.String()
		case "from":
			s.from = a.Value.Time()
		case "to":
			s.to = a.Value.Time()
		case "names":
			s.hides, _ = a.Value.Any().([]string)
		}
		return true
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.struck == nil {
		g.struck = map[string]gap{}
	}
	g.struck[string(s.fault)+" "+s.key] = s
	return nil
}

// list returns what must be reported: an altered file that was left out altogether is a missing one.
func (g *gaps) list() []gap {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []gap
	for _, s := range g.struck {
		switch s.fault {
		case fault.AlteredFile:
			if _, missing := g.struck[string(fault.MissingFile)+" "+s.key]; missing {
				continue
			}
		case fault.MissingFile, fault.MissingDigest:
		default:
			continue
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b gap) int { return strings.Compare(a.key, b.key) })
	return list
}

// count counts gaps by their faults, in words.
func count(list []gap) string {
	by := map[fault.Name]int{}
	for _, g := range list {
		by[g.fault]++
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		words = append(words, fmt.Sprintf("%d %s", by[name], name))
	}
	return strings.Join(words, ", ")
}

// unreported returns what aitrail verify or aitrail coverage doesn't tell of the gaps: each must be named by a finding of
// its kind, and the time that it is about must be a gap in the coverage of its Region. A log file that a missing digest would
// have named is hidden behind that one.
func unreported(ctx context.Context, o options, env []string, source string, list []gap) ([]string, error) {
	var verified struct{ Findings []digest.Finding }
	var covered coverage.Report
	if err := ask(ctx, o, env, &verified, "verify", "--full", source); err != nil {
		return nil, err
	}
	if err := ask(ctx, o, env, &covered, "coverage"); err != nil {
		return nil, err
	}
	var lost []string
	for _, g := range list {
		key, ok := cloudtrail.ParseKey(g.key)
		if !ok {
			return nil, fmt.Errorf("%q is no key of a log file or digest", g.key)
		}
		switch {
		case !slices.ContainsFunc(verified.Findings, func(f digest.Finding) bool { return g.names(f, key) }):
			behind := func(d gap) bool { return slices.Contains(d.hides, g.key) }
			if !slices.ContainsFunc(list, behind) {
				lost = append(lost, fmt.Sprintf("%s %s is in no finding", g.fault, g.key))
			}
		case !g.covers(&covered, key.Region):
			lost = append(lost, fmt.Sprintf("%s %s, from %s to %s, is no gap of coverage, which says %s", g.fault, g.key, g.from, g.to, g.said(&covered, key.Region)))
		}
	}
	return lost, nil
}

// names tells whether a finding is the gap's.
func (g gap) names(f digest.Finding, key cloudtrail.Key) bool {
	switch g.fault {
	case fault.MissingFile:
		return f.Kind == digest.LogFileMissing && strings.HasSuffix(g.key, f.Key)
	case fault.AlteredFile:
		return f.Kind == digest.LogFileAltered && strings.HasSuffix(g.key, f.Key)
	}
	return f.Kind == digest.DigestMissing && f.Region == key.Region && key.Time.After(f.From) && !key.Time.After(f.To)
}

// covers tells whether coverage has gaps in a Region for all of the gap's time. The time around a missing digest may be
// unknown: the endpoint's digests come some seconds more or less than a period after one another.
func (g gap) covers(r *coverage.Report, region string) bool {
	from := g.from.Truncate(time.Second)
	for _, p := range r.Places {
		for _, s := range p.Spans {
			open := s.State == coverage.Gap || s.State == coverage.Unknown && g.fault == fault.MissingDigest
			if p.Region == region && open && !s.From.After(from) && s.To.After(from) {
				from = s.To
			}
		}
	}
	return from.After(g.to) || from.Equal(g.to) && from.After(g.from)
}

// said is what coverage says of the gap's time.
func (g gap) said(r *coverage.Report, region string) string {
	var said []string
	for _, p := range r.Places {
		for _, s := range p.Spans {
			if p.Region == region && !s.From.After(g.to) && s.To.After(g.from.Add(-time.Second)) {
				said = append(said, fmt.Sprintf("%s from %s to %s", s.State, s.From.Format(time.TimeOnly), s.To.Format(time.TimeOnly)))
			}
		}
	}
	return strings.Join(said, ", ")
}

// ask runs a command of aitrail and reads its JSON.
func ask(ctx context.Context, o options, env []string, into any, args ...string) error {
	cmd := exec.CommandContext(ctx, self(), append(args, "-o", "json", "--lake", filepath.Join(o.dir, "lake"))...)
	cmd.Env = env
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 3) {
		return fmt.Errorf("aitrail %s: %w: %s", args[0], err, exit.Stderr)
	}
	return json.Unmarshal(out, into)
}
