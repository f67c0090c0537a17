package collect_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/collect/collecttest"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object/objecttest"
)

// oneEvent is a log file with one event, whose id follows from the key.
func oneEvent(key string) []byte {
	k, _ := cloudtrail.ParseKey(key)
	sum := sha256.Sum256([]byte(key))
	return fmt.Appendf(nil, `{"Records":[{"eventVersion":"1.11","eventTime":%q,"eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","awsRegion":%q,"eventID":"%x-%x-4%03x-8%03x-%x","recipientAccountId":%q,"eventType":"AwsApiCall"}]}`,
		k.Time.Format(time.RFC3339), k.Region, sum[:4], sum[4:6], int(sum[6])<<4|int(sum[7])&15, int(sum[8])<<4|int(sum[9])&15, sum[10:16], k.Account)
}

// key is the key of a log file.
func key(account, region string, at time.Time, n int) string {
	return cloudtrail.Key{Account: account, Kind: cloudtrail.KindLog, Region: region, Time: at, Unique: fmt.Sprintf("%016d", n), Plain: true}.String()
}

// bucket serves a bucket named trail over HTTP, as the endpoint that AWS clients of the test use.
func bucket(t *testing.T, s *collecttest.S3) *collecttest.S3 {
	t.Helper()
	s.Body = oneEvent
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	environment(t, web.URL)
	return s
}

func environment(t *testing.T, url string) {
	t.Helper()
	objecttest.NoAWS(t)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
}

// running is a follower at work.
type running struct {
	*collect.Follower
	t    *testing.T
	stop func() error
}

func follow(t *testing.T, l *lake.Lake, opts collect.Options, sources ...string) *running {
	t.Helper()
	if opts.BatchAge == 0 {
		opts.BatchAge = 20 * time.Millisecond
	}
	f, err := collect.NewFollower(l, sources, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	stopped := false
	r := &running{f, t, func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}}
	t.Cleanup(func() {
		if err := r.stop(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// until waits for a condition, which real events bring about.
func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s never came about: %+v, sources %+v", what, r.Report(), r.Sources())
		}
	}
}

func (r *running) collected(n int64) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d log files", n), func() bool { return r.Report().Collected >= n })
}

// objects returns the log files that the lake's events came from.
func objects(t *testing.T, l *lake.Lake) []string {
	t.Helper()
	var list []string
	for _, r := range rows(t, l) {
		list = append(list, strings.TrimPrefix(r.Object, "s3://trail/"))
	}
	slices.Sort(list)
	return list
}

func fast(sources ...string) collect.Options {
	o := collect.Options{Settings: map[string]collect.Settings{}}
	for _, s := range sources {
		o.Settings[s] = collect.Settings{Poll: 20 * time.Millisecond}
	}
	return o
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestFollowBucket follows a bucket of two accounts over three months: what is old is read back while new files come,
// late ones and new accounts are found, and a second follower reads nothing again.
func TestFollowBucket(t *testing.T) {
	s := bucket(t, &collecttest.S3{})
	var want []string
	for _, account := range []string{"111122223333", "444455556666"} {
		for month := range 3 {
			for n := range 4 {
				want = append(want, key(account, "us-east-1", noon.AddDate(0, -month, -n), n))
			}
		}
	}
	s.Add(want...)
	s.Add("AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/03/01/x.txt", "AWSLogs/111122223333/Config/us-east-1/x", "other/1")
	dir := t.TempDir()
	l := newLake(t, dir)
	const source = "s3://trail"
	r := follow(t, l, fast(source), source)
	r.collected(int64(len(want)))
	r.until("the end of backfill", func() bool { s := r.Sources()[0]; return s.Ready && s.Backfill == 0 && s.Digests && s.Places == 3 })
	more := []string{
		key("111122223333", "us-east-1", noon.Add(time.Minute), 90),
		key("111122223333", "us-east-1", noon.Add(-30*time.Minute), 91), // late
		key("111122223333", "us-east-1", noon.Add(2*time.Minute), 92),
	}
	s.Add(more...)
	r.collected(int64(len(want) + len(more)))
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	want = append(want, more...)
	slices.Sort(want)
	if got := objects(t, l); !slices.Equal(got, want) {
		t.Fatalf("collected %q\nwant %q", got, want)
	}

	// After a restart only the ends of places are listed, and new ones.
	lists, gets := s.Requests()
	last := key("111122223333", "us-east-1", noon.Add(3*time.Minute), 93)
	late := key("444455556666", "us-east-1", noon.AddDate(0, 0, -3), 94) // within a week
	place := key("777788889999", "eu-west-1", noon, 95)
	s.Add(last, late, place)
	r = follow(t, newLake(t, dir), collect.Options{}, source)
	r.collected(3)
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	lists2, gets2 := s.Requests()
	if gets2-gets != 3 || lists2-lists > 60 {
		t.Errorf("%d listings and %d objects after the restart", lists2-lists, gets2-gets)
	}
	want = append(want, last, late, place)
	slices.Sort(want)
	if got := objects(t, newLake(t, dir)); !slices.Equal(got, want) {
		t.Errorf("collected %q\nwant %q", got, want)
	}
}

// TestFollowDenied has one account denied: it is named, the others go on, and it is collected once it is allowed.
func TestFollowDenied(t *testing.T) {
	allowed := make(chan struct{})
	const denied = "444455556666"
	s := bucket(t, &collecttest.S3{Denied: func(r *http.Request) bool {
		select {
		case <-allowed:
			return false
		default:
			return strings.Contains(r.URL.String(), denied) && r.URL.Query().Get("delimiter") == ""
		}
	}})
	ours, theirs := key("111122223333", "us-east-1", noon, 1), key(denied, "us-east-1", noon, 2)
	s.Add(ours, theirs)
	l := newLake(t, t.TempDir())
	r := follow(t, l, fast("s3://trail"), "s3://trail")
	r.collected(1)
	r.until("the trouble", func() bool {
		s := r.Sources()[0]
		return s.Ready && strings.Contains(s.Error, denied) && strings.Contains(s.Error, "AccessDenied")
	})
	close(allowed)
	r.collected(2)
	r.until("peace", func() bool { return r.Sources()[0].Error == "" })
}

// TestFollowPlain follows a bucket that isn't laid out as CloudTrail delivers, until a trail begins to deliver there.
func TestFollowPlain(t *testing.T) {
	s := bucket(t, &collecttest.S3{})
	name := "copies/111122223333_CloudTrail_us-east-1_20260301T1200Z_0000000000000001.json"
	s.Add(name, "copies/deleted.json")
	r := follow(t, newLake(t, t.TempDir()), fast("s3://trail"), "s3://trail")
	s.Remove("copies/deleted.json")
	r.collected(1)
	s.Add(strings.Replace(name, "1200Z", "0900Z", 1)) // before the last
	r.collected(2)
	s.Add(key("111122223333", "us-east-1", noon, 3))
	r.collected(3)
	r.until("places", func() bool { return r.Sources()[0].Places == 1 })
	s.Add(key("111122223333", "us-east-1", noon.Add(time.Minute), 4))
	r.collected(4)
}

// TestFollowFolder follows a folder into which files are copied in any order, one of them slowly.
func TestFollowFolder(t *testing.T) {
	dir := t.TempDir()
	name := func(n int) string {
		return filepath.Join(dir, fmt.Sprintf("111122223333_CloudTrail_us-east-1_20260301T12%02dZ_%016d.json", n, n))
	}
	write(t, name(9), oneEvent(name(9)))
	r := follow(t, newLake(t, t.TempDir()), fast(dir), dir)
	r.collected(1)
	write(t, name(3), oneEvent(name(3)))
	r.collected(2)
	f, err := os.Create(name(5))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := oneEvent(name(5))
	for i := range text { // slower than the follower looks
		if _, err := f.Write(text[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if i%20 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	r.collected(3)
	if got := r.Report(); got.Quarantined > 0 || got.Failed > 0 {
		t.Errorf("%+v", got)
	}
}

// TestFollowFuture has a key of a far future, which must not hide those that come.
func TestFollowFuture(t *testing.T) {
	s := bucket(t, &collecttest.S3{})
	now := time.Now().UTC().Truncate(time.Minute)
	s.Add(key("111122223333", "us-east-1", now, 1), key("111122223333", "us-east-1", now.AddDate(50, 0, 0), 2))
	dir := t.TempDir()
	r := follow(t, newLake(t, dir), fast("s3://trail"), "s3://trail")
	r.collected(2)
	s.Add(key("111122223333", "us-east-1", now.Add(time.Minute), 3))
	r.collected(3)
	_ = r.stop()
	s.Add(key("111122223333", "us-east-1", now.Add(2*time.Minute), 4))
	r = follow(t, newLake(t, dir), fast("s3://trail"), "s3://trail")
	r.collected(1)
}

// TestFollowHole has a log file that can't be read for long: what comes after it is collected, and so is it in the end,
// whatever was collected meanwhile.
func TestFollowHole(t *testing.T) {
	hole := key("111122223333", "us-east-1", noon, 2)
	var allowed atomic.Bool
	s := bucket(t, &collecttest.S3{Denied: func(r *http.Request) bool { return !allowed.Load() && strings.HasSuffix(r.URL.Path, hole) }})
	s.Add(key("111122223333", "us-east-1", noon.Add(-time.Hour), 1), hole)
	dir := t.TempDir()
	r := follow(t, newLake(t, dir), fast("s3://trail"), "s3://trail")
	r.collected(1)
	s.Add(key("111122223333", "us-east-1", noon.AddDate(0, 0, 20), 3), key("111122223333", "us-east-1", noon.AddDate(0, 0, 21), 4))
	r.collected(3)
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	allowed.Store(true)
	r = follow(t, newLake(t, dir), fast("s3://trail"), "s3://trail")
	r.collected(1)
	if got := objects(t, newLake(t, dir)); len(got) != 4 {
		t.Errorf("collected %q", got)
	}
}

// TestFollowSweep has a log file come a month late: no look sees it, the sweep of a week later does, and the next is a week
// after that one, whoever does it. Folders beside AWSLogs/ are told of.
func TestFollowSweep(t *testing.T) {
	s := bucket(t, &collecttest.S3{})
	var offset atomic.Int64
	opts := fast("s3://trail")
	opts.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	s.Add(key("111122223333", "us-east-1", noon, 0), key("111122223333", "us-east-1", noon.AddDate(0, 0, -60), 1), "copies/1.json", "AWSLogs/111122223333/Config/1")
	dir := t.TempDir()
	r := follow(t, newLake(t, dir), opts, "s3://trail")
	r.collected(2)
	r.until("the end of backfill", func() bool { s := r.Sources()[0]; return s.Ready && s.Backfill == 0 && !s.Swept.IsZero() })
	first := r.Sources()[0]
	if first.Beside != 1 || first.Listings == 0 {
		t.Errorf("%+v", first)
	}
	s.Add(key("111122223333", "us-east-1", noon.AddDate(0, 0, -30), 2), key("111122223333", "us-east-1", noon.Add(time.Minute), 3))
	r.collected(3) // the new one
	offset.Store(int64(6 * 24 * time.Hour))
	s.Add(key("111122223333", "us-east-1", noon.Add(2*time.Minute), 4))
	r.collected(4)
	if got := r.Sources()[0].Swept; !got.Equal(first.Swept) {
		t.Errorf("swept at %v, a week early", got)
	}
	_ = r.stop()
	offset.Store(int64(8 * 24 * time.Hour))
	l := newLake(t, dir)
	r = follow(t, l, opts, "s3://trail")
	r.collected(1)
	r.until("the sweep", func() bool { return r.Sources()[0].Swept.After(first.Swept) })
	if got := objects(t, l); len(got) != 5 {
		t.Errorf("collected %q", got)
	}
}

// TestFollowClock sets the clock forth and back: nothing is missed.
func TestFollowClock(t *testing.T) {
	s := bucket(t, &collecttest.S3{})
	var offset atomic.Int64
	opts := fast("s3://trail")
	opts.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	s.Add(key("111122223333", "us-east-1", noon, 0))
	r := follow(t, newLake(t, t.TempDir()), opts, "s3://trail")
	r.collected(1)
	for n, days := range []int{400, -400, 0, -4000, 30} {
		offset.Store(int64(days) * int64(24*time.Hour))
		s.Add(key("111122223333", "us-east-1", noon.Add(time.Duration(n+1)*time.Minute), n+1))
		r.collected(int64(n + 2))
	}
}
