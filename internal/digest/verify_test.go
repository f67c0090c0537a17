package digest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/digest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestVerifyFindsFaults(t *testing.T) {
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			tr := newTrail(t, m).hours(2, 2, 2, 0, 2, 2)
			tt.fault(t, m, tr)
			got := verify(t, tr, m, publicKeys(), digest.Options{})
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, got.findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			differ := map[string]string{}
			for name, verdict := range got.verdicts {
				if verdict != "verified" {
					differ[name] = verdict
				}
			}
			if tt.differ == nil {
				tt.differ = map[string]string{}
			}
			if diff := cmp.Diff(tt.differ, differ); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
			if len(got.verdicts) < 10 {
				t.Errorf("%d log files have a verdict, want at least 10", len(got.verdicts))
			}
			if diff := cmp.Diff(tt.counts, got.report.Digests); diff != "" {
				t.Errorf("digests (-want +got):\n%s", diff)
			}
			if int(got.report.LogFiles.Total) != len(got.verdicts) {
				t.Errorf("%d log files counted, %d told", got.report.LogFiles.Total, len(got.verdicts))
			}
		})
	}
}

// The rest are faults in what is signed, other sources, and chains of other shapes.

func TestVerifySaysWhatWasExpected(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1, 1)
	alter(t, m, tr.logs[1][0], "Records", "records")
	got := verify(t, tr, m, publicKeys(), digest.Options{})
	want := digest.Finding{
		Kind: digest.LogFileAltered, Severity: digest.SeverityFinding, Account: account, Region: region, Trail: "example-trail",
		Key: tr.logs[1][0], Digest: tr.digests[1], Expected: tr.sealed[1].LogFiles[0].HashValue,
		Found: digest.Hash(gunzipped(t, m.files[tr.logs[1][0]].body)), Detail: "its content has another hash",
	}
	i := slices.IndexFunc(got.report.Findings, func(f digest.Finding) bool { return f.Severity == digest.SeverityFinding })
	if diff := cmp.Diff(want, got.report.Findings[i], cmpopts.IgnoreUnexported(digest.Finding{})); diff != "" {
		t.Errorf("finding (-want +got):\n%s", diff)
	}
	if got.report.Holds() {
		t.Error("the report holds")
	}
	chains := []digest.Chain{{
		Account: account, Region: region, Trail: "example-trail", HomeRegion: region,
		From: begin, To: begin.Add(3 * time.Hour), Findings: 1,
		Digests:  digest.Counts{Total: 3, Verified: 3},
		LogFiles: digest.Counts{Total: 3, Verified: 2, Failed: 1},
	}}
	if diff := cmp.Diff(chains, got.report.Chains); diff != "" {
		t.Errorf("chains (-want +got):\n%s", diff)
	}
	if _, err := json.Marshal(got.report); err != nil {
		t.Error(err)
	}
}

func TestVerifyPreviousHashWrong(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1)
	tr.tamper = func(d *digest.Digest) { d.PreviousDigestHashValue = strings.Repeat("0", 64) }
	tr.hours(1, 1)
	got := verify(t, tr, m, publicKeys(), digest.Options{})
	if diff := cmp.Diff([]string{started, "previous_hash_wrong digest 2"}, got.findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestVerifyChainBroken(t *testing.T) {
	t.Run("another signature", func(t *testing.T) {
		m := newMemory()
		tr := newTrail(t, m).hours(1, 1)
		tr.tamper = func(d *digest.Digest) { d.PreviousDigestSignature = "00" }
		tr.hours(1, 1)
		got := verify(t, tr, m, publicKeys(), digest.Options{})
		if diff := cmp.Diff([]string{"chain_broken digest 2", started}, got.findings); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
	t.Run("a digest that none names", func(t *testing.T) {
		m := newMemory()
		tr := newTrail(t, m).hours(1)
		first := tr.last
		tr.hours(1)
		tr.last = first
		tr.hours(1)
		got := verify(t, tr, m, publicKeys(), digest.Options{})
		if diff := cmp.Diff([]string{"chain_broken digest 1", started}, got.findings); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}

func TestVerifyRestartedChain(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1)
	tr.last, tr.now = digest.Link{}, tr.now.Add(3*time.Hour)
	tr.hours(1, 1)
	between := inject(tr, begin.Add(4*time.Hour))
	got := verify(t, tr, m, publicKeys(), digest.Options{})
	want := []string{"chain_restarted digest 2", started, "log_files_unproven AWSLogs/111122223333/ ×1"}
	if diff := cmp.Diff(want, got.findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if got, want := got.verdicts[between], "unverifiable no digest covers its time"; got != want {
		t.Errorf("verdict of a log file between = %q, want %q", got, want)
	}
	if !got.report.Holds() {
		t.Error("a restart is no finding")
	}
}

func TestVerifyKeys(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1)
	tr.priv = privateKeys()[1]
	tr.hours(1, 1)
	all := publicKeys()
	t.Run("rotation", func(t *testing.T) {
		got := verify(t, tr, m, all, digest.Options{})
		if diff := cmp.Diff([]string{started}, got.findings); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
	t.Run("newer key unknown", func(t *testing.T) {
		got := verify(t, tr, m, all[:1], digest.Options{})
		want := []string{started, "key_unknown digest 2", "key_unknown digest 3"}
		if diff := cmp.Diff(want, got.findings); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		if got, want := got.verdicts["log 3/0"], "unverifiable public key unknown"; got != want {
			t.Errorf("verdict = %q, want %q", got, want)
		}
	})
	t.Run("older key unknown", func(t *testing.T) {
		got := verify(t, tr, m, all[1:], digest.Options{})
		want := []string{started, "key_unknown digest 0", "key_unknown digest 1"}
		if diff := cmp.Diff(want, got.findings); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		if got, want := got.verdicts["log 0/0"], "verified"; got != want { // by the newer digests
			t.Errorf("verdict = %q, want %q", got, want)
		}
	})
	t.Run("a wrong key under the name", func(t *testing.T) {
		wrong := digest.Keys{all[0], {Fingerprint: all[1].Fingerprint, Public: all[0].Public}}
		got := verify(t, tr, m, wrong, digest.Options{})
		want := []string{started, "log_files_unproven AWSLogs/111122223333/ ×2", "signature_wrong digest 2", "signature_wrong digest 3"}
		if diff := cmp.Diff(want, got.findings); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
	t.Run("none", func(t *testing.T) {
		got := verify(t, tr, m, nil, digest.Options{})
		if diff := cmp.Diff([]string{started, "keys_absent "}, got.findings); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		if got, want := got.report.LogFiles, (digest.Counts{Total: 4, Unverifiable: 4}); got != want {
			t.Errorf("log files = %+v, want %+v", got, want)
		}
	})
	t.Run("not to be had", func(t *testing.T) {
		if _, err := digest.Verify(t.Context(), m, noKeys{}, digest.Options{}); !errors.Is(err, errNoKeys) {
			t.Errorf("error = %v, want %v", err, errNoKeys)
		}
	})
}

var errNoKeys = errors.New("access denied")

type noKeys struct{}

func (noKeys) Keys(context.Context, string, time.Time, time.Time) ([]digest.Key, error) {
	return nil, errNoKeys
}

func TestVerifyMoved(t *testing.T) {
	t.Run("to another bucket", func(t *testing.T) {
		m := newMemory()
		tr := newTrail(t, m).hours(1, 1)
		m.name = "another-bucket"
		got := verify(t, tr, m, publicKeys(), digest.Options{})
		want := []string{"digest_moved digest 0", "digest_moved digest 1", "log_files_unproven AWSLogs/111122223333/ ×2"}
		if diff := cmp.Diff(want, got.findings); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
	t.Run("to another prefix", func(t *testing.T) {
		m := newMemory()
		tr := newTrail(t, m).hours(1, 1)
		moved := m.offline(func(path string) string { return "p/" + path })
		moved.name = m.name
		got := verify(t, tr, moved, publicKeys(), digest.Options{})
		want := []string{"digest_moved digest 0", "digest_moved digest 1", "log_files_unproven p/AWSLogs/111122223333/ ×2"}
		if diff := cmp.Diff(want, got.findings); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
	t.Run("the trail to a new bucket", func(t *testing.T) {
		m := newMemory()
		tr := newTrail(t, m)
		tr.bucket = "old-bucket"
		tr.hours(1, 1)
		tr.bucket = bucketName
		tr.hours(1, 1)
		got := verify(t, tr, m, publicKeys(), digest.Options{})
		if diff := cmp.Diff([]string{started}, got.findings); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		if got, want := got.report.LogFiles, (digest.Counts{Total: 4, Verified: 4}); got != want {
			t.Errorf("log files = %+v, want %+v", got, want)
		}
	})
}

// A digest that isn't proven must not make Verify ask another bucket, which could be anybody's.
func TestVerifyOpensNoForeignBucketUnproven(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m)
	tr.bucket = "old-bucket"
	tr.hours(1)
	foreign := tr.logs[0][0]
	tr.bucket = bucketName
	tr.tamper = func(d *digest.Digest) {
		d.LogFiles = append(d.LogFiles, digest.LogFile{S3Bucket: "old-bucket", S3Object: foreign, HashAlgorithm: "SHA-256"})
	}
	tr.hours(1, 1)
	src := &watchedBuckets{memory: m, opened: map[string]bool{}}
	if _, err := digest.Verify(t.Context(), src, nil, digest.Options{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{bucketName: true}, src.opened); diff != "" {
		t.Errorf("buckets opened without keys (-want +got):\n%s", diff)
	}
	if _, err := digest.Verify(t.Context(), src, publicKeys(), digest.Options{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{bucketName: true, "old-bucket": true}, src.opened); diff != "" {
		t.Errorf("buckets opened with keys (-want +got):\n%s", diff)
	}
}

// watchedBuckets remembers which buckets were asked.
type watchedBuckets struct {
	*memory
	watch  sync.Mutex
	opened map[string]bool
}

func (w *watchedBuckets) Open(ctx context.Context, bucket, path string) (io.ReadCloser, map[string]string, error) {
	w.watch.Lock()
	w.opened[bucket] = true
	w.watch.Unlock()
	return w.memory.Open(ctx, bucket, path)
}
