package digest_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/digest"
	"github.com/google/go-cmp/cmp"
)

// privateKeys are made once: a 2048-bit key takes a noticeable time.
var privateKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		priv, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = priv
	}
	return keys
})

// sample is the digest of AWS's page, its signature shortened.
const sample = `{"awsAccountId":"111122223333","digestStartTime":"2015-08-17T14:01:31Z","digestEndTime":"2015-08-17T15:01:31Z",` +
	`"digestS3Bucket":"example-bucket","digestS3Object":"AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2015/08/17/111122223333_CloudTrail-Digest_us-east-2_your-trail-name_us-east-2_20150817T150131Z.json.gz",` +
	`"digestPublicKeyFingerprint":"31e8b5433410dfb61a9dc45cc65b22ff","digestSignatureAlgorithm":"SHA256withRSA",` +
	`"newestEventTime":"2015-08-17T14:52:27Z","oldestEventTime":"2015-08-17T14:42:27Z",` +
	`"previousDigestS3Bucket":"example-bucket","previousDigestS3Object":"AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2015/08/17/111122223333_CloudTrail-Digest_us-east-2_your-trail-name_us-east-2_20150817T140131Z.json.gz",` +
	`"previousDigestHashValue":"97fb791cf91ffc440d274f8190dbdd9aa09c34432aba82739df18b6d3c13df2d","previousDigestHashAlgorithm":"SHA-256","previousDigestSignature":"50887ccf",` +
	`"logFiles":[{"s3Bucket":"example-bucket","s3Object":"AWSLogs/111122223333/CloudTrail/us-east-2/2015/08/17/111122223333_CloudTrail_us-east-2_20150817T1445Z_9nYN7gp2eWAJHIfT.json.gz",` +
	`"hashValue":"9bb6196fc6b84d6f075a56548feca262bd99ba3c2de41b618e5b6e22c1fc71f6","hashAlgorithm":"SHA-256","newestEventTime":"2015-08-17T14:52:27Z","oldestEventTime":"2015-08-17T14:42:27Z"}]}`

func TestEncodeWritesWhatCloudTrailWrites(t *testing.T) {
	d, err := digest.Decode([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(digest.Encode(d)); got != sample {
		t.Errorf("digest changed on the way:\n%s", cmp.Diff(sample, got))
	}
	start, err := d.Start()
	if want := time.Date(2015, 8, 17, 14, 1, 31, 0, time.UTC); err != nil || !start.Equal(want) {
		t.Errorf("start = %v, %v, want %v", start, err, want)
	}
}

func TestEncodeWritesNullInAnEmptyStartingDigest(t *testing.T) {
	d, err := digest.Decode([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	d.Follow(digest.Link{})
	d.LogFiles, d.NewestEventTime, d.OldestEventTime = nil, "", ""
	var got map[string]any
	if err := json.Unmarshal(digest.Encode(d), &got); err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{
		"newestEventTime", "oldestEventTime", "previousDigestS3Bucket", "previousDigestS3Object",
		"previousDigestHashValue", "previousDigestHashAlgorithm", "previousDigestSignature",
	} {
		if v, ok := got[member]; !ok || v != nil {
			t.Errorf("%s = %v (present: %t), want null", member, v, ok)
		}
	}
	if files, ok := got["logFiles"].([]any); !ok || len(files) != 0 {
		t.Errorf("logFiles = %v, want []", got["logFiles"])
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                   "",
		"no JSON":                   "no digest",
		"a list":                    "[]",
		"no end time":               strings.Replace(sample, `"digestEndTime"`, `"x"`, 1),
		"null end time":             strings.Replace(sample, `"digestEndTime":"2015-08-17T15:01:31Z"`, `"digestEndTime":null`, 1),
		"no bucket":                 strings.Replace(sample, `"digestS3Bucket"`, `"x"`, 1),
		"no key":                    strings.Replace(sample, `"digestS3Object"`, `"x"`, 1),
		"no fingerprint":            strings.Replace(sample, `"digestPublicKeyFingerprint"`, `"x"`, 1),
		"no previous signature":     strings.Replace(sample, `"previousDigestSignature"`, `"x"`, 1),
		"an empty signature":        strings.Replace(sample, `"50887ccf"`, `""`, 1),
		"a time that is none":       strings.Replace(sample, `"2015-08-17T14:01:31Z"`, `"yesterday"`, 1),
		"a number for a text":       strings.Replace(sample, `"50887ccf"`, `1`, 1),
		"more after the JSON value": sample + "{}",
	} {
		t.Run(name, func(t *testing.T) {
			if d, err := digest.Decode([]byte(text)); !errors.Is(err, digest.ErrFormat) {
				t.Errorf("Decode = %v, %v, want ErrFormat", d, err)
			}
		})
	}
}

func TestStringToSign(t *testing.T) {
	const want = "2015-08-17T15:01:31Z\nb/k\n44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n"
	for previous, last := range map[string]string{"": "null", "50887ccf": "50887ccf"} {
		if got := digest.StringToSign("2015-08-17T15:01:31Z", "b", "k", []byte("{}"), previous); got != want+last {
			t.Errorf("StringToSign = %q, want %q", got, want+last)
		}
	}
}

func TestSeal(t *testing.T) {
	d, err := digest.Decode([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	priv := privateKeys()[0]
	sealed, err := digest.Seal(priv, d)
	if err != nil {
		t.Fatal(err)
	}
	if want := digest.Fingerprint(&priv.PublicKey); d.DigestPublicKeyFingerprint != want {
		t.Errorf("fingerprint = %s, want %s", d.DigestPublicKeyFingerprint, want)
	}
	z, err := gzip.NewReader(bytes.NewReader(sealed.Body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if want := string(digest.Encode(d)); string(body) != want {
		t.Errorf("body:\n%s", cmp.Diff(want, string(body)))
	}
	if got := sealed.Metadata[digest.MetaSignatureAlgorithm]; got != "SHA256withRSA" {
		t.Errorf("algorithm = %q", got)
	}
	signature := sealed.Metadata[digest.MetaSignature]
	if err := digest.CheckSignature(&priv.PublicKey, d, body, signature); err != nil {
		t.Errorf("checking what was signed: %v", err)
	}
	if err := digest.CheckSignature(&privateKeys()[1].PublicKey, d, body, signature); !errors.Is(err, digest.ErrSignature) {
		t.Errorf("another key: %v, want ErrSignature", err)
	}
	if err := digest.CheckSignature(&priv.PublicKey, d, append(body, ' '), signature); !errors.Is(err, digest.ErrSignature) {
		t.Errorf("other bytes: %v, want ErrSignature", err)
	}
	next := &digest.Digest{}
	next.Follow(sealed.Link)
	if got := next.Previous(); got != sealed.Link {
		t.Errorf("link = %+v, want %+v", got, sealed.Link)
	}
	again, err := digest.Seal(priv, d)
	if err != nil || !cmp.Equal(sealed, again) {
		t.Errorf("a second sealing differs: %v\n%s", err, cmp.Diff(sealed, again))
	}
}

// TestFingerprint uses the key in the AWS CLI's help for list-public-keys.
func TestFingerprint(t *testing.T) {
	const value = "MIIBCgKCAQEAlSS3cl92HDycr/MTj0moOhas8habjrraXw+KzlWF0axSI2tcF+3iJ9BKQAVSKxGwxwu3m0wG3J+kUl1xboEcEPHYoIYMbgfSw7KGnuDKwkLzsQWhUJ0cIbOHASox1vv/5fNXkrHhGbDCHeVXm804c83nvHUEFYThr1PfyP/8HwrCtR3FX5OANtQCP61C1nJtSSkC8JSQUOrIP4CuwJjc+4WGDk+BGH5m9iuiAKkipEHWmUl8/P7XpfpWQuk4h8g3pXZOrNXr08lbh4d39svj7UqdhvOXoBISp9t/EXYuePGEtBdrKD9Dz+VHwyUPtBQvYr9BnkF88qBnaPNhS44rzwIDAQAB"
	const fingerprint = "7f3f401420072e50a65a141430817ab3"
	der, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	key, err := digest.ParsePublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	if key.Fingerprint != fingerprint {
		t.Errorf("fingerprint = %s, want %s", key.Fingerprint, fingerprint)
	}
	if !bytes.Equal(digest.MarshalPublicKey(key.Public), der) {
		t.Error("the key's DER changed on the way")
	}
	for name, list := range map[string]string{
		"seconds": `{"PublicKeyList":[{"ValidityStartTime":1453076702.0,"ValidityEndTime":1455668702.0,"Value":"` + value + `","Fingerprint":"` + fingerprint + `"}]}`,
		"text":    `{"PublicKeyList":[{"ValidityStartTime":"2016-01-18T01:25:02+01:00","ValidityEndTime":"2016-02-17T00:25:02Z","Value":"` + value + `"}]}`,
	} {
		keys, err := digest.ParseKeys([]byte(list))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		key.From, key.To = time.Unix(1453076702, 0).UTC(), time.Unix(1455668702, 0).UTC()
		if name == "text" {
			key.From = time.Date(2016, 1, 18, 0, 25, 2, 0, time.UTC)
			key.To = time.Date(2016, 2, 17, 0, 25, 2, 0, time.UTC)
		}
		if diff := cmp.Diff(digest.Keys{key}, keys); diff != "" {
			t.Errorf("%s: keys (-want +got):\n%s", name, diff)
		}
	}
	for _, list := range []string{``, `{}`, `{"PublicKeyList":[]}`, `{"PublicKeyList":[{"Value":"AAAA"}]}`, `{"PublicKeyList":[{"Value":"?"}]}`} {
		if _, err := digest.ParseKeys([]byte(list)); !errors.Is(err, digest.ErrKey) {
			t.Errorf("ParseKeys(%s) = %v, want ErrKey", list, err)
		}
	}
}

// FuzzDecode: what decodes, encodes to a digest that decodes to the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(strings.ReplaceAll(sample, `"50887ccf"`, "null")))
	f.Add([]byte(`{"logFiles":null}`))
	f.Add([]byte(`{"digestStartTime":"","digestEndTime":"","digestS3Bucket":"","digestS3Object":"","digestPublicKeyFingerprint":"","previousDigestS3Object":"","previousDigestSignature":"0"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := digest.Decode(b)
		if err != nil {
			if !errors.Is(err, digest.ErrFormat) {
				t.Fatalf("%v is not ErrFormat", err)
			}
			return
		}
		again, err := digest.Decode(digest.Encode(d))
		if err != nil {
			t.Fatalf("encoded digest: %v", err)
		}
		if len(d.LogFiles) == 0 {
			d.LogFiles, again.LogFiles = nil, nil
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzSignature: only a digest's own signature, in either case, is accepted.
func FuzzSignature(f *testing.F) {
	priv := privateKeys()[0]
	d := &digest.Digest{DigestEndTime: "2015-08-17T15:01:31Z", DigestS3Bucket: "b", DigestS3Object: "k"}
	sealed, err := digest.Seal(priv, d)
	if err != nil {
		f.Fatal(err)
	}
	right := sealed.Metadata[digest.MetaSignature]
	for _, s := range []string{right, strings.ToUpper(right), right[2:], "00" + right, "", "0", "zz", right + "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := digest.CheckSignature(&priv.PublicKey, d, digest.Encode(d), s)
		if accepted := err == nil; accepted != strings.EqualFold(s, right) {
			t.Fatalf("signature %q: %v", s, err)
		}
		if err != nil && !errors.Is(err, digest.ErrSignature) {
			t.Fatalf("%v is not ErrSignature", err)
		}
	})
}
