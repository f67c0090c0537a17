package aitrail_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/aitrail/aitrail"

// mayImport is the data's way: which packages of internal/ each may import. Tests may import more.
var mayImport = map[string][]string{
	"cloudtrail": {},
	"catalog":    {},
	"coverage":   {"cloudtrail", "catalog"},
	"digest":     {"cloudtrail"},
	"object":     {},
	"lake":       {"cloudtrail", "catalog", "digest", "object"},
	"collect":    {"cloudtrail", "coverage", "object", "lake"},
	"query":      {"lake"},
	"provision":  {"catalog"},
	"endpoint":   {"cloudtrail", "catalog", "digest", "object"},
	"daemon":     {"lake", "collect"},
	"cli":        {"cloudtrail", "catalog", "coverage", "digest", "object", "lake", "collect", "query", "provision", "endpoint", "daemon"},
}

// owners says which packages may import a heavy dependency, by import path prefix.
var owners = map[string][]string{
	"github.com/duckdb/":                {"internal/query", "bench"},
	"github.com/apache/iceberg-go":      {"internal/lake"},
	"github.com/apache/arrow-go":        {"internal/lake"},
	"github.com/parquet-go/":            {"internal/lake"},
	"github.com/aws/aws-sdk-go-v2":      {"internal/object", "internal/lake", "internal/collect", "bench/load", "bench/soak", "bench/verify", "internal/provision/live", "internal/cli/demo", "internal/endpoint/ai"},
	"github.com/johannesboyne/gofakes3": {"internal/endpoint/s3"},
	"go.etcd.io/bbolt":                  {"internal/endpoint/state", "internal/endpoint/s3/disk"},
	"go.yaml.in/yaml":                   {"internal/daemon"},
	"github.com/spf13/cobra":            {"internal/cli"},
	"github.com/jedib0t/go-pretty":      {"internal/cli"},
	"github.com/schollz/progressbar":    {"internal/cli"},
}

// pure packages use the standard library only.
var pure = []string{"cloudtrail", "catalog", "coverage", "digest"}

type source struct {
	path string // from the root, with slashes
	dir  string
	file *ast.File
}

// sources parses every Go file of the repository that is not a test's, and not another module's.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, notModule := os.Stat(filepath.Join(p, "go.mod"))
			if p != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || notModule == nil) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(p), path.Dir(filepath.ToSlash(p)), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d files found", len(all))
	}
	return all
}

// stage returns the folder of internal/ that a folder belongs to, or "".
func stage(dir string) string {
	rest, ok := strings.CutPrefix(dir, "internal/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

func imports(f *ast.File) []string {
	var paths []string
	for _, i := range f.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}

func TestImportsGoTheDatasWay(t *testing.T) {
	for _, s := range sources(t) {
		from := stage(s.dir)
		for _, imported := range imports(s.file) {
			checkOwner(t, s, imported)
			local, ok := strings.CutPrefix(imported, module+"/")
			if !ok {
				first, _, _ := strings.Cut(imported, "/")
				if slices.Contains(pure, from) && strings.Contains(first, ".") {
					t.Errorf("%s imports %s; %s is pure", s.path, imported, from)
				}
				continue
			}
			to := stage(local)
			if from == "" || to == "" || from == to || isTestHelper(s.dir) {
				continue
			}
			if !slices.Contains(mayImport[from], to) {
				t.Errorf("%s imports %s; internal/%s may import %v", s.path, imported, from, mayImport[from])
			}
		}
	}
}

func checkOwner(t *testing.T, s source, imported string) {
	t.Helper()
	for prefix, dirs := range owners {
		if !strings.HasPrefix(imported, prefix) || isTestHelper(s.dir) {
			continue
		}
		if !slices.ContainsFunc(dirs, func(d string) bool { return s.dir == d || strings.HasPrefix(s.dir, d+"/") }) {
			t.Errorf("%s imports %s, which belongs to %v", s.path, imported, dirs)
		}
	}
}

// isTestHelper says whether a folder holds helpers of tests, by its name: objecttest.
func isTestHelper(dir string) bool { return strings.HasSuffix(dir, "test") }

func TestPackagesAreTheArchitectures(t *testing.T) {
	entries, err := os.ReadDir("internal")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := mayImport[e.Name()]; !ok {
			t.Errorf("internal/%s is not in the architecture: a new package belongs into docs/architecture.md and this test", e.Name())
		}
	}
	if len(entries) > 14 {
		t.Errorf("%d packages in internal: a fifteenth must replace one", len(entries))
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		said[s.dir] = said[s.dir] || s.file.Doc != nil && len(s.file.Doc.Text()) > 60
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestOnlyTheCLIPrints(t *testing.T) {
	for _, s := range sources(t) {
		if from := stage(s.dir); from == "" || from == "cli" || strings.HasSuffix(s.dir, "/gen") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch name := pkg.Name + "." + sel.Sel.Name; name {
			case "os.Stdout", "os.Stderr", "fmt.Print", "fmt.Printf", "fmt.Println", "os.Exit":
				t.Errorf("%s uses %s; only cli prints and exits", s.path, name)
			}
			return true
		})
	}
}
