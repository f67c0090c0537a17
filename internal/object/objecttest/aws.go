package objecttest

import (
	"os"
	"strings"
	"testing"
)

// NoAWS takes the settings for AWS that whoever runs the test has in the environment, a profile or Region, out of it.
func NoAWS(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // for it to come back afterwards
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}
