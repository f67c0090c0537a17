package lake_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/lake"
)

// full is a record with every documented member.
const full = `{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROA:s","arn":"arn:aws:sts::111122223333:assumed-role/app/s",
"accountId":"111122223333","accessKeyId":"ASIA","userName":"app","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA",
"arn":"arn:aws:iam::111122223333:role/app","accountId":"111122223333","userName":"app"},"webIdFederationData":{"federatedProvider":"p","attributes":{"a":"b"}},
"attributes":{"creationDate":"2026-11-20T10:00:00Z","mfaAuthenticated":"true"},"sourceIdentity":"ana","ec2RoleDelivery":"2.0","ec2IssuedInVpc":"vpc-1",
"assumedRoot":"true"},"invokedBy":"q.amazonaws.com","identityProvider":"idp","onBehalfOf":{"userId":"u","identityStoreArn":"arn:aws:identitystore::111122223333:identitystore/d"},
"credentialId":"c","inScopeOf":{"issuerType":"AWS::Lambda::Function"}},"eventTime":"2026-11-20T12:00:00Z","eventSource":"bedrock.amazonaws.com",
"eventName":"Converse","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1","userAgent":"aws-cli/2","errorCode":"ThrottlingException","errorMessage":"slow \"down\" ü",
"requestParameters":{"modelId":"m","a":[1,2.50,1e3]},"responseElements":{"x":null},"additionalEventData":{"inputTokens":3},"requestID":"r",
"eventID":"0f9b3a4c-1111-4222-8333-444455556666","readOnly":true,"resources":[{"accountId":"111122223333","type":"AWS::Bedrock::Model","ARN":"arn:aws:bedrock:us-east-1::foundation-model/m"},
{"type":"T"}],"eventType":"AwsApiCall","apiVersion":"2023","managementEvent":true,"recipientAccountId":"111122223333","sharedEventID":"0f9b3a4c-0000-4222-8333-444455556666",
"vpcEndpointId":"vpce-1","vpcEndpointAccountId":"111122223333","serviceEventDetails":{"a":1},"addendum":{"reason":"UPDATED_DATA"},"edgeDeviceDetails":{"d":1},
"insightDetails":{"state":"Start"},"eventContext":{"t":1},"eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"c",
"clientProvidedHostHeader":"h"},"sessionCredentialFromConsole":"true","annotation":"unknown","zzz":{"deep":[{}]}}`

// odd are records that a row must give back although they aren't as documented.
var odd = []string{
	`{}`,
	`{"eventID":"0F9B3A4C-1111-4222-8333-444455556666"}`,
	`{"eventID":"00000000-0000-0000-0000-000000000000"}`,
	`{"eventID":"","eventName":null}`,
	`{"eventID":17,"recipientAccountId":5}`,
	`{"eventID":"a\"\\\u0001b<>&é","x":1}`,
	`{"eventID":"x","EventID":"y"}`,
	`{"eventTime":"1970-01-01T00:00:00Z","eventID":"0f9b3a4c-1111-4222-8333-444455556666"}`,
	`{"eventTime":"1969-12-31T23:59:59Z"}`,
	`{"eventTime":"0001-01-01T00:00:00Z"}`,
	`{"eventTime":"9999-12-31T23:59:59Z"}`,
	`{"eventTime":"2026-11-20T12:00:00.123456789Z"}`,
	`{"eventTime":"2026-11-20T12:00:00+02:00"}`,
	`{"eventTime":1700000000}`,
	`{"eventTime":"yesterday"}`,
	`{"resources":[]}`,
	`{"resources":null,"tlsDetails":{},"userIdentity":{}}`,
	`{"resources":[{},{"ARNPrefix":"p"}]}`,
	`{"userIdentity":{"sessionContext":{}}}`,
	`{"userIdentity":{"sessionContext":{"attributes":{},"sessionIssuer":{},"webIdFederationData":{}},"onBehalfOf":{}}}`,
	`{"userIdentity":{"sessionContext":{"attributes":{"creationDate":"1970-01-01T00:00:00Z","mfaAuthenticated":""}}}}`,
	`{"userIdentity":{"sessionContext":{"attributes":{"creationDate":"soon"}}}}`,
	`{"userIdentity":"HIDDEN_DUE_TO_SECURITY_REASONS"}`,
	`{"requestParameters":"HIDDEN","responseElements":"***","additionalEventData":[1],"serviceEventDetails":0}`,
	`{"readOnly":"true","managementEvent":null}`,
	`{"readOnly":false,"managementEvent":false}`,
	`{"errorMessage":"` + strings.Repeat("x", 300<<10) + `"}`,
	"{\"userAgent\":\"\xff\xfe\",\"eventID\":\"\xc0\"}",
	`{"userAgent":"a\u0000b","errorMessage":"\ud83d\ude00 \ud800"}`,
}

// roundTrip puts records into a lake and compares what it gives back.
func roundTrip(t *testing.T, records []string) {
	t.Helper()
	l := create(t, t.TempDir())
	r := commit(t, l, logFile{"file:///x", records})
	if r.Events != int64(len(records)) {
		t.Fatalf("%d of %d records committed", r.Events, len(records))
	}
	seen := make([]bool, len(records))
	for _, s := range stored(t, l, lake.EventFilter{}) {
		if seen[s.Index] {
			t.Errorf("record %d is there twice", s.Index)
		}
		seen[s.Index] = true
		sameJSON(t, string(s.Event.AppendJSON(nil)), records[s.Index])
		if call := lake.Normalize(&s.Event); call != s.Call {
			t.Errorf("normal form of record %d is %+v, was %+v", s.Index, call, s.Call)
		}
	}
	for i, ok := range seen {
		if !ok {
			t.Errorf("record %d isn't there: %s", i, records[i])
		}
	}
}

func TestRowsAreLossless(t *testing.T) {
	roundTrip(t, append([]string{full}, odd...))
}

// TestRowsAreLosslessAtRandom makes records of members of full and odd, and changes their values.
func TestRowsAreLosslessAtRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var pool []map[string]json.RawMessage
	for _, r := range append([]string{full}, odd...) {
		if len(r) > 100<<10 {
			continue
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(r), &members); err != nil {
			t.Fatal(err)
		}
		pool = append(pool, members)
	}
	values := []string{`null`, `""`, `"x"`, `0`, `{}`, `[]`, `true`, `{"a":{"b":[null]}}`, `"2026-11-20T12:00:00Z"`, `[{"type":"T","ARN":"a"}]`}
	var records []string
	for n := range 3000 {
		record := map[string]json.RawMessage{}
		for range 1 + rnd.IntN(4) {
			for name, v := range pool[rnd.IntN(len(pool))] {
				if rnd.IntN(3) > 0 {
					record[name] = v
				}
				if rnd.IntN(12) == 0 {
					record[name] = json.RawMessage(values[rnd.IntN(len(values))])
				}
			}
		}
		if rnd.IntN(4) > 0 {
			record["eventID"] = json.RawMessage(fmt.Sprintf(`"0f9b3a4c-1111-4222-8333-%012x"`, n))
		} else {
			record["eventID"] = json.RawMessage(fmt.Sprintf(`"odd %d"`, n))
		}
		b, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, string(b))
	}
	roundTrip(t, records)
}

func TestRealRecordsAreLossless(t *testing.T) {
	const dir = "../../../shared/data/real-trail"
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skipf("no log files in %s", dir)
	}
	var records []string
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Records []json.RawMessage }
		if err := json.Unmarshal(b, &file); err != nil {
			t.Fatal(err)
		}
		for _, r := range file.Records {
			records = append(records, string(r))
		}
	}
	roundTrip(t, records)
}
