package ai

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// gateway is the data plane of AgentCore's gateways: MCP over HTTP, for callers who bring a JSON Web Token of the gateway's
// own identity provider. To AWS they are anonymous; who they are stands in the record's additionalEventData, and what went
// wrong in its responseElements
// (https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/understanding-gateway-cloudtrail-log-entries.html).
//
// A gateway is called at its own host name, GATEWAY.gateway.bedrock-agentcore.REGION.amazonaws.com/mcp, or at the endpoint's
// with the path /gateways/GATEWAY/mcp. Tokens are read, and refused when they are malformed, unsigned or out of date. Those of a
// gateway that was made with a JWT authorizer must also be for one of its audiences and clients; where the authorizer's
// discovery URL is this machine's, their signature is checked with the keys found there. Keys elsewhere aren't fetched, and those
// signatures not checked. Every tool's call is answered with a text.
type gateway struct{ b *backend }

const gatewayName = "bedrock-agentcore-gateway"

var (
	gatewayHost = regexp.MustCompile(`^([0-9a-z-]+)\.gateway\.bedrock-agentcore\.[a-z0-9-]+\.amazonaws\.com(:\d+)?$`)
	gatewayPath = regexp.MustCompile(`^/gateways/([0-9a-z-]+)/mcp$`)
)

// gatewayID is the gateway that a request is for; "" for none.
func gatewayID(r *http.Request) string {
	if m := gatewayHost.FindStringSubmatch(r.Host); m != nil && r.URL.Path == "/mcp" {
		return m[1]
	}
	if m := gatewayPath.FindStringSubmatch(r.URL.Path); m != nil {
		return m[1]
	}
	return ""
}

// SigningNames implements awsapi.Service.
func (g *gateway) SigningNames() []string { return []string{gatewayName} }

// Open tells that a request's caller shows who it is to the service, not to the endpoint.
func (g *gateway) Open(r *http.Request) bool {
	return r.Method == http.MethodPost && gatewayID(r) != "" && !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-")
}

// Route implements awsapi.Service.
func (g *gateway) Route(r *http.Request, _ []byte) (string, awsapi.Protocol, bool) {
	return "InvokeGateway", awsapi.RESTJSON, g.Open(r)
}

// Access implements awsapi.Service: the gateway decides by the token.
func (g *gateway) Access(*awsapi.Call) []awsapi.Access { return nil }

// Describe implements awsapi.Service.
func (g *gateway) Describe(c *awsapi.Call) {
	id := gatewayID(c.Request)
	c.Record = awsapi.Record{
		EventSource: "bedrock-agentcore.amazonaws.com", Data: true, Shared: true,
		Resources: []cloudtrail.Resource{{
			AccountID: c.Account, Type: "AWS::BedrockAgentCore::Gateway",
			ARN: fmt.Sprintf("arn:aws:bedrock-agentcore:%s:%s:gateway/%s", c.Region, c.Account, id),
		}},
	}
	if in, ok := rpcOf(c.Body); ok {
		c.Record.RequestParameters = obj{"body": withoutContent(in, "params", "arguments", "prompt", "uri")}
	}
}

// rpcOf reads a JSON-RPC request.
func rpcOf(body []byte) (obj, bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var in obj
	if err := d.Decode(&in); err != nil || in["jsonrpc"] != "2.0" || text(in, "method") == "" {
		return nil, false
	}
	return in, true
}

// redactedByGateway stands in records for what was said to and by tools.
const redactedByGateway = "REDACTED"

// withoutContent is a message with what it says hidden: the members, of the object with the name, that hold content.
func withoutContent(message obj, name string, members ...string) obj {
	inner := object(message, name)
	if inner == nil {
		return message
	}
	shown := with(inner, nil)
	for _, m := range members {
		if _, ok := shown[m]; ok {
			shown[m] = redactedByGateway
		}
	}
	return with(message, obj{name: shown})
}

// token is what a JSON Web Token says.
type token struct {
	headers, claims obj
	signed          string // the part that is signed
	signature       []byte
}

// parseToken reads a bearer token; ok is false for what is no signed token, or one that is out of date.
func parseToken(authorization string, now time.Time) (t token, ok bool) {
	scheme, encoded, _ := strings.Cut(authorization, " ")
	parts := strings.Split(strings.TrimSpace(encoded), ".")
	if !strings.EqualFold(scheme, "Bearer") || len(parts) != 3 || parts[2] == "" {
		return token{}, false
	}
	for i, into := range []*obj{&t.headers, &t.claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return token{}, false
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if d.Decode(into) != nil || *into == nil {
			return token{}, false
		}
	}
	t.signed = parts[0] + "." + parts[1]
	var err error
	if t.signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return token{}, false
	}
	alg := text(t.headers, "alg")
	if alg == "" || strings.EqualFold(alg, "none") {
		return token{}, false
	}
	at := int(now.Unix())
	if whole(t.claims, at+1, "exp") <= at || whole(t.claims, at, "nbf") > at {
		return token{}, false
	}
	return t, true
}

// Serve implements awsapi.Service. Whatever goes wrong is an answer of MCP's, not an error of AWS's.
func (g *gateway) Serve(c *awsapi.Call) (*awsapi.Response, error) {
	in, ok := rpcOf(c.Body)
	if !ok {
		return g.answer(c, 400, problem(nil, -32700, "Parse error"))
	}
	t, ok := parseToken(c.Request.Header.Get("Authorization"), c.Time)
	if ok {
		authorizer, err := g.authorizer(c)
		if err != nil {
			return nil, err
		}
		ok = authorizer.accepts(c.Request.Context(), &t)
	}
	if !ok {
		return g.answer(c, 401, problem(in["id"], -32001, "Invalid Bearer token"))
	}
	about := obj{"jwt": obj{"type": "JWS", "headers": t.headers, "claims": t.claims}}
	c.Record.AdditionalEventData = about
	if in["id"] == nil { // a notification
		c.Record.ResponseElements = obj{"statusCode": 202}
		return &awsapi.Response{Status: 202, Header: http.Header{}}, nil
	}
	var result obj
	switch method := text(in, "method"); method {
	case "initialize":
		result = obj{
			"protocolVersion": text(in, "params", "protocolVersion"), "capabilities": obj{"tools": obj{"listChanged": false}},
			"serverInfo": obj{"name": gatewayID(c.Request), "version": "1.0.0"},
		}
	case "ping":
		result = obj{}
	case "tools/list":
		result = obj{"tools": []any{}}
	case "tools/call":
		target, name, ok := strings.Cut(text(in, "params", "name"), "___")
		if !ok {
			return g.answer(c, 200, problem(in["id"], -32602, "Unknown tool: "+target))
		}
		about["targetId"] = id(10, upperDigits, gatewayID(c.Request), target)
		about["downstreamRequestIds"] = []any{id(52, upperDigits, c.ID)}
		said := fmt.Sprintf("%s answers for %s.", name, target)
		result = obj{"isError": false, "content": []any{obj{"type": "text", "text": said}}}
	default:
		return g.answer(c, 200, problem(in["id"], -32601, "Method not found: "+method))
	}
	return g.answer(c, 200, obj{"jsonrpc": "2.0", "id": in["id"], "result": result})
}

func problem(id any, code int, message string) obj {
	return obj{"jsonrpc": "2.0", "id": id, "error": obj{"code": code, "message": message}}
}

// answer writes a JSON-RPC message, and has it recorded.
func (g *gateway) answer(c *awsapi.Call, status int, message obj) (*awsapi.Response, error) {
	r, err := plain(message)
	if err != nil {
		return nil, err
	}
	r.Status = status
	c.Record.ResponseElements = obj{
		"statusCode": status, "contentType": "application/json", "body": withoutContent(message, "result", "content", "structuredContent", "tools"),
	}
	return r, nil
}
