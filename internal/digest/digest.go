package digest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The algorithms that CloudTrail uses, as digests and their metadata name them.
const (
	SignatureAlgorithm = "SHA256withRSA"
	HashAlgorithm      = "SHA-256"
)

// The names of a digest object's user metadata. On the wire S3 puts "x-amz-meta-" before them.
const (
	MetaSignature          = "signature"
	MetaSignatureAlgorithm = "signature-algorithm"
	MetaBackfillTime       = "backfill-generation-timestamp" // when a backfill digest was made, as FormatTime writes
)

// Limits on what is read.
const (
	MaxDigest  = 64 << 20 // bytes of a digest's JSON; an hour of 100,000 log files takes about 50 MB
	MaxLogFile = 4 << 30  // bytes of a log file's JSON
)

// ErrFormat means that bytes are not a digest.
var ErrFormat = errors.New("not a digest")

// A Digest is a digest file's content, with AWS's member names.
//
// Times are the text that stands in the file, because that text is what is signed; see [Digest.Start] and [FormatTime].
// Hashes and signatures are hexadecimal. In a starting digest, the first of a chain, the five Previous fields are "",
// written null; in a digest without log files the event times are.
type Digest struct {
	AWSAccountID                string
	DigestStartTime             string
	DigestEndTime               string
	DigestS3Bucket              string
	DigestS3Object              string
	DigestPublicKeyFingerprint  string // see Fingerprint
	DigestSignatureAlgorithm    string
	NewestEventTime             string
	OldestEventTime             string
	PreviousDigestS3Bucket      string
	PreviousDigestS3Object      string
	PreviousDigestHashValue     string // SHA-256 of the predecessor's uncompressed content
	PreviousDigestHashAlgorithm string
	PreviousDigestSignature     string
	LogFiles                    []LogFile
}

// A LogFile is what a digest says of one log file.
type LogFile struct {
	S3Bucket        string `json:"s3Bucket"`
	S3Object        string `json:"s3Object"`
	HashValue       string `json:"hashValue"` // SHA-256 of the uncompressed content
	HashAlgorithm   string `json:"hashAlgorithm"`
	NewestEventTime string `json:"newestEventTime"`
	OldestEventTime string `json:"oldestEventTime"`
}

// A Link is what a digest says of its predecessor. The zero Link stands for "there is none".
type Link struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	Hash      string `json:"hash"`
	Signature string `json:"signature"`
}

// Previous returns what the digest says of its predecessor.
func (d *Digest) Previous() Link {
	return Link{d.PreviousDigestS3Bucket, d.PreviousDigestS3Object, d.PreviousDigestHashValue, d.PreviousDigestSignature}
}

// Follow makes the digest the successor of the one that link describes, or a starting digest if link is zero.
func (d *Digest) Follow(link Link) {
	d.PreviousDigestS3Bucket = link.Bucket
	d.PreviousDigestS3Object = link.Key
	d.PreviousDigestHashValue = link.Hash
	d.PreviousDigestSignature = link.Signature
	d.PreviousDigestHashAlgorithm = ""
	if link != (Link{}) {
		d.PreviousDigestHashAlgorithm = HashAlgorithm
	}
}

// Start and End return the period in which the digest's log files were delivered.
func (d *Digest) Start() (time.Time, error) { return parseTime(d.DigestStartTime) }

// End returns the end of the period; it also stands in the digest's key.
func (d *Digest) End() (time.Time, error) { return parseTime(d.DigestEndTime) }

// FormatTime writes a time as digests do: "2015-08-17T14:01:31Z".
func FormatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err
}

// wire is a digest's JSON. Nil is null, or in decoding absent.
type wire struct {
	AWSAccountID                string    `json:"awsAccountId"`
	DigestStartTime             *string   `json:"digestStartTime"`
	DigestEndTime               *string   `json:"digestEndTime"`
	DigestS3Bucket              *string   `json:"digestS3Bucket"`
	DigestS3Object              *string   `json:"digestS3Object"`
	DigestPublicKeyFingerprint  *string   `json:"digestPublicKeyFingerprint"`
	DigestSignatureAlgorithm    string    `json:"digestSignatureAlgorithm"`
	NewestEventTime             *string   `json:"newestEventTime"`
	OldestEventTime             *string   `json:"oldestEventTime"`
	PreviousDigestS3Bucket      *string   `json:"previousDigestS3Bucket"`
	PreviousDigestS3Object      *string   `json:"previousDigestS3Object"`
	PreviousDigestHashValue     *string   `json:"previousDigestHashValue"`
	PreviousDigestHashAlgorithm *string   `json:"previousDigestHashAlgorithm"`
	PreviousDigestSignature     *string   `json:"previousDigestSignature"`
	LogFiles                    []LogFile `json:"logFiles"`
}

// Encode returns the digest's JSON, members in the order of AWS's page. Equal digests have equal bytes.
func Encode(d *Digest) []byte {
	w := wire{
		AWSAccountID:                d.AWSAccountID,
		DigestStartTime:             &d.DigestStartTime,
		DigestEndTime:               &d.DigestEndTime,
		DigestS3Bucket:              &d.DigestS3Bucket,
		DigestS3Object:              &d.DigestS3Object,
		DigestPublicKeyFingerprint:  &d.DigestPublicKeyFingerprint,
		DigestSignatureAlgorithm:    d.DigestSignatureAlgorithm,
		NewestEventTime:             textOrNull(d.NewestEventTime),
		OldestEventTime:             textOrNull(d.OldestEventTime),
		PreviousDigestS3Bucket:      textOrNull(d.PreviousDigestS3Bucket),
		PreviousDigestS3Object:      textOrNull(d.PreviousDigestS3Object),
		PreviousDigestHashValue:     textOrNull(d.PreviousDigestHashValue),
		PreviousDigestHashAlgorithm: textOrNull(d.PreviousDigestHashAlgorithm),
		PreviousDigestSignature:     textOrNull(d.PreviousDigestSignature),
		LogFiles:                    d.LogFiles,
	}
	if w.LogFiles == nil {
		w.LogFiles = []LogFile{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&w); err != nil {
		panic(err) // strings only: can't fail
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Decode reads a digest's JSON. Unknown members are passed over. The error is ErrFormat with the reason: not JSON, too
// long, or a member missing that verification needs (the ones that the AWS CLI demands).
func Decode(b []byte) (*Digest, error) {
	if len(b) > MaxDigest {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrFormat, MaxDigest)
	}
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	for _, m := range []struct {
		name  string
		value *string
	}{
		{"digestStartTime", w.DigestStartTime},
		{"digestEndTime", w.DigestEndTime},
		{"digestS3Bucket", w.DigestS3Bucket},
		{"digestS3Object", w.DigestS3Object},
		{"digestPublicKeyFingerprint", w.DigestPublicKeyFingerprint},
	} {
		if m.value == nil {
			return nil, fmt.Errorf("%w: no %s", ErrFormat, m.name)
		}
	}
	if w.PreviousDigestSignature != nil && *w.PreviousDigestSignature == "" {
		return nil, fmt.Errorf("%w: an empty previousDigestSignature", ErrFormat)
	}
	if w.PreviousDigestS3Object != nil && *w.PreviousDigestS3Object == "" {
		return nil, fmt.Errorf("%w: an empty previousDigestS3Object", ErrFormat)
	}
	if (w.PreviousDigestS3Object == nil) != (w.PreviousDigestSignature == nil) {
		return nil, fmt.Errorf("%w: previousDigestS3Object and previousDigestSignature are not null together", ErrFormat)
	}
	d := &Digest{
		AWSAccountID:                w.AWSAccountID,
		DigestStartTime:             *w.DigestStartTime,
		DigestEndTime:               *w.DigestEndTime,
		DigestS3Bucket:              *w.DigestS3Bucket,
		DigestS3Object:              *w.DigestS3Object,
		DigestPublicKeyFingerprint:  *w.DigestPublicKeyFingerprint,
		DigestSignatureAlgorithm:    w.DigestSignatureAlgorithm,
		NewestEventTime:             text(w.NewestEventTime),
		OldestEventTime:             text(w.OldestEventTime),
		PreviousDigestS3Bucket:      text(w.PreviousDigestS3Bucket),
		PreviousDigestS3Object:      text(w.PreviousDigestS3Object),
		PreviousDigestHashValue:     text(w.PreviousDigestHashValue),
		PreviousDigestHashAlgorithm: text(w.PreviousDigestHashAlgorithm),
		PreviousDigestSignature:     text(w.PreviousDigestSignature),
		LogFiles:                    w.LogFiles,
	}
	if _, err := d.Start(); err != nil {
		return nil, fmt.Errorf("%w: digestStartTime: %w", ErrFormat, err)
	}
	if _, err := d.End(); err != nil {
		return nil, fmt.Errorf("%w: digestEndTime: %w", ErrFormat, err)
	}
	return d, nil
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
