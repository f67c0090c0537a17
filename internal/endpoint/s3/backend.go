package s3

import (
	"encoding/hex"
	"errors"
	"io"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"github.com/aitrail/aitrail/internal/endpoint/s3/disk"
)

// keep marks what gofakes3 has no place for in an object's metadata: headers it would not store (Cache-Control), and on
// the way out the ETag, which it takes for an MD5 whatever the object is.
const keep = "X-Amz-Keep-"

// backend is package disk as gofakes3 wants it. There is one for each request, with that request's conditions.
type backend struct {
	store *disk.Store
	cond  disk.Condition
	err   error // the store's last
}

var (
	_ gofakes3.Backend          = (*backend)(nil)
	_ gofakes3.VersionedBackend = (*backend)(nil)
	_ gofakes3.MultipartBackend = (*backend)(nil)
)

// fail remembers the store's own error, which says more than gofakes3's codes can; [Service.forward] answers with it.
func (b *backend) fail(err error) error {
	if err != nil {
		b.err = err
	}
	return err
}

// diskVersion is the version gofakes3 was asked for. It takes "null" for none, so null is sent to it by another name.
const sentNull = "the-null-version"

func diskVersion(v gofakes3.VersionID) string {
	if v == sentNull {
		return disk.NullVersion
	}
	return string(v)
}

// shownVersion is how a version is named in an answer: not at all in a bucket that never had versions.
func (b *backend) shownVersion(bucket, version string) gofakes3.VersionID {
	if version != "" {
		return gofakes3.VersionID(version)
	}
	if info, err := b.store.Bucket(bucket); err == nil && info.Versioning != disk.Unversioned {
		return disk.NullVersion
	}
	return ""
}

func (b *backend) object(bucket string, o disk.Object) *gofakes3.Object {
	meta := map[string]string{keep + "Etag": o.ETag, "Last-Modified": o.Modified.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	for k, v := range o.Meta {
		meta[k] = v
	}
	sum, _, _ := strings.Cut(o.ETag, "-")
	hash, _ := hex.DecodeString(sum) // a delete marker has none
	return &gofakes3.Object{
		Name: o.Key, Metadata: meta, Size: o.Size, Hash: hash, Contents: io.NopCloser(strings.NewReader("")),
		VersionID: b.shownVersion(bucket, o.Version), IsDeleteMarker: o.Marker,
	}
}

func (b *backend) ListBuckets() (list []gofakes3.BucketInfo, err error) {
	all, err := b.store.Buckets()
	for _, x := range all {
		list = append(list, gofakes3.BucketInfo{Name: x.Name, CreationDate: gofakes3.NewContentTime(x.Created)})
	}
	return list, err
}

func (b *backend) ListBucket(name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	q := disk.Query{After: page.Marker, Max: 1000}
	if prefix != nil {
		q.Prefix, q.Delimiter = prefix.Prefix, prefix.Delimiter
	}
	if page.MaxKeys > 0 {
		q.Max = int(page.MaxKeys)
	}
	p, err := b.store.List(name, q)
	if err != nil {
		return nil, b.fail(err)
	}
	list := gofakes3.NewObjectList()
	for _, o := range p.Objects {
		list.Add(&gofakes3.Content{Key: o.Key, LastModified: gofakes3.NewContentTime(o.Modified), ETag: `"` + o.ETag + `"`, Size: o.Size})
	}
	for _, common := range p.Prefixes {
		list.AddPrefix(common)
	}
	list.IsTruncated, list.NextMarker = p.Truncated, p.Next
	return list, nil
}

func (b *backend) CreateBucket(name string) error {
	return b.fail(b.store.CreateBucket(name, "us-east-1", disk.Unversioned))
}

func (b *backend) BucketExists(name string) (bool, error) {
	_, err := b.store.Bucket(name)
	if errors.Is(err, disk.ErrNoBucket) {
		return false, nil
	}
	return err == nil, err
}

func (b *backend) DeleteBucket(name string) error { return b.fail(b.store.DeleteBucket(name)) }

// ForceDeleteBucket is for a header only MinIO has; here a bucket goes when it is empty.
func (b *backend) ForceDeleteBucket(name string) error { return b.DeleteBucket(name) }

func (b *backend) GetObject(bucket, key string, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	return b.GetObjectVersion(bucket, key, "", r)
}

func (b *backend) GetObjectVersion(bucket, key string, v gofakes3.VersionID, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	o, f, err := b.store.Open(bucket, key, diskVersion(v))
	if err != nil {
		return nil, b.fail(err)
	}
	out := b.object(bucket, o)
	if f == nil {
		return out, nil
	}
	body := &body{file: f, length: o.Size}
	if out.Range, err = r.Range(o.Size); err != nil {
		f.Close()
		return nil, err // as it is: gofakes3 goes by its type
	}
	if out.Range != nil {
		body.offset, body.length = out.Range.Start, out.Range.Length
	}
	out.Contents = body
	return out, nil
}

func (b *backend) HeadObject(bucket, key string) (*gofakes3.Object, error) {
	return b.HeadObjectVersion(bucket, key, "")
}

func (b *backend) HeadObjectVersion(bucket, key string, v gofakes3.VersionID) (*gofakes3.Object, error) {
	o, err := b.store.Head(bucket, key, diskVersion(v))
	if err != nil {
		return nil, b.fail(err)
	}
	return b.object(bucket, o), nil
}

func (b *backend) PutObject(bucket, key string, meta map[string]string, input io.Reader, _ int64, _ *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	delete(meta, "Last-Modified")
	o, err := b.store.Put(bucket, disk.Object{Key: key, Meta: meta}, input, b.cond)
	if err != nil {
		return gofakes3.PutObjectResult{}, b.fail(err)
	}
	return gofakes3.PutObjectResult{VersionID: b.shownVersion(bucket, o.Version)}, nil
}

func (b *backend) CopyObject(srcBucket, srcKey, dstBucket, dstKey string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObject(b, srcBucket, srcKey, dstBucket, dstKey, meta)
}

func (b *backend) DeleteObject(bucket, key string) (gofakes3.ObjectDeleteResult, error) {
	return b.DeleteObjectVersion(bucket, key, "")
}

func (b *backend) DeleteObjectVersion(bucket, key string, v gofakes3.VersionID) (gofakes3.ObjectDeleteResult, error) {
	d, err := b.store.Delete(bucket, key, diskVersion(v))
	if err != nil {
		return gofakes3.ObjectDeleteResult{}, b.fail(err)
	}
	return gofakes3.ObjectDeleteResult{IsDeleteMarker: d.Marker, VersionID: b.shownVersion(bucket, d.Version)}, nil
}

func (b *backend) DeleteMulti(bucket string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	ids := make([]gofakes3.ObjectID, len(keys))
	for i, key := range keys {
		ids[i].Key = key
	}
	return b.DeleteMultiVersions(bucket, ids...)
}

func (b *backend) DeleteMultiVersions(bucket string, ids ...gofakes3.ObjectID) (out gofakes3.MultiDeleteResult, err error) {
	for _, id := range ids {
		if _, err := b.store.Delete(bucket, id.Key, id.VersionID); err != nil {
			out.Error = append(out.Error, gofakes3.ErrorResult{Key: id.Key, Code: gofakes3.ErrInternal, Message: "We encountered an internal error. Please try again."})
			continue
		}
		out.Deleted = append(out.Deleted, id)
	}
	return out, nil
}

func (b *backend) VersioningConfiguration(bucket string) (gofakes3.VersioningConfiguration, error) {
	info, err := b.store.Bucket(bucket)
	return gofakes3.VersioningConfiguration{Status: gofakes3.VersioningStatus(info.Versioning)}, b.fail(err)
}

func (b *backend) SetVersioningConfiguration(bucket string, v gofakes3.VersioningConfiguration) error {
	return b.fail(b.store.SetVersioning(bucket, disk.Versioning(v.Status)))
}

func (b *backend) ListBucketVersions(bucket string, prefix *gofakes3.Prefix, page *gofakes3.ListBucketVersionsPage) (*gofakes3.ListBucketVersionsResult, error) {
	q := disk.Query{Max: 1000}
	if prefix != nil {
		q.Prefix, q.Delimiter = prefix.Prefix, prefix.Delimiter
	}
	if page != nil {
		q.After, q.AfterVersion = page.KeyMarker, string(page.VersionIDMarker)
		if page.MaxKeys > 0 {
			q.Max = int(page.MaxKeys)
		}
	}
	p, err := b.store.ListVersions(bucket, q)
	if err != nil {
		return nil, b.fail(err)
	}
	out := gofakes3.NewListBucketVersionsResult(bucket, prefix, page)
	for _, o := range p.Objects {
		at, id := gofakes3.NewContentTime(o.Modified), gofakes3.VersionID(o.Version)
		if o.Marker {
			out.Versions = append(out.Versions, &gofakes3.DeleteMarker{Key: o.Key, VersionID: id, IsLatest: o.Latest, LastModified: at})
			continue
		}
		out.Versions = append(out.Versions, &gofakes3.Version{Key: o.Key, VersionID: id, IsLatest: o.Latest, LastModified: at, Size: o.Size, StorageClass: "STANDARD", ETag: `"` + o.ETag + `"`})
	}
	for _, common := range p.Prefixes {
		out.AddPrefix(common)
	}
	out.IsTruncated, out.NextKeyMarker, out.NextVersionIDMarker = p.Truncated, p.Next, gofakes3.VersionID(p.NextVersion)
	return out, nil
}

func (b *backend) CreateMultipartUpload(bucket, key string, meta map[string]string) (gofakes3.UploadID, error) {
	delete(meta, "Last-Modified")
	id, err := b.store.CreateUpload(bucket, key, meta)
	return gofakes3.UploadID(id), b.fail(err)
}

func (b *backend) UploadPart(bucket, key string, id gofakes3.UploadID, number int, _ int64, input io.Reader) (string, error) {
	etag, err := b.store.PutPart(bucket, key, string(id), number, input)
	return `"` + etag + `"`, b.fail(err)
}

func (b *backend) ListMultipartUploads(bucket string, marker *gofakes3.UploadListMarker, prefix gofakes3.Prefix, limit int64) (*gofakes3.ListMultipartUploadsResult, error) {
	all, err := b.store.Uploads(bucket, prefix.Prefix)
	if err != nil {
		return nil, b.fail(err)
	}
	out := &gofakes3.ListMultipartUploadsResult{Bucket: bucket, Prefix: prefix.Prefix, MaxUploads: limit}
	if marker != nil {
		out.KeyMarker, out.UploadIDMarker = marker.Object, marker.UploadID
	}
	passed := marker == nil || marker.UploadID == ""
	for _, u := range all {
		if marker != nil && (u.Key < marker.Object || u.Key == marker.Object && passed && marker.UploadID == "") {
			continue
		}
		if !passed && u.Key == marker.Object {
			passed = gofakes3.UploadID(u.ID) == marker.UploadID
			continue
		}
		if int64(len(out.Uploads)) == limit {
			last := out.Uploads[limit-1]
			out.IsTruncated, out.NextKeyMarker, out.NextUploadIDMarker = true, last.Key, last.UploadID
			break
		}
		out.Uploads = append(out.Uploads, gofakes3.ListMultipartUploadItem{
			Key: u.Key, UploadID: gofakes3.UploadID(u.ID), StorageClass: "STANDARD", Initiated: gofakes3.NewContentTime(u.Initiated),
		})
	}
	return out, nil
}

func (b *backend) ListParts(bucket, key string, id gofakes3.UploadID, marker int, limit int64) (*gofakes3.ListMultipartUploadPartsResult, error) {
	parts, err := b.store.Parts(bucket, key, string(id))
	if err != nil {
		return nil, b.fail(err)
	}
	out := &gofakes3.ListMultipartUploadPartsResult{Bucket: bucket, Key: key, UploadID: id, MaxParts: limit, PartNumberMarker: marker, StorageClass: "STANDARD"}
	for _, p := range parts {
		if p.Number <= marker {
			continue
		}
		if int64(len(out.Parts)) == limit {
			out.IsTruncated = true
			break
		}
		out.NextPartNumberMarker = p.Number
		out.Parts = append(out.Parts, gofakes3.ListMultipartUploadPartItem{PartNumber: p.Number, LastModified: gofakes3.NewContentTime(p.Modified), ETag: `"` + p.ETag + `"`, Size: p.Size})
	}
	return out, nil
}

func (b *backend) AbortMultipartUpload(bucket, key string, id gofakes3.UploadID) error {
	return b.fail(b.store.Abort(bucket, key, string(id)))
}

func (b *backend) CompleteMultipartUpload(bucket, key string, id gofakes3.UploadID, in *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	parts := make([]disk.Part, len(in.Parts))
	for i, p := range in.Parts {
		parts[i] = disk.Part{Number: p.PartNumber, ETag: p.ETag}
	}
	o, err := b.store.Complete(bucket, key, string(id), parts, b.cond)
	if err != nil {
		return "", "", b.fail(err)
	}
	return b.shownVersion(bucket, o.Version), `"` + o.ETag + `"`, nil
}
