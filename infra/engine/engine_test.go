package engine_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aitrail/aitrail/infra/engine"
	"github.com/aitrail/aitrail/internal/provision"
	"github.com/aitrail/aitrail/internal/provision/companion"
	"github.com/google/go-cmp/cmp"
)

// The whole life of a set-up in the real engine: made, made again, looked at, drifted, mended, changed, taken down, made anew.
func TestLife(t *testing.T) {
	w := newWorld(t)
	s := setup()
	all := len(s.Resources())

	planned := w.must(companion.Preview, s)
	if got := planned.steps("create", companion.Planned); len(got) != all || planned.last(companion.Summary).Changes["create"] < all {
		t.Errorf("preview plans %v, want all %d", got, all)
	}
	if got := w.holds(); len(got) > 0 {
		t.Errorf("the preview made %v", got)
	}

	made := w.must(companion.Up, s)
	if got := made.steps("create", companion.Done); len(got) != all || len(w.holds()) != all {
		t.Errorf("made %d, AWS holds %d, want %d", len(got), len(w.holds()), all)
	}
	order(t, made, s)
	outputs := made.last(companion.Output).Outputs
	for name, want := range map[string]string{
		"bucket_name": "ai-trail-111122223333-eu-central-1", "trail_arn": s.TrailARN(), "role_arn": s.RoleARN(),
		"queue_url": "https://sqs.eu-central-1.amazonaws.com/111122223333/ai-trail-log-files", "kms_key_arn": "",
	} {
		if outputs[name] != want {
			t.Errorf("output %s is %q, want %q", name, outputs[name], want)
		}
	}
	if diff := cmp.Diff(outputs, w.must(companion.Outputs, s).last(companion.Output).Outputs); diff != "" {
		t.Errorf("outputs afterwards (-up +outputs):\n%s", diff)
	}

	again := w.must(companion.Up, s)
	if got := again.last(companion.Summary).Changes; got["create"]+got["update"]+got["replace"]+got["delete"] > 0 || got["same"] < all {
		t.Errorf("a second up: %v", got)
	}

	os.Remove(w.holds()["Queue https://sqs.eu-central-1.amazonaws.com/111122223333/ai-trail-log-files"])
	drifted := w.request(companion.Up, s)
	drifted.Refresh = true
	mended, err := w.do(drifted)
	if err != nil {
		t.Fatal(err)
	}
	if got := mended.steps("create", companion.Done); !slices.Contains(got, "queue") || len(w.holds()) != all {
		t.Errorf("after the queue was deleted by hand up made %v", got)
	}

	s.LogRetentionDays = 30
	changed := w.must(companion.Preview, s)
	if got := changed.steps("update", companion.Planned); !slices.Equal(got, []string{"log-group"}) {
		t.Errorf("planned updates: %v", got)
	}
	for _, m := range changed {
		if m.Op == "update" && !slices.Equal(m.Changed, []string{"retentionInDays"}) {
			t.Errorf("the update changes %v", m.Changed)
		}
	}
	w.must(companion.Up, s)

	down := w.must(companion.Down, s)
	kept := down[len(down)-1].Kept
	left := w.holds()
	for _, r := range s.Resources() {
		if r.Holds != "" && !slices.Contains(kept, r.ID) {
			t.Errorf("%s, which holds %s, was not kept", r.ID, r.Holds)
		}
	}
	if len(left) != len(kept) || len(kept) == all || left["Trail "+s.TrailARN()] != "" {
		t.Errorf("kept %v, AWS holds %v", kept, left)
	}
	if _, err := w.do(w.request(companion.Outputs, s)); code(err) != companion.NoStack {
		t.Errorf("outputs after down: %v", err)
	}
	renewed := w.must(companion.Up, s)
	if got := renewed.steps("create", companion.Done); len(got) != all-len(kept) {
		t.Errorf("up after down made %v, and %v had been kept", got, kept)
	}

	req := w.request(companion.Down, s)
	req.All = true
	if _, err := w.do(req); err != nil {
		t.Fatal(err)
	}
	if left := w.holds(); len(left) > 0 {
		t.Errorf("down --all left %v", left)
	}
	for _, verb := range []companion.Verb{companion.Down, companion.Outputs} {
		if _, err := w.do(w.request(verb, s)); code(err) != companion.NoStack {
			t.Errorf("%s with nothing there: %v", verb, err)
		}
	}
}

// order checks that each resource was begun after those it depends on had been made.
func order(t *testing.T, s said, of provision.Setup) {
	t.Helper()
	at := func(name string, phase companion.Phase) int {
		return slices.IndexFunc(s, func(m companion.Message) bool { return m.Type == companion.Step && m.Name == name && m.Phase == phase })
	}
	for _, r := range of.Resources() {
		for _, d := range r.DependsOn {
			if at(d, companion.Done) > at(r.ID, companion.Started) || at(d, companion.Done) < 0 {
				t.Errorf("%s was begun before %s was made", r.ID, d)
			}
		}
	}
}

func code(err error) companion.Code {
	var e *companion.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// All parts of the set-up go through the engine, and with protect nothing that holds something can be deleted.
func TestEverythingProtected(t *testing.T) {
	w := newWorld(t)
	s := setup()
	s.OwnKey, s.InvocationLogging, s.LakeBucket, s.ObjectLockDays = true, true, "a-lake", 30
	req := w.request(companion.Up, s)
	req.Protect = true
	made, err := w.do(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(w.holds()); got != len(s.Resources()) {
		t.Errorf("AWS holds %d, want %d", got, len(s.Resources()))
	}
	if got, _ := made.last(companion.Output).Outputs["kms_key_arn"].(string); !strings.HasPrefix(got, "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-") {
		t.Errorf("the key is %v", got)
	}
	w.must(companion.Down, s) // what is protected is kept anyway
	left := len(w.holds())
	all := w.request(companion.Down, s)
	all.All = true
	if _, err := w.do(all); code(err) != companion.Protected || !strings.Contains(err.Error(), "log-bucket, ") {
		t.Errorf("down --all of what is protected: %v", err)
	}
	if got := len(w.holds()); got != left {
		t.Errorf("of %d protected resources %d are left", left, got)
	}
}

// A resource that AWS refuses fails the run; what was made stays, and the next run goes on.
func TestRefusedHalfway(t *testing.T) {
	w := newWorld(t)
	s := setup()
	refuse := true
	w.faults(func(moment string) string {
		if refuse && strings.HasPrefix(moment, "before create aws:cloudtrail/trail:Trail") {
			return "fail MaximumNumberOfTrailsExceededException: User: 111122223333 already has 5 trails in eu-central-1"
		}
		return "go"
	})
	list, err := w.do(w.request(companion.Up, s))
	if err == nil || !strings.Contains(err.Error(), "trail: ") || !strings.Contains(err.Error(), "already has 5 trails") || code(err) != companion.TrailLimit {
		t.Errorf("got %v", err)
	}
	if got := list.steps("create", companion.Failed); !slices.Equal(got, []string{"trail"}) {
		t.Errorf("failed: %v", got)
	}
	if got := len(w.holds()); got != len(s.Resources())-1 {
		t.Errorf("AWS holds %d", got)
	}
	refuse = false
	if got := w.must(companion.Up, s).steps("create", companion.Done); !slices.Equal(got, []string{"trail"}) {
		t.Errorf("the next up made %v", got)
	}
}

// Killed at whichever moment, before a change took effect or after, the next run finds out, and goes on.
func TestKilled(t *testing.T) {
	newWorld(t)
	for _, moment := range []string{
		"before create aws:s3/bucket:Bucket", "after create aws:s3/bucket:Bucket", "after create aws:cloudtrail/trail:Trail",
		"after create aws:sqs/queue:Queue", "after create aws:iam/rolePolicy:RolePolicy", "after create aws:kms/key:Key",
		"before update aws:cloudwatch/logGroup:LogGroup", "after update aws:cloudwatch/logGroup:LogGroup",
		"before delete aws:cloudtrail/trail:Trail", "after delete aws:cloudtrail/trail:Trail",
	} {
		t.Run(moment, func(t *testing.T) {
			w := &world{t: t, aws: t.TempDir(), dir: t.TempDir()}
			t.Setenv("AWSTEST_DIR", w.aws)
			s := setup()
			s.OwnKey = strings.Contains(moment, "kms")
			req := w.request(companion.Up, s)
			if !strings.Contains(moment, "create") {
				w.must(companion.Up, s)
				s.LogRetentionDays = 30
				req = w.request(companion.Up, s)
			}
			if strings.Contains(moment, "delete") {
				req.Verb = companion.Down
			}
			reached, hold := make(chan bool, 1), make(chan bool)
			w.faults(func(m string) string {
				if strings.HasPrefix(m, moment+" ") {
					reached <- true
					<-hold
					return "die"
				}
				return "go"
			})
			p := w.start(req, nil)
			p.until(w, reached)
			// While it is at work, nobody else may be.
			if _, err := w.do(w.request(companion.Up, s)); code(err) != companion.Locked || !strings.Contains(err.Error(), "pid") {
				t.Errorf("a second run at the same time: %v", err)
			}
			p.kill(w)
			os.Setenv("AWSTEST_ADDR", "")
			close(hold)

			if got := w.must(companion.Preview, s).notes(); !strings.Contains(got, "removed the lock") || !strings.Contains(got, "an earlier run was stopped") {
				t.Errorf("the preview afterwards says %q", got)
			}
			verb, want := companion.Up, len(s.Resources())
			if moment == "after create aws:kms/key:Key" {
				want++ // AWS chooses a key's id: the first can't be found again
			}
			next := w.must(verb, s)
			if got := next.notes(); !strings.Contains(got, "looking up what became of that") {
				t.Errorf("the next run says %q", got)
			}
			if got := w.holds(); len(got) != want {
				t.Errorf("AWS holds %d, want %d: %v", len(got), want, got)
			}
			if got := w.must(verb, s); got.notes() != "" || got.last(companion.Summary).Changes["same"] < len(s.Resources()) {
				t.Errorf("the run after that: %q, %v", got.notes(), got.last(companion.Summary).Changes)
			}
		})
	}
}

// An interrupt lets end what is under way and starts nothing more.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	s := setup()
	reached, hold := make(chan bool, 1), make(chan bool)
	w.faults(func(m string) string {
		if strings.HasPrefix(m, "after create aws:s3/bucket:Bucket ") {
			reached <- true
			<-hold
		}
		return "go"
	})
	p := w.start(w.request(companion.Up, s), nil)
	p.until(w, reached)
	p.signal(syscall.SIGINT)
	close(hold)
	err := p.wait()
	list := p.said()
	if err == nil || list.last(companion.Failure).Code != companion.Interrupted {
		t.Errorf("ended with %v, %+v", err, list.last(companion.Failure))
	}
	if got := len(w.holds()); got == 0 || got == len(s.Resources()) {
		t.Errorf("AWS holds %d of %d", got, len(s.Resources()))
	}
	next := w.must(companion.Up, s)
	if got := next.notes(); got != "" || len(w.holds()) != len(s.Resources()) {
		t.Errorf("the next run says %q and AWS holds %d", got, len(w.holds()))
	}
}

// Whoever started the companion may go away: the update is finished all the same.
func TestReaderGone(t *testing.T) {
	w := newWorld(t)
	s := setup()
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := w.start(w.request(companion.Up, s), out)
	out.Close()
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := p.wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if got := len(w.holds()); got != len(s.Resources()) {
		t.Errorf("AWS holds %d, want %d", got, len(s.Resources()))
	}
}

func TestWrongAccount(t *testing.T) {
	w := newWorld(t)
	t.Setenv("AWSTEST_ACCOUNT", "444455556666")
	_, err := w.do(w.request(companion.Up, setup()))
	if code(err) != companion.WrongAccount {
		t.Errorf("got %v", err)
	}
	if got := w.holds(); len(got) > 0 {
		t.Errorf("made %v", got)
	}
}

func TestPassphrase(t *testing.T) {
	w := newWorld(t)
	s := setup()
	w.must(companion.Up, s)
	info, err := os.Stat(w.dir + "/passphrase")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the passphrase's file: %v, %v", info, err)
	}
	t.Setenv("PULUMI_CONFIG_PASSPHRASE", "another")
	if _, err := w.do(w.request(companion.Up, s)); code(err) != companion.BadPassphrase {
		t.Errorf("with another passphrase: %v", err)
	}
	t.Setenv("PULUMI_CONFIG_PASSPHRASE", "")
	req := w.request(companion.Up, s)
	req.Backend = "file://" + t.TempDir()
	if _, err := w.do(req); code(err) != companion.NoPassphrase {
		t.Errorf("a back end of the user's without a passphrase: %v", err)
	}
	t.Setenv("PULUMI_CONFIG_PASSPHRASE", "the user's")
	if _, err := w.do(req); code(err) != "" && !strings.Contains(err.Error(), "exists already") {
		t.Errorf("a back end of the user's: %v", err)
	}
}

func TestNoPulumi(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	req := companion.Request{Version: companion.Version, Verb: companion.Up, Setup: setup(), Dir: t.TempDir()}
	err := engine.Run(t.Context(), req, os.Getenv, func(companion.Message) {})
	if code(err) != companion.NoPulumi {
		t.Errorf("got %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	for text, want := range map[string]string{
		"":              "EOF",
		"{":             "unexpected EOF",
		`{"version":2}`: "version 2",
		`{"version":1,"verb":"up","dir":"d","colour":"red"}`: "colour",
		`{"version":1,"verb":"fly","dir":"d"}`:               "fly",
		`{"version":1,"verb":"up"}`:                          "no folder",
		`{"version":1,"verb":"up","dir":"d","setup":{"account":"1","region":"eu-central-1","data_types":null}}`: "twelve digits",
	} {
		var out strings.Builder
		if got := engine.Main(strings.NewReader(text), &out, os.Getenv); got != 1 {
			t.Errorf("%s: exit code %d", text, got)
		}
		var m companion.Message
		if err := json.Unmarshal([]byte(out.String()), &m); err != nil || m.Code != companion.BadRequest || !strings.Contains(m.Text, want) {
			t.Errorf("%s: %s, want %q", text, out.String(), want)
		}
	}
}
