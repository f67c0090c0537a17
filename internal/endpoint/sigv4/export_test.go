package sigv4

import (
	"net/http"
	"strconv"
)

// DecodeUnsigned decodes an aws-chunked body without signatures.
func DecodeUnsigned(body []byte) ([]byte, error) {
	length := 0
	for c := (&chunks{rest: body}); ; {
		data, _, err := c.next()
		if err != nil || len(data) == 0 {
			break
		}
		length += len(data)
	}
	r := &http.Request{Header: http.Header{"X-Amz-Decoded-Content-Length": {strconv.Itoa(length)}}}
	return (&Signature{}).decodeChunked(r, body, streamingUnsigned, nil)
}
