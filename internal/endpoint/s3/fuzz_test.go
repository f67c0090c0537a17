package s3_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	endpoint "github.com/aitrail/aitrail/internal/endpoint/s3"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Whatever is asked, the answer is S3's or an AWS error, and the record can be encoded.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][4]string{
		{"PUT", "/logs", "", ""},
		{"PUT", "/logs?policy", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"arn:aws:s3:::logs"}}`, ""},
		{"PUT", "/logs?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", ""},
		{"PUT", "/logs?lifecycle", "<LifecycleConfiguration><Rule><A/><A>x</A></Rule></LifecycleConfiguration>", ""},
		{"PUT", "/logs/a", "body", "If-None-Match: *"},
		{"PUT", "/logs/b", "", "X-Amz-Copy-Source: logs/a?versionId=null"},
		{"GET", "/logs/a?versionId=null", "", "Range: bytes=1-2"},
		{"GET", "/logs?list-type=2&delimiter=/&max-keys=2&encoding-type=url", "", ""},
		{"GET", "/logs?versions&key-marker=a&version-id-marker=null", "", ""},
		{"POST", "/logs?delete", "<Delete><Object><Key>a</Key></Object></Delete>", ""},
		{"POST", "/logs/a?uploads", "", ""},
		{"PUT", "/logs/a?uploadId=x&partNumber=1", "x", ""},
		{"POST", "/logs/a?uploadId=x", "<CompleteMultipartUpload/>", ""},
		{"PUT", "/logs/a?tagging", "<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>", ""},
		{"DELETE", "/logs/a", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	dir := f.TempDir()
	st, err := state.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		f.Fatal(err)
	}
	s, err := endpoint.Open(endpoint.Options{Dir: dir, State: st, Account: account})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		s.Close()
		st.Close()
	})
	f.Fuzz(func(t *testing.T, method, target, body, header string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") {
			t.Skip("no request line")
		}
		r := (&http.Request{Method: method, URL: u, Header: http.Header{}}).WithContext(t.Context())
		if name, value, ok := strings.Cut(header, ": "); ok {
			r.Header.Set(name, value)
		}
		c := &awsapi.Call{
			Request: r, Body: []byte(body), ID: "id", Time: time.Now(), Account: account, Region: "us-east-1", Signing: "s3",
			Caller: &awsapi.Identity{Kind: awsapi.Root, Account: account, ARN: "arn:aws:iam::111122223333:root"},
		}
		var ok bool
		if c.Operation, _, ok = s.Route(r, c.Body); !ok {
			return
		}
		s.Describe(c)
		if len(s.Access(c)) == 0 {
			t.Errorf("%s asks for nothing to be allowed", c.Operation)
		}
		s.Conditions(c)
		_, err = s.Serve(c)
		var refusal *awsapi.Error
		if err != nil && !errors.As(err, &refusal) {
			t.Errorf("%s: %v", c.Operation, err)
		}
		for _, v := range []any{c.Record.RequestParameters, c.Record.ResponseElements, c.Record.AdditionalEventData} {
			if _, err := json.Marshal(v); err != nil {
				t.Errorf("%s: the record can't be encoded: %v", c.Operation, err)
			}
		}
	})
}
