package aitrail_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinksOfDocsResolve looks for every file that a page of the repository links to.
func TestLinksOfDocsResolve(t *testing.T) {
	pages, links := 0, 0
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(p, ".md") {
			return err
		}
		pages++
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		for _, m := range markdownLink.FindAllStringSubmatch(string(text), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(p), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s: %v", p, m[1], err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages < 5 || links < 4 {
		t.Errorf("only %d pages and %d links found", pages, links)
	}
}

// TestTheREADMEsCommandsAreThere compares the README's make targets and commands with what there is.
func TestTheREADMEsCommandsAreThere(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range regexp.MustCompile("(?m)make ([a-z/-]+)").FindAllStringSubmatch(string(readme), -1) {
		if !strings.Contains(string(makefile), "\n"+target[1]+":") {
			t.Errorf("README says make %s; the Makefile has no such target", target[1])
		}
	}
	commands, err := os.ReadFile("internal/cli/cli.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^aitrail ([a-z]+)`).FindAllStringSubmatch(string(readme), -1) {
		if !strings.Contains(string(commands), "a."+m[1]+"Command()") {
			t.Errorf("README says aitrail %s; there is no such command", m[1])
		}
	}
}
