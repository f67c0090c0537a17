package provision

import (
	"slices"

	"github.com/aitrail/aitrail/internal/catalog"
)

// MaxSelectorValues is how many values all the conditions of a trail's advanced event selectors may have.
const MaxSelectorValues = 500

// Selector is an advanced event selector, in CloudTrail's own shape
// (https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_AdvancedEventSelector.html).
type Selector struct {
	Name           string
	FieldSelectors []FieldSelector
}

// FieldSelector is one condition of a Selector; all must hold.
type FieldSelector struct {
	Field         string
	Equals        []string `json:",omitempty"`
	NotStartsWith []string `json:",omitempty"`
}

// objectType is the data type of the calls on S3 objects, the trail's own deliveries among them.
const objectType = "AWS::S3::Object"

func allDataTypes() []string { return catalog.DataTypes() }

// SelectorPrefix begins the names of the set-up's selectors. A trail's other selectors are somebody else's, and are left alone.
const SelectorPrefix = "aitrail "

// ManagementSelector is the name of the one that selects management events.
const ManagementSelector = SelectorPrefix + "management"

// Selectors are the trail's: all management events, reads and writes, and the data events of each of DataTypes. CloudTrail
// takes one type in a selector only. Were S3 objects among the types, the set-up's own buckets are left out, so that the
// trail does not record its deliveries.
func (s Setup) Selectors() []Selector {
	s = s.Defaults()
	list := []Selector{{Name: ManagementSelector, FieldSelectors: []FieldSelector{{Field: "eventCategory", Equals: []string{"Management"}}}}}
	types := slices.Clone(s.DataTypes)
	slices.Sort(types)
	for _, t := range slices.Compact(types) {
		fields := []FieldSelector{
			{Field: "eventCategory", Equals: []string{"Data"}},
			{Field: "resources.type", Equals: []string{t}},
		}
		if t == objectType {
			fields = append(fields, FieldSelector{Field: "resources.ARN", NotStartsWith: s.ownObjects()})
		}
		list = append(list, Selector{Name: SelectorPrefix + t, FieldSelectors: fields})
	}
	return list
}

// ownObjects are what the ARNs of objects in the set-up's buckets begin with.
func (s Setup) ownObjects() []string {
	var list []string
	for _, bucket := range []string{s.Bucket, s.InvocationBucket, s.LakeBucket} {
		if bucket != "" {
			list = append(list, s.bucketARN(bucket)+"/")
		}
	}
	return list
}

// SelectorValues counts the values of all conditions of the selectors.
func SelectorValues(list []Selector) int {
	n := 0
	for _, s := range list {
		for _, f := range s.FieldSelectors {
			n += len(f.Equals) + len(f.NotStartsWith)
		}
	}
	return n
}
