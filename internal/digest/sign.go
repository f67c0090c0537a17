package digest

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrSignature means that a signature is not that of a digest.
var ErrSignature = errors.New("wrong signature")

// StringToSign returns the text that is signed for a digest: its end time as it stands in the digest, where the digest
// rests, the SHA-256 of its uncompressed bytes, and its predecessor's signature, "" for a starting digest.
func StringToSign(endTime, bucket, key string, body []byte, previousSignature string) string {
	if previousSignature == "" {
		previousSignature = "null"
	}
	return endTime + "\n" + bucket + "/" + key + "\n" + Hash(body) + "\n" + previousSignature
}

// Hash returns the SHA-256 of bytes as digests write it.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (d *Digest) sum(body []byte) []byte {
	sum := sha256.Sum256([]byte(StringToSign(
		d.DigestEndTime, d.DigestS3Bucket, d.DigestS3Object, body, d.PreviousDigestSignature)))
	return sum[:]
}

// Sign returns the signature of a digest: RSASSA-PKCS1-v1_5 with SHA-256, hexadecimal. Body is its uncompressed bytes.
func Sign(priv *rsa.PrivateKey, d *Digest, body []byte) (string, error) {
	sig, err := rsa.SignPKCS1v15(nil, priv, crypto.SHA256, d.sum(body))
	if err != nil {
		return "", fmt.Errorf("signing digest %s: %w", d.DigestS3Object, err)
	}
	return hex.EncodeToString(sig), nil
}

// CheckSignature tells whether signature (hexadecimal) is that of the digest with these uncompressed bytes; the error
// is ErrSignature with the reason.
func CheckSignature(pub *rsa.PublicKey, d *Digest, body []byte, signature string) error {
	sig, err := ParseSignature(signature)
	if err != nil {
		return err
	}
	if err := rsa.VerifyPKCS1v15(pub, crypto.SHA256, d.sum(body), sig); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// ParseSignature reads a signature as metadata and digests carry it. The error is ErrSignature with the reason.
func ParseSignature(s string) ([]byte, error) {
	if len(s) > 4096 {
		return nil, fmt.Errorf("%w: %d characters long", ErrSignature, len(s))
	}
	sig, err := hex.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if len(sig) == 0 {
		return nil, fmt.Errorf("%w: empty", ErrSignature)
	}
	return sig, nil
}

// Sealed is a digest as it is delivered.
type Sealed struct {
	Body     []byte            // the gzip file; the same digest and key give the same bytes
	Metadata map[string]string // the object's user metadata
	Link     Link              // what the next digest of the chain will say of this one
}

// Seal sets the digest's key fingerprint and algorithm, encodes, signs and compresses it. A backfill digest's caller
// adds MetaBackfillTime to the metadata.
func Seal(priv *rsa.PrivateKey, d *Digest) (*Sealed, error) {
	d.DigestPublicKeyFingerprint = Fingerprint(&priv.PublicKey)
	d.DigestSignatureAlgorithm = SignatureAlgorithm
	body := Encode(d)
	sig, err := Sign(priv, d, body)
	if err != nil {
		return nil, err
	}
	return &Sealed{
		Body:     compress(body),
		Metadata: map[string]string{MetaSignature: sig, MetaSignatureAlgorithm: SignatureAlgorithm},
		Link:     Link{Bucket: d.DigestS3Bucket, Key: d.DigestS3Object, Hash: Hash(body), Signature: sig},
	}, nil
}

func compress(b []byte) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		panic(err) // a bytes.Buffer takes all
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}
