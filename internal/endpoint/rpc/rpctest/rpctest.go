// Package rpctest calls services of package rpc's kind in tests, without a server: as root, over any protocol.
package rpctest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Account is the account that calls are made in.
const Account = "111122223333"

// State opens a state store that is closed when the test ends.
func State(t testing.TB) *state.Store {
	t.Helper()
	s, err := state.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Call makes a call of a service, in us-east-1, with the body and headers of r.
func Call(service awsapi.Service, r *http.Request, body string) (*awsapi.Call, *awsapi.Response, error) {
	c := &awsapi.Call{
		Request: r, Body: []byte(body), ID: "8d1e6f0a-0000-4000-8000-000000000001", Time: time.Now().UTC(),
		Account: Account, Region: "us-east-1",
		Caller: &awsapi.Identity{Kind: awsapi.Root, Account: Account, ARN: "arn:aws:iam::" + Account + ":root", PrincipalID: Account},
	}
	operation, _, ok := service.Route(r, c.Body)
	if !ok {
		return c, nil, errors.New("no such operation: " + operation)
	}
	c.Operation = operation
	service.Describe(c)
	if len(service.Access(c)) == 0 {
		return c, nil, errors.New("nothing to allow for " + operation)
	}
	resp, err := service.Serve(c)
	return c, resp, err
}

// JSON makes an AWS JSON call, and returns the answer's body.
func JSON(service awsapi.Service, operation, body string) (*awsapi.Call, string, error) {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:4588/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "Service."+operation)
	return text(Call(service, r, body))
}

// Query makes a call of the query protocol.
func Query(service awsapi.Service, operation string, parameters ...string) (*awsapi.Call, string, error) {
	v := url.Values{"Action": {operation}}
	for i := 0; i < len(parameters); i += 2 {
		v.Set(parameters[i], parameters[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:4588/", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return text(Call(service, r, v.Encode()))
}

// CBOR makes a call of Smithy RPC v2 CBOR.
func CBOR(service awsapi.Service, operation, body string) (*awsapi.Call, string, error) {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:4588/service/S/operation/"+operation, strings.NewReader(body))
	r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
	return text(Call(service, r, body))
}

func text(c *awsapi.Call, resp *awsapi.Response, err error) (*awsapi.Call, string, error) {
	if err != nil {
		return c, "", err
	}
	return c, string(resp.Body), nil
}
