package cloudtrail_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

func TestKeys(t *testing.T) {
	minute := time.Date(2026, 11, 23, 7, 35, 0, 0, time.UTC)
	second := time.Date(2026, 11, 23, 8, 0, 12, 0, time.UTC)
	for key, want := range map[string]cloudtrail.Key{
		"AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/23/111122223333_CloudTrail_us-east-1_20261123T0735Z_WMiHxZgr5Hdd6UDc.json.gz": {
			Account: "111122223333", Kind: cloudtrail.KindLog, Region: "us-east-1", Time: minute, Unique: "WMiHxZgr5Hdd6UDc"},
		"a/b/AWSLogs/o-exampleorgid/111122223333/CloudTrail/eu-west-3/2026/11/23/111122223333_CloudTrail_eu-west-3_20261123T0735Z_x9kHmzMa7cx6l9wM.json.gz": {
			Prefix: "a/b", Organization: "o-exampleorgid", Account: "111122223333", Kind: cloudtrail.KindLog, Region: "eu-west-3", Time: minute, Unique: "x9kHmzMa7cx6l9wM"},
		"cloudtrail/AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/11/23/111122223333_CloudTrail-Digest_us-east-1_my_trail_eu-west-1_20261123T080012Z.json.gz": {
			Prefix: "cloudtrail", Account: "111122223333", Kind: cloudtrail.KindDigest, Region: "us-east-1", Time: second, Trail: "my_trail", HomeRegion: "eu-west-1"},
		"AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/11/23/111122223333_CloudTrail-Digest_us-east-1_t_us-east-1_20261123T080012Z_backfill.json.gz": {
			Account: "111122223333", Kind: cloudtrail.KindDigest, Region: "us-east-1", Time: second, Trail: "t", HomeRegion: "us-east-1", Backfill: true},
		"AWSLogs/111122223333/CloudTrail-Insight/us-east-1/2026/11/23/111122223333_CloudTrail-Insight_us-east-1_20261123T0735Z_LyF8ZVvQwLk2xGhP.json.gz": {
			Account: "111122223333", Kind: cloudtrail.KindInsight, Region: "us-east-1", Time: minute, Unique: "LyF8ZVvQwLk2xGhP"},
		"AWSLogs/111122223333/CloudTrail-NetworkActivity/us-east-1/2026/11/23/111122223333_CloudTrail-NetworkActivity_us-east-1_20261123T0735Z_LyF8ZVvQwLk2xGhP.json.gz": {
			Account: "111122223333", Kind: cloudtrail.KindNetworkActivity, Region: "us-east-1", Time: minute, Unique: "LyF8ZVvQwLk2xGhP"},
		"AWSLogs/111122223333/CloudTrail-Aggregated/us-east-1/2026/11/23/111122223333_CloudTrail-Aggregated_us-east-1_20261123T0735Z_LyF8ZVvQwLk2xGhP.json": {
			Account: "111122223333", Kind: cloudtrail.KindAggregated, Region: "us-east-1", Time: minute, Unique: "LyF8ZVvQwLk2xGhP", Plain: true},
	} {
		got, ok := cloudtrail.ParseKey(key)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("ParseKey(%q): %v\n-want +got:\n%s", key, ok, diff)
		}
		if got.String() != key {
			t.Errorf("%q\nbecame %q", key, got.String())
		}
		bare, ok := cloudtrail.ParseKey(want.Name())
		want.Prefix, want.Organization = "", ""
		if diff := cmp.Diff(want, bare); !ok || diff != "" {
			t.Errorf("ParseKey(%q): %v\n-want +got:\n%s", want.Name(), ok, diff)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, key := range []string{
		"", "x.json.gz", "notes.txt", "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/23/",
		"11112222333_CloudTrail_us-east-1_20261123T0735Z_x.json.gz",
		"111122223333_Config_us-east-1_20261123T0735Z_x.json.gz",
		"111122223333_CloudTrail_us-east-1_20261323T0735Z_x.json.gz",
		"111122223333_CloudTrail_us-east-1_20261123T0735Z_.json.gz",
		"111122223333_CloudTrail-Digest_us-east-1_us-east-1_20261123T080012Z.json.gz",
	} {
		if k, ok := cloudtrail.ParseKey(key); ok {
			t.Errorf("ParseKey(%q) = %+v", key, k)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("p/AWSLogs/o-x/111122223333/CloudTrail/us-east-1/2026/11/23/111122223333_CloudTrail_us-east-1_20261123T0735Z_WMiHxZgr5Hdd6UDc.json.gz")
	f.Add("AWSLogs/111122223333_CloudTrail-Digest_us-east-1_my_trail_eu-west-1_20261123T080012Z_backfill.json.gz")
	f.Fuzz(func(t *testing.T, key string) {
		k, ok := cloudtrail.ParseKey(key)
		if !ok {
			return
		}
		if again, ok := cloudtrail.ParseKey(k.String()); !ok || again.Name() != k.Name() {
			t.Errorf("%q is %+v, which is %q, which is %+v", key, k, k.String(), again)
		}
	})
}

func TestActor(t *testing.T) {
	const session = `"sessionContext":{"sessionIssuer":{"type":"Role","userName":"app"}`
	for in, want := range map[string]cloudtrail.Actor{
		`{}`: {"unknown", cloudtrail.ActorUnknown},
		`{"userIdentity":{"type":"Root","arn":"arn:aws:iam::111122223333:root"}}`:                                                               {"root", cloudtrail.ActorRoot},
		`{"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/dev/ana","userName":"ana"}}`:                                   {"ana", cloudtrail.ActorUser},
		`{"userIdentity":{"type":"IAMUser","userName":"ci"},"additionalEventData":{"callWithBearerToken":true}}`:                                {"ci", cloudtrail.ActorAPIKey},
		`{"userIdentity":{"type":"IAMUser","userName":"ci"},"requestParameters":{"callWithBearerToken":true,"bearerTokenType":"ABSK"}}`:         {"ci", cloudtrail.ActorAPIKey},
		`{"userIdentity":{"type":"IAMUser","userName":"ci"},"additionalEventData":{"callWithBearerToken":false}}`:                               {"ci", cloudtrail.ActorUser},
		`{"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/app/i-0123",` + session + `}}}`:                    {"app/i-0123", cloudtrail.ActorRole},
		`{"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/app/i-0123"}}`:                                     {"app/i-0123", cloudtrail.ActorRole},
		`{"userIdentity":{"type":"AssumedRole","principalId":"AROA:i-0123",` + session + `}}}`:                                                  {"app/i-0123", cloudtrail.ActorRole},
		`{"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/app/x",` + session + `,"sourceIdentity":"ana@example.com"}}}`: {"ana@example.com", cloudtrail.ActorRole},
		`{"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_0a/ana@example.com"}}`:                   {"ana@example.com", cloudtrail.ActorFederated},
		`{"userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/gh/run",` + session + `,"webIdFederationData":{"federatedProvider":"arn:x"}}}}`: {
			"app/run", cloudtrail.ActorFederated},
		`{"userIdentity":{"type":"FederatedUser","arn":"arn:aws:sts::111122223333:federated-user/Bo"}}`: {"Bo", cloudtrail.ActorFederated},
		`{"userIdentity":{"type":"IdentityCenterUser","onBehalfOf":{"userId":"u-1"}}}`:                  {"u-1", cloudtrail.ActorFederated},
		`{"userIdentity":{"type":"AWSService","invokedBy":"q.amazonaws.com"}}`:                          {"q.amazonaws.com", cloudtrail.ActorService},
		`{"userIdentity":{"invokedBy":"lambda.amazonaws.com"}}`:                                         {"lambda.amazonaws.com", cloudtrail.ActorService},
		`{"userIdentity":{"type":"AWSAccount","accountId":"444455556666","principalId":"AIDA"}}`:        {"444455556666", cloudtrail.ActorAccount},
		`{"userIdentity":{"type":"AWSAccount","accountId":"anonymous"}}`:                                {"anonymous", cloudtrail.ActorAnonymous},
		`{"userIdentity":{"type":"AWSAccount","accountId":"anonymous"},"additionalEventData":{"jwt":{"claims":{"sub":"user-1"}}}}`: {
			"user-1", cloudtrail.ActorFederated},
		`{"userIdentity":{"type":"Unknown","principalId":"p"}}`: {"p", cloudtrail.ActorUnknown},
	} {
		var e cloudtrail.Event
		if err := e.Decode(in); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if got := e.Actor(); got != want {
			t.Errorf("%s: %v, want %v", in, got, want)
		}
	}
}
