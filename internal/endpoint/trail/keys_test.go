package trail_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint/trail"
)

// keysIn are the public keys of a time.
func (w *world) keysIn(from, to time.Time) digest.Keys {
	w.t.Helper()
	keys, err := digest.ParseKeys([]byte(w.do("ListPublicKeys", fmt.Sprintf(`{"StartTime":%d,"EndTime":%d}`, from.Unix(), to.Unix()))))
	if err != nil {
		w.t.Fatal(err)
	}
	return keys
}

// signers are the fingerprints that the digests name, in the order of their times.
func (w *world) signers() []string {
	w.t.Helper()
	var names []string
	for path, o := range w.bucket.sorted() {
		if k, ok := cloudtrail.ParseKey(path); ok && k.Kind == cloudtrail.KindDigest {
			sealed, err := digest.Decode(unzip(w.t, o.Body))
			if err != nil {
				w.t.Fatal(err)
			}
			names = append(names, sealed.DigestPublicKeyFingerprint)
		}
	}
	return names
}

// A key is followed by another when it has served; digests before and after that hold, by keys that the API lists for
// their times.
func TestRotatesKeys(t *testing.T) {
	w := newWorld(t)
	w.options = func(o *trail.Options) { o.KeyEvery = 3 * time.Hour }
	w.restart() // the first key was said to be valid for longer
	begin := w.now
	w.do("CreateTrail", `{"Name":"ai-trail","S3BucketName":"ai-trail","EnableLogFileValidation":true}`)
	w.do("StartLogging", `{"Name":"ai-trail"}`)
	for range 6 {
		w.invoke("A")
		w.now = w.now.Add(time.Hour)
		w.flush()
		w.restart()
	}
	signers := w.signers()
	all := w.keysIn(begin, w.now) // the first one is of an hour before, and had served when the first digest was made
	if len(all) != 3 {
		t.Fatalf("%d keys", len(all))
	}
	second, third := all[1].Fingerprint, all[2].Fingerprint
	if diff := cmp.Diff([]string{second, second, second, third, third, third}, signers); diff != "" {
		t.Error(diff)
	}
	for i, name := range signers {
		end := begin.Add(time.Duration(i+1) * time.Hour)
		known := false
		for _, key := range w.keysIn(end, end) {
			known = known || key.Fingerprint == name
		}
		if !known {
			t.Errorf("the key of the digest of %s is not listed for its time", end)
		}
	}
	for i, key := range all[1:] {
		if before := all[i]; before.To.Before(key.From) || before.To.After(key.From.Add(time.Hour)) {
			t.Errorf("a key is valid from %s to %s, the next from %s", before.From, before.To, key.From)
		}
	}
	report, err := digest.Verify(t.Context(), w.bucket, all, digest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c := report.Chains[0]; c.Digests.Verified != 6 || c.LogFiles.Verified != 6 {
		t.Errorf("chain: %+v", c)
	}
}

// A digest that is put again after a crash has the signature it had, though the key has been followed by another since.
func TestRepeatsWithTheSameKey(t *testing.T) {
	w := logging(t, "")
	w.options = func(o *trail.Options) { o.KeyEvery = 3 * time.Hour }
	w.restart()
	w.invoke("A")
	w.now = w.now.Add(30 * time.Minute)
	digests := func() map[string]string { // the signatures by key
		signed := map[string]string{}
		for path, o := range w.bucket.objects {
			if k, ok := cloudtrail.ParseKey(path); ok && k.Kind == cloudtrail.KindDigest {
				signed[path] = o.Metadata[digest.MetaSignature]
			}
		}
		return signed
	}
	var before map[string]string
	w.bucket.crash = func(_ int, after bool) bool {
		before = digests()
		return after && len(before) > 0
	}
	if w.survive() {
		t.Fatal("not killed")
	}
	w.bucket.crash = nil
	w.now = w.now.Add(5 * time.Hour)
	w.restart()
	w.do("ListPublicKeys", `{}`) // makes the next key
	w.flush()
	after := digests()
	if len(before) != 1 || len(after) < 1 {
		t.Fatalf("%d digests before the crash, %d after", len(before), len(after))
	}
	for path, signature := range before {
		if signature == "" || after[path] != signature {
			t.Errorf("%s: signature %q, then %q", path, signature, after[path])
		}
	}
}

func unzip(t *testing.T, body []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
