package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/aitrail/aitrail/infra/engine"
	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/companion"
)

const account = "111122223333"

// TestMain makes the test's binary the companion where a test asks for it.
func TestMain(m *testing.M) {
	if os.Getenv("ENGINE_TEST_COMPANION") != "" {
		os.Exit(engine.Main(os.Stdin, os.Stdout, os.Getenv))
	}
	code := m.Run()
	if providerDir != "" {
		os.RemoveAll(providerDir)
	}
	os.Exit(code)
}

var (
	buildProvider sync.Once
	providerDir   string
	providerErr   error
)

// world is a home folder with Pulumi's AWS provider, which is the stand-in, and an account of its own.
type world struct {
	t   *testing.T
	aws string // what AWS holds
	dir string // the companion's
}

// newWorld skips the test where there is no pulumi.
func newWorld(t *testing.T) *world {
	t.Helper()
	pulumi := os.Getenv("AITRAIL_TEST_PULUMI")
	if pulumi == "" {
		var err error
		if pulumi, err = exec.LookPath("pulumi"); err != nil {
			t.Skip("SKIPPED: no pulumi command on the PATH or in AITRAIL_TEST_PULUMI: the engine is not tested")
		}
	}
	buildProvider.Do(func() {
		if providerDir, providerErr = os.MkdirTemp("", "awstest-"); providerErr == nil {
			var out []byte
			out, providerErr = exec.Command("go", "build", "-trimpath", "-o", filepath.Join(providerDir, "pulumi-resource-aws"), "./awstest").CombinedOutput()
			if providerErr != nil {
				providerErr = fmt.Errorf("%w\n%s", providerErr, out)
			}
		}
	})
	if providerErr != nil {
		t.Fatal(providerErr)
	}
	home := t.TempDir()
	plugin := filepath.Join(home, "plugins", "resource-aws-v7.27.0")
	if err := os.MkdirAll(plugin, 0o700); err != nil {
		t.Fatal(err)
	}
	name := "pulumi-resource-aws"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if err := os.Symlink(filepath.Join(providerDir, "pulumi-resource-aws"), filepath.Join(plugin, name)); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, aws: t.TempDir(), dir: filepath.Join(t.TempDir(), "pulumi")}
	t.Setenv("PATH", filepath.Dir(pulumi)+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("PULUMI_HOME", home)
	t.Setenv("HOME", home)
	t.Setenv("PULUMI_CONFIG_PASSPHRASE", "")
	t.Setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "")
	t.Setenv("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
	t.Setenv("AWSTEST_DIR", w.aws)
	t.Setenv("AWSTEST_ACCOUNT", account)
	t.Setenv("AWSTEST_ADDR", "")
	return w
}

func setup() provision.Setup {
	return provision.Setup{Account: account, Region: "eu-central-1", DataTypes: []string{"AWS::Bedrock::Model"}}
}

func (w *world) request(verb companion.Verb, s provision.Setup) companion.Request {
	return companion.Request{Version: companion.Version, Verb: verb, Setup: s, Dir: w.dir}
}

// said is what the companion told.
type said []companion.Message

// do runs the request in this process.
func (w *world) do(req companion.Request) (said, error) {
	w.t.Helper()
	var list said
	err := engine.Run(context.Background(), req, os.Getenv, func(m companion.Message) { list = append(list, m) })
	w.t.Cleanup(func() {
		if w.t.Failed() {
			for _, m := range list {
				text, _ := json.Marshal(m)
				w.t.Logf("%s: %s", req.Verb, text)
			}
		}
	})
	return list, err
}

// must runs a request that succeeds.
func (w *world) must(verb companion.Verb, s provision.Setup) said {
	w.t.Helper()
	list, err := w.do(w.request(verb, s))
	if err != nil {
		w.t.Fatalf("%s: %v", verb, err)
	}
	return list
}

// steps are the names of resources that op came so far with.
func (s said) steps(op string, phase companion.Phase) (names []string) {
	for _, m := range s {
		if m.Type == companion.Step && m.Op == op && m.Phase == phase {
			names = append(names, m.Name)
		}
	}
	return names
}

func (s said) last(kind companion.Type) companion.Message {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].Type == kind && (kind != companion.Summary || s[i].Changes != nil) {
			return s[i]
		}
	}
	return companion.Message{}
}

func (s said) notes() (text string) {
	for _, m := range s {
		if m.Type == companion.Note {
			text += m.Text + "\n"
		}
	}
	return text
}

// holds are the ids of what AWS holds, by type and id.
func (w *world) holds() map[string]string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.aws, "*.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			w.t.Fatal(err)
		}
		var r struct{ Type, ID string }
		if err := json.Unmarshal(text, &r); err != nil {
			w.t.Fatal(err)
		}
		all[r.Type[strings.LastIndex(r.Type, ":")+1:]+" "+r.ID] = name
	}
	return all
}

// faults decide at each change of the provider's what becomes of it.
func (w *world) faults(decide func(moment string) string) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { l.Close() })
	w.t.Setenv("AWSTEST_ADDR", l.Addr().String())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				moment, err := bufio.NewReader(c).ReadString('\n')
				if err == nil {
					fmt.Fprintln(c, decide(strings.TrimSpace(moment)))
				}
			}()
		}
	}()
}

// process is a companion of its own, with the engine under it.
type process struct {
	*exec.Cmd
	out   *bytes.Buffer
	ended chan struct{}
	err   error // after ended
}

func (w *world) start(req companion.Request, out io.Writer) *process {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := json.Marshal(req)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self), out: &bytes.Buffer{}, ended: make(chan struct{})}
	p.Env = append(os.Environ(), "ENGINE_TEST_COMPANION=1")
	p.Stdin = bytes.NewReader(text)
	p.Stdout, p.Stderr = out, os.Stderr
	if out == nil {
		p.Stdout = p.out
	}
	ownGroup(p.Cmd)
	if err := p.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		p.err = p.Wait()
		close(p.ended)
	}()
	return p
}

// wait returns when the companion has ended.
func (p *process) wait() error {
	<-p.ended
	return p.err
}

// until returns when the moment is reached. That the companion ends before it fails the test.
func (p *process) until(w *world, reached <-chan bool) {
	w.t.Helper()
	select {
	case <-reached:
	case <-p.ended:
		w.t.Fatalf("ended with %v before its moment came:\n%s", p.err, p.out)
	}
}

// said are the messages of a companion that has ended.
func (p *process) said() (list said) {
	d := json.NewDecoder(p.out)
	for {
		var m companion.Message
		if d.Decode(&m) != nil {
			return list
		}
		list = append(list, m)
	}
}
