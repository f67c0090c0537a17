// Package kms is the endpoint's AWS Key Management Service: symmetric keys with aliases, policies, rotation and tags, and
// real encryption under them.
//
// It is not a place for secrets of worth: key material lies in the endpoint's state file as it is. Asymmetric, HMAC and
// multi-Region keys, grants and imported material are refused as unsupported.
//
// What holds:
//   - A key's policy decides. What it neither allows the caller nor leaves to the caller's account is denied, to the root
//     user too; see [Service.ResourcePolicy] and [Service.Sovereign]. Services that use a key for a caller are asked
//     through [Service.Use].
//   - What was encrypted is decrypted with the same key and encryption context only (AES-256-GCM, the context is
//     authenticated), whatever alias it was done through, until the key is deleted.
//   - A key that is disabled or pending deletion encrypts nothing. One whose waiting period is over is gone for good.
//   - Plaintexts and ciphertexts are in no record.
//
// Records are as in https://docs.aws.amazon.com/kms/latest/developerguide/ct-understanding.html.
package kms

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/policy"
	"github.com/aitrail/aitrail/internal/endpoint/rpc"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// Options are what a Service needs. Account and State are required.
type Options struct {
	Account string
	State   *state.Store
	Now     func() time.Time // nil: time.Now
}

// Service is KMS behind the endpoint; it implements awsapi.Service. Its methods may be called concurrently.
type Service struct {
	rpc.API
	opts Options
}

var _ awsapi.Service = (*Service)(nil)

// New returns the service with the keys that the state has.
func New(opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Service{opts: opts}
	s.API = rpc.API{Signing: "kms", EventSource: "kms.amazonaws.com", JSON: awsapi.JSON11, Operations: map[string]rpc.Operation{
		"CancelKeyDeletion":               rpc.Op(s.cancelKeyDeletion),
		"CreateAlias":                     rpc.Op(s.createAlias),
		"CreateKey":                       rpc.Op(s.createKey),
		"Decrypt":                         rpc.Read(s.decrypt).Hiding("CiphertextBlob"),
		"DeleteAlias":                     rpc.Op(s.deleteAlias),
		"DescribeKey":                     rpc.Read(s.describeKey),
		"DisableKey":                      rpc.Op(s.disableKey),
		"DisableKeyRotation":              rpc.Op(s.disableKeyRotation),
		"EnableKey":                       rpc.Op(s.enableKey),
		"EnableKeyRotation":               rpc.Op(s.enableKeyRotation),
		"Encrypt":                         rpc.Read(s.encrypt).Hiding("Plaintext"),
		"GenerateDataKey":                 rpc.Read(s.generateDataKey),
		"GenerateDataKeyWithoutPlaintext": rpc.Read(s.generateDataKeyWithoutPlaintext),
		"GetKeyPolicy":                    rpc.Read(s.getKeyPolicy),
		"GetKeyRotationStatus":            rpc.Read(s.getKeyRotationStatus),
		"ListAliases":                     rpc.Read(s.listAliases),
		"ListKeyPolicies":                 rpc.Read(s.listKeyPolicies),
		"ListKeys":                        rpc.Read(s.listKeys),
		"ListResourceTags":                rpc.Read(s.listResourceTags),
		"PutKeyPolicy":                    rpc.Op(s.putKeyPolicy),
		"ScheduleKeyDeletion":             rpc.Op(s.scheduleKeyDeletion),
		"TagResource":                     rpc.Op(s.tagResource),
		"UntagResource":                   rpc.Op(s.untagResource),
		"UpdateAlias":                     rpc.Op(s.updateAlias),
		"UpdateKeyDescription":            rpc.Op(s.updateKeyDescription),
	}}
	return s
}

func (s *Service) now() time.Time { return s.opts.Now().UTC() }

// fail returns the error answer of an API call.
func fail(code, format string, args ...any) error {
	return &awsapi.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalidState(format string, args ...any) error {
	return fail("KMSInvalidStateException", format, args...)
}

func notFound(format string, args ...any) error { return fail("NotFoundException", format, args...) }

// about is what an input says about which key and alias it is.
type about interface{ key() (id string) }

// keyInput is the input of operations on a key that need nothing else.
type keyInput struct {
	KeyID string `aws:"KeyId"`
}

func (in *keyInput) key() string { return in.KeyID }

// keyARN is the ARN of the key that a call is about; "" when it is about none, or one that isn't there.
func (s *Service) keyARN(c *awsapi.Call, in any) string {
	id := ""
	switch in := in.(type) {
	case *decryptInput:
		if id = in.KeyID; id == "" {
			id = keyIDOf(in.CiphertextBlob)
		}
	case about:
		id = in.key()
	}
	if id == "" {
		return ""
	}
	k, err := s.find(c.Region, id)
	if err != nil {
		if strings.HasPrefix(id, "arn:") {
			return id
		}
		return s.arn(c.Region, "key/"+id)
	}
	return k.ARN
}

// Describe implements awsapi.Service.
func (s *Service) Describe(c *awsapi.Call) {
	in := s.API.Describe(c)
	if arn := s.keyARN(c, in); arn != "" && !strings.Contains(arn, ":key/alias/") {
		s.concerns(c, arn)
	}
	if name := aliasName(in); name != "" {
		alias := cloudtrail.Resource{AccountID: c.Account, Type: "AWS::KMS::Alias", ARN: s.arn(c.Region, name)}
		c.Record.Resources = append([]cloudtrail.Resource{alias}, c.Record.Resources...)
	}
}

// concerns says in the call's record which key it was about.
func (s *Service) concerns(c *awsapi.Call, arn string) {
	c.Record.Resources = []cloudtrail.Resource{{AccountID: c.Account, Type: "AWS::KMS::Key", ARN: arn}}
}

// Access implements awsapi.Service.
func (s *Service) Access(c *awsapi.Call) []awsapi.Access {
	in, _ := s.Input(c) // what can't be read is refused by Serve
	action := "kms:" + c.Operation
	var list []awsapi.Access
	if name := aliasName(in); name != "" {
		list = append(list, awsapi.Access{Action: action, Resource: s.arn(c.Region, name)})
	}
	if arn := s.keyARN(c, in); arn != "" {
		list = append(list, awsapi.Access{Action: action, Resource: arn})
	}
	if len(list) == 0 {
		list = []awsapi.Access{{Action: action, Resource: "*"}}
	}
	return list
}

// Conditions returns KMS's own condition keys of a call.
func (s *Service) Conditions(c *awsapi.Call) policy.Context {
	ctx := policy.Context{"kms:CallerAccount": {c.Caller.Account}}
	in, _ := s.Input(c)
	var context map[string]string
	switch in := in.(type) {
	case *encryptInput:
		context = in.EncryptionContext
	case *decryptInput:
		context = in.EncryptionContext
	case *dataKeyInput:
		context = in.EncryptionContext
	case *createKeyInput:
		for _, t := range in.Tags {
			ctx["aws:RequestTag/"+t.TagKey] = []string{t.TagValue}
		}
	}
	for k, v := range context {
		ctx["kms:EncryptionContext:"+k] = []string{v}
		ctx["kms:EncryptionContextKeys"] = append(ctx["kms:EncryptionContextKeys"], k)
	}
	return ctx
}

// ResourcePolicy returns the policy of the key with that ARN; nil when there is no such key.
func (s *Service) ResourcePolicy(arn string) *policy.Document {
	k, err := s.find(regionOf(arn), arn)
	if err != nil {
		return nil
	}
	doc, err := policy.Parse([]byte(k.Policy))
	if err != nil {
		return &policy.Document{} // which allows nothing
	}
	return doc
}

// Sovereign marks the service as one whose resources' policies must themselves allow what is done.
func (s *Service) Sovereign() {}

var identifier = regexp.MustCompile(`^[a-zA-Z0-9:/_-]+$`)

func (s *Service) arn(region, resource string) string {
	partition := "aws"
	if strings.HasPrefix(region, "cn-") {
		partition = "aws-cn"
	} else if strings.HasPrefix(region, "us-gov-") {
		partition = "aws-us-gov"
	}
	return "arn:" + partition + ":kms:" + region + ":" + s.opts.Account + ":" + resource
}

func regionOf(arn string) string {
	if p := strings.SplitN(arn, ":", 6); len(p) == 6 {
		return p[3]
	}
	return ""
}
