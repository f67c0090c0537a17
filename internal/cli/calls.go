package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/query"
)

// outcomes are the values of a call's outcome.
var outcomes = []string{"ok", "denied", "throttled", "invalid", "error"}

// filterFlags are the flags by which calls and events are chosen.
type filterFlags struct {
	query.Filter
	since, until string
}

func (f *filterFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.Service, "service", "", "AI `service`, as aitrail services lists them")
	flags.StringVar(&f.Model, "model", "", "`model` id; * stands for any characters, here and below")
	flags.StringVar(&f.Actor, "actor", "", "`who` called")
	flags.StringVar(&f.Region, "region", "", "AWS `Region` that was called")
	flags.StringVar(&f.Account, "account", "", "AWS `account`")
	flags.StringVar(&f.Operation, "operation", "", "API `operation`")
	flags.StringVar(&f.Outcome, "outcome", "", "`outcome`: "+strings.Join(outcomes, ", "))
	flags.StringVar(&f.since, "since", "", "from this `time`: 2026-11-23, 2026-11-23T07:30:00Z, or 36h, 7d ago")
	flags.StringVar(&f.until, "until", "", "before this `time`")
	flags.StringSliceVar(&f.Columns, "columns", nil, "`columns` to show, as columns or paths like requestParameters.modelId; * is all")
	flags.IntVar(&f.Limit, "limit", 50, "show at most `n`, the newest; 0 is all")
	_ = c.RegisterFlagCompletionFunc("service", cobra.FixedCompletions(serviceKeys(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	_ = c.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions(outcomes, cobra.ShellCompDirectiveNoFileComp))
}

// filter checks the flags and takes field=value arguments.
func (f *filterFlags) filter(a *app, fields []string) (query.Filter, error) {
	if f.Service != "" {
		if _, err := service(f.Service); err != nil {
			return f.Filter, err
		}
	}
	if f.Outcome != "" && !slices.Contains(outcomes, f.Outcome) {
		return f.Filter, usagef("unknown outcome %q: it is one of %s", f.Outcome, strings.Join(outcomes, ", "))
	}
	if f.Limit < 0 {
		return f.Filter, usagef("--limit %d is below zero", f.Limit)
	}
	var err error
	if f.Since, err = a.parseTime("--since", f.since); err != nil {
		return f.Filter, err
	}
	if f.Until, err = a.parseTime("--until", f.until); err != nil {
		return f.Filter, err
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return f.Filter, usagef("--until %s is not after --since %s", f.until, f.since)
	}
	f.Fields = map[string]string{}
	for _, arg := range fields {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return f.Filter, usagef("%q is not field=value, as in errorCode=AccessDenied or requestParameters.modelId=amazon.nova-lite-v1:0", arg)
		}
		f.Fields[name] = value
	}
	return f.Filter, nil
}

func (a *app) callsCommand() *cobra.Command {
	var f filterFlags
	c := &cobra.Command{
		Use:   "calls [FIELD=VALUE…]",
		Short: "List AI calls: who called which AI service, with which model, and what came back",
		Long: `List the AI calls in the lake, the newest first, one row a call: the two records of a streaming call and the copies that
several selectors bring are one. FIELD=VALUE chooses by any further column or path.`,
		Example: "  aitrail calls --service bedrock --outcome denied --since 7d\n  aitrail calls --actor 'support-app/*' --columns time,model_id,input_tokens,output_tokens\n  aitrail calls client=terraform -o json",
		RunE: func(c *cobra.Command, args []string) error {
			return a.list(c.Context(), &f, args, "AI calls", (*query.DB).Calls, (*query.DB).CountCalls, a.sayCoverage)
		},
	}
	f.add(c)
	return c
}

func (a *app) eventsCommand() *cobra.Command {
	var f filterFlags
	c := &cobra.Command{
		Use:   "events [FIELD=VALUE…]",
		Short: "List events of all services, or show one whole",
		Long:  `List the events in the lake, the newest first, of AI services and all others. FIELD=VALUE chooses by any column, or path into one.`,
		Example: "  aitrail events eventSource=iam.amazonaws.com readOnly=false\n  aitrail events errorCode=AccessDenied --since 24h" +
			"\n  aitrail events show 51d580ea-04f5-421c-b733-b5e4ec485a6e",
		RunE: func(c *cobra.Command, args []string) error {
			return a.list(c.Context(), &f, args, "events", (*query.DB).Events, (*query.DB).CountEvents, nil)
		},
	}
	f.add(c)
	c.AddCommand(a.showCommand())
	return c
}

// list prints rows of a ready-made question, and on stderr of how many they are the newest, and what else bears on them.
func (a *app) list(ctx context.Context, f *filterFlags, args []string, what string,
	rows func(*query.DB, context.Context, query.Filter) (*query.Rows, error),
	count func(*query.DB, context.Context, query.Filter) (int64, error),
	after func(context.Context, *query.DB, query.Filter, int64) error) error {
	filter, err := f.filter(a, args)
	if err != nil {
		return err
	}
	return a.withDB(ctx, query.Options{}, func(db *query.DB) error {
		r, err := rows(db, ctx, filter)
		var bad *query.Error
		if errors.As(err, &bad) && (bad.Kind == query.Unknown || bad.Kind == query.Invalid) {
			return fieldError{usageError{err}, strings.TrimPrefix(what, "AI ")}
		}
		if err != nil {
			return err
		}
		defer r.Close()
		if err := a.printer().print(r); err != nil {
			return err
		}
		n, err := count(db, ctx, filter)
		if err != nil {
			return err
		}
		if filter.Limit > 0 && n > int64(filter.Limit) {
			fmt.Fprintf(a.Stderr, "%s of %s %s; --limit 0 shows all\n", thousands(int64(filter.Limit)), thousands(n), what)
		} else if n == 0 {
			fmt.Fprintf(a.Stderr, "no %s; aitrail status shows what has been collected\n", what)
		}
		if after == nil {
			return nil
		}
		return after(ctx, db, filter, n)
	})
}

// fieldError is a column, or a field or its value, that isn't what a view has.
type fieldError struct {
	usageError
	view string
}

func (e fieldError) Unwrap() error { return e.usageError }

// sayCoverage ends an answer about calls: how far what was found can be all there was.
func (a *app) sayCoverage(ctx context.Context, db *query.DB, f query.Filter, found int64) error {
	q := questionOf(f)
	r, err := a.coverageOf(ctx, db, q)
	if err != nil {
		return err
	}
	if found == 0 && r.Covered < 1 {
		fmt.Fprintln(a.Stderr, "that none are in the lake is no proof that there were none:")
	}
	_, err = fmt.Fprintln(a.Stderr, (&wording{report: r, question: q}).line())
	return err
}

// withDB opens the lake for queries.
func (a *app) withDB(ctx context.Context, opts query.Options, f func(*query.DB) error) error {
	l, err := a.openLake(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	db, err := query.Open(ctx, l, opts)
	if err != nil {
		return err
	}
	defer db.Close()
	return f(db)
}

func (a *app) queryCommand() *cobra.Command {
	var opts query.Options
	c := &cobra.Command{
		Use:   "query SQL",
		Short: "Answer a SELECT over the views calls, events, invocations, log_files and digests",
		Long: `Run one reading SQL statement (DuckDB's SQL) over the lake. Views: events (every event, CloudTrail's columns and the
normal form), calls (AI calls, one row a call), invocations (of model invocation logs), log_files (what was collected, with
digest verdicts), digests (and the log files each names). DESCRIBE calls shows a view's columns. SQL can't write, and can't reach files or the network.`,
		Example: "  aitrail query 'SELECT actor, model_id, count(*) FROM calls GROUP BY ALL ORDER BY 3 DESC'\n  aitrail query 'DESCRIBE events'",
		Args:    exactArgs(1, "one SQL statement"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withDB(c.Context(), opts, func(db *query.DB) error {
				rows, err := db.Query(c.Context(), args[0])
				if err != nil {
					return err
				}
				defer rows.Close()
				return a.printer().print(rows)
			})
		},
	}
	c.Flags().DurationVar(&opts.Timeout, "timeout", time.Minute, "give up after this `time`")
	return c
}
