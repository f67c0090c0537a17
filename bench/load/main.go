// Command load measures the local endpoint under load: calls a second with recording on, latency and memory, with a
// kill -9 in the middle, after which every answered call must be in the record; and the same calls on moto_server, where
// it is installed. Everything runs on this machine's loopback, and ends by itself.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/comprehend"
	"github.com/aws/aws-sdk-go-v2/service/comprehend/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aitrail/aitrail/internal/endpoint"
)

func main() {
	seconds := flag.Int("seconds", 60, "how long each server is called")
	clients := flag.Int("clients", 64, "concurrent clients")
	flag.Parse()
	if err := run(time.Duration(*seconds)*time.Second, *clients); err != nil {
		log.Fatal(err)
	}
}

func run(long time.Duration, clients int) error {
	dir, err := os.MkdirTemp("", "aitrail-load")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%d clients, %s; half the calls sts GetCallerIdentity, half comprehend DetectSentiment\n\n", clients, long)
	fmt.Printf("%-12s %10s %10s %10s %12s %8s\n", "", "calls/s", "p50, ms", "p99, ms", "peak RSS, MB", "failed")
	ours, err := loadOurs(dir, long, clients)
	if err != nil {
		return err
	}
	moto, err := exec.LookPath("moto_server")
	if err != nil {
		fmt.Println("SKIPPED: moto_server is not installed")
		return nil
	}
	theirs, err := loadMoto(moto, long, clients)
	if err != nil {
		return err
	}
	fmt.Printf("\nratio %.1f\n", ours/theirs)
	return nil
}

// loadOurs loads `aitrail local`, killed and started again in the middle, and looks for every answered call in its record.
func loadOurs(dir string, long time.Duration, clients int) (rate float64, err error) {
	program := filepath.Join(dir, "aitrail")
	if out, err := exec.Command("go", "build", "-o", program, "./cmd/aitrail").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building: %w: %s", err, out)
	}
	data, addr := filepath.Join(dir, "data"), freeAddress()
	start := func() (*exec.Cmd, error) { return startServer(addr, program, "local", "--dir", data, "--addr", addr) }
	server, err := start()
	if err != nil {
		return 0, err
	}
	cfg, err := config(data, addr)
	if err != nil {
		return 0, err
	}
	first := load(cfg, long/2, clients)
	memory := peak(server)
	if err := server.Process.Kill(); err != nil {
		return 0, err
	}
	_ = server.Wait() // killed
	if server, err = start(); err != nil {
		return 0, fmt.Errorf("after kill -9: %w", err)
	}
	second := load(cfg, long/2, clients)
	memory = max(memory, peak(server))
	if err := server.Process.Kill(); err != nil {
		return 0, err
	}
	_ = server.Wait()
	all := first.and(second)
	all.print("aitrail", long, memory)
	missing, err := unrecorded(data, all.ids)
	if err != nil {
		return 0, err
	}
	fmt.Printf("%12s %d calls answered, %d of them not in the record after two kill -9\n", "", len(all.ids), missing)
	if missing > 0 {
		return 0, fmt.Errorf("%d answered calls were lost", missing)
	}
	return float64(len(all.ids)) / long.Seconds(), nil
}

func loadMoto(program string, long time.Duration, clients int) (rate float64, err error) {
	addr := freeAddress()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	server, err := startServer(addr, program, "-H", "127.0.0.1", "-p", port)
	if err != nil {
		return 0, err
	}
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: aws.String("http://" + addr), Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	r := load(cfg, long, clients)
	r.print("moto_server", long, peak(server))
	err = server.Process.Kill()
	_ = server.Wait()
	return float64(len(r.ids)) / long.Seconds(), err
}

// result is what a load brought: answered calls by request id, their latencies, and failures.
type result struct {
	ids     []string
	latency []time.Duration
	failed  int
}

func (r result) and(s result) result {
	return result{append(r.ids, s.ids...), append(r.latency, s.latency...), r.failed + s.failed}
}

func (r result) print(name string, long time.Duration, memory int64) {
	slices.Sort(r.latency)
	at := func(q float64) float64 {
		if len(r.latency) == 0 {
			return 0
		}
		return float64(r.latency[int(q*float64(len(r.latency)-1))].Microseconds()) / 1000
	}
	fmt.Printf("%-12s %10.0f %10.2f %10.2f %12d %8d\n", name, float64(len(r.ids))/long.Seconds(), at(0.5), at(0.99), memory>>10, r.failed)
}

// load calls until the time is up.
func load(cfg aws.Config, long time.Duration, clients int) result {
	cfg.RetryMaxAttempts = 1
	cfg.HTTPClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	var group sync.WaitGroup
	results := make([]result, clients)
	for i := range clients {
		group.Go(func() { results[i] = client(ctx, cfg) })
	}
	group.Wait()
	var all result
	for _, r := range results {
		all = all.and(r)
	}
	return all
}

func client(ctx context.Context, cfg aws.Config) (r result) {
	who, words := sts.NewFromConfig(cfg), comprehend.NewFromConfig(cfg)
	for n := 0; ctx.Err() == nil; n++ {
		begun := time.Now()
		id, err := call(ctx, n, who, words)
		switch {
		case ctx.Err() != nil: // cut off by the end, not by the server
		case err != nil:
			r.failed++
		default:
			r.ids, r.latency = append(r.ids, id), append(r.latency, time.Since(begun))
		}
	}
	return r
}

func call(ctx context.Context, n int, who *sts.Client, words *comprehend.Client) (requestID string, err error) {
	if n%2 == 0 {
		out, err := who.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return "", err
		}
		id, _ := middleware.GetRequestIDMetadata(out.ResultMetadata)
		return id, nil
	}
	out, err := words.DetectSentiment(ctx, &comprehend.DetectSentimentInput{Text: aws.String("I like it."), LanguageCode: types.LanguageCodeEn})
	if err != nil {
		return "", err
	}
	id, _ := middleware.GetRequestIDMetadata(out.ResultMetadata)
	return id, nil
}

// unrecorded counts the request ids that the endpoint's record doesn't have.
func unrecorded(dir string, ids []string) (int, error) {
	s, err := endpoint.New(endpoint.Options{Dir: dir})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	recorded := map[string]struct{}{}
	for e, err := range s.Recorded() {
		if err != nil {
			return 0, err
		}
		recorded[strings.Clone(e.RequestID)] = struct{}{}
	}
	missing := 0
	for _, id := range ids {
		if _, ok := recorded[id]; !ok {
			missing++
		}
	}
	return missing, nil
}

var export = regexp.MustCompile(`export (\w+)='([^']*)'`)

// config reads the keys that the endpoint keeps in dir.
func config(dir, addr string) (aws.Config, error) {
	text, err := os.ReadFile(filepath.Join(dir, "aws.env"))
	if err != nil {
		return aws.Config{}, err
	}
	env := map[string]string{}
	for _, m := range export.FindAllStringSubmatch(string(text), -1) {
		env[m[1]] = m[2]
	}
	return aws.Config{Region: "us-east-1", BaseEndpoint: aws.String("http://" + addr),
		Credentials: credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], "")}, nil
}

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startServer starts a program and waits until its address answers.
func startServer(addr, program string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(program, args...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if r, err := http.Get("http://" + addr + "/"); err == nil { // whatever it says: a connection alone may be taken before it serves
			return cmd, r.Body.Close()
		}
	}
	return nil, errors.Join(fmt.Errorf("%s does not answer at %s", program, addr), cmd.Process.Kill())
}

// peak is a process's largest resident memory so far, in KiB; 0 where the system doesn't tell.
func peak(cmd *exec.Cmd) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var n int64
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &n); err == nil {
			return n
		}
	}
	return 0
}
