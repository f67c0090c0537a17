package lake

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
)

// MaxDigest is the longest text of a digest that is read, in bytes.
const MaxDigest = digest.MaxDigest

// ErrDigest means that a text isn't a digest.
var ErrDigest = digest.ErrFormat

// Digest adds what a digest file says, given its text and the user metadata of its object. The error is one of the content
// (ErrDigest), and nothing was added then, or as of Event.
func (f *File) Digest(text []byte, meta map[string]string) error {
	d, err := digest.Decode(text)
	if err != nil {
		return err
	}
	c, err := f.rows(Digests)
	if err != nil {
		return err
	}
	start, _ := d.Start() // Decode has looked at both
	end, _ := d.End()
	sum := sha256.Sum256(text)
	row := digestRow{
		Object: f.row.Object, Size: f.row.Size, ETag: f.row.ETag, Account: d.AWSAccountID, Region: f.row.Region,
		StartTime: microsOf(start, new(micros)), EndTime: microsOf(end, new(micros)),
		S3Object: s3URL(d.DigestS3Bucket, d.DigestS3Object), ContentSHA256: hex.EncodeToString(sum[:]), Signature: meta[digest.MetaSignature],
		KeyFingerprint: d.DigestPublicKeyFingerprint, PreviousObject: s3URL(d.PreviousDigestS3Bucket, d.PreviousDigestS3Object),
		PreviousSHA256: d.PreviousDigestHashValue, PreviousSignature: d.PreviousDigestSignature,
		OldestEvent: microsOf(timeText(d.OldestEventTime), new(micros)), NewestEvent: microsOf(timeText(d.NewestEventTime), new(micros)),
		LogFileCount: int64(len(d.LogFiles)), LogFiles: make([]namedRow, len(d.LogFiles)),
	}
	for i, l := range d.LogFiles {
		row.LogFiles[i] = namedRow{s3URL(l.S3Bucket, l.S3Object), l.HashValue}
	}
	k, named := cloudtrail.ParseKey(f.row.Object)
	if !named { // a copy under another name: it says where it lay
		k, named = cloudtrail.ParseKey(d.DigestS3Object)
	}
	if named {
		row.Region, row.Trail, row.HomeRegion, row.Backfill = k.Region, k.Trail, k.HomeRegion, k.Backfill
	}
	c.addDigest(&row, ref{f.row.number, 0})
	return f.added(time.Time{})
}

func s3URL(bucket, key string) string {
	if bucket == "" && key == "" {
		return ""
	}
	return "s3://" + bucket + "/" + key
}

// timeText reads a time of a digest; the zero time for none.
func timeText(s string) time.Time {
	at, _ := time.Parse(time.RFC3339, s)
	return at
}

// addDigest adds a row of digests: the values in the order of digestRow's fields.
func (c *chunk) addDigest(r *digestRow, at ref) {
	c.next()
	c.heads = append(c.heads, head{noTime, at, key{}})
	c.text(r.Object)
	c.number(r.Size, true)
	for _, s := range []string{r.ETag, r.Account, r.Region, r.Trail, r.HomeRegion} {
		c.text(s)
	}
	c.flag(r.Backfill, true)
	c.time(r.StartTime.time())
	c.time(r.EndTime.time())
	for _, s := range []string{r.S3Object, r.ContentSHA256, r.Signature, r.KeyFingerprint, r.PreviousObject, r.PreviousSHA256, r.PreviousSignature} {
		c.text(s)
	}
	c.time(r.OldestEvent.time())
	c.time(r.NewestEvent.time())
	c.number(r.LogFileCount, true)
	c.list(len(r.LogFiles), r.LogFiles != nil, func(i int) {
		c.text(r.LogFiles[i].Object)
		c.text(r.LogFiles[i].SHA256)
	})
}

// read adds rows of a file of the chunk's table: those that choose takes, with what it returns.
func (c *chunk) read(d *disk, path string, choose func(i int64) (ref, bool)) error {
	switch c.table {
	case LogFiles:
		return readRows(d, path, func(i int64, row *fileRow) error {
			if _, ok := choose(i); ok {
				c.file(row)
			}
			return nil
		})
	case Invocations:
		return readRows(d, path, func(i int64, row *invocationRow) error {
			if at, ok := choose(i); ok {
				c.addInvocation(row, at)
			}
			return nil
		})
	case Digests:
		return readRows(d, path, func(i int64, row *digestRow) error {
			if at, ok := choose(i); ok {
				c.addDigest(row, at)
			}
			return nil
		})
	}
	return readRows(d, path, func(i int64, row *eventRow) error {
		if at, ok := choose(i); ok {
			c.addRow(row, at)
		}
		return nil
	})
}
