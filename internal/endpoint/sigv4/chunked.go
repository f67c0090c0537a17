package sigv4

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// chunks reads an aws-chunked body: chunks of "SIZE[;chunk-signature=HEX]\r\nDATA\r\n", an empty one last, then
// trailing headers.
type chunks struct {
	rest []byte
}

var errBody = &Error{BodyIncomplete, "The request body terminated unexpectedly"}

// next returns a chunk and its signature; an empty chunk is the last.
func (c *chunks) next() (data []byte, signature string, err error) {
	line, err := c.line()
	if err != nil {
		return nil, "", err
	}
	size, extension, _ := strings.Cut(line, ";")
	n, perr := strconv.ParseUint(size, 16, 31)
	if perr != nil || strings.HasPrefix(size, "+") {
		return nil, "", errBody
	}
	signature, _ = strings.CutPrefix(extension, "chunk-signature=")
	if n == 0 {
		return nil, signature, nil
	}
	if uint64(len(c.rest)) < n+2 || string(c.rest[n:n+2]) != "\r\n" {
		return nil, "", errBody
	}
	data, c.rest = c.rest[:n], c.rest[n+2:]
	return data, signature, nil
}

// line returns the text before the next line end.
func (c *chunks) line() (string, error) {
	line, rest, found := bytes.Cut(c.rest, []byte("\r\n"))
	if !found {
		// The last trailer's line end may be missing, and "\n" alone is how some clients end trailers.
		if line, rest, found = bytes.Cut(c.rest, []byte("\n")); !found {
			if len(c.rest) == 0 {
				return "", errBody
			}
			line, rest = c.rest, nil
		}
	}
	c.rest = rest
	return string(line), nil
}

// trailers reads the headers behind the last chunk, in order, and the signature over them.
func (c *chunks) trailers() (trailers [][2]string, signature string, err error) {
	for len(c.rest) > 0 {
		line, err := c.line()
		if err != nil {
			return nil, "", err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, "", errBody
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if name == "x-amz-trailer-signature" {
			signature = value
			continue
		}
		trailers = append(trailers, [2]string{name, value})
	}
	return trailers, signature, nil
}

// decodeChunked decodes an aws-chunked body, verifying the signatures of its chunks and trailers, its length, and the
// checksum it may end in. On success the request's headers are made those of the decoded body.
func (s *Signature) decodeChunked(r *http.Request, body []byte, payload string, key []byte) ([]byte, error) {
	c := &chunks{rest: body}
	decoded := make([]byte, 0, len(body))
	previous := s.value
	for {
		data, signature, err := c.next()
		if err != nil {
			return nil, err
		}
		if payload != streamingUnsigned {
			want := s.chain(key, "AWS4-HMAC-SHA256-PAYLOAD", previous, emptyHash+"\n"+hash(data))
			if !sameText(signature, want) {
				return nil, &Error{Kind: BadSignature}
			}
			previous = signature
		}
		if len(data) == 0 {
			break
		}
		decoded = append(decoded, data...)
	}
	if want := r.Header.Get("X-Amz-Decoded-Content-Length"); want != strconv.Itoa(len(decoded)) {
		return nil, &Error{BodyIncomplete, "You did not provide the number of bytes specified by the Content-Length HTTP header"}
	}
	trailers, signature, err := c.trailers()
	if err != nil {
		return nil, err
	}
	if payload == streamingTrailer {
		var text strings.Builder
		for _, t := range trailers {
			text.WriteString(t[0] + ":" + t[1] + "\n")
		}
		want := s.chain(key, "AWS4-HMAC-SHA256-TRAILER", previous, hash([]byte(text.String())))
		if !sameText(signature, want) {
			return nil, &Error{Kind: BadSignature}
		}
	}
	if err := checkTrailers(r, trailers, decoded); err != nil {
		return nil, err
	}
	describeDecoded(r, trailers, len(decoded))
	return decoded, nil
}

// chain signs a chunk or the trailers, which each hold the signature before.
func (s *Signature) chain(key []byte, kind, previous, hashes string) string {
	text := kind + "\n" + s.Time.Format(timeLayout) + "\n" + s.scope() + "\n" + previous + "\n" + hashes
	return hex.EncodeToString(mac(key, text))
}

// checkTrailers refuses trailers that the X-Amz-Trailer header didn't announce, and verifies checksums.
func checkTrailers(r *http.Request, trailers [][2]string, body []byte) error {
	announced := "," + strings.ToLower(strings.ReplaceAll(r.Header.Get("X-Amz-Trailer"), " ", "")) + ","
	for _, t := range trailers {
		if !strings.Contains(announced, ","+t[0]+",") {
			return &Error{BodyIncomplete, "The request contained trailing headers that were not announced: " + t[0]}
		}
		name, ok := strings.CutPrefix(t[0], "x-amz-checksum-")
		if !ok {
			continue
		}
		if want, known := checksum(name, body); known && want != t[1] {
			return &Error{BadChecksum, "The " + strings.ToUpper(name) + " you specified did not match the calculated checksum."}
		}
	}
	return nil
}

// crc64nvme is the polynomial 0xad93d23594c93659, reversed as hash/crc64 wants it.
const crc64nvme = 0x9a6c9329ac4bc9b5

// checksum computes S3's checksums, in base64.
func checksum(name string, body []byte) (sum string, known bool) {
	var b []byte
	switch name {
	case "crc32":
		b = bigEndian(uint64(crc32.ChecksumIEEE(body)), 4)
	case "crc32c":
		b = bigEndian(uint64(crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))), 4)
	case "crc64nvme":
		b = bigEndian(crc64.Checksum(body, crc64.MakeTable(crc64nvme)), 8)
	case "sha1":
		h := sha1.Sum(body)
		b = h[:]
	case "sha256":
		h := sha256.Sum256(body)
		b = h[:]
	default:
		return "", false
	}
	return base64.StdEncoding.EncodeToString(b), true
}

func bigEndian(v uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[n-1-i] = byte(v >> (8 * i))
	}
	return b
}

// describeDecoded makes the headers those of the decoded body.
func describeDecoded(r *http.Request, trailers [][2]string, n int) {
	var encodings []string
	for e := range strings.SplitSeq(r.Header.Get("Content-Encoding"), ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			encodings = append(encodings, e)
		}
	}
	r.Header.Del("Content-Encoding")
	if len(encodings) > 0 {
		r.Header.Set("Content-Encoding", strings.Join(encodings, ","))
	}
	r.ContentLength = int64(n)
	r.Header.Set("Content-Length", strconv.Itoa(n))
	for _, t := range trailers {
		r.Header.Set(textproto.CanonicalMIMEHeaderKey(t[0]), t[1])
	}
}
