// Command verify measures `aitrail verify` beside the AWS CLI and beside what can't be done without.
//
//	go run ./bench/verify -dir /tmp/bench-verify
//
// Online: one account and Region, 24 digests, 2,000 log files, in a bucket of `aitrail local` that both `aitrail verify --full`
// and `aws cloudtrail validate-logs` read from, in turns. With -latency, and with -memory, the bucket is a server that holds
// its objects in memory and checks nothing, so that it costs both sides as little as can be. Public keys come from that server in
// any case: the digests are made here. Offline: an organization of 50 accounts in 4 Regions with 24 hours
// each, on disk, beside sha256sum over the same files as they are stored, and beside inflating and hashing them on all
// cores. Every run is a process of its own; figures are medians. Log files are package corpus's. Without the AWS CLI the
// first part is left out, and said so.
//
// With -matrix it compares what is found, not how fast: see faults.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/bench/corpus"
	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
)

const bucket = "example-bucket"

// begin is when all trails begin.
var begin = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// bench is one run of the command.
type bench struct {
	dir, aitrail string
	state        string // a folder for checkpoints, emptied before each run
	runs, events int
	memory       bool
	latency      time.Duration
	priv         *rsa.PrivateKey
	out          io.Writer
}

func run(ctx context.Context, args []string, out io.Writer) error {
	b := &bench{out: out}
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	flags.StringVar(&b.dir, "dir", "", "folder to work in (default: a temporary one)")
	flags.StringVar(&b.aitrail, "aitrail", "bin/aitrail", "the program")
	flags.IntVar(&b.runs, "runs", 3, "runs of each side")
	flags.IntVar(&b.events, "events", 100, "events a log file")
	flags.BoolVar(&b.memory, "memory", false, "read from a server that does nothing else, instead of aitrail local")
	flags.DurationVar(&b.latency, "latency", 0, "time that the server waits before each answer, as a bucket far away does")
	matrix := flags.Bool("matrix", false, "compare what both find of a trail that was damaged in many ways, instead of how fast they are")
	inflate := flags.String("inflate", "", "internal: inflate and hash the log files of a folder")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *inflate != "" {
		return inflateAll(*inflate)
	}
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "aitrail-bench-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		b.dir = dir
	}
	var err error
	b.state = filepath.Join(b.dir, "state")
	if b.aitrail, err = filepath.Abs(b.aitrail); err != nil {
		return err
	}
	if b.priv, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return err
	}
	if *matrix {
		return b.matrix(ctx)
	}
	return errors.Join(b.online(ctx), b.offline(ctx))
}

// online measures the AWS CLI and aitrail on one server.
func (b *bench) online(ctx context.Context) error {
	if _, err := exec.LookPath("aws"); err != nil {
		fmt.Fprintln(b.out, "SKIPPED: no AWS CLI (aws) to measure")
		return nil
	}
	s := &server{latency: b.latency, key: &b.priv.PublicKey, objects: map[string]object{}}
	files := b.hours("111122223333", "us-east-1", 2000, func(key string, body []byte, meta map[string]string) error {
		s.objects[key] = object{body, meta}
		return nil
	})
	if files.err != nil {
		return files.err
	}
	url, stop, err := s.start()
	if err != nil {
		return err
	}
	defer stop()
	bucketEnv, from := []string{"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=example"}, "a server in memory"
	if !b.memory && b.latency == 0 {
		from = "aitrail local"
		at, err := b.endpoint(ctx, s.objects)
		if err != nil {
			return fmt.Errorf("aitrail local: %w", err)
		}
		defer at.stop()
		bucketEnv = at.env
	}
	fmt.Fprintf(b.out, "online, from %s: 24 digests, %d log files, %.1f MB stored, %v before each answer\n", from, files.count, float64(files.stored)/1e6, b.latency)
	// Nothing here is TLS: reading certificates that the machine has of its own is not what is measured.
	env := append(bucketEnv, "AWS_ENDPOINT_URL="+url, "AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER=", "AWS_CA_BUNDLE=", "AITRAIL_LAKE="+b.state)
	cli := []string{"aws", "cloudtrail", "validate-logs", "--trail-arn", "arn:aws:cloudtrail:us-east-1:111122223333:trail/main",
		"--s3-bucket", bucket, "--start-time", begin.Format(time.RFC3339), "--end-time", begin.Add(24 * time.Hour).Format(time.RFC3339)}
	return b.compare(ctx, files, []side{
		{"aws cloudtrail validate-logs", cli, env, "2000/2000 log files valid"},
		{"aitrail verify", []string{b.aitrail, "verify", "--full", "s3://" + bucket}, env, "2,000 of 2,000 log files verified"},
	})
}

// offline measures aitrail on a folder.
func (b *bench) offline(ctx context.Context) error {
	root := filepath.Join(b.dir, "organization")
	var all tally
	for account := range 50 {
		for _, region := range []string{"us-east-1", "eu-west-1", "eu-central-1", "ap-southeast-2"} {
			t := b.hours(fmt.Sprintf("1111%08d", account), region, 48, func(key string, body []byte, _ map[string]string) error {
				file := filepath.Join(root, filepath.FromSlash(key))
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					return err
				}
				return os.WriteFile(file, body, 0o644)
			})
			if t.err != nil {
				return t.err
			}
			all.count, all.stored, all.plain = all.count+t.count, all.stored+t.stored, all.plain+t.plain
		}
	}
	keys := filepath.Join(b.dir, "keys.json")
	text, err := json.Marshal(map[string]any{"PublicKeyList": []any{listed(&b.priv.PublicKey)}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(keys, text, 0o644); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\noffline: 50 accounts × 4 Regions × 24 digests, %d log files, %.1f MB stored, %.1f MB inflated\n",
		all.count, float64(all.stored)/1e6, float64(all.plain)/1e6)
	env := []string{"AITRAIL_LAKE=" + b.state}
	return b.compare(ctx, all, []side{
		{"sha256sum of the stored bytes", []string{"sh", "-c", "find " + root + " -name '*.gz' | xargs -n 500 sha256sum"}, nil, "  "},
		{"inflate and hash, all cores", []string{self, "-inflate", root}, nil, ""},
		{"aitrail verify", []string{b.aitrail, "verify", "--full", root, "--keys", keys}, env, "all that can be proven holds"},
	})
}

// side is a program to measure.
type side struct {
	name string
	args []string
	env  []string
	want string // stands in its output
}

// compare runs the sides in turns and prints their medians; ratios are to the first.
func (b *bench) compare(ctx context.Context, files tally, sides []side) error {
	times, cpu := make([][]time.Duration, len(sides)), make([][]time.Duration, len(sides))
	for range b.runs {
		for i, s := range sides {
			if err := os.RemoveAll(b.state); err != nil {
				return err
			}
			c := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
			c.Env = append(os.Environ(), s.env...)
			start := time.Now()
			out, err := c.CombinedOutput()
			if c.ProcessState == nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			times[i] = append(times[i], time.Since(start))
			cpu[i] = append(cpu[i], c.ProcessState.UserTime()+c.ProcessState.SystemTime())
			if !strings.Contains(string(out), s.want) {
				return fmt.Errorf("%s: %w\n%s", s.name, errors.Join(err, errors.New("it did not do its work")), out)
			}
		}
	}
	first := time.Duration(0)
	for i, s := range sides {
		slices.Sort(times[i])
		slices.Sort(cpu[i])
		t := times[i][len(times[i])/2]
		if i == 0 {
			first = t
		}
		fmt.Fprintf(b.out, "  %-32s %7.2f s  %7.0f files/s  %6.1f MB/s stored  ratio %5.2f  CPU %6.2f s\n", s.name, t.Seconds(),
			float64(files.count)/t.Seconds(), float64(files.stored)/1e6/t.Seconds(), first.Seconds()/t.Seconds(), cpu[i][len(cpu[i])/2].Seconds())
	}
	return nil
}

// tally counts log files.
type tally struct {
	count         int
	stored, plain int64
	err           error
}

// hours makes a day of a trail in an account and Region.
func (b *bench) hours(account, region string, files int, put func(key string, body []byte, meta map[string]string) error) (t tally) {
	contents := [][]byte{}
	for f := range corpus.Files(corpus.Options{Events: 20 * b.events, PerFile: b.events, Plain: true}) {
		contents = append(contents, f.Body)
	}
	var link digest.Link
	for hour := range 24 {
		start := begin.Add(time.Duration(hour) * time.Hour)
		d := &digest.Digest{AWSAccountID: account, DigestS3Bucket: bucket,
			DigestStartTime: digest.FormatTime(start), DigestEndTime: digest.FormatTime(start.Add(time.Hour)),
			DigestS3Object: cloudtrail.Key{Account: account, Kind: cloudtrail.KindDigest, Region: region, Time: start.Add(time.Hour), Trail: "main", HomeRegion: "us-east-1"}.String()}
		for n := files * hour / 24; n < files*(hour+1)/24; n++ {
			at := start.Add(time.Duration(n%50) * time.Minute)
			key := cloudtrail.Key{Account: account, Kind: cloudtrail.KindLog, Region: region, Time: at, Unique: fmt.Sprintf("bench%011d", n)}.String()
			plain := append([]byte(nil), contents[n%len(contents)]...)
			body, err := corpus.Gzip(plain)
			if err == nil {
				err = put(key, body, nil)
			}
			if err != nil {
				return tally{err: err}
			}
			t.count, t.stored, t.plain = t.count+1, t.stored+int64(len(body)), t.plain+int64(len(plain))
			d.LogFiles = append(d.LogFiles, digest.LogFile{S3Bucket: bucket, S3Object: key, HashValue: digest.Hash(plain),
				HashAlgorithm: digest.HashAlgorithm, NewestEventTime: digest.FormatTime(at), OldestEventTime: digest.FormatTime(at)})
		}
		d.Follow(link)
		sealed, err := digest.Seal(b.priv, d)
		if err == nil {
			err = put(d.DigestS3Object, sealed.Body, sealed.Metadata)
		}
		if err != nil {
			return tally{err: err}
		}
		link = sealed.Link
	}
	return t
}
