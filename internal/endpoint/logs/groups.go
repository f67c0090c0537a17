package logs

import (
	"cmp"
	"crypto/rand"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// The buckets of the state store.
const (
	groupsBucket  = "logs.groups"  // REGION/NAME → group
	streamsBucket = "logs.streams" // GROUP ID/NAME → stream
	chunksBucket  = "logs.chunks"  // STREAM ID/NUMBER → chunk
	dataBucket    = "logs.data"    // STREAM ID/NUMBER → the chunk's events, compressed
	filtersBucket = "logs.filters" // GROUP ID/NAME → metricFilter
)

// group is a log group.
type group struct {
	ID        string // never used again, unlike names
	Name      string
	Created   int64 // Unix milliseconds, as all times of this API
	Retention int   // days; 0 means for ever
	Class     string
	Protected bool
	KMSKey    string            `json:",omitempty"`
	Filters   int               `json:",omitempty"` // how many metric filters it has
	Tags      map[string]string `json:",omitempty"`
	Stored    int64             // bytes of messages
}

var groupPattern = regexp.MustCompile(`^[\.\-_/#A-Za-z0-9]{1,512}$`)

// oldest is the time before which the group's events have expired, at a time.
func (g *group) oldest(nowMillis int64) int64 {
	if g.Retention == 0 {
		return 0
	}
	return nowMillis - int64(g.Retention)*24*60*60*1000
}

// getGroup reads a log group; the error is an *awsapi.Error when there is none.
func getGroup(tx *state.Tx, region, name string) (*group, error) {
	if name == "" {
		return nil, fail(badParameter, "1 validation error detected: Value null at 'logGroupName' failed to satisfy constraint: Member must not be null")
	}
	var g group
	found, err := tx.Get(groupsBucket, region+"/"+name, &g)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fail(notFound, "The specified log group does not exist.")
	}
	return &g, nil
}

// HasLogGroup tells whether there is a log group.
func (s *Service) HasLogGroup(region, name string) bool {
	var g group
	found, err := s.opts.Store.Get(groupsBucket, region+"/"+name, &g)
	return found && err == nil
}

// changeGroup changes a log group.
func (s *Service) changeGroup(region, name string, fn func(g *group, tx *state.Tx) error) error {
	return s.opts.Store.Update(func(tx *state.Tx) error {
		g, err := getGroup(tx, region, name)
		if err != nil {
			return err
		}
		if err := fn(g, tx); err != nil {
			return err
		}
		return tx.Put(groupsBucket, region+"/"+name, g)
	})
}

func (s *Service) createLogGroup(c *awsapi.Call, in *struct {
	names
	KmsKeyId                  string //nolint:revive // AWS's name
	LogGroupClass             string
	DeletionProtectionEnabled bool
	Tags                      map[string]string
}) (any, error) {
	switch {
	case !groupPattern.MatchString(in.LogGroupName):
		return nil, fail(badParameter, "1 validation error detected: Value '%s' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+", in.LogGroupName)
	case !slices.Contains([]string{"", "STANDARD", "INFREQUENT_ACCESS"}, in.LogGroupClass):
		return nil, fail(badParameter, "Log group class %q is not supported.", in.LogGroupClass)
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	kmsKey := ""
	if in.KmsKeyId != "" {
		var err error
		if kmsKey, err = s.key(c, in.KmsKeyId, in.LogGroupName); err != nil {
			return nil, err
		}
	}
	key := c.Region + "/" + in.LogGroupName
	return empty{}, s.opts.Store.Update(func(tx *state.Tx) error {
		var g group
		found, err := tx.Get(groupsBucket, key, &g)
		if err != nil {
			return err
		}
		if found {
			return fail(exists, "The specified log group already exists")
		}
		return tx.Put(groupsBucket, key, &group{
			ID: strings.ToLower(rand.Text()), Name: in.LogGroupName, Created: s.now().UnixMilli(),
			Class: cmp.Or(in.LogGroupClass, "STANDARD"), Protected: in.DeletionProtectionEnabled, Tags: in.Tags,
			KMSKey: kmsKey,
		})
	})
}

func (s *Service) deleteLogGroup(c *awsapi.Call, in *names) (any, error) {
	return empty{}, s.opts.Store.Update(func(tx *state.Tx) error {
		g, err := getGroup(tx, c.Region, in.LogGroupName)
		if err != nil {
			return err
		}
		if g.Protected {
			return fail("ValidationException", "The log group is protected from deletion.")
		}
		streams, err := state.ListTx[stream](tx, streamsBucket, g.ID+"/")
		if err != nil {
			return err
		}
		for _, st := range streams {
			if err := st.Value.remove(tx, st.Key); err != nil {
				return err
			}
		}
		filters, err := state.ListTx[metricFilter](tx, filtersBucket, g.ID+"/")
		if err != nil {
			return err
		}
		for _, f := range filters {
			if err := tx.Delete(filtersBucket, f.Key); err != nil {
				return err
			}
		}
		return tx.Delete(groupsBucket, c.Region+"/"+g.Name)
	})
}

type groupOutput struct {
	LogGroupName              string `json:"logGroupName"`
	CreationTime              int64  `json:"creationTime"`
	RetentionInDays           int    `json:"retentionInDays,omitempty"`
	MetricFilterCount         int    `json:"metricFilterCount"`
	ARN                       string `json:"arn"`
	StoredBytes               int64  `json:"storedBytes"`
	KMSKeyID                  string `json:"kmsKeyId,omitempty"`
	LogGroupClass             string `json:"logGroupClass"`
	LogGroupARN               string `json:"logGroupArn"`
	DeletionProtectionEnabled bool   `json:"deletionProtectionEnabled"`
}

func (s *Service) describeLogGroups(c *awsapi.Call, in *struct {
	LogGroupNamePrefix, LogGroupNamePattern, LogGroupClass, NextToken string
	LogGroupIdentifiers                                               []string
	Limit                                                             *int
}) (any, error) {
	limit, err := pageLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	if in.LogGroupNamePrefix != "" && in.LogGroupNamePattern != "" {
		return nil, fail(badParameter, "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	groups, err := state.List[group](s.opts.Store, groupsBucket, c.Region+"/"+in.LogGroupNamePrefix)
	if err != nil {
		return nil, err
	}
	var out struct {
		LogGroups []groupOutput `json:"logGroups"`
		NextToken string        `json:"nextToken,omitempty"`
	}
	out.LogGroups = []groupOutput{}
	pattern := strings.ToLower(in.LogGroupNamePattern)
	named := map[string]bool{}
	for _, id := range in.LogGroupIdentifiers {
		named[groupName(id)] = true
	}
	for _, entry := range groups {
		g := &entry.Value
		if g.Name <= in.NextToken || !strings.Contains(strings.ToLower(g.Name), pattern) ||
			len(named) > 0 && !named[g.Name] || in.LogGroupClass != "" && in.LogGroupClass != g.Class {
			continue
		}
		if len(out.LogGroups) == limit {
			out.NextToken = out.LogGroups[limit-1].LogGroupName
			break
		}
		arn := s.arn(c.Region, g.Name)
		out.LogGroups = append(out.LogGroups, groupOutput{
			LogGroupName: g.Name, CreationTime: g.Created, RetentionInDays: g.Retention, ARN: arn + ":*", LogGroupARN: arn,
			KMSKeyID: g.KMSKey, MetricFilterCount: g.Filters,
			StoredBytes: g.Stored, LogGroupClass: g.Class, DeletionProtectionEnabled: g.Protected,
		})
	}
	return &out, nil
}

// pageLimit is how many groups or streams a page has.
func pageLimit(limit *int) (int, error) {
	switch {
	case limit == nil:
		return 50, nil
	case *limit < 1 || *limit > 50:
		return 0, fail(badParameter, "Limit must be between 1 and 50.")
	}
	return *limit, nil
}

func (s *Service) putRetentionPolicy(c *awsapi.Call, in *struct {
	names
	RetentionInDays int
}) (any, error) {
	valid := []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
	if !slices.Contains(valid, in.RetentionInDays) {
		return nil, fail(badParameter, "1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: %v", in.RetentionInDays, valid)
	}
	return empty{}, s.changeGroup(c.Region, in.LogGroupName, func(g *group, _ *state.Tx) error {
		g.Retention = in.RetentionInDays
		return nil
	})
}

func (s *Service) deleteRetentionPolicy(c *awsapi.Call, in *names) (any, error) {
	return empty{}, s.changeGroup(c.Region, in.LogGroupName, func(g *group, _ *state.Tx) error {
		g.Retention = 0
		return nil
	})
}

func checkTags(tags map[string]string) error {
	for k, v := range tags {
		if k == "" || len(k) > 128 || len(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return fail(badParameter, "The tag %q is not valid.", k)
		}
	}
	return nil
}

type tagsInput struct {
	names
	TagKeys []string // UntagResource
	Tags    any      // a map, or for UntagLogGroup a list of keys
}

func (s *Service) tagResource(c *awsapi.Call, in *tagsInput) (any, error) {
	add := map[string]string{}
	m, _ := in.Tags.(map[string]any)
	for k, v := range m {
		add[k], _ = v.(string)
	}
	if err := checkTags(add); err != nil {
		return nil, err
	}
	return empty{}, s.changeGroup(c.Region, in.group(), func(g *group, _ *state.Tx) error {
		if g.Tags == nil {
			g.Tags = map[string]string{}
		}
		maps.Copy(g.Tags, add)
		if len(g.Tags) > 50 {
			return fail("TooManyTagsException", "A log group can have 50 tags.")
		}
		return nil
	})
}

func (s *Service) untagResource(c *awsapi.Call, in *tagsInput) (any, error) {
	keys := in.TagKeys
	list, _ := in.Tags.([]any)
	for _, k := range list {
		if k, ok := k.(string); ok {
			keys = append(keys, k)
		}
	}
	return empty{}, s.changeGroup(c.Region, in.group(), func(g *group, _ *state.Tx) error {
		for _, k := range keys {
			delete(g.Tags, k)
		}
		return nil
	})
}

func (s *Service) listTags(c *awsapi.Call, in *names) (any, error) {
	out := struct {
		Tags map[string]string `json:"tags"`
	}{map[string]string{}}
	err := s.opts.Store.View(func(tx *state.Tx) error {
		g, err := getGroup(tx, c.Region, in.group())
		if err == nil {
			maps.Copy(out.Tags, g.Tags)
		}
		return err
	})
	return out, err
}
