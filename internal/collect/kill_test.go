package collect_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aitrail/aitrail/bench/corpus"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/lake"
)

// These variables make the test binary a collector: they hold the lake's folder and the source's.
const (
	killLake   = "COLLECT_TEST_LAKE"
	killSource = "COLLECT_TEST_SOURCE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killLake); dir != "" {
		if err := collector(dir, os.Getenv(killSource)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// collector collects as a process of its own.
func collector(dir, source string) error {
	ctx := context.Background()
	l, err := lake.Open(ctx, dir, lake.Options{Create: true})
	if err != nil {
		return err
	}
	if _, err := collect.Collect(ctx, l, []string{source}, collect.Options{BatchEvents: 150}); err != nil {
		return err
	}
	return l.Close()
}

// TestKill kills collectors at random moments until one of them comes to the end: each log file's events are in the
// lake once then. Some rounds have two collectors at work at once.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	source := t.TempDir()
	files := folder(t, source, corpus.Options{Events: 1500, Seed: 11, PerFile: 30})
	want := records(t, files)
	rnd := rand.New(rand.NewPCG(1, 2))
	start := time.Now()
	whole := clean(t, source)
	for kills := 0; kills < 20; {
		dir := t.TempDir()
		for round := 0; round < 8 && kills < 20; round++ {
			kills += kill(t, rnd, whole, dir, source, 1+round%2)
		}
		if err := collector(dir, source); err != nil {
			t.Fatal(err)
		}
		l := newLake(t, dir)
		sameRows(t, rows(t, l), want)
	}
	t.Logf("20 kills in %v; a run without takes %v", time.Since(start), whole)
}

// clean measures how long a collector takes that isn't killed.
func clean(t *testing.T, source string) time.Duration {
	t.Helper()
	start := time.Now()
	cmd := subprocess(t, t.TempDir(), source)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

// kill starts n collectors, kills them at random moments and returns how many were killed before their end.
func kill(t *testing.T, rnd *rand.Rand, whole time.Duration, dir, source string, n int) int {
	t.Helper()
	var cmds []*exec.Cmd
	for range n {
		cmds = append(cmds, subprocess(t, dir, source))
	}
	killed := 0
	for _, cmd := range cmds {
		timer := time.AfterFunc(time.Duration(rnd.Int64N(int64(whole))), func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		switch {
		case err != nil && cmd.ProcessState.ExitCode() == -1:
			killed++
		case err != nil:
			t.Fatalf("collector: %v", err)
		}
	}
	return killed
}

func subprocess(t *testing.T, dir, source string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killLake+"="+dir, killSource+"="+source)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}
