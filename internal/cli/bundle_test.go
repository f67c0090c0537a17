package cli_test

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/aitrail/aitrail/internal/cli"
)

// bundled is a file of a zip.
type bundled struct {
	name string
	data []byte
}

func readZip(ts *testscript.TestScript, file string) []bundled {
	z, err := zip.OpenReader(file)
	ts.Check(err)
	defer z.Close()
	var files []bundled
	for _, f := range z.File {
		r, err := f.Open()
		ts.Check(err)
		data, err := io.ReadAll(r)
		ts.Check(err)
		r.Close()
		files = append(files, bundled{f.Name, data})
	}
	return files
}

func zipped(ts *testscript.TestScript, files []bundled) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.Create(f.name)
		ts.Check(err)
		_, err = w.Write(f.data)
		ts.Check(err)
	}
	ts.Check(z.Close())
	return b.Bytes()
}

// tampered ZIP does all that can be done to a single file of a bundle, each time to a fresh one, and wants each found:
// a byte changed, the file removed, emptied, doubled; another file added, and the events' lines exchanged or repeated.
func tampered(ts *testscript.TestScript, neg bool, args []string) {
	files := readZip(ts, ts.MkAbs(args[0]))
	try := func(what string, altered []bundled, more ...string) {
		file := filepath.Join(ts.Getenv("WORK"), "tampered.zip")
		ts.Check(os.WriteFile(file, zipped(ts, altered), 0o600))
		var out, errs bytes.Buffer
		env := func(name string) string { return ts.Getenv(name) }
		code := cli.Main(append([]string{"verify", file}, more...), cli.World{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: env, Now: time.Now})
		if code != 3 && !(code == 1 && strings.Contains(errs.String(), "is no evidence bundle")) {
			ts.Fatalf("%s: exit code %d\n%s%s", what, code, &out, &errs)
		}
	}
	with := func(i int, data []byte) []bundled {
		altered := append([]bundled(nil), files...)
		altered[i] = bundled{files[i].name, data}
		return altered
	}
	n := 0
	for i, f := range files {
		changed := bytes.Clone(f.data)
		changed[len(changed)/2] ^= 1
		try(f.name+": a bit changed", with(i, changed))
		try(f.name+": bytes appended", with(i, append(bytes.Clone(f.data), "\n"...)))
		try(f.name+": emptied", with(i, nil))
		try(f.name+": removed", append(append([]bundled(nil), files[:i]...), files[i+1:]...))
		try(f.name+": there twice", append(append([]bundled(nil), files...), f))
		n += 5
		if f.name == "events.jsonl" {
			lines := bytes.SplitAfter(bytes.TrimSuffix(f.data, []byte("\n")), []byte("\n"))
			try("an event left out", with(i, bytes.Join(lines[1:], nil)))
			try("an event repeated", with(i, append(bytes.Clone(f.data), lines[0]...)))
		}
	}
	try("a file added", append(append([]bundled(nil), files...), bundled{"bucket/example-bucket/AWSLogs/more.json.gz", []byte("x")}))
	if n < 50 {
		ts.Fatalf("%d kinds of tampering tried, want at least 50", n)
	}
}
