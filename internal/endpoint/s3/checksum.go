package s3

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// checksum is one of the x-amz-checksum-* headers, by its canonical name.
type checksum struct{ header, value string }

// nvme is CRC-64/NVME's polynomial, reflected.
const nvme = 0x9a6c9329ac4bc9b5

// algorithms are the checksums S3 knows, by the end of their header's name.
func algorithms() map[string]func() hash.Hash {
	return map[string]func() hash.Hash{
		"Crc32":     func() hash.Hash { return crc32.NewIEEE() },
		"Crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
		"Crc64nvme": func() hash.Hash { return crc64.New(crc64.MakeTable(nvme)) },
		"Sha1":      sha1.New,
		"Sha256":    sha256.New,
	}
}

const checksumHeader = "X-Amz-Checksum-"

// checksum verifies the checksum the request brings and returns it. A request that only names an algorithm (its value
// stood in the trailer of an aws-chunked body) gets that one; others get CRC64NVME, S3's own default.
func (q *request) checksum() (checksum, error) {
	all := algorithms()
	chosen := "Crc64nvme"
	for name := range all {
		if strings.EqualFold(q.header("X-Amz-Sdk-Checksum-Algorithm"), name) || strings.EqualFold(q.header("X-Amz-Trailer"), checksumHeader+name) {
			chosen = name
		}
	}
	given := ""
	for name := range all {
		if v := q.header(checksumHeader + name); v != "" {
			chosen, given = name, v
		}
	}
	sum := checksum{checksumHeader + chosen, digestOf(chosen, q.Body)}
	if given != "" && given != sum.value {
		return sum, &awsapi.Error{Code: "BadDigest", Message: "The " + strings.ToUpper(chosen) + " you specified did not match the calculated checksum."}
	}
	return sum, nil
}

// digestOf is the base64 of the body's checksum.
func digestOf(algorithm string, body []byte) string {
	if algorithm == "Crc64nvme" { // hash/crc64 sums big-endian, as S3 writes it
		return base64Std(binary.BigEndian.AppendUint64(nil, crc64.Checksum(body, crc64.MakeTable(nvme))))
	}
	h := algorithms()[algorithm]()
	h.Write(body)
	return base64Std(h.Sum(nil))
}
