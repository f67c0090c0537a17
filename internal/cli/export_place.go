package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
)

const (
	// near is how far apart log files may be that are verified in one go, with the digests between.
	near = 3 * time.Hour
	// afterwards is how long after the minute in a log file's name it may be delivered.
	afterwards = 20 * time.Minute
)

// exportPlace is one account and Region of a source.
type exportPlace struct {
	source          string // a folder's or bucket's URL
	prefix          string // of the account's files
	account, region string
	files           []exportFile

	src      *storeSource
	verdicts map[string]digest.FileVerdict // of log files, by path
	digests  []digest.DigestVerdict        // those that the bundle holds
}

type exportFile struct {
	path string
	at   time.Time
}

// prove verifies the hours of the place's files.
func (p *exportPlace) prove(ctx context.Context, x *export, points *checkpoints) error {
	var err error
	if p.src, _, err = verifySource(ctx, p.source); err != nil {
		return err
	}
	keys, err := keySource(p.src, x.keyFile)
	if err != nil {
		return err
	}
	slices.SortFunc(p.files, func(a, b exportFile) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.path, b.path)) })
	for first := 0; first < len(p.files); {
		last := first
		for last+1 < len(p.files) && p.files[last+1].at.Sub(p.files[last].at) <= near {
			last++
		}
		if err := p.proveSpan(ctx, x, points, keys, p.files[first:last+1]); err != nil {
			return fmt.Errorf("verifying %s: %w", p.source, err)
		}
		first = last + 1
	}
	return nil
}

func (p *exportPlace) proveSpan(ctx context.Context, x *export, points *checkpoints, keys digest.KeySource, files []exportFile) error {
	opts := digest.Options{
		Prefix: p.prefix, Skip: func(account, region string) bool { return account != p.account || region != p.region },
		LogFile: func(v digest.FileVerdict) {
			if p.verdicts[v.Path].Verdict != digest.Verified { // several digests may name it
				p.verdicts[v.Path] = v
			}
		},
	}
	var digests []digest.DigestVerdict
	opts.Digest = func(v digest.DigestVerdict) { digests = append(digests, v) }
	if !files[0].at.IsZero() {
		opts.From, opts.To = files[0].at, files[len(files)-1].at.Add(afterwards)
	}
	if points != nil && x.keyFile == "" {
		opts.State = &digest.State{Keys: points.state("", x.endpoint()).Keys}
	}
	report, err := digest.Verify(ctx, p.src, keys, opts)
	if err != nil {
		return err
	}
	for _, k := range report.State.Keys {
		x.keys[k.Fingerprint] = k
	}
	p.take(digests, files)
	return nil
}

// take keeps the digests that name the files, and those between.
func (p *exportPlace) take(digests []digest.DigestVerdict, files []exportFile) {
	naming := map[string]bool{}
	for _, f := range files {
		naming[p.verdicts[f.path].Digest] = true
	}
	type chain struct {
		trail, home string
		backfill    bool
	}
	first, last := map[chain]time.Time{}, map[chain]time.Time{}
	of := func(d *digest.DigestVerdict) chain { return chain{d.Trail, d.HomeRegion, d.Backfill} }
	for i := range digests {
		d := &digests[i]
		if !naming[d.Path] {
			continue
		}
		if at := first[of(d)]; at.IsZero() || d.End.Before(at) {
			first[of(d)] = d.End
		}
		if d.End.After(last[of(d)]) {
			last[of(d)] = d.End
		}
	}
	for i := range digests {
		d := &digests[i]
		if d.Digest != nil && !first[of(d)].IsZero() && !d.End.Before(first[of(d)]) && !d.End.After(last[of(d)]) {
			p.digests = append(p.digests, *d)
		}
	}
}

// name returns what a file is called in the bundle: its bucket and key as a digest gives them.
func (p *exportPlace) name(v digest.FileVerdict, path string) string {
	switch {
	case v.Key != "":
		return bundleFiles + v.Bucket + "/" + v.Key
	case p.src.bucket != "":
		return bundleFiles + p.src.bucket + "/" + path
	}
	return bundleFiles + "unknown/" + strings.TrimPrefix(path, "/")
}

// write writes the place's files, and its events to a file of their own.
func (p *exportPlace) write(ctx context.Context, x *export, events io.Writer) error {
	names := map[string]string{} // of digests, by path
	for _, d := range p.digests {
		name := bundleFiles + d.Digest.DigestS3Bucket + "/" + d.Digest.DigestS3Object
		names[d.Path] = name
		if err := p.copy(ctx, x, d.Digest.DigestS3Bucket, d.Path, name); err != nil {
			return err
		}
		if err := x.writeMetadata(d, name); err != nil {
			return err
		}
		x.listing.Digests = append(x.listing.Digests, bundleItem{Name: name, Source: p.src.store.URL(d.Path), Verdict: string(d.Verdict), Reason: d.Reason})
	}
	wanted := map[string]bool{}
	for _, f := range p.files {
		wanted[f.path] = true
		if err := p.writeEvents(ctx, x, f.path, events, names); err != nil {
			return err
		}
	}
	if x.slim {
		return nil
	}
	var others []string
	for path, v := range p.verdicts {
		if !wanted[path] && names[v.Digest] != "" && v.Reason != string(digest.LogFileMissing) {
			others = append(others, path)
		}
	}
	slices.Sort(others)
	for _, path := range others {
		v := p.verdicts[path]
		if err := p.copy(ctx, x, v.Bucket, path, p.name(v, path)); err != nil {
			return err
		}
		x.listing.LogFiles = append(x.listing.LogFiles, bundleItem{Name: p.name(v, path), Source: p.src.store.URL(path),
			Verdict: string(v.Verdict), Reason: v.Reason, Digest: names[v.Digest]})
	}
	return nil
}

// copy brings a file of the source into the bundle as it stands.
func (p *exportPlace) copy(ctx context.Context, x *export, bucket, path, name string) error {
	body, _, err := p.src.Open(ctx, cmp.Or(bucket, p.src.bucket), path)
	if err != nil {
		return err
	}
	defer body.Close()
	return x.bundle.add(name, contextReader{ctx, body})
}

// writeMetadata writes what S3 keeps beside a digest, in the form that `aws s3api put-object --metadata` takes, and the
// signature as openssl takes it.
func (x *export) writeMetadata(d digest.DigestVerdict, name string) error {
	at := bundleMetadata + strings.TrimPrefix(name, bundleFiles)
	text, err := plainJSON(d.Metadata)
	if err != nil {
		return err
	}
	if err := x.bundle.add(at+".json", bytes.NewReader(text)); err != nil {
		return err
	}
	sig, err := hex.DecodeString(d.Metadata[digest.MetaSignature])
	if err != nil {
		return nil // the metadata holds what was there, for what it is worth
	}
	return x.bundle.add(at+".sig", bytes.NewReader(sig))
}

// writeEvents writes the chosen records of a log file, and the file.
func (p *exportPlace) writeEvents(ctx context.Context, x *export, file string, events io.Writer, names map[string]string) error {
	v := p.verdicts[file]
	name := p.name(v, file)
	item := bundleItem{Name: name, Source: p.src.store.URL(file), Verdict: cmp.Or(string(v.Verdict), string(digest.Unverifiable)),
		Reason: v.Reason, Digest: names[v.Digest]}
	body, _, err := p.src.Open(ctx, cmp.Or(v.Bucket, p.src.bucket), file)
	if err != nil {
		return err
	}
	defer body.Close()
	url := item.Source
	list := x.chosen[url]
	var failed error
	err = eachRecord(contextReader{ctx, body}, func(e *cloudtrail.Event, index int64, raw string) bool {
		if len(list) == 0 || index != list[0] {
			return len(list) > 0
		}
		if id := x.ids[url][index]; id != "" && !strings.EqualFold(id, e.EventID) {
			return false
		}
		list = list[1:]
		item.Events++
		failed = writeEvent(events, bundleEvent{File: name, Index: index, Verdict: item.Verdict, Event: json.RawMessage(raw)})
		return failed == nil && len(list) > 0
	})
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return fmt.Errorf("reading %s: %w", url, err)
	case len(list) > 0:
		return fmt.Errorf("%s is not as it was collected: its record %d is another one, or gone", url, list[0])
	}
	x.listing.Events += item.Events
	if item.Verdict == string(digest.Verified) {
		x.listing.Proven += item.Events
	}
	x.listing.LogFiles = append(x.listing.LogFiles, item)
	return p.copy(ctx, x, v.Bucket, file, name)
}

// writeEvent writes a line. The event's text is not changed, only the space between its parts left out.
func writeEvent(w io.Writer, e bundleEvent) error {
	var line bytes.Buffer
	text, err := plainJSON(e.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(&line, `{"file":%s,"index":%d,"verdict":"%s","event":`, bytes.TrimSpace(text), e.Index, e.Verdict)
	if err := json.Compact(&line, e.Event); err != nil {
		return err
	}
	line.WriteString("}\n")
	_, err = w.Write(line.Bytes())
	return err
}

// runs are the stretches of digests that follow one another, for the commands of the README.
func (p *exportPlace) runs() [][]digest.DigestVerdict {
	list := slices.Clone(p.digests)
	slices.SortFunc(list, func(a, b digest.DigestVerdict) int {
		return cmp.Or(strings.Compare(a.Trail, b.Trail), a.Start.Compare(b.Start), strings.Compare(a.Path, b.Path))
	})
	var runs [][]digest.DigestVerdict
	for _, d := range list {
		if d.Backfill {
			continue
		}
		last := len(runs) - 1
		if last >= 0 && d.Digest.PreviousDigestS3Object == runs[last][len(runs[last])-1].Digest.DigestS3Object {
			runs[last] = append(runs[last], d)
			continue
		}
		runs = append(runs, []digest.DigestVerdict{d})
	}
	return runs
}
