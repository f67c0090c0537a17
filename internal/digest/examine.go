package digest

import (
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Why a digest can't be verified.
const (
	reasonNotInCopy  = "signature not in the copy"
	reasonNoKeys     = "no public keys"
	reasonKeyUnknown = "public key unknown"
)

// evidence is what speaks for and against a digest.
type evidence struct {
	own, carried string // the signature in its metadata, and the one in the next digest; "" if there is none
	algorithm    string // in its metadata
	ownHolds     bool
	carriedHolds bool
	witness      *node // the next digest, unless that has failed
	hashHolds    bool  // the witness states the hash that the content has
}

// examine decides on a digest and returns what is wrong with it. Newer is the digest that names it, or nil.
func (c *chain) examine(ctx context.Context, n, newer *node) ([]Finding, error) {
	if n.err != nil {
		return c.unreadable(ctx, n, newer)
	}
	d := n.digest
	at := n.key.Time
	if made, err := parseTime(n.meta[MetaBackfillTime]); err == nil {
		at = made
	}
	key, err := c.place.key(ctx, d.DigestPublicKeyFingerprint, at)
	if err != nil {
		return nil, err
	}
	e := evidenceFor(n, newer, key)
	if f, wrong := c.moved(n); wrong && (key == nil || e.ownHolds || e.own == "") {
		n.verdict, n.reason = Failed, string(DigestMoved)
		return []Finding{f}, nil
	}
	if key == nil {
		return c.withoutKey(n, e), nil
	}
	if e.carriedHolds {
		n.carried = e.carried
	}
	if e.ownHolds || e.carriedHolds {
		return c.signed(n, e), nil
	}
	return c.unsigned(n, newer, e), nil
}

// key returns a public key, nil if there is none. The first one that is not at hand is asked for with all that the
// chain may need.
func (p *place) key(ctx context.Context, fingerprint string, at time.Time) (*rsa.PublicKey, error) {
	ring := p.v.ring
	if key := ring.known(p.region, fingerprint); key != nil {
		return key, nil
	}
	if err := ring.fetch(ctx, p.region, p.keysFrom, p.keysTo); err != nil {
		return nil, err
	}
	return ring.find(ctx, p.region, fingerprint, at)
}

// unreadable decides on a digest that could not be read.
func (c *chain) unreadable(ctx context.Context, n, newer *node) ([]Finding, error) {
	var read *readError
	n.verdict, n.reason = Failed, string(DigestUnreadable)
	f := Finding{Kind: DigestUnreadable, Key: n.path, Detail: n.err.Error()}
	switch {
	case n.absent(): // listed, but gone
		n.reason = string(DigestMissing)
		f = Finding{Kind: DigestMissing, Key: n.path, From: n.start, To: n.key.Time, Detail: "the digest was listed, but is gone"}
	case errors.As(n.err, &read):
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		c.place.troubled.Store(true)
	case newer != nil && newer.verdict != Failed:
		f.Digest, f.Expected, f.Found = newer.path, newer.digest.PreviousDigestHashValue, n.hash
	}
	return []Finding{f}, nil
}

// evidenceFor gathers what speaks for and against a digest; key may be nil.
func evidenceFor(n, newer *node, key *rsa.PublicKey) evidence {
	e := evidence{own: n.meta[MetaSignature], algorithm: n.meta[MetaSignatureAlgorithm]}
	if newer != nil && newer.digest != nil {
		e.carried = newer.digest.PreviousDigestSignature
		if newer.verdict != Failed {
			e.witness = newer
			e.hashHolds = strings.EqualFold(newer.digest.PreviousDigestHashValue, n.hash)
		}
	}
	if key == nil {
		return e
	}
	if e.own != "" && e.algorithm == SignatureAlgorithm {
		e.ownHolds = CheckSignature(key, n.digest, n.body, e.own) == nil
	}
	if e.carried != "" {
		e.carriedHolds = CheckSignature(key, n.digest, n.body, e.carried) == nil
	}
	return e
}

// moved tells whether a digest rests elsewhere than it says. In a copy, the file's name is what counts.
func (c *chain) moved(n *node) (Finding, bool) {
	d := n.digest
	said := d.DigestS3Bucket + "/" + d.DigestS3Object
	is := n.bucket + "/" + n.path
	if c.place.v.copied {
		said, is = plainName(path.Base(d.DigestS3Object)), plainName(path.Base(n.path))
	}
	return Finding{
		Kind: DigestMoved, Key: n.path, Expected: d.DigestS3Bucket + "/" + d.DigestS3Object, Found: is,
		Detail: "the digest was delivered to another place",
	}, said != is
}

// altered says that a digest isn't what the next one says.
func altered(n *node, e evidence) Finding {
	f := Finding{
		Kind: DigestAltered, Key: n.path, Digest: e.witness.path,
		Expected: e.witness.digest.PreviousDigestHashValue, Found: n.hash,
		Detail: "its content is not what the next digest says",
	}
	if e.witness.verdict != Verified {
		f.Detail += ", which is not proven itself"
	}
	return f
}

// withoutKey decides on a digest whose key isn't there.
func (c *chain) withoutKey(n *node, e evidence) []Finding {
	if e.witness != nil && !e.hashHolds {
		n.verdict, n.reason = Failed, string(DigestAltered)
		return []Finding{altered(n, e)}
	}
	n.verdict, n.reason = Unverifiable, reasonNoKeys
	if c.place.v.ring.source == nil {
		return nil
	}
	n.reason = reasonKeyUnknown
	if e.witness != nil && e.witness.verdict == Verified {
		n.verdict, n.reason = Verified, "" // a signed digest says that it is as it was
	}
	return []Finding{{
		Kind: KeyUnknown, Key: n.path, Found: n.digest.DigestPublicKeyFingerprint,
		Detail: fmt.Sprintf("no public key of %s has this fingerprint", c.place.region),
	}}
}

// signed decides on a digest that a signature proves.
func (c *chain) signed(n *node, e evidence) (findings []Finding) {
	n.verdict = Verified
	switch {
	case e.ownHolds:
	case e.own != "":
		findings = append(findings, wrongMetadata(n, e))
	case !c.place.v.copied:
		findings = append(findings, Finding{
			Kind: SignatureMissing, Key: n.path, Expected: e.carried,
			Detail: "the object has lost its signature; the next digest carries it",
		})
	}
	switch {
	case e.witness == nil:
	case !e.hashHolds:
		findings = append(findings, Finding{
			Kind: PreviousHashWrong, Key: e.witness.path, Digest: n.path,
			Expected: n.hash, Found: e.witness.digest.PreviousDigestHashValue,
			Detail: "the digest states another hash of its predecessor than the predecessor has",
		})
	case !e.carriedHolds:
		findings = append(findings, Finding{
			Kind: ChainBroken, Key: e.witness.path, Digest: n.path, Expected: e.own, Found: e.carried,
			Detail: "the digest carries another signature of its predecessor than the predecessor has",
		})
	}
	return findings
}

// wrongMetadata says that a digest's metadata doesn't hold.
func wrongMetadata(n *node, e evidence) Finding {
	f := Finding{Kind: SignatureWrong, Key: n.path, Expected: e.carried, Found: e.own, Detail: "the signature in the object's metadata was altered"}
	if e.algorithm != SignatureAlgorithm {
		f.Expected, f.Found = SignatureAlgorithm, e.algorithm
		f.Detail = "the signature algorithm in the object's metadata is another"
	}
	return f
}

// unsigned decides on a digest that no signature proves.
func (c *chain) unsigned(n, newer *node, e evidence) []Finding {
	trusted := e.witness != nil && e.witness.verdict == Verified
	n.verdict, n.reason = Failed, string(SignatureWrong)
	switch {
	case e.witness != nil && !e.hashHolds:
		n.reason = string(DigestAltered)
		return []Finding{altered(n, e)}
	case trusted: // its content is as a signed digest says, so it is the signatures that were never right
		n.verdict, n.reason = Verified, ""
		return []Finding{{
			Kind: SignatureWrong, Key: n.path, Digest: e.witness.path, Found: cmp.Or(e.own, e.carried),
			Detail: "no signature of it holds, though the next digest proves its content",
		}}
	case e.own != "" && e.algorithm != SignatureAlgorithm:
		return []Finding{wrongMetadata(n, e)}
	case e.own != "":
		return []Finding{{
			Kind: SignatureWrong, Key: n.path, Found: e.own,
			Detail: "the digest or its signature was altered",
		}}
	case !c.place.v.copied:
		n.reason = string(SignatureMissing)
		return []Finding{{Kind: SignatureMissing, Key: n.path, Detail: "the object has no signature in its metadata"}}
	case e.witness != nil && e.carried != "":
		return []Finding{{
			Kind: SignatureWrong, Key: n.path, Digest: e.witness.path, Found: e.carried,
			Detail: "the digest, or the next one, which carries its signature, was altered",
		}}
	}
	n.verdict, n.reason = Unverifiable, reasonNotInCopy
	f := Finding{Kind: DigestUnverifiable, Key: n.path, Detail: "unverifiable: " + reasonNotInCopy}
	if newer != nil {
		f.Digest = newer.path
	}
	return []Finding{f}
}
