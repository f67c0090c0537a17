package trail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/gzip"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/endpoint/fault"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// lateBucket holds late files: TRAIL ID/REGION/POSITION → lateFile.
const lateBucket = "trail.late"

// lateRounds is how many rounds of delivery later than due a late file is delivered.
const lateRounds = 3

// lateFile is a log file that waits for its round, as it will be delivered.
type lateFile struct {
	Rounds  int    // still to go
	Account string `json:",omitempty"` // "" is the trail's own
	Region  string
	From    Position // of the span it is made of
	Object  Object
	Entry   fileEntry
}

// delivery is what becomes of a log file: the objects to put, what digests say of them, and what is put later instead.
// Without a fault that is one object and what is true of it.
type delivery struct {
	objects []*Object
	entries []fileEntry
	late    *lateFile
}

// strikes tells whether a fault strikes the file or digest with the key.
func (s *Service) strikes(name fault.Name, key string) bool {
	return s.opts.Fault != nil && s.opts.Fault(name, key)
}

// struck tells the log which file or digest a fault struck, and the times it is about: whoever tries a consumer against it
// wants to know what it should find.
func (s *Service) struck(name fault.Name, key string, from, to time.Time, more ...any) {
	s.opts.Log.Info("fault struck", append([]any{"fault", string(name), "key", key, "from", from, "to", to}, more...)...)
}

// plan says how a log file of a span is delivered. The same file has the same faults at every attempt, while the shares
// stay as they are.
func (s *Service) plan(t *trail, sp span, f *logFile) (*delivery, error) {
	disorder := s.strikes(fault.DisorderFile, f.unique)
	if disorder {
		if err := f.reverse(); err != nil {
			return nil, err
		}
	}
	o, entry := s.object(t, sp, f, f.unique)
	if disorder {
		s.struck(fault.DisorderFile, o.Key, f.oldest, f.newest)
	}
	d := &delivery{objects: []*Object{o}, entries: []fileEntry{entry}}
	if s.strikes(fault.AlteredFile, f.unique) {
		records, err := recordsOf(o.Body)
		if err != nil {
			return nil, err
		}
		o.Body, _ = pack(records[1:])
		s.struck(fault.AlteredFile, o.Key, f.oldest, f.newest)
	}
	if s.strikes(fault.MissingFile, f.unique) {
		d.objects = nil
		s.struck(fault.MissingFile, o.Key, f.oldest, f.newest)
	}
	if s.strikes(fault.DuplicateFile, f.unique) {
		again, entry := s.object(t, sp, f, letters(f.unique+"\nduplicate"))
		d.objects, d.entries = append(d.objects, again), append(d.entries, entry)
		s.struck(fault.DuplicateFile, again.Key, f.oldest, f.newest)
	}
	if s.strikes(fault.ExtraFile, f.unique) {
		extra, _ := s.object(t, sp, f, letters(f.unique+"\nextra"))
		var err error
		if extra.Body, err = forged(f); err != nil {
			return nil, err
		}
		d.objects = append(d.objects, extra)
		s.struck(fault.ExtraFile, extra.Key, f.oldest, f.newest)
	}
	if s.strikes(fault.LateFile, f.unique) && len(d.objects) > 0 && d.objects[0] == o {
		d.late = &lateFile{Rounds: lateRounds, Account: sp.Account, Region: f.region, From: sp.From, Object: *o, Entry: entry}
		d.objects, d.entries = d.objects[1:], d.entries[1:]
		s.struck(fault.LateFile, o.Key, f.oldest, f.newest)
	}
	return d, nil
}

// recordsOf returns the records of a log file as they stand.
func recordsOf(body []byte) ([]string, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r := cloudtrail.NewReader(z)
	var all []string
	for {
		var e cloudtrail.Event
		if err := r.Next(&e); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, r.Raw())
	}
}

// pack makes a log file of records, and the hash that digests have of it.
func pack(records []string) (body []byte, hash string) {
	var b, text bytes.Buffer
	text.WriteString(`{"Records":[`)
	for i, r := range records {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(r)
	}
	text.WriteString("]}")
	z := gzip.NewWriter(&b)
	// A buffer takes all that is written.
	_, _ = z.Write(text.Bytes())
	_ = z.Close()
	sum := sha256.Sum256(text.Bytes())
	return b.Bytes(), hex.EncodeToString(sum[:])
}

// reverse turns the order of the file's records around.
func (f *logFile) reverse() error {
	records, err := recordsOf(f.body.Bytes())
	if err != nil {
		return err
	}
	slices.Reverse(records)
	body, hash := pack(records)
	f.body.Reset()
	f.body.Write(body)
	f.hash = hash
	return nil
}

// forged is a log file with a record of a call that nobody made: the file's first with ids of its own.
func forged(f *logFile) ([]byte, error) {
	records, err := recordsOf(f.body.Bytes())
	if err != nil {
		return nil, err
	}
	var e cloudtrail.Event
	if err := e.Decode(records[0]); err != nil {
		return nil, err
	}
	e.EventID = uuid.NewSHA1(uuid.NameSpaceURL, []byte("event "+f.unique)).String()
	e.RequestID = uuid.NewSHA1(uuid.NameSpaceURL, []byte("request "+f.unique)).String()
	body, _ := pack([]string{string(e.AppendJSON(nil))})
	return body, nil
}

// keep stores a late file; it takes the place of the same one of an earlier attempt.
func (f *lateFile) keep(tx *state.Tx, id string) error {
	return tx.Put(lateBucket, fmt.Sprintf("%s%016x", filesPrefix(id, origin{f.Account, f.Region}), int64(f.From)), f)
}

// deliverLate delivers the late files whose round has come, or all, and notes them for the digests.
func (s *Service) deliverLate(ctx context.Context, id string, all bool) error {
	files, err := state.List[lateFile](s.opts.Store, lateBucket, id+"/")
	if err != nil {
		return fmt.Errorf("reading late log files: %w", err)
	}
	var errs []error
	for _, f := range files {
		v := f.Value
		if v.Rounds--; v.Rounds > 0 && !all {
			errs = append(errs, s.opts.Store.Put(lateBucket, f.Key, v))
			continue
		}
		if err := s.opts.Buckets.DeliverObject(ctx, &v.Object); err != nil {
			errs = append(errs, fmt.Errorf("delivering %s to bucket %s: %w", v.Object.Key, v.Object.Bucket, err))
			continue
		}
		_, err := s.change(id, func(t *trail, tx *state.Tx) error {
			t.Status.Delivery = s.now()
			at := fmt.Sprintf("%016x-%016x", int64(t.of(v.Account).Files.Planned), int64(v.From))
			if err := t.note(tx, origin{v.Account, v.Region}, at, v.Entry); err != nil {
				return err
			}
			return tx.Delete(lateBucket, f.Key)
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// waits tells whether late files of a trail wait for their round: its last digest has to wait for them.
func (s *Service) waits(id string) bool {
	files, err := state.List[lateFile](s.opts.Store, lateBucket, id+"/")
	return err != nil || len(files) > 0
}

// forge makes of a sealed digest what somebody could write who hasn't the key: it names no log file any more, and has the
// signature of the true one. It changes what is put, not what the next digest says.
func forge(sealed *digest.Sealed, d digest.Digest) (*digest.Sealed, error) {
	d.LogFiles, d.NewestEventTime, d.OldestEventTime = nil, "", ""
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(digest.Encode(&d)); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	f := *sealed
	f.Body = b.Bytes()
	return &f, nil
}

// putDigest delivers a digest, or what a fault makes of it.
func (s *Service) putDigest(ctx context.Context, t *trail, sealed *digest.Sealed, d *digest.Digest, from, to time.Time) error {
	if s.strikes(fault.MissingDigest, sealed.Link.Key) {
		var names []string
		for _, f := range d.LogFiles {
			names = append(names, f.S3Object)
		}
		s.struck(fault.MissingDigest, sealed.Link.Key, from, to, "names", names)
		return nil
	}
	if s.strikes(fault.ForgedDigest, sealed.Link.Key) {
		s.struck(fault.ForgedDigest, sealed.Link.Key, from, to)
		var err error
		if sealed, err = forge(sealed, *d); err != nil {
			return err
		}
	}
	return s.opts.Buckets.DeliverObject(ctx, &Object{
		Bucket: sealed.Link.Bucket, Key: sealed.Link.Key, Body: sealed.Body, Metadata: sealed.Metadata,
		ContentType: "application/json", ContentEncoding: "gzip",
		Trail: t.ARN, KMSKey: t.KMSKey,
	})
}
