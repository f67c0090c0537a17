package endpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strconv"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// internal is what a client is told when something is wrong with the endpoint itself.
func internal(p awsapi.Protocol) *awsapi.Error {
	e := &awsapi.Error{Code: "InternalFailure", Message: "We encountered an internal error. Please try again.", Status: http.StatusInternalServerError}
	switch p {
	case awsapi.RESTXML:
		e.Code = "InternalError"
	case awsapi.RESTJSON:
		e.Code = "InternalServerException"
	}
	return e
}

// throttled is what a client is told that calls too often.
func throttled(p awsapi.Protocol) *awsapi.Error {
	switch p {
	case awsapi.RESTXML:
		return &awsapi.Error{Code: "SlowDown", Message: "Please reduce your request rate.", Status: http.StatusServiceUnavailable}
	case awsapi.RESTJSON:
		return &awsapi.Error{Code: "ThrottlingException", Message: "Too many requests, please wait before trying again.", Status: http.StatusTooManyRequests}
	case awsapi.Query:
		return &awsapi.Error{Code: "Throttling", Message: "Rate exceeded", Recorded: "ThrottlingException"}
	}
	return &awsapi.Error{Code: "ThrottlingException", Message: "Rate exceeded"}
}

// writeError answers with an error in the protocol's form.
func writeError(w http.ResponseWriter, c *awsapi.Call, p awsapi.Protocol, e *awsapi.Error) {
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	header := w.Header()
	for name, values := range e.Header {
		header[name] = values
	}
	signing := c.Signing
	if p == awsapi.RESTXML {
		signing = "s3"
	}
	header.Set(requestIDHeader(signing), c.ID)
	var body []byte
	switch p {
	case awsapi.RESTJSON:
		header.Set("Content-Type", "application/json")
		header.Set("X-Amzn-Errortype", e.Code)
		body = encode(map[string]string{"message": e.Message})
	case awsapi.JSON10, awsapi.JSON11:
		header.Set("Content-Type", map[awsapi.Protocol]string{
			awsapi.JSON10: "application/x-amz-json-1.0", awsapi.JSON11: "application/x-amz-json-1.1",
		}[p])
		body = encode(map[string]string{"__type": e.Code, "message": e.Message})
	case awsapi.CBOR:
		header.Set("Content-Type", "application/cbor")
		header.Set("Smithy-Protocol", "rpc-v2-cbor")
		body = cborError(e)
	case awsapi.Query:
		header.Set("Content-Type", "text/xml")
		body = queryError(e, status, c.ID)
	default:
		header.Set("Content-Type", "application/xml")
		body = s3Error(e, c)
	}
	if c.Request.Method == http.MethodHead || status == http.StatusNotModified || status == http.StatusNoContent {
		// An answer without a body: the code is all that S3's clients get, and that by the status.
		header.Del("Content-Type")
		w.WriteHeader(status)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone gets no answer
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return []byte("null")
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

func queryError(e *awsapi.Error, status int, id string) []byte {
	var v struct {
		XMLName xml.Name `xml:"ErrorResponse"`
		Error   struct {
			Type, Code, Message string
		}
		RequestID string `xml:"RequestId"`
	}
	v.Error.Type = "Sender"
	if status >= http.StatusInternalServerError {
		v.Error.Type = "Receiver"
	}
	v.Error.Code, v.Error.Message, v.RequestID = e.Code, e.Message, id
	return encodeXML(v)
}

func s3Error(e *awsapi.Error, c *awsapi.Call) []byte {
	var v struct {
		XMLName                            xml.Name `xml:"Error"`
		Code, Message, Resource, RequestID string
		HostID                             string `xml:"HostId"`
	}
	v.Code, v.Message, v.Resource, v.RequestID, v.HostID = e.Code, e.Message, c.Request.URL.Path, c.ID, c.ID
	return append([]byte(xml.Header), bytes.ReplaceAll(encodeXML(v), []byte("RequestID>"), []byte("RequestId>"))...)
}

func encodeXML(v any) []byte {
	b, err := xml.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

// cborError is {"__type": code, "message": message} in CBOR (RFC 8949).
func cborError(e *awsapi.Error) []byte {
	b := []byte{0xa2} // a map of two
	for _, s := range []string{"__type", e.Code, "message", e.Message} {
		b = append(b, 0x7a) // text with a length of four bytes
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}
