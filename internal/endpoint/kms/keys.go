package kms

import (
	"cmp"
	"crypto/rand"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// The buckets of the state store.
const (
	keysBucket    = "kms.keys"    // REGION/ID → key
	aliasesBucket = "kms.aliases" // REGION/alias/NAME → alias
)

// key is a KMS key.
type key struct {
	ID, ARN, Region string
	Created         time.Time
	Description     string
	Policy          string
	Disabled        bool
	Deletion        time.Time // zero: not scheduled
	Rotation        bool
	RotationDays    int
	RotationFrom    time.Time
	Material        []byte // 32 bytes
	Tags            []tag  `json:",omitempty"`
}

// The states a key can be in.
const (
	stateEnabled  = "Enabled"
	stateDisabled = "Disabled"
	statePending  = "PendingDeletion"
)

func (k *key) state() string {
	switch {
	case !k.Deletion.IsZero():
		return statePending
	case k.Disabled:
		return stateDisabled
	}
	return stateEnabled
}

// find finds a key by id, ARN, or the name or ARN of an alias. The error is an *awsapi.Error.
func (s *Service) find(region, id string) (*key, error) {
	if len(id) > 2048 || !identifier.MatchString(id) {
		return nil, fail("ValidationException", "1 validation error detected: Value '%s' at 'keyId' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$", id)
	}
	var k *key
	err := s.opts.State.View(func(tx *state.Tx) (err error) {
		k, err = s.findTx(tx, region, id)
		return err
	})
	return k, err
}

func (s *Service) findTx(tx *state.Tx, region, id string) (*key, error) {
	resource := id
	if strings.HasPrefix(id, "arn:") {
		p := strings.SplitN(id, ":", 6)
		if len(p) != 6 || p[2] != "kms" {
			return nil, fail("InvalidArnException", "Invalid arn %s", id)
		}
		if p[3] != region || p[4] != s.opts.Account {
			return nil, fail("NotFoundException", "Invalid arn %s", p[3])
		}
		resource = p[5]
	}
	if strings.HasPrefix(resource, "alias/") {
		var a alias
		found, err := tx.Get(aliasesBucket, region+"/"+resource, &a)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, notFound("Alias %s is not found.", s.arn(region, resource))
		}
		resource = a.Target
	}
	resource = strings.TrimPrefix(resource, "key/")
	var k key
	found, err := tx.Get(keysBucket, region+"/"+resource, &k)
	if err != nil {
		return nil, err
	}
	if !found || !k.Deletion.IsZero() && s.now().After(k.Deletion) {
		return nil, notFound("Key '%s' does not exist", s.arn(region, "key/"+resource))
	}
	return &k, nil
}

// change changes a key that isn't waiting for its deletion; fn may refuse.
func (s *Service) change(c *awsapi.Call, id string, fn func(k *key) error) (*key, error) {
	return s.changeAny(c, id, func(k *key) error {
		if k.state() == statePending {
			return invalidState("%s is pending deletion.", k.ARN)
		}
		return fn(k)
	})
}

func (s *Service) changeAny(c *awsapi.Call, id string, fn func(k *key) error) (*key, error) {
	if _, err := s.find(c.Region, id); err != nil {
		return nil, err
	}
	var k *key
	err := s.opts.State.Update(func(tx *state.Tx) (err error) {
		if k, err = s.findTx(tx, c.Region, id); err != nil {
			return err
		}
		if err := fn(k); err != nil {
			return err
		}
		return tx.Put(keysBucket, c.Region+"/"+k.ID, k)
	})
	return k, err
}

type metadata struct {
	AccountID             string `aws:"AWSAccountId"`
	KeyID                 string `aws:"KeyId"`
	ARN                   string `aws:"Arn"`
	CreationDate          time.Time
	Enabled               bool   `aws:",keep"`
	Description           string `aws:",keep"`
	KeyUsage              string
	KeyState              string
	DeletionDate          *time.Time
	Origin                string
	KeyManager            string
	CustomerMasterKeySpec string
	KeySpec               string
	EncryptionAlgorithms  []string
	MultiRegion           bool `aws:",keep"`
}

type metadataOutput struct{ KeyMetadata metadata }

func (s *Service) metadata(k *key) *metadataOutput {
	m := metadata{
		AccountID: s.opts.Account, KeyID: k.ID, ARN: k.ARN, CreationDate: k.Created, Enabled: k.state() == stateEnabled,
		Description: k.Description, KeyUsage: usageEncrypt, KeyState: k.state(), Origin: "AWS_KMS", KeyManager: "CUSTOMER",
		CustomerMasterKeySpec: specSymmetric, KeySpec: specSymmetric, EncryptionAlgorithms: []string{specSymmetric},
	}
	if !k.Deletion.IsZero() {
		m.DeletionDate = &k.Deletion
	}
	return &metadataOutput{m}
}

// The one kind of key there is.
const (
	usageEncrypt  = "ENCRYPT_DECRYPT"
	specSymmetric = "SYMMETRIC_DEFAULT"
)

type createKeyInput struct {
	Description                    string
	Policy                         string
	KeyUsage                       string
	KeySpec, CustomerMasterKeySpec string
	Origin                         string
	MultiRegion                    *bool
	BypassPolicyLockoutSafetyCheck bool
	Tags                           []tag
}

func (s *Service) createKey(c *awsapi.Call, in *createKeyInput) (any, error) {
	switch {
	case cmp.Or(in.KeySpec, in.CustomerMasterKeySpec, specSymmetric) != specSymmetric,
		cmp.Or(in.KeyUsage, usageEncrypt) != usageEncrypt,
		cmp.Or(in.Origin, "AWS_KMS") != "AWS_KMS",
		in.MultiRegion != nil && *in.MultiRegion:
		return nil, fail("UnsupportedOperationException", "This endpoint has symmetric single-Region keys for encryption only.")
	case len(in.Description) > 8192:
		return nil, fail("ValidationException", "The description is too long.")
	}
	id := uuid.NewString()
	k := &key{ID: id, ARN: s.arn(c.Region, "key/"+id), Region: c.Region, Created: s.now(), Description: in.Description, Policy: in.Policy}
	if k.Policy == "" {
		k.Policy = s.defaultPolicy(c.Region)
	} else if err := s.checkPolicy(c, k.ARN, k.Policy, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	var err error
	if k.Tags, err = addTags(nil, in.Tags); err != nil {
		return nil, err
	}
	k.Material = make([]byte, 32)
	_, _ = rand.Read(k.Material) // never fails
	if err := s.opts.State.Put(keysBucket, c.Region+"/"+id, k); err != nil {
		return nil, err
	}
	s.concerns(c, k.ARN)
	return s.metadata(k), nil
}

func (s *Service) describeKey(c *awsapi.Call, in *keyInput) (any, error) {
	k, err := s.find(c.Region, in.KeyID)
	if err != nil {
		return nil, err
	}
	return s.metadata(k), nil
}

type pageInput struct {
	Limit  int
	Marker string
}

type keyEntry struct {
	KeyID  string `aws:"KeyId"`
	KeyARN string `aws:"KeyArn"`
}

type keysOutput struct {
	Keys       []keyEntry
	NextMarker string
	Truncated  bool `aws:",keep"`
}

func (s *Service) listKeys(c *awsapi.Call, in *pageInput) (any, error) {
	all, err := state.List[key](s.opts.State, keysBucket, c.Region+"/")
	if err != nil {
		return nil, err
	}
	out := &keysOutput{Keys: []keyEntry{}}
	for i := range all {
		k := &all[i].Value
		if k.ID <= in.Marker || !k.Deletion.IsZero() && s.now().After(k.Deletion) {
			continue
		}
		if len(out.Keys) == cmp.Or(in.Limit, 100) {
			out.Truncated, out.NextMarker = true, out.Keys[len(out.Keys)-1].KeyID
			break
		}
		out.Keys = append(out.Keys, keyEntry{k.ID, k.ARN})
	}
	return out, nil
}

type keyOutput struct {
	KeyID string `aws:"KeyId"`
}

func (s *Service) enableKey(c *awsapi.Call, in *keyInput) (any, error) {
	_, err := s.change(c, in.KeyID, func(k *key) error { k.Disabled = false; return nil })
	return nil, err
}

func (s *Service) disableKey(c *awsapi.Call, in *keyInput) (any, error) {
	_, err := s.change(c, in.KeyID, func(k *key) error { k.Disabled = true; return nil })
	return nil, err
}

type descriptionInput struct {
	KeyID       string `aws:"KeyId"`
	Description string
}

func (in *descriptionInput) key() string { return in.KeyID }

func (s *Service) updateKeyDescription(c *awsapi.Call, in *descriptionInput) (any, error) {
	_, err := s.change(c, in.KeyID, func(k *key) error { k.Description = in.Description; return nil })
	return nil, err
}

type rotationInput struct {
	KeyID                string `aws:"KeyId"`
	RotationPeriodInDays int
}

func (in *rotationInput) key() string { return in.KeyID }

const rotationDays = 365

func (s *Service) enableKeyRotation(c *awsapi.Call, in *rotationInput) (any, error) {
	days := cmp.Or(in.RotationPeriodInDays, rotationDays)
	if days < 90 || days > 2560 {
		return nil, fail("ValidationException", "1 validation error detected: Value '%d' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value between 90 and 2560", days)
	}
	_, err := s.change(c, in.KeyID, func(k *key) error {
		if k.Disabled {
			return fail("DisabledException", "%s is disabled.", k.ARN)
		}
		if !k.Rotation || k.RotationDays != days {
			k.RotationFrom = s.now()
		}
		k.Rotation, k.RotationDays = true, days
		return nil
	})
	return nil, err
}

func (s *Service) disableKeyRotation(c *awsapi.Call, in *keyInput) (any, error) {
	_, err := s.change(c, in.KeyID, func(k *key) error { k.Rotation = false; return nil })
	return nil, err
}

type rotationOutput struct {
	KeyID                string `aws:"KeyId"`
	KeyRotationEnabled   bool   `aws:",keep"`
	RotationPeriodInDays int
	NextRotationDate     *time.Time
}

func (s *Service) getKeyRotationStatus(c *awsapi.Call, in *keyInput) (any, error) {
	k, err := s.find(c.Region, in.KeyID)
	if err != nil {
		return nil, err
	}
	out := &rotationOutput{KeyID: k.ARN, KeyRotationEnabled: k.Rotation && k.state() != statePending}
	if out.KeyRotationEnabled {
		next := k.RotationFrom
		for !next.After(s.now()) {
			next = next.AddDate(0, 0, k.RotationDays)
		}
		out.RotationPeriodInDays, out.NextRotationDate = k.RotationDays, &next
	}
	return out, nil
}

type deletionInput struct {
	KeyID               string `aws:"KeyId"`
	PendingWindowInDays int
}

func (in *deletionInput) key() string { return in.KeyID }

type deletionOutput struct {
	KeyID               string `aws:"KeyId"`
	DeletionDate        time.Time
	KeyState            string
	PendingWindowInDays int
}

func (s *Service) scheduleKeyDeletion(c *awsapi.Call, in *deletionInput) (any, error) {
	days := cmp.Or(in.PendingWindowInDays, 30)
	if days < 7 || days > 30 {
		return nil, fail("ValidationException", "1 validation error detected: Value '%d' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value between 7 and 30", days)
	}
	k, err := s.change(c, in.KeyID, func(k *key) error {
		k.Deletion, k.Disabled = s.now().AddDate(0, 0, days), true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &deletionOutput{k.ARN, k.Deletion, statePending, days}, nil
}

// cancelKeyDeletion leaves the key disabled, as AWS does.
func (s *Service) cancelKeyDeletion(c *awsapi.Call, in *keyInput) (any, error) {
	k, err := s.changeAny(c, in.KeyID, func(k *key) error {
		if k.state() != statePending {
			return invalidState("%s is not pending deletion.", k.ARN)
		}
		k.Deletion = time.Time{}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &keyOutput{k.ARN}, nil
}
