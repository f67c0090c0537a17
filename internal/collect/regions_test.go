package collect_test

import (
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/collect"
)

func TestRegions(t *testing.T) {
	for name, want := range map[string]string{ // "" is fine
		"us-east-1": "", "ap-southeast-9": "", "us-gov-west-1": "", "zz-central-1": "",
		"us-esat-1": "us-east-1", "eu-wst-1": "eu-west-1", "us-eastt-2": "us-east-2", "us-east": "us-east-1",
		"mars": "is no Region", "": "is no Region", "us-east-1 ": "is no Region", "../x": "is no Region",
	} {
		err := collect.CheckSource("history:eu-west-1,"+name, collect.Settings{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", name, err, want)
		}
	}
}
