package endpoint

import (
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// bearers are the signing names of services that take Bedrock API keys, in the order they are asked.
var bearers = [...]string{"bedrock", "bedrock-mantle"}

// signing finds a request's service where it hasn't been learned from a verified signature: from the credential scope it
// claims; for bearer tokens, from the path; else it is S3, the one service that takes anonymous calls, unless the request
// speaks another protocol.
func (h *handler) signing(r *http.Request, body []byte) string {
	authorization := r.Header.Get("Authorization")
	credential := r.URL.Query().Get("X-Amz-Credential")
	if _, after, ok := strings.Cut(authorization, "Credential="); ok {
		credential, _, _ = strings.Cut(after, ",")
	}
	if parts := strings.Split(credential, "/"); len(parts) == 5 {
		return parts[3]
	}
	if strings.HasPrefix(strings.ToLower(authorization), "bearer ") || r.Header.Get("X-Api-Key") != "" {
		for _, name := range bearers {
			if s := h.services[name]; s != nil {
				if _, _, ok := s.Route(r, body); ok {
					return name
				}
			}
		}
		return bearers[0]
	}
	if guess(r) != awsapi.RESTXML {
		return ""
	}
	return "s3"
}

// protocol is how the service's errors are written.
func (h *handler) protocol(signing string, r *http.Request, body []byte) awsapi.Protocol {
	if s := h.services[signing]; s != nil {
		_, p, _ := s.Route(r, body)
		return p
	}
	return guess(r)
}

// guess tells a protocol by a request's looks.
func guess(r *http.Request) awsapi.Protocol {
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor":
		return awsapi.CBOR
	case contentType == "application/x-amz-json-1.0":
		return awsapi.JSON10
	case r.Header.Get("X-Amz-Target") != "":
		return awsapi.JSON11
	case contentType == "application/x-www-form-urlencoded", r.URL.Query().Has("Action"):
		return awsapi.Query
	case contentType == "application/json", strings.HasPrefix(strings.ToLower(r.Header.Get("Authorization")), "bearer "):
		return awsapi.RESTJSON
	}
	return awsapi.RESTXML
}

var regionLabel = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)

// hostRegion is the Region in a host name such as bedrock-runtime.eu-west-1.amazonaws.com, for calls whose credentials
// name none.
func (h *handler) hostRegion(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	for label := range strings.SplitSeq(host, ".") {
		if regionLabel.MatchString(label) {
			return label
		}
	}
	return h.opts.Region
}

func unknownService(signing string) error {
	if signing == "" {
		return &awsapi.Error{Code: "UnknownOperationException", Message: "the request names no service", Status: http.StatusNotFound}
	}
	return &awsapi.Error{Code: "UnknownOperationException", Message: "the endpoint has no service " + signing, Status: http.StatusNotImplemented}
}

// unknownOperation is what services say of operations they don't have.
func unknownOperation(c *awsapi.Call, p awsapi.Protocol) error {
	name := c.Operation
	switch p {
	case awsapi.Query:
		if name == "" {
			return &awsapi.Error{Code: "MissingAction", Message: "The request must contain the parameter Action."}
		}
		version := c.Request.URL.Query().Get("Version")
		if form, err := url.ParseQuery(string(c.Body)); version == "" && err == nil {
			version = form.Get("Version")
		}
		return &awsapi.Error{Code: "InvalidAction", Message: "Could not find operation " + name + " for version " + version}
	case awsapi.RESTXML:
		return &awsapi.Error{Code: "MethodNotAllowed", Message: "The specified method is not allowed against this resource.", Status: http.StatusMethodNotAllowed}
	case awsapi.RESTJSON:
		return &awsapi.Error{Code: "UnknownOperationException", Message: "Unable to determine service/operation name to be authorized", Status: http.StatusForbidden}
	}
	return &awsapi.Error{Code: "UnknownOperationException", Message: "The requested operation is not recognized by the service."}
}
