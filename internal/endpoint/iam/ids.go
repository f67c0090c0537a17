package iam

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"strconv"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// newID returns an id of IAM's form: a prefix that tells the kind (AIDA: user, AROA: role, ANPA: managed policy, ACCA:
// service-specific credential) and 17 letters and digits.
func newID(prefix string) string {
	return prefix + base32.StdEncoding.EncodeToString(randomBytes(11))[:17]
}

// keyID returns an access key id: a prefix (AKIA: long-term, ASIA: session) and 16 letters and digits, which hold the
// account's number where AWS's have it, so that tools that read it from there find the right account.
func (s *Store) keyID(prefix string) string {
	b := randomBytes(10)
	account, err := strconv.ParseUint(s.account, 10, 40)
	if err == nil {
		v := 1<<47 | account<<7 | uint64(b[5]&0x7f)
		for i := range 6 {
			b[i] = byte(v >> (40 - 8*i))
		}
	}
	return prefix + base32.StdEncoding.EncodeToString(b)
}

// newSecret returns a secret access key: 40 characters.
func newSecret() string { return base64.StdEncoding.EncodeToString(randomBytes(30)) }

func hashOf(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}
