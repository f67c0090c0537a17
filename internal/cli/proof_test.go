package cli_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
)

// trailBegin is when the trail of the command trail begins.
var trailBegin = time.Date(2026, 11, 20, 21, 0, 0, 0, time.UTC)

// trailFiles is how many log files it delivers in an hour.
const trailFiles = 2

// trail DIR FROM TO [-restart HOUR] writes what a trail delivers in those hours: log files and signed digests, as
// copied to a folder. With -restart its chain begins anew at that hour, after a pause of three. DIR.keys.json are the
// public keys.
func trailCmd(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	from, err := strconv.Atoi(args[1])
	ts.Check(err)
	to, err := strconv.Atoi(args[2])
	ts.Check(err)
	restart := -1
	if len(args) > 4 {
		restart, err = strconv.Atoi(args[4])
		ts.Check(err)
	}
	priv := trailKey(ts, dir)
	start := trailBegin
	var link digest.Link
	for hour := range to {
		if hour == restart {
			start, link = start.Add(3*time.Hour), digest.Link{}
		}
		write := func(key string, data []byte) {
			if hour >= from {
				file := filepath.Join(dir, filepath.FromSlash(key))
				ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
				ts.Check(os.WriteFile(file, data, 0o644))
			}
		}
		d := trailHour(start, hour, write)
		d.Follow(link)
		sealed, err := digest.Seal(priv, d)
		ts.Check(err)
		write(d.DigestS3Object, sealed.Body)
		link, start = sealed.Link, start.Add(time.Hour)
	}
}

// trailHour writes an hour's log files, and returns their digest.
func trailHour(start time.Time, hour int, write func(string, []byte)) *digest.Digest {
	key := cloudtrail.Key{Account: "111122223333", Region: "us-east-1"}
	d := &digest.Digest{AWSAccountID: key.Account, DigestS3Bucket: "example-bucket",
		DigestStartTime: digest.FormatTime(start), DigestEndTime: digest.FormatTime(start.Add(time.Hour))}
	for i := range trailFiles {
		key.Kind, key.Time, key.Unique = cloudtrail.KindLog, start.Add(time.Duration(10+20*i)*time.Minute), fmt.Sprintf("hour%02dfile%06d", hour, i)
		content := trailRecords(key.Time, hour*trailFiles+i)
		write(key.String(), compressed(content))
		at := digest.FormatTime(key.Time)
		d.LogFiles = append(d.LogFiles, digest.LogFile{S3Bucket: d.DigestS3Bucket, S3Object: key.String(), HashValue: digest.Hash(content),
			HashAlgorithm: digest.HashAlgorithm, NewestEventTime: at, OldestEventTime: at})
		d.NewestEventTime = at
		if i == 0 {
			d.OldestEventTime = at
		}
	}
	d.DigestS3Object = cloudtrail.Key{Account: key.Account, Kind: cloudtrail.KindDigest, Region: key.Region, Time: start.Add(time.Hour),
		Trail: "example-trail", HomeRegion: key.Region}.String()
	return d
}

// trailRecords are a log file's: two model calls.
func trailRecords(at time.Time, n int) []byte {
	var records []string
	for i := range 2 {
		records = append(records, fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","userName":"ana","accountId":"111122223333"},"eventTime":"%s",`+
			`"eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1","userAgent":"aws-cli/2",`+
			`"requestParameters":{"modelId":"amazon.nova-lite-v1:0"},"responseElements":null,"requestID":"request-%d-%d","eventID":"00000000-0000-4000-8000-%08d%04d","readOnly":true,`+
			`"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}`, at.Format(time.RFC3339), n, i, n, i))
	}
	return []byte(`{"Records":[` + strings.Join(records, ",") + `]}`)
}

func compressed(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		panic(err) // a bytes.Buffer takes all
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// trailKey returns the key that a trail signs with, the same in all of a script.
func trailKey(ts *testscript.TestScript, dir string) *rsa.PrivateKey {
	if der, err := os.ReadFile(dir + ".key"); err == nil {
		priv, err := x509.ParsePKCS1PrivateKey(der)
		ts.Check(err)
		return priv
	}
	priv, err := rsa.GenerateKey(rand.Reader, 2048)
	ts.Check(err)
	ts.Check(os.WriteFile(dir+".key", x509.MarshalPKCS1PrivateKey(priv), 0o600))
	list, err := json.Marshal(map[string]any{"PublicKeyList": []any{map[string]any{
		"Value": digest.MarshalPublicKey(&priv.PublicKey), "Fingerprint": digest.Fingerprint(&priv.PublicKey),
		"ValidityStartTime": "2026-11-01T00:00:00+00:00", "ValidityEndTime": "2026-12-31T00:00:00+00:00",
	}}})
	ts.Check(err)
	ts.Check(os.WriteFile(dir+".keys.json", list, 0o644))
	return priv
}

// alter FILE OLD NEW changes a file's text, under the gzip layer if it has one. FILE may be a pattern for one file.
func alter(ts *testscript.TestScript, neg bool, args []string) {
	file := oneFile(ts, args[0])
	data, err := os.ReadFile(file)
	ts.Check(err)
	zipped := bytes.HasPrefix(data, []byte{0x1f, 0x8b})
	if zipped {
		data = uncompressed(ts, data)
	}
	changed := bytes.Replace(data, []byte(args[1]), []byte(args[2]), 1)
	if bytes.Equal(changed, data) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	if zipped {
		changed = compressed(changed)
	}
	ts.Check(os.WriteFile(file, changed, 0o644))
}

func uncompressed(ts *testscript.TestScript, data []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(data))
	ts.Check(err)
	var b bytes.Buffer
	_, err = b.ReadFrom(z)
	ts.Check(err)
	return b.Bytes()
}

// remove PATTERN… removes files; each pattern must match some.
func remove(ts *testscript.TestScript, neg bool, args []string) {
	for _, pattern := range args {
		files, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if len(files) == 0 {
			ts.Fatalf("%s matches no file", pattern)
		}
		for _, f := range files {
			ts.Check(os.Remove(f))
		}
	}
}

// oneFile returns the one file that a pattern matches.
func oneFile(ts *testscript.TestScript, pattern string) string {
	files, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("%s matches %d files, want one", pattern, len(files))
	}
	return files[0]
}

// unzip ZIP DIR unpacks.
func unzip(ts *testscript.TestScript, neg bool, args []string) {
	z, err := zip.OpenReader(ts.MkAbs(args[0]))
	ts.Check(err)
	defer z.Close()
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), z))
}
