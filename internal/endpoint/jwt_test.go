package endpoint_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestGatewayTokens has an identity provider on this machine: a gateway made with it takes tokens that the provider's keys
// signed, for its own audience and clients, and no others.
func TestGatewayTokens(t *testing.T) {
	c := newCast(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ecKey.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString
	var idp *httptest.Server
	idp = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := any(map[string]any{"keys": []any{
			map[string]string{"kty": "RSA", "kid": "r", "n": text(rsaKey.N.Bytes()), "e": text(big.NewInt(int64(rsaKey.E)).Bytes())},
			map[string]string{"kty": "EC", "kid": "e", "crv": "P-256", "x": text(public[1:33]), "y": text(public[33:])},
		}})
		if strings.HasSuffix(r.URL.Path, "openid-configuration") {
			answer = map[string]string{"issuer": idp.URL, "jwks_uri": idp.URL + "/keys"}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	defer idp.Close()
	in := fmt.Sprintf(`{"name":"tools","roleArn":"arn:aws:iam::111122223333:role/r","protocolType":"MCP","authorizerType":"CUSTOM_JWT",
		"authorizerConfiguration":{"customJWTAuthorizer":{"discoveryUrl":"%s/.well-known/openid-configuration","allowedClients":["app"],"allowedAudience":["api"]}}}`, idp.URL)
	status, answer := c.send(t, "user", "", wire{"bedrock-agentcore", "POST /gateways/", in})
	var made struct{ GatewayID string }
	if err := json.Unmarshal([]byte(answer), &made); err != nil || made.GatewayID == "" {
		t.Fatalf("%d %s", status, answer)
	}

	sign := func(alg, kid string, claims map[string]any) string {
		head, _ := json.Marshal(map[string]string{"alg": alg, "kid": kid})
		body, _ := json.Marshal(claims)
		signed := text(head) + "." + text(body)
		sum := sha256.Sum256([]byte(signed))
		var signature []byte
		switch alg {
		case "RS256":
			signature, err = rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, sum[:])
		case "PS256":
			signature, err = rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, sum[:], nil)
		default:
			r, s, signErr := ecdsa.Sign(rand.Reader, ecKey, sum[:])
			err = signErr
			signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
		if err != nil {
			t.Fatal(err)
		}
		return signed + "." + text(signature)
	}
	with := func(name string, value any) map[string]any {
		claims := map[string]any{"iss": idp.URL, "aud": []string{"other", "api"}, "client_id": "app", "exp": time.Now().Add(time.Hour).Unix()}
		claims[name] = value
		return claims
	}
	good := with("sub", "ana")
	forged := strings.Split(sign("RS256", "r", good), ".")
	forged[1] = strings.Split(sign("RS256", "r", with("sub", "bo")), ".")[1]
	for name, tt := range map[string]struct {
		token  string
		status int
	}{
		"RSA":                 {sign("RS256", "r", good), 200},
		"RSA-PSS":             {sign("PS256", "r", good), 200},
		"an elliptic curve":   {sign("ES256", "e", good), 200},
		"no key named":        {sign("ES256", "", good), 200},
		"one audience":        {sign("RS256", "r", with("aud", "api")), 200},
		"another's claims":    {strings.Join(forged, "."), 401},
		"another key":         {sign("RS256", "e", good), 401},
		"a key nobody has":    {sign("RS256", "x", good), 401},
		"another issuer":      {sign("RS256", "r", with("iss", "http://127.0.0.1:1")), 401},
		"another audience":    {sign("RS256", "r", with("aud", "other")), 401},
		"another client":      {sign("RS256", "r", with("client_id", "other")), 401},
		"a token of long ago": {sign("RS256", "r", with("exp", 1)), 401},
	} {
		resp, answer := doSigned(t, "POST", c.url+"/gateways/"+made.GatewayID+"/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}, "Content-Type", "application/json")
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %d %s", name, resp.StatusCode, answer)
		}
	}
	idp.Close()
	resp, answer := doSigned(t, "POST", c.url+"/gateways/"+made.GatewayID+"/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+sign("RS256", "r", good))
	}, "Content-Type", "application/json")
	if resp.StatusCode != 401 {
		t.Errorf("without the provider: %d %s", resp.StatusCode, answer)
	}
}
