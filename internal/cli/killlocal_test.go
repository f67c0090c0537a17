package cli_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/aitrail/aitrail/internal/cli/demo"
	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/object"
	"github.com/aitrail/aitrail/internal/object/objecttest"
	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/live"
)

// life is `aitrail local` from a start to its end.
type life struct {
	cmd    *exec.Cmd
	at     demo.Endpoint
	stderr bytes.Buffer // read after Wait
}

// begin starts the endpoint on what dir holds, and returns when it answers.
func begin(t *testing.T, dir string) *life {
	t.Helper()
	l := &life{cmd: exec.Command("aitrail", "local", "--addr", "127.0.0.1:0", "--dir", dir, "--deliver-every", "5ms", "--digest-every", "200ms")}
	l.cmd.Stderr = &l.stderr
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for l.at.URL == "" {
		if !lines.Scan() {
			t.Fatalf("aitrail local: %v\n%s", l.cmd.Wait(), l.stderr.String())
		}
		l.at.URL, _ = strings.CutPrefix(lines.Text(), "endpoint ")
	}
	for line := range strings.Lines(string(readFile(t, filepath.Join(dir, "aws.env")))) {
		k, v, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		switch v = strings.Trim(v, "'"); k {
		case "AWS_ACCESS_KEY_ID":
			l.at.AccessKeyID = v
		case "AWS_SECRET_ACCESS_KEY":
			l.at.SecretAccessKey = v
		case "AWS_DEFAULT_REGION":
			l.at.Region = v
		}
	}
	return l
}

// kill ends the endpoint as kill -9 does.
func (l *life) kill(t *testing.T) {
	t.Helper()
	if err := l.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = l.cmd.Wait() // "signal: killed"
	if status, ok := l.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("aitrail local ended by itself: %v\n%s", l.cmd.ProcessState, l.stderr.String())
	}
}

// load makes calls from so many clients at once until each loses its connection, and sends the request id of every
// answer. The channel is closed when the last client has given up.
func (l *life) load(ctx context.Context, clients int) <-chan string {
	answered := make(chan string, 1<<16)
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			for call := n; ; call++ {
				id, err := l.call(ctx, call%3)
				if err != nil {
					return
				}
				answered <- id
			}
		})
	}
	go func() { all.Wait(); close(answered) }()
	return answered
}

// call makes one call of some kind, without retries. An error that the service answers with is an answer.
func (l *life) call(ctx context.Context, kind int) (requestID string, err error) {
	cfg := l.at.Config()
	cfg.RetryMaxAttempts = 1
	models := bedrockruntime.NewFromConfig(cfg)
	var meta middleware.Metadata
	switch kind {
	case 0:
		var out *sts.GetCallerIdentityOutput
		if out, err = sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil); err == nil {
			meta = out.ResultMetadata
		}
	case 1:
		var out *bedrockruntime.ConverseOutput
		hello := []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: "hello"}}}}
		if out, err = models.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: aws.String("amazon.nova-lite-v1:0"), Messages: hello}); err == nil {
			meta = out.ResultMetadata
		}
	default:
		_, err = models.InvokeModel(ctx, &bedrockruntime.InvokeModelInput{ModelId: aws.String("no.such-model-v1:0"), Body: []byte("{}")})
		var refused smithy.APIError
		var answer interface{ ServiceRequestID() string }
		if errors.As(err, &refused) && refused.ErrorCode() == "ValidationException" && errors.As(err, &answer) {
			return answer.ServiceRequestID(), nil
		}
	}
	if err != nil {
		return "", err
	}
	id, ok := awsmiddleware.GetRequestIDMetadata(meta)
	if !ok {
		return "", errors.New("an answer without a request id")
	}
	return id, nil
}

// delivered reads every log file of the trail and returns how often it has each request, and the events' ids.
func delivered(ctx context.Context, t *testing.T, store object.Store) (requests, events map[string]int) {
	t.Helper()
	requests, events = map[string]int{}, map[string]int{}
	for info, err := range store.List(ctx, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if k, ok := cloudtrail.ParseKey(info.Key); !ok || k.Kind != cloudtrail.KindLog {
			continue
		}
		body, _, err := store.Open(ctx, info.Key)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := gzip.NewReader(body)
		if err != nil {
			t.Fatalf("%s: %v", info.Key, err)
		}
		r := cloudtrail.NewReader(plain)
		for {
			var e cloudtrail.Event
			if err := r.Next(&e); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", info.Key, err)
			}
			requests[e.RequestID]++
			events[e.EventID]++
		}
		body.Close()
	}
	return requests, events
}

// TestKillLocal kills the endpoint under load, again and again: every call that was answered is in a delivered log file
// then, once; no event is there twice; and the digests prove the files, across all lives.
func TestKillLocal(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes some seconds")
	}
	const kills, clients = 20, 8
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(7, 9))
	l := begin(t, dir)
	trail, err := live.Apply(ctx, l.at.Config(), provision.Setup{Account: "111122223333", Region: l.at.Region}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var answered []string
	for range kills {
		calls := l.load(ctx, clients)
		after := 1 + rnd.IntN(150) // answers, at which it dies while the other clients wait for theirs
		n := 0
		for id := range calls {
			answered = append(answered, id)
			if n++; n == after {
				l.kill(t)
			}
		}
		if n < after {
			t.Fatalf("the endpoint answered %d calls only", n)
		}
		l = begin(t, dir)
	}
	last, err := l.call(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	answered = append(answered, last)

	objecttest.NoAWS(t)
	t.Setenv("AWS_ENDPOINT_URL", l.at.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", l.at.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", l.at.SecretAccessKey)
	t.Setenv("AWS_DEFAULT_REGION", l.at.Region)
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	source := "s3://" + trail.Bucket + "/" + trail.Prefix
	store, err := object.Open(ctx, source)
	if err != nil {
		t.Fatal(err)
	}
	requests, events := delivered(ctx, t, store)
	for requests[last] == 0 && ctx.Err() == nil { // log files are delivered in the order of calls
		requests, events = delivered(ctx, t, store)
	}
	for _, id := range answered {
		if n := requests[id]; n != 1 {
			t.Errorf("request %s, which was answered, is in log files %d times", id, n)
		}
	}
	for id, n := range events {
		if n != 1 {
			t.Errorf("event %s is in log files %d times", id, n)
		}
	}
	verify := exec.CommandContext(ctx, "aitrail", "verify", source, "--lake", filepath.Join(dir, "no-lake"))
	if out, err := verify.CombinedOutput(); err != nil || !strings.Contains(string(out), "all that can be proven holds") {
		t.Errorf("aitrail verify: %v\n%s", err, out)
	}
	t.Logf("%d kills, %d calls answered, %d events delivered", kills, len(answered), len(events))
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
