package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/collect"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/object"
)

func (a *app) verifyCommand() *cobra.Command {
	var from, to string
	var p proving
	c := &cobra.Command{
		Use:   "verify SOURCE",
		Short: "Verify the log files of a source against their signed digests",
		Long: `Verify that log files are what CloudTrail delivered: every digest's signature, the chain from each digest to the one
before, and the hash of every log file that digests name. SOURCE is s3://bucket/prefix, a folder that holds a copy, or an
evidence bundle (OUT.zip), which is checked offline.
Public keys come from CloudTrail (ListPublicKeys), or from --keys.

Only what is new since the last verification of the source is read; what was found before is said again. How far each
chain was verified is kept in the lake's folder, signed: digests that are gone from the end of a chain are found by it.
--full reads everything again; --from and --to look at a time, and keep nothing.

What was found is printed; exit code 3 when something does not hold. Log files that are in the lake get their verdict there.`,
		Example: "  aitrail verify s3://my-trail-bucket/cloudtrail\n  aitrail verify ./copy --keys keys.json",
		Args:    exactArgs(1, "one source"),
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if p.from, err = a.parseTime("--from", from); err != nil {
				return err
			}
			if p.to, err = a.parseTime("--to", to); err != nil {
				return err
			}
			if !p.from.IsZero() && !p.to.IsZero() && p.to.Before(p.from) {
				return usagef("--to %s is before --from %s", to, from)
			}
			return a.verify(c.Context(), args[0], p)
		},
	}
	f := c.Flags()
	f.StringVar(&from, "from", "", "only digests that end at this `time` or later: 2026-11-23, 2026-11-23T07:30:00Z, or 36h, 7d ago")
	f.StringVar(&to, "to", "", "only digests that end up to an hour after this `time`: log files of it may still come then")
	f.StringVar(&p.keyFile, "keys", "", "`file` with public keys, as `aws cloudtrail list-public-keys` prints them")
	f.BoolVar(&p.full, "full", false, "read everything again, not only what is new since the last verification")
	return c
}

func (a *app) verify(ctx context.Context, source string, p proving) error {
	if info, err := os.Stat(source); err == nil && !info.IsDir() && strings.HasSuffix(source, ".zip") {
		return a.verifyBundle(ctx, source, p.keyFile)
	}
	// Little memory is in use at a time: at the usual rate, collecting garbage takes a tenth of the time.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	l, err := a.lakeIfAny(ctx)
	if err != nil {
		return err
	}
	if l != nil {
		defer l.Close()
	}
	report, unkept := a.prove(ctx, source, l, p)
	if report == nil {
		return unkept
	}
	if report.Digests.Total+report.LogFiles.Total == 0 && len(report.Findings) == 0 {
		return fmt.Errorf("no digests and no log files in %q: digests lie below AWSLogs/ACCOUNT/CloudTrail-Digest/", source)
	}
	if err := a.printVerdict(report); err != nil {
		return err
	}
	if unkept != nil {
		return unkept
	}
	if !report.Holds() {
		return errFound
	}
	return nil
}

// lakeIfAny opens the lake to write verdicts to; nil if there is none.
func (a *app) lakeIfAny(ctx context.Context) (*lake.Lake, error) {
	dir, err := a.lakePath()
	if err != nil {
		return nil, nil // no home folder, so no lake either
	}
	l, err := lake.Open(ctx, dir, lake.Options{Now: a.Now, Log: a.log(), Cache: a.cacheDir()})
	if errors.Is(err, lake.ErrNoLake) {
		return nil, nil
	}
	return l, err
}

func (a *app) printVerdict(r *digest.Report) error {
	if a.output == "json" {
		e := json.NewEncoder(a.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	columns := []string{"severity", "kind", "account", "region", "key", "detail"}
	var rows [][]any
	for _, f := range r.Findings {
		detail := f.Detail
		switch {
		case f.Kind == digest.LogFileTrailing || f.Kind == digest.DigestTrailing:
			detail = thousands(f.Count) + " " + detail // of bytes
		case f.Count == 1:
			detail = strings.TrimSuffix("1 file: "+detail, ": ")
		case f.Count > 0:
			detail = strings.TrimSuffix(fmt.Sprintf("%s files: %s", thousands(f.Count), detail), ": ")
		}
		if f.Earlier {
			detail += " (found by an earlier verification; --full reads it again)"
		}
		rows = append(rows, []any{string(f.Severity), string(f.Kind), f.Account, f.Region, f.Key, detail})
	}
	var err error
	if width := newPrinter(a.Stdout, a.output).width; width > 0 {
		_, err = io.WriteString(a.Stdout, findingBlocks(rows, width))
	} else if a.output == "csv" || len(rows) > 0 {
		err = a.print(columns, rows)
	}
	if err != nil {
		return err
	}
	if a.output == "csv" {
		return nil
	}
	_, err = fmt.Fprintln(a.Stdout, verdictLine(r))
	return err
}

// findingBlocks is the table of findings for a terminal, which is narrower than a key beside all the rest: what was found and where,
// the key whole and on a line of its own, the detail.
func findingBlocks(rows [][]any, width int) string {
	var b strings.Builder
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = visible(v.(string))
		}
		severity, kind, account, region, key, detail := cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]
		fmt.Fprintln(&b, strings.TrimRight(strings.Join([]string{text.Pad(severity, len("finding"), ' '), kind, account, region}, "  "), " "))
		if key != "" {
			fmt.Fprintln(&b, "  "+key)
		}
		if detail != "" {
			for line := range strings.SplitSeq(text.WrapSoft(detail, max(width-2, 20)), "\n") {
				fmt.Fprintln(&b, "  "+strings.TrimRight(line, " "))
			}
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(&b)
	}
	return b.String()
}

// verdictLine is the verdict in a sentence.
func verdictLine(r *digest.Report) string {
	verdict := "all that can be proven holds"
	if !r.Holds() {
		verdict = "DOES NOT HOLD"
	}
	line := fmt.Sprintf("%s: %s of %s digests and %s of %s log files verified", verdict,
		thousands(r.Digests.Verified), thousands(r.Digests.Total), thousands(r.LogFiles.Verified), thousands(r.LogFiles.Total))
	for _, rest := range []struct {
		n    int64
		what string
	}{
		{r.LogFiles.Pending + r.Digests.Pending, "pending"}, {r.LogFiles.Unverifiable + r.Digests.Unverifiable, "unverifiable"},
		{r.LogFiles.Failed + r.Digests.Failed, "failed"},
	} {
		if rest.n > 0 {
			line += fmt.Sprintf(", %s %s", thousands(rest.n), rest.what)
		}
	}
	if len(r.Chains) > 0 && !slices.ContainsFunc(r.Chains, func(c digest.Chain) bool { return c.Since.IsZero() }) {
		line += ", new since the last verification"
	}
	return line
}

// storeSource is a folder or bucket as a source of digests.
type storeSource struct {
	store  object.Store // of the whole bucket, or the folder
	bucket string       // "" for a folder

	mu     sync.Mutex
	others map[string]object.Store // buckets that a trail delivered to before
}

// verifySource opens a source, and tells which prefix of it is meant.
func verifySource(ctx context.Context, source string) (s *storeSource, prefix string, err error) {
	s = &storeSource{others: map[string]object.Store{}}
	if rest, ok := strings.CutPrefix(source, "s3://"); ok {
		s.bucket, prefix, _ = strings.Cut(rest, "/")
		source = "s3://" + s.bucket
		if prefix != "" && !strings.HasSuffix(prefix, "/") {
			prefix += "/"
		}
	}
	s.store, err = object.Open(ctx, source)
	return s, prefix, err
}

func (s *storeSource) Bucket() string { return s.bucket }

func (s *storeSource) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for info, err := range s.store.List(ctx, prefix, after) {
			if !yield(info.Key, err) {
				return
			}
		}
	}
}

// First returns the first path that List would yield.
func (s *storeSource) First(ctx context.Context, prefix, after string) (string, error) {
	info, err := object.First(ctx, s.store, prefix, after)
	return info.Key, err
}

func (s *storeSource) Open(ctx context.Context, bucket, path string) (io.ReadCloser, map[string]string, error) {
	store, err := s.of(ctx, bucket)
	if err != nil {
		return nil, nil, err
	}
	r, o, err := store.Open(ctx, path)
	return r, o.Meta, err
}

// of returns the store of a bucket that digests name.
func (s *storeSource) of(ctx context.Context, bucket string) (object.Store, error) {
	if s.bucket == "" || bucket == s.bucket {
		return s.store, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if store := s.others[bucket]; store != nil {
		return store, nil
	}
	store, err := object.Open(ctx, "s3://"+bucket)
	if err == nil {
		s.others[bucket] = store
	}
	return store, err
}

// keySource returns where public keys come from: a file, CloudTrail for buckets, and nowhere for copies.
func keySource(src *storeSource, file string) (digest.KeySource, error) {
	switch {
	case file != "":
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		keys, err := digest.ParseKeys(data)
		if err != nil {
			return nil, fmt.Errorf("reading public keys of %s: %w", file, err)
		}
		return keys, nil
	case src.bucket != "":
		return trailKeys{}, nil
	}
	return nil, nil
}

// trailKeys asks CloudTrail for public keys.
type trailKeys struct{}

func (trailKeys) Keys(ctx context.Context, region string, from, to time.Time) ([]digest.Key, error) {
	list, err := collect.PublicKeys(ctx, region, from, to)
	if err != nil {
		return nil, err
	}
	var keys []digest.Key
	for _, k := range list {
		key, err := digest.ParsePublicKey(k.DER)
		if err != nil {
			return nil, fmt.Errorf("public key %s: %w", k.Fingerprint, err)
		}
		key.Fingerprint, key.From, key.To = k.Fingerprint, k.From, k.To
		keys = append(keys, key)
	}
	return keys, nil
}
