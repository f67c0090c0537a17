package digest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"strings"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// logFiles hashes the log files that a digest names. It returns when the last has begun. What a failed digest names is
// not believed: those files are judged with the ones that none names.
func (c *chain) logFiles(ctx context.Context, n *node) {
	if n.verdict == Failed {
		return
	}
	for _, f := range n.digest.LogFiles {
		path := n.layout.path(f.S3Object)
		c.place.name(path)
		if !c.mayOpen(n, f.S3Bucket) {
			c.told(n.judge(f, path, Unverifiable), 0)
			continue
		}
		if !n.key.Time.After(c.stop) {
			continue // an earlier verification has read it
		}
		release, err := c.place.v.slot(ctx)
		if err != nil {
			return // verify returns the error
		}
		c.files.Add(1)
		c.place.v.work <- func() {
			defer c.files.Done()
			defer release()
			c.logFile(ctx, n, f, path)
		}
	}
}

// judge is a verdict on a log file that the digest names.
func (n *node) judge(f LogFile, path string, v Verdict) FileVerdict {
	from, _ := parseTime(f.OldestEventTime) // zero in a file without events
	to, _ := parseTime(f.NewestEventTime)
	return FileVerdict{Path: path, Bucket: f.S3Bucket, Key: f.S3Object, Verdict: v, Reason: n.reason, Digest: n.path, From: from, To: to}
}

// mayOpen tells whether files of a bucket are opened because n names it: what is not proven leads to no other bucket,
// which could be anybody's.
func (c *chain) mayOpen(n *node, bucket string) bool {
	return n.verdict == Verified || c.place.v.copied || bucket == c.place.v.src.Bucket()
}

// name remembers that a digest names a log file.
func (p *place) name(path string) {
	p.named[maphash.String(p.v.seed, plainName(path))] = struct{}{}
	if key, ok := cloudtrail.ParseKey(path); ok {
		p.kinds[key.Kind] = struct{}{}
	}
}

func (p *place) isNamed(path string) bool {
	_, ok := p.named[maphash.String(p.v.seed, plainName(path))]
	return ok
}

// told counts a log file for the chain and the report.
func (c *chain) told(f FileVerdict, size int64) {
	c.mu.Lock()
	c.summary.LogFiles.count(f.Verdict)
	c.mu.Unlock()
	c.place.v.tell(f, size)
}

// logFile hashes one log file.
func (c *chain) logFile(ctx context.Context, n *node, f LogFile, path string) {
	path, size, finding := c.checkLogFile(ctx, f, path)
	if ctx.Err() != nil {
		return
	}
	verdict := n.judge(f, path, n.verdict)
	if finding != nil && finding.Kind == LogFileMissing && c.place.v.opts.Excerpt {
		return
	}
	if finding != nil {
		verdict.Verdict, verdict.Reason = Failed, string(finding.Kind)
		if finding.Kind == LogFileUnreadable || finding.Kind == HashAlgorithmUnlike {
			verdict.Verdict = Unverifiable
		}
		finding.Key, finding.Digest, finding.end = path, n.path, n.key.Time
		if n.verdict != Verified {
			finding.Detail += "; the digest that says so is not proven itself"
		}
		c.found(*finding)
	}
	c.told(verdict, size)
}

// checkLogFile compares a log file with what a digest says of it; nil if it holds. It returns the path at which the
// file was found, which in a copy may lack ".gz".
func (c *chain) checkLogFile(ctx context.Context, f LogFile, path string) (string, int64, *Finding) {
	if f.HashAlgorithm != HashAlgorithm {
		return path, 0, &Finding{
			Kind: HashAlgorithmUnlike, Expected: HashAlgorithm, Found: f.HashAlgorithm,
			Detail: "the digest names a hash algorithm that is not CloudTrail's",
		}
	}
	copied := c.place.v.copied
	file, _, err := c.place.v.src.Open(ctx, f.S3Bucket, path)
	if plain, ok := strings.CutSuffix(path, ".gz"); ok && copied && errors.Is(err, fs.ErrNotExist) {
		if opened, _, again := c.place.v.src.Open(ctx, f.S3Bucket, plain); again == nil {
			file, path, err = opened, plain, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return path, 0, &Finding{Kind: LogFileMissing, Expected: f.HashValue, Detail: "the log file is not there"}
	}
	if err != nil {
		return path, 0, &Finding{Kind: LogFileUnreadable, Detail: err.Error()}
	}
	defer file.Close()
	size, finding := c.checkContent(file, f.HashValue, copied)
	return path, size, finding
}

// checkContent compares a file's content with its hash.
func (c *chain) checkContent(file io.Reader, want string, copied bool) (int64, *Finding) {
	h := sha256.New()
	size, trailing, err := c.place.v.zips.inflate(h, file, MaxLogFile, copied)
	got := hex.EncodeToString(h.Sum(nil))
	var read *readError
	switch {
	case errors.As(err, &read):
		return size, &Finding{Kind: LogFileUnreadable, Detail: err.Error()}
	case errors.Is(err, errTruncated):
		return size, &Finding{
			Kind: LogFileTruncated, Expected: want,
			Detail: fmt.Sprintf("the file breaks off; %d bytes of content could be read", size),
		}
	case err != nil:
		return size, &Finding{Kind: LogFileAltered, Expected: want, Detail: err.Error()}
	case !strings.EqualFold(got, want):
		return size, &Finding{Kind: LogFileAltered, Expected: want, Found: got, Detail: "its content has another hash"}
	case trailing > 0:
		return size, &Finding{Kind: LogFileTrailing, Count: trailing, Detail: "bytes follow the gzip member that was delivered"}
	}
	return size, nil
}
