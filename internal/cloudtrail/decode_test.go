package cloudtrail_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

const record = `{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:app","arn":"arn:aws:sts::111122223333:assumed-role/app/app",
"accountId":"111122223333","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLE","arn":"arn:aws:iam::111122223333:role/app",
"accountId":"111122223333","userName":"app"},"webIdFederationData":{},"attributes":{"creationDate":"2026-11-23T07:00:00Z","mfaAuthenticated":"false"}}},
"eventTime":"2026-11-23T07:30:00Z","eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1",
"userAgent":"aws-cli/2","requestParameters":{"modelId":"anthropic.claude-3-sonnet-20240229-v1:0"},"responseElements":null,"additionalEventData":{"inferenceRegion":"us-west-2"},
"requestID":"021634af-f7c2-48a2-b140-98f50d47ede9","eventID":"51d580ea-04f5-421c-b733-b5e4ec485a6e","readOnly":true,
"resources":[{"accountId":"111122223333","type":"AWS::Bedrock::Model","ARN":"arn:aws:bedrock:us-east-1::foundation-model/x"}],"eventType":"AwsApiCall",
"managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256",
"clientProvidedHostHeader":"bedrock-runtime.us-east-1.amazonaws.com"}}`

func TestDecode(t *testing.T) {
	var e cloudtrail.Event
	if err := e.Decode(record); err != nil {
		t.Fatal(err)
	}
	want := cloudtrail.Event{
		EventVersion: "1.11",
		UserIdentity: &cloudtrail.UserIdentity{
			Type: "AssumedRole", PrincipalID: "AROAEXAMPLE:app", ARN: "arn:aws:sts::111122223333:assumed-role/app/app",
			AccountID: "111122223333", AccessKeyID: "ASIAEXAMPLE",
			SessionContext: &cloudtrail.SessionContext{
				SessionIssuer:       &cloudtrail.SessionIssuer{Type: "Role", PrincipalID: "AROAEXAMPLE", ARN: "arn:aws:iam::111122223333:role/app", AccountID: "111122223333", UserName: "app"},
				WebIDFederationData: "{}",
				Attributes:          &cloudtrail.SessionAttributes{CreationDate: time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC), MFAAuthenticated: "false"},
			},
		},
		EventTime: time.Date(2026, 11, 23, 7, 30, 0, 0, time.UTC), EventSource: "bedrock.amazonaws.com", EventName: "InvokeModel",
		AWSRegion: "us-east-1", SourceIPAddress: "192.0.2.1", UserAgent: "aws-cli/2",
		RequestParameters:   `{"modelId":"anthropic.claude-3-sonnet-20240229-v1:0"}`,
		AdditionalEventData: `{"inferenceRegion":"us-west-2"}`,
		RequestID:           "021634af-f7c2-48a2-b140-98f50d47ede9", EventID: "51d580ea-04f5-421c-b733-b5e4ec485a6e",
		ReadOnly: cloudtrail.True, ManagementEvent: cloudtrail.True,
		Resources: []cloudtrail.Resource{{AccountID: "111122223333", Type: "AWS::Bedrock::Model", ARN: "arn:aws:bedrock:us-east-1::foundation-model/x"}},
		EventType: "AwsApiCall", RecipientAccountID: "111122223333", EventCategory: "Management",
		TLSDetails: &cloudtrail.TLSDetails{TLSVersion: "TLSv1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", ClientProvidedHostHeader: "bedrock-runtime.us-east-1.amazonaws.com"},
		Extra:      `{"responseElements":null}`,
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// odd are records with members that no field can hold as they stand.
var odd = []string{
	`{}`,
	`{"eventTime":"2026-11-23T07:30:00.123Z"}`,
	`{"eventTime":"2026-11-23T07:30:00+01:00","eventID":""}`,
	`{"eventTime":"yesterday"}`,
	`{"eventTime":"0001-01-01T00:00:00Z"}`,
	`{"eventTime":"2026-02-30T00:00:00Z"}`,
	`{"eventTime":1700000000}`,
	`{"readOnly":"true","managementEvent":null}`,
	`{"requestParameters":"HIDDEN_DUE_TO_SECURITY_REASONS","responseElements":null,"additionalEventData":[1,2.50,1e3,-0]}`,
	`{"userIdentity":"anonymous"}`,
	`{"userIdentity":{}}`,
	`{"userIdentity":{"type":"IAMUser","userName":"","new":{"a":[]}}}`,
	`{"userIdentity":{"sessionContext":{"attributes":{"creationDate":"2026-11-23T07:00:00.5Z","mfaAuthenticated":false}}}}`,
	`{"userIdentity":{"type":"a","type":"b"}}`,
	`{"userIdentity":{"sessionContext":null,"onBehalfOf":{"userId":"u","identityStoreArn":"arn"},"inScopeOf":{"issuerType":"x"}}}`,
	`{"resources":[]}`, `{"resources":null}`, `{"resources":[null]}`, `{"resources":[{}]}`,
	`{"resources":[{"ARN":"a","ARNPrefix":"b","accountId":null}]}`,
	`{"tlsDetails":{"tlsVersion":"TLSv1.2","keyExchange":"x"}}`,
	`{"eventName":"a","eventName":"b"}`, `{"eventName":"a","eventName":null}`, `{"eventName":null,"eventName":"b"}`,
	`{"zzz":1,"zzz":2}`,
	`{"eventname":"not eventName","\u0065ventName":"escaped name"}`,
	`{"errorMessage":"quotes \" back\\slash \u00e9 \ud83d\ude00 \ud800 \n\t\u0000 <&>"}`,
	"{\"userAgent\":\"bad \xff\xfe utf8\",\"requestParameters\":{\"k\":\"\xc3\"}}",
	"  {\n\t\"eventVersion\" : \"1.08\" ,\r\n \"requestParameters\" : { \"a\" : 1 } , \"zzz\" : [ true , null ] }  ",
}

func TestEncodingLosesNothing(t *testing.T) {
	for _, in := range append(odd, record) {
		checkRoundTrip(t, in)
	}
}

// checkRoundTrip decodes and encodes a record and compares the JSON values.
func checkRoundTrip(t *testing.T, in string) {
	t.Helper()
	var e cloudtrail.Event
	if err := e.Decode(in); err != nil {
		t.Errorf("decoding %s: %v", in, err)
		return
	}
	out := e.AppendJSON(nil)
	if diff := cmp.Diff(jsonValue(t, []byte(in)), jsonValue(t, out)); diff != "" {
		t.Errorf("record %q\nencoded %q\n-want +got:\n%s", in, out, diff)
	}
	var again cloudtrail.Event
	if err := again.Decode(string(out)); err != nil {
		t.Errorf("decoding what was encoded, %s: %v", out, err)
	}
}

func jsonValue(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Errorf("%q is no JSON: %v", text, err)
	}
	return v
}

func TestDecodeRefuses(t *testing.T) {
	for in, offset := range map[string]int64{
		``: 0, `[]`: 0, `{`: 1, `{"a"}`: 4, `{"a":1,}`: 7, `{"a":01}`: 6, `{"a":1}x`: 7, `{"a":tru}`: 5, `{"a":"` + "\n" + `"}`: 6,
		`{"a":"\x"}`: 7, `{"a":"\u12g4"}`: 10, `{"a":-}`: 6, `{"a":1.}`: 7, `{"a":1e}`: 7, `{"eventTime":}`: 13, `{"userIdentity":{"type":"x"}`: 28,
		`{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`: 205,
	} {
		var e cloudtrail.Event
		err := e.Decode(in)
		var syntax *cloudtrail.SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset != offset {
			t.Errorf("Decode(%.40q) = %v, want a SyntaxError at byte %d", in, err, offset)
		}
		if len(in) < 100 && json.Valid([]byte(in)) && in[0] == '{' {
			t.Errorf("%q is valid", in)
		}
	}
}

func TestRealRecordsLoseNothing(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/real-trail/*.json")
	examples, _ := filepath.Glob("../../../shared/facts/examples/*.json")
	if len(files) == 0 {
		t.Skip("SKIPPED: no real log files beside the repository (../shared/data/real-trail)")
	}
	n := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Records []json.RawMessage }
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		for _, r := range file.Records {
			checkRoundTrip(t, string(r))
			n++
		}
	}
	for _, f := range examples {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		checkRoundTrip(t, string(data))
	}
	t.Logf("%d records of %d files, %d examples", n, len(files), len(examples))
}

func FuzzDecode(f *testing.F) {
	for _, s := range append(odd, record) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var e cloudtrail.Event
		err := e.Decode(in)
		d := json.NewDecoder(strings.NewReader(in))
		d.UseNumber()
		var v map[string]any
		valid := json.Valid([]byte(in)) && d.Decode(&v) == nil && v != nil
		if err == nil && !valid {
			t.Fatalf("decoded %q, which encoding/json refuses", in)
		}
		if err != nil {
			if valid && !strings.Contains(err.Error(), "deep") {
				t.Fatalf("%q: %v, but encoding/json takes it", in, err)
			}
			return
		}
		checkRoundTrip(t, in)
		e.Actor()
	})
}

func BenchmarkDecode(b *testing.B) {
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	var e cloudtrail.Event
	for b.Loop() {
		if err := e.Decode(record); err != nil {
			b.Fatal(err)
		}
	}
}
