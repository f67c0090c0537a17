package cli_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/aitrail/aitrail/internal/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"aitrail": func() {
			os.Exit(cli.Main(os.Args[1:], cli.World{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now}))
		},
		"fake-companion": fakeCompanion,
	})
}

// realTrail are real log files that may lie beside the repository.
var realTrail, _ = filepath.Abs("../../../shared/data/real-trail")

// TestScripts runs the command line as users type it, one behaviour a file.
func TestScripts(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() }) // scripts run in parallel, after this function has returned
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("BUSY", busy.Addr().String())
			e.Setenv("REALTRAIL", realTrail)
			if fake, err := exec.LookPath("fake-companion"); err == nil {
				e.Setenv("FAKE_COMPANION", fake)
			}
			e.Setenv("AITRAIL_LAKE", filepath.Join(e.WorkDir, "lake"))
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("TMPDIR", filepath.Join(e.WorkDir, "tmp"))
			return os.MkdirAll(filepath.Join(e.WorkDir, "tmp"), 0o755)
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "mount":
				return canMount(), nil
			case "realtrail":
				_, err := os.Stat(realTrail)
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "logfile": logfile, "gzip": gzipFile, "serve": serve, "request": request, "smalldisk": smallDisk, "newer": newer,
			"trail": trailCmd, "alter": alter, "remove": remove, "unzip": unzip, "tampered": tampered, "until": until, "set": set,
			"flip": flip,
		},
	})
}

// exits N COMMAND… runs a command and wants the exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errorsAs(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func errorsAs(err error, target **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*target = e
	return ok
}

// logfile NAME RECORDS [PAD] writes a log file with so many records, each padded with so many bytes that don't compress
// well.
func logfile(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	pad := 0
	if len(args) > 2 {
		pad, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	noise := rand.New(rand.NewPCG(1, 2))
	padding := make([]byte, pad)
	var b bytes.Buffer
	b.WriteString(`{"Records":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		for at := range padding {
			padding[at] = byte('a' + noise.IntN(26))
		}
		fmt.Fprintf(&b, `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","userName":"ana","accountId":"111122223333"},"eventTime":"2026-11-%02dT07:30:00Z",`+
			`"eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1","userAgent":"%s",`+
			`"requestParameters":{"modelId":"amazon.nova-lite-v1:0"},"responseElements":null,"requestID":"%s-%d","eventID":"00000000-0000-4000-8000-%012d","readOnly":true,`+
			`"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}`,
			20+i%3, "aws-cli/2"+string(padding), args[0], i, i)
	}
	b.WriteString("]}")
	writeMaybeGzip(ts, args[0], b.Bytes())
}

func writeMaybeGzip(ts *testscript.TestScript, name string, data []byte) {
	file := ts.MkAbs(name)
	ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
	if strings.HasSuffix(name, ".gz") {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write(data)
		ts.Check(err)
		ts.Check(w.Close())
		data = b.Bytes()
	}
	ts.Check(os.WriteFile(file, data, 0o644))
}

// gzip FILE [KEEP] compresses a file to FILE.gz, of which it keeps so many bytes.
func gzipFile(ts *testscript.TestScript, neg bool, args []string) {
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	writeMaybeGzip(ts, args[0]+".gz", data)
	if len(args) > 1 {
		keep, err := strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
		ts.Check(os.Truncate(ts.MkAbs(args[0]+".gz"), keep))
	}
	ts.Check(os.Remove(ts.MkAbs(args[0])))
}

// serve DIR [FLAG…] starts `aitrail local` until the script ends, and sets URL and the AWS_… variables.
// serve -kill DIR kills it (SIGKILL).
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if args[0] == "-kill" {
		p := ts.Value(args[1]).(*exec.Cmd)
		ts.Check(p.Process.Kill())
		_ = p.Wait()
		return
	}
	cmd := exec.Command("aitrail", append([]string{"local", "--addr", "127.0.0.1:0", "--dir", ts.MkAbs(args[0])}, args[1:]...)...)
	cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"), "HOME="+ts.Getenv("HOME"))
	if path := filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "aitrail"); cmd.Err != nil {
		cmd.Path, cmd.Err = path, nil
	}
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	cmd.Stderr = os.Stderr
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for range 2 { // the second line comes when all is ready
		if !lines.Scan() {
			ts.Fatalf("aitrail local ended: %v", lines.Err())
		}
		if url, ok := strings.CutPrefix(lines.Text(), "endpoint "); ok {
			ts.Setenv("URL", url)
		}
	}
	env, err := os.ReadFile(filepath.Join(ts.MkAbs(args[0]), "aws.env"))
	ts.Check(err)
	for line := range strings.Lines(string(env)) {
		if k, v, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "="); ok && !strings.HasPrefix(k, "#") {
			ts.Setenv(k, strings.Trim(v, `'"`))
		}
	}
}

// request METHOD URL [HEADER: VALUE]… [@BODY] makes an HTTP request and prints status, headers and body to stdout.
func request(ts *testscript.TestScript, neg bool, args []string) {
	var body io.Reader
	req, err := http.NewRequest(args[0], args[1], nil)
	ts.Check(err)
	for _, arg := range args[2:] {
		if text, ok := strings.CutPrefix(arg, "@"); ok {
			body = strings.NewReader(text)
			req.Body, req.ContentLength = io.NopCloser(body), int64(len(text))
			continue
		}
		k, v, _ := strings.Cut(arg, ": ")
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n", resp.Status)
	ts.Check(resp.Header.Write(ts.Stdout()))
	fmt.Fprintf(ts.Stdout(), "\n%s\n", answer)
}

// smalldisk DIR BYTES mounts a file system of so many bytes; scripts guard it with [!mount].
func smallDisk(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(mountSmall(dir, args[1]))
	ts.Defer(func() { _ = unmount(dir) })
}

// newer LAKE makes a lake's tables say that a newer version wrote them.
func newer(ts *testscript.TestScript, neg bool, args []string) {
	n := 0
	err := filepath.WalkDir(ts.MkAbs(args[0]), func(p string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(p, ".metadata.json") {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		var meta map[string]any
		if err := json.Unmarshal(data, &meta); err != nil {
			return err
		}
		properties, _ := meta["properties"].(map[string]any)
		for k := range properties {
			if strings.HasPrefix(k, "aitrail.") && strings.HasSuffix(k, "version") {
				properties[k] = "99"
				n++
			}
		}
		if data, err = json.Marshal(meta); err != nil {
			return err
		}
		return os.WriteFile(p, data, 0o644)
	})
	ts.Check(err)
	if n == 0 {
		ts.Fatalf("no version found in %s", args[0])
	}
}

// until PATTERN COMMAND… repeats a command until its output has the pattern, three minutes at most: for what other
// processes do in their own time.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND ARG…")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(3 * time.Minute); ; {
		err := ts.Exec(args[1], args[2:]...)
		if out := ts.ReadFile("stdout"); err == nil && want.MatchString(out) {
			return
		} else if time.Now().After(end) {
			ts.Fatalf("%q is not there after three minutes (%v)", args[0], err)
		}
	}
}

// set NAME PATTERN sets a variable to what the pattern's group matches in the last command's output.
func set(ts *testscript.TestScript, neg bool, args []string) {
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("%q matches nothing in the output, or has no group", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// flip FILE OLD NEW changes one byte of a gzip file's content, which stays a gzip file: OLD and NEW differ in it.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	packed, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	r, err := gzip.NewReader(bytes.NewReader(packed))
	ts.Check(err)
	data, err := io.ReadAll(r)
	ts.Check(err)
	before, after := []byte(args[1]), []byte(args[2])
	differ := 0
	for i := range before {
		if before[i] != after[i] {
			differ++
		}
	}
	if differ != 1 || len(before) != len(after) || !bytes.Contains(data, before) {
		ts.Fatalf("%q is not in the file, or doesn't differ from %q in one byte", args[1], args[2])
	}
	writeMaybeGzip(ts, args[0], bytes.Replace(data, before, after, 1))
}
