// Package fault is what goes wrong on purpose at the endpoint: shares of calls that fail, and of delivered files that
// are late, lost or not what they should be. It decides; the server and the deliverer do it.
//
// Whether a fault strikes follows from its name, its share and a key alone: a call's request id, a file's name. What is
// tried again after a crash or an error has therefore the same fault, and a share of a half strikes about half of all keys.
// Which keys two faults strike is independent.
package fault

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Name names a fault.
type Name string

// The faults of calls. Such calls are not served; they are recorded as failed.
const (
	Throttle Name = "throttle" // answered as throttled, in the service's words
	Error    Name = "error"    // answered with an internal error, status 500
)

// The faults of delivery, each of one log file or digest.
const (
	LateFile      Name = "late-file"      // delivered some rounds later than newer ones; the digest of that time names it
	DuplicateFile Name = "duplicate-file" // delivered twice under two names, both of which a digest names
	DisorderFile  Name = "disorder-file"  // its records stand in reverse order
	MissingFile   Name = "missing-file"   // not delivered, though a digest names it
	AlteredFile   Name = "altered-file"   // delivered with a record taken out, and the digest names what it was before
	ExtraFile     Name = "extra-file"     // delivered beside a forged one that no digest names
	MissingDigest Name = "missing-digest" // not delivered, though the next one follows it
	ForgedDigest  Name = "forged-digest"  // delivered without its log files, and with the signature of the true one
)

// names are all faults.
var names = []Name{
	Throttle, Error, LateFile, DuplicateFile, DisorderFile, MissingFile, AlteredFile, ExtraFile, MissingDigest, ForgedDigest,
}

// Names returns the names of all faults.
func Names() []Name { return slices.Clone(names) }

// Shares is how often faults strike, by name: 0 is never, 1 always.
type Shares map[Name]float64

// SharesError says which fault isn't known, or which share is none.
type SharesError struct{ Reason string }

func (e *SharesError) Error() string { return e.Reason }

// Check says what is wrong with the names and shares. The error is a *SharesError.
func (s Shares) Check() error {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if !slices.Contains(names, name) {
			return &SharesError{fmt.Sprintf("fault %q is not known; there are %s", string(name), list())}
		}
		if share := s[name]; math.IsNaN(share) || share < 0 || share > 1 {
			return &SharesError{fmt.Sprintf("the share of fault %s is %v; it must be from 0 to 1", name, share)}
		}
	}
	return nil
}

func list() string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = string(n)
	}
	return strings.Join(all, ", ")
}

// Parse reads "NAME=SHARE" into s. The error is a *SharesError.
func (s Shares) Parse(text string) error {
	name, value, ok := strings.Cut(text, "=")
	share, err := strconv.ParseFloat(value, 64)
	if !ok || err != nil {
		return &SharesError{fmt.Sprintf("fault %q is not NAME=SHARE, as throttle=0.1", text)}
	}
	one := Shares{Name(name): share}
	if err := one.Check(); err != nil {
		return err
	}
	s[Name(name)] = share
	return nil
}

// Faults are the faults in force. The zero value has none. Its methods may be called concurrently.
type Faults struct {
	mu     sync.RWMutex
	shares Shares
}

// Set puts shares in force, the others staying as they are; a share of 0 ends a fault. All are put in force or, when one is
// no good, none. The error is a *SharesError.
func (f *Faults) Set(shares Shares) error {
	if err := shares.Check(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	next := maps.Clone(f.shares)
	if next == nil {
		next = Shares{}
	}
	for name, share := range shares {
		next[name] = share
		if share == 0 {
			delete(next, name)
		}
	}
	f.shares = next
	return nil
}

// Clear ends all faults.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shares = nil
}

// Shares returns the faults in force.
func (f *Faults) Shares() Shares {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.shares == nil {
		return Shares{}
	}
	return maps.Clone(f.shares)
}

// Strikes tells whether a fault strikes what key names.
func (f *Faults) Strikes(name Name, key string) bool {
	f.mu.RLock()
	share := f.shares[name]
	f.mu.RUnlock()
	return share > 0 && place(name, key) < share
}

// place is where in [0, 1) a key stands for a fault.
func place(name Name, key string) float64 {
	sum := sha256.Sum256([]byte(string(name) + "\n" + key))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}
