package kms

import (
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
)

// maxTags is how many tags a key can have.
const maxTags = 50

type tag struct {
	TagKey   string
	TagValue string `aws:",keep"`
}

// addTags returns the tags with more added, in the order they came.
func addTags(tags, more []tag) ([]tag, error) {
	sum := slices.Clone(tags)
	for _, t := range more {
		if t.TagKey == "" || len(t.TagKey) > 128 || len(t.TagValue) > 256 || strings.HasPrefix(strings.ToLower(t.TagKey), "aws:") {
			return nil, fail("TagException", "Tag key %q or its value is not valid.", t.TagKey)
		}
		i := slices.IndexFunc(sum, func(old tag) bool { return old.TagKey == t.TagKey })
		if i < 0 {
			sum = append(sum, t)
		} else {
			sum[i] = t
		}
	}
	if len(sum) > maxTags {
		return nil, fail("TagException", "Too many tags")
	}
	return sum, nil
}

type tagInput struct {
	KeyID string `aws:"KeyId"`
	Tags  []tag
}

func (in *tagInput) key() string { return in.KeyID }

func (s *Service) tagResource(c *awsapi.Call, in *tagInput) (any, error) {
	_, err := s.change(c, in.KeyID, func(k *key) (err error) {
		k.Tags, err = addTags(k.Tags, in.Tags)
		return err
	})
	return nil, err
}

type untagInput struct {
	KeyID   string `aws:"KeyId"`
	TagKeys []string
}

func (in *untagInput) key() string { return in.KeyID }

func (s *Service) untagResource(c *awsapi.Call, in *untagInput) (any, error) {
	_, err := s.change(c, in.KeyID, func(k *key) error {
		k.Tags = slices.DeleteFunc(k.Tags, func(t tag) bool { return slices.Contains(in.TagKeys, t.TagKey) })
		return nil
	})
	return nil, err
}

type tagsOutput struct {
	Tags      []tag
	Truncated bool `aws:",keep"`
}

func (s *Service) listResourceTags(c *awsapi.Call, in *keyInput) (any, error) {
	k, err := s.find(c.Region, in.KeyID)
	if err != nil {
		return nil, err
	}
	return &tagsOutput{Tags: append([]tag{}, k.Tags...)}, nil
}
