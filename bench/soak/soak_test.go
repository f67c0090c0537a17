package main

import (
	"os"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/cli"
	"github.com/aitrail/aitrail/internal/endpoint/fault"
)

func TestMain(m *testing.M) {
	if os.Getenv(aitrail) != "" {
		os.Exit(cli.Main(os.Args[1:], cli.World{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now}))
	}
	os.Exit(m.Run())
}

// TestSoak is a soak of some seconds, with all faults more often than in the long one.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some 20 seconds")
	}
	o := options{
		dir: t.TempDir(), calls: 300, least: 200, long: 6 * time.Second, clients: 2, collectors: 2, deliver: time.Second, digest: 4 * time.Second,
		calm: [2]time.Duration{time.Second, 4 * time.Second}, slow: 0.02, patience: 5 * time.Minute, log: t.Logf,
		faults: fault.Shares{"late-file": 0.3, "duplicate-file": 0.3, "disorder-file": 0.3, "missing-file": 0.3, "altered-file": 0.2, "missing-digest": 0.3, "throttle": 0.05, "error": 0.05},
	}
	r, err := soak(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d calls failed; gaps: %s", r.kills, r.failed, count(r.gaps))
	if err := r.wrong(o); err != nil {
		t.Error(err)
	}
	if r.kills == 0 || r.failed == 0 || len(r.gaps) == 0 {
		t.Errorf("nothing went wrong: %d kills, %d calls failed, %d gaps", r.kills, r.failed, len(r.gaps))
	}
}
