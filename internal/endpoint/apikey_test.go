package endpoint_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/aitrail/aitrail/internal/endpoint"
)

// invoke calls a model with a bearer token.
func (b *bench) invoke(t *testing.T, token string) (int, string) {
	t.Helper()
	resp, body := do(t, "POST", b.url+"/model/anthropic.claude-3-haiku-20240307-v1:0/invoke",
		`{"anthropic_version":"bedrock-2023-05-31","max_tokens":20,"messages":[{"role":"user","content":"hi"}]}`,
		"Authorization", "Bearer "+token, "Content-Type", "application/json")
	return resp.StatusCode, resp.Header.Get("X-Amzn-Errortype") + body
}

func TestLongTermAPIKey(t *testing.T) {
	now := &clock{t: time.Now()}
	b := open(t, endpoint.Options{Now: now.now})
	b.user(t, "BedrockAPIKey-x1", allow("bedrock:InvokeModel", "bedrock:CallWithBearerToken"))
	c := iam.NewFromConfig(b.root)
	in := &iam.CreateServiceSpecificCredentialInput{UserName: aws.String("BedrockAPIKey-x1"), ServiceName: aws.String("bedrock.amazonaws.com"), CredentialAgeDays: aws.Int32(30)}
	out, err := c.CreateServiceSpecificCredential(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	credential := out.ServiceSpecificCredential
	key := *credential.ServiceCredentialSecret
	inside, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "ABSK"))
	if err != nil || !strings.HasPrefix(string(inside), "BedrockAPIKey-x1-at-111122223333:") || *credential.ServiceCredentialAlias != "BedrockAPIKey-x1-at-111122223333" {
		t.Errorf("the key's form: %q, %v, alias %q", inside, err, *credential.ServiceCredentialAlias)
	}
	e := b.last(t, "CreateServiceSpecificCredential")
	if strings.Contains(string(e.ResponseElements), key) || !strings.Contains(string(e.ResponseElements), *credential.ServiceSpecificCredentialId) {
		t.Errorf("responseElements: %s", e.ResponseElements)
	}

	if status, body := b.invoke(t, key); status != 200 {
		t.Fatalf("with the key: %d %s", status, body)
	}
	e = b.last(t, "InvokeModel")
	if u := e.UserIdentity; u.Type != "IAMUser" || u.UserName != "BedrockAPIKey-x1" || u.AccessKeyID != "" || u.CredentialID != *credential.ServiceSpecificCredentialId {
		t.Errorf("userIdentity: %+v", u)
	}
	if object(t, e.AdditionalEventData)["callWithBearerToken"] != true {
		t.Errorf("additionalEventData: %s", e.AdditionalEventData)
	}
	if status, body := b.invoke(t, key+"x"); status != 403 || !strings.HasPrefix(body, "UnrecognizedClientException") {
		t.Errorf("with another key: %d %s", status, body)
	}
	status := func(s iamtypes.StatusType) {
		in := &iam.UpdateServiceSpecificCredentialInput{UserName: in.UserName, ServiceSpecificCredentialId: credential.ServiceSpecificCredentialId, Status: s}
		if _, err := c.UpdateServiceSpecificCredential(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	status(iamtypes.StatusTypeInactive)
	if status, body := b.invoke(t, key); status != 403 {
		t.Errorf("with an inactive key: %d %s", status, body)
	}
	status(iamtypes.StatusTypeActive)
	now.add(31 * 24 * time.Hour)
	if status, body := b.invoke(t, key); status != 403 || !strings.HasPrefix(body, "ExpiredTokenException") {
		t.Errorf("with an expired key: %d %s", status, body)
	}
}

func TestShortTermAPIKey(t *testing.T) {
	b := open(t, endpoint.Options{})
	ci := b.user(t, "ci", allow("bedrock:InvokeModel", "bedrock:CallWithBearerToken"))
	creds, err := ci.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := func(action string, at time.Time) string {
		r, err := http.NewRequest("POST", "https://bedrock.amazonaws.com/?X-Amz-Expires=3600&Action="+action, nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, _, err := v4.NewSigner().PresignHTTP(context.Background(), creds, r, hexHash(nil), "bedrock", "eu-west-1", at)
		if err != nil {
			t.Fatal(err)
		}
		return "bedrock-api-key-" + base64.StdEncoding.EncodeToString([]byte(strings.TrimPrefix(signed, "https://")+"&Version=1"))
	}
	if status, body := b.invoke(t, key("CallWithBearerToken", time.Now())); status != 200 {
		t.Fatalf("with the key: %d %s", status, body)
	}
	if e := b.last(t, "InvokeModel"); e.AWSRegion != "eu-west-1" || e.UserIdentity.UserName != "ci" || e.UserIdentity.AccessKeyID != creds.AccessKeyID {
		t.Errorf("the record: %s %+v", e.AWSRegion, e.UserIdentity)
	}
	for name, token := range map[string]string{
		"another action": key("GetCallerIdentity", time.Now()),
		"too old":        key("CallWithBearerToken", time.Now().Add(-2*time.Hour)),
		"no base64":      "bedrock-api-key-%",
		"no URL":         "bedrock-api-key-" + base64.StdEncoding.EncodeToString([]byte("\x7f")),
		"unsigned":       "bedrock-api-key-" + base64.StdEncoding.EncodeToString([]byte("bedrock.amazonaws.com/?Action=CallWithBearerToken&Version=1")),
	} {
		if status, body := b.invoke(t, token); status != 403 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

func TestBearerRegionComesFromTheHost(t *testing.T) {
	b := open(t, endpoint.Options{})
	b.user(t, "ci", allow("bedrock:*"))
	out, err := iam.NewFromConfig(b.root).CreateServiceSpecificCredential(t.Context(), &iam.CreateServiceSpecificCredentialInput{UserName: aws.String("ci"), ServiceName: aws.String("bedrock.amazonaws.com")})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"bedrock-runtime.eu-west-3.amazonaws.com": "eu-west-3", "127.0.0.1:4588": "us-east-1"} {
		r, err := http.NewRequest("POST", b.url+"/model/anthropic.claude-3-haiku-20240307-v1:0/invoke", strings.NewReader(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":20,"messages":[{"role":"user","content":"hi"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("Authorization", "Bearer "+*out.ServiceSpecificCredential.ServiceCredentialSecret)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if e := b.last(t, "InvokeModel"); e.AWSRegion != want || resp.StatusCode != 200 {
			t.Errorf("%s: %d in %s", host, resp.StatusCode, e.AWSRegion)
		}
	}
}
