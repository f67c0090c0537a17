package cli

import (
	"sync"
	"testing"

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
