package rpc_test

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/rpc"
	"github.com/aitrail/aitrail/internal/endpoint/rpc/rpctest"
)

type inner struct {
	KeyID string `aws:"KeyId"`
	Value *int
}

// everything has a member of every kind.
type everything struct {
	Text     string
	Flag     bool `aws:",keep"`
	Optional *bool
	Number   int
	Fraction float64
	Bytes    []byte
	When     *time.Time
	Names    []string
	Flat     []inner           `aws:",flat=Item"`
	Map      map[string]string `aws:"map"`
	FlatMap  map[string]string `aws:",flat=Pair:Name:Value"`
	Inner    *inner
	Secret   string
	Hidden   string
}

// echo answers with its input.
type echo struct{ rpc.API }

func newEcho() *echo {
	return &echo{rpc.API{
		Signing: "echo", EventSource: "echo.amazonaws.com", JSON: awsapi.JSON10, Query: true, Namespace: "http://echo/", CBOR: true,
		Operations: map[string]rpc.Operation{
			"Echo": rpc.Op(func(_ *awsapi.Call, in *everything) (any, error) { return in, nil }).Redacting("Secret").Hiding("Hidden"),
		},
	}}
}

func (e *echo) Describe(c *awsapi.Call) { e.API.Describe(c) }

func (e *echo) Access(c *awsapi.Call) []awsapi.Access {
	return []awsapi.Access{{Action: "echo:" + c.Operation, Resource: "*"}}
}

const asJSON = `{"Text":"<&>","Flag":false,"Optional":false,"Number":-7,"Fraction":0.5,"Bytes":"AQI=","Names":["a","b"],` +
	`"Flat":[{"KeyId":"k","Value":0},{"KeyId":"l"}],"map":{"A":"1","B":""},"FlatMap":{"n":"v"},"Inner":{"KeyId":"i"},"Secret":"s","Hidden":"h"}`

func TestProtocolsAgree(t *testing.T) {
	e := newEcho()
	call, got, err := rpctest.JSON(e, "Echo", asJSON)
	if err != nil || got != asJSON {
		t.Errorf("JSON: %v\n%s", err, cmp.Diff(asJSON, got))
	}
	want := map[string]any{
		"text": "<&>", "flag": false, "optional": false, "number": int64(-7), "fraction": 0.5, "bytes": []byte{1, 2},
		"names": []any{"a", "b"}, "flat": []any{map[string]any{"keyId": "k", "value": int64(0)}, map[string]any{"keyId": "l"}},
		"map": map[string]any{"A": "1", "B": ""}, "flatMap": map[string]any{"n": "v"}, "inner": map[string]any{"keyId": "i"},
		"secret": "HIDDEN_DUE_TO_SECURITY_REASONS",
	}
	if diff := cmp.Diff(want, call.Record.RequestParameters); diff != "" {
		t.Error("the record's request:\n", diff)
	}
	if diff := cmp.Diff(want, call.Record.ResponseElements); diff != "" {
		t.Error("the record's response:\n", diff)
	}

	call, got, err = rpctest.Query(e, "Echo", "Text", "<&>", "Flag", "false", "Optional", "false", "Number", "-7", "Fraction", "0.5",
		"Bytes", "AQI=", "Names.member.1", "a", "Names.member.2", "b", "Item.1.KeyId", "k", "Item.1.Value", "0", "Item.2.KeyId", "l",
		"map.entry.1.key", "A", "map.entry.1.value", "1", "map.entry.2.key", "B", "Pair.1.Name", "n", "Pair.1.Value", "v",
		"Inner.KeyId", "i", "Secret", "s", "Hidden", "h")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, call.Record.RequestParameters); diff != "" {
		t.Error("the query's record:\n", diff)
	}
	xml := `<EchoResponse xmlns="http://echo/"><EchoResult><Text>&lt;&amp;&gt;</Text><Flag>false</Flag><Optional>false</Optional><Number>-7</Number>` +
		`<Fraction>0.5</Fraction><Bytes>AQI=</Bytes><Names><member>a</member><member>b</member></Names><Item><KeyId>k</KeyId><Value>0</Value></Item>` +
		`<Item><KeyId>l</KeyId></Item><map><entry><key>A</key><value>1</value></entry><entry><key>B</key><value></value></entry></map>` +
		`<Pair><Name>n</Name><Value>v</Value></Pair><Inner><KeyId>i</KeyId></Inner><Secret>s</Secret><Hidden>h</Hidden></EchoResult>`
	if !strings.HasPrefix(got, xml) {
		t.Error(cmp.Diff(xml, got))
	}

	body := string(cbor.Encode(cbor.Map{"Text": cbor.String("t"), "Number": cbor.NegInt(7), "Fraction": cbor.Float64(1), "Bytes": cbor.Slice{1, 2},
		"Names": cbor.List{cbor.String("a")}, "Flag": cbor.Bool(true), "Inner": cbor.Map{"KeyId": cbor.String("i"), "Value": cbor.Uint(3)}}))
	_, got, err = rpctest.CBOR(e, "Echo", body)
	if err != nil {
		t.Fatal(err)
	}
	v, err := cbor.Decode([]byte(got))
	answered := cbor.Map{"Text": cbor.String("t"), "Number": cbor.NegInt(7), "Fraction": cbor.Float64(1), "Bytes": cbor.Slice{1, 2},
		"Names": cbor.List{cbor.String("a")}, "Flag": cbor.Bool(true), "Inner": cbor.Map{"KeyId": cbor.String("i"), "Value": cbor.Uint(3)}}
	if diff := cmp.Diff(cbor.Value(answered), v); diff != "" || err != nil {
		t.Errorf("CBOR: %v\n%s", err, diff)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	e := newEcho()
	for _, body := range []string{`{`, `[]`, `{"Number":"x"}`, `{"Bytes":"?"}`} {
		if _, _, err := rpctest.JSON(e, "Echo", body); err == nil || !strings.HasPrefix(err.Error(), "SerializationException") {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, p := range [][2]string{{"Number", "x"}, {"Flag", "x"}, {"Fraction", "x"}, {"Bytes", "?"}, {"When", "x"}} {
		if _, _, err := rpctest.Query(e, "Echo", p[0], p[1]); err == nil || !strings.HasPrefix(err.Error(), "SerializationException") {
			t.Errorf("%v: %v", p, err)
		}
	}
	if _, _, err := rpctest.CBOR(e, "Echo", "\xff"); err == nil {
		t.Error("broken CBOR was read")
	}
	if _, _, err := rpctest.JSON(e, "Other", `{}`); err == nil {
		t.Error("an unknown operation was served")
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, 11, 23, 22, 38, 27, 250_000_000, time.UTC)
	e := newEcho()
	e.Operations["Echo"] = rpc.Op(func(*awsapi.Call, *struct{}) (any, error) { return &struct{ When time.Time }{at}, nil })
	call, got, err := rpctest.JSON(e, "Echo", `{}`)
	if err != nil || got != `{"When":1795473507.25}` {
		t.Errorf("JSON: %s, %v", got, err)
	}
	if diff := cmp.Diff(map[string]any{"when": "Nov 23, 2026, 10:38:27 PM"}, call.Record.ResponseElements); diff != "" {
		t.Error(diff)
	}
	if _, got, err := rpctest.Query(e, "Echo"); err != nil || !strings.Contains(got, "<When>2026-11-23T22:38:27.250Z</When>") {
		t.Errorf("XML: %s, %v", got, err)
	}
	_, got, err = rpctest.CBOR(e, "Echo", "")
	if err != nil {
		t.Fatal(err)
	}
	v, err := cbor.Decode([]byte(got))
	if diff := cmp.Diff(cbor.Value(cbor.Map{"When": &cbor.Tag{ID: 1, Value: cbor.Float64(1795473507.25)}}), v); diff != "" || err != nil {
		t.Errorf("CBOR: %v\n%s", err, diff)
	}
}

// FuzzInput: whatever the bytes, the call is answered or refused, and what is answered in JSON is JSON that comes back
// the same.
func FuzzInput(f *testing.F) {
	f.Add(0, asJSON)
	f.Add(1, "Action=Echo&Names.member.1=a&map.entry.1.key=k&Item.1.Value=1&Pair.1.Name=n")
	f.Add(2, string(cbor.Encode(cbor.Map{"Fraction": cbor.Float64(math.Inf(1)), "Text": cbor.String("x")})))
	f.Fuzz(func(t *testing.T, protocol int, body string) {
		e := newEcho()
		r := httptest.NewRequest(http.MethodPost, "/service/S/operation/Echo", strings.NewReader(body))
		switch protocol % 3 {
		case 0:
			r.Header.Set("X-Amz-Target", "S.Echo")
		case 1:
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		default:
			r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		}
		c, resp, err := rpctest.Call(e, r, body)
		if err != nil {
			return
		}
		if _, err := json.Marshal(c.Record.RequestParameters); err != nil {
			t.Errorf("the record can't be written: %v", err)
		}
		if protocol%3 != 0 {
			return
		}
		_, again, err := rpctest.JSON(e, "Echo", string(resp.Body))
		if err != nil || again != string(resp.Body) {
			t.Errorf("%s came back as %s, %v", resp.Body, again, err)
		}
	})
}
