package digest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
)

const (
	account    = "111122223333"
	region     = "us-east-1"
	bucketName = "example-bucket"
)

var begin = time.Date(2025, 3, 9, 21, 31, 7, 0, time.UTC) // chains run over midnight

// file is an object in memory; err is what reading it ends with.
type file struct {
	body []byte
	meta map[string]string
	err  error
}

// memory is a Source. Its own bucket's name is name; files of other buckets have "NAME:" before their path.
type memory struct {
	name  string
	mu    sync.Mutex
	files map[string]file
	lists int
}

func newMemory() *memory { return &memory{name: bucketName, files: map[string]file{}} }

func (m *memory) Bucket() string { return m.name }

func (m *memory) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		m.mu.Lock()
		m.lists++
		keys := slices.Sorted(maps.Keys(m.files))
		m.mu.Unlock()
		for _, key := range keys {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			if strings.HasPrefix(key, prefix) && key > after && !strings.Contains(key, ":") && !yield(key, nil) {
				return
			}
		}
	}
}

func (m *memory) Open(ctx context.Context, bucket, path string) (io.ReadCloser, map[string]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.name != "" && bucket != m.name {
		path = bucket + ":" + path
	}
	f, ok := m.files[path]
	if !ok {
		return nil, nil, fs.ErrNotExist
	}
	var r io.Reader = bytes.NewReader(f.body)
	if f.err != nil {
		r = io.MultiReader(r, failing{f.err})
	}
	return io.NopCloser(r), f.meta, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// offline returns a copy of the files without metadata, under paths that rename makes.
func (m *memory) offline(rename func(string) string) *memory {
	c := &memory{files: map[string]file{}}
	for path, f := range m.files {
		c.files[rename(path)] = file{body: f.body}
	}
	return c
}

func same(path string) string { return path }

// trail delivers log files and digests to a memory, as CloudTrail does.
type trail struct {
	t         testing.TB
	to        *memory
	priv      *rsa.PrivateKey
	bucket    string
	prefix    string
	org       string
	account   string
	region    string
	name      string
	period    time.Duration
	now       time.Time // end of the newest digest
	last      digest.Link
	digests   []string   // paths
	logs      [][]string // paths, by digest
	sealed    []*digest.Digest
	tamper    func(*digest.Digest) // before the next is signed
	backfill  bool
	delivered int
	events    int // in each log file
}

func newTrail(t testing.TB, to *memory) *trail {
	return &trail{
		t: t, to: to, priv: privateKeys()[0], bucket: bucketName, account: account, region: region,
		name: "example-trail", period: time.Hour, now: begin, events: 1,
	}
}

// hours delivers a digest for each number: the number of its log files.
func (tr *trail) hours(logFiles ...int) *trail {
	for _, n := range logFiles {
		tr.hour(n)
	}
	return tr
}

func (tr *trail) hour(logFiles int) {
	start := tr.now
	tr.now = start.Add(tr.period)
	d := &digest.Digest{
		AWSAccountID:    tr.account,
		DigestStartTime: digest.FormatTime(start),
		DigestEndTime:   digest.FormatTime(tr.now),
		DigestS3Bucket:  tr.bucket,
		DigestS3Object: cloudtrail.Key{
			Prefix: tr.prefix, Organization: tr.org, Account: tr.account, Kind: cloudtrail.KindDigest, Region: tr.region,
			Time: tr.now, Trail: tr.name, HomeRegion: "us-east-1", Backfill: tr.backfill,
		}.String(),
	}
	d.Follow(tr.last)
	var paths []string
	for i := range logFiles {
		at := start.Add(time.Duration(i+1) * tr.period / time.Duration(logFiles+1))
		path, content := tr.deliver(at)
		paths = append(paths, path)
		d.LogFiles = append(d.LogFiles, digest.LogFile{
			S3Bucket: tr.bucket, S3Object: path, HashValue: digest.Hash(content), HashAlgorithm: "SHA-256",
			NewestEventTime: digest.FormatTime(at), OldestEventTime: digest.FormatTime(at),
		})
	}
	if tr.tamper != nil {
		tr.tamper(d)
		tr.tamper = nil
	}
	sealed, err := digest.Seal(tr.priv, d)
	if err != nil {
		tr.t.Fatal(err)
	}
	if tr.backfill {
		sealed.Metadata[digest.MetaBackfillTime] = digest.FormatTime(tr.now.Add(48 * time.Hour))
	}
	tr.last = sealed.Link
	tr.put(d.DigestS3Object, file{body: sealed.Body, meta: sealed.Metadata})
	tr.digests, tr.logs, tr.sealed = append(tr.digests, d.DigestS3Object), append(tr.logs, paths), append(tr.sealed, d)
}

// deliver writes a log file and returns its path and content.
func (tr *trail) deliver(at time.Time) (string, []byte) {
	tr.delivered++
	path := cloudtrail.Key{
		Prefix: tr.prefix, Organization: tr.org, Account: tr.account, Kind: cloudtrail.KindLog, Region: tr.region, Time: at,
		Unique: fmt.Sprintf("%s%016d", tr.name[:2], tr.delivered)[:16] + fmt.Sprint(tr.delivered),
	}.String()
	content := []byte(`{"Records":[`)
	for i := range tr.events {
		content = fmt.Appendf(content, `{"eventID":"%s-%d-%d","requestID":"%x"},`, tr.name, tr.delivered, i, sha256.Sum256([]byte(fmt.Sprint(i))))
	}
	content = append(bytes.TrimSuffix(content, []byte(",")), "]}"...)
	tr.put(path, file{body: gzipped(content)})
	return path, content
}

func (tr *trail) put(path string, f file) {
	if tr.bucket != tr.to.name {
		path = tr.bucket + ":" + path
	}
	tr.to.files[path] = f
}

func gzipped(b []byte) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	z.Write(b)
	z.Close()
	return buf.Bytes()
}

func gunzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// publicKeys are the keys that all trails sign with.
func publicKeys() digest.Keys {
	var keys digest.Keys
	for _, priv := range privateKeys() {
		keys = append(keys, digest.Key{Fingerprint: digest.Fingerprint(&priv.PublicKey), Public: &priv.PublicKey})
	}
	return keys
}

// outcome is a report's findings as "kind file", where a file of the trail goes by "digest 2" or "log 2/0", and the
// verdicts by file.
type outcome struct {
	report   *digest.Report
	findings []string
	verdicts map[string]string // verdict and reason
}

func verify(t testing.TB, tr *trail, src digest.Source, keys digest.KeySource, opts digest.Options) outcome {
	t.Helper()
	short := func(path string) string {
		base := path[strings.LastIndexByte(path, '/')+1:]
		for i, d := range tr.digests {
			if strings.HasSuffix(d, "/"+base) {
				return fmt.Sprint("digest ", i)
			}
			for j, l := range tr.logs[i] {
				if strings.HasSuffix(l, "/"+base) {
					return fmt.Sprintf("log %d/%d", i, j)
				}
			}
		}
		return path
	}
	o := outcome{verdicts: map[string]string{}}
	opts.LogFile = func(v digest.FileVerdict) {
		o.verdicts[short(v.Path)] = strings.TrimSpace(string(v.Verdict) + " " + v.Reason)
	}
	var err error
	if o.report, err = digest.Verify(t.Context(), src, keys, opts); err != nil {
		t.Fatal(err)
	}
	for _, f := range o.report.Findings {
		s := string(f.Kind) + " " + short(f.Key)
		if f.Count > 0 {
			s += fmt.Sprint(" ×", f.Count)
		}
		o.findings = append(o.findings, s)
	}
	slices.Sort(o.findings)
	return o
}
