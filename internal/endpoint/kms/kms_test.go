package kms_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/kms"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/rpc/rpctest"
)

const prefix = "arn:aws:kms:us-east-1:111122223333:"

type world struct {
	t *testing.T
	*kms.Service
	now  time.Time
	last *awsapi.Call
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	w.Service = kms.New(kms.Options{Account: rpctest.Account, State: rpctest.State(t), Now: func() time.Time { return w.now }})
	return w
}

// do makes a call that has to succeed, and returns its answer.
func (w *world) do(operation, body string) map[string]any {
	w.t.Helper()
	call, got, err := rpctest.JSON(w, operation, body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", operation, body, err)
	}
	w.last = call
	var out map[string]any
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		w.t.Fatalf("%s: %s: %v", operation, got, err)
	}
	return out
}

func (w *world) refused(code, operation, body string) {
	w.t.Helper()
	_, got, err := rpctest.JSON(w, operation, body)
	var e *awsapi.Error
	if !errors.As(err, &e) || e.Code != code {
		w.t.Errorf("%s %s: %s, %v; want %s", operation, body, got, err, code)
	}
}

func (w *world) createKey(more string) string {
	w.t.Helper()
	m, _ := w.do("CreateKey", `{`+more+`}`)["KeyMetadata"].(map[string]any)
	id, _ := m["KeyId"].(string)
	return id
}

func TestKeyLife(t *testing.T) {
	w := newWorld(t)
	id := w.createKey(`"Description":"d","Tags":[{"TagKey":"a","TagValue":"b"}]`)
	if r := w.last.Record; len(r.Resources) != 1 || r.Resources[0].ARN != prefix+"key/"+id || r.Resources[0].Type != "AWS::KMS::Key" {
		t.Errorf("%+v", r.Resources)
	}
	key := `{"KeyId":"` + id + `"`
	about := func() map[string]any {
		m, _ := w.do("DescribeKey", `{"KeyId":"`+prefix+`key/`+id+`"}`)["KeyMetadata"].(map[string]any)
		return m
	}
	want := map[string]any{
		"AWSAccountId": "111122223333", "KeyId": id, "Arn": prefix + "key/" + id, "CreationDate": 1795424400.0, "Enabled": true,
		"Description": "d", "KeyUsage": "ENCRYPT_DECRYPT", "KeyState": "Enabled", "Origin": "AWS_KMS", "KeyManager": "CUSTOMER",
		"CustomerMasterKeySpec": "SYMMETRIC_DEFAULT", "KeySpec": "SYMMETRIC_DEFAULT", "EncryptionAlgorithms": []any{"SYMMETRIC_DEFAULT"}, "MultiRegion": false,
	}
	if diff := cmp.Diff(want, about()); diff != "" {
		t.Error(diff)
	}
	if got := w.do("GetKeyRotationStatus", key+`}`); got["KeyRotationEnabled"] != false {
		t.Error(got)
	}
	w.refused("ValidationException", "EnableKeyRotation", key+`,"RotationPeriodInDays":89}`)
	w.do("EnableKeyRotation", key+`}`)
	w.now = w.now.AddDate(0, 0, 366)
	if got := w.do("GetKeyRotationStatus", key+`}`); got["KeyRotationEnabled"] != true || got["NextRotationDate"] != 1795424400.0+730*86400 {
		t.Error(got)
	}
	w.do("DisableKeyRotation", key+`}`)
	w.do("UpdateKeyDescription", key+`,"Description":"e"}`)
	w.do("TagResource", key+`,"Tags":[{"TagKey":"c","TagValue":"d"},{"TagKey":"a","TagValue":"x"}]}`)
	w.do("UntagResource", key+`,"TagKeys":["c"]}`)
	if diff := cmp.Diff(map[string]any{"Tags": []any{map[string]any{"TagKey": "a", "TagValue": "x"}}, "Truncated": false}, w.do("ListResourceTags", key+`}`)); diff != "" {
		t.Error(diff)
	}
	w.do("DisableKey", key+`}`)
	w.refused("DisabledException", "Encrypt", key+`,"Plaintext":"eA=="}`)
	w.do("EnableKey", key+`}`)

	w.refused("ValidationException", "ScheduleKeyDeletion", key+`,"PendingWindowInDays":6}`)
	w.do("ScheduleKeyDeletion", key+`,"PendingWindowInDays":7}`)
	if got := about(); got["KeyState"] != "PendingDeletion" || got["Enabled"] != false {
		t.Error(got)
	}
	w.refused("KMSInvalidStateException", "EnableKey", key+`}`)
	w.do("CancelKeyDeletion", key+`}`)
	if got := about(); got["KeyState"] != "Disabled" || got["Description"] != "e" {
		t.Error(got)
	}
	w.do("ScheduleKeyDeletion", key+`,"PendingWindowInDays":7}`)
	w.now = w.now.AddDate(0, 0, 8)
	w.refused("NotFoundException", "DescribeKey", key+`}`)
	w.refused("NotFoundException", "CancelKeyDeletion", key+`}`)
	if got := w.do("ListKeys", `{}`); len(got["Keys"].([]any)) != 0 {
		t.Error(got)
	}
	w.refused("UnsupportedOperationException", "CreateKey", `{"KeySpec":"RSA_2048","KeyUsage":"SIGN_VERIFY"}`)
	w.refused("MalformedPolicyDocumentException", "CreateKey", `{"Policy":"{}"}`)
}

func TestAliases(t *testing.T) {
	w := newWorld(t)
	a, b := w.createKey(""), w.createKey("")
	w.do("CreateAlias", `{"AliasName":"alias/x","TargetKeyId":"`+a+`"}`)
	if r := w.last.Record.Resources; len(r) != 2 || r[0].ARN != prefix+"alias/x" || r[1].ARN != prefix+"key/"+a {
		t.Errorf("%+v", r)
	}
	w.refused("AlreadyExistsException", "CreateAlias", `{"AliasName":"alias/x","TargetKeyId":"`+b+`"}`)
	w.refused("NotFoundException", "CreateAlias", `{"AliasName":"alias/y","TargetKeyId":"`+strings.Repeat("0", 36)+`"}`)
	w.refused("InvalidAliasNameException", "CreateAlias", `{"AliasName":"alias/ ","TargetKeyId":"`+a+`"}`)
	w.refused("NotAuthorizedException", "CreateAlias", `{"AliasName":"alias/aws/s3","TargetKeyId":"`+a+`"}`)
	w.do("UpdateAlias", `{"AliasName":"alias/x","TargetKeyId":"`+b+`"}`)
	for _, id := range []string{"alias/x", prefix + "alias/x"} {
		m, _ := w.do("DescribeKey", `{"KeyId":"`+id+`"}`)["KeyMetadata"].(map[string]any)
		if m["KeyId"] != b {
			t.Errorf("%s is %v", id, m)
		}
	}
	list, _ := w.do("ListAliases", `{"KeyId":"`+b+`"}`)["Aliases"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["AliasArn"] != prefix+"alias/x" {
		t.Error(list)
	}
	w.do("DeleteAlias", `{"AliasName":"alias/x"}`)
	w.refused("NotFoundException", "DeleteAlias", `{"AliasName":"alias/x"}`)
	w.refused("NotFoundException", "DescribeKey", `{"KeyId":"alias/x"}`)
}

func TestEncryption(t *testing.T) {
	w := newWorld(t)
	id, other := w.createKey(""), w.createKey("")
	w.do("CreateAlias", `{"AliasName":"alias/x","TargetKeyId":"`+id+`"}`)
	sealed, _ := w.do("Encrypt", `{"KeyId":"alias/x","Plaintext":"aGVsbG8=","EncryptionContext":{"a":"1","b":"2"}}`)["CiphertextBlob"].(string)
	if _, shown := w.last.Record.RequestParameters.(map[string]any)["plaintext"]; shown || w.last.Record.ResponseElements != nil {
		t.Errorf("%+v", w.last.Record)
	}
	w.do("UpdateAlias", `{"AliasName":"alias/x","TargetKeyId":"`+other+`"}`)
	open := func(blob, more string) string { return `{"CiphertextBlob":"` + blob + `"` + more + `}` }
	const context = `,"EncryptionContext":{"b":"2","a":"1"}`
	if got := w.do("Decrypt", open(sealed, context)); got["Plaintext"] != "aGVsbG8=" || got["KeyId"] != prefix+"key/"+id {
		t.Error(got)
	}
	if r := w.last.Record; !r.ReadOnly || len(r.Resources) != 1 || r.Resources[0].ARN != prefix+"key/"+id {
		t.Errorf("%+v", r)
	}
	w.refused("InvalidCiphertextException", "Decrypt", open(sealed, ""))
	w.refused("InvalidCiphertextException", "Decrypt", open(sealed, `,"EncryptionContext":{"a":"1b","":"2"}`))
	w.refused("IncorrectKeyException", "Decrypt", open(sealed, context+`,"KeyId":"`+other+`"`))
	w.refused("InvalidCiphertextException", "Decrypt", open("eA==", ""))
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	w.refused("InvalidCiphertextException", "Decrypt", open(base64.StdEncoding.EncodeToString(raw), context))

	data := w.do("GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`)
	plain, err := base64.StdEncoding.DecodeString(data["Plaintext"].(string))
	if err != nil || len(plain) != 32 {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
	if got := w.do("Decrypt", open(data["CiphertextBlob"].(string), "")); got["Plaintext"] != data["Plaintext"] {
		t.Error("the data key is another")
	}
	if got := w.do("GenerateDataKeyWithoutPlaintext", `{"KeyId":"`+id+`","NumberOfBytes":16}`); got["Plaintext"] != nil {
		t.Error(got)
	}
	w.refused("ValidationException", "GenerateDataKey", `{"KeyId":"`+id+`"}`)
	w.refused("ValidationException", "Encrypt", `{"KeyId":"`+id+`","Plaintext":""}`)
	w.refused("DryRunOperationException", "Encrypt", `{"KeyId":"`+id+`","Plaintext":"eA==","DryRun":true}`)
}

func TestServicesUseAsThePolicySays(t *testing.T) {
	w := newWorld(t)
	document, err := json.Marshal(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},` +
		`{"Effect":"Allow","Principal":{"Service":"logs.us-east-1.amazonaws.com"},"Action":"kms:Encrypt","Resource":"*","Condition":{"ArnLike":{"kms:EncryptionContext:aws:logs:arn":"arn:aws:logs:*:*:log-group:a*"}}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	id := w.createKey(`"Policy":` + string(document))
	use := kms.Use{
		Region: "us-east-1", Key: id, Service: "logs.us-east-1.amazonaws.com", Actions: []string{"kms:Encrypt"},
		EncryptionContext: map[string]string{"aws:logs:arn": "arn:aws:logs:us-east-1:111122223333:log-group:ab"}, Context: policy.Context{},
	}
	if arn, err := w.Use(use); err != nil || arn != prefix+"key/"+id {
		t.Error(arn, err)
	}
	for code, change := range map[string]func(*kms.Use){
		"AccessDeniedException": func(u *kms.Use) { u.Actions = []string{"kms:Encrypt", "kms:Decrypt"} },
		"NotFoundException":     func(u *kms.Use) { u.Region = "eu-west-1" },
		"ValidationException":   func(u *kms.Use) { u.Key = "" },
	} {
		u := use
		change(&u)
		var e *awsapi.Error
		if _, err := w.Use(u); !errors.As(err, &e) || e.Code != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
	use.EncryptionContext = nil
	if _, err := w.Use(use); err == nil {
		t.Error("used without the encryption context")
	}
}
