package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/coverage"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object"
	"github.com/aitrail/aitrail/internal/query"
)

func (a *app) probeCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "probe [SOURCE…]",
		Short: "Make a marked AI call, and measure how long until it can be queried",
		Long: `Make an AI call that costs nothing and changes nothing (Bedrock's ListFoundationModels, with aitrail-probe in its user
agent), follow the sources, and tell when the call was answered, recorded (in CloudTrail's event history), delivered
(as a log file), collected, and can be queried among the calls. Without a source another collector must be following.

Credentials, Region and endpoint come from AWS's own settings. The permissions bedrock:ListFoundationModels and, to
see it recorded, cloudtrail:LookupEvents are used. A call that is refused is recorded too.

Exit code 3 when the call hasn't arrived in time; the last stage, and what coverage knows, tell why.`,
		Example: "  aitrail probe s3://my-trail-bucket/cloudtrail\n  aitrail probe --timeout 30m",
		RunE: func(c *cobra.Command, args []string) error {
			if timeout <= 0 {
				return usagef("--timeout takes a time above zero, as 15m")
			}
			return a.probe(c.Context(), args, timeout)
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 15*time.Minute, "give up after this `time`")
	return c
}

// The stages of a probe.
const (
	stageAnswered  = "answered"
	stageRecorded  = "recorded"
	stageDelivered = "delivered"
	stageCollected = "collected"
	stageQueryable = "queryable"
)

// probeReport is what a probe found.
type probeReport struct {
	Found     bool         `json:"found"` // among the calls, in time
	RequestID string       `json:"request_id"`
	Region    string       `json:"region"`
	Operation string       `json:"operation"`
	Mark      string       `json:"mark"` // in the user agent
	Stages    []probeStage `json:"stages"`
	Seconds   float64      `json:"seconds"`            // from the answer to the row in calls
	Coverage  string       `json:"coverage,omitempty"` // of such calls, where it wasn't found
}

// probeStage is a stage that a call has reached.
type probeStage struct {
	Stage   string    `json:"stage"`
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"` // since the answer
	Detail  string    `json:"detail,omitempty"`
}

// probing is one run of a probe.
type probing struct {
	*app
	lake   *lake.Lake
	call   collect.ProbeCall
	report probeReport
	asked  error // why the event history can't be asked; nil if it can
}

func (a *app) probe(ctx context.Context, sources []string, timeout time.Duration) error {
	dir, err := a.lakePath()
	if err != nil {
		return err
	}
	p := &probing{app: a}
	if p.lake, err = lake.Open(ctx, dir, lake.Options{Create: len(sources) > 0, Now: a.Now, Log: a.log()}); err != nil {
		return err
	}
	defer p.lake.Close()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	wait, stop, err := p.collecting(ctx, sources)
	if err != nil {
		return err
	}
	err = p.run(ctx)
	stop()
	if e := wait(); e != nil && err == nil {
		err = e
	}
	if err != nil && (!errors.Is(err, context.DeadlineExceeded) || len(p.report.Stages) == 0) {
		return err
	}
	return p.end(context.WithoutCancel(ctx), timeout)
}

// collecting follows the sources until stop is called, or the collector fails.
func (p *probing) collecting(ctx context.Context, sources []string) (wait func() error, stop func(), err error) {
	if len(sources) == 0 {
		return func() error { return nil }, func() {}, nil
	}
	opts := collect.Options{Log: p.log(), Now: p.Now, Settings: map[string]collect.Settings{}}
	for _, s := range sources {
		opts.Settings[s] = sourceSettings(s, nil)
	}
	follower, err := collect.NewFollower(p.lake, sources, opts)
	if err != nil {
		return nil, nil, err
	}
	if err := follower.Check(ctx); err != nil {
		return nil, nil, err
	}
	ctx, stop = context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- follower.Run(ctx) }()
	return func() error {
		err := <-done
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	}, stop, nil
}

// run makes the call and waits until it can be queried.
func (p *probing) run(ctx context.Context) error {
	p.report.Mark = fmt.Sprintf("%x", p.Now().UnixNano())
	var err error
	if p.call, err = collect.Probe(ctx, p.report.Mark, p.Now); err != nil {
		return err
	}
	p.report.RequestID, p.report.Region, p.report.Operation = p.call.RequestID, p.call.Region, collect.ProbeService+" "+collect.ProbeOperation
	detail := fmt.Sprintf("%s in %s, request %s", p.report.Operation, p.call.Region, p.call.RequestID)
	if p.call.Refused != "" {
		detail += ", refused: " + p.call.Refused
	}
	p.reached(stageAnswered, p.call.Answered, detail)
	const poll = 500 * time.Millisecond // LookupEvents may be called twice a second
	for recorded := false; ; {
		if !recorded && p.asked == nil {
			if recorded, p.asked = collect.Recorded(ctx, p.call); recorded {
				p.reached(stageRecorded, p.Now(), "in CloudTrail's event history")
			}
		}
		found, err := p.look(ctx)
		if err != nil || found {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
}

// reached notes a stage and says it.
func (p *probing) reached(stage string, at time.Time, detail string) {
	s := probeStage{Stage: stage, At: at.UTC(), Seconds: at.Sub(p.call.Answered).Seconds(), Detail: detail}
	p.report.Stages = append(p.report.Stages, s)
	if p.output == "table" {
		fmt.Fprintf(p.Stdout, "%-10s %8.1fs  %s\n", stage, s.Seconds, visible(detail))
	}
}

// look looks for the call in the lake.
func (p *probing) look(ctx context.Context) (found bool, err error) {
	db, err := query.Open(ctx, p.lake, query.Options{})
	if err != nil {
		return false, err
	}
	defer db.Close()
	rows, err := db.Calls(ctx, query.Filter{
		Since: p.call.Sent.Add(-time.Hour), Fields: map[string]string{"request_id": p.call.RequestID}, Columns: []string{"source_object", "event_id"},
	})
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	v := rows.Values()
	from, event := query.Text(v[0]), query.Text(v[1])
	now := p.Now()
	if at := modified(ctx, from); !at.IsZero() {
		p.reached(stageDelivered, at, from)
	}
	err = each(ctx, db, "SELECT max(collected_at) FROM log_files WHERE object = ?", func(v []any) {
		if at, ok := v[0].(time.Time); ok {
			p.reached(stageCollected, at, "in lake "+p.lake.Name())
		}
	}, from)
	p.reached(stageQueryable, now, "event "+event)
	p.report.Found, p.report.Seconds = true, now.Sub(p.call.Answered).Seconds()
	return true, err
}

// modified is when a log file was delivered; zero when its store can't tell.
func modified(ctx context.Context, url string) (at time.Time) {
	store, err := object.Open(ctx, strings.TrimPrefix(url, "file://"))
	if err != nil {
		return at
	}
	for info, err := range store.List(ctx, "", "") {
		if err == nil {
			at = info.Modified
		}
		break
	}
	return at
}

// end prints what was found, and decides how the command ends.
func (p *probing) end(ctx context.Context, timeout time.Duration) error {
	if !p.report.Found {
		if err := p.see(ctx); err != nil {
			p.log().Debug("CloudTrail was not asked about trails", "cause", err)
		}
		db, err := query.Open(ctx, p.lake, query.Options{})
		if err != nil {
			return err
		}
		defer db.Close()
		q := coverage.Question{Service: collect.ProbeService, Operation: collect.ProbeOperation, Region: p.call.Region, Since: p.call.Sent.Add(-time.Hour)}
		r, err := p.coverageOf(ctx, db, q)
		if err != nil {
			return err
		}
		p.report.Coverage = (&wording{report: r, question: q}).line()
	}
	switch p.output {
	case "json":
		text, err := json.Marshal(p.report)
		if err != nil {
			return err
		}
		if err := p.printJSON(text); err != nil {
			return err
		}
	case "csv":
		var rows [][]any
		for _, s := range p.report.Stages {
			rows = append(rows, []any{s.Stage, s.At, s.Seconds, s.Detail})
		}
		if err := p.print([]string{"stage", "at", "seconds", "detail"}, rows); err != nil {
			return err
		}
	}
	if p.asked != nil {
		fmt.Fprintf(p.Stderr, "whether it was recorded can't be told: %v\n", p.asked)
	}
	if p.report.Found {
		return nil
	}
	fmt.Fprintf(p.Stderr, "not in the lake after %s; it was %s. Of such calls in the last hour:\n%s\n", timeout,
		p.report.Stages[len(p.report.Stages)-1].Stage, p.report.Coverage)
	return errFound
}
