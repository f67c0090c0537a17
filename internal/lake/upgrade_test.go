//go:build unix

package lake_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/lake"
)

// oldLakes are small lakes that released versions of the format were written in.
const oldLakes = "testdata/lake-v*"

// copyOfOld returns the folder of a copy of such a lake.
func copyOfOld(t *testing.T, old string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lake")
	if err := os.CopyFS(dir, os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// versionOf returns the version that all tables have; 0 when they differ.
func versionOf(t *testing.T, dir string) int {
	t.Helper()
	versions := map[string]bool{}
	for _, table := range lake.Tables() {
		n := 1
		name := func() string { return filepath.Join(dir, table, "metadata", fmt.Sprintf("v%d.metadata.json", n)) }
		for ; ; n++ {
			if _, err := os.Stat(name()); err != nil {
				break
			}
		}
		if n--; n == 0 && table != lake.Events && table != lake.LogFiles {
			continue // older lakes have no other tables
		}
		b, err := os.ReadFile(name())
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), `"aitrail.format-version":"`)
		version, _, _ := strings.Cut(rest, `"`)
		versions[version] = true
	}
	var n int
	for version := range versions {
		if len(versions) == 1 {
			if _, err := fmt.Sscan(version, &n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

// TestOldLakes reads lakes of older versions, brings them up to date, collects into them and maintains them.
func TestOldLakes(t *testing.T) {
	lakes, err := filepath.Glob(oldLakes)
	if err != nil || len(lakes) == 0 {
		t.Fatalf("no lakes %s, %v", oldLakes, err)
	}
	for _, old := range lakes {
		t.Run(old, func(t *testing.T) {
			dir := copyOfOld(t, old)
			before := content(t, open(t, dir, lake.Options{ReadOnly: true}))
			if n := versionOf(t, dir); n != int(old[len(old)-1]-'0') {
				t.Errorf("opened for reading the lake has version %d", n)
			}
			for _, table := range []string{lake.Invocations, lake.Digests} {
				if s, err := open(t, dir, lake.Options{ReadOnly: true}).Files(ctx, table); err != nil || s.Rows != 0 || s.ID != 0 {
					t.Errorf("opened for reading the lake has %s %+v, %v", table, s, err)
				}
			}
			if len(before) < 15+4 {
				t.Fatalf("%d rows", len(before))
			}
			l := open(t, dir, lake.Options{})
			if n := versionOf(t, dir); n != lake.Version {
				t.Errorf("version %d, want %d", n, lake.Version)
			}
			if after := content(t, l); !maps.Equal(before, after) {
				t.Errorf("bringing the lake up to date changed it: %d rows before, %d after", len(before), len(after))
			}
			if r := commit(t, l, numbered("file:///new", 500_000, 500_003)); r.Events != 3 {
				t.Errorf("Commit = %+v", r)
			}
			if _, err := open(t, dir, lake.Options{Now: later}).Maintain(ctx, lake.Maintenance{}); err != nil {
				t.Errorf("Maintain: %v", err)
			}
			after := content(t, open(t, dir, lake.Options{ReadOnly: true}))
			for at, row := range before {
				if after[at] != row {
					t.Errorf("%s was %s, and is %s", at, row, after[at])
				}
			}
			if len(after) != len(before)+4 {
				t.Errorf("%d rows, want %d", len(after), len(before)+4)
			}
			if r := commitInvocations(t, open(t, dir, lake.Options{}), "file:///i", 0, 3); r.Invocations != 3 {
				t.Errorf("Commit = %+v", r)
			}
		})
	}
}

// TestFaultAtEachStepOfUpgrade fails before and after each step of opening an older lake.
func TestFaultAtEachStepOfUpgrade(t *testing.T) {
	const old = "testdata/lake-v2"
	before := content(t, open(t, copyOfOld(t, old), lake.Options{ReadOnly: true}))
	counted := &steps{at: -1}
	open(t, copyOfOld(t, old), lake.Options{}.WithFault(counted.fault))
	if counted.n < 6 {
		t.Fatalf("opening an older lake takes %d steps", counted.n)
	}
	for at := range counted.n {
		for _, after := range []bool{false, true} {
			dir := copyOfOld(t, old)
			s := &steps{at: at, after: after, on: true, err: errFault}
			if _, err := lake.Open(ctx, dir, lake.Options{}.WithFault(s.fault)); err != nil && !errors.Is(err, errFault) {
				t.Errorf("step %d: %v", at, err)
			}
			if got := content(t, open(t, dir, lake.Options{ReadOnly: true})); !maps.Equal(got, before) {
				t.Errorf("after step %s the lake has changed", s.last)
			}
			if got := content(t, open(t, dir, lake.Options{})); !maps.Equal(got, before) || versionOf(t, dir) != lake.Version {
				t.Errorf("after step %s and again the lake isn't up to date", s.last)
			}
		}
	}
}
