package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
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
	least      int           // calls that are made however long they take
	long       time.Duration // to make the others
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
	memory       []int64 // of collectors, in bytes, in the order of time
	gaps         []gap   // that were made
	unreported   []string
}

// soak runs a local endpoint with faults, clients that call, and collectors that are killed and started at random, and
// looks whether each call that was answered is in the lake once.
func soak(ctx context.Context, o options) (result, error) {
	var r result
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return r, err
	}
	made := &gaps{}
	server, err := endpoint.New(endpoint.Options{
		Dir: filepath.Join(o.dir, "aws"), DeliverEvery: o.deliver, DigestEvery: o.digest, Log: slog.New(made),
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
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	env = append(env, "AWS_ENDPOINT_URL="+web.URL, "AWS_ACCESS_KEY_ID="+id, "AWS_SECRET_ACCESS_KEY="+secret,
		"AWS_REGION="+cfg.Region, "AWS_EC2_METADATA_DISABLED=true", aitrail+"=1")
	bucket := "s3://" + outputs.Bucket + "/" + outputs.Prefix
	load := &load{url: web.URL, credentials: aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}}
	first, err := load.first(ctx)
	if err := errors.Join(err, server.Flush(ctx), load.setFaults(ctx, o.faults)); err != nil { // nothing can tell of the first digests, were they missing
		return r, err
	}
	config := filepath.Join(o.dir, "aitrail.yaml")
	text := fmt.Sprintf("lake: %s\nlisten: none\nverify: %s\nsources:\n  - {source: %q, poll: 2s}\n  - {source: %q, buckets: [%s]}\n  - {source: %q, poll: 1s}\n",
		filepath.Join(o.dir, "lake"), o.digest, bucket, "sqs:"+outputs.QueueURL, outputs.Bucket, "logs:"+outputs.LogGroup)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return r, err
	}

	running, stop := context.WithCancel(ctx)
	defer stop()
	g, running := errgroup.WithContext(running)
	g.Go(func() error { return canceled(server.Run(running)) })
	watch := &watcher{o: o, env: env, config: config}
	for n := range o.collectors {
		g.Go(func() error { return watch.collector(running, n) })
	}
	began := time.Now()
	ids, failed := load.run(running, o)
	ids = append(ids, first...)
	r.made, r.failed = len(ids), failed
	watch.called.Store(true)
	o.log("%d calls made in %v, %d of them answered with an error", r.made, time.Since(began).Round(time.Second), r.failed)
	if err := waitFor(running, o, ids, &r); err != nil {
		return r, err
	}
	stop()
	if err := g.Wait(); err != nil {
		return r, err
	}
	r.kills = watch.kills.Load()
	r.memory = watch.samples
	if err := load.setFaults(ctx, nil); err != nil {
		return r, err
	}
	for range settleRounds {
		if err := server.Flush(ctx); err != nil {
			return r, err
		}
		time.Sleep(1100 * time.Millisecond) // digests are named to the second
	}
	r.gaps = made.list()
	r.unreported, err = unreported(ctx, o, env, bucket, r.gaps)
	return r, err
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

// watcher starts collectors and kills them.
type watcher struct {
	o       options
	env     []string
	config  string
	called  atomic.Bool // the last call has been made
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
	var longer time.Duration
	for first := true; ctx.Err() == nil; first = false {
		if !first { // dead for a while
			select {
			case <-time.After(time.Duration(rand.Int64N(int64(w.o.calm[0])))):
			case <-ctx.Done():
				return nil
			}
		}
		cmd := exec.Command(self(), "daemon", "--config", w.config)
		cmd.Env, cmd.Stderr = w.env, log
		if err := cmd.Start(); err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		if w.called.Load() { // a slow machine must come to an end in one of them
			longer += longer/2 + w.o.calm[0]
		}
		if err := w.live(ctx, cmd, ended, longer); err != nil {
			text, _ := os.ReadFile(log.Name()) // the folder may be a test's, and gone when somebody looks
			return fmt.Errorf("collector %d: %w:\n%s", n, err, text[max(0, len(text)-2000):])
		}
	}
	return nil
}

// live lets a collector live for a while, and so much longer.
func (w *watcher) live(ctx context.Context, cmd *exec.Cmd, ended chan error, longer time.Duration) error {
	span := w.o.calm[1] - w.o.calm[0]
	death := time.NewTimer(w.o.calm[0] + longer + time.Duration(rand.Int64N(int64(span))))
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
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				return err
			}
			err := <-ended
			switch cmd.ProcessState.ExitCode() {
			case -1, 130: // it had not yet come to listen to signals, or to work
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
		if err := look(ctx, o, ids, r); err != nil {
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

// look looks for the calls in the lake.
func look(ctx context.Context, o options, ids []string, r *result) error {
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

func self() string {
	exe, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return exe
}

// flat compares the memory of collectors in the second and the last quarter of the time: medians, in bytes. In less than some
// minutes it can't be told: there are more collectors that have just begun, and are small, in the one than in the other.
func (r *result) flat() (early, late int64) {
	n := len(r.memory)
	if n < 400 {
		return 0, 0
	}
	return median(r.memory[n/4 : n/2]), median(r.memory[3*n/4:])
}

func median(list []int64) int64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
