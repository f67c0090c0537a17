package ai

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of tokens' signatures
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// authorizer is the customJWTAuthorizer of a gateway.
type authorizer struct {
	discovery          string
	audiences, clients []string
	scopes             []string
}

// authorizer is the one that the call's gateway was made with; the zero value for a gateway that nobody made, and for one without.
func (g *gateway) authorizer(c *awsapi.Call) (authorizer, error) {
	id := gatewayID(c.Request)
	entries, err := state.List[*resource](g.b.State, made, c.Region+"/bedrock-agentcore-control/gateway/")
	if err != nil {
		return authorizer{}, fmt.Errorf("reading gateways: %w", err)
	}
	for _, e := range entries {
		if config := object(e.Value.Config, "authorizerConfiguration", "customJWTAuthorizer"); config != nil && e.Value.own() == id {
			return authorizer{
				discovery: text(config, "discoveryUrl"), audiences: texts(config, "allowedAudience"), clients: texts(config, "allowedClients"),
				scopes: texts(config, "allowedScopes"),
			}, nil
		}
	}
	return authorizer{}, nil
}

// accepts tells whether a token is one that the authorizer lets in.
func (a authorizer) accepts(ctx context.Context, t *token) bool {
	audience := texts(t.claims, "aud")
	if one := text(t.claims, "aud"); one != "" {
		audience = []string{one}
	}
	has := func(allowed, own []string) bool {
		return len(allowed) == 0 || slices.ContainsFunc(own, func(s string) bool { return slices.Contains(allowed, s) })
	}
	if !has(a.audiences, audience) || !has(a.clients, []string{text(t.claims, "client_id")}) || !has(a.scopes, strings.Fields(text(t.claims, "scope"))) {
		return false
	}
	if !onLoopback(a.discovery) {
		return true
	}
	var about struct {
		Issuer string
		Keys   string `json:"jwks_uri"`
	}
	var set struct{ Keys []webKey }
	if fetch(ctx, a.discovery, &about) != nil || about.Issuer != text(t.claims, "iss") || !onLoopback(about.Keys) || fetch(ctx, about.Keys, &set) != nil {
		return false
	}
	return slices.ContainsFunc(set.Keys, func(k webKey) bool {
		return (k.ID == text(t.headers, "kid") || text(t.headers, "kid") == "") && k.signed(t)
	})
}

// onLoopback tells whether a URL is of this machine.
func onLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// identityProvider is asked for keys. It follows no redirect away from this machine.
var identityProvider = &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
	if !onLoopback(r.URL.String()) {
		return http.ErrUseLastResponse
	}
	return nil
}}

// maxKeys is how long a document of an identity provider may be.
const maxKeys = 1 << 20

func fetch(ctx context.Context, address string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := identityProvider.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxKeys)).Decode(into)
}

// webKey is a public key of a JSON Web Key Set (RFC 7517).
type webKey struct {
	Kind  string `json:"kty"`
	ID    string `json:"kid"`
	Curve string `json:"crv"`
	N, E  string
	X, Y  string
}

// signed tells whether the key signed a token, with RS, PS or ES and SHA-2 (RFC 7518).
func (k webKey) signed(t *token) bool {
	alg := text(t.headers, "alg")
	if len(alg) != 5 {
		return false
	}
	h := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	if h == 0 {
		return false
	}
	digest := h.New()
	digest.Write([]byte(t.signed))
	sum := digest.Sum(nil)
	switch {
	case k.Kind == "RSA" && (alg[:2] == "RS" || alg[:2] == "PS"):
		n, e := number(k.N), number(k.E)
		if n.BitLen() < 1024 || n.BitLen() > 8192 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
			return false
		}
		public := &rsa.PublicKey{N: n, E: int(e.Int64())}
		if alg[:2] == "PS" {
			return rsa.VerifyPSS(public, h, sum, t.signature, nil) == nil
		}
		return rsa.VerifyPKCS1v15(public, h, sum, t.signature) == nil
	case k.Kind == "EC" && alg[:2] == "ES":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Curve]
		if curve == nil || len(t.signature)%2 != 0 {
			return false
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, point(k, (curve.Params().BitSize+7)/8))
		if err != nil {
			return false
		}
		half := len(t.signature) / 2
		return ecdsa.Verify(public, sum, new(big.Int).SetBytes(t.signature[:half]), new(big.Int).SetBytes(t.signature[half:]))
	}
	return false
}

// number reads base64url of a big-endian number; 0 for what isn't one.
func number(s string) *big.Int {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return new(big.Int)
	}
	return new(big.Int).SetBytes(b)
}

// point is an EC key in uncompressed form; nil for coordinates that are too long.
func point(k webKey, size int) []byte {
	x, y := number(k.X), number(k.Y)
	if x.BitLen() > 8*size || y.BitLen() > 8*size {
		return nil
	}
	return append(append([]byte{4}, x.FillBytes(make([]byte, size))...), y.FillBytes(make([]byte, size))...)
}
