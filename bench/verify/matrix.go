package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/bench/corpus"
	"github.com/aitrail/aitrail/internal/digest"
)

// delivered is a trail in a bucket: 24 digests of a log file each, to be damaged.
type delivered struct {
	objects       map[string]object
	digests, logs []string // keys, the oldest first
	err           error
}

// edit changes an object.
func (d *delivered) edit(key string, change func(o *object)) {
	o, ok := d.objects[key]
	if !ok {
		d.err = fmt.Errorf("no object %s", key)
		return
	}
	o = object{slices.Clone(o.body), maps.Clone(o.meta)}
	change(&o)
	d.objects[key] = o
}

// content changes what an object's gzip member holds.
func (d *delivered) content(key, old, new string) {
	d.edit(key, func(o *object) {
		z, err := gzip.NewReader(bytes.NewReader(o.body))
		if err != nil {
			d.err = err
			return
		}
		text, err := io.ReadAll(z)
		changed := bytes.Replace(text, []byte(old), []byte(new), 1)
		if err == nil && bytes.Equal(changed, text) {
			err = fmt.Errorf("%s has no %q", key, old)
		}
		if err == nil {
			o.body, err = corpus.Gzip(changed)
		}
		d.err = errors.Join(d.err, err)
	})
}

func (d *delivered) remove(keys ...string) {
	for _, key := range keys {
		delete(d.objects, key)
	}
}

func (d *delivered) swap(a, b string) { d.objects[a], d.objects[b] = d.objects[b], d.objects[a] }

func (d *delivered) meta(key, name, value string) {
	d.edit(key, func(o *object) {
		if value == "" {
			delete(o.meta, name)
		} else {
			o.meta[name] = value
		}
	})
}

func (d *delivered) tail(key string, more ...byte) {
	d.edit(key, func(o *object) { o.body = append(o.body, more...) })
}

func (d *delivered) cut(key string, left func(size int) int) {
	d.edit(key, func(o *object) { o.body = o.body[:left(len(o.body))] })
}

// forge signs a digest with a key that isn't CloudTrail's.
func (d *delivered) forge(key string) {
	d.edit(key, func(o *object) {
		priv, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			d.err = err
			return
		}
		z, err := gzip.NewReader(bytes.NewReader(o.body))
		if err != nil {
			d.err = err
			return
		}
		var content digest.Digest
		if err := json.NewDecoder(z).Decode(&content); err != nil {
			d.err = err
			return
		}
		content.LogFiles = nil
		sealed, err := digest.Seal(priv, &content)
		o.body, o.meta, d.err = sealed.Body, sealed.Metadata, err
	})
}

// faults are what the trail is damaged by; the first is no fault.
var faults = []struct {
	name string
	do   func(d *delivered)
}{
	{"none", func(*delivered) {}},
	{"a log file's content changed", func(d *delivered) { d.content(d.logs[4], "eventName", "eventname") }},
	{"a byte of a stored log file changed", func(d *delivered) { d.edit(d.logs[4], func(o *object) { o.body[len(o.body)/2] ^= 0xff }) }},
	{"a log file not compressed", func(d *delivered) { d.edit(d.logs[4], func(o *object) { o.body = []byte(`{"Records":[]}`) }) }},
	{"a log file empty", func(d *delivered) { d.cut(d.logs[4], func(int) int { return 0 }) }},
	{"a log file cut in half", func(d *delivered) { d.cut(d.logs[4], func(n int) int { return n / 2 }) }},
	{"a log file's last 4 bytes cut", func(d *delivered) { d.cut(d.logs[4], func(n int) int { return n - 4 }) }},
	{"a gzip member appended to a log file", func(d *delivered) {
		more, err := corpus.Gzip([]byte(`{"Records":[]}`))
		d.tail(d.logs[4], more...)
		d.err = errors.Join(d.err, err)
	}},
	{"a byte appended to a log file", func(d *delivered) { d.tail(d.logs[4], 0) }},
	{"a log file removed", func(d *delivered) { d.remove(d.logs[4]) }},
	{"two log files exchanged", func(d *delivered) { d.swap(d.logs[4], d.logs[5]) }},
	{"a log file put in", func(d *delivered) {
		d.objects[strings.Replace(d.logs[4], "bench", "extra", 1)] = d.objects[d.logs[4]]
	}},
	{"a digest's content changed", func(d *delivered) { d.content(d.digests[4], "SHA-256", "SHA-255") }},
	{"the newest digest's content changed", func(d *delivered) { d.content(d.digests[23], "SHA-256", "SHA-255") }},
	{"the oldest digest's content changed", func(d *delivered) { d.content(d.digests[0], "SHA-256", "SHA-255") }},
	{"a digest that is no gzip file", func(d *delivered) { d.edit(d.digests[4], func(o *object) { o.body = []byte("none") }) }},
	{"a digest that is no digest", func(d *delivered) {
		d.edit(d.digests[4], func(o *object) { o.body, d.err = corpus.Gzip([]byte("{}")) })
	}},
	{"bytes appended to a digest", func(d *delivered) { d.tail(d.digests[4], 0, 0) }},
	{"a digest cut in half", func(d *delivered) { d.cut(d.digests[4], func(n int) int { return n / 2 }) }},
	{"a digest removed", func(d *delivered) { d.remove(d.digests[4]) }},
	{"three digests in a row removed", func(d *delivered) { d.remove(d.digests[4:7]...) }},
	{"the oldest digest removed", func(d *delivered) { d.remove(d.digests[0]) }},
	{"the newest digest removed", func(d *delivered) { d.remove(d.digests[23]) }},
	{"the last three hours removed whole", func(d *delivered) { d.remove(append(slices.Clone(d.digests[21:]), d.logs[21:]...)...) }},
	{"two digests exchanged", func(d *delivered) { d.swap(d.digests[4], d.digests[5]) }},
	{"a digest in the place of another", func(d *delivered) { d.objects[d.digests[5]] = d.objects[d.digests[4]] }},
	{"a signature changed", func(d *delivered) { d.meta(d.digests[4], "signature", d.objects[d.digests[5]].meta["signature"]) }},
	{"the newest signature changed", func(d *delivered) { d.meta(d.digests[23], "signature", d.objects[d.digests[5]].meta["signature"]) }},
	{"a signature removed", func(d *delivered) { d.meta(d.digests[4], "signature", "") }},
	{"a signature's algorithm changed", func(d *delivered) { d.meta(d.digests[4], "signature-algorithm", "SHA1withRSA") }},
	{"a digest signed by another key", func(d *delivered) { d.forge(d.digests[4]) }},
	{"the newest digest signed by another key", func(d *delivered) { d.forge(d.digests[23]) }},
	{"an hour removed and the next changed", func(d *delivered) {
		d.remove(d.digests[4], d.logs[4])
		d.content(d.digests[5], "SHA-256", "SHA-255")
	}},
}

// matrix damages the trail in each way, in a bucket of aitrail local, and has both sides verify it, aitrail with the
// checkpoint of the whole trail. Where the AWS CLI finds a fault, aitrail must, in the same file.
func (b *bench) matrix(ctx context.Context) error {
	whole := &delivered{objects: map[string]object{}}
	if t := b.hours("111122223333", "us-east-1", 24, func(key string, body []byte, meta map[string]string) error {
		whole.objects[key] = object{body, meta}
		return nil
	}); t.err != nil {
		return t.err
	}
	for _, key := range slices.Sorted(maps.Keys(whole.objects)) {
		if strings.Contains(key, "CloudTrail-Digest") {
			whole.digests = append(whole.digests, key)
		} else {
			whole.logs = append(whole.logs, key)
		}
	}
	s := &server{key: &b.priv.PublicKey}
	url, stop, err := s.start()
	if err != nil {
		return err
	}
	defer stop()
	at, err := b.endpoint(ctx, whole.objects)
	if err != nil {
		return fmt.Errorf("aitrail local: %w", err)
	}
	defer at.stop()
	env := append(at.env, "AWS_ENDPOINT_URL="+url, "AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER=", "AITRAIL_LAKE="+b.state)
	fmt.Fprintf(b.out, "| fault | `aws cloudtrail validate-logs` | `aitrail verify` |\n|---|---|---|\n")
	var wrong []error
	for i, f := range faults {
		d := &delivered{objects: maps.Clone(whole.objects), digests: whole.digests, logs: whole.logs}
		if f.do(d); d.err != nil {
			return fmt.Errorf("%s: %w", f.name, d.err)
		}
		if err := at.change(ctx, whole.objects, d.objects); err != nil {
			return err
		}
		theirs, ours, err := b.judge(ctx, env, i > 0)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		for key := range theirs {
			if len(ours[key]) == 0 {
				wrong = append(wrong, fmt.Errorf("%s: only the AWS CLI finds %s: %s", f.name, key, theirs[key]))
			}
		}
		if (i == 0) != (len(ours) == 0) {
			wrong = append(wrong, fmt.Errorf("%s: aitrail finds %v", f.name, ours))
		}
		fmt.Fprintf(b.out, "| %s | %s | %s |\n", f.name, words(theirs), words(ours))
		if err := at.change(ctx, d.objects, whole.objects); err != nil {
			return err
		}
	}
	return errors.Join(wrong...)
}

var invalidLine = regexp.MustCompile(`file\ts3://[^/]+/(\S+)\tINVALID: (.*)`)

// judge has both sides verify the bucket, and returns what they found by key.
func (b *bench) judge(ctx context.Context, env []string, before bool) (theirs, ours map[string][]string, err error) {
	if !before {
		if err := os.RemoveAll(b.state); err != nil {
			return nil, nil, err
		}
	}
	run := func(name string, args ...string) ([]byte, error) {
		c := exec.CommandContext(ctx, name, args...)
		c.Env = append(os.Environ(), env...)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		out, err := c.Output()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && (exit.ExitCode() == 1 || exit.ExitCode() == 3) {
			err = nil // something was found
		}
		return append(out, stderr.Bytes()...), err
	}
	out, err := run("aws", "cloudtrail", "validate-logs", "--trail-arn", "arn:aws:cloudtrail:us-east-1:111122223333:trail/main", "--s3-bucket", bucket,
		"--start-time", begin.Format(time.RFC3339), "--end-time", begin.Add(24*time.Hour).Format(time.RFC3339))
	if err != nil {
		return nil, nil, fmt.Errorf("%w\n%s", err, out)
	}
	theirs = map[string][]string{}
	for _, m := range invalidLine.FindAllStringSubmatch(string(out), -1) {
		theirs[m[1]] = append(theirs[m[1]], m[2])
	}
	if !strings.Contains(string(out), "Results requested") {
		return nil, nil, fmt.Errorf("the AWS CLI did not do its work\n%s", out)
	}
	// The checkpoint of the whole trail stays the same: each verification gets a copy.
	kept, err := os.ReadFile(filepath.Join(b.state, "proof", "checkpoints.json"))
	if err != nil && before {
		return nil, nil, err
	}
	out, err = run(b.aitrail, "verify", "--full", "-o", "json", "s3://"+bucket)
	var report digest.Report
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(out)).Decode(&report)
	}
	if err == nil && before {
		err = os.WriteFile(filepath.Join(b.state, "proof", "checkpoints.json"), kept, 0o644)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w\n%s", err, out)
	}
	ours = map[string][]string{}
	for _, f := range report.Findings {
		if f.Severity == digest.SeverityFinding {
			ours[f.Key] = append(ours[f.Key], string(f.Kind))
		}
	}
	return theirs, ours, nil
}

// words sums up what was found.
func words(found map[string][]string) string {
	count := map[string]int{}
	for _, list := range found {
		for _, what := range list {
			count[what]++
		}
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(count)) {
		if n := count[what]; n > 1 {
			what += fmt.Sprintf(" ×%d", n)
		}
		parts = append(parts, what)
	}
	if parts == nil {
		return "–"
	}
	return strings.Join(parts, ", ")
}
