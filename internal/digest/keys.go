package digest

import (
	"context"
	"crypto/md5" // CloudTrail names its keys so; nothing rests on it
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrKey means that bytes are not a public key, or not a list of them.
var ErrKey = errors.New("not a public key")

// A Key is a public key with which CloudTrail's signatures are checked. From and To may be zero: not known.
type Key struct {
	Fingerprint string
	Public      *rsa.PublicKey
	From, To    time.Time // when CloudTrail signed with it
}

// A KeySource finds public keys. It may be called by several goroutines.
type KeySource interface {
	// Keys returns the keys that signed digests of a Region between two times. A source that doesn't know Regions or
	// times returns all it has. It retries what can be retried; an error ends the verification.
	Keys(ctx context.Context, region string, from, to time.Time) ([]Key, error)
}

// Keys is a KeySource of keys at hand.
type Keys []Key

// Keys returns all keys.
func (k Keys) Keys(context.Context, string, time.Time, time.Time) ([]Key, error) { return k, nil }

// Fingerprint returns the name that CloudTrail gives a public key: the MD5 of its PKCS #1 DER, hexadecimal. AWS
// doesn't document how it is made; the keys in its examples agree with this.
func Fingerprint(pub *rsa.PublicKey) string {
	sum := md5.Sum(MarshalPublicKey(pub))
	return hex.EncodeToString(sum[:])
}

// MarshalPublicKey returns a key's PKCS #1 DER: the Value that ListPublicKeys gives, before base64.
func MarshalPublicKey(pub *rsa.PublicKey) []byte { return x509.MarshalPKCS1PublicKey(pub) }

// ParsePublicKey reads a key's PKCS #1 DER and names it by its own fingerprint. The error is ErrKey with the reason.
func ParsePublicKey(der []byte) (Key, error) {
	pub, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return Key{Fingerprint: Fingerprint(pub), Public: pub}, nil
}

// ParseKeys reads the answer of ListPublicKeys, as the API or `aws cloudtrail list-public-keys` gives it. A key goes by
// the fingerprint that stands there: a wrong one can only make signatures fail. The error is ErrKey with the reason.
func ParseKeys(b []byte) (Keys, error) {
	var list struct {
		PublicKeyList []struct {
			Value                              []byte
			Fingerprint                        string
			ValidityStartTime, ValidityEndTime listTime
		}
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if len(list.PublicKeyList) == 0 {
		return nil, fmt.Errorf("%w: PublicKeyList is empty", ErrKey)
	}
	keys := make(Keys, 0, len(list.PublicKeyList))
	for _, item := range list.PublicKeyList {
		key, err := ParsePublicKey(item.Value)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", item.Fingerprint, err)
		}
		if item.Fingerprint != "" {
			key.Fingerprint = item.Fingerprint
		}
		key.From, key.To = time.Time(item.ValidityStartTime), time.Time(item.ValidityEndTime)
		keys = append(keys, key)
	}
	return keys, nil
}

// listTime is a time as seconds (the API) or as text (the AWS CLI).
type listTime time.Time

// UnmarshalJSON implements json.Unmarshaler.
func (t *listTime) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var seconds float64
	if json.Unmarshal(b, &seconds) == nil {
		*t = listTime(time.Unix(int64(seconds), 0).UTC())
		return nil
	}
	var at time.Time
	if err := json.Unmarshal(b, &at); err != nil {
		return err
	}
	*t = listTime(at.UTC())
	return nil
}
