package live

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/aitrail/aitrail/internal/provision"
)

// KeyError is a key that can't serve.
type KeyError struct{ Key, State string }

func (e *KeyError) Error() string { return "key " + e.Key + " is " + e.State }

// describeKey finds the key behind an alias or id, nil if there is none.
func (a *account) describeKey(ctx context.Context, id string) (*types.KeyMetadata, error) {
	out, err := a.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
	if HasCode(err, "NotFoundException") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return out.KeyMetadata, nil
}

func (a *account) readKey(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	k, err := a.describeKey(ctx, r.Name)
	if a.keyErr = err; err != nil || k == nil {
		return nil, err
	}
	a.keyARN = aws.ToString(k.Arn)
	if k.KeyState != types.KeyStateEnabled && !a.removing {
		return nil, &KeyError{r.Name, string(k.KeyState)}
	}
	return a.keyProperties(ctx, k)
}

func (a *account) keyProperties(ctx context.Context, k *types.KeyMetadata) (provision.Properties, error) {
	policy, err := a.kms.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: k.Arn, PolicyName: aws.String("default")})
	if err != nil {
		return nil, err
	}
	rotation, err := a.kms.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: k.Arn})
	if err != nil {
		return nil, err
	}
	tags, err := a.keyTags(ctx, k.Arn)
	if err != nil {
		return nil, err
	}
	return provision.Properties{
		"Description": aws.ToString(k.Description), "EnableKeyRotation": rotation.KeyRotationEnabled, "KeyPolicy": aws.ToString(policy.Policy), "Tags": tags, "id": aws.ToString(k.KeyId),
	}, nil
}

func (a *account) keyTags(ctx context.Context, id *string) (map[string]string, error) {
	tags := map[string]string{}
	pages := kms.NewListResourceTagsPaginator(a.kms, &kms.ListResourceTagsInput{KeyId: id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range page.Tags {
			tags[aws.ToString(t.TagKey)] = aws.ToString(t.TagValue)
		}
	}
	return tags, nil
}

func (a *account) writeKey(ctx context.Context, r provision.Resource, have provision.Properties, changed []string) (effect, error) {
	policy := r.Text("KeyPolicy")
	if have == nil {
		arn, err := a.orphan(ctx)
		if err == nil && arn == "" {
			var out *kms.CreateKeyOutput
			if out, err = a.kms.CreateKey(ctx, &kms.CreateKeyInput{Description: aws.String(r.Text("Description")), Policy: &policy, Tags: keyTagList(a.marked(r))}); err == nil {
				arn = aws.ToString(out.KeyMetadata.Arn)
			}
		}
		if err != nil {
			return something, err
		}
		a.keyARN, changed = arn, []string{"EnableKeyRotation"}
	}
	for _, name := range changed {
		var err error
		switch name {
		case "KeyPolicy":
			_, err = a.kms.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &a.keyARN, PolicyName: aws.String("default"), Policy: &policy})
		case "EnableKeyRotation":
			_, err = a.kms.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: &a.keyARN})
		case "Description":
			_, err = a.kms.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &a.keyARN, Description: aws.String(r.Text(name))})
		case "Tags":
			_, err = a.kms.TagResource(ctx, &kms.TagResourceInput{KeyId: &a.keyARN, Tags: keyTagList(r.Tags())})
		}
		if err != nil {
			return something, err
		}
	}
	return something, nil
}

// orphan finds a key that an interrupted Apply made and didn't get to name. A key costs money every month, so it is used.
func (a *account) orphan(ctx context.Context) (string, error) {
	pages := kms.NewListKeysPaginator(a.kms, &kms.ListKeysInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", err
		}
		for _, k := range page.Keys {
			tags, err := a.keyTags(ctx, k.KeyArn)
			if err != nil && !IsAccessDenied(err) { // AWS's own keys, and those that others guard
				return "", err
			}
			if tags[markTag] != a.Trail {
				continue
			}
			if meta, err := a.describeKey(ctx, aws.ToString(k.KeyArn)); err != nil {
				return "", err
			} else if meta != nil && meta.KeyState == types.KeyStateEnabled {
				return aws.ToString(k.KeyArn), nil
			}
		}
	}
	return "", nil
}

func keyTagList(tags map[string]string) (list []types.Tag) {
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{TagKey: &k, TagValue: aws.String(tags[k])})
	}
	return list
}

// keyWaitDays is how long KMS lets a key's deletion be taken back: as long as it can.
const keyWaitDays = 30

// removeKey removes the alias after the key: by it a run that goes on finds the key.
func (a *account) removeKey(ctx context.Context, r provision.Resource, have provision.Properties) error {
	id, _ := have["id"].(string)
	_, err := a.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: aws.Int32(keyWaitDays)})
	if err != nil && !HasCode(err, "KMSInvalidStateException") { // it is to be deleted already
		return err
	}
	_, err = a.kms.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &r.Name})
	return err
}

func (a *account) readAlias(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	k, err := a.describeKey(ctx, r.Name)
	if err != nil || k == nil {
		return nil, err
	}
	return provision.Properties{"AliasName": r.Name, "TargetKeyId": aws.ToString(k.Arn)}, nil
}

func (a *account) writeAlias(ctx context.Context, r provision.Resource, have provision.Properties, _ []string) (effect, error) {
	target := r.Text("TargetKeyId")
	if have != nil {
		_, err := a.kms.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &r.Name, TargetKeyId: &target})
		return something, err
	}
	_, err := a.kms.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &r.Name, TargetKeyId: &target})
	return something, err
}
