package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/fault"
)

func TestStrikesItsShare(t *testing.T) {
	const n = 20000
	for _, share := range []float64{0, 0.01, 0.25, 0.5, 1} {
		var f fault.Faults
		if err := f.Set(fault.Shares{fault.Throttle: share, fault.Error: share}); err != nil {
			t.Fatal(err)
		}
		hits, both := 0, 0
		for i := range n {
			key := fmt.Sprint("request-", i)
			throttled := f.Strikes(fault.Throttle, key)
			if throttled != f.Strikes(fault.Throttle, key) {
				t.Fatalf("%s is struck once and spared once", key)
			}
			if throttled {
				hits++
				if f.Strikes(fault.Error, key) {
					both++
				}
			}
		}
		if got := float64(hits) / n; got < share-0.02 || got > share+0.02 {
			t.Errorf("a share of %v strikes %v", share, got)
		}
		if got, want := float64(both)/n, share*share; got < want-0.02 || got > want+0.02 {
			t.Errorf("two faults with shares of %v strike %v together, want %v", share, got, want)
		}
	}
}

func TestSet(t *testing.T) {
	var f fault.Faults
	if f.Strikes(fault.Error, "a") || len(f.Shares()) != 0 {
		t.Error("the zero value has faults")
	}
	set := func(s fault.Shares) {
		t.Helper()
		if err := f.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	set(fault.Shares{fault.Throttle: 1, fault.LateFile: 0.5})
	set(fault.Shares{fault.LateFile: 0, fault.Error: 1})
	if diff := cmp.Diff(fault.Shares{fault.Throttle: 1, fault.Error: 1}, f.Shares()); diff != "" {
		t.Error(diff)
	}
	var e *fault.SharesError
	if err := f.Set(fault.Shares{fault.Throttle: 0, "thrtle": 1}); !errors.As(err, &e) || !strings.Contains(err.Error(), "throttle, error, late-file") {
		t.Errorf("an unknown name: %v", err)
	}
	if !f.Strikes(fault.Throttle, "a") {
		t.Error("a call that was refused changed something")
	}
	f.Shares()[fault.Throttle] = 0
	if !f.Strikes(fault.Throttle, "a") {
		t.Error("the shares returned are the ones in force")
	}
	f.Clear()
	if f.Strikes(fault.Throttle, "a") || len(f.Shares()) != 0 {
		t.Error("faults go on after Clear")
	}
}

func TestParse(t *testing.T) {
	s := fault.Shares{}
	for _, text := range []string{"throttle=0.25", "error=1", "missing-file=0"} {
		if err := s.Parse(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if diff := cmp.Diff(fault.Shares{fault.Throttle: 0.25, fault.Error: 1, fault.MissingFile: 0}, s); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"", "throttle", "throttle=", "throttle=x", "throttle=1.5", "throttle=-1", "throttle=NaN", "slow=0.5"} {
		var e *fault.SharesError
		if err := s.Parse(text); !errors.As(err, &e) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("throttle=0.25")
	f.Add("late-file=1e-3")
	f.Fuzz(func(t *testing.T, text string) {
		s := fault.Shares{}
		if err := s.Parse(text); err == nil && (len(s) != 1 || s.Check() != nil) {
			t.Errorf("%q is read as %v", text, s)
		}
	})
}
