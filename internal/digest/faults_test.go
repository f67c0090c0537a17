package digest_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
)

// alter rewrites a gzip file's content, so that the file itself is sound.
func alter(t *testing.T, m *memory, path, old, new string) {
	t.Helper()
	f := m.files[path]
	content := gunzipped(t, f.body)
	changed := bytes.Replace(content, []byte(old), []byte(new), 1)
	if bytes.Equal(content, changed) {
		t.Fatalf("%s has no %q", path, old)
	}
	f.body = gzipped(changed)
	m.files[path] = f
}

func inject(tr *trail, at time.Time) string {
	path := cloudtrail.Key{
		Prefix: tr.prefix, Account: tr.account, Kind: cloudtrail.KindLog, Region: tr.region, Time: at, Unique: "injected00000000",
	}.String()
	tr.to.files[path] = file{body: gzipped([]byte(`{"Records":[]}`))}
	return path
}

const started = "chain_started digest 0"

// faults are done to a chain of six hours with two log files each, but none in the fourth.
var faults = []struct {
	name   string
	fault  func(t *testing.T, m *memory, tr *trail)
	want   []string          // findings but for chain_started, which every chain that is whole has
	differ map[string]string // verdicts other than verified
	counts digest.Counts     // of digests
}{
	{
		name:   "none",
		fault:  func(*testing.T, *memory, *trail) {},
		want:   []string{started},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "one byte of a log file changed",
		fault: func(t *testing.T, m *memory, tr *trail) {
			alter(t, m, tr.logs[1][0], "Records", "records")
		},
		want:   []string{started, "log_file_altered log 1/0"},
		differ: map[string]string{"log 1/0": "failed log_file_altered"},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "one byte of the compressed log file changed",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			m.files[tr.logs[1][0]].body[14] ^= 0xff
		},
		want:   []string{started, "log_file_altered log 1/0"},
		differ: map[string]string{"log 1/0": "failed log_file_altered"},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "a log file replaced by its content, not compressed",
		fault: func(t *testing.T, m *memory, tr *trail) {
			m.files[tr.logs[1][0]] = file{body: gunzipped(t, m.files[tr.logs[1][0]].body)}
		},
		want:   []string{started, "log_file_altered log 1/0"},
		differ: map[string]string{"log 1/0": "failed log_file_altered"},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name:   "a log file removed",
		fault:  func(_ *testing.T, m *memory, tr *trail) { delete(m.files, tr.logs[5][1]) },
		want:   []string{started, "log_file_missing log 5/1"},
		differ: map[string]string{"log 5/1": "failed log_file_missing"},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "a log file truncated",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			b := m.files[tr.logs[2][0]].body
			m.files[tr.logs[2][0]] = file{body: b[:len(b)/2]}
			b = m.files[tr.logs[2][1]].body
			m.files[tr.logs[2][1]] = file{body: b[:len(b)-4]} // the content is whole
			m.files[tr.logs[1][1]] = file{}
		},
		want: []string{started, "log_file_truncated log 1/1", "log_file_truncated log 2/0", "log_file_truncated log 2/1"},
		differ: map[string]string{
			"log 1/1": "failed log_file_truncated", "log 2/0": "failed log_file_truncated", "log 2/1": "failed log_file_truncated",
		},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "bytes appended to a log file",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			for i, more := range [][]byte{gzipped([]byte(`{"Records":[]}`)), {0}} {
				m.files[tr.logs[2][i]] = file{body: append(slices.Clone(m.files[tr.logs[2][i]].body), more...)}
			}
		},
		want: []string{started, "log_file_trailing_bytes log 2/0 ×38", "log_file_trailing_bytes log 2/1 ×1"},
		differ: map[string]string{
			"log 2/0": "failed log_file_trailing_bytes", "log 2/1": "failed log_file_trailing_bytes",
		},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "two log files exchanged",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			a, b := tr.logs[0][0], tr.logs[0][1]
			m.files[a], m.files[b] = m.files[b], m.files[a]
		},
		want: []string{started, "log_file_altered log 0/0", "log_file_altered log 0/1"},
		differ: map[string]string{
			"log 0/0": "failed log_file_altered", "log 0/1": "failed log_file_altered",
		},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "a log file that can't be read",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			f := m.files[tr.logs[4][0]]
			f.body, f.err = f.body[:10], errors.New("connection reset")
			m.files[tr.logs[4][0]] = f
		},
		want:   []string{started, "log_file_unreadable log 4/0"},
		differ: map[string]string{"log 4/0": "unverifiable log_file_unreadable"},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "a digest changed",
		fault: func(t *testing.T, m *memory, tr *trail) {
			alter(t, m, tr.digests[2], `"hashAlgorithm"`, `"hashAlgorithn"`)
		},
		want: []string{started, "digest_altered digest 2", "log_files_unproven AWSLogs/111122223333/ ×2"},
		differ: map[string]string{
			"log 2/0": "unverifiable digest_altered", "log 2/1": "unverifiable digest_altered",
		},
		counts: digest.Counts{Total: 6, Verified: 5, Failed: 1},
	},
	{
		name: "the newest digest changed",
		fault: func(t *testing.T, m *memory, tr *trail) {
			alter(t, m, tr.digests[5], `"hashAlgorithm"`, `"hashAlgorithn"`)
		},
		want: []string{started, "log_files_unproven AWSLogs/111122223333/ ×2", "signature_wrong digest 5"},
		differ: map[string]string{
			"log 5/0": "unverifiable signature_wrong", "log 5/1": "unverifiable signature_wrong",
		},
		counts: digest.Counts{Total: 6, Verified: 5, Failed: 1},
	},
	{
		name: "a digest that is none",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			m.files[tr.digests[1]] = file{body: gzipped([]byte("{}")), meta: m.files[tr.digests[1]].meta}
			m.files[tr.digests[3]] = file{body: []byte("none"), meta: m.files[tr.digests[1]].meta}
		},
		want: []string{started, "digest_unreadable digest 1", "digest_unreadable digest 3", "log_files_unproven AWSLogs/111122223333/ ×2"},
		differ: map[string]string{
			"log 1/0": "unverifiable digest_unreadable", "log 1/1": "unverifiable digest_unreadable",
		},
		counts: digest.Counts{Total: 6, Verified: 4, Failed: 2},
	},
	{
		name: "bytes appended to a digest",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			f := m.files[tr.digests[1]]
			f.body = append(slices.Clone(f.body), 0, 0)
			m.files[tr.digests[1]] = f
		},
		want:   []string{started, "digest_trailing_bytes digest 1 ×2"},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name:  "a digest removed",
		fault: func(_ *testing.T, m *memory, tr *trail) { delete(m.files, tr.digests[2]) },
		want:  []string{started, "digest_missing digest 2", "log_files_unproven AWSLogs/111122223333/ ×2"},
		differ: map[string]string{
			"log 2/0": "unverifiable digest_missing", "log 2/1": "unverifiable digest_missing",
		},
		counts: digest.Counts{Total: 6, Verified: 5, Failed: 1},
	},
	{
		name: "two digests in a row removed",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			delete(m.files, tr.digests[1])
			delete(m.files, tr.digests[2])
		},
		want: []string{started, "digest_missing digest 1", "digest_missing digest 2", "log_files_unproven AWSLogs/111122223333/ ×4"},
		differ: map[string]string{
			"log 1/0": "unverifiable digest_missing", "log 1/1": "unverifiable digest_missing",
			"log 2/0": "unverifiable digest_missing", "log 2/1": "unverifiable digest_missing",
		},
		counts: digest.Counts{Total: 6, Verified: 4, Failed: 2},
	},
	{
		name: "a digest removed and the one after it changed",
		fault: func(t *testing.T, m *memory, tr *trail) {
			delete(m.files, tr.digests[2])
			alter(t, m, tr.digests[3], `"logFiles":[]`, `"logFiles": []`)
		},
		want: []string{started, "digest_altered digest 3", "digest_missing digest 2", "log_files_unproven AWSLogs/111122223333/ ×2"},
		differ: map[string]string{
			"log 2/0": "unverifiable digest_missing", "log 2/1": "unverifiable digest_missing",
		},
		counts: digest.Counts{Total: 6, Verified: 4, Failed: 2},
	},
	{
		name:   "the oldest digest removed",
		fault:  func(_ *testing.T, m *memory, tr *trail) { delete(m.files, tr.digests[0]) },
		want:   []string{"digest_missing digest 0", "log_files_unproven AWSLogs/111122223333/ ×2"},
		differ: map[string]string{"log 0/0": "unverifiable digest_missing", "log 0/1": "unverifiable digest_missing"},
		counts: digest.Counts{Total: 6, Verified: 5, Failed: 1},
	},
	{
		name: "signature metadata changed",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			meta := m.files[tr.digests[2]].meta
			other := "00"
			if strings.HasPrefix(meta[digest.MetaSignature], other) { // as one of 256 does
				other = "01"
			}
			meta[digest.MetaSignature] = other + meta[digest.MetaSignature][2:]
		},
		want:   []string{started, "signature_wrong digest 2"},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "signature metadata changed on the newest digest",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			m.files[tr.digests[5]].meta[digest.MetaSignature] = "no signature"
		},
		want: []string{started, "log_files_unproven AWSLogs/111122223333/ ×2", "signature_wrong digest 5"},
		differ: map[string]string{
			"log 5/0": "unverifiable signature_wrong", "log 5/1": "unverifiable signature_wrong",
		},
		counts: digest.Counts{Total: 6, Verified: 5, Failed: 1},
	},
	{
		name: "signature algorithm changed",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			m.files[tr.digests[2]].meta[digest.MetaSignatureAlgorithm] = "MD5withRSA"
		},
		want:   []string{started, "signature_wrong digest 2"},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "signature metadata absent",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			for _, i := range []int{2, 5} {
				m.files[tr.digests[i]] = file{body: m.files[tr.digests[i]].body}
			}
		},
		want: []string{started, "log_files_unproven AWSLogs/111122223333/ ×2", "signature_missing digest 2", "signature_missing digest 5"},
		differ: map[string]string{
			"log 5/0": "unverifiable signature_missing", "log 5/1": "unverifiable signature_missing",
		},
		counts: digest.Counts{Total: 6, Verified: 5, Failed: 1},
	},
	{
		name: "a digest put in place of another",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			m.files[tr.digests[2]] = m.files[tr.digests[3]]
		},
		want: []string{started, "digest_moved digest 2", "log_files_unproven AWSLogs/111122223333/ ×2"},
		differ: map[string]string{
			"log 2/0": "unverifiable digest_moved", "log 2/1": "unverifiable digest_moved",
		},
		counts: digest.Counts{Total: 6, Verified: 5, Failed: 1},
	},
	{
		name: "an injected log file",
		fault: func(_ *testing.T, _ *memory, tr *trail) {
			inject(tr, begin.Add(90*time.Minute))
		},
		want: []string{
			started, "log_file_unlisted AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/09/111122223333_CloudTrail_us-east-1_20250309T2301Z_injected00000000.json.gz",
		},
		differ: map[string]string{
			"AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/09/111122223333_CloudTrail_us-east-1_20250309T2301Z_injected00000000.json.gz": "failed log_file_unlisted",
		},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "log files before the first digest and after the newest",
		fault: func(_ *testing.T, _ *memory, tr *trail) {
			inject(tr, begin.Add(-2*time.Hour))
			inject(tr, begin.Add(6*time.Hour+time.Minute))
			inject(tr, begin.Add(6*time.Hour-time.Minute)) // the next digest may name it
		},
		want: []string{
			started, "log_files_pending AWSLogs/111122223333/ ×2", "log_files_unproven AWSLogs/111122223333/ ×1",
		},
		differ: map[string]string{
			"AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/09/111122223333_CloudTrail_us-east-1_20250309T1931Z_injected00000000.json.gz": "unverifiable no digest covers its time",
			"AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/10/111122223333_CloudTrail_us-east-1_20250310T0332Z_injected00000000.json.gz": "pending newer than the newest digest",
			"AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/10/111122223333_CloudTrail_us-east-1_20250310T0330Z_injected00000000.json.gz": "pending newer than the newest digest",
		},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
	{
		name: "a file with another name among log files",
		fault: func(_ *testing.T, m *memory, tr *trail) {
			m.files["AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/09/notes.txt"] = file{}
		},
		want:   []string{started, "unknown_file AWSLogs/111122223333/CloudTrail/us-east-1/2025/03/09/notes.txt"},
		counts: digest.Counts{Total: 6, Verified: 6},
	},
}
