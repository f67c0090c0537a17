package digest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/digest"
)

// stored is the state that one verification leaves to the next.
type stored struct{ state []byte }

// again verifies with the state of the last verification, which goes through JSON as it does in a file.
func (s *stored) again(t *testing.T, tr *trail, m *memory, opts digest.Options) outcome {
	t.Helper()
	if s.state != nil {
		opts.State = new(digest.State)
		if err := json.Unmarshal(s.state, opts.State); err != nil {
			t.Fatal(err)
		}
	}
	got := verify(t, tr, m, publicKeys(), opts)
	var err error
	if s.state, err = json.Marshal(got.report.State); err != nil {
		t.Fatal(err)
	}
	return got
}

func names(verdicts map[string]string) []string {
	var list []string
	for name := range verdicts {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func wantFindings(t *testing.T, got outcome, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, got.findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestVerifyAgainReadsOnlyWhatIsNew(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(2, 2, 2)
	var s stored
	got := s.again(t, tr, m, digest.Options{})
	wantFindings(t, got, started)
	if n := got.report.Digests.Total; n != 3 {
		t.Fatalf("%d digests, want 3", n)
	}
	tr.hours(1, 1)
	got = s.again(t, tr, m, digest.Options{})
	wantFindings(t, got)
	if diff := cmp.Diff([]string{"log 3/0", "log 4/0"}, names(got.verdicts)); diff != "" {
		t.Errorf("log files read again (-want +got):\n%s", diff)
	}
	if c := got.report.Chains[0]; !c.Since.Equal(begin.Add(3*time.Hour)) || c.Digests.Total != 3 { // the head's too
		t.Errorf("chain since %v with %d digests", c.Since, c.Digests.Total)
	}
	got = s.again(t, tr, m, digest.Options{})
	if len(got.verdicts) > 0 || got.report.Digests.Total != 1 {
		t.Errorf("nothing is new, but %d log files and %d digests were read", len(got.verdicts), got.report.Digests.Total)
	}
	got = s.again(t, tr, m, digest.Options{Full: true})
	wantFindings(t, got, started)
	if len(got.verdicts) != 8 {
		t.Errorf("a full verification read %d log files, want 8", len(got.verdicts))
	}
	got = s.again(t, tr, m, digest.Options{Again: begin.Add(200 * time.Minute)})
	wantFindings(t, got)
	if diff := cmp.Diff([]string{"log 3/0", "log 4/0"}, names(got.verdicts)); diff != "" {
		t.Errorf("log files read again (-want +got):\n%s", diff)
	}
}

func TestVerifyAgainFindsWhatWasPutIn(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(2, 2, 2)
	var s stored
	pending := inject(tr, tr.now.Add(-5*time.Minute)) // the next digest may name it
	got := s.again(t, tr, m, digest.Options{})
	if v := got.verdicts[pending]; v != "pending newer than the newest digest" {
		t.Fatalf("verdict %q", v)
	}
	tr.hours(1)
	got = s.again(t, tr, m, digest.Options{})
	wantFindings(t, got, "log_file_unlisted "+pending)
	if v := got.verdicts[pending]; v != "failed log_file_unlisted" {
		t.Errorf("verdict %q", v)
	}
}

func TestVerifyAgainRepeatsFindings(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(2, 2, 2)
	content := m.files[tr.logs[1][0]]
	alter(t, m, tr.logs[1][0], "Records", "records")
	inject(tr, begin.Add(90*time.Minute))
	var s stored
	first := s.again(t, tr, m, digest.Options{})
	tr.hours(1)
	for range 2 {
		got := s.again(t, tr, m, digest.Options{})
		var kinds []digest.Kind
		for _, f := range got.report.Findings {
			if !f.Earlier {
				t.Errorf("%s is not marked as found earlier", f.Kind)
			}
			kinds = append(kinds, f.Kind)
		}
		slices.Sort(kinds)
		if diff := cmp.Diff([]digest.Kind{digest.LogFileAltered, digest.LogFileUnlisted}, kinds); diff != "" || got.report.Holds() {
			t.Errorf("findings (-want +got), first %v:\n%s", first.findings, diff)
		}
	}
	m.files[tr.logs[1][0]] = content
	got := s.again(t, tr, m, digest.Options{Full: true})
	if len(got.report.Findings) != 2 { // chain_started and the injected file
		t.Errorf("after the repair: %v", got.findings)
	}
	got = s.again(t, tr, m, digest.Options{})
	if len(got.report.Findings) != 1 || got.report.Findings[0].Kind != digest.LogFileUnlisted {
		t.Errorf("after the repair and a full verification: %v", got.findings)
	}
}

func TestVerifyAgainFindsTheTailCutOff(t *testing.T) {
	for _, full := range []bool{false, true} {
		for _, left := range []int{0, 1, 3, 5} {
			t.Run(fmt.Sprint(left, " digests left, full ", full), func(t *testing.T) {
				m := newMemory()
				tr := newTrail(t, m).hours(1, 1, 1, 1, 1, 1)
				var s stored
				s.again(t, tr, m, digest.Options{})
				for i := left; i < 6; i++ {
					delete(m.files, tr.digests[i])
					delete(m.files, tr.logs[i][0])
				}
				for range 2 { // what was found stays found
					got := s.again(t, tr, m, digest.Options{Full: full})
					i := slices.IndexFunc(got.report.Findings, func(f digest.Finding) bool { return f.Kind == digest.TailCut })
					if i < 0 || got.report.Holds() {
						t.Fatalf("findings %v", got.findings)
					}
					f := got.report.Findings[i]
					from := begin.Add(time.Duration(left) * time.Hour)
					if left == 0 {
						from = time.Time{}
					}
					if f.Key != tr.digests[5] || !f.From.Equal(from) || !f.To.Equal(begin.Add(6*time.Hour)) || f.Account != account {
						t.Errorf("finding %+v", f)
					}
				}
			})
		}
	}
}

func TestVerifyAgainFindsOldDigestsGone(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1, 1)
	var s stored
	s.again(t, tr, m, digest.Options{})
	tr.hours(1, 1)
	delete(m.files, tr.digests[2])
	wantFindings(t, s.again(t, tr, m, digest.Options{}), "digest_missing digest 2")
}

func TestVerifyAgainFindsAnotherHead(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1, 1)
	var s stored
	s.again(t, tr, m, digest.Options{})
	other := newMemory()
	newTrail(t, other).hours(1, 2, 0) // another life of the trail: signed as well
	m.files[tr.digests[2]] = other.files[tr.digests[2]]
	got := s.again(t, tr, m, digest.Options{})
	if !slices.Contains(got.findings, "head_changed digest 2") {
		t.Errorf("findings %v", got.findings)
	}
}

func TestVerifyAgainReadsAgainWhatCouldNotBeRead(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1, 1)
	whole := m.files[tr.logs[1][0]]
	m.files[tr.logs[1][0]] = file{err: errors.New("slow down")}
	var s stored
	wantFindings(t, s.again(t, tr, m, digest.Options{}), started, "log_file_unreadable log 1/0")
	m.files[tr.logs[1][0]] = whole
	got := s.again(t, tr, m, digest.Options{})
	wantFindings(t, got, started)
	if len(got.verdicts) != 3 {
		t.Errorf("%d log files read, want 3", len(got.verdicts))
	}
}

func TestVerifyTellsPausesFromGaps(t *testing.T) {
	hour := func(h int) time.Time { return begin.Add(time.Duration(h) * time.Hour) }
	stopped := digest.Pause{Account: account, Trail: "example-trail", HomeRegion: region, From: hour(3), To: hour(6), Detail: "StopLogging by ana"}
	deliver := func(t *testing.T) (*memory, *trail) {
		m := newMemory()
		tr := newTrail(t, m).hours(1, 1, 1)
		tr.now, tr.last = hour(6), digest.Link{} // as CloudTrail begins a new chain after StartLogging
		return m, tr.hours(1, 1)
	}
	t.Run("nothing tells", func(t *testing.T) {
		m, tr := deliver(t)
		wantFindings(t, verify(t, tr, m, publicKeys(), digest.Options{}), started, "chain_restarted digest 3")
	})
	t.Run("a pause", func(t *testing.T) {
		m, tr := deliver(t)
		wantFindings(t, verify(t, tr, m, publicKeys(), digest.Options{Pauses: []digest.Pause{stopped}}), started, "logging_stopped ")
	})
	t.Run("a pause within the last hour of a chain", func(t *testing.T) {
		m, tr := deliver(t)
		short := stopped
		short.From, short.To = hour(2).Add(5*time.Minute), hour(2).Add(20*time.Minute)
		wantFindings(t, verify(t, tr, m, publicKeys(), digest.Options{Pauses: []digest.Pause{short}}), started, "logging_stopped ",
			"chain_restarted digest 3")
	})
	t.Run("another trail's pause", func(t *testing.T) {
		m, tr := deliver(t)
		other := stopped
		other.Trail = "other-trail"
		wantFindings(t, verify(t, tr, m, publicKeys(), digest.Options{Pauses: []digest.Pause{other}}), started, "chain_restarted digest 3")
	})
	t.Run("digests before the pause removed", func(t *testing.T) {
		m, tr := deliver(t)
		delete(m.files, tr.digests[1])
		delete(m.files, tr.digests[2])
		wantFindings(t, verify(t, tr, m, publicKeys(), digest.Options{Pauses: []digest.Pause{stopped}}),
			started, "logging_stopped ", "digest_missing digest 1", "digest_missing digest 2", "log_files_unproven AWSLogs/111122223333/ ×2")
	})
	t.Run("the newest digests before a pause that lasts", func(t *testing.T) {
		m := newMemory()
		tr := newTrail(t, m).hours(1, 1, 1)
		lasting := stopped
		lasting.To = time.Time{}
		opts := digest.Options{Pauses: []digest.Pause{lasting}, Now: hour(100)}
		wantFindings(t, verify(t, tr, m, publicKeys(), opts), started, "logging_stopped ")
		delete(m.files, tr.digests[2])
		wantFindings(t, verify(t, tr, m, publicKeys(), opts), started, "logging_stopped ", "digest_missing digest 2", "log_files_unproven AWSLogs/111122223333/ ×1")
	})
}

func TestVerifyPausesThatOverlap(t *testing.T) {
	hour := func(h int) time.Time { return begin.Add(time.Duration(h) * time.Hour) }
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1, 1)
	tr.now, tr.last = hour(9), digest.Link{}
	tr.hours(1)
	pause := func(from, to int) digest.Pause {
		return digest.Pause{Account: account, Trail: "example-trail", HomeRegion: region, From: hour(from), To: hour(to)}
	}
	opts := digest.Options{Pauses: []digest.Pause{pause(3, 9), pause(4, 5)}}
	wantFindings(t, verify(t, tr, m, publicKeys(), opts), started, "logging_stopped ", "logging_stopped ")
	opts.Pauses = []digest.Pause{pause(3, 5), pause(7, 9)} // digests of two hours between were removed
	got := verify(t, tr, m, publicKeys(), opts)
	n := 0
	for _, f := range got.report.Findings {
		if f.Kind == digest.DigestMissing {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d digests missing, want 2: %v", n, got.findings)
	}
}

func TestVerifyMissesDigestsThatWereComing(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(1, 1, 1)
	end := begin.Add(3 * time.Hour)
	wantFindings(t, verify(t, tr, m, publicKeys(), digest.Options{Now: end.Add(150 * time.Minute)}), started)
	wantFindings(t, verify(t, tr, m, publicKeys(), digest.Options{Now: end.Add(4 * time.Hour)}), started, "chain_ended digest 2")

	var s stored
	s.again(t, tr, m, digest.Options{Now: end.Add(time.Minute)})
	for range 2 {
		wantFindings(t, s.again(t, tr, m, digest.Options{Now: end.Add(4 * time.Hour)}), "digest_overdue digest 2")
	}
	s.again(t, tr, m, digest.Options{Now: end.Add(5 * time.Hour), Full: true})
	wantFindings(t, s.again(t, tr, m, digest.Options{Now: end.Add(6 * time.Hour)}), "chain_ended digest 2")
}

func TestVerifyAnExcerpt(t *testing.T) {
	m := newMemory()
	tr := newTrail(t, m).hours(2, 2, 2, 2, 2)
	for _, path := range []string{tr.digests[0], tr.digests[2], tr.digests[4], tr.logs[1][0]} {
		delete(m.files, path)
	}
	for _, i := range []int{0, 2, 4} {
		delete(m.files, tr.logs[i][0])
		delete(m.files, tr.logs[i][1])
	}
	got := verify(t, tr, m, publicKeys(), digest.Options{Excerpt: true})
	wantFindings(t, got)
	if diff := cmp.Diff([]string{"log 1/1", "log 3/0", "log 3/1"}, names(got.verdicts)); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	alter(t, m, tr.logs[3][0], "Records", "records")
	wantFindings(t, verify(t, tr, m, publicKeys(), digest.Options{Excerpt: true}), "log_file_altered log 3/0")
}
