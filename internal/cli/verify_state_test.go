package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/digest"
)

// Processes that verify a lake for the first time at once leave one key, and a file that it signed.
func TestCheckpointsBegunTogether(t *testing.T) {
	dir := t.TempDir()
	var opened []*checkpoints
	for range 8 {
		c, err := openCheckpoints(dir)
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, c)
	}
	var g sync.WaitGroup
	for _, c := range opened {
		g.Go(func() {
			if err := c.keep("s3://example-bucket/", &digest.State{}); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	now, err := openCheckpoints(dir)
	if err != nil || now.altered != "" || now.saved.Sources["s3://example-bucket/"] == nil {
		t.Errorf("checkpoints: altered %q, sources %v, %v", now.altered, now.saved.Sources, err)
	}
	for _, c := range opened {
		if !c.key.Equal(now.key) {
			t.Error("a process went on with a key of its own")
		}
	}
}

// What a killed process left goes with a later verification, what another one is making stays.
func TestCheckpointsTidied(t *testing.T) {
	lake := t.TempDir()
	c, err := openCheckpoints(lake)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.keep("", nil); err != nil {
		t.Fatal(err)
	}
	old, young := []string{"proof.tmp-1", "proof/checkpoints.json.tmp-1", "proof/checkpoint.key.tmp-1"}, []string{"proof.tmp-2", "proof/checkpoints.json.tmp-2"}
	others := []string{"proof.tmp", "proof/checkpoint.key", "proof/checkpoints.json", "proof/checkpoints.json.altered-20260301T000000.000Z", "events.tmp-1"}
	for _, name := range slices.Concat(old, young, others) {
		path := filepath.Join(lake, name)
		if strings.HasPrefix(name, "proof.tmp") {
			path = filepath.Join(path, checkpointKey)
			if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(path); err != nil {
			if err := os.WriteFile(path, []byte("key"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Contains(young, name) {
			if err := os.Chtimes(filepath.Join(lake, name), time.Time{}, time.Now().Add(-2*unfinished)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err = openCheckpoints(lake)
	if err != nil || c.altered != "" {
		t.Fatal(err, c.altered)
	}
	if err := c.keep("", nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(young, others) {
		if _, err := os.Stat(filepath.Join(lake, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range old {
		if _, err := os.Stat(filepath.Join(lake, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}
