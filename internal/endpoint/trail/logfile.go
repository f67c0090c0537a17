package trail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// logFile is a log file in the making: the events of a span in one Region.
type logFile struct {
	region string
	unique string
	hash   string       // SHA-256 of the JSON, hexadecimal
	body   bytes.Buffer // the gzip file
	newest time.Time
	oldest time.Time

	zip *gzip.Writer
	sum hash.Hash
	n   int
}

// logFiles returns the span's log files, in the order of their Regions. The same span gives the same files.
func (s *Service) logFiles(t *trail, sp span) ([]*logFile, error) {
	byRegion := map[string]*logFile{}
	var files []*logFile
	err := s.choose(t, sp, func(e *cloudtrail.Event, text string) error {
		f := byRegion[e.AWSRegion]
		if f == nil {
			f = &logFile{region: e.AWSRegion, unique: unique(t.ID, origin{sp.Account, e.AWSRegion}, sp), sum: sha256.New()}
			f.zip = gzip.NewWriter(&f.body)
			byRegion[e.AWSRegion] = f
			files = append(files, f)
		}
		return f.add(e, text)
	})
	if err != nil {
		return nil, fmt.Errorf("making log files: %w", err)
	}
	for _, f := range files {
		if err := f.close(); err != nil {
			return nil, fmt.Errorf("making log files: %w", err)
		}
	}
	slices.SortFunc(files, func(a, b *logFile) int { return strings.Compare(a.region, b.region) })
	return files, nil
}

func (f *logFile) add(e *cloudtrail.Event, text string) error {
	before := ","
	if f.n == 0 {
		before, f.newest, f.oldest = `{"Records":[`, e.EventTime, e.EventTime
	}
	f.n++
	if e.EventTime.After(f.newest) {
		f.newest = e.EventTime
	}
	if e.EventTime.Before(f.oldest) {
		f.oldest = e.EventTime
	}
	if err := f.write(before); err != nil {
		return err
	}
	return f.write(text)
}

func (f *logFile) write(text string) error {
	f.sum.Write([]byte(text))
	_, err := f.zip.Write([]byte(text))
	return err
}

func (f *logFile) close() error {
	if err := f.write("]}"); err != nil {
		return err
	}
	f.hash = hex.EncodeToString(f.sum.Sum(nil))
	return f.zip.Close()
}

// unique is the part of a log file's name that makes it one. It follows from the trail, the origin and the range of the
// record.
func unique(id string, from origin, sp span) string {
	return letters(fmt.Sprintf("%s\n%s\n%x\n%x\n%s", id, from, int64(sp.From), int64(sp.To), sp.Only))
}

// letters makes 16 letters and digits of a text.
func letters(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	sum := sha256.Sum256([]byte(text))
	name := make([]byte, 16)
	for i := range name {
		name[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(name)
}
