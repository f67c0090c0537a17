package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/daemon"
	"github.com/aitrail/aitrail/internal/lake"
)

func logFile(t *testing.T, dir string, n int) {
	t.Helper()
	name := filepath.Join(dir, fmt.Sprintf("111122223333_CloudTrail_us-east-1_20260301T1200Z_%016d.json", n))
	text := fmt.Sprintf(`{"Records":[{"eventVersion":"1.11","eventTime":"2026-03-01T12:00:00Z","eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","eventID":"00000000-0000-4000-8000-%012d","recipientAccountId":"111122223333"}]}`, n)
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// started is a daemon at work.
type started struct {
	*daemon.Daemon
	t    *testing.T
	url  string
	stop func()
}

func start(t *testing.T, lakeDir, source string, change func(*daemon.Options)) *started {
	t.Helper()
	l, err := lake.Open(t.Context(), lakeDir, lake.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := daemon.Options{
		Lake: l, Sources: []string{source}, Listener: listener,
		Collect: collect.Options{BatchAge: 20 * time.Millisecond, Settings: map[string]collect.Settings{source: {Poll: 20 * time.Millisecond}}},
	}
	change(&o)
	d, err := daemon.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stopped := false
	s := &started{d, t, "http://" + listener.Addr().String(), func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		l.Close()
	}}
	t.Cleanup(s.stop)
	return s
}

func (s *started) get(path string, change func(*http.Request)) (int, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	change(r)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func plain(*http.Request) {}

func (s *started) until(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_, metrics := s.get("/metrics", plain)
			s.t.Fatalf("%s never came about:\n%s", what, metrics)
		}
	}
}

func (s *started) metric(line string) func() bool {
	return func() bool {
		_, text := s.get("/metrics", plain)
		return strings.Contains("\n"+text, "\n"+line+"\n")
	}
}

// TestMetrics runs a daemon over a folder: it tells when it is ready, what it collected, and how verification went.
func TestMetrics(t *testing.T) {
	source := t.TempDir()
	source = filepath.Join(source, "with \"quotes\"\nand lines")
	if err := os.Mkdir(source, 0o755); err != nil {
		t.Fatal(err)
	}
	logFile(t, source, 1)
	if err := os.WriteFile(filepath.Join(source, "111122223333_CloudTrail-Digest_us-east-1_t_us-east-1_20260301T120000Z.json.gz"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var verified atomic.Int64
	s := start(t, t.TempDir(), source, func(o *daemon.Options) {
		o.VerifyEvery, o.MaintainEvery = 10*time.Millisecond, 10*time.Millisecond
		o.Verify = func(_ context.Context, name string) (daemon.Verification, error) {
			if verified.Add(1) == 1 {
				return daemon.Verification{}, errors.New("no keys")
			}
			return daemon.Verification{Holds: false, Findings: 2, Failed: 1}, nil
		}
		o.Maintain = func(context.Context) error { return errors.New("no space") }
	})
	s.until("ready", func() bool { code, _ := s.get("/readyz", plain); return code == 200 })
	s.until("a log file", s.metric(`aitrail_log_files_total{result="collected"} 1`))
	logFile(t, source, 2)
	label := `{source="` + strings.NewReplacer(`"`, `\"`, "\n", `\n`).Replace(source) + `"}`
	for _, line := range []string{
		"aitrail_events_total 2", "aitrail_collect_up 1", "aitrail_source_up" + label + " 1", "aitrail_source_events_total" + label + " 2",
		"aitrail_source_newest_event_timestamp_seconds" + label + " 1.7723664e+09",
		"aitrail_verify_holds" + label + " 0", "aitrail_verify_findings" + label + " 2",
	} {
		s.until(line, s.metric(line))
	}
	if code, text := s.get("/healthz", plain); code != 200 || text != "ok\n" {
		t.Errorf("healthz: %d %q", code, text)
	}
	_, text := s.get("/metrics", plain)
	format := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="([^"\\\n]|\\["\\n])*"\}) \S+|[a-z_]+ \S+)$`)
	for line := range strings.Lines(text) {
		if !format.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("line %q", line)
		}
	}
	if !regexp.MustCompile(`\naitrail_maintain_failures_total [1-9]`).MatchString(text) {
		t.Error("no failures of maintenance")
	}
	if code, _ := s.get("/metrics", func(r *http.Request) { r.Host = "evil.example.com" }); code != 403 {
		t.Errorf("another host gets %d", code)
	}
	s.stop()
}

func TestToken(t *testing.T) {
	s := start(t, t.TempDir(), t.TempDir(), func(o *daemon.Options) { o.Token = "secret" })
	for token, want := range map[string]int{"": 401, "Bearer wrong": 401, "Bearer secret": 200} {
		if code, _ := s.get("/metrics", func(r *http.Request) { r.Header.Set("Authorization", token) }); code != want {
			t.Errorf("with %q: %d, want %d", token, code, want)
		}
	}
	if code, _ := s.get("/healthz", plain); code != 200 {
		t.Errorf("healthz asks for the token: %d", code)
	}
}

// TestLakeGone takes the lake away while the daemon runs: collecting breaks, begins anew, and loses nothing.
func TestLakeGone(t *testing.T) {
	source, dir := t.TempDir(), filepath.Join(t.TempDir(), "lake")
	logFile(t, source, 1)
	s := start(t, dir, source, func(*daemon.Options) {})
	s.until("a log file", s.metric(`aitrail_log_files_total{result="collected"} 1`))
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	logFile(t, source, 2)
	s.until("a restart", func() bool {
		_, text := s.get("/metrics", plain)
		return regexp.MustCompile(`\naitrail_collect_restarts_total [1-9]`).MatchString(text)
	})
	if err := os.RemoveAll(dir); err != nil { // what was begun there
		t.Fatal(err)
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	s.until("the second log file", s.metric("aitrail_events_total 2"))
	s.until("ready", func() bool { code, _ := s.get("/readyz", plain); return code == 200 })
}

func FuzzConfig(f *testing.F) {
	f.Add("sources: [s3://a]\n")
	f.Add("lake: x\nlog: {level: debug}\nsources:\n- source: logs:g\n  since: 7d\n")
	f.Add("a: &a [*a]\nsources: *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := daemon.ReadConfig("x", strings.NewReader(text))
		var bad *daemon.ConfigError
		if err == nil && len(c.Sources) == 0 || err != nil && (!errors.As(err, &bad) || len(bad.Problems) == 0) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
