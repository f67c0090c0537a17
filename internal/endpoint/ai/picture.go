package ai

import (
	"bytes"
	"context"
	"strings"
)

// content is what a service was given to look at: bytes in the request, or an object of S3.
type content struct {
	bytes []byte // nil when the object's content isn't known
	key   string // what results depend on: the content, or the object's address
}

// load reads an Image or Document member. ok is false when it names an object that isn't there; both are empty when the
// caller gave neither.
func (b *backend) load(ctx context.Context, v any) (found content, ok bool) {
	if raw, isBytes := at(v, "Bytes").([]byte); isBytes {
		return content{raw, string(raw)}, true
	}
	bucket, name := text(v, "S3Object", "Bucket"), text(v, "S3Object", "Name")
	if bucket == "" || name == "" {
		return content{}, true
	}
	if b.Object == nil {
		return content{key: bucket + "/" + name}, true
	}
	raw, ok := b.Object(ctx, bucket, name)
	return content{raw, string(raw)}, ok
}

// format names a file's format by its first bytes; "" for others.
func format(raw []byte) string {
	for name, magic := range map[string]string{"png": "\x89PNG\r\n\x1a\n", "jpeg": "\xff\xd8\xff", "pdf": "%PDF-", "tiff": "II*\x00", "tiff-be": "MM\x00*"} {
		if bytes.HasPrefix(raw, []byte(magic)) {
			return strings.TrimSuffix(name, "-be")
		}
	}
	return ""
}

// pick takes n different items, which ones depends on the key alone.
func pick[T any](items []T, n int, key string) []T {
	rest := append([]T{}, items...)
	out := make([]T, 0, n)
	for i := 0; i < n && len(rest) > 0; i++ {
		at := int(hash(key, string(rune('a'+i))) % uint64(len(rest)))
		out = append(out, rest[at])
		rest = append(rest[:at], rest[at+1:]...)
	}
	return out
}

// between is a number from low to high with four digits, which one depends on the parts alone.
func between(low, high float64, parts ...string) float64 {
	n := float64(hash(parts...) % 10_000)
	return float64(int((low+(high-low)*n/10_000)*1e4)) / 1e4
}

// box is a rectangle in an image, in shares of its width and height.
func box(left, top, width, height float64) obj {
	return obj{"Left": left, "Top": top, "Width": width, "Height": height}
}

// geometry is a box and its corners.
func geometry(left, top, width, height float64) obj {
	corner := func(x, y float64) obj { return obj{"X": x, "Y": y} }
	return obj{"BoundingBox": box(left, top, width, height), "Polygon": []any{
		corner(left, top), corner(left+width, top), corner(left+width, top+height), corner(left, top+height),
	}}
}

// seen is the text that is "read" from a document or image: the text of a PDF that holds it in clear, else lines of an
// order form whose numbers depend on the content.
func (c content) seen() []string {
	if lines := pdfText(c.bytes); len(lines) > 0 {
		return lines
	}
	number := func(name string, n uint64) string { return id(int(n), "0123456789", c.key, name) }
	first := pick([]string{"Invoice", "Receipt", "Order form", "Delivery note", "Statement"}, 1, c.key)[0]
	return []string{first, "Number: " + number("number", 6), "Customer: Jane Doe", "Total: $1" + number("total", 2) + "." + number("cents", 2)}
}

// pdfText takes the strings that a PDF's uncompressed content shows.
func pdfText(raw []byte) []string {
	if format(raw) != "pdf" {
		return nil
	}
	var lines []string
	for len(raw) > 0 && len(lines) < 200 {
		i := bytes.Index(raw, []byte("Tj"))
		if i < 0 {
			break
		}
		before := bytes.TrimSpace(raw[:i])
		raw = raw[i+2:]
		open := bytes.LastIndexByte(before, '(')
		if open < 0 || !bytes.HasSuffix(before, []byte(")")) {
			continue
		}
		if line := strings.TrimSpace(strings.ToValidUTF8(string(before[open+1:len(before)-1]), "")); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
