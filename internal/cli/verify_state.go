package cli

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/coverage"
	"github.com/aitrail/aitrail/internal/digest"
)

// The files of a lake's folder "proof".
const (
	checkpointFile = "checkpoints.json"
	checkpointKey  = "checkpoint.key" // PEM, PKCS #8; only its owner may read it
)

// checkpointVersion is the version of the checkpoint file's format.
const checkpointVersion = 1

// checkpoints is what verifications leave for later ones: how far each chain was followed, and CloudTrail's public keys.
//
// The file has two lines: JSON, and the Ed25519 signature over that line's bytes. A program that runs as the same user
// can read the key and forge both; a signature tells of files that were altered, restored from elsewhere or removed.
type checkpoints struct {
	dir     string
	key     ed25519.PrivateKey // nil until the first save
	saved   savedState
	altered string // why what was there isn't believed; "" if it is
}

type savedState struct {
	Version int                      `json:"version"`
	Sources map[string]*digest.State `json:"sources"` // by URL
	Keys    map[string][]savedKey    `json:"keys"`    // by the endpoint that gave them, "" for AWS

	Arrived map[string]*coverage.Arrived `json:"arrived"` // by URL
	Trails  []coverage.Sighting          `json:"trails"`  // what CloudTrail answered about trails

	TrailLog trailLog `json:"trail_log,omitzero"`
}

type savedKey struct {
	Region      string    `json:"region"`
	Fingerprint string    `json:"fingerprint"`
	Value       []byte    `json:"value"` // PKCS #1 DER
	From        time.Time `json:"from,omitzero"`
	To          time.Time `json:"to,omitzero"`
}

type savedSignature struct {
	PublicKey []byte `json:"public_key"`
	Signature []byte `json:"signature"`
}

// openCheckpoints reads the checkpoints of a lake's folder. That there are none, or that they were altered, is no error.
func openCheckpoints(lakeDir string) (*checkpoints, error) {
	c := &checkpoints{dir: filepath.Join(lakeDir, "proof")}
	c.reset()
	key, err := readSigningKey(filepath.Join(c.dir, checkpointKey))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	c.key = key
	data, err := os.ReadFile(c.path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if key != nil {
			c.altered = "the file is gone"
		}
		return c, nil
	case err != nil:
		return nil, err
	}
	if c.altered, err = c.read(data); c.altered != "" {
		c.reset()
	}
	return c, err
}

func (c *checkpoints) path() string { return filepath.Join(c.dir, checkpointFile) }

func (c *checkpoints) reset() {
	c.saved = savedState{
		Version: checkpointVersion, Sources: map[string]*digest.State{}, Keys: map[string][]savedKey{},
		Arrived: map[string]*coverage.Arrived{},
	}
}

// read takes in the file's bytes; altered says why they aren't believed.
func (c *checkpoints) read(data []byte) (altered string, err error) {
	body, last, _ := bytes.Cut(data, []byte("\n"))
	var sig savedSignature
	if json.Unmarshal(last, &sig) != nil || json.Unmarshal(body, &c.saved) != nil {
		return "it is not as it was written", nil
	}
	if c.key == nil {
		if len(sig.PublicKey) == ed25519.PublicKeySize && len(c.saved.Sources)+len(c.saved.Keys) == 0 {
			return "", nil // making the key was cut off
		}
		return "the key that signed it, " + checkpointKey + ", is gone", nil
	}
	if !ed25519.Verify(c.key.Public().(ed25519.PublicKey), body, sig.Signature) {
		return "its signature does not hold", nil
	}
	if c.saved.Version > checkpointVersion {
		return "", fmt.Errorf("%s has format version %d; this program knows versions up to %d", c.path(), c.saved.Version, checkpointVersion)
	}
	if c.saved.Sources == nil || c.saved.Keys == nil {
		return "it is not as it was written", nil
	}
	if c.saved.Arrived == nil { // a file from before there was coverage
		c.saved.Arrived = map[string]*coverage.Arrived{}
	}
	return "", nil
}

// state returns what the last verification of a source left; nil if there was none. Keys are those of an endpoint.
func (c *checkpoints) state(source, endpoint string) *digest.State {
	s := c.saved.Sources[source]
	if s == nil {
		s = &digest.State{}
	}
	for _, k := range c.saved.Keys[endpoint] {
		key, err := digest.ParsePublicKey(k.Value)
		if err != nil {
			continue // it will be asked for again
		}
		key.Fingerprint, key.From, key.To = k.Fingerprint, k.From, k.To
		s.Keys = append(s.Keys, digest.RegionKey{Region: k.Region, Key: key})
	}
	return s
}

// keep stores what a verification left, durably; without a source, what else was learned. A file that isn't believed is set aside first.
func (c *checkpoints) keep(source string, s *digest.State) error {
	if c.altered != "" {
		if err := c.setAside(); err != nil {
			return err
		}
	}
	if c.key == nil {
		if err := c.begin(); err != nil {
			return err
		}
	}
	if source != "" {
		c.saved.Sources[source] = s
	}
	if err := c.write(); err != nil {
		return err
	}
	c.tidy()
	return nil
}

// unfinished is how old a file must be to be one that a killed process left: younger ones may be in the making.
const unfinished = time.Hour

// tidy removes what processes left that were killed as they wrote: a key that signed nothing may be among it. What can't be
// removed harms nobody.
func (c *checkpoints) tidy() {
	for dir, begins := range map[string][]string{
		filepath.Dir(c.dir): {filepath.Base(c.dir) + ".tmp-"},
		c.dir:               {checkpointFile + ".tmp-", checkpointKey + ".tmp-"},
	} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || time.Since(info.ModTime()) < unfinished {
				continue
			}
			if slices.ContainsFunc(begins, func(begin string) bool { return strings.HasPrefix(e.Name(), begin) }) {
				_ = os.RemoveAll(filepath.Join(dir, e.Name()))
			}
		}
	}
}

// setAside keeps a file that isn't believed for whoever looks into it.
func (c *checkpoints) setAside() error {
	err := os.Rename(c.path(), fmt.Sprintf("%s.altered-%s", c.path(), time.Now().UTC().Format("20060102T150405.000Z")))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// begin makes the folder with file and key, both at once: of processes that begin together one succeeds, and the others go on
// with its key.
func (c *checkpoints) begin() error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	c.key = key
	if err := os.MkdirAll(filepath.Dir(c.dir), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(c.dir), "proof.tmp-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // gone already when it is c.dir now
	if err := errors.Join(os.Chmod(dir, 0o755), c.writeBoth(dir)); err != nil {
		return err
	}
	_ = os.Remove(c.dir) // an empty one
	if os.Rename(dir, c.dir) == nil {
		return syncDir(filepath.Dir(c.dir))
	}
	switch there, err := readSigningKey(filepath.Join(c.dir, checkpointKey)); {
	case err == nil:
		c.key = there
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return c.writeBoth(c.dir) // where there is something, but no key: what was set aside
}

// writeBoth writes the file, and the key after it: with a key but no file, the file was removed.
func (c *checkpoints) writeBoth(dir string) error {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return err
	}
	if err := c.writeFile(dir); err != nil {
		return err
	}
	return writeDurably(filepath.Join(dir, checkpointKey), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func (c *checkpoints) write() error { return c.writeFile(c.dir) }

func (c *checkpoints) writeFile(dir string) error {
	body, err := json.Marshal(c.saved)
	if err != nil {
		return err
	}
	sig, err := json.Marshal(savedSignature{c.key.Public().(ed25519.PublicKey), ed25519.Sign(c.key, body)})
	if err != nil {
		return err
	}
	return writeDurably(filepath.Join(dir, checkpointFile), slices.Concat(body, []byte("\n"), sig, []byte("\n")), 0o644)
}

// learn adds the public keys that an endpoint gave.
func (c *checkpoints) learn(endpoint string, keys []digest.RegionKey) {
	known := c.saved.Keys[endpoint]
	for _, k := range keys {
		if !slices.ContainsFunc(known, func(s savedKey) bool { return s.Region == k.Region && s.Fingerprint == k.Fingerprint }) {
			known = append(known, savedKey{k.Region, k.Fingerprint, digest.MarshalPublicKey(k.Public), k.From, k.To})
		}
	}
	slices.SortFunc(known, func(a, b savedKey) int {
		return strings.Compare(a.Region+a.Fingerprint, b.Region+b.Fingerprint)
	})
	if len(known) > 0 {
		c.saved.Keys[endpoint] = known
	}
}

// readSigningKey reads the key; nil with the error when it can't.
func readSigningKey(path string) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is not a key in PEM", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading key %s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an Ed25519 key", path)
	}
	return key, nil
}

// writeDurably gives a file a content, whole or not at all. It is on disk on return.
func writeDurably(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
