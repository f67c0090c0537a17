package digest

import (
	"cmp"
	"slices"
	"time"
)

// A Verdict is what is known of a digest or log file.
type Verdict string

// The verdicts.
const (
	Verified     Verdict = "verified"     // as CloudTrail delivered it
	Pending      Verdict = "pending"      // newer than the newest digest: a later one will tell
	Unverifiable Verdict = "unverifiable" // can't be told, for a reason
	Failed       Verdict = "failed"       // altered, missing, or put there by someone else; a digest also when it can't be read
)

// A Kind names what was found.
type Kind string

// Findings: tampering or loss.
const (
	LogFileAltered      Kind = "log_file_altered"
	LogFileMissing      Kind = "log_file_missing"
	LogFileTruncated    Kind = "log_file_truncated"
	LogFileTrailing     Kind = "log_file_trailing_bytes" // bytes after the gzip member; many readers take them for events
	LogFileUnlisted     Kind = "log_file_unlisted"       // no digest names it, though its period has one
	LogFileUnreadable   Kind = "log_file_unreadable"     // the source gave an error
	DigestAltered       Kind = "digest_altered"          // differs from what the next digest says of it
	DigestMissing       Kind = "digest_missing"          // one for each period
	DigestMoved         Kind = "digest_moved"            // rests elsewhere than it says
	DigestTrailing      Kind = "digest_trailing_bytes"
	DigestUnreadable    Kind = "digest_unreadable" // no gzip file, no digest, or the source gave an error
	SignatureWrong      Kind = "signature_wrong"   // the digest or its signature was altered
	SignatureMissing    Kind = "signature_missing" // a bucket's object without the metadata
	KeyUnknown          Kind = "key_unknown"       // no public key has the digest's fingerprint
	ChainBroken         Kind = "chain_broken"      // signed, but the next digest names another, or another signature
	PreviousHashWrong   Kind = "previous_hash_wrong"
	HashAlgorithmUnlike Kind = "hash_algorithm_unknown"
	TailCut             Kind = "tail_cut"       // a chain ends before a digest that was verified earlier
	HeadChanged         Kind = "head_changed"   // a digest that was verified earlier has another content now
	DigestOverdue       Kind = "digest_overdue" // digests were coming, and no more do

	CheckpointAltered Kind = "checkpoint_altered" // what an earlier verification left is gone, or was altered; found by the caller
	BundleAltered     Kind = "bundle_altered"     // a file of an evidence bundle is not what its manifest says; found by the caller
	EventAltered      Kind = "event_altered"      // an event of an evidence bundle is not in its log file so; found by the caller
)

// Notes: what bears on how far the verdict reaches.
const (
	ChainStarted       Kind = "chain_started"       // the chain's first digest, which has no predecessor
	ChainRestarted     Kind = "chain_restarted"     // logging or validation was stopped and started again
	DigestUnverifiable Kind = "digest_unverifiable" // a copy that has lost the signature
	KeysAbsent         Kind = "keys_absent"         // no public keys were given
	Backfill           Kind = "backfill"            // digests made later, of log files that earlier ones lack
	LogFilesPending    Kind = "log_files_pending"   // newer than the newest digest; Count says how many
	LogFilesUnproven   Kind = "log_files_unproven"  // in periods without a sound digest; Count says how many
	NoDigests          Kind = "no_digests"          // log files, but no digest at all; Count says how many
	UnknownFile        Kind = "unknown_file"        // among log files, with a name that CloudTrail doesn't give
	ChainEnded         Kind = "chain_ended"         // no digests have come for long, and nothing tells why
	LoggingStopped     Kind = "logging_stopped"     // the trail's own events tell of the gap
)

// A Severity tells tampering and loss from remarks.
type Severity string

// The severities.
const (
	SeverityFinding Severity = "finding"
	SeverityNote    Severity = "note"
)

func (k Kind) severity() Severity {
	switch k {
	case ChainStarted, ChainRestarted, DigestUnverifiable, KeysAbsent, Backfill,
		LogFilesPending, LogFilesUnproven, NoDigests, UnknownFile, ChainEnded, LoggingStopped:
		return SeverityNote
	default:
		return SeverityFinding
	}
}

// A Finding is one thing that was found.
type Finding struct {
	Kind     Kind      `json:"kind"`
	Severity Severity  `json:"severity"`
	Account  string    `json:"account"`
	Region   string    `json:"region"`
	Trail    string    `json:"trail,omitempty"`
	Key      string    `json:"key,omitempty"`      // the file's path in the source
	Digest   string    `json:"digest,omitempty"`   // the path of the digest that says so
	From     time.Time `json:"from,omitzero"`      // the period it is about
	To       time.Time `json:"to,omitzero"`        //
	Expected string    `json:"expected,omitempty"` // a hash, signature, key or path
	Found    string    `json:"found,omitempty"`
	Detail   string    `json:"detail,omitempty"`  // a sentence's part for people
	Count    int64     `json:"count,omitempty"`   // of files, where one finding stands for many
	Earlier  bool      `json:"earlier,omitempty"` // found by an earlier verification; its files were not read again

	end time.Time // of the period it belongs to
}

// Counts counts files by verdict.
type Counts struct {
	Total        int64 `json:"total"`
	Verified     int64 `json:"verified"`
	Pending      int64 `json:"pending"`
	Unverifiable int64 `json:"unverifiable"`
	Failed       int64 `json:"failed"` // missing ones too
}

func (c *Counts) count(v Verdict) {
	c.Total++
	switch v {
	case Verified:
		c.Verified++
	case Pending:
		c.Pending++
	case Unverifiable:
		c.Unverifiable++
	case Failed:
		c.Failed++
	}
}

func (c *Counts) add(d Counts) {
	c.Total += d.Total
	c.Verified += d.Verified
	c.Pending += d.Pending
	c.Unverifiable += d.Unverifiable
	c.Failed += d.Failed
}

// A Chain sums up the digests of one trail in one account and Region.
type Chain struct {
	Organization string    `json:"organization,omitempty"`
	Account      string    `json:"account"`
	Region       string    `json:"region"`
	Trail        string    `json:"trail"`
	HomeRegion   string    `json:"home_region"`
	Backfill     bool      `json:"backfill,omitempty"`
	From         time.Time `json:"from,omitzero"` // what the readable digests cover
	To           time.Time `json:"to,omitzero"`
	Since        time.Time `json:"since,omitzero"` // what ended then or before was verified earlier
	Digests      Counts    `json:"digests"`
	LogFiles     Counts    `json:"log_files"` // those that its digests name
	Findings     int       `json:"findings"`
}

// A Report is the outcome of a verification.
type Report struct {
	From     time.Time `json:"from,omitzero"` // as asked
	To       time.Time `json:"to,omitzero"`
	Digests  Counts    `json:"digests"`
	LogFiles Counts    `json:"log_files"`
	Bytes    int64     `json:"bytes"` // of log files, inflated and hashed
	Chains   []Chain   `json:"chains"`
	Findings []Finding `json:"findings"` // notes too; ordered by account, Region, file and kind
	State    *State    `json:"-"`        // for the next verification of the source
}

// Add adds findings that the caller made of the same source.
func (r *Report) Add(findings ...Finding) {
	for _, f := range findings {
		f.Severity = f.Kind.severity()
		r.Findings = append(r.Findings, f)
	}
	r.sort()
}

// Holds tells whether nothing was found but notes.
func (r *Report) Holds() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == SeverityFinding })
}

func (r *Report) sort() {
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Trail, b.Trail), cmp.Compare(a.Digest, b.Digest),
			a.From.Compare(b.From), cmp.Compare(a.Detail, b.Detail))
	})
	slices.SortFunc(r.Chains, func(a, b Chain) int {
		back := 0
		if a.Backfill != b.Backfill {
			back = 1
			if b.Backfill {
				back = -1
			}
		}
		return cmp.Or(
			cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Trail, b.Trail),
			cmp.Compare(a.HomeRegion, b.HomeRegion), back, cmp.Compare(a.Organization, b.Organization))
	})
}

// A DigestVerdict is what is known of one digest that is there.
type DigestVerdict struct {
	Path         string
	Organization string
	Account      string
	Region       string
	Trail        string
	HomeRegion   string
	Backfill     bool
	Start, End   time.Time
	Verdict      Verdict
	Reason       string            // as in FileVerdict
	Digest       *Digest           // nil if it could not be read
	Metadata     map[string]string // the object's; in a copy that has lost it, the signature that the next digest carries
}

// A FileVerdict is what is known of one log file.
type FileVerdict struct {
	Path    string  `json:"path"`             // in the source
	Bucket  string  `json:"bucket,omitempty"` // as a digest names it; "" if none does
	Key     string  `json:"key,omitempty"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"` // a finding's kind, or why it can't be told; "" when verified
	Digest  string  `json:"digest,omitempty"` // the path of the digest that names it

	From, To time.Time `json:"-"` // of its earliest and latest event, as the digest says; zero if it doesn't
}
