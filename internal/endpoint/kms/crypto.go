package kms

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// A ciphertext is: a byte for the form, the key's id (16 bytes), a nonce (12 bytes), and AES-256-GCM's output.
const (
	form       = 0xa1
	nonceStart = 1 + 16
	sealStart  = nonceStart + 12
)

// maxPlaintext is how much Encrypt takes.
const maxPlaintext = 4096

// usable tells whether the key can encrypt and decrypt now.
func (k *key) usable() error {
	switch k.state() {
	case statePending:
		return invalidState("%s is pending deletion.", k.ARN)
	case stateDisabled:
		return fail("DisabledException", "%s is disabled.", k.ARN)
	}
	return nil
}

func (k *key) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.Material)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// authenticated is the encryption context as it is authenticated: names and values with their lengths, by name.
func authenticated(context map[string]string) []byte {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(context)) {
		for _, s := range []string{name, context[name]} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
			b = append(b, s...)
		}
	}
	return b
}

func (k *key) seal(plaintext []byte, context map[string]string) ([]byte, error) {
	a, err := k.aead()
	if err != nil {
		return nil, err
	}
	id, err := uuid.Parse(k.ID)
	if err != nil {
		return nil, err
	}
	b := append([]byte{form}, id[:]...)
	b = append(b, make([]byte, a.NonceSize())...)
	_, _ = rand.Read(b[nonceStart:sealStart]) // never fails
	return a.Seal(b, b[nonceStart:sealStart], plaintext, authenticated(context)), nil
}

func (k *key) open(ciphertext []byte, context map[string]string) ([]byte, error) {
	a, err := k.aead()
	if err != nil {
		return nil, err
	}
	plaintext, err := a.Open(nil, ciphertext[nonceStart:sealStart], ciphertext[sealStart:], authenticated(context))
	if err != nil {
		return nil, fail("InvalidCiphertextException", "")
	}
	return plaintext, nil
}

// keyIDOf is the id of the key a ciphertext was made with; "" for what is no ciphertext.
func keyIDOf(ciphertext []byte) string {
	if len(ciphertext) < sealStart || ciphertext[0] != form {
		return ""
	}
	id, err := uuid.FromBytes(ciphertext[1:nonceStart])
	if err != nil {
		return ""
	}
	return id.String()
}

type encryptInput struct {
	KeyID               string `aws:"KeyId"`
	Plaintext           []byte
	EncryptionContext   map[string]string
	EncryptionAlgorithm string
	DryRun              bool
}

func (in *encryptInput) key() string { return in.KeyID }

type encryptOutput struct {
	CiphertextBlob      []byte
	KeyID               string `aws:"KeyId"`
	EncryptionAlgorithm string
}

// usableKey finds a key that can be used now; an algorithm other than the one there is doesn't fit it.
func (s *Service) usableKey(c *awsapi.Call, id, algorithm string, dry bool) (*key, error) {
	k, err := s.find(c.Region, id)
	if err == nil {
		err = k.usable()
	}
	switch {
	case err != nil:
		return nil, err
	case algorithm != "" && algorithm != specSymmetric:
		return nil, fail("InvalidKeyUsageException", "Algorithm %s is incompatible with key spec %s.", algorithm, specSymmetric)
	case dry:
		return nil, fail("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
	}
	return k, nil
}

func (s *Service) encrypt(c *awsapi.Call, in *encryptInput) (any, error) {
	if len(in.Plaintext) < 1 || len(in.Plaintext) > maxPlaintext {
		return nil, fail("ValidationException", "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length between 1 and 4096")
	}
	k, err := s.usableKey(c, in.KeyID, in.EncryptionAlgorithm, in.DryRun)
	if err != nil {
		return nil, err
	}
	sealed, err := k.seal(in.Plaintext, in.EncryptionContext)
	return &encryptOutput{sealed, k.ARN, specSymmetric}, err
}

type decryptInput struct {
	CiphertextBlob      []byte
	KeyID               string `aws:"KeyId"`
	EncryptionContext   map[string]string
	EncryptionAlgorithm string
	DryRun              bool
}

type decryptOutput struct {
	KeyID               string `aws:"KeyId"`
	Plaintext           []byte `aws:",keep"`
	EncryptionAlgorithm string
}

func (s *Service) decrypt(c *awsapi.Call, in *decryptInput) (any, error) {
	id := keyIDOf(in.CiphertextBlob)
	if id == "" {
		return nil, fail("InvalidCiphertextException", "")
	}
	if in.KeyID != "" {
		k, err := s.find(c.Region, in.KeyID)
		if err != nil {
			return nil, err
		}
		if k.ID != id {
			return nil, fail("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
		}
	}
	k, err := s.usableKey(c, id, in.EncryptionAlgorithm, in.DryRun)
	if err != nil {
		return nil, err
	}
	plaintext, err := k.open(in.CiphertextBlob, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return &decryptOutput{k.ARN, plaintext, specSymmetric}, nil
}

type dataKeyInput struct {
	KeyID             string `aws:"KeyId"`
	KeySpec           string
	NumberOfBytes     int
	EncryptionContext map[string]string
	DryRun            bool
}

func (in *dataKeyInput) key() string { return in.KeyID }

type dataKeyOutput struct {
	CiphertextBlob []byte
	Plaintext      []byte
	KeyID          string `aws:"KeyId"`
}

func (s *Service) generateDataKey(c *awsapi.Call, in *dataKeyInput) (any, error) {
	return s.dataKey(c, in)
}

func (s *Service) generateDataKeyWithoutPlaintext(c *awsapi.Call, in *dataKeyInput) (any, error) {
	out, err := s.dataKey(c, in)
	if err != nil {
		return nil, err
	}
	out.Plaintext = nil
	return out, nil
}

func (s *Service) dataKey(c *awsapi.Call, in *dataKeyInput) (*dataKeyOutput, error) {
	n := in.NumberOfBytes
	switch {
	case in.KeySpec != "" && n != 0, in.KeySpec == "" && n == 0:
		return nil, fail("ValidationException", "Please specify either number of bytes or key spec.")
	case in.KeySpec == "AES_256":
		n = 32
	case in.KeySpec == "AES_128":
		n = 16
	case in.KeySpec != "" || n < 1 || n > 1024:
		return nil, fail("ValidationException", "The key spec or number of bytes is not valid.")
	}
	k, err := s.usableKey(c, in.KeyID, "", in.DryRun)
	if err != nil {
		return nil, err
	}
	out := &dataKeyOutput{Plaintext: make([]byte, n), KeyID: k.ARN}
	_, _ = rand.Read(out.Plaintext) // never fails
	out.CiphertextBlob, err = k.seal(bytes.Clone(out.Plaintext), in.EncryptionContext)
	return out, err
}
