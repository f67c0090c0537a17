package iam

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// session is what a session token holds.
type session struct {
	AccessKeyID string    `json:"k"`
	Kind        string    `json:"t"` // "role", "user", "root" or "federated"
	Created     time.Time `json:"c"`
	Expires     time.Time `json:"e"`

	Name           string            `json:"n,omitempty"` // the role's or user's
	ID             string            `json:"i,omitempty"` // AROA… or AIDA…
	Session        string            `json:"s,omitempty"` // the session's or federated user's name
	SourceIdentity string            `json:"si,omitempty"`
	Tags           map[string]string `json:"tg,omitempty"`
	Transitive     []string          `json:"tr,omitempty"` // keys of tags that stay when another role is assumed
	Policies       []string          `json:"p,omitempty"`  // session policies' documents
	PolicyARNs     []string          `json:"pa,omitempty"`
}

// tokenPrefix is how AWS's session tokens begin.
const tokenPrefix = "IQoJb3JpZ2luX2Vj"

// secretOf derives a session's secret access key from its access key id.
func (s *Store) secretOf(accessKeyID string) string {
	m := hmac.New(sha256.New, s.root.Seal)
	m.Write([]byte("secret of " + accessKeyID))
	return base64.StdEncoding.EncodeToString(m.Sum(nil)[:30])
}

func (s *Store) aead() cipher.AEAD {
	block, err := aes.NewCipher(s.root.Seal)
	if err != nil {
		panic(err) // the key always has 32 bytes
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has GCM's block size
	}
	return a
}

// seal makes a session its token.
func (s *Store) seal(v *session) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	a := s.aead()
	nonce := randomBytes(a.NonceSize())
	return tokenPrefix + base64.StdEncoding.EncodeToString(a.Seal(nonce, nonce, text, nil)), nil
}

// unseal reads a session from its token; ok is false for a token that this store didn't make.
func (s *Store) unseal(token string) (v *session, ok bool) {
	encoded, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return nil, false
	}
	sealed, err := base64.StdEncoding.DecodeString(encoded)
	a := s.aead()
	if err != nil || len(sealed) < a.NonceSize() {
		return nil, false
	}
	text, err := a.Open(nil, sealed[:a.NonceSize()], sealed[a.NonceSize():], nil)
	if err != nil || json.Unmarshal(text, &v) != nil || v == nil {
		return nil, false
	}
	return v, true
}
