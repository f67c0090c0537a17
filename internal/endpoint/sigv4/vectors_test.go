package sigv4_test

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/sigv4"
)

// The requests and signatures of AWS's published test suite and of the S3 API reference ("Signature Calculations for
// the Authorization Header", "Transferring Payload in Multiple Chunks", "Using Query Parameters").
const (
	suiteSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	s3Secret    = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func read(t *testing.T, lines ...string) (*http.Request, []byte) {
	t.Helper()
	text := strings.Join(lines, "\r\n") + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return r, nil
}

func suiteAuth(headers, signature string) string {
	return "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" + headers + ", Signature=" + signature
}

func s3Auth(headers, signature string) string {
	return "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + headers + ",Signature=" + signature
}

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestPublishedVectors(t *testing.T) {
	suite := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	s3 := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		now    time.Time
		secret string
		lines  []string
		body   string
	}{
		"get-vanilla": {suite, suiteSecret, []string{
			"GET / HTTP/1.1", "Host: example.amazonaws.com", "X-Amz-Date: 20150830T123600Z",
			suiteAuth("host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")}, ""},
		"get-vanilla-query-order-key-case": {suite, suiteSecret, []string{
			"GET /?Param2=value2&Param1=value1 HTTP/1.1", "Host: example.amazonaws.com", "X-Amz-Date: 20150830T123600Z",
			suiteAuth("host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")}, ""},
		"get-relative": {suite, suiteSecret, []string{
			"GET /example/.. HTTP/1.1", "Host: example.amazonaws.com", "X-Amz-Date: 20150830T123600Z",
			suiteAuth("host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")}, ""},
		"get-header-value-trim": {suite, suiteSecret, []string{
			"GET / HTTP/1.1", "Host: example.amazonaws.com", "My-Header1:  value1", "My-Header2:  \"a   b   c\"  ", "X-Amz-Date: 20150830T123600Z",
			suiteAuth("host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736")}, ""},
		"post-vanilla": {suite, suiteSecret, []string{
			"POST / HTTP/1.1", "Host: example.amazonaws.com", "X-Amz-Date: 20150830T123600Z",
			suiteAuth("host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")}, ""},
		"post-x-www-form-urlencoded": {suite, suiteSecret, []string{
			"POST / HTTP/1.1", "Content-Type: application/x-www-form-urlencoded", "Host: example.amazonaws.com", "X-Amz-Date: 20150830T123600Z",
			suiteAuth("content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a")}, "Param1=value1"},
		"s3 get object": {s3, s3Secret, []string{
			"GET /test.txt HTTP/1.1", "Host: examplebucket.s3.amazonaws.com", "Range: bytes=0-9", "x-amz-content-sha256: " + emptyHash, "x-amz-date: 20130524T000000Z",
			s3Auth("host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")}, ""},
		"s3 put object": {s3, s3Secret, []string{
			"PUT /test$file.text HTTP/1.1", "Host: examplebucket.s3.amazonaws.com", "Date: Fri, 24 May 2013 00:00:00 GMT", "x-amz-date: 20130524T000000Z",
			"x-amz-storage-class: REDUCED_REDUNDANCY", "x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			s3Auth("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")}, "Welcome to Amazon S3."},
		"s3 get bucket lifecycle": {s3, s3Secret, []string{
			"GET /?lifecycle HTTP/1.1", "Host: examplebucket.s3.amazonaws.com", "x-amz-date: 20130524T000000Z", "x-amz-content-sha256: " + emptyHash,
			s3Auth("host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")}, ""},
		"s3 list objects": {s3, s3Secret, []string{
			"GET /?max-keys=2&prefix=J HTTP/1.1", "Host: examplebucket.s3.amazonaws.com", "x-amz-date: 20130524T000000Z", "x-amz-content-sha256: " + emptyHash,
			s3Auth("host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")}, ""},
		"s3 presigned": {s3.Add(23 * time.Hour), s3Secret, []string{
			"GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1",
			"Host: examplebucket.s3.amazonaws.com"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := read(t, tt.lines...)
			s, err := sigv4.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := s.Verify(r, []byte(tt.body), tt.secret, tt.now); err != nil || string(body) != tt.body {
				t.Errorf("Verify = %q, %v", body, err)
			}
			if _, err := s.Verify(r, []byte(tt.body), tt.secret+"x", tt.now); kind(err) != sigv4.BadSignature {
				t.Errorf("Verify with another secret = %v", err)
			}
			r.Method = "DELETE"
			if _, err := s.Verify(r, []byte(tt.body), tt.secret, tt.now); kind(err) != sigv4.BadSignature {
				t.Errorf("Verify of another method = %v", err)
			}
		})
	}
}

// kind returns the error's kind, or -1.
func kind(err error) sigv4.Kind {
	var e *sigv4.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return -1
}

// chunkedBody is 66,560 times "a" in two chunks, as in the S3 API reference.
func chunkedBody(first, second, last, trailers string) []byte {
	var b bytes.Buffer
	for _, c := range []struct {
		size, n   string
		signature string
	}{{"10000", strings.Repeat("a", 65536), first}, {"400", strings.Repeat("a", 1024), second}} {
		b.WriteString(c.size + ";chunk-signature=" + c.signature + "\r\n" + c.n + "\r\n")
	}
	b.WriteString("0;chunk-signature=" + last + "\r\n" + trailers + "\r\n")
	return b.Bytes()
}

func chunkedRequest(t *testing.T) *http.Request {
	r, _ := read(t, "PUT /examplebucket/chunkObject.txt HTTP/1.1", "Host: s3.amazonaws.com", "x-amz-date: 20130524T000000Z",
		"x-amz-storage-class: REDUCED_REDUNDANCY", "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
		"Content-Encoding: aws-chunked", "x-amz-decoded-content-length: 66560", "Content-Length: 66824",
		s3Auth("content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
			"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"))
	return r
}

func TestPublishedChunks(t *testing.T) {
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	good := chunkedBody("ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9", "")
	want := strings.Repeat("a", 66560)

	r := chunkedRequest(t)
	s, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := s.Verify(r, good, s3Secret, now)
	if err != nil || string(body) != want {
		t.Fatalf("Verify = %d bytes, %v", len(body), err)
	}
	if r.ContentLength != 66560 || r.Header.Get("Content-Encoding") != "" || r.Header.Get("Content-Length") != "66560" {
		t.Errorf("headers of the decoded body: %d, %v", r.ContentLength, r.Header)
	}

	for name, tt := range map[string]struct {
		damage func(b []byte) []byte
		want   sigv4.Kind
	}{
		"a byte changed":     {func(b []byte) []byte { b[200] = 'b'; return b }, sigv4.BadSignature},
		"a signature":        {func(b []byte) []byte { return bytes.Replace(b, []byte("=0055"), []byte("=0056"), 1) }, sigv4.BadSignature},
		"cut in a chunk":     {func(b []byte) []byte { return b[:1000] }, sigv4.BodyIncomplete},
		"cut before the end": {func(b []byte) []byte { return b[:bytes.Index(b, []byte("0;chunk-signature=b6"))] }, sigv4.BodyIncomplete},
		"no size":            {func(b []byte) []byte { return append([]byte("x"), b...) }, sigv4.BodyIncomplete},
		"nothing":            {func([]byte) []byte { return nil }, sigv4.BodyIncomplete},
	} {
		r := chunkedRequest(t)
		if _, err := s.Verify(r, tt.damage(bytes.Clone(good)), s3Secret, now); kind(err) != tt.want {
			t.Errorf("%s: %v, want kind %d", name, err, tt.want)
		}
		if r.Header.Get("Content-Encoding") != "aws-chunked" {
			t.Errorf("%s: the request that didn't verify was changed", name)
		}
	}
}
