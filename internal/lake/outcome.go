package lake

import (
	"strings"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// outcome tells how a call ended.
func outcome(e *cloudtrail.Event, service string) string {
	switch {
	case e.ErrorCode != "":
		return codeOutcome(e.ErrorCode)
	case service == "bedrock-agentcore" && e.ResponseElements != "":
		return gatewayOutcome(e.ResponseElements)
	case e.EventType == "AwsConsoleSignIn" && e.ResponseElements.Member("ConsoleLogin").Text() == "Failure":
		return OutcomeDenied
	case e.ErrorMessage != "":
		return OutcomeError
	}
	return OutcomeOK
}

// codes are parts of error codes in lower case and what they tell; the first that is found counts.
var codes = []struct{ part, outcome string }{
	{"accessdenied", OutcomeDenied},
	{"unauthorized", OutcomeDenied},
	{"notauthorized", OutcomeDenied},
	{"authfailure", OutcomeDenied},
	{"forbidden", OutcomeDenied},
	{"invalidclienttokenid", OutcomeDenied},
	{"unrecognizedclient", OutcomeDenied},
	{"signature", OutcomeDenied}, // SignatureDoesNotMatch, InvalidSignatureException, IncompleteSignature
	{"expiredtoken", OutcomeDenied},
	{"missingauthenticationtoken", OutcomeDenied},
	{"optinrequired", OutcomeDenied},
	{"throttl", OutcomeThrottled},
	{"toomanyrequests", OutcomeThrottled},
	{"slowdown", OutcomeThrottled},
	{"modelnotready", OutcomeThrottled}, // HTTP status 429
	{"sizelimit", OutcomeInvalid},       // TextSizeLimitExceededException: the request is too large
	{"limitexceeded", OutcomeThrottled},
	{"quotaexceeded", OutcomeThrottled},
	{"throughputexceeded", OutcomeThrottled},
	{"internal", OutcomeError},
	{"unavailable", OutcomeError},
	{"timeout", OutcomeError},
	{"modelerror", OutcomeError},
	{"modelstreamerror", OutcomeError},
	{"dependencyfailed", OutcomeError},
	{"badgateway", OutcomeError},
	{"validation", OutcomeInvalid},
	{"invalid", OutcomeInvalid},
	{"notfound", OutcomeInvalid},
	{"nosuch", OutcomeInvalid},
	{"malformed", OutcomeInvalid},
	{"missing", OutcomeInvalid},
	{"conflict", OutcomeInvalid},
	{"exists", OutcomeInvalid},
	{"notexist", OutcomeInvalid},
	{"inuse", OutcomeInvalid},
	{"notempty", OutcomeInvalid},
	{"badrequest", OutcomeInvalid},
	{"unsupported", OutcomeInvalid},
	{"toolarge", OutcomeInvalid},
	{"toolong", OutcomeInvalid},
	{"precondition", OutcomeInvalid},
	{"client.", OutcomeInvalid}, // EC2's prefix of what the caller did wrong
}

func codeOutcome(code string) string {
	if len(code) == 3 && code[0] >= '2' && code[0] <= '5' {
		return statusOutcome(code)
	}
	code = strings.ToLower(code)
	for _, c := range codes {
		if strings.Contains(code, c.part) {
			return c.outcome
		}
	}
	return OutcomeError
}

// statusOutcome tells the outcome of an HTTP status.
func statusOutcome(status string) string {
	switch {
	case status == "401" || status == "403" || status == "407":
		return OutcomeDenied
	case status == "429":
		return OutcomeThrottled
	case strings.HasPrefix(status, "4"):
		return OutcomeInvalid
	case strings.HasPrefix(status, "5"):
		return OutcomeError
	}
	return OutcomeOK
}

// gatewayOutcome tells the outcome from what an AgentCore gateway answered: its events never have an errorCode
// (https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/gateway-cloudtrail.html). The body is JSON-RPC's.
func gatewayOutcome(response cloudtrail.JSON) string {
	var status, body cloudtrail.JSON
	response.Members(func(name string, v cloudtrail.JSON) {
		switch name {
		case "statusCode":
			status = v
		case "body":
			body = v
		}
	})
	if o := statusOutcome(status.Text()); o != OutcomeOK {
		return o
	}
	if failure := body.Member("error"); failure != "" && failure != "null" {
		switch failure.Member("code").Text() {
		case "-32001":
			return OutcomeDenied
		case "-32700", "-32600", "-32601", "-32602": // JSON-RPC 2.0: parse error, invalid request, method or parameters
			return OutcomeInvalid
		}
		return OutcomeError
	}
	if body.Member("result").Member("isError").Text() == "true" {
		return OutcomeError
	}
	return OutcomeOK
}
