// Command restart measures what following a bucket anew costs: how long, and how many requests, from the start of a
// collector over a bucket of a million log files that are all in the lake until the first new event is there.
//
// The bucket is a server on loopback that answers listings as S3 does, a page of 1,000 keys at a time, with a delay for
// each answer. A lake that has all its log files is made first; that isn't measured.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/collect/collecttest"
	"github.com/aitrail/aitrail/internal/lake"
)

func main() {
	keys := flag.Int("keys", 1_000_000, "log files in the bucket")
	accounts := flag.Int("accounts", 20, "accounts")
	years := flag.Int("years", 3, "years")
	delay := flag.Duration("delay", 20*time.Millisecond, "of each answer")
	dir := flag.String("dir", "", "folder of the lake, to keep it; a lake that is there gets a million log files more")
	flag.Parse()
	if err := run(*keys, *accounts, *years, *delay, *dir); err != nil {
		log.Fatal(err)
	}
}

var regions = []string{"us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1", "ap-southeast-2", "sa-east-1"}

// names returns keys spread evenly over accounts, Regions and time, up to now.
func names(keys, accounts, years int, now time.Time) []string {
	places := accounts * len(regions)
	each := keys / places
	step := time.Duration(years) * 365 * 24 * time.Hour / time.Duration(each)
	var list []string
	for a := range accounts {
		for _, region := range regions {
			for n := range each {
				list = append(list, name(a, region, now.Add(-time.Duration(n)*step), n))
			}
		}
	}
	return list
}

func name(account int, region string, at time.Time, n int) string {
	return cloudtrail.Key{
		Account: fmt.Sprintf("%012d", 111100000000+account), Kind: cloudtrail.KindLog, Region: region, Time: at,
		Unique: fmt.Sprintf("%016d", n),
	}.String()
}

// size is that of all log files.
const size = 512

// event is a log file with one event.
func event(key string) []byte {
	k, _ := cloudtrail.ParseKey(key)
	id := sha256.Sum256([]byte(key))
	text := fmt.Appendf(nil, `{"Records":[{"eventVersion":"1.11","eventTime":%q,"eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","awsRegion":%q,"eventID":"%x-%x-4000-8000-%x","recipientAccountId":%q}]}`,
		k.Time.Format(time.RFC3339), k.Region, id[:4], id[4:6], id[6:12], k.Account)
	return append(text, bytes.Repeat([]byte(" "), size-len(text))...)
}

func run(keys, accounts, years int, delay time.Duration, dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	now := time.Now().UTC().Truncate(time.Minute).Add(-time.Hour)
	bucket := &collecttest.S3{Body: event, Size: size}
	web := httptest.NewServer(bucket)
	defer web.Close()
	for variable, value := range map[string]string{
		"AWS_ENDPOINT_URL": web.URL, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		if err := os.Setenv(variable, value); err != nil {
			return err
		}
	}
	if dir == "" {
		tmp, err := os.MkdirTemp("", "restart")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		dir = filepath.Join(tmp, "lake")
	}
	list := names(keys, accounts, years, now)
	bucket.Add(list...)
	fmt.Printf("%d log files of %d accounts and %d Regions over %d years; %v for each answer\n", len(list), accounts, len(regions), years, delay)
	if err := fill(ctx, dir, bucket, list); err != nil {
		return err
	}

	// The collector that goes on where the first one ended.
	bucket.Delay = delay
	fresh := name(accounts/2, regions[3], now.Add(30*time.Minute), 999_999)
	bucket.Add(fresh)
	lists0, gets0 := bucket.Requests()
	start, cpu0 := time.Now(), cpu()
	l, err := lake.Open(ctx, dir, lake.Options{})
	if err != nil {
		return err
	}
	defer l.Close()
	opened := time.Since(start)
	f, err := collect.NewFollower(l, []string{"s3://trail"}, collect.Options{})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	read, committed := time.Duration(0), time.Duration(0)
	bucket.OnGet(func(string) {
		if read == 0 {
			read = time.Since(start)
		}
	})
	for committed == 0 {
		select {
		case err := <-ended:
			return err
		case <-time.After(5 * time.Millisecond):
		}
		if f.Report().Events > 0 {
			committed = time.Since(start)
		}
	}
	used := cpu() - cpu0
	lists, gets := bucket.Requests()
	fmt.Printf("lake open after %v; new log file asked for after %v, its event in the lake after %v; %d listings, %d objects until then; %v of processor time, the bucket's included\n",
		opened.Round(time.Millisecond), read.Round(time.Millisecond), committed.Round(time.Millisecond), lists-lists0, gets-gets0, used.Round(time.Millisecond))
	time.Sleep(20 * time.Second)
	lists2, gets2 := bucket.Requests()
	fmt.Printf("20 s later: %d listings, %d objects\n", lists2-lists0, gets2-gets0)
	cancel()
	<-ended
	return nil
}

// cpu is the processor time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill makes a lake that has the log files, and a cursor that says so.
func fill(ctx context.Context, dir string, bucket *collecttest.S3, list []string) error {
	l, err := lake.Open(ctx, dir, lake.Options{Create: true})
	if err != nil {
		return err
	}
	defer l.Close()
	start := time.Now()
	for part := range slices.Chunk(list, 50_000) {
		b := l.NewBatch()
		for _, key := range part {
			k, _ := cloudtrail.ParseKey(key)
			f := b.File(lake.LogFile{
				Object: "s3://trail/" + key, Size: size, ETag: collecttest.ETag(key), Kind: k.Kind, Account: k.Account, Region: k.Region,
			})
			if err := f.Done(nil); err != nil {
				return err
			}
		}
		if _, err := b.Commit(ctx); err != nil {
			return err
		}
	}
	f, err := collect.NewFollower(l, []string{"s3://trail"}, collect.Options{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Second):
		}
		s := f.Sources()[0]
		if s.Backfill == 0 && s.Ready {
			cancel()
			<-ended
			lists, gets := bucket.Requests()
			fmt.Printf("made a lake of them in %v, with %d listings and %d objects\n", time.Since(start).Round(time.Second), lists, gets)
			return nil
		}
		if s.Error != "" {
			return fmt.Errorf("making the lake: %s", s.Error)
		}
	}
}
