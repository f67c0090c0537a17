package s3_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

func TestObjectKeepsWhatWasPut(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("logs"), Key: aws.String("a/b c+d&é.json.gz"), Body: strings.NewReader("hello"),
		ContentType: aws.String("application/json"), ContentEncoding: aws.String("gzip"), CacheControl: aws.String("no-store"),
		Metadata: map[string]string{"signature": "abc", "Owner": "me"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	s = start(t, dir)
	c = s.client("root", "us-east-1")
	out, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("logs"), Key: aws.String("a/b c+d&é.json.gz")})
	if err != nil {
		t.Fatal(err)
	}
	type view struct {
		Type, Encoding, Cache, ETag, SSE string
		Length                           int64
		Meta                             map[string]string
	}
	got := view{*out.ContentType, *out.ContentEncoding, *out.CacheControl, *out.ETag, string(out.ServerSideEncryption), *out.ContentLength, out.Metadata}
	want := view{
		"application/json", "gzip", "no-store", fmt.Sprintf("%q", fmt.Sprintf("%x", md5.Sum([]byte("hello")))), "AES256", 5,
		map[string]string{"signature": "abc", "owner": "me"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
}

// Clients that don't know the case of user metadata's names take them as they come; S3 sends lower case.
func TestMetadataIsSentInLowerCase(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("k"), Metadata: map[string]string{"Signature-Algorithm": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HEAD /logs/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	head, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(head), "\r\nx-amz-meta-signature-algorithm: x\r\n") {
		t.Errorf("answer %q, %v", head, err)
	}
}

func TestRangesAndConditionsOnReads(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	big := strings.Repeat("0123456789", 300_000)
	etag := *put(t, c, "logs", "big", big).ETag
	for _, tt := range []struct{ span, want string }{
		{"bytes=0-4", "01234"}, {"bytes=2999995-", "56789"}, {"bytes=-3", "789"}, {"bytes=5-1000005", big[5:1000006]}, {"bytes=0-2999999", big}, {"lines=1-2", big},
	} {
		got := get(t, c, &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String("big"), Range: &tt.span})
		if got != tt.want {
			t.Errorf("range %s: got %d bytes, want %d", tt.span, len(got), len(tt.want))
		}
	}
	in := func() *s3.GetObjectInput {
		return &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String("big")}
	}
	beyond := in()
	beyond.Range = aws.String("bytes=3000000-")
	_, err := c.GetObject(t.Context(), beyond)
	wantCode(t, err, "InvalidRange")
	other := in()
	other.IfMatch = aws.String(`"00000000000000000000000000000000"`)
	_, err = c.GetObject(t.Context(), other)
	wantCode(t, err, "PreconditionFailed")
	same := in()
	same.IfNoneMatch = &etag
	_, err = c.GetObject(t.Context(), same)
	if err == nil || !strings.Contains(err.Error(), "304") {
		t.Errorf("if none match: got %v, want a 304", err)
	}
	missing := in()
	missing.Key = aws.String("small")
	_, err = c.GetObject(t.Context(), missing)
	wantCode(t, err, "NoSuchKey")
}

func TestConditionalWrites(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	write := func(body string, change func(*s3.PutObjectInput)) error {
		in := &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("k"), Body: strings.NewReader(body)}
		change(in)
		_, err := c.PutObject(t.Context(), in)
		return err
	}
	absent := func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }
	if err := write("one", absent); err != nil {
		t.Fatal(err)
	}
	wantCode(t, write("two", absent), "PreconditionFailed")
	wantCode(t, write("two", func(in *s3.PutObjectInput) { in.IfMatch = aws.String(`"0"`) }), "PreconditionFailed")
	etag := fmt.Sprintf(`"%x"`, md5.Sum([]byte("one")))
	if err := write("two", func(in *s3.PutObjectInput) { in.IfMatch = &etag }); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String("k")}); got != "two" {
		t.Errorf("got %q, want two", got)
	}
	errs := make(chan error)
	for i := range 8 {
		go func() {
			_, err := c.PutObject(background(), &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("race"), Body: strings.NewReader(fmt.Sprint(i)), IfNoneMatch: aws.String("*")})
			errs <- err
		}()
	}
	won := 0
	for range 8 {
		if <-errs == nil {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d of 8 writers created the object, want 1", won)
	}
}

func TestChecksums(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	for algorithm, want := range map[types.ChecksumAlgorithm]string{
		types.ChecksumAlgorithmCrc32: "NhCmhg==", types.ChecksumAlgorithmCrc32c: "mnG7TA==", types.ChecksumAlgorithmSha1: "qvTGHdzF6KLavt4PO0gs2a6pQ00=",
		types.ChecksumAlgorithmSha256: "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
	} {
		out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("k"), Body: strings.NewReader("hello"), ChecksumAlgorithm: algorithm})
		if err != nil {
			t.Fatal(err)
		}
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("logs"), Key: aws.String("k"), ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(err)
		}
		answered := map[types.ChecksumAlgorithm][2]*string{
			types.ChecksumAlgorithmCrc32: {out.ChecksumCRC32, head.ChecksumCRC32}, types.ChecksumAlgorithmCrc32c: {out.ChecksumCRC32C, head.ChecksumCRC32C},
			types.ChecksumAlgorithmSha1: {out.ChecksumSHA1, head.ChecksumSHA1}, types.ChecksumAlgorithmSha256: {out.ChecksumSHA256, head.ChecksumSHA256},
		}[algorithm]
		if got := [2]string{aws.ToString(answered[0]), aws.ToString(answered[1])}; got != [2]string{want, want} {
			t.Errorf("%s: got %q, want %s twice", algorithm, got, want)
		}
	}
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("bad"), Body: strings.NewReader("hello"), ChecksumSHA256: aws.String("AAAA")})
	wantCode(t, err, "BadDigest")
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("logs"), Key: aws.String("bad")})
	wantCode(t, err, "NotFound")
}

func TestListing(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	keys := []string{"A", "a", "a!", "a/", "a/1", "a/2", "a0", "b/x/y", "b/z", "z\u00e9", "z\U0001f600", "\uffee"}
	for _, k := range keys {
		put(t, c, "logs", k, k)
	}
	for _, tt := range []struct {
		name, prefix, delimiter string
		want                    []string
	}{
		{"all, by bytes", "", "", []string{"A", "a", "a!", "a/", "a/1", "a/2", "a0", "b/x/y", "b/z", "z\u00e9", "z\U0001f600", "\uffee"}},
		{"top", "", "/", []string{"A", "a", "a!", "a/|", "a0", "b/|", "z\u00e9", "z\U0001f600", "\uffee"}},
		{"folder", "b/", "/", []string{"b/x/|", "b/z"}},
		{"folder marker", "a/", "/", []string{"a/", "a/1", "a/2"}},
		{"prefix", "a", "", []string{"a", "a!", "a/", "a/1", "a/2", "a0"}},
		{"none", "q", "/", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for size := int32(1); size <= 4; size++ {
				v2, v1 := listV2(t, c, tt.prefix, tt.delimiter, size), listV1(t, c, tt.prefix, tt.delimiter, size)
				if diff := cmp.Diff(tt.want, v2); diff != "" {
					t.Errorf("version 2, pages of %d (-want +got):\n%s", size, diff)
				}
				if diff := cmp.Diff(tt.want, v1); diff != "" {
					t.Errorf("version 1, pages of %d (-want +got):\n%s", size, diff)
				}
			}
		})
	}
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("logs"), StartAfter: aws.String("a/1"), Prefix: aws.String("a")})
	if err != nil {
		t.Fatal(err)
	}
	if got := *out.Contents[0].Key; got != "a/2" {
		t.Errorf("after a/1: got %q, want a/2", got)
	}
	empty, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("logs"), MaxKeys: aws.Int32(0)})
	if err != nil || empty.KeyCount == nil || *empty.KeyCount != 0 || *empty.IsTruncated {
		t.Errorf("no keys wanted: got %+v, %v", empty, err)
	}
}

func listV2(t *testing.T, c *s3.Client, prefix, delimiter string, size int32) (got []string) {
	t.Helper()
	in := &s3.ListObjectsV2Input{Bucket: aws.String("logs"), Prefix: &prefix, MaxKeys: &size}
	if delimiter != "" {
		in.Delimiter = &delimiter
	}
	for range 100 {
		out, err := c.ListObjectsV2(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if int(*out.KeyCount) != len(out.Contents)+len(out.CommonPrefixes) || *out.KeyCount > size {
			t.Fatalf("key count %d, of %d", *out.KeyCount, size)
		}
		got = append(got, merge(out.Contents, out.CommonPrefixes)...)
		if !*out.IsTruncated {
			return got
		}
		in.ContinuationToken = out.NextContinuationToken
	}
	t.Fatal("the listing has no end")
	return nil
}

func listV1(t *testing.T, c *s3.Client, prefix, delimiter string, size int32) (got []string) {
	t.Helper()
	in := &s3.ListObjectsInput{Bucket: aws.String("logs"), Prefix: &prefix, MaxKeys: &size}
	if delimiter != "" {
		in.Delimiter = &delimiter
	}
	for range 100 {
		out, err := c.ListObjects(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		page := merge(out.Contents, out.CommonPrefixes)
		got = append(got, page...)
		if !*out.IsTruncated {
			return got
		}
		in.Marker = out.NextMarker
		if delimiter == "" {
			in.Marker = aws.String(page[len(page)-1])
		}
	}
	t.Fatal("the listing has no end")
	return nil
}

// merge puts a page's keys and common prefixes (marked by "|") in order.
func merge(objects []types.Object, prefixes []types.CommonPrefix) (out []string) {
	for len(objects)+len(prefixes) > 0 {
		if len(prefixes) == 0 || len(objects) > 0 && *objects[0].Key < *prefixes[0].Prefix {
			out, objects = append(out, *objects[0].Key), objects[1:]
			continue
		}
		out, prefixes = append(out, *prefixes[0].Prefix+"|"), prefixes[1:]
	}
	return out
}

func TestListingEncodesNames(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	put(t, c, "logs", "odd \x01+&/<é>", "x")
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("logs"), EncodingType: types.EncodingTypeUrl})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *out.Contents[0].Key, "odd+%01%2B%26/%3C%C3%A9%3E"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCopies(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("a b"), Body: strings.NewReader("body"), Metadata: map[string]string{"k": "old"}, ContentType: aws.String("text/plain")})
	if err != nil {
		t.Fatal(err)
	}
	meta := func(key string) map[string]string {
		out, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("logs"), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		return out.Metadata
	}
	in := func(to string) *s3.CopyObjectInput {
		return &s3.CopyObjectInput{Bucket: aws.String("logs"), Key: &to, CopySource: aws.String("logs/a%20b")}
	}
	if _, err := c.CopyObject(t.Context(), in("same")); err != nil {
		t.Fatal(err)
	}
	replaced := in("replaced")
	replaced.MetadataDirective, replaced.Metadata = types.MetadataDirectiveReplace, map[string]string{"n": "new"}
	if _, err := c.CopyObject(t.Context(), replaced); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]map[string]string{{"k": "old"}, {"n": "new"}}, []map[string]string{meta("same"), meta("replaced")}); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if got := get(t, c, &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String("replaced")}); got != "body" {
		t.Errorf("got %q", got)
	}
	_, err = c.CopyObject(t.Context(), in("a b"))
	wantCode(t, err, "InvalidRequest")
	gone := in("x")
	gone.CopySource = aws.String("logs/none")
	_, err = c.CopyObject(t.Context(), gone)
	wantCode(t, err, "NoSuchKey")
}

func TestMultipartUpload(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	name, key := aws.String("logs"), aws.String("big")
	created, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: name, Key: key, Metadata: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	parts := [][]byte{bytes.Repeat([]byte("x"), 5<<20), []byte("tail")}
	upload := func(number int32, body []byte) types.CompletedPart {
		out, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: name, Key: key, UploadId: created.UploadId, PartNumber: &number, Body: bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		return types.CompletedPart{ETag: out.ETag, PartNumber: &number}
	}
	upload(1, []byte("to be replaced"))
	s.stop() // uploads survive a restart
	s = start(t, dir)
	c = s.client("root", "us-east-1")
	done := []types.CompletedPart{upload(1, parts[0]), upload(2, parts[1])}
	listed, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: name, Key: key, UploadId: created.UploadId})
	if err != nil || len(listed.Parts) != 2 || *listed.Parts[0].Size != 5<<20 {
		t.Fatalf("parts: %+v, %v", listed, err)
	}
	finish := func(parts []types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
		return c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
			Bucket: name, Key: key, UploadId: created.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}, IfNoneMatch: aws.String("*"),
		})
	}
	_, err = finish([]types.CompletedPart{done[1], done[0]})
	wantCode(t, err, "InvalidPartOrder")
	_, err = finish([]types.CompletedPart{{ETag: aws.String(`"0"`), PartNumber: aws.Int32(1)}})
	wantCode(t, err, "InvalidPart")
	out, err := finish(done)
	if err != nil {
		t.Fatal(err)
	}
	a, b := md5.Sum(parts[0]), md5.Sum(parts[1])
	if want := fmt.Sprintf(`"%x-2"`, md5.Sum(append(a[:], b[:]...))); *out.ETag != want {
		t.Errorf("ETag: got %s, want %s", *out.ETag, want)
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: name, Key: key})
	if err != nil || *head.ETag != *out.ETag || *head.ContentLength != 5<<20+4 || head.Metadata["a"] != "b" {
		t.Errorf("head: %+v, %v", head, err)
	}
	_, err = finish(done)
	wantCode(t, err, "NoSuchUpload")
}

func TestUploadPartCopyAndAbort(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	name, key := aws.String("logs"), aws.String("k")
	put(t, c, "logs", "src", "0123456789")
	created, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: name, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	part, err := c.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{Bucket: name, Key: key, UploadId: created.UploadId, PartNumber: aws.Int32(1), CopySource: aws.String("logs/src"), CopySourceRange: aws.String("bytes=2-4")})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`"%x"`, md5.Sum([]byte("234"))); *part.CopyPartResult.ETag != want {
		t.Errorf("ETag: got %s, want %s", *part.CopyPartResult.ETag, want)
	}
	uploads, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: name})
	if err != nil || len(uploads.Uploads) != 1 || *uploads.Uploads[0].UploadId != *created.UploadId {
		t.Fatalf("uploads: %+v, %v", uploads, err)
	}
	if _, err := c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: name, Key: key, UploadId: created.UploadId}); err != nil {
		t.Fatal(err)
	}
	_, err = c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: name, Key: key, UploadId: created.UploadId})
	wantCode(t, err, "NoSuchUpload")
}

func TestTags(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	name, key := aws.String("logs"), aws.String("k")
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: name, Key: key, Body: strings.NewReader(""), Tagging: aws.String("a=1&b=x%20y")}); err != nil {
		t.Fatal(err)
	}
	tags := func() map[string]string {
		out, err := c.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: name, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, tag := range out.TagSet {
			got[*tag.Key] = *tag.Value
		}
		return got
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "x y"}, tags()); diff != "" {
		t.Errorf("put with the object (-want +got):\n%s", diff)
	}
	if _, err := c.PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: name, Key: key, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("c"), Value: aws.String("3")}}}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"c": "3"}, tags()); diff != "" {
		t.Errorf("replaced (-want +got):\n%s", diff)
	}
}

func TestNothingOfCredentialsIsStored(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.http.URL+"/logs/k", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Security-Token", "secret-token")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=root/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=secret-signature")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("putting: %v, %v", resp, err)
	}
	resp.Body.Close()
	resp, err = http.Get(s.http.URL + "/logs/k")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	record := fmt.Sprint(s.last().Record, resp.Header)
	if strings.Contains(record, "secret") {
		t.Errorf("found in %s", record)
	}
}

// A query parameter that gofakes3 is to see has it answer; what it answers and what is answered without it are the same.
func TestWholeObjectsAreAnsweredAlike(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "plain")
	bucket(t, c, "versions")
	if _, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: aws.String("versions"), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plain", "versions"} {
		for key, body := range map[string]string{"empty": "", "small": "text", "large": strings.Repeat("0123456789abcdef", 1<<16) + "."} {
			if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: &name, Key: &key, Body: strings.NewReader(body), ContentType: aws.String("application/json"), ContentEncoding: aws.String("gzip"),
				CacheControl: aws.String("no-store"), Tagging: aws.String("a=1&b=2"), Metadata: map[string]string{"signature": "00ff"},
			}); err != nil {
				t.Fatal(err)
			}
			put(t, c, name, "bare-"+key, body)
		}
		for _, key := range []string{"empty", "small", "large", "bare-empty", "bare-small", "bare-large", "absent"} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				for _, header := range []string{"", "If-None-Match", "If-Match", "X-Amz-Checksum-Mode"} {
					ours, theirs := answer(t, s, method, "/"+name+"/"+key, header), answer(t, s, method, "/"+name+"/"+key+"?response-expires=", header)
					if diff := cmp.Diff(theirs, ours); diff != "" {
						t.Errorf("%s %s/%s, %q (-gofakes3 +without):\n%s", method, name, key, header, diff)
					}
				}
			}
		}
	}
}

// answer is an answer's status, headers and body.
func answer(t *testing.T, s *server, method, target, header string) []any {
	t.Helper()
	r, err := http.NewRequest(method, s.http.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=root/20261123/us-east-1/s3/aws4_request")
	if header != "" {
		r.Header.Set(header, map[string]string{"If-None-Match": "*", "If-Match": "*", "X-Amz-Checksum-Mode": "ENABLED"}[header])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Header.Del("Date")
	return []any{resp.StatusCode, resp.ContentLength, resp.Header, string(body)}
}
