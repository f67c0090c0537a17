package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/daemon"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/lake"
)

func (a *app) daemonCommand() *cobra.Command {
	var file string
	var check bool
	c := &cobra.Command{
		Use:   "daemon --config FILE",
		Short: "Keep the lake up to date, from a configuration file",
		Long: `Follow the sources of a configuration file until stopped (SIGTERM, SIGINT): collect what comes, read back what is old,
verify it against its digests, and maintain the lake. Any number of daemons may share a queue and a lake.

The file is YAML; docs/daemon.md describes it. The shortest one:

  sources:
    - s3://my-trail-bucket/cloudtrail

http://127.0.0.1:9464 has /metrics for Prometheus, /healthz and /readyz. The log goes to stderr.`,
		Example: "  aitrail daemon --config /etc/aitrail.yaml\n  aitrail daemon --config aitrail.yaml --check",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" {
				return usagef("aitrail daemon needs a configuration: --config FILE")
			}
			cfg, err := readConfig(file)
			if err != nil {
				return err
			}
			if a.lakeDir == "" {
				a.lakeDir = cfg.Lake
			}
			if check {
				if err := a.checkLake(c.Context()); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.Stdout, "%s: %s, nothing wrong\n", file, plural(int64(len(cfg.Sources)), "source"))
				return err
			}
			return a.daemon(c.Context(), cfg)
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration `file`")
	c.Flags().BoolVar(&check, "check", false, "only check the configuration")
	return c
}

// checkLake tells whether the lake's name can be one's. Whether there is a lake already doesn't matter.
func (a *app) checkLake(ctx context.Context) error {
	l, err := a.openLake(ctx)
	if errors.Is(err, lake.ErrNoLake) {
		return nil
	}
	if err != nil {
		return err
	}
	return l.Close()
}

func readConfig(name string) (daemon.Config, error) {
	f, err := os.Open(name)
	if err != nil {
		return daemon.Config{}, err
	}
	defer f.Close()
	return daemon.ReadConfig(name, f)
}

func (a *app) daemon(ctx context.Context, cfg daemon.Config) error {
	log := a.logFrom(cfg.Level, cfg.JSON)
	opts := daemon.Options{
		Sources: cfg.Sources, Collect: collect.Options{Settings: cfg.Settings, KeepPrompts: cfg.Prompts, Log: log, Now: a.Now},
		VerifyEvery: cfg.Verify, MaintainEvery: cfg.Maintain, Log: log, Now: a.Now,
	}
	if cfg.Token != "" {
		token, err := os.ReadFile(cfg.Token)
		if err != nil {
			return fmt.Errorf("reading the token of metrics: %w", err)
		}
		if opts.Token = strings.TrimSpace(string(token)); opts.Token == "" {
			return fmt.Errorf("the token of metrics, %s, is empty", cfg.Token)
		}
	}
	dir, err := a.lakePath()
	if err != nil {
		return err
	}
	if opts.Lake, err = lake.Open(ctx, dir, lake.Options{Create: true, Now: a.Now, Log: log, Cache: a.cacheDir()}); err != nil {
		return err
	}
	defer opts.Lake.Close()
	opts.Maintain = maintainer(opts.Lake)
	opts.Verify = a.verifier(opts.Lake, proving{keyFile: cfg.Keys})
	if cfg.Listen != "" {
		if opts.Listener, err = net.Listen("tcp", cfg.Listen); err != nil {
			return err
		}
		log.Info("listening", "url", "http://"+opts.Listener.Addr().String())
	}
	d, err := daemon.New(opts)
	if err != nil {
		return err
	}
	return d.Run(ctx)
}

// verifier verifies a source, and gives the lake its verdicts.
func (a *app) verifier(l *lake.Lake, p proving) func(context.Context, string) (daemon.Verification, error) {
	return func(ctx context.Context, source string) (daemon.Verification, error) {
		a.seeNow(ctx, source)
		r, err := a.prove(ctx, source, l, p)
		if err != nil {
			return daemon.Verification{}, err
		}
		v := daemon.Verification{Holds: r.Holds(), Verified: r.LogFiles.Verified, Pending: r.LogFiles.Pending, Failed: r.LogFiles.Failed}
		for _, f := range r.Findings {
			if f.Severity == digest.SeverityFinding {
				v.Findings++
			}
		}
		return v, nil
	}
}

// follow collects until ctx ends, and prints what was done.
func (a *app) follow(ctx context.Context, l *lake.Lake, sources []string, opts collect.Options, noVerify bool, p proving) error {
	o := daemon.Options{Lake: l, Sources: sources, Collect: opts, VerifyEvery: daemon.DefaultVerify, Maintain: maintainer(l), MaintainEvery: daemon.DefaultMaintain, Log: opts.Log, Now: a.Now}
	if !noVerify {
		o.Verify = a.verifier(l, p)
	}
	d, err := daemon.New(o)
	if err != nil {
		return err
	}
	if err := d.Check(ctx); err != nil { // a mistyped name is told at once
		return err
	}
	if err := d.Run(ctx); err != nil {
		return err
	}
	r := d.Report()
	if err := a.printReport(l.Name(), r, nil); err != nil {
		return err
	}
	if r.Quarantined > 0 {
		return errFound
	}
	return nil
}
