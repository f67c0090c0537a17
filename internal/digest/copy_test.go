package digest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/google/go-cmp/cmp"
)

// unproven is what every copy has: the newest digest's signature was in its metadata.
const unproven = "digest_unverifiable digest 5"

func TestVerifyCopy(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rename func(string) string
		plain  bool
	}{
		{name: "as in the bucket", rename: same},
		{name: "with folders added", rename: func(p string) string { return "backup/2025/" + p }},
		{name: "with folders lost", rename: func(p string) string { return strings.TrimPrefix(p, "AWSLogs/") }},
		{name: "with more lost", rename: func(p string) string { return strings.TrimPrefix(p, "AWSLogs/111122223333/") }},
		{name: "all in one folder", rename: path.Base},
		{name: "all in one folder below", rename: func(p string) string { return "logs/" + path.Base(p) }},
		{name: "inflated", rename: same, plain: true},
		{name: "inflated and renamed", rename: func(p string) string { return strings.TrimSuffix(p, ".gz") }, plain: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			tr := newTrail(t, m).hours(2, 2, 2, 0, 2, 2)
			c := m.offline(tt.rename)
			if tt.plain {
				for path, f := range c.files {
					c.files[path] = file{body: gunzipped(t, f.body)}
				}
				for i := range tr.digests { // verify tells names by their end
					tr.digests[i] = tt.rename(tr.digests[i])
					for j := range tr.logs[i] {
						tr.logs[i][j] = tt.rename(tr.logs[i][j])
					}
				}
			}
			got := verify(t, tr, c, publicKeys(), digest.Options{})
			if diff := cmp.Diff([]string{started, unproven}, got.findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if got, want := got.report.Digests, (digest.Counts{Total: 6, Verified: 5, Unverifiable: 1}); got != want {
				t.Errorf("digests = %+v, want %+v", got, want)
			}
			if got, want := got.report.LogFiles, (digest.Counts{Total: 10, Verified: 8, Unverifiable: 2}); got != want {
				t.Errorf("log files = %+v, want %+v", got, want)
			}
			if got, want := got.verdicts["log 5/0"], "unverifiable signature not in the copy"; got != want {
				t.Errorf("verdict = %q, want %q", got, want)
			}
		})
	}
}

func TestVerifyCopyFindsFaults(t *testing.T) {
	const open = "log_files_unproven AWSLogs/111122223333/ ×2"
	for _, tt := range []struct {
		name  string
		fault func(t *testing.T, c *memory, tr *trail)
		want  []string
	}{
		{
			name: "a log file changed",
			fault: func(t *testing.T, c *memory, tr *trail) {
				alter(t, c, tr.logs[1][0], "Records", "records")
				alter(t, c, tr.logs[5][0], "Records", "records")
			},
			want: []string{started, unproven, "log_file_altered log 1/0", "log_file_altered log 5/0"},
		},
		{
			name:  "a digest changed",
			fault: func(t *testing.T, c *memory, tr *trail) { alter(t, c, tr.digests[1], "SHA-256", "SHA-257") },
			want:  []string{started, unproven, "digest_altered digest 1", open}, // which still carries the signature of digest 0
		},
		{
			name: "the newest digest but one changed",
			fault: func(t *testing.T, c *memory, tr *trail) {
				alter(t, c, tr.digests[4], "SHA-256", "SHA-257")
			},
			want: []string{started, unproven, "digest_altered digest 4", open},
		},
		{
			name: "the newest digest but one changed, and its hash in the newest",
			fault: func(t *testing.T, c *memory, tr *trail) {
				alter(t, c, tr.digests[4], "SHA-256", "SHA-257")
				alter(t, c, tr.digests[5], tr.sealed[5].PreviousDigestHashValue, digest.Hash(gunzipped(t, c.files[tr.digests[4]].body)))
			},
			want: []string{started, unproven, "signature_wrong digest 4", open},
		},
		{
			name:  "a digest removed",
			fault: func(_ *testing.T, c *memory, tr *trail) { delete(c.files, tr.digests[2]) },
			want:  []string{started, unproven, "digest_missing digest 2", open, "digest_unverifiable digest 1"},
		},
		{
			name:  "a digest put in place of another",
			fault: func(_ *testing.T, c *memory, tr *trail) { c.files[tr.digests[2]] = c.files[tr.digests[3]] },
			want:  []string{started, unproven, "digest_moved digest 2", open, "digest_unverifiable digest 1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			tr := newTrail(t, m).hours(2, 2, 2, 0, 2, 2)
			c := m.offline(same)
			tt.fault(t, c, tr)
			got := verify(t, tr, c, publicKeys(), digest.Options{})
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, got.findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerifyCopyWithMetadata(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1)
	m.name = ""
	got := verify(t, tr, m, publicKeys(), digest.Options{})
	if diff := cmp.Diff([]string{started}, got.findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestVerifyRange(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1, 1, 1, 1, 1, 1, 1)
	hour := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Hour) } // the end of digest n-1
	for _, tt := range []struct {
		name     string
		from, to time.Time
		fault    func()
		want     []string
		logs     int
	}{
		{name: "from", from: hour(5), logs: 4},
		{name: "to", to: hour(3), want: []string{started}, logs: 4},
		{name: "both", from: hour(3), to: hour(5), logs: 4},
		{name: "beyond", from: hour(30), logs: 0},
		{name: "before", to: hour(-30), logs: 0},
		{
			name: "missing at the edges", from: hour(3), to: hour(5), logs: 2,
			fault: func() { // digests 2 to 5 are in the range
				for _, i := range []int{1, 2, 5, 6} {
					delete(m.files, tr.digests[i])
				}
			},
			want: []string{"digest_missing digest 2", "digest_missing digest 5"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.fault != nil {
				tt.fault()
			}
			for _, src := range []*memory{m, m.offline(same)} {
				got := verify(t, tr, src, publicKeys(), digest.Options{From: tt.from, To: tt.to})
				want := slices.Clone(tt.want)
				if src.name == "" && tt.fault != nil {
					want = append(want, "digest_unverifiable digest 4") // digest 5 would prove it
				}
				if src.name == "" && tt.name == "from" {
					want = append(want, "digest_unverifiable digest 7")
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, got.findings); diff != "" {
					t.Errorf("bucket %q: findings (-want +got):\n%s", src.name, diff)
				}
				named := 0
				for name, verdict := range got.verdicts {
					if verdict == "verified" || verdict == "unverifiable signature not in the copy" {
						named++
					} else if tt.fault == nil {
						t.Errorf("%s is %s", name, verdict)
					}
				}
				if named != tt.logs {
					t.Errorf("bucket %q: %d log files, want %d: %v", src.name, named, tt.logs, got.verdicts)
				}
			}
		})
	}
}

func TestVerifyManyPlaces(t *testing.T) {
	m := newMemory()
	for a := range 5 {
		for _, region := range []string{"eu-west-1", "us-east-1"} {
			tr := newTrail(t, m)
			tr.account, tr.region = fmt.Sprintf("11112222333%d", a), region
			tr.prefix, tr.org = "some/prefix", "o-exampleorgid"
			tr.hours(2, 0, 1)
			if a == 3 {
				other := newTrail(t, m)
				other.account, other.region, other.prefix, other.org = tr.account, region, tr.prefix, tr.org
				other.name, other.now = "other_trail", begin.Add(7*time.Minute)
				other.hours(1, 1)
			}
		}
	}
	got := verify(t, &trail{}, m, publicKeys(), digest.Options{Parallel: 3})
	if got, want := got.report.Digests, (digest.Counts{Total: 34, Verified: 34}); got != want {
		t.Errorf("digests = %+v, want %+v", got, want)
	}
	if got, want := got.report.LogFiles, (digest.Counts{Total: 34, Verified: 34}); got != want {
		t.Errorf("log files = %+v, want %+v", got, want)
	}
	var chains []string
	for _, c := range got.report.Chains {
		chains = append(chains, fmt.Sprint(c.Organization, " ", c.Account, " ", c.Region, " ", c.Trail))
	}
	if len(chains) != 12 || !slices.IsSorted(chains) || chains[7] != "o-exampleorgid 111122223333 eu-west-1 other_trail" {
		t.Errorf("chains = %q", chains)
	}
	if !got.report.Holds() {
		t.Errorf("findings: %v", got.findings)
	}
	// One account only.
	got = verify(t, &trail{}, m, publicKeys(), digest.Options{Prefix: "some/prefix/AWSLogs/o-exampleorgid/111122223330/"})
	if got, want := got.report.Digests, (digest.Counts{Total: 6, Verified: 6}); got != want {
		t.Errorf("digests under the prefix = %+v, want %+v", got, want)
	}
}

// A trail that has just begun has no digest yet: its log files must not be taken for injected ones.
func TestVerifySecondTrail(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1, 1, 1)
	late := newTrail(t, m)
	late.name, late.now = "late-trail", begin.Add(110*time.Minute)
	late.hours(1) // until 2:50; the other one until 4:00
	path := inject(tr, begin.Add(170*time.Minute))
	got := verify(t, tr, m, publicKeys(), digest.Options{})
	if got, want := got.verdicts[path], "pending newer than the newest digest"; got != want {
		t.Errorf("verdict = %q, want %q", got, want)
	}
}

func TestVerifyWithoutDigests(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m)
	for i := range 3 {
		tr.deliver(begin.Add(time.Duration(i) * time.Minute))
	}
	got := verify(t, tr, m, publicKeys(), digest.Options{})
	if diff := cmp.Diff([]string{"no_digests AWSLogs/111122223333/ ×3"}, got.findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if got, want := got.report.LogFiles, (digest.Counts{Total: 3, Unverifiable: 3}); got != want {
		t.Errorf("log files = %+v, want %+v", got, want)
	}
	empty := verify(t, tr, newMemory(), publicKeys(), digest.Options{})
	if !empty.report.Holds() || empty.report.LogFiles.Total+empty.report.Digests.Total != 0 {
		t.Errorf("report of nothing = %+v", empty.report)
	}
}

func TestVerifyOtherKinds(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1)
	insight := cloudtrail.Key{
		Account: account, Kind: cloudtrail.KindInsight, Region: region, Time: begin.Add(time.Hour), Unique: "insight000000000",
	}.String()
	m.files[insight] = file{body: gzipped([]byte(`{"Records":[]}`))}
	got := verify(t, tr, m, publicKeys(), digest.Options{})
	if got, want := got.verdicts[insight], "unverifiable no digest names files of its kind"; got != want {
		t.Errorf("verdict = %q, want %q", got, want)
	}
}

func TestVerifyBackfill(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1, 1)
	late := newTrail(t, m)
	late.backfill, late.delivered, late.priv = true, 100, privateKeys()[1]
	late.hours(1, 1)
	at := begin.Add(time.Hour).Add(48 * time.Hour)
	keys := &keysByTime{keys: publicKeys(), at: at}
	got := verify(t, tr, m, keys, digest.Options{})
	want := []string{"backfill  ×2", "chain_started " + late.digests[0], started}
	if diff := cmp.Diff(want, got.findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if got, want := got.report.LogFiles, (digest.Counts{Total: 5, Verified: 5}); got != want {
		t.Errorf("log files = %+v, want %+v", got, want)
	}
	if len(got.report.Chains) != 2 || !got.report.Chains[1].Backfill {
		t.Errorf("chains = %+v", got.report.Chains)
	}
	if n := keys.asked.Load(); n > 4 {
		t.Errorf("public keys asked for %d times", n)
	}
}

func TestVerifyBackfillFaults(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1, 1, 1, 1, 1)
	late := newTrail(t, m)
	late.backfill, late.delivered = true, 100
	late.hours(1, 1)
	late.now = late.now.Add(3 * time.Hour)
	late.hours(1)
	delete(m.files, late.digests[1])
	alter(t, m, late.digests[2], "SHA-256", "SHA-255")
	got := verify(t, tr, m, publicKeys(), digest.Options{})
	want := []string{ // the missing one isn't known: only the one that was altered names it
		"backfill  ×2", "chain_started " + late.digests[0], started, "log_files_unproven AWSLogs/111122223333/ ×1",
		"signature_wrong " + late.digests[2],
	}
	want = append(want, "log_file_unlisted "+late.logs[1][0])
	slices.Sort(want)
	if diff := cmp.Diff(want, got.findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// keysByTime gives the second key only for times around at.
type keysByTime struct {
	keys  digest.Keys
	at    time.Time
	asked atomic.Int32
}

func (k *keysByTime) Keys(_ context.Context, _ string, from, to time.Time) ([]digest.Key, error) {
	k.asked.Add(1)
	if from.After(k.at) || to.Before(k.at) {
		return k.keys[:1], nil
	}
	return k.keys, nil
}

func TestVerifyLongGap(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(0, 0)
	tr.now = tr.now.Add(20000 * time.Hour)
	tr.tamper = func(d *digest.Digest) {
		d.PreviousDigestS3Object = strings.Replace(tr.digests[1], "us-east-1_2025", "us-east-1_2024", 1)
		d.PreviousDigestS3Object = cloudtrail.Key{
			Account: account, Kind: cloudtrail.KindDigest, Region: region, Time: tr.now.Add(-time.Hour), Trail: tr.name, HomeRegion: region,
		}.String()
	}
	tr.hours(0)
	got := verify(t, tr, m, publicKeys(), digest.Options{})
	missing, last := 0, digest.Finding{}
	for _, f := range got.report.Findings {
		if f.Kind == digest.DigestMissing {
			missing++
			if f.Count > 0 {
				last = f
			}
		}
	}
	if missing != 10001 || last.Count != 10000 || !last.From.Equal(begin.Add(2*time.Hour)) {
		t.Errorf("%d findings, the last %+v", missing, last)
	}
}

// broken is a source that can't be listed from some listing on.
type broken struct {
	*memory
	after int
}

var errList = errors.New("no listing")

func (b *broken) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	if b.after--; b.after < 0 {
		return func(yield func(string, error) bool) { yield("", errList) }
	}
	return b.memory.List(ctx, prefix, after)
}

func TestVerifyGivesErrors(t *testing.T) {
	m := newMemory()
	newTrail(t, m).hours(1, 1)
	whole := m.lists
	if _, err := digest.Verify(t.Context(), m, publicKeys(), digest.Options{}); err != nil {
		t.Fatal(err)
	}
	whole = m.lists - whole
	for n := range whole {
		if _, err := digest.Verify(t.Context(), &broken{m, n}, publicKeys(), digest.Options{}); !errors.Is(err, errList) {
			t.Errorf("listing %d fails: %v, want %v", n, err, errList)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := digest.Verify(ctx, m, publicKeys(), digest.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	opts := digest.Options{Parallel: 1, LogFile: func(digest.FileVerdict) { cancel() }}
	if _, err := digest.Verify(ctx, m, publicKeys(), opts); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled meanwhile: %v", err)
	}
}
