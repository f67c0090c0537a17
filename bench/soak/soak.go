package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/comprehend"
	"github.com/aws/aws-sdk-go-v2/service/comprehend/types"
	"golang.org/x/sync/errgroup"

	"github.com/aitrail/aitrail/internal/endpoint"
	"github.com/aitrail/aitrail/internal/endpoint/fault"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/live"
)

// options of a soak.
type options struct {
	dir        string
	calls      int           // at most
	long       time.Duration // at most
	clients    int
	collectors int
	deliver    time.Duration
	digest     time.Duration
	calm       [2]time.Duration // how long a collector lives, at least and at most
	faults     fault.Shares
	slow       float64       // share of requests that wait
	patience   time.Duration // for the last events, after the last call
	log        func(format string, args ...any)
}

// result is what came out.
type result struct {
	made, failed int // calls that were answered; of them, with an error
	found, twice int // of them, those in the lake; those that stand there more than once
	rows         int
	kills        int64
	memory       []int64        // of collectors, in bytes, in the order of time
	findings     map[string]int // of verify, by kind
}

// soak runs a local endpoint with faults, clients that call, and collectors that are killed and started at random, and
// looks whether each call that was answered is in the lake once.
func soak(ctx context.Context, o options) (result, error) {
	var r result
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return r, err
	}
	server, err := endpoint.New(endpoint.Options{
		Dir: filepath.Join(o.dir, "aws"), DeliverEvery: o.deliver, DigestEvery: o.digest, Faults: o.faults,
	})
	if err != nil {
		return r, err
	}
	defer server.Close()
	web := httptest.NewServer(slowly(server.Handler(), o.slow))
	defer web.Close()
	id, secret := server.RootKey()
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &web.URL, RetryMaxAttempts: 20,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
	}
	outputs, err := live.Apply(ctx, cfg, provision.Setup{Account: "111122223333", Region: cfg.Region, DataTypes: []string{}}, nil)
	if err != nil {
		return r, fmt.Errorf("setting up: %w", err)
	}
	env := append(os.Environ(), "AWS_ENDPOINT_URL="+web.URL, "AWS_ACCESS_KEY_ID="+id, "AWS_SECRET_ACCESS_KEY="+secret,
		"AWS_REGION="+cfg.Region, "AWS_EC2_METADATA_DISABLED=true", aitrail+"=1")
	bucket := "s3://" + outputs.Bucket + "/" + outputs.Prefix
	config := filepath.Join(o.dir, "aitrail.yaml")
	text := fmt.Sprintf("lake: %s\nlisten: none\nverify: never\nsources:\n  - {source: %q, poll: 2s}\n  - {source: %q, buckets: [%s]}\n  - {source: %q, poll: 1s}\n",
		filepath.Join(o.dir, "lake"), bucket, "sqs:"+outputs.QueueURL, outputs.Bucket, "logs:"+outputs.LogGroup)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return r, err
	}

	running, stop := context.WithCancel(ctx)
	defer stop()
	g, running := errgroup.WithContext(running)
	g.Go(func() error { return canceled(server.Run(running)) })
	watch := &watcher{o: o, env: env, config: config, r: &r}
	for n := range o.collectors {
		g.Go(func() error { return watch.collector(running, n) })
	}
	ids := call(running, cfg, o, &r)
	r.made = len(ids)
	o.log("%d calls made, %d of them answered with an error", r.made, r.failed)
	if err := waitFor(running, o, ids, &r); err != nil {
		return r, err
	}
	stop()
	if err := g.Wait(); err != nil {
		return r, err
	}
	r.kills = watch.kills.Load()
	r.memory = watch.samples
	return r, verify(ctx, o, server, env, bucket, &r)
}

func canceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// slowly has some requests wait.
func slowly(h http.Handler, share float64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rand.Float64() < share {
			time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Second))))
		}
		h.ServeHTTP(w, r)
	})
}

// call makes calls and returns the request ids of those that were answered.
func call(ctx context.Context, cfg aws.Config, o options, r *result) []string {
	cfg.RetryMaxAttempts = 1
	cfg.HTTPClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.clients}}
	client := comprehend.NewFromConfig(cfg)
	ctx, cancel := context.WithTimeout(ctx, o.long)
	defer cancel()
	pace := time.NewTicker(max(o.long/time.Duration(o.calls), time.Microsecond))
	defer pace.Stop()
	var mu sync.Mutex
	var ids []string
	var group sync.WaitGroup
	turns := make(chan struct{})
	for range o.clients {
		group.Go(func() {
			for range turns {
				out, err := client.DetectSentiment(ctx, &comprehend.DetectSentimentInput{Text: aws.String("I like it."), LanguageCode: types.LanguageCodeEn})
				var id string
				var refused *awshttp.ResponseError
				if err == nil {
					id, _ = middleware.GetRequestIDMetadata(out.ResultMetadata)
				} else if errors.As(err, &refused) {
					id = refused.ServiceRequestID()
				}
				mu.Lock()
				if id != "" {
					ids = append(ids, id)
				}
				if id != "" && err != nil {
					r.failed++
				}
				mu.Unlock()
			}
		})
	}
	for n := 0; n < o.calls && ctx.Err() == nil; n++ {
		select {
		case <-pace.C:
			turns <- struct{}{}
		case <-ctx.Done():
		}
	}
	close(turns)
	group.Wait()
	return ids
}

// watcher starts collectors and kills them.
type watcher struct {
	o       options
	env     []string
	config  string
	r       *result
	kills   atomic.Int64
	mu      sync.Mutex
	samples []int64
}

// collector keeps a collector running: it is killed at a random moment and started anew, until ctx ends; then it is told
// to stop.
func (w *watcher) collector(ctx context.Context, n int) error {
	log, err := os.OpenFile(filepath.Join(w.o.dir, fmt.Sprintf("collector-%d.log", n)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	for ctx.Err() == nil {
		cmd := exec.Command(self(), "daemon", "--config", w.config)
		cmd.Env, cmd.Stderr = w.env, log
		if err := cmd.Start(); err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		if err := w.live(ctx, cmd, ended); err != nil {
			return fmt.Errorf("collector %d: %w; see %s", n, err, log.Name())
		}
	}
	return nil
}

// live lets a collector live for a while.
func (w *watcher) live(ctx context.Context, cmd *exec.Cmd, ended chan error) error {
	span := w.o.calm[1] - w.o.calm[0]
	death := time.NewTimer(w.o.calm[0] + time.Duration(rand.Int64N(int64(span))))
	defer death.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("ended by itself: %w", err)
		case <-look.C:
			w.sample(cmd.Process.Pid)
		case <-death.C:
			w.kills.Add(1)
			_ = cmd.Process.Kill() // it may have ended
			<-ended
			return nil
		case <-ctx.Done():
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				return err
			}
			err := <-ended
			if cmd.ProcessState.ExitCode() == -1 { // it had not yet come to listen to signals
				return nil
			}
			return err
		}
	}
}

func (w *watcher) sample(pid int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.samples = append(w.samples, pages*int64(os.Getpagesize()))
}

// waitFor waits until all calls are in the lake, or patience ends.
func waitFor(ctx context.Context, o options, ids []string, r *result) error {
	for end := time.Now().Add(o.patience); ; {
		if err := count(ctx, o, ids, r); err != nil {
			return err
		}
		o.log("%d of %d calls are in the lake", r.found, r.made)
		if r.found == r.made || time.Now().After(end) {
			return nil
		}
		select {
		case <-time.After(max(o.deliver, 2*time.Second)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// count looks for the calls in the lake.
func count(ctx context.Context, o options, ids []string, r *result) error {
	l, err := lake.Open(ctx, filepath.Join(o.dir, "lake"), lake.Options{ReadOnly: true})
	if errors.Is(err, lake.ErrNoLake) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Close()
	made := make(map[string]int, len(ids))
	for _, id := range ids {
		made[id] = 0
	}
	r.rows, r.found, r.twice = 0, 0, 0
	for s, err := range l.ReadEvents(ctx, lake.EventFilter{}) {
		if err != nil {
			return err
		}
		r.rows++
		if n, ok := made[s.Event.RequestID]; ok {
			made[s.Event.RequestID] = n + 1
		}
	}
	for _, n := range made {
		if n > 0 {
			r.found++
		}
		if n > 1 {
			r.twice++
		}
	}
	return nil
}

// verify has all digests delivered, and asks aitrail verify what is missing.
func verify(ctx context.Context, o options, server *endpoint.Server, env []string, bucket string, r *result) error {
	if err := server.Flush(ctx); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self(), "verify", "-o", "json", "--lake", filepath.Join(o.dir, "lake"), bucket)
	cmd.Env = env
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 3) {
		return fmt.Errorf("verify: %w: %s", err, exit.Stderr)
	}
	var report struct {
		Findings []struct{ Kind string }
	}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&report); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	r.findings = map[string]int{}
	for _, f := range report.Findings {
		r.findings[f.Kind]++
	}
	return nil
}

func self() string {
	exe, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return exe
}

// flat compares the memory of collectors in the second and the last quarter of the time: medians, in bytes.
func (r *result) flat() (early, late int64) {
	n := len(r.memory)
	if n < 8 {
		return 0, 0
	}
	return median(r.memory[n/4 : n/2]), median(r.memory[3*n/4:])
}

func median(list []int64) int64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
