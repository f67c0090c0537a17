package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/daemon"
)

// TestExamples reads the configurations that are given as examples.
func TestExamples(t *testing.T) {
	example, err := os.ReadFile(filepath.Join("..", "..", "deploy", "aitrail.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "daemon.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, yaml, _ := strings.Cut(string(page), "```yaml\n")
	yaml, _, _ = strings.Cut(yaml, "```")
	for name, text := range map[string]string{
		"aitrail.yaml": string(example), "daemon.md": yaml,
		"with all": strings.NewReplacer("  # - ", "  - ", "  #   ", "    ").Replace(string(example)),
	} {
		c, err := daemon.ReadConfig(name, strings.NewReader(text))
		if err != nil || len(c.Sources) == 0 {
			t.Errorf("%+v, %v", c, err)
		}
	}
	got, err := daemon.ReadConfig("x", strings.NewReader("token: t\nlisten: 0.0.0.0:1\nverify: never\nsources: [s3://a, {source: logs:g, since: 2d}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	got.Settings, got.Sources = nil, nil
	want := daemon.Config{Listen: "0.0.0.0:1", Token: "t", Maintain: daemon.DefaultMaintain}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

// TestMetricsAreDocumented compares the page's table of metrics with what is written.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "daemon.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), t.TempDir(), func(*daemon.Options) {})
	_, text := s.get("/metrics", plain)
	found := 0
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ = strings.Cut(name, " ")
			found++
			if !strings.Contains(string(page), "`"+name) {
				t.Errorf("%s isn't in docs/daemon.md", name)
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d metrics", found)
	}
}
