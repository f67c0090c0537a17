package cli

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
)

// Limits on what of a bundle is held in memory.
const (
	maxManifest    = 256 << 20
	maxBundleEvent = 16 << 20 // a line of events.jsonl
)

// bundleReport is what is known of a bundle.
type bundleReport struct {
	*digest.Report
	Events   int64  `json:"events"`
	Proven   int64  `json:"proven"`   // events that stand in a verified log file
	Exporter string `json:"exporter"` // the beginning of the public key that signed the manifest
	Ours     bool   `json:"ours"`     // it is this lake's
	Keys     string `json:"keys"`     // where CloudTrail's public keys are from: known, file, bundle
}

// bundleReader checks a bundle.
type bundleReader struct {
	*app
	files    map[string]*zip.File
	manifest manifest
	report   bundleReport
	verdicts map[string]digest.FileVerdict // of log files, by name in the bundle
	wrong    []digest.Finding
}

func (b *bundleReader) found(kind digest.Kind, name, detail string) {
	b.wrong = append(b.wrong, digest.Finding{Kind: kind, Key: name, Detail: detail})
}

// verifyBundle checks an evidence bundle, offline.
func (a *app) verifyBundle(ctx context.Context, file, keyFile string) error {
	z, err := zip.OpenReader(file)
	if err != nil {
		return fmt.Errorf("%s can't be read as a zip: %w", file, err)
	}
	defer z.Close()
	b := &bundleReader{app: a, files: map[string]*zip.File{}, verdicts: map[string]digest.FileVerdict{}}
	for _, f := range z.File {
		if b.files[f.Name] != nil {
			b.found(digest.BundleAltered, f.Name, "the file is there twice")
		}
		b.files[f.Name] = f
	}
	if err := b.readManifest(); err != nil {
		return fmt.Errorf("%s is no evidence bundle: %w", file, err)
	}
	if err := b.checkFiles(ctx); err != nil {
		return err
	}
	if err := b.checkDigests(ctx, keyFile); err != nil {
		return err
	}
	if err := b.checkEvents(ctx); err != nil {
		return err
	}
	b.compareClaims()
	b.report.Add(b.wrong...)
	if a.output == "json" {
		text, err := json.Marshal(b.report)
		if err != nil {
			return err
		}
		if err := a.printJSON(text); err != nil {
			return err
		}
	} else if err := b.print(); err != nil {
		return err
	}
	if !b.report.Holds() || b.report.Proven < b.report.Events {
		return errFound
	}
	return nil
}

func (b *bundleReader) print() error {
	if err := b.printVerdict(b.report.Report); err != nil || b.output == "csv" {
		return err
	}
	whose := "another aitrail"
	if b.report.Ours {
		whose = "this lake's aitrail"
	}
	keys := map[string]string{
		"known":  "known here from earlier verifications",
		"file":   "those given",
		"bundle": "the bundle's own: compare them with aws cloudtrail list-public-keys, or give --keys",
	}[b.report.Keys]
	_, err := fmt.Fprintf(b.Stdout, "%s of %s events proven; manifest signed by %s (key %s); public keys: %s\n",
		thousands(b.report.Proven), thousands(b.report.Events), whose, b.report.Exporter, keys)
	return err
}

// read returns a file's bytes.
func (b *bundleReader) read(name string, limit int64) ([]byte, error) {
	f := b.files[name]
	if f == nil {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return data, err
}

// readManifest reads the manifest and checks its signature.
func (b *bundleReader) readManifest() error {
	text, err := b.read(bundleManifest, maxManifest)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &b.manifest); err != nil {
		return fmt.Errorf("%s: %w", bundleManifest, err)
	}
	if b.manifest.Version > bundleVersion {
		return fmt.Errorf("it has format version %d; this program knows versions up to %d", b.manifest.Version, bundleVersion)
	}
	data, _ := b.read(bundleExporter, 4096)
	sig, _ := b.read(bundleSignature, 4096)
	block, _ := pem.Decode(data)
	if block == nil {
		b.found(digest.BundleAltered, bundleExporter, "the exporter's public key is gone, or none")
		return nil
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, ok := parsed.(ed25519.PublicKey)
	if err != nil || !ok || !ed25519.Verify(key, text, sig) {
		b.found(digest.BundleAltered, bundleManifest, "its signature does not hold")
		return nil
	}
	b.report.Exporter = fingerprint(key)
	points, err := b.checkpoints()
	b.report.Ours = err == nil && points != nil && points.key != nil && key.Equal(points.key.Public())
	return nil
}

// checkFiles compares the files with the manifest.
func (b *bundleReader) checkFiles(ctx context.Context) error {
	listed := map[string]bool{bundleManifest: true, bundleSignature: true, "SHA256SUMS": true}
	var sums strings.Builder
	for _, want := range b.manifest.Files {
		listed[want.Name] = true
		fmt.Fprintf(&sums, "%s  %s\n", want.SHA256, want.Name)
		f := b.files[want.Name]
		if f == nil {
			b.found(digest.BundleAltered, want.Name, "the file is gone")
			continue
		}
		got, err := sumOf(ctx, f)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			b.found(digest.BundleAltered, want.Name, err.Error())
		case got != want.SHA256:
			b.found(digest.BundleAltered, want.Name, "it has another hash than the manifest says")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		if !listed[name] && !strings.HasSuffix(name, "/") {
			b.found(digest.BundleAltered, name, "the manifest doesn't list it")
		}
	}
	if got, err := b.read("SHA256SUMS", maxManifest); err != nil || string(got) != sums.String() {
		b.found(digest.BundleAltered, "SHA256SUMS", "it is not what the manifest says")
	}
	return nil
}

func sumOf(ctx context.Context, f *zip.File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	_, err = io.Copy(h, contextReader{ctx, r})
	return hex.EncodeToString(h.Sum(nil)), err
}

// checkDigests verifies the digests and the log files that they name.
func (b *bundleReader) checkDigests(ctx context.Context, keyFile string) error {
	opts := digest.Options{Prefix: bundleFiles, Excerpt: true, LogFile: func(v digest.FileVerdict) {
		if b.verdicts[v.Path].Verdict != digest.Verified {
			b.verdicts[v.Path] = v
		}
	}}
	keys, err := b.keys(&opts, keyFile)
	if err != nil {
		return err
	}
	b.report.Report, err = digest.Verify(ctx, bundleSource{b}, keys, opts)
	return err
}

// keys decides which public keys are believed: those of a file, else those known from earlier verifications, else the
// bundle's own.
func (b *bundleReader) keys(opts *digest.Options, keyFile string) (digest.KeySource, error) {
	if keyFile != "" {
		b.report.Keys = "file"
		return keySource(&storeSource{}, keyFile)
	}
	known := map[string]digest.RegionKey{}
	if points, err := b.checkpoints(); err == nil && points != nil {
		opts.State = &digest.State{Keys: points.state("", b.endpoint()).Keys}
		for _, k := range opts.State.Keys {
			known[k.Region+"/"+k.Fingerprint] = k
		}
	}
	b.report.Keys = "known"
	own := regionKeys{}
	for name := range b.files {
		region, ok := strings.CutSuffix(strings.TrimPrefix(name, bundleKeys), ".json")
		if !strings.HasPrefix(name, bundleKeys) || !ok {
			continue
		}
		text, err := b.read(name, maxManifest)
		if err != nil {
			return nil, err
		}
		list, err := digest.ParseKeys(text)
		if err != nil {
			b.found(digest.BundleAltered, name, err.Error())
			continue
		}
		for _, k := range list {
			trusted, there := known[region+"/"+k.Fingerprint]
			if there && !trusted.Public.Equal(k.Public) {
				b.found(digest.BundleAltered, name, "key "+k.Fingerprint+" is another than CloudTrail's, which is known here")
			}
			if !there {
				own[region] = append(own[region], k)
				b.report.Keys = "bundle"
			}
		}
	}
	return own, nil
}

// regionKeys are public keys by Region.
type regionKeys map[string]digest.Keys

// Keys implements digest.KeySource.
func (k regionKeys) Keys(_ context.Context, region string, _, _ time.Time) ([]digest.Key, error) {
	return k[region], nil
}

// checkEvents looks for each event in its log file.
func (b *bundleReader) checkEvents(ctx context.Context) error {
	f := b.files[bundleEvents]
	if f == nil {
		return nil // said already
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	lines := bufio.NewScanner(contextReader{ctx, r})
	lines.Buffer(nil, maxBundleEvent)
	var file string
	var list []bundleEvent // of the same file
	for lines.Scan() {
		var e bundleEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			b.found(digest.EventAltered, bundleEvents, "a line is no JSON")
			continue
		}
		b.report.Events++
		if e.File != file {
			b.lookUp(file, list)
			file, list = e.File, nil
		}
		list = append(list, e)
	}
	b.lookUp(file, list)
	if err := lines.Err(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.found(digest.BundleAltered, bundleEvents, err.Error())
	}
	if b.report.Events != b.manifest.Events {
		b.found(digest.BundleAltered, bundleEvents, fmt.Sprintf("it holds %d events; the manifest says %d", b.report.Events, b.manifest.Events))
	}
	return nil
}

// lookUp compares events with the records of their log file.
func (b *bundleReader) lookUp(name string, list []bundleEvent) {
	if len(list) == 0 {
		return
	}
	at := map[int64]string{}
	for _, e := range list {
		at[e.Index] = string(e.Event)
	}
	if len(at) < len(list) {
		b.found(digest.EventAltered, name, "an event is there twice")
	}
	verdict := b.verdicts[name].Verdict
	var body io.ReadCloser
	err := fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	if f := b.files[name]; f != nil && strings.HasPrefix(name, bundleFiles) {
		body, err = f.Open()
	}
	if err == nil {
		defer body.Close()
		err = eachRecord(body, func(_ *cloudtrail.Event, index int64, raw string) bool {
			want, ok := at[index]
			if !ok {
				return true
			}
			var got bytes.Buffer
			if json.Compact(&got, []byte(raw)) == nil && got.String() == want {
				delete(at, index)
				if verdict == digest.Verified {
					b.report.Proven++
				}
			}
			return len(at) > 0
		})
	}
	for _, index := range slices.Sorted(maps.Keys(at)) {
		b.found(digest.EventAltered, name, fmt.Sprintf("event %d is not the record of the log file", index))
	}
	if err != nil {
		b.found(digest.BundleAltered, name, err.Error())
	}
}

// compareClaims says of what the manifest says to be proven and is not.
func (b *bundleReader) compareClaims() {
	for _, item := range b.manifest.LogFiles {
		if got := b.verdicts[item.Name].Verdict; item.Verdict == string(digest.Verified) && got != digest.Verified {
			b.found(digest.BundleAltered, item.Name, "the manifest says that it is verified, and it is not")
		}
	}
}

// bundleSource is a bundle as a source of digests. It is a copy with the metadata beside.
type bundleSource struct{ b *bundleReader }

func (bundleSource) Bucket() string { return "" }

func (s bundleSource) List(_ context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(s.b.files)) {
			if strings.HasPrefix(name, prefix) && name > after && !yield(name, nil) {
				return
			}
		}
	}
}

func (s bundleSource) Open(_ context.Context, _, name string) (io.ReadCloser, map[string]string, error) {
	f := s.b.files[name]
	if f == nil {
		return nil, nil, fs.ErrNotExist
	}
	var meta map[string]string
	if strings.Contains(path.Base(name), "CloudTrail-Digest") {
		text, err := s.b.read(bundleMetadata+strings.TrimPrefix(name, bundleFiles)+".json", 1<<20)
		if err == nil {
			err = json.Unmarshal(text, &meta)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			meta = map[string]string{digest.MetaSignature: "unreadable"}
		}
	}
	r, err := f.Open()
	return r, meta, err
}
