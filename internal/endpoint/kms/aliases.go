package kms

import (
	"cmp"
	"regexp"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// alias is a name of a key.
type alias struct {
	Target           string // the key's id
	Created, Updated time.Time
}

type aliasInput struct {
	AliasName   string
	TargetKeyID string `aws:"TargetKeyId"`
}

func (in *aliasInput) key() string { return in.TargetKeyID }

type deleteAliasInput struct{ AliasName string }

// aliasName is the alias that an input names for itself, and not for the key behind it.
func aliasName(in any) string {
	switch in := in.(type) {
	case *aliasInput:
		return in.AliasName
	case *deleteAliasInput:
		return in.AliasName
	}
	return ""
}

var aliasPattern = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]{1,250}$`)

func checkAlias(name string) error {
	switch {
	case !strings.HasPrefix(name, "alias/"):
		return fail("ValidationException", "Invalid identifier")
	case !aliasPattern.MatchString(name):
		return fail("InvalidAliasNameException", "Invalid alias name %s", name)
	case strings.HasPrefix(name, "alias/aws/"):
		return fail("NotAuthorizedException", "Alias names that begin with alias/aws/ are reserved.")
	}
	return nil
}

func (s *Service) createAlias(c *awsapi.Call, in *aliasInput) (any, error) {
	return nil, s.putAlias(c, in, false)
}

func (s *Service) updateAlias(c *awsapi.Call, in *aliasInput) (any, error) {
	return nil, s.putAlias(c, in, true)
}

func (s *Service) putAlias(c *awsapi.Call, in *aliasInput, there bool) error {
	if err := checkAlias(in.AliasName); err != nil {
		return err
	}
	if strings.Contains(in.TargetKeyID, "alias/") {
		return fail("ValidationException", "Aliases must refer to keys. Not aliases")
	}
	k, err := s.find(c.Region, in.TargetKeyID)
	if err != nil {
		return err
	}
	if k.state() == statePending {
		return invalidState("%s is pending deletion.", k.ARN)
	}
	name, arn := c.Region+"/"+in.AliasName, s.arn(c.Region, in.AliasName)
	return s.opts.State.Update(func(tx *state.Tx) error {
		var a alias
		found, err := tx.Get(aliasesBucket, name, &a)
		switch {
		case err != nil:
			return err
		case found && !there:
			return fail("AlreadyExistsException", "An alias with the name %s already exists", arn)
		case !found && there:
			return notFound("Alias %s is not found.", arn)
		case !found:
			a.Created = s.now()
		}
		a.Target, a.Updated = k.ID, s.now()
		return tx.Put(aliasesBucket, name, a)
	})
}

func (s *Service) deleteAlias(c *awsapi.Call, in *deleteAliasInput) (any, error) {
	if err := checkAlias(in.AliasName); err != nil {
		return nil, err
	}
	return nil, s.opts.State.Update(func(tx *state.Tx) error {
		var a alias
		found, err := tx.Get(aliasesBucket, c.Region+"/"+in.AliasName, &a)
		if err == nil && !found {
			err = notFound("Alias %s is not found.", s.arn(c.Region, in.AliasName))
		}
		if err != nil {
			return err
		}
		return tx.Delete(aliasesBucket, c.Region+"/"+in.AliasName)
	})
}

type listAliasesInput struct {
	KeyID  string `aws:"KeyId"`
	Limit  int
	Marker string
}

type aliasEntry struct {
	AliasName       string
	AliasARN        string `aws:"AliasArn"`
	TargetKeyID     string `aws:"TargetKeyId"`
	CreationDate    time.Time
	LastUpdatedDate time.Time
}

type aliasesOutput struct {
	Aliases    []aliasEntry
	NextMarker string
	Truncated  bool `aws:",keep"`
}

func (s *Service) listAliases(c *awsapi.Call, in *listAliasesInput) (any, error) {
	of := ""
	if in.KeyID != "" {
		k, err := s.find(c.Region, in.KeyID)
		if err != nil {
			return nil, err
		}
		of = k.ID
	}
	all, err := state.List[alias](s.opts.State, aliasesBucket, c.Region+"/")
	if err != nil {
		return nil, err
	}
	out := &aliasesOutput{Aliases: []aliasEntry{}}
	for _, e := range all {
		name := strings.TrimPrefix(e.Key, c.Region+"/")
		if name <= in.Marker || of != "" && e.Value.Target != of {
			continue
		}
		if len(out.Aliases) == cmp.Or(in.Limit, 50) {
			out.Truncated, out.NextMarker = true, out.Aliases[len(out.Aliases)-1].AliasName
			break
		}
		out.Aliases = append(out.Aliases, aliasEntry{name, s.arn(c.Region, name), e.Value.Target, e.Value.Created, e.Value.Updated})
	}
	return out, nil
}
