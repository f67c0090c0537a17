package digest_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aitrail/aitrail/internal/digest"
)

// day delivers a day of 2,000 log files in 24 digests.
func day(b *testing.B, events int) *memory {
	m := newMemory()
	tr := newTrail(b, m)
	tr.events = events
	for i := range 24 {
		n := 2000 / 24
		if i < 2000%24 {
			n++
		}
		tr.hour(n)
	}
	return m
}

var sizes = []struct {
	name   string
	events int
}{{"small", 5}, {"large", 1500}}

func BenchmarkVerify(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			m := day(b, size.events)
			for b.Loop() {
				report, err := digest.Verify(b.Context(), m, publicKeys(), digest.Options{})
				if err != nil {
					b.Fatal(err)
				}
				if report.LogFiles.Verified != 2000 {
					b.Fatalf("log files = %+v", report.LogFiles)
				}
				b.SetBytes(report.Bytes)
			}
			b.ReportMetric(2000*float64(b.N)/b.Elapsed().Seconds(), "files/s")
		})
	}
}

// BenchmarkInflateAndHash does to the same log files what can't be done without: the bound for Verify.
func BenchmarkInflateAndHash(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			m := day(b, size.events)
			var files [][]byte
			for path, f := range m.files {
				if !strings.Contains(path, "-Digest") {
					files = append(files, f.body)
				}
			}
			for b.Loop() {
				var next, total atomic.Int64
				var group sync.WaitGroup
				for range 4 {
					group.Go(func() {
						var z gzip.Reader
						for i := next.Add(1) - 1; int(i) < len(files); i = next.Add(1) - 1 {
							if err := z.Reset(bytes.NewReader(files[i])); err != nil {
								panic(err)
							}
							n, err := io.Copy(sha256.New(), &z)
							if err != nil {
								panic(err)
							}
							total.Add(n)
						}
					})
				}
				group.Wait()
				b.SetBytes(total.Load())
			}
			b.ReportMetric(2000*float64(b.N)/b.Elapsed().Seconds(), "files/s")
		})
	}
}
