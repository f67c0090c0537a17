package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/aitrail/aitrail/internal/cli/demo"
	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/live"
	"github.com/aitrail/aitrail/internal/query"
)

// demoMark is a file that tells a demo's folder from others, which a demo never touches.
const demoMark = ".aitrail-demo"

func (a *app) demoCommand() *cobra.Command {
	var dir string
	var stay bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "The whole way on a local endpoint: calls, log files, lake, proof, answers",
		Long: `Start the local endpoint, set up a trail through the AWS APIs, make some hundreds of AI calls over HTTP as five actors,
collect what the trail delivered, verify it, and show who called what. Needs no AWS account and no network.

Everything is kept in a folder, which the next demo replaces.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" {
				dir = filepath.Join(os.TempDir(), fmt.Sprintf("aitrail-demo-%d", os.Getuid()))
			}
			d := &demonstration{app: a, dir: dir, stay: stay}
			return d.run(c.Context())
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "`folder` to keep everything in (default a folder of the system's temporary one)")
	c.Flags().BoolVar(&stay, "serve", false, "leave the endpoint running until interrupted")
	return c
}

// demonstration is one run of the demo.
type demonstration struct {
	*app
	dir     string
	stay    bool
	server  *server
	outputs provision.Outputs
	traffic *demo.Traffic
	collect collect.Report
	proof   *digest.Report
	begun   time.Time
}

func (d *demonstration) run(ctx context.Context) error {
	if err := d.clear(); err != nil {
		return err
	}
	d.begun = time.Now()
	d.step("starting the endpoint")
	var err error
	d.server, err = d.serve("127.0.0.1:0", endpoint.Options{
		Dir: d.dir, Now: d.Now, Log: d.log(), DeliverEvery: 5 * time.Second, DigestEvery: time.Hour, Throttle: throttleCI(),
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return d.server.run(running) })
	err = d.play(running)
	if err == nil && d.stay {
		fmt.Fprintf(d.Stderr, "the endpoint goes on at %s until interrupted\n", d.server.url)
		<-running.Done()
	}
	stop()
	return errors.Join(err, group.Wait(), d.server.endpoint.Close())
}

// clear makes an empty folder for the demo; it removes an earlier demo and nothing else.
func (d *demonstration) clear() error {
	var err error
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(d.dir, demoMark)); err != nil {
			return usagef("folder %s holds something else than a demo: choose another with --dir", d.dir)
		}
		if err := os.RemoveAll(d.dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.dir, demoMark), nil, 0o600)
}

func (d *demonstration) step(what string) { fmt.Fprintf(d.Stderr, "  · %s\n", what) }

// play goes the whole way and prints the answers.
func (d *demonstration) play(ctx context.Context) error {
	id, secret := d.server.endpoint.RootKey()
	at := demo.Endpoint{URL: d.server.url, Region: "us-east-1", AccessKeyID: id, SecretAccessKey: secret}
	d.step("setting up bucket, policy, role, log group and trail, through the AWS APIs")
	var err error
	if d.outputs, err = live.Apply(ctx, at.Config(), provision.Setup{Account: "111122223333", Region: at.Region}, nil); err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	if d.traffic, err = demo.Run(ctx, at, d.step); err != nil {
		return fmt.Errorf("making calls: %w", err)
	}
	d.step("delivering log files and digests")
	if err := d.server.endpoint.Flush(ctx); err != nil {
		return fmt.Errorf("delivering: %w", err)
	}
	if err := awsEnvironment(at); err != nil {
		return err
	}
	d.lakeDir = filepath.Join(d.dir, "lake")
	if err := d.collectAndVerify(ctx); err != nil {
		return err
	}
	return d.report(ctx)
}

// awsEnvironment makes this process's AWS clients use the endpoint, as `. aws.env` does for others.
func awsEnvironment(at demo.Endpoint) error {
	for _, name := range []string{"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"} {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": at.URL, "AWS_ACCESS_KEY_ID": at.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": at.SecretAccessKey, "AWS_DEFAULT_REGION": at.Region} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// bucketURL is where the trail delivers.
func (d *demonstration) bucketURL() string {
	return "s3://" + d.outputs.Bucket + "/" + d.outputs.Prefix
}

func (d *demonstration) collectAndVerify(ctx context.Context) error {
	d.step("collecting " + d.bucketURL() + " into the lake")
	l, err := lake.Open(ctx, d.lakeDir, lake.Options{Create: true, Now: d.Now, Log: d.log()})
	if err != nil {
		return err
	}
	defer l.Close()
	if d.collect, err = collect.Collect(ctx, l, []string{d.bucketURL()}, collect.Options{Log: d.log(), Now: d.Now}); err != nil {
		return err
	}
	if d.collect.Failed+d.collect.Quarantined > 0 {
		return fmt.Errorf("collecting: %d objects not read, %d quarantined", d.collect.Failed, d.collect.Quarantined)
	}
	d.step("verifying the digests, and asking what the trail records")
	if err := d.see(ctx); err != nil {
		return err
	}
	d.proof, err = d.prove(ctx, d.bucketURL(), l, proving{})
	return err
}

// throttleCI has every ninth model call made with an API key throttled.
func throttleCI() func(*awsapi.Call) bool {
	var calls atomic.Int64
	return func(c *awsapi.Call) bool { return c.Caller.Bearer && calls.Add(1)%9 == 0 }
}

// census is how many of the demo's calls were found at each station of their way, known by request id.
type census struct{ made, recorded, delivered, collected int }

func (c census) equal() bool {
	return c.made == c.recorded && c.made == c.delivered && c.made == c.collected
}

// count looks for every call that was made in what was recorded, delivered and collected.
func (d *demonstration) count(ctx context.Context, db *query.DB) (census, error) {
	ids := map[string]*[3]bool{}
	for _, id := range d.traffic.RequestIDs() {
		ids[id] = new([3]bool)
	}
	mark := func(station int, e *cloudtrail.Event) {
		if seen := ids[e.RequestID]; seen != nil && e.EventType == "AwsApiCall" {
			seen[station] = true
		}
	}
	for e, err := range d.server.endpoint.Recorded() {
		if err != nil {
			return census{}, err
		}
		mark(0, e)
	}
	if err := d.delivered(ctx, func(e *cloudtrail.Event) { mark(1, e) }); err != nil {
		return census{}, err
	}
	rows, err := db.Query(ctx, "SELECT requestID, eventType FROM events")
	if err != nil {
		return census{}, err
	}
	defer rows.Close()
	for rows.Next() {
		v := rows.Values()
		mark(2, &cloudtrail.Event{RequestID: query.Text(v[0]), EventType: query.Text(v[1])})
	}
	c := census{made: len(d.traffic.RequestIDs())}
	for _, seen := range ids {
		for station, n := range []*int{&c.recorded, &c.delivered, &c.collected} {
			if seen[station] {
				*n++
			}
		}
	}
	return c, rows.Err()
}

// delivered reads the events of the bucket's log files, without the lake.
func (d *demonstration) delivered(ctx context.Context, event func(*cloudtrail.Event)) error {
	src, prefix, err := verifySource(ctx, d.bucketURL())
	if err != nil {
		return err
	}
	for key, err := range src.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		if k, ok := cloudtrail.ParseKey(key); !ok || k.Kind != cloudtrail.KindLog {
			continue
		}
		if err := src.events(ctx, key, event); err != nil {
			return fmt.Errorf("reading %s: %w", key, err)
		}
	}
	return nil
}

// next are the commands to go on with.
func (d *demonstration) next() string {
	self := "aitrail"
	if exe, err := os.Executable(); err == nil {
		self = exe
		if wd, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(wd, exe); err == nil && !strings.HasPrefix(rel, "..") {
				self = "./" + rel
			}
		}
	}
	flag := " --lake " + d.lakeDir
	use := ". " + filepath.Join(d.dir, "aws.env") + "; aws cloudtrail lookup-events --max-results 3"
	if !d.stay {
		use = self + " local --dir " + d.dir + " & sleep 1; " + use
	}
	return strings.Join([]string{
		"  " + self + " calls --outcome denied" + flag,
		"  " + self + " query 'SELECT actor, model_id, sum(input_tokens) AS input, sum(output_tokens) AS output FROM calls WHERE input_tokens > 0 GROUP BY ALL ORDER BY 3 DESC'" + flag,
		"  " + use,
	}, "\n")
}
