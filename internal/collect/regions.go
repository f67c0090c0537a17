package collect

import (
	"regexp"
	"slices"
	"strings"
)

// areas are the Regions of AWS without their numbers
// (https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html).
var areas = []string{
	"af-south", "ap-east", "ap-northeast", "ap-south", "ap-southeast", "ca-central", "ca-west", "cn-north", "cn-northwest", "eu-central",
	"eu-north", "eu-south", "eu-west", "eusc-de-east", "il-central", "me-central", "me-south", "mx-central", "sa-east", "us-east",
	"us-gov-east", "us-gov-west", "us-west",
}

var regionForm = regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]+$`)

// checkRegion tells whether a name can be a Region's, and of one that can't which may be meant. An area that AWS opened since is
// taken, unless it looks like one that is known, misspelled.
func checkRegion(name string) (nearest []string, ok bool) {
	cut := strings.LastIndex(name, "-")
	area, number := name, ""
	if cut > 0 && strings.Trim(name[cut+1:], "0123456789") == "" {
		area, number = name[:cut], name[cut+1:]
	}
	if slices.Contains(areas, area) && regionForm.MatchString(name) {
		return nil, true
	}
	for _, known := range areas {
		if area == known || slip(area, known) {
			nearest = append(nearest, known+"-"+max(number, "1"))
		}
	}
	return nearest, len(nearest) == 0 && regionForm.MatchString(name)
}

// slip tells whether b is a with one letter more, less, another, or two in the wrong order.
func slip(a, b string) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	a, b = a[i:], b[i:]
	switch {
	case a == "" || b == "":
		return len(a)+len(b) == 1
	case a[1:] == b, a == b[1:], a[1:] == b[1:]:
		return true
	}
	return len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]
}
