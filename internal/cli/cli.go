// Package cli is aitrail's commands. It is the only package that prints: stdout holds what was asked for, stderr all
// the rest (progress, warnings, errors with their hints).
//
// Exit codes: 0 done; 1 could not do it; 2 wrong command line; 3 done, and something was found (tampering, findings,
// drift); 130 interrupted. A verdict is data and decides the exit code through errFound; an error means that no verdict could be reached.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// World is all that a command sees of the world around it.
type World struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time
}

// errUnknown ends a command that could not look at everything, and found nothing in the rest.
var errUnknown = errors.New("not everything could be looked at")

// errFound ends a command that did its work and found something.
var errFound = errors.New("something was found")

// usageError is a wrong command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Main runs one command and returns its exit code.
func Main(args []string, w World) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{World: w}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(w.Stdin)
	root.SetOut(w.Stdout)
	root.SetErr(w.Stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return 3
	case ctx.Err() != nil:
		fmt.Fprintln(w.Stderr, "interrupted")
		return 130
	}
	fmt.Fprintf(w.Stderr, "error: %s\n", strings.TrimSpace(err.Error()))
	if h := hint(err); h != "" {
		fmt.Fprintf(w.Stderr, "hint: %s\n", h)
	}
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// app holds the world and the flags that all commands share.
type app struct {
	World
	lakeDir string
	output  string
	verbose bool
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "aitrail",
		Short: "Who called which AI service in your AWS accounts, with proof",
		Long: `aitrail answers, with proof, who called which AI service in an AWS account, with which model, from where, what came
back, and what was changed around it. AWS CloudTrail is where those calls are written down.

  aitrail demo                    the whole way on a local endpoint, then the answers
  aitrail collect FOLDER|s3://…   log files into the lake
  aitrail calls                   AI calls in the lake`,
		SilenceErrors: true, SilenceUsage: true,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&a.lakeDir, "lake", "", "the lake's `folder`, s3://bucket/prefix, glue://database or rest+https://host/path?namespace=name (default $AITRAIL_LAKE, else aitrail/lake in the user's data folder)")
	f.StringVarP(&a.output, "output", "o", "table", "`format` of what is printed: table, json or csv")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log what is done, on stderr")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		switch a.output {
		case "table", "json", "csv":
			return nil
		}
		return usagef("unknown output format %q: table, json and csv are known", a.output)
	}
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Without an AWS account:", []*cobra.Command{a.demoCommand(), a.localCommand()}},
		{"Set up:", []*cobra.Command{a.upCommand(), a.previewCommand(), a.downCommand(), a.outputsCommand(), a.doctorCommand(), a.templateCommand()}},
		{"Collect:", []*cobra.Command{a.collectCommand(), a.daemonCommand(), a.maintainCommand(), a.statusCommand(), a.probeCommand()}},
		{"Ask:", []*cobra.Command{a.callsCommand(), a.eventsCommand(), a.queryCommand(), a.servicesCommand()}},
		{"Prove:", []*cobra.Command{a.coverageCommand(), a.verifyCommand(), a.exportCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.title
		}
		root.AddCommand(g.commands...)
	}
	root.AddCommand(a.versionCommand())
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SuggestionsMinimumDistance = 2
	root.Version = version()
	root.SetVersionTemplate("aitrail {{.Version}}\n")
	return root
}

// noArgs and exactArgs are cobra's, as usage errors.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.HasSubCommands() {
		msg := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
		if s := c.SuggestionsFor(args[0]); len(s) > 0 {
			msg += fmt.Sprintf("; did you mean %q?", s[0])
		}
		return usagef("%s", msg)
	}
	return usagef("%s takes no arguments, got %q", c.CommandPath(), args)
}

func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s takes %s, got %d arguments", c.CommandPath(), what, len(args))
		}
		return nil
	}
}

// log returns the commands' logger: warnings, and with --verbose everything.
func (a *app) log() *slog.Logger { return a.logFrom(slog.LevelWarn, false) }

// logFrom returns a logger of a level; with --verbose of everything.
func (a *app) logFrom(level slog.Level, asJSON bool) *slog.Logger {
	if a.verbose {
		level = slog.LevelDebug
	}
	opts := &slog.HandlerOptions{Level: level}
	if asJSON {
		return slog.New(slog.NewJSONHandler(a.Stderr, opts))
	}
	return slog.New(slog.NewTextHandler(a.Stderr, opts))
}

// lakePath returns the folder of the lake, or its URL.
func (a *app) lakePath() (string, error) {
	if a.lakeDir != "" {
		return a.lakeDir, nil
	}
	if dir := a.Getenv("AITRAIL_LAKE"); dir != "" {
		return dir, nil
	}
	data, err := a.dataDir()
	if err != nil {
		return "", fmt.Errorf("%w: give --lake or set AITRAIL_LAKE", err)
	}
	return filepath.Join(data, "lake"), nil
}

// dataDir is aitrail's folder in the user's data folder.
func (a *app) dataDir() (string, error) {
	if data := a.Getenv("XDG_DATA_HOME"); data != "" {
		return filepath.Join(data, "aitrail"), nil
	}
	if home := a.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "share", "aitrail"), nil
	}
	return "", usagef("HOME is not set: there is no home folder to keep things in")
}

// cacheDir returns the folder for files of lakes in buckets; "" for the user's.
func (a *app) cacheDir() string {
	if dir := a.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "aitrail")
	}
	if home := a.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".cache", "aitrail")
	}
	return ""
}

// print writes rows to stdout in the chosen format.
func (a *app) printer() *printer { return newPrinter(a.Stdout, a.output) }

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.output != "table" {
				return a.print([]string{"version", "go"}, [][]any{{moduleVersion(), runtime.Version()}})
			}
			_, err := fmt.Fprintf(a.Stdout, "aitrail %s\n", version())
			return err
		},
	}
}

// version is that of the module and of Go, as the build knows them.
func version() string { return moduleVersion() + " (" + runtime.Version() + ")" }

func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
