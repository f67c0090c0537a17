package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/aitrail/aitrail/internal/endpoint"
	"github.com/aitrail/aitrail/internal/endpoint/ai/upstream"
	"github.com/aitrail/aitrail/internal/endpoint/fault"
)

func (a *app) localCommand() *cobra.Command {
	var addr, dir string
	var faults []string
	var opts endpoint.Options
	c := &cobra.Command{
		Use:   "local",
		Short: "Run the local AWS endpoint, which records AI calls as CloudTrail does",
		Long: `Run an AWS endpoint on this machine: AI services that answer, and around them STS, IAM, S3, KMS, SNS, SQS, CloudWatch,
CloudWatch Logs and CloudTrail.
Every call is recorded as CloudTrail would record it, and what trails select is delivered as log files and digests.

DIR/aws.env makes any AWS client use it:  . DIR/aws.env`,
		Example: "  aitrail local --dir ./aws\n  . ./aws/aws.env && aws bedrock list-foundation-models",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return usagef("address %q is not HOST:PORT: %w", addr, err)
			}
			if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
				return usagef("address %q is not a loopback address: the endpoint serves this machine only", addr)
			}
			if opts.DeliverEvery <= 0 || opts.DigestEvery <= 0 || opts.KeyEvery <= 0 {
				return usagef("--deliver-every, --digest-every and --key-every take times above zero, as 5s or 1h")
			}
			if err := opts.Check(); err != nil {
				return usagef("--organization, --member: %w", err)
			}
			opts.Faults = fault.Shares{}
			for _, text := range faults {
				if err := opts.Faults.Parse(text); err != nil {
					return usagef("--fault: %w", err)
				}
			}
			if opts.ForwardBedrock != "" {
				if _, err := upstream.New(opts.ForwardBedrock); err != nil {
					return usagef("--forward-bedrock: %w", err)
				}
			}
			opts.Dir, opts.Now, opts.Log = dir, a.Now, a.log()
			return a.local(c.Context(), addr, opts)
		},
	}
	f := c.Flags()
	f.StringVar(&dir, "dir", "aitrail-local", "`folder` that keeps everything: keys, buckets, recorded events")
	f.StringVar(&addr, "addr", "127.0.0.1:4588", "loopback `address` to listen on")
	f.DurationVar(&opts.DeliverEvery, "deliver-every", 5*time.Second, "how often trails deliver log files")
	f.DurationVar(&opts.DigestEvery, "digest-every", time.Hour, "how often trails deliver digests")
	f.DurationVar(&opts.KeyEvery, "key-every", 30*24*time.Hour, "how long a key signs digests before a new one takes its place")
	f.StringVar(&opts.Organization, "organization", "", "have the account manage an organization of this `id`, as o-exampleorgid")
	f.StringArrayVar(&opts.Members, "member", nil, "an `account` that is a member of the organization; once for each. Its keys are in DIR/accounts/ACCOUNT/aws.env")
	f.StringArrayVar(&faults, "fault", nil, "have something go wrong on purpose: `NAME=SHARE`, as throttle=0.1; once for each (see docs/faults.md)")
	f.StringVar(&opts.ForwardBedrock, "forward-bedrock", "", "have the OpenAI-compatible server at this `URL` answer Converse and InvokeModel of models that chat; URL?model=NAME asks it for that model")
	return c
}

func (a *app) local(ctx context.Context, addr string, opts endpoint.Options) error {
	// Little memory is in use: at the usual rate, collecting garbage takes a quarter of the time of a call.
	defer debug.SetGCPercent(debug.SetGCPercent(200))
	s, err := a.serve(addr, opts)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Stdout, "endpoint %s\nuse it:  . %s\n", s.url, filepath.Join(opts.Dir, "aws.env"))
	err = s.run(ctx)
	return errors.Join(err, s.endpoint.Close())
}

// server is an endpoint with its listener.
type server struct {
	endpoint *endpoint.Server
	listener net.Listener
	url      string
}

// serve opens an endpoint and its address; run answers.
func (a *app) serve(addr string, opts endpoint.Options) (*server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &server{listener: l, url: "http://" + l.Addr().String()}
	opts.URL = s.url
	if s.endpoint, err = endpoint.New(opts); err != nil {
		l.Close()
		return nil, fmt.Errorf("opening endpoint in %s: %w", opts.Dir, err)
	}
	return s, nil
}

// run answers requests and delivers until ctx ends or a part of it fails.
func (s *server) run(ctx context.Context) error {
	web := &http.Server{Handler: s.endpoint.Handler(), ReadHeaderTimeout: 10 * time.Second, Protocols: &http.Protocols{}}
	web.Protocols.SetHTTP1(true)
	web.Protocols.SetUnencryptedHTTP2(true) // what SDKs send event streams over
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := web.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error { return s.endpoint.Run(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return web.Shutdown(closing)
	})
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
