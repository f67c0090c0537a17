package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
)

// The files of an evidence bundle. docs/proof.md describes it.
const (
	bundleVersion   = 1
	bundleManifest  = "manifest.json"
	bundleSignature = "manifest.sig" // Ed25519, of the manifest's bytes
	bundleExporter  = "keys/exporter.pem"
	bundleEvents    = "events.jsonl"
	bundleFiles     = "bucket/"   // BUCKET/KEY: log files and digests as they stand
	bundleMetadata  = "metadata/" // BUCKET/KEY.json: what S3 keeps beside a digest; BUCKET/KEY.sig: its signature in bytes
	bundleKeys      = "keys/"     // REGION.json as list-public-keys prints it, FINGERPRINT.pem
)

// bundleScript checks a bundle without aitrail.
//
//go:embed bundle_check.sh
var bundleScript string

// A manifest says what an evidence bundle holds.
type manifest struct {
	Version  int          `json:"version"`
	Made     time.Time    `json:"made"`
	Filter   []string     `json:"filter"` // the export's arguments that chose the events
	Lake     string       `json:"lake"`
	Events   int64        `json:"events"`
	Proven   int64        `json:"proven"`             // events of verified log files
	LeftOut  int64        `json:"left_out,omitempty"` // chosen, and not in the bundle: no collected log file holds them
	LogFiles []bundleItem `json:"log_files"`
	Digests  []bundleItem `json:"digests"`
	Files    []bundleFile `json:"files"` // all but the manifest, its signature and SHA256SUMS
}

// bundleItem is a log file or digest, and what was known of it.
type bundleItem struct {
	Name    string `json:"name"` // in the bundle
	Source  string `json:"source"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
	Digest  string `json:"digest,omitempty"` // of a log file: the digest that names it, in the bundle
	Events  int64  `json:"events,omitempty"` // of a log file: how many of it stand in events.jsonl
}

type bundleFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// bundleEvent is a line of events.jsonl.
type bundleEvent struct {
	File    string          `json:"file"`
	Index   int64           `json:"index"` // of the record in the file, from 0
	Verdict string          `json:"verdict"`
	Event   json.RawMessage `json:"event"` // the record as it stands there, but for space between its parts
}

// bundleWriter writes a zip and lists what it wrote.
type bundleWriter struct {
	zip   *zip.Writer
	made  time.Time
	files []bundleFile
	names map[string]bool
}

// create begins a file; what is gzip already is stored. The next create or Close ends it.
func (b *bundleWriter) create(name string) (io.Writer, error) {
	method := zip.Deflate
	if strings.HasSuffix(name, ".gz") || strings.HasSuffix(name, ".sig") {
		method = zip.Store
	}
	return b.zip.CreateHeader(&zip.FileHeader{Name: name, Method: method, Modified: b.made})
}

// add writes a file; a second one of the same name is passed over.
func (b *bundleWriter) add(name string, content io.Reader) error {
	if b.names[name] {
		return nil
	}
	b.names[name] = true
	w, err := b.create(name)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), content)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	b.listed(name, n, sum)
	return nil
}

func (b *bundleWriter) listed(name string, size int64, sum hash.Hash) {
	b.files = append(b.files, bundleFile{name, size, hex.EncodeToString(sum.Sum(nil))})
}

// sums are the files in the form that sha256sum -c reads.
func (b *bundleWriter) sums() string {
	var s strings.Builder
	for _, f := range b.files {
		fmt.Fprintf(&s, "%s  %s\n", f.SHA256, f.Name)
	}
	return s.String()
}

// contextReader ends with the context's error.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// plainJSON returns JSON in one line, with no characters escaped that needn't be.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
