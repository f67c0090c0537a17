package cli

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/coverage"
	"github.com/aitrail/aitrail/internal/query"
)

// report prints the answers.
func (d *demonstration) report(ctx context.Context) error {
	return d.withDB(ctx, query.Options{}, func(db *query.DB) error {
		counts, err := d.count(ctx, db)
		if err != nil {
			return err
		}
		s, err := db.Summary(ctx, query.Filter{})
		if err != nil {
			return err
		}
		events, err := db.CountEvents(ctx, query.Filter{})
		if err != nil {
			return err
		}
		fmt.Fprintf(d.Stdout, "\n%s\n\n", d.bold(fmt.Sprintf("%s AI calls, %s denied", thousands(s.Calls), thousands(s.Denied))))
		fmt.Fprintln(d.Stdout, d.beside(groupTable("service", s.ByService), groupTable("actor", s.ByActor)))
		fmt.Fprintln(d.Stdout, d.beside(modelTable(s.ByModel), groupTable("Region", s.ByRegion), groupTable("outcome", s.ByOutcome)))
		if err := errors.Join(d.section(ctx, db, "Denied, in all services", denied), d.section(ctx, db, "Changed, in all services", changed)); err != nil {
			return err
		}
		covered, err := d.coverageOf(ctx, db, coverage.Question{Until: d.provenUntil()})
		if err != nil {
			return err
		}
		line := (&wording{report: covered}).line()
		fmt.Fprintf(d.Stdout, "%s  %s\n", d.bold("Cover"), strings.TrimPrefix(line, "coverage "))
		fmt.Fprintf(d.Stdout, "%s  %s\n", d.bold("Proof"), verdictLine(d.proof))
		fmt.Fprintf(d.Stdout, "%s  made %d = recorded %d = delivered %d = collected %d, by request id (%s events in the lake, stream ends and the set-up's own with them)\n",
			d.bold("Calls"), counts.made, counts.recorded, counts.delivered, counts.collected, thousands(events))
		fmt.Fprintf(d.Stdout, "\nIn %s, kept in %s. Go on with:\n%s\n", time.Since(d.begun).Round(100*time.Millisecond), d.dir, d.next())
		if !counts.equal() || !d.proof.Holds() {
			return fmt.Errorf("the demo's calls were not all found again, or the files do not hold: %+v", counts)
		}
		return nil
	})
}

// provenUntil is when the first of the newest digests of all chains ended.
func (d *demonstration) provenUntil() time.Time {
	var until time.Time
	for _, c := range d.proof.Chains {
		if until.IsZero() || c.To.Before(until) {
			until = c.To
		}
	}
	return until
}

// bold is for headings on a terminal.
func (d *demonstration) bold(s string) string {
	if isTerminal(d.Stdout) && d.Getenv("NO_COLOR") == "" {
		return text.Bold.Sprint(s)
	}
	return s
}

func newTable(header ...any) table.Writer {
	t := table.NewWriter()
	t.SetStyle(tableStyle())
	t.AppendHeader(header)
	return t
}

// groupTable lists groups with their calls and those that failed.
func groupTable(name string, groups []query.Group) string {
	t := newTable(name, "calls", "failed")
	for _, g := range groups {
		t.AppendRow(table.Row{visible(g.Name), thousands(g.Calls), orBlank(g.Failed)})
	}
	t.SetColumnConfigs(rightFrom(2, 3))
	return t.Render()
}

// modelTable lists models with their tokens.
func modelTable(groups []query.Group) string {
	t := newTable("model", "calls", "tokens in", "out")
	for _, g := range groups {
		t.AppendRow(table.Row{visible(g.Name), thousands(g.Calls), orBlank(g.InputTokens), orBlank(g.OutputTokens)})
	}
	t.SetColumnConfigs(rightFrom(2, 4))
	return t.Render()
}

// denied lists what was refused for want of permission, AI services' calls and all others.
const denied = `SELECT actor, split_part(eventSource, '.', 1) AS service, eventName AS operation,
		string_agg(DISTINCT awsRegion, ' ' ORDER BY awsRegion) AS regions, count(*) AS calls
	FROM events WHERE outcome = 'denied' GROUP BY 1, 2, 3 ORDER BY 5 DESC, 1, 2, 3`

// changed lists what was changed, in AI services and in what stands around them.
const changed = `SELECT actor, client, service, string_agg(operation || CASE WHEN n > 1 THEN ' ×' || n ELSE '' END, ', ' ORDER BY operation) AS operations
	FROM (SELECT actor, client, split_part(eventSource, '.', 1) AS service, eventName AS operation, count(*) AS n
		FROM events WHERE NOT readOnly AND outcome = 'ok' AND eventType = 'AwsApiCall' AND eventSource <> 'sts.amazonaws.com'
			AND coalesce(operation_class, 'configuration') IN ('configuration', 'access')
		GROUP BY ALL) GROUP BY ALL ORDER BY 1, 3`

// section prints a query's answer under a heading.
func (d *demonstration) section(ctx context.Context, db *query.DB, heading, sql string) error {
	r, err := db.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer r.Close()
	fmt.Fprintln(d.Stdout, d.bold(heading))
	if err := d.printer().print(r); err != nil {
		return err
	}
	fmt.Fprintln(d.Stdout)
	return nil
}

func rightFrom(from, to int) []table.ColumnConfig {
	var configs []table.ColumnConfig
	for n := from; n <= to; n++ {
		configs = append(configs, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return configs
}

func orBlank(n int64) string {
	if n == 0 {
		return ""
	}
	return thousands(n)
}

// beside sets blocks side by side as far as the terminal is wide.
func (d *demonstration) beside(blocks ...string) string { return beside(d.printer().width, blocks...) }

// beside sets blocks of text side by side, as many as fit into a width, and the others below; 0 is no limit.
func beside(width int, blocks ...string) string {
	var rows, row []string
	used := 0
	for _, block := range blocks {
		w := blockWidth(block)
		if len(row) > 0 && width > 0 && used+w > width {
			rows, row, used = append(rows, joined(row)), nil, 0
		}
		row = append(row, block)
		used += w + blockGap
	}
	return strings.Join(append(rows, joined(row)), "\n")
}

const blockGap = 3 // spaces between blocks

// joined sets blocks side by side.
func joined(blocks []string) string {
	height := 0
	for _, b := range blocks {
		height = max(height, strings.Count(b, "\n")+1)
	}
	lines := make([]string, height)
	for _, b := range blocks {
		width, block := blockWidth(b)+blockGap, strings.Split(b, "\n")
		for i := range lines {
			cell := ""
			if i < len(block) {
				cell = block[i]
			}
			lines[i] += text.Pad(cell, width, ' ')
		}
	}
	return trimmed(strings.Join(lines, "\n")) + "\n"
}

// blockWidth is the width of a block's widest line, without the spaces at its end.
func blockWidth(block string) int {
	width := 0
	for l := range strings.Lines(block) {
		width = max(width, text.StringWidth(strings.TrimRight(l, " \n")))
	}
	return width
}

// events hands on the events of a log file in the source.
func (s *storeSource) events(ctx context.Context, key string, event func(*cloudtrail.Event)) error {
	body, _, err := s.Open(ctx, s.bucket, key)
	if err != nil {
		return err
	}
	defer body.Close()
	plain, err := gzip.NewReader(body)
	if err != nil {
		return err
	}
	r := cloudtrail.NewReader(plain)
	for {
		var e cloudtrail.Event
		switch err := r.Next(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		event(&e)
	}
}
