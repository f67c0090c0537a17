package lake

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
)

// key is the identity of an event: its eventID and recipientAccountId. The zero key belongs to events that have no
// eventID; they are never taken for the same.
type key [16]byte

// keyOf computes the key from the columns of a row. A UUID and an account of digits are taken as they are, and mixed
// so that two accounts never share a key; other ids and accounts are hashed.
func keyOf(id [16]byte, extra, account string) key {
	if id == [16]byte{} {
		text := eventIDOf(id, extra)
		if text == "" {
			return key{}
		}
		sum := sha256.Sum256([]byte(text))
		id = [16]byte(sum[:])
	}
	n := accountNumber(account)
	var k key
	binary.LittleEndian.PutUint64(k[:8], binary.LittleEndian.Uint64(id[:8])^n*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(k[8:], binary.LittleEndian.Uint64(id[8:])^n*0xc2b2ae3d27d4eb4f)
	return k
}

func accountNumber(account string) uint64 {
	if account == "" {
		return 0
	}
	n := uint64(1)
	for i := 0; i < len(account); i++ {
		if c := account[i]; c < '0' || c > '9' || i > 17 {
			h := fnv.New64a()
			h.Write([]byte(account))
			return h.Sum64() | 1<<63
		}
		n = n*10 + uint64(account[i]-'0')
	}
	return n
}

// fileKey identifies a log file: a hash of its object, size and ETag.
type fileKey [16]byte

func fileKeyOf(object string, size int64, etag string) fileKey {
	h := sha256.New()
	h.Write([]byte(object))
	var b [9]byte // a zero byte, which no URL has, and the size
	binary.LittleEndian.PutUint64(b[1:], uint64(size))
	h.Write(b[:])
	h.Write([]byte(etag))
	return fileKey(h.Sum(nil)[:16])
}
