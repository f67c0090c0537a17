package s3_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

func TestVersions(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.client("root", "us-east-1")
	bucket(t, c, "logs")
	name, key := aws.String("logs"), aws.String("k")
	put(t, c, "logs", "k", "before")
	status := func(v types.BucketVersioningStatus) {
		if _, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: name, VersioningConfiguration: &types.VersioningConfiguration{Status: v}}); err != nil {
			t.Fatal(err)
		}
	}
	status(types.BucketVersioningStatusEnabled)
	one := *put(t, c, "logs", "k", "one").VersionId
	two := *put(t, c, "logs", "k", "two").VersionId
	for version, want := range map[string]string{"": "two", one: "one", two: "two", "null": "before"} {
		in := &s3.GetObjectInput{Bucket: name, Key: key}
		if version != "" {
			in.VersionId = &version
		}
		if got := get(t, c, in); got != want {
			t.Errorf("version %q: got %q, want %q", version, got, want)
		}
	}
	deleted, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: name, Key: key})
	if err != nil || !*deleted.DeleteMarker {
		t.Fatalf("deleting: %+v, %v", deleted, err)
	}
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: name, Key: key})
	wantCode(t, err, "NoSuchKey")
	got := versionList(t, c)
	want := []string{"marker " + *deleted.VersionId + " latest", two, one, "null"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	_, err = c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: name})
	wantCode(t, err, "BucketNotEmpty")
	// Without the marker the newest version is the current one again.
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: name, Key: key, VersionId: deleted.VersionId}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, &s3.GetObjectInput{Bucket: name, Key: key}); got != "two" {
		t.Errorf("undeleted: got %q, want two", got)
	}
	status(types.BucketVersioningStatusSuspended)
	put(t, c, "logs", "k", "null again")
	if diff := cmp.Diff([]string{"null latest", two, one}, versionList(t, c)); diff != "" {
		t.Errorf("suspended: the new null version takes the old one's place (-want +got):\n%s", diff)
	}
	var ids []types.ObjectIdentifier
	for _, v := range []string{one, two, "null"} {
		ids = append(ids, types.ObjectIdentifier{Key: key, VersionId: &v})
	}
	if _, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: name, Delete: &types.Delete{Objects: ids}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: name}); err != nil {
		t.Error(err)
	}
}

// versionList lists all versions with pages of one.
func versionList(t *testing.T, c *s3.Client) (got []string) {
	t.Helper()
	in := &s3.ListObjectVersionsInput{Bucket: aws.String("logs"), MaxKeys: aws.Int32(1)}
	for range 100 {
		out, err := c.ListObjectVersions(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		latest := func(is bool) string {
			if is {
				return " latest"
			}
			return ""
		}
		for _, m := range out.DeleteMarkers {
			got = append(got, "marker "+*m.VersionId+latest(*m.IsLatest))
		}
		for _, v := range out.Versions {
			got = append(got, *v.VersionId+latest(*v.IsLatest))
		}
		if !*out.IsTruncated {
			return got
		}
		in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
	}
	t.Fatal("the listing has no end")
	return nil
}
